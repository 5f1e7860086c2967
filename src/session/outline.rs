//! What a request says of itself: what binds the session after it, and what it asks for.

use super::pin::{Pin, Pins};
use crate::protocol::mysql::Command;
use crate::sql::{Explain, Expr, Scan, Scope, Syntax, Verb, bare_name};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::{NonZeroU32, NonZeroU64};

/// What a request asks for of earlier statements. Observed on seekdb 1.3.0.post5.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Past {
    /// Anything else, or more than one thing.
    #[default]
    Any,
    /// `found_rows()` only: about the last statement with a result set, whatever ran since.
    FoundRows,
    /// `row_count()` only: about the last statement that did not fail and is no BEGIN, COMMIT or
    /// ROLLBACK; a PREPARE, a PING and a change of database by a command leave it alone.
    RowCount,
}

/// Whether all of a request's text is here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Cut {
    /// All of it.
    #[default]
    No,
    /// The front, where a statement about rows stands.
    Rows,
    /// The front, where another one stands.
    Other,
}

/// What a request says of itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Outline {
    /// It asks for what the statement before has left: warnings, counts of rows, a trace.
    pub(super) looks_back: bool,
    /// What of it.
    pub(super) past: Past,
    /// It changes `row_count()` unless it fails.
    pub(super) counts_rows: bool,
    /// It may have a result set.
    pub(super) has_rows: bool,
    /// It may be several statements: an error of one says nothing about the others.
    pub(super) is_several: bool,
    /// It may read or set user variables.
    pub(super) has_user_variables: bool,
    /// It may bind the session to its link.
    pub(super) may_bind: bool,
    /// It names tables, or is no statement.
    pub(super) names_tables: bool,
    /// What it sets them to has a type that the reported literal does not tell.
    pub(super) sets_vaguely: bool,
    /// It is a SET or a definition: a server says that something has changed even where it names
    /// nothing, as CREATE USER and DROP USER do. Observed on seekdb 1.3.0.post5.
    pub(super) sets: bool,
    /// It begins a transaction, and nothing else: no server need know before the statement behind
    /// it.
    pub(super) begins: bool,
    /// It reads or writes rows of tables, and nothing else: within a transaction it may run on
    /// another server than the one before.
    pub(super) moves: bool,
    /// It reads or writes rows of tables, or is about a savepoint: an open transaction stays open,
    /// and nothing else of the session changes but user variables and what the next statement may
    /// ask for.
    pub(super) keeps_transaction: bool,
    /// Its server ends it after `ob_query_timeout`, or after the time of its hint. Not so of DDL,
    /// CALL, LOAD DATA, DO and SET (`DO SLEEP(5)`: observed on seekdb 1.3.0.post5).
    pub(super) is_timed: bool,
    /// The time of its hint, in milliseconds.
    pub(super) timeout_ms: Option<NonZeroU32>,
    /// Whether all of it is here.
    pub(super) cut: Cut,
    /// The name that PREPARE gives a statement, and the one that DEALLOCATE takes away: see
    /// [`name_of`].
    pub(super) prepares: Option<NonZeroU64>,
    pub(super) deallocates: Option<NonZeroU64>,
    /// What binds the session after it.
    pub(super) leaves: Pins,
    /// What does so even if it fails.
    pub(super) leaves_always: Pins,
    /// What binds no more after it succeeded.
    pub(super) frees: Pins,
}

/// Words of statements that bind a session and that a scan does not see because others stand in
/// front of them.
const BINDING: &[&[u8]] = &[
    b"prepare",
    b"lock",
    b"call",
    b"xa",
    b"role",
    b"handler",
    b"temporary",
];
const FOUND_ROWS: &[u8] = b"found_rows";
const ROW_COUNT: &[u8] = b"row_count";
/// Words that ask for something of the statement before.
const LOOKING_BACK: &[&[u8]] = &[
    FOUND_ROWS,
    ROW_COUNT,
    b"warnings",
    b"warning_count",
    b"errors",
    b"error_count",
    b"diagnostics",
    b"trace",
];

/// Those that every statement answers anew for the next one, unless it asks for them itself.
const OF_ONE_STATEMENT: &[&[u8]] = &[b"warnings", b"warning_count", b"errors", b"error_count"];

/// True if a request asks for something of the one before. `first`: the first of its statements, if
/// it has several; what only the others ask of warnings is of this request itself.
fn looks_back(text: &[u8], first: &[u8]) -> bool {
    let is_lasting = |word: &&&[u8]| !OF_ONE_STATEMENT.contains(*word);
    let mut lasting = LOOKING_BACK.iter().filter(is_lasting);
    match first.is_empty() {
        true => has_word(text, LOOKING_BACK),
        false => has_word(first, OF_ONE_STATEMENT) || lasting.any(|word| has_word(text, &[*word])),
    }
}

