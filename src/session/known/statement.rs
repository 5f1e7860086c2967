//! The statements that set variables on a link.

use super::Variable;

/// `SET @@a = ..., @@b = ...` in that order; `None` if there is nothing to set.
///
/// Values of system variables are reported as bare text: a number is written as it is, anything
/// else as a string. That is what every session variable of seekdb 1.3.0.post5 accepts, and none
/// accepts both.
pub(super) fn set_system(variables: &[&Variable], no_backslash: bool) -> Option<Vec<u8>> {
    set(variables, |out, variable| {
        out.extend_from_slice(b"@@");
        out.extend_from_slice(&variable.name);
        out.extend_from_slice(b" = ");
        if is_number(&variable.value) {
            out.extend_from_slice(&variable.value);
        } else {
            put_text(out, &variable.value, no_backslash);
        }
    })
}

/// `SET @a = ..., @b = ...` in that order; `None` if there is nothing to set.
pub(super) fn set_user(variables: &[&Variable], no_backslash: bool) -> Option<Vec<u8>> {
    set(variables, |out, variable| {
        out.push(b'@');
        put_name(out, &variable.name);
        out.extend_from_slice(b" = ");
        put_literal(out, &variable.value, no_backslash);
    })
}

fn set(variables: &[&Variable], put: impl Fn(&mut Vec<u8>, &Variable)) -> Option<Vec<u8>> {
    let mut out = vec![];
    for variable in variables {
        let before: &[u8] = if out.is_empty() { b"SET " } else { b", " };
        out.extend_from_slice(before);
        put(&mut out, variable);
    }
    (!out.is_empty()).then_some(out)
}

/// Digits with a sign and a point at most.
fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let mut points = 0;
    let is_digit = |b: &u8| {
        points += usize::from(*b == b'.');
        b.is_ascii_digit() || *b == b'.'
    };
    digits.first().is_some_and(u8::is_ascii_digit) && digits.iter().all(is_digit) && points <= 1
}

/// A string of these bytes.
fn put_text(out: &mut Vec<u8>, bytes: &[u8], no_backslash: bool) {
    out.push(b'\'');
    for &b in bytes {
        match b {
            b'\'' => out.extend_from_slice(b"''"),
            b'\\' if !no_backslash => out.extend_from_slice(b"\\\\"),
            0 if !no_backslash => out.extend_from_slice(b"\\0"),
            _ => out.push(b),
        }
    }
    out.push(b'\'');
}

/// The name of a user variable: the server reports it as it stood between quotes, with the quotes
/// inside still doubled. Observed on seekdb 1.3.0.post5.
fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    let backticks = name.iter().filter(|b| **b == b'`').count();
    let doubled = name.windows(2).filter(|w| w == b"``").count();
    let quote = match backticks == 2 * doubled {
        true => b'`',
        false if !name.contains(&b'\'') => b'\'',
        false => b'"',
    };
    out.push(quote);
    out.extend_from_slice(name);
    out.push(quote);
}

/// The value of a user variable. Servers report a literal whose strings have escapes, whatever the
/// SQL mode says.
fn put_literal(out: &mut Vec<u8>, literal: &[u8], no_backslash: bool) {
    let inner = literal
        .strip_prefix(b"'")
        .and_then(|rest| rest.strip_suffix(b"'"));
    match inner {
        Some(inner) if no_backslash && inner.contains(&b'\\') => {
            put_text(out, &unescaped(inner), true);
        }
        _ => out.extend_from_slice(literal),
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    let mut bytes = text.iter().copied();
    while let Some(b) = bytes.next() {
        let b = match b {
            b'\\' => match bytes.next() {
                Some(b'0') => 0,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'b') => 8,
                Some(b'Z') => 26,
                Some(other) => other,
                None => b'\\',
            },
            b => b,
        };
        out.push(b);
    }
    out
}
