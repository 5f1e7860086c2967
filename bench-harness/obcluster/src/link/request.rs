//! One request of a link: its bytes as they came, and what they say.

use super::frames::{BadFrame, RequestFrames, Wire};
use super::walk::Walk;
use obring_wire::protocol::mysql::Command;

/// A request up to this size is seen whole before a byte of it goes on; of a longer one the front
/// decides, and the rest passes through.
pub(super) const HOLD_MAX: usize = 1 << 20;

/// Reads one request.
#[derive(Debug)]
pub(super) struct Reading {
    frames: RequestFrames,
    walk: Walk,
    /// Bytes as they came, not passed on yet.
    pub(super) raw: Vec<u8>,
    len: u64,
    /// The MySQL payload is whole.
    is_whole: bool,
}

impl Reading {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            frames: RequestFrames::new(wire),
            walk: Walk::new(HOLD_MAX),
            raw: vec![],
            len: 0,
            is_whole: false,
        }
    }

    /// Takes bytes of the request from the front of `inbox`.
    pub(super) fn feed(&mut self, inbox: &mut Vec<u8>) -> Result<(), BadFrame> {
        let mut taken = 0;
        while !self.is_over() {
            let Some(rest) = inbox.get(taken..).filter(|r| !r.is_empty()) else {
                break;
            };
            let (walk, len, is_whole) = (&mut self.walk, &mut self.len, &mut self.is_whole);
            taken += self.frames.feed(rest, |bytes| {
                if *is_whole {
                    return 0;
                }
                let mut used = 0;
                if let Some(payload) = walk.step(bytes, &mut used) {
                    *len = payload.len;
                    *is_whole = true;
                }
                used
            })?;
        }
        self.raw.extend(inbox.drain(..taken));
        Ok(())
    }

    /// The last byte was read.
    pub(super) const fn is_over(&self) -> bool {
        self.is_whole && self.frames.is_over()
    }

    /// The request is longer than what is held.
    pub(super) const fn is_long(&self) -> bool {
        self.raw.len() > HOLD_MAX
    }

    /// The command; none for an empty packet.
    pub(super) fn command(&self) -> Option<Command> {
        self.walk.front().first().map(|c| Command(*c))
    }

    /// What stands behind the command byte, or its front in a long request.
    pub(super) fn body(&self) -> &[u8] {
        self.walk.front().get(1..).unwrap_or_default()
    }

    /// The payload, command byte included, or its front.
    pub(super) fn payload(&self) -> &[u8] {
        self.walk.front()
    }

    /// Length of what stands behind the command byte; of a long request as far as it came.
    pub(super) fn body_len(&self) -> u64 {
        self.len
            .max(self.walk.front().len() as u64)
            .saturating_sub(1)
    }

    /// Number of the prepared statement, 0 for commands without one.
    pub(super) fn statement(&self) -> u32 {
        match (self.command(), self.body()) {
            (
                Some(
                    Command::STMT_EXECUTE
                    | Command::STMT_CLOSE
                    | Command::STMT_RESET
                    | Command::STMT_FETCH
                    | Command::STMT_SEND_LONG_DATA,
                ),
                &[a, b, c, d, ..],
            ) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        }
    }

    /// Sequence number of the MySQL packet that ends it.
    pub(super) const fn seq(&self) -> u8 {
        self.walk.seq()
    }

    /// The frames, for a reply in the same framing.
    pub(super) const fn frames(&self) -> &RequestFrames {
        &self.frames
    }
}
