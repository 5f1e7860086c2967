//! Words, texts and numbers of an administrator's statement.

/// One piece of a statement, with the place it was read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// First byte in the statement.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    /// A name, a keyword, a variable (`@@session.x`) or a number; a name in backticks, too.
    Word(String),
    /// A text in single or double quotes.
    Text(String),
    /// Anything else.
    Sign(char),
}

impl Token {
    /// True for this keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.kind, TokenKind::Word(w) if w.eq_ignore_ascii_case(word))
    }

    /// True for this sign.
    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.kind == TokenKind::Sign(sign)
    }

    /// A word or a text.
    pub(super) fn value(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Word(s) | TokenKind::Text(s) => Some(s),
            TokenKind::Sign(_) => None,
        }
    }
}

/// Why a statement cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unclosed(pub(super) char);

/// All pieces of a statement, comments and the semicolons at its end left out.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Unclosed> {
    let mut out = vec![];
    let mut rest = text.char_indices().peekable();
    while let Some((start, c)) = rest.next() {
        let tail = text.get(start..).unwrap_or_default();
        let kind = if c.is_whitespace() {
            continue;
        } else if tail.starts_with("/*") {
            let len = tail.find("*/").ok_or(Unclosed('*'))?;
            while rest.next_if(|&(at, _)| at < start + len + 2).is_some() {}
            continue;
        } else if c == '#' || tail.starts_with("-- ") {
            while rest.next_if(|&(_, c)| c != '\n').is_some() {}
            continue;
        } else if matches!(c, '\'' | '"' | '`') {
            let mut value = String::new();
            loop {
                match rest.next() {
                    None => return Err(Unclosed(c)),
                    Some((_, '\\')) if c != '`' => {
                        let (_, escaped) = rest.next().ok_or(Unclosed(c))?;
                        // A LIKE pattern keeps its escapes.
                        if matches!(escaped, '%' | '_') {
                            value.push('\\');
                        }
                        value.push(match escaped {
                            'n' => '\n',
                            't' => '\t',
                            'r' => '\r',
                            '0' => '\0',
                            other => other,
                        });
                    }
                    Some((_, q)) if q == c => {
                        if rest.next_if(|&(_, next)| next == c).is_none() {
                            break;
                        }
                        value.push(c);
                    }
                    Some((_, other)) => value.push(other),
                }
            }
            match c {
                '`' => TokenKind::Word(value),
                _ => TokenKind::Text(value),
            }
        } else if is_word(c) || (c == '-' && tail.chars().nth(1).is_some_and(is_digit)) {
            let mut word = String::from(c);
            while let Some((_, next)) = rest.next_if(|&(_, next)| is_word(next)) {
                word.push(next);
            }
            TokenKind::Word(word)
        } else {
            TokenKind::Sign(c)
        };
        let end = rest.peek().map_or(text.len(), |&(at, _)| at);
        out.push(Token { kind, start, end });
    }
    while out.last().is_some_and(|t| t.is_sign(';')) {
        out.pop();
    }
    Ok(out)
}

const fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<TokenKind> {
        let tokens = tokens(text).expect("a readable statement");
        tokens.into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn words_texts_and_signs() {
        let word = |s: &str| TokenKind::Word(s.into());
        let text = |s: &str| TokenKind::Text(s.into());
        assert_eq!(
            read("/* c */ALTER proxyconfig SET `a`='it''s \\'x\\'' , b = \"q\";; "),
            [
                word("ALTER"),
                word("proxyconfig"),
                word("SET"),
                word("a"),
                TokenKind::Sign('='),
                text("it's 'x'"),
                TokenKind::Sign(','),
                word("b"),
                TokenKind::Sign('='),
                text("q"),
            ]
        );
        assert_eq!(
            read("@@session.x -1 # rest\n-- more"),
            [word("@@session.x"), word("-1")]
        );
        assert_eq!(read("like 'a\\_b%'"), [word("like"), text("a\\_b%")]);
        assert_eq!(read(" ; ;"), []);
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "SELECT 'ü' , x";
        let tokens = tokens(text).expect("a readable statement");
        let parts: Vec<_> = tokens.iter().map(|t| &text[t.start..t.end]).collect();
        assert_eq!(parts, ["SELECT", "'ü'", ",", "x"]);
    }

    #[test]
    fn what_is_not_closed_is_named() {
        assert_eq!(tokens("select 'a"), Err(Unclosed('\'')));
        assert_eq!(tokens("select 'a\\"), Err(Unclosed('\'')));
        assert_eq!(tokens("select /* a"), Err(Unclosed('*')));
    }
}
