//! Frames that a real kernel sent and took (`tests/wire/`): read wherever they are split, written
//! byte for byte, and refused when any byte is wrong.

use obring_wire::base::Rng;
use obring_wire::protocol::ob20::{
    Crc32c, Envelope, ExtraError, ExtraInfo, FrameError, FrameReader, FrameStep, FrameWriter,
    Framing, Header, Part, Position, crc16, entry, flag, put_old_pair, put_tlv,
};

const COMMANDS: &str = include_str!("../../tests/wire/03_ob20_commands.hex");
const CHECKSUM: &str = include_str!("../../tests/wire/05_checksum_protocol.hex");
const COMPRESSED: &str = include_str!("../../tests/wire/06_ob20_compressed.hex");

fn unhex(s: &str) -> Vec<u8> {
    let digits = s.trim().as_bytes().chunks(2);
    digits
        .map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap())
        .collect()
}

/// One exchange: what the proxy sent, what the server answered, what comments say of its frames.
#[derive(Default)]
struct Step {
    name: String,
    sent: Vec<u8>,
    got: Vec<u8>,
    /// Request id, packet sequence, flags, payload length.
    packets: Vec<(u32, u8, u32, u32)>,
    /// Sequence of compressed packets.
    outer: Vec<u8>,
}

fn steps(text: &str) -> Vec<Step> {
    let mut out: Vec<Step> = vec![];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# step: ") {
            out.push(Step {
                name: name.into(),
                ..Step::default()
            });
            continue;
        }
        let Some(step) = out.last_mut() else { continue };
        let field = |name: &str| {
            let word = line.split(' ').find_map(|w| w.strip_prefix(name))?;
            match word.strip_prefix("0x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok(),
                None => word.parse().ok(),
            }
        };
        if let Some(hex) = line.strip_prefix("C ") {
            step.sent.extend(unhex(hex));
        } else if let Some(hex) = line.strip_prefix("S ") {
            step.got.extend(unhex(hex));
        } else if line.starts_with("# OB2.0 frame") {
            let seq = field("pkt_seq=").unwrap() as u8;
            let (id, flags) = (field("req=").unwrap(), field("flags=").unwrap());
            let len = field("payload=").unwrap();
            step.packets.push((id, seq, flags, len));
        } else if line.starts_with("# compressed frame") {
            step.outer.push(field("seq=").unwrap() as u8);
        }
    }
    out
}

/// What a reader told, without how it was split.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    mysql: Vec<u8>,
    extra: Vec<(Vec<u8>, bool)>,
    ends: Vec<(Option<Header>, u8, bool)>,
}

fn read(reader: &mut FrameReader, parts: &[&[u8]]) -> (Seen, Option<FrameError>) {
    let mut seen = Seen::default();
    for part in parts {
        let (mut at, mut inflated) = (0, vec![]);
        loop {
            match reader.step(part, &mut at, &mut inflated) {
                Ok(FrameStep::More) => break,
                Ok(FrameStep::Body(range)) => seen.mysql.extend_from_slice(&part[range]),
                Ok(FrameStep::Inflated(bytes)) => seen.mysql.extend_from_slice(bytes),
                Ok(FrameStep::Extra(x)) => seen.extra.push((x.bytes.into_owned(), x.is_new)),
                Ok(FrameStep::End { is_last }) => {
                    let position = reader.position();
                    let header = reader.header().copied();
                    seen.ends.push((header, position.frame_seq, is_last));
                }
                Err(e) => return (seen, Some(e)),
            }
        }
        assert_eq!(at, part.len());
    }
    (seen, None)
}

