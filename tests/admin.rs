//! root@proxysys on the real binary. No server is needed: none is ever asked.
#![allow(missing_docs, reason = "a test")]

use bench_harness::clock::{Deadline, wait_for};
use bench_harness::process::{Obring, Options};
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Row, Value};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn options() -> Options {
    let nowhere: SocketAddr = NOWHERE.parse().expect("an address");
    Options::new(env!("CARGO_BIN_EXE_obring"), &[nowhere]).set("obproxy_sys_password", "plain:pw")
}

fn proxy(options: &Options) -> Obring {
    Obring::start(options).expect("obring starts")
}

fn login(proxy: &Obring, user: &str, password: &str) -> Result<Conn, mysql::Error> {
    Conn::new(
        OptsBuilder::new()
            .ip_or_hostname(Some("127.0.0.1"))
            .tcp_port(proxy.address().port())
            .prefer_socket(false)
            .user(Some(user))
            .pass(Some(password)),
    )
}

fn admin(proxy: &Obring) -> Conn {
    login(proxy, "root@proxysys", "pw").expect("a login")
}

fn text(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::NULL => "NULL".into(),
        other => panic!("{other:?}"),
    }
}

/// All rows as texts.
fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<String>> {
    let rows: Vec<Row> = conn.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows.into_iter()
        .map(|row| row.unwrap().iter().map(text).collect())
        .collect()
}

fn columns(conn: &mut Conn, sql: &str) -> Vec<String> {
    let result = conn.query_iter(sql).expect(sql);
    let names = result.columns();
    names
        .as_ref()
        .iter()
        .map(|c| c.name_str().into_owned())
        .collect()
}

/// Number and text of the error that a statement gets.
fn error(conn: &mut Conn, sql: &str) -> (u16, String) {
    match conn.query_drop(sql) {
        Err(mysql::Error::MySqlError(e)) => (e.code, e.message),
        other => panic!("{sql}: {other:?}"),
    }
}

fn setting(conn: &mut Conn, name: &str) -> String {
    let found = rows(conn, &format!("show proxyconfig like '{name}'"));
    found
        .first()
        .unwrap_or_else(|| panic!("{name} is not shown"))[1]
        .clone()
}

#[test]
fn the_lists_have_the_columns_that_tools_read() {
    let proxy = proxy(&options());
    let mut conn = admin(&proxy);
    let want = "name value info need_reboot visible_level range config_level";
    assert_eq!(columns(&mut conn, "SHOW PROXYCONFIG;").join(" "), want);
    let all = rows(&mut conn, "show proxyconfig");
    let idle = obring::config::IdleRow::all();
    let idle = idle.iter().filter(|row| row.is_listed()).count();
    assert_eq!(all.len(), obring::config::TABLE.len() + idle);
    assert!(all.iter().flatten().all(|cell| cell != "NULL"));
    assert!(all.iter().all(|row| row[3] == "true" || row[3] == "false"));
    assert_eq!(setting(&mut conn, "obproxy_sys_password"), "***");

    let want = "proxy_sessid Id Cluster Tenant User Host db trans_count svr_session_count state \
                tid pid using_ssl";
    assert_eq!(columns(&mut conn, "SHOW PROXYSESSION").join(" "), want);
    let own = rows(&mut conn, "show proxysession like 'ro_t'");
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!(own[0][1], conn.connection_id().to_string());
    assert_eq!(own[0][11], proxy.id().to_string());
    assert!(rows(&mut conn, "show proxysession like 'nobody'").is_empty());
    let want = "Id Tenant User Host db trans_count svr_session_count state tid pid";
    assert_eq!(columns(&mut conn, "SHOW FULL PROCESSLIST").join(" "), want);
    assert_eq!(
        columns(&mut conn, "show proxystat").join(" "),
        "stat_name value persist_type"
    );
    let logins = rows(&mut conn, "show proxystat refresh like 'admin_logged_in'");
    assert_eq!(logins, [["admin_logged_in", "1", "NULL"]]);
    conn.query_drop("ping proxy").expect("an OK");
}

