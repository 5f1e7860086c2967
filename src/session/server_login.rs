//! Choosing a server for a session, connecting to it and logging in.
//!
//! Until the login is answered no statement has run anywhere, so any failure before it means: the
//! next server.

use super::admin;
use super::client_login::Parsed;
use super::reply::{CLIENT_KILLED, learn_variables};
use super::route::TENANT_NOT_IN_SERVER;
use super::slot::Slot;
use super::state::{Ctx, Phase, Session, UNASKED_SEQ};
use super::track::{Occasion, put_ok};
use crate::base::{
    CloseReason, CoreId, Errno, Event, Level, Linger, LinkId, Out, Output, Side, Tick,
};
use crate::link::{Identity, LoginStep, Proof, put_login};
use crate::protocol::capability;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{ErrPacket, OkPacket, TRACK_VARIABLES};
use crate::routing::{Block, Cluster, Health, Mail, Replica, SYS, Standing, Tenant, pick};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Codes with which a server refuses a login that another server may accept. Source: OceanBase wire
/// facts, section on errors.
const TRY_ELSEWHERE: &[u16] = &[
    1040, // too many connections on that server
    4124, // connect error
    4661, // session entry exists
    4666, // cluster name does not match
    4780,
    4782, // service name, not the primary tenant
    TENANT_NOT_IN_SERVER,
    8001,
    8002, // server is starting, stopping
];

/// The server is starting or stopping.
pub(super) const NOT_SERVING: &[u16] = &[8001, 8002];

/// The database does not exist.
const BAD_DATABASE: u16 = 1049;

/// What waits for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// The client's login, which is answered with this sequence number.
    Login(u8),
    /// A COM_CHANGE_USER that is a login on a new link.
    NewUser(u8),
    /// A request of a client that is logged in.
    Statement,
}

/// Where the search for a server stands.
///
/// ```text
/// waiting (cluster or tenant not known) ── mail ──> connecting, logging in ──> logged in
///    ▲                                                  │ failure: next server; 5150: the tenant
///    └──────────────────────────────────────────────────┘ is looked up first; none left: over
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServerLogin {
    purpose: Purpose,
    /// The link that is being made.
    link: LinkId,
    /// Spreads sessions, or statements, over servers.
    spread: u32,
    /// The server that routing has chosen. If it does not work, routing chooses again.
    wish: Option<SocketAddr>,
    /// When the running attempt is given up; `None` while something is not known yet.
    attempt_deadline: Option<Tick>,
    /// While something is not known: when to look, or to ask, again.
    look_again: Tick,
    /// Servers that were tried in vain.
    tried: Vec<SocketAddr>,
    /// The tenant's entry up to this version is wrong: a server of it said so.
    wrong: u64,
    /// The first round and a newer entry are waited for until then, and then done without.
    patience: Tick,
    /// What servers answered, for the error text.
    causes: Vec<String>,
    /// The last error packet of a server: code, sqlstate, text.
    refusal: Option<(u16, Vec<u8>, Vec<u8>)>,
}

/// How long better knowledge is waited for before what there is is tried: the first round of a
/// cluster, a newer entry of a tenant. Source: design section 7, cold location.
const PATIENCE_MS: u64 = 1_000;
/// Something that is not known is asked for again after this time: letters can be lost.
const ASK_AGAIN_MS: u64 = 1_000;

impl ServerLogin {
    /// A search that leaves out `tried`, and entries of the tenant up to version `wrong`.
    pub(super) fn new(
        ctx: &Ctx<'_>,
        purpose: Purpose,
        spread: u32,
        tried: Vec<SocketAddr>,
        wrong: u64,
    ) -> Self {
        Self {
            purpose,
            link: LinkId(0),
            spread,
            wish: None,
            attempt_deadline: None,
            look_again: ctx.now.after_ms(ASK_AGAIN_MS),
            tried,
            wrong,
            patience: ctx.now.after_ms(PATIENCE_MS),
            causes: vec![],
            refusal: None,
        }
    }

    /// The same for the server that routing has chosen, if it has chosen one.
    pub(super) const fn wishing(mut self, server: Option<SocketAddr>) -> Self {
        self.wish = server;
        self
    }

