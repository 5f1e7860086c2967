//! Constants of statements, and values as columns store them.

use super::charset::TextCharset;
use super::temporal::{Moment, SECOND_US};
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
use std::borrow::Cow;
use std::str::FromStr;

/// A constant: what a literal, a parameter or an expression is.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// NULL
    Null,
    /// An integer between -2^63 and 2^64 - 1; TRUE and FALSE are 1 and 0.
    Int(i128),
    /// A decimal with its scale as written.
    Decimal(BigDecimal),
    /// A division that does not come out even: the digits that are kept of it, and how many are
    /// shown behind the point.
    Quotient(BigDecimal, i64),
    /// A floating-point number, not NaN.
    Real(f64),
    /// A string and its character set.
    Text(Cow<'a, [u8]>, TextCharset),
    /// A hexadecimal or bit literal: bytes, or a big-endian number.
    Hex(Cow<'a, [u8]>),
    /// A date.
    Date(Moment),
    /// A date with time of day, of the session's wall clock.
    DateTime(Moment),
    /// A time, in microseconds.
    Time(i64),
}

/// Most characters of a number that is read; DECIMAL has 65 digits at most.
const NUMBER_LEN_MAX: usize = 120;
/// Largest exponent that is expanded into digits.
const EXPONENT_MAX: u32 = 80;

impl Value<'_> {
    /// A string in ASCII or the usual character set.
    pub(super) fn text(text: String) -> Self {
        Self::Text(Cow::Owned(text.into_bytes()), TextCharset::Utf8mb4)
    }

    /// Without borrowed parts.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Text(bytes, charset) => Value::Text(Cow::Owned(bytes.into_owned()), charset),
            Self::Hex(bytes) => Value::Hex(Cow::Owned(bytes.into_owned())),
            Self::Null => Value::Null,
            Self::Int(n) => Value::Int(n),
            Self::Decimal(n) => Value::Decimal(n),
            Self::Quotient(n, shown) => Value::Quotient(n, shown),
            Self::Real(n) => Value::Real(n),
            Self::Date(m) => Value::Date(m),
            Self::DateTime(m) => Value::DateTime(m),
            Self::Time(us) => Value::Time(us),
        }
    }

    /// As a number, exactly: [`Self::Int`], [`Self::Decimal`] or [`Self::Real`].
    pub(super) fn number(&self) -> Option<Value<'static>> {
        match self {
            Self::Int(n) => Some(Value::Int(*n)),
            Self::Decimal(n) | Self::Quotient(n, _) => Some(Value::Decimal(n.clone())),
            Self::Real(n) => Some(Value::Real(*n)),
            Self::Text(bytes, TextCharset::Utf16) if !bytes.is_empty() => None,
            Self::Text(bytes, _) => number_from_text(bytes),
            Self::Hex(bytes) => big_endian(bytes).map(Value::Int),
            _ => None,
        }
    }

    /// As a decimal, exactly; a floating-point number by its shortest text.
    pub(super) fn decimal(&self) -> Option<BigDecimal> {
        match self.number()? {
            Value::Int(n) => Some(BigDecimal::from(n)),
            Value::Decimal(n) => Some(n),
            Value::Real(n) => decimal_from_text(&n.to_string()),
            _ => None,
        }
    }

    /// As a floating-point number.
    pub(super) fn real(&self) -> Option<f64> {
        let real = match self {
            Self::Text(bytes, charset) if *charset != TextCharset::Utf16 => {
                number_from_text(bytes)?;
                std::str::from_utf8(bytes).ok()?.trim().parse().ok()?
            }
            _ => match self.number()? {
                Value::Int(n) => n as f64,
                Value::Decimal(n) => n.to_string().parse().ok()?,
                Value::Real(n) => n,
                _ => return None,
            },
        };
        real.is_finite().then_some(real)
    }

    /// As text of ASCII, of a number or a time; `None` for strings and NULL, and for a time of
    /// which it is not known how many zeros stand at its end.
    pub(super) fn written(&self) -> Option<String> {
        Some(match self {
            Self::Int(n) => n.to_string(),
            Self::Decimal(n) => n.to_plain_string(),
            Self::Quotient(n, shown) => n
                .with_scale_round(*shown, RoundingMode::HalfUp)
                .to_plain_string(),
            // Beyond these a number is written with an exponent, in a form of its own.
            Self::Real(n) if *n == 0.0 || (1e-5..1e15).contains(&n.abs()) => n.to_string(),
            Self::DateTime(m) if m.time_us % 10 == 0 && m.time_us % SECOND_US != 0 => return None,
            Self::Time(us) if us % 10 == 0 && us % SECOND_US != 0 => return None,
            value => return value.written_long(),
        })
    }

    /// A time as text, with six digits behind the point or none.
    pub(super) fn written_long(&self) -> Option<String> {
        Some(match self {
            Self::Date(m) => date_text(m),
            Self::DateTime(m) => format!("{} {}", date_text(m), time_text(m.time_us)),
            Self::Time(us) => time_text(*us),
            _ => return None,
        })
    }
}

fn date_text(m: &Moment) -> String {
    format!("{:04}-{:02}-{:02}", m.year, m.month, m.day)
}

