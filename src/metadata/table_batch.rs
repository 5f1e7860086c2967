//! One look-up of tables: questions, one after the other, for some tables of one database.
//!
//! ```text
//! Schema ─> [Tenant ─>] Info ─> Parts, Subs of each new table ─> [Columns ─>] Tablets ─> done
//!    │         └── tables whose description is known need none of this ──┘         │
//!    └── a table has changed meanwhile: from the beginning, so many times ─────────┘
//! ```
//!
//! Of a partitioned table that is described already only the tablets that are doubted are asked
//! for: one question. Each row says which version of the table it belongs to, so a changed table is
//! seen.

use super::table_source::{self as source, Description, Print, Refused, Replica, TenantFacts};
use crate::link::Rows;
use crate::partition::{self, Product};
use crate::routing::{Doubted, Row, TableKey};
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Tables of one look-up.
pub(super) const TABLES_MAX: usize = 64;
/// Tablets of one question.
const TABLETS_MAX: usize = 512;
/// So often a look-up begins again because a table has changed meanwhile. Source:
/// `table_entry_retry_build_limit` of OBProxy.
const REPEATS_MAX: u8 = 3;

/// How a table is partitioned: kept as long as its schema version stays.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) print: Print,
    /// `None`: the description is not understood.
    pub(super) partitions: Option<Arc<partition::Table>>,
    /// The tablet of each leaf; empty if the table has no partitions.
    pub(super) tablets: Arc<[u64]>,
}

/// What was found out about a table.
#[derive(Debug)]
pub(super) enum Findings {
    /// There is no such table.
    Absent,
    /// It has no place of its own.
    Everywhere,
    /// Its description and its replicas.
    Placed(Layout, Vec<Row>),
    /// It could not be found out, for this reason.
    Failed(String),
}

/// A table to be looked up.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) key: Arc<TableKey>,
    /// What was known of it before.
    pub(super) known: Option<Layout>,
    /// What of it; at the end, what of it was read.
    pub(super) doubted: Doubted,
    /// A core waits for it.
    pub(super) is_asked: bool,
}

/// A table of the look-up.
#[derive(Debug)]
struct Reading {
    wanted: Wanted,
    findings: Findings,
    /// The description is not of this look-up: the table may be another one by now.
    is_of_before: bool,
    parts: Option<Rows>,
    has_subs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Product,
    Schema,
    /// One table again, because one of several is a view: which one is not told.
    Alone(usize),
    Tenant,
    Info,
    Parts(usize),
    Subs(usize),
    Columns,
    /// Of [`Batch::tablets`], from here on.
    Tablets(usize),
}

/// What comes after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This question.
    Ask(Vec<u8>),
    /// Nothing: everything is found.
    Done,
}

/// One look-up.
#[derive(Debug)]
pub(super) struct Batch {
    readings: Vec<Reading>,
    product: Option<Product>,
    tenant: Option<TenantFacts>,
    /// It was asked for by this look-up.
    has_learnt_tenant: bool,
    step: Step,
    todo: VecDeque<Step>,
    info: Rows,
    /// Reading, leaf and tablet.
    tablets: Vec<(usize, u32, u64)>,
    are_tablets_planned: bool,
    repeats: u8,
}

impl Batch {
    /// A look-up of tables of one database. `product`, `tenant`: what the servers and the tenant
    /// are, if that is known.
    pub(super) fn new(
        tables: Vec<Wanted>,
        product: Option<Product>,
        tenant: Option<TenantFacts>,
    ) -> Self {
        let reading = |wanted| Reading {
            wanted,
            findings: Findings::Absent,
            is_of_before: false,
            parts: None,
            has_subs: false,
        };
        let mut batch = Self {
            readings: tables.into_iter().map(reading).collect(),
            product,
            tenant,
            has_learnt_tenant: false,
            step: Step::Product,
            todo: VecDeque::new(),
            info: Rows::default(),
            tablets: vec![],
            are_tablets_planned: false,
            repeats: 0,
        };
        if product.is_some() {
            batch.begin();
            batch.step = batch.next_step().unwrap_or(Step::Schema);
        }
        batch
    }

    /// What the servers are, once they have said it.
    pub(super) const fn product(&self) -> Option<Product> {
        self.product
    }

    /// The tenant and what it is, if this look-up has asked for it.
    pub(super) fn learnt_tenant(&self) -> Option<(Arc<[u8]>, TenantFacts)> {
        let tenant = self.readings.first()?.wanted.key.tenant.clone();
        self.has_learnt_tenant.then_some((tenant, self.tenant?))
    }

    /// True if all of this is looked up already.
    pub(super) fn covers(&self, key: &TableKey, doubted: &Doubted) -> bool {
        let is = |r: &Reading| *r.wanted.key == *key && r.wanted.doubted.covers(doubted);
        self.readings.iter().any(is)
    }

