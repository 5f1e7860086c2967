//! Signals, and several serving cores.

use super::{Saw, Setup, ensure};
use crate::clock::Watch;
use crate::process::Obring;
use crate::raw::{Conn, Got, Login};
use std::time::Duration;

/// A drain with nothing to wait for takes at most this long.
const DRAIN_MAX_SECS: u64 = 10;

fn must_end_well(proxy: &mut Obring) -> Result<(), String> {
    let status = proxy.wait_exit(DRAIN_MAX_SECS)?;
    ensure(status.code() == Some(0), || {
        let log = proxy.log();
        format!("SIGTERM ended it with {status}: {:?}", log.last())
    })
}

/// SIGTERM with idle sessions: each gets one error 1053, then the end; exit code 0; the port is
/// closed.
///
/// # Errors
/// What was seen instead.
pub fn drain_idle(setup: &Setup) -> Saw {
    let mut proxy = setup.start()?;
    let mut idle = vec![];
    for _ in 0..8 {
        let mut c = Conn::login(proxy.address(), &Login::default())?;
        c.cell("select 1")?;
        idle.push(c);
    }
    let mut greeted = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
    greeted.greeting()?;
    let watch = Watch::start();
    proxy.term();
    for c in &mut idle {
        let got = [c.receive(), c.receive()];
        ensure(
            got[0].error().is_some_and(|(code, _)| code == 1053)
                && matches!(got[1], Got::Closed | Got::Reset),
            || format!("an idle session saw {got:?} instead of error 1053 and the end"),
        )?;
    }
    must_end_well(&mut proxy)?;
    let took = watch.elapsed();
    ensure(Conn::open(proxy.address()).is_err(), || {
        "the port is still open".into()
    })?;
    Ok(format!("8 sessions told 1053, exit 0 after {took:.2?}"))
}

/// SIGTERM while a statement runs: its result arrives whole, then the end; exit code 0.
///
/// # Errors
/// What was seen instead.
pub fn drain_running(setup: &Setup) -> Saw {
    let mut proxy = setup.start()?;
    let mut c = Conn::login(proxy.address(), &Login::default())?;
    c.query("select sleep(2)").map_err(|e| e.to_string())?;
    let mut watcher = Conn::login(setup.kernel, &Login::default())?;
    crate::clock::wait_for(
        crate::clock::Deadline::secs(5),
        "the statement to run",
        || {
            let sql = "select count(*) > 0 from information_schema.processlist \
                   where info = 'select sleep(2)'";
            watcher.cell(sql).is_ok_and(|n| n == "1").then_some(())
        },
    )?;
    proxy.term();
    let got: Vec<_> = (0..5).map(|_| c.receive()).collect();
    ensure(
        got.iter()
            .all(|g| g.packet().is_some() && g.error().is_none()),
        || format!("the running statement's result: {got:?}"),
    )?;
    let after = [c.receive(), c.receive()];
    let told = after[0].error().map(|(code, _)| code);
    ensure(
        told == Some(1053) || matches!(after[0], Got::Closed | Got::Reset),
        || format!("behind the result: {after:?}"),
    )?;
    must_end_well(&mut proxy)?;
    Ok(format!("result whole, then {told:?}, exit 0"))
}

/// A second SIGTERM ends the process at once although a statement runs.
///
/// # Errors
/// When it does not.
pub fn second_term(setup: &Setup) -> Saw {
    let mut proxy = setup.start()?;
    let mut c = Conn::login(proxy.address(), &Login::default())?;
    c.query("select sleep(20)").map_err(|e| e.to_string())?;
    c.set_wait(Duration::from_millis(500));
    let early = c.receive();
    ensure(early == Got::TimedOut, || format!("{early:?}"))?;
    proxy.term();
    // The first signal is seen when the port is closed.
    let address = proxy.address();
    crate::clock::wait_for(
        crate::clock::Deadline::secs(5),
        "the listener to close",
        || Conn::open(address).is_err().then_some(()),
    )?;
    ensure(proxy.exit().is_none(), || {
        "the first SIGTERM did not wait for the statement".into()
    })?;
    let watch = Watch::start();
    proxy.term();
    let status = proxy.wait_exit(3)?;
    Ok(format!("{status} {:.2?} after the second", watch.elapsed()))
}

/// Four serving cores, sessions on all of them: the core's number is part of the connection id.
///
/// # Errors
/// When a core has none, or a session fails.
pub fn serving_cores(setup: &Setup) -> Saw {
    let proxy = Obring::start(&setup.options().set("work_thread_num", 4))?;
    let mut sessions = vec![];
    let mut cores = [0u32; 4];
    for _ in 0..80 {
        let mut c = Conn::login(proxy.address(), &Login::default())?;
        let id = c.cell("select connection_id()")?;
        let id: u32 = id.parse().map_err(|e| format!("connection id {id}: {e}"))?;
        // Bits of a client session id, version 2: proxy 13, parity 1, core 2, sequence 15.
        cores[(id >> 15 & 3) as usize] += 1;
        sessions.push(c);
    }
    for (n, c) in sessions.iter_mut().enumerate() {
        let text = format!("select {n}");
        ensure(c.cell(&text)? == n.to_string(), || text)?;
    }
    ensure(cores.iter().all(|&n| n > 0), || {
        format!("sessions per core: {cores:?}")
    })?;
    Ok(format!("80 sessions over 4 cores: {cores:?}"))
}
