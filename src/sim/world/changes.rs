//! How the cluster of a world changes.

use super::super::cluster::ViewTrouble;
use super::super::conn::Peer;
use super::{Event, World};
use std::net::SocketAddr;

/// Time between two changes of the cluster: long enough for rounds to see each.
pub(super) const CHANGE_US: u64 = 400_000;
/// After this time the cluster does not change any more; soon after it the world ends.
pub(super) const CHANGES_END_US: u64 = 2_500_000;

impl World {
    /// Something else about the cluster is different for a while.
    pub(super) fn change(&mut self) {
        if self.now > CHANGES_END_US {
            self.cluster.trouble = ViewTrouble::No;
            return;
        }
        self.at(CHANGE_US, Event::Change);
        self.cluster.trouble = ViewTrouble::No;
        for is_stopped in self.cluster.servers.values_mut() {
            *is_stopped = false;
        }
        let all: Vec<_> = self.cluster.servers.keys().copied().collect();
        let one = all[self.rng.below(all.len() as u64) as usize];
        // Where nothing else may change, leaders do.
        let what = if self.faults.changes {
            self.rng.below(5)
        } else {
            3
        };
        match what {
            0 => {
                self.cluster.servers.insert(one, true);
                self.note(|| format!("{one} is stopped"));
            }
            1 => {
                // Its sessions have time to leave.
                self.cluster.servers.insert(one, true);
                self.note(|| format!("{one} is stopped and will go"));
                self.at(CHANGE_US / 2, Event::Remove(one));
                self.at(CHANGE_US - 1, Event::Add(one));
            }
            2 => {
                self.cluster.move_tenant(&mut self.rng);
                let to = self.cluster.tenant.clone();
                self.note(|| format!("the tenant moves to {to:?}"));
            }
            3 => {
                self.cluster.elections += 1;
                self.note(|| "leaders move".into());
            }
            _ => {
                let troubles = [
                    ViewTrouble::Errors,
                    ViewTrouble::Empty,
                    ViewTrouble::UnknownStatus,
                    ViewTrouble::MissingColumn,
                    ViewTrouble::BadRow,
                ];
                let trouble = troubles[self.rng.below(5) as usize];
                self.cluster.trouble = trouble;
                self.note(|| format!("the views: {trouble:?}"));
            }
        }
    }

    pub(super) fn remove(&mut self, server: SocketAddr) {
        self.note(|| format!("{server} is removed"));
        self.cluster.remove(server);
        for n in 0..self.conns.len() {
            let conn = &self.conns[n];
            let is_there = matches!(&conn.peer, Peer::Server(s) if s.address == server);
            if is_there && conn.is_attached && conn.is_connected {
                self.conns[n].peer_open = false;
                self.reset(n);
            }
        }
    }
}
