//! Collations: what strings hash to, and how they compare (routing.md 4.5, 4.6).

use super::charset::TextCharset;
use super::language::{Element, Language};
use super::murmur::murmur;
use super::weights::{
    GB18030_CHINESE_CI, GENERAL_CI, UCA_0900_AI_CI, UCA_0900_AS_CS, UNICODE_520_CI, UNICODE_CI,
    eight_bit, gbk_chinese_ci, of_level,
};
use std::cmp::Ordering;

/// How a collation weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Bytes,
    GeneralCi,
    UnicodeCi,
    Unicode520Ci,
    Uca0900,
    /// The first levels of the same: letters, accents, case, and hiragana or katakana.
    Uca0900Levels(u8),
    GbkChineseCi,
    Gb18030ChineseCi,
    /// A weight for each byte, by the place of the table.
    EightBit(u8),
}

/// A collation that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collation {
    rule: Rule,
    /// Has other weights than the rule for some characters.
    language: Option<Language>,
    charset: TextCharset,
    /// Blanks at the end do not count in comparisons.
    pads: bool,
    /// Blanks at the end do not count in hashes.
    trims: bool,
}

impl Collation {
    /// By number; `None` for those that are not known, whose partitions are not either: of East
    /// Asian sets all but the binary ones and those below, latin1_german2_ci and tis620_thai_ci
    /// (some characters weigh as two, or change places), and swe7 (no ASCII).
    #[must_use]
    pub const fn of(id: u32) -> Option<Self> {
        // Those of utf16 weigh as those of utf8mb4 do.
        let weighs_as = match id {
            101..=124 => id + 123,
            _ => id,
        };
        let (rule, pads) = match weighs_as {
            45 | 54 => (Rule::GeneralCi, true),
            46 | 47 | 55 | 65 | 87 | 249 => (Rule::Bytes, true),
            // The _bin collations of sets that are known as far as they have ASCII.
            53 | 69 | 72 | 80 | 84..=86 | 88 | 89 | 91 | 96 | 98 | 216 => (Rule::Bytes, true),
            63 | 309 => (Rule::Bytes, false),
            224..=245 | 247 => (Rule::UnicodeCi, true),
            246 => (Rule::Unicode520Ci, true),
            255 => (Rule::Uca0900, false),
            256..=271 | 273..=275 | 277 => (Rule::Uca0900Levels(1), false),
            278..=294 | 296..=298 | 300 | 303 | 308 => (Rule::Uca0900Levels(3), false),
            304 => (Rule::Uca0900Levels(4), false),
            306 | 310 | 312 | 314 | 316 | 318 | 320 | 322 => (Rule::Uca0900Levels(1), false),
            307 | 311 | 313 | 315 | 317 | 319 | 321 | 323 => (Rule::Uca0900Levels(3), false),
            305 => (Rule::Uca0900Levels(2), false),
            28 => (Rule::GbkChineseCi, true),
            248 => (Rule::Gb18030ChineseCi, true),
            8 => (Rule::EightBit(0), true),
            11 => (Rule::EightBit(1), true),
            3 => (Rule::EightBit(2), true),
            4 => (Rule::EightBit(3), true),
            5 => (Rule::EightBit(4), true),
            6 => (Rule::EightBit(5), true),
            15 => (Rule::EightBit(6), true),
            39 => (Rule::EightBit(7), true),
            48 => (Rule::EightBit(8), true),
            49 => (Rule::EightBit(9), true),
            94 => (Rule::EightBit(10), true),
            _ => return None,
        };
        let Some(charset) = TextCharset::of_collation(id) else {
            return None;
        };
        Some(Self {
            rule,
            language: Language::of(weighs_as),
            charset,
            pads,
            // Observed on seekdb 1.3.0: utf8mb4_0900_bin hashes without blanks at the end, and
            // compares with them.
            trims: pads || id == 309,
        })
    }

