//! The verdict on INSERT and REPLACE: EXPLAIN names no leaves for VALUES, but it does for each row
//! as a SELECT.

use super::case::{Bound, Case, Found, Problem, Tables};
use super::catalog::{Known, What};
use super::plan::Line;
use super::rewrite::{Columns, Insert, ROWS_MAX, Row, Source};
use super::text::Text;
use crate::verdict::{Reason, Verdict};
use std::ops::Range;
use std::sync::Arc;

impl Case<'_, '_> {
    /// The verdict on an INSERT or REPLACE.
    pub(super) async fn insert(&mut self) -> Found<Verdict> {
        let sql = self.text.bytes;
        let Some(insert) = Insert::read(self.text) else {
            self.lines(sql, None).await?;
            return Err(Problem::Unknown(Reason::Rewrite));
        };
        let known = self.table(&insert.target).await?;
        let known = match known.as_ref().map(|k| &k.what) {
            Some(What::Table) => known,
            // A view, or a table that is not there or nowhere: EXPLAIN may have its reasons.
            _ => None,
        };
        let mut tables = Tables::default();
        let rows = match (&known, &insert.source) {
            (Some(known), Source::Rows(rows)) if known.is_partitioned => rows,
            (known, _) => {
                let lines = self.lines(sql, None).await?;
                let known = known.as_ref().ok_or(Problem::Unknown(Reason::Name))?;
                if known.is_partitioned {
                    return Err(Problem::Unknown(Reason::InsertSelect));
                }
                tables.add_target(known, &[0]);
                self.add(&mut tables, &lines, sql, None).await?;
                return Ok(tables.verdict());
            }
        };
        let known = known.ok_or(Problem::Unknown(Reason::Name))?;
        if let Err(problem) = self.rows(&insert, &known, rows, &mut tables).await {
            // What fails is not judged, whatever else there is to say.
            if problem != Problem::Unknown(Reason::Judge) {
                self.lines(sql, None).await?;
            }
            return Err(match problem {
                // The row as a SELECT fails where the statement does not.
                Problem::Fails => Problem::Unknown(Reason::Rewrite),
                unknown => unknown,
            });
        }
        Ok(tables.verdict())
    }

    async fn rows(
        &mut self,
        insert: &Insert,
        known: &Arc<Known>,
        rows: &[Vec<Range<usize>>],
        tables: &mut Tables,
    ) -> Found<()> {
        if insert.has_query_behind {
            return Err(Problem::Unknown(Reason::Rewrite));
        }
        if rows.len() > ROWS_MAX {
            return Err(Problem::Unknown(Reason::Rows));
        }
        let catalog = &self.court.catalog;
        let detail = catalog.detail(self.version, known).await?;
        let columns = Columns {
            all: &detail.columns,
            keys: &detail.keys,
            moments: &detail.moments,
            has_generated_key: detail.has_generated_key,
        };
        for values in rows {
            let row = insert.row(self.text, values, &columns);
            let row = row.map_err(Problem::Unknown)?;
            if row.moments.iter().any(|mark| self.has_fraction(*mark)) {
                return Err(Problem::Unknown(Reason::Fraction));
            }
            self.row(&row, known, tables).await?;
        }
        Ok(())
    }

    async fn row(&mut self, row: &Row, known: &Arc<Known>, tables: &mut Tables) -> Found<()> {
        let lines = self.lines(&row.sql, Some(&row.marks)).await?;
        let plan = Problem::Unknown(Reason::Plan);
        let is_target = |line: &&Line| line.is_target;
        let target = lines.iter().find(is_target).ok_or(plan)?;
        let spots = target.spots.as_deref();
        let spots = spots.ok_or(Problem::Unknown(Reason::Nil))?;
        let leaves = known.leaves(spots).ok_or(plan)?;
        tables.add_target(known, &leaves);
        self.add(tables, &lines, &row.sql, Some(&row.marks)).await
    }

    /// True where a parameter may be a time with a fraction.
    fn has_fraction(&self, mark: usize) -> bool {
        match self.bound {
            Bound::None => false,
            Bound::Binary(parameters) => parameters.has_fraction(mark),
            Bound::Named(names) => {
                let name = names.get(mark).and_then(|n| Text::read(n)?.name(1));
                let name = name.unwrap_or_default();
                let mut all = self.state.user_variables.iter();
                let value = all.find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
                value.is_none_or(|(_, v)| v.contains(&b'.'))
            }
        }
    }
}
