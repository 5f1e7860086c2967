//! One connection to a cluster as `proxyro@sys`, and one errand at a time.
//!
//! An errand is some questions, one after the other. The connection is kept between errands. A
//! server that cannot be reached, refuses or answers something useless is left for the next
//! candidate, which gets the question that was open.

use super::{ClusterConfig, Settings};
use crate::auth::Stage1;
use crate::base::{Linger, LinkId, Out, Output, Side, Tick};
use crate::link::{Credentials, Identity, Link, LoginStep, Proof, Rows, RowsError, put_login};
use crate::protocol::capability;
use crate::protocol::mysql::{Command, Shape, client, put_packet};
use crate::routing::Mail;
use std::net::SocketAddr;

/// utf8mb4_general_ci.
const CHARSET: u8 = 45;
/// Access denied.
const DENIED: u16 = 1045;
/// Servers that one errand tries.
const CANDIDATES_MAX: usize = 16;
/// The first statement on a connection: literals are escaped for this mode, whatever the tenant's
/// own is.
const SETTING: &[u8] = b"SET @@session.sql_mode = 'STRICT_TRANS_TABLES'";

/// What a call may look at besides the channel.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    /// The tick of this input.
    pub(super) now: Tick,
    /// Settings.
    pub(super) settings: &'a Settings,
    /// The cluster, as the operator configured it.
    pub(super) config: &'a ClusterConfig,
}

impl Env<'_> {
    fn passwords(&self) -> &[Stage1] {
        let own = self.config.passwords.as_ref();
        own.unwrap_or(&self.settings.passwords)
    }
}

/// What became of a question.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The answer, an error packet included. [`Channel::ask`], [`Channel::reject`] or
    /// [`Channel::finish`] comes next.
    Answer(Rows),
    /// No candidate gave one, and the errand is over: what each said, for people.
    Failed(String),
}

#[derive(Debug)]
struct Errand {
    candidates: Vec<SocketAddr>,
    /// The next of the candidates.
    next: usize,
    /// The password that is tried.
    slot: usize,
    /// When the running step has taken too long.
    deadline: Tick,
    causes: Vec<String>,
    /// The question that is open.
    sql: Vec<u8>,
    /// [`SETTING`] is not answered yet.
    is_setting: bool,
}

/// The connection, and what is asked on it.
///
/// ```text
/// idle ── begin, ask ──> [connect, login, SET] ── question ── answer ──> ask or finish
///                           │ failure, reject: next candidate; none left: Failed
/// ```
#[derive(Debug)]
pub(super) struct Channel {
    id: LinkId,
    link: Option<Link>,
    rows: Rows,
    errand: Option<Errand>,
    /// The server that answered last is asked first.
    last_good: Option<SocketAddr>,
    /// The password that was accepted last is tried first.
    last_slot: usize,
    /// Connections that were logged in so far.
    logins: u64,
}

impl Channel {
    pub(super) fn new(id: LinkId) -> Self {
        Self {
            id,
            link: None,
            rows: Rows::default(),
            errand: None,
            last_good: None,
            last_slot: 0,
            logins: 0,
        }
    }

    /// The link that it uses.
    pub(super) const fn id(&self) -> LinkId {
        self.id
    }

    /// The server of the connection.
    pub(super) fn server(&self) -> Option<SocketAddr> {
        self.link.as_ref().map(|link| link.server)
    }

    /// Counts the connections: what was found out on one may not hold on another.
    pub(super) const fn logins(&self) -> u64 {
        self.logins
    }