/// Reads `bytes` at once, cut at every byte, and byte by byte; all must tell the same.
fn every_split(start: &FrameReader, bytes: &[u8], name: &str) -> Seen {
    let (want, error) = read(&mut start.clone(), &[bytes]);
    assert_eq!(error, None, "{name}");
    let n = bytes.len();
    for cut in (0..=n).filter(|c| n < 3000 || *c < 400 || n - c < 400 || c % 97 == 0) {
        let mut reader = start.clone();
        let (seen, error) = read(&mut reader, &[&bytes[..cut], &bytes[cut..]]);
        assert_eq!((&seen, error), (&want, None), "{name} cut at {cut}");
        assert!(reader.is_between(), "{name} cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let (seen, error) = read(&mut start.clone(), &single);
    assert_eq!((&seen, error), (&want, None), "{name} byte by byte");
    want
}

fn connection_of(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame[11..15].try_into().unwrap())
}

/// Reads a request as a server does; returns MySQL bytes and where it ended.
fn request(framing: Framing, connection: u32, step: &Step) -> (Seen, Position) {
    let mut reader = FrameReader::new(framing, connection);
    let seen = every_split(&reader, &step.sent, &step.name);
    read(&mut reader, &[&step.sent]);
    (seen, reader.position())
}

#[test]
fn checksums_equal_those_that_a_kernel_took() {
    for line in include_str!("../../tests/wire/00_crc.txt").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, input, want, ..] = words[..] else {
            continue;
        };
        let input = || unhex(input.trim_matches('-'));
        let want = || u32::from_str_radix(want, 16).unwrap();
        match name {
            "CRC16/ARC" => assert_eq!(u32::from(crc16(0, &input())), want(), "{line}"),
            "CRC32C-raw" => {
                let bytes = input();
                let (a, b) = bytes.split_at(bytes.len() / 3);
                assert_eq!(Crc32c::default().then(a).then(b).value(), want(), "{line}");
            }
            _ => {}
        }
    }
}

#[test]
fn the_hand_made_request_is_written_byte_for_byte() {
    let text = include_str!("../../tests/wire/00_crc.txt");
    let frame = text.lines().find_map(|l| l.strip_prefix("frame ")).unwrap();
    let mut writer = FrameWriter::new(Framing::Ob20, 0x1122_3344, true);
    let mut out = vec![];
    for _ in 0..5 {
        out.clear();
        writer.begin_request();
        let envelope = Envelope {
            is_last: true,
            ..Envelope::default()
        };
        writer.put(&mut out, envelope, b"\x09\0\0\0\x03select 1");
    }
    assert_eq!(out, unhex(frame));
}

#[test]
fn packets_of_a_kernel_are_read_wherever_they_are_split() {
    let mut count = 0;
    for text in [
        COMMANDS,
        include_str!("../../tests/wire/04_ob20_session_sync.hex"),
        include_str!("../../tests/wire/07b_ps_ob20.hex"),
        include_str!("../../tests/wire/12_ob20_flt.hex"),
        include_str!("../../tests/wire/14_client_session_id.hex"),
        include_str!("../../tests/wire/15_ob20_old_extra_info.hex"),
        include_str!("../../tests/wire/16_ob20_session_verify.hex"),
    ] {
        for step in steps(text).iter().filter(|s| !s.name.starts_with("login")) {
            let connection = connection_of(&step.sent);
            let (sent, position) = request(Framing::Ob20, connection, step);
            assert!(sent.ends.last().unwrap().2, "{}", step.name);
            if step.got.is_empty() {
                continue;
            }
            let mut reader = FrameReader::new(Framing::Ob20, connection);
            reader.expect_reply(position, true);
            let seen = every_split(&reader, &step.got, &step.name);
            let heads = seen.ends.iter().map(|(h, _, _)| h.unwrap());
            let packets: Vec<_> = heads
                .map(|h| (h.request_id, h.packet_seq, h.flags, h.payload_len))
                .collect();
            assert_eq!(packets, step.packets, "{}", step.name);
            assert!(seen.ends.last().unwrap().2, "{}", step.name);
            let mut info = ExtraInfo::default();
            for (bytes, is_new) in seen.extra {
                let bytes = bytes.into();
                let extra = obring_wire::protocol::ob20::Extra { bytes, is_new };
                info.take(&extra).expect(&step.name);
            }
            count += 1;
        }
    }
    assert!(count >= 45, "only {count} exchanges");
}

