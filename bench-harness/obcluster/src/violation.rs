//! What a proxy did that no server forbids and that one kernel would hide.

use crate::record::Entry;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Broken rules that are kept apart from the log: the first ones, which matter most. All are
/// counted.
pub const KEPT_MAX: usize = 10_000;

/// The rule that was broken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViolationKind {
    /// A request came to a link that does not have what its session has.
    StaleState,
    /// A statement of an open transaction came to another link than the one the transaction is on.
    TxEscape,
    /// A function of user locks came to another link than the one that holds the session's locks.
    LockEscape,
    /// A session id of one session was used by another.
    ForeignId,
}

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub kind: ViolationKind,
    /// What it is about: names of variables (`sql_mode`, `@x`), `database`, `session_info:4`,
    /// `statement:7`, or the link that the transaction or the lock is on (`link:12`).
    pub names: Vec<String>,
}

/// What follows from a violation, besides its entry in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnViolation {
    /// Nothing.
    #[default]
    Log,
    /// The request is answered with an error that names it, and does not run.
    Error,
    /// The link ends.
    Close,
}

impl ViolationKind {
    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StaleState => "stale_state",
            Self::TxEscape => "tx_escape",
            Self::LockEscape => "lock_escape",
            Self::ForeignId => "foreign_id",
        }
    }
}

impl Violation {
    /// An id of one session was used by another.
    pub(crate) fn foreign_id(name: String) -> Self {
        Self {
            kind: ViolationKind::ForeignId,
            names: vec![name],
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.names.join(", "))
    }
}

/// A broken rule, and where it was broken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BrokenRule {
    /// Number of the request in the log.
    pub seq: u64,
    /// Its link.
    pub link: u64,
    /// The server of that.
    pub server_id: u32,
    /// The request: its command and the beginning of its text.
    pub request: String,
    /// The rule.
    pub violation: Violation,
}

/// Bytes of a request's text that are kept with a broken rule.
const TEXT_MAX: usize = 256;

/// The broken rules of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Violations(Mutex<Vec<BrokenRule>>);

impl Violations {
    fn lock(&self) -> MutexGuard<'_, Vec<BrokenRule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, entry: &Entry, found: &[Violation]) {
        let mut kept = self.lock();
        let room = KEPT_MAX - kept.len();
        for violation in found.iter().take(room) {
            let text: String = entry.sql.chars().take(TEXT_MAX).collect();
            kept.push(BrokenRule {
                seq: entry.seq,
                link: entry.link,
                server_id: entry.server_id,
                request: format!("{} {text}", entry.cmd),
                violation: violation.clone(),
            });
        }
    }

    pub(crate) fn list(&self) -> Vec<BrokenRule> {
        self.lock().clone()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_kept() {
        let all = Violations::default();
        let entry = |seq| Entry {
            seq,
            ..Entry::default()
        };
        for seq in 0..KEPT_MAX as u64 + 1 {
            all.add(&entry(seq), &[Violation::foreign_id("x".into())]);
        }
        let list = all.list();
        assert_eq!((list.len(), list[0].seq), (KEPT_MAX, 0));
        assert_eq!(list[0].violation.to_string(), "foreign_id: x");
        all.clear();
        assert!(all.list().is_empty());
    }
}
