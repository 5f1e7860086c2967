//! The same packets sent to the kernel directly and through obring bring the same packets back.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test differential`. With
//! `OBRING_SCRIPT=text` only scripts whose name contains the text run, with
//! `OBRING_THROUGH=host:port`
//! against a proxy that is already running, with `OBRING_SHOW=1` what came directly is printed.
//! Without it there is a proxy for each framing of its server connections, and the scripts run a
//! second time as drivers of OceanBase, with their framing on both sides.
//! Normalisations: `bench_harness::session::Norm`.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

#[path = "differential/commands.rs"]
mod commands;
#[path = "differential/large.rs"]
mod large;
#[path = "differential/login.rs"]
mod login;
#[path = "differential/prepared.rs"]
mod prepared;
#[path = "differential/state.rs"]
mod state;
#[path = "differential/support.rs"]
mod support;
#[path = "differential/texts.rs"]
mod texts;

use bench_harness::clock::Watch;
use bench_harness::process::{self, Obring, Options};
use bench_harness::raw::{Conn, Login};
use bench_harness::relay::Relay;
use bench_harness::session::Run;
use bench_harness::transcript::{Transcript, compare};
use std::net::SocketAddr;
use std::time::Duration;
use support::Table;

/// A pair of runs that takes longer is named.
const SLOW: Duration = Duration::from_secs(4);

fn table() -> Table {
    let mut t = Table::default();
    login::add(&mut t);
    commands::add(&mut t);
    texts::add(&mut t);
    state::add(&mut t);
    prepared::add(&mut t);
    large::add(&mut t);
    if let Ok(part) = std::env::var("OBRING_SCRIPT") {
        t.0.retain(|s| s.name.contains(&part));
    }
    t
}

/// Settings of a proxy for each framing, and the counter of its server connections.
const FRAMINGS: &[(&str, &str, &str)] = &[
    ("Auto", "", "link_ob20"),
    ("MySQL", "", "link_plain"),
    ("Compressed MySQL", "", "link_checksum"),
    ("OceanBase 2.0", "zlib:6", "link_ob20_compressed"),
];

/// A proxy to compare with: its name, the counter of its server connections, where it listens.
type Through = (&'static str, &'static str, SocketAddr);

/// Runs all scripts directly and through every proxy; the names of those that differ. `drivers`: a
/// proxy that lets drivers of OceanBase have their framing.
fn run_all(direct: SocketAddr, through: &[Through], drivers: Option<SocketAddr>) -> Vec<String> {
    let mut found = vec![];
    for script in table().0 {
        let watch = Watch::start();
        let transcript = |to| {
            let run = Run::new(to);
            (script.run)(&run);
            run.transcript()
        };
        let want = transcript(direct);
        if std::env::var_os("OBRING_SHOW").is_some() {
            show(&script.name, &want);
        }
        if let Some(to) = drivers.filter(|_| script.is_for_drivers) {
            let seen = [direct, to].map(|to| {
                let run = Run::of_drivers(to);
                (script.run)(&run);
                run.transcript()
            });
            let differences = compare(&seen[0], &seen[1]);
            if !differences.is_empty() {
                println!("script {} differs, drivers of OceanBase:", script.name);
                for d in &differences {
                    println!("{d}");
                }
                found.push(format!("{} (drivers)", script.name));
            }
        }
        let is_able = |t: &&Through| !script.needs_ob20 || t.1.starts_with("link_ob20");
        for (how, _, to) in through.iter().filter(is_able) {
            let differences = compare(&want, &transcript(*to));
            if !differences.is_empty() {
                println!("script {} differs, {how}:", script.name);
                for d in &differences {
                    println!("{d}");
                }
                found.push(format!("{} ({how})", script.name));
            }
        }
        if watch.elapsed() > SLOW {
            println!("script {} took {:?}", script.name, watch.elapsed());
        }
    }
    found
}

/// Prints what came directly.
fn show(name: &str, t: &Transcript) {
    println!("== {name}");
    for step in &t.steps {
        println!("  {}", step.what);
        for seen in &step.seen {
            println!("      {seen}");
        }
    }
}

#[test]
fn scripts_have_names_of_their_own_and_are_many() {
    let mut names: Vec<_> = table().0.into_iter().map(|s| s.name).collect();
    let n = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), n, "two scripts of one name");
    assert!(
        n >= 100 || std::env::var_os("OBRING_SCRIPT").is_some(),
        "{n} scripts"
    );
}

#[test]
fn replies_through_obring_are_the_kernels_own() {
    let kernel = process::kernel();
    support::fixture(kernel).expect("fixture");
    let scripts = table().0.len();
    let given = std::env::var("OBRING_THROUGH").ok();
    let proxies: Vec<_> = FRAMINGS
        .iter()
        .filter(|_| given.is_none())
        .map(|(protocol, compression, counter)| {
            let options = Options::new(env!("CARGO_BIN_EXE_obring"), &[kernel])
                .set("server_protocol", protocol)
                .set("compression_algorithm", compression)
                .set("obproxy_sys_password", "plain:pw")
                .set("enable_ob_protocol_v2_with_client", "True");
            let proxy = Obring::start(&options).expect("obring starts");
            (*protocol, *counter, proxy)
        })
        .collect();
    let mut through: Vec<Through> = proxies
        .iter()
        .map(|(protocol, counter, proxy)| (*protocol, *counter, proxy.address()))
        .collect();
    through.extend(given.map(|text| {
        let address = text.parse().expect("OBRING_THROUGH=host:port");
        ("given", "link_ob20", address)
    }));
    let drivers = proxies.first().map(|(_, _, proxy)| proxy.address());
    let found = run_all(kernel, &through, drivers);
    println!("{scripts} scripts, {} differ", found.len());
    assert!(found.is_empty(), "{} differ: {found:?}", found.len());
    if std::env::var_os("OBRING_SCRIPT").is_some() {
        return;
    }
    for (protocol, counter, proxy) in &proxies {
        let login = Login::user("root@proxysys", "pw");
        let mut admin = Conn::login(proxy.address(), &login).expect("login of the administrator");
        let show = format!("show proxystat like '{counter}'");
        let rows = admin.rows(&show).expect("counters");
        let links = rows.first().and_then(|row| row.get(1)?.as_deref());
        let links: u64 = links.unwrap_or_default().parse().unwrap_or_default();
        assert!(links > 0, "{protocol}: {rows:?}");
    }
}

/// The rig can see: a relay that changes one byte of what it passes makes scripts differ.
#[test]
fn a_changed_byte_is_found() {
    let kernel = process::kernel();
    let relay = Relay::start(kernel).expect("relay");
    let run = |to| {
        let run = Run::new(to);
        run.login("a", &Login::default()).qs(&["select 'needle'"]);
        run.transcript()
    };
    let direct = run(kernel);
    assert_eq!(compare(&direct, &run(relay.address())), []);
    relay.replace(b"needle", b"nEedle");
    let found = compare(&direct, &run(relay.address()));
    assert_eq!(found.len(), 1, "{found:?}");
}
