//! The tables of one cluster that somebody has asked for, and the look-ups of where they are.
//!
//! One look-up runs at a time. Whatever is asked for meanwhile waits, whoever asks, and the next
//! one takes as many waiting tables of one database as go into a question. What is found goes to
//! every core. A table is looked up again when a core doubts what it was told; nobody waits for
//! that longer than for a moment, so what was known stays in use.

use super::channel::{Channel, Env, Outcome};
use super::table_batch::{Batch, Findings, Layout, Next, TABLES_MAX as BATCH_MAX, Wanted};
use super::table_source::{TenantFacts, is_name};
use crate::base::{CoreId, Level, LinkId, Out, Output, Tick};
use crate::partition::Product;
use crate::routing::{Doubted, Locations, Mail, Standing, TableEntry, TableKey, TableKind};
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
/// Bytes of an entry besides its leaves, and of a leaf: its place, its name, its bounds. Measured
/// in about with tables of 1 and of 1,000 leaves.
const ENTRY_BYTES: u64 = 1_024;
const LEAF_BYTES: u64 = 256;
/// Leaves that were looked up by themselves since their table was; one more and all are.
const PARTS_MAX: usize = 1_024;
/// What is known of a tenant is asked for again after this time.
const TENANT_MS: u64 = 60_000;
/// Tenants of which something is known.
const TENANTS_MAX: usize = 1_024;
/// Look-ups that wait; one more is not made, and its statements go without.
const WAITING_MAX: usize = 8_192;

/// A table that was asked for.
#[derive(Debug)]
struct Known {
    entry: Arc<TableEntry>,
    layout: Option<Layout>,
    /// When it is forgotten, if it is nowhere.
    forget: Option<Tick>,
    /// The version of the last look-up of all of it, and later ones of single leaves.
    whole: u64,
    parts: Vec<(u32, u64)>,
    /// When a core asked for it last; `None`: nobody has, it was looked up in advance.
    asked: Option<Tick>,
    /// It was asked for since the hand of the clock went by.
    was_asked: bool,
    /// Its key is in the clock; that of a table that was never anywhere is not.
    is_in_clock: bool,
}

impl Known {
    /// What is known of those leaves is newer than a version.
    fn is_newer(&self, wrong: u64, doubted: &Doubted) -> bool {
        let is_leaf_newer = |leaf: &u32| {
            self.parts
                .iter()
                .any(|(l, version)| l == leaf && *version > wrong)
        };
        match doubted {
            _ if self.whole > wrong => true,
            Doubted::Whole => false,
            Doubted::Leaves(leaves) => leaves.iter().all(is_leaf_newer),
        }
    }
}

/// A look-up that waits.
#[derive(Debug)]
struct Waiting {
    doubted: Doubted,
    /// A core waits for it; else it is made because another leaf has moved.
    is_asked: bool,
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
    /// Look-ups of single leaves.
    pub of_leaves: u64,
    /// Look-ups of leaves that nobody has doubted, because another leaf of their leader has moved.
    pub followed: u64,
    /// Tables that were looked up before somebody asked for them.
    pub in_advance: u64,
    /// Tables that are known now, and their bytes, about.
    pub tables: u64,
    /// See [`TableLookups::tables`].
    pub bytes: u64,
}