#[test]
fn packets_of_a_kernel_are_written_byte_for_byte() {
    // Replies: the server's own packets, cut and numbered as it did.
    for step in steps(COMMANDS).iter().skip(1) {
        let connection = connection_of(&step.sent);
        let (_, position) = request(Framing::Ob20, connection, step);
        if step.name.contains("both crc fields 0") {
            continue;
        }
        let mut writer = FrameWriter::new(Framing::Ob20, connection, true);
        // Frames go on from the number of the request's MySQL packet, however it was cut.
        writer.begin_reply(Position {
            frame_seq: 0,
            ..position
        });
        let (mut out, mut at) = (vec![], 0);
        while at < step.got.len() {
            let frame = &step.got[at..];
            let len = u32::from_le_bytes([frame[0], frame[1], frame[2], 0]) as usize + 7;
            let mut reader = FrameReader::new(Framing::Ob20, connection);
            let (seen, _) = read(&mut reader, &[&frame[..len]]);
            let extra = seen.extra.first().map(|x| &*x.0).unwrap_or_default();
            let is_last = seen.ends[0].2;
            let envelope = Envelope {
                extra,
                flags: 0,
                is_last,
            };
            writer.put(&mut out, envelope, &seen.mysql);
            at += len;
        }
        assert_eq!(out, step.got, "{}", step.name);
    }
}

#[test]
fn the_checksum_framing_is_read_and_its_end_found() {
    for step in steps(CHECKSUM) {
        let (sent, position) = request(Framing::Checksum, 0, &step);
        assert_eq!(sent.mysql[3], 0, "{}", step.name);
        let mut reader = FrameReader::new(Framing::Checksum, 0);
        reader.expect_reply(position, true);
        let seen = every_split(&reader, &step.got, &step.name);
        let numbers: Vec<_> = seen.ends.iter().map(|e| e.1).collect();
        assert_eq!(numbers, step.outer, "{}", step.name);
        let lasts: Vec<_> = seen.ends.iter().map(|e| e.2).collect();
        let (last, before) = lasts.split_last().unwrap();
        assert!(*last && !before.contains(&true), "{} {lasts:?}", step.name);
        // As a server writes it: the same bytes, except that it cuts where its output ended.
        if numbers.len() == 1 && step.got[4..7] != [0; 3] {
            let mut writer = FrameWriter::new(Framing::Checksum, 0, false);
            writer.begin_reply(position);
            let mut out = vec![];
            let envelope = Envelope {
                is_last: true,
                ..Envelope::default()
            };
            writer.put(&mut out, envelope, &seen.mysql);
            assert_eq!(out, step.got, "{}", step.name);
        }
    }
}

#[test]
fn packets_inside_compressed_packets_are_read() {
    for step in steps(COMPRESSED) {
        let mut reader = FrameReader::new(Framing::Ob20Compressed, 0);
        // The connection id is inside: taken from the error that names it.
        let (_, error) = read(&mut reader, &[&step.sent]);
        let Some(FrameError::ConnectionId { got, .. }) = error else {
            panic!("{error:?}")
        };
        let (sent, position) = request(Framing::Ob20Compressed, got, &step);
        assert!(sent.ends.last().unwrap().2 && sent.mysql[4] == 3);
        let mut reader = FrameReader::new(Framing::Ob20Compressed, got);
        reader.expect_reply(position, true);
        let seen = every_split(&reader, &step.got, &step.name);
        let heads = seen.ends.iter().map(|(h, _, _)| h.unwrap());
        let packets: Vec<_> = heads
            .map(|h| (h.request_id, h.packet_seq, h.flags, h.payload_len))
            .collect();
        assert_eq!(packets, step.packets, "{}", step.name);
        assert!(seen.ends.last().unwrap().2, "{}", step.name);
        // The last compressed packet belongs to the last packet.
        assert_eq!(seen.ends.last().unwrap().1, *step.outer.last().unwrap());
    }
}

