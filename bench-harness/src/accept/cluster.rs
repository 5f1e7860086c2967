//! The lines of `accept cluster-basics`: "It must show" of the third issue.

use super::command::{TestLine, judge_tests, output};
use super::{Job, Table};
use crate::checks::{self, Saw};
use obcluster::{BrokenRule, Cluster, Topology};
use std::process::Command;

const CLUSTER: &[&str] = &["--test", "cluster"];
const MACHINE: &[&str] = &["--test", "metadata"];
const WORLD: &[&str] = &["--test", "sim_session"];

const TESTS: &[TestLine] = &[
    (
        "a server is added",
        "used within one round",
        CLUSTER,
        "a_server_that_is_added",
    ),
    (
        "a server is stopped, removed",
        "not used, nobody notices; state: one error",
        CLUSTER,
        "a_server_that_is_stopped",
    ),
    (
        "a server dies, sessions idle",
        "nobody notices",
        CLUSTER,
        "idle_sessions_do_not_notice",
    ),
    (
        "a start-up list half dead",
        "starts, finds all servers",
        CLUSTER,
        "a_start_up_list",
    ),
    (
        "two clusters",
        "each client on its own, own passwords",
        CLUSTER,
        "several::",
    ),
    (
        "a tenant moves",
        "next statement works, 1 look-up, all cores",
        CLUSTER,
        "tenants::a_tenant_that_moves",
    ),
    (
        "200 logins to a new tenant",
        "1 look-up",
        CLUSTER,
        "two_hundred_logins",
    ),
    (
        "tenants, absent and moved",
        "asked for once",
        CLUSTER,
        "tenants::",
    ),
    (
        "sys tenant in trouble",
        "known tenants go on; cause and age shown",
        CLUSTER,
        "troubles::",
    ),
    (
        "framings",
        "as set, seen by the model",
        CLUSTER,
        "framing::",
    ),
    ("metadata machine", "0 tests fail", MACHINE, ""),
    (
        "simulated clusters that change",
        "0 seeds fail",
        WORLD,
        "a_cluster_that_changes",
    ),
];

/// Framings of server links: name, and the settings that ask for them.
const FRAMINGS: &[(&str, &str)] = &[
    ("plain", "server_protocol=MySQL"),
    ("checksum", "server_protocol=Compressed MySQL"),
    ("OceanBase 2.0", "server_protocol=OceanBase 2.0"),
    (
        "OceanBase 2.0 compressed",
        "server_protocol=OceanBase 2.0,compression_algorithm=zlib:6",
    ),
];

/// Broken rules that are shown.
const SHOWN_MAX: usize = 20;
/// Requests of the session that broke the first of them that are shown.
const STORY_MAX: usize = 80;

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    judge_tests(job, table, TESTS);
    if job.wants("model cluster") {
        table.judge("model cluster", "0 tests fail", model(job));
    }
    if job.wants("versions") {
        let bound = "4 cores, median <= 5 ms";
        table.judge("versions", bound, checks::versions(&job.setup));
    }
    let cluster = match Cluster::start(Topology::default(), job.setup.kernel) {
        Ok(cluster) => cluster,
        Err(e) => return table.judge("model cluster", "starts", Err(e.to_string())),
    };
    for (n, (framing, settings)) in FRAMINGS.iter().enumerate() {
        // The differential scripts go through all framings by themselves.
        let without = if n == 0 { "" } else { "differential" };
        let lines = Foundation {
            framing,
            settings,
            only: "",
            without,
        };
        lines.run(job, table, &cluster);
    }
    let name = "rules of sessions";
    if job.wants(name) {
        table.judge(name, "0 broken in all of this", unbroken(&cluster));
    }
}

/// The tests of the model cluster itself.
fn model(job: &Job) -> Saw {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--release", "-p", "obcluster", "--features", "e2e"])
        .env("OBRING_KERNEL", job.setup.kernel.to_string())
        .current_dir(&job.root);
    let (text, is_good) = output(command, 3_600)?;
    let results: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("test result:"))
        .collect();
    match is_good && !results.is_empty() {
        true => Ok(results.join("\n")),
        false => Err(text),
    }
}

/// The lines of `accept foundation` about a running obring, in front of a server of the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Foundation<'a> {
    /// Name of the framing of server links.
    pub(super) framing: &'a str,
    /// Settings that ask for it.
    pub(super) settings: &'a str,
    /// Lines that are run; empty: all.
    pub(super) only: &'a str,
    /// Lines that are left out; empty: none.
    pub(super) without: &'a str,
}

