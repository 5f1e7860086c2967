//! Which partitions of a level hold rows whose columns have given values (routing.md 4.3, 4.6).

use super::constant::Source;
use super::domain::{Domain, End};
use super::leaves::LeafSet;
use super::object::Bound;
use super::session::Context;
use super::table::{Formula, Level, Method, Parts, Table};
use super::value::{Key, Value};
use crate::sql::bare_name;
use bigdecimal::BigDecimal;
use std::cmp::Ordering;

/// What is known of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct IsExact(pub(super) bool);

/// Most combinations of values that are looked up for one condition; more are taken as all.
pub(super) const COMBINATIONS_MAX: usize = 1 << 16;

/// Most values of rows of lists that are compared one by one; more are taken as all.
const COMPARED_MAX: usize = 1 << 20;

/// Widest range of integers that is enumerated for HASH. The server enumerates short ranges too;
/// more partitions than this many values would be rare.
const ENUMERATED_MAX: u32 = 64;

/// A place in the order of a column's values.
#[derive(Clone, Copy)]
enum Point<'a> {
    /// NULL, or below everything that begins like this.
    Bottom,
    Key(&'a Key<'a>),
    /// Above everything but MAXVALUE.
    Top,
}

/// Chooses among the partitions of one level.
pub(super) struct Chooser<'a, 'd> {
    pub(super) table: &'a Table,
    pub(super) level: &'a Level,
    pub(super) parts: &'a Parts,
    pub(super) context: &'a Context<'a>,
    /// One for each column of the table.
    pub(super) domains: &'d [Domain<'a>],
}

impl Chooser<'_, '_> {
    /// The partitions, and whether these are exactly the ones that such rows can be in.
    pub(super) fn choose(&self) -> (LeafSet, IsExact) {
        work::step();
        let all = || (LeafSet::all(self.parts.count), IsExact(false));
        if self
            .level
            .columns
            .iter()
            .any(|c| self.domain(*c).is_nothing())
        {
            return (LeafSet::empty(self.parts.count), IsExact(true));
        }
        let Some(chosen) = (match (&self.level.formula, self.level.method) {
            (Some(formula), _) => self.by_formula(formula),
            (None, Method::Hash | Method::Key) => self.by_hash(),
            (None, Method::Range | Method::Interval) => self.by_range(),
            (None, Method::List) => self.by_list(),
        }) else {
            return all();
        };
        chosen
    }

