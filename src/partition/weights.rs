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
pub(super) static UNICODE_520_CI: Weights = Weights(include_bytes!("weights/unicode_520_ci.bin"));
/// Three levels, with 0 between them.
pub(super) static UCA_0900_AS_CS: Weights = Weights(include_bytes!("weights/0900_as_cs.bin"));
pub(super) static UCA_0900_AI_CI: Weights = Weights(include_bytes!("weights/0900_ai_ci.bin"));
pub(super) static GB18030_CHINESE_CI: Weights =
    Weights(include_bytes!("weights/gb18030_chinese_ci.bin"));
static EIGHT_BIT: &[u8] = include_bytes!("weights/8bit.bin");
static GBK: &[u8] = include_bytes!("weights/gbk_chinese_ci.bin");

/// Weight of a character of two bytes in gbk_chinese_ci; 0 if there is none.
pub(super) fn gbk_chinese_ci(lead: u8, trail: u8) -> u16 {
    let row = usize::from(lead.wrapping_sub(0x81));
    let Some(column) = trail.checked_sub(0x40) else {
        return 0;
    };
    let at = 2 * (row * GBK_ROW + usize::from(column));
    let bytes = GBK.get(at..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// Characters of GBK with one lead byte: trail bytes 40 to FE.
const GBK_ROW: usize = 0xbf;

/// Weights of bytes in the collation that has this place in the data.
pub(super) fn eight_bit(place: u8) -> &'static [u8; 256] {
    const NONE: &[u8; 256] = &[0; 256];
    let tables = EIGHT_BIT.as_chunks().0;
    tables.get(usize::from(place)).unwrap_or(NONE)
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

/// Of weights with 0 between the levels, those of one level, from 0.
pub(super) fn of_level(weights: impl Iterator<Item = u16>, level: u8, mut each: impl FnMut(u32)) {
    let mut at = 0;
    for weight in weights {
        match weight {
            0 => at += 1,
            weight if at == level => each(weight.into()),
            _ => {}
        }
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
        assert_eq!(eight_bit(0)[usize::from(b'a')], b'A');
        assert_eq!(eight_bit(1)[usize::from(b'z')], b'Z');
        assert_eq!(gbk_chinese_ci(0xcb, 0xc4), 0xbb7b);
        assert_eq!(gbk_chinese_ci(0xc0, 0xed), 0xa656);
        assert_eq!(
            (gbk_chinese_ci(0x81, 0x7f), gbk_chinese_ci(0xff, 0xfe)),
            (0, 0)
        );
        assert_eq!(gbk_chinese_ci(0x81, 0x30), 0);
    }
}
