//! The tables of one cluster that somebody has asked for, and the look-ups of where they are.
//!
//! One look-up runs at a time. Whatever is asked for meanwhile waits, whoever asks, and the next
//! one takes as many waiting tables of one database as go into a question. What is found goes to
//! every core. A table is looked up again when a core doubts what it was told; nobody waits for
//! that longer than for a moment, so what was known stays in use.

use super::channel::{Channel, Env, Outcome};
use super::table_batch::{Batch, Findings, Layout, Next, TABLES_MAX as BATCH_MAX};
use super::table_source::is_name;
use crate::base::{CoreId, Level, LinkId, Out, Output, Tick};
use crate::partition::Product;
use crate::routing::{Locations, Mail, Standing, TableEntry, TableKey, TableKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// How long a table that does not exist is remembered.
const ABSENT_MS: u64 = 2_000;
/// How long it is remembered that a table could not be looked up.
const UNANSWERED_MS: u64 = 1_000;
/// Tables that are remembered although they are nowhere; of more the oldest are forgotten.
const ABSENT_MAX: usize = 4_096;
/// Tables that are remembered at all; the one that nobody has asked for longest makes room.
const TABLES_MAX: usize = 65_536;
/// Leaves of all of them together.
const LEAVES_MAX: usize = 4 << 20;
/// Look-ups that wait; one more is not made, and its statements go without.
const WAITING_MAX: usize = 8_192;

/// A table that was asked for.
#[derive(Debug)]
struct Known {
    entry: Arc<TableEntry>,
    layout: Option<Layout>,
    /// When it is forgotten, if it is nowhere.
    forget: Option<Tick>,
    /// It was asked for since the hand of the clock went by.
    was_asked: bool,
    /// Its key is in the clock; that of a table that was never anywhere is not.
    is_in_clock: bool,
}

/// How often tables were asked for, and what that cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableLookups {
    /// Questions of cores.
    pub asked: u64,
    /// Of these, those that a newer entry answered at once.
    pub at_once: u64,
    /// Tables that were looked up.
    pub looked_up: u64,
    /// Look-ups, of one table or more.
    pub batches: u64,
    /// Questions to servers.
    pub questions: u64,
    /// Tables that could not be looked up.
    pub failed: u64,
    /// Entries that made room.
    pub evicted: u64,
}

/// The tables of one cluster.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) channel: Channel,
    known: BTreeMap<Arc<TableKey>, Known>,
    /// The keys, in the order in which they are looked at for eviction.
    clock: VecDeque<Arc<TableKey>>,
    leaves: usize,
    /// What is forgotten, and when.
    forgets: BTreeSet<(Tick, Arc<TableKey>)>,
    waiting: VecDeque<Arc<TableKey>>,
    is_waiting: BTreeSet<Arc<TableKey>>,
    batch: Option<Batch>,
    /// What the servers are, and on which connection they said it.
    product: Option<(u64, Product)>,
    version: u64,
    news: Vec<Arc<TableEntry>>,
    counts: TableLookups,
}

impl Tables {
    pub(super) fn new(link: LinkId) -> Self {
        Self {
            channel: Channel::new(link),
            known: BTreeMap::new(),
            clock: VecDeque::new(),
            leaves: 0,
            forgets: BTreeSet::new(),
            waiting: VecDeque::new(),
            is_waiting: BTreeSet::new(),
            batch: None,
            product: None,
            version: 0,
            news: vec![],
            counts: TableLookups::default(),
        }
    }

    /// What every core has to be sent.
    pub(super) fn news(&mut self) -> Vec<Arc<TableEntry>> {
        std::mem::take(&mut self.news)
    }

    /// What was asked for so far.
    pub(super) const fn counts(&self) -> TableLookups {
        self.counts
    }

