//! Frames of a server that are wrong: the client is told, or cut, with a reason.

use super::machine::{self, framed, packet};
use super::{Framing, HOME, Pair, World, boundaries, cuts, error};
use obring::base::{CloseReason, Input, Side, Tick};
use obring::protocol::ob20::{Envelope, FrameWriter, Position};

/// COM_QUERY and its reply of one row.
fn exchange() -> (Vec<u8>, Vec<u8>) {
    let query = packet(0, |b| b.extend_from_slice(b"\x03select 1"));
    let mut reply = packet(1, |b| b.push(1));
    for (seq, payload) in [
        (2, &b"\x03def"[..]),
        (3, b"\xfe\0\0\x02\0"),
        (4, b"\x011"),
        (5, b"\xfe\0\0\x02\0"),
        (6, b"\0\0\0\x02\0\0\0\0"),
    ] {
        reply.extend(packet(seq, |b| b.extend_from_slice(payload)));
    }
    (query, reply)
}

/// A session that has asked.
fn asked(framing: Framing) -> (World, Pair) {
    let world = World::new(framing);
    let mut pair = world.logged_in();
    world.bytes(&mut pair, Side::Client, &exchange().0);
    (world, pair)
}

/// A reply in one frame.
fn frame(framing: Framing, connection: u32, read: Position, is_last: bool) -> Vec<u8> {
    let mut writer = FrameWriter::new(framing, connection, true);
    writer.begin_reply(read);
    let mut out = vec![];
    let envelope = Envelope {
        is_last,
        ..Envelope::default()
    };
    writer.put(&mut out, envelope, &exchange().1);
    out
}

const READ: Position = Position {
    request_id: 1,
    packet_seq: 0,
    frame_seq: 0,
};

/// The client is told that its statement's outcome is unknown, and the session ends.
fn is_told(world: &World, pair: &Pair, frames: &[u8], what: &str) {
    let mut pair = pair.clone();
    world.bytes(&mut pair, HOME, frames);
    let (seq, text) = error(&pair.to_client).unwrap_or_else(|| panic!("{:?}", pair.to_client));
    assert_eq!(seq, 1, "{text}");
    assert!(text.contains(what) && text.ends_with("[unknown]"), "{text}");
    assert_eq!(pair.end, Some(CloseReason::ServerFrame), "{text}");
}

#[test]
fn a_whole_frame_that_is_wrong_is_told_and_nothing_of_it_passes() {
    let (world, pair) = asked(Framing::Ob20);
    let good = frame(Framing::Ob20, 1, READ, true);
    let mut right = pair.clone();
    world.bytes(&mut right, HOME, &good);
    assert!(!right.is_over && right.to_client.len() == exchange().1.len() - 12);

    let changed = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 1;
        bad
    };
    is_told(&world, &pair, &changed(40), "payload checksum");
    is_told(&world, &pair, &changed(good.len() - 1), "payload checksum");
    is_told(&world, &pair, &changed(0), "header checksum");
    is_told(&world, &pair, &changed(7), "magic");
    is_told(&world, &pair, &changed(9), "version");
    let frame = |connection, read| frame(Framing::Ob20, connection, read, true);
    is_told(&world, &pair, &frame(2, READ), "connection 0x2");
    let other = Position {
        request_id: 7,
        ..READ
    };
    is_told(&world, &pair, &frame(1, other), "request 7");
    let late = Position {
        packet_seq: 3,
        ..READ
    };
    is_told(&world, &pair, &frame(1, late), "packet sequence 4");
}

#[test]
fn a_wrong_end_of_a_long_frame_cuts_the_client_with_a_reason() {
    let (world, pair) = asked(Framing::Ob20);
    let mut bad = frame(Framing::Ob20, 1, READ, true);
    *bad.last_mut().expect("a frame") ^= 1;
    let passed = exchange().1.len() - 12;
    for at in 31..bad.len() {
        let mut pair = pair.clone();
        world.cut(&mut pair, HOME, &bad, at);
        assert_eq!(pair.end, Some(CloseReason::ServerFrame), "cut at {at}");
        // The whole answer was passed on before its checksum came: the next statement is told.
        let (_, tail) = pair.to_client.split_at(passed);
        let (seq, text) = error(tail).unwrap_or_else(|| panic!("cut at {at}: {tail:?}"));
        assert_eq!(seq, 1);
        assert!(text.ends_with("[unknown]"), "{text}");
    }
}

#[test]
fn a_wrong_adler32_is_told() {
    let (world, pair) = asked(Framing::Checksum);
    let mut bad = frame(Framing::Checksum, 1, READ, true);
    *bad.last_mut().expect("a frame") ^= 1;
    is_told(&world, &pair, &bad, "checksum of a compressed packet");
}

