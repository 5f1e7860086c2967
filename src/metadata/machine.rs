//! The metadata machine: all clusters, their rounds, and who is told.

use super::round::ClusterRounds;
use super::{ClusterConfig, Settings};
use crate::base::{
    Accepted, CloseReason, CoreId, Input, Key, Linger, LinkId, Machines, Out, Output, Rng, Side,
    Tick,
};
use crate::routing::Mail;

/// Clusters that one proxy can serve: each has a link id of its own on the metadata core.
const CLUSTERS_MAX: usize = 255;

/// The one machine of the metadata core.
#[derive(Debug)]
pub struct Metadata {
    settings: Settings,
    serving_cores: u16,
    clusters: Vec<ClusterRounds>,
    rng: Rng,
    is_started: bool,
    is_over: bool,
    /// Versions that the serving cores were sent, by cluster.
    sent: Vec<u64>,
}

impl Metadata {
    /// The key of the one machine.
    pub const KEY: Key = Key {
        index: 0,
        generation: 1,
    };

    /// A machine that tells `serving_cores` cores about `clusters`, at most 255 of them (the
    /// configuration refuses more).
    #[must_use]
    pub fn new(
        settings: Settings,
        clusters: Vec<ClusterConfig>,
        serving_cores: u16,
        seed: u64,
    ) -> Self {
        let clusters: Vec<_> = clusters
            .into_iter()
            .take(CLUSTERS_MAX)
            .enumerate()
            .map(|(i, c)| ClusterRounds::new(c, LinkId(i as u8)))
            .collect();
        let sent = vec![0; clusters.len()];
        let rng = Rng::new(seed);
        Self {
            settings,
            serving_cores,
            clusters,
            rng,
            is_started: false,
            is_over: false,
            sent,
        }
    }

    /// Settings have changed: they hold from the next round on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    fn start(&mut self, now: Tick, out: &mut Out<'_, Mail>) {
        self.publish(out);
        for core in 0..self.serving_cores {
            out.list.push(Output::Post(CoreId(core), Mail::Primed));
        }
        self.timer(now, out);
    }

    fn timer(&mut self, now: Tick, out: &mut Out<'_, Mail>) {
        for cluster in &mut self.clusters {
            cluster.timer(now, &self.settings, &mut self.rng, out);
        }
    }

    /// Sends what the serving cores have not been sent yet.
    fn publish(&mut self, out: &mut Out<'_, Mail>) {
        for (cluster, sent) in self.clusters.iter().zip(&mut self.sent) {
            let entry = cluster.entry();
            if entry.version == *sent {
                continue;
            }
            *sent = entry.version;
            for core in 0..self.serving_cores {
                out.list
                    .push(Output::Post(CoreId(core), Mail::Cluster(entry.clone())));
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
        let Self {
            settings,
            clusters,
            rng,
            ..
        } = self;
        let at = |id: LinkId| usize::from(id.0);
        match input {
            Input::Wake if !self.is_started => {
                self.is_started = true;
                self.start(now, out);
            }
            Input::Wake | Input::Timer => self.timer(now, out),
            Input::Bytes(Side::Server(id), data) => {
                if let Some(c) = clusters.get_mut(at(id)) {
                    c.bytes(now, data, settings, rng, out);
                }
            }
            Input::Eof(Side::Server(id)) => {
                if let Some(c) = clusters.get_mut(at(id)) {
                    out.list.push(Output::Close(id, Linger::Abort));
                    c.lost(now, "closed the connection", settings, rng, out);
                }
            }
            Input::Failed(Side::Server(id), errno) => {
                if let Some(c) = clusters.get_mut(at(id)) {
                    out.list.push(Output::Close(id, Linger::Abort));
                    c.lost(now, &errno.to_string(), settings, rng, out);
                }
            }
            Input::ConnectFailed(id, errno) => {
                if let Some(c) = clusters.get_mut(at(id)) {
                    c.lost(now, &errno.to_string(), settings, rng, out);
                }
            }
            Input::Connected(id) => {
                if let Some(c) = clusters.get_mut(at(id)) {
                    c.connected();
                }
            }
            Input::Bytes(Side::Client, _)
            | Input::Eof(Side::Client)
            | Input::Failed(Side::Client, _) => {}
            Input::Drain { .. } => {
                self.is_over = true;
                out.list
                    .push(Output::End(CloseReason::Shutdown, Linger::Flush));
            }
        }
        self.publish(out);
    }

    fn poll_timeout(&self, _: Key) -> Option<Tick> {
        if self.is_over {
            return None;
        }
        self.clusters.iter().map(ClusterRounds::poll_timeout).min()
    }

    fn mail(&mut self, now: Tick, mail: Mail, wake: &mut Vec<Key>, _: &mut Vec<(CoreId, Mail)>) {
        if let Mail::Unreachable { cluster, .. } = mail {
            for c in self.clusters.iter_mut().filter(|c| *c.name() == *cluster) {
                c.hurry(now);
            }
            wake.push(Self::KEY);
        }
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
