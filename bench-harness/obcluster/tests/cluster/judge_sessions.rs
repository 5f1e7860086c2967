//! Verdicts that depend on the session of the link: parameters, variables, its state.

use crate::client::{Client, Credentials};
use crate::judge::{Bench, shown, tables};
use crate::kernel;
use obcluster::judge::JudgeMode;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;

/// A parameter: its type and its value on the wire; no value is NULL.
type Param = (u16, Option<Vec<u8>>);

fn int(n: i64) -> Param {
    (0x08, Some(n.to_le_bytes().to_vec()))
}

fn text(text: &str) -> Param {
    let len = u8::try_from(text.len()).unwrap();
    (0xFD, Some([&[len], text.as_bytes()].concat()))
}

/// What stands behind the command byte of COM_STMT_EXECUTE.
fn execute(statement: u32, params: &[Param], binds: bool) -> Vec<u8> {
    let mut body = statement.to_le_bytes().to_vec();
    body.extend([0, 1, 0, 0, 0]);
    if params.is_empty() {
        return body;
    }
    let mut nulls = vec![0; params.len().div_ceil(8)];
    for (n, (_, value)) in params.iter().enumerate() {
        if value.is_none() {
            nulls[n / 8] |= 1 << (n % 8);
        }
    }
    body.extend(nulls);
    body.push(u8::from(binds));
    if binds {
        body.extend(params.iter().flat_map(|(kind, _)| kind.to_le_bytes()));
    }
    body.extend(
        params
            .iter()
            .flat_map(|(_, value)| value.clone().unwrap_or_default()),
    );
    body
}

impl Bench {
    fn executed(&mut self, statement: u32, params: &[Param]) -> String {
        let body = execute(statement, params, true);
        shown(&self.verdict(Command::STMT_EXECUTE, statement, &body))
    }

    fn variable(&mut self, name: &str, literal: &str) {
        let variables = &mut self.state.user_variables;
        variables.insert(name.into(), literal.into());
    }

    /// Takes over the state that a link was told of.
    fn follow(&mut self, client: &Client) {
        let told = client
            .told
            .beside
            .parts
            .iter()
            .rfind(|(kind, _)| *kind == 4);
        self.state.block = told.map(|(_, bytes)| bytes.clone());
    }
}

#[test]
fn prepared_statements_are_judged_by_their_values() {
    let (_db, _client, name) = tables("judge_prepared");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    bench
        .judge
        .prepared(7, b"select * from h x where x.id = ? and v <> ?", 2);
    for n in 0..4 {
        let got = bench.executed(7, &[int(n), text("z")]);
        assert_eq!(got, format!("Exact h:{n}"));
    }
    assert_eq!(bench.executed(7, &[text("6"), text("z")]), "Exact h:2");
    // Types are bound once.
    bench.executed(7, &[int(1), text("z")]);
    let again = execute(7, &[int(2), text("y")], false);
    let verdict = bench.verdict(Command::STMT_EXECUTE, 7, &again);
    assert_eq!(shown(&verdict), "Exact h:2");

    bench.judge.prepared(
        8,
        b"insert into h (v, id) values (?, ?), ('x', ?), (?, 4)",
        4,
    );
    let params = [text("a"), int(5), int(6), (0x06, None)];
    assert_eq!(bench.executed(8, &params), "Exact h:0,1,2");
    bench.judge.prepared(9, b"replace into k values (?, ?)", 2);
    let want = bench.text("replace into k values ('abc', 3)");
    assert_eq!(bench.executed(9, &[text("abc"), int(3)]), want);
    bench.judge.prepared(10, b"insert into d values (?, 1)", 1);
    assert_eq!(
        bench.executed(10, &[text("2020-01-01 00:00:00")]),
        "Exact d:4"
    );
    assert_eq!(
        bench.executed(10, &[text("2020-01-01 00:00:00.7")]),
        "Unknown Fraction"
    );
    let moment = [11, 0xE4, 7, 1, 1, 0, 0, 0, 0x20, 0xA1, 7, 0].to_vec();
    assert_eq!(
        bench.executed(10, &[(0x0C, Some(moment))]),
        "Unknown Fraction"
    );
    let moment = [4, 0xE4, 7, 1, 1].to_vec();
    assert_eq!(bench.executed(10, &[(0x0C, Some(moment))]), "Exact d:4");
    bench
        .judge
        .prepared(13, b"select * from l where k = ? and v <> ?", 2);
    assert_eq!(bench.executed(13, &[int(99), int(1)]), "Nothing l:0");
    assert_eq!(bench.executed(13, &[int(2), int(1)]), "Exact l:0");
    bench.judge.prepared(11, b"select * from n", 0);
    assert_eq!(bench.executed(11, &[]), "Exact n:0");
    bench.judge.prepared(12, b"begin", 0);
    assert_eq!(bench.executed(12, &[]), "NoTable Verb");
}

