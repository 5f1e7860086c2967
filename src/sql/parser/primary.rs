//! Values: literals, names, calls, parentheses.

use super::super::keyword::Kw;
use super::super::lexer::Tok;
use super::super::tree::{Comparison, Expr, NodeId, Span, Temporal};
use super::{List, Parser};

impl Parser<'_> {
    /// One value. A token that begins none is left where it is.
    pub(super) fn primary(&mut self) -> NodeId {
        let span = self.now.span;
        let expr = match self.now.tok {
            Tok::Int => Expr::Int(span),
            Tok::Decimal => Expr::Decimal(span),
            Tok::Float => Expr::Float(span),
            Tok::Hex => Expr::Hex(span),
            Tok::Bit => Expr::Bit(span),
            Tok::Text => {
                let span = self.texts();
                return self.push(Expr::Text(span));
            }
            Tok::Param => {
                self.out.params += 1;
                Expr::Param(self.out.params - 1)
            }
            Tok::UserVariable => {
                self.step();
                self.out.facts.has_user_variables = true;
                if self.takes(Tok::Assign) {
                    self.expression();
                    return self.unknown();
                }
                return self.push(Expr::UserVariable(span));
            }
            Tok::SystemVariable => {
                self.out.facts.has_system_variables = true;
                Expr::SystemVariable(span)
            }
            Tok::Punct(b'(') => {
                self.step();
                return self.parenthesized();
            }
            Tok::Name => {
                let name = self.name();
                return self.push(Expr::Column(name));
            }
            Tok::Word(kw) => return self.word(kw, span),
            _ => return self.unknown(),
        };
        self.step();
        self.push(expr)
    }

    /// Strings side by side are one.
    fn texts(&mut self) -> Span {
        let mut span = self.now.span;
        while self.now.tok == Tok::Text {
            span.end = self.now.span.end;
            self.step();
        }
        span
    }

    /// Behind an opening parenthesis: a value, a row, or a subquery, whose value is unknown.
    fn parenthesized(&mut self) -> NodeId {
        if matches!(self.kw(), Kw::Select | Kw::With) {
            self.parenthesized_unknown();
            return self.unknown();
        }
        let first = self.expression();
        if self.takes(Tok::Punct(b')')) {
            return first;
        }
        let mut list = List::default();
        list.add(self.out, first);
        while self.takes(Tok::Punct(b',')) {
            let next = self.expression();
            list.add(self.out, next);
        }
        if self.takes(Tok::Punct(b')')) {
            return self.push(Expr::Row(list.first));
        }
        self.skip_closing();
        self.unknown()
    }

    /// Skips what is in parentheses, behind the opening one, and parses subqueries in it.
    pub(super) fn parenthesized_unknown(&mut self) {
        if matches!(self.kw(), Kw::Select | Kw::With) {
            self.subquery();
        }
        self.skip_closing();
    }

    fn word(&mut self, kw: Kw, span: Span) -> NodeId {
        let literal = match kw {
            Kw::Null => Some(Expr::Null),
            Kw::TrueWord => Some(Expr::True),
            Kw::FalseWord => Some(Expr::False),
            _ => None,
        };
        if let Some(expr) = literal {
            self.step();
            return self.push(expr);
        }
        match kw {
            Kw::Case => return self.case(),
            Kw::Interval => {
                self.step();
                return self.interval();
            }
            // Words that end a value: nothing was there.
            Kw::From
            | Kw::Where
            | Kw::Group
            | Kw::Having
            | Kw::Order
            | Kw::Limit
            | Kw::And
            | Kw::Or
            | Kw::Union
            | Kw::On
            | Kw::Join
            | Kw::Then
            | Kw::When
            | Kw::Else
            | Kw::End
            | Kw::Select
            | Kw::Set => return self.unknown(),
            _ => {}
        }
        let name = self.name();
        match (kw, self.now.tok) {
            (_, Tok::Punct(b'(')) => {
                self.step();
                self.call(kw, name)
            }
            (Kw::Date | Kw::Time | Kw::Timestamp, Tok::Text) => {
                let kind = match kw {
                    Kw::Date => Temporal::Date,
                    Kw::Time => Temporal::Time,
                    _ => Temporal::Timestamp,
                };
                let span = self.texts();
                self.push(Expr::Temporal(kind, span))
            }
            (Kw::Default, _) if name == span => self.push(Expr::Default),
            (
                Kw::CurrentDate
                | Kw::CurrentTime
                | Kw::CurrentTimestamp
                | Kw::LocalTime
                | Kw::LocalTimestamp
                | Kw::UtcDate
                | Kw::UtcTime
                | Kw::UtcTimestamp,
                _,
            ) if name == span => self.push(Expr::Call(span, NodeId::NONE)),
            _ => self.push(Expr::Column(name)),
        }
    }

    /// CASE up to its END. `CASE a WHEN b ..` is `CASE WHEN a = b ..`.
    fn case(&mut self) -> NodeId {
        self.step();
        let mut list = List::default();
        let operand = match self.kw() {
            Kw::When => None,
            _ => Some(self.expression()),
        };
        let mut is_read = self.kw() == Kw::When;
        while is_read && self.takes_word(Kw::When) {
            let mut condition = self.expression();
            if let Some(operand) = operand {
                let operand = self.push(self.out.tree.get(operand));
                self.out.tree.link(operand, condition);
                condition = self.push(Expr::Compare(Comparison::Equal, operand));
            }
            list.add(self.out, condition);
            is_read = self.takes_word(Kw::Then);
            if is_read {
                let value = self.expression();
                list.add(self.out, value);
            }
        }
        if is_read && self.takes_word(Kw::Else) {
            let value = self.expression();
            list.add(self.out, value);
        }
        if is_read && self.takes_word(Kw::End) {
            return self.push(Expr::Case(list.first));
        }
        self.skip_case();
        self.unknown()
    }

    /// Skips to behind the END of a CASE that is already begun.
    fn skip_case(&mut self) {
        let mut open = 1_u32;
        while open > 0 {
            self.skip(|kw| matches!(kw, Kw::Case | Kw::End));
            match self.kw() {
                Kw::Case => open += 1,
                Kw::End => open -= 1,
                _ => return,
            }
            self.step();
        }
    }

    fn interval(&mut self) -> NodeId {
        let value = self.value();
        if !matches!(self.now.tok, Tok::Word(_)) {
            return self.unknown();
        }
        let unit = self.push(Expr::Type(self.now.span));
        self.step();
        self.out.tree.link(value, unit);
        self.push(Expr::Interval(value))
    }

    /// The arguments of a call, behind the opening parenthesis.
    pub(super) fn call(&mut self, kw: Kw, name: Span) -> NodeId {
        self.note_word(kw);
        let mut list = List::default();
        let is_read = match kw {
            Kw::Cast => self.cast(&mut list),
            Kw::Convert => self.convert(&mut list),
            Kw::Extract => self.extract(&mut list),
            Kw::Trim => self.trim(&mut list),
            _ => self.arguments(kw, &mut list),
        };
        let mut is_read = is_read && self.now.tok == Tok::Punct(b')');
        if is_read {
            self.step();
        } else {
            self.parenthesized_unknown();
        }
        while self.is_word("over") {
            self.step();
            is_read = false;
            if self.takes(Tok::Punct(b'(')) {
                self.parenthesized_unknown();
            } else {
                self.name();
            }
        }
        match is_read {
            true if kw == Kw::Row => self.push(Expr::Row(list.first)),
            true => self.push(Expr::Call(name, list.first)),
            false => self.unknown(),
        }
    }

    /// Arguments divided by commas; SUBSTRING(a FROM b FOR c) too. False: something else.
    fn arguments(&mut self, kw: Kw, list: &mut List) -> bool {
        if self.now.tok == Tok::Punct(b')') {
            return true;
        }
        if matches!(self.kw(), Kw::Distinct | Kw::All | Kw::Select | Kw::With) {
            return false;
        }
        let is_part = matches!(kw, Kw::Substr | Kw::Substring | Kw::Mid);
        loop {
            let argument = self.expression();
            list.add(self.out, argument);
            match self.now.tok {
                Tok::Punct(b',') => self.step(),
                Tok::Word(Kw::From | Kw::For) if is_part => self.step(),
                _ => return true,
            }
        }
    }

    /// A type up to the closing parenthesis, as one node.
    fn type_name(&mut self, list: &mut List) -> bool {
        let mut span = self.now.span;
        let mut open = 0_u32;
        loop {
            match self.now.tok {
                Tok::Punct(b'(') => open += 1,
                Tok::Punct(b')') if open == 0 => break,
                Tok::Punct(b')') => open -= 1,
                Tok::Word(_) | Tok::Int | Tok::Punct(b',') | Tok::Name => {}
                _ => return false,
            }
            span.end = self.now.span.end;
            self.step();
        }
        let node = self.push(Expr::Type(span));
        list.add(self.out, node);
        true
    }

    fn cast(&mut self, list: &mut List) -> bool {
        let value = self.expression();
        list.add(self.out, value);
        self.takes_word(Kw::As) && self.type_name(list)
    }

    /// CONVERT(value, type), CONVERT(value USING set)
    fn convert(&mut self, list: &mut List) -> bool {
        let value = self.expression();
        list.add(self.out, value);
        let is_there = self.takes(Tok::Punct(b',')) || self.takes_word(Kw::Using);
        is_there && self.type_name(list)
    }

    fn extract(&mut self, list: &mut List) -> bool {
        let unit = self.push(Expr::Type(self.now.span));
        list.add(self.out, unit);
        self.step();
        if !self.takes_word(Kw::From) {
            return false;
        }
        let value = self.expression();
        list.add(self.out, value);
        true
    }

    /// TRIM(value), or TRIM(side what FROM value) as three arguments.
    fn trim(&mut self, list: &mut List) -> bool {
        let side = self.now.span;
        if matches!(self.kw(), Kw::Both | Kw::Leading | Kw::Trailing) {
            self.step();
            let side = self.push(Expr::Type(side));
            list.add(self.out, side);
            let what = self.expression();
            list.add(self.out, what);
            if !self.takes_word(Kw::From) {
                return false;
            }
        }
        let value = self.expression();
        list.add(self.out, value);
        true
    }
}
