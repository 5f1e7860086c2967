//! Random statements, for as long as one likes.
//!
//! * [`compare`]: random tables and conditions, obring's leaves against a slow, obviously right
//!   reading of the same rules: every row is judged by the condition itself, which was never
//!   text, and held against one partition at a time.
//! * [`mutate`]: statements of the vectors with pieces changed: no panic, no hang, and the same
//!   answer twice.

mod condition;
mod slow;

use super::tables::Tables;
use super::tsv::read;
use condition::{Condition, Row, literal, written};
use obring::base::Rng;
use obring::partition::{Certainty, Context, Request, Table, TextCharset, Value, leaves};
use obring::sql::{Charset, NameParts, Scan, Syntax, bare_name};
use slow::Spec;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Statements.
    pub statements: u64,
    /// Those whose answer was compared for equality, not only for what is missing.
    pub exact: u64,
    /// Those of them that are wider than what the rows need: slow, not wrong.
    pub wider: u64,
    /// The first of these.
    pub shown: Vec<String>,
    /// What went wrong, each with its seed.
    pub faults: Vec<String>,
}

/// Most wider answers that are shown.
const SHOWN_MAX: usize = 100;

impl Tally {
    /// Adds another run.
    pub fn add(&mut self, other: Self) {
        self.statements += other.statements;
        self.exact += other.exact;
        self.wider += other.wider;
        let room = SHOWN_MAX.saturating_sub(self.shown.len());
        self.shown.extend(other.shown.into_iter().take(room));
        self.faults.extend(other.faults);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} statements, {} compared for equality ({} wider), {} faults",
            self.statements,
            self.exact,
            self.wider,
            self.faults.len()
        )
    }
}

/// One random table, and random statements on it.
pub fn compare(seed: u64) -> Tally {
    let mut rng = Rng::new(seed);
    let spec = Spec::random(&mut rng);
    let mut tally = Tally::default();
    let table = match spec.table() {
        Ok(table) => table,
        Err(e) => {
            tally.faults.push(format!("seed {seed}: no table: {e}"));
            return tally;
        }
    };
    // Rows that some partition holds, and where they are.
    let mut rows = vec![];
    for row in spec.rows() {
        rows.extend(spec.place(&row).map(|place| (row, place)));
    }
    // Some partitions hold no row at all: below the smallest value, behind a default.
    let filled: BTreeSet<u32> = rows.iter().map(|(_, place)| spec.leaf(*place)).collect();
    for _ in 0..20 {
        let said = match rng.below(10) {
            0 | 1 => inserted(&mut rng, &spec),
            2 => Some(correlated(&mut rng, &rows)),
            _ => Some(selected(&mut rng, &spec, &rows)),
        };
        let Some(said) = said else {
            continue;
        };
        tally.statements += 1;
        let mut scan = Scan::default();
        let text = said.text.as_bytes();
        scan.read(text, Syntax::default(), true);
        let (names, is_cut) = (table_names(&scan, text), !scan.is_whole());
        let Some(index) = names.iter().position(|n| n == b"t") else {
            tally
                .faults
                .push(format!("seed {seed}: no table in {}", said.text));
            continue;
        };
        let tables: Vec<_> = (0..names.len())
            .map(|i| (i == index || said.describes_all).then_some(&table))
            .collect();
        let context = Context::default();
        let request = Request {
            text,
            scan: &scan,
            tables: &tables,
            context: &context,
        };
        let Some(answer) = leaves(&request, index) else {
            continue;
        };
        let ours: BTreeSet<u32> = answer.leaves.iter().collect();
        let right: BTreeSet<u32> = said.places.iter().map(|p| spec.leaf(*p)).collect();
        let is_exact = said.is_alone && answer.certainty == Certainty::Exact;
        tally.exact += u64::from(is_exact);
        // Levels are kept apart: of two rows, the partition of one with the subpartition of the
        // other is in the answer as well.
        let firsts: BTreeSet<u32> = said.places.iter().map(|p| p.0).collect();
        let seconds: BTreeSet<u32> = said.places.iter().map(|p| p.1).collect();
        let widest: BTreeSet<u32> = firsts
            .iter()
            .flat_map(|f| seconds.iter().map(|s| spec.leaf((*f, *s))))
            .collect();
        let is_missing = !ours.is_superset(&right);
        let is_wider = ours
            .iter()
            .any(|l| filled.contains(l) && !widest.contains(l));
        if is_exact && is_wider {
            tally.wider += 1;
            tally.shown.push(format!(
                "seed {seed}: {}\n    ours {ours:?}, needed {right:?}",
                said.text
            ));
        }
        if is_cut || is_missing {
            tally.faults.push(format!(
                "seed {seed}: {}\n    ours {ours:?} ({:?}), right {right:?}",
                said.text, answer.certainty
            ));
        }
    }
    tally
}

