//! Follows the packets of one request across any split of the stream.

use super::Command;
use super::packet::{HEADER_LEN, MAX_PAYLOAD};
use crate::base::Cursor;
use serde::{Deserialize, Serialize};

/// Payload bytes that are looked at before a request is forwarded: command, statement id, flags.
const PEEK: usize = 6;

/// Follows one request: first its head, then how many bytes belong to it.
///
/// ```text
/// Head (bytes held until header and PEEK payload bytes are known)
///   └─ Body (bytes pass through, packet headers included) ─┬─ next packet after 0xFFFFFF ─┐
///                                                          └─ End                         │
///                                     Body <──────────────────────────────────────────────┘
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Bytes of the current header (and, for the first packet, of the head) not passed on yet.
    held: [u8; HEADER_LEN + PEEK],
    held_len: u8,
    /// Payload bytes of the current packet that are still to come.
    left: u32,
    /// The current packet has 0xFFFFFF bytes, so another one follows.
    continued: bool,
    /// The head was reported.
    begun: bool,
    /// Sequence number of the last packet whose header was read.
    seq: u8,
}

/// What [`Request::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStep {
    /// All bytes were taken into the head; more are needed.
    More,
    /// The head is known. No byte was consumed for it: `held` bytes were taken in earlier calls
    /// and the rest stands at the front of this slice.
    Head {
        /// The command; `None` for an empty packet.
        command: Option<Command>,
        /// Length of the first packet's payload.
        len: u32,
        /// Sequence number of the first packet.
        seq: u8,
        /// Statement id of the COM_STMT family, 0 where the packet is too short.
        statement: u32,
        /// The flags byte of COM_STMT_EXECUTE (cursor type).
        flags: u8,
    },
    /// This many bytes at the front of the slice belong to the request and are to be passed on,
    /// after [`Request::take_held`].
    Body(usize),
    /// The request is over; nothing was consumed.
    End,
    /// A continuation packet has a wrong sequence number.
    OutOfOrder {
        /// The number it should have.
        want: u8,
        /// The number it has.
        got: u8,
    },
}

impl Request {
    /// Reads on. `bytes` is what follows the bytes of earlier steps; call again with the rest.
    pub fn step(&mut self, bytes: &[u8], used: &mut usize) -> RequestStep {
        if !self.begun {
            return self.head(bytes, used);
        }
        if self.left > 0 {
            let n = bytes.len().min(self.left as usize);
            self.left -= n as u32;
            *used += n;
            return if n == 0 {
                RequestStep::More
            } else {
                RequestStep::Body(n)
            };
        }
        if !self.continued {
            return RequestStep::End;
        }
        // The header of a continuation packet.
        let need = HEADER_LEN - usize::from(self.held_len);
        let taken = need.min(bytes.len());
        self.hold(bytes.get(..taken).unwrap_or_default());
        *used += taken;
        if usize::from(self.held_len) < HEADER_LEN {
            return RequestStep::More;
        }
        let (len, seq) = self.header();
        let want = self.seq.wrapping_add(1);
        if seq != want {
            return RequestStep::OutOfOrder { want, got: seq };
        }
        self.seq = seq;
        self.left = len;
        self.continued = len as usize == MAX_PAYLOAD;
        RequestStep::Body(0)
    }

