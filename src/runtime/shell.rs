//! The loop of one core: our ring, the machines it drives, and everything that happens in a turn.
//!
//! One call into the kernel per turn, the only blocking point. Then, in this order: the sends of
//! the last turn are settled, completions become inputs, orders and mail are read, timers run, and
//! what came of it is laid out for the next call.

use super::clock::{self, Entropy};
use super::error::StartError;
use super::listen::Listener;
use super::mesh::Post;
use super::output::Pieces;
use super::seat::Seats;
use super::slot::Slots;
use super::uring::{Completion, Features, Op, Pool, Ring, Tag, Wait};
use super::wheel::Wheel;
use crate::base::{
    BufferPool, CloseReason, CoreId, Errno, Event, Input, Key, Linger, LinkId, Machines, Output,
    Tick,
};
use crate::telemetry;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

/// Letters read in one turn; more wait for the next, which then does not sleep.
const LETTERS_PER_TURN: usize = 1_024;
/// Timers run in one turn.
const TIMERS_PER_TURN: usize = 1_024;
/// How often in one turn machines are told what failed while they spoke; each may try something
/// else that fails at once. What is left is told in the next turn, which then does not sleep.
const LATE_ROUNDS: usize = 4;
/// How long letters for a full inbox wait for another try.
const BACKLOG_RETRY_US: u64 = 1_000;
/// A turn longer than this is counted and logged.
const STALL_US: u64 = 50_000;
/// How long a core that ends waits for the kernel to let go of its sockets.
const LAST_WAIT_MS: u64 = 1_000;
/// Clients beyond the limit that may log in, to be told so or because they are administrators;
/// more are closed without a packet.
pub(super) const REFUSED_MAX: u32 = 64;

/// Limits of a core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes copied for peers that read slowly.
    pub(super) spill_bytes_max: usize,
    /// How long a closed socket may take to send its last bytes, and its peer to close.
    pub(super) linger_ms: u64,
}

/// What all cores count together.
#[derive(Debug, Default)]
pub(super) struct Shared {
    clients: AtomicU32,
}

impl Shared {
    /// A client came: may it stay? `Some(true)`: it is over the limit and may only stay as an
    /// administrator.
    pub(super) fn client_came(&self, clients_max: u32) -> Option<bool> {
        let before = self.clients.fetch_add(1, SeqCst);
        if before >= clients_max.saturating_add(REFUSED_MAX) {
            self.client_left();
            return None;
        }
        Some(before >= clients_max)
    }

    /// A client left.
    pub(super) fn client_left(&self) {
        self.clients.fetch_sub(1, SeqCst);
    }
}

/// What has to be told to a machine that is in the middle of saying something itself.
#[derive(Debug)]
pub(super) enum Late {
    /// A connect could not even be started.
    Refused(Key, LinkId, Errno),
    /// A socket broke.
    Failed(Tag, Errno),
}

/// When the core ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// It does not.
    No,
    /// When no machine is left; what is left at this time is cut.
    Draining(Tick),
    /// Everything is cut; the kernel has until this time to let go.
    Cut(Tick),
}

/// One core.
pub(super) struct Shell<P: Machines> {
    pub(super) core: CoreId,
    pub(super) machines: P,
    pub(super) now: Tick,
    pub(super) ring: Ring,
    pub(super) pool: Pool,
    pub(super) slots: Slots,
    pub(super) seats: Seats,
    pub(super) pieces: Pieces,
    pub(super) wheel: Wheel,
    pub(super) post: Post<P::Mail>,
    pub(super) counters: Arc<telemetry::Core>,
    pub(super) shared: Arc<Shared>,
    pub(super) features: Features,
    pub(super) limits: Limits,
    pub(super) listeners: Vec<Option<Listener>>,
    /// Accepts in flight.
    pub(super) accepts: usize,
    pub(super) entropy: Entropy,
    pub(super) spill_bytes: usize,
    /// Output list of the call in progress; its capacity is kept.
    pub(super) outputs: Vec<Output<P::Mail>>,
    pub(super) buffers: BufferPool,
    pub(super) stopwatch: telemetry::Stopwatch,
    /// Slots whose receive may have to be armed.
    pub(super) rearm: Vec<u32>,
    /// Slots whose receive has brought all that its limit allows.
    pub(super) used_up: Vec<u32>,
    /// Slots whose receive found no buffer.
    pub(super) starved: Vec<u32>,
    pub(super) late: Vec<Late>,
    pub(super) keys: Vec<Key>,
    pub(super) letters: Vec<(CoreId, P::Mail)>,
    /// Something waits for the settling of this turn's sends (a FIN): do not sleep.
    pub(super) is_hurried: bool,
    end: End,
}

