//! Blocks of session state: which bytes are the newest of a session, and who has them.

use std::collections::VecDeque;
use std::sync::Arc;

/// Sub type of the system variables.
pub const SYSTEM_VARIABLES: u16 = 4;
/// Trace control. Every connection tells it with its first reply.
const TRACE_CONTROL: u16 = 3;
/// What a connection tells that has run nothing, or a SELECT: -1. Observed on seekdb 1.3.0.post5.
const BLANK_QUERY_INFO: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";

/// How servers number the sub types from 5 on. Source: OceanBase wire facts, session state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbering {
    /// seekdb 1.3, the model's kernel: it has no types of transactions.
    #[default]
    Seekdb,
    /// A full OBServer of 4.3, as engine `builtin` is: 5 to 8 are what an open transaction is.
    Full,
}

impl Numbering {
    /// Variables that do not travel with the others, `ob_last_schema_version` among them: told
    /// after DDL, and not because a session has set something.
    pub(super) const fn other_variables(self) -> u16 {
        match self {
            Self::Seekdb => 6,
            Self::Full => 10,
        }
    }

    /// What ROW_COUNT() answers. It changes with nearly every statement.
    pub(super) const fn query_info(self) -> u16 {
        match self {
            Self::Seekdb => 7,
            Self::Full => 11,
        }
    }

    /// True if the report of a block is a change made by the session.
    ///
    /// `sets_variables`: the same reply tells of another value of a system variable.
    pub(super) fn is_change(self, kind: u16, own: Option<&Own>, sets_variables: bool) -> bool {
        match kind {
            SYSTEM_VARIABLES => sets_variables,
            TRACE_CONTROL => own.is_some(),
            _ => kind != self.other_variables(),
        }
    }

    /// True for bytes that say that nothing was done.
    pub(super) fn is_blank(self, kind: u16, bytes: &[u8]) -> bool {
        kind == self.query_info() && bytes == BLANK_QUERY_INFO
    }
}

/// Blocks of one sub type that are remembered per session, to know them again when a proxy sends
/// them. A proxy sends the newest it has seen.
const KNOWN_MAX: usize = 16;

/// Nobody has changed it.
const BLANK: u64 = 0;
/// Bytes that no link of the session has told.
const FOREIGN: u64 = u64::MAX;

/// What a link has of one sub type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) bytes: Arc<[u8]>,
    version: u64,
}

/// What a session has of one sub type. Several blocks can be the same version: connections write
/// what they have been given in their own way.
#[derive(Clone, Debug, Default)]
pub(super) struct Newest {
    version: u64,
    /// The last version that was given out.
    last: u64,
    known: VecDeque<(Arc<[u8]>, u64)>,
}

impl Newest {
    /// True if a link has it.
    pub(super) fn is_with(&self, own: Option<&Own>) -> bool {
        let Some(own) = own else {
            return self.version == BLANK;
        };
        let is_same =
            |(bytes, version): &(Arc<[u8]>, u64)| *version == self.version && *bytes == own.bytes;
        own.version == self.version || self.known.iter().any(is_same)
    }

    /// True if a link that is sent these bytes has it.
    pub(super) fn is_sent_by(&self, bytes: &[u8]) -> bool {
        let newest = |(_, version): &&(Arc<[u8]>, u64)| *version == self.version;
        let mut newest = self.known.iter().filter(newest);
        self.known.is_empty() || newest.any(|(b, _)| **b == *bytes)
    }

    /// A proxy has sent these bytes on a link: what the link has now.
    pub(super) fn sent(&mut self, bytes: &[u8]) -> Own {
        let known = self.known.iter().rev().find(|(b, _)| **b == *bytes);
        if let Some((bytes, version)) = known {
            return Own {
                bytes: bytes.clone(),
                version: *version,
            };
        }
        if self.known.is_empty() {
            // Nothing is known after a reset: what is sent is what there was.
            self.version = self.next();
            return self.know(bytes, self.version);
        }
        Own {
            bytes: bytes.into(),
            version: FOREIGN,
        }
    }

