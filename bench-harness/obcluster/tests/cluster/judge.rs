//! What statements touch, by the kernel's own EXPLAIN.

use crate::client::Client;
use crate::{Database, kernel};
use obcluster::Verdict;
use obcluster::judge::{Court, Judge, JudgeMode, JudgeState, Question};
use obcluster::kernel::Tables;
use obring_wire::protocol::mysql::Command;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// A judge, and the state that its link would have.
pub(crate) struct Bench {
    runtime: Runtime,
    pub(crate) judge: Judge,
    pub(crate) state: JudgeState,
}

impl Bench {
    pub(crate) fn new(mode: JudgeMode, database: &str) -> Self {
        let court = Court::new(kernel(), Arc::new(Tables::default()), mode);
        Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            judge: Judge::new(court),
            state: JudgeState {
                database: database.into(),
                ..JudgeState::default()
            },
        }
    }

    pub(crate) fn verdict(&mut self, command: Command, statement: u32, body: &[u8]) -> Verdict {
        let question = Question {
            command,
            body,
            statement,
            is_whole: true,
        };
        let judged = self.judge.judge(&question, &self.state);
        self.runtime.block_on(judged)
    }

    /// The verdict on a text, as `kind reason table:leaves ...`.
    pub(crate) fn text(&mut self, sql: &str) -> String {
        shown(&self.verdict(Command::QUERY, 0, sql.as_bytes()))
    }

    #[track_caller]
    fn all(&mut self, cases: &[(&str, &str)]) {
        let wrong: Vec<_> = cases
            .iter()
            .map(|(sql, want)| (*sql, self.text(sql), *want))
            .filter(|(_, got, want)| got != want)
            .collect();
        assert!(wrong.is_empty(), "statement, verdict, wanted: {wrong:#?}");
    }
}

pub(crate) fn shown(verdict: &Verdict) -> String {
    let mut words = vec![format!("{:?}", verdict.kind)];
    words.extend(verdict.reason.map(|r| format!("{r:?}")));
    // The plan may join in any order.
    let mut tables: Vec<_> = verdict.tables.iter().collect();
    tables.sort_by_key(|t| &t.table);
    for table in tables {
        assert_eq!(table.leaves.len(), table.tablets.len());
        assert!(table.tablets.iter().all(|t| *t != 0));
        let leaves: Vec<String> = table.leaves.iter().map(u32::to_string).collect();
        words.push(format!("{}:{}", table.table, leaves.join(",")));
    }
    words.join(" ")
}

/// Tables: h by HASH of an integer, k by KEY of a text, r of two levels, n without partitions, g
/// with a global index, l by LIST in another order than declared, d by a time.
pub(crate) fn tables(name: &str) -> (Database, Client, String) {
    let db = Database::new(kernel(), name);
    let mut client = db.client();
    let name = db.1.clone();
    client.ask(&format!("use {name}"));
    for sql in [
        "create table h(id bigint primary key, v varchar(20)) partition by hash(id) partitions 4",
        "create table k(a varchar(20), b int, primary key(a, b)) partition by key(a) partitions 3",
        "create table r(id int, d int, v int) partition by range(id) \
         subpartition by hash(d) subpartitions 2 (partition p0 values less than (10), \
         partition p1 values less than (20), partition p2 values less than (maxvalue))",
        "create table n(id int primary key, v int)",
        "create table g(id int primary key, v int, key gi(v) global) \
         partition by hash(id) partitions 4",
        "create table l(k int, v int) partition by list(k) \
         (partition zz values in (5, 6), partition aa values in (1, 2))",
        "create table d(t datetime, v int default 7) partition by key(t) partitions 5",
        "create table c(k int default 3, v int) partition by hash(k) partitions 4",
        "create table a(id int auto_increment, v int) partition by hash(id) partitions 4",
        "create view w as select * from h where id = 3",
        "create view ww as select x.id, y.b from w x join k y on x.v = y.a",
    ] {
        client.ask(sql);
    }
    (db, client, name)
}