    /// Sequence number of what the client gets next.
    pub(super) const fn reply_seq(&self) -> u8 {
        match self.purpose {
            Purpose::Login(seq) | Purpose::NewUser(seq) => seq,
            Purpose::Statement => UNASKED_SEQ,
        }
    }

    /// The link that is being made.
    pub(super) const fn link(&self) -> LinkId {
        self.link
    }

    /// The client is not logged in yet.
    pub(super) const fn is_login(&self) -> bool {
        !matches!(self.purpose, Purpose::Statement)
    }

    /// When the next timer is wanted.
    pub(super) const fn due(&self) -> Tick {
        match self.attempt_deadline {
            Some(deadline) => deadline,
            None => self.look_again,
        }
    }

    /// Something is not known yet.
    pub(super) const fn is_waiting(&self) -> bool {
        self.attempt_deadline.is_none()
    }
}

/// A tenant that a session needs to know.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) cluster: &'a Arc<str>,
    pub(super) tenant: &'a [u8],
    /// Its entry up to this version is of no use.
    pub(super) wrong: u64,
}

impl Session {
    /// The client has said who it is: find a server.
    pub(super) fn logged_in_by_client(
        &mut self,
        ctx: &Ctx<'_>,
        login: Parsed,
        reply_seq: u8,
        out: &mut Out<'_, Mail>,
    ) {
        if login.name.tenant.eq_ignore_ascii_case(admin::TENANT) {
            return self.admin_login(ctx, &login, reply_seq, out);
        }
        let purpose = match self.login.replace(Box::new(login)) {
            None => Purpose::Login(reply_seq),
            Some(_) => Purpose::NewUser(reply_seq),
        };
        let search = ServerLogin::new(ctx, purpose, self.id, vec![], 0);
        self.phase = Phase::ServerLogin(Box::new(search));
        self.try_next_server(ctx, out);
    }

    /// The tenant that this session waits for, if it does.
    pub(super) fn wanted<'a>(&'a self, view: &'a Replica) -> Option<Wanted<'a>> {
        let Phase::ServerLogin(l) = &self.phase else {
            return None;
        };
        let name = self.name.as_deref()?;
        let cluster = view.cluster(name.cluster.as_deref())?;
        let is_wanted = l.is_waiting() && cluster.has_views && &*name.tenant != SYS;
        is_wanted.then(|| Wanted {
            cluster: &cluster.name,
            tenant: &name.tenant,
            wrong: l.wrong,
        })
    }

    /// Knowledge changed: if this login waits for it, look again.
    pub(super) fn server_login_woken(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if self.is_waiting_for_view() {
            self.try_next_server(ctx, out);
        }
    }

