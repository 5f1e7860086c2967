//! Output that a peer did not take in its turn: copied, so that no buffer of the pool waits for a
//! slow peer, and sent with an ordinary send that completes.

use super::shell::Shell;
use super::slot::{Life, NONE};
use super::uring::{Completion, Op};
use crate::base::{CloseReason, Errno, Event, Linger, Machines, Side};
use std::collections::VecDeque;

/// What is left for one peer.
#[derive(Debug)]
pub(super) struct Spill {
    /// Bytes of the send that is in flight; the ring holds them and they never grow.
    flying: usize,
    /// Of those, how many have been sent.
    sent: usize,
    /// What came meanwhile: pieces of their exact size, so that memory is what `bytes` says.
    tail: VecDeque<Vec<u8>>,
    tail_bytes: usize,
}

/// Output of a turn that is smaller than this joins the piece before it, if that is small as well.
const JOINED_BYTES_MAX: usize = 4 << 10;

impl Spill {
    /// Bytes that count against the limit.
    pub(super) const fn bytes(&self) -> usize {
        self.flying + self.tail_bytes
    }
}

impl<P: Machines> Shell<P> {
    /// Output in the core's spill memory, summed up the slow way.
    #[cfg(debug_assertions)]
    pub(super) fn spill_sum(&self) -> usize {
        let spills = self.slots.iter().filter_map(|(_, s)| s.spill.as_ref());
        spills.map(|s| s.bytes()).sum()
    }

    /// `rest` could not be sent in its turn.
    pub(super) fn start_spill(&mut self, index: u32, rest: Vec<u8>) {
        self.counters.count(Event::Spill);
        self.add_spill_bytes(rest.len());
        let tag = self.slots.tag(Op::Spill, index);
        let slot = &mut self.slots[index];
        debug_assert!(slot.spill.is_none());
        slot.spill = Some(Box::new(Spill {
            flying: rest.len(),
            sent: 0,
            tail: VecDeque::new(),
            tail_bytes: 0,
        }));
        slot.inflight += 1;
        let seat = slot.seat;
        self.ring.send_held(tag, rest, 0);
        self.allow_stall(index);
        self.press(seat);
    }

    /// A client has taken something, or is asked to from now on: its patience begins anew.
    fn allow_stall(&mut self, index: u32) {
        let slot = &self.slots[index];
        if slot.side == Side::Client && slot.seat != NONE && slot.life == Life::Open {
            let key = self.seats.key(slot.seat);
            if let Some(ms) = self.machines.stall_limit_ms(key) {
                self.set_slot_due(index, self.now.after_ms(ms));
            }
        }
    }

    /// The patience with a slow client is over.
    pub(super) fn stalled(&mut self, index: u32) {
        let slot = &self.slots[index];
        if slot.seat != NONE && slot.spill.is_some() {
            let key = self.seats.key(slot.seat);
            self.end(key, CloseReason::ClientStalled, Linger::Abort);
        }
    }

    /// Output of this turn for a peer that is behind already.
    pub(super) fn append_spill(&mut self, index: u32) {
        let added = self.output_bytes(index);
        let Some(mut spill) = self.slots[index].spill.take() else {
            return;
        };
        match spill.tail.back_mut() {
            Some(last) if last.len() + added <= JOINED_BYTES_MAX => {
                self.copy_output(index, 0, last);
            }
            _ => {
                let mut piece = Vec::with_capacity(added);
                self.copy_output(index, 0, &mut piece);
                spill.tail.push_back(piece);
            }
        }
        spill.tail_bytes += added;
        self.slots[index].spill = Some(spill);
        self.add_spill_bytes(added);
    }

