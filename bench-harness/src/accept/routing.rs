//! The lines of `accept routing`: "It must show" of issue B2. Every statement goes to the right
//! server first time, and can say why.

use super::command::{TestLine, instructions_of, judge_tests};
use super::operate::measured;
use super::{Job, Table};
use crate::checks::{
    Saw, Setup, cold_table, cores_agree, definitions, merging_zones, moving_leaders, placing,
    read_only_zones, restart, rooms, weak_shares, workloads,
};

const CLUSTER: &[&str] = &["--test", "cluster"];
const MACHINE: &[&str] = &["--test", "metadata"];
const LIVE: &[&str] = &["--test", "locations_live"];
const UNIT: &[&str] = &["--lib"];
const ALLOCATIONS: &[&str] = &["--test", "route_allocations"];

const TESTS: &[TestLine] = &[
    (
        "tables of every kind",
        "all judged statements right first time",
        CLUSTER,
        "routing::statements_go_to_the_leader",
    ),
    (
        "prepared statements",
        "by the parameters of each execute",
        CLUSTER,
        "routing::prepared_statements",
    ),
    (
        "a leader moves",
        "followed <= 50 ms after the look-up",
        CLUSTER,
        "routing::a_leader_that_moves",
    ),
    (
        "weak reads",
        "spread over all replicas",
        CLUSTER,
        "routing::weak_reads",
    ),
    (
        "policies, LDC",
        "only the replicas that are allowed, live",
        CLUSTER,
        "routing::settings_and_variables",
    ),
    (
        "EXPLAIN ROUTE",
        "server and reason, text and JSON",
        CLUSTER,
        "routing::a_route_is_explained",
    ),
    (
        "look-ups",
        "single flight, bounded, never older over newer",
        MACHINE,
        "locations::",
    ),
    (
        "locations of the kernel's tables",
        "every kind described and located",
        LIVE,
        "",
    ),
    (
        "orders and policies",
        "each row of the tables",
        UNIT,
        "routing::",
    ),
    ("a decision", "0 allocations", ALLOCATIONS, ""),
];

/// A check of which servers serve weak reads, with so many reads for each step of a session.
type Zones = fn(&Setup, usize) -> Saw;

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let size = if job.is_long { 100 } else { 8 };
    for name in workloads().filter(|name| job.wants(name)) {
        let saw = placing(&job.setup, name, size);
        table.judge(name, ">= 99.9 % on the server that leads most", saw);
    }
    let name = "weak reads spread";
    if job.wants(name) {
        let reads = if job.is_long { 200_000 } else { 24_000 };
        let bound = "each share within 2 percentage points of 1/3";
        table.judge(name, bound, weak_shares(&job.setup, reads));
    }
    let zones: [(&str, &str, Zones); 3] = [
        (
            "LDC",
            "100 % local while a replica is, else its region",
            rooms,
        ),
        (
            "zones read-only",
            "served by these only, or first",
            read_only_zones,
        ),
        ("zones merging", "served by the others first", merging_zones),
    ];
    for (name, bound, check) in zones.into_iter().filter(|(name, ..)| job.wants(name)) {
        let reads = if job.is_long { 1_000 } else { 60 };
        table.judge(name, bound, check(&job.setup, reads));
    }
    let name = "definitions change";
    if job.wants(name) {
        let bound = "<= 1 astray for each leaf and core, then none";
        table.judge(name, bound, definitions(&job.setup));
    }
    let name = "one cold table, one query";
    if job.wants(name) {
        table.judge(name, "1 look-up for all sessions", cold_table(&job.setup));
    }
    let name = "restart with a snapshot";
    if job.wants(name) {
        let bound = "0 look-ups behind statements, all at their leaders";
        table.judge(name, bound, restart(&job.setup));
    }
    judge_tests(job, table, TESTS);
    let name = "leaders move for 5 minutes";
    if job.wants(name) {
        let bound = "0 errors; none late > 50 ms; misses <= leaves x cores + in flight";
        let seconds = if job.is_long { 300 } else { 20 };
        table.judge(name, bound, moving_leaders(&job.setup, seconds));
    }
    let name = "all cores agree";
    if job.wants(name) {
        let moves = if job.is_long { 120 } else { 20 };
        let bound = "<= 5 ms in the median of the first feedback";
        table.judge(name, bound, cores_agree(&job.setup, moves));
    }
    let name = "instructions of a decision";
    if job.wants(name) {
        table.judge(name, "<= 400", instructions_of(job, "route", "route", 400));
    }
    let name = "CPU of routing over builtin";
    if job.wants(name) {
        let mut words = vec!["--routed", "--only", "point select"];
        if !job.is_long {
            words.push("--quick");
        }
        measured(job, table, name, &words, |what| {
            what.starts_with("CPU") || what.starts_with('%')
        });
    }
}
