//! One cluster on the metadata core: its rounds, its tenants, and what cores are told of it.

use super::channel::{Channel, Env};
use super::probes::Probes;
use super::round::{Ended, Findings, Rounds};
use super::tables::{TableLookups, Tables};
use super::tenants::Tenants;
use super::{ClusterConfig, Settings};
use crate::base::{CoreId, Event, Level, Linger, LinkId, Out, Output, Rng, Tick};
use crate::routing::{
    Cluster, Doubted, Health, Mail, SYS, Server, ServerState, TableKey, Tenant, Zone, ZoneList,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// What an administrator sees of a cluster besides its entry.
#[derive(Clone, Debug)]
pub struct ClusterStatus {
    /// What the cores were told.
    pub cluster: Arc<Cluster>,
    /// The start-up list.
    pub root_servers: Arc<[SocketAddr]>,
    /// The tenants that somebody asked for.
    pub tenants: Vec<Arc<Tenant>>,
    /// When the servers were last confirmed by a round.
    pub confirmed: Option<Tick>,
    /// Rounds so far, and those of them that failed.
    pub rounds: u64,
    /// Of these, the failed ones.
    pub rounds_failed: u64,
    /// Look-ups of tenants so far.
    pub tenant_lookups: u64,
    /// What the look-ups of tables were.
    pub table_lookups: TableLookups,
}

/// What a call may use besides the cluster.
pub(super) struct Tools<'a> {
    pub(super) now: Tick,
    pub(super) settings: &'a Settings,
    pub(super) rng: &'a mut Rng,
}

/// One configured cluster.
#[derive(Debug)]
pub(super) struct ClusterKeeper {
    config: ClusterConfig,
    /// What was published last.
    published: Arc<Cluster>,
    /// The cores were not sent it yet.
    has_news: bool,
    confirmed: Option<Tick>,
    rounds: Rounds,
    tenants: Tenants,
    tables: Tables,
    probes: Probes,
    /// Tables that an earlier run has used, of tenants that nobody has asked for yet.
    remembered: BTreeMap<Arc<[u8]>, Vec<Arc<TableKey>>>,
    rounds_made: u64,
    rounds_failed: u64,
}

impl ClusterKeeper {
    /// `links`: ids of its own connections, for rounds, for look-ups of tenants and tables, and for
    /// probes.
    pub(super) fn new(config: ClusterConfig, links: [LinkId; 4]) -> Self {
        let [rounds, tenants, tables, probes] = links;
        let name: Arc<str> = config.name.as_str().into();
        let published = Arc::new(Cluster {
            name: name.clone(),
            is_named: config.is_named,
            version: 1,
            servers: start_up(&config),
            zones: Arc::new([]),
            primary_zone: ZoneList::default(),
            has_views: false,
            health: Health::Building,
            published: Tick(0),
        });
        Self {
            config,
            published,
            has_news: true,
            confirmed: None,
            rounds: Rounds::new(rounds),
            tenants: Tenants::new(tenants, name),
            tables: Tables::new(tables),
            probes: Probes::new(probes),
            remembered: BTreeMap::new(),
            rounds_made: 0,
            rounds_failed: 0,
        }
    }

