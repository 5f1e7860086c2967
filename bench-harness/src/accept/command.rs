//! Commands that acceptance lines run, and what they say.

use super::{Job, Table};
use crate::bench::instructions;
use crate::checks::Saw;
use crate::clock::{Deadline, wait_for};
use std::process::{Command, Stdio};

/// A line that is tests of the root package: name, bound, target, part of their names.
pub(super) type TestLine = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

/// Judges the lines among these that are wanted.
pub(super) fn judge_tests(job: &Job, table: &mut Table, lines: &[TestLine]) {
    for (name, bound, target, filter) in lines {
        if job.wants(name) {
            table.judge(name, bound, cargo_test(job, target, filter));
        }
    }
}

/// Runs tests of the root package: those of `target` whose name contains `filter`. Repeats their
/// last words; no test at all is a failure.
///
/// # Errors
/// What failed.
pub(super) fn cargo_test(job: &Job, target: &[&str], filter: &str) -> Saw {
    cargo_test_but(job, target, filter, &[])
}

/// [`cargo_test`] with more arguments for the tests.
///
/// # Errors
/// What failed.
pub(super) fn cargo_test_but(job: &Job, target: &[&str], filter: &str, more: &[&str]) -> Saw {
    let mut command = Command::new("cargo");
    command
        // One set of features for all tests, that of the suite: one build.
        .args(["test", "--release", "-p", "obring"])
        .args(["--features", "e2e,sim"])
        .args(target)
        .args(["--", "--nocapture", "--test-threads=1", filter])
        .args(more)
        .env("OBRING_KERNEL", job.setup.kernel.to_string())
        .current_dir(&job.root);
    let (text, is_good) = output(command, 3_600)?;
    let results: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("test result:") || l.ends_with(" differ"))
        .collect();
    let results = results.join("; ");
    let is_run = results.contains(" ok. ") && !results.contains(" ok. 0 passed");
    if is_good && is_run {
        return Ok(results);
    }
    // The last list of names.
    let failed = text
        .rsplit_once("\nfailures:\n")
        .map_or("", |(_, list)| list);
    let names = failed.lines().take_while(|l| l.starts_with("    "));
    let told: Vec<_> = text
        .lines()
        .filter(|l| {
            l.contains("FAILED")
                || l.starts_with("error")
                || l.contains("differ")
                || l.starts_with("    packet ")
                || l.starts_with("  step ")
                || l.starts_with("  direct :")
                || l.starts_with("  through:")
                || l.contains(": line ")
        })
        .take(60)
        .chain(names)
        .collect();
    Err(format!("{results}\n{}", told.join("\n")))
}

/// Instructions per statement of a case of `perf/BENCH.rs`, counted by callgrind.
///
/// # Errors
/// It cannot be built or counted; more than `bound`.
pub(super) fn instructions_of(job: &Job, bench: &str, case: &str, bound: u64) -> Saw {
    let mut build = Command::new("cargo");
    build
        .args(["bench", "-p", "obring", "--bench", bench, "--no-run"])
        .current_dir(&job.root);
    let (text, is_good) = output(build, 1_800)?;
    let path = text
        .split_once(&format!("perf/{bench}.rs ("))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(path, _)| job.root.join(path))
        .filter(|_| is_good)
        .ok_or_else(|| text.clone())?;
    let counted = instructions::per_statement(&path, case, [1_000, 3_000])?;
    match counted <= bound {
        true => Ok(counted.to_string()),
        false => Err(counted.to_string()),
    }
}

/// Both outputs of a command, and whether it ended well.
///
/// # Errors
/// It cannot be started, or does not end in time.
pub(super) fn output(mut command: Command, max_secs: u64) -> Result<(String, bool), String> {
    let path = std::env::temp_dir().join(format!(
        "obring-accept-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = std::fs::File::create(&path).map_err(|e| e.to_string())?;
    let errors = file.try_clone().map_err(|e| e.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("{command:?} cannot be started: {e}"))?;
    let ended = wait_for(Deadline::secs(max_secs), "its end", || {
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        let _ = child.kill();
    }
    let bytes = std::fs::read(&path).unwrap_or_default();
    let _ = std::fs::remove_file(&path);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match ended {
        Ok(status) => Ok((text, status.success())),
        Err(e) => Err(format!("{command:?}: {e}\n{text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_or_cannot_start_is_told() {
        let sh = |text: &str| {
            let mut c = Command::new("sh");
            c.args(["-c", text]);
            c
        };
        assert_eq!(
            output(sh("echo a; echo b >&2"), 10),
            Ok(("a\nb\n".into(), true))
        );
        assert_eq!(output(sh("echo a; exit 3"), 10), Ok(("a\n".into(), false)));
        assert!(output(Command::new("/nonexistent"), 10).is_err());
        assert!(output(sh("sleep 30"), 0).is_err());
    }
}
