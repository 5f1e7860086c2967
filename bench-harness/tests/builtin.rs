//! The server of measurements and of checks, looked at by the rig's own client and asked by the
//! load generator.
#![allow(missing_docs, reason = "a test")]

use bench_harness::bench::load::{Load, Work};
use bench_harness::bench::plan::Arrivals;
use bench_harness::bench::statement::{Statement, layout};
use bench_harness::raw::{Conn, Got, Login};
use obcluster::builtin::{Layout, Running, Server, row_text};
use obring_wire::protocol::mysql::HEADER_LEN;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn server() -> Running {
    Server::bind_free(layout(true)).unwrap().spawn().unwrap()
}

fn works() -> impl Iterator<Item = Work> {
    Statement::ALL.into_iter().flat_map(|statement| {
        [false, true].map(|is_prepared| Work {
            statement,
            is_prepared,
        })
    })
}

#[test]
fn every_statement_is_answered_byte_for_byte_and_again() {
    let server = server();
    for work in works() {
        let mut load = Load::new(server.address(), work).unwrap();
        load.open(3).unwrap();
        let closed = load.closed(Duration::from_millis(10)).unwrap();
        assert!(closed.latency.len() >= 3, "{work}");
        let arrivals = Arrivals::new(1_000.0, 1);
        let paced = load.paced(Duration::from_millis(20), arrivals).unwrap();
        assert!(!paced.latency.is_empty(), "{work}");
    }
}

#[test]
fn a_proxy_gets_terminal_oks_and_no_server_list() {
    let server = server();
    let login = Login::default().attribute("__mysql_client_type", "__ob_proxy");
    let mut c = Conn::login(server.address(), &login).unwrap();
    let mut seqs = |sql: &str, packets: usize| {
        c.query(sql).unwrap();
        let got: Vec<Got> = (0..packets).map(|_| c.receive()).collect();
        assert!(got.last().unwrap().is_ok(), "{sql}: {got:?}");
        let seqs: Vec<u8> = got.iter().map(|g| g.packet().unwrap().seq).collect();
        (seqs, got[0].error().map(|e| e.0))
    };
    assert_eq!(seqs("select 1", 6), (vec![1, 2, 3, 4, 5, 6], None));
    assert_eq!(seqs("set autocommit=1", 1), (vec![1], None));
    let (list, error) = seqs("select * from oceanbase.DBA_OB_SERVERS", 2);
    assert_eq!((list, error), (vec![1, 2], Some(1146)));
}

#[test]
fn what_is_not_known_is_an_error_and_who_leaves_is_forgotten() {
    let server = server();
    let mut c = Conn::login(server.address(), &Login::default()).unwrap();
    c.send(b"\x16select version()", 0).unwrap();
    assert_eq!(c.receive().error().map(|e| e.0), Some(1235));
    c.send(b"\x17\x09\0\0\0\0\x01\0\0\0", 0).unwrap();
    assert_eq!(c.receive().error().map(|e| e.0), Some(1243));
    // Half a packet, then the rest.
    c.send_bytes(b"\x09\0\0\0\x03sele").unwrap();
    c.send_bytes(b"ct 1").unwrap();
    let got: Vec<Got> = (0..5).map(|_| c.receive()).collect();
    assert_eq!(got[3].packet().unwrap().payload, b"\x011");
    c.send(b"\x01", 0).unwrap();
    assert_eq!(c.receive(), Got::Closed);
    let mut next = Conn::login(server.address(), &Login::default()).unwrap();
    assert_eq!(next.cell("select 1"), Ok("1".into()));
}

#[test]
fn many_rows_come_as_they_are_numbered() {
    let server = server();
    let mut c = Conn::login(server.address(), &Login::default()).unwrap();
    c.query("select 1000 rows of 1017 bytes").unwrap();
    for _ in 0..3 {
        c.receive();
    }
    for n in 0..1_000 {
        let got = c.receive();
        let p = got.packet().unwrap();
        assert_eq!(p.payload[3..], row_text(n, 1017));
        assert_eq!(p.payload.len() + HEADER_LEN, 1024);
    }
    assert_eq!(server.counts().logins.load(Ordering::SeqCst), 1);
    assert!(server.counts().sent_bytes.load(Ordering::SeqCst) > 1_000_000);
}

#[test]
fn a_user_that_is_not_there_is_denied() {
    let mut layout = Layout::default();
    layout.users.retain(|u| u.name == "root");
    let server = Server::bind_free(layout).unwrap().spawn().unwrap();
    let login = Login::user("proxyro@sys", "").attribute("__mysql_client_type", "__ob_proxy");
    let denied = Conn::login(server.address(), &login).unwrap_err();
    assert!(denied.contains("1045"), "{denied}");
}

#[test]
fn a_row_that_is_locked_is_waited_for() {
    let server = server();
    let conn = || Conn::login(server.address(), &Login::default()).unwrap();
    let (mut a, mut b) = (conn(), conn());
    a.run("begin").unwrap();
    a.run("update test.kv set v='x' where id=5").unwrap();
    b.query("update test.kv set v='y' where id=5").unwrap();
    // Another one is answered meanwhile.
    assert_eq!(conn().cell("select 1"), Ok("1".into()));
    a.run("commit").unwrap();
    assert!(b.receive().is_ok());
    assert_eq!(a.cell("select v from test.kv where id=5"), Ok("y".into()));
    assert_eq!(a.cell("select sleep(0.01)"), Ok("0".into()));
}
