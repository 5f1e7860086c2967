//! Which sockets a machine has, found by the machine's key.

use super::slot::NONE;
use super::wheel::Due;
use crate::base::{Key, Tick};
use crate::telemetry::Lap;

/// One machine's sockets and deadline.
#[derive(Debug)]
pub(super) struct Seat {
    generation: u32,
    is_taken: bool,
    /// A client was accepted for this machine; its end is counted and logged.
    pub(super) had_client: bool,
    /// Slot of the client, or `NONE`.
    pub(super) client: u32,
    /// Slot of the first link, or `NONE`; the others follow by `Slot::next_link`.
    pub(super) links: u32,
    /// When the machine wants its `Timer`.
    pub(super) due: Due,
    /// When the machine was made.
    pub(super) since: Tick,
    /// Where its request has got to.
    pub(super) lap: Lap,
}

const _: () = assert!(size_of::<Seat>() <= 64);

/// The seats of a core, at the positions of the machines' own table.
#[derive(Debug, Default)]
pub(super) struct Seats {
    table: Vec<Seat>,
    taken: usize,
}

impl Seats {
    /// Makes a seat for a new machine. What sat there before must be gone.
    pub(super) fn take(&mut self, key: Key, now: Tick) {
        let index = key.index as usize;
        while self.table.len() <= index {
            self.table.push(Seat {
                generation: 0,
                is_taken: false,
                had_client: false,
                client: NONE,
                links: NONE,
                due: Due::NEVER,
                since: now,
                lap: Lap::default(),
            });
        }
        let seat = &mut self.table[index];
        debug_assert!(!seat.is_taken, "seat {key:?} is taken");
        *seat = Seat {
            generation: key.generation,
            is_taken: true,
            had_client: false,
            client: NONE,
            links: NONE,
            due: Due::NEVER,
            since: now,
            lap: Lap::default(),
        };
        self.taken += 1;
    }

    /// The machine is over.
    pub(super) fn leave(&mut self, key: Key) {
        if self.find(key).is_some() {
            self.table[key.index as usize].is_taken = false;
            self.taken -= 1;
        }
    }

    /// The position of a machine's seat, unless it is over.
    pub(super) fn find(&self, key: Key) -> Option<u32> {
        let seat = self.table.get(key.index as usize)?;
        (seat.is_taken && seat.generation == key.generation).then_some(key.index)
    }

    /// The key of the machine at a position.
    pub(super) fn key(&self, index: u32) -> Key {
        Key {
            index,
            generation: self[index].generation,
        }
    }

    /// Machines that are not over.
    pub(super) const fn len(&self) -> usize {
        self.taken
    }
}

impl std::ops::Index<u32> for Seats {
    type Output = Seat;
    fn index(&self, index: u32) -> &Seat {
        &self.table[index as usize]
    }
}

impl std::ops::IndexMut<u32> for Seats {
    fn index_mut(&mut self, index: u32) -> &mut Seat {
        &mut self.table[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_found_by_its_own_key_only() {
        let mut seats = Seats::default();
        let key = |index, generation| Key { index, generation };
        seats.take(key(5, 2), Tick(0));
        assert_eq!(
            (seats.find(key(5, 2)), seats.find(key(5, 1))),
            (Some(5), None)
        );
        assert_eq!((seats.find(key(0, 0)), seats.find(key(9, 1))), (None, None));
        seats.leave(key(5, 1));
        assert_eq!(seats.len(), 1);
        seats.leave(key(5, 2));
        assert_eq!((seats.len(), seats.find(key(5, 2))), (0, None));
        seats.take(key(5, 3), Tick(0));
        assert_eq!(seats.key(5), key(5, 3));
    }
}
