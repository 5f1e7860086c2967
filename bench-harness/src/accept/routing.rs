//! The lines of `accept routing`: "It must show" of issue B2. Every statement goes to the right
//! server first time, and can say why.

use super::command::{TestLine, instructions_of, judge_tests};
use super::operate::measured;
use super::{Job, Table};
use crate::checks::{cores_agree, moving_leaders, placing, workloads};

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

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let size = if job.is_long { 100 } else { 8 };
    for name in workloads().filter(|name| job.wants(name)) {
        let saw = placing(&job.setup, name, size);
        table.judge(name, ">= 99.9 % on the server that leads most", saw);
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
