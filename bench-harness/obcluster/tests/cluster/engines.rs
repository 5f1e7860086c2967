//! One list of statements on both engines: the same bytes in all framings.
//!
//! Put aside, by name: numbers of prepared statements and trace ids, which every server counts for
//! itself; where a reply is cut into frames, and the session state beside it, whose contents differ
//! by server.

use crate::client::{Client, Credentials, MASKS};
use crate::{Database, kernel};
use obcluster::builtin::{Layout, Server};
use obring_wire::protocol::mysql::{Command, status};

/// Statements as text. Tables are empty at the start.
const TEXTS: &[&str] = &[
    "select 1",
    " SELECT 1 ;",
    "select 2 as x, 3",
    "select 'abc'",
    "insert into kv values(1,'a'),(2,'b'),(5,null)",
    "insert into kv(id,v) values (7,'it''s')",
    "insert into kv values(1,'x')",
    "insert into kv values(-7,'neg'),(-3,'m')",
    "select v from kv where id=1",
    "select v from kv where id = 99",
    "select * from kv where id=5",
    "select v from obcluster_engines.kv where id=7",
    "select id from kv where id between 1 and 5",
    "select id from kv",
    "select id,v from kv where id between 1 and 5 order by id",
    "select v from kv order by id limit 2",
    "select id from kv order by id desc limit 2",
    "select id,v from kv where id in (1,7,2,-7)",
    "select count(*) from kv",
    "SELECT COUNT(*) from kv where id between 1 and 3",
    "select V as w from KV where ID=1",
    "select a.v x from kv as a where a.id=1",
    "select /*+ read_consistency(weak) */ v from kv where id=1",
    "/* c */ select v from kv where id='1' -- x",
    "update kv set v='z' where id=1",
    "update kv set v='z' where id=1",
    "update kv set v='z' where id=1000",
    "delete from kv where id=2",
    "delete from kv where id=2",
    "replace into kv values(1,'r')",
    "insert into kv values (802,5)",
    "insert into kv values (803)",
    "insert into kv values (null,'x')",
    "insert into kv values ('abc','x')",
    "insert into sbtest1(k,c,pad) values(3,'cc','pp'),(4,'dd','p2')",
    "select last_insert_id()",
    "INSERT INTO sbtest1 (id, k, c, pad) VALUES (1001, 7, '6848-9640', '6784')",
    "SELECT c FROM sbtest1 WHERE id=1001",
    "SELECT c FROM sbtest1 WHERE id BETWEEN 1 AND 2000",
    "SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 1 AND 2000",
    "SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN 100000 AND 200000",
    "SELECT c FROM sbtest1 WHERE id BETWEEN 1 AND 2000 ORDER BY c",
    "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 1 AND 2000 ORDER BY c",
    "SELECT * FROM sbtest1 WHERE id=1001",
    "UPDATE sbtest1 SET k=k+1 WHERE id=1001",
    "UPDATE sbtest1 SET c='xx' WHERE id=1001",
    "DELETE FROM sbtest1 WHERE id=1001",
    "begin",
    "start transaction",
    "insert into kv values(20,'t')",
    "savepoint a",
    "update kv set v='q' where id=20",
    "rollback to a",
    "select v from kv where id=20",
    "release savepoint a",
    "rollback to savepoint nosuch",
    "select v from kv where id=20 for update",
    "commit",
    "rollback",
    "select v from kv where id=1 for update",
    "set autocommit=0",
    "select v from kv where id=1",
    "insert into kv values(30,'t')",
    "select 1",
    "rollback",
    "set autocommit=1",
    "start transaction read only",
    "insert into kv values(9,'x')",
    "rollback",
    "set transaction read only",
    "select 1",
    "begin",
    "select v from kv where id=1",
    "commit",
    "select 1",
    "set @x='abc'",
    "set @y=1.5,@z=null",
    "select @x",
    "select @y",
    "select @z",
    "select @nope",
    "set @X=-5, autocommit=1",
    "set names utf8mb4",
    "set session transaction isolation level read committed",
    "set sql_mode='STRICT_TRANS_TABLES'",
    "set time_zone='+00:00'",
    "set ob_query_timeout=10000000",
    "set ob_query_timeout=20000000",
    "set ob_read_consistency=weak",
    "set ob_read_consistency=3",
    "set last_insert_id=5",
    "select last_insert_id()",
    "select @@autocommit",
    "select @@tx_isolation",
    "select @@session.autocommit, 1",
    "select sleep(0)",
    "select database()",
    "use obcluster_engines",
    "use nosuch",
    "select 1; select 2",
    "set @a=1; select v from kv where id=1; select nosuch",
    "",
    "select is_free_lock('obcluster_engines')",
    "kill query 1",
    "delete from sbtest1",
    "delete from kv",
];

