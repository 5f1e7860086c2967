//! A core that knows one table, and statements on their way through it.

use obring::base::Tick;
use obring::partition::{self, Context};
use obring::routing::{
    Blocks, Cluster, Consistency, Health, Loads, Locations, Preferences, ReplicaKind, Routed, Row,
    Server, ServerState, Standing, Statement, StrongBy, TableEntry, TableKey, TableKind, Tables,
    View, WeakBy, Zone, ZoneKind, route,
};
use obring::sql::{Scan, Syntax};
use std::net::SocketAddr;
use std::sync::Arc;

const NOW: Tick = Tick(1);
const POINT_SELECT: &[u8] = b"SELECT c FROM sbtest1 WHERE id=12345";
const SERVERS: u8 = 3;

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, n], 2881))
}

/// A table by HASH of a bigint over 16 partitions; each has a replica on every server.
fn entry() -> TableEntry {
    let table = partition::Table::by_hash(b"id", (0..16).map(|n| (&b"p"[..], n)));
    let rows = (0..16).flat_map(|leaf| {
        (0..SERVERS).map(move |server| Row {
            leaf,
            server: at(server + 1),
            is_leader: leaf % u32::from(SERVERS) == u32::from(server),
            kind: ReplicaKind::Full,
            is_dup: false,
        })
    });
    TableEntry {
        key: Arc::new(TableKey {
            cluster: "obcluster".into(),
            tenant: b"tenant1".as_slice().into(),
            database: b"sbtest".as_slice().into(),
            name: b"sbtest1".as_slice().into(),
        }),
        version: 1,
        standing: Standing::Known,
        published: NOW,
        id: 1,
        schema_version: 1,
        kind: TableKind::Stored,
        partitions: Some(Arc::new(table)),
        locations: Arc::new(Locations::new(16, &rows.collect::<Vec<_>>())),
        is_dup: false,
    }
}

fn cluster() -> Cluster {
    let server = |n: u8| Server {
        address: at(n),
        zone: format!("z{n}").into(),
        state: ServerState::Active,
        is_root: false,
    };
    let zone = |n: u8| Zone {
        name: format!("z{n}").into(),
        idc: "idc1".into(),
        region: "r1".into(),
        kind: ZoneKind::ReadWrite,
        is_stopped: false,
        is_merging: false,
    };
    Cluster {
        name: "obcluster".into(),
        is_named: true,
        version: 1,
        servers: (1..=SERVERS).map(server).collect(),
        zones: (1..=SERVERS).map(zone).collect(),
        primary_zone: obring::routing::ZoneList::default(),
        has_views: true,
        health: Health::Ready,
        published: NOW,
    }
}

/// What a core knows, and a point select as it was read.
pub(crate) struct Core {
    tables: Tables,
    cluster: Cluster,
    blocks: Blocks,
    loads: Loads,
    preferences: Preferences,
    scan: Scan,
}

impl Core {
    pub(crate) fn new() -> Self {
        let mut tables = Tables::default();
        assert!(tables.install(NOW, Arc::new(entry())));
        let mut scan = Scan::default();
        scan.read(POINT_SELECT, Syntax::default(), true);
        Self {
            tables,
            cluster: cluster(),
            blocks: Blocks::default(),
            loads: Loads::default(),
            preferences: Preferences::default(),
            scan,
        }
    }

    /// The server of a point select, strong or weak, so many times.
    pub(crate) fn route(&self, is_weak: bool, count: u64) -> SocketAddr {
        let context = Context {
            database: b"sbtest",
            ..Context::default()
        };
        let view = View {
            cluster: &self.cluster,
            tenant: None,
            blocks: &self.blocks,
            loads: &self.loads,
            preferences: &self.preferences,
        };
        let mut last = at(0);
        for seed in 0..count {
            let statement = Statement {
                text: POINT_SELECT,
                scan: &self.scan,
                context: &context,
                cluster: "obcluster",
                tenant: b"tenant1",
                consistency: match is_weak {
                    true => Consistency::Weak(WeakBy::Hint),
                    false => Consistency::Strong(StrongBy::Default),
                },
                has_written_dup: false,
                pin: None,
                current: None,
                tried: &[],
                is_impatient: false,
                seed,
            };
            let statement = std::hint::black_box(&statement);
            let Routed::To(choice, _) = route(NOW, &self.tables, &view, statement) else {
                panic!("no server");
            };
            last = std::hint::black_box(choice.server);
        }
        last
    }
}
