//! Tab-separated files with a line of names.

use std::collections::HashMap;
use std::path::Path;

/// One line, by column name.
pub(super) struct Row {
    fields: HashMap<String, String>,
}

impl Row {
    /// From names and values.
    pub(super) fn of(names: &[&str], values: Vec<Option<String>>) -> Self {
        let fields = names.iter().zip(values);
        let known = fields.filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Self {
            fields: known.collect(),
        }
    }

    /// A field; empty for NULL and for columns that are not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// True for a column that is there and not NULL.
    pub(super) fn is_there(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A field that is a number; 0 if it is none.
    pub(super) fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.text(name).parse().unwrap_or_default()
    }

    /// A field that holds bytes in hexadecimal; `None` for NULL.
    pub(super) fn hex(&self, name: &str) -> Option<Vec<u8>> {
        let text = self.fields.get(name)?;
        let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
        let byte = |pair: &[u32]| pair.iter().fold(0, |n, d| (n << 4) | *d as u8);
        digits.map(|d| d.chunks(2).map(byte).collect())
    }

    /// A field that holds JSON.
    pub(super) fn json(&self, name: &str) -> Result<serde_json::Value, String> {
        serde_json::from_str(self.text(name)).map_err(|e| format!("{name}: {e}"))
    }
}

/// All lines of a file; none if there is no such file.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn read(folder: &Path, name: &str) -> Result<Vec<Row>, String> {
    let path = folder.join(format!("partition_{name}.tsv"));
    if !path.exists() {
        return Ok(vec![]);
    }
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines = text.split('\n').filter(|l| !l.is_empty());
    let names: Vec<_> = lines.next().unwrap_or_default().split('\t').collect();
    let row = |line: &str| {
        let fields = names.iter().zip(line.split('\t'));
        let known = fields.filter(|(_, value)| *value != "\\N");
        let fields = known.map(|(name, value)| ((*name).to_owned(), unescaped(value)));
        Row {
            fields: fields.collect(),
        }
    };
    Ok(lines.map(row).collect())
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unescaped() {
        assert_eq!(unescaped(r"a\tb\\n\n"), "a\tb\\n\n");
    }
}
