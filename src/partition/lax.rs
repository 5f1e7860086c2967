//! What is stored of values that do not fit, in modes that are not strict (routing.md 5.1).

use super::charset::{TextCharset, convert, convert_with_gaps};
use super::column::{Column, Kind};
use super::convert::year;
use super::session::Context;
use super::temporal::{Moment, TIME_MAX_US};
use super::value::{Key, Value};
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};
use std::borrow::Cow;

impl Column {
    /// What is stored of NULL: of a column that cannot be NULL, where the mode is not strict, the
    /// value that its type begins with. `None` also where it is not known whether it can be: an
    /// ENUM left out is its first member then, even in strict modes.
    pub(super) fn store_null(&self, is_strict: bool) -> Option<Key<'static>> {
        if self.is_nullable? {
            return Some(Key::Null);
        }
        if is_strict {
            return None;
        }
        Some(match self.kind {
            Kind::Int { .. } | Kind::Bit | Kind::Set | Kind::Time | Kind::Year => Key::Int(0),
            Kind::Float | Kind::Double => Key::Real(0.0),
            Kind::Number | Kind::DecimalInt => Key::Decimal(self.at_scale(&BigDecimal::from(0))),
            Kind::Varchar => Key::Bytes(Cow::Borrowed(b"")),
            Kind::Char if self.collation?.charset() != TextCharset::Binary => {
                Key::Bytes(Cow::Borrowed(b""))
            }
            Kind::Date | Kind::DateTime | Kind::MysqlDate | Kind::MysqlDateTime => {
                return self.zero_date();
            }
            _ => return None,
        })
    }

    /// What is stored of a value that [`Self::store_whole`] does not take. `None`: not known.
    pub(super) fn store_part<'v>(&self, value: &Value<'v>) -> Option<Key<'v>> {
        match (self.kind, value) {
            (Kind::Char | Kind::Varchar, _) => self.cut(value),
            (
                Kind::Int { .. } | Kind::Number | Kind::DecimalInt | Kind::Double | Kind::Float,
                Value::Text(b, _),
            ) => {
                let number = number_prefix(b);
                let number = Value::Text(Cow::Owned(number.to_vec()), TextCharset::Ascii);
                let context = Context {
                    is_strict: false,
                    ..Context::default()
                };
                let whole = self.store_whole(&number, &context).map(Key::into_owned);
                whole.or_else(|| self.clamped(&number))
            }
            (Kind::Number | Kind::DecimalInt | Kind::Double | Kind::Float, value) => {
                self.clamped(value)
            }
            (Kind::Bit, Value::Int(0..) | Value::Text(..)) => {
                let bits = u32::try_from(self.precision).ok()?.min(64);
                Some(Key::Int((1 << bits) - 1))
            }
            (Kind::Enum, Value::Int(_) | Value::Text(..)) if !self.members.is_empty() => {
                Some(Key::Int(0))
            }
            (Kind::Set, Value::Int(n)) if !self.members.is_empty() => {
                Some(Key::Int(n & ((1 << self.members.len().min(64)) - 1)))
            }
            (Kind::Time, Value::Text(b, _)) => {
                let is_word = b.first().is_none_or(u8::is_ascii_alphabetic);
                is_word.then_some(Key::Int(0))
            }
            (Kind::Time, Value::Int(n)) if *n > 8_385_959 => Some(Key::Int(TIME_MAX_US.into())),
            // Observed on seekdb 1.3.0: a number that is no year is stored as 0000, '12x' as 2012.
            (Kind::Year, Value::Int(_)) => Some(Key::Int(0)),
            (Kind::Year, Value::Text(b, _)) => {
                let head = b.iter().take_while(|b| b.is_ascii_digit()).count();
                let digits = b.get(..head)?;
                let is_number = digits.len() == b.len() || !b.get(head)?.is_ascii_punctuation();
                let year = match digits {
                    [] => None,
                    _ => year(&Value::Text(Cow::Borrowed(digits), TextCharset::Ascii)),
                };
                is_number.then(|| Key::Int(year.unwrap_or(0)))
            }
            // Text that is no date, and dates that do not exist. What begins with a date and goes
            // on with something else keeps the date, which is not looked at.
            (_, Value::Text(b, _)) if Moment::is_never_in(b) => self.zero_date(),
            (_, Value::Int(_)) => self.zero_date(),
            _ => None,
        }
    }

    fn zero_date(&self) -> Option<Key<'static>> {
        self.moment_key(&Moment::default(), None)
    }

    /// The nearest number that the column can hold.
    fn clamped(&self, value: &Value<'_>) -> Option<Key<'static>> {
        if matches!(self.kind, Kind::Float | Kind::Double) {
            let is_below = self.is_unsigned && value.real()? < 0.0;
            return is_below.then_some(Key::Real(0.0));
        }
        let n = self.at_scale(&value.decimal()?);
        let is_negative = n.sign() == Sign::Minus;
        if self.is_unsigned && is_negative {
            return Some(Key::Decimal(self.at_scale(&BigDecimal::from(0))));
        }
        let digits = u32::try_from(self.precision).ok()?;
        let most = BigInt::from(10).pow(digits) - 1;
        let most = BigDecimal::new(most, self.scale.max(0).into());
        Some(Key::Decimal(if is_negative { -most } else { most }))
    }

    /// A string cut to the length of the column, with question marks for what its character set
    /// has not.
    fn cut<'v>(&self, value: &Value<'v>) -> Option<Key<'v>> {
        let charset = self.collation?.charset();
        let bytes = match (self.text_key(value), value) {
            (Some(Key::Bytes(bytes)), _) => bytes.into_owned(),
            (None, Value::Text(bytes, from)) => convert_with_gaps(bytes, *from, charset)?,
            _ => return None,
        };
        let limit = usize::try_from(self.length).ok()?;
        if charset == TextCharset::Binary {
            let kept = bytes.get(..limit).unwrap_or(&bytes).to_vec();
            let is_short = self.kind == Kind::Char && kept.len() < limit;
            return (!is_short).then_some(Key::Bytes(Cow::Owned(kept)));
        }
        let text = convert(&bytes, charset, TextCharset::Utf8mb4)?;
        let text = std::str::from_utf8(&text).ok()?;
        let kept: String = text.chars().take(limit).collect();
        let kept = convert(kept.as_bytes(), TextCharset::Utf8mb4, charset)?;
        Some(Key::Bytes(Cow::Owned(kept.into_owned())))
    }
}

/// The number at the beginning of a text; `0` if there is none.
fn number_prefix(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    let (mut at, mut has_point, mut has_digit) = (0, false, false);
    while let Some(byte) = text.get(at) {
        match byte {
            b'+' | b'-' if at == 0 => {}
            b'.' if !has_point => has_point = true,
            b'0'..=b'9' => has_digit = true,
            _ => break,
        }
        at += 1;
    }
    match has_digit {
        true => text.get(..at).unwrap_or(b"0"),
        false => b"0",
    }
}
