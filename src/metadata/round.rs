//! One cluster: its rounds, and what is known after them.

use super::source::{self, SERVERS_SQL};
use super::{ClusterConfig, Settings};
use crate::auth::Stage1;
use crate::base::{Event, Level, Linger, LinkId, Out, Output, Rng, Side, Tick};
use crate::link::{Credentials, Identity, Link, LoginStep, Proof, Rows, put_login};
use crate::protocol::capability;
use crate::protocol::mysql::{Command, Shape, client, put_packet};
use crate::routing::{Cluster, Health, Mail};
use std::net::SocketAddr;
use std::sync::Arc;

/// Two early rounds are at least this far apart.
const EARLY_SPACING_MS: u64 = 1_000;
/// A cluster that has never answered is asked again after this time.
const FIRST_RETRY_MS: u64 = 2_000;
/// utf8mb4_general_ci.
const CHARSET: u8 = 45;
/// Access denied.
const DENIED: u16 = 1045;

/// Where the rounds of a cluster stand.
///
/// ```text
/// Waiting(at) ── due ──> connect (or the connection of the last round) ── login, ask, answer ──┐
///      ▲                    │ failure: next server; all failed: the round failed              │
///      └────────────────────┴───────────────────────────────────────────────────────────────────┘
/// ```
#[derive(Debug)]
enum Round {
    Waiting {
        at: Tick,
    },
    Running {
        deadline: Tick,
        attempt: usize,
        slot: usize,
        causes: Vec<String>,
    },
}

/// One configured cluster on the metadata core.
#[derive(Debug)]
pub(super) struct ClusterRounds {
    config: ClusterConfig,
    link_id: LinkId,
    /// What was published last.
    published: Arc<Cluster>,
    round: Round,
    last_start: Option<Tick>,
    /// The connection of the running round, kept for the next one.
    link: Option<Link>,
    rows: Rows,
    /// The server that answered last is asked first.
    last_good: usize,
    /// The password slot that was accepted last is tried first.
    last_slot: usize,
}

impl ClusterRounds {
    pub(super) fn new(config: ClusterConfig, link_id: LinkId) -> Self {
        let published = Arc::new(Cluster {
            name: config.name.as_str().into(),
            is_named: config.is_named,
            version: 1,
            servers: config.root_servers.clone().into(),
            health: Health::Building,
            confirmed: None,
        });
        Self {
            config,
            link_id,
            published,
            round: Round::Waiting { at: Tick(0) },
            last_start: None,
            link: None,
            rows: Rows::default(),
            last_good: 0,
            last_slot: 0,
        }
    }