    /// Tries the next server; waits while it is not known which that is.
    pub(super) fn try_next_server(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let wanted = self.name.as_deref().and_then(|n| n.cluster.as_deref());
        let Some(cluster) = ctx.view.cluster(wanted) else {
            if ctx.view.is_primed() {
                let name = String::from_utf8_lossy(wanted.unwrap_or_default()).into_owned();
                let text = format!("cluster not exist: '{name}' is not configured in this proxy");
                let reason = CloseReason::LoginRefused;
                self.no_server(ctx, Fault::UnknownCluster, text, reason, out);
            }
            return;
        };
        let is_sys = self.name.as_deref().is_none_or(|n| &*n.tenant == SYS);
        let tenant = self.tenant(ctx);
        if let Some(name) = self.name.as_deref() {
            let tenant = tenant.map(|tenant| &**tenant);
            self.wishes.refresh(ctx.settings, name, cluster, tenant);
        }
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        l.attempt_deadline = None;
        l.look_again = ctx.now.after_ms(ASK_AGAIN_MS);
        if cluster.health == Health::Building && ctx.now < l.patience {
            // The first round tells whether there are views.
            l.look_again = l.patience;
            return;
        }
        let is_everywhere = is_sys || !cluster.has_views;
        if !is_everywhere {
            let Some(tenant) = tenant else { return };
            if tenant.version <= l.wrong && ctx.now < l.patience {
                l.look_again = l.patience;
                return;
            }
            match &tenant.standing {
                Standing::Absent => return self.no_tenant(ctx, out),
                Standing::Unanswered { cause } if tenant.servers.is_empty() => {
                    let name = String::from_utf8_lossy(&tenant.name).into_owned();
                    let text = format!(
                        "the servers of tenant '{name}' in cluster '{}' cannot be found: {cause} \
                         [not run]",
                        cluster.name
                    );
                    return self.no_server(ctx, Fault::NoServer, text, CloseReason::NoServer, out);
                }
                _ => {}
            }
        }
        let own = tenant.filter(|_| !is_everywhere).map(|t| &**t);
        let idc = &self.wishes.rules().preferences.idc;
        ctx.traffic.borrow_mut().blocks.settle(ctx.now);
        let picked = || {
            let blocks = &ctx.traffic.borrow().blocks;
            let choice = pick(cluster, own, blocks, l.spread, &l.tried, idc);
            choice.map(|choice| choice.server)
        };
        let Some(server) = l.wish.or_else(picked) else {
            let cluster = cluster.clone();
            return self.all_failed(ctx, &cluster, own, out);
        };
        if let Some(id) = self.link_to(server) {
            return self.link_found(id);
        }
        let id = self.free_place(out);
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        l.link = id;
        let connect = ctx.now.after_ms(ctx.settings.connect_timeout_ms);
        l.attempt_deadline = Some(connect.after_ms(ctx.settings.server_login_timeout_ms));
        let by = own.map_or(0, |tenant| tenant.version);
        self.binding.chosen(cluster.has_views, by);
        if let Some(place) = self.links.get_mut(usize::from(id.0)) {
            *place = Some(Slot::connecting(server, ctx.now));
        }
        self.facts.server = Some(server);
        out.list.push(Output::Connect(id, server, connect));
    }

    /// The cluster does not know the tenant: the client is told what a server tells it, the log is
    /// told why. Text: seekdb 1.3.0.post5, which shows no addresses.
    fn no_tenant(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let has_password = self.login.as_deref().is_some_and(|l| {
            !matches!(&l.credentials.proof, Proof::PassThrough { answer, .. } if answer.is_empty())
        });
        let password = if has_password { "YES" } else { "NO" };
        let user = self.name.as_deref().map(|n| text(&n.user));
        let told = format!(
            "Access denied for user '{}'@'xxx.xxx.xxx.xxx' (using password: {password})",
            user.unwrap_or_default()
        );
        let line = format!("{} cause=\"no such tenant\"", self.describe());
        out.list
            .push(Output::Log(Level::Info, "login_denied", line));
        out.count(Event::TenantAbsent);
        let reason = CloseReason::LoginDenied;
        self.no_server(ctx, Fault::AccessDenied, told, reason, out);
    }

    /// Every server was tried: the client gets the servers' own answer, or all causes.
    fn all_failed(
        &mut self,
        ctx: &Ctx<'_>,
        cluster: &Cluster,
        tenant: Option<&Tenant>,
        out: &mut Out<'_, Mail>,
    ) {
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        if l.refusal.is_some() && l.is_login() {
            return self.denied(ctx, out);
        }
        let mut text = format!(
            "no server of cluster '{}' accepted the connection",
            cluster.name
        );
        for cause in &l.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        if l.causes.is_empty() && l.tried.is_empty() {
            text.push_str(": its server list is empty");
        }
        if let Some(Standing::Unanswered { cause }) = tenant.map(|t| &t.standing) {
            text.push_str("; tenant: ");
            text.push_str(cause);
        }
        if let Health::Degraded { cause } = &cluster.health {
            text.push_str("; metadata: ");
            text.push_str(cause);
        }
        text.push_str(" [not run]");
        self.no_server(ctx, Fault::NoServer, text, CloseReason::NoServer, out);
    }

