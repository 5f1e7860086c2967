//! Clients without mysql_native_password: MySQL's own C library of version 9, and what comes on the
//! wire of clients that do it wrong.

use super::programs;
use bench_harness::process::{Obring, Options, kernel};
use bench_harness::random::{RANDOM, World};
use bench_harness::raw::{Conn, Login};
use std::net::SocketAddr;
use std::path::PathBuf;

const ACCOUNT: (&str, &str) = ("e2e_told@sys", "e2e Pw-1");
/// What the library says when it is switched to a method that it lacks.
const CANNOT_LOAD: &str =
    "error 2059 Authentication plugin 'mysql_native_password' cannot be loaded";
/// What is not the same as for a client that answers by mysql_native_password.
const OTHER: [&str; 3] = ["too long for a block", "may not take the key", "wrong"];

fn program(name: &str) -> PathBuf {
    let folder = "tests/e2e/clients/libmysqlclient";
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(name)
}

/// What the library prints; `told`: without mysql_native_password.
fn run(how: &str, to: SocketAddr) -> Vec<String> {
    run_as(how, to, ACCOUNT)
}

fn run_as(how: &str, to: SocketAddr, account: (&str, &str)) -> Vec<String> {
    let text = programs::run(&program(how), to, account).expect(how);
    text.lines().map(str::to_owned).collect()
}

fn line<'l>(lines: &'l [String], label: &str) -> &'l str {
    let found = lines
        .iter()
        .find_map(|line| line.strip_prefix(label)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {label} in {lines:#?}"))
}

fn users() {
    let mut c = Conn::login(kernel(), &Login::default()).expect("kernel");
    for sql in [
        "drop user if exists e2e_told, e2e_other, e2e_empty",
        "create user e2e_told identified by 'e2e Pw-1'",
        "grant all on *.* to e2e_told",
        "create user e2e_other identified by 'of other'",
        "grant select on test.* to e2e_other",
        "create user e2e_empty",
        "grant select on test.* to e2e_empty",
    ] {
        c.run(sql).expect(sql);
    }
}

fn options() -> Options {
    Options::new(super::binary(), &[kernel()])
}

fn start(options: &Options) -> Obring {
    Obring::start(options).expect("obring starts")
}

/// Equal, line by line, but for what is said of passwords that do not fit and of keys.
fn assert_same(direct: &[String], through: &[String], what: &str) {
    assert_eq!(direct.len(), through.len(), "{what}: {through:#?}");
    for (direct, through) in direct.iter().zip(through) {
        let label = direct.split(':').next().unwrap_or_default();
        if !OTHER.contains(&label) {
            assert_eq!(direct, through, "{what}");
        }
    }
    let too_long = line(through, "too long for a block");
    assert!(too_long.starts_with("error 2000 "), "{what}: {too_long}");
    let no_key = line(through, "may not take the key");
    assert!(no_key.starts_with("error 2061 "), "{what}: {no_key}");
    // A server says less of a failed COM_CHANGE_USER than of a login.
    let (direct, through) = (line(direct, "wrong"), line(through, "wrong"));
    assert!(through.starts_with(direct), "{what}: {through}");
}

/// Without the method the library cannot log in to a server; through obring it sees what it sees
/// directly with the method.
#[test]
fn a_library_without_the_native_method_sees_what_one_with_it_sees_directly() {
    users();
    let without = run("told", kernel());
    assert!(line(&without, "login").starts_with(CANNOT_LOAD));
    let direct = run("native", kernel());
    assert_eq!(line(&direct, "login"), "[e2e_told@%,NULL]");
    assert!(line(&direct, "wrong password").starts_with("error 1045 "));
    for protocol in ["Auto", "MySQL", "Compressed MySQL"] {
        let proxy = start(&options().set("server_protocol", protocol));
        let through = run("told", proxy.address());
        assert_same(&direct, &through, protocol);
        // With the method nothing is told, and nothing differs but what COM_CHANGE_USER says.
        let native = run("native", proxy.address());
        assert_eq!(direct, native, "{protocol}");
    }
}

/// The password that was told opens every server.
#[test]
fn statements_of_a_library_without_the_native_method_run_on_several_servers() {
    users();
    let world = World::start(&super::setup(), &[RANDOM]).expect("a world");
    let proxy = &world.proxy;
    let direct = run("native", kernel());
    let account = ("e2e_told@test#obcluster", ACCOUNT.1);
    let through = run_as("told", proxy.address(), account);
    assert_same(&direct, &through, "several servers");
    let broken = world.cluster.violations();
    assert!(broken.is_empty(), "broken rules: {broken:#?}");
    let admin = Login::user("root@proxysys", "");
    let mut admin = Conn::login(proxy.address(), &admin).expect("the administrator");
    for counter in ["session_moved", "password_told", "client_changed_user"] {
        let shown = admin.rows(&format!("show proxystat like '{counter}'"));
        let count = shown.expect(counter)[0][1].clone().expect("a number");
        assert_ne!(count, "0", "{counter}");
    }
}

#[test]
fn the_rule_can_be_set() {
    users();
    let never = start(&options().set("full_authentication", "never"));
    let lines = run("told", never.address());
    assert!(line(&lines, "login").starts_with(CANNOT_LOAD));
    let finds = line(&lines, "finds it, is told not to use it");
    assert_eq!(finds, "[e2e_told@%,NULL]");
    // Any client: it gets no further than this one would.
    let always = start(&options().set("full_authentication", "always"));
    let login = Login::default()
        .plugin(Some("caching_sha2_password"))
        .answer(&[7; 32]);
    let mut c = Conn::open(always.address()).expect("connect");
    let greeting = c.greeting().expect("greeting");
    c.send(&login.payload(&greeting.scramble), 1).expect("send");
    let asked = c.receive();
    assert!(
        matches!(&asked, bench_harness::raw::Got::Packet(p) if p.payload == [1, 4] && p.seq == 2),
        "{asked:?}"
    );
    // mysql-connector-python sends the password in clear text here.
    c.send(b"in clear text\0", 3).expect("send");
    let refused = c.receive();
    let (code, text) = refused.error().expect("an error packet");
    assert_eq!(code, 1045);
    assert!(text.contains("not encrypted by RSA") && !text.contains("in clear text"));
}
