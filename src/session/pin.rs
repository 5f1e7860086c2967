//! Whether a request is bound to the link of the statement before it, and why.

use super::execute::prepare_execute;
use super::known::Vague;
use super::outline::{Cut, Outline};
use super::request::Head;
use super::state::{Ctx, Session};
use super::track::Untold;
use crate::base::{Cursor, LinkId};
use crate::protocol::mysql::{Command, OkPacket, TRACK_VARIABLES, client, status};
use crate::protocol::ob20::{ExtraError, feedback};
use crate::routing::Reason;
use crate::sql::Syntax;
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

impl Session {
    /// A request is over: what binds the session from now on.
    /// `is_single`: it was one statement, or none behind the first one ran.
    pub(super) fn bind(&mut self, outline: &Outline, is_failed: bool, is_single: bool) {
        let mut pins = outline.after(self.binding.pins, is_failed);
        if outline.cut == Cut::Rows && is_single {
            // Nothing but the statement about rows has run.
            pins.set(Pin::Unread, self.binding.pins.has(Pin::Unread));
        }
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
        if outline.cut != Cut::No {
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
