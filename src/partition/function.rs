//! The functions that are evaluated, as far as they need no table. A function or a case that is
//! not here is not known, which is always safe.

use super::charset::TextCharset;
use super::constant::{order, truth};
use super::session::Context;
use super::temporal::{DAY_US, Moment, SECOND_US};
use super::value::{Value, rounded};
use super::zone::Zone;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode};
use md5::{Digest as _, Md5};
use std::borrow::Cow;

/// Longest string that a function makes.
const TEXT_LEN_MAX: usize = 64 << 10;

type Result<'a> = Option<Value<'a>>;

/// A call by its lower-case name.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>], context: &Context<'_>) -> Result<'a> {
    let special = match (name, args) {
        ("if", [condition, yes, no]) => {
            let is_true = truth(condition)? == Some(true);
            Some(if is_true { yes } else { no }.clone())
        }
        ("ifnull" | "nvl" | "coalesce", args) => {
            let first = args.iter().find(|v| **v != Value::Null);
            Some(first.cloned().unwrap_or(Value::Null))
        }
        ("nullif", [a, b]) => {
            let is_same = *b != Value::Null && *a != Value::Null && order(a, b)?.is_eq();
            Some(if is_same { Value::Null } else { a.clone() })
        }
        ("isnull", [a]) => Some(Value::Int((*a == Value::Null).into())),
        _ => None,
    };
    if special.is_some() {
        return special;
    }
    if let Some(now) = now(name, args, context) {
        return Some(now);
    }
    if args.contains(&Value::Null) {
        return is_known(name).then_some(Value::Null);
    }
    numeric(name, args)
        .or_else(|| textual(name, args))
        .or_else(|| temporal(name, args, context))
}

/// Names whose result is NULL if an argument is.
fn is_known(name: &str) -> bool {
    const NAMES: &str = "abs ceil ceiling floor round truncate mod sign greatest least concat \
        left right substr substring mid lower lcase upper ucase trim ltrim rtrim lpad rpad \
        replace reverse repeat length char_length character_length hex conv date year month day \
        dayofmonth dayofyear dayofweek weekday quarter yearweek hour minute second to_days \
        to_seconds unix_timestamp from_unixtime from_days last_day str_to_date sec_to_time \
        time_to_sec time timestamp datediff md5";
    NAMES.split_ascii_whitespace().any(|n| n == name)
}

fn now<'a>(name: &str, args: &[Value<'_>], context: &Context<'_>) -> Result<'a> {
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
    Some(match name {
        "curdate" | "current_date" | "utc_date" => Value::Date(moment.without_time()),
        "curtime" | "current_time" | "utc_time" => Value::Time(moment.time_us),
        _ => Value::DateTime(moment),
    })
}

fn numeric<'a>(name: &str, args: &[Value<'a>]) -> Result<'a> {
    match (name, args) {
        ("abs", [n]) => Some(match n.number()? {
            Value::Int(n) if n > i128::from(i64::MIN) => Value::Int(n.abs()),
            Value::Decimal(n) => Value::Decimal(n.abs()),
            Value::Real(n) => Value::Real(n.abs()),
            _ => return None,
        }),
        ("sign", [n]) => {
            let sign = n.decimal()?.cmp(&BigDecimal::from(0)) as i128;
            Some(Value::Int(sign))
        }
        ("ceil" | "ceiling" | "floor", [n]) => {
            let mode = match name {
                "floor" => RoundingMode::Floor,
                _ => RoundingMode::Ceiling,
            };
            match n.number()? {
                Value::Real(n) if mode == RoundingMode::Floor => Some(Value::Real(n.floor())),
                Value::Real(n) => Some(Value::Real(n.ceil())),
                n => Some(Value::Int(rounded(
                    &n.decimal()?.with_scale_round(0, mode),
                )?)),
            }
        }
        ("round" | "truncate", [n, rest @ ..]) => {
            let digits = match rest {
                [] if name == "round" => 0,
                [Value::Int(n @ 0..=30)] => *n as i64,
                _ => return None,
            };
            let mode = match name {
                "round" => RoundingMode::HalfUp,
                _ => RoundingMode::Down,
            };
            match n.number()? {
                Value::Int(n) => Some(Value::Int(n)),
                Value::Decimal(n) => Some(Value::Decimal(n.with_scale_round(digits, mode))),
                Value::Real(n) if digits == 0 && name == "round" => {
                    Some(Value::Real(n.round_ties_even()))
                }
                _ => None,
            }
        }
        ("mod", [a, b]) => match (a.number()?, b.number()?) {
            (Value::Int(_), Value::Int(0)) => Some(Value::Null),
            (Value::Int(a), Value::Int(b)) => Some(Value::Int(a % b)),
            _ => {
                let (a, b) = (a.decimal()?, b.decimal()?);
                if b.sign() == Sign::NoSign {
                    return Some(Value::Null);
                }
                Some(Value::Decimal(a % b))
            }
        },
        ("greatest" | "least", args) => {
            let is_number = |v: &Value<'_>| matches!(v, Value::Int(_) | Value::Decimal(_));
            if args.len() < 2 || !args.iter().all(is_number) {
                return None;
            }
            let mut best = args.first()?;
            for other in args {
                let is_greater = order(other, best)?.is_gt();
                if (name == "greatest") == is_greater && order(other, best)?.is_ne() {
                    best = other;
                }
            }
            Some(best.clone())
        }
        ("conv", [n, Value::Int(from), Value::Int(to)]) => {
            let (from, to) = (u32::try_from(*from).ok()?, u32::try_from(*to).ok()?);
            if !(2..=36).contains(&from) || to != 10 {
                return None;
            }
            let text = as_text(n)?;
            u64::from_str_radix(&text, from)
                .ok()
                .map(|n| Value::text(n.to_string()))
        }
        _ => None,
    }
}

