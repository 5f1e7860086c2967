//! Where statements of administrators are answered.

use super::command::{self, Refusal, Reply, Statement, Step};
use super::hot::{Beat, Hot};
use super::lexer::tokens;
use crate::base::{CoreId, Tick, put_lenenc_bytes};
use crate::config::Settings;
use crate::metadata::ClusterStatus;
use crate::protocol::mysql::{ErrPacket, put_packet, status};
use crate::routing::{
    Answer, Ask, BlockRow, Fate, KillBack, KillOrder, Killer, Listed, Mail, RouteCounts,
    SessionRow, Stamp, Subject, TableKey, TableRow,
};
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

    /// The names of used tables, for the next start: replaces what was kept before.
    ///
    /// # Errors
    /// Why they could not be kept.
    fn keep_locations(&mut self, snapshot: &[u8]) -> Result<(), String>;
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
    hot: Hot,
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
    heard: Heard,
    finish: Finish,
}

/// What cores have said so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) sessions: Vec<SessionRow>,
    pub(super) stamps: Vec<Stamp>,
    pub(super) tables: Vec<TableRow>,
    pub(super) counts: Vec<RouteCounts>,
    pub(super) blocks: Vec<BlockRow>,
}

impl Heard {
    fn take(&mut self, list: Listed) {
        match list {
            Listed::Sessions(rows) => self.sessions.extend(rows),
            Listed::Replica(stamps) => self.stamps.extend(stamps),
            Listed::Tables(rows) => self.tables.extend(rows),
            Listed::RouteCounts(counts) => self.counts.push(*counts),
            Listed::Blocks(rows) => self.blocks.extend(rows),
            Listed::TableUses(_) => {}
        }
    }
}

#[derive(Debug)]
enum Finish {
    Show(fn(&Desk, &Statement, &Heard) -> Reply),
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
            hot: Hot::default(),
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
                if let Listed::TableUses(uses) = list {
                    self.hot.take(inquiry, uses);
                } else if let Some(waiting) = self.waiting.get_mut(&inquiry) {
                    waiting.heard.take(list);
                    waiting.cores = waiting.cores.saturating_sub(1);
                    if waiting.cores == 0 {
                        self.finish(inquiry, None);
                    }
                }
            }
            Mail::Killed(report) => {
                if let KillBack::Desk(inquiry) = report.back {
                    self.finish(inquiry, Some(report.fate));
                }
            }
            other => return Some(other),
        }
        None
    }

    /// When the next statement has waited long enough, or used tables are to be asked for.
    pub(super) fn due(&self) -> Option<Tick> {
        let waiting = self.waiting.values().map(|w| w.deadline).min();
        let hot = self.settings.location_prefetch.then(|| self.hot.due());
        waiting.into_iter().chain(hot).min()
    }

    /// Answers what has waited long enough; asks for used tables. True: the snapshot is to be
    /// written ([`Desk::keep_hot`]).
    pub(super) fn timer(&mut self, now: Tick) -> bool {
        while let Some((&inquiry, _)) = self.waiting.iter().find(|(_, w)| w.deadline <= now) {
            self.finish(inquiry, None);
        }
        if !self.settings.location_prefetch {
            return false;
        }
        match self.hot.timer(now, self.facts.serving_cores) {
            Beat::Ask => {
                self.inquiries += 1;
                self.hot.asked(self.inquiries);
                self.list(self.inquiries, Subject::TableUses);
                false
            }
            beat => beat == Beat::Write,
        }
    }

    /// Writes the snapshot: what cores have told of used tables, and these.
    ///
    /// # Errors
    /// Why it cannot be written; each reason once.
    pub(super) fn keep_hot<'k>(
        &mut self,
        now: Tick,
        asked_since: impl Fn(Tick) -> Vec<&'k Arc<TableKey>>,
    ) -> Result<(), String> {
        if !self.settings.location_prefetch {
            return Ok(());
        }
        let more = asked_since(self.hot.written());
        let Some(text) = self.hot.snapshot(now, more) else {
            return Ok(());
        };
        self.hot.told(self.keeper.keep_locations(&text))
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
            Step::Gather(_, show) => (self.facts.serving_cores, Finish::Show(show)),
            Step::Kill { id, .. } => (1, Finish::Kill(id)),
        };
        if self.waiting.len() == WAITING_MAX {
            let text = format!("{WAITING_MAX} statements of administrators wait already");
            return self.answer(&statement.ask, refused(1203, "42000", text));
        }
        self.inquiries += 1;
        let inquiry = self.inquiries;
        match step {
            Step::Kill { core, id } => {
                let order = KillOrder {
                    id,
                    is_query: false,
                    by: Killer::Administrator,
                    back: KillBack::Desk(inquiry),
                };
                self.outbox.push((core, Mail::Kill(Box::new(order))));
            }
            Step::Gather(of, _) => self.list(inquiry, of),
            Step::Done(_) => {}
        }
        let waiting = Waiting {
            statement,
            deadline: now.after_ms(GATHER_MS),
            cores,
            heard: Heard::default(),
            finish,
        };
        self.waiting.insert(inquiry, waiting);
    }

    /// Asks all cores.
    fn list(&mut self, inquiry: u64, of: Subject) {
        let cores = 0..self.facts.serving_cores;
        let letters = cores.map(|core| (CoreId(core), Mail::List { inquiry, of }));
        self.outbox.extend(letters);
    }

    /// All cores have replied, or time is over.
    fn finish(&mut self, inquiry: u64, fate: Option<Fate>) {
        let Some(mut waiting) = self.waiting.remove(&inquiry) else {
            return;
        };
        let heard = &mut waiting.heard;
        heard.sessions.sort_unstable_by_key(|row| row.id);
        heard.stamps.sort_unstable_by(|a, b| {
            (&a.cluster, &a.tenant, a.core).cmp(&(&b.cluster, &b.tenant, b.core))
        });
        let reply = match (waiting.finish, fate) {
            (Finish::Show(show), _) => show(self, &waiting.statement, heard),
            (Finish::Kill(_), Some(Fate::Done)) => Reply::Ok(String::new()),
            (Finish::Kill(id), Some(_)) => {
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
