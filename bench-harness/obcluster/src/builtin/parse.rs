//! From a text to a statement.

use super::statement::{
    Assignment, Expr, Filter, Function, Order, Select, Set, Shown, Statement, TableName, XaVerb,
};
use super::token::{Kind, Token, Unknown, Words};

/// Rows of one INSERT, and ids of one IN list.
const LIST_MAX: usize = 100_000;
/// Longest row of a canned result; a packet is shorter than 16 MiB.
const CANNED_BYTES_MAX: u64 = 1 << 23;
/// All rows of a canned result together.
const CANNED_TOTAL_MAX: u64 = 1 << 30;
/// Longest sleep and wait, in seconds.
const SECONDS_MAX: u64 = 1_000_000;

/// A statement, and where the next one begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Parsed {
    pub(super) statement: Statement,
    /// Parameters of it.
    pub(super) parameters: usize,
    /// Place behind its semicolon; none if nothing but blanks follows.
    pub(super) next: Option<usize>,
}

/// Reads the statement at this place of a text. `Ok(None)`: there is none.
pub(super) fn parse(text: &[u8], at: usize) -> Result<Option<Parsed>, Unknown> {
    let mut words = Words::new(text, at);
    let first = words.next()?;
    let mut p = Parser {
        text,
        words,
        token: first,
        parameters: 0,
    };
    if p.token.kind == Kind::End || p.token.is_sign(";") {
        return Ok(None);
    }
    let statement = p.statement()?;
    let next = match p.token.kind {
        Kind::End => None,
        _ => {
            p.sign(";")?;
            (p.token.kind != Kind::End).then_some(p.token.from)
        }
    };
    Ok(Some(Parsed {
        statement,
        parameters: p.parameters,
        next,
    }))
}

struct Parser<'a> {
    text: &'a [u8],
    words: Words<'a>,
    /// The word that is looked at.
    token: Token<'a>,
    parameters: usize,
}

type Read<T> = Result<T, Unknown>;

fn name(token: &Token<'_>) -> String {
    String::from_utf8_lossy(token.text).into_owned()
}

impl<'a> Parser<'a> {
    fn step(&mut self) -> Read<Token<'a>> {
        let next = self.words.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is(&self, word: &str) -> bool {
        self.token.is(word)
    }

    /// Takes a key word if it stands here.
    fn maybe(&mut self, word: &str) -> Read<bool> {
        let is_here = self.is(word);
        if is_here {
            self.step()?;
        }
        Ok(is_here)
    }

    fn maybe_sign(&mut self, sign: &str) -> Read<bool> {
        let is_here = self.token.is_sign(sign);
        if is_here {
            self.step()?;
        }
        Ok(is_here)
    }

    fn words(&mut self, all: &[&str]) -> Read<()> {
        for word in all {
            if !self.maybe(word)? {
                return Err(Unknown);
            }
        }
        Ok(())
    }

    fn sign(&mut self, sign: &str) -> Read<()> {
        if self.maybe_sign(sign)? {
            Ok(())
        } else {
            Err(Unknown)
        }
    }

    fn is_over(&self) -> bool {
        self.token.kind == Kind::End || self.token.is_sign(";")
    }

    fn name(&mut self) -> Read<String> {
        match self.token.kind {
            Kind::Word | Kind::Quoted => Ok(name(&self.step()?)),
            _ => Err(Unknown),
        }
    }

    fn text(&mut self) -> Read<Vec<u8>> {
        match self.token.kind {
            Kind::Text => Ok(self.step()?.unescaped()),
            _ => Err(Unknown),
        }
    }

    fn number(&mut self) -> Read<u64> {
        match self.token.kind {
            Kind::Number => {
                let text = std::str::from_utf8(self.token.text).map_err(|_| Unknown)?;
                let n = text.parse().map_err(|_| Unknown)?;
                self.step()?;
                Ok(n)
            }
            _ => Err(Unknown),
        }
    }

