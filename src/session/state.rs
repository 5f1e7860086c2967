//! The session's state, its entry point, and its ends.

use super::admin::Admin;
use super::aim::Aim;
use super::client_frames::ClientFrames;
use super::client_login::{ClientLogin, Parsed};
use super::dialect::Dialect;
use super::kill::{KilledBy, Killing};
use super::known::Known;
use super::reply::{Facts, Limits};
use super::request::{NEVER, Running};
use super::route::Binding;
use super::server_login::proxy_connection_id;
use super::slot::Slot;
use super::statements::Statements;
use super::sync::Syncing;
use super::wishes::Wishes;
use super::{SessionIds, Settings};
use crate::auth::{LoginName, Scramble, Unseal};
use crate::base::{
    Accepted, Appetite, CloseReason, CoreId, Input, Key, Linger, LinkId, Out, Output, Side, Tick,
};
use crate::link::Link;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{ErrPacket, Request, status};
use crate::routing::{Mail, Replica, SessionRow, SessionState, Traffic};
use crate::sql::Scan;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::SocketAddr;

/// What a call may look at besides the session.
pub struct Ctx<'a> {
    /// The tick of this input.
    pub now: Tick,
    /// The session's key in its table.
    pub key: Key,
    /// The core's replica of cluster knowledge.
    pub view: &'a Replica,
    /// The core's own traffic.
    pub traffic: &'a RefCell<Traffic>,
    /// Settings.
    pub settings: &'a Settings,
    /// Whose connection ids are whose.
    pub ids: &'a SessionIds,
    /// Where statements are read.
    pub scan: &'a RefCell<Scan>,
    /// Opens passwords that clients have sealed; `None`: no client is asked for one.
    pub unseal: Option<&'a dyn Unseal>,
}

/// Sequence number of an error packet that nobody asked for: that of the answer to the client's
/// next request, so a driver that sends first and reads then takes it for the answer.
pub(super) const UNASKED_SEQ: u8 = 1;

/// Client bytes kept while a statement runs; more makes the session hold its client. Pipelined
/// requests of this size are not slowed down.
pub(super) const HELD_MAX: usize = 64 << 10;

/// Where a session stands. `LIFECYCLE.md` has the picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Accepted; the greeting goes out at the first `Wake`.
    New,
    /// The client is logging in.
    ClientLogin(Box<ClientLogin>),
    /// A server is being chosen, connected and logged in to.
    ServerLogin(Box<super::server_login::ServerLogin>),
    /// Logged in, nothing runs.
    Idle,
    /// A request waits for what is known of its table, until then at most.
    Locating(Tick),
    /// A link gets the session's state, for the request that waits.
    Syncing(Box<Syncing>),
    /// A request runs.
    Running(Running),
    /// Logged in as the administrator of the proxy.
    Admin(Box<Admin>),
    /// Over: nothing is delivered any more.
    Over,
}

/// One client connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Connection id: in the greeting, and on every server.
    pub id: u32,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) connected_unix_us: u64,
    /// What the wall clock showed at tick 0, as it was then.
    pub(super) epoch_us: u64,
    pub(super) scramble: Scramble,
    pub(super) phase: Phase,
    /// Follows the packets of the client's current request.
    pub(super) request: Request,
    /// The front of a request that is not whole yet.
    pub(super) gathered: Vec<u8>,
    /// Client bytes that wait for the running statement to end.
    pub(super) held: Vec<u8>,
    pub(super) is_holding: bool,
    /// The framing of a client that has one.
    pub(super) frames: Option<Box<ClientFrames>>,
    /// Server connections by [`LinkId`].
    pub(super) links: Vec<Option<Slot>>,
    /// Who is logged in.
    pub(super) name: Option<Box<LoginName>>,
    /// What servers are told at a login.
    pub(super) login: Option<Box<Parsed>>,
    pub(super) binding: Binding,
    pub(super) aim: Aim,
    pub(super) dialect: Dialect,
    /// As it was at the login: what COM_RESET_CONNECTION goes back to.
    pub(super) first_dialect: Dialect,
    /// What limited its time then.
    pub(super) first_limits: Limits,
    pub(super) wishes: Wishes,
    pub(super) known: Known,
    pub(super) statements: Statements,
    pub(super) facts: Facts,
    /// The end of the client's login time, until it is logged in.
    pub(super) login_deadline: Option<Tick>,
    /// Since when nothing runs.
    pub(super) idle_since: Tick,
    /// Set when the process is ending.
    pub(super) is_draining: bool,
    /// The server has ended this session, or is about to: its close is no failure. Until when.
    pub(super) farewell: Option<Tick>,
    /// Who ends it.
    pub(super) killed_by: Option<KilledBy>,
    /// The server of its statement is lost.
    pub(super) is_unheard: bool,
    /// The KILL that waits for another core.
    pub(super) kill: Option<Box<Killing>>,
    /// It came when the limit of client connections was reached: only an administrator may stay.
    pub(super) is_over_limit: bool,
}

