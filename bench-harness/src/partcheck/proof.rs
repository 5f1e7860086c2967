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

    /// A row of the table that satisfies the statement's conditions and is in none of the leaves.
    pub(super) fn refuting(
        &self,
        table: &str,
        sql: &str,
        is_ours: impl Fn(&str) -> bool,
    ) -> Option<&Json> {
        let mut scan = Scan::default();
        scan.read(sql.as_bytes(), Syntax::default(), true);
        let rows = self.rows.get(table)?.iter();
        let outside = rows.filter(|(leaf, _)| !is_ours(leaf));
        let satisfies = |row: &Json| {
            let reader = Reader {
                scan: &scan,
                text: sql.as_bytes(),
                row,
            };
            let roots = scan.conditions.iter().map(|c| c.root);
            roots
                .into_iter()
                .all(|root| reader.holds(root) == Some(true))
        };
        outside.map(|(_, row)| row).find(|row| satisfies(row))
    }
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
        let mut is_known = true;
        for node in self.scan.tree.children(first) {
            match self.holds(node) {
                Some(holds) if holds != is_and => return Some(holds),
                Some(_) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(is_and)
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
        for (condition, leaf, is_refuted) in [
            ("k = 5", "1", false),
            ("k = 5", "0", true),
            ("k = 6", "0", false),
            ("k in (4, '5.0')", "2", true),
            ("k between 1 and 9 and pad = 'x'", "2", false),
            ("k is null", "1", true),
            ("k <=> null or k > 7", "2", false),
            ("k = f(5)", "0", false),
        ] {
            let sql = format!("select * from t where {condition}");
            let found = stored.refuting("t", &sql, |l| l == leaf);
            assert_eq!(found.is_some(), is_refuted, "{condition}");
        }
    }
}