#[test]
fn turns_of_the_client_inside_a_reply_are_written_as_a_kernel_took_them() {
    for (text, names) in [
        (
            include_str!("../../tests/wire/09_load_data_local.hex"),
            [
                ("ob20: load", "ob20: file", Framing::Ob20),
                ("comp: load", "comp: file", Framing::Checksum),
            ],
        ),
        (
            include_str!("../../tests/wire/08_change_user.hex"),
            [
                ("ob20: COM", "ob20: switch", Framing::Ob20),
                ("comp: COM", "comp: switch", Framing::Checksum),
            ],
        ),
    ] {
        let steps = steps(text);
        let find = |name: &str| steps.iter().find(|s| s.name.starts_with(name)).unwrap();
        for (ask, turn, framing) in names {
            let (ask, turn) = (find(ask), find(turn));
            let connection = match framing {
                Framing::Ob20 => connection_of(&ask.sent),
                _ => 0,
            };
            let last = Envelope {
                is_last: true,
                ..Envelope::default()
            };
            let mysql = |bytes: &[u8]| {
                let mut reader = FrameReader::new(framing, connection);
                let parts = frames(framing, bytes);
                parts
                    .iter()
                    .map(|f| read(&mut reader, &[f]).0.mysql)
                    .collect::<Vec<_>>()
            };
            let mut writer = FrameWriter::new(framing, connection, true);
            let mut reader = FrameReader::new(framing, connection);
            let mut out = vec![];
            writer.begin_request();
            writer.put(&mut out, last, &mysql(&ask.sent).concat());
            if framing == Framing::Ob20 {
                assert_eq!(out, ask.sent, "{}", ask.name);
            }
            reader.expect_reply(writer.position(), true);
            assert_eq!(read(&mut reader, &[&ask.got]).1, None, "{}", ask.name);
            out.clear();
            writer.begin_turn(reader.position());
            for packet in mysql(&turn.sent) {
                writer.put(&mut out, last, &packet);
            }
            if framing == Framing::Ob20 && text.contains("infile") {
                assert_eq!(out, turn.sent, "{}", turn.name);
            }
            let numbers = |bytes: &[u8]| {
                let frames = frames(framing, bytes);
                frames.iter().map(|f| f[3]).collect::<Vec<_>>()
            };
            // The answer to a switch was captured with frame number 0, which a server takes too.
            if !turn.name.starts_with("ob20: switch") {
                assert_eq!(numbers(&out), numbers(&turn.sent), "{}", turn.name);
            }
            reader.expect_reply(writer.position(), true);
            let (seen, error) = read(&mut reader, &[&turn.got]);
            assert_eq!(error, None, "{}", turn.name);
            assert!(seen.ends.last().unwrap().2, "{}", turn.name);
        }
    }
}

/// Cuts a stream into its frames.
fn frames(framing: Framing, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut out, mut at) = (vec![], 0);
    assert!(matches!(framing, Framing::Ob20 | Framing::Checksum));
    while at < bytes.len() {
        let len = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]) as usize + 7;
        out.push(bytes[at..at + len].to_vec());
        at += len;
    }
    out
}

/// One reply of two packets with extra info, as a server writes it, and a reader that expects it.
fn sample(framing: Framing) -> (Vec<u8>, FrameReader) {
    let mut extra = vec![];
    put_tlv(&mut extra, entry::SESSION, b"\x04\0\x02\0\0\0ab");
    let mut request = FrameWriter::new(framing, 0xC000_0007, true);
    request.begin_request();
    request.put(&mut vec![], Envelope::default(), b"?");
    let mut writer = FrameWriter::new(framing, 0xC000_0007, true);
    let mut out = vec![];
    writer.begin_reply(request.position());
    let first = Envelope {
        extra: &extra,
        ..Envelope::default()
    };
    writer.put(&mut out, first, b"\x05\0\0\x01hello");
    let last = Envelope {
        is_last: true,
        ..Envelope::default()
    };
    writer.put(&mut out, last, b"\x05\0\0\x02world");
    let mut reader = FrameReader::new(framing, 0xC000_0007);
    reader.expect_reply(request.position(), true);
    (out, reader)
}

