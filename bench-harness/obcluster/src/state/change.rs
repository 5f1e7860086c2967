//! What an administrator or a fault does to the cluster.

use super::{Due, LogStream, Network, Process, Server, State};
use std::fmt;
use std::net::SocketAddr;

/// One change. Servers are named by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The process dies: refused connections, an election, later INACTIVE.
    Kill(u32),
    /// A dead one starts (8001 until `init_ms` are over); a stopped one is used again.
    Start(u32),
    /// An administrator stops it: its leaders move away. With `shutdown` it answers 8002 and then
    /// its port closes.
    Stop {
        /// The server.
        server: u32,
        /// Its process ends too.
        shutdown: bool,
    },
    /// Packets are held.
    Hang(u32),
    /// Packets are held and connections time out.
    Blackhole(u32),
    /// Packets flow again.
    Resume(u32),
    /// The server dies and its row goes.
    Remove(u32),
    /// STATUS of its row says this.
    Status {
        /// The server.
        server: u32,
        /// The text.
        status: String,
    },
    /// A log stream is led by another server from now on; open transactions go on.
    Lead {
        /// The tenant.
        tenant: String,
        /// The log stream.
        stream: u64,
        /// The new leader; none begins an election.
        server: Option<u32>,
    },
    /// A leaf of a table goes to a log stream that the server leads.
    PlaceLeaf {
        /// The tenant.
        tenant: String,
        /// `db.table`.
        table: String,
        /// The leaf.
        leaf: u32,
        /// The server.
        server: u32,
    },
    /// A tablet goes to a log stream.
    PlaceTablet {
        /// The tenant.
        tenant: String,
        /// The tablet.
        tablet: u64,
        /// The log stream.
        stream: u64,
    },
    /// The tenant's units move to these servers. Those that it left stay in the rows of
    /// `__all_dummy` until the move is finished.
    MoveTenant {
        /// The tenant.
        tenant: String,
        /// Its servers.
        servers: Vec<u32>,
        /// The move is over.
        finished: bool,
    },
    /// A new tenant.
    AddTenant {
        /// Its name.
        tenant: String,
        /// Its servers.
        servers: Vec<u32>,
    },
    /// A tenant goes.
    DropTenant(String),
    /// A zone's row changes; what is none stays.
    Zone {
        /// The zone.
        zone: String,
        /// STATUS.
        status: Option<String>,
        /// TYPE; ReadOnly moves its leaders away.
        kind: Option<String>,
        /// IDC.
        idc: Option<String>,
        /// REGION.
        region: Option<String>,
    },
    /// Tenants begin or end a major compaction in a zone.
    Merge {
        /// The zone.
        zone: String,
        /// They begin.
        is_merging: bool,
    },
}

/// A change names something that is not there, or asks for what cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuch(pub String);

impl fmt::Display for NoSuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoSuch {}

