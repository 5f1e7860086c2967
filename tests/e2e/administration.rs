//! root@proxysys beside sessions on a real kernel, and by other people's clients.

use super::programs::{programs, run};
use super::{binary, setup};
use bench_harness::clock::{Deadline, wait_for};
use bench_harness::process::{Obring, Options, kernel};
use bench_harness::raw::{Conn, Got, Login};

fn proxy() -> Obring {
    let options = Options::new(binary(), &[kernel()])
        .set("obproxy_sys_password", "plain:pw")
        .set("work_thread_num", 2);
    Obring::start(&options).expect("obring starts")
}

fn admin(proxy: &Obring) -> Conn {
    Conn::login(proxy.address(), &Login::user("root@proxysys", "pw")).expect("an administrator")
}

/// All rows of a text result as texts.
fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<String>> {
    let rows = conn.rows(sql).expect(sql);
    let texts = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default);
    rows.into_iter().map(|row| texts(row).collect()).collect()
}

#[test]
fn other_clients_administer() {
    let proxy = proxy();
    let mut seen = 0;
    for program in programs("admin") {
        let account = ("root@proxysys", "pw");
        let said = run(&program, proxy.address(), account);
        let said = said.unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        assert_eq!(said.trim(), "4.3.4.0 30s 31s", "{}", program.display());
        seen += 1;
    }
    assert!(seen >= 6, "{seen} programs");
}

#[test]
fn the_version_of_the_proxy_is_answered_in_any_session() {
    let setup = setup();
    let proxy = setup.start().expect("obring starts");
    let mut conn = Conn::login(proxy.address(), &Login::default()).expect("a login");
    conn.run("begin").expect("a transaction");
    let version = conn.cell("select proxy_version()").expect("a version");
    assert_eq!(version, "4.3.4.0");
    assert_eq!(
        conn.cell("SELECT proxy_version() AS v;")
            .expect("a version"),
        "4.3.4.0"
    );
    conn.run("commit").expect("the transaction is still there");
    assert_eq!(
        conn.cell("select 'proxy_version()'").expect("a text"),
        "proxy_version()"
    );
}

#[test]
fn sessions_are_listed_and_killed() {
    let proxy = proxy();
    let login = Login::default().db("test");
    let mut idle = Conn::login(proxy.address(), &login).expect("a login");
    let mut busy = Conn::login(proxy.address(), &login).expect("a login");
    idle.run("set @x = 1").expect("an OK");
    idle.run("use oceanbase").expect("an OK");
    let sleep = "select sleep(30)";
    busy.query(sleep).expect("a statement");
    let mut admin = admin(&proxy);
    // The statement of `busy` is on its way.
    let list = wait_for(Deadline::secs(20), "a busy session", || {
        let list = rows(&mut admin, "show proxysession like 'root'");
        list.iter()
            .any(|row| row[3] == "sys" && row[9] == "MCS_ACTIVE_READER")
            .then_some(list)
    });
    let list = list.expect("a busy session");
    let of = |state: &str| {
        let row = list.iter().find(|row| row[3] == "sys" && row[9] == state);
        row.unwrap_or_else(|| panic!("{list:?}")).clone()
    };
    let (kept, active) = (of("MCS_KEEP_ALIVE"), of("MCS_ACTIVE_READER"));
    assert_eq!(
        [&kept[6], &kept[7], &kept[8]],
        ["oceanbase", "2", "1"],
        "{kept:?}"
    );
    assert_eq!(active[6], "test");
    for row in [kept, active] {
        admin.run(&format!("kill {}", row[1])).expect("an OK");
    }
    // The idle one is told at its next statement, the busy one in place of its result.
    for conn in [&mut idle, &mut busy] {
        let (code, text) = conn.receive().error().expect("an error packet");
        assert_eq!(code, 1317, "{text}");
        assert!(matches!(conn.receive(), Got::Closed));
    }
    // Their server connections are gone, too, and what ran there.
    let mut direct = Conn::login(kernel(), &Login::default()).expect("a login");
    let gone = wait_for(Deadline::secs(20), "the end on the server", || {
        let list = rows(&mut direct, "show full processlist");
        (!list.iter().flatten().any(|cell| cell == sleep)).then_some(())
    });
    gone.expect("the server has ended the statement");
}

/// The password of proxyro@sys is changed in the cluster, then here: no restart, no session lost.
#[test]
fn a_changed_proxyro_password_is_taken_without_a_restart() {
    /// SHA1(SHA1()) of the published password, which `scripts/kernel` gives the account.
    const PUBLISHED: &str = "*e9c2bcdc178a99b7b08dd25db58ded2ee5bff050";
    let mut direct = Conn::login(kernel(), &Login::default()).expect("kernel");
    direct
        .run("alter user proxyro identified by 'rotated'")
        .expect("alter user");
    let options = Options::new(binary(), &[kernel()])
        .set("obproxy_sys_password", "plain:pw")
        .set("server_state_refresh_interval", "100ms");
    let tried = Obring::start(&options).and_then(|mut proxy| {
        proxy.wait_log("event=metadata_round_failed")?;
        let mut client = Conn::login(proxy.address(), &Login::default())?;
        admin(&proxy).run("alter proxyconfig set observer_sys_password = 'rotated'")?;
        proxy.wait_log("event=metadata_ready")?;
        client.cell("select 1")
    });
    // A hash is taken by CREATE USER only.
    for sql in [
        "drop user proxyro",
        &format!("create user proxyro identified by password '{PUBLISHED}'"),
        "grant select on *.* to proxyro",
    ] {
        direct.run(sql).expect(sql);
    }
    assert_eq!(tried, Ok("1".into()));
}
