//! Where the statements of workloads run, judged by the model cluster: of those whose exact
//! partitions it knows, how many came first time to the server that leads most of them. What goes
//! over all partitions of a table is judged by the same rule and counted apart: the kernel gives
//! it as "at most these", and every such statement of these workloads does touch them all.

use super::{Saw, Setup, ensure};
use crate::bench::decisions::Decisions;
use crate::random::World;
use crate::raw::{Conn, Login};
use obcluster::{Entry, Kind, Role, VerdictKind};
use obring_wire::base::Rng;
use std::collections::BTreeMap;

/// Clients of a workload; all of them play in one thread, in turn.
const CLIENTS: usize = 4;
/// Rows of sysbench's table.
const ROWS: u32 = 400;
/// From the first to the last row of a range of sysbench: 100 rows, some in every leaf.
const SPAN: u64 = 99;
/// Of 1,000 statements that are not bound by a transaction, this many must be right.
const RIGHT_PER_MILLE: u64 = 999;

/// Statements of one turn of a client, with its dice; "begin" and "commit" among them.
type Turn = fn(&mut Rng) -> Vec<String>;

/// A kind of load.
struct Workload {
    /// Statements that make its tables, and what is in them.
    tables: &'static [&'static str],
    /// Rows of an integer key, `{k}` in the statement, that are inserted first.
    rows: (&'static str, u32),
    turn: Turn,
}

/// sysbench's oltp_read_write.
const SYSBENCH: Workload = Workload {
    tables: &[
        "create table sbtest1(id int primary key, k int, c char(120), pad char(60), key k_1(k)) \
         partition by hash(id) partitions 8",
    ],
    rows: (
        "insert into sbtest1 values ({k}, {k}, repeat('c', 119), repeat('p', 59))",
        ROWS,
    ),
    turn: |dice| {
        let mut id = || dice.below(ROWS.into());
        let mut list = vec!["begin".to_owned()];
        list.extend((0..4).map(|_| format!("select c from sbtest1 where id={}", id())));
        for what in ["c", "sum(k)", "distinct c"] {
            let from = id();
            let to = from + SPAN;
            let text = format!("select {what} from sbtest1 where id between {from} and {to}");
            list.push(text);
        }
        list.push(format!("update sbtest1 set k=k+1 where id={}", id()));
        let one = id();
        list.push(format!("update sbtest1 set c='x' where id={one}"));
        list.push(format!("delete from sbtest1 where id={one}"));
        list.push(format!("insert into sbtest1 values ({one}, 1, 'c', 'p')"));
        list.push("commit".to_owned());
        list
    },
};

/// Statements outside of transactions, as most of a web application's are: points, and now and then
/// a range and a whole table.
const POINTS: Workload = Workload {
    tables: SYSBENCH.tables,
    rows: SYSBENCH.rows,
    turn: |dice| {
        let mut id = || dice.below(ROWS.into());
        let from = id();
        vec![
            format!("select c from sbtest1 where id={}", id()),
            format!("select k, pad from sbtest1 where id in ({})", id()),
            format!("update sbtest1 set k=k+1 where id={}", id()),
            format!(
                "select sum(k) from sbtest1 where id between {from} and {}",
                from + SPAN
            ),
            "select count(*) from sbtest1".to_owned(),
        ]
    },
};

/// Transactions that stay in one warehouse, as TPC-C's do.
const WAREHOUSES: Workload = Workload {
    tables: &[
        "create table warehouse(w_id int primary key, w_ytd decimal(12,2)) \
         partition by hash(w_id) partitions 6",
        "create table district(d_w_id int, d_id int, d_ytd decimal(12,2), d_next int, \
         primary key(d_w_id, d_id)) partition by hash(d_w_id) partitions 6",
        "create table customer(c_w_id int, c_d_id int, c_id int, c_last varchar(16), \
         c_balance decimal(12,2), primary key(c_w_id, c_d_id, c_id)) \
         partition by hash(c_w_id) partitions 6",
        "create table orders(o_w_id int, o_d_id int, o_id int, o_c_id int, \
         primary key(o_w_id, o_d_id, o_id)) partition by hash(o_w_id) partitions 6",
        "create table stock(s_w_id int, s_i_id int, s_quantity int, primary key(s_w_id, s_i_id)) \
         partition by hash(s_w_id) partitions 6",
    ],
    rows: ("insert into warehouse values ({k}, 0)", 12),
    turn: |dice| {
        let (w, d, c, i) = (
            dice.below(12),
            dice.below(10),
            dice.below(30),
            dice.below(40),
        );
        match dice.below(3) {
            0 => vec![
                "begin".to_owned(),
                format!("select d_next from district where d_w_id={w} and d_id={d} for update"),
                format!("replace into district values ({w}, {d}, 0, {i})"),
                format!("replace into orders values ({w}, {d}, {i}, {c})"),
                format!("replace into stock values ({w}, {i}, 10)"),
                format!("update stock set s_quantity=s_quantity-1 where s_w_id={w} and s_i_id={i}"),
                "commit".to_owned(),
            ],
            1 => vec![
                "begin".to_owned(),
                format!("update warehouse set w_ytd=w_ytd+1 where w_id={w}"),
                format!("replace into customer values ({w}, {d}, {c}, 'BAR', 10)"),
                format!(
                    "update customer set c_balance=c_balance-1 \
                     where c_w_id={w} and c_d_id={d} and c_id={c}"
                ),
                "commit".to_owned(),
            ],
            _ => vec![
                format!("select c_balance from customer where c_w_id={w} and c_d_id={d}"),
                format!(
                    "select o.o_id from orders o join customer c on o.o_w_id=c.c_w_id \
                     where o.o_w_id={w} and c.c_w_id={w} and o.o_d_id={d}"
                ),
                format!("select count(*) from stock where s_w_id={w} and s_quantity < 20"),
            ],
        }
    },
};

