//! Conditions to sets of leaves (routing.md 5.3).
//!
//! A list of conditions that all hold is one step: those that compare a key column with constants
//! narrow the column's [`Domain`]; then each OR among them gives the union of its branches, each
//! solved with these domains, and the sets of all ORs are intersected. What is not understood
//! narrows nothing.

use super::answer::{Answer, Certainty, Request};
use super::choose::{COMBINATIONS_MAX, Chooser, IsExact};
use super::column::{Column, Kind};
use super::constant::{Source, truth};
use super::convert::Match;
use super::domain::{Domain, End};
use super::equal::Equals;
use super::leaves::LeafSet;
use super::session::Context;
use super::table::{Level, Method, Table};
use super::temporal::Moment;
use super::value::{Key, Value};
use crate::sql::{Comparison, Condition, Expr, NameParts, NodeId, Scan, bare_name, same_name};

/// Of which partitions the second level is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// All: another branch may have partitions that this one has not.
    All,
    /// Those that the first level leaves.
    Left,
}

/// Leaves by level: those whose partition is in the first set and that are in the second.
///
/// The levels are kept apart until the end, as the server does it: of `a = 1 AND b = 2 OR a = 3
/// AND b = 4` it takes partitions 1 and 3, and subpartitions 2 and 4 of both.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    first: LeafSet,
    /// Leaves of the table, by what is known of the second level; with one level all.
    second: LeafSet,
    is_exact: bool,
}

impl Spread {
    pub(super) fn empty(table: &Table) -> Self {
        Self {
            first: LeafSet::empty(table.first_parts.count),
            second: LeafSet::empty(table.leaf_count()),
            is_exact: true,
        }
    }

    /// The leaves of domains: one for each column of the table, then for each of its sources.
    /// `is_branch`: they are those of a branch of an OR.
    pub(super) fn of_domains<'a>(
        table: &'a Table,
        context: &'a Context<'a>,
        domains: &[Domain<'a>],
        is_branch: bool,
        reach: Reach,
    ) -> Self {
        let generated = super::generated::computed(table, context, domains, is_branch);
        let domains = generated.as_deref().unwrap_or(domains);
        let choose = |level, parts| {
            let chooser = Chooser {
                table,
                level,
                parts,
                context,
                domains,
            };
            chooser.choose()
        };
        let (first, IsExact(mut is_exact)) = choose(&table.first, &table.first_parts);
        let Some(level) = &table.second else {
            let second = LeafSet::all(table.leaf_count());
            return Self {
                first,
                second,
                is_exact,
            };
        };
        let mut second = LeafSet::empty(table.leaf_count());
        // Of partitions that are alike one is looked at.
        let mut last: Option<(u32, LeafSet)> = None;
        let mut add = |part: u32| {
            let like = table.second_like.get(part as usize).copied()?;
            let offset = table.offsets.get(part as usize)?;
            if last.as_ref().is_none_or(|(of, _)| *of != like) {
                let (subs, IsExact(is_sub_exact)) =
                    choose(level, table.second_parts.get(like as usize)?);
                is_exact &= is_sub_exact;
                last = Some((like, subs));
            }
            second.add_moved(&last.as_ref()?.1, *offset);
            Some(())
        };
        match reach {
            Reach::All => (0..table.first_parts.count).for_each(|part| _ = add(part)),
            Reach::Left => first.iter().for_each(|part| _ = add(part)),
        }
        Self {
            first,
            second,
            is_exact,
        }
    }

    pub(super) fn unite(&mut self, other: &Self) {
        self.first.unite(&other.first);
        self.second.unite(&other.second);
        self.is_exact &= other.is_exact;
    }

    fn intersect(&mut self, other: &Self) {
        self.first.intersect(&other.first);
        self.second.intersect(&other.second);
        // Two ORs that both hold may leave less than what is in both sets.
        self.is_exact = false;
    }

    fn is_all(&self) -> bool {
        self.first.is_all() && self.second.is_all()
    }

    /// The same leaves, with all partitions in the first set.
    fn joined(self, table: &Table) -> Self {
        if table.second.is_none() || self.first.is_empty() {
            return self;
        }
        let (second, IsExact(is_exact)) = self.leaves(table);
        Self {
            first: LeafSet::all(table.first_parts.count),
            second,
            is_exact,
        }
    }

    /// Partitions that are left of the first level.
    pub(super) fn parts(&self) -> u64 {
        self.first.len().into()
    }

