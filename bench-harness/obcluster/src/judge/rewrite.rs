//! INSERT and REPLACE, taken apart so that EXPLAIN can be asked about each row: it names no leaves
//! for VALUES and SET, but it does for `INSERT INTO t (columns) SELECT values`.

use super::text::{Piece, Text};
use crate::verdict::Reason;
use std::ops::Range;

/// Rows of one statement that are asked about; each costs an EXPLAIN.
pub(super) const ROWS_MAX: usize = 256;

/// Words whose value is another one each time, or what another statement left.
const VOLATILE: &[&str] = &[
    "now",
    "sysdate",
    "current_timestamp",
    "current_date",
    "current_time",
    "curdate",
    "curtime",
    "localtime",
    "localtimestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "unix_timestamp",
    "rand",
    "random",
    "uuid",
    "uuid_short",
    "sys_guid",
    "nextval",
    "currval",
    "last_insert_id",
    "found_rows",
    "row_count",
    "connection_id",
    "sleep",
    "get_lock",
    "release_lock",
    "is_free_lock",
    "is_used_lock",
];

/// A table as a statement names it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Name {
    /// Its database, where it is named.
    pub(super) database: Option<String>,
    pub(super) table: String,
}

/// Where the rows of an INSERT come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// Values: for each row the pieces of each.
    Rows(Vec<Vec<Range<usize>>>),
    /// A query.
    Query,
}

/// An INSERT or REPLACE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Insert {
    pub(super) target: Name,
    /// `INSERT IGNORE INTO t PARTITION (p)`, for EXPLAIN.
    head: Vec<u8>,
    /// Its list of columns, in lower case; none where it has no list.
    pub(super) columns: Option<Vec<String>>,
    pub(super) source: Source,
    /// What stands behind the rows reads tables.
    pub(super) has_query_behind: bool,
}

/// What is known of the target's columns.
pub(super) struct Columns<'a> {
    /// All, in order, in lower case.
    pub(super) all: &'a [String],
    /// Those of its partition keys.
    pub(super) keys: &'a [String],
    /// Those among the keys that are dates or times.
    pub(super) moments: &'a [String],
    /// A key is calculated from other columns.
    pub(super) has_generated_key: bool,
}

/// One row, as EXPLAIN is to be asked about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    /// The statement behind EXPLAIN.
    pub(super) sql: Vec<u8>,
    /// Its parameters, by their place in the whole statement.
    pub(super) marks: Vec<usize>,
    /// Those among them that are values of keys which are dates or times.
    pub(super) moments: Vec<usize>,
}

impl Insert {
    /// Takes an INSERT or REPLACE apart; `None`: it is none that is understood.
    pub(super) fn read(text: &Text<'_>) -> Option<Self> {
        let verb = (0..text.tokens.len()).find(|at| text.piece(*at) != Some(Piece::Hint))?;
        let mut head = match () {
            () if text.is_word(verb, "insert") => b"INSERT ".to_vec(),
            () if text.is_word(verb, "replace") => b"REPLACE ".to_vec(),
            () => return None,
        };
        let mut at = verb + 1;
        while text.piece(at) == Some(Piece::Hint) {
            at += 1;
        }
        while text.is_any(at, &["low_priority", "delayed", "high_priority"]) {
            at += 1;
        }
        if text.is_word(at, "ignore") {
            head.extend_from_slice(b"IGNORE ");
            at += 1;
        }
        at += usize::from(text.is_word(at, "into"));
        head.extend_from_slice(b"INTO ");
        let from = at;
        let (target, mut at) = name(text, at)?;
        if text.is_word(at, "partition") && text.is_sign(at + 1, b'(') {
            at = text.behind(at + 1)?;
        }
        head.extend_from_slice(text.span(from..at));
        let mut columns = None;
        if text.is_sign(at, b'(') && !is_query(text, at + 1) {
            let end = text.behind(at)?;
            let list = text.split(at + 1..end - 1);
            let names: Option<Vec<_>> = list.into_iter().map(|r| column(text, r)).collect();
            columns = Some(names?);
            at = end;
        }
        let (source, behind) = if text.is_any(at, &["values", "value"]) {
            let (rows, at) = rows(text, at + 1)?;
            (Source::Rows(rows), at)
        } else if text.is_word(at, "set") && columns.is_none() {
            let (names, values, at) = assignments(text, at + 1)?;
            columns = Some(names);
            (Source::Rows(vec![values]), at)
        } else if is_query(text, at) {
            (Source::Query, text.tokens.len())
        } else {
            return None;
        };
        let has_query_behind = (behind..text.tokens.len()).any(|at| text.is_word(at, "select"));
        Some(Self {
            target,
            head,
            columns,
            source,
            has_query_behind,
        })
    }

