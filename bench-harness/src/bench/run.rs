//! A whole run: what is needed is there, every case, the runs of their own, the report.

use super::idle;
use super::load::Work;
use super::peer::{Kind, Peer, Programs, Server};
use super::report::Findings;
use super::round::{Case, Effort, Outcome, PACED_CONNECTIONS, Pace, closed_rate, measure};
use super::statement::Statement;
use super::syscalls;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack};
use std::num::NonZeroU64;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Job {
    /// The programs and the CPUs.
    pub programs: Programs,
    /// Short slices: shows that everything works, and roughly where it stands.
    pub is_quick: bool,
    /// Only cases whose name contains this; then nothing but cases.
    pub only: Option<String>,
}

impl Job {
    const fn effort(&self) -> Effort {
        let (rounds, slice_ms) = if self.is_quick { (10, 100) } else { (15, 250) };
        Effort {
            rounds,
            slice: Duration::from_millis(slice_ms),
        }
    }
}

/// The first two CPUs of this process: one for clients and server, one for the proxy. With more of
/// them on one of the two, another program would decide what is measured.
///
/// # Errors
/// When there is only one.
pub fn two_cpus() -> Result<[usize; 2], String> {
    let set = sched_getaffinity(None).map_err(|e| format!("the CPUs of this process: {e}"))?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    match (cpus.next(), cpus.next()) {
        (Some(a), Some(b)) => Ok([a, b]),
        _ => Err("needs two CPUs: one for the load, one for the proxy".into()),
    }
}

/// Pins this thread, and lets its timers be exact.
fn prepare(cpu: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|e| format!("pinning to CPU {cpu}: {e}"))?;
    // By default the system may be 50 us late, which is half of a statement.
    set_current_timer_slack(NonZeroU64::new(1)).map_err(|e| format!("timer slack: {e}"))?;
    // Two sockets per session in a proxy, and it inherits the limit.
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, all).map_err(|e| format!("descriptor limit: {e}"))
}

/// Measures everything. Says on stderr what it is at.
///
/// # Errors
/// What could not be measured.
pub fn run(job: &Job) -> Result<Findings, String> {
    let mut findings = Findings {
        setting: setting(job),
        is_routed: job.programs.is_routed,
        ..Findings::default()
    };
    let programs = &job.programs;
    prepare(programs.load_cpu)?;
    let server = Server::start(programs)?;
    let peers = start_all(programs, &server)?;
    findings.outcomes = cases(job, &peers)?;
    if job.only.is_some() {
        return Ok(findings);
    }
    let length = Duration::from_millis(if job.is_quick { 400 } else { 1_500 });
    for peer in peers.iter().filter(|p| p.id().is_some()) {
        say(&format!("system calls of {}", peer.kind));
        for (work, connections) in traced() {
            let calls = syscalls::count(peer, work, connections, length, &programs.folder)?;
            findings.calls.push((peer.kind, calls));
        }
    }
    drop(peers);
    let length = Duration::from_secs(if job.is_quick { 3 } else { 10 });
    for kind in programs.kinds() {
        if kind != Kind::Direct {
            say(&format!("idle sessions of {kind}"));
            let idle = idle::measure(kind, programs, &server, length);
            findings
                .idle
                .push(idle.map_err(|e| format!("idle sessions of {kind}: {e}"))?);
        }
    }
    Ok(findings)
}

fn start_all(programs: &Programs, server: &Server) -> Result<Vec<Peer>, String> {
    let start = |kind| Peer::start(kind, programs, server);
    programs.kinds().into_iter().map(start).collect()
}

fn cases(job: &Job, peers: &[Peer]) -> Result<Vec<Outcome>, String> {
    let effort = job.effort();
    let only = job.only.as_deref().unwrap_or_default();
    let haproxy = peers.iter().find(|p| p.kind == Kind::HaProxy);
    let haproxy = haproxy.ok_or("there is no HAProxy to compare with")?;
    let mut rates: Vec<(Work, f64)> = vec![];
    let mut outcomes = vec![];
    for case in Case::all() {
        if !case.to_string().contains(only) {
            continue;
        }
        let rate = match case.pace {
            Pace::Closed => None,
            Pace::Share(share) => {
                let known = rates.iter().find(|(work, _)| *work == case.work);
                let full = match known {
                    Some((_, full)) => *full,
                    None => closed_rate(haproxy, case.work, effort)?,
                };
                if known.is_none() {
                    rates.push((case.work, full));
                }
                Some(full * share)
            }
        };
        match rate {
            None => say(&case.to_string()),
            Some(rate) => say(&format!("{case}: {rate:.0} per second")),
        }
        outcomes.push(measure(peers, case, rate, effort)?);
    }
    if outcomes.is_empty() {
        return Err(format!("no case contains {only:?}"));
    }
    Ok(outcomes)
}

/// Work and connections of the traced runs.
fn traced() -> Vec<(Work, usize)> {
    let work = |statement, is_prepared| Work {
        statement,
        is_prepared,
    };
    let point = work(Statement::Point, false);
    vec![
        (work(Statement::One, false), 1),
        (work(Statement::One, true), 1),
        (point, 1),
        (work(Statement::Point, true), 1),
        (point, PACED_CONNECTIONS),
    ]
}

/// What the report says above its tables.
fn setting(job: &Job) -> Vec<String> {
    let Effort { rounds, slice } = job.effort();
    let Programs {
        load_cpu, peer_cpu, ..
    } = job.programs;
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find(|l| l.starts_with("model name"));
    let model = model
        .and_then(|l| l.split(": ").nth(1))
        .unwrap_or("unknown");
    let load = read("/proc/loadavg");
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let kernel = read("/proc/sys/kernel/osrelease");
    let mut lines = vec![
        format!(
            "CPU {model}, {} of them; Linux {}",
            cpus.matches("processor\t").count(),
            kernel.trim()
        ),
        format!("load average before the run: {load}"),
        format!(
            "{rounds} rounds, slices of {} ms, peers in changing order",
            slice.as_millis()
        ),
        format!("clients and server on CPU {load_cpu}, the proxy on CPU {peer_cpu}"),
        format!(
            "server connections of obring in {} framing",
            if job.programs.is_plain {
                "plain"
            } else {
                "OceanBase 2.0"
            }
        ),
        first_line(&job.programs.haproxy, "-v"),
        match job.programs.is_routed {
            true => "three servers, of which the peers without routing have the right one".into(),
            false => "one server".into(),
        },
    ];
    if job.programs.relay.is_none() {
        lines.push("no relay was given (`--relay`): the floor is left out".into());
    }
    if job.is_quick {
        lines.push("a quick run: short slices, wide spread".into());
    }
    lines
}

fn first_line(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let text = text.unwrap_or_else(|e| format!("{}: {e}", program.display()));
    text.lines().next().unwrap_or_default().to_string()
}

fn say(text: &str) {
    eprintln!("bench: {text}");
}
