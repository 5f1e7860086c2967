//! The verb, and statements without a condition.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::scan::{Assignment, Explain, NodeList, Scope, Verb};
use super::super::tree::{Expr, Span};
use super::{List, Parser};

impl Parser<'_> {
    /// A statement from its first token.
    pub(super) fn statement(&mut self) {
        let verb = match self.now.tok {
            Tok::End => return,
            Tok::Punct(b';') => return,
            Tok::Punct(b'(') => {
                self.out.verb = Verb::Select;
                return self.query(None);
            }
            Tok::Word(kw) => kw,
            _ => {
                self.out.verb = Verb::Other;
                return self.skip(|_| false);
            }
        };
        let (verb, parse): (Verb, fn(&mut Self)) = match verb {
            Kw::Select | Kw::Table | Kw::Values => {
                self.out.verb = Verb::Select;
                return self.query(None);
            }
            Kw::With => return self.with_statement(),
            Kw::Insert => (Verb::Insert, Self::insert),
            Kw::Replace => (Verb::Replace, Self::insert),
            Kw::Update => (Verb::Update, Self::update),
            Kw::Delete => (Verb::Delete, Self::delete),
            Kw::Merge => (Verb::Merge, Self::merge),
            Kw::Load => (Verb::LoadData, Self::load_data),
            Kw::Explain | Kw::Desc | Kw::Describe => return self.explain(),
            Kw::Call => (Verb::Call, Self::call_statement),
            Kw::Begin => (Verb::Begin, Self::rest),
            Kw::Start => (Verb::Begin, Self::start),
            Kw::Commit => (Verb::Commit, Self::rest),
            Kw::Rollback => (Verb::Rollback, Self::rollback),
            Kw::Savepoint | Kw::Release => (Verb::Savepoint, Self::subject),
            Kw::Xa => (Verb::Xa, Self::xa),
            Kw::Set => (Verb::Set, Self::set),
            Kw::Use => (Verb::Use, Self::subject),
            Kw::Show => (Verb::Show, Self::rest),
            Kw::Help => (Verb::Help, Self::rest),
            Kw::Kill => (Verb::Kill, Self::rest),
            Kw::Create | Kw::Alter | Kw::Analyze => (Verb::Ddl, Self::ddl),
            Kw::Drop => (Verb::Ddl, Self::drop),
            Kw::Truncate => (Verb::Ddl, Self::truncate),
            Kw::Rename => (Verb::Ddl, Self::rename),
            Kw::Prepare => (Verb::Prepare, Self::prepare),
            Kw::Execute => (Verb::Execute, Self::execute),
            Kw::Deallocate => (Verb::Deallocate, Self::deallocate),
            Kw::Lock => (Verb::LockTables, Self::rest),
            Kw::Unlock => (Verb::UnlockTables, Self::rest),
            Kw::Do => (Verb::Do, Self::rest),
            Kw::Handler => (Verb::Handler, Self::rest),
            _ => (Verb::Other, Self::rest),
        };
        self.out.verb = verb;
        self.hint_behind_verb();
        parse(self);
    }

    fn xa(&mut self) {
        self.out.facts.ends_xa = matches!(self.kw(), Kw::Commit | Kw::Rollback);
        self.skip(|_| false);
    }

    fn rest(&mut self) {
        self.skip(|_| false);
    }

    /// WITH in front of SELECT, UPDATE or DELETE.
    fn with_statement(&mut self) {
        self.out.verb = Verb::Select;
        self.with(None);
        match self.kw() {
            Kw::Update => {
                self.out.verb = Verb::Update;
                self.hint_behind_verb();
                self.update();
            }
            Kw::Delete => {
                self.out.verb = Verb::Delete;
                self.hint_behind_verb();
                self.delete();
            }
            _ => self.query(None),
        }
    }

    /// EXPLAIN of a statement, or of a table.
    fn explain(&mut self) {
        self.out.explain = Explain::Plan;
        let mut front = self.now.span.end;
        self.step();
        loop {
            match self.now.tok {
                Tok::Word(Kw::Route) => self.out.explain = Explain::Route,
                Tok::Word(Kw::Format) => {
                    self.step();
                    self.takes(Tok::Punct(b'='));
                }
                Tok::Word(Kw::Extended | Kw::Partitions | Kw::Analyze) => {}
                // BASIC, OUTLINE, EXTENDED_NOADDR, PLANREGRESS, PRETTY, ...
                Tok::Word(Kw::Other) if self.is_plan_word() => {}
                _ => break,
            }
            front = self.now.span.end;
            self.step();
        }
        if self.out.explain == Explain::Route {
            self.out.subject = Span {
                start: front,
                end: self.lexer.text().len() as u32,
            };
        }
        match self.now.tok {
            Tok::Word(
                Kw::Select
                | Kw::Insert
                | Kw::Replace
                | Kw::Update
                | Kw::Delete
                | Kw::Merge
                | Kw::With
                | Kw::Table
                | Kw::Values,
            )
            | Tok::Punct(b'(') => return self.statement(),
            _ if self.out.explain == Explain::Plan => {
                self.out.explain = Explain::No;
                self.out.verb = Verb::Describe;
            }
            _ => self.out.verb = Verb::Other,
        }
        self.skip(|_| false);
    }

    fn is_plan_word(&self) -> bool {
        [
            "basic",
            "outline",
            "extended_noaddr",
            "planregress",
            "pretty",
            "pretty_color",
        ]
        .iter()
        .any(|word| self.is_word(word))
    }

    fn call_statement(&mut self) {
        self.out.subject = self.name();
        if self.takes(Tok::Punct(b'(')) {
            let mut list = List::default();
            while self.now.tok != Tok::Punct(b')') {
                let argument = self.expression();
                list.add(self.out, argument);
                if !self.takes(Tok::Punct(b',')) {
                    break;
                }
            }
            if self.now.tok == Tok::Punct(b')') {
                self.out.arguments = NodeList(list.first);
            }
            self.skip_closing();
        }
        self.skip(|_| false);
    }

    /// START TRANSACTION; START of anything else is not one.
    fn start(&mut self) {
        if self.kw() != Kw::Transaction {
            self.out.verb = Verb::Other;
        }
        while !matches!(self.now.tok, Tok::End | Tok::Punct(b';')) {
            if self.takes_word(Kw::Read) {
                self.out.facts.is_read_only |= self.kw() == Kw::Only;
            }
            self.step();
        }
    }

    /// ROLLBACK ends the transaction, ROLLBACK TO does not.
    fn rollback(&mut self) {
        self.takes_word(Kw::Work);
        if self.takes_word(Kw::To) {
            self.out.verb = Verb::Savepoint;
            self.takes_word(Kw::Savepoint);
            self.out.subject = self.name();
        }
        self.skip(|_| false);
    }

    fn subject(&mut self) {
        self.takes_word(Kw::Savepoint);
        self.out.subject = self.name();
        self.skip(|_| false);
    }

    fn prepare(&mut self) {
        self.out.subject = self.name();
        if self.takes_word(Kw::From) {
            let text = self.primary();
            self.out.arguments = NodeList(text);
        }
        self.skip(|_| false);
    }

    fn execute(&mut self) {
        self.out.subject = self.name();
        if self.takes_word(Kw::Using) {
            let mut list = List::default();
            while self.now.tok == Tok::UserVariable {
                let value = self.primary();
                list.add(self.out, value);
                if !self.takes(Tok::Punct(b',')) {
                    break;
                }
            }
            self.out.arguments = NodeList(list.first);
        }
        self.skip(|_| false);
    }

    pub(super) fn deallocate(&mut self) {
        self.takes_word(Kw::Prepare);
        self.out.subject = self.name();
        self.skip(|_| false);
    }

    /// SET: a list of assignments, each with its own scope.
    fn set(&mut self) {
        loop {
            let mut scope = Scope::Session;
            match self.kw() {
                Kw::Global | Kw::Persist => {
                    scope = Scope::Global;
                    self.step();
                }
                Kw::Session | Kw::Local => self.step(),
                _ => {}
            }
            match self.now.tok {
                Tok::Word(Kw::Names) => self.set_names(),
                Tok::Word(Kw::Charset) => self.set_named(self.here()),
                Tok::Word(Kw::Character) => {
                    self.step();
                    self.set_named(self.here());
                }
                // SET TRANSACTION, SET PASSWORD, ...: nothing that is kept.
                Tok::Word(Kw::Transaction) => {}
                Tok::UserVariable => {
                    self.out.facts.has_user_variables = true;
                    let mut name = self.here();
                    name.start += 1;
                    self.step();
                    self.assign(Scope::User, name);
                }
                Tok::SystemVariable => {
                    let (scope, name) = scope_and_name(self.here(), self.lexer.text());
                    self.step();
                    self.assign(scope, name);
                }
                Tok::Word(_) | Tok::Name => {
                    let name = self.name();
                    self.assign(scope, name);
                }
                _ => {}
            }
            self.skip_to_comma();
            if !self.takes(Tok::Punct(b',')) {
                return;
            }
        }
    }

    fn assign(&mut self, scope: Scope, name: Span) {
        if !self.takes(Tok::Punct(b'=')) && !self.takes(Tok::Assign) {
            return;
        }
        let value = match self.kw() {
            // `SET autocommit = on`: a bare word that is also a keyword.
            Kw::On => {
                let word = self.push(Expr::Column(self.now.span));
                self.step();
                word
            }
            _ => self.expression(),
        };
        let is_whole = matches!(self.now.tok, Tok::End | Tok::Punct(b',' | b';'));
        let value = match is_whole {
            true => value,
            false => self.push(Expr::Unknown),
        };
        self.out.assignments.push(Assignment { scope, name, value });
    }

    fn set_names(&mut self) {
        self.set_named(self.here());
        if self.now.tok == Tok::Word(Kw::Collate) {
            self.set_named(self.here());
        }
    }

    /// `NAMES x`, `COLLATE x`, `CHARSET x`: the current token is the word, its value follows.
    fn set_named(&mut self, name: Span) {
        self.step();
        let value = match self.now.tok {
            Tok::Text => self.primary(),
            Tok::Word(Kw::Default) => self.primary(),
            Tok::Word(_) | Tok::Name => {
                let word = self.push(Expr::Column(self.now.span));
                self.step();
                word
            }
            _ => self.push(Expr::Unknown),
        };
        self.out.assignments.push(Assignment {
            scope: Scope::Session,
            name,
            value,
        });
    }

    fn skip_to_comma(&mut self) {
        let mut open = 0_u32;
        loop {
            match self.now.tok {
                Tok::End => return,
                Tok::Punct(b'(') => open += 1,
                Tok::Punct(b')') => open = open.saturating_sub(1),
                Tok::Punct(b',' | b';') if open == 0 => return,
                _ => {}
            }
            self.step();
        }
    }
}

/// `@@session.x` taken apart.
fn scope_and_name(span: Span, text: &[u8]) -> (Scope, Span) {
    let inner = Span {
        start: span.start + 2,
        ..span
    };
    let Some(dot) = memchr::memchr(b'.', inner.of(text)) else {
        return (Scope::Bare, inner);
    };
    let head = inner.of(text).get(..dot).unwrap_or_default();
    let name = Span {
        start: inner.start + dot as u32 + 1,
        ..inner
    };
    if head.eq_ignore_ascii_case(b"global") || head.eq_ignore_ascii_case(b"persist") {
        return (Scope::Global, name);
    }
    if head.eq_ignore_ascii_case(b"session") || head.eq_ignore_ascii_case(b"local") {
        return (Scope::Session, name);
    }
    (Scope::Bare, inner)
}
