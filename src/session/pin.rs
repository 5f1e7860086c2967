//! Whether a request is bound to the link of the statement before it, and why.

use super::request::Head;
use super::state::{Ctx, Session};
use crate::base::{Cursor, LinkId};
use crate::protocol::mysql::{Command, OkPacket, TRACK_VARIABLES, client, status};
use crate::protocol::ob20::{ExtraError, feedback};
use crate::sql::{Expr, Scan, Scope, Syntax, Verb};
use serde::{Deserialize, Serialize};

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
    /// Statements were prepared.
    Prepared,
    /// There is more state than is kept.
    TooMuchState,
    /// Not all of a request could be read.
    Unread,
    /// It asks for what the statement before has left.
    LooksBack,
}

impl Pin {
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
        Self::TooMuchState,
        Self::Unread,
        Self::LooksBack,
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

    /// The first reason.
    pub(super) fn first(self) -> Option<Pin> {
        let has = |pin: &&Pin| self.0 & Self::of(**pin).0 != 0;
        Pin::ALL.iter().find(has).copied()
    }
}

/// What a request says of itself.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Outline {
    /// It asks for what the statement before has left: warnings, counts of rows, a trace.
    pub(super) looks_back: bool,
    /// It may read or set user variables.
    pub(super) has_user_variables: bool,
    /// What it sets them to has a type that the reported literal does not tell.
    pub(super) sets_vaguely: bool,
    /// Not all of it is here.
    pub(super) is_cut: bool,
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
/// Words that ask for something of the statement before.
const LOOKING_BACK: &[&[u8]] = &[
    b"found_rows",
    b"row_count",
    b"warnings",
    b"warning_count",
    b"errors",
    b"error_count",
    b"diagnostics",
    b"trace",
];

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
        outline.looks_back = match scan.verb {
            _ if facts.asks_last_result || !is_simple => has_word(text, LOOKING_BACK),
            Verb::Insert | Verb::Replace | Verb::Update | Verb::Delete | Verb::Begin => false,
            Verb::Commit | Verb::Rollback | Verb::Use | Verb::Savepoint | Verb::Ddl => false,
            Verb::Select | Verb::Set if !facts.has_system_variables => false,
            _ => has_word(text, LOOKING_BACK),
        };
        let leaves = match scan.verb {
            Verb::LockTables => Pins::of(Pin::TableLocks),
            Verb::Xa => Pins::of(Pin::Xa),
            Verb::Prepare => Pins::of(Pin::Prepared),
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
        if scan.verb == Verb::UnlockTables && is_simple {
            outline.frees = Pins::of(Pin::TableLocks);
        }
        outline
    }

    /// Of another command.
    pub(super) const fn of_command(command: Command) -> Self {
        let leaves = match command {
            Command::STMT_PREPARE | Command::STMT_PREPARE_EXECUTE => Pins::of(Pin::Prepared),
            _ => Pins::NONE,
        };
        Self {
            looks_back: false,
            has_user_variables: false,
            sets_vaguely: false,
            is_cut: false,
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
    /// What a request says of itself.
    pub(super) fn outline(&self, ctx: &Ctx<'_>, head: &Head<'_>) -> Outline {
        let is_whole = head.is_whole;
        if head.command != Command::QUERY || !self.binding.is_routed {
            return Outline::of_command(head.command);
        }
        let mut scan = ctx.scan.borrow_mut();
        let mut outline = Outline::of_text(&mut scan, head.body(), self.syntax(), is_whole);
        if !is_whole && self.facts.capabilities & client::MULTI_STATEMENTS != 0 {
            // What is not here may be another statement.
            outline.leaves_always.set(Pin::Unread, true);
        }
        outline
    }

    fn syntax(&self) -> Syntax {
        Syntax {
            no_backslash_escapes: self.facts.status & status::NO_BACKSLASH_ESCAPES != 0,
            ..Syntax::default()
        }
    }

    /// The link that a request with user variables runs on, if it matters: there are variables of
    /// which the other links would have the value but not the type.
    pub(super) fn link_of_variables(&self, outline: &Outline) -> Option<LinkId> {
        let id = self
            .binding
            .variables
            .filter(|_| outline.has_user_variables)?;
        self.slot(id)
            .is_some_and(|slot| slot.link.is_idle())
            .then_some(id)
    }

    /// Why a request is bound to the link of the statement before, if it is.
    pub(super) fn pin(&self, outline: &Outline) -> Option<Pin> {
        if !self.binding.is_routed {
            return Some(Pin::OneServer);
        }
        if self.facts.status & status::IN_TRANSACTION != 0 {
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

    /// True if nothing would be lost with the link of the statement before.
    pub(super) fn is_free(&self) -> bool {
        self.binding.is_routed
            && self.facts.status & status::IN_TRANSACTION == 0
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
