//! The seam between machines and the shell that drives them (the runtime, or the simulator).
//!
//! A machine sees bytes and ticks, never buffers, descriptors or clocks. It is called with one
//! [`Input`], writes [`Output`]s into [`Out`], and says by `poll_timeout` when it next wants to be
//! woken. The shell owns every socket and every buffer. Rules: `docs/architecture.md`.

use super::{CloseReason, Event, Key, Level, Stage, Tick};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// A server connection of one machine: an index chosen by the machine, small, reused after a close.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct LinkId(pub u16);

/// One end of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Side {
    /// The accepted client.
    Client,
    /// A server connection.
    Server(LinkId),
}

/// A range of bytes, `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// True for no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The range for slicing.
    #[must_use]
    pub const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// An operating-system error number (positive, `ECONNREFUSED` = 111).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Errno(pub i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text is the platform's ("Connection refused (os error 111)").
        std::io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

/// Names a core of the process, to address mail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct CoreId(pub u16);

impl CoreId {
    /// The metadata core. Serving cores count from 0.
    pub const METADATA: Self = Self(u16::MAX);
}

/// What happened, for one machine.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Input<'a> {
    /// Bytes of that side, in order; the slice is valid during the call only and is never empty.
    Bytes(Side, &'a [u8]),
    /// That side sent its last byte.
    Eof(Side),
    /// The connection broke (after the last `Bytes`); nothing more can be read or written.
    Failed(Side, Errno),
    /// A connect succeeded; output for the link is accepted from now on.
    Connected(LinkId),
    /// A connect failed or its deadline passed (`ETIMEDOUT`); the link does not exist any more.
    ConnectFailed(LinkId, Errno),
    /// Something this machine waits for in shared knowledge has changed (a mail came in), or the
    /// machine was just created.
    Wake,
    /// The tick has reached `poll_timeout`; the machine finds out what is due.
    Timer,
    /// The process is ending: finish what runs, take nothing new. `deadline` is when it is cut.
    Drain {
        /// When everything left is cut.
        deadline: Tick,
    },
}

/// Whether a side wants more bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Appetite {
    /// Read on (the state of a new side).
    Read,
    /// Stop reading; at most what is already on its way still arrives.
    Hold,
}

/// How a side is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Linger {
    /// Everything written so far is sent, then FIN, then a bounded wait for the peer's FIN.
    Flush,
    /// At once; unsent output is dropped.
    Abort,
}

/// What a machine wants done. The order of outputs for one side is the order on the wire.
#[derive(Clone, PartialEq, Debug)]
pub enum Output<M> {
    /// Send this range of the slice of *this* call: not copied.
    Forward(Side, Span),
    /// Send this range of the arena ([`Out::own`] writes it).
    Own(Side, Span),
    /// Open a connection; answered by `Connected` or `ConnectFailed`, at the latest at `deadline`.
    Connect(LinkId, SocketAddr, Tick),
    /// Read or hold a side.
    Appetite(Side, Appetite),
    /// Close one server connection; no further input of that link arrives, the id is free again.
    Close(LinkId, Linger),
    /// The machine is over: the client is closed as said, remaining links are aborted, nothing more
    /// is delivered to it.
    End(CloseReason, Linger),
    /// Mail for another core (or for the own one).
    Post(CoreId, M),
    /// Count an event.
    Count(Event),
    /// Write a log line. Slow path only: the text is formatted by the machine.
    Log(Level, &'static str, String),
}

/// Reusable buffers for what a machine must keep beyond a call, shared by all machines of a core.
#[derive(Debug, Default)]
pub struct BufferPool {
    free: Vec<Vec<u8>>,
    /// Capacity of all of them.
    bytes: usize,
}

impl BufferPool {
    /// Bytes kept for reuse in all: some dozen large buffers, or one small one for each of the
    /// statements that run at once. A buffer beyond that is freed.
    const BYTES_MAX: usize = 4 << 20;
    /// A buffer that grew beyond this is freed, not kept: one large statement must not pin memory.
    const KEPT_BYTES_MAX: usize = 64 << 10;

    /// An empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        let buffer = self.free.pop().unwrap_or_default();
        self.bytes -= buffer.capacity();
        buffer
    }

