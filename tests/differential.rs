//! The same packets sent to the kernel directly and through obring bring the same packets back.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test differential`. With
//! `OBRING_SCRIPT=text` only scripts whose name contains the text run, with
//! `OBRING_THROUGH=host:port`
//! against a proxy that is already running, with `OBRING_SHOW=1` what came directly is printed.
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
use bench_harness::relay::Relay;
use bench_harness::session::Run;
use bench_harness::transcript::{Difference, Transcript, compare};
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

/// Runs all scripts against both addresses; the names of those that differ, with what differs.
fn run_all(direct: SocketAddr, through: SocketAddr) -> Vec<(String, Vec<Difference>)> {
    let mut found = vec![];
    for script in table().0 {
        let watch = Watch::start();
        let transcripts = [direct, through].map(|to| {
            let run = Run::new(to);
            (script.run)(&run);
            run.transcript()
        });
        if watch.elapsed() > SLOW {
            println!("script {} took {:?}", script.name, watch.elapsed());
        }
        if std::env::var_os("OBRING_SHOW").is_some() {
            show(&script.name, &transcripts[0]);
        }
        let differences = compare(&transcripts[0], &transcripts[1]);
        if !differences.is_empty() {
            println!("script {} differs:", script.name);
            for d in &differences {
                println!("{d}");
            }
            found.push((script.name, differences));
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
    let given = std::env::var("OBRING_THROUGH").ok();
    let (through, _proxy) = match given {
        Some(text) => (text.parse().expect("OBRING_THROUGH=host:port"), None),
        None => {
            let options = Options::new(env!("CARGO_BIN_EXE_obring"), &[kernel]);
            let proxy = Obring::start(&options).expect("obring starts");
            (proxy.address(), Some(proxy))
        }
    };
    let scripts = table().0.len();
    let found = run_all(kernel, through);
    println!("{scripts} scripts, {} differ", found.len());
    let names: Vec<_> = found.iter().map(|(n, _)| n.as_str()).collect();
    assert!(
        names.is_empty(),
        "{} of {scripts} differ: {names:?}",
        names.len()
    );
}

/// The rig can see: a relay that changes one byte of what it passes makes scripts differ.
#[test]
fn a_changed_byte_is_found() {
    let kernel = process::kernel();
    let relay = Relay::start(kernel).expect("relay");
    let run = |to| {
        let run = Run::new(to);
        run.login("a", &bench_harness::raw::Login::default())
            .qs(&["select 'needle'"]);
        run.transcript()
    };
    let direct = run(kernel);
    assert_eq!(compare(&direct, &run(relay.address())), []);
    relay.replace(b"needle", b"nEedle");
    let found = compare(&direct, &run(relay.address()));
    assert_eq!(found.len(), 1, "{found:?}");
}
