//! Columns that partitions are chosen by.

use super::collation::Collation;
use super::murmur::murmur;
use super::session::Context;
use super::temporal::Moment;
use super::value::{Key, Value};
use super::zone::Zone;
use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::Sign;
use std::cmp::Ordering;

/// Which kernel numbers the types: the numbers above 35 differ (routing.md 3.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Product {
    /// OceanBase from 4.3.
    OceanBase,
    /// seekdb, whose version comment contains its name.
    SeekDb,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Kind {
    /// Whole numbers between two bounds.
    Int {
        min: i64,
        max: u64,
    },
    Bit,
    Enum,
    Set,
    Float,
    Double,
    /// The older form of DECIMAL.
    Number,
    DecimalInt,
    /// The older form: days.
    Date,
    /// The older form: microseconds.
    DateTime,
    Timestamp,
    /// Packed.
    MysqlDate,
    /// Packed.
    MysqlDateTime,
    Time,
    Year,
    Char,
    Varchar,
}

impl Kind {
    /// True for types that AUTO_INCREMENT may stand behind.
    #[must_use]
    pub(super) const fn may_be_auto(self) -> bool {
        matches!(self, Self::Int { .. } | Self::Float | Self::Double)
    }

    /// True for dates, with a time or without.
    pub(super) const fn is_date(self) -> bool {
        matches!(
            self,
            Self::Date | Self::DateTime | Self::Timestamp | Self::MysqlDate | Self::MysqlDateTime
        )
    }

    /// By object type number (routing.md 3.5); `None` for one that is not expected.
    #[must_use]
    pub const fn of(number: u32, product: Product) -> Option<Self> {
        const fn signed(bits: u32) -> Kind {
            let max = (1_u64 << (bits - 1)) - 1;
            Kind::Int {
                min: -(max as i64) - 1,
                max,
            }
        }
        const fn unsigned(bits: u32) -> Kind {
            Kind::Int {
                min: 0,
                max: u64::MAX >> (64 - bits),
            }
        }
        Some(match (number, product) {
            (1, _) => signed(8),
            (2, _) => signed(16),
            (3, _) => signed(24),
            (4, _) => signed(32),
            (5, _) => signed(64),
            (6, _) => unsigned(8),
            (7, _) => unsigned(16),
            (8, _) => unsigned(24),
            (9, _) => unsigned(32),
            (10, _) => unsigned(64),
            (11 | 13, _) => Self::Float,
            (12 | 14, _) => Self::Double,
            (15 | 16, _) => Self::Number,
            (17, _) => Self::DateTime,
            (18, _) => Self::Timestamp,
            (19, _) => Self::Date,
            (20, _) => Self::Time,
            (21, _) => Self::Year,
            (22, _) => Self::Varchar,
            (23, _) => Self::Char,
            (31, _) => Self::Bit,
            (32, _) => Self::Enum,
            (33, _) => Self::Set,
            (39, Product::SeekDb) | (50, Product::OceanBase) => Self::DecimalInt,
            (41, Product::SeekDb) | (52, Product::OceanBase) => Self::MysqlDate,
            (42, Product::SeekDb) | (53, Product::OceanBase) => Self::MysqlDateTime,
            _ => return None,
        })
    }
}

/// Value of a default, generated, or ordinary column that an INSERT leaves out.
#[derive(Clone, PartialEq, Debug)]
pub enum Default {
    /// Not known: a form that is not read.
    Unknown,
    /// This.
    Value(Key<'static>),
    /// CURRENT_TIMESTAMP
    Now,
}

/// A column.
#[derive(Clone, PartialEq, Debug)]
pub struct Column {
    /// Its name.
    pub name: Vec<u8>,
    /// Its position in the table, from 0; for columns that are not keys -1.
    pub index: i32,
    /// What it holds.
    pub kind: Kind,
    /// How its strings are compared; `None` if that is not known.
    pub collation: Option<Collation>,
    /// Characters of a string; -1 if that does not apply.
    pub length: i32,
    /// Digits, or bits of BIT; -1 likewise.
    pub precision: i32,
    /// Digits behind the point, also of seconds; -1 likewise.
    pub scale: i32,
    /// UNSIGNED, for numbers that are no integers.
    pub is_unsigned: bool,
    /// Whether it can be NULL; `None` if that is not known.
    pub is_nullable: Option<bool>,
    /// AUTO_INCREMENT; `None` if that is not known.
    pub is_auto: Option<bool>,
    /// The expression of a generated column; empty for others.
    pub generated: Vec<u8>,
    /// What an INSERT without it stores.
    pub default: Default,
    /// Members of ENUM and SET in the column's character set; empty if they are not known.
    pub members: Vec<Vec<u8>>,
}

/// Days of the zero date, where it is counted in days (routing.md 4.2).
const ZERO_DATE_DAYS: i64 = -106_751_991;
/// Microseconds of the zero date, where it is counted in microseconds.
const ZERO_DATE_US: i64 = -9_223_372_022_400_000_000;

impl Column {
    /// The stored form of a date with time. `None` if the session's clock does not know it.
    pub(super) fn moment_key(&self, m: &Moment, zone: Option<Zone>) -> Option<Key<'static>> {
        let is_zero = m.is_zero();
        Some(Key::Int(i128::from(match self.kind {
            Kind::Date if is_zero => ZERO_DATE_DAYS,
            Kind::Date => m.days()?,
            Kind::DateTime | Kind::Timestamp if is_zero => ZERO_DATE_US,
            Kind::DateTime => m.epoch_us()?,
            Kind::Timestamp => zone?.to_utc_us(m)?,
            Kind::MysqlDate => m.packed_date(),
            Kind::MysqlDateTime => m.packed_datetime(),
            _ => return None,
        })))
    }

