//! What a cluster looks like when it starts.

mod file;

use crate::judge::JudgeMode;
use crate::violation::OnViolation;
use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Servers that a start may ask for: the last part of the first address counts them.
pub const SERVERS_MAX: u32 = 200;
/// The port that a model of a server tells for RPC is the SQL port and this.
pub const RPC_PORT_OFFSET: u16 = 1;

/// A cluster before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Its name: what `__cluster_name` of a login must say.
    pub name: String,
    /// Number of servers, 1 to [`SERVERS_MAX`].
    pub servers: u32,
    /// Number of zones z1, z2, ...; servers go to them in turn. Without meaning if zones are named
    /// one by one.
    pub zones: u32,
    /// Zones with their servers; empty means [`Self::zones`] of them.
    pub zone_specs: Vec<ZoneSpec>,
    /// Address of the first server. The others have the next addresses and the same port; with
    /// port 0 each has a free one.
    pub base: SocketAddr,
    /// Where the control interface listens; port 0 is a free one.
    pub control: SocketAddr,
    /// Where the configuration service listens; port 0 is a free one. It has a port of its own, so
    /// that it can be down.
    pub config: SocketAddr,
    /// User tenants; `sys` is always there, on all servers.
    pub tenants: Vec<TenantSpec>,
    /// Leaves of tables that begin on a named server.
    pub places: Vec<PlaceSpec>,
    /// Tables of `sys` are spread over servers like those of a user tenant.
    pub spread_sys: bool,
    /// `V$OB_PARAMETERS` has a row per server for `cluster`, not one.
    pub param_rows_all: bool,
    /// What follows when a proxy breaks a rule.
    pub on_violation: OnViolation,
    /// What `BUILD_VERSION` of the servers says.
    pub build_version: String,
    /// How many statements are judged.
    pub judge: JudgeMode,
}

impl Default for Topology {
    /// Three servers in three zones on free ports, tenants `sys` and `test`.
    fn default() -> Self {
        Self {
            name: "obcluster".into(),
            servers: 3,
            zones: 3,
            zone_specs: vec![],
            base: SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1)), 0),
            control: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            config: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            tenants: vec![TenantSpec {
                name: "test".into(),
                servers: vec![],
            }],
            places: vec![],
            spread_sys: false,
            param_rows_all: false,
            on_violation: OnViolation::default(),
            build_version: "4.3.5.3_model".into(),
            judge: JudgeMode::default(),
        }
    }
}

impl Topology {
    /// Address of server `number`, counted from 1, as asked for: its port may be 0.
    ///
    /// # Errors
    /// If the last part of the address leaves its byte.
    pub fn address(&self, number: u32) -> Result<SocketAddr, BadSpec> {
        let IpAddr::V4(first) = self.base.ip() else {
            return Err(BadSpec("the first address must be one of IPv4".into()));
        };
        let [a, b, c, d] = first.octets();
        let last = u8::try_from(u32::from(d) + number.saturating_sub(1))
            .map_err(|_| BadSpec(format!("no address for server {number} behind {first}")))?;
        Ok(SocketAddr::new(
            IpAddr::V4(Ipv4Addr::new(a, b, c, last)),
            self.base.port(),
        ))
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// What is out of range.
    pub fn check(&self) -> Result<(), BadSpec> {
        if !(1..=SERVERS_MAX).contains(&self.servers) {
            return Err(BadSpec(format!("servers: 1 to {SERVERS_MAX}")));
        }
        if !(1..=self.servers).contains(&self.zones) {
            return Err(BadSpec("zones: 1 to the number of servers".into()));
        }
        self.check_zones()?;
        self.address(self.servers)?;
        for tenant in &self.tenants {
            if let Some(n) = tenant.servers.iter().find(|n| **n > self.servers) {
                return Err(BadSpec(format!("tenant {}: no server {n}", tenant.name)));
            }
            if tenant.name == "sys" {
                return Err(BadSpec("tenant sys is always there".into()));
            }
        }
        for place in &self.places {
            if let Some((_, n)) = place.leaves.iter().find(|(_, n)| *n > self.servers) {
                return Err(BadSpec(format!("place {}: no server {n}", place.table)));
            }
        }
        Ok(())
    }

    /// Each server is in one zone.
    fn check_zones(&self) -> Result<(), BadSpec> {
        if self.zone_specs.is_empty() {
            return Ok(());
        }
        for (at, zone) in self.zone_specs.iter().enumerate() {
            let before = self.zone_specs.get(..at).unwrap_or_default();
            if zone.name.is_empty() || before.iter().any(|z| z.name == zone.name) {
                return Err(BadSpec(format!("zone {:?}: no name of its own", zone.name)));
            }
            let is_there = |n: &u32| (1..=self.servers).contains(n);
            if let Some(n) = zone.servers.iter().find(|n| !is_there(n)) {
                return Err(BadSpec(format!("zone {}: no server {n}", zone.name)));
            }
        }
        for n in 1..=self.servers {
            let mentions = self.zone_specs.iter().flat_map(|z| &z.servers);
            match mentions.filter(|m| **m == n).count() {
                0 => return Err(BadSpec(format!("server {n} is in no zone"))),
                1 => {}
                _ => return Err(BadSpec(format!("server {n} is in two zones"))),
            }
        }
        Ok(())
    }

    /// The zone of a server, by its place among the zones.
    #[must_use]
    pub fn zone_of(&self, server: u32) -> usize {
        let named = self.zone_specs.iter();
        let place = named.clone().position(|z| z.servers.contains(&server));
        place.unwrap_or_else(|| (server.saturating_sub(1) % self.zones.max(1)) as usize)
    }
}

/// One zone and its servers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneSpec {
    /// Its name.
    pub name: String,
    /// The data centre; without it `idc` and the place of the zone, from 1.
    pub idc: Option<String>,
    /// The region; without it `r1`.
    pub region: Option<String>,
    /// TYPE: ReadWrite, or ReadOnly for a zone of followers.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Numbers of its servers, from 1.
    pub servers: Vec<u32>,
}