/// What a shell is made of.
pub(super) struct Parts<M> {
    /// Which core it is.
    pub(super) core: CoreId,
    /// Its place in the mesh.
    pub(super) post: Post<M>,
    /// Its numbers.
    pub(super) counters: Arc<telemetry::Core>,
    /// What all cores share.
    pub(super) shared: Arc<Shared>,
    /// What the kernel can do.
    pub(super) features: Features,
    /// Its limits.
    pub(super) limits: Limits,
    /// Where clients come in; none for the metadata core.
    pub(super) listeners: Vec<Listener>,
    /// Size of the table of sockets.
    pub(super) table: u32,
}

impl<P: Machines> Shell<P> {
    /// Sets a core up. To be called on its own thread: the ring belongs to it.
    pub(super) fn new(parts: Parts<P::Mail>, machines: P) -> Result<Self, StartError> {
        let Parts {
            core,
            post,
            counters,
            shared,
            features,
            limits,
            listeners,
            table,
        } = parts;
        let failed = |e: io::Error| StartError::Core {
            core: name(core),
            what: e.to_string(),
        };
        let ring = Ring::new(table).map_err(failed)?;
        let pool = Pool::new(&ring).map_err(failed)?;
        post.publish(&ring).map_err(failed)?;
        let now = clock::now();
        let stopwatch = telemetry::Stopwatch::new(counters.clone(), clock::nanos);
        Ok(Self {
            core,
            machines,
            now,
            ring,
            pool,
            slots: Slots::new(table),
            seats: Seats::default(),
            pieces: Pieces::default(),
            wheel: Wheel::new(now),
            post,
            counters,
            shared,
            features,
            limits,
            listeners: listeners.into_iter().map(Some).collect(),
            accepts: 0,
            entropy: Entropy::new(),
            spill_bytes: 0,
            outputs: Vec::new(),
            buffers: BufferPool::default(),
            stopwatch,
            rearm: Vec::new(),
            used_up: Vec::new(),
            starved: Vec::new(),
            late: Vec::new(),
            keys: Vec::new(),
            letters: Vec::new(),
            is_hurried: false,
            end: End::No,
        })
    }

    /// Runs the core until it is told to end. An error means that the ring is unusable.
    pub(super) fn run(&mut self) -> io::Result<()> {
        self.watch_bell();
        let mut keys = Vec::new();
        self.machines.ids(&mut keys);
        for key in keys {
            self.seats.take(key, self.now);
            self.call(key, Input::Wake);
        }
        for listener in 0..self.listeners.len() as u32 {
            self.arm_accept(listener);
        }
        self.lay_out();
        let mut done = Vec::new();
        while !self.is_over() {
            self.hand_over();
            let wait = self.wait();
            let bell = self.post.bell();
            bell.sleep();
            let wait = if self.post.is_waiting() {
                Wait::No
            } else {
                wait
            };
            self.ring.enter(wait, &mut done)?;
            self.post.bell().awake();
            self.turn(&mut done);
        }
        self.pool.retire(&self.ring);
        Ok(())
    }

    /// Everything between two calls into the kernel.
    fn turn(&mut self, done: &mut Vec<Completion>) {
        let now_ns = clock::nanos();
        self.now = clock::tick(now_ns);
        self.stopwatch.turn(now_ns);
        self.counters.turns.add(1);
        for c in done.iter().filter(|c| c.tag.op() == Op::Send) {
            if let Some(index) = self.slots.of(c.tag) {
                self.slots[index].short = Some(c.res);
            }
        }
        self.is_hurried = false;
        self.settle();
        self.review_used_up();
        for completion in done.drain(..) {
            self.complete(completion);
        }
        self.obey();
        self.read_mail(LETTERS_PER_TURN);
        self.run_timers(TIMERS_PER_TURN);
        for _ in 0..LATE_ROUNDS {
            self.tell_late();
        }
        self.enforce_spill_limit();
        self.lay_out();
        #[cfg(debug_assertions)]
        self.check();
    }

