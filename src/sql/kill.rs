//! KILL of a session or of what it runs.

use serde::{Deserialize, Serialize};

/// What a KILL ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kill {
    /// Connection id of the victim.
    pub id: u32,
    /// Only the statement that it runs.
    pub is_query: bool,
}

impl Kill {
    /// Reads `KILL [CONNECTION | QUERY] id` that stands alone. `None` for anything else, ids that
    /// are expressions included: a server knows what they mean.
    #[must_use]
    pub fn read(statement: &[u8]) -> Option<Self> {
        let rest = word(blank(statement), b"kill")?;
        let (is_query, rest) = match word(rest, b"query") {
            Some(rest) => (true, rest),
            None => (false, word(rest, b"connection").unwrap_or(rest)),
        };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, tail) = rest.split_at(digits);
        let tail = blank(tail);
        let tail = blank(tail.strip_prefix(b";").unwrap_or(tail));
        let id = std::str::from_utf8(number).ok()?.parse().ok()?;
        tail.is_empty().then_some(Self { id, is_query })
    }
}

/// Skips white space and comments.
fn blank(text: &[u8]) -> &[u8] {
    let mut rest = text.trim_ascii_start();
    // What servers execute although it looks like a comment is none.
    while let Some(comment) = rest.strip_prefix(b"/*").filter(|c| !c.starts_with(b"!")) {
        let Some(end) = comment.windows(2).position(|w| w == b"*/") else {
            return &[];
        };
        rest = comment
            .get(end + 2..)
            .unwrap_or_default()
            .trim_ascii_start();
    }
    rest
}

/// Skips a word and what separates it from the next.
fn word<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = text.split_at_checked(name.len())?;
    let rest = blank(tail);
    (head.eq_ignore_ascii_case(name) && rest.len() < tail.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_that_stands_alone_names_its_victim() {
        let of = |id, is_query| Some(Kill { id, is_query });
        for (text, want) in [
            ("kill 12", of(12, false)),
            ("KILL QUERY 12 ;", of(12, true)),
            (
                " /* x */ KILL /**/ CONNECTION\n 4294967295 ; /* y */",
                of(u32::MAX, false),
            ),
            ("kill 12; select 1", None),
            ("kill 12;;", None),
            ("kill 4294967296", None),
            ("kill connection_id()", None),
            ("kill 12+1", None),
            ("kill query", None),
            ("kill query query 12", None),
            ("/*! x */ kill 12", None),
            ("kill12", None),
            ("killer 12", None),
            ("", None),
            ("kill", None),
            ("/* kill 12", None),
        ] {
            assert_eq!(Kill::read(text.as_bytes()), want, "{text}");
        }
    }
}