    /// A link has told these bytes: what it has now. `is_blank`: they say that nothing was done.
    pub(super) fn told(
        &mut self,
        is_blank: bool,
        own: Option<&Own>,
        bytes: &[u8],
        is_change: bool,
    ) -> Own {
        if own.is_some_and(|own| *own.bytes == *bytes) && !is_change {
            return own.cloned().unwrap_or_else(|| self.know(bytes, BLANK));
        }
        if is_blank {
            self.version = BLANK;
        } else if is_change {
            self.version = self.next();
        } else if !self.is_with(own) {
            let version = own.map_or(BLANK, |own| own.version);
            return self.know(bytes, version);
        }
        self.know(bytes, self.version)
    }

    /// The session is blank again.
    pub(super) fn clear(&mut self) {
        self.version = BLANK;
        self.known.clear();
    }

    const fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn know(&mut self, bytes: &[u8], version: u64) -> Own {
        let bytes: Arc<[u8]> = bytes.into();
        self.known.retain(|(b, _)| *b != bytes);
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back((bytes.clone(), version));
        Own { bytes, version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_changed_is_with_everybody() {
        let mut all = Newest::default();
        let a = all.told(false, None, b"a", false);
        let b = all.told(false, None, b"b", false);
        assert!(all.is_with(None) && all.is_with(Some(&a)) && all.is_with(Some(&b)));
    }

    #[test]
    fn a_change_is_with_its_link_until_it_is_sent() {
        let mut all = Newest::default();
        let a = all.told(false, None, b"a", false);
        let a = all.told(false, Some(&a), b"a1", true);
        let b = all.told(false, None, b"b", false);
        assert!(all.is_with(Some(&a)) && !all.is_with(None) && !all.is_with(Some(&b)));
        let b = all.sent(b"a1");
        assert!(all.is_with(Some(&b)));
        // The other link writes it in its own way; the first need not have that.
        let b = all.told(false, Some(&b), b"b1", false);
        assert!(all.is_with(Some(&a)) && all.is_with(Some(&b)));
        let b = all.told(false, Some(&b), b"b2", true);
        assert!(!all.is_with(Some(&a)) && all.is_with(Some(&b)));
        // Old bytes, and bytes of nobody.
        let old = all.sent(b"a1");
        let foreign = all.sent(b"z");
        assert!(!all.is_with(Some(&old)) && !all.is_with(Some(&foreign)));
    }

    #[test]
    fn the_same_bytes_told_again_are_no_older() {
        let mut all = Newest::default();
        let a = all.told(false, None, b"a", true);
        let b = all.told(false, None, b"b", true);
        let again = all.told(false, Some(&a), b"a", false);
        assert!(!all.is_with(Some(&again)) && all.is_with(Some(&b)));
        let a = all.told(false, Some(&a), b"a", true);
        assert!(all.is_with(Some(&a)) && !all.is_with(Some(&b)));
    }

    #[test]
    fn a_reset_makes_blank_what_is_reset() {
        let mut all = Newest::default();
        let a = all.told(false, None, b"a", true);
        all.clear();
        assert!(all.is_with(None) && !all.is_with(Some(&a)));
        // Who resets link by link brings back what it had.
        let b = all.sent(b"a");
        assert!(all.is_with(Some(&a)) && all.is_with(Some(&b)));
    }

    #[test]
    fn counts_of_a_fresh_connection_are_blank() {
        let mut all = Newest::default();
        let a = all.told(false, None, b"\x01", true);
        assert!(!all.is_with(None));
        let is_blank = |numbering: Numbering, kind| numbering.is_blank(kind, BLANK_QUERY_INFO);
        assert!(is_blank(Numbering::Seekdb, 7) && !is_blank(Numbering::Full, 7));
        let a = all.told(true, Some(&a), BLANK_QUERY_INFO, true);
        assert!(all.is_with(None) && all.is_with(Some(&a)));
    }
}