#[test]
fn reads_and_writes_of_every_kind() {
    let (_db, _client, name) = tables("judge_kinds");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    bench.all(&[
        ("select * from h where id=3", "Exact h:3"),
        ("select * from h where id in (3, 5)", "Exact h:1,3"),
        ("select * from h", "Superset h:0,1,2,3"),
        ("select * from h where id=1 and 1=0", "Nothing h:0"),
        ("select * from h where id=1 and id=2", "Nothing h:0"),
        ("select * from h where id=4", "Exact h:0"),
        ("select * from l where k=99", "Nothing l:0"),
        ("select * from l where k in (99, 1)", "Exact l:0"),
        ("delete from l where v=3 and k=2 limit 5", "Exact l:0"),
        ("select * from h where id=null order by v", "Nothing h:0"),
        ("select * from r where id=3 and d=2", "Exact r:0"),
        ("select * from r where id=null", "Nothing r:0"),
        ("select * from k where a=null for update", "Nothing k:0"),
        ("select * from h x where x.id=1 for update", "Exact h:1"),
        ("update h set v='b' where id=7", "Exact h:3"),
        ("delete from h where id=6", "Exact h:2"),
        (
            "select * from H a, h B where a.id=1 and b.id=2",
            "Exact h:1,2",
        ),
        (
            "(select * from h where id=1) union (select * from h where id=2)",
            "Exact h:1,2",
        ),
        (
            "with q as (select * from h where id=2) select * from q, n where n.id=q.id",
            "Exact h:2 n:0",
        ),
        (
            "update h x join n y on x.id=y.id set x.v=1 where y.id=5",
            "Exact h:1 n:0",
        ),
        (
            "delete x from h x, n where x.id=2 and n.id=1",
            "Exact h:2 n:0",
        ),
        ("select * from r where id=12 and d=3", "Exact r:3"),
        ("select * from r where id<12 and d=3", "Exact r:1,3"),
        ("select * from r where id=25", "Exact r:4,5"),
        ("select * from l where k=5", "Exact l:1"),
        ("select * from l where k=2", "Exact l:0"),
        ("select * from n where id=1", "Exact n:0"),
        ("select * from w", "Exact h:3"),
        ("select * from ww where b=2", "Superset h:3 k:0,1,2"),
        ("select 1", "NoTable"),
        ("select 1 from dual", "NoTable"),
        (
            "select * from information_schema.tables where table_name='h'",
            "NoTable",
        ),
        (
            "select * from oceanbase.__all_virtual_proxy_schema where tenant_name='sys' \
             and database_name='x' and table_name='y'",
            "NoTable",
        ),
        ("select id from g where v=1", "Unknown GlobalIndex"),
        ("select * from g where id=5", "Exact g:1"),
        ("select * from nosuch", "NotJudged Fails"),
        ("select nosuch from h", "NotJudged Fails"),
        ("select * from d where t=now()", "Unknown Volatile"),
        ("select *, now() from d", "Superset d:0,1,2,3,4"),
        ("select * from h where id=3; drop table h", "Exact h:3"),
        ("select * from h where id=3 -- unique 17", "Exact h:3"),
        ("select `a b|c`.id from h `a b|c` where id=3", "Exact h:3"),
        (
            "select * from h partition (p1, p2) where v='x'",
            "Exact h:1,2",
        ),
        (
            "with h as (select * from h where id=1) select * from h",
            "Exact h:1",
        ),
        (
            "select * from h where v='q), partitions(p2)' and id=3",
            "Exact h:3",
        ),
        ("select * from n, information_schema.tables", "Unknown Name"),
        (
            "select * from (select id from h x) a, (select b from k x) b",
            "Unknown Name",
        ),
        // What the parser does not know is told by the longer plan.
        (
            "select straight_join * from h x where id=3 for update wait 3",
            "Exact h:3",
        ),
        ("/*! select */ * from h where id=1", "Exact h:1"),
    ]);
    // Of another database, with the same name here.
    bench.state.database = "test".into();
    bench.all(&[
        (&format!("select * from {name}.h where id=3"), "Exact h:3"),
        (&format!("select * from `{name}`.w"), "Exact h:3"),
        (
            &format!("update {name}.h x set x.v=1 where id=2"),
            "Exact h:2",
        ),
        ("select * from h where id=3", "NotJudged Fails"),
    ]);
}

