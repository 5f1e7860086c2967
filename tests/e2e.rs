//! The real binary in front of a real kernel: client programs, logins that fail, nonsense, drain,
//! starts that fail, unreachable servers, several cores.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test e2e`. `OBRING_ECHO=1` shows obring's
//! log.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

#[path = "e2e/administration.rs"]
mod administration;
#[path = "e2e/full_login.rs"]
mod full_login;
#[path = "e2e/programs.rs"]
mod programs;
#[path = "e2e/rust_client.rs"]
mod rust_client;

use bench_harness::checks::{self, Setup};
use bench_harness::process::{Obring, Options, kernel};
use bench_harness::raw::{Conn, Login};

/// The binary of this build, or the one that `OBRING_BINARY` names.
fn binary() -> std::path::PathBuf {
    std::env::var_os("OBRING_BINARY")
        .map_or_else(|| env!("CARGO_BIN_EXE_obring").into(), Into::into)
}

fn setup() -> Setup {
    Setup {
        binary: binary(),
        kernel: kernel(),
    }
}

fn proxy() -> Obring {
    setup().start().expect("obring starts")
}

/// One test per check of the harness.
macro_rules! checks {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() {
            match checks::$name(&setup()) {
                Ok(saw) => println!("{saw}"),
                Err(text) => panic!("{text}"),
            }
        })+
    };
}

checks! {
    bad_bytes
    half_login
    second_term
    serving_cores
    stages
    busy_port
    unreadable_config
    wrong_proxyro_password
    io_uring_refused
    unreachable_servers
}

/// The error when the server goes away in the middle is one packet, and the session ends.
#[test]
fn a_lost_server_is_an_error_packet() {
    let relay = bench_harness::relay::Relay::start(kernel()).expect("relay");
    let options = Options::new(binary(), &[relay.address()]);
    let proxy = Obring::start(&options).expect("obring starts");
    let mut c = Conn::login(proxy.address(), &Login::default()).expect("login");
    c.query("select sleep(20)").expect("query");
    c.set_wait(std::time::Duration::from_millis(300));
    assert_eq!(c.receive(), bench_harness::raw::Got::TimedOut);
    relay.cut();
    c.set_wait(bench_harness::raw::WAIT);
    let got = c.receive();
    assert!(got.error().is_some(), "{got:?}");
    // The relay still listens: the next login works.
    let mut c = Conn::login(proxy.address(), &Login::default()).expect("login again");
    assert_eq!(c.cell("select 1"), Ok("1".into()));
}

/// What changes between a server and obring is found by the checksums of the framing, and the
/// client is told; in plain framing nobody can see it.
#[test]
fn a_byte_changed_on_the_way_from_a_server_is_found() {
    let relay = bench_harness::relay::Relay::start(kernel()).expect("relay");
    relay.replace(b"needle", b"nEedle");
    for (protocol, compression, is_found) in [
        ("Auto", "", true),
        ("OceanBase 2.0", "zlib:0", true),
        ("Compressed MySQL", "", true),
        ("MySQL", "", false),
    ] {
        let mut options = Options::new(binary(), &[relay.address()]);
        options.settings = vec!["local_bound_ip=127.0.0.1".into()];
        let options = options
            .set("server_protocol", protocol)
            .set("compression_algorithm", compression);
        let mut proxy = Obring::start(&options).expect("obring starts");
        let mut c = Conn::login(proxy.address(), &Login::default()).expect("login");
        let got = c.cell("select concat('nee', 'dle') as c");
        if !is_found {
            assert_eq!(got, Ok("nEedle".into()), "{protocol}");
            continue;
        }
        let text = got.expect_err(protocol);
        assert!(text.contains("wrong frame"), "{protocol}: {text}");
        proxy.wait_log("reason=server_frame").expect(protocol);
    }
}
