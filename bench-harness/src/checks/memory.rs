//! Memory and descriptors: many logins one after another, many idle sessions.

use super::{Saw, Setup, ensure, plain_server};
use crate::clock::{Deadline, wait_for};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Login};
use std::sync::atomic::Ordering;

/// Growth of resident memory allowed from the middle to the end of the cycles.
const CYCLES_GROWTH_MAX_KIB: u64 = 256;
/// Resident memory of an idle session, pool included.
const IDLE_MAX_KIB: f64 = 8.0;
/// The same as a slope.
const SLOPE_MAX_KIB: f64 = 4.0;

/// Sequential connect, login, quit against the kernel: descriptors equal, memory flat from the
/// middle to the end.
///
/// # Errors
/// A failed login, or a figure over its bound.
pub fn login_cycles(setup: &Setup, cycles: u32) -> Saw {
    let proxy = setup.start()?;
    cycle(&proxy)?;
    let before = settled(&proxy, None);
    let mut middle = 0;
    for n in 0..cycles {
        if n == cycles / 2 {
            settled(&proxy, Some(before));
            middle = proxy.rss_kib();
        }
        cycle(&proxy).map_err(|e| format!("cycle {n}: {e}"))?;
    }
    let after = settled(&proxy, Some(before));
    let grown = proxy.rss_kib().saturating_sub(middle);
    let figure = format!("descriptors {before} -> {after}, RSS +{grown} KiB in the second half");
    ensure(after == before && grown <= CYCLES_GROWTH_MAX_KIB, || {
        figure.clone()
    })?;
    Ok(figure)
}

fn cycle(proxy: &Obring) -> Result<(), String> {
    let mut c = Conn::login(proxy.address(), &Login::default())?;
    c.send(b"\x01", 0).map_err(|e| e.to_string())
}

/// The number of descriptors once it rests (links close a moment after their clients), or once it
/// is `want`.
fn settled(proxy: &Obring, want: Option<usize>) -> usize {
    let (mut last, mut same) = (0, 0);
    let _ = wait_for(Deadline::secs(10), "descriptors at rest", || {
        let now = proxy.descriptors();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (want == Some(now) || (want.is_none() && same > 500)).then_some(())
    });
    proxy.descriptors()
}

/// 1,000 and then 3,000 idle sessions, each with a link to a server of few words.
///
/// # Errors
/// A failed login, or a figure over its bound.
pub fn idle_sessions(setup: &Setup) -> Saw {
    // Both sides of 3,000 sessions: 6,000 descriptors here, 6,000 there.
    raise_descriptors();
    let server = plain_server(false)?;
    let proxy = Obring::start(&Options::new(&setup.binary, &[server.address()]))?;
    let base = proxy.rss_kib();
    let mut held = vec![];
    let mut fill = |n: usize| -> Result<u64, String> {
        while held.len() < n {
            let mut c = Conn::login(proxy.address(), &Login::default())
                .map_err(|e| format!("session {}: {e}", held.len()))?;
            c.cell("select 1")?;
            held.push(c);
        }
        let links = server.counts().open.load(Ordering::SeqCst);
        ensure(links >= n as u64, || {
            format!("{links} links for {n} sessions")
        })?;
        Ok(proxy.rss_kib())
    };
    let thousand = fill(1_000)?;
    let three = fill(3_000)?;
    let each = thousand.saturating_sub(base) as f64 / 1_000.0;
    let slope = three.saturating_sub(thousand) as f64 / 2_000.0;
    let figure = format!("{each:.2} KiB each at 1,000; slope {slope:.2} KiB to 3,000");
    ensure(each <= IDLE_MAX_KIB && slope <= SLOPE_MAX_KIB, || {
        figure.clone()
    })?;
    Ok(figure)
}

fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
