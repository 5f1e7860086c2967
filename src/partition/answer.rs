//! The question of this module, and its answer.

use super::leaves::LeafSet;
use super::session::Context;
use super::table::Table;
use crate::sql::{Origin, Scan, is_plain_name};

/// A statement and the tables it names.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The statement.
    pub text: &'a [u8],
    /// What a scan of it found.
    pub scan: &'a Scan,
    /// For each of the scan's tables its description, if it has one.
    pub tables: &'a [Option<&'a Table>],
    /// The session.
    pub context: &'a Context<'a>,
}

/// How much an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Certainty {
    /// The conditions on the key were all understood: these leaves, no others.
    Exact,
    /// These leaves or fewer.
    Superset,
    /// Nothing is known: all leaves.
    Unknown,
}

/// The leaves of one table that a statement touches. Rows that it touches are in no other leaf.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Numbers of leaves: places in [`Table::leaves`].
    pub leaves: LeafSet,
    /// How much it says.
    pub certainty: Certainty,
}

impl Answer {
    /// Nothing is known.
    #[must_use]
    pub fn unknown(table: &Table) -> Self {
        Self {
            leaves: LeafSet::all(table.leaf_count()),
            certainty: Certainty::Unknown,
        }
    }
}

/// The leaves that a statement touches of one of its tables, by the table's index in the scan.
/// `None` if there is no description of it.
#[must_use]
pub fn leaves(request: &Request<'_>, index: usize) -> Option<Answer> {
    let table = (*request.tables.get(index)?)?;
    if let Some(key) = &table.hash_key
        && let Some(leaf) = super::quick::leaf(request.text, request.scan, key)
    {
        let mut leaves = LeafSet::empty(table.leaf_count());
        if let Some(leaf) = leaf {
            leaves.add(leaf);
        }
        return Some(Answer {
            leaves,
            certainty: Certainty::Exact,
        });
    }
    general(request, table, index)
}

/// The leaf, if a statement that names this one table touches just one of it; `None` if [`leaves`]
/// says anything else. The most frequent question, in short.
#[inline(always)]
#[must_use]
pub fn only_leaf(text: &[u8], scan: &Scan, context: &Context<'_>, table: &Table) -> Option<u32> {
    if let Some(key) = &table.hash_key
        && let Some(leaf) = super::quick::leaf(text, scan, key)
    {
        return leaf;
    }
    only_leaf_in_general(text, scan, context, table)
}

#[inline(never)]
fn only_leaf_in_general(
    text: &[u8],
    scan: &Scan,
    context: &Context<'_>,
    table: &Table,
) -> Option<u32> {
    let request = Request {
        text,
        scan,
        tables: &[Some(table)],
        context,
    };
    general(&request, table, 0)?.leaves.only()
}