#[test]
fn every_wrong_bit_of_a_packet_is_a_named_error_before_its_bytes_are_told() {
    let (good, reader) = sample(Framing::Ob20);
    let first = good.len() - (31 + 9 + 4);
    for at in 0..first {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let (seen, error) = read(&mut reader.clone(), &[&bad]);
            let error = error.unwrap_or_else(|| panic!("byte {at} bit {bit} passed"));
            assert!(seen.mysql.is_empty(), "byte {at} bit {bit}");
            let named = match at {
                7..9 => matches!(error, FrameError::Magic(_)),
                9..11 => matches!(error, FrameError::Version(_)),
                0..31 => matches!(error, FrameError::HeaderCrc { .. }),
                _ => matches!(error, FrameError::PayloadCrc { .. }),
            };
            assert!(named, "byte {at} bit {bit}: {error}");
            // In pieces the end tells it.
            let parts: Vec<&[u8]> = bad.chunks(3).collect();
            assert!(read(&mut reader.clone(), &parts).1.is_some(), "{at} {bit}");
        }
    }
}

#[test]
fn every_wrong_byte_of_compressed_packets_is_found() {
    for framing in [Framing::Checksum, Framing::Ob20Compressed] {
        let (good, reader) = sample(framing);
        let (want, error) = read(&mut reader.clone(), &[&good]);
        assert_eq!((want.ends.len() >= 2, error), (true, None));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let mut reader = reader.clone();
            let (seen, error) = read(&mut reader, &[&bad]);
            // A longer frame waits for its rest; the raw form has no check of its own.
            let found = error.is_some() || !reader.is_between();
            assert!(found, "{framing:?} byte {at} {seen:?}");
            assert!(want.mysql.starts_with(&seen.mysql) || framing == Framing::Ob20Compressed);
        }
    }
}

/// A head with a right checksum, changed by `change` before.
fn forged(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = sample(Framing::Ob20).0;
    change(&mut frame);
    let crc = crc16(0, &frame[..29]).to_le_bytes();
    frame[29..31].copy_from_slice(&crc);
    frame
}

#[test]
fn a_head_with_a_right_checksum_must_fit_its_connection_request_and_lengths() {
    let reader = sample(Framing::Ob20).1;
    let error = |frame: Vec<u8>| read(&mut reader.clone(), &[&frame]).1.unwrap();
    assert_eq!(
        error(forged(|f| f[11] = 8)),
        FrameError::ConnectionId {
            want: 0xC000_0007,
            got: 0xC000_0008
        }
    );
    let wrong = error(forged(|f| f[15] = 9));
    assert_eq!(wrong, FrameError::RequestId { want: 1, got: 9 });
    let wrong = error(forged(|f| f[18] = 9));
    assert_eq!(wrong, FrameError::PacketSeq { want: 1, got: 9 });
    let length = |part, len| FrameError::Length { part, len };
    assert_eq!(error(forged(|f| f[0] -= 1)), length(Part::Frame, 54));
    assert_eq!(error(forged(|f| f[4] = 1)), length(Part::Uncompressed, 1));
    assert_eq!(
        error(forged(|f| f[22] = 1)),
        length(Part::Payload, 27 + (1 << 24))
    );
    // Extra info that reaches past the payload; the payload has no checksum.
    let long = |f: &mut Vec<u8>| {
        f[31] = 28;
        let tail = 31 + 27;
        f[tail..tail + 4].fill(0);
    };
    assert_eq!(error(forged(long)), length(Part::Extra, 28));
    // The second packet.
    let (mut frames, _) = sample(Framing::Ob20);
    let second = frames.len() - (31 + 9 + 4);
    frames[second + 18] = 3;
    let crc = crc16(0, &frames[second..second + 29]).to_le_bytes();
    frames[second + 29..second + 31].copy_from_slice(&crc);
    assert_eq!(error(frames), FrameError::PacketSeq { want: 2, got: 3 });
}

