//! The head of an OceanBase 2.0 packet.
//!
//! ```text
//! offset size
//!      0    3  frame length = 24 + payload + 4     ┐ absent inside compressed packets
//!      3    1  frame sequence                      │
//!      4    3  uncompressed length = 0             ┘
//!      7    2  magic 0x20AB
//!      9    2  version 20
//!     11    4  connection id, from the greeting of the server
//!     15    3  request id
//!     18    1  packet sequence
//!     19    4  payload length, extra info included
//!     23    4  flags
//!     27    2  reserved
//!     29    2  CRC-16 of everything before
//!     31    n  payload: [u32 length, extra info] if flag 0x01, then MySQL bytes
//!   31+n    4  CRC-32C of the payload
//! ```
//! A checksum of 0 was not computed and is not checked.

use super::crc::crc16;
use super::error::{FrameError, Part};
use crate::base::Cursor;
use serde::{Deserialize, Serialize};

/// Bytes in front of the payload, outside compressed packets.
pub const FRAME_HEAD_LEN: usize = PREFIX_LEN + HEADER_LEN;
/// Bytes behind the payload.
pub const TAIL_LEN: usize = 4;

/// Frame length, frame sequence, uncompressed length.
pub(super) const PREFIX_LEN: usize = 7;
/// From the magic to the CRC-16.
pub(super) const HEADER_LEN: usize = 24;

const MAGIC: u16 = 0x20AB;
const VERSION: u16 = 20;
/// A frame length has three bytes.
const PAYLOAD_MAX: u32 = 0xFF_FFFF - (HEADER_LEN + TAIL_LEN) as u32;

/// Flags of a packet.
pub mod flag {
    /// The payload begins with extra info.
    pub const EXTRA_INFO: u32 = 0x01;
    /// The last packet of a request or reply.
    pub const LAST: u32 = 0x02;
    /// The server may answer that another server is better.
    pub const REROUTE: u32 = 0x04;
    /// Extra info is TLV; otherwise keys and values.
    pub const NEW_EXTRA: u32 = 0x08;
    /// A weak read is allowed.
    pub const WEAK_READ: u32 = 0x10;
    /// The transaction may move to another server.
    pub const INTERNAL_ROUTING: u32 = 0x20;
    /// The session came from another server.
    pub const SWITCH_ROUTE: u32 = 0x40;
    /// In a reply: the transaction wrote a duplicate table.
    pub const DUP_LS_MODIFIED: u32 = 0x80;
}

/// What a head says. The default is of no packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Sequence number in front of the packet; 0 inside compressed packets, which have their own.
    pub frame_seq: u8,
    /// The server's id of the connection.
    pub connection_id: u32,
    /// Counts requests, 24 bits; a reply repeats it.
    pub request_id: u32,
    /// Counts the packets of a request, and goes on in its reply.
    pub packet_seq: u8,
    /// Bytes of the payload.
    pub payload_len: u32,
    /// Bits of [`flag`].
    pub flags: u32,
}

impl Header {
    /// Bytes of a head.
    pub(super) const fn len(is_prefixed: bool) -> usize {
        if is_prefixed {
            FRAME_HEAD_LEN
        } else {
            HEADER_LEN
        }
    }

    /// True for the last packet of a request or reply.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        self.flags & flag::LAST != 0
    }

    /// Reads a head of [`Self::len`] bytes and checks what it says of itself.
    ///
    /// # Errors
    /// Wrong magic, version or CRC-16; lengths that contradict each other.
    pub(super) fn parse(head: &[u8], is_prefixed: bool) -> Result<Self, FrameError> {
        let short = |_| FrameError::Length {
            part: Part::Frame,
            len: head.len() as u32,
        };
        Self::read(head, is_prefixed).map_err(short)?
    }

    fn read(
        head: &[u8],
        is_prefixed: bool,
    ) -> Result<Result<Self, FrameError>, crate::base::Short> {
        let mut c = Cursor::new(head);
        let (frame_len, frame_seq, uncompressed) = if is_prefixed {
            (c.u24()?, c.u8()?, c.u24()?)
        } else {
            (0, 0, 0)
        };
        let (magic, version) = (c.u16()?, c.u16()?);
        let header = Self {
            frame_seq,
            connection_id: c.u32()?,
            request_id: c.u24()?,
            packet_seq: c.u8()?,
            payload_len: c.u32()?,
            flags: c.u32()?,
        };
        c.u16()?;
        let covered = c.position();
        let got = c.u16()?;
        if magic != MAGIC {
            return Ok(Err(FrameError::Magic(magic)));
        }
        if version != VERSION {
            return Ok(Err(FrameError::Version(version)));
        }
        if got != 0 {
            let want = crc16(0, head.get(..covered).unwrap_or_default());
            if want != got {
                return Ok(Err(FrameError::HeaderCrc { want, got }));
            }
        }
        let len = header.payload_len;
        let wrong = |part, len| Ok(Err(FrameError::Length { part, len }));
        if len > PAYLOAD_MAX {
            return wrong(Part::Payload, len);
        }
        if is_prefixed && frame_len != len + (HEADER_LEN + TAIL_LEN) as u32 {
            return wrong(Part::Frame, frame_len);
        }
        if uncompressed != 0 {
            return wrong(Part::Uncompressed, uncompressed);
        }
        Ok(Ok(header))
    }

    /// The head as bytes; the first [`Self::len`] of them.
    pub(super) fn bytes(&self, is_prefixed: bool) -> [u8; FRAME_HEAD_LEN] {
        let [l0, l1, l2, _] = (self.payload_len + (HEADER_LEN + TAIL_LEN) as u32).to_le_bytes();
        let [m0, m1] = MAGIC.to_le_bytes();
        let [v0, v1] = VERSION.to_le_bytes();
        let [c0, c1, c2, c3] = self.connection_id.to_le_bytes();
        let [r0, r1, r2, _] = self.request_id.to_le_bytes();
        let [p0, p1, p2, p3] = self.payload_len.to_le_bytes();
        let [f0, f1, f2, f3] = self.flags.to_le_bytes();
        let mut head = [
            l0,
            l1,
            l2,
            self.frame_seq,
            0,
            0,
            0,
            m0,
            m1,
            v0,
            v1,
            c0,
            c1,
            c2,
            c3,
            r0,
            r1,
            r2,
            self.packet_seq,
            p0,
            p1,
            p2,
            p3,
            f0,
            f1,
            f2,
            f3,
            0,
            0,
            0,
            0,
        ];
        if !is_prefixed {
            head.rotate_left(PREFIX_LEN);
        }
        let covered = Self::len(is_prefixed) - 2;
        let crc = crc16(0, head.get(..covered).unwrap_or_default()).to_le_bytes();
        if let Some(to) = head.get_mut(covered..covered + 2) {
            to.copy_from_slice(&crc);
        }
        head
    }
}
