//! The tables that one core knows: its part of the location cache.
//!
//! A statement finds an entry here, or the core asks the metadata core once and every statement
//! that needs the entry waits for the same answer. An entry that is doubted stays in use: it is
//! asked for again, and a statement waits for the answer for a moment only.

use super::by_name::ByName;
use super::{Doubted, Mail, Standing, TableEntry, TableKey, TableName, TableRow, TableRules};
use crate::base::{CoreId, Tick};
use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// A question without an answer for so long is asked again.
const LOST_MS: u64 = 5_000;
/// An entry that was found the same again, and is doubted again, is asked for after this time,
/// which doubles up to [`TableRules::pause_max_ms`].
const PAUSE_MS: u64 = 50;
/// A server says that it is no leader: an election runs, and an answer at once would be the old
/// one.
const ELECTION_MS: u64 = 200;
/// Tables of one core; the one that nobody has used for the longest time makes room.
const TABLES_MAX: usize = 16_384;
/// Leaves of all of them together.
const LEAVES_MAX: usize = 1 << 20;
/// Questions of one core in a second.
const QUESTIONS_MAX: u64 = 500;

/// What a core knows of a table.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// It can be used.
    Fresh(&'a Arc<TableEntry>),
    /// It has to be asked for ([`Tables::ask`]); meanwhile there is this, if there is anything.
    Due(Option<&'a Arc<TableEntry>>),
    /// It was asked for.
    Asked {
        /// What was known before.
        stale: Option<&'a Arc<TableEntry>>,
        /// No statement waits longer.
        until: Tick,
    },
}

/// How an entry came to a core that asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// The metadata core knew it.
    Known,
    /// A server was asked.
    LookedUp,
}

/// What a core's table was good for, in numbers.
#[derive(Clone, Debug, Default)]
pub struct TableCounts {
    /// Statements that found a fresh entry on their core.
    pub fresh: Cell<u64>,
    /// Statements that found a doubted one.
    pub stale: Cell<u64>,
    /// Statements that found none.
    pub missing: Cell<u64>,
    /// Questions to the metadata core.
    pub asked: u64,
    /// Questions that were not asked: one was too short a time ago, or too many were.
    pub held_back: u64,
    /// Answers.
    pub installed: u64,
    /// Answers that were older than what was there.
    pub outdated: u64,
    /// Entries that made room.
    pub evicted: u64,
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

impl Place {
    fn used(&self) {
        self.was_used.set(true);
        self.uses.set(self.uses.get().wrapping_add(1));
    }
}

/// An entry, and what is to become of it.
#[derive(Debug)]
struct Place {
    entry: Option<Arc<TableEntry>>,
    /// When it was installed.
    installed: Tick,
    /// From then on it is not fresh: never, if it is not doubted.
    due: Tick,
    /// When it was asked for; no answer has come since if `is_asked`.
    asked: Tick,
    is_asked: bool,
    pause_ms: u64,
    /// What of it is doubted; `None`: nothing.
    doubted: Option<Doubted>,
    /// Statements that went by it since somebody asked for that ([`Tables::take_uses`]).
    uses: Cell<u32>,
    /// Used since the hand of the clock went by.
    was_used: Cell<bool>,
}

/// All tables that one core knows.
#[derive(Debug)]
pub struct Tables {
    places: ByName<Place>,
    /// The keys, in the order in which they are looked at for eviction.
    clock: VecDeque<Arc<TableKey>>,
    leaves: usize,
    tables_max: usize,
    rules: TableRules,
    /// The second that questions are counted in.
    second: u64,
    questions: u64,
    counts: TableCounts,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            places: ByName::default(),
            clock: VecDeque::new(),
            leaves: 0,
            tables_max: TABLES_MAX,
            rules: TableRules::default(),
            second: 0,
            questions: 0,
            counts: TableCounts::default(),
        }
    }
}