    fn statement(&mut self) -> Read<Statement> {
        let verb = self.step()?;
        let is = |word| verb.is(word);
        if is("select") {
            self.select()
        } else if is("insert") || is("replace") {
            self.insert(is("replace"))
        } else if is("update") {
            self.update()
        } else if is("delete") {
            self.words(&["from"])?;
            let table = self.table()?;
            let filter = self.filter(&table)?;
            Ok(Statement::Delete { table, filter })
        } else if is("begin") {
            self.maybe("work")?;
            Ok(Statement::Begin {
                is_read_only: false,
            })
        } else if is("start") {
            self.words(&["transaction"])?;
            let mut is_read_only = false;
            if self.maybe("read")? {
                is_read_only = self.maybe("only")?;
                if !is_read_only {
                    self.words(&["write"])?;
                }
            }
            Ok(Statement::Begin { is_read_only })
        } else if is("commit") {
            self.maybe("work")?;
            Ok(Statement::Commit)
        } else if is("rollback") {
            self.rollback()
        } else if is("savepoint") {
            Ok(Statement::Savepoint(self.name()?))
        } else if is("release") {
            self.words(&["savepoint"])?;
            Ok(Statement::Release(self.name()?))
        } else if is("set") {
            self.set()
        } else if is("use") {
            Ok(Statement::Use(self.name()?))
        } else if is("create") {
            self.words(&["temporary", "table"])?;
            let name = self.name()?;
            self.sign("(")?;
            // Columns of a temporary table are never asked for here.
            while !self.is_over() {
                self.step()?;
            }
            Ok(Statement::CreateTemporary(name))
        } else if is("drop") {
            self.words(&["temporary", "table"])?;
            Ok(Statement::DropTemporary(self.name()?))
        } else if is("load") {
            self.load()
        } else if is("xa") {
            self.xa()
        } else if is("kill") {
            let is_query = self.maybe("query")?;
            if !is_query {
                self.maybe("connection")?;
            }
            let id = u32::try_from(self.number()?).map_err(|_| Unknown)?;
            Ok(Statement::Kill { id, is_query })
        } else {
            Err(Unknown)
        }
    }

    fn rollback(&mut self) -> Read<Statement> {
        let has_work = self.maybe("work")?;
        if has_work || !self.maybe("to")? {
            return Ok(Statement::Rollback);
        }
        self.maybe("savepoint")?;
        Ok(Statement::RollbackTo(self.name()?))
    }

    fn table(&mut self) -> Read<TableName> {
        let first = self.name()?;
        let mut table = if self.maybe_sign(".")? {
            TableName {
                database: Some(first),
                name: self.name()?,
                alias: None,
            }
        } else {
            TableName {
                name: first,
                ..TableName::default()
            }
        };
        let is_key_word = ["where", "order", "limit", "for", "set", "values", "fields"]
            .iter()
            .any(|w| self.is(w));
        let has_alias = matches!(self.token.kind, Kind::Word | Kind::Quoted) && !is_key_word;
        if self.maybe("as")? || has_alias {
            table.alias = Some(self.name()?);
        }
        Ok(table)
    }

    /// A column, which may be named with its table.
    fn column(&mut self, table: &TableName) -> Read<String> {
        let first = self.name()?;
        if !self.maybe_sign(".")? {
            return Ok(first);
        }
        let shown = table.alias.as_ref().unwrap_or(&table.name);
        if first.eq_ignore_ascii_case(shown) {
            self.name()
        } else {
            Err(Unknown)
        }
    }

