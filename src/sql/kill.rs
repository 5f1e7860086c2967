//! KILL, recognised so that the victim's lost connection is no failure.

/// The connection id that `KILL id` or `KILL CONNECTION id` ends. `None` for anything else, KILL
/// QUERY and ids that are expressions included: they end no connection, or nobody knows which.
#[must_use]
pub fn kill_target(statement: &[u8]) -> Option<u32> {
    let rest = word(blank(statement), b"kill")?;
    let rest = word(rest, b"connection").unwrap_or(rest);
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, tail) = rest.split_at(digits);
    let tail = blank(tail);
    let is_end = tail.is_empty() || tail.first() == Some(&b';');
    std::str::from_utf8(number)
        .ok()?
        .parse()
        .ok()
        .filter(|_| is_end)
}

/// Skips white space and comments.
fn blank(text: &[u8]) -> &[u8] {
    let mut rest = text.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"/*") {
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
    fn only_a_kill_of_a_connection_has_a_target() {
        for (text, want) in [
            ("kill 12", Some(12)),
            (
                " /* x */ KILL /**/ CONNECTION\n 4294967295 ; select 1",
                Some(u32::MAX),
            ),
            ("kill 4294967296", None),
            ("kill query 12", None),
            ("kill connection_id()", None),
            ("kill 12+1", None),
            ("kill12", None),
            ("killer 12", None),
            ("select 1", None),
            ("kill", None),
            ("/* kill 12", None),
            ("", None),
        ] {
            assert_eq!(kill_target(text.as_bytes()), want, "{text}");
        }
    }
}
