//! Statements of the vectors, each judged.

use super::proof::{Proof, Stored};
use super::tables::Tables;
use super::tsv::{Row, read};
use super::{Case, Class, Report};
use obring::partition::{
    Answer, Certainty, Context, LeafSet, Request, Table, TextCharset, Value, Zone, leaves,
};
use obring::sql::{NameParts, Scan, Syntax, bare_name};
use std::collections::BTreeSet;
use std::path::Path;

/// Judges all statements of a folder.
///
/// # Errors
/// A file that cannot be read.
pub fn check(folder: &Path) -> Result<Report, String> {
    let tables = Tables::read(folder)?;
    let mut report = Report::default();
    report.tables.clone_from(&tables.failures);
    let mut stored = Stored::default();
    for row in read(folder, "insert")? {
        stored.add(&row);
        report.cases.push(insert(&tables, &row, &[], "insert"));
    }
    for row in read(folder, "ps")? {
        stored.add(&row);
        let params = params(&row)?;
        let params: Vec<_> = params.iter().map(|p| p.decoded()).collect();
        report.cases.push(insert(&tables, &row, &params, "ps"));
    }
    for row in read(folder, "where")? {
        let answers = answers(&tables, &row, &[], "where");
        let name = row.text("table");
        let wanted = row.text("leaves");
        let shape = row.text("shape");
        let mut case = judged(&tables, &row, "where", shape, name, wanted, &answers);
        prove(&mut case, &stored, name, syntax(&row));
        report.cases.push(case);
    }
    for row in read(folder, "join")? {
        let answers = answers(&tables, &row, &[], "join");
        let wanted = row.json("leaves_by_table")?;
        for (name, leaves) in wanted.as_object().into_iter().flatten() {
            let leaves = leaves.as_str().unwrap_or_default();
            let shape = row.text("shape");
            let mut case = judged(&tables, &row, "join", shape, name, leaves, &answers);
            if case.class == Class::Narrower {
                // Rows of two tables are not held against each other.
                case.class = Class::Unproven;
            }
            report.cases.push(case);
        }
    }
    Ok(report)
}

/// True if a row's statement ran in this mode.
fn has_mode(row: &Row, mode: &str) -> bool {
    row.text("sql_mode").split(',').any(|m| m.trim() == mode)
}

/// How its text is read.
fn syntax(row: &Row) -> Syntax {
    Syntax {
        ansi_quotes: has_mode(row, "ANSI_QUOTES"),
        no_backslash_escapes: has_mode(row, "NO_BACKSLASH_ESCAPES"),
        pipes_as_concat: has_mode(row, "PIPES_AS_CONCAT"),
        ..Syntax::default()
    }
}

/// Our answer for each table of a statement, by name. Of a table that is named twice, both.
type Answers = Vec<(String, Answer)>;

