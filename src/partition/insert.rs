//! Rows of INSERT and REPLACE (routing.md 4.7, 4.8).

use super::answer::{Answer, Certainty, Request};
use super::choose::IsExact;
use super::column::{Column, Default, Kind};
use super::constant::Source;
use super::domain::Domain;
use super::leaves::LeafSet;
use super::session::Context;
use super::solve::Spread;
use super::table::Table;
use super::value::{Key, Value};
use crate::sql::{Expr, Insert, NameParts, NodeId, Rows, bare_name, same_name};

/// The leaves that the rows go to.
pub(super) fn leaves(request: &Request<'_>, table: &Table, insert: &Insert) -> Answer {
    let tree = &request.scan.tree;
    // IGNORE takes what the strict modes refuse.
    let context = Context {
        is_strict: request.context.is_strict && !request.scan.facts.ignores_errors,
        ..*request.context
    };
    let request = &Request {
        context: &context,
        ..*request
    };
    let rows = Row {
        request,
        table,
        insert,
        first: NodeId::NONE,
        is_select: false,
    };
    let mut answer = Answer {
        leaves: LeafSet::empty(table.leaf_count()),
        certainty: Certainty::Exact,
    };
    match insert.rows {
        Rows::Select(first) => {
            let row = Row {
                first,
                is_select: true,
                ..rows
            };
            row.add_to(&mut answer);
        }
        Rows::Values(first) => {
            for node in tree.children(first) {
                let Expr::Row(first) = tree.get(node) else {
                    return Answer::unknown(table);
                };
                Row { first, ..rows }.add_to(&mut answer);
                if answer.leaves.is_all() && answer.certainty != Certainty::Exact {
                    break;
                }
            }
        }
    }
    answer
}

/// One row.
#[derive(Clone, Copy)]
struct Row<'a> {
    request: &'a Request<'a>,
    table: &'a Table,
    insert: &'a Insert,
    /// Its values.
    first: NodeId,
    /// Its values are the items of a query: what is no constant there changes from row to row.
    is_select: bool,
}

/// What a row has in a column.
enum Given<'a> {
    Value(Value<'a>),
    /// The column is left out, or DEFAULT stands there.
    Default,
    NotKnown,
}

impl<'a> Row<'a> {
    fn add_to(&self, answer: &mut Answer) {
        let domain = |column: &Column| match self.key(column) {
            Some(key) => Domain::Values(vec![key]),
            None => Domain::All,
        };
        let domains: Vec<_> = self.table.columns.iter().map(domain).collect();
        let spread = Spread::of_domains(self.table, self.request.context, &domains, false);
        let (leaves, IsExact(is_exact)) = spread.leaves(self.table);
        answer.leaves.unite(&leaves);
        if !is_exact {
            answer.certainty = Certainty::Superset;
        }
    }

    /// The value that the row will have in a key column.
    fn key(&self, column: &Column) -> Option<Key<'a>> {
        if !column.generated.is_empty() {
            return self.generated(column);
        }
        match self.given(&column.name, column.index) {
            Given::Value(value) => column.store(&value, self.request.context),
            Given::Default => self.default(column),
            Given::NotKnown => None,
        }
    }

    fn default(&self, column: &Column) -> Option<Key<'a>> {
        match &column.default {
            Default::Value(Key::Null) => column.store_null(self.request.context.is_strict),
            Default::Value(key) => Some(key.clone()),
            Default::Now => {
                let context = self.request.context;
                let moment = context.zone?.wall_clock(context.now_us?)?;
                column.store(&Value::DateTime(moment), context)
            }
            Default::Unknown => None,
        }
    }

    fn given(&self, name: &[u8], index: i32) -> Given<'a> {
        let Request {
            text,
            scan,
            context,
            ..
        } = *self.request;
        let place = match self.insert.columns {
            Some(columns) => {
                let is_it =
                    |n: &&crate::sql::Span| same_name(NameParts::of(n.of(text)).last(), name);
                let names = scan.names(columns);
                match names.iter().position(|n| is_it(&n)) {
                    Some(place) => place,
                    // `()` has no names, and VALUES () no values: all defaults.
                    None => return Given::Default,
                }
            }
            None => match usize::try_from(index) {
                Ok(place) => place,
                Err(_) => return Given::NotKnown,
            },
        };
        let Some(node) = scan.tree.children(self.first).nth(place) else {
            // `INSERT INTO t VALUES ()`
            return match self.first.is_none() && !self.is_select {
                true => Given::Default,
                false => Given::NotKnown,
            };
        };
        match scan.tree.get(node) {
            Expr::Default => return Given::Default,
            Expr::Call(call, _) if call.of(text).eq_ignore_ascii_case(b"default") => {
                return Given::NotKnown;
            }
            _ => {}
        }
        let source = Source {
            tree: &scan.tree,
            text,
            context,
            columns: None,
        };
        source.constant(node).map_or(Given::NotKnown, Given::Value)
    }

    /// The value of a generated column, from the row's other columns.
    fn generated(&self, column: &Column) -> Option<Key<'a>> {
        let formula = super::generated::formula(self.table, &column.name)?;
        let find = |name: &[u8]| {
            let name = NameParts::of(name).last();
            self.source(bare_name(name)).map(Value::into_owned)
        };
        let source = Source {
            tree: &formula.scan.tree,
            text: &formula.text,
            context: self.request.context,
            columns: Some(&find),
        };
        let value = source.constant(formula.root)?.into_owned();
        column.store(&value, self.request.context)
    }

    /// The value of a column that a generated one is computed from, as it will be stored.
    fn source(&self, name: &[u8]) -> Option<Value<'a>> {
        let context = self.request.context;
        let known = self.table.columns.iter().chain(&self.table.sources);
        let described = known.into_iter().find(|c| same_name(&c.name, name));
        let index = described.map_or(-1, |c| c.index);
        let value = match self.given(name, index) {
            Given::Value(value) => value,
            Given::Default | Given::NotKnown => return None,
        };
        let is_char = described.is_some_and(|c| c.kind == Kind::Char);
        if is_char && matches!(&value, Value::Text(bytes, _) if bytes.ends_with(b" ")) {
            // Whether the expression sees these blanks is not known.
            return None;
        }
        match described {
            Some(column) => column.value(&column.store(&value, context)?, context.zone),
            // Without its type, only what is the same in every type that would take it.
            None => matches!(value, Value::Null | Value::Int(_) | Value::Text(..)).then_some(value),
        }
    }
}
