//! Leaders that move while clients work, on the model cluster with engine `builtin`: it answers
//! fast enough that many statements are under way at each move.

use super::front::{CORES, Front, TENANT};
use super::moves::{Aftermath, Agreed, LATE_US, Move};
use super::{Saw, Setup, ensure};
use crate::bench::spread::Spread;
use crate::clock::pause;
use crate::raw::Conn;
use crate::relay::spawn;
use obcluster::builtin::Layout;
use obcluster::{Change, Engine, Entry, Topology};
use obring_wire::base::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Leaves of the table: four for each log stream of the tenant.
const LEAVES: u32 = 12;
/// Most sessions of one run; each has a row of its own in each leaf, so that none waits for a lock.
const SESSIONS_MAX: u32 = 64;
/// Sessions on each core while leaders move.
const SESSIONS_EACH: usize = 4;
/// Servers, and log streams that tables live in.
const SERVERS: u32 = 3;
/// Each leader stays for so long.
const STAY: Duration = Duration::from_secs(1);
/// In the median the last core follows so soon after the first reply that tells of a move.
const AGREED_MAX_US: f64 = 5_000.0;
/// Client errors that are shown.
const SHOWN_MAX: usize = 5;

/// obring on several cores in front of a cluster whose leaders can be moved.
struct Rig {
    front: Front,
}

/// What the clients did.
#[derive(Default)]
struct Played {
    statements: u64,
    errors: Vec<String>,
}

/// Clients that work until they are told to stop.
struct Crowd {
    stop: Arc<AtomicBool>,
    played: Receiver<Played>,
}

impl Crowd {
    fn end(self) -> Played {
        self.stop.store(true, Ordering::Relaxed);
        // The channel ends with the last client.
        self.played.iter().fold(Played::default(), |mut all, one| {
            all.statements += one.statements;
            all.errors.extend(one.errors);
            all
        })
    }
}

impl Rig {
    fn start(setup: &Setup) -> Result<Self, String> {
        let layout = Layout {
            sbtest_partitions: LEAVES,
            sbtest_rows: LEAVES * (SESSIONS_MAX + 1),
            ..Layout::default()
        };
        let topology = Topology {
            servers: SERVERS,
            ..Topology::default()
        };
        let front = Front::start(setup, topology, Engine::Builtin(layout), &[])?;
        Ok(Self { front })
    }

    /// Sessions, so many on each core.
    fn sessions(&mut self, each: usize) -> Result<Vec<Conn>, String> {
        self.front.sessions(each, "test")
    }

