//! SHOW of known tables, and the counters of routing. Columns: operations.md 3.4, ours behind
//! OBProxy's.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::{Desk, Heard};
use super::listing::{Listing, like};
use crate::routing::{
    Hit, Reason, ReplicaKind, Standing, Subject, TableEntry, TableKind, TableName, TableRow,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The columns of SHOW PROXYROUTE ROUTINE, which this proxy has none of.
pub(super) const ROUTINE: &[&str] = &[
    "cluster_name",
    "tenant_name",
    "database_name",
    "package_name",
    "routine_name",
    "state",
    "routine_num#",
    "routine_id#",
    "cluster_version#",
    "schema_version#",
    "create_time",
    "last_valid_time",
    "last_access_time",
    "last_update_time",
    "expire_time",
    "relative_expire_time",
    "route_sql",
];
/// The columns of SHOW PROXYROUTE GLOBALINDEX, which this proxy has none of.
pub(super) const GLOBAL_INDEX: &[&str] = &[
    "table_id#",
    "data_table_id#",
    "index_table_name",
    "state",
    "cluster_version#",
    "schema_version#",
    "create_time",
    "last_valid_time",
    "last_access_time",
    "last_update_time",
    "expire_time",
    "relative_expire_time",
];

/// A list that is always empty here.
pub(super) fn nothing(statement: &Statement, columns: &[&'static str]) -> Step {
    match statement.pattern() {
        Some(_) => Step::Done(Reply::Rows(Listing::new(columns))),
        None => wrong_tail(),
    }
}

/// `SHOW PROXYROUTE [LIKE 'cluster tenant database table']`
pub(super) fn tables(_: &mut Desk, statement: &Statement) -> Step {
    match statement.pattern() {
        Some(_) => Step::Gather(Subject::Tables, list_tables),
        None => wrong_tail(),
    }
}

/// `SHOW PROXYROUTE PARTITION [LIKE 'cluster tenant database table']`
pub(super) fn partitions(_: &mut Desk, statement: &Statement) -> Step {
    match statement.pattern() {
        Some(_) => Step::Gather(Subject::Tables, list_partitions),
        None => wrong_tail(),
    }
}

fn wrong_tail() -> Step {
    Refusal::step(
        1064,
        "42000",
        "SHOW PROXYROUTE takes LIKE 'cluster tenant database table' or nothing behind it",
    )
}

/// What all cores know of one table.
struct Known<'a> {
    /// The newest entry of them.
    newest: &'a TableRow,
    /// Cores that have it.
    cores: u32,
    is_doubted: bool,
    is_asked: bool,
    uses: u64,
    /// How long the slowest of these cores waited for it.
    lag_us: u64,
}

/// The tables that fit a pattern: words for cluster, tenant, database and table, of which the last
/// ones may be left out.
fn known<'a>(rows: &'a [TableRow], pattern: &str) -> impl Iterator<Item = Known<'a>> + use<'a> {
    let words: Vec<_> = pattern.split_whitespace().map(str::to_owned).collect();
    let mut all: BTreeMap<_, Known<'a>> = BTreeMap::new();
    for row in rows {
        let name = row.entry.key.as_name();
        let texts = names(&name);
        let mut words = words.iter().zip(&texts);
        if !words.all(|(word, text)| like(word, text)) {
            continue;
        }
        let lag_us = row.installed.since_us(row.entry.published);
        let known = all.entry(texts).or_insert(Known {
            newest: row,
            cores: 0,
            is_doubted: false,
            is_asked: false,
            uses: 0,
            lag_us: 0,
        });
        if row.entry.version > known.newest.entry.version {
            (known.newest, known.cores, known.lag_us) = (row, 0, 0);
        }
        if row.entry.version == known.newest.entry.version {
            known.cores += 1;
            known.lag_us = known.lag_us.max(lag_us);
        }
        known.is_doubted |= row.is_doubted;
        known.is_asked |= row.is_asked;
        known.uses += u64::from(row.uses);
    }
    all.into_values()
}

