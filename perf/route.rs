//! What it costs to decide where a point select goes, when its table is known to the core and the
//! text has been read. `cargo bench --bench route`.
//!
//! `--only CASE --statements N` runs one case N times: callgrind counts the instructions of two
//! such runs (`scripts/bench --record`).
#![allow(missing_docs, reason = "a benchmark")]

#[path = "../tests/machine/routed.rs"]
mod routed;

use std::time::Instant;

/// Cases: name, and whether the read is weak.
const CASES: [(&str, bool); 2] = [("route", false), ("route_weak", true)];

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn main() {
    let words: Vec<_> = std::env::args().collect();
    let value = |name: &str| {
        let at = words.iter().position(|w| w == name)?;
        words.get(at + 1).cloned()
    };
    let only = value("--only");
    let count = value("--statements")
        .and_then(|n| n.parse().ok())
        .unwrap_or(1_000_000);
    let core = routed::Core::new();
    for (name, is_weak) in CASES {
        if only.as_ref().is_none_or(|o| o == name) {
            let start = Instant::now();
            core.route(is_weak, count);
            let each = start.elapsed().as_nanos() as u64 / count.max(1);
            println!("{name:<10} {each:>6} ns");
        }
    }
}