#[test]
fn frames_and_packets_must_end_together() {
    for framing in [Framing::Ob20, Framing::Ob20Compressed] {
        let (world, pair) = asked(framing);
        let mut writer = FrameWriter::new(framing, 1, true);
        writer.begin_reply(READ);
        let mut out = vec![];
        let last = Envelope {
            is_last: true,
            ..Envelope::default()
        };
        writer.put(&mut out, last, &exchange().1[..5]);
        let mut early = pair.clone();
        world.bytes(&mut early, HOME, &out);
        assert_eq!(early.end, Some(CloseReason::ServerFrame));

        // A frame without the mark: the session waits for the next one.
        let mut open = pair.clone();
        world.bytes(&mut open, HOME, &frame(framing, 1, READ, false));
        assert!(!open.is_over);
        let mut more = FrameWriter::new(framing, 1, true);
        more.begin_reply(Position {
            packet_seq: 1,
            frame_seq: 1,
            ..READ
        });
        let mut end = vec![];
        more.put(&mut end, last, &[]);
        let mut closed = open.clone();
        world.bytes(&mut closed, HOME, &end);
        assert!(!closed.is_over);
        let mut next = vec![];
        more.begin_reply(Position {
            packet_seq: 1,
            frame_seq: 1,
            ..READ
        });
        more.put(&mut next, last, b"\x01\0\0\x07x");
        world.bytes(&mut open, HOME, &next);
        assert_eq!(open.end, Some(CloseReason::ServerFrame));
    }
}

#[test]
fn extra_info_that_is_none_is_told() {
    let (world, pair) = asked(Framing::Ob20);
    let mut writer = FrameWriter::new(Framing::Ob20, 1, true);
    writer.begin_reply(READ);
    let mut out = vec![];
    let envelope = Envelope {
        extra: b"\xd2\x07\xff\0\0\0x",
        flags: 0,
        is_last: true,
    };
    writer.put(&mut out, envelope, &exchange().1);
    is_told(&world, &pair, &out, "extra info");
}

#[test]
fn no_changed_byte_of_a_server_reaches_the_client() {
    for framing in [Framing::Checksum, Framing::Ob20, Framing::Ob20Compressed] {
        let (world, mut pair) = asked(framing);
        let frames = world.frames(&mut pair, &exchange().1);
        let mut right = pair.clone();
        world.bytes(&mut right, HOME, &frames);
        let want = right.to_client;
        let mut told = 0;
        for at in 0..frames.len() {
            for change in [0x01, 0x80, 0xFF] {
                let mut bad = frames.clone();
                bad[at] ^= change;
                let mut pair = pair.clone();
                world.bytes(&mut pair, HOME, &bad);
                let got = &pair.to_client;
                // Less than the answer, and an error packet behind it.
                let ends = boundaries(got);
                let before = match ends.len().checked_sub(2).map(|n| ends[n]) {
                    Some(last) if pair.is_over && error(&got[last..]).is_some() => last,
                    _ => got.len(),
                };
                told += usize::from(before < got.len());
                let passed = &got[..before];
                assert!(
                    want.starts_with(passed),
                    "{framing:?}, byte {at} ^ {change:#x}: {got:?}"
                );
                // Else a longer frame waits for its end, or the bit means nothing (zlib's padding).
                if let Some(reason) = pair.end {
                    assert_eq!(reason, CloseReason::ServerFrame, "{framing:?}, byte {at}");
                }
            }
        }
        assert!(told > frames.len() * 2, "{framing:?}: {told}");
    }
}

/// Time goes by until nothing is waited for.
fn wait(world: &World, pair: &mut Pair) {
    for _ in 0..8 {
        let due = pair.session.poll_timeout().filter(|_| !pair.is_over);
        let Some(due) = due else { return };
        world.now.set(due.max(world.now.get()));
        world.input(pair, Input::Timer);
    }
    panic!("it waits for ever: {:?}", pair.session);
}

#[test]
fn a_login_at_a_server_that_is_cut_or_changed_at_any_byte_is_told() {
    let all = [machine::greeting(), framed::login_ok()].concat();
    let (mut told, mut changed) = (0, 0);
    for at in cuts(&all).filter(|&at| at < all.len()) {
        for change in [None, Some(0x01), Some(0x80), Some(0xFF)] {
            let world = World::new(Framing::Ob20);
            world.now.set(Tick(1));
            let mut pair = world.connected();
            pair.to_client.clear();
            match change {
                None => {
                    world.bytes(&mut pair, HOME, &all[..at]);
                    world.input(&mut pair, Input::Eof(HOME));
                }
                Some(change) => {
                    let mut bad = all.clone();
                    bad[at] ^= change;
                    world.bytes(&mut pair, HOME, &bad);
                    changed += 1;
                }
            }
            wait(&world, &mut pair);
            let ends = boundaries(&pair.to_client);
            let last = ends.len().checked_sub(2).map_or(0, |n| ends[n]);
            match error(&pair.to_client[last..]) {
                Some((seq, text)) => {
                    assert!(pair.is_over, "byte {at}, {change:?}: {text}");
                    assert!(matches!(seq, 1 | 2), "byte {at}, {change:?}: {seq} {text}");
                    told += 1;
                }
                // A byte that says nothing here.
                None => {
                    assert!(change.is_some(), "byte {at}: a bare end");
                    let ok = pair.to_client.get(last + 4);
                    assert_eq!(ok, Some(&0), "byte {at}, {change:?}: {:?}", pair.to_client);
                }
            }
        }
    }
    assert!(told > changed / 3, "{told} of {changed}");
}
