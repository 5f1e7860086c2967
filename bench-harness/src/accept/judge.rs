//! The lines of `accept judge`: "It must show" of the fourth issue.

use super::cluster::{Foundation, unbroken};
use super::command::{cargo_test, output};
use super::{Job, Table};
use crate::checks::{Saw, engine_cost};
use crate::partcheck::judged::judge;
use crate::process::free_port;
use obcluster::{Cluster, Topology};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// Tests of the model cluster itself: part of their names, and the lines that they show, each with
/// its bound. Where nothing is named, the result of the tests is the line.
const MODEL: &[(&str, &[(&str, &str)])] = &[
    (
        "judge::",
        &[("verdicts, statement by statement", "0 tests fail")],
    ),
    ("shadow::", STATE),
    ("rules::", RULES),
    (
        "feedback::",
        &[
            ("feedback", "as the rule says, in all framings"),
            ("feedback: switches", "off, always_miss, random"),
        ],
    ),
    (
        "moves::",
        &[
            ("feedback: weak reads", "values 1, 2, 3 and none (builtin)"),
            (
                "builtin: transaction that moves",
                "by its state; 6279 elsewhere",
            ),
            ("builtin: reroute", "5727 names the leader; not run"),
        ],
    ),
    (
        "engines::",
        &[("builtin and kernel", "the same bytes, in all framings")],
    ),
    (
        "builtin_tls::",
        &[("builtin: TLS", "the same bytes inside it")],
    ),
    (
        "processlist::",
        &[("SHOW PROCESSLIST", "the server's own links, unless v2")],
    ),
];

/// What a raw client leaves out: it is named, and one that brings it breaks no rule.
const STATE: &[(&str, &str)] = &[
    ("raw client: hot system variables", NAMED),
    ("raw client: common system variables", NAMED),
    ("raw client: cold system variables", NAMED),
    ("raw client: last_insert_id", NAMED),
    ("raw client: user variables", NAMED),
    ("raw client: database", NAMED),
    ("raw client: session info 0", NAMED),
    ("raw client: session info 2", NAMED),
    ("raw client: session info 3", NAMED),
    ("raw client: session info 4", NAMED),
    ("raw client: session info 5", NAMED),
    ("raw client: session info 7", NAMED),
    ("raw client: prepared statements", NAMED),
    ("raw client: right in everything", "0 rules broken"),
];
const NAMED: &str = "each time by name; right client: never";

/// What must stay where it is, and whose ids these are.
const RULES: &[(&str, &str)] = &[
    ("raw client: transaction escapes", NAMED),
    ("raw client: user lock escapes", NAMED),
    ("raw client: foreign client session id", NAMED),
    ("raw client: foreign connection id", NAMED),
];
/// In front of what a test shows: the name of its line, `|`, and the figure.
const FIGURE: &str = "figure: ";

/// Tests of obring in front of the model: each ends with a look for broken rules.
const THROUGH: &[&str] = &["--test", "cluster"];

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
    for (filter, lines) in MODEL {
        let wanted: Vec<_> = lines.iter().filter(|(name, _)| job.wants(name)).collect();
        if wanted.is_empty() {
            continue;
        }
        let ran = model_test(job, filter);
        for (name, bound) in wanted {
            table.judge(name, bound, figure(&ran, name));
        }
    }
    if job.wants("builtin: cost") {
        let bound = "<= 1 us of CPU beside system calls per point select";
        table.judge("builtin: cost", bound, engine_cost());
    }
    if job.wants("quick start without a kernel") {
        let name = "quick start without a kernel";
        table.judge(name, "loud line; PASS", quickstart(job));
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

/// What tests have said, and whether all have passed.
type Ran = Result<(String, bool), String>;

/// Tests of the model cluster whose name contains `filter`; none at all is a failure.
fn model_test(job: &Job, filter: &str) -> Ran {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--release", "-p", "obcluster", "--features", "e2e"])
        .args(["--test", "cluster", "--", "--nocapture", filter])
        .env("OBRING_KERNEL", job.setup.kernel.to_string())
        .current_dir(&job.root);
    let (text, is_good) = output(command, 1_800)?;
    let result = text.lines().find(|l| l.starts_with("test result:"));
    let result = result.unwrap_or_default();
    let is_run = result.contains(" ok. ") && !result.contains(" ok. 0 passed");
    Ok((text, is_good && is_run))
}

/// The figure of a line: what a test has shown under its name. A test that fails shows none of its
/// figures; what it says stands in their place.
fn figure(ran: &Ran, name: &str) -> Saw {
    let (text, is_good) = ran.as_ref().map_err(Clone::clone)?;
    // A test's own words may come behind its name, on the same line.
    let shown = text.lines().filter_map(|l| l.split_once(FIGURE));
    let mut shown = shown.filter_map(|(_, l)| l.split_once(" | "));
    if let Some((_, figure)) = shown.find(|(of, _)| *of == name) {
        return Ok(figure.into());
    }
    let result = text.lines().find(|l| l.starts_with("test result:"));
    match (is_good, result) {
        (true, Some(result)) if !text.contains(FIGURE) => Ok(result.into()),
        (true, _) => Err("no test shows it".into()),
        (false, _) => Err(text.clone()),
    }
}

/// The quick start where no kernel can be had: a package index that nobody answers for, and an
/// empty cache.
fn quickstart(job: &Job) -> Saw {
    let cache = std::env::temp_dir().join(format!("obring-accept-cache-{}", std::process::id()));
    let closed = free_port().map_err(|e| e.to_string())?;
    let mut command = Command::new(job.root.join("scripts/quickstart"));
    command
        .arg("--check")
        .env("OBRING_BIN", &job.setup.binary)
        .env("OBRING_CACHE", &cache)
        .env("PIP_INDEX_URL", format!("http://127.0.0.1:{closed}/simple"))
        .env("PIP_RETRIES", "0")
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env_remove("OBRING_KERNEL")
        .env_remove("PIP_EXTRA_INDEX_URL")
        .env_remove("PIP_FIND_LINKS")
        .current_dir(&job.root);
    let ran = output(command, 1_800);
    let _ = std::fs::remove_dir_all(&cache);
    let (text, is_good) = ran?;
    let loud = text.lines().find(|l| l.contains("KERNEL CANNOT BE HAD"));
    let last = text.lines().last().unwrap_or_default();
    match (is_good && last == "quickstart: PASS", loud) {
        (true, Some(loud)) => Ok(format!("{last}; {loud}")),
        _ => Err(text),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_stands_under_its_name() {
        let ran = |text: &str, is_good| Ok((text.to_owned(), is_good));
        let shown = ran(
            "test a ... figure: one | 7 of 7\nok\ntest result: ok. 1",
            true,
        );
        assert_eq!(figure(&shown, "one"), Ok("7 of 7".into()));
        assert!(figure(&shown, "two").is_err());
        let silent = ran("test result: ok. 3 passed", true);
        assert_eq!(figure(&silent, "x"), Ok("test result: ok. 3 passed".into()));
        assert!(figure(&ran("figure: one | 7\npanicked", false), "two").is_err());
        assert!(figure(&Err("no cargo".into()), "one").is_err());
    }
}