    /// What EXPLAIN is to be asked about a row; or why it cannot say.
    pub(super) fn row(
        &self,
        text: &Text<'_>,
        values: &[Range<usize>],
        known: &Columns<'_>,
    ) -> Result<Row, Reason> {
        let names = self.columns.as_deref().unwrap_or(known.all);
        if values.is_empty() {
            return Err(Reason::Default);
        }
        if names.len() != values.len() {
            // The statement will fail, unless the columns are not known.
            return Err(Reason::Rewrite);
        }
        let is_key = |name: &String| known.keys.contains(name);
        let is_left_out = |key: &String| !names.contains(key);
        if !known.has_generated_key && known.keys.iter().any(is_left_out) {
            return Err(Reason::Default);
        }
        let (mut list, mut row) = (vec![], Row::empty());
        let mut selected: Vec<&[u8]> = vec![];
        for (name, value) in names.iter().zip(values) {
            let decides = is_key(name) || known.has_generated_key;
            if is_default(text, value) {
                if decides {
                    return Err(Reason::Default);
                }
                continue;
            }
            if decides && is_volatile(text, value.clone()) {
                return Err(Reason::Volatile);
            }
            let is_moment = known.moments.contains(name);
            if is_moment && has_fraction(text, value.clone()) {
                return Err(Reason::Fraction);
            }
            let marks = marks(text, value.clone());
            if is_moment {
                row.moments.extend(&marks);
            }
            row.marks.extend(marks);
            list.push(format!("`{}`", name.replace('`', "``")));
            selected.push(text.span(value.clone()));
        }
        row.sql = [
            &self.head,
            format!(" ({}) SELECT ", list.join(", ")).as_bytes(),
            &selected.join(&b", "[..]),
        ]
        .concat();
        Ok(row)
    }
}

impl Row {
    const fn empty() -> Self {
        Self {
            sql: vec![],
            marks: vec![],
            moments: vec![],
        }
    }
}

/// A table's name at `at`, and the piece behind it.
pub(super) fn name(text: &Text<'_>, at: usize) -> Option<(Name, usize)> {
    let first = text.name(at)?;
    if !text.is_sign(at + 1, b'.') {
        let database = None;
        return Some((
            Name {
                database,
                table: first,
            },
            at + 1,
        ));
    }
    let table = text.name(at + 2)?;
    let database = Some(first);
    Some((Name { database, table }, at + 3))
}

/// The last part of a column's name, in lower case.
fn column(text: &Text<'_>, tokens: Range<usize>) -> Option<String> {
    let last = tokens.end.checked_sub(1)?;
    let is_plain = tokens.len() == 1 || text.is_sign(last.checked_sub(1)?, b'.');
    let name = text.name(last).filter(|_| is_plain && !tokens.is_empty());
    name.map(|n| n.to_lowercase())
}

fn is_query(text: &Text<'_>, mut at: usize) -> bool {
    while text.is_sign(at, b'(') {
        at += 1;
    }
    text.is_any(at, &["select", "with", "table"])
        || text.is_word(at, "values") && text.is_word(at + 1, "row")
}

/// The rows of VALUES, and the piece behind them.
fn rows(text: &Text<'_>, mut at: usize) -> Option<(Vec<Vec<Range<usize>>>, usize)> {
    let mut rows = vec![];
    loop {
        // VALUES ROW(...) is a query to the kernel's grammar, and the same rows.
        at += usize::from(text.is_word(at, "row"));
        if !text.is_sign(at, b'(') {
            return None;
        }
        let end = text.behind(at)?;
        rows.push(text.split(at + 1..end - 1));
        if !text.is_sign(end, b',') {
            return Some((rows, end));
        }
        at = end + 1;
    }
}

/// The assignments of SET: columns, values, and the piece behind them.
fn assignments(text: &Text<'_>, at: usize) -> Option<(Vec<String>, Vec<Range<usize>>, usize)> {
    let end = (at..text.tokens.len())
        .find(|i| text.is_word(*i, "on") && text.is_word(i + 1, "duplicate"))
        .unwrap_or(text.tokens.len());
    let (mut names, mut values) = (vec![], vec![]);
    for item in text.split(at..end) {
        let sign = item.clone().find(|i| text.is_sign(*i, b'='))?;
        names.push(column(text, item.start..sign)?);
        values.push(sign + 1..item.end);
    }
    Some((names, values, end))
}

fn is_default(text: &Text<'_>, value: &Range<usize>) -> bool {
    value.is_empty() || text.is_word(value.start, "default")
}

/// True where a value is another one each time.
pub(super) fn is_volatile(text: &Text<'_>, mut tokens: Range<usize>) -> bool {
    tokens.any(|at| {
        let is_assigned = text.is_sign(at, b':') && text.is_sign(at + 1, b'=');
        is_assigned || text.is_any(at, VOLATILE)
    })
}

/// True where a time may have a fraction: INSERT rounds it to the column, SELECT does not.
fn has_fraction(text: &Text<'_>, mut tokens: Range<usize>) -> bool {
    tokens.any(|at| match text.piece(at) {
        Some(Piece::Text | Piece::Number) => {
            let mut pairs = text.of(at).windows(2);
            pairs.any(|pair| matches!(pair, [b'.', d] if d.is_ascii_digit()))
        }
        _ => false,
    })
}

/// The parameters among some pieces, by their place in the whole text.
fn marks(text: &Text<'_>, tokens: Range<usize>) -> Vec<usize> {
    let is_mark = |at: &usize| text.piece(*at) == Some(Piece::Mark);
    let before = (0..tokens.start).filter(is_mark).count();
    let here = tokens.filter(is_mark).count();
    (before..before + here).collect()
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
