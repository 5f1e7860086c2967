//! OceanBase 2.0 frames between a driver and the proxy.
//!
//! Requests come out of their frames before anything else reads them, and what the session sends is
//! put into frames after everything else: in between there are MySQL packets, as with every client.
//!
//! ```text
//! bytes ── raw, while a request is under way ──> one frame after the other ──> client_bytes
//! outputs ──> waiting ──┬─ more than a frame may have: frames ──> sent
//!                       └─ the reply is over: the last frame ──> sent
//! ```
//! A driver numbers its requests, and takes a reply by the number only. Connector/C does not mark
//! the last packet of a request, so where one ends is what its MySQL packets say. No frame is
//! empty: Connector/J does not look for the end of one.

use super::state::{Bytes, Ctx, HELD_MAX, Phase, Session};
use crate::base::{Appetite, CloseReason, Out, Output, Side};
use crate::protocol::error::Fault;
use crate::protocol::ob20::{Envelope, FrameReader, FrameStep, FrameWriter, Framing, Position};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};

/// MySQL bytes of one frame of a reply. Servers cut at 8 MiB; nothing of a frame can be used before
/// all of it is there.
const FRAME_MAX: usize = 64 << 10;
/// Request ids have 24 bits.
const REQUEST_ID_MAX: u32 = 0xFF_FFFF;

/// Both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClientFrames {
    reader: FrameReader,
    writer: FrameWriter,
    /// Bytes that were not read yet.
    raw: Vec<u8>,
    /// The end of a reply, or as much of it as is here.
    waiting: Vec<u8>,
    /// Frames to be sent with this call.
    framed: Vec<u8>,
    /// The frame of a request that was read last.
    asked: Position,
    /// Nothing of a request was read since the last one was over: what is sent now is taken for the
    /// answer to the next one.
    is_between: bool,
    /// Frames of this reply were sent.
    is_begun: bool,
    /// Where the outputs of this call begin that are not in frames yet.
    #[serde(skip)]
    outputs_at: usize,
}

impl ClientFrames {
    /// Behind the login of a session with this id. `is_new_extra`: extra info is TLV.
    fn new(id: u32, is_new_extra: bool) -> Self {
        Self {
            reader: FrameReader::new(Framing::Ob20, id),
            writer: FrameWriter::new(Framing::Ob20, id, is_new_extra),
            raw: vec![],
            waiting: vec![],
            framed: vec![],
            // Connector/J counts from 0.
            asked: Position {
                request_id: REQUEST_ID_MAX,
                ..Position::default()
            },
            is_between: true,
            is_begun: false,
            outputs_at: 0,
        }
    }

    /// A call begins.
    pub(super) fn begin(&mut self, out: &Out<'_, Mail>) {
        self.outputs_at = out.list.len();
    }

    /// What the reply that is sent now answers.
    fn position(&self) -> Position {
        match self.is_between {
            false => self.asked,
            true => Position {
                request_id: (self.asked.request_id + 1) & REQUEST_ID_MAX,
                packet_seq: 0,
                frame_seq: 0,
            },
        }
    }

    /// Takes what the client is to get out of the outputs of this call.
    fn gather(&mut self, out: &mut Out<'_, Mail>) {
        let mut kept = self.outputs_at;
        for at in self.outputs_at..out.list.len() {
            match out.list.get(at) {
                Some(Output::Own(Side::Client, span)) => {
                    let bytes = out.arena.get(span.range()).unwrap_or_default();
                    if self.waiting.capacity() == 0 {
                        self.waiting = out.pool.take();
                    }
                    self.waiting.extend_from_slice(bytes);
                }
                _ => {
                    out.list.swap(kept, at);
                    kept += 1;
                }
            }
        }
        out.list.truncate(kept);
    }

    /// Puts what waits into frames: all of it if the reply is over.
    fn wrap(&mut self, is_over: bool, out: &mut Out<'_, Mail>) {
        let mut at = 0;
        while at < self.waiting.len() {
            let left = self.waiting.len() - at;
            let is_last = is_over && left <= FRAME_MAX;
            if left <= FRAME_MAX && !is_last {
                break;
            }
            if !std::mem::replace(&mut self.is_begun, true) {
                let position = self.position();
                self.writer.begin_reply(position);
            }
            if self.framed.capacity() == 0 {
                self.framed = out.pool.take();
            }
            let n = left.min(FRAME_MAX);
            let envelope = Envelope {
                is_last,
                ..Envelope::default()
            };
            let body = self.waiting.get(at..at + n).unwrap_or_default();
            self.writer.put(&mut self.framed, envelope, body);
            at += n;
            self.is_begun = !is_last;
        }
        self.waiting.drain(..at);
        if self.waiting.is_empty() {
            out.pool.give(std::mem::take(&mut self.waiting));
        }
    }

    /// Sends the frames of this call, in front of its end.
    fn send(&mut self, out: &mut Out<'_, Mail>) {
        if self.framed.is_empty() {
            return;
        }
        let end = match out.list.last() {
            Some(Output::End(..)) => out.list.pop(),
            _ => None,
        };
        let framed = std::mem::take(&mut self.framed);
        out.own(Side::Client, |b| b.extend_from_slice(&framed));
        out.pool.give(framed);
        out.list.extend(end);
    }
}

