//! Random tables, and the rules of partitioning read slowly: each row is held against one
//! partition at a time.

use super::condition::Row;
use obring::base::Rng;
use obring::partition::{KeyRow, Layout, PartRow, Product, Table};

/// Which partition a row of a level is in.
enum Parts {
    /// HASH of a column, or of what is left of it divided by the number.
    Hash(u32, Option<i128>),
    Key(u32),
    /// Bounds, ascending; `None` is MAXVALUE.
    Range(Vec<Vec<Option<i128>>>),
    /// Rows of each partition; none: the default.
    List(Vec<Vec<Vec<Option<i128>>>>),
}

struct Level {
    columns: Vec<usize>,
    parts: Parts,
}

/// A random table of integer columns.
pub(super) struct Spec {
    /// Object type numbers of the key columns: 1 TINYINT, 5 BIGINT, 10 BIGINT UNSIGNED.
    types: [u32; 2],
    levels: Vec<Level>,
}

impl Level {
    fn random(rng: &mut Rng, types: [u32; 2]) -> Self {
        let mut columns: Vec<usize> = match rng.below(4) {
            0 => vec![1],
            1 => vec![0, 1],
            _ => vec![0],
        };
        let count = 1 + rng.below(6) as u32;
        // Bounds that the columns can hold, as the server demands.
        let is_unsigned = columns.iter().any(|c| types[*c] == 10);
        let least = if is_unsigned { 0 } else { -9 };
        let number = move |rng: &mut Rng| rng.below(19) as i128 + least;
        let parts = match rng.below(4) {
            0 => {
                columns.truncate(1);
                Parts::Hash(count, rng.chance(1, 4).then_some(7))
            }
            1 => Parts::Key(count),
            2 => {
                let mut bounds: Vec<Vec<Option<i128>>> = (0..count)
                    .map(|_| columns.iter().map(|_| Some(number(rng))).collect())
                    .collect();
                bounds.sort();
                bounds.dedup();
                if rng.chance(1, 2) {
                    bounds.push(vec![None; columns.len()]);
                }
                Parts::Range(bounds)
            }
            _ => {
                let mut seen: Vec<Vec<Option<i128>>> = vec![];
                let mut lists: Vec<_> = (0..count)
                    .map(|_| {
                        let mut rows: Vec<Vec<Option<i128>>> = vec![];
                        for _ in 0..=rng.below(3) {
                            let one = |rng: &mut Rng| {
                                let is_null = rng.chance(1, 10);
                                (!is_null).then(|| number(rng))
                            };
                            let row: Vec<_> = columns.iter().map(|_| one(rng)).collect();
                            if !seen.contains(&row) {
                                seen.push(row.clone());
                                rows.push(row);
                            }
                        }
                        rows
                    })
                    .filter(|rows| !rows.is_empty())
                    .collect();
                if rng.chance(1, 3) || lists.is_empty() {
                    lists.push(vec![]);
                }
                Parts::List(lists)
            }
        };
        Self { columns, parts }
    }

    fn count(&self) -> u32 {
        match &self.parts {
            Parts::Hash(count, _) | Parts::Key(count) => *count,
            Parts::Range(bounds) => bounds.len() as u32,
            Parts::List(lists) => lists.len() as u32,
        }
    }

