//! From completions to inputs, and from outputs to operations.

use super::output::Piece;
use super::shell::{Late, Shell};
use super::slot::{Life, NONE, Recv};
use super::uring::{Completion, Loan, Op, RecvWay};
use super::wheel::{NEVER, Timer};
use crate::base::{Errno, Event, Input, Key, Level, Machines, Out, Output, Side, Span};

/// Bytes of one arming of a receive: what a slow client can still be sent after its link was
/// paused is this plus a buffer. 1 MiB is 10 % cheaper for large replies (spec: data plane 2.3).
const RECV_LIMIT_BYTES: u32 = 256 << 10;

impl<P: Machines> Shell<P> {
    /// Deals with one completion.
    pub(super) fn complete(&mut self, mut completion: Completion) {
        let tag = completion.tag;
        match tag.op() {
            Op::Accept => return self.accepted(completion),
            Op::Call => {
                self.post.bell().quiet();
                self.watch_bell();
                return;
            }
            // Awake is all that was wanted.
            Op::Bell => return,
            Op::Ring => return self.post.ring_failed(tag.slot()),
            // A cancel that finds nothing was too late: the operation completes by itself.
            Op::Cancel | Op::Unknown => return,
            _ => {}
        }
        let Some(index) = self.slots.of(tag) else {
            self.counters.stale.add(1);
            if let Some(loan) = completion.take_loan(&mut self.pool) {
                self.pool.give_back(loan);
            }
            return;
        };
        match tag.op() {
            Op::Recv => self.received(index, completion),
            Op::Spill => self.spill_sent(index, completion),
            Op::Socket => self.socket_made(index, &completion),
            Op::Connect => self.connect_done(index, &completion),
            Op::Shutdown | Op::Close => {
                self.slots[index].inflight -= 1;
                self.advance(index);
            }
            Op::SockOpt => {
                let errno = -completion.res;
                tracing::debug!(
                    event = "option_failed",
                    core = self.core.0,
                    errno,
                    "not set"
                );
            }
            // Looked at before `settle`.
            Op::Send => {}
            Op::Accept | Op::Call | Op::Bell | Op::Ring | Op::Cancel | Op::Unknown => {}
        }
    }

    /// A receive has something to say. The one place that looks at F_MORE: a multishot receive can
    /// end with any result.
    fn received(&mut self, index: u32, mut completion: Completion) {
        let loan = completion.take_loan(&mut self.pool);
        let slot = &mut self.slots[index];
        if !completion.is_more() {
            slot.inflight -= 1;
            slot.recv = Recv::Idle;
        }
        slot.is_nonempty = completion.is_nonempty();
        let is_used_up = !completion.is_more() && completion.res > 0;
        match (completion.res, loan) {
            (n, Some(loan)) if n > 0 => self.bytes(index, loan),
            (res, loan) => {
                if let Some(loan) = loan {
                    self.pool.give_back(loan);
                }
                match -res {
                    0 => self.eof(index),
                    libc::ENOBUFS => self.starve(index),
                    // Our own cancel, or nothing happened: armed again if wanted.
                    libc::ECANCELED | libc::EINTR | libc::EAGAIN => {}
                    errno => self.read_failed(index, Errno(errno)),
                }
            }
        }
        if is_used_up && self.features.recv_limit {
            // The other side must have taken these bytes before more are asked for: armed again at
            // once, the receive would bring another limit's worth before a slow reader shows.
            self.is_hurried = true;
            self.used_up.push(index);
        } else {
            self.review_recv(index);
        }
        self.advance(index);
    }

    /// After the sends of a turn are settled: receives whose limit was used up may go on.
    pub(super) fn review_used_up(&mut self) {
        let mut used_up = std::mem::take(&mut self.used_up);
        for index in used_up.drain(..) {
            self.review_recv(index);
        }
        self.used_up = used_up;
    }

    fn bytes(&mut self, index: u32, loan: Loan) {
        let slot = &self.slots[index];
        if slot.life != Life::Open || slot.seat == NONE {
            self.pool.give_back(loan);
            return;
        }
        let (seat, side) = (slot.seat, slot.side);
        let key = self.seats.key(seat);
        self.stopwatch.take(self.seats[seat].lap);
        let mut out = Out {
            arena: self.ring.arena(),
            list: &mut self.outputs,
            pool: &mut self.buffers,
            laps: &mut self.stopwatch,
        };
        let input = Input::Bytes(side, self.pool.bytes(&loan));
        self.machines.handle(self.now, key, input, &mut out);
        self.seats[seat].lap = self.stopwatch.lap();
        self.carry_out(key, Some(&loan));
        self.pool.give_back(loan);
        self.press_asking(index);
        self.review_timer(key);
    }

