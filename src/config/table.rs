//! The table of settings, and the typed values made from it.

use super::quantity::{DAY, HOUR, KB, MS, S};
use super::reader::{self, Reader};
use super::{
    Bounds, Cluster, FullAuthentication, IdleRow, Kind, RoutingMode, ServerProtocol, Stage1,
    WeakReader,
};
use crate::base::Level;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a change of a setting reaches while the proxy runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// Everything, at once.
    Live,
    /// Sessions that begin later.
    NewSessions,
    /// Only the next start.
    Restart,
}

impl Reload {
    /// As the reference names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::NewSessions => "new sessions",
            Self::Restart => "restart",
        }
    }
}

/// Whose name a setting has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// OBProxy's, with its meaning.
    Odp,
    /// obring's own.
    Own,
}

impl Origin {
    /// As the reference names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Odp => "OBProxy",
            Self::Own => "obring",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Row {
    /// Name, lower case.
    pub name: &'static str,
    /// What sort of value.
    pub kind: Kind,
    /// The value when nobody gives one.
    pub default: &'static str,
    /// Smallest and largest value.
    pub bounds: Bounds,
    /// What a change reaches.
    pub reload: Reload,
    /// Whose name it is.
    pub origin: Origin,
    /// The version that has it first.
    pub since: &'static str,
    /// What it means.
    pub doc: &'static str,
    pub(super) assign: fn(&mut Settings, &str) -> Result<(), String>,
    pub(super) show: fn(&Settings) -> String,
}

impl Row {
    /// The row of a name; upper and lower case are the same.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name))
    }

    /// What may be written.
    #[must_use]
    pub fn allowed(&self) -> String {
        self.kind.allowed(self.bounds)
    }

    /// The value in use, as it could be written in the file; a secret as `***`.
    #[must_use]
    pub fn value(&self, settings: &Settings) -> String {
        (self.show)(settings)
    }
}

/// Session ids of one proxy: the bits that a session id has for core and sequence. Source:
/// OceanBase client session id, version 2.
const SESSION_IDS: u64 = 1 << 17;

impl Settings {
    /// The value of a setting without effect.
    #[must_use]
    pub fn idle_value(&self, row: &'static IdleRow) -> &str {
        self.idle.get(row.name).map_or(row.default, String::as_str)
    }

    pub(super) fn set_idle(&mut self, row: &'static IdleRow, value: String) {
        match value == row.default {
            true => self.idle.remove(row.name),
            false => self.idle.insert(row.name, value),
        };
    }
}

macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty as $reader:ident = $default:literal in $bounds:expr,
            $reload:ident, $origin:ident, since $since:literal;
    )+) => {
        /// The values in use. A field's document is the setting's.
        #[derive(Clone, PartialEq, Debug)]
        pub struct Settings {
            $($(#[doc = $doc])+ pub $name: $type,)+
            /// What is served. Never empty; the first is the default of a login without a cluster.
            pub clusters: Vec<Cluster>,
            /// Values of settings without effect ([`IdleRow`]) that are not the default.
            pub idle: BTreeMap<&'static str, String>,
            /// Serving cores are pinned: `cpu_affinity`, and a CPU for each of them.
            pub is_pinned: bool,
        }

        impl Settings {
            /// What the table says, before any other source.
            pub(super) fn of_table() -> Self {
                Self {
                    $($name: reader::$reader::read($default, $bounds)
                        .expect("a default of the table is valid (tested)"),)+
                    clusters: vec![],
                    idle: BTreeMap::new(),
                    is_pinned: false,
                }
            }
        }

        /// All settings, in the order of the reference.
        pub static TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            kind: <reader::$reader as Reader>::KIND,
            default: $default,
            bounds: $bounds,
            reload: Reload::$reload,
            origin: Origin::$origin,
            since: $since,
            doc: concat!($($doc),+),
            assign: |settings, text| {
                settings.$name = reader::$reader::read(text, $bounds)?;
                Ok(())
            },
            show: |settings| reader::$reader::show(&settings.$name),
        },)+];
    };
}

