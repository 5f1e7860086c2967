//! The parameters of COM_STMT_EXECUTE, taken apart so that some of them can be sent again.

use obring_wire::base::Cursor;
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes in front of the parameters: flags, number of iterations.
const HEAD_LEN: usize = 5;
/// Bytes of one value that was sent as long data; a longer one is not replayed.
const LONG_MAX: usize = 64 << 10;

/// A value that came as long data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Long {
    /// All of it.
    Whole(Vec<u8>),
    /// It was too long to be kept.
    TooLong,
}

/// Parameters by their number.
pub(super) type Longs = BTreeMap<u16, Long>;

/// Adds a piece of long data.
pub(super) fn add_long(longs: &mut Longs, parameter: u16, data: &[u8]) {
    let long = longs
        .entry(parameter)
        .or_insert_with(|| Long::Whole(vec![]));
    if let Long::Whole(bytes) = long {
        if bytes.len() + data.len() > LONG_MAX {
            *long = Long::TooLong;
        } else {
            bytes.extend_from_slice(data);
        }
    }
}

/// The parameters of one execution.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Parameters {
    /// Types, as they were bound.
    pub(super) kinds: Vec<u16>,
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    Null,
    Bytes(Vec<u8>),
    Long(Vec<u8>),
}

impl Parameters {
    /// Reads what stands behind the statement's number. `kinds` are the types of an earlier
    /// execution, for one that binds none. `None`: it makes no sense, or cannot be replayed.
    pub(super) fn read(body: &[u8], count: u16, kinds: &[u16], longs: &Longs) -> Option<Self> {
        let count = usize::from(count);
        if count == 0 {
            return Some(Self::default());
        }
        let mut c = Cursor::new(body);
        c.take(HEAD_LEN).ok()?;
        let nulls = c.take(count.div_ceil(8)).ok()?;
        let kinds = if c.u8().ok()? == 1 {
            let each = (0..count).map(|_| c.u16().ok());
            each.collect::<Option<Vec<u16>>>()?
        } else {
            kinds.to_vec()
        };
        if kinds.len() != count {
            return None;
        }
        let mut values = Vec::with_capacity(count);
        for (n, kind) in kinds.iter().enumerate() {
            let is_null = nulls.get(n / 8).is_some_and(|b| b & (1 << (n % 8)) != 0);
            let long = u16::try_from(n).ok().and_then(|n| longs.get(&n));
            values.push(match long {
                Some(Long::Whole(bytes)) => Value::Long(bytes.clone()),
                Some(Long::TooLong) => return None,
                None if is_null || *kind & 0xFF == 0x06 => Value::Null,
                None => Value::Bytes(body.get(value(&mut c, *kind)?)?.to_vec()),
            });
        }
        Some(Self { kinds, values })
    }

    /// What stands behind the statement's number in an execution with some of the parameters.
    pub(super) fn body(&self, marks: &[usize]) -> Option<Vec<u8>> {
        let mut out = vec![0, 1, 0, 0, 0];
        if marks.is_empty() {
            return Some(out);
        }
        let (mut nulls, mut kinds, mut values) = (vec![0; marks.len().div_ceil(8)], vec![], vec![]);
        for (n, mark) in marks.iter().enumerate() {
            kinds.extend_from_slice(&self.kinds.get(*mark)?.to_le_bytes());
            match self.values.get(*mark)? {
                Value::Null => *nulls.get_mut(n / 8)? |= 1 << (n % 8),
                Value::Bytes(bytes) => values.extend_from_slice(bytes),
                Value::Long(_) => {}
            }
        }
        out.extend_from_slice(&nulls);
        out.push(1);
        out.extend_from_slice(&kinds);
        out.extend_from_slice(&values);
        Some(out)
    }

    /// The long ones among some parameters, by their place in [`Self::body`].
    pub(super) fn longs(&self, marks: &[usize]) -> Vec<(u16, &[u8])> {
        let each = (0_u16..).zip(marks);
        let long = each.filter_map(|(n, mark)| match self.values.get(*mark)? {
            Value::Long(bytes) => Some((n, bytes.as_slice())),
            _ => None,
        });
        long.collect()
    }

    /// What a verdict depends on.
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = self.body(&self.all()).unwrap_or_default();
        for value in &self.values {
            if let Value::Long(bytes) = value {
                key.extend_from_slice(&bytes.len().to_le_bytes());
                key.extend_from_slice(bytes);
            }
        }
        key
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.values.len()).collect()
    }

    /// True where a value may be a time with a fraction.
    pub(super) fn has_fraction(&self, mark: usize) -> bool {
        let kind = self.kinds.get(mark).map_or(0, |k| k & 0xFF);
        match self.values.get(mark) {
            Some(Value::Bytes(bytes)) => match kind {
                // A length and numbers; microseconds are the last four bytes of the longest form.
                0x07 | 0x0A | 0x0C => bytes.len() == 12 && !bytes.ends_with(&[0; 4]),
                0x0B => bytes.len() == 13 && !bytes.ends_with(&[0; 4]),
                0x04 | 0x05 => true,
                0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x0D => false,
                _ => has_point(bytes),
            },
            Some(Value::Long(bytes)) => has_point(bytes),
            _ => false,
        }
    }

    /// An integer that is not negative.
    pub(super) fn integer(&self, mark: usize) -> Option<u64> {
        const UNSIGNED: u16 = 0x8000;
        let kind = *self.kinds.get(mark)?;
        let Value::Bytes(bytes) = self.values.get(mark)? else {
            return None;
        };
        if !matches!(kind & 0xFF, 0x01 | 0x02 | 0x03 | 0x08) {
            return None;
        }
        let is_negative = kind & UNSIGNED == 0 && bytes.last()? & 0x80 != 0;
        let fold = |n: u64, b: &u8| n << 8 | u64::from(*b);
        (!is_negative).then(|| bytes.iter().rev().fold(0, fold))
    }
}

