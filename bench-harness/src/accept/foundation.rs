//! The lines of `accept foundation`: "It must show" of the first issue.

use super::{Table, mysql_test};
use crate::checks::{self, Saw, Setup};
use crate::clock::{Deadline, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What to judge.
#[derive(Clone, Debug)]
pub struct Job {
    /// obring and kernel.
    pub setup: Setup,
    /// Root of the repository.
    pub root: PathBuf,
    /// Folder of the kernel's public mysql_test files.
    pub mysql_test: Option<PathBuf>,
    /// The long lines as well.
    pub full: bool,
    /// Only lines whose name contains this.
    pub only: Option<String>,
}

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let s = &job.setup;
    let wanted = |name: &str| job.only.as_ref().is_none_or(|o| name.contains(o.as_str()));
    let mut line = |name: &str, bound: &str, check: &dyn Fn() -> Saw| {
        if wanted(name) {
            table.judge(name, bound, check());
        }
    };
    line("differential", "0 scripts differ", &|| {
        cargo_test(job, "differential")
    });
    line("end to end", "0 tests fail", &|| cargo_test(job, "e2e"));
    line(
        "5,000 login cycles",
        "descriptors equal, RSS <= +256 KiB",
        &|| checks::login_cycles(s, 5_000),
    );
    line("idle sessions", "<= 8 KiB each, slope <= 4 KiB", &|| {
        checks::idle_sessions(s)
    });
    line("bad bytes", "error or close, others go on", &|| {
        checks::bad_bytes(s)
    });
    line("half a login", "cut after 1 s as set", &|| {
        checks::half_login(s)
    });
    line("probes", "0 server connections", &|| checks::probes(s));
    line("SIGTERM, idle", "1053, exit 0", &|| checks::drain_idle(s));
    line("SIGTERM, running", "result whole, exit 0", &|| {
        checks::drain_running(s)
    });
    line("SIGTERM twice", "ends at once", &|| checks::second_term(s));
    line("busy port", "one clear line, exit != 0", &|| {
        checks::busy_port(s)
    });
    line("unreadable config", "one clear line, exit != 0", &|| {
        checks::unreadable_config(s)
    });
    line("wrong proxyro password", "one clear line", &|| {
        checks::wrong_proxyro_password(s)
    });
    line("io_uring refused", "one clear line, exit != 0", &|| {
        checks::io_uring_refused(s)
    });
    line("unreachable servers", "serves, login says why", &|| {
        checks::unreachable_servers(s)
    });
    line("serving cores", "sessions on all", &|| {
        checks::serving_cores(s)
    });
    line("README", "both commands, both exist", &|| readme(&job.root));
    line("quickstart, fresh clone", "exit 0", &|| {
        fresh_clone(job, &["quickstart", "--check"])
    });
    if wanted("slow readers") {
        slow_readers(s, table);
    }
    if wanted("test, fresh clone") {
        let (name, bound) = ("test, fresh clone", "exit 0");
        if job.full {
            table.judge(name, bound, fresh_clone(job, &["test"]));
        } else {
            table.not_run(name, bound, "only with --full");
        }
    }
    if wanted("mysql_test") {
        let (name, bound) = ("mysql_test", "outputs equal, text and --ps-protocol");
        match &job.mysql_test {
            Some(dir) => table.judge(name, bound, mysql_test::run(s, dir)),
            None => table.not_run(name, bound, "no --mysql-test DIR"),
        }
    }
}

fn slow_readers(s: &Setup, table: &mut Table) {
    let (blocked, memory, probe, rows) = match checks::slow_readers(s) {
        Ok(r) => (r.blocked, r.memory, r.probe, r.rows),
        Err(e) => (Err(e.clone()), Err(e.clone()), Err(e.clone()), Err(e)),
    };
    table.judge("slow readers: server", "its sends stop", blocked);
    table.judge(
        "slow readers: memory",
        "pool + 30 x (256 + 100) KiB",
        memory,
    );
    table.judge("slow readers: probe", "p99 <= 2x alone", probe);
    table.judge("slow readers: rows", "every row arrives", rows);
}

/// Runs a test of the root package and repeats its last words.
fn cargo_test(job: &Job, test: &str) -> Saw {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--features", "e2e", "--test", test])
        .args(["--", "--nocapture", "--test-threads=1"])
        .env("OBRING_KERNEL", job.setup.kernel.to_string())
        .current_dir(&job.root);
    let (text, is_good) = output(command, 3_600)?;
    let results: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("test result:") || l.ends_with(" differ"))
        .collect();
    let results = results.join("; ");
    if is_good {
        return Ok(results);
    }
    let told: Vec<_> = text
        .lines()
        .filter(|l| {
            l.contains("FAILED")
                || l.starts_with("error")
                || l.contains("differ")
                || l.starts_with("    packet ")
                || l.starts_with("  step ")
        })
        .take(60)
        .collect();
    Err(format!("{results}\n{}", told.join("\n")))
}

/// Both outputs of a command, and whether it ended well.
fn output(mut command: Command, max_secs: u64) -> Result<(String, bool), String> {
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

/// Clones the repository into an empty directory and runs one of its scripts there.
fn fresh_clone(job: &Job, script: &[&str]) -> Saw {
    let dir = std::env::temp_dir().join(format!("obring-clone-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet"]).arg(&job.root).arg(&dir);
    let (text, is_good) = output(clone, 120)?;
    if !is_good {
        return Err(format!("git clone: {text}"));
    }
    let path = dir.join("scripts").join(script[0]);
    if !path.exists() {
        let _ = std::fs::remove_dir_all(&dir);
        return Err(format!("there is no scripts/{}", script[0]));
    }
    let mut command = Command::new(path);
    command
        .args(&script[1..])
        .current_dir(&dir)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("OBRING_KERNEL");
    let ran = output(command, 3_600);
    let _ = std::fs::remove_dir_all(&dir);
    let (text, is_good) = ran?;
    let last: Vec<_> = text.lines().rev().take(8).collect();
    let last: Vec<_> = last.into_iter().rev().collect();
    if is_good {
        Ok((*last.last().unwrap_or(&"no output")).into())
    } else {
        Err(last.join("\n"))
    }
}

/// README names both commands, and both exist.
fn readme(root: &Path) -> Saw {
    let text =
        std::fs::read_to_string(root.join("README.md")).map_err(|e| format!("README.md: {e}"))?;
    for name in ["scripts/quickstart", "scripts/test"] {
        if !text.contains(name) {
            return Err(format!("README.md does not name {name}"));
        }
        if !root.join(name).is_file() {
            return Err(format!("{name} does not exist"));
        }
    }
    Ok("scripts/quickstart, scripts/test".into())
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

    #[test]
    fn a_readme_without_a_command_fails() {
        assert!(readme(Path::new("/nonexistent")).is_err());
    }
}
