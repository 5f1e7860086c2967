//! Holds back the end of a reply, so that its last OK can still be changed when all else is told.

use super::frames::{BadFrame, Wire, last};
use super::made::SEPARATOR;
use super::plan::HELD_MAX;
use super::walk::Walk;
use obring_wire::base::{put_lenenc, put_lenenc_bytes};
use obring_wire::protocol::mysql::{
    HEADER_LEN, OkPacket, TRACK_VARIABLES, Variables, put_packet, status,
};
use obring_wire::protocol::ob20::{FrameReader, FrameStep, Framing, Position, flag};

/// The frames of a reply from the one on in which its last packet begins.
#[derive(Debug)]
pub(super) struct Tail {
    wire: Wire,
    reader: FrameReader,
    inflated: Vec<u8>,
    walk: Walk,
    /// Bytes that are held back; they begin with a frame.
    raw: Vec<u8>,
    /// Where in them the frame that is being read begins.
    frame: usize,
    /// Where in them the frame begins in which the last packet began.
    packet: usize,
    /// The last packet is whole.
    is_whole: bool,
    /// Length of its payload.
    last_len: usize,
    /// A packet was too long to be held: what is held is no frame any more.
    is_cut: bool,
}

impl Tail {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            reader: FrameReader::new(wire.framing, wire.connection_id),
            inflated: vec![],
            walk: Walk::new(0),
            raw: vec![],
            frame: 0,
            packet: 0,
            is_whole: true,
            last_len: 0,
            is_cut: false,
        }
    }

    /// Takes bytes of the reply. Returns what can go on now.
    pub(super) fn feed(&mut self, raw: &[u8]) -> Result<Vec<u8>, BadFrame> {
        let base = self.raw.len();
        self.raw.extend_from_slice(raw);
        let mut at = 0;
        loop {
            let from = at;
            let step = self.reader.step(raw, &mut at, &mut self.inflated)?;
            let mut walked = Walked {
                walk: &mut self.walk,
                is_whole: &mut self.is_whole,
                last_len: &mut self.last_len,
            };
            match step {
                FrameStep::More => break,
                FrameStep::Body(range) => {
                    let bytes = raw.get(range).unwrap_or_default();
                    let begun = walked.read(bytes);
                    if self.wire.framing == Framing::Plain {
                        // Packets are the frames here.
                        self.packet = begun.map_or(self.packet, |begun| base + from + begun);
                    } else if begun.is_some() {
                        self.packet = self.frame;
                    }
                }
                FrameStep::Inflated(bytes) => {
                    if walked.read(bytes).is_some() {
                        self.packet = self.frame;
                    }
                }
                FrameStep::Extra(_) => {}
                FrameStep::End { .. } => {
                    if self.reader.is_between() {
                        self.frame = base + at;
                    }
                }
            }
        }
        if self.raw.len() - self.packet > HELD_MAX {
            self.is_cut = true;
            return Ok(self.release());
        }
        if self.packet > 0 {
            self.is_cut = false;
        }
        let rest = self.raw.split_off(self.packet);
        let out = std::mem::replace(&mut self.raw, rest);
        self.frame = self.frame.saturating_sub(out.len());
        self.packet = 0;
        Ok(out)
    }

    /// Gives up all that is held: it is the client's turn, or what follows is not to be changed.
    pub(super) fn release(&mut self) -> Vec<u8> {
        (self.frame, self.packet) = (0, 0);
        std::mem::take(&mut self.raw)
    }

    /// The client has sent something inside the reply: numbers begin anew.
    pub(super) const fn turn(&mut self) {
        self.reader.expect_request();
    }

    /// The rest of a reply that is over, with these variables in its last OK. A reply that ends
    /// with something else stays as it is.
    pub(super) fn finish(&mut self, variables: &[(&str, String)]) -> Vec<u8> {
        let changed = if self.is_cut || !self.is_whole || variables.is_empty() {
            None
        } else {
            self.changed(variables)
        };
        let raw = self.release();
        changed.unwrap_or(raw)
    }

    fn changed(&self, variables: &[(&str, String)]) -> Option<Vec<u8>> {
        let frames = Frames::read(self.wire, &self.raw)?;
        let body = &frames.body;
        let payload_at = body.len().checked_sub(self.last_len)?;
        let header_at = payload_at.checked_sub(HEADER_LEN)?;
        let seq = *body.get(payload_at - 1)?;
        let payload = with_variables(body.get(payload_at..)?, variables)?;
        let mut packets = body.get(..header_at)?.to_vec();
        put_packet(&mut packets, seq, |b| b.extend_from_slice(&payload));
        let mut writer = self.wire.writer();
        writer.begin_reply(frames.before);
        let mut out = vec![];
        writer.put(&mut out, last(&frames.extra, frames.flags), &packets);
        Some(out)
    }
}

/// Follows MySQL packets.
struct Walked<'a> {
    walk: &'a mut Walk,
    is_whole: &'a mut bool,
    last_len: &'a mut usize,
}