#[test]
fn known_tables_and_the_counters_of_routing_are_shown() {
    let proxy = proxy(&options().set("work_thread_num", 3));
    let mut conn = admin(&proxy);
    let odp = "cluster_name tenant_name database_name table_name state partition_num replica_num \
               table_id cluster_version schema_version from_rslist create_time last_valid_time \
               last_access_time last_update_time expire_time relative_expire_time";
    let names = columns(&mut conn, "SHOW PROXYROUTE");
    assert_eq!(names[..17].join(" "), odp);
    assert_eq!(names[17], "server addr");
    let like = "show proxyroute like 'ob1 t % t1'";
    assert!(
        rows(&mut conn, like).is_empty(),
        "no statement has used a table"
    );
    let names = columns(&mut conn, "show proxyroute partition");
    assert_eq!(names[..3].join(" "), "table_id partition_id state");
    for list in ["routine", "globalindex"] {
        assert!(rows(&mut conn, &format!("show proxyroute {list}")).is_empty());
    }
    assert_eq!(error(&mut conn, "show proxyroute x").0, 1064);
    // A reply that says nothing is counted apart from a hit.
    for name in [
        "route_leader",
        "route_hit_leader",
        "route_miss_leader",
        "route_unknown_leader",
    ] {
        let shown = rows(&mut conn, &format!("show proxystat like '{name}'"));
        assert_eq!(shown, [[name, "0", "NULL"]]);
    }
    for name in [
        "get_pl_from_thread_cache_hit",
        "location_missing",
        "location_cache_questions",
    ] {
        assert_eq!(
            rows(&mut conn, &format!("show proxystat like '{name}'")).len(),
            1
        );
    }
}

#[test]
fn a_broken_list_of_used_tables_is_named_and_left_alone() {
    let root = std::env::temp_dir().join(format!("obring-hot-start-{}", std::process::id()));
    let file = root.join("etc/locations.snapshot");
    std::fs::create_dir_all(root.join("etc")).expect("a directory");
    std::fs::write(&file, "obring locations 1\nnonsense\nend 1\n").expect("a file");
    let mut options = options();
    options.root = Some(root.clone());
    let mut proxy = proxy(&options);
    let line = proxy
        .wait_log("event=location_snapshot_ignored")
        .expect("a line");
    assert!(
        line.contains("locations.snapshot") && line.contains("line 2:"),
        "{line}"
    );
    admin(&proxy).query_drop("ping proxy").expect("it serves");
    drop(proxy);
    std::fs::remove_dir_all(&root).expect("it is ours");
}

#[test]
fn settings_of_routing_are_changed_while_the_proxy_runs() {
    let proxy = proxy(&options());
    let mut conn = admin(&proxy);
    for (name, value, shown) in [
        ("proxy_route_policy", "'follower_first'", "follower_first"),
        (
            "target_db_server",
            "'1.1.1.1:1,2.2.2.2:2'",
            "1.1.1.1:1;2.2.2.2:2",
        ),
        ("stale_location_wait", "'5ms'", "5ms"),
        ("enable_primary_zone", "'False'", "False"),
        ("server_routing_mode", "'random'", "random"),
        ("weak_read_user_list", "'a@t'", "a@t"),
    ] {
        conn.query_drop(format!("alter proxyconfig set {name} = {value}"))
            .expect(name);
        assert_eq!(setting(&mut conn, name), shown);
    }
    let (code, text) = error(
        &mut conn,
        "alter proxyconfig set server_routing_mode = 'mysql'",
    );
    assert!(
        code == 4147 && text.contains("oceanbase or random"),
        "{code} {text}"
    );
}

