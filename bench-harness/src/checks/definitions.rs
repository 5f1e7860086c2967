//! Tables that change their definition under sessions that use them: how many statements go astray
//! until every core knows, as the model's log says.

use super::front::{CORES, Front, TENANT};
use super::{Saw, Setup, ensure};
use crate::clock::{Deadline, wait_for};
use crate::raw::{Conn, Login};
use obcluster::{Entry, Kind, Role, Topology, VerdictKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// Sessions on each core.
const SESSIONS_EACH: usize = 2;
/// The last question of a look-up of a table with partitions: where its leaves are.
const LEAVES: [&str; 2] = ["__all_virtual_proxy_schema", "tablet_id) IN ("];
/// How long the look-up that a statement gone astray brings about is waited for.
const ASKED_MAX: Duration = Duration::from_millis(200);
/// What is shown of a scenario that fails.
const SHOWN_MAX: usize = 6;

/// A change of definitions. In all texts `{a}` and `{b}` are databases and `{k}` is the key.
struct Scenario {
    name: &'static str,
    make: &'static [&'static str],
    /// What sessions run before.
    before: &'static [&'static str],
    keys: std::ops::Range<u32>,
    /// What one other session runs. A text behind `?` is what all sessions run, and that fails.
    change: &'static [&'static str],
    /// What sessions run then.
    after: &'static [&'static str],
    keys_after: std::ops::Range<u32>,
}

const HASH: &str = "create table {a}.t(k int primary key, v int) partition by hash(k) partitions 6";
const ROWS: &str = "insert into {a}.t values (0,0),(1,0),(2,0),(3,0),(4,0),(5,0),(6,0),(7,0),\
                    (8,0),(9,0),(10,0),(11,0)";
const RANGE: &str = "create table {a}.r(k int primary key, v int) partition by range(k) \
                     (partition p0 values less than (10), partition p1 values less than (20))";
