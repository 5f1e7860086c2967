//! Servers that die, hang, come and go; tenants that move.

use crate::client::{Client, Credentials, greeting, http};
use crate::{Database, cluster, until};
use obcluster::{Change, Outcome};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{Command, ErrPacket};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

const PROXY: Credentials<'static> = Credentials::proxy("root@test", capability::PLAIN);

#[test]
fn a_killed_server_refuses_and_comes_back() {
    let cluster = cluster();
    let address = cluster.address(2).unwrap();
    let mut client = Client::new(address, &PROXY);
    let db = Database::new(cluster.address(1).unwrap(), "killed");
    client.ask(&format!("create table {}.t(id int primary key)", db.1));
    client.ask("begin");
    client.ask(&format!("insert into {}.t values(1)", db.1));
    let mut other = db.client();
    let count = |other: &mut Client| {
        let id = client.greeting.connection_id;
        let list = "oceanbase.__all_virtual_processlist";
        let set = other.ask(&format!("select count(*) n from {list} where id = {id}"));
        set.rows[0][0].clone()
    };
    assert_eq!(count(&mut other).as_deref(), Some("1"));
    cluster.change(&Change::Kill(2)).unwrap();
    assert_eq!(
        count(&mut other).as_deref(),
        Some("0"),
        "gone when the call is over"
    );
    assert!(client.is_ended());
    assert!(cluster.links().iter().all(|l| l.server != 2));
    let refused = TcpStream::connect_timeout(&address, Duration::from_secs(5));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    // Its transaction is rolled back, and its locks are free.
    other.ask("set ob_query_timeout = 5000000");
    other.ask(&format!("insert into {}.t values(1)", db.1));
    until("an election", || {
        let state = cluster.state();
        let test = state.tenant("test").unwrap();
        test.streams
            .iter()
            .all(|s| s.leader().is_some_and(|l| l != 2))
    });
    cluster.adjust(|s| s.timing.init_ms = 2_000).unwrap();
    cluster.change(&Change::Start(2)).unwrap();
    let (_, payload) = greeting(address).unwrap();
    assert_eq!(ErrPacket::parse(&payload).unwrap().code, 8001);
    until("it serves", || {
        matches!(Client::login(address, &PROXY), Ok(Ok(_)))
    });
}

#[test]
fn a_killed_server_is_inactive_after_its_lease() {
    let cluster = cluster();
    cluster.adjust(|s| s.timing.lease_ms = 100).unwrap();
    cluster.change(&Change::Kill(3)).unwrap();
    let mut sys = Client::new(
        cluster.address(1).unwrap(),
        &Credentials::direct("root@sys"),
    );
    let sql = "select status from oceanbase.DBA_OB_SERVERS where id = 3";
    until("INACTIVE", || sys.ask(sql).column("status") == ["INACTIVE"]);
}

#[test]
fn a_stopped_server_answers_and_one_that_shuts_down_says_so() {
    let cluster = cluster();
    let address = cluster.address(2).unwrap();
    let mut client = Client::new(address, &PROXY);
    let stop = |shutdown| Change::Stop {
        server: 2,
        shutdown,
    };
    cluster.change(&stop(false)).unwrap();
    client.ask("select 1");
    let mut sys = Client::new(address, &Credentials::direct("root@sys"));
    let sql = "select stop_time is not null s from oceanbase.DBA_OB_SERVERS where id = 2";
    assert_eq!(sys.ask(sql).column("s"), ["1"]);
    cluster.change(&Change::Start(2)).unwrap();
    assert_eq!(sys.ask(sql).column("s"), ["0"]);
    cluster.adjust(|s| s.timing.stop_ms = 1_000).unwrap();
    cluster.change(&stop(true)).unwrap();
    assert_eq!(client.refused("select 1"), 8002);
    let said = Client::login(address, &PROXY).unwrap().unwrap_err();
    assert_eq!(said.code, 8002);
    assert!(client.is_ended(), "then its port closes");
    until("closed", || TcpStream::connect(address).is_err());
}

#[test]
fn a_hung_server_answers_when_it_is_resumed() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let mut client = Client::new(address, &PROXY);
    client.ask("select 1");
    cluster.change(&Change::Hang(1)).unwrap();
    client.send(Command::QUERY, b"select 5 n").unwrap();
    let short = Duration::from_millis(300);
    assert!(client.is_silent(short));
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(short)).unwrap();
    assert_eq!(
        stream.peek(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    cluster.change(&Change::Resume(1)).unwrap();
    assert_eq!(client.reply().unwrap().unwrap().column("n"), ["5"]);
    stream.set_read_timeout(None).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1, "a greeting");
}

#[test]
fn a_blackholed_server_lets_nobody_in() {
    let cluster = cluster();
    let address = cluster.address(2).unwrap();
    let mut client = Client::new(address, &PROXY);
    cluster.change(&Change::Blackhole(2)).unwrap();
    client.send(Command::QUERY, b"select 5 n").unwrap();
    assert!(client.is_silent(Duration::from_millis(200)));
    let out = TcpStream::connect_timeout(&address, Duration::from_millis(500));
    assert_eq!(out.unwrap_err().kind(), ErrorKind::TimedOut);
    cluster.change(&Change::Resume(2)).unwrap();
    assert_eq!(client.reply().unwrap().unwrap().column("n"), ["5"]);
    Client::new(address, &PROXY).ask("select 1");
}

