//! Where statements of administrators are answered.

use super::command::{self, Refusal, Reply, Statement, Step};
use super::lexer::tokens;
use crate::base::{CoreId, Tick, put_lenenc_bytes};
use crate::config::Settings;
use crate::metadata::ClusterStatus;
use crate::protocol::mysql::{ErrPacket, put_packet, status};
use crate::routing::{Answer, Ask, Listed, Mail, SessionRow, Stamp};
use crate::telemetry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// How long serving cores may take to reply; what has come by then is shown.
pub(super) const GATHER_MS: u64 = 1_000;
/// Statements that wait for serving cores; one more is refused.
const WAITING_MAX: usize = 256;

/// Keeps changed settings, and puts those into effect that are not a matter of machines.
pub trait Keeper: Send {
    /// A setting gets a new value. After an `Ok` it outlasts the process, a kill -9 included.
    ///
    /// # Errors
    /// Why it could not be kept; nothing has changed then.
    fn keep(&mut self, name: &str, value: &str, settings: &Settings) -> Result<(), String>;
}

/// What the desk shows and cannot find out by itself.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Number of serving cores.
    pub serving_cores: u16,
    /// The process.
    pub pid: u32,
    /// Numbers of all cores, once they run.
    pub counters: Arc<OnceLock<Vec<Arc<telemetry::Core>>>>,
}

/// Answers administrators. On the metadata core.
pub struct Desk {
    pub(super) settings: Arc<Settings>,
    pub(super) facts: Facts,
    /// The clusters, as they were when the running statement came.
    pub(super) clusters: Vec<ClusterStatus>,
    /// When it came.
    pub(super) now: Tick,
    keeper: Box<dyn Keeper>,
    waiting: BTreeMap<u64, Waiting>,
    inquiries: u64,
    /// Letters to be posted.
    outbox: Vec<(CoreId, Mail)>,
    has_new_settings: bool,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// A statement that waits for serving cores.
#[derive(Debug)]
struct Waiting {
    statement: Statement,
    deadline: Tick,
    /// Cores that have not replied.
    cores: u16,
    rows: Vec<SessionRow>,
    stamps: Vec<Stamp>,
    finish: Finish,
}

#[derive(Debug)]
enum Finish {
    Sessions(fn(&Desk, &Statement, &[SessionRow]) -> Reply),
    Replicas(fn(&Desk, &Statement, &[Stamp]) -> Reply),
    Kill(u32),
}

impl Desk {
    /// A desk that shows and changes `settings`.
    #[must_use]
    pub fn new(settings: Settings, facts: Facts, keeper: Box<dyn Keeper>) -> Self {
        Self {
            settings: Arc::new(settings),
            facts,
            clusters: vec![],
            now: Tick(0),
            keeper,
            waiting: BTreeMap::new(),
            inquiries: 0,
            outbox: vec![],
            has_new_settings: false,
        }
    }

    /// What statements that come now are to show.
    pub(super) fn look(&mut self, now: Tick, clusters: Vec<ClusterStatus>) {
        (self.now, self.clusters) = (now, clusters);
    }

    /// Takes what belongs to it; gives other mail back.
    pub(super) fn mail(&mut self, now: Tick, mail: Mail) -> Option<Mail> {
        match mail {
            Mail::Ask(ask) => self.ask(now, ask),
            Mail::Listed { inquiry, list, .. } => {
                if let Some(waiting) = self.waiting.get_mut(&inquiry) {
                    match list {
                        Listed::Sessions(rows) => waiting.rows.extend(rows),
                        Listed::Replica(stamps) => waiting.stamps.extend(stamps),
                    }
                    waiting.cores = waiting.cores.saturating_sub(1);
                    if waiting.cores == 0 {
                        self.finish(inquiry, None);
                    }
                }
            }
            Mail::Killed { inquiry, was_found } => self.finish(inquiry, Some(was_found)),
            other => return Some(other),
        }
        None
    }

    /// When the next statement has waited long enough.
    pub(super) fn due(&self) -> Option<Tick> {
        self.waiting.values().map(|w| w.deadline).min()
    }

    /// Answers what has waited long enough.
    pub(super) fn timer(&mut self, now: Tick) {
        while let Some((&inquiry, _)) = self.waiting.iter().find(|(_, w)| w.deadline <= now) {
            self.finish(inquiry, None);
        }
    }

    /// Letters to be posted since the last call.
    pub(super) fn letters(&mut self) -> Vec<(CoreId, Mail)> {
        std::mem::take(&mut self.outbox)
    }

    /// New settings since the last call.
    pub(super) fn new_settings(&mut self) -> Option<&Settings> {
        std::mem::take(&mut self.has_new_settings).then_some(&*self.settings)
    }

    /// Keeps a changed setting and tells all cores.
    pub(super) fn change(
        &mut self,
        name: &str,
        value: &str,
        settings: Settings,
    ) -> Result<(), String> {
        self.keeper.keep(name, value, &settings)?;
        self.settings = Arc::new(settings);
        self.has_new_settings = true;
        for core in 0..self.facts.serving_cores {
            let news = Mail::Settings(self.settings.clone());
            self.outbox.push((CoreId(core), news));
        }
        Ok(())
    }

