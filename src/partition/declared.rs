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

/// True if a declaration has these words side by side, outside of strings and parentheses.
pub(super) fn has_words(declared: &str, words: &[&str]) -> bool {
    let mut plain = String::with_capacity(declared.len());
    let (mut depth, mut quote) = (0_u32, None);
    for c in declared.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 => plain.push(c.to_ascii_lowercase()),
            _ => {}
        }
    }
    let all: Vec<_> = plain.split_ascii_whitespace().collect();
    all.windows(words.len()).any(|some| some == words)
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
        is_nullable: Some(!has_words(rest, &["not", "null"])),
        is_auto: Some(has_words(rest, &["auto_increment"])),
        generated: Vec::new(),
        default: Default::Unknown,
        members: Vec::new(),
    })
}

/// A row of `__all_virtual_column`.
#[derive(Clone, Copy, Debug)]
pub struct ColumnRow<'a> {
    /// `column_name`
    pub name: &'a [u8],
    /// `data_type`: an object type number.
    pub type_number: u32,
    /// `data_length`: characters of a text.
    pub length: i32,
    /// `data_precision`
    pub precision: i32,
    /// `data_scale`
    pub scale: i32,
    /// `nullable`
    pub is_nullable: bool,
    /// `autoincrement`
    pub is_auto: bool,
    /// `collation_type`
    pub collation: u32,
    /// `extended_type_info`: the members of ENUM and SET. Their number, then of each the length,
    /// the bytes and a 0; numbers as in bounds, 7 bits in a byte, the low ones first. Observed on
    /// seekdb 1.3.0.
    pub members: &'a [u8],
}

impl ColumnRow<'_> {
    /// The members of ENUM and SET; none if they cannot be read.
    pub(super) fn members(&self) -> Vec<Vec<u8>> {
        let mut rest = self.members;
        let read = |rest: &mut &[u8]| {
            let count = varint(rest)?;
            let mut all = Vec::new();
            for _ in 0..count {
                let len = usize::try_from(varint(rest)?).ok()?;
                all.push(rest.get(..len)?.to_vec());
                *rest = rest.get(len + 1..)?;
            }
            rest.is_empty().then_some(all)
        };
        match rest {
            [] => Vec::new(),
            _ => read(&mut rest).unwrap_or_default(),
        }
    }

    /// A column that is no key.
    pub(super) fn column(&self, product: Product) -> Option<Column> {
        let kind = Kind::of(self.type_number, product)?;
        let is_text = matches!(kind, Kind::Char | Kind::Varchar);
        let is_whole = matches!(kind, Kind::Int { .. });
        Some(Column {
            name: self.name.to_vec(),
            index: -1,
            kind,
            collation: Collation::of(self.collation),
            length: if is_text { self.length } else { -1 },
            precision: if is_whole { -1 } else { self.precision },
            scale: self.scale,
            is_unsigned: matches!(self.type_number, 6..=10 | 13 | 14 | 16),
            is_nullable: Some(self.is_nullable),
            is_auto: Some(self.is_auto),
            generated: Vec::new(),
            default: Default::Unknown,
            members: self.members(),
        })
    }
}

/// A number of 7 bits in a byte, the low ones first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(first & 0x7F) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
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

    /// As a kernel writes `enum('red','x y','a''b,','\u{6570}')`.
    const MEMBERS: &[u8] = b"\x04\x03red\0\x03x y\0\x04a'b,\0\x03\xE6\x95\xB0\0";

    #[test]
    fn rows_of_columns_are_read() {
        let row = ColumnRow {
            name: b"c",
            type_number: 32,
            length: 4,
            precision: -1,
            scale: -1,
            is_nullable: false,
            is_auto: false,
            collation: 45,
            members: MEMBERS,
        };
        let wanted = ["red", "x y", "a'b,", "\u{6570}"].map(|m| m.as_bytes().to_vec());
        assert_eq!(row.members(), wanted);
        for cut in 1..MEMBERS.len() {
            let members = &MEMBERS[..cut];
            assert!(ColumnRow { members, ..row }.members().is_empty(), "{cut}");
        }
        let of = |type_number, length, precision, scale| {
            let members = &[][..];
            let row = ColumnRow {
                type_number,
                length,
                precision,
                scale,
                members,
                ..row
            };
            row.column(Product::SeekDb)
        };
        // What the rows and the words of the same columns say is the same.
        for (row, words) in [
            (of(22, 30, -1, -1), "varchar(30) not null"),
            (of(39, 0, 10, 2), "decimal(10,2) not null"),
            (of(10, 0, 20, 0), "bigint unsigned not null"),
            (of(42, 0, 22, 3), "datetime(3) not null"),
            (of(31, 0, 5, 0), "bit(5) not null"),
        ] {
            let (row, words) = (row.expect(words), column(b"c", words, 45).expect(words));
            let facts = |c: &Column| (c.kind, c.length, c.is_unsigned, c.is_nullable);
            assert_eq!(facts(&row), facts(&words));
            if words.kind == Kind::DecimalInt {
                assert_eq!((row.precision, row.scale), (words.precision, words.scale));
            }
        }
        assert_eq!(of(36, 0, 0, 0), None, "JSON");
    }

    #[test]
    fn words_of_a_declaration_are_those_outside_of_strings() {
        for (declared, is_there) in [
            ("int NOT  NULL", true),
            ("int default 1 not null", true),
            ("int", false),
            ("varchar(9) default 'not null'", false),
            ("int comment \"it's not null\"", false),
            ("int check (k is not null)", false),
            ("int not\nnull", true),
            ("int knot null", false),
        ] {
            assert_eq!(
                has_words(declared, &["not", "null"]),
                is_there,
                "{declared}"
            );
        }
    }
}
