//! The kernel's public mysql_test files, run by Debian's `mysqltest` (package mariadb-test) directly
//! and through obring. The outputs of the two runs are compared with each other, not with the stored
//! results: those belong to another release.

use crate::checks::{Saw, Setup};
use crate::clock::{Deadline, wait_for};
use crate::process::Obring;
use crate::raw::{Conn, Login};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file that takes longer is stopped; both runs are stopped alike.
const FILE_MAX_SECS: u64 = 300;
/// Last line of an output that ended well.
const WELL: &str = "\n[ended well]";
/// Files named in full when they differ.
const SHOWN_MAX: usize = 10;

/// Runs every `t/*.test` of `dir`.
///
/// # Errors
/// When the tool or the files are missing, or outputs differ.
pub fn run(setup: &Setup, dir: &Path) -> Saw {
    let files = files(dir)?;
    let proxy = setup.start()?;
    let (mut equal, mut differ, mut told) = (0, 0, String::new());
    let mut ended_well = 0;
    for file in &files {
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for ps in [false, true] {
            let direct = one(setup.kernel, setup.kernel, dir, file, ps)?;
            let through = one(setup.kernel, proxy.address(), dir, file, ps)?;
            if direct == through {
                equal += 1;
                ended_well += u32::from(direct.ends_with(WELL));
                continue;
            }
            differ += 1;
            if differ <= SHOWN_MAX {
                let form = if ps { " --ps-protocol" } else { "" };
                let at = first_difference(&direct, &through);
                let _ = write!(told, "\n{name}{form}: {at}");
            }
        }
        alive(&proxy, &name)?;
    }
    let figure = format!(
        "{} files, {equal} runs equal ({ended_well} of them without an error), {differ} differ{told}",
        files.len()
    );
    if differ == 0 { Ok(figure) } else { Err(figure) }
}

fn alive(proxy: &Obring, name: &str) -> Result<(), String> {
    let mut c = Conn::login(proxy.address(), &Login::default())
        .map_err(|e| format!("after {name} obring does not answer: {e}"))?;
    c.cell("select 1").map(drop)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let t = dir.join("t");
    let entries = std::fs::read_dir(&t).map_err(|e| format!("{}: {e}", t.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|x| x == "test"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("no *.test in {}", t.display()));
    }
    Ok(files)
}

/// What one file prints. The database `test` is made anew before, directly at the kernel.
fn one(
    kernel: SocketAddr,
    to: SocketAddr,
    dir: &Path,
    file: &Path,
    ps: bool,
) -> Result<String, String> {
    let mut c = Conn::login(kernel, &Login::default())?;
    c.run("drop database if exists test")?;
    c.run("create database test")?;
    // The kernel's files include others as `mysql_test/include/...`.
    let base = match dir.parent() {
        Some(parent) if dir.ends_with("mysql_test") => parent,
        _ => dir,
    };
    // The tool writes its log beside the file's name into the directory it is told.
    let logs = std::env::temp_dir().join(format!("obring-mysqltest-{}", std::process::id()));
    std::fs::create_dir_all(&logs).map_err(|e| e.to_string())?;
    let out = logs.join("output");
    let sink = std::fs::File::create(&out).map_err(|e| e.to_string())?;
    let errors = sink.try_clone().map_err(|e| e.to_string())?;
    let mut command = Command::new("mysqltest");
    command
        .args(["--no-defaults", "--host", &to.ip().to_string()])
        .args(["--port", &to.port().to_string(), "--protocol=tcp"])
        .args(["--user=root@sys", "--database=test", "--silent"])
        .arg(format!("--basedir={}", base.display()))
        .arg(format!("--logdir={}", logs.display()))
        .arg(format!("--test-file={}", file.display()))
        .args(ps.then_some("--ps-protocol"))
        .current_dir(base)
        .env("MYSQL_TMP_DIR", &logs)
        .env("MYSQLTEST_VARDIR", &logs)
        .env("MYSQL_TEST_DIR", dir)
        // What the kernel's own files use in `connect (...)`.
        .env("OBMYSQL_MS0", to.ip().to_string())
        .env("OBMYSQL_PORT", to.port().to_string())
        .env("OBMYSQL_USR", "root@sys")
        .env("OBMYSQL_PWD", "")
        .stdin(Stdio::null())
        .stdout(sink)
        .stderr(errors);
    let mut child = command
        .spawn()
        .map_err(|e| format!("mysqltest (Debian package mariadb-test): {e}"))?;
    let ended = wait_for(Deadline::secs(FILE_MAX_SECS), "its end", || {
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let bytes = std::fs::read(&out).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&logs);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let _ = match ended {
        Ok(status) if status.success() => write!(text, "{WELL}"),
        Ok(status) => write!(text, "\n[{status}]"),
        Err(_) => write!(text, "\n[stopped after {FILE_MAX_SECS} s]"),
    };
    Ok(text
        .replace(&format!(":{}", to.port()), ":PORT")
        .replace(&format!("'{}' ({})", to.ip(), to.port()), "'HOST' (PORT)"))
}

fn first_difference(direct: &str, through: &str) -> String {
    let (mut d, mut t) = (direct.lines(), through.lines());
    let mut n = 0;
    loop {
        n += 1;
        let pair = (d.next(), t.next());
        if pair.0 != pair.1 || pair.0.is_none() {
            return format!("line {n}: direct {:?}, through {:?}", pair.0, pair.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_tests_is_told_and_the_first_difference_is_found() {
        assert!(files(Path::new("/nonexistent")).is_err());
        let at = first_difference("a\nb", "a\nc");
        assert_eq!(at, "line 2: direct Some(\"b\"), through Some(\"c\")");
    }
}
