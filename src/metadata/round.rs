//! The rounds of one cluster: the views are read one after the other.

use super::Settings;
use super::channel::{Channel, Env, Outcome};
use super::source::{
    self, Complaints, Listed, MERGES, Reading, Refused, SERVERS, Selection, TENANTS, ZONES,
};
use crate::base::{LinkId, Out, Rng, Tick};
use crate::link::Rows;
use crate::routing::{Mail, Server, Zone};
use std::net::SocketAddr;

/// Two early rounds are at least this far apart.
const EARLY_SPACING_MS: u64 = 1_000;
/// A cluster that has never answered is asked again after this time.
const FIRST_RETRY_MS: u64 = 2_000;

/// What a round reads, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Subject {
    Servers,
    Zones,
    Tenants,
    /// Only if the settings say so.
    Merges,
}

impl Subject {
    const fn next(self, settings: &Settings) -> Option<Self> {
        match self {
            Self::Servers => Some(Self::Zones),
            Self::Zones => Some(Self::Tenants),
            Self::Tenants if settings.asks_for_merges => Some(Self::Merges),
            Self::Tenants | Self::Merges => None,
        }
    }
}

/// Where the rounds of a cluster stand.
///
/// ```text
/// Waiting(at) ── due ──> Reading(servers) ──> zones ──> tenants [──> merges] ────────┐
///    ▲                     │ no such column: Looking, then again with those there    │
///    └── found, failed ────┴─────────────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waiting { at: Tick },
    Reading(Subject),
    Looking(Subject),
}

/// What a round found out. Parts that could not be read are `None`, and complained about.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// All servers; `None`: there are no cluster views.
    pub(super) servers: Option<Vec<Server>>,
    pub(super) zones: Option<Vec<Zone>>,
    pub(super) tenants: Option<Vec<Listed>>,
    /// Zones in a major compaction, in lower case. Not complained about: older releases do not
    /// tell, and nobody needs it.
    pub(super) merges: Vec<String>,
    pub(super) complaints: Complaints,
}

/// How a round ended.
#[derive(Debug)]
pub(super) enum Ended {
    Found(Findings),
    /// Nobody could tell the servers: what each said.
    Failed(String),
}

/// What came of an answer.
enum Step {
    /// The next question is out, or failed at once.
    Asked(Option<Outcome>),
    /// That subject is done with.
    Done(Subject),
}

/// The rounds of one cluster.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) channel: Channel,
    stage: Stage,
    last_start: Option<Tick>,
    has_answered: bool,
    selections: [Selection; 4],
    /// The connection that the selections were found out on.
    looked_at: u64,
    findings: Findings,
    /// The columns of the running subject were looked at just now.
    has_looked: bool,
}

impl Rounds {
    pub(super) fn new(link: LinkId) -> Self {
        Self {
            channel: Channel::new(link),
            stage: Stage::Waiting { at: Tick(0) },
            last_start: None,
            has_answered: false,
            selections: all_columns(),
            looked_at: 0,
            findings: Findings::default(),
            has_looked: false,
        }
    }

