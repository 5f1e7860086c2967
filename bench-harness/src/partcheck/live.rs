//! Random tables on a real server: every row that a statement selects must be in a leaf that
//! `obring::partition` names for the statement.

use super::tables::describe_live;
use crate::raw::{Conn, Login};
use obring::partition::{Certainty, Context, Request, Table, Zone, leaves};
use obring::sql::{Scan, Syntax};
use obring_wire::base::Rng;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;

/// What a run saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Tables.
    pub tables: u64,
    /// Statements whose rows were compared.
    pub statements: u64,
    /// Statements with an equality for each key column ...
    pub equalities: u64,
    /// ... of these, answers of one leaf or none.
    pub exact: u64,
    /// Rows found outside of our leaves, and statements that went wrong otherwise.
    pub wrong: Vec<String>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tables,
            statements,
            equalities,
            exact,
            wrong,
        } = self;
        let wrong = wrong.len();
        write!(
            f,
            "{tables} tables, {statements} statements, {wrong} wrong; {exact} of "
        )?;
        write!(f, "{equalities} equalities give one leaf")
    }
}

const DATABASE: &str = "obring_partition_live";

/// Types of key columns: declaration, kind of its literals, and whether HASH takes it.
const TYPES: &[(&str, Literals, bool)] = &[
    ("tinyint", Literals::Int(120), true),
    ("smallint unsigned", Literals::Nat(60_000), true),
    ("int", Literals::Int(5_000), true),
    ("bigint", Literals::Int(i64::MAX), true),
    ("bigint unsigned", Literals::Nat(i64::MAX), true),
    ("year", Literals::Year, true),
    ("bit(12)", Literals::Nat(4_000), true),
    ("decimal(12,3)", Literals::Decimal, false),
    ("decimal(30,10)", Literals::Decimal, false),
    ("decimal(12,3) unsigned", Literals::Decimal, false),
    ("double", Literals::Decimal, false),
    ("date", Literals::Date, false),
    ("datetime", Literals::Moment, false),
    ("datetime(4)", Literals::Moment, false),
    ("timestamp(2) null", Literals::Moment, false),
    ("time(1)", Literals::Time, false),
    ("varchar(20)", Literals::Text, false),
    ("char(12)", Literals::Text, false),
    ("varbinary(30)", Literals::Text, false),
    ("varchar(20) collate utf8mb4_bin", Literals::Text, false),
    (
        "varchar(20) collate utf8mb4_unicode_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) collate utf8mb4_unicode_520_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) collate utf8mb4_0900_as_cs",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) collate utf8mb4_0900_as_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) collate utf8mb4_0900_ai_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) collate utf8mb4_0900_bin",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) character set gbk collate gbk_chinese_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) character set gbk collate gbk_bin",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) character set gb18030 collate gb18030_chinese_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) character set utf16 collate utf16_general_ci",
        Literals::Text,
        false,
    ),
    (
        "varchar(20) character set big5 collate big5_bin",
        Literals::Ascii,
        false,
    ),
    (
        "varchar(20) character set sjis collate sjis_bin",
        Literals::Ascii,
        false,
    ),
    (
        "varchar(20) character set euckr collate euckr_bin",
        Literals::Ascii,
        false,
    ),
    (
        "varchar(20) character set gb2312 collate gb2312_bin",
        Literals::Ascii,
        false,
    ),
    (
        "varchar(20) character set ujis collate ujis_bin",
        Literals::Ascii,
        false,
    ),
    (
        "varchar(20) character set cp850 collate cp850_bin",
        Literals::Ascii,
        false,
    ),
    (
        "varchar(20) character set tis620 collate tis620_bin",
        Literals::Ascii,
        false,
    ),
];

