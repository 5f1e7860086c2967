//! Just enough of SQL's surface to answer a statement from views: words, literals, which views it
//! names, and what it binds by equality.

use std::collections::HashMap;

/// Statements longer than this are never answered by the model: the views are asked with short
/// ones (a list of some thousand tablets included).
const TEXT_MAX: usize = 1 << 20;

/// One piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A word: a name or a key word, without back quotes.
    Word(String),
    /// A text literal, its escapes undone.
    Text(String),
    /// A number, as written.
    Number(String),
    /// Any other character.
    Sign(char),
}

/// A statement taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Its pieces; comments are left out.
    pub tokens: Vec<Token>,
    /// Its text for SQLite: the same with literals in its form.
    pub text: String,
    /// What stands in its hints, `/*+ ... */`.
    pub hint: String,
}

/// What a column is bound to by `=` or `IN`, all literals of the statement together.
pub type Bound = HashMap<String, Vec<String>>;

impl Statement {
    /// Takes a statement apart. `None` for one that is too long, no UTF-8, or not ended.
    #[must_use]
    pub fn parse(sql: &[u8]) -> Option<Self> {
        if sql.len() > TEXT_MAX {
            return None;
        }
        let sql = std::str::from_utf8(sql).ok()?;
        let mut statement = Self::default();
        let mut rest = sql;
        while let Some(c) = rest.chars().next() {
            let used = match c {
                '\'' | '"' => statement.literal(rest, c)?,
                '`' => {
                    let end = rest[1..].find('`')? + 2;
                    statement.push(&rest[..end], Some(Token::Word(rest[1..end - 1].to_owned())));
                    end
                }
                '/' if rest.starts_with("/*") => {
                    let end = rest.find("*/")? + 2;
                    if let Some(hint) = rest[..end - 2].strip_prefix("/*+") {
                        statement.hint.push_str(hint);
                    }
                    statement.push(" ", None);
                    end
                }
                '#' => {
                    statement.push(" ", None);
                    rest.find('\n').unwrap_or(rest.len())
                }
                '-' if rest.starts_with("-- ") => {
                    statement.push(" ", None);
                    rest.find('\n').unwrap_or(rest.len())
                }
                c if c.is_ascii_digit() => {
                    let end = word_end(rest);
                    let text = &rest[..end];
                    statement.push(text, Some(Token::Number(text.to_owned())));
                    end
                }
                c if is_word(c) => {
                    let end = word_end(rest);
                    let text = &rest[..end];
                    statement.push(text, Some(Token::Word(text.to_owned())));
                    end
                }
                c => {
                    let token = (!c.is_whitespace()).then_some(Token::Sign(c));
                    let end = c.len_utf8();
                    statement.push(&rest[..end], token);
                    end
                }
            };
            rest = &rest[used..];
        }
        Some(statement)
    }

    fn push(&mut self, text: &str, token: Option<Token>) {
        self.text.push_str(text);
        self.tokens.extend(token);
    }

