//! Which table an alias of a plan stands for.

use super::catalog::{Catalog, Known, What};
use super::rewrite::Name;
use crate::kernel::Asked;
use sqlparser::ast::{ObjectName, Query, TableFactor, Visit, Visitor};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Longest text that is parsed.
const TEXT_MAX: usize = 64 << 10;
/// Depth of brackets and the like that is parsed: it is the depth of the stack, too.
const DEPTH_MAX: usize = 40;
/// Views inside views, and tables of one statement in all.
const FACTORS_MAX: usize = 256;

/// The tables that a text reads, each with its alias in lower case.
pub(super) type Factors = Vec<(String, Name)>;

/// The tables that a statement names; `None`: the parser does not understand it.
pub(super) fn factors(sql: &[u8]) -> Option<Factors> {
    if sql.len() > TEXT_MAX {
        return None;
    }
    let sql = String::from_utf8_lossy(sql);
    let parser = Parser::new(&MySqlDialect {}).with_recursion_limit(DEPTH_MAX);
    let mut parser = parser.try_with_sql(&sql).ok()?;
    let statement = parser.parse_statement().ok()?;
    let mut found = Found::default();
    let _ = statement.visit(&mut found);
    let Found { factors, ctes } = found;
    let is_cte = |name: &Name| name.database.is_none() && ctes.contains(&name.table.to_lowercase());
    Some(
        factors
            .into_iter()
            .filter(|(_, name)| !is_cte(name))
            .collect(),
    )
}

#[derive(Default)]
struct Found {
    factors: Factors,
    ctes: HashSet<String>,
}

impl Visitor for Found {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ctes.insert(cte.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor
            && let Some(name) = table(name)
        {
            let alias = alias.as_ref().map_or(&name.table, |a| &a.name.value);
            self.factors.push((alias.to_lowercase(), name));
        }
        ControlFlow::Continue(())
    }
}

fn table(name: &ObjectName) -> Option<Name> {
    let mut parts = name.0.iter().rev().filter_map(|part| part.as_ident());
    let table = parts.next()?.value.clone();
    let database = parts.next().map(|d| d.value.clone());
    Some(Name { database, table })
}

/// What aliases stand for, views resolved.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    known: HashMap<String, Vec<Arc<Known>>>,
    /// The statement reads views of the system, whose aliases are not known.
    pub(super) has_system_view: bool,
    /// The statement names tables that are somewhere.
    pub(super) has_table: bool,
}

/// What one alias stands for.
#[derive(Debug)]
pub(super) enum Alias {
    /// This table.
    Table(Arc<Known>),
    /// Several, and it cannot be told which.
    Several,
    /// Nothing that is named.
    Unknown,
}

impl Aliases {
    /// Looks up the tables that a statement names. `None`: a view's text is not understood.
    pub(super) async fn of(
        factors: &Factors,
        catalog: &Catalog,
        version: u64,
        database: &str,
    ) -> Asked<Option<Self>> {
        let mut aliases = Self::default();
        let mut todo: Vec<(String, Name)> = factors.clone();
        let mut done = 0;
        while let Some((alias, name)) = todo.pop() {
            done += 1;
            if done > FACTORS_MAX {
                return Ok(None);
            }
            let Some(known) = catalog.table(version, database, &name).await? else {
                continue;
            };
            match &known.what {
                What::View(None) => return Ok(None),
                What::View(Some(inner)) => todo.extend(inner.iter().cloned()),
                What::SystemView => aliases.has_system_view = true,
                What::Table | What::Virtual => {
                    aliases.has_table |= known.what == What::Table;
                    let list = aliases.known.entry(alias).or_default();
                    if list.iter().all(|k| k.table_id != known.table_id) {
                        list.push(known);
                    }
                }
            }
        }
        Ok(Some(aliases))
    }

    /// What an alias stands for.
    pub(super) fn find(&self, alias: &[u8]) -> Alias {
        let alias = String::from_utf8_lossy(alias).to_lowercase();
        match self.known.get(&alias).map(Vec::as_slice) {
            Some([one]) => Alias::Table(one.clone()),
            Some([_, ..]) => Alias::Several,
            _ => Alias::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> Option<String> {
        let mut each: Vec<String> = factors(sql.as_bytes())?
            .into_iter()
            .map(|(alias, n)| match n.database {
                Some(db) => format!("{alias}={db}.{}", n.table),
                None => format!("{alias}={}", n.table),
            })
            .collect();
        each.sort();
        Some(each.join(" "))
    }

    #[test]
    fn tables_are_found_with_their_aliases() {
        for (sql, want) in [
            ("select * from T a, db.u where 1", "a=T u=db.u"),
            ("select * from `t` as `B` partition (p0)", ""),
            ("select * from t partition (p0) where k=1", "t=t"),
            ("select /*+ x */ * from t where id=1 for update", "t=t"),
            ("update a x join b on x.i=b.i set x.v=1", "b=b x=a"),
            ("delete x from a x, b where x.i=b.i", "b=b x=a"),
            (
                "delete from a where i in (select i from c.d e)",
                "a=a e=c.d",
            ),
            (
                "with q as (select * from h) select * from q, q r, k",
                "h=h k=k",
            ),
            (
                "select 1 from a union select 2 from (select 3 from b) c",
                "a=a b=b",
            ),
            ("insert into t (a) select b from u v", "v=u"),
            ("select v.id from h `a b|c` where id = ?", "a b|c=h"),
        ] {
            let got = of(sql);
            assert!(
                want.is_empty() || got.as_deref() == Some(want),
                "{sql}: {got:?}"
            );
        }
    }

    #[test]
    fn what_is_not_understood_gives_nothing() {
        for sql in ["", "select", "select 'a", "select * from (((", "\u{1}"] {
            assert_eq!(of(sql), None, "{sql}");
        }
        let deep = format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000));
        assert_eq!(of(&deep), None);
        assert_eq!(factors(&vec![b' '; TEXT_MAX + 1]), None);
    }
}
