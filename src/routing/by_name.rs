//! A map by the names of tables, with a short way to what is asked for again and again.
//!
//! ```text
//! name ── short, and found before ──> recent: one comparison of numbers ──┐
//!   └── else ──> map: hash and comparison of texts, noted in recent ──────┴──> values
//! ```

use super::{TableKey, TableName};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::sync::Arc;

/// Names that are known by number at a time: a power of two.
const RECENT: usize = 256;

/// Values by the names of tables.
#[derive(Debug)]
pub(super) struct ByName<T> {
    map: HashMap<Arc<TableKey>, u32>,
    values: Vec<Option<(Arc<TableKey>, T)>>,
    /// Places in `values` that are free.
    free: Vec<u32>,
    /// What was found last, each name in the one place that its bytes say.
    recent: RefCell<Box<[Recent; RECENT]>>,
}

#[derive(Clone, Copy, Debug)]
struct Recent {
    name: ShortName,
    /// Place in `values`.
    place: u32,
}

impl Recent {
    /// Nothing: no short name has these lengths.
    const NONE: Self = Self {
        name: ShortName {
            ends: [0; 8],
            lengths: u32::MAX,
        },
        place: 0,
    };
}

/// A name whose four texts have 16 bytes at most, as numbers: equal if and only if the names are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

    /// Its place among the recent ones.
    #[inline(always)]
    const fn slot(&self) -> usize {
        let [a, b, c, d, e, f, ..] = self.ends;
        let mixed = a ^ b.rotate_left(11) ^ (c ^ d.rotate_left(23)).rotate_left(31);
        let mixed = (mixed ^ e ^ f.rotate_left(47)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize % RECENT
    }
}

/// The first and the last bytes of a short text, which overlap: with its length they are all of it.
/// `None` if it is longer than 16 bytes, as few names are.
#[inline(always)]
fn ends(text: &[u8]) -> Option<(u64, u64)> {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let ends = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        return (text.len() <= 16).then_some(ends);
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return Some((first.into(), last.into()));
    }
    let byte = |at: usize| text.get(at).copied().map_or(0, u64::from);
    Some((byte(0) | byte(1) << 8 | byte(2) << 16, 0))
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            map: HashMap::new(),
            values: vec![],
            free: vec![],
            recent: RefCell::new(Box::new([Recent::NONE; RECENT])),
        }
    }
}

impl<T> ByName<T> {
    /// The value of a name.
    #[inline]
    pub(super) fn get(&self, name: &TableName<'_>) -> Option<&T> {
        let place = match ShortName::of(name) {
            Some(short) => {
                let slot = short.slot();
                let recent = self.recent.borrow().get(slot).copied()?;
                match recent.name == short {
                    true => recent.place,
                    false => {
                        let place = *self.map.get(name)?;
                        let found = Recent { name: short, place };
                        self.recent.borrow_mut()[slot] = found;
                        place
                    }
                }
            }
            None => *self.map.get(name)?,
        };
        self.values
            .get(place as usize)?
            .as_ref()
            .map(|(_, value)| value)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, name: &TableName<'_>) -> Option<&mut T> {
        let place = *self.map.get(name)?;
        let value = self.values.get_mut(place as usize)?.as_mut();
        value.map(|(_, value)| value)
    }

    /// The key of a name.
    pub(super) fn key(&self, name: &TableName<'_>) -> Option<&Arc<TableKey>> {
        self.map.get_key_value(name).map(|(key, _)| key)
    }

    /// Adds a value; the key must not be there.
    pub(super) fn insert(&mut self, key: Arc<TableKey>, value: T) {
        let place = self.free.pop().unwrap_or(self.values.len() as u32);
        let value = Some((key.clone(), value));
        match self.values.get_mut(place as usize) {
            Some(free) => *free = value,
            None => self.values.push(value),
        }
        self.map.insert(key, place);
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, name: &TableName<'_>) -> Option<T> {
        let place = self.map.remove(name)?;
        if let Some(short) = ShortName::of(name)
            && let Some(recent) = self.recent.get_mut().get_mut(short.slot())
            && recent.name == short
        {
            *recent = Recent::NONE;
        }
        self.free.push(place);
        let value = self.values.get_mut(place as usize)?.take();
        value.map(|(_, value)| value)
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<TableKey>, &T)> {
        let all = self.values.iter().flatten();
        all.map(|(key, value)| (key, value))
    }

    /// All values, to change them.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.values.iter_mut().flatten().map(|(_, value)| value)
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