fn names(name: &TableName<'_>) -> [String; 4] {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let TableName {
        cluster,
        tenant,
        database,
        name,
    } = name;
    [
        (*cluster).to_owned(),
        text(tenant),
        text(database),
        text(name),
    ]
}

/// OBProxy's words, and ours for what it does not keep.
fn state(known: &Known<'_>) -> &'static str {
    match known.newest.entry.standing {
        Standing::Known if known.is_asked => "UPDATING",
        Standing::Known if known.is_doubted => "DIRTY",
        Standing::Known => "AVAIL",
        Standing::Absent => "ABSENT",
        Standing::Unanswered { .. } => "UNANSWERED",
        Standing::Forgotten => "DELETED",
    }
}

/// `server[0]=ip:port,LEADER,FULL; ...`
fn server_list(entry: &TableEntry, leaf: u32) -> String {
    let Some(place) = entry.locations.leaves().get(leaf as usize) else {
        return String::new();
    };
    let replicas = place.replicas.iter().zip(0..).map(|(held, n)| {
        let server = entry.locations.server(held.server);
        let server = server.map_or_else(String::new, |s: SocketAddr| s.to_string());
        let role = if held.is_leader { "LEADER" } else { "FOLLOWER" };
        let kind = match held.kind {
            ReplicaKind::Full => "FULL",
            ReplicaKind::ReadOnly => "READONLY",
            ReplicaKind::Silent => "LOGONLY",
        };
        format!("server[{n}]={server},{role},{kind}")
    });
    replicas.collect::<Vec<_>>().join("; ")
}

fn list_tables(desk: &Desk, statement: &Statement, heard: &Heard) -> Reply {
    let mut listing = Listing::new(&[
        "cluster_name",
        "tenant_name",
        "database_name",
        "table_name",
        "state",
        "partition_num#",
        "replica_num#",
        "table_id#",
        "cluster_version#",
        "schema_version#",
        "from_rslist",
        "create_time",
        "last_valid_time",
        "last_access_time",
        "last_update_time",
        "expire_time",
        "relative_expire_time",
        "server addr",
        "kind",
        "cause",
        "version#",
        "age_ms#",
        "cores#",
        "lag_us#",
        "uses#",
    ]);
    for known in known(&heard.tables, statement.pattern().unwrap_or_default()) {
        let entry = &known.newest.entry;
        let leaves = entry.locations.leaves();
        let replicas = leaves.first().map_or(0, |leaf| leaf.replicas.len());
        let kind = match (entry.kind, &entry.partitions) {
            (TableKind::Everywhere, _) => "EVERYWHERE",
            (_, None) if leaves.len() > 1 => "UNDESCRIBED",
            (_, None) => "PLAIN",
            _ => "PARTITIONED",
        };
        let cause = match &entry.standing {
            Standing::Unanswered { cause } => Some(cause.to_string()),
            _ => None,
        };
        let age_ms = desk.now.since_us(entry.published) / 1_000;
        let [cluster, tenant, database, name] = names(&entry.key.as_name()).map(Some);
        let number = |n: u64| Some(n.to_string());
        listing.row([
            cluster,
            tenant,
            database,
            name,
            Some(state(&known).into()),
            number(leaves.len() as u64),
            number(replicas as u64),
            number(entry.id),
            Some("0".into()),
            number(entry.schema_version),
            Some("N".into()),
            None,
            None,
            None,
            None,
            None,
            None,
            Some(server_list(entry, 0)),
            Some(kind.into()),
            cause,
            number(entry.version),
            number(age_ms),
            number(u64::from(known.cores)),
            number(known.lag_us),
            number(known.uses),
        ]);
    }
    Reply::Rows(listing)
}

fn list_partitions(desk: &Desk, statement: &Statement, heard: &Heard) -> Reply {
    let mut listing = Listing::new(&[
        "table_id#",
        "partition_id#",
        "state",
        "cluster_version#",
        "schema_version#",
        "create_time",
        "last_valid_time",
        "last_access_time",
        "last_update_time",
        "expire_time",
        "relative_expire_time",
        "server addr",
        "table_name",
        "partition_name",
        "leaf#",
        "age_ms#",
    ]);
    for known in known(&heard.tables, statement.pattern().unwrap_or_default()) {
        let entry = &known.newest.entry;
        let described = entry.partitions.as_ref().map(|table| table.leaves());
        let described = described.unwrap_or_default();
        let age_ms = desk.now.since_us(entry.published) / 1_000;
        let count = match entry.is_located() {
            true => entry.locations.leaves().len(),
            false => 0,
        };
        for leaf in 0..count as u32 {
            let part = described.get(leaf as usize);
            let number = |n: u64| Some(n.to_string());
            let [.., name] = names(&entry.key.as_name());
            listing.row([
                number(entry.id),
                number(part.map_or(0, |part| part.tablet)),
                Some(state(&known).into()),
                Some("0".into()),
                number(entry.schema_version),
                None,
                None,
                None,
                None,
                None,
                None,
                Some(server_list(entry, leaf)),
                Some(name),
                part.map(|part| String::from_utf8_lossy(&part.name).into_owned()),
                number(u64::from(leaf)),
                number(age_ms),
            ]);
        }
    }
    Reply::Rows(listing)
}

/// Counters of look-ups and decisions, for SHOW PROXYSTAT.
pub(super) fn put_counts(desk: &Desk, heard: &Heard, put: &mut impl FnMut(&str, u64)) {
    let cores = || heard.counts.iter();
    let tables = |of: fn(&crate::routing::TableCounts) -> u64| -> u64 {
        cores().map(|core| of(&core.tables)).sum()
    };
    let lookups = |of: fn(&crate::metadata::TableLookups) -> u64| -> u64 {
        let clusters = desk.clusters.iter();
        clusters.map(|status| of(&status.table_lookups)).sum()
    };
    let (fresh, stale) = (tables(|t| t.fresh.get()), tables(|t| t.stale.get()));
    let missing = tables(|t| t.missing.get());
    let (read, failed) = (lookups(|l| l.looked_up), lookups(|l| l.failed));
    // OBProxy's names, for what means the same here.
    put("server_pl_lookup_count", fresh + stale + missing);
    put("get_pl_from_thread_cache_hit", fresh);
    put("get_pl_from_global_cache_hit", lookups(|l| l.at_once));
    put("get_pl_from_remote", read + failed);
    put("get_pl_from_remote_succ", read);
    put("get_pl_from_remote_fail", failed);
    // Ours: a core's own part, then that of the metadata core.
    put("location_fresh", fresh);
    put("location_stale", stale);
    put("location_missing", missing);
    put("location_asked", tables(|t| t.asked));
    put("location_held_back", tables(|t| t.held_back));
    put("location_installed", tables(|t| t.installed));
    put("location_outdated", tables(|t| t.outdated));
    put("location_evicted", tables(|t| t.evicted));
    put("location_cache_asked", lookups(|l| l.asked));
    put("location_cache_at_once", lookups(|l| l.at_once));
    put("location_cache_looked_up", read);
    put("location_cache_failed", failed);
    put("location_cache_batches", lookups(|l| l.batches));
    put("location_cache_questions", lookups(|l| l.questions));
    put("location_cache_of_leaves", lookups(|l| l.of_leaves));
    put("location_cache_followed", lookups(|l| l.followed));
    put("location_cache_in_advance", lookups(|l| l.in_advance));
    put("location_cache_evicted", lookups(|l| l.evicted));
    put("location_cache_tables", lookups(|l| l.tables));
    put("location_cache_bytes", lookups(|l| l.bytes));
    for &reason in Reason::ALL {
        let name = reason.name();
        let made = cores().map(|core| core.decisions.made(reason)).sum();
        put(&format!("route_{name}"), made);
        // A reply without the flag is no hit.
        for (hit, word) in [
            (Hit::Yes, "hit"),
            (Hit::No, "miss"),
            (Hit::Unknown, "unknown"),
        ] {
            let seen = cores().map(|core| core.decisions.seen(reason, hit)).sum();
            put(&format!("route_{word}_{name}"), seen);
        }
    }
}
