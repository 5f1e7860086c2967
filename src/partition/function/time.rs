//! Functions of dates and times.

use super::super::charset::TextCharset;
use super::super::session::Context;
use super::super::temporal::{self, DAY_US, Moment, SECOND_US};
use super::super::value::Value;
use super::super::zone::Zone;
use super::text::as_text;
use super::{Result, has_point, with_known_digits};
use bigdecimal::{BigDecimal, ToPrimitive};

pub(super) fn now<'a>(name: &str, args: &[Value<'_>], context: &Context<'_>) -> Result<'a> {
    let digits = match args {
        [] => 0,
        [Value::Int(n @ 0..=6)] => *n as u32,
        _ => return None,
    };
    let zone = match name {
        "now" | "current_timestamp" | "localtime" | "localtimestamp" | "curdate"
        | "current_date" | "curtime" | "current_time" => context.zone?,
        "utc_date" | "utc_time" | "utc_timestamp" => Zone::Fixed(0),
        _ => return None,
    };
    let unit = 10_i64.pow(6 - digits);
    let moment = zone.wall_clock(context.now_us? / unit * unit)?;
    let now = match name {
        "curdate" | "current_date" | "utc_date" => Value::Date(moment.without_time()),
        "curtime" | "current_time" | "utc_time" => Value::Time(moment.time_us),
        _ => Value::DateTime(moment),
    };
    with_known_digits(now, digits > 0)
}

/// A value as a date with time.
pub(super) fn moment(value: &Value<'_>) -> Option<Moment> {
    match value {
        Value::Date(m) | Value::DateTime(m) => Some(*m),
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => Moment::from_text(bytes),
        Value::Int(n) => Moment::from_number(*n),
        _ => None,
    }
}

/// True for `hh:mm:ss`: text that is no date, and no number.
pub(super) fn is_clock(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    rest.contains(&b':') && rest.iter().all(|b| b.is_ascii_digit() || b":.".contains(b))
}

/// A value as microseconds of a time of day or a time.
pub(super) fn time_us(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Time(us) => Some(*us),
        Value::DateTime(m) => Some(m.time_us),
        Value::Date(_) => Some(0),
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => {
            temporal::time_from_text(bytes)
        }
        Value::Int(n) => temporal::time_from_number(*n),
        _ => None,
    }
}

