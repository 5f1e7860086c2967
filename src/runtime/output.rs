//! Output of a turn: pieces per socket, sent at its end, settled at the start of the next.

use super::shell::Shell;
use super::slot::{Life, NONE};
use super::uring::{Loan, Op, Part};
use crate::base::{Errno, Machines, Side};

/// Pieces of one send; what is beyond is copied together. 32 vectors of a large reply are 2 MiB.
const PIECES_MAX: u32 = 32;
/// The arena may grow for one large statement; it does not stay large.
const ARENA_KEPT_BYTES: usize = 1 << 20;

/// A range of bytes to send.
#[derive(Debug)]
pub(super) enum Piece {
    /// In a provided buffer.
    Lent(Loan),
    /// In the arena.
    Own {
        /// First byte.
        start: u32,
        /// Number of bytes.
        len: u32,
    },
    /// Settled.
    Gone,
}

/// Pieces of all sockets of a core; each socket's are a list through it.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    table: Vec<(Piece, u32)>,
    /// Sockets that have pieces.
    pub(super) dirty: Vec<u32>,
    /// Sockets whose pieces were sent with this turn's call.
    pub(super) sent: Vec<u32>,
}

impl<P: Machines> Shell<P> {
    /// Appends a piece to a socket's output; neighbours in memory become one.
    pub(super) fn append(&mut self, index: u32, piece: Piece) {
        let slot = &mut self.slots[index];
        if !slot.is_dirty {
            slot.is_dirty = true;
            self.pieces.dirty.push(index);
        }
        let mut piece = piece;
        if slot.last != NONE {
            match (&mut self.pieces.table[slot.last as usize].0, piece) {
                (Piece::Lent(last), Piece::Lent(next)) => match last.join(next, &mut self.pool) {
                    None => return,
                    Some(next) => piece = Piece::Lent(next),
                },
                (Piece::Own { start, len }, Piece::Own { start: s, len: l })
                    if *start + *len == s =>
                {
                    *len += l;
                    return;
                }
                (_, other) => piece = other,
            }
        }
        let at = self.pieces.table.len() as u32;
        self.pieces.table.push((piece, NONE));
        if slot.last == NONE {
            slot.first = at;
        } else {
            self.pieces.table[slot.last as usize].1 = at;
        }
        slot.last = at;
        slot.pieces += 1;
    }

    /// Ends the loans of a socket's output and empties it.
    pub(super) fn discard_output(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        let mut at = slot.first;
        (slot.first, slot.last, slot.pieces) = (NONE, NONE, 0);
        while at != NONE {
            let (piece, next) = &mut self.pieces.table[at as usize];
            at = *next;
            if let Piece::Lent(loan) = std::mem::replace(piece, Piece::Gone) {
                self.pool.give_back(loan);
            }
        }
    }

    /// Copies a socket's output from byte `skip` on to the end of `into`, and empties it. Returns
    /// how much was copied.
    pub(super) fn copy_output(&mut self, index: u32, skip: usize, into: &mut Vec<u8>) -> usize {
        let before = into.len();
        let mut skip = skip;
        let mut at = self.slots[index].first;
        while at != NONE {
            let (piece, next) = &self.pieces.table[at as usize];
            let bytes: &[u8] = match piece {
                Piece::Lent(loan) => self.pool.bytes(loan),
                Piece::Own { start, len } => {
                    &self.ring.arena()[*start as usize..*start as usize + *len as usize]
                }
                Piece::Gone => &[],
            };
            let skipped = skip.min(bytes.len());
            skip -= skipped;
            into.extend_from_slice(&bytes[skipped..]);
            at = *next;
        }
        self.discard_output(index);
        into.len() - before
    }

