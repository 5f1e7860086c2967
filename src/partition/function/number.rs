//! Functions of numbers.

use super::super::constant::order;
use super::super::value::{Value, rounded};
use super::Result;
use super::text::as_text;
use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, RoundingMode};

/// A call whose arguments are not NULL.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>]) -> Result<'a> {
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
                [Value::Int(n @ -30..=30)] => *n as i64,
                _ => return None,
            };
            let mode = match name {
                "round" => RoundingMode::HalfUp,
                _ => RoundingMode::Down,
            };
            match n.number()? {
                Value::Int(n) if digits >= 0 => Some(Value::Int(n)),
                Value::Int(n) => {
                    let n = BigDecimal::from(n).with_scale_round(digits, mode);
                    Some(Value::Int(rounded(&n)?))
                }
                Value::Decimal(n) if digits >= 0 => {
                    Some(Value::Decimal(n.with_scale_round(digits, mode)))
                }
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
                return super::text::extreme(args, name == "greatest");
            }
            let mut best = args.first()?;
            for other in args {
                let is_greater = order(other, best)?.is_gt();
                if (name == "greatest") == is_greater && order(other, best)?.is_ne() {
                    best = other;
                }
            }
            super::one_of(best.clone(), args)
        }
        ("conv", [n, Value::Int(from), Value::Int(to)]) => {
            let bases = [u32::try_from(*from).ok()?, u32::try_from(*to).ok()?];
            if !bases.iter().all(|base| (2..=36).contains(base)) {
                return None;
            }
            let text = as_text(n)?;
            let n = u64::from_str_radix(&text, bases[0]).ok()?;
            Some(Value::text(in_base(n, bases[1].into())))
        }
        ("bin" | "oct", [Value::Int(n)]) => {
            let base = if name == "bin" { 2 } else { 8 };
            Some(Value::text(in_base(*n as u64, base)))
        }
        ("sqrt", [n]) => {
            let n = n.real()?;
            Some(if n < 0.0 {
                Value::Null
            } else {
                Value::Real(n.sqrt())
            })
        }
        ("pow" | "power", [a, b]) => {
            let power = a.real()?.powf(b.real()?);
            power.is_finite().then_some(Value::Real(power))
        }
        ("bit_count", [Value::Int(n)]) => Some(Value::Int((*n as u64).count_ones().into())),
        ("field", [Value::Int(n), rest @ ..]) => {
            let is_int = |v: &Value<'_>| matches!(v, Value::Int(_));
            if !rest.iter().all(is_int) {
                return None;
            }
            let place = rest.iter().position(|v| *v == Value::Int(*n));
            Some(Value::Int(place.map_or(0, |at| at as i128 + 1)))
        }
        _ => None,
    }
}

/// A number in a base of up to 36, in capitals.
fn in_base(mut n: u64, base: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = char::from_digit((n % base) as u32, 36).unwrap_or('0');
        digits.push(digit.to_ascii_uppercase());
        n /= base;
        if n == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