    /// True if the row is in the partition (routing.md 4.2, 4.3, 4.6).
    fn holds(&self, part: u32, row: &Row) -> bool {
        let values: Vec<_> = self.columns.iter().map(|c| row[*c]).collect();
        match &self.parts {
            Parts::Hash(count, divisor) => {
                let value = values[0].map(|n| divisor.map_or(n, |d| n % d));
                let n = (value.unwrap_or(0) as u64).cast_signed();
                let size = if n == i64::MIN { i64::MAX } else { n.abs() };
                size % i64::from(*count) == i64::from(part)
            }
            Parts::Key(count) => {
                let hash = values.iter().fold(0, |seed, value| match value {
                    None => murmur(&[0; 4], seed),
                    Some(n) => murmur(&(*n as u64).to_le_bytes(), seed),
                });
                hash.cast_signed().unsigned_abs() % u64::from(*count) == u64::from(part)
            }
            Parts::Range(bounds) => {
                let is_below = |bound: &Vec<Option<i128>>| {
                    for (value, bound) in values.iter().zip(bound) {
                        match (value, bound) {
                            (_, None) | (None, Some(_)) => return true,
                            (Some(value), Some(bound)) if value != bound => return value < bound,
                            _ => {}
                        }
                    }
                    false
                };
                let part = part as usize;
                is_below(&bounds[part]) && (part == 0 || !is_below(&bounds[part - 1]))
            }
            Parts::List(lists) => match &lists[part as usize] {
                rows if rows.is_empty() => !lists.iter().flatten().any(|r| *r == values),
                rows => rows.contains(&values),
            },
        }
    }

    /// `part_type` and `part_expr`.
    fn described(&self, is_sub: bool) -> (u32, String) {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|c| super::condition::NAMES[*c])
            .collect();
        let names = names.join(",");
        match &self.parts {
            Parts::Hash(_, None) => (0, names),
            Parts::Hash(_, Some(divisor)) => (0, format!("{names} % {divisor}")),
            Parts::Key(_) => (1, names),
            Parts::Range(_) if self.columns.len() == 1 && !is_sub => (3, names),
            Parts::Range(_) => (4, names),
            Parts::List(_) if self.columns.len() == 1 && !is_sub => (5, names),
            Parts::List(_) => (6, names),
        }
    }

    /// `high_bound_val_bin` of each partition (routing.md 3.7).
    fn bounds(&self) -> Vec<Vec<u8>> {
        let max = [
            0x19, 7, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        let row = |values: &[Option<i128>], none: &[u8]| {
            let mut bytes = vec![values.len() as u8];
            for value in values {
                match value {
                    None => bytes.extend(none),
                    Some(n) => {
                        bytes.extend([5, 5, 63, 0]);
                        let mut rest = *n as u64;
                        while rest >= 0x80 {
                            bytes.push(rest as u8 | 0x80);
                            rest >>= 7;
                        }
                        bytes.push(rest as u8);
                    }
                }
            }
            bytes
        };
        match &self.parts {
            Parts::Hash(count, _) | Parts::Key(count) => vec![vec![]; *count as usize],
            Parts::Range(bounds) => bounds.iter().map(|b| row(b, &max)).collect(),
            Parts::List(lists) => {
                let width = self.columns.len();
                let listed = |rows: &Vec<Vec<Option<i128>>>| match rows.as_slice() {
                    [] => [row(&vec![None; width], &max), vec![0]].concat(),
                    rows => rows
                        .iter()
                        .flat_map(|r| [row(r, &[0, 6, 63, 0]), vec![0]].concat())
                        .collect(),
                };
                lists.iter().map(listed).collect()
            }
        }
    }
}

impl Spec {
    /// A random one.
    pub(super) fn random(rng: &mut Rng) -> Self {
        let all = [1, 5, 5, 5, 10];
        let kind = |rng: &mut Rng| all[rng.below(all.len() as u64) as usize];
        let count = 1 + rng.below(3) / 2;
        let types = [kind(rng), kind(rng)];
        Self {
            types,
            levels: (0..count).map(|_| Level::random(rng, types)).collect(),
        }
    }

    /// Its key columns, of all levels.
    pub(super) fn keys(&self) -> Vec<usize> {
        self.levels.iter().flat_map(|l| l.columns.clone()).collect()
    }

