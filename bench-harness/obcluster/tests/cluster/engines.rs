//! One list of statements on both engines: the same bytes in all framings.
//!
//! Put aside, by name: numbers of prepared statements and trace ids, which every server counts for
//! itself; where a reply is cut into frames, and the session state beside it, whose contents differ
//! by server.

use crate::client::{Client, Credentials, MASKS};
use crate::{Database, kernel};
use obcluster::builtin::{Layout, Server};
use obring_wire::protocol::mysql::{Command, status};

/// Statements as text. Tables are empty at the start, and their database is the current one.
pub(crate) const TEXTS: &[&str] = &[
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
    "kill query 4000000000",
    "kill 4000000000",
    "-- only a comment",
    "/* only a comment */",
    "delete from sbtest1",
    "delete from kv",
];

/// More of them, for fresh tables and a fresh session. No text literals of their own: the kernel
/// takes the length of one from the plan of another.
const MORE: &[&str] = &[
    "insert into kv values(1,'a'),(2,'b'),(5,null),(16,'p'),(17,'q')",
    "select kv.v from kv where kv.id=1",
    "select `v` from `kv` where `id`=1",
    "select v as `x y` from kv where id=1",
    "select id, v from kv order by id desc",
    "select v from kv limit 0",
    "select id from kv order by id limit 1",
    "select * from kv order by id limit 3",
    "select distinct v from kv order by v",
    "select v, id from kv where id = -1",
    "select id from kv where id between 5 and 1",
    "select id from kv where id between 17 and 2",
    "select 1 as one",
    "select 1, 2",
    "select 0",
    "select 9223372036854775807",
    "select @@version",
    "select @@time_zone",
    "select @@sql_mode",
    "select @@wait_timeout",
    "select @@ob_query_timeout",
    "select @@tx_read_only",
    "select @@max_allowed_packet",
    "select @@character_set_client",
    "select @@collation_connection",
    "select @@SESSION.time_zone",
    "select @@nosuch",
    "set @i=7",
    "select @i",
    "select @i, @i",
    "select @I",
    "set @s='x'",
    "select @s as t",
    "set @d=-1.25",
    "select @d",
    "set @n=null",
    "select @n",
    "set @a1=1, @a2='b', @a3=3.5",
    "select @a1, @a2",
    "update kv set v='w' where id in (1,2)",
    "update kv set v=null where id=1",
    "update kv set v='q' where id between 1 and 2",
    "update kv set v='none' where id=404",
    "insert into kv(v,id) values('rev',30)",
    "insert into kv(id) values(31)",
    "insert into kv values(32,'a'),(32,'b')",
    "replace into kv values(32,'a'),(32,'b')",
    "replace into kv values(32,'b')",
    "replace into kv(id,v) values(33,'c')",
    "insert into kv values('36','s')",
    "insert into kv values(37)",
    "insert into kv(id,nosuch) values(38,1)",
    "insert into nosuch values(1)",
    "delete from kv where id in (30,31)",
    "delete from kv where id between 32 and 40",
    "delete from kv where id=404",
    "begin work",
    "insert into kv values(50,'t')",
    "savepoint A",
    "savepoint b",
    "insert into kv values(51,'t')",
    "rollback to A",
    "release savepoint a",
    "rollback to a",
    "commit work",
    "begin",
    "begin",
    "insert into kv values(52,'t')",
    "begin",
    "rollback",
    "select v from kv where id=52",
    "start transaction read write",
    "rollback",
    "begin",
    "select * from kv where id=50 for update",
    "select v from kv where id=404 for update",
    "select id from kv where id in (1,2) for update",
    "rollback",
    "set autocommit=off",
    "set autocommit=on",
    "set autocommit=1",
    "set @@autocommit=1",
    "set session autocommit=1",
    "set @@session.autocommit=1",
    "set wait_timeout=100",
    "set @@wait_timeout=200",
    "set session wait_timeout=28800",
    "set interactive_timeout=10",
    "set net_write_timeout=5",
    "set foreign_key_checks=0",
    "set unique_checks=0",
    "set sql_safe_updates=0",
    "set max_execution_time=0",
    "set sql_mode=''",
    "set time_zone='+08:00'",
    "set ob_trx_timeout=1000000",
    "set ob_trx_idle_timeout=1000000",
    "set ob_trx_lock_timeout=5",
    "set ob_trx_lock_timeout=-1",
    "set nosuch=1",
    "set wait_timeout='x'",
    "set autocommit=5",
    "set names 'utf8mb4'",
    "set character_set_results=utf8mb4",
    "set ob_read_consistency='strong'",
    "set ob_read_consistency=nosuch",
    "set identity=9",
    "select last_insert_id()",
    "insert into sbtest1(k,c,pad) values(1,'c','p')",
    "insert into sbtest1 values(0,1,'c','p')",
    "insert into sbtest1 values(null,1,'c','p')",
    "insert into sbtest1(id,k) values(100,2)",
    "insert into sbtest1(k) values(3)",
    "select last_insert_id()",
    "select id,k,c,pad from sbtest1",
    "select * from sbtest1 where id=100",
    "select k from sbtest1 where id in (1,2,3)",
    "update sbtest1 set k=k-1 where id=1",
    "update sbtest1 set k=5, c='z' where id=2",
    "update sbtest1 set pad='y' where id between 1 and 3",
    "insert into sbtest1(k) values(null)",
    "insert into sbtest1(id,k) values(1,1)",
    "replace into sbtest1(id,k,c,pad) values(1,9,'n','n')",
    "select sum(k) from sbtest1 where id between 1 and 100",
    "delete from sbtest1 where id=100",
    "select c from sbtest1 where id between 1 and 3 order by c desc",
    "select distinct c from sbtest1 where id between 1 and 3",
    "select 1; select 2; select 3",
    "select 1;",
    "  ;",
    "-- only a comment",
    "/* only */",
    "select 1 -- tail",
    "select 1 # tail",
    "# x\nselect 1",
    "select/**/1",
    "SeLeCt V fRoM kV wHeRe Id=1",
    "select database()",
    "select nosuch from kv where id=1",
    "select id from kv where id=null",
    "update kv set v='a' where id='1'",
];