    /// A text in quotes at the front of `rest`; its length there.
    fn literal(&mut self, rest: &str, quote: char) -> Option<usize> {
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1).peekable();
        let end = loop {
            let (at, c) = chars.next()?;
            match c {
                '\\' => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'b' => value.push('\u{8}'),
                    '0' => value.push('\0'),
                    'Z' => value.push('\u{1a}'),
                    // These two keep their backslash, for LIKE.
                    c @ ('%' | '_') => value.extend(['\\', c]),
                    c => value.push(c),
                },
                c if c == quote => {
                    if chars.peek().is_some_and(|(_, next)| *next == quote) {
                        chars.next();
                        value.push(quote);
                    } else {
                        break at + 1;
                    }
                }
                c => value.push(c),
            }
        };
        self.text.push('\'');
        self.text.push_str(&value.replace('\'', "''"));
        self.text.push('\'');
        self.tokens.push(Token::Text(value));
        Some(end)
    }

    fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at)? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at) == Some(&Token::Sign(sign))
    }

    /// True when it reads: it begins with SELECT, or with a bracket around one.
    #[must_use]
    pub fn is_select(&self) -> bool {
        let brackets = |t: &&Token| **t == Token::Sign('(');
        let first = self.tokens.iter().find(|t| !brackets(t));
        matches!(first, Some(Token::Word(w)) if w.eq_ignore_ascii_case("select"))
    }

    /// The names of `known` that it reads from schema `oceanbase`: qualified so, or without
    /// qualifier where that is the current database.
    #[must_use]
    pub fn views<'k>(&self, known: &[&'k str], database: &str) -> Vec<&'k str> {
        let is_here = database.eq_ignore_ascii_case("oceanbase");
        let mut found = vec![];
        for at in 0..self.tokens.len() {
            let Some(word) = self.word(at) else { continue };
            let Some(name) = known.iter().find(|k| k.eq_ignore_ascii_case(word)) else {
                continue;
            };
            let is_qualified = at >= 2 && self.is_sign(at - 1, '.');
            let fits = if is_qualified {
                let schema = self.word(at - 2);
                schema.is_some_and(|s| s.eq_ignore_ascii_case("oceanbase"))
            } else {
                is_here
            };
            if fits && !found.contains(name) {
                found.push(*name);
            }
        }
        found
    }

    /// What columns are bound to by `c = literal`, `c IN (...)` and `(c, d) IN ((...), ...)`.
    /// Names are in lower case and without their table.
    #[must_use]
    pub fn bound(&self) -> Bound {
        let mut bound = Bound::new();
        for at in 0..self.tokens.len() {
            let is_in = self.word(at).is_some_and(|w| w.eq_ignore_ascii_case("in"));
            if self.is_sign(at, '=') && at > 0 {
                // `<=`, `>=` and `!=` bind nothing.
                let before = &self.tokens[at - 1];
                if let (Token::Word(name), Some(value)) = (before, self.value(at + 1)) {
                    let name = name.to_ascii_lowercase();
                    bound.entry(name).or_default().push(value.to_owned());
                }
            } else if is_in && at > 0 && self.is_sign(at + 1, '(') {
                let columns = self.columns_before(at);
                if !columns.is_empty() {
                    self.list(at + 2, &columns, &mut bound);
                }
            }
        }
        for values in bound.values_mut() {
            let mut seen = std::collections::HashSet::new();
            values.retain(|v| seen.insert(v.clone()));
        }
        bound
    }

    fn value(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at)? {
            Token::Text(value) | Token::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The column, or the columns in brackets, in front of place `at`.
    fn columns_before(&self, at: usize) -> Vec<String> {
        if let Some(word) = self.word(at - 1) {
            if word.eq_ignore_ascii_case("not") {
                return vec![];
            }
            return vec![word.to_ascii_lowercase()];
        }
        if !self.is_sign(at - 1, ')') {
            return vec![];
        }
        let mut columns = vec![];
        let mut back = at - 1;
        while back > 0 && !self.is_sign(back, '(') {
            back -= 1;
            let is_last = !self.is_sign(back + 1, '.');
            if let Some(word) = self.word(back).filter(|_| is_last) {
                columns.push(word.to_ascii_lowercase());
            }
        }
        columns.reverse();
        columns
    }

    /// Literals of the list that begins behind its bracket at `at`, to columns in turn.
    fn list(&self, at: usize, columns: &[String], bound: &mut Bound) {
        let (mut at, mut depth, mut turn) = (at, 1, 0);
        while depth > 0 {
            match self.tokens.get(at) {
                None => return,
                Some(Token::Sign('(')) => depth += 1,
                Some(Token::Sign(')')) => depth -= 1,
                // A query, not a list.
                Some(Token::Word(_)) => return,
                Some(_) => {
                    if let Some(value) = self.value(at) {
                        let name = columns[turn % columns.len()].clone();
                        bound.entry(name).or_default().push(value.to_owned());
                        turn += 1;
                    }
                }
            }
            at += 1;
        }
    }
}

const fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

