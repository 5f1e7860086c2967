//! A proxy that leaves out one piece of a session's state is found, by the name of the piece; one
//! that brings it is not. Two links of one session, in all framings.

use crate::client::{Client, Credentials, Ids, MASKS};
use crate::{Database, cluster, until};
use obcluster::Cluster;
use obcluster::shadow::Told;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;
use std::collections::BTreeMap;

/// System variables that servers report by themselves.
const OF_THE_SERVER: &[&[u8]] = &[
    b"_current_default_catalog",
    b"_nlj_batching_enabled",
    b"character_set_database",
    b"collation_database",
    b"ob_enable_transmission_checksum",
    b"ob_last_schema_version",
    b"ob_proxy_partition_hit",
    b"ob_proxy_set_trx_executed",
    b"ob_statement_trace_id",
];

/// The four framings, and OceanBase 2.0 with variables by name, and with the old extra info.
pub(crate) fn masks() -> Vec<u64> {
    let four = MASKS.iter().map(|(_, mask)| *mask);
    let ob20 = capability::OB20;
    four.chain([
        ob20 & !capability::SESSION_VAR_SYNC,
        ob20 & !capability::NEW_EXTRA_INFO,
    ])
    .collect()
}

/// A proxy's side of one session: what it has learnt of it, and its links.
struct Session<'a> {
    cluster: &'a Cluster,
    ids: Ids,
    mask: u64,
    links: Vec<Client>,
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
    user_variables: BTreeMap<Vec<u8>, Vec<u8>>,
    database: Option<Vec<u8>>,
    parts: BTreeMap<u16, Vec<u8>>,
    seen: usize,
}

/// A piece of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Variables,
    UserVariables,
    Database,
    Parts,
}

impl<'a> Session<'a> {
    /// With a link to each of servers 1 and 2.
    fn new(cluster: &'a Cluster, mask: u64) -> Self {
        let mut new = Self {
            cluster,
            ids: Ids::with_client_id(),
            mask,
            links: vec![],
            variables: BTreeMap::new(),
            user_variables: BTreeMap::new(),
            database: None,
            parts: BTreeMap::new(),
            seen: cluster.violations().len(),
        };
        new.connect(1);
        new.connect(2);
        new
    }

    fn connect(&mut self, server: u32) {
        let mut who = Credentials::proxy("root@test", self.mask);
        who.ids = Some(self.ids);
        let address = self.cluster.address(server).unwrap();
        self.links.push(Client::new(address, &who));
    }

    /// Violations since the last look, as text.
    fn found(&mut self) -> Vec<String> {
        let all = self.cluster.violations();
        let new = all[self.seen..].iter().map(|b| b.violation.to_string());
        let new = new.collect();
        self.seen = all.len();
        new
    }

    fn learn(&mut self, told: Told) {
        for (name, value) in told.variables {
            if !OF_THE_SERVER.contains(&&*name) {
                self.variables.insert(name, value);
            }
        }
        self.user_variables.extend(told.user_variables);
        self.database = told.database.or_else(|| self.database.take());
        self.parts.extend(told.beside.parts);
    }

    /// A statement of the client, with nothing brought along.
    fn says(&mut self, link: usize, sql: &str) {
        self.runs(link, sql, &[]);
        let told = self.links[link].told.clone();
        self.learn(told);
    }

    fn runs(&mut self, link: usize, sql: &str, parts: &[(u16, Vec<u8>)]) {
        let client = &mut self.links[link];
        client
            .send_with(Command::QUERY, sql.as_bytes(), parts)
            .unwrap();
        let reply = client.reply().unwrap();
        assert!(reply.is_ok(), "{sql}: {reply:?}");
    }

    fn has_variable_blocks(&self) -> bool {
        self.links[0].has_extra() && self.mask & capability::SESSION_VAR_SYNC != 0
    }

