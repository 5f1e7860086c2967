//! The rows that the model answers, as packets.

use obring_wire::base::{put_lenenc, put_lenenc_bytes};
use obring_wire::protocol::mysql::put_packet;

/// utf8mb4_general_ci for texts, binary for numbers, as a server declares them.
const TEXT_CHARSET: u16 = 45;
const NUMBER_CHARSET: u16 = 63;
/// MYSQL_TYPE_VAR_STRING and MYSQL_TYPE_LONGLONG.
const VAR_STRING: u8 = 0xFD;
const LONGLONG: u8 = 0x08;
const NULL: u8 = 0xFB;

/// A result set made by the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// Names of columns, and whether they hold whole numbers.
    pub columns: Vec<(String, bool)>,
    /// Rows; `None` is NULL.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl ResultSet {
    /// Appends the packets of a text result set, from sequence number `seq` on; returns the number
    /// behind the last. `status` goes into its EOFs.
    pub fn put(&self, out: &mut Vec<u8>, mut seq: u8, status: u16) -> u8 {
        let mut packet = |write: &dyn Fn(&mut Vec<u8>)| {
            put_packet(out, seq, write);
            seq = seq.wrapping_add(1);
        };
        let [low, high] = status.to_le_bytes();
        let eof = |b: &mut Vec<u8>| b.extend_from_slice(&[0xFE, 0, 0, low, high]);
        packet(&|b| put_lenenc(b, self.columns.len() as u64));
        for (name, is_number) in &self.columns {
            packet(&|b| put_column(b, name, *is_number));
        }
        packet(&eof);
        for row in &self.rows {
            packet(&|b| {
                for value in row {
                    match value {
                        None => b.push(NULL),
                        Some(text) => put_lenenc_bytes(b, text),
                    }
                }
            });
        }
        packet(&eof);
        seq
    }
}

fn put_column(b: &mut Vec<u8>, name: &str, is_number: bool) {
    put_lenenc_bytes(b, b"def");
    // Schema, table and original table: none.
    b.extend_from_slice(&[0, 0, 0]);
    put_lenenc_bytes(b, name.as_bytes());
    put_lenenc_bytes(b, name.as_bytes());
    let (charset, length, kind) = if is_number {
        (NUMBER_CHARSET, 20u32, LONGLONG)
    } else {
        (TEXT_CHARSET, 65_535 * 4, VAR_STRING)
    };
    b.push(12);
    b.extend_from_slice(&charset.to_le_bytes());
    b.extend_from_slice(&length.to_le_bytes());
    b.push(kind);
    // Flags, decimals, filler.
    b.extend_from_slice(&[0; 5]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row() {
        let set = ResultSet {
            columns: vec![("n".into(), true)],
            rows: vec![vec![Some(b"7".to_vec())], vec![None]],
        };
        let mut out = vec![];
        assert_eq!(set.put(&mut out, 1, 2), 7);
        let want = [
            &b"\x01\0\0\x01\x01"[..],
            b"\x18\0\0\x02\x03def\0\0\0\x01n\x01n\x0c\x3f\0\x14\0\0\0\x08\0\0\0\0\0",
            b"\x05\0\0\x03\xfe\0\0\x02\0",
            b"\x02\0\0\x04\x017",
            b"\x01\0\0\x05\xfb",
            b"\x05\0\0\x06\xfe\0\0\x02\0",
        ];
        assert_eq!(out, want.concat());
    }
}
