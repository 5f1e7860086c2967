//! One statement before the judge.

use super::Court;
use super::catalog::{Known, What};
use super::connection::Answer;
use super::desk::{Desk, Form};
use super::execute::Parameters;
use super::fast::{self, Equal, Shape};
use super::names::{self, Alias, Aliases};
use super::plan::{self, Line};
use super::rewrite::{Name, is_volatile};
use super::state::JudgeState;
use super::text::Text;
use crate::kernel::KernelError;
use crate::verdict::{Reason, Touched, Verdict, VerdictKind};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// Where a statement has its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound<'a> {
    /// It has none.
    None,
    /// In a COM_STMT_EXECUTE.
    Binary(&'a Parameters),
    /// In user variables, each as written behind USING.
    Named(&'a [Vec<u8>]),
}

/// Why there are no leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Problem {
    /// EXPLAIN fails.
    Fails,
    /// It cannot be said.
    Unknown(Reason),
}

impl Problem {
    pub(super) const fn verdict(self) -> Verdict {
        match self {
            Self::Fails => Verdict::not_judged(Reason::Fails),
            Self::Unknown(reason) => Verdict::unknown(reason),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(_: io::Error) -> Self {
        Self::Unknown(Reason::Judge)
    }
}

impl From<KernelError> for Problem {
    fn from(_: KernelError) -> Self {
        Self::Unknown(Reason::Judge)
    }
}

/// The result of a question.
pub(super) type Found<T> = Result<T, Problem>;

/// A statement, and what is needed to judge it.
pub(super) struct Case<'a, 't> {
    pub(super) court: &'a Court,
    pub(super) desk: &'a mut Desk,
    pub(super) text: &'a Text<'t>,
    pub(super) bound: Bound<'a>,
    pub(super) state: &'a JudgeState,
    /// The statement reads user variables.
    pub(super) reads_variables: bool,
    /// Of the kernel's definitions.
    pub(super) version: u64,
}

/// A verdict that can be calculated.
pub(super) struct Quick {
    pub(super) shape: Shape,
    known: Arc<Known>,
    leaf: u32,
}

impl Quick {
    pub(super) fn verdict(&self) -> Verdict {
        let mut touched = Tables::default();
        touched.add(&self.known, &[self.leaf]);
        touched.verdict()
    }
}

/// The tables of a verdict, as they are found.
#[derive(Default)]
pub(super) struct Tables {
    tables: Vec<(Arc<Known>, BTreeSet<u32>)>,
    is_superset: bool,
    /// The kernel says of a line that no row can come, or does not.
    nevers: [bool; 2],
}

impl Tables {
    /// Adds leaves of a table. All of several are the most that it can be.
    pub(super) fn add(&mut self, known: &Arc<Known>, leaves: &[u32]) {
        let same = |t: &&mut (Arc<Known>, _)| t.0.table_id == known.table_id;
        match self.tables.iter_mut().find(same) {
            Some((_, set)) => set.extend(leaves),
            None => {
                let set = leaves.iter().copied().collect();
                self.tables.push((known.clone(), set));
            }
        }
        let all = known.tablets.len();
        self.is_superset |= all > 1 && leaves.len() >= all;
    }

    /// Adds leaves that rows go to.
    pub(super) fn add_target(&mut self, known: &Arc<Known>, leaves: &[u32]) {
        self.add(known, leaves);
        self.nevers[1] = true;
    }

    /// Some leaves of a table are not touched.
    fn is_pruned(&self) -> bool {
        let is_it =
            |(known, leaves): &(Arc<Known>, BTreeSet<u32>)| leaves.len() < known.tablets.len();
        self.tables.iter().any(is_it)
    }

    /// The only table, where the first of its leaves is the only one that was printed.
    fn is_first_alone(&self) -> Option<Arc<Known>> {
        let [(known, leaves)] = self.tables.as_slice() else {
            return None;
        };
        let is_first = leaves.len() == 1 && leaves.contains(&0);
        let is_open = known.tablets.len() > 1 && self.nevers == [false, true];
        (is_first && is_open).then(|| known.clone())
    }

    pub(super) fn verdict(self) -> Verdict {
        let kind = match self.nevers {
            _ if self.tables.is_empty() => VerdictKind::NoTable,
            [true, false] => VerdictKind::Nothing,
            _ if self.is_superset => VerdictKind::Superset,
            _ => VerdictKind::Exact,
        };
        let mut verdict = Verdict::without_tables(kind, None);
        for (known, leaves) in self.tables {
            let tablet = |leaf: &u32| known.tablets.get(*leaf as usize).copied().unwrap_or(0);
            verdict.tables.push(Touched {
                db: known.database.clone(),
                table: known.table.clone(),
                table_id: known.table_id,
                tablets: leaves.iter().map(tablet).collect(),
                leaves: leaves.into_iter().collect(),
                leaders: vec![],
            });
        }
        verdict
    }
}

impl Case<'_, '_> {
    /// The verdict on a statement whose tables are all printed.
    pub(super) async fn select(&mut self) -> Found<Verdict> {
        let sql = self.text.bytes;
        let lines = self.lines(sql, None).await?;
        let mut tables = Tables::default();
        self.add(&mut tables, &lines, sql, None).await?;
        // The value of then may be another one than that of now.
        if tables.is_pruned() && is_volatile(self.text, 0..self.text.tokens.len()) {
            return Err(Problem::Unknown(Reason::Volatile));
        }
        if let Some(known) = tables.is_first_alone()
            && self.is_nothing(&known).await
        {
            tables.nevers = [true, false];
        }
        Ok(tables.verdict())
    }

    /// Asks EXPLAIN; `marks` are the parameters of the text, all where none are given.
    async fn plan(&mut self, form: &str, sql: &[u8], marks: Option<&[usize]>) -> Found<Vec<u8>> {
        let question = [format!("EXPLAIN {form} ").as_bytes(), sql].concat();
        let (body, longs, using);
        let form = match self.bound {
            Bound::None => Form::Plain,
            Bound::Binary(parameters) => {
                let all;
                let marks = match marks {
                    Some(marks) => marks,
                    None => {
                        all = parameters.all();
                        &all
                    }
                };
                let unknown = Problem::Unknown(Reason::Parameter);
                body = parameters.body(marks).ok_or(unknown)?;
                longs = parameters.longs(marks);
                Form::Binary(&body, &longs)
            }
            Bound::Named(names) => match marks {
                None => Form::Named(names),
                Some(marks) => {
                    let each = marks.iter().map(|m| names.get(*m).cloned());
                    let each: Option<Vec<_>> = each.collect();
                    using = each.ok_or(Problem::Fails)?;
                    Form::Named(&using)
                }
            },
        };
        let asked = self
            .desk
            .ask(self.state, self.reads_variables, &question, form);
        match asked.await? {
            Answer::Lines(plan) => Ok(plan),
            Answer::Error(code) if is_passing(code) => Err(Problem::Unknown(Reason::Judge)),
            Answer::Error(_) => Err(Problem::Fails),
            Answer::Done => Err(Problem::Unknown(Reason::Plan)),
        }
    }

    /// The lines of EXPLAIN BASIC that name leaves.
    pub(super) async fn lines(&mut self, sql: &[u8], marks: Option<&[usize]>) -> Found<Vec<Line>> {
        let plan = self.plan("BASIC", sql, marks).await?;
        plan::read(&plan).ok_or(Problem::Unknown(Reason::Plan))
    }

    /// Adds the tables of a plan, but not the target of an INSERT.
    pub(super) async fn add(
        &mut self,
        tables: &mut Tables,
        lines: &[Line],
        sql: &[u8],
        marks: Option<&[usize]>,
    ) -> Found<()> {
        let lines: Vec<&Line> = lines.iter().filter(|line| !line.is_target).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let (catalog, version) = (&self.court.catalog, self.version);
        let database = &self.state.database;
        let mut aliases = None;
        if let Some(factors) = names::factors(sql) {
            aliases = Aliases::of(&factors, catalog, version, database).await?;
        }
        if let Some(aliases) = &aliases
            && aliases.has_system_view
        {
            // Its aliases are the kernel's own and could be any.
            return match aliases.has_table {
                true => Err(Problem::Unknown(Reason::Name)),
                false => Ok(()),
            };
        }
        let mut extended = None;
        for line in lines {
            let known = match aliases.as_ref().map(|a| a.find(&line.name)) {
                Some(Alias::Table(known)) => known,
                Some(Alias::Several) => return Err(Problem::Unknown(Reason::Name)),
                Some(Alias::Unknown) | None => {
                    let plan = match extended.take() {
                        Some(plan) => plan,
                        None => self.plan("EXTENDED", sql, marks).await?,
                    };
                    let known = self.by_plan(&plan, &line.name).await?;
                    extended = Some(plan);
                    known
                }
            };
            if known.what != What::Table {
                continue;
            }
            if line.is_global_index {
                return Err(Problem::Unknown(Reason::GlobalIndex));
            }
            let spots = line.spots.as_deref();
            let spots = spots.ok_or(Problem::Unknown(Reason::Nil))?;
            let leaves = known.leaves(spots).ok_or(Problem::Unknown(Reason::Plan))?;
            tables.add(&known, &leaves);
            let is_never = line.is_never && leaves == [0];
            tables.nevers[usize::from(!is_never)] = true;
        }
        Ok(())
    }

    /// The table of an alias by what EXPLAIN EXTENDED says. It names no database: that is the one
    /// that the statement names with the table, or the current one.
    async fn by_plan(&self, plan: &[u8], alias: &[u8]) -> Found<Arc<Known>> {
        let unknown = Problem::Unknown(Reason::Name);
        let table = plan::table_of(plan, alias).ok_or(unknown)?;
        let table = String::from_utf8(table).map_err(|_| unknown)?;
        let mut databases = BTreeSet::new();
        for at in 0..self.text.tokens.len() {
            let name = self.text.name(at);
            if name.is_none_or(|n| n.to_lowercase() != table.to_lowercase()) {
                continue;
            }
            let is_second = at >= 2 && self.text.is_sign(at - 1, b'.');
            databases.insert(if is_second {
                self.text.name(at - 2).unwrap_or_default()
            } else {
                self.state.database.clone()
            });
        }
        // One name of a column can stand behind the table's own name; two databases are too many.
        let database = match databases.len() {
            1 => databases.pop_first(),
            _ => None,
        };
        let name = Name {
            database: Some(database.ok_or(unknown)?),
            table,
        };
        let known = self.court.catalog.table(self.version, "", &name).await?;
        known.ok_or(unknown)
    }

    /// The table that is named; `None`: there is none.
    pub(super) async fn table(&self, name: &Name) -> Found<Option<Arc<Known>>> {
        let catalog = &self.court.catalog;
        let found = catalog.table(self.version, &self.state.database, name);
        Ok(found.await?)
    }

    /// What may be calculated of this statement.
    pub(super) async fn quick(&self) -> Option<Quick> {
        let factors = names::factors(self.text.bytes)?;
        let [(_, name)] = factors.as_slice() else {
            return None;
        };
        let known = self.table(name).await.ok()??;
        if known.what != What::Table {
            return None;
        }
        let catalog = &self.court.catalog;
        let detail = catalog.detail(self.version, &known).await.ok()?;
        let key = detail.hash.as_ref()?;
        let mut shape = fast::shape(self.text, key)?;
        let value = match (shape.equal, self.bound) {
            (Equal::Value(value), _) => value,
            (Equal::Mark(mark), Bound::Binary(parameters)) => parameters.integer(mark)?,
            (Equal::Mark(_), _) => return None,
        };
        let leaf = fast::leaf(value, key)?;
        // The same text on another table, or on this one with other leaves, is another shape.
        shape.text.extend_from_slice(&known.table_id.to_le_bytes());
        shape.text.extend_from_slice(&self.version.to_le_bytes());
        Some(Quick { shape, known, leaf })
    }
}

/// Errors that say nothing of the statement: a time limit, memory, a session that was killed.
const fn is_passing(code: u16) -> bool {
    matches!(code, 1317 | 4012 | 4013 | 4016 | 5066)
}