/// Collations of languages, of which each has a column type with the texts of [`LETTERS`].
const LANGUAGES: &[(&str, &str)] = &[
    (
        "utf8mb4_*_ci",
        "icelandic latvian romanian slovenian polish estonian spanish swedish turkish czech \
         danish lithuanian slovak spanish2 roman persian esperanto hungarian sinhala german2 \
         croatian vietnamese",
    ),
    (
        "utf16_*_ci",
        "unicode icelandic latvian romanian slovenian polish estonian spanish swedish turkish \
         czech danish lithuanian slovak spanish2 roman persian esperanto hungarian sinhala \
         german2 croatian unicode_520 vietnamese",
    ),
    (
        "utf8mb4_*_0900_ai_ci",
        "de_pb is lv ro sl pl et es sv tr cs da lt sk es_trad la eo hu hr vi ru nb nn sr_latn bs \
         bg gl mn_cyrl",
    ),
    (
        "utf8mb4_*_0900_as_cs",
        "de_pb is lv ro sl pl et es sv tr cs da lt sk es_trad la eo hu hr vi ru nb nn sr_latn bs \
         bg gl mn_cyrl ja zh",
    ),
    ("utf8mb4_*_0900_as_cs_ks", "ja"),
];

/// What the texts of these consist of: letters with places of their own, pieces that weigh
/// together, marks, kana, Han.
const LETTERS: &[&str] = &[
    "a", "A", "b", "c", "C", "d", "h", "H", "l", "j", "J", "n", "s", "y", "z", "Z", " ", "ch",
    "ll", "dzs", "Cs", "nny", "aa", "AA", "Lj", "nj", "dž", "ä", "Å", "ö", "ø", "æ", "þ", "ð", "ß",
    "ñ", "č", "Š", "ž", "ı", "İ", "ő", "ơ", "ư", "đ", "ē", "\u{302}", "\u{304}", "\u{30c}",
    "\u{308}", "я", "Ж", "ё", "ө", "か", "が", "カ", "ｶ", "ー", "ゝ", "ヾ", "々", "ん", "漢", "字",
    "一", "龥", "한", "ی", "ك", "ක", "😀",
];

/// A type of key columns, as in [`TYPES`].
type Type = (String, Literals, bool);

fn types() -> Vec<Type> {
    let plain = TYPES
        .iter()
        .map(|(name, kind, can_hash)| ((*name).into(), *kind, *can_hash));
    let languages = LANGUAGES.iter().flat_map(|(pattern, names)| {
        names.split_whitespace().map(move |name| {
            let charset = pattern.split('_').next().unwrap_or_default();
            let collation = pattern.replace('*', name);
            let declared = format!("varchar(20) character set {charset} collate {collation}");
            (declared, Literals::Letters, false)
        })
    });
    let eight_bit = EIGHT_BIT.iter().map(|collation| {
        let charset = collation.split('_').next().unwrap_or_default();
        let declared = format!("varchar(20) character set {charset} collate {collation}");
        (declared, Literals::Ascii, false)
    });
    plain.chain(languages).chain(eight_bit).collect()
}

/// Collations with a table of bytes.
const EIGHT_BIT: &[&str] = &[
    "latin1_german1_ci",
    "latin1_danish_ci",
    "latin1_general_ci",
    "latin1_general_cs",
    "latin1_spanish_ci",
    "dec8_swedish_ci",
    "cp850_general_ci",
    "hp8_english_ci",
    "macroman_general_ci",
];

#[derive(Clone, Copy)]
enum Literals {
    Int(i64),
    Nat(i64),
    Year,
    Decimal,
    Date,
    Moment,
    Time,
    Text,
    /// Text that has the same bytes in all character sets.
    Ascii,
    Letters,
}

/// Makes `count` random tables and judges statements on them.
///
/// # Errors
/// The server cannot be reached, or refuses what is not random.
pub fn run(kernel: SocketAddr, seed: u64, count: u64) -> Result<Seen, String> {
    let mut live = Live {
        conn: Conn::login(kernel, &Login::default())?,
        rng: Rng::new(seed),
        seen: Seen::default(),
        types: types(),
    };
    for sql in [
        "set names utf8mb4",
        "set time_zone = '+08:00'",
        "set sql_mode = 'STRICT_ALL_TABLES'",
        &format!("drop database if exists {DATABASE}"),
        &format!("create database {DATABASE}"),
        &format!("use {DATABASE}"),
    ] {
        live.conn.run(sql).map_err(|e| format!("{sql}: {e}"))?;
    }
    for number in 0..count {
        live.table(number)?;
    }
    live.conn.run(&format!("drop database {DATABASE}"))?;
    Ok(live.seen)
}