    fn ask(&mut self, now: Tick, ask: Box<Ask>) {
        let text = match std::str::from_utf8(&ask.text) {
            Ok(text) => text.to_owned(),
            Err(e) => {
                let text = format!("the statement is not UTF-8 at byte {}", e.valid_up_to());
                return self.answer(&ask, refused(1064, "42000", text));
            }
        };
        let tokens = match tokens(&text) {
            Ok(tokens) if tokens.is_empty() => {
                return self.answer(&ask, refused(1065, "42000", "Query was empty"));
            }
            Ok(tokens) => tokens,
            Err(e) => {
                let text = format!("the statement ends inside {}", e.0);
                return self.answer(&ask, refused(1064, "42000", text));
            }
        };
        if tokens.iter().any(|t| t.is_sign(';')) {
            let text = "root@proxysys takes one statement at a time";
            return self.answer(&ask, refused(1235, "0A000", text));
        }
        let found = command::find(&tokens);
        let statement = Statement {
            ask,
            text,
            tokens,
            used: found.map_or(0, |(_, used)| used),
        };
        let step = match found {
            Some((row, _)) => (row.run)(self, &statement),
            None => command::unknown(),
        };
        let (cores, finish) = match step {
            Step::Done(reply) => return self.answer(&statement.ask, reply),
            Step::Sessions(show) => (self.facts.serving_cores, Finish::Sessions(show)),
            Step::Replicas(show) => (self.facts.serving_cores, Finish::Replicas(show)),
            Step::Kill { id, .. } => (1, Finish::Kill(id)),
        };
        if self.waiting.len() == WAITING_MAX {
            let text = format!("{WAITING_MAX} statements of administrators wait already");
            return self.answer(&statement.ask, refused(1203, "42000", text));
        }
        self.inquiries += 1;
        let inquiry = self.inquiries;
        match step {
            Step::Kill { core, id } => self.outbox.push((core, Mail::Kill { inquiry, id })),
            _ => {
                let of_replica = matches!(finish, Finish::Replicas(_));
                for core in 0..cores {
                    let list = Mail::List {
                        inquiry,
                        of_replica,
                    };
                    self.outbox.push((CoreId(core), list));
                }
            }
        }
        let waiting = Waiting {
            statement,
            deadline: now.after_ms(GATHER_MS),
            cores,
            rows: vec![],
            stamps: vec![],
            finish,
        };
        self.waiting.insert(inquiry, waiting);
    }

    /// All cores have replied, or time is over.
    fn finish(&mut self, inquiry: u64, was_found: Option<bool>) {
        let Some(mut waiting) = self.waiting.remove(&inquiry) else {
            return;
        };
        waiting.rows.sort_unstable_by_key(|row| row.id);
        waiting.stamps.sort_unstable_by(|a, b| {
            (&a.cluster, &a.tenant, a.core).cmp(&(&b.cluster, &b.tenant, b.core))
        });
        let reply = match (waiting.finish, was_found) {
            (Finish::Sessions(show), _) => show(self, &waiting.statement, &waiting.rows),
            (Finish::Replicas(show), _) => show(self, &waiting.statement, &waiting.stamps),
            (Finish::Kill(_), Some(true)) => Reply::Ok(String::new()),
            (Finish::Kill(id), Some(false)) => {
                refused(1094, "HY000", format!("Unknown thread id: {id}"))
            }
            (Finish::Kill(id), None) => {
                let text = format!("the core of session {id} did not reply within 1 s [unknown]");
                refused(4012, "HY000", text)
            }
        };
        self.answer(&waiting.statement.ask, reply);
    }

    fn answer(&mut self, ask: &Ask, reply: Reply) {
        let ends = matches!(reply, Reply::LastError(_));
        let packets = packets(ask.seq, reply);
        let answer = Answer {
            key: ask.key,
            number: ask.number,
            packets,
            ends,
        };
        self.outbox.push((ask.core, Mail::Answer(Box::new(answer))));
    }
}

fn refused(code: u16, state: &'static str, text: impl Into<String>) -> Reply {
    Reply::Error(Refusal {
        code,
        state,
        text: text.into(),
    })
}

fn packets(seq: u8, reply: Reply) -> Vec<u8> {
    let mut out = vec![];
    match reply {
        Reply::Ok(text) => put_packet(&mut out, seq, |b| {
            b.extend_from_slice(&[0, 0, 0]);
            b.extend_from_slice(&status::AUTOCOMMIT.to_le_bytes());
            b.extend_from_slice(&[0, 0]);
            if !text.is_empty() {
                put_lenenc_bytes(b, text.as_bytes());
            }
        }),
        Reply::Rows(listing) => match listing.packets(seq) {
            Some(packets) => out = packets,
            None => {
                let text = "the answer is longer than 16 MiB; choose with LIKE";
                return self::packets(seq, refused(4013, "HY001", text));
            }
        },
        Reply::Error(e) | Reply::LastError(e) => ErrPacket {
            code: e.code,
            sqlstate: e.state.as_bytes(),
            message: e.text.as_bytes(),
        }
        .put(&mut out, seq),
    }
    out
}
