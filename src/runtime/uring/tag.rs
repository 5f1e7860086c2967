//! What a completion belongs to.

/// What was asked of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(in crate::runtime) enum Op {
    /// A tag that no operation carries.
    Unknown = 0,
    /// Accept connections until further notice.
    Accept,
    /// Make a socket in a slot.
    Socket,
    /// Set a socket option; completes only on failure.
    SockOpt,
    /// Connect.
    Connect,
    /// Receive into provided buffers.
    Recv,
    /// Send the output of a turn; completes only if it fell short.
    Send,
    /// Send spilled output.
    Spill,
    /// Shut one or both directions down.
    Shutdown,
    /// Cancel another operation; completes only on failure.
    Cancel,
    /// Close a slot.
    Close,
    /// Ring another core's bell; completes here only on failure.
    Ring,
    /// Our bell was rung by another core's ring.
    Bell,
    /// The event descriptor became readable: a thread without a ring calls.
    Call,
}

impl Op {
    const ALL: [Self; 14] = [
        Self::Unknown,
        Self::Accept,
        Self::Socket,
        Self::SockOpt,
        Self::Connect,
        Self::Recv,
        Self::Send,
        Self::Spill,
        Self::Shutdown,
        Self::Cancel,
        Self::Close,
        Self::Ring,
        Self::Bell,
        Self::Call,
    ];

    /// True for operations that always complete: they count as in flight until they do.
    pub(super) const fn is_counted(self) -> bool {
        !matches!(
            self,
            Self::SockOpt | Self::Send | Self::Cancel | Self::Ring | Self::Bell | Self::Unknown
        )
    }
}

/// The `user_data` of an operation: op in the top 8 bits, then 24 bits of generation, then the
/// slot (or listener, or core).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::runtime) struct Tag(pub(super) u64);

impl Tag {
    /// Bits of a generation that fit; the rest is cut off on both sides of a comparison.
    pub(in crate::runtime) const GENERATION_MASK: u32 = 0xFF_FFFF;

    /// A tag for `op` on `slot`.
    pub(in crate::runtime) const fn new(op: Op, generation: u32, slot: u32) -> Self {
        let generation = (generation & Self::GENERATION_MASK) as u64;
        Self((op as u64) << 56 | generation << 32 | slot as u64)
    }

    /// The operation.
    pub(in crate::runtime) fn op(self) -> Op {
        let op = Op::ALL.get((self.0 >> 56) as usize);
        op.copied().unwrap_or(Op::Unknown)
    }

    /// The generation, 24 bits.
    pub(in crate::runtime) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32 & Self::GENERATION_MASK
    }

    /// The slot, listener or core.
    pub(in crate::runtime) const fn slot(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_back_what_was_put_in() {
        for (n, op) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, n);
            let tag = Tag::new(*op, 0x0123_4567, 0x89AB_CDEF);
            assert_eq!((tag.generation(), tag.slot()), (0x23_4567, 0x89AB_CDEF));
            assert_eq!(tag.op(), *op);
        }
        assert_eq!(Tag(u64::MAX).op(), Op::Unknown);
        assert_eq!(Tag(0).op(), Op::Unknown);
    }
}