const READ: &str = "select v from {a}.t where k = {k}";
const WRITE: &str = "update {a}.t set v = v + 1 where k = {k}";
const PUT: &str = "replace into {a}.t values ({k}, 1)";

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "dropped and made again",
        make: &[HASH, ROWS],
        before: &[READ, WRITE],
        keys: 0..12,
        change: &[
            "drop table {a}.t",
            "create table {a}.t(k int primary key, v int) partition by hash(k) partitions 5",
        ],
        after: &[PUT, READ],
        keys_after: 0..12,
    },
    Scenario {
        name: "made again after a miss",
        make: &[HASH, ROWS],
        before: &[READ],
        keys: 0..12,
        change: &[
            "drop table {a}.t",
            "?select v from {a}.t where k = 1",
            "create table {a}.t(k int primary key, v int) partition by key(k) partitions 7",
        ],
        after: &[PUT, READ],
        keys_after: 0..12,
    },
    Scenario {
        name: "repartitioned",
        make: &[HASH, ROWS],
        before: &[READ, WRITE],
        keys: 0..12,
        change: &["alter table {a}.t partition by hash(k) partitions 7"],
        after: &[READ, WRITE],
        keys_after: 0..12,
    },
    Scenario {
        name: "partitioned",
        make: &["create table {a}.t(k int primary key, v int)", ROWS],
        before: &[READ, WRITE],
        keys: 0..12,
        change: &["alter table {a}.t partition by key(k) partitions 6"],
        after: &[READ, WRITE],
        keys_after: 0..12,
    },
    Scenario {
        name: "a partition added",
        make: &[RANGE],
        before: &["replace into {a}.r values ({k}, 1)"],
        keys: 5..15,
        change: &[
            "alter table {a}.r add partition (partition p2 values less than (30), \
             partition p3 values less than (40))",
        ],
        after: &[
            "replace into {a}.r values ({k}, 1)",
            "select v from {a}.r where k = {k}",
        ],
        keys_after: 15..36,
    },
    Scenario {
        name: "truncated",
        make: &[HASH, ROWS],
        before: &[READ, WRITE],
        keys: 0..12,
        change: &["truncate table {a}.t"],
        after: &[PUT, READ],
        keys_after: 0..12,
    },
    Scenario {
        name: "a partition truncated",
        make: &[RANGE],
        before: &["replace into {a}.r values ({k}, 1)"],
        keys: 5..15,
        change: &["alter table {a}.r truncate partition p1"],
        after: &[
            "replace into {a}.r values ({k}, 1)",
            "select v from {a}.r where k = {k}",
        ],
        keys_after: 5..15,
    },
    Scenario {
        name: "renamed",
        make: &[HASH, ROWS],
        before: &[READ],
        keys: 0..12,
        change: &["rename table {a}.t to {a}.renamed"],
        after: &[
            "select v from {a}.renamed where k = {k}",
            "update {a}.renamed set v = v + 1 where k = {k}",
        ],
        keys_after: 0..12,
    },
    Scenario {
        name: "swapped",
        make: &[
            HASH,
            ROWS,
            "create table {a}.u(k int primary key, v int) partition by key(k) partitions 5",
        ],
        before: &[READ, "replace into {a}.u values ({k}, 1)"],
        keys: 0..12,
        change: &[
            "rename table {a}.t to {a}.x",
            "rename table {a}.u to {a}.t",
            "rename table {a}.x to {a}.u",
        ],
        after: &[READ, "select v from {a}.u where k = {k}", PUT],
        keys_after: 0..12,
    },
    Scenario {
        name: "one name in two databases",
        make: &[
            HASH,
            ROWS,
            "create table {b}.t(k int primary key, v int) partition by hash(k) partitions 5",
        ],
        before: &[READ, "replace into {b}.t values ({k}, 1)"],
        keys: 0..12,
        change: &["alter table {b}.t partition by key(k) partitions 8"],
        after: &[
            READ,
            "select v from {b}.t where k = {k}",
            "use {a}",
            "select /* a */ v from t where k = {k}",
            "use {b}",
            "select /* b */ v from t where k = {k}",
        ],
        keys_after: 0..12,
    },
    Scenario {
        name: "quoted names",
        make: &[
            "create table {a}.`t``x`(`k` int primary key, `v v` int) partition by hash(`k`) \
             partitions 6",
            "create table {a}.`a b`(`the key` int primary key, v int) \
             partition by key(`the key`) partitions 5",
        ],
        before: &[
            "replace into {a}.`t``x` values ({k}, 1)",
            "replace into `{a}`.`a b`(v, `the key`) values (1, {k})",
        ],
        keys: 0..12,
        change: &[
            "alter table {a}.`t``x` partition by hash(`k`) partitions 7",
            "alter table {a}.`a b` partition by hash(`the key`) partitions 7",
        ],
        after: &[
            "select `v v` from {a}.`t``x` where `k` = {k}",
            "select v from {a}.`a b` where `the key` = {k}",
            "update `{a}`.`a b` as `t``x` set `t``x`.v = 2 where `t``x`.`the key` = {k}",
        ],
        keys_after: 0..12,
    },
    Scenario {
        name: "names beyond ASCII",
        make: &[
            "create table {a}.表(键 int primary key, v int) partition by hash(键) partitions 6",
        ],
        before: &["replace into {a}.表 values ({k}, 1)"],
        keys: 0..12,
        change: &["alter table {a}.表 partition by key(键) partitions 7"],
        after: &[
            "select v from {a}.表 where 键 = {k}",
            "update {a}.`表` set v = 2 where `键` = {k}",
        ],
        keys_after: 0..12,
    },
    Scenario {
        name: "names in other letter case",
        make: &[
            "create table {a}.CamelCase(Kk int primary key, v int) partition by hash(Kk) \
             partitions 6",
        ],
        before: &[
            "replace into {a}.CAMELCASE values ({k}, 1)",
            "select v from {a}.CamelCase where kK = {k}",
        ],
        keys: 0..12,
        change: &["alter table {a}.camelcase partition by hash(kk) partitions 7"],
        after: &[
            "select v from {a}.CAMELcase where KK = {k}",
            "update {a}.camelCASE set V = 2 where kk = {k}",
        ],
        keys_after: 0..12,
    },
    Scenario {
        name: "its database made again",
        make: &["create table {b}.t(k int primary key, v int) partition by hash(k) partitions 6"],
        before: &["replace into {b}.t values ({k}, 1)"],
        keys: 0..12,
        change: &[
            "drop database {b}",
            "create database {b}",
            "create table {b}.t(k int primary key, v int) partition by hash(k) partitions 5",
        ],
        after: &[
            "replace into {b}.t values ({k}, 1)",
            "select v from {b}.t where k = {k}",
        ],
        keys_after: 0..12,
    },
];

/// Where a change is made.
const WAYS: [&str; 2] = ["through obring", "at a server"];

