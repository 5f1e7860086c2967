//! How a table is partitioned, from the rows of the metadata (routing.md 3).

use super::choose::number_order;
use super::collation::Collation;
use super::column::{Column, Default, Kind, Product};
use super::declared::ColumnRow;
use super::object::{Bound, Object, Objects};
use super::quick::HashKey;
use super::value::Key;
use crate::sql::{Expr, NodeId, Scan, bare_name, same_name};
use std::cmp::Ordering;
use std::fmt;

/// Most leaves of a table; the server allows 8,192.
pub const LEAVES_MAX: usize = 65_536;

/// What the metadata says about the table, the same in all of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// `part_type`: 0 HASH, 1 KEY, 2 KEY(), 3 RANGE, 4 RANGE COLUMNS, 5 LIST, 6 LIST COLUMNS,
    /// 7 INTERVAL.
    pub part_type: u32,
    /// `part_expr`
    pub part_expr: &'a [u8],
    /// `sub_part_type` and `sub_part_expr`; `None` if the table has one level.
    pub sub: Option<(u32, &'a [u8])>,
}

/// One row of `__all_virtual_proxy_partition_info`: a key column of a level.
#[derive(Clone, Copy, Debug)]
pub struct KeyRow<'a> {
    /// `part_key_level`: 1, 2
    pub level: u32,
    /// `part_key_name`
    pub name: &'a [u8],
    /// `part_key_type`
    pub type_number: u32,
    /// `part_key_idx`
    pub index: i32,
    /// `part_key_rowkey_idx`
    pub rowkey_index: i32,
    /// `part_key_collation_type`
    pub collation: u32,
    /// `part_key_extra`: the expression of a generated column
    pub extra: &'a [u8],
    /// `part_key_length`
    pub length: i32,
    /// `part_key_precision`
    pub precision: i32,
    /// `part_key_scale`
    pub scale: i32,
    /// `part_key_default_value`
    pub default: Option<&'a [u8]>,
}

/// One row of `__all_virtual_proxy_partition` or `__all_virtual_proxy_sub_partition`, in the
/// order of the answer.
#[derive(Clone, Copy, Debug)]
pub struct PartRow<'a> {
    /// `part_id`: of the partition, or of the one that the subpartition belongs to.
    pub part_id: u64,
    /// `part_name`
    pub name: &'a [u8],
    /// `tablet_id`; 0 for a partition with subpartitions.
    pub tablet: u64,
    /// `high_bound_val_bin`; empty for HASH and KEY.
    pub bound: &'a [u8],
}

/// Why a table cannot be described: its statements have no known partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// Keys that only a tenant in Oracle mode has: how literals become keys there is not known.
    Mode,
    /// A partition type that is not known.
    Method,
    /// A column type that is not known, or not as it should be.
    Column,
    /// The expression cannot be read.
    Expression,
    /// A bound cannot be read.
    Bound,
    /// Rows that do not fit together.
    Rows,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mode => "table of a tenant in Oracle mode",
            Self::Method => "partition type is not known",
            Self::Column => "column type is not known",
            Self::Expression => "partition expression cannot be read",
            Self::Bound => "partition bound cannot be read",
            Self::Rows => "rows of the metadata do not fit together",
        })
    }
}

/// How a level chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Hash,
    Key,
    Range,
    /// As RANGE, but partitions behind the last are made on demand.
    Interval,
    List,
}

/// An expression of the metadata.
#[derive(Clone, Debug)]
pub(super) struct Formula {
    pub(super) text: Vec<u8>,
    pub(super) scan: Scan,
    pub(super) root: NodeId,
    /// Columns in it: indexes of [`Table::columns`].
    pub(super) columns: Vec<usize>,
}

impl Formula {
    fn read(text: &[u8]) -> Option<Self> {
        let mut scan = Scan::default();
        let root = scan.read_expression(text)?;
        Some(Self {
            text: text.to_vec(),
            scan,
            root,
            columns: Vec::new(),
        })
    }

