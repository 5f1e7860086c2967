//! The decisions of one core, counted by their reasons.

use super::{Hit, Reason};

/// How often each reason decided, and what the replies said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    made: [u64; Reason::COUNT],
    hits: [[u64; 3]; Reason::COUNT],
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            made: [0; Reason::COUNT],
            hits: [[0; 3]; Reason::COUNT],
        }
    }
}

impl Decisions {
    /// A statement was sent, or refused, for this reason.
    pub fn decided(&mut self, reason: Reason) {
        if let Some(count) = self.made.get_mut(reason.index()) {
            *count += 1;
        }
    }

    /// Its reply said this.
    pub fn answered(&mut self, reason: Reason, hit: Hit) {
        let counts = self.hits.get_mut(reason.index());
        if let Some(count) = counts.and_then(|counts| counts.get_mut(hit as usize)) {
            *count += 1;
        }
    }

    /// How many were decided for a reason.
    #[must_use]
    pub fn made(&self, reason: Reason) -> u64 {
        self.made.get(reason.index()).copied().unwrap_or(0)
    }

    /// How many replies to them said this. [`Hit::Unknown`] is kept apart: a reply without the flag
    /// is no hit.
    #[must_use]
    pub fn seen(&self, reason: Reason, hit: Hit) -> u64 {
        let counts = self.hits.get(reason.index());
        let count = counts.and_then(|counts| counts.get(hit as usize));
        count.copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_no_hit() {
        let mut decisions = Decisions::default();
        for hit in [Hit::Yes, Hit::Unknown, Hit::Unknown, Hit::No] {
            decisions.decided(Reason::Leader);
            decisions.answered(Reason::Leader, hit);
        }
        let seen = [Hit::Yes, Hit::No, Hit::Unknown].map(|h| decisions.seen(Reason::Leader, h));
        assert_eq!((decisions.made(Reason::Leader), seen), (4, [1, 1, 2]));
        assert_eq!(decisions.made(Reason::WeakRead), 0);
    }
}