    /// Brings all state to a link but one piece, and asks something there.
    fn brings_all_but(&mut self, link: usize, left_out: Option<Piece>, sql: &str) {
        let brings = |piece| left_out != Some(piece);
        let database = self.database.clone().filter(|d| !d.is_empty());
        if let Some(database) = database.filter(|_| brings(Piece::Database)) {
            let client = &mut self.links[link];
            client.send(Command::INIT_DB, &database).unwrap();
            client.reply().unwrap().unwrap();
        }
        let mut pairs = vec![];
        if brings(Piece::Variables) && !self.has_variable_blocks() {
            for (name, value) in &self.variables {
                let value = String::from_utf8_lossy(value);
                let value = match value.parse::<i64>() {
                    Ok(number) => number.to_string(),
                    Err(_) => format!("'{value}'"),
                };
                pairs.push(format!("@@{}={value}", String::from_utf8_lossy(name)));
            }
        }
        if brings(Piece::UserVariables) {
            for (name, literal) in &self.user_variables {
                let [name, literal] = [name, literal].map(|b| String::from_utf8_lossy(b));
                pairs.push(format!("@{name}={literal}"));
            }
        }
        if !pairs.is_empty() {
            let text = format!("SET {};", pairs.join(", "));
            self.links[link].ask(&text);
        }
        let mut parts = vec![];
        if brings(Piece::Parts) && self.links[link].has_extra() {
            parts.extend(self.parts.clone());
        }
        self.runs(link, sql, &parts);
        // A link that was not given everything tells what it lacks as if it were the newest.
        if left_out.is_none() {
            let told = self.links[link].told.clone();
            self.learn(told);
        }
    }
}

#[test]
fn each_piece_of_state_is_missed_by_name() {
    use Piece::{Database as InDatabase, Parts, UserVariables, Variables};
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "shadow");
    db.client().ask(&format!(
        "create table {0}.t(id int primary key auto_increment, v int)",
        db.1
    ));
    db.client().ask(&format!("create sequence {}.s", db.1));
    let insert = format!("insert into {}.t(v) values(1)", db.1);
    let next = format!("select {}.s.nextval", db.1);
    let use_it = format!("use {}", db.1);
    // What the client says, the piece, and its name; variables have another name in blocks. Sub
    // type 1 nobody can set on this kernel: it has no DBMS_SESSION.SET_CONTEXT (error 1305).
    let hot: Cases<'_> = &[
        ("set autocommit=0", Variables, "autocommit"),
        (
            "set ob_query_timeout=8000000",
            Variables,
            "ob_query_timeout",
        ),
    ];
    let common: Cases<'_> = &[
        ("set names gbk", Variables, "character_set_client"),
        (
            "set session transaction isolation level serializable",
            Variables,
            "tx_isolation",
        ),
        (
            "set ob_read_consistency='weak'",
            Variables,
            "ob_read_consistency",
        ),
        (
            "set ob_enable_transmission_checksum=1, wait_timeout=77",
            Variables,
            "wait_timeout",
        ),
    ];
    let cold: Cases<'_> = &[
        ("set sql_mode='ANSI'", Variables, "sql_mode"),
        ("set time_zone='+01:00'", Variables, "time_zone"),
    ];
    let inserts = [(&*insert, Variables, "last_insert_id")];
    let user: Cases<'_> = &[
        ("set @x='a\\'b'", UserVariables, "@x"),
        ("select 1.50 into @y", UserVariables, "@y"),
    ];
    let uses = [(&*use_it, InDatabase, "database")];
    let info = |sql, name| [(sql, Parts, name)];
    let application = info(
        "call dbms_application_info.set_client_info('a')",
        "session_info:0",
    );
    let identifier = info("call dbms_session.set_identifier('a')", "session_info:2");
    let tracing = info(
        "call dbms_monitor.ob_session_trace_enable(null, 1, 1, 'ALL')",
        TRACING,
    );
    let sequence = info(&next, "session_info:5");
    let all: [(&str, Cases<'_>); 10] = [
        ("hot system variables", hot),
        ("common system variables", common),
        ("cold system variables", cold),
        ("last_insert_id", &inserts),
        ("user variables", user),
        ("database", &uses),
        ("session info 0", &application),
        ("session info 2", &identifier),
        ("session info 3", &tracing),
        ("session info 5", &sequence),
    ];
    let (mut in_blocks, mut all_right) = (0, 0);
    for (class, cases) in all {
        let seen = leave_out(&cluster, class, cases);
        in_blocks += seen.in_blocks;
        all_right += seen.right;
    }
    println!(
        "figure: raw client: session info 4 | {in_blocks} of {in_blocks} times by name, whatever \
         system variable it carries"
    );
    println!(
        "figure: raw client: right in everything | 0 rules broken in {all_right} statements on two \
         and three links, in 6 forms of the four framings"
    );
}

