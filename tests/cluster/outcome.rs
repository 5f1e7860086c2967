//! A server is lost: what its client is told of the statement, and what is left of the session.

use super::{Ruled, client, cluster, counter, options, start, until};
use bench_harness::clock::Watch;
use bench_harness::process::Obring;
use bench_harness::raw::{Conn, Got};
use obcluster::{Change, Entry, Fault, FaultKind, Kind, LinkInfo, Topology};

/// A place with a table of its own.
struct Place {
    cluster: Ruled,
    proxy: Obring,
    table: &'static str,
}

impl Place {
    fn new(table: &'static str) -> Self {
        let cluster = cluster(Topology::default());
        let proxy = start(&options(&cluster).set("observer_query_timeout_delta", "1s"));
        let mut c = client(&proxy);
        for sql in [
            "create database if not exists outcome".into(),
            format!("drop table if exists outcome.{table}"),
            format!("create table outcome.{table}(id int primary key, n int)"),
            format!("insert into outcome.{table} values(1, 0), (2, 0)"),
        ] {
            c.run(&sql).expect("an OK");
        }
        Self {
            cluster,
            proxy,
            table,
        }
    }

    /// A client with state that is to outlive its connections.
    fn client(&self) -> Conn {
        let mut c = client(&self.proxy);
        for sql in ["use outcome", "set sql_mode = 'ANSI_QUOTES'", "set @a = 5"] {
            c.run(sql).expect("an OK");
        }
        c
    }

    /// The session is as it was, and works.
    fn has_all(c: &mut Conn, when: &str) {
        let all = c.cell("select concat(database(), @a, @@sql_mode)");
        assert_eq!(all.as_deref(), Ok("outcome5ANSI_QUOTES"), "{when}");
    }

    /// The next statement with this text runs, and its connection is lost instead of a reply.
    fn lose(&self, sql: &str) {
        let fault = Fault::new(FaultKind::ResetAfterBytes(0));
        self.cluster.fault(fault.sql(sql).times(1));
    }

    /// The error of a statement that is lost so: without its code.
    fn lost(&self, c: &mut Conn, sql: &str) -> String {
        self.lose(sql);
        c.query(sql).expect("sent");
        let (code, text) = c
            .receive()
            .error()
            .unwrap_or_else(|| panic!("{sql}: no error"));
        assert_eq!(code, 10014, "{sql}: {text}");
        text
    }

    fn number(&self, id: i32) -> String {
        let sql = format!("select n from outcome.{} where id = {id}", self.table);
        client(&self.proxy).cell(&sql).expect("a number")
    }

    fn runs(&self, sql: &str) -> usize {
        let log = self.cluster.log_since(0);
        log.iter().filter(|e| e.sql == sql).count()
    }
}

#[test]
fn a_read_whose_server_is_lost_runs_elsewhere() {
    let place = Place::new("readings");
    let mut c = place.client();
    let mut admin = super::admin(&place.proxy);
    let sql = "select n from readings where id = 1 /* again */";
    place.lose(sql);
    assert_eq!(c.cell(sql).as_deref(), Ok("0"));
    assert_eq!(place.runs(sql), 2);
    assert_eq!(counter(&mut admin, "request_retried"), 1);
    Place::has_all(&mut c, "behind a read");
    // One that locks, or calls what may write, does not.
    for sql in [
        "select n from readings where id = 1 for update",
        "select unknown_function(n) from readings",
    ] {
        let text = place.lost(&mut c, sql);
        assert!(text.ends_with("[unknown]"), "{sql}: {text}");
        assert_eq!(place.runs(sql), 1, "{sql}");
        Place::has_all(&mut c, sql);
    }
}

#[test]
fn a_read_that_is_lost_everywhere_is_told() {
    let place = Place::new("nowhere");
    let mut c = place.client();
    let sql = "select n, 'nowhere' from nowhere where id = 1";
    let fault = Fault::new(FaultKind::ResetAfterBytes(0));
    place.cluster.fault(fault.sql(sql));
    c.query(sql).expect("sent");
    let (code, text) = c.receive().error().expect("an error");
    assert!(matches!(code, 10013 | 10014), "{code} {text}");
    assert!(text.ends_with(']'), "{text}");
    assert_eq!(place.runs(sql), 3, "not for ever");
    Place::has_all(&mut c, "behind it");
}