/// A value as text, numbers by their digits. Only what is valid UTF-8.
fn as_text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::Text(bytes, TextCharset::Utf8mb4) => {
            std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
        }
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 && bytes.is_ascii() => {
            std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
        }
        value => value.written().map(Cow::Owned),
    }
}

fn textual<'a>(name: &str, args: &[Value<'a>]) -> Result<'a> {
    let text = |at: usize| args.get(at).and_then(as_text);
    let int = |at: usize| match args.get(at)?.number()? {
        Value::Int(n) => i64::try_from(n).ok(),
        _ => None,
    };
    let made = match (name, args.len()) {
        ("concat", 1..) => {
            let mut all = String::new();
            for at in 0..args.len() {
                all.push_str(&text(at)?);
            }
            all
        }
        ("left", 2) => text(0)?
            .chars()
            .take(usize::try_from(int(1)?).unwrap_or(0))
            .collect(),
        ("right", 2) => {
            let text = text(0)?;
            let count = text.chars().count();
            let keep = usize::try_from(int(1)?).unwrap_or(0);
            text.chars().skip(count.saturating_sub(keep)).collect()
        }
        ("substr" | "substring" | "mid", 2 | 3) => {
            let text = text(0)?;
            let len = match args.len() {
                3 => usize::try_from(int(2)?).unwrap_or(0),
                _ => usize::MAX,
            };
            let (count, at) = (text.chars().count(), int(1)?);
            let start = match at {
                1.. => usize::try_from(at - 1).ok(),
                0 => None,
                _ => count.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
            };
            match start {
                Some(start) => text.chars().skip(start).take(len).collect(),
                None => String::new(),
            }
        }
        // Letters beyond ASCII change by rules of their own.
        ("lower" | "lcase", 1) => text(0).filter(|t| t.is_ascii())?.to_ascii_lowercase(),
        ("upper" | "ucase", 1) => text(0).filter(|t| t.is_ascii())?.to_ascii_uppercase(),
        ("trim", 1) => text(0)?.trim_matches(' ').to_owned(),
        ("ltrim", 1) => text(0)?.trim_start_matches(' ').to_owned(),
        ("rtrim", 1) => text(0)?.trim_end_matches(' ').to_owned(),
        ("lpad" | "rpad", 3) => {
            let (text, pad) = (text(0)?, text(2)?);
            let len = usize::try_from(int(1)?)
                .ok()
                .filter(|n| *n <= TEXT_LEN_MAX)?;
            let count = text.chars().count();
            if count < len && pad.is_empty() {
                return None;
            }
            let filling = pad.chars().cycle().take(len.saturating_sub(count));
            match (name, count < len) {
                (_, false) => text.chars().take(len).collect(),
                ("lpad", _) => filling.chain(text.chars()).collect(),
                _ => text.chars().chain(filling).collect(),
            }
        }
        ("replace", 3) => {
            let (text, from, to) = (text(0)?, text(1)?, text(2)?);
            let most = text.len().checked_mul(to.len() + 1)?;
            if from.is_empty() || most > TEXT_LEN_MAX {
                return None;
            }
            text.replace(&*from, &to)
        }
        // The bytes are those of the session's character set: known for ASCII.
        ("md5", 1) => {
            let text = text(0).filter(|t| t.is_ascii())?;
            format!("{:x}", Md5::digest(text.as_bytes()))
        }
        ("reverse", 1) => text(0)?.chars().rev().collect(),
        ("repeat", 2) => {
            let (text, count) = (text(0)?, usize::try_from(int(1)?).unwrap_or(0));
            if text.len().checked_mul(count)? > TEXT_LEN_MAX {
                return None;
            }
            text.repeat(count)
        }
        ("hex", 1) => match args.first()? {
            Value::Int(n) => format!("{:X}", *n as u64),
            Value::Text(bytes, _) | Value::Hex(bytes) if bytes.len() <= TEXT_LEN_MAX / 2 => {
                bytes.iter().map(|b| format!("{b:02X}")).collect()
            }
            _ => return None,
        },
        ("length", 1) => return Some(Value::Int(text(0)?.len() as i128)),
        ("char_length" | "character_length", 1) => {
            return Some(Value::Int(text(0)?.chars().count() as i128));
        }
        _ => return None,
    };
    (made.len() <= TEXT_LEN_MAX).then(|| Value::text(made))
}

