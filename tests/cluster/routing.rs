//! Statements go where the model says that their rows are.

use super::{Ruled, client, cluster, options, start, with};
use bench_harness::checks::MIXED_TABLES;
use bench_harness::checks::moves::{LATE_US, Move};
use bench_harness::process::Obring;
use bench_harness::raw::Conn;
use obcluster::{Change, Entry, Topology, VerdictKind};

/// A model with three servers, an obring in front of it, and tables of every kind of partitioning
/// in a database of its own.
pub(super) struct Place {
    pub(super) cluster: Ruled,
    pub(super) proxy: Obring,
    database: &'static str,
}

impl Place {
    fn new(database: &'static str) -> Self {
        Self::with(database, &[])
    }

    /// With these settings of obring.
    pub(super) fn with(database: &'static str, settings: &[(&str, &str)]) -> Self {
        let cluster = cluster(Topology::default());
        let proxy = start(&with(options(&cluster), settings));
        let place = Self {
            cluster,
            proxy,
            database,
        };
        let mut c = client(&place.proxy);
        c.run(&format!("drop database if exists {database}"))
            .expect("dropped");
        c.run(&format!("create database {database}"))
            .expect("created");
        c.run(&format!("use {database}")).expect("used");
        for table in MIXED_TABLES {
            c.run(table).expect(table);
        }
        place
    }

    /// A client in the database.
    pub(super) fn client(&self) -> Conn {
        let mut c = client(&self.proxy);
        c.run(&format!("use {}", self.database)).expect("used");
        c
    }

    /// What ran since an entry of the log, as far as the model knows its exact leaves.
    pub(super) fn exact(&self, since: u64) -> Vec<Entry> {
        let log = self.cluster.log_since(since);
        let is = |e: &Entry| {
            e.verdict.kind == VerdictKind::Exact
                && e.verdict.tables.iter().all(|t| t.db == self.database)
        };
        log.into_iter().filter(is).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = client(&self.proxy).run(&format!("drop database if exists {}", self.database));
    }
}

/// The server leads every leaf that the statement touches.
pub(super) fn is_right(entry: &Entry) -> bool {
    let leaders = entry.verdict.tables.iter().flat_map(|t| &t.leaders);
    leaders.clone().count() > 0 && leaders.clone().all(|leader| *leader == entry.server_id)
}

#[test]
fn statements_go_to_the_leader_first_time() {
    let place = Place::new("routing_first");
    let mut c = place.client();
    let since = place.cluster.log_next();
    for k in 0..30 {
        for sql in [
            format!("insert into h values ({k}, 1)"),
            format!("select v from h where k = {k}"),
            format!("update h set v = 2 where k = {k}"),
            format!("insert into y values ('k{k}', {k})"),
            format!("select v from y where k = 'k{k}'"),
            format!("insert into r values ({k}, 1)"),
            format!("select v from r where k = {k}"),
            format!("replace into l values ({k}, 1)"),
            format!("delete from l where k = {k}"),
            format!(
                "insert into d values ({k}, '2026-0{}-01 00:00:00', 1)",
                k % 4 + 1
            ),
            format!(
                "select v from d where k = {k} and t = '2026-0{}-01'",
                k % 4 + 1
            ),
            format!("insert into n values ({k}, 1)"),
            format!("select v from n where k = {k}"),
        ] {
            match sql.starts_with("select") {
                true => drop(c.rows(&sql).expect(&sql)),
                false => c.run(&sql).expect(&sql),
            }
        }
    }
    let ran = place.exact(since);
    assert!(ran.len() >= 300, "{} statements are judged", ran.len());
    let wrong: Vec<_> = ran.iter().filter(|e| !is_right(e)).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}: {wrong:#?}",
        wrong.len(),
        ran.len()
    );
    let servers: std::collections::BTreeSet<_> = ran.iter().map(|e| e.server_id).collect();
    assert_eq!(servers.len(), 3, "every server leads something");
}

