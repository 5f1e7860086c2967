//! What engine `builtin` costs, so that it is never what is measured.

use super::{Saw, ensure};
use crate::bench::load::{Load, Work};
use crate::bench::statement::{Statement, layout};
use crate::clock::Watch;
use crate::raw::framed;
use obcluster::builtin::{Data, Server, Session};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{Login, client, put_attribute};
use obring_wire::protocol::ob20::{Envelope, FrameWriter, Framing};
use std::time::Duration;

/// CPU of a canned point select besides system calls, in a release build.
const POINT_MAX: Duration = Duration::from_micros(1);
/// Statements of one round, and rounds; the quickest counts, because others share the CPU.
const STATEMENTS: u32 = 50_000;
const ROUNDS: u32 = 9;
/// How long the server is asked.
const ASKED: Duration = Duration::from_secs(2);
/// Clock ticks of `/proc/.../stat` per second (USER_HZ of Linux).
const TICKS: u64 = 100;
/// Connection id of the session.
const ID: u32 = 0xC000_0001;

/// Time of the machine alone for a point select in this framing.
fn machine(mask: u64) -> Duration {
    let mut data = Data::new(layout(false));
    let mut out = vec![];
    let mut session = Session::new(ID, None, 1, &mut out);
    let mut attributes = vec![];
    put_attribute(&mut attributes, b"__mysql_client_type", b"__ob_proxy");
    put_attribute(
        &mut attributes,
        b"__proxy_capability_flag",
        mask.to_string().as_bytes(),
    );
    let login = Login {
        capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION | client::CONNECT_ATTRS,
        max_packet: 1 << 24,
        charset: 45,
        user: b"root@sys",
        auth: b"",
        database: None,
        plugin: None,
        attributes: &attributes,
    };
    let mut payload = vec![];
    login.put(&mut payload);
    session.receive(&mut data, 0, &framed(&payload, 1), &mut out);
    let mut writer = FrameWriter::new(Framing::agreed(mask, mask), ID, true);
    writer.begin_request();
    let mut request = vec![];
    let envelope = Envelope {
        is_last: true,
        ..Envelope::default()
    };
    writer.put(&mut request, envelope, &Statement::Point.request(false));
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let watch = Watch::start();
        for _ in 0..STATEMENTS {
            out.clear();
            session.receive(&mut data, 0, &request, &mut out);
        }
        best = best.min(watch.elapsed() / STATEMENTS);
    }
    best
}

/// User and system time of the thread of this name, in milliseconds.
fn thread_ms(name: &str) -> Option<(u64, u64)> {
    for task in std::fs::read_dir("/proc/self/task").ok()?.flatten() {
        let text = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (head, tail) = text.rsplit_once(')')?;
        if head.ends_with(&format!("({name}")) {
            let mut fields = tail.split_whitespace().skip(11);
            let mut next = || -> Option<u64> { fields.next()?.parse().ok() };
            return Some((next()? * 1_000 / TICKS, next()? * 1_000 / TICKS));
        }
    }
    None
}

/// At most one microsecond of CPU besides system calls for each canned point select; the share of
/// the server's thread is shown beside it.
///
/// # Errors
/// More than that in a release build; or the server did not answer.
pub fn engine_cost() -> Saw {
    let (plain, ob20) = (machine(capability::PLAIN), machine(capability::OB20));
    let server = Server::bind_free(layout(false)).and_then(Server::spawn);
    let server = server.map_err(|e| e.to_string())?;
    let work = Work {
        statement: Statement::Point,
        is_prepared: false,
    };
    let mut load = Load::new(server.address(), work)?;
    load.open(1)?;
    let before = thread_ms("builtin").unwrap_or_default();
    let asked = load.closed(ASKED)?.latency.len().max(1);
    let after = thread_ms("builtin").unwrap_or_default();
    let each = |ms: u64| ms as f64 * 1_000.0 / asked as f64;
    let build = if cfg!(debug_assertions) {
        ", a debug build: not judged"
    } else {
        ""
    };
    let figure = format!(
        "machine {plain:?} plain, {ob20:?} OceanBase 2.0; server thread {:.2} us user, {:.2} us \
         system per point select of {asked}{build}",
        each(after.0.saturating_sub(before.0)),
        each(after.1.saturating_sub(before.1)),
    );
    let is_met = cfg!(debug_assertions) || plain.max(ob20) <= POINT_MAX;
    ensure(is_met, || figure.clone()).map(|()| figure.clone())
}
