//! What kind of statement it is.

use super::text::{Piece, Text};
use crate::verdict::{Reason, Verdict, VerdictKind};
use serde::{Deserialize, Serialize};

/// The kinds of statements that are counted apart.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// SELECT and the like.
    Read,
    /// UPDATE and DELETE.
    Write,
    /// INSERT and REPLACE.
    Insert,
    /// All others.
    #[default]
    Other,
}

/// What a statement counts as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Class {
    /// Its kind.
    pub verb: Verb,
    /// It came as the execution of a prepared statement.
    pub is_prepared: bool,
    /// A read that may see old rows, by a hint or by `ob_read_consistency`.
    pub is_weak: bool,
}

impl Class {
    /// The names that it counts under: its verb, `prepared`, `weak`, and `multi_partition` by what
    /// it touches.
    #[must_use]
    pub fn names(&self, verdict: &Verdict) -> Vec<&'static str> {
        let mut names = vec![match self.verb {
            Verb::Read => "read",
            Verb::Write => "write",
            Verb::Insert => "insert",
            Verb::Other => "other",
        }];
        if self.is_prepared {
            names.push("prepared");
        }
        if self.is_weak {
            names.push("weak");
        }
        let leaves: usize = verdict.tables.iter().map(|t| t.leaves.len()).sum();
        let is_known = matches!(verdict.kind, VerdictKind::Exact | VerdictKind::Superset);
        if is_known && leaves > 1 {
            names.push("multi_partition");
        }
        names
    }
}

/// What the judge does with a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    /// EXPLAIN takes it.
    Explain(Verb),
    /// PREPARE of text.
    Prepare,
    /// EXECUTE of text.
    Execute,
    /// DEALLOCATE or DROP PREPARE.
    Deallocate,
    /// The verdict is this, without a question.
    Say(VerdictKind, Reason),
}

/// The place of the verb: behind hints and brackets.
fn verb(text: &Text<'_>) -> usize {
    let skipped = |at: &usize| matches!(text.piece(*at), Some(Piece::Hint | Piece::Sign(b'(')));
    (0..text.tokens.len()).take_while(skipped).count()
}

/// What is done with a statement, by its first words.
pub(super) fn ask(text: &Text<'_>) -> Ask {
    let at = verb(text);
    let is = |words: &[&str]| text.is_any(at, words);
    if is(&["select"]) || is(&["with"]) {
        return Ask::Explain(with_verb(text, at));
    }
    if is(&["update", "delete"]) {
        return Ask::Explain(Verb::Write);
    }
    if is(&["insert", "replace"]) {
        return Ask::Explain(Verb::Insert);
    }
    if is(&["prepare"]) {
        return Ask::Prepare;
    }
    if is(&["execute"]) {
        return Ask::Execute;
    }
    if is(&["deallocate"]) || is(&["drop"]) && text.is_word(at + 1, "prepare") {
        return Ask::Deallocate;
    }
    if is(&[
        "create",
        "alter",
        "drop",
        "truncate",
        "rename",
        "purge",
        "flashback",
        "analyze",
        "optimize",
        "comment",
        "grant",
        "revoke",
    ]) {
        return Ask::Say(VerdictKind::Unknown, Reason::Definition);
    }
    if is(&["load"]) {
        return Ask::Say(VerdictKind::Unknown, Reason::LoadData);
    }
    Ask::Say(VerdictKind::NoTable, Reason::Verb)
}

/// WITH may stand in front of a write.
fn with_verb(text: &Text<'_>, at: usize) -> Verb {
    if !text.is_word(at, "with") {
        return Verb::Read;
    }
    let mut at = at + 1;
    while at < text.tokens.len() {
        if text.is_sign(at, b'(') {
            match text.behind(at) {
                Some(behind) => at = behind,
                None => return Verb::Read,
            }
            continue;
        }
        if text.is_any(at, &["update", "delete"]) {
            return Verb::Write;
        }
        if text.is_word(at, "select") {
            return Verb::Read;
        }
        at += 1;
    }
    Verb::Read
}