impl Session {
    /// A session for an accepted client.
    #[must_use]
    pub fn new(id: u32, now: Tick, accepted: &Accepted, settings: &Settings) -> Self {
        Self {
            id,
            peer: accepted.peer,
            local: accepted.local,
            connected_unix_us: accepted.unix_us,
            epoch_us: accepted.unix_us.saturating_sub(now.0),
            scramble: crate::auth::scramble(&accepted.entropy),
            phase: Phase::New,
            request: Request::default(),
            gathered: Vec::new(),
            held: Vec::new(),
            is_holding: false,
            frames: None,
            links: Vec::new(),
            name: None,
            login: None,
            binding: Binding::new(u64::from(id)),
            aim: Aim::default(),
            dialect: Dialect::default(),
            first_dialect: Dialect::default(),
            first_limits: Limits::default(),
            wishes: Wishes::default(),
            known: Known::default(),
            statements: Statements::default(),
            facts: Facts::default(),
            login_deadline: Some(now.after_ms(settings.login_timeout_ms)),
            idle_since: now,
            is_draining: false,
            farewell: None,
            killed_by: None,
            is_unheard: false,
            kill: None,
            is_over_limit: accepted.is_over_limit,
        }
    }

    /// The session has this connection id from now on.
    pub(super) fn named(&mut self, id: u32) {
        self.id = id;
        self.binding = Binding::new(u64::from(id));
    }

    /// Something happened.
    pub fn handle(&mut self, ctx: &Ctx<'_>, input: Input<'_>, out: &mut Out<'_, Mail>) {
        if let Some(frames) = &mut self.frames {
            frames.begin(out);
        }
        self.take_input(ctx, input, out);
        if self.frames.is_some() {
            self.end_of_call(ctx, out);
        }
    }

