//! The framing of a link: frames in, MySQL bytes out, and back for what the model makes itself.

use crate::shadow::Beside;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::HEADER_LEN;
use obring_wire::protocol::ob20::{
    Envelope, FrameError, FrameReader, FrameStep, FrameWriter, Framing, Position, flag,
};
use std::fmt;

/// How MySQL packets are wrapped between a login and the end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wire {
    pub(super) framing: Framing,
    /// Connection id of the greeting.
    pub(super) connection_id: u32,
    /// Extra info is TLV.
    pub(super) is_new_extra: bool,
}

impl Wire {
    /// What was agreed in a login: what the client asked for, and what the kernel granted.
    pub(super) const fn agreed(connection_id: u32, asked: u64, granted: u64) -> Self {
        Self {
            framing: Framing::agreed(asked, granted),
            connection_id,
            is_new_extra: asked & granted & capability::NEW_EXTRA_INFO != 0,
        }
    }

    /// Its name in the log.
    pub(super) const fn name(self) -> &'static str {
        match self.framing {
            Framing::Plain => "plain",
            Framing::Checksum => "checksum",
            Framing::Ob20 => "ob20",
            Framing::Ob20Compressed => "ob20_compressed",
        }
    }

    pub(super) const fn writer(self) -> FrameWriter {
        FrameWriter::new(self.framing, self.connection_id, self.is_new_extra)
    }
}

/// Bytes that are no frame of this framing, or no packets of MySQL inside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BadFrame(pub(super) String);

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad frame: {}", self.0)
    }
}

impl From<FrameError> for BadFrame {
    fn from(e: FrameError) -> Self {
        Self(e.to_string())
    }
}

/// What is wrong with a reply on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// Its last checksum. Plain framing has none.
    Checksum,
    /// The number of its first packet.
    Sequence,
    /// The connection it names. Only OceanBase 2.0 names one.
    Connection,
}

/// The frames of one request.
#[derive(Debug)]
pub(super) struct RequestFrames {
    wire: Wire,
    reader: FrameReader,
    inflated: Vec<u8>,
    is_last: bool,
    /// Extra info, and flags of the first packet, for a request that takes its place.
    extra: Vec<u8>,
    flags: u32,
    /// What the extra info says.
    pub(super) beside: Beside,
    /// The connection that a packet named, where it was another one.
    pub(super) foreign: Option<u32>,
}

