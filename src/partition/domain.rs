//! What conditions leave of a column's values.

use super::column::Column;
use super::value::Key;
use std::cmp::Ordering;

/// One end of a range.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct End<'a> {
    pub(super) key: Key<'a>,
    /// The end itself belongs to the range.
    pub(super) is_closed: bool,
}

/// Values that a column may have.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) enum Domain<'a> {
    /// Any, NULL too.
    #[default]
    All,
    /// One of these; with none of them, no row fits.
    Values(Vec<Key<'a>>),
    /// Between two ends, without NULL.
    Range(Option<End<'a>>, Option<End<'a>>),
}

/// Most values of two lists that are compared one by one.
const PAIRS_MAX: usize = 1 << 16;

impl<'a> Domain<'a> {
    pub(super) const NOTHING: Self = Self::Values(Vec::new());

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Values(values) if values.is_empty())
    }

    /// How many values it lists; 1 if it lists none.
    pub(super) fn width(&self) -> u64 {
        match self {
            Self::Values(values) => values.len().max(1) as u64,
            _ => 1,
        }
    }

    /// Keeps what is also in `other`. What cannot be compared stays.
    pub(super) fn intersect(&mut self, other: Self, column: &Column) {
        *self = match (std::mem::take(self), other) {
            (Self::All, it) | (it, Self::All) => it,
            (Self::Values(mut a), Self::Values(b)) => {
                if a.len().saturating_mul(b.len()) <= PAIRS_MAX {
                    let may_be_same =
                        |x: &Key<'_>, y: &Key<'_>| column.compare(x, y).is_none_or(Ordering::is_eq);
                    a.retain(|x| b.iter().any(|y| may_be_same(x, y)));
                    Self::Values(a)
                } else if a.len() <= b.len() {
                    Self::Values(a)
                } else {
                    Self::Values(b)
                }
            }
            (Self::Values(mut values), range) | (range, Self::Values(mut values)) => {
                values.retain(|v| range.may_contain(v, column));
                Self::Values(values)
            }
            (Self::Range(low_a, high_a), Self::Range(low_b, high_b)) => {
                let low = tighter(low_a, low_b, column, Ordering::Greater);
                let high = tighter(high_a, high_b, column, Ordering::Less);
                match (&low, &high) {
                    (Some(l), Some(h)) if are_apart(l, h, column) => Self::NOTHING,
                    _ => Self::Range(low, high),
                }
            }
        };
    }

    /// False if the value is known not to be in it.
    pub(super) fn may_contain(&self, key: &Key<'_>, column: &Column) -> bool {
        match self {
            Self::All => true,
            Self::Values(values) => values
                .iter()
                .any(|v| column.compare(v, key).is_none_or(Ordering::is_eq)),
            Self::Range(low, high) => {
                let fits = |end: &Option<End<'_>>, wrong: Ordering| {
                    end.as_ref()
                        .is_none_or(|end| match column.compare(key, &end.key) {
                            Some(Ordering::Equal) => end.is_closed,
                            Some(order) => order != wrong,
                            None => true,
                        })
                };
                *key != Key::Null && fits(low, Ordering::Less) && fits(high, Ordering::Greater)
            }
        }
    }

    /// The integers of a closed range, if there are not more than `most`.
    pub(super) fn integers(&self, most: u32) -> Option<impl Iterator<Item = i128> + use<>> {
        let Self::Range(Some(low), Some(high)) = self else {
            return None;
        };
        let (Key::Int(from), Key::Int(to)) = (&low.key, &high.key) else {
            return None;
        };
        let from = from + i128::from(!low.is_closed);
        let to = to - i128::from(!high.is_closed);
        (to.checked_sub(from)? < i128::from(most)).then_some(from..=to)
    }
}

/// The end that leaves less. Of two that cannot be compared, the first.
fn tighter<'a>(
    a: Option<End<'a>>,
    b: Option<End<'a>>,
    column: &Column,
    inner: Ordering,
) -> Option<End<'a>> {
    match (a, b) {
        (None, it) | (it, None) => it,
        (Some(a), Some(b)) => Some(match column.compare(&b.key, &a.key) {
            Some(Ordering::Equal) if a.is_closed => b,
            Some(order) if order == inner => b,
            _ => a,
        }),
    }
}

/// True if nothing is between a lower and an upper end.
fn are_apart(low: &End<'_>, high: &End<'_>, column: &Column) -> bool {
    match column.compare(&low.key, &high.key) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => !(low.is_closed && high.is_closed),
        _ => false,
    }
}