/// What a text that looks back asks for.
fn past(text: &[u8]) -> Past {
    let mut words = LOOKING_BACK.iter().filter(|word| has_word(text, &[**word]));
    match (words.next(), words.next()) {
        (Some(&FOUND_ROWS), None) => Past::FoundRows,
        (Some(&ROW_COUNT), None) => Past::RowCount,
        _ => Past::Any,
    }
}

/// Finds one of `words` in any case, with nothing of a name around it.
pub(super) fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
    let is_name = |byte: Option<&u8>| {
        byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80)
    };
    let is_at = |word: &&[u8]| {
        text.windows(word.len()).enumerate().any(|(at, w)| {
            let before = at.checked_sub(1).and_then(|at| text.get(at));
            w.eq_ignore_ascii_case(word) && !is_name(before) && !is_name(text.get(at + word.len()))
        })
    };
    words.iter().any(is_at)
}

/// True if a text that is several statements, or cannot be read, may bind the session although its
/// front does not. The scan is of the whole text before and after.
fn binds_unseen(scan: &mut Scan, text: &[u8], syntax: Syntax, is_whole: bool) -> bool {
    if !is_whole {
        // What is about rows, and is one statement, binds nothing.
        return !scan.verb.is_dml();
    }
    if scan.facts.is_broken {
        return true;
    }
    let mut rest = text;
    let mut binds = false;
    while !rest.is_empty() && !binds {
        scan.read(rest, syntax, true);
        binds = scan.facts.is_broken
            || match scan.verb {
                Verb::LockTables
                | Verb::Xa
                | Verb::Prepare
                | Verb::Handler
                | Verb::Call
                | Verb::Other => true,
                Verb::Set => scan.assignments.is_empty(),
                Verb::Ddl => scan.facts.is_temporary,
                _ => false,
            };
        rest = scan.behind_first(rest);
    }
    scan.read(text, syntax, true);
    binds
}

/// True if user variables are set to literals only, whose type the literal itself tells. (A float
/// is reported as a decimal, a string loses its introducer.)
fn sets_literals(scan: &Scan, text: &[u8]) -> bool {
    let is_number = |expr| matches!(expr, Expr::Int(_) | Expr::Decimal(_));
    scan.assignments.iter().all(|assignment| {
        assignment.scope != Scope::User
            || match scan.tree.get(assignment.value) {
                Expr::Null | Expr::Hex(_) => true,
                Expr::Text(span) => matches!(span.of(text).first(), Some(b'\'' | b'"')),
                Expr::Negate(first) => is_number(scan.tree.get(first)),
                expr => is_number(expr),
            }
    })
}

/// True for verbs that never have a result set.
const fn is_silent(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Insert
            | Verb::Replace
            | Verb::Update
            | Verb::Delete
            | Verb::Merge
            | Verb::LoadData
            | Verb::Begin
            | Verb::Commit
            | Verb::Rollback
            | Verb::Savepoint
            | Verb::Set
            | Verb::Use
            | Verb::Ddl
            | Verb::Do
            | Verb::Empty
    )
}

/// A name of a prepared statement, as a number. Letters count as they are written: should they mean
/// the same to a server, a session stays bound for longer than it must.
fn name_of(name: &[u8]) -> Option<NonZeroU64> {
    let mut hasher = DefaultHasher::new();
    bare_name(name).hash(&mut hasher);
    NonZeroU64::new(hasher.finish() | 1).filter(|_| !name.is_empty())
}

