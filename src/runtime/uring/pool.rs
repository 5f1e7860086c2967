//! Provided buffers: the kernel fills them, machines look at them, sends go out from them.

use super::ring::Ring;
use io_uring::types::BufRingEntry;
use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

/// Size of one buffer. Larger replies come in fewer, larger pieces; 64 KiB was the best of the
/// sizes measured (spec: data plane 2.3).
pub(in crate::runtime) const BUFFER_BYTES: usize = 64 << 10;
/// Buffers of a core. A loan ends with its turn, so this bounds the bytes of a turn, not sessions.
const BUFFERS: u16 = 64;
const _: () = assert!(BUFFERS.is_power_of_two());
const RING_BYTES: usize = 4096;
const _: () = assert!(BUFFERS as usize * size_of::<BufRingEntry>() <= RING_BYTES);

/// A piece of a provided buffer. Not `Clone`: made by a completion or by [`Pool::split`], ended by
/// [`Pool::give_back`]. A loan that is dropped keeps its buffer from the kernel for ever.
#[must_use]
#[derive(Debug)]
pub(in crate::runtime) struct Loan {
    buffer: u16,
    /// First byte, from the start of the buffer.
    offset: u32,
    /// Number of bytes.
    len: u32,
}

impl Loan {
    /// Number of bytes.
    pub(in crate::runtime) const fn len(&self) -> usize {
        self.len as usize
    }

    /// Takes `next` in if it begins where this one ends. Gives it back if not.
    pub(in crate::runtime) fn join(&mut self, next: Self, pool: &mut Pool) -> Option<Self> {
        if self.buffer != next.buffer || self.offset + self.len != next.offset {
            return Some(next);
        }
        self.len += next.len;
        pool.give_back(next);
        None
    }
}

/// The buffers of one core, and the ring through which the kernel takes them.
#[derive(Debug)]
pub(in crate::runtime) struct Pool {
    base: *mut u8,
    ring: *mut BufRingEntry,
    tail: u16,
    published: u16,
    loans: [u16; BUFFERS as usize],
    lent: usize,
    free: usize,
    /// Set by [`Pool::retire`]: the kernel does not know the memory any more.
    retired: bool,
}

impl Pool {
    /// The buffer group; there is one per ring.
    pub(super) const GROUP: u16 = 1;

    /// Maps the buffers and hands all of them to the kernel.
    pub(in crate::runtime) fn new(ring: &Ring) -> io::Result<Self> {
        let base = map(BUFFERS as usize * BUFFER_BYTES)?;
        let entries = map(RING_BYTES)?;
        // SAFETY: `entries` is a fresh page-aligned mapping with room for BUFFERS entries, and is
        // unmapped only after `retire` (test: every test that receives).
        let registered = unsafe {
            ring.uring.submitter().register_buf_ring_with_flags(
                entries as u64,
                BUFFERS,
                Self::GROUP,
                0,
            )
        };
        let mut pool = Self {
            base,
            ring: entries.cast(),
            tail: 0,
            published: 0,
            loans: [0; BUFFERS as usize],
            lent: 0,
            free: 0,
            retired: registered.is_err(),
        };
        registered?;
        for buffer in 0..BUFFERS {
            pool.put(buffer);
        }
        pool.publish();
        Ok(pool)
    }

    /// Buffers that the kernel can fill.
    pub(in crate::runtime) const fn free(&self) -> usize {
        self.free
    }

    /// Loans that have not been given back.
    pub(in crate::runtime) const fn lent(&self) -> usize {
        self.lent
    }

    /// A completion says that the kernel put `len` bytes into `buffer`.
    pub(super) fn filled(&mut self, buffer: u16, len: u32) -> Loan {
        assert!(buffer < BUFFERS && len as usize <= BUFFER_BYTES);
        debug_assert_eq!(self.loans[buffer as usize], 0, "filled while lent");
        self.free -= 1;
        self.loans[buffer as usize] = 1;
        self.lent += 1;
        Loan {
            buffer,
            offset: 0,
            len,
        }
    }