/// The kind of a statement.
pub(super) fn kind(text: &Text<'_>) -> Verb {
    match ask(text) {
        Ask::Explain(verb) => verb,
        _ => Verb::Other,
    }
}

/// True where a hint asks for a weak read, or the session does and no hint asks for a strong one.
pub(super) fn is_weak(text: &Text<'_>, consistency: Option<&[u8]>) -> bool {
    if kind(text) != Verb::Read || is_locking(text) {
        return false;
    }
    for (at, token) in text.tokens.iter().enumerate() {
        if token.piece != Piece::Hint {
            continue;
        }
        let hint = String::from_utf8_lossy(text.of(at)).to_ascii_lowercase();
        let hint: String = hint.chars().filter(|c| !c.is_whitespace()).collect();
        if hint.contains("read_consistency(weak)") {
            return true;
        }
        if hint.contains("read_consistency(strong)") {
            return false;
        }
    }
    // Names on this kernel, numbers on others.
    consistency.is_some_and(|v| v == b"2" || v.eq_ignore_ascii_case(b"weak"))
}

fn is_locking(text: &Text<'_>) -> bool {
    let mut each = 0..text.tokens.len();
    each.any(|at| text.is_word(at, "for") && text.is_any(at + 1, &["update", "share"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Touched;

    fn text(sql: &str) -> Text<'_> {
        Text::read(sql.as_bytes()).unwrap()
    }

    #[test]
    fn verbs_are_told_apart() {
        let explain = |verb| Ask::Explain(verb);
        let say = |kind, reason| Ask::Say(kind, reason);
        let nothing = say(VerdictKind::NoTable, Reason::Verb);
        let ddl = say(VerdictKind::Unknown, Reason::Definition);
        for (sql, want) in [
            ("((select 1) union select 2)", explain(Verb::Read)),
            ("/*+ x */ select 1", explain(Verb::Read)),
            ("with a as (select 1) select * from a", explain(Verb::Read)),
            ("with a as (select 1) delete from t", explain(Verb::Write)),
            ("update t set a=1", explain(Verb::Write)),
            ("replace t values(1)", explain(Verb::Insert)),
            ("prepare s from 'select 1'", Ask::Prepare),
            ("execute s using @a", Ask::Execute),
            ("drop prepare s", Ask::Deallocate),
            ("deallocate prepare s", Ask::Deallocate),
            ("drop table t", ddl),
            ("truncate t", ddl),
            (
                "load data infile 'x' into table t",
                say(VerdictKind::Unknown, Reason::LoadData),
            ),
            ("begin", nothing),
            ("explain select 1", nothing),
            ("call p()", nothing),
            ("", nothing),
        ] {
            assert_eq!(ask(&text(sql)), want, "{sql}");
        }
    }

    #[test]
    fn weak_reads_are_asked_for_by_hint_or_by_variable() {
        let hint = "select /*+ READ_CONSISTENCY( weak ) */ 1 from t";
        assert!(is_weak(&text(hint), None));
        assert!(is_weak(&text("select 1 from t"), Some(b"WEAK")));
        assert!(is_weak(&text("select 1 from t"), Some(b"2")));
        let strong = "select /*+ read_consistency(strong) */ 1 from t";
        assert!(!is_weak(&text(strong), Some(b"WEAK")));
        assert!(!is_weak(&text("select 1 from t for update"), Some(b"WEAK")));
        assert!(!is_weak(&text("update t set a=1"), Some(b"WEAK")));
        assert!(!is_weak(&text("select 1 from t"), Some(b"STRONG")));
    }

    #[test]
    fn a_statement_counts_under_each_of_its_names() {
        let class = Class {
            verb: Verb::Read,
            is_prepared: true,
            is_weak: true,
        };
        let mut verdict = Verdict::without_tables(VerdictKind::Exact, None);
        assert_eq!(class.names(&verdict), ["read", "prepared", "weak"]);
        verdict.tables.push(Touched {
            leaves: vec![1, 2],
            ..Touched::default()
        });
        let names = class.names(&verdict);
        assert_eq!(names, ["read", "prepared", "weak", "multi_partition"]);
    }
}
