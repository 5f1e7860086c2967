//! Bringing a link up to date before a request runs there.
//!
//! What travels beside a request (session state in extra info) goes with the first one. Variables
//! and the database need requests of their own: they are sent in one write, and their replies never
//! reach the client. The request waits, as bytes that were not read yet: whether a server stops at
//! an error or not, it never runs in a state that the client does not know.

use super::known::{Has, Missing};
use super::slot::Slot;
use super::state::{Bytes, Ctx, Phase, Session};
use super::statements::{NO_STATEMENT, Needs, Wanted};
use super::track::reports_first;
use crate::base::{CloseReason, Event, Linger, LinkId, Out, Tick};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{ClientTurn, Command, OkPacket, ReplySink, put_packet, status};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};

/// The database does not exist.
const BAD_DATABASE: u16 = 1049;

/// Of an error packet that the client gets no more than this is kept.
const ERROR_MAX: usize = 4 << 10;

/// Is prepared, and closed, where it matters that something was.
const ANY_STATEMENT: &[u8] = b"do 0";

/// A request of the session's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    SystemVariables,
    UserVariables,
    Database,
    Option,
    /// What the client has begun a transaction with.
    Begin,
    /// COM_STMT_PREPARE of [`ANY_STATEMENT`].
    AnyStatement,
    /// COM_STMT_PREPARE of the client's statement with this id.
    Statement(u32),
}

/// Requests of the session's own that are under way on a link.
///
/// ```text
/// sent ── reply without an error, each ──> done: the request that waits runs
///   ├── an error of a PREPARE ──> the client gets it in place of its EXECUTE
///   └── an error, the link lost, no answer in time ──> another link, once; then the client is told
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Syncing {
    pub(super) link: LinkId,
    /// What the replies to come are of.
    steps: Vec<Step>,
    /// What the link has when all have succeeded.
    target: Has,
    pub(super) deadline: Tick,
    error: Option<u16>,
    /// The server's id of the statement whose reply is being read.
    prepared: Option<u32>,
    /// An error packet that is being read, of a statement.
    packet: Vec<u8>,
    /// The first such error: the client gets it.
    refusal: Option<Vec<u8>>,
}

/// Takes a reply that is not for the client.
struct Swallow<'a> {
    bytes: &'a [u8],
    error: Option<u16>,
    /// Where an error packet goes; nothing else of a reply is kept.
    packet: &'a mut Vec<u8>,
    is_in_error: bool,
    prepared: Option<u32>,
    has_reported: bool,
    is_bad: bool,
}

impl ReplySink for Swallow<'_> {
    fn pass(&mut self, start: usize, end: usize) {
        let bytes = self.bytes.get(start..end).unwrap_or_default();
        self.pass_held(bytes);
    }
    fn pass_held(&mut self, bytes: &[u8]) {
        if self.is_in_error {
            let room = ERROR_MAX.saturating_sub(self.packet.len());
            let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
            self.packet.extend_from_slice(bytes);
        }
    }
    fn ok(&mut self, _: u8, payload: &[u8]) {
        self.terminal_ok(payload);
    }
    fn terminal_ok(&mut self, payload: &[u8]) {
        self.has_reported |= OkPacket::parse(payload).is_ok_and(|ok| reports_first(&ok));
    }
    fn error(&mut self, code: u16) {
        self.error = Some(code);
        self.is_in_error = true;
        self.packet.clear();
    }
    fn client_turn(&mut self, _: ClientTurn) {
        self.is_bad = true;
    }
    fn prepared(&mut self, id: u32, _: u16) -> u32 {
        self.prepared = Some(id);
        id
    }
}

