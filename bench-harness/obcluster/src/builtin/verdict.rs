//! What a statement touches, said by the engine itself: a row is in leaf `|id| mod n`.

use super::data::Layout;
use super::parse::parse;
use super::prepared::parameters;
use super::statement::{Expr, Filter, Statement};
use super::table::{Shape, Table};
use crate::verdict::{Reason, Touched, Verdict, VerdictKind};
use obring_wire::base::Cursor;
use std::collections::{BTreeSet, HashMap};

/// What the body of a COM_STMT_EXECUTE binds, and the types that earlier ones have bound.
#[derive(Debug)]
pub struct Bound<'a> {
    /// What stands behind the command byte.
    pub body: &'a [u8],
    /// Types of parameters, kept between executions.
    pub types: &'a mut Vec<u16>,
}

/// Bytes of COM_STMT_EXECUTE in front of the parameters: id, flags, iterations.
const EXECUTE_HEAD: usize = 9;

/// What a statement touches in a session with this current database. `bound` is there for an
/// execution of a prepared one. Of several statements the first one counts. Leaders are left out.
#[must_use]
pub fn verdict(layout: &Layout, database: &str, text: &[u8], bound: Option<Bound<'_>>) -> Verdict {
    let Ok(Some(parsed)) = parse(text, 0) else {
        return Verdict::not_judged(Reason::Fails);
    };
    let Some(name) = parsed.statement.table() else {
        return Verdict::without_tables(VerdictKind::NoTable, Some(Reason::Verb));
    };
    let database = name.database.as_deref().unwrap_or(database);
    let tables = layout.tables();
    let is_here = database.eq_ignore_ascii_case(&layout.database);
    let mut found = tables.iter().filter(|_| is_here);
    let Some(table) = found.find(|t| t.name.eq_ignore_ascii_case(&name.name)) else {
        return Verdict::not_judged(Reason::Fails);
    };
    let mut values = vec![];
    if let Some(Bound { body, types }) = bound {
        let mut c = Cursor::new(body.get(EXECUTE_HEAD..).unwrap_or_default());
        match parameters(&mut c, parsed.parameters, types, &HashMap::new()) {
            Ok(bound) => values = bound,
            Err(_) => return Verdict::unknown(Reason::Parameter),
        }
    }
    let (kind, leaves) = match touched(table, &parsed.statement, &values) {
        Ok(touched) => touched,
        Err(reason) => return Verdict::unknown(reason),
    };
    let tablets = table.tablets();
    let tablet = |leaf: &u32| tablets.get(*leaf as usize).copied().unwrap_or(0);
    Verdict {
        kind,
        reason: None,
        tables: vec![Touched {
            db: layout.database.to_lowercase(),
            table: table.name.clone(),
            table_id: table.id,
            tablets: leaves.iter().map(tablet).collect(),
            leaves,
            leaders: vec![],
        }],
    }
}