    fn head(&mut self, bytes: &[u8], used: &mut usize) -> RequestStep {
        // Look at held + front of slice without consuming the slice.
        let mut view = self.held;
        let have = usize::from(self.held_len);
        let n = bytes.len().min(view.len() - have);
        if let (Some(to), Some(from)) = (view.get_mut(have..have + n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        let seen = have + n;
        let len = if seen < HEADER_LEN {
            None
        } else {
            Cursor::new(&view)
                .u24()
                .ok()
                .filter(|&len| seen >= HEADER_LEN + (len as usize).min(PEEK))
        };
        let Some(len) = len else {
            self.hold(bytes);
            *used += bytes.len();
            return RequestStep::More;
        };
        let [_, _, _, seq, command, a, b, c, d, flags] = view;
        let peek = (len as usize).min(PEEK);
        self.begun = true;
        self.seq = seq;
        self.left = len - (have.saturating_sub(HEADER_LEN) as u32).min(len);
        self.continued = len as usize == MAX_PAYLOAD;
        // The part of the header that still stands in the slice counts as body.
        self.left += HEADER_LEN.saturating_sub(have) as u32;
        RequestStep::Head {
            command: (peek > 0).then_some(Command(command)),
            len,
            seq,
            statement: if peek >= 5 {
                u32::from_le_bytes([a, b, c, d])
            } else {
                0
            },
            flags: if peek >= 6 { flags } else { 0 },
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let at = usize::from(self.held_len);
        if let Some(to) = self.held.get_mut(at..at + bytes.len()) {
            to.copy_from_slice(bytes);
            self.held_len += bytes.len() as u8;
        }
    }

    fn header(&self) -> (u32, u8) {
        let [a, b, c, seq, ..] = self.held;
        (u32::from_le_bytes([a, b, c, 0]), seq)
    }

    /// Bytes consumed in earlier calls that are to be passed on before the next `Body` bytes.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        self.held
            .get(..usize::from(self.held_len))
            .unwrap_or_default()
    }

    /// Gives out [`Self::held`] and forgets it.
    pub fn take_held(&mut self, pass: impl FnOnce(&[u8])) {
        if self.held_len > 0 {
            pass(self.held());
            self.held_len = 0;
        }
    }

    /// Sequence number of the last packet read: the reply goes on from here.
    #[must_use]
    pub const fn seq(&self) -> u8 {
        self.seq
    }

    /// True when no byte of a request was read.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        !self.begun && self.held_len == 0
    }

    /// True when the last byte of the request was read.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.begun && self.left == 0 && !self.continued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the follower over `stream` cut at `cut`; returns heads and the bytes passed on.
    fn run(stream: &[u8], cut: usize) -> (Vec<RequestStep>, Vec<u8>) {
        let (mut heads, mut passed) = (vec![], vec![]);
        let mut r = Request::default();
        for part in [&stream[..cut], &stream[cut..]] {
            let mut at = 0;
            loop {
                let from = at;
                match r.step(&part[at..], &mut at) {
                    RequestStep::More => break,
                    RequestStep::Body(n) => {
                        r.take_held(|b| passed.extend_from_slice(b));
                        passed.extend_from_slice(&part[from..from + n]);
                    }
                    RequestStep::End => r = Request::default(),
                    h @ RequestStep::Head { .. } => heads.push(h),
                    e @ RequestStep::OutOfOrder { .. } => {
                        heads.push(e);
                        return (heads, passed);
                    }
                }
            }
        }
        (heads, passed)
    }

    #[test]
    fn any_split_gives_the_same_heads_and_the_same_bytes() {
        let mut stream = vec![];
        for (seq, payload) in [
            (0u8, &b"\x03select 1"[..]),
            (5, b"\x0e"),
            (0, b""),
            (0, b"\x17\x07\0\0\0\x01\x01\0\0\0"),
            (0, b"\x19\x09\0\0\0"),
        ] {
            stream.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
            stream.push(seq);
            stream.extend_from_slice(payload);
        }
        let (want, _) = run(&stream, 0);
        let names: Vec<_> = want
            .iter()
            .map(|h| match h {
                RequestStep::Head {
                    command,
                    len,
                    seq,
                    statement,
                    flags,
                } => (command.map(|c| c.0), *len, *seq, *statement, *flags),
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(names[1], (Some(0x0E), 1, 5, 0, 0));
        assert_eq!(names[2], (None, 0, 0, 0, 0));
        assert_eq!(names[3], (Some(0x17), 10, 0, 7, 1));
        assert_eq!(names[4], (Some(0x19), 5, 0, 9, 0));
        for cut in 0..=stream.len() {
            let (heads, passed) = run(&stream, cut);
            assert_eq!(heads, want, "cut {cut}");
            assert_eq!(passed, stream, "cut {cut}");
        }
    }

    #[test]
    fn a_packet_of_maximal_size_is_continued_and_its_order_is_checked() {
        for (seq, ok) in [(1u8, true), (7, false)] {
            let mut stream = vec![0xFF, 0xFF, 0xFF, 0];
            stream.resize(4 + MAX_PAYLOAD, 3);
            stream.extend_from_slice(&[0, 0, 0, seq]);
            let (heads, passed) = run(&stream, MAX_PAYLOAD);
            assert_eq!(heads.len(), if ok { 1 } else { 2 });
            assert_eq!(passed == stream, ok);
        }
    }
}
