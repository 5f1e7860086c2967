//! A proxy that leaves out one piece of a session's state is found, by the name of the piece; one
//! that brings it is not. Two links of one session, in all framings.

use crate::client::{Client, Credentials, Ids, MASKS};
use crate::{Database, cluster};
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
    // What the client says, the piece, and its name; variables have another name in blocks.
    let cases: &[(&str, Piece, &str)] = &[
        ("set sql_mode='ANSI'", Variables, "sql_mode"),
        ("set autocommit=0", Variables, "autocommit"),
        (
            "set ob_query_timeout=8000000",
            Variables,
            "ob_query_timeout",
        ),
        ("set time_zone='+01:00'", Variables, "time_zone"),
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
        (&insert, Variables, "last_insert_id"),
        ("set @x='a\\'b'", UserVariables, "@x"),
        ("select 1.50 into @y", UserVariables, "@y"),
        (&use_it, InDatabase, "database"),
        (
            "call dbms_application_info.set_client_info('a')",
            Parts,
            "session_info:0",
        ),
        (
            "call dbms_session.set_identifier('a')",
            Parts,
            "session_info:2",
        ),
        (&next, Parts, "session_info:5"),
    ];
    for mask in masks() {
        for (sql, piece, name) in cases {
            let mut session = Session::new(&cluster, mask);
            let in_blocks = *piece == Variables && session.has_variable_blocks();
            let (left_out, name) = match piece {
                Variables if in_blocks => (Parts, "session_info:4"),
                Parts if !session.links[0].has_extra() => continue,
                piece => (*piece, *name),
            };
            let what = format!("{sql} with {mask:#x}");
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
        }
    }
}
