//! Clients come in.

use super::clock;
use super::shell::Shell;
use super::slot::Life;
use super::uring::{Completion, Op, Tag};
use super::wheel::Timer;
use crate::base::{Accepted, Event, Input, Machines, Side};
use rustix::net::{getpeername, getsockname};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// Pause after an accept that failed for lack of something (descriptors, memory).
const BACK_OFF_MS: u64 = 100;

impl<P: Machines> Shell<P> {
    /// Arms the accept of a listener, unless it is closed.
    pub(super) fn arm_accept(&mut self, listener: u32) {
        if let Some(Some(open)) = self.listeners.get(listener as usize) {
            self.ring
                .accept(open.fd(), Tag::new(Op::Accept, 0, listener));
            self.accepts += 1;
        }
    }

    /// No more clients.
    pub(super) fn close_listeners(&mut self) {
        for listener in &mut self.listeners {
            if let Some(open) = listener.take() {
                open.close();
            }
        }
    }

    /// A client came in, or accepting failed.
    pub(super) fn accepted(&mut self, mut completion: Completion) {
        let listener = completion.tag.slot();
        let is_over = !completion.is_more();
        let errno = -completion.res;
        if let Some(client) = completion.take_accepted() {
            self.admit(client);
        } else {
            tracing::debug!(
                event = "accept_failed",
                core = self.core.0,
                errno,
                "accept failed"
            );
        }
        if !is_over {
            return;
        }
        self.accepts -= 1;
        match errno {
            // The client went away between its SYN and us.
            i32::MIN..=0 | libc::ECONNABORTED | libc::EPROTO | libc::EINTR | libc::EAGAIN => {
                self.arm_accept(listener);
            }
            // Out of descriptors or memory, or closed: trying again at once would only spin.
            _ => {
                let at = self.now.after_ms(BACK_OFF_MS);
                self.wheel.arm(at, Timer::Accept(listener));
            }
        }
    }

    fn admit(&mut self, client: OwnedFd) {
        let is_full = self.spill_bytes > self.limits.spill_bytes_max;
        let place = if self.is_draining() || is_full {
            None
        } else {
            self.shared.client_came(self.machines.clients_max())
        };
        let Some(is_over_limit) = place else {
            self.counters.clients_refused.add(1);
            return;
        };
        if !self.seat_client(&client, is_over_limit) {
            self.counters.clients_refused.add(1);
            self.shared.client_left();
        }
        // The plain descriptor is closed here; the slot has its own reference.
    }

    fn seat_client(&mut self, client: &OwnedFd, is_over_limit: bool) -> bool {
        // Fails for a client that is gone already.
        let peer = getpeername(client)
            .ok()
            .flatten()
            .and_then(|a| SocketAddr::try_from(a).ok());
        let local = getsockname(client)
            .ok()
            .and_then(|a| SocketAddr::try_from(a).ok());
        let (Some(peer), Some(local)) = (peer, local) else {
            return false;
        };
        let Some(index) = self.slots.take_for_client() else {
            return false;
        };
        let accepted = Accepted {
            peer,
            local,
            unix_us: clock::unix_us(),
            entropy: self.entropy.take(),
            is_over_limit,
        };
        let Some(key) = self.machines.accept(self.now, accepted) else {
            self.slots.release(index);
            return false;
        };
        if let Err(error) = self.ring.install(index, client.as_fd()) {
            tracing::error!(event = "install_failed", core = self.core.0, %error, "client dropped");
            self.slots.release(index);
            self.machines.ended(key);
            return false;
        }
        self.seats.take(key, self.now);
        let seat = key.index;
        self.seats[seat].client = index;
        self.seats[seat].had_client = true;
        let slot = &mut self.slots[index];
        slot.seat = seat;
        slot.side = Side::Client;
        slot.life = Life::Open;
        self.counters.clients.add(1);
        self.counters.count(Event::ClientAccepted);
        self.review_recv(index);
        self.call(key, Input::Wake);
        true
    }
}