impl State {
    /// Applies a change at this time.
    ///
    /// # Errors
    /// What it names is not there; the state is as before.
    pub fn apply(&mut self, change: &Change, now_us: u64) -> Result<(), NoSuch> {
        self.settle(now_us);
        match change {
            Change::Kill(id) => {
                self.found(*id)?;
                self.die(*id, now_us);
            }
            Change::Start(id) => self.start(*id, now_us)?,
            Change::Stop { server, shutdown } => {
                let stop_ms = self.timing.stop_ms;
                let found = self.found(*server)?;
                found.stop_us = Some(now_us);
                let life = found.life;
                if *shutdown {
                    found.process = Process::Stopping;
                }
                self.leave(*server, true, now_us);
                if *shutdown {
                    let server = *server;
                    self.later(now_us, stop_ms, Due::Close { server, life });
                }
            }
            Change::Hang(id) => self.found(*id)?.network = Network::Hung,
            Change::Blackhole(id) => self.found(*id)?.network = Network::Blackholed,
            Change::Resume(id) => self.found(*id)?.network = Network::Open,
            Change::Remove(id) => self.remove(*id, now_us)?,
            Change::Status { server, status } => self.found(*server)?.status = status.clone(),
            Change::Lead {
                tenant,
                stream,
                server,
            } => {
                if let Some(server) = server {
                    self.found(*server)?;
                }
                let election_ms = self.timing.election_ms;
                let found = self.stream_mut(tenant, *stream)?;
                if let Some(server) = server
                    && !found.replicas.contains(server)
                {
                    found.replicas.push(*server);
                }
                found.lead(*server, now_us);
                if server.is_none() {
                    let lost_us = now_us;
                    self.later(now_us, election_ms, Due::Elect { lost_us });
                }
            }
            Change::PlaceLeaf {
                tenant,
                table,
                leaf,
                server,
            } => {
                let found = self.named(tenant)?;
                let streams = found.user_streams().iter();
                let led = streams.clone().find(|s| s.leader() == Some(*server));
                let made = streams.clone().find(|s| s.home == *server);
                let stream = led
                    .or(made)
                    .ok_or_else(|| NoSuch(format!("{tenant} has no log stream on {server}")))?;
                let (id, stream) = (found.id, stream.id);
                self.placement.place_leaf(id, table, *leaf, stream);
            }
            Change::PlaceTablet {
                tenant,
                tablet,
                stream,
            } => {
                self.stream_mut(tenant, *stream)?;
                let id = self.named(tenant)?.id;
                self.placement.place_tablet(id, *tablet, *stream);
            }
            Change::MoveTenant {
                tenant,
                servers,
                finished,
            } => self.move_tenant(tenant, servers, *finished, now_us)?,
            Change::AddTenant { tenant, servers } => {
                for server in servers {
                    self.found(*server)?;
                }
                if servers.is_empty() || self.tenant(tenant).is_some() {
                    return Err(NoSuch(format!(
                        "tenant {tenant}: no servers, or already there"
                    )));
                }
                let last = self.tenants.iter().map(|t| t.id).max().unwrap_or(1);
                let id = last.max(1000) + 2;
                let made = self.tenant_of(id, tenant, servers, true, now_us);
                self.tenants.push(made);
            }
            Change::DropTenant(name) => {
                if self.named(name)?.is_sys() {
                    return Err(NoSuch("sys cannot go".into()));
                }
                self.tenants.retain(|t| t.name != *name);
            }
            Change::Merge { zone, is_merging } => {
                let found = self.zones.iter_mut().find(|z| z.name == *zone);
                let found = found.ok_or_else(|| NoSuch(format!("no zone {zone}")))?;
                found.is_merging = *is_merging;
            }
            Change::Zone {
                zone,
                status,
                kind,
                idc,
                region,
            } => {
                let found = self.zones.iter_mut().find(|z| z.name == *zone);
                let found = found.ok_or_else(|| NoSuch(format!("no zone {zone}")))?;
                for (field, new) in [
                    (&mut found.status, status),
                    (&mut found.kind, kind),
                    (&mut found.idc, idc),
                    (&mut found.region, region),
                ] {
                    if let Some(new) = new {
                        field.clone_from(new);
                    }
                }
                if !found.is_writable() {
                    let there = self.servers.iter().filter(|s| s.zone == *zone);
                    for id in there.map(|s| s.id).collect::<Vec<_>>() {
                        self.leave(id, true, now_us);
                    }
                }
            }
        }
        Ok(())
    }

    /// A new server in `zone`, dead until it is started; a zone that is not there is made. `sys`
    /// has a unit on it, other tenants have not.
    pub fn add_server(&mut self, address: SocketAddr, zone: &str, now_us: u64) -> u32 {
        if !self.zones.iter().any(|z| z.name == zone) {
            let n = self.zones.len() + 1;
            self.zones.push(super::Zone {
                name: zone.into(),
                idc: format!("idc{n}"),
                region: "r1".into(),
                status: "ACTIVE".into(),
                kind: "ReadWrite".into(),
                is_merging: false,
            });
        }
        let id = self.push_server(address, zone.into(), now_us);
        if let Some(sys) = self.tenants.first_mut() {
            sys.servers.push(id);
        }
        id
    }

    fn start(&mut self, id: u32, now_us: u64) -> Result<(), NoSuch> {
        let init_ms = self.timing.init_ms;
        let server = self.found(id)?;
        server.stop_us = None;
        if server.process == Process::Dead {
            server.process = Process::Starting;
            server.status = "ACTIVE".into();
            server.start_service_us = None;
            server.life += 1;
            let life = server.life;
            self.later(now_us, init_ms, Due::Serve { server: id, life });
        }
        self.elect_overdue(now_us);
        Ok(())
    }

    fn remove(&mut self, id: u32, now_us: u64) -> Result<(), NoSuch> {
        self.found(id)?;
        self.die(id, now_us);
        self.servers.retain(|s| s.id != id);
        for tenant in &mut self.tenants {
            tenant.servers.retain(|s| *s != id);
            tenant.leaving.retain(|s| *s != id);
            for stream in &mut tenant.streams {
                stream.replicas.retain(|s| *s != id);
            }
        }
        Ok(())
    }