impl RequestFrames {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            wire,
            reader: FrameReader::new(wire.framing, wire.connection_id),
            inflated: vec![],
            is_last: false,
            extra: vec![],
            flags: 0,
            beside: Beside::default(),
            foreign: None,
        }
    }

    /// Takes bytes from the front of `raw`, at most one frame, and gives what is in them to `read`,
    /// which says how many it has used. Returns how many bytes of `raw` were taken.
    pub(super) fn feed(
        &mut self,
        raw: &[u8],
        mut read: impl FnMut(&[u8]) -> usize,
    ) -> Result<usize, BadFrame> {
        if self.wire.framing == Framing::Plain {
            self.is_last = true;
            return Ok(read(raw));
        }
        let mut all = |bytes: &[u8]| {
            if read(bytes) == bytes.len() {
                Ok(())
            } else {
                Err(BadFrame("bytes behind a request".into()))
            }
        };
        let mut at = 0;
        loop {
            let step = self.reader.step(raw, &mut at, &mut self.inflated);
            if let Err(FrameError::ConnectionId { got, .. }) = step {
                self.foreign = Some(got);
            }
            match step? {
                FrameStep::More => return Ok(at),
                FrameStep::Body(range) => all(raw.get(range).unwrap_or_default())?,
                FrameStep::Inflated(bytes) => all(bytes)?,
                FrameStep::Extra(extra) => {
                    self.beside.take(&extra);
                    self.extra = extra.bytes.into_owned();
                }
                FrameStep::End { is_last } => {
                    self.is_last |= is_last || !self.wire.framing.has_packets();
                    self.flags |= self.reader.header().map_or(0, |h| h.flags);
                    return Ok(at);
                }
            }
        }
    }

    /// True when its last frame was read.
    pub(super) const fn is_over(&self) -> bool {
        self.is_last && self.reader.is_between()
    }

    /// Flags of its OceanBase 2.0 packets, 0 in other framings.
    pub(super) const fn flags(&self) -> u32 {
        self.flags
    }

    /// Wraps a reply to this request that the model has made.
    pub(super) fn wrap_reply(&self, packets: &[u8]) -> Vec<u8> {
        let mut writer = self.wire.writer();
        writer.begin_reply(self.reader.position());
        let mut out = vec![];
        writer.put(&mut out, last(&[], 0), packets);
        out
    }

    /// The same, with what stood beside the reply of a kernel.
    pub(super) fn wrap_beside(&self, packets: &[u8], beside: &Beside) -> Vec<u8> {
        let extra = match self.wire.framing.has_packets() {
            true => super::listing::extra(beside, self.wire.is_new_extra),
            false => vec![],
        };
        let mut writer = self.wire.writer();
        writer.begin_reply(self.reader.position());
        let mut out = vec![];
        writer.put(&mut out, last(&extra, 0), packets);
        out
    }

    /// The same with a flaw.
    pub(super) fn wrap_flawed(&self, packets: &[u8], flaw: Flaw) -> Vec<u8> {
        let mut wire = self.wire;
        let mut position = self.reader.position();
        match flaw {
            Flaw::Checksum => {}
            Flaw::Sequence => {
                position.packet_seq = position.packet_seq.wrapping_add(5);
                position.frame_seq = position.frame_seq.wrapping_add(5);
            }
            Flaw::Connection => wire.connection_id ^= 1,
        }
        let mut writer = wire.writer();
        writer.begin_reply(position);
        let mut out = vec![];
        writer.put(&mut out, last(&[], 0), packets);
        if wire.framing == Framing::Plain && flaw == Flaw::Sequence {
            if let Some(seq) = out.get_mut(HEADER_LEN - 1) {
                *seq = seq.wrapping_add(5);
            }
        } else if wire.framing != Framing::Plain && flaw == Flaw::Checksum {
            // Checksums stand at the end of frames. One of 0 would not be looked at.
            if let Some(byte) = out.last_mut() {
                *byte ^= 0x55;
            }
        }
        out
    }

    /// Wraps a request that takes the place of this one: same numbers, flags and extra info.
    pub(super) fn wrap_request(&self, packets: &[u8]) -> Vec<u8> {
        let mut writer = self.wire.writer();
        let before = self.reader.position().request_id.wrapping_sub(1);
        writer.begin_reply(Position {
            request_id: before,
            ..Position::default()
        });
        writer.begin_request();
        let own = flag::LAST | flag::EXTRA_INFO | flag::NEW_EXTRA;
        let mut out = vec![];
        writer.put(&mut out, last(&self.extra, self.flags & !own), packets);
        out
    }
}

pub(super) const fn last(extra: &[u8], flags: u32) -> Envelope<'_> {
    Envelope {
        extra,
        flags,
        is_last: true,
    }
}

/// The frames of one reply. Its numbers are the kernel's, and not judged.
#[derive(Debug)]
pub(super) struct ReplyFrames {
    framing: Framing,
    reader: FrameReader,
    inflated: Vec<u8>,
    is_last: bool,
    /// What the extra info says.
    pub(super) beside: Beside,
    /// Flags of its OceanBase 2.0 packets, 0 in other framings.
    pub(super) flags: u32,
}

