//! The real binary in front of a real kernel: client programs, logins that fail, nonsense, drain,
//! starts that fail, unreachable servers, several cores.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test e2e`. `OBRING_ECHO=1` shows obring's
//! log.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

#[path = "e2e/administration.rs"]
mod administration;
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
