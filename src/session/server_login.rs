//! Choosing a server for a session, connecting to it and logging in.
//!
//! Until the login is answered no statement has run anywhere, so any failure before it means: the
//! next server.

use super::admin;
use super::client_login::Parsed;
use super::state::{Ctx, Phase, Session};
use super::track::{Occasion, put_ok};
use crate::base::{CloseReason, CoreId, Errno, Event, Linger, LinkId, Out, Output, Side, Tick};
use crate::link::{Identity, Link, LoginStep, put_login};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{ErrPacket, OkPacket, TRACK_VARIABLES};
use crate::routing::{Cluster, Health, Mail, pick};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// The one link of a session until statements are routed one by one.
pub(super) const HOME: LinkId = LinkId(0);

/// Codes with which a server refuses a login that another server may accept. Source: OceanBase wire
/// facts, section on errors.
const TRY_ELSEWHERE: &[u16] = &[
    1040, // too many connections on that server
    4124, // connect error
    4661, // session entry exists
    4666, // cluster name does not match
    4780, 4782, // service name, not the primary tenant
    5150, // tenant not in this server
    8001, 8002, // server is starting, stopping
];

/// Where the server's side of a login stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ServerLogin {
    pub(super) login: Parsed,
    /// Sequence number of the answer that the client waits for.
    pub(super) reply_seq: u8,
    /// When the running attempt is given up; `None` while the cluster is not known yet.
    pub(super) attempt_deadline: Option<Tick>,
    /// Servers that were tried in vain.
    failed: u32,
    /// What they answered, for the error text.
    causes: Vec<String>,
    /// The last error packet of a server: code, sqlstate, text.
    refusal: Option<(u16, Vec<u8>, Vec<u8>)>,
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
        self.phase = Phase::ServerLogin(Box::new(ServerLogin {
            login,
            reply_seq,
            attempt_deadline: None,
            failed: 0,
            causes: vec![],
            refusal: None,
        }));
        self.try_next_server(ctx, out);
    }

    /// Knowledge changed: if this login waits for it, look again.
    pub(super) fn server_login_woken(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if self.is_waiting_for_view() {
            self.try_next_server(ctx, out);
        }
    }

    fn try_next_server(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        let wanted = l.login.name.cluster.as_deref();
        let Some(cluster) = ctx.view.cluster(wanted) else {
            if ctx.view.is_primed() {
                let name = String::from_utf8_lossy(wanted.unwrap_or_default()).into_owned();
                let text = format!("cluster not exist: '{name}' is not configured in this proxy");
                let seq = l.reply_seq;
                self.fail(
                    seq,
                    Fault::UnknownCluster,
                    &text,
                    CloseReason::LoginRefused,
                    out,
                );
            }
            return;
        };
        let Some(choice) = pick(cluster, self.id, l.failed) else {
            self.no_server(cluster.clone(), out);
            return;
        };
        let connect = ctx.now.after_ms(ctx.settings.connect_timeout_ms);
        l.attempt_deadline = Some(connect.after_ms(ctx.settings.server_login_timeout_ms));
        self.links.clear();
        self.links.push(Some(Link::connecting(choice.server)));
        self.facts.server = Some(choice.server);
        out.list.push(Output::Connect(HOME, choice.server, connect));
    }

    /// Every server was tried: the client gets the servers' own answer, or all causes.
    fn no_server(&mut self, cluster: Arc<Cluster>, out: &mut Out<'_, Mail>) {
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        let seq = l.reply_seq;
        if let Some((code, sqlstate, message)) = l.refusal.take() {
            out.own(Side::Client, |b| {
                ErrPacket {
                    code,
                    sqlstate: &sqlstate,
                    message: &message,
                }
                .put(b, seq);
            });
            self.end(CloseReason::LoginDenied, Linger::Flush, out);
            return;
        }
        let mut text = format!(
            "no server of cluster '{}' accepted the connection",
            cluster.name
        );
        for cause in &l.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        if l.causes.is_empty() {
            text.push_str(": its server list is empty");
        }
        if let Health::Degraded { cause } = &cluster.health {
            text.push_str("; metadata: ");
            text.push_str(cause);
        }
        text.push_str(" [not run]");
        self.fail(seq, Fault::NoServer, &text, CloseReason::NoServer, out);
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
        if let Phase::ServerLogin(l) = &self.phase
            && let Some(cluster) = ctx.view.cluster(l.login.name.cluster.as_deref())
        {
            let cluster = cluster.name.clone();
            let mail = Mail::Unreachable {
                cluster,
                server,
                errno,
            };
            out.list.push(Output::Post(CoreId::METADATA, mail));
        }
        self.attempt_failed(ctx, &errno.to_string(), out);
    }

    /// The running attempt is over; its connection is gone or must go.
    pub(super) fn attempt_failed(&mut self, ctx: &Ctx<'_>, what: &str, out: &mut Out<'_, Mail>) {
        let server = self.link_mut(HOME).map(|l| l.server);
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        l.failed += 1;
        if let Some(server) = server {
            l.causes.push(format!("{server} {what}"));
        }
        self.links.clear();
        self.try_next_server(ctx, out);
    }

    pub(super) fn server_login_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::ServerLogin(l) = &self.phase else {
            return;
        };
        if l.attempt_deadline.is_some_and(|d| d <= ctx.now) {
            out.list.push(Output::Close(HOME, Linger::Abort));
            self.attempt_failed(ctx, "did not answer the login in time", out);
        }
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
        let Self {
            links,
            phase,
            facts,
            ..
        } = self;
        let (Some(Some(link)), Phase::ServerLogin(l)) = (links.get_mut(usize::from(id.0)), phase)
        else {
            return data.len();
        };
        match link.login(data, &mut used) {
            Ok(LoginStep::More) => {}
            Ok(LoginStep::Greeted(greeting)) => {
                link.login_sent();
                facts.ask(ctx.settings.capability);
                let cluster = ctx.view.cluster(l.login.name.cluster.as_deref());
                let named = cluster.filter(|c| c.is_named).map(|c| &*c.name);
                let identity = Identity {
                    cluster: named,
                    client_session_id: self.id,
                    proxy_connection_id: proxy_connection_id(&self.local, self.id),
                    client: Some((self.peer.ip(), self.peer.port())),
                    connected_unix_us: self.connected_unix_us,
                    proxy_version: &ctx.settings.proxy_version,
                    capability: ctx.settings.capability,
                    forwarded: &l.login.forwarded,
                };
                let who = &l.login.credentials;
                out.own(Side::Server(id), |b| {
                    put_login(b, who, &identity, &greeting)
                });
            }
            Ok(LoginStep::Refused(e)) => {
                let elsewhere = TRY_ELSEWHERE.contains(&e.code);
                l.refusal = Some((e.code, e.sqlstate.to_vec(), e.message.to_vec()));
                let what = format!("refused the login: {} {}", e.code, text(e.message));
                out.list.push(Output::Close(id, Linger::Abort));
                if elsewhere {
                    self.attempt_failed(ctx, &what, out);
                } else {
                    self.denied(out);
                }
                return data.len();
            }
            Ok(LoginStep::Accepted(payload)) => match OkPacket::parse(payload) {
                Ok(ok) => {
                    facts.database = l.login.credentials.database.clone();
                    facts.learn(&ok);
                    let (seq, untold) = (l.reply_seq, facts.untold.as_deref_mut());
                    out.own(Side::Client, |b| {
                        put_ok(b, seq, payload, &ok, Occasion::Login, untold);
                    });
                    link.logged_in();
                    out.count(facts.agree(link));
                    self.phase = Phase::Idle;
                    self.login_deadline = None;
                    self.idle_since = ctx.now;
                    out.count(Event::ClientLoggedIn);
                    self.drain(out);
                }
                Err(e) => {
                    out.list.push(Output::Close(id, Linger::Abort));
                    self.attempt_failed(ctx, &format!("sent a malformed login OK: {e}"), out);
                    return data.len();
                }
            },
            Err(e) => {
                out.list.push(Output::Close(id, Linger::Abort));
                self.attempt_failed(ctx, &format!("sent {e}"), out);
                return data.len();
            }
        }
        used
    }

    /// The server said no, and no other server would say yes.
    fn denied(&mut self, out: &mut Out<'_, Mail>) {
        let Phase::ServerLogin(l) = &mut self.phase else {
            return;
        };
        let seq = l.reply_seq;
        if let Some((code, sqlstate, message)) = l.refusal.take() {
            out.own(Side::Client, |b| {
                ErrPacket {
                    code,
                    sqlstate: &sqlstate,
                    message: &message,
                }
                .put(b, seq);
            });
        }
        self.end(CloseReason::LoginDenied, Linger::Flush, out);
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

/// `ipv4 << 32 | port << 16 | sequence`; the low bits of the session id are the sequence.
pub(super) fn proxy_connection_id(local: &std::net::SocketAddr, session: u32) -> u64 {
    let ip = match local.ip().to_canonical() {
        IpAddr::V4(v4) => u32::from(v4),
        // An IPv6 address does not fit: its last 32 bits keep the id distinct.
        IpAddr::V6(v6) => (u128::from(v6) & 0xFFFF_FFFF) as u32,
    };
    u64::from(ip) << 32 | u64::from(local.port()) << 16 | u64::from(session & 0xFFFF)
}

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}
