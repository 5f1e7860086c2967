//! Many sessions that ask for the same table at once, which no core knows: how often it is looked
//! up, as the model's log says.

use super::front::{CORES, Front};
use super::{Saw, Setup, ensure};
use obcluster::builtin::Layout;
use obcluster::{Engine, Entry, Fault, FaultKind, Outcome, Role, Topology};
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread::scope;

/// Sessions on each core.
const SESSIONS_EACH: usize = 16;
/// Tables, one after the other.
const TABLES: u32 = 3;
/// Leaves of each table.
const LEAVES: u32 = 12;
/// Each question about a table is answered so late that all sessions have asked by then.
const DELAY_MS: u64 = 150;
/// What the first question of a look-up ends with.
const FIRST: &str = "tablet_id = 0";

/// Sessions on all cores ask for a cold table at once: one look-up, and all go by its answer.
///
/// # Errors
/// What was not as it must be.
pub fn cold_table(setup: &Setup) -> Saw {
    let layout = Layout {
        sbtest: TABLES,
        sbtest_partitions: LEAVES,
        sbtest_rows: LEAVES * 16,
        ..Layout::default()
    };
    let engine = Engine::Builtin(layout);
    let mut front = Front::start(setup, Topology::default(), engine, &[])?;
    let mut sessions = front.sessions(SESSIONS_EACH, "test")?;
    let mut told = vec![];
    for table in 1..=TABLES {
        let name = format!("sbtest{table}");
        let fault = Fault::new(FaultKind::MetaDelayMs(DELAY_MS)).sql(&name);
        ensure(front.cluster.fault(fault), || "no fault".into())?;
        let since = front.cluster.log_next();
        let start = Barrier::new(sessions.len());
        let read = scope(|s| {
            let tasks: Vec<_> = sessions
                .iter_mut()
                .zip(1..)
                .map(|(session, id)| {
                    let (start, name) = (&start, &name);
                    s.spawn(move || {
                        start.wait();
                        session.cell(&format!("select c from {name} where id={id}"))
                    })
                })
                .collect();
            let lost = |_| Err("a client panicked".into());
            let mut ends = tasks.into_iter();
            ends.try_for_each(|t| t.join().unwrap_or_else(lost).map(drop))
        });
        front.cluster.clear_faults();
        read?;
        told.push(judged(&front, since, &name, sessions.len())?);
    }
    front.unbroken()?;
    Ok(told.join("; "))
}

/// What the log says of one table.
fn judged(front: &Front, since: u64, name: &str, sessions: usize) -> Saw {
    let log = front.log(since)?;
    let mut questions: BTreeMap<&str, usize> = BTreeMap::new();
    let is_about = |e: &&Entry| !e.meta.is_empty() && e.sql.contains(name);
    for question in log.iter().filter(is_about) {
        *questions.entry(&question.sql).or_default() += 1;
    }
    let firsts = questions.iter().filter(|(sql, _)| sql.ends_with(FIRST));
    let firsts: usize = firsts.map(|(_, times)| times).sum();
    let all: usize = questions.values().sum();
    let again: Vec<_> = questions.iter().filter(|(_, times)| **times > 1).collect();
    ensure(firsts == 1 && again.is_empty(), || {
        format!("{name}: {firsts} look-ups, {all} questions; more than once: {again:?}")
    })?;
    let answered = log.iter().filter(is_about).map(|e| e.t_done_us).max();
    let ran = front.asked(since, &format!("select c from {name} "))?;
    let right = ran.iter().filter(|e| {
        e.outcome == Outcome::Ok
            && matches!(e.role_here, Role::Leader)
            && answered.is_some_and(|us| e.t_recv_us >= us)
    });
    let right = right.count();
    ensure(ran.len() == sessions && right == sessions, || {
        format!("{name}: of {sessions} statements {right} waited and came to their leader")
    })?;
    Ok(format!(
        "{name}: 1 look-up of {all} questions for {sessions} sessions on {CORES} cores"
    ))
}