#[test]
fn inserts_are_asked_about_row_by_row() {
    let (_db, _client, name) = tables("judge_inserts");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    bench.all(&[
        ("insert into h values (5, 'a')", "Exact h:1"),
        (
            "insert into h (v, id) values ('a', 5), ('b', 6)",
            "Exact h:1,2",
        ),
        ("replace into h set id=7, v='x'", "Exact h:3"),
        ("insert ignore into h values (7, 'x')", "Exact h:3"),
        (
            "insert into h values (7, 'x') on duplicate key update v=values(v)",
            "Exact h:3",
        ),
        ("insert into h values (2, default)", "Exact h:2"),
        ("insert into h values (2, uuid())", "Exact h:2"),
        (
            "insert into h values (1, (select max(b) from k))",
            "Superset h:1 k:0,1,2",
        ),
        ("insert into n values (1, default)", "Exact n:0"),
        (
            "insert into n select b, b from k where a='x'",
            "Exact k:2 n:0",
        ),
        ("insert into l values (6, 1)", "Exact l:1"),
        ("insert into r values (12, 3, 4)", "Exact r:3"),
        ("insert into a values (null, 1)", "Superset a:0,1,2,3"),
        (
            "insert into d values ('2020-01-01 00:00:00', now())",
            "Exact d:4",
        ),
        (
            "insert into h select * from h where id=1",
            "Unknown InsertSelect",
        ),
        ("insert into l values (99, 1)", "Unknown Nil"),
        ("insert into c (v) values (1)", "Unknown Default"),
        ("insert into c values (default, 1)", "Unknown Default"),
        ("insert into d values (now(), 1)", "Unknown Volatile"),
        (
            "insert into d values ('2020-01-01 00:00:00.9', 1)",
            "Unknown Fraction",
        ),
        ("insert into h values (1)", "NotJudged Fails"),
        ("insert into nosuch values (1)", "NotJudged Fails"),
        (
            "insert into h (id, nosuch) values (1, 2)",
            "NotJudged Fails",
        ),
        ("insert into w values (3, 'x')", "Unknown Name"),
    ]);
    let rows: Vec<String> = (0..300).map(|n| format!("({n}, 'x')")).collect();
    let sql = format!("insert into h values {}", rows.join(","));
    assert_eq!(bench.text(&sql), "Unknown Rows");
}

#[test]
fn what_explain_does_not_take_is_said_at_once() {
    let mut bench = Bench::new(JudgeMode::Sync, "");
    bench.all(&[
        ("begin", "NoTable Verb"),
        ("set @a=1", "NoTable Verb"),
        ("show tables", "NoTable Verb"),
        ("call p()", "NoTable Verb"),
        ("explain select 1", "NoTable Verb"),
        ("use test", "NoTable Verb"),
        ("create table x(a int)", "Unknown Definition"),
        ("truncate table x", "Unknown Definition"),
        ("load data infile 'x' into table y", "Unknown LoadData"),
        ("", "NoTable Verb"),
        ("select 'a", "Unknown Rewrite"),
    ]);
    let of = |bench: &mut Bench, command| shown(&bench.verdict(command, 0, b"x"));
    assert_eq!(of(&mut bench, Command::PING), "NoTable Verb");
    assert_eq!(of(&mut bench, Command::INIT_DB), "NoTable Verb");
    assert_eq!(of(&mut bench, Command::STMT_PREPARE), "NoTable Verb");
    assert_eq!(of(&mut bench, Command::STMT_EXECUTE), "Unknown Parameter");
    let mut off = Bench::new(JudgeMode::Off, "");
    assert_eq!(off.text("select 1"), "NotJudged NotAsked");
}