/// A statement, and where the rows are that it touches.
struct Said {
    text: String,
    places: BTreeSet<(u32, u32)>,
    /// Nothing but its condition decides: an exact answer has to be the right one.
    is_alone: bool,
    /// Its other tables are like this one, and described too.
    describes_all: bool,
}

/// A query of `t` that asks for the keys of the rows of another table: of those that satisfy a
/// condition, or of all, if the condition stands where it restricts nothing.
fn correlated(rng: &mut Rng, rows: &[(Row, (u32, u32))]) -> Said {
    let condition = Condition::random(rng, 1);
    let form = rng.below(7);
    let (prefix, restricts) = match form {
        0 | 1 => ("x.", true),
        2 | 3 => ("x.", false),
        4 => ("y.", true),
        _ => ("y.", false),
    };
    let mut c = String::new();
    condition.write(rng, prefix, &mut c);
    let asked = match form {
        4 => "exists (select 1 from t where t.a = y.a)",
        _ => "exists (select 1 from t where a = x.a)",
    };
    let text = match form {
        0 => format!("select 1 from s x where ({c}) and {asked}"),
        1 => format!("select 1 from s x join r y on {c} where {asked}"),
        2 => format!("select 1 from s x left join r y on {c} where {asked}"),
        3 => format!("select 1 from r y right join s x on {c} where {asked}"),
        4 => format!("select 1 from s x left join r y on ({c}) and y.a = x.a where {asked}"),
        5 => format!("select 1 from s x left join r y on y.a = x.a and ({c}) where {asked}"),
        _ => format!("select 1 from s x left join r y on x.a = y.a where {asked}"),
    };
    let kept = rows.iter().map(|(row, _)| row);
    let kept = kept.filter(|row| !restricts || condition.holds(row) == Some(true));
    let asks: BTreeSet<i128> = kept.filter_map(|row| row[0]).collect();
    let touched = rows
        .iter()
        .filter(|(row, _)| row[0].is_some_and(|a| asks.contains(&a)));
    Said {
        text,
        places: touched.map(|(_, place)| *place).collect(),
        is_alone: false,
        describes_all: true,
    }
}

fn selected(rng: &mut Rng, spec: &Spec, rows: &[(Row, (u32, u32))]) -> Said {
    let (first, second) = (Condition::random(rng, 3), Condition::random(rng, 2));
    let form = rng.below(20);
    let prefix = match form {
        0..=8 => ["", "", "", "t."][rng.below(4) as usize],
        9 => "d.t.",
        10 => "x.",
        _ => ["", "t."][rng.below(2) as usize],
    };
    let (mut c, mut d) = (String::new(), String::new());
    first.write(rng, prefix, &mut c);
    second.write(rng, prefix, &mut d);
    // What rows satisfy: the first, the second, both, or one of them.
    let (text, uses) = match form {
        0..=3 => (format!("select * from t where {c}"), "c"),
        4 => (
            format!("SELECT a, z FROM `t` WHERE {c} ORDER BY a LIMIT 5"),
            "c",
        ),
        5 => (format!("update t set z = 1, a = a where {c}"), "c"),
        6 => (format!("delete from t where {c} limit 7"), "c"),
        7 => (
            format!("select z from t where ({c}) and ({d}) for update"),
            "cd",
        ),
        8 => (
            format!("select z from t where ({c}) or ({d}) group by z"),
            "c|d",
        ),
        9 => (format!("select * from d.t where {c}"), "c"),
        10 => (format!("select x.a from t as x where {c}"), "c"),
        11 => (format!("select 1 from u join t on {c} where {d}"), "cd"),
        12 => (
            format!("select 1 from u left join t on {c} where {d}"),
            "cd",
        ),
        13 => (format!("select 1 from t left join u on {c} where {d}"), "d"),
        14 => (
            format!("select 1 from t right join u on {c} where {d}"),
            "cd",
        ),
        15 => (format!("select 1 from u, t where ({c}) and ({d})"), "cd"),
        16 => (
            format!("select 1 from u where q in (select a from t where {c})"),
            "c",
        ),
        17 => (
            format!("select 1 from u union all select a from t where {c}"),
            "c",
        ),
        18 => (
            format!("select * from (select a from t where {c}) y where y.a > 1"),
            "c",
        ),
        _ => (
            format!("with w as (select a from t where {c}) select * from w"),
            "c",
        ),
    };
    let is_true = |c: &Condition, row: &Row| c.holds(row) == Some(true);
    let touched = |row: &Row| match uses {
        "c" => is_true(&first, row),
        "d" => is_true(&second, row),
        "cd" => is_true(&first, row) && is_true(&second, row),
        _ => is_true(&first, row) || is_true(&second, row),
    };
    let places = rows.iter().filter(|(row, _)| touched(row));
    let keys = spec.keys();
    let fits = |n: i128| keys.iter().all(|key| spec.fits(*key, n));
    Said {
        text,
        places: places.map(|(_, place)| *place).collect(),
        is_alone: form <= 10
            && first.is_about(&keys, &fits)
            && (uses.len() == 1 || second.is_about(&keys, &fits)),
        describes_all: false,
    }
}