impl Walked<'_> {
    /// Reads bytes; where in them the last packet began, if one did.
    fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut begun = None;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
            if *self.is_whole {
                begun = Some(at);
            }
            let mut used = 0;
            let payload = self.walk.step(rest, &mut used);
            *self.is_whole = payload.is_some();
            if let Some(payload) = payload {
                *self.last_len = usize::try_from(payload.len).unwrap_or(usize::MAX);
            }
            at += used;
        }
        begun
    }
}

/// Frames that were read again: what is in them, and what must be said of them again.
struct Frames {
    body: Vec<u8>,
    extra: Vec<u8>,
    flags: u32,
    /// Numbers of the frame in front of the first.
    before: Position,
}

impl Frames {
    fn read(wire: Wire, raw: &[u8]) -> Option<Self> {
        let mut reader = FrameReader::new(wire.framing, wire.connection_id);
        let (mut at, mut inflated) = (0, vec![]);
        let (mut body, mut extra, mut flags) = (vec![], vec![], 0);
        let mut first = None;
        let mut count = 0;
        loop {
            match reader.step(raw, &mut at, &mut inflated).ok()? {
                FrameStep::More => break,
                FrameStep::Body(range) => body.extend_from_slice(raw.get(range)?),
                FrameStep::Inflated(bytes) => body.extend_from_slice(bytes),
                FrameStep::Extra(info) => extra.extend_from_slice(&info.bytes),
                FrameStep::End { .. } => {
                    count += 1;
                    flags |= reader.header().map_or(0, |h| h.flags);
                }
            }
            first.get_or_insert_with(|| reader.position());
        }
        let mut before = first.unwrap_or_default();
        before.packet_seq = before.packet_seq.wrapping_sub(1);
        // The last frame of the checksum framing repeats a number.
        if wire.framing != Framing::Checksum || count > 1 {
            before.frame_seq = before.frame_seq.wrapping_sub(1);
        }
        let own = flag::LAST | flag::EXTRA_INFO | flag::NEW_EXTRA;
        Some(Self {
            body,
            extra,
            flags: flags & !own,
            before,
        })
    }
}

/// The payload of an OK in proxy mode with more system variables; none if it is no such OK.
fn with_variables(payload: &[u8], variables: &[(&str, String)]) -> Option<Vec<u8>> {
    let ok = OkPacket::parse(payload).ok()?;
    let mut state = vec![];
    let mut is_told = false;
    for block in ok.blocks() {
        state.push(block.kind);
        if block.kind == TRACK_VARIABLES && !is_told {
            is_told = true;
            put_lenenc_bytes(&mut state, &merged(block.variables(), variables));
        } else {
            put_lenenc_bytes(&mut state, block.data);
        }
    }
    if !is_told {
        let mut front = vec![TRACK_VARIABLES];
        put_lenenc_bytes(&mut front, &merged_from(std::iter::empty(), variables));
        state.splice(0..0, front);
    }
    let mut out = vec![0];
    put_lenenc(&mut out, ok.affected);
    put_lenenc(&mut out, ok.last_insert_id);
    out.extend_from_slice(&(ok.status | status::STATE_CHANGED).to_le_bytes());
    out.extend_from_slice(&ok.warnings.to_le_bytes());
    put_lenenc_bytes(&mut out, ok.message);
    put_lenenc_bytes(&mut out, &state);
    Some(out)
}

fn merged(old: Variables<'_>, new: &[(&str, String)]) -> Vec<u8> {
    // A name is told once: what the model says comes in place of what the kernel said.
    let old = old
        .filter(|(name, _, is_user)| *is_user || !new.iter().any(|(n, _)| n.as_bytes() == *name));
    merged_from(old, new)
}