impl Session {
    /// What a link needs before a request may run there.
    pub(super) fn lacks(&self, id: LinkId, needs: Needs) -> Missing {
        let Some(slot) = self.slot(id) else {
            return Missing::default();
        };
        let mut missing = Missing::default();
        if slot.has != self.known.newest() {
            let no_backslash = self.facts.status & status::NO_BACKSLASH_ESCAPES != 0;
            let (carries, in_database) = (slot.carries_system(), slot.has_database);
            missing = self
                .known
                .missing(slot.has, carries, in_database, no_backslash);
        }
        missing.begins = needs.transaction;
        missing.first_statement =
            needs.statements == Wanted::Unknown && !slot.statements.has_prepared;
        missing.statements = self.statements.missing(&slot.statements, needs.statements);
        missing
    }

    /// Brings a link up to date; the request waits.
    pub(super) fn begin_sync(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        missing: Missing,
        out: &mut Out<'_, Mail>,
    ) {
        if missing.is_beyond {
            // Only a link that never was in a database is in none.
            self.close_idle(id, out);
            return self.look_for_server(ctx, self.id, vec![], 0, out);
        }
        let mut syncing = self.binding.spare.take().unwrap_or_default();
        let mut steps = std::mem::take(&mut syncing.steps);
        steps.clear();
        if let Some(name) = missing.database {
            self.send_step(id, Command::INIT_DB, &name, out);
            steps.push(Step::Database);
        }
        if let Some(text) = missing.system {
            self.send_step(id, Command::QUERY, &text, out);
            steps.push(Step::SystemVariables);
        }
        if let Some(text) = missing.user {
            self.send_step(id, Command::QUERY, &text, out);
            steps.push(Step::UserVariables);
        }
        if let Some(option) = missing.option {
            self.send_step(id, Command::SET_OPTION, &option.to_le_bytes(), out);
            steps.push(Step::Option);
        }
        if missing.begins {
            let text = std::mem::take(&mut self.binding.begun);
            self.send_step(id, Command::QUERY, &text, out);
            self.binding.begun = text;
            steps.push(Step::Begin);
        }
        for statement in missing.statements {
            // What finds no room now goes when these are answered.
            let text = self.statements.of(statement).map(|s| s.text.clone());
            let (Some(text), true) = (text, self.link_mut(id).is_some_and(|l| l.has_room())) else {
                break;
            };
            self.send_step(id, Command::STMT_PREPARE, &text, out);
            steps.push(Step::Statement(statement));
        }
        if missing.first_statement && steps.is_empty() {
            // When all else is there.
            self.send_step(id, Command::STMT_PREPARE, ANY_STATEMENT, out);
            steps.push(Step::AnyStatement);
        }
        out.count(Event::LinkSynced);
        *syncing = Syncing {
            link: id,
            steps,
            target: self.known.newest(),
            deadline: ctx.now.after_ms(ctx.settings.server_login_timeout_ms),
            ..Syncing::default()
        };
        self.phase = Phase::Syncing(syncing);
    }

    fn send_step(&mut self, id: LinkId, command: Command, body: &[u8], out: &mut Out<'_, Mail>) {
        let mut packet = out.pool.take();
        put_packet(&mut packet, 0, |b| {
            b.push(command.0);
            b.extend_from_slice(body);
        });
        self.begin_on(id, command, 0);
        self.send_packet(id, &packet, out);
        out.pool.give(packet);
    }

