//! The metadata machine: all clusters, and who is told.

use super::cluster::{ClusterKeeper, ClusterStatus, Happened, Tools};
use super::{ClusterConfig, Settings};
use crate::base::{
    Accepted, CloseReason, CoreId, Input, Key, Linger, LinkId, Machines, Out, Output, Rng, Side,
    Tick,
};
use crate::routing::{Mail, TableKey};
use std::sync::Arc;

/// Connections of one cluster: for rounds, for look-ups of tenants and of tables, and for probes.
const LINKS: u16 = 4;

/// The one machine of the metadata core.
#[derive(Debug)]
pub struct Metadata {
    settings: Settings,
    serving_cores: u16,
    clusters: Vec<ClusterKeeper>,
    rng: Rng,
    is_started: bool,
    is_over: bool,
}

impl Metadata {
    /// The key of the one machine.
    pub const KEY: Key = Key {
        index: 0,
        generation: 1,
    };

    /// A machine that tells `serving_cores` cores about `clusters` (the configuration limits their
    /// number).
    #[must_use]
    pub fn new(
        settings: Settings,
        clusters: Vec<ClusterConfig>,
        serving_cores: u16,
        seed: u64,
    ) -> Self {
        let keeper = |(config, first): (ClusterConfig, u16)| {
            ClusterKeeper::new(config, [0, 1, 2, 3].map(|n| LinkId(first + n)))
        };
        let links = (0..u16::MAX - LINKS).step_by(usize::from(LINKS));
        Self {
            settings,
            serving_cores,
            clusters: clusters.into_iter().zip(links).map(keeper).collect(),
            rng: Rng::new(seed),
            is_started: false,
            is_over: false,
        }
    }

    /// Tables that an earlier run has used: those of a tenant are looked up at its first login, and
    /// those of sys as soon as the cluster is known.
    pub fn remember(&mut self, keys: Vec<TableKey>) {
        for key in keys {
            let mut clusters = self.clusters.iter_mut();
            if let Some(cluster) = clusters.find(|c| *c.name() == *key.cluster) {
                cluster.remember(Arc::new(key));
            }
        }
    }

    /// The tables that somebody asked for since then, and that are there.
    pub fn asked_since(&self, since: Tick) -> impl Iterator<Item = &Arc<TableKey>> {
        let clusters = self.clusters.iter();
        clusters.flat_map(move |cluster| cluster.asked_since(since))
    }

    /// Settings have changed: they hold from the next round on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What administrators see.
    #[must_use]
    pub fn status(&self) -> Vec<ClusterStatus> {
        self.clusters.iter().map(ClusterKeeper::status).collect()
    }

    /// Sends what the serving cores have not been sent yet.
    fn publish(&mut self, out: &mut Out<'_, Mail>) {
        for news in self.clusters.iter_mut().flat_map(ClusterKeeper::news) {
            for core in 0..self.serving_cores {
                out.list.push(Output::Post(CoreId(core), news.clone()));
            }
        }
    }
}

impl Machines for Metadata {
    type Mail = Mail;

    fn accept(&mut self, _: Tick, _: Accepted) -> Option<Key> {
        None
    }

    fn clients_max(&self) -> u32 {
        0
    }

    fn handle(&mut self, now: Tick, _: Key, input: Input<'_>, out: &mut Out<'_, Mail>) {
        if self.is_over {
            return;
        }
        if matches!(input, Input::Wake) && !self.is_started {
            self.is_started = true;
            for cluster in &mut self.clusters {
                cluster.start(now);
            }
            self.publish(out);
            for core in 0..self.serving_cores {
                out.list.push(Output::Post(CoreId(core), Mail::Primed));
            }
        }
        let mut tools = Tools {
            now,
            settings: &self.settings,
            rng: &mut self.rng,
        };
        let clusters = &mut self.clusters;
        let mut on = |id: LinkId, happened: Happened<'_>, out: &mut Out<'_, Mail>| {
            if let Some(cluster) = clusters.get_mut(usize::from(id.0 / LINKS)) {
                cluster.link(id, happened, &mut tools, out);
            }
        };
        match input {
            Input::Bytes(Side::Server(id), data) => on(id, Happened::Bytes(data), out),
            Input::Eof(Side::Server(id)) => {
                on(id, Happened::Broken("closed the connection"), out);
            }
            Input::Failed(Side::Server(id), errno) => {
                on(id, Happened::Broken(&errno.to_string()), out);
            }
            Input::ConnectFailed(id, errno) => on(id, Happened::Lost(&errno.to_string()), out),
            Input::Connected(id) => {
                if let Some(cluster) = clusters.get_mut(usize::from(id.0 / LINKS)) {
                    cluster.connected(id);
                }
            }
            Input::Wake | Input::Timer => {
                for cluster in clusters {
                    cluster.timer(&mut tools, out);
                }
            }
            Input::Bytes(Side::Client, _)
            | Input::Eof(Side::Client)
            | Input::Failed(Side::Client, _) => {}
            Input::Drain { .. } => {
                self.is_over = true;
                out.list
                    .push(Output::End(CloseReason::Shutdown, Linger::Flush));
                return;
            }
        }
        self.publish(out);
    }

    fn poll_timeout(&self, _: Key) -> Option<Tick> {
        if self.is_over {
            return None;
        }
        self.clusters
            .iter()
            .filter_map(ClusterKeeper::poll_timeout)
            .min()
    }

    fn mail(&mut self, now: Tick, mail: Mail, wake: &mut Vec<Key>, post: &mut Vec<(CoreId, Mail)>) {
        match mail {
            Mail::Unreachable { cluster, .. } => {
                for c in self.clusters.iter_mut().filter(|c| *c.name() == *cluster) {
                    c.hurry(now);
                }
            }
            Mail::Suspect { cluster, server } => {
                for c in self.clusters.iter_mut().filter(|c| *c.name() == *cluster) {
                    c.suspect(now, server);
                }
            }
            Mail::FindTenant {
                core,
                cluster,
                tenant,
                wrong,
            } => {
                for c in self.clusters.iter_mut().filter(|c| *c.name() == *cluster) {
                    c.find_tenant(now, core, &tenant, wrong, post);
                }
            }
            Mail::FindTable {
                core,
                key,
                wrong,
                doubted,
            } => {
                let mut clusters = self.clusters.iter_mut();
                if let Some(c) = clusters.find(|c| *c.name() == *key.cluster) {
                    c.find_table(now, core, &key, (wrong, &doubted), post);
                }
            }
            Mail::Redefined(key) => {
                let mut clusters = self.clusters.iter_mut();
                if let Some(c) = clusters.find(|c| *c.name() == *key.cluster) {
                    c.redefined(&key);
                }
            }
            _ => return,
        }
        wake.push(Self::KEY);
    }

    fn ended(&mut self, _: Key) {
        self.is_over = true;
    }

    fn describe(&self, _: Key) -> String {
        format!("machine=metadata clusters={}", self.clusters.len())
    }

    fn ids(&self, into: &mut Vec<Key>) {
        if !self.is_over {
            into.push(Self::KEY);
        }
    }
}
