//! What cores tell each other: a bounded inbox per core, and a bell for a core that sleeps.
//!
//! Orders (drain, stop) stand beside the inbox, not in it: a full inbox cannot lose them.

use super::uring::Ring;
use crate::base::{CoreId, Event};
use crate::telemetry;
use crossbeam::queue::ArrayQueue;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst, fence};
use std::sync::{Arc, OnceLock};

/// Letters an inbox holds.
const INBOX_LETTERS: usize = 4_096;
/// Letters a sender keeps for one receiver whose inbox is full. Beyond it letters are dropped and
/// counted: a core that has not read 69,632 letters does not run any more.
const BACKLOG_LETTERS_MAX: usize = 65_536;
/// No drain was ordered.
const NO_DRAIN: u64 = u64::MAX;

/// The bell of one core, and the orders given to it.
#[derive(Debug)]
pub(super) struct Bell {
    /// The core says that it is about to wait: whoever brings something must ring.
    asleep: AtomicBool,
    /// The core's ring, for bells rung by other rings. A duplicate: it stays valid (and its number
    /// is not used again) even after the core has ended.
    ring: OnceLock<OwnedFd>,
    /// For threads without a ring.
    event: OwnedFd,
    drain_ms: AtomicU64,
    stop: AtomicBool,
    ended: AtomicBool,
}