    /// A stored value as a constant, for expressions over the column.
    pub(super) fn value<'k>(&self, key: &Key<'k>, zone: Option<Zone>) -> Option<Value<'k>> {
        let moment = |n: i128| {
            let n = i64::try_from(n).ok()?;
            match self.kind {
                Kind::Date if n == ZERO_DATE_DAYS => Some(Moment::default()),
                Kind::Date => Moment::from_days(n),
                _ if n == ZERO_DATE_US => Some(Moment::default()),
                Kind::DateTime => Moment::from_epoch_us(n),
                Kind::Timestamp => zone?.wall_clock(n),
                Kind::MysqlDate => Moment::from_packed_date(n),
                _ => Moment::from_packed_datetime(n),
            }
        };
        Some(match (key, self.kind) {
            (Key::Null, _) => Value::Null,
            (Key::Int(n), Kind::Date | Kind::MysqlDate) => Value::Date(moment(*n)?),
            (Key::Int(n), Kind::DateTime | Kind::Timestamp | Kind::MysqlDateTime) => {
                Value::DateTime(moment(*n)?)
            }
            (Key::Int(n), Kind::Time) => Value::Time(i64::try_from(*n).ok()?),
            (Key::Int(0), Kind::Year) => Value::Int(0),
            (Key::Int(n), Kind::Year) => Value::Int(n + 1900),
            (Key::Int(n), _) => Value::Int(*n),
            (Key::Real(n), _) => Value::Real(*n),
            (Key::Decimal(n), _) => Value::Decimal(n.clone()),
            (Key::Bytes(b), _) => Value::Text(b.clone(), self.collation?.charset()),
        })
    }

    /// True if the server may store a number of its own where an INSERT has this value: in an
    /// AUTO_INCREMENT column instead of zero, which is taken as it is only under
    /// NO_AUTO_VALUE_ON_ZERO. What is rounded to zero counts as well, observed on seekdb 1.3.0.
    pub(super) fn is_replaced(&self, stored: &Key<'_>) -> bool {
        let is_zero = match stored {
            Key::Null => true,
            Key::Int(n) => *n == 0,
            Key::Real(n) => *n == 0.0,
            Key::Decimal(_) | Key::Bytes(_) => false,
        };
        is_zero && self.is_auto != Some(false)
    }

    /// Makes the default what the column stores. The metadata has it as it was written: seconds
    /// may have more digits than the column.
    pub(super) fn fit_default(&mut self) {
        let Default::Value(Key::Int(n)) = self.default else {
            return;
        };
        if !matches!(
            self.kind,
            Kind::DateTime | Kind::Timestamp | Kind::MysqlDateTime | Kind::Time
        ) {
            return;
        }
        let zone = Some(Zone::Fixed(0));
        let context = Context {
            zone,
            ..Context::default()
        };
        let stored = self
            .value(&Key::Int(n), zone)
            .and_then(|value| self.store(&value, &context));
        self.default = match stored {
            Some(key) => Default::Value(key.into_owned()),
            None => Default::Unknown,
        };
    }

    /// The hash of a stored value, continuing from `seed` (routing.md 4.2).
    pub(super) fn hash(&self, key: &Key<'_>, seed: u64) -> Option<u64> {
        Some(match key {
            Key::Null if self.kind == Kind::DecimalInt => murmur(&[], seed),
            Key::Null => murmur(&[0; 4], seed),
            // 64 bits of the two's complement, whether signed or not.
            Key::Int(n) => murmur(&(*n as u64).to_le_bytes(), seed),
            Key::Real(n) if self.kind == Kind::Double && self.scale >= 0 => {
                let digits = usize::try_from(self.scale).ok()?;
                let n = without_sign(*n);
                murmur(format!("{n:.digits$}").as_bytes(), seed)
            }
            Key::Real(n) => {
                let n = without_sign(*n);
                murmur(&n.to_le_bytes(), seed)
            }
            Key::Decimal(n) => self.hash_decimal(n, seed)?,
            Key::Bytes(b) => self.collation?.hash(b, seed)?,
        })
    }

    fn hash_decimal(&self, n: &BigDecimal, seed: u64) -> Option<u64> {
        let (integer, scale) = n.as_bigint_and_scale();
        if self.kind == Kind::DecimalInt {
            // No column has such a value, and which partition the server looks at is not known.
            if scale != i64::from(self.scale.max(0)) {
                return None;
            }
            // Words of 32 bits; those that only repeat the sign do not count.
            let mut bytes = integer.to_signed_bytes_le();
            let fill = if integer.sign() == Sign::Minus {
                0xff
            } else {
                0
            };
            bytes.resize(bytes.len().next_multiple_of(4).max(4), fill);
            return Some(murmur(&bytes, seed));
        }
        let (sign, digits) = number_digits(n)?;
        let seed = murmur(&[sign], seed);
        let bytes: Vec<u8> = digits.iter().flat_map(|d| d.to_le_bytes()).collect();
        Some(murmur(&bytes, seed))
    }

    /// Which of two stored values is smaller; NULL is the smallest. `None` if that is not known.
    pub(super) fn compare(&self, a: &Key<'_>, b: &Key<'_>) -> Option<Ordering> {
        match (a, b) {
            (Key::Null, Key::Null) => Some(Ordering::Equal),
            (Key::Null, _) => Some(Ordering::Less),
            (_, Key::Null) => Some(Ordering::Greater),
            (Key::Int(a), Key::Int(b)) => Some(a.cmp(b)),
            (Key::Real(a), Key::Real(b)) => a.partial_cmp(b),
            (Key::Decimal(a), Key::Decimal(b)) => Some(a.cmp(b)),
            (Key::Bytes(a), Key::Bytes(b)) => self.collation?.compare(a, b),
            _ => None,
        }
    }
}