/// A call whose arguments are not NULL.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>], context: &Context<'_>) -> Result<'a> {
    let [first, rest @ ..] = args else {
        return None;
    };
    let int = |n: i64| Some(Value::Int(n.into()));
    if let ("hour" | "minute" | "second" | "time_to_sec" | "time", []) = (name, rest) {
        let us = time_us(first)?;
        let seconds = us.abs() / SECOND_US;
        return match name {
            "hour" => int(seconds / 3600),
            "minute" => int(seconds / 60 % 60),
            "second" => int(seconds % 60),
            "time" => Some(Value::Time(us)),
            _ => int(us.signum() * seconds),
        };
    }
    match (name, rest) {
        ("from_days", []) => match first.number()? {
            Value::Int(n) if n >= 366 => {
                let days = i64::try_from(n).ok()?.checked_sub(719_528)?;
                return Some(Value::Date(Moment::from_days(days)?));
            }
            _ => return None,
        },
        ("from_unixtime", []) => match first.number()? {
            Value::Int(n) if n >= 0 => {
                let us = i64::try_from(n).ok()?.checked_mul(SECOND_US)?;
                return Some(Value::DateTime(context.zone?.wall_clock(us)?));
            }
            Value::Decimal(n) if n.fractional_digit_count() <= 6 => {
                let us = (n * BigDecimal::from(SECOND_US))
                    .to_i64()
                    .filter(|us| *us >= 0)?;
                return Some(Value::DateTime(context.zone?.wall_clock(us)?));
            }
            _ => return None,
        },
        ("sec_to_time", []) => match first.number()? {
            Value::Int(n) if n.abs() < 3_000_000 => {
                return Some(Value::Time(i64::try_from(n).ok()? * SECOND_US));
            }
            _ => return None,
        },
        ("makedate", [day]) => {
            let (Value::Int(year @ 0..=9999), Value::Int(day @ 1..=3_000_000)) = (first, day)
            else {
                return None;
            };
            let year = match u32::try_from(*year).ok()? {
                year @ 0..=99 => temporal::full_year(year),
                year => year,
            };
            let begin = Moment {
                year,
                month: 1,
                day: 1,
                time_us: 0,
            };
            let days = i64::try_from(*day).ok()? - 1;
            return Some(Value::Date(begin.add_us(days * DAY_US)?));
        }
        ("maketime", [Value::Int(minute @ 0..=59), Value::Int(second @ 0..=59)]) => {
            let Value::Int(hour @ -838..=838) = first else {
                return None;
            };
            let seconds = i64::try_from(hour.abs() * 3600 + minute * 60 + second).ok()?;
            let sign = if *hour < 0 { -1 } else { 1 };
            return Some(Value::Time(sign * seconds * SECOND_US));
        }
        ("addtime" | "subtime", [more]) => {
            let sign = if name == "addtime" { 1 } else { -1 };
            let more = sign * time_us(more)?;
            // A string stays one.
            return Some(match first {
                Value::DateTime(m) => Value::DateTime(m.add_us(more)?),
                Value::Time(us) => Value::Time(us + more),
                Value::Text(bytes, _) if bytes.contains(&b' ') => {
                    let sum = Moment::from_text(bytes)?.add_us(more)?;
                    Value::text(Value::DateTime(sum).written_long()?)
                }
                value => Value::text(Value::Time(time_us(value)? + more).written_long()?),
            });
        }
        ("timediff", [more]) => {
            let time = |value: &Value<'_>| match value {
                Value::Text(bytes, _) if is_clock(bytes) => temporal::time_from_text(bytes),
                Value::Time(us) => Some(*us),
                _ => None,
            };
            return Some(Value::Time(time(first)? - time(more)?));
        }
        ("microsecond", []) => return int(time_us(first)?.abs() % SECOND_US),
        ("str_to_date", [format]) => {
            return str_to_date(&as_text(first)?, &as_text(format)?);
        }
        _ => {}
    }
    let m = moment(first)?;
    let counts_days = matches!(
        name,
        "to_days" | "to_seconds" | "dayofyear" | "quarter" | "weekday" | "dayofweek" | "yearweek"
    );
    if counts_days && rest.is_empty() && m == Moment::default() {
        // Observed on seekdb 1.3.0: the zero date is no day, though its year is 0.
        return Some(Value::Null);
    }
    match (name, rest) {
        ("date", []) => Some(Value::Date(m.without_time())),
        ("timestamp", []) => Some(Value::DateTime(m)),
        ("timestamp", [time]) => Some(Value::DateTime(m.add_us(time_us(time)?)?)),
        ("convert_tz", [from, to]) => {
            let zone = |v: &Value<'_>| Zone::of(as_text(v)?.as_bytes());
            let us = zone(from)?.to_utc_us(&m)?;
            Some(Value::DateTime(zone(to)?.wall_clock(us)?))
        }
        ("date_format", [format]) => date_format(&m, &as_text(format)?),
        ("week", [] | [Value::Int(0)]) => {
            let (year, week) = (i64::from(m.year), yearweek(&m)?);
            int(if week / 100 == year { week % 100 } else { 0 })
        }
        ("week", [Value::Int(3)]) | ("weekofyear", []) => int(m.iso_week()?.1.into()),
        ("yearweek", [Value::Int(1 | 3)]) => {
            let (year, week) = m.iso_week()?;
            int(i64::from(year) * 100 + i64::from(week))
        }
        ("year", []) => int(m.year.into()),
        ("month", []) => int(m.month.into()),
        ("day" | "dayofmonth", []) => int(m.day.into()),
        ("quarter", []) => int((i64::from(m.month) + 2) / 3),
        ("dayofyear", []) => int(m.day_of_year()?.into()),
        ("dayofweek", []) => int((i64::from(m.weekday()?) + 1) % 7 + 1),
        ("weekday", []) => int(m.weekday()?.into()),
        ("yearweek", [] | [Value::Int(0 | 2)]) => int(yearweek(&m)?),
        ("to_days", []) => int(m.to_days()?),
        ("to_seconds", []) => int(m.to_days()? * 86_400 + m.time_us / SECOND_US),
        ("last_day", []) => Some(Value::Date(m.last_day()?)),
        ("datediff", [other]) => int(m.days()? - moment(other)?.days()?),
        ("unix_timestamp", []) => {
            if m.is_zero() {
                return int(0);
            }
            let us = context.zone?.to_utc_us(&m)?.max(0);
            match us % SECOND_US {
                0 => int(us / SECOND_US),
                _ => Some(Value::Decimal(BigDecimal::new(us.into(), 6))),
            }
        }
        _ => None,
    }
}

