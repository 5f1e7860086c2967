//! The time of requests, stage by stage, as the administrator sees it.

use super::{Saw, Setup, ensure};
use crate::clock::{Deadline, wait_for};
use crate::process::Obring;
use crate::raw::{Conn, Login};
use std::collections::HashMap;

/// Requests that are timed.
const REQUESTS: u64 = 50;
/// One of them takes this long on the server.
const SLEEP_MS: u64 = 200;

/// Each stage of a request is counted once for it, and a slow server shows where it should.
///
/// # Errors
/// The figure that is wrong.
pub fn stages(setup: &Setup) -> Saw {
    let proxy = Obring::start(&setup.options().set("obproxy_sys_password", ""))?;
    let mut client = Conn::login(proxy.address(), &Login::default())?;
    for n in 1..REQUESTS {
        client.cell(&format!("select {n}"))?;
    }
    client.cell(&format!("select sleep({})", SLEEP_MS as f64 / 1e3))?;
    let mut admin = Conn::login(proxy.address(), &Login::user("root@proxysys", ""))?;
    // The last write is counted in the next turn of the client's core.
    let figures = wait_for(Deadline::secs(10), "the last write is counted", || {
        let figures = figures(&mut admin).ok()?;
        (figures.get("stage_write_count") >= Some(&REQUESTS)).then_some(figures)
    })?;
    let figure = |name: &str| {
        let found = figures.get(name).copied();
        found.ok_or_else(|| format!("SHOW PROXYSTAT has no {name}"))
    };
    for stage in ["read", "parse", "route", "server_wait", "relay", "write"] {
        let count = figure(&format!("stage_{stage}_count"))?;
        ensure(count == REQUESTS, || {
            format!("{REQUESTS} requests, and {stage} was counted {count} times")
        })?;
        let cores = figures.iter().filter(|(name, _)| {
            name.starts_with("core_") && name.ends_with(&format!("_stage_{stage}_count"))
        });
        let sum: u64 = cores.map(|(_, n)| n).sum();
        ensure(sum == count, || format!("{stage}: {sum} on the cores"))?;
        let sum_ms = figure(&format!("stage_{stage}_sum_ns"))? / 1_000_000;
        let is_slow = sum_ms >= SLEEP_MS;
        ensure(is_slow == (stage == "server_wait"), || {
            format!("{stage}: {sum_ms} ms in all")
        })?;
    }
    let [p50, max] = ["p50", "max"].map(|q| figure(&format!("stage_server_wait_{q}_ns")));
    let (p50, max) = (p50? / 1_000, max? / 1_000);
    ensure(p50 < SLEEP_MS * 1_000 && max >= SLEEP_MS * 960, || {
        format!("server_wait: p50 {p50} us, max {max} us")
    })?;
    Ok(format!(
        "{REQUESTS} requests in each of 6 stages; server_wait p50 {p50} us, max {max} us"
    ))
}

/// All numbers of SHOW PROXYSTAT.
fn figures(admin: &mut Conn) -> Result<HashMap<String, u64>, String> {
    let rows = admin.rows("show proxystat")?;
    let number = |row: &Vec<Option<String>>| {
        let name = row.first()?.clone()?;
        let value = row.get(1)?.as_ref()?.parse().ok()?;
        Some((name, value))
    };
    Ok(rows.iter().filter_map(number).collect())
}