#[test]
fn a_write_runs_once_and_its_outcome_is_unknown() {
    let place = Place::new("writes");
    let mut c = place.client();
    let sql = "update writes set n = n + 1 where id = 1";
    let text = place.lost(&mut c, sql);
    assert!(text.ends_with("[unknown]"), "{text}");
    assert_eq!(place.runs(sql), 1);
    assert_eq!(place.number(1), "1", "it has run, once");
    Place::has_all(&mut c, "behind a write");
    // The same in a reply that has begun: its packets are told from an error.
    let sql = "select id, 'begun' from writes order by id";
    let fault = Fault::new(FaultKind::ResetAfterBytes(120));
    place.cluster.fault(fault.sql(sql).times(1));
    c.query(sql).expect("sent");
    loop {
        match c.receive() {
            // It was cut inside a packet.
            Got::Closed | Got::Torn(_) => break,
            got => {
                let Some((code, text)) = got.error() else {
                    continue;
                };
                assert!(matches!(code, 10014 | 10016), "{code} {text}");
                assert!(text.ends_with("[unknown]"), "{text}");
                Place::has_all(&mut c, "behind half a reply");
                break;
            }
        }
    }
}

#[test]
fn a_statement_of_a_transaction_is_rolled_back_with_it() {
    let place = Place::new("transactions");
    let mut c = place.client();
    for (begin, autocommit) in [("begin", "1"), ("set autocommit = 0", "0")] {
        c.run(begin).expect("begun");
        c.run("update transactions set n = 7 where id = 1")
            .expect("an update");
        let text = place.lost(&mut c, "update transactions set n = 8 where id = 2");
        assert!(text.ends_with("[rolled back]"), "{begin}: {text}");
        // It must not believe that it has committed.
        let told = c.run("commit").expect_err("there is no transaction");
        assert!(told.ends_with("[rolled back]"), "{begin}: {told}");
        c.run("commit").expect("it knows");
        let both = (place.number(1), place.number(2));
        assert_eq!(both, ("0".into(), "0".into()), "{begin}");
        Place::has_all(&mut c, begin);
        assert_eq!(c.cell("select @@autocommit").as_deref(), Ok(autocommit));
        // The next transaction is a whole one.
        c.run("begin").expect("begun");
        c.run("update transactions set n = 9 where id = 2")
            .expect("an update");
        c.run("rollback").expect("rolled back");
        assert_eq!(place.number(2), "0");
    }
}

#[test]
fn a_prepared_commit_is_no_ok_for_what_is_lost_either() {
    let place = Place::new("prepared_commits");
    let mut c = place.client();
    c.send(b"\x16commit", 0).expect("sent");
    let got = c.receive();
    let head = &got.packet().expect("prepared").payload;
    let commit = [&[0x17], &head[1..5], &[0, 1, 0, 0, 0]].concat();
    let commits = |c: &mut Conn| {
        c.send(&commit, 0).expect("sent");
        let got = c.receive();
        got.error().map(|(_, text)| text)
    };
    c.run("begin").expect("begun");
    let sql = "update prepared_commits set n = 7 where id = 1";
    c.run("update prepared_commits set n = 6 where id = 1")
        .expect("an update");
    let text = place.lost(&mut c, sql);
    assert!(text.ends_with("[rolled back]"), "{text}");
    let told = commits(&mut c).expect("there is no transaction");
    assert!(told.ends_with("[rolled back]"), "{told}");
    assert_eq!(commits(&mut c), None, "it knows");
    assert_eq!(place.number(1), "0");
}

#[test]
fn nobody_knows_what_became_of_a_commit() {
    let place = Place::new("commits");
    let mut c = place.client();
    c.run("begin").expect("begun");
    c.run("update commits set n = 1 where id = 1")
        .expect("an update");
    let text = place.lost(&mut c, "commit");
    assert!(text.ends_with("[unknown]"), "{text}");
    assert_eq!(place.number(1), "1", "this one has come about");
    let told = c.run("commit").expect_err("nobody knows");
    assert!(told.ends_with("[unknown]"), "{told}");
    Place::has_all(&mut c, "behind a commit");
}

#[test]
fn a_transaction_that_is_lost_while_idle_is_told_with_the_next_statement() {
    let place = Place::new("idle");
    let mut c = place.client();
    c.run("begin").expect("begun");
    c.run("update idle set n = 1 where id = 1")
        .expect("an update");
    let is_it = |link: &LinkInfo| link.tenant == "test";
    assert!(place.cluster.cut_links(is_it) > 0);
    c.query("update idle set n = 2 where id = 2").expect("sent");
    let (code, text) = c.receive().error().expect("an error");
    assert_eq!(code, 10014, "{text}");
    let is_told = text.contains("transaction is rolled back") && text.ends_with("[not run]");
    assert!(is_told, "{text}");
    assert_eq!((place.number(1), place.number(2)), ("0".into(), "0".into()));
    Place::has_all(&mut c, "behind it");
}