impl Outline {
    /// Of a COM_QUERY: `text` is the statement, or its front.
    pub(super) fn of_text(scan: &mut Scan, text: &[u8], syntax: Syntax, is_whole: bool) -> Self {
        scan.read(text, syntax, is_whole);
        let facts = &scan.facts;
        let mut outline = Self {
            cut: match scan.verb {
                _ if is_whole => Cut::No,
                verb if verb.is_dml() => Cut::Rows,
                _ => Cut::Other,
            },
            ..Self::default()
        };
        let is_simple = !facts.is_multi && !facts.is_broken && is_whole;
        outline.has_user_variables = facts.has_user_variables || !is_simple;
        outline.sets_vaguely = outline.has_user_variables
            && !(is_simple && scan.verb == Verb::Set && sets_literals(scan, text));
        outline.sets = match scan.verb {
            Verb::Set => true,
            // ALTER SYSTEM changes no session, and a temporary table is told of by itself.
            Verb::Ddl => {
                let is_temporary = facts.is_temporary || facts.drops_temporary;
                !is_temporary && !has_word(text, &[b"system"])
            }
            _ => false,
        };
        outline.looks_back = match scan.verb {
            _ if facts.asks_last_result || !is_simple => looks_back(text, scan.first.of(text)),
            Verb::Insert | Verb::Replace | Verb::Update | Verb::Delete | Verb::Begin => false,
            Verb::Commit | Verb::Rollback | Verb::Use | Verb::Savepoint | Verb::Ddl => false,
            Verb::Select | Verb::Set if !facts.has_system_variables => false,
            _ => has_word(text, LOOKING_BACK),
        };
        if outline.looks_back {
            outline.past = past(text);
        }
        let is_bracket = matches!(scan.verb, Verb::Begin | Verb::Commit | Verb::Rollback);
        outline.counts_rows = !(is_simple && is_bracket);
        outline.is_several = !is_simple;
        outline.has_rows = !is_simple || !is_silent(scan.verb) || scan.explain != Explain::No;
        outline.begins = scan.verb == Verb::Begin && is_simple && !has_word(text, &[b"snapshot"]);
        let leaves = match scan.verb {
            Verb::LockTables => Pins::of(Pin::TableLocks),
            Verb::Xa => Pins::of(Pin::Xa),
            Verb::Prepare => Pins::of(Pin::Named),
            Verb::Handler => Pins::of(Pin::Handler),
            Verb::Set if scan.assignments.is_empty() && has_word(text, &[b"role"]) => {
                Pins::of(Pin::Role)
            }
            Verb::Ddl if facts.is_temporary => Pins::of(Pin::TemporaryTables),
            _ => Pins::NONE,
        };
        outline.leaves = leaves;
        if scan.verb == Verb::Call {
            outline.leaves_always = Pins::of(Pin::Procedure);
        }
        match scan.verb {
            Verb::Prepare => outline.prepares = name_of(scan.subject.of(text)),
            Verb::Deallocate if is_simple => {
                outline.deallocates = name_of(scan.subject.of(text));
            }
            _ => {}
        }
        let is_bare_set = scan.verb == Verb::Set && scan.assignments.is_empty();
        outline.may_bind = scan.verb == Verb::Begin
            || is_bare_set
            || facts.uses_locks
            || !outline.leaves.with(outline.leaves_always).is_empty();
        outline.names_tables = !scan.tables.is_empty();
        let is_rows = scan.verb.is_dml() && scan.verb != Verb::LoadData;
        let is_untimed = matches!(
            scan.verb,
            Verb::Ddl
                | Verb::Call
                | Verb::LoadData
                | Verb::Execute
                | Verb::Do
                | Verb::Set
                | Verb::Other
        );
        outline.is_timed = is_simple && !is_untimed;
        let hinted = scan.hints.query_timeout_us.map(|us| us.div_ceil(1_000));
        outline.timeout_ms =
            hinted.and_then(|ms| NonZeroU32::new(u32::try_from(ms).unwrap_or(u32::MAX)));
        outline.keeps_transaction =
            is_simple && (is_rows && scan.explain == Explain::No || scan.verb == Verb::Savepoint);
        outline.moves = is_rows
            && outline.keeps_transaction
            && !scan.tables.is_empty()
            && !outline.has_user_variables
            && !outline.looks_back
            && !outline.may_bind;
        match scan.verb {
            Verb::UnlockTables if is_simple => outline.frees = Pins::of(Pin::TableLocks),
            Verb::Xa if is_simple && facts.ends_xa => {
                (outline.leaves, outline.frees) = (Pins::NONE, Pins::of(Pin::Xa));
            }
            _ => {}
        }
        if !is_simple && has_word(text, BINDING) && binds_unseen(scan, text, syntax, is_whole) {
            outline.leaves_always.set(Pin::Unread, true);
            outline.may_bind = true;
        }
        outline
    }

    /// Of another command.
    pub(super) const fn of_command(command: Command) -> Self {
        let is_ahead = matches!(command, Command::STMT_SEND_LONG_DATA);
        let leaves = match command {
            Command::STMT_PREPARE_EXECUTE => Pins::of(Pin::Prepared),
            _ => Pins::NONE,
        };
        Self {
            looks_back: false,
            past: Past::Any,
            counts_rows: false,
            has_rows: false,
            is_several: false,
            has_user_variables: false,
            may_bind: !leaves.is_empty() || is_ahead,
            names_tables: true,
            sets_vaguely: false,
            sets: false,
            begins: false,
            moves: false,
            keeps_transaction: false,
            is_timed: command.begins_anew() || matches!(command, Command::INIT_DB),
            timeout_ms: None,
            cut: Cut::No,
            prepares: None,
            deallocates: None,
            leaves,
            leaves_always: Pins::NONE,
            frees: Pins::NONE,
        }
    }

