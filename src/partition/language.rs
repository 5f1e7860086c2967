//! Languages: what the weights of each have different from the base of its family.
//!
//! `scripts/weights` makes the data, and says what is in it.

use super::weights::of_level;

static DATA: &[u8] = include_bytes!("weights/languages.bin");

/// Languages in the data; two of them have no collation.
const COUNT: usize = 54;

/// A language, by its place in the data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Language(u8);

impl Language {
    /// Of a collation of utf8mb4, by number.
    pub(super) const fn of(id: u32) -> Option<Self> {
        let place = match id {
            225..=245 => id - 225,
            247 => 21,
            256..=271 | 273..=275 | 277 => id - 256 + 22,
            279..=294 | 296..=298 | 300 => id - 279 + 22,
            303 | 304 => 44,
            308 => 45,
            306 | 307 => 46,
            310..=323 => (id - 310) / 2 + 47,
            _ => return None,
        };
        Some(Self(place as u8))
    }

    /// True for Japanese. The kana in front change what a prolonged sound mark and iteration marks
    /// weigh. seekdb 1.3.0 takes the last character of a text for the one in front of the first,
    /// once it is behind the first level: such texts are not known.
    fn turns_round(self) -> bool {
        self.0 == 44
    }

    /// Its part of the data.
    pub(super) fn tailoring(self) -> Option<Tailoring> {
        let (rows, _) = DATA.as_chunks::<12>();
        let row = |place: usize| {
            let (numbers, _) = rows.get(place)?.as_chunks::<4>();
            let mut numbers = numbers.iter().map(|n| u32::from_le_bytes(*n) as usize);
            Some([numbers.next()?, numbers.next()?, numbers.next()?])
        };
        let (start, end) = (row(self.0.into())?, row(usize::from(self.0) + 1)?);
        let all = row(COUNT)?;
        let (_, rest) = DATA.split_at_checked(12 * (COUNT + 1))?;
        let (shifts, rest) = rest.split_at_checked(10 * all[0])?;
        let (joins, rest) = rest.split_at_checked(8 * all[1])?;
        let (entries, weights) = rest.split_at_checked(8 * all[2])?;
        Some(Tailoring {
            turns_round: self.turns_round(),
            shifts: shifts.as_chunks().0.get(start[0]..end[0])?,
            joins: joins.as_chunks().0.get(start[1]..end[1])?,
            entries: entries.as_chunks().0.get(start[2]..end[2])?,
            weights: weights.as_chunks().0,
        })
    }
}

/// What one language has different from its base.
pub(super) struct Tailoring {
    turns_round: bool,
    /// Weights that move.
    shifts: &'static [[u8; 10]],
    /// Characters that belong together.
    joins: &'static [[u8; 8]],
    /// Characters, single or together, with weights of their own.
    entries: &'static [[u8; 8]],
    weights: &'static [[u8; 2]],
}

/// What has weights in a text.
#[derive(Clone, Copy)]
pub(super) enum Element {
    /// A code point, with the weights of the base, shifted.
    Base(u32),
    /// One or several, by their entry.
    Own(u32),
}

/// A weight that is not known: the server does something odd there (`scripts/weights`).
const UNKNOWN: u32 = 0xffff;
/// The symbol that the first join makes: behind all code points.
const FIRST_SYMBOL: u32 = 0x11_0000;
/// Count of an entry that holds its one weight of the first level itself.
const USUAL: u32 = 31;

impl Tailoring {
    /// Calls `each` with the elements of a text: of characters that belong together the most.
    /// `None` if that is not known, or is not for `each`.
    pub(super) fn elements(
        &self,
        mut text: impl Iterator<Item = Option<u32>> + Clone,
        mut each: impl FnMut(Element) -> Option<()>,
    ) -> Option<()> {
        let (first, mut last) = (text.clone().next().flatten(), None);
        while let Some(code) = text.next() {
            let code = code?;
            last = Some(code);
            let mut own = self.entry(code);
            let (mut symbol, mut ahead) = (code, text.clone());
            while let Some(Some(next)) = ahead.next()
                && let Some(longer) = self.joined(symbol, next)
            {
                symbol = longer;
                if let Some(entry) = self.entry(symbol) {
                    own = Some(entry);
                    text = ahead.clone();
                }
            }
            each(own.map_or(Element::Base(code), Element::Own))?;
        }
        let turns = last
            .zip(first)
            .and_then(|(last, first)| self.joined(last, first));
        (!self.turns_round || turns.is_none()).then_some(())
    }