#[test]
fn clusters_show_their_servers_and_how_well_they_are_known() {
    let proxy = proxy(&options().set("work_thread_num", 3));
    let mut conn = admin(&proxy);
    let want = "cluster_name cluster_id rs_url root_addr role replica_type zone idc region \
                zone_type server_state root_service";
    assert_eq!(columns(&mut conn, "SHOW PROXYCLUSTER").join(" "), want);
    let servers = rows(&mut conn, "show proxycluster like '%'");
    assert_eq!(servers.len(), 1, "{servers:?}");
    assert_eq!(servers[0][3..5], [NOWHERE, "LEADER"]);
    assert!(rows(&mut conn, "show proxycluster like 'other'").is_empty());
    assert!(rows(&mut conn, "show proxycluster idc").is_empty());

    let names = columns(&mut conn, "show proxycongestion");
    let want = "cluster_name zone_name region_name zone_state server_ip cr_version server_state \
                alive_congested last_alive_congested dead_congested last_dead_congested \
                stat_alive_failures stat_conn_failures conn_last_fail_time conn_failure_events \
                alive_last_fail_time alive_failure_events ref_count detect_congested \
                last_detect_congested block cores left_ms";
    assert_eq!(names.join(" "), want);
    let congested = rows(&mut conn, "show proxycongestion all 'other'");
    assert!(congested.is_empty(), "{congested:?}");
    let (code, text) = error(&mut conn, "show proxycongestion like 'x'");
    assert!(code == 1064 && text.contains("ALL"), "{code} {text}");

    let names = columns(&mut conn, "SHOW PROXYRESOURCE");
    assert_eq!(
        names[..4].join(" "),
        "cluster_name cluster_id state version"
    );
    let at = |name: &str| names.iter().position(|n| n == name).expect(name);
    let (cause, age) = (at("cause"), at("age_ms"));
    let resource = wait_for(Deadline::secs(10), "a cause", || {
        let all = rows(&mut conn, "show proxyresource");
        (all[0][cause] != "NULL").then(|| all[0].clone())
    })
    .expect("the first round fails");
    assert!(resource[cause].contains(NOWHERE), "{resource:?}");
    assert_eq!(resource[age], "NULL", "never confirmed");
    assert!(rows(&mut conn, "show proxyresource tenant").is_empty());
    let cores = rows(&mut conn, "show proxyresource core");
    let shown: Vec<_> = cores.iter().map(|row| row[2].as_str()).collect();
    assert_eq!(shown, ["0", "1", "2"]);
    let versions: Vec<_> = cores.iter().map(|row| &row[3]).collect();
    assert!(versions.iter().all(|v| *v == versions[0]), "{cores:?}");
    let (code, text) = error(&mut conn, "show proxycluster servers");
    assert_eq!(code, 1064, "{text}");
}

#[test]
fn a_change_holds_at_once_on_every_core_and_after_a_kill() {
    let root: PathBuf = std::env::temp_dir().join(format!("obring-admin-{}", std::process::id()));
    let mut options = options().set("work_thread_num", 3);
    options.root = Some(root.clone());
    let first = proxy(&options);
    let mut conn = admin(&first);
    conn.query_drop("ALTER PROXYCONFIG SET client_login_timeout = '150ms'")
        .expect("an OK");
    conn.query_drop("alter proxyconfig set drain_timeout=7;")
        .expect("an OK");
    conn.query_drop("alter proxyconfig set obproxy_sys_password = \"new\"")
        .expect("an OK");
    conn.query_drop("alter proxyconfig set listen_port = 2999")
        .expect("an OK");
    conn.query_drop("alter proxyconfig set syslog_level = DEBUG")
        .expect("an OK");
    assert_eq!(setting(&mut conn, "client_login_timeout"), "150ms");
    assert!(login(&first, "root@proxysys", "pw").is_err());
    // Some connections come to every core; all are cut after the new time, not after ten seconds.
    let idle: Vec<_> = (0..24)
        .map(|_| bench_harness::raw::Conn::open(first.address()).expect("a connection"))
        .collect();
    for mut conn in idle {
        conn.greeting().expect("a greeting");
        let told = conn.receive().error().expect("an error packet");
        assert!(told.1.contains("within 0.15 s"), "{told:?}");
    }
    // SIGKILL.
    drop(first);
    let mut again = options;
    again.settings = vec!["local_bound_ip=127.0.0.1".into()];
    let mut second = proxy(&again);
    let mut conn = login(&second, "root@proxysys", "new").expect("the new password");
    assert_eq!(setting(&mut conn, "client_login_timeout"), "150ms");
    assert_eq!(setting(&mut conn, "drain_timeout"), "7s");
    assert_eq!(setting(&mut conn, "syslog_level"), "DEBUG");
    // Given on the first command line only.
    assert_eq!(setting(&mut conn, "work_thread_num"), "3");
    // A flag wins over what is stored.
    assert_eq!(
        setting(&mut conn, "listen_port"),
        second.address().port().to_string()
    );
    let id = setting(&mut conn, "proxy_id");
    drop(conn);
    second.term();
    second.wait_exit(20).expect("an end");
    drop(second);
    let third = proxy(&again);
    let mut conn = login(&third, "root@proxysys", "new").expect("a login");
    assert_eq!(setting(&mut conn, "proxy_id"), id);
    drop(third);
    std::fs::remove_dir_all(&root).expect("it is ours");
}

