//! Operators, by precedence.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::tree::{Arithmetic, Comparison, Expr, NodeId};
use super::{CHAIN_MAX, List, Parser};

/// How strongly operators bind. Those between two values stand above [`COMPARISON`].
const OR: u8 = 1;
const XOR: u8 = 2;
const AND: u8 = 3;
const NOT: u8 = 4;
const COMPARISON: u8 = 5;
const SUFFIX: u8 = 13;

/// An operator that may stand behind an operand.
#[derive(Clone, Copy)]
enum Infix {
    /// OR, XOR, AND
    Junction,
    Compare(Comparison),
    /// IS, IN, BETWEEN, LIKE and their kind, or NOT in front of one.
    Predicate(Kw),
    Arithmetic(Arithmetic),
    /// COLLATE and a name, `->` and a path.
    Suffix,
}

impl Parser<'_> {
    /// An expression. Stops at the first token that does not go on with it; whoever called looks
    /// whether that token may stand there, and takes the expression as unknown if not.
    pub(super) fn expression(&mut self) -> NodeId {
        match self.deeper(|p| p.operators(0)) {
            Some(node) => node,
            None => self.unknown(),
        }
    }

    /// A value, and the operators between values behind it.
    pub(super) fn value(&mut self) -> NodeId {
        self.operators(COMPARISON)
    }

    /// The operator that is the current token, with how strongly it binds; 0 if it is none.
    #[inline]
    fn infix(&self) -> (u8, Infix) {
        let (strength, op) = match self.now.tok {
            Tok::Punct(b'=') => return (COMPARISON, Infix::Compare(Comparison::Equal)),
            Tok::Word(kw) => match kw {
                Kw::And => return (AND, Infix::Junction),
                Kw::Or => return (OR, Infix::Junction),
                Kw::Xor => return (XOR, Infix::Junction),
                Kw::Mod => (10, Arithmetic::Modulo),
                Kw::Div => (10, Arithmetic::IntegerDivide),
                Kw::Collate => return (SUFFIX, Infix::Suffix),
                Kw::Is
                | Kw::In
                | Kw::Between
                | Kw::Like
                | Kw::Regexp
                | Kw::Rlike
                | Kw::Sounds
                | Kw::Not => return (COMPARISON, Infix::Predicate(kw)),
                _ => return (0, Infix::Junction),
            },
            Tok::Arrow => return (SUFFIX, Infix::Suffix),
            Tok::AndAnd => return (AND, Infix::Junction),
            Tok::OrOr if !self.lexer.syntax().pipes_as_concat => return (OR, Infix::Junction),
            Tok::OrOr => (12, Arithmetic::Concat),
            Tok::NullSafe => return (COMPARISON, Infix::Compare(Comparison::NullSafe)),
            Tok::NotEqual => return (COMPARISON, Infix::Compare(Comparison::NotEqual)),
            Tok::Punct(b'<') => return (COMPARISON, Infix::Compare(Comparison::Less)),
            Tok::LessEqual => return (COMPARISON, Infix::Compare(Comparison::LessEqual)),
            Tok::Punct(b'>') => return (COMPARISON, Infix::Compare(Comparison::Greater)),
            Tok::GreaterEqual => return (COMPARISON, Infix::Compare(Comparison::GreaterEqual)),
            Tok::Punct(b'|') => (6, Arithmetic::BitOr),
            Tok::Punct(b'&') => (7, Arithmetic::BitAnd),
            Tok::ShiftLeft => (8, Arithmetic::ShiftLeft),
            Tok::ShiftRight => (8, Arithmetic::ShiftRight),
            Tok::Punct(b'+') => (9, Arithmetic::Add),
            Tok::Punct(b'-') => (9, Arithmetic::Subtract),
            Tok::Punct(b'*') => (10, Arithmetic::Multiply),
            Tok::Punct(b'/') => (10, Arithmetic::Divide),
            Tok::Punct(b'%') => (10, Arithmetic::Modulo),
            Tok::Punct(b'^') => (11, Arithmetic::BitXor),
            _ => return (0, Infix::Junction),
        };
        (strength, Infix::Arithmetic(op))
    }

    /// An operand, and all operators behind it that bind more strongly than `floor`.
    #[inline]
    fn operators(&mut self, floor: u8) -> NodeId {
        let left = match self.now.tok {
            Tok::Word(Kw::Other) => self.named(),
            Tok::Int => self.leaf(Expr::Int(self.now.span)),
            Tok::Word(Kw::Not) if floor <= NOT => self.negated(),
            _ => self.signed(),
        };
        match self.now.tok {
            Tok::End => left,
            _ => self.operators_behind(left, floor),
        }
    }

    /// The operators behind an operand.
    fn operators_behind(&mut self, mut left: NodeId, floor: u8) -> NodeId {
        let mut chain = 0;
        loop {
            let (strength, op) = self.infix();
            if strength <= floor {
                return left;
            }
            if let Infix::Junction = op {
                left = self.junction(left, strength);
                continue;
            }
            chain += 1;
            left = match op {
                Infix::Predicate(kw) => self.predicate(kw, left),
                Infix::Compare(comparison) => self.compared(comparison, left),
                Infix::Arithmetic(op) => {
                    self.step();
                    let right = self.operators(strength);
                    self.out.tree.link(left, right);
                    self.push(Expr::Arithmetic(op, left))
                }
                Infix::Suffix => self.suffix(),
                Infix::Junction => left,
            };
            if chain > CHAIN_MAX {
                left = self.unknown();
            }
            if self.now.tok == Tok::End {
                return left;
            }
        }
    }

    /// The current token as a node.
    #[inline]
    fn leaf(&mut self, expr: Expr) -> NodeId {
        self.step();
        self.push(expr)
    }

    /// A column, or a call.
    #[inline]
    fn named(&mut self) -> NodeId {
        let name = self.name();
        match self.now.tok {
            Tok::Punct(b'(') => {
                self.step();
                self.call(Kw::Other, name)
            }
            // `_utf8mb4 x'61'`: an introducer, as the call of a function of its name.
            Tok::Hex if name.of(self.lexer.text()).starts_with(b"_") => {
                let bytes = self.leaf(Expr::Hex(self.now.span));
                self.push(Expr::Call(name, bytes))
            }
            _ => self.push(Expr::Column(name)),
        }
    }

    /// What stands behind a value and changes it in a way that is not understood.
    fn suffix(&mut self) -> NodeId {
        let is_collation = self.kw() == Kw::Collate;
        self.step();
        if is_collation {
            self.name();
        } else {
            self.takes(Tok::Text);
        }
        self.unknown()
    }

    /// Operands joined by one kind of junction, behind the first of them.
    fn junction(&mut self, first: NodeId, kind: u8) -> NodeId {
        let mut list = List::default();
        list.add(self.out, first);
        while self.infix().0 == kind {
            self.step();
            let next = self.operators(kind);
            list.add(self.out, next);
        }
        match kind {
            OR => self.push(Expr::Or(list.first)),
            AND => self.push(Expr::And(list.first)),
            _ => self.unknown(),
        }
    }

    /// `NOT a`
    fn negated(&mut self) -> NodeId {
        self.step();
        match self.deeper(|p| p.operators(NOT)) {
            Some(inner) => self.push(Expr::Not(inner)),
            None => self.unknown(),
        }
    }

    /// A comparison with what stands behind the operator.
    fn compared(&mut self, comparison: Comparison, left: NodeId) -> NodeId {
        self.step();
        if matches!(self.kw(), Kw::All | Kw::Any | Kw::Some) {
            self.step();
            if self.takes(Tok::Punct(b'(')) {
                self.parenthesized_unknown();
            }
            return self.unknown();
        }
        let right = self.value();
        self.out.tree.link(left, right);
        self.push(Expr::Compare(comparison, left))
    }

    /// IS, IN, BETWEEN, LIKE and their kind behind `left`.
    fn predicate(&mut self, kw: Kw, left: NodeId) -> NodeId {
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
                    return self.unknown();
                }
                self.step();
                if !is_null {
                    return self.unknown();
                }
                let node = self.push(Expr::IsNull(left));
                return match is_not {
                    true => self.push(Expr::Not(node)),
                    false => node,
                };
            }
            Kw::In => {
                self.step();
                self.in_list(left)
            }
            Kw::Between => {
                self.step();
                let low = self.value();
                if !self.takes_word(Kw::And) {
                    return self.unknown();
                }
                // The upper bound is a predicate (`a BETWEEN 1 AND 2 = 3` compares with the
                // bound); only what is no predicate is understood.
                let high = self.value();
                self.out.tree.link(left, low);
                self.out.tree.link(low, high);
                self.push(Expr::Between(left))
            }
            Kw::Like | Kw::Regexp | Kw::Rlike => {
                self.step();
                self.value();
                if self.takes_word(Kw::Escape) {
                    self.value();
                }
                self.unknown()
            }
            Kw::Sounds if !is_negated => {
                self.step();
                self.takes_word(Kw::Like);
                self.value();
                self.unknown()
            }
            // NOT in front of something else.
            _ => self.unknown(),
        };
        match is_negated {
            true => self.push(Expr::Not(node)),
            false => node,
        }
    }

    fn in_list(&mut self, left: NodeId) -> NodeId {
        if !self.takes(Tok::Punct(b'(')) {
            // `IN ?` and the like.
            self.value();
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

    /// A value with signs in front of it.
    fn signed(&mut self) -> NodeId {
        match self.now.tok {
            Tok::Punct(sign @ (b'+' | b'-' | b'~' | b'!')) => {
                self.step();
                let Some(inner) = self.deeper(Self::signed) else {
                    return self.unknown();
                };
                match sign {
                    b'+' => inner,
                    b'-' => self.push(Expr::Negate(inner)),
                    b'~' => self.push(Expr::BitNot(inner)),
                    _ => self.unknown(),
                }
            }
            Tok::Word(Kw::Binary) => {
                self.step();
                self.deeper(Self::signed);
                self.unknown()
            }
            _ => self.primary(),
        }
    }
}
