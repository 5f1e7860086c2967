//! Dates and times: read from text and numbers, counted and packed (routing.md 4.2, 5.1).

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
use chrono::{Datelike, NaiveDate};

/// Microseconds of a second and of a day.
pub(super) const SECOND_US: i64 = 1_000_000;
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;

/// A date and a time of day; all zero is the zero date.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Moment {
    /// 0 to 9999.
    pub year: u32,
    /// 0 to 12.
    pub month: u32,
    /// 0 to 31.
    pub day: u32,
    /// Microseconds of the day.
    pub time_us: i64,
}

impl Moment {
    /// True for 0000-00-00.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.year == 0 && self.month == 0 && self.day == 0
    }

    fn date(&self) -> Option<NaiveDate> {
        let year = i32::try_from(self.year).ok()?;
        NaiveDate::from_ymd_opt(year, self.month, self.day)
    }

    fn of(date: NaiveDate, time_us: i64) -> Option<Self> {
        let year = u32::try_from(date.year()).ok().filter(|y| *y <= 9999)?;
        Some(Self {
            year,
            month: date.month(),
            day: date.day(),
            time_us,
        })
    }

    /// Checked parts; the zero date without time passes.
    fn checked(self) -> Option<Self> {
        let is_zero = self.is_zero() && self.time_us == 0;
        (is_zero || self.date().is_some()).then_some(self)
    }

    /// Days since 1970-01-01.
    pub(super) fn days(&self) -> Option<i64> {
        Some(i64::from(self.date()?.num_days_from_ce()) - 719_163)
    }

    /// Microseconds since 1970-01-01 00:00:00 of the wall clock.
    pub(super) fn epoch_us(&self) -> Option<i64> {
        Some(self.days()? * DAY_US + self.time_us)
    }

    /// From microseconds since 1970-01-01.
    pub(super) fn from_epoch_us(us: i64) -> Option<Self> {
        let days = i32::try_from(us.div_euclid(DAY_US)).ok()?;
        let date = NaiveDate::from_num_days_from_ce_opt(days.checked_add(719_163)?)?;
        Self::of(date, us.rem_euclid(DAY_US))
    }

    /// From days since 1970-01-01.
    pub(super) fn from_days(days: i64) -> Option<Self> {
        Self::from_epoch_us(days.checked_mul(DAY_US)?)
    }

    /// `to_days()`: days since year 0.
    pub(super) fn to_days(self) -> Option<i64> {
        self.days().map(|d| d + 719_528)
    }

    /// The date's number within the year, from 1.
    pub(super) fn day_of_year(&self) -> Option<u32> {
        self.date().map(|d| d.ordinal())
    }

    /// 0 for Monday.
    pub(super) fn weekday(&self) -> Option<u32> {
        self.date().map(|d| d.weekday().num_days_from_monday())
    }

    /// Year and number of its week, as ISO 8601 counts.
    pub(super) fn iso_week(&self) -> Option<(i32, u32)> {
        self.date()
            .map(|d| (d.iso_week().year(), d.iso_week().week()))
    }

    /// The last day of its month.
    pub(super) fn last_day(&self) -> Option<Self> {
        self.add_months(1, Some(1))?
            .add_us(-DAY_US)
            .map(Self::without_time)
    }

    /// `yyyymmdd`
    pub(super) fn digits(&self) -> i128 {
        i128::from(self.year) * 10_000 + i128::from(self.month * 100 + self.day)
    }

    pub(super) fn without_time(self) -> Self {
        Self { time_us: 0, ..self }
    }

    /// Moves by months; the day is cut to the length of the month, or set.
    pub(super) fn add_months(&self, months: i64, day: Option<u32>) -> Option<Self> {
        self.date()?;
        let count = i64::from(self.year) * 12 + i64::from(self.month) - 1;
        let count = count.checked_add(months)?;
        let year = i32::try_from(count.div_euclid(12)).ok()?;
        let month = count.rem_euclid(12) as u32 + 1;
        let mut day = day.unwrap_or(self.day);
        let date = loop {
            match NaiveDate::from_ymd_opt(year, month, day) {
                Some(date) => break date,
                None => day = day.checked_sub(1)?,
            }
        };
        Self::of(date, self.time_us)
    }

    pub(super) fn add_us(&self, us: i64) -> Option<Self> {
        Self::from_epoch_us(self.epoch_us()?.checked_add(us)?)
    }

    /// Rounds the fraction half up to `digits`.
    pub(super) fn rounded(self, digits: u32) -> Option<Self> {
        let unit = 10_i64.pow(6 - digits.min(6));
        let rounded = (self.time_us + unit / 2) / unit * unit;
        if rounded < DAY_US || self.is_zero() {
            return Some(Self {
                time_us: rounded,
                ..self
            });
        }
        self.without_time().add_us(rounded)
    }

    /// `MySQL date` of newer tenants: packed.
    pub(super) const fn packed_date(&self) -> i64 {
        ((self.year as i64) << 9) + ((self.month as i64) << 5) + self.day as i64
    }

    /// `MySQL datetime` of newer tenants: packed.
    pub(super) const fn packed_datetime(&self) -> i64 {
        let seconds = self.time_us / SECOND_US;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let months = self.year as i64 * 13 + self.month as i64;
        let time = (hour << 36) + (minute << 30) + (second << 24) + self.time_us % SECOND_US;
        (months << 46) + ((self.day as i64) << 41) + time
    }

    /// What [`Self::packed_datetime`] packed.
    pub(super) fn from_packed_datetime(packed: i64) -> Option<Self> {
        let part = |at: u32, bits: u32| (packed >> at) & ((1 << bits) - 1);
        let months = u32::try_from(packed >> 46).ok()?;
        let seconds = part(36, 5) * 3600 + part(30, 6) * 60 + part(24, 6);
        Some(Self {
            year: months / 13,
            month: months % 13,
            day: part(41, 5) as u32,
            time_us: seconds * SECOND_US + part(0, 24),
        })
    }

    /// What [`Self::packed_date`] packed.
    pub(super) fn from_packed_date(packed: i64) -> Option<Self> {
        let packed = u32::try_from(packed).ok()?;
        Some(Self {
            year: packed >> 9,
            month: (packed >> 5) & 15,
            day: packed & 31,
            time_us: 0,
        })
    }

    /// From a number as `yyyymmdd`, `yymmdd`, `yyyymmddhhmmss`, `yymmddhhmmss`.
    pub(super) fn from_number(number: i128) -> Option<Self> {
        let number = u64::try_from(number).ok()?;
        if number == 0 {
            return Some(Self::default());
        }
        let (date, time) = match number {
            0..=99_999_999 => (number, 0),
            _ => (number / 1_000_000, number % 1_000_000),
        };
        let (year, month_day) = (date / 10_000, date % 10_000);
        let year = u32::try_from(year).ok().filter(|y| *y <= 9999)?;
        let is_short = match time {
            _ if number <= 99_999_999 => number <= 991_231,
            _ => date <= 991_231,
        };
        if number < 101 || (is_short && month_day == 0) {
            return None;
        }
        let year = match is_short {
            true => full_year(year),
            false if year >= 1000 => year,
            false => return None,
        };
        Self {
            year,
            month: month_day as u32 / 100,
            day: month_day as u32 % 100,
            time_us: clock(
                time as i64 / 10_000,
                time as i64 / 100 % 100,
                time as i64 % 100,
            )?,
        }
        .checked()
    }

    /// From a number with a fraction of seconds, which only such with a time have.
    pub(super) fn from_decimal(number: &BigDecimal) -> Option<Self> {
        let whole = number.with_scale_round(0, RoundingMode::Down);
        let digits = whole.to_i128()?;
        let m = Self::from_number(digits)?;
        let us = (number - &whole) * BigDecimal::from(SECOND_US);
        let us = us.with_scale_round(0, RoundingMode::HalfUp).to_i64()?;
        match us {
            0 => Some(m),
            us if digits > 99_999_999 => m.add_us(us),
            _ => None,
        }
    }

    /// From text: a date, and a time if there is one. `None`: no date, or not one that is read
    /// the same way everywhere.
    pub(super) fn from_text(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == text.len() || (digits >= 6 && text.get(digits) == Some(&b'.')) {
            return Self::from_digits(text, digits);
        }
        let mut reader = Reader(text);
        let (year, width) = reader.number(4)?;
        reader.separator(b"-/.")?;
        let (month, _) = reader.number(2)?;
        reader.separator(b"-/.")?;
        let (day, _) = reader.number(2)?;
        let year = match width {
            3 | 4 => year,
            _ => full_year(year),
        };
        let mut time_us = 0;
        if !reader.0.is_empty() {
            match reader.0 {
                [b'T', rest @ ..] => reader.0 = rest,
                [b' ', rest @ ..] => reader.0 = rest.trim_ascii_start(),
                _ => return None,
            }
            time_us = reader.clock()?;
        }
        Self {
            year,
            month,
            day,
            time_us,
        }
        .checked()
    }

    /// True for text that is no date on any server: there is none, or no digit begins it, or it is
    /// a whole `yyyy-mm-dd` of a day that does not exist.
    pub(super) fn is_never_in(text: &[u8]) -> bool {
        let text = text.trim_ascii();
        match text.first() {
            Some(first) if first.is_ascii_alphabetic() => return true,
            Some(first) if first.is_ascii_digit() => {}
            Some(_) => return false,
            None => return true,
        }
        let mut reader = Reader(text);
        let mut date = || {
            let (year, width) = reader.number(4)?;
            reader.separator(b"-")?;
            let (month, _) = reader.number(2)?;
            reader.separator(b"-")?;
            let (day, _) = reader.number(2)?;
            let is_behind = reader.0.is_empty() || reader.0.starts_with(b" ");
            (width == 4 && is_behind).then_some((i32::try_from(year).ok()?, month, day))
        };
        let is_zero = |(y, m, d): &(i32, u32, u32)| *y == 0 && *m == 0 && *d == 0;
        date()
            .is_some_and(|it| !is_zero(&it) && NaiveDate::from_ymd_opt(it.0, it.1, it.2).is_none())
    }

    /// `yyyymmdd`, `yymmdd`, with `hhmmss` and a fraction behind.
    fn from_digits(text: &[u8], digits: usize) -> Option<Self> {
        let (head, fraction) = text.split_at_checked(digits)?;
        let fraction_us = match fraction {
            [] => 0,
            [_, rest @ ..] if digits == 14 || digits == 12 => fraction_us(rest)?,
            _ => return None,
        };
        if !matches!(digits, 6 | 8 | 12 | 14) {
            return None;
        }
        let year_len = if matches!(digits, 8 | 14) { 4 } else { 2 };
        let number = |from: usize, to: usize| -> Option<u32> {
            std::str::from_utf8(head.get(from..to)?).ok()?.parse().ok()
        };
        let year = number(0, year_len)?;
        let at = |n: usize| match digits - year_len > 2 * n {
            true => number(year_len + 2 * n, year_len + 2 * n + 2),
            false => Some(0),
        };
        let time = clock(at(2)?.into(), at(3)?.into(), at(4)?.into())?;
        Self {
            year: if year_len == 4 { year } else { full_year(year) },
            month: at(0)?,
            day: at(1)?,
            time_us: time + fraction_us,
        }
        .checked()
    }
}