    /// A spill send has completed.
    pub(super) fn spill_sent(&mut self, index: u32, mut completion: Completion) {
        let res = completion.res;
        let held = self.ring.take_held(&mut completion);
        let tag = self.slots.tag(Op::Spill, index);
        let slot = &mut self.slots[index];
        slot.inflight -= 1;
        let (Some(mut spill), Some(bytes)) = (slot.spill.take(), held) else {
            // Aborted meanwhile.
            self.advance(index);
            return;
        };
        if res < 0 {
            self.drop_spill_bytes(spill.bytes());
            self.send_failed(index, Errno(-res));
            self.advance(index);
            return;
        }
        spill.sent += res as usize;
        if spill.sent < spill.flying {
            slot.inflight += 1;
            self.ring.send_held(tag, bytes, spill.sent);
            slot.spill = Some(spill);
            self.allow_stall(index);
            return;
        }
        self.drop_spill_bytes(spill.flying);
        let Some(head) = spill.tail.pop_front() else {
            let seat = self.slots[index].seat;
            if self.slots[index].life == Life::Open {
                self.clear_slot_due(index);
            }
            if seat != NONE && self.slots[index].side == Side::Client {
                self.stopwatch.taken_late(&mut self.seats[seat].lap);
            }
            self.press(seat);
            self.advance(index);
            return;
        };
        (spill.flying, spill.sent) = (head.len(), 0);
        spill.tail_bytes -= head.len();
        let slot = &mut self.slots[index];
        slot.inflight += 1;
        slot.spill = Some(spill);
        self.ring.send_held(tag, head, 0);
        self.allow_stall(index);
    }

    /// Forgets what a peer has not taken.
    pub(super) fn drop_spill(&mut self, index: u32) {
        if let Some(spill) = self.slots[index].spill.take() {
            self.drop_spill_bytes(spill.bytes());
        }
    }

    fn add_spill_bytes(&mut self, n: usize) {
        self.spill_bytes += n;
        self.counters.spill_bytes.set(self.spill_bytes as u64);
    }

    fn drop_spill_bytes(&mut self, n: usize) {
        debug_assert!(self.spill_bytes >= n);
        self.spill_bytes = self.spill_bytes.saturating_sub(n);
        self.counters.spill_bytes.set(self.spill_bytes as u64);
    }

    /// Back-pressure: while one side of a machine reads slowly, the opposite side is not read. Nor
    /// is a slow client itself, once it sends more: answers that the proxy makes on its own (to
    /// pipelined pings) would pile up. One that only reads a large result keeps its receive.
    pub(super) fn press(&mut self, seat: u32) {
        if seat == NONE {
            return;
        }
        let client = self.seats[seat].client;
        let client_spills = client != NONE && self.slots[client].spill.is_some();
        let mut links_spill = false;
        let mut link = self.seats[seat].links;
        while link != NONE {
            links_spill |= self.slots[link].spill.is_some();
            self.pause(link, client_spills);
            link = self.slots[link].next_link;
        }
        if client != NONE {
            let is_asking = self.slots[client].is_paused;
            self.pause(client, links_spill || client_spills && is_asking);
        }
    }

    /// A client that does not read has sent more.
    pub(super) fn press_asking(&mut self, index: u32) {
        let slot = &self.slots[index];
        if slot.side == Side::Client && slot.spill.is_some() && slot.life == Life::Open {
            self.pause(index, true);
        }
    }

    fn pause(&mut self, index: u32, is_paused: bool) {
        if self.slots[index].is_paused != is_paused {
            self.slots[index].is_paused = is_paused;
            self.review_recv(index);
        }
    }

    /// Over the limit of spilled bytes the largest spillers go.
    pub(super) fn enforce_spill_limit(&mut self) {
        while self.spill_bytes > self.limits.spill_bytes_max {
            let spilling = self
                .slots
                .iter()
                .filter_map(|(n, s)| Some((s.spill.as_ref()?.bytes(), n)));
            let Some((_, index)) = spilling.max() else {
                return;
            };
            let slot = &self.slots[index];
            if slot.life == Life::Open && slot.seat != NONE {
                let key = self.seats.key(slot.seat);
                self.end(key, CloseReason::SpillLimit, Linger::Abort);
            } else {
                self.abort(index);
            }
            if self.slots[index].spill.is_some() {
                // Cannot happen; but a limit must not become an endless loop.
                self.drop_spill(index);
            }
        }
    }
}
