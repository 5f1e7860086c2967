//! COM_STMT_PREPARE_EXECUTE (161), a command of OceanBase's own drivers: prepares a statement, runs
//! it, and sends the first rows.
//!
//! `a1 | id u32 (0: new) | flags u8 | rows u32 | text | parameters u32 | [null bitmap, 0 or 1,
//! types, values] | mode u32 | 0 u32 | checksum of the text u32 | extend flag u32`. Source:
//! OceanBase wire facts, section 5.3, checked on seekdb 1.3.0.post5.

use super::Command;
use crate::base::{Cursor, Short};

/// The front of such a request, as far as a proxy reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrepareExecute<'a> {
    /// The statement, which has this text already; 0: it is a new one.
    pub statement: u32,
    /// So many rows come with the reply; of a statement without rows: so many times it runs, with
    /// parameters for each.
    pub iterations: u32,
    /// What is prepared.
    pub text: &'a [u8],
    /// Number of its parameters.
    pub params: u32,
    /// Offset in the payload of the null bitmap, which is there if there are parameters.
    pub params_at: usize,
}

impl<'a> PrepareExecute<'a> {
    /// Reads a payload, or the front of one that reaches as far as the parameters.
    ///
    /// # Errors
    /// It ends before that, or is another command (at byte 0).
    pub fn parse(payload: &'a [u8]) -> Result<Self, Short> {
        let mut c = Cursor::new(payload);
        if c.u8()? != Command::STMT_PREPARE_EXECUTE.0 {
            return Err(Short { at: 0 });
        }
        let statement = c.u32()?;
        c.u8()?;
        Ok(Self {
            statement,
            iterations: c.u32()?,
            text: c.lenenc_bytes()?,
            params: c.u32()?,
            params_at: c.position(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_read_and_a_cut_one_is_short() {
        let payload =
            b"\xa1\x07\0\0\0\x01\x02\0\0\0\x0Bselect 1, ?\x01\0\0\0\0\x01\x03\0\x05\0\0\0";
        let read = PrepareExecute::parse(payload);
        let want = PrepareExecute {
            statement: 7,
            iterations: 2,
            text: b"select 1, ?",
            params: 1,
            params_at: 26,
        };
        assert_eq!(read, Ok(want));
        assert_eq!(payload[want.params_at..][..2], [0, 1]);
        for cut in 0..want.params_at {
            assert!(PrepareExecute::parse(&payload[..cut]).is_err(), "{cut}");
        }
        assert_eq!(PrepareExecute::parse(b"\x17\0\0"), Err(Short { at: 0 }));
    }
}
