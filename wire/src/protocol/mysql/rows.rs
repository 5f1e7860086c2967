//! Text result sets that a proxy makes itself.

use super::put_packet;
use crate::base::{put_lenenc, put_lenenc_bytes};

/// utf8mb4_general_ci, as OBProxy declares its texts.
const TEXT_CHARSET: u16 = 45;
/// binary, as servers declare numbers.
const NUMBER_CHARSET: u16 = 63;
/// MYSQL_TYPE_VARCHAR and MYSQL_TYPE_LONGLONG.
const VARCHAR: u8 = 15;
const BIGINT: u8 = 8;
const NULL: u8 = 0xFB;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A whole number, written in decimal.
    Number,
}

/// Packets of one text result set: definitions first, then rows, then the end.
#[derive(Debug)]
pub struct TextRows<'o> {
    out: &'o mut Vec<u8>,
    seq: u8,
    status: u16,
}

impl<'o> TextRows<'o> {
    /// Writes the column count and the definitions; `seq` is the number of the first packet.
    pub fn begin(
        out: &'o mut Vec<u8>,
        seq: u8,
        status: u16,
        columns: &[(impl AsRef<str>, ColumnKind)],
    ) -> Self {
        let mut rows = Self { out, seq, status };
        rows.packet(|b| put_lenenc(b, columns.len() as u64));
        for (name, kind) in columns {
            rows.packet(|b| put_column(b, name.as_ref(), *kind));
        }
        rows.eof();
        rows
    }

    /// Writes one row; `None` is NULL.
    pub fn row<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v [u8]>>) {
        self.packet(|b| {
            for value in values {
                match value {
                    None => b.push(NULL),
                    Some(text) => put_lenenc_bytes(b, text),
                }
            }
        });
    }

    /// Writes the end.
    pub fn end(mut self) {
        self.eof();
    }

    fn eof(&mut self) {
        let [low, high] = self.status.to_le_bytes();
        self.packet(|b| b.extend_from_slice(&[0xFE, 0, 0, low, high]));
    }

    fn packet(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        put_packet(self.out, self.seq, write);
        self.seq = self.seq.wrapping_add(1);
    }
}

fn put_column(b: &mut Vec<u8>, name: &str, kind: ColumnKind) {
    put_lenenc_bytes(b, b"def");
    // Schema, table and original table: none.
    b.extend_from_slice(&[0, 0, 0]);
    put_lenenc_bytes(b, name.as_bytes());
    put_lenenc_bytes(b, name.as_bytes());
    let (charset, length, code) = match kind {
        ColumnKind::Text => (TEXT_CHARSET, 65_535_u32, VARCHAR),
        ColumnKind::Number => (NUMBER_CHARSET, 20, BIGINT),
    };
    b.push(12);
    b.extend_from_slice(&charset.to_le_bytes());
    b.extend_from_slice(&length.to_le_bytes());
    b.push(code);
    // Flags, decimals, filler.
    b.extend_from_slice(&[0; 5]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row() {
        let mut out = vec![];
        let columns = [("a", ColumnKind::Text), ("n", ColumnKind::Number)];
        let mut rows = TextRows::begin(&mut out, 1, 2, &columns);
        rows.row([Some(&b"x"[..]), None]);
        rows.end();
        let text = b"\x18\0\0\x02\x03def\0\0\0\x01a\x01a\x0c\x2d\0\xff\xff\0\0\x0f\0\0\0\0\0";
        let number = b"\x18\0\0\x03\x03def\0\0\0\x01n\x01n\x0c\x3f\0\x14\0\0\0\x08\0\0\0\0\0";
        let want = [
            &b"\x01\0\0\x01\x02"[..],
            text,
            number,
            b"\x05\0\0\x04\xfe\0\0\x02\0",
            b"\x03\0\0\x05\x01x\xfb",
            b"\x05\0\0\x06\xfe\0\0\x02\0",
        ];
        assert_eq!(out, want.concat());
    }
}
