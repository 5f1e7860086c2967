//! COM_FIELD_LIST: the columns of a table.

use super::data::Data;
use super::execute::Stop;
use super::reply::{Definition, Failure};
use super::session::Session;
use super::statement::TableName;

/// What stands behind a definition: no default value (observed on seekdb 1.3.0.post5).
const NO_DEFAULT: [u8; 3] = [0; 3];

/// A table name without quotes and blanks: `table` or `database.table`.
fn table_name(text: &str) -> Option<TableName> {
    let is_plain = |name: &str| {
        let mut chars = name.chars();
        !name.is_empty() && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let (database, name) = match text.split_once('.') {
        Some((database, name)) => (Some(database.to_owned()), name),
        None => (None, text),
    };
    let is_known = is_plain(name) && database.as_deref().is_none_or(is_plain);
    is_known.then(|| TableName {
        database,
        name: name.to_owned(),
        alias: None,
    })
}

/// True if a name is LIKE this pattern. Without escapes: none of these names needs one.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    match (name, pattern) {
        (_, []) => name.is_empty(),
        (_, [b'%', rest @ ..]) => (0..=name.len()).any(|at| {
            let tail = name.get(at..).unwrap_or_default();
            is_like(tail, rest)
        }),
        ([n, name @ ..], [p, rest @ ..]) if *p == b'_' || n.eq_ignore_ascii_case(p) => {
            is_like(name, rest)
        }
        _ => false,
    }
}

/// Longest pattern that is looked at.
const PATTERN_MAX: usize = 16;

impl Session {
    /// Body: the table, a NUL, and a pattern of columns; without a pattern all of them.
    pub(super) fn field_list(&mut self, data: &mut Data, body: &[u8], out: &mut Vec<u8>) {
        // Without a NUL the kernel reads on behind the packet.
        let Some(end) = body.iter().position(|b| *b == 0) else {
            return self.answer(data, Err(Failure::unsupported()), out);
        };
        let name = std::str::from_utf8(body.get(..end).unwrap_or_default());
        let pattern = body.get(end + 1..).unwrap_or_default();
        let table = name.ok().and_then(table_name);
        let Some(table) = table.filter(|_| pattern.len() <= PATTERN_MAX) else {
            return self.answer(data, Err(Failure::unsupported()), out);
        };
        let run = self.runner(data, 0, 0, false, &[]);
        let shape = run.table(&table).and_then(|place| run.shape(place));
        let shape = match shape {
            Ok(shape) => shape,
            Err(Stop::Failure(failure)) => return self.answer(data, Err(failure), out),
            Err(_) => return self.answer(data, Err(Failure::unsupported()), out),
        };
        let place = data.table(&table.name);
        let found = place.and_then(|p| data.tables.get(p));
        let stored = found.map_or("", |t| &t.name);
        let database = &data.layout.database;
        for column in shape.columns() {
            if pattern.is_empty() || is_like(column.name.as_bytes(), pattern) {
                let definition = Definition::of(database, stored, None, column);
                self.packets.put(|b| {
                    definition.put(b);
                    b.extend_from_slice(&NO_DEFAULT);
                });
            }
        }
        let bits = self.state.bits();
        self.packets.eof(bits);
        self.terminal();
        self.flush(data, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_names() {
        for (name, pattern, is_so) in [
            ("pad", "%", true),
            ("pad", "p_d", true),
            ("pad", "P%", true),
            ("pad", "%k%", false),
            ("k", "%k%", true),
            ("id", "i", false),
            ("id", "id_", false),
        ] {
            assert_eq!(
                is_like(name.as_bytes(), pattern.as_bytes()),
                is_so,
                "{pattern}"
            );
        }
        assert_eq!(table_name("a.b").unwrap().database, Some("a".into()));
        assert_eq!(table_name("`a`"), None);
        assert_eq!(table_name(""), None);
    }
}