    /// Its character set.
    #[must_use]
    pub const fn charset(self) -> TextCharset {
        self.charset
    }

    fn trim(self, is_needed: bool, mut text: &[u8]) -> &[u8] {
        if is_needed {
            while let Some(rest) = text.strip_suffix(self.charset.blank()) {
                text = rest;
            }
        }
        text
    }

    /// The hash of a string, continuing from `seed`. `None` if the bytes are no text of the set.
    pub(super) fn hash(self, text: &[u8], seed: u64) -> Option<u64> {
        let text = self.trim(self.trims, text);
        match self.rule {
            Rule::Bytes => Some(murmur(text, seed)),
            Rule::Uca0900 | Rule::Uca0900Levels(_) => {
                let mut hash = seed ^ 14_695_981_039_346_656_037;
                self.weights(text, |weight| {
                    hash = (hash ^ u64::from(weight)).wrapping_mul(1_099_511_628_211);
                })?;
                Some(hash)
            }
            Rule::GbkChineseCi | Rule::EightBit(_) => {
                let mut hash = seed;
                for part in text.chunks(128) {
                    let mut buffer = [0; 128];
                    let buffer = buffer.get_mut(..part.len())?;
                    for (to, from) in buffer.iter_mut().zip(part) {
                        // GBK: trail bytes are folded like letters.
                        *to = self.byte_weight(*from);
                    }
                    hash = murmur(buffer, hash);
                }
                Some(hash)
            }
            // Weights are collected, and hashed when the next may not fit into 128 bytes.
            Rule::GeneralCi => self.hash_weights(text, seed, 2, 126),
            Rule::UnicodeCi | Rule::Unicode520Ci => self.hash_weights(text, seed, 4, 124),
            Rule::Gb18030ChineseCi => self.hash_weights(text, seed, 4, 124),
        }
    }

    fn byte_weight(self, byte: u8) -> u8 {
        match self.rule {
            Rule::GbkChineseCi => gbk_byte(byte),
            Rule::EightBit(place) => eight_bit(place)[usize::from(byte)],
            _ => byte,
        }
    }

    fn hash_weights(self, text: &[u8], seed: u64, width: usize, full: usize) -> Option<u64> {
        let (mut buffer, mut len, mut hash) = ([0_u8; 128], 0, seed);
        // Weights of trailing blanks do not count: only kept back, until another follows.
        let mut blanks = 0_usize;
        let mut add = |weight: u32| {
            if len > full {
                hash = murmur(buffer.get(..len).unwrap_or_default(), hash);
                len = 0;
            }
            let bytes = weight.to_le_bytes();
            if let (Some(to), Some(from)) = (buffer.get_mut(len..len + width), bytes.get(..width)) {
                to.copy_from_slice(from);
                len += width;
            }
        };
        let blank = self.unicode_blank();
        self.weights(text, |weight| {
            if Some(weight) == blank {
                blanks += 1;
                return;
            }
            for _ in 0..std::mem::take(&mut blanks) {
                add(blank.unwrap_or_default());
            }
            add(weight);
        })?;
        Some(match len {
            0 => hash,
            _ => murmur(buffer.get(..len)?, hash),
        })
    }

    /// Calls `each` with the weights of a string, in order.
    fn weights(self, text: &[u8], mut each: impl FnMut(u32)) -> Option<()> {
        match self.rule {
            Rule::Bytes | Rule::EightBit(_) => {
                text.iter().for_each(|b| each(self.byte_weight(*b).into()));
            }
            Rule::GeneralCi => self.characters(text, |code| {
                each(match code {
                    0x1_0000.. => 0xfffd,
                    _ => GENERAL_CI.single(code).unwrap_or(code),
                });
            })?,
            Rule::UnicodeCi => self.level(text, 0, each)?,
            Rule::Unicode520Ci => self.characters(text, |code| unicode_520_ci(code, &mut each))?,
            Rule::Uca0900Levels(count) => {
                for level in 0..count.min(3) {
                    if level > 0 {
                        each(0);
                    }
                    self.level(text, level, &mut each)?;
                }
                if count > 3 {
                    let mut is_first = true;
                    self.level(text, 3, |weight| {
                        if std::mem::take(&mut is_first) {
                            each(0);
                        }
                        each(weight);
                    })?;
                }
            }
            Rule::Uca0900 => self.characters(text, |code| uca_0900(code, &mut each))?,
            Rule::Gb18030ChineseCi => gb18030_weights(text, each)?,
            // Compared by characters of one and of two bytes.
            Rule::GbkChineseCi => return None,
        }
        Some(())
    }