/// `yearweek(d)`, mode 0: weeks begin on Sunday, the first of a year is that with its first
/// Sunday.
fn yearweek(m: &Moment) -> Option<i64> {
    let weekday = (i64::from(m.weekday()?) + 1) % 7;
    let of_year = i64::from(m.day_of_year()?) - 1;
    // Sundays so far in the year, this day included.
    if of_year >= weekday {
        let sundays = (of_year - weekday) / 7 + 1;
        return Some(i64::from(m.year) * 100 + sundays);
    }
    // The days in front of the first Sunday belong to the last week of the year before.
    let last = Moment {
        year: m.year.checked_sub(1)?,
        month: 12,
        day: 31,
        time_us: 0,
    };
    yearweek(&last)
}

fn str_to_date<'a>(text: &str, format: &str) -> Result<'a> {
    let (mut rest, mut m) = (text.as_bytes(), Moment::default());
    let mut format = format.bytes();
    let (mut has_date, mut has_time) = (0, false);
    while let Some(b) = format.next() {
        if b != b'%' {
            rest = rest.strip_prefix(&[b])?;
            continue;
        }
        let letter = format.next()?;
        let width = if letter == b'Y' { 4 } else { 2 };
        let len = rest
            .iter()
            .take(width)
            .take_while(|b| b.is_ascii_digit())
            .count();
        let (digits, behind) = rest.split_at_checked(len)?;
        let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        rest = behind;
        let clock = i64::from(number) * SECOND_US;
        match letter {
            b'Y' if len == 4 => m.year = number,
            b'm' | b'c' => m.month = number,
            b'd' | b'e' => m.day = number,
            b'H' | b'k' if number < 24 => m.time_us += clock * 3600,
            b'i' if number < 60 => m.time_us += clock * 60,
            b's' | b'S' if number < 60 => m.time_us += clock,
            _ => return None,
        }
        match letter {
            b'Y' | b'm' | b'c' | b'd' | b'e' => has_date += 1,
            _ => has_time = true,
        }
    }
    m.days()?;
    if !rest.is_empty() || has_date != 3 {
        return None;
    }
    Some(match has_time {
        true => Value::DateTime(m),
        false => Value::Date(m),
    })
}

/// `EXTRACT(unit FROM value)` of a date.
pub(in crate::partition) fn extract<'a>(unit: &[u8], value: &Value<'_>) -> Result<'a> {
    if *value == Value::Null {
        return Some(Value::Null);
    }
    let m = moment(value)?;
    let seconds = m.time_us / SECOND_US;
    // hhmmss
    let clock = seconds / 3600 * 10_000 + seconds / 60 % 60 * 100 + seconds % 60;
    let n = match unit.to_ascii_lowercase().as_slice() {
        b"year" => m.year.into(),
        b"quarter" => (i64::from(m.month) + 2) / 3,
        b"month" => m.month.into(),
        b"day" => m.day.into(),
        b"hour" => seconds / 3600,
        b"minute" => seconds / 60 % 60,
        b"second" => seconds % 60,
        b"microsecond" => m.time_us % SECOND_US,
        b"week" => match yearweek(&m)? {
            week if week / 100 == i64::from(m.year) => week % 100,
            _ => 0,
        },
        b"year_month" => i64::from(m.year) * 100 + i64::from(m.month),
        b"day_hour" => i64::from(m.day) * 100 + seconds / 3600,
        b"day_minute" => i64::from(m.day) * 10_000 + clock / 100,
        b"day_second" => i64::from(m.day) * 1_000_000 + clock,
        b"hour_minute" => clock / 100,
        b"hour_second" => clock,
        b"minute_second" => clock % 10_000,
        _ => return None,
    };
    Some(Value::Int(n.into()))
}

