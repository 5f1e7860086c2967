//! Verdicts that are remembered.

use crate::verdict::Verdict;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Verdicts that are remembered. The older half goes when it is full.
pub(super) const VERDICTS_MAX: usize = 65_536;

/// What a verdict depends on, as two independent hashes: texts are not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key([u64; 2]);

impl Key {
    /// The key of these parts: text, parameters, state, schema version.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        Self([0_u8, 1].map(|salt| {
            let mut hasher = DefaultHasher::new();
            salt.hash(&mut hasher);
            parts.hash(&mut hasher);
            hasher.finish()
        }))
    }
}

/// The verdicts of all links.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Key, Verdict>,
    old: HashMap<Key, Verdict>,
}

impl Halves {
    fn put(&mut self, key: Key, verdict: Verdict) {
        if self.young.len() >= VERDICTS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, verdict);
    }
}

impl Cache {
    /// The verdict for a key. One that is asked for is young again.
    pub(super) fn find(&self, key: Key) -> Option<Verdict> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = halves.young.get(&key) {
            return Some(verdict.clone());
        }
        let verdict = halves.old.remove(&key)?;
        halves.put(key, verdict.clone());
        Some(verdict)
    }

    /// Remembers a verdict.
    pub(super) fn put(&self, key: Key, verdict: &Verdict) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.put(key, verdict.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;

    fn key(n: usize) -> Key {
        Key::of(&[b"select", &n.to_le_bytes()])
    }

    #[test]
    fn keys_differ_where_parts_do() {
        assert_eq!(key(1), key(1));
        assert_ne!(key(1), key(2));
        assert_ne!(Key::of(&[b"ab", b"c"]), Key::of(&[b"a", b"bc"]));
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = Cache::default();
        let verdict = Verdict::unknown(Reason::Nil);
        for n in 0..3 * VERDICTS_MAX {
            cache.put(key(n), &verdict);
            assert_eq!(cache.find(key(0)), Some(verdict.clone()), "{n}");
        }
        assert_eq!(cache.find(key(1)), None);
        let halves = cache.0.lock().unwrap();
        assert!(halves.young.len() + halves.old.len() <= VERDICTS_MAX);
    }
}
