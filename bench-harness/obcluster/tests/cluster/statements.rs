//! Statements reach the kernel as they are, and their replies come back so.

use crate::client::{Client, Credentials};
use crate::{Database, cluster};
use obcluster::{Kind, Outcome};
use obring_wire::protocol::mysql::Command;
use obring_wire::protocol::ob20::flag;

#[test]
fn statements_of_every_kind_run_and_are_logged() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let db = Database::new(address, "statements");
    let name = db.1.as_str();
    for mut who in Credentials::all("root@test") {
        who.database = Some(name);
        let mut client = Client::new(address, &who);
        let from = cluster.log_next();
        client.ask("drop table if exists t");
        client.ask("create table t(id int primary key, v varchar(20000))");
        client.ask("begin");
        client.ask("insert into t values(1, 'a'), (2, 'b')");
        let set = client.ask("select id, v from t order by id");
        assert_eq!(set.column("v"), ["a", "b"]);
        client.ask("commit");
        assert_eq!(client.refused("select nosuch from t"), 1054);
        client.ask("insert into t select id + 2, repeat('x', 20000) from t");
        let set = client.ask("select v from t a, (select 1 union all select 2) b");
        assert_eq!(set.rows.len(), 8);
        let log: Vec<_> = cluster
            .log_since(from)
            .into_iter()
            .filter(|e| e.kind == Kind::Request)
            .collect();
        let shown = |at: usize| {
            let e = &log[at];
            (
                e.outcome,
                e.errno,
                e.affected,
                e.rows,
                e.tx_before,
                e.tx_after,
            )
        };
        assert_eq!(shown(2), (Outcome::Ok, 0, 0, 0, false, true), "begin");
        assert_eq!(shown(3), (Outcome::Ok, 0, 2, 0, true, true), "insert");
        assert_eq!(shown(4), (Outcome::Ok, 0, 0, 2, true, true), "select");
        assert_eq!(shown(5), (Outcome::Ok, 0, 0, 0, true, false), "commit");
        assert_eq!(shown(6), (Outcome::Err, 1054, 0, 0, false, false), "error");
        assert_eq!(log[6].sqlstate, "42S22");
        assert_eq!(shown(8).3, 8);
        assert_eq!(
            log[8].sql,
            "select v from t a, (select 1 union all select 2) b"
        );
        assert_eq!(log[8].database, name);
        assert!(
            log[8].bytes_out > 100,
            "20,000 times the same compresses well"
        );
        assert_eq!(log[8].server, Some(address));
        assert!(log.windows(2).all(|w| w[0].seq < w[1].seq));
    }
}

#[test]
fn a_request_longer_than_what_is_held_passes() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let text = "x".repeat(3 << 20);
    for who in Credentials::all("root@test") {
        let mut client = Client::new(address, &who);
        let set = client.ask(&format!("select length('{text}') n"));
        assert_eq!(set.column("n"), [(3 << 20).to_string()]);
        assert_eq!(client.ask("select 1 n").column("n"), ["1"]);
    }
}

#[test]
fn commands_without_a_reply_and_prepared_statements_pass() {
    let cluster = cluster();
    let address = cluster.address(3).unwrap();
    for who in Credentials::all("root@test") {
        let mut client = Client::new(address, &who);
        client.send(Command::STMT_PREPARE, b"select 7").unwrap();
        let head = client.packet().unwrap();
        // A column and its EOF; a proxy gets one more OK.
        for _ in 0..if who.proxy.is_some() { 3 } else { 2 } {
            client.packet().unwrap();
        }
        let id = &head[1..5];
        let mut execute = id.to_vec();
        execute.extend_from_slice(&[0, 1, 0, 0, 0]);
        client.send(Command::STMT_EXECUTE, &execute).unwrap();
        let set = client.reply().unwrap().unwrap();
        assert_eq!((set.columns.len(), set.rows.len()), (1, 1));
        client.send(Command::STMT_CLOSE, id).unwrap();
        assert_eq!(client.ask("select 1 n").column("n"), ["1"]);
        client.send(Command::PING, b"").unwrap();
        assert_eq!(client.packet().unwrap()[0], 0);
        client.send(Command::QUIT, b"").unwrap();
        assert!(client.is_ended());
    }
    let log = cluster.log_since(0);
    let names: Vec<_> = log.iter().map(|e| e.cmd.as_str()).collect();
    let one = [
        "login",
        "stmt_prepare",
        "stmt_execute",
        "stmt_close",
        "query",
        "ping",
        "quit",
    ];
    assert_eq!(names, one.repeat(5));
    let framings: Vec<_> = log
        .iter()
        .filter(|e| e.cmd == "quit")
        .map(|e| &e.framing)
        .collect();
    let want = ["plain", "plain", "checksum", "ob20", "ob20_compressed"];
    assert_eq!(framings, want);
    let last = |e: &&obcluster::Entry| e.cmd == "quit" && e.flags & flag::LAST != 0;
    assert_eq!(
        log.iter().filter(last).count(),
        2,
        "OceanBase 2.0 has flags"
    );
    assert_eq!(log[3].statement, log[2].statement);
}

#[test]
fn a_file_is_sent_where_the_server_asks_for_it() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let db = Database::new(address, "infile");
    db.client()
        .ask(&format!("create table {}.t(id int primary key)", db.1));
    for who in Credentials::all("root@test") {
        let mut client = Client::new(address, &who);
        let sql = format!("load data local infile 'x' into table {}.t", db.1);
        client.send(Command::QUERY, sql.as_bytes()).unwrap();
        let asked = client.packet().unwrap();
        assert_eq!(asked, b"\xfbx");
        client
            .send_turn(&[b"\x04\0\0\x021\n2\n", b"\0\0\0\x03"])
            .unwrap();
        client.reply().unwrap().unwrap();
        let set = client.ask(&format!("select count(*) n from {}.t", db.1));
        assert_eq!(set.column("n"), ["2"]);
        client.ask(&format!("delete from {}.t", db.1));
    }
}

#[test]
fn one_link_is_one_session_of_the_kernel() {
    let cluster = cluster();
    let who = Credentials::direct("root@test");
    let mut clients: Vec<Client> = [1, 1, 2]
        .map(|n| Client::new(cluster.address(n).unwrap(), &who))
        .into();
    for (client, n) in clients.iter_mut().zip(0..) {
        client.ask(&format!("set @x = {n}"));
    }
    for (client, n) in clients.iter_mut().zip(0..) {
        assert_eq!(client.ask("select @x x").column("x"), [n.to_string()]);
    }
    let mut ids: Vec<u32> = clients.iter().map(|c| c.greeting.connection_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}
