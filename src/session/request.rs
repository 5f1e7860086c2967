//! What the client asks: where each request's bytes go.

use super::moving::Kept;
use super::server_login::HOME;
use super::state::{Bytes, Ctx, Phase, Session, UNASKED_SEQ, put_error};
use crate::auth::LoginName;
use crate::base::{CloseReason, Event, Linger, LinkId, Out, Output, Side, Stage, Tick};
use crate::config::COMPATIBILITY_VERSION;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{
    ChangeUser, ClientTurn, ColumnKind, Command, HEADER_LEN, Request, RequestStep, Shape, TextRows,
    client, put_packet, status,
};
use crate::protocol::ob20::ExtraInfo;
use crate::routing::Mail;
use crate::sql::{kill_target, proxy_version};
use serde::{Deserialize, Serialize};

/// A COM_CHANGE_USER longer than this is refused: it must be seen whole.
const CHANGE_USER_MAX: usize = 64 << 10;

/// A client that sends a request whose server is lost may pause this long.
const BROKEN_PAUSE_MS: u64 = 10_000;

/// Cursor types in the flags of COM_STMT_EXECUTE.
const CURSOR_FLAGS: u8 = 0x07;

/// Where the bytes of a request go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Route {
    /// To a server, as they come.
    Forward(LinkId),
    /// Kept until the request is whole.
    Collect(Vec<u8>),
    /// Nowhere: the proxy answers itself.
    Local,
    /// Nowhere: the client asks for the proxy's version, under this column name.
    Version(Vec<u8>),
}

/// A request that runs.
///
/// ```text
/// asking (client sends) ── end of request ──> asked ── end of reply ──> Idle
///    reply may begin, and even end, while the client still sends
///    asked ── 0xFB / auth switch ──> turn: the client sends again ──> asked
///    asking, turn ── server lost ──> broken: the rest is thrown away ──> ERR, over
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    pub(super) command: Command,
    pub(super) route: Route,
    /// Sequence number that the next packet to the client has, once the request is whole.
    pub(super) next_seq: u8,
    /// The client has sent the whole request.
    pub(super) is_asked: bool,
    /// The server has sent the whole reply.
    pub(super) is_replied: bool,
    /// The client has to send something inside the reply.
    pub(super) turn: Option<ClientTurn>,
    /// The packet of a turn that is being read is the empty one that ends a file.
    is_last: bool,
    /// A COM_CHANGE_USER, until its reply.
    pub(super) new_user: Option<Box<LoginName>>,
    /// The server was lost while the client still sends.
    pub(super) broken: Option<Box<Broken>>,
    /// What is kept of the request until its reply begins, if it may be sent again elsewhere.
    pub(super) kept: Option<Kept>,
}

/// What a client is told once it has sent what it is sending: only then it reads, and only then
/// the number of the error packet is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Broken {
    pub(super) fault: Fault,
    pub(super) text: String,
    pub(super) reason: CloseReason,
    /// The client is told anyway when nothing came until then.
    pub(super) deadline: Tick,
}

impl Broken {
    pub(super) fn new(ctx: &Ctx<'_>, fault: Fault, text: String, reason: CloseReason) -> Self {
        Self {
            fault,
            text,
            reason,
            deadline: ctx.now.after_ms(BROKEN_PAUSE_MS),
        }
    }
}

impl Running {
    /// True while client bytes belong to this request.
    pub(super) const fn wants_client(&self) -> bool {
        !self.is_asked || self.turn.is_some()
    }

    /// The server has refused the request, and it may be sent elsewhere.
    pub(super) fn is_refused(&self) -> bool {
        self.kept
            .as_ref()
            .is_some_and(|kept| kept.refusal.is_some())
    }

    /// The request will not be sent again.
    pub(super) fn forget_kept(&mut self, out: &mut Out<'_, Mail>) {
        if let Some(kept) = self.kept.take() {
            out.pool.give(kept.bytes);
        }
    }
}

