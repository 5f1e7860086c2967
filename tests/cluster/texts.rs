//! Long texts, and texts of several statements: what binds a session after them, and what does not.

use super::routing::{Place, is_right};
use bench_harness::raw::{Conn, Login};
use obring_wire::protocol::mysql::client;
use std::collections::BTreeSet;

/// Keys that point statements ask for: they are led by all servers.
const KEYS: u32 = 16;
/// More than obring keeps of a statement.
const LONG: usize = 70_000;
const TABLE: &str = "create table t(k int primary key, role int, v longtext) \
                     partition by hash(k) partitions 16";

/// How a statement's reply reads.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Done,
    Rows,
}
use Reply::{Done, Rows};

struct Texts {
    place: Place,
    database: &'static str,
}

impl Texts {
    fn new(database: &'static str) -> Self {
        let place = Place::with(database, &[]);
        let mut c = place.client();
        c.run(TABLE).expect("created");
        for k in 0..KEYS {
            c.run(&format!("insert into t values ({k}, 0, 'short')"))
                .expect("a row");
        }
        Self { place, database }
    }

    /// A client whose texts may be several statements.
    fn client(&self) -> Conn {
        let login = Login::user("root@test#obcluster", "")
            .with(client::MULTI_STATEMENTS)
            .db(self.database);
        Conn::login(self.place.proxy.address(), &login).expect("logged in")
    }

    /// Point statements on every key: the servers they ran on, and how many did not run where their
    /// row is led.
    fn points(&self, c: &mut Conn) -> (BTreeSet<u32>, usize) {
        let since = self.place.cluster.log_next();
        for k in 0..KEYS {
            c.run(&format!("update t set role = role + 1 where k = {k}"))
                .expect("updated");
            c.cell(&format!("select role from t where k = {k}"))
                .expect("a row");
        }
        let ran = self.place.exact(since);
        assert_eq!(ran.len(), 2 * KEYS as usize, "all are judged");
        let wrong = ran.iter().filter(|e| !is_right(e)).count();
        (ran.iter().map(|e| e.server_id).collect(), wrong)
    }

    fn is_free(&self, c: &mut Conn, what: &str) {
        let (servers, wrong) = self.points(c);
        assert_eq!((servers.len(), wrong), (3, 0), "{what}");
    }

    fn is_bound(&self, c: &mut Conn, what: &str) {
        let (servers, wrong) = self.points(c);
        assert!(servers.len() == 1 && wrong > 0, "{what}: {servers:?}");
    }
}

/// Runs a text and reads a reply for each of its statements.
fn run(c: &mut Conn, text: &str, replies: &[Reply]) {
    let front: String = text.chars().take(80).collect();
    c.query(text).expect("sent");
    for reply in replies {
        match reply {
            Done => {
                let got = c.receive();
                assert!(got.is_ok(), "{front}: {got:?}");
            }
            Rows => drop(c.read_rows().expect(&front)),
        }
    }
}

fn long() -> String {
    "x".repeat(LONG)
}

#[test]
fn a_long_text_about_rows_binds_nothing() {
    let texts = Texts::new("texts_long");
    let mut c = texts.client();
    let long = long();
    for (sql, replies) in [
        (
            format!("insert into t values (100, 1, '{long}')"),
            &[Done][..],
        ),
        (
            format!("replace into t(k, v) values (101, '{long}')"),
            &[Done],
        ),
        (format!("update t set v = '{long}' where k = 3"), &[Done]),
        (format!("select length('{long}') as n"), &[Rows]),
        (
            "update t set role = 2 where k = 1; select 1 as one".to_owned(),
            &[Done, Rows],
        ),
        // Words that would bind, in places where they do not.
        (
            format!("insert into t values (102, 1, '{long}; lock tables t write')"),
            &[Done],
        ),
        (
            "update t set role = 2, v = 'prepare s; lock' where k = 1; select 1 as one".to_owned(),
            &[Done, Rows],
        ),
    ] {
        run(&mut c, &sql, replies);
        texts.is_free(&mut c, &sql[..40]);
    }
    let v = c.cell("select length(v) from t where k = 100");
    assert_eq!(v, Ok(LONG.to_string()));
}

#[test]
fn a_long_text_whose_second_statement_binds_does_so() {
    let texts = Texts::new("texts_bind");
    let long = long();
    for (n, second, then) in [
        (0, "lock tables t write", "unlock tables"),
        (1, "prepare s from 'select 5 as five'", "execute s"),
    ] {
        for (first, reply) in [
            (
                format!("insert into t values ({}, 1, '{long}')", 200 + n),
                Done,
            ),
            (format!("update t set v = '{long}' where k = 5"), Done),
            (format!("select length('{long}') as n"), Rows),
        ] {
            let what = format!("{}...; {second}", &first[..40]);
            let mut c = texts.client();
            texts.is_free(&mut c, &what);
            run(&mut c, &format!("{first}; {second}"), &[reply, Done]);
            texts.is_bound(&mut c, &what);
            let replies = if then == "execute s" { [Rows] } else { [Done] };
            run(&mut c, then, &replies);
            // What is not read to its end is not known to be undone; a reset undoes everything.
            run(&mut c, "set @a = 1", &[Done]);
            c.send(b"\x1f", 0).expect("sent");
            assert!(c.receive().is_ok(), "{what}");
            run(&mut c, &format!("use {}", texts.database), &[Done]);
            texts.is_free(&mut c, &what);
        }
    }
}
