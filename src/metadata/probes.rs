//! Whether servers that sessions suspect still answer.
//!
//! A core suspects a server when a statement there is not answered for a second, and no other one
//! was either, or when it blocks the server for not answering. The server is then asked for what
//! any server can answer, on a connection of its own.
//! A slow server answers that; one whose disk or machine hangs does not.
//!
//! ```text
//! suspected ── answers, or refuses ──> well: not asked again for a while
//!    └── silent: no new work ── silent so often: lost, what runs there is given up
//!                                  └── asked on, until it answers or goes
//! ```

use super::Settings;
use super::channel::{Channel, Env, Outcome};
use crate::base::{Event, Level, Linger, LinkId, Out, Output, Tick};
use crate::routing::{Mail, Pulse};
use std::net::SocketAddr;

/// The question.
const QUESTION: &[u8] = b"SELECT 1 FROM DUAL";
/// A server that has answered is not asked again for so long, whoever suspects it.
const WELL_MS: u64 = 5_000;
/// A connect, or an answer, may take so long at least, whatever is set.
const QUICK_MIN_MS: u64 = 50;
/// Servers that are suspected at once; of one more nothing is asked.
const SUSPECTS_MAX: usize = 64;

#[derive(Debug)]
struct Suspect {
    server: SocketAddr,
    /// Questions that were not answered, one after the other.
    silent: u32,
    /// When it is asked next, or forgotten if it was well.
    due: Tick,
    is_well: bool,
}

/// The suspected servers of one cluster.
#[derive(Debug)]
pub(super) struct Probes {
    pub(super) channel: Channel,
    list: Vec<Suspect>,
    asked: Option<SocketAddr>,
    /// What the cores were not told yet.
    news: Vec<Mail>,
}

/// How a question ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// The server has said something, if only that it does not want to.
    Spoke,
    /// It has said nothing, or could not be reached.
    Silent,
}

impl Probes {
    pub(super) fn new(link: LinkId) -> Self {
        Self {
            channel: Channel::new(link),
            list: vec![],
            asked: None,
            news: vec![],
        }
    }

    /// What every core has to be sent.
    pub(super) fn news(&mut self) -> Vec<Mail> {
        std::mem::take(&mut self.news)
    }

    /// When the next timer is wanted.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        match self.asked {
            Some(_) => self.channel.poll_timeout(),
            None => self.list.iter().map(|s| s.due).min(),
        }
    }

    /// A core hears nothing of a server.
    pub(super) fn suspect(&mut self, now: Tick, server: SocketAddr) {
        let is_known = self.list.iter().any(|s| s.server == server);
        if is_known || self.list.len() >= SUSPECTS_MAX {
            return;
        }
        self.list.push(Suspect {
            server,
            silent: 0,
            due: now,
            is_well: false,
        });
    }

    /// Time has gone by.
    pub(super) fn timer(&mut self, env: Env<'_>, servers: &[SocketAddr], out: &mut Out<'_, Mail>) {
        if self.asked.is_some() {
            let quick = quick(env);
            let outcome = self.channel.timer(with(env, &quick), out);
            self.follow(env, outcome, Ended::Silent, out);
        }
        if self.asked.is_some() {
            return;
        }
        let is_over = |s: &Suspect| s.is_well && s.due <= env.now || !servers.contains(&s.server);
        self.list.retain(|s| !is_over(s));
        let Some(suspect) = self.list.iter().find(|s| s.due <= env.now) else {
            return;
        };
        self.asked = Some(suspect.server);
        let quick = quick(env);
        self.channel.begin(std::iter::once(suspect.server));
        let outcome = self.channel.ask(with(env, &quick), QUESTION.to_vec(), out);
        self.follow(env, outcome, Ended::Silent, out);
    }

    /// Bytes of the server.
    pub(super) fn bytes(&mut self, env: Env<'_>, data: &[u8], out: &mut Out<'_, Mail>) {
        let quick = quick(env);
        let outcome = self.channel.bytes(with(env, &quick), data, out);
        self.follow(env, outcome, Ended::Spoke, out);
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self, env: Env<'_>, what: &str, out: &mut Out<'_, Mail>) {
        let quick = quick(env);
        let outcome = self.channel.lost(with(env, &quick), what, out);
        self.follow(env, outcome, Ended::Silent, out);
    }

    fn follow(
        &mut self,
        env: Env<'_>,
        outcome: Option<Outcome>,
        ended: Ended,
        out: &mut Out<'_, Mail>,
    ) {
        let Some(outcome) = outcome else { return };
        let id = self.channel.id();
        let cause = match outcome {
            Outcome::Answer(_) => {
                out.list.push(Output::Close(id, Linger::Flush));
                String::new()
            }
            Outcome::Failed(cause) => cause,
        };
        self.channel = Channel::new(id);
        let Some(server) = self.asked.take() else {
            return;
        };
        let Some(suspect) = self.list.iter_mut().find(|s| s.server == server) else {
            return;
        };
        if ended == Ended::Spoke {
            if suspect.silent > 0 {
                self.news.push(Mail::Pulse(server, Pulse::Well));
                let line = format!("server={server}");
                out.list
                    .push(Output::Log(Level::Info, "server_speaks", line));
            }
            suspect.silent = 0;
            suspect.is_well = true;
            suspect.due = env.now.after_ms(WELL_MS);
            return;
        }
        suspect.silent = suspect.silent.saturating_add(1);
        let is_lost = suspect.silent >= env.settings.probes_max;
        suspect.due = match is_lost {
            true => env.now.after_ms(env.settings.probe_ms),
            false => env.now,
        };
        let pulse = match is_lost {
            true => Pulse::Lost,
            false => Pulse::Silent,
        };
        self.news.push(Mail::Pulse(server, pulse));
        if suspect.silent == 1 {
            out.count(Event::ServerSilent);
            let line = format!("server={server} cause={cause:?}");
            out.list
                .push(Output::Log(Level::Warn, "server_silent", line));
        }
    }
}

/// A question may take so long, from the connect to the answer.
fn quick(env: Env<'_>) -> Settings {
    let half_ms = (env.settings.probe_ms / 2).max(QUICK_MIN_MS);
    Settings {
        connect_timeout_ms: half_ms,
        answer_timeout_ms: half_ms,
        ..env.settings.clone()
    }
}

const fn with<'a>(env: Env<'a>, settings: &'a Settings) -> Env<'a> {
    Env { settings, ..env }
}
