//! SHOW of clusters, their tenants, and what the cores know of them. Columns: operations.md 3.4,
//! ours behind OBProxy's.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::{Desk, Heard};
use super::listing::{Listing, like};
use crate::metadata::ClusterStatus;
use crate::routing::{Health, Standing, Subject};

/// The id of a cluster that has no standby.
const CLUSTER_ID: &str = "0";

/// `SHOW PROXYCLUSTER [LIKE 'cluster']`: the servers of each.
pub(super) fn servers(desk: &mut Desk, statement: &Statement) -> Step {
    let mut listing = Listing::new(&[
        "cluster_name",
        "cluster_id#",
        "rs_url",
        "root_addr",
        "role",
        "replica_type",
        "zone",
        "idc",
        "region",
        "zone_type",
        "server_state",
        "root_service",
    ]);
    let Some(clusters) = chosen(desk, statement) else {
        return wrong_tail("SHOW PROXYCLUSTER");
    };
    for status in clusters {
        let cluster = &status.cluster;
        for (n, server) in cluster.servers.iter().enumerate() {
            let zone = cluster.zone(&server.zone);
            let of_zone = |text: Option<&str>| text.unwrap_or_default().to_owned();
            listing.row(
                [
                    cluster.name.to_string(),
                    CLUSTER_ID.into(),
                    String::new(),
                    server.address.to_string(),
                    // OBProxy calls the first of its list so.
                    if n == 0 { "LEADER" } else { "FOLLOWER" }.into(),
                    of_zone(zone.map(|z| z.kind.replica_type())),
                    server.zone.to_string(),
                    of_zone(zone.map(|z| &*z.idc)),
                    of_zone(zone.map(|z| &*z.region)),
                    of_zone(zone.map(|z| z.kind.name())),
                    server.state.name().into(),
                    if server.is_root { "YES" } else { "NO" }.into(),
                ]
                .map(Some),
            );
        }
    }
    Step::Done(Reply::Rows(listing))
}

/// `SHOW PROXYCLUSTER IDC [LIKE 'cluster']`: its data centres.
pub(super) fn idcs(desk: &mut Desk, statement: &Statement) -> Step {
    let columns = ["cluster_name", "cluster_id#", "idc_url", "idc", "region"];
    let mut listing = Listing::new(&columns);
    let Some(clusters) = chosen(desk, statement) else {
        return wrong_tail("SHOW PROXYCLUSTER IDC");
    };
    for status in clusters {
        let mut shown: Vec<(&str, &str)> = vec![];
        for zone in &*status.cluster.zones {
            let place = (&*zone.idc, &*zone.region);
            if shown.contains(&place) {
                continue;
            }
            shown.push(place);
            let name = status.cluster.name.to_string();
            let (idc, region) = (zone.idc.to_string(), zone.region.to_string());
            listing.row([name, CLUSTER_ID.into(), String::new(), idc, region].map(Some));
        }
    }
    Step::Done(Reply::Rows(listing))
}

/// `SHOW PROXYRESOURCE [LIKE 'cluster']`: how well each cluster is known.
pub(super) fn resources(desk: &mut Desk, statement: &Statement) -> Step {
    let mut listing = Listing::new(&[
        "cluster_name",
        "cluster_id#",
        "state",
        "version#",
        "ref_count#",
        "last_access_time_ns#",
        "last_access_time",
        "deleting_completed_thread_num#",
        "fetch_rs_list_task_count#",
        "last_fetch_rs_list_time_ns#",
        "last_fetch_rs_list_time",
        "fetch_idc_list_task_count#",
        "last_fetch_idc_list_time_ns#",
        "last_fetch_idc_list_time",
        "health",
        "cause",
        "age_ms#",
        "root_servers#",
        "servers#",
        "zones#",
        "tenants#",
        "rounds#",
        "rounds_failed#",
        "tenant_lookups#",
    ]);
    let Some(clusters) = chosen(desk, statement) else {
        return wrong_tail("SHOW PROXYRESOURCE");
    };
    for status in clusters {
        let cluster = &status.cluster;
        let (state, health, cause) = match &cluster.health {
            Health::Building => ("CR_INITING", "BUILDING", None),
            Health::Ready => ("CR_AVAIL", "READY", None),
            Health::Degraded { cause } => ("CR_AVAIL", "DEGRADED", Some(cause.to_string())),
        };
        let age_ms = status.confirmed.map(|at| desk.now.since_us(at) / 1_000);
        let number = |n: usize| Some(n.to_string());
        let zero = || Some("0".to_owned());
        // What this proxy does not have: a configuration server's tasks.
        listing.row([
            Some(cluster.name.to_string()),
            Some(CLUSTER_ID.into()),
            Some(state.into()),
            Some(cluster.version.to_string()),
            Some("1".into()),
            zero(),
            None,
            zero(),
            zero(),
            zero(),
            None,
            zero(),
            zero(),
            None,
            Some(health.into()),
            cause,
            age_ms.map(|ms| ms.to_string()),
            number(status.root_servers.len()),
            number(cluster.servers.len()),
            number(cluster.zones.len()),
            number(status.tenants.len()),
            Some(status.rounds.to_string()),
            Some(status.rounds_failed.to_string()),
            Some(status.tenant_lookups.to_string()),
        ]);
    }
    Step::Done(Reply::Rows(listing))
}