#[test]
fn servers_are_added_and_removed() {
    let cluster = cluster();
    let mut sys = Client::new(
        cluster.address(1).unwrap(),
        &Credentials::direct("root@sys"),
    );
    let (id, address) = cluster.add_server("z1").unwrap();
    assert_eq!((id, address.ip().to_string().as_str()), (4, "127.0.1.4"));
    let sql = "select id from oceanbase.DBA_OB_SERVERS order by id";
    assert_eq!(sys.ask(sql).column("id"), ["1", "2", "3", "4"]);
    let who = Credentials::proxy("root@sys", capability::PLAIN);
    until("it serves", || {
        matches!(Client::login(address, &who), Ok(Ok(_)))
    });
    let mut client = Client::new(address, &who);
    let said = Client::login(address, &PROXY).unwrap().unwrap_err();
    assert_eq!(said.code, 5150, "no unit of the tenant");
    cluster.change(&Change::Remove(4)).unwrap();
    assert!(client.is_ended());
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(sys.ask(sql).rows.len(), 3);
}

#[test]
fn a_moved_tenant_is_refused_where_it_was() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let mut client = Client::new(address, &PROXY);
    client.ask("select 1");
    let change = |finished| Change::MoveTenant {
        tenant: "test".into(),
        servers: vec![2, 3],
        finished,
    };
    let list = "select svr_ip from oceanbase.__all_virtual_proxy_schema where tenant_name = 'test' \
                and database_name = 'oceanbase' and table_name = '__all_dummy' order by svr_ip";
    cluster.change(&change(false)).unwrap();
    let mut sys = Client::new(address, &Credentials::direct("root@sys"));
    assert_eq!(sys.ask(list).rows.len(), 3);
    cluster.change(&change(true)).unwrap();
    assert_eq!(sys.ask(list).column("svr_ip"), ["127.0.1.2", "127.0.1.3"]);
    assert_eq!(client.refused("select 1"), 5150);
    assert!(client.is_ended());
    assert_eq!(
        Client::login(address, &PROXY).unwrap().unwrap_err().code,
        5150
    );
    Client::new(cluster.address(2).unwrap(), &PROXY).ask("select 1");
}

#[test]
fn one_link_is_cut() {
    let cluster = cluster();
    let address = cluster.address(1).unwrap();
    let mut clients = [Client::new(address, &PROXY), Client::new(address, &PROXY)];
    let id = clients[0].greeting.connection_id;
    clients[0].send(Command::QUERY, b"select sleep(5)").unwrap();
    until("it runs", || {
        let log = cluster.log_since(0);
        log.iter()
            .any(|e| e.sql.contains("sleep") && e.t_exec_us > 0 || e.sql.contains("sleep"))
    });
    assert_eq!(cluster.cut_links(|l| l.kernel_id == id), 1);
    assert!(clients[0].is_ended());
    clients[1].ask("select 1");
    let log = cluster.log_since(0);
    let cut = log.iter().find(|e| e.sql.contains("sleep")).unwrap();
    assert_eq!(cut.outcome, Outcome::Reset);
}

#[test]
fn everything_can_be_done_over_http() {
    let cluster = cluster();
    let control = cluster.control();
    let call = |call: &str, body: &str| {
        let (status, answer) = http(control, call, body);
        assert_eq!(status, 200, "{call}: {answer}");
        answer
    };
    let address = cluster.address(2).unwrap();
    call(&format!("POST /servers/{address}/kill"), "");
    assert!(TcpStream::connect(address).is_err());
    call("POST /servers/2/start", "");
    let answer = call("POST /ls/1001/leader", r#"{"server":3}"#);
    let seq = answer.split(&[':', ','][..]).nth(1).unwrap();
    assert!(answer.starts_with(r#"{"seq":"#), "{answer}");
    let log = call(&format!("GET /log?from={seq}"), "");
    assert_eq!(log.lines().count(), 1);
    assert!(log.contains("Lead"), "{log}");
    call("POST /tables/test.t/leaders", r#"{"leaves":{"0":2}}"#);
    call("POST /tenants", r#"{"name":"t2","servers":[1]}"#);
    call(
        "POST /tenants/t2/servers",
        r#"{"servers":[2,3],"finished":false}"#,
    );
    call("DELETE /tenants/t2", "");
    call("POST /zones/z1", r#"{"type":"ReadOnly"}"#);
    call("POST /servers/1/status", r#"{"status":"DELETING"}"#);
    let answer = call("POST /servers", r#"{"zone":"z2"}"#);
    assert!(answer.contains(r#""server":4"#), "{answer}");
    let state = call("GET /state", "");
    assert!(
        state.contains("DELETING") && state.contains("ReadOnly"),
        "{state}"
    );
    call("GET /counters", "");
    call("GET /links", "");
    for (wrong, body) in [
        ("POST /servers/9/kill", ""),
        ("POST /servers/1/dance", ""),
        ("POST /ls/7/leader", "{}"),
        ("POST /links/99/cut", ""),
    ] {
        assert_eq!(http(control, wrong, body).0, 400, "{wrong}");
    }
}