/// Zero without a sign: both are one value.
const fn without_sign(n: f64) -> f64 {
    if n == 0.0 { 0.0 } else { n }
}

/// The older form of DECIMAL: sign and exponent, and digits to the base of 10^9 (routing.md 4.4).
fn number_digits(n: &BigDecimal) -> Option<(u8, Vec<u32>)> {
    let text = n.abs().normalized().to_plain_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.trim_start_matches('0');
    let mut digits: Vec<u32> = Vec::new();
    let head = whole.len() % 9;
    let (first, rest) = whole.split_at(head);
    if !first.is_empty() {
        digits.push(first.parse().ok()?);
    }
    let group = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<u32>().ok();
    for bytes in rest.as_bytes().chunks(9) {
        digits.push(group(bytes)?);
    }
    let mut exponent = digits.len() as i32 - 1;
    let is_fraction = digits.is_empty();
    for bytes in fraction.as_bytes().chunks(9) {
        let padded = group(bytes)? * 10_u32.pow(9 - bytes.len() as u32);
        if is_fraction && digits.is_empty() && padded == 0 {
            exponent -= 1;
            continue;
        }
        digits.push(padded);
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        return Some((0x80, digits));
    }
    let biased = u8::try_from(64 + exponent).ok()?;
    let sign = match n.sign() {
        Sign::Minus => 128_u8.wrapping_sub(biased) & 0x7f,
        _ => 0x80 | biased,
    };
    Some((sign, digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn numbers_have_digits_of_nine() {
        for (text, sign, digits) in [
            ("0", 0x80, vec![]),
            ("1", 0xc0, vec![1]),
            ("-1", 0x40, vec![1]),
            ("1000000000", 0xc1, vec![1]),
            ("1234567890.5", 0xc1, vec![1, 234_567_890, 500_000_000]),
            ("0.5", 0xbf, vec![500_000_000]),
            ("0.0000000001", 0xbe, vec![100_000_000]),
            ("-0.50", 0x41, vec![500_000_000]),
            ("100.10", 0xc0, vec![100, 100_000_000]),
        ] {
            let n = BigDecimal::from_str(text).unwrap();
            assert_eq!(number_digits(&n), Some((sign, digits)), "{text}");
        }
    }

    #[test]
    fn types_have_numbers_of_their_product() {
        assert_eq!(Kind::of(39, Product::SeekDb), Some(Kind::DecimalInt));
        assert_eq!(Kind::of(39, Product::OceanBase), None);
        assert_eq!(Kind::of(53, Product::OceanBase), Some(Kind::MysqlDateTime));
        let tiny = Kind::Int {
            min: -128,
            max: 127,
        };
        assert_eq!(Kind::of(1, Product::OceanBase), Some(tiny));
        let big = Kind::Int {
            min: 0,
            max: u64::MAX,
        };
        assert_eq!(Kind::of(10, Product::SeekDb), Some(big));
    }
}
