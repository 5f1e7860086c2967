//! How MySQL packets travel between a proxy and a server: the four framings.
//!
//! | framing | what stands around the MySQL bytes | checks |
//! |---|---|---|
//! | plain | nothing | none |
//! | checksum | MySQL's compressed packets | adler32 of each |
//! | OceanBase 2.0 | packets of 31 bytes of head and 4 of tail | CRC-16 of the head, CRC-32C |
//! | OceanBase 2.0, compressed | the same packets, cut into MySQL's compressed packets | all |
//!
//! [`FrameReader`] takes any split of a stream and tells where MySQL bytes and extra info stand;
//! [`FrameWriter`] puts framing around MySQL bytes without moving them. Both serve either
//! direction. `LIFECYCLE.md` beside this file draws the reader.
//!
//! Source: OceanBase wire facts, observed on seekdb 1.3.0.post5.

mod crc;
mod error;
mod extra;
mod framing;
mod header;
mod outer;
mod packet;
mod reader;
mod session_info;
mod writer;

pub use crc::{Crc32c, crc16};
pub use error::{FrameError, Part};
pub use extra::{
    COUNT_PARTS, Extra, ExtraError, TRANSACTION_PARTS, entry, feedback, old, put_old_pair, put_tlv,
};
pub use framing::Framing;
pub use header::{FRAME_HEAD_LEN, Header, TAIL_LEN, flag};
pub use reader::{FrameReader, FrameStep};
pub use session_info::{ExtraInfo, SessionInfo};
pub use writer::{Envelope, FrameSink, FrameWriter, Position};