#[test]
fn checksums_of_zero_are_not_checked() {
    let (mut bytes, reader) = sample(Framing::Ob20);
    let second = bytes.len() - (31 + 9 + 4);
    bytes[29..31].fill(0);
    bytes[second - 4..second].fill(0);
    let seen = every_split(&reader, &bytes, "no checksums");
    assert_eq!(seen.mysql, b"\x05\0\0\x01hello\x05\0\0\x02world");
}

#[test]
fn a_gap_between_compressed_packets_is_an_error() {
    let (mut bytes, mut reader) = sample(Framing::Ob20Compressed);
    let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) as usize + 7;
    bytes[len + 3] = 7;
    let (_, error) = read(&mut reader, &[&bytes]);
    assert_eq!(error, Some(FrameError::FrameSeq { want: 2, got: 7 }));
}

#[test]
fn hostile_compressed_content_is_refused_without_memory_for_it() {
    let pack = |plain: &[u8], claim: usize| {
        let packed = miniz_oxide::deflate::compress_to_vec_zlib(plain, 6);
        let mut frame = (packed.len() as u32).to_le_bytes()[..3].to_vec();
        frame.push(1);
        frame.extend_from_slice(&(claim as u32).to_le_bytes()[..3]);
        frame.extend_from_slice(&packed);
        frame
    };
    let error = |frame: &[u8]| {
        let mut reader = FrameReader::new(Framing::Checksum, 0);
        read(&mut reader, &[frame]).1
    };
    let plain = vec![7; 100_000];
    assert_eq!(error(&pack(&plain, plain.len())), None);
    let content = |len| {
        Some(FrameError::Length {
            part: Part::Content,
            len,
        })
    };
    assert_eq!(error(&pack(&plain, 99_999)), content(99_999));
    assert_eq!(error(&pack(&plain, 100_001)), content(100_001));
    let (len, max) = (2 << 20, 1 << 20);
    assert_eq!(
        error(&pack(&plain, 2 << 20)),
        Some(FrameError::TooLong { len, max })
    );
    let mut adler = pack(&plain, plain.len());
    *adler.last_mut().unwrap() ^= 1;
    assert_eq!(error(&adler), Some(FrameError::Adler));
    let mut zlib = pack(&plain, plain.len());
    zlib[7] = 0;
    assert_eq!(error(&zlib), Some(FrameError::Zlib));
}

#[test]
fn what_is_written_in_any_pieces_is_read_again() {
    let mut rng = Rng::new(11);
    for framing in [
        Framing::Plain,
        Framing::Checksum,
        Framing::Ob20,
        Framing::Ob20Compressed,
    ] {
        for round in 0..60 {
            let body: Vec<u8> = (0..rng.below(120_000)).map(|n| n as u8).collect();
            let mut writer = FrameWriter::new(framing, 5, true);
            let (mut out, mut at) = (vec![], 0);
            writer.begin_request();
            while at < body.len() {
                let n = (1 + rng.below(90_000) as usize).min(body.len() - at);
                let envelope = Envelope {
                    is_last: at + n == body.len(),
                    flags: flag::WEAK_READ,
                    ..Envelope::default()
                };
                writer.put(&mut out, envelope, &body[at..at + n]);
                at += n;
            }
            let mut reader = FrameReader::new(framing, 5);
            let cuts: Vec<&[u8]> = out.chunks(1 + rng.below(40_000) as usize).collect();
            let (seen, error) = read(&mut reader, &cuts);
            assert_eq!(error, None, "{framing:?} round {round}");
            assert!(seen.mysql == body, "{framing:?} round {round}");
            if let (true, Some(end)) = (framing.has_packets(), seen.ends.last()) {
                assert!(end.2 && end.0.unwrap().flags & flag::WEAK_READ != 0);
            }
        }
    }
}

