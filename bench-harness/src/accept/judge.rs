//! The lines of `accept judge`: "It must show" of the fourth issue.

use super::cluster::{Foundation, unbroken};
use super::command::{cargo_test, output};
use super::{Job, Table};
use crate::checks::Saw;
use crate::partcheck::judged::judge;
use obcluster::{Cluster, Topology};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Tests of the model cluster itself: name, bound, part of their names.
const MODEL: &[(&str, &str, &str)] = &[
    (
        "verdicts, statement by statement",
        "0 tests fail",
        "judge::",
    ),
    (
        "state left out, in all framings",
        "each piece by its name; a right client: nothing",
        "shadow::",
    ),
    (
        "transactions, locks, ids of others",
        "each by its name; a right client: nothing",
        "rules::",
    ),
    (
        "feedback",
        "as the rule says, in all framings; its switches",
        "feedback::",
    ),
];

/// Tests of obring in front of the model: each ends with a look for broken rules.
const THROUGH: &[&str] = &["--features", "e2e", "--test", "cluster"];

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let own = job.root.join("tests/partition");
    let other = job
        .vectors
        .as_deref()
        .map(|folder| ("other vectors", folder));
    for (name, folder) in std::iter::once(("vectors", own.as_path())).chain(other) {
        let name = format!("verdicts: {name}");
        if job.wants(&name) {
            let bound = "0 wrong; unknown by reason";
            table.judge(&name, bound, vectors(folder, job.setup.kernel));
        }
    }
    for (name, bound, filter) in MODEL {
        if job.wants(name) {
            table.judge(name, bound, model_test(job, filter));
        }
    }
    if job.wants("tests of obring through the model") {
        let name = "tests of obring through the model";
        table.judge(name, "0 fail, 0 broken rules", cargo_test(job, THROUGH, ""));
    }
    through(job, table);
}

/// The lines of `accept foundation` through the model, and what it says of all their statements.
fn through(job: &Job, table: &mut Table) {
    let name = "foundation through the model";
    if !job.wants(name) {
        return;
    }
    let cluster = match Cluster::start(Topology::default(), job.setup.kernel) {
        Ok(cluster) => cluster,
        Err(e) => return table.judge(name, "starts", Err(e.to_string())),
    };
    let lines = Foundation {
        framing: "OceanBase 2.0",
        settings: "server_protocol=OceanBase 2.0",
        only: "",
        without: "",
    };
    lines.run(job, table, &cluster);
    table.judge(&format!("{name}: rules"), "0 broken", unbroken(&cluster));
    let name = format!("{name}: verdicts");
    table.judge(&name, "shown; unknown apart", told(&cluster));
}

/// What was judged, by class.
fn told(cluster: &Cluster) -> Saw {
    let verdicts = cluster.counters().verdicts;
    let lines: Vec<_> = verdicts
        .0
        .iter()
        .map(|(class, tally)| {
            let unknown: Vec<_> = tally
                .unknown
                .iter()
                .map(|(r, n)| format!("{r:?} {n}"))
                .collect();
            format!(
                "{class}: {} statements, {} judged, {} right, {} wrong, {} spread, {} misses told; \
             unknown: {}",
                tally.statements,
                tally.judged,
                tally.right,
                tally.wrong,
                tally.spread,
                tally.misses_sent,
                if unknown.is_empty() {
                    "none".into()
                } else {
                    unknown.join(", ")
                },
            )
        })
        .collect();
    match verdicts.of("all").judged {
        0 => Err("nothing was judged".into()),
        _ => Ok(lines.join("\n")),
    }
}

/// Tests of the model cluster whose name contains `filter`; none at all is a failure.
fn model_test(job: &Job, filter: &str) -> Saw {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--release", "-p", "obcluster", "--features", "e2e"])
        .args(["--test", "cluster", "--", filter])
        .env("OBRING_KERNEL", job.setup.kernel.to_string())
        .current_dir(&job.root);
    let (text, is_good) = output(command, 1_800)?;
    let result = text.lines().find(|l| l.starts_with("test result:"));
    let result = result.unwrap_or_default().to_owned();
    match is_good && result.contains(" ok. ") && !result.contains(" ok. 0 passed") {
        true => Ok(result),
        false => Err(text),
    }
}

/// The recorded INSERT, prepared, WHERE and join statements of a folder: each verdict is the
/// recorded leaves, or all, or unknown.
fn vectors(folder: &Path, kernel: SocketAddr) -> Saw {
    let seen = judge(folder, kernel)?;
    let saw = format!("{seen}\n{}{}", seen.wrong.join("\n"), seen.fails.join("\n"));
    match seen.wrong.is_empty() && seen.count(|_| true) > 0 {
        true => Ok(saw),
        false => Err(saw),
    }
}
