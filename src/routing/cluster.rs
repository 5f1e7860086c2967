//! What is known of a cluster: its servers, its zones, and how well they are known.

use super::ZoneList;
use crate::base::Tick;
use std::net::SocketAddr;
use std::sync::Arc;

/// How well a cluster is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No round has ended yet; the servers are those of the start-up list.
    Building,
    /// The last round succeeded.
    Ready,
    /// The last round failed, or a part of it; what was known before stays in use.
    Degraded {
        /// What failed, for people: address and answer, or the rows that could not be used.
        cause: Arc<str>,
    },
}

/// What a server can be used for, from its row in `DBA_OB_SERVERS` and its zone's row in
/// `DBA_OB_ZONES`. The first line that fits wins. Source: OceanBase metadata facts, section 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// STOP_TIME is set, or the zone is INACTIVE: an operator has taken it out of service. It
    /// still answers.
    Stopped,
    /// STATUS is ACTIVE but START_SERVICE_TIME is not set: it replays its log.
    Starting,
    /// STATUS is INACTIVE, or any other without START_SERVICE_TIME: it has lost its lease.
    Inactive,
    /// STATUS is ACTIVE.
    Active,
    /// STATUS is DELETING: it still serves.
    Deleting,
    /// STATUS is a text that is not known: it may serve.
    Unknown,
    /// No view tells.
    Untold,
}

impl ServerState {
    /// New work may go there as long as nothing better is known.
    #[must_use]
    pub const fn is_in_service(self) -> bool {
        matches!(
            self,
            Self::Active | Self::Deleting | Self::Unknown | Self::Untold
        )
    }

    /// OBProxy's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "UPGRADE",
            Self::Starting => "REPLAY",
            Self::Inactive => "INACTIVE",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
            Self::Unknown | Self::Untold => "UNKNOWN",
        }
    }
}

/// One server of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// SQL address.
    pub address: SocketAddr,
    /// Name of its zone; empty if not told.
    pub zone: Arc<str>,
    /// What it can be used for.
    pub state: ServerState,
    /// It runs a root service, so it knows the cluster first hand.
    pub is_root: bool,
}

/// What a zone is for. Source: OceanBase metadata facts, section 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZoneKind {
    /// Leaders and followers.
    ReadWrite,
    /// Followers only.
    ReadOnly,
    /// Encrypted logs only.
    Encryption,
}

impl ZoneKind {
    /// OBProxy's word for the replicas of its servers.
    #[must_use]
    pub const fn replica_type(self) -> &'static str {
        match self {
            Self::ReadWrite => "FULL",
            Self::ReadOnly => "READONLY",
            Self::Encryption => "ENCRYPTION_LOGONLY",
        }
    }

    /// The word of the view.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "ReadWrite",
            Self::ReadOnly => "ReadOnly",
            Self::Encryption => "Encryption",
        }
    }
}

/// One zone of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Name.
    pub name: Arc<str>,
    /// The data centre.
    pub idc: Arc<str>,
    /// The region, of several data centres.
    pub region: Arc<str>,
    /// What it is for.
    pub kind: ZoneKind,
    /// STATUS is INACTIVE: it is stopped as a whole.
    pub is_stopped: bool,
    /// Some tenant is in a major compaction here, and not in every zone: it answers slowly
    /// meanwhile. False unless the settings ask for it.
    pub is_merging: bool,
}

/// One cluster as the metadata core last knew it. Immutable; replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Name, as in logins.
    pub name: Arc<str>,
    /// The operator gave the name, so that servers can check it (`__cluster_name`).
    pub is_named: bool,
    /// Rises with each change; an old entry never overwrites a newer one.
    pub version: u64,
    /// In the order of the list. Without cluster views this is the root-server list.
    pub servers: Arc<[Server]>,
    /// In the order of the list; empty without cluster views.
    pub zones: Arc<[Zone]>,
    /// The primary zone of the sys tenant; of other tenants: [`super::Tenant::primary_zone`].
    pub primary_zone: ZoneList,
    /// The cluster has said which servers it has. Without, every tenant is on all of them.
    pub has_views: bool,
    /// How well this is known.
    pub health: Health,
    /// When the metadata core made this version.
    pub published: Tick,
}

impl Cluster {
    /// The server with that SQL address.
    #[must_use]
    pub fn server(&self, address: SocketAddr) -> Option<&Server> {
        self.servers.iter().find(|s| s.address == address)
    }

    /// The zone with that name; case matters not.
    #[must_use]
    pub fn zone(&self, name: &str) -> Option<&Zone> {
        self.zones
            .iter()
            .find(|z| z.name.eq_ignore_ascii_case(name))
    }
}