/// The same, by the general way; apart, so that the short one saves few registers.
#[inline(never)]
fn general(request: &Request<'_>, table: &Table, index: usize) -> Option<Answer> {
    let scanned = request.scan.tables.get(index)?;
    let scan = request.scan;
    if !scan.is_whole() || scanned.origin == Origin::Derived || scanned.is_remote {
        return Some(Answer::unknown(table));
    }
    let is_target = index == 0 && scan.verb.is_insert();
    let mut answer = match (scan.insert, is_target) {
        (Some(insert), true) => super::insert::leaves(request, table, &insert),
        (None, true) => Answer::unknown(table),
        _ => super::solve::leaves(request, table, index),
    };
    if scanned.partitions.0 != scanned.partitions.1 {
        let named = scan.names(scanned.partitions);
        let mut allowed = LeafSet::empty(table.leaf_count());
        for name in named {
            let name = name.of(request.text);
            if !is_plain_name(name) && table.named(name).next().is_none() {
                // It may be one of them in another spelling.
                allowed = LeafSet::all(table.leaf_count());
            }
            table.named(name).for_each(|leaf| allowed.add(leaf));
        }
        // With a name that is not there the statement fails, on any server.
        answer.leaves.intersect(&allowed);
        if answer.certainty == Certainty::Unknown {
            answer.certainty = Certainty::Superset;
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::super::choose::work;
    use super::super::solve::WORK_MAX;
    use super::*;
    use crate::partition::{KeyRow, Layout, PartRow, Product};

    fn found(table: &Table, text: &str, context: &Context<'_>) -> Vec<u32> {
        let mut scan = Scan::default();
        scan.read(text.as_bytes(), context.syntax, true);
        let request = Request {
            text: text.as_bytes(),
            scan: &scan,
            tables: &[Some(table)],
            context,
        };
        let answer = super::leaves(&request, 0).expect("an answer");
        answer.leaves.iter().collect()
    }

    #[test]
    fn a_partition_may_be_named_in_another_spelling() {
        let names = ["p0", "Ключ", "a`b"].map(str::as_bytes);
        let table = Table::by_hash(b"k", names.into_iter().zip(0..));
        for (named, leaves) in [
            ("P0", vec![0]),
            ("p9", vec![]),
            ("`Ключ`", vec![1]),
            ("`кЛЮЧ`", vec![0, 1, 2]),
            ("`a``b`", vec![0, 1, 2]),
            ("p0, `Ключ`", vec![0, 1]),
        ] {
            let text = format!("select * from t partition ({named})");
            assert_eq!(found(&table, &text, &Context::default()), leaves, "{text}");
        }
    }

    #[test]
    fn not_may_stand_in_front_of_the_column_alone() {
        let table = Table::by_hash(b"k", (0..8).map(|n| (&b"p"[..], n)));
        let plain = Context::default();
        let high = Context {
            high_not_precedence: true,
            ..plain
        };
        let all: Vec<u32> = (0..8).collect();
        for (condition, low) in [
            ("not k <> 5", vec![5]),
            ("not not k = 5", vec![5]),
            ("k = 1 and not 5 <> 5", vec![1]),
            ("not 1 = 5", all.clone()),
            ("not 2 = 2", vec![]),
        ] {
            let text = format!("select * from t where {condition}");
            assert_eq!(found(&table, &text, &plain), low, "{text}");
            let wide = if low.contains(&1) { low } else { all.clone() };
            assert_eq!(found(&table, &text, &high), wide, "{text}");
        }
    }

    #[test]
    fn the_number_made_last_may_be_null() {
        let mut table = Table::by_hash(b"k", (0..8).map(|n| (&b"p"[..], n)));
        let text = "select * from t where k is null";
        assert!(found(&table, text, &Context::default()).is_empty());
        let all: Vec<u32> = (0..8).collect();
        for is_auto in [None, Some(true)] {
            table.columns[0].is_auto = is_auto;
            assert_eq!(found(&table, text, &Context::default()), all);
        }
    }

    #[test]
    fn a_hexadecimal_literal_beside_text_is_bytes() {
        let table = Table::by_hash(b"k", (0..8).map(|n| (&b"p"[..], n)));
        for (condition, leaves) in [
            ("k = 3 and 0x35 = '5'", vec![3]),
            ("k = 3 and 0x35 = '53'", vec![]),
            ("k = 3 and 0x35 = 53", vec![3]),
            ("k = 0x0b", vec![3]),
        ] {
            let text = format!("select * from t where {condition}");
            assert_eq!(found(&table, &text, &Context::default()), leaves, "{text}");
        }
    }

    /// A table of two levels by HASH, or of one by LIST of one value for each partition.
    fn large(parts: u32, subs: u32) -> Table {
        let key = |level: u32, name: &'static [u8]| KeyRow {
            level,
            name,
            type_number: 5,
            index: level as i32 - 1,
            rowkey_index: 0,
            collation: 63,
            extra: b"",
            length: -1,
            precision: 20,
            scale: 0,
            default: None,
        };
        let bounds: Vec<_> = (0..parts)
            .map(|n| vec![1, 5, 5, 63, 0, n as u8 | 0x80, (n >> 7) as u8, 0])
            .collect();
        let part = |id: u32, bound| PartRow {
            part_id: id.into(),
            name: b"p",
            tablet: 1,
            bound,
        };
        let layout = Layout {
            part_type: if subs == 0 { 5 } else { 0 },
            part_expr: b"a",
            sub: (subs > 0).then_some((0, b"b")),
        };
        let (keys, first): (_, Vec<_>) = match subs {
            0 => (
                vec![key(1, b"a")],
                (0..).zip(&bounds).map(|(id, b)| part(id, b)).collect(),
            ),
            _ => (
                vec![key(1, b"a"), key(2, b"b")],
                (0..parts).map(|id| part(id, b"")).collect(),
            ),
        };
        let second = (0..parts).flat_map(|id| (0..subs).map(move |_| part(id, b"")));
        let second: Vec<_> = second.collect();
        let table = Table::new(&layout, &keys, &first, &second, Product::OceanBase);
        let mut table = table.expect("a table");
        for name in [b"a", b"b"] {
            table.declare(name, "bigint", 63);
        }
        table
    }

    #[test]
    fn work_grows_with_the_statement_and_not_with_the_table() {
        let (hashed, listed) = (large(2_048, 4), large(2_048, 0));
        let rows = |n: u32| (1..=n).map(|i| format!("({i},{i})")).collect::<Vec<_>>();
        for n in [10, 1_000] {
            let rows = rows(n);
            let inserted = format!("insert into t (a,b) values {}", rows.join(","));
            let chosen = format!("select 1 from t where (a,b) in ({})", rows.join(","));
            let ored: Vec<_> = (1..=n).map(|i| format!("a={i} and b=1")).collect();
            let ored = format!("select 1 from t where {}", ored.join(" or "));
            let in_list: Vec<_> = (1..=n).map(|i| i.to_string()).collect();
            let in_list = format!("select 1 from t where a in ({})", in_list.join(","));
            for (table, text, each) in [
                (&hashed, &inserted, 2),
                (&hashed, &chosen, 2),
                (&hashed, &ored, 2),
                // A search in 2,048 rows, and the choice.
                (&listed, &inserted, 12 + 1),
                (&listed, &in_list, 12),
            ] {
                work::taken();
                let leaves = found(table, text, &Context::default());
                assert_eq!(leaves.len(), n as usize, "{}", &text[..60]);
                assert!(work::taken() <= u64::from(n * each + 1), "{}", &text[..60]);
            }
            let wanted: Vec<_> = (1..=n).map(|i| i * 4 + i % 4).collect();
            assert_eq!(found(&hashed, &inserted, &Context::default()), wanted);
            assert_eq!(found(&hashed, &chosen, &Context::default()), wanted);
        }
    }

    #[test]
    fn lists_that_are_multiplied_with_each_other_are_not_looked_at() {
        let table = large(4, 4);
        let list: Vec<_> = (0..4_000).map(|i| i.to_string()).collect();
        let ored: Vec<_> = (0..4_000).map(|i| format!("b = {i} and c = 1")).collect();
        let text = format!(
            "select 1 from t where a in ({}) and ({})",
            list.join(","),
            ored.join(" or ")
        );
        let all: Vec<u32> = (0..16).collect();
        work::taken();
        assert_eq!(found(&table, &text, &Context::default()), all);
        assert!(work::taken() <= 2 * WORK_MAX / 4_000);
    }
}
