//! `partfuzz [--minutes N] [--seed N] [--folder DIR] [-v]`: random statements against the scanner
//! and the calculation of partitions. Half of the time goes to a comparison with a slow reading of
//! the same rules, half to statements of the vectors with pieces changed. Exit code 1 with a
//! fault; a panic or a hang ends the run with the seed that repeats it. `-v` shows answers that are
//! wider than the rows need.

use bench_harness::partcheck::fuzz::{Corpus, Tally, compare, mutate};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The seed that is being run, for who watches.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// Longest time of 41 seeds, in seconds: debug builds on a busy machine need milliseconds. Each is
/// waited for by itself: a machine that is put to sleep must not look like a hang.
const HANG_S: u32 = 20;

#[expect(
    clippy::disallowed_methods,
    reason = "runs for a time, and watches for hangs"
)]
fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().collect();
    let value = |name: &str| {
        let at = words.iter().position(|w| w == name)?;
        words.get(at + 1)
    };
    let minutes: f64 = value("--minutes")
        .and_then(|v| v.parse().ok())
        .unwrap_or(0.1);
    let first = value("--seed").and_then(|v| v.parse().ok()).unwrap_or(1);
    let folder = value("--folder").map_or_else(|| "tests/partition".into(), PathBuf::from);
    let corpus = match Corpus::read(&folder) {
        Ok(corpus) => corpus,
        Err(e) => {
            eprintln!("partfuzz: {e}");
            return ExitCode::from(2);
        }
    };
    let (alive, heard) = channel();
    std::thread::spawn(move || watch(&heard));
    let (start, length) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let (mut compared, mut mutated) = (Tally::default(), Tally::default());
    let mut seed = first;
    // The first panic shows its seed.
    std::panic::set_hook(Box::new(|info| {
        eprintln!("seed {}: {info}", RUNNING.load(Ordering::Relaxed));
    }));
    while start.elapsed() < length && compared.faults.len() + mutated.faults.len() < 20 {
        RUNNING.store(seed, Ordering::Relaxed);
        compared.add(compare(seed));
        for _ in 0..40 {
            seed += 1;
            RUNNING.store(seed, Ordering::Relaxed);
            mutated.add(mutate(&corpus, seed));
        }
        seed += 1;
        // Who watches lives as long as the process.
        let _ = alive.send(());
    }
    for fault in compared.faults.iter().chain(&mutated.faults) {
        println!("{fault}");
    }
    if words.iter().any(|w| w == "-v") {
        compared
            .shown
            .iter()
            .for_each(|wider| println!("wider: {wider}"));
    }
    println!("seeds {first} to {seed}");
    println!("compared: {compared}");
    println!("mutated: {mutated}");
    match compared.faults.is_empty() && mutated.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Ends the process when some seeds take too long.
fn watch(heard: &Receiver<()>) {
    let mut silent_s = 0;
    while silent_s < HANG_S {
        match heard.recv_timeout(Duration::from_secs(1)) {
            Ok(()) => silent_s = 0,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => silent_s += 1,
        }
    }
    let seed = RUNNING.load(Ordering::Relaxed);
    eprintln!("seed {seed}: still running after {HANG_S} s");
    std::process::exit(3);
}
