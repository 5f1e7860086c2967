//! The statements of the vectors before the judge of the model cluster: what it says by the
//! kernel's EXPLAIN, against the leaves that were recorded.

use super::cases::params;
use super::tsv::{Row, read};
use crate::raw::{Conn, Login};
use obcluster::judge::{Court, Judge, JudgeMode, JudgeState, Question};
use obcluster::kernel::Tables;
use obcluster::{Reason, Touched, Verdict, VerdictKind};
use obring_wire::protocol::mysql::Command;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Where the tables of the vectors are made. The recorded statements name another database.
const DATABASE: &str = "obcluster_vectors";
const RECORDED: &str = "pvec_public";
/// The number of the prepared statement that is judged.
const STATEMENT: u32 = 1;

/// How a verdict compares with what was recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Judged {
    /// The same leaves.
    Equal,
    /// Nothing, where the first leaf was recorded: the kernel shows it for nothing.
    Nothing,
    /// At most these, and it says so.
    Wider,
    /// Unknown, for this reason.
    Unknown(Reason),
    /// EXPLAIN fails, though the statement ran.
    Fails,
    /// The recorded statement failed: there is nothing to compare.
    Refused,
    /// Other leaves, or leaves that are missing.
    Wrong,
}

/// What was seen of a folder of vectors.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Statements by file and comparison.
    pub counts: BTreeMap<&'static str, BTreeMap<Judged, u64>>,
    /// Statements whose table cannot be made as it was: older types.
    pub left_out: u64,
    /// Wrong ones: name, statement, recorded leaves, verdict.
    pub wrong: Vec<String>,
    /// Statements of which EXPLAIN says that they fail.
    pub fails: Vec<String>,
}

impl Seen {
    /// Statements of all files that compare so.
    pub fn count(&self, keep: impl Fn(Judged) -> bool) -> u64 {
        let all = self.counts.values().flatten();
        all.filter(|(judged, _)| keep(**judged))
            .map(|(_, n)| n)
            .sum()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.wrong.len();
        let all = self.count(|_| true);
        let unknown = self.count(|j| matches!(j, Judged::Unknown(_)));
        let share = unknown as f64 * 100.0 / all.max(1) as f64;
        write!(
            f,
            "{wrong} wrong of {all}, {unknown} ({share:.1} %) unknown"
        )?;
        if self.left_out > 0 {
            write!(f, ", {} of tables with older types left out", self.left_out)?;
        }
        for (file, counts) in &self.counts {
            write!(f, "\n{file}:")?;
            for (judged, n) in counts {
                match judged {
                    Judged::Unknown(reason) => write!(f, " {n} unknown by {reason:?},")?,
                    judged => write!(f, " {n} {judged:?},")?,
                }
            }
        }
        Ok(())
    }
}

/// Makes the tables of a folder on a kernel and has the judge judge its statements. The database
/// is dropped in the end.
///
/// # Errors
/// A file that cannot be read, or a kernel that refuses the tables.
pub fn judge(folder: &Path, kernel: SocketAddr) -> Result<Seen, String> {
    let mut conn = Conn::login(kernel, &Login::default())?;
    let mut bench = Bench::new(folder, kernel, &mut conn)?;
    for row in read(folder, "insert")? {
        let wanted = [(row.text("table"), row.text("leaf"))];
        bench.row("insert", &row, &wanted)?;
    }
    for row in read(folder, "ps")? {
        let wanted = [(row.text("table"), row.text("leaf"))];
        bench.row("ps", &row, &wanted)?;
    }
    for row in read(folder, "where")? {
        let wanted = [(row.text("table"), row.text("leaves"))];
        bench.row("where", &row, &wanted)?;
    }
    for row in read(folder, "join")? {
        let json = row.json("leaves_by_table")?;
        let each = json.as_object().into_iter().flatten();
        let wanted: Vec<_> = each
            .map(|(name, leaves)| (name.as_str(), leaves.as_str().unwrap_or_default()))
            .collect();
        bench.row("join", &row, &wanted)?;
    }
    let seen = bench.seen;
    conn.run(&format!("drop database {DATABASE}"))?;
    Ok(seen)
}

struct Bench {
    runtime: Runtime,
    judge: Judge,
    /// Names of leaves, `i` or `i.j`, in the kernel's order.
    labels: HashMap<String, Vec<String>>,
    /// Tables that cannot be made as they were.
    absent: HashSet<String>,
    seen: Seen,
}

impl Bench {
    fn new(folder: &Path, kernel: SocketAddr, conn: &mut Conn) -> Result<Self, String> {
        for sql in [
            "set names utf8mb4",
            "set time_zone = '+08:00'",
            &format!("drop database if exists {DATABASE}"),
            &format!("create database {DATABASE}"),
            &format!("use {DATABASE}"),
        ] {
            conn.run(sql)?;
        }
        let mut absent = HashSet::new();
        for row in read(folder, "tables")? {
            if row.number::<u8>("legacy_types") != 0 {
                absent.insert(row.text("table").to_owned());
                continue;
            }
            conn.run(row.text("ddl"))?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| e.to_string())?;
        let court = Court::new(kernel, Arc::new(Tables::default()), JudgeMode::Sync);
        Ok(Self {
            runtime,
            judge: Judge::new(court),
            labels: labels(folder)?,
            absent,
            seen: Seen::default(),
        })
    }

