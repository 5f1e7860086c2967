//! The canned server of obcluster, looked at by the rig's own client.
#![allow(missing_docs, reason = "a test")]

use bench_harness::raw::{Conn, Login};
use obcluster::canned::{Canned, ROW_LEN, row_text};
use obring_wire::protocol::mysql::HEADER_LEN;
use std::sync::atomic::Ordering;

#[test]
fn a_direct_client_gets_one_cell_and_many_rows() {
    let server = Canned::start(false).unwrap();
    let mut c = Conn::login(server.address(), &Login::default()).unwrap();
    assert_eq!(c.cell("select 1"), Ok("1".into()));
    c.run("set autocommit=1").unwrap();
    c.query("rows 100").unwrap();
    for _ in 0..3 {
        c.receive();
    }
    for n in 0..100 {
        let got = c.receive();
        let p = got.packet().unwrap();
        assert_eq!(p.payload[3..], row_text(n));
        assert_eq!(p.payload.len() + HEADER_LEN, ROW_LEN);
    }
    assert_eq!(server.counts().logins.load(Ordering::SeqCst), 1);
}

#[test]
fn a_proxy_gets_terminal_oks_and_proxyro_can_be_denied() {
    let server = Canned::start(true).unwrap();
    let proxy = |user: &str| {
        let login = Login::user(user, "").attribute("__mysql_client_type", "__ob_proxy");
        Conn::login(server.address(), &login)
    };
    assert!(proxy("proxyro@sys").unwrap_err().contains("1045"));
    let mut c = proxy("root@sys").unwrap();
    c.query("select 1").unwrap();
    let seqs: Vec<_> = (0..6).map(|_| c.receive().packet().unwrap().seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}