/// Tables of every kind of partitioning, and one without.
pub const MIXED_TABLES: &[&str] = &[
    "create table h(k int primary key, v int) partition by hash(k) partitions 6",
    "create table y(k varchar(20) primary key, v int) partition by key(k) partitions 6",
    "create table r(k int primary key, v int) partition by range(k) \
         (partition a values less than (10), partition b values less than (20), \
          partition c values less than maxvalue)",
    "create table l(k int primary key, v int) partition by list(k) \
         (partition a values in (1, 2, 3), partition b values in (4, 5, 6), \
          partition c values in (default))",
    "create table d(k int, t datetime, v int, primary key(k, t)) \
         partition by range columns(t) subpartition by hash(k) subpartitions 2 \
         (partition a values less than ('2026-02-01'), \
          partition b values less than (maxvalue))",
    "create table n(k int primary key, v int)",
];

/// Statements of many shapes on tables of every kind of partitioning.
const MIXED: Workload = Workload {
    tables: MIXED_TABLES,
    rows: ("insert into h values ({k}, 1)", 30),
    turn: |dice| {
        let (k, m) = (dice.below(30), dice.below(4) + 1);
        vec![
            format!("select v from h where k = {k}"),
            format!("select v from h where k in ({k}, {})", k + 6),
            format!("insert into h values ({k}, 1) on duplicate key update v = v + 1"),
            format!("replace into y values ('k{k}', {k}), ('k{k}', 2)"),
            format!("select /* text */ v from y where k = 'k{k}' and v > 0"),
            format!("replace into r(v, k) values (1, {k})"),
            format!("select r.v, n.v from r join n on r.k = n.k where r.k = {k} and n.k = {k}"),
            format!("update l set v = 2 where k = {} + 1", k % 8),
            format!("delete from l where k = {}", k % 9),
            format!("replace into d values ({k}, '2026-0{m}-01 10:00:00', 1)"),
            format!("select v from d where t = '2026-0{m}-01 10:00:00' and k = {k}"),
            format!("select (select max(v) from n where k = {k}) as m"),
            format!("replace into n values ({k}, 1)"),
            // Of its four leaves one server leads two.
            "select count(*) from d".to_owned(),
            "select max(v) from d where v >= 0".to_owned(),
            format!("select sum(v) from h where k between {k} and {}", k + SPAN),
        ]
    },
};

/// Every workload: name, and the number of turns of its small size.
const WORKLOADS: &[(&str, u32, Workload)] = &[
    ("sysbench oltp_read_write", 8, SYSBENCH),
    ("sysbench point statements", 25, POINTS),
    ("TPC-C-like", 20, WAREHOUSES),
    ("mixed", 8, MIXED),
];

/// Names of the workloads.
pub fn workloads() -> impl Iterator<Item = &'static str> {
    WORKLOADS.iter().map(|(name, ..)| *name)
}

/// What is said of one statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    /// It leads the most of what is touched.
    Right,
    Wrong,
    /// It touches all leaves of a table, and no server leads more of them than this one.
    AllRight,
    /// It touches all leaves of a table, and another server leads more of them.
    AllWrong,
    /// The transaction that was open before runs there.
    Bound,
    /// The model does not know exactly.
    NotExact,
}

/// Plays a workload through obring, in turns of its small size times `size`.
///
/// # Errors
/// What does not start or fails; too many statements in the wrong place.
pub fn placing(setup: &Setup, name: &str, size: u32) -> Saw {
    let found = WORKLOADS.iter().find(|(n, ..)| *n == name);
    let (_, turns, workload) = found.ok_or_else(|| format!("there is no workload {name:?}"))?;
    let world = World::start(setup, &[])?;
    let user = format!("root{}", world.through().tenant);
    let login = || {
        let login = Login::user(&user, "").db(world.db());
        Conn::login(world.proxy.address(), &login)
    };
    let mut clients = (0..CLIENTS)
        .map(|_| login())
        .collect::<Result<Vec<_>, _>>()?;
    let first = clients.first_mut().ok_or("no clients")?;
    for table in workload.tables {
        first.run(table)?;
    }
    let (insert, rows) = workload.rows;
    for k in 0..rows {
        first.run(&insert.replace("{k}", &k.to_string()))?;
    }
    let before = Decisions::of(world.proxy.address())?;
    let since = world.cluster.log_next();
    let mut dice = Rng::new(1);
    for _ in 0..turns * size {
        for client in &mut clients {
            for sql in (workload.turn)(&mut dice) {
                match sql.starts_with("select") {
                    true => drop(client.rows(&sql)?),
                    false => client.run(&sql)?,
                }
            }
        }
    }
    let decided = Decisions::of(world.proxy.address())?.since(&before);
    let log = world.cluster.log_since(since);
    ensure(log.first().is_some_and(|e| e.seq == since), || {
        "the log has lost entries that are to be judged".into()
    })?;
    // Each turn has statements that may run anywhere.
    let said = judged(&log, u64::from(turns * size) * CLIENTS as u64);
    // What obring itself says of it is shown, and judges nothing.
    let told = |said| format!("{said}\nby obring's own counters: {decided}");
    said.map(told).map_err(told)
}

