//! Statements in which names are written in another character set than UTF-8: metadata has them in
//! UTF-8, and so has what is known of a table.

use super::dialect::Dialect;
use crate::partition::{Context, TextCharset};
use crate::sql::{Charset, Expr, Scan, Syntax};
use std::borrow::Cow;

/// A statement in UTF-8.
#[derive(Debug)]
pub(super) struct InUtf8 {
    pub(super) text: Vec<u8>,
    /// What a scan of that text found.
    pub(super) scan: Scan,
    syntax: Syntax,
    /// `None` if literals beyond ASCII are among it: as bytes they are no longer what they were.
    charset: Option<TextCharset>,
}

impl InUtf8 {
    /// How the text is read, of a session that reads its own like this.
    pub(super) const fn context<'a>(&self, own: Context<'a>) -> Context<'a> {
        Context {
            syntax: self.syntax,
            charset: self.charset,
            ..own
        }
    }
}

impl Dialect {
    /// The statement in UTF-8, if names in it are beyond ASCII and in another character set.
    /// `status`: as for [`Dialect::syntax`].
    pub(super) fn in_utf8(&self, text: &[u8], scan: &Scan, status: u16) -> Option<InUtf8> {
        let from = self.charset().filter(|c| c.is_unlike_utf8())?;
        if text.is_ascii() || scan.all_names().all(|name| name.of(text).is_ascii()) {
            return None;
        }
        let is_beyond = |expr| matches!(expr, Expr::Text(span) if !span.of(text).is_ascii());
        let charset = match scan.tree.all().any(is_beyond) {
            true => None,
            false => Some(TextCharset::Utf8mb4),
        };
        let syntax = Syntax {
            charset: Charset::Plain,
            ..self.syntax(status)
        };
        let text = from.to_utf8(text)?.into_owned();
        let mut again = Scan::default();
        again.read(&text, syntax, !scan.facts.is_cut);
        Some(InUtf8 {
            text,
            scan: again,
            syntax,
            charset,
        })
    }

    /// A name in UTF-8, or as it is if that is not known.
    pub(super) fn name_in_utf8<'n>(&self, name: &'n [u8]) -> Cow<'n, [u8]> {
        let from = self.charset().filter(|c| c.is_unlike_utf8());
        let text = from.and_then(|from| from.to_utf8(name));
        text.unwrap_or(Cow::Borrowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a session in GBK reads of this text, which is UTF-8 here.
    fn read(text: &str) -> Option<InUtf8> {
        let mut dialect = Dialect::default();
        dialect.learn(b"character_set_connection", b"gbk");
        let (gbk, ..) = encoding_rs::GBK.encode(text);
        let mut scan = Scan::default();
        scan.read(&gbk, dialect.syntax(0), true);
        dialect.in_utf8(&gbk, &scan, 0)
    }

    #[test]
    fn names_in_gbk_are_read_in_utf8() {
        for text in [
            "select * from 表 where k = 5",
            "select * from t where 键 = 5",
            "select * from `表` partition (分) where k = '5'",
        ] {
            let read = read(text).expect(text);
            assert_eq!(read.text, text.as_bytes());
            assert_eq!(read.scan.tables.len(), 1);
            assert_eq!(read.charset, Some(TextCharset::Utf8mb4));
        }
        let text = "select * from 表 where k = '键'";
        assert_eq!(read(text).expect(text).charset, None);
        for text in ["select * from t", "select '表' from t where k = 5"] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn names_are_those_of_the_session() {
        let mut dialect = Dialect::default();
        assert_eq!(*dialect.name_in_utf8(b"\xe9"), *b"\xe9");
        dialect.learn(b"character_set_connection", b"latin1");
        assert_eq!(*dialect.name_in_utf8(b"\xe9t"), *"ét".as_bytes());
    }
}
