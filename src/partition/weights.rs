//! Tables of collation weights. `scripts/weights` makes them and says what is in them.

/// A table of one collation.
pub(super) struct Weights(&'static [u8]);

/// Code points of a page.
const PAGE: usize = 256;
/// Pages that may be there: code points up to U+2FFFF.
const PAGES: usize = 768;
/// Bytes in front of the pages: their numbers, and how many there are.
const HEAD: usize = 2 * PAGES + 2;

pub(super) static GENERAL_CI: Weights = Weights(include_bytes!("weights/general_ci.bin"));
pub(super) static UNICODE_CI: Weights = Weights(include_bytes!("weights/unicode_ci.bin"));
pub(super) static UCA_0900_AI_CI: Weights = Weights(include_bytes!("weights/0900_ai_ci.bin"));
pub(super) static GB18030_CHINESE_CI: Weights =
    Weights(include_bytes!("weights/gb18030_chinese_ci.bin"));
static EIGHT_BIT: &[u8; 512] = include_bytes!("weights/8bit.bin");

/// Weight of a byte in latin1_swedish_ci.
pub(super) fn latin1_swedish_ci(byte: u8) -> u8 {
    EIGHT_BIT[usize::from(byte)]
}

/// Weight of a byte in ascii_general_ci.
pub(super) fn ascii_general_ci(byte: u8) -> u8 {
    EIGHT_BIT[256 + usize::from(byte)]
}

impl Weights {
    fn u16(&self, at: usize) -> Option<u16> {
        self.0
            .get(at..)?
            .first_chunk()
            .map(|b| u16::from_le_bytes(*b))
    }

    /// The entry of a code point; `None` if it follows the rule.
    fn entry(&self, code: u32) -> Option<u32> {
        let (page, low) = (code as usize / PAGE, code as usize % PAGE);
        let page = self.u16(page.checked_mul(2).filter(|_| page < PAGES)?)?;
        if page == u16::MAX {
            return None;
        }
        let at = HEAD + 4 * (usize::from(page) * PAGE + low);
        let entry = u32::from_le_bytes(*self.0.get(at..)?.first_chunk()?);
        Some(entry).filter(|e| *e != u32::MAX)
    }

    /// The weight of a code point in a collation with one weight for each.
    pub(super) fn single(&self, code: u32) -> Option<u32> {
        self.entry(code)
    }

    /// The weights of a code point in a collation of the Unicode algorithm.
    pub(super) fn several(&self, code: u32) -> Option<impl Iterator<Item = u16> + '_> {
        let entry = self.entry(code)?;
        let start = HEAD + 4 * PAGE * usize::from(self.u16(2 * PAGES)?);
        let first = (entry >> 5) as usize;
        let places = first..first + (entry & 31) as usize;
        Some(places.filter_map(move |place| self.u16(start + 2 * place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found() {
        assert_eq!(GENERAL_CI.single('a' as u32), Some(0x41));
        assert_eq!(GENERAL_CI.single('A' as u32), None);
        assert_eq!(GENERAL_CI.single(0x10_ffff), None);
        let several =
            |w: &'static Weights, c: char| w.several(c as u32).map(|all| all.collect::<Vec<_>>());
        assert_eq!(several(&UNICODE_CI, '\t'), Some(vec![0x0201]));
        assert_eq!(several(&UNICODE_CI, '\0'), Some(vec![]));
        assert_eq!(several(&UNICODE_CI, '数'), None);
        assert_eq!(latin1_swedish_ci(b'a'), b'A');
        assert_eq!(ascii_general_ci(b'z'), b'Z');
    }
}
