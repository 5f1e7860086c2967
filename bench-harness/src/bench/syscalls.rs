//! System calls per statement, counted by strace in a run of its own: a traced program is slow.

use super::load::{Load, Work};
use super::peer::Peer;
use crate::clock::{Deadline, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Calls by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Calls {
    /// What was asked.
    pub work: Work,
    /// Over how many connections.
    pub connections: usize,
    /// Calls per statement of all kinds.
    pub per_statement: f64,
    /// The same by name, most frequent first.
    pub by_name: Vec<(String, f64)>,
}

/// strace, which lets its program go on when it is told to end.
struct Tracer(Child);

impl Tracer {
    fn end(&mut self) -> Result<(), String> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let told = pid.map(|pid| kill_process(pid, Signal::INT));
        if !matches!(told, Some(Ok(()))) {
            return Err("strace cannot be told to end".into());
        }
        wait_for(Deadline::secs(10), "the end of strace", || {
            self.0.try_wait().ok().flatten()
        })?;
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Counts over some connections to a peer.
///
/// # Errors
/// What strace or the peer did instead.
pub fn count(
    peer: &Peer,
    work: Work,
    connections: usize,
    length: Duration,
    folder: &Path,
) -> Result<Calls, String> {
    let id = peer.id().ok_or("nothing to trace")?;
    let mut load = Load::new(peer.address, work)?;
    load.open(connections)?;
    load.closed(length / 4)?;
    let table = folder.join("strace");
    let child = Command::new("setpriv")
        .args(["--pdeathsig", "INT", "strace", "-c", "-f", "-o"])
        .arg(&table)
        .args(["-p", &id.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut tracer = Tracer(child.map_err(|e| format!("strace cannot be started: {e}"))?);
    wait_for(
        Deadline::secs(10),
        "strace to attach (as root, or with kernel.yama.ptrace_scope=0)",
        || is_traced(id).then_some(()),
    )?;
    let slice = load.closed(length)?;
    tracer.end()?;
    let text = std::fs::read_to_string(&table).map_err(|e| format!("{}: {e}", table.display()))?;
    let statements = slice.latency.len() as f64;
    let mut by_name: Vec<(String, f64)> = (counts(&text).into_iter())
        .map(|(name, calls)| (name, calls as f64 / statements))
        .collect();
    by_name.sort_by(|a, b| b.1.total_cmp(&a.1));
    if by_name.is_empty() {
        return Err(format!("strace counted nothing at {}: {text:?}", peer.kind));
    }
    Ok(Calls {
        work,
        connections,
        per_statement: by_name.iter().map(|c| c.1).sum(),
        by_name,
    })
}

/// True when all threads of a process are traced.
fn is_traced(id: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{id}/task"));
    tasks.into_iter().flatten().flatten().all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("TracerPid:"));
        line.is_none_or(|l| l.trim() != "0")
    })
}

/// Name and calls of the rows of `strace -c`.
fn counts(table: &str) -> Vec<(String, u64)> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // share, seconds, us per call, calls, errors if any, name
        let (&[share, _, _, calls, ..], &name) = (words.first_chunk::<4>()?, words.last()?);
        share.parse::<f64>().ok()?;
        (name != "total").then_some((name.to_string(), calls.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_read() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 99.96    0.012345          12      1000           io_uring_enter
  0.04    0.000005           5         2         1 restart_syscall
------ ----------- ----------- --------- --------- ----------------
100.00    0.012350          12      1002         1 total
";
        let expected = [
            ("io_uring_enter".into(), 1000),
            ("restart_syscall".into(), 2),
        ];
        assert_eq!(counts(table), expected);
        assert_eq!(counts(""), []);
    }
}