    /// The search is over without a server.
    fn no_server(
        &mut self,
        ctx: &Ctx<'_>,
        fault: Fault,
        text: String,
        reason: CloseReason,
        out: &mut Out<'_, Mail>,
    ) {
        let Phase::ServerLogin(l) = &self.phase else {
            return;
        };
        match l.purpose {
            Purpose::Login(seq) | Purpose::NewUser(seq) => {
                self.fail(seq, fault, &text, reason, out);
            }
            Purpose::Statement => self.search_failed(ctx, fault, text, reason, out),
        }
    }

    /// The time for the search is over.
    pub(super) fn search_timed_out(
        &mut self,
        ctx: &Ctx<'_>,
        mut text: String,
        out: &mut Out<'_, Mail>,
    ) {
        if matches!(&self.phase, Phase::ServerLogin(l) if l.purpose == Purpose::Statement) {
            text.push_str(" [not run]");
        }
        self.give_up_attempt(out);
        self.no_server(
            ctx,
            Fault::LoginTimeout,
            text,
            CloseReason::LoginTimeout,
            out,
        );
    }

    pub(super) fn connect_failed(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        errno: Errno,
        out: &mut Out<'_, Mail>,
    ) {
        let Some(server) = self.link_mut(id).map(|l| l.server) else {
            return;
        };
        out.count(Event::LinkConnectFailed);
        self.server_failed(ctx, server, Block::Black, out);
        self.doubt_server(ctx, server);
        self.report_unreachable(ctx, server, errno, out);
        let what = self.attempt_text(&errno.to_string());
        self.link_gone(id);
        self.next_attempt(ctx, what, out);
    }

    /// Tells the metadata core, which looks early at the cluster then.
    pub(super) fn report_unreachable(
        &self,
        ctx: &Ctx<'_>,
        server: SocketAddr,
        errno: Errno,
        out: &mut Out<'_, Mail>,
    ) {
        let name = self.name.as_deref().and_then(|n| n.cluster.as_deref());
        if let Some(cluster) = ctx.view.cluster(name) {
            let cluster = cluster.name.clone();
            let mail = Mail::Unreachable {
                cluster,
                server,
                errno,
            };
            out.list.push(Output::Post(CoreId::METADATA, mail));
        }
    }

    /// The running attempt is over; its connection must go.
    pub(super) fn attempt_failed(&mut self, ctx: &Ctx<'_>, what: &str, out: &mut Out<'_, Mail>) {
        let attempt = self.attempt_text(what);
        self.give_up_attempt(out);
        self.next_attempt(ctx, attempt, out);
    }

    /// The server of the running attempt, and what became of it.
    fn attempt_text(&self, what: &str) -> Option<(SocketAddr, String)> {
        let Phase::ServerLogin(l) = &self.phase else {
            return None;
        };
        let server = self.slot(l.link)?.link.server;
        Some((server, format!("{server} {what}")))
    }

    fn give_up_attempt(&mut self, out: &mut Out<'_, Mail>) {
        if let Phase::ServerLogin(l) = &self.phase
            && !l.is_waiting()
        {
            let id = l.link;
            self.drop_link(id, Linger::Abort, out);
        }
    }

    fn next_attempt(
        &mut self,
        ctx: &Ctx<'_>,
        failed: Option<(SocketAddr, String)>,
        out: &mut Out<'_, Mail>,
    ) {
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        if let Some((server, cause)) = failed {
            if l.wish.is_some() && l.wrong == 0 {
                // The request is read again, and goes elsewhere.
                self.aim_elsewhere(server, cause);
                self.phase = Phase::Idle;
                return;
            }
            l.tried.push(server);
            l.causes.push(cause);
        }
        l.wish = None;
        self.try_next_server(ctx, out);
    }

