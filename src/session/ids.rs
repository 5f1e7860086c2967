//! Connection ids that are unique over all proxies of a deployment.

use crate::base::{CoreId, Key};
use hashbrown::HashMap;

/// Bits below the sign bit: `proxy_id 13 | upgrade parity 1 | core k | sequence 17 - k`. Source:
/// OceanBase client session id, version 2.
const PROXY_BITS: u32 = 13;
const SEQUENCE_AND_CORE_BITS: u32 = 17;

/// Sessions that one core can tell apart.
pub(super) const SESSIONS_MAX: u32 = 1 << SEQUENCE_AND_CORE_BITS;

/// How many ids in use are skipped before the table counts as full.
const ATTEMPTS_MAX: u32 = 1_000;

/// Gives out the ids of one core and knows which session has which.
///
/// The core's number is part of the id, so a KILL finds its core without a look-up.
#[derive(Debug)]
pub struct SessionIds {
    /// The bits that do not change.
    prefix: u32,
    sequence_bits: u32,
    cores: u16,
    next: u32,
    used: HashMap<u32, Key>,
}

impl SessionIds {
    /// Ids of core `core` of `cores`, for proxy `proxy_id` (1..=8191). More cores than fit
    /// (2^16) leave no room for sequences: the configuration allows far fewer.
    #[must_use]
    pub fn new(proxy_id: u16, core: u16, cores: u16) -> Self {
        let core_bits = u16::BITS - cores.saturating_sub(1).leading_zeros();
        let sequence_bits = SEQUENCE_AND_CORE_BITS - core_bits;
        let proxy = u32::from(proxy_id) & ((1 << PROXY_BITS) - 1);
        let prefix = proxy << (SEQUENCE_AND_CORE_BITS + 1) | u32::from(core) << sequence_bits;
        Self {
            prefix,
            sequence_bits,
            cores,
            next: 1,
            used: HashMap::new(),
        }
    }

    /// The same, from this sequence on. Where a process begins is drawn: one that follows another
    /// with the same `proxy_id` does not give out ids whose sessions servers still have.
    #[must_use]
    pub const fn starting_at(mut self, sequence: u32) -> Self {
        self.next = sequence;
        self
    }

    /// The next free id; `None` when none was found. Never 0.
    pub fn claim(&mut self, key: Key) -> Option<u32> {
        let mask = (1 << self.sequence_bits) - 1;
        for _ in 0..ATTEMPTS_MAX {
            let id = self.prefix | self.next & mask;
            self.next = self.next.wrapping_add(1) & mask;
            if id != 0 && !self.used.contains_key(&id) {
                self.used.insert(id, key);
                return Some(id);
            }
        }
        None
    }

    /// The core of this proxy that gives out an id; `None` for ids that no core of it does.
    #[must_use]
    pub const fn owner(&self, id: u32) -> Option<CoreId> {
        let above = SEQUENCE_AND_CORE_BITS;
        let core = ((id & ((1 << above) - 1)) >> self.sequence_bits) as u16;
        if id >> above != self.prefix >> above || core >= self.cores {
            return None;
        }
        Some(CoreId(core))
    }

    /// The core that gives out these ids.
    #[must_use]
    pub const fn core(&self) -> CoreId {
        let own = self.prefix & ((1 << SEQUENCE_AND_CORE_BITS) - 1);
        CoreId((own >> self.sequence_bits) as u16)
    }

    /// The session with this id.
    #[must_use]
    pub fn find(&self, id: u32) -> Option<Key> {
        self.used.get(&id).copied()
    }

    /// Gives an id back.
    pub fn release(&mut self, id: u32) {
        self.used.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_proxy_and_core_and_are_not_given_twice() {
        let key = Key {
            index: 1,
            generation: 1,
        };
        let mut ids = SessionIds::new(5, 3, 4);
        assert_eq!(ids.sequence_bits, 15);
        let first = ids.claim(key).unwrap();
        assert_eq!(first, 5 << 18 | 3 << 15 | 1);
        assert_eq!(first >> 31, 0);
        assert_eq!(ids.find(first), Some(key));
        assert_eq!(ids.owner(first), Some(CoreId(3)));
        assert_eq!(ids.core(), CoreId(3));
        assert_eq!(ids.owner(6 << 18 | 1), None);
        // Three cores need as many bits as four.
        let mut last = SessionIds::new(5, 3, 4).starting_at(u32::MAX);
        assert_eq!(last.claim(key), Some(5 << 18 | 3 << 15 | 0x7FFF));
        assert_eq!(last.claim(key), Some(5 << 18 | 3 << 15));
        let three = SessionIds::new(5, 0, 3);
        assert_eq!(three.owner(5 << 18 | 2 << 15 | 1), Some(CoreId(2)));
        assert_eq!(three.owner(first), None);
        // The sequence wraps and skips what is in use.
        for _ in 0..(1 << 15) - 1 {
            let id = ids.claim(key).unwrap();
            assert_ne!(id, first);
            ids.release(id);
        }
        assert_ne!(ids.claim(key), Some(first));
        ids.release(first);
        assert_eq!(ids.find(first), None);
    }

    #[test]
    fn one_core_has_all_seventeen_bits_and_ids_run_out() {
        let key = Key::default();
        let mut ids = SessionIds::new(1, 0, 1);
        assert_eq!(ids.sequence_bits, 17);
        let mut tiny = SessionIds::new(1, 0, u16::MAX);
        assert_eq!(tiny.sequence_bits, 1);
        assert!(tiny.claim(key).is_some() && tiny.claim(key).is_some());
        assert_eq!(tiny.claim(key), None);
        assert!(ids.claim(key).is_some());
    }
}
