//! SHOW PROXYCONGESTION: servers that get no new work. Columns: operations.md 3.4, ours behind
//! OBProxy's. Each core has its own list: a row says of a server what most cores say at worst.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::{Desk, Heard};
use super::lexer::TokenKind;
use super::listing::Listing;
use crate::routing::{Block, BlockRow, Subject};
use std::net::SocketAddr;

/// `SHOW PROXYCONGESTION [ALL] ['cluster']`: with ALL those that are well, too.
pub(super) fn list(_: &mut Desk, statement: &Statement) -> Step {
    match wanted(statement) {
        Some(_) => Step::Gather(Subject::Blocks, rows),
        None => Refusal::step(
            1064,
            "42000",
            "SHOW PROXYCONGESTION takes ALL, 'cluster', both or nothing behind it",
        ),
    }
}

/// Whether all servers are wanted, and of which cluster.
fn wanted(statement: &Statement) -> Option<(bool, Option<&str>)> {
    let (all, tail) = match statement.tail() {
        [word, tail @ ..] if word.is("all") => (true, tail),
        tail => (false, tail),
    };
    match tail {
        [] => Some((all, None)),
        [token] => match &token.kind {
            TokenKind::Text(name) => Some((all, Some(name))),
            _ => None,
        },
        _ => None,
    }
}

/// What all cores together say of one server.
#[derive(Default)]
struct Sum {
    block: Option<Block>,
    cores: usize,
    failures: u32,
    left_ms: u64,
}

fn sum(desk: &Desk, heard: &[BlockRow], server: SocketAddr) -> Sum {
    let mut sum = Sum::default();
    for row in heard.iter().filter(|row| row.server == server) {
        sum.block = sum.block.max(row.block);
        sum.cores += usize::from(row.block.is_some());
        sum.failures = sum.failures.saturating_add(row.failures);
        if row.block.is_some() {
            sum.left_ms = sum.left_ms.max(row.until.since_us(desk.now) / 1_000);
        }
    }
    sum
}

fn rows(desk: &Desk, statement: &Statement, heard: &Heard) -> Reply {
    let mut listing = Listing::new(&[
        "cluster_name",
        "zone_name",
        "region_name",
        "zone_state",
        "server_ip",
        "cr_version#",
        "server_state",
        "alive_congested#",
        "last_alive_congested",
        "dead_congested#",
        "last_dead_congested",
        "stat_alive_failures#",
        "stat_conn_failures#",
        "conn_last_fail_time",
        "conn_failure_events#",
        "alive_last_fail_time",
        "alive_failure_events#",
        "ref_count#",
        "detect_congested#",
        "last_detect_congested",
        "block",
        "cores#",
        "left_ms#",
    ]);
    let (all, name) = wanted(statement).unwrap_or_default();
    let is_wanted = |cluster: &str| name.is_none_or(|name| name == cluster);
    let clusters = desk.clusters.iter().map(|status| &status.cluster);
    for cluster in clusters.filter(|cluster| is_wanted(&cluster.name)) {
        for server in &*cluster.servers {
            let sum = sum(desk, &heard.blocks, server.address);
            let is_out = !server.state.is_in_service();
            if !all && !is_out && sum.block.is_none() {
                continue;
            }
            let zone = cluster.zone(&server.zone);
            let flag = |is_so: bool| Some(u8::from(is_so).to_string());
            let failures = Some(sum.failures.to_string());
            let zero = || Some("0".to_owned());
            listing.row([
                Some(cluster.name.to_string()),
                Some(server.zone.to_string()),
                zone.map(|zone| zone.region.to_string()),
                zone.map(|zone| zone.kind.name().to_owned()),
                Some(server.address.to_string()),
                Some(cluster.version.to_string()),
                Some(server.state.name().to_owned()),
                flag(sum.block.is_some()),
                None,
                flag(is_out),
                None,
                failures.clone(),
                failures.clone(),
                None,
                failures.clone(),
                None,
                failures,
                Some("1".into()),
                // What a probe finds is on the lists of the cores.
                zero(),
                None,
                sum.block.map(|block| block.name().to_owned()),
                Some(sum.cores.to_string()),
                Some(sum.left_ms.to_string()),
            ]);
        }
    }
    Reply::Rows(listing)
}