settings! {
    /// Port for MySQL clients; 0 takes a free one, which the line `event=listening` names.
    listen_port: u16 as Port = "2883" in Bounds::ANY, Restart, Odp, since "0.1";
    /// Address for clients; with an IPv6 address there are no IPv4 clients.
    local_bound_ip: IpAddr as Address = "0.0.0.0" in Bounds::ANY, Restart, Odp, since "0.1";
    /// Serving cores; 0 takes the CPUs of this process less one for the metadata core, at least 1.
    work_thread_num: u32 as Int = "0" in Bounds::new(0, 128), Restart, Odp, since "0.1";
    /// Pin each serving core to a CPU, unless there are more cores than CPUs.
    cpu_affinity: bool as Switch = "True" in Bounds::ANY, Restart, Own, since "0.1";
    /// SQL addresses of the root servers of the start-up cluster.
    rootservice_list: Vec<SocketAddr> as Servers = "" in Bounds::ANY, Restart, Odp, since "0.1";
    /// Name of the start-up cluster; servers check it against their own only if it is given.
    rootservice_cluster_name: String as Text = "undefined" in Bounds::new(1, 127),
        Restart, Odp, since "0.1";
    /// Name of this proxy, for people.
    app_name: String as Text = "undefined" in Bounds::new(1, 127), Restart, Odp, since "0.1";
    /// Number of this proxy, part of session ids, so unique in front of a cluster; 0 draws one of
    /// 1..8191 and keeps it.
    proxy_id: u32 as Int = "0" in Bounds::new(0, 8191), Restart, Odp, since "0.1";
    /// Version that clients are greeted with.
    mysql_version: String as Version = "5.7.25" in Bounds::ANY, NewSessions, Odp, since "0.1";
    /// Password of proxyro@sys; the default is the published one of deployments.
    observer_sys_password: Option<Stage1> as Password = "ee0e5138c912aed80b683c05303684be347ce81d"
        in Bounds::ANY, Live, Odp, since "0.1";
    /// Second password of proxyro@sys, tried when the first is refused: for changing it.
    observer_sys_password1: Option<Stage1> as Password = ""
        in Bounds::ANY, Live, Odp, since "0.1";
    /// Password of root@proxysys, the administrator; the default is the published one of
    /// deployments.
    obproxy_sys_password: Option<Stage1> as Password = "f0455d5edb4833fa2e91762e71b61bc35d45cf0b"
        in Bounds::ANY, Live, Odp, since "0.2";
    /// Let root@proxysys log in from public addresses.
    skip_proxy_sys_private_check: bool as Switch = "False" in Bounds::ANY, Live, Odp, since "0.2";
    /// Client connections at once, over all cores; of more, only root@proxysys may log in.
    client_max_connections: u32 as Int = "8192" in Bounds::new(1, SESSION_IDS),
        Live, Odp, since "0.1";
    /// From accept to the end of the login; then the client is cut.
    client_login_timeout: Duration as Time = "10s" in Bounds::new(100 * MS, HOUR),
        NewSessions, Own, since "0.1";
    /// Clients that announce caching_sha2_password send their password, encrypted; auto: those
    /// without mysql_native_password.
    full_authentication: FullAuthentication as Rule = "auto" in Bounds::ANY,
        NewSessions, Own, since "0.5";
    /// For the TCP connect to one server; then the next server is tried.
    server_connect_timeout: Duration as Time = "1s" in Bounds::new(10 * MS, HOUR),
        Live, Own, since "0.1";
    /// From connect to the end of the login on one server; then the next server is tried.
    server_login_timeout: Duration as Time = "5s" in Bounds::new(10 * MS, HOUR),
        Live, Own, since "0.1";
    /// A statement without answer for `ob_query_timeout` and this is given up; not DDL, CALL, DO.
    observer_query_timeout_delta: Duration as Time = "20s" in Bounds::new(S, 30 * S),
        Live, Odp, since "0.5";
    /// Servers that fail too often get no new work for a while.
    enable_congestion: bool as Switch = "True" in Bounds::ANY, Live, Odp, since "0.5";
    /// So many failures within `congestion_fail_window` are too many; 0: any number is fine.
    congestion_failure_threshold: u32 as Int = "5" in Bounds::new(0, 1 << 20),
        Live, Odp, since "0.5";
    /// How long a failure of a server counts.
    congestion_fail_window: Duration as Time = "120s" in Bounds::new(S, HOUR),
        Live, Odp, since "0.5";
    /// How long a server that failed too often gets no new work.
    congestion_retry_interval: Duration as Time = "20s" in Bounds::new(S, HOUR),
        Live, Odp, since "0.5";
    /// Servers that answer nobody are asked whether they are there; 0: not, 1 and 2: those that are
    /// used.
    server_detect_mode: u32 as Int = "1" in Bounds::new(0, 2), Live, Odp, since "0.5";
    /// A server that answers nobody for so long is asked, and may take so long to answer.
    server_detect_refresh_interval: Duration as Time = "1s" in Bounds::new(MS, HOUR),
        Live, Odp, since "0.5";
    /// A server that was asked so often without an answer is lost, with what runs there.
    server_detect_fail_threshold: u32 as Int = "3" in Bounds::new(1, 10_000),
        Live, Odp, since "0.5";
    /// Framing asked of servers; Auto is OceanBase 2.0 where a server grants it, else MySQL.
    server_protocol: ServerProtocol as Protocol = "Auto" in Bounds::ANY,
        NewSessions, Odp, since "0.3";
    /// Drivers of OceanBase that ask for OceanBase 2.0 framing get it.
    enable_ob_protocol_v2_with_client: bool as Switch = "False" in Bounds::ANY,
        NewSessions, Odp, since "0.5";
    /// Where a statement goes that may run anywhere; random is for tests.
    server_routing_mode: RoutingMode as Mode = "oceanbase" in Bounds::ANY,
        Live, Odp, since "0.4";
    /// In OceanBase 2.0 framing, statements of a transaction run on several servers where these
    /// allow it; off: all on the server that it began on.
    enable_transaction_internal_routing: bool as Switch = "True" in Bounds::ANY,
        Live, Odp, since "0.5";
    /// In OceanBase 2.0 framing, a server that is the wrong one for a statement may name the right
    /// one instead of running it.
    enable_reroute: bool as Switch = "False" in Bounds::ANY, Live, Odp, since "0.5";
    /// The same for weak reads.
    enable_weak_reroute: bool as Switch = "True" in Bounds::ANY, Live, Odp, since "0.5";
    /// With a level over 0, servers compress OceanBase 2.0 replies, at a level of their own.
    compression_algorithm: Option<u8> as Compression = "" in Bounds::ANY,
        NewSessions, Odp, since "0.3";
    /// Longest time between two looks at a cluster's servers; each wait is random in [half, full).
    server_state_refresh_interval: Duration as Time = "20s" in Bounds::new(10 * MS, HOUR),
        Live, Odp, since "0.1";
    /// How long a tenant's servers are good without a doubt; random in [half, full), 0 for ever.
    tenant_location_valid_time: Duration as Time = "1d" in Bounds::new(0, 100 * DAY),
        Live, Odp, since "0.3";
    /// Calculate which partitions a statement touches; off: a partitioned table is one place.
    enable_partition_table_route: bool as Switch = "True" in Bounds::ANY, Live, Odp, since "0.4";
    /// Policy of weak reads: FOLLOWER_FIRST, UNMERGE_FOLLOWER_FIRST, FOLLOWER_ONLY; another word is
    /// MERGE_IDC_ORDER.
    proxy_route_policy: String as Text = "" in Bounds::new(0, 127), Live, Odp, since "0.4";
    /// Zones that statements must keep to, `z1,z2;z3`: z3 when z1 and z2 are out; empty: any.
    proxy_primary_zone_name: String as Text = "" in Bounds::new(0, 4095), Live, Odp, since "0.4";
    /// Data centre of this proxy: servers there come first, then those of its region.
    proxy_idc_name: String as Text = "" in Bounds::new(0, 127), Live, Odp, since "0.4";
    /// Servers that get every statement, in this order; `,` divides as `;` does; empty: no forced
    /// ones.
    target_db_server: Vec<SocketAddr> as Targets = "" in Bounds::ANY, Live, Odp, since "0.4";
    /// Reads outside of transactions are weak.
    enable_read_write_split: bool as Switch = "False" in Bounds::ANY, Live, Odp, since "0.4";
    /// With `enable_read_write_split`: also reads with autocommit = 0 before a transaction begins.
    enable_transaction_split: bool as Switch = "False" in Bounds::ANY, Live, Odp, since "0.4";
    /// 1: sessions read weakly, as with `ob_read_consistency` = 2; 0: as they say themselves.
    obproxy_read_consistency: u32 as Int = "0" in Bounds::new(0, 1), Live, Odp, since "0.4";
    /// Users who read weakly, `user@tenant;*@tenant`, as with `ob_read_consistency` = 2.
    weak_read_user_list: Vec<WeakReader> as WeakReaders = "" in Bounds::ANY, Live, Odp, since "0.4";
    /// Strong statements of unknown place go to the tenant's primary zone.
    enable_primary_zone: bool as Switch = "True" in Bounds::ANY, Live, Odp, since "0.4";
    /// Statements without a table stay on the server of the statement before.
    enable_cached_server: bool as Switch = "True" in Bounds::ANY, Live, Odp, since "0.4";
    /// While a doubted location is looked up, statements soon go by the old one; off: they wait.
    enable_async_pull_location_cache: bool as Switch = "True" in Bounds::ANY,
        Live, Odp, since "0.4";
    /// How long a statement waits for the look-up of a doubted location, then goes by the old one.
    stale_location_wait: Duration as Time = "2ms" in Bounds::new(0, S), Live, Own, since "0.4";
    /// How long a statement waits for the first look-up of a table, then goes without a location.
    cold_location_wait: Duration as Time = "1s" in Bounds::new(0, 60 * S), Live, Own, since "0.4";
    /// Longest pause between look-ups of a location that is doubted again and found the same.
    delay_update_entry_interval: Duration as Time = "5s" in Bounds::new(0, DAY),
        Live, Odp, since "0.4";
    /// A location this old is looked up again when it is used; random in [half, full), 0 never.
    location_expire_period_time: Duration as Time = "0" in Bounds::new(0, 30 * DAY),
        Live, Odp, since "0.4";
    /// Memory of the known locations of one cluster; the longest unused ones make room.
    routing_cache_mem_limited: u64 as Size = "128MB" in Bounds::new(KB, 100 << 30),
        Live, Odp, since "0.4";
    /// Ask which zones are in a major compaction, and use them last; OBProxy does not on version 4.
    enable_merge_status_check: bool as Switch = "False" in Bounds::ANY, Live, Own, since "0.4";
    /// Keep the names of used tables in `etc/locations.snapshot`; look them up at a tenant's first
    /// login.
    location_prefetch: bool as Switch = "True" in Bounds::ANY, Live, Own, since "0.4";
    /// On SIGTERM: how long clients may finish what they run; then they are cut.
    drain_timeout: Duration as Time = "30s" in Bounds::new(0, DAY), Live, Own, since "0.1";
    /// Memory, over all cores, for output that clients are slow to read; over it the largest users
    /// are cut.
    spill_memory_limited: u64 as Size = "256MB" in Bounds::new(4 * KB, 1 << 40),
        Restart, Own, since "0.1";
    /// Log lines of this level and above are written.
    syslog_level: Level as LogLevel = "INFO" in Bounds::ANY, Live, Odp, since "0.1";
    /// Log file; empty is stderr, or `log/obring.log` for a daemon. SIGHUP reopens it.
    log_file: String as Text = "" in Bounds::new(0, 4095), Restart, Own, since "0.1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn defaults_are_valid_and_read_back() {
        let settings = Settings::of_table();
        for row in TABLE {
            let shown = row.value(&settings);
            assert_eq!(
                shown.contains("***"),
                row.kind.is_secret() && !row.default.is_empty()
            );
            if !row.kind.is_secret() {
                let mut again = Settings::of_table();
                (row.assign)(&mut again, &shown).unwrap();
                assert_eq!(again, settings, "{}", row.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_obproxys_own_where_said() {
        let names: HashSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for row in TABLE {
            let is_odp = super::super::idle::is_odp_name(row.name);
            assert_eq!(is_odp, row.origin == Origin::Odp, "{}", row.name);
        }
    }

    #[test]
    fn documents_are_one_sentence() {
        for row in TABLE {
            let doc = row.doc.trim();
            assert!(doc.ends_with('.') && doc.len() < 160, "{}: {doc}", row.name);
        }
    }

    #[test]
    fn bounds_are_kept() {
        for (name, text, fits) in [
            ("work_thread_num", "128", true),
            ("work_thread_num", "129", false),
            ("proxy_id", "8191", true),
            ("proxy_id", "8192", false),
            ("client_max_connections", "0", false),
            ("client_max_connections", "131072", true),
            ("client_max_connections", "131073", false),
            ("client_login_timeout", "1h", true),
            ("client_login_timeout", "61m", false),
            ("server_state_refresh_interval", "10ms", true),
            ("server_state_refresh_interval", "9ms", false),
            ("drain_timeout", "0", true),
            ("spill_memory_limited", "4KB", true),
            ("spill_memory_limited", "4095b", false),
            ("app_name", "", false),
            ("local_bound_ip", "::1", true),
            ("local_bound_ip", "127.0.0.1:2883", false),
        ] {
            let row = Row::find(name).unwrap();
            let result = (row.assign)(&mut Settings::of_table(), text);
            assert_eq!(result.is_ok(), fits, "{name}={text}: {result:?}");
        }
    }
}