    /// What the first question is about.
    fn begin(&mut self) {
        for reading in &mut self.readings {
            let known = reading.wanted.known.take();
            let known = known.filter(|layout| !layout.tablets.is_empty());
            reading.is_of_before = known.is_some();
            let count = known.as_ref().map_or(0, |layout| layout.tablets.len());
            let is_there = |leaf: &u32| (*leaf as usize) < count;
            if let Doubted::Leaves(leaves) = &reading.wanted.doubted
                && !leaves.iter().all(is_there)
            {
                // Of a core that knows another version of the table.
                reading.wanted.doubted = Doubted::Whole;
            }
            match known {
                Some(layout) => reading.findings = Findings::Placed(layout, vec![]),
                None => reading.wanted.doubted = Doubted::Whole,
            }
        }
        if self.readings.iter().any(|r| !r.is_of_before) {
            self.todo.push_back(Step::Schema);
        }
    }

    /// The question of the step.
    pub(super) fn question(&self) -> Vec<u8> {
        let first = self.readings.first();
        let tenant = first.map_or(&b""[..], |reading| &reading.wanted.key.tenant);
        let id = |at: usize| {
            let layout = self.readings.get(at).and_then(Reading::layout);
            layout.map_or(0, |layout| layout.print.id)
        };
        match self.step {
            Step::Product => source::PRODUCT.to_vec(),
            Step::Schema => {
                let database = first.map_or(&b""[..], |reading| &reading.wanted.key.database);
                let new = self.readings.iter().filter(|r| !r.is_of_before);
                let names: Vec<_> = new.map(|r| &*r.wanted.key.name).collect();
                source::schema_sql(tenant, database, &names)
            }
            Step::Info => {
                let new = self.readings.iter().filter(|r| r.needs_description());
                let ids: Vec<_> = new.filter_map(|r| Some(r.layout()?.print.id)).collect();
                source::info_sql(tenant, &ids)
            }
            Step::Alone(at) => {
                let key = self.readings.get(at).map(|r| &r.wanted.key);
                let (database, name) = key.map_or((&b""[..], &b""[..]), |k| (&k.database, &k.name));
                source::schema_sql(tenant, database, &[name])
            }
            Step::Tenant => source::tenant_facts_sql(tenant),
            Step::Columns => {
                let ids: Vec<_> = self.undeclared().map(|(_, id)| id).collect();
                source::columns_sql(self.tenant.map_or(0, |t| t.id), &ids)
            }
            Step::Parts(at) => source::parts_sql(tenant, id(at), false),
            Step::Subs(at) => source::parts_sql(tenant, id(at), true),
            Step::Tablets(from) => {
                let tablets = self.tablets.iter().skip(from).take(TABLETS_MAX);
                let named = |(at, _, tablet): &(usize, u32, u64)| {
                    Some((&*self.readings.get(*at)?.wanted.key, *tablet))
                };
                let all: Vec<_> = tablets.filter_map(named).collect();
                source::tablets_sql(&all)
            }
        }
    }

    /// Takes the answer to the question.
    pub(super) fn take(&mut self, answer: Rows) -> Result<Next, String> {
        let taken = match self.step {
            Step::Product => source::product(&answer).map(|p| {
                self.product = Some(p);
                self.begin();
            }),
            Step::Tenant => {
                // Who may not know is told nothing.
                self.tenant = Some(source::tenant_facts(&answer).unwrap_or_default());
                self.has_learnt_tenant = true;
                Ok(())
            }
            Step::Columns => {
                self.declare(&answer);
                Ok(())
            }
            Step::Schema => self.take_schema(&answer),
            Step::Alone(at) => source::replicas(&answer).map(|replicas| {
                // A view of a partitioned table: its columns are not those of the table, and its
                // tablets are not told under its name.
                let is_alias = replicas.iter().any(|r| r.is_alias);
                if let Some(reading) = self.readings.get_mut(at).filter(|_| is_alias) {
                    reading.findings = Findings::Everywhere;
                }
            }),
            Step::Info => self.take_info(answer),
            Step::Parts(at) => {
                self.take_parts(at, answer);
                Ok(())
            }
            Step::Subs(at) => {
                self.describe(at, Some(answer));
                Ok(())
            }
            Step::Tablets(from) => self.take_tablets(from, &answer),
        };
        match taken {
            Ok(()) => Ok(self.go_on()),
            Err(Refused::NoView) => {
                for reading in &mut self.readings {
                    reading.findings = Findings::Everywhere;
                }
                Ok(Next::Done)
            }
            Err(Refused::Error(what)) => Err(what),
        }
    }

