//! The kernel's public mysql_test files, run by Debian's `mysqltest` (package mariadb-test)
//! directly and through obring. The outputs of the two runs are compared with each other, not with
//! the stored results: those belong to another release.

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
/// How often a pair of runs that differs is repeated.
const MORE_RUNS: usize = 4;
/// Files named in full when they differ.
const SHOWN_MAX: usize = 10;

/// Runs every `t/*.test` of `dir`.
///
/// # Errors
/// When the tool or the files are missing, or outputs differ.
pub fn run(setup: &Setup, dir: &Path) -> Saw {
    run_through(setup, &setup.start()?, dir)
}

/// The same through an obring that runs already.
///
/// # Errors
/// Those of [`run`].
pub fn run_through(setup: &Setup, proxy: &Obring, dir: &Path) -> Saw {
    let files = files(dir)?;
    let (mut equal, mut differ, mut told) = (0, 0, String::new());
    let (mut ended_well, mut unstable) = (0, 0);
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
            // Random numbers, times, and warnings that the kernel prints in some runs only: what
            // direct runs do not share cannot be judged.
            if agrees_in_more_runs(setup, proxy, dir, file, ps, (&direct, &through))? {
                unstable += 1;
                continue;
            }
            differ += 1;
            if differ <= SHOWN_MAX {
                let form = if ps { " --ps-protocol" } else { "" };
                let at = first_difference(&direct, &through);
                let _ = write!(told, "\n{name}{form}: {at}");
            }
        }
        alive(proxy, &name)?;
    }
    let figure = format!(
        "{} files, {equal} runs equal ({ended_well} of them without an error), \
         {unstable} equal to another direct run, {differ} differ{told}",
        files.len()
    );
    if differ == 0 { Ok(figure) } else { Err(figure) }
}

/// Repeats both runs: true once an output through obring equals a direct one, or equals it where
/// two direct runs agree.
fn agrees_in_more_runs(
    setup: &Setup,
    proxy: &Obring,
    dir: &Path,
    file: &Path,
    ps: bool,
    first: (&str, &str),
) -> Result<bool, String> {
    let (mut direct, mut through) = (vec![first.0.to_owned()], vec![first.1.to_owned()]);
    for _ in 0..MORE_RUNS {
        direct.push(one(setup.kernel, setup.kernel, dir, file, ps)?);
        let agrees = |t: &String| {
            direct.contains(t)
                || direct
                    .windows(2)
                    .any(|d| same_where_stable(&d[0], &d[1], t))
        };
        if through.iter().any(agrees) {
            return Ok(true);
        }
        through.push(one(setup.kernel, proxy.address(), dir, file, ps)?);
    }
    Ok(false)
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

/// Kind, name: what stands in the database `test`.
type Objects = Vec<(String, String)>;

fn objects(c: &mut Conn) -> Result<Objects, String> {
    c.run("set session group_concat_max_len = 1000000")?;
    let text = c.cell(
        "select coalesce(group_concat(kind, ' ', name separator '\n'), '') from ( \
         select if(table_type = 'VIEW', 'view', 'table') as kind, table_name as name \
         from information_schema.tables where table_schema = 'test' union all \
         select lower(routine_type), routine_name from information_schema.routines \
         where routine_schema = 'test') x",
    )?;
    let pair = |l: &str| l.split_once(' ').map(|(k, n)| (k.to_owned(), n.to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}

/// Drops what a file left in `test`; what stood there before stays.
fn tidy(c: &mut Conn, before: &Objects) -> Result<(), String> {
    for (kind, name) in objects(c)? {
        if !before.contains(&(kind.clone(), name.clone())) {
            c.run(&format!("drop {kind} if exists test.`{name}`"))?;
        }
    }
    Ok(())
}

/// What one file prints. What it leaves in the database `test` is dropped, directly at the kernel.
fn one(
    kernel: SocketAddr,
    to: SocketAddr,
    dir: &Path,
    file: &Path,
    ps: bool,
) -> Result<String, String> {
    let mut c = Conn::login(kernel, &Login::default())?;
    c.run("create database if not exists test")?;
    let before = objects(&mut c)?;
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
    tidy(&mut c, &before)?;
    let bytes = std::fs::read(&out).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&logs);
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    let _ = match ended {
        Ok(status) if status.success() => write!(text, "{WELL}"),
        Ok(status) => write!(text, "\n[{status}]"),
        Err(_) => write!(text, "\n[stopped after {FILE_MAX_SECS} s]"),
    };
    let text = text.replace(&format!(":{}", to.port()), ":PORT");
    let text = text.replace(&format!("'{}' ({})", to.ip(), to.port()), "'HOST' (PORT)");
    Ok(without_pointers(&text))
}

/// The kernel's EXPLAIN prints where its expressions lie in memory: `(0x7f890b22c790)`, cut where
/// its line is full.
fn without_pointers(text: &str) -> String {
    const DIGITS: usize = 12;
    const CUT_DIGITS_MIN: usize = 3;
    let mut parts = text.split("(0x");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        let is_pointer = match part.as_bytes().get(digits) {
            Some(b')') => digits == DIGITS,
            Some(b'\n') | None => (CUT_DIGITS_MIN..=DIGITS).contains(&digits),
            Some(_) => false,
        };
        out.push_str(if is_pointer { "(POINTER" } else { "(0x" });
        let from = if is_pointer { digits } else { 0 };
        out.push_str(part.get(from..).unwrap_or_default());
    }
    out
}

/// True when `through` has the lines of `direct` wherever a second direct run had them as well.
fn same_where_stable(direct: &str, again: &str, through: &str) -> bool {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (direct, again, through) = (lines(direct), lines(again), lines(through));
    direct.len() == again.len()
        && direct.len() == through.len()
        && direct
            .iter()
            .zip(&again)
            .zip(&through)
            .all(|((d, a), t)| d != a || d == t)
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
    fn only_lines_that_differ_directly_are_left_out() {
        assert!(same_where_stable("a\n0.1\nb", "a\n0.2\nb", "a\n0.3\nb"));
        assert!(!same_where_stable("a\n0.1\nb", "a\n0.2\nb", "a\n0.3\nc"));
        assert!(!same_where_stable("a\nb", "a\nb", "a\nc"));
        assert!(!same_where_stable("a\n0.1", "a\n0.2", "a"));
    }

    #[test]
    fn only_pointers_go() {
        let text = "output([a(0x7f890b22c790)], x(0x41), y(0x7f890b22c79), z(0x7f89\n";
        assert_eq!(
            without_pointers(text),
            "output([a(POINTER)], x(0x41), y(0x7f890b22c79), z(POINTER\n"
        );
    }

    #[test]
    fn a_folder_without_tests_is_told_and_the_first_difference_is_found() {
        assert!(files(Path::new("/nonexistent")).is_err());
        let at = first_difference("a\nb", "a\nc");
        assert_eq!(at, "line 2: direct Some(\"b\"), through Some(\"c\")");
    }
}
