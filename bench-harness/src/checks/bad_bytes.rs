//! Clients that do not speak the protocol, or do not speak at all.

use super::{Saw, Setup, ensure, plain_server};
use crate::clock::{Deadline, Watch, wait_for};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Got, Login, framed};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A client that sent nonsense is answered or cut within this time.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// One kind of nonsense.
struct Case {
    name: &'static str,
    /// Log in first.
    logged_in: bool,
    bytes: Vec<u8>,
    /// Half-close behind the bytes: what follows can never come.
    ends: bool,
    /// An error packet is due, not only a close.
    must_say: bool,
}

fn case(name: &'static str, logged_in: bool, bytes: Vec<u8>, ends: bool, must_say: bool) -> Case {
    Case {
        name,
        logged_in,
        bytes,
        ends,
        must_say,
    }
}

/// Bytes that look like nothing, always the same.
fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..n).map(|_| next()).collect()
}

fn cases() -> Vec<Case> {
    let login = Login::default().payload(b"ABCDEFGHIJKLMNOPQRST");
    let tls = [&(1u32 << 9 | 1 << 11 | 1 << 15).to_le_bytes()[..], &[0; 28]].concat();
    let compressed = Login::default().with(1 << 5).payload(b"");
    let http = b"GET / HTTP/1.1\r\nHost: db\r\n\r\n".to_vec();
    let long_first = [&[0xFF, 0xFF, 0xFF, 0][..], &vec![3; 0xFF_FFFF]].concat();
    let mut list = vec![
        case("http request", false, http.clone(), false, true),
        case("TLS request", false, framed(&tls, 1), false, true),
        case(
            "oversized login",
            false,
            vec![0xFF, 0xFF, 0xFF, 1],
            false,
            true,
        ),
        case(
            "login with sequence 7",
            false,
            framed(&login, 7),
            false,
            true,
        ),
        case(
            "login with sequence 0",
            false,
            framed(&login, 0),
            false,
            true,
        ),
        case("empty login", false, framed(b"", 1), false, true),
        case(
            "login cut in the user",
            false,
            framed(&login[..35], 1),
            false,
            true,
        ),
        case(
            "login cut in the answer",
            false,
            framed(&login[..12], 1),
            false,
            true,
        ),
        case("compression", false, framed(&compressed, 1), false, true),
        case("half a header", false, vec![40, 0], true, false),
        case(
            "half a login",
            false,
            framed(&login, 1)[..30].to_vec(),
            true,
            false,
        ),
        case(
            "empty packet as request",
            true,
            vec![0, 0, 0, 0],
            true,
            false,
        ),
        case(
            "request cut",
            true,
            vec![100, 0, 0, 0, 3, b's'],
            true,
            false,
        ),
        case("header cut", true, vec![100, 0], true, false),
        case("http request as statement", true, http, true, false),
        case(
            "continuation out of sequence",
            true,
            [&long_first[..], &[5, 0, 0, 9, 1, 2, 3, 4, 5]].concat(),
            false,
            true,
        ),
    ];
    for seed in 1..=10 {
        list.push(case("noise at login", false, noise(seed, 300), true, false));
        list.push(case(
            "noise as request",
            true,
            noise(seed * 77, 5_000),
            true,
            false,
        ));
    }
    list
}

/// Every case is answered or cut in time, with an error where one is due; another session goes on.
///
/// # Errors
/// The first case that was not.
pub fn bad_bytes(setup: &Setup) -> Saw {
    let proxy = setup.start()?;
    let mut other = Conn::login(proxy.address(), &Login::default())?;
    let id = other.cell("select connection_id()")?;
    let cases = cases();
    let (mut said, mut slowest) = (0, Duration::ZERO);
    for case in &cases {
        let before = proxy.log().len();
        let watch = Watch::start();
        let got = run(&proxy, case).map_err(|e| format!("{}: {e}", case.name))?;
        slowest = slowest.max(watch.elapsed());
        let last = got.last().cloned().unwrap_or(Got::TimedOut);
        ensure(matches!(last, Got::Closed | Got::Reset), || {
            format!("{}: not cut within {ANSWER_MAX:?}: {got:?}", case.name)
        })?;
        let error = got.iter().find_map(Got::error);
        ensure(!case.must_say || error.is_some(), || {
            format!("{}: no error packet, only {got:?}", case.name)
        })?;
        said += usize::from(error.is_some());
        if case.must_say {
            wait_for(Deadline::secs(3), "a log line with the reason", || {
                let log = proxy.log();
                log.get(before..)?
                    .iter()
                    .any(|l| l.contains("reason="))
                    .then_some(())
            })
            .map_err(|e| format!("{}: {e}; log: {:?}", case.name, proxy.log().get(before..)))?;
        }
        let now = other.cell("select connection_id()");
        ensure(now.as_ref() == Ok(&id), || {
            format!("{}: another session was disturbed: {now:?}", case.name)
        })?;
    }
    Ok(format!(
        "{} cases cut, {said} with an error packet, slowest {slowest:?}",
        cases.len()
    ))
}