/// Prepared statements with the parameters of their executions, behind the null bits.
const PREPARED: &[(&str, &[&[u8]])] = &[
    (
        "insert into kv values(?,?)",
        &[
            b"\0\x01\x08\0\xFD\0\x01\0\0\0\0\0\0\0\x02v1",
            b"\x02\x01\x08\0\x06\0\x02\0\0\0\0\0\0\0",
            b"\0\x01\x08\0\xFD\0\x01\0\0\0\0\0\0\0\x02v1",
        ],
    ),
    (
        "select v from kv where id=?",
        &[
            b"\0\x01\x08\0\x01\0\0\0\0\0\0\0",
            b"\0\x01\x03\0\x02\0\0\0",
            b"\0\x01\xFD\0\x011",
            b"\0\x01\x08\0\x63\0\0\0\0\0\0\0",
        ],
    ),
    (
        "select * from kv where id=?",
        &[b"\0\x01\x08\0\x02\0\0\0\0\0\0\0"],
    ),
    (
        "update kv set v=? where id=?",
        &[b"\0\x01\xFD\0\x08\0\x03zzz\x01\0\0\0\0\0\0\0"],
    ),
    (
        "select id,v from kv where id between ? and ?",
        &[b"\0\x01\x08\0\x08\0\x01\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0"],
    ),
    (
        "delete from kv where id=?",
        &[b"\0\x01\x08\0\x01\0\0\0\0\0\0\0"],
    ),
    (
        "INSERT INTO sbtest1 (id, k, c, pad) VALUES (?, ?, ?, ?)",
        &[b"\0\x01\x03\0\x03\0\xFD\0\xFD\0\x01\0\0\0\x05\0\0\0\x01c\x01p"],
    ),
    (
        "SELECT c FROM sbtest1 WHERE id=?",
        &[b"\0\x01\x03\0\x01\0\0\0"],
    ),
    (
        "SELECT * FROM sbtest1 WHERE id=?",
        &[b"\0\x01\x03\0\x01\0\0\0"],
    ),
    (
        "SELECT SUM(k) FROM sbtest1 WHERE id BETWEEN ? AND ?",
        &[
            b"\0\x01\x03\0\x03\0\x01\0\0\0\x09\0\0\0",
            b"\0\x01\x03\0\x03\0\x0A\0\0\0\x0B\0\0\0",
        ],
    ),
    (
        "UPDATE sbtest1 SET k=k+1 WHERE id=?",
        &[b"\0\x01\x03\0\x01\0\0\0"],
    ),
    (
        "DELETE FROM sbtest1 WHERE id=?",
        &[b"\0\x01\x03\0\x01\0\0\0"],
    ),
    ("select count(*) from kv", &[b""]),
    ("begin", &[b""]),
    ("commit", &[b""]),
    ("select last_insert_id()", &[b""]),
    ("select * from nosuch", &[]),
    ("select nosuch from kv", &[]),
];

/// One proxy on one engine.
struct Side(Client);

impl Side {
    /// All packets of a reply, what differs by server put aside.
    fn ask(&mut self, command: Command, body: &[u8]) -> Vec<Vec<u8>> {
        self.0.send(command, body).unwrap();
        let mut all = vec![];
        loop {
            let first = self.packet(&mut all);
            match first.first() {
                Some(0xFF) => {
                    self.packet(&mut all);
                    return all;
                }
                Some(0) if command == Command::STMT_PREPARE => {
                    for at in [7, 5] {
                        let n = u16::from_le_bytes([first[at], first[at + 1]]);
                        for _ in 0..if n == 0 { 0 } else { n + 1 } {
                            self.packet(&mut all);
                        }
                    }
                    self.packet(&mut all);
                    all[0][1..5].fill(0);
                    return all;
                }
                Some(0) if bits(&first[3..]) & status::MORE_RESULTS == 0 => return all,
                Some(0) => {}
                _ => {
                    while !is_eof(&self.packet(&mut all)) {}
                    let last = loop {
                        let packet = self.packet(&mut all);
                        if is_eof(&packet) {
                            break packet;
                        }
                    };
                    if bits(&last[3..]) & status::MORE_RESULTS == 0 {
                        self.packet(&mut all);
                        return all;
                    }
                }
            }
        }
    }

    fn packet(&mut self, all: &mut Vec<Vec<u8>>) -> Vec<u8> {
        let packet = self.0.packet().unwrap();
        let mut shown = packet.clone();
        let name = b"ob_statement_trace_id\x21";
        if let Some(at) = shown.windows(name.len()).position(|w| w == name) {
            shown[at + name.len()..at + name.len() + 0x21].fill(b'T');
        }
        all.push(shown);
        packet
    }
}

fn bits(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[0], bytes[1]])
}

fn is_eof(packet: &[u8]) -> bool {
    packet.first() == Some(&0xFE) && packet.len() < 9
}

