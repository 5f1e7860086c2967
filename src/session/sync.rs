//! Bringing a link up to date before a request runs there.
//!
//! What travels beside a request (session state in extra info) goes with the first one. Variables
//! and the database need requests of their own: they are sent in one write, and their replies never
//! reach the client. The request waits, as bytes that were not read yet: whether a server stops at
//! an error or not, it never runs in a state that the client does not know.

use super::known::{Has, Missing};
use super::state::{Bytes, Ctx, Phase, Session};
use crate::base::{CloseReason, Event, Linger, LinkId, Out, Tick};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{ClientTurn, Command, ReplySink, put_packet, status};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};

/// The database does not exist.
const BAD_DATABASE: u16 = 1049;

/// A request of the session's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    SystemVariables,
    UserVariables,
    Database,
    Option,
}

/// Requests of the session's own that are under way on a link.
///
/// ```text
/// sent ── reply without an error, each ──> done: the request that waits runs
///   └── an error, the link lost, no answer in time ──> another link, once; then the client is told
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Syncing {
    pub(super) link: LinkId,
    /// What the replies to come are of.
    steps: Vec<Step>,
    /// What the link has when all have succeeded.
    target: Has,
    pub(super) deadline: Tick,
    error: Option<u16>,
}

/// Takes a reply that is not for the client.
#[derive(Default)]
struct Swallow {
    error: Option<u16>,
    is_bad: bool,
}

impl ReplySink for Swallow {
    fn pass(&mut self, _: usize, _: usize) {}
    fn pass_held(&mut self, _: &[u8]) {}
    fn ok(&mut self, _: u8, _: &[u8]) {}
    fn terminal_ok(&mut self, _: &[u8]) {}
    fn error(&mut self, code: u16) {
        self.error = Some(code);
    }
    fn client_turn(&mut self, _: ClientTurn) {
        self.is_bad = true;
    }
}

impl Session {
    /// What a link needs before a request may run there.
    pub(super) fn lacks(&self, id: LinkId) -> Missing {
        let Some(slot) = self.slot(id) else {
            return Missing::default();
        };
        if slot.has == self.known.newest() {
            return Missing::default();
        }
        let no_backslash = self.facts.status & status::NO_BACKSLASH_ESCAPES != 0;
        let (carries, in_database) = (slot.carries_system(), slot.has_database);
        self.known
            .missing(slot.has, carries, in_database, no_backslash)
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
        let mut steps = vec![];
        if let Some(name) = missing.database {
            self.send_step(id, Command::INIT_DB, &name, out);
            steps.push(Step::Database);
        }
        if let Some(option) = missing.option {
            self.send_step(id, Command::SET_OPTION, &option.to_le_bytes(), out);
            steps.push(Step::Option);
        }
        if let Some(text) = missing.system {
            self.send_step(id, Command::QUERY, &text, out);
            steps.push(Step::SystemVariables);
        }
        if let Some(text) = missing.user {
            self.send_step(id, Command::QUERY, &text, out);
            steps.push(Step::UserVariables);
        }
        out.count(Event::LinkSynced);
        self.phase = Phase::Syncing(Box::new(Syncing {
            link: id,
            steps,
            target: self.known.newest(),
            deadline: ctx.now.after_ms(ctx.settings.server_login_timeout_ms),
            error: None,
        }));
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
        let Some(reply) = self.link_mut(id).and_then(|link| link.reply()) else {
            return bytes.data.len();
        };
        let mut swallow = Swallow::default();
        let fed = reply.feed(rest, &mut swallow);
        let is_done = reply.is_done();
        if let Phase::Syncing(syncing) = &mut self.phase {
            syncing.error = syncing.error.or(swallow.error);
        }
        match fed {
            Ok(used) if !swallow.is_bad => {
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
            (Step::SystemVariables, None) => slot.has.system = target.system,
            (Step::Option, None) => slot.has.option = target.option,
            (Step::UserVariables, None) => slot.has.user = target.user,
            (Step::Database, Some(BAD_DATABASE)) => {
                // It is gone: a direct client would be in none by now.
                self.known.set_database(None);
            }
            (_, Some(code)) => {
                let what = format!("refused the session's state: error {code}");
                return self.sync_failed(ctx, &what, out);
            }
        }
        if is_last {
            self.link_found(id);
        }
    }

    /// The link cannot be brought up to date.
    pub(super) fn sync_failed(&mut self, ctx: &Ctx<'_>, what: &str, out: &mut Out<'_, Mail>) {
        let Phase::Syncing(syncing) = &self.phase else {
            return;
        };
        let id = syncing.link;
        let server = self.slot(id).map(|slot| slot.link.server);
        let is_bound = id == self.binding.current && !self.is_free();
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