fn has_point(bytes: &[u8]) -> bool {
    let mut pairs = bytes.windows(2);
    pairs.any(|pair| matches!(pair, [b'.', d] if d.is_ascii_digit()))
}

/// The range of a value of this type.
fn value(c: &mut Cursor<'_>, kind: u16) -> Option<Range<usize>> {
    let from = c.position();
    match kind & 0xFF {
        0x01 => c.take(1).ok()?,
        0x02 | 0x0D => c.take(2).ok()?,
        0x03 | 0x04 | 0x09 => c.take(4).ok()?,
        0x05 | 0x08 => c.take(8).ok()?,
        0x07 | 0x0A | 0x0B | 0x0C => {
            let n = c.u8().ok()?;
            c.take(n.into()).ok()?
        }
        0x00 | 0x0F | 0x10 | 0xF5..=0xFF => c.lenenc_bytes().ok()?,
        _ => return None,
    };
    Some(from..c.position())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An int, NULL, a text and a datetime with microseconds.
    fn body() -> Vec<u8> {
        let mut body = vec![1, 1, 0, 0, 0, 0b0010, 1];
        for kind in [0x8003_u16, 0x03, 0xFD, 0x0C] {
            body.extend_from_slice(&kind.to_le_bytes());
        }
        body.extend_from_slice(&7_u32.to_le_bytes());
        body.extend_from_slice(b"\x03a.5");
        body.extend_from_slice(&[11, 0xE8, 7, 1, 2, 3, 4, 5, 6, 0, 0, 0]);
        body
    }

    #[test]
    fn some_parameters_are_sent_again() {
        let p = Parameters::read(&body(), 4, &[], &Longs::new()).unwrap();
        assert_eq!(p.integer(0), Some(7));
        assert_eq!(p.integer(2), None);
        let fractions: Vec<_> = (0..5).map(|n| p.has_fraction(n)).collect();
        assert_eq!(fractions, [false, false, true, true, false]);
        let again = Parameters::read(&p.body(&p.all()).unwrap(), 4, &[], &Longs::new());
        assert_eq!(again.as_ref(), Some(&p));
        assert_eq!(
            p.body(&p.all()).unwrap()[1..],
            body()[1..],
            "a cursor is not asked for"
        );
        let two = p.body(&[1, 2]).unwrap();
        assert_eq!(two, b"\0\x01\0\0\0\x01\x01\x03\0\xFD\0\x03a.5");
        assert_eq!(p.body(&[]).unwrap(), [0, 1, 0, 0, 0]);
        assert_eq!(p.body(&[4]), None);
    }

    #[test]
    fn types_are_those_of_an_earlier_execution() {
        let body = b"\0\x01\0\0\0\0\0\x05";
        assert_eq!(Parameters::read(body, 1, &[], &Longs::new()), None);
        let p = Parameters::read(body, 1, &[0x01], &Longs::new()).unwrap();
        assert_eq!(p.integer(0), Some(5));
        let minus = Parameters::read(b"\0\x01\0\0\0\0\0\xFF", 1, &[0x01], &Longs::new()).unwrap();
        assert_eq!(minus.integer(0), None);
    }

    #[test]
    fn long_data_takes_the_place_of_a_value() {
        let mut longs = Longs::new();
        add_long(&mut longs, 0, b"ab");
        add_long(&mut longs, 0, b"c");
        let body = b"\0\x01\0\0\0\0\x01\xFC\0\x01\0\x05";
        let p = Parameters::read(body, 2, &[], &longs).unwrap();
        assert_eq!(p.longs(&[1, 0]), [(1, &b"abc"[..])]);
        assert_eq!(p.body(&[0]).unwrap(), b"\0\x01\0\0\0\0\x01\xFC\0");
        add_long(&mut longs, 0, &vec![0; LONG_MAX]);
        assert_eq!(Parameters::read(body, 2, &[], &longs), None);
    }

    #[test]
    fn no_body_is_too_short() {
        let whole = body();
        for cut in 0..whole.len() {
            let _ = Parameters::read(&whole[..cut], 4, &[], &Longs::new());
        }
        for kind in 0..=0xFF {
            let body = [0, 1, 0, 0, 0, 0, 1, kind, 0, 200];
            let _ = Parameters::read(&body, 1, &[], &Longs::new());
        }
    }
}
