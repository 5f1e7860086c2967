//! How sockets end. Two rules hold it together: a slot is closed only when nothing is in flight on
//! it (a CLOSE under an armed receive would not even send a FIN), and its number is used again only
//! after the CLOSE has completed, under a new generation.

use super::seat::Seat;
use super::shell::Shell;
use super::slot::{Life, NONE, Recv};
use super::uring::Op;
use crate::base::{CloseReason, Errno, Event, Input, Key, Linger, Machines, Side};

/// How long an aborted socket may have operations in flight until it counts as stuck.
const STUCK_MS: u64 = 1_000;

impl<P: Machines> Shell<P> {
    /// Moves a closing slot on as far as it can go now. Called after everything that happens to it.
    pub(super) fn advance(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        match slot.life {
            Life::Free | Life::Socket | Life::Connecting | Life::Open => {}
            Life::Flushing | Life::Lingering | Life::Parting if slot.broken != 0 => {
                self.abort(index);
            }
            Life::Flushing if slot.pieces == 0 && slot.spill.is_none() => {
                slot.life = Life::Lingering;
                slot.inflight += 1;
                let is_eof = slot.is_eof;
                self.ring
                    .shutdown(false, self.slots.tag(Op::Shutdown, index));
                self.set_slot_due(index, self.now.after_ms(self.limits.linger_ms));
                if is_eof {
                    self.abort(index);
                }
            }
            Life::Lingering if slot.is_eof => self.abort(index),
            Life::Parting if slot.pieces == 0 => self.abort(index),
            Life::Aborting if slot.inflight == 0 => {
                slot.life = Life::Closing;
                slot.inflight = 1;
                self.ring.close(self.slots.tag(Op::Close, index));
            }
            Life::Closing if slot.inflight == 0 => {
                self.clear_slot_due(index);
                self.slots.release(index);
            }
            Life::Flushing | Life::Lingering | Life::Parting | Life::Aborting | Life::Closing => {}
        }
    }

    /// Ends a socket at once; unsent output is dropped.
    pub(super) fn abort(&mut self, index: u32) {
        debug_assert_eq!(self.slots[index].seat, NONE, "still attached");
        self.drop_spill(index);
        let slot = &self.slots[index];
        match slot.life {
            Life::Free | Life::Aborting | Life::Closing => return,
            // Completes by itself.
            Life::Socket => {}
            Life::Connecting => self.ring.cancel(self.slots.tag(Op::Connect, index)),
            // This alone completes an armed receive with 0 and a waiting send with EPIPE.
            _ if slot.inflight > 0 => {
                self.ring
                    .shutdown(true, self.slots.tag(Op::Shutdown, index));
                self.slots[index].inflight += 1;
            }
            _ => {}
        }
        self.slots[index].life = Life::Aborting;
        self.slots[index].dial = None;
        self.set_slot_due(index, self.now.after_ms(STUCK_MS));
        self.advance(index);
    }

    /// Sends what was written, then FIN, then waits a bounded time for the peer's.
    fn flush(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        if slot.life != Life::Open {
            self.abort(index);
            return;
        }
        slot.life = Life::Flushing;
        self.set_slot_due(index, self.now.after_ms(self.limits.linger_ms));
        // What the peer still sends is read and thrown away: unread bytes would turn the FIN into a
        // reset, which can destroy the last bytes on their way to the peer.
        self.review_recv(index);
        self.advance(index);
    }

    /// Takes a socket away from its machine: nothing is delivered for it any more.
    pub(super) fn detach(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        let seat = std::mem::replace(&mut slot.seat, NONE);
        let next = std::mem::replace(&mut slot.next_link, NONE);
        let side = slot.side;
        if seat == NONE {
            return;
        }
        if side == Side::Client {
            self.seats[seat].client = NONE;
            self.counters.clients.sub(1);
            self.shared.client_left();
        } else {
            self.counters.links.sub(1);
            if self.seats[seat].links == index {
                self.seats[seat].links = next;
            } else {
                let mut at = self.seats[seat].links;
                while at != NONE && self.slots[at].next_link != index {
                    at = self.slots[at].next_link;
                }
                if at != NONE {
                    self.slots[at].next_link = next;
                }
            }
        }
        self.press(seat);
    }

    /// The machine closes one link.
    pub(super) fn close_link(&mut self, index: u32, linger: Linger) {
        self.detach(index);
        match linger {
            Linger::Flush => self.flush(index),
            Linger::Abort => self.abort(index),
        }
    }

    /// A connection broke: the machine hears of it once, the slot goes.
    pub(super) fn fail(&mut self, index: u32, errno: Errno) {
        let slot = &self.slots[index];
        if slot.seat == NONE || slot.life != Life::Open {
            if !matches!(slot.life, Life::Free | Life::Closing) {
                self.abort(index);
            }
            return;
        }
        let (key, side) = (self.seats.key(slot.seat), slot.side);
        self.detach(index);
        self.abort(index);
        self.call(key, Input::Failed(side, errno));
    }