/// The name of trace control.
const TRACING: &str = "session_info:3";

/// What the client says, the piece of state that it changes, and its name.
type Cases<'a> = &'a [(&'a str, Piece, &'a str)];

/// What was looked at.
#[derive(Default)]
struct Looked {
    named: u32,
    in_blocks: u32,
    right: u32,
}

/// Leaves out each of these pieces, and brings it, in all framings.
fn leave_out(cluster: &Cluster, class: &str, cases: Cases<'_>) -> Looked {
    use Piece::{Parts, Variables};
    let mut looked = Looked::default();
    for mask in masks() {
        for (sql, piece, name) in cases {
            let mut session = Session::new(cluster, mask);
            let in_blocks = *piece == Variables && session.has_variable_blocks();
            let (left_out, name) = match piece {
                Variables if in_blocks => (Parts, "session_info:4"),
                Parts if !session.links[0].has_extra() => continue,
                piece => (*piece, *name),
            };
            let what = format!("{sql} with {mask:#x}");
            if name == TRACING {
                // What a connection tells with its first reply is taken for what all have.
                session.says(0, "select 0");
            }
            session.says(0, sql);
            session.says(0, "select 1");
            assert_eq!(session.found(), [""; 0], "{what}: one link has it all");
            // Each time, by name.
            for _ in 0..2 {
                session.brings_all_but(1, Some(left_out), "select 2");
                let found = session.found();
                assert_eq!(found.len(), 1, "{what}: {found:?}");
                let (kind, names) = found[0].split_once(": ").unwrap();
                assert_eq!(kind, "stale_state", "{what}");
                assert!(names.split(", ").any(|n| n == name), "{what}: {names}");
                looked.named += 1;
                looked.in_blocks += u32::from(in_blocks);
            }
            session.brings_all_but(1, None, "select 3");
            assert_eq!(session.found(), [""; 0], "{what}: brought");
            session.says(0, "select 4");
            session.says(1, "select 5");
            assert_eq!(session.found(), [""; 0], "{what}: both have it");
            // A third link, and back to the first.
            session.connect(3);
            session.brings_all_but(2, None, "select 6");
            session.brings_all_but(0, None, "select 7");
            assert_eq!(session.found(), [""; 0], "{what}: brought to a third");
            looked.right += 7;
        }
    }
    let Looked { named, right, .. } = looked;
    println!(
        "figure: raw client: {class} | {named} of {named} times by name; right client 0 of {right}"
    );
    looked
}

/// Sends COM_STMT_PREPARE, which must succeed; the number that the server gave.
fn prepare(client: &mut Client, sql: &str) -> u32 {
    client.send(Command::STMT_PREPARE, sql.as_bytes()).unwrap();
    let head = client.packet().unwrap();
    assert_eq!(head[0], 0, "{sql}: {head:?}");
    // The column, its EOF, and the OK for proxies.
    for _ in 0..3 {
        client.packet().unwrap();
    }
    u32::from_le_bytes([head[1], head[2], head[3], head[4]])
}

/// Runs a statement without parameters; the error, or the cells of its rows that are texts.
fn execute(client: &mut Client, id: u32, parts: &[(u16, Vec<u8>)]) -> Result<(), u16> {
    let mut body = id.to_le_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 0, 0, 0]);
    client
        .send_with(Command::STMT_EXECUTE, &body, parts)
        .unwrap();
    client
        .reply()
        .unwrap()
        .map(|_| ())
        .map_err(|said| said.code)
}

