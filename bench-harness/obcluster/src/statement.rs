//! The statements of measurements, and the bytes of their replies: made once, so that a server
//! spends its time in the kernel only.

use crate::canned::{eof, head};
use obring_wire::base::put_lenenc_bytes;
use obring_wire::protocol::mysql::{Command, put_packet};

/// Rows of [`Statement::Megabyte`].
pub const MEGABYTE_ROWS: usize = 5_000;
/// Text of each of them: with header and length 209 bytes, 1.05 MB together.
const MEGABYTE_TEXT: usize = 204;
/// Text of the row of [`Statement::Point`].
const POINT_TEXT: usize = 100;
/// MYSQL_TYPE_LONGLONG, the type of the parameter of a prepared point select.
const LONGLONG: u8 = 0x08;

/// What a client asks again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statement {
    /// `select 1`.
    One,
    /// One row of 100 bytes by its key.
    Point,
    /// 1 MB in 5,000 rows.
    Megabyte,
}

impl Statement {
    /// All of them; the place is the number that a prepared one has.
    pub const ALL: [Self; 3] = [Self::One, Self::Point, Self::Megabyte];

    /// Its text as a query.
    #[must_use]
    pub const fn text(self) -> &'static [u8] {
        match self {
            Self::One => b"select 1",
            Self::Point => b"select v from kv where id=5",
            Self::Megabyte => b"select v from kv",
        }
    }

    /// Its text for COM_STMT_PREPARE.
    #[must_use]
    pub const fn prepared_text(self) -> &'static [u8] {
        match self {
            Self::Point => b"select v from kv where id=?",
            _ => self.text(),
        }
    }

    const fn rows(self) -> (usize, usize) {
        match self {
            Self::One => (1, 1),
            Self::Point => (1, POINT_TEXT),
            Self::Megabyte => (MEGABYTE_ROWS, MEGABYTE_TEXT),
        }
    }

    const fn parameters(self) -> u16 {
        matches!(self, Self::Point) as u16
    }

    /// The number that the server gives it when it is prepared.
    #[must_use]
    pub const fn id(self) -> u32 {
        self as u32 + 1
    }

    /// The prepared statement of this number.
    #[must_use]
    pub fn of_id(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.id() == id)
    }

    /// The packet that asks it: COM_QUERY, or COM_STMT_EXECUTE of the prepared one.
    #[must_use]
    pub fn request(self, is_prepared: bool) -> Vec<u8> {
        let mut out = vec![];
        put_packet(&mut out, 0, |b| {
            if !is_prepared {
                b.push(Command::QUERY.0);
                b.extend_from_slice(self.text());
                return;
            }
            b.push(Command::STMT_EXECUTE.0);
            b.extend_from_slice(&self.id().to_le_bytes());
            // No cursor, one iteration.
            b.extend_from_slice(&[0, 1, 0, 0, 0]);
            if self.parameters() > 0 {
                // Nothing is null; types follow.
                b.extend_from_slice(&[0, 1, LONGLONG, 0]);
                b.extend_from_slice(&5u64.to_le_bytes());
            }
        });
        out
    }

    /// The result: text rows, or binary ones of a prepared statement. `is_proxy` adds the OK that
    /// ends what a proxy gets.
    #[must_use]
    pub fn reply(self, is_prepared: bool, is_proxy: bool) -> Vec<u8> {
        let mut out = vec![];
        let mut seq = head(&mut out, 1);
        let (rows, len) = self.rows();
        for _ in 0..rows {
            put_packet(&mut out, seq, |b| {
                if is_prepared {
                    // Header and null bits of a binary row.
                    b.extend_from_slice(&[0, 0]);
                }
                put_lenenc_bytes(b, &vec![b'1'; len]);
            });
            seq = seq.wrapping_add(1);
        }
        put_packet(&mut out, seq, eof);
        if is_proxy {
            put_terminal_ok(&mut out, seq.wrapping_add(1));
        }
        out
    }

    /// The reply to its COM_STMT_PREPARE.
    #[must_use]
    pub fn prepare_reply(self, is_proxy: bool) -> Vec<u8> {
        let mut out = vec![];
        let parameters = self.parameters();
        put_packet(&mut out, 1, |b| {
            b.push(0);
            b.extend_from_slice(&self.id().to_le_bytes());
            // One column, the parameters, a filler, no warnings.
            b.extend_from_slice(&1u16.to_le_bytes());
            b.extend_from_slice(&parameters.to_le_bytes());
            b.extend_from_slice(&[0, 0, 0]);
        });
        // A definition and an EOF for each list that is not empty.
        let mut seq = 2;
        for _ in 0..=parameters {
            put_packet(&mut out, seq, crate::canned::column);
            put_packet(&mut out, seq + 1, eof);
            seq += 2;
        }
        if is_proxy {
            put_terminal_ok(&mut out, seq);
        }
        out
    }
}

/// The OK that only proxies see.
pub(crate) fn put_terminal_ok(out: &mut Vec<u8>, seq: u8) {
    put_packet(out, seq, |b| {
        b.extend_from_slice(&[0, 0, 0, 0x22, 0, 0, 0, 0])
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_gets_the_reply_and_one_more_packet() {
        for statement in Statement::ALL {
            for is_prepared in [false, true] {
                let plain = statement.reply(is_prepared, false);
                let proxied = statement.reply(is_prepared, true);
                assert_eq!(proxied[..plain.len()], plain);
                assert_eq!(proxied.len(), plain.len() + 12);
            }
        }
        let bytes = Statement::Megabyte.reply(false, false).len();
        assert!((1_000_000..1_100_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_prepared_point_select_has_its_parameter() {
        let asked = Statement::Point.request(true);
        assert_eq!(asked[..5], [22, 0, 0, 0, 0x17]);
        assert_eq!(asked.len(), 26);
        assert_eq!(Statement::One.request(true).len(), 14);
        assert_eq!(Statement::of_id(2), Some(Statement::Point));
        assert_eq!(Statement::of_id(0), None);
    }
}
