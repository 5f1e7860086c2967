//! Frames of a session's links: requests go into them, replies come out of them.

use super::outline::Past;
use super::slot::Slot;
use super::state::{Bytes, Ctx, Phase, Session};
use crate::base::{CloseReason, Level, LinkId, Out, Output, Side};
use crate::link::Link;
use crate::protocol::ob20::{Envelope, Extra, ExtraError, FrameSink, FrameStep, Framing, entry};
use crate::routing::Mail;
use std::ops::Range;

/// Sends frames to a server; ranges are of `bytes` from `start` on.
struct ToServer<'s, 'b, 'o> {
    side: Side,
    bytes: Bytes<'b>,
    start: usize,
    out: &'s mut Out<'o, Mail>,
}

impl FrameSink for ToServer<'_, '_, '_> {
    fn own(&mut self, bytes: &[u8]) {
        self.out.own(self.side, |b| b.extend_from_slice(bytes));
    }

    fn body(&mut self, range: Range<usize>) {
        let (start, end) = (self.start + range.start, self.start + range.end);
        self.bytes.pass(self.side, start, end, self.out);
    }
}

impl Session {
    /// Sends request bytes `start..end` to the server of the running request, in frames. `front`
    /// and what the follower still holds go before them.
    pub(super) fn send_request(
        &mut self,
        id: LinkId,
        front: &[u8],
        bytes: Bytes<'_>,
        start: usize,
        end: usize,
        out: &mut Out<'_, Mail>,
    ) {
        let is_last = self.request.is_over();
        let extra = self.take_info(id, out);
        let flags = self.request_flags(id, is_last);
        let Self { links, request, .. } = self;
        let Some(Some(Slot { link, .. })) = links.get_mut(usize::from(id.0)) else {
            return;
        };
        if link.framing() == Framing::Plain {
            let side = Side::Server(id);
            if !front.is_empty() {
                out.own(side, |b| b.extend_from_slice(front));
            }
            request.take_held(|held| out.own(side, |b| b.extend_from_slice(held)));
            return bytes.pass(side, start, end, out);
        }
        let body = bytes.data.get(start..end).unwrap_or_default();
        let mut sink = ToServer {
            side: Side::Server(id),
            bytes,
            start,
            out,
        };
        let with = Envelope {
            extra: &extra,
            is_last,
            flags,
        };
        // A request is whole enough to be read before it begins: nothing is held behind a front.
        let held = if front.is_empty() {
            request.held()
        } else {
            front
        };
        link.send(with, held, body, &mut sink);
        request.take_held(|_| {});
        if !extra.is_empty() {
            out.pool.give(extra);
        }
    }

    /// The session state that goes with the first bytes of a request: what the link lacks of it.
    fn take_info(&mut self, id: LinkId, out: &mut Out<'_, Mail>) -> Vec<u8> {
        let counts = !self.keeps_count();
        let Self { links, known, .. } = self;
        let Some(Some(slot)) = links.get_mut(usize::from(id.0)) else {
            return vec![];
        };
        if slot.was_told || slot.has.info >= known.newest().info || !slot.syncs_info() {
            return vec![];
        }
        if slot.link.reply().is_some_and(|reply| reply.is_done()) {
            // No reply would tell that it arrived.
            return vec![];
        }
        let mut info = out.pool.take();
        known.put_info(&mut info, slot.has, slot.has_new_info(), counts);
        slot.was_told = true;
        info
    }

    /// The running request asks for `row_count()`, and its link knows best: what another link told
    /// last may be of a statement that failed, or of obring's own. The next request brings it.
    pub(super) fn keeps_count(&self) -> bool {
        let asks = matches!(&self.phase, Phase::Running(r) if r.outline.past == Past::RowCount);
        asks && !self.is_in_transaction()
    }

    /// Sends a whole packet of a request that was begun.
    pub(super) fn send_packet(&mut self, id: LinkId, packet: &[u8], out: &mut Out<'_, Mail>) {
        let extra = self.take_info(id, out);
        let flags = self.request_flags(id, false);
        if let Some(link) = self.link_mut(id) {
            let mut sink = ToServer {
                side: Side::Server(id),
                bytes: Bytes::own(packet),
                start: 0,
                out,
            };
            let with = Envelope {
                extra: &extra,
                is_last: true,
                flags,
            };
            link.send(with, &[], packet, &mut sink);
        }
        if !extra.is_empty() {
            out.pool.give(extra);
        }
    }