    fn take_input(&mut self, ctx: &Ctx<'_>, input: Input<'_>, out: &mut Out<'_, Mail>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        if let (Input::Wake, Some(by)) = (&input, self.killed_by) {
            return self.killed(by, out);
        }
        if matches!(input, Input::Wake) && std::mem::take(&mut self.is_unheard) {
            self.unheard(ctx, out);
        }
        match input {
            Input::Bytes(Side::Client, data) if self.frames.is_some() => {
                self.frame_bytes(ctx, data, out);
            }
            Input::Bytes(Side::Client, data) => {
                if !self.held.is_empty() {
                    // What is held is blocked, and order matters.
                    self.hold(data, out);
                    return;
                }
                self.client_bytes(ctx, Bytes::lent(data), out);
            }
            Input::Bytes(Side::Server(id), data) => self.server_bytes(ctx, id, data, out),
            Input::Eof(Side::Client) => {
                let reason = match &self.phase {
                    Phase::Running(_) | Phase::Syncing(_) | Phase::Locating(_) => {
                        CloseReason::ClientGone
                    }
                    Phase::Idle if !self.gathered.is_empty() => CloseReason::ClientGone,
                    Phase::ClientLogin(l) if l.is_untouched() => CloseReason::Probe,
                    Phase::New => CloseReason::Probe,
                    _ => CloseReason::ClientEof,
                };
                self.end(reason, Linger::Flush, out);
            }
            Input::Failed(Side::Client, _) => {
                let untouched = matches!(&self.phase, Phase::ClientLogin(l) if l.is_untouched());
                let reason = if untouched {
                    CloseReason::Probe
                } else {
                    CloseReason::ClientReset
                };
                self.end(reason, Linger::Abort, out);
            }
            Input::Eof(Side::Server(id)) => self.link_lost(ctx, id, "closed by the server", out),
            Input::Failed(Side::Server(id), errno) => {
                self.link_lost(ctx, id, &errno.to_string(), out);
            }
            Input::Connected(id) => {
                if let Some(link) = self.link_mut(id) {
                    link.connected();
                }
            }
            Input::ConnectFailed(id, errno) => self.connect_failed(ctx, id, errno, out),
            Input::Wake => match self.phase {
                Phase::New => self.greet(ctx, out),
                Phase::ServerLogin(_) => self.server_login_woken(ctx, out),
                Phase::Admin(_) => self.admin_woken(ctx, out),
                // The request is read again, now that more is known.
                Phase::Locating(_) => self.phase = Phase::Idle,
                _ => {}
            },
            Input::Timer => self.timer(ctx, out),
            Input::Drain { .. } => {
                self.is_draining = true;
                self.drain(out);
            }
        }
        if matches!(self.phase, Phase::Idle) {
            // A request may have waited for what has happened.
            self.resume(ctx, out);
        }
    }

    /// When the next `Timer` is wanted.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Tick> {
        let phase = match &self.phase {
            Phase::ClientLogin(l) => l.key_due(),
            Phase::ServerLogin(l) => Some(l.due()),
            Phase::Running(r) => {
                let due = r.broken.as_ref().map_or(r.due, |b| b.deadline);
                Some(due).filter(|due| *due != NEVER)
            }
            Phase::Syncing(s) => Some(s.deadline),
            Phase::Locating(until) => Some(*until),
            Phase::Admin(a) => a.deadline(),
            _ => None,
        };
        let all = [self.login_deadline, phase, self.links_due()];
        all.into_iter().flatten().min()
    }

    /// How long the client may take no byte of a reply, in milliseconds, once a server has told it.
    /// MySQL's smallest net_write_timeout is 1 s; 0 would cut everyone who is ever slow.
    pub(super) fn stall_limit_ms(&self) -> Option<u64> {
        let seconds = self.facts.net_write_timeout_s?;
        Some(u64::from(seconds.max(1)) * 1_000)
    }

    fn timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        self.close_old_links(ctx, out);
        if self.login_deadline.is_some_and(|d| d <= ctx.now) {
            let seconds = ctx.settings.login_timeout_ms as f64 / 1000.0;
            let (seq, what) = match &self.phase {
                Phase::ClientLogin(l) => (l.reply_seq(), "the login packet did not arrive"),
                Phase::ServerLogin(_) => {
                    let text = format!(
                        "no server answered the login within {seconds} s (client_login_timeout)"
                    );
                    return self.search_timed_out(ctx, text, out);
                }
                _ => return,
            };
            let text = format!("{what} within {seconds} s (client_login_timeout)");
            self.fail(
                seq,
                Fault::LoginTimeout,
                &text,
                CloseReason::LoginTimeout,
                out,
            );
            return;
        }
        match &self.phase {
            Phase::Running(r) => {
                let seq = self.answer_seq();
                if r.broken.as_ref().is_some_and(|b| b.deadline <= ctx.now) {
                    self.give_up_broken(seq, out);
                } else if r.due <= ctx.now {
                    self.overdue(ctx, out);
                }
            }
            Phase::Admin(_) => self.admin_timer(ctx, out),
            Phase::ClientLogin(_) => self.key_timer(ctx, out),
            Phase::Locating(until) => {
                if *until <= ctx.now {
                    self.locate_no_longer();
                }
            }
            Phase::Syncing(s) if s.deadline <= ctx.now => {
                self.sync_failed(ctx, "did not answer in time", out);
            }
            _ => self.server_login_timer(ctx, out),
        }
    }

    /// Sequence number that the client expects of an answer that is sent now.
    pub(super) fn answer_seq(&self) -> u8 {
        match &self.phase {
            _ if !self.request.is_fresh() => self.request.seq().wrapping_add(1),
            Phase::Running(r) => r.next_seq,
            _ => UNASKED_SEQ,
        }
    }

    /// Ends the session if the process is draining and the client is at a safe point.
    pub(super) fn drain(&mut self, out: &mut Out<'_, Mail>) {
        if !self.is_draining {
            return;
        }
        let seq = match &self.phase {
            Phase::Idle if !self.is_between() => return,
            Phase::Idle if self.facts.status & status::IN_TRANSACTION == 0 => UNASKED_SEQ,
            Phase::Admin(a) if !a.is_busy() => UNASKED_SEQ,
            Phase::ClientLogin(l) => l.reply_seq(),
            Phase::ServerLogin(l) if l.is_login() => l.reply_seq(),
            Phase::New => {
                self.end(CloseReason::Shutdown, Linger::Abort, out);
                return;
            }
            _ => return,
        };
        self.fail(
            seq,
            Fault::Shutdown,
            "the proxy is shutting down",
            CloseReason::Shutdown,
            out,
        );
    }

    /// Keeps client bytes for later.
    pub(super) fn hold(&mut self, data: &[u8], out: &mut Out<'_, Mail>) {
        if self.held.capacity() == 0 {
            self.held = out.pool.take();
        }
        self.held.extend_from_slice(data);
        if self.held.len() > HELD_MAX && !self.is_holding {
            self.is_holding = true;
            out.list
                .push(Output::Appetite(Side::Client, Appetite::Hold));
        }
    }

    /// Works on what was held, after something ended.
    pub(super) fn resume(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if self.held.is_empty() || matches!(self.phase, Phase::Over) {
            return;
        }
        let held = std::mem::take(&mut self.held);
        self.client_bytes(ctx, Bytes::own(&held), out);
        out.pool.give(held);
        if self.is_holding && self.held.len() <= HELD_MAX && !matches!(self.phase, Phase::Over) {
            self.is_holding = false;
            out.list
                .push(Output::Appetite(Side::Client, Appetite::Read));
        }
    }

    pub(super) fn client_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        bytes: Bytes<'_>,
        out: &mut Out<'_, Mail>,
    ) {
        let mut at = 0;
        while at < bytes.data.len() {
            match &self.phase {
                Phase::ClientLogin(_) => at = self.login_bytes(ctx, bytes, at, out),
                Phase::Idle => at = self.gather_bytes(ctx, bytes, at, out),
                Phase::Admin(a) if !a.is_busy() => at = self.admin_bytes(ctx, bytes, at, out),
                Phase::Running(r) if r.wants_client() => {
                    at = self.request_bytes(ctx, bytes, at, out);
                }
                Phase::New
                | Phase::ServerLogin(_)
                | Phase::Locating(_)
                | Phase::Syncing(_)
                | Phase::Running(_)
                | Phase::Admin(_) => {
                    self.hold(bytes.data.get(at..).unwrap_or_default(), out);
                    return;
                }
                Phase::Over => return,
            }
        }
    }

    /// The server whose reply is awaited.
    pub(super) fn outstanding(&self) -> Option<SocketAddr> {
        match &self.phase {
            Phase::Running(Running {
                route: super::request::Route::Forward(id),
                ..
            }) => self.slot(*id).map(|slot| slot.link.server),
            _ => None,
        }
    }

    pub(super) fn slot(&self, id: LinkId) -> Option<&Slot> {
        self.links.get(usize::from(id.0)).and_then(Option::as_ref)
    }

    pub(super) fn slot_mut(&mut self, id: LinkId) -> Option<&mut Slot> {
        self.links
            .get_mut(usize::from(id.0))
            .and_then(Option::as_mut)
    }

    pub(super) fn link_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.slot_mut(id).map(|slot| &mut slot.link)
    }

    /// True if no byte of a request has come that is not answered.
    pub(super) const fn is_between(&self) -> bool {
        self.gathered.is_empty() && self.held.is_empty()
    }

    /// One line of a list of sessions.
    pub(super) fn row(&self, core: CoreId) -> SessionRow {
        let part = |of: fn(&LoginName) -> &Vec<u8>| self.name.as_deref().map(|n| of(n).clone());
        SessionRow {
            id: self.id,
            proxy_session: proxy_connection_id(&self.local, self.id),
            cluster: self.name.as_deref().and_then(|n| n.cluster.clone()),
            tenant: part(|n| &n.tenant),
            user: part(|n| &n.user),
            peer: self.peer,
            database: self.known.database().map(<[u8]>::to_vec),
            transactions: self.facts.transactions,
            links: self.links() as u64,
            state: match &self.phase {
                Phase::Running(_) | Phase::Syncing(_) | Phase::Locating(_) => SessionState::Active,
                Phase::Admin(a) if a.is_busy() => SessionState::Active,
                Phase::Idle | Phase::Admin(_) => SessionState::KeepAlive,
                _ => SessionState::Init,
            },
            core,
        }
    }

    /// Sends an error packet to the client and ends.
    pub(super) fn fail(
        &mut self,
        seq: u8,
        fault: Fault,
        text: &str,
        reason: CloseReason,
        out: &mut Out<'_, Mail>,
    ) {
        put_error(seq, fault, text, out);
        self.end(reason, Linger::Flush, out);
    }

    /// Ends the session.
    pub(super) fn end(&mut self, reason: CloseReason, linger: Linger, out: &mut Out<'_, Mail>) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        self.phase = Phase::Over;
        self.links.clear();
        self.login_deadline = None;
        out.pool.give(std::mem::take(&mut self.held));
        out.pool.give(std::mem::take(&mut self.gathered));
        out.list.push(Output::End(reason, linger));
    }

    /// Server connections, those that are being made included.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.iter().flatten().count()
    }

    /// True after the end.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// True while it waits for the replica to know the cluster or the tenant.
    #[must_use]
    pub fn is_waiting_for_view(&self) -> bool {
        matches!(&self.phase, Phase::ServerLogin(l) if l.is_waiting())
    }

    /// One line for logs.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut line = format!("session={} peer={}", self.id, self.peer);
        if let Some(name) = &self.name {
            let text = |b: &[u8]| String::from_utf8_lossy(b).escape_debug().to_string();
            let _ = write!(
                line,
                " user={} tenant={}",
                text(&name.user),
                text(&name.tenant)
            );
            if let Some(cluster) = &name.cluster {
                let _ = write!(line, " cluster={}", text(cluster));
            }
        }
        if let Some(server) = self.facts.server {
            let _ = write!(line, " server={server}");
        }
        line
    }
}