/// Each change of definitions under sessions on all cores, made through obring and past it: each
/// core sends at most one statement astray for each leaf, then none.
///
/// # Errors
/// What was not as it must be.
pub fn definitions(setup: &Setup) -> Saw {
    let mut front = Front::start(setup, Topology::default(), setup.kernel, &[])?;
    let sessions = front.sessions(SESSIONS_EACH, "oceanbase")?;
    let address = front.cluster.address(1).ok_or("no server")?;
    let direct = Conn::login(address, &Login::user(&format!("root@{TENANT}"), ""))?;
    let through = front.client("oceanbase")?;
    let process = std::process::id();
    let names = ["a", "b"].map(|n| format!("obring_defined_{process}_{n}"));
    let mut crowd = Crowd {
        admin: front.admin()?,
        front,
        sessions,
        others: [through, direct],
        names,
    };
    let (mut told, mut wrong) = (vec![], vec![]);
    let mut total = Tally::default();
    for scenario in SCENARIOS {
        for (way, name) in WAYS.iter().enumerate() {
            match crowd.play(scenario, way) {
                Ok(tally) if tally.is_good() => {
                    total.judged += tally.judged;
                    total.statements += tally.statements;
                    told.push(tally.missed());
                }
                Ok(tally) => wrong.push(format!("{} {name}: {tally}", scenario.name)),
                Err(e) => wrong.push(format!("{} {name}: {e}", scenario.name)),
            }
        }
    }
    for name in crowd.names.clone() {
        crowd.others[1].run(&format!("drop database if exists {name}"))?;
    }
    let runs = SCENARIOS.len() * WAYS.len();
    let saw = format!(
        "{} of {runs} changes on {CORES} cores; {} statements, {} judged; astray {}, {} at most",
        told.len(),
        total.statements,
        total.judged,
        told.iter().sum::<usize>(),
        told.iter().max().unwrap_or(&0),
    );
    ensure(wrong.is_empty(), || {
        [vec![saw.clone()], wrong].concat().join("\n")
    })?;
    crowd.front.unbroken()?;
    Ok(saw)
}

/// What came of a change.
#[derive(Default)]
struct Tally {
    statements: usize,
    judged: usize,
    /// By core and tablet, in the first round after the change.
    astray: BTreeMap<(String, u64), Vec<String>>,
    /// In the second round.
    late: Vec<String>,
}

impl Tally {
    fn missed(&self) -> usize {
        self.astray.values().map(Vec::len).sum()
    }

    /// Nearly all of it is judged, and no core has missed a leaf twice.
    fn is_good(&self) -> bool {
        self.late.is_empty()
            && self.astray.values().all(|of| of.len() <= 1)
            && self.judged * 10 >= self.statements * 9
            && self.statements > 0
    }

    /// Judges what ran of a statement. True: it went astray, as the first of this leaf and core.
    fn add(&mut self, entry: &Entry, core: Option<&String>, is_late: bool) -> bool {
        self.statements += 1;
        if entry.verdict.kind != VerdictKind::Exact {
            return false;
        }
        self.judged += 1;
        if matches!(entry.role_here, Role::Leader | Role::SpreadMost) {
            return false;
        }
        let text = format!("server {}: {}", entry.server_id, entry.sql);
        if is_late {
            self.late.push(text);
            false
        } else {
            let mut tablets = entry.verdict.tables.iter().flat_map(|t| &t.tablets);
            let key = (
                core.cloned().unwrap_or_default(),
                tablets.next().copied().unwrap_or(0),
            );
            let of = self.astray.entry(key).or_default();
            of.push(text);
            of.len() == 1
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let again = self.astray.values().filter(|of| of.len() > 1);
        let shown: Vec<_> = again.clone().flatten().chain(&self.late).collect();
        write!(
            f,
            "{} statements, {} judged, {} astray, {} leaves missed again by a core, {} late: {:?}",
            self.statements,
            self.judged,
            self.missed(),
            again.count(),
            self.late.len(),
            &shown[..shown.len().min(SHOWN_MAX)]
        )
    }
}

/// The sessions, and who changes definitions.
struct Crowd {
    front: Front,
    sessions: Vec<Conn>,
    /// Through obring, and at a server.
    others: [Conn; 2],
    /// Of obring: tells when an answer has come.
    admin: Conn,
    names: [String; 2],
}

impl Crowd {
    /// The text as it is sent.
    fn text(&self, text: &str, key: u32) -> String {
        let [a, b] = &self.names;
        let text = text.replace("{a}", a).replace("{b}", b);
        text.replace("{k}", &key.to_string())
    }

