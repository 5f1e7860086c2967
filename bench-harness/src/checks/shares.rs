//! How weak reads are spread over the servers that hold their leaf: as the model's log says.

use super::front::{CORES, Front};
use super::{Saw, Setup, ensure};
use crate::raw::Conn;
use obcluster::builtin::Layout;
use obcluster::{Engine, Outcome, Topology};
use obring_wire::base::Rng;
use std::collections::BTreeSet;
use std::thread::scope;

/// Servers, each with a replica of every leaf.
const SERVERS: u32 = 3;
/// Leaves of the table.
const LEAVES: u32 = 12;
/// Rows of the table.
const ROWS: u32 = 600;
/// Sessions on each core.
const SESSIONS_EACH: usize = 3;
/// No server's share is further from an even one, in percentage points.
const APART_MAX: f64 = 2.0;
/// Reads by a hint.
const HINTED: &str = "select /*+ READ_CONSISTENCY(WEAK) */ c from sbtest1 where id=";
/// Reads of sessions whose variable says so.
const PLAIN: &str = "select c from sbtest1 where id=";

/// Weak reads of sessions on all cores, half of them by a hint and half by the session's variable:
/// every server serves its share of each half.
///
/// # Errors
/// What was not as it must be.
pub fn weak_shares(setup: &Setup, reads: usize) -> Saw {
    let layout = Layout {
        sbtest_partitions: LEAVES,
        sbtest_rows: ROWS,
        ..Layout::default()
    };
    let topology = Topology {
        servers: SERVERS,
        ..Topology::default()
    };
    let mut front = Front::start(setup, topology, Engine::Builtin(layout), &[])?;
    let mut sessions = front.sessions(SESSIONS_EACH, "test")?;
    let each = reads.div_ceil(2 * sessions.len());
    let mut told = vec![];
    for (name, text) in [("hint", HINTED), ("variable", PLAIN)] {
        if text == PLAIN {
            for session in &mut sessions {
                session.run("set ob_read_consistency='weak'")?;
            }
        }
        let since = front.cluster.log_next();
        play(&mut sessions, text, each)?;
        told.push(format!(
            "{name}: {}",
            judged(&front, since, text, each * sessions.len())?
        ));
    }
    front.unbroken()?;
    Ok(told.join("; "))
}

/// Every session reads so many rows, all sessions at once.
fn play(sessions: &mut [Conn], text: &str, each: usize) -> Result<(), String> {
    let seeds = 0..;
    scope(|s| {
        let tasks: Vec<_> = sessions
            .iter_mut()
            .zip(seeds)
            .map(|(session, seed)| {
                s.spawn(move || {
                    let mut dice = Rng::new(seed);
                    (0..each).try_for_each(|_| {
                        let id = 1 + dice.below(ROWS.into());
                        session.cell(&format!("{text}{id}")).map(drop)
                    })
                })
            })
            .collect();
        let lost = |_| Err("a client panicked".into());
        tasks
            .into_iter()
            .try_for_each(|t| t.join().unwrap_or_else(lost))
    })
}

/// What the log says of the shares.
fn judged(front: &Front, since: u64, text: &str, wanted: usize) -> Saw {
    let log = front.asked(since, text)?;
    let all = log.len();
    ensure(all == wanted, || format!("{all} of {wanted} reads ran"))?;
    let is_weak = |e: &&obcluster::Entry| e.class.is_weak && e.outcome == Outcome::Ok;
    let weak = log.iter().filter(is_weak).count();
    ensure(weak == all, || {
        format!("{weak} of {all} reads are weak for the model")
    })?;
    let cores: BTreeSet<_> = log.iter().filter_map(|e| front.core(e)).collect();
    ensure(cores.len() == CORES, || {
        format!("they came from {} cores", cores.len())
    })?;
    let of = |server| log.iter().filter(|e| e.server_id == server).count();
    let shares: Vec<f64> = (1..=SERVERS)
        .map(|server| of(server) as f64 * 100.0 / all as f64)
        .collect();
    let even = 100.0 / f64::from(SERVERS);
    let apart = shares.iter().map(|s| (s - even).abs()).fold(0.0, f64::max);
    let told = format!("{all} reads on {CORES} cores, shares {shares:.2?} %, {apart:.2} apart");
    ensure(apart <= APART_MAX, || told.clone())?;
    Ok(told)
}
