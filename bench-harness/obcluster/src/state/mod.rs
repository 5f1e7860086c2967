//! The state of the cluster: servers, zones, tenants and leaders, and what an administrator or a
//! fault does to them. No IO and no clock: time comes in as microseconds.
//!
//! What happens later by itself (an election, an expired lease, the end of a start) is kept as due
//! events; [`State::settle`] makes those that are over come true.

mod change;
mod placement;
mod server;
mod tenant;

pub use change::{Change, NoSuch};
pub use placement::{LeafPlace, Placement, TableShape};
pub use server::{Network, Process, Server, Zone};
pub use tenant::{LogStream, SYS_LS, Tenant, USER_LS};

use crate::topology::{RPC_PORT_OFFSET, Topology};
use serde::Serialize;
use std::net::SocketAddr;

/// How long things take, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// From the loss of a leader to the next one.
    pub election_ms: u64,
    /// From the death of a server to STATUS = INACTIVE.
    pub lease_ms: u64,
    /// From the start of a server to its first service.
    pub init_ms: u64,
    /// From a shutdown to the closed port.
    pub stop_ms: u64,
    /// How old the leaders are that location views tell.
    pub location_lag_ms: u64,
    /// What a statement takes longer on a server that does not lead what it touches, in
    /// microseconds.
    pub remote_us: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            election_ms: 500,
            lease_ms: 10_000,
            init_ms: 200,
            stop_ms: 500,
            location_lag_ms: 0,
            remote_us: 300,
        }
    }
}

/// What becomes true later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Log streams that lost their leader then, or before, get one.
    Elect { lost_us: u64 },
    /// A dead server is told as INACTIVE.
    Lease { server: u32, life: u32 },
    /// A starting server serves.
    Serve { server: u32, life: u32 },
    /// A stopping server is gone.
    Close { server: u32, life: u32 },
}

/// The cluster.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Zones, in their order.
    pub zones: Vec<Zone>,
    /// Servers, by number.
    pub servers: Vec<Server>,
    /// Tenants, `sys` first.
    pub tenants: Vec<Tenant>,
    /// Where tablets live.
    #[serde(skip)]
    pub placement: Placement,
    /// How long things take.
    pub timing: Timing,
    /// Transactions that wrote where a server dies go on, as if their writes had been elsewhere.
    pub keeps_lost_transactions: bool,
    /// `V$OB_PARAMETERS` has a row per server.
    pub param_rows_all: bool,
    /// BUILD_VERSION of the servers.
    pub build_version: String,
    /// The next server's number.
    #[serde(skip)]
    next_server: u32,
    /// What becomes true at which microsecond. At most a few for each server.
    #[serde(skip)]
    due: Vec<(u64, Due)>,
}

impl State {
    /// The cluster at its start: `addresses` are those that the servers of `topology` have got; an
    /// address that is missing is the one asked for.
    #[must_use]
    pub fn new(topology: &Topology, addresses: &[SocketAddr], now_us: u64) -> Self {
        let zones = zones_of(topology);
        let mut state = Self {
            name: topology.name.clone(),
            zones,
            servers: vec![],
            tenants: vec![],
            placement: Placement::default(),
            timing: Timing::default(),
            keeps_lost_transactions: false,
            param_rows_all: topology.param_rows_all,
            build_version: topology.build_version.clone(),
            next_server: 1,
            due: vec![],
        };
        for n in 1..=topology.servers {
            let got = addresses.get(n as usize - 1).copied();
            let address = got.or_else(|| topology.address(n).ok());
            let zone = state.zones.get(topology.zone_of(n)).map(|z| z.name.clone());
            if let Some((address, zone)) = address.zip(zone) {
                let id = state.push_server(address, zone, now_us);
                if let Some(server) = state.server_mut(id) {
                    server.process = Process::Serving;
                    server.start_service_us = Some(now_us);
                }
            }
        }
        let all: Vec<u32> = state.servers.iter().map(|s| s.id).collect();
        let sys = state.tenant_of(1, "sys", &all, topology.spread_sys, now_us);
        state.tenants.push(sys);
        for (spec, at) in topology.tenants.iter().zip(0..) {
            let servers = if spec.servers.is_empty() {
                &all
            } else {
                &spec.servers
            };
            let tenant = state.tenant_of(1002 + 2 * at, &spec.name, servers, true, now_us);
            state.tenants.push(tenant);
        }
        for place in &topology.places {
            for tenant in &state.tenants {
                for (leaf, server) in &place.leaves {
                    let made_for = |s: &&LogStream| s.home == *server;
                    if let Some(stream) = tenant.user_streams().iter().find(made_for) {
                        let placement = &mut state.placement;
                        placement.place_leaf(tenant.id, &place.table, *leaf, stream.id);
                    }
                }
            }
        }
        state
    }

