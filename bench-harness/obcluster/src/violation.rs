//! What a proxy did that no server forbids and that one kernel would hide.

use serde::{Deserialize, Serialize};

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