    fn eof(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        slot.is_eof = true;
        if slot.life != Life::Open || slot.seat == NONE {
            return;
        }
        if slot.broken != 0 {
            let errno = Errno(slot.broken);
            return self.fail(index, errno);
        }
        let (key, side) = (self.seats.key(slot.seat), slot.side);
        self.call(key, Input::Eof(side));
    }

    fn read_failed(&mut self, index: u32, errno: Errno) {
        let slot = &mut self.slots[index];
        slot.is_eof = true;
        // The first error is the one that explains.
        let errno = if slot.broken != 0 {
            Errno(slot.broken)
        } else {
            errno
        };
        slot.broken = errno.0;
        self.fail(index, errno);
    }

    fn starve(&mut self, index: u32) {
        self.counters.count(Event::Starved);
        let slot = &mut self.slots[index];
        if slot.recv == Recv::Idle {
            slot.recv = Recv::Starved;
            self.starved.push(index);
        }
    }

    /// The end of a turn: receives are armed where bytes are wanted.
    pub(super) fn arm_receives(&mut self) {
        let mut rearm = std::mem::take(&mut self.rearm);
        for index in rearm.drain(..) {
            self.slots[index].is_listed = false;
            self.arm_receive(index);
        }
        self.rearm = rearm;
        if self.pool.free() > 0 && !self.starved.is_empty() {
            let mut starved = std::mem::take(&mut self.starved);
            for index in starved.drain(..) {
                if self.slots[index].recv == Recv::Starved {
                    self.slots[index].recv = Recv::Idle;
                    self.arm_receive(index);
                }
            }
            self.starved = starved;
        }
        self.counters.starved.set(self.starved.len() as u64);
    }

    fn arm_receive(&mut self, index: u32) {
        let tag = self.slots.tag(Op::Recv, index);
        let slot = &mut self.slots[index];
        if slot.recv != Recv::Idle || !slot.wants_bytes() {
            return;
        }
        let way = if self.features.recv_limit {
            RecvWay::Multi {
                limit: RECV_LIMIT_BYTES,
            }
        } else {
            RecvWay::OneShot {
                poll_first: !slot.is_nonempty,
            }
        };
        slot.recv = Recv::Armed;
        slot.inflight += 1;
        self.ring.recv(tag, way);
    }

    /// Gives a machine an input without bytes, and carries out what it says.
    pub(super) fn call(&mut self, key: Key, input: Input<'_>) {
        let Some(seat) = self.seats.find(key) else {
            return;
        };
        self.stopwatch.take(self.seats[seat].lap);
        let mut out = Out {
            arena: self.ring.arena(),
            list: &mut self.outputs,
            pool: &mut self.buffers,
            laps: &mut self.stopwatch,
        };
        self.machines.handle(self.now, key, input, &mut out);
        self.seats[seat].lap = self.stopwatch.lap();
        self.carry_out(key, None);
        self.review_timer(key);
    }

    /// Asks for the machine's next deadline. Usually it moves later, which is one store.
    fn review_timer(&mut self, key: Key) {
        let Some(seat) = self.seats.find(key) else {
            return;
        };
        let at = self.machines.poll_timeout(key).unwrap_or(NEVER);
        let timer = Timer::Seat(seat, key.generation);
        self.seats[seat].due.set(at, &mut self.wheel, timer);
    }

    fn carry_out(&mut self, key: Key, loan: Option<&Loan>) {
        if self.outputs.is_empty() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut ending = None;
        for output in outputs.drain(..) {
            match output {
                Output::Post(core, mail) => self.post.send(core, mail, &self.counters),
                Output::Count(event) => self.counters.count(event),
                Output::Log(level, event, text) => log(self.core.0, level, event, &text),
                // After `End` nothing that concerns a socket counts.
                _ if ending.is_some() => self.drop_output(key),
                Output::End(reason, linger) => ending = Some((reason, linger)),
                Output::Forward(side, span) => self.forward(key, side, span, loan),
                Output::Own(side, span) => self.own(key, side, span),
                Output::Connect(link, address, deadline) => {
                    self.counters.count(Event::LinkConnect);
                    match (self.seats.find(key), self.find(key, Side::Server(link))) {
                        (Some(seat), None) => self.dial(seat, link, address, deadline),
                        _ => self.drop_output(key),
                    }
                }
                Output::Appetite(side, appetite) => match self.find(key, side) {
                    Some(index) => {
                        self.slots[index].is_held = appetite == crate::base::Appetite::Hold;
                        self.review_recv(index);
                    }
                    None => self.drop_output(key),
                },
                Output::Close(link, linger) => match self.find(key, Side::Server(link)) {
                    Some(index) => self.close_link(index, linger),
                    None => self.drop_output(key),
                },
            }
        }
        self.outputs = outputs;
        if let Some((reason, linger)) = ending {
            self.end(key, reason, linger);
        }
    }

