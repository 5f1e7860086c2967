//! Area limits and storms.

use super::{Case, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::clock::{Deadline, Watch, wait_for};
use crate::process::Obring;
use crate::raw::{Conn, Login};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    part(
        "F072",
        "too many connections says which limit",
        which_limit,
        "limits per tenant, and 1040 of a server itself: issue A3",
    ),
    check("F073", "thousands of logins at once", login_storm),
    check(
        "F075",
        "the connection limit is raised in an emergency",
        raised_limit,
    ),
];

/// The administrator of an obring that was started without a password for it.
pub(super) fn admin(to: SocketAddr) -> Result<Conn, String> {
    Conn::login(to, &Login::user("root@proxysys", ""))
}

/// obring with this setting, and an administrator without a password.
pub(super) fn start_with(field: &Field, name: &str, value: u32) -> Result<Obring, String> {
    let options = field.setup.options().set("obproxy_sys_password", "");
    Obring::start(&options.set(name, value))
}

fn fill(to: SocketAddr, n: usize) -> Result<Vec<Conn>, String> {
    (0..n).map(|_| Conn::login(to, &Login::default())).collect()
}

/// F072: the text names the limit and its value; those who are in are not disturbed.
fn which_limit(field: &Field) -> Saw {
    let proxy = start_with(field, "client_max_connections", 20)?;
    let mut inside = fill(proxy.address(), 20)?;
    for _ in 0..5 {
        let told = Conn::login(proxy.address(), &Login::default())
            .map(drop)
            .err()
            .unwrap_or_default();
        ensure(
            told.contains("error 1203: ") && told.contains("20 ") && told.contains("client_max"),
            || format!("the 21st client was told {told:?}"),
        )?;
    }
    for c in &mut inside {
        ensure(c.cell("select 1")? == "1", || "disturbed".into())?;
    }
    Ok("5 told 1203 and the limit, 20 go on".into())
}

/// F073: a burst of logins: each works, and those who are in are still answered.
fn login_storm(field: &Field) -> Saw {
    const AT_ONCE: u32 = 16;
    let total = field.count(640, 30_000);
    let proxy = field.start()?;
    let to = proxy.address();
    let mut inside = fill(to, 50)?;
    let watch = Watch::start();
    let failed: Vec<String> = std::thread::scope(|s| {
        let one = || {
            (0..total / AT_ONCE)
                .filter_map(|_| {
                    let mut c = match Conn::login(to, &Login::default()) {
                        Ok(c) => c,
                        Err(e) => return Some(e),
                    };
                    let got = c.cell("select 1");
                    let _ = c.send(b"\x01", 0);
                    got.err()
                })
                .collect::<Vec<_>>()
        };
        let tasks: Vec<_> = (0..AT_ONCE).map(|_| s.spawn(one)).collect();
        let lost = |_| vec!["a client panicked".to_owned()];
        let joined = tasks.into_iter().map(|t| t.join().unwrap_or_else(lost));
        joined.flatten().collect()
    });
    ensure(failed.is_empty(), || {
        format!(
            "{} of {total} failed, the first: {}",
            failed.len(),
            failed[0]
        )
    })?;
    for c in &mut inside {
        c.cell("select 1")?;
    }
    Ok(format!(
        "{total} logins in {:.1?}, 0 errors",
        watch.elapsed()
    ))
}

/// F075: at the limit the administrator gets in, and what it sets holds at once.
fn raised_limit(field: &Field) -> Saw {
    let proxy = start_with(field, "client_max_connections", 20)?;
    let to = proxy.address();
    let inside = fill(to, 20)?;
    let told = Conn::login(to, &Login::default()).map(drop);
    ensure(told.is_err(), || "a 21st client got in".into())?;
    let mut administrator = admin(to)?;
    administrator.run("alter proxyconfig set client_max_connections = 40")?;
    let watch = Watch::start();
    let more = fill(to, 15)?;
    let took = watch.elapsed();
    ensure(took < Duration::from_secs(1), || {
        format!("15 logins in {took:?}")
    })?;
    // And down again: nobody is cut, nobody comes in.
    administrator.run("alter proxyconfig set client_max_connections = 20")?;
    let told = Conn::login(to, &Login::default()).map(drop);
    ensure(told.is_err(), || {
        "a client got in over the lowered limit".into()
    })?;
    let n = inside.len() + more.len();
    drop((inside, more));
    wait_for(Deadline::secs(10), "room again", || {
        Conn::login(to, &Login::default()).ok()
    })?;
    Ok(format!(
        "{n} inside, 15 of them {took:.0?} after the change"
    ))
}
