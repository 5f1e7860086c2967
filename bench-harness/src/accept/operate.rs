//! The lines of `accept operate`: "It must show" of the second issue.

use super::command::{TestLine, judge_tests, output};
use super::{Job, Table};
use crate::checks;
use crate::field::{Field, Place, Plan, Size, cases, fixture};
use std::process::Command;

const ADMIN: &[&str] = &["--test", "admin"];
const E2E: &[&str] = &["--test", "e2e"];

const TESTS: &[TestLine] = &[
    (
        "settings",
        "at both bounds, beyond, wrong type; file, -o, flag, ALTER",
        &["--lib"],
        "every_setting_keeps_its_bounds",
    ),
    (
        "settings, in words",
        "file, line, key, value, range",
        &["--lib"],
        "config::",
    ),
    (
        "settings, live",
        "every core at once, kept after kill -9",
        ADMIN,
        "a_change_holds_at_once",
    ),
    (
        "settings, kill -9",
        "the old value or the new one",
        ADMIN,
        "a_kill_in_the_middle",
    ),
    (
        "root@proxysys: drivers",
        "what they send is answered",
        ADMIN,
        "what_drivers_ask",
    ),
    (
        "root@proxysys: lists",
        "columns as tools read them",
        ADMIN,
        "the_lists_have_the_columns",
    ),
    (
        "root@proxysys: errors",
        "each says what is wrong",
        ADMIN,
        "what_cannot_be_done",
    ),
    (
        "root@proxysys: 20 wrong logins",
        "others are not disturbed",
        ADMIN,
        "wrong_passwords_disturb_nobody",
    ),
    (
        "root@proxysys: programs",
        "pymysql, Go, mariadb and others work",
        E2E,
        "administration::",
    ),
    (
        "allocations",
        "0 per named statement after warm-up",
        &["--test", "allocations"],
        "",
    ),
];

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    judge_tests(job, table, TESTS);
    if job.wants("stages") {
        let bound = "each counted once for a request";
        table.judge("stages", bound, checks::stages(&job.setup));
    }
    if job.wants("bench") {
        bench(job, table);
    }
    field(job, table, |_| true);
}

/// Every bound that scripts/bench judges.
fn bench(job: &Job, table: &mut Table) {
    measured(job, table, "bench", &[], |_| true);
}

/// The bounds of a run of scripts/bench with these words, as far as they are wanted: each is a line
/// that begins with `name`.
pub(super) fn measured(
    job: &Job,
    table: &mut Table,
    name: &str,
    words: &[&str],
    is_wanted: impl Fn(&str) -> bool,
) {
    let folder = std::env::temp_dir().join(format!("obring-operate-{}", std::process::id()));
    let mut command = Command::new(job.root.join("scripts/bench"));
    command.args(words).arg("--out").arg(&folder);
    command.current_dir(&job.root);
    if let Some(relay) = &job.relay {
        command.arg("--relay").arg(relay);
    }
    let ran = output(command, 3_600);
    let report = std::fs::read_to_string(folder.join("report.md"));
    let _ = std::fs::remove_dir_all(&folder);
    let report = match (ran, report) {
        (Ok(_), Ok(report)) => report,
        (Ok((text, _)), Err(e)) => {
            table.judge(name, "a report", Err(format!("{e}\n{text}")));
            return;
        }
        (Err(e), _) => {
            table.judge(name, "a report", Err(e));
            return;
        }
    };
    let mut bounds = bounds(&report);
    bounds.retain(|[what, ..]| is_wanted(what));
    if bounds.is_empty() {
        table.judge(name, "bounds in the report", Err(report.clone()));
    }
    for [what, figure, bound, word] in bounds {
        let saw = match word {
            "met" => Ok(figure.to_owned()),
            _ => Err(figure.to_owned()),
        };
        table.judge(&format!("{name}: {what}"), bound, saw);
    }
    // Closed loop and large replies have no bound; they are shown.
    println!("{report}");
}

/// The rows of the report's table of bounds.
fn bounds(report: &str) -> Vec<[&str; 4]> {
    let section = report.split("\n## ").find(|s| s.starts_with("Bounds\n"));
    let rows = section.unwrap_or_default().lines();
    let rows = rows.filter_map(|line| {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<_> = cells.split(" | ").collect();
        <[&str; 4]>::try_from(cells).ok()
    });
    // The head comes first.
    rows.skip(1).collect()
}

/// The field cases that are wanted, each by its own name.
pub(super) fn field(job: &Job, table: &mut Table, is_wanted: impl Fn(&str) -> bool) {
    let field = Field {
        setup: job.setup.clone(),
        size: match job.is_long {
            true => Size::Full,
            false => Size::Small,
        },
        place: Place::Kernel,
    };
    let mut made = None;
    for case in cases() {
        let name = format!("{} {}", case.id, case.title);
        if !is_wanted(case.id) || !job.wants(&name) {
            continue;
        }
        let bound = "as the case says";
        let (check, left) = match case.plan {
            Plan::Later(why) => {
                table.not_run(&name, bound, why);
                continue;
            }
            Plan::Check(check) => (check, None),
            Plan::Part(check, left) => (check, Some(left)),
        };
        let made = made.get_or_insert_with(|| fixture(job.setup.kernel));
        let saw = made.clone().and_then(|()| check(&field));
        let saw = saw.map(|saw| match left {
            None => saw,
            Some(left) => format!("{saw}\nleft: {left}"),
        });
        table.judge(&name, bound, saw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_from_the_report() {
        let report = "# t\n\n- a\n\n## Bounds\n\n| what | obring | bound |  |\n|---|---|---|---|\n\
                      | CPU: a, b | 0.9 [0.8 to 1.0] | <= 1 | met |\n\
                      | p50 | 1.2 | <= 1.1 | **missed** |\n\n## Other\n\n| a | b | c | met |\n";
        let rows = bounds(report);
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows[0], ["CPU: a, b", "0.9 [0.8 to 1.0]", "<= 1", "met"]);
        assert_eq!(rows[1][3], "**missed**");
        assert!(bounds("no table").is_empty());
    }
}
