//! Counters and histograms of a core: written by that core only, readable from every thread.
//!
//! Nothing is formatted here; whoever shows the numbers takes the names from [`Event::name`] and
//! [`CloseReason::name`].

mod histogram;
mod stopwatch;

pub use histogram::{Histogram, readable};
pub use stopwatch::{Lap, Stopwatch};

use crate::base::{CloseReason, CoreId, Event, Stage};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One number with a single writer. Readers see some recent value, never a torn one.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Adds `n`. Only the owning core may call this: it is a load and a store, not an atomic add.
    pub fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// Takes `n` off; stops at 0.
    pub fn sub(&self, n: u64) {
        self.set(self.get().saturating_sub(n));
    }

    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
}

/// All numbers of one core.
#[derive(Debug)]
pub struct Core {
    /// Whose numbers these are.
    pub id: CoreId,
    events: [Count; Event::ALL.len()],
    closes: [Count; CloseReason::ALL.len()],
    stages: [Histogram; Stage::ALL.len()],
    /// Client connections that belong to a machine now.
    pub clients: Count,
    /// Server connections that belong to a machine now, those being opened included.
    pub links: Count,
    /// Bytes copied for peers that read slowly, now.
    pub spill_bytes: Count,
    /// Turns of the loop so far.
    pub turns: Count,
    /// Receives that wait for a buffer now.
    pub starved: Count,
    /// Clients closed at accept without a packet: no slot, spill limit, drain.
    pub clients_refused: Count,
    /// Completions of an earlier occupant of a slot; their buffers were given back.
    pub stale: Count,
    /// Outputs for a side that does not exist.
    pub outputs_dropped: Count,
    /// Mail dropped because the receiver's inbox and the sender's backlog were full.
    pub mail_dropped: Count,
}

impl Core {
    /// All numbers 0.
    #[must_use]
    pub fn new(id: CoreId) -> Self {
        Self {
            id,
            events: std::array::from_fn(|_| Count::default()),
            closes: std::array::from_fn(|_| Count::default()),
            stages: std::array::from_fn(|_| Histogram::new()),
            clients: Count::default(),
            links: Count::default(),
            spill_bytes: Count::default(),
            turns: Count::default(),
            starved: Count::default(),
            clients_refused: Count::default(),
            stale: Count::default(),
            outputs_dropped: Count::default(),
            mail_dropped: Count::default(),
        }
    }

    /// Counts an event.
    pub fn count(&self, event: Event) {
        self.events[event as usize].add(1);
    }

    /// How often an event happened.
    #[must_use]
    pub fn event(&self, event: Event) -> u64 {
        self.events[event as usize].get()
    }

    /// How long requests were in a stage.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> &Histogram {
        &self.stages[stage as usize]
    }

    /// Counts the end of a client connection.
    pub fn closed(&self, reason: CloseReason) {
        self.closes[reason as usize].add(1);
    }

    /// How many client connections ended for `reason`.
    #[must_use]
    pub fn close(&self, reason: CloseReason) -> u64 {
        self.closes[reason as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_and_reason_has_its_own_counter() {
        let core = Core::new(CoreId(0));
        for (n, e) in Event::ALL.iter().enumerate() {
            for _ in 0..=n {
                core.count(*e);
            }
        }
        for (n, r) in CloseReason::ALL.iter().enumerate() {
            for _ in 0..=n {
                core.closed(*r);
            }
        }
        for (n, e) in Event::ALL.iter().enumerate() {
            assert_eq!(core.event(*e), n as u64 + 1, "{}", e.name());
        }
        for (n, r) in CloseReason::ALL.iter().enumerate() {
            assert_eq!(core.close(*r), n as u64 + 1, "{}", r.name());
        }
        core.clients.sub(1);
        assert_eq!(core.clients.get(), 0);
    }
}