/// Runs a prepared statement with one integer; `rows`: its reply has rows.
pub(super) fn execute(c: &mut Conn, id: u32, k: i32, rows: bool) {
    let mut payload = vec![0x17];
    payload.extend_from_slice(&id.to_le_bytes());
    payload.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, 3, 0]);
    payload.extend_from_slice(&k.to_le_bytes());
    c.send(&payload, 0).expect("sent");
    match rows {
        true => drop(c.read_rows().expect("rows")),
        false => assert!(c.receive().is_ok()),
    }
}

pub(super) fn prepare(c: &mut Conn, sql: &str, columns: usize) -> u32 {
    c.send(&[&[0x16], sql.as_bytes()].concat(), 0)
        .expect("sent");
    let got = c.receive();
    let packet = got.packet().unwrap_or_else(|| panic!("{sql}: {got:?}"));
    let id = packet.payload[1..5].try_into().expect("an id");
    // One parameter and its end, columns and their end.
    let more = 2 + if columns > 0 { columns + 1 } else { 0 };
    (0..more).for_each(|_| drop(c.receive()));
    u32::from_le_bytes(id)
}

#[test]
fn prepared_statements_go_by_their_parameters() {
    let place = Place::new("routing_prepared");
    let mut c = place.client();
    let insert = prepare(&mut c, "insert into h values (?, 1)", 0);
    let select = prepare(&mut c, "select 1 from h where k = ?", 1);
    let since = place.cluster.log_next();
    for k in 0..30 {
        execute(&mut c, insert, k, false);
    }
    let inserts = place.exact(since);
    let since = place.cluster.log_next();
    for k in 0..30 {
        // Binary rows are no text; one column of a constant is read as one cell all the same.
        execute(&mut c, select, k, true);
    }
    let selects = place.exact(since);
    assert_eq!((inserts.len(), selects.len()), (30, 30));
    for ran in [inserts, selects] {
        let wrong: Vec<_> = ran.iter().filter(|e| !is_right(e)).collect();
        assert!(wrong.is_empty(), "{} of 30: {wrong:#?}", wrong.len());
    }
}

#[test]
fn a_leader_that_moves_is_followed_once_it_was_asked_for() {
    let place = Place::new("routing_moves");
    let mut c = place.client();
    c.run("insert into h values (1, 1)").expect("a row");
    for server in [1, 2, 3, 1] {
        let change = Change::PlaceLeaf {
            tenant: "test".into(),
            table: format!("{}.h", place.database),
            leaf: 1,
            server,
        };
        let made = place.cluster.change(&change).expect("a move");
        for _ in 0..200 {
            c.cell("select v from h where k = 1").expect("a row");
        }
        let ran = place.exact(made.seq);
        assert_eq!(ran.len(), 200);
        let touched = ran.iter().flat_map(|e| &e.verdict.tables);
        let moved = Move::new(made, touched.flat_map(|t| t.tablets.clone()));
        let saw = moved.aftermath(&place.cluster.log_since(made.seq), u64::MAX);
        // Nobody asks where the entry was right by chance; else about the leaf, and no more than
        // once about the others.
        let is_followed = saw.asked <= 2 && saw.latest_us <= LATE_US && saw.unfollowed == 0;
        assert!(is_followed, "after a move to {server}: {saw:?}");
    }
}

#[test]
fn weak_reads_are_spread_over_replicas() {
    const READS: usize = 600;
    let place = Place::new("routing_weak");
    let mut c = place.client();
    c.run("insert into h values (1, 1)").expect("a row");
    let since = place.cluster.log_next();
    for _ in 0..READS {
        c.cell("select /*+ read_consistency(weak) */ v from h where k = 1")
            .expect("a row");
    }
    let log = place.cluster.log_since(since);
    let reads: Vec<_> = log
        .iter()
        .filter(|e| e.sql.contains("read_consistency"))
        .collect();
    assert_eq!(reads.len(), READS);
    for server in 1..=3 {
        let share = reads.iter().filter(|e| e.server_id == server).count();
        // A third, within five standard deviations.
        assert!((142..=258).contains(&share), "{share} on server {server}");
    }
}

