//! String literals: what the bytes between the quotes mean.

use super::syntax::Syntax;
use std::borrow::Cow;

/// Why a literal has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextError {
    /// No string stands there.
    NotText,
}

/// One of the strings of a literal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextPart<'a> {
    /// Name of the character set in front (`utf8mb4` of `_utf8mb4'x'`, `n` of `N'x'`); empty if
    /// there is none.
    pub introducer: &'a [u8],
    /// The string without quotes and escapes, borrowed if there were none.
    pub bytes: Cow<'a, [u8]>,
}

/// Reads the strings that stand side by side in a literal ([`super::Expr::Text`]), and calls
/// `each` for each of them.
///
/// # Errors
/// [`TextError::NotText`] if something else stands there.
pub fn text_parts<'a>(
    literal: &'a [u8],
    syntax: Syntax,
    mut each: impl FnMut(TextPart<'a>),
) -> Result<(), TextError> {
    let mut rest = literal;
    let mut is_first = true;
    loop {
        rest = skip_blank(rest).ok_or(TextError::NotText)?;
        if rest.is_empty() && !is_first {
            return Ok(());
        }
        is_first = false;
        let quote = rest
            .iter()
            .position(|b| matches!(b, b'\'' | b'"'))
            .ok_or(TextError::NotText)?;
        let (head, string) = rest.split_at(quote);
        let head = head.trim_ascii();
        let introducer = head.strip_prefix(b"_").unwrap_or(head);
        let (bytes, behind) = decode(string, syntax).ok_or(TextError::NotText)?;
        each(TextPart { introducer, bytes });
        rest = behind;
    }
}

/// Skips blanks and comments between strings. `None`: what stands in such a comment counts.
fn skip_blank(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = text.trim_ascii_start();
        let end = if text.starts_with(b"/*!") {
            return None;
        } else if text.starts_with(b"/*") {
            memchr::memmem::find(text, b"*/").map(|at| at + 2)
        } else if text.starts_with(b"--") || text.starts_with(b"#") {
            memchr::memchr(b'\n', text)
        } else {
            return Some(text);
        };
        text = end.and_then(|end| text.get(end..)).unwrap_or_default();
    }
}

/// The value of the string at the beginning, and what stands behind it.
fn decode(text: &[u8], syntax: Syntax) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let (quote, text) = text.split_first()?;
    let mut owned: Option<Vec<u8>> = None;
    // `done` bytes are already in `owned`.
    let (mut at, mut done) = (0, 0);
    loop {
        let byte = *text.get(at)?;
        let next = text.get(at + 1).copied().unwrap_or(0);
        let len = syntax.charset.char_len(byte, next);
        if len > 1 {
            at += len;
        } else if byte == *quote {
            let behind = text.get(at + 1..)?;
            if next != *quote {
                let tail = text.get(done..at)?;
                return Some(match owned {
                    None => (Cow::Borrowed(tail), behind),
                    Some(mut all) => {
                        all.extend_from_slice(tail);
                        (Cow::Owned(all), behind)
                    }
                });
            }
            let all = owned.get_or_insert_default();
            all.extend_from_slice(text.get(done..=at)?);
            at += 2;
            done = at;
        } else if byte == b'\\' && !syntax.no_backslash_escapes {
            let all = owned.get_or_insert_default();
            all.extend_from_slice(text.get(done..at)?);
            let behind = text.get(at + 2).copied().unwrap_or(0);
            let len = syntax.charset.char_len(next, behind);
            match next {
                b'0' => all.push(0),
                b'b' => all.push(8),
                b'n' => all.push(b'\n'),
                b'r' => all.push(b'\r'),
                b't' => all.push(b'\t'),
                b'Z' => all.push(26),
                // For LIKE: both bytes stay.
                b'%' | b'_' => all.extend_from_slice(&[b'\\', next]),
                _ => all.extend_from_slice(text.get(at + 1..at + 1 + len)?),
            }
            at += 1 + len;
            done = at;
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Charset;
    use super::*;

    fn parts(literal: &[u8], syntax: Syntax) -> Option<Vec<(String, Vec<u8>)>> {
        let mut all = vec![];
        let done = text_parts(literal, syntax, |p| {
            let introducer = String::from_utf8(p.introducer.to_vec()).unwrap();
            all.push((introducer, p.bytes.into_owned()));
        });
        done.ok().map(|()| all)
    }

    #[test]
    fn strings_mean_what_the_server_says() {
        let bare = Syntax {
            no_backslash_escapes: true,
            ..Syntax::default()
        };
        let gbk = Syntax {
            charset: Charset::Gbk,
            ..Syntax::default()
        };
        let plain = Syntax::default();
        for (literal, syntax, want) in [
            (&b"'abc'"[..], plain, &b"abc"[..]),
            (b"''", plain, b""),
            (b"'it''s'", plain, b"it's"),
            (b"\"it''s\"", plain, b"it''s"),
            (b"'a\\'b'", plain, b"a'b"),
            (b"'\\\\'", plain, b"\\"),
            (
                b"'\\0\\b\\n\\r\\t\\Z\\q\\%\\_'",
                plain,
                b"\0\x08\n\r\t\x1aq\\%\\_",
            ),
            (b"'a\\b'", bare, b"a\\b"),
            (b"'\xbf\x5c'", gbk, b"\xbf\x5c"),
            (b"'\\\xbf\x5cx'", gbk, b"\xbf\x5cx"),
        ] {
            assert_eq!(
                parts(literal, syntax),
                Some(vec![(String::new(), want.to_vec())])
            );
        }
        let both = Some(vec![
            ("utf8mb4".into(), b"a".to_vec()),
            (String::new(), b"b".to_vec()),
        ]);
        assert_eq!(parts(b"_utf8mb4'a' /* c */\n'b'", plain), both);
        assert_eq!(
            parts(b"N'a'", plain),
            Some(vec![("N".into(), b"a".to_vec())])
        );
        let commented = &b"'a' /*!40000 'b' */ 'c'"[..];
        for bad in [
            &b""[..],
            b"abc",
            b"'a",
            b"'a\\",
            b"'a' b",
            commented,
            b"'a' /*! 'b'",
        ] {
            assert_eq!(parts(bad, plain), None);
        }
    }
}
