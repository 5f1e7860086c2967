//! When a session gets another server, and how.
//!
//! A session may go on another server connection if nothing would be lost with the one it has: no
//! transaction is open, and the client has left nothing on the server besides its database. It does
//! so when the server is gone, when it is taken out of service, and when it says that it cannot run
//! the statement. The request waits, as bytes that were not read yet, until the new connection is
//! logged in. Sessions with state keep their server; they get one error when it is lost.

use super::request::{Broken, Running};
use super::server_login::{HOME, Purpose, ServerLogin};
use super::state::{Ctx, Phase, Session};
use super::track::is_for_proxies;
use crate::base::{CloseReason, Errno, Event, Linger, LinkId, Out, Output};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{
    Command, HEADER_LEN, OkPacket, Request, TRACK_VARIABLES, client, status,
};
use crate::protocol::ob20::ExtraInfo;
use crate::routing::{Mail, SYS, Tenant, should_leave};
use crate::sql::{looks_back, may_be_several, may_leave_state};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// A tenant is not (any more) on the server.
pub(super) const TENANT_NOT_IN_SERVER: u16 = 5150;

/// Answers to a request which prove that it did not run, and that it may run elsewhere. Source:
/// OceanBase wire facts, section 7.
const NOT_RUN: &[u16] = &[
    4666, // cluster name does not match
    4780,
    4782, // service name, not the primary tenant
    TENANT_NOT_IN_SERVER,
    8001,
    8002, // server is starting, stopping
];

/// What a server reports by itself: with the first reply of every connection, after DDL, and with
/// another database. A SET of one of them counts as a statement that leaves state. Observed on
/// seekdb 1.3.0.post5.
const OF_THE_SERVER: &[&[u8]] = &[
    b"_current_default_catalog",
    b"_nlj_batching_enabled",
    b"character_set_database",
    b"collation_database",
    b"ob_enable_transmission_checksum",
    b"ob_last_schema_version",
];

/// Reported when the session has temporary tables.
const TEMPORARY_TABLES: &[u8] = b"_ob_proxy_session_temporary_table_used";

/// What is reported of a connection that the server closed: ECONNRESET.
pub(super) const RESET: Errno = Errno(104);

/// A request of more bytes is not kept, so it is not repeated either.
const KEPT_MAX: usize = 64 << 10;

/// A request is sent at most so often. Source: OBProxy's `connect_observer_max_retries`.
const SENT_MAX: u8 = 3;

/// What a session knows about leaving its server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moving {
    /// The client has left something on the server that another one would not have.
    pub(super) has_state: bool,
    /// Characteristics of the next transaction are set.
    pub(super) has_next_transaction: bool,
    /// There are other servers: the cluster has views.
    pub(super) is_routed: bool,
    /// Version of the tenant's entry that the server was taken from; 0: it is on all servers.
    pub(super) chosen_by: u64,
    /// The replica's generation that `should_leave` was found with.
    seen: u64,
    /// The server is out of service, and another one is in.
    should_leave: bool,
    /// No statement has run on this connection, but some have before it.
    pub(super) is_fresh: bool,
    /// The running request was sent so often.
    sent: u8,
    /// No server could be had: the next request is answered with this.
    failure: Option<Box<Broken>>,
}

impl Moving {
    /// Takes what an OK says of session state.
    pub(super) fn learn(&mut self, ok: &OkPacket<'_>) {
        if ok.state.is_empty() || !self.is_routed {
            return;
        }
        let variables = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
        for block in variables {
            for (name, value, is_user) in block.variables() {
                match name {
                    b"ob_proxy_set_trx_executed" if !is_user => {
                        self.has_next_transaction = !matches!(value, b"OFF" | b"0");
                    }
                    name if !is_user && OF_THE_SERVER.contains(&name) => {}
                    name if !is_user && is_for_proxies(name) => {
                        self.has_state |= name == TEMPORARY_TABLES;
                    }
                    _ => self.has_state = true,
                }
            }
        }
    }

    /// The request is over.
    pub(super) const fn settle(&mut self) {
        self.sent = 0;
    }

