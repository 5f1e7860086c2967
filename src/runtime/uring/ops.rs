//! Builders of submission entries. None of them carries a pointer to memory of its caller: those
//! that need one are laid out by [`Ring::enter`](super::Ring::enter).

use super::pool::{BUFFER_BYTES, Pool};
use super::tag::{Op, Tag};
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed};
use std::os::fd::RawFd;

/// How receives are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::runtime) enum RecvWay {
    /// Multishot that ends by itself after this many bytes: what a slow client can still be sent
    /// after its link was paused (spec: data plane P2).
    Multi {
        /// Byte limit of one arming.
        limit: u32,
    },
    /// One buffer at a time, for kernels that ignore the limit.
    OneShot {
        /// Wait for readiness instead of trying first.
        poll_first: bool,
    },
}

/// `IORING_RECVSEND_POLL_FIRST`.
const POLL_FIRST: u16 = 1;
/// Where `struct io_uring_sqe` keeps `optlen` (linux/io_uring.h); the crate has no name for it in
/// a receive. The probe sees at start whether the kernel takes it.
const OPTLEN_OFFSET: usize = 44;

pub(super) fn recv(slot: u32, tag: Tag, way: RecvWay) -> Entry {
    let file = Fixed(slot);
    match way {
        RecvWay::Multi { limit } => {
            let mut entry = opcode::RecvMulti::new(file, Pool::GROUP).build();
            const { assert!(size_of::<Entry>() == 64) };
            // SAFETY: an entry is the 64 bytes of `struct io_uring_sqe`, plain integers; offset 44
            // is aligned to 4 (test: the probe's `limit` check, `recv_limit_is_honoured`).
            unsafe {
                let at = (&raw mut entry).cast::<u8>().add(OPTLEN_OFFSET);
                at.cast::<u32>().write(limit);
            }
            entry.user_data(tag.0)
        }
        RecvWay::OneShot { poll_first } => {
            let hint = if poll_first { POLL_FIRST } else { 0 };
            opcode::Recv::new(file, std::ptr::null_mut(), BUFFER_BYTES as u32)
                .buf_group(Pool::GROUP)
                .ioprio(hint)
                .build()
                .flags(Flags::BUFFER_SELECT)
                .user_data(tag.0)
        }
    }
}

pub(super) fn accept(listener: RawFd, tag: Tag) -> Entry {
    opcode::AcceptMulti::new(Fd(listener))
        .flags(libc::SOCK_CLOEXEC)
        .build()
        .user_data(tag.0)
}

pub(super) fn socket(slot: u32, domain: i32, tag: Tag) -> Option<Entry> {
    // No SOCK_CLOEXEC: a direct descriptor has nothing to close on exec and the flag is refused.
    let target = DestinationSlot::try_from_slot_target(slot).ok()?;
    let entry = opcode::Socket::new(domain, libc::SOCK_STREAM, 0)
        .file_index(Some(target))
        .build();
    Some(entry.user_data(tag.0))
}

/// Options of a server connection: level, name, value.
pub(super) static LINK_OPTIONS: [(i32, i32, i32); 5] = [
    (libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
    (
        libc::IPPROTO_TCP,
        libc::TCP_KEEPIDLE,
        super::super::listen::KEEP_IDLE_S,
    ),
    (
        libc::IPPROTO_TCP,
        libc::TCP_KEEPINTVL,
        super::super::listen::KEEP_INTERVAL_S,
    ),
    (
        libc::IPPROTO_TCP,
        libc::TCP_KEEPCNT,
        super::super::listen::KEEP_COUNT,
    ),
];

pub(super) fn set_option(slot: u32, option: &'static (i32, i32, i32), tag: Tag) -> Entry {
    let (level, name, value) = option;
    let value: *const i32 = value;
    opcode::SetSockOpt::new(Fixed(slot), *level as u32, *name as u32, value.cast(), 4)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(tag.0)
}

pub(super) fn shutdown(slot: u32, how: i32, tag: Tag) -> Entry {
    opcode::Shutdown::new(Fixed(slot), how)
        .build()
        .user_data(tag.0)
}

pub(super) fn close(slot: u32, tag: Tag) -> Entry {
    opcode::Close::new(Fixed(slot)).build().user_data(tag.0)
}

pub(super) fn cancel(target: Tag) -> Entry {
    let tag = Tag::new(Op::Cancel, target.generation(), target.slot());
    opcode::AsyncCancel::new(target.0)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(tag.0)
}

pub(super) fn cancel_slot(slot: u32, tag: Tag) -> Entry {
    opcode::AsyncCancel2::new(CancelBuilder::fd(Fixed(slot)).all())
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(tag.0)
}

pub(super) fn bell(ring: RawFd, here: Tag, there: Tag) -> Entry {
    opcode::MsgRingData::new(Fd(ring), 0, there.0, None)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(here.0)
}

pub(super) fn watch(fd: RawFd, tag: Tag) -> Entry {
    opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32)
        .build()
        .user_data(tag.0)
}