    /// The leaves, and whether these are all needed.
    pub(super) fn leaves(self, table: &Table) -> (LeafSet, IsExact) {
        let mut leaves = self.second;
        if table.second.is_none() {
            return (self.first, IsExact(self.is_exact));
        }
        let mut allowed = LeafSet::empty(leaves.limit());
        for part in self.first.iter() {
            let first = table.offsets.get(part as usize).copied().unwrap_or(0);
            let count = table.second_parts.get(part as usize).map_or(0, |p| p.count);
            allowed.add_range(first, first + count);
        }
        leaves.intersect(&allowed);
        (leaves, IsExact(self.is_exact))
    }
}

/// The leaves that the rows of a table can be in that satisfy all conditions on it.
pub(super) fn leaves(request: &Request<'_>, table: &Table, index: usize) -> Answer {
    let mut solver = Solver::new(request, table, index);
    let bit = 1_u64.checked_shl(index as u32).unwrap_or(0);
    let mut domains = vec![Domain::All; table.described().count()];
    let (mut pending, mut is_exact) = (Vec::new(), true);
    for condition in &request.scan.conditions {
        let rejects_null = condition.rejecting & bit != 0;
        if condition.plain & bit == 0 && !rejects_null {
            continue;
        }
        solver.condition = Some(*condition);
        solver.rejects_null = rejects_null;
        let step = Step {
            node: condition.root,
            rejects_null,
        };
        is_exact &= solver.narrow(step, &mut domains, &mut pending, 0);
    }
    Equals::new(request, table, index).narrow(&mut domains);
    let Some(spread) = solver.solve(&domains, &pending, Reach::Left, 0) else {
        return Answer::unknown(table);
    };
    let (leaves, IsExact(is_solved)) = spread.leaves(table);
    let certainty = match is_exact && is_solved {
        true => Certainty::Exact,
        false => Certainty::Superset,
    };
    Answer { leaves, certainty }
}

/// A condition that must hold, and whether a missing row may satisfy it.
#[derive(Clone, Copy)]
struct Step {
    node: NodeId,
    rejects_null: bool,
}

/// Most levels of AND and OR: as deep as a scan goes.
const DEPTH_MAX: u32 = 64;

/// Most work for one table, in about nanoseconds: values looked up and copied, partitions, and
/// words of sets; beyond it nothing is known. A list of as many rows as a statement can have is
/// less, for a table of 8,192 leaves; what is more multiplies long lists, or branches of ORs with
/// thousands of partitions.
pub(super) const WORK_MAX: u64 = 1 << 23;

/// To look a value up: to hash it, or to find it among bounds.
const LOOKUP_WORK: u64 = 32;
/// To copy one.
const COPY_WORK: u64 = 4;
/// To evaluate an expression of the table.
const FORMULA_WORK: u64 = 256;

struct Solver<'a> {
    request: &'a Request<'a>,
    table: &'a Table,
    index: usize,
    condition: Option<Condition>,
    rejects_null: bool,
    work: u64,
    /// Kinds of subpartitions.
    kinds: u64,
    /// Inside a branch of an OR.
    is_branch: bool,
}

/// What a comparison selects of one column.
type Selected<'a> = (usize, Domain<'a>);

impl<'a> Solver<'a> {
    fn new(request: &'a Request<'a>, table: &'a Table, index: usize) -> Self {
        Self {
            request,
            table,
            index,
            condition: None,
            rejects_null: false,
            work: 0,
            kinds: (table.second_like.iter().zip(0..))
                .filter(|(like, at)| *like == at)
                .count() as u64,
            is_branch: false,
        }
    }