    /// A server is chosen: by what, and what had been seen of the replica.
    pub(super) const fn chosen(&mut self, is_routed: bool, by: u64, seen: u64) {
        self.is_routed = is_routed;
        self.chosen_by = by;
        self.should_leave = false;
        self.seen = seen;
    }
}

/// What a request may leave in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Traces {
    /// The server tells it all.
    Told,
    /// That is up to the statement, or to the statements.
    OfStatement,
    OfStatements,
    /// Something that only this server knows.
    Lasting,
}

/// The copy of a request that may have to be sent again, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// The server refused it with this; the client was not told.
    pub(super) refusal: Option<u16>,
    /// It was not sent too often.
    may_repeat: bool,
    traces: Traces,
}

impl Kept {
    /// Keeps more of the request; false if it is too long to be kept whole.
    pub(super) fn add(&mut self, bytes: &[u8]) -> bool {
        let room = KEPT_MAX - self.bytes.len();
        let front = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.bytes.extend_from_slice(front);
        front.len() == bytes.len()
    }

    /// True if the reply is not for the client: the request goes to another server.
    pub(super) fn withholds(&mut self, code: u16) -> bool {
        let withholds = self.may_repeat && NOT_RUN.contains(&code);
        if withholds {
            self.refusal = Some(code);
        }
        withholds
    }

    /// True if the session may have state after this request that its server does not tell. The
    /// request is whole, or its front is here.
    pub(super) fn may_leave_state(&self) -> bool {
        let text = self.bytes.get(HEADER_LEN + 1..).unwrap_or_default();
        match self.traces {
            Traces::Told => false,
            Traces::OfStatement => may_leave_state(text),
            Traces::OfStatements => may_leave_state(text) || may_be_several(text),
            Traces::Lasting => true,
        }
    }
}

impl Session {
    /// True if nothing would be lost with the server connection.
    pub(super) fn is_movable(&self) -> bool {
        let moving = &self.moving;
        moving.is_routed
            && !moving.has_state
            && !moving.has_next_transaction
            && self.facts.status & status::IN_TRANSACTION == 0
            && !self.facts.extra.is_tied()
    }

