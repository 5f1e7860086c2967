//! Sockets of a core. The position in the table is the kernel's direct descriptor.

use super::listen::RESERVED_SLOTS;
use super::spill::Spill;
use super::uring::{Op, Tag};
use super::wheel::{Due, Timer};
use crate::base::Side;
use std::net::SocketAddr;

/// No slot, no seat, no piece.
pub(super) const NONE: u32 = u32::MAX;

/// Where a socket is in its life.
///
/// ```text
/// accept ----------------------------+
/// Free -> Socket -> Connecting -> Open -> Flushing -> Lingering -+
///            |           |          |  \-> Parting ---+          |
///            +-----------+----------+-----------------+-> Aborting -> Closing -> Free
/// ```
/// Everything right of `Open` belongs to no machine any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// Not in use.
    Free,
    /// The socket is being made.
    Socket,
    /// The connect is in flight.
    Connecting,
    /// Bytes flow.
    Open,
    /// Closed by the machine; what was written is still being sent.
    Flushing,
    /// FIN sent; the peer's is awaited, and what it still sends is thrown away.
    Lingering,
    /// To be aborted once the output of this turn has been handed to the kernel.
    Parting,
    /// Waits until no operation is in flight.
    Aborting,
    /// CLOSE is in flight.
    Closing,
}

impl Life {
    /// True: output of the turn is sent.
    pub(super) const fn sends(self) -> bool {
        matches!(self, Self::Open | Self::Flushing | Self::Parting)
    }

    /// True: no machine hears of this slot any more.
    #[cfg(debug_assertions)]
    pub(super) const fn is_detached(self) -> bool {
        !matches!(self, Self::Socket | Self::Connecting | Self::Open)
    }
}

/// What the receive of a socket is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Recv {
    /// Nothing is in flight.
    Idle,
    /// In flight.
    Armed,
    /// In flight, cancel sent.
    Cancelling,
    /// Found no buffer; waits for one.
    Starved,
}

/// A connect that has not been answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dial {
    /// Where to.
    pub(super) address: SocketAddr,
    /// The deadline has passed.
    pub(super) is_late: bool,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Slot {
    /// Counts the occupants; tags carry its low 24 bits.
    pub(super) generation: u32,
    /// The machine's seat, or `NONE`.
    pub(super) seat: u32,
    /// The next link of the same machine, or `NONE`.
    pub(super) next_link: u32,
    /// Which end of the machine it is.
    pub(super) side: Side,
    /// Where it is in its life.
    pub(super) life: Life,
    /// Its receive.
    pub(super) recv: Recv,
    /// The machine said Hold.
    pub(super) is_held: bool,
    /// The other side of the machine reads slowly.
    pub(super) is_paused: bool,
    /// The peer has sent its last byte.
    pub(super) is_eof: bool,
    /// The last receive said that more was there.
    pub(super) is_nonempty: bool,
    /// In the list of slots with output.
    pub(super) is_dirty: bool,
    /// In the list of slots whose receive may have to be armed.
    pub(super) is_listed: bool,
    /// Closed for longer than it should take.
    pub(super) is_stuck: bool,
    /// Operations that will complete.
    pub(super) inflight: u16,
    /// Error number of a failed send, 0 for none; told when reading has come to its end.
    pub(super) broken: i32,
    /// First and last piece of this turn's output.
    pub(super) first: u32,
    /// See `first`.
    pub(super) last: u32,
    /// Number of pieces.
    pub(super) pieces: u32,
    /// Result of this turn's send, if it completed.
    pub(super) short: Option<i32>,
    /// Connect, linger or close deadline.
    pub(super) due: Due,
    /// Output the peer is slow to take.
    pub(super) spill: Option<Box<Spill>>,
    /// The connect under way.
    pub(super) dial: Option<Box<Dial>>,
}

// An idle session is two slots and a seat; the budget is 1 KiB with everything.
const _: () = assert!(size_of::<Slot>() <= 112);

impl Slot {
    const fn free(generation: u32) -> Self {
        Self {
            generation,
            seat: NONE,
            next_link: NONE,
            side: Side::Client,
            life: Life::Free,
            recv: Recv::Idle,
            is_held: false,
            is_paused: false,
            is_eof: false,
            is_nonempty: false,
            is_dirty: false,
            is_listed: false,
            is_stuck: false,
            inflight: 0,
            broken: 0,
            first: NONE,
            last: NONE,
            pieces: 0,
            short: None,
            due: Due::NEVER,
            spill: None,
            dial: None,
        }
    }