    pub(super) fn server_login_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::ServerLogin(l) = &self.phase else {
            return;
        };
        if l.due() > ctx.now {
            return;
        }
        if l.is_waiting() {
            return self.try_next_server(ctx, out);
        }
        if let Some(server) = self.slot(l.link).map(|slot| slot.link.server) {
            self.server_failed(ctx, server, Block::Black, out);
        }
        self.attempt_failed(ctx, "did not answer the login in time", out);
    }

    /// Bytes of a link that is logging in. Returns how many were used.
    pub(super) fn server_login_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        data: &[u8],
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let mut used = 0;
        let server = self.slot(id).map(|slot| slot.link.server);
        let wrong = self.wrong_version(ctx, server);
        let Self {
            links,
            phase,
            facts,
            login,
            known,
            dialect,
            first_dialect,
            first_limits,
            wishes,
            ..
        } = self;
        let (Some(Some(slot)), Phase::ServerLogin(l), Some(login)) =
            (links.get_mut(usize::from(id.0)), phase, login)
        else {
            return data.len();
        };
        let server = slot.link.server;
        match slot.link.login(data, &mut used) {
            Ok(LoginStep::More) => {}
            Ok(LoginStep::Greeted(greeting)) => {
                slot.link.login_sent();
                slot.ask(ctx.settings.capability);
                let cluster = ctx.view.cluster(login.name.cluster.as_deref());
                let named = cluster.filter(|c| c.is_named).map(|c| &*c.name);
                let identity = Identity {
                    cluster: named,
                    client_session_id: self.id,
                    proxy_connection_id: proxy_connection_id(&self.local, self.id),
                    client: Some((self.peer.ip(), self.peer.port())),
                    connected_unix_us: self.connected_unix_us,
                    proxy_version: &ctx.settings.proxy_version,
                    capability: ctx.settings.capability,
                    forwarded: &login.forwarded,
                };
                out.own(Side::Server(id), |b| {
                    put_login(b, &login.credentials, &identity, &greeting)
                });
            }
            Ok(LoginStep::Refused(e)) => {
                let elsewhere = TRY_ELSEWHERE.contains(&e.code);
                let is_serving = !NOT_SERVING.contains(&e.code);
                if e.code == TENANT_NOT_IN_SERVER {
                    // The list of its servers is old: it is read again before the next attempt.
                    out.count(Event::TenantNotInServer);
                    l.wrong = wrong;
                    l.patience = ctx.now.after_ms(PATIENCE_MS);
                    // So are the locations of its tables, one of which may have led here.
                    if let Some(cluster) = ctx.view.cluster(login.name.cluster.as_deref()) {
                        let mut tables = ctx.view.tables_mut();
                        tables.doubt_tenant(ctx.now, &cluster.name, &login.name.tenant);
                    }
                }
                l.refusal = Some((e.code, e.sqlstate.to_vec(), e.message.to_vec()));
                let what = format!("refused the login: {} {}", e.code, text(e.message));
                if e.code == BAD_DATABASE
                    && !l.is_login()
                    && login.credentials.database.take().is_some()
                {
                    // It is gone: a direct client would be in none by now.
                    known.set_database(None);
                    self.give_up_attempt(out);
                    self.try_next_server(ctx, out);
                } else if elsewhere {
                    if !is_serving {
                        self.server_failed(ctx, server, Block::Gray, out);
                    }
                    self.attempt_failed(ctx, &what, out);
                } else {
                    self.give_up_attempt(out);
                    self.denied(ctx, out);
                }
                return data.len();
            }
            Ok(LoginStep::Accepted(payload)) => match OkPacket::parse(payload) {
                Ok(ok) => {
                    let grants = Slot::grants(&ok);
                    let is_statement = match l.purpose {
                        Purpose::Login(seq) | Purpose::NewUser(seq) => {
                            facts.learn(&ok);
                            learn_variables(dialect, wishes, &ok, false);
                            first_dialect.clone_from(dialect);
                            *first_limits = facts.limits();
                            known.set_database(login.credentials.database.as_deref());
                            let untold = facts.untold.as_deref_mut();
                            out.own(Side::Client, |b| {
                                put_ok(b, seq, payload, &ok, Occasion::Login, untold, false);
                            });
                            out.count(match l.purpose {
                                Purpose::NewUser(_) => Event::ClientChangedUser,
                                _ => Event::ClientLoggedIn,
                            });
                            false
                        }
                        Purpose::Statement => true,
                    };
                    ctx.traffic.borrow_mut().blocks.worked(server);
                    out.count(slot.logged_in(grants));
                    slot.has_database = login.credentials.database.is_some();
                    slot.has.database = known.newest().database;
                    self.link_found(id);
                    if is_statement {
                        out.count(Event::SessionMoved);
                    } else {
                        // The first link; whatever comes goes there until something says more.
                        (self.binding.ready, self.binding.current) = (None, id);
                        self.idle_since = ctx.now;
                        let granted = self.facts.untold.as_ref().map_or(0, |u| u.granted());
                        if granted != 0 && self.frames.is_none() {
                            let is_new_extra = granted & capability::NEW_EXTRA_INFO != 0;
                            self.begin_frames(is_new_extra, out);
                        }
                        self.drain(out);
                    }
                }
                Err(e) => {
                    self.attempt_failed(ctx, &format!("sent a malformed login OK: {e}"), out);
                    return data.len();
                }
            },
            Err(e) => {
                self.attempt_failed(ctx, &format!("sent {e}"), out);
                return data.len();
            }
        }
        used
    }

    /// The server said no, and no other server would say yes.
    fn denied(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        let (code, sqlstate, message) = l.refusal.take().unwrap_or_default();
        match l.purpose {
            Purpose::Login(seq) | Purpose::NewUser(seq) => {
                out.own(Side::Client, |b| {
                    ErrPacket {
                        code,
                        sqlstate: &sqlstate,
                        message: &message,
                    }
                    .put(b, seq);
                });
                self.end(CloseReason::LoginDenied, Linger::Flush, out);
            }
            Purpose::Statement => {
                if code == CLIENT_KILLED {
                    let text = "Session interrupted [not run]";
                    let reason = CloseReason::Killed;
                    return self.fail(UNASKED_SEQ, Fault::Interrupted, text, reason, out);
                }
                let server = self.facts.server.map(|s| s.to_string()).unwrap_or_default();
                let text = format!(
                    "the session needs another server, and {server} refuses its login: {code} {} \
                     [not run]",
                    text(&message)
                );
                self.search_failed(ctx, Fault::NoServer, text, CloseReason::LoginDenied, out);
            }
        }
    }
}