/// `SHOW PROXYRESOURCE TENANT [LIKE 'cluster']`: the tenants that were asked for.
pub(super) fn tenants(desk: &mut Desk, statement: &Statement) -> Step {
    let mut listing = Listing::new(&[
        "cluster_name",
        "tenant_name",
        "version#",
        "state",
        "cause",
        "age_ms#",
        "servers",
    ]);
    let Some(clusters) = chosen(desk, statement) else {
        return wrong_tail("SHOW PROXYRESOURCE TENANT");
    };
    for tenant in clusters.flat_map(|status| &status.tenants) {
        let (state, cause) = match &tenant.standing {
            Standing::Known => ("KNOWN", None),
            Standing::Absent => ("ABSENT", None),
            Standing::Unanswered { cause } => ("UNANSWERED", Some(cause.to_string())),
            Standing::Forgotten => ("FORGOTTEN", None),
        };
        let servers: Vec<_> = tenant.servers.iter().map(|s| s.to_string()).collect();
        let age_ms = desk.now.since_us(tenant.published) / 1_000;
        listing.row([
            Some(tenant.cluster.to_string()),
            Some(String::from_utf8_lossy(&tenant.name).into_owned()),
            Some(tenant.version.to_string()),
            Some(state.into()),
            cause,
            Some(age_ms.to_string()),
            Some(servers.join(",")),
        ]);
    }
    Step::Done(Reply::Rows(listing))
}

/// `SHOW PROXYRESOURCE CORE [LIKE 'cluster']`: which version every core has, and how long after it
/// was made the core got it.
pub(super) fn cores(_: &mut Desk, statement: &Statement) -> Step {
    match statement.pattern() {
        Some(_) => Step::Gather(Subject::Replica, list_cores),
        None => wrong_tail("SHOW PROXYRESOURCE CORE"),
    }
}

fn list_cores(_: &Desk, statement: &Statement, heard: &Heard) -> Reply {
    let pattern = statement.pattern().unwrap_or_default();
    let columns = [
        "cluster_name",
        "tenant_name",
        "core#",
        "version#",
        "lag_us#",
    ];
    let mut listing = Listing::new(&columns);
    for stamp in heard.stamps.iter().filter(|s| like(pattern, &s.cluster)) {
        let tenant = stamp.tenant.as_deref().map(String::from_utf8_lossy);
        listing.row([
            Some(stamp.cluster.to_string()),
            tenant.map(|name| name.into_owned()),
            Some(stamp.core.0.to_string()),
            Some(stamp.version.to_string()),
            Some(stamp.lag_us.to_string()),
        ]);
    }
    Reply::Rows(listing)
}

/// The clusters that fit the statement's pattern; `None`: the statement has another tail.
fn chosen<'d>(
    desk: &'d Desk,
    statement: &Statement,
) -> Option<impl Iterator<Item = &'d ClusterStatus> + use<'d>> {
    let pattern = statement.pattern()?.to_owned();
    let clusters = desk.clusters.iter();
    Some(clusters.filter(move |status| like(&pattern, &status.cluster.name)))
}

fn wrong_tail(command: &str) -> Step {
    Refusal::step(
        1064,
        "42000",
        format!("{command} takes LIKE 'cluster' or nothing behind it"),
    )
}