    /// The slot of a machine's side.
    fn find(&self, key: Key, side: Side) -> Option<u32> {
        let seat = &self.seats[self.seats.find(key)?];
        if side == Side::Client {
            return (seat.client != NONE).then_some(seat.client);
        }
        let mut at = seat.links;
        while at != NONE && self.slots[at].side != side {
            at = self.slots[at].next_link;
        }
        (at != NONE).then_some(at)
    }

    /// The slot of a side that takes output.
    fn find_open(&self, key: Key, side: Side) -> Option<u32> {
        let index = self.find(key, side)?;
        (self.slots[index].life == Life::Open).then_some(index)
    }

    fn forward(&mut self, key: Key, side: Side, span: Span, loan: Option<&Loan>) {
        let Some(index) = self.find_open(key, side) else {
            return self.drop_output(key);
        };
        let piece = loan.and_then(|loan| self.pool.split(loan, span.start, span.end));
        match piece {
            Some(piece) if piece.len() > 0 => self.append(index, Piece::Lent(piece)),
            Some(empty) => self.pool.give_back(empty),
            None => self.drop_output(key),
        }
    }

    fn own(&mut self, key: Key, side: Side, span: Span) {
        let is_inside = span.start <= span.end && span.end as usize <= self.ring.arena().len();
        let Some(index) = self.find_open(key, side).filter(|_| is_inside) else {
            return self.drop_output(key);
        };
        if span.is_empty() {
            return;
        }
        let piece = Piece::Own {
            start: span.start,
            len: span.end - span.start,
        };
        self.append(index, piece);
    }

    fn drop_output(&self, key: Key) {
        self.counters.outputs_dropped.add(1);
        tracing::debug!(
            event = "output_dropped",
            core = self.core.0,
            machine = key.index,
            "output for a side that does not exist or is not open"
        );
    }

    /// What could not be told while outputs were being carried out.
    pub(super) fn tell_late(&mut self) {
        if self.late.is_empty() {
            return;
        }
        for late in std::mem::take(&mut self.late) {
            match late {
                Late::Refused(key, link, errno) => {
                    self.call(key, Input::ConnectFailed(link, errno));
                }
                Late::Failed(tag, errno) => {
                    if let Some(index) = self.slots.of(tag) {
                        self.fail(index, errno);
                    }
                }
            }
        }
    }

    /// Letters of other cores, and who is to look at what they changed.
    pub(super) fn read_mail(&mut self, letters_max: usize) {
        for _ in 0..letters_max {
            let Some(letter) = self.post.receive() else {
                return;
            };
            let mut keys = std::mem::take(&mut self.keys);
            let mut post = std::mem::take(&mut self.letters);
            self.machines.mail(self.now, letter, &mut keys, &mut post);
            for (to, letter) in post.drain(..) {
                self.post.send(to, letter, &self.counters);
            }
            self.letters = post;
            for key in keys.drain(..) {
                self.call(key, Input::Wake);
            }
            self.keys = keys;
        }
    }

    /// Timers that are due.
    pub(super) fn run_timers(&mut self, timers_max: usize) {
        let mut budget = timers_max;
        while let Some(timer) = self.wheel.pop(self.now, &mut budget) {
            match timer {
                Timer::Seat(index, generation) => {
                    let key = Key { index, generation };
                    if let Some(seat) = self.seats.find(key)
                        && self.seats[seat].due.fired(self.now, &mut self.wheel, timer)
                    {
                        self.call(key, Input::Timer);
                    }
                }
                Timer::Slot(index, generation) => {
                    if self.slots.is_current(index, generation) {
                        let due = &mut self.slots[index].due;
                        if due.fired(self.now, &mut self.wheel, timer) {
                            self.slot_due(index);
                        }
                    }
                }
                Timer::Accept(listener) => self.arm_accept(listener),
            }
        }
    }
}

/// A log line of a machine.
fn log(core: u16, level: Level, event: &'static str, text: &str) {
    match level {
        Level::Error => tracing::error!(event, core, "{text}"),
        Level::Warn => tracing::warn!(event, core, "{text}"),
        Level::Info => tracing::info!(event, core, "{text}"),
        Level::Debug => tracing::debug!(event, core, "{text}"),
    }
}
