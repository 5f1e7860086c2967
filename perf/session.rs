//! What a statement costs the session machine alone. `cargo bench --bench session`.
//!
//! `--only CASE --statements N` runs one case N times instead of for a time: callgrind counts the
//! instructions of two such runs (`scripts/bench --record`).
#![allow(missing_docs, reason = "a benchmark")]

#[path = "../tests/machine/mod.rs"]
mod machine;
#[path = "../tests/machine/renumber.rs"]
mod renumber;

use machine::framed;
use machine::packet;
use obring::base::{Accepted, BufferPool, Input, Key, LinkId, Machines, NoLaps, Out, Side, Tick};
use obring::protocol::mysql::{Command, Login, client, put_packet};
use obring::protocol::ob20::Framing;
use obring::routing::Mail;
use obring::session::{SessionIds, Sessions, Settings};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Long enough for a steady figure, short enough to be run often.
const RUN: Duration = Duration::from_millis(500);
const HOME: Side = Side::Server(LinkId(0));

/// A logged-in session and the core's buffers.
struct Bench {
    sessions: Sessions,
    key: Key,
    arena: Vec<u8>,
    list: Vec<obring::base::Output<Mail>>,
    pool: BufferPool,
}

impl Bench {
    fn new(framing: Framing) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 2881));
        let replica = machine::replica();
        let settings = Settings {
            capability: framed::capability_of(framing),
            ..Settings::default()
        };
        let mut sessions = Sessions::new(settings, SessionIds::new(1, 0, 1), replica);
        let accepted = Accepted {
            peer: any,
            local: any,
            unix_us: 0,
            entropy: [7; 32],
            is_over_limit: false,
        };
        let key = sessions.accept(Tick(0), accepted).expect("a place");
        let mut bench = Self {
            sessions,
            key,
            arena: vec![],
            list: vec![],
            pool: BufferPool::default(),
        };
        bench.call(Input::Wake);
        bench.bytes(Side::Client, &packet(1, |b| login().put(b)));
        bench.call(Input::Connected(LinkId(0)));
        bench.bytes(HOME, &machine::greeting());
        bench.bytes(HOME, &framed::login_ok());
        bench
    }

    fn call(&mut self, input: Input<'_>) {
        let mut out = Out {
            arena: &mut self.arena,
            list: &mut self.list,
            pool: &mut self.pool,
            laps: &mut NoLaps,
        };
        self.sessions.handle(Tick(1), self.key, input, &mut out);
        black_box(&self.list);
        self.list.clear();
        self.arena.clear();
    }

    fn bytes(&mut self, side: Side, bytes: &[u8]) {
        for slice in bytes.chunks(64 << 10) {
            self.call(Input::Bytes(side, slice));
        }
    }
}

fn login() -> Login<'static> {
    Login {
        capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION,
        max_packet: 1 << 24,
        charset: 45,
        user: b"root@sys",
        auth: b"",
        database: None,
        plugin: None,
        attributes: b"",
    }
}

/// A reply of `rows` rows of `len` bytes, terminal OK included.
fn reply(rows: usize, len: usize) -> Vec<u8> {
    let eof = |b: &mut Vec<u8>| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]);
    let mut seq = 0u8;
    let mut next = || {
        seq = seq.wrapping_add(1);
        seq
    };
    let mut out = packet(next(), |b| b.push(1));
    put_packet(&mut out, next(), |b| b.extend_from_slice(b"\x03def"));
    put_packet(&mut out, next(), eof);
    for _ in 0..rows {
        put_packet(&mut out, next(), |b| {
            b.extend(std::iter::repeat_n(b'r', len));
        });
    }
    put_packet(&mut out, next(), eof);
    put_packet(&mut out, next(), |b| {
        b.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0])
    });
    out
}

/// A case: its name, its framing, rows per statement, and its reply.
type Case = (&'static str, Framing, u64, Vec<u8>);

/// How long a case runs.
enum Length {
    Time(Duration),
    Statements(u64),
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn measure((name, framing, rows, reply): &Case, length: &Length) {
    let mut bench = Bench::new(*framing);
    let mut reply = renumber::first_reply(*framing, reply);
    let select = packet(0, |b| {
        b.push(Command::QUERY.0);
        b.extend_from_slice(b"select v from kv where id=5");
    });
    let start = Instant::now();
    let mut statements = 0u64;
    let is_over = |statements: u64| match length {
        // The clock is read now and then only.
        Length::Time(time) => statements.is_multiple_of(64) && start.elapsed() >= *time,
        Length::Statements(n) => statements >= *n,
    };
    while !is_over(statements) {
        statements += 1;
        bench.bytes(Side::Client, &select);
        if *framing == Framing::Ob20 {
            renumber::renumber(&mut reply, statements as u32);
        }
        bench.bytes(HOME, &reply);
    }
    let each = start.elapsed().as_nanos() as u64 / statements.max(1);
    println!(
        "{name:<20} {each:>9} ns per statement {:>7} ns per row",
        each / rows
    );
}

/// The case of `--only`, and the length of `--statements`.
fn arguments() -> Result<(Option<String>, Length), String> {
    let (mut only, mut length) = (None, Length::Time(RUN));
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            // What cargo says to every benchmark.
            "--bench" => {}
            "--only" => only = Some(value()?),
            "--statements" => {
                let n = value()?;
                let n = n.parse().map_err(|e| format!("--statements {n}: {e}"))?;
                length = Length::Statements(n);
            }
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok((only, length))
}

fn main() -> Result<(), String> {
    let (only, length) = arguments()?;
    let (point, large) = (reply(1, 100), reply(1_024, 1_020));
    let cases: [Case; 6] = [
        ("point_select", Framing::Plain, 1, point.clone()),
        ("large_reply", Framing::Plain, 1_024, large.clone()),
        ("point_select_ob20", Framing::Ob20, 1, point.clone()),
        ("large_reply_ob20", Framing::Ob20, 1_024, large.clone()),
        ("point_select_adler", Framing::Checksum, 1, point),
        ("large_reply_adler", Framing::Checksum, 1_024, large),
    ];
    let is_wanted = |case: &&Case| only.as_deref().is_none_or(|name| name == case.0);
    let mut wanted = cases.iter().filter(is_wanted).peekable();
    if wanted.peek().is_none() {
        return Err(format!("there is no case {}", only.unwrap_or_default()));
    }
    wanted.for_each(|case| measure(case, &length));
    Ok(())
}
