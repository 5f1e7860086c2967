//! The one calculation of the judge's own, for `--judge fast`: in a statement that is one equality
//! on an integer key of a HASH table, the leaf is the value modulo the number of leaves. It is
//! believed only after the kernel has agreed often, for this shape of text, and checked again and
//! again.

use super::text::{Piece, Text};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// EXPLAINs that must agree before a shape is calculated.
const AGREED_MIN: u32 = 20;
/// One calculation of this many is checked by an EXPLAIN.
const CHECK_EVERY: u32 = 100;
/// Shapes that are known; beyond it all begin anew.
const SHAPES_MAX: usize = 4_096;
/// Words with which a text is more than one equality.
const NOT_PLAIN: &[&str] = &[
    "or",
    "xor",
    "not",
    "union",
    "join",
    "in",
    "like",
    "between",
    "case",
    "is",
    "with",
    "partition",
    "except",
    "intersect",
    "minus",
    "exists",
];

/// The key of a table that is partitioned by HASH of one integer column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct HashKey {
    /// The column, in lower case.
    pub(super) column: String,
    /// The number of leaves.
    pub(super) leaves: u32,
}

/// The value of an equality.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Equal {
    /// In the text.
    Value(u64),
    /// A parameter, by its place.
    Mark(usize),
}

/// A text that is one equality on a key: the text without its literals, and the value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) text: Vec<u8>,
    pub(super) equal: Equal,
}

/// What is known of a shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Seen {
    /// EXPLAINs that agreed.
    agreed: u32,
    /// Calculations since then.
    calculated: u32,
    /// An EXPLAIN has not agreed: never again.
    is_banned: bool,
}

/// The shapes of all links.
#[derive(Debug, Default)]
pub(super) struct Fast(Mutex<HashMap<Vec<u8>, Seen>>);

/// The shape of a statement on a table with this key; `None` where it is another kind of text.
pub(super) fn shape(text: &Text<'_>, key: &HashKey) -> Option<Shape> {
    let (mut found, mut shape, mut froms) = (None, vec![], 0);
    for at in 0..text.tokens.len() {
        match text.piece(at)? {
            Piece::Text | Piece::Number => shape.extend_from_slice(b"? "),
            Piece::Word | Piece::Quoted => {
                let is_verb = text.is_any(at, &["from", "update"]);
                froms += usize::from(is_verb);
                let is_second = at > 0 && text.is_word(at, "select");
                if text.is_any(at, NOT_PLAIN) || is_second || froms > 1 {
                    return None;
                }
                shape.extend_from_slice(text.of(at));
                shape.push(b' ');
                let name = text.name(at)?;
                if name.to_lowercase() == key.column && text.is_sign(at + 1, b'=') {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(value(text, at + 2)?);
                }
            }
            Piece::Sign(b'|' | b'!' | b'<' | b'>') => return None,
            _ => {
                shape.extend_from_slice(text.of(at));
                shape.push(b' ');
            }
        }
    }
    // The assignment of an UPDATE is no condition, and the key is seldom assigned.
    let equal = found.filter(|_| froms == 1)?;
    Some(Shape { text: shape, equal })
}

/// The value behind an equality sign, where nothing is done with it.
fn value(text: &Text<'_>, at: usize) -> Option<Equal> {
    let equal = match text.piece(at)? {
        Piece::Number => {
            let digits = std::str::from_utf8(text.of(at)).ok()?;
            Equal::Value(digits.parse().ok()?)
        }
        Piece::Mark => {
            let is_mark = |i: &usize| text.piece(*i) == Some(Piece::Mark);
            Equal::Mark((0..at).filter(is_mark).count())
        }
        _ => return None,
    };
    let is_end = match text.piece(at + 1) {
        None | Some(Piece::Sign(b')' | b';')) => true,
        _ => text.is_any(at + 1, &["and", "limit", "order", "group", "for", "lock"]),
    };
    is_end.then_some(equal)
}

/// The leaf of a value. Negative values are not calculated.
pub(super) fn leaf(value: u64, key: &HashKey) -> Option<u32> {
    let is_small = value <= i64::MAX.unsigned_abs() && key.leaves > 0;
    is_small.then(|| (value % u64::from(key.leaves)) as u32)
}

impl Fast {
    /// True when a shape may be calculated this time.
    pub(super) fn may(&self, shape: &Shape) -> bool {
        let mut shapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(seen) = shapes.get_mut(&shape.text) else {
            return false;
        };
        if seen.is_banned || seen.agreed < AGREED_MIN {
            return false;
        }
        seen.calculated += 1;
        !seen.calculated.is_multiple_of(CHECK_EVERY)
    }

    /// Notes what an EXPLAIN said of a shape: the same, or something else.
    pub(super) fn note(&self, shape: Shape, agrees: bool) {
        let mut shapes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shapes.len() >= SHAPES_MAX && !shapes.contains_key(&shape.text) {
            shapes.clear();
        }
        let seen = shapes.entry(shape.text).or_default();
        if agrees {
            seen.agreed = seen.agreed.saturating_add(1);
        } else {
            seen.is_banned = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> HashKey {
        HashKey {
            column: "id".into(),
            leaves: 7,
        }
    }

    fn of(sql: &str) -> Option<(String, Equal)> {
        let shape = shape(&Text::read(sql.as_bytes()).unwrap(), &key())?;
        Some((String::from_utf8(shape.text).unwrap(), shape.equal))
    }

    #[test]
    fn one_equality_is_a_shape() {
        let text = "select v from t where `ID` = ? and v = ? ".to_owned();
        let sql = "select v from t where `ID`=15 and v='x'";
        assert_eq!(of(sql), Some((text, Equal::Value(15))));
        let text = "update t set v = ? where id = ? ".to_owned();
        assert_eq!(
            of("update t set v=? where id=?"),
            Some((text, Equal::Mark(1)))
        );
        for sql in [
            "select v from t where id=1 or v=2",
            "select v from t where id=1+1",
            "select v from t where id=1 and id=2",
            "select v from t where id=-1",
            "select v from t where id=1.5",
            "select v from t where id='1'",
            "select v from t where not id=1",
            "select v from t where id=1 and v in (select 1 from u)",
            "select v from t join u where id=1",
            "select v from t where v=1",
            "select v from t where id>=1",
            "select id=1",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_shape_is_believed_after_it_was_right_often_and_never_after_it_was_wrong() {
        let fast = Fast::default();
        let shape = || Shape {
            text: b"x".to_vec(),
            equal: Equal::Value(1),
        };
        for _ in 0..AGREED_MIN {
            assert!(!fast.may(&shape()));
            fast.note(shape(), true);
        }
        let times = (0..1_000).filter(|_| fast.may(&shape())).count();
        assert_eq!(times, 990, "one in 100 is checked");
        fast.note(shape(), false);
        assert!(!(0..10).any(|_| fast.may(&shape())));
        fast.note(shape(), true);
        assert!(!fast.may(&shape()));
    }

    #[test]
    fn leaves_are_remainders() {
        assert_eq!(leaf(15, &key()), Some(1));
        assert_eq!(leaf(u64::MAX, &key()), None);
    }
}