#[test]
fn a_session_that_has_lost_more_than_a_transaction_is_over() {
    let place = Place::new("locks");
    let mut c = place.client();
    assert_eq!(c.cell("select get_lock('outcome', 1)").as_deref(), Ok("1"));
    let text = place.lost(&mut c, "update locks set n = 1 where id = 1");
    assert!(text.ends_with("[unknown]"), "{text}");
    assert!(matches!(c.receive(), Got::Closed));
}

#[test]
fn a_statement_without_an_answer_is_given_up() {
    let place = Place::new("slow");
    let mut c = place.client();
    c.run("set ob_query_timeout = 200000").expect("an OK");
    let slow = "update slow set n = n + 1 where id = 1";
    let hinted = "select /*+ query_timeout(100000) */ n from slow where id = 2";
    for (sql, within) in [(slow, 1_200), (hinted, 1_100)] {
        let fault = Fault::new(FaultKind::ReplyDelayUs(20_000_000));
        place.cluster.fault(fault.sql(sql).times(1));
        let watch = Watch::start();
        c.query(sql).expect("sent");
        let (code, text) = c.receive().error().expect("an error");
        assert_eq!(code, 10015, "{sql}: {text}");
        assert!(text.ends_with("[unknown]"), "{sql}: {text}");
        let took = watch.elapsed().as_millis();
        assert!(took >= within && took < 10_000, "{sql}: {took} ms");
        assert_eq!(place.runs(sql), 1, "{sql}");
        Place::has_all(&mut c, sql);
    }
}

#[test]
fn a_client_that_leaves_takes_its_statement_along() {
    let place = Place::new("gone");
    let mut c = place.client();
    c.query("select sleep(60), 'left behind'").expect("sent");
    let mut other = client(&place.proxy);
    let mut is_running = || {
        let list = other.rows("show full processlist").expect("a list");
        let mut texts = list.iter().flatten().flatten();
        texts.any(|text| text.contains("left behind"))
    };
    until("the statement", || is_running().then_some(()));
    drop(c);
    until("its end", || (!is_running()).then_some(()));
}

#[test]
fn a_server_that_fails_too_often_gets_no_new_work_for_a_while() {
    let cluster = cluster(Topology::default());
    let options = options(&cluster)
        .set("work_thread_num", 1)
        .set("congestion_failure_threshold", 2)
        .set("congestion_retry_interval", "2s");
    let proxy = start(&options);
    let attempts = || {
        let log = cluster.log_since(0);
        let is_it = |e: &&Entry| e.kind == Kind::Login && e.server_id == 2 && e.user == "root";
        log.iter().filter(is_it).count()
    };
    let tried = |clients: usize| {
        let before = attempts();
        for n in 0..clients {
            let sql = format!("select 'client {n}'");
            assert_eq!(client(&proxy).cell(&sql), Ok(format!("client {n}")));
        }
        attempts() - before
    };
    assert_eq!(tried(9), 3, "sessions are spread");
    let fault = Fault::new(FaultKind::LoginError(8001)).on(2);
    cluster.fault(fault);
    assert_eq!(tried(12), 2, "as many as are too many");
    let mut admin = super::admin(&proxy);
    let blocked = admin.rows("show proxycongestion").expect("a list");
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    let address = cluster.address(2).expect("an address").to_string();
    let shown = [&blocked[0][4], &blocked[0][7], &blocked[0][20]].map(Clone::clone);
    assert_eq!(shown, [address, "1".into(), "GRAY".into()].map(Some));
    assert_eq!(
        admin
            .rows("show proxycongestion all")
            .expect("a list")
            .len(),
        3
    );
    cluster.clear_faults();
    until("work for it again", || (tried(3) > 0).then_some(()));
    assert_eq!(counter(&mut admin, "server_blocked"), 1);
}

#[test]
fn a_server_that_one_core_blocks_is_avoided_by_all() {
    let cluster = cluster(Topology::default());
    let options = options(&cluster)
        .set("work_thread_num", 4)
        .set("congestion_failure_threshold", 1)
        .set("server_login_timeout", "500ms");
    let proxy = start(&options);
    let mut admin = super::admin(&proxy);
    cluster.change(&Change::Blackhole(2)).expect("a fault");
    until("a core that blocks it", || {
        assert_eq!(client(&proxy).cell("select 7"), Ok("7".into()));
        (counter(&mut admin, "server_blocked") > 0).then_some(())
    });
    let address = cluster.address(2).expect("an address").to_string();
    until("all cores", || {
        let blocked = admin.rows("show proxycongestion").expect("a list");
        let own = blocked.iter().find(|row| row[4] == Some(address.clone()))?;
        (own[20..22] == ["BLACK", "4"].map(|text| Some(text.to_owned()))).then_some(())
    });
    cluster.change(&Change::Resume(2)).expect("an end");
    until("no core", || {
        let blocked = admin.rows("show proxycongestion").expect("a list");
        blocked.is_empty().then_some(())
    });
}