    /// True: bytes of the peer are wanted now, by the machine or to be thrown away.
    pub(super) const fn wants_bytes(&self) -> bool {
        match self.life {
            Life::Open => !self.is_eof && !self.is_held && !self.is_paused,
            Life::Flushing | Life::Lingering => !self.is_eof,
            _ => false,
        }
    }
}

/// All sockets of a core.
#[derive(Debug)]
pub(super) struct Slots {
    table: Vec<Slot>,
    free: Vec<u32>,
    limit: u32,
}

impl Slots {
    /// A table for at most `limit` sockets; it grows with use.
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            table: Vec::new(),
            free: Vec::new(),
            limit,
        }
    }

    /// Sockets in use.
    pub(super) fn len(&self) -> usize {
        self.table.len() - self.free.len()
    }

    /// A free slot for an accepted client. `None`: the table is full.
    pub(super) fn take_for_client(&mut self) -> Option<u32> {
        self.take(0)
    }

    /// A free slot for a link; leaves a few for administrators who want in.
    pub(super) fn take_for_link(&mut self) -> Option<u32> {
        self.take(RESERVED_SLOTS)
    }

    fn take(&mut self, leave: u32) -> Option<u32> {
        if self.len() as u64 + u64::from(leave) >= u64::from(self.limit) {
            return None;
        }
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        self.table.push(Slot::free(1));
        Some(self.table.len() as u32 - 1)
    }

    /// Gives a slot back: it has no file and nothing in flight. Completions with its old generation
    /// are strangers from now on.
    pub(super) fn release(&mut self, index: u32) {
        let slot = &mut self.table[index as usize];
        debug_assert!(slot.inflight == 0 && slot.spill.is_none(), "{slot:?}");
        debug_assert!(!slot.is_dirty && slot.pieces == 0, "{slot:?}");
        debug_assert_eq!(slot.due, Due::NEVER, "{slot:?}");
        // The list of this turn may still name it; it looks at `life`.
        let is_listed = slot.is_listed;
        *slot = Slot::free(slot.generation.wrapping_add(1));
        slot.is_listed = is_listed;
        self.free.push(index);
    }

    /// The slot a completion is about, unless the slot has another occupant by now.
    pub(super) fn of(&self, tag: Tag) -> Option<u32> {
        let slot = self.table.get(tag.slot() as usize)?;
        let is_same = slot.generation & Tag::GENERATION_MASK == tag.generation();
        (is_same && slot.life != Life::Free).then_some(tag.slot())
    }

    /// The tag for an operation on a slot.
    pub(super) fn tag(&self, op: Op, index: u32) -> Tag {
        Tag::new(op, self[index].generation, index)
    }

    /// The timer of a slot.
    pub(super) fn timer(&self, index: u32) -> Timer {
        Timer::Slot(index, self[index].generation)
    }

    /// True while the occupant a timer was armed for is still there.
    pub(super) fn is_current(&self, index: u32, generation: u32) -> bool {
        let slot = self.table.get(index as usize);
        slot.is_some_and(|s| s.generation == generation && s.life != Life::Free)
    }

    /// All slots with their numbers, free ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.table.iter().enumerate().map(|(n, s)| (n as u32, s))
    }
}

impl std::ops::Index<u32> for Slots {
    type Output = Slot;
    fn index(&self, index: u32) -> &Slot {
        &self.table[index as usize]
    }
}

impl std::ops::IndexMut<u32> for Slots {
    fn index_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.table[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_for_an_earlier_occupant_finds_no_slot() {
        let mut slots = Slots::new(RESERVED_SLOTS + 2);
        let a = slots.take_for_link().unwrap();
        slots[a].life = Life::Open;
        let tag = slots.tag(Op::Recv, a);
        assert_eq!(slots.of(tag), Some(a));
        slots.release(a);
        assert_eq!(slots.of(tag), None);
        let b = slots.take_for_client().unwrap();
        slots[b].life = Life::Open;
        assert_eq!((a, slots.of(tag)), (b, None));
    }

    #[test]
    fn links_leave_slots_for_administrators() {
        let mut slots = Slots::new(RESERVED_SLOTS + 2);
        assert!(slots.take_for_link().is_some() && slots.take_for_link().is_some());
        assert!(slots.take_for_link().is_none());
        for _ in 0..RESERVED_SLOTS {
            assert!(slots.take_for_client().is_some());
        }
        assert!(slots.take_for_client().is_none());
        assert_eq!(slots.len(), RESERVED_SLOTS as usize + 2);
    }
}