    fn expr(&mut self) -> Read<Expr> {
        if self.maybe_sign("-")? {
            return match self.expr()? {
                Expr::Int(n) => Ok(Expr::Int(n.wrapping_neg())),
                Expr::Decimal(text) => Ok(Expr::Decimal([b"-", &text[..]].concat())),
                _ => Err(Unknown),
            };
        }
        let token = self.step()?;
        match token.kind {
            Kind::Number => {
                let text = std::str::from_utf8(token.text).map_err(|_| Unknown)?;
                text.parse().map(Expr::Int).map_err(|_| Unknown)
            }
            Kind::Decimal => Ok(Expr::Decimal(token.text.to_vec())),
            Kind::Text => Ok(Expr::Text(token.unescaped())),
            Kind::Word if token.is("null") => Ok(Expr::Null),
            Kind::Sign if token.is_sign("?") => {
                self.parameters += 1;
                Ok(Expr::Parameter(self.parameters - 1))
            }
            _ => Err(Unknown),
        }
    }

    fn filter(&mut self, table: &TableName) -> Read<Filter> {
        if !self.maybe("where")? {
            return Ok(Filter::All);
        }
        if !self.column(table)?.eq_ignore_ascii_case("id") {
            return Err(Unknown);
        }
        if self.maybe_sign("=")? {
            return Ok(Filter::Ids(vec![self.expr()?]));
        }
        if self.maybe("between")? {
            let from = self.expr()?;
            self.words(&["and"])?;
            return Ok(Filter::Between(from, self.expr()?));
        }
        self.words(&["in"])?;
        Ok(Filter::Ids(self.list()?))
    }

    /// Values in brackets.
    fn list(&mut self) -> Read<Vec<Expr>> {
        self.sign("(")?;
        let mut all = vec![self.expr()?];
        while self.maybe_sign(",")? {
            if all.len() >= LIST_MAX {
                return Err(Unknown);
            }
            all.push(self.expr()?);
        }
        self.sign(")")?;
        Ok(all)
    }

    fn select(&mut self) -> Read<Statement> {
        if self.token.kind == Kind::Number && self.peek_is("rows")? {
            return self.canned();
        }
        let is_distinct = self.maybe("distinct")?;
        let from = self.find_from()?;
        if !from {
            if is_distinct {
                return Err(Unknown);
            }
            return self.values();
        }
        let shown = self.shown()?;
        self.words(&["from"])?;
        if let Some(meta) = self.meta(&shown)? {
            return Ok(meta);
        }
        let table = self.table()?;
        let filter = self.filter(&table)?;
        let mut order = None;
        if self.maybe("order")? {
            self.words(&["by"])?;
            let column = self.column(&table)?;
            let is_descending = self.maybe("desc")?;
            if !is_descending {
                self.maybe("asc")?;
            }
            order = Some(Order {
                column,
                is_descending,
            });
        }
        let limit = match self.maybe("limit")? {
            true => Some(self.number()?),
            false => None,
        };
        let for_update = self.maybe("for")?;
        if for_update {
            self.words(&["update"])?;
        }
        Ok(Statement::Select(Select {
            table,
            shown,
            is_distinct,
            filter,
            order,
            limit,
            for_update,
            is_weak: self.words.is_weak,
        }))
    }

    fn peek_is(&self, word: &str) -> Read<bool> {
        Ok(self.words.clone().next()?.is(word))
    }

    /// True if FROM comes in this statement.
    fn find_from(&self) -> Read<bool> {
        let (mut words, mut token) = (self.words.clone(), self.token);
        loop {
            if token.kind == Kind::End || token.is_sign(";") {
                return Ok(false);
            }
            if token.is("from") {
                return Ok(true);
            }
            token = words.next()?;
        }
    }

    fn canned(&mut self) -> Read<Statement> {
        let rows = self.number()?;
        self.words(&["rows", "of"])?;
        let bytes = self.number()?;
        self.words(&["bytes"])?;
        if bytes > CANNED_BYTES_MAX || rows.saturating_mul(bytes.max(1)) > CANNED_TOTAL_MAX {
            return Err(Unknown);
        }
        Ok(Statement::Canned {
            rows,
            bytes: bytes as usize,
        })
    }