    /// A turn is over: what it laid out goes to the kernel now. A turn that took long is a fault of
    /// ours, or the processor was taken away.
    fn hand_over(&mut self) {
        let now_ns = clock::nanos();
        self.stopwatch.handed(now_ns);
        let busy_us = clock::tick(now_ns).since_us(self.now);
        if busy_us > STALL_US {
            self.counters.count(Event::CoreStalled);
            tracing::warn!(event = "core_stalled", core = self.core.0, busy_us);
        }
    }

    /// Prepares the next call.
    fn lay_out(&mut self) {
        self.push_sends();
        self.arm_receives();
        self.post.flush(&mut self.ring, &self.counters);
        self.pool.publish();
    }

    /// How long the next call may sleep.
    fn wait(&self) -> Wait {
        let is_pressed =
            !self.starved.is_empty() || !self.rearm.is_empty() || !self.late.is_empty();
        if self.is_hurried || is_pressed {
            return Wait::No;
        }
        let end = match self.end {
            End::No => None,
            End::Draining(at) | End::Cut(at) => Some(at),
        };
        let retry = self
            .post
            .has_backlog()
            .then(|| self.now.after_us(BACKLOG_RETRY_US));
        match [self.wheel.next(), end, retry].into_iter().flatten().min() {
            None => Wait::Forever,
            Some(at) => match at.since_us(self.now) {
                0 => Wait::No,
                us => Wait::Micros(us),
            },
        }
    }

    /// Arms the look-out for calls of threads without a ring.
    pub(super) fn watch_bell(&mut self) {
        self.ring
            .watch(self.post.bell().event(), Tag::new(Op::Call, 0, 0));
    }

    /// True: the core accepts nobody.
    pub(super) fn is_draining(&self) -> bool {
        self.end != End::No
    }

    /// Orders of the process: drain, stop; and their time limits.
    fn obey(&mut self) {
        if self.post.bell().is_stopped() && !matches!(self.end, End::Cut(_)) {
            self.cut();
        } else if let Some(ms) = self.post.bell().take_drain()
            && self.end == End::No
        {
            let deadline = self.now.after_ms(ms);
            self.end = End::Draining(deadline);
            self.close_listeners();
            let mut keys = Vec::new();
            self.machines.ids(&mut keys);
            for key in keys {
                self.call(key, Input::Drain { deadline });
            }
        }
        if let End::Draining(deadline) = self.end
            && deadline <= self.now
        {
            self.cut();
        }
    }

    /// Ends every machine now.
    fn cut(&mut self) {
        self.end = End::Cut(self.now.after_ms(LAST_WAIT_MS));
        self.close_listeners();
        let mut keys = Vec::new();
        self.machines.ids(&mut keys);
        for key in keys {
            self.end(key, CloseReason::Shutdown, Linger::Flush);
        }
    }

    fn is_over(&self) -> bool {
        match self.end {
            End::No => false,
            End::Draining(_) => self.seats.len() == 0 && self.slots.len() == 0,
            End::Cut(until) => self.slots.len() == 0 || until <= self.now,
        }
    }

    /// What must hold between turns.
    #[cfg(debug_assertions)]
    fn check(&self) {
        debug_assert_eq!(self.spill_bytes, self.spill_sum());
        for (index, slot) in self.slots.iter() {
            debug_assert!(slot.short.is_none(), "slot {index}: {slot:?}");
            debug_assert!(
                slot.life.is_detached() || slot.seat != super::slot::NONE,
                "{slot:?}"
            );
        }
    }
}

/// The name of a core's thread and of its lines in errors.
pub(super) fn name(core: CoreId) -> String {
    match core {
        CoreId::METADATA => "obring-meta".into(),
        CoreId(n) => format!("obring-{n}"),
    }
}
