//! Our ring: one per core, made, driven and dropped by that core's thread.

use super::ops::{self, RecvWay};
use super::pool::{Loan, Pool};
use super::tag::{Op, Tag};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::Fixed;
use io_uring::{IoUring, cqueue, opcode};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Entries of the submission queue; a busier turn takes several calls.
const SUBMISSIONS: u32 = 1024;
/// Entries of the completion queue; more go through the kernel's overflow list, none are lost.
const COMPLETIONS: u32 = 4096;
/// A call that submits nothing is tried again; this often without progress, the ring is broken.
const STALLS_MAX: u32 = 1_000;

/// How long a turn may wait for the first completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::runtime) enum Wait {
    /// Not at all.
    No,
    /// At most this many microseconds.
    Micros(u64),
    /// Until something happens.
    Forever,
}

/// A piece of the output of a turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum Part<'a> {
    /// Lent by a provided buffer.
    Lent(&'a Loan),
    /// `start..start + len` of the arena, looked up when the ring is entered.
    Own {
        /// First byte.
        start: u32,
        /// Number of bytes.
        len: u32,
    },
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Lent(*const u8),
    Own(u32),
}

#[derive(Debug)]
struct Gather {
    tag: Tag,
    first: usize,
    count: usize,
}

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
}

/// What the kernel says about an operation. Exists once; what it carries is taken out once.
#[derive(Debug)]
pub(in crate::runtime) struct Completion {
    /// Whose it is.
    pub(in crate::runtime) tag: Tag,
    /// Result: bytes, 0, a descriptor, or a negative error number.
    pub(in crate::runtime) res: i32,
    flags: u32,
}

impl Completion {
    /// True: more completions of the same operation follow.
    pub(in crate::runtime) fn is_more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// True: there was more to read when the completion was made.
    pub(in crate::runtime) fn is_nonempty(&self) -> bool {
        cqueue::sock_nonempty(self.flags)
    }

    /// The buffer that was filled; taken out once.
    pub(in crate::runtime) fn take_loan(&mut self, pool: &mut Pool) -> Option<Loan> {
        if self.tag.op() != Op::Recv {
            return None;
        }
        let buffer = cqueue::buffer_select(self.flags)?;
        // The mark and the number of the buffer go: a second call finds nothing.
        self.flags &= 0xFFFE;
        Some(pool.filled(buffer, self.res.max(0) as u32))
    }

    /// The accepted connection; taken out once.
    pub(in crate::runtime) fn take_accepted(&mut self) -> Option<OwnedFd> {
        if self.tag.op() != Op::Accept || self.res < 0 {
            return None;
        }
        let fd = std::mem::replace(&mut self.res, -libc::EBADF);
        // SAFETY: the kernel made this descriptor for us, and nothing else owns it: the result is
        // overwritten above (test: `descriptors_do_not_leak`).
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// The ring, what will be asked with the next call, and the memory the kernel looks at meanwhile.
pub(in crate::runtime) struct Ring {
    pub(super) uring: IoUring,
    /// The descriptor for `io_uring_enter`: the registered number if the kernel gave one.
    enter_fd: RawFd,
    enter_flags: u32,
    /// Bytes that machines made in this turn. Free to grow between calls.
    arena: Vec<u8>,
    gathers: Vec<Gather>,
    sources: Vec<(Source, u32)>,
    connects: Vec<(Tag, SocketAddr)>,
    queue: Vec<Entry>,
    batch: Vec<Entry>,
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::msghdr>,
    addresses: Vec<socket2::SockAddr>,
    held: HashMap<u32, Held>,
    inflight: usize,
}

impl Ring {
    /// A ring with a table of `table` direct descriptors. Must be called on the thread that will
    /// use it.
    pub(in crate::runtime) fn new(table: u32) -> io::Result<Self> {
        let uring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        uring.submitter().register_files_sparse(table)?;
        let mut ring = Self {
            enter_fd: uring.as_raw_fd(),
            enter_flags: 0,
            uring,
            arena: Vec::new(),
            gathers: Vec::new(),
            sources: Vec::new(),
            connects: Vec::new(),
            queue: Vec::new(),
            batch: Vec::new(),
            iovecs: Vec::new(),
            headers: Vec::new(),
            addresses: Vec::new(),
            held: HashMap::new(),
            inflight: 0,
        };
        ring.register_self();
        Ok(ring)
    }

    /// Saves the kernel a descriptor look-up per call. The crate's own way is forgotten with each
    /// new `Submitter` (spec: data plane P17), so the two calls are made here.
    fn register_self(&mut self) {
        const IORING_REGISTER_RING_FDS: libc::c_uint = 20;
        const IORING_ENTER_REGISTERED_RING: u32 = 1 << 4;
        let fd = self.uring.as_raw_fd();
        // struct io_uring_rsrc_update: offset (u32, -1 = any), resv (u32), data (u64).
        let mut update: [u32; 4] = [u32::MAX, 0, fd as u32, 0];
        // SAFETY: the kernel reads and writes one io_uring_rsrc_update, which `update` is.
        let n = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                fd,
                IORING_REGISTER_RING_FDS,
                update.as_mut_ptr(),
                1,
            )
        };
        if n == 1 {
            self.enter_fd = update[0] as RawFd;
            self.enter_flags = IORING_ENTER_REGISTERED_RING;
        }
    }