impl Session {
    /// Reads one step of the current request. Returns the new position.
    pub(super) fn request_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let from = at;
        let mut at = at;
        if !matches!(self.phase, Phase::Running(_)) {
            out.laps.came(Stage::Read);
        }
        if let Phase::Running(Running {
            broken: Some(broken),
            ..
        }) = &mut self.phase
        {
            broken.deadline = ctx.now.after_ms(BROKEN_PAUSE_MS);
        }
        let is_fresh = self.request.is_fresh();
        match self
            .request
            .step(bytes.data.get(at..).unwrap_or_default(), &mut at)
        {
            RequestStep::More => {}
            RequestStep::Head {
                command,
                len,
                seq,
                flags,
                ..
            } => {
                let packet = bytes.data.get(from..).unwrap_or_default();
                if let Phase::Running(r) = &mut self.phase {
                    // A packet of the client's turn.
                    r.is_last = len == 0 || r.turn == Some(ClientTurn::AuthAnswer);
                } else {
                    // A head in pieces is not looked at.
                    let packet = if is_fresh { packet } else { &[] };
                    if self.needs_server(ctx, command, statement(command, packet)) {
                        self.request
                            .take_held(|held| self.held.extend_from_slice(held));
                        self.request = Request::default();
                        self.hold(bytes.data.get(from..).unwrap_or_default(), out);
                        self.leave(ctx, out);
                        return bytes.data.len();
                    }
                    out.laps.now(Stage::Parse);
                    self.begin_request(ctx, command, seq, flags, packet, out);
                }
            }
            RequestStep::Body(n) => {
                self.body(bytes, from, from + n, out);
                self.announce_kill(ctx, bytes.data.get(from..from + n).unwrap_or_default(), out);
                if self.request.is_over() {
                    self.request_over(ctx, out);
                } else {
                    out.laps.now(Stage::Read);
                }
            }
            RequestStep::End => self.request_over(ctx, out),
            RequestStep::OutOfOrder { want, got } => {
                let text = format!("Got packets out of order: sequence {got} where {want} stands");
                let seq = got.wrapping_add(1);
                self.fail(
                    seq,
                    Fault::PacketsOutOfOrder,
                    &text,
                    CloseReason::BadPacket,
                    out,
                );
            }
        }
        at
    }

    fn begin_request(
        &mut self,
        ctx: &Ctx<'_>,
        command: Option<Command>,
        seq: u8,
        flags: u8,
        packet: &[u8],
        out: &mut Out<'_, Mail>,
    ) {
        let reply_seq = seq.wrapping_add(1);
        if command == Some(Command::QUIT) {
            self.say_quit(out);
            self.end(CloseReason::ClientQuit, Linger::Flush, out);
            return;
        }
        let mut broken = self.take_failure();
        let text = statement(command, packet);
        // An empty packet has no command: the server answers it like an unknown one.
        let command = command.unwrap_or(Command::SLEEP);
        if let Some(what) = self.misses_the_past(text) {
            let (fault, reason) = (Fault::LostBeforeReply, CloseReason::ServerLost);
            broken = Some(Box::new(Broken::new(ctx, fault, what, reason)));
        }
        let mut kept = None;
        let route = match command {
            _ if broken.is_some() => Route::Local,
            Command::PING => Route::Local,
            Command::CHANGE_USER => Route::Collect(out.pool.take()),
            _ => 'route: {
                if let Some(name) = version_column(command, packet) {
                    break 'route Route::Version(name);
                }
                out.laps.now(Stage::Route);
                kept = self.keep(command, out);
                let shape = self.shape(command, flags);
                if let Some(link) = self.link_mut(HOME) {
                    link.begin(shape);
                }
                Route::Forward(HOME)
            }
        };
        self.phase = Phase::Running(Running {
            command,
            route,
            next_seq: reply_seq,
            is_asked: false,
            is_replied: !command.has_reply(),
            turn: None,
            is_last: false,
            new_user: None,
            broken,
            kept,
        });
    }

    /// Says good-bye to an idle server, so that it does not count an aborted connection.
    pub(super) fn say_quit(&mut self, out: &mut Out<'_, Mail>) -> bool {
        let shape = self.shape(Command::QUIT, 0);
        let Some(link) = self.link_mut(HOME).filter(|link| link.is_idle()) else {
            return false;
        };
        link.begin(shape);
        self.send_packet(HOME, &[1, 0, 0, 0, Command::QUIT.0], out);
        true
    }

    const fn shape(&self, command: Command, flags: u8) -> Shape {
        let is_execute = command.0 == Command::STMT_EXECUTE.0;
        Shape {
            command,
            cursor: is_execute && flags & CURSOR_FLAGS != 0,
            proxy_mode: true,
            statistics_ok: self.facts.has_statistics_ok,
        }
    }

    /// Moves request bytes `start..end` to where the request goes.
    fn body(&mut self, bytes: Bytes<'_>, start: usize, end: usize, out: &mut Out<'_, Mail>) {
        let Phase::Running(r) = &mut self.phase else {
            return;
        };
        match &mut r.route {
            Route::Forward(id) => {
                let id = *id;
                if let Some(kept) = &mut r.kept {
                    let more = bytes.data.get(start..end).unwrap_or_default();
                    let fits = kept.add(self.request.held()) && kept.add(more);
                    if !fits {
                        self.moving.has_state |= kept.may_leave_state();
                        r.forget_kept(out);
                    }
                }
                self.send_request(id, bytes, start, end, out);
            }
            Route::Collect(collected) => {
                self.request
                    .take_held(|held| collected.extend_from_slice(held));
                let room = (CHANGE_USER_MAX + 1).saturating_sub(collected.len());
                let end = end.min(start + room);
                collected.extend_from_slice(bytes.data.get(start..end).unwrap_or_default());
            }
            Route::Local | Route::Version(_) => self.request.take_held(|_| {}),
        }
    }

    /// A statement that kills a connection of this proxy: its session is told, so that it takes the
    /// loss of its server connection for what it is. Only a request that came in one piece is
    /// looked at; a KILL in pieces works all the same, its victim is only told more.
    fn announce_kill(&self, ctx: &Ctx<'_>, packet: &[u8], out: &mut Out<'_, Mail>) {
        let Phase::Running(r) = &self.phase else {
            return;
        };
        let Some((header, payload)) = packet.split_at_checked(HEADER_LEN) else {
            return;
        };
        let is_whole = header.get(..3) == Some(&(payload.len() as u32).to_le_bytes()[..3]);
        if !is_whole || !self.request.is_over() {
            return;
        }
        let Some((_, body)) = payload.split_first() else {
            return;
        };
        let target = match r.command {
            Command::QUERY => kill_target(body),
            Command::PROCESS_KILL => body.try_into().ok().map(u32::from_le_bytes),
            _ => None,
        };
        if let Some(id) = target
            && let Some(core) = ctx.ids.owner(id)
        {
            out.list.push(Output::Post(core, Mail::Killing { id }));
        }
    }

    /// The last byte of a request, or of a packet of the client's turn, was read.
    fn request_over(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let seq = self.request.seq();
        self.request = Request::default();
        let Phase::Running(r) = &mut self.phase else {
            return;
        };
        r.next_seq = seq.wrapping_add(1);
        if r.broken.is_some() {
            if r.turn.is_none() || r.is_last {
                // A command without a reply: the client reads after its next one.
                let seq = match r.command.has_reply() {
                    true => r.next_seq,
                    false => UNASKED_SEQ,
                };
                self.tell_broken(seq, out);
            }
            return;
        }
        if r.turn.is_some() {
            if r.is_last {
                r.turn = None;
                out.laps.now(Stage::ServerWait);
                self.finish_if_done(ctx, out);
            }
            return;
        }
        r.is_asked = true;
        if let Some(kept) = &r.kept {
            self.moving.has_state |= kept.may_leave_state();
        }
        out.count(Event::Request);
        match &mut r.route {
            Route::Forward(_) => out.laps.now(Stage::ServerWait),
            Route::Local => {
                let status = self.facts.status & (status::IN_TRANSACTION | status::AUTOCOMMIT)
                    | status::NO_INDEX;
                out.own(Side::Client, |b| put_ok(b, seq.wrapping_add(1), status));
                out.count(Event::LocalReply);
                r.is_replied = true;
            }
            Route::Version(name) => {
                let status = self.facts.status & (status::IN_TRANSACTION | status::AUTOCOMMIT);
                let name = String::from_utf8_lossy(name).into_owned();
                out.own(Side::Client, |b| {
                    put_version(b, seq.wrapping_add(1), status, &name);
                });
                out.count(Event::LocalReply);
                r.is_replied = true;
            }
            Route::Collect(collected) => {
                let collected = std::mem::take(collected);
                self.change_user(seq, &collected, out);
                out.pool.give(collected);
            }
        }
        self.finish_if_done(ctx, out);
    }

    /// The server of a request is lost while the client still sends it. The rest is thrown away,
    /// then the client is told.
    pub(super) fn break_request(
        &mut self,
        ctx: &Ctx<'_>,
        fault: Fault,
        text: String,
        reason: CloseReason,
    ) {
        if let Phase::Running(r) = &mut self.phase {
            r.route = Route::Local;
            r.broken = Some(Box::new(Broken::new(ctx, fault, text, reason)));
        }
    }

    /// Tells the client what became of its request, and ends.
    pub(super) fn tell_broken(&mut self, seq: u8, out: &mut Out<'_, Mail>) {
        if let Phase::Running(r) = &mut self.phase
            && let Some(broken) = r.broken.take()
        {
            self.fail(seq, broken.fault, &broken.text, broken.reason, out);
        }
    }

    /// Sends COM_CHANGE_USER on with the name that servers know.
    fn change_user(&mut self, seq: u8, packet: &[u8], out: &mut Out<'_, Mail>) {
        let next = seq.wrapping_add(1);
        let refuse = |this: &mut Self, fault, text: &str, out: &mut Out<'_, Mail>| {
            put_error(next, fault, text, out);
            if let Phase::Running(r) = &mut this.phase {
                r.is_replied = true;
            }
        };
        if packet.len() > CHANGE_USER_MAX {
            let text = format!("COM_CHANGE_USER is longer than {CHANGE_USER_MAX} bytes");
            return refuse(self, Fault::PacketTooLarge, &text, out);
        }
        let payload = packet.get(HEADER_LEN..).unwrap_or_default();
        let Ok(packet) = ChangeUser::parse(payload) else {
            return refuse(
                self,
                Fault::MalformedPacket,
                "malformed COM_CHANGE_USER packet",
                out,
            );
        };
        let (Some(current), track) = (self.name.as_deref(), self.facts.capabilities) else {
            return;
        };
        let name = match LoginName::parse(packet.user, b":-.", &current.tenant) {
            Ok(name) => name,
            Err(e) => {
                let user = String::from_utf8_lossy(packet.user).into_owned();
                let text = format!("Access denied for user '{user}': {e}");
                return refuse(self, Fault::AccessDenied, &text, out);
            }
        };
        let same_cluster = name.cluster.is_none() || name.cluster == current.cluster;
        if name.tenant != current.tenant || !same_cluster {
            let text = "COM_CHANGE_USER cannot change the tenant or the cluster of a connection";
            return refuse(self, Fault::NotSupported, text, out);
        }
        let user = name.for_server();
        let plugin_auth = track & client::PLUGIN_AUTH != 0;
        let shape = self.shape(Command::CHANGE_USER, 0);
        // The server begins anew; if it refuses, it closes the connection.
        self.facts.extra = ExtraInfo::default();
        let Phase::Running(r) = &mut self.phase else {
            return;
        };
        r.route = Route::Forward(HOME);
        r.new_user = Some(Box::new(name));
        if let Some(link) = self.link_mut(HOME) {
            link.begin(shape);
        }
        out.laps.now(Stage::ServerWait);
        let mut rewritten = out.pool.take();
        put_packet(&mut rewritten, seq, |b| packet.put(b, &user, plugin_auth));
        self.send_packet(HOME, &rewritten, out);
        out.pool.give(rewritten);
    }
}