    /// Reads on in the reply to a step; returns the new position.
    pub(super) fn step_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let rest = bytes.data.get(at..).unwrap_or_default();
        let Self { links, phase, .. } = self;
        let (Some(Some(Slot { link, is_fresh, .. })), Phase::Syncing(syncing)) =
            (links.get_mut(usize::from(id.0)), phase)
        else {
            return bytes.data.len();
        };
        let Some(reply) = link.reply() else {
            return bytes.data.len();
        };
        let mut swallow = Swallow {
            bytes: rest,
            error: syncing.error,
            packet: &mut syncing.packet,
            is_in_error: syncing.error.is_some(),
            prepared: syncing.prepared,
            has_reported: false,
            is_bad: false,
        };
        let fed = reply.feed(rest, &mut swallow);
        let is_done = reply.is_done();
        let is_bad = swallow.is_bad;
        *is_fresh &= !swallow.has_reported;
        (syncing.error, syncing.prepared) = (swallow.error, swallow.prepared);
        match fed {
            Ok(used) if !is_bad => {
                let ends = self.link_mut(id).is_some_and(|l| l.ends_with_packet());
                if is_done && ends {
                    self.step_over(ctx, id, out);
                }
                at + used
            }
            _ => {
                self.sync_failed(ctx, "broke the protocol", out);
                bytes.data.len()
            }
        }
    }

    /// The reply to a step is over.
    pub(super) fn step_over(&mut self, ctx: &Ctx<'_>, id: LinkId, out: &mut Out<'_, Mail>) {
        if let Some(link) = self.link_mut(id) {
            link.finish();
        }
        let Phase::Syncing(syncing) = &mut self.phase else {
            return;
        };
        let step = match syncing.steps.is_empty() {
            true => return,
            false => syncing.steps.remove(0),
        };
        let (target, error) = (syncing.target, syncing.error.take());
        let prepared = syncing.prepared.take();
        if matches!(step, Step::Statement(_)) && error.is_some() && syncing.refusal.is_none() {
            syncing.refusal = Some(std::mem::take(&mut syncing.packet));
        }
        let is_last = syncing.steps.is_empty();
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        if std::mem::take(&mut slot.was_told) && error.is_none() {
            slot.has.info = target.info;
        }
        match (step, error) {
            (Step::Database, None) => {
                slot.has.database = target.database;
                slot.has_database = true;
            }
            (Step::SystemVariables, None) => {
                slot.has.system = target.system;
                if slot.carries_system() {
                    self.known.imposed_travel();
                }
            }
            (Step::Option, None) => slot.has.option = target.option,
            (Step::Begin, None) => {
                // From here on the session is bound to this link.
                self.binding.forget_begun();
                self.binding.current = id;
            }
            (Step::UserVariables, None) => slot.has.user = target.user,
            (Step::Statement(statement), None) => {
                slot.statements
                    .add(statement, prepared.unwrap_or(NO_STATEMENT), 0);
                out.count(Event::StatementPreparedAgain);
            }
            (Step::AnyStatement, None) => {
                slot.statements.has_prepared = true;
                self.close_on(id, prepared.unwrap_or(NO_STATEMENT), out);
            }
            // Refused because too many are open, for example: the client's statement says what.
            (Step::AnyStatement, Some(_)) => slot.statements.has_prepared = true,
            // The client gets it.
            (Step::Statement(_), Some(_)) => {}
            (Step::Database, Some(BAD_DATABASE)) => {
                // It is gone: a direct client would be in none by now.
                self.known.set_database(None);
            }
            (_, Some(code)) => {
                let what = format!("refused the session's state: error {code}");
                return self.sync_failed(ctx, &what, out);
            }
        }
        if !is_last {
            return;
        }
        let refusal = match &mut self.phase {
            Phase::Syncing(syncing) => syncing.refusal.take(),
            _ => None,
        };
        match refusal {
            Some(error) => self.refused(id, error),
            None => self.link_found(id),
        }
    }

    /// The link cannot be brought up to date.
    pub(super) fn sync_failed(&mut self, ctx: &Ctx<'_>, what: &str, out: &mut Out<'_, Mail>) {
        let Phase::Syncing(syncing) = &self.phase else {
            return;
        };
        let id = syncing.link;
        let server = self.slot(id).map(|slot| slot.link.server);
        let is_bound = self.is_bound_to(id);
        self.drop_link(id, Linger::Abort, out);
        out.count(Event::LinkLost);
        let server_text = server.map(|s| s.to_string()).unwrap_or_default();
        if is_bound || !self.binding.again() {
            let text =
                format!("server {server_text} could not take over the session: {what} [not run]");
            let reason = CloseReason::ServerLost;
            return self.search_failed(ctx, Fault::LostBeforeReply, text, reason, out);
        }
        self.look_for_server(ctx, self.id, server.into_iter().collect(), 0, out);
    }
}
