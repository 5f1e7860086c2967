//! What the client asks: where each request's bytes go.

use super::change_user::{self, NewUser};
use super::execute::Named;
use super::known::Missing;
use super::outline::Outline;
use super::route::{Kept, Place};
use super::state::{Bytes, Ctx, Phase, Session, UNASKED_SEQ};
use super::statements::Needs;
use crate::base::{CloseReason, Event, Linger, LinkId, Out, Side, Stage, Tick};
use crate::config::COMPATIBILITY_VERSION;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{
    ClientTurn, ColumnKind, Command, HEADER_LEN, Request, RequestStep, TextRows, put_packet, status,
};
use crate::routing::Mail;
use crate::sql::proxy_version;
use serde::{Deserialize, Serialize};

/// `ob_query_timeout` of a server that has not told it: its default.
const QUERY_TIMEOUT_MS: u64 = 10_000;
/// A longer time is as good as none: 30 days.
const QUERY_TIMEOUT_MAX_MS: u64 = 30 * 24 * 3_600 * 1_000;
/// The time of a request that no server has to answer.
pub(super) const NEVER: Tick = Tick(u64::MAX);
/// A client that sends a request whose server is lost may pause this long.
const BROKEN_PAUSE_MS: u64 = 10_000;

/// Where the bytes of a request go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Route {
    /// To a server, as they come.
    Forward(LinkId),
    /// Kept until the request is whole.
    Collect(Vec<u8>),
    /// Nowhere: the proxy answers itself.
    Local,
    /// Nowhere: the answer to EXPLAIN ROUTE is written.
    Plan,
    /// Nowhere: the client asks for the proxy's version, under this column name.
    Version(Vec<u8>),
    /// Nowhere: a transaction begins, with this statement.
    Begin(Vec<u8>),
    /// To every server that has this statement, which is closed.
    Close(u32),
    /// Nowhere: it is answered with this error packet.
    Refused(Box<[u8]>),
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
    /// What the request says of itself.
    pub(super) outline: Outline,
    /// The last error among its results.
    pub(super) error: Option<u16>,
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
    pub(super) new_user: Option<Box<NewUser>>,
    /// The option that a COM_SET_OPTION sets.
    pub(super) option: Option<u16>,
    /// When the next look at its server is due, if it has not begun to answer, or [`NEVER`].
    pub(super) due: Tick,
    /// When the server must have begun to answer, or [`NEVER`].
    pub(super) late: Tick,
    /// The server was lost while the client still sends.
    pub(super) broken: Option<Box<Broken>>,
    /// What is kept of the request until its reply begins, if it may be sent again elsewhere.
    pub(super) kept: Option<Kept>,
    /// What it has to do with a prepared statement.
    pub(super) statement: Named,
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

/// The front of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) command: Command,
    pub(super) seq: u8,
    /// Of COM_STMT_EXECUTE.
    pub(super) flags: u8,
    /// The statement's id, for commands about one.
    pub(super) statement: u32,
    /// The first packet with its header, or as much of it as is here.
    pub(super) packet: &'a [u8],
    /// It is all of it.
    pub(super) is_whole: bool,
}

impl<'a> Head<'a> {
    /// What stands behind the command byte.
    pub(super) fn body(&self) -> &'a [u8] {
        self.packet.get(HEADER_LEN + 1..).unwrap_or_default()
    }

    /// True if rows may be left behind a cursor.
    pub(super) fn may_open_cursor(&self) -> bool {
        match self.command {
            Command::STMT_EXECUTE => self.flags != 0,
            command => command == Command::STMT_PREPARE_EXECUTE,
        }
    }
}

impl Running {
    /// True while client bytes belong to this request.
    pub(super) const fn wants_client(&self) -> bool {
        !self.is_asked || self.turn.is_some()
    }

    /// The error that the server has refused the request with, if it may be sent elsewhere.
    pub(super) fn refusal(&self) -> Option<u16> {
        self.kept.as_ref().and_then(|kept| kept.refusal)
    }

