//! Rows of INSERT and REPLACE (routing.md 4.7, 4.8).

use super::answer::{Answer, Certainty, Request};
use super::choose::IsExact;
use super::column::{Column, Default, Kind};
use super::constant::Source;
use super::domain::Domain;
use super::leaves::LeafSet;
use super::session::Context;
use super::solve::{Reach, Spread, WORK_MAX};
use super::table::Table;
use super::value::{Key, Value};
use crate::sql::{Expr, Insert, NameParts, NodeId, Rows, bare_name, is_plain_name, same_name};

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
            let mut work = 0;
            for node in tree.children(first) {
                let Expr::Row(first) = tree.get(node) else {
                    return Answer::unknown(table);
                };
                work += Row { first, ..rows }.add_to(&mut answer);
                if work > WORK_MAX {
                    return Answer::unknown(table);
                }
                if answer.certainty != Certainty::Exact && answer.leaves.is_all() {
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
    /// Adds its leaves; gives how many partitions were looked at for them.
    fn add_to(&self, answer: &mut Answer) -> u64 {
        let domain = |column: &Column| match self.key(column) {
            Some(key) => Domain::Values(vec![key]),
            None => Domain::All,
        };
        let domains: Vec<_> = self.table.columns.iter().map(domain).collect();
        let spread = Spread::of_domains(
            self.table,
            self.request.context,
            &domains,
            false,
            Reach::Left,
        );
        let parts = spread.parts();
        let (leaves, IsExact(is_exact)) = spread.leaves(self.table);
        answer.leaves.unite(&leaves);
        if !is_exact {
            answer.certainty = Certainty::Superset;
        }
        parts
    }

    /// The value that the row will have in a key column.
    fn key(&self, column: &Column) -> Option<Key<'a>> {
        if !column.generated.is_empty() {
            return self.generated(column);
        }
        let key = match self.given(&column.name, column.index) {
            Given::Value(value) => column.store(&value, self.request.context),
            Given::Default => self.default(column),
            Given::NotKnown => None,
        };
        key.filter(|key| !column.is_replaced(key))
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
                let names = scan.names(columns).iter();
                let mut names = names.map(|n| NameParts::of(n.of(text)).last());
                match names.clone().position(|n| same_name(n, name)) {
                    Some(place) => place,
                    // One of the names may be this one in another spelling.
                    None if !is_plain_name(name) || !names.all(is_plain_name) => {
                        return Given::NotKnown;
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{KeyRow, Layout, PartRow, Product};
    use crate::sql::{Scan, Syntax};

    const PARTS: u32 = 16;

    /// A table by KEY of one column, not in a primary key.
    fn by_key(name: &[u8], type_number: u32) -> Table {
        let key = KeyRow {
            level: 1,
            name,
            type_number,
            index: 0,
            rowkey_index: -1,
            collation: 45,
            extra: b"",
            length: 20,
            precision: 10,
            scale: 0,
            default: None,
        };
        let part = |n: u32| PartRow {
            part_id: n.into(),
            name: b"p",
            tablet: n.into(),
            bound: b"",
        };
        let layout = Layout {
            part_type: 1,
            part_expr: name,
            sub: None,
        };
        let parts: Vec<_> = (0..PARTS).map(part).collect();
        Table::new(&layout, &[key], &parts, &[], Product::OceanBase).expect("a table")
    }

    fn found(table: &Table, text: &str, is_strict: bool) -> Vec<u32> {
        let mut scan = Scan::default();
        scan.read(text.as_bytes(), Syntax::default(), true);
        let context = Context {
            is_strict,
            ..Context::default()
        };
        let request = Request {
            text: text.as_bytes(),
            scan: &scan,
            tables: &[Some(table)],
            context: &context,
        };
        let answer = crate::partition::leaves(&request, 0).expect("an answer");
        answer.leaves.iter().collect()
    }

    /// The leaf of the only key.
    fn leaf_of(table: &Table, key: &Key<'_>) -> Vec<u32> {
        let hash = table.columns[0].hash(key, 0).expect("a hash");
        let hash = hash.cast_signed().unsigned_abs();
        vec![(hash % u64::from(PARTS)) as u32]
    }

    #[test]
    fn a_value_that_the_server_makes_is_not_known() {
        let all: Vec<u32> = (0..PARTS).collect();
        let (mut auto, mut plain) = (by_key(b"k", 5), by_key(b"k", 5));
        let open = plain.clone();
        auto.declare(b"k", "bigint not null AUTO_INCREMENT comment 'a'", 63);
        plain.declare(b"k", "bigint comment 'auto_increment'", 63);
        for (values, made, key) in [
            ("values (7, 1)", false, Key::Int(7)),
            ("values (0, 1)", true, Key::Int(0)),
            ("values ('0', 1)", true, Key::Int(0)),
            ("values (-0.4, 1)", true, Key::Int(0)),
            ("values (0e0, 1)", true, Key::Int(0)),
            ("values (false, 1)", true, Key::Int(0)),
            ("values (null, 1)", true, Key::Null),
            ("values (default, 1)", true, Key::Null),
            ("(v) values (1)", true, Key::Null),
            ("() values ()", true, Key::Null),
            ("set v = 1", true, Key::Null),
            ("select 0, v from u", true, Key::Int(0)),
        ] {
            for verb in ["insert into", "replace into"] {
                let text = format!("{verb} t {values}");
                let own = leaf_of(&plain, &key);
                let wide = if made { all.clone() } else { own.clone() };
                assert_eq!(found(&auto, &text, true), wide, "{text}");
                assert_eq!(found(&open, &text, true), wide, "{text}, not declared");
                assert_eq!(found(&plain, &text, true), own, "{text}");
            }
        }
    }

    #[test]
    fn null_is_what_the_column_stores_of_it() {
        let all: Vec<u32> = (0..PARTS).collect();
        let open = by_key(b"k", 4);
        let mut bound = open.clone();
        bound.declare(b"k", "int not null", 63);
        let zero = leaf_of(&bound, &Key::Int(0));
        for (text, is_strict) in [
            ("insert ignore into t values (null, 1)", true),
            ("insert into t (v) values (1)", false),
            ("insert into t values (null, 1), (null, 2)", false),
        ] {
            assert_eq!(found(&bound, text, is_strict), zero, "{text}");
            assert_eq!(found(&open, text, is_strict), all, "{text}");
        }
        // Observed on seekdb 1.3.0: left out, an ENUM is its first member in strict modes too.
        let open = by_key(b"k", 32);
        assert_eq!(found(&open, "insert into t (v) values (1)", true), all);
    }

    #[test]
    fn text_that_is_cut_at_a_byte_that_is_no_character_is_not_known() {
        let all: Vec<u32> = (0..PARTS).collect();
        let mut table = by_key(b"k", 22);
        table.declare(b"k", "varchar(20)", 45);
        let ab = leaf_of(&table, &Key::Bytes(b"ab".into()));
        for (value, wanted) in [
            ("x'6162'", &ab),
            ("'ab'", &ab),
            ("_binary'ab'", &ab),
            ("x'6162e9'", &all),
            ("concat(x'6162e9')", &all),
        ] {
            let text = format!("insert ignore into t values ({value}, 1)");
            assert_eq!(found(&table, &text, true), *wanted, "{text}");
        }
    }

    #[test]
    fn a_column_may_be_named_in_another_spelling() {
        let all: Vec<u32> = (0..PARTS).collect();
        for (name, listed, is_known) in [
            ("k", "v, K", true),
            ("k", "v, `k`", true),
            ("k", "v, t . k", true),
            ("k", "v, `t`./*c*/`k`", false),
            ("ключ", "v, `ключ`", true),
            ("ключ", "v, КЛЮЧ", false),
            ("é", "v, e", false),
            ("a`b", "v, `a``b`", false),
        ] {
            let mut table = by_key(name.as_bytes(), 4);
            table.declare(name.as_bytes(), "int", 63);
            let text = format!("insert into t ({listed}) values (1, 5)");
            let own = match is_known {
                true => leaf_of(&table, &Key::Int(5)),
                false => all.clone(),
            };
            assert_eq!(found(&table, &text, true), own, "{name}: {text}");
        }
        let mut table = by_key(b"k", 4);
        table.declare(b"k", "int", 63);
        let null = leaf_of(&table, &Key::Null);
        assert_eq!(found(&table, "insert into t (v) values (1)", true), null);
    }
}
