//! Programs that use other people's clients: `clients/*/run HOST PORT USER PASSWORD` prints what it
//! saw. The same program directly and through obring must print the same bytes.

use bench_harness::clock::{Deadline, wait_for};
use bench_harness::process::kernel;
use bench_harness::raw::{Conn, Login};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that takes longer hangs.
const RUN_MAX_SECS: u64 = 300;
/// The account of all programs.
const ACCOUNT: (&str, &str) = ("e2e_client@sys", "e2e Pw-1");

/// The programs of a name, one for each client.
pub(super) fn programs(name: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/clients");
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut found: Vec<_> = entries
        .filter_map(|e| Some(e.ok()?.path().join(name)))
        .filter(|p| p.exists())
        .collect();
    found.sort();
    found
}

/// Output and exit code; files instead of pipes, so that a lot of output cannot block it.
pub(super) fn run(program: &Path, to: SocketAddr, account: (&str, &str)) -> Result<String, String> {
    let name = program
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default();
    let out = std::env::temp_dir().join(format!(
        "obring-e2e-{}-{}-{}",
        name.to_string_lossy(),
        to.port(),
        std::process::id()
    ));
    let file = std::fs::File::create(&out).map_err(|e| e.to_string())?;
    let errors = file.try_clone().map_err(|e| e.to_string())?;
    let mut child = Command::new(program)
        .args([&to.ip().to_string(), &to.port().to_string()])
        .args([account.0, account.1])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|e| format!("cannot be started: {e}"))?;
    let ended = wait_for(Deadline::secs(RUN_MAX_SECS), "its end", || {
        child.try_wait().ok().flatten()
    });
    if ended.is_err() {
        let _ = child.kill();
    }
    let bytes = std::fs::read(&out).unwrap_or_default();
    let _ = std::fs::remove_file(&out);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match ended {
        Ok(status) if status.success() => Ok(text),
        Ok(status) => Err(format!("{status}; it printed:\n{text}")),
        Err(e) => Err(format!("{e}; it printed:\n{text}")),
    }
}

/// Servers name statements that were slow (1 s), one at a time: which ones are is chance. An OK
/// that says nothing else of the session's state does not speak of it at all if the statement was
/// quick.
fn without_trace_ids(text: &str) -> String {
    text.split_inclusive('\n').map(without_trace_id).collect()
}

fn without_trace_id(line: &str) -> String {
    const KEY: &str = "ob_statement_trace_id: \"";
    const NOTHING_ELSE: &str = "stateChanges: {systemVariables: {}, schema: null, gtids: [], \
                                trackStateChange: \"1\"}, ";
    const STATUS: &str = "serverStatus: ";
    const STATE_CHANGED: u32 = 0x4000;
    let Some((front, rest)) = line.split_once(KEY) else {
        return line.to_owned();
    };
    let rest = rest.split_once('"').map_or("", |(_, rest)| rest);
    let line = format!("{front}{}", rest.strip_prefix(", ").unwrap_or(rest));
    if let Some((front, rest)) = line.split_once(NOTHING_ELSE)
        && let Some((front, status)) = front.split_once(STATUS)
        && let Some((number, middle)) = status.split_once(',')
        && let Ok(number) = number.parse::<u32>()
    {
        let number = number & !STATE_CHANGED;
        return format!("{front}{STATUS}{number},{middle}{rest}");
    }
    without_trace_id(&line)
}

/// The first lines that differ.
fn difference(direct: &str, through: &str) -> Option<String> {
    let (direct, through) = (&without_trace_ids(direct), &without_trace_ids(through));
    if direct == through {
        return None;
    }
    let (mut d, mut t) = (direct.lines(), through.lines());
    for n in 1.. {
        let pair = (d.next(), t.next());
        if pair.0 != pair.1 || pair.0.is_none() {
            return Some(format!(
                "line {n}\n  direct : {:?}\n  through: {:?}",
                pair.0, pair.1
            ));
        }
    }
    None
}

#[test]
fn a_difference_is_found() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), None);
    assert!(difference("a\nb\n", "a\nc\n").is_some());
    assert!(difference("a\nb\n", "a\n").is_some());
    assert!(difference("a\n", "a").is_some());
    let (slow, quick) = (
        "{ob_statement_trace_id: \"Y1\", a: \"1\"} {",
        "{a: \"1\"} {",
    );
    assert_eq!(difference(slow, quick), None);
    assert!(difference(slow, "{a: \"2\"} {").is_some());
    let slow = "{serverStatus: 16418, warnings: 0, stateChanges: {systemVariables: \
                {ob_statement_trace_id: \"Y1\"}, schema: null, gtids: [], trackStateChange: \
                \"1\"}, changedRows: 0}";
    let quick = "{serverStatus: 34, warnings: 0, changedRows: 0}";
    assert_eq!(difference(slow, quick), None);
    assert!(difference(slow, "{serverStatus: 35, warnings: 0, changedRows: 0}").is_some());
}

#[test]
fn client_programs_see_the_same_directly_and_through_obring() {
    let mut c = Conn::login(kernel(), &Login::default()).expect("kernel");
    for sql in [
        "drop user if exists e2e_client",
        "create user e2e_client identified by 'e2e Pw-1'",
        "grant all on *.* to e2e_client with grant option",
    ] {
        c.run(sql).expect(sql);
    }
    let proxy = super::proxy();
    let programs = programs("run");
    assert!(!programs.is_empty(), "no program in tests/e2e/clients");
    let mut failed = vec![];
    for program in &programs {
        let name = program.parent().unwrap_or(program).display().to_string();
        let verdict = match (
            run(program, kernel(), ACCOUNT),
            run(program, proxy.address(), ACCOUNT),
        ) {
            (Err(e), _) => Some(format!("directly: {e}")),
            (_, Err(e)) => Some(format!("through obring: {e}")),
            (Ok(d), Ok(t)) => difference(&d, &t),
        };
        println!("{name}: {}", verdict.as_deref().unwrap_or("equal"));
        failed.extend(verdict.map(|v| format!("{name}: {v}")));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