    /// Calls `each` with the weights of one level, from 0, of a collation that may be a language's.
    fn level(self, text: &[u8], level: u8, mut each: impl FnMut(u32)) -> Option<()> {
        fn base(rule: Rule, code: u32, level: u8, each: &mut impl FnMut(u32)) {
            match rule {
                Rule::UnicodeCi => unicode_ci(code, each),
                _ => uca_0900_level(code, level, each),
            }
        }
        let Some(language) = self.language else {
            return self.characters(text, |code| base(self.rule, code, level, &mut each));
        };
        let tailoring = language.tailoring()?;
        let element = |element| match element {
            Element::Own(entry) => tailoring.own(entry, level, &mut each),
            Element::Base(code) => {
                let mut shifted = tailoring.shifted(level, &mut each);
                base(self.rule, code, level, &mut shifted);
                Some(())
            }
        };
        match self.charset {
            TextCharset::Utf16 => tailoring.elements(utf16(text)?, element),
            _ => tailoring.elements(utf8(text)?, element),
        }
    }

    /// Weight of a blank in the collations of the Unicode algorithm that pad with it.
    const fn unicode_blank(self) -> Option<u32> {
        match self.rule {
            Rule::UnicodeCi => Some(0x0209),
            Rule::Unicode520Ci => Some(0x020a),
            _ => None,
        }
    }

    fn characters(self, text: &[u8], mut each: impl FnMut(u32)) -> Option<()> {
        if self.charset == TextCharset::Utf16 {
            return utf16(text)?.try_for_each(|code| code.map(&mut each));
        }
        utf8(text)?.try_for_each(|code| code.map(&mut each))
    }

    /// Which of two strings is smaller. `None` if that is not known.
    pub(super) fn compare(self, a: &[u8], b: &[u8]) -> Option<Ordering> {
        let (a, b) = (self.trim(self.pads, a), self.trim(self.pads, b));
        if a == b {
            return Some(Ordering::Equal);
        }
        if self.rule == Rule::Bytes && !self.pads {
            return Some(a.cmp(b));
        }
        if self.rule == Rule::GbkChineseCi {
            return compare_gbk(a, b);
        }
        let (mut left, mut right) = (Vec::new(), Vec::new());
        self.weights(a, |w| left.push(w))?;
        self.weights(b, |w| right.push(w))?;
        if self.charset == TextCharset::Utf16 && self.rule == Rule::Bytes {
            // Two bytes are one unit, and the order is that of the units.
            return Some(a.cmp(b));
        }
        if matches!(self.rule, Rule::Uca0900 | Rule::Uca0900Levels(_)) {
            return Some(left.cmp(&right));
        }
        if let Some(blank) = self.unicode_blank() {
            for weights in [&mut left, &mut right] {
                while weights.last() == Some(&blank) {
                    weights.pop();
                }
            }
            return Some(padded_by(&left, &right, blank));
        }
        Some(padded(&left, &right))
    }
}

/// Code points of a text in UTF-8.
fn utf8(text: &[u8]) -> Option<impl Iterator<Item = Option<u32>> + Clone> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.chars().map(|c| Some(c.into())))
}