    pub(super) fn server_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        data: &[u8],
        out: &mut Out<'_, Mail>,
    ) {
        if self.link_mut(id).is_some_and(|link| link.has_plain_reply()) {
            // No frames, no buffers: the common case of servers without OceanBase 2.0.
            let bytes = Bytes::of_server(data, self.frames.is_some());
            self.reply_part(ctx, id, bytes, 0, out);
            return self.resume(ctx, out);
        }
        let mut inflated = out.pool.take();
        if let Some(buffer) = self.free_buffer(id) {
            *buffer = out.pool.take();
        }
        let mut at = 0;
        while !self.is_over() {
            let Some(link) = self.link_mut(id) else { break };
            let rest = data.get(at..).unwrap_or_default();
            if link.is_logging_in() {
                if rest.is_empty() {
                    break;
                }
                at += self.server_login_bytes(ctx, id, rest, out);
                continue;
            }
            if link.is_quiet() && !rest.is_empty() {
                self.unasked(ctx, id, rest, out);
                break;
            }
            match link.step(data, &mut at, &mut inflated) {
                Ok(FrameStep::More) => break,
                Ok(FrameStep::Body(range)) => {
                    let front = data.get(..range.end).unwrap_or_default();
                    let bytes = Bytes::of_server(front, self.frames.is_some());
                    self.reply_part(ctx, id, bytes, range.start, out);
                }
                Ok(FrameStep::Inflated(bytes)) => {
                    self.reply_part(ctx, id, Bytes::own(bytes), 0, out);
                }
                Ok(FrameStep::Extra(extra)) => {
                    if let Err(e) = self.learn_extra(id, &extra) {
                        self.bad_frame(ctx, id, &e.to_string(), out);
                        break;
                    }
                }
                Ok(FrameStep::End { is_last: true }) => self.last_frame(ctx, id, out),
                Ok(FrameStep::End { .. }) => {}
                Err(e) => {
                    self.bad_frame(ctx, id, &e.to_string(), out);
                    break;
                }
            }
        }
        out.pool.give(inflated);
        if let Some(buffer) = self.free_buffer(id) {
            out.pool.give(std::mem::take(buffer));
        }
        self.resume(ctx, out);
    }

    /// The buffer of a link with compressed framing: a session at rest has none.
    fn free_buffer(&mut self, id: LinkId) -> Option<&mut Vec<u8>> {
        self.link_mut(id).and_then(Link::free_buffer)
    }

    /// Takes what a server tells beside a reply. Types that mean nothing to a proxy are skipped.
    fn learn_extra(&mut self, id: LinkId, extra: &Extra<'_>) -> Result<(), ExtraError> {
        let before = self.known.newest().info;
        extra.each(|kind, value| match kind {
            entry::SESSION => self.known.learn_info(value),
            entry::FEEDBACK => self.learn_feedback(value),
            _ => Ok(()),
        })?;
        let newest = self.known.newest().info;
        if let Some(slot) = self.slot_mut(id)
            && slot.has.info >= before
        {
            // It has all that there was, and what it tells itself.
            slot.has.info = newest;
        }
        Ok(())
    }

    /// The replies that come on this link are those of the session's own requests.
    fn is_syncing(&self, id: LinkId) -> bool {
        matches!(&self.phase, Phase::Syncing(s) if s.link == id)
    }

    /// MySQL bytes of a reply, from `at` on.
    fn reply_part(
        &mut self,
        ctx: &Ctx<'_>,
        id: LinkId,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) {
        let mut at = at;
        while at < bytes.data.len() && !self.is_over() {
            let Some(link) = self.link_mut(id) else {
                return;
            };
            let ends_with_packet = link.ends_with_packet();
            match link.reply().map(|reply| reply.is_done()) {
                Some(true) if !ends_with_packet => {
                    return self.bad_frame(ctx, id, "bytes behind the end of the reply", out);
                }
                Some(_) if self.is_syncing(id) => at = self.step_bytes(ctx, id, bytes, at, out),
                Some(_) => at = self.reply_bytes(ctx, id, bytes, at, out),
                None => {
                    let rest = bytes.data.get(at..).unwrap_or_default();
                    return self.unasked(ctx, id, rest, out);
                }
            }
        }
    }

    /// A frame says that it is the last of its reply.
    fn last_frame(&mut self, ctx: &Ctx<'_>, id: LinkId, out: &mut Out<'_, Mail>) {
        let Some(link) = self.link_mut(id) else {
            return;
        };
        if link.ends_with_packet() {
            return;
        }
        let is_turn = link.turned();
        match link.reply().map(|reply| reply.is_done()) {
            Some(true) if self.is_syncing(id) => self.step_over(ctx, id, out),
            Some(true) => self.reply_over(ctx, id, out),
            Some(false) if !is_turn => {
                self.bad_frame(ctx, id, "the last frame of an unfinished reply", out);
            }
            _ => {}
        }
    }

    /// A frame is wrong: nothing of this server connection can be trusted any more.
    fn bad_frame(&mut self, ctx: &Ctx<'_>, id: LinkId, what: &str, out: &mut Out<'_, Mail>) {
        let server = self.server_text(id);
        let line = format!("session={} server={server} what={what:?}", self.id);
        out.list
            .push(Output::Log(Level::Error, "server_frame", line));
        if matches!(self.phase, Phase::Running(_)) && id == self.binding.current {
            let text = format!("server {server} sent a wrong frame ({what})");
            self.lost_in_statement(ctx, id, &text, CloseReason::ServerFrame, out);
        } else {
            self.link_lost(ctx, id, "the server sent a wrong frame", out);
        }
    }
}
