//! The words of a statement: exactly what the statements that the engine knows consist of.

/// One word, with the text it stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// As typed; of texts and quoted names without the quotes.
    pub(super) text: &'a [u8],
    /// Where it begins in the statement, and where it ends.
    pub(super) from: usize,
    pub(super) to: usize,
    /// The quote around it, 0 for none.
    pub(super) quote: u8,
}

/// What a word is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A name or a key word.
    Word,
    /// A name in back quotes.
    Quoted,
    /// A text literal; its escapes are not undone.
    Text,
    /// Digits.
    Number,
    /// Digits with a point.
    Decimal,
    /// `@name`.
    User,
    /// `@@name`.
    System,
    /// Anything else, one byte (`:=` is two).
    Sign,
    /// The end of the text.
    End,
}

/// A statement that cannot be cut into words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unknown;

/// Cuts a statement into words; comments are left out, and a hint that allows a weak read is kept
/// in mind.
#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    text: &'a [u8],
    at: usize,
    /// A hint `READ_CONSISTENCY(WEAK)` was read.
    pub(super) is_weak: bool,
}

impl<'a> Words<'a> {
    pub(super) const fn new(text: &'a [u8], at: usize) -> Self {
        Self {
            text,
            at,
            is_weak: false,
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn skip(&mut self) -> Result<(), Unknown> {
        loop {
            match (self.byte(self.at), self.byte(self.at + 1)) {
                (b' ' | b'\t' | b'\n' | b'\r', _) => self.at += 1,
                (b'/', b'*') => {
                    let rest = self.text.get(self.at + 2..).ok_or(Unknown)?;
                    let len = rest.windows(2).position(|w| w == b"*/").ok_or(Unknown)?;
                    let comment = rest.get(..len).unwrap_or_default();
                    match comment.first() {
                        // Text that only some versions run.
                        Some(b'!') => return Err(Unknown),
                        Some(b'+') => {
                            let mut hint = comment.to_ascii_lowercase();
                            hint.retain(|b| !b.is_ascii_whitespace());
                            let weak = b"read_consistency(weak)";
                            self.is_weak |= hint.windows(weak.len()).any(|w| w == weak);
                        }
                        _ => {}
                    }
                    self.at += len + 4;
                }
                (b'#', _) => self.skip_line(),
                (b'-', b'-') if matches!(self.byte(self.at + 2), b' ' | b'\t' | b'\n' | 0) => {
                    self.skip_line();
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
    }

    fn run(&self, from: usize, is_part: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        from + rest.iter().position(|b| !is_part(*b)).unwrap_or(rest.len())
    }

    /// Where a quoted text ends: at its closing quote. Doubled quotes are part of it.
    fn closing(&self, quote: u8) -> Result<usize, Unknown> {
        let mut at = self.at + 1;
        loop {
            match self.text.get(at) {
                None => return Err(Unknown),
                Some(b'\\') if quote != b'`' => at += 2,
                Some(b) if *b == quote && self.byte(at + 1) == quote => at += 2,
                Some(b) if *b == quote => return Ok(at),
                Some(_) => at += 1,
            }
        }
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Result<Token<'a>, Unknown> {
        self.skip()?;
        let from = self.at;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80;
        let (kind, inner, to) = match self.byte(from) {
            _ if from >= self.text.len() => (Kind::End, from..from, from),
            quote @ (b'`' | b'\'' | b'"') => {
                let end = self.closing(quote)?;
                let kind = if quote == b'`' {
                    Kind::Quoted
                } else {
                    Kind::Text
                };
                (kind, from + 1..end, end + 1)
            }
            b'0'..=b'9' => {
                let end = self.run(from, |b| b.is_ascii_digit());
                let has_point = self.byte(end) == b'.' && self.byte(end + 1).is_ascii_digit();
                let (kind, end) = if has_point {
                    let end = self.run(end + 1, |b| b.is_ascii_digit());
                    (Kind::Decimal, end)
                } else {
                    (Kind::Number, end)
                };
                if is_name(self.byte(end)) {
                    return Err(Unknown);
                }
                (kind, from..end, end)
            }
            b'@' if self.byte(from + 1) == b'@' => {
                let end = self.run(from + 2, |b| is_name(b) || b == b'.');
                (Kind::System, from + 2..end, end)
            }
            b'@' => {
                let end = self.run(from + 1, is_name);
                (Kind::User, from + 1..end, end)
            }
            b':' if self.byte(from + 1) == b'=' => (Kind::Sign, from..from + 2, from + 2),
            b if is_name(b) => {
                let end = self.run(from, is_name);
                (Kind::Word, from..end, end)
            }
            _ => (Kind::Sign, from..from + 1, from + 1),
        };
        if matches!(kind, Kind::System | Kind::User) && inner.is_empty() {
            return Err(Unknown);
        }
        self.at = to;
        let text = self.text.get(inner).unwrap_or_default();
        let quote = match kind {
            Kind::Text | Kind::Quoted => self.byte(from),
            _ => 0,
        };
        Ok(Token {
            kind,
            text,
            from,
            to,
            quote,
        })
    }
}

impl Token<'_> {
    /// True for this key word, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Of a text literal: the text, its escapes undone.
    pub(super) fn unescaped(&self) -> Vec<u8> {
        unescape(self.text, self.quote)
    }

    /// True for this sign.
    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign.as_bytes()
    }
}

/// A text literal with its escapes undone, as MySQL does without NO_BACKSLASH_ESCAPES.
fn unescape(text: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        match b {
            b'\\' => match bytes.next() {
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b'r') => out.push(b'\r'),
                Some(b'0') => out.push(0),
                Some(b'b') => out.push(8),
                Some(b'Z') => out.push(26),
                // For LIKE: the backslash stays.
                Some(c @ (b'%' | b'_')) => out.extend_from_slice(&[b'\\', c]),
                Some(c) => out.push(c),
                None => {}
            },
            // The quote of the text stands doubled; the other kind stands alone.
            b if b == quote && bytes.peek() == Some(&b) => {
                out.push(b);
                bytes.next();
            }
            b => out.push(b),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<(Kind, String)> {
        let mut words = Words::new(text.as_bytes(), 0);
        let mut all = vec![];
        loop {
            let t = words.next().unwrap();
            if t.kind == Kind::End {
                return all;
            }
            all.push((t.kind, String::from_utf8_lossy(t.text).into_owned()));
        }
    }

    #[test]
    fn a_statement_in_words() {
        let text = "select /* c */ `a`, 'it''s', 1.5 from t -- x\n where id=?;";
        let kinds: Vec<Kind> = words(text).into_iter().map(|w| w.0).collect();
        use Kind::{Decimal, Quoted, Sign, Text, Word};
        let want = [
            Word, Quoted, Sign, Text, Sign, Decimal, Word, Word, Word, Word, Sign, Sign, Sign,
        ];
        assert_eq!(kinds, want);
        assert_eq!(words("@x := @@a.b")[2], (Kind::System, "a.b".into()));
    }

    #[test]
    fn what_is_no_word_is_refused_and_nothing_panics() {
        for text in ["'open", "`open", "/* open", "1a", "@", "/*! 5 */", "'a\\"] {
            let mut words = Words::new(text.as_bytes(), 0);
            assert_eq!(words.next().err(), Some(Unknown), "{text}");
        }
    }

    #[test]
    fn escapes_are_undone_and_weak_hints_are_seen() {
        assert_eq!(unescape(b"it''s \\'\\n\\%", b'\''), b"it's '\n\\%");
        let mut words = Words::new(b"select /*+ READ_CONSISTENCY ( weak ) */ 1", 0);
        words.next().unwrap();
        words.next().unwrap();
        assert!(words.is_weak);
    }
}