/// DATE_ADD and DATE_SUB.
pub(in crate::partition) fn add_interval<'a>(
    value: &Value<'_>,
    count: &Value<'_>,
    unit: &[u8],
    sign: i64,
) -> Result<'a> {
    if *value == Value::Null || *count == Value::Null {
        return Some(Value::Null);
    }
    let Value::Int(count) = count.number()? else {
        return None;
    };
    let count = i64::try_from(count).ok()?.checked_mul(sign)?;
    let m = moment(value).filter(|m| !m.is_zero())?;
    let unit = unit.to_ascii_lowercase();
    let us = match unit.as_slice() {
        b"year" | b"quarter" | b"month" => {
            let months = match unit.as_slice() {
                b"year" => 12,
                b"quarter" => 3,
                _ => 1,
            };
            let moved = m.add_months(count.checked_mul(months)?, None)?;
            return of_kind(value, moved, false);
        }
        b"week" => DAY_US * 7,
        b"day" => DAY_US,
        b"hour" => 3600 * SECOND_US,
        b"minute" => 60 * SECOND_US,
        b"second" => SECOND_US,
        b"microsecond" => 1,
        _ => return None,
    };
    let moved = m.add_us(us.checked_mul(count)?)?;
    with_known_digits(Value::DateTime(moved), us == 1 || has_point(value))?;
    of_kind(value, moved, us < DAY_US)
}

/// TIMESTAMPADD: as DATE_ADD, but always text, and never a date alone.
pub(in crate::partition) fn timestamp_add<'a>(
    unit: &[u8],
    count: &Value<'_>,
    value: &Value<'_>,
) -> Result<'a> {
    if *value == Value::Null || *count == Value::Null {
        return Some(Value::Null);
    }
    let from = Value::DateTime(moment(value)?);
    if has_point(value) {
        return None;
    }
    let moved = add_interval(&from, count, unit, 1)?;
    Some(Value::text(moved.written_long()?))
}

/// DATE_FORMAT, by the letters that all languages write alike.
fn date_format<'a>(m: &Moment, format: &str) -> Result<'a> {
    let seconds = m.time_us / SECOND_US;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut all = String::new();
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        if c != '%' {
            all.push(c);
            continue;
        }
        all += &match letters.next()? {
            'Y' => format!("{:04}", m.year),
            'y' => format!("{:02}", m.year % 100),
            'm' => format!("{:02}", m.month),
            'c' => m.month.to_string(),
            'd' => format!("{:02}", m.day),
            'e' => m.day.to_string(),
            'H' => format!("{hour:02}"),
            'k' => hour.to_string(),
            'i' => format!("{minute:02}"),
            's' | 'S' => format!("{second:02}"),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'f' => format!("{:06}", m.time_us % SECOND_US),
            'j' => format!("{:03}", m.day_of_year()?),
            _ => return None,
        };
    }
    Some(Value::text(all))
}

/// A moved date in the type of the argument: a date with a clock only if that had one, or if it was
/// moved by less than a day; text if that was none of the two. Observed on seekdb 1.3.0.
fn of_kind<'a>(argument: &Value<'_>, m: Moment, is_clock_moved: bool) -> Result<'a> {
    let has_clock = match argument {
        Value::Date(_) => false,
        Value::Int(n) => *n >= 100_000_000,
        Value::Text(bytes, _) => {
            let bytes = bytes.trim_ascii();
            let is_mark = |b: &u8| matches!(b, b' ' | b':' | b'T' | b't');
            bytes.iter().any(is_mark) || (bytes.len() > 8 && bytes.iter().all(u8::is_ascii_digit))
        }
        _ => true,
    };
    let moved = match has_clock || is_clock_moved {
        true => Value::DateTime(m),
        false => Value::Date(m.without_time()),
    };
    match argument {
        Value::Date(_) | Value::DateTime(_) => Some(moved),
        _ => Some(Value::text(moved.written_long()?)),
    }
}
