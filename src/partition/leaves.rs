//! Sets of partitions.

use smallvec::{SmallVec, smallvec};

/// A set of numbers from 0 to below a limit: partitions of a level, or leaves of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeafSet {
    limit: u32,
    words: SmallVec<[u64; WORDS]>,
}

/// 256 partitions need no memory of their own.
const WORDS: usize = 4;

impl LeafSet {
    /// None of `limit`.
    #[must_use]
    pub fn empty(limit: u32) -> Self {
        let words = limit.div_ceil(64) as usize;
        let words = match words {
            0..=WORDS => SmallVec::from_buf_and_len([0; WORDS], words),
            _ => smallvec![0; words],
        };
        Self { limit, words }
    }

    /// All of `limit`.
    #[must_use]
    pub fn all(limit: u32) -> Self {
        let mut set = Self::empty(limit);
        set.add_range(0, limit);
        set
    }

    /// Adds one; what is not below the limit is left out.
    pub fn add(&mut self, leaf: u32) {
        if leaf < self.limit
            && let Some(word) = self.words.get_mut((leaf / 64) as usize)
        {
            *word |= 1 << (leaf % 64);
        }
    }

    /// Adds all from `first` to below `end`.
    pub fn add_range(&mut self, first: u32, end: u32) {
        let end = end.min(self.limit);
        let mut at = first;
        while at < end {
            let (from, to) = (at % 64, 64.min(end - at + at % 64));
            let low = u64::MAX << from;
            if let Some(word) = self.words.get_mut((at / 64) as usize) {
                *word |= low & (u64::MAX >> (64 - to));
            }
            at += to - from;
        }
    }

    /// Adds the members of another set, each moved up by so many.
    pub(super) fn add_moved(&mut self, other: &Self, by: u32) {
        other.iter().for_each(|leaf| self.add(by + leaf));
    }

    /// True if it is in the set.
    #[must_use]
    pub fn contains(&self, leaf: u32) -> bool {
        let word = self.words.get((leaf / 64) as usize);
        word.is_some_and(|word| word >> (leaf % 64) & 1 == 1)
    }

    /// Adds what another set of the same limit has.
    pub fn unite(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(a, b)| *a |= b);
    }

    /// Keeps what another set of the same limit has.
    pub fn intersect(&mut self, other: &Self) {
        self.words
            .iter_mut()
            .zip(&other.words)
            .for_each(|(a, b)| *a &= b);
    }

    /// How many are in it.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    /// True if none is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// True if all are in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.len() == self.limit
    }

    /// Its limit.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Its members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.words.iter().zip((0..).step_by(64));
        words.flat_map(|(word, before)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros())?;
                rest &= rest - 1;
                Some(before + bit)
            })
        })
    }

    /// The member, if it is the only one.
    #[must_use]
    pub fn only(&self) -> Option<u32> {
        let mut only = None;
        for (word, before) in self.words.iter().zip((0..).step_by(64)) {
            if *word == 0 {
                continue;
            }
            if only.is_some() || !word.is_power_of_two() {
                return None;
            }
            only = Some(before + word.trailing_zeros());
        }
        only
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_added() {
        let mut a = LeafSet::empty(300);
        assert!(a.is_empty() && !a.is_all());
        a.add(5);
        a.add(299);
        a.add(300);
        assert_eq!(a.iter().collect::<Vec<_>>(), [5, 299]);
        assert_eq!((a.len(), a.only(), a.contains(6)), (2, None, false));
        let mut b = LeafSet::empty(300);
        b.add_range(0, 10);
        b.intersect(&a);
        assert_eq!(b.only(), Some(5));
        b.unite(&a);
        assert_eq!(b, a);
        let one = |leaf| {
            let mut set = LeafSet::empty(300);
            set.add(leaf);
            set
        };
        for leaf in [0, 63, 64, 299] {
            assert_eq!(one(leaf).only(), Some(leaf));
        }
        assert_eq!(LeafSet::empty(300).only(), None);
        a.intersect(&one(299));
        assert_eq!(a.only(), Some(299));
        a.add(298);
        assert_eq!(a.only(), None);
        assert!(LeafSet::all(300).is_all() && LeafSet::all(0).is_all());
        for (first, end) in [
            (0, 0),
            (0, 1),
            (5, 64),
            (63, 65),
            (64, 128),
            (1, 300),
            (7, 3),
        ] {
            let mut set = LeafSet::empty(300);
            set.add_range(first, end);
            assert_eq!(
                set.iter().collect::<Vec<_>>(),
                (first..end).collect::<Vec<_>>()
            );
            let mut moved = LeafSet::empty(400);
            moved.add_moved(&set, 99);
            assert!(moved.iter().eq((first..end).map(|leaf| leaf + 99)));
        }
    }
}
