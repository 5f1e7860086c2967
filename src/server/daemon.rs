//! Detaching from the terminal.
//!
//! The process starts itself again with the same arguments, in a session of its own, and waits
//! until the new one says `ready` or why it cannot start; that becomes the exit code and the one
//! line of the process that the operator started. Starting again instead of forking: no thread,
//! lock or ring is ever copied half-way. And there is one fork, so that the new process leads its
//! session and its process group (tools end it by `kill -9 -PID`; operations.md 1.4).

use super::Failure;
use super::failure::plain;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{getppid, setsid};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// Tells the new process that it is one: the id of the process that waits for it.
const VARIABLE: &str = "OBRING_DAEMON_OF";

/// A start that takes longer has failed: reading settings, setting up rings and listening take
/// well below a second.
const START_S: i64 = 60;

/// The new process's end of the connection to the one that waits: its stdout.
pub(super) struct Detached(());

/// Whether this process was started by [`detach`]; then it leads a session of its own from here on.
#[must_use]
pub(super) fn detached() -> Option<Detached> {
    let parent: i32 = std::env::var(VARIABLE).ok()?.parse().ok()?;
    // A variable that came down from anywhere else means nothing.
    if getppid()?.as_raw_nonzero().get() != parent {
        return None;
    }
    // Fails only for a process that leads a group already.
    let _ = setsid();
    Some(Detached(()))
}

impl Detached {
    /// Tells the waiting process that clients are served (`about`, one line), and lets go of the
    /// terminal: stdout and stderr, where only a panic writes from now on, go to the log file.
    pub(super) fn ready(self, about: &str, log: Option<&Path>) {
        tell(&format!("ready {about}"));
        let file = log.and_then(|path| OpenOptions::new().append(true).open(path).ok());
        let file = file.map_or_else(|| File::create("/dev/null"), Ok);
        if let Ok(file) = file {
            let _ = rustix::stdio::dup2_stdout(&file);
            let _ = rustix::stdio::dup2_stderr(&file);
        }
    }

    /// Tells the waiting process why there will be no service.
    pub(super) fn failed(self, failure: &Failure) {
        tell(&format!("failed {} {failure}", failure.exit_code()));
    }
}

/// One line to the waiting process. If that is gone, nobody wants to know.
fn tell(line: &str) {
    let line = line.replace('\n', " ");
    let _ = writeln!(io::stdout(), "{line}");
}

/// Starts this program again, detached, and waits for what it says: what it serves.
///
/// # Errors
/// Why it does not serve.
pub(super) fn detach(arguments: &[OsString]) -> Result<String, Failure> {
    let fail = |e: io::Error| Failure::Daemon(format!("cannot detach: {}", plain(&e)));
    let program = std::env::current_exe().map_err(fail)?;
    let mut command = Command::new(program);
    if let [name, rest @ ..] = arguments {
        command.arg0(name).args(rest);
    }
    let mut child = command
        .env(VARIABLE, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let line = child.stdout.take().map(first_line).transpose();
    judge(child, &line.map_err(fail)?.unwrap_or_default())
}

/// What the new process said, or `""` if it ended, or said nothing in time.
fn first_line(mut stdout: ChildStdout) -> io::Result<String> {
    let limit = Timespec {
        tv_sec: START_S,
        tv_nsec: 0,
    };
    let mut line = vec![];
    while line.last() != Some(&b'\n') {
        if poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&limit))? == 0 {
            break;
        }
        let mut bytes = [0; 512];
        let n = stdout.read(&mut bytes)?;
        if n == 0 {
            break;
        }
        line.extend_from_slice(&bytes[..n]);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn judge(mut child: Child, line: &str) -> Result<String, Failure> {
    if let Some(about) = line.strip_prefix("ready ") {
        return Ok(format!("{about} pid={}", child.id()));
    }
    // It ends by itself, or has said nothing and is of no use.
    if line.is_empty() && matches!(child.try_wait(), Ok(None)) {
        let _ = child.kill();
    }
    let status = child.wait();
    let told = line
        .strip_prefix("failed ")
        .and_then(|rest| rest.split_once(' '));
    match told.and_then(|(code, text)| Some((code.parse().ok()?, text))) {
        Some((code, text)) => Err(Failure::Told {
            code,
            text: text.into(),
        }),
        None => Err(Failure::Daemon(match status {
            Ok(status) => format!("the detached process ended before it was ready ({status})"),
            Err(e) => format!("the detached process is lost: {}", plain(&e)),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a detached process that runs this shell script instead of obring.
    fn outcome(script: &str) -> Result<String, (u8, String)> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = first_line(child.stdout.take().unwrap()).unwrap();
        judge(child, &line).map_err(|e| (e.exit_code(), e.to_string()))
    }

    #[test]
    fn ready_is_believed_and_the_process_named() {
        let about = outcome("echo ready address=x; exec sleep 1").unwrap();
        assert!(about.starts_with("address=x pid="), "{about}");
    }

    #[test]
    fn the_line_and_the_code_of_a_failure_come_through() {
        let failed = outcome("printf 'failed 4 cannot listen'; echo ' here'; exit 4");
        assert_eq!(failed, Err((4, "cannot listen here".into())));
    }

    #[test]
    fn an_end_without_a_word_is_a_failure() {
        for (script, status) in [
            ("exit 0", "exit status: 0"),
            ("kill -9 $$", "signal: 9 (SIGKILL)"),
        ] {
            let text = format!("the detached process ended before it was ready ({status})");
            assert_eq!(outcome(script), Err((8, text)));
        }
    }

    #[test]
    fn a_variable_alone_makes_no_daemon() {
        // The test's parent is not process 1's namesake: nobody set the variable for us.
        assert!(detached().is_none());
    }
}
