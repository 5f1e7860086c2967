//! What one kernel cannot show, on engine `builtin`: statements of one transaction on several
//! servers, temporary tables, XA.

use super::{Ruled, builtin, client};
use bench_harness::process::Obring;
use bench_harness::raw::Conn;
use obcluster::builtin::{InternalRouting, Layout};
use obcluster::{Entry, Fault, FaultKind, LinkInfo, Role};

/// Rows of `kv`, in all of its leaves and so on every server.
const ROWS: i64 = 24;

struct Place {
    cluster: Ruled,
    proxy: Obring,
}

impl Place {
    fn new(internal_routing: InternalRouting, settings: &[(&str, &str)]) -> Self {
        let layout = Layout {
            kv_rows: (0..ROWS).map(|id| (id, "old".into())).collect(),
            internal_routing,
            ..Layout::default()
        };
        let (cluster, proxy) = builtin(layout, settings);
        let place = Self { cluster, proxy };
        // The table is known before anything is judged by where it runs.
        let mut c = place.client();
        for id in 0..ROWS {
            c.cell(&format!("select v from kv where id = {id}"))
                .expect("a row");
        }
        place
    }

    fn client(&self) -> Conn {
        let mut c = client(&self.proxy);
        c.run("use test").expect("used");
        c
    }

    /// The requests with this text since an entry of the log.
    fn ran(&self, since: u64, sql: &str) -> Vec<Entry> {
        let log = self.cluster.log_since(since);
        log.into_iter().filter(|e| e.sql.contains(sql)).collect()
    }

    /// Changes every row within a transaction that was begun, and reads some of them.
    fn change_all(c: &mut Conn, to: &str) {
        for id in 0..ROWS {
            c.run(&format!("update kv set v = '{to}' where id = {id}"))
                .expect("an update");
            if id % 5 == 0 {
                let read = c.cell(&format!("select v from kv where id = {id}"));
                assert_eq!(read.as_deref(), Ok(to), "its own change of {id}");
            }
        }
    }

    /// Changes every row in one transaction. The entry of the log that it begins with.
    fn commit_all(&self) -> u64 {
        let since = self.cluster.log_next();
        let mut c = self.client();
        c.run("begin").expect("begun");
        Self::change_all(&mut c, "new");
        c.run("commit").expect("a commit");
        assert_eq!(self.rows_that_are("new"), ROWS as usize);
        since
    }

    fn rows_that_are(&self, value: &str) -> usize {
        let mut c = self.client();
        let is = |id: &i64| {
            let read = c.cell(&format!("select v from kv where id = {id}"));
            read.expect("a row") == value
        };
        (0..ROWS).filter(is).count()
    }
}

fn servers(entries: &[Entry]) -> Vec<u32> {
    let mut servers: Vec<u32> = entries.iter().map(|e| e.server_id).collect();
    servers.sort_unstable();
    servers.dedup();
    servers
}

/// How a transaction is begun.
const BEGINNINGS: &[&str] = &["begin", "start transaction", "set autocommit = 0"];

#[test]
fn statements_of_a_transaction_run_where_their_rows_are() {
    let place = Place::new(InternalRouting::On, &[]);
    for (begin, end) in BEGINNINGS.iter().zip(["rollback", "commit", "rollback"]) {
        let since = place.cluster.log_next();
        let before = place.rows_that_are("old");
        let mut c = place.client();
        c.run(begin).expect("begun");
        Place::change_all(&mut c, begin);
        // Nobody else sees it yet.
        assert_eq!(place.rows_that_are("old"), before, "{begin}");
        c.run(end).expect(end);
        let left = if end == "commit" { 0 } else { before };
        assert_eq!(place.rows_that_are("old"), left, "{end}");
        let updates = place.ran(since, "update kv");
        assert_eq!(updates.len(), ROWS as usize, "each ran once");
        assert!(
            updates
                .iter()
                .all(|e| e.errno == 0 && e.role_here == Role::Leader)
        );
        assert_eq!(servers(&updates), [1, 2, 3], "{begin}");
        let ends = place.ran(since, end);
        assert_eq!(
            ends[0].server_id, updates[0].server_id,
            "the coordinator ends it"
        );
    }
}

#[test]
fn a_transaction_that_loses_one_of_its_servers_is_rolled_back() {
    let place = Place::new(InternalRouting::On, &[]);
    let begun = |to: &str| {
        let since = place.cluster.log_next();
        let mut c = place.client();
        c.run("begin").expect("begun");
        Place::change_all(&mut c, to);
        (c, place.ran(since, "update kv")[0].server_id)
    };
    let goes_on = |c: &mut Conn, to: &str| {
        assert_eq!(
            place.rows_that_are("old"),
            ROWS as usize,
            "{to}: rolled back"
        );
        c.run("begin").expect("the session goes on");
        Place::change_all(c, to);
        c.run("rollback").expect("rolled back");
    };
    // Its coordinator, while it is idle.
    let (mut c, coordinator) = begun("idle");
    let is_it = |link: &LinkInfo| link.tenant == "test" && link.server == coordinator;
    assert!(place.cluster.cut_links(is_it) > 0);
    c.query("update kv set v = 'idle' where id = 1")
        .expect("sent");
    let (_, text) = c.receive().error().expect("an error");
    let is_told = text.contains("transaction is rolled back") && text.ends_with("[not run]");
    assert!(is_told, "{text}");
    goes_on(&mut c, "idle");
    // Any of them, in a statement.
    for id in 0..ROWS {
        let (mut c, _) = begun("busy");
        let sql = format!("update kv set v = 'lost' where id = {id}");
        let fault = Fault::new(FaultKind::ResetAfterBytes(0));
        place.cluster.fault(fault.sql(&sql).times(1));
        c.query(&sql).expect("sent");
        let (_, text) = c.receive().error().expect("an error");
        assert!(text.ends_with("[rolled back]"), "{id}: {text}");
        goes_on(&mut c, "busy");
    }
}