    /// Gives a buffer back.
    pub fn give(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let is_wanted = capacity > 0 && capacity <= Self::KEPT_BYTES_MAX;
        if is_wanted && self.bytes + capacity <= Self::BYTES_MAX {
            self.bytes += capacity;
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

/// Told by a machine where its request has got to. The machine has no clock and gets nothing back:
/// what it does cannot depend on how long something took.
pub trait Laps {
    /// The request enters `stage` with the bytes of this call. Nothing if it is there already.
    fn came(&mut self, stage: Stage);
    /// The request enters `stage` now. Nothing if it is there already.
    fn now(&mut self, stage: Stage);
    /// The request has nothing left to do, or nobody waits for it.
    fn over(&mut self);
}

/// Laps that nobody takes.
#[derive(Debug)]
pub struct NoLaps;

impl Laps for NoLaps {
    fn came(&mut self, _: Stage) {}
    fn now(&mut self, _: Stage) {}
    fn over(&mut self) {}
}

/// Where a machine writes: an arena for bytes of its own, and the list of outputs. Both belong to
/// the core and are reset after the turn, so that a session keeps no buffers.
pub struct Out<'c, M> {
    /// Bytes made by machines in this turn.
    pub arena: &'c mut Vec<u8>,
    /// Outputs of this call, in order.
    pub list: &'c mut Vec<Output<M>>,
    /// Buffers to keep bytes in.
    pub pool: &'c mut BufferPool,
    /// Where the machine's request has got to.
    pub laps: &'c mut dyn Laps,
}

impl<M> Out<'_, M> {
    /// Sends bytes made by `write`, which appends to the arena.
    pub fn own(&mut self, side: Side, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        write(self.arena);
        self.own_since(side, start);
    }

    /// Sends what was appended to the arena since it had `start` bytes.
    pub fn own_since(&mut self, side: Side, start: usize) {
        let end = self.arena.len();
        if end == start {
            return;
        }
        let span = Span {
            start: start as u32,
            end: end as u32,
        };
        if let Some(Output::Own(s, last)) = self.list.last_mut()
            && *s == side
            && last.end == span.start
        {
            last.end = span.end;
            return;
        }
        self.list.push(Output::Own(side, span));
    }

    /// Sends a range of the slice of this call; neighbours become one range.
    pub fn forward(&mut self, side: Side, start: usize, end: usize) {
        if start == end {
            return;
        }
        let span = Span {
            start: start as u32,
            end: end as u32,
        };
        if let Some(Output::Forward(s, last)) = self.list.last_mut()
            && *s == side
            && last.end == span.start
        {
            last.end = span.end;
            return;
        }
        self.list.push(Output::Forward(side, span));
    }

    /// Counts an event.
    pub fn count(&mut self, event: Event) {
        self.list.push(Output::Count(event));
    }
}

/// A client connection as it was accepted, with the values that a machine cannot make itself.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Accepted {
    /// The client's address.
    pub peer: SocketAddr,
    /// The proxy's address on this connection.
    pub local: SocketAddr,
    /// Wall clock, microseconds since 1970.
    pub unix_us: u64,
    /// Operating-system randomness.
    pub entropy: [u8; 32],
    /// The process has as many clients as it may have: only an administrator may stay.
    pub is_over_limit: bool,
}

/// All machines of one core, behind ids. The runtime drives one of these per core.
pub trait Machines {
    /// What cores tell each other.
    type Mail: Send + 'static;

    /// A client was accepted. `None`: no place, the connection is closed without a packet. A
    /// machine that wants to refuse with a packet is created and ends at its first `Wake`.
    /// The shell calls `handle(id, Wake)` next.
    fn accept(&mut self, now: Tick, accepted: Accepted) -> Option<Key>;

    /// Clients of all cores together that may be served, as the settings say now.
    fn clients_max(&self) -> u32;

    /// Something happened to machine `id`. Never blocks, never fails.
    fn handle(&mut self, now: Tick, id: Key, input: Input<'_>, out: &mut Out<'_, Self::Mail>);

    /// When `id` wants its next `Timer`. Asked after each `handle`.
    fn poll_timeout(&self, id: Key) -> Option<Tick>;

    /// How many milliseconds the client of `id` may take no byte of what waits for it. Asked while
    /// something waits. `None`: as long as it likes.
    fn stall_limit_ms(&self, _id: Key) -> Option<u64> {
        None
    }

    /// Mail came in. Ids of machines to `Wake` are appended to `wake`, letters of the core itself
    /// to `post`.
    fn mail(
        &mut self,
        now: Tick,
        mail: Self::Mail,
        wake: &mut Vec<Key>,
        post: &mut Vec<(CoreId, Self::Mail)>,
    );

    /// The machine said `End` and all its connections are gone: forget it.
    fn ended(&mut self, id: Key);

    /// One line about the machine for the log (`session=... user=... tenant=...`).
    fn describe(&self, id: Key) -> String;

    /// Ids of all machines, to drain them.
    fn ids(&self, into: &mut Vec<Key>);
}