/// Client bytes and whether ranges of them may be forwarded without a copy.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    pub(super) data: &'a [u8],
    /// The data is the slice of this call.
    pub(super) is_lent: bool,
}

impl<'a> Bytes<'a> {
    /// Bytes of a server: they may be forwarded, but to a client with frames.
    pub(super) const fn of_server(data: &'a [u8], has_frames: bool) -> Self {
        Self {
            data,
            is_lent: !has_frames,
        }
    }

    /// Bytes that may be forwarded.
    pub(super) const fn lent(data: &'a [u8]) -> Self {
        Self {
            data,
            is_lent: true,
        }
    }

    /// Bytes that must be copied.
    pub(super) const fn own(data: &'a [u8]) -> Self {
        Self {
            data,
            is_lent: false,
        }
    }

    #[inline]
    pub(super) fn pass(self, side: Side, start: usize, end: usize, out: &mut Out<'_, Mail>) {
        if self.is_lent {
            out.forward(side, start, end);
        } else {
            let data = self.data.get(start..end).unwrap_or_default();
            out.own(side, |b| b.extend_from_slice(data));
        }
    }
}

/// Sends an error packet that the proxy makes itself. Number 0 stands in place of the greeting.
pub(super) fn put_error(seq: u8, fault: Fault, text: &str, out: &mut Out<'_, Mail>) {
    let (code, sqlstate) = fault.code();
    out.own(Side::Client, |b| {
        ErrPacket {
            code,
            sqlstate: if seq == 0 { b"" } else { sqlstate },
            message: text.as_bytes(),
        }
        .put(b, seq);
    });
}
