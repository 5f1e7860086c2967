//! SELECT and what joins it, UPDATE and DELETE.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::tree::{Expr, NodeId, Span};
use super::table::Joined;
use super::{List, Parser, WITHS_MAX};

impl Parser<'_> {
    /// A query, WITH and UNION included. Stops in front of what does not belong to it.
    pub(super) fn query(&mut self, parent: Option<u16>) {
        if self.kw() == Kw::Select {
            self.select(parent);
            if self.now.tok != Tok::End {
                self.query_tail(parent);
            }
            return;
        }
        let seen = self.out.withs.len();
        if self.kw() == Kw::With {
            self.with(parent);
        }
        self.query_body(parent);
        self.query_tail(parent);
        self.out.withs.truncate(seen);
    }

    /// `WITH a AS (..), b AS (..)`
    pub(super) fn with(&mut self, parent: Option<u16>) {
        self.step();
        let is_recursive = self.takes_word(Kw::Recursive);
        loop {
            let name = self.name();
            if name.is_empty() {
                self.out.facts.is_cut = true;
                return;
            }
            if is_recursive {
                self.see(name);
            }
            if self.takes(Tok::Punct(b'(')) {
                self.skip_closing();
            }
            if !self.takes_word(Kw::As) || !self.takes(Tok::Punct(b'(')) {
                self.out.facts.is_cut = true;
                return;
            }
            if self.deeper(|p| p.query(parent)).is_none() {
                self.out.facts.hides_tables = true;
            }
            self.skip_closing();
            if !is_recursive {
                self.see(name);
            }
            if !self.takes(Tok::Punct(b',')) {
                return;
            }
        }
    }

    /// From here on this is the name of a WITH clause.
    fn see(&mut self, name: Span) {
        if self.out.withs.len() < WITHS_MAX {
            self.out.withs.push(name);
        } else {
            self.out.facts.is_cut = true;
        }
    }

    fn query_body(&mut self, parent: Option<u16>) {
        match self.now.tok {
            Tok::Punct(b'(') => {
                self.step();
                if self.deeper(|p| p.query(parent)).is_none() {
                    self.out.facts.hides_tables = true;
                }
                self.skip_closing();
            }
            Tok::Word(Kw::Select) => self.select(parent),
            Tok::Word(Kw::Table) => {
                self.step();
                let block = self.block(parent);
                let name = self.name();
                self.named_table(block, name);
            }
            Tok::Word(Kw::Values) => {
                self.block(parent);
                self.step();
                self.skip(|kw| kw.joins_blocks() || kw == Kw::On);
            }
            _ => {}
        }
    }

    /// What may stand behind a query: UNION and another, ORDER BY, LIMIT, locking.
    pub(super) fn query_tail(&mut self, parent: Option<u16>) {
        loop {
            self.block_tail();
            if !self.kw().joins_blocks() {
                return;
            }
            self.step();
            while matches!(self.kw(), Kw::All | Kw::Distinct) {
                self.step();
            }
            if !matches!(self.kw(), Kw::Select | Kw::Table | Kw::Values)
                && self.now.tok != Tok::Punct(b'(')
            {
                return;
            }
            self.query_body(parent);
        }
    }

    /// GROUP BY to LIMIT, and locking. Stops at the end of the block.
    fn block_tail(&mut self) {
        loop {
            self.skip(|kw| {
                kw.joins_blocks() || matches!(kw, Kw::For | Kw::Lock | Kw::On | Kw::Into)
            });
            match self.kw() {
                Kw::For => {
                    self.step();
                    if matches!(self.kw(), Kw::Update | Kw::Share) {
                        self.out.facts.is_locking = true;
                    }
                }
                Kw::Lock => {
                    self.step();
                    self.out.facts.is_locking |= self.kw() == Kw::In;
                }
                Kw::Into => self.step(),
                _ => return,
            }
        }
    }

    /// One SELECT up to its WHERE.
    fn select(&mut self, parent: Option<u16>) {
        let block = self.block(parent);
        let outer = self.scope.replace(block);
        // A hint of a subquery is not the statement's.
        if block == 0 {
            self.hint_behind_verb();
        } else {
            self.step();
        }
        self.skip(|kw| kw == Kw::From || kw.joins_blocks() || kw == Kw::Where);
        self.source(block);
        self.scope = outer;
    }

    /// The verb is the current token: reads a hint behind it, and goes on.
    pub(super) fn hint_behind_verb(&mut self) {
        if let Some(span) = self.lexer.hint() {
            self.out.hints.read_hint(self.lexer.text(), span);
        }
        self.step();
    }

    pub(super) fn source(&mut self, block: u16) {
        let mut tables = Joined::default();
        if self.takes_word(Kw::From) {
            tables = self.tables(block);
        }
        self.filter(block, tables);
    }

    /// WHERE, for these tables.
    pub(super) fn filter(&mut self, block: u16, tables: Joined) {
        if self.kw() != Kw::Where && !self.ends_tables() {
            // FROM goes on with something that is not understood; there may be tables in it, and
            // what is called an alias may be none.
            self.out.facts.is_cut = true;
            self.out.facts.hides_tables = true;
            self.skip(|kw| kw == Kw::Where || kw.joins_blocks());
        }
        if !self.takes_word(Kw::Where) {
            return;
        }
        let root = self.expression();
        if self.ends_condition() {
            self.condition(block, root, tables);
        }
    }

    /// True where a condition may end.
    fn ends_condition(&self) -> bool {
        match self.now.tok {
            Tok::End | Tok::Punct(b')' | b';') => true,
            Tok::Word(kw) => {
                kw.joins_blocks()
                    || matches!(
                        kw,
                        Kw::Group
                            | Kw::Having
                            | Kw::Order
                            | Kw::Limit
                            | Kw::For
                            | Kw::Lock
                            | Kw::Into
                            | Kw::Window
                            | Kw::Procedure
                            | Kw::Returning
                            | Kw::Fetch
                            | Kw::On
                    )
            }
            _ => false,
        }
    }

    /// True where the tables of FROM may end without a condition behind them.
    fn ends_tables(&self) -> bool {
        self.ends_condition() || self.kw() == Kw::Set
    }

    /// UPDATE, behind the verb.
    pub(super) fn update(&mut self) {
        let block = self.outermost();
        self.modifiers();
        let tables = self.tables(block);
        if !self.takes_word(Kw::Set) {
            self.out.facts.is_cut = true;
            return;
        }
        self.skip(|kw| matches!(kw, Kw::Where | Kw::Order | Kw::Limit));
        self.filter(block, tables);
        self.block_tail();
    }

    /// DELETE, behind the verb.
    pub(super) fn delete(&mut self) {
        let block = self.outermost();
        self.modifiers();
        if self.takes_word(Kw::From) {
            let mark = (self.out.tables.len(), self.out.conditions.len());
            let mut tables = self.tables(block);
            if self.takes_word(Kw::Using) {
                // They were the names of what to delete; now come the tables.
                self.out.tables.truncate(mark.0);
                self.out.conditions.truncate(mark.1);
                tables = self.tables(block);
            }
            self.filter(block, tables);
        } else {
            self.skip(|kw| kw == Kw::From);
            self.source(block);
        }
        self.block_tail();
    }

    pub(super) fn modifiers(&mut self) {
        while matches!(
            self.kw(),
            Kw::Low | Kw::High | Kw::Delayed | Kw::Quick | Kw::Ignore
        ) {
            self.out.facts.ignores_errors |= self.kw() == Kw::Ignore;
            self.step();
        }
    }

    /// The items of a SELECT whose verb is the current token, if that is all it is: no UNION
    /// follows its items.
    pub(super) fn select_items(&mut self) -> NodeId {
        let block = self.block(None);
        let outer = self.scope.replace(block);
        self.hint_behind_verb();
        while matches!(self.kw(), Kw::All | Kw::Distinct | Kw::Straight | Kw::High) {
            self.step();
        }
        let mut list = List::default();
        let mut is_clear = true;
        loop {
            let start = self.now.span;
            is_clear &= !self.takes(Tok::Punct(b'*'));
            let item = self.expression();
            // An alias.
            if self.now.span != start {
                self.takes_word(Kw::As);
                if matches!(self.now.tok, Tok::Name | Tok::Text | Tok::Word(Kw::Other)) {
                    self.step();
                }
            }
            if let Expr::Column(name) = self.out.tree.get(item) {
                is_clear &= !name.of(self.lexer.text()).ends_with(b"*");
            }
            list.add(self.out, item);
            if self.takes(Tok::Punct(b',')) {
                continue;
            }
            if !matches!(
                self.now.tok,
                Tok::End | Tok::Word(Kw::From | Kw::Where | Kw::On)
            ) {
                is_clear = false;
                self.skip(|kw| kw == Kw::From || kw.joins_blocks() || kw == Kw::Where);
            }
            break;
        }
        self.source(block);
        self.scope = outer;
        self.block_tail();
        is_clear &= !self.kw().joins_blocks();
        self.query_tail(None);
        match is_clear {
            true => list.first,
            false => self.push(Expr::Unknown),
        }
    }

    /// The current token's place, for names of statements without tables.
    pub(super) fn here(&self) -> Span {
        self.now.span
    }
}