    /// Names of columns in it, as written.
    pub(super) fn names(&self) -> Vec<&[u8]> {
        let (tree, mut found, mut open) = (&self.scan.tree, vec![], vec![self.root]);
        while let Some(node) = open.pop() {
            let first = match tree.get(node) {
                Expr::Column(span) => {
                    let name = span.of(&self.text);
                    if !found.contains(&name) {
                        found.push(name);
                    }
                    NodeId::NONE
                }
                Expr::Call(_, first)
                | Expr::Row(first)
                | Expr::Interval(first)
                | Expr::Case(first)
                | Expr::Arithmetic(_, first)
                | Expr::Compare(_, first)
                | Expr::Negate(first)
                | Expr::BitNot(first)
                | Expr::Between(first)
                | Expr::In(first)
                | Expr::IsNull(first)
                | Expr::And(first)
                | Expr::Or(first)
                | Expr::Not(first) => first,
                _ => NodeId::NONE,
            };
            open.extend(tree.children(first));
        }
        found
    }
}

/// One level of partitioning.
#[derive(Clone, Debug)]
pub(super) struct Level {
    pub(super) method: Method,
    /// Key columns in the order of the key: indexes of [`Table::columns`].
    pub(super) columns: Vec<usize>,
    /// The expression, if the key is one and no bare column.
    pub(super) formula: Option<Formula>,
    /// The key is an expression by the table's definition, though it may be a bare column.
    is_expression: bool,
}

/// The partitions of a level, or of one partition.
#[derive(Clone, PartialEq, Debug, std::default::Default)]
pub(super) struct Parts {
    pub(super) count: u32,
    /// RANGE: a bound for each partition.
    pub(super) bounds: Vec<Vec<Bound>>,
    /// LIST: rows, and the partition of each.
    pub(super) rows: Vec<(Vec<Bound>, u32)>,
    /// LIST: places in the rows in the order of their values, to search in; `None` if of some it is
    /// not known which is smaller.
    pub(super) order: Option<Vec<u32>>,
    /// LIST: the partition of everything else.
    pub(super) default: Option<u32>,
}

/// A leaf: what owns a tablet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Index of the partition.
    pub part: u32,
    /// Index of the subpartition within it; `None` with one level.
    pub sub: Option<u32>,
    /// Its tablet.
    pub tablet: u64,
    /// Its name.
    pub name: Vec<u8>,
}

/// A partitioned table.
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) columns: Vec<Column>,
    /// Columns that generated keys are computed from, as far as their types are known.
    pub(super) sources: Vec<Column>,
    /// Expressions of generated columns, one for each column.
    pub(super) formulas: Vec<Option<Formula>>,
    pub(super) first: Level,
    pub(super) first_parts: Parts,
    pub(super) second: Option<Level>,
    /// Subpartitions of each partition.
    pub(super) second_parts: Vec<Parts>,
    /// For each partition one whose subpartitions are the same: by a template all.
    pub(super) second_like: Vec<u32>,
    /// Number of the first leaf of each partition.
    pub(super) offsets: Vec<u32>,
    leaves: Vec<Leaf>,
    part_names: Vec<Vec<u8>>,
    /// The key, if it is of the kind that most questions are about.
    pub(super) hash_key: Option<HashKey>,
}