/// An INSERT; `None` if the server would refuse one of its rows.
fn inserted(rng: &mut Rng, spec: &Spec) -> Option<Said> {
    let names = [
        &["a", "b", "z"][..],
        &["b", "a"],
        &["z", "A"],
        &["`b`", "z"],
    ][rng.below(4) as usize];
    let mut places = BTreeSet::new();
    let mut lists = vec![];
    for _ in 0..=rng.below(4) {
        let (mut row, mut items): (Row, Vec<String>) = ([None; 3], vec![]);
        for name in names {
            let column = match name.trim_matches('`').to_lowercase().as_str() {
                "a" => 0,
                "b" => 1,
                _ => 2,
            };
            if rng.chance(1, 12) {
                items.push("default".into());
                continue;
            }
            let value = literal(rng);
            items.push(written(rng, value));
            // Rounded half away from zero.
            row[column] = value.map(|halves| (halves + halves.signum()) / 2);
            if row[column].is_some_and(|n| !spec.fits(column, n)) {
                return None;
            }
        }
        places.insert(spec.place(&row)?);
        lists.push(format!("({})", items.join(", ")));
    }
    let verb = ["insert into", "replace into", "INSERT"][rng.below(3) as usize];
    Some(Said {
        text: format!("{verb} t ({}) values {}", names.join(","), lists.join(",")),
        places,
        is_alone: true,
        describes_all: false,
    })
}

fn table_names(scan: &Scan, text: &[u8]) -> Vec<Vec<u8>> {
    let name = |t: &obring::sql::Table| {
        bare_name(NameParts::of(t.name.of(text)).last()).to_ascii_lowercase()
    };
    scan.tables.iter().map(name).collect()
}

/// Statements and tables of a folder of vectors, to be changed.
pub struct Corpus {
    tables: Vec<(Vec<u8>, Table)>,
    texts: Vec<Vec<u8>>,
}

impl Corpus {
    /// Reads them.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let tables = Tables::read(folder)?.known.into_iter();
        let mut tables: Vec<_> = tables
            .map(|(name, table)| (name.to_ascii_lowercase().into_bytes(), table))
            .collect();
        tables.sort_by(|a, b| a.0.cmp(&b.0));
        let mut texts = vec![];
        for file in ["insert", "where", "ps", "join"] {
            let rows = read(folder, file)?;
            texts.extend(rows.iter().map(|r| r.text("sql").as_bytes().to_vec()));
        }
        Ok(Self { tables, texts })
    }
}

/// Longest statement that is made.
const BYTES_MAX: usize = 4_096;

