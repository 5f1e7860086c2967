//! Types as a declaration writes them: `varchar(30)`, `enum('a','b')`.

use super::collation::Collation;
use super::column::{Column, Default, Kind, Product};
use crate::sql::{Syntax, text_parts};

/// Members of `enum(..)` or `set(..)`; empty for other types.
pub(super) fn members(declared: &str) -> Vec<Vec<u8>> {
    let lower = declared.trim_start().to_ascii_lowercase();
    if !lower.starts_with("enum(") && !lower.starts_with("set(") {
        return Vec::new();
    }
    let Some((_, mut rest)) = declared.split_once('(') else {
        return Vec::new();
    };
    let mut all = Vec::new();
    loop {
        rest = rest.trim_start();
        let Some(len) = quoted_len(rest) else {
            return Vec::new();
        };
        let (literal, behind) = rest.split_at(len);
        let syntax = Syntax::default();
        let read = text_parts(literal.as_bytes(), syntax, |part| {
            all.push(part.bytes.into())
        });
        if read.is_err() {
            return Vec::new();
        }
        match behind.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None => return all,
        }
    }
}

/// Length of the string in single quotes at the beginning.
fn quoted_len(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().peekable();
    (bytes.next()?.1 == b'\'').then_some(())?;
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\'' {
            if bytes.peek().map(|(_, b)| *b) != Some(b'\'') {
                return Some(at + 1);
            }
            bytes.next();
        } else if byte == b'\\' {
            bytes.next();
        }
    }
    None
}

/// A column that is no key, by its declared type.
pub(super) fn column(name: &[u8], declared: &str, collation: u32) -> Option<Column> {
    let lower = declared.trim().to_ascii_lowercase();
    let end = lower
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(lower.len());
    let (word, rest) = lower.split_at(end);
    let (sizes, rest) = match rest.trim_start().strip_prefix('(') {
        Some(inner) => inner.split_once(')')?,
        None => ("", rest),
    };
    let mut sizes = sizes.split(',').map(|s| s.trim().parse::<i32>().ok());
    let first = sizes.next().flatten();
    let second = sizes.next().flatten();
    let is_unsigned = rest.contains("unsigned");
    let sign = u32::from(is_unsigned);
    let number = match word {
        "tinyint" | "bool" | "boolean" => 1 + 5 * sign,
        "smallint" => 2 + 5 * sign,
        "mediumint" => 3 + 5 * sign,
        "int" | "integer" => 4 + 5 * sign,
        "bigint" => 5 + 5 * sign,
        "float" => 11,
        "double" => 12,
        "decimal" | "numeric" => 39,
        "datetime" => 42,
        "timestamp" => 18,
        "date" => 41,
        "time" => 20,
        "year" => 21,
        "varchar" | "varbinary" => 22,
        "char" | "binary" => 23,
        "bit" => 31,
        _ => return None,
    };
    let is_binary = matches!(word, "varbinary" | "binary");
    let kind = Kind::of(number, Product::SeekDb)?;
    let (precision, scale) = match kind {
        Kind::DecimalInt => (first.unwrap_or(10), second.unwrap_or(0)),
        Kind::Bit => (first.unwrap_or(1), -1),
        Kind::Float | Kind::Double => (first.unwrap_or(-1), second.unwrap_or(-1)),
        _ => (-1, first.unwrap_or(0)),
    };
    Some(Column {
        name: name.to_vec(),
        index: -1,
        kind,
        collation: Collation::of(if is_binary { 63 } else { collation }),
        length: match kind {
            Kind::Char | Kind::Varchar => first.unwrap_or(1),
            _ => -1,
        },
        precision,
        scale,
        is_unsigned,
        is_nullable: Some(!rest.contains("not null")),
        generated: Vec::new(),
        default: Default::Unknown,
        members: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_read() {
        let list = |text: &str| {
            let all = members(text)
                .into_iter()
                .map(|m| String::from_utf8(m).unwrap());
            all.collect::<Vec<_>>()
        };
        assert_eq!(
            list("enum('red','x y', 'a''b,','c\\'d')"),
            ["red", "x y", "a'b,", "c'd"]
        );
        assert_eq!(list("set('a','b')"), ["a", "b"]);
        assert!(list("int").is_empty() && list("enum('a").is_empty());
        let of = |text: &str| column(b"c", text, 45).map(|c| (c.kind, c.length, c.precision));
        assert_eq!(of("varchar(30)"), Some((Kind::Varchar, 30, -1)));
        assert_eq!(
            of("decimal(10,2) unsigned"),
            Some((Kind::DecimalInt, -1, 10))
        );
        assert_eq!(of("datetime"), Some((Kind::MysqlDateTime, -1, -1)));
        assert_eq!(of("json"), None);
    }
}
