//! The most frequent question by the shortest way: one table by HASH of an integer column, and
//! `column = digits`. The answer is the one that the general way gives; it costs a tenth.

use super::answer::Request;
use super::column::Kind;
use super::table::{Method, Table};
use crate::sql::{Comparison, Expr, Origin, bare_name};

/// Most digits of a number that cannot overflow.
const DIGITS_MAX: usize = 18;

/// The key of a table by HASH of one integer column on one level.
#[derive(Clone, Debug)]
pub(super) struct HashKey {
    /// A name of letters, digits and `_`: no qualified name looks like it.
    name: Vec<u8>,
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
                max,
                count: table.first_parts.count,
            }),
            _ => None,
        }
    }

    /// True if a name as written is the column's.
    #[inline(always)]
    fn is_called(&self, written: &[u8]) -> bool {
        // A quoted name is longer than the column's, which has no quotes.
        let name = match written.first() {
            _ if written.len() == self.name.len() => written,
            Some(b'`' | b'"') => bare_name(written),
            _ => return false,
        };
        if name.len() != self.name.len() {
            return false;
        }
        for (own, byte) in self.name.iter().zip(name) {
            if own != byte && !own.eq_ignore_ascii_case(byte) {
                return false;
            }
        }
        true
    }
}

/// The only leaf, or none: no row can match. `None` if the question is another one.
#[inline(always)]
pub(super) fn leaf(request: &Request<'_>, key: &HashKey) -> Option<Option<u32>> {
    let scan = request.scan;
    let ([only], [condition]) = (scan.tables.as_slice(), scan.conditions.as_slice()) else {
        return None;
    };
    // A condition restricts no table that an INSERT fills, so that this is none.
    let is_plain = scan.is_whole()
        && only.origin == Origin::Stored
        && !only.is_remote
        && only.partitions.1 == 0
        && condition.plain == 1;
    if !is_plain {
        return None;
    }
    let Expr::Compare(Comparison::Equal, first) = scan.tree.get(condition.root) else {
        return None;
    };
    let (name, second) = scan.tree.get_and_next(first);
    let (Expr::Column(name), Expr::Int(digits)) = (name, scan.tree.get(second)) else {
        return None;
    };
    let digits = digits.of(request.text);
    if digits.len() > DIGITS_MAX || !key.is_called(name.of(request.text)) {
        return None;
    }
    let n = digits
        .iter()
        .fold(0, |n, digit| n * 10 + u64::from(*digit) - u64::from(b'0'));
    // A number that the column cannot hold is in no row. Others are their own absolute value.
    Some((n <= key.max).then(|| (n % u64::from(key.count)) as u32))
}