/// One statement of the corpus, changed, is read and its leaves are found, twice.
pub fn mutate(corpus: &Corpus, seed: u64) -> Tally {
    let mut rng = Rng::new(seed);
    let mut tally = Tally {
        statements: 1,
        ..Tally::default()
    };
    let pick = |rng: &mut Rng| rng.below(corpus.texts.len() as u64) as usize;
    let Some(text) = corpus.texts.get(pick(&mut rng)) else {
        return tally;
    };
    let mut text = text.clone();
    for _ in 0..=rng.below(6) {
        let other = &corpus.texts[pick(&mut rng)];
        change(&mut rng, &mut text, other);
    }
    text.truncate(BYTES_MAX);
    let charsets = [Charset::Plain, Charset::Gbk, Charset::Big5, Charset::Sjis];
    let syntax = Syntax {
        charset: charsets[rng.below(4) as usize],
        ansi_quotes: rng.chance(1, 4),
        no_backslash_escapes: rng.chance(1, 4),
        pipes_as_concat: rng.chance(1, 4),
    };
    let body: Vec<u8> = (0..rng.below(24)).map(|_| rng.next_u64() as u8).collect();
    let params: Vec<_> = (0..4)
        .map(|_| {
            let kind = rng.below(256) as u16 | (rng.below(2) as u16) << 15;
            Value::from_binary(kind, Some(TextCharset::Utf8mb4), &mut body.as_slice()).flatten()
        })
        .collect();
    let context = Context {
        syntax,
        params: &params,
        is_strict: rng.chance(1, 2),
        now_us: rng.chance(1, 2).then_some(1_700_000_000_000_000),
        ..Context::default()
    };
    let is_whole = rng.chance(9, 10);
    let any = &corpus.tables[rng.below(corpus.tables.len().max(1) as u64) as usize].1;
    let answer = || {
        let mut scan = Scan::default();
        scan.read(&text, syntax, is_whole);
        let names = table_names(&scan, &text);
        let known = |name: &Vec<u8>| {
            let found = corpus.tables.binary_search_by(|(n, _)| n.cmp(name));
            Some(found.map_or(any, |at| &corpus.tables[at].1))
        };
        let tables: Vec<_> = names.iter().map(known).collect();
        let request = Request {
            text: &text,
            scan: &scan,
            tables: &tables,
            context: &context,
        };
        let answers: Vec<_> = (0..tables.len()).map(|i| leaves(&request, i)).collect();
        let conditions = Scan::default().read_conditions(&text);
        (answers, conditions)
    };
    if answer() != answer() {
        let shown = String::from_utf8_lossy(&text).into_owned();
        tally
            .faults
            .push(format!("seed {seed}: two answers for {shown}"));
    }
    tally
}

/// Changes a statement at one place.
fn change(rng: &mut Rng, text: &mut Vec<u8>, other: &[u8]) {
    const PIECES: &[&[u8]] = &[
        b"(",
        b")",
        b"'",
        b"\"",
        b"`",
        b"\\",
        b",",
        b";",
        b"/*",
        b"*/",
        b"--",
        b"#",
        b"@",
        b"@@",
        b"?",
        b".",
        b"=",
        b"<=>",
        b" or ",
        b" and ",
        b" not ",
        b" in (",
        b" between ",
        b" is null",
        b"null",
        b"99999999999999999999999",
        b"0x",
        b"1e999",
        b"-",
        b"~",
        b"select ",
        b" from ",
        b" where ",
        b" join ",
        b" union ",
        b"case when ",
        b" end",
        b"interval 1 day",
        b"_utf8mb4",
        b"\x00",
        b"\xff\xfe",
        b"\x81\x5c",
        b" partition (p0)",
        b" values ",
        b"date'2024-02-30'",
        b"cast(",
        b" as signed)",
        b"substr(",
        b" div 0",
        b" % 0",
        b"/*!50000 ",
        b"with a as (",
        b" on ",
    ];
    let at = rng.below(text.len() as u64 + 1) as usize;
    let end = (at + rng.below(12) as usize).min(text.len());
    match rng.below(6) {
        0 => {
            text.splice(at..end, []);
        }
        1 => {
            if let Some(byte) = text.get_mut(at) {
                *byte = rng.next_u64() as u8;
            }
        }
        2 => {
            let from = rng.below(other.len() as u64 + 1) as usize;
            let to = (from + rng.below(40) as usize).min(other.len());
            text.splice(at..end, other[from..to].iter().copied());
        }
        3 => {
            let piece = text[at..end].to_vec();
            let again = piece.repeat(rng.below(40) as usize);
            text.splice(at..at, again);
        }
        _ => {
            let piece = PIECES[rng.below(PIECES.len() as u64) as usize];
            text.splice(
                at..end.min(at + rng.below(3) as usize),
                piece.iter().copied(),
            );
        }
    }
}
