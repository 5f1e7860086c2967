//! INSERT, REPLACE, MERGE, LOAD DATA.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::scan::{Insert, Rows};
use super::super::tree::{Expr, NodeId, Span};
use super::{List, Parser};

impl Parser<'_> {
    /// INSERT or REPLACE, behind the verb.
    pub(super) fn insert(&mut self) {
        let block = self.outermost();
        self.modifiers();
        self.takes_word(Kw::Into);
        let name = self.name();
        if name.is_empty() {
            self.out.facts.is_cut = true;
            return;
        }
        self.named_table(block, name);
        let mut columns = None;
        if self.now.tok == Tok::Punct(b'(') {
            self.step();
            if matches!(self.kw(), Kw::Select | Kw::With) {
                // `INSERT INTO t (SELECT ..)`
                self.subquery();
                self.skip_closing();
                let items = self.push(Expr::Unknown);
                self.keep(None, Rows::Select(items));
                return self.skip(|_| false);
            }
            columns = Some(self.columns());
        }
        match self.kw() {
            Kw::Values | Kw::Value => {
                self.step();
                let rows = self.rows();
                self.keep(columns, Rows::Values(rows));
            }
            Kw::Set => {
                self.step();
                self.assigned();
            }
            Kw::Select => {
                let items = self.select_items();
                self.keep(columns, Rows::Select(items));
            }
            _ => {
                if matches!(self.kw(), Kw::With | Kw::Table) || self.now.tok == Tok::Punct(b'(') {
                    self.query(None);
                }
                let items = self.push(Expr::Unknown);
                self.keep(columns, Rows::Select(items));
            }
        }
        // ON DUPLICATE KEY UPDATE does not decide where a row lives; its subqueries are parsed.
        self.skip(|_| false);
    }

    fn keep(&mut self, columns: Option<(u32, u32)>, rows: Rows) {
        self.out.insert = Some(Insert { columns, rows });
    }

    /// Names of columns behind an opening parenthesis.
    fn columns(&mut self) -> (u32, u32) {
        let start = self.out.names.len() as u32;
        while self.now.tok != Tok::Punct(b')') {
            let name = self.name();
            if name.is_empty() {
                self.out.facts.is_cut = true;
                self.skip(|_| false);
                break;
            }
            self.out.names.push(name);
            if !self.takes(Tok::Punct(b',')) {
                break;
            }
        }
        if !self.takes(Tok::Punct(b')')) {
            self.out.facts.is_cut = true;
            self.skip_closing();
        }
        (start, self.out.names.len() as u32)
    }

    /// `(1, 2), ROW(3, 4)`
    fn rows(&mut self) -> NodeId {
        let mut rows = List::default();
        loop {
            self.takes_word(Kw::Row);
            if !self.takes(Tok::Punct(b'(')) {
                self.out.facts.is_cut = true;
                break;
            }
            let mut values = List::default();
            while self.now.tok != Tok::Punct(b')') {
                let value = self.expression();
                values.add(self.out, value);
                if !self.takes(Tok::Punct(b',')) {
                    break;
                }
            }
            if self.takes(Tok::Punct(b')')) {
                let row = self.push(Expr::Row(values.first));
                rows.add(self.out, row);
            } else {
                self.skip_closing();
                let row = self.push(Expr::Unknown);
                rows.add(self.out, row);
            }
            if !self.takes(Tok::Punct(b',')) {
                break;
            }
        }
        rows.first
    }

    /// `a = 1, b = 2` of INSERT .. SET.
    fn assigned(&mut self) {
        let start = self.out.names.len() as u32;
        let mut values = List::default();
        loop {
            let name = self.name();
            if name.is_empty() || !(self.takes(Tok::Punct(b'=')) || self.takes(Tok::Assign)) {
                self.out.facts.is_cut = true;
                break;
            }
            self.out.names.push(name);
            let value = self.expression();
            values.add(self.out, value);
            if !self.takes(Tok::Punct(b',')) {
                break;
            }
        }
        if !matches!(
            self.now.tok,
            Tok::End | Tok::Punct(b';') | Tok::Word(Kw::On | Kw::As)
        ) {
            self.out.facts.is_cut = true;
        }
        let row = self.push(Expr::Row(values.first));
        let columns = Some((start, self.out.names.len() as u32));
        self.keep(columns, Rows::Values(row));
    }

    /// MERGE: its tables; the condition of ON joins them in a way of its own, and is left out.
    pub(super) fn merge(&mut self) {
        let block = self.outermost();
        self.takes_word(Kw::Into);
        self.tables(block);
        if self.takes_word(Kw::Using) {
            self.tables(block);
        }
        self.skip(|_| false);
    }

    /// LOAD DATA: the table behind INTO TABLE.
    pub(super) fn load_data(&mut self) {
        let block = self.outermost();
        self.skip(|kw| kw == Kw::Into);
        self.step();
        if self.takes_word(Kw::Table) {
            let name = self.name();
            if !name.is_empty() {
                self.named_table(block, name);
            }
            // What follows is about the file.
            if let Some(table) = self.out.tables.last_mut() {
                table.alias = Span::default();
            }
        }
        self.skip(|_| false);
    }
}