#[test]
fn noise_never_panics() {
    let mut rng = Rng::new(3);
    for round in 0..30_000u32 {
        let framing =
            [Framing::Checksum, Framing::Ob20, Framing::Ob20Compressed][round as usize % 3];
        let (mut bytes, mut reader) = sample(framing);
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        // Every other round without the checksums that would find it.
        if framing == Framing::Ob20 && round % 2 == 0 {
            bytes[29..31].fill(0);
        }
        let cut = rng.below(bytes.len() as u64) as usize;
        let (a, _) = read(&mut reader, &[&bytes[..cut], &bytes[cut..]]);
        for (bytes, is_new) in a.extra {
            let bytes = bytes.into();
            let extra = obring_wire::protocol::ob20::Extra { bytes, is_new };
            let _ = ExtraInfo::default().take(&extra);
        }
    }
}

#[test]
fn session_state_is_merged_by_sub_type_and_user_locks_are_seen() {
    let mut info = ExtraInfo::default();
    let mut locked = vec![];
    for step in steps(COMMANDS).iter().skip(1) {
        let mut reader = FrameReader::new(Framing::Ob20, connection_of(&step.sent));
        for (bytes, is_new) in read(&mut reader, &[&step.got]).0.extra {
            let bytes = bytes.into();
            info.take(&obring_wire::protocol::ob20::Extra { bytes, is_new })
                .unwrap();
        }
        locked.push(info.holds_locks);
    }
    let changes = locked.windows(2).filter(|w| w[0] != w[1]).count();
    assert_eq!((changes, info.holds_locks), (2, false));
    // Both first packets of the session are kept, each in its newest form.
    let kinds: Vec<_> = info.session.parts().map(|(k, _)| k).collect();
    assert!(kinds.starts_with(&[3, 4]), "{kinds:?}");
    let mut all = vec![];
    info.session.put(&mut all);
    let mut again = ExtraInfo::default();
    again.session.merge(&all).unwrap();
    assert_eq!(again.session, info.session);
    let too_large = vec![0; 1 << 20];
    let mut entry = vec![];
    put_tlv(&mut entry, 9, &too_large);
    let error = again.session.merge(&entry);
    assert!(
        matches!(error, Err(ExtraError::TooLarge { .. })),
        "{error:?}"
    );
    assert_eq!(again.session, info.session);
}

#[test]
fn the_old_form_of_extra_info_holds_the_same_state() {
    let steps = steps(include_str!("../../tests/wire/15_ob20_old_extra_info.hex"));
    let set = steps.iter().find(|s| s.name.starts_with("A: set")).unwrap();
    let mut info = ExtraInfo::default();
    let mut reader = FrameReader::new(Framing::Ob20, connection_of(&set.sent));
    let (seen, _) = read(&mut reader, &[&set.got]);
    assert!(!seen.extra[0].1);
    let bytes = (&*seen.extra[0].0).into();
    let extra = obring_wire::protocol::ob20::Extra {
        bytes,
        is_new: false,
    };
    info.take(&extra).unwrap();
    assert!(info.session.parts().count() > 0);
    // Written again it is what the other connection was sent, byte for byte.
    let mut value = vec![];
    info.session.put(&mut value);
    let mut pair = vec![];
    put_old_pair(&mut pair, b"sess_inf", &value);
    assert_eq!(pair, seen.extra[0].0);
    let replay = steps.iter().find(|s| s.name.starts_with("B: ")).unwrap();
    let mut writer = FrameWriter::new(Framing::Ob20, connection_of(&replay.sent), false);
    writer.begin_request();
    let mut reader = FrameReader::new(Framing::Ob20, connection_of(&replay.sent));
    let sent = read(&mut reader, &[&replay.sent]).0;
    let mut out = vec![];
    let envelope = Envelope {
        extra: &pair,
        flags: 0,
        is_last: true,
    };
    writer.put(&mut out, envelope, &sent.mysql);
    assert_eq!(out, replay.sent);
    // Broken objects are errors.
    for cut in 1..pair.len() {
        let bytes = (&pair[..cut]).into();
        let extra = obring_wire::protocol::ob20::Extra {
            bytes,
            is_new: false,
        };
        assert!(ExtraInfo::default().take(&extra).is_err(), "cut {cut}");
    }
}
