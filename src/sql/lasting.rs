//! Statements that need more than their own server connection.
//!
//! Most of what a statement leaves in a session is told by the server with the reply. Some is not:
//! a session that may have such state cannot go on another server connection.

use memchr::memchr;

/// Verbs after which a session may have state that servers do not tell. `SET` tells most of it,
/// but not roles.
const LEAVING: &[&[u8]] = &[
    b"ALTER",
    b"CALL",
    b"CREATE",
    b"DEALLOCATE",
    b"EXECUTE",
    b"HANDLER",
    b"LOCK",
    b"PREPARE",
    b"SET",
    b"UNLOCK",
    b"XA",
];

/// Words that ask for something of the statement before.
const LOOKING_BACK: &[&[u8]] = &[
    b"found_rows",
    b"row_count",
    b"warning",
    b"show errors",
    b"error_count",
    b"diagnostics",
    b"trace",
];

/// True if the session may have state after this statement that its server does not tell: text
/// prepares, roles, table locks, what procedures do. `false` is certain; a front of the statement
/// of any length will do, and the shorter it is the more often the answer is `true`.
#[must_use]
pub fn may_leave_state(statement: &[u8]) -> bool {
    let Some(statement) = past_space(statement) else {
        return true;
    };
    let is_letter = |b: &&u8| b.is_ascii_alphabetic();
    let verb = statement.iter().take_while(is_letter).count();
    let (verb, rest) = statement.split_at(verb);
    if verb.is_empty() || rest.is_empty() {
        // A bracket may stand in front of a SELECT; anything else is not known.
        return statement.first() != Some(&b'(')
            && !verb.eq_ignore_ascii_case(b"BEGIN")
            && !verb.eq_ignore_ascii_case(b"COMMIT")
            && !verb.eq_ignore_ascii_case(b"ROLLBACK");
    }
    LEAVING.iter().any(|v| verb.eq_ignore_ascii_case(v))
}

/// True if more statements may follow the first one.
#[must_use]
pub fn may_be_several(text: &[u8]) -> bool {
    let Some(end) = memchr(b';', text) else {
        return false;
    };
    let rest = text.get(end + 1..).unwrap_or_default();
    !rest.iter().all(|b| b.is_ascii_whitespace() || *b == b';')
}

/// True if the statement may ask for something that the one before has left: warnings, counts of
/// rows, a trace.
#[must_use]
pub fn looks_back(statement: &[u8]) -> bool {
    LOOKING_BACK.iter().any(|word| has_word(statement, word))
}

/// Finds `word` in any case.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|w| w.eq_ignore_ascii_case(word))
}

/// Skips space and comments; `None` if a comment does not end, or may be a statement itself.
fn past_space(text: &[u8]) -> Option<&[u8]> {
    let mut text = text;
    loop {
        text = text.trim_ascii_start();
        if text.starts_with(b"/*!") {
            return None;
        }
        if let Some(comment) = text.strip_prefix(b"/*") {
            let end = comment.windows(2).position(|w| w == b"*/")?;
            text = comment.get(end + 2..)?;
        } else if text.starts_with(b"#") || text.starts_with(b"--") {
            let end = memchr(b'\n', text)?;
            text = text.get(end..)?;
        } else {
            return Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_leave_state() {
        for (statement, leaves) in [
            ("select 1", false),
            ("  /* c */ -- d\n SELECT 1", false),
            ("(select 1)", false),
            ("insert into t values(1)", false),
            ("begin", false),
            ("COMMIT", false),
            ("show warnings", false),
            ("prepare p from 'select 1'", true),
            ("/*x*/Set role none", true),
            ("call p()", true),
            ("lock tables t read", true),
            ("create temporary table t(a int)", true),
            ("xa start 'x'", true),
            ("/*!50000 prepare p from 'x' */", true),
            ("/* no end", true),
            ("sel", true),
            ("", true),
            ("# only a comment", true),
        ] {
            assert_eq!(may_leave_state(statement.as_bytes()), leaves, "{statement}");
        }
    }

    #[test]
    fn what_looks_back_and_what_is_several() {
        for (statement, back) in [
            ("select 1", false),
            ("SHOW WARNINGS", true),
            ("show count(*) warnings", true),
            ("select FOUND_ROWS()", true),
            ("select 1, row_count()", true),
            ("select @@warning_count", true),
            ("get diagnostics @a = number", true),
        ] {
            assert_eq!(looks_back(statement.as_bytes()), back, "{statement}");
        }
        for (text, several) in [
            ("select 1", false),
            ("select 1; ;\n", false),
            ("select 1; select 2", true),
            ("select ';'", true),
        ] {
            assert_eq!(may_be_several(text.as_bytes()), several, "{text}");
        }
    }
}
