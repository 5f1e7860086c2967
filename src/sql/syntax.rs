//! What decides how the bytes of a statement are read, besides the bytes.

use serde::{Deserialize, Serialize};

/// How many bytes a character has, as far as a scan needs to know.
///
/// In these sets the second byte of a character may be 0x5C, 0x60 or 0x7C, so that a scan byte by
/// byte would see a backslash, a back-tick or a bar where there is none. In all other sets that a
/// client may use (utf8mb4, the 8-bit sets, ujis, euckr, gb2312, eucjpms) it may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Charset {
    /// Bytes below 0x80 are always characters of their own.
    #[default]
    Plain,
    /// gbk and gb18030: lead 81-FE, then 40-7E or 80-FE; gb18030 also 30-39, lead, 30-39.
    Gbk,
    /// big5 and its Hong Kong forms: lead 81-FE, then 40-7E or A1-FE.
    Big5,
    /// sjis and cp932: lead 81-9F or E0-FC, then 40-7E or 80-FC.
    Sjis,
}

impl Charset {
    /// By the name of a character set, in any case.
    #[must_use]
    pub fn of_name(name: &[u8]) -> Self {
        const NAMES: &[(&str, Charset)] = &[
            ("gbk", Charset::Gbk),
            ("gb18030", Charset::Gbk),
            ("gb18030_2022", Charset::Gbk),
            ("big5", Charset::Big5),
            ("hkscs", Charset::Big5),
            ("hkscs31", Charset::Big5),
            ("sjis", Charset::Sjis),
            ("cp932", Charset::Sjis),
        ];
        let named = |(n, _): &&(&str, Self)| name.eq_ignore_ascii_case(n.as_bytes());
        let found = NAMES.iter().find(named);
        found.map_or(Self::Plain, |(_, charset)| *charset)
    }

    /// Bytes of the character that begins with `first`, if `second` follows.
    #[must_use]
    pub const fn char_len(self, first: u8, second: u8) -> usize {
        let is_pair = match self {
            Self::Plain => false,
            // Both halves of a character of four bytes are pairs of a lead and a digit.
            Self::Gbk => {
                matches!(first, 0x81..=0xfe)
                    && matches!(second, 0x30..=0x39 | 0x40..=0x7e | 0x80..=0xfe)
            }
            Self::Big5 => {
                matches!(first, 0x81..=0xfe) && matches!(second, 0x40..=0x7e | 0xa1..=0xfe)
            }
            Self::Sjis => {
                matches!(first, 0x81..=0x9f | 0xe0..=0xfc)
                    && matches!(second, 0x40..=0x7e | 0x80..=0xfc)
            }
        };
        1 + is_pair as usize
    }
}

/// The session's settings that change what a text means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Syntax {
    /// `character_set_connection`, by which servers read a statement.
    pub charset: Charset,
    /// ANSI_QUOTES: double quotes enclose names.
    pub ansi_quotes: bool,
    /// NO_BACKSLASH_ESCAPES: a backslash in a string is a backslash.
    pub no_backslash_escapes: bool,
    /// PIPES_AS_CONCAT: `||` joins strings.
    pub pipes_as_concat: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_sets_are_known_by_name() {
        for (name, charset) in [
            (&b"utf8mb4"[..], Charset::Plain),
            (b"GB18030_2022", Charset::Gbk),
            (b"big5", Charset::Big5),
            (b"hkscs", Charset::Big5),
            (b"hkscs31", Charset::Big5),
            (b"cp932", Charset::Sjis),
            (b"latin1", Charset::Plain),
        ] {
            assert_eq!(Charset::of_name(name), charset, "{name:?}");
        }
    }
}