impl ReplyFrames {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            framing: wire.framing,
            reader: FrameReader::new(wire.framing, wire.connection_id),
            inflated: vec![],
            is_last: !wire.framing.has_packets(),
            beside: Beside::default(),
            flags: 0,
        }
    }

    /// Takes all bytes of `raw` and gives what is in them to `read`.
    pub(super) fn feed(&mut self, raw: &[u8], mut read: impl FnMut(&[u8])) -> Result<(), BadFrame> {
        let mut at = 0;
        loop {
            match self.reader.step(raw, &mut at, &mut self.inflated)? {
                FrameStep::More => return Ok(()),
                FrameStep::Body(range) => read(raw.get(range).unwrap_or_default()),
                FrameStep::Inflated(bytes) => read(bytes),
                FrameStep::Extra(extra) => self.beside.take(&extra),
                FrameStep::End { is_last } => {
                    self.flags |= self.reader.header().map_or(0, |h| h.flags);
                    self.is_last |= is_last;
                }
            }
        }
    }

    /// The client has sent something inside the reply: numbers begin anew, and another last frame
    /// comes.
    pub(super) const fn turn(&mut self) {
        self.reader.expect_request();
        self.is_last = !self.framing.has_packets();
    }

    /// True when its last frame was read.
    pub(super) const fn is_over(&self) -> bool {
        self.is_last && self.reader.is_between()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obring_wire::protocol::mysql::put_packet;

    const FRAMINGS: [Framing; 4] = [
        Framing::Plain,
        Framing::Checksum,
        Framing::Ob20,
        Framing::Ob20Compressed,
    ];

    fn wire(framing: Framing) -> Wire {
        Wire {
            framing,
            connection_id: 0xC000_1234,
            is_new_extra: true,
        }
    }

    fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        put_packet(&mut out, seq, |b| b.extend_from_slice(payload));
        out
    }

    /// A request as a proxy writes it, read.
    fn read(framing: Framing, extra: &[u8]) -> (Vec<u8>, RequestFrames) {
        let mut writer = wire(framing).writer();
        writer.begin_request();
        writer.begin_request();
        let mut raw = vec![];
        let extra = if framing.has_packets() { extra } else { &[] };
        let flags = if framing.has_packets() {
            flag::WEAK_READ
        } else {
            0
        };
        writer.put(&mut raw, last(extra, flags), &packet(0, b"\x03select 1"));
        let mut frames = RequestFrames::new(wire(framing));
        let mut seen = vec![];
        let mut at = 0;
        while at < raw.len() {
            at += frames
                .feed(&raw[at..], |bytes| {
                    seen.extend_from_slice(bytes);
                    bytes.len()
                })
                .unwrap();
        }
        assert!(frames.is_over());
        assert_eq!(seen, packet(0, b"\x03select 1"), "{framing:?}");
        (raw, frames)
    }

    #[test]
    fn a_reply_is_read_as_it_was_made() {
        for framing in FRAMINGS {
            let (_, request) = read(framing, b"");
            let made = [packet(1, b"\xff\0\0#HY000no"), packet(2, &[0; 8])].concat();
            let raw = request.wrap_reply(&made);
            for cut in 0..=raw.len() {
                let mut frames = ReplyFrames::new(wire(framing));
                let mut seen = vec![];
                for part in [&raw[..cut], &raw[cut..]] {
                    frames
                        .feed(part, |bytes| seen.extend_from_slice(bytes))
                        .unwrap();
                }
                assert_eq!(seen, made, "{framing:?} {cut}");
                assert!(frames.is_over());
            }
        }
    }

    #[test]
    fn a_request_in_the_place_of_another_has_its_numbers() {
        for framing in FRAMINGS {
            let (raw, request) = read(framing, b"\xd2\x07\x01\0\0\0x");
            let again = request.wrap_request(&packet(0, b"\x03select 1"));
            assert_eq!(again, raw, "{framing:?}");
        }
    }

    #[test]
    fn flaws_are_seen_by_a_strict_reader() {
        for framing in FRAMINGS {
            let (_, request) = read(framing, b"");
            for flaw in [Flaw::Checksum, Flaw::Sequence, Flaw::Connection] {
                let raw = request.wrap_flawed(&packet(1, &[0; 8]), flaw);
                let mut reader = FrameReader::new(framing, 0xC000_1234);
                reader.expect_reply(request.reader.position(), true);
                let (mut at, mut inflated) = (0, vec![]);
                let mut is_wrong = false;
                while at < raw.len() && !is_wrong {
                    is_wrong = reader.step(&raw, &mut at, &mut inflated).is_err();
                }
                let shows = match (framing, flaw) {
                    // A first packet may have any number there; this one has another.
                    (Framing::Plain, Flaw::Sequence) => raw[3] == 6,
                    (Framing::Checksum, Flaw::Sequence) => {
                        raw[3] == request.reader.position().frame_seq + 5
                    }
                    (Framing::Plain, _) | (Framing::Checksum, Flaw::Connection) => !is_wrong,
                    _ => is_wrong,
                };
                assert!(shows, "{framing:?} {flaw:?}");
            }
        }
    }
}
