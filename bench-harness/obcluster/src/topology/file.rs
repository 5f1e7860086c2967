//! A topology in a file: JSON, with the names of the command line.
//!
//! ```json
//! {"cluster": "obcluster", "servers": 4, "base": "127.0.1.1:2881",
//!  "zones": [{"name": "z1", "idc": "near", "region": "r1", "servers": [1, 4]},
//!            {"name": "z2", "type": "ReadOnly", "servers": [2, 3]}],
//!  "tenants": [{"name": "test"}, {"name": "t2", "servers": [1, 2]}],
//!  "places": [{"table": "db.t", "leaves": {"0": 4}}]}
//! ```
//!
//! What is left out is as without a file. A key that is not known is refused.

use super::{BadSpec, PlaceSpec, TenantSpec, Topology, ZoneSpec};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cluster: Option<String>,
    servers: Option<u32>,
    base: Option<SocketAddr>,
    control: Option<SocketAddr>,
    config: Option<SocketAddr>,
    #[serde(default)]
    zones: Vec<ZoneSpec>,
    tenants: Option<Vec<Tenant>>,
    #[serde(default)]
    places: Vec<Place>,
    #[serde(default)]
    spread_sys: bool,
    #[serde(default)]
    param_rows_all: bool,
    build_version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tenant {
    name: String,
    #[serde(default)]
    servers: Vec<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    table: String,
    leaves: BTreeMap<u32, u32>,
}

impl Topology {
    /// Reads a topology from the text of a file.
    ///
    /// # Errors
    /// What in the text is wrong, with its line; or a topology that cannot be.
    pub fn from_json(text: &str) -> Result<Self, BadSpec> {
        let file: File = serde_json::from_str(text).map_err(|e| BadSpec(e.to_string()))?;
        let new = Self::default();
        let servers = file.servers.unwrap_or(new.servers);
        let topology = Self {
            name: file.cluster.unwrap_or(new.name),
            servers,
            zones: new.zones.min(servers),
            zone_specs: file.zones,
            base: file.base.unwrap_or(new.base),
            control: file.control.unwrap_or(new.control),
            config: file.config.unwrap_or(new.config),
            tenants: file.tenants.map_or(new.tenants, |list| {
                let each = list.into_iter().map(|t| TenantSpec {
                    name: t.name,
                    servers: t.servers,
                });
                each.collect()
            }),
            places: file
                .places
                .into_iter()
                .map(|p| PlaceSpec {
                    table: p.table.to_ascii_lowercase(),
                    leaves: p.leaves.into_iter().collect(),
                })
                .collect(),
            spread_sys: file.spread_sys,
            param_rows_all: file.param_rows_all,
            build_version: file.build_version.unwrap_or(new.build_version),
            judge: new.judge,
            on_violation: new.on_violation,
        };
        topology.check()?;
        Ok(topology)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    #[test]
    fn zones_have_the_servers_that_they_name() {
        let text = r#"{"cluster": "ob7", "servers": 4, "base": "127.0.1.1:0",
            "zones": [{"name": "z1", "idc": "near", "region": "r1", "servers": [1, 4]},
                      {"name": "z2", "type": "ReadOnly", "servers": [2, 3]}],
            "tenants": [{"name": "t2", "servers": [1, 2]}],
            "places": [{"table": "Db.T", "leaves": {"0": 1}}]}"#;
        let topology = Topology::from_json(text).unwrap();
        let state = State::new(&topology, &[], 0);
        assert_eq!(state.name, "ob7");
        let zones: Vec<&str> = state.servers.iter().map(|s| s.zone.as_str()).collect();
        assert_eq!(zones, ["z1", "z2", "z2", "z1"]);
        assert_eq!(
            (state.zones[0].idc.as_str(), state.zones[1].idc.as_str()),
            ("near", "idc2")
        );
        assert!(!state.zones[1].is_writable());
        let tenant = state.tenant("t2").unwrap();
        assert_eq!(tenant.servers, [1, 2]);
        // A zone that only reads has no leaders.
        let leaders = tenant.user_streams().iter().map(|s| s.leader());
        assert_eq!(leaders.collect::<Vec<_>>(), [Some(1)]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            (r#"{"server": 3}"#, "unknown field `server`"),
            (r#"{"servers": 0}"#, "servers: 1 to"),
            (
                r#"{"zones": [{"name": "z1", "servers": [9]}]}"#,
                "zone z1: no server 9",
            ),
            (
                r#"{"zones": [{"name": "z1", "servers": [1, 2]}]}"#,
                "server 3 is in no zone",
            ),
            (
                r#"{"servers": 1,
                    "zones": [{"name": "a", "servers": [1]}, {"name": "b", "servers": [1]}]}"#,
                "server 1 is in two zones",
            ),
            ("{", "line 1"),
        ] {
            let error = Topology::from_json(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
