//! The two shapes of tables, and their rows.

use super::transaction::TransactionId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of one table; more are refused.
pub(super) const ROWS_MAX: usize = 20_000_000;

/// A value of a row or of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    Null,
    Int(i64),
    /// Also a decimal, as text.
    Text(Vec<u8>),
}

/// A stored row, by columns.
pub(super) type Row = Arc<[Value]>;

/// A column as results define it. Figures as observed on seekdb 1.3.0.post5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// MYSQL_TYPE.
    pub(super) kind: u8,
    pub(super) charset: u16,
    /// Longest value, in bytes.
    pub(super) length: u32,
    pub(super) flags: u16,
    /// Longest text, in characters; 0 for numbers.
    pub(super) chars: usize,
}

pub(super) const LONG: u8 = 0x03;
pub(super) const LONGLONG: u8 = 0x08;
pub(super) const DECIMAL: u8 = 0xF6;
pub(super) const VAR_STRING: u8 = 0xFD;
const STRING: u8 = 0xFE;
/// Character sets of numbers and of texts.
pub(super) const BINARY: u16 = 63;
pub(super) const UTF8MB4: u16 = 45;

const fn number(name: &'static str, kind: u8, length: u32, flags: u16) -> Column {
    Column {
        name,
        kind,
        charset: BINARY,
        length,
        flags,
        chars: 0,
    }
}

const fn text(name: &'static str, kind: u8, chars: usize, flags: u16) -> Column {
    Column {
        name,
        kind,
        charset: UTF8MB4,
        length: chars as u32 * 4,
        flags,
        chars,
    }
}

/// `kv(id bigint primary key, v varchar(255))`.
const KV: [Column; 2] = [
    number("id", LONGLONG, 20, 0x4003),
    text("v", VAR_STRING, 255, 0),
];

/// `sbtest1(id int auto_increment primary key, k int, c char(120), pad char(60))`, as sysbench
/// makes it.
const SBTEST: [Column; 4] = [
    number("id", LONG, 11, 0x4203),
    number("k", LONG, 11, 0x0009),
    text("c", STRING, 120, 1),
    text("pad", STRING, 60, 1),
];

/// The shape of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    Kv,
    Sbtest,
}

impl Shape {
    pub(super) const fn columns(self) -> &'static [Column] {
        match self {
            Self::Kv => &KV,
            Self::Sbtest => &SBTEST,
        }
    }

    /// Place of a column.
    pub(super) fn place(self, name: &str) -> Option<usize> {
        let columns = self.columns().iter();
        columns
            .map(|c| c.name)
            .position(|n| n.eq_ignore_ascii_case(name))
    }

    /// A row with nothing given but its id.
    pub(super) fn empty(self, id: i64) -> Vec<Value> {
        match self {
            Self::Kv => vec![Value::Int(id), Value::Null],
            Self::Sbtest => {
                let text = || Value::Text(vec![]);
                vec![Value::Int(id), Value::Int(0), text(), text()]
            }
        }
    }
}

/// A place for a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// What everybody reads.
    pub(super) committed: Option<Row>,
    /// Who has it locked, and what is there for them.
    pub(super) pending: Option<(TransactionId, Option<Row>)>,
}

impl Slot {
    /// What a transaction sees here.
    pub(super) fn seen(&self, transaction: Option<TransactionId>) -> Option<&Row> {
        match &self.pending {
            Some((owner, row)) if Some(*owner) == transaction => row.as_ref(),
            _ => self.committed.as_ref(),
        }
    }
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// Its number; its tablets have those that follow.
    pub(super) id: u64,
    pub(super) shape: Shape,
    /// Leaves of HASH(id); 0 for a table without partitions.
    pub(super) partitions: u32,
    /// By leaf, then by id: the order in which rows are read where none is asked for (observed on
    /// seekdb 1.3.0.post5).
    rows: Vec<BTreeMap<i64, Slot>>,
    count: usize,
    /// What AUTO_INCREMENT gives next.
    pub(super) next_id: i64,
}

impl Table {
    pub(super) fn new(name: &str, id: u64, shape: Shape, partitions: u32) -> Self {
        Self {
            name: name.into(),
            id,
            shape,
            partitions,
            rows: vec![BTreeMap::new(); partitions.max(1) as usize],
            count: 0,
            next_id: 1,
        }
    }

    /// The leaf of a row: `|id| mod n`.
    pub(super) const fn leaf(&self, id: i64) -> u32 {
        if self.partitions == 0 {
            return 0;
        }
        // The kernel takes INT64_MAX for the number without a positive counterpart.
        let magnitude = match id.checked_abs() {
            Some(n) => n as u64,
            None => i64::MAX as u64,
        };
        (magnitude % self.partitions as u64) as u32
    }

    /// Numbers of its tablets, by leaf.
    pub(super) fn tablets(&self) -> Vec<u64> {
        (1..=u64::from(self.partitions.max(1)))
            .map(|n| self.id + n)
            .collect()
    }

    pub(super) fn slot(&self, id: i64) -> Option<&Slot> {
        self.rows.get(self.leaf(id) as usize)?.get(&id)
    }

    /// The place of a row, made if there is none; none in a full table.
    pub(super) fn slot_mut(&mut self, id: i64) -> Option<&mut Slot> {
        let leaf = self.leaf(id) as usize;
        let rows = self.rows.get_mut(leaf)?;
        if !rows.contains_key(&id) {
            if self.count >= ROWS_MAX {
                return None;
            }
            self.count += 1;
        }
        Some(rows.entry(id).or_default())
    }

    /// Forgets a place that nothing is in.
    pub(super) fn tidy(&mut self, id: i64) {
        let leaf = self.leaf(id) as usize;
        if let Some(rows) = self.rows.get_mut(leaf)
            && let Some(slot) = rows.get(&id)
            && slot.committed.is_none()
            && slot.pending.is_none()
        {
            rows.remove(&id);
            self.count -= 1;
        }
    }

    /// Ids between two, both included, in the order of reading. Without rows, too.
    pub(super) fn ids(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, &Slot)> {
        let range = (from <= to).then_some(from..=to);
        self.rows
            .iter()
            .flat_map(move |rows| range.clone().map(|range| rows.range(range)))
            .flatten()
            .map(|(id, slot)| (*id, slot))
    }
}

/// Text of row `n` of a canned result: its number, then a filling that depends on it.
#[must_use]
pub fn row_text(n: u64, len: usize) -> Vec<u8> {
    let mut text = vec![b'a' + (n % 26) as u8; len];
    for (place, digit) in text.iter_mut().zip(format!("{n:012}").bytes()) {
        *place = digit;
    }
    text
}
