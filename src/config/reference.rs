//! The text of `config/reference.md`.

use super::{Kind, TABLE};
use std::fmt::Write;

/// What stands above the table.
const HEAD: &str = include_str!("reference_head.md");

/// What stands below it.
const TAIL: &str = include_str!("reference_tail.md");

/// The text of `config/reference.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("| name | kind, unit | default | range | change | name of | since | meaning |\n");
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for row in TABLE {
        let default = match row.default {
            "" => "(empty)".to_owned(),
            default => format!("`{default}`"),
        };
        let range = match row.kind {
            Kind::Port | Kind::Int | Kind::Duration | Kind::Size | Kind::Text => row.allowed(),
            _ => String::new(),
        };
        let words: Vec<_> = row.doc.split_whitespace().collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | {range} | {} | {} | {} | {} |",
            row.name,
            row.kind.name(),
            row.reload.name(),
            row.origin.name(),
            row.since,
            words.join(" ").replace('|', "\\|"),
        );
    }
    text.push_str(TAIL);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn reference_file_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/reference.md");
        let text = super::reference();
        if std::env::var_os("OBRING_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            file == text,
            "{path} is old: OBRING_BLESS=1 cargo test --lib reference"
        );
    }
}