    /// When the next timer is wanted.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        match self.stage {
            Stage::Waiting { at } => Some(at),
            _ => self.channel.poll_timeout(),
        }
    }

    /// Starts a round now, unless one runs or ran within the last second.
    pub(super) fn hurry(&mut self, now: Tick) {
        if let (Stage::Waiting { at }, Some(start)) = (&mut self.stage, self.last_start) {
            *at = (*at).min(now.max(start.after_ms(EARLY_SPACING_MS)));
        }
    }

    /// `has_views`: the cluster has had views before. `candidates`: servers to ask.
    pub(super) fn timer(
        &mut self,
        env: Env<'_>,
        has_views: bool,
        candidates: impl Iterator<Item = SocketAddr>,
        out: &mut Out<'_, Mail>,
    ) -> Option<Ended> {
        let outcome = match self.stage {
            Stage::Waiting { at } if at <= env.now => {
                self.last_start = Some(env.now);
                self.findings = Findings::default();
                self.channel.begin(candidates);
                self.read(env, Subject::Servers, out)
            }
            Stage::Waiting { .. } => None,
            _ => self.channel.timer(env, out),
        };
        self.follow(env, has_views, outcome, out)
    }

    /// Takes what became of a question.
    pub(super) fn follow(
        &mut self,
        env: Env<'_>,
        has_views: bool,
        outcome: Option<Outcome>,
        out: &mut Out<'_, Mail>,
    ) -> Option<Ended> {
        let mut outcome = outcome?;
        loop {
            let rows = match outcome {
                Outcome::Failed(causes) => return Some(Ended::Failed(causes)),
                Outcome::Answer(rows) => rows,
            };
            let step = match self.stage {
                Stage::Waiting { .. } => return None,
                Stage::Looking(subject) => self.looked(env, subject, &rows, out),
                Stage::Reading(subject) => self.take(env, subject, has_views, &rows, out),
            };
            outcome = match step {
                Step::Asked(outcome) => outcome?,
                Step::Done(subject) => {
                    let next = subject
                        .next(env.settings)
                        .filter(|_| self.findings.servers.is_some());
                    let Some(next) = next else {
                        self.channel.finish();
                        self.has_answered = true;
                        return Some(Ended::Found(std::mem::take(&mut self.findings)));
                    };
                    self.read(env, next, out)?
                }
            };
        }
    }

    /// The round is over: the next one is due after a random time.
    pub(super) fn rest(&mut self, now: Tick, settings: &Settings, rng: &mut Rng) {
        let delay = match self.has_answered {
            true => next_delay_ms(settings, rng),
            false => FIRST_RETRY_MS,
        };
        self.stage = Stage::Waiting {
            at: now.after_ms(delay),
        };
    }

    fn selection(&mut self, subject: Subject) -> &mut Selection {
        let [servers, zones, tenants, merges] = &mut self.selections;
        match subject {
            Subject::Servers => servers,
            Subject::Zones => zones,
            Subject::Tenants => tenants,
            Subject::Merges => merges,
        }
    }

    fn read(&mut self, env: Env<'_>, subject: Subject, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        if self.stage != Stage::Looking(subject) {
            self.has_looked = false;
        }
        self.stage = Stage::Reading(subject);
        let sql = self.selection(subject).sql();
        self.channel.ask(env, sql, out)
    }

    /// Takes the answer to a look at the columns.
    fn looked(
        &mut self,
        env: Env<'_>,
        subject: Subject,
        rows: &Rows,
        out: &mut Out<'_, Mail>,
    ) -> Step {
        self.looked_at = self.channel.logins();
        match self.selection(subject).narrow(rows) {
            Ok(()) => Step::Asked(self.read(env, subject, out)),
            Err(what) => {
                self.stage = Stage::Reading(subject);
                self.useless(env, subject, what, out)
            }
        }
    }

    /// Takes an answer.
    fn take(
        &mut self,
        env: Env<'_>,
        subject: Subject,
        has_views: bool,
        rows: &Rows,
        out: &mut Out<'_, Mail>,
    ) -> Step {
        let selection = self.selection(subject).clone();
        if self.looked_at != self.channel.logins() {
            // Another connection may be to another release: what was left out is asked for again.
            self.looked_at = self.channel.logins();
            self.selections = all_columns();
            if selection.is_narrowed() {
                return Step::Asked(self.read(env, subject, out));
            }
        }
        let Findings {
            servers,
            zones,
            tenants,
            merges,
            complaints,
        } = &mut self.findings;
        let refused = match subject {
            Subject::Servers => match source::servers(&selection, rows, complaints) {
                Reading::Rows(rows) if rows.is_empty() => {
                    let bad = complaints.line().map(|l| format!(" ({l})"));
                    Refused::Error(format!("no server{}", bad.unwrap_or_default()))
                }
                Reading::Rows(rows) => {
                    *servers = Some(rows);
                    return Step::Done(subject);
                }
                Reading::Refused(Refused::NoView) if !has_views => return Step::Done(subject),
                Reading::Refused(refused) => refused,
            },
            Subject::Zones => match source::zones(&selection, rows, complaints) {
                Reading::Rows(rows) => {
                    *zones = Some(rows);
                    return Step::Done(subject);
                }
                Reading::Refused(refused) => refused,
            },
            Subject::Merges => match source::merges(&selection, rows) {
                Reading::Rows(rows) => {
                    *merges = rows;
                    return Step::Done(subject);
                }
                Reading::Refused(_) => return Step::Done(subject),
            },
            Subject::Tenants => match source::tenants(&selection, rows) {
                // There is sys at least: no list says that all tenants are gone.
                Reading::Rows(rows) if rows.is_empty() => Refused::Error("no tenant".into()),
                Reading::Rows(rows) => {
                    *tenants = Some(rows);
                    return Step::Done(subject);
                }
                Reading::Refused(refused) => refused,
            },
        };
        if refused == Refused::NoColumn && !self.has_looked {
            return Step::Asked(self.look(env, subject, out));
        }
        let what = format!("{}: {refused}", selection.name());
        self.useless(env, subject, what, out)
    }

    /// The subject cannot be read here. Without the servers another server is asked; the rest is
    /// done without.
    fn useless(
        &mut self,
        env: Env<'_>,
        subject: Subject,
        what: String,
        out: &mut Out<'_, Mail>,
    ) -> Step {
        if subject == Subject::Servers {
            self.findings.complaints = Complaints::default();
            self.selections = all_columns();
            self.has_looked = false;
            let sql = self.selection(subject).sql();
            self.channel.change_question(sql);
            return Step::Asked(self.channel.reject(env, &what, out));
        }
        self.findings.complaints.add(what);
        Step::Done(subject)
    }

    fn look(&mut self, env: Env<'_>, subject: Subject, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        self.has_looked = true;
        self.stage = Stage::Looking(subject);
        let sql = self.selection(subject).probe();
        self.channel.ask(env, sql, out)
    }
}

fn all_columns() -> [Selection; 4] {
    [&SERVERS, &ZONES, &TENANTS, &MERGES].map(Selection::all)
}

/// A delay in `[half, full)` of the interval.
fn next_delay_ms(s: &Settings, rng: &mut Rng) -> u64 {
    let half = s.interval_ms / 2;
    half + rng.below(s.interval_ms - half)
}
