//! Drivers of OceanBase, with frames between them and the session: what comes out of them is what
//! another client gets, wherever the bytes are split; servers lost and frames damaged at any byte.

use super::machine::framed::{self, Framed};
use super::machine::{self, packet};
use super::{FRAMINGS, HOME, Pair, World, boundaries, conversations, cuts, error, is_local, login};
use obring::base::{Input, LinkId, Side};
use obring::protocol::capability;
use obring::protocol::mysql::{client, put_attribute};
use obring::protocol::ob20::{Envelope, FrameReader, FrameStep, FrameWriter, Framing, Position};

/// The driver's end: as strict as Connector/J and Connector/C together.
#[derive(Clone)]
struct Driver {
    reader: FrameReader,
    writer: FrameWriter,
    /// Connector/C does not say which frame is the last of a request.
    marks_last: bool,
    /// The reply to come is one to this, as soon as it begins.
    asked: Option<Position>,
    is_empty: bool,
}

impl Driver {
    fn new(marks_last: bool) -> Self {
        Self {
            reader: FrameReader::new(Framing::Ob20, 1),
            writer: FrameWriter::new(Framing::Ob20, 1, true),
            marks_last,
            asked: None,
            is_empty: true,
        }
    }

    /// A request, or the packets of a turn inside a reply, in frames of `piece` bytes.
    fn wrap(&mut self, mysql: &[u8], piece: usize) -> Vec<u8> {
        match mysql[3] {
            0 => self.writer.begin_request(),
            _ => self.writer.begin_turn(self.reader.position()),
        }
        let mut out = vec![];
        let pieces = mysql.chunks(piece);
        let last = pieces.len() - 1;
        for (n, body) in pieces.enumerate() {
            let envelope = Envelope {
                is_last: self.marks_last && n == last,
                ..Envelope::default()
            };
            self.writer.put(&mut out, envelope, body);
        }
        self.asked = Some(self.writer.position());
        out
    }

    fn unwrap(&mut self, frames: &[u8]) -> Vec<u8> {
        let (mut at, mut inflated, mut out) = (0, vec![], vec![]);
        if let Some(asked) = self.asked.take_if(|_| !frames.is_empty()) {
            self.reader.expect_reply(asked, true);
        }
        loop {
            match self.reader.step(frames, &mut at, &mut inflated) {
                Ok(FrameStep::More) => return out,
                Ok(FrameStep::Body(range)) => {
                    self.is_empty &= range.is_empty();
                    out.extend_from_slice(&frames[range]);
                }
                Ok(FrameStep::End { .. }) => {
                    assert!(
                        !std::mem::replace(&mut self.is_empty, true),
                        "an empty frame"
                    );
                }
                other => panic!("the driver got {other:?}"),
            }
        }
    }
}

/// A session, and what its client has understood.
#[derive(Clone)]
struct Client {
    pair: Pair,
    driver: Option<Driver>,
}

impl Client {
    fn logged_in(world: &World, marks_last: Option<bool>) -> Self {
        let mut pair = world.greeted();
        let asked = capability::OB_PROTOCOL_V2 | capability::NEW_EXTRA_INFO;
        let mut attributes = vec![];
        if marks_last.is_some() {
            put_attribute(&mut attributes, b"__mysql_client_type", b"__ob_libobclient");
            let asked = asked.to_string();
            put_attribute(
                &mut attributes,
                b"__proxy_capability_flag",
                asked.as_bytes(),
            );
        }
        let login = login(client::CONNECT_ATTRS | client::SESSION_TRACK, &attributes);
        world.bytes(&mut pair, Side::Client, &packet(1, |b| login.put(b)));
        world.input(&mut pair, Input::Connected(LinkId(0)));
        world.bytes(&mut pair, HOME, &machine::greeting());
        pair.to_client.clear();
        world.bytes(&mut pair, HOME, &framed::login_ok());
        let told = format!("ob_capability_flag\x05{asked}");
        let is_told = pair
            .to_client
            .windows(told.len())
            .any(|w| w == told.as_bytes());
        assert_eq!(is_told, marks_last.is_some(), "{:?}", pair.to_client);
        pair.to_client.clear();
        pair.to_server.clear();
        pair.server = Some(Framed::new(world.framing));
        Self {
            pair,
            driver: marks_last.map(Driver::new),
        }
    }

    fn frames(&mut self, mysql: &[u8]) -> Vec<u8> {
        match &mut self.driver {
            Some(driver) => driver.wrap(mysql, 300),
            None => mysql.to_vec(),
        }
    }

    fn sends(&mut self, world: &World, bytes: &[u8], at: usize) {
        world.cut(&mut self.pair, Side::Client, bytes, at);
    }

    fn server_sends(&mut self, world: &World, bytes: &[u8], at: usize) {
        world.cut(&mut self.pair, HOME, bytes, at);
    }

    /// What the client has got.
    fn got(&mut self) -> Vec<u8> {
        let got = std::mem::take(&mut self.pair.to_client);
        match &mut self.driver {
            Some(driver) => driver.unwrap(&got),
            None => got,
        }
    }
}

