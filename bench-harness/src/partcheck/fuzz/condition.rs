//! Random conditions on integer columns, as text and as what they mean.

use obring::base::Rng;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// A row: the columns of [`NAMES`].
pub(super) type Row = [Option<i128>; 3];

/// Columns of the tables. The last one is never a key.
pub(super) const NAMES: [&str; 3] = ["a", "b", "z"];

/// A number in halves, so that 2.5 is one; `None`: NULL.
pub(super) type Halves = Option<i128>;

/// A random literal. They are small, so that few rows stand for all; a few are at the ends of the
/// types.
pub(super) fn literal(rng: &mut Rng) -> Halves {
    Some(match rng.below(30) {
        0 => return None,
        1 | 2 => rng.below(41) as i128 - 20,
        3 => 2 * i128::from(i64::MAX),
        4 => 2 * i128::from(i64::MIN),
        5 => 2 * i128::from(u64::MAX),
        6 => 2 * (127 + rng.below(2) as i128),
        _ => 2 * (rng.below(21) as i128 - 10),
    })
}

/// A literal in one of its forms.
pub(super) fn written(rng: &mut Rng, value: Halves) -> String {
    let Some(halves) = value else {
        return "null".into();
    };
    let (sign, size) = (if halves < 0 { "-" } else { "" }, halves.unsigned_abs());
    let (whole, is_half) = (size / 2, size % 2 == 1);
    if is_half {
        return match rng.below(3) {
            0 => format!("'{sign}{whole}.5'"),
            1 => format!("{sign}{whole}.50"),
            _ => format!("{sign}{whole}.5"),
        };
    }
    match rng.below(12) {
        0 => format!("'{sign}{whole}'"),
        1 => format!("{sign}{whole}.0"),
        2 => format!("({sign}{whole})"),
        3 if sign.is_empty() => format!("+{whole}"),
        // Beside a string the literal alone would be bytes.
        4 if sign.is_empty() => format!("{whole:#06x} + 0"),
        5 if sign.is_empty() => format!("/*5*/ 00{whole}"),
        6 if size < 1_000 => format!("{sign}{whole} + 0"),
        _ => format!("{sign}{whole}"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    NullSafe,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// A condition: what it means, and how it is written.
pub(super) enum Condition {
    Compare(Op, Side, Side),
    In(Side, Vec<Side>),
    Between(Side, Side, Side),
    IsNull(Side),
    Is(Side),
    Rows(Vec<Side>, Vec<Vec<Side>>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// A column and what is added to it, or a literal.
pub(super) enum Side {
    Column(usize, i128),
    Literal(Halves),
}

impl Side {
    fn value(&self, row: &Row) -> Halves {
        match self {
            Self::Column(at, more) => row[*at].map(|n| 2 * (n + more)),
            Self::Literal(halves) => *halves,
        }
    }

    fn write(&self, rng: &mut Rng, prefix: &str, to: &mut String) {
        let text = match self {
            Self::Literal(value) => written(rng, *value),
            Self::Column(at, more) => {
                let name = NAMES[*at];
                let name = match rng.below(5) {
                    0 => name.to_uppercase(),
                    1 => format!("`{name}`"),
                    2 if prefix.is_empty() => format!("({name})"),
                    _ => name.to_owned(),
                };
                match more {
                    0 => format!("{prefix}{name}"),
                    more => format!("{prefix}{name} + {more}"),
                }
            }
        };
        *to += &text;
    }
}

fn column(rng: &mut Rng) -> Side {
    Side::Column(
        [0, 0, 0, 1, 1, 2][rng.below(6) as usize],
        i128::from(rng.chance(1, 12)),
    )
}

fn constant(rng: &mut Rng) -> Side {
    Side::Literal(literal(rng))
}

impl Condition {
    /// A random one, of so many levels at most.
    pub(super) fn random(rng: &mut Rng, depth: u32) -> Self {
        use Op::*;
        let all = [
            Equal,
            Equal,
            Equal,
            NullSafe,
            NotEqual,
            Less,
            LessEqual,
            Greater,
            GreaterEqual,
        ];
        let op = all[rng.below(all.len() as u64) as usize];
        match rng.below(if depth == 0 { 9 } else { 15 }) {
            0..=2 => Self::Compare(op, column(rng), constant(rng)),
            3 => Self::Compare(op, constant(rng), column(rng)),
            4 => {
                let list = (0..=rng.below(4)).map(|_| constant(rng)).collect();
                Self::In(column(rng), list)
            }
            5 => Self::Between(column(rng), constant(rng), constant(rng)),
            6 => Self::IsNull(column(rng)),
            7 => {
                let pair = |rng: &mut Rng| vec![constant(rng), constant(rng)];
                let rows = (0..=rng.below(3)).map(|_| pair(rng)).collect();
                let columns = [[0, 1], [1, 0], [0, 2]][rng.below(3) as usize];
                Self::Rows(columns.map(|c| Side::Column(c, 0)).into(), rows)
            }
            8 => match rng.below(4) {
                0 => Self::Compare(op, column(rng), column(rng)),
                1 => Self::Compare(op, constant(rng), constant(rng)),
                2 => Self::Is(constant(rng)),
                _ => Self::Is(column(rng)),
            },
            9 | 10 => Self::Not(Box::new(Self::random(rng, depth - 1))),
            11..=12 => Self::And(Self::several(rng, depth - 1)),
            _ => Self::Or(Self::several(rng, depth - 1)),
        }
    }

    fn several(rng: &mut Rng, depth: u32) -> Vec<Self> {
        (0..2 + rng.below(2))
            .map(|_| Self::random(rng, depth))
            .collect()
    }

    /// True, false, or NULL for a row.
    pub(super) fn holds(&self, row: &Row) -> Option<bool> {
        match self {
            Self::Compare(op, a, b) => compare(*op, a.value(row), b.value(row)),
            Self::In(value, list) => {
                let value = value.value(row);
                any(list
                    .iter()
                    .map(|item| compare(Op::Equal, value, item.value(row))))
            }
            Self::Between(value, low, high) => {
                let value = value.value(row);
                all([
                    compare(Op::GreaterEqual, value, low.value(row)),
                    compare(Op::LessEqual, value, high.value(row)),
                ]
                .into_iter())
            }
            Self::IsNull(value) => Some(value.value(row).is_none()),
            Self::Is(value) => value.value(row).map(|n| n != 0),
            Self::Rows(columns, rows) => any(rows.iter().map(|items| {
                let pairs = columns.iter().zip(items);
                all(pairs.map(|(a, b)| compare(Op::Equal, a.value(row), b.value(row))))
            })),
            Self::Not(inner) => inner.holds(row).map(|it| !it),
            Self::And(list) => all(list.iter().map(|c| c.holds(row))),
            Self::Or(list) => any(list.iter().map(|c| c.holds(row))),
        }
    }

    /// True if it is about these columns alone, compares them with values that they can hold, and
    /// says what they are: what they are not narrows nothing, on the server neither, and the
    /// server takes the partition of a value that no row has.
    pub(super) fn is_about(&self, keys: &[usize], fits: &dyn Fn(i128) -> bool) -> bool {
        let is_key = |side: &Side| match side {
            Side::Column(at, _) => keys.contains(at),
            Side::Literal(value) => value.is_none_or(|halves| fits(halves / 2)),
        };
        let are_keys = |sides: &[Side]| sides.iter().all(is_key);
        match self {
            Self::Compare(op, a, b) => *op != Op::NotEqual && is_key(a) && is_key(b),
            Self::Between(a, b, c) => is_key(a) && is_key(b) && is_key(c),
            Self::In(value, list) => is_key(value) && are_keys(list),
            Self::IsNull(value) | Self::Is(value) => is_key(value),
            Self::Rows(columns, rows) => are_keys(columns) && rows.iter().all(|r| are_keys(r)),
            Self::Not(_) => false,
            Self::And(list) | Self::Or(list) => list.iter().all(|c| c.is_about(keys, fits)),
        }
    }

    /// Writes it, columns with a prefix.
    pub(super) fn write(&self, rng: &mut Rng, prefix: &str, to: &mut String) {
        match self {
            Self::Compare(op, a, b) => {
                a.write(rng, prefix, to);
                let gap = [" ", "", "\n", " /*c*/ "][rng.below(4) as usize];
                let sign = match op {
                    Op::Equal => "=",
                    Op::NullSafe => "<=>",
                    Op::NotEqual => "<>",
                    Op::Less => "<",
                    Op::LessEqual => "<=",
                    Op::Greater => ">",
                    Op::GreaterEqual => ">=",
                };
                let _ = write!(to, "{gap}{sign}{gap}");
                b.write(rng, prefix, to);
            }
            Self::In(value, list) => {
                value.write(rng, prefix, to);
                *to += " in ";
                write_list(list, rng, prefix, to);
            }
            Self::Between(value, low, high) => {
                value.write(rng, prefix, to);
                *to += " between ";
                low.write(rng, prefix, to);
                *to += " and ";
                high.write(rng, prefix, to);
            }
            Self::IsNull(value) => {
                value.write(rng, prefix, to);
                *to += " is null";
            }
            Self::Is(value) => value.write(rng, prefix, to),
            Self::Rows(columns, rows) => {
                write_list(columns, rng, prefix, to);
                if let [only] = rows.as_slice() {
                    *to += " = ";
                    return write_list(only, rng, prefix, to);
                }
                *to += " in (";
                for (at, row) in rows.iter().enumerate() {
                    *to += if at == 0 { "" } else { "," };
                    write_list(row, rng, prefix, to);
                }
                *to += ")";
            }
            Self::Not(inner) => {
                *to += "not (";
                inner.write(rng, prefix, to);
                *to += ")";
            }
            Self::And(list) | Self::Or(list) => {
                let word = match (self, rng.below(3)) {
                    (Self::And(_), 0) => "&&",
                    (Self::And(_), _) => "and",
                    (_, 0) => "||",
                    _ => "OR",
                };
                for (at, inner) in list.iter().enumerate() {
                    if at > 0 {
                        let _ = write!(to, " {word} ");
                    }
                    *to += "(";
                    inner.write(rng, prefix, to);
                    *to += ")";
                }
            }
        }
    }
}

fn write_list(list: &[Side], rng: &mut Rng, prefix: &str, to: &mut String) {
    *to += "(";
    for (at, side) in list.iter().enumerate() {
        *to += if at == 0 { "" } else { ", " };
        side.write(rng, prefix, to);
    }
    *to += ")";
}

fn compare(op: Op, a: Halves, b: Halves) -> Option<bool> {
    if op == Op::NullSafe {
        return Some(a == b);
    }
    let order = a?.cmp(&b?);
    Some(match op {
        Op::Equal | Op::NullSafe => order == Ordering::Equal,
        Op::NotEqual => order != Ordering::Equal,
        Op::Less => order == Ordering::Less,
        Op::LessEqual => order != Ordering::Greater,
        Op::Greater => order == Ordering::Greater,
        Op::GreaterEqual => order != Ordering::Less,
    })
}

fn all(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut is_known = true;
    for value in values {
        match value {
            Some(false) => return Some(false),
            Some(true) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(true)
}

fn any(values: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(values.map(|it| it.map(|it| !it))).map(|it| !it)
}