#[test]
fn a_route_is_explained() {
    let place = Place::new("routing_explained");
    let mut c = place.client();
    let led = |k: u32, c: &mut Conn| {
        let sql = format!("select v, {k} from h where k = {k}");
        c.rows(&sql).expect(&sql);
        let server = super::server_of(&place.cluster, &sql);
        place.cluster.address(server).expect("a server").to_string()
    };
    for k in 0..4 {
        let server = led(k, &mut c);
        let json = c
            .cell(&format!(
                "explain route format=json select v from h where k = {k}"
            ))
            .expect("a document");
        assert!(
            json.contains(&server) && json.contains("\"leader\""),
            "{json}"
        );
        let text = c
            .cell(&format!("explain route select v from h where k = {k}"))
            .expect("a text");
        assert!(
            text.contains(&server) && text.contains("ROUTE_INFO"),
            "{text}"
        );
    }
    // Inside a transaction it stays where that is.
    c.run("begin").expect("begun");
    c.run("insert into h values (1, 2)").expect("a row");
    let json = c
        .cell("explain route format=json select v from h where k = 2")
        .expect("a document");
    assert!(json.contains("coordinator"), "{json}");
    c.run("rollback").expect("over");
    // Nothing of it has reached a server.
    let log = place.cluster.log_since(0);
    assert!(!log.iter().any(|e| e.sql.contains("explain route")));
}

#[test]
fn settings_and_variables_choose_replicas() {
    const READ: &str = "select /*+ read_consistency(weak) */ v from h where k = 1";
    let place = Place::new("routing_choice");
    let mut admin = super::admin(&place.proxy);
    let mut c = place.client();
    c.run("insert into h values (1, 1)").expect("a row");
    let served = |c: &mut Conn| {
        let since = place.cluster.log_next();
        for _ in 0..40 {
            c.cell(READ).expect("a row");
        }
        let log = place.cluster.log_since(since);
        let reads = log.iter().filter(|e| e.sql == READ);
        reads
            .map(|e| e.server_id)
            .collect::<std::collections::BTreeSet<_>>()
    };
    let leader = |c: &mut Conn| {
        c.cell("select v from h where k = 1 and 'leader'='leader'")
            .expect("a row");
        super::server_of(
            &place.cluster,
            "select v from h where k = 1 and 'leader'='leader'",
        )
    };
    let leader = leader(&mut c);
    c.run("set @proxy_route_policy = 'follower_first'")
        .expect("set");
    let followers = served(&mut c);
    assert!(
        !followers.contains(&leader) && followers.len() == 2,
        "{followers:?}"
    );
    c.run("set @proxy_route_policy = ''").expect("set");
    assert_eq!(served(&mut c).len(), 3);
    admin
        .run("alter proxyconfig set proxy_route_policy = 'FOLLOWER_ONLY'")
        .expect("set");
    let followers = served(&mut c);
    assert!(!followers.contains(&leader), "{followers:?}");
    admin
        .run("alter proxyconfig set proxy_route_policy = ''")
        .expect("set");
    // LDC: only the server of the proxy's own IDC.
    for zone in 1..=3 {
        let change = Change::Zone {
            zone: format!("z{zone}"),
            status: None,
            kind: None,
            idc: Some(format!("idc{zone}")),
            region: Some("r".into()),
        };
        place.cluster.change(&change).expect("a zone");
    }
    c.run("set @proxy_idc_name = 'idc2'").expect("set");
    super::until("the zones to be known", || {
        (served(&mut c) == [2].into()).then_some(())
    });
    // New sessions begin there, too.
    admin
        .run("alter proxyconfig set proxy_idc_name = 'idc3'")
        .expect("set");
    for n in 0..6 {
        let sql = format!("select 'near {n}'");
        client(&place.proxy).cell(&sql).expect("a row");
        assert_eq!(super::server_of(&place.cluster, &sql), 3);
    }
}

