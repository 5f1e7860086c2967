//! What the server answers: what passes, what is rebuilt, and what is learnt.

use super::aim::Aim;
use super::change_user::NewUser;
use super::dialect::Dialect;
use super::execute::{Named, Preparing};
use super::known::{Has, Known};
use super::loss::FAREWELL_MS;
use super::pin::{Pin, Pins, learn_pins};
use super::request::NEVER;
use super::reroute;
use super::route::Kept;
use super::slot::Slot;
use super::state::{Bytes, Ctx, Phase, Session};
use super::statements::{HeldStatements, Statements};
use super::track::{Occasion, Untold, put_ok, reports_first};
use super::wishes::Wishes;
use crate::base::{CloseReason, Event, Level, LinkId, Out, Output, Side, Stage};
use crate::protocol::mysql::{ClientTurn, Command, OkPacket, ReplySink, TRACK_VARIABLES, status};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Error codes after which a server closes the connection: killed (4401, 5066), checksum of a
/// prepare-execute (5777), a piece of a parameter that cannot be read (9747, observed on seekdb
/// 1.3.0.post5). Any error of COM_CHANGE_USER is one, too. The client knows then.
const LAST_WORDS: &[u16] = &[CLIENT_KILLED, 5066, 5777, 9747];
/// The client was killed, by a KILL on another connection: a server that gets another login of it
/// says so, too. Source: OceanBase wire facts, section 8.
pub(super) const CLIENT_KILLED: u16 = 4401;

/// The variable of a login that has the user's privileges, and the bit of SUPER in it. Observed on
/// seekdb 1.3.0.post5.
const PRIVILEGES: &[u8] = b"ob_proxy_user_privilege";
const SUPER: u64 = 1 << 14;

/// What a session has learnt from its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// For a client that asked to be told about session state: what it was not told yet.
    pub(super) untold: Option<Box<Untold>>,
    /// Capability bits of the client.
    pub(super) capabilities: u32,
    /// Status bits of the last OK or EOF that has them.
    pub(super) status: u16,
    /// `wait_timeout` of the session in seconds.
    pub(super) wait_timeout_s: Option<u32>,
    /// `ob_query_timeout` of the session in milliseconds.
    pub(super) query_timeout_ms: Option<u64>,
    /// The client has named itself as a driver of OceanBase.
    pub(super) is_named_driver: bool,
    /// The user has the SUPER privilege.
    pub(super) is_super: bool,
    /// `net_write_timeout` of the session in seconds.
    pub(super) net_write_timeout_s: Option<u32>,
    /// The server that was used last.
    pub(super) server: Option<SocketAddr>,
    /// The client was told what every server session reports at first.
    pub(super) is_told_first: bool,
    /// Transactions so far; a statement outside one counts as one.
    pub(super) transactions: u64,
}

/// Limits of time that variables of the session set.
pub(super) type Limits = (Option<u32>, Option<u64>, Option<u32>);

impl Facts {
    /// `wait_timeout`, `ob_query_timeout` and `net_write_timeout`.
    pub(super) const fn limits(&self) -> Limits {
        (
            self.wait_timeout_s,
            self.query_timeout_ms,
            self.net_write_timeout_s,
        )
    }

    /// Puts them back.
    pub(super) const fn set_limits(&mut self, limits: Limits) {
        (
            self.wait_timeout_s,
            self.query_timeout_ms,
            self.net_write_timeout_s,
        ) = limits;
    }

    /// Status bits of an OK that no server makes: what is so for longer than one statement.
    pub(super) const fn local_status(&self) -> u16 {
        let lasting = status::IN_TRANSACTION | status::AUTOCOMMIT | status::NO_BACKSLASH_ESCAPES;
        self.status & lasting | status::NO_INDEX
    }

    /// Takes what an OK says about the session.
    pub(super) fn learn(&mut self, ok: &OkPacket<'_>) {
        self.status = ok.status & !status::STATE_CHANGED;
        if ok.state.is_empty() {
            return;
        }
        for block in ok.blocks() {
            if block.kind != TRACK_VARIABLES {
                continue;
            }
            for (name, value, is_user) in block.variables() {
                if is_user {
                    break;
                }
                let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
                let seconds = || number().map(|n| u32::try_from(n).unwrap_or(u32::MAX));
                match name {
                    b"wait_timeout" => self.wait_timeout_s = seconds(),
                    b"ob_query_timeout" => {
                        self.query_timeout_ms = number().map(|us| us.div_ceil(1_000));
                    }
                    PRIVILEGES => self.is_super = number().is_some_and(|n| n & SUPER != 0),
                    b"net_write_timeout" => self.net_write_timeout_s = seconds(),
                    _ => {}
                }
            }
        }
    }
}