    /// As obring gets it from the metadata.
    pub(super) fn table(&self) -> Result<Table, String> {
        let described: Vec<_> = self
            .levels
            .iter()
            .enumerate()
            .map(|(at, level)| level.described(at == 1))
            .collect();
        let layout = Layout {
            part_type: described[0].0,
            part_expr: described[0].1.as_bytes(),
            sub: described
                .get(1)
                .map(|(kind, expr)| (*kind, expr.as_bytes())),
        };
        let mut keys = vec![];
        for (level, number) in self.levels.iter().zip(1..) {
            for column in &level.columns {
                keys.push(KeyRow {
                    level: number,
                    name: super::condition::NAMES[*column].as_bytes(),
                    type_number: self.types[*column],
                    index: *column as i32,
                    rowkey_index: -1,
                    collation: 63,
                    extra: b"",
                    length: -1,
                    precision: 20,
                    scale: 0,
                    default: None,
                });
            }
        }
        let bounds: Vec<_> = self.levels.iter().map(Level::bounds).collect();
        let numbered = |bounds: &[Vec<u8>], id: Option<u64>| -> Vec<(u64, u64, Vec<u8>)> {
            let one = |(at, bound): (u64, &Vec<u8>)| (id.unwrap_or(at), at, bound.clone());
            (0..).zip(bounds).map(one).collect()
        };
        let parts = numbered(&bounds[0], None);
        let subs: Vec<_> = match bounds.get(1) {
            Some(own) => (0..parts.len() as u64)
                .flat_map(|id| numbered(own, Some(id)))
                .collect(),
            None => vec![],
        };
        let parts: Vec<PartRow<'_>> = parts.iter().map(part_row).collect();
        let subs: Vec<PartRow<'_>> = subs.iter().map(part_row).collect();
        let table = Table::new(&layout, &keys, &parts, &subs, Product::OceanBase);
        let mut table = table.map_err(|e| e.to_string())?;
        for column in self.keys() {
            let name = super::condition::NAMES[column];
            table.declare(name.as_bytes(), "bigint", 63);
        }
        Ok(table)
    }

    /// True if a column can hold the value.
    pub(super) fn fits(&self, column: usize, value: i128) -> bool {
        match self.types.get(column) {
            Some(1) => (-128..=127).contains(&value),
            Some(10) => u64::try_from(value).is_ok(),
            Some(_) => i64::try_from(value).is_ok(),
            None => true,
        }
    }

    /// Partition and subpartition of a row, found by holding it against each.
    pub(super) fn place(&self, row: &Row) -> Option<(u32, u32)> {
        let find = |level: &Level| (0..level.count()).find(|part| level.holds(*part, row));
        let first = find(&self.levels[0])?;
        match self.levels.get(1) {
            None => Some((first, 0)),
            Some(level) => Some((first, find(level)?)),
        }
    }

    /// The number of the leaf of a place.
    pub(super) fn leaf(&self, (first, second): (u32, u32)) -> u32 {
        first * self.levels.get(1).map_or(1, Level::count) + second
    }

    /// Rows that stand for all: every small value, and the ends of the types.
    pub(super) fn rows(&self) -> Vec<Row> {
        let values = |column: usize| -> Vec<Option<i128>> {
            let ends = [i64::MIN.into(), i64::MAX.into(), u64::MAX.into(), -128, 127];
            let all = (-18..=18).chain(ends);
            let fitting = all.filter(|n| self.fits(column, *n)).map(Some);
            fitting.chain([None]).collect()
        };
        let (first, second) = (values(0), values(1));
        let mut rows = vec![];
        for a in &first {
            for b in &second {
                rows.extend([None, Some(0), Some(3)].map(|z| [*a, *b, z]));
            }
        }
        rows
    }
}

fn part_row((part_id, tablet, bound): &(u64, u64, Vec<u8>)) -> PartRow<'_> {
    PartRow {
        part_id: *part_id,
        name: b"p",
        tablet: *tablet,
        bound,
    }
}

/// MurmurHash64A as routing.md 4.2 writes it.
fn murmur(bytes: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut h = seed ^ (bytes.len() as u64).wrapping_mul(M);
    for chunk in bytes.chunks(8) {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        let mut k = u64::from_le_bytes(padded);
        if chunk.len() == 8 {
            k = k.wrapping_mul(M);
            k ^= k >> 47;
            k = k.wrapping_mul(M);
        }
        h = (h ^ k).wrapping_mul(M);
    }
    h ^= h >> 47;
    h = h.wrapping_mul(M);
    h ^ (h >> 47)
}
