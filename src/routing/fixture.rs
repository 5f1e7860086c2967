//! Clusters and tables for tests.

use super::{
    Cluster, Health, Locations, ReplicaKind, Row, Server, ServerState, Standing, TableEntry,
    TableKey, TableKind, Zone, ZoneKind,
};
use crate::base::Tick;
use std::net::SocketAddr;
use std::sync::Arc;

/// The server of a number.
pub(super) fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, n], 2881))
}

/// A cluster with a server in each of these zones: name, data centre, region.
pub(super) fn cluster(zones: &[(&str, &str, &str)]) -> Cluster {
    let numbered = zones.iter().zip(1_u8..);
    let server = |((zone, ..), n): (&(&str, &str, &str), u8)| Server {
        address: at(n),
        zone: (*zone).into(),
        state: ServerState::Active,
        is_root: false,
    };
    let zone = |(name, idc, region): &(&str, &str, &str)| Zone {
        name: (*name).into(),
        idc: (*idc).into(),
        region: (*region).into(),
        kind: ZoneKind::ReadWrite,
        is_stopped: false,
        is_merging: false,
    };
    Cluster {
        name: "ob1".into(),
        is_named: true,
        version: 1,
        servers: numbered.map(server).collect(),
        zones: zones.iter().map(zone).collect(),
        primary_zone: crate::routing::ZoneList::default(),
        has_views: true,
        health: Health::Ready,
        published: Tick(0),
    }
}

/// Changes a zone.
pub(super) fn zone(cluster: &mut Cluster, name: &str, change: impl Fn(&mut Zone)) {
    let mut zones = cluster.zones.to_vec();
    zones
        .iter_mut()
        .filter(|z| &*z.name == name)
        .for_each(change);
    cluster.zones = zones.into();
}

/// A full replica of a leaf.
pub(super) fn row(leaf: u32, server: u8, is_leader: bool) -> Row {
    Row {
        leaf,
        server: at(server),
        is_leader,
        kind: ReplicaKind::Full,
        is_dup: false,
    }
}

/// The name of a table of tenant `t` in database `d`.
pub(super) fn key(name: &str) -> Arc<TableKey> {
    Arc::new(TableKey {
        cluster: "ob1".into(),
        tenant: b"t".as_slice().into(),
        database: b"d".as_slice().into(),
        name: name.as_bytes().into(),
    })
}

/// A table of so many leaves.
pub(super) fn table(name: &str, version: u64, leaves: u32, rows: &[Row]) -> Arc<TableEntry> {
    let locations = Arc::new(Locations::new(leaves, rows));
    Arc::new(TableEntry {
        key: key(name),
        version,
        standing: Standing::Known,
        published: Tick(0),
        id: 1,
        schema_version: 1,
        kind: TableKind::Stored,
        partitions: None,
        is_dup: locations.has_dup(),
        locations,
    })
}