    fn push_server(&mut self, address: SocketAddr, zone: String, now_us: u64) -> u32 {
        let id = self.next_server;
        self.next_server += 1;
        self.servers.push(Server {
            id,
            address,
            rpc_port: address.port().wrapping_add(RPC_PORT_OFFSET),
            zone,
            process: Process::Dead,
            network: Network::Open,
            status: "ACTIVE".into(),
            start_service_us: None,
            stop_us: None,
            last_offline_us: None,
            created_us: now_us,
            life: 0,
        });
        id
    }

    /// The number that the next server gets.
    #[must_use]
    pub const fn next_server(&self) -> u32 {
        self.next_server
    }

    /// A tenant with its log streams, each led by the server it is made for.
    fn tenant_of(&self, id: u64, name: &str, servers: &[u32], spread: bool, now: u64) -> Tenant {
        let writable: Vec<u32> = servers
            .iter()
            .copied()
            .filter(|s| self.is_writable(*s))
            .collect();
        let first = writable.first().or_else(|| servers.first());
        let mut streams = vec![];
        if let Some(first) = first {
            streams.push(LogStream::new(
                SYS_LS,
                *first,
                self.replicas(servers, *first),
            ));
        }
        if spread {
            for (server, n) in writable.iter().zip(0..) {
                let replicas = self.replicas(servers, *server);
                streams.push(LogStream::new(USER_LS + n, *server, replicas));
            }
        }
        Tenant {
            id,
            name: name.into(),
            servers: servers.to_vec(),
            leaving: vec![],
            streams,
            previous_locality: None,
            primary_zone: "RANDOM".into(),
            created_us: now,
        }
    }

    /// One server of each zone, with `leader` for its own: the one at the same place in its zone.
    fn replicas(&self, servers: &[u32], leader: u32) -> Vec<u32> {
        let zone_of = |id: u32| self.server(id).map(|s| s.zone.as_str());
        let of_zone = |zone: &str| -> Vec<u32> {
            let there = servers.iter().copied();
            there.filter(|s| zone_of(*s) == Some(zone)).collect()
        };
        let home = zone_of(leader).unwrap_or_default();
        let place = of_zone(home).iter().position(|s| *s == leader);
        let mut replicas = vec![];
        for zone in &self.zones {
            let there = of_zone(&zone.name);
            if zone.name == home {
                replicas.push(leader);
            } else if !there.is_empty() {
                replicas.extend(there.get(place.unwrap_or(0) % there.len()));
            }
        }
        replicas
    }

    fn is_writable(&self, server: u32) -> bool {
        let zone = self.server(server).map(|s| s.zone.as_str());
        let found = self.zones.iter().find(|z| Some(z.name.as_str()) == zone);
        found.is_some_and(Zone::is_writable)
    }

    /// A server by its number.
    #[must_use]
    pub fn server(&self, id: u32) -> Option<&Server> {
        self.servers.iter().find(|s| s.id == id)
    }

    pub(crate) fn server_mut(&mut self, id: u32) -> Option<&mut Server> {
        self.servers.iter_mut().find(|s| s.id == id)
    }