#[test]
fn both_engines_give_the_same_bytes() {
    let database = Database::new(kernel(), "engines");
    let mut owner = database.client();
    owner.ask("use obcluster_engines");
    let layout = Layout {
        database: "obcluster_engines".into(),
        kv_partitions: 4,
        ..Layout::default()
    };
    for (framing, mask) in MASKS {
        // AUTO_INCREMENT counts from 1 on both sides.
        for sql in [
            "drop table if exists kv",
            "drop table if exists sbtest1",
            "create table kv(id bigint primary key, v varchar(255)) partition by hash(id) \
             partitions 4",
            "create table sbtest1(id integer not null auto_increment, k integer default '0' not \
             null, c char(120) default '' not null, pad char(60) default '' not null, primary \
             key (id))",
            "create index k_1 on sbtest1(k)",
        ] {
            owner.ask(sql);
        }
        let builtin = Server::bind_free(layout.clone()).unwrap().spawn().unwrap();
        let mut who = Credentials::proxy("root@sys", mask);
        who.database = Some("obcluster_engines");
        let mut sides = [kernel(), builtin.address()].map(|to| Side(Client::new(to, &who)));
        let mut same = |command: Command, body: &[u8], name: &str| {
            let [kernel, builtin] = sides.each_mut().map(|side| side.ask(command, body));
            assert_eq!(builtin, kernel, "{framing:?}: {name}");
        };
        for sql in TEXTS {
            same(Command::QUERY, sql.as_bytes(), sql);
        }
        same(Command::INIT_DB, b"obcluster_engines", "init_db");
        same(Command::INIT_DB, b"nosuch", "init_db nosuch");
        same(Command::PING, b"", "ping");
        for (sql, executions) in PREPARED {
            let ids = sides.each_mut().map(|side| {
                side.0.send(Command::STMT_PREPARE, sql.as_bytes()).unwrap();
                let first = side.0.packet().unwrap();
                drop_rest(side, &first);
                (first[0] == 0).then(|| u32::from_le_bytes(first[1..5].try_into().unwrap()))
            });
            assert_eq!(
                ids[0].is_some(),
                ids[1].is_some(),
                "{framing:?}: prepare {sql}"
            );
            let shown = sides
                .each_mut()
                .map(|s| s.ask(Command::STMT_PREPARE, sql.as_bytes()));
            assert_eq!(shown[1], shown[0], "{framing:?}: prepare {sql}");
            for parameters in *executions {
                let mut replies = vec![];
                for (side, id) in sides.iter_mut().zip(ids) {
                    let id = id.expect("a statement that is executed").to_le_bytes();
                    let body = [&id[..], &[0, 1, 0, 0, 0], parameters].concat();
                    replies.push(side.ask(Command::STMT_EXECUTE, &body));
                }
                assert_eq!(replies[1], replies[0], "{framing:?}: execute {sql}");
            }
        }
    }
}

/// Reads what follows the first packet of a prepare.
fn drop_rest(side: &mut Side, first: &[u8]) {
    let mut left = 1;
    if first[0] == 0 {
        for at in [7, 5] {
            let n = bits(&first[at..]);
            left += if n == 0 { 0 } else { n + 1 };
        }
    }
    for _ in 0..left {
        side.0.packet().unwrap();
    }
}

#[test]
fn a_cluster_without_a_kernel_has_its_tables_in_its_views() {
    let layout = Layout {
        kv_rows: vec![(1, "one".into())],
        ..Layout::default()
    };
    let engine = obcluster::Engine::Builtin(layout);
    let cluster = obcluster::Cluster::start(obcluster::Topology::default(), engine).unwrap();
    let address = cluster.address(1).unwrap();
    let mut sys = Client::new(address, &Credentials::proxy("root@sys", MASKS[2].1));
    let located = sys.ask(
        "SELECT tablet_id, table_id, part_num, role, sql_port FROM \
         oceanbase.__all_virtual_proxy_schema WHERE tenant_name = 'test' AND database_name = \
         'test' AND table_name = 'kv'",
    );
    assert_eq!(located.column("part_num")[0], "16");
    let table = located.column("table_id")[0].to_owned();
    let leaves = sys.ask(&format!(
        "SELECT * FROM oceanbase.__all_virtual_proxy_partition WHERE tenant_name = 'test' AND \
         table_id = {table}"
    ));
    assert_eq!(leaves.column("part_position").len(), 16);
    let mut user = Client::new(address, &Credentials::proxy("root@test", MASKS[2].1));
    user.ask("use test");
    assert_eq!(
        user.ask("select v from kv where id=1").rows,
        [[Some("one".into())]]
    );
    let since = cluster.log_next();
    user.ask("update kv set v='x' where id=1");
    let entry = cluster
        .log_since(since)
        .into_iter()
        .find(|e| e.sql.starts_with("update"));
    let verdict = entry.expect("the update").verdict;
    assert_eq!(verdict.tables[0].leaves, [1]);
}
