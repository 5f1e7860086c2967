//! Whether a request is bound to the link of the statement before it, and why.

use super::execute::prepare_execute;
use super::known::Vague;
use super::request::Head;
use super::state::{Ctx, Session};
use super::track::Untold;
use crate::base::{Cursor, LinkId};
use crate::protocol::mysql::{Command, OkPacket, TRACK_VARIABLES, client, status};
use crate::protocol::ob20::{ExtraError, feedback};
use crate::routing::Reason;
use crate::sql::{Explain, Expr, Scan, Scope, Syntax, Verb, bare_name};
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::{NonZeroU32, NonZeroU64};

/// Why a request must go where the statement before it went. The first that holds is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub(super) enum Pin {
    /// The cluster has no views: nothing says which servers are equal.
    OneServer,
    /// A transaction is open.
    Transaction,
    /// Characteristics of the next transaction are set.
    NextTransaction,
    /// There are temporary tables.
    TemporaryTables,
    /// GET_LOCK holds a lock.
    UserLocks,
    /// LOCK TABLES holds locks.
    TableLocks,
    /// XA was used.
    Xa,
    /// SET ROLE: no report tells roles.
    Role,
    /// A procedure ran: it may have prepared statements.
    Procedure,
    /// HANDLER was used.
    Handler,
    /// A statement is on one link only: what it says could not be kept, or others than
    /// COM_STMT_PREPARE made it.
    Prepared,
    /// Statements were prepared by name.
    Named,
    /// A cursor has rows left.
    Cursor,
    /// Parameters of a prepared statement were sent ahead.
    LongData,
    /// There is more state than is kept.
    TooMuchState,
    /// Not all of a request could be read.
    Unread,
    /// It asks for what the statement before has left.
    LooksBack,
    /// User variables have a type there that no report tells.
    Variables,
    /// A statement that failed has changed system variables. Servers that write them down for
    /// other connections do so with the next reply that is no error. Observed on seekdb
    /// 1.3.0.post5, capability bit 16.
    Unwritten,
}

impl Pin {
    /// The reason of routing.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::OneServer => Reason::OneServer,
            Self::Transaction => Reason::Coordinator,
            Self::NextTransaction => Reason::TransactionCharacteristics,
            Self::TemporaryTables => Reason::TemporaryTable,
            Self::UserLocks | Self::TableLocks => Reason::UserLock,
            Self::LooksBack => Reason::LastResult,
            Self::Cursor => Reason::Cursor,
            Self::LongData => Reason::LongData,
            Self::Xa
            | Self::Role
            | Self::Procedure
            | Self::Handler
            | Self::Prepared
            | Self::Named
            | Self::TooMuchState
            | Self::Variables
            | Self::Unwritten
            | Self::Unread => Reason::SessionState,
        }
    }

    const ALL: &'static [Self] = &[
        Self::OneServer,
        Self::Transaction,
        Self::NextTransaction,
        Self::TemporaryTables,
        Self::UserLocks,
        Self::TableLocks,
        Self::Xa,
        Self::Role,
        Self::Procedure,
        Self::Handler,
        Self::Prepared,
        Self::Named,
        Self::Cursor,
        Self::LongData,
        Self::TooMuchState,
        Self::Unread,
        Self::LooksBack,
        Self::Variables,
        Self::Unwritten,
    ];
}

/// A set of reasons.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Pins(u32);

impl Pins {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn of(pin: Pin) -> Self {
        Self(1 << pin as u8)
    }

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn set(&mut self, pin: Pin, is_so: bool) {
        let one = Self::of(pin);
        *self = if is_so {
            self.with(one)
        } else {
            self.without(one)
        };
    }

    pub(super) const fn has(self, pin: Pin) -> bool {
        self.0 & Self::of(pin).0 != 0
    }

    /// The first reason.
    pub(super) fn first(self) -> Option<Pin> {
        Pin::ALL.iter().copied().find(|pin| self.has(*pin))
    }
}

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
    may_bind: bool,
    /// It names tables, or is no statement.
    names_tables: bool,
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
    /// Not all of it is here.
    pub(super) is_cut: bool,
    /// The name that PREPARE gives a statement, and the one that DEALLOCATE takes away: see
    /// [`name_of`].
    prepares: Option<NonZeroU64>,
    deallocates: Option<NonZeroU64>,
    /// What binds the session after it.
    leaves: Pins,
    /// What does so even if it fails.
    leaves_always: Pins,
    /// What binds no more after it succeeded.
    frees: Pins,
}