/// The year that two digits stand for.
pub(super) const fn full_year(year: u32) -> u32 {
    match year {
        0..=69 => 2000 + year,
        70..=99 => 1900 + year,
        _ => year,
    }
}

/// Microseconds of a time of day; `None` beyond 23:59:59.
fn clock(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let fits = hour < 24 && minute < 60 && second < 60;
    fits.then_some(((hour * 60 + minute) * 60 + second) * SECOND_US)
}

/// Microseconds of the digits behind a point; the seventh rounds.
fn fraction_us(digits: &[u8]) -> Option<i64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |b| i64::from(b - b'0'));
    let us = (0..6).fold(0, |all, at| all * 10 + digit(at));
    Some(us + i64::from(digit(6) >= 5))
}

/// The longest time: 838:59:59.
pub(super) const TIME_MAX_US: i64 = (838 * 3600 + 59 * 60 + 59) * SECOND_US;

/// A time from text: `[-][D ]hh:mm[:ss[.frac]]`, `hhmmss`, or that of a date with time.
pub(super) fn time_from_text(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let is_date = text.iter().take_while(|b| b.is_ascii_digit()).count() == 4
        && matches!(text.get(4), Some(b'-' | b'/' | b'.'));
    if is_date {
        let is_whole = text.contains(&b':');
        return Moment::from_text(text)
            .filter(|_| is_whole)
            .map(|m| m.time_us);
    }
    let (sign, text) = match text {
        [b'-', rest @ ..] => (-1, rest),
        _ => (1, text),
    };
    let mut reader = Reader(text);
    if !text.contains(&b':') {
        let is_number = text.iter().all(u8::is_ascii_digit) && (1..=7).contains(&text.len());
        let number: i64 = std::str::from_utf8(text)
            .ok()
            .filter(|_| is_number)?
            .parse()
            .ok()?;
        return time_from_number((number * sign).into());
    }
    let mut days = 0;
    if let Some(blank) = text.iter().position(|b| *b == b' ') {
        let (number, _) = reader.number(blank)?;
        days = i64::from(number);
        reader.0 = text.get(blank..)?.trim_ascii_start();
    }
    let (hour, _) = reader.number(3)?;
    reader.separator(b":")?;
    let us = reader.minutes()?;
    let us = (days * 24 + i64::from(hour)) * 3600 * SECOND_US + us;
    (us <= TIME_MAX_US).then_some(us * sign)
}

