//! KILL and KILL QUERY of sessions of this proxy and of others, who may, and connection ids.

use super::{Ruled, client, cluster, login, options, start, until};
use bench_harness::process::{Obring, kernel};
use bench_harness::raw::{Conn, Got, Login, framed};
use obcluster::Topology;

/// A name in the tenant of tests.
fn named(user: &str) -> String {
    format!("{user}@test#obcluster")
}

fn id(c: &mut Conn) -> String {
    c.cell("select connection_id()").expect("an id")
}

/// Users of the kernel, with what they are granted.
fn users(of: &[(&str, &str)]) {
    let mut direct = Conn::login(kernel(), &Login::default()).expect("a login");
    for (user, grant) in of {
        for sql in [
            format!("drop user if exists {user}"),
            format!("create user {user}"),
            format!("grant {grant} on *.* to {user}"),
        ] {
            direct.run(&sql).expect("an OK");
        }
    }
}

/// Sends a statement that takes long, and waits until a server has begun it.
fn begin_long(c: &mut Conn, sql: &str) {
    c.query(sql).expect("sent");
    let mut direct = Conn::login(kernel(), &Login::default()).expect("a login");
    let count = format!(
        "select count(*) from information_schema.processlist where info = '{}'",
        sql.replace('\'', "''")
    );
    until("the statement", || {
        direct.cell(&count).is_ok_and(|n| n == "1").then_some(())
    });
}

/// The error in place of a result.
fn error(c: &mut Conn) -> (u16, String) {
    for _ in 0..8 {
        if let Some(error) = c.receive().error() {
            return error;
        }
    }
    panic!("no error")
}

fn ends(c: &mut Conn) {
    assert!(matches!(c.receive(), Got::Closed | Got::Reset));
}

/// A place with a session on every server.
struct Place {
    cluster: Ruled,
    proxy: Obring,
}

impl Place {
    fn new() -> Self {
        let cluster = cluster(Topology::default());
        let proxy = start(&options(&cluster).set("server_routing_mode", "random"));
        Self { cluster, proxy }
    }

    /// A session with a connection to each server.
    fn everywhere(&self, user: &str) -> Conn {
        let mut c = login(&self.proxy, &named(user));
        let sql = format!("select 'everywhere {}'", id(&mut c));
        until("a connection to each", || {
            c.cell(&sql).expect("a row");
            let log = self.cluster.log_since(0);
            let on = |server| log.iter().any(|e| e.sql == sql && e.server_id == server);
            (1..=3).all(on).then_some(())
        });
        c
    }
}

#[test]
fn kill_query_ends_the_statement_where_it_runs() {
    let place = Place::new();
    let mut victim = place.everywhere("root");
    victim.run("set @kept = 7").expect("an OK");
    let own = id(&mut victim);
    let mut killer = client(&place.proxy);
    for n in 0..6 {
        let sql = format!("select sleep(50), 'victim {n}'");
        begin_long(&mut victim, &sql);
        killer.run(&format!("kill query {own}")).expect("an OK");
        assert_eq!(error(&mut victim).0, 1317, "{sql}");
        assert_eq!(victim.cell("select @kept").as_deref(), Ok("7"));
        assert_eq!(id(&mut victim), own);
    }
    // With nothing to end it is fine, too.
    killer.run(&format!("kill query {own}")).expect("an OK");
    assert_eq!(victim.cell("select 5").as_deref(), Ok("5"));
}

#[test]
fn a_killer_keeps_its_transaction() {
    let place = Place::new();
    let mut killer = client(&place.proxy);
    for sql in [
        "create database if not exists kills",
        "drop table if exists kills.kept",
        "create table kills.kept(id int primary key)",
        "begin",
        "insert into kills.kept values(1)",
    ] {
        killer.run(sql).expect("an OK");
    }
    let mut victim = place.everywhere("root");
    let own = id(&mut victim);
    begin_long(&mut victim, "select sleep(50), 'beside'");
    killer.run(&format!("kill query {own}")).expect("an OK");
    assert_eq!(error(&mut victim).0, 1317);
    killer
        .run("insert into kills.kept values(2)")
        .expect("an OK");
    killer.run(&format!("kill {own}")).expect("an OK");
    killer.run("commit").expect("an OK");
    let count = client(&place.proxy).cell("select count(*) from kills.kept");
    assert_eq!(count.as_deref(), Ok("2"));
}

#[test]
fn a_killed_session_is_told_and_its_servers_stop() {
    let place = Place::new();
    let by_command = |id: &str| {
        let id = id.parse::<u32>().expect("a number");
        [&[0x0c], &id.to_le_bytes()[..]].concat()
    };
    for n in 0..3 {
        let (mut busy, mut idle) = (place.everywhere("root"), place.everywhere("root"));
        let sql = format!("select sleep(50), 'killed {n}'");
        begin_long(&mut busy, &sql);
        let mut killer = client(&place.proxy);
        let ids = [id(&mut idle), {
            let count = "select id from information_schema.processlist where info =";
            let text = sql.replace('\'', "''");
            killer.cell(&format!("{count} '{text}'")).expect("an id")
        }];
        for own in &ids {
            match n {
                0 => killer.run(&format!("kill {own}")).expect("an OK"),
                1 => killer
                    .run(&format!("KILL CONNECTION {own};"))
                    .expect("an OK"),
                _ => {
                    killer
                        .send_bytes(&framed(&by_command(own), 0))
                        .expect("sent");
                    assert!(killer.receive().is_ok());
                }
            }
        }
        for (c, outcome) in [(&mut idle, ""), (&mut busy, " [unknown]")] {
            let told = error(c);
            assert_eq!(told, (5066, format!("Session interrupted{outcome}")));
            ends(c);
        }
        let mut direct = Conn::login(kernel(), &Login::default()).expect("a login");
        until("the end of the statement", || {
            let rows = direct.rows("show full processlist").expect("rows");
            (!rows.iter().flatten().flatten().any(|cell| *cell == sql)).then_some(())
        });
        for own in &ids {
            let told = killer.run(&format!("kill {own}")).expect_err("gone");
            assert!(told.contains("1094") && told.contains(own), "{told}");
        }
        killer.cell("select 1").expect("a row");
    }
}

