//! Several requests under way on one link, in all framings and any split of the replies.

use super::*;
use crate::base::Rng;
use crate::protocol::mysql::{ClientTurn, Command, ReplySink, put_packet};
use crate::protocol::ob20::{FrameReader, FrameWriter};
use std::ops::Range;

const FRAMINGS: [Framing; 4] = [
    Framing::Plain,
    Framing::Checksum,
    Framing::Ob20,
    Framing::Ob20Compressed,
];
const ID: u32 = 0xC000_0001;

/// What replies said, each under its number.
#[derive(Default)]
struct Seen {
    at: usize,
    notes: Vec<(usize, String)>,
}

impl ReplySink for Seen {
    fn pass(&mut self, _: usize, _: usize) {}
    fn pass_held(&mut self, _: &[u8]) {}
    fn ok(&mut self, _: u8, payload: &[u8]) {
        self.notes.push((self.at, format!("ok {}", payload.len())));
    }
    fn terminal_ok(&mut self, _: &[u8]) {
        self.notes.push((self.at, "terminal".into()));
    }
    fn error(&mut self, code: u16) {
        self.notes.push((self.at, format!("error {code}")));
    }
    fn client_turn(&mut self, _: ClientTurn) {}
}

/// Frames written to a server.
struct Wire<'a> {
    out: Vec<u8>,
    body: &'a [u8],
}

impl FrameSink for Wire<'_> {
    fn own(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
    fn body(&mut self, range: Range<usize>) {
        self.out.extend_from_slice(&self.body[range]);
    }
}

fn shape(command: Command) -> Shape {
    Shape {
        command,
        cursor: false,
        proxy_mode: true,
        statistics_ok: true,
        is_named_driver: false,
    }
}

fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    put_packet(&mut out, seq, |b| b.extend_from_slice(payload));
    out
}

const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0, 0];

/// Requests with what a proxy is answered, and what is seen of it.
fn exchanges() -> Vec<(Command, Vec<u8>, &'static [&'static str])> {
    let error = [
        packet(1, b"\xff\x19\x04#42000Unknown database"),
        packet(2, OK),
    ];
    let prepared = [
        packet(1, &[0, 9, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]),
        packet(2, b"\x03def"),
        packet(3, &[0xFE, 0, 0, 2, 0]),
        packet(4, b"\x03def"),
        packet(5, &[0xFE, 0, 0, 2, 0]),
        packet(6, OK),
    ];
    let rows = [
        packet(1, &[1]),
        packet(2, b"\x03def"),
        packet(3, &[0xFE, 0, 0, 2, 0]),
        packet(4, &[0; 300]),
        packet(5, &[0xFE, 0, 0, 2, 0]),
        packet(6, OK),
    ];
    vec![
        (Command::QUERY, packet(1, OK), &["ok 8"]),
        (
            Command::INIT_DB,
            error.concat(),
            &["error 1049", "terminal"],
        ),
        (Command::STMT_PREPARE, prepared.concat(), &["terminal"]),
        (Command::QUERY, rows.concat(), &["terminal"]),
    ]
}

/// The requests as a server in that framing gets them, and its answers.
fn served(link: &mut Link, framing: Framing) -> (Vec<u8>, Vec<(usize, String)>) {
    let mut requests = vec![];
    for (command, ..) in exchanges() {
        let body = packet(0, &[command.0, b'x']);
        link.begin(shape(command));
        let mut wire = Wire {
            out: vec![],
            body: &body,
        };
        let with = Envelope {
            is_last: true,
            ..Envelope::default()
        };
        link.send(with, &[], &body, &mut wire);
        requests.push(wire.out);
    }
    let (mut answers, mut want) = (vec![], vec![]);
    let mut reader = FrameReader::new(framing, ID);
    let mut writer = FrameWriter::new(framing, ID, true);
    for (n, (request, (_, reply, notes))) in requests.iter().zip(exchanges()).enumerate() {
        reader.expect_request();
        let (mut at, mut inflated) = (0, vec![]);
        while reader
            .step(request, &mut at, &mut inflated)
            .expect("frames")
            != FrameStep::More
        {}
        writer.begin_reply(reader.position());
        let cut = reply.len() / 2;
        for (body, is_last) in [(&reply[..cut], false), (&reply[cut..], true)] {
            let with = Envelope {
                is_last,
                ..Envelope::default()
            };
            writer.put(&mut answers, with, body);
        }
        want.extend(notes.iter().map(|note| (n, (*note).to_owned())));
    }
    (answers, want)
}

fn logged_in(framing: Framing) -> Link {
    let mut link = Link::connecting(SocketAddr::from(([127, 0, 0, 1], 2881)));
    link.server_session_id = ID;
    link.logged_in();
    link.agree(framing, true);
    link
}

/// Reads one slice to its end.
fn read(link: &mut Link, bytes: &[u8], seen: &mut Seen) {
    let (mut at, mut inflated) = (0, vec![]);
    loop {
        let body = match link.step(bytes, &mut at, &mut inflated).expect("frames") {
            FrameStep::More => return,
            FrameStep::Body(range) => bytes[range].to_vec(),
            FrameStep::Inflated(bytes) => bytes.to_vec(),
            FrameStep::End { is_last: true } if !link.ends_with_packet() => {
                assert!(link.reply().expect("a reply").is_done());
                link.finish();
                seen.at += 1;
                continue;
            }
            FrameStep::End { .. } | FrameStep::Extra(_) => continue,
        };
        let mut rest = &body[..];
        while !rest.is_empty() {
            let reply = link.reply().expect("a reply");
            let used = reply.feed(rest, seen).expect("packets");
            rest = &rest[used..];
            if reply.is_done() && link.ends_with_packet() {
                link.finish();
                seen.at += 1;
            }
        }
    }
}

#[test]
fn replies_come_in_the_order_of_their_requests_in_every_framing_and_split() {
    for framing in FRAMINGS {
        let mut link = logged_in(framing);
        let (answers, want) = served(&mut link, framing);
        let check = |cuts: &[usize]| {
            let mut link = link.clone();
            let (mut seen, mut from) = (Seen::default(), 0);
            for &cut in cuts.iter().chain([&answers.len()]) {
                read(&mut link, &answers[from..cut], &mut seen);
                from = cut;
            }
            assert_eq!(seen.notes, want, "{framing:?} cut at {cuts:?}");
            assert!(link.is_idle() && link.is_quiet(), "{framing:?}");
        };
        for cut in 0..=answers.len() {
            check(&[cut]);
        }
        let mut rng = Rng::new(7);
        for _ in 0..200 {
            let mut cuts: Vec<_> = (0..5)
                .map(|_| rng.below(answers.len() as u64) as usize)
                .collect();
            cuts.sort_unstable();
            check(&cuts);
        }
    }
}

#[test]
fn requests_under_way_are_counted() {
    let mut link = logged_in(Framing::Ob20);
    for _ in 0..UNDER_WAY_MAX {
        assert!(link.has_room());
        link.begin(shape(Command::QUERY));
    }
    assert!(!link.has_room());
    link.finish();
    assert!(link.has_room());
}
