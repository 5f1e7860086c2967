//! Constants to stored values: as INSERT does it, and as a comparison does it (routing.md 5.1,
//! 5.2).

use super::charset::{TextCharset, convert};
use super::column::{Column, Kind};
use super::session::Context;
use super::temporal::{Moment, TIME_MAX_US, time_from_number, time_from_text};
use super::value::{Key, Value, number_from_text, rounded};
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode};
use std::borrow::Cow;

/// What a constant is to a column that it is compared with by `=`.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Match<'a> {
    /// Rows with this value, and no other.
    Is(Key<'a>),
    /// No row, and the server knows it.
    Never,
    /// No row, but the server may look at all partitions of a level.
    Hardly,
    /// Not known, or not decided by the value alone.
    Any,
}

impl Column {
    /// The value that an INSERT stores. `None`: not known, or the statement fails.
    pub(super) fn store<'v>(&self, value: &Value<'v>, context: &Context<'_>) -> Option<Key<'v>> {
        if matches!(value, Value::Null) {
            return Some(Key::Null);
        }
        let stored = self.store_whole(value, context);
        if stored.is_some() || context.is_strict {
            return stored;
        }
        self.store_part(value)
    }

    /// What is stored of a value that does not fit, in modes that are not strict.
    fn store_part<'v>(&self, value: &Value<'v>) -> Option<Key<'v>> {
        match (self.kind, value) {
            (Kind::Char | Kind::Varchar, _) => {
                let Key::Bytes(bytes) = self.text_key(value)? else {
                    return None;
                };
                let charset = self.collation?.charset();
                let limit = usize::try_from(self.length).ok()?;
                let text = convert(&bytes, charset, TextCharset::Utf8mb4)?;
                let kept: String = std::str::from_utf8(&text)
                    .ok()?
                    .chars()
                    .take(limit)
                    .collect();
                let kept = convert(kept.as_bytes(), TextCharset::Utf8mb4, charset)?;
                Some(Key::Bytes(Cow::Owned(kept.into_owned())))
            }
            (
                Kind::Int { .. } | Kind::Number | Kind::DecimalInt | Kind::Double,
                Value::Text(b, _),
            ) => {
                let number = number_prefix(b);
                let number = Value::Text(Cow::Owned(number.to_vec()), TextCharset::Ascii);
                let context = Context::default();
                self.store_whole(&number, &context).map(Key::into_owned)
            }
            (Kind::Time, Value::Text(..)) => Some(Key::Int(0)),
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
            // Text that is no date, and dates that do not exist.
            (_, Value::Text(..)) => self.moment_key(&Moment::default(), None),
            _ => None,
        }
    }

    fn store_whole<'v>(&self, value: &Value<'v>, context: &Context<'_>) -> Option<Key<'v>> {
        match self.kind {
            Kind::Int { min, max } => self.store_int(value, min, max, context),
            Kind::Bit => self.bits(value),
            Kind::Enum | Kind::Set => self.member(value),
            Kind::Year => year(value).map(Key::Int),
            Kind::Float | Kind::Double => self.fit_real(value.real()?),
            Kind::Number | Kind::DecimalInt => {
                let n = self.at_scale(&value.decimal()?);
                let fits = n.digits() <= u64::try_from(self.precision).ok()?;
                let fits = fits && !(self.is_unsigned && n.sign() == Sign::Minus);
                fits.then_some(Key::Decimal(n))
            }
            Kind::Char | Kind::Varchar => self.store_text(value),
            Kind::Time => {
                let us = time_of(value)?;
                let unit = 10_i64.pow(6 - self.fraction_digits());
                // Rounded by the absolute value, half up.
                let us = us.signum() * ((us.abs() + unit / 2) / unit * unit);
                (us.abs() <= TIME_MAX_US).then_some(Key::Int(us.into()))
            }
            _ => {
                let m = Self::moment_of(value)?;
                let m = match self.kind {
                    Kind::Date | Kind::MysqlDate => m.without_time(),
                    _ => m.rounded(self.fraction_digits())?,
                };
                self.moment_key(&m, context.zone)
            }
        }
    }

    /// What `column = value` selects.
    pub(super) fn matches<'v>(&self, value: &Value<'v>, context: &Context<'_>) -> Match<'v> {
        self.match_known(value, context).unwrap_or(Match::Any)
    }

    fn match_known<'v>(&self, value: &Value<'v>, context: &Context<'_>) -> Option<Match<'v>> {
        if matches!(value, Value::Null) {
            return Some(Match::Never);
        }
        let is_number = matches!(
            value,
            Value::Int(_) | Value::Decimal(_) | Value::Real(_) | Value::Hex(_)
        );
        let is_text = matches!(value, Value::Text(..));
        Some(match self.kind {
            Kind::Int { min, max } if is_number || is_text => whole(value, min.into(), max.into())?,
            Kind::Bit if is_number => {
                let bits = u32::try_from(self.precision).ok()?;
                whole(value, 0, (1_i128 << bits.min(64)) - 1)?
            }
            Kind::Year if is_number || is_text => match whole(value, 0, 2155)? {
                Match::Is(Key::Int(n)) if n >= 1901 => Match::Is(Key::Int(n - 1900)),
                Match::Never => Match::Never,
                // Numbers below 100 stand for years in ways that differ.
                _ => Match::Any,
            },
            // Compared as text: only in the order of the declaration it can be equal.
            Kind::Set if !self.is_in_order(value) => Match::Never,
            Kind::Enum | Kind::Set if matches!(value, Value::Int(_) | Value::Text(..)) => {
                self.member(value).map_or(Match::Any, Match::Is)
            }
            Kind::Double if is_number || is_text => {
                let n = value.real()?;
                match self.fit_real(n) {
                    Some(Key::Real(fit)) if fit == n => Match::Is(Key::Real(n)),
                    Some(_) => Match::Never,
                    None => Match::Hardly,
                }
            }
            // Compared as DOUBLE: only what a FLOAT holds exactly can be equal.
            Kind::Float if is_number || is_text => {
                let n = value.real()?;
                match self.fit_real(n)? {
                    Key::Real(fit) if fit == n && self.scale < 0 => Match::Is(Key::Real(n)),
                    _ => Match::Any,
                }
            }
            Kind::Number | Kind::DecimalInt if is_number || is_text => {
                let n = value.decimal()?;
                let fit = self.at_scale(&n);
                match fit == n {
                    true => Match::Is(Key::Decimal(fit)),
                    // Taken as it is, with all its digits.
                    false => Match::Is(Key::Decimal(n)),
                }
            }
            Kind::Char | Kind::Varchar => match value {
                Value::Text(..) | Value::Hex(_) => Match::Is(self.text_key(value)?),
                _ => Match::Any,
            },
            Kind::Time => match value {
                Value::Text(..) | Value::Time(_) | Value::Int(_) => {
                    Match::Is(Key::Int(time_of(value)?.into()))
                }
                _ => Match::Any,
            },
            Kind::Date
            | Kind::DateTime
            | Kind::Timestamp
            | Kind::MysqlDate
            | Kind::MysqlDateTime => {
                if matches!(value, Value::Time(_) | Value::Hex(_)) {
                    return None;
                }
                if let Value::Text(bytes, charset) = value
                    && *charset != TextCharset::Utf16
                    && !context.allows_invalid_dates
                    && Moment::is_never_in(bytes)
                {
                    // Compared as the zero date.
                    return self.moment_key(&Moment::default(), None).map(Match::Is);
                }
                let m = Self::moment_of(value)?;
                let is_date = matches!(self.kind, Kind::Date | Kind::MysqlDate);
                let fit = match is_date {
                    true => m.without_time(),
                    false => m.rounded(self.fraction_digits())?,
                };
                // A fraction that is too fine is hashed as it is; no row has it.
                match fit == m || !is_date {
                    true => Match::Is(self.moment_key(&m, context.zone)?),
                    false => Match::Never,
                }
            }
            _ => Match::Any,
        })
    }

    /// The nearest stored values around a constant, for `<` and `>`: what is not smaller than it
    /// is not smaller than the first, what is not greater is not greater than the second.
    pub(super) fn around<'v>(
        &self,
        value: &Value<'v>,
        context: &Context<'_>,
    ) -> Option<(Key<'v>, Key<'v>)> {
        if let Match::Is(key) = self.matches(value, context) {
            return Some((key.clone(), key));
        }
        let both = |down: i128, up: i128| Some((Key::Int(up), Key::Int(down)));
        match self.kind {
            // The constant may also lie beyond all values of the column.
            Kind::Int { .. } | Kind::Bit => {
                let n = value.decimal()?;
                let down = n.with_scale_round(0, RoundingMode::Floor);
                let up = n.with_scale_round(0, RoundingMode::Ceiling);
                both(rounded(&down)?, rounded(&up)?)
            }
            Kind::Year => match value.number()? {
                Value::Int(n) if n > 1900 => both(n - 1900, n - 1900),
                _ => None,
            },
            Kind::Number | Kind::DecimalInt => {
                let n = value.decimal()?;
                Some((Key::Decimal(n.clone()), Key::Decimal(n)))
            }
            Kind::Date | Kind::MysqlDate => {
                let m = Self::moment_of(value)?;
                let down = self.moment_key(&m.without_time(), None)?;
                let next = m.without_time().add_us(super::temporal::DAY_US)?;
                Some((self.moment_key(&next, None)?, down))
            }
            Kind::DateTime | Kind::Timestamp | Kind::MysqlDateTime => {
                let m = Self::moment_of(value)?;
                let key = self.moment_key(&m, context.zone)?;
                Some((key.clone(), key))
            }
            _ => None,
        }
    }

    fn fraction_digits(&self) -> u32 {
        u32::try_from(self.scale).unwrap_or(0).min(6)
    }

    fn store_int(
        &self,
        value: &Value<'_>,
        min: i64,
        max: u64,
        context: &Context<'_>,
    ) -> Option<Key<'static>> {
        let number = match value {
            Value::Date(_) | Value::DateTime(_) | Value::Time(_) => None,
            value => value.number(),
        }?;
        let n = match number {
            Value::Int(n) => n,
            Value::Decimal(n) => rounded(&n)?,
            // Half to even, as the processor does it (observed on seekdb 1.3.0: 64.5 gives 64).
            Value::Real(n) if n.abs() < 1e18 => n.round_ties_even() as i128,
            _ => return None,
        };
        let (min, max) = (i128::from(min), i128::from(max));
        if (min..=max).contains(&n) {
            return Some(Key::Int(n));
        }
        (!context.is_strict).then(|| Key::Int(n.clamp(min, max)))
    }

    fn bits(&self, value: &Value<'_>) -> Option<Key<'static>> {
        let n = match value {
            Value::Text(bytes, _) if (1..=8).contains(&bytes.len()) => {
                bytes.iter().fold(0, |all, b| (all << 8) | i128::from(*b))
            }
            Value::Decimal(n) => rounded(n)?,
            Value::Real(n) if n.abs() < 1e18 => n.round_ties_even() as i128,
            Value::Int(_) | Value::Hex(_) => match value.number()? {
                Value::Int(n) => n,
                _ => return None,
            },
            _ => return None,
        };
        let bits = u32::try_from(self.precision).ok()?.min(64);
        (0..1_i128 << bits).contains(&n).then_some(Key::Int(n))
    }

    /// Index of a member of ENUM, or mask of members of SET.
    fn member(&self, value: &Value<'_>) -> Option<Key<'static>> {
        let (bytes, charset) = match value {
            Value::Int(n) => {
                let count = self.members.len() as u32;
                let max = match self.kind {
                    Kind::Enum => i128::from(count),
                    _ => (1_i128 << count.min(64)) - 1,
                };
                // An index beyond an unknown list is not looked at.
                let fits = *n >= 1 && (self.members.is_empty() || *n <= max);
                return fits.then_some(Key::Int(*n));
            }
            Value::Text(bytes, charset) => (bytes, *charset),
            _ => return None,
        };
        let collation = self.collation?;
        let bytes = convert(bytes, charset, collation.charset())?;
        let index = |name: &[u8]| {
            let same = |m: &Vec<u8>| collation.compare(m, name) == Some(std::cmp::Ordering::Equal);
            self.members.iter().position(same)
        };
        if self.kind == Kind::Enum {
            return index(&bytes).map(|at| Key::Int(at as i128 + 1));
        }
        let mut mask = 0;
        for name in bytes.split(|b| *b == b',').filter(|n| !n.is_empty()) {
            mask |= 1_i128 << index(name)?;
        }
        (!self.members.is_empty()).then_some(Key::Int(mask))
    }

    /// False for text that names members of a SET in another order than the declaration.
    fn is_in_order(&self, value: &Value<'_>) -> bool {
        let Value::Text(bytes, _) = value else {
            return true;
        };
        let of = |name: &[u8]| {
            let name = Value::Text(Cow::Owned(name.to_vec()), TextCharset::Utf8mb4);
            match self.member(&name) {
                Some(Key::Int(mask)) => mask,
                _ => 0,
            }
        };
        let masks: Vec<_> = bytes.split(|b| *b == b',').map(of).collect();
        masks.is_sorted()
    }

    fn fit_real(&self, n: f64) -> Option<Key<'static>> {
        let mut n = n;
        if let Ok(digits) = usize::try_from(self.scale) {
            n = format!("{n:.digits$}").parse().ok()?;
        }
        if self.kind == Kind::Float {
            n = f64::from(n as f32);
        }
        let fits = n.is_finite() && !(self.is_unsigned && n < 0.0);
        fits.then_some(Key::Real(n))
    }

    fn at_scale(&self, n: &BigDecimal) -> BigDecimal {
        n.with_scale_round(self.scale.max(0).into(), RoundingMode::HalfUp)
    }

    /// A constant as bytes of the column.
    fn text_key<'v>(&self, value: &Value<'v>) -> Option<Key<'v>> {
        let to = self.collation?.charset();
        let bytes: Cow<'v, [u8]> = match value {
            Value::Text(Cow::Borrowed(bytes), from) => convert(bytes, *from, to)?,
            Value::Text(bytes, from) => Cow::Owned(convert(bytes, *from, to)?.into_owned()),
            // Padded in front to whole units of the character set.
            Value::Hex(bytes) if to == TextCharset::Utf16 && bytes.len() % 2 == 1 => {
                Cow::Owned([b"\0", bytes.as_ref()].concat())
            }
            Value::Hex(bytes) => bytes.clone(),
            value => {
                let text = value.written()?.into_bytes();
                Cow::Owned(convert(&text, TextCharset::Ascii, to)?.into_owned())
            }
        };
        Some(Key::Bytes(bytes))
    }

    fn store_text<'v>(&self, value: &Value<'v>) -> Option<Key<'v>> {
        let Key::Bytes(mut bytes) = self.text_key(value)? else {
            return None;
        };
        let charset = self.collation?.charset();
        let limit = usize::try_from(self.length).ok()?;
        if charset == TextCharset::Binary {
            if bytes.len() > limit {
                return None;
            }
            if self.kind == Kind::Char {
                let mut padded = bytes.into_owned();
                padded.resize(limit, 0);
                bytes = Cow::Owned(padded);
            }
            return Some(Key::Bytes(bytes));
        }
        if self.kind == Kind::Char {
            let blank = charset.blank();
            let mut len = bytes.len();
            while bytes.get(..len).is_some_and(|b| b.ends_with(blank)) {
                len -= blank.len();
            }
            bytes = match bytes {
                Cow::Borrowed(all) => Cow::Borrowed(all.get(..len)?),
                Cow::Owned(mut all) => {
                    all.truncate(len);
                    Cow::Owned(all)
                }
            };
        }
        // No more characters than bytes; only a longer one is counted.
        let count = match bytes.len() <= limit {
            true => 0,
            false => convert(&bytes, charset, TextCharset::Utf8mb4)
                .and_then(|b| std::str::from_utf8(&b).ok().map(|s| s.chars().count()))?,
        };
        (count <= limit).then_some(Key::Bytes(bytes))
    }

    /// A constant as a date with time.
    fn moment_of(value: &Value<'_>) -> Option<Moment> {
        match value {
            Value::Date(m) | Value::DateTime(m) => Some(*m),
            Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => {
                Moment::from_text(bytes)
            }
            Value::Int(n) => Moment::from_number(*n),
            Value::Real(n) if n.fract() == 0.0 && n.abs() < 1e15 => Moment::from_number(*n as i128),
            _ => None,
        }
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

/// An integral constant between two bounds.
fn whole(value: &Value<'_>, min: i128, max: i128) -> Option<Match<'static>> {
    let n = match value.number()? {
        Value::Int(n) => n,
        Value::Decimal(n) if n.is_integer() => match rounded(&n) {
            Some(n) => n,
            None => return Some(Match::Never),
        },
        Value::Real(n) if n.fract() == 0.0 && n.abs() < 1e15 => n as i128,
        Value::Real(n) if n.fract() == 0.0 => return None,
        // Of a string the server sees at once that it is no integer.
        _ if matches!(value, Value::Text(..)) => return Some(Match::Never),
        _ => return Some(Match::Hardly),
    };
    Some(match (min..=max).contains(&n) {
        true => Match::Is(Key::Int(n)),
        false => Match::Never,
    })
}

/// A constant as the stored form of YEAR.
fn year(value: &Value<'_>) -> Option<i128> {
    let (n, digits) = match value {
        Value::Text(bytes, _) => match number_from_text(bytes)? {
            Value::Int(n) => (n, bytes.trim_ascii().len()),
            _ => return None,
        },
        Value::Date(m) | Value::DateTime(m) => (m.year.into(), 4),
        value => match value.number()? {
            Value::Int(0) => return Some(0),
            Value::Int(n) => (n, 0),
            Value::Decimal(n) => (rounded(&n)?, 0),
            Value::Real(n) if n.abs() < 1e9 => (n.round_ties_even() as i128, 0),
            _ => return None,
        },
    };
    match n {
        // '0' and '00' are 2000, '0000' is the year 0.
        0 if digits < 3 => Some(100),
        0 => Some(0),
        1..=69 => Some(n + 100),
        70..=99 => Some(n),
        1901..=2155 => Some(n - 1900),
        _ => None,
    }
}

fn time_of(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Time(us) => Some(*us),
        Value::DateTime(m) => Some(m.time_us),
        Value::Date(_) => Some(0),
        Value::Int(n) => time_from_number(*n),
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => time_from_text(bytes),
        _ => None,
    }
}