#[test]
fn a_transaction_goes_with_its_session() {
    let place = Place::new();
    let mut victim = client(&place.proxy);
    for sql in [
        "create database if not exists kills",
        "drop table if exists kills.gone",
        "create table kills.gone(id int primary key)",
        "begin",
        "insert into kills.gone values(1)",
    ] {
        victim.run(sql).expect("an OK");
    }
    let own = id(&mut victim);
    let mut killer = client(&place.proxy);
    killer.run(&format!("kill {own}")).expect("an OK");
    let told = error(&mut victim);
    let text = "Session interrupted; the open transaction is rolled back";
    assert_eq!(told, (5066, text.into()));
    let count = "select count(*) from kills.gone";
    assert_eq!(killer.cell(count).as_deref(), Ok("0"));
}

#[test]
fn who_may_kill() {
    users(&[
        ("kills_super", "super"),
        ("kills_a", "select"),
        ("kills_b", "select"),
    ]);
    let place = Place::new();
    let mut victim = place.everywhere("kills_a");
    let own = id(&mut victim);
    let mut stranger = login(&place.proxy, &named("kills_b"));
    for sql in [format!("kill {own}"), format!("kill query {own}")] {
        let told = stranger.run(&sql).expect_err("not the owner");
        let text = format!("You are not owner of thread {own}");
        assert!(told.contains("1095") && told.contains(&text), "{told}");
    }
    // Not even while something runs.
    for (n, user) in ["kills_a@test", "kills_super@test", "root@test", "root@sys"]
        .into_iter()
        .enumerate()
    {
        let sql = format!("select sleep(50), 'whose {n}'");
        begin_long(&mut victim, &sql);
        let told = stranger.run(&format!("kill query {own}"));
        assert!(told.expect_err("not the owner").contains("1095"));
        let mut killer = login(&place.proxy, &format!("{user}#obcluster"));
        killer.run(&format!("kill query {own}")).expect(user);
        assert_eq!(error(&mut victim).0, 1317, "{user}");
    }
    // Who is of another tenant does not even learn that there is such a session.
    let added = obcluster::Change::AddTenant {
        tenant: "other".into(),
        servers: vec![1, 2, 3],
    };
    place.cluster.change(&added).expect("a tenant");
    let mut outsider = login(&place.proxy, "kills_super@other#obcluster");
    let told = outsider
        .run(&format!("kill {own}"))
        .expect_err("another tenant");
    assert!(told.contains("1094"), "{told}");
    for user in ["kills_a@test", "kills_super@test", "root@sys"] {
        let mut victim = login(&place.proxy, &named("kills_a"));
        let own = id(&mut victim);
        let mut killer = login(&place.proxy, &format!("{user}#obcluster"));
        killer.run(&format!("kill {own}")).expect(user);
        assert_eq!(error(&mut victim).0, 5066, "{user}");
    }
    assert_eq!(victim.cell("select 5").as_deref(), Ok("5"));
}

#[test]
fn one_may_kill_oneself() {
    let place = Place::new();
    let mut c = place.everywhere("root");
    let own = id(&mut c);
    c.run(&format!("kill query {own}")).expect("an OK");
    assert_eq!(c.cell("select 5").as_deref(), Ok("5"));
    c.query(&format!("kill {own}")).expect("sent");
    let text = "Query execution was interrupted";
    assert_eq!(error(&mut c), (1317, text.into()));
    ends(&mut c);
}

#[test]
fn ids_of_nobody_are_told() {
    let place = Place::new();
    let mut c = client(&place.proxy);
    let own = id(&mut c).parse::<u32>().expect("a number");
    // Of this proxy, of another, of a server, of a direct client.
    for id in [own ^ 0x4000, own ^ 0x4000_0000, own | 0x8000_0000, 77] {
        for kill in ["kill", "kill connection"] {
            let told = c.run(&format!("{kill} {id}")).expect_err("nobody");
            assert!(told.contains("1094"), "{kill} {id}: {told}");
        }
    }
    let told = c.run(&format!("kill query {}", own ^ 0x4000));
    assert!(told.expect_err("nobody").contains("1094"));
    assert_eq!(c.cell("select 5").as_deref(), Ok("5"));
}

#[test]
fn sessions_of_another_proxy_are_killed_by_a_server() {
    let cluster = cluster(Topology::default());
    // The victim has one connection: of several with one id a server takes any.
    let [one, other] = [7, 77].map(|id| start(&options(&cluster).set("proxy_id", id)));
    let mut victim = client(&one);
    let own = id(&mut victim);
    let mut killer = client(&other);
    begin_long(&mut victim, "select sleep(50), 'far 1'");
    killer.run(&format!("kill query {own}")).expect("an OK");
    assert_eq!(error(&mut victim).0, 1317);
    begin_long(&mut victim, "select sleep(50), 'far 2'");
    killer.run(&format!("kill {own}")).expect("an OK");
    // Servers may lose their last words, then it is a loss like any other.
    let (code, text) = error(&mut victim);
    assert!(matches!(code, 5066 | 10014), "{code} {text}");
    killer.cell("select 1").expect("a row");
}
