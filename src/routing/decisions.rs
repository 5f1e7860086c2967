//! The decisions of one core, counted by their reasons.

use super::{Hit, Reason};
use std::cell::Cell;

/// How often each reason decided, and what the replies said about it. Counted through a shared
/// reference: whoever decides only reads the replica that these numbers are kept beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    made: [Cell<u64>; Reason::COUNT],
    hits: [[Cell<u64>; 3]; Reason::COUNT],
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            made: std::array::from_fn(|_| Cell::new(0)),
            hits: std::array::from_fn(|_| std::array::from_fn(|_| Cell::new(0))),
        }
    }
}

impl Decisions {
    /// A statement was sent, or refused, for this reason.
    pub fn decided(&self, reason: Reason) {
        if let Some(count) = self.made.get(reason.index()) {
            count.set(count.get() + 1);
        }
    }

    /// Its reply said this.
    pub fn answered(&self, reason: Reason, hit: Hit) {
        if let Some(count) = self.count_of(reason, hit) {
            count.set(count.get() + 1);
        }
    }

    fn count_of(&self, reason: Reason, hit: Hit) -> Option<&Cell<u64>> {
        let counts = self.hits.get(reason.index())?;
        counts.get(hit as usize)
    }

    /// How many were decided for a reason.
    #[must_use]
    pub fn made(&self, reason: Reason) -> u64 {
        self.made.get(reason.index()).map_or(0, Cell::get)
    }

    /// How many replies to them said this. [`Hit::Unknown`] is kept apart: a reply without the flag
    /// is no hit.
    #[must_use]
    pub fn seen(&self, reason: Reason, hit: Hit) -> u64 {
        self.count_of(reason, hit).map_or(0, Cell::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_no_hit() {
        let decisions = Decisions::default();
        for hit in [Hit::Yes, Hit::Unknown, Hit::Unknown, Hit::No] {
            decisions.decided(Reason::Leader);
            decisions.answered(Reason::Leader, hit);
        }
        let seen = [Hit::Yes, Hit::No, Hit::Unknown].map(|h| decisions.seen(Reason::Leader, h));
        assert_eq!((decisions.made(Reason::Leader), seen), (4, [1, 1, 2]));
        assert_eq!(decisions.made(Reason::WeakRead), 0);
    }
}
