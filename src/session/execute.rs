//! Requests that name a prepared statement: the client's id in them becomes the server's, and what
//! the link lacks of parameter types is put in.

use super::outline::Outline;
use super::pin::Pin;
use super::request::Head;
use super::slot::Slot;
use super::state::{Ctx, Phase, Session};
use super::statements::{Needs, ParamsAt, Wanted, put_front};
use crate::base::{Event, LinkId, Out};
use crate::protocol::mysql::{Command, HEADER_LEN, PrepareExecute, put_packet};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};

/// What a running request has to do with a prepared statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    /// The client's id.
    id: u32,
    /// Goes in place of this many bytes at the front of the request.
    front: Vec<u8>,
    skipped: usize,
    /// What it prepares.
    preparing: Option<Box<Preparing>>,
    /// The reply has opened a cursor.
    pub(super) has_cursor: bool,
    /// The reply has sent the last row of a cursor.
    pub(super) is_at_end: bool,
}

/// What a request prepares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Preparing {
    /// Empty if it is made in another way, or cannot be kept.
    pub(super) text: Box<[u8]>,
    /// What running it means.
    pub(super) outline: Outline,
    /// Types of its parameters, if they are told.
    pub(super) types: Box<[u8]>,
}

impl Named {
    pub(super) const fn is_preparing(&self) -> bool {
        self.preparing.is_some()
    }

    /// What is prepared.
    pub(super) fn take_preparing(&mut self) -> Preparing {
        self.preparing.take().map(|p| *p).unwrap_or_default()
    }

    /// The statement that the server has prepared has this id.
    pub(super) const fn has_become(&mut self, id: u32) {
        self.id = id;
    }

    /// A request whose first bytes, so many, are replaced.
    pub(super) fn instead(front: Vec<u8>, skipped: usize) -> Self {
        Self {
            front,
            skipped,
            ..Self::default()
        }
    }

    /// What goes in front of the request's first bytes, and how many of them it replaces.
    pub(super) fn take_front(&mut self) -> (Vec<u8>, usize) {
        let skipped = std::mem::take(&mut self.skipped);
        (std::mem::take(&mut self.front), skipped)
    }
}

/// The front of a COM_STMT_PREPARE_EXECUTE.
pub(super) fn prepare_execute<'a>(head: &Head<'a>) -> Option<PrepareExecute<'a>> {
    PrepareExecute::parse(head.packet.get(HEADER_LEN..)?).ok()
}

/// True for commands whose first four bytes are the id of a statement.
const fn has_id(command: Command) -> bool {
    matches!(
        command,
        Command::STMT_EXECUTE
            | Command::STMT_SEND_LONG_DATA
            | Command::STMT_RESET
            | Command::STMT_FETCH
            | Command::STMT_PREPARE_EXECUTE
            | Command::STMT_SEND_PIECE_DATA
            | Command::STMT_GET_PIECE_DATA
    )
}

impl Session {
    /// What the link of a request must have.
    pub(super) fn needs(&self, head: &Head<'_>) -> Needs {
        // Where a transaction begins is for the first statement to say that runs.
        let is_beside = head.command.begins_anew()
            || matches!(head.command, Command::STMT_PREPARE | Command::INIT_DB);
        Needs {
            statements: self.statements_for(head),
            transaction: self.binding.is_begun() && !is_beside,
        }
    }

    fn statements_for(&self, head: &Head<'_>) -> Wanted {
        match head.command {
            _ if !self.binding.is_routed => Wanted::Nothing,
            Command::STMT_PREPARE => self.statements.before_prepare(),
            Command::STMT_PREPARE_EXECUTE if head.statement == 0 => {
                self.statements.before_prepare()
            }
            // Only where there is a cursor there is something to fetch.
            Command::STMT_FETCH | Command::STMT_GET_PIECE_DATA => Wanted::Nothing,
            Command::STMT_EXECUTE | Command::STMT_PREPARE_EXECUTE
                if self.statements.of(head.statement).is_none() =>
            {
                match self.statements.is_used() {
                    true => Wanted::Unknown,
                    false => Wanted::Nothing,
                }
            }
            command if has_id(command) => Wanted::One(head.statement),
            _ => Wanted::Nothing,
        }
    }

    /// The link that a request must go to because of the statement that it names: the one with its
    /// cursor, or that had it last, as what a server says of one that is over differs from what it
    /// says of none; one that knows a statement without a cursor; one that gives the answer for an
    /// unknown statement, which differs on a connection that never prepared anything.
    pub(super) fn link_of_statement(&self, head: &Head<'_>) -> Option<LinkId> {
        let is_idle = |id: &LinkId| self.slot(*id).is_some_and(|slot| slot.link.is_idle());
        let asks_last = matches!(
            head.command,
            Command::STMT_FETCH | Command::STMT_RESET | Command::STMT_GET_PIECE_DATA
        );
        let runs = match head.command {
            Command::STMT_EXECUTE => true,
            Command::STMT_PREPARE_EXECUTE => head.statement != 0,
            _ => false,
        };
        let statement = self.statements.of(head.statement);
        match statement {
            Some(statement) if asks_last && statement.cursor.is_some() => {
                return statement.cursor.filter(is_idle);
            }
            Some(_) if !asks_last => return None,
            None if !(asks_last || runs) || !self.statements.is_used() => return None,
            _ => {}
        }
        let knows = |slot: &Slot| match statement {
            Some(_) => slot.statements.server_id(head.statement).is_some(),
            None => slot.statements.has_prepared,
        };
        let has = |id: &LinkId| {
            let slot = self.slot(*id);
            slot.is_some_and(|slot| slot.link.is_idle() && knows(slot))
        };
        let others = (0..self.links.len()).map(|at| LinkId(at as u16));
        std::iter::once(self.binding.current)
            .chain(others)
            .find(has)
    }