#[test]
fn long_data_is_replayed_and_closed_statements_are_forgotten() {
    let (_db, _client, name) = tables("judge_long");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    bench.judge.prepared(1, b"select * from k where a = ?", 1);
    let want = bench.text("select * from k where a = 'abc'");
    assert!(want.starts_with("Exact k:"), "{want}");
    let absent = [(0xFC, Some(vec![]))];
    bench.judge.long_data(1, 0, b"ab");
    bench.judge.long_data(1, 0, b"c");
    assert_eq!(bench.executed(1, &absent), want);
    // It was for one execution only.
    assert_eq!(bench.executed(1, &absent), "Unknown Parameter");
    bench.judge.long_data(1, 0, &vec![b'x'; 100_000]);
    assert_eq!(bench.executed(1, &absent), "Unknown Parameter");
    assert_eq!(bench.executed(1, &[text("abc")]), want);
    bench.judge.closed(1);
    assert_eq!(bench.executed(1, &[text("abc")]), "Unknown Parameter");
}

#[test]
fn statements_prepared_as_text_are_judged_by_their_variables() {
    let (_db, _client, name) = tables("judge_texts");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    bench.text("prepare S from 'select * from h where v = \\'x\\' and id = ?'");
    for n in 0..3 {
        bench.variable("a", &n.to_string());
        assert_eq!(bench.text("execute s using @a"), format!("Exact h:{n}"));
    }
    bench.variable("sql", "'insert into h values (?, ?), (3, ?)'");
    bench.text("prepare i from @sql");
    bench.variable("b", "'text'");
    assert_eq!(bench.text("execute i using @a, @b, @b"), "Exact h:2,3");
    assert_eq!(bench.text("execute i using @a"), "NotJudged Fails");
    assert_eq!(bench.text("execute nosuch"), "Unknown Parameter");
    bench.text("deallocate prepare s");
    assert_eq!(bench.text("execute s using @a"), "Unknown Parameter");
    bench.judge.forget_all();
    assert_eq!(
        bench.text("execute i using @a, @b, @b"),
        "Unknown Parameter"
    );
}

#[test]
fn user_variables_are_those_of_the_link() {
    let (_db, _client, name) = tables("judge_variables");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    for n in 0..3 {
        bench.variable("x.y", &n.to_string());
        assert_eq!(
            bench.text("select * from h where id = @`x.y`"),
            format!("Exact h:{n}")
        );
        assert_eq!(
            bench.text("insert into h values (@`x.y`, 'a')"),
            format!("Exact h:{n}")
        );
    }
    // A variable that is gone is NULL again.
    bench.state.user_variables.clear();
    let got = bench.text("select * from h where id = @`x.y`");
    assert!(!got.contains("h:2"), "{got}");
}