#[test]
fn workloads_run_where_their_rows_are() {
    let setup = bench_harness::checks::Setup {
        binary: super::binary(),
        kernel: super::kernel(),
    };
    for name in bench_harness::checks::workloads() {
        let said = bench_harness::checks::placing(&setup, name, 1);
        println!("{name}: {}", said.unwrap_or_else(|e| panic!("{name}: {e}")));
    }
}

#[test]
fn a_tenant_that_reads_weakly_does_so_on_its_servers_too() {
    let place = Place::with("routing_weak_tenant", &[("weak_read_user_list", "*@test")]);
    let mut c = place.client();
    c.run("insert into h values (1, 1)").expect("a row");
    let since = place.cluster.log_next();
    for n in 0..60 {
        drop(
            c.rows(&format!("select v from h where k = 1 and v > -{n}"))
                .expect("rows"),
        );
    }
    let ran = place.exact(since);
    let weak = ran.iter().filter(|e| e.class.is_weak).count();
    assert_eq!((ran.len(), weak), (60, 60));
    let servers: std::collections::BTreeSet<_> = ran.iter().map(|e| e.server_id).collect();
    assert_eq!(servers.len(), 3, "every replica is read");
    // The session may say otherwise, and is believed on every server.
    for said in [2, 3, 2] {
        c.run(&format!("set ob_read_consistency = {said}"))
            .expect("set");
        let since = place.cluster.log_next();
        for n in 0..12 {
            drop(
                c.rows(&format!("select v from h where k = 1 and v < 9{n}"))
                    .expect("rows"),
            );
        }
        let ran = place.exact(since);
        assert!(ran.iter().all(|e| e.class.is_weak == (said == 2)), "{said}");
    }
}

