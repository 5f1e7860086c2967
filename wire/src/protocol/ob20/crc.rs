//! The two checks of an OceanBase 2.0 packet.

use serde::{Deserialize, Serialize};

/// The reflected polynomial 0x8005 of CRC-16/ARC. Source: the catalogue of parametrised CRC
/// algorithms by Greg Cook (reveng), entry CRC-16/ARC: init 0, no final xor, check value 0xBB3D.
const POLYNOMIAL: u16 = 0xA001;

/// What each value of a byte does to the register, and to what follows 1, 2 and 3 bytes later: four
/// bytes are taken at a time. A head is short, and there are two for each statement.
const TABLES: [[u16; 256]; 4] = tables();

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses a place outside"
)]
const fn tables() -> [[u16; 256]; 4] {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ POLYNOMIAL
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut later = 1;
    while later < 4 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[later - 1][byte];
            tables[later][byte] = before >> 8 ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        later += 1;
    }
    tables
}

/// CRC-16/ARC of `bytes`, going on from `crc`; 0 to begin.
#[must_use]
pub fn crc16(crc: u16, bytes: &[u8]) -> u16 {
    let [now, one, two, three] = &TABLES;
    let at = |table: &[u16; 256], byte: u8| table.get(usize::from(byte)).copied().unwrap_or(0);
    let (fours, rest) = bytes.as_chunks::<4>();
    let crc = fours.iter().fold(crc, |crc, &[a, b, c, d]| {
        let [low, high] = crc.to_le_bytes();
        at(three, low ^ a) ^ at(two, high ^ b) ^ at(one, c) ^ at(now, d)
    });
    rest.iter()
        .fold(crc, |crc, &byte| crc >> 8 ^ at(now, crc as u8 ^ byte))
}

/// CRC-32C as OceanBase uses it: the register begins with 0 and is not inverted at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Goes on over `bytes`.
    #[must_use]
    pub fn then(self, bytes: &[u8]) -> Self {
        // The crate inverts the register on entry and exit.
        Self(!crc32c::crc32c_append(!self.0, bytes))
    }

    /// The value so far.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}