/// The text of a statement, as far as it has come with its head.
fn statement(command: Option<Command>, packet: &[u8]) -> Option<&[u8]> {
    match command {
        Some(Command::QUERY) => packet.get(HEADER_LEN + 1..),
        _ => None,
    }
}

/// The column that a client gives the proxy's version, if it asks for it. Only a statement that
/// came in one piece is looked at; a server answers the others with an error.
fn version_column(command: Command, packet: &[u8]) -> Option<Vec<u8>> {
    let (header, payload) = packet.split_at_checked(HEADER_LEN)?;
    let &[a, b, c, _] = header else {
        return None;
    };
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    match payload.get(..len)?.split_first() {
        Some((_, statement)) if command == Command::QUERY => proxy_version(statement),
        _ => None,
    }
}

fn put_version(out: &mut Vec<u8>, seq: u8, status: u16, name: &str) {
    let mut rows = TextRows::begin(out, seq, status, &[(name, ColumnKind::Text)]);
    rows.row([Some(COMPATIBILITY_VERSION.as_bytes())]);
    rows.end();
}

/// An OK without anything to say: seven bytes, as a direct client gets it.
pub(super) fn put_ok(out: &mut Vec<u8>, seq: u8, status: u16) {
    put_packet(out, seq, |b| {
        b.extend_from_slice(&[0, 0, 0]);
        b.extend_from_slice(&status.to_le_bytes());
        b.extend_from_slice(&[0, 0]);
    });
}