/// Takes what an OK says about reading and routing statements. `is_set`: a statement has set it.
pub(super) fn learn_variables(
    dialect: &mut Dialect,
    wishes: &mut Wishes,
    ok: &OkPacket<'_>,
    is_set: bool,
) {
    for block in ok.blocks().filter(|block| block.kind == TRACK_VARIABLES) {
        for (name, value, is_user) in block.variables() {
            if is_user {
                wishes.learn_user(name, value);
            } else {
                dialect.learn(name, value);
                wishes.learn(name, value, is_set);
            }
        }
    }
}

/// Receives one call's worth of a reply.
struct Relay<'r, 'o, 'b> {
    out: &'r mut Out<'o, Mail>,
    facts: &'r mut Facts,
    /// The bytes of the reply.
    bytes: Bytes<'b>,
    /// What the real OKs of this reply are about.
    occasion: Occasion,
    /// Where the follower's bytes begin in them.
    base: usize,
    error: Option<u16>,
    turn: Option<ClientTurn>,
    is_malformed: bool,
    /// See [`put_ok`].
    is_fresh: bool,
    /// The server has reported, now or before, what every server session reports at first.
    has_reported: bool,
    /// A transaction was begun that the server does not know of.
    is_begun: bool,
    /// The client got something.
    has_passed: bool,
    /// The request, if it may be sent again elsewhere.
    kept: Option<&'r mut Kept>,
    known: &'r mut Known,
    pins: &'r mut Pins,
    aim: &'r mut Aim,
    dialect: &'r mut Dialect,
    wishes: &'r mut Wishes,
    /// Where prepared statements are kept, if ids are the session's own.
    statements: Option<(&'r mut Statements, &'r mut HeldStatements)>,
    named: &'r mut Named,
    new_user: Option<&'r mut NewUser>,
}

impl Relay<'_, '_, '_> {
    /// Status bits of the client's transaction, if the server does not know of it.
    const fn begun(&self) -> u16 {
        if self.is_begun {
            status::IN_TRANSACTION
        } else {
            0
        }
    }

    /// What a server would say that knew of it.
    const fn as_begun<'k>(&self, ok: OkPacket<'k>) -> OkPacket<'k> {
        OkPacket {
            status: ok.status | self.begun(),
            ..ok
        }
    }

    fn learn(&mut self, ok: &OkPacket<'_>) {
        let is_set = self.occasion != Occasion::Login;
        self.facts.is_super &= is_set;
        self.facts.learn(ok);
        if !ok.state.is_empty() {
            self.has_reported = self.has_reported || reports_first(ok);
            self.known.learn(ok, self.occasion == Occasion::Set);
            learn_pins(self.pins, ok);
            self.aim.learn(ok);
            if !is_set {
                *self.wishes = Wishes::default();
            }
            learn_variables(self.dialect, self.wishes, ok, is_set);
        }
    }
}

