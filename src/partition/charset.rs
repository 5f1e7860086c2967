//! Character sets of columns and connections, and the way from one to the other.

use encoding_rs::{EncoderResult, Encoding, GB18030, GBK, WINDOWS_1252};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A character set that values can be converted from and to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named as on the server")]
pub enum TextCharset {
    Utf8mb4,
    Gbk,
    Gb18030,
    Latin1,
    Ascii,
    /// Big-endian.
    Utf16,
    Binary,
    /// One of the sets that are known only as far as they have ASCII in its place: big5, sjis,
    /// euckr, gb2312, ujis, cp932, eucjpms, gb18030_2022, dec8, hp8, cp850, macroman, tis620.
    Other,
}

impl TextCharset {
    /// Of a collation (routing.md 3.6); `None` for those that are not known.
    #[must_use]
    pub const fn of_collation(id: u32) -> Option<Self> {
        Some(match id {
            5 | 8 | 15 | 47..=49 | 94 => Self::Latin1,
            11 | 65 => Self::Ascii,
            28 | 87 => Self::Gbk,
            45 | 46 | 224..=247 | 255..=323 => Self::Utf8mb4,
            54 | 55 | 101..=124 => Self::Utf16,
            63 => Self::Binary,
            3 | 4 | 6 | 39 | 69 | 72 | 80 | 53 | 84..=86 | 88 | 89 | 91 | 96 | 98 | 216 => {
                Self::Other
            }
            248 | 249 => Self::Gb18030,
            _ => return None,
        })
    }

    /// By name, in any case; `n` is what `N'..'` stands for.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Option<Self> {
        const NAMES: &[(&str, TextCharset)] = &[
            ("utf8mb4", TextCharset::Utf8mb4),
            ("utf8", TextCharset::Utf8mb4),
            ("utf8mb3", TextCharset::Utf8mb4),
            ("n", TextCharset::Utf8mb4),
            ("gbk", TextCharset::Gbk),
            ("gb18030", TextCharset::Gb18030),
            ("latin1", TextCharset::Latin1),
            ("ascii", TextCharset::Ascii),
            ("utf16", TextCharset::Utf16),
            ("binary", TextCharset::Binary),
        ];
        let named = |(n, _): &&(&str, Self)| name.eq_ignore_ascii_case(n.as_bytes());
        NAMES.iter().find(named).map(|(_, charset)| *charset)
    }

    /// A blank in this set.
    pub(super) const fn blank(self) -> &'static [u8] {
        match self {
            Self::Utf16 => b"\0 ",
            _ => b" ",
        }
    }

    /// True for sets in which characters beyond ASCII are other bytes than in UTF-8, and known.
    #[must_use]
    pub const fn is_unlike_utf8(self) -> bool {
        matches!(self, Self::Gbk | Self::Gb18030 | Self::Latin1)
    }

    /// The bytes in UTF-8; `None` if they are no text of this set, or the way is not known.
    #[must_use]
    pub fn to_utf8(self, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
        convert(bytes, self, Self::Utf8mb4)
    }

    fn encoding(self) -> Option<&'static Encoding> {
        match self {
            Self::Gbk => Some(GBK),
            Self::Gb18030 => Some(GB18030),
            // As on the server, with the upper control characters.
            Self::Latin1 => Some(WINDOWS_1252),
            _ => None,
        }
    }
}

/// True for characters whose code is not the same in all versions of GBK and GB18030.
fn is_disputed(c: char) -> bool {
    matches!(c, '\u{20ac}' | '\u{1e3f}' | '\u{9fa6}'..='\u{9fff}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fe10}'..='\u{fe1f}' | '\u{80}')
}

/// The bytes in another character set. `None`: not all characters exist there, the bytes are no
/// text, or the way is not known.
pub(super) fn convert(bytes: &[u8], from: TextCharset, to: TextCharset) -> Option<Cow<'_, [u8]>> {
    use TextCharset::{Ascii, Binary, Latin1, Utf8mb4};
    if from != Binary && to != Binary && (from == TextCharset::Other || to == TextCharset::Other) {
        // Japanese sets disagree about the backslash and the tilde.
        let is_common = |b: &u8| b.is_ascii() && !matches!(b, b'\\' | b'~');
        let is_known = from != TextCharset::Utf16 && to != TextCharset::Utf16;
        return (is_known && bytes.iter().all(is_common)).then_some(Cow::Borrowed(bytes));
    }
    let is_plain = !matches!(from, TextCharset::Utf16) && !matches!(to, TextCharset::Utf16);
    if from == to || from == Binary || to == Binary || (is_plain && bytes.is_ascii()) {
        return Some(Cow::Borrowed(bytes));
    }
    let text: Cow<'_, str> = match from {
        Utf8mb4 => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
        Ascii if bytes.is_ascii() => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
        Ascii => return None,
        TextCharset::Utf16 => {
            let (units, rest) = bytes.as_chunks::<2>();
            let units = units.iter().map(|u| u16::from_be_bytes(*u));
            let text: Result<String, _> = char::decode_utf16(units).collect();
            Cow::Owned(text.ok().filter(|_| rest.is_empty())?)
        }
        _ => from
            .encoding()?
            .decode_without_bom_handling_and_without_replacement(bytes)?,
    };
    let out = match to {
        Utf8mb4 => text.into_owned().into_bytes(),
        Ascii => return None,
        TextCharset::Utf16 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        _ => {
            if to != Latin1 && text.chars().any(is_disputed) {
                return None;
            }
            let mut encoder = to.encoding()?.new_encoder();
            let mut out = Vec::with_capacity(text.len() * 2 + 4);
            match encoder.encode_from_utf8_to_vec_without_replacement(&text, &mut out, true) {
                (EncoderResult::InputEmpty, _) => out,
                _ => return None,
            }
        }
    };
    Some(Cow::Owned(out))
}

