//! The server of measurements, looked at by the rig's own client and asked by the load generator.
#![allow(missing_docs, reason = "a test")]

use bench_harness::bench::load::{Load, Work};
use bench_harness::bench::plan::Arrivals;
use bench_harness::raw::{Conn, Got, Login};
use bench_harness::relay::spawn;
use obcluster::busy::Busy;
use obcluster::statement::Statement;
use std::net::SocketAddr;
use std::time::Duration;

/// A server on a thread that ends with the test program.
fn server() -> SocketAddr {
    let mut server = Busy::bind().unwrap();
    let address = server.address().unwrap();
    spawn("busy", move || server.run().unwrap()).unwrap();
    address
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
    let address = server();
    for work in works() {
        let mut load = Load::new(address, work).unwrap();
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
    let login = Login::default().attribute("__mysql_client_type", "__ob_proxy");
    let mut c = Conn::login(server(), &login).unwrap();
    let mut seqs = |sql: &str, packets: usize| {
        c.query(sql).unwrap();
        let got: Vec<Got> = (0..packets).map(|_| c.receive()).collect();
        assert!(got.last().unwrap().is_ok(), "{sql}: {got:?}");
        let seqs: Vec<u8> = got.iter().map(|g| g.packet().unwrap().seq).collect();
        (seqs, got[0].error().map(|e| e.0))
    };
    assert_eq!(seqs("select 1", 6), (vec![1, 2, 3, 4, 5, 6], None));
    assert_eq!(seqs("set autocommit=1", 1), (vec![1], None));
    let (list, error) = seqs("select * from DBA_OB_SERVERS", 2);
    assert_eq!((list, error), (vec![1, 2], Some(1146)));
}

#[test]
fn a_client_that_says_something_else_gets_an_error_and_one_that_leaves_is_forgotten() {
    let address = server();
    let mut c = Conn::login(address, &Login::default()).unwrap();
    c.send(b"\x16select 2", 0).unwrap();
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
    let mut next = Conn::login(address, &Login::default()).unwrap();
    assert_eq!(next.cell("select 1"), Ok("1".into()));
}