    fn play(&mut self, scenario: &Scenario, way: usize) -> Result<Tally, String> {
        for name in self.names.clone() {
            self.others[0].run(&format!("drop database if exists {name}"))?;
            self.others[0].run(&format!("create database {name}"))?;
        }
        for text in scenario.make {
            let text = self.text(text, 0);
            self.others[0].run(&text)?;
        }
        self.round(
            scenario.before,
            &scenario.keys,
            false,
            &mut Tally::default(),
        )?;
        for text in scenario.change {
            match text.strip_prefix('?') {
                None => {
                    let text = self.text(text, 0);
                    self.others[way].run(&text)?;
                }
                Some(text) => {
                    let text = self.text(text, 0);
                    for session in &mut self.sessions {
                        ensure(session.rows(&text).is_err(), || format!("{text}: no error"))?;
                    }
                }
            }
        }
        let mut tally = Tally::default();
        for is_late in [false, true] {
            self.round(scenario.after, &scenario.keys_after, is_late, &mut tally)?;
        }
        Ok(tally)
    }

    /// Every session runs each text with each key.
    fn round(
        &mut self,
        texts: &[&str],
        keys: &std::ops::Range<u32>,
        is_late: bool,
        tally: &mut Tally,
    ) -> Result<(), String> {
        for session in 0..self.sessions.len() {
            for text in texts {
                if !text.contains("{k}") {
                    let text = self.text(text, 0);
                    self.sessions[session].run(&text)?;
                    continue;
                }
                for key in keys.clone() {
                    let text = self.text(text, key);
                    self.statement(session, &text, is_late, tally)?;
                }
            }
        }
        Ok(())
    }

    fn statement(
        &mut self,
        session: usize,
        text: &str,
        is_late: bool,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let from = self.front.cluster.log_next();
        let session = &mut self.sessions[session];
        match text.starts_with("select") {
            true => drop(session.rows(text)?),
            false => session.run(text)?,
        }
        let log = self.front.cluster.log_since(from);
        let mut ran = log.iter().filter(|e| {
            e.kind == Kind::Request && e.tenant == TENANT && e.meta.is_empty() && e.sql == text
        });
        let entry = ran.next().ok_or_else(|| format!("{text} has not run"))?;
        let core = self.front.core(entry);
        if tally.add(entry, core, is_late) {
            // A second statement that comes before the answer would go by what is known, as it
            // may; that is not what is counted here.
            let is_answer =
                |e: &Entry| e.t_done_us > 0 && LEAVES.iter().all(|text| e.sql.contains(text));
            let cluster = &self.front.cluster;
            let _ = wait_for(Deadline::after(ASKED_MAX), "a look-up", || {
                cluster.log_since(from).iter().any(is_answer).then_some(())
            });
            let is_waiting = |row: &Vec<Option<String>>| row[4].as_deref() == Some("UPDATING");
            let admin = &mut self.admin;
            let _ = wait_for(
                Deadline::after(ASKED_MAX),
                "its answer on all cores",
                || {
                    let rows = admin.rows("show proxyroute").unwrap_or_default();
                    (!rows.iter().any(is_waiting)).then_some(())
                },
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_that_a_core_misses_twice_is_too_much() {
        let ran = |tablet, role| Entry {
            verdict: obcluster::Verdict {
                kind: VerdictKind::Exact,
                reason: None,
                tables: vec![obcluster::Touched {
                    tablets: vec![tablet],
                    ..obcluster::Touched::default()
                }],
            },
            role_here: role,
            ..Entry::default()
        };
        let of = |list: &[(u64, &str, Role, bool)]| {
            let mut tally = Tally::default();
            for (tablet, core, role, is_late) in list {
                tally.add(&ran(*tablet, *role), Some(&(*core).to_owned()), *is_late);
            }
            tally.is_good()
        };
        use Role::{Follower, Leader};
        assert!(of(&[(7, "a", Leader, false), (7, "a", Follower, false)]));
        assert!(of(&[(7, "b", Follower, false), (7, "a", Follower, false)]));
        assert!(!of(&[(7, "a", Follower, false), (7, "a", Follower, false)]));
        assert!(!of(&[(7, "a", Follower, true)]));
        assert!(!of(&[]));
    }
}