impl Bell {
    fn new() -> io::Result<Self> {
        Ok(Self {
            asleep: AtomicBool::new(false),
            ring: OnceLock::new(),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            drain_ms: AtomicU64::new(NO_DRAIN),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// Wakes the core from a thread without a ring.
    fn call(&self) {
        // The counter cannot overflow in practice, and a full one wakes as well.
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }

    /// What becomes readable when somebody called.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Makes the event descriptor unreadable again.
    pub(super) fn quiet(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.event, &mut count);
    }

    /// Announces that the core is about to wait. What is looked at after this cannot be missed.
    pub(super) fn sleep(&self) {
        self.asleep.store(true, SeqCst);
        fence(SeqCst);
    }

    /// The core is awake: no bell is needed.
    pub(super) fn awake(&self) {
        self.asleep.store(false, SeqCst);
    }

    /// The order to drain, taken once.
    pub(super) fn take_drain(&self) -> Option<u64> {
        if self.drain_ms.load(SeqCst) == NO_DRAIN {
            return None;
        }
        Some(self.drain_ms.swap(NO_DRAIN, SeqCst))
    }

    /// True: end now.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }

    /// True while an order waits to be looked at.
    fn has_order(&self) -> bool {
        self.is_stopped() || self.drain_ms.load(SeqCst) != NO_DRAIN
    }
}

/// The bells of all cores; the metadata core is the last.
#[derive(Debug)]
pub(super) struct Bells(Vec<Bell>);

impl Bells {
    /// What the metadata machine gets to put its things in order after the last serving core.
    const METADATA_DRAIN_MS: u64 = 1_000;

    /// Bells for `serving` cores and the metadata core.
    pub(super) fn new(serving: u16) -> io::Result<Self> {
        (0..=serving)
            .map(|_| Bell::new())
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The position of a core; `None` if there is no such core.
    fn index(&self, core: CoreId) -> Option<usize> {
        let metadata = self.0.len() - 1;
        match core {
            CoreId::METADATA => Some(metadata),
            CoreId(n) => Some(usize::from(n)).filter(|n| *n < metadata),
        }
    }

    /// The bell of a core.
    pub(super) fn of(&self, core: CoreId) -> &Bell {
        let index = self.index(core).unwrap_or(self.0.len() - 1);
        &self.0[index]
    }

    fn serving(&self) -> &[Bell] {
        &self.0[..self.0.len() - 1]
    }

    /// Orders all serving cores to drain; the metadata core follows when they have ended.
    pub(super) fn drain(&self, ms: u64) {
        for bell in self.serving() {
            bell.drain_ms.store(ms.min(NO_DRAIN - 1), SeqCst);
            bell.call();
        }
    }

    /// Orders all serving cores to end now; the metadata core follows.
    pub(super) fn stop(&self) {
        for bell in self.serving() {
            bell.stop.store(true, SeqCst);
            bell.call();
        }
    }

    /// Orders every core to end now, the metadata core included: something is broken.
    pub(super) fn stop_all(&self) {
        for bell in &self.0 {
            bell.stop.store(true, SeqCst);
            bell.call();
        }
    }

    /// A core has ended. The last serving one takes the metadata core along.
    pub(super) fn ended(&self, core: CoreId) {
        self.of(core).ended.store(true, SeqCst);
        if self.serving().iter().all(|b| b.ended.load(SeqCst)) {
            let metadata = self.of(CoreId::METADATA);
            let ms = if self.serving().iter().any(Bell::is_stopped) {
                0
            } else {
                Self::METADATA_DRAIN_MS
            };
            metadata.drain_ms.store(ms, SeqCst);
            metadata.call();
        }
    }
}

/// The inboxes of all cores.
#[derive(Debug)]
pub(super) struct Mesh<M> {
    bells: Arc<Bells>,
    inboxes: Vec<ArrayQueue<M>>,
}

impl<M> Mesh<M> {
    /// One inbox per bell.
    pub(super) fn new(bells: Arc<Bells>) -> Self {
        let inboxes = bells
            .0
            .iter()
            .map(|_| ArrayQueue::new(INBOX_LETTERS))
            .collect();
        Self { bells, inboxes }
    }

    /// The core's own place in the mesh.
    pub(super) fn post(self: &Arc<Self>, core: CoreId) -> Post<M> {
        let own = self.bells.index(core).unwrap_or(self.inboxes.len() - 1);
        Post {
            mesh: Arc::clone(self),
            own,
            backlogs: self.inboxes.iter().map(|_| VecDeque::new()).collect(),
            kept: 0,
            to_ring: 0,
        }
    }
}

/// A core's post office: its inbox, and what it sends.
#[derive(Debug)]
pub(super) struct Post<M> {
    mesh: Arc<Mesh<M>>,
    own: usize,
    /// Letters for receivers whose inbox was full, in order.
    backlogs: Vec<VecDeque<M>>,
    kept: usize,
    /// Receivers to ring at the end of this turn: one bit each, the last bit for all others.
    to_ring: u64,
}

impl<M> Post<M> {
    /// The core's own bell.
    pub(super) fn bell(&self) -> &Bell {
        &self.mesh.bells.0[self.own]
    }

    /// Makes the core's ring known to the others.
    pub(super) fn publish(&self, ring: &Ring) -> io::Result<()> {
        let copy = ring.fd().try_clone_to_owned()?;
        let _ = self.bell().ring.set(copy);
        Ok(())
    }

    /// The next letter in the inbox.
    pub(super) fn receive(&self) -> Option<M> {
        self.mesh.inboxes[self.own].pop()
    }

    /// True when the core must not wait: a letter or an order is there.
    pub(super) fn is_waiting(&self) -> bool {
        !self.mesh.inboxes[self.own].is_empty() || self.bell().has_order()
    }

    /// True while letters could not be delivered.
    pub(super) const fn has_backlog(&self) -> bool {
        self.kept > 0
    }

    /// Sends a letter; it is in the receiver's inbox, or in the backlog, or dropped and counted.
    pub(super) fn send(&mut self, to: CoreId, letter: M, counters: &telemetry::Core) {
        let Some(to) = self.mesh.bells.index(to) else {
            counters.mail_dropped.add(1);
            return;
        };
        self.to_ring |= 1 << to.min(63);
        if self.backlogs[to].is_empty() {
            let Err(letter) = self.mesh.inboxes[to].push(letter) else {
                return;
            };
            self.keep(to, letter, counters);
        } else {
            self.keep(to, letter, counters);
        }
    }

    fn keep(&mut self, to: usize, letter: M, counters: &telemetry::Core) {
        counters.count(Event::MailBacklog);
        if self.backlogs[to].len() >= BACKLOG_LETTERS_MAX || self.is_gone(to) {
            counters.mail_dropped.add(1);
            return;
        }
        self.backlogs[to].push_back(letter);
        self.kept += 1;
    }

    fn is_gone(&self, core: usize) -> bool {
        self.mesh.bells.0[core].ended.load(SeqCst)
    }

    /// The end of a turn: tries the backlog, and rings who sleeps. The bell leaves with the ring's
    /// next call.
    pub(super) fn flush(&mut self, ring: &mut Ring, counters: &telemetry::Core) {
        if self.kept > 0 {
            self.retry(counters);
        }
        if self.to_ring == 0 {
            return;
        }
        fence(SeqCst);
        let to_ring = std::mem::take(&mut self.to_ring);
        for (n, bell) in self.mesh.bells.0.iter().enumerate() {
            let is_wanted = to_ring & 1 << n.min(63) != 0 && n != self.own;
            if is_wanted && bell.asleep.swap(false, SeqCst) {
                match &bell.ring.get() {
                    Some(fd) => ring.bell(fd.as_fd(), n as u32),
                    None => bell.call(),
                }
            }
        }
    }

    fn retry(&mut self, counters: &telemetry::Core) {
        for to in 0..self.backlogs.len() {
            if self.is_gone(to) {
                counters.mail_dropped.add(self.backlogs[to].len() as u64);
                self.kept -= self.backlogs[to].len();
                self.backlogs[to].clear();
            }
            while let Some(letter) = self.backlogs[to].pop_front() {
                if let Err(letter) = self.mesh.inboxes[to].push(letter) {
                    self.backlogs[to].push_front(letter);
                    break;
                }
                self.kept -= 1;
                self.to_ring |= 1 << to.min(63);
            }
        }
    }

    /// Ringing by ring failed (the receiver's ring is gone or full): call instead.
    pub(super) fn ring_failed(&self, core: u32) {
        if let Some(bell) = self.mesh.bells.0.get(core as usize) {
            bell.call();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_keep_their_order_through_a_full_inbox_and_the_limit_drops() {
        let bells = Arc::new(Bells::new(2).unwrap());
        let mesh = Arc::new(Mesh::new(bells));
        let mut a = mesh.post(CoreId(0));
        let b = mesh.post(CoreId::METADATA);
        let mut ring = Ring::new(4).unwrap();
        let counters = telemetry::Core::new(CoreId(0));
        let all = INBOX_LETTERS + BACKLOG_LETTERS_MAX;
        for n in 0..all + 10 {
            a.send(CoreId::METADATA, n, &counters);
        }
        a.send(CoreId(7), 0, &counters);
        assert_eq!(counters.mail_dropped.get(), 11);
        assert_eq!(
            counters.event(Event::MailBacklog),
            BACKLOG_LETTERS_MAX as u64 + 10
        );
        let mut next = 0;
        while next < all {
            while let Some(n) = b.receive() {
                assert_eq!(n, next);
                next += 1;
            }
            a.flush(&mut ring, &counters);
        }
        assert!(!a.has_backlog() && !b.is_waiting());
    }

    #[test]
    fn orders_wake_and_the_last_serving_core_takes_the_metadata_core_along() {
        let bells = Bells::new(2).unwrap();
        let metadata = bells.of(CoreId::METADATA);
        bells.drain(500);
        assert_eq!(bells.of(CoreId(1)).take_drain(), Some(500));
        assert_eq!(
            (bells.of(CoreId(1)).take_drain(), metadata.take_drain()),
            (None, None)
        );
        bells.ended(CoreId(1));
        assert_eq!(metadata.take_drain(), None);
        bells.ended(CoreId(0));
        assert_eq!(metadata.take_drain(), Some(1_000));
        bells.stop();
        assert!(bells.of(CoreId(0)).is_stopped() && !metadata.is_stopped());
    }
}