fn time_text(us: i64) -> String {
    let (sign, us) = (if us < 0 { "-" } else { "" }, us.abs());
    let (seconds, fraction) = (us / SECOND_US, us % SECOND_US);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match fraction {
        0 => format!("{sign}{h:02}:{m:02}:{s:02}"),
        _ => format!("{sign}{h:02}:{m:02}:{s:02}.{fraction:06}"),
    }
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let bytes = match bytes.iter().position(|b| *b != 0) {
        Some(at) => bytes.get(at..)?,
        None => b"",
    };
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |all, b| (all << 8) | i128::from(*b)))
}

/// A number that is all of the text, blanks around it left out.
pub(super) fn number_from_text(bytes: &[u8]) -> Option<Value<'static>> {
    let text = std::str::from_utf8(bytes)
        .ok()?
        .trim_matches([' ', '\t', '\n', '\r']);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || text.len() > NUMBER_LEN_MAX {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let is_short = digits.len() <= 20;
        let int = || text.trim_start_matches('+').parse::<i128>().ok();
        let fits = |n: &i128| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(n);
        if let Some(n) = is_short.then(int).flatten().filter(fits) {
            return Some(Value::Int(n));
        }
    }
    decimal_from_text(text).map(Value::Decimal)
}

/// A decimal with its scale as written.
pub(super) fn decimal_from_text(text: &str) -> Option<BigDecimal> {
    let is_number = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if !is_number || text.len() > NUMBER_LEN_MAX || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    if let Some((_, exponent)) = text.split_once(['e', 'E']) {
        let exponent: i32 = exponent.parse().ok()?;
        if exponent.unsigned_abs() > EXPONENT_MAX {
            return None;
        }
    }
    BigDecimal::from_str(text.strip_prefix('+').unwrap_or(text)).ok()
}

/// Rounds half away from zero to an integer.
pub(super) fn rounded(n: &BigDecimal) -> Option<i128> {
    n.with_scale_round(0, RoundingMode::HalfUp).to_i128()
}

/// A value as a column stores it: comparable with other values of the column.
#[derive(Clone, PartialEq, Debug)]
pub enum Key<'a> {
    /// NULL
    Null,
    /// Integers, bits, years since 1900, indexes of enums, and dates and times as they are hashed.
    Int(i128),
    /// FLOAT and DOUBLE.
    Real(f64),
    /// DECIMAL, at the column's scale.
    Decimal(BigDecimal),
    /// Strings, in the column's character set.
    Bytes(Cow<'a, [u8]>),
}

impl Key<'_> {
    pub(super) fn into_owned(self) -> Key<'static> {
        match self {
            Self::Null => Key::Null,
            Self::Int(n) => Key::Int(n),
            Self::Real(n) => Key::Real(n),
            Self::Decimal(n) => Key::Decimal(n),
            Self::Bytes(b) => Key::Bytes(Cow::Owned(b.into_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_text() {
        assert_eq!(decimal_from_text("1e-2147483648"), None);
        let decimal = |t: &str| Some(Value::Decimal(BigDecimal::from_str(t).unwrap()));
        for (text, want) in [
            ("5", Some(Value::Int(5))),
            (" +5 ", Some(Value::Int(5))),
            ("-00005", Some(Value::Int(-5))),
            ("18446744073709551615", Some(Value::Int(u64::MAX.into()))),
            ("18446744073709551616", decimal("18446744073709551616")),
            ("1.50", decimal("1.50")),
            ("11e1", decimal("11e1")),
            ("1e999999999", None),
            ("5x", None),
            ("", None),
            ("-", None),
            ("0x5", None),
        ] {
            assert_eq!(number_from_text(text.as_bytes()), want, "{text}");
        }
        let text = |b: &'static [u8]| Value::Text(Cow::Borrowed(b), TextCharset::Utf8mb4);
        assert_eq!(text(b"1.5").real(), Some(1.5));
        assert_eq!(
            Value::Hex(Cow::Borrowed(b"\x01\x00")).number(),
            Some(Value::Int(256))
        );
        assert_eq!(Value::Hex(Cow::Borrowed(&[1; 9])).number(), None);
        for (n, want) in [("12.5", 13), ("-12.5", -13), ("12.49", 12)] {
            assert_eq!(rounded(&BigDecimal::from_str(n).unwrap()), Some(want));
        }
    }

    #[test]
    fn numbers_and_times_are_written() {
        let moment = Moment::from_text(b"2024-01-02 03:04:05.000005").unwrap();
        let half = Moment::from_text(b"2024-01-02 03:04:05.5").unwrap();
        for (value, want) in [
            (Value::Int(-5), Some("-5")),
            (
                Value::Decimal(BigDecimal::from_str("0.10").unwrap()),
                Some("0.10"),
            ),
            (Value::Real(1000.0), Some("1000")),
            (Value::Real(1e300), None),
            (Value::Date(moment), Some("2024-01-02")),
            (Value::DateTime(moment), Some("2024-01-02 03:04:05.000005")),
            (Value::DateTime(half), None),
            (Value::Time(-SECOND_US), Some("-00:00:01")),
            (Value::Null, None),
        ] {
            assert_eq!(value.written().as_deref(), want, "{value:?}");
        }
    }
}