#[test]
fn prepared_statements_and_savepoints_are_part_of_a_transaction() {
    let place = Place::new(InternalRouting::On, &[]);
    let mut c = place.client();
    c.run("begin").expect("begun");
    c.run("update kv set v = 'a' where id = 1")
        .expect("an update");
    c.run("savepoint s").expect("a savepoint");
    Place::change_all(&mut c, "b");
    c.run("rollback to savepoint s").expect("back");
    assert_eq!(c.cell("select v from kv where id = 1").as_deref(), Ok("a"));
    assert_eq!(
        c.cell("select v from kv where id = 2").as_deref(),
        Ok("old")
    );
    c.run("update kv set v = 'c' where id = 3")
        .expect("an update");
    c.run("commit").expect("a commit");
    assert_eq!(place.rows_that_are("old"), ROWS as usize - 2);
    // The links of the transaction are as good as before.
    Place::change_all(&mut c, "d");
    assert_eq!(place.rows_that_are("d"), ROWS as usize);
}

#[test]
fn a_server_that_refuses_sends_a_transaction_back() {
    let place = Place::new(InternalRouting::Refuse, &[]);
    let since = place.commit_all();
    let refused = place
        .ran(since, "")
        .iter()
        .filter(|e| e.errno == 6279)
        .count();
    assert_eq!(refused, 1, "it stays with its coordinator then");
    let updates = place.ran(since, "update kv");
    let good: Vec<Entry> = updates.into_iter().filter(|e| e.errno == 0).collect();
    assert_eq!((good.len(), servers(&good).len()), (ROWS as usize, 1));
}

#[test]
fn a_transaction_stays_where_nobody_lets_it_move() {
    let off = ("enable_transaction_internal_routing", "False");
    for (routing, settings) in [
        (InternalRouting::Off, &[][..]),
        (InternalRouting::On, &[off]),
        (
            InternalRouting::On,
            &[("server_protocol", "Compressed MySQL")],
        ),
    ] {
        let place = Place::new(routing, settings);
        let since = place.commit_all();
        let updates = place.ran(since, "update kv");
        assert!(updates.iter().all(|e| e.errno == 0));
        assert_eq!(servers(&updates).len(), 1, "{routing:?} {settings:?}");
    }
}

/// What binds a session, why it is then bound, what frees it, and whether its changes stay.
const BINDINGS: &[(&[&str], &str, &[&str], bool)] = &[
    (
        &["create temporary table tt(id int)"],
        "temporary_table",
        &["drop temporary table tt"],
        true,
    ),
    (
        &["xa start 'x'"],
        "coordinator",
        &["xa end 'x'", "xa prepare 'x'", "xa commit 'x'"],
        true,
    ),
    (
        &["xa start 'x'"],
        "coordinator",
        &["xa end 'x'", "xa rollback 'x'"],
        false,
    ),
    (
        &["xa start 'x'"],
        "coordinator",
        &["xa end 'x'", "xa prepare 'x'", "xa rollback 'x'"],
        false,
    ),
];

/// Why a statement would go where it would.
fn reason(c: &mut Conn, id: i64) -> String {
    let sql = format!("explain route format=json select v from kv where id = {id}");
    let json = c.cell(&sql).expect("a document");
    let behind = json
        .split("\"reason\": \"")
        .nth(1)
        .unwrap_or_else(|| panic!("{json}"));
    behind.split('"').next().unwrap_or_default().to_owned()
}

/// Decisions for reasons that only what binds a session has.
fn bound(admin: &mut Conn) -> u64 {
    let reasons = ["temporary_table", "session_state", "coordinator"];
    let made = |name: &&str| super::counter(admin, &format!("route_{name}"));
    reasons.iter().map(made).sum()
}

#[test]
fn a_temporary_table_and_xa_bind_the_session() {
    let place = Place::new(InternalRouting::On, &[]);
    let mut admin = super::admin(&place.proxy);
    for (bind, why, free, is_kept) in BINDINGS {
        let mut c = place.client();
        Place::change_all(&mut c, "before");
        for statement in *bind {
            c.run(statement).expect(statement);
        }
        let since = place.cluster.log_next();
        Place::change_all(&mut c, "bound");
        assert!((0..ROWS).all(|id| reason(&mut c, id) == *why), "{bind:?}");
        for statement in *free {
            assert_ne!(reason(&mut c, 1), "leader", "before {statement}");
            c.run(statement).expect(statement);
        }
        let all = place.ran(since, "kv");
        assert!(all.iter().all(|e| e.errno == 0), "{bind:?}");
        assert_eq!(servers(&all).len(), 1, "{bind:?}");
        let value = if *is_kept { "bound" } else { "before" };
        assert_eq!(place.rows_that_are(value), ROWS as usize, "{free:?}");
        // From now on its statements go to their leaders again.
        let (since, made) = (place.cluster.log_next(), bound(&mut admin));
        Place::change_all(&mut c, "free");
        assert!(
            (0..ROWS).all(|id| reason(&mut c, id) == "leader"),
            "{free:?}"
        );
        let all = place.ran(since, "kv");
        let wrong = all
            .iter()
            .filter(|e| e.errno != 0 || e.role_here != Role::Leader);
        assert_eq!(wrong.count(), 0, "{free:?}");
        assert_eq!(servers(&all), [1, 2, 3], "{free:?}");
        assert_eq!(bound(&mut admin), made, "{free:?}");
        assert_eq!(place.rows_that_are("free"), ROWS as usize, "{free:?}");
    }
}
