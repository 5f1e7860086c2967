//! Puts framing around MySQL bytes.

use super::crc::Crc32c;
use super::framing::Framing;
use super::header::{FRAME_HEAD_LEN, HEADER_LEN, Header, TAIL_LEN, flag};
use super::outer::{outer_head, stored_head};
use adler2::Adler32;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// MySQL bytes of one packet: where a proxy cuts its requests. Source: OceanBase wire facts.
const PACKET_MAX: usize = 8 << 20;
/// MySQL bytes of one packet of the checksum framing: where a server cuts.
const CHECKSUM_MAX: usize = 32 << 10;
/// Request ids have 24 bits.
const REQUEST_ID_MAX: u32 = 0xFF_FFFF;

/// Numbers of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Of the request, 24 bits.
    pub request_id: u32,
    /// Of the packet within its request or reply.
    pub packet_seq: u8,
    /// Of the frame on the wire.
    pub frame_seq: u8,
}

/// What goes with MySQL bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Extra info, in the form of the connection; put into the first packet. Needs OceanBase 2.0.
    pub extra: &'a [u8],
    /// Bits of [`flag`] besides those that the writer knows itself.
    pub flags: u32,
    /// The bytes are the end of a request or reply.
    pub is_last: bool,
}

/// Receives frames, in wire order.
pub trait FrameSink {
    /// Bytes of the framing.
    fn own(&mut self, bytes: &[u8]);
    /// This range of the MySQL bytes.
    fn body(&mut self, range: Range<usize>);
}

/// Writes one direction of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameWriter {
    framing: Framing,
    connection_id: u32,
    /// Extra info is TLV.
    is_new_extra: bool,
    /// Numbers of the frame last written.
    last: Position,
    /// Frames are a server's: the last of a reply repeats a number in the checksum framing.
    is_server: bool,
}

impl FrameWriter {
    /// A writer for a connection whose greeting named `connection_id`. `is_new_extra`: TLV extra
    /// info was agreed (capability bit 15).
    #[must_use]
    pub const fn new(framing: Framing, connection_id: u32, is_new_extra: bool) -> Self {
        Self {
            framing,
            connection_id,
            is_new_extra,
            last: Position {
                request_id: 0,
                packet_seq: 0,
                frame_seq: 0,
            },
            is_server: false,
        }
    }

