//! Bytes to tokens, one at a time, without a copy.

use super::keyword::Kw;
use super::syntax::{Charset, Syntax};
use super::tree::Span;

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tok {
    /// Nothing more, or nothing more that makes sense: see [`Lexer::is_broken`].
    End,
    /// A word: a keyword or a bare name.
    Word(Kw),
    /// A name in quotes.
    Name,
    /// A string with its quotes, and an introducer (`_utf8mb4`, `N`) if there is one.
    Text,
    Int,
    Decimal,
    Float,
    /// `0x..` or `x'..'`.
    Hex,
    /// `0b..` or `b'..'`.
    Bit,
    /// `?`
    Param,
    /// `@name`, `@'name'`
    UserVariable,
    /// `@@name`, `@@scope.name`
    SystemVariable,
    /// One byte of punctuation.
    Punct(u8),
    LessEqual,
    GreaterEqual,
    NotEqual,
    NullSafe,
    Assign,
    ShiftLeft,
    ShiftRight,
    AndAnd,
    OrOr,
    /// `->`, `->>`
    Arrow,
}

/// A token and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) tok: Tok,
    pub(super) span: Span,
}

/// Classes of bytes.
const WORD: u8 = 1;
const SPACE: u8 = 2;
const DIGIT: u8 = 4;
/// May begin a comment, or end one whose content counts.
const COMMENT: u8 = 8;
/// Punctuation that is a token by itself, whatever follows.
const SINGLE: u8 = 16;
/// A byte of a word that is a character by itself in every character set.
const ASCII: u8 = 32;
/// A letter of them.
const LETTER: u8 = 64;
/// A byte that may stand behind a word without making it something else: none that goes on with
/// it, and no quote.
const AFTER: u8 = 128;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_digit() {
            table[at] = WORD | ASCII | DIGIT;
        } else if byte.is_ascii_alphabetic() {
            table[at] = WORD | ASCII | LETTER;
        } else if byte == b'_' || byte == b'$' {
            table[at] = WORD | ASCII;
        } else if byte >= 0x80 {
            table[at] = WORD;
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) {
            table[at] = SPACE;
        } else if matches!(byte, b'/' | b'*' | b'#' | b'-') {
            table[at] = COMMENT;
        } else if matches!(byte, b'=' | b'(' | b')' | b',' | b';' | b'+') {
            table[at] = SINGLE;
        }
        if byte != 0 && byte != b'\'' && table[at] & WORD == 0 {
            table[at] |= AFTER;
        }
        at += 1;
    }
    table
};

#[inline]
fn is(byte: u8, class: u8) -> bool {
    CLASS[usize::from(byte)] & class != 0
}