#[test]
fn system_variables_come_by_block_or_by_name() {
    let (_db, mut client, name) = tables("judge_state");
    client.ask("create table s(t timestamp null) partition by key(t) partitions 16");
    let mut link = Client::new(kernel(), &Credentials::proxy("root@sys", capability::OB20));
    let sql = "select * from s where t = '2020-05-05 05:05:05'";
    let mut leaves = vec![];
    for zone in ["+00:00", "+05:00", "-03:00"] {
        link.ask(&format!("set time_zone = '{zone}'"));
        let mut by_block = Bench::new(JudgeMode::Sync, &name);
        by_block.follow(&link);
        assert!(by_block.state.block.is_some());
        let mut by_name = Bench::new(JudgeMode::Sync, &name);
        let value = zone.as_bytes().to_vec();
        by_name.state.variables.insert("time_zone".into(), value);
        let got = by_block.text(sql);
        assert_eq!(got, by_name.text(sql), "{zone}");
        leaves.push(got);
    }
    assert!(leaves.iter().any(|l| *l != leaves[0]), "{leaves:?}");
    // One judge follows its link, back to the default, too.
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    let mut followed = vec![];
    for zone in ["'+00:00'", "'+05:00'", "'-03:00'", "default", "'+00:00'"] {
        link.ask(&format!("set time_zone = {zone}"));
        bench.follow(&link);
        followed.push(bench.text(sql));
    }
    assert_eq!(followed[..3], leaves);
    assert_eq!(followed[4], leaves[0]);
    let mut fresh = Bench::new(JudgeMode::Sync, &name);
    assert_eq!(followed[3], fresh.text(sql), "the default");
}

#[test]
fn the_mode_of_sql_decides_what_an_insert_converts() {
    let (_db, _client, name) = tables("judge_mode");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    let sql = "insert into h values ('3abc', 'x')";
    assert_eq!(bench.text(sql), "Unknown Rewrite");
    bench.state.variables.insert("sql_mode".into(), vec![]);
    assert_eq!(bench.text(sql), "Exact h:3");
    let mode = b"NO_BACKSLASH_ESCAPES".to_vec();
    bench.state.variables.insert("sql_mode".into(), mode);
    assert_eq!(bench.text("select '\\'"), "Unknown Rewrite");
}

#[test]
fn a_table_that_changes_is_asked_about_again() {
    let (_db, mut client, name) = tables("judge_changes");
    let mut bench = Bench::new(JudgeMode::Sync, &name);
    let sql = "select * from h where id=7";
    let before = bench.verdict(Command::QUERY, 0, sql.as_bytes());
    assert_eq!(shown(&before), "Exact h:3");
    client.ask("truncate table h");
    let after = bench.verdict(Command::QUERY, 0, sql.as_bytes());
    assert_eq!(shown(&after), "Exact h:3");
    assert_eq!(before.tables[0].table_id, after.tables[0].table_id);
    assert_ne!(before.tables[0].tablets, after.tables[0].tablets);
    bench.judge.prepared(1, b"select * from h where id=?", 1);
    assert_eq!(bench.executed(1, &[int(7)]), "Exact h:3");
    client.ask("drop table h");
    client.ask("create table h(id int) partition by hash(id) partitions 5");
    assert_eq!(bench.text(sql), "Exact h:2");
    assert_eq!(bench.executed(1, &[int(7)]), "Exact h:2");
    client.ask("drop table h");
    assert_eq!(bench.text(sql), "NotJudged Fails");
    client.ask("create view h as select 7 id");
    assert_eq!(bench.text(sql), "NoTable");
}

#[test]
fn a_calculated_leaf_is_the_kernels() {
    let (_db, _client, name) = tables("judge_fast");
    let mut bench = Bench::new(JudgeMode::Fast, &name);
    bench.judge.prepared(1, b"delete from h where id = ?", 1);
    for n in 0..60_i64 {
        let want = format!("Exact h:{}", n % 4);
        let sql = format!("select v from h where id={n} and v<>'{n}'");
        assert_eq!(bench.text(&sql), want);
        assert_eq!(bench.executed(1, &[int(n)]), want);
    }
    assert_eq!(
        bench.text("select v from h where id=5 and v<>'x'"),
        "Exact h:1"
    );
    let mut sample = Bench::new(JudgeMode::Sample(3), &name);
    let judged = (0..9).filter(|n| {
        let got = sample.text(&format!("select v from h where id={n}"));
        got != "NotJudged NotAsked"
    });
    assert_eq!(judged.count(), 3);
}