    /// A send failed. What the peer sent before it broke may still lie in the socket, so the
    /// machine is told when reading has come to its end; at once if nobody reads.
    pub(super) fn send_failed(&mut self, index: u32, errno: Errno) {
        self.drop_spill(index);
        let slot = &mut self.slots[index];
        if slot.broken != 0 || !slot.life.sends() {
            return;
        }
        slot.broken = errno.0;
        let seat = slot.seat;
        self.press(seat);
        let slot = &mut self.slots[index];
        if slot.life != Life::Open {
            return;
        }
        if slot.is_held || slot.is_eof {
            let tag = self.slots.tag(Op::Send, index);
            self.late.push(super::shell::Late::Failed(tag, errno));
            return;
        }
        // Makes sure that reading does come to its end.
        slot.inflight += 1;
        self.ring
            .shutdown(true, self.slots.tag(Op::Shutdown, index));
        self.review_recv(index);
    }

    /// The machine is over: by its own word, or by ours.
    pub(super) fn end(&mut self, key: Key, reason: CloseReason, linger: Linger) {
        let Some(seat) = self.seats.find(key) else {
            return;
        };
        while self.seats[seat].links != NONE {
            let link = self.seats[seat].links;
            self.detach(link);
            let slot = &mut self.slots[link];
            if slot.life == Life::Open && slot.pieces > 0 && slot.spill.is_none() {
                // What was written in this turn (a COM_QUIT) still goes out.
                slot.life = Life::Parting;
            } else {
                self.abort(link);
            }
        }
        let client = self.seats[seat].client;
        if client != NONE {
            self.detach(client);
            match linger {
                Linger::Flush => self.flush(client),
                Linger::Abort => self.abort(client),
            }
        }
        if self.seats[seat].had_client {
            self.counters.closed(reason);
        }
        self.log_end(key, reason, seat);
        self.seats[seat].due.clear(&mut self.wheel);
        self.seats.leave(key);
        self.machines.ended(key);
    }

    fn log_end(&self, key: Key, reason: CloseReason, seat: u32) {
        use tracing::{Level, debug, enabled, error, info, warn};
        let Seat {
            had_client, since, ..
        } = self.seats[seat];
        let lasted_ms = self.now.since_us(since) / 1_000;
        let core = self.core.0;
        let name = reason.name();
        macro_rules! line {
            ($level:expr, $log:ident) => {
                if enabled!($level) {
                    let about = self.machines.describe(key);
                    if had_client {
                        $log!(
                            event = "client_closed",
                            reason = name,
                            core,
                            lasted_ms,
                            "{about}"
                        );
                    } else {
                        $log!(event = "machine_ended", reason = name, core, "{about}");
                    }
                }
            };
        }
        match reason {
            CloseReason::Probe => line!(Level::DEBUG, debug),
            CloseReason::ClientQuit
            | CloseReason::ClientEof
            | CloseReason::LoginRefused
            | CloseReason::LoginDenied
            | CloseReason::ServerIdleTimeout
            | CloseReason::Killed
            | CloseReason::Shutdown => line!(Level::INFO, info),
            CloseReason::ClientGone
            | CloseReason::ClientReset
            | CloseReason::BadPacket
            | CloseReason::BadLogin
            | CloseReason::LoginTimeout
            | CloseReason::NoServer
            | CloseReason::TooManyConnections
            | CloseReason::ServerLostIdle
            | CloseReason::ServerLost
            | CloseReason::ServerTimeout
            | CloseReason::ServerProtocol
            | CloseReason::ServerFrame
            | CloseReason::SpillLimit
            | CloseReason::ClientStalled => line!(Level::WARN, warn),
            CloseReason::Internal => line!(Level::ERROR, error),
        }
    }

    /// A connect, linger or close deadline of a slot has passed.
    pub(super) fn slot_due(&mut self, index: u32) {
        match self.slots[index].life {
            Life::Socket | Life::Connecting => self.dial_late(index),
            Life::Flushing | Life::Lingering | Life::Parting => self.abort(index),
            Life::Aborting | Life::Closing => {
                if !std::mem::replace(&mut self.slots[index].is_stuck, true) {
                    self.counters.count(Event::CloseStuck);
                    tracing::error!(
                        event = "close_stuck",
                        core = self.core.0,
                        slot = ?self.slots[index],
                        "operations in flight long after the close"
                    );
                }
                if self.slots[index].life == Life::Aborting {
                    self.ring.cancel_slot(self.slots.tag(Op::Cancel, index));
                }
                self.set_slot_due(index, self.now.after_ms(STUCK_MS));
            }
            Life::Open => self.stalled(index),
            Life::Free => {}
        }
    }

    /// Moves a slot's deadline.
    pub(super) fn set_slot_due(&mut self, index: u32, at: crate::base::Tick) {
        let timer = self.slots.timer(index);
        self.slots[index].due.set(at, &mut self.wheel, timer);
    }

    /// Forgets a slot's deadline.
    pub(super) fn clear_slot_due(&mut self, index: u32) {
        self.slots[index].due.clear(&mut self.wheel);
    }

    /// A receive is armed or cancelled when what is wanted has changed.
    pub(super) fn review_recv(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        if slot.wants_bytes() {
            if slot.recv == Recv::Idle && !slot.is_listed {
                slot.is_listed = true;
                self.rearm.push(index);
            }
        } else if slot.recv == Recv::Armed && slot.life == Life::Open && self.features.recv_limit {
            // A receive of one buffer is not cancelled: it just is not armed again.
            slot.recv = Recv::Cancelling;
            self.ring.cancel(self.slots.tag(Op::Recv, index));
        }
    }
}
