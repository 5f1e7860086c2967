//! The lines of `accept foundation`: "It must show" of the first issue. `accept serving` runs those
//! about a running obring only, for other servers and settings.

use super::command::{cargo_test, cargo_test_but, output};
use super::{Job, Table, mysql_test};
use crate::checks::{self, Saw, Setup};
use std::path::Path;
use std::process::Command;

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    lines(job, table, &[]);
    let wanted = |name: &str| job.wants(name);
    if wanted("README") {
        table.judge("README", "both commands, both exist", readme(&job.root));
    }
    if wanted("quickstart, fresh clone") {
        let saw = fresh_clone(job, &["quickstart", "--check"]);
        table.judge("quickstart, fresh clone", "exit 0", saw);
    }
    if wanted("test, fresh clone") {
        let (name, bound) = ("test, fresh clone", "exit 0");
        if job.is_long {
            table.judge(name, bound, fresh_clone(job, &["test"]));
        } else {
            table.not_run(name, bound, "only with --long");
        }
    }
    if wanted("mysql_test") {
        let (name, bound) = ("mysql_test", "outputs equal, text and --ps-protocol");
        match &job.mysql_test {
            Some(dir) => table.judge(name, bound, mysql_test::run(&job.setup, dir)),
            None => table.not_run(name, bound, "no --mysql-test DIR"),
        }
    }
}

/// Tests that need the kernel itself. The first has a relay on the only way there: servers of a
/// cluster tell where they are, so obring goes around it, and the model has faults of its own for
/// it. The second puts a model in front of it.
const ONE_WAY: &[&str] = &[
    "--skip",
    "a_byte_changed_on_the_way",
    "--skip",
    "run_on_several_servers",
];

/// Runs the lines about an obring that serves: results, errors, robustness, ends. For servers that
/// may be those of a cluster.
pub fn serving(job: &Job, table: &mut Table) {
    lines(job, table, ONE_WAY);
}

fn lines(job: &Job, table: &mut Table, skip: &[&str]) {
    let s = &job.setup;
    let wanted = |name: &str| job.wants(name);
    let mut line = |name: &str, bound: &str, check: &dyn Fn() -> Saw| {
        if wanted(name) {
            table.judge(name, bound, check());
        }
    };
    line("differential", "0 scripts differ", &|| {
        cargo_test(job, &["--test", "differential"], "")
    });
    line("end to end", "0 tests fail", &|| {
        cargo_test_but(job, &["--test", "e2e"], "", skip)
    });
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
    if wanted("slow readers") {
        slow_readers(s, table);
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
    fn a_readme_without_a_command_fails() {
        assert!(readme(Path::new("/nonexistent")).is_err());
    }
}
