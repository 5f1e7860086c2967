//! The session machine between a client and a server in memory: conversations of a real kernel
//! (`tests/wire/`) in all framings, split at every byte, and with the server lost at every byte.
#![allow(missing_docs, reason = "a test")]

#[path = "session_pair/drivers.rs"]
mod drivers;
#[path = "session_pair/full_login.rs"]
mod full_login;
#[path = "session_pair/limits.rs"]
mod limits;
#[path = "machine/mod.rs"]
mod machine;
#[path = "session_pair/wrong.rs"]
mod wrong;

use machine::framed::{self, Framed};
use machine::packet;
use obring::base::{
    Accepted, BufferPool, CloseReason, Input, Key, Laps, LinkId, Out, Output, Side, Stage, Tick,
};
use obring::protocol::mysql::{Login, NATIVE_PASSWORD, client};
use obring::protocol::ob20::Framing;
use obring::routing::{Mail, Replica, Traffic};
use obring::session::{Ctx, Session, SessionIds, Settings};
use obring::sql::Scan;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

const HOME: Side = Side::Server(LinkId(0));

/// All framings.
const FRAMINGS: [Framing; 4] = [
    Framing::Plain,
    Framing::Checksum,
    Framing::Ob20,
    Framing::Ob20Compressed,
];

/// A session, what it wrote, and whether it is over.
#[derive(Clone)]
struct Pair {
    session: Session,
    to_client: Vec<u8>,
    /// MySQL bytes, out of their frames.
    to_server: Vec<u8>,
    /// The server's end of the link, once it is logged in.
    server: Option<Framed>,
    is_over: bool,
    end: Option<CloseReason>,
    laps: Entered,
}

/// The stages that requests have entered, in order. What is given up is forgotten.
#[derive(Clone, Default)]
struct Entered(Vec<Stage>);

impl Laps for Entered {
    fn came(&mut self, stage: Stage) {
        self.now(stage);
    }

    fn now(&mut self, stage: Stage) {
        if self.0.last() != Some(&stage) {
            self.0.push(stage);
        }
    }

    fn over(&mut self) {
        self.0.clear();
    }
}

struct World {
    view: Replica,
    settings: Settings,
    ids: SessionIds,
    scan: RefCell<Scan>,
    traffic: RefCell<Traffic>,
    framing: Framing,
    now: Cell<Tick>,
    /// Opens sealed passwords.
    key: full_login::Glass,
    /// The same by RSA: instead of the other, if there is one.
    pair: Option<full_login::Recorded>,
}

impl World {
    fn new(framing: Framing) -> Self {
        let view = machine::replica();
        Self {
            view,
            settings: Settings {
                capability: framed::capability_of(framing),
                ..Settings::default()
            },
            ids: SessionIds::new(1, 0, 1),
            scan: RefCell::default(),
            traffic: RefCell::default(),
            framing,
            now: Cell::new(Tick(1)),
            key: full_login::Glass::default(),
            pair: None,
        }
    }

