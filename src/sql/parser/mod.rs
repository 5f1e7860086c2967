//! Recursive descent over tokens. Depth is bounded; what is deeper, or not understood, is skipped
//! by counting parentheses, so that every byte is looked at a bounded number of times.

mod ddl;
mod expression;
mod insert;
mod other;
mod point;
mod primary;
mod query;
mod table;

use super::keyword::Kw;
use super::lexer::{Lexer, Tok, Token};
use super::scan::{Block, Scan};
use super::tree::{Expr, NodeId, Span};

/// How deep expressions and subqueries may nest. Deeper ones are unknown; statements of
/// applications stay below 20.
const DEPTH_MAX: u32 = 48;

/// Most operators of one precedence in a row that give one node each (`1 + 1 + ..`). AND, OR and
/// lists are not bounded by it.
const CHAIN_MAX: u32 = 48;

/// Most query blocks; more tables than [`super::scan::TABLES_MAX`] could not be told apart anyway.
const BLOCKS_MAX: usize = 256;

/// Most names of WITH that are seen at one place.
const WITHS_MAX: usize = 32;

/// One parse.
pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    now: Token,
    out: &'a mut Scan,
    depth: u32,
    /// The block that is being read.
    scope: Option<u16>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(lexer: Lexer<'a>, out: &'a mut Scan) -> Self {
        let mut parser = Self {
            lexer,
            now: Token {
                tok: Tok::End,
                span: Span::default(),
            },
            out,
            depth: 0,
            scope: None,
        };
        parser.step();
        parser
    }

    /// Parses the whole statement.
    pub(super) fn run(mut self) {
        if self.kw() != Kw::Select || !self.point_select() {
            self.statement();
        }
        self.finish();
    }

    /// Parses the whole statement without the short way of some.
    #[cfg(test)]
    pub(super) fn run_at_length(mut self) {
        self.statement();
        self.finish();
    }

    /// What stands behind the first statement.
    fn finish(mut self) {
        // What the statement's own grammar left over is not understood, but its end is looked for.
        if !matches!(self.now.tok, Tok::End | Tok::Punct(b';')) {
            self.skip(|_| false);
            while self.now.tok == Tok::Punct(b')') {
                self.step();
                self.skip(|_| false);
            }
        }
        let end = self.now.span.start;
        while self.now.tok == Tok::Punct(b';') {
            self.step();
        }
        self.out.facts.is_multi = self.now.tok != Tok::End;
        if self.out.facts.is_multi {
            self.out.first = Span { start: 0, end };
        }
        self.out.facts.is_broken = self.lexer.is_broken;
    }

    /// Parses one expression and nothing else; `None` if there is more or less.
    pub(super) fn only_expression(mut self) -> Option<NodeId> {
        let root = self.expression();
        (self.now.tok == Tok::End && !self.lexer.is_broken).then_some(root)
    }

    /// Parses `a = 1, b = 2`; anything else ends it.
    pub(super) fn only_conditions(mut self) -> NodeId {
        let mut list = List::default();
        loop {
            let root = self.expression();
            list.add(self.out, root);
            if !self.takes(Tok::Punct(b',')) {
                let is_whole = self.now.tok == Tok::End && !self.lexer.is_broken;
                return if is_whole { list.first } else { NodeId::NONE };
            }
        }
    }

    #[inline(never)]
    fn step(&mut self) {
        match self.lexer.short() {
            Some(token) => self.now = token,
            None => self.long_step(),
        }
    }

    /// A step over any token; apart, so that a step over a short one saves no registers.
    #[inline(never)]
    fn long_step(&mut self) {
        self.now = self.lexer.next();
    }

    #[inline]
    fn kw(&self) -> Kw {
        match self.now.tok {
            Tok::Word(kw) => kw,
            _ => Kw::Other,
        }
    }

    #[inline]
    fn takes(&mut self, tok: Tok) -> bool {
        let is_there = self.now.tok == tok;
        if is_there {
            self.step();
        }
        is_there
    }

    #[inline]
    fn takes_word(&mut self, kw: Kw) -> bool {
        self.takes(Tok::Word(kw))
    }

    fn is_word(&self, text: &str) -> bool {
        let word = self.now.span.of(self.lexer.text());
        matches!(self.now.tok, Tok::Word(_)) && word.eq_ignore_ascii_case(text.as_bytes())
    }

    #[inline]
    fn push(&mut self, expr: Expr) -> NodeId {
        self.out.tree.push(expr)
    }

    fn unknown(&mut self) -> NodeId {
        self.push(Expr::Unknown)
    }

    /// Runs `parse` one level deeper, or not at all.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= DEPTH_MAX {
            return None;
        }
        self.depth += 1;
        let it = parse(self);
        self.depth -= 1;
        Some(it)
    }

    /// Skips tokens up to one of the words at this level of parentheses, a closing parenthesis of
    /// an outer level, `;`, or the end. Subqueries on the way are parsed.
    fn skip(&mut self, is_end: impl Fn(Kw) -> bool) {
        let mut open = 0_u32;
        loop {
            match self.now.tok {
                Tok::Word(Kw::Other) => {}
                Tok::End => return,
                Tok::Punct(b';') if open == 0 => return,
                Tok::Punct(b'(') => {
                    self.step();
                    if matches!(self.kw(), Kw::Select | Kw::With) {
                        self.subquery();
                    }
                    open += 1;
                    continue;
                }
                Tok::Punct(b')') => {
                    if open == 0 {
                        return;
                    }
                    open -= 1;
                }
                Tok::Word(kw) => {
                    if open == 0 && is_end(kw) {
                        return;
                    }
                    self.note_word(kw);
                }
                Tok::UserVariable => self.out.facts.has_user_variables = true,
                Tok::SystemVariable => self.out.facts.has_system_variables = true,
                Tok::Param => self.out.params += 1,
                _ => {}
            }
            self.step();
        }
    }

    /// Skips to behind the parenthesis that closes the one that is already read.
    fn skip_closing(&mut self) {
        self.skip(|_| false);
        while self.takes(Tok::Punct(b';')) {
            self.skip(|_| false);
        }
        self.takes(Tok::Punct(b')'));
    }

    /// Facts that a word shows, wherever it stands.
    fn note_word(&mut self, kw: Kw) {
        let facts = &mut self.out.facts;
        match kw {
            Kw::FoundRows | Kw::RowCount => facts.asks_last_result = true,
            Kw::LastInsertId => facts.asks_last_insert_id = true,
            Kw::ConnectionId => facts.asks_connection_id = true,
            Kw::GetLock
            | Kw::ReleaseLock
            | Kw::ReleaseAllLocks
            | Kw::IsFreeLock
            | Kw::IsUsedLock => facts.uses_locks = true,
            _ => {}
        }
    }

    /// A subquery behind its opening parenthesis; stops in front of the closing one.
    fn subquery(&mut self) {
        let parent = self.scope;
        if self.deeper(|p| p.query(parent)).is_none() {
            self.out.facts.hides_tables = true;
            // One token at least, so that the caller's loop goes on behind SELECT.
            self.step();
        }
    }

    /// Opens a block.
    fn block(&mut self, parent: Option<u16>) -> u16 {
        if self.out.blocks.len() >= BLOCKS_MAX {
            self.out.facts.is_cut = true;
            return BLOCKS_MAX as u16 - 1;
        }
        self.out.blocks.push(Block {
            parent,
            has_merged_columns: false,
        });
        self.out.blocks.len() as u16 - 1
    }

    /// Opens a block that is the statement's own.
    fn outermost(&mut self) -> u16 {
        let block = self.block(None);
        self.scope = Some(block);
        block
    }

    /// A dotted name; empty if there is none.
    #[inline]
    fn name(&mut self) -> Span {
        if !matches!(self.now.tok, Tok::Word(_) | Tok::Name) {
            return Span::default();
        }
        let span = self.now.span;
        self.step();
        if self.now.tok == Tok::Punct(b'.') {
            return self.dotted(span);
        }
        span
    }

    /// A name that goes on with the dot that is the current token.
    fn dotted(&mut self, mut span: Span) -> Span {
        while self.now.tok == Tok::Punct(b'.') {
            self.now = self.lexer.part();
            let is_star = self.now.tok == Tok::Punct(b'*');
            if !is_star && !matches!(self.now.tok, Tok::Word(_) | Tok::Name) {
                return span;
            }
            span.end = self.now.span.end;
            if is_star {
                // `t.*` names no column, and is the end of a name.
                self.step();
                return span;
            }
            self.step();
        }
        span
    }
}

/// A list of nodes that grows at its end.
#[derive(Clone, Copy)]
struct List {
    first: NodeId,
    last: NodeId,
}

impl Default for List {
    fn default() -> Self {
        Self {
            first: NodeId::NONE,
            last: NodeId::NONE,
        }
    }
}

impl List {
    fn add(&mut self, out: &mut Scan, node: NodeId) {
        if self.first.is_none() {
            self.first = node;
        } else {
            out.tree.link(self.last, node);
        }
        self.last = node;
    }
}