fn merged_from<'a>(
    old: impl Iterator<Item = (&'a [u8], &'a [u8], bool)>,
    new: &[(&str, String)],
) -> Vec<u8> {
    let mut out = vec![];
    let put_new = |out: &mut Vec<u8>| {
        for (name, value) in new {
            put_lenenc_bytes(out, name.as_bytes());
            put_lenenc_bytes(out, value.as_bytes());
        }
    };
    let mut is_user = false;
    for (name, value, is_of_user) in old {
        if is_of_user && !is_user {
            is_user = true;
            put_new(&mut out);
            put_lenenc_bytes(&mut out, SEPARATOR);
            put_lenenc_bytes(&mut out, SEPARATOR);
        }
        put_lenenc_bytes(&mut out, name);
        put_lenenc_bytes(&mut out, value);
    }
    if !is_user {
        put_new(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use obring_wire::protocol::ob20::Envelope;

    const FRAMINGS: [Framing; 4] = [
        Framing::Plain,
        Framing::Checksum,
        Framing::Ob20,
        Framing::Ob20Compressed,
    ];

    /// The OK of `set @x='abc', autocommit=0`.
    const OK: &[u8] = b"\0\0\0\x20\x40\0\0\0\x2b\0\x25\x0aautocommit\x03OFF\
        \x06__NULL\x06__NULL\x01x\x05'abc'\x02\x02\x011";

    fn pairs() -> Vec<(&'static str, String)> {
        vec![("ob_proxy_partition_hit", "OFF".to_owned())]
    }

    fn told(payload: &[u8]) -> Vec<(String, String, bool)> {
        let ok = OkPacket::parse(payload).unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let blocks = ok.blocks().filter(|b| b.kind == TRACK_VARIABLES);
        blocks
            .flat_map(|b| b.variables().collect::<Vec<_>>())
            .map(|(name, value, is_user)| (text(name), text(value), is_user))
            .collect()
    }

    #[test]
    fn variables_stand_with_those_of_the_system() {
        let changed = with_variables(OK, &pairs()).unwrap();
        let hit = ("ob_proxy_partition_hit".into(), "OFF".into(), false);
        let want = [
            ("autocommit".into(), "OFF".into(), false),
            hit.clone(),
            ("x".into(), "'abc'".into(), true),
        ];
        assert_eq!(told(&changed), want);
        assert!(changed.ends_with(b"\x02\x02\x011"));
        // Told once, however often.
        assert_eq!(told(&with_variables(&changed, &pairs()).unwrap()), want);
        let plain = with_variables(&[0, 0, 0, 0x22, 0, 0, 0, 0], &pairs()).unwrap();
        assert_eq!(told(&plain), [hit]);
        assert_eq!(OkPacket::parse(&plain).unwrap().status, 0x4022);
        assert!(with_variables(b"\xff\0\0", &pairs()).is_none());
    }

    /// A reply of `rows` rows, as a server frames it: `cut` bytes of packets to a frame.
    fn reply(framing: Framing, rows: usize, cut: usize) -> (Wire, Vec<u8>, Vec<u8>) {
        let wire = Wire {
            framing,
            connection_id: 0xC000_0001,
            is_new_extra: true,
        };
        let mut packets = vec![];
        for n in 0..rows {
            put_packet(&mut packets, n as u8, |b| b.extend_from_slice(&[7; 100]));
        }
        put_packet(&mut packets, rows as u8, |b| b.extend_from_slice(OK));
        let mut writer = wire.writer();
        writer.begin_reply(Position {
            request_id: 9,
            packet_seq: 0,
            frame_seq: 0,
        });
        let mut raw = vec![];
        let mut rest = packets.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let extra = if framing.has_packets() && rest.is_empty() {
                b"\xd2\x07\x01\0\0\0x".as_slice()
            } else {
                b""
            };
            let envelope = Envelope {
                extra,
                flags: 0,
                is_last: rest.is_empty(),
            };
            writer.put(&mut raw, envelope, now);
        }
        (wire, raw, packets)
    }

    /// What a strict reader finds in frames: packets and extra info.
    fn strict(wire: Wire, raw: &[u8]) -> (Vec<u8>, Vec<u8>, bool) {
        let mut reader = FrameReader::new(wire.framing, wire.connection_id);
        let sent = Position {
            request_id: 9,
            packet_seq: 0,
            frame_seq: 0,
        };
        reader.expect_reply(sent, true);
        let (mut at, mut inflated) = (0, vec![]);
        let (mut body, mut all, mut is_over) = (vec![], vec![], false);
        loop {
            match reader.step(raw, &mut at, &mut inflated).unwrap() {
                FrameStep::More => return (body, all, is_over),
                FrameStep::Body(range) => body.extend_from_slice(&raw[range]),
                FrameStep::Inflated(bytes) => body.extend_from_slice(bytes),
                FrameStep::Extra(info) => all.extend_from_slice(&info.bytes),
                FrameStep::End { is_last } => is_over = is_last,
            }
        }
    }

    #[test]
    fn only_the_last_ok_changes_wherever_frames_and_reads_are_cut() {
        for framing in FRAMINGS {
            for cut in [20, 64, 150, 333, 10_000] {
                let (wire, raw, packets) = reply(framing, 5, cut);
                for read in [1, 7, 100, 1_000, raw.len()] {
                    let mut tail = Tail::new(wire);
                    let mut out = vec![];
                    for piece in raw.chunks(read) {
                        out.extend(tail.feed(piece).unwrap());
                    }
                    let mut same = out.clone();
                    let held = tail.raw.clone();
                    same.extend_from_slice(&held);
                    assert_eq!(same, raw);
                    out.extend(tail.finish(&pairs()));
                    let (body, extra, is_over) = strict(wire, &out);
                    let front = packets.len() - OK.len() - HEADER_LEN;
                    assert_eq!(body[..front], packets[..front], "{framing:?} {cut} {read}");
                    let payload = &body[front + HEADER_LEN..];
                    assert_eq!(payload, with_variables(OK, &pairs()).unwrap());
                    assert_eq!(body[front + 3], 5);
                    assert_eq!(extra.is_empty(), !framing.has_packets());
                    assert_eq!(is_over, framing != Framing::Plain, "{framing:?} {cut}");
                }
            }
        }
    }

    #[test]
    fn nothing_to_tell_changes_nothing() {
        for framing in FRAMINGS {
            let (wire, raw, _) = reply(framing, 3, 80);
            let mut tail = Tail::new(wire);
            let mut out = tail.feed(&raw).unwrap();
            out.extend(tail.finish(&[]));
            assert_eq!(out, raw);
        }
    }
}