    /// Sessions that ask for these leaves until they are stopped: of two statements one reads and
    /// one writes, each a transaction of its own.
    fn crowd(&self, sessions: Vec<Conn>, leaves: &[u32]) -> Result<Crowd, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, played) = channel();
        for (mut client, n) in sessions.into_iter().zip(0..) {
            let (stop, send, leaves) = (stop.clone(), send.clone(), leaves.to_vec());
            let run = move || {
                let mut dice = Rng::new(n);
                let mut did = Played::default();
                while !stop.load(Ordering::Relaxed) && did.errors.len() < SHOWN_MAX {
                    let leaf = leaves[dice.below(leaves.len() as u64) as usize];
                    // Ids begin with 1.
                    let id = u64::from(leaf) + u64::from(LEAVES) * (n + 1);
                    did.statements += 1;
                    let saw = match dice.chance(1, 2) {
                        true => client.cell(&format!("select c from sbtest1 where id={id}")),
                        false => client
                            .run(&format!("update sbtest1 set k=k+1 where id={id}"))
                            .map(|()| String::new()),
                    };
                    did.errors.extend(saw.err());
                }
                // Who waits for this has gone if nobody takes it.
                let _ = send.send(did);
            };
            spawn("client", run).map_err(|e| format!("a client: {e}"))?;
        }
        Ok(Crowd { stop, played })
    }

    /// The table's leaves in a log stream: their places, and their tablets.
    fn leaves(&self, stream: u64) -> Result<(Vec<u32>, Vec<u64>), String> {
        let layout = Layout {
            sbtest_partitions: LEAVES,
            ..Layout::default()
        };
        let shape = layout
            .shapes()
            .into_iter()
            .find(|s| s.name == "test.sbtest1");
        let shape = shape.ok_or("there is no table sbtest1")?;
        let state = self.front.cluster.state();
        let tenant = state.tenant(TENANT).ok_or("there is no tenant")?;
        let is_there = |leaf: &u32| state.placement.stream(tenant, &shape, *leaf) == stream;
        let leaves: Vec<_> = (0..LEAVES).filter(is_there).collect();
        let tablets = leaves.iter().map(|leaf| shape.tablets[*leaf as usize]);
        let tablets = tablets.collect();
        Ok((leaves, tablets))
    }

    /// The numbers of the log streams of tables.
    fn streams(&self) -> Result<Vec<u64>, String> {
        let state = self.front.cluster.state();
        let tenant = state.tenant(TENANT).ok_or("there is no tenant")?;
        Ok(tenant.user_streams().iter().map(|s| s.id).collect())
    }

    /// Another server leads a log stream.
    fn lead(&self, stream: u64) -> Result<Move, String> {
        let state = self.front.cluster.state();
        let tenant = state.tenant(TENANT);
        let led = tenant.and_then(|t| t.stream(stream)?.leader());
        let led = led.ok_or_else(|| format!("nobody leads {stream}"))?;
        let change = Change::Lead {
            tenant: TENANT.into(),
            stream,
            server: Some(led % SERVERS + 1),
        };
        let (_, tablets) = self.leaves(stream)?;
        let done = self
            .front
            .cluster
            .change(&change)
            .map_err(|e| e.to_string())?;
        Ok(Move::new(done, tablets))
    }

    /// Moves a leader each second, those of these streams in turn, and hands each move to `judge`
    /// with the log around it and the time at which the next one was made.
    fn moves(
        &self,
        streams: &[u64],
        count: usize,
        mut judge: impl FnMut(&Move, &[Entry], u64) -> Result<(), String>,
    ) -> Result<(), String> {
        // A move that was made, and the entry of the log from which on it is judged: that of the
        // move before it.
        let mut waiting: Option<(Move, u64)> = None;
        let mut from = self.front.cluster.log_next();
        pause(STAY);
        for stream in streams.iter().cycle().take(count + 1) {
            let moved = self.lead(*stream)?;
            let made = moved.made();
            pause(STAY / 2);
            // What began before this move is over by now, so that the one before it can be judged.
            if let Some((before, from)) = waiting.replace((moved, from)) {
                let log = self.front.log(from)?;
                judge(&before, &log, made.t_us)?;
            }
            from = made.seq;
            pause(STAY / 2);
        }
        Ok(())
    }
}

/// What came of all moves.
#[derive(Default)]
struct Sum {
    moves: usize,
    leaves: usize,
    after: Aftermath,
}

impl Sum {
    fn add(&mut self, moved: &Move, saw: &Aftermath) {
        self.moves += 1;
        self.leaves += moved.leaves();
        self.after.judged += saw.judged;
        self.after.misses += saw.misses;
        self.after.in_flight += saw.in_flight;
        self.after.asked += saw.asked;
        self.after.unfollowed += saw.unfollowed;
        self.after.latest_us = self.after.latest_us.max(saw.latest_us);
    }
}