    fn move_tenant(
        &mut self,
        name: &str,
        servers: &[u32],
        finished: bool,
        now_us: u64,
    ) -> Result<(), NoSuch> {
        for server in servers {
            self.found(*server)?;
        }
        if servers.is_empty() {
            return Err(NoSuch("a tenant has servers".into()));
        }
        let mut tenant = self.named(name)?.clone();
        let able: Vec<u32> = servers
            .iter()
            .copied()
            .filter(|s| self.is_writable(*s))
            .collect();
        let left = tenant.servers.iter().chain(&tenant.leaving).copied();
        let left: Vec<u32> = left.filter(|s| !servers.contains(s)).collect();
        tenant.leaving = if finished { vec![] } else { left };
        tenant.previous_locality =
            (!finished).then(|| self.locality(&self.named_servers(&tenant.servers)));
        tenant.servers = servers.to_vec();
        for (stream, turn) in tenant.streams.iter_mut().zip(0..) {
            // Stream 1 and the first for users begin on the same server.
            let turn: usize = if turn == 0 { 0 } else { turn - 1 };
            let leader = stream.leader().filter(|l| servers.contains(l));
            let next = leader.or_else(|| able.get(turn % able.len().max(1)).copied());
            stream.lead(next, now_us);
            stream.replicas = next.map_or_else(Vec::new, |l| self.replicas(servers, l));
        }
        if let Some(place) = self.tenants.iter_mut().find(|t| t.name == name) {
            *place = tenant;
        }
        Ok(())
    }

    fn named_servers(&self, ids: &[u32]) -> Vec<&Server> {
        self.servers
            .iter()
            .filter(|s| ids.contains(&s.id))
            .collect()
    }

    /// LOCALITY of a tenant with units on these servers.
    #[must_use]
    pub fn locality(&self, servers: &[&Server]) -> String {
        let there = |zone: &str| servers.iter().any(|s| s.zone == zone);
        let zones = self.zones.iter().filter(|z| there(&z.name));
        let parts: Vec<String> = zones
            .map(|z| {
                let kind = if z.is_writable() { "FULL" } else { "READONLY" };
                format!("{kind}{{1}}@{}", z.name)
            })
            .collect();
        parts.join(", ")
    }

    fn found(&mut self, id: u32) -> Result<&mut Server, NoSuch> {
        self.server_mut(id)
            .ok_or_else(|| NoSuch(format!("no server {id}")))
    }

    fn named(&self, name: &str) -> Result<&super::Tenant, NoSuch> {
        self.tenant(name)
            .ok_or_else(|| NoSuch(format!("no tenant {name}")))
    }

