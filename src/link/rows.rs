//! A small text result, gathered: what the metadata core reads.

use crate::base::{Cursor, Short};
use crate::protocol::mysql::{ClientTurn, ErrPacket, ReplySink};

/// A result larger than this is refused: metadata answers are small.
const RESULT_BYTES_MAX: usize = 16 << 20;

/// Collects the bytes of one text reply and reads them afterwards.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rows {
    bytes: Vec<u8>,
    is_too_large: bool,
}

/// Why there are no rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowsError {
    /// The server answered an error: number and text.
    Server(u16, String),
    /// The result is larger than 16 MiB.
    TooLarge,
    /// The packets do not make a text result.
    Malformed,
}

impl std::fmt::Display for RowsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Server(code, text) => write!(f, "error {code}: {text}"),
            Self::TooLarge => write!(f, "result larger than {RESULT_BYTES_MAX} bytes"),
            Self::Malformed => f.write_str("malformed result"),
        }
    }
}

impl std::error::Error for RowsError {}

impl From<Short> for RowsError {
    fn from(_: Short) -> Self {
        Self::Malformed
    }
}

/// A reply sink that fills [`Rows`]; `slice` is what is being fed.
pub struct Collect<'a> {
    /// Where bytes go.
    pub rows: &'a mut Rows,
    /// The slice of the current call.
    pub slice: &'a [u8],
}

impl Rows {
    /// A sink for one call of `Reply::feed` with `slice`.
    pub const fn collect<'a>(&'a mut self, slice: &'a [u8]) -> Collect<'a> {
        Collect { rows: self, slice }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > RESULT_BYTES_MAX {
            self.is_too_large = true;
            self.bytes = Vec::new();
        }
        if !self.is_too_large {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The names of the columns, as the server gives them.
    pub fn columns(&self) -> Result<Vec<&[u8]>, RowsError> {
        let mut packets = Packets(Cursor::new(&self.bytes));
        let head = packets.next().ok_or(RowsError::Malformed)?;
        if head.first() == Some(&0xFF) {
            return Err(error(head)?);
        }
        let mut names = vec![];
        for _ in 0..Cursor::new(head).lenenc()? {
            let mut c = Cursor::new(packets.next().ok_or(RowsError::Malformed)?);
            // Catalog, schema, table and its real name stand in front.
            for _ in 0..4 {
                c.lenenc_bytes()?;
            }
            names.push(c.lenenc_bytes()?);
        }
        Ok(names)
    }

    /// Reads the result: each row as values by column position, NULL as `None`.
    pub fn read(&self) -> Result<Vec<Vec<Option<&[u8]>>>, RowsError> {
        if self.is_too_large {
            return Err(RowsError::TooLarge);
        }
        let mut packets = Packets(Cursor::new(&self.bytes));
        let Some(head) = packets.next() else {
            return Ok(vec![]);
        };
        if head.first() == Some(&0xFF) {
            return Err(error(head)?);
        }
        let columns = Cursor::new(head).lenenc()?;
        for _ in 0..columns {
            packets.next().ok_or(RowsError::Malformed)?;
        }
        packets.next().ok_or(RowsError::Malformed)?;
        let mut rows = vec![];
        for packet in packets {
            match packet.first() {
                Some(0xFE) if packet.len() < 9 => return Ok(rows),
                Some(0xFF) => return Err(error(packet)?),
                _ => {}
            }
            let mut c = Cursor::new(packet);
            let mut row = vec![];
            for _ in 0..columns {
                if c.clone().u8()? == 0xFB {
                    c.u8()?;
                    row.push(None);
                } else {
                    row.push(Some(c.lenenc_bytes()?));
                }
            }
            rows.push(row);
        }
        Err(RowsError::Malformed)
    }
}

fn error(packet: &[u8]) -> Result<RowsError, Short> {
    let e = ErrPacket::parse(packet)?;
    let text = String::from_utf8_lossy(e.message).into_owned();
    Ok(RowsError::Server(e.code, text))
}

struct Packets<'a>(Cursor<'a>);

impl<'a> Iterator for Packets<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let len = self.0.u24().ok()? as usize;
        self.0.u8().ok()?;
        self.0.take(len).ok()
    }
}

impl ReplySink for Collect<'_> {
    fn pass(&mut self, start: usize, end: usize) {
        let bytes = self.slice.get(start..end).unwrap_or_default();
        self.rows.push(bytes);
    }
    fn pass_held(&mut self, bytes: &[u8]) {
        self.rows.push(bytes);
    }
    fn ok(&mut self, _: u8, _: &[u8]) {}
    fn terminal_ok(&mut self, _: &[u8]) {}
    fn error(&mut self, _: u16) {}
    fn client_turn(&mut self, _: ClientTurn) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mysql::put_packet;

    #[test]
    fn rows_errors_and_nulls_are_read() {
        let mut bytes = vec![];
        put_packet(&mut bytes, 1, |b| b.push(2));
        for seq in 2..4 {
            put_packet(&mut bytes, seq, |b| b.extend_from_slice(b"\x03def"));
        }
        put_packet(&mut bytes, 4, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
        put_packet(&mut bytes, 5, |b| b.extend_from_slice(b"\x01a\xfb"));
        put_packet(&mut bytes, 6, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
        let mut rows = Rows::default();
        rows.push(&bytes);
        assert_eq!(rows.read().unwrap(), vec![vec![Some(&b"a"[..]), None]]);
        for cut in 1..bytes.len() {
            let mut rows = Rows::default();
            rows.push(&bytes[..cut]);
            let got = rows.read();
            assert!(got.is_err() || got == Ok(vec![]), "{cut}");
        }
        let mut err = vec![];
        ErrPacket {
            code: 1146,
            sqlstate: b"42S02",
            message: b"no",
        }
        .put(&mut err, 1);
        let mut rows = Rows::default();
        rows.push(&err);
        assert_eq!(rows.read(), Err(RowsError::Server(1146, "no".into())));
    }
}