/// Requests that are no statements.
const COMMANDS: &[(Command, &[u8])] = &[
    (Command::INIT_DB, b"obcluster_engines"),
    (Command::INIT_DB, b"nosuch"),
    (Command::PING, b""),
    (Command::FIELD_LIST, b"kv\0"),
    (Command::FIELD_LIST, b"KV\0v"),
    (Command::FIELD_LIST, b"obcluster_engines.kv\0"),
    (Command::FIELD_LIST, b"sbtest1\0%k%"),
    (Command::FIELD_LIST, b"sbtest1\0p_d"),
    (Command::FIELD_LIST, b"nosuch\0"),
    (Command::PROCESS_KILL, b"\xff\xff\xff\xef"),
    (Command::STMT_RESET, b"\x63\0\0\0"),
    (Command::SET_OPTION, b"\0\0"),
    (Command(0x00), b""),
    (Command(0x0B), b""),
    (Command(0x0F), b""),
    (Command(0x1D), b""),
    (Command(0xEE), b""),
];

/// Texts, and the parameters of their executions.
type Prepared = &'static [(&'static str, &'static [&'static [u8]])];

/// Prepared statements with the parameters of their executions, behind the null bits.
const PREPARED: Prepared = &[
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
pub(crate) struct Side(pub(crate) Client);

impl Side {
    /// All packets of a reply, what differs by server put aside.
    pub(crate) fn ask(&mut self, command: Command, body: &[u8]) -> Vec<Vec<u8>> {
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
                _ if command == Command::FIELD_LIST => {
                    while !is_eof(&self.packet(&mut all)) {}
                    self.packet(&mut all);
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

/// Replies that were the same on both engines.
#[derive(Default)]
struct Same {
    replies: u32,
    executed: u32,
}

/// Asks both engines the same, in all framings.
fn compare(name: &str, texts: &[&str], commands: &[(Command, &[u8])], prepared: Prepared) -> Same {
    let mut same = Same::default();
    let database = Database::new(kernel(), name);
    let mut owner = database.client();
    owner.ask(&format!("use {}", database.1));
    let layout = Layout {
        database: database.1.clone(),
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
        who.database = Some(&database.1);
        let mut sides = [kernel(), builtin.address()].map(|to| Side(Client::new(to, &who)));
        let requests = texts.iter().map(|sql| (Command::QUERY, sql.as_bytes()));
        for (command, body) in requests.chain(commands.iter().copied()) {
            let shown = String::from_utf8_lossy(body);
            let [kernel, builtin] = sides.each_mut().map(|side| side.ask(command, body));
            assert_eq!(builtin, kernel, "{framing:?}: {command} {shown}");
            same.replies += 1;
        }
        for (sql, executions) in prepared {
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
                let mut each = vec![];
                for (side, id) in sides.iter_mut().zip(ids) {
                    let id = id.expect("a statement that is executed").to_le_bytes();
                    let body = [&id[..], &[0, 1, 0, 0, 0], parameters].concat();
                    each.push(side.ask(Command::STMT_EXECUTE, &body));
                }
                assert_eq!(each[1], each[0], "{framing:?}: execute {sql}");
                same.executed += 1;
            }
        }
    }
    same
}

#[test]
fn both_engines_give_the_same_bytes() {
    let first = compare("engines", TEXTS, COMMANDS, PREPARED);
    let more = compare("engines_more", MORE, &[], &[]);
    println!(
        "figure: builtin and kernel | {} replies and {} of prepared statements the same in 4 \
         framings, 0 differ",
        first.replies + more.replies,
        first.executed
    );
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
    // What a proxy asks of a tenant: its servers; and of a table that is not there: nothing.
    let of = |database: &str, table: &str| {
        format!(
            "SELECT * FROM oceanbase.__all_virtual_proxy_schema WHERE tenant_name = 'test' AND \
             database_name = '{database}' AND table_name = '{table}'"
        )
    };
    let servers = sys.ask(&of("oceanbase", "__all_dummy"));
    assert_eq!(servers.column("role"), ["1", "2", "2"]);
    assert!(sys.ask(&of("test", "nosuch")).rows.is_empty());
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
