//! What goes wrong on purpose.

use crate::client::{Client, Credentials, MASKS, PROXYRO, http};
use crate::{Cluster, cluster};
use obcluster::{Fault, FaultKind, Outcome};
use obring_wire::protocol::capability;
use obring_wire::protocol::ob20::Framing;
use std::io::ErrorKind;
use std::time::Duration;

fn on(cluster: &Cluster, kind: FaultKind) {
    assert!(cluster.fault(Fault::new(kind).times(1)));
}

fn client(cluster: &Cluster, mask: u64) -> Client {
    let address = cluster.address(1).unwrap();
    Client::new(address, &Credentials::proxy("root@test", mask))
}

#[test]
fn a_request_is_answered_with_an_error_and_does_not_run() {
    let cluster = cluster();
    for (framing, mask) in MASKS {
        let mut client = client(&cluster, mask);
        client.ask("set @x = 1");
        let fault = Fault::new(FaultKind::ErrorNext(4012)).sql("set @x = 2");
        cluster.fault(fault.times(1));
        assert_eq!(client.refused("set @x = 2"), 4012, "{framing:?}");
        assert_eq!(client.ask("select @x x").column("x"), ["1"]);
        client.ask("set @x = 2");
    }
}

#[test]
fn a_reply_breaks_off_after_its_rows() {
    let cluster = cluster();
    let sql = "select 1 union all select 2 union all select 3";
    for (framing, mask) in MASKS {
        let mut client = client(&cluster, mask);
        for rows in 0..4 {
            on(&cluster, FaultKind::ErrorAfterRows { rows, code: 4012 });
            let got = client.query(sql).unwrap();
            assert_eq!(got.unwrap_err().code, 4012, "{framing:?} {rows}");
            assert_eq!(client.ask("select 1 n").column("n"), ["1"]);
        }
    }
}

#[test]
fn a_reply_is_late_or_lost_or_wrong() {
    let cluster = cluster();
    for (framing, mask) in MASKS {
        let mut client = client(&cluster, mask);
        on(&cluster, FaultKind::ReplyDelayUs(300_000));
        client
            .send(obring_wire::protocol::mysql::Command::PING, b"")
            .unwrap();
        assert!(client.is_silent(Duration::from_millis(100)));
        assert_eq!(client.packet().unwrap()[0], 0);
        on(&cluster, FaultKind::ResetAfterBytes(7));
        let lost = client.query("select 1").unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::ConnectionReset, "{framing:?}");
    }
    let log = cluster.log_since(0);
    let last = log.iter().rfind(|e| e.sql == "select 1").unwrap();
    assert_eq!(last.outcome, Outcome::Reset);
    let mut silent = client(&cluster, capability::PLAIN);
    on(&cluster, FaultKind::HalfClose(5));
    assert_eq!(
        silent.query("select 1").unwrap_err().kind(),
        ErrorKind::UnexpectedEof
    );
    let mut garbled = client(&cluster, capability::OB20);
    on(&cluster, FaultKind::GarbageAfterBytes(12));
    assert_eq!(
        garbled.query("select 1").unwrap_err().kind(),
        ErrorKind::InvalidData
    );
}

#[test]
fn frames_are_wrong_where_they_can_be() {
    let cluster = cluster();
    for (framing, mask) in MASKS {
        for kind in [
            FaultKind::BadCrc,
            FaultKind::BadSeq,
            FaultKind::WrongConnectionId,
        ] {
            let mut client = client(&cluster, mask);
            on(&cluster, kind.clone());
            let got = client.query("select 1");
            let is_wrong = matches!(&got, Err(e) if e.kind() == ErrorKind::InvalidData);
            let has_packets = framing.has_packets();
            let shows = has_packets || framing == Framing::Checksum && kind == FaultKind::BadCrc;
            assert_eq!(is_wrong, shows, "{framing:?} {kind:?} {got:?}");
        }
    }
}

#[test]
fn logins_fail() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let root = Credentials::proxy("root@test", capability::PLAIN);
    on(&cluster, FaultKind::LoginError(1040));
    assert_eq!(
        Client::login(address, &root).unwrap().unwrap_err().code,
        1040
    );
    Client::new(address, &root);
    let mut proxyro = Credentials::proxy("proxyro@sys", capability::PLAIN);
    proxyro.stage1 = Some(PROXYRO);
    let mut inside = Client::new(address, &proxyro);
    cluster.fault(Fault::new(FaultKind::ProxyroPassword));
    assert_eq!(
        Client::login(address, &proxyro).unwrap().unwrap_err().code,
        1045
    );
    Client::new(address, &root);
    cluster.clear_faults();
    cluster.fault(Fault::new(FaultKind::SysUnreachable));
    assert!(Client::login(address, &proxyro).is_err());
    assert!(inside.query("select 1").is_err());
    Client::new(address, &root);
    cluster.clear_faults();
    Client::new(address, &proxyro);
    on(&cluster, FaultKind::GreetingDelayMs(100));
    on(&cluster, FaultKind::AcceptDelayMs(100));
    Client::new(address, &root);
}