    /// What stands between SELECT and FROM.
    fn shown(&mut self) -> Read<Shown> {
        if self.maybe_sign("*")? {
            return Ok(Shown::All);
        }
        let from = self.token.from;
        if (self.is("sum") || self.is("count")) && self.words.clone().next()?.is_sign("(") {
            let is_sum = self.is("sum");
            self.step()?;
            self.sign("(")?;
            let column = if is_sum {
                Some(self.name()?)
            } else {
                self.sign("*")?;
                None
            };
            let to = self.token.to;
            self.sign(")")?;
            let typed = self.text.get(from..to).unwrap_or_default().to_vec();
            return Ok(match column {
                Some(column) => Shown::Sum(column, typed),
                None => Shown::Count(typed),
            });
        }
        let mut columns = vec![];
        loop {
            let mut column = self.name()?;
            if self.maybe_sign(".")? {
                column = self.name()?;
            }
            let has_alias = matches!(self.token.kind, Kind::Word | Kind::Quoted);
            let mut alias = None;
            if self.maybe("as")? || has_alias && !self.is("from") {
                alias = Some(self.name()?);
            }
            columns.push((column, alias));
            if !self.maybe_sign(",")? {
                return Ok(Shown::Columns(columns));
            }
        }
    }

    /// A question about tables: of a view of `oceanbase`, under conditions of equality.
    fn meta(&mut self, shown: &Shown) -> Read<Option<Statement>> {
        let mut words = self.words.clone();
        let (dot, view) = (words.next()?, words.next()?);
        if !self.is("oceanbase") || !dot.is_sign(".") || !view.text.starts_with(b"__all_virtual_") {
            return Ok(None);
        }
        let column = match shown {
            Shown::All => None,
            Shown::Columns(columns) if columns.len() == 1 => columns.first().map(|c| c.0.clone()),
            _ => return Err(Unknown),
        };
        self.step()?;
        self.sign(".")?;
        let view = self.name()?.to_ascii_lowercase();
        let mut conditions = vec![];
        if self.maybe("where")? {
            loop {
                let name = self.name()?.to_ascii_lowercase();
                let values = if self.maybe_sign("=")? {
                    vec![self.expr()?]
                } else {
                    self.words(&["in"])?;
                    if self.token.is_sign("(") && self.peek_is("select")? {
                        conditions.extend(self.tables_of()?);
                        if !self.maybe("and")? {
                            break;
                        }
                        continue;
                    }
                    self.list()?
                };
                conditions.push((name, values));
                if !self.maybe("and")? {
                    break;
                }
            }
        }
        Ok(Some(Statement::Meta {
            view,
            column,
            conditions,
        }))
    }

    /// `(SELECT table_id FROM view WHERE conditions)`: tables of tablets. What it binds.
    fn tables_of(&mut self) -> Read<Vec<(String, Vec<Expr>)>> {
        self.sign("(")?;
        self.words(&["select"])?;
        let shown = self.shown()?;
        self.words(&["from"])?;
        let meta = self.meta(&shown)?;
        self.sign(")")?;
        match meta {
            Some(Statement::Meta { conditions, .. }) => Ok(conditions),
            _ => Err(Unknown),
        }
    }

    fn values(&mut self) -> Read<Statement> {
        let mut all = vec![];
        loop {
            let from = self.token.from;
            let mut to = self.token.to;
            let mut shown = None;
            let function = match self.token.kind {
                Kind::User => Function::User(name(&self.step()?)),
                Kind::System => Function::System(name(&self.step()?)),
                Kind::Word if !self.is("null") && !self.words.clone().next()?.is_sign("(") => {
                    Function::Column(name(&self.step()?))
                }
                Kind::Word if !self.is("null") => {
                    let (function, end) = self.call()?;
                    to = end;
                    function
                }
                Kind::Text => {
                    // The name of a text is the text.
                    let text = self.text()?;
                    shown = Some(text.clone());
                    Function::Literal(Expr::Text(text))
                }
                _ => {
                    let before = self.parameters;
                    if self.token.is_sign("-") {
                        to = self.words.clone().next()?.to;
                    }
                    let literal = self.expr()?;
                    if self.parameters != before {
                        return Err(Unknown);
                    }
                    Function::Literal(literal)
                }
            };
            let typed = self.text.get(from..to).unwrap_or_default();
            let mut label = shown.unwrap_or_else(|| typed.to_vec());
            if self.maybe("as")? {
                label = self.name()?.into_bytes();
            }
            all.push((function, label));
            if !self.maybe_sign(",")? {
                break;
            }
        }
        if self.maybe("limit")? && self.number()? == 0 {
            return Err(Unknown);
        }
        Ok(Statement::Values(all))
    }