fn world(framing: Framing) -> World {
    let mut world = World::new(framing);
    world.settings.driver_frames = true;
    world
}

/// Calls `each` with the driver in front of every exchange, and with what came of it in one piece:
/// the same as for a client without frames.
fn walk(framings: &[Framing], mut each: impl FnMut(&World, &Client, &[u8], &[u8], &[u8], &str)) {
    for (framing, marks_last) in framings.iter().flat_map(|f| [(*f, false), (*f, true)]) {
        for conversation in conversations() {
            let world = world(framing);
            let mut plain = Client::logged_in(&world, None);
            let mut driver = Client::logged_in(&world, Some(marks_last));
            for (name, sent, got) in conversation {
                let name = format!("{framing:?} {name}");
                let got = if is_local(&sent) { vec![] } else { got };
                let before = driver.clone();
                let mut came = vec![];
                for client in [&mut plain, &mut driver] {
                    let frames = client.frames(&sent);
                    client.sends(&world, &frames, 0);
                    let reply = world.frames(&mut client.pair, &got);
                    client.server_sends(&world, &reply, 0);
                    assert!(!client.pair.is_over, "{name}");
                    came.push(client.got());
                }
                // COM_CHANGE_USER tells a driver again what it is granted.
                let tells = came[1].windows(8).any(|w| w == b"ob_capab");
                assert!(
                    tells || came[0] == came[1],
                    "{name}: {:x?} for {:x?}",
                    came[1],
                    came[0]
                );
                let want = &came[1];
                each(&world, &before, &sent, &got, want, &name);
            }
        }
    }
}

#[test]
fn a_driver_gets_what_others_get_wherever_the_bytes_are_split() {
    let mut exchanges = 0;
    walk(&FRAMINGS, |world, before, sent, got, want, name| {
        exchanges += 1;
        let mut asked = before.clone();
        let request = asked.frames(sent);
        for at in cuts(&request) {
            let mut client = before.clone();
            client.driver.clone_from(&asked.driver);
            client.sends(world, &request, at);
            let reply = world.frames(&mut client.pair, got);
            client.server_sends(world, &reply, 0);
            assert!(client.got() == want, "{name}: request cut at {at}");
        }
        asked.sends(world, &request, 0);
        let reply = world.frames(&mut asked.pair, got);
        for at in cuts(&reply) {
            let mut client = asked.clone();
            client.server_sends(world, &reply, at);
            assert!(client.got() == want, "{name}: reply cut at {at}");
        }
    });
    assert!(exchanges > 200, "{exchanges}");
}

#[test]
fn a_server_lost_in_a_reply_is_told_in_a_frame() {
    let mut told = 0;
    walk(
        &[Framing::Plain, Framing::Ob20],
        |world, before, sent, got, want, name| {
            if got.is_empty() {
                return;
            }
            let ends = boundaries(want);
            let mut asked = before.clone();
            let request = asked.frames(sent);
            asked.sends(world, &request, 0);
            let reply = world.frames(&mut asked.pair, got);
            for at in cuts(&reply).filter(|&at| at < reply.len()) {
                let mut client = asked.clone();
                client.server_sends(world, &reply[..at], 0);
                world.input(&mut client.pair, Input::Eof(HOME));
                let seen = client.got();
                let same = seen.iter().zip(want).take_while(|(a, b)| a == b).count();
                // An error may begin like the packet that stands there.
                let end = ends.iter().rev().find(|end| **end <= same).copied();
                let end = end.unwrap_or_default();
                if let Some((_, text)) = error(&seen[end..]) {
                    assert!(text.ends_with(']'), "{name} at {at}: {text}");
                    told += 1;
                } else {
                    assert!(want.starts_with(&seen), "{name} at {at}: {seen:x?}");
                }
            }
        },
    );
    assert!(told > 500, "{told}");
}

#[test]
fn a_frame_that_is_damaged_ends_the_session_with_an_error() {
    let world = world(Framing::Ob20);
    let mut before = Client::logged_in(&world, Some(true));
    let ping = before.frames(&packet(0, |b| b.push(0x0E)));
    before.sends(&world, &ping, 0);
    assert_eq!(boundaries(&before.got()).len(), 2);
    let request = before.frames(&packet(0, |b| b.extend_from_slice(b"\x03select 'damaged'")));
    let mut told = 0;
    for at in 0..request.len() {
        for bit in 0..8 {
            let mut client = before.clone();
            let mut damaged = request.clone();
            damaged[at] ^= 1 << bit;
            client.sends(&world, &damaged, 0);
            assert!(client.pair.to_server.is_empty(), "byte {at}: it ran");
            if !client.pair.is_over {
                // It may be the front of a longer one.
                assert!(client.got().is_empty(), "byte {at}");
                continue;
            }
            let seen = client.got();
            let (_, text) = error(&seen).unwrap_or_else(|| panic!("byte {at}: {seen:x?}"));
            assert!(
                text.contains("a wrong frame of the client"),
                "byte {at}: {text}"
            );
            told += 1;
        }
    }
    assert!(told > 300, "{told}");
}
