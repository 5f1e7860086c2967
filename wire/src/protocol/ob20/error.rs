//! What can be wrong with a frame.

use std::fmt;

/// A length that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The frame length in front of a packet contradicts the payload length.
    Frame,
    /// The payload length of a packet is larger than any packet.
    Payload,
    /// The uncompressed length in front of a packet is not 0.
    Uncompressed,
    /// Extra info reaches past the end of the payload.
    Extra,
    /// The content of a compressed packet has another length than announced.
    Content,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Frame => "frame",
            Self::Payload => "payload",
            Self::Uncompressed => "uncompressed",
            Self::Extra => "extra info",
            Self::Content => "compressed content",
        }
    }
}

/// A frame that is not the protocol. Nothing after it on its connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The magic of a packet is not 0x20AB.
    Magic(u16),
    /// The version of a packet is not 20.
    Version(u16),
    /// The CRC-16 of a head.
    HeaderCrc {
        /// As computed.
        want: u16,
        /// As sent.
        got: u16,
    },
    /// The CRC-32C of a payload.
    PayloadCrc {
        /// As computed.
        want: u32,
        /// As sent.
        got: u32,
    },
    /// A wrong length.
    Length {
        /// Which one.
        part: Part,
        /// What it says.
        len: u32,
    },
    /// A packet of another connection.
    ConnectionId {
        /// This connection's id.
        want: u32,
        /// The packet's.
        got: u32,
    },
    /// A packet of another request.
    RequestId {
        /// The running request.
        want: u32,
        /// The packet's.
        got: u32,
    },
    /// A packet is missing or doubled.
    PacketSeq {
        /// The number it should have.
        want: u8,
        /// The number it has.
        got: u8,
    },
    /// A compressed packet is missing or doubled.
    FrameSeq {
        /// The number it should have.
        want: u8,
        /// The number it has.
        got: u8,
    },
    /// More extra info in one packet, or a larger compressed packet, than is kept.
    TooLong {
        /// As announced.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// The content of a compressed packet is no zlib stream.
    Zlib,
    /// The adler32 of the content of a compressed packet is wrong.
    Adler,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(got) => write!(f, "magic {got:#06x} where 0x20ab stands"),
            Self::Version(got) => write!(f, "version {got} where 20 stands"),
            Self::HeaderCrc { want, got } => {
                write!(f, "header checksum {got:#06x}, computed {want:#06x}")
            }
            Self::PayloadCrc { want, got } => {
                write!(f, "payload checksum {got:#010x}, computed {want:#010x}")
            }
            Self::Length { part, len } => write!(f, "wrong {} length {len}", part.name()),
            Self::ConnectionId { want, got } => {
                write!(f, "packet of connection {got:#x} on connection {want:#x}")
            }
            Self::RequestId { want, got } => {
                write!(f, "packet of request {got} in the reply to request {want}")
            }
            Self::PacketSeq { want, got } => {
                write!(f, "packet sequence {got} where {want} stands")
            }
            Self::FrameSeq { want, got } => {
                write!(f, "frame sequence {got} where {want} stands")
            }
            Self::TooLong { len, max } => write!(f, "{len} bytes in one piece, at most {max}"),
            Self::Zlib => f.write_str("a compressed packet that is no zlib stream"),
            Self::Adler => f.write_str("wrong checksum of a compressed packet"),
        }
    }
}

impl std::error::Error for FrameError {}