fn answers(tables: &Tables, row: &Row, params: &[Option<Value<'_>>], file: &str) -> Answers {
    let text = row.text("sql").as_bytes();
    let mut scan = Scan::default();
    let syntax = syntax(row);
    scan.read(text, syntax, true);
    let names: Vec<String> = scan
        .tables
        .iter()
        .map(|t| {
            let name = bare_name(NameParts::of(t.name.of(text)).last());
            String::from_utf8_lossy(name).into_owned()
        })
        .collect();
    let described: Vec<_> = names.iter().map(|n| tables.known.get(n)).collect();
    // Prepared statements ran with the zone of the server that answered.
    let zone = match row.text("time_zone") {
        "" => "+08:00",
        zone => zone,
    };
    let context = Context {
        zone: Zone::of(zone.as_bytes()),
        is_strict: row.text("sql_mode").contains("STRICT_") || file == "ps",
        allows_invalid_dates: has_mode(row, "ALLOW_INVALID_DATES"),
        high_not_precedence: has_mode(row, "HIGH_NOT_PRECEDENCE"),
        syntax,
        params,
        ..Context::default()
    };
    let request = Request {
        text,
        scan: &scan,
        tables: &described,
        context: &context,
    };
    let answer = |(index, name): (usize, String)| Some((name, leaves(&request, index)?));
    names.into_iter().enumerate().filter_map(answer).collect()
}

fn insert(tables: &Tables, row: &Row, params: &[Option<Value<'_>>], file: &'static str) -> Case {
    let answers = answers(tables, row, params, file);
    let name = row.text("table");
    let mut case = judged(tables, row, file, file, name, row.text("leaf"), &answers);
    if row.number::<u32>("errno") != 0 {
        case.class = Class::Refused;
    }
    case
}

/// An answer that is narrower than the server's is wrong if a stored row says so, and right only if
/// stored rows say so.
fn prove(case: &mut Case, stored: &Stored, table: &str, syntax: Syntax) {
    if case.class != Class::Narrower {
        return;
    }
    let [sql, _, ours] = &mut case.said;
    let leaves: Vec<_> = ours.split(',').collect();
    match stored.prove(table, (sql, syntax), |leaf| leaves.contains(&leaf)) {
        Proof::Refuted(row) => {
            *ours = format!("{ours}, but there is {row}");
            case.class = Class::Wrong;
        }
        Proof::Upheld => {}
        Proof::Open => case.class = Class::Unproven,
    }
}

/// `i` or `i.j` of a leaf.
fn label(table: &Table, leaf: u32) -> String {
    match table.leaves().get(leaf as usize) {
        Some(leaf) => match leaf.sub {
            Some(sub) => format!("{}.{sub}", leaf.part),
            None => leaf.part.to_string(),
        },
        None => "?".into(),
    }
}

fn judged(
    tables: &Tables,
    row: &Row,
    file: &'static str,
    shape: &str,
    name: &str,
    wanted: &str,
    answers: &Answers,
) -> Case {
    let mut case = Case {
        id: row.text("case").to_owned(),
        file,
        kind: match row.text("kind") {
            "" => file.to_owned(),
            kind => kind.to_owned(),
        },
        shape: shape.to_owned(),
        class: Class::Unknown,
        is_pruned: false,
        said: [row.text("sql").to_owned(), wanted.to_owned(), String::new()],
    };
    let Some(table) = tables.known.get(name) else {
        return case;
    };
    let wanted: BTreeSet<&str> = wanted.split(',').filter(|l| !l.is_empty()).collect();
    let shows_first = matches!(file, "where" | "join")
        && wanted.len() == 1
        && wanted.iter().all(|l| *l == "0" || *l == "0.0");
    let shows_all = wanted.len() == table.leaf_count() as usize;
    case.is_pruned = !shows_all && !shows_first;
    let mut union: Option<(LeafSet, bool)> = None;
    for (_, answer) in answers.iter().filter(|(n, _)| n == name) {
        let is_unknown = answer.certainty == Certainty::Unknown;
        match &mut union {
            None => union = Some((answer.leaves.clone(), is_unknown)),
            Some((set, was_unknown)) => {
                set.unite(&answer.leaves);
                *was_unknown |= is_unknown;
            }
        }
    }
    let Some((set, is_unknown)) = union else {
        return case;
    };
    let ours: BTreeSet<String> = set.iter().map(|leaf| label(table, leaf)).collect();
    case.said[2] = ours.iter().cloned().collect::<Vec<_>>().join(",");
    let ours: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    case.class = if ours == wanted || (ours.is_empty() && shows_first) {
        Class::Exact
    } else if ours.is_superset(&wanted) {
        if is_unknown {
            Class::Unknown
        } else {
            Class::Superset
        }
    } else if shows_all && file != "insert" && file != "ps" {
        Class::Narrower
    } else {
        Class::Wrong
    };
    case
}

/// A parameter as the protocol carries it.
pub(super) struct Param {
    /// Its type, with the bit of unsigned integers.
    pub(super) kind: u16,
    /// Its value on the wire; none for NULL.
    pub(super) bytes: Option<Vec<u8>>,
}

impl Param {
    fn decoded(&self) -> Option<Value<'_>> {
        let Some(bytes) = &self.bytes else {
            return Some(Value::Null);
        };
        Value::from_binary(self.kind, Some(TextCharset::Utf8mb4), &mut bytes.as_slice())?
    }
}

/// The parameters of a prepared statement.
pub(super) fn params(row: &Row) -> Result<Vec<Param>, String> {
    let json = row.json("params")?;
    let list = json.as_array().ok_or("params is no list")?;
    list.iter()
        .map(|p| {
            let text = p["v"].as_str().unwrap_or_default();
            let kind = p["py"].as_str().unwrap_or_default();
            param(kind, text).ok_or_else(|| format!("{kind} {text} is no parameter"))
        })
        .collect()
}

fn param(kind: &str, text: &str) -> Option<Param> {
    let string = |kind: u16, bytes: &[u8]| {
        let mut all = vec![0xfc];
        all.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        all.extend_from_slice(bytes);
        (kind, Some(all))
    };
    let (kind, bytes) = match kind {
        "NoneType" => (0x06, None),
        "int" => {
            let n: i128 = text.parse().ok()?;
            let sign = if n < 0 { 0 } else { 0x8000 };
            (0x08 | sign, Some((n as u64).to_le_bytes().to_vec()))
        }
        "float" => (0x05, Some(text.parse::<f64>().ok()?.to_le_bytes().to_vec())),
        "str" => string(0xfd, text.as_bytes()),
        "Decimal" => string(0xf6, text.as_bytes()),
        "bytes" => {
            let digits: Option<Vec<_>> = text.chars().map(|c| c.to_digit(16)).collect();
            let digits = digits?;
            let bytes: Vec<u8> = digits
                .chunks(2)
                .map(|p| ((p[0] << 4) | p[1]) as u8)
                .collect();
            string(0xfc, &bytes)
        }
        "date" | "datetime" => {
            let numbers = numbers(text);
            let [year, month, day, rest @ ..] = numbers.as_slice() else {
                return None;
            };
            let mut body = (*year as u16).to_le_bytes().to_vec();
            body.extend([*month as u8, *day as u8]);
            if let [hour, minute, second, fraction @ ..] = rest {
                body.extend([*hour as u8, *minute as u8, *second as u8]);
                body.extend_from_slice(&fraction.first().unwrap_or(&0).to_le_bytes());
            }
            body.insert(0, body.len() as u8);
            (if kind == "date" { 0x0a } else { 0x0c }, Some(body))
        }
        "timedelta" => {
            let (days, time) = match text.split_once(" day") {
                Some((days, time)) => (days.parse::<i64>().ok()?, time),
                None => (0, text),
            };
            let [hour, minute, second, ..] = numbers(time)[..] else {
                return None;
            };
            let seconds = i64::from(hour) * 3600 + i64::from(minute * 60 + second);
            let total = days * 86_400 + seconds;
            let (is_negative, total) = (u8::from(total < 0), total.abs());
            let mut body = vec![8, is_negative];
            body.extend_from_slice(&((total / 86_400) as u32).to_le_bytes());
            body.extend([total / 3600 % 24, total / 60 % 60, total % 60].map(|n| n as u8));
            (0x0b, Some(body))
        }
        _ => return None,
    };
    Some(Param { kind, bytes })
}

/// The numbers in a text; the last one behind a point as microseconds.
fn numbers(text: &str) -> Vec<u32> {
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |p: &str| p.parse().ok();
    let mut all: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(digits)
        .collect();
    if !fraction.is_empty() {
        all.push(format!("{fraction:0<6}").parse().unwrap_or(0));
    }
    all
}