#[test]
fn a_prepared_statement_is_missed_by_its_number() {
    let cluster = cluster();
    let mut named = 0;
    for mask in masks() {
        let mut session = Session::new(&cluster, mask);
        let id = prepare(&mut session.links[0], "select 7");
        assert_eq!(execute(&mut session.links[0], id, &[]), Ok(()));
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
        for _ in 0..2 {
            // The kernel's code depends on whether the connection has prepared anything.
            assert!(execute(&mut session.links[1], id, &[]).is_err());
            assert_eq!(session.found(), [format!("stale_state: statement:{id}")]);
        }
        let id = prepare(&mut session.links[1], "select 7");
        assert_eq!(execute(&mut session.links[1], id, &[]), Ok(()));
        // What is closed everywhere is missed by the client, once all servers have read that.
        for link in &mut session.links {
            link.send(Command::STMT_CLOSE, &id.to_le_bytes()).unwrap();
            link.ask("select 1");
        }
        assert!(execute(&mut session.links[1], id, &[]).is_err());
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
        named += 3;
        // As texts, with names.
        session.says(0, "prepare Named from 'select 7'");
        session.says(0, "execute named");
        assert_eq!(session.links[1].refused("execute NAMED"), 1243);
        assert_eq!(session.found(), ["stale_state: statement:named"]);
        session.says(1, "prepare named from 'select 7'");
        session.says(1, "execute named");
        session.says(1, "deallocate prepare named");
        session.says(0, "drop prepare named");
        assert_eq!(session.links[1].refused("execute NAMED"), 1243);
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
    }
    println!(
        "figure: raw client: prepared statements | {named} of {named} times by its number or name; \
         right client: never"
    );
}

#[test]
fn a_count_of_the_statement_before_is_missed_where_it_is_asked_for() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "shadow_count");
    db.client().ask(&format!("create table {}.t(a int)", db.1));
    let insert = format!("insert into {}.t values(1), (2)", db.1);
    let mut named = 0;
    for mask in masks() {
        let mut session = Session::new(&cluster, mask);
        if !session.links[0].has_extra() {
            continue;
        }
        session.says(0, &insert);
        session.brings_all_but(1, Some(Piece::Parts), "select 3");
        assert_eq!(session.found(), [""; 0], "{mask:#x}: nobody asks");
        session.brings_all_but(1, Some(Piece::Parts), "select row_count()");
        assert_eq!(
            session.found(),
            ["stale_state: session_info:7"],
            "{mask:#x}"
        );
        named += 1;
        session.brings_all_but(1, None, "select row_count()");
        session.says(0, &insert);
        let id = prepare(&mut session.links[1], "select row_count()");
        let parts: Vec<_> = session.parts.clone().into_iter().collect();
        assert_eq!(execute(&mut session.links[1], id, &parts), Ok(()));
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
    }
    println!(
        "figure: raw client: session info 7 | {named} of {named} times by name, where row_count() \
         asks for it; right client: never"
    );
}

#[test]
fn what_the_client_has_not_set_is_not_missed() {
    let cluster = cluster();
    let db = Database::new(cluster.address(1).unwrap(), "shadow_silent");
    for mask in masks() {
        let mut session = Session::new(&cluster, mask);
        // First replies, definitions, errors and plain work tell of variables, too.
        let table = format!("{}.t", db.1);
        for sql in [
            format!("drop table if exists {table}"),
            format!("create table {table}(id int primary key, v int)"),
            format!("insert into {table} values(1, 1), (2, 2)"),
            format!("update {table} set v = 3 where id = 1"),
            format!("delete from {table} where id = 2"),
            format!("analyze table {table}"),
            "begin".into(),
            format!("select * from {table} for update"),
            "commit".into(),
            "show warnings".into(),
        ] {
            session.says(0, &sql);
        }
        assert_eq!(session.links[0].refused("select nosuch"), 1054);
        session.says(1, "select 1");
        assert_eq!(session.links[1].refused("select nosuch"), 1054);
        session.connect(3);
        session.says(2, "select 2");
        session.says(0, "select 3");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
        // A database that both have, as a login gives it.
        session.says(0, &format!("use {}", db.1));
        let mut who = Credentials::proxy("root@test", mask);
        who.ids = Some(session.ids);
        who.database = Some(&db.1);
        let address = cluster.address(2).unwrap();
        session.links.push(Client::new(address, &who));
        session.says(3, "select * from t");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
        // One that is not set any more is blank on fresh links, too.
        session.says(0, "set @x=1");
        session.says(0, "set @x=null");
        session.says(3, "select * from t");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
    }
}