#[test]
fn a_kill_in_the_middle_of_changes_leaves_an_old_or_a_new_value() {
    let root = std::env::temp_dir().join(format!("obring-kill-{}", std::process::id()));
    let mut options = options();
    options.root = Some(root.clone());
    let mut at_least = 0;
    for round in 0..6_u64 {
        let proxy = proxy(&options);
        let mut conn = admin(&proxy);
        if round > 0 {
            let value = setting(&mut conn, "drain_timeout");
            let value: u64 = value.trim_end_matches("ms").parse().expect(&value);
            // What was acknowledged is there; one more may have been written.
            assert!(
                (at_least..=at_least + 1).contains(&value),
                "{value} after {at_least}"
            );
            at_least = value;
        }
        let changer = std::thread::Builder::new().spawn(move || {
            let mut done = at_least;
            loop {
                // Never whole seconds: they would be shown without ms.
                let next = done + 1 + u64::from((done + 1).is_multiple_of(1_000));
                let sql = format!("alter proxyconfig set drain_timeout = '{next}ms'");
                if conn.query_drop(sql).is_err() {
                    return done;
                }
                done = next;
            }
        });
        let changer = changer.expect("a thread");
        // So many turns of another session later.
        let mut other = admin(&proxy);
        for _ in 0..20 + round * 37 {
            other.query_drop("ping proxy").expect("an OK");
        }
        drop(proxy);
        at_least = changer.join().expect("no panic");
        assert!(at_least > 0);
    }
    std::fs::remove_dir_all(&root).expect("it is ours");
}

#[test]
fn what_cannot_be_done_is_said() {
    let proxy = proxy(&options());
    let mut conn = admin(&proxy);
    for (sql, code, text) in [
        (
            "alter proxyconfig set nothing_like_it = 1",
            5099,
            "nothing_like_it",
        ),
        (
            "alter proxyconfig set drain_timeout = 'soon'",
            4147,
            "\"soon\"",
        ),
        (
            "alter proxyconfig set drain_timeout = '2d'",
            4147,
            "[0s, 1d]",
        ),
        ("alter proxyconfig set app_name = 'x'", 1235, "app_name"),
        (
            "alter proxyconfig set drain_timeout",
            1064,
            "name = 'value'",
        ),
        ("alter proxyconfig set a = 'b", 1064, "ends inside '"),
        ("select * from t", 1235, "not a database"),
        ("insert into t values(1)", 1235, "user@tenant#cluster"),
        ("show tables", 1235, "not a database"),
        ("select @@nothing", 1193, "@@nothing"),
        ("ping proxy; ping proxy", 1235, "one statement"),
        ("kill 1", 1094, "1"),
        ("kill x", 1210, "\"x\""),
        ("kill query 1", 1235, "server"),
        (" ; ", 1065, "empty"),
        ("show proxyconfig lik 'x'", 1064, "LIKE"),
    ] {
        let got = error(&mut conn, sql);
        assert!(got.0 == code && got.1.contains(text), "{sql}: {got:?}");
    }
    // A statement of any length and any bytes.
    let long = format!("alter proxyconfig set log_file = '{}'", "x".repeat(200_000));
    assert_eq!(error(&mut conn, &long).0, 4147);
    assert_eq!(error(&mut conn, "select '\u{0}\u{1F980}").0, 1064);
    // Names of OBProxy that do nothing here yet are taken.
    conn.query_drop("alter proxyconfig set enable_sharding = 'on'")
        .expect("an OK");
    assert!(
        conn.info_str().contains("no effect in this version"),
        "{}",
        conn.info_str()
    );
    assert_eq!(setting(&mut conn, "enable_sharding"), "True");
    // The session goes on after all of them.
    conn.query_drop("ping proxy").expect("an OK");
}