#[test]
fn views_lie() {
    let cluster = cluster();
    let control = cluster.control();
    let address = cluster.address(1).unwrap();
    let mut sys = Client::new(address, &Credentials::direct("root@sys"));
    let sql = "select svr_ip, status from oceanbase.DBA_OB_SERVERS";
    let mut with = |fault: &str| {
        let (status, answer) = http(control, "POST /faults", fault);
        assert_eq!(status, 200, "{answer}");
        sys.query(sql).unwrap()
    };
    let set = with(r#"{"fault":"meta_rows","value":"empty","next":1}"#).unwrap();
    assert!(set.rows.is_empty() && set.columns.len() == 2);
    let set = with(r#"{"fault":"meta_rows","value":"one_bad","next":1}"#).unwrap();
    assert_eq!(set.column("svr_ip")[0], "no.address");
    let set = with(r#"{"fault":"meta_rows","value":"unknown_status","next":1}"#).unwrap();
    assert_eq!(set.column("status"), ["HIBERNATING", "ACTIVE", "ACTIVE"]);
    let code = with(r#"[{"fault":"meta_error","value":4012,"next":1}]"#);
    assert_eq!(code.unwrap_err().code, 4012);
    let missing = r#"{"fault":"view_missing","value":"dba_ob_servers","next":1}"#;
    assert_eq!(with(missing).unwrap_err().code, 1146);
    let here = format!(r#"{{"fault":"meta_error","value":4012,"server":"{address}"}}"#);
    assert_eq!(with(&here).unwrap_err().code, 4012);
    assert!(http(control, "GET /faults", "").1.contains("meta_error"));
    assert_eq!(http(control, "DELETE /faults", "").0, 200);
    assert_eq!(
        with(r#"{"fault":"meta_delay_ms","value":50}"#)
            .unwrap()
            .rows
            .len(),
        3
    );
    assert_eq!(http(control, "POST /faults", r#"{"fault":"flood"}"#).0, 400);
}

#[test]
fn locations_are_as_old_as_a_cache() {
    let cluster = cluster();
    let control = cluster.control();
    let address = cluster.address(1).unwrap();
    let mut sys = Client::new(address, &Credentials::direct("root@sys"));
    assert_eq!(
        http(control, "POST /timing", r#"{"location_lag_ms":3600000}"#).0,
        200
    );
    assert_eq!(
        http(control, "POST /ls/1001/leader", r#"{"server":2}"#).0,
        200
    );
    let mut leader = |hint: &str| {
        let set = sys.ask(&format!(
            "select {hint} svr_ip from oceanbase.CDB_OB_LS_LOCATIONS \
             where tenant_id = 1002 and ls_id = 1001 and role = 'leader'"
        ));
        set.rows[0][0].clone().unwrap()
    };
    assert_eq!(leader(""), "127.0.1.1");
    assert_eq!(leader("/*+ FORCE_REFRESH_LOCATION_CACHE */"), "127.0.1.2");
}

#[test]
fn the_configuration_service_answers_and_fails() {
    use obcluster::{Config, ConfigMode};
    let cluster = cluster();
    let url = cluster.config_url();
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let address = host.parse().unwrap();
    let get = format!("GET /{path}");
    let body = |get: &str| http(address, get, "");
    let (status, config) = body(&get);
    assert_eq!(status, 200);
    let list = r#""ObRootServiceInfoUrlList":[{"ObRegion":"obcluster""#;
    assert!(config.contains(list), "{config}");
    let (_, roots) = body("GET /services?Action=ObRootServiceInfo&ObCluster=obcluster&version=2");
    for server in cluster.addresses() {
        assert!(
            roots.contains(&format!(r#""sql_port":{}"#, server.port())),
            "{roots}"
        );
    }
    let with = |mode| {
        let config = Config {
            mode,
            ..Config::default()
        };
        cluster.set_config(config).unwrap();
    };
    for (mode, status, text) in [
        (ConfigMode::Http500, 500, "{}"),
        (ConfigMode::Html, 200, "<html>"),
        (ConfigMode::WrongMessage, 200, r#""Success":false"#),
        (ConfigMode::RedirectLoop, 302, ""),
        (ConfigMode::Truncated, 200, r#""Code":200"#),
    ] {
        with(mode);
        let got = body(&get);
        assert_eq!(got.0, status, "{mode:?}");
        assert!(
            got.1.contains(text) && got.1.len() < config.len() + 20,
            "{mode:?} {got:?}"
        );
    }
    with(ConfigMode::Down);
    let refused = std::net::TcpStream::connect(address);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let more = r#"{"clusters":[{"name":"ob2","rs":["127.0.2.1:2881"]}]}"#;
    assert_eq!(http(cluster.control(), "POST /config", more).0, 200);
    assert!(body(&get).1.contains("ObCluster=ob2"));
    assert_eq!(cluster.counters().config["ObRootServiceInfo"], 1);
}

#[test]
fn a_cluster_is_reset() {
    use obcluster::Change;
    let cluster = cluster();
    let addresses = cluster.addresses();
    cluster.add_server("z1").unwrap();
    cluster.change(&Change::Kill(2)).unwrap();
    cluster.change(&Change::Hang(1)).unwrap();
    cluster.fault(Fault::new(FaultKind::LoginError(1040)));
    assert_eq!(http(cluster.control(), "POST /reset", "").0, 200);
    assert_eq!(cluster.addresses(), addresses);
    for address in addresses {
        let who = Credentials::proxy("root@test", capability::PLAIN);
        Client::new(address, &who).ask("select 1");
    }
}