impl ReplySink for Relay<'_, '_, '_> {
    fn pass(&mut self, start: usize, end: usize) {
        self.has_passed = true;
        let (start, end) = (self.base + start, self.base + end);
        if let Some(user) = &mut self.new_user {
            user.take_switch(self.bytes.data.get(start..end).unwrap_or_default());
        }
        self.bytes.pass(Side::Client, start, end, self.out);
    }

    fn pass_held(&mut self, bytes: &[u8]) {
        self.has_passed = true;
        if let Some(user) = &mut self.new_user {
            user.take_switch(bytes);
        }
        self.out.own(Side::Client, |b| b.extend_from_slice(bytes));
    }

    fn ok(&mut self, seq: u8, payload: &[u8]) {
        let Ok(ok) = OkPacket::parse(payload) else {
            self.is_malformed = true;
            return;
        };
        let ok = self.as_begun(ok);
        self.has_passed = true;
        self.learn(&ok);
        let untold = self.facts.untold.as_deref_mut();
        let (occasion, is_fresh) = (self.occasion, self.is_fresh);
        self.out.own(Side::Client, |b| {
            put_ok(b, seq, payload, &ok, occasion, untold, is_fresh);
        });
    }

    fn terminal_ok(&mut self, payload: &[u8]) {
        if let Some(kept) = &mut self.kept
            && kept.refusal.is_some()
        {
            // Of a statement that did not run: it runs elsewhere.
            if let Ok(ok) = OkPacket::parse(payload) {
                self.aim.better = reroute::named(&ok);
            }
            return;
        }
        match OkPacket::parse(payload) {
            Ok(ok) => {
                let ok = self.as_begun(ok);
                self.learn(&ok);
                if let Some(untold) = &mut self.facts.untold {
                    untold.keep(&ok, self.is_fresh);
                }
            }
            Err(_) => self.is_malformed = true,
        }
    }

    fn withholds(&mut self, code: u16) -> bool {
        self.kept.as_mut().is_some_and(|kept| kept.withholds(code))
    }

    fn error(&mut self, code: u16) {
        self.error = Some(code);
    }

    fn client_turn(&mut self, turn: ClientTurn) {
        self.turn = Some(turn);
    }

    fn prepared(&mut self, id: u32, params: u16) -> u32 {
        let Some((statements, held)) = &mut self.statements else {
            return id;
        };
        let known = held.client_id(id).filter(|_| !self.named.is_preparing());
        known.unwrap_or_else(|| {
            let Preparing {
                text,
                outline,
                types,
            } = self.named.take_preparing();
            let bound = u32::from(!types.is_empty());
            let (client_id, is_kept) = statements.add(text, outline, params, types);
            held.add(client_id, id, bound);
            self.named.has_become(client_id);
            if !is_kept {
                self.pins.set(Pin::Prepared, true);
            }
            self.out.count(Event::StatementPrepared);
            client_id
        })
    }

    fn prepare_status(&mut self, status: u16) -> u16 {
        status | self.begun()
    }

    fn cursor_opened(&mut self) {
        self.named.has_cursor = true;
    }

    fn cursor_ended(&mut self) {
        self.named.is_at_end = true;
    }
}