/// Reads tokens of a text.
#[derive(Clone, Copy)]
pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    syntax: Syntax,
    /// Inside `/*! .. */`, whose content counts (observed on seekdb 1.3.0, whatever the number).
    is_in_version_comment: bool,
    /// A string or comment has no end, or a byte has no meaning: the rest is not read.
    pub(super) is_broken: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8], syntax: Syntax) -> Self {
        Self {
            text,
            at: 0,
            syntax,
            is_in_version_comment: false,
            is_broken: false,
        }
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    pub(super) fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// The byte at a place; 0 behind the end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    fn rest(&self, at: usize) -> &'a [u8] {
        self.text.get(at..).unwrap_or_default()
    }

    fn broken(&mut self) -> Token {
        self.is_broken = true;
        self.at = self.text.len();
        self.token(Tok::End, self.at)
    }

    fn token(&self, tok: Tok, start: usize) -> Token {
        Token {
            tok,
            span: Span::within(start, self.at),
        }
    }

    /// If the next thing is an optimizer hint, its content; the lexer stands behind it then.
    pub(super) fn hint(&mut self) -> Option<Span> {
        if is(self.byte(self.at), WORD) {
            return None;
        }
        // Ordinary comments may stand in front of it (routing.md 2.3).
        loop {
            while is(self.byte(self.at), SPACE) {
                self.at += 1;
            }
            if self.byte(self.at) != b'/' {
                return None;
            }
            let rest = self.rest(self.at);
            if rest.starts_with(b"/*+") {
                let start = self.at + 3;
                let len = memchr::memmem::find(self.rest(start), b"*/")?;
                self.at = start + len + 2;
                return Some(Span::new(start, start + len));
            }
            if !rest.starts_with(b"/*") || rest.starts_with(b"/*!") {
                return None;
            }
            let len = memchr::memmem::find(rest.get(2..)?, b"*/")?;
            self.at += len + 4;
        }
    }

    /// Skips white space and comments. False: a comment without an end.
    fn blank(&mut self) -> bool {
        loop {
            let byte = self.byte(self.at);
            if is(byte, SPACE) {
                self.at += 1;
                continue;
            }
            match byte {
                b'/' if self.byte(self.at + 1) == b'*' => {
                    if self.byte(self.at + 2) == b'!' {
                        self.at += 3;
                        while is(self.byte(self.at), DIGIT) {
                            self.at += 1;
                        }
                        self.is_in_version_comment = true;
                        continue;
                    }
                    match memchr::memmem::find(self.rest(self.at + 2), b"*/") {
                        Some(len) => self.at += len + 4,
                        None => return false,
                    }
                }
                b'*' if self.is_in_version_comment && self.byte(self.at + 1) == b'/' => {
                    self.at += 2;
                    self.is_in_version_comment = false;
                }
                b'#' => self.line(),
                b'-' if self.byte(self.at + 1) == b'-' && self.byte(self.at + 2) <= b' ' => {
                    self.line();
                }
                _ => return true,
            }
        }
    }

    /// Skips to the end of the line.
    fn line(&mut self) {
        let rest = self.rest(self.at);
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    /// The next token, if it is what most tokens are: a word or number of up to seven bytes, or
    /// one byte of punctuation, without a blank in front of it. [`Self::next`] gives the same.
    #[inline(always)]
    pub(super) fn short(&mut self) -> Option<Token> {
        let start = self.at;
        let eight = self.eight(start);
        let first = CLASS[usize::from(eight as u8)];
        // Behind the eighth byte comes a 0, so that the loops end; it ends no word, though.
        let mut rest = eight >> 8;
        let mut len = 1;
        let tok = if first & LETTER != 0 {
            while is(rest as u8, ASCII) {
                rest >>= 8;
                len += 1;
            }
            if !is(rest as u8, AFTER) {
                return None;
            }
            let folded = eight | 0x2020_2020_2020_2020;
            Tok::Word(Kw::of_number(folded & (u64::MAX >> (64 - 8 * len))))
        } else if first & SINGLE != 0 {
            Tok::Punct(eight as u8)
        } else if first & DIGIT != 0 {
            while is(rest as u8, DIGIT) {
                rest >>= 8;
                len += 1;
            }
            if len == 8 || rest as u8 == b'.' || is(rest as u8, WORD) {
                return None;
            }
            Tok::Int
        } else if eight == 0 && start >= self.text.len() {
            (rest, len) = (0, 0);
            Tok::End
        } else {
            return None;
        };
        let end = start + len;
        // One blank is what most tokens have behind them.
        self.at = end + usize::from(rest as u8 == b' ');
        let span = Span::within(start, end);
        Some(Token { tok, span })
    }

    /// Eight bytes from a place on, the first one lowest; 0 behind the end.
    #[inline(always)]
    fn eight(&self, at: usize) -> u64 {
        let Some(rest) = self.text.get(at..) else {
            return 0;
        };
        if let Some(bytes) = rest.first_chunk() {
            return u64::from_le_bytes(*bytes);
        }
        // The last eight bytes without those in front of the place.
        match self.text.last_chunk() {
            Some(bytes) if !rest.is_empty() => {
                u64::from_le_bytes(*bytes) >> (64 - 8 * rest.len() as u32)
            }
            _ => 0,
        }
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        if !self.blank() {
            return self.broken();
        }
        let start = self.at;
        let byte = self.byte(start);
        if is(byte, DIGIT) {
            return self.number(start);
        }
        if is(byte, WORD) {
            return self.word(start);
        }
        self.special(byte, start)
    }

    /// A token that begins with neither a word's byte nor a blank.
    fn special(&mut self, byte: u8, start: usize) -> Token {
        let tok = match byte {
            b'\'' => return self.string(start, start),
            b'"' if !self.syntax.ansi_quotes => return self.string(start, start),
            b'`' | b'"' => return self.quoted(start, byte, Tok::Name),
            b'@' => return self.variable(start),
            b'.' if is(self.byte(start + 1), DIGIT) && !self.is_behind_name(start) => {
                return self.number(start);
            }
            b'?' => Tok::Param,
            0 if start >= self.text.len() => return self.token(Tok::End, start),
            _ => {
                let tok = self.operator(byte, start);
                if tok == Tok::End {
                    return self.broken();
                }
                return self.token(tok, start);
            }
        };
        self.at = start + 1;
        self.token(tok, start)
    }

    /// True: a name ends right in front of this place, so that a dot goes on with it.
    fn is_behind_name(&self, start: usize) -> bool {
        let before = start.checked_sub(1).map_or(0, |at| self.byte(at));
        is(before, WORD) || before == b'`'
    }

    /// Punctuation of up to three bytes; `End` for a byte that means nothing.
    fn operator(&mut self, byte: u8, start: usize) -> Tok {
        let (second, third) = (self.byte(start + 1), self.byte(start + 2));
        let (tok, len) = match (byte, second, third) {
            (b'<', b'=', b'>') => (Tok::NullSafe, 3),
            (b'-', b'>', b'>') => (Tok::Arrow, 3),
            (b'<', b'=', _) => (Tok::LessEqual, 2),
            (b'>', b'=', _) => (Tok::GreaterEqual, 2),
            (b'<', b'>', _) | (b'!', b'=', _) => (Tok::NotEqual, 2),
            (b'<', b'<', _) => (Tok::ShiftLeft, 2),
            (b'>', b'>', _) => (Tok::ShiftRight, 2),
            (b'&', b'&', _) => (Tok::AndAnd, 2),
            (b'|', b'|', _) => (Tok::OrOr, 2),
            (b':', b'=', _) => (Tok::Assign, 2),
            (b'-', b'>', _) => (Tok::Arrow, 2),
            (byte, ..) if byte.is_ascii_punctuation() => (Tok::Punct(byte), 1),
            _ => (Tok::End, 0),
        };
        self.at = start + len;
        tok
    }

    /// Behind the last byte of a word.
    fn word_end(&self, mut at: usize) -> usize {
        if self.syntax.charset == Charset::Plain {
            let rest = self.rest(at);
            return at + rest.iter().take_while(|b| is(**b, WORD)).count();
        }
        while is(self.byte(at), WORD) {
            at += self
                .syntax
                .charset
                .char_len(self.byte(at), self.byte(at + 1));
        }
        at.min(self.text.len())
    }

    /// A word of any length and script, or the string that it is the head of.
    fn word(&mut self, start: usize) -> Token {
        self.at = self.word_end(start);
        let word = self.text.get(start..self.at).unwrap_or_default();
        if self.byte(self.at) == b'\'' {
            match word {
                b"x" | b"X" => return self.quoted(start, b'\'', Tok::Hex),
                b"b" | b"B" => return self.quoted(start, b'\'', Tok::Bit),
                b"n" | b"N" => return self.string(start, self.at),
                _ => {}
            }
        }
        if word.first() == Some(&b'_')
            && matches!(
                self.byte(self.at),
                b'\'' | b'"' | b' ' | b'\t' | b'\n' | b'\r'
            )
        {
            // An introducer, if a string follows; blanks may stand between.
            let mut quote = self.at;
            while is(self.byte(quote), SPACE) {
                quote += 1;
            }
            if matches!(self.byte(quote), b'\'' | b'"') {
                return self.string(start, quote);
            }
        }
        self.token(Tok::Word(Kw::of(word)), start)
    }

    /// The part of a name behind a dot, which may look like a number.
    pub(super) fn part(&mut self) -> Token {
        if !self.blank() {
            return self.broken();
        }
        let start = self.at;
        if is(self.byte(start), WORD) {
            self.at = self.word_end(start);
            return self.token(Tok::Name, start);
        }
        self.next()
    }

    fn number(&mut self, start: usize) -> Token {
        let (first, second) = (self.byte(start), self.byte(start + 1));
        let mut at = start;
        if first == b'0' && matches!(second, b'x' | b'b') {
            let end = self.word_end(start);
            let digits = self.text.get(start + 2..end).unwrap_or_default();
            let (tok, fits): (_, fn(&u8) -> bool) = match second {
                b'x' => (Tok::Hex, u8::is_ascii_hexdigit),
                _ => (Tok::Bit, |b| matches!(b, b'0' | b'1')),
            };
            if !digits.is_empty() && digits.iter().all(fits) {
                self.at = end;
                return self.token(tok, start);
            }
        }
        while is(self.byte(at), DIGIT) {
            at += 1;
        }
        let mut tok = Tok::Int;
        if self.byte(at) == b'.' {
            tok = Tok::Decimal;
            at += 1;
            while is(self.byte(at), DIGIT) {
                at += 1;
            }
        }
        if matches!(self.byte(at), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
            if is(self.byte(at + 1 + sign), DIGIT) {
                tok = Tok::Float;
                at += 1 + sign;
                while is(self.byte(at), DIGIT) {
                    at += 1;
                }
            }
        }
        self.at = at;
        if is(self.byte(at), WORD) && !(tok == Tok::Decimal) {
            // `1abc` is a name.
            let head = self.text.get(start..at).unwrap_or_default();
            if head.iter().all(|b| is(*b, WORD)) {
                self.at = self.word_end(at);
                return self.token(Tok::Name, start);
            }
            return self.broken();
        }
        self.token(tok, start)
    }

    fn variable(&mut self, start: usize) -> Token {
        if self.byte(start + 1) == b'@' {
            self.at = start + 2;
            loop {
                let at = self.at;
                if self.byte(at) == b'`' {
                    if self.quoted(at, b'`', Tok::Name).tok == Tok::End {
                        return self.token(Tok::End, at);
                    }
                } else {
                    self.at = self.word_end(at);
                }
                if self.byte(self.at) != b'.' || self.at == at {
                    return self.token(Tok::SystemVariable, start);
                }
                self.at += 1;
            }
        }
        let at = start + 1;
        match self.byte(at) {
            quote @ (b'\'' | b'"' | b'`') => {
                self.at = at;
                if self.quoted(at, quote, Tok::Name).tok == Tok::End {
                    return self.token(Tok::End, at);
                }
            }
            _ => {
                self.at = at;
                while is(self.byte(self.at), WORD) || self.byte(self.at) == b'.' {
                    self.at += 1;
                }
            }
        }
        self.token(Tok::UserVariable, start)
    }

    /// Up to a closing quote that is not doubled, without escapes. `self.at` may already stand at
    /// the opening quote (`x'..'`).
    fn quoted(&mut self, start: usize, quote: u8, tok: Tok) -> Token {
        let mut at = self.at.max(start) + 1;
        loop {
            if self.syntax.charset == Charset::Plain {
                match memchr::memchr(quote, self.rest(at)) {
                    Some(len) => at += len,
                    None => return self.broken(),
                }
            } else {
                while at < self.text.len() && self.byte(at) != quote {
                    at += self
                        .syntax
                        .charset
                        .char_len(self.byte(at), self.byte(at + 1));
                }
                if at >= self.text.len() {
                    return self.broken();
                }
            }
            at += 1;
            if self.byte(at) != quote {
                self.at = at;
                return self.token(tok, start);
            }
            at += 1;
        }
    }

    /// A string whose opening quote is at `open`.
    fn string(&mut self, start: usize, open: usize) -> Token {
        let quote = self.byte(open);
        match self.string_end(open + 1, quote) {
            Some(end) => {
                self.at = end;
                self.token(Tok::Text, start)
            }
            None => self.broken(),
        }
    }

    fn string_end(&self, mut at: usize, quote: u8) -> Option<usize> {
        let has_escapes = !self.syntax.no_backslash_escapes;
        loop {
            let byte = if self.syntax.charset == Charset::Plain {
                let rest = self.rest(at);
                at += match has_escapes {
                    true => memchr::memchr2(quote, b'\\', rest)?,
                    false => memchr::memchr(quote, rest)?,
                };
                self.byte(at)
            } else {
                let byte = *self.text.get(at)?;
                let len = self.syntax.charset.char_len(byte, self.byte(at + 1));
                if len > 1 || (byte != quote && !(byte == b'\\' && has_escapes)) {
                    at += len;
                    continue;
                }
                byte
            };
            if byte == quote {
                at += 1;
                if self.byte(at) != quote {
                    return Some(at);
                }
                at += 1;
            } else {
                // The escaped character, all its bytes: its second one may be a quote's like.
                let len = self
                    .syntax
                    .charset
                    .char_len(self.byte(at + 1), self.byte(at + 2));
                at += 1 + len;
                if at > self.text.len() {
                    return None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_token_is_the_one_that_the_long_way_gives() {
        let texts = [
            "select c, k from sbtest1 where id=12345",
            "a,b;c(d)+1 eightlen ninechars 12345678 1234567 1.5 5x 1e3 .5 x'1f' n'x' _x'y' $a a$b",
            "caf\u{e9} \u{e9}a a--1 a-- 1\n/*c*/ b#d\n *1 k<=>5 /*!5 a*/ b",
            "",
            "a",
            " ",
            "7",
            "a b",
            "1234567",
            "12345678",
            "abcdefg",
            "abcdefgh",
            "a\0b",
            "\0",
        ];
        for text in texts {
            for charset in [Charset::Plain, Charset::Gbk] {
                let syntax = Syntax {
                    charset,
                    ..Syntax::default()
                };
                let mut lexer = Lexer::new(text.as_bytes(), syntax);
                loop {
                    let mut other = lexer;
                    let short = other.short();
                    let long = lexer.next();
                    assert!(
                        short.is_none_or(|s| s == long),
                        "{text}: {short:?} {long:?}"
                    );
                    if long.tok == Tok::End {
                        break;
                    }
                    // Where both go on, it is with the same token.
                    if short.is_some() {
                        assert_eq!(other.next(), { lexer }.next(), "{text}");
                    }
                }
            }
        }
    }
}
