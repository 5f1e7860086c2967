//! Whether a statement must see the newest rows.

use crate::sql;

/// The level of a statement, and what decided it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// The leader answers.
    Strong(StrongBy),
    /// Any replica may answer.
    Weak(WeakBy),
}

impl Consistency {
    /// Any replica may answer.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Weak(_))
    }
}

/// What made a statement strong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StrongBy {
    /// Several statements in one text.
    SeveralStatements,
    /// The transaction has written: it must see its own rows.
    WrittenBefore,
    /// It is no SELECT.
    NotARead,
    /// The hint READ_CONSISTENCY(STRONG).
    Hint,
    /// The comment `/*FORCE_MASTER*/`.
    ForceMaster,
    /// It would be weak, but locks what it reads.
    Locking,
    /// It would be weak, but the server cannot read weakly.
    Server,
    /// Nothing asked for anything else.
    Default,
}

/// What made a statement weak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WeakBy {
    /// The hint READ_CONSISTENCY(WEAK).
    Hint,
    /// `ob_read_consistency` = 2.
    Variable,
    /// `enable_read_write_split`.
    Split,
}

/// What the level depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsistencyFacts {
    /// Another statement stands behind a `;`.
    pub is_multi: bool,
    /// A SELECT, or EXECUTE of one that was prepared as text.
    pub is_read: bool,
    /// FOR UPDATE and its kind.
    pub is_locking: bool,
    /// READ_CONSISTENCY of the hint.
    pub hint: Option<sql::Consistency>,
    /// `/*FORCE_MASTER*/` at its beginning ([`forces_master`]).
    pub forces_master: bool,
    /// The session's `ob_read_consistency` is 2.
    pub session_is_weak: bool,
    /// A transaction is open, a held BEGIN or XA START included.
    pub is_in_transaction: bool,
    /// The transaction has written: an earlier [`Level::writes`].
    pub has_written: bool,
    /// The session's `autocommit` is 0.
    pub is_autocommit_off: bool,
    /// `enable_read_write_split`
    pub splits_reads: bool,
    /// `enable_transaction_split`
    pub splits_transactions: bool,
    /// The server's kernel knows weak reads.
    pub server_can_be_weak: bool,
}

/// The level, and what the statement does to the levels behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Level {
    /// The level.
    pub consistency: Consistency,
    /// It counts as a write: reads behind it in the same transaction are strong.
    pub writes: bool,
}

/// The level of a statement: the first line that fits. Source: OBProxy 4.4.1 behaviour, as in the
/// newer-releases facts, section 2.1.
#[must_use]
pub fn consistency(facts: &ConsistencyFacts) -> Level {
    let strong = |by| Level {
        consistency: Consistency::Strong(by),
        writes: !facts.is_read,
    };
    if facts.is_multi {
        // What stands behind the first one is not looked at: it may write.
        return Level {
            consistency: Consistency::Strong(StrongBy::SeveralStatements),
            writes: true,
        };
    }
    if facts.has_written && facts.is_in_transaction {
        return strong(StrongBy::WrittenBefore);
    }
    if !facts.is_read {
        return strong(StrongBy::NotARead);
    }
    let by = match facts.hint {
        Some(sql::Consistency::Strong) => return strong(StrongBy::Hint),
        Some(sql::Consistency::Weak) => WeakBy::Hint,
        _ if facts.forces_master => return strong(StrongBy::ForceMaster),
        _ if facts.session_is_weak => WeakBy::Variable,
        _ if is_split(facts) => WeakBy::Split,
        _ => return strong(StrongBy::Default),
    };
    match (facts.is_locking, facts.server_can_be_weak) {
        // What it reads it is about to write.
        (true, _) => Level {
            consistency: Consistency::Strong(StrongBy::Locking),
            writes: true,
        },
        (_, false) => strong(StrongBy::Server),
        (false, true) => Level {
            consistency: Consistency::Weak(by),
            writes: false,
        },
    }
}

const fn is_split(facts: &ConsistencyFacts) -> bool {
    let is_free = !facts.is_autocommit_off || facts.splits_transactions;
    facts.splits_reads && !facts.is_in_transaction && is_free
}