    /// A function and where it ends.
    fn call(&mut self) -> Read<(Function, usize)> {
        let called = self.name()?.to_ascii_lowercase();
        self.sign("(")?;
        let function = match called.as_str() {
            "last_insert_id" => Function::LastInsertId,
            "connection_id" => Function::ConnectionId,
            "database" => Function::Database,
            "release_all_locks" => Function::ReleaseAllLocks,
            "sleep" => Function::Sleep(self.micros()?),
            "release_lock" => Function::ReleaseLock(self.text()?),
            "is_free_lock" => Function::IsFreeLock(self.text()?),
            "is_used_lock" => Function::IsUsedLock(self.text()?),
            "get_lock" => {
                let lock = self.text()?;
                self.sign(",")?;
                let time = match self.maybe_sign("-")? {
                    true => {
                        self.micros()?;
                        None
                    }
                    false => Some(self.micros()?),
                };
                Function::GetLock(lock, time)
            }
            _ => return Err(Unknown),
        };
        let end = self.token.to;
        self.sign(")")?;
        Ok((function, end))
    }

    /// Seconds, in microseconds.
    fn micros(&mut self) -> Read<u64> {
        let token = self.step()?;
        if !matches!(token.kind, Kind::Number | Kind::Decimal) {
            return Err(Unknown);
        }
        let text = std::str::from_utf8(token.text).map_err(|_| Unknown)?;
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let whole: u64 = whole.parse().map_err(|_| Unknown)?;
        let digits: String = part.chars().chain("000000".chars()).take(6).collect();
        let part: u64 = digits.parse().map_err(|_| Unknown)?;
        if whole > SECONDS_MAX {
            return Err(Unknown);
        }
        Ok(whole * 1_000_000 + part)
    }

    fn insert(&mut self, is_replace: bool) -> Read<Statement> {
        self.words(&["into"])?;
        let mut table = TableName {
            name: self.name()?,
            ..TableName::default()
        };
        if self.maybe_sign(".")? {
            table.database = Some(std::mem::replace(&mut table.name, self.name()?));
        }
        let mut columns = None;
        if self.maybe_sign("(")? {
            let mut names = vec![self.name()?];
            while self.maybe_sign(",")? {
                names.push(self.name()?);
            }
            self.sign(")")?;
            columns = Some(names);
        }
        if !self.maybe("values")? {
            self.words(&["value"])?;
        }
        let mut rows = vec![self.list()?];
        while self.maybe_sign(",")? {
            if rows.len() >= LIST_MAX {
                return Err(Unknown);
            }
            rows.push(self.list()?);
        }
        Ok(Statement::Insert {
            table,
            columns,
            rows,
            is_replace,
        })
    }

    fn update(&mut self) -> Read<Statement> {
        let table = self.table()?;
        self.words(&["set"])?;
        let mut sets = vec![];
        loop {
            let column = self.column(&table)?;
            self.sign("=")?;
            let set = if matches!(self.token.kind, Kind::Word | Kind::Quoted) && !self.is("null") {
                if !self.column(&table)?.eq_ignore_ascii_case(&column) {
                    return Err(Unknown);
                }
                let is_minus = !self.token.is_sign("+");
                self.sign(if is_minus { "-" } else { "+" })?;
                let n = i64::try_from(self.number()?).map_err(|_| Unknown)?;
                Set::Plus(if is_minus { -n } else { n })
            } else {
                Set::To(self.expr()?)
            };
            sets.push((column, set));
            if !self.maybe_sign(",")? {
                break;
            }
        }
        let filter = self.filter(&table)?;
        Ok(Statement::Update {
            table,
            sets,
            filter,
        })
    }

