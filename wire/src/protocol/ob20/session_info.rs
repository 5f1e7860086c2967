//! What a server told about a session beside its replies, kept.

use super::extra::{Extra, ExtraError, entry, feedback, put_tlv, tlv};
use crate::base::Cursor;
use serde::{Deserialize, Serialize};

/// Session state of one session larger than this is refused.
const SESSION_INFO_MAX: usize = 1 << 20;

/// Session state by sub type: the newest value of each, as the server wrote it. Numbers and
/// contents differ by server version and are not interpreted.
///
/// At most 1 MiB in all; more is an error, because state that is not kept would be lost silently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    parts: Vec<(u16, Vec<u8>)>,
}

impl SessionInfo {
    /// Takes the sub types of one entry of type [`entry::SESSION`]; others stay as they are.
    ///
    /// # Errors
    /// Malformed, or too large in all.
    pub fn merge(&mut self, entry: &[u8]) -> Result<(), ExtraError> {
        let mut c = Cursor::new(entry);
        while c.left() > 0 {
            let (kind, value) = tlv(&mut c)?;
            let others = self.parts.iter().filter(|(k, _)| *k != kind);
            // A part costs more than its bytes.
            let overhead = size_of::<(u16, Vec<u8>)>();
            let len = others.map(|(_, v)| v.len() + overhead).sum::<usize>() + value.len();
            if len > SESSION_INFO_MAX {
                let max = SESSION_INFO_MAX;
                return Err(ExtraError::TooLarge { len, max });
            }
            match self.parts.iter_mut().find(|(k, _)| *k == kind) {
                Some((_, old)) => {
                    old.clear();
                    old.extend_from_slice(value);
                }
                None => self.parts.push((kind, value.to_vec())),
            }
        }
        Ok(())
    }

    /// Sub types and values, in the order of their first coming.
    pub fn parts(&self) -> impl Iterator<Item = (u16, &[u8])> {
        self.parts.iter().map(|(kind, value)| (*kind, &**value))
    }

    /// Appends the value of an entry of type [`entry::SESSION`] with everything known.
    pub fn put(&self, out: &mut Vec<u8>) {
        for (kind, value) in self.parts() {
            put_tlv(out, kind, value);
        }
    }
}

/// All extra info of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraInfo {
    /// Session state.
    pub session: SessionInfo,
    /// The session holds locks of GET_LOCK: it must stay on its connection.
    pub holds_locks: bool,
    /// The session has temporary tables: it must stay on its connection.
    pub has_temporary_tables: bool,
}

/// The last of the sub types that name application, context and client: the same in all versions,
/// and there only if the session has set something.
const NAMES_LAST: u16 = 2;

impl ExtraInfo {
    /// True if something was told that another connection of the session would not have. System
    /// variables do not count: the OK packets name those that change.
    #[must_use]
    pub fn is_tied(&self) -> bool {
        let mut parts = self.session.parts();
        let has_names = parts.any(|(kind, value)| kind <= NAMES_LAST && !value.is_empty());
        has_names || self.holds_locks || self.has_temporary_tables
    }

    /// Takes the extra info of one packet of a reply. Types that mean nothing to a proxy are
    /// skipped.
    ///
    /// # Errors
    /// Malformed, or more session state than is kept.
    pub fn take(&mut self, info: &Extra<'_>) -> Result<(), ExtraError> {
        info.each(|kind, value| match kind {
            entry::SESSION => self.session.merge(value),
            entry::FEEDBACK => self.feedback(value),
            _ => Ok(()),
        })
    }

    fn feedback(&mut self, entry: &[u8]) -> Result<(), ExtraError> {
        let mut c = Cursor::new(entry);
        while c.left() > 0 {
            let (kind, value) = tlv(&mut c)?;
            let is_so = value == b"1";
            match kind {
                feedback::LOCKS => self.holds_locks = is_so,
                feedback::TEMPORARY_TABLES => self.has_temporary_tables = is_so,
                _ => {}
            }
        }
        Ok(())
    }
}
