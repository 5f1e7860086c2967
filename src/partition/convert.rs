//! Constants to stored values: as INSERT does it, and as a comparison does it (routing.md 5.1,
//! 5.2).

use super::charset::{TextCharset, convert, is_text};
use super::column::{Column, Kind};
use super::session::Context;
use super::temporal::{Moment, SECOND_US, TIME_MAX_US, time_from_number, time_from_text};
use super::value::{Key, Value, number_from_text, rounded};
use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
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
            return self.store_null(context.is_strict);
        }
        if !self.takes(value) {
            return None;
        }
        let stored = self.store_whole(value, context);
        if stored.is_some() || context.is_strict {
            return stored;
        }
        if context.allows_invalid_dates && self.kind.is_date() {
            // 2020-02-31 is stored as it is.
            return None;
        }
        self.store_part(value)
    }

    /// False if it is not known what becomes of the value: a division in a column that is neither a
    /// number nor a string.
    const fn takes(&self, value: &Value<'_>) -> bool {
        let is_plain = matches!(
            self.kind,
            Kind::Int { .. }
                | Kind::Float
                | Kind::Double
                | Kind::Number
                | Kind::DecimalInt
                | Kind::Char
                | Kind::Varchar
        );
        is_plain || !matches!(value, Value::Quotient(..))
    }

    pub(super) fn store_whole<'v>(
        &self,
        value: &Value<'v>,
        context: &Context<'_>,
    ) -> Option<Key<'v>> {
        match self.kind {
            Kind::Int { min, max } => self.store_int(value, min, max, context),
            Kind::Bit => self.bits(value),
            Kind::Enum | Kind::Set => self.member(value, true),
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
                let us = match value {
                    Value::Hex(bytes) => time_from_text(bytes),
                    value => time_of(value),
                }?;
                let unit = 10_i64.pow(6 - self.fraction_digits());
                // Observed on seekdb 1.3.0: half up, so that -0.5 s is 0.
                let us = (us + unit / 2).div_euclid(unit) * unit;
                (us.abs() <= TIME_MAX_US).then_some(Key::Int(us.into()))
            }
            _ => {
                let is_date = matches!(self.kind, Kind::Date | Kind::MysqlDate);
                let m = match value {
                    Value::Hex(bytes) => Moment::from_text(bytes),
                    // A date does not take a number with a fraction.
                    Value::Decimal(n) if is_date && !n.is_integer() => None,
                    value => Self::moment_of(value),
                }?;
                let m = match self.kind {
                    Kind::Date | Kind::MysqlDate => m.rounded(6)?.without_time(),
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
        if !self.takes(value) {
            return None;
        }
        let is_number = matches!(
            value,
            Value::Int(_)
                | Value::Decimal(_)
                | Value::Quotient(..)
                | Value::Real(_)
                | Value::Hex(_)
        );
        let is_text = matches!(value, Value::Text(..));
        Some(match self.kind {
            Kind::Int { min, max } if is_number || is_text => whole(value, min.into(), max.into())?,
            Kind::Bit if is_number => {
                let bits = u32::try_from(self.precision).ok()?;
                whole(value, 0, (1_i128 << bits.min(64)) - 1)?
            }
            // Observed on seekdb 1.3.0: the constant is made a year, text and integers as INSERT
            // would do it; of other numbers halves go to the even one.
            Kind::Year => {
                let whole = match value {
                    Value::Decimal(_) | Value::Real(_) => {
                        let n = value.real()?.round_ties_even();
                        (0.0..1e9).contains(&n).then_some(Value::Int(n as i128))?
                    }
                    value => value.clone(),
                };
                match (year(&whole), whole.number()) {
                    (Some(year), _) => Match::Is(Key::Int(year)),
                    (None, Some(_)) => Match::Never,
                    (None, None) => Match::Is(self.store_part(value)?),
                }
            }
            // Compared as text: only in the order of the declaration it can be equal.
            Kind::Set if !self.is_in_order(value) => Match::Never,
            // Whether blanks at the end count is not known.
            Kind::Enum | Kind::Set if matches!(value, Value::Text(b, _) if b.ends_with(b" ")) => {
                Match::Any
            }
            Kind::Enum | Kind::Set if matches!(value, Value::Int(_) | Value::Text(..)) => {
                self.member(value, false).map_or(Match::Any, Match::Is)
            }
            Kind::Double if is_number || is_text => {
                let n = value.real()?;
                match self.fit_real(n) {
                    Some(Key::Real(fit)) if fit == n => Match::Is(Key::Real(n)),
                    // Taken as it is, and hashed with the digits of the column.
                    Some(_) if self.scale >= 0 => Match::Is(Key::Real(n)),
                    _ => Match::Never,
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
                let digits = u32::try_from(self.precision).ok()?;
                // Observed on seekdb 1.3.0: what needs more digits behind the point is taken as
                // the first number that is too large for the column, and what needs more in front
                // of it as that number with its own sign.
                let over = || {
                    let over = BigInt::from(10).pow(digits);
                    BigDecimal::new(over, self.scale.max(0).into())
                };
                match (fit == n, self.kind) {
                    (true, Kind::DecimalInt) if fit.digits() > digits.into() => {
                        let is_negative = fit.sign() == Sign::Minus;
                        Match::Is(Key::Decimal(if is_negative { -over() } else { over() }))
                    }
                    (true, _) => Match::Is(Key::Decimal(fit)),
                    (false, _) if matches!(value, Value::Real(_)) => Match::Any,
                    (false, Kind::DecimalInt) => Match::Is(Key::Decimal(over())),
                    // Taken as it is, with all its digits.
                    (false, _) => Match::Is(Key::Decimal(n)),
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
                let is_date = matches!(self.kind, Kind::Date | Kind::MysqlDate);
                let m = match value {
                    // Observed on seekdb 1.3.0: a number that is no date is the zero date, and of
                    // one with a time a DATE equals the date.
                    Value::Int(n) => match Moment::from_number(*n) {
                        Some(m) if is_date => m.without_time(),
                        Some(m) => m,
                        None if context.allows_invalid_dates => return None,
                        None => Moment::default(),
                    },
                    Value::Decimal(n) if is_date => {
                        let whole = n.with_scale_round(0, RoundingMode::Down);
                        Moment::from_number(whole.to_i128()?)?.without_time()
                    }
                    value => Self::moment_of(value)?,
                };
                let fit = match is_date {
                    true => m.rounded(6)?.without_time(),
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
        if !self.takes(value) {
            return None;
        }
        let takes_match = match (self.kind, value) {
            // Beside a number of another kind a year is one of four digits.
            (Kind::Year, Value::Int(n)) => *n >= 1901,
            (Kind::Year, Value::Text(text, _)) => text.len() == 4,
            // Strings in another order than their numbers.
            (Kind::Year | Kind::Enum | Kind::Set, _) => return None,
            (Kind::Number | Kind::DecimalInt, _) => false,
            _ => true,
        };
        if takes_match && let Match::Is(key) = self.matches(value, context) {
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
            // yyyymmdd, hhmmss
            Value::Date(m) => Some(Value::Int(m.digits())),
            Value::DateTime(m) => {
                let m = m.rounded(0)?;
                Some(Value::Int(m.digits() * 1_000_000 + clock_digits(m.time_us)))
            }
            Value::Time(us) if us % SECOND_US == 0 => Some(Value::Int(clock_digits(*us))),
            Value::Time(_) => None,
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
            Value::Text(bytes, _) if bytes.len() <= 8 => {
                bytes.iter().fold(0, |all, b| (all << 8) | i128::from(*b))
            }
            Value::Decimal(n) => rounded(n)?,
            // Observed on seekdb 1.3.0: 1.7e0 is stored as 1.
            Value::Real(n) if n.abs() < 1e18 => n.trunc() as i128,
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
    /// With `takes_digits` text of digits may be a number.
    pub(super) fn member(&self, value: &Value<'_>, takes_digits: bool) -> Option<Key<'static>> {
        let is_enum = self.kind == Kind::Enum;
        let (bytes, charset) = match value {
            Value::Text(bytes, charset) => (bytes, *charset),
            Value::Hex(bytes) => (bytes, TextCharset::Binary),
            Value::Int(n) => return self.member_number(*n),
            // Cut at the point (observed on seekdb 1.3.0: 1.6 is the first member).
            Value::Decimal(n) => {
                let whole = n.with_scale_round(0, RoundingMode::Down);
                return self.member_number(rounded(&whole)?);
            }
            Value::Real(n) if n.abs() < 1e18 => return self.member_number(n.trunc() as i128),
            _ => return None,
        };
        if self.members.is_empty() {
            return None;
        }
        let collation = self.collation?;
        let bytes = convert(bytes, charset, collation.charset())?;
        let index = |name: &[u8]| {
            let same = |m: &Vec<u8>| collation.compare(m, name) == Some(std::cmp::Ordering::Equal);
            self.members.iter().position(same)
        };
        // Digits that are no member are a number.
        let number = || {
            let is_number = (1..19).contains(&bytes.len()) && takes_digits;
            let is_number = is_number && bytes.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(&bytes).ok().filter(|_| is_number)?;
            self.member_number(text.parse().ok()?)
        };
        if is_enum {
            return match index(&bytes) {
                Some(at) => Some(Key::Int(at as i128 + 1)),
                None => number(),
            };
        }
        let mut mask = 0;
        for name in bytes.split(|b| *b == b',').filter(|n| !n.is_empty()) {
            match index(name) {
                Some(at) => mask |= 1_i128 << at,
                None => return number(),
            }
        }
        Some(Key::Int(mask))
    }

    /// Index of a member of ENUM, or mask of members of SET, given as a number.
    fn member_number(&self, n: i128) -> Option<Key<'static>> {
        let count = self.members.len() as u32;
        let (min, max) = match self.kind {
            Kind::Enum => (1, i128::from(count)),
            _ => (0, (1_i128 << count.min(64)) - 1),
        };
        // An index beyond an unknown list is not looked at.
        let fits = n >= min && (self.members.is_empty() || n <= max);
        fits.then_some(Key::Int(n))
    }

    /// False for text that names members of a SET in another order than the declaration.
    fn is_in_order(&self, value: &Value<'_>) -> bool {
        let Value::Text(bytes, _) = value else {
            return true;
        };
        let of = |name: &[u8]| {
            let name = Value::Text(Cow::Owned(name.to_vec()), TextCharset::Utf8mb4);
            match self.member(&name, false) {
                Some(Key::Int(mask)) => mask,
                _ => 0,
            }
        };
        let masks: Vec<_> = bytes.split(|b| *b == b',').map(of).collect();
        masks.is_sorted_by(|a, b| a < b)
    }

    fn fit_real(&self, n: f64) -> Option<Key<'static>> {
        let mut n = n;
        match usize::try_from(self.scale) {
            // Observed on seekdb 1.3.0: without digits behind the point 1.5 is stored as 1, and
            // -1.5 as -2.
            Ok(0) if n - n.floor() == 0.5 => n = n.floor(),
            Ok(digits) => n = format!("{n:.digits$}").parse().ok()?,
            Err(_) => {}
        }
        if self.kind == Kind::Float {
            n = f64::from(n as f32);
        }
        let fits = n.is_finite() && !(self.is_unsigned && n < 0.0);
        fits.then_some(Key::Real(n))
    }

    pub(super) fn at_scale(&self, n: &BigDecimal) -> BigDecimal {
        n.with_scale_round(self.scale.max(0).into(), RoundingMode::HalfUp)
    }

    /// A constant as bytes of the column.
    pub(super) fn text_key<'v>(&self, value: &Value<'v>) -> Option<Key<'v>> {
        let to = self.collation?.charset();
        let bytes: Cow<'v, [u8]> = match value {
            // Padded in front to whole units of the character set.
            Value::Hex(bytes) | Value::Text(bytes, TextCharset::Binary)
                if to == TextCharset::Utf16 && bytes.len() % 2 == 1 =>
            {
                Cow::Owned([b"\0", bytes.as_ref()].concat())
            }
            Value::Text(Cow::Borrowed(bytes), from) => convert(bytes, *from, to)?,
            Value::Text(bytes, from) => Cow::Owned(convert(bytes, *from, to)?.into_owned()),
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
        // In modes that are not strict, what is in front of a byte that is no character is stored.
        if !is_text(&bytes, charset) {
            return None;
        }
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
        // Blanks at the end do not count in hashes and comparisons, where the collation says so.
        // Observed on seekdb 1.3.0: where it does not, a CHAR is stored without them, in the
        // partition that the value with them has.
        if bytes.len() <= limit {
            // No more characters than bytes.
            return Some(Key::Bytes(bytes));
        }
        let count = |bytes: &[u8]| {
            let text = convert(bytes, charset, TextCharset::Utf8mb4)?;
            Some(std::str::from_utf8(&text).ok()?.chars().count())
        };
        let all = count(&bytes)?;
        let blank = charset.blank();
        let mut len = bytes.len();
        for _ in limit..all {
            // Only blanks may be too many.
            bytes.get(..len).filter(|b| b.ends_with(blank))?;
            len -= blank.len();
        }
        Some(Key::Bytes(match bytes {
            Cow::Borrowed(all) => Cow::Borrowed(all.get(..len)?),
            Cow::Owned(mut all) => {
                all.truncate(len);
                Cow::Owned(all)
            }
        }))
    }

    /// A constant as a date with time.
    fn moment_of(value: &Value<'_>) -> Option<Moment> {
        match value {
            Value::Date(m) | Value::DateTime(m) => Some(*m),
            Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => {
                // 23:59:59.9999999 is the next day.
                Moment::from_text(bytes)?.rounded(6)
            }
            Value::Int(n) => Moment::from_number(*n),
            Value::Decimal(n) => Moment::from_decimal(n),
            Value::Real(n) if n.fract() == 0.0 && n.abs() < 1e15 => Moment::from_number(*n as i128),
            _ => None,
        }
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

/// `hhmmss` of microseconds.
const fn clock_digits(us: i64) -> i128 {
    let seconds = us / SECOND_US;
    (seconds / 3600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60) as i128
}

/// A constant as the stored form of YEAR.
pub(super) fn year(value: &Value<'_>) -> Option<i128> {
    let (n, digits) = match value {
        Value::Text(bytes, _) => match number_from_text(bytes)? {
            Value::Int(n) => (n, bytes.trim_ascii().len()),
            // What rounds to nothing is 2000, or the year 0: that is not looked at.
            Value::Decimal(n) => (rounded(&n).filter(|n| *n > 0)?, 1),
            _ => return None,
        },
        Value::Date(m) | Value::DateTime(m) => (m.year.into(), 4),
        value => match value.number()? {
            Value::Int(0) => return Some(0),
            Value::Int(n) => (n, 0),
            // What rounds to nothing is 2000, or, as text of four digits would be, the year 0:
            // 0.1 and 0.100 are the one, 0.10 is the other (observed on seekdb 1.3.0).
            Value::Decimal(n) => match rounded(&n)? {
                0 if n.sign() == Sign::Minus => return None,
                0 => {
                    return Some(if n.fractional_digit_count() == 2 {
                        0
                    } else {
                        100
                    });
                }
                n => (n, 0),
            },
            Value::Real(n) if n.abs() < 0.5 => return (n >= 0.0).then_some(0),
            Value::Real(n) if n.abs() < 1e9 => (n.round() as i128, 0),
            _ => return None,
        },
    };
    match n {
        // '0' and '00000' are 2000, '0000' is the year 0.
        0 if digits != 4 => Some(100),
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
        Value::Decimal(n) => {
            let whole = n.with_scale_round(0, RoundingMode::Down);
            let us = (n - &whole) * BigDecimal::from(SECOND_US);
            Some(time_from_number(whole.to_i128()?)? + us.to_i64()?)
        }
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => time_from_text(bytes),
        _ => None,
    }
}