    /// The end of a turn: one send per socket that has output.
    pub(super) fn push_sends(&mut self) {
        let mut dirty = std::mem::take(&mut self.pieces.dirty);
        for index in dirty.drain(..) {
            let slot = &mut self.slots[index];
            slot.is_dirty = false;
            if slot.pieces == 0 {
                self.advance(index);
                continue;
            }
            if !slot.life.sends() || slot.broken != 0 {
                self.discard_output(index);
                self.advance(index);
                continue;
            }
            if slot.spill.is_some() {
                self.append_spill(index);
                self.advance(index);
                continue;
            }
            if slot.pieces > PIECES_MAX {
                self.compact(index);
            }
            let tag = self.slots.tag(Op::Send, index);
            let table = &self.pieces.table;
            let first = self.slots[index].first;
            let list = std::iter::successors((first != NONE).then_some(first), |at| {
                let next = table[*at as usize].1;
                (next != NONE).then_some(next)
            });
            let parts = list.filter_map(|at| match &table[at as usize].0 {
                Piece::Lent(loan) => Some(Part::Lent(loan)),
                Piece::Own { start, len } => Some(Part::Own {
                    start: *start,
                    len: *len,
                }),
                Piece::Gone => None,
            });
            self.ring.send(tag, parts, &self.pool);
            // A close waits for this send to be settled.
            self.is_hurried |= self.slots[index].life != Life::Open;
            self.pieces.sent.push(index);
        }
        self.pieces.dirty = dirty;
    }

    /// Too many pieces for one send: those beyond the limit are copied into the arena as one.
    /// So a socket has one send per turn and no loan outlives it.
    fn compact(&mut self, index: u32) {
        let mut before = self.slots[index].first;
        for _ in 0..PIECES_MAX - 2 {
            before = self.pieces.table[before as usize].1;
        }
        let start = self.ring.arena().len();
        let mut at = self.pieces.table[before as usize].1;
        let first = at;
        while at != NONE {
            let (piece, next) = &mut self.pieces.table[at as usize];
            at = *next;
            match std::mem::replace(piece, Piece::Gone) {
                Piece::Lent(loan) => {
                    self.ring.arena().extend_from_slice(self.pool.bytes(&loan));
                    self.pool.give_back(loan);
                }
                Piece::Own { start, len } => {
                    let range = start as usize..start as usize + len as usize;
                    self.ring.arena().extend_from_within(range);
                }
                Piece::Gone => {}
            }
        }
        let len = self.ring.arena().len() - start;
        self.pieces.table[first as usize] = (
            Piece::Own {
                start: start as u32,
                len: len as u32,
            },
            NONE,
        );
        let slot = &mut self.slots[index];
        slot.last = first;
        slot.pieces = PIECES_MAX;
    }

    /// Bytes of a socket's output.
    pub(super) fn output_bytes(&self, index: u32) -> usize {
        let mut bytes = 0;
        let mut at = self.slots[index].first;
        while at != NONE {
            let (piece, next) = &self.pieces.table[at as usize];
            bytes += match piece {
                Piece::Lent(loan) => loan.len(),
                Piece::Own { len, .. } => *len as usize,
                Piece::Gone => 0,
            };
            at = *next;
        }
        bytes
    }

    /// The kernel took all output of a socket in the last turn.
    fn taken(&mut self, index: u32) {
        let slot = &self.slots[index];
        if slot.side == Side::Client && slot.seat != NONE {
            self.stopwatch.taken(&mut self.seats[slot.seat].lap);
        }
    }

    /// The start of a turn: every send of the last one is over. What fell short is spilled; all
    /// loans end; the arena is empty again.
    pub(super) fn settle(&mut self) {
        let mut sent = std::mem::take(&mut self.pieces.sent);
        for index in sent.drain(..) {
            match self.slots[index].short.take() {
                None => {
                    self.discard_output(index);
                    self.taken(index);
                }
                Some(res) if res >= 0 || res == -libc::EAGAIN => {
                    let sent = res.max(0) as usize;
                    let left = self.output_bytes(index).saturating_sub(sent);
                    if left > 0 && self.slots[index].life != Life::Parting {
                        let mut rest = Vec::with_capacity(left);
                        self.copy_output(index, sent, &mut rest);
                        self.start_spill(index, rest);
                    } else {
                        self.discard_output(index);
                        self.taken(index);
                    }
                }
                Some(res) => {
                    self.discard_output(index);
                    self.send_failed(index, Errno(-res));
                }
            }
            self.advance(index);
        }
        self.pieces.sent = sent;
        self.pieces.table.clear();
        let arena = self.ring.arena();
        arena.clear();
        arena.shrink_to(ARENA_KEPT_BYTES);
        debug_assert_eq!(self.pool.lent(), 0, "a loan outlived its turn");
    }
}