    /// A request goes out on a link: what has to be done for the statement that it names.
    pub(super) fn names(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        head: &Head<'_>,
        out: &mut Out<'_, Mail>,
    ) -> Named {
        let mut named = Named::default();
        if !self.binding.is_routed {
            return named;
        }
        if head.command == Command::STMT_PREPARE {
            let text = if head.is_whole { head.body() } else { &[] };
            named.preparing = Some(Box::new(Preparing {
                text: text.into(),
                outline: self.outline_of_text(ctx, head.body(), head.is_whole),
                types: Box::default(),
            }));
        }
        let front = match head.command {
            Command::STMT_PREPARE_EXECUTE if head.is_whole => prepare_execute(head),
            _ => None,
        };
        if let Some(front) = front.filter(|front| front.statement == 0) {
            named.preparing = Some(Box::new(Preparing {
                text: front.text.into(),
                outline: self.outline_of_text(ctx, front.text, true),
                types: ParamsAt::prepare_execute(&front).types(head.packet).into(),
            }));
        }
        if !has_id(head.command) || head.statement == 0 {
            return named;
        }
        named.id = head.statement;
        let Self {
            links, statements, ..
        } = self;
        if let Some(Some(slot)) = links.get_mut(usize::from(id.0)) {
            let statement = statements.of_mut(head.statement);
            let params = match head.command {
                Command::STMT_EXECUTE => statement.as_deref().map(ParamsAt::execute),
                _ => front.as_ref().map(ParamsAt::prepare_execute),
            };
            let mut instead = out.pool.take();
            let held = &mut slot.statements;
            named.skipped = put_front(&mut instead, head.packet, statement, held, params);
            match named.skipped {
                0 => out.pool.give(instead),
                _ => named.front = instead,
            }
        }
        named
    }

    /// The reply to a request that names a statement is over.
    pub(super) fn named_is_over(
        &mut self,
        id: LinkId,
        command: Command,
        named: &Named,
        is_failed: bool,
    ) {
        let Some(statement) = self.statements.of_mut(named.id) else {
            return;
        };
        let before = (statement.has_rows, statement.has_long_data);
        match command {
            // Parameters that were sent ahead are used up, even by an error.
            Command::STMT_EXECUTE | Command::STMT_PREPARE_EXECUTE => {
                statement.has_long_data = false;
                // One that came with all its rows is over, and was one.
                let had_one = named.has_cursor || command == Command::STMT_PREPARE_EXECUTE;
                if had_one && !is_failed {
                    statement.cursor = Some(id);
                }
                statement.has_rows = named.has_cursor;
            }
            Command::STMT_RESET if !is_failed => {
                statement.has_long_data = false;
                statement.has_rows = false;
            }
            Command::STMT_FETCH if named.is_at_end => statement.has_rows = false,
            Command::STMT_SEND_PIECE_DATA if !is_failed => {
                statement.has_long_data = true;
                statement.cursor = Some(id);
            }
            _ => return,
        }
        if before != (statement.has_rows, statement.has_long_data) {
            self.bind_statements();
        }
    }

    /// Cursors and parameters that were sent ahead bind the session to their link.
    fn bind_statements(&mut self) {
        let (has_rows, has_long_data) = self.statements.binding();
        self.binding.pins.set(Pin::Cursor, has_rows);
        self.binding.pins.set(Pin::LongData, has_long_data);
    }

    /// A request without a reply was sent.
    pub(super) fn sent_ahead(&mut self) {
        let Phase::Running(r) = &self.phase else {
            return;
        };
        let (command, id) = (r.command, r.statement.id);
        if command == Command::STMT_SEND_LONG_DATA
            && let Some(statement) = self.statements.of_mut(id)
        {
            statement.has_long_data = true;
            self.bind_statements();
        }
    }

    /// The client has closed a statement: every server that has it is told.
    pub(super) fn close_statement(&mut self, statement: u32, out: &mut Out<'_, Mail>) {
        if !self.statements.remove(statement) {
            return;
        }
        out.count(Event::StatementClosed);
        self.bind_statements();
        for at in 0..self.links.len() {
            let id = LinkId(at as u16);
            let held = self.slot_mut(id).filter(|slot| slot.link.is_idle());
            let Some(server_id) = held.and_then(|slot| slot.statements.remove(statement)) else {
                continue;
            };
            self.close_on(id, server_id, out);
        }
    }

    /// Closes a statement of the server on an idle link.
    pub(super) fn close_on(&mut self, id: LinkId, server_id: u32, out: &mut Out<'_, Mail>) {
        let mut packet = out.pool.take();
        put_packet(&mut packet, 0, |b| {
            b.push(Command::STMT_CLOSE.0);
            b.extend_from_slice(&server_id.to_le_bytes());
        });
        self.begin_on(id, Command::STMT_CLOSE, 0);
        self.send_packet(id, &packet, out);
        out.pool.give(packet);
        if let Some(link) = self.link_mut(id) {
            link.finish();
        }
    }
}
