//! Extra info: what travels beside the MySQL bytes of an OceanBase 2.0 packet.
//!
//! | form | an entry |
//! |---|---|
//! | new | `type u16 \| length u32 \| value` |
//! | old | key and value, each `16 02 00 FF \| length, base 128, low group first \| bytes \| 00` |
//!
//! Source: OceanBase wire facts, observed on seekdb 1.3.0.post5.

use crate::base::{Cursor, Short};
use std::borrow::Cow;
use std::fmt;

/// Types of entries. A server that does not know a type may hang: send no others.
pub mod entry {
    /// What the server tells the proxy about the session.
    pub const FEEDBACK: u16 = 1001;
    /// Text about the client, to the server.
    pub const TRACE: u16 = 2001;
    /// Session state, both ways.
    pub const SESSION: u16 = 2002;
    /// Full-link trace, both ways.
    pub const FULL_TRACE: u16 = 2003;
    /// Where the session was before, to the server.
    pub const VERIFY: u16 = 2004;
}

/// Types inside [`entry::SESSION`] that are the state of an open transaction, as servers number
/// them that let transactions move (bit 19). Source: OceanBase wire facts, section 6.3.
pub const TRANSACTION_PARTS: std::ops::RangeInclusive<u16> = 5..=8;

/// Types inside [`entry::SESSION`] that say what `row_count()` answers: of seekdb, and of servers
/// that number as above. A server that is sent one answers with it instead of its own.
pub const COUNT_PARTS: [u16; 2] = [7, 11];

/// Types inside [`entry::FEEDBACK`]; each value is one byte, '1' or '0'.
pub mod feedback {
    /// The session holds locks of GET_LOCK.
    pub const LOCKS: u16 = 0;
    /// The session has temporary tables.
    pub const TEMPORARY_TABLES: u16 = 1;
}

/// Keys of the old form and the types that they stand for.
pub mod old {
    use super::entry;

    /// All keys.
    pub const KEYS: &[(&[u8], u16)] = &[
        (b"ob_trace_info", entry::TRACE),
        (b"sess_inf", entry::SESSION),
        (b"full_trc", entry::FULL_TRACE),
        (b"sess_ver", entry::VERIFY),
    ];
}

/// Object head of a string in the old form: type 22, collation level 2, collation 0, scale -1.
const OBJECT: [u8; 4] = [0x16, 0x02, 0x00, 0xFF];

/// The extra info of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra<'a> {
    /// All entries.
    pub bytes: Cow<'a, [u8]>,
    /// They have the new form.
    pub is_new: bool,
}

/// Extra info that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraError {
    /// An entry reaches past the end.
    Short(Short),
    /// A key or value of the old form is no string object.
    NoString,
    /// Session state is larger than what is kept.
    TooLarge {
        /// Bytes it would have.
        len: usize,
        /// The limit.
        max: usize,
    },
}

impl From<Short> for ExtraError {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

impl fmt::Display for ExtraError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(short) => write!(f, "extra info: {short}"),
            Self::NoString => f.write_str("extra info: an object that is no string"),
            Self::TooLarge { len, max } => {
                write!(f, "session state of {len} bytes, at most {max}")
            }
        }
    }
}

impl std::error::Error for ExtraError {}

impl Extra<'_> {
    /// Calls `take` with type and value of every entry, in order. A key of the old form that is
    /// not known is skipped.
    ///
    /// # Errors
    /// The first entry that is not well formed, or the first error of `take`.
    pub fn each(
        &self,
        mut take: impl FnMut(u16, &[u8]) -> Result<(), ExtraError>,
    ) -> Result<(), ExtraError> {
        let mut c = Cursor::new(&self.bytes);
        while c.left() > 0 {
            if self.is_new {
                let (kind, value) = tlv(&mut c)?;
                take(kind, value)?;
                continue;
            }
            let (key, value) = (string(&mut c)?, string(&mut c)?);
            if let Some((_, kind)) = old::KEYS.iter().find(|(name, _)| *name == key) {
                take(*kind, value)?;
            }
        }
        Ok(())
    }
}

/// Reads `type u16 | length u32 | value`.
pub(super) fn tlv<'a>(c: &mut Cursor<'a>) -> Result<(u16, &'a [u8]), Short> {
    let kind = c.u16()?;
    let len = c.u32()?;
    Ok((kind, c.take(len as usize)?))
}

/// Appends `type u16 | length u32 | value`.
pub fn put_tlv(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

/// Appends a key and a value in the old form.
pub fn put_old_pair(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    for bytes in [key, value] {
        out.extend_from_slice(&OBJECT);
        let mut len = bytes.len();
        while len > 0x7F {
            out.push(len as u8 & 0x7F | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend_from_slice(bytes);
        out.push(0);
    }
}

fn string<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], ExtraError> {
    if c.take(OBJECT.len())? != OBJECT {
        return Err(ExtraError::NoString);
    }
    let mut len = 0usize;
    // Five groups hold 32 bits.
    for shift in [0, 7, 14, 21, 28] {
        let group = c.u8()?;
        len |= usize::from(group & 0x7F) << shift;
        if group & 0x80 == 0 {
            let bytes = c.take(len)?;
            return match c.u8()? {
                0 => Ok(bytes),
                _ => Err(ExtraError::NoString),
            };
        }
    }
    Err(ExtraError::NoString)
}
