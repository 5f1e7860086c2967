//! Servers that name a better one, on engine `builtin`: one kernel has nobody to name.

use super::routing::{execute, prepare};
use super::{Ruled, admin, builtin, client, counter, server_of, until};
use bench_harness::process::Obring;
use bench_harness::raw::Conn;
use obcluster::builtin::Layout;
use obcluster::{Change, Entry, Role};

/// Rows of `kv`, in all of its leaves and so on every server.
const ROWS: i64 = 24;

struct Place {
    cluster: Ruled,
    proxy: Obring,
}

impl Place {
    fn new(settings: &[(&str, &str)]) -> Self {
        let layout = Layout {
            kv_rows: (0..ROWS).map(|id| (id, "old".into())).collect(),
            ..Layout::default()
        };
        let (cluster, proxy) = builtin(layout, settings);
        Self { cluster, proxy }
    }

    fn client(&self) -> Conn {
        let mut c = client(&self.proxy);
        c.run("use test").expect("used");
        c
    }

    /// A client whose core knows where the rows are, all of which then move to another server.
    fn moved(&self) -> Conn {
        let mut c = self.client();
        for id in 0..ROWS {
            c.cell(&format!("select v from kv where id = {id}"))
                .expect("a row");
        }
        let tenant = self
            .cluster
            .state()
            .tenant("test")
            .cloned()
            .expect("the tenant");
        for stream in &tenant.streams {
            let leader = stream.leader().expect("a leader");
            let change = Change::Lead {
                tenant: tenant.name.clone(),
                stream: stream.id,
                server: Some(leader % 3 + 1),
            };
            self.cluster.change(&change).expect("a move");
        }
        c
    }

    /// The tenant's requests of one command since an entry of the log.
    fn ran(&self, since: u64, command: &str) -> Vec<Entry> {
        let log = self.cluster.log_since(since);
        let is = |e: &Entry| e.cmd == command && e.tenant == "test";
        log.into_iter().filter(is).collect()
    }

    /// Requests with this text that servers have refused since an entry of the log.
    fn refused(&self, since: u64, sql: &str) -> Vec<Entry> {
        let log = self.cluster.log_since(since);
        log.into_iter()
            .filter(|e| e.sql.contains(sql) && e.errno == 5727)
            .collect()
    }
}

#[test]
fn a_statement_runs_on_the_server_that_is_named() {
    let place = Place::new(&[("enable_reroute", "True")]);
    let mut c = place.moved();
    let since = place.cluster.log_next();
    let mut refused = 0;
    for id in 0..ROWS {
        let sql = format!("update kv set v = 'new {id}' where id = {id}");
        assert_eq!(c.run(&sql), Ok(()), "{sql}");
        let by = place.refused(since, &sql);
        assert!(by.len() <= 1, "{sql}: {by:#?}");
        let ran = server_of(&place.cluster, &sql);
        assert!(by.iter().all(|e| e.server_id != ran), "{sql}");
        refused += by.len() as u64;
    }
    assert!(refused > 0, "nothing was where it was thought to be");
    let mut admin = admin(&place.proxy);
    assert_eq!(counter(&mut admin, "request_rerouted"), refused);
    assert_eq!(counter(&mut admin, "request_retried"), refused);
    // What a server says is believed: it is looked up where the rows are.
    until("all rows to be read where they are", || {
        let since = place.cluster.log_next();
        for id in 0..ROWS {
            let read = c.cell(&format!("select v from kv where id = {id}"));
            assert_eq!(read, Ok(format!("new {id}")));
        }
        let reads = place.ran(since, "query");
        let is_right = |e: &Entry| e.errno == 0 && e.role_here == Role::Leader;
        reads.iter().all(is_right).then_some(())
    });
}

#[test]
fn prepared_statements_are_sent_on_with_their_parameters() {
    let place = Place::new(&[("enable_reroute", "True")]);
    let mut c = place.moved();
    let since = place.cluster.log_next();
    let update = prepare(&mut c, "update kv set v = 'by id' where id = ?", 0);
    for id in 0..ROWS {
        execute(&mut c, update, id as i32, false);
    }
    let executes = place.ran(since, "stmt_execute");
    let refused = executes.iter().filter(|e| e.errno == 5727).count();
    assert!(refused > 0, "nothing was where it was thought to be");
    assert_eq!(executes.len(), refused + ROWS as usize, "{executes:#?}");
    for id in 0..ROWS {
        let read = c.cell(&format!("select v from kv where id = {id}"));
        assert_eq!(read.as_deref(), Ok("by id"));
    }
}

#[test]
fn nobody_is_sent_on_who_has_not_asked_for_it() {
    for settings in [
        &[][..],
        &[
            ("enable_reroute", "True"),
            ("server_protocol", "Compressed MySQL"),
        ],
    ] {
        let place = Place::new(settings);
        let mut c = place.moved();
        let since = place.cluster.log_next();
        for id in 0..ROWS {
            let sql = format!("update kv set v = 'new' where id = {id}");
            assert_eq!(c.run(&sql), Ok(()), "{sql}");
        }
        assert_eq!(place.refused(since, "").len(), 0, "{settings:?}");
    }
    // A transaction stays where it was begun.
    let place = Place::new(&[
        ("enable_reroute", "True"),
        ("enable_transaction_internal_routing", "False"),
    ]);
    let mut c = place.moved();
    let since = place.cluster.log_next();
    c.run("begin").expect("begun");
    for id in 0..ROWS {
        c.run(&format!("update kv set v = 'new' where id = {id}"))
            .expect("an update");
    }
    c.run("commit").expect("a commit");
    assert_eq!(place.refused(since, "").len(), 0);
}
