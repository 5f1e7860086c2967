//! Tables: FROM with its joins, aliases, PARTITION, and the conditions of ON.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::name::same_name;
use super::super::scan::{Condition, Origin, TABLES_MAX, Table, TableSet};
use super::super::tree::{NodeId, Span};
use super::Parser;

/// Tables of a part of FROM.
#[derive(Clone, Copy, Default)]
pub(super) struct Joined {
    /// All.
    pub(super) all: TableSet,
    /// Those whose row may be missing: the inner sides of outer joins.
    pub(super) nullable: TableSet,
}

impl Joined {
    fn with(self, other: Self) -> Self {
        Self {
            all: self.all | other.all,
            nullable: self.nullable | other.nullable,
        }
    }

    fn all_nullable(self) -> Self {
        Self {
            all: self.all,
            nullable: self.all,
        }
    }
}

/// Sides of a join whose row may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outer {
    No,
    Right,
    Left,
    Both,
}

impl Parser<'_> {
    /// The tables of FROM, joined by commas and joins.
    pub(super) fn tables(&mut self, block: u16) -> Joined {
        let mut all = self.joins(block);
        while self.takes(Tok::Punct(b',')) {
            all = all.with(self.joins(block));
        }
        all
    }

    fn joins(&mut self, block: u16) -> Joined {
        let first = self.factor(block);
        match self.now.tok {
            Tok::Word(kw) if kw.begins_join() => self.joins_behind(block, first),
            _ => first,
        }
    }

    fn joins_behind(&mut self, block: u16, mut left: Joined) -> Joined {
        // Inner joins whose ON comes behind that of a later join: `a JOIN b JOIN c ON .. ON ..`.
        let mut waiting = 0_u32;
        loop {
            let is_natural = self.takes_word(Kw::Natural);
            let outer = match self.kw() {
                Kw::Join | Kw::Straight => Outer::No,
                Kw::Inner | Kw::Cross => {
                    self.step();
                    Outer::No
                }
                Kw::Left => {
                    self.step();
                    Outer::Right
                }
                Kw::Right => {
                    self.step();
                    Outer::Left
                }
                Kw::Full => {
                    self.step();
                    Outer::Both
                }
                _ => return left,
            };
            self.takes_word(Kw::Outer);
            if !matches!(self.kw(), Kw::Join | Kw::Straight) {
                return left;
            }
            self.step();
            let mut right = self.factor(block);
            let has_condition = |p: &Self| matches!(p.kw(), Kw::On | Kw::Using);
            if outer != Outer::No && !is_natural && !has_condition(self) {
                // `a LEFT JOIN b JOIN c ON .. ON ..`: the right side is itself a join.
                right = self
                    .deeper(|p| p.joins_behind(block, right))
                    .unwrap_or(right);
            }
            if is_natural {
                self.merge_columns(block);
            }
            if self.takes_word(Kw::Using) {
                self.merge_columns(block);
                if self.takes(Tok::Punct(b'(')) {
                    self.skip_closing();
                }
            }
            let inner = match outer {
                Outer::No => left.with(right),
                Outer::Right => right,
                Outer::Left => left,
                Outer::Both => Joined::default(),
            };
            if self.takes_word(Kw::On) {
                let root = self.expression();
                self.condition(block, root, inner);
            } else if outer == Outer::No {
                waiting += 1;
            }
            left = match outer {
                Outer::No => left.with(right),
                Outer::Right => left.with(right.all_nullable()),
                Outer::Left => left.all_nullable().with(right),
                Outer::Both => left.all_nullable().with(right.all_nullable()),
            };
            while waiting > 0 && self.takes_word(Kw::On) {
                waiting -= 1;
                let root = self.expression();
                self.condition(block, root, left);
            }
        }
    }

    fn merge_columns(&mut self, block: u16) {
        if let Some(block) = self.out.blocks.get_mut(usize::from(block)) {
            block.has_merged_columns = true;
        }
    }

    /// Keeps a condition that holds for all rows of these tables that matter.
    pub(super) fn condition(&mut self, block: u16, root: NodeId, tables: Joined) {
        self.out.conditions.push(Condition {
            block,
            root,
            plain: tables.all & !tables.nullable,
            rejecting: tables.nullable,
        });
    }

    /// One table, a subquery, or tables in parentheses.
    fn factor(&mut self, block: u16) -> Joined {
        if self.takes_word(Kw::Lateral) || self.now.tok == Tok::Punct(b'(') {
            if !self.takes(Tok::Punct(b'(')) {
                return Joined::default();
            }
            let inside = self.deeper(|p| p.factor_in_parentheses(block));
            let Some(inside) = inside else {
                self.out.facts.hides_tables = true;
                self.skip_closing();
                return Joined::default();
            };
            return inside;
        }
        if self.now.tok == Tok::Punct(b'{') {
            // `{ OJ .. }` of ODBC.
            self.out.facts.hides_tables = true;
            return Joined::default();
        }
        let name = self.name();
        if name.is_empty() {
            return Joined::default();
        }
        if self.takes(Tok::Punct(b'(')) {
            // A function that gives rows: JSON_TABLE(..), ....
            self.skip_closing();
            let alias = self.alias();
            return self.table(block, Span::default(), alias, Origin::Derived);
        }
        self.named_table(block, name)
    }

    /// Behind an opening parenthesis of FROM.
    fn factor_in_parentheses(&mut self, block: u16) -> Joined {
        if matches!(self.kw(), Kw::Select | Kw::With | Kw::Values | Kw::Table) {
            self.subquery();
        } else {
            let inside = self.tables(block);
            if self.takes(Tok::Punct(b')')) {
                // Tables in parentheses have no alias; a subquery in two pairs of them has.
                if inside.all != 0 {
                    self.alias();
                }
                return inside;
            }
            // `((SELECT ..) UNION SELECT ..)`
            self.query_tail(Some(block));
        }
        self.skip_closing();
        let alias = self.alias();
        if self.takes(Tok::Punct(b'(')) {
            // Names of its columns.
            self.skip_closing();
        }
        self.table(block, Span::default(), alias, Origin::Derived)
    }

    /// A table behind its name: what may follow it.
    pub(super) fn named_table(&mut self, block: u16, name: Span) -> Joined {
        let text = self.lexer.text();
        let is_with = |w: &Span| same_name(w.of(text), name.of(text));
        let is_with = self.out.withs.iter().any(is_with);
        let is_dual = name.len() == 4 && name.of(text).eq_ignore_ascii_case(b"dual");
        let mut is_remote = false;
        if self.now.tok == Tok::UserVariable {
            // `t@link`
            is_remote = true;
            self.step();
        }
        let origin = match is_with || is_dual {
            true => Origin::Derived,
            false => Origin::Stored,
        };
        if matches!(self.now.tok, Tok::End | Tok::Word(Kw::Where)) {
            // Nothing else belongs to most tables.
            let joined = self.table(block, name, Span::default(), origin);
            return joined;
        }
        let partitions = self.partitions();
        let alias = self.alias();
        // Hints about indexes.
        while matches!(self.kw(), Kw::Use | Kw::Force | Kw::Ignore) {
            self.step();
            let is_index = matches!(self.kw(), Kw::Index | Kw::Key);
            if !is_index {
                break;
            }
            self.step();
            if self.takes_word(Kw::For) {
                // FOR JOIN, FOR ORDER BY, FOR GROUP BY
                self.step();
                self.takes_word(Kw::By);
            }
            if self.takes(Tok::Punct(b'(')) {
                self.skip_closing();
            }
            self.takes(Tok::Punct(b','));
        }
        let origin = match is_with || is_dual {
            true => Origin::Derived,
            false => Origin::Stored,
        };
        let joined = self.table(block, name, alias, origin);
        if let Some(table) = self.out.tables.last_mut()
            && joined.all != 0
        {
            table.partitions = partitions;
            table.is_remote = is_remote;
        }
        joined
    }

    pub(super) fn table(&mut self, block: u16, name: Span, alias: Span, origin: Origin) -> Joined {
        let index = self.out.tables.len();
        if index >= TABLES_MAX {
            self.out.facts.is_cut = true;
            return Joined::default();
        }
        self.out.tables.push(Table {
            block,
            name,
            alias,
            origin,
            partitions: (0, 0),
            is_remote: false,
            is_bare: false,
        });
        Joined {
            all: 1 << index,
            nullable: 0,
        }
    }

    /// `[AS] alias`; empty if there is none.
    pub(super) fn alias(&mut self) -> Span {
        let is_certain = self.takes_word(Kw::As);
        let is_alias = match self.now.tok {
            Tok::Name => true,
            Tok::Word(Kw::Full) => {
                // A join, unless it is the alias.
                return Span::default();
            }
            Tok::Word(kw) => is_certain || !kw.ends_table(),
            // `AS 'x'` is accepted too.
            Tok::Text => is_certain,
            _ => false,
        };
        if !is_alias {
            return Span::default();
        }
        let span = self.now.span;
        self.step();
        span
    }

    /// `PARTITION (p0, p1)`, `SUBPARTITION (..)`
    fn partitions(&mut self) -> (u32, u32) {
        let start = self.out.names.len() as u32;
        if !matches!(self.kw(), Kw::Partition | Kw::Subpartition) {
            return (0, 0);
        }
        self.step();
        if self.takes(Tok::Punct(b'(')) {
            loop {
                let name = self.name();
                if !name.is_empty() {
                    self.out.names.push(name);
                }
                if !self.takes(Tok::Punct(b',')) {
                    break;
                }
            }
            if self.now.tok != Tok::Punct(b')') {
                // Names that are not understood restrict to something unknown.
                self.out.facts.is_cut = true;
            }
            self.skip_closing();
        }
        (start, self.out.names.len() as u32)
    }
}