    /// When the running errand wants its next timer.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        self.errand.as_ref().map(|a| a.deadline)
    }

    /// Begins an errand, which tries the server of the last one and then `candidates`.
    pub(super) fn begin(&mut self, candidates: impl Iterator<Item = SocketAddr>) {
        let mut list: Vec<SocketAddr> = self.last_good.into_iter().collect();
        for candidate in candidates {
            if list.len() < CANDIDATES_MAX && !list.contains(&candidate) {
                list.push(candidate);
            }
        }
        self.errand = Some(Errand {
            candidates: list,
            next: 0,
            slot: self.last_slot,
            deadline: Tick(0),
            causes: vec![],
            sql: vec![],
            is_setting: false,
        });
    }

    /// Asks, on the connection that stands or on a new one.
    pub(super) fn ask(
        &mut self,
        env: Env<'_>,
        sql: Vec<u8>,
        out: &mut Out<'_, Mail>,
    ) -> Option<Outcome> {
        let errand = self.errand.as_mut()?;
        errand.sql = sql;
        if self.link.as_ref().is_some_and(Link::is_idle) {
            self.send(env, out);
            return None;
        }
        self.attempt(env, out)
    }

    /// Something else is asked from here on.
    pub(super) fn change_question(&mut self, sql: Vec<u8>) {
        if let Some(errand) = &mut self.errand {
            errand.sql = sql;
        }
    }

    /// The answer is of no use: the next candidate is asked.
    pub(super) fn reject(
        &mut self,
        env: Env<'_>,
        what: &str,
        out: &mut Out<'_, Mail>,
    ) -> Option<Outcome> {
        out.list.push(Output::Close(self.id, Linger::Abort));
        self.failed(env, what, out)
    }

    /// The errand is over, and went well.
    pub(super) fn finish(&mut self) {
        self.last_good = self.server();
        self.errand = None;
    }

    pub(super) fn timer(&mut self, env: Env<'_>, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        if self.errand.as_ref()?.deadline > env.now {
            return None;
        }
        out.list.push(Output::Close(self.id, Linger::Abort));
        self.failed(env, "did not answer in time", out)
    }

    pub(super) fn connected(&mut self) {
        if let Some(link) = &mut self.link {
            link.connected();
        }
    }

    /// The connection is gone.
    pub(super) fn lost(
        &mut self,
        env: Env<'_>,
        what: &str,
        out: &mut Out<'_, Mail>,
    ) -> Option<Outcome> {
        if self.errand.is_none() {
            self.link = None;
            return None;
        }
        self.failed(env, what, out)
    }

    pub(super) fn bytes(
        &mut self,
        env: Env<'_>,
        data: &[u8],
        out: &mut Out<'_, Mail>,
    ) -> Option<Outcome> {
        let mut at = 0;
        while at < data.len() {
            let rest = data.get(at..).unwrap_or_default();
            let link = self.link.as_mut()?;
            if link.is_logging_in() {
                match self.login_bytes(env, rest, out) {
                    Ok(used) => at += used,
                    Err(outcome) => return outcome,
                }
                continue;
            }
            let Some(reply) = link.reply() else {
                out.list.push(Output::Close(self.id, Linger::Abort));
                return self.lost(env, "sent bytes that nobody asked for", out);
            };
            match reply.feed(rest, &mut self.rows.collect(rest)) {
                Ok(used) => at += used,
                Err(e) => return self.reject(env, &format!("sent a {e}"), out),
            }
            if !reply.is_done() {
                continue;
            }
            link.finish();
            let rows = std::mem::take(&mut self.rows);
            let errand = self.errand.as_mut()?;
            if !std::mem::take(&mut errand.is_setting) {
                return Some(Outcome::Answer(rows));
            }
            if let Err(e @ RowsError::Server(..)) = rows.read() {
                return self.reject(env, &format!("refused to set the sql_mode: {e}"), out);
            }
            self.send(env, out);
        }
        None
    }

    /// Connects to the next candidate; ends the errand when there is none left.
    fn attempt(&mut self, env: Env<'_>, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        let errand = self.errand.as_mut()?;
        let Some(&server) = errand.candidates.get(errand.next) else {
            let causes = errand.causes.join(", ");
            self.errand = None;
            self.link = None;
            return Some(Outcome::Failed(causes));
        };
        let connect = env.now.after_ms(env.settings.connect_timeout_ms);
        errand.deadline = connect.after_ms(env.settings.answer_timeout_ms);
        errand.is_setting = false;
        self.rows = Rows::default();
        self.link = Some(Link::connecting(server));
        out.list.push(Output::Connect(self.id, server, connect));
        None
    }

    /// The connection failed, or answered something useless; it is closed or must not be used.
    fn failed(&mut self, env: Env<'_>, what: &str, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        let link = self.link.take();
        let errand = self.errand.as_mut()?;
        if let Some(link) = link {
            errand.causes.push(format!("{} {what}", link.server));
            let at = errand.candidates.get(errand.next);
            // A kept connection may be to another server than the first candidate.
            if at == Some(&link.server) {
                errand.next += 1;
            }
        }
        errand.slot = self.last_slot;
        self.attempt(env, out)
    }

    /// Bytes of the login phase: how many were used, or what came of a failure.
    fn login_bytes(
        &mut self,
        env: Env<'_>,
        data: &[u8],
        out: &mut Out<'_, Mail>,
    ) -> Result<usize, Option<Outcome>> {
        let mut used = 0;
        let (Some(link), Some(errand)) = (&mut self.link, &mut self.errand) else {
            return Err(None);
        };
        let list = env.passwords();
        let what = match link.login(data, &mut used) {
            Ok(LoginStep::More) => return Ok(used),
            Ok(LoginStep::Greeted(greeting)) => {
                link.login_sent();
                // A changed setting may have fewer.
                let stage1 = list.get(errand.slot).or_else(|| list.first()).copied();
                let who = credentials(stage1);
                let id = Identity {
                    cluster: env.config.is_named.then_some(&*env.config.name),
                    client_session_id: 0,
                    proxy_connection_id: 0,
                    client: None,
                    connected_unix_us: 0,
                    proxy_version: &env.settings.proxy_version,
                    capability: capability::PLAIN & !capability::CLIENT_SESSION_ID_V2,
                    forwarded: &[],
                };
                out.own(Side::Server(self.id), |b| {
                    put_login(b, &who, &id, &greeting)
                });
                return Ok(used);
            }
            Ok(LoginStep::Accepted(_)) => {
                link.logged_in();
                self.last_slot = errand.slot;
                self.logins += 1;
                errand.is_setting = true;
                self.send(env, out);
                return Ok(used);
            }
            Ok(LoginStep::Refused(e)) => {
                let other = (errand.slot + 1) % list.len().max(1);
                let is_denied = e.code == DENIED;
                let text = String::from_utf8_lossy(e.message).into_owned();
                if is_denied && other != self.last_slot {
                    // The other password, on the same server.
                    errand.slot = other;
                    out.list.push(Output::Close(self.id, Linger::Abort));
                    return Err(self.attempt(env, out));
                }
                let hint = if is_denied {
                    " (check observer_sys_password)"
                } else {
                    ""
                };
                format!("refused proxyro@sys: {} {text}{hint}", e.code)
            }
            Err(e) => format!("sent {e}"),
        };
        Err(self.reject(env, &what, out))
    }

    /// Sends what is to be sent next: the setting of a new connection, or the question.
    fn send(&mut self, env: Env<'_>, out: &mut Out<'_, Mail>) {
        let (Some(link), Some(errand)) = (&mut self.link, &mut self.errand) else {
            return;
        };
        errand.deadline = env.now.after_ms(env.settings.answer_timeout_ms);
        link.begin(Shape {
            command: Command::QUERY,
            cursor: false,
            proxy_mode: true,
            statistics_ok: true,
            is_named_driver: false,
        });
        self.rows = Rows::default();
        let text = match errand.is_setting {
            true => SETTING,
            false => &errand.sql,
        };
        out.own(Side::Server(self.id), |b| {
            put_packet(b, 0, |b| {
                b.push(Command::QUERY.0);
                b.extend_from_slice(text);
            });
        });
    }
}

/// The metadata user. Without a configured password it logs in with an empty one.
fn credentials(stage1: Option<Stage1>) -> Credentials {
    Credentials {
        user: b"proxyro@sys".to_vec(),
        proof: match stage1 {
            Some(stage1) => Proof::Stage1(stage1),
            None => Proof::PassThrough {
                scramble: [0; 20],
                answer: vec![],
            },
        },
        capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION | client::PLUGIN_AUTH,
        max_packet: 1 << 24,
        charset: CHARSET,
        database: None,
    }
}
