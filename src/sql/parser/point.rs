//! `SELECT c FROM t WHERE k = 5` by the shortest way: applications send little else as often. What
//! is found is what the general way finds, at half its cost.

use super::super::keyword::Kw;
use super::super::lexer::{Lexer, Tok, Token};
use super::super::scan::{Origin, Point, Verb};
use super::super::tree::{Comparison, Expr, Span};
use super::Parser;

impl Parser<'_> {
    /// Reads a statement that begins with bare columns of one bare table and goes on with WHERE.
    /// False, and nothing is read, if it begins in another way.
    pub(super) fn point_select(&mut self) -> bool {
        let mut lexer = self.lexer;
        let Some((table, filter)) = head(&mut lexer) else {
            return false;
        };
        self.out.verb = Verb::Select;
        let block = self.block(None);
        let tables = self.table(block, table, Span::default(), Origin::Stored);
        if let Some(table) = self.out.tables.last_mut() {
            table.is_bare = true;
        }
        self.lexer = lexer;
        if let Some((point, end)) = equality(&mut lexer) {
            let column = self.push(Expr::Column(point.column));
            let digits = self.push(Expr::Int(point.digits));
            self.out.point = Some(point);
            self.out.tree.link(column, digits);
            let root = self.push(Expr::Compare(Comparison::Equal, column));
            self.condition(block, root, tables);
            self.now = end;
            return true;
        }
        self.now = filter;
        self.scope = Some(block);
        self.filter(block, tables);
        self.scope = None;
        self.query_tail(None);
        true
    }
}

/// Columns and FROM, the table, WHERE: the table's name, and the token of WHERE.
#[inline]
fn head(lexer: &mut Lexer<'_>) -> Option<(Span, Token)> {
    loop {
        name(lexer)?;
        match lexer.short()?.tok {
            Tok::Punct(b',') => {}
            Tok::Word(Kw::From) => break,
            _ => return None,
        }
    }
    let table = name(lexer)?;
    let filter = lexer.short()?;
    (filter.tok == Tok::Word(Kw::Where)).then_some((table, filter))
}

/// `k = 5` up to the end of the statement, and the end.
#[inline]
fn equality(lexer: &mut Lexer<'_>) -> Option<(Point, Token)> {
    let column = name(lexer)?;
    let equal = lexer.short()?;
    let digits = lexer.short()?;
    let end = lexer.short()?;
    let is_it = equal.tok == Tok::Punct(b'=') && digits.tok == Tok::Int && end.tok == Tok::End;
    let digits = digits.span;
    is_it.then_some((Point { column, digits }, end))
}

#[inline]
fn name(lexer: &mut Lexer<'_>) -> Option<Span> {
    let token = lexer.short()?;
    (token.tok == Tok::Word(Kw::Other)).then_some(token.span)
}