    fn input(&self, pair: &mut Pair, input: Input<'_>) {
        let (mut arena, mut list, mut pool) = (vec![], vec![], BufferPool::default());
        let ctx = Ctx {
            now: self.now.get(),
            key: Key::default(),
            view: &self.view,
            traffic: &self.traffic,
            settings: &self.settings,
            ids: &self.ids,
            scan: &self.scan,
            unseal: match &self.pair {
                Some(pair) => Some(pair),
                None => Some(&self.key),
            },
        };
        let mut out: Out<'_, Mail> = Out {
            arena: &mut arena,
            list: &mut list,
            pool: &mut pool,
            laps: &mut pair.laps,
        };
        pair.session.handle(&ctx, input, &mut out);
        let slice = match input {
            Input::Bytes(_, slice) => slice,
            _ => &[],
        };
        for output in list {
            let (side, bytes) = match output {
                Output::Forward(side, span) => (side, &slice[span.range()]),
                Output::Own(side, span) => (side, &arena[span.range()]),
                Output::End(reason, _) => {
                    pair.is_over = true;
                    pair.end = Some(reason);
                    continue;
                }
                _ => continue,
            };
            match side {
                Side::Client => pair.to_client.extend_from_slice(bytes),
                Side::Server(_) => {
                    let mysql = match &mut pair.server {
                        Some(server) => server.take(bytes),
                        None => bytes.to_vec(),
                    };
                    pair.to_server.extend_from_slice(&mysql);
                }
            }
        }
    }

    /// The server's answer to what it has got: its frames.
    fn frames(&self, pair: &mut Pair, mysql: &[u8]) -> Vec<u8> {
        let server = pair.server.as_mut().expect("logged in");
        server.reply(mysql, 3)
    }

    /// The server answers.
    fn reply(&self, pair: &mut Pair, mysql: &[u8]) {
        let frames = self.frames(pair, mysql);
        self.bytes(pair, HOME, &frames);
    }

    fn bytes(&self, pair: &mut Pair, side: Side, bytes: &[u8]) {
        if !bytes.is_empty() && !pair.is_over {
            self.input(pair, Input::Bytes(side, bytes));
        }
    }

    /// In two pieces.
    fn cut(&self, pair: &mut Pair, side: Side, bytes: &[u8], at: usize) {
        self.bytes(pair, side, &bytes[..at]);
        self.bytes(pair, side, &bytes[at..]);
    }

    /// A session that has greeted its client.
    fn greeted(&self) -> Pair {
        let peer = SocketAddr::from(([127, 0, 0, 9], 40_000));
        let accepted = Accepted {
            peer,
            local: peer,
            unix_us: 0,
            entropy: [7; 32],
            is_over_limit: false,
        };
        let mut pair = Pair {
            session: Session::new(1, Tick(0), &accepted, &self.settings),
            to_client: vec![],
            to_server: vec![],
            server: None,
            is_over: false,
            end: None,
            laps: Entered::default(),
        };
        self.input(&mut pair, Input::Wake);
        pair
    }

    /// A session whose server connection stands.
    fn connected(&self) -> Pair {
        let mut pair = self.greeted();
        let login = login(0, b"");
        self.bytes(&mut pair, Side::Client, &packet(1, |b| login.put(b)));
        self.input(&mut pair, Input::Connected(LinkId(0)));
        pair
    }

    /// A session that is logged in.
    fn logged_in(&self) -> Pair {
        let mut pair = self.connected();
        self.bytes(&mut pair, HOME, &machine::greeting());
        self.bytes(&mut pair, HOME, &framed::login_ok());
        assert_eq!(pair.to_client.last_chunk(), Some(&[0, 0, 0, 2, 0, 0, 0]));
        pair.to_client.clear();
        pair.to_server.clear();
        pair.server = Some(Framed::new(self.framing));
        assert!(pair.laps.0.is_empty(), "logins are not timed");
        pair
    }
}

/// A login without a password, with these capability bits besides the usual ones.
fn login(more: u32, attributes: &[u8]) -> Login<'_> {
    Login {
        capabilities: client::PROTOCOL_41
            | client::SECURE_CONNECTION
            | client::PLUGIN_AUTH
            | client::LOCAL_FILES
            | more,
        max_packet: 1 << 24,
        charset: 45,
        user: b"u1@sys",
        auth: b"",
        database: None,
        plugin: Some(NATIVE_PASSWORD),
        attributes,
    }
}

fn unhex(s: &str) -> Vec<u8> {
    (0..s.len() / 2)
        .map(|i| u8::from_str_radix(&s[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

/// One exchange: its name, what the client sends, what the server answers.
type Exchange = (String, Vec<u8>, Vec<u8>);

/// Exchanges in plain framing.
fn conversation(text: &str) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = vec![];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# step: ") {
            all.push((name.into(), vec![], vec![]));
        } else if let Some(hex) = line.strip_prefix("C ") {
            all.last_mut().expect("a step").1.extend(unhex(hex));
        } else if let Some(hex) = line.strip_prefix("S ") {
            all.last_mut().expect("a step").2.extend(unhex(hex));
        }
    }
    all.retain(|e| !e.0.starts_with("ob20") && !e.0.starts_with("comp"));
    assert!(!all.is_empty());
    all
}

fn conversations() -> Vec<Vec<Exchange>> {
    [
        include_str!("wire/02_plain_commands.hex"),
        include_str!("wire/07a_ps_plain.hex"),
        include_str!("wire/08_change_user.hex"),
        include_str!("wire/09_load_data_local.hex"),
    ]
    .map(conversation)
    .into()
}

/// Where a stream is cut: everywhere, in a long one near both ends and here and there.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let n = bytes.len();
    (0..=n).filter(move |c| n < 3_000 || *c < 200 || n - c < 200 || c % 331 == 0)
}