    /// What serving cores are to know.
    pub(super) fn entry(&self) -> Arc<Cluster> {
        self.published.clone()
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// When this cluster wants its next timer.
    pub(super) const fn poll_timeout(&self) -> Tick {
        match self.round {
            Round::Waiting { at } => at,
            Round::Running { deadline, .. } => deadline,
        }
    }

    /// Starts a round now, unless one runs or ran within the last second.
    pub(super) fn hurry(&mut self, now: Tick) {
        if let (Round::Waiting { at }, Some(start)) = (&mut self.round, self.last_start) {
            *at = (*at).min(now.max(start.after_ms(EARLY_SPACING_MS)));
        }
    }

    pub(super) fn timer(
        &mut self,
        now: Tick,
        s: &Settings,
        rng: &mut Rng,
        out: &mut Out<'_, Mail>,
    ) {
        match &self.round {
            Round::Waiting { at } if *at <= now => {
                self.last_start = Some(now);
                self.round = Round::Running {
                    deadline: now,
                    attempt: 0,
                    slot: self.last_slot,
                    causes: vec![],
                };
                if self.link.as_ref().is_some_and(Link::is_idle) {
                    self.ask(now, s, out);
                } else {
                    self.link = None;
                    self.attempt(now, s, rng, out);
                }
            }
            Round::Running { deadline, .. } if *deadline <= now => {
                out.list.push(Output::Close(self.link_id, Linger::Abort));
                self.failed(now, "did not answer in time", s, rng, out);
            }
            _ => {}
        }
    }

    fn server(&self, attempt: usize) -> Option<SocketAddr> {
        let n = self.config.root_servers.len();
        if attempt >= n {
            return None;
        }
        self.config
            .root_servers
            .get((self.last_good + attempt) % n)
            .copied()
    }

    /// Connects to the server of the running attempt; ends the round when there is none left.
    fn attempt(&mut self, now: Tick, s: &Settings, rng: &mut Rng, out: &mut Out<'_, Mail>) {
        let Round::Running { attempt, .. } = &self.round else {
            return;
        };
        let Some(server) = self.server(*attempt) else {
            self.round_failed(now, s, rng, out);
            return;
        };
        let connect = now.after_ms(s.connect_timeout_ms);
        if let Round::Running { deadline, .. } = &mut self.round {
            *deadline = connect.after_ms(s.answer_timeout_ms);
        }
        self.link = Some(Link::connecting(server));
        out.list
            .push(Output::Connect(self.link_id, server, connect));
    }

    /// The connection failed, or answered something useless; it is closed or must not be used.
    pub(super) fn failed(
        &mut self,
        now: Tick,
        what: &str,
        s: &Settings,
        rng: &mut Rng,
        out: &mut Out<'_, Mail>,
    ) {
        let link = self.link.take();
        let Round::Running {
            attempt,
            slot,
            causes,
            ..
        } = &mut self.round
        else {
            return;
        };
        if let Some(link) = link {
            causes.push(format!("{} {what}", link.server));
        }
        *attempt += 1;
        *slot = self.last_slot;
        self.attempt(now, s, rng, out);
    }

    /// A failed round keeps what was known, counts, and is told once for each new cause.
    fn round_failed(&mut self, now: Tick, s: &Settings, rng: &mut Rng, out: &mut Out<'_, Mail>) {
        let Round::Running { causes, .. } = &mut self.round else {
            return;
        };
        let cause: Arc<str> = causes.join(", ").into();
        out.count(Event::MetadataRoundFailed);
        let health = Health::Degraded {
            cause: cause.clone(),
        };
        if self.published.health != health {
            let line = format!("cluster={} cause={:?}", self.config.name, &*cause);
            out.list
                .push(Output::Log(Level::Error, "metadata_round_failed", line));
            let servers = self.published.servers.clone();
            self.publish(servers, health, self.published.confirmed);
        }
        let delay = if self.published.confirmed.is_some() {
            next_delay_ms(s, rng)
        } else {
            FIRST_RETRY_MS
        };
        self.round = Round::Waiting {
            at: now.after_ms(delay),
        };
    }

    fn publish(&mut self, servers: Arc<[SocketAddr]>, health: Health, confirmed: Option<Tick>) {
        self.published = Arc::new(Cluster {
            name: self.published.name.clone(),
            is_named: self.config.is_named,
            version: self.published.version + 1,
            servers,
            health,
            confirmed,
        });
    }

    pub(super) fn connected(&mut self) {
        if let Some(link) = &mut self.link {
            link.connected();
        }
    }

    /// The connection is gone.
    pub(super) fn lost(
        &mut self,
        now: Tick,
        what: &str,
        s: &Settings,
        rng: &mut Rng,
        out: &mut Out<'_, Mail>,
    ) {
        match self.round {
            Round::Waiting { .. } => self.link = None,
            Round::Running { .. } => self.failed(now, what, s, rng, out),
        }
    }

    pub(super) fn bytes(
        &mut self,
        now: Tick,
        data: &[u8],
        s: &Settings,
        rng: &mut Rng,
        out: &mut Out<'_, Mail>,
    ) {
        let mut at = 0;
        while at < data.len() {
            let rest = data.get(at..).unwrap_or_default();
            let Some(link) = &mut self.link else { return };
            if link.is_logging_in() {
                at += self.login_bytes(now, rest, s, rng, out);
                continue;
            }
            let Some(reply) = link.reply() else {
                out.list.push(Output::Close(self.link_id, Linger::Abort));
                self.lost(now, "sent bytes that nobody asked for", s, rng, out);
                return;
            };
            match reply.feed(rest, &mut self.rows.collect(rest)) {
                Ok(used) => at += used,
                Err(e) => {
                    out.list.push(Output::Close(self.link_id, Linger::Abort));
                    self.failed(now, &e.to_string(), s, rng, out);
                    return;
                }
            }
            if reply.is_done() {
                link.finish();
                self.answered(now, s, rng, out);
            }
        }
    }

    fn login_bytes(
        &mut self,
        now: Tick,
        data: &[u8],
        s: &Settings,
        rng: &mut Rng,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let mut used = 0;
        let Some(link) = &mut self.link else {
            return data.len();
        };
        let Round::Running { slot, .. } = &mut self.round else {
            return data.len();
        };
        let what = match link.login(data, &mut used) {
            Ok(LoginStep::More) => return used,
            Ok(LoginStep::Greeted(greeting)) => {
                link.login_sent();
                // A changed setting may have fewer.
                let list = self.config.passwords.as_ref().unwrap_or(&s.passwords);
                let stage1 = list.get(*slot).or_else(|| list.first()).copied();
                let who = credentials(stage1);
                let id = Identity {
                    cluster: self.config.is_named.then_some(&*self.config.name),
                    client_session_id: 0,
                    proxy_connection_id: 0,
                    client: None,
                    connected_unix_us: 0,
                    proxy_version: &s.proxy_version,
                    capability: capability::PLAIN & !capability::CLIENT_SESSION_ID_V2,
                    forwarded: &[],
                };
                out.own(Side::Server(self.link_id), |b| {
                    put_login(b, &who, &id, &greeting)
                });
                return used;
            }
            Ok(LoginStep::Accepted(_)) => {
                link.logged_in();
                self.last_slot = *slot;
                self.ask(now, s, out);
                return used;
            }
            Ok(LoginStep::Refused(e)) => {
                let list = self.config.passwords.as_ref().unwrap_or(&s.passwords);
                let passwords = list.len().max(1);
                let other = (*slot + 1) % passwords;
                let is_denied = e.code == DENIED;
                let text = String::from_utf8_lossy(e.message).into_owned();
                if is_denied && other != self.last_slot {
                    // The other password slot, on the same server.
                    *slot = other;
                    out.list.push(Output::Close(self.link_id, Linger::Abort));
                    self.attempt(now, s, rng, out);
                    return data.len();
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
        out.list.push(Output::Close(self.link_id, Linger::Abort));
        self.failed(now, &what, s, rng, out);
        data.len()
    }

    fn ask(&mut self, now: Tick, s: &Settings, out: &mut Out<'_, Mail>) {
        if let Round::Running { deadline, .. } = &mut self.round {
            *deadline = now.after_ms(s.answer_timeout_ms);
        }
        self.rows = Rows::default();
        let Some(link) = &mut self.link else { return };
        link.begin(Shape {
            command: Command::QUERY,
            cursor: false,
            proxy_mode: true,
            statistics_ok: true,
        });
        out.own(Side::Server(self.link_id), |b| {
            put_packet(b, 0, |b| {
                b.push(Command::QUERY.0);
                b.extend_from_slice(SERVERS_SQL);
            });
        });
    }

    /// The answer is whole.
    fn answered(&mut self, now: Tick, s: &Settings, rng: &mut Rng, out: &mut Out<'_, Mail>) {
        let rows = std::mem::take(&mut self.rows);
        let found = match source::read(&rows, &self.config.root_servers) {
            Ok(found) => found,
            Err(what) => {
                out.list.push(Output::Close(self.link_id, Linger::Abort));
                self.failed(now, &what, s, rng, out);
                return;
            }
        };
        out.count(Event::MetadataRound);
        let server = self.link.as_ref().map(|l| l.server);
        let place = self
            .config
            .root_servers
            .iter()
            .position(|a| Some(*a) == server);
        self.last_good = place.unwrap_or(self.last_good);
        let is_news =
            self.published.health != Health::Ready || *self.published.servers != *found.servers;
        if is_news {
            let line = format!(
                "cluster={} servers={} bad_rows={} from={}",
                self.config.name,
                found.servers.len(),
                found.bad_rows,
                server.map(|s| s.to_string()).unwrap_or_default()
            );
            out.list
                .push(Output::Log(Level::Info, "metadata_ready", line));
        }
        self.publish(found.servers.into(), Health::Ready, Some(now));
        self.round = Round::Waiting {
            at: now.after_ms(next_delay_ms(s, rng)),
        };
    }
}

/// A delay in `[half, full)` of the interval.
fn next_delay_ms(s: &Settings, rng: &mut Rng) -> u64 {
    let half = s.interval_ms / 2;
    half + rng.below(s.interval_ms - half)
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