fn word_end(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// The name of a result column that SQLite made of what stands in the statement: a plain reference
/// loses its table and its quotes, as a server names it.
#[must_use]
pub(super) fn column_name(span: &str) -> String {
    let is_reference = span.chars().all(|c| is_word(c) || c == '.' || c == '`');
    if !is_reference || span.starts_with(|c: char| c.is_ascii_digit()) {
        return span.to_owned();
    }
    let last = span.rsplit('.').next().unwrap_or(span);
    last.trim_matches('`').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use obring_wire::base::Rng;

    fn parse(sql: &str) -> Statement {
        Statement::parse(sql.as_bytes()).unwrap()
    }

    #[test]
    fn literals_are_rewritten_and_comments_go() {
        let s = parse(r#"select /*+ WEAK */ 'it\'s', "a""b", 'x''y' -- end"#);
        assert_eq!(s.text, "select   'it''s', 'a\"b', 'x''y'  ");
        assert_eq!(s.hint, " WEAK ");
        assert!(s.is_select());
        assert!(!parse("insert into t values(1)").is_select());
        for open in ["'a", "`a", "/* a", "\"a\\\""] {
            assert_eq!(Statement::parse(open.as_bytes()), None, "{open}");
        }
    }

    #[test]
    fn no_text_is_too_strange() {
        let pieces = [
            "'",
            "\"",
            "`",
            "\\",
            "/*",
            "/*+",
            "*/",
            "-- ",
            "#",
            "\n",
            "(",
            ")",
            "in",
            "=",
            ",",
            ".",
            "a",
            "1",
            "é",
            "select",
            "oceanbase",
            "DBA_OB_ZONES",
            "not",
            "''",
            "{",
            "\u{0}",
        ];
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            let len = rng.below(12) as usize;
            let text: String = (0..len)
                .map(|_| pieces[rng.below(pieces.len() as u64) as usize])
                .collect();
            if let Some(s) = Statement::parse(text.as_bytes()) {
                let _ = s.views(&["DBA_OB_ZONES"], "oceanbase");
                let _ = s.bound();
                let _ = column_name(&text);
            }
        }
        assert_eq!(Statement::parse(b"select '\xff'"), None);
    }

    #[test]
    fn views_are_named_by_their_schema_or_the_current_database() {
        let known = ["DBA_OB_SERVERS", "__all_virtual_proxy_schema"];
        let of = |sql: &str, db: &str| parse(sql).views(&known, db);
        assert_eq!(
            of("select * from oceanbase.dba_ob_servers", "test"),
            ["DBA_OB_SERVERS"]
        );
        assert_eq!(
            of("select * from `OceanBase`.`DBA_OB_SERVERS` a", ""),
            ["DBA_OB_SERVERS"]
        );
        assert!(of("select * from DBA_OB_SERVERS", "test").is_empty());
        assert!(of("select * from test.DBA_OB_SERVERS", "oceanbase").is_empty());
        assert_eq!(
            of("select * from DBA_OB_SERVERS", "oceanbase"),
            ["DBA_OB_SERVERS"]
        );
        assert!(of("select 'oceanbase.DBA_OB_SERVERS'", "oceanbase").is_empty());
    }

    #[test]
    fn bindings_are_found_in_equalities_and_lists() {
        let s = parse(
            "select * from s A where A.tenant_name = 't' and A.database_name='d' \
             and table_name IN ('a', 'b') and tablet_id in (1,2,1) and x <= 5 and y not in (1)",
        );
        let bound = s.bound();
        assert_eq!(bound["tenant_name"], ["t"]);
        assert_eq!(bound["table_name"], ["a", "b"]);
        assert_eq!(bound["tablet_id"], ["1", "2"]);
        assert!(!bound.contains_key("x") && !bound.contains_key("y"));
        let rows = parse(
            "select 1 from s where (tenant_name, s.table_name, tablet_id) in \
             (('t','a',1),('t','b',0))",
        );
        let bound = rows.bound();
        assert_eq!(bound["tenant_name"], ["t"]);
        assert_eq!(bound["table_name"], ["a", "b"]);
        assert_eq!(bound["tablet_id"], ["1", "0"]);
        let query = parse("select 1 from s where tablet_id in (select 1)");
        assert!(query.bound().is_empty());
    }

    #[test]
    fn names_of_columns_are_those_of_a_server() {
        for (span, name) in [
            ("ss.status", "status"),
            ("`zone`", "zone"),
            ("SVR_IP", "SVR_IP"),
            ("count(*) = 1", "count(*) = 1"),
            ("1.5", "1.5"),
        ] {
            assert_eq!(column_name(span), name);
        }
    }
}