    /// The descriptor by which other rings can ring us.
    pub(in crate::runtime) fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns the descriptor and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(self.uring.as_raw_fd()) }
    }

    /// Operations that will complete some time.
    pub(in crate::runtime) const fn inflight(&self) -> usize {
        self.inflight
    }

    /// True: nothing is in flight and nothing waits to be submitted.
    pub(super) const fn is_quiet(&self) -> bool {
        self.inflight == 0 && self.gathers.is_empty() && self.queue.is_empty()
    }

    /// Where machines write. The kernel looks at it inside [`Self::enter`] only.
    pub(in crate::runtime) const fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Puts a plain descriptor into a slot of the table; the plain one can be closed then.
    pub(in crate::runtime) fn install(&self, slot: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
        let fds = [fd.as_raw_fd()];
        let n = self.uring.submitter().register_files_update(slot, &fds)?;
        if n == 1 {
            Ok(())
        } else {
            Err(io::ErrorKind::Other.into())
        }
    }

    fn push(&mut self, tag: Tag, entry: Entry) {
        if tag.op().is_counted() {
            self.inflight += 1;
        }
        self.queue.push(entry);
    }

    /// Accepts connections of `listener` until it fails.
    pub(in crate::runtime) fn accept(&mut self, listener: BorrowedFd<'_>, tag: Tag) {
        self.push(tag, ops::accept(listener.as_raw_fd(), tag));
    }

    /// Makes a stream socket in the slot. False: the slot number does not fit.
    pub(in crate::runtime) fn socket(&mut self, address: &SocketAddr, tag: Tag) -> bool {
        let domain = if address.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let Some(entry) = ops::socket(tag.slot(), domain, tag) else {
            return false;
        };
        self.push(tag, entry);
        true
    }

    /// Sets the options of a server connection; only failures complete.
    pub(in crate::runtime) fn set_link_options(&mut self, tag: Tag) {
        for option in &ops::LINK_OPTIONS {
            self.push(tag, ops::set_option(tag.slot(), option, tag));
        }
    }

    /// Connects the slot's socket.
    pub(in crate::runtime) fn connect(&mut self, address: SocketAddr, tag: Tag) {
        self.inflight += 1;
        self.connects.push((tag, address));
    }

    /// Receives into provided buffers.
    pub(in crate::runtime) fn recv(&mut self, tag: Tag, way: RecvWay) {
        self.push(tag, ops::recv(tag.slot(), tag, way));
    }

    /// Shuts down writing, or both directions.
    pub(in crate::runtime) fn shutdown(&mut self, both: bool, tag: Tag) {
        let how = if both { libc::SHUT_RDWR } else { libc::SHUT_WR };
        self.push(tag, ops::shutdown(tag.slot(), how, tag));
    }

    /// Closes the slot.
    pub(in crate::runtime) fn close(&mut self, tag: Tag) {
        self.push(tag, ops::close(tag.slot(), tag));
    }

    /// Cancels one operation, which then completes with ECANCELED unless it was faster.
    pub(in crate::runtime) fn cancel(&mut self, target: Tag) {
        self.push(Tag::new(Op::Cancel, 0, 0), ops::cancel(target));
    }

    /// Cancels everything on a slot.
    pub(in crate::runtime) fn cancel_slot(&mut self, tag: Tag) {
        self.push(tag, ops::cancel_slot(tag.slot(), tag));
    }

    /// Rings the bell of the core whose ring this is.
    pub(in crate::runtime) fn bell(&mut self, ring: BorrowedFd<'_>, core: u32) {
        let here = Tag::new(Op::Ring, 0, core);
        let there = Tag::new(Op::Bell, 0, core);
        self.push(here, ops::bell(ring.as_raw_fd(), here, there));
    }

    /// Completes once when `fd` is readable.
    pub(in crate::runtime) fn watch(&mut self, fd: BorrowedFd<'_>, tag: Tag) {
        self.push(tag, ops::watch(fd.as_raw_fd(), tag));
    }

    /// Sends the parts, in order, with the next call; all of it is over when the call returns. It
    /// completes only if not everything was sent: with the count, or with a negative error.
    pub(in crate::runtime) fn send<'a>(
        &mut self,
        tag: Tag,
        parts: impl Iterator<Item = Part<'a>>,
        pool: &Pool,
    ) {
        let first = self.sources.len();
        self.sources.extend(parts.map(|part| match part {
            Part::Lent(loan) => (Source::Lent(pool.address(loan)), loan.len() as u32),
            Part::Own { start, len } => (Source::Own(start), len),
        }));
        let count = self.sources.len() - first;
        self.gathers.push(Gather { tag, first, count });
    }

    /// Sends `bytes[from..]` and keeps them until the completion; one at a time per slot.
    pub(in crate::runtime) fn send_held(&mut self, tag: Tag, bytes: Vec<u8>, from: usize) {
        let rest = &bytes[from..];
        let file = Fixed(tag.slot());
        let entry = opcode::Send::new(file, rest.as_ptr(), rest.len() as u32)
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(tag.0);
        // Moving a `Vec` does not move its bytes, and `held` gives it out only for a completion.
        let before = self.held.insert(tag.slot(), Held { bytes });
        if let Some(before) = before {
            debug_assert!(false, "two held sends on one slot");
            std::mem::forget(before.bytes);
        }
        self.push(tag, entry);
    }

    /// The bytes of the held send that this completion ends.
    pub(in crate::runtime) fn take_held(&mut self, completion: &mut Completion) -> Option<Vec<u8>> {
        if completion.tag.op() != Op::Spill {
            return None;
        }
        let held = self.held.remove(&completion.tag.slot());
        completion.tag = Tag::new(Op::Unknown, 0, 0);
        held.map(|h| h.bytes)
    }

    /// Submits everything, waits as told, and appends all completions. When it returns, every
    /// `send` of this turn is over. An error means that the ring is unusable.
    pub(in crate::runtime) fn enter(
        &mut self,
        wait: Wait,
        done: &mut Vec<Completion>,
    ) -> io::Result<()> {
        self.lay_out();
        let mut wait = wait;
        let mut next = 0;
        let mut stalls = 0;
        loop {
            let mut queue = self.uring.submission();
            // SAFETY: pointers in the batch are to `iovecs`, `headers`, `addresses` and the arena,
            // none of which changes before this function returns, at which time the kernel has
            // taken every entry; to statics; or to `held` and the pool, see the module's notes.
            while next < self.batch.len() && unsafe { queue.push(&self.batch[next]) }.is_ok() {
                next += 1;
            }
            queue.sync();
            let queued = queue.len();
            drop(queue);
            let is_last = next == self.batch.len();
            let call = self.call(
                queued,
                if is_last && done.is_empty() {
                    wait
                } else {
                    Wait::No
                },
            );
            match call {
                Ok(_) => {}
                Err(libc::ETIME | libc::EINTR) => {}
                Err(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) if stalls < STALLS_MAX => {}
                Err(e) => return Err(io::Error::from_raw_os_error(e)),
            }
            self.reap(done);
            let left = self.uring.submission().len();
            if is_last && left == 0 {
                break;
            }
            if left == queued {
                stalls += 1;
                if stalls > STALLS_MAX {
                    return Err(io::Error::from_raw_os_error(libc::EAGAIN));
                }
            }
            if is_last {
                wait = Wait::No;
            }
        }
        let mut stalls = 0;
        while self.uring.submission().cq_overflow() && stalls < STALLS_MAX {
            stalls += 1;
            // The kernel moves the overflow list into the queue in a call that asks for events.
            let _ = self.call(0, Wait::No);
            self.reap(done);
        }
        self.batch.clear();
        Ok(())
    }

    /// Sends first: the peer works while the rest of the batch is taken.
    fn lay_out(&mut self) {
        self.batch.clear();
        self.iovecs.clear();
        self.headers.clear();
        self.addresses.clear();
        for (source, len) in self.sources.drain(..) {
            let base = match source {
                Source::Lent(at) => at,
                Source::Own(start) => {
                    self.arena[start as usize..start as usize + len as usize].as_ptr()
                }
            };
            self.iovecs.push(libc::iovec {
                iov_base: base.cast_mut().cast(),
                iov_len: len as usize,
            });
        }
        // No pointer into `headers` or `addresses` is taken before they have grown to their size.
        for gather in self.gathers.iter().filter(|g| g.count > 1) {
            // SAFETY: a message header of zeroes is valid: no name, no control data.
            let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
            header.msg_iov = (&raw mut self.iovecs[gather.first]).cast();
            header.msg_iovlen = gather.count;
            self.headers.push(header);
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_WAITALL;
        let mut headers = self.headers.iter();
        for gather in self.gathers.drain(..) {
            let file = Fixed(gather.tag.slot());
            let entry = if gather.count == 1 {
                let part = &self.iovecs[gather.first];
                opcode::Send::new(file, part.iov_base.cast_const().cast(), part.iov_len as u32)
                    .flags(flags)
                    .build()
            } else if let Some(header) = headers.next() {
                opcode::SendMsg::new(file, header)
                    .flags(flags as u32)
                    .build()
            } else {
                continue;
            };
            let entry = entry.flags(Flags::SKIP_SUCCESS).user_data(gather.tag.0);
            self.batch.push(entry);
        }
        self.batch.append(&mut self.queue);
        for (_, address) in &self.connects {
            self.addresses.push((*address).into());
        }
        for ((tag, _), address) in self.connects.drain(..).zip(&self.addresses) {
            let entry =
                opcode::Connect::new(Fixed(tag.slot()), address.as_ptr().cast(), address.len());
            self.batch.push(entry.build().user_data(tag.0));
        }
    }

    /// One `io_uring_enter`.
    fn call(&self, submit: usize, wait: Wait) -> Result<u32, i32> {
        const IORING_ENTER_GETEVENTS: u32 = 1;
        const IORING_ENTER_EXT_ARG: u32 = 1 << 3;
        let micros = match wait {
            Wait::Micros(n) => n,
            Wait::No | Wait::Forever => 0,
        };
        let timeout: [i64; 2] = [
            (micros / 1_000_000) as i64,
            (micros % 1_000_000 * 1_000) as i64,
        ];
        // struct io_uring_getevents_arg: sigmask (u64), sigmask_sz and min_wait (u32), ts (u64).
        let arg: [u64; 3] = [0, 0, timeout.as_ptr() as u64];
        let want: u32 = if wait == Wait::No { 0 } else { 1 };
        // With DEFER_TASKRUN completions are made only in a call that asks for events.
        let mut flags = IORING_ENTER_GETEVENTS | self.enter_flags;
        let (arg, bytes) = if matches!(wait, Wait::Micros(_)) {
            flags |= IORING_ENTER_EXT_ARG;
            (arg.as_ptr().cast::<libc::c_void>(), size_of_val(&arg))
        } else {
            (std::ptr::null(), 0)
        };
        // SAFETY: `arg` and `timeout` have the kernel's layout and live through the call; what the
        // submitted entries point at is the business of `enter`.
        let n = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.enter_fd,
                submit as u32,
                want,
                flags,
                arg,
                bytes,
            )
        };
        if n >= 0 {
            return Ok(n as u32);
        }
        Err(io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO))
    }

    fn reap(&mut self, done: &mut Vec<Completion>) {
        for entry in self.uring.completion() {
            let completion = Completion {
                tag: Tag(entry.user_data()),
                res: entry.result(),
                flags: entry.flags(),
            };
            if completion.tag.op().is_counted() && !completion.is_more() {
                debug_assert!(self.inflight > 0);
                self.inflight = self.inflight.saturating_sub(1);
            }
            done.push(completion);
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut f = f.debug_struct("Ring");
        f.field("inflight", &self.inflight)
            .field("queued", &self.queue.len());
        f.finish_non_exhaustive()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel may still read these: the ring is torn down in the background.
        for (_, held) in self.held.drain() {
            std::mem::forget(held.bytes);
        }
    }
}