    fn joined(&self, symbol: u32, next: u32) -> Option<u32> {
        let key = u64::from(symbol) << 32 | u64::from(next);
        let at = |row: &[u8; 8]| u64::from_le_bytes(*row);
        let place = self.joins.binary_search_by_key(&key, at).ok()?;
        Some(FIRST_SYMBOL + place as u32)
    }

    fn entry(&self, symbol: u32) -> Option<u32> {
        let of = |row: &[u8; 8]| (u64::from_le_bytes(*row) >> 32) as u32;
        let place = self.entries.binary_search_by_key(&symbol, of).ok()?;
        let row = self.entries.get(place)?;
        Some(u64::from_le_bytes(*row) as u32)
    }

    /// Calls `each` with the weights of an entry on one level, from 0. `None`: not known.
    pub(super) fn own(&self, entry: u32, level: u8, mut each: impl FnMut(u32)) -> Option<()> {
        let mut is_known = true;
        let (place, count) = (entry >> 5, entry & 31);
        match (count, level) {
            (USUAL, 0) => each(place),
            (USUAL, 1) => each(0x0020),
            (USUAL, 2) => each(0x0002),
            (USUAL, _) => {}
            _ => {
                let places = place as usize..(place + count) as usize;
                let weights = self.weights.get(places).unwrap_or_default();
                let weights = weights.iter().map(|w| u16::from_le_bytes(*w));
                of_level(weights, level, |weight| match weight {
                    UNKNOWN => is_known = false,
                    _ => each(weight),
                });
            }
        }
        is_known.then_some(())
    }

    /// Takes the weights that the base has for one code point on one level, and calls `each` with
    /// those of the language.
    pub(super) fn shifted(&self, level: u8, mut each: impl FnMut(u32)) -> impl FnMut(u32) {
        let mut is_second = false;
        move |weight| {
            let shift = self.shifts.iter().filter_map(Shift::of).find(|shift| {
                shift.level == u32::from(level) && shift.weights.contains(&weight) && !is_second
            });
            // Two weights by the rule: the second one is a part of the code point.
            is_second = level == 0 && weight >= 0xfb00 && !is_second;
            match shift {
                Some(shift) => {
                    if shift.front != 0 {
                        each(shift.front);
                    }
                    each((weight + shift.added) & 0xffff);
                }
                None => each(weight),
            }
        }
    }
}

struct Shift {
    level: u32,
    weights: std::ops::RangeInclusive<u32>,
    added: u32,
    front: u32,
}

impl Shift {
    fn of(row: &[u8; 10]) -> Option<Self> {
        let (numbers, _) = row.as_chunks::<2>();
        let mut numbers = numbers.iter().map(|n| u16::from_le_bytes(*n).into());
        Some(Self {
            level: numbers.next()?,
            weights: numbers.next()?..=numbers.next()?,
            added: numbers.next()?,
            front: numbers.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_languages_are_in_the_data() {
        for id in 0..400 {
            let Some(language) = Language::of(id) else {
                continue;
            };
            let it = language.tailoring().unwrap();
            let has_any = !it.shifts.is_empty() || !it.entries.is_empty();
            assert!(has_any, "{id}");
            assert!(it.entries.is_sorted_by_key(|row| u64::from_le_bytes(*row)));
            assert!(it.joins.is_sorted_by_key(|row| u64::from_le_bytes(*row)));
            for row in it.entries {
                let entry = u64::from_le_bytes(*row) as u32;
                let end = (entry >> 5) + (entry & 31);
                assert!(entry & 31 == USUAL || end as usize <= it.weights.len());
            }
        }
        assert!(Language(COUNT as u8).tailoring().is_none());
    }

    #[test]
    fn characters_belong_together() {
        let hungarian = Language::of(274).unwrap().tailoring().unwrap();
        let elements = |text: &str| {
            let mut count = 0;
            let codes = text.chars().map(|c| Some(c.into()));
            hungarian.elements(codes, |_| {
                count += 1;
                Some(())
            });
            count
        };
        for (text, want) in [("ddzs", 1), ("ddzx", 2), ("dxz", 3), ("csz", 2), ("", 0)] {
            assert_eq!(elements(text), want, "{text}");
        }
    }
}
