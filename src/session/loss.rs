//! A server connection is lost: what the client is told, and what is left of its session.
//!
//! ```text
//! idle ── nothing is bound to the link ──────────────> the next request gets another
//!   └── a transaction was open ──────────────────────> the next request is told, it goes on
//!         └── more than that was there (pin.rs) ─────> an error, over
//! in a statement ── it did not run, or only reads ───> it runs elsewhere
//!   ├── else, at a packet boundary ──────────────────> one error, which ends in an outcome
//!   │                                                  the session goes on, unless more is lost
//!   └── inside a packet ─────────────────────────────> over
//! ```

use super::request::{Broken, Head, NEVER, Route, Running, look_due};
use super::route::RESET;
use super::state::{Ctx, Phase, Session, UNASKED_SEQ, put_error};
use crate::base::{CloseReason, CoreId, Event, Level, Linger, LinkId, Out, Output, Tick};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{Command, ErrPacket, HEADER_LEN, status};
use crate::routing::{Block, Mail};
use crate::sql::{Verb, only_reads};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A server closes this soon after its last words (observed: about 1 s).
pub(super) const FAREWELL_MS: u64 = 10_000;

/// What became of a statement, as its error says. Source: design, section 7.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Its server has not had all of it.
    NotRun,
    /// It was one of a transaction, which is gone.
    RolledBack,
    /// Nobody can know.
    Unknown,
}

impl Outcome {
    const fn text(self) -> &'static str {
        match self {
            Self::NotRun => "[not run]",
            Self::RolledBack => "[rolled back]",
            Self::Unknown => "[unknown]",
        }
    }
}

impl Session {
    /// The server of a link, for texts.
    pub(super) fn server_text(&self, id: LinkId) -> String {
        let slot = self.slot(id);
        slot.map(|slot| slot.link.server.to_string())
            .unwrap_or_default()
    }

    /// Bytes on a link that nobody asked: an error before a close, or not the protocol.
    pub(super) fn unasked(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        data: &[u8],
        out: &mut Out<'_, Mail>,
    ) {
        let line = format!(
            "session={} server={} bytes={} first={:#04x}",
            self.id,
            self.server_text(id),
            data.len(),
            data.get(4).copied().unwrap_or_default()
        );
        out.list
            .push(Output::Log(Level::Warn, "server_spoke_unasked", line));
        self.link_lost(ctx, id, "the server sent bytes that nobody asked for", out);
    }

    /// A server connection is gone.
    pub(super) fn link_lost(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        what: &str,
        out: &mut Out<'_, Mail>,
    ) {
        if self.slot(id).is_none() {
            return;
        }
        let is_awaited = match &self.phase {
            Phase::ServerLogin(l) => id == l.link(),
            Phase::Syncing(s) => id == s.link,
            _ => id == self.binding.current,
        };
        if !is_awaited {
            let is_bound = self.is_bound_to(id);
            out.count(Event::LinkLost);
            if self.is_farewell(ctx.now) {
                return self.end(CloseReason::Killed, Linger::Flush, out);
            }
            // A statement that runs elsewhere is answered first.
            if is_bound && !matches!(self.phase, Phase::Running(_)) {
                let text = format!(
                    "lost the connection to server {}: {what}",
                    self.server_text(id)
                );
                return self.lost_idle(ctx, id, &text, out);
            }
            return self.drop_link(id, Linger::Abort, out);
        }
        match &self.phase {
            Phase::ServerLogin(_) => {
                if let Some(server) = self.slot(id).map(|slot| slot.link.server) {
                    self.server_failed(ctx, server, Block::Black, out);
                }
                self.attempt_failed(ctx, what, out);
            }
            Phase::Syncing(_) => self.sync_failed(ctx, what, out),
            // What waits for a location is bound to no link.
            Phase::Idle | Phase::Locating(_) => {
                out.count(Event::LinkLost);
                let idle_s = ctx.now.since_us(self.idle_since) / 1_000_000;
                let is_timeout = self
                    .facts
                    .wait_timeout_s
                    .is_some_and(|w| idle_s >= u64::from(w));
                // The first two are what a direct client sees: a close without a packet.
                if self.is_farewell(ctx.now) {
                    self.end(CloseReason::Killed, Linger::Flush, out);
                } else if is_timeout {
                    self.end(CloseReason::ServerIdleTimeout, Linger::Flush, out);
                } else if !self.is_bound_to(id) {
                    // The next request gets another server; the client need not know.
                    self.report_lost(ctx, id, out);
                    self.drop_link(id, Linger::Abort, out);
                } else {
                    let server = self.server_text(id);
                    let text = format!("lost the connection to server {server}: {what}");
                    self.lost_idle(ctx, id, &text, out);
                }
            }
            Phase::Running(r) if r.is_refused() => self.send_elsewhere(ctx, out),
            Phase::Running(_) => {
                out.count(Event::LinkLost);
                let server = self.server_text(id);
                let text = format!("lost the connection to server {server}: {what}");
                self.lost_in_statement(ctx, id, &text, CloseReason::ServerLost, out);
            }
            _ => {}
        }
    }

