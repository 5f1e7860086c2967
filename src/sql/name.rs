//! Names as written, and what they mean.

/// The parts of a dotted name as written: `` `d` . t `` gives `` `d` `` and `t`.
///
/// A part is compared by [`same_name`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NameParts<'a> {
    /// Parts from the last to the first; missing ones are empty.
    parts: [&'a [u8]; 3],
}

impl<'a> NameParts<'a> {
    /// Splits a name.
    #[must_use]
    pub fn of(mut text: &'a [u8]) -> Self {
        let mut parts: [&[u8]; 3] = [b""; 3];
        loop {
            let end = match text.first() {
                Some(quote @ (b'`' | b'"')) => {
                    let mut at = 1;
                    loop {
                        let Some(len) = memchr::memchr(*quote, text.get(at..).unwrap_or_default())
                        else {
                            break text.len();
                        };
                        at += len + 1;
                        if text.get(at) != Some(quote) {
                            break at;
                        }
                        at += 1;
                    }
                }
                _ => text
                    .iter()
                    .position(|b| *b == b'.' || b.is_ascii_whitespace() || *b == b'/')
                    .unwrap_or(text.len()),
            };
            let (part, rest) = text.split_at(end);
            parts = [part, parts[0], parts[1]];
            let Some(dot) = memchr::memchr(b'.', rest) else {
                return Self { parts };
            };
            text = rest.get(dot + 1..).unwrap_or_default().trim_ascii_start();
        }
    }

    /// The last part: the column, or the table.
    #[must_use]
    pub const fn last(&self) -> &'a [u8] {
        self.parts[0]
    }

    /// The part in front of it: the table of a column, the database of a table.
    #[must_use]
    pub fn qualifier(&self) -> Option<&'a [u8]> {
        Some(self.parts[1]).filter(|p| !p.is_empty())
    }

    /// The first of three: the database of a column.
    #[must_use]
    pub fn database(&self) -> Option<&'a [u8]> {
        Some(self.parts[2]).filter(|p| !p.is_empty())
    }
}

/// The bytes of a part of a name, without quotes. A doubled quote inside stays doubled: such a
/// name is not found anywhere, which is safe.
#[inline]
#[must_use]
pub fn bare_name(part: &[u8]) -> &[u8] {
    match part {
        [a @ (b'`' | b'"'), inner @ .., z] if a == z => inner,
        _ => part,
    }
}

/// True for a part of a name that has one spelling but for the case of its letters. Servers
/// compare names by a collation: `e` and `é` are one name, observed on seekdb 1.3.0. A doubled
/// quote, and a comment in a name, are not looked at.
#[must_use]
pub fn is_plain_name(part: &[u8]) -> bool {
    let name = bare_name(part);
    let is_plain = |b: &u8| b.is_ascii() && !matches!(b, b'`' | b'"');
    !name.is_empty() && name.iter().all(is_plain)
}

/// True if two parts of names mean the same. Letters of other scripts are compared as written.
#[must_use]
pub fn same_name(a: &[u8], b: &[u8]) -> bool {
    bare_name(a).eq_ignore_ascii_case(bare_name(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_and_compared() {
        for (text, database, qualifier, last) in [
            ("k", "", "", "k"),
            ("t.k", "", "t", "k"),
            ("d.t.k", "d", "t", "k"),
            // A name with a comment in it is no name: it is not found, which is safe.
            ("`d` . `t`./**/k", "`d`", "`t`", ""),
            ("`a``.b`.c", "", "`a``.b`", "c"),
            ("`a", "", "", "`a"),
            ("", "", "", ""),
        ] {
            let name = NameParts::of(text.as_bytes());
            assert_eq!(name.last(), last.as_bytes(), "{text}");
            let part = |p: Option<&[u8]>| String::from_utf8(p.unwrap_or_default().to_vec());
            assert_eq!(part(name.qualifier()).unwrap(), qualifier, "{text}");
            assert_eq!(part(name.database()).unwrap(), database, "{text}");
        }
        assert!(same_name(b"`Ab`", b"aB") && !same_name(b"a", b"b"));
        for (name, is_plain) in [
            (&b"k"[..], true),
            (b"`a b`", true),
            (b"`a``b`", false),
            ("é".as_bytes(), false),
            (b"`a", false),
            (b"", false),
        ] {
            assert_eq!(is_plain_name(name), is_plain, "{name:?}");
        }
    }
}
