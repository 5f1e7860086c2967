//! The only place with `unsafe`: our ring, its buffers, and what is asked of the kernel.
//!
//! What keeps it sound, for whoever changes it:
//! * Memory that the kernel reads *within* a system call (pieces of a turn, message headers,
//!   addresses) is laid out inside [`Ring::enter`] and not looked at by the kernel after it:
//!   sends carry `MSG_DONTWAIT`, the rest is copied by the kernel when it takes the entry.
//! * Memory that the kernel reads *after* the call (spilled output) is owned by the ring until the
//!   completion that names it has come.
//! * Memory that the kernel writes (the pool) is unmapped only when nothing is in flight, else
//!   leaked.
//! * A completion exists once, and what it carries (a descriptor, a buffer) is taken out once.
#![expect(unsafe_code, reason = "the kernel shares memory with us")]

mod ops;
mod pool;
mod probe;
mod ring;
mod tag;

pub(super) use ops::RecvWay;
pub(super) use pool::{Loan, Pool};
pub use probe::{Facts, Refusal};
pub(super) use probe::{Features, probe};
pub(super) use ring::{Completion, Part, Ring, Wait};
pub(super) use tag::{Op, Tag};