    /// The framing.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.framing
    }

    /// Numbers of the frame last written.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.last
    }

    /// A new request: the next request id, other numbers from 0.
    pub const fn begin_request(&mut self) {
        self.is_server = false;
        self.last = Position {
            request_id: self.last.request_id.wrapping_add(1) & REQUEST_ID_MAX,
            packet_seq: u8::MAX,
            frame_seq: u8::MAX,
        };
    }

    /// The client's turn inside a reply that was read up to `read`: the same request, packets
    /// counted afresh, frames going on.
    pub const fn begin_turn(&mut self, read: Position) {
        self.last.packet_seq = u8::MAX;
        self.last.frame_seq = read.frame_seq;
    }

    /// A reply to a request that was read up to `read`: numbers go on. (A server of OceanBase 2.0
    /// goes on from the sequence of the request's last MySQL packet; nobody checks that.)
    pub const fn begin_reply(&mut self, read: Position) {
        self.is_server = true;
        self.last = read;
    }

    /// Writes `held` and then `body` as frames. Without bytes nothing is written, except the mark
    /// of the end in OceanBase 2.0.
    pub fn write(
        &mut self,
        envelope: Envelope<'_>,
        held: &[u8],
        body: &[u8],
        sink: &mut impl FrameSink,
    ) {
        let max = match self.framing {
            Framing::Plain => usize::MAX,
            Framing::Checksum => CHECKSUM_MAX,
            Framing::Ob20 | Framing::Ob20Compressed => PACKET_MAX,
        };
        let (mut held, mut extra, mut at) = (held, envelope.extra, 0);
        loop {
            let n = (max - held.len()).min(body.len() - at);
            let piece = at..at + n;
            at += n;
            let is_last = envelope.is_last && at == body.len();
            let is_empty = held.is_empty() && piece.is_empty();
            if !is_empty || is_last && self.framing.has_packets() {
                let envelope = Envelope {
                    extra,
                    is_last,
                    ..envelope
                };
                self.frame(envelope, held, body, piece, sink);
            }
            if at == body.len() {
                return;
            }
            (held, extra) = (&[], &[]);
        }
    }

    /// Appends `body` in frames to `out`.
    pub fn put(&mut self, out: &mut Vec<u8>, envelope: Envelope<'_>, body: &[u8]) {
        self.write(envelope, &[], body, &mut Append { out, body });
    }

    fn frame(
        &mut self,
        envelope: Envelope<'_>,
        held: &[u8],
        body: &[u8],
        piece: Range<usize>,
        sink: &mut impl FrameSink,
    ) {
        let bytes = body.get(piece.clone()).unwrap_or_default();
        let is_repeat = self.framing == Framing::Checksum && self.is_server && envelope.is_last;
        self.last.packet_seq = self.last.packet_seq.wrapping_add(1);
        if !is_repeat {
            self.last.frame_seq = self.last.frame_seq.wrapping_add(1);
        }
        match self.framing {
            Framing::Plain => {
                sink.own(held);
                sink.body(piece);
            }
            Framing::Checksum => {
                sink.own(&stored_head(held.len() + bytes.len(), self.last.frame_seq));
                sink.own(held);
                sink.body(piece);
                let mut adler = Adler32::new();
                adler.write_slice(held);
                adler.write_slice(bytes);
                sink.own(&adler.checksum().to_be_bytes());
            }
            Framing::Ob20 | Framing::Ob20Compressed => {
                self.packet(envelope, held, bytes, piece, sink);
            }
        }
    }

    fn packet(
        &self,
        envelope: Envelope<'_>,
        held: &[u8],
        bytes: &[u8],
        piece: Range<usize>,
        sink: &mut impl FrameSink,
    ) {
        let Envelope { extra, is_last, .. } = envelope;
        let is_prefixed = self.framing == Framing::Ob20;
        let extra_len = (extra.len() as u32).to_le_bytes();
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        let mut header = Header {
            frame_seq: self.last.frame_seq,
            connection_id: self.connection_id,
            request_id: self.last.request_id,
            packet_seq: self.last.packet_seq,
            payload_len: (held.len() + bytes.len()) as u32,
            flags: envelope.flags
                | bit(is_last, flag::LAST)
                | bit(self.is_new_extra, flag::NEW_EXTRA),
        };
        let mut crc = Crc32c::default();
        if !extra.is_empty() {
            header.flags |= flag::EXTRA_INFO;
            header.payload_len += (extra_len.len() + extra.len()) as u32;
            crc = crc.then(&extra_len).then(extra);
        }
        if !is_prefixed {
            let len = HEADER_LEN + header.payload_len as usize + TAIL_LEN;
            sink.own(&outer_head(len, self.last.frame_seq, 0));
        }
        let head: [u8; FRAME_HEAD_LEN] = header.bytes(is_prefixed);
        sink.own(head.get(..Header::len(is_prefixed)).unwrap_or_default());
        if !extra.is_empty() {
            sink.own(&extra_len);
            sink.own(extra);
        }
        sink.own(held);
        sink.body(piece);
        sink.own(&crc.then(held).then(bytes).value().to_le_bytes());
    }
}

/// Copies frames together.
struct Append<'a> {
    out: &'a mut Vec<u8>,
    body: &'a [u8],
}

impl FrameSink for Append<'_> {
    fn own(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn body(&mut self, range: Range<usize>) {
        self.out
            .extend_from_slice(self.body.get(range).unwrap_or_default());
    }
}