    fn domain(&self, column: usize) -> &Domain<'_> {
        self.domains.get(column).unwrap_or(&Domain::All)
    }

    /// Calls `each` with every combination of values of the columns. False: there are too many,
    /// or a column has no list of values.
    fn combinations(
        &self,
        columns: &[usize],
        mut each: impl FnMut(&[&Key<'_>]) -> Option<()>,
    ) -> bool {
        let mut lists: [&[Key<'_>]; COLUMNS_MAX] = [&[]; COLUMNS_MAX];
        let mut count = 1_usize;
        if columns.len() > COLUMNS_MAX {
            return false;
        }
        for (list, column) in lists.iter_mut().zip(columns) {
            let Domain::Values(values) = self.domain(*column) else {
                return false;
            };
            *list = values;
            count = count.saturating_mul(values.len());
        }
        if count > COMBINATIONS_MAX {
            return false;
        }
        let null = Key::Null;
        let mut row: [&Key<'_>; COLUMNS_MAX] = [&null; COLUMNS_MAX];
        for number in 0..count {
            let mut rest = number;
            for (place, list) in row.iter_mut().zip(&lists).take(columns.len()) {
                let at = rest % list.len().max(1);
                rest /= list.len().max(1);
                *place = list.get(at).unwrap_or(&null);
            }
            if each(row.get(..columns.len()).unwrap_or_default()).is_none() {
                return false;
            }
        }
        true
    }

    fn by_hash(&self) -> Option<(LeafSet, IsExact)> {
        let mut set = LeafSet::empty(self.parts.count);
        let columns = &self.level.columns;
        let count = u64::from(self.parts.count);
        let is_hash = self.level.method == Method::Hash;
        if is_hash
            && let [only] = columns.as_slice()
            && let Some(numbers) = self.domain(*only).integers(ENUMERATED_MAX)
        {
            numbers.for_each(|n| set.add(hash_index(n, count)));
            return Some((set, IsExact(true)));
        }
        let is_known = self.combinations(columns, |row| {
            if is_hash {
                let n = match row {
                    [Key::Int(n)] => *n,
                    [Key::Null] => 0,
                    _ => return None,
                };
                set.add(hash_index(n, count));
                return Some(());
            }
            let mut hash = 0;
            for (key, column) in row.iter().zip(columns) {
                hash = self.table.columns.get(*column)?.hash(key, hash)?;
            }
            set.add((hash.cast_signed().unsigned_abs() % count) as u32);
            Some(())
        });
        is_known.then_some((set, IsExact(true)))
    }

    /// Partitions of bounds. Values are looked up; a range takes all partitions between its ends;
    /// columns behind the first that is no list of values are not looked at.
    fn by_range(&self) -> Option<(LeafSet, IsExact)> {
        let columns = &self.level.columns;
        let is_list = |c: &&usize| matches!(self.domain(**c), Domain::Values(_));
        let prefix = columns.iter().take_while(is_list).count();
        let (prefix, rest) = columns.split_at_checked(prefix)?;
        let end = rest.first().map(|c| self.domain(*c));
        let mut set = LeafSet::empty(self.parts.count);
        let mut is_exact = true;
        let is_known = self.combinations(prefix, |row| {
            let width = columns.len();
            let mut points = [Point::Bottom; COLUMNS_MAX];
            for (point, key) in points.iter_mut().zip(row) {
                *point = Point::Key(key);
            }
            let (low, high) = match end {
                Some(Domain::Range(low, high)) => (low.as_ref(), high.as_ref()),
                _ => (None, None),
            };
            let place = points.get_mut(row.len()..width)?;
            place.fill(Point::Bottom);
            if let (Some(low), Some(first)) = (low, place.first_mut()) {
                *first = Point::Key(&low.key);
            }
            // A lower end that is not closed begins behind all rows that have it.
            if let (Some(low), Some((_, behind))) = (low, place.split_first_mut())
                && !low.is_closed
            {
                behind.fill(Point::Top);
            }
            let first = self.search(points.get(..width)?, false)?;
            let place = points.get_mut(row.len()..width)?;
            place.fill(Point::Top);
            let mut stops_below = false;
            if let (Some(high), Some((first, behind))) = (high, place.split_first_mut()) {
                *first = Point::Key(&high.key);
                if !high.is_closed {
                    behind.fill(Point::Bottom);
                    stops_below = true;
                }
            }
            let last = self.search(points.get(..width)?, stops_below)?;
            // Behind the last bound there is no partition, or none yet.
            if first >= self.parts.count && self.level.method == Method::Interval {
                return None;
            }
            is_exact &= self.level.method != Method::Interval || last < self.parts.count;
            set.add_range(first, last.saturating_add(1));
            Some(())
        });
        let sees_all = rest.len() <= 1;
        is_known.then_some((set, IsExact(is_exact && sees_all)))
    }

    /// Index of the first partition whose bound is greater than the point, or, with `or_equal`,
    /// not smaller; the number of partitions if there is none. `None` if a comparison is not known.
    fn search(&self, points: &[Point<'_>], or_equal: bool) -> Option<u32> {
        let (mut low, mut high) = (0, self.parts.bounds.len());
        while low < high {
            work::step();
            let middle = usize::midpoint(low, high);
            let order = self.compare(self.parts.bounds.get(middle)?, points)?;
            let is_behind = order.is_gt() || (or_equal && order.is_eq());
            if is_behind {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        u32::try_from(low).ok()
    }

    fn compare(&self, bound: &[Bound], points: &[Point<'_>]) -> Option<Ordering> {
        for ((bound, point), column) in bound.iter().zip(points).zip(&self.level.columns) {
            let order = match (bound, point) {
                (Bound::Max, _) => Ordering::Greater,
                (Bound::Value(Key::Null), Point::Bottom) => Ordering::Equal,
                (_, Point::Bottom) => Ordering::Greater,
                (_, Point::Top) => Ordering::Less,
                (Bound::Value(bound), Point::Key(key)) => {
                    self.table.columns.get(*column)?.compare(bound, key)?
                }
            };
            if order.is_ne() {
                return Some(order);
            }
        }
        Some(Ordering::Equal)
    }

    fn by_list(&self) -> Option<(LeafSet, IsExact)> {
        let columns = &self.level.columns;
        let mut set = LeafSet::empty(self.parts.count);
        let looked_up = self.combinations(columns, |row| {
            if let Some(part) = self.list_part(row)? {
                set.add(part);
            }
            Some(())
        });
        if looked_up {
            return Some((set, IsExact(true)));
        }
        // Lists that any column excludes are out; what is in no list is in the default.
        let values = columns.iter().map(|c| match self.domain(*c) {
            Domain::Values(values) => values.len(),
            _ => 0,
        });
        if values.sum::<usize>().saturating_mul(self.parts.rows.len()) > COMPARED_MAX {
            return None;
        }
        let mut set = LeafSet::empty(self.parts.count);
        for (row, part) in &self.parts.rows {
            let fits = row.iter().zip(columns).all(|(bound, column)| {
                let described = self.table.columns.get(*column);
                match (bound, described) {
                    (Bound::Value(key), Some(it)) => self.domain(*column).may_contain(key, it),
                    _ => true,
                }
            });
            if fits {
                set.add(*part);
            }
        }
        if let Some(part) = self.parts.default {
            set.add(part);
        }
        Some((set, IsExact(self.parts.default.is_none())))
    }

    /// The partition whose list has the row, or the default; the inner `None`: no partition, the
    /// outer: not known.
    fn list_part(&self, row: &[&Key<'_>]) -> Option<Option<u32>> {
        let listed = |at: usize| self.parts.rows.get(at);
        if let Some(order) = &self.parts.order {
            let (mut low, mut high) = (0, order.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                let (listed, part) = listed(*order.get(middle)? as usize)?;
                match self.list_order(listed, row)? {
                    Ordering::Equal => return Some(Some(*part)),
                    Ordering::Less => low = middle + 1,
                    Ordering::Greater => high = middle,
                }
            }
            return Some(self.parts.default);
        }
        for (listed, part) in &self.parts.rows {
            if self.list_order(listed, row)?.is_eq() {
                return Some(Some(*part));
            }
        }
        Some(self.parts.default)
    }

    /// Order of a row of a list against a row of values.
    fn list_order(&self, listed: &[Bound], row: &[&Key<'_>]) -> Option<Ordering> {
        work::step();
        for ((bound, key), column) in listed.iter().zip(row).zip(&self.level.columns) {
            let Bound::Value(bound) = bound else {
                return None;
            };
            let order = match self.level.formula {
                None => self.table.columns.get(*column)?.compare(bound, key)?,
                Some(_) => number_order(bound, key)?,
            };
            if order.is_ne() {
                return Some(order);
            }
        }
        Some(Ordering::Equal)
    }

    /// HASH, RANGE and LIST of an expression.
    fn by_formula(&self, formula: &Formula) -> Option<(LeafSet, IsExact)> {
        let mut set = LeafSet::empty(self.parts.count);
        let looked_up = self.combinations(&formula.columns, |row| {
            let key = self.formula_key(formula, row)?;
            let part = match self.level.method {
                Method::Hash => match key {
                    Key::Int(n) => Some(hash_index(n, self.parts.count.into())),
                    Key::Decimal(n) if n.is_integer() => {
                        let n = super::value::rounded(&n)?;
                        Some(hash_index(n, self.parts.count.into()))
                    }
                    Key::Null => Some(0),
                    _ => return None,
                },
                Method::Range | Method::Interval => Some(self.formula_search(&key, false)?),
                Method::List => self.list_part(&[&key])?,
                Method::Key => return None,
            };
            if let Some(part) = part {
                set.add(part);
            }
            Some(())
        });
        if looked_up {
            return Some((set, IsExact(true)));
        }
        self.by_monotonic(formula)
    }

    /// RANGE of an expression that never falls while its column grows.
    fn by_monotonic(&self, formula: &Formula) -> Option<(LeafSet, IsExact)> {
        let [column] = formula.columns.as_slice() else {
            return None;
        };
        let Domain::Range(low, high) = self.domain(*column) else {
            return None;
        };
        if self.level.method != Method::Range || !formula.never_falls() {
            return None;
        }
        let place = |end: &Option<End<'_>>, other: u32| match end {
            None => Some(other),
            Some(end) => self.formula_search(&self.formula_key(formula, &[&end.key])?, false),
        };
        let mut set = LeafSet::empty(self.parts.count);
        let first = place(low, 0)?;
        let last = place(high, self.parts.count)?;
        set.add_range(first, last.saturating_add(1));
        Some((set, IsExact(false)))
    }

    /// The value of the expression for a row.
    fn formula_key(&self, formula: &Formula, row: &[&Key<'_>]) -> Option<Key<'static>> {
        let find = |name: &[u8]| {
            let column = self.table.column(bare_name(name))?;
            let place = formula.columns.iter().position(|c| *c == column)?;
            let value = self.table.columns.get(column)?;
            value
                .value(row.get(place)?, self.context.zone)
                .map(Value::into_owned)
        };
        let source = Source {
            tree: &formula.scan.tree,
            text: &formula.text,
            context: self.context,
            columns: Some(&find),
        };
        match source.constant(formula.root)? {
            Value::Null => Some(Key::Null),
            Value::Int(n) => Some(Key::Int(n)),
            // Of seconds with a fraction, and of long decimals.
            Value::Decimal(n) => Some(Key::Decimal(n)),
            _ => None,
        }
    }

    fn formula_search(&self, key: &Key<'_>, or_equal: bool) -> Option<u32> {
        let is_behind = |bound: &Bound| match (bound, key) {
            (Bound::Max, _) => Some(true),
            (_, Key::Null) => Some(true),
            (Bound::Value(bound), key) => {
                let order = number_order(bound, key)?;
                Some(order.is_gt() || (or_equal && order.is_eq()))
            }
        };
        let (mut low, mut high) = (0, self.parts.bounds.len());
        while low < high {
            work::step();
            let middle = usize::midpoint(low, high);
            match is_behind(self.parts.bounds.get(middle)?.first()?)? {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        u32::try_from(low).ok()
    }
}

/// Most columns of a key; the server allows 16.
pub(super) const COLUMNS_MAX: usize = 16;

/// Order of two numbers, whole or not, NULL in front; `None` if one is none.
pub(super) fn number_order(a: &Key<'_>, b: &Key<'_>) -> Option<Ordering> {
    let decimal = |key: &Key<'_>| match key {
        Key::Int(n) => Some(BigDecimal::from(*n)),
        Key::Decimal(n) => Some(n.clone()),
        _ => None,
    };
    match (a, b) {
        (Key::Null, Key::Null) => Some(Ordering::Equal),
        (Key::Null, _) => Some(Ordering::Less),
        (_, Key::Null) => Some(Ordering::Greater),
        (Key::Int(a), Key::Int(b)) => Some(a.cmp(b)),
        _ => Some(decimal(a)?.cmp(&decimal(b)?)),
    }
}

/// The partition of a number by HASH.
pub(super) fn hash_index(n: i128, count: u64) -> u32 {
    // 64 bits of two's complement; the smallest one has no absolute value and takes the largest.
    let n = (n as u64).cast_signed();
    let absolute = n.checked_abs().unwrap_or(i64::MAX).unsigned_abs();
    (absolute % count.max(1)) as u32
}

/// Counts what costs time, for tests of how it grows.
pub(super) mod work {
    #[cfg(test)]
    thread_local! {
        static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }

    /// One choice among the partitions of a level, or one comparison with a bound or a row.
    #[inline]
    pub(in crate::partition) fn step() {
        #[cfg(test)]
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    /// Steps since the last call.
    #[cfg(test)]
    pub(in crate::partition) fn taken() -> u64 {
        STEPS.with(|steps| steps.replace(0))
    }
}