/// Offsets at which packets begin, and the end.
fn boundaries(stream: &[u8]) -> Vec<usize> {
    let (mut out, mut at) = (vec![0], 0);
    while let Some(h) = stream.get(at..at + 4) {
        at += 4 + (usize::from(h[0]) | usize::from(h[1]) << 8 | usize::from(h[2]) << 16);
        out.push(at);
    }
    out
}

/// The proxy answers these itself.
fn is_local(sent: &[u8]) -> bool {
    sent.get(4) == Some(&0x0E)
}

/// Calls `each` with the session in front of every exchange, and what came of it in one piece.
fn walk(mut each: impl FnMut(&World, &Pair, &Exchange, &Pair)) {
    for framing in FRAMINGS {
        walk_in(framing, &mut each);
    }
}

fn walk_in(framing: Framing, each: &mut impl FnMut(&World, &Pair, &Exchange, &Pair)) {
    for conversation in conversations() {
        let world = World::new(framing);
        let mut pair = world.logged_in();
        for exchange in conversation {
            let (name, sent, got) = &exchange;
            let mut after = pair.clone();
            world.bytes(&mut after, Side::Client, sent);
            if !is_local(sent) {
                assert!(
                    after.to_server == *sent,
                    "{name}: the server got another request"
                );
                world.reply(&mut after, got);
            }
            assert!(!after.is_over, "{framing:?} {name}");
            each(&world, &pair, &exchange, &after);
            after.to_client.clear();
            after.to_server.clear();
            after.laps.0.clear();
            pair = after;
        }
    }
}

#[test]
fn a_request_goes_through_its_stages_in_order_wherever_it_is_split() {
    use Stage::{Parse, Read, Relay, Route, ServerWait, Write};
    let (mut plain, mut turns) = (0, 0);
    walk(|world, before, (name, sent, got), after| {
        assert!(before.laps.0.is_empty(), "{name}");
        let stages = &after.laps.0;
        if is_local(sent) {
            assert_eq!(stages[..], [Read, Parse, Write], "{name}");
            return;
        }
        // Commands without a reply have nothing to wait for.
        if stages.is_empty() {
            assert!(got.is_empty(), "{name}");
            return;
        }
        // A turn of the client inside a reply is an exchange of its own in the recordings.
        if stages.first() != Some(&Read) || stages.last() != Some(&Write) {
            turns += 1;
            return;
        }
        if stages[..] == [Read, Parse, Route, ServerWait, Relay, Write] {
            plain += 1;
        }
        for at in cuts(sent) {
            let mut pair = before.clone();
            world.cut(&mut pair, Side::Client, sent, at);
            let frames = world.frames(&mut pair, got);
            world.cut(&mut pair, HOME, &frames, frames.len() / 2);
            let stages = &pair.laps.0;
            assert_eq!(stages.first(), Some(&Read), "{name}, cut at {at}");
            assert_eq!(stages.last(), Some(&Write), "{name}, cut at {at}");
            let count = |stage| stages.iter().filter(|s| **s == stage).count();
            assert_eq!(count(Write), 1, "{name}, cut at {at}: {stages:?}");
            assert!(count(ServerWait) > 0, "{name}, cut at {at}: {stages:?}");
        }
    });
    let (plain, turns) = (plain / FRAMINGS.len(), turns / FRAMINGS.len());
    assert!(plain > 20 && turns < 10, "{plain} whole, {turns} in turns");
}

#[test]
fn wherever_the_bytes_are_split_both_sides_get_the_same() {
    walk(|world, before, (name, sent, got), want| {
        let got = if is_local(sent) { &[][..] } else { got };
        let name = &format!("{:?} {name}", world.framing);
        let same = |pair: &Pair, how: &str| {
            assert!(
                pair.to_server == want.to_server,
                "{name}: to the server, {how}"
            );
            assert!(
                pair.to_client == want.to_client,
                "{name}: to the client, {how}"
            );
        };
        for at in cuts(sent) {
            let mut pair = before.clone();
            world.cut(&mut pair, Side::Client, sent, at);
            world.reply(&mut pair, got);
            same(&pair, &format!("request cut at {at}"));
        }
        let mut asked = before.clone();
        world.bytes(&mut asked, Side::Client, sent);
        let frames = world.frames(&mut asked, got);
        for at in cuts(&frames) {
            let mut pair = asked.clone();
            world.cut(&mut pair, HOME, &frames, at);
            same(&pair, &format!("reply cut at {at}"));
        }
        let mut pair = before.clone();
        for byte in sent.chunks(1) {
            world.bytes(&mut pair, Side::Client, byte);
        }
        for byte in world.frames(&mut pair, got).chunks(1) {
            world.bytes(&mut pair, HOME, byte);
        }
        same(&pair, "byte by byte");
    });
}