#[test]
fn a_transaction_begins_where_its_first_execute_goes() {
    const IN_TRANSACTION: u8 = 1;
    let place = Place::new("routing_begun");
    let mut c = place.client();
    let mut plain = place.client();
    for k in 0..12 {
        plain
            .run(&format!("insert into h values ({k}, 1)"))
            .expect("inserted");
    }
    let since = place.cluster.log_next();
    for k in 0..12 {
        c.run("begin").expect("begun");
        // A database by command, and a statement that is prepared, do not begin it anywhere.
        c.send(b"\x02routing_begun", 0).expect("sent");
        let got = c.receive();
        // 00, no rows, no id, status.
        let status = got.packet().map_or(0, |p| p.payload[3]);
        assert!(status & IN_TRANSACTION != 0, "{got:?}");
        let id = prepare(&mut c, "update h set v = v + 1 where k = ?", 0);
        execute(&mut c, id, k, false);
        c.run("commit").expect("committed");
    }
    let all = place.cluster.log_since(since);
    let begun = all.iter().filter(|e| e.sql == "begin").count();
    assert_eq!(begun, 12, "each transaction is begun once");
    let ran = place.exact(since);
    let ran: Vec<_> = ran.iter().filter(|e| e.statement != 0).collect();
    assert_eq!(ran.len(), 12);
    let wrong: Vec<_> = ran.iter().filter(|e| !is_right(e)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for k in 0..12 {
        let v = plain.cell(&format!("select v from h where k = {k}"));
        assert_eq!(v.expect("a row"), "2");
    }
}

#[test]
fn variables_and_the_clock_are_known() {
    let place = Place::new("routing_values");
    let mut c = place.client();
    let since = place.cluster.log_next();
    for k in 0..12 {
        c.run(&format!("set @k = {k}")).expect("set");
        c.run("insert into h values (@k, 1)").expect("inserted");
        drop(c.rows("select v from h where k = @k").expect("rows"));
    }
    let ran = place.exact(since);
    assert!(ran.len() >= 24, "{} statements are judged", ran.len());
    let wrong: Vec<_> = ran.iter().filter(|e| !is_right(e)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    c.run(
        "create table p (k int, at datetime, primary key (k, at)) partition by range columns(at) \
         (partition a values less than ('2026-01-01'), partition b values less than (maxvalue))",
    )
    .expect("created");
    // The model does not know such statements exactly.
    for sql in [
        "insert into p values (1, now())",
        "select k from p where at = now()",
    ] {
        let json = c
            .cell(&format!("explain route format=json {sql}"))
            .expect(sql);
        assert!(json.contains("\"reason\": \"leader\""), "{sql}: {json}");
        assert!(json.contains("\"name\": \"b\""), "{sql}: {json}");
    }
}

#[test]
fn a_route_is_explained_as_the_statement_would_go() {
    let place = Place::new("routing_explained");
    let mut c = place.client();
    let mut explained = |sql: &str| c.cell(sql).expect(sql);
    for (sql, wanted) in [
        (
            "/* c */ explain route format=json select v from h where k = 3",
            "\"reason\": \"leader\"",
        ),
        (
            "explain route format = json /*+ x */ select /*+ read_consistency(weak) */ v from h",
            "\"consistency\": \"weak\"",
        ),
        (
            "explain route format=json /*FORCE_MASTER*/ select v from h where k = 3",
            "\"consistency_by\": \"force_master\"",
        ),
        (
            "explain route format=json /*ODP: target_db_server=127.0.1.2:2881*/ select 1",
            "\"reason\": \"target",
        ),
        (
            "explain route format=json select v from y where k = 'new'",
            "\"cache_source\": \"query\"",
        ),
        (
            "explain route format=json select v from y where k = 'new'",
            "\"cache_source\": \"core\"",
        ),
        ("explain route format=json set @a = 1", "\"class\": \"SET\""),
    ] {
        let json = explained(sql);
        assert!(json.contains(wanted), "{sql}: {json}");
    }
    let cold = explained("explain route format=json select v from n where k = 1");
    assert!(!cold.contains("\"elapsed_us\": 0"), "{cold}");
    c.run(&format!(
        "set @obproxy_route_addr = {}",
        2881_u64 << 32 | 0x7F00_0103
    ))
    .expect("set");
    let json = c
        .cell("explain route format=json select v from h where k = 3")
        .expect("explained");
    assert!(json.contains("\"reason\": \"route_address\""), "{json}");
}

/// Names in the client's character set are those that metadata has in UTF-8.
#[test]
fn names_in_gbk_are_found() {
    let place = Place::new("routing_gbk");
    let mut plain = place.client();
    plain
        .run("create table 键表(键 int primary key, v int) partition by hash(键) partitions 6")
        .expect("created");
    let keys = 0..12;
    let since = place.cluster.log_next();
    for k in keys.clone() {
        plain
            .run(&format!("replace into 键表 values ({k}, 1)"))
            .expect("replaced");
    }
    let right: Vec<_> = place.exact(since).iter().map(|e| e.server_id).collect();
    assert_eq!(right.len(), keys.len());
    let mut c = place.client();
    c.run("set names gbk").expect("an OK");
    let since = place.cluster.log_next();
    for k in keys {
        let text = format!("select v from 键表 where 键 = {k}");
        let (text, ..) = encoding_rs::GBK.encode(&text);
        c.send(&[b"\x03", &*text].concat(), 0).expect("sent");
        assert_eq!(c.read_rows().expect("rows").len(), 1);
    }
    let log = place.cluster.log_since(since);
    let ran = log.iter().filter(|e| e.sql.starts_with("select v from"));
    let servers: Vec<_> = ran.map(|e| e.server_id).collect();
    assert_eq!(servers, right);
}
