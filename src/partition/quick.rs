//! The most frequent question by the shortest way: one table by HASH of an integer column, and
//! `column = digits`. The answer is the one that the general way gives; it costs a tenth.

use super::column::Kind;
use super::table::{Method, Table};
use crate::base::ends;
use crate::sql::{Scan, Span, bare_name};

/// Most digits of a number that cannot overflow.
const DIGITS_MAX: usize = 18;

/// The key of a table by HASH of one integer column on one level.
#[derive(Clone, Debug)]
pub(super) struct HashKey {
    /// A name of letters, digits and `_`: no qualified name looks like it.
    name: Vec<u8>,
    /// The name as numbers, if it is short.
    ends: Option<(u64, u64)>,
    max: u64,
    count: u32,
}

impl HashKey {
    /// The key; `None` if the table has another one.
    pub(super) fn of(table: &Table) -> Option<Self> {
        let level = &table.first;
        let [only] = *level.columns.as_slice() else {
            return None;
        };
        let column = table.columns.get(only)?;
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let is_it = level.method == Method::Hash
            && level.formula.is_none()
            && table.second.is_none()
            && column.name.iter().all(is_plain);
        match column.kind {
            Kind::Int { max, .. } if is_it => Some(Self {
                name: column.name.clone(),
                ends: ends(&column.name),
                max,
                count: table.first_parts.count,
            }),
            _ => None,
        }
    }

    /// True if a name as written is the column's.
    #[inline(always)]
    fn is_called(&self, written: &[u8]) -> bool {
        let is_same = written.len() == self.name.len()
            && self.ends.is_some_and(|own| ends(written) == Some(own));
        is_same || self.is_called_so(written)
    }

    /// The same for names in quotes, in another case, or long ones.
    #[inline(never)]
    fn is_called_so(&self, written: &[u8]) -> bool {
        bare_name(written).eq_ignore_ascii_case(&self.name)
    }
}

/// The only leaf, or none: no row can match. `None` if the question is another one.
#[inline(always)]
pub(super) fn leaf(text: &[u8], scan: &Scan, key: &HashKey) -> Option<Option<u32>> {
    let point = match scan.point {
        Some(point) if scan.is_whole() => point,
        _ => scan.only_equality()?,
    };
    if !key.is_called(point.column.of(text)) {
        return None;
    }
    let n = number(text, point.digits)?;
    // A number that the column cannot hold is in no row. Others are their own absolute value.
    Some((n <= key.max).then(|| (n % u64::from(key.count)) as u32))
}

/// The number that digits stand for; `None` if there are too many.
#[inline(always)]
fn number(text: &[u8], digits: Span) -> Option<u64> {
    let end = digits.end as usize;
    let before = text.get(..end).and_then(<[u8]>::last_chunk);
    match (before, digits.len()) {
        (Some(eight), len @ 1..=8) => {
            // Digits are moved up over what stands in front of them, zeros come in from below.
            let eight = u64::from_le_bytes(*eight) >> (64 - 8 * len) << (64 - 8 * len);
            Some(of_eight(eight & 0x0F0F_0F0F_0F0F_0F0F))
        }
        _ => of_many(digits.of(text)),
    }
}

/// The number of eight digits, the first in the lowest byte: pairs, then fours, then all.
const fn of_eight(digits: u64) -> u64 {
    let twos = (digits.wrapping_mul(10 * 256 + 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (twos.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32
}

#[inline(never)]
fn of_many(digits: &[u8]) -> Option<u64> {
    let add = |n: u64, digit: &u8| n * 10 + u64::from(*digit - b'0');
    (digits.len() <= DIGITS_MAX).then(|| digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_all_lengths_are_numbers() {
        let all = "9876543210123456789";
        for front in ["", "k=", "where k = "] {
            for len in 1..=all.len() {
                for first in 0..=all.len() - len {
                    let digits = &all[first..first + len];
                    let text = format!("{front}{digits} ");
                    let span = Span {
                        start: front.len() as u32,
                        end: (front.len() + len) as u32,
                    };
                    let expected = digits.parse().ok().filter(|_| len <= DIGITS_MAX);
                    assert_eq!(number(text.as_bytes(), span), expected, "{text}");
                }
            }
        }
    }
}
