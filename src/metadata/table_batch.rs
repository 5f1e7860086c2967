//! One look-up of tables: questions, one after the other, for some tables of one database.
//!
//! ```text
//! Schema ──> Info ──> Parts, Subs of each new table ──> Tablets, so many at a time ──> done
//!    │         └── tables whose description is known are not asked for ───┘              │
//!    └── a table has changed meanwhile: from the beginning, so many times ───────────────┘
//! ```

use super::table_source::{self as source, Description, Print, Refused, Replica};
use crate::link::Rows;
use crate::partition::{self, Product};
use crate::routing::{Row, TableKey};
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

/// A table of the look-up.
#[derive(Debug)]
struct Reading {
    key: Arc<TableKey>,
    /// What was known of it before.
    known: Option<Layout>,
    findings: Findings,
    parts: Option<Rows>,
    has_subs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Product,
    Schema,
    Info,
    Parts(usize),
    Subs(usize),
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
    step: Step,
    todo: VecDeque<Step>,
    info: Rows,
    /// Reading, leaf and tablet.
    tablets: Vec<(usize, u32, u64)>,
    are_tablets_planned: bool,
    repeats: u8,
}

impl Batch {
    /// A look-up of tables of one database, with what is known of each. `product`: what the servers
    /// are, if they have said it.
    pub(super) fn new(
        tables: Vec<(Arc<TableKey>, Option<Layout>)>,
        product: Option<Product>,
    ) -> Self {
        let reading = |(key, known)| Reading {
            key,
            known,
            findings: Findings::Absent,
            parts: None,
            has_subs: false,
        };
        Self {
            readings: tables.into_iter().map(reading).collect(),
            product,
            step: match product {
                Some(_) => Step::Schema,
                None => Step::Product,
            },
            todo: VecDeque::new(),
            info: Rows::default(),
            tablets: vec![],
            are_tablets_planned: false,
            repeats: 0,
        }
    }

    /// What the servers are, once they have said it.
    pub(super) const fn product(&self) -> Option<Product> {
        self.product
    }

    /// True if a table is among those that are looked up.
    pub(super) fn has(&self, key: &TableKey) -> bool {
        self.readings.iter().any(|reading| *reading.key == *key)
    }

    /// The question of the step.
    pub(super) fn question(&self) -> Vec<u8> {
        let first = self.readings.first();
        let tenant = first.map_or(&b""[..], |reading| &reading.key.tenant);
        let id = |at: usize| {
            let layout = self.readings.get(at).and_then(Reading::layout);
            layout.map_or(0, |layout| layout.print.id)
        };
        match self.step {
            Step::Product => source::PRODUCT.to_vec(),
            Step::Schema => {
                let database = first.map_or(&b""[..], |reading| &reading.key.database);
                let names: Vec<_> = self.readings.iter().map(|r| &*r.key.name).collect();
                source::schema_sql(tenant, database, &names)
            }
            Step::Info => {
                let new = self.readings.iter().filter(|r| r.needs_description());
                let ids: Vec<_> = new.filter_map(|r| Some(r.layout()?.print.id)).collect();
                source::info_sql(tenant, &ids)
            }
            Step::Parts(at) => source::parts_sql(tenant, id(at), false),
            Step::Subs(at) => source::parts_sql(tenant, id(at), true),
            Step::Tablets(from) => {
                let tablets = self.tablets.iter().skip(from).take(TABLETS_MAX);
                let named = |(at, _, tablet): &(usize, u32, u64)| {
                    Some((&*self.readings.get(*at)?.key, *tablet))
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
                self.todo.push_front(Step::Schema);
            }),
            Step::Schema => self.take_schema(&answer),
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
    pub(super) fn finish(self) -> impl Iterator<Item = (Arc<TableKey>, Findings)> {
        self.readings.into_iter().map(|r| (r.key, r.findings))
    }

    /// The tables, when nothing could be found.
    pub(super) fn keys(self) -> impl Iterator<Item = Arc<TableKey>> {
        self.readings.into_iter().map(|r| r.key)
    }

    fn go_on(&mut self) -> Next {
        if self.todo.is_empty() && !self.are_tablets_planned {
            self.plan_tablets();
        }
        match self.todo.pop_front() {
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
            (reading.findings, reading.known) = (Findings::Absent, None);
        }
        self.todo = VecDeque::from([Step::Schema]);
        self.tablets.clear();
        self.are_tablets_planned = false;
        Ok(())
    }

    fn take_schema(&mut self, answer: &Rows) -> Result<(), Refused> {
        let replicas = source::replicas(answer)?;
        for reading in &mut self.readings {
            let own: Vec<_> = replicas
                .iter()
                .filter(|r| r.table == *reading.key.name)
                .collect();
            let Some(first) = own.first() else {
                continue;
            };
            if own.iter().all(|r| r.server.is_none()) {
                reading.findings = Findings::Everywhere;
                continue;
            }
            let known = reading.known.as_ref().filter(|k| k.print == first.print);
            let layout = known.cloned().unwrap_or_else(|| Layout {
                print: first.print,
                partitions: None,
                tablets: Arc::new([]),
            });
            let rows = match layout.print.part_num > 1 {
                true => vec![],
                false => own.iter().filter_map(|r| r.row(0)).collect(),
            };
            reading.findings = Findings::Placed(layout, rows);
        }
        if self.readings.iter().any(Reading::needs_description) {
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
        self.info = answer;
        Ok(())
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
                layout.partitions = described.table.ok().map(Arc::new);
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
            let all = leaves.map(|(tablet, leaf)| (at, leaf, *tablet));
            self.tablets.extend(all);
        }
        let steps = (0..self.tablets.len())
            .step_by(TABLETS_MAX)
            .map(Step::Tablets);
        self.todo.extend(steps);
    }

    fn take_tablets(&mut self, from: usize, answer: &Rows) -> Result<(), Refused> {
        let asked = self.tablets.iter().skip(from).take(TABLETS_MAX);
        let leaves: HashMap<(&[u8], u64), (usize, u32)> = asked
            .filter_map(|(at, leaf, tablet)| {
                let name: &[u8] = &self.readings.get(*at)?.key.name;
                Some(((name, *tablet), (*at, *leaf)))
            })
            .collect();
        let mut found: Vec<(usize, u32, Replica)> = vec![];
        for replica in source::replicas(answer)? {
            let place = leaves.get(&(&*replica.table, replica.tablet));
            if let Some((at, leaf)) = place {
                found.push((*at, *leaf, replica));
            }
        }
        drop(leaves);
        let mut has_changed = false;
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
