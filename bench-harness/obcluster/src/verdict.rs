//! What a statement touches, as something independent of the proxy says it.

use serde::{Deserialize, Serialize};

/// How much is known of the partitions of a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Nobody was asked.
    #[default]
    NotJudged,
    /// The statement names no table that is somewhere.
    NoTable,
    /// These leaves, and no others.
    Exact,
    /// All leaves of a table with more than one: at most these.
    Superset,
    /// No row can be touched; the leaf is where the kernel looks for none.
    Nothing,
    /// It cannot be said, for the reason given. Never counted as right or wrong.
    Unknown,
}

/// Why a verdict is [`VerdictKind::Unknown`] or [`VerdictKind::NotJudged`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Judging is off, or the statement is not in the sample.
    NotAsked,
    /// The client is no proxy.
    Direct,
    /// A command, or a verb, that EXPLAIN does not take: CALL, SET, SHOW, transaction control.
    Verb,
    /// A statement that changes definitions.
    Definition,
    /// LOAD DATA.
    LoadData,
    /// EXPLAIN fails, so the statement will.
    Fails,
    /// The longest statements are not read whole.
    TooLong,
    /// The target of INSERT ... SELECT.
    InsertSelect,
    /// More rows are inserted than are asked about.
    Rows,
    /// A value of an inserted row is DEFAULT, or left out where it is a key.
    Default,
    /// A value depends on the moment or on chance: now(), rand(), uuid().
    Volatile,
    /// A time with a fraction, which INSERT rounds and a select does not.
    Fraction,
    /// The kernel printed `nil`.
    Nil,
    /// Partitions of a global index were printed, not of the table.
    GlobalIndex,
    /// A table of the plan could not be told from its name.
    Name,
    /// The kernel printed something that is not understood.
    Plan,
    /// The text is none that can be rewritten for EXPLAIN.
    Rewrite,
    /// A parameter of the prepared statement could not be replayed.
    Parameter,
    /// The connection of the judge was lost, or it took too long.
    Judge,
}

/// A table and the leaves of it that a statement touches.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Touched {
    /// Its database, in lower case.
    pub db: String,
    /// Its name, in lower case.
    pub table: String,
    /// Its number.
    pub table_id: u64,
    /// Places of its leaves in the kernel's order, ascending; 0 for a table without partitions.
    pub leaves: Vec<u32>,
    /// The tablets of these leaves.
    pub tablets: Vec<u64>,
    /// Numbers of the servers that lead them at the moment of execution; 0 for none.
    pub leaders: Vec<u32>,
}

/// What a statement touches.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// How much is known.
    pub kind: VerdictKind,
    /// Why no more is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// The tables, in the order of the plan, each once.
    pub tables: Vec<Touched>,
}

impl Verdict {
    /// A verdict without tables.
    #[must_use]
    pub const fn without_tables(kind: VerdictKind, reason: Option<Reason>) -> Self {
        Self {
            kind,
            reason,
            tables: vec![],
        }
    }

    /// It cannot be said.
    #[must_use]
    pub const fn unknown(reason: Reason) -> Self {
        Self::without_tables(VerdictKind::Unknown, Some(reason))
    }

    /// Nobody was asked, or the question has no answer.
    #[must_use]
    pub const fn not_judged(reason: Reason) -> Self {
        Self::without_tables(VerdictKind::NotJudged, Some(reason))
    }
}