/// Words of statements that a scan does not see because others stand in front of them.
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
fn has_word(text: &[u8], words: &[&[u8]]) -> bool {
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
            is_cut: !is_whole,
            ..Self::default()
        };
        let is_simple = !facts.is_multi && !facts.is_broken && is_whole;
        outline.has_user_variables = facts.has_user_variables || !is_simple;
        outline.sets_vaguely = outline.has_user_variables
            && !(is_simple && scan.verb == Verb::Set && sets_literals(scan, text));
        outline.sets = match scan.verb {
            Verb::Set => true,
            // ALTER SYSTEM changes no session, and a temporary table is told of by itself.
            Verb::Ddl => !facts.is_temporary && !has_word(text, &[b"system"]),
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
        if !is_simple && has_word(text, BINDING) {
            outline.leaves_always.set(Pin::Unread, true);
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
        if scan.verb == Verb::UnlockTables && is_simple {
            outline.frees = Pins::of(Pin::TableLocks);
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
            is_timed: matches!(
                command,
                Command::INIT_DB | Command::CHANGE_USER | Command::RESET_CONNECTION
            ),
            timeout_ms: None,
            is_cut: false,
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

impl Session {
    /// A request is over: what binds the session from now on.
    pub(super) fn bind(&mut self, outline: &Outline, is_failed: bool) {
        let pins = outline.after(self.binding.pins, is_failed);
        self.binding.pins = pins;
        if is_failed || outline.prepares.or(outline.deallocates).is_none() {
            return;
        }
        if outline.prepares.is_some() {
            self.statements.skip_id();
        }
        let names = &mut self.binding.names;
        if let Some(name) = outline.prepares
            && !names.contains(&name)
        {
            names.push(name);
        }
        names.retain(|name| Some(*name) != outline.deallocates);
        let is_named = !names.is_empty();
        self.binding.pins.set(Pin::Named, is_named);
    }

    /// A reply is over: whether its link is the only one that has the newest system variables.
    /// True if they were changed.
    pub(super) const fn place_system(&mut self, carries_system: bool, is_failed: bool) -> bool {
        let has_changed = self.known.take_system_change();
        let pins = &mut self.binding.pins;
        let is_unwritten = pins.has(Pin::Unwritten) || has_changed;
        pins.set(Pin::Unwritten, carries_system && is_failed && is_unwritten);
        has_changed
    }

    /// What a request says of itself.
    pub(super) fn outline(&self, ctx: &Ctx<'_>, head: &Head<'_>) -> Outline {
        match head.command {
            Command::QUERY if self.binding.is_routed => {}
            Command::STMT_EXECUTE => {
                let statement = self.statements.of(head.statement);
                return statement.map_or_else(Outline::default, |s| s.outline);
            }
            Command::STMT_PREPARE_EXECUTE if self.binding.is_routed && head.is_whole => {
                let Some(front) = prepare_execute(head) else {
                    return Outline::of_command(head.command);
                };
                return Outline {
                    // Its rows may wait behind a cursor.
                    may_bind: true,
                    moves: false,
                    ..self.outline_of_text(ctx, front.text, true)
                };
            }
            // Between a statement and what asks about it no other link may come.
            Command::STMT_PREPARE if self.binding.is_routed => {
                return Outline {
                    looks_back: self
                        .outline_of_text(ctx, head.body(), head.is_whole)
                        .looks_back,
                    is_timed: true,
                    ..Outline::default()
                };
            }
            Command::QUERY => {
                return Outline {
                    is_timed: self.is_timed(head),
                    ..Outline::of_command(head.command)
                };
            }
            command => return Outline::of_command(command),
        }
        let mut outline = self.outline_of_text(ctx, head.body(), head.is_whole);
        if !head.is_whole && self.facts.capabilities & client::MULTI_STATEMENTS != 0 {
            // What is not here may be another statement.
            outline.leaves_always.set(Pin::Unread, true);
        }
        outline
    }

    /// What a statement's text says. `is_whole`: all of it is here.
    pub(super) fn outline_of_text(&self, ctx: &Ctx<'_>, text: &[u8], is_whole: bool) -> Outline {
        let mut scan = ctx.scan.borrow_mut();
        Outline::of_text(&mut scan, text, self.syntax(), is_whole)
    }

    /// [`Outline::is_timed`] of a text that is not scanned: sure only of what begins like this.
    fn is_timed(&self, head: &Head<'_>) -> bool {
        const TIMED: &[&[u8]] = &[b"select", b"insert", b"update", b"delete", b"replace"];
        let text = head.body().trim_ascii_start();
        let word = text
            .split(|b| !b.is_ascii_alphabetic())
            .next()
            .unwrap_or(text);
        let is_one = self.facts.capabilities & client::MULTI_STATEMENTS == 0
            || memchr::memchr(b';', text).is_none();
        head.is_whole && is_one && TIMED.iter().any(|timed| timed.eq_ignore_ascii_case(word))
    }

    const fn syntax(&self) -> Syntax {
        self.dialect.syntax(self.facts.status)
    }

    /// The link that a request with user variables runs on, if it matters: there are variables of
    /// which the other links would have the value but not the type. What may bind the session to
    /// its link goes there, too: statements with variables may follow. So does what names no table,
    /// as the statement behind it may ask for what it leaves.
    pub(super) fn link_of_variables(&self, head: &Head<'_>, outline: &Outline) -> Option<LinkId> {
        let id = self.binding.variables?;
        let begins = self.binding.is_begun() || self.facts.status & status::AUTOCOMMIT == 0;
        let has_cursor = head.may_open_cursor();
        let matters = outline.has_user_variables || outline.may_bind || !outline.names_tables;
        if !(matters || begins || has_cursor) {
            return None;
        }
        self.slot(id)
            .is_some_and(|slot| slot.link.is_idle())
            .then_some(id)
    }

    /// A reply is over: where statements with user variables run from now on. `sets_vaguely`: what
    /// its request sets them to has a type that no report tells.
    pub(super) fn place_variables(&mut self, id: LinkId, sets_vaguely: bool) {
        let variables = &mut self.binding.variables;
        match self.known.vague_variables(sets_vaguely) {
            Vague::No => {}
            Vague::New => *variables = Some(id),
            // They are as good on any link that had them; where others are is better.
            Vague::Strings => *variables = variables.or(Some(id)),
        }
    }

    /// Why a request is bound to the link of the statement before, if it is.
    pub(super) fn pin(&self, outline: &Outline) -> Option<Pin> {
        if !self.binding.is_routed {
            return Some(Pin::OneServer);
        }
        if self.is_in_transaction() && !self.may_leave(outline) {
            return Some(Pin::Transaction);
        }
        if self.known.is_cut() {
            return Some(Pin::TooMuchState);
        }
        if outline.is_cut {
            return Some(Pin::Unread);
        }
        if outline.looks_back {
            return Some(Pin::LooksBack);
        }
        self.binding.pins.first()
    }

    /// True if a statement that begins a transaction is answered here, and goes to the server of
    /// the statement behind it. What the client has to be told of session state stands in a
    /// server's own OK.
    pub(super) fn keeps_begin(&self, outline: &Outline) -> bool {
        let is_told = self.facts.untold.as_deref().is_none_or(Untold::is_empty);
        outline.begins && is_told && self.is_free()
    }

    /// True if nothing would be lost with the link of the statement before.
    pub(super) fn is_free(&self) -> bool {
        self.binding.is_routed
            && !self.is_in_transaction()
            && self.binding.pins.is_empty()
            && !self.known.is_cut()
    }

    /// What an entry of type 1001 of extra info says binds the session, or does not any more.
    pub(super) fn learn_feedback(&mut self, entry: &[u8]) -> Result<(), ExtraError> {
        let mut c = Cursor::new(entry);
        while c.left() > 0 {
            let kind = c.u16()?;
            let len = c.u32()?;
            let is_so = c.take(len as usize)? == b"1";
            match kind {
                feedback::LOCKS => self.binding.pins.set(Pin::UserLocks, is_so),
                feedback::TEMPORARY_TABLES => {
                    self.binding.pins.set(Pin::TemporaryTables, is_so);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the variables of an OK say binds the session, or does not any more.
pub(super) fn learn_pins(pins: &mut Pins, ok: &OkPacket<'_>) {
    for block in ok.blocks().filter(|block| block.kind == TRACK_VARIABLES) {
        for (name, value, is_user) in block.variables() {
            let is_so = !matches!(value, b"OFF" | b"0");
            match name {
                _ if is_user => break,
                b"ob_proxy_set_trx_executed" => pins.set(Pin::NextTransaction, is_so),
                b"_ob_proxy_session_temporary_table_used" => pins.set(Pin::TemporaryTables, is_so),
                _ => {}
            }
        }
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
