//! Operators, by precedence.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::tree::{Arithmetic, Comparison, Expr, NodeId};
use super::{CHAIN_MAX, List, Parser};

/// Whether the operator between two operands is AND, OR, XOR.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Junction {
    Or,
    Xor,
    And,
}

impl Parser<'_> {
    /// An expression. Stops at the first token that does not go on with it; whoever called looks
    /// whether that token may stand there, and takes the expression as unknown if not.
    pub(super) fn expression(&mut self) -> NodeId {
        match self.deeper(|p| p.junctions(Junction::Or)) {
            Some(node) => node,
            None => self.unknown(),
        }
    }

    fn junction(&self) -> Option<Junction> {
        match self.now.tok {
            Tok::Word(Kw::Or) => Some(Junction::Or),
            Tok::OrOr if !self.lexer.syntax().pipes_as_concat => Some(Junction::Or),
            Tok::Word(Kw::Xor) => Some(Junction::Xor),
            Tok::Word(Kw::And) | Tok::AndAnd => Some(Junction::And),
            _ => None,
        }
    }

    /// Operands joined by one kind of junction; the operands are of the next kind.
    fn junctions(&mut self, kind: Junction) -> NodeId {
        let first = self.operand(kind);
        if self.junction() != Some(kind) {
            return first;
        }
        let mut list = List::default();
        list.add(self.out, first);
        while self.junction() == Some(kind) {
            self.step();
            let next = self.operand(kind);
            list.add(self.out, next);
        }
        match kind {
            Junction::Or => self.push(Expr::Or(list.first)),
            Junction::Xor => self.unknown(),
            Junction::And => self.push(Expr::And(list.first)),
        }
    }

    fn operand(&mut self, kind: Junction) -> NodeId {
        match kind {
            Junction::Or => self.junctions(Junction::Xor),
            Junction::Xor => self.junctions(Junction::And),
            Junction::And => self.negated(),
        }
    }

    /// `NOT a`
    fn negated(&mut self) -> NodeId {
        if !self.takes_word(Kw::Not) {
            return self.comparison();
        }
        match self.deeper(Self::negated) {
            Some(inner) => self.push(Expr::Not(inner)),
            None => self.unknown(),
        }
    }

    /// Comparisons and predicates, from left to right.
    fn comparison(&mut self) -> NodeId {
        let mut left = self.bits(0);
        let mut chain = 0;
        loop {
            let comparison = match self.now.tok {
                Tok::Punct(b'=') => Comparison::Equal,
                Tok::NullSafe => Comparison::NullSafe,
                Tok::NotEqual => Comparison::NotEqual,
                Tok::Punct(b'<') => Comparison::Less,
                Tok::LessEqual => Comparison::LessEqual,
                Tok::Punct(b'>') => Comparison::Greater,
                Tok::GreaterEqual => Comparison::GreaterEqual,
                Tok::Word(kw) => {
                    match self.predicate(kw, left) {
                        Some(node) => left = node,
                        None => return left,
                    }
                    chain += 1;
                    if chain > CHAIN_MAX {
                        return self.unknown();
                    }
                    continue;
                }
                _ => return left,
            };
            chain += 1;
            if chain > CHAIN_MAX {
                return self.unknown();
            }
            self.step();
            if matches!(self.kw(), Kw::All | Kw::Any | Kw::Some) {
                self.step();
                if self.takes(Tok::Punct(b'(')) {
                    self.parenthesized_unknown();
                }
                left = self.unknown();
                continue;
            }
            let right = self.bits(0);
            self.out.tree.link(left, right);
            left = self.push(Expr::Compare(comparison, left));
        }
    }

    /// IS, IN, BETWEEN, LIKE and their kind behind `left`; `None` if none of them follows.
    fn predicate(&mut self, kw: Kw, left: NodeId) -> Option<NodeId> {
        let mut kw = kw;
        let is_negated = kw == Kw::Not;
        if is_negated {
            self.step();
            kw = self.kw();
        }
        let node = match kw {
            Kw::Is if !is_negated => {
                self.step();
                let is_not = self.takes_word(Kw::Not);
                let is_null = self.kw() == Kw::Null;
                if !matches!(
                    self.kw(),
                    Kw::Null | Kw::TrueWord | Kw::FalseWord | Kw::Unknown
                ) {
                    return Some(self.unknown());
                }
                self.step();
                if !is_null {
                    return Some(self.unknown());
                }
                let node = self.push(Expr::IsNull(left));
                return Some(match is_not {
                    true => self.push(Expr::Not(node)),
                    false => node,
                });
            }
            Kw::In => {
                self.step();
                self.in_list(left)
            }
            Kw::Between => {
                self.step();
                let low = self.bits(0);
                if !self.takes_word(Kw::And) {
                    return Some(self.unknown());
                }
                // The upper bound is a predicate (`a BETWEEN 1 AND 2 = 3` compares with the
                // bound); only what is no predicate is understood.
                let high = self.bits(0);
                self.out.tree.link(left, low);
                self.out.tree.link(low, high);
                self.push(Expr::Between(left))
            }
            Kw::Like | Kw::Regexp | Kw::Rlike => {
                self.step();
                self.bits(0);
                if self.takes_word(Kw::Escape) {
                    self.bits(0);
                }
                self.unknown()
            }
            Kw::Sounds if !is_negated => {
                self.step();
                self.takes_word(Kw::Like);
                self.bits(0);
                self.unknown()
            }
            _ if is_negated => self.unknown(),
            _ => return None,
        };
        Some(match is_negated {
            true => self.push(Expr::Not(node)),
            false => node,
        })
    }

    fn in_list(&mut self, left: NodeId) -> NodeId {
        if !self.takes(Tok::Punct(b'(')) {
            // `IN ?` and the like.
            self.bits(0);
            return self.unknown();
        }
        if matches!(self.kw(), Kw::Select | Kw::With) {
            self.subquery();
            self.skip_closing();
            return self.unknown();
        }
        let mut list = List::default();
        list.add(self.out, left);
        loop {
            let item = self.expression();
            list.add(self.out, item);
            if self.takes(Tok::Punct(b',')) {
                continue;
            }
            if self.takes(Tok::Punct(b')')) {
                return self.push(Expr::In(list.first));
            }
            self.skip_closing();
            return self.unknown();
        }
    }

    /// An operator between two values, with how strongly it binds.
    fn arithmetic(&self) -> Option<(Arithmetic, u32)> {
        Some(match self.now.tok {
            Tok::Punct(b'|') => (Arithmetic::BitOr, 1),
            Tok::Punct(b'&') => (Arithmetic::BitAnd, 2),
            Tok::ShiftLeft => (Arithmetic::ShiftLeft, 3),
            Tok::ShiftRight => (Arithmetic::ShiftRight, 3),
            Tok::Punct(b'+') => (Arithmetic::Add, 4),
            Tok::Punct(b'-') => (Arithmetic::Subtract, 4),
            Tok::Punct(b'*') => (Arithmetic::Multiply, 5),
            Tok::Punct(b'/') => (Arithmetic::Divide, 5),
            Tok::Punct(b'%') | Tok::Word(Kw::Mod) => (Arithmetic::Modulo, 5),
            Tok::Word(Kw::Div) => (Arithmetic::IntegerDivide, 5),
            Tok::Punct(b'^') => (Arithmetic::BitXor, 6),
            Tok::OrOr if self.lexer.syntax().pipes_as_concat => (Arithmetic::Concat, 7),
            _ => return None,
        })
    }

    /// Values joined by operators that bind more strongly than `strength`.
    pub(super) fn bits(&mut self, strength: u32) -> NodeId {
        let mut left = self.signed();
        let mut chain = 0;
        while let Some((op, binds)) = self.arithmetic() {
            if binds <= strength {
                return left;
            }
            self.step();
            let right = self.bits(binds);
            chain += 1;
            if chain > CHAIN_MAX {
                left = self.unknown();
                continue;
            }
            self.out.tree.link(left, right);
            left = self.push(Expr::Arithmetic(op, left));
        }
        left
    }

    /// A value with signs in front of it and COLLATE or `->` behind it.
    fn signed(&mut self) -> NodeId {
        match self.now.tok {
            Tok::Punct(b'+') => {
                self.step();
                return self.deeper(Self::signed).unwrap_or(NodeId::NONE);
            }
            Tok::Punct(sign @ (b'-' | b'~' | b'!')) => {
                self.step();
                let inner = self.deeper(Self::signed).unwrap_or(NodeId::NONE);
                return self.push(match sign {
                    b'-' => Expr::Negate(inner),
                    b'~' => Expr::BitNot(inner),
                    _ => Expr::Unknown,
                });
            }
            Tok::Word(Kw::Binary) => {
                self.step();
                self.deeper(Self::signed);
                return self.unknown();
            }
            _ => {}
        }
        let mut value = self.primary();
        loop {
            match self.now.tok {
                Tok::Word(Kw::Collate) => {
                    self.step();
                    self.name();
                    value = self.unknown();
                }
                Tok::Arrow => {
                    self.step();
                    self.takes(Tok::Text);
                    value = self.unknown();
                }
                _ => return value,
            }
        }
    }
}
