//! Areas memory and restart: sizes that must not grow, ends that lose nothing.

use super::{Case, Field, check, part};
use crate::checks::{
    Saw, drain_idle, drain_running, ensure, login_cycles, slow_readers, small_reader,
};
use crate::raw::{Conn, Got, Login, framed};

pub(super) const CASES: &[Case] = &[
    part(
        "F085",
        "SIGTERM in every state",
        |f| drain_idle(&f.setup),
        "while metadata of a cluster loads: issue A3",
    ),
    part(
        "F087",
        "draining between statements",
        |f| drain_running(&f.setup),
        "transactions of 5 s and 60 s over a real cluster: issue A3",
    ),
    part(
        "F089",
        "memory over many logins",
        |f| login_cycles(&f.setup, f.count(1_000, 200_000)),
        "several tenants: issue A3; PROXY headers come with the front door: later",
    ),
    check("F090", "slow readers of huge results", slow),
    check("F092", "net_write_timeout", write_timeout),
    check("F093", "odd names in a burst", odd_names),
];

/// F090: the server is slowed down, memory stays, others go on.
fn slow(field: &Field) -> Saw {
    let seen = slow_readers(&field.setup)?;
    // The probe's p99 is a time: `scripts/accept` judges it, a test does not.
    let parts = [seen.blocked?, seen.memory?, seen.rows?];
    Ok(parts.join("; "))
}

/// COM_CHANGE_USER to the same user, without a password.
const CHANGE_USER: &[u8] = b"\x11root@sys\0\0\0\x2d\0mysql_native_password\0";

/// Sends a command after which the session begins anew.
fn begin_anew(c: &mut Conn, command: &[u8]) -> Result<(), String> {
    c.send(command, 0).map_err(|e| e.to_string())?;
    let mut got = c.receive();
    if let Some(switch) = got.packet().filter(|p| p.payload.first() == Some(&0xFE)) {
        // No password: nothing is the answer to every scramble.
        c.send(b"", switch.seq.wrapping_add(1))
            .map_err(|e| e.to_string())?;
        got = c.receive();
    }
    ensure(got.is_ok(), || format!("command {}: {got:?}", command[0]))
}

/// F092: a client that reads nothing is cut after its net_write_timeout, and not before. What it
/// has set counts no more once its session has begun anew.
fn write_timeout(field: &Field) -> Saw {
    let mut proxy = field.start()?;
    let rows = field.count(60_000, 600_000);
    let short = field.count(1, 2);
    let sql = format!(
        "select repeat('x',1000) from (select 1 from information_schema.columns a, \
         information_schema.columns b limit {rows}) t"
    );
    let open = |seconds: u32, command: &[u8]| -> Result<(String, Conn), String> {
        let mut c = small_reader(proxy.address())?;
        c.run(&format!("set session net_write_timeout={seconds}"))?;
        if !command.is_empty() {
            begin_anew(&mut c, command)?;
        }
        c.run("set session ob_query_timeout=600000000")?;
        let id = c.cell("select connection_id()")?;
        c.query(&sql).map_err(|e| e.to_string())?;
        Ok((id, c))
    };
    let (_, mut patient) = open(600, b"")?;
    let (_, mut reset) = open(short, b"\x1f")?;
    let (_, mut changed) = open(short, CHANGE_USER)?;
    let (id, mut hasty) = open(short, b"")?;
    let line = proxy.wait_log("reason=client_stalled")?;
    ensure(line.contains(&format!("session={id} ")), || line.clone())?;
    // What was sent before is still in the socket; then it ends.
    let mut got = 0;
    while hasty.receive().packet().is_some() {
        got += 1;
    }
    ensure(got < rows, || format!("all {got} rows of a cut client"))?;
    for (what, c) in [
        ("600 s", &mut patient),
        ("a reset", &mut reset),
        ("a changed user", &mut changed),
    ] {
        let all = read_rows(c).map_err(|e| format!("{what}: {e}"))?;
        ensure(all == rows, || format!("{what}: {all} of {rows} rows"))?;
        ensure(c.cell("select 1")? == "1", || format!("{what}: no more"))?;
    }
    Ok(format!(
        "cut after {short} s; with 600 s, a reset or a changed user all {rows} rows"
    ))
}

/// The number of long rows up to the end of the result.
fn read_rows(c: &mut Conn) -> Result<u32, String> {
    let mut all = 0;
    loop {
        let got = c.receive();
        let packet = got.packet().ok_or_else(|| format!("row {all}: {got:?}"))?;
        if packet.payload.len() > 1_000 {
            all += 1;
        } else if all > 0 {
            return Ok(all);
        }
    }
}

/// F093: names of every byte and of many lengths, at once, and gone at once: nothing falls over.
fn odd_names(field: &Field) -> Saw {
    let proxy = field.start()?;
    let to = proxy.address();
    let clients = field.count(64, 500);
    let told: Vec<Result<(), String>> = std::thread::scope(|s| {
        let tasks: Vec<_> = (0..clients)
            .map(|n| s.spawn(move || odd_client(to, n)))
            .collect();
        let lost = |_| Err("a client panicked".into());
        tasks
            .into_iter()
            .map(|t| t.join().unwrap_or_else(lost))
            .collect()
    });
    told.into_iter().collect::<Result<(), _>>()?;
    Conn::login(to, &Login::default())?.cell("select 1")?;
    Ok(format!("{clients} clients with odd names, alive"))
}

fn odd_client(to: std::net::SocketAddr, n: u32) -> Result<(), String> {
    // A user that does not exist: any byte, 1 to 10,000 of them.
    let length = 1 + (n * 163) as usize % 10_000;
    let name: Vec<u8> = (0..length)
        .map(|i| ((n as usize * 31 + i * 7) % 255 + 1) as u8)
        .collect();
    let mut c = Conn::open(to).map_err(|e| e.to_string())?;
    let scramble = c.greeting()?.scramble;
    let login = Login {
        user: name.clone(),
        ..Login::default()
    };
    c.send(&login.payload(&scramble), 1)
        .map_err(|e| e.to_string())?;
    let got = c.receive();
    ensure(got.error().is_some(), || format!("client {n}: {got:?}"))?;
    // A right login with a mixed-case identifier, and gone.
    let mut c = Conn::login(to, &Login::default())?;
    let sql = [
        &b"\x03select `"[..],
        &name[..length.min(60)],
        b"` from nope",
    ]
    .concat();
    c.send_bytes(&framed(&sql, 0)).map_err(|e| e.to_string())?;
    let got = c.receive();
    ensure(matches!(got, Got::Packet(_)), || {
        format!("client {n}: {got:?}")
    })?;
    c.send(b"\x01", 0).map_err(|e| e.to_string())
}
