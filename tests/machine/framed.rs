//! The framing of a server in memory: requests out of their frames, replies into frames.

use obring::config::ServerProtocol;
use obring::protocol::capability;
use obring::protocol::ob20::{
    Envelope, FrameReader, FrameStep, FrameWriter, Framing, Position, entry, put_tlv,
};
use obring::session::asked;

/// What a server has to be asked for.
pub(crate) fn capability_of(framing: Framing) -> u64 {
    match framing {
        Framing::Plain => asked(ServerProtocol::MySql, None),
        Framing::Checksum => asked(ServerProtocol::Compressed, None),
        Framing::Ob20 => asked(ServerProtocol::Ob20, None),
        Framing::Ob20Compressed => asked(ServerProtocol::Auto, Some(6)),
    }
}

/// A login OK that grants everything. COM_STATISTICS has a terminal OK, as recorded.
pub(crate) fn login_ok() -> Vec<u8> {
    let granted = u64::MAX >> 32;
    assert_ne!(granted & capability::FEEDBACK_PROXY, 0);
    let pair = format!("\x12ob_capability_flag\x0a{granted}");
    super::packet(2, |b| {
        b.extend_from_slice(&[0, 0, 0, 2, 0x40, 0, 0, 0]);
        b.extend_from_slice(&[pair.len() as u8 + 2, 0, pair.len() as u8]);
        b.extend_from_slice(pair.as_bytes());
    })
}

/// One connection, as its server sees it.
#[derive(Clone)]
pub(crate) struct Framed {
    framing: Framing,
    reader: FrameReader,
    writer: FrameWriter,
}

impl Framed {
    /// Behind the login of a connection that was greeted by [`super::greeting`].
    pub(crate) fn new(framing: Framing) -> Self {
        Self {
            framing,
            reader: FrameReader::new(framing, 1),
            writer: FrameWriter::new(framing, 1, true),
        }
    }

    /// MySQL bytes of a request.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (mut at, mut inflated, mut out) = (0, vec![], vec![]);
        loop {
            match self.reader.step(bytes, &mut at, &mut inflated) {
                Ok(FrameStep::More) => return out,
                Ok(FrameStep::Body(range)) => out.extend_from_slice(&bytes[range]),
                Ok(FrameStep::Inflated(bytes)) => out.extend_from_slice(bytes),
                Ok(FrameStep::Extra(_) | FrameStep::End { is_last: false }) => {}
                Ok(FrameStep::End { is_last: true }) => self.reader.expect_request(),
                Err(e) => panic!("the server got a wrong frame: {e}"),
            }
        }
    }

    /// A reply to what was taken, in so many frames, extra info in the first and the last.
    pub(crate) fn reply(&mut self, mysql: &[u8], frames: usize) -> Vec<u8> {
        let mut out = vec![];
        if mysql.is_empty() {
            return out;
        }
        let read = self.reader.position();
        self.reader.expect_request();
        self.writer.begin_reply(read);
        let pieces = mysql.chunks(mysql.len().div_ceil(frames));
        let last = pieces.len() - 1;
        for (n, body) in pieces.enumerate() {
            let mut extra = vec![];
            if (n == 0 || n == last) && self.framing.has_packets() {
                let kind = if n == 0 { b'\x03' } else { b'\x04' };
                put_tlv(&mut extra, entry::SESSION, &[kind, 0, 2, 0, 0, 0, 7, 7]);
            }
            let envelope = Envelope {
                extra: &extra,
                flags: 0,
                is_last: n == last,
            };
            self.writer.put(&mut out, envelope, body);
        }
        if self.framing == Framing::Ob20Compressed {
            return packed(&out, read);
        }
        out
    }
}

/// Compressed packets as they are, made zlib streams cut wherever.
fn packed(raw: &[u8], read: Position) -> Vec<u8> {
    let (mut plain, mut at) = (vec![], 0);
    while at < raw.len() {
        let len = u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], 0]) as usize;
        plain.extend_from_slice(&raw[at + 7..at + 7 + len]);
        at += 7 + len;
    }
    let mut writer = FrameWriter::new(Framing::Checksum, 0, false);
    writer.begin_turn(read);
    let mut out = vec![];
    for piece in plain.chunks(1_000) {
        writer.put(&mut out, Envelope::default(), piece);
    }
    out
}