struct Live {
    conn: Conn,
    rng: Rng,
    seen: Seen,
    types: Vec<Type>,
}

impl Live {
    fn below(&mut self, limit: u64) -> u64 {
        self.rng.below(limit)
    }

    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }

    /// One in three is of a language, or of one of the small sets.
    fn type_of_key(&mut self) -> Type {
        let (first, len) = match self.below(3) {
            0 => (TYPES.len(), self.types.len() - TYPES.len()),
            _ => (0, TYPES.len()),
        };
        let place = first + self.below(len as u64) as usize;
        self.types[place].clone()
    }

    fn table(&mut self, number: u64) -> Result<(), String> {
        let name = format!("t{number}");
        let (a, b) = (self.type_of_key(), self.type_of_key());
        let (first, second) = (self.method(&a, "a", "p"), self.method(&b, "b", "s"));
        let template = "subpartition template";
        let ddl = match self.below(4) {
            0 => {
                let parts = 2 + self.below(12);
                format!("partition by key(a, b) partitions {parts}")
            }
            1 => match (&first, &second) {
                // Subpartitions of bounds stand in a template.
                ((one, Some(list)), (two, Some(sub))) => {
                    let sub = sub.replace("partition ", "subpartition ");
                    format!("partition by {one} subpartition by {two} {template} {sub} {list}")
                }
                ((one, Some(list)), (two, None)) => {
                    format!("partition by {one} subpartition by {two} subpartitions 3 {list}")
                }
                ((one, None), (two, Some(sub))) => {
                    let sub = sub.replace("partition ", "subpartition ");
                    format!(
                        "partition by {one} subpartition by {two} {template} {sub} partitions 3"
                    )
                }
                ((one, None), (two, None)) => {
                    format!("partition by {one} subpartition by {two} subpartitions 3 partitions 4")
                }
            },
            _ => match &first {
                (one, Some(list)) => format!("partition by {one} {list}"),
                (one, None) => format!("partition by {one} partitions {}", 2 + self.below(15)),
            },
        };
        let (type_a, type_b) = (&a.0, &b.0);
        let ddl = format!("create table {name} (id bigint, a {type_a}, b {type_b}) {ddl}");
        if self.conn.run(&ddl).is_err() {
            // Not every combination is one that the server takes.
            return Ok(());
        }
        let table = match describe_live(&mut self.conn, &name) {
            Ok(table) => table,
            Err(e) => {
                self.seen.wrong.push(format!("{ddl}: {e}"));
                return Ok(());
            }
        };
        self.seen.tables += 1;
        let mut literals = vec![];
        for id in 0..12 {
            let (x, y) = (self.literal(a.1), self.literal(b.1));
            let sql = format!("insert into {name} (id, a, b) values ({id}, {x}, {y})");
            if self.conn.run(&sql).is_ok() {
                self.judge(&table, &name, &ddl, &sql, &format!("id = {id}"), true)?;
                literals.push((x, y));
            }
        }
        for _ in 0..30 {
            let Some((x, y)) = literals
                .get(self.below(literals.len().max(1) as u64) as usize)
                .cloned()
            else {
                break;
            };
            let (p, q) = (self.literal(a.1), self.literal(b.1));
            let (condition, is_equality) = match self.below(12) {
                0 => (format!("a = {x}"), false),
                1 => (format!("a = {x} and b = {y}"), true),
                2 => (format!("{y} = b and a = {x} and id >= 0"), true),
                3 => (format!("a in ({p}, {x}) and b = {y}"), false),
                4 => (format!("(a, b) in (({p}, {q}), ({x}, {y}))"), false),
                5 => (format!("a between {x} and {p} or b = {y}"), false),
                6 => (format!("a > {p} and a <= {x}"), false),
                7 => (
                    format!("(a = {x} or a = {p}) and (b = {y} or b < {q})"),
                    false,
                ),
                8 => (format!("a is null or b <=> {y}"), false),
                9 => (format!("not a <> {x} and b >= {y}"), false),
                10 => (format!("a <= {p} and b not in ({q})"), false),
                _ => (
                    format!("a = {x} and (b = {q} or b = {y} or b is null)"),
                    false,
                ),
            };
            let sql = format!("select id from {name} where {condition}");
            self.judge(&table, &name, &ddl, &sql, &condition, is_equality)?;
        }
        self.conn.run(&format!("drop table {name}"))
    }

    /// A method for a column, and its list of partitions if it has one.
    fn method(
        &mut self,
        (_, literals, can_hash): &Type,
        name: &str,
        prefix: &str,
    ) -> (String, Option<String>) {
        let (literals, can_hash) = (*literals, *can_hash);
        match self.below(4) {
            0 if can_hash => (format!("hash({name})"), None),
            1 | 2 => {
                let is_range = self.below(2) == 0;
                let mut bounds: Vec<String> = (0..4).map(|_| self.literal(literals)).collect();
                bounds.retain(|b| b != "null" && !b.starts_with('x'));
                Self::sorted(&mut bounds);
                if bounds.len() < 2 {
                    return (format!("key({name})"), None);
                }
                let part = |(i, b): (usize, &String)| match is_range {
                    true => format!("partition {prefix}{i} values less than ({b})"),
                    false => format!("partition {prefix}{i} values in ({b})"),
                };
                let mut parts: Vec<_> = bounds.iter().enumerate().map(part).collect();
                parts.push(match is_range {
                    true => format!("partition {prefix}x values less than (maxvalue)"),
                    false => format!("partition {prefix}x values in (default)"),
                });
                let word = if is_range { "range" } else { "list" };
                (
                    format!("{word} columns({name})"),
                    Some(format!("({})", parts.join(", "))),
                )
            }
            _ => (format!("key({name})"), None),
        }
    }

    /// Sorts literals as the server does, and leaves out equal ones.
    fn sorted(literals: &mut Vec<String>) {
        let number = |s: &String| s.trim_matches('\'').parse::<f64>().ok();
        if literals.iter().all(|l| number(l).is_some()) {
            literals.sort_by(|a, b| {
                number(a)
                    .partial_cmp(&number(b))
                    .unwrap_or(std::cmp::Ordering::Equal)
            });
            literals.dedup_by(|a, b| number(a) == number(b));
        } else {
            literals.sort();
            literals.dedup();
        }
    }

    fn literal(&mut self, kind: Literals) -> String {
        if self.below(25) == 0 {
            return "null".into();
        }
        let digits = |n: u64, width: usize| format!("{n:0width$}");
        match kind {
            Literals::Int(limit) | Literals::Nat(limit) => {
                let mut n = (self.below(limit.unsigned_abs())).cast_signed();
                if self.below(3) == 0 {
                    n %= 100;
                }
                if matches!(kind, Literals::Int(_)) && self.below(3) == 0 {
                    n = -n;
                }
                match self.below(6) {
                    0 => format!("'{n}'"),
                    1 => format!("{n}.0"),
                    2 => format!("{n}+0"),
                    3 if n >= 0 => format!("0x{n:04x}"),
                    _ => n.to_string(),
                }
            }
            Literals::Year => (1901 + self.below(255)).to_string(),
            Literals::Decimal => {
                let sign = if self.below(3) == 0 { "-" } else { "" };
                let (whole, part) = (self.below(100_000), self.below(1000));
                match self.below(4) {
                    0 => format!("{sign}{whole}"),
                    1 => format!("'{sign}{whole}.{part:03}'"),
                    2 => format!("{sign}{}.{}", whole % 50, part % 10),
                    _ => format!("{sign}{whole}.{part:03}"),
                }
            }
            Literals::Date | Literals::Moment | Literals::Time => {
                let date = [
                    1970 + self.below(60),
                    1 + self.below(12),
                    1 + self.below(28),
                ];
                let time = [self.below(24), self.below(60), self.below(60)];
                let date = format!("{}-{}-{}", date[0], digits(date[1], 2), digits(date[2], 2));
                let time = format!(
                    "{}:{}:{}",
                    digits(time[0], 2),
                    digits(time[1], 2),
                    digits(time[2], 2)
                );
                match (kind, self.below(4)) {
                    (Literals::Date, 0) => date.replace('-', ""),
                    (Literals::Date, 1) => format!("date'{date}'"),
                    (Literals::Date, _) => format!("'{date}'"),
                    (Literals::Time, 0) => format!("'{time}.5'"),
                    (Literals::Time, _) => format!("'{time}'"),
                    (_, 0) => format!("'{date}'"),
                    (_, 1) => format!("'{date} {time}.25'"),
                    (_, 2) => format!("timestamp'{date} {time}'"),
                    _ => format!("'{date} {time}'"),
                }
            }
            Literals::Ascii => {
                const PARTS: &[&str] = &["a", "B", "b", "Z", "1", " ", "_", "-", "ab", "!", "''"];
                let text: String = (0..self.below(6)).map(|_| self.pick(PARTS)).collect();
                format!("'{text}'")
            }
            Literals::Letters => {
                let text: String = (0..self.below(6)).map(|_| self.pick(LETTERS)).collect();
                format!("'{text}'")
            }
            Literals::Text => {
                const PARTS: &[&str] = &[
                    "a", "B", "b", "Z", "z", "1", " ", "é", "É", "ß", "数", "据", "ж", "Ж", "\\'",
                    "''", "_", "-", "ü", "ab", "字", "\\\\", "!", "~",
                ];
                let text: String = (0..self.below(6)).map(|_| self.pick(PARTS)).collect();
                match self.below(8) {
                    0 => format!("'{text} '"),
                    1 => format!("concat('{text}', 'x')"),
                    2 => format!("\"{}\"", text.replace("''", "'")),
                    _ => format!("'{text}'"),
                }
            }
        }
    }

    /// Compares the leaves of the rows of `condition` with ours for the statement.
    fn judge(
        &mut self,
        table: &Table,
        name: &str,
        ddl: &str,
        sql: &str,
        condition: &str,
        is_equality: bool,
    ) -> Result<(), String> {
        let mut stored: HashMap<String, u32> = HashMap::new();
        let ids = match self
            .conn
            .rows(&format!("select id from {name} where {condition}"))
        {
            Ok(rows) => rows,
            // Refused (collations that do not mix): nothing to compare.
            Err(_) => return Ok(()),
        };
        if !ids.is_empty() {
            for (leaf, number) in table.leaves().iter().zip(0..) {
                let leaf = String::from_utf8_lossy(&leaf.name).into_owned();
                let rows = self
                    .conn
                    .rows(&format!("select id from {name} partition ({leaf})"))?;
                for row in rows {
                    stored.insert(row[0].clone().unwrap_or_default(), number);
                }
            }
        }
        let mut scan = Scan::default();
        scan.read(sql.as_bytes(), Syntax::default(), true);
        let context = Context {
            zone: Zone::of(b"+08:00"),
            ..Context::default()
        };
        let request = Request {
            text: sql.as_bytes(),
            scan: &scan,
            tables: &[Some(table)],
            context: &context,
        };
        let Some(answer) = leaves(&request, 0) else {
            self.seen.wrong.push(format!("{sql}: no table"));
            return Ok(());
        };
        self.seen.statements += 1;
        if is_equality {
            self.seen.equalities += 1;
            let is_one = answer.leaves.len() <= 1 && answer.certainty == Certainty::Exact;
            self.seen.exact += u64::from(is_one);
        }
        for row in ids {
            let id = row[0].clone().unwrap_or_default();
            match stored.get(&id) {
                Some(leaf) if answer.leaves.contains(*leaf) => {}
                other => {
                    let ours: Vec<_> = answer.leaves.iter().collect();
                    let said = format!("{ddl};\n    {sql}: row {id} in {other:?}, ours {ours:?}");
                    self.seen.wrong.push(said);
                    break;
                }
            }
        }
        Ok(())
    }
}
