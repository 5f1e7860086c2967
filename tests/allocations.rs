//! After warm-up a statement costs the session machine no allocation.
#![allow(missing_docs, reason = "a test")]

#[path = "machine/mod.rs"]
mod machine;
#[path = "machine/renumber.rs"]
mod renumber;

use machine::framed;
use machine::packet;
use obring::base::{
    Accepted, BufferPool, Input, Key, LinkId, Machines, NoLaps, Out, Output, Side, Tick,
};
use obring::protocol::mysql::{Login, client, put_packet};
use obring::protocol::ob20::Framing;
use obring::routing::Mail;
use obring::session::{SessionIds, Sessions, Settings};
use std::net::SocketAddr;

const HOME: Side = Side::Server(LinkId(0));
/// Statements before counting, and counted.
const WARM_UP: usize = 100;
const COUNTED: usize = 1_000;

/// A logged-in session and what its core keeps from turn to turn.
struct Core {
    sessions: Sessions,
    key: Key,
    arena: Vec<u8>,
    list: Vec<Output<Mail>>,
    pool: BufferPool,
    framing: Framing,
    /// Requests sent to the server.
    requests: u32,
}

impl Core {
    fn new(tracks: bool, framing: Framing) -> Self {
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
        let mut core = Self {
            sessions,
            key,
            arena: vec![],
            list: vec![],
            pool: BufferPool::default(),
            framing,
            requests: 0,
        };
        let track = if tracks { client::SESSION_TRACK } else { 0 };
        let login = Login {
            capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION | track,
            max_packet: 1 << 24,
            charset: 45,
            user: b"root@sys",
            auth: b"",
            database: None,
            plugin: None,
            attributes: b"",
        };
        core.call(Input::Wake);
        core.call(Input::Bytes(Side::Client, &packet(1, |b| login.put(b))));
        core.call(Input::Connected(LinkId(0)));
        core.call(Input::Bytes(HOME, &machine::greeting()));
        core.call(Input::Bytes(HOME, &framed::login_ok()));
        core
    }

    fn call(&mut self, input: Input<'_>) {
        let mut out = Out {
            arena: &mut self.arena,
            list: &mut self.list,
            pool: &mut self.pool,
            laps: &mut NoLaps,
        };
        self.sessions.handle(Tick(1), self.key, input, &mut out);
        assert!(
            !self.list.iter().any(|o| matches!(o, Output::End(..))),
            "{:?}",
            self.list
        );
        self.list.clear();
        self.arena.clear();
    }

    fn ask(&mut self, request: &[u8], piece: usize) {
        self.requests += 1;
        for bytes in request.chunks(piece) {
            self.call(Input::Bytes(Side::Client, bytes));
        }
    }

    fn answer(&mut self, frames: &mut [u8], piece: usize) {
        if self.framing == Framing::Ob20 {
            renumber::renumber(frames, self.requests);
        }
        for bytes in frames.chunks(piece) {
            self.call(Input::Bytes(HOME, bytes));
        }
    }

    /// One statement; bytes come in pieces of `piece`.
    fn statement(&mut self, request: &[u8], frames: &mut [u8], piece: usize) {
        if frames.is_empty() {
            // The session answers itself.
            self.requests -= 1;
        }
        self.ask(request, piece);
        self.answer(frames, piece);
    }
}

/// An OK in the layout for proxies.
fn ok(seq: u8) -> Vec<u8> {
    packet(seq, |b| b.extend_from_slice(&[0, 0, 0, 2, 0, 0, 0, 0]))
}

fn query(text: &str) -> Vec<u8> {
    packet(0, |b| {
        b.push(0x03);
        b.extend_from_slice(text.as_bytes());
    })
}

/// A result of `rows` rows of `len` bytes, with its terminal OK.
fn rows(rows: usize, len: usize) -> Vec<u8> {
    let mut out = packet(1, |b| b.push(1));
    let mut seq = 1_u8;
    let mut put = |payload: &[u8]| {
        seq = seq.wrapping_add(1);
        put_packet(&mut out, seq, |b| b.extend_from_slice(payload));
    };
    put(b"\x03def");
    put(&[0xFE, 0, 0, 2, 0]);
    for _ in 0..rows {
        put(&vec![b'r'; len]);
    }
    put(&[0xFE, 0, 0, 2, 0]);
    put(&[0, 0, 0, 2, 0, 0, 0, 0]);
    out
}

fn error() -> Vec<u8> {
    let mut out = packet(1, |b| b.extend_from_slice(b"\xff\x28\x04#42000no"));
    out.extend_from_slice(&ok(2));
    out
}

/// COM_STMT_EXECUTE of statement 1 with a number.
fn execute() -> Vec<u8> {
    packet(0, |b| {
        b.extend_from_slice(&[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 8, 0]);
        b.extend_from_slice(&5_u64.to_le_bytes());
    })
}

#[test]
fn named_statements_cost_no_allocation() {
    let ping = packet(0, |b| b.push(0x0E));
    let insert = format!("insert into kv values(1, '{}')", "v".repeat(20_000));
    let statements: [(&str, Vec<u8>, Vec<u8>); 8] = [
        ("select 1", query("select 1"), rows(1, 2)),
        (
            "point select",
            query("select v from kv where id=5"),
            rows(1, 100),
        ),
        ("prepared point select", execute(), rows(1, 100)),
        ("1 MB reply", query("select v from kv"), rows(1_000, 1_000)),
        ("begin", query("begin"), ok(1)),
        ("insert of 20 KB", query(&insert), ok(1)),
        ("error", query("selec"), error()),
        ("ping", ping, vec![]),
    ];
    // Compressed OceanBase 2.0 is made of the parts of the others.
    for framing in [Framing::Plain, Framing::Checksum, Framing::Ob20] {
        for tracks in [false, true] {
            let mut core = Core::new(tracks, framing);
            for (name, request, reply) in &statements {
                // Whole, as a receive buffer brings them, and cut inside of headers.
                for piece in [64 << 10, 1_447] {
                    count(&mut core, name, request, reply, piece);
                }
            }
        }
    }
}

/// Statements of one kind after warm-up: no allocation.
fn count(core: &mut Core, name: &str, request: &[u8], reply: &[u8], piece: usize) {
    let mut frames = renumber::first_reply(core.framing, reply);
    let counted = match reply.len() {
        ..100_000 => COUNTED,
        _ => COUNTED / 20,
    };
    for _ in 0..WARM_UP {
        core.statement(request, &mut frames, piece);
    }
    let count = allocation_counter::measure(|| {
        for _ in 0..counted {
            core.statement(request, &mut frames, piece);
        }
    });
    let framing = core.framing;
    assert_eq!(
        count.count_total, 0,
        "{name}, {framing:?}, {piece} bytes at a time: of {counted} statements"
    );
}

#[test]
fn an_allocation_is_seen() {
    let count = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8; 100])));
    assert_eq!(count.count_total, 1);
}