/// Counts where the statements of a log ran; so many must have been judged at least.
fn judged(log: &[Entry], judged_min: u64) -> Saw {
    let mut counts: BTreeMap<Place, u64> = BTreeMap::new();
    // The request before on each link: the first statement behind BEGIN may run anywhere.
    let mut before: BTreeMap<u64, &Entry> = BTreeMap::new();
    let mut wrong = vec![];
    let mut exact = 0;
    for entry in log.iter().filter(|e| e.kind == Kind::Request) {
        let begins = before
            .insert(entry.link, entry)
            .is_some_and(|e| e.sql.eq_ignore_ascii_case("begin"));
        if entry.verdict.tables.is_empty() || !entry.meta.is_empty() {
            continue;
        }
        let is_right = matches!(entry.role_here, Role::Leader | Role::SpreadMost);
        let place = match (entry.verdict.kind, is_right) {
            (VerdictKind::Exact, true) => Place::Right,
            (VerdictKind::Superset, true) => Place::AllRight,
            (VerdictKind::Exact | VerdictKind::Superset, _) if entry.tx_before && !begins => {
                Place::Bound
            }
            (VerdictKind::Exact, _) => Place::Wrong,
            (VerdictKind::Superset, _) => Place::AllWrong,
            _ => Place::NotExact,
        };
        *counts.entry(place).or_default() += 1;
        exact += u64::from(entry.verdict.kind == VerdictKind::Exact);
        let is_wrong = matches!(place, Place::Wrong | Place::AllWrong);
        if is_wrong && wrong.len() < 10 {
            wrong.push(format!("server {}: {}", entry.server_id, entry.sql));
        }
    }
    let of = |place| counts.get(&place).copied().unwrap_or(0);
    let (right, bad) = (of(Place::Right), of(Place::Wrong));
    let (all_right, all_bad) = (of(Place::AllRight), of(Place::AllWrong));
    let total: u64 = counts.values().sum();
    let said = format!(
        "{right} right, {bad} wrong; over all leaves {all_right} right, {all_bad} wrong; {} bound \
         by their transaction, {} not known; {exact} of {total} exactly known",
        of(Place::Bound),
        of(Place::NotExact)
    );
    let is_met = |right: u64, bad: u64| bad * 1_000 <= (right + bad) * (1_000 - RIGHT_PER_MILLE);
    // What nobody knows, or what has not run, shows nothing.
    let is_judged = right + bad >= judged_min && exact * 2 >= total;
    match is_judged && is_met(right, bad) && is_met(all_right, all_bad) {
        true => Ok(said),
        false => Err([vec![said], wrong].concat().join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obcluster::{Touched, Verdict};

    fn ran(kind: VerdictKind, role: Role, tx_before: bool) -> Entry {
        Entry {
            verdict: Verdict {
                kind,
                reason: None,
                tables: vec![Touched::default()],
            },
            role_here: role,
            tx_before,
            ..Entry::default()
        }
    }

    #[test]
    fn what_was_not_judged_is_not_right() {
        use Role::{Follower, Leader, Spread, SpreadMost};
        use VerdictKind::{Exact, Superset, Unknown};
        let right = ran(Exact, Leader, false);
        for (log, is_good) in [
            (vec![right.clone(), ran(Exact, SpreadMost, false)], true),
            (vec![right.clone()], false),
            (vec![], false),
            // Most of it is not known.
            (
                [
                    vec![right.clone(); 2],
                    vec![ran(Unknown, Role::Na, false); 3],
                ]
                .concat(),
                false,
            ),
            (vec![right.clone(), ran(Exact, Follower, false)], false),
            (
                [vec![right.clone(); 2], vec![ran(Exact, Follower, true)]].concat(),
                true,
            ),
            (
                [vec![right.clone(); 2], vec![ran(Superset, Spread, false)]].concat(),
                false,
            ),
            (
                [vec![right; 2], vec![ran(Superset, SpreadMost, false)]].concat(),
                true,
            ),
        ] {
            assert_eq!(judged(&log, 2).is_ok(), is_good, "{log:?}");
        }
    }
}
