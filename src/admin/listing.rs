//! A table as an answer, and the patterns that choose from it.

use crate::protocol::mysql::{ColumnKind, TextRows, status};

/// Longest answer; a longer one becomes an error. Source: OBProxy's `internal_cmd_mem_limited`.
const ANSWER_MAX: usize = 16 << 20;

/// A table to be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Listing {
    columns: Vec<(String, ColumnKind)>,
    rows: Vec<Vec<Option<String>>>,
}

impl Listing {
    /// No rows yet; a column whose name ends with `#` holds numbers and is shown without it.
    pub(super) fn new(columns: &[&'static str]) -> Self {
        let kind = |name: &&'static str| match name.strip_suffix('#') {
            Some(name) => (name.to_owned(), ColumnKind::Number),
            None => ((*name).to_owned(), ColumnKind::Text),
        };
        Self {
            columns: columns.iter().map(kind).collect(),
            rows: vec![],
        }
    }

    /// One row of texts.
    pub(super) fn one(columns: Vec<(String, Option<String>)>) -> Self {
        let (names, row): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        Self {
            columns: names
                .into_iter()
                .map(|name| (name, ColumnKind::Text))
                .collect(),
            rows: vec![row],
        }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, values: [Option<String>; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(values.into());
    }

    /// Packets from `seq` on; `None`: more than an answer may have.
    pub(super) fn packets(&self, seq: u8) -> Option<Vec<u8>> {
        let mut out = vec![];
        let mut rows = TextRows::begin(&mut out, seq, status::AUTOCOMMIT, &self.columns);
        let mut bytes = 0;
        for row in &self.rows {
            bytes += row.iter().flatten().map(|v| v.len() + 8).sum::<usize>();
            if bytes > ANSWER_MAX {
                return None;
            }
            rows.row(row.iter().map(|v| v.as_deref().map(str::as_bytes)));
        }
        rows.end();
        Some(out)
    }
}

/// SQL's LIKE, case sensitive: `%` any text, `_` one character, `\` takes the next as it is. An
/// empty pattern fits everything, as OBProxy has it.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    if pattern.is_empty() {
        return true;
    }
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `%`: only that one has to be tried again.
    let mut again: Option<(usize, usize)> = None;
    loop {
        let literal = match pattern.get(p) {
            Some('%') => {
                p += 1;
                again = Some((p, t));
                continue;
            }
            Some('_') => t < text.len(),
            Some('\\') if p + 1 < pattern.len() => {
                let fits = text.get(t) == pattern.get(p + 1);
                p += usize::from(fits);
                fits
            }
            Some(c) => text.get(t) == Some(c),
            None if t == text.len() => return true,
            None => false,
        };
        if literal {
            (p, t) = (p + 1, t + 1);
            continue;
        }
        let Some((after, from)) = again else {
            return false;
        };
        if from >= text.len() {
            return false;
        }
        again = Some((after, from + 1));
        (p, t) = (after, from + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("", "x", true),
            ("%", "", true),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%b%d", "abcbd", true),
            ("%b%d", "abcbe", false),
            ("A%", "abc", false),
            ("a\\_c", "abc", false),
            ("a\\_c", "a_c", true),
            ("%_x", "ax", true),
            ("_", "ü", true),
            ("abc", "ab", false),
            ("ab", "abc", false),
        ] {
            assert_eq!(like(pattern, text), fits, "{text:?} like {pattern:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        assert!(!like(&"%a".repeat(500), &"a".repeat(400)));
    }
}