impl Foundation<'_> {
    /// Runs them.
    pub(super) fn run(self, job: &Job, table: &mut Table, cluster: &Cluster) {
        let Self {
            framing,
            settings,
            only,
            without,
        } = self;
        let name = format!("foundation, {framing}");
        if !job.wants(&name) {
            return;
        }
        let bound = "each line, through the model";
        let Some(server) = cluster.address(1) else {
            return table.judge(&name, bound, Err("there is no server 1".into()));
        };
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(e) => return table.judge(&name, bound, Err(e.to_string())),
        };
        let mut command = Command::new(program);
        command
            .arg("serving")
            .arg("--obring")
            .arg(&job.setup.binary)
            .arg("--root")
            .arg(&job.root)
            .args(option("--only", only))
            .args(option("--without", without))
            .env("OBRING_KERNEL", server.to_string())
            .env("OBRING_SETTINGS", settings)
            .current_dir(&job.root);
        let lines = match output(command, 3_600) {
            Ok((text, _)) => text,
            Err(e) => return table.judge(&name, bound, Err(e)),
        };
        let told = told(&lines);
        if told.is_empty() {
            table.judge(&name, bound, Err(lines.clone()));
        }
        for (what, bound, saw) in told {
            table.judge(&format!("{framing}: {what}"), bound, saw);
        }
    }
}

/// An argument with its value, if there is one.
fn option<'a>(name: &'a str, value: &'a str) -> Vec<&'a str> {
    match value {
        "" => vec![],
        value => vec![name, value],
    }
}

/// What the model has against the proxies that it has seen: nothing.
pub(super) fn unbroken(cluster: &Cluster) -> Saw {
    let requests: u64 = cluster.counters().requests.values().sum();
    let broken = cluster.violations();
    let shown = broken.iter().take(SHOWN_MAX).map(|b| {
        format!(
            "request {} on server {}: {}: {}",
            b.seq, b.server_id, b.request, b.violation
        )
    });
    let mut lines = vec![format!("{} in {requests} requests", broken.len())];
    lines.extend(shown);
    lines.extend(broken.first().into_iter().flat_map(|b| story(cluster, b)));
    match broken.is_empty() && requests > 0 {
        true => Ok(lines.join("\n")),
        false => Err(lines.join("\n")),
    }
}

/// What the session that broke a rule asked before, as far as the log still has it.
fn story(cluster: &Cluster, broken: &BrokenRule) -> Vec<String> {
    let log = cluster.log_between(0, broken.seq + 1);
    let session = log.last().map(|e| e.proxy_sid.clone()).unwrap_or_default();
    let of_session: Vec<_> = log.iter().filter(|e| e.proxy_sid == session).collect();
    let told = of_session.iter().rev().take(STORY_MAX).rev();
    let told = told.map(|e| {
        format!(
            "  {} server {} link {}: {} {} -> {:?} {}",
            e.seq, e.server_id, e.link, e.cmd, e.sql, e.outcome, e.errno
        )
    });
    told.collect()
}

/// The lines of a table: name, bound, and what was seen, over all its rows.
fn told(lines: &str) -> Vec<(&str, &str, Saw)> {
    let mut told: Vec<(&str, &str, Saw)> = vec![];
    for line in lines.lines() {
        if let Some(more) = line.strip_prefix("        | ") {
            if let Some((_, _, Ok(figure) | Err(figure))) = told.last_mut() {
                figure.push('\n');
                figure.push_str(more);
            }
            continue;
        }
        let cells: Vec<_> = line.splitn(4, " | ").map(str::trim).collect();
        let [verdict, what, bound, figure] = cells[..] else {
            continue;
        };
        match verdict {
            "PASS" => told.push((what, bound, Ok(figure.to_owned()))),
            "FAIL" => told.push((what, bound, Err(figure.to_owned()))),
            _ => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_printed() {
        let mut table = Table::default();
        table.judge("a", "<= 1", Ok("0".into()));
        table.not_run("b", "equal", "no tool");
        table.judge("c d", "x | y", Err("2\nmore".into()));
        let printed: Vec<_> = table.lines().iter().map(ToString::to_string).collect();
        let printed = printed.join("\n");
        assert_eq!(
            told(&printed),
            [
                ("a", "<= 1", Ok("0".to_owned())),
                ("c d", "x", Err("y | 2\nmore".to_owned()))
            ]
        );
    }
}
