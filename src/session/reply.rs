//! What the server answers: what passes, what is rebuilt, what is learnt, and what a lost
//! connection means.

use super::server_login::shown_at_login;
use super::state::{Ctx, Phase, Session, put_error};
use crate::base::{CloseReason, Event, Level, Linger, LinkId, Out, Output, Side};
use crate::protocol::capability;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{ClientTurn, Command, OkPacket, ReplySink, TRACK_VARIABLES, status};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Error codes with which a server says that it has ended the whole client session.
const KILLED: &[u16] = &[4401, 5066];

/// What a session has learnt from its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The client asked to be told about session state.
    pub(super) track: bool,
    /// Capability bits of the client.
    pub(super) capabilities: u32,
    /// Status bits of the last OK or EOF that has them.
    pub(super) status: u16,
    /// `wait_timeout` of the session in seconds.
    pub(super) wait_timeout_s: Option<u32>,
    /// COM_STATISTICS is followed by a terminal OK.
    pub(super) has_statistics_ok: bool,
    /// The server of the session.
    pub(super) server: Option<SocketAddr>,
}

impl Facts {
    /// Takes what an OK says about the session.
    fn learn(&mut self, ok: &OkPacket<'_>) {
        self.status = ok.status & !status::STATE_CHANGED;
        if ok.state.is_empty() {
            return;
        }
        for block in ok.blocks().filter(|b| b.kind == TRACK_VARIABLES) {
            for (name, value, is_user) in block.variables() {
                if is_user {
                    break;
                }
                let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
                match name {
                    b"wait_timeout" => {
                        self.wait_timeout_s =
                            number().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
                    }
                    b"ob_capability_flag" => {
                        let granted = number().unwrap_or_default();
                        self.has_statistics_ok = granted & capability::EXTRA_OK_STATISTICS != 0;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes what the OK of a login says.
    pub(super) fn logged_in(&mut self, ok: &OkPacket<'_>) {
        self.learn(ok);
    }
}

/// Receives one call's worth of a reply.
struct Relay<'r, 'o> {
    out: &'r mut Out<'o, Mail>,
    facts: &'r mut Facts,
    /// The OK of COM_CHANGE_USER is shown like that of a login.
    is_login: bool,
    /// Where the follower's bytes begin in the slice of the call.
    base: usize,
    error: Option<u16>,
    turn: Option<ClientTurn>,
    is_malformed: bool,
}

impl ReplySink for Relay<'_, '_> {
    fn pass(&mut self, start: usize, end: usize) {
        self.out
            .forward(Side::Client, self.base + start, self.base + end);
    }

    fn pass_held(&mut self, bytes: &[u8]) {
        self.out.own(Side::Client, |b| b.extend_from_slice(bytes));
    }

    fn ok(&mut self, seq: u8, payload: &[u8]) {
        let Ok(ok) = OkPacket::parse(payload) else {
            self.is_malformed = true;
            return;
        };
        self.facts.learn(&ok);
        let (track, is_login) = (self.facts.track, self.is_login);
        self.out.own(Side::Client, |b| {
            ok.put_for_client(b, seq, track, |kind, name| {
                if is_login {
                    shown_at_login(kind, name)
                } else {
                    !is_for_proxies(name)
                }
            });
        });
    }

    fn terminal_ok(&mut self, payload: &[u8]) {
        match OkPacket::parse(payload) {
            Ok(ok) => self.facts.learn(&ok),
            Err(_) => self.is_malformed = true,
        }
    }

    fn error(&mut self, code: u16) {
        self.error = Some(code);
    }

    fn client_turn(&mut self, turn: ClientTurn) {
        self.turn = Some(turn);
    }
}

/// System variables that servers report to proxies only.
fn is_for_proxies(name: &[u8]) -> bool {
    name.starts_with(b"ob_proxy_") || name.starts_with(b"_ob_proxy_")
}

impl Session {
    pub(super) fn server_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        data: &[u8],
        out: &mut Out<'_, Mail>,
    ) {
        let mut at = 0;
        while at < data.len() && !self.is_over() {
            let Some(link) = self.link_mut(id) else {
                return;
            };
            if link.is_logging_in() {
                at += self.server_login_bytes(ctx, id, data.get(at..).unwrap_or_default(), out);
            } else if link.reply().is_some() {
                at = self.reply_bytes(ctx, id, data, at, out);
            } else {
                self.unasked(ctx, id, data.get(at..).unwrap_or_default(), out);
                return;
            }
        }
        self.resume(ctx, out);
    }

    fn reply_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        data: &[u8],
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let Self {
            links,
            facts,
            phase,
            ..
        } = self;
        let (Some(Some(link)), Phase::Running(running)) = (links.get_mut(usize::from(id.0)), phase)
        else {
            return data.len();
        };
        let Some(reply) = link.reply() else {
            return data.len();
        };
        let mut relay = Relay {
            out,
            facts,
            is_login: running.command == Command::CHANGE_USER,
            base: at,
            error: None,
            turn: None,
            is_malformed: false,
        };
        let fed = reply.feed(data.get(at..).unwrap_or_default(), &mut relay);
        let Relay {
            error,
            turn,
            is_malformed,
            ..
        } = relay;
        let done = reply.is_done();
        if let Some(code) = error {
            out.count(Event::ReplyError);
            running.new_user = None;
            self.is_killed |= KILLED.contains(&code);
        }
        if let Some(turn) = turn {
            running.turn = Some(turn);
        }
        match fed {
            Ok(used) if !is_malformed => {
                if done {
                    link.finish();
                    running.is_replied = true;
                    out.count(Event::Reply);
                    if let Some(name) = running.new_user.take() {
                        self.name = Some(name);
                        out.count(Event::ClientChangedUser);
                    }
                    self.finish_if_done(ctx, out);
                }
                at + used
            }
            bad => {
                let what = match bad {
                    Err(e) => e.to_string(),
                    Ok(_) => "a malformed OK packet".into(),
                };
                self.server_garbage(id, &what, out);
                data.len()
            }
        }
    }

    /// The server sent what is not the protocol: nothing of it can be trusted any more.
    fn server_garbage(&mut self, id: LinkId, what: &str, out: &mut Out<'_, Mail>) {
        let server = self.facts.server.map(|s| s.to_string()).unwrap_or_default();
        let line = format!("session={} server={server} what={what:?}", self.id);
        out.list
            .push(Output::Log(Level::Error, "server_protocol", line));
        let text = format!("server {server} broke the protocol ({what})");
        self.lost_in_statement(id, &text, CloseReason::ServerProtocol, out);
    }

    /// Request, reply and turns are over: the session is idle again.
    pub(super) fn finish_if_done(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Running(r) = &self.phase else {
            return;
        };
        if !r.is_asked || !r.is_replied || r.turn.is_some() {
            return;
        }
        if !r.command.has_reply()
            && let super::request::Route::Forward(id) = r.route
            && let Some(link) = self.link_mut(id)
        {
            link.finish();
        }
        self.phase = Phase::Idle;
        self.idle_since = ctx.now;
        self.drain(out);
    }

    /// Bytes on a link that nobody asked: an error before a close, or not the protocol.
    fn unasked(&mut self, ctx: &Ctx<'_>, id: LinkId, data: &[u8], out: &mut Out<'_, Mail>) {
        let line = format!(
            "session={} server={} bytes={} first={:#04x}",
            self.id,
            self.facts.server.map(|s| s.to_string()).unwrap_or_default(),
            data.len(),
            data.get(4).copied().unwrap_or_default()
        );
        out.list
            .push(Output::Log(Level::Warn, "server_spoke_unasked", line));
        out.list.push(Output::Close(id, Linger::Abort));
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
        if self.link_mut(id).is_none() {
            return;
        }
        match &self.phase {
            Phase::ServerLogin(_) => {
                out.list.push(Output::Close(id, Linger::Abort));
                self.attempt_failed(ctx, what, out);
            }
            Phase::Idle => {
                out.count(Event::LinkLost);
                out.list.push(Output::Close(id, Linger::Abort));
                let idle_s = ctx.now.since_us(self.idle_since) / 1_000_000;
                let is_timeout = self
                    .facts
                    .wait_timeout_s
                    .is_some_and(|w| idle_s >= u64::from(w));
                if self.is_killed {
                    self.end(CloseReason::Killed, Linger::Flush, out);
                } else if is_timeout {
                    // What a direct client sees: a close without a packet.
                    self.end(CloseReason::ServerIdleTimeout, Linger::Flush, out);
                } else {
                    self.links.clear();
                    let in_transaction = self.facts.status & status::IN_TRANSACTION != 0;
                    self.phase = Phase::Lost { in_transaction };
                    self.drain(out);
                }
            }
            Phase::Running(_) => {
                out.count(Event::LinkLost);
                let server = self.facts.server.map(|s| s.to_string()).unwrap_or_default();
                let text = format!("lost the connection to server {server}: {what}");
                self.lost_in_statement(id, &text, CloseReason::ServerLost, out);
            }
            _ => {}
        }
    }

    /// The server is gone in the middle of a statement.
    fn lost_in_statement(
        &mut self,
        id: LinkId,
        text: &str,
        reason: CloseReason,
        out: &mut Out<'_, Mail>,
    ) {
        if self.is_killed {
            self.end(CloseReason::Killed, Linger::Flush, out);
            return;
        }
        let asked = match &self.phase {
            Phase::Running(r) if r.is_asked => r.seq,
            _ => self.request.seq(),
        };
        let (fault, seq, outcome) = match self.link_mut(id).and_then(|l| l.reply()) {
            // Nothing was sent: the proxy was still reading a request that it handles itself.
            None => (Fault::LostBeforeReply, asked, "[not run]"),
            Some(r) if r.is_unbegun() => (Fault::LostBeforeReply, asked, "[unknown]"),
            Some(r) if r.is_at_boundary() => (Fault::LostInReply, r.seq(), "[unknown]"),
            // Inside a packet no error can be told.
            Some(_) => return self.end(reason, Linger::Flush, out),
        };
        put_error(
            seq.wrapping_add(1),
            fault,
            &format!("{text} {outcome}"),
            out,
        );
        self.end(reason, Linger::Flush, out);
    }
}