    /// When the next timer is wanted.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        let forget = self.forgets.first().map(|(at, _)| *at);
        [forget, self.channel.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// A statement on `core` needs a table; `wrong` is the newest version that is doubted.
    pub(super) fn find(
        &mut self,
        now: Tick,
        core: CoreId,
        key: &Arc<TableKey>,
        wrong: u64,
        post: &mut Vec<(CoreId, Mail)>,
    ) {
        self.counts.asked += 1;
        if let Some(known) = self.known.get_mut(key) {
            known.was_asked = true;
            if known.entry.version > wrong {
                // That core asked before it got it, or has made room.
                self.counts.at_once += 1;
                post.push((core, Mail::Table(known.entry.clone())));
                return;
            }
        }
        if !is_name(&key.tenant) || !is_name(&key.database) || !is_name(&key.name) {
            return self.settle(now, key, Findings::Absent);
        }
        if self.waiting.len() >= WAITING_MAX {
            let cause = format!("{WAITING_MAX} look-ups wait already");
            return self.settle(now, key, Findings::Failed(cause));
        }
        if self.batch.as_ref().is_some_and(|batch| batch.has(key)) {
            return;
        }
        if self.is_waiting.insert(key.clone()) {
            self.waiting.push_back(key.clone());
        }
    }

    /// Does what is due.
    pub(super) fn timer(
        &mut self,
        env: Env<'_>,
        candidates: &dyn Fn() -> Vec<SocketAddr>,
        out: &mut Out<'_, Mail>,
    ) {
        while let Some((at, key)) = self.forgets.first()
            && *at <= env.now
        {
            let key = key.clone();
            self.forget(env.now, &key);
        }
        let outcome = self.channel.timer(env, out);
        self.follow(env, candidates, outcome, out);
    }

    /// Takes what became of a question, and asks the next one.
    pub(super) fn follow(
        &mut self,
        env: Env<'_>,
        candidates: &dyn Fn() -> Vec<SocketAddr>,
        outcome: Option<Outcome>,
        out: &mut Out<'_, Mail>,
    ) {
        let mut outcome = outcome;
        loop {
            outcome = match outcome.take() {
                Some(outcome) => self.take(env, outcome, out),
                None if self.batch.is_none() => {
                    let Some(batch) = self.next_batch() else {
                        return;
                    };
                    let question = batch.question();
                    self.batch = Some(batch);
                    self.counts.batches += 1;
                    self.channel.begin(candidates().into_iter());
                    self.ask(env, question, out)
                }
                None => return,
            };
        }
    }

    fn ask(&mut self, env: Env<'_>, sql: Vec<u8>, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        self.counts.questions += 1;
        self.channel.ask(env, sql, out)
    }

    /// As many waiting tables as go into one look-up: of the first one's database. Two spellings of
    /// a name are not asked for together: a server may take them for one.
    fn next_batch(&mut self) -> Option<Batch> {
        let first = self.waiting.front()?.clone();
        let mut taken: Vec<Arc<TableKey>> = vec![];
        let mut left = VecDeque::new();
        for key in std::mem::take(&mut self.waiting) {
            let is_of = key.tenant == first.tenant && key.database == first.database;
            let is_twin = |other: &Arc<TableKey>| other.name.eq_ignore_ascii_case(&key.name);
            if is_of && taken.len() < BATCH_MAX && !taken.iter().any(is_twin) {
                taken.push(key);
            } else {
                left.push_back(key);
            }
        }
        self.waiting = left;
        let tables = taken.into_iter().map(|key| {
            self.is_waiting.remove(&key);
            let layout = self.known.get(&key).and_then(|known| known.layout.clone());
            (key, layout)
        });
        let product = self.product.filter(|(on, _)| *on == self.channel.logins());
        Some(Batch::new(
            tables.collect(),
            product.map(|(_, product)| product),
        ))
    }

    fn take(&mut self, env: Env<'_>, outcome: Outcome, out: &mut Out<'_, Mail>) -> Option<Outcome> {
        let mut batch = self.batch.take()?;
        let taken = match outcome {
            Outcome::Answer(rows) => batch.take(rows),
            Outcome::Failed(causes) => {
                self.failed(env.now, batch, &causes, out);
                return None;
            }
        };
        if let Some(product) = batch.product() {
            self.product = Some((self.channel.logins(), product));
        }
        match taken {
            Ok(Next::Ask(sql)) => {
                self.batch = Some(batch);
                self.ask(env, sql, out)
            }
            Ok(Next::Done) => {
                self.channel.finish();
                for (key, findings) in batch.finish() {
                    self.counts.looked_up += 1;
                    self.settle(env.now, &key, findings);
                }
                None
            }
            Err(what) => {
                self.batch = Some(batch);
                self.channel.reject(env, &what, out)
            }
        }
    }

    fn failed(&mut self, now: Tick, batch: Batch, causes: &str, out: &mut Out<'_, Mail>) {
        let keys: Vec<_> = batch.keys().collect();
        let (tables, first) = (keys.len(), keys.first().map(|key| key.as_name()));
        let name = |of: fn(&crate::routing::TableName<'_>) -> Vec<u8>| {
            let bytes = first.as_ref().map(of).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (tenant, table) = (name(|n| n.tenant.to_vec()), name(|n| n.name.to_vec()));
        let line = format!("tenant={tenant:?} table={table:?} tables={tables} cause={causes:?}");
        let log = Output::Log(Level::Warn, "table_lookup_failed", line);
        out.list.push(log);
        for key in keys {
            self.settle(now, &key, Findings::Failed(causes.into()));
        }
    }

    /// A look-up is over: what it found becomes the entry.
    fn settle(&mut self, now: Tick, key: &Arc<TableKey>, findings: Findings) {
        let old = self.known.remove(key);
        if let Some(at) = old.as_ref().and_then(|old| old.forget) {
            self.forgets.remove(&(at, key.clone()));
        }
        if let Some(old) = &old {
            self.leaves -= old.entry.locations.leaves().len();
        }
        let (kind, standing, layout, rows, keep_ms) = match findings {
            Findings::Placed(layout, rows) => {
                let rows = Some(rows);
                (TableKind::Stored, Standing::Known, Some(layout), rows, None)
            }
            Findings::Everywhere => {
                let rows = Some(vec![]);
                (TableKind::Everywhere, Standing::Known, None, rows, None)
            }
            Findings::Absent => {
                let rows = Some(vec![]);
                let keep_ms = Some(ABSENT_MS);
                (TableKind::Stored, Standing::Absent, None, rows, keep_ms)
            }
            Findings::Failed(cause) => {
                self.counts.failed += 1;
                let standing = Standing::Unanswered {
                    cause: cause.into(),
                };
                let layout = old.as_ref().and_then(|old| old.layout.clone());
                let kind = old.as_ref().map_or(TableKind::Stored, |old| old.entry.kind);
                let is_known = layout.is_some() || kind == TableKind::Everywhere;
                let keep_ms = (!is_known).then_some(UNANSWERED_MS);
                (kind, standing, layout, None, keep_ms)
            }
        };
        let before = old.as_ref().map(|old| old.entry.locations.clone());
        let locations = match (rows, before) {
            (None, before) => before.unwrap_or_default(),
            (Some(rows), before) => {
                let tablets = layout.as_ref().map_or(0, |layout| layout.tablets.len());
                let new = Locations::new(tablets.max(1) as u32, &rows);
                // The same place is the same value: that is how cores see that nothing moved.
                before
                    .filter(|b| **b == new)
                    .unwrap_or_else(|| Arc::new(new))
            }
        };
        self.leaves += locations.leaves().len();
        self.version += 1;
        let entry = Arc::new(TableEntry {
            key: key.clone(),
            version: self.version,
            standing,
            published: now,
            id: layout.as_ref().map_or(0, |layout| layout.print.id),
            schema_version: layout.as_ref().map_or(0, |l| l.print.schema_version),
            kind,
            partitions: layout.as_ref().and_then(|layout| layout.partitions.clone()),
            is_dup: locations.has_dup(),
            locations,
        });
        self.news.push(entry.clone());
        let was_in_clock = old.is_some_and(|old| old.is_in_clock);
        if !was_in_clock && keep_ms.is_none() {
            self.clock.push_back(key.clone());
        }
        let forget = keep_ms.map(|ms| now.after_ms(ms));
        if let Some(at) = forget {
            self.forgets.insert((at, key.clone()));
        }
        let known = Known {
            entry,
            layout,
            forget,
            was_asked: true,
            is_in_clock: was_in_clock || keep_ms.is_none(),
        };
        self.known.insert(key.clone(), known);
        while self.forgets.len() > ABSENT_MAX
            && let Some((_, oldest)) = self.forgets.first().cloned()
        {
            self.forget(now, &oldest);
        }
        while self.known.len() > TABLES_MAX || self.leaves > LEAVES_MAX && self.known.len() > 1 {
            self.evict(now);
        }
    }

    /// Forgets the first table that was not asked for since the hand went by.
    fn evict(&mut self, now: Tick) {
        while let Some(key) = self.clock.pop_front() {
            match self.known.get_mut(&key) {
                None => {}
                Some(known) if known.was_asked => {
                    known.was_asked = false;
                    self.clock.push_back(key);
                }
                Some(_) => {
                    self.counts.evicted += 1;
                    return self.forget(now, &key);
                }
            }
        }
    }

    fn forget(&mut self, now: Tick, key: &Arc<TableKey>) {
        let Some(known) = self.known.remove(key) else {
            return;
        };
        if let Some(at) = known.forget {
            self.forgets.remove(&(at, key.clone()));
            if known.is_in_clock {
                self.clock.retain(|k| k != key);
            }
        }
        self.leaves -= known.entry.locations.leaves().len();
        self.version += 1;
        let mut entry = TableEntry::clone(&known.entry);
        entry.version = self.version;
        entry.standing = Standing::Forgotten;
        entry.published = now;
        self.news.push(Arc::new(entry));
    }
}
