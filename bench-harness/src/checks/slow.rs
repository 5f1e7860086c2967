//! Clients that ask for much and do not read.

use super::{Setup, ensure, plain_server};
use crate::clock::{Deadline, Watch, wait_for};
use crate::process::{Obring, Options};
use crate::raw::{Conn, Login, framed};
use obcluster::builtin::{Running, row_text};
use obring_wire::protocol::mysql::HEADER_LEN;
use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Slow readers.
const READERS: usize = 30;
/// Text of a row, and the row with header and length.
const ROW_TEXT: usize = 1_017;
const ROW_LEN: usize = HEADER_LEN + 3 + ROW_TEXT;
/// Rows each of them asks for: 64 MB.
const ROWS: u64 = (64 << 20) / ROW_LEN as u64;
/// Receive buffer of a slow reader.
const RECEIVE_BUFFER: usize = 16 << 10;
/// Memory allowed for each: the arming limit and what a session may hold besides.
const EACH_KIB: u64 = 256 + 100;
/// The buffer pool of a serving core.
const POOL_KIB: u64 = 4 << 10;

/// What the slow readers showed; each figure with its verdict.
#[derive(Clone, Debug)]
pub struct SlowReaders {
    /// The server's sends stopped.
    pub blocked: Result<String, String>,
    /// Resident memory.
    pub memory: Result<String, String>,
    /// p99 of a probe beside them.
    pub probe: Result<String, String>,
    /// Every row arrived.
    pub rows: Result<String, String>,
}

/// Runs the 30 slow readers against a server that never tires.
///
/// # Errors
/// When they could not even be set up.
pub fn slow_readers(setup: &Setup) -> Result<SlowReaders, String> {
    let server = plain_server(false)?;
    let options = Options::new(&setup.binary, &[server.address()]).set("work_thread_num", 1);
    let proxy = Obring::start(&options)?;
    let mut beside = Conn::login(proxy.address(), &Login::default())?;
    // Another one without them, asked in turn: the machine is the same for both.
    let other = Obring::start(&options)?;
    let mut alone = Conn::login(other.address(), &Login::default())?;
    p99(&mut beside)?;
    let base = proxy.rss_kib();
    let mut readers = vec![];
    for _ in 0..READERS {
        let mut r = small_reader(proxy.address())?;
        r.send_bytes(&framed(
            format!("\x03select {ROWS} rows of {ROW_TEXT} bytes").as_bytes(),
            0,
        ))
        .map_err(|e| e.to_string())?;
        readers.push(r);
    }
    let total = READERS as u64 * ROWS * ROW_LEN as u64;
    let blocked = blocked(&server, total);
    let probe = probe(&mut alone, &mut beside);
    let grown = proxy.rss_kib().saturating_sub(base);
    let allowed = POOL_KIB + READERS as u64 * EACH_KIB;
    let figure = format!("RSS +{grown} KiB of {allowed}");
    let memory = ensure(grown <= allowed, || figure.clone()).map(|()| figure.clone());
    let mut rows = Ok(format!("{READERS} x {ROWS} rows, all as sent"));
    for (n, mut r) in readers.into_iter().enumerate() {
        if let Err(e) = read_all(&mut r) {
            rows = Err(format!("reader {n}: {e}"));
            break;
        }
    }
    Ok(SlowReaders {
        blocked,
        memory,
        probe,
        rows,
    })
}

/// The bytes that the server could send stop growing, far below the total.
fn blocked(server: &Running, total: u64) -> Result<String, String> {
    let sent = || server.counts().sent_bytes.load(Ordering::SeqCst);
    let (mut last, mut since) = (0, Watch::start());
    wait_for(Deadline::secs(60), "the server's sends to stop", || {
        let now = sent();
        if now != last {
            last = now;
            since = Watch::start();
        }
        (now > 0 && since.elapsed() > Duration::from_secs(1)).then_some(())
    })?;
    let figure = format!(
        "stopped at {:.1} of {:.0} MiB",
        last as f64 / 1048576.0,
        total as f64 / 1048576.0
    );
    ensure(last < total / 2, || figure.clone())?;
    Ok(figure)
}

/// A session alone and one beside slow readers, in turn: in the median of the rounds the second
/// must not take twice as long as the first.
fn probe(alone: &mut Conn, beside: &mut Conn) -> Result<String, String> {
    let mut rounds = vec![];
    for _ in 0..9 {
        rounds.push((p99(alone)?, p99(beside)?));
    }
    let ratio = |(alone, beside): &(Duration, Duration)| beside.as_secs_f64() / alone.as_secs_f64();
    rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    let median = rounds[4];
    let figure = format!(
        "p99 {:?} alone, {:?} beside them, in the median of 9 rounds in turn",
        median.0, median.1
    );
    ensure(ratio(&median) <= 2.0, || figure.clone())?;
    Ok(figure)
}

/// The 99th percentile of 400 questions.
fn p99(c: &mut Conn) -> Result<Duration, String> {
    let mut times = vec![];
    for _ in 0..400 {
        let watch = Watch::start();
        c.cell("select 1")?;
        times.push(watch.elapsed());
    }
    times.sort_unstable();
    Ok(times[395])
}

/// A client whose system takes little for it: the buffer must be small before the connect.
/// A client whose receive buffer holds little, logged in.
///
/// # Errors
/// What came instead of the login.
pub fn small_reader(to: SocketAddr) -> Result<Conn, String> {
    let open = || -> rustix::io::Result<TcpStream> {
        let s = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_recv_buffer_size(&s, RECEIVE_BUFFER)?;
        connect(&s, &to)?;
        Ok(TcpStream::from(s))
    };
    let stream = open().map_err(|e| format!("a small reader: {e}"))?;
    let mut c = Conn::over(stream).map_err(|e| e.to_string())?;
    let greeting = c.greeting()?;
    c.send(&Login::default().payload(&greeting.scramble), 1)
        .map_err(|e| e.to_string())?;
    let got = c.receive();
    ensure(got.is_ok(), || format!("login of a small reader: {got:?}"))?;
    Ok(c)
}

/// Reads one result of [`ROWS`] rows and checks each; then the session still answers.
fn read_all(c: &mut Conn) -> Result<(), String> {
    for what in ["column count", "column", "EOF"] {
        let got = c.receive();
        ensure(got.packet().is_some(), || format!("{what}: {got:?}"))?;
    }
    for n in 0..ROWS {
        let got = c.receive();
        let is_right = got.packet().is_some_and(|p| {
            p.payload.get(3..) == Some(&row_text(n, ROW_TEXT)[..]) && p.seq == (n + 4) as u8
        });
        ensure(is_right, || format!("row {n}: {got:?}"))?;
    }
    let got = c.receive();
    ensure(
        got.packet()
            .is_some_and(|p| p.payload.first() == Some(&0xFE)),
        || format!("behind the rows: {got:?}"),
    )?;
    c.cell("select 1").map(drop)
}
