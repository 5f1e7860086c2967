//! Random tables and statements on a real kernel: rows are where the calculation says.
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test partition_live`; `OBRING_SEED=n`
//! repeats a run, `OBRING_TABLES=n` makes it longer.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

use bench_harness::partcheck::live::run;
use bench_harness::process::kernel;

/// The seed of a run that names none: each run of the suite is the same.
const SEED: u64 = 24_649;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

#[test]
fn rows_are_where_the_calculation_says() {
    let seed = setting("OBRING_SEED", SEED);
    println!("OBRING_SEED={seed}");
    let seen = run(kernel(), seed, setting("OBRING_TABLES", 60)).expect("a kernel");
    println!("{seen}");
    assert!(
        seen.wrong.is_empty(),
        "seed {seed}: {}",
        seen.wrong.join("\n")
    );
    assert!(seen.tables > 20 && seen.equalities > 100, "{seen}");
    let share = seen.exact as f64 / seen.equalities as f64;
    assert!(
        share >= 0.95,
        "seed {seed}: {share:.3} of the equalities give one leaf"
    );
}
