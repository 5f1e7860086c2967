//! The names of used tables as a file: what the next start looks up before anybody asks.
//!
//! ```text
//! obring locations 1
//! ob1<TAB>tenant<TAB>database<TAB>table
//! end 1
//! ```
//!
//! A name is UTF-8; a backslash and control characters are written `\x09`. The most used table
//! comes first. The last line counts the others, so that a file that was cut is known.

use crate::routing::TableKey;
use std::fmt;

const HEAD: &str = "obring locations 1";
/// Tables of one file.
const TABLES_MAX: usize = 4_096;
/// Longest file that is read.
pub const BYTES_MAX: usize = 4 << 20;

/// Why a file is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadSnapshot {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for BadSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The file of some tables; of more than 4,096 the first ones. Names that are no UTF-8 are left
/// out: no table has one.
#[must_use]
pub fn write<'k>(keys: impl Iterator<Item = &'k TableKey>) -> Vec<u8> {
    let mut text = format!("{HEAD}\n");
    let mut count = 0;
    for key in keys {
        let names = [
            key.cluster.as_bytes(),
            &key.tenant,
            &key.database,
            &key.name,
        ];
        let names: Result<Vec<_>, _> = names.into_iter().map(std::str::from_utf8).collect();
        let Ok(names) = names else { continue };
        for (name, at) in names.into_iter().zip(0..) {
            put_name(&mut text, name);
            text.push(if at < 3 { '\t' } else { '\n' });
        }
        count += 1;
        if count == TABLES_MAX {
            break;
        }
    }
    text.push_str(&format!("end {count}\n"));
    text.into_bytes()
}

fn put_name(text: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            '\\' | '\0'..='\x1F' | '\x7F' => text.push_str(&format!("\\x{:02x}", c as u32)),
            c => text.push(c),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// The first line that is wrong.
pub fn read(bytes: &[u8]) -> Result<Vec<TableKey>, BadSnapshot> {
    let bad = |line, what| Err(BadSnapshot { line, what });
    let Ok(text) = std::str::from_utf8(bytes) else {
        let whole = bytes.split(|b| *b == b'\n');
        let line = whole.take_while(|line| std::str::from_utf8(line).is_ok());
        return bad(line.count() + 1, "it is not UTF-8");
    };
    let mut lines = text.lines().zip(1..);
    if lines.next() != Some((HEAD, 1)) {
        return bad(1, "it is no list of locations of this version");
    }
    let mut keys: Vec<TableKey> = vec![];
    for (line, number) in &mut lines {
        if let Some(count) = line.strip_prefix("end ") {
            return match (count.parse() == Ok(keys.len()), lines.next()) {
                (false, _) => bad(number, "it counts other lines than there are"),
                (true, Some((_, behind))) => bad(behind, "it stands behind the end"),
                (true, None) => Ok(keys),
            };
        }
        let names: Option<Vec<_>> = line.split('\t').map(read_name).collect();
        let names = names.unwrap_or_default();
        let [cluster, tenant, database, name] = names.as_slice() else {
            return bad(number, "it is not four names");
        };
        if keys.len() == TABLES_MAX {
            return bad(number, "it is one table too many");
        }
        keys.push(TableKey {
            cluster: cluster.as_str().into(),
            tenant: tenant.as_bytes().into(),
            database: database.as_bytes().into(),
            name: name.as_bytes().into(),
        });
    }
    bad(keys.len() + 2, "the end is missing")
}

/// `None`: no name.
fn read_name(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut pieces = text.split('\\');
    name.push_str(pieces.next()?);
    for piece in pieces {
        let digits = piece.strip_prefix('x').and_then(|p| p.get(..2))?;
        name.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        name.push_str(piece.get(3..)?);
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(names: [&str; 4]) -> TableKey {
        TableKey {
            cluster: names[0].into(),
            tenant: names[1].as_bytes().into(),
            database: names[2].as_bytes().into(),
            name: names[3].as_bytes().into(),
        }
    }

    #[test]
    fn names_of_all_sorts_come_back() {
        let keys = [
            key(["ob1", "t", "d", "a b"]),
            key(["ob1", "t", "\u{6570}", "x\ty\\x09\n"]),
            key(["c", "T", "d", "`'\"end 1"]),
        ];
        let text = write(keys.iter());
        assert_eq!(read(&text), Ok(keys.to_vec()));
        assert_eq!(read(&write([].iter())), Ok(vec![]));
        let mut strange = key(["c", "t", "d", "n"]);
        strange.name = [0xFF].into();
        assert_eq!(read(&write([strange].iter())), Ok(vec![]));
        let many: Vec<_> = (0..5_000)
            .map(|n| key(["c", "t", "d", &n.to_string()]))
            .collect();
        assert_eq!(read(&write(many.iter())).expect("a file").len(), TABLES_MAX);
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_none() {
        let keys = [key(["c", "t", "d", "a"]), key(["c", "t", "d", "b"])];
        let whole = write(keys.iter());
        for cut in 0..whole.len() - 1 {
            assert!(read(&whole[..cut]).is_err(), "{cut} of {}", whole.len());
        }
        for (text, line, what) in [
            ("", 1, "it is no list of locations of this version"),
            (
                "obring locations 2\nend 0\n",
                1,
                "it is no list of locations of this version",
            ),
            (
                "obring locations 1\na\tb\tc\nend 1\n",
                2,
                "it is not four names",
            ),
            (
                "obring locations 1\na\tb\tc\t\\q\nend 1\n",
                2,
                "it is not four names",
            ),
            ("obring locations 1\na\tb\tc\td\n", 3, "the end is missing"),
            (
                "obring locations 1\na\tb\tc\td\nend 2\n",
                3,
                "it counts other lines than there are",
            ),
            (
                "obring locations 1\nend 0\nmore\n",
                3,
                "it stands behind the end",
            ),
        ] {
            assert_eq!(
                read(text.as_bytes()),
                Err(BadSnapshot { line, what }),
                "{text:?}"
            );
        }
        let broken = b"obring locations 1\na\tb\tc\t\xFF\nend 1\n";
        assert_eq!(read(broken).map_err(|e| e.line), Err(2));
    }
}