#[test]
fn a_reset_and_another_user_leave_nothing() {
    let cluster = cluster();
    let reset = |session: &mut Session, link: usize| {
        let client = &mut session.links[link];
        client.send(Command::RESET_CONNECTION, b"").unwrap();
        client.reply().unwrap().unwrap();
    };
    let change_user = |session: &mut Session, link: usize| {
        let client = &mut session.links[link];
        let body = b"root@test\0\0test\0\x2d\0mysql_native_password\0";
        client.send(Command::CHANGE_USER, body).unwrap();
        if client.packet().unwrap()[0] == 0xFE {
            client.send_turn(&[&[0, 0, 0, 2]]).unwrap();
            assert_eq!(client.packet().unwrap()[0], 0);
        }
    };
    for mask in masks() {
        let mut session = Session::new(&cluster, mask);
        session.says(0, "set sql_mode='ANSI', @x=1");
        session.says(0, "select 1");
        reset(&mut session, 1);
        session.says(1, "select 2");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
        // The first link still has what the session has no more.
        session.says(0, "select 3");
        let found = session.found();
        assert!(found[0].contains("@x"), "{mask:#x}: {found:?}");
        reset(&mut session, 0);
        session.says(0, "select 4");
        session.says(1, "select 5");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");

        session.says(0, "set sql_mode='ANSI', @x=1");
        change_user(&mut session, 0);
        session.says(0, "select 6");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
        session.says(1, "select 7");
        assert_eq!(session.found(), ["stale_state: database"], "{mask:#x}");
        change_user(&mut session, 1);
        session.says(1, "select 8");
        session.says(0, "select 9");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
    }
}

#[test]
fn a_session_that_goes_on_with_another_connection_is_the_same() {
    let cluster = cluster();
    for mask in masks() {
        let mut session = Session::new(&cluster, mask);
        session.says(0, "set @x=1, time_zone='+01:00'");
        session.links.clear();
        until("both end", || cluster.links().is_empty());
        session.connect(3);
        session.runs(0, "select 1", &[]);
        let found = session.found();
        assert!(found[0].contains("@x"), "{mask:#x}: {found:?}");
        session.links.clear();
        session.connect(1);
        session.brings_all_but(0, None, "select 2");
        assert_eq!(session.found(), [""; 0], "{mask:#x}");
    }
}

#[test]
fn state_that_comes_with_a_question_for_views_arrives() {
    let cluster = cluster();
    for mask in masks() {
        let ids = Ids::with_client_id();
        let link = |server| {
            let mut who = Credentials::proxy("root@sys", mask);
            who.ids = Some(ids);
            Client::new(cluster.address(server).unwrap(), &who)
        };
        let (mut a, mut b) = (link(1), link(2));
        let has_blocks = a.has_extra() && mask & capability::SESSION_VAR_SYNC != 0;
        if !has_blocks {
            continue;
        }
        a.ask("set time_zone='+03:00'");
        let parts = a.told.beside.parts.clone();
        let sql = b"select count(*) n from oceanbase.DBA_OB_ZONES";
        b.send_with(Command::QUERY, sql, &parts).unwrap();
        assert_eq!(b.reply().unwrap().unwrap().column("n"), ["3"]);
        assert_eq!(b.ask("select @@time_zone z").column("z"), ["+03:00"]);
        assert_eq!(cluster.violations(), [], "{mask:#x}");
    }
}