#[test]
fn what_drivers_ask_is_answered() {
    let proxy = proxy(&options());
    let mut conn = admin(&proxy);
    for (sql, want) in [
        ("select 1", "1"),
        (
            "SELECT @@version_comment limit 1",
            "obring: administration of the proxy (root@proxysys)",
        ),
        ("select version()", "5.7.25"),
        ("select proxy_version()", "4.3.4.0"),
        ("select @@session.tx_isolation", "READ-COMMITTED"),
        ("SELECT @@max_allowed_packet", "4194304"),
        (
            "/* a driver */ select @@session.auto_increment_increment as x",
            "1",
        ),
        ("select database()", "NULL"),
        ("select 'it''s'", "it's"),
    ] {
        assert_eq!(rows(&mut conn, sql), [[want]], "{sql}");
    }
    let names = columns(&mut conn, "select @@wait_timeout, 1 as one, version() v");
    assert_eq!(names, ["@@wait_timeout", "one", "v"]);
    let pair = rows(&mut conn, "show variables like 'wait_%'");
    assert_eq!(pair, [["wait_timeout", "28800"]]);
    let pair = rows(
        &mut conn,
        "SHOW VARIABLES WHERE Variable_name = 'tx_isolation'",
    );
    assert_eq!(pair, [["tx_isolation", "READ-COMMITTED"]]);
    for sql in [
        "set names utf8mb4",
        "SET autocommit = 0, sql_mode='ANSI'",
        "begin",
        "START TRANSACTION",
        "commit",
        "rollback",
        "use x",
    ] {
        conn.query_drop(sql)
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    assert!(rows(&mut conn, "show warnings").is_empty());
    conn.ping().expect("an OK");
    conn.select_db("anything").expect("an OK");
    conn.reset().expect("an OK");
    assert!(conn.prep("select 1").is_err());
    conn.ping().expect("it goes on");
}

#[test]
fn wrong_passwords_disturb_nobody() {
    let proxy = proxy(&options());
    let mut conn = admin(&proxy);
    for n in 0..20 {
        let user = if n % 2 == 0 {
            "root@proxysys"
        } else {
            "other@proxysys"
        };
        match login(&proxy, user, "wrong") {
            Err(mysql::Error::MySqlError(e)) => assert_eq!(e.code, 1045, "{e}"),
            other => panic!("{other:?}"),
        }
        conn.query_drop("ping proxy").expect("an OK");
    }
    let refused = rows(&mut conn, "show proxystat like 'closed_login_refused'");
    assert_eq!(refused[0][1], "20");
    admin(&proxy);
}

#[test]
fn kill_ends_a_session_of_any_core_and_its_own() {
    let proxy = proxy(&options().set("work_thread_num", 3));
    let mut conn = admin(&proxy);
    let mut others: Vec<Conn> = (0..9).map(|_| admin(&proxy)).collect();
    for other in &mut others {
        conn.query_drop(format!("kill {}", other.connection_id()))
            .expect("an OK");
        let (code, text) = error(other, "ping proxy");
        assert_eq!(code, 1317, "{text}");
        assert!(other.ping().is_err());
    }
    assert_eq!(rows(&mut conn, "show processlist").len(), 1);
    let (code, _) = error(&mut conn, "kill connection 1");
    assert_eq!(code, 1094);
    let own = format!("kill proxysession {}", conn.connection_id());
    assert_eq!(error(&mut conn, &own).0, 1317);
    assert!(conn.ping().is_err());
}

#[test]
fn a_drain_ends_administrators_and_an_empty_password_is_one() {
    let mut proxy = proxy(&options().set("obproxy_sys_password", ""));
    let mut conn = login(&proxy, "root@proxysys", "").expect("no password");
    assert!(login(&proxy, "root@proxysys", "pw").is_err());
    conn.query_drop("ping proxy").expect("an OK");
    proxy.term();
    assert!(proxy.wait_exit(20).expect("an end").success());
    let (code, _) = error(&mut conn, "ping proxy");
    assert_eq!(code, 1053);
}