    /// The cores are told of it for the first time.
    pub(super) fn start(&mut self, now: Tick) {
        Arc::make_mut(&mut self.published).published = now;
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn status(&self) -> ClusterStatus {
        ClusterStatus {
            cluster: self.published.clone(),
            root_servers: self.config.root_servers.clone().into(),
            tenants: self.tenants.entries().cloned().collect(),
            confirmed: self.confirmed,
            rounds: self.rounds_made,
            rounds_failed: self.rounds_failed,
            tenant_lookups: self.tenants.lookups(),
            table_lookups: self.tables.counts(),
        }
    }

    /// What every core has to be sent, in order.
    pub(super) fn news(&mut self) -> Vec<Mail> {
        let cluster = std::mem::take(&mut self.has_news).then(|| self.published.clone());
        let tenants = self.tenants.news().into_iter().map(Mail::Tenant);
        let tables = self.tables.news().into_iter().map(Mail::Table);
        cluster
            .map(Mail::Cluster)
            .into_iter()
            .chain(tenants)
            .chain(tables)
            .chain(self.probes.news())
            .collect()
    }

    /// When this cluster wants its next timer.
    pub(super) fn poll_timeout(&self) -> Option<Tick> {
        let look_ups = self.tenants.poll_timeout().into_iter();
        let look_ups = look_ups.chain(self.tables.poll_timeout());
        let look_ups = look_ups.chain(self.probes.poll_timeout());
        look_ups.chain(self.rounds.poll_timeout()).min()
    }

    /// Starts a round now, unless one runs or ran within the last second.
    pub(super) fn hurry(&mut self, now: Tick) {
        self.rounds.hurry(now);
    }

    /// A core hears nothing of a server.
    pub(super) fn suspect(&mut self, now: Tick, server: SocketAddr) {
        self.probes.suspect(now, server);
    }

    /// A session on `core` needs a tenant; `wrong` is the newest version that was of no use.
    pub(super) fn find_tenant(
        &mut self,
        now: Tick,
        core: CoreId,
        name: &Arc<[u8]>,
        wrong: u64,
        post: &mut Vec<(CoreId, Mail)>,
    ) {
        self.tenants.find(now, core, name, wrong, post);
        self.look_up_remembered(name);
    }

    /// A table that an earlier run has used.
    pub(super) fn remember(&mut self, key: Arc<TableKey>) {
        let of_tenant = self.remembered.entry(key.tenant.clone()).or_default();
        of_tenant.push(key);
    }

    /// The tables that somebody asked for since then.
    pub(super) fn asked_since(&self, since: Tick) -> impl Iterator<Item = &Arc<TableKey>> {
        self.tables.asked_since(since)
    }

    /// A tenant is used for the first time: so will its tables be.
    fn look_up_remembered(&mut self, tenant: &[u8]) {
        if let Some(keys) = self.remembered.remove(tenant) {
            self.tables.look_up_in_advance(keys.into_iter());
        }
    }

    /// A statement on `core` needs a table; `wrong` is the newest version that is doubted, and what
    /// of it.
    pub(super) fn find_table(
        &mut self,
        now: Tick,
        core: CoreId,
        key: &Arc<TableKey>,
        wrong: (u64, &Doubted),
        post: &mut Vec<(CoreId, Mail)>,
    ) {
        self.tables.find(now, core, key, wrong, post);
    }

    /// A table, or all tables of a database (the name is empty), may have another definition.
    pub(super) fn redefined(&mut self, key: &TableKey) {
        self.tables.redefined(key);
    }

    pub(super) fn timer(&mut self, tools: &mut Tools<'_>, out: &mut Out<'_, Mail>) {
        let env = env(&self.config, tools);
        let candidates = candidates(&self.published, &self.config);
        let has_views = self.published.has_views;
        let ended = self
            .rounds
            .timer(env, has_views, candidates.into_iter(), out);
        self.round_over(ended, tools, out);
        self.look_up(tools, out);
        self.probe(tools, out);
    }

    /// Asks suspected servers.
    fn probe(&mut self, tools: &Tools<'_>, out: &mut Out<'_, Mail>) {
        let servers = self.published.servers.iter().map(|s| s.address);
        let servers: Vec<_> = servers.collect();
        self.probes.timer(env(&self.config, tools), &servers, out);
    }

    /// Whose connection `id` is.
    fn channel(&mut self, id: LinkId) -> &mut Channel {
        let all = [
            &mut self.rounds.channel,
            &mut self.tables.channel,
            &mut self.tenants.channel,
            &mut self.probes.channel,
        ];
        let [rounds, tables, tenants, probes] = all;
        match id {
            id if id == rounds.id() => rounds,
            id if id == tables.id() => tables,
            id if id == probes.id() => probes,
            _ => tenants,
        }
    }

    pub(super) fn connected(&mut self, id: LinkId) {
        self.channel(id).connected();
    }

    /// Something happened on a connection.
    pub(super) fn link(
        &mut self,
        id: LinkId,
        happened: Happened<'_>,
        tools: &mut Tools<'_>,
        out: &mut Out<'_, Mail>,
    ) {
        let env = env(&self.config, tools);
        if id == self.probes.channel.id() {
            match happened {
                Happened::Bytes(data) => self.probes.bytes(env, data, out),
                Happened::Lost(what) => self.probes.lost(env, what, out),
                Happened::Broken(what) => {
                    out.list.push(Output::Close(id, Linger::Abort));
                    self.probes.lost(env, what, out);
                }
            }
            return self.probe(tools, out);
        }
        let is_round = id == self.rounds.channel.id();
        let is_tables = id == self.tables.channel.id();
        let channel = match (is_round, is_tables) {
            (true, _) => &mut self.rounds.channel,
            (_, true) => &mut self.tables.channel,
            _ => &mut self.tenants.channel,
        };
        let outcome = match happened {
            Happened::Bytes(data) => channel.bytes(env, data, out),
            Happened::Lost(what) => channel.lost(env, what, out),
            Happened::Broken(what) => {
                out.list.push(Output::Close(id, Linger::Abort));
                channel.lost(env, what, out)
            }
        };
        if is_round {
            let has_views = self.published.has_views;
            let ended = self.rounds.follow(env, has_views, outcome, out);
            self.round_over(ended, tools, out);
        } else if is_tables {
            let list = || candidates(&self.published, &self.config);
            self.tables.follow(env, &list, outcome, out);
        } else {
            let list = || candidates(&self.published, &self.config);
            self.tenants.follow(env, tools.rng, &list, outcome, out);
        }
        self.look_up(tools, out);
    }

    /// Makes what look-ups wait and forgets what is due.
    fn look_up(&mut self, tools: &mut Tools<'_>, out: &mut Out<'_, Mail>) {
        let env = env(&self.config, tools);
        let list = || candidates(&self.published, &self.config);
        self.tenants.timer(env, tools.rng, &list, out);
        self.tables.timer(env, &list, out);
    }

    fn round_over(&mut self, ended: Option<Ended>, tools: &mut Tools<'_>, out: &mut Out<'_, Mail>) {
        let Some(ended) = ended else { return };
        self.rounds_made += 1;
        match ended {
            Ended::Found(findings) => self.found(findings, tools, out),
            Ended::Failed(cause) => self.failed(&cause, tools, out),
        }
        self.rounds.rest(tools.now, tools.settings, tools.rng);
    }

    fn found(&mut self, findings: Findings, tools: &Tools<'_>, out: &mut Out<'_, Mail>) {
        let Findings {
            servers,
            zones,
            tenants,
            merges,
            complaints,
        } = findings;
        out.count(Event::MetadataRound);
        self.confirmed = Some(tools.now);
        let mut new = Cluster::clone(&self.published);
        if let Some(mut zones) = zones {
            let is_in = |zone: &Zone| merges.contains(&zone.name.to_lowercase());
            // Where all merge there is nothing to avoid.
            if !zones.iter().all(is_in) {
                for zone in &mut zones {
                    zone.is_merging = is_in(zone);
                }
            }
            new.zones = zones.into();
        }
        if let Some(sys) = tenants.iter().flatten().find(|t| t.name == SYS) {
            new.primary_zone = ZoneList::of(&sys.primary_zone);
        }
        new.has_views = servers.is_some();
        new.servers = match servers {
            Some(mut servers) => {
                for server in &mut servers {
                    let zone = new.zones.iter().find(|z| z.name == server.zone);
                    if zone.is_some_and(|z| z.is_stopped) {
                        server.state = ServerState::Stopped;
                    }
                }
                servers.into()
            }
            None => start_up(&self.config),
        };
        new.health = match complaints.line() {
            None => Health::Ready,
            Some(cause) => Health::Degraded {
                cause: cause.into(),
            },
        };
        let addresses = |c: &Cluster| c.servers.iter().map(|s| s.address).collect::<BTreeSet<_>>();
        let has_moved = self.published.has_views && addresses(&new) != addresses(&self.published);
        let from = self.rounds.channel.server();
        self.publish(new, from, tools.now, out);
        if self.published.has_views {
            self.look_up_remembered(SYS);
        }
        if has_moved {
            self.tenants.doubt_all();
        }
        self.tenants.listed(tools.now, tenants.as_deref());
    }

    /// A failed round keeps what was known, counts, and is told once for each new cause.
    fn failed(&mut self, cause: &str, tools: &Tools<'_>, out: &mut Out<'_, Mail>) {
        out.count(Event::MetadataRoundFailed);
        self.rounds_failed += 1;
        let mut new = Cluster::clone(&self.published);
        new.health = Health::Degraded {
            cause: cause.into(),
        };
        self.publish(new, None, tools.now, out);
    }

    /// Replaces the entry, if anything is different, and says so.
    fn publish(
        &mut self,
        mut new: Cluster,
        from: Option<SocketAddr>,
        now: Tick,
        out: &mut Out<'_, Mail>,
    ) {
        if new == *self.published {
            return;
        }
        if new.health != self.published.health || new.servers != self.published.servers {
            let name = &self.config.name;
            let (level, event, line) = match &new.health {
                Health::Degraded { cause } if from.is_none() => {
                    let line = format!("cluster={name} cause={cause:?}");
                    (Level::Error, "metadata_round_failed", line)
                }
                health => {
                    let from = from.map(|s| s.to_string()).unwrap_or_default();
                    let servers = new.servers.len();
                    let line = format!("cluster={name} servers={servers} from={from}");
                    match health {
                        Health::Degraded { cause } => {
                            let line = format!("{line} cause={cause:?}");
                            (Level::Warn, "metadata_incomplete", line)
                        }
                        _ => (Level::Info, "metadata_ready", line),
                    }
                }
            };
            out.list.push(Output::Log(level, event, line));
        }
        new.version += 1;
        new.published = now;
        self.published = Arc::new(new);
        self.has_news = true;
    }
}

/// Something that happened on a connection of a cluster.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happened<'a> {
    /// Bytes came.
    Bytes(&'a [u8]),
    /// It is gone, for this reason.
    Lost(&'a str),
    /// It is of no use any more, for this reason, and has to be closed.
    Broken(&'a str),
}

fn env<'a>(config: &'a ClusterConfig, tools: &Tools<'a>) -> Env<'a> {
    Env {
        now: tools.now,
        settings: tools.settings,
        config,
    }
}

/// The start-up list as servers of which nothing else is known.
fn start_up(config: &ClusterConfig) -> Arc<[Server]> {
    let server = |&address: &SocketAddr| Server {
        address,
        zone: "".into(),
        state: ServerState::Untold,
        is_root: false,
    };
    config.root_servers.iter().map(server).collect()
}

/// Servers to ask: known root servers, the start-up list, then all that are known, those in
/// service first.
fn candidates(known: &Cluster, config: &ClusterConfig) -> Vec<SocketAddr> {
    let roots = known.servers.iter().filter(|s| s.is_root);
    let (good, bad): (Vec<_>, Vec<_>) = known.servers.iter().partition(|s| s.state.is_in_service());
    roots
        .map(|s| s.address)
        .chain(config.root_servers.iter().copied())
        .chain(good.into_iter().chain(bad).map(|s| s.address))
        .collect()
}
