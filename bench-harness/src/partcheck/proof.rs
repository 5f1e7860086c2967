//! Rows that a server stored against answers that are narrower than its own.
//!
//! The server shows all leaves where it does not look at a condition. An answer of fewer leaves is
//! right only if no row outside of them satisfies the condition; the rows of the folder are the
//! ones that are known.

use super::tsv::Row;
use bigdecimal::BigDecimal;
use obring::sql::{Comparison, Expr, NameParts, NodeId, Scan, Syntax, bare_name};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

/// Rows of each table: the leaf, and the values of the key columns.
#[derive(Debug, Default)]
pub(super) struct Stored {
    rows: HashMap<String, Vec<(String, Json)>>,
}

/// What an expression is for a row; numbers only.
enum Found {
    Null,
    Number(BigDecimal),
}

/// What stored rows say of an answer.
#[derive(Debug)]
pub(super) enum Proof<'a> {
    /// This row satisfies the statement's conditions and is in none of the leaves.
    Refuted(&'a Json),
    /// There are rows in other leaves, and none of them satisfies the conditions.
    Upheld,
    /// There are none, or of some it is not known.
    Open,
}

impl Stored {
    /// Keeps the rows of one statement.
    pub(super) fn add(&mut self, row: &Row) {
        if row.number::<u32>("errno") != 0 {
            return;
        }
        let leaves = row.text("leaf").split(',');
        let Ok(Json::Array(stored)) = row.json("stored") else {
            return;
        };
        let rows = self.rows.entry(row.text("table").to_owned()).or_default();
        rows.extend(leaves.map(str::to_owned).zip(stored));
    }

    /// Holds the rows of the table that are in none of the leaves against the statement's
    /// conditions.
    pub(super) fn prove(
        &self,
        table: &str,
        (sql, syntax): (&str, Syntax),
        is_ours: impl Fn(&str) -> bool,
    ) -> Proof<'_> {
        let mut scan = Scan::default();
        scan.read(sql.as_bytes(), syntax, true);
        let (mut is_known, mut count) = (true, 0);
        let rows = self.rows.get(table).into_iter().flatten();
        for (_, row) in rows.filter(|(leaf, _)| !is_ours(leaf)) {
            let reader = Reader {
                scan: &scan,
                text: sql.as_bytes(),
                row,
            };
            let holds = scan.conditions.iter().map(|c| reader.holds(c.root));
            match all(holds, true) {
                Some(true) => return Proof::Refuted(row),
                Some(false) => {}
                None => is_known = false,
            }
            count += 1;
        }
        match is_known && count > 0 {
            true => Proof::Upheld,
            false => Proof::Open,
        }
    }
}

/// AND, or OR, of conditions that are known or not.
fn all(holds: impl Iterator<Item = Option<bool>>, is_and: bool) -> Option<bool> {
    let mut is_known = true;
    for holds in holds {
        match holds {
            Some(holds) if holds != is_and => return Some(holds),
            Some(_) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(is_and)
}

struct Reader<'a> {
    scan: &'a Scan,
    text: &'a [u8],
    row: &'a Json,
}

impl Reader<'_> {
    /// True, or false, which includes NULL; `None`: not known.
    fn holds(&self, node: NodeId) -> Option<bool> {
        let tree = &self.scan.tree;
        match tree.get(node) {
            Expr::And(first) => self.all(first, true),
            Expr::Or(first) => self.all(first, false),
            Expr::IsNull(inner) => Some(matches!(self.value(inner)?, Found::Null)),
            Expr::Compare(op, first) => {
                let [a, b] = tree.exactly(first)?;
                self.compares(op, a, b)
            }
            Expr::Between(first) => {
                let [value, low, high] = tree.exactly(first)?;
                let is_low = self.compares(Comparison::GreaterEqual, value, low)?;
                Some(is_low && self.compares(Comparison::LessEqual, value, high)?)
            }
            Expr::In(first) => {
                let mut is_known = true;
                for item in tree.children(tree.next(first)) {
                    match self.compares(Comparison::Equal, first, item) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => is_known = false,
                    }
                }
                is_known.then_some(false)
            }
            _ => None,
        }
    }

    fn all(&self, first: NodeId, is_and: bool) -> Option<bool> {
        let nodes = self.scan.tree.children(first);
        all(nodes.map(|node| self.holds(node)), is_and)
    }

    fn compares(&self, op: Comparison, a: NodeId, b: NodeId) -> Option<bool> {
        let order = match (self.value(a)?, self.value(b)?) {
            (Found::Number(a), Found::Number(b)) => a.cmp(&b),
            (Found::Null, Found::Null) if op == Comparison::NullSafe => Ordering::Equal,
            _ => return Some(false),
        };
        Some(match op {
            Comparison::Equal | Comparison::NullSafe => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterEqual => order.is_ge(),
        })
    }

    fn value(&self, node: NodeId) -> Option<Found> {
        let number = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok()?.trim();
            BigDecimal::from_str(text).ok().map(Found::Number)
        };
        match self.scan.tree.get(node) {
            Expr::Null => Some(Found::Null),
            Expr::True => number(b"1"),
            Expr::False => number(b"0"),
            Expr::Int(span) | Expr::Decimal(span) | Expr::Float(span) => number(span.of(self.text)),
            Expr::Text(span) => number(span.of(self.text).strip_prefix(b"'")?.strip_suffix(b"'")?),
            Expr::Negate(inner) => match self.value(inner)? {
                Found::Number(n) => Some(Found::Number(-n)),
                Found::Null => Some(Found::Null),
            },
            Expr::Column(span) => {
                let name = bare_name(NameParts::of(span.of(self.text)).last());
                let name = String::from_utf8_lossy(name).to_lowercase();
                match self.row.get(&name)? {
                    Json::Null => Some(Found::Null),
                    Json::String(text) => number(text.as_bytes()),
                    Json::Number(n) => number(n.to_string().as_bytes()),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_row_refutes_an_answer_that_leaves_it_out() {
        let mut stored = Stored::default();
        let values = [
            ("table", "t"),
            ("errno", "0"),
            ("leaf", "1,2"),
            ("stored", r#"[{"k":"5.00"},{"k":null}]"#),
        ];
        let names: Vec<_> = values.iter().map(|v| v.0).collect();
        stored.add(&Row::of(
            &names,
            values.map(|v| Some(v.1.to_owned())).to_vec(),
        ));
        for (condition, leaves, wanted) in [
            ("k = 5", "1", "upheld"),
            ("k = 5", "0", "refuted"),
            ("k = 6", "0", "upheld"),
            ("k = 6", "1,2", "open"),
            ("k in (4, '5.0')", "2", "refuted"),
            ("k between 1 and 9 and pad = 'x'", "2", "open"),
            ("k between 1 and 4 and pad = 'x'", "2", "upheld"),
            ("k is null", "1", "refuted"),
            ("k <=> null or k > 7", "2", "upheld"),
            ("k = f(5)", "0", "open"),
            ("not k <> 5", "0", "open"),
            ("\"k\" = 5", "0", "refuted"),
        ] {
            let sql = format!("select * from t where {condition}");
            let syntax = Syntax {
                ansi_quotes: true,
                ..Syntax::default()
            };
            let is_ours = |leaf: &str| leaves.split(',').any(|l| l == leaf);
            let found = match stored.prove("t", (&sql, syntax), is_ours) {
                Proof::Refuted(_) => "refuted",
                Proof::Upheld => "upheld",
                Proof::Open => "open",
            };
            assert_eq!(found, wanted, "{condition}");
        }
    }
}