    /// The reasons after the request, out of those before it.
    pub(super) const fn after(&self, pins: Pins, is_error: bool) -> Pins {
        let pins = pins.with(self.leaves_always);
        if is_error {
            return pins;
        }
        pins.with(self.leaves).without(self.frees)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_statement_asks_of_the_past_and_leaves_to_it() {
        let mut scan = Scan::default();
        for (text, past, counts_rows) in [
            ("select row_count()", Past::RowCount, true),
            ("select ROW_COUNT() + 1", Past::RowCount, true),
            ("select found_rows()", Past::FoundRows, true),
            ("select found_rows(), row_count()", Past::Any, true),
            ("show warnings", Past::Any, true),
            ("insert into t values('row_count')", Past::Any, true),
            ("begin", Past::Any, false),
            ("commit", Past::Any, false),
            ("rollback", Past::Any, false),
            // Another of the statements may change it.
            ("commit; delete from t", Past::Any, true),
        ] {
            let outline = Outline::of_text(&mut scan, text.as_bytes(), Syntax::default(), true);
            let got = (outline.past, outline.counts_rows);
            assert_eq!(got, (past, counts_rows), "{text}");
        }
    }

    #[test]
    fn what_several_statements_ask_of_each_other_is_not_of_the_past() {
        let mut scan = Scan::default();
        for (text, looks_back) in [
            ("use a; select @@error_count", false),
            ("select 1;show warnings ; select 2", false),
            ("show warnings; select 1", true),
            ("select @@warning_count; use a", true),
            ("use a; select row_count()", true),
            ("use a; show trace", true),
            ("use a; select 'x", false),
            ("select @@error_count, 'x; use a", true),
            ("(select @@error_count); use a", true),
            ("select 1 from (; show warnings", false),
        ] {
            let outline = Outline::of_text(&mut scan, text.as_bytes(), Syntax::default(), true);
            assert_eq!(outline.looks_back, looks_back, "{text}");
        }
    }

    #[test]
    fn what_binds_is_what_runs_and_not_a_word_in_a_text() {
        let mut scan = Scan::default();
        let long = "insert into l values ('call lock role')";
        for (text, is_whole, is_unread) in [
            ("update users set role=2 where id=1; select 1", true, false),
            ("insert into l values('call failed'); select 1", true, false),
            ("select 1; lock tables t read", true, true),
            ("select 1; prepare s from 'select 1'", true, true),
            ("select 1; set role r", true, true),
            ("select 1; set @role = 1", true, false),
            ("select 1; create temporary table x (a int)", true, true),
            ("select 1; drop temporary table x", true, false),
            ("select 1; xa start 'x'", true, true),
            ("select 'call", true, true),
            (long, false, false),
            ("set @role = 'x", false, true),
        ] {
            let outline = Outline::of_text(&mut scan, text.as_bytes(), Syntax::default(), is_whole);
            let got = outline.leaves_always.has(Pin::Unread);
            assert_eq!(got, is_unread, "{text}");
            assert_eq!(scan.facts.is_multi, text.contains(';'), "{text}");
        }
    }

    #[test]
    fn what_ends_frees_the_session() {
        let mut scan = Scan::default();
        let mut after = |text: &str, pins| {
            let outline = Outline::of_text(&mut scan, text.as_bytes(), Syntax::default(), true);
            outline.after(pins, false)
        };
        let xa = after("xa start 'x'", Pins::NONE);
        assert!(xa.has(Pin::Xa));
        assert!(after("xa end 'x'", xa).has(Pin::Xa));
        assert!(after("xa prepare 'commit'", xa).has(Pin::Xa));
        assert!(after("xa commit 'x'", xa).is_empty());
        assert!(after("xa rollback 'x'", xa).is_empty());
        assert!(after("drop temporary table t", Pins::NONE).is_empty());
    }

    #[test]
    fn definitions_change_a_session_as_set_does() {
        let mut scan = Scan::default();
        for (text, sets) in [
            ("set autocommit = 1", true),
            ("drop user if exists u", true),
            ("create user u identified by 'x'", true),
            ("alter system flush plan cache", false),
            ("create temporary table t (a int)", false),
            ("flush privileges", false),
            ("insert into t values (1)", false),
        ] {
            let outline = Outline::of_text(&mut scan, text.as_bytes(), Syntax::default(), true);
            assert_eq!(outline.sets, sets, "{text}");
        }
    }

    #[test]
    fn commands_leave_the_count_alone() {
        for command in [Command::PING, Command::INIT_DB, Command::STMT_PREPARE] {
            assert!(!Outline::of_command(command).counts_rows);
        }
    }
}