/// Number and text of the error packet that a stream is.
fn error(stream: &[u8]) -> Option<(u8, String)> {
    let is_one = boundaries(stream) == [0, stream.len()] && stream.get(4) == Some(&0xFF);
    let text = stream.get(7..).map(String::from_utf8_lossy);
    is_one.then(|| (stream[3], text.unwrap_or_default().into_owned()))
}

#[test]
fn a_server_lost_in_a_reply_is_told_at_a_packet_boundary_with_the_right_number() {
    let mut told = 0;
    walk(|world, before, (name, sent, got), want| {
        if is_local(sent) || got.is_empty() {
            return;
        }
        let ends = boundaries(&want.to_client);
        let name = &format!("{:?} {name}", world.framing);
        let mut asked = before.clone();
        world.bytes(&mut asked, Side::Client, sent);
        let frames = world.frames(&mut asked, got);
        for at in cuts(&frames).filter(|&at| at < frames.len()) {
            let mut pair = asked.clone();
            world.bytes(&mut pair, HOME, &frames[..at]);
            let seen = pair.to_client.len();
            assert!(
                want.to_client.starts_with(&pair.to_client),
                "{name} at {at}"
            );
            world.input(&mut pair, Input::Eof(HOME));
            let tail = pair.to_client[seen..].to_vec();
            if !ends.contains(&seen) {
                assert!(
                    tail.is_empty() && pair.is_over,
                    "{name} at {at}: inside a packet"
                );
                continue;
            }
            // The whole reply was told: the error is that of the next statement.
            let is_told = seen == want.to_client.len();
            if is_told && tail.is_empty() {
                assert!(!pair.is_over, "{name} at {at}: it is the client's turn");
                continue;
            }
            // The number behind the last packet; a kernel may start anew there (command 161).
            let before = ends.iter().rev().find(|&&end| end < seen);
            let number = match before {
                _ if is_told => 1,
                Some(&start) => want.to_client[start + 3].wrapping_add(1),
                None => want.to_client[3],
            };
            let outcome = if is_told { "[not run]" } else { "[unknown]" };
            let (seq, text) = error(&tail).unwrap_or_else(|| panic!("{name} at {at}: {tail:?}"));
            assert_eq!(seq, number, "{name} at {at}: {text}");
            assert!(text.ends_with(outcome), "{name} at {at}: {text}");
            assert!(pair.is_over, "{name} at {at}");
            told += 1;
        }
    });
    assert!(told > 500, "{told}");
}

#[test]
fn a_server_lost_in_a_request_is_told_behind_the_request() {
    walk(|world, before, (name, sent, _), want| {
        if is_local(sent) {
            return;
        }
        // Without a reply, the error is that of the next request.
        let number = want.to_client.get(3).copied().unwrap_or(1);
        for at in cuts(sent).filter(|&at| 0 < at && at < sent.len()) {
            let mut pair = before.clone();
            world.bytes(&mut pair, Side::Client, &sent[..at]);
            world.input(&mut pair, Input::Eof(HOME));
            if !pair.is_over {
                assert!(
                    pair.to_client.is_empty(),
                    "{name} at {at}: while the client sends"
                );
                world.bytes(&mut pair, Side::Client, &sent[at..]);
            }
            let told = error(&pair.to_client);
            let (seq, text) = told.unwrap_or_else(|| panic!("{name} at {at}: nothing was told"));
            assert_eq!(seq, number, "{name} at {at}: {text}");
            assert!(pair.is_over, "{name} at {at}");
        }
    });
}

#[test]
fn every_framing_gives_the_client_the_same() {
    let mut of: Vec<Vec<Vec<u8>>> = vec![];
    for framing in FRAMINGS {
        let mut replies = vec![];
        walk_in(framing, &mut |_, _, _, after| {
            replies.push(after.to_client.clone());
        });
        of.push(replies);
    }
    assert!(of[0].len() > 30);
    assert!(of.windows(2).all(|w| w[0] == w[1]));
}