impl Session {
    /// The login is over, and the client was told that it is granted the framing.
    pub(super) fn begin_frames(&mut self, is_new_extra: bool, out: &Out<'_, Mail>) {
        let mut frames = ClientFrames::new(self.id, is_new_extra);
        frames.begin(out);
        // What came behind the login is in frames already.
        frames.raw = std::mem::take(&mut self.held);
        self.frames = Some(Box::new(frames));
    }

    /// True if bytes of the client would be read now.
    fn takes_client(&self) -> bool {
        let is_its_turn = match &self.phase {
            Phase::Idle | Phase::ClientLogin(_) => true,
            Phase::Running(r) => r.wants_client(),
            _ => false,
        };
        is_its_turn && self.held.is_empty()
    }

    /// Bytes of a client with frames.
    pub(super) fn frame_bytes(&mut self, ctx: &Ctx<'_>, data: &[u8], out: &mut Out<'_, Mail>) {
        let is_blocked = self.frames.as_ref().is_some_and(|f| !f.raw.is_empty());
        let used = match is_blocked {
            true => 0,
            false => self.unwrap_frames(ctx, data, out),
        };
        let Some(frames) = &mut self.frames else {
            return;
        };
        let rest = data.get(used..).unwrap_or_default();
        if frames.raw.capacity() == 0 && !rest.is_empty() {
            frames.raw = out.pool.take();
        }
        frames.raw.extend_from_slice(rest);
        if frames.raw.len() > HELD_MAX && !self.is_holding {
            self.is_holding = true;
            let appetite = Output::Appetite(Side::Client, Appetite::Hold);
            out.list.push(appetite);
        }
    }

    /// Reads frames as long as a request is wanted; the bytes taken.
    fn unwrap_frames(&mut self, ctx: &Ctx<'_>, data: &[u8], out: &mut Out<'_, Mail>) -> usize {
        let (mut at, mut inflated) = (0, vec![]);
        while at < data.len() && !self.is_over() {
            if self.frames.as_ref().is_some_and(|f| f.reader.is_between()) {
                // A reply goes by the number of its request, which is the last one that was read.
                self.wrap_replies(out);
                if !self.takes_client() {
                    break;
                }
            }
            let Some(frames) = &mut self.frames else {
                break;
            };
            match frames.reader.step(data, &mut at, &mut inflated) {
                Ok(FrameStep::More) => break,
                Ok(FrameStep::Body(range)) => {
                    (frames.is_between, frames.asked) = (false, frames.reader.position());
                    let body = data.get(range).unwrap_or_default();
                    match self.takes_client() {
                        true => self.client_bytes(ctx, Bytes::own(body), out),
                        false => self.hold(body, out),
                    }
                }
                Ok(FrameStep::End { .. }) => frames.reader.expect_request(),
                // What a driver has to say beside its requests means nothing to servers, and some
                // types make one hang (wire facts, 3.5).
                Ok(FrameStep::Extra(_) | FrameStep::Inflated(_)) => {}
                Err(e) => {
                    let text = format!("a wrong frame of the client ({e}){}", self.outcome_text());
                    let seq = self.answer_seq();
                    let reason = CloseReason::BadPacket;
                    self.fail(seq, Fault::PacketsOutOfOrder, &text, reason, out);
                }
            }
        }
        at
    }

    /// What the session has sent in this call goes into frames, as far as it can.
    fn wrap_replies(&mut self, out: &mut Out<'_, Mail>) {
        let is_over = match &self.phase {
            Phase::Running(r) => r.turn.is_some(),
            Phase::ServerLogin(_) | Phase::Locating(_) | Phase::Syncing(_) => false,
            Phase::New | Phase::ClientLogin(_) | Phase::Idle | Phase::Admin(_) | Phase::Over => {
                true
            }
        };
        let is_idle = matches!(self.phase, Phase::Idle) && self.is_between();
        if let Some(frames) = &mut self.frames {
            frames.gather(out);
            frames.wrap(is_over, out);
            frames.is_between |= is_idle && frames.reader.is_between();
        }
    }

    /// A call is over: reads what was held back, if it is wanted now, and sends the frames.
    pub(super) fn end_of_call(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        loop {
            self.wrap_replies(out);
            let is_wanted = self.takes_client();
            let Some(frames) = &mut self.frames else {
                return;
            };
            if frames.raw.is_empty() || !is_wanted {
                break;
            }
            let mut raw = std::mem::take(&mut frames.raw);
            let used = self.unwrap_frames(ctx, &raw, out);
            raw.drain(..used);
            if raw.is_empty() {
                out.pool.give(std::mem::take(&mut raw));
            }
            if let Some(frames) = &mut self.frames {
                frames.raw = raw;
            }
            if used == 0 {
                break;
            }
        }
        let is_over = self.is_over();
        let has_room = self.held.len() <= HELD_MAX;
        if let Some(frames) = &mut self.frames {
            frames.send(out);
            if self.is_holding && has_room && frames.raw.len() <= HELD_MAX && !is_over {
                self.is_holding = false;
                let appetite = Output::Appetite(Side::Client, Appetite::Read);
                out.list.push(appetite);
            }
        }
    }
}
