//! The tenants of one cluster that somebody has asked for, and the look-ups of their servers.
//!
//! One look-up runs at a time, however many cores ask for the same tenant. What is found goes to
//! every core; it is looked up again when a server says that it is wrong, when the cluster's lists
//! say that it may be, and when it is old.

use super::channel::{Channel, Env, Outcome};
use super::source::{self, Complaints, Listed, Print};
use crate::base::{CoreId, Event, Level, LinkId, Out, Output, Rng, Tick};
use crate::routing::{Mail, Standing, Tenant, ZoneList};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

/// How long a tenant that does not exist is remembered.
const ABSENT_MS: u64 = 2_000;
/// How long it is remembered that a tenant could not be looked up.
const UNANSWERED_MS: u64 = 1_000;
/// A known tenant whose look-up failed is looked up again after this time.
const RETRY_MS: u64 = 15_000;
/// A tenant that was looked up about when the list said that it may have moved is looked up again
/// after this time. Source: C++ OBProxy, 30 to 60 s.
const RECHECK_MS: u64 = 30_000;
/// Tenants that are remembered although they do not exist; of more the oldest are forgotten.
const ABSENT_MAX: usize = 1_024;
/// Tenants that are remembered at all, and look-ups that wait; one more is not looked up.
const TENANTS_MAX: usize = 16_384;
const WAITING_MAX: usize = 1_024;

/// A tenant that was asked for.
#[derive(Debug)]
struct Known {
    entry: Arc<Tenant>,
    /// When it is forgotten, if the cluster did not name its servers.
    forget: Option<Tick>,
    /// When it is looked up again although nobody complained.
    refresh: Option<Tick>,
    /// What the cluster's list of tenants said of it last.
    print: Option<Print>,
}

/// The tenants of one cluster.
#[derive(Debug)]
pub(super) struct Tenants {
    pub(super) channel: Channel,
    cluster: Arc<str>,
    known: BTreeMap<Arc<[u8]>, Known>,
    /// What is forgotten, and when.
    forgets: BTreeSet<(Tick, Arc<[u8]>)>,
    /// Look-ups to be made; the first is under way if `is_asking`.
    waiting: VecDeque<Arc<[u8]>>,
    is_asking: bool,
    version: u64,
    /// Entries that the cores were not sent yet.
    news: Vec<Arc<Tenant>>,
    /// Look-ups made so far.
    lookups: u64,
    /// When the cluster's list of tenants was read last.
    listed_at: Tick,
    /// The primary zones of that list.
    primary_zones: BTreeMap<Box<[u8]>, ZoneList>,
}

impl Tenants {
    pub(super) fn new(link: LinkId, cluster: Arc<str>) -> Self {
        Self {
            channel: Channel::new(link),
            cluster,
            known: BTreeMap::new(),
            forgets: BTreeSet::new(),
            waiting: VecDeque::new(),
            is_asking: false,
            version: 0,
            news: vec![],
            lookups: 0,
            listed_at: Tick(0),
            primary_zones: BTreeMap::new(),
        }
    }

    /// What every core has to be sent.
    pub(super) fn news(&mut self) -> Vec<Arc<Tenant>> {
        std::mem::take(&mut self.news)
    }

