//! The lines of `accept outcome`: "It must show" of issue C2. Whatever fails, the client knows what
//! happened.

use super::command::{TestLine, judge_tests};
use super::{Job, Table};
use crate::checks::ledger;
use std::time::Duration;

const CLUSTER: &[&str] = &["--test", "cluster"];
const END_TO_END: &[&str] = &["--test", "e2e"];
const SIMULATED: &[&str] = &["--test", "sim_session"];
const PAIR: &[&str] = &["--test", "session_pair"];

const TESTS: &[TestLine] = &[
    (
        "a server is lost",
        "one error with an outcome, the session goes on",
        CLUSTER,
        "outcome::",
    ),
    (
        "a transaction loses a server",
        "rolled back, said so, the session goes on",
        CLUSTER,
        "transactions::a_transaction_that_loses",
    ),
    (
        "wrong frames",
        "found, told, or repeated in silence",
        CLUSTER,
        "framing::wrong_frames",
    ),
    (
        "a reply cut at every byte",
        "one error with an outcome, or cut inside a packet",
        PAIR,
        "",
    ),
    (
        "KILL and connection ids",
        "rights, ids, ends and texts are right",
        CLUSTER,
        "kills::",
    ),
    (
        "reroute",
        "runs once, on the server that is named",
        CLUSTER,
        "reroute::",
    ),
    (
        "OceanBase's drivers",
        "frames, prepare-execute where the rows are",
        CLUSTER,
        "drivers::",
    ),
    (
        "clients without the native plugin",
        "log in on the kernel",
        END_TO_END,
        "full_login::",
    ),
    (
        "2,000 simulated worlds",
        "each error has the right outcome, nothing runs twice, nobody waits for ever",
        SIMULATED,
        "",
    ),
];

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    judge_tests(job, table, TESTS);
    let name = "ledger under faults";
    if job.wants(name) {
        let seconds = if job.is_long { 600 } else { 60 };
        let bound = "nothing lost or doubled, each error has an outcome, no bare close";
        let saw = ledger(&job.setup, Duration::from_secs(seconds));
        table.judge(name, bound, saw);
    }
}
