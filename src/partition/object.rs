//! Serialized values of the metadata: bounds of partitions, and defaults (routing.md 3.7).

use super::column::Product;
use super::value::Key;
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};
use std::borrow::Cow;

/// A bound of a partition, in one column.
#[derive(Clone, PartialEq, Debug)]
pub enum Bound {
    /// A value.
    Value(Key<'static>),
    /// MAXVALUE; in a list DEFAULT.
    Max,
}

/// One serialized value.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Object {
    Bound(Bound),
    /// A default of CURRENT_TIMESTAMP.
    Now,
}

/// Reads serialized values. Everything is `None` that is not as expected.
pub(super) struct Objects<'a> {
    rest: &'a [u8],
    product: Product,
}

/// Longest string or number that is read.
const LEN_MAX: u64 = 1 << 20;

impl<'a> Objects<'a> {
    pub(super) const fn new(bytes: &'a [u8], product: Product) -> Self {
        Self {
            rest: bytes,
            product,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn bytes(&mut self, len: u64) -> Option<&'a [u8]> {
        let len = usize::try_from(len).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }

    fn length(&mut self) -> Option<u64> {
        self.varint().filter(|n| *n <= LEN_MAX)
    }

    /// A row of a bound: its number of values, then these.
    pub(super) fn row(&mut self) -> Option<Vec<Bound>> {
        let count = self.length().filter(|n| *n <= 64)?;
        (0..count)
            .map(|_| match self.object()? {
                Object::Bound(bound) => Some(bound),
                Object::Now => None,
            })
            .collect()
    }

    /// A row of a list: a row, then the size of something that is always empty.
    pub(super) fn list_row(&mut self) -> Option<Vec<Bound>> {
        let row = self.row()?;
        (self.varint()? == 0).then_some(row)
    }

    /// One value.
    pub(super) fn object(&mut self) -> Option<Object> {
        let kind = self.byte()?;
        let _level = self.byte()?;
        let _collation = self.byte()?;
        let _scale = self.byte()?;
        let signed_32 = |n: u64| Some(i128::from(u32::try_from(n).ok()?.cast_signed()));
        let signed_64 = |n: u64| Some(i128::from(n.cast_signed()));
        let is_new = |seekdb: u8, oceanbase: u8| match self.product {
            Product::SeekDb => kind == seekdb,
            Product::OceanBase => kind == oceanbase,
        };
        let (is_decimal, is_date, is_datetime) = (is_new(39, 50), is_new(41, 52), is_new(42, 53));
        let key = match kind {
            0 => Key::Null,
            1 => Key::Int(self.byte()?.cast_signed().into()),
            6 | 21 => Key::Int(self.byte()?.into()),
            2..=4 | 19 => Key::Int(signed_32(self.varint()?)?),
            7..=9 => Key::Int(self.varint()?.into()),
            5 | 17 | 18 | 20 => Key::Int(signed_64(self.varint()?)?),
            10 | 31..=33 => Key::Int(self.varint()?.into()),
            11 | 13 => {
                let bits = u32::try_from(self.varint()?).ok()?;
                Key::Real(f32::from_bits(bits).into())
            }
            12 | 14 => Key::Real(f64::from_bits(self.varint()?)),
            15 | 16 => Key::Decimal(self.number()?),
            22..=24 => {
                let len = self.length()?;
                let bytes = self.bytes(len)?.to_vec();
                (self.byte()? == 0).then_some(())?;
                Key::Bytes(Cow::Owned(bytes))
            }
            25 => {
                return match self.varint()?.cast_signed() {
                    -2 => Some(Object::Bound(Bound::Max)),
                    0x14 => Some(Object::Now),
                    _ => None,
                };
            }
            _ if is_date => Key::Int(signed_32(self.varint()?)?),
            _ if is_datetime => Key::Int(signed_64(self.varint()?)?),
            _ if is_decimal => {
                let (len, scale) = (self.length()?, self.varint()?);
                let integer = BigInt::from_signed_bytes_le(self.bytes(len)?);
                let scale = i64::try_from(scale).ok().filter(|s| *s <= 100)?;
                Key::Decimal(BigDecimal::new(integer, scale))
            }
            _ => return None,
        };
        Some(Object::Bound(Bound::Value(key)))
    }

    /// The older form of DECIMAL.
    fn number(&mut self) -> Option<BigDecimal> {
        let [sign_exponent, _, _, count] = *self.bytes(4)?.first_chunk()?;
        let mut digits = BigInt::from(0);
        for _ in 0..count {
            let digit = u32::from_le_bytes(*self.bytes(4)?.first_chunk()?);
            digits = digits * 1_000_000_000_u32 + digit;
        }
        if count == 0 {
            return Some(BigDecimal::from(0));
        }
        let is_negative = sign_exponent & 0x80 == 0;
        let biased = match is_negative {
            false => i64::from(sign_exponent & 0x7f),
            true => 128 - i64::from(sign_exponent),
        };
        let scale = (i64::from(count) - 1 - (biased - 64)) * 9;
        if is_negative {
            digits = BigInt::from_biguint(Sign::Minus, digits.into_parts().1);
        }
        Some(BigDecimal::new(digits, scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text
            .bytes()
            .map(|b| char::from(b).to_digit(16).unwrap())
            .collect();
        digits
            .chunks(2)
            .map(|p| ((p[0] << 4) | p[1]) as u8)
            .collect()
    }

    fn row(text: &str) -> Option<Vec<Bound>> {
        Objects::new(&hex(text), Product::SeekDb).row()
    }

    #[test]
    fn the_examples_of_the_specification_are_read() {
        let int = |n: i128| Bound::Value(Key::Int(n));
        assert_eq!(row("0115053FFF3C"), Some(vec![int(60)]));
        assert_eq!(
            row("0119070000FEFFFFFFFFFFFFFFFF01"),
            Some(vec![Bound::Max])
        );
        let packed = super::super::temporal::Moment::from_text(b"2020-01-01").unwrap();
        let two = vec![int(10), int(packed.packed_datetime().into())];
        assert_eq!(row("0205053F000A2A053FFF8080808080C0D0D219"), Some(two));
        let object = |text: &str| Objects::new(&hex(text), Product::SeekDb).object();
        assert_eq!(object("04053F00EFFFFFFF0F"), Some(Object::Bound(int(-17))));
        let text = Key::Bytes(Cow::Borrowed(b"dflt"));
        assert_eq!(
            object("16022DFF0464666C7400"),
            Some(Object::Bound(Bound::Value(text)))
        );
        assert_eq!(object("1905000014"), Some(Object::Now));
    }

    #[test]
    fn broken_ones_are_refused() {
        let whole = hex("0205053F000A2A053FFF8080808080C0D0D219");
        for len in 0..whole.len() {
            assert_eq!(
                Objects::new(&whole[..len], Product::SeekDb).row(),
                None,
                "{len}"
            );
        }
        assert_eq!(row("0199053FFF3C"), None);
        assert_eq!(row("FFFFFFFFFFFFFFFFFFFF01"), None);
    }

    #[test]
    fn numbers_are_read() {
        let mut bytes = vec![15, 5, 63, 0, 0xc1, 0, 0, 2];
        bytes.extend_from_slice(&5_u32.to_le_bytes());
        bytes.extend_from_slice(&7_u32.to_le_bytes());
        let want = Key::Decimal(BigDecimal::from_str("5000000007").unwrap());
        let got = Objects::new(&bytes, Product::SeekDb).object();
        assert_eq!(got, Some(Object::Bound(Bound::Value(want))));
    }
}