    /// The entry of the session's tenant; `None` for one that is on all servers.
    pub(super) fn tenant<'v>(&self, ctx: &Ctx<'v>) -> Option<&'v Arc<Tenant>> {
        let name = self.name.as_deref()?;
        match &*name.tenant {
            SYS => None,
            tenant => ctx.view.tenant(name.cluster.as_deref(), tenant),
        }
    }

    /// A request begins: true if another server connection has to be made for it first.
    /// `statement` is what has come of it, if it is one.
    pub(super) fn needs_server(
        &mut self,
        ctx: &Ctx<'_>,
        command: Option<Command>,
        statement: Option<&[u8]>,
    ) -> bool {
        if self.moving.failure.is_some() || matches!(command, Some(Command::QUIT | Command::PING)) {
            return false;
        }
        if self.link_mut(HOME).is_none() {
            return true;
        }
        if self.moving.seen != ctx.view.generation() {
            self.moving.seen = ctx.view.generation();
            self.moving.should_leave = self.has_reason_to_leave(ctx);
        }
        self.moving.should_leave && self.is_movable() && !statement.is_some_and(looks_back)
    }

    fn has_reason_to_leave(&self, ctx: &Ctx<'_>) -> bool {
        let cluster = self.name.as_deref().and_then(|n| n.cluster.as_deref());
        let (Some(server), Some(cluster)) = (self.facts.server, ctx.view.cluster(cluster)) else {
            return false;
        };
        let tenant = self.tenant(ctx);
        let is_sys = self.name.as_deref().is_some_and(|n| &*n.tenant == SYS);
        // A tenant that is being looked up again: its servers are not known just now.
        let is_known = is_sys || tenant.is_some_and(|t| !t.servers.is_empty());
        cluster.has_views && is_known && should_leave(cluster, tenant.map(|t| &**t), server)
    }

    /// Leaves the server, if there still is one, and looks for another; the request waits.
    pub(super) fn leave(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if self.say_quit(out) {
            out.list.push(Output::Close(HOME, Linger::Flush));
        }
        self.look_for_server(ctx, vec![], 0, out);
    }

    /// True while another server connection is made: the one that bytes are read of is no more.
    pub(super) const fn has_left(&self) -> bool {
        matches!(self.phase, Phase::ServerLogin(_))
    }

    /// The server of an idle session is gone, and nothing with it.
    pub(super) fn drop_link(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(usize::from(id.0)) {
            *link = None;
        }
    }

    /// A request begins: what is kept of it. Nothing if the session cannot move anyway.
    pub(super) fn keep(&mut self, command: Command, out: &mut Out<'_, Mail>) -> Option<Kept> {
        if !self.is_movable() {
            return None;
        }
        self.moving.sent += 1;
        let several = self.facts.capabilities & client::MULTI_STATEMENTS != 0;
        let traces = match command {
            Command::QUERY if several => Traces::OfStatements,
            Command::QUERY => Traces::OfStatement,
            Command::INIT_DB | Command::FIELD_LIST | Command::STATISTICS => Traces::Told,
            Command::RESET_CONNECTION | Command::PROCESS_INFO | Command::PROCESS_KILL => {
                Traces::Told
            }
            // Prepared statements, options: known on this server only.
            _ => Traces::Lasting,
        };
        Some(Kept {
            bytes: out.pool.take(),
            refusal: None,
            may_repeat: self.moving.sent <= SENT_MAX,
            traces,
        })
    }

    /// Why the running request cannot run on a connection that is new: it asks for what another
    /// connection had.
    pub(super) fn misses_the_past(&mut self, statement: Option<&[u8]>) -> Option<String> {
        let is_fresh = std::mem::take(&mut self.moving.is_fresh);
        (is_fresh && statement.is_some_and(looks_back)).then(|| {
            "the server connection of the statement before is lost, and what this statement asks \
             for with it [not run]"
                .into()
        })
    }

    /// The server has refused the running request, which did not run: it goes elsewhere.
    pub(super) fn repeat_elsewhere(
        &mut self,
        ctx: &Ctx<'_>,
        running: Running,
        out: &mut Out<'_, Mail>,
    ) {
        let Some(Kept {
            mut bytes, refusal, ..
        }) = running.kept
        else {
            return;
        };
        let server = self.link_mut(HOME).map(|link| link.server);
        out.list.push(Output::Close(HOME, Linger::Abort));
        out.count(Event::RequestRetried);
        bytes.extend_from_slice(&self.held);
        out.pool.give(std::mem::replace(&mut self.held, bytes));
        self.request = Request::default();
        // It has not run, so it has left nothing.
        self.moving.has_state = false;
        let mut wrong = 0;
        if refusal == Some(TENANT_NOT_IN_SERVER) {
            out.count(Event::TenantNotInServer);
            wrong = self.moving.chosen_by;
        }
        self.look_for_server(ctx, server.into_iter().collect(), wrong, out);
    }

    fn look_for_server(
        &mut self,
        ctx: &Ctx<'_>,
        tried: Vec<SocketAddr>,
        wrong: u64,
        out: &mut Out<'_, Mail>,
    ) {
        self.links.clear();
        self.facts.extra = ExtraInfo::default();
        if let Some(login) = &mut self.login {
            login.credentials.database.clone_from(&self.facts.database);
        }
        let deadline = ctx.now.after_ms(ctx.settings.login_timeout_ms);
        self.login_deadline = Some(deadline);
        let search = ServerLogin::new(ctx, Purpose::Statement, tried, wrong);
        self.phase = Phase::ServerLogin(Box::new(search));
        self.try_next_server(ctx, out);
    }

    /// No other server could be had. The client is told when it has sent its request.
    pub(super) fn search_failed(
        &mut self,
        ctx: &Ctx<'_>,
        fault: Fault,
        text: String,
        reason: CloseReason,
        out: &mut Out<'_, Mail>,
    ) {
        self.links.clear();
        self.login_deadline = None;
        self.phase = Phase::Idle;
        self.moving.failure = Some(Box::new(Broken::new(ctx, fault, text, reason)));
        self.resume(ctx, out);
    }

    /// What the running request is answered with, as no server could be had.
    pub(super) fn take_failure(&mut self) -> Option<Box<Broken>> {
        self.moving.failure.take()
    }
}