/// A user tenant: `name` or `name:1,3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSpec {
    /// Its name.
    pub name: String,
    /// Numbers of its servers, from 1; empty means all.
    pub servers: Vec<u32>,
}

/// Where leaves of a table begin: `db.table=leaf:server,...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceSpec {
    /// `db.table`.
    pub table: String,
    /// Leaf (from 0) and server (from 1).
    pub leaves: Vec<(u32, u32)>,
}

/// A part of a topology that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSpec(pub String);

impl fmt::Display for BadSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSpec {}

fn number(text: &str) -> Result<u32, BadSpec> {
    text.trim()
        .parse()
        .map_err(|_| BadSpec(format!("no number: {text}")))
}

impl FromStr for TenantSpec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let (name, list) = text.split_once(':').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(BadSpec("a tenant has a name".into()));
        }
        let numbers = list.split(',').filter(|n| !n.is_empty());
        let servers = numbers.map(number).collect::<Result<Vec<_>, _>>()?;
        if servers.contains(&0) {
            return Err(BadSpec("servers count from 1".into()));
        }
        Ok(Self {
            name: name.into(),
            servers,
        })
    }
}

impl FromStr for PlaceSpec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let form = || BadSpec(format!("db.table=leaf:server,...: {text}"));
        let (table, list) = text.split_once('=').ok_or_else(form)?;
        if !table.contains('.') {
            return Err(form());
        }
        let mut leaves = vec![];
        for pair in list.split(',') {
            let (leaf, server) = pair.split_once(':').ok_or_else(form)?;
            let server = number(server)?;
            if server == 0 {
                return Err(BadSpec("servers count from 1".into()));
            }
            leaves.push((number(leaf)?, server));
        }
        Ok(Self {
            table: table.to_ascii_lowercase(),
            leaves,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_follow_the_first() {
        let topology = Topology::default();
        let second = topology.address(2).unwrap();
        assert_eq!(second.to_string(), "127.0.1.2:0");
        let far = Topology {
            base: "127.0.1.250:2881".parse().unwrap(),
            servers: 10,
            ..Topology::default()
        };
        assert!(far.check().is_err());
    }

    #[test]
    fn tenants_and_places_read_as_written() {
        assert_eq!(
            "t1:1,3".parse(),
            Ok(TenantSpec {
                name: "t1".into(),
                servers: vec![1, 3]
            })
        );
        assert!("t1".parse::<TenantSpec>().unwrap().servers.is_empty());
        assert_eq!(
            "Db.T=0:2,1:3".parse(),
            Ok(PlaceSpec {
                table: "db.t".into(),
                leaves: vec![(0, 2), (1, 3)]
            })
        );
        for bad in ["t=0:1", "d.t", "d.t=0", "d.t=0:x", "d.t=0:0"] {
            assert!(bad.parse::<PlaceSpec>().is_err(), "{bad}");
        }
        for bad in ["", ":1", "t:0", "t:x"] {
            assert!(bad.parse::<TenantSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for change in [
            |t: &mut Topology| t.servers = 0,
            |t: &mut Topology| t.zones = 4,
            |t: &mut Topology| t.tenants[0].servers = vec![4],
            |t: &mut Topology| t.tenants[0].name = "sys".into(),
            |t: &mut Topology| t.places = vec!["d.t=0:9".parse().unwrap()],
        ] {
            let mut topology = Topology::default();
            assert!(topology.check().is_ok());
            change(&mut topology);
            assert!(topology.check().is_err());
        }
    }
}
