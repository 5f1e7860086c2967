//! Sessions on all cores that read one row weakly while zones and servers change: which servers
//! served, as the model's log says.

use super::front::{CORES, Front};
use super::{Saw, Setup, ensure};
use crate::clock::{Deadline, Watch, wait_for};
use crate::raw::{Conn, Login};
use crate::relay::spawn;
use obcluster::{Change, Entry, Outcome, Topology, ZoneSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// After a change reads are where they belong this soon.
const SETTLED_SECS: u64 = 10;
/// Reads of each session that must be right before the judged ones begin: enough that a core which
/// does not know yet shows it.
const SETTLING: usize = 32;
/// The server that leads the row at the start.
const LEADER: u32 = 1;
/// What the sessions read.
const WEAK: &str = "select /*+ READ_CONSISTENCY(WEAK) */ v from t where k = ";
/// What is read meanwhile, on sessions of its own that say nothing of policies, without an error.
const LOAD: &str = "select /*+ READ_CONSISTENCY(WEAK) load */ v from t where k = ";
/// Sessions of the load.
const LOADS: usize = 2;

/// What happens, or has to be seen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A server dies.
    Kill(u32),
    /// It lives again.
    Start(u32),
    /// A zone's TYPE.
    Kind(&'static str, &'static str),
    /// These zones are in a major compaction, and no others.
    Merging(&'static [&'static str]),
    /// All sessions run it.
    Session(&'static str),
    /// A setting of obring.
    Setting(&'static str, &'static str),
    /// Reads are served by these servers only, and by each of them.
    Served(&'static [u32]),
    /// The same; until it is so, reads may fail.
    Back(&'static [u32]),
    /// A strong read is served by the leader.
    Strong,
    /// Reads fail, no server serves one, and no session ends.
    Refused,
}

/// The sessions, and what they are in front of.
struct Readers {
    front: Front,
    sessions: Vec<Conn>,
    admin: Conn,
    /// The row.
    key: u32,
    reads: usize,
    /// Reads that were judged.
    judged: usize,
    slowest: Duration,
}

/// Plays steps with so many reads of each session for every one that judges.
///
/// # Errors
/// The steps that were not as they must be.
pub(super) fn play(
    setup: &Setup,
    (name, zones): (&str, Vec<ZoneSpec>),
    settings: &[(&str, &str)],
    (steps, reads): (&[Step], usize),
) -> Saw {
    let topology = Topology {
        servers: zones.len() as u32,
        zone_specs: zones,
        ..Topology::default()
    };
    let soon = [
        ("server_state_refresh_interval", "200ms"),
        // How long a server that failed too often gets no work, by a setting: by default longer.
        ("congestion_retry_interval", "1s"),
    ];
    let settings = [&soon, settings].concat();
    let mut front = Front::start(setup, topology, setup.kernel, &settings)?;
    let database = format!("obring_{name}_{}", std::process::id());
    let mut kernel = Conn::login(setup.kernel, &Login::default())?;
    for sql in [
        format!("drop database if exists {database}"),
        format!("create database {database}"),
        format!("use {database}"),
        "create table t(k int primary key, v int) partition by hash(k) partitions 12".into(),
        "insert into t values (0,0),(1,0),(2,0),(3,0),(4,0),(5,0),(6,0),(7,0)".into(),
    ] {
        kernel.run(&sql)?;
    }
    let mut sessions = front.sessions(1, &database)?;
    let key = led(&front, &mut sessions[0])?;
    let load = Load::start(&front, &database, key)?;
    let admin = front.admin()?;
    let mut readers = Readers {
        front,
        sessions,
        admin,
        key,
        reads,
        judged: 0,
        slowest: Duration::ZERO,
    };
    let mut wrong = vec![];
    for (step, at) in steps.iter().zip(1..) {
        if let Err(e) = readers.step(step) {
            wrong.push(format!("step {at}, {step:?}: {e}"));
        }
    }
    let (loaded, errors) = load.end();
    kernel.run(&format!("drop database {database}"))?;
    ensure(wrong.is_empty(), || wrong.join("\n"))?;
    ensure(errors.is_empty(), || {
        format!("{} errors under load: {:?}", errors.len(), errors.first())
    })?;
    readers.front.unbroken()?;
    Ok(format!(
        "{} steps, {} reads judged on {CORES} cores, {loaded} beside them; settled within {:?}",
        steps.len(),
        readers.judged,
        readers.slowest
    ))
}

/// A row that the first server leads.
fn led(front: &Front, session: &mut Conn) -> Result<u32, String> {
    for key in 0..8 {
        let sql = format!("update t set v = 1 where k = {key}");
        let since = front.cluster.log_next();
        session.run(&sql)?;
        let log = front.asked(since, &sql)?;
        let leaders = |e: &Entry| e.verdict.tables.iter().any(|t| t.leaders == [LEADER]);
        if log.iter().any(leaders) {
            return Ok(key);
        }
    }
    Err(format!("server {LEADER} leads no row"))
}

impl Readers {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Kill(server) => self.change(&Change::Kill(server)),
            Step::Start(server) => self.change(&Change::Start(server)),
            Step::Kind(zone, kind) => self.change(&Change::Zone {
                zone: zone.into(),
                status: None,
                kind: Some(kind.into()),
                idc: None,
                region: None,
            }),
            Step::Merging(zones) => {
                for zone in self.front.cluster.state().zones {
                    self.change(&Change::Merge {
                        is_merging: zones.contains(&zone.name.as_str()),
                        zone: zone.name,
                    })?;
                }
                Ok(())
            }
            Step::Session(sql) => self.sessions.iter_mut().try_for_each(|s| s.run(sql)),
            Step::Setting(name, value) => {
                let sql = format!("alter proxyconfig set {name} = '{value}'");
                self.admin.run(&sql)
            }
            Step::Served(servers) => self.served(servers, false),
            Step::Back(servers) => self.served(servers, true),
            Step::Strong => self.strong(),
            Step::Refused => self.refused(),
        }
    }

    fn change(&self, change: &Change) -> Result<(), String> {
        let done = self.front.cluster.change(change);
        done.map(drop).map_err(|e| e.to_string())
    }

    /// Every session reads so often; how often each server served.
    fn read(&mut self, times: usize) -> Result<BTreeMap<u32, usize>, String> {
        let sql = format!("{WEAK}{}", self.key);
        let since = self.front.cluster.log_next();
        for session in &mut self.sessions {
            for _ in 0..times {
                session.cell(&sql)?;
            }
        }
        let mut on = BTreeMap::new();
        let log = self.front.asked(since, &sql)?;
        for entry in log.iter().filter(|e| e.outcome == Outcome::Ok) {
            ensure(entry.class.is_weak, || "a read that is not weak".into())?;
            *on.entry(entry.server_id).or_default() += 1;
        }
        Ok(on)
    }

    /// Once reads are where they belong, all are, and every server has its part.
    fn served(&mut self, servers: &[u32], may_fail: bool) -> Result<(), String> {
        let watch = Watch::start();
        let mut last = BTreeMap::new();
        let mut error = None;
        let settled = wait_for(Deadline::secs(SETTLED_SECS), "the right servers", || {
            match self.read(SETTLING) {
                Ok(on) => last = on,
                Err(_) if may_fail => return None,
                Err(e) => {
                    error = Some(e);
                    return Some(());
                }
            }
            last.keys().eq(servers).then_some(())
        });
        if let Some(e) = error {
            return Err(e);
        }
        settled.map_err(|e| format!("{e}: {last:?}"))?;
        self.slowest = self.slowest.max(watch.elapsed());
        let on = self.read(self.reads)?;
        let all: usize = on.values().sum();
        self.judged += all;
        let is_right = all == self.reads * self.sessions.len() && on.keys().eq(servers);
        ensure(is_right, || format!("{all} reads by {on:?}"))
    }

    fn strong(&mut self) -> Result<(), String> {
        let sql = format!("select v from t where k = {}", self.key);
        let since = self.front.cluster.log_next();
        for session in &mut self.sessions {
            session.cell(&sql)?;
        }
        let log = self.front.asked(since, &sql)?;
        let is_led = |e: &Entry| e.verdict.tables.iter().all(|t| t.leaders == [e.server_id]);
        ensure(
            log.len() == self.sessions.len() && log.iter().all(is_led),
            || {
                let on: Vec<_> = log.iter().map(|e| e.server_id).collect();
                format!("strong reads on {on:?}")
            },
        )
    }

    fn refused(&mut self) -> Result<(), String> {
        let sql = format!("{WEAK}{}", self.key);
        let since = self.front.cluster.log_next();
        for session in &mut self.sessions {
            session.query(&sql).map_err(|e| e.to_string())?;
            let got = session.receive();
            ensure(got.error().is_some(), || format!("no error: {got:?}"))?;
        }
        let log = self.front.asked(since, &sql)?;
        let served: Vec<_> = log.iter().filter(|e| e.outcome == Outcome::Ok).collect();
        ensure(served.is_empty(), || {
            format!("{} were served", served.len())
        })
    }
}

/// Sessions that read all the time.
struct Load {
    stop: Arc<AtomicBool>,
    done: std::sync::mpsc::Receiver<(u64, Vec<String>)>,
}

impl Load {
    fn start(front: &Front, database: &str, key: u32) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, done) = channel();
        for _ in 0..LOADS {
            let mut client = front.client(database)?;
            let (stop, send, sql) = (stop.clone(), send.clone(), format!("{LOAD}{key}"));
            let run = move || {
                let (mut reads, mut errors) = (0, vec![]);
                while !stop.load(Ordering::Relaxed) {
                    match client.cell(&sql) {
                        Ok(_) => reads += 1,
                        Err(e) if errors.is_empty() => errors.push(e),
                        Err(_) => {}
                    }
                }
                // Who waits for this has gone if nobody takes it.
                let _ = send.send((reads, errors));
            };
            spawn("load", run).map_err(|e| format!("a client: {e}"))?;
        }
        Ok(Self { stop, done })
    }

    /// Reads that succeeded, and the first error of each session.
    fn end(self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        self.done
            .iter()
            .fold((0, vec![]), |(all, mut errors), (n, more)| {
                errors.extend(more);
                (all + n, errors)
            })
    }
}
