//! Reads a stream in any framing.

use super::error::FrameError;
use super::extra::Extra;
use super::framing::Framing;
use super::header::{Header, flag};
use super::outer::{Outer, OuterReader};
use super::packet::{Found, PacketReader};
use super::writer::Position;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;

/// What [`FrameReader::step`] found, in wire order.
#[derive(Debug, PartialEq, Eq)]
pub enum FrameStep<'a> {
    /// All bytes were taken; more are needed.
    More,
    /// MySQL bytes: this range of the slice.
    Body(Range<usize>),
    /// MySQL bytes that were compressed.
    Inflated(&'a [u8]),
    /// The extra info of a packet, whole.
    Extra(Extra<'a>),
    /// A frame is over and its checksums are right. [`FrameReader::header`] tells of an OceanBase
    /// 2.0 packet.
    End {
        /// It says that it is the last of its request or reply.
        is_last: bool,
    },
}

/// Follows one direction of a connection through any split of its bytes.
///
/// A frame that lies whole in the slice of a call is checked before anything of it is reported; a
/// longer one is reported as it comes and a wrong checksum at its end. Compressed content is always
/// gathered and checked first (at most 1 MiB); extra info is always reported whole (at most 1 MiB).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameReader {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Checksum {
        outer: OuterReader,
        /// The end of a packet is to be told.
        is_ending: bool,
    },
    Ob20(PacketReader),
    Ob20Compressed(Box<Compressed>),
}

/// In a box: most readers are of other kinds, and there is one for each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Compressed {
    outer: OuterReader,
    packets: PacketReader,
    /// Inflated bytes that were read, while some were not. Within the calls for a slice only.
    inflated: Option<usize>,
}

impl FrameReader {
    /// A reader of a connection with this framing, whose greeting named `connection_id`.
    #[must_use]
    pub fn new(framing: Framing, connection_id: u32) -> Self {
        let kind = match framing {
            Framing::Plain => Kind::Plain,
            Framing::Checksum => Kind::Checksum {
                outer: OuterReader::new(true),
                is_ending: false,
            },
            Framing::Ob20 => Kind::Ob20(PacketReader::new(connection_id, true)),
            Framing::Ob20Compressed => Kind::Ob20Compressed(Box::new(Compressed {
                outer: OuterReader::new(false),
                packets: PacketReader::new(connection_id, false),
                inflated: None,
            })),
        };
        Self { kind }
    }

    /// The framing.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match self.kind {
            Kind::Plain => Framing::Plain,
            Kind::Checksum { .. } => Framing::Checksum,
            Kind::Ob20(_) => Framing::Ob20,
            Kind::Ob20Compressed(_) => Framing::Ob20Compressed,
        }
    }

    /// A reply comes next, to what was sent up to `sent`. With `is_whole` the request was sent to
    /// its end, so that the reply's first packet number is known.
    pub const fn expect_reply(&mut self, sent: Position, is_whole: bool) {
        match &mut self.kind {
            Kind::Plain => {}
            Kind::Checksum { outer, .. } => {
                (outer.seq, outer.is_begun) = (sent.frame_seq, false);
                outer.may_restart = false;
            }
            Kind::Ob20(packets) => want_reply(packets, sent, is_whole),
            Kind::Ob20Compressed(both) => {
                (both.outer.is_begun, both.outer.may_restart) = (false, false);
                want_reply(&mut both.packets, sent, is_whole);
            }
        }
    }

    /// A request comes next, with any numbers. (Compressed packets do not say where a request ends:
    /// in the checksum framing, a request that has no reply may be followed by another one.)
    pub const fn expect_request(&mut self) {
        match &mut self.kind {
            Kind::Plain => {}
            Kind::Checksum { outer, .. } => {
                (outer.is_begun, outer.may_restart) = (false, true);
            }
            Kind::Ob20(packets) => want_request(packets),
            Kind::Ob20Compressed(both) => {
                (both.outer.is_begun, both.outer.may_restart) = (false, true);
                want_request(&mut both.packets);
            }
        }
    }

    /// Head of the OceanBase 2.0 packet last begun.
    #[must_use]
    pub const fn header(&self) -> Option<&Header> {
        match &self.kind {
            Kind::Plain | Kind::Checksum { .. } => None,
            Kind::Ob20(packets) => Some(&packets.header),
            Kind::Ob20Compressed(both) => Some(&both.packets.header),
        }
    }

    /// Numbers of the frame last begun.
    #[must_use]
    pub const fn position(&self) -> Position {
        let header = match self.header() {
            Some(header) => *header,
            None => Header {
                frame_seq: 0,
                connection_id: 0,
                request_id: 0,
                packet_seq: 0,
                payload_len: 0,
                flags: 0,
            },
        };
        Position {
            request_id: header.request_id,
            packet_seq: header.packet_seq,
            frame_seq: match &self.kind {
                Kind::Checksum { outer, .. } => outer.seq,
                Kind::Ob20Compressed(both) => both.outer.seq,
                Kind::Plain | Kind::Ob20(_) => header.frame_seq,
            },
        }
    }

    /// True if every frame that began has ended.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        match &self.kind {
            Kind::Plain => true,
            Kind::Checksum { outer, is_ending } => outer.is_between() && !*is_ending,
            Kind::Ob20(packets) => packets.is_between(),
            Kind::Ob20Compressed(both) => {
                both.outer.is_between() && both.packets.is_between() && both.inflated.is_none()
            }
        }
    }

    /// The buffer that gathers compressed content in pieces, while nothing is in it: whoever keeps
    /// many readers can lend it between two calls. `None`: in use, or never used.
    pub const fn free_buffer(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.kind {
            Kind::Plain | Kind::Ob20(_) => None,
            Kind::Checksum { outer, .. } => outer.free_buffer(),
            Kind::Ob20Compressed(both) => both.outer.free_buffer(),
        }
    }

    /// Reads on at `at`, which is raised by what was taken. `inflated` must be the same buffer in
    /// all calls for one slice; it need not be kept once the step was [`FrameStep::More`].
    ///
    /// # Errors
    /// What is wrong with a frame; the stream cannot be read any further.
    pub fn step<'a>(
        &mut self,
        bytes: &'a [u8],
        at: &mut usize,
        inflated: &'a mut Vec<u8>,
    ) -> Result<FrameStep<'a>, FrameError> {
        match &mut self.kind {
            Kind::Plain if *at >= bytes.len() => Ok(FrameStep::More),
            Kind::Plain => {
                let from = std::mem::replace(at, bytes.len());
                Ok(FrameStep::Body(from..bytes.len()))
            }
            Kind::Checksum { outer, is_ending } => {
                if std::mem::take(is_ending) {
                    let is_last = outer.is_repeat;
                    return Ok(FrameStep::End { is_last });
                }
                Ok(match outer.step(bytes, at, inflated)? {
                    Outer::More => FrameStep::More,
                    Outer::Raw(n) => {
                        outer.took(n);
                        *is_ending = outer.is_between();
                        let from = *at;
                        *at += n;
                        FrameStep::Body(from..from + n)
                    }
                    Outer::Inflated => {
                        *is_ending = true;
                        FrameStep::Inflated(inflated)
                    }
                    Outer::Empty => FrameStep::End {
                        is_last: outer.is_repeat,
                    },
                })
            }
            Kind::Ob20(packets) => {
                let found = packets.step(bytes, at)?;
                Ok(told(found, bytes, true, &packets.header))
            }
            Kind::Ob20Compressed(both) => both.step(bytes, at, inflated),
        }
    }
}

