//! Tenants that are on some servers, and move.

use super::{
    Ruled, client, cluster, counter, login, look_ups, options, server_of, start,
    until_all_cores_agree,
};
use bench_harness::raw::{Conn, Login};
use obcluster::{Change, TenantSpec, Topology};

fn tenant(name: &str, servers: &[u32]) -> TenantSpec {
    TenantSpec {
        name: name.into(),
        servers: servers.to_vec(),
    }
}

fn on(servers: &[u32]) -> Ruled {
    cluster(Topology {
        tenants: vec![tenant("test", servers)],
        ..Topology::default()
    })
}

#[test]
fn a_tenant_is_found_where_it_is() {
    let cluster = on(&[3]);
    let proxy = start(&options(&cluster));
    for n in 0..8 {
        let sql = format!("select 'at three {n}'");
        client(&proxy).cell(&sql).expect("a row");
        assert_eq!(server_of(&cluster, &sql), 3);
    }
    assert_eq!(look_ups(&cluster, 0), 1);
    // The sys tenant is on all servers and is not looked up.
    login(&proxy, "root@sys#obcluster")
        .cell("select 1")
        .expect("a row");
    assert_eq!(look_ups(&cluster, 0), 1);
}

#[test]
fn a_tenant_that_moves_takes_its_sessions_along() {
    let cluster = on(&[1]);
    let proxy = start(&options(&cluster));
    let mut admin = super::admin(&proxy);
    let mut clients: Vec<Conn> = (0..40).map(|_| client(&proxy)).collect();
    for c in &mut clients {
        c.cell("select 'before'").expect("a row");
    }
    let since = cluster.log_next();
    let change = Change::MoveTenant {
        tenant: "test".into(),
        servers: vec![2, 3],
        finished: true,
    };
    cluster.change(&change).expect("a move");
    // All at once, on every core.
    for c in &mut clients {
        c.query("select 'after'").expect("sent");
    }
    for c in &mut clients {
        let reply = c.read_rows().expect("a row");
        assert_eq!(reply[0][0].as_deref(), Some("after"));
    }
    assert_eq!(look_ups(&cluster, since), 1, "one look-up for all");
    let log = cluster.log_since(since);
    let ran = log.iter().filter(|e| e.sql == "select 'after'");
    let (good, bad): (Vec<_>, Vec<_>) = ran.partition(|e| e.errno == 0);
    assert_eq!(good.len(), clients.len(), "each has run once");
    assert!(bad.iter().all(|e| e.errno == 5150 && e.server_id == 1));
    assert!(good.iter().all(|e| e.server_id != 1));
    until_all_cores_agree(&mut admin, Some("test"));
    assert!(counter(&mut admin, "request_retried") > 0);
    assert!(counter(&mut admin, "tenant_not_in_server") > 0);
}

#[test]
fn a_login_finds_a_tenant_that_has_moved() {
    let cluster = on(&[1]);
    let proxy = start(&options(&cluster));
    client(&proxy).cell("select 1").expect("a row");
    let since = cluster.log_next();
    let change = Change::MoveTenant {
        tenant: "test".into(),
        servers: vec![3],
        finished: true,
    };
    cluster.change(&change).expect("a move");
    client(&proxy).cell("select 'moved'").expect("a row");
    assert_eq!(server_of(&cluster, "select 'moved'"), 3);
    assert_eq!(look_ups(&cluster, since), 1);
}

#[test]
fn two_hundred_logins_to_a_new_tenant_are_one_look_up() {
    let cluster = cluster(Topology {
        tenants: vec![tenant("test", &[]), tenant("fresh", &[2])],
        ..Topology::default()
    });
    let proxy = start(&options(&cluster));
    let since = cluster.log_next();
    let user = Login::user("root@fresh#obcluster", "");
    // All logins are sent before the first answer is read.
    let mut waiting: Vec<Conn> = (0..200)
        .map(|_| Conn::open(proxy.address()).expect("a connection"))
        .collect();
    for c in &mut waiting {
        let greeting = c.greeting().expect("a greeting");
        c.send(&user.payload(&greeting.scramble), 1).expect("sent");
    }
    for c in &mut waiting {
        let got = c.receive();
        assert!(got.is_ok(), "{got:?}");
    }
    assert_eq!(look_ups(&cluster, since), 1);
}

#[test]
fn a_tenant_that_is_not_there_is_asked_for_once() {
    let cluster = cluster(Topology::default());
    let proxy = start(&options(&cluster));
    let since = cluster.log_next();
    let refused = |user: &str| {
        let refused = Conn::login(proxy.address(), &Login::user(user, ""));
        refused.expect_err("no such tenant")
    };
    for _ in 0..10 {
        let text = refused("root@nobody#obcluster");
        // What a server says; the cause is in the log and in the list.
        assert!(text.contains("1045") && !text.contains("nobody"), "{text}");
    }
    assert_eq!(look_ups(&cluster, since), 1);
    let mut admin = super::admin(&proxy);
    let rows = admin.rows("show proxyresource tenant").expect("rows");
    assert_eq!(rows[0][1].as_deref(), Some("nobody"));
    assert_eq!(rows[0][3].as_deref(), Some("ABSENT"));
    let is_told = |line: &String| line.contains("login_denied") && line.contains("no such tenant");
    assert!(proxy.log().iter().any(is_told));
    // A name with quotes is a name.
    let text = refused("root@a'b\\c' or '1'='1#obcluster");
    assert!(text.contains("1045"), "{text}");
    // One that is made now is there when it was forgotten that it is not.
    let change = Change::AddTenant {
        tenant: "nobody".into(),
        servers: vec![1],
    };
    cluster.change(&change).expect("a new tenant");
    super::until("the new tenant", || {
        let user = Login::user("root@nobody#obcluster", "");
        Conn::login(proxy.address(), &user).ok()
    });
}
