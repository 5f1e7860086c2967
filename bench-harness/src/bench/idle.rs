//! What sessions cost that do nothing: memory, and CPU while time goes by.

use super::cpu::{cpu_ns, tree};
use super::load::{Load, Work};
use super::peer::{Kind, Peer, Programs, Server};
use super::statement::Statement;
use crate::clock::{Watch, pause};
use crate::process::rss_kib;
use std::time::Duration;

/// Sessions at the first look: what a first session makes a process touch is not counted.
pub const FEW: usize = 50;
/// Sessions at the second look, and while CPU is read.
pub const MANY: usize = 1_000;

/// From the last login until CPU is read: what a login leaves behind is its cost, not that of an
/// idle session.
pub const SETTLE: Duration = Duration::from_secs(2);

/// Figures of one peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Idle {
    /// The peer.
    pub kind: Kind,
    /// Resident memory without a session, in MiB.
    pub start_mib: f64,
    /// Resident memory per session between the two looks, in KiB.
    pub session_kib: f64,
    /// CPU in ms that the logins of [`MANY`] sessions cost after the last was answered.
    pub after_ms: f64,
    /// CPU of the process tree in ms per second, at [`MANY`] sessions, from then on.
    pub cpu_ms: f64,
}

/// Measures a peer that is started for it.
///
/// # Errors
/// What it did instead.
pub fn measure(
    kind: Kind,
    programs: &Programs,
    server: &Server,
    length: Duration,
) -> Result<Idle, String> {
    let peer = Peer::start(kind, programs, server)?;
    let id = peer.id().ok_or("nothing to measure")?;
    let rss = || tree(id).into_iter().map(rss_kib).sum::<u64>() as f64;
    let start = rss();
    let work = Work {
        statement: Statement::Point,
        is_prepared: false,
    };
    let mut load = Load::new(peer.address, work)?;
    load.open(FEW)?;
    let few = rss();
    load.open(MANY)?;
    let many = rss();
    let answered = cpu_ns(id)?;
    pause(SETTLE);
    let (settled, watch) = (cpu_ns(id)?, Watch::start());
    pause(length);
    let used_ns = cpu_ns(id)?.saturating_sub(settled);
    Ok(Idle {
        kind,
        start_mib: start / 1024.0,
        session_kib: (many - few) / (MANY - FEW) as f64,
        after_ms: settled.saturating_sub(answered) as f64 / 1e6,
        cpu_ms: used_ns as f64 / 1e6 / watch.elapsed().as_secs_f64(),
    })
}