    fn set(&mut self) -> Read<Statement> {
        let is_session = self.is("session") || self.is("local");
        if is_session && self.peek_is("transaction")? {
            self.step()?;
            self.words(&["transaction", "isolation", "level"])?;
            return Ok(Statement::Isolation(self.level()?));
        }
        if self.maybe("transaction")? {
            if self.maybe("isolation")? {
                self.words(&["level"])?;
                self.level()?;
                return Ok(Statement::NextTransaction {
                    is_read_only: false,
                });
            }
            self.words(&["read"])?;
            let is_read_only = self.maybe("only")?;
            if !is_read_only {
                self.words(&["write"])?;
            }
            return Ok(Statement::NextTransaction { is_read_only });
        }
        let mut all = vec![];
        loop {
            all.push(self.assignment()?);
            if !self.maybe_sign(",")? {
                return Ok(Statement::Set(all));
            }
        }
    }

    fn level(&mut self) -> Read<&'static str> {
        if self.maybe("read")? {
            self.words(&["committed"])?;
            return Ok("READ-COMMITTED");
        }
        Err(Unknown)
    }

    fn assignment(&mut self) -> Read<Assignment> {
        if self.maybe("names")? {
            let token = self.step()?;
            return match token.kind {
                Kind::Word | Kind::Text => Ok(Assignment::Names(name(&token).to_lowercase())),
                _ => Err(Unknown),
            };
        }
        let token = self.step()?;
        let mut target = name(&token);
        let is_word = token.kind == Kind::Word;
        if is_word && ["session", "local"].contains(&target.to_lowercase().as_str()) {
            target = self.name()?;
        }
        if !self.maybe_sign("=")? {
            self.sign(":=")?;
        }
        match token.kind {
            Kind::User => Ok(Assignment::User(target.to_lowercase(), self.expr()?)),
            Kind::System | Kind::Word => {
                let target = session_name(&target).ok_or(Unknown)?;
                let value = match self.token.kind {
                    Kind::Word if !self.is("null") => Expr::Text(self.step()?.text.to_vec()),
                    _ => self.expr()?,
                };
                Ok(Assignment::System(target, value))
            }
            _ => Err(Unknown),
        }
    }

    fn load(&mut self) -> Read<Statement> {
        self.words(&["data", "local", "infile"])?;
        let file = self.text()?;
        self.words(&["into", "table"])?;
        let table = self.table()?;
        if self.maybe("fields")? {
            self.words(&["terminated", "by"])?;
            self.text()?;
        }
        Ok(Statement::LoadData { table, file })
    }

    fn xa(&mut self) -> Read<Statement> {
        let verb = self.step()?;
        let mut verb = match verb.text.to_ascii_lowercase().as_slice() {
            b"start" | b"begin" => XaVerb::Start,
            b"end" => XaVerb::End,
            b"prepare" => XaVerb::Prepare,
            b"commit" => XaVerb::Commit,
            b"rollback" => XaVerb::Rollback,
            _ => return Err(Unknown),
        };
        let id = self.text()?;
        if verb == XaVerb::Commit && self.maybe("one")? {
            self.words(&["phase"])?;
            verb = XaVerb::CommitOnePhase;
        }
        Ok(Statement::Xa(verb, id))
    }
}

/// The name of a variable of the session; none for one of another scope.
pub(super) fn session_name(typed: &str) -> Option<String> {
    let lower = typed.to_lowercase();
    match lower.split_once('.') {
        None => Some(lower),
        Some(("session" | "local", name)) => Some(name.to_owned()),
        Some(_) => None,
    }
}