    /// The server has refused the request, and it may be sent elsewhere.
    pub(super) fn is_refused(&self) -> bool {
        self.refusal().is_some()
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
                statement,
            } => {
                let packet = bytes.data.get(from..).unwrap_or_default();
                let packet_len = HEADER_LEN + len as usize;
                if let Phase::Running(r) = &mut self.phase {
                    // A packet of the client's turn.
                    r.is_last = len == 0 || r.turn == Some(ClientTurn::AuthAnswer);
                } else {
                    let is_whole = packet.len() >= packet_len;
                    let packet = packet
                        .get(..packet_len.min(packet.len()))
                        .unwrap_or_default();
                    let head = Head {
                        // An empty packet has no command: the server answers it like an unknown
                        // one.
                        command: command.unwrap_or(Command::SLEEP),
                        seq,
                        flags,
                        statement,
                        packet,
                        is_whole,
                    };
                    let outline = self.outline(ctx, &head);
                    let place = self.place(ctx, &head, &outline, out);
                    let needs = self.needs(&head);
                    let rest = bytes.data.get(from..).unwrap_or_default();
                    if self.must_wait(ctx, place, needs, rest, out) {
                        return bytes.data.len();
                    }
                    out.laps.now(Stage::Parse);
                    self.begin_request(ctx, &head, place, outline, out);
                }
            }
            RequestStep::Body(n) => {
                self.body(bytes, from, from + n, out);
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

    /// A request whose link is not ready waits, as bytes that were not read, until it is.
    fn must_wait(
        &mut self,
        ctx: &Ctx<'_>,
        place: Place,
        needs: Needs,
        bytes: &[u8],
        out: &mut Out<'_, Mail>,
    ) -> bool {
        let missing = match place {
            Place::Nowhere | Place::Without(_) | Place::Explained => return false,
            Place::NewLink(_) | Place::Server(_) | Place::Locating(_) => Missing::default(),
            Place::Link(id) => match self.lacks(id, needs) {
                missing if missing.is_empty() => return false,
                missing => missing,
            },
        };
        self.request = Request::default();
        self.hold(bytes, out);
        match place {
            Place::Link(id) => self.begin_sync(ctx, id, missing, out),
            Place::NewLink(spread) => self.leave(ctx, spread, out),
            Place::Server(server) => self.connect_to(ctx, server, out),
            Place::Locating(until) => self.phase = Phase::Locating(until),
            Place::Nowhere | Place::Without(_) | Place::Explained => {}
        }
        true
    }

    fn begin_request(
        &mut self,
        ctx: &Ctx<'_>,
        head: &Head<'_>,
        place: Place,
        outline: Outline,
        out: &mut Out<'_, Mail>,
    ) {
        let Head {
            command,
            seq,
            flags,
            packet,
            ..
        } = *head;
        let reply_seq = seq.wrapping_add(1);
        if command == Command::QUIT {
            for at in 0..self.links.len() {
                self.say_quit(LinkId(at as u16), out);
            }
            self.end(CloseReason::ClientQuit, Linger::Flush, out);
            return;
        }
        // What a command without a reply has to be told waits for the next one.
        let mut broken = match command.has_reply() {
            true => self.take_failure(),
            false => None,
        };
        if let Place::Without(reason) = place {
            broken = Some(Box::new(self.without_server(ctx, reason)));
        }
        self.aimed(ctx);
        if place != Place::Nowhere
            && let Some(what) = self.misses_the_past(&outline)
        {
            let (fault, reason) = (Fault::LostBeforeReply, CloseReason::ServerLost);
            broken = Some(Box::new(Broken::new(ctx, fault, what, reason)));
        }
        let mut kept = None;
        let mut named = Named::default();
        let kill = self.kill.take();
        let route = match (command, self.take_refusal()) {
            _ if broken.is_some() => Route::Local,
            (_, Some(error)) => Route::Refused(error),
            (Command::STMT_CLOSE, _) if place == Place::Nowhere => Route::Close(head.statement),
            (Command::QUERY, _) if place == Place::Nowhere && kill.is_none() => {
                let mut statement = out.pool.take();
                statement.extend_from_slice(head.body());
                Route::Begin(statement)
            }
            _ if place == Place::Nowhere => Route::Local,
            _ if place == Place::Explained => Route::Plan,
            (Command::CHANGE_USER, _) => {
                self.settle_on(place);
                Route::Collect(out.pool.take())
            }
            _ => 'route: {
                if let Some(name) = version_column(command, packet) {
                    break 'route Route::Version(name);
                }
                out.laps.now(Stage::Route);
                kept = match kill {
                    Some(_) => None,
                    None => self.keep(place, out),
                };
                self.settle_on(place);
                let id = self.binding.current;
                named = match kill {
                    Some(kill) => kill.named(head),
                    None => self.names(ctx, id, head, out),
                };
                self.begin_on(id, command, flags);
                Route::Forward(id)
            }
        };
        self.phase = Phase::Running(Running {
            command,
            route,
            outline,
            error: None,
            next_seq: reply_seq,
            is_asked: false,
            is_replied: !command.has_reply(),
            turn: None,
            is_last: false,
            new_user: None,
            option: match (command, packet.get(HEADER_LEN + 1..)) {
                (Command::SET_OPTION, Some(&[a, b])) => Some(u16::from_le_bytes([a, b])),
                _ => None,
            },
            due: NEVER,
            late: NEVER,
            broken,
            kept,
            statement: named,
        });
    }

    /// The request runs on the link of its place.
    fn settle_on(&mut self, place: Place) {
        if let Place::Link(id) = place {
            self.binding.current = id;
            self.facts.server = self.slot(id).map(|slot| slot.link.server);
        }
    }

    /// A request goes out on a link.
    pub(super) fn begin_on(&mut self, id: LinkId, command: Command, flags: u8) {
        let is_named_driver = self.facts.is_named_driver;
        if let Some(slot) = self.slot_mut(id) {
            let shape = slot.shape(command, flags, is_named_driver);
            slot.link.begin(shape);
        }
    }