impl Session {
    /// Reads on in a reply; returns the new position.
    pub(super) fn reply_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let data = bytes.data;
        let Self {
            links,
            facts,
            phase,
            known,
            binding,
            aim,
            dialect,
            wishes,
            statements,
            ..
        } = self;
        let (
            Some(Some(Slot {
                link,
                statements: held,
                is_fresh,
                ..
            })),
            Phase::Running(running),
        ) = (links.get_mut(usize::from(id.0)), phase)
        else {
            return data.len();
        };
        let Some(reply) = link.reply() else {
            return data.len();
        };
        if running.is_asked && running.turn.is_none() {
            out.laps.came(Stage::Relay);
        }
        let mut relay = Relay {
            out,
            is_fresh: *is_fresh && facts.is_told_first,
            has_reported: !*is_fresh,
            is_begun: binding.is_begun() && !running.command.begins_anew(),
            facts,
            occasion: match running.command {
                Command::CHANGE_USER => Occasion::Login,
                _ if running.outline.sets => Occasion::Set,
                _ => Occasion::Statement,
            },
            bytes,
            base: at,
            error: None,
            turn: None,
            is_malformed: false,
            has_passed: false,
            // Only a whole request can be sent again.
            kept: running.kept.as_mut().filter(|_| running.is_asked),
            known,
            pins: &mut binding.pins,
            aim,
            dialect,
            wishes,
            statements: binding.is_routed.then_some((statements, held)),
            named: &mut running.statement,
            new_user: running.new_user.as_deref_mut(),
        };
        let fed = reply.feed(data.get(at..).unwrap_or_default(), &mut relay);
        let Relay {
            error,
            turn,
            is_malformed,
            has_reported,
            has_passed,
            ..
        } = relay;
        if *is_fresh && has_reported {
            *is_fresh = false;
            facts.is_told_first = true;
        }
        let done = reply.is_done();
        if has_passed {
            running.next_seq = reply.next_seq();
            running.due = NEVER;
            running.forget_kept(out);
        }
        if let Some(code) = error {
            out.count(Event::ReplyError);
            running.error = Some(code);
            running.new_user = None;
            if running.command == Command::CHANGE_USER || LAST_WORDS.contains(&code) {
                self.farewell = Some(ctx.now.after_ms(FAREWELL_MS));
            }
        }
        if let Some(turn) = turn {
            running.turn = Some(turn);
            link.begin_turn();
            out.laps.now(Stage::Read);
        }
        match fed {
            Ok(used) if !is_malformed => {
                if done && link.ends_with_packet() {
                    self.reply_over(ctx, id, out);
                }
                at + used
            }
            bad => {
                let what = match bad {
                    Err(e) => e.to_string(),
                    Ok(_) => "a malformed OK packet".into(),
                };
                self.server_garbage(ctx, id, &what, out);
                data.len()
            }
        }
    }

    /// The last byte of a reply was read.
    pub(super) fn reply_over(&mut self, ctx: &Ctx<'_>, id: LinkId, out: &mut Out<'_, Mail>) {
        let error = match &self.phase {
            Phase::Running(running) => running.error.or_else(|| running.refusal()),
            _ => None,
        };
        let mut is_single = false;
        if let Some(slot) = self.slot_mut(id) {
            is_single = slot.link.reply().is_some_and(|reply| !reply.had_more());
            slot.link.finish();
        }
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        let is_refused = running.is_refused();
        if !is_refused {
            let flags = self.slot(id).map_or(0, |slot| slot.link.packet_flags());
            self.follow_transaction(id, flags);
        }
        if let Some(server) = self.slot(id).map(|slot| slot.link.server) {
            ctx.traffic.borrow_mut().loads.answered(ctx.now, server);
            self.judge_place(ctx, server, error, out);
        }
        if is_refused {
            return self.send_elsewhere(ctx, out);
        }
        let Phase::Running(running) = &mut self.phase else {
            return;
        };
        running.is_replied = true;
        out.count(Event::Reply);
        let (command, is_failed) = (running.command, error.is_some());
        let outline = running.outline;
        let sets_vaguely = outline.sets_vaguely;
        let named = std::mem::take(&mut running.statement);
        let new_user = running.new_user.take();
        let option = running.option.filter(|_| !is_failed);
        if outline.has_rows && (outline.is_several || !is_failed) {
            self.has_shown_rows(id);
        }
        if outline.counts_rows && (outline.is_several || !is_failed) {
            self.has_counted(id);
        }
        self.bind(&outline, is_failed, is_single);
        if !is_failed && command.begins_anew() {
            self.began_anew(id, new_user, out);
        }
        self.named_is_over(id, command, &named, is_failed);
        if let Some(option) = option {
            self.known.set_option(option);
        }
        self.place_variables(id, sets_vaguely);
        let carries_system = self.slot(id).is_some_and(Slot::carries_system);
        let has_changed = self.place_system(carries_system, is_failed);
        let (newest, in_database) = (self.known.newest(), self.known.database().is_some());
        let keeps_count = self.keeps_count();
        if let Some(slot) = self.slot_mut(id) {
            // After an error a server may not have taken what went with the request. One that has
            // changed variables has; to be told again would undo the change.
            let is_refused = std::mem::take(&mut slot.was_told) && is_failed && !has_changed;
            let info = match is_refused || keeps_count {
                true => slot.has.info,
                false => newest.info,
            };
            if slot.has.database != newest.database {
                slot.has_database = in_database;
            }
            slot.has = Has { info, ..newest };
            slot.used = ctx.now;
        }
        self.finish_if_done(ctx, out);
    }

    /// The server sent what is not the protocol: nothing of it can be trusted any more.
    fn server_garbage(&mut self, ctx: &Ctx<'_>, id: LinkId, what: &str, out: &mut Out<'_, Mail>) {
        let server = self.server_text(id);
        let line = format!("session={} server={server} what={what:?}", self.id);
        out.list
            .push(Output::Log(Level::Error, "server_protocol", line));
        let text = format!("server {server} broke the protocol ({what})");
        self.lost_in_statement(ctx, id, &text, CloseReason::ServerProtocol, out);
    }

    /// Request, reply and turns are over: the session is idle again.
    pub(super) fn finish_if_done(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Running(r) = &self.phase else {
            return;
        };
        if !r.is_asked || !r.is_replied || r.turn.is_some() {
            return;
        }
        let has_reply = r.command.has_reply();
        if !has_reply
            && let super::request::Route::Forward(id) = r.route
            && let Some(link) = self.link_mut(id)
        {
            link.finish();
            self.sent_ahead();
        }
        match has_reply {
            true => out.laps.now(Stage::Write),
            false => out.laps.over(),
        }
        if self.facts.status & status::IN_TRANSACTION == 0 {
            self.facts.transactions += 1;
        }
        self.phase = Phase::Idle;
        self.idle_since = ctx.now;
        self.binding.settle();
        self.drain(out);
    }
}
