//! Reading and writing the little-endian fields of the MySQL protocol.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A field reaches past the end of the bytes that were given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Short {
    /// Offset at which the field begins.
    pub at: usize,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet ends inside the field at byte {}", self.at)
    }
}

impl std::error::Error for Short {}

/// Reads fields from front to back. No read panics; each says where it ran short.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Everything not read yet; the cursor moves to the end.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Short> {
        let end = self.at.checked_add(n).ok_or(Short { at: self.at })?;
        let got = self.bytes.get(self.at..end).ok_or(Short { at: self.at })?;
        self.at = end;
        Ok(got)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Short> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> Result<u16, Short> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Three bytes, little-endian.
    pub fn u24(&mut self) -> Result<u32, Short> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, Short> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> Result<u64, Short> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length-encoded integer. 0xFB (NULL) and 0xFF (error) are no integers: `Short` at that
    /// byte.
    pub fn lenenc(&mut self) -> Result<u64, Short> {
        let at = self.at;
        match self.u8()? {
            v @ 0..=0xFA => Ok(u64::from(v)),
            0xFC => Ok(u64::from(self.u16()?)),
            0xFD => Ok(u64::from(self.u24()?)),
            0xFE => self.u64(),
            0xFB | 0xFF => Err(Short { at }),
        }
    }

    /// A length-encoded string.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Short> {
        let at = self.at;
        let n = self.lenenc()?;
        self.take(usize::try_from(n).map_err(|_| Short { at })?)
    }

    /// Bytes up to a NUL, which is consumed and not returned.
    pub fn until_nul(&mut self) -> Result<&'a [u8], Short> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let n = rest
            .iter()
            .position(|&b| b == 0)
            .ok_or(Short { at: self.at })?;
        self.at += n + 1;
        rest.get(..n).ok_or(Short { at: self.at })
    }
}

/// Appends a length-encoded integer.
pub fn put_lenenc(out: &mut Vec<u8>, v: u64) {
    match v {
        0..=0xFA => out.push(v as u8),
        0xFB..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&(v as u16).to_le_bytes());
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&(v as u32).to_le_bytes()[..3]);
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&v.to_le_bytes());
        }
    }
}

/// Appends a length-encoded string.
pub fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_encoded_integers_round_trip_at_every_width() {
        for v in [
            0,
            0xFA,
            0xFB,
            0xFF,
            0x100,
            0xFFFF,
            0x1_0000,
            0xFF_FFFF,
            0x100_0000,
            u64::MAX,
        ] {
            let mut b = vec![];
            put_lenenc(&mut b, v);
            let mut c = Cursor::new(&b);
            assert_eq!((c.lenenc(), c.left()), (Ok(v), 0), "{v:#x}");
            for cut in 0..b.len() {
                assert!(Cursor::new(&b[..cut]).lenenc().is_err());
            }
        }
        assert_eq!(Cursor::new(&[0xFB]).lenenc(), Err(Short { at: 0 }));
    }

    #[test]
    fn a_string_longer_than_the_packet_is_short_not_a_panic() {
        let mut c = Cursor::new(&[0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
        assert!(c.lenenc_bytes().is_err());
        assert_eq!(Cursor::new(b"ab\0c").until_nul(), Ok(&b"ab"[..]));
        assert!(Cursor::new(b"ab").until_nul().is_err());
    }
}