/// What a client with session tracking is told at login and after COM_CHANGE_USER: three variables
/// and no schema, as a direct one. Observed on seekdb 1.3.0.post5.
pub(super) fn shown_at_login(kind: u8, variable: &[u8]) -> bool {
    kind == TRACK_VARIABLES
        && matches!(
            variable,
            b"nls_date_format" | b"nls_timestamp_format" | b"nls_timestamp_tz_format"
        )
}

/// `ipv4 << 32 | port << 16 | sequence`. The sequence has 16 bits, and what tells the sessions of a
/// proxy apart has 17: its top bit, a part of the core's number, is folded in below the bits that
/// the core has with 128 cores, so a session has one other that it could be taken for.
pub(super) fn proxy_connection_id(local: &SocketAddr, session: u32) -> u64 {
    let ip = match local.ip().to_canonical() {
        IpAddr::V4(v4) => u32::from(v4),
        // An IPv6 address does not fit: its last 32 bits keep the id distinct.
        IpAddr::V6(v6) => (u128::from(v6) & 0xFFFF_FFFF) as u32,
    };
    let sequence = session & 0xFFFF ^ (session >> 16 & 1) << 9;
    u64::from(ip) << 32 | u64::from(local.port()) << 16 | u64::from(sequence)
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Key;
    use crate::session::SessionIds;
    use std::collections::HashSet;

    #[test]
    fn sessions_of_all_cores_have_numbers_of_their_own() {
        let local = SocketAddr::from(([10, 0, 0, 1], 2883));
        for cores in [1, 2, 3, 4, 8, 64] {
            let mut seen = HashSet::new();
            for core in 0..cores {
                let mut ids = SessionIds::new(5, core, cores);
                for _ in 0..500 {
                    let id = ids.claim(Key::default()).expect("an id");
                    let number = proxy_connection_id(&local, id);
                    assert_eq!(number >> 16, 0x0A00_0001_0B43);
                    assert!(seen.insert(number), "{cores} cores: {id:x}");
                }
            }
        }
    }
}
