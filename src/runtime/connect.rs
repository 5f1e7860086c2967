//! Server connections: SOCKET, then options and CONNECT, under a deadline of the wheel.

use super::shell::{Late, Shell};
use super::slot::{Dial, Life, NONE};
use super::uring::{Completion, Op};
use crate::base::{Errno, Input, LinkId, Machines, Side, Tick};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use std::net::SocketAddr;
use std::os::fd::AsFd;

impl<P: Machines> Shell<P> {
    /// The machine wants a connection. The answer is `Connected` or `ConnectFailed`.
    pub(super) fn dial(&mut self, seat: u32, link: LinkId, address: SocketAddr, deadline: Tick) {
        let key = self.seats.key(seat);
        let Some(index) = self.slots.take_for_link() else {
            self.late
                .push(Late::Refused(key, link, Errno(libc::EMFILE)));
            return;
        };
        let slot = &mut self.slots[index];
        slot.seat = seat;
        slot.side = Side::Server(link);
        slot.life = Life::Socket;
        slot.next_link = std::mem::replace(&mut self.seats[seat].links, index);
        slot.dial = Some(Box::new(Dial {
            address,
            is_late: false,
        }));
        self.counters.links.add(1);
        self.set_slot_due(index, deadline);
        if !self.features.set_option {
            self.dial_by_hand(index, address);
            return;
        }
        let tag = self.slots.tag(Op::Socket, index);
        if self.ring.socket(&address, tag) {
            self.slots[index].inflight = 1;
        } else {
            self.give_up(index, Errno(libc::EMFILE), Tell::Later);
        }
    }

    /// For kernels that cannot set options by ring: an ordinary socket, put into the slot.
    fn dial_by_hand(&mut self, index: u32, address: SocketAddr) {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let made = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .and_then(|socket| {
                use super::listen::{KEEP_COUNT, KEEP_IDLE_S, KEEP_INTERVAL_S};
                use std::time::Duration;
                sockopt::set_tcp_nodelay(&socket, true)?;
                sockopt::set_socket_keepalive(&socket, true)?;
                sockopt::set_tcp_keepidle(&socket, Duration::from_secs(KEEP_IDLE_S as u64))?;
                sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(KEEP_INTERVAL_S as u64))?;
                sockopt::set_tcp_keepcnt(&socket, KEEP_COUNT as u32)?;
                Ok(socket)
            })
            .map_err(|e| e.raw_os_error())
            .and_then(|socket| {
                let put = self.ring.install(index, socket.as_fd());
                put.map_err(|e| e.raw_os_error().unwrap_or(libc::EMFILE))
            });
        match made {
            Ok(()) => self.start_connect(index, address),
            Err(errno) => self.give_up(index, Errno(errno), Tell::Later),
        }
    }

    /// The socket is made, or not.
    pub(super) fn socket_made(&mut self, index: u32, completion: &Completion) {
        let slot = &mut self.slots[index];
        slot.inflight -= 1;
        if slot.life != Life::Socket {
            // Closed meanwhile. A socket that was not made is no trouble to the CLOSE.
            self.advance(index);
            return;
        }
        if completion.res < 0 {
            self.give_up(index, Errno(-completion.res), Tell::Now);
            return;
        }
        match slot.dial.as_deref().copied() {
            Some(dial) if !dial.is_late => {
                self.ring
                    .set_link_options(self.slots.tag(Op::SockOpt, index));
                self.start_connect(index, dial.address);
            }
            _ => self.give_up(index, Errno(libc::ETIMEDOUT), Tell::Now),
        }
    }

    fn start_connect(&mut self, index: u32, address: SocketAddr) {
        self.slots[index].life = Life::Connecting;
        self.slots[index].inflight += 1;
        self.ring
            .connect(address, self.slots.tag(Op::Connect, index));
    }

    /// The connect is decided.
    pub(super) fn connect_done(&mut self, index: u32, completion: &Completion) {
        let slot = &mut self.slots[index];
        slot.inflight -= 1;
        if slot.life != Life::Connecting {
            // Closed meanwhile, whatever came of it.
            self.advance(index);
            return;
        }
        let is_late = slot.dial.as_ref().is_none_or(|d| d.is_late);
        if completion.res < 0 {
            let errno = if is_late {
                libc::ETIMEDOUT
            } else {
                -completion.res
            };
            self.give_up(index, Errno(errno), Tell::Now);
            return;
        }
        // Also when the deadline has passed: the connection was faster than its cancellation.
        slot.life = Life::Open;
        slot.dial = None;
        let (seat, side) = (slot.seat, slot.side);
        self.clear_slot_due(index);
        self.press(seat);
        self.review_recv(index);
        if let Side::Server(link) = side
            && seat != NONE
        {
            self.call(self.seats.key(seat), Input::Connected(link));
        }
    }

    /// The deadline of a connect has passed.
    pub(super) fn dial_late(&mut self, index: u32) {
        let slot = &mut self.slots[index];
        if let Some(dial) = &mut slot.dial {
            dial.is_late = true;
        }
        if slot.life == Life::Connecting {
            self.ring.cancel(self.slots.tag(Op::Connect, index));
        }
    }

    fn give_up(&mut self, index: u32, errno: Errno, tell: Tell) {
        let (seat, side) = (self.slots[index].seat, self.slots[index].side);
        self.detach(index);
        self.abort(index);
        let Side::Server(link) = side else {
            return;
        };
        if seat == NONE {
            return;
        }
        let key = self.seats.key(seat);
        match tell {
            Tell::Now => self.call(key, Input::ConnectFailed(link, errno)),
            Tell::Later => self.late.push(Late::Refused(key, link, errno)),
        }
    }
}

/// Outputs are being carried out: the machine cannot be called again before they are done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tell {
    Now,
    Later,
}