/// A leader moves each second for so many seconds while sessions on all cores read and write: no
/// client notices, no statement comes to the old leader long after a look-up was answered, and
/// there are no more misses than one for each moved leaf on each core, and what was under way.
///
/// # Errors
/// What was not as it must be.
pub fn moving_leaders(setup: &Setup, seconds: usize) -> Saw {
    let mut rig = Rig::start(setup)?;
    let sessions = rig.sessions(SESSIONS_EACH)?;
    let leaves: Vec<_> = (0..LEAVES).collect();
    let crowd = rig.crowd(sessions, &leaves)?;
    let mut sum = Sum::default();
    let moved = rig.moves(&rig.streams()?, seconds, |moved, log, end_us| {
        sum.add(moved, &moved.aftermath(log, end_us));
        Ok(())
    });
    let played = crowd.end();
    moved?;
    let broken = rig.front.cluster.violations();
    let Sum {
        moves,
        leaves,
        after,
    } = sum;
    let misses_max = leaves * CORES + after.in_flight;
    let saw = format!(
        "{moves} moves of {leaves} leaves on {CORES} cores; {} statements, {} of them on moved \
         leaves and judged, {} errors; latest miss {} us after the look-up was answered; {} misses \
         of at most {leaves} x {CORES} + {} in flight = {misses_max}; {} look-ups, {} leaves not \
         followed, {} rules broken",
        played.statements,
        after.judged,
        played.errors.len(),
        after.latest_us,
        after.misses,
        after.in_flight,
        after.asked,
        after.unfollowed,
        broken.len(),
    );
    let shown = played.errors.iter().take(SHOWN_MAX).cloned();
    let told = [vec![saw.clone()], shown.collect()].concat().join("\n");
    let is_good = played.errors.is_empty()
        && after.latest_us <= LATE_US
        && after.misses <= misses_max
        && after.unfollowed == 0
        && broken.is_empty();
    // Without a miss nothing had to be noticed.
    ensure(is_good && after.misses > 0, || told)?;
    Ok(saw)
}

/// A leader moves each second while sessions on each core ask for one of its leaves: how long after
/// the first reply that tells of it the last core goes by the new place. What a core knows shows in
/// where its next statement goes, so the figure is up to a statement too long. Shown beside it is
/// the same when all leaves that have moved are asked for: obring asks about the leaf that was told
/// first, and about the others when it knows that the leader has moved.
///
/// # Errors
/// More than 5 ms in the median; a core that does not follow.
pub fn cores_agree(setup: &Setup, moves: usize) -> Saw {
    let mut rig = Rig::start(setup)?;
    let stream = *rig.streams()?.first().ok_or("no log streams")?;
    let (leaves, _) = rig.leaves(stream)?;
    let told = leaves.get(..1).unwrap_or_default();
    let (spread, one) = rig.agreed(stream, told, moves)?;
    let (_, all) = rig.agreed(stream, &leaves, moves)?;
    let count = leaves.len();
    let saw = format!("{CORES} cores, one leaf: {one}; all {count} leaves, not judged: {all}");
    ensure(spread.median <= AGREED_MAX_US, || saw.clone())?;
    Ok(saw)
}

impl Rig {
    /// After how many microseconds the last core agreed, over so many moves of a log stream of
    /// which these leaves are asked for; and the same in words.
    fn agreed(
        &mut self,
        stream: u64,
        leaves: &[u32],
        moves: usize,
    ) -> Result<(Spread, String), String> {
        let sessions = self.sessions(SESSIONS_EACH)?;
        let crowd = self.crowd(sessions, leaves)?;
        let mut agreed = vec![];
        let moved = self.moves(&[stream], moves, |moved, log, end_us| {
            let core = |e: &Entry| self.front.core(e);
            agreed.extend(moved.agreed(log, end_us, CORES, core)?);
            Ok(())
        });
        let played = crowd.end();
        moved?;
        let judged = agreed.len();
        let spread = |of: fn(&Agreed) -> u64| {
            let spread = Spread::of(agreed.iter().map(|a| of(a) as f64));
            spread.ok_or("no reply told of a move")
        };
        let (asked, answered) = (spread(|a| a.asked_us)?, spread(|a| a.answered_us)?);
        let worst = agreed.iter().map(|a| a.agreed_us).max().unwrap_or(0);
        let spread = spread(|a| a.agreed_us)?;
        let saw = format!(
            "{spread:.0} us after the first reply, worst {worst}; asked after {:.0}, answered \
             after {:.0}; {judged} of {moves} moves told, {} statements, {} errors",
            asked.median,
            answered.median,
            played.statements,
            played.errors.len()
        );
        // A move that no reply tells of shows nothing; most must.
        let is_good = played.errors.is_empty() && judged * 2 > moves;
        ensure(is_good, || saw.clone())?;
        Ok((spread, saw))
    }
}