/// False if the bytes are not known to be characters of the set.
pub(super) fn is_text(bytes: &[u8], charset: TextCharset) -> bool {
    match charset {
        TextCharset::Utf16 => convert(bytes, charset, TextCharset::Utf8mb4).is_some(),
        _ if bytes.is_ascii() => true,
        TextCharset::Utf8mb4 => std::str::from_utf8(bytes).is_ok(),
        TextCharset::Gbk | TextCharset::Gb18030 => {
            convert(bytes, charset, TextCharset::Utf8mb4).is_some()
        }
        TextCharset::Latin1 | TextCharset::Binary => true,
        TextCharset::Ascii | TextCharset::Other => false,
    }
}

/// The bytes in another character set, with a question mark for each character that it has not.
pub(super) fn convert_with_gaps(
    bytes: &[u8],
    from: TextCharset,
    to: TextCharset,
) -> Option<Vec<u8>> {
    let text = convert(bytes, from, TextCharset::Utf8mb4)?;
    let mut all = Vec::with_capacity(bytes.len());
    for c in std::str::from_utf8(&text).ok()?.chars() {
        let mut buffer = [0; 4];
        let character = c.encode_utf8(&mut buffer).as_bytes();
        match convert(character, TextCharset::Utf8mb4, to) {
            Some(bytes) => all.extend_from_slice(&bytes),
            // Whether the server has it is not known.
            None if to == TextCharset::Other || is_disputed(c) => return None,
            None => all.extend_from_slice(&convert(b"?", TextCharset::Ascii, to)?),
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_from_set_to_set() {
        use TextCharset::*;
        for (bytes, from, to, want) in [
            (&b"abc"[..], Utf8mb4, Gbk, Some(&b"abc"[..])),
            ("数".as_bytes(), Utf8mb4, Gbk, Some(b"\xca\xfd")),
            (b"\xca\xfd", Gbk, Utf8mb4, Some("数".as_bytes())),
            ("é".as_bytes(), Utf8mb4, Latin1, Some(b"\xe9")),
            (b"\xe9", Latin1, Utf8mb4, Some("é".as_bytes())),
            ("数".as_bytes(), Utf8mb4, Latin1, None),
            (
                "€œ\u{81}".as_bytes(),
                Utf8mb4,
                Latin1,
                Some(b"\x80\x9c\x81"),
            ),
            ("𠀀".as_bytes(), Utf8mb4, Utf16, Some(b"\xd8\x40\xdc\x00")),
            (b"\xd8\x40\xdc\x00", Utf16, Utf8mb4, Some("𠀀".as_bytes())),
            ("𠀀".as_bytes(), Utf8mb4, Gb18030, Some(b"\x95\x32\x82\x36")),
            ("\u{20ac}".as_bytes(), Utf8mb4, Gbk, None),
            (b"\xff", Utf8mb4, Gbk, None),
            (b"a", Utf8mb4, Utf16, Some(b"\0a")),
            (b"a b", Utf8mb4, Other, Some(b"a b")),
            (b"a~", Utf8mb4, Other, None),
            ("é".as_bytes(), Utf8mb4, Other, None),
            (b"\xa4\xa4", Binary, Other, Some(b"\xa4\xa4")),
        ] {
            assert_eq!(
                convert(bytes, from, to).as_deref(),
                want,
                "{from:?} to {to:?}"
            );
        }
        assert_eq!(TextCharset::of_name(b"GBK"), Some(Gbk));
        assert_eq!(TextCharset::of_name(b"x"), None);
        assert_eq!(TextCharset::of_collation(309), Some(Utf8mb4));
        assert_eq!(TextCharset::of_collation(1), None);
    }
}