impl Compressed {
    fn step<'a>(
        &mut self,
        bytes: &'a [u8],
        at: &mut usize,
        inflated: &'a mut Vec<u8>,
    ) -> Result<FrameStep<'a>, FrameError> {
        let Self {
            outer,
            packets,
            inflated: read,
        } = self;
        loop {
            if let Some(mut done) = *read {
                match packets.step(inflated, &mut done)? {
                    Found::More => *read = None,
                    found => {
                        *read = (done < inflated.len()).then_some(done);
                        return Ok(told(found, inflated, false, &packets.header));
                    }
                }
            }
            match outer.step(bytes, at, inflated)? {
                Outer::More => return Ok(FrameStep::More),
                Outer::Inflated => *read = Some(0),
                Outer::Empty => {}
                Outer::Raw(n) => {
                    let from = *at;
                    let slice = bytes.get(..from + n).unwrap_or_default();
                    let found = packets.step(slice, at)?;
                    outer.took(*at - from);
                    if found != Found::More {
                        return Ok(told(found, bytes, true, &packets.header));
                    }
                }
            }
        }
    }
}

const fn want_reply(packets: &mut PacketReader, sent: Position, is_whole: bool) {
    packets.wanted.request_id = Some(sent.request_id);
    packets.wanted.packet_seq = if is_whole {
        Some(sent.packet_seq.wrapping_add(1))
    } else {
        None
    };
}

const fn want_request(packets: &mut PacketReader) {
    packets.wanted.request_id = None;
    packets.wanted.packet_seq = None;
}

/// A finding in the bytes that it was found in.
fn told<'a>(found: Found, bytes: &'a [u8], is_lent: bool, header: &Header) -> FrameStep<'a> {
    let slice = |range: Range<usize>| bytes.get(range).unwrap_or_default();
    let is_new = header.flags & flag::NEW_EXTRA != 0;
    match found {
        Found::More => FrameStep::More,
        Found::Body(range) if is_lent => FrameStep::Body(range),
        Found::Body(range) => FrameStep::Inflated(slice(range)),
        Found::Extra(range) => FrameStep::Extra(Extra {
            bytes: Cow::Borrowed(slice(range)),
            is_new,
        }),
        Found::Gathered(bytes) => FrameStep::Extra(Extra {
            bytes: Cow::Owned(bytes),
            is_new,
        }),
        Found::End => FrameStep::End {
            is_last: header.is_last(),
        },
    }
}