    /// All tables, with what was found.
    pub(super) fn finish(self) -> impl Iterator<Item = (Wanted, Findings)> {
        self.readings.into_iter().map(|r| (r.wanted, r.findings))
    }

    /// The tables, when nothing could be found.
    pub(super) fn wanted(self) -> impl Iterator<Item = Wanted> {
        self.readings.into_iter().map(|r| r.wanted)
    }

    fn next_step(&mut self) -> Option<Step> {
        // What has come meanwhile tells whether more is needed.
        while let Some(step) = self.todo.front() {
            let is_needed = match step {
                Step::Tenant | Step::Info => self.readings.iter().any(Reading::needs_description),
                Step::Columns => self.undeclared().next().is_some(),
                _ => true,
            };
            if is_needed {
                break;
            }
            self.todo.pop_front();
        }
        if self.todo.is_empty() && !self.are_tablets_planned {
            self.plan_tablets();
        }
        self.todo.pop_front()
    }

    fn go_on(&mut self) -> Next {
        match self.next_step() {
            Some(step) => {
                self.step = step;
                Next::Ask(self.question())
            }
            None => Next::Done,
        }
    }

    /// A table has changed since the look-up began.
    fn begin_again(&mut self) -> Result<(), Refused> {
        if self.repeats == REPEATS_MAX {
            let what = "a table changes faster than it can be read";
            return Err(Refused::Error(what.into()));
        }
        self.repeats += 1;
        for reading in &mut self.readings {
            reading.findings = Findings::Absent;
        }
        self.todo.clear();
        self.begin();
        self.tablets.clear();
        self.are_tablets_planned = false;
        Ok(())
    }

    fn take_schema(&mut self, answer: &Rows) -> Result<(), Refused> {
        let replicas = source::replicas(answer)?;
        for reading in self.readings.iter_mut().filter(|r| !r.is_of_before) {
            let name = source::meant(&reading.wanted.key.name);
            let own: Vec<_> = replicas.iter().filter(|r| r.table == *name).collect();
            let Some(first) = own.first() else {
                continue;
            };
            let key = &reading.wanted.key;
            // Its rows are the servers of the tenant, and the leader among them is made up.
            let is_dummy = *key.database == *b"oceanbase" && *key.name == *b"__all_dummy";
            if is_dummy || own.iter().all(|r| r.server.is_none()) {
                reading.findings = Findings::Everywhere;
                continue;
            }
            let layout = Layout {
                print: first.print,
                partitions: None,
                tablets: Arc::new([]),
            };
            let rows = match layout.print.part_num > 1 {
                true => vec![],
                false => own.iter().filter_map(|r| r.row(0)).collect(),
            };
            reading.findings = Findings::Placed(layout, rows);
        }
        if replicas.iter().any(|r| r.is_alias) {
            let new = self.readings.iter_mut().zip(0..);
            let mut new: Vec<_> = new.filter(|(r, _)| r.needs_description()).collect();
            match new.as_mut_slice() {
                [(only, _)] => only.findings = Findings::Everywhere,
                several => {
                    let alone = several.iter().map(|(_, at)| Step::Alone(*at));
                    self.todo.extend(alone);
                }
            }
        }
        if self.readings.iter().any(Reading::needs_description) {
            if self.tenant.is_none() {
                self.todo.push_back(Step::Tenant);
            }
            self.todo.push_back(Step::Info);
        }
        Ok(())
    }

    fn take_info(&mut self, answer: Rows) -> Result<(), Refused> {
        for at in 0..self.readings.len() {
            let Some(reading) = self.readings.get_mut(at) else {
                break;
            };
            if !reading.needs_description() {
                continue;
            }
            let Some(layout) = reading.layout() else {
                continue;
            };
            match source::has_subs(&answer, layout.print) {
                Ok(has_subs) => {
                    reading.has_subs = has_subs;
                    self.todo.push_back(Step::Parts(at));
                }
                Err(_) => return self.begin_again(),
            }
        }
        self.todo.push_back(Step::Columns);
        self.info = answer;
        Ok(())
    }

    /// Tables whose descriptions need what is said of their columns, by place and id.
    fn undeclared(&self) -> impl Iterator<Item = (usize, u64)> {
        let all = self
            .readings
            .iter()
            .zip(0..)
            .filter(|(r, _)| !r.is_of_before);
        all.filter_map(|(reading, at)| {
            let layout = reading.layout()?;
            let table = layout.partitions.as_ref()?;
            table.needs_columns().then_some((at, layout.print.id))
        })
    }