/// A number that looks like chance.
const fn mixed(version: u64) -> u64 {
    version.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

fn leaf_count(entry: Option<&Arc<TableEntry>>) -> usize {
    entry.map_or(0, |entry| entry.locations.leaves().len())
}

impl Tables {
    /// The settings have changed.
    pub const fn set_rules(&mut self, rules: TableRules) {
        self.rules = rules;
    }

    /// What is known of a table. The one look-up of a statement's way.
    #[must_use]
    pub fn find(&self, now: Tick, name: &TableName<'_>) -> Found<'_> {
        let Some(place) = self.places.get(name) else {
            count(&self.counts.missing);
            return Found::Due(None);
        };
        place.used();
        let found = self.found(now, place);
        count(match found {
            Found::Fresh(_) => &self.counts.fresh,
            Found::Due(Some(_)) | Found::Asked { stale: Some(_), .. } => &self.counts.stale,
            Found::Due(None) | Found::Asked { stale: None, .. } => &self.counts.missing,
        });
        found
    }

    /// The same for who only wants to know: it is no use, and is not counted.
    #[must_use]
    pub fn peek(&self, now: Tick, name: &TableName<'_>) -> Found<'_> {
        let place = self.places.get(name);
        place.map_or(Found::Due(None), |place| self.found(now, place))
    }

    /// How the entry came, if it came later than `since`; else `None`.
    #[must_use]
    pub fn came(&self, name: &TableName<'_>, since: Tick) -> Option<Came> {
        let place = self.places.get(name)?;
        let entry = place.entry.as_ref()?;
        (place.installed > since).then_some(match entry.published < place.asked {
            true => Came::Known,
            false => Came::LookedUp,
        })
    }

    fn found<'p>(&self, now: Tick, place: &'p Place) -> Found<'p> {
        if now < place.due
            && let Some(entry) = &place.entry
        {
            return Found::Fresh(entry);
        }
        let stale = place.entry.as_ref();
        let wait_ms = match stale {
            Some(_) => self.rules.stale_wait_ms,
            None => self.rules.cold_wait_ms,
        };
        if place.is_asked && now < place.asked.after_ms(LOST_MS) {
            let until = place.asked.after_ms(wait_ms);
            return Found::Asked { stale, until };
        }
        Found::Due(stale)
    }

    /// The entry, if it is fresh; a short way that counts nothing else.
    #[inline(always)]
    #[must_use]
    pub fn fresh(&self, now: Tick, name: &TableName<'_>) -> Option<&TableEntry> {
        let place = self.places.get(name)?;
        let entry = place.entry.as_ref().filter(|_| now < place.due)?;
        place.used();
        count(&self.counts.fresh);
        Some(entry)
    }

    /// Asks for a table that is due: the mail for the metadata core, and until when a statement
    /// waits for the answer. Without a mail it was asked for already, or too much is asked.
    pub fn ask(&mut self, now: Tick, core: CoreId, name: &TableName<'_>) -> (Option<Mail>, Tick) {
        let known = self.places.get(name).and_then(|place| place.entry.as_ref());
        let (wait_ms, wrong) = match known {
            Some(entry) => (self.rules.stale_wait_ms, entry.version),
            None => (self.rules.cold_wait_ms, 0),
        };
        if let Some(place) = self.places.get(name)
            && place.is_asked
            && now < place.asked.after_ms(LOST_MS)
        {
            return (None, place.asked.after_ms(wait_ms));
        }
        if !self.may_ask(now) {
            return (None, now);
        }
        let key = self.place(now, name);
        let mut doubted = Doubted::Whole;
        if let Some(place) = self.places.get_mut(&key.as_name()) {
            (place.asked, place.is_asked) = (now, true);
            doubted = place.doubted.clone().unwrap_or(doubted);
        }
        self.counts.asked += 1;
        let mail = Mail::FindTable {
            core,
            key,
            wrong,
            doubted,
        };
        (Some(mail), now.after_ms(wait_ms))
    }

    /// A statement that went by this version of an entry was not where it should have been: the
    /// entry is asked for again at once, or after a pause if it was just found the same. True: it
    /// is due now. Later versions are not touched.
    pub fn doubt(&mut self, now: Tick, name: &TableName<'_>, version: u64) -> bool {
        self.doubt_from(now, name, version, Doubted::Whole, 0)
    }

    /// As [`Tables::doubt`], when the statement went by one leaf only: the others are not looked up
    /// again unless this one has moved.
    pub fn doubt_leaf(&mut self, now: Tick, name: &TableName<'_>, version: u64, leaf: u32) -> bool {
        self.doubt_from(now, name, version, Doubted::leaf(leaf), 0)
    }

    /// As [`Tables::doubt`], after a leader said that it is none any more.
    pub fn doubt_soon(&mut self, now: Tick, name: &TableName<'_>, version: u64) -> bool {
        self.doubt_from(now, name, version, Doubted::Whole, ELECTION_MS)
    }

    fn doubt_from(
        &mut self,
        now: Tick,
        name: &TableName<'_>,
        version: u64,
        doubted: Doubted,
        wait_ms: u64,
    ) -> bool {
        let Some(place) = self.places.get_mut(name) else {
            return false;
        };
        let known = place.entry.as_ref().map(|entry| entry.version);
        if known != Some(version) || place.is_asked {
            return false;
        }
        match &mut place.doubted {
            Some(before) => before.add(doubted),
            None => {
                let pause = place.asked.after_ms(place.pause_ms);
                place.due = now.after_ms(wait_ms).max(pause);
                place.doubted = Some(doubted);
            }
        }
        let is_due = place.due <= now;
        self.counts.held_back += u64::from(!is_due);
        is_due
    }

    /// Its definition may be changing: it is asked for again when it is used next.
    pub fn redefine(&mut self, now: Tick, name: &TableName<'_>) {
        if let Some(place) = self.places.get_mut(name)
            && !place.is_asked
        {
            place.due = place.due.min(now);
            place.doubted = Some(Doubted::Whole);
        }
    }

    /// Nothing that was known of a server's leaves holds any more: it is gone, or does not answer.
    /// Each entry is asked for when it is used next.
    pub fn doubt_server(&mut self, now: Tick, server: SocketAddr) {
        self.doubt_where(now, |entry| entry.locations.servers().contains(&server));
    }

    /// A server said that a tenant is not there.
    pub fn doubt_tenant(&mut self, now: Tick, cluster: &str, tenant: &[u8]) {
        self.doubt_where(now, |entry| {
            *entry.key.cluster == *cluster && *entry.key.tenant == *tenant
        });
    }

    fn doubt_where(&mut self, now: Tick, is_meant: impl Fn(&TableEntry) -> bool) {
        for place in self.places.values_mut() {
            if place.entry.as_ref().is_some_and(|entry| is_meant(entry)) {
                let pause = place.asked.after_ms(place.pause_ms);
                place.due = place.due.min(now.max(pause));
                place.doubted = Some(Doubted::Whole);
            }
        }
    }

    /// A statement that went by this version was where it should have been.
    pub fn confirm(&mut self, name: &TableName<'_>, version: u64) {
        if let Some(place) = self.places.get_mut(name)
            && let Some(entry) = &place.entry
            && entry.version == version
        {
            place.pause_ms = 0;
        }
    }

    /// Installs an entry; false if it is older than what is there.
    pub fn install(&mut self, now: Tick, entry: Arc<TableEntry>) -> bool {
        let known = self
            .places
            .get(&entry.key.as_name())
            .and_then(|p| p.entry.as_ref());
        if known.is_some_and(|known| known.version >= entry.version) {
            self.counts.outdated += 1;
            return false;
        }
        self.counts.installed += 1;
        if entry.standing == Standing::Forgotten {
            self.remove(&entry.key);
            return true;
        }
        let is_same = known.is_some_and(|known| Arc::ptr_eq(&known.locations, &entry.locations));
        let before = leaf_count(known);
        self.leaves = self.leaves - before + leaf_count(Some(&entry));
        let key = self.place(now, &entry.key.as_name());
        let rules = self.rules;
        if let Some(place) = self.places.get_mut(&key.as_name()) {
            place.pause_ms = match is_same {
                true => (place.pause_ms * 2).max(PAUSE_MS).min(rules.pause_max_ms),
                false => 0,
            };
            let half = rules.expire_ms / 2;
            let is_unanswered = matches!(entry.standing, Standing::Unanswered { .. });
            (place.due, place.doubted) = match half {
                // Nobody has said that it still holds.
                _ if is_unanswered && entry.is_located() => {
                    let pause_ms = place.pause_ms.max(PAUSE_MS);
                    (now.after_ms(pause_ms), Some(Doubted::Whole))
                }
                0 => (Tick(u64::MAX), None),
                // Entries of one moment do not grow old in one moment.
                half => (now.after_ms(half + mixed(entry.version) % half), None),
            };
            place.entry = Some(entry);
            place.installed = now;
            place.is_asked = false;
        }
        while self.leaves > LEAVES_MAX && self.clock.len() > 1 {
            self.evict();
        }
        true
    }

    /// All tables that this core knows something of.
    pub(super) fn rows(&self, core: CoreId) -> Vec<TableRow> {
        let row = |place: &Place| {
            Some(TableRow {
                core,
                entry: place.entry.clone()?,
                installed: place.installed,
                is_doubted: place.doubted.is_some(),
                is_asked: place.is_asked,
                uses: place.uses.get(),
            })
        };
        self.places
            .iter()
            .filter_map(|(_, place)| row(place))
            .collect()
    }

    /// The tables that statements went by since the last call, and how many did.
    pub fn take_uses(&mut self) -> Vec<(Arc<TableKey>, u32)> {
        let used = self.places.iter().filter(|(_, place)| place.uses.get() > 0);
        used.map(|(key, place)| (key.clone(), place.uses.take()))
            .collect()
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> &TableCounts {
        &self.counts
    }

    /// The key of a place, which is made if there is none.
    fn place(&mut self, now: Tick, name: &TableName<'_>) -> Arc<TableKey> {
        if let Some(key) = self.places.key(name) {
            return key.clone();
        }
        while self.clock.len() >= self.tables_max {
            self.evict();
        }
        let key = Arc::new(name.to_key());
        let place = Place {
            entry: None,
            installed: now,
            due: Tick(u64::MAX),
            asked: Tick(0),
            is_asked: false,
            pause_ms: 0,
            doubted: None,
            uses: Cell::new(0),
            was_used: Cell::new(true),
        };
        self.places.insert(key.clone(), place);
        self.clock.push_back(key.clone());
        key
    }

    /// Removes the first table that was not used since the hand went by it, or the first key whose
    /// table is gone already.
    fn evict(&mut self) {
        while let Some(key) = self.clock.pop_front() {
            let Some(place) = self.places.get(&key.as_name()) else {
                return;
            };
            if place.was_used.replace(false) {
                self.clock.push_back(key);
                continue;
            }
            self.leaves -= leaf_count(place.entry.as_ref());
            self.places.remove(&key.as_name());
            self.counts.evicted += 1;
            return;
        }
    }

    fn remove(&mut self, key: &TableKey) {
        if let Some(place) = self.places.remove(&key.as_name()) {
            // Its key is left in the clock: the hand takes it out.
            self.leaves -= leaf_count(place.entry.as_ref());
        }
    }

    /// One more question fits into this second.
    fn may_ask(&mut self, now: Tick) -> bool {
        let second = now.0 / 1_000_000;
        if second != self.second {
            (self.second, self.questions) = (second, 0);
        }
        self.questions += 1;
        let may = self.questions <= QUESTIONS_MAX;
        self.counts.held_back += u64::from(!may);
        may
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