    fn scan(&self) -> &'a Scan {
        self.request.scan
    }

    fn source(&self) -> Source<'a> {
        Source {
            tree: &self.request.scan.tree,
            text: self.request.text,
            context: self.request.context,
            columns: None,
        }
    }

    /// The key column that a node names.
    fn column(&self, node: NodeId) -> Option<usize> {
        let Expr::Column(span) = self.scan().tree.get(node) else {
            return None;
        };
        let name = NameParts::of(span.of(self.request.text));
        let is_own =
            super::equal::owner(self.request, self.condition?.block, &name) == Some(self.index);
        let name = bare_name(name.last());
        self.table
            .described()
            .position(|c| same_name(&c.name, name))
            .filter(|_| is_own)
    }

    /// Narrows domains by a condition that must hold; ORs are put off. False: what it says about
    /// keys was not all understood.
    fn narrow(
        &mut self,
        step: Step,
        domains: &mut [Domain<'a>],
        pending: &mut Vec<Step>,
        depth: u32,
    ) -> bool {
        depth <= DEPTH_MAX
            && (self.narrow_by(step, domains, pending, depth) || self.is_foreign(step.node, depth))
    }

    /// True for a condition without a key in it: it changes nothing.
    fn is_foreign(&self, node: NodeId, depth: u32) -> bool {
        let tree = &self.scan().tree;
        let first = match tree.get(node) {
            Expr::Unknown => return false,
            Expr::Column(span) => {
                let name = NameParts::of(span.of(self.request.text));
                return !self.table.describes(bare_name(name.last()));
            }
            Expr::Call(_, first)
            | Expr::Interval(first)
            | Expr::Case(first)
            | Expr::Row(first)
            | Expr::Negate(first)
            | Expr::BitNot(first)
            | Expr::Arithmetic(_, first)
            | Expr::Compare(_, first)
            | Expr::In(first)
            | Expr::Between(first)
            | Expr::IsNull(first)
            | Expr::And(first)
            | Expr::Or(first)
            | Expr::Not(first) => first,
            _ => NodeId::NONE,
        };
        depth <= DEPTH_MAX && tree.children(first).all(|n| self.is_foreign(n, depth + 1))
    }

    fn narrow_by(
        &mut self,
        step: Step,
        domains: &mut [Domain<'a>],
        pending: &mut Vec<Step>,
        depth: u32,
    ) -> bool {
        self.rejects_null = step.rejects_null;
        let tree = &self.scan().tree;
        match tree.get(step.node) {
            Expr::And(first) => {
                let mut is_exact = true;
                for node in tree.children(first) {
                    is_exact &= self.narrow(Step { node, ..step }, domains, pending, depth + 1);
                }
                return is_exact;
            }
            Expr::Or(_) => {
                pending.push(step);
                return true;
            }
            // What NOT stands in front of is another thing then.
            Expr::Not(_) if self.request.context.high_not_precedence => return false,
            Expr::Not(inner) => match tree.get(inner) {
                Expr::Not(node) => {
                    return self.narrow(Step { node, ..step }, domains, pending, depth + 1);
                }
                // `NOT k <> 5`
                Expr::Compare(Comparison::NotEqual, first) => {
                    return self.apply(self.compared(Comparison::Equal, first), domains);
                }
                // `NOT k = NULL` is NULL as well.
                Expr::Compare(op, first) if self.is_null_compared(op, first) => {
                    domains.fill(Domain::NOTHING);
                    return true;
                }
                _ => {}
            },
            Expr::Compare(op, first) if self.is_null_compared(op, first) => {
                domains.fill(Domain::NOTHING);
                return true;
            }
            Expr::Compare(Comparison::Equal, first) => {
                if let Some([a, b]) = tree.exactly(first)
                    && let (Expr::Row(a), Expr::Row(b)) = (tree.get(a), tree.get(b))
                {
                    return self.rows_equal(a, b, domains);
                }
                return self.apply(self.compared(Comparison::Equal, first), domains)
                    || self.constant(step.node, domains);
            }
            Expr::Compare(op, first) => {
                return self.apply(self.compared(op, first), domains)
                    || self.constant(step.node, domains);
            }
            Expr::In(first) => {
                if let Expr::Row(_) = tree.get(first) {
                    pending.push(step);
                    return true;
                }
                return self.apply(self.listed(first), domains);
            }
            Expr::Between(first) => {
                let Some([value, low, high]) = tree.exactly(first) else {
                    return false;
                };
                let Some(column) = self.column(value) else {
                    return false;
                };
                let is_low = self.apply(self.end(column, Comparison::GreaterEqual, low), domains);
                let is_high = self.apply(self.end(column, Comparison::LessEqual, high), domains);
                return is_low && is_high;
            }
            Expr::IsNull(inner) if !step.rejects_null => {
                if let Some(column) = self.column(inner) {
                    return self.apply(self.null(column), domains);
                }
            }
            _ => {}
        }
        self.constant(step.node, domains)
    }

    /// True for a comparison with the literal NULL, which is NULL whatever the other side is.
    fn is_null_compared(&self, op: Comparison, first: NodeId) -> bool {
        let tree = &self.scan().tree;
        op != Comparison::NullSafe
            && tree
                .children(first)
                .any(|side| tree.get(side) == Expr::Null)
    }

    /// A condition without columns: if it is never true, no row fits.
    fn constant(&self, node: NodeId, domains: &mut [Domain<'a>]) -> bool {
        let Some(value) = self.source().constant(node) else {
            return false;
        };
        match truth(&value) {
            Some(Some(true)) => true,
            Some(_) => {
                domains.fill(Domain::NOTHING);
                true
            }
            None => false,
        }
    }

    fn apply(&self, selected: Option<Selected<'a>>, domains: &mut [Domain<'a>]) -> bool {
        let Some((column, domain)) = selected else {
            return false;
        };
        let (Some(to), Some(described)) =
            (domains.get_mut(column), self.table.described().nth(column))
        else {
            return false;
        };
        to.intersect(domain, described);
        true
    }

    /// `column op constant`, or the other way round.
    fn compared(&self, op: Comparison, first: NodeId) -> Option<Selected<'a>> {
        let [a, b] = self.scan().tree.exactly(first)?;
        let (column, value, op) = match (self.column(a), self.column(b)) {
            (Some(column), None) => (column, b, op),
            (None, Some(column)) => (column, a, turned(op)),
            _ => return None,
        };
        match op {
            Comparison::Equal => self.equal(column, value),
            Comparison::NullSafe => match self.source().constant(value)? {
                Value::Null if self.rejects_null => None,
                Value::Null => Some((column, Domain::Values(vec![Key::Null]))),
                _ => self.equal(column, value),
            },
            // Narrows nothing, and is understood.
            Comparison::NotEqual => Some((column, Domain::All)),
            op => self.end(column, op, value),
        }
    }

    /// True for calls that give a decimal for a decimal. Observed on seekdb 1.3.0: with more than
    /// one key column the server looks at all partitions for an integer that equals such a call.
    fn is_late(&self, node: NodeId) -> bool {
        let Expr::Call(name, _) = self.scan().tree.get(node) else {
            return false;
        };
        let name = name.of(self.request.text);
        ["ceil", "ceiling", "floor", "round", "truncate"]
            .iter()
            .any(|late| name.eq_ignore_ascii_case(late.as_bytes()))
    }

    /// The column of a comparison with a constant. Observed on seekdb 1.3.0: comparisons with a
    /// DECIMAL UNSIGNED restrict nothing. Where that is all of the key we know better; else the
    /// other columns restrict as they do on the server.
    fn described(&self, column: usize) -> Option<&'a Column> {
        let described = self.table.described().nth(column)?;
        let is_loose = described.kind == Kind::Number && described.is_unsigned;
        (self.is_simple() || !is_loose).then_some(described)
    }

    /// True for keys of one column on each level.
    fn has_single_columns(&self) -> bool {
        let second = self.table.second.as_ref().map_or(1, |l| l.columns.len());
        self.table.first.columns.len() == 1 && second == 1
    }

    /// True for keys of one column on one level.
    fn is_simple(&self) -> bool {
        self.table.second.is_none() && self.table.columns.len() == 1
    }

    /// True if a constant that no row equals selects nothing where the server is not sure of it.
    /// Of lists it shows the default partition then, and inside of an OR all.
    fn selects_nothing(&self) -> bool {
        self.is_simple() && !self.is_branch && self.table.first.method != Method::List
    }

    /// `column IS NULL`. Of dates that cannot be NULL it selects the zero date; of AUTO_INCREMENT
    /// it may select the number that was made last (`sql_auto_is_null`).
    fn null(&self, column: usize) -> Option<Selected<'a>> {
        let described = self.table.described().nth(column)?;
        if described.is_auto != Some(false) {
            return None;
        }
        let zero = described.moment_key(&Moment::default(), None);
        let keys = match (described.is_nullable, zero) {
            // No row either, but the server looks into a partition.
            (Some(false), None) if described.kind == Kind::Set => vec![Key::Null],
            // No row, and the server knows it.
            (Some(false), None) => vec![],
            (_, None) | (Some(true), _) => vec![Key::Null],
            (Some(false), Some(zero)) if described.kind != Kind::Timestamp => vec![zero],
            (_, Some(zero)) => vec![Key::Null, zero],
        };
        Some((column, Domain::Values(keys)))
    }

    fn equal(&self, column: usize, value: NodeId) -> Option<Selected<'a>> {
        if !self.is_simple() && self.is_late(value) {
            return None;
        }
        let value = self.source().constant(value)?;
        let described = self.described(column)?;
        Some(match described.matches(&value, self.request.context) {
            Match::Is(key) => (column, Domain::Values(vec![key])),
            Match::Never => (column, Domain::NOTHING),
            Match::Hardly if self.selects_nothing() => (column, Domain::NOTHING),
            Match::Any | Match::Hardly => return None,
        })
    }

    /// One end of a range.
    fn end(&self, column: usize, op: Comparison, value: NodeId) -> Option<Selected<'a>> {
        let value = self.source().constant(value)?;
        if value == Value::Null {
            return Some((column, Domain::NOTHING));
        }
        let described = self.described(column)?;
        let (from, to) = described.around(&value, self.request.context)?;
        let is_between = from != to;
        if is_between && !self.table.has_ranges_of(column) {
            // Of `k > 0.5` the server makes no range of integers.
            return None;
        }
        let end = |key: Key<'a>, is_closed: bool| {
            Some(End {
                key,
                is_closed: is_closed || is_between,
            })
        };
        let domain = match op {
            Comparison::Less => Domain::Range(None, end(to, false)),
            Comparison::LessEqual => Domain::Range(None, end(to, true)),
            Comparison::Greater => Domain::Range(end(from, false), None),
            Comparison::GreaterEqual => Domain::Range(end(from, true), None),
            _ => return None,
        };
        Some((column, whole_ends(domain, described)))
    }

    /// `column IN (constants)`
    fn listed(&self, first: NodeId) -> Option<Selected<'a>> {
        let tree = &self.scan().tree;
        let column = self.column(first)?;
        let described = self.described(column)?;
        let mut values = Vec::new();
        let mut kind_of_years = None;
        for item in tree.children(tree.next(first)) {
            let value = self.source().constant(item)?;
            if described.kind == Kind::Year && value != Value::Null {
                // Numbers and strings in one list are compared in another way.
                let kind = std::mem::discriminant(&value);
                if *kind_of_years.get_or_insert(kind) != kind {
                    return None;
                }
            }
            match described.matches(&value, self.request.context) {
                Match::Is(key) => values.push(key),
                Match::Never => {}
                Match::Hardly if self.is_simple() => {}
                Match::Any | Match::Hardly => return None,
            }
        }
        Some((column, Domain::Values(values)))
    }

    /// `(a, b) = (1, 2)`: each pair by itself. False: some are not understood.
    fn rows_equal(&self, a: NodeId, b: NodeId, domains: &mut [Domain<'a>]) -> bool {
        let tree = &self.scan().tree;
        let mut is_exact = true;
        for (a, b) in tree.children(a).zip(tree.children(b)) {
            let has_null = tree.get(a) == Expr::Null || tree.get(b) == Expr::Null;
            if has_null && !self.is_branch {
                domains.fill(Domain::NOTHING);
                return true;
            }
            let selected = match (self.column(a), self.column(b)) {
                (Some(column), None) => self.equal(column, b),
                (None, Some(column)) => self.equal(column, a),
                _ => None,
            };
            is_exact &= self.apply(selected, domains);
        }
        is_exact
    }

    /// The leaves of domains and of conditions that were put off. `None`: too much work.
    /// `reach`: for domains without others.
    fn solve(
        &mut self,
        domains: &[Domain<'a>],
        pending: &[Step],
        reach: Reach,
        depth: u32,
    ) -> Option<Spread> {
        // The server looks at the levels one by one: what the columns of one exclude, the other
        // does not know.
        let is_nothing = match self.table.second {
            None => domains.iter().any(Domain::is_nothing),
            Some(_) => domains.iter().all(Domain::is_nothing),
        };
        if is_nothing {
            return Some(Spread::empty(self.table));
        }
        if pending.is_empty() {
            self.spend(self.cost(domains, reach))?;
            return Some(Spread::of_domains(
                self.table,
                self.request.context,
                domains,
                self.is_branch,
                reach,
            ));
        }
        if depth > DEPTH_MAX {
            return None;
        }
        let mut all: Option<Spread> = None;
        for step in pending {
            let branches = self.branches(*step, domains, depth)?;
            match &mut all {
                None => all = Some(branches),
                Some(all) => all.intersect(&branches),
            }
        }
        all
    }

    /// `None`: that is more than is done for one table.
    fn spend(&mut self, work: u64) -> Option<()> {
        self.work = self.work.saturating_add(work);
        (self.work <= WORK_MAX).then_some(())
    }

    /// What finding the leaves of domains takes at most: values to look up on each level, for each
    /// kind of subpartitions, and words of sets.
    fn cost(&self, domains: &[Domain<'a>], reach: Reach) -> u64 {
        let combinations = |level: &Level| {
            let lists = level.columns.iter().filter_map(|c| domains.get(*c));
            let all = lists.fold(1_u64, |all, list| all.saturating_mul(list.width()));
            all.min(COMBINATIONS_MAX as u64)
        };
        let first = combinations(&self.table.first);
        let parts = u64::from(self.table.first_parts.count);
        let parts = match reach {
            Reach::All => parts,
            Reach::Left => parts.min(first),
        };
        let words = u64::from(self.table.leaf_count()) / 64;
        let (second, parts) = match &self.table.second {
            None => (0, 0),
            Some(level) => (combinations(level) * self.kinds.min(parts), parts),
        };
        let each = match self.table.has_formulas() {
            true => FORMULA_WORK,
            false => LOOKUP_WORK,
        };
        (first + second) * each + parts + words
    }

    /// The union over the branches of an OR, or over the rows of `(a, b) IN (..)`.
    fn branches(&mut self, step: Step, domains: &[Domain<'a>], depth: u32) -> Option<Spread> {
        let was_branch = std::mem::replace(&mut self.is_branch, true);
        let spread = self.united(step, domains, depth);
        self.is_branch = was_branch;
        spread
    }

    fn united(&mut self, step: Step, domains: &[Domain<'a>], depth: u32) -> Option<Spread> {
        let tree = &self.scan().tree;
        let (first, row) = match tree.get(step.node) {
            Expr::Or(first) => (first, None),
            Expr::In(first) => match tree.get(first) {
                Expr::Row(row) => (tree.next(first), Some(row)),
                _ => return None,
            },
            _ => return None,
        };
        // Of rows each is looked at by itself: the levels are not mixed.
        let reach = match row.is_some() && self.has_single_columns() {
            true => Reach::Left,
            false => Reach::All,
        };
        let mut union = Spread::empty(self.table);
        let copied: u64 = domains.iter().map(Domain::width).sum();
        let copied = match self.table.has_formulas() {
            // What generated columns have is calculated for each branch.
            true => copied * FORMULA_WORK,
            false => copied * COPY_WORK,
        };
        for node in tree.children(first) {
            self.spend(copied)?;
            let mut narrowed = domains.to_vec();
            let mut pending = Vec::new();
            let is_exact = match row {
                None => self.narrow(
                    Step { node, ..step },
                    &mut narrowed,
                    &mut pending,
                    depth + 1,
                ),
                Some(row) => match tree.get(node) {
                    Expr::Row(values) => self.rows_equal(row, values, &mut narrowed),
                    _ => false,
                },
            };
            let mut branch = self.solve(&narrowed, &pending, reach, depth + 1)?;
            if reach == Reach::Left {
                branch = branch.joined(self.table);
            }
            union.unite(&branch);
            union.is_exact &= is_exact;
            if union.is_all() {
                break;
            }
        }
        Some(union)
    }
}

/// The comparison with its sides exchanged.
const fn turned(op: Comparison) -> Comparison {
    match op {
        Comparison::Less => Comparison::Greater,
        Comparison::LessEqual => Comparison::GreaterEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterEqual => Comparison::LessEqual,
        same => same,
    }
}

/// Open ends of integers as closed ones: `k > 5` is `k >= 6`.
fn whole_ends<'a>(domain: Domain<'a>, column: &Column) -> Domain<'a> {
    let is_whole = matches!(column.kind, Kind::Int { .. } | Kind::Bit | Kind::Year);
    let (Domain::Range(low, high), true) = (&domain, is_whole) else {
        return domain;
    };
    let closed = |end: &Option<End<'a>>, step: i128| {
        end.as_ref().map(|end| match end.key {
            Key::Int(n) if !end.is_closed => End {
                key: Key::Int(n + step),
                is_closed: true,
            },
            _ => end.clone(),
        })
    };
    Domain::Range(closed(low, 1), closed(high, -1))
}
