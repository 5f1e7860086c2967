//! L1: what can be read off a statement without knowing a table.
//!
//! * [`Scan`]: one pass over a statement: what it does, its tables, its conditions.
//! * [`Kill`]: what a KILL ends.
//! * [`proxy_version`]: the question for the proxy's version.
//! * [`only_reads`]: whether a statement may run twice.
//!
//! A scan never fails. What it does not understand is [`Expr::Unknown`], which says nothing about
//! the rows a statement touches; what it leaves out it says in [`Facts`].

mod hint;
mod keyword;
mod kill;
mod lexer;
mod name;
mod parser;
mod proxy_version;
mod reads;
mod scan;
mod syntax;
mod text;
mod tree;

#[cfg(test)]
mod scan_tests;

pub use hint::{Consistency, Hints, Note, NoteKey};
pub use kill::Kill;
pub use name::{NameParts, bare_name, is_plain_name, same_name};
pub use proxy_version::proxy_version;
pub use reads::only_reads;
pub use scan::{
    Assignment, Block, Condition, Explain, Facts, Insert, NodeList, Origin, Point, Rows, Scan,
    Scope, TABLES_MAX, Table, TableSet, Verb,
};
pub use syntax::{Charset, Syntax};
pub use text::{TextError, TextPart, text_parts};
pub use tree::{Arithmetic, Comparison, Expr, NODES_MAX, NodeId, Span, Temporal, Tree};

use lexer::Lexer;
use parser::Parser;

impl Scan {
    /// What stands behind the first statement of a text that was read, and its `;`.
    #[must_use]
    pub fn behind_first<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        let end = self.first.end as usize;
        match self.facts.is_multi && end > 0 {
            true => text.get(end + 1..).unwrap_or_default(),
            false => b"",
        }
    }

    /// Reads a statement. Everything that was there before is forgotten.
    ///
    /// `is_whole` is false if `text` is only the beginning of the statement.
    pub fn read(&mut self, text: &[u8], syntax: Syntax, is_whole: bool) {
        self.clear();
        // Offsets are 32 bits wide.
        let limit = u32::MAX as usize;
        let is_short = text.len() < limit;
        let text = text.get(..limit).unwrap_or(text);
        self.hints.read_comments(text);
        Parser::new(Lexer::new(text, syntax), self).run();
        self.facts.is_cut |= !is_whole || !is_short;
    }

    /// [`Self::read`] without the short way of some statements.
    #[cfg(test)]
    fn read_at_length(&mut self, text: &[u8], syntax: Syntax) {
        self.clear();
        self.hints.read_comments(text);
        Parser::new(Lexer::new(text, syntax), self).run_at_length();
    }

    /// Reads one expression, as the metadata of a table has them. The tree is replaced by it;
    /// `None` if the text is no expression.
    pub fn read_expression(&mut self, text: &[u8]) -> Option<NodeId> {
        self.clear();
        Parser::new(Lexer::new(text, Syntax::default()), self).only_expression()
    }

    /// Reads `a = 1, b = 2`, as a note [`NoteKey::PartKey`] has it. The tree is replaced by it;
    /// [`NodeId::NONE`] if the text is something else.
    pub fn read_conditions(&mut self, text: &[u8]) -> NodeId {
        self.clear();
        Parser::new(Lexer::new(text, Syntax::default()), self).only_conditions()
    }
}