/// The leaves, and how much that is.
fn touched(
    table: &Table,
    statement: &Statement,
    values: &[Expr],
) -> Result<(VerdictKind, Vec<u32>), Reason> {
    let n = table.partitions;
    if n == 0 {
        return Ok((VerdictKind::Exact, vec![0]));
    }
    let all = || (VerdictKind::Superset, (0..n).collect());
    let id = |expr: &Expr| -> Result<Option<i64>, Reason> {
        let expr = match expr {
            Expr::Parameter(at) => values.get(*at).ok_or(Reason::Parameter)?,
            other => other,
        };
        match expr {
            Expr::Int(id) => Ok(Some(*id)),
            Expr::Text(text) => {
                let digits = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                digits.map(Some).ok_or(Reason::Parameter)
            }
            Expr::Null => Ok(None),
            Expr::Decimal(_) | Expr::Parameter(_) => Err(Reason::Parameter),
        }
    };
    let mut leaves = BTreeSet::new();
    let filter = match statement {
        Statement::Select(select) => &select.filter,
        Statement::Update { filter, .. } | Statement::Delete { filter, .. } => filter,
        Statement::Insert { columns, rows, .. } => {
            let names = columns.as_ref();
            let place = match names {
                None => Some(0),
                Some(names) => names.iter().position(|n| n.eq_ignore_ascii_case("id")),
            };
            for row in rows {
                let key = place.and_then(|p| row.get(p)).map_or(Ok(None), id)?;
                match key {
                    Some(0) | None if table.shape == Shape::Sbtest => return Err(Reason::Default),
                    None => return Err(Reason::Default),
                    Some(key) => leaves.insert(table.leaf(key)),
                };
            }
            return Ok((exactly(&leaves, n), leaves.into_iter().collect()));
        }
        _ => return Err(Reason::LoadData),
    };
    match filter {
        Filter::All => return Ok(all()),
        Filter::Ids(ids) => {
            for expr in ids {
                leaves.extend(id(expr)?.map(|id| table.leaf(id)));
            }
        }
        Filter::Between(from, to) => {
            let (Some(from), Some(to)) = (id(from)?, id(to)?) else {
                return Ok((VerdictKind::Nothing, vec![0]));
            };
            if to.saturating_sub(from) >= i64::from(n) {
                return Ok(all());
            }
            leaves.extend((from..=to).map(|id| table.leaf(id)));
        }
    }
    if leaves.is_empty() {
        return Ok((VerdictKind::Nothing, vec![0]));
    }
    Ok((exactly(&leaves, n), leaves.into_iter().collect()))
}

/// All leaves of several are the most that it can be.
fn exactly(leaves: &BTreeSet<u32>, n: u32) -> VerdictKind {
    if n > 1 && leaves.len() == n as usize {
        VerdictKind::Superset
    } else {
        VerdictKind::Exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> (VerdictKind, Vec<u32>) {
        let layout = Layout::default();
        let verdict = verdict(&layout, "test", sql.as_bytes(), None);
        let leaves = verdict.tables.first().map(|t| t.leaves.clone());
        (verdict.kind, leaves.unwrap_or_default())
    }

    #[test]
    fn a_row_is_in_the_leaf_of_its_id() {
        use VerdictKind::{Exact, NoTable, NotJudged, Nothing, Superset};
        assert_eq!(of("select v from kv where id=17"), (Exact, vec![1]));
        assert_eq!(of("update kv set v='x' where id=-17"), (Exact, vec![1]));
        assert_eq!(
            of("select v from kv where id in (1, 17, 2)"),
            (Exact, vec![1, 2])
        );
        assert_eq!(
            of("delete from kv where id between 15 and 17"),
            (Exact, vec![0, 1, 15])
        );
        assert_eq!(of("select v from kv").0, Superset);
        assert_eq!(
            of("insert into kv values (3,'a'),(4,'b')"),
            (Exact, vec![3, 4])
        );
        assert_eq!(of("select k from sbtest1 where id=5"), (Exact, vec![0]));
        assert_eq!(of("select v from kv where id=null").0, Nothing);
        assert_eq!(of("select v from nosuch where id=1").0, NotJudged);
        assert_eq!(of("selekt").0, NotJudged);
        assert_eq!(of("begin").0, NoTable);
    }

    #[test]
    fn a_prepared_statement_is_where_its_parameter_says() {
        let layout = Layout::default();
        let mut types = vec![];
        let text = b"select v from kv where id=?";
        let mut ask = |body: &[u8]| {
            let bound = Bound {
                body,
                types: &mut types,
            };
            verdict(&layout, "test", text, Some(bound)).tables
        };
        let first = ask(b"\x01\0\0\0\0\x01\0\0\0\0\x01\x08\0\x13\0\0\0\0\0\0\0");
        assert_eq!(first[0].leaves, [3]);
        // The types are those of before.
        let second = ask(b"\x01\0\0\0\0\x01\0\0\0\0\0\x14\0\0\0\0\0\0\0");
        assert_eq!(second[0].leaves, [4]);
        assert!(ask(b"\x01\0").is_empty());
    }
}