    fn row(
        &mut self,
        file: &'static str,
        row: &Row,
        wanted: &[(&str, &str)],
    ) -> Result<(), String> {
        if wanted.iter().any(|(table, _)| self.absent.contains(*table)) {
            self.seen.left_out += 1;
            return Ok(());
        }
        let sql = row.text("sql").replace(RECORDED, DATABASE);
        let state = state(row);
        let (command, body, statement) = if file == "ps" {
            let params = params(row)?;
            let count = u16::try_from(params.len()).map_err(|e| e.to_string())?;
            self.judge.prepared(STATEMENT, sql.as_bytes(), count);
            let body = execution(&params);
            (Command::STMT_EXECUTE, body, STATEMENT)
        } else {
            (Command::QUERY, sql.clone().into_bytes(), 0)
        };
        let question = Question {
            command,
            body: &body,
            statement,
            is_whole: true,
        };
        let verdict = self.judge.judge(&question, &state);
        let verdict = self.runtime.block_on(verdict);
        let judged = if row.number::<u32>("errno") != 0 {
            Judged::Refused
        } else {
            self.compared(&verdict, wanted)
        };
        let said = format!(
            "{}: {sql} | recorded {wanted:?} | {verdict:?}",
            row.text("case")
        );
        match judged {
            Judged::Wrong => self.seen.wrong.push(said),
            Judged::Fails => self.seen.fails.push(said),
            _ => {}
        }
        let counts = self.seen.counts.entry(file).or_default();
        *counts.entry(judged).or_default() += 1;
        Ok(())
    }

    fn compared(&self, verdict: &Verdict, wanted: &[(&str, &str)]) -> Judged {
        let is_superset = match verdict.kind {
            VerdictKind::Unknown => {
                return Judged::Unknown(verdict.reason.unwrap_or(Reason::Plan));
            }
            VerdictKind::NotJudged => return Judged::Fails,
            VerdictKind::NoTable => return Judged::Wrong,
            VerdictKind::Exact | VerdictKind::Nothing => false,
            VerdictKind::Superset => true,
        };
        let mut is_wider = verdict.tables.len() > wanted.len();
        for (table, leaves) in wanted {
            let wanted: BTreeSet<&str> = leaves.split(',').collect();
            let touched = verdict.tables.iter().find(|t| t.table == *table);
            let Some(got) = touched.and_then(|t| self.labels_of(t)) else {
                return Judged::Wrong;
            };
            if !got.is_superset(&wanted) {
                return Judged::Wrong;
            }
            is_wider |= got.len() > wanted.len();
        }
        match (is_wider, is_superset) {
            (false, _) if verdict.kind == VerdictKind::Nothing => Judged::Nothing,
            (false, _) => Judged::Equal,
            (true, true) => Judged::Wider,
            (true, false) => Judged::Wrong,
        }
    }

    fn labels_of(&self, touched: &Touched) -> Option<BTreeSet<&str>> {
        let labels = self.labels.get(&touched.table)?;
        let label = |leaf: &u32| labels.get(*leaf as usize).map(String::as_str);
        touched.leaves.iter().map(label).collect()
    }
}

/// The names of the leaves of all tables.
fn labels(folder: &Path) -> Result<HashMap<String, Vec<String>>, String> {
    let mut subs: HashMap<String, usize> = HashMap::new();
    for row in read(folder, "meta_subpart")? {
        *subs.entry(row.text("part_id").to_owned()).or_default() += 1;
    }
    let mut labels: HashMap<String, Vec<String>> = HashMap::new();
    let mut parts: HashMap<String, usize> = HashMap::new();
    for row in read(folder, "meta_part")? {
        let table = row.text("table").to_lowercase();
        let part = parts.entry(table.clone()).or_default();
        let all = labels.entry(table).or_default();
        match subs.get(row.text("part_id")) {
            Some(n) => all.extend((0..*n).map(|sub| format!("{part}.{sub}"))),
            None => all.push(part.to_string()),
        }
        *part += 1;
    }
    Ok(labels)
}

/// The session in which a statement was recorded.
fn state(row: &Row) -> JudgeState {
    let mut state = JudgeState {
        database: DATABASE.into(),
        ..JudgeState::default()
    };
    let mut set = |name: &str, value: &str| {
        state.variables.insert(name.into(), value.into());
    };
    set("collation_connection", "utf8mb4_general_ci");
    set(
        "time_zone",
        match row.text("time_zone") {
            "" => "+08:00",
            zone => zone,
        },
    );
    const DEFAULT: &str = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_AUTO_CREATE_USER";
    let is_there = row.is_there("sql_mode");
    set(
        "sql_mode",
        if is_there {
            row.text("sql_mode")
        } else {
            DEFAULT
        },
    );
    state
}

/// What stands behind the command byte of an execution.
fn execution(params: &[super::cases::Param]) -> Vec<u8> {
    let mut body = STATEMENT.to_le_bytes().to_vec();
    body.extend([0, 1, 0, 0, 0]);
    if params.is_empty() {
        return body;
    }
    let mut nulls = vec![0_u8; params.len().div_ceil(8)];
    for (n, param) in params.iter().enumerate() {
        nulls[n / 8] |= u8::from(param.bytes.is_none()) << (n % 8);
    }
    body.extend(nulls);
    body.push(1);
    body.extend(params.iter().flat_map(|p| p.kind.to_le_bytes()));
    let values = params.iter().filter_map(|p| p.bytes.as_deref());
    body.extend(values.flatten());
    body
}