/// True if a comment at the beginning of a statement is `/*FORCE_MASTER*/`; case and blanks inside
/// do not matter.
#[must_use]
pub fn forces_master(text: &[u8]) -> bool {
    let mut rest = text.trim_ascii_start();
    while let Some(inner) = rest.strip_prefix(b"/*") {
        let Some(end) = memchr::memmem::find(inner, b"*/") else {
            return false;
        };
        let (comment, behind) = inner.split_at(end);
        if comment.trim_ascii().eq_ignore_ascii_case(b"force_master") {
            return true;
        }
        rest = behind.get(2..).unwrap_or_default().trim_ascii_start();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use sql::Consistency::{Other, Strong, Weak};

    /// A plain SELECT of a session that reads weakly.
    fn read() -> ConsistencyFacts {
        ConsistencyFacts {
            is_read: true,
            session_is_weak: true,
            server_can_be_weak: true,
            ..ConsistencyFacts::default()
        }
    }

    type Change = fn(&mut ConsistencyFacts);

    #[test]
    fn the_first_rule_that_fits_decides() {
        use Consistency as Is;
        let cases: &[(&str, Change, Consistency)] = &[
            ("variable", |_| {}, Is::Weak(WeakBy::Variable)),
            (
                "several statements beat a weak hint",
                |f| (f.is_multi, f.hint) = (true, Some(Weak)),
                Is::Strong(StrongBy::SeveralStatements),
            ),
            (
                "own writes beat a weak hint",
                |f| (f.is_in_transaction, f.has_written, f.hint) = (true, true, Some(Weak)),
                Is::Strong(StrongBy::WrittenBefore),
            ),
            (
                "a write of a transaction that is over is nothing",
                |f| f.has_written = true,
                Is::Weak(WeakBy::Variable),
            ),
            (
                "a weak hint before the first write counts",
                |f| (f.is_in_transaction, f.hint) = (true, Some(Weak)),
                Is::Weak(WeakBy::Hint),
            ),
            (
                "a write",
                |f| (f.is_read, f.hint) = (false, Some(Weak)),
                Is::Strong(StrongBy::NotARead),
            ),
            (
                "a strong hint beats the variable",
                |f| f.hint = Some(Strong),
                Is::Strong(StrongBy::Hint),
            ),
            (
                "FROZEN decides nothing",
                |f| f.hint = Some(Other),
                Is::Weak(WeakBy::Variable),
            ),
            (
                "FORCE_MASTER beats variable and split",
                |f| (f.forces_master, f.splits_reads) = (true, true),
                Is::Strong(StrongBy::ForceMaster),
            ),
            (
                "a hint beats FORCE_MASTER",
                |f| (f.forces_master, f.hint) = (true, Some(Weak)),
                Is::Weak(WeakBy::Hint),
            ),
            (
                "split",
                |f| (f.session_is_weak, f.splits_reads) = (false, true),
                Is::Weak(WeakBy::Split),
            ),
            (
                "no split inside a transaction, a held BEGIN included",
                |f| {
                    (f.session_is_weak, f.splits_reads) = (false, true);
                    f.is_in_transaction = true;
                },
                Is::Strong(StrongBy::Default),
            ),
            (
                "no split with autocommit = 0",
                |f| {
                    (f.session_is_weak, f.splits_reads) = (false, true);
                    f.is_autocommit_off = true;
                },
                Is::Strong(StrongBy::Default),
            ),
            (
                "unless transactions are split too",
                |f| {
                    (f.session_is_weak, f.splits_reads) = (false, true);
                    (f.is_autocommit_off, f.splits_transactions) = (true, true);
                },
                Is::Weak(WeakBy::Split),
            ),
            (
                "nothing said",
                |f| f.session_is_weak = false,
                Is::Strong(StrongBy::Default),
            ),
            (
                "FOR UPDATE",
                |f| f.is_locking = true,
                Is::Strong(StrongBy::Locking),
            ),
            (
                "a server that cannot",
                |f| f.server_can_be_weak = false,
                Is::Strong(StrongBy::Server),
            ),
        ];
        for (name, change, level) in cases {
            let mut facts = read();
            change(&mut facts);
            assert_eq!(consistency(&facts).consistency, *level, "{name}");
        }
    }

    #[test]
    fn writes_and_locking_reads_that_would_be_weak_are_remembered() {
        let writes = |change: Change| {
            let mut facts = read();
            change(&mut facts);
            consistency(&facts).writes
        };
        assert!(writes(|f| f.is_read = false));
        assert!(writes(|f| f.is_locking = true));
        assert!(!writes(
            |f| (f.is_locking, f.session_is_weak) = (true, false)
        ));
        assert!(!writes(|_| {}));
    }

    #[test]
    fn the_comment_is_found_at_the_beginning_only() {
        for (text, said) in [
            ("/*FORCE_MASTER*/select 1", true),
            (" /* trace */ /* force_master */ select 1", true),
            ("select /*FORCE_MASTER*/ 1", false),
            ("/*FORCE_MASTER", false),
            ("/*FORCE_MASTERS*/ select 1", false),
            ("", false),
        ] {
            assert_eq!(forces_master(text.as_bytes()), said, "{text}");
        }
    }
}
