//! The pieces of a statement, as ranges of its bytes. Not a grammar: just enough to find the first
//! of several statements, its verb, and the values of an INSERT, each as it was written.

use std::ops::Range;

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// A name or a key word.
    Word,
    /// A name in back quotes.
    Quoted,
    /// A text in quotes.
    Text,
    /// A number without sign.
    Number,
    /// `?`
    Mark,
    /// `/*+ ... */`
    Hint,
    /// Any other byte.
    Sign(u8),
}

/// A piece and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) piece: Piece,
    pub(super) range: Range<usize>,
}

/// A text and its pieces; comments are none of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) tokens: Vec<Token>,
}

impl<'a> Text<'a> {
    /// Takes a text apart. `None`: a quote or a comment is not ended.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut tokens = vec![];
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            let rest = bytes.get(at..).unwrap_or_default();
            let (piece, len) = match byte {
                b'\'' | b'"' => (Some(Piece::Text), quoted(rest, byte, true)?),
                b'`' => (Some(Piece::Quoted), quoted(rest, byte, false)?),
                b'#' => (None, line(rest)),
                b'-' if is_dash_comment(rest) => (None, line(rest)),
                b'/' if rest.starts_with(b"/*+") => (Some(Piece::Hint), comment(rest)?),
                // What is in it is run: its marks are blanks.
                b'/' if rest.starts_with(b"/*!") => {
                    comment(rest)?;
                    let digits = rest.iter().skip(3).take_while(|b| b.is_ascii_digit());
                    (None, 3 + digits.count())
                }
                b'/' if rest.starts_with(b"/*") => (None, comment(rest)?),
                b'*' if rest.starts_with(b"*/") => (None, 2),
                b'?' => (Some(Piece::Mark), 1),
                b'.' if is_fraction(rest, tokens.last(), bytes) => {
                    (Some(Piece::Number), number(rest))
                }
                b if b.is_ascii_digit() => match word(rest) {
                    n if is_number(rest.get(..n).unwrap_or_default()) => {
                        (Some(Piece::Number), number(rest))
                    }
                    n => (Some(Piece::Word), n),
                },
                b if is_word(b) => (Some(Piece::Word), word(rest)),
                b if b.is_ascii_whitespace() => (None, 1),
                b => (Some(Piece::Sign(b)), 1),
            };
            if let Some(piece) = piece {
                let range = at..at + len;
                tokens.push(Token { piece, range });
            }
            at += len;
        }
        Some(Self { bytes, tokens })
    }

    /// Cuts it at the first semicolon outside of quotes; true where something follows.
    pub(super) fn first(mut self) -> (Self, bool) {
        let is_end = |t: &Token| t.piece == Piece::Sign(b';');
        let Some(end) = self.tokens.iter().position(is_end) else {
            return (self, false);
        };
        let has_more = self.tokens.iter().skip(end).any(|t| !is_end(t));
        let cut = self.tokens.get(end).map_or(0, |t| t.range.start);
        self.tokens.truncate(end);
        self.bytes = self.bytes.get(..cut).unwrap_or_default();
        (self, has_more)
    }

    /// The bytes of a piece.
    pub(super) fn of(&self, at: usize) -> &'a [u8] {
        let range = self.tokens.get(at).map(|t| t.range.clone());
        self.bytes.get(range.unwrap_or(0..0)).unwrap_or_default()
    }

    /// What a piece is.
    pub(super) fn piece(&self, at: usize) -> Option<Piece> {
        self.tokens.get(at).map(|t| t.piece)
    }

    /// True for this key word.
    pub(super) fn is_word(&self, at: usize, word: &str) -> bool {
        self.piece(at) == Some(Piece::Word) && self.of(at).eq_ignore_ascii_case(word.as_bytes())
    }

    /// True for one of these key words.
    pub(super) fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|w| self.is_word(at, w))
    }

    /// True for this sign.
    pub(super) fn is_sign(&self, at: usize, sign: u8) -> bool {
        self.piece(at) == Some(Piece::Sign(sign))
    }

    /// A name, without its quotes.
    pub(super) fn name(&self, at: usize) -> Option<String> {
        let bytes = match self.piece(at)? {
            Piece::Word => self.of(at).to_vec(),
            Piece::Quoted => unquoted(self.of(at), false),
            _ => return None,
        };
        String::from_utf8(bytes).ok()
    }

    /// A text literal, without its quotes and escapes.
    pub(super) fn literal(&self, at: usize) -> Option<Vec<u8>> {
        (self.piece(at)? == Piece::Text).then(|| unquoted(self.of(at), true))
    }

    /// The bytes of some pieces, with what stands between them.
    pub(super) fn span(&self, tokens: Range<usize>) -> &'a [u8] {
        let pieces = self.tokens.get(tokens).unwrap_or_default();
        match pieces {
            [] => &[],
            [first, ..] => {
                let end = pieces.last().map_or(first.range.end, |t| t.range.end);
                self.bytes.get(first.range.start..end).unwrap_or_default()
            }
        }
    }

    /// Its pieces with one blank between them: the same for texts that differ in comments only.
    pub(super) fn plain(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        for at in 0..self.tokens.len() {
            out.extend_from_slice(self.of(at));
            out.push(b' ');
        }
        out
    }

    /// The piece behind the bracket that closes the one at `at`; `None`: it is not closed.
    pub(super) fn behind(&self, at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for (i, token) in self.tokens.iter().enumerate().skip(at) {
            match token.piece {
                Piece::Sign(b'(') => depth += 1,
                Piece::Sign(b')') => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(i + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Splits pieces at commas outside of brackets.
    pub(super) fn split(&self, tokens: Range<usize>) -> Vec<Range<usize>> {
        let (mut all, mut from, mut depth) = (vec![], tokens.start, 0_usize);
        for at in tokens.clone() {
            match self.piece(at) {
                Some(Piece::Sign(b'(')) => depth += 1,
                Some(Piece::Sign(b')')) => depth = depth.saturating_sub(1),
                Some(Piece::Sign(b',')) if depth == 0 => {
                    all.push(from..at);
                    from = at + 1;
                }
                _ => {}
            }
        }
        if !all.is_empty() || from < tokens.end {
            all.push(from..tokens.end);
        }
        all
    }
}

const fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || !b.is_ascii()
}

fn word(text: &[u8]) -> usize {
    let end = text.iter().position(|b| !is_word(*b));
    end.unwrap_or(text.len())
}

/// True for what begins with a digit and is no name.
fn is_number(word: &[u8]) -> bool {
    let is_hex = |w: &[u8]| {
        let digits = w.strip_prefix(b"0x").or_else(|| w.strip_prefix(b"0b"));
        digits.is_some_and(|d| !d.is_empty() && d.iter().all(u8::is_ascii_hexdigit))
    };
    let digits = word.iter().take_while(|b| b.is_ascii_digit()).count();
    let exponent = word.get(digits..).unwrap_or_default();
    let is_exponent = match exponent.split_first() {
        None => true,
        Some((b'e' | b'E', rest)) => rest.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    is_exponent || is_hex(word)
}

/// Length of a number: digits, a fraction, an exponent with its sign.
fn number(text: &[u8]) -> usize {
    if text.starts_with(b"0x") || text.starts_with(b"0b") {
        return word(text);
    }
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|b| b.is_ascii_digit()).count()
    };
    let mut end = digits(0);
    if text.get(end) == Some(&b'.') {
        end += 1;
        end += digits(end);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let n = digits(end + 1 + sign);
        if n > 0 {
            end += 1 + sign + n;
        }
    }
    end.max(1)
}

/// `.5`, not the point in front of a column.
fn is_fraction(rest: &[u8], last: Option<&Token>, bytes: &[u8]) -> bool {
    let has_digit = rest.get(1).is_some_and(u8::is_ascii_digit);
    let start = bytes.len() - rest.len();
    let touches = last
        .is_some_and(|t| t.range.end == start && matches!(t.piece, Piece::Word | Piece::Quoted));
    has_digit && !touches
}

fn is_dash_comment(text: &[u8]) -> bool {
    text.starts_with(b"--") && text.get(2).is_none_or(u8::is_ascii_whitespace)
}

fn line(text: &[u8]) -> usize {
    let end = text.iter().position(|b| *b == b'\n');
    end.unwrap_or(text.len())
}

fn comment(text: &[u8]) -> Option<usize> {
    let ends = text.get(2..)?.windows(2).position(|w| w == b"*/");
    ends.map(|n| n + 4)
}

/// Length of what stands in quotes at the front.
fn quoted(text: &[u8], quote: u8, has_escapes: bool) -> Option<usize> {
    let mut at = 1;
    loop {
        match *text.get(at)? {
            b'\\' if has_escapes => at += 2,
            b if b == quote => {
                if text.get(at + 1) != Some(&quote) {
                    return Some(at + 1);
                }
                at += 2;
            }
            _ => at += 1,
        }
    }
}

fn unquoted(text: &[u8], has_escapes: bool) -> Vec<u8> {
    let quote = text.first().copied().unwrap_or_default();
    let inner = text.get(1..text.len().saturating_sub(1));
    let mut bytes = inner.unwrap_or_default().iter().copied().peekable();
    let mut out = vec![];
    while let Some(b) = bytes.next() {
        match b {
            b'\\' if has_escapes => match bytes.next() {
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b'r') => out.push(b'\r'),
                Some(b'b') => out.push(8),
                Some(b'0') => out.push(0),
                Some(b'Z') => out.push(0x1A),
                Some(c @ (b'%' | b'_')) => out.extend([b'\\', c]),
                other => out.extend(other),
            },
            b if b == quote => {
                bytes.next_if_eq(&quote);
                out.push(quote);
            }
            b => out.push(b),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use obring_wire::base::Rng;

    fn pieces(sql: &str) -> Vec<String> {
        let text = Text::read(sql.as_bytes()).unwrap();
        let each = 0..text.tokens.len();
        each.map(|at| String::from_utf8(text.of(at).to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_statement_is_taken_apart() {
        for (sql, want) in [
            ("select -1.5e-3,t.1", "select|-|1.5e-3|,|t|.|1"),
            ("a=.5 and `b``c`>=0x1F", "a|=|.5|and|`b``c`|>|=|0x1F"),
            ("'it\\'s' /* x */ 'a''b' -- end", "'it\\'s'|'a''b'"),
            ("a--1 # c\n, ?", "a|-|-|1|,|?"),
            (
                "/*!40000 insert */ /*+ h */ 1e5, 2x",
                "insert|/*+ h */|1e5|,|2x",
            ),
            (
                "x'1F' _utf8'a' @`v` @@a.b",
                "x|'1F'|_utf8|'a'|@|`v`|@|@|a|.|b",
            ),
        ] {
            assert_eq!(pieces(sql).join("|"), want, "{sql}");
        }
        for open in ["'a", "`a", "\"a\\\"", "/* a", "/*+ a", "/*! a"] {
            assert_eq!(Text::read(open.as_bytes()), None, "{open}");
        }
    }

    #[test]
    fn the_first_of_several_statements_counts() {
        for (sql, first, has_more) in [
            ("select ';' ; select 2", "select ';' ", true),
            ("select 1;", "select 1", false),
            ("select 1; -- end", "select 1", false),
            ("select 1", "select 1", false),
        ] {
            let (text, more) = Text::read(sql.as_bytes()).unwrap().first();
            assert_eq!((text.bytes, more), (first.as_bytes(), has_more), "{sql}");
        }
    }

    #[test]
    fn lists_are_split_outside_of_brackets() {
        let text = Text::read(b"(1, f(2, 3), 'a,b')").unwrap();
        assert_eq!(text.behind(0), Some(text.tokens.len()));
        let values = text.split(1..text.tokens.len() - 1);
        let each = values.into_iter().map(|r| text.span(r));
        let want: [&[u8]; 3] = [b"1", b"f(2, 3)", b"'a,b'"];
        assert_eq!(each.collect::<Vec<_>>(), want);
        assert_eq!(Text::read(b"((1)").unwrap().behind(0), None);
    }

    #[test]
    fn no_text_is_too_strange() {
        let parts = [
            "'", "\"", "`", "\\", "/*", "/*+", "/*!", "*/", "--", "-- ", "#", "\n", "(", ")", ",",
            ".", "1", "e", "0x", "a", "?", "@", ";", "é", "\0", "e-",
        ];
        let mut rng = Rng::new(3);
        for _ in 0..20_000 {
            let len = rng.below(12) as usize;
            let pick = |_| parts[rng.below(parts.len() as u64) as usize];
            let text: String = (0..len).map(pick).collect();
            if let Some(read) = Text::read(text.as_bytes()) {
                for at in 0..read.tokens.len() {
                    let _ = (read.name(at), read.literal(at), read.behind(at));
                }
                let _ = (read.split(0..read.tokens.len()), read.first());
            }
        }
    }
}
