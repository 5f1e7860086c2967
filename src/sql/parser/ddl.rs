//! Statements that change definitions: the tables, or the database, that they are about.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::scan::{Origin, Verb};
use super::super::tree::Span;
use super::Parser;

/// Words between the verb and what it is about, as `OR REPLACE SQL SECURITY INVOKER`.
const HEAD_MAX: u32 = 24;

impl Parser<'_> {
    /// DROP; DROP PREPARE is another word for DEALLOCATE PREPARE.
    pub(super) fn drop(&mut self) {
        if self.kw() == Kw::Prepare {
            self.out.verb = Verb::Deallocate;
            return self.deallocate();
        }
        self.ddl();
        let facts = &mut self.out.facts;
        facts.drops_temporary = std::mem::take(&mut facts.is_temporary);
    }

    /// CREATE, ALTER, ANALYZE, and the rest of DROP.
    pub(super) fn ddl(&mut self) {
        let mut is_first = true;
        for _ in 0..HEAD_MAX {
            match self.now.tok {
                Tok::Word(Kw::Table | Kw::Tables) => return self.defined_behind_word(),
                Tok::Word(Kw::Temporary) if is_first => self.out.facts.is_temporary = true,
                Tok::Word(Kw::If | Kw::Not | Kw::Exists | Kw::Or | Kw::Replace) => {}
                Tok::Word(Kw::Index) => return self.index(),
                Tok::Word(Kw::Database) => return self.database(),
                Tok::Word(Kw::Other) if self.is_word("schema") => return self.database(),
                Tok::Word(Kw::Other) if self.is_word("view") => return self.defined_behind_word(),
                Tok::End | Tok::Punct(b';' | b'(') => break,
                _ => is_first = false,
            }
            self.step();
        }
        self.skip(|_| false);
    }

    /// `TRUNCATE [TABLE] t`
    pub(super) fn truncate(&mut self) {
        self.takes_word(Kw::Table);
        self.defined();
    }

    /// RENAME TABLE; RENAME of anything else is about no table.
    pub(super) fn rename(&mut self) {
        match self.now.tok {
            Tok::Word(Kw::Table | Kw::Tables) => self.defined_behind_word(),
            _ => self.skip(|_| false),
        }
    }

    /// The word TABLE or VIEW, and what stands behind it.
    fn defined_behind_word(&mut self) {
        self.step();
        while matches!(self.kw(), Kw::If | Kw::Not | Kw::Exists) {
            self.step();
        }
        self.defined();
    }

    /// `a, b`, `a TO b, c TO d`, and further on `RENAME TO b` and `WITH TABLE b`.
    fn defined(&mut self) {
        loop {
            self.defined_table();
            if !self.takes(Tok::Punct(b',')) && !self.takes_word(Kw::To) {
                break;
            }
        }
        loop {
            self.skip(|kw| matches!(kw, Kw::Rename | Kw::With));
            if self.takes_word(Kw::Rename) {
                let is_part = matches!(self.kw(), Kw::Index | Kw::Key | Kw::Partition);
                if !is_part && !self.is_word("column") {
                    let _ = self.takes_word(Kw::To)
                        || self.takes_word(Kw::As)
                        || self.takes(Tok::Punct(b'='));
                    self.defined_table();
                }
            } else if self.takes_word(Kw::With) {
                if self.takes_word(Kw::Table) {
                    self.defined_table();
                }
            } else {
                return;
            }
        }
    }

    fn defined_table(&mut self) {
        if self.lexer.is_broken {
            return;
        }
        let name = self.name();
        if !name.is_empty() {
            let block = match self.scope {
                Some(block) => block,
                None => self.outermost(),
            };
            self.table(block, name, Span::default(), Origin::Stored);
        }
    }

    /// `INDEX i ON t`
    fn index(&mut self) {
        self.skip(|kw| kw == Kw::On);
        if self.takes_word(Kw::On) {
            self.defined_table();
        }
        self.skip(|_| false);
    }

    /// `DATABASE [IF [NOT] EXISTS] d`
    fn database(&mut self) {
        self.step();
        while matches!(self.kw(), Kw::If | Kw::Not | Kw::Exists) {
            self.step();
        }
        self.out.subject = self.name();
        self.skip(|_| false);
    }
}
