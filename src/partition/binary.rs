//! Parameters of COM_STMT_EXECUTE as constants (routing.md 2.6).

use super::charset::TextCharset;
use super::temporal::{Moment, SECOND_US};
use super::value::{Value, decimal_from_text};
use std::borrow::Cow;

/// Reads a length-encoded integer.
fn length(bytes: &mut &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    let width = match first {
        0..=0xfa => return Some((*first).into()),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    *bytes = rest;
    let mut all = [0; 8];
    all.get_mut(..width)?.copy_from_slice(number);
    usize::try_from(u64::from_le_bytes(all)).ok()
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(head)
}

impl<'a> Value<'a> {
    /// Reads the value of one parameter, not NULL, and moves `bytes` behind it. `kind` is the
    /// type of the protocol with bit 0x8000 for unsigned; `charset` is that of the connection.
    ///
    /// The outer `None`: a type that is not known, or too few bytes, so that the parameters behind
    /// it are not known either. The inner one: a value that no constant stands for.
    #[must_use]
    pub fn from_binary(
        kind: u16,
        charset: Option<TextCharset>,
        bytes: &mut &'a [u8],
    ) -> Option<Option<Self>> {
        let is_unsigned = kind & 0x8000 != 0;
        let int = |signed: i64, unsigned: u64| match is_unsigned {
            true => Some(Value::Int(unsigned.into())),
            false => Some(Value::Int(signed.into())),
        };
        let real = |n: f64| n.is_finite().then_some(Value::Real(n));
        Some(match (kind & 0xff) as u8 {
            // TINY
            0x01 => {
                let [b] = *take(bytes)?;
                int(b.cast_signed().into(), b.into())
            }
            // SHORT, YEAR
            0x02 | 0x0d => {
                let b = u16::from_le_bytes(*take(bytes)?);
                int(b.cast_signed().into(), b.into())
            }
            // LONG, INT24
            0x03 | 0x09 => {
                let b = u32::from_le_bytes(*take(bytes)?);
                int(b.cast_signed().into(), b.into())
            }
            // LONGLONG
            0x08 => {
                let b = u64::from_le_bytes(*take(bytes)?);
                int(b.cast_signed(), b)
            }
            // FLOAT, DOUBLE
            0x04 => real(f32::from_le_bytes(*take(bytes)?).into()),
            0x05 => real(f64::from_le_bytes(*take(bytes)?)),
            0x06 => Some(Value::Null),
            // DATE, DATETIME, TIMESTAMP
            0x07 | 0x0a | 0x0c => {
                let len = length(bytes)?;
                let (body, rest) = bytes.split_at_checked(len)?;
                *bytes = rest;
                moment(body).map(|m| match kind & 0xff {
                    0x0a => Value::Date(m.without_time()),
                    _ => Value::DateTime(m),
                })
            }
            // TIME
            0x0b => {
                let len = length(bytes)?;
                let (body, rest) = bytes.split_at_checked(len)?;
                *bytes = rest;
                time(body).map(Value::Time)
            }
            // VARCHAR, BIT, ENUM, SET, blobs, VAR_STRING, STRING, GEOMETRY; NEWDECIMAL
            it @ (0x0f | 0x10 | 0xf6..=0xff) => {
                let len = length(bytes)?;
                let (body, rest) = bytes.split_at_checked(len)?;
                *bytes = rest;
                match it {
                    0xf6 => std::str::from_utf8(body)
                        .ok()
                        .and_then(decimal_from_text)
                        // The server drops zeros at the end: '1.50' is stored as text '1.5'
                        // (observed on seekdb 1.3.0).
                        .map(|n| Value::Decimal(n.normalized())),
                    // Blobs too: text of the connection, observed on seekdb 1.3.0.
                    _ => charset.map(|c| Value::Text(Cow::Borrowed(body), c)),
                }
            }
            _ => return None,
        })
    }
}

/// Year, month, day; hour, minute, second; microseconds: each group may be left out.
fn moment(body: &[u8]) -> Option<Moment> {
    let mut rest = body;
    let mut m = Moment::default();
    if rest.is_empty() {
        return Some(m);
    }
    let [y0, y1, month, day] = *take(&mut rest)?;
    m.year = u16::from_le_bytes([y0, y1]).into();
    m.month = month.into();
    m.day = day.into();
    m.time_us = time_of_day(rest)?;
    Some(m)
}

fn time_of_day(mut rest: &[u8]) -> Option<i64> {
    if rest.is_empty() {
        return Some(0);
    }
    let [hour, minute, second] = (*take(&mut rest)?).map(i64::from);
    let us = match rest {
        [] => 0,
        _ => u32::from_le_bytes(*take(&mut rest)?),
    };
    Some(((hour * 60 + minute) * 60 + second) * SECOND_US + i64::from(us))
}

/// Sign, days, time of day.
fn time(body: &[u8]) -> Option<i64> {
    let mut rest = body;
    if rest.is_empty() {
        return Some(0);
    }
    let [is_negative] = *take(&mut rest)?;
    let days = i64::from(u32::from_le_bytes(*take(&mut rest)?));
    let us = days.checked_mul(super::temporal::DAY_US)?;
    let us = us.checked_add(time_of_day(rest)?);
    let us = us.filter(|us| *us <= super::temporal::TIME_MAX_US)?;
    Some(if is_negative == 0 { us } else { -us })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use std::str::FromStr;

    #[test]
    fn parameters_are_read() {
        let text = |b: &'static [u8], c| Value::Text(Cow::Borrowed(b), c);
        let at = Moment::from_text(b"2024-01-02 03:04:05.000006").unwrap();
        let decimal = BigDecimal::from_str("1.5").unwrap();
        for (kind, bytes, want) in [
            (0x01, &b"\xff"[..], Value::Int(-1)),
            (0x8001, b"\xff", Value::Int(255)),
            (0x02, b"\x01\x02", Value::Int(0x201)),
            (0x03, b"\xff\xff\xff\xff", Value::Int(-1)),
            (
                0x8008,
                b"\xff\xff\xff\xff\xff\xff\xff\xff",
                Value::Int(u64::MAX.into()),
            ),
            (0x04, b"\0\0\xc0\x3f", Value::Real(1.5)),
            (0x05, b"\0\0\0\0\0\0\xf8\x3f", Value::Real(1.5)),
            (0x06, b"", Value::Null),
            (
                0x0a,
                b"\x04\xe8\x07\x01\x02",
                Value::Date(at.without_time()),
            ),
            (
                0x0c,
                b"\x0b\xe8\x07\x01\x02\x03\x04\x05\x06\0\0\0",
                Value::DateTime(at),
            ),
            (
                0x0b,
                b"\x08\x01\x01\0\0\0\x01\0\0",
                Value::Time(-25 * 3600 * SECOND_US),
            ),
            (0x0b, b"\0", Value::Time(0)),
            (0xfd, b"\x02ab", text(b"ab", TextCharset::Utf8mb4)),
            (0xfc, b"\x02ab", text(b"ab", TextCharset::Utf8mb4)),
            (0xfc, b"\x02a\xff", text(b"a\xff", TextCharset::Utf8mb4)),
            (0xf6, b"\x041.50", Value::Decimal(decimal)),
        ] {
            let mut rest = bytes;
            let got = Value::from_binary(kind, Some(TextCharset::Utf8mb4), &mut rest);
            assert_eq!(got, Some(Some(want)), "{kind:x}");
            assert!(rest.is_empty(), "{kind:x}");
            for len in 0..bytes.len() {
                let mut part = &bytes[..len];
                assert_eq!(
                    Value::from_binary(kind, None, &mut part),
                    None,
                    "{kind:x} {len}"
                );
            }
        }
        assert_eq!(Value::from_binary(0x99, None, &mut &b"\0"[..]), None);
    }
}