/// The tables of one cluster.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) channel: Channel,
    known: BTreeMap<Arc<TableKey>, Known>,
    /// The keys, in the order in which they are looked at for eviction.
    clock: VecDeque<Arc<TableKey>>,
    bytes: u64,
    bytes_max: u64,
    /// What is forgotten, and when.
    forgets: BTreeSet<(Tick, Arc<TableKey>)>,
    waiting: VecDeque<Arc<TableKey>>,
    wanted: BTreeMap<Arc<TableKey>, Waiting>,
    /// What is looked up when nothing else waits.
    advance: VecDeque<Arc<TableKey>>,
    tenants: BTreeMap<Arc<[u8]>, (Tick, TenantFacts)>,
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
            bytes: 0,
            bytes_max: u64::MAX,
            forgets: BTreeSet::new(),
            waiting: VecDeque::new(),
            wanted: BTreeMap::new(),
            advance: VecDeque::new(),
            tenants: BTreeMap::new(),
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
    pub(super) fn counts(&self) -> TableLookups {
        TableLookups {
            tables: self.known.len() as u64,
            bytes: self.bytes,
            ..self.counts
        }
    }

    /// The tables that somebody asked for since then, and that are there.
    pub(super) fn asked_since(&self, since: Tick) -> impl Iterator<Item = &Arc<TableKey>> {
        let is_hot = move |known: &Known| {
            known.asked.is_some_and(|at| at >= since) && known.entry.standing == Standing::Known
        };
        let all = self.known.iter();
        all.filter(move |(_, known)| is_hot(known))
            .map(|(key, _)| key)
    }

    /// Looks tables up before somebody asks for them, as soon as nothing else waits.
    pub(super) fn look_up_in_advance(&mut self, keys: impl Iterator<Item = Arc<TableKey>>) {
        for key in keys {
            if !self.known.contains_key(&key) {
                self.advance.push_back(key);
            }
        }
    }

    /// When the next timer is wanted.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        let forget = self.forgets.first().map(|(at, _)| *at);
        [forget, self.channel.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// A statement on `core` needs a table; `wrong` is the newest version that is doubted, and what
    /// of it.
    pub(super) fn find(
        &mut self,
        now: Tick,
        core: CoreId,
        key: &Arc<TableKey>,
        (wrong, doubted): (u64, &Doubted),
        post: &mut Vec<(CoreId, Mail)>,
    ) {
        self.counts.asked += 1;
        let mut doubted = doubted.clone();
        if let Some(known) = self.known.get_mut(key) {
            (known.was_asked, known.asked) = (true, Some(now));
            if known.is_newer(wrong, &doubted) {
                // That core asked before it got it, or has made room.
                self.counts.at_once += 1;
                post.push((core, Mail::Table(known.entry.clone())));
                return;
            }
            // Of a core that has made room, or of too many leaves to remember.
            if wrong == 0 || known.layout.is_none() || known.parts.len() >= PARTS_MAX {
                doubted = Doubted::Whole;
            }
        } else {
            doubted = Doubted::Whole;
        }
        if !is_name(&key.tenant) || !is_name(&key.database) || !is_name(&key.name) {
            return self.settle(now, key, Findings::Absent, (&Doubted::Whole, true));
        }
        if self.waiting.len() >= WAITING_MAX {
            let cause = format!("{WAITING_MAX} look-ups wait already");
            return self.settle(now, key, Findings::Failed(cause), (&Doubted::Whole, true));
        }
        if self
            .batch
            .as_ref()
            .is_some_and(|batch| batch.covers(key, &doubted))
        {
            return;
        }
        self.want(key, doubted, true);
    }

    /// A table, or all tables of a database (the name is empty), may have another definition: what
    /// is known of it, in whatever case it was written, is looked up again, even if a look-up runs.
    pub(super) fn redefined(&mut self, named: &TableKey) {
        let is_meant = |key: &&Arc<TableKey>| {
            key.tenant == named.tenant
                && key.database.eq_ignore_ascii_case(&named.database)
                && (named.name.is_empty() || key.name.eq_ignore_ascii_case(&named.name))
        };
        let room = WAITING_MAX.saturating_sub(self.waiting.len());
        let keys: Vec<_> = self
            .known
            .keys()
            .filter(is_meant)
            .take(room)
            .cloned()
            .collect();
        for key in keys {
            self.want(&key, Doubted::Whole, true);
        }
    }

    fn want(&mut self, key: &Arc<TableKey>, doubted: Doubted, is_asked: bool) {
        if let Some(waiting) = self.wanted.get_mut(key) {
            waiting.is_asked |= is_asked;
            return waiting.doubted.add(doubted);
        }
        self.waiting.push_back(key.clone());
        let waiting = Waiting { doubted, is_asked };
        self.wanted.insert(key.clone(), waiting);
    }

    /// Does what is due.
    pub(super) fn timer(
        &mut self,
        env: Env<'_>,
        candidates: &dyn Fn() -> Vec<SocketAddr>,
        out: &mut Out<'_, Mail>,
    ) {
        self.bytes_max = env.settings.tables_bytes_max;
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
                    let Some(batch) = self.next_batch(env.now) else {
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
    fn next_batch(&mut self, now: Tick) -> Option<Batch> {
        let is_advance = self.waiting.is_empty();
        let queue = match is_advance {
            true => &mut self.advance,
            false => &mut self.waiting,
        };
        let first = queue.front()?.clone();
        let mut taken: Vec<Arc<TableKey>> = vec![];
        let mut left = VecDeque::new();
        for key in std::mem::take(queue) {
            let is_of = key.tenant == first.tenant && key.database == first.database;
            let is_twin = |other: &Arc<TableKey>| other.name.eq_ignore_ascii_case(&key.name);
            if is_of && taken.len() < BATCH_MAX && !taken.iter().any(is_twin) {
                taken.push(key);
            } else {
                left.push_back(key);
            }
        }
        *queue = left;
        if is_advance {
            // Somebody may have asked for one meanwhile.
            taken.retain(|key| !self.known.contains_key(key));
            self.counts.in_advance += taken.len() as u64;
            if taken.is_empty() {
                return self.next_batch(now);
            }
        }
        let tables = taken.into_iter().map(|key| {
            let waiting = self.wanted.remove(&key);
            let layout = self.known.get(&key).and_then(|known| known.layout.clone());
            let doubted = waiting
                .as_ref()
                .map_or(Doubted::Whole, |w| w.doubted.clone());
            if let Doubted::Leaves(leaves) = &doubted {
                match waiting.as_ref().is_some_and(|w| w.is_asked) {
                    true => self.counts.of_leaves += leaves.len() as u64,
                    false => self.counts.followed += leaves.len() as u64,
                }
            }
            Wanted {
                key,
                known: layout,
                doubted,
                is_asked: waiting.is_some_and(|w| w.is_asked),
            }
        });
        let tables = tables.collect();
        let product = self.product.filter(|(on, _)| *on == self.channel.logins());
        let tenant = self.tenants.get(&first.tenant);
        let tenant = tenant.filter(|(until, _)| now < *until);
        Some(Batch::new(
            tables,
            product.map(|(_, product)| product),
            tenant.map(|(_, facts)| *facts),
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
        if let Some((tenant, facts)) = batch.learnt_tenant() {
            if self.tenants.len() >= TENANTS_MAX {
                self.tenants.clear();
            }
            self.tenants
                .insert(tenant, (env.now.after_ms(TENANT_MS), facts));
        }
        match taken {
            Ok(Next::Ask(sql)) => {
                self.batch = Some(batch);
                self.ask(env, sql, out)
            }
            Ok(Next::Done) => {
                self.channel.finish();
                for (wanted, findings) in batch.finish() {
                    self.counts.looked_up += 1;
                    let before = self.known.get(&wanted.key).map(|k| k.entry.clone());
                    let (doubted, is_asked) = (&wanted.doubted, wanted.is_asked);
                    self.settle(env.now, &wanted.key, findings, (doubted, is_asked));
                    if let Some(before) = before {
                        self.look_up_others(&wanted, &before.locations);
                        self.look_up_spellings(&wanted.key, &before);
                    }
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
        let all: Vec<_> = batch.wanted().collect();
        let (tables, first) = (all.len(), all.first().map(|wanted| wanted.key.as_name()));
        let name = |of: fn(&crate::routing::TableName<'_>) -> Vec<u8>| {
            let bytes = first.as_ref().map(of).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (tenant, table) = (name(|n| n.tenant.to_vec()), name(|n| n.name.to_vec()));
        let line = format!("tenant={tenant:?} table={table:?} tables={tables} cause={causes:?}");
        let log = Output::Log(Level::Warn, "table_lookup_failed", line);
        out.list.push(log);
        for wanted in all {
            let findings = Findings::Failed(causes.into());
            self.settle(
                now,
                &wanted.key,
                findings,
                (&Doubted::Whole, wanted.is_asked),
            );
        }
    }

    /// A leaf has another leader: leaves that had the same one before probably have, too.
    fn look_up_others(&mut self, wanted: &Wanted, before: &Locations) {
        let (Doubted::Leaves(leaves), true) = (&wanted.doubted, wanted.is_asked) else {
            return;
        };
        let Some(known) = self.known.get(&wanted.key) else {
            return;
        };
        let after = &known.entry.locations;
        let moved = leaves
            .iter()
            .filter(|l| before.leader(**l) != after.leader(**l));
        let from: Vec<_> = moved.filter_map(|l| before.leader(*l)).collect();
        let all = 0..after.leaves().len() as u32;
        let others = all.filter(|l| {
            !leaves.contains(l)
                && after
                    .leader(*l)
                    .is_some_and(|leader| from.contains(&leader))
        });
        let others: smallvec::SmallVec<_> = others.collect();
        if !others.is_empty() {
            self.want(&wanted.key, Doubted::Leaves(others), false);
        }
    }

    /// A table has another definition: so it has in other spellings, for servers that take them
    /// for one name.
    fn look_up_spellings(&mut self, key: &Arc<TableKey>, before: &TableEntry) {
        let print = |entry: &TableEntry| (entry.id, entry.schema_version);
        let Some(new) = self.known.get(key).map(|known| print(&known.entry)) else {
            return;
        };
        if new == print(before) {
            return;
        }
        let is_spelling = |(other, known): &(&Arc<TableKey>, &Known)| {
            *other != key
                && other.tenant == key.tenant
                && other.database.eq_ignore_ascii_case(&key.database)
                && other.name.eq_ignore_ascii_case(&key.name)
                && print(&known.entry) != new
        };
        let spellings = self.known.iter().filter(is_spelling);
        let spellings: Vec<_> = spellings.map(|(other, _)| other.clone()).collect();
        for other in spellings {
            self.want(&other, Doubted::Whole, false);
        }
    }

    /// A look-up is over: what it found becomes the entry.
    fn settle(
        &mut self,
        now: Tick,
        key: &Arc<TableKey>,
        findings: Findings,
        (doubted, is_asked): (&Doubted, bool),
    ) {
        let old = self.known.remove(key);
        if let Some(at) = old.as_ref().and_then(|old| old.forget) {
            self.forgets.remove(&(at, key.clone()));
        }
        if let Some(old) = &old {
            self.bytes -= bytes_of(&old.entry);
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
                let leaves = tablets.max(1) as u32;
                let new = match (doubted, &before) {
                    (Doubted::Leaves(list), Some(before)) => before.with(list, &rows),
                    _ => Locations::new(leaves, &rows),
                };
                // The same place is the same value: that is how cores see that nothing moved.
                before
                    .filter(|b| **b == new)
                    .unwrap_or_else(|| Arc::new(new))
            }
        };
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
        self.bytes += bytes_of(&entry);
        self.news.push(entry.clone());
        let (was_in_clock, asked) = old
            .as_ref()
            .map_or((false, None), |o| (o.is_in_clock, o.asked));
        let asked = asked.or_else(|| is_asked.then_some(now));
        let (whole, parts) = match (doubted, old) {
            (Doubted::Leaves(leaves), Some(mut old)) => {
                old.parts.retain(|(leaf, _)| !leaves.contains(leaf));
                old.parts
                    .extend(leaves.iter().map(|leaf| (*leaf, self.version)));
                (old.whole, old.parts)
            }
            _ => (self.version, vec![]),
        };
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
            whole,
            parts,
            asked,
            was_asked: true,
            is_in_clock: was_in_clock || keep_ms.is_none(),
        };
        self.known.insert(key.clone(), known);
        while self.forgets.len() > ABSENT_MAX
            && let Some((_, oldest)) = self.forgets.first().cloned()
        {
            self.forget(now, &oldest);
        }
        while self.known.len() > TABLES_MAX || self.bytes > self.bytes_max && self.clock.len() > 1 {
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
        self.bytes -= bytes_of(&known.entry);
        self.version += 1;
        let mut entry = TableEntry::clone(&known.entry);
        entry.version = self.version;
        entry.standing = Standing::Forgotten;
        entry.published = now;
        self.news.push(Arc::new(entry));
    }
}

/// Bytes of an entry, about.
fn bytes_of(entry: &TableEntry) -> u64 {
    ENTRY_BYTES + entry.locations.leaves().len() as u64 * LEAF_BYTES
}
