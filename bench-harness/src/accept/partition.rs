//! The lines of `accept partition`: "It must show" of the sixth issue.

use super::command::{cargo_test, instructions_of, output};
use super::{Job, Table};
use crate::partcheck::{Case, Class, SHAPES, check, live};
use std::path::Path;
use std::process::Command;

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let own = job.root.join("tests/partition");
    vectors("vectors", &own, 0.95, job, table);
    vectors("more vectors", &own.join("more"), UNLIKE, job, table);
    let shared = job.root.join("../shared/spec/vectors");
    if shared.is_dir() {
        vectors("shared vectors", &shared, 0.95, job, table);
    }
    if let Some(folder) = &job.vectors {
        vectors("other vectors", folder, 0.95, job, table);
    }
    for (name, bound, filter) in [
        (
            "scanner: statements",
            "what is found, as listed",
            "sql::scan_tests::statements",
        ),
        (
            "scanner: 1 MB",
            "linear time",
            "sql::scan_tests::a_megabyte",
        ),
        (
            "scanner: allocations",
            "0 per statement",
            "sql::scan_tests::a_statement_costs",
        ),
        (
            "scanner: any bytes",
            "no panic",
            "sql::scan_tests::any_bytes",
        ),
    ] {
        if job.wants(name) {
            table.judge(name, bound, cargo_test(job, &["--lib"], filter));
        }
    }
    instructions(job, table);
    rows(job, table);
    fuzz(job, table);
    // The field cases of the areas routing-parse and partition.
    super::operate::field(job, table, |id| ("F040"..="F050").contains(&id));
}

/// Random statements: half a minute of them, or, in a long run, half an hour.
fn fuzz(job: &Job, table: &mut Table) {
    let names = ["differential fuzz", "fuzz"];
    if !names.iter().any(|name| job.wants(name)) {
        return;
    }
    let minutes = if job.is_long { 30.0 } else { 0.5 };
    let mut run = Command::new("cargo");
    run.args(["run", "--release", "--quiet", "-p", "bench-harness"])
        .args(["--bin", "partfuzz"])
        .args(["--", "--minutes", &minutes.to_string()])
        .args(["--seed", &std::process::id().to_string()])
        .current_dir(&job.root);
    let said = output(run, 3_600);
    for (name, head) in names.into_iter().zip(["compared:", "mutated:"]) {
        let saw = said.clone().and_then(|(text, is_good)| {
            let line = text.lines().find(|l| l.starts_with(head)).unwrap_or(&text);
            let saw = format!("{minutes} minutes, {line}");
            if is_good { Ok(saw) } else { Err(text) }
        });
        table.judge(name, "no difference, no panic, no hang", saw);
    }
}

/// The least share of exact answers for lists of literals that are unlike each other.
const UNLIKE: f64 = 0.90;
/// The shapes with lists.
const LISTS: [&str; 3] = ["in", "in-all", "or-all"];

/// The lines about a folder of vectors. `lists`: the least share of exact answers for lists.
fn vectors(name: &str, folder: &Path, lists: f64, job: &Job, table: &mut Table) {
    if !job.wants(name) {
        return;
    }
    let report = match check(folder) {
        Ok(report) => report,
        Err(e) => {
            table.judge(name, "0 WRONG", Err(e));
            return;
        }
    };
    let wrong = report.count(Class::Wrong, |_| true);
    let saw = format!("{wrong} of {}", report.cases.len());
    let is_good = wrong == 0 && !report.cases.is_empty();
    table.judge(
        &format!("{name}: WRONG"),
        "0",
        if is_good { Ok(saw) } else { Err(saw) },
    );
    let mut share = |what: &str, least: f64, keep: &dyn Fn(&Case) -> bool| {
        let share = report.exact_share(keep);
        let wider = report.count(Class::Superset, keep);
        let unknown = report.count(Class::Unknown, keep);
        let saw = format!("{:.1} %; {wider} wider, {unknown} unknown", share * 100.0);
        let bound = format!(">= {:.0} % exact", least * 100.0);
        let saw = if share >= least { Ok(saw) } else { Err(saw) };
        table.judge(&format!("{name}: {what}"), &bound, saw);
    };
    share("INSERT", 1.0, &|c| c.file == "insert");
    share("prepared", 1.0, &|c| c.file == "ps");
    for shape in SHAPES {
        // A string among numbers, or a division: the server narrows by what remains of the list,
        // where nothing is known here.
        let is_unlike = lists == UNLIKE && LISTS.contains(shape);
        let (what, least) = match is_unlike {
            true => (format!("{shape} (literals of unlike types)"), lists),
            false => ((*shape).to_owned(), 0.95),
        };
        share(&what, least, &|c| c.shape == *shape && c.is_pruned);
    }
    share("all shapes", 0.80, &|c| {
        c.file == "where" || c.file == "join"
    });
}

/// Instructions of a scan and of a calculation, counted by callgrind.
fn instructions(job: &Job, table: &mut Table) {
    for (case, bound) in [("scan", 900), ("hash_key", 250)] {
        let name = format!("instructions: {case}");
        if job.wants(&name) {
            let saw = instructions_of(job, "partition", case, bound);
            table.judge(&name, &format!("<= {bound}"), saw);
        }
    }
}

/// Random tables on the kernel.
fn rows(job: &Job, table: &mut Table) {
    let name = "rows of random tables";
    if !job.wants(name) {
        return;
    }
    let count = if job.is_long { 600 } else { 60 };
    let seed = u64::from(std::process::id());
    let saw = live::run(job.setup.kernel, seed, count).and_then(|seen| {
        let share = seen.exact as f64 / seen.equalities.max(1) as f64;
        let first = seen.wrong.first().cloned().unwrap_or_default();
        let saw = format!("seed {seed}: {seen}\n{first}");
        if seen.wrong.is_empty() && share >= 0.95 {
            Ok(saw)
        } else {
            Err(saw)
        }
    });
    table.judge(name, "each in our leaves; >= 95 % of equalities exact", saw);
}