/// A value as a date with time.
fn moment(value: &Value<'_>) -> Option<Moment> {
    match value {
        Value::Date(m) | Value::DateTime(m) => Some(*m),
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => Moment::from_text(bytes),
        Value::Int(n) => Moment::from_number(*n),
        _ => None,
    }
}

/// A value as microseconds of a time of day or a time.
fn time_us(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Time(us) => Some(*us),
        Value::DateTime(m) => Some(m.time_us),
        Value::Date(_) => Some(0),
        Value::Text(bytes, charset) if *charset != TextCharset::Utf16 => {
            super::temporal::time_from_text(bytes)
        }
        Value::Int(n) => super::temporal::time_from_number(*n),
        _ => None,
    }
}

fn temporal<'a>(name: &str, args: &[Value<'a>], context: &Context<'_>) -> Result<'a> {
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
            _ => return None,
        },
        ("sec_to_time", []) => match first.number()? {
            Value::Int(n) if n.abs() < 3_000_000 => {
                return Some(Value::Time(i64::try_from(n).ok()? * SECOND_US));
            }
            _ => return None,
        },
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
        ("year", []) => int(m.year.into()),
        ("month", []) => int(m.month.into()),
        ("day" | "dayofmonth", []) => int(m.day.into()),
        ("quarter", []) => int((i64::from(m.month) + 2) / 3),
        ("dayofyear", []) => int(m.day_of_year()?.into()),
        ("dayofweek", []) => int((i64::from(m.weekday()?) + 1) % 7 + 1),
        ("weekday", []) => int(m.weekday()?.into()),
        ("yearweek", []) => int(yearweek(&m)?),
        ("to_days", []) => int(m.to_days()?),
        ("to_seconds", []) => int(m.to_days()? * 86_400 + m.time_us / SECOND_US),
        ("last_day", []) => Some(Value::Date(m.last_day()?)),
        ("datediff", [other]) => int(m.days()? - moment(other)?.days()?),
        ("unix_timestamp", []) => {
            let us = context.zone?.to_utc_us(&m).filter(|us| *us >= 0)?;
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
pub(super) fn extract<'a>(unit: &[u8], value: &Value<'_>) -> Result<'a> {
    if *value == Value::Null {
        return Some(Value::Null);
    }
    let m = moment(value)?;
    let seconds = m.time_us / SECOND_US;
    let n = match unit.to_ascii_lowercase().as_slice() {
        b"year" => m.year.into(),
        b"quarter" => (i64::from(m.month) + 2) / 3,
        b"month" => m.month.into(),
        b"day" => m.day.into(),
        b"hour" => seconds / 3600,
        b"minute" => seconds / 60 % 60,
        b"second" => seconds % 60,
        b"year_month" => i64::from(m.year) * 100 + i64::from(m.month),
        _ => return None,
    };
    Some(Value::Int(n.into()))
}

