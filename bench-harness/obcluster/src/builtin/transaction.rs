//! Transactions: what they wrote and may have to undo.

use super::table::Row;

/// The number of a transaction, never used again.
pub(super) type TransactionId = u64;

/// Savepoints of one transaction; more are refused.
pub(super) const SAVEPOINTS_MAX: usize = 1_000;

/// What one write replaced.
#[derive(Clone, Debug)]
pub(super) struct Undo {
    pub(super) table: usize,
    pub(super) id: i64,
    /// What the transaction saw before; `None`: it had no lock.
    pub(super) before: Option<Option<Row>>,
}

/// How far an XA transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum XaState {
    Active,
    Ended,
}

/// An open transaction.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    /// The session that it began on.
    pub(super) coordinator: u32,
    pub(super) is_read_only: bool,
    pub(super) undo: Vec<Undo>,
    /// Names, and how much there was to undo.
    pub(super) savepoints: Vec<(String, usize)>,
    pub(super) xa: Option<(Vec<u8>, XaState)>,
    /// Its statements may run on other servers.
    pub(super) is_free: bool,
    /// Counts its statements: state of an earlier one is stale.
    pub(super) version: u64,
}

impl Transaction {
    pub(super) const fn new(coordinator: u32) -> Self {
        Self {
            coordinator,
            is_read_only: false,
            undo: vec![],
            savepoints: vec![],
            xa: None,
            is_free: false,
            version: 0,
        }
    }
}