    /// All entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.known.values().map(|known| &known.entry)
    }

    /// Look-ups made so far.
    pub(super) const fn lookups(&self) -> u64 {
        self.lookups
    }

    /// When the next timer is wanted.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        let forget = self.forgets.first().map(|(at, _)| *at);
        [forget, self.channel.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// A session on `core` needs a tenant; `wrong` is the newest version that was of no use.
    pub(super) fn find(
        &mut self,
        now: Tick,
        core: CoreId,
        name: &Arc<[u8]>,
        wrong: u64,
        post: &mut Vec<(CoreId, Mail)>,
    ) {
        match self.known.get(name) {
            // That core asked before it got it.
            Some(known) if known.entry.version > wrong => {
                post.push((core, Mail::Tenant(known.entry.clone())));
            }
            _ => self.want(now, name),
        }
    }

    /// Everything known is looked up again: the servers of the cluster have changed.
    pub(super) fn doubt_all(&mut self) {
        let named = |(_, known): &(&_, &Known)| known.entry.standing == Standing::Known;
        let names: Vec<_> = self
            .known
            .iter()
            .filter(named)
            .map(|(n, _)| n.clone())
            .collect();
        for name in names {
            self.look_up(name);
        }
    }

    /// A round has read the cluster's tenants. One that is not among them is forgotten, one that
    /// has changed or is old is looked up again.
    pub(super) fn listed(&mut self, now: Tick, list: Option<&[Listed]>) {
        let prints: Option<BTreeMap<&[u8], Print>> =
            list.map(|list| list.iter().map(|l| (&*l.name, l.print)).collect());
        let (mut doubted, mut gone) = (vec![], vec![]);
        for (name, known) in &mut self.known {
            let is_old = known.refresh.is_some_and(|at| at <= now);
            let print = prints.as_ref().map(|prints| prints.get(&**name).copied());
            match (&known.entry.standing, print) {
                (Standing::Absent, Some(Some(_))) | (Standing::Known, Some(None)) => {
                    gone.push(name.clone());
                }
                (Standing::Absent | Standing::Forgotten, _) => {}
                (_, print) => {
                    let print = print.flatten();
                    let before = known.print.zip(print);
                    let has_changed = before.is_some_and(|(old, new)| new.contradicts(old));
                    known.print = print.or(known.print);
                    // One that was looked up since the last list has probably been found where it
                    // is now; it is looked up again, but not at once.
                    let is_new = known.entry.published > self.listed_at;
                    if is_old || has_changed && !is_new {
                        doubted.push(name.clone());
                    } else if has_changed {
                        let soon = now.after_ms(RECHECK_MS);
                        known.refresh = Some(known.refresh.map_or(soon, |at| at.min(soon)));
                    }
                }
            }
        }
        self.listed_at = now;
        if let Some(list) = list {
            self.take_primary_zones(now, list);
        }
        for name in gone {
            self.forget(now, &name);
        }
        for name in doubted {
            self.look_up(name);
        }
    }

    /// Tenants whose primary zone has changed are told to the cores at once.
    fn take_primary_zones(&mut self, now: Tick, list: &[Listed]) {
        let zones = |t: &Listed| (t.name.as_slice().into(), ZoneList::of(&t.primary_zone));
        self.primary_zones = list.iter().map(zones).collect();
        let is_other = |(name, known): &(&Arc<[u8]>, &Known)| {
            let listed = self.primary_zones.get::<[u8]>(name);
            listed.is_some_and(|zone| *zone != known.entry.primary_zone)
        };
        let changed = self.known.iter().filter(is_other);
        let changed: Vec<_> = changed.map(|(name, _)| name.clone()).collect();
        for name in changed {
            let Some(known) = self.known.get(&name) else {
                continue;
            };
            let (servers, standing) = (known.entry.servers.clone(), known.entry.standing.clone());
            let entry = self.entry(now, &name, servers, standing);
            if let Some(known) = self.known.get_mut(&name) {
                known.entry = entry.clone();
            }
            self.news.push(entry);
        }
    }

    /// Does what is due.
    pub(super) fn timer(
        &mut self,
        env: Env<'_>,
        rng: &mut Rng,
        candidates: &dyn Fn() -> Vec<SocketAddr>,
        out: &mut Out<'_, Mail>,
    ) {
        while let Some((at, name)) = self.forgets.first()
            && *at <= env.now
        {
            let name = name.clone();
            self.forget(env.now, &name);
        }
        let outcome = self.channel.timer(env, out);
        self.follow(env, rng, candidates, outcome, out);
    }

    /// Takes what became of a question, and asks the next one.
    pub(super) fn follow(
        &mut self,
        env: Env<'_>,
        rng: &mut Rng,
        candidates: &dyn Fn() -> Vec<SocketAddr>,
        outcome: Option<Outcome>,
        out: &mut Out<'_, Mail>,
    ) {
        let mut outcome = outcome;
        loop {
            if let Some(outcome) = outcome.take() {
                self.take(env, rng, outcome, out);
            }
            if self.is_asking {
                return;
            }
            let Some(name) = self.waiting.front().cloned() else {
                return;
            };
            match source::tenant_sql(&name) {
                Some(sql) => {
                    self.is_asking = true;
                    self.lookups += 1;
                    out.count(Event::TenantLookup);
                    self.channel.begin(candidates().into_iter());
                    outcome = self.channel.ask(env, sql, out);
                }
                // No tenant can have that name.
                None => {
                    self.waiting.pop_front();
                    self.settle(env, rng, &name, Ok(vec![]));
                }
            }
        }
    }

    fn take(&mut self, env: Env<'_>, rng: &mut Rng, outcome: Outcome, out: &mut Out<'_, Mail>) {
        let found = match outcome {
            Outcome::Answer(rows) => {
                let mut complaints = Complaints::default();
                match source::tenant_servers(&rows, &mut complaints) {
                    Ok(servers) => {
                        self.channel.finish();
                        Ok(servers)
                    }
                    Err(what) => match self.channel.reject(env, &what, out) {
                        None => return,
                        Some(Outcome::Failed(causes)) => Err(causes),
                        Some(Outcome::Answer(_)) => Err(what),
                    },
                }
            }
            Outcome::Failed(causes) => Err(causes),
        };
        self.is_asking = false;
        let Some(name) = self.waiting.pop_front() else {
            return;
        };
        if let Err(cause) = &found {
            out.count(Event::TenantLookupFailed);
            let tenant = String::from_utf8_lossy(&name).into_owned();
            let line = format!("cluster={} tenant={tenant:?} cause={cause:?}", self.cluster);
            let log = Output::Log(Level::Warn, "tenant_lookup_failed", line);
            out.list.push(log);
        }
        self.settle(env, rng, &name, found);
    }

    /// A look-up is over: what it found becomes the entry.
    fn settle(
        &mut self,
        env: Env<'_>,
        rng: &mut Rng,
        name: &Arc<[u8]>,
        found: Result<Vec<SocketAddr>, String>,
    ) {
        let now = env.now;
        let old = self.known.get(name);
        let print = old.and_then(|known| known.print);
        let old = old.map(|known| known.entry.servers.clone());
        let (servers, standing, forget, refresh) = match found {
            Ok(servers) if servers.is_empty() => {
                let forget = Some(now.after_ms(ABSENT_MS));
                (Arc::new([]) as Arc<[_]>, Standing::Absent, forget, None)
            }
            Ok(servers) => {
                let valid_ms = env.settings.tenant_valid_ms;
                let half = valid_ms / 2;
                let valid = (valid_ms > 0).then(|| half + rng.below(valid_ms - half));
                let refresh = valid.map(|ms| now.after_ms(ms));
                (servers.into(), Standing::Known, None, refresh)
            }
            Err(cause) => {
                let cause = cause.into();
                let servers = old.unwrap_or_else(|| Arc::new([]));
                let forget = servers.is_empty().then(|| now.after_ms(UNANSWERED_MS));
                let refresh = Some(now.after_ms(RETRY_MS));
                (servers, Standing::Unanswered { cause }, forget, refresh)
            }
        };
        let entry = self.entry(now, name, servers, standing);
        self.news.push(entry.clone());
        self.remove(name);
        if let Some(at) = forget {
            self.forgets.insert((at, name.clone()));
        }
        let known = Known {
            entry,
            forget,
            refresh,
            print,
        };
        self.known.insert(name.clone(), known);
        while self.forgets.len() > ABSENT_MAX
            && let Some((_, oldest)) = self.forgets.first().cloned()
        {
            self.forget(now, &oldest);
        }
    }

    /// Somebody needs a tenant.
    fn want(&mut self, now: Tick, name: &Arc<[u8]>) {
        let is_new = !self.known.contains_key(name);
        let is_full = self.known.len() >= TENANTS_MAX && is_new;
        if !is_full && self.waiting.len() < WAITING_MAX {
            return self.look_up(name.clone());
        }
        let (known, waiting) = (self.known.len(), self.waiting.len());
        let cause = format!("{known} tenants are known already and {waiting} look-ups wait").into();
        // Told, not remembered.
        let told = self.entry(now, name, Arc::new([]), Standing::Unanswered { cause });
        self.news.push(told);
        if is_new {
            let forgotten = self.entry(now, name, Arc::new([]), Standing::Forgotten);
            self.news.push(forgotten);
        }
    }

    fn look_up(&mut self, name: Arc<[u8]>) {
        if !self.waiting.contains(&name) {
            self.waiting.push_back(name);
        }
    }

    fn forget(&mut self, now: Tick, name: &Arc<[u8]>) {
        self.remove(name);
        let entry = self.entry(now, name, Arc::new([]), Standing::Forgotten);
        self.news.push(entry);
    }

    fn remove(&mut self, name: &Arc<[u8]>) {
        if let Some(known) = self.known.remove(name)
            && let Some(at) = known.forget
        {
            self.forgets.remove(&(at, name.clone()));
        }
    }

    fn entry(
        &mut self,
        now: Tick,
        name: &Arc<[u8]>,
        servers: Arc<[SocketAddr]>,
        standing: Standing,
    ) -> Arc<Tenant> {
        self.version += 1;
        Arc::new(Tenant {
            cluster: self.cluster.clone(),
            name: name.clone(),
            version: self.version,
            servers,
            primary_zone: self
                .primary_zones
                .get::<[u8]>(name)
                .cloned()
                .unwrap_or_default(),
            standing,
            published: now,
        })
    }
}
