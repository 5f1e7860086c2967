//! L3: what is known about clusters, and how it is kept fresh. The only writer of cluster
//! knowledge.
//!
//! One machine on the metadata core. For each configured cluster it runs *rounds*: log in to a root
//! server as `proxyro@sys` (or use the connection of the last round), read servers, zones and
//! tenants, publish what changed to every serving core by mail. A failed round keeps what was
//! known. Between rounds it looks up the servers of tenants and the places of tables that sessions
//! ask for.
//!
//! * [`Metadata`]: the machine.
//! * `cluster.rs`: one cluster, and what cores are told of it.
//! * `round.rs`, `tenants.rs`: its rounds, and the look-ups of its tenants.
//! * `tables.rs`, `table_batch.rs`: the look-ups of its tables, and one of them.
//! * `probes.rs`: whether servers that sessions suspect still answer.
//! * `channel.rs`: the connection that each of the four has.
//! * `snapshot.rs`: the names of used tables as a file.
//! * `source.rs`, `table_source.rs`: the questions, and what the answers mean.
//!
//! In front of a kernel without cluster views the start-up list is the server list, and every
//! tenant is on all of it.

mod channel;
mod cluster;
mod machine;
mod probes;
mod round;
pub mod snapshot;
mod source;
mod table_batch;
mod table_source;
mod tables;
mod tenants;

pub use cluster::ClusterStatus;
pub use machine::Metadata;
pub use tables::TableLookups;

use crate::auth::Stage1;
use crate::config;
use std::net::SocketAddr;

/// A cluster as the operator configured it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Name, as in logins.
    pub name: String,
    /// The operator gave the name, so servers can check it.
    pub is_named: bool,
    /// SQL addresses of root servers; some may be dead.
    pub root_servers: Vec<SocketAddr>,
    /// SHA1 of its own passwords of `proxyro@sys`; the second is tried when the first is refused.
    /// `None`: those of the settings.
    pub passwords: Option<Vec<Stage1>>,
}

/// What the metadata machine needs to know of the settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Longest time between two rounds; each delay is random in `[half, full)`.
    pub interval_ms: u64,
    /// For the TCP connect to one server.
    pub connect_timeout_ms: u64,
    /// From connect to the end of the login, and for one query.
    pub answer_timeout_ms: u64,
    /// How long a suspected server may take to answer; it is asked anew so often.
    pub probe_ms: u64,
    /// A server that has not answered so often is lost.
    pub probes_max: u32,
    /// How long the servers of a tenant are good without a doubt; each time is random in
    /// `[half, full)`. 0: for ever.
    pub tenant_valid_ms: u64,
    /// Ask which zones are in a major compaction.
    pub asks_for_merges: bool,
    /// Bytes of the known tables of one cluster, about.
    pub tables_bytes_max: u64,
    /// Version told to servers.
    pub proxy_version: String,
    /// SHA1 of the passwords of `proxyro@sys`, for clusters without their own.
    pub passwords: Vec<Stage1>,
}

impl Settings {
    /// What the settings of the process say.
    #[must_use]
    pub fn of(settings: &config::Settings) -> Self {
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self {
            interval_ms: millis(settings.server_state_refresh_interval),
            connect_timeout_ms: millis(settings.server_connect_timeout),
            answer_timeout_ms: millis(settings.server_login_timeout),
            probe_ms: millis(settings.server_detect_refresh_interval),
            probes_max: settings.server_detect_fail_threshold,
            tenant_valid_ms: millis(settings.tenant_location_valid_time),
            asks_for_merges: settings.enable_merge_status_check,
            tables_bytes_max: settings.routing_cache_mem_limited,
            proxy_version: config::COMPATIBILITY_VERSION.into(),
            passwords: settings.general_passwords(),
        }
    }
}