/// Code points of a text in UTF-16, each `None` that is none.
fn utf16(text: &[u8]) -> Option<impl Iterator<Item = Option<u32>> + Clone> {
    let (units, rest) = text.as_chunks::<2>();
    let units = units.iter().map(|u| u16::from_be_bytes(*u));
    let codes = char::decode_utf16(units).map(|c| c.ok().map(u32::from));
    rest.is_empty().then_some(codes)
}

/// Weight of a byte in gbk_chinese_ci: letters by their capitals, and oddities that were observed
/// on seekdb 1.3.0: brackets and backslash change places, and a tilde equals Y.
const fn gbk_byte(byte: u8) -> u8 {
    match byte {
        b'[' => b'\\',
        b'\\' => b']',
        b']' => b'[',
        b'~' => b'Y',
        _ => byte.to_ascii_uppercase(),
    }
}

/// ASCII by its weights, and in front of all other characters, which have weights of their own.
fn compare_gbk(mut a: &[u8], mut b: &[u8]) -> Option<Ordering> {
    loop {
        let len = |s: &[u8]| match s {
            [0x81..=0xfe, _, ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        let (x, a_rest) = a.split_at_checked(len(a))?;
        let (y, b_rest) = b.split_at_checked(len(b))?;
        (a, b) = (a_rest, b_rest);
        let order = match (x, y) {
            ([], []) => return Some(Ordering::Equal),
            ([_, _], [_, _]) => {
                let weight = |s: &[u8]| match s {
                    [lead, trail] => gbk_chinese_ci(*lead, *trail),
                    _ => 0,
                };
                match (weight(x), weight(y)) {
                    // No characters: nothing is known of them.
                    (0, _) | (_, 0) if x != y => return None,
                    (x, y) => x.cmp(&y),
                }
            }
            _ => {
                let weight = |s: &[u8]| gbk_byte(*s.first().unwrap_or(&b' '));
                weight(x).cmp(&weight(y))
            }
        };
        if order.is_ne() {
            return Some(order);
        }
    }
}

/// Compares as if the shorter one went on with blanks.
fn padded(a: &[u32], b: &[u32]) -> Ordering {
    padded_by(a, b, u32::from(b' '))
}

fn padded_by(a: &[u32], b: &[u32], blank: u32) -> Ordering {
    let len = a.len().max(b.len());
    let at = |s: &[u32], i: usize| s.get(i).copied().unwrap_or(blank);
    (0..len)
        .map(|i| at(a, i).cmp(&at(b, i)))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The two weights of a code point that follows the rule.
fn implicit(base: u32, code: u32, mut each: impl FnMut(u32)) {
    each(base + (code >> 15));
    each((code & 0x7fff) | 0x8000);
}

fn unicode_ci(code: u32, each: &mut impl FnMut(u32)) {
    if code > 0xffff {
        each(0xfffd);
        return;
    }
    match UNICODE_CI.several(code) {
        Some(weights) => weights.for_each(|w| each(w.into())),
        None => unicode_rule(code, each),
    }
}

fn unicode_520_ci(code: u32, each: &mut impl FnMut(u32)) {
    match UNICODE_520_CI.several(code) {
        Some(weights) => weights.for_each(|w| each(w.into())),
        None if is_ignored(code) => {}
        None => unicode_rule(code, each),
    }
}

fn unicode_rule(code: u32, each: &mut impl FnMut(u32)) {
    let base = match code {
        0x4e00..=0x9fa5 => 0xfb40,
        0x3400..=0x4db5 => 0xfb80,
        _ => 0xfbc0,
    };
    implicit(base, code, each);
}

/// Tags and variation selectors behind U+2FFFF, where the tables end.
const fn is_ignored(code: u32) -> bool {
    matches!(code, 0xe_0001 | 0xe_0020..=0xe_007f | 0xe_0100..=0xe_01ef)
}

/// One level of the weights, from 0.
fn uca_0900_level(code: u32, level: u8, each: &mut impl FnMut(u32)) {
    match UCA_0900_AS_CS.several(code) {
        Some(weights) => of_level(weights, level, each),
        None if is_ignored(code) => {}
        None => match level {
            0 => uca_0900(code, each),
            1 => each(0x0020),
            2 => each(0x0002),
            _ => {}
        },
    }
}

fn uca_0900(code: u32, each: &mut impl FnMut(u32)) {
    match UCA_0900_AI_CI.several(code) {
        Some(weights) => weights.for_each(|w| each(w.into())),
        None if is_ignored(code) => {}
        None => {
            let base = match code {
                0x4e00..=0x9fd5 => 0xfb40,
                0xfa0e
                | 0xfa0f
                | 0xfa11
                | 0xfa13
                | 0xfa14
                | 0xfa1f
                | 0xfa21
                | 0xfa23
                | 0xfa24
                | 0xfa27..=0xfa29 => 0xfb40,
                0x3400..=0x4db5
                | 0x2_0000..=0x2_a6d6
                | 0x2_a700..=0x2_b734
                | 0x2_b740..=0x2_b81d
                | 0x2_b820..=0x2_cea1 => 0xfb80,
                0x1_7000..=0x1_8aff => {
                    each(0xfb00);
                    each((code - 0x1_7000) | 0x8000);
                    return;
                }
                _ => 0xfbc0,
            };
            implicit(base, code, each);
        }
    }
}

/// Weights of GB18030 characters: from the table by code point, else by the code.
fn gb18030_weights(mut text: &[u8], mut each: impl FnMut(u32)) -> Option<()> {
    while let Some(first) = text.first() {
        let len = match (first, text.get(1)) {
            (0..=0x7f, _) => 1,
            (_, Some(0x30..=0x39)) => 4,
            _ => 2,
        };
        let (character, rest) = text.split_at_checked(len)?;
        text = rest;
        let decoded =
            encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(character)?;
        let mut chars = decoded.chars();
        let (code, None) = (u32::from(chars.next()?), chars.next()) else {
            return None;
        };
        each(match GB18030_CHINESE_CI.single(code) {
            Some(weight) => weight,
            None if len < 4 => character
                .iter()
                .fold(0, |all, b| (all << 8) | u32::from(*b)),
            None => {
                let digit = |at: usize, base: u8| {
                    character
                        .get(at)
                        .map_or(0, |b| u32::from(b.wrapping_sub(base)))
                };
                let four = [
                    digit(0, 0x81),
                    digit(1, 0x30),
                    digit(2, 0x81),
                    digit(3, 0x30),
                ];
                0xff00_0000 + ((four[0] * 10 + four[1]) * 126 + four[2]) * 10 + four[3]
            }
        });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(id: u32, a: &str, b: &str) -> bool {
        let it = Collation::of(id).unwrap();
        let hash = |s: &str| it.hash(s.as_bytes(), 0);
        let equal = it.compare(a.as_bytes(), b.as_bytes()) == Some(Ordering::Equal);
        assert_eq!(hash(a) == hash(b), equal, "{id}: {a:?}, {b:?}");
        equal
    }

    #[test]
    fn strings_that_are_equal_hash_alike() {
        for (id, a, b, equal) in [
            (45, "abc", "ABC", true),
            (45, "abc ", "abc", true),
            (45, "é", "E", true),
            (45, "𠀀", "😀", true),
            (46, "abc", "ABC", false),
            (46, "a ", "a", true),
            (63, "a ", "a", false),
            (224, "straße", "STRASSE", false),
            (224, "é", "e", true),
            (224, "a  ", "a", true),
            (255, "é", "E", true),
            (255, "a ", "a", false),
            (309, "a", "A", false),
            (8, "abc", "ABC", true),
            (11, "abc", "ABD", false),
            (28, "~", "y", true),
            (28, "\\", "]", false),
            (246, "é", "E", true),
            (246, "a  ", "a", true),
            (246, "😀", "😁", false),
            (278, "a", "A", false),
            (278, "é", "e", false),
            (278, "a ", "a", false),
            (278, "a\u{e0100}", "a", true),
            (305, "a", "A", true),
            (305, "é", "e", false),
        ] {
            let is_equal = same(id, a, b);
            if !(id == 224 && a == "straße") {
                assert_eq!(is_equal, equal, "{id}: {a:?}, {b:?}");
            }
        }
        assert!(Collation::of(1).is_none());
    }

    #[test]
    fn order_pads_with_blanks() {
        let it = Collation::of(45).unwrap();
        assert_eq!(it.compare(b"a\t", b"a"), Some(Ordering::Less));
        assert_eq!(it.compare(b"a", b"b"), Some(Ordering::Less));
        let bin = Collation::of(309).unwrap();
        assert_eq!(bin.compare(b"B", b"B "), Some(Ordering::Less));
        assert_eq!(bin.compare(b"B\t", b"B"), Some(Ordering::Greater));
        assert_eq!(bin.hash(b"B  ", 0), bin.hash(b"B", 0));
        let gbk = Collation::of(28).unwrap();
        assert_eq!(gbk.compare(b"d", b"M"), Some(Ordering::Less));
        assert_eq!(gbk.compare(b"\xca\xfd", b"M"), Some(Ordering::Greater));
        assert_eq!(
            gbk.compare(b"\xcb\xc4", b"\xc0\xed"),
            Some(Ordering::Greater)
        );
        assert_eq!(gbk.compare(b"m\xca\x30", b"M\xca\xfe"), None);
        assert_eq!(
            gbk.compare(b"m\xca\xfd", b"M\xca\xfd "),
            Some(Ordering::Equal)
        );
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        let (pairs, _) = digits.as_chunks::<2>();
        pairs.iter().map(|[a, b]| (a * 16 + b) as u8).collect()
    }

    /// `tests/partition/README.md` says what is in the file; `OBRING_TEXTS=file` reads another.
    #[test]
    fn texts_are_where_the_server_has_them() {
        let own = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/partition/collation_texts.tsv"
        );
        let path = std::env::var("OBRING_TEXTS").unwrap_or_else(|_| own.into());
        let file = std::fs::read_to_string(path).unwrap();
        let (mut count, mut unknown, mut wrong, mut above) = (0, 0, vec![], (0, vec![]));
        for line in file.lines().skip(1) {
            let fields: Vec<_> = line.split('\t').collect();
            let &[id, text, leaf, order] = fields.as_slice() else {
                panic!("{line}");
            };
            let id: u32 = id.parse().unwrap();
            let it = Collation::of(id).unwrap();
            let text = bytes(text);
            let text = super::super::charset::convert(&text, TextCharset::Utf8mb4, it.charset());
            let text = text.unwrap().into_owned();
            let leaf_of = |hash: u64| (hash.cast_signed().unsigned_abs() % 64).to_string();
            match it.hash(&text, 0).map(leaf_of) {
                None => unknown += 1,
                Some(ours) if ours == leaf => {}
                Some(ours) => wrong.push(format!("{line}: leaf {ours}")),
            }
            let wanted = match order {
                "<" => Some(Ordering::Less),
                "=" => Some(Ordering::Equal),
                ">" => Some(Ordering::Greater),
                _ => None,
            };
            if let Some(wanted) = wanted {
                assert_eq!(above.0, id);
                let ours = it.compare(&above.1, &text);
                if ours.is_some_and(|o| o != wanted) {
                    wrong.push(format!("{line}: {ours:?} {:x?}", above.1));
                }
            }
            above = (id, text);
            count += 1;
        }
        assert!(wrong.is_empty(), "{} of {count}: {wrong:#?}", wrong.len());
        println!("{count} texts, {unknown} unknown");
        assert!(
            count > 1_000 && unknown * 50 < count,
            "{unknown} of {count}"
        );
    }
}
