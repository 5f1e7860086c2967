//! Servers that come and go.

use super::{ROUND, binary, client, cluster, counter, options, server_of, start, until};
use bench_harness::process::Options;
use bench_harness::raw::{Conn, Got};
use obcluster::{Change, Topology};
use std::collections::BTreeSet;

#[test]
fn a_server_that_is_added_is_used_within_a_round() {
    let cluster = cluster(Topology::default());
    let proxy = start(&options(&cluster));
    let mut first = client(&proxy);
    assert_eq!(first.cell("select 'before'"), Ok("before".into()));
    let (number, address) = cluster.add_server("z1").expect("a server");
    let servers = vec![1, 2, 3, number];
    let change = Change::MoveTenant {
        tenant: "test".into(),
        servers,
        finished: true,
    };
    cluster.change(&change).expect("a change");
    let mut admin = super::admin(&proxy);
    until("the new server in the list", || {
        let rows = admin.rows("show proxycluster").expect("rows");
        rows.iter()
            .any(|r| r[3].as_deref() == Some(&address.to_string()))
            .then_some(())
    });
    // Sessions are spread over all servers by their number.
    let mut n = 0;
    until("a session on the new server", || {
        n += 1;
        let sql = format!("select 'new {n}'");
        client(&proxy).cell(&sql).expect("a row");
        (server_of(&cluster, &sql) == number).then_some(())
    });
}

#[test]
fn a_server_that_is_stopped_and_removed_is_left_without_a_word() {
    let cluster = cluster(Topology::default());
    let proxy = start(&options(&cluster));
    let mut clients: Vec<Conn> = (0..30).map(|_| client(&proxy)).collect();
    let run = |clients: &mut Vec<Conn>, round: &str| -> Vec<u32> {
        let mut servers = vec![];
        for (n, c) in clients.iter_mut().enumerate() {
            let sql = format!("select '{round} {n}'");
            assert_eq!(c.cell(&sql), Ok(format!("{round} {n}")));
            servers.push(server_of(&cluster, &sql));
        }
        servers
    };
    let before = run(&mut clients, "before");
    let all: BTreeSet<u32> = before.iter().copied().collect();
    assert_eq!(all, [1, 2, 3].into(), "sessions are spread");
    // One of them has left something on the server.
    let stateful = before
        .iter()
        .position(|s| *s == 2)
        .expect("one on server 2");
    let mut stateful = clients.remove(stateful);
    stateful.run("set @a = 1").expect("an OK");
    let stop = Change::Stop {
        server: 2,
        shutdown: false,
    };
    cluster.change(&stop).expect("a stop");
    let mut admin = super::admin(&proxy);
    until("the stop in the list", || {
        let rows = admin.rows("show proxycluster").expect("rows");
        rows.iter()
            .any(|r| r[10].as_deref() == Some("UPGRADE"))
            .then_some(())
    });
    super::until_all_cores_agree(&mut admin, None);
    let after = run(&mut clients, "after");
    assert!(after.iter().all(|s| *s != 2), "{after:?}");
    assert!(counter(&mut admin, "session_moved") > 0);
    for _ in 0..9 {
        let mut c = client(&proxy);
        let sql = format!("select 'new {}'", counter(&mut admin, "client_logged_in"));
        c.cell(&sql).expect("a row");
        assert_ne!(server_of(&cluster, &sql), 2);
    }
    // It still answers those who need it.
    assert_eq!(stateful.cell("select @a"), Ok("1".into()));
    cluster.change(&Change::Remove(2)).expect("a removal");
    let gone = run(&mut clients, "gone");
    assert!(gone.iter().all(|s| *s != 2), "{gone:?}");
    let _ = stateful.query("select @a");
    let Got::Packet { .. } = stateful.receive() else {
        panic!("a close without a word");
    };
}

#[test]
fn idle_sessions_do_not_notice_that_their_server_dies() {
    let cluster = cluster(Topology::default());
    let proxy = start(&options(&cluster));
    let mut clients: Vec<Conn> = (0..12).map(|_| client(&proxy)).collect();
    for (n, c) in clients.iter_mut().enumerate() {
        c.run("use test").expect("an OK");
        c.cell(&format!("select {n}")).expect("a row");
    }
    let mut admin = super::admin(&proxy);
    cluster.change(&Change::Kill(3)).expect("a death");
    for (n, c) in clients.iter_mut().enumerate() {
        // The database is no state that ties: it is told at the login.
        assert_eq!(c.cell("select database()"), Ok("test".into()), "client {n}");
    }
    assert!(counter(&mut admin, "session_moved") > 0);
    // What only the connection before knew cannot be asked for any more.
    let mut c = loop {
        let mut c = client(&proxy);
        let sql = format!("select 'find {}'", counter(&mut admin, "client_logged_in"));
        c.cell(&sql).expect("a row");
        if server_of(&cluster, &sql) == 1 {
            break c;
        }
    };
    cluster.change(&Change::Kill(1)).expect("a death");
    c.query("show warnings").expect("sent");
    let (code, text) = c.receive().error().expect("an error");
    assert_eq!(code, 10014, "{text}");
    assert!(text.ends_with("[not run]"), "{text}");
    assert_eq!(
        c.cell("select 'on'"),
        Ok("on".into()),
        "the session goes on"
    );
}

#[test]
fn a_start_up_list_may_be_partly_dead_or_incomplete() {
    let cluster = cluster(Topology::default());
    let dead = "127.0.0.1:1".parse().expect("an address");
    let live = cluster.address(2).expect("server 2");
    let options = Options::new(binary(), &[dead, live])
        .set("obproxy_sys_password", "")
        .set("server_state_refresh_interval", ROUND);
    let proxy = start(&options);
    let mut seen = BTreeSet::new();
    for n in 0..12 {
        let sql = format!("select 'partly {n}'");
        client(&proxy).cell(&sql).expect("a row");
        seen.insert(server_of(&cluster, &sql));
    }
    assert_eq!(seen, [1, 2, 3].into());
}