/// DATE_ADD and DATE_SUB.
pub(super) fn add_interval<'a>(
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
            return Some(of_kind(value, moved));
        }
        b"week" => DAY_US * 7,
        b"day" => DAY_US,
        b"hour" => 3600 * SECOND_US,
        b"minute" => 60 * SECOND_US,
        b"second" => SECOND_US,
        _ => return None,
    };
    let moved = m.add_us(us.checked_mul(count)?)?;
    Some(match us < DAY_US {
        true => Value::DateTime(moved),
        false => of_kind(value, moved),
    })
}

/// A result that is a date if the argument was: a string counts by what it says.
fn of_kind<'a>(argument: &Value<'_>, m: Moment) -> Value<'a> {
    match argument {
        Value::Date(_) => Value::Date(m),
        _ if m.time_us == 0 && !matches!(argument, Value::DateTime(_)) => Value::Date(m),
        _ => Value::DateTime(m),
    }
}

/// CAST and CONVERT to a type as written.
pub(super) fn cast<'a>(value: &Value<'a>, to: &[u8]) -> Result<'a> {
    let to = std::str::from_utf8(to).ok()?.to_ascii_lowercase();
    let (name, sizes) = match to.split_once('(') {
        Some((name, rest)) => (name.trim(), rest.split_once(')')?.0),
        None => (to.as_str(), ""),
    };
    let sizes: Option<Vec<i64>> = match sizes {
        "" => Some(vec![]),
        sizes => sizes.split(',').map(|s| s.trim().parse().ok()).collect(),
    };
    let sizes = sizes?;
    if *value == Value::Null {
        return Some(Value::Null);
    }
    match (name, sizes.as_slice()) {
        ("signed" | "signed integer" | "unsigned" | "unsigned integer", []) => {
            let n = match value.number()? {
                Value::Int(n) => n,
                // A string is cut at the point, a number is rounded.
                Value::Decimal(n) if !matches!(value, Value::Text(..)) => rounded(&n)?,
                Value::Decimal(n) if n.is_integer() => rounded(&n)?,
                Value::Real(n) if n.abs() < 1e15 => n.round_ties_even() as i128,
                _ => return None,
            };
            let is_signed = name.starts_with("signed");
            let fits = match is_signed {
                true => i64::try_from(n).is_ok(),
                false => u64::try_from(n).is_ok(),
            };
            fits.then_some(Value::Int(n))
        }
        ("decimal", sizes) => {
            let (precision, scale) = match sizes {
                [] => (10, 0),
                [p] => (*p, 0),
                [p, s] => (*p, *s),
                _ => return None,
            };
            let n = value
                .decimal()?
                .with_scale_round(scale, RoundingMode::HalfUp);
            let fits = i64::try_from(n.digits()).ok()? <= precision;
            fits.then_some(Value::Decimal(n))
        }
        ("date", []) => Some(Value::Date(moment(value)?.without_time())),
        ("datetime", []) => Some(Value::DateTime(moment(value)?.rounded(0)?)),
        ("datetime", [digits @ 0..=6]) => {
            Some(Value::DateTime(moment(value)?.rounded(*digits as u32)?))
        }
        ("char", sizes) => {
            let text = as_text(value)?;
            let keep = match sizes {
                [] => usize::MAX,
                [n] => usize::try_from(*n).ok()?,
                _ => return None,
            };
            Some(Value::text(text.chars().take(keep).collect()))
        }
        ("double" | "double precision" | "real", []) => Some(Value::Real(value.real()?)),
        ("time", []) => Some(Value::Time(time_us(value)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::constant::Source;
    use super::*;
    use crate::sql::Scan;

    #[test]
    fn calls_give_what_the_server_gives() {
        let context = Context {
            zone: Zone::of(b"+08:00"),
            now_us: Some(1_700_000_000_500_000),
            ..Context::default()
        };
        let mut scan = Scan::default();
        let lines = include_str!("function_cases.txt").lines();
        for line in lines.filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let (text, want) = line.split_once(" => ").expect("a case");
            let node = scan
                .read_expression(text.as_bytes())
                .expect("an expression");
            let source = Source {
                tree: &scan.tree,
                text: text.as_bytes(),
                context: &context,
                columns: None,
            };
            let got = match source.constant(node) {
                None => "?".to_owned(),
                Some(Value::Null) => "NULL".to_owned(),
                Some(Value::Text(bytes, _)) => String::from_utf8(bytes.into_owned()).unwrap(),
                Some(Value::Hex(bytes)) => format!("{bytes:02x?}"),
                Some(value) => value.written().unwrap_or_default(),
            };
            assert_eq!(got, want, "{text}");
        }
    }
}