fn run(proxy: &Obring, case: &Case) -> Result<Vec<Got>, String> {
    let mut c = if case.logged_in {
        Conn::login(proxy.address(), &Login::default())?
    } else {
        let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
        c.greeting()?;
        c
    };
    c.set_wait(ANSWER_MAX);
    // A cut while the bytes are on their way is an answer as well.
    let _ = c.send_bytes(&case.bytes);
    if case.ends {
        let _ = c.stream().shutdown(Shutdown::Write);
    }
    let mut got = vec![];
    while got.last().is_none_or(|g: &Got| g.packet().is_some()) && got.len() < 50 {
        got.push(c.receive());
    }
    Ok(got)
}

/// A client that sends nothing, half a login, or a login byte by byte too slowly is cut after
/// client_login_timeout (set to one second).
///
/// # Errors
/// What was not cut, or when.
pub fn half_login(setup: &Setup) -> Saw {
    let proxy = Obring::start(&setup.options().set("client_login_timeout", "1s"))?;
    let mut other = Conn::login(proxy.address(), &Login::default())?;
    let login = framed(&Login::default().payload(b""), 1);
    let mut times = vec![];
    for (name, bytes) in [
        ("nothing", &login[..0]),
        ("half a header", &login[..2]),
        ("half a login", &login[..20]),
        ("all but the last byte", &login[..login.len() - 1]),
    ] {
        let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
        c.greeting()?;
        c.set_wait(Duration::from_secs(6));
        let watch = Watch::start();
        c.send_bytes(bytes).map_err(|e| e.to_string())?;
        let mut got = vec![c.receive()];
        if got[0].packet().is_some() {
            got.push(c.receive());
        }
        let took = watch.elapsed();
        ensure(matches!(got.last(), Some(Got::Closed | Got::Reset)), || {
            format!("{name}: not cut within 6 s: {got:?}")
        })?;
        let bounds = Duration::from_millis(900)..Duration::from_millis(2_500);
        ensure(bounds.contains(&took), || {
            format!("{name}: cut after {took:?}, the time is 1 s")
        })?;
        times.push(format!("{name} {:.2} s", took.as_secs_f64()));
    }
    other.cell("select 1")?;
    Ok(times.join(", "))
}

/// Bare TCP probes and clients that say COM_QUIT to the greeting: no server connection, an orderly
/// close, no log line each (F080, F081).
///
/// # Errors
/// What was seen instead.
pub fn probes(setup: &Setup) -> Saw {
    let server = plain_server(false)?;
    let proxy = Obring::start(&Options::new(&setup.binary, &[server.address()]))?;
    drop(Conn::login(proxy.address(), &Login::default())?);
    let (logins, lines) = (&server.counts().logins, proxy.log().len());
    let accepted = server.counts().accepted.load(Ordering::SeqCst);
    let before = logins.load(Ordering::SeqCst);
    for _ in 0..500 {
        drop(TcpStream::connect(proxy.address()).map_err(|e| e.to_string())?);
    }
    for seq in [0, 1] {
        for _ in 0..20 {
            let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
            c.greeting()?;
            c.send(b"\x01", seq).map_err(|e| e.to_string())?;
            let got = c.receive();
            ensure(got == Got::Closed, || {
                format!("COM_QUIT with sequence {seq} instead of a login: {got:?}")
            })?;
        }
    }
    // Everything accepted before this login has been dealt with when it is answered on each core.
    for _ in 0..16 {
        drop(Conn::login(proxy.address(), &Login::default())?);
    }
    let new = logins.load(Ordering::SeqCst) - before - 16;
    ensure(new == 0, || {
        format!("{new} logins at the server for probes")
    })?;
    let opened = server.counts().accepted.load(Ordering::SeqCst) - accepted;
    ensure(opened <= 16 + 2, || {
        format!("{opened} server connections for 16 logins and 540 probes")
    })?;
    let new_lines = proxy.log().len() - lines;
    ensure(new_lines < 100, || {
        format!("{new_lines} log lines for 540 probes")
    })?;
    Ok(format!(
        "540 probes, 0 server logins, {new_lines} log lines"
    ))
}