    /// Adds what was said of columns. Without, some partitions cannot be told.
    fn declare(&mut self, answer: &Rows) {
        let Ok(rows) = source::columns(answer) else {
            return;
        };
        let product = self.product.unwrap_or(Product::OceanBase);
        let all: Vec<_> = self.undeclared().collect();
        for (at, id) in all {
            let reading = self.readings.get_mut(at);
            if let Some(Findings::Placed(layout, _)) = reading.map(|r| &mut r.findings)
                && let Some(table) = layout.partitions.as_mut().map(Arc::make_mut)
            {
                let own = rows.iter().filter(|(table, _)| *table == id);
                own.for_each(|(_, column)| table.declare_column(column, product));
            }
        }
    }

    fn take_parts(&mut self, at: usize, answer: Rows) {
        let Some(reading) = self.readings.get_mut(at) else {
            return;
        };
        reading.parts = Some(answer);
        match reading.has_subs {
            true => self.todo.push_front(Step::Subs(at)),
            false => self.describe(at, None),
        }
    }

    /// Puts a table's description together. One that cannot be read spoils only its table.
    fn describe(&mut self, at: usize, subs: Option<Rows>) {
        let is_oracle = self.tenant.is_some_and(|t| t.is_oracle);
        let product = self.product.unwrap_or(Product::OceanBase);
        let info = self.info.clone();
        let Some(reading) = self.readings.get_mut(at) else {
            return;
        };
        let parts = reading.parts.take().unwrap_or_default();
        let Findings::Placed(layout, _) = &mut reading.findings else {
            return;
        };
        match Description::new(info, parts, subs).read(layout.print.id, product) {
            Ok(described) => {
                layout.tablets = described.tablets.into();
                // The rules of partitions are those of MySQL mode.
                let table = described.table.ok().filter(|_| !is_oracle);
                layout.partitions = table.map(Arc::new);
            }
            Err(Refused::Error(what)) => reading.findings = Findings::Failed(what),
            Err(Refused::NoView) => reading.findings = Findings::Everywhere,
        }
    }

    fn plan_tablets(&mut self) {
        self.are_tablets_planned = true;
        for (reading, at) in self.readings.iter().zip(0..) {
            let tablets = reading.layout().map(|layout| layout.tablets.clone());
            let leaves = tablets.iter().flat_map(|all| all.iter().zip(0..));
            let is_wanted = |leaf: &u32| match &reading.wanted.doubted {
                Doubted::Whole => true,
                Doubted::Leaves(leaves) => leaves.contains(leaf),
            };
            let wanted = leaves.filter(|(_, leaf)| is_wanted(leaf));
            self.tablets
                .extend(wanted.map(|(tablet, leaf)| (at, leaf, *tablet)));
        }
        let steps = (0..self.tablets.len())
            .step_by(TABLETS_MAX)
            .map(Step::Tablets);
        self.todo.extend(steps);
    }

    fn take_tablets(&mut self, from: usize, answer: &Rows) -> Result<(), Refused> {
        let asked = self.tablets.iter().skip(from).take(TABLETS_MAX);
        type Tablet<'a> = (Cow<'a, [u8]>, u64);
        let leaves: HashMap<Tablet<'_>, (usize, u32)> = asked
            .filter_map(|(at, leaf, tablet)| {
                let name = source::meant(&self.readings.get(*at)?.wanted.key.name);
                Some(((name, *tablet), (*at, *leaf)))
            })
            .collect();
        let mut found: Vec<(usize, u32, Replica)> = vec![];
        for replica in source::replicas(answer)? {
            let place = leaves.get(&(Cow::Borrowed(&*replica.table), replica.tablet));
            if let Some((at, leaf)) = place {
                found.push((*at, *leaf, replica));
            }
        }
        // A table that is not there any more has no rows.
        let mut has_changed = leaves.values().any(|(at, leaf)| {
            let reading = self.readings.get(*at);
            let is_found = |(a, l, _): &(usize, u32, Replica)| (a, l) == (at, leaf);
            reading.is_some_and(|r| r.is_of_before) && !found.iter().any(is_found)
        });
        drop(leaves);
        for (at, leaf, replica) in found {
            let reading = self.readings.get_mut(at);
            let Some(Findings::Placed(layout, rows)) = reading.map(|r| &mut r.findings) else {
                continue;
            };
            // The tablet of a table that was changed is answered with another one's place.
            has_changed |= replica.print != layout.print;
            rows.extend(replica.row(leaf));
        }
        match has_changed {
            true => self.begin_again(),
            false => Ok(()),
        }
    }
}

impl Reading {
    fn layout(&self) -> Option<&Layout> {
        match &self.findings {
            Findings::Placed(layout, _) => Some(layout),
            _ => None,
        }
    }

    /// It is partitioned, and how is not known yet.
    fn needs_description(&self) -> bool {
        let layout = self.layout();
        layout.is_some_and(|l| l.print.part_num > 1 && l.tablets.is_empty())
    }
}