/// A time from a number as `hhmmss`.
pub(super) fn time_from_number(number: i128) -> Option<i64> {
    let number = i64::try_from(number)
        .ok()
        .filter(|n| n.unsigned_abs() <= 8_385_959)?;
    let (sign, n) = (number.signum(), number.abs());
    let (hour, minute, second) = (n / 10_000, n / 100 % 100, n % 100);
    let fits = minute < 60 && second < 60;
    fits.then_some(sign * ((hour * 60 + minute) * 60 + second) * SECOND_US)
}

/// Reads numbers and separators.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// A number of 1 to `width` digits, and how many there were.
    fn number(&mut self, width: usize) -> Option<(u32, usize)> {
        let len = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at_checked(len)?;
        if len == 0 || len > width {
            return None;
        }
        self.0 = rest;
        Some((std::str::from_utf8(digits).ok()?.parse().ok()?, len))
    }

    fn separator(&mut self, among: &[u8]) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        among.contains(first).then_some(())
    }

    /// `hh[:mm[:ss[.frac]]]` up to the end.
    fn clock(&mut self) -> Option<i64> {
        let (hour, _) = self.number(2)?;
        if hour > 23 {
            return None;
        }
        let hour = i64::from(hour) * 3600 * SECOND_US;
        if self.0.is_empty() {
            return Some(hour);
        }
        self.separator(b":-")?;
        Some(hour + self.minutes()?)
    }

    /// `mm[:ss[.frac]]` up to the end.
    fn minutes(&mut self) -> Option<i64> {
        let (minute, _) = self.number(2)?;
        let (mut second, mut fraction) = (0, 0);
        if !self.0.is_empty() {
            self.separator(b":-")?;
            (second, _) = self.number(2)?;
            if !self.0.is_empty() {
                self.separator(b".")?;
                fraction = fraction_us(self.0)?;
            }
        }
        Some(clock(0, minute.into(), second.into())? + fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(year: u32, month: u32, day: u32, seconds: i64, us: i64) -> Option<Moment> {
        Some(Moment {
            year,
            month,
            day,
            time_us: seconds * SECOND_US + us,
        })
    }

    #[test]
    fn dates_are_read_from_text() {
        for (text, want) in [
            ("2024-02-29", moment(2024, 2, 29, 0, 0)),
            ("2023-02-29", None),
            ("2024-2-9", moment(2024, 2, 9, 0, 0)),
            ("2016.3.24", moment(2016, 3, 24, 0, 0)),
            ("2016/3/24 1:02:03.5", moment(2016, 3, 24, 3723, 500_000)),
            ("70-01-02", moment(1970, 1, 2, 0, 0)),
            ("69-01-02", moment(2069, 1, 2, 0, 0)),
            ("20221111", moment(2022, 11, 11, 0, 0)),
            ("221111", moment(2022, 11, 11, 0, 0)),
            ("20221111010203", moment(2022, 11, 11, 3723, 0)),
            ("221111010203.25", moment(2022, 11, 11, 3723, 250_000)),
            (
                " 2024-01-01T23:59:59.9999996 ",
                moment(2024, 1, 1, 86_399, 1_000_000),
            ),
            ("0000-00-00", Some(Moment::default())),
            ("2024-01-01 24:00:00", None),
            ("2024-01-01 10-11-12", moment(2024, 1, 1, 36_672, 0)),
            ("2024-01-01 10", moment(2024, 1, 1, 36_000, 0)),
            ("021-3-4", moment(21, 3, 4, 0, 0)),
            ("1-1-1", moment(2001, 1, 1, 0, 0)),
            ("2024-01-01x", None),
            ("abc", None),
            ("", None),
            ("2024", None),
        ] {
            assert_eq!(Moment::from_text(text.as_bytes()), want, "{text}");
        }
        for (number, want) in [
            (20_221_111, moment(2022, 11, 11, 0, 0)),
            (221_111, moment(2022, 11, 11, 0, 0)),
            (20_221_111_010_203, moment(2022, 11, 11, 3723, 0)),
            (221_111_010_203, moment(2022, 11, 11, 3723, 0)),
            (0, Some(Moment::default())),
            (5, None),
            (-5, None),
            (20_221_311, None),
        ] {
            assert_eq!(Moment::from_number(number), want, "{number}");
        }
    }

    #[test]
    fn what_is_no_date_anywhere_is_known() {
        for (text, want) in [
            ("bad", true),
            ("2021-02-30", true),
            ("2021-00-10 00:00:00", true),
            ("2021-02-28", false),
            ("0000-00-00", false),
            ("21-02-30", false),
            ("2021-02", false),
            ("2021-02-30x", false),
            ("", true),
        ] {
            assert_eq!(Moment::is_never_in(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn times_are_read() {
        let s = SECOND_US;
        for (text, want) in [
            ("12:43:04", Some(45_784 * s)),
            ("-1:02", Some(-3720 * s)),
            ("2 03:04:05", Some((51 * 3600 + 245) * s)),
            ("838:59:59", Some(TIME_MAX_US)),
            ("839:00:00", None),
            (
                "75:17:35.587123",
                Some((75 * 3600 + 17 * 60 + 35) * s + 587_123),
            ),
            ("124304", Some(45_784 * s)),
            ("2020-01-01 12:43:04", Some(45_784 * s)),
            ("12:60:00", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(time_from_text(text.as_bytes()), want, "{text}");
        }
        assert_eq!(time_from_number(-10_203), Some(-3723 * s));
        assert_eq!(time_from_number(i64::MIN.into()), None);
    }

    #[test]
    fn dates_are_counted_and_packed() {
        let m = moment(2024, 2, 29, 3723, 7).unwrap();
        assert_eq!(Moment::from_epoch_us(m.epoch_us().unwrap()), Some(m));
        assert_eq!(Moment::from_packed_datetime(m.packed_datetime()), Some(m));
        let date = m.without_time();
        assert_eq!(Moment::from_packed_date(m.packed_date()), Some(date));
        assert_eq!(moment(1970, 1, 1, 0, 0).unwrap().days(), Some(0));
        assert_eq!(moment(2007, 10, 7, 0, 0).unwrap().to_days(), Some(733_321));
        assert_eq!(m.last_day(), Some(date));
        assert_eq!(m.add_months(12, None), moment(2025, 2, 28, 3723, 7));
        assert_eq!(m.weekday(), Some(3));
        let late = moment(1999, 12, 31, 86_399, 999_999).unwrap();
        assert_eq!(late.rounded(0), moment(2000, 1, 1, 0, 0));
        assert_eq!(late.rounded(6), Some(late));
        // (bigint 10, MySQL datetime '2020-01-01 00:00:00') of routing.md 3.7.
        let packed = moment(2020, 1, 1, 0, 0).unwrap().packed_datetime();
        assert_eq!(packed, 0x19a5_4200_0000_0000);
    }
}