    /// A second loan of a part of `loan`. `None` if the range reaches past it.
    pub(in crate::runtime) fn split(&mut self, loan: &Loan, start: u32, end: u32) -> Option<Loan> {
        if start > end || end > loan.len {
            return None;
        }
        self.loans[loan.buffer as usize] += 1;
        self.lent += 1;
        Some(Loan {
            buffer: loan.buffer,
            offset: loan.offset + start,
            len: end - start,
        })
    }

    /// The bytes of a loan.
    pub(in crate::runtime) fn bytes(&self, loan: &Loan) -> &[u8] {
        // SAFETY: offset and length lie within the buffer (`filled` checks, `split` narrows), the
        // mapping lives as long as `self`, and the kernel does not write a buffer that is lent
        // (`give_back` publishes it only when its last loan has ended).
        unsafe { std::slice::from_raw_parts(self.address(loan), loan.len as usize) }
    }

    pub(super) const fn address(&self, loan: &Loan) -> *const u8 {
        let at = loan.buffer as usize * BUFFER_BYTES + loan.offset as usize;
        // SAFETY: within the mapping, see `bytes`.
        unsafe { self.base.add(at) }
    }

    /// Ends a loan; the last one of a buffer gives it to the kernel at the next `publish`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a loan is over when it is given back"
    )]
    pub(in crate::runtime) fn give_back(&mut self, loan: Loan) {
        let count = &mut self.loans[loan.buffer as usize];
        *count -= 1;
        self.lent -= 1;
        if *count == 0 {
            self.put(loan.buffer);
        }
    }

    fn put(&mut self, buffer: u16) {
        let index = usize::from(self.tail & (BUFFERS - 1));
        // SAFETY: `index` is below BUFFERS; the kernel reads the entry only after `publish` has
        // moved the tail past it. The last two bytes of entry 0 are the tail and are not touched.
        unsafe {
            let entry = &mut *self.ring.add(index);
            entry.set_addr(self.base.add(usize::from(buffer) * BUFFER_BYTES) as u64);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        self.free += 1;
    }

    /// Shows the kernel the buffers given back since the last time.
    pub(in crate::runtime) fn publish(&mut self) {
        if self.published == self.tail {
            return;
        }
        self.published = self.tail;
        // SAFETY: `tail` points at the aligned 16-bit tail inside the mapping, which the kernel
        // reads atomically; release orders the entries before it.
        unsafe {
            let tail = BufRingEntry::tail(self.ring).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }

    /// Takes the memory back from the kernel if nothing is in flight; otherwise it is leaked when
    /// the pool is dropped.
    pub(in crate::runtime) fn retire(&mut self, ring: &Ring) {
        if ring.is_quiet() {
            let gone = ring.uring.submitter().unregister_buf_ring(Self::GROUP);
            self.retired = gone.is_ok();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.retired {
            // SAFETY: both were mapped in `new` with these sizes, and the kernel has let go.
            unsafe {
                libc::munmap(self.base.cast(), BUFFERS as usize * BUFFER_BYTES);
                libc::munmap(self.ring.cast(), RING_BYTES);
            }
        }
    }
}

fn map(bytes: usize) -> io::Result<*mut u8> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping; no existing memory is touched.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
    if at == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(at.cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_back_with_its_last_loan() {
        let ring = Ring::new(8).unwrap();
        let mut pool = Pool::new(&ring).unwrap();
        let all = pool.free();
        let whole = pool.filled(3, 100);
        let mut a = pool.split(&whole, 0, 40).unwrap();
        let b = pool.split(&whole, 40, 90).unwrap();
        let c = pool.split(&whole, 95, 100).unwrap();
        assert!(pool.split(&whole, 90, 101).is_none() && pool.split(&whole, 2, 1).is_none());
        pool.give_back(whole);
        assert_eq!((pool.free(), pool.lent()), (all - 1, 3));
        assert!(a.join(b, &mut pool).is_none());
        let c = a.join(c, &mut pool).expect("not a neighbour");
        assert_eq!((a.len(), c.len(), pool.lent()), (90, 5, 2));
        pool.give_back(a);
        assert_eq!(pool.free(), all - 1);
        pool.give_back(c);
        assert_eq!((pool.free(), pool.lent()), (all, 0));
        pool.retire(&ring);
        assert!(pool.retired);
    }
}
