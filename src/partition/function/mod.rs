//! The functions that are evaluated, as far as they need no table. A function or a case that is
//! not here is not known, which is always safe.

mod number;
mod text;
mod time;

use super::charset::{TextCharset, convert};
use super::constant::{order, truth};
use super::session::Context;
use super::temporal::SECOND_US;
use super::value::{Value, rounded};
use bigdecimal::RoundingMode;
use std::borrow::Cow;
use text::as_text;
use time::{is_clock, moment, time_us};

pub(super) use time::{add_interval, extract, timestamp_add};

type Result<'a> = Option<Value<'a>>;

/// A call by its lower-case name.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>], context: &Context<'_>) -> Result<'a> {
    let special = match (name, args) {
        ("if", [condition, branches @ ..]) => {
            let [yes, no] = branches else {
                return None;
            };
            let is_true = truth(condition)? == Some(true);
            return one_of(if is_true { yes } else { no }.clone(), branches);
        }
        ("ifnull" | "nvl" | "coalesce", args) => {
            let first = args.iter().find(|v| **v != Value::Null);
            return one_of(first.cloned().unwrap_or(Value::Null), args);
        }
        ("nullif", [a, b]) => {
            let is_same = *b != Value::Null && *a != Value::Null && order(a, b)?.is_eq();
            Some(if is_same { Value::Null } else { a.clone() })
        }
        ("isnull", [a]) => Some(Value::Int((*a == Value::Null).into())),
        ("elt", [Value::Int(n), rest @ ..]) => {
            let at = usize::try_from(n.checked_sub(1)?).ok();
            let chosen = at.and_then(|at| rest.get(at)).cloned();
            // Text, whatever it was.
            let text = Value::text(String::new());
            let all: Vec<_> = rest.iter().cloned().chain([text]).collect();
            return one_of(chosen.unwrap_or(Value::Null), &all);
        }
        ("concat_ws", [separator, rest @ ..]) if *separator != Value::Null => {
            Some(text::joined(separator, rest)?)
        }
        _ => None,
    };
    if special.is_some() {
        return special;
    }
    if let Some(now) = time::now(name, args, context) {
        return Some(now);
    }
    if args.contains(&Value::Null) {
        return is_known(name).then_some(Value::Null);
    }
    let made = number::call(name, args)
        .or_else(|| text::call(name, args))
        .or_else(|| time::call(name, args, context))?;
    with_known_digits(made, args.iter().any(has_point))
}

/// The value that a function chooses among several, in the type that the server gives all of them:
/// the digits of the longest decimal, a floating-point number if one is, text if one is. `None` for
/// others of unlike types. Observed on seekdb 1.3.0.
pub(super) fn one_of<'a>(chosen: Value<'a>, all: &[Value<'_>]) -> Result<'a> {
    let (mut has_text, mut has_real, mut others) = (false, false, 0);
    let mut scale: Option<i64> = None;
    let mut charset = None;
    let there = all.iter().filter(|v| **v != Value::Null);
    for value in there.clone() {
        match value {
            Value::Int(_) => {}
            Value::Decimal(n) => scale = scale.max(Some(n.fractional_digit_count().max(0))),
            Value::Real(_) => has_real = true,
            Value::Text(_, of) => {
                has_text = true;
                (*charset.get_or_insert(*of) == *of).then_some(())?;
            }
            _ => others += 1,
        }
    }
    if chosen == Value::Null {
        return Some(chosen);
    }
    if others > 0 {
        // Of one type, and with as many digits: none.
        let is_like = |v: &Value<'_>| match (v, &chosen) {
            (Value::Date(_), Value::Date(_)) => true,
            (Value::DateTime(m), Value::DateTime(_)) => m.time_us % SECOND_US == 0,
            (Value::Time(us), Value::Time(_)) => us % SECOND_US == 0,
            _ => false,
        };
        return there.clone().all(is_like).then_some(chosen);
    }
    match (&chosen, has_text, has_real, scale) {
        (Value::Text(..), ..) => Some(chosen),
        (_, true, ..) => Some(Value::text(chosen.written()?)),
        (_, _, true, _) => Some(Value::Real(chosen.real()?)),
        (_, _, _, Some(scale)) => Some(Value::Decimal(chosen.decimal()?.with_scale(scale))),
        _ => Some(chosen),
    }
}