impl Table {
    /// Describes a table.
    ///
    /// # Errors
    /// What is not understood; such a table's statements have no known partition.
    pub fn new(
        layout: &Layout<'_>,
        keys: &[KeyRow<'_>],
        parts: &[PartRow<'_>],
        subs: &[PartRow<'_>],
        product: Product,
    ) -> Result<Self, TableError> {
        if parts.len().max(subs.len()) > LEAVES_MAX || parts.is_empty() {
            return Err(TableError::Rows);
        }
        let columns = columns(keys, product)?;
        let first = level(layout.part_type, layout.part_expr, 1, keys, &columns)?;
        let first_parts = read_parts(&first, parts, &columns, product)?;
        let formula = |c: &Column| match c.generated.as_slice() {
            [] => Ok(None),
            text => Formula::read(text).map(Some).ok_or(TableError::Expression),
        };
        let formulas = columns.iter().map(formula).collect::<Result<_, _>>()?;
        let mut table = Self {
            columns,
            formulas,
            sources: Vec::new(),
            first,
            first_parts,
            second: None,
            second_parts: Vec::new(),
            second_like: Vec::new(),
            offsets: Vec::new(),
            leaves: Vec::new(),
            part_names: parts.iter().map(|p| p.name.to_vec()).collect(),
            hash_key: None,
        };
        if let Some((kind, expr)) = layout.sub {
            table.second = Some(level(kind, expr, 2, keys, &table.columns)?);
        }
        for (row, part) in parts.iter().zip(0..) {
            table.offsets.push(table.leaves.len() as u32);
            let leaf = |sub: Option<u32>, row: &PartRow<'_>| Leaf {
                part,
                sub,
                tablet: row.tablet,
                name: row.name.to_vec(),
            };
            let Some(second) = &table.second else {
                table.leaves.push(leaf(None, row));
                continue;
            };
            let own: Vec<_> = subs
                .iter()
                .filter(|s| s.part_id == row.part_id)
                .copied()
                .collect();
            if own.is_empty() {
                return Err(TableError::Rows);
            }
            table
                .second_parts
                .push(read_parts(second, &own, &table.columns, product)?);
            let own = own.iter().zip(0..).map(|(row, sub)| leaf(Some(sub), row));
            table.leaves.extend(own);
        }
        table.second_like = alike(&table.second_parts);
        table.hash_key = HashKey::of(&table);
        Ok(table)
    }

    /// Adds what a column's declaration says and the metadata does not: the members of ENUM and
    /// SET, NOT NULL, AUTO_INCREMENT, or the type of a column that a generated key is computed
    /// from. `declared` is the type as `SHOW COLUMNS` writes it. A declaration that is not
    /// understood adds nothing.
    pub fn declare(&mut self, name: &[u8], declared: &str, collation: u32) {
        let said = Said {
            members: super::declared::members(declared),
            is_nullable: !super::declared::has_words(declared, &["not", "null"]),
            is_auto: super::declared::has_words(declared, &["auto_increment"]),
        };
        if !self.declare_key(name, said)
            && self.computes_from(name)
            && let Some(column) = super::declared::column(name, declared, collation)
        {
            self.sources.push(column);
        }
    }

    /// The same, from a row of `__all_virtual_column`.
    pub fn declare_column(&mut self, row: &ColumnRow<'_>, product: Product) {
        let said = Said {
            members: row.members(),
            is_nullable: row.is_nullable,
            is_auto: row.is_auto,
        };
        if !self.declare_key(row.name, said)
            && self.computes_from(row.name)
            && let Some(column) = row.column(product)
        {
            self.sources.push(column);
        }
    }

    /// [`Table::declare_column`] would add something: without it some leaves cannot be told.
    #[must_use]
    pub fn needs_columns(&self) -> bool {
        // What a row has where an INSERT says NULL, nothing or zero.
        let is_open = |c: &Column| c.is_nullable.is_none() || c.is_auto.is_none();
        let has_members = |c: &Column| matches!(c.kind, Kind::Enum | Kind::Set);
        let needs = |c: &Column| is_open(c) || has_members(c);
        self.columns.iter().any(needs) || self.formulas.iter().any(Option::is_some)
    }

    /// Adds to a key column; false: it is none.
    fn declare_key(&mut self, name: &[u8], said: Said) -> bool {
        let mut keys = self.columns.iter_mut().filter(|c| same_name(&c.name, name));
        let Some(column) = keys.next() else {
            return false;
        };
        column.members = said.members;
        column.is_nullable.get_or_insert(said.is_nullable);
        column.is_auto.get_or_insert(said.is_auto);
        true
    }

    /// A generated key is computed from that column.
    fn computes_from(&self, name: &[u8]) -> bool {
        let has = |formula: &Formula| {
            let names = formula.names();
            names.iter().any(|n| same_name(bare_name(n), name))
        };
        self.formulas.iter().flatten().any(has)
    }

    /// Its leaves, in order: the number of a leaf in a set is its place here.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// How many leaves it has.
    #[must_use]
    pub fn leaf_count(&self) -> u32 {
        self.leaves.len() as u32
    }

    /// Leaves of a name: of a leaf, or of a partition with subpartitions.
    pub(super) fn named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
        let is_part = |leaf: &Leaf| {
            let part = self.part_names.get(leaf.part as usize);
            part.is_some_and(|p| same_name(p, name))
        };
        let leaves = self.leaves.iter().zip(0_u32..);
        let named = leaves.filter(move |(leaf, _)| same_name(&leaf.name, name) || is_part(leaf));
        named.map(|(_, number)| number)
    }

    /// Index of a key column by the last part of its name.
    pub(super) fn column(&self, name: &[u8]) -> Option<usize> {
        self.columns.iter().position(|c| same_name(&c.name, name))
    }

    /// Key columns, then the columns that generated ones are computed from.
    pub(super) fn described(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().chain(&self.sources)
    }

    /// True if a level, or a generated column, is an expression to be evaluated.
    pub(super) fn has_formulas(&self) -> bool {
        let is_one = |level: &Level| level.formula.is_some();
        let levels = is_one(&self.first) || self.second.as_ref().is_some_and(is_one);
        levels || self.formulas.iter().any(Option::is_some)
    }

    /// True if a level has ranges of the column, itself or in an expression.
    pub(super) fn has_ranges_of(&self, column: usize) -> bool {
        let has = |level: &Level| {
            let is_range = matches!(level.method, Method::Range | Method::Interval);
            is_range && level.columns.contains(&column)
        };
        has(&self.first) || self.second.as_ref().is_some_and(has)
    }

    /// True for the name of one of them.
    pub(super) fn describes(&self, name: &[u8]) -> bool {
        self.described().any(|c| same_name(&c.name, name))
    }

    /// A key column by its name.
    #[must_use]
    pub fn key_column(&self, name: &[u8]) -> Option<&Column> {
        self.columns.get(self.column(name)?)
    }
}

/// What a declaration says of a key column.
struct Said {
    members: Vec<Vec<u8>>,
    is_nullable: bool,
    is_auto: bool,
}

/// Columns of the rows, each once.
fn columns(keys: &[KeyRow<'_>], product: Product) -> Result<Vec<Column>, TableError> {
    let mut columns: Vec<Column> = Vec::new();
    for row in keys {
        if columns.iter().any(|c| c.name == row.name) {
            continue;
        }
        let kind = Kind::of(row.type_number, product).ok_or(TableError::Column)?;
        let default = match row.default {
            None => Default::Value(Key::Null),
            Some(bytes) => match Objects::new(bytes, product).object() {
                Some(Object::Now) => Default::Now,
                Some(Object::Bound(Bound::Value(key))) => Default::Value(key),
                _ => Default::Unknown,
            },
        };
        let mut column = Column {
            name: row.name.to_vec(),
            index: row.index,
            kind,
            collation: Collation::of(row.collation),
            length: row.length,
            precision: row.precision,
            scale: row.scale,
            is_unsigned: matches!(row.type_number, 13 | 14 | 16),
            // Columns of the primary key cannot be NULL.
            is_nullable: (row.rowkey_index >= 0).then_some(false),
            is_auto: match kind.may_be_auto() && row.extra.is_empty() {
                true => None,
                false => Some(false),
            },
            generated: row.extra.to_vec(),
            default,
            members: Vec::new(),
        };
        column.fit_default();
        columns.push(column);
    }
    Ok(columns)
}

fn level(
    kind: u32,
    expr: &[u8],
    number: u32,
    keys: &[KeyRow<'_>],
    columns: &[Column],
) -> Result<Level, TableError> {
    let (method, is_formula) = match kind {
        0 => (Method::Hash, true),
        1 | 2 => (Method::Key, false),
        3 => (Method::Range, true),
        4 => (Method::Range, false),
        5 => (Method::List, true),
        6 => (Method::List, false),
        7 => (Method::Interval, false),
        _ => return Err(TableError::Method),
    };
    let find = |name: &[u8]| columns.iter().position(|c| same_name(&c.name, name));
    if expr.trim_ascii().is_empty() {
        // KEY(): the columns of the primary key in the order of the table. Observed on seekdb
        // 1.3.0: what order the primary key has them in does not count.
        let mut own: Vec<_> = keys.iter().filter(|k| k.level == number).collect();
        own.sort_by_key(|k| k.index);
        let own: Option<Vec<_>> = own.iter().map(|k| find(k.name)).collect();
        let columns = own.filter(|c| !c.is_empty()).ok_or(TableError::Rows)?;
        return Ok(Level {
            method,
            columns,
            formula: None,
            is_expression: is_formula,
        });
    }
    let names: Option<Vec<_>> = expr
        .split(|b| *b == b',')
        .map(|n| find(n.trim_ascii()))
        .collect();
    // HASH, RANGE and LIST of MySQL mode are over integers; over other columns, or several, they
    // are called KEY, RANGE COLUMNS and LIST COLUMNS. In Oracle mode the same three are over
    // columns of all types, and integers are of the older form of DECIMAL (routing.md 3.4, 4.9).
    if let Some(bare) = &names {
        let is_whole = |c: &Column| matches!(c.kind, Kind::Int { .. } | Kind::Bit | Kind::Year);
        let is_older = |c: &Column| matches!(c.kind, Kind::Number | Kind::DateTime);
        let mut own = bare.iter().filter_map(|at| columns.get(*at));
        let is_oracle = match (is_formula, method) {
            (true, _) => bare.len() > 1 || !own.all(is_whole),
            (false, Method::Interval) => own.any(is_older),
            _ => false,
        };
        if is_oracle {
            return Err(TableError::Mode);
        }
    }
    if let Some(columns) = names {
        return Ok(Level {
            method,
            columns,
            formula: None,
            is_expression: is_formula,
        });
    }
    let mut formula = Formula::read(expr)
        .filter(|_| is_formula)
        .ok_or(TableError::Expression)?;
    let mut own = Vec::new();
    for name in formula.names() {
        let column = find(bare_name(name)).ok_or(TableError::Expression)?;
        if !own.contains(&column) {
            own.push(column);
        }
    }
    formula.columns.clone_from(&own);
    Ok(Level {
        method,
        columns: own,
        formula: Some(formula),
        is_expression: true,
    })
}

fn read_parts(
    level: &Level,
    rows: &[PartRow<'_>],
    columns: &[Column],
    product: Product,
) -> Result<Parts, TableError> {
    let mut parts = Parts {
        count: rows.len() as u32,
        ..Parts::default()
    };
    let width = match level.formula {
        Some(_) => 1,
        None => level.columns.len(),
    };
    for (row, part) in rows.iter().zip(0..) {
        let mut objects = Objects::new(row.bound, product);
        match level.method {
            Method::Hash | Method::Key => {}
            Method::Range | Method::Interval => {
                let bound = objects
                    .row()
                    .filter(|b| b.len() == width && objects.is_done());
                let mut bound = bound.ok_or(TableError::Bound)?;
                stored_years(level, &mut bound, columns);
                parts.bounds.push(bound);
            }
            Method::List => {
                while !objects.is_done() {
                    let mut row = objects.list_row().ok_or(TableError::Bound)?;
                    stored_years(level, &mut row, columns);
                    if row.first() == Some(&Bound::Max) {
                        parts.default = Some(part);
                    } else if row.len() == width {
                        parts.rows.push((row, part));
                    } else {
                        return Err(TableError::Bound);
                    }
                }
            }
        }
    }
    // The order of bounds is what a search relies on: checked once, here.
    if !are_ordered(&parts.bounds, level, columns) {
        return Err(TableError::Bound);
    }
    parts.order = list_order(&parts.rows, level, columns);
    Ok(parts)
}

/// For each of several partitions' parts a place of the same ones: the one in front, or the first.
fn alike(all: &[Parts]) -> Vec<u32> {
    let mut like: Vec<u32> = Vec::with_capacity(all.len());
    for (parts, at) in all.iter().zip(0..) {
        let before = like.last().copied().unwrap_or(0);
        let is_same = |other: &u32| all.get(*other as usize) == Some(parts);
        like.push([before, 0].into_iter().find(is_same).unwrap_or(at));
    }
    like
}

/// The order of the rows of lists; `None`: not known.
fn list_order(rows: &[(Vec<Bound>, u32)], level: &Level, columns: &[Column]) -> Option<Vec<u32>> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    let mut is_known = true;
    order.sort_by(|a, b| {
        let [a, b] = [a, b].map(|at| rows.get(*at as usize).map_or(&[][..], |(row, _)| row));
        let order = level.compare(a, b, columns);
        is_known &= order.is_some();
        order.unwrap_or(Ordering::Equal)
    });
    is_known.then_some(order)
}

/// RANGE(y) and LIST(y) over a YEAR count ordinary years, in bounds of another type. Bounds are
/// kept as the column stores them: since 1900, with 0 for the year 0.
fn stored_years(level: &Level, bounds: &mut [Bound], columns: &[Column]) {
    let is_year = level.formula.is_none()
        && level.is_expression
        && level
            .columns
            .iter()
            .all(|c| columns.get(*c).is_some_and(|c| c.kind == Kind::Year));
    if !is_year {
        return;
    }
    for bound in bounds {
        if let Bound::Value(Key::Int(year)) = bound {
            *year = match *year {
                // Kept as a YEAR already.
                ..=255 => *year,
                256..=1901 => 1,
                _ => *year - 1900,
            };
        }
    }
}

/// False if one bound is known to be smaller than the one in front of it.
fn are_ordered(bounds: &[Vec<Bound>], level: &Level, columns: &[Column]) -> bool {
    bounds.windows(2).all(|pair| {
        let [a, b] = pair else {
            return true;
        };
        level.compare(a, b, columns).is_none_or(Ordering::is_le)
    })
}

impl Level {
    /// Which of two bounds is smaller; `None` if that is not known.
    fn compare(&self, a: &[Bound], b: &[Bound], columns: &[Column]) -> Option<Ordering> {
        for ((a, b), column) in a.iter().zip(b).zip(&self.columns) {
            let order = match (a, b) {
                (Bound::Max, Bound::Max) => Ordering::Equal,
                (Bound::Max, _) => Ordering::Greater,
                (_, Bound::Max) => Ordering::Less,
                (Bound::Value(a), Bound::Value(b)) => match self.formula {
                    Some(_) => number_order(a, b)?,
                    None => columns.get(*column)?.compare(a, b)?,
                },
            };
            if order.is_ne() {
                return Some(order);
            }
        }
        Some(Ordering::Equal)
    }
}

impl Formula {
    /// True for a function of one column that never falls while the column grows.
    pub(super) fn never_falls(&self) -> bool {
        let Expr::Call(name, first) = self.scan.tree.get(self.root) else {
            return false;
        };
        let is_plain = self
            .scan
            .tree
            .exactly::<1>(first)
            .is_some_and(|[argument]| matches!(self.scan.tree.get(argument), Expr::Column(_)));
        let name = name.of(&self.text);
        is_plain
            && [
                "year",
                "to_days",
                "to_seconds",
                "unix_timestamp",
                "floor",
                "ceiling",
                "ceil",
            ]
            .iter()
            .any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_oracle_mode_are_refused() {
        let key = |name: &'static [u8], type_number: u32| KeyRow {
            level: 1,
            name,
            type_number,
            index: 0,
            rowkey_index: 0,
            collation: 63,
            extra: b"",
            length: -1,
            precision: 10,
            scale: 0,
            default: None,
        };
        let part = PartRow {
            part_id: 1,
            name: b"P0",
            tablet: 1,
            bound: &[
                1, 0x19, 7, 0, 0, 0xfe, 255, 255, 255, 255, 255, 255, 255, 255, 1,
            ],
        };
        let (int, number, date, text) = (5, 15, 17, 22);
        for (part_type, expr, types, want) in [
            (0, "A", vec![int], None),
            (0, "A", vec![number], Some(TableError::Mode)),
            (0, "A", vec![text], Some(TableError::Mode)),
            (0, "A,B", vec![int, int], Some(TableError::Mode)),
            (1, "A", vec![text], None),
            (3, "A", vec![int], None),
            (3, "A", vec![date], Some(TableError::Mode)),
            (4, "A", vec![date], None),
            (5, "A", vec![text], Some(TableError::Mode)),
            (7, "A", vec![date], Some(TableError::Mode)),
            (7, "A", vec![int], None),
            (9, "A", vec![int], Some(TableError::Method)),
            (1, "A", vec![36], Some(TableError::Column)),
        ] {
            let layout = Layout {
                part_type,
                part_expr: expr.as_bytes(),
                sub: None,
            };
            let names: [&[u8]; 2] = [b"A", b"B"];
            let keys: Vec<_> = names
                .into_iter()
                .zip(&types)
                .map(|(n, t)| key(n, *t))
                .collect();
            let mut part = part;
            if part_type < 3 {
                part.bound = b"";
            } else if part_type == 5 {
                part.bound = &[];
            }
            let table = Table::new(&layout, &keys, &[part], &[], Product::OceanBase);
            assert_eq!(table.err(), want, "{part_type} {expr} {types:?}");
        }
    }
}