    /// A tenant by its name, with case.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|t| t.name == name)
    }

    /// The zone of a server.
    #[must_use]
    pub fn zone_of(&self, server: u32) -> Option<&Zone> {
        let zone = &self.server(server)?.zone;
        self.zones.iter().find(|z| z.name == *zone)
    }

    /// The server that the root service runs on: the leader of `sys`.
    #[must_use]
    pub fn root_server(&self) -> Option<u32> {
        let sys = self.tenants.first()?;
        sys.stream(SYS_LS).and_then(LogStream::leader)
    }

    /// Makes true what is due. Returns the microsecond of the next event, if one waits.
    pub fn settle(&mut self, now_us: u64) -> Option<u64> {
        while let Some(at) = self.due.iter().position(|(us, _)| *us <= now_us) {
            let (us, due) = self.due.remove(at);
            self.come_true(due, us);
        }
        self.due.iter().map(|(us, _)| *us).min()
    }

    fn come_true(&mut self, due: Due, now_us: u64) {
        match due {
            Due::Elect { lost_us } => self.elect(now_us, lost_us),
            Due::Lease { server, life } => {
                if let Some(server) = self.living(server, life) {
                    server.status = "INACTIVE".into();
                    server.last_offline_us = Some(now_us);
                }
            }
            Due::Serve { server, life } => {
                if let Some(server) = self.living(server, life) {
                    server.process = Process::Serving;
                    server.start_service_us = Some(now_us);
                    self.elect_overdue(now_us);
                }
            }
            Due::Close { server, life } => {
                if self.living(server, life).is_some() {
                    self.die(server, now_us);
                }
            }
        }
    }

    fn living(&mut self, id: u32, life: u32) -> Option<&mut Server> {
        self.server_mut(id).filter(|s| s.life == life)
    }

    fn later(&mut self, now_us: u64, ms: u64, due: Due) {
        self.due.push((now_us.saturating_add(ms * 1_000), due));
    }

    /// Log streams whose election found nobody have another one.
    fn elect_overdue(&mut self, now_us: u64) {
        let election_us = self.timing.election_ms.saturating_mul(1_000);
        self.elect(now_us, now_us.saturating_sub(election_us));
    }

    /// Every log stream that lost its leader at `lost_us` or before gets one of its replicas that
    /// can lead.
    fn elect(&mut self, now_us: u64, lost_us: u64) {
        let able: Vec<u32> = self
            .servers
            .iter()
            .filter(|s| s.can_lead() && self.is_writable(s.id))
            .map(|s| s.id)
            .collect();
        for stream in self.tenants.iter_mut().flat_map(|t| &mut t.streams) {
            if stream.lost_us().is_some_and(|us| us <= lost_us) {
                let next = stream.replicas.iter().find(|r| able.contains(r)).copied();
                stream.lead(next, now_us);
            }
        }
    }

    /// Log streams led by `server` lose their leader; with `gracefully` they have the next at once.
    fn leave(&mut self, server: u32, gracefully: bool, now_us: u64) {
        for stream in self.tenants.iter_mut().flat_map(|t| &mut t.streams) {
            if stream.leader() == Some(server) {
                stream.lead(None, now_us);
                stream.losses += u64::from(!gracefully);
            }
        }
        if gracefully {
            self.elect(now_us, now_us);
        }
    }

    /// The process of a server ends.
    fn die(&mut self, id: u32, now_us: u64) {
        let timing = self.timing;
        let Some(server) = self.server_mut(id) else {
            return;
        };
        server.process = Process::Dead;
        server.network = Network::Open;
        server.life += 1;
        let life = server.life;
        self.leave(id, false, now_us);
        let lost_us = now_us;
        self.later(now_us, timing.election_ms, Due::Elect { lost_us });
        self.later(now_us, timing.lease_ms, Due::Lease { server: id, life });
    }
}

/// The zones at the start.
fn zones_of(topology: &Topology) -> Vec<Zone> {
    let plain = |n: usize, name: String| Zone {
        name,
        idc: format!("idc{n}"),
        region: "r1".into(),
        status: "ACTIVE".into(),
        kind: "ReadWrite".into(),
        is_merging: false,
    };
    if topology.zone_specs.is_empty() {
        let all = 1..=topology.zones as usize;
        return all.map(|n| plain(n, format!("z{n}"))).collect();
    }
    let specs = topology.zone_specs.iter().zip(1..);
    let each = specs.map(|(spec, n)| {
        let base = plain(n, spec.name.clone());
        Zone {
            idc: spec.idc.clone().unwrap_or(base.idc),
            region: spec.region.clone().unwrap_or(base.region),
            kind: spec.kind.clone().unwrap_or(base.kind),
            ..base
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_has_a_replica_and_every_server_leads() {
        let topology = Topology {
            servers: 7,
            zones: 3,
            ..Topology::default()
        };
        let state = State::new(&topology, &[], 0);
        let test = state.tenant("test").unwrap();
        let leaders: Vec<_> = test.user_streams().iter().map(LogStream::leader).collect();
        assert_eq!(leaders, (1..=7).map(Some).collect::<Vec<_>>());
        // z1 has 1, 4 and 7; z2 has 2 and 5; z3 has 3 and 6.
        let replicas: Vec<_> = test.user_streams().iter().map(|s| &s.replicas).collect();
        assert_eq!(replicas[0], &[1, 2, 3]);
        assert_eq!(replicas[4], &[4, 5, 6]);
        assert_eq!(replicas[6], &[7, 2, 3]);
        let sys = state.tenant("sys").unwrap();
        assert!(sys.user_streams().is_empty());
        assert_eq!(sys.streams[0].replicas, [1, 2, 3]);
    }

    #[test]
    fn what_is_placed_begins_there() {
        let topology = Topology {
            tenants: vec!["t:2,3".parse().unwrap()],
            places: vec!["d.t=0:3".parse().unwrap()],
            spread_sys: true,
            ..Topology::default()
        };
        let state = State::new(&topology, &[], 0);
        let table = TableShape {
            table_id: 1,
            name: "d.t".into(),
            tablets: vec![5, 6],
            is_partitioned: true,
            is_system: false,
        };
        let leader = |tenant: &str, leaf| {
            let tenant = state.tenant(tenant).unwrap();
            let stream = state.placement.stream(tenant, &table, leaf);
            tenant.stream(stream).and_then(LogStream::leader)
        };
        assert_eq!((leader("t", 0), leader("t", 1)), (Some(3), Some(3)));
        assert_eq!((leader("sys", 0), leader("sys", 1)), (Some(3), Some(2)));
    }
}