/// True for a value that may have digits behind a point, be they zeros.
pub(super) fn has_point(value: &Value<'_>) -> bool {
    match value {
        Value::Text(bytes, _) => bytes.contains(&b'.'),
        Value::Decimal(n) => n.fractional_digit_count() > 0,
        Value::Quotient(..) | Value::Real(_) => true,
        Value::DateTime(m) => m.time_us % SECOND_US != 0,
        Value::Time(us) => us % SECOND_US != 0,
        _ => false,
    }
}

/// A time that a function made. One of whole seconds is written with zeros behind a point if what
/// it was made of has digits there: how many is not known.
pub(super) fn with_known_digits(value: Value<'_>, has_point: bool) -> Result<'_> {
    let is_whole = match &value {
        Value::DateTime(m) => m.time_us % SECOND_US == 0,
        Value::Time(us) => us % SECOND_US == 0,
        _ => false,
    };
    (!is_whole || !has_point).then_some(value)
}

/// Names whose result is NULL if an argument is.
fn is_known(name: &str) -> bool {
    const NAMES: &str = "abs ceil ceiling floor round truncate mod sign greatest least concat \
        left right substr substring mid lower lcase upper ucase trim ltrim rtrim lpad rpad \
        replace reverse repeat length char_length character_length hex conv date year month day \
        dayofmonth dayofyear dayofweek weekday quarter yearweek hour minute second to_days \
        to_seconds unix_timestamp from_unixtime from_days last_day str_to_date sec_to_time \
        time_to_sec time timestamp datediff md5 sqrt pow power bit_count crc32 ascii strcmp \
        instr locate space substring_index insert bin oct unhex sha1 sha date_format makedate \
        maketime addtime subtime timediff convert_tz microsecond week weekofyear";
    NAMES.split_ascii_whitespace().any(|n| n == name)
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
                Value::Decimal(n) if has_no_exponent(value) => {
                    rounded(&n.with_scale_round(0, RoundingMode::Down))?
                }
                Value::Real(n) if n.abs() < 1e15 => n.round_ties_even() as i128,
                _ => return None,
            };
            let is_signed = name.starts_with("signed");
            Some(Value::Int(match is_signed {
                true => i64::try_from(n).ok()?.into(),
                // What is negative goes on from 2^64 downwards.
                false if n < 0 => i64::try_from(n).ok()?.cast_unsigned().into(),
                false => u64::try_from(n).ok()?.into(),
            }))
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
            let moment = moment(value)?.rounded(*digits as u32)?;
            with_known_digits(Value::DateTime(moment), *digits > 0)
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
        ("time", []) if matches!(value, Value::Text(bytes, _) if !is_clock(bytes)) => None,
        ("time", sizes) => {
            let digits = match sizes {
                [] => 0,
                [digits @ 0..=6] => *digits as u32,
                _ => return None,
            };
            let (us, unit) = (time_us(value)?, 10_i64.pow(6 - digits));
            let us = (us + unit / 2).div_euclid(unit) * unit;
            with_known_digits(Value::Time(us), digits > 0)
        }
        // CONVERT(.. USING set)
        (set, []) => {
            let to = TextCharset::of_name(set.as_bytes())?;
            let Value::Text(bytes, from) = value else {
                return None;
            };
            let bytes = convert(bytes, *from, to)?.into_owned();
            Some(Value::Text(Cow::Owned(bytes), to))
        }
        _ => None,
    }
}

fn has_no_exponent(value: &Value<'_>) -> bool {
    !matches!(value, Value::Text(bytes, _) if bytes.iter().any(|b| matches!(b, b'e' | b'E')))
}

#[cfg(test)]
mod tests {
    use super::super::constant::Source;
    use super::super::zone::Zone;
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
        let lines = include_str!("cases.txt").lines();
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
