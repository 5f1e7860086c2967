//! A table whose keys cannot be confused after a slot is used again.

use serde::{Deserialize, Serialize};

/// Names one occupant of a [`Slab`]: the slot and the generation it had when it was filled.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct Key {
    /// Position in the table.
    pub index: u32,
    /// Counts the occupants of the slot; a key of an earlier occupant finds nothing.
    pub generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A table of `T` with stable, generation-checked keys and reuse of freed slots.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    limit: u32,
}

impl<T> Slab<T> {
    /// An empty table that holds at most `limit` values; memory grows with use.
    #[must_use]
    pub const fn with_limit(limit: u32) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// Stores `value`; gives it back when the table is full.
    pub fn insert(&mut self, value: T) -> Result<Key, T> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return Ok(Key {
                index,
                generation: slot.generation,
            });
        }
        let index = self.slots.len() as u32;
        if index >= self.limit {
            return Err(value);
        }
        self.slots.push(Slot {
            generation: 1,
            value: Some(value),
        });
        Ok(Key {
            index,
            generation: 1,
        })
    }

    /// The value under `key`, unless it was removed.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation {
            slot.value.as_ref()
        } else {
            None
        }
    }

    /// The value under `key`, unless it was removed.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation {
            slot.value.as_mut()
        } else {
            None
        }
    }

    /// Takes the value out; its key is dead from now on.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1).max(1);
        self.free.push(key.index);
        Some(value)
    }

    /// How many values are stored.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(i, s)| {
            let key = Key {
                index: i as u32,
                generation: s.generation,
            };
            s.value.as_mut().map(|v| (key, v))
        })
    }

    /// All keys and values, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(i, s)| {
            let key = Key {
                index: i as u32,
                generation: s.generation,
            };
            s.value.as_ref().map(|v| (key, v))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_earlier_occupant_finds_nothing() {
        let mut t = Slab::with_limit(2);
        let a = t.insert('a').unwrap();
        let b = t.insert('b').unwrap();
        assert_eq!(t.insert('c'), Err('c'));
        assert_eq!(t.remove(a), Some('a'));
        assert_eq!(t.remove(a), None);
        let c = t.insert('c').unwrap();
        assert_eq!(c.index, a.index);
        assert_eq!(
            (t.get(a), t.get(b), t.get(c)),
            (None, Some(&'b'), Some(&'c'))
        );
        assert_eq!(t.len(), 2);
        assert_eq!(t.iter().map(|(_, v)| *v).collect::<String>(), "cb");
    }
}
