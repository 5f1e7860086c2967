//! One server, as the cluster and as its clients see it.

use serde::Serialize;
use std::net::SocketAddr;

/// What the process of a server does.
///
/// ```text
/// Serving ── stop, shutdown ──> Stopping ── stop_ms ──> Dead        kill, remove: ──> Dead
///    ^                                                   │
///    └──────────── init_ms ──── Starting <──── start ────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// Just started: errors 8001 to everybody.
    Starting,
    /// Serves.
    Serving,
    /// Is about to end: errors 8002 to new logins and requests.
    Stopping,
    /// Not there: connections are refused.
    Dead,
}

/// What the network does with packets to and from a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Carries them.
    Open,
    /// Connections are made, but nothing is read or written.
    Hung,
    /// Connections cannot be made either: they time out.
    Blackholed,
}

/// One server.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// Its number: ID of `DBA_OB_SERVERS`, counted from 1, never used twice.
    pub id: u32,
    /// Where it serves SQL.
    pub address: SocketAddr,
    /// The port for RPC, which is told only.
    pub rpc_port: u16,
    /// Its zone.
    pub zone: String,
    /// Its process.
    pub process: Process,
    /// The network around it.
    pub network: Network,
    /// STATUS of `DBA_OB_SERVERS`: ACTIVE, INACTIVE or DELETING.
    pub status: String,
    /// Since when it serves, in microseconds; none while it starts.
    pub start_service_us: Option<u64>,
    /// When an administrator stopped it, in microseconds.
    pub stop_us: Option<u64>,
    /// When it was last found gone, in microseconds.
    pub last_offline_us: Option<u64>,
    /// When it came to the cluster, in microseconds.
    pub created_us: u64,
    /// Counts deaths and starts: an event that is due for an earlier life means nothing.
    #[serde(skip)]
    pub(super) life: u32,
}

impl Server {
    /// True when it can lead: it serves and nobody stopped it.
    #[must_use]
    pub const fn can_lead(&self) -> bool {
        matches!(self.process, Process::Serving) && self.stop_us.is_none()
    }
}

/// One zone: a row of `DBA_OB_ZONES`.
#[derive(Clone, Debug, Serialize)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// The data centre.
    pub idc: String,
    /// The region.
    pub region: String,
    /// ACTIVE or INACTIVE.
    pub status: String,
    /// ReadWrite or ReadOnly; a read-only zone holds followers only.
    pub kind: String,
    /// Its tenants are in a major compaction.
    pub is_merging: bool,
}

impl Zone {
    /// True when its servers may lead.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.kind.eq_ignore_ascii_case("ReadOnly")
    }
}