    fn stream_mut(&mut self, tenant: &str, id: u64) -> Result<&mut LogStream, NoSuch> {
        let found = self.tenants.iter_mut().find(|t| t.name == tenant);
        found
            .and_then(|t| t.streams.iter_mut().find(|s| s.id == id))
            .ok_or_else(|| NoSuch(format!("no log stream {id} in tenant {tenant}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    const MS: u64 = 1_000;

    fn leaders(state: &State, tenant: &str) -> Vec<Option<u32>> {
        let found = state.tenant(tenant).unwrap();
        found.streams.iter().map(LogStream::leader).collect()
    }

    fn state() -> State {
        State::new(&Topology::default(), &[], 0)
    }

    #[test]
    fn a_killed_server_loses_its_leaders_until_the_election_and_its_status_after_the_lease() {
        let mut state = state();
        assert_eq!(leaders(&state, "test"), [1, 1, 2, 3].map(Some));
        state.apply(&Change::Kill(1), 10 * MS).unwrap();
        assert_eq!(
            leaders(&state, "test"),
            [None, None, Some(2), Some(3)],
            "no leader at once"
        );
        assert_eq!(state.settle(509 * MS), Some(510 * MS));
        state.settle(510 * MS);
        assert_eq!(leaders(&state, "test"), [2, 2, 2, 3].map(Some));
        assert_eq!(state.root_server(), Some(2));
        assert_eq!(state.server(1).unwrap().status, "ACTIVE");
        assert_eq!(state.settle(10_010 * MS), None);
        assert_eq!(state.server(1).unwrap().status, "INACTIVE");
        // Started again: refused, then 8001, then it serves; leaders stay where they are.
        state.apply(&Change::Start(1), 20_000 * MS).unwrap();
        let server = state.server(1).unwrap();
        assert_eq!(
            (server.process, server.start_service_us),
            (Process::Starting, None)
        );
        state.settle(20_200 * MS);
        let server = state.server(1).unwrap();
        assert_eq!(server.process, Process::Serving);
        assert_eq!(server.start_service_us, Some(20_200 * MS));
        assert_eq!(leaders(&state, "test"), [2, 2, 2, 3].map(Some));
    }

    #[test]
    fn each_election_takes_its_time() {
        let mut state = state();
        state.apply(&Change::Kill(1), 0).unwrap();
        state.apply(&Change::Kill(2), 300 * MS).unwrap();
        state.settle(500 * MS);
        assert_eq!(leaders(&state, "test"), [Some(3), Some(3), None, Some(3)]);
        state.settle(800 * MS);
        assert_eq!(leaders(&state, "test"), [Some(3); 4]);
        // With nobody left it waits for the first who serves again.
        state.apply(&Change::Kill(3), 900 * MS).unwrap();
        state.settle(2_000 * MS);
        assert_eq!(leaders(&state, "test"), [None; 4]);
        state.apply(&Change::Start(2), 3_000 * MS).unwrap();
        state.settle(3_200 * MS);
        assert_eq!(leaders(&state, "test"), [Some(2); 4]);
    }

    #[test]
    fn a_server_started_before_its_lease_ends_stays_active() {
        let mut state = state();
        state.apply(&Change::Kill(2), 0).unwrap();
        state.apply(&Change::Start(2), MS).unwrap();
        state.settle(20_000 * MS);
        assert_eq!(state.server(2).unwrap().status, "ACTIVE");
        assert_eq!(state.server(2).unwrap().process, Process::Serving);
    }

    #[test]
    fn a_stopped_server_answers_but_does_not_lead() {
        let mut state = state();
        let shutdown = false;
        let stop = Change::Stop {
            server: 3,
            shutdown,
        };
        state.apply(&stop, 5 * MS).unwrap();
        let server = state.server(3).unwrap();
        assert_eq!(
            (server.process, server.stop_us),
            (Process::Serving, Some(5 * MS))
        );
        assert!(!leaders(&state, "test").contains(&Some(3)));
        state.apply(&Change::Start(3), 6 * MS).unwrap();
        assert_eq!(state.server(3).unwrap().stop_us, None);
        let shutdown = true;
        let stop = Change::Stop {
            server: 3,
            shutdown,
        };
        state.apply(&stop, 7 * MS).unwrap();
        assert_eq!(state.server(3).unwrap().process, Process::Stopping);
        state.settle(507 * MS);
        assert_eq!(state.server(3).unwrap().process, Process::Dead);
    }

    #[test]
    fn a_moved_tenant_leaves_its_old_servers_in_the_list_until_it_is_finished() {
        let mut state = state();
        let go = |state: &mut State, finished| {
            let change = Change::MoveTenant {
                tenant: "test".into(),
                servers: vec![2, 3],
                finished,
            };
            state.apply(&change, MS).unwrap();
        };
        go(&mut state, false);
        let test = state.tenant("test").unwrap();
        assert_eq!(
            (&test.servers[..], &test.leaving[..]),
            (&[2, 3][..], &[1][..])
        );
        assert!(test.previous_locality.is_some());
        assert_eq!(leaders(&state, "test"), [2, 2, 2, 3].map(Some));
        go(&mut state, true);
        let test = state.tenant("test").unwrap();
        assert!(test.leaving.is_empty() && test.previous_locality.is_none());
    }

    #[test]
    fn servers_come_and_go() {
        let mut state = state();
        let address = "127.0.1.4:2881".parse().unwrap();
        let id = state.add_server(address, "z1", 0);
        assert_eq!(id, 4);
        assert!(state.tenant("sys").unwrap().servers.contains(&4));
        assert!(!state.tenant("test").unwrap().servers.contains(&4));
        state.apply(&Change::Remove(4), 0).unwrap();
        assert!(state.server(4).is_none());
        assert!(state.apply(&Change::Kill(4), 0).is_err());
        assert_eq!(state.add_server(address, "z9", 0), 5);
        assert_eq!(state.zone_of(5).unwrap().idc, "idc4");
    }

    #[test]
    fn a_read_only_zone_leads_nothing() {
        let mut state = state();
        let change = Change::Zone {
            zone: "z1".into(),
            status: None,
            kind: Some("ReadOnly".into()),
            idc: None,
            region: None,
        };
        state.apply(&change, 0).unwrap();
        assert!(!leaders(&state, "test").contains(&Some(1)));
        let test = state.tenant("test").unwrap();
        let locality = state.locality(&state.named_servers(&test.servers));
        assert_eq!(locality, "READONLY{1}@z1, FULL{1}@z2, FULL{1}@z3");
    }
}
