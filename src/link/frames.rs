//! The framing of one link, after its login.

use crate::protocol::ob20::{
    Envelope, FrameError, FrameReader, FrameSink, FrameStep, FrameWriter, Framing, Position,
};
use serde::{Deserialize, Serialize};

/// Both directions of a link. Plain until something else is agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Frames {
    reader: FrameReader,
    writer: FrameWriter,
    /// The client has a turn inside the running reply.
    is_turn: bool,
    /// The part of the reply that gave the client its turn has not ended yet.
    is_turning: bool,
}

/// Numbers of the frame last sent of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    at: Position,
    /// The whole request was sent in one frame, so the number of its reply is known.
    is_sure: bool,
}

impl Frames {
    pub(super) fn new(framing: Framing, connection_id: u32, is_new_extra: bool) -> Self {
        Self {
            reader: FrameReader::new(framing, connection_id),
            writer: FrameWriter::new(framing, connection_id, is_new_extra),
            is_turn: false,
            is_turning: false,
        }
    }

    pub(super) const fn framing(&self) -> Framing {
        self.reader.framing()
    }

    pub(super) const fn begin_request(&mut self) {
        self.writer.begin_request();
        (self.is_turn, self.is_turning) = (false, false);
    }

    pub(super) const fn begin_turn(&mut self) {
        self.writer.begin_turn(self.reader.position());
        (self.is_turn, self.is_turning) = (true, true);
    }

    /// See [`super::Link::send`]; the reply is read after [`Self::expect`].
    pub(super) fn send(
        &mut self,
        with: Envelope<'_>,
        held: &[u8],
        body: &[u8],
        sink: &mut impl FrameSink,
    ) -> Sent {
        self.writer.write(with, held, body, sink);
        // A server may answer an error before it has read all packets: then its numbers go on from
        // the last one that it read.
        let at = self.writer.position();
        let is_sure = with.is_last && at.packet_seq == 0 && !self.is_turn;
        Sent { at, is_sure }
    }

    /// The reply to what was sent comes next, or goes on.
    pub(super) const fn expect(&mut self, sent: Sent) {
        self.reader.expect_reply(sent.at, sent.is_sure);
    }

    pub(super) const fn is_between(&self) -> bool {
        self.reader.is_between()
    }

    pub(super) fn step<'a>(
        &mut self,
        bytes: &'a [u8],
        at: &mut usize,
        inflated: &'a mut Vec<u8>,
    ) -> Result<FrameStep<'a>, FrameError> {
        self.reader.step(bytes, at, inflated)
    }

    pub(super) const fn packet_flags(&self) -> u32 {
        match self.reader.header() {
            Some(header) => header.flags,
            None => 0,
        }
    }

    pub(super) const fn free_buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.reader.free_buffer()
    }

    /// The last frame of a reply ended. True: it only gave the client its turn.
    pub(super) const fn turned(&mut self) -> bool {
        std::mem::replace(&mut self.is_turning, false)
    }
}
