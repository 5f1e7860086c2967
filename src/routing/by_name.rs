//! A map by the names of tables, with a short way to what is asked for again and again.
//!
//! ```text
//! name ── short, and found before ──> recent ──> values: one comparison of numbers
//!   └── else ──> map: hash and comparison of texts, noted in recent ──> values
//! ```

use super::{TableKey, TableName};
use crate::base::ends;
use hashbrown::HashMap;
use std::cell::Cell;
use std::sync::Arc;

/// Names that are known by number at a time: a power of two.
const RECENT: usize = 256;

/// Values by the names of tables.
#[derive(Debug)]
pub(super) struct ByName<T> {
    map: HashMap<Arc<TableKey>, u32>,
    values: Vec<Option<Named<T>>>,
    /// Places in `values` that are free.
    free: Vec<u32>,
    /// What was found last: places in `values`, each where the bytes of its name say.
    recent: Box<[Cell<u32>; RECENT]>,
}

#[derive(Debug)]
struct Named<T> {
    key: Arc<TableKey>,
    short: Option<ShortName>,
    value: T,
}

/// A name whose four texts have 16 bytes at most, as numbers: equal if and only if the names are.
#[derive(Clone, Copy, Debug)]
struct ShortName {
    ends: [u64; 8],
    lengths: u32,
}

impl ShortName {
    #[inline(always)]
    fn of(name: &TableName<'_>) -> Option<Self> {
        let (a, b) = ends(name.name)?;
        let (c, d) = ends(name.database)?;
        let (e, f) = ends(name.tenant)?;
        let (g, h) = ends(name.cluster.as_bytes())?;
        let length = |text: &[u8]| text.len() as u32;
        Some(Self {
            ends: [a, b, c, d, e, f, g, h],
            lengths: length(name.name)
                | length(name.database) << 8
                | length(name.tenant) << 16
                | length(name.cluster.as_bytes()) << 24,
        })
    }

    /// True if both are the same name; without a call, which comparing the arrays would be.
    #[inline(always)]
    const fn is(&self, other: &Self) -> bool {
        let [a, b, c, d, e, f, g, h] = self.ends;
        let [i, j, k, l, m, n, o, p] = other.ends;
        let differ = (a ^ i) | (b ^ j) | (c ^ k) | (d ^ l) | (e ^ m) | (f ^ n) | (g ^ o) | (h ^ p);
        differ | (self.lengths ^ other.lengths) as u64 == 0
    }

    /// Its place among the recent ones.
    #[inline(always)]
    const fn slot(&self) -> usize {
        let [a, b, c, d, e, f, ..] = self.ends;
        let mixed = a ^ b.rotate_left(11) ^ (c ^ d.rotate_left(23)).rotate_left(31);
        let mixed = (mixed ^ e ^ f.rotate_left(47)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize % RECENT
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            values: vec![],
            free: vec![],
            recent: Box::new([const { Cell::new(0) }; RECENT]),
        }
    }
}

impl<T> ByName<T> {
    /// The value of a name.
    #[inline(always)]
    pub(super) fn get(&self, name: &TableName<'_>) -> Option<&T> {
        if let Some(short) = ShortName::of(name)
            && let Some(recent) = self.recent.get(short.slot())
            && let Some(Some(named)) = self.values.get(recent.get() as usize)
            && let Some(own) = &named.short
            && own.is(&short)
        {
            return Some(&named.value);
        }
        self.get_by_text(name)
    }

    /// The same, by the texts of the name. A short one is found by number from now on.
    #[inline(never)]
    fn get_by_text(&self, name: &TableName<'_>) -> Option<&T> {
        let place = *self.map.get(name)?;
        let named = self.values.get(place as usize)?.as_ref()?;
        if let Some(short) = &named.short
            && let Some(recent) = self.recent.get(short.slot())
        {
            recent.set(place);
        }
        Some(&named.value)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, name: &TableName<'_>) -> Option<&mut T> {
        let place = *self.map.get(name)?;
        let named = self.values.get_mut(place as usize)?.as_mut();
        named.map(|named| &mut named.value)
    }

    /// The key of a name.
    pub(super) fn key(&self, name: &TableName<'_>) -> Option<&Arc<TableKey>> {
        self.map.get_key_value(name).map(|(key, _)| key)
    }

    /// Adds a value; the key must not be there.
    pub(super) fn insert(&mut self, key: Arc<TableKey>, value: T) {
        let place = self.free.pop().unwrap_or(self.values.len() as u32);
        let named = Some(Named {
            key: key.clone(),
            short: ShortName::of(&key.as_name()),
            value,
        });
        match self.values.get_mut(place as usize) {
            Some(free) => *free = named,
            None => self.values.push(named),
        }
        self.map.insert(key, place);
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, name: &TableName<'_>) -> Option<T> {
        let place = self.map.remove(name)?;
        self.free.push(place);
        let named = self.values.get_mut(place as usize)?.take();
        named.map(|named| named.value)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<TableKey>, &T)> {
        let all = self.values.iter().flatten();
        all.map(|named| (&named.key, &named.value))
    }

    /// All values, to change them.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let all = self.values.iter_mut().flatten();
        all.map(|named| &mut named.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn name<'a>(database: &'a str, name: &'a str) -> TableName<'a> {
        TableName {
            cluster: "c",
            tenant: b"tenant",
            database: database.as_bytes(),
            name: name.as_bytes(),
        }
    }

    #[test]
    fn names_of_all_lengths_are_told_apart() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        let names = (0..=26).flat_map(|a| (0..=26).map(move |b| name(&text[..a], &text[b..])));
        let names: Vec<_> = names.collect();
        let mut map = ByName::default();
        for (n, name) in names.iter().enumerate() {
            assert!(map.get(name).is_none());
            map.insert(Arc::new(name.to_key()), n);
        }
        // Twice: the second time by number, if nothing has taken the place.
        for _ in 0..2 {
            for (n, name) in names.iter().enumerate() {
                assert_eq!((map.get(name), map.get(name)), (Some(&n), Some(&n)));
                assert_eq!(map.key(name).map(|key| key.as_name()), Some(*name));
            }
        }
        assert_eq!(map.iter().count(), names.len());
    }

    #[test]
    fn what_is_removed_is_not_found_and_its_place_is_used_again() {
        let mut map = ByName::default();
        let (a, b) = (name("d", "a"), name("d", "b"));
        for round in 0..3 {
            map.insert(Arc::new(a.to_key()), round);
            assert_eq!(map.get(&a), Some(&round));
            assert_eq!(map.remove(&a), Some(round));
            assert_eq!(map.get(&a), None);
            assert_eq!(map.remove(&a), None);
            map.insert(Arc::new(b.to_key()), 10 + round);
            assert_eq!((map.get(&a), map.get(&b)), (None, Some(&(10 + round))));
            map.values_mut().for_each(|value| *value += 1);
            assert_eq!(map.get_mut(&b), Some(&mut (11 + round)));
            assert_eq!(map.remove(&b), Some(11 + round));
        }
        assert_eq!(map.values.len(), 1);
    }
}
