//! Functions of strings.

use super::super::charset::TextCharset;
use super::super::value::Value;
use super::Result;
use md5::{Digest as _, Md5};
use sha1::Sha1;
use std::borrow::Cow;

/// Longest string that a function makes.
const TEXT_LEN_MAX: usize = 64 << 10;

/// A value as text, numbers by their digits. Only what is valid UTF-8.
pub(super) fn as_text<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
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

/// A call whose arguments are not NULL.
pub(super) fn call<'a>(name: &str, args: &[Value<'a>]) -> Result<'a> {
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
        ("lower" | "lcase", 1) => text(0)?.chars().map(lower).collect::<Option<_>>()?,
        ("upper" | "ucase", 1) => text(0)?.chars().map(upper).collect::<Option<_>>()?,
        ("trim", 1) => text(0)?.trim_matches(' ').to_owned(),
        ("trim", 3) => {
            let (side, what, text) = (text(0)?, text(1)?, text(2)?);
            if what.is_empty() {
                return None;
            }
            let mut kept = &*text;
            if !side.eq_ignore_ascii_case("trailing") {
                kept = kept.trim_start_matches(&*what);
            }
            if !side.eq_ignore_ascii_case("leading") {
                kept = kept.trim_end_matches(&*what);
            }
            kept.to_owned()
        }
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
            if most > TEXT_LEN_MAX {
                return None;
            }
            if from.is_empty() {
                return Some(Value::text(text.into_owned()));
            }
            text.replace(&*from, &to)
        }
        // The bytes are those of the session's character set: known for ASCII.
        ("md5", 1) => {
            let text = text(0).filter(|t| t.is_ascii())?;
            format!("{:x}", Md5::digest(text.as_bytes()))
        }
        ("sha1" | "sha", 1) => {
            let text = text(0).filter(|t| t.is_ascii())?;
            format!("{:x}", Sha1::digest(text.as_bytes()))
        }
        ("crc32", 1) => {
            let text = text(0).filter(|t| t.is_ascii())?;
            return Some(Value::Int(crc_32(text.as_bytes()).into()));
        }
        ("space", 1) => {
            let count = usize::try_from(int(0)?).unwrap_or(0);
            " ".repeat(Some(count).filter(|n| *n <= TEXT_LEN_MAX)?)
        }
        ("insert", 4) => {
            let (text, at, len, new) = (text(0)?, int(1)?, int(2)?, text(3)?);
            let count = i64::try_from(text.chars().count()).ok()?;
            if at < 1 || at > count {
                return Some(Value::text(text.into_owned()));
            }
            let head = usize::try_from(at - 1).ok()?;
            let tail = match usize::try_from(len) {
                Ok(len) => head.saturating_add(len),
                Err(_) => usize::MAX,
            };
            let head = text.chars().take(head);
            head.chain(new.chars())
                .chain(text.chars().skip(tail))
                .collect()
        }
        ("substring_index", 3) => {
            let (text, mark, count) = (text(0)?, text(1)?, int(2)?);
            if mark.is_empty() || count == 0 {
                return Some(Value::text(String::new()));
            }
            let nth = usize::try_from(count.unsigned_abs() - 1).ok()?;
            let cut = match count {
                1.. => text
                    .match_indices(&*mark)
                    .nth(nth)
                    .map(|(at, _)| text.get(..at)),
                _ => text
                    .rmatch_indices(&*mark)
                    .nth(nth)
                    .map(|(at, _)| text.get(at + mark.len()..)),
            };
            match cut {
                Some(cut) => cut?.to_owned(),
                None => text.into_owned(),
            }
        }
        ("instr" | "locate", 2) => {
            let (text, what) = match name {
                "instr" => (text(0)?, text(1)?),
                _ => (text(1)?, text(0)?),
            };
            // Letters are compared by the collation: known for those of ASCII.
            let text = letters(&text)?;
            let place = text.find(&letters(&what)?);
            return Some(Value::Int(place.map_or(0, |at| at as i128 + 1)));
        }
        ("strcmp", 2) => {
            let order = letters(&text(0)?)?.cmp(&letters(&text(1)?)?);
            return Some(Value::Int(order as i128));
        }
        ("field", 2..) => {
            let first = letters(&text(0)?)?;
            for at in 1..args.len() {
                if letters(&text(at)?)? == first {
                    return Some(Value::Int(at as i128));
                }
            }
            return Some(Value::Int(0));
        }
        ("ascii", 1) => {
            let first = text(0)?.bytes().next().unwrap_or(0);
            return Some(Value::Int(first.into()));
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

/// Capitals of ASCII letters and digits, which all collations of the connection order alike;
/// `None` for text with anything else.
fn letters(text: &str) -> Option<String> {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric());
    is_plain.then(|| text.to_ascii_uppercase())
}

/// CONCAT_WS: without the NULLs.
pub(super) fn joined<'a>(separator: &Value<'_>, parts: &[Value<'_>]) -> Result<'a> {
    let separator = as_text(separator)?;
    let mut all = String::new();
    let there = parts.iter().filter(|p| **p != Value::Null);
    for (at, part) in there.enumerate() {
        if at > 0 {
            all.push_str(&separator);
        }
        all.push_str(&as_text(part)?);
    }
    (all.len() <= TEXT_LEN_MAX).then(|| Value::text(all))
}

/// GREATEST and LEAST of strings whose order every collation has: digits of one length, with the
/// same marks between them, as dates are written.
pub(super) fn extreme<'a>(args: &[Value<'a>], is_greatest: bool) -> Result<'a> {
    let mut best: Option<&[u8]> = None;
    for arg in args {
        let Value::Text(bytes, TextCharset::Utf8mb4) = arg else {
            return None;
        };
        let first = best.unwrap_or(bytes);
        let is_like = |(a, b): (&u8, &u8)| (a.is_ascii_digit() && b.is_ascii_digit()) || a == b;
        if first.len() != bytes.len() || !first.iter().zip(&**bytes).all(is_like) {
            return None;
        }
        if best.is_none_or(|best| (**bytes > *best) == is_greatest) {
            best = Some(bytes);
        }
    }
    Some(Value::Text(
        Cow::Owned(best?.to_vec()),
        TextCharset::Utf8mb4,
    ))
}

/// True for letters whose other case is the same on the server as here. Observed on seekdb 1.3.0:
/// it knows the cases of an older Unicode.
fn is_settled(c: char) -> bool {
    matches!(c, '\0'..='\u{17f}' | '\u{388}'..='\u{3ce}' | '\u{400}'..='\u{481}')
}

/// The letter's other case; `None` if that is not known.
fn in_case(c: char, mut cased: impl Iterator<Item = char>) -> Option<char> {
    match (cased.next(), cased.next()) {
        (Some(other), None) if other == c || is_settled(c) => Some(other),
        // Such as the sharp s: no one letter is its other case.
        (_, Some(_)) if is_settled(c) => Some(c),
        _ => None,
    }
}

fn upper(c: char) -> Option<char> {
    in_case(c, c.to_uppercase())
}

fn lower(c: char) -> Option<char> {
    match c {
        '\u{130}' => Some('i'),
        c => in_case(c, c.to_lowercase()),
    }
}

/// CRC-32 as in zlib.
fn crc_32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