    /// The running request was refused by its server, which proves that it did not run.
    pub(super) fn send_elsewhere(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if let Phase::Running(running) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.repeat_elsewhere(ctx, running, out);
        }
    }

    /// The server is gone while nothing ran. If that ends a transaction and no more, the next
    /// request is told so. Otherwise the error packet waits in the client's socket until then; a
    /// driver that looks at the socket first sees the end at once.
    fn lost_idle(&mut self, ctx: &Ctx<'_>, id: LinkId, text: &str, out: &mut Out<'_, Mail>) {
        let lost = match self.facts.status & status::IN_TRANSACTION {
            0 => "",
            _ => "; the open transaction is rolled back",
        };
        let text = format!("{text} while the session was idle{lost} [not run]");
        let (fault, reason) = (Fault::LostBeforeReply, CloseReason::ServerLostIdle);
        if !self.survives() {
            return self.fail(UNASKED_SEQ, fault, &text, reason, out);
        }
        self.drop_link(id, Linger::Abort, out);
        self.fail_next(Broken::new(ctx, fault, text, reason));
    }

    /// True while a close by the server is no failure.
    fn is_farewell(&self, now: Tick) -> bool {
        self.farewell.is_some_and(|until| now <= until)
    }

    /// What becomes of the request under way when its link goes now.
    fn outcome(&self) -> Outcome {
        let Phase::Running(r) = &self.phase else {
            return Outcome::NotRun;
        };
        let is_lost = self.is_in_transaction();
        let is_undone = is_lost || self.facts.status & status::AUTOCOMMIT == 0;
        match r.is_asked {
            false if is_lost => Outcome::RolledBack,
            false => Outcome::NotRun,
            true if is_undone && r.outline.keeps_transaction => Outcome::RolledBack,
            true => Outcome::Unknown,
        }
    }

    /// The same as the end of an error's text; empty if there is no request.
    pub(super) fn outcome_text(&self) -> String {
        match &self.phase {
            // A KILL is no request that runs on a server.
            _ if self.kill.is_some() => String::new(),
            Phase::Running(_) | Phase::Syncing(_) | Phase::Locating(_) => {
                format!(" {}", self.outcome().text())
            }
            _ => String::new(),
        }
    }

    /// The server is gone in the middle of a statement.
    pub(super) fn lost_in_statement(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        text: &str,
        reason: CloseReason,
        out: &mut Out<'_, Mail>,
    ) {
        if self.is_farewell(ctx.now) {
            self.end(CloseReason::Killed, Linger::Flush, out);
            return;
        }
        let Phase::Running(r) = &self.phase else {
            return;
        };
        let (seq, is_sending, has_reply) = (r.next_seq, r.wants_client(), r.command.has_reply());
        let (is_replied, keeps) = (r.is_replied, r.outline.keeps_transaction);
        let is_plain = keeps && !r.outline.has_user_variables;
        if let Some(server) = self.slot(id).map(|slot| slot.link.server) {
            self.server_failed(ctx, server, Block::Black, out);
        }
        let is_lost = self.is_in_transaction();
        let outcome = self.outcome();
        let reply = self.link_mut(id).and_then(|l| l.reply());
        let is_told = has_reply && (is_replied || reply.as_ref().is_some_and(|r| r.is_told()));
        let (fault, outcome) = match reply {
            // The client has its answer but still sends: it has to see the close.
            _ if is_told && is_sending => return self.end(reason, Linger::Flush, out),
            _ if is_told && reason == CloseReason::ServerLost => {
                return self.lost_behind_reply(ctx, id, is_plain, text, out);
            }
            // What the client was told may be wrong.
            _ if is_told => {
                let text = format!("{text} [unknown]");
                return self.fail(UNASKED_SEQ, Fault::LostInReply, &text, reason, out);
            }
            // Nothing was sent: the proxy was still reading a request that it handles itself.
            None => (Fault::LostBeforeReply, Outcome::NotRun),
            Some(_) if reason == CloseReason::ServerTimeout => (Fault::ServerTimeout, outcome),
            Some(r) if r.is_unbegun() => (Fault::LostBeforeReply, outcome),
            Some(r) if r.is_at_boundary() => (Fault::LostInReply, outcome),
            // Inside a packet no error can be told.
            Some(_) => return self.end(reason, Linger::Flush, out),
        };
        // A statement that was slow once is not run a second time.
        if reason != CloseReason::ServerTimeout && self.may_run_again() {
            let line = format!("session={} reason={} text={text:?}", self.id, reason.name());
            out.list
                .push(Output::Log(Level::Warn, "statement_repeated", line));
            self.report_lost(ctx, id, out);
            return self.send_elsewhere(ctx, out);
        }
        let lost = match is_lost {
            true => "; the open transaction is rolled back",
            false => "",
        };
        let broken = Broken::new(
            ctx,
            fault,
            format!("{text}{lost} {}", outcome.text()),
            reason,
        );
        self.report_lost(ctx, id, out);
        self.drop_link(id, Linger::Abort, out);
        if is_lost {
            self.abandon_transaction(outcome, out);
        }
        if is_sending {
            self.break_request(broken);
        } else {
            self.tell(ctx, seq, &broken, out);
        }
    }

    /// The server of the running statement has not answered for some time: it is slow, or it is
    /// lost and nobody has said so.
    pub(super) fn overdue(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Running(r) = &mut self.phase else {
            return;
        };
        if r.late <= ctx.now {
            return self.unanswered(ctx, out);
        }
        r.due = look_due(ctx, r.late);
        let Some(server) = self.outstanding() else {
            return;
        };
        let heard = ctx.traffic.borrow().loads.heard(server);
        let is_quiet = heard.is_none_or(|at| at.after_ms(ctx.settings.suspect_ms) <= ctx.now);
        if is_quiet {
            self.suspect(ctx, server, out);
        }
    }

    /// A server is lost; true if a statement of this session waits for it.
    pub(super) fn take_loss(&mut self, server: SocketAddr) -> bool {
        let is_replied = matches!(&self.phase, Phase::Running(r) if r.is_replied);
        self.is_unheard = !is_replied && self.outstanding() == Some(server);
        self.is_unheard
    }

    /// The server of the running statement is lost: it answers nothing and nobody. A read runs
    /// elsewhere, of others the client is told.
    pub(super) fn unheard(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Running(Running {
            route: Route::Forward(id),
            ..
        }) = self.phase
        else {
            return;
        };
        let text = format!(
            "server {} does not answer, probes neither",
            self.server_text(id)
        );
        self.lost_in_statement(ctx, id, &text, CloseReason::ServerLost, out);
    }

    /// The server of the running statement does not answer. Its connection goes, which ends the
    /// statement there (observed on seekdb 1.3.0.post5: within 0.2 s).
    pub(super) fn unanswered(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Running(Running {
            route: Route::Forward(id),
            due,
            ..
        }) = &mut self.phase
        else {
            return;
        };
        let id = *id;
        *due = NEVER;
        let text = format!(
            "server {} did not answer within ob_query_timeout and observer_query_timeout_delta",
            self.server_text(id)
        );
        self.lost_in_statement(ctx, id, &text, CloseReason::ServerTimeout, out);
    }

    /// The client has its answer, but not all that belongs to it has come: what the statement
    /// changed of the session is missing. `is_plain`: it changes nothing.
    fn lost_behind_reply(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        is_plain: bool,
        text: &str,
        out: &mut Out<'_, Mail>,
    ) {
        if !(is_plain && self.survives()) {
            let text = format!("{text} while the session was idle [not run]");
            let reason = CloseReason::ServerLostIdle;
            return self.fail(UNASKED_SEQ, Fault::LostBeforeReply, &text, reason, out);
        }
        self.report_lost(ctx, id, out);
        match self.is_bound_to(id) {
            true => self.lost_idle(ctx, id, text, out),
            false => self.drop_link(id, Linger::Abort, out),
        }
        self.answered(ctx, out);
    }

    /// Something went wrong with a server: too much of it, and it gets no new work for a while.
    pub(super) fn server_failed(
        &self,
        ctx: &Ctx<'_>,
        server: SocketAddr,
        how: Block,
        out: &mut Out<'_, Mail>,
    ) {
        let rules = ctx.settings.blocks;
        let is_new = ctx
            .traffic
            .borrow_mut()
            .blocks
            .failed(ctx.now, server, how, rules);
        if is_new {
            out.count(Event::ServerBlocked);
            let line = format!("server={server} seconds={}", rules.retry_ms / 1_000);
            out.list
                .push(Output::Log(Level::Warn, "server_blocked", line));
            if how == Block::Black {
                self.suspect(ctx, server, out);
            }
        }
    }

    /// The metadata core asks a server whether it lives, and tells every core if it does not.
    fn suspect(&self, ctx: &Ctx<'_>, server: SocketAddr, out: &mut Out<'_, Mail>) {
        let name = self.name.as_deref().and_then(|n| n.cluster.as_deref());
        if ctx.settings.suspect_ms > 0
            && let Some(cluster) = ctx.view.cluster(name)
        {
            let cluster = cluster.name.clone();
            let mail = Mail::Suspect { cluster, server };
            out.list.push(Output::Post(CoreId::METADATA, mail));
        }
    }

    /// The metadata core looks what has become of the server of a link.
    fn report_lost(&self, ctx: &Ctx<'_>, id: LinkId, out: &mut Out<'_, Mail>) {
        if let Some(server) = self.slot(id).map(|slot| slot.link.server) {
            self.report_unreachable(ctx, server, RESET, out);
        }
    }

    /// True if a session goes on without its links: nothing of it was there that is not here, too,
    /// but for an open transaction.
    fn survives(&self) -> bool {
        let is_login =
            matches!(&self.phase, Phase::Running(r) if r.command == Command::CHANGE_USER);
        self.binding.is_routed
            && self.binding.pins.is_empty()
            && !self.known.is_cut()
            && !is_login
            && !self.is_draining
    }

    /// True if the running request may be sent to another server although this one may have run
    /// it: it reads, outside a transaction, and the client has seen nothing of its reply.
    fn may_run_again(&self) -> bool {
        let Phase::Running(r) = &self.phase else {
            return false;
        };
        let Some(kept) = r
            .kept
            .as_ref()
            .filter(|kept| r.is_asked && kept.may_repeat())
        else {
            return false;
        };
        let body = kept.bytes.get(HEADER_LEN + 1..).unwrap_or_default();
        let text = match r.command {
            Command::QUERY => Some(body),
            Command::STMT_EXECUTE => {
                let id = body.first_chunk().map(|id| u32::from_le_bytes(*id));
                let statement = id.and_then(|id| self.statements.of(id));
                statement.map(|statement| &*statement.text)
            }
            _ => None,
        };
        let syntax = self.dialect.syntax(self.facts.status);
        text.is_some_and(|text| only_reads(text, syntax))
    }

    /// Tells the client what became of its request, which is whole; its session goes on if nothing
    /// else of it is lost.
    pub(super) fn tell(
        &mut self,
        ctx: &Ctx<'_>,
        seq: u8,
        broken: &Broken,
        out: &mut Out<'_, Mail>,
    ) {
        let has_reply = matches!(&self.phase, Phase::Running(r) if r.command.has_reply());
        if !(has_reply && self.survives()) {
            return self.fail(seq, broken.fault, &broken.text, broken.reason, out);
        }
        let line = format!(
            "session={} reason={} text={:?}",
            self.id,
            broken.reason.name(),
            broken.text
        );
        out.list
            .push(Output::Log(Level::Warn, "statement_lost", line));
        put_error(seq, broken.fault, &broken.text, out);
        out.count(Event::StatementLost);
        if self.is_in_transaction() && self.slot(self.coordinator()).is_none() {
            self.abandon_transaction(Outcome::RolledBack, out);
        }
        self.answered(ctx, out);
    }

    /// One of its servers is lost, so that the open transaction cannot be finished. The others roll
    /// back what they have of it when their links go.
    fn abandon_transaction(&mut self, outcome: Outcome, out: &mut Out<'_, Mail>) {
        self.binding.lost = Some(outcome);
        for at in 0..self.links.len() {
            self.drop_link(LinkId(at as u16), Linger::Abort, out);
        }
        self.facts.status &= !status::IN_TRANSACTION;
        if self.binding.free_route.is_carried() {
            self.known.forget_transaction();
        }
        self.binding.free_route.transaction_over();
        self.aim.transaction_over();
    }

    /// True if the client commits a transaction that is lost: whatever it was told before, it must
    /// not take an OK for an outcome. It is told once; who begins anew, or rolls back, knows.
    pub(super) fn refuses_commit(&mut self, ctx: &Ctx<'_>, head: &Head<'_>) -> bool {
        let Some(outcome) = self.binding.lost else {
            return false;
        };
        if self.is_in_transaction() || self.binding.is_begun() {
            self.binding.lost = None;
            return false;
        }
        let Some(verb) = self.verb(ctx, head) else {
            return false;
        };
        if matches!(verb, Verb::Begin | Verb::Rollback | Verb::Commit) {
            self.binding.lost = None;
        }
        if verb != Verb::Commit {
            return false;
        }
        let what = match outcome {
            Outcome::Unknown => "nobody knows what became of the COMMIT before",
            _ => "the transaction was lost with the connection to its server",
        };
        let (code, sqlstate) = Fault::LostBeforeReply.code();
        let mut error = Vec::new();
        ErrPacket {
            code,
            sqlstate,
            message: format!("{what}: there is nothing to commit {}", outcome.text()).as_bytes(),
        }
        .put(&mut error, 1);
        self.refuse(error);
        true
    }

    /// What the statement that a request runs does; `None` if it runs none.
    fn verb(&self, ctx: &Ctx<'_>, head: &Head<'_>) -> Option<Verb> {
        match head.command {
            // Read already, for its outline.
            Command::QUERY | Command::STMT_PREPARE_EXECUTE => {}
            Command::STMT_EXECUTE => {
                let statement = self.statements.of(head.statement)?;
                let syntax = self.dialect.syntax(self.facts.status);
                ctx.scan.borrow_mut().read(&statement.text, syntax, true);
            }
            _ => return None,
        }
        Some(ctx.scan.borrow().verb)
    }

    /// The running request is over: its link is gone, and the client has its answer.
    fn answered(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if let Phase::Running(r) = &mut self.phase {
            r.route = Route::Local;
            (r.is_asked, r.is_replied, r.turn) = (true, true, None);
            r.forget_kept(out);
        }
        self.finish_if_done(ctx, out);
    }

    /// Tells the client what became of its request.
    pub(super) fn tell_broken(&mut self, ctx: &Ctx<'_>, seq: u8, out: &mut Out<'_, Mail>) {
        if let Phase::Running(r) = &mut self.phase
            && let Some(broken) = r.broken.take()
        {
            self.tell(ctx, seq, &broken, out);
        }
    }

    /// The client does not send the rest of its request: it is told now, and the session is over,
    /// as it is not known where the next one begins.
    pub(super) fn give_up_broken(&mut self, seq: u8, out: &mut Out<'_, Mail>) {
        if let Phase::Running(r) = &mut self.phase
            && let Some(broken) = r.broken.take()
        {
            self.fail(seq, broken.fault, &broken.text, broken.reason, out);
        }
    }
}