    /// Says good-bye to an idle server, so that it does not count an aborted connection.
    pub(super) fn say_quit(&mut self, id: LinkId, out: &mut Out<'_, Mail>) -> bool {
        if !self.slot(id).is_some_and(|slot| slot.link.is_idle()) {
            return false;
        }
        self.begin_on(id, Command::QUIT, 0);
        self.send_packet(id, &[1, 0, 0, 0, Command::QUIT.0], out);
        true
    }

    /// Moves request bytes `start..end` to where the request goes.
    fn body(&mut self, bytes: Bytes<'_>, start: usize, end: usize, out: &mut Out<'_, Mail>) {
        let Phase::Running(r) = &mut self.phase else {
            return;
        };
        match &mut r.route {
            Route::Forward(id) => {
                let id = *id;
                if let Some(user) = &mut r.new_user {
                    user.take(self.request.held());
                    user.take(bytes.data.get(start..end).unwrap_or_default());
                }
                if let Some(kept) = &mut r.kept {
                    let more = bytes.data.get(start..end).unwrap_or_default();
                    if !kept.add(self.request.held(), more) {
                        r.forget_kept(out);
                    }
                }
                let (front, skipped) = r.statement.take_front();
                self.send_request(id, &front, bytes, start + skipped, end, out);
                if !front.is_empty() {
                    out.pool.give(front);
                }
            }
            Route::Collect(collected) => {
                self.request
                    .take_held(|held| collected.extend_from_slice(held));
                let room = change_user::room(collected.len());
                let end = end.min(start + room);
                collected.extend_from_slice(bytes.data.get(start..end).unwrap_or_default());
            }
            Route::Local
            | Route::Plan
            | Route::Version(_)
            | Route::Begin(_)
            | Route::Close(_)
            | Route::Refused(_) => {
                self.request.take_held(|_| {});
            }
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
                self.tell_broken(ctx, seq, out);
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
        out.count(Event::Request);
        match &mut r.route {
            Route::Forward(_) => {
                out.laps.now(Stage::ServerWait);
                if r.command.has_reply() {
                    if r.outline.is_timed {
                        let hinted = r.outline.timeout_ms.map(|ms| u64::from(ms.get()));
                        r.late = answer_due(ctx, hinted.or(self.facts.query_timeout_ms));
                    }
                    r.due = look_due(ctx, r.late);
                }
            }
            Route::Local => {
                let status = self.facts.local_status();
                out.own(Side::Client, |b| put_ok(b, seq.wrapping_add(1), status));
                out.count(Event::LocalReply);
                r.is_replied = true;
            }
            Route::Plan => {
                let plan = std::mem::take(&mut self.aim.plan);
                out.own(Side::Client, |b| b.extend_from_slice(&plan));
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
            Route::Begin(statement) => {
                let statement = std::mem::take(statement);
                self.binding.begin(&statement);
                out.pool.give(statement);
                self.facts.status |= status::IN_TRANSACTION;
                let status = self.facts.local_status();
                out.own(Side::Client, |b| put_ok(b, seq.wrapping_add(1), status));
                out.count(Event::LocalReply);
                r.is_replied = true;
            }
            Route::Close(statement) => {
                let statement = *statement;
                self.close_statement(statement, out);
            }
            Route::Refused(error) => {
                if r.command.has_reply() {
                    let error = std::mem::take(error);
                    let payload = error.get(HEADER_LEN..).unwrap_or_default();
                    out.own(Side::Client, |b| {
                        put_packet(b, seq.wrapping_add(1), |b| b.extend_from_slice(payload));
                    });
                    out.count(Event::ReplyError);
                    r.is_replied = true;
                }
            }
            Route::Collect(collected) => {
                let collected = std::mem::take(collected);
                self.change_user(ctx, seq, &collected, out);
                out.pool.give(collected);
            }
        }
        self.finish_if_done(ctx, out);
    }

    /// The server of a request is lost while the client still sends it. The rest is thrown away,
    /// then the client is told.
    pub(super) fn break_request(&mut self, broken: Broken) {
        if let Phase::Running(r) = &mut self.phase {
            r.route = Route::Local;
            r.broken = Some(Box::new(broken));
        }
    }
}

/// When a statement that is not answered until then makes its server suspect.
pub(super) fn look_due(ctx: &Ctx<'_>, late: Tick) -> Tick {
    match ctx.settings.suspect_ms {
        0 => late,
        ms => late.min(ctx.now.after_ms(ms)),
    }
}

/// When a server must have answered a statement that it lets run so long.
fn answer_due(ctx: &Ctx<'_>, timeout_ms: Option<u64>) -> Tick {
    let ms = timeout_ms.unwrap_or(QUERY_TIMEOUT_MS);
    let ms = ms.min(QUERY_TIMEOUT_MAX_MS) + ctx.settings.query_timeout_delta_ms;
    ctx.now.after_ms(ms)
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
