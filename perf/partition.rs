//! What it costs to read a statement, and to find its partition. `cargo bench --bench partition`.
//!
//! `--only CASE --statements N` runs one case N times: callgrind counts the instructions of two
//! such runs.
#![allow(missing_docs, reason = "a benchmark")]

use obring::partition::{Context, Request, Table, leaves, only_leaf};
use obring::sql::{Scan, Syntax};
use std::hint::black_box;
use std::time::Instant;

const POINT_SELECT: &[u8] = b"SELECT c FROM sbtest1 WHERE id=12345";

/// A case: its name, and what runs it so many times.
type Case = (&'static str, fn(u64));

/// `PARTITION BY HASH(id) PARTITIONS 16` over a bigint.
fn table() -> Table {
    Table::by_hash(b"id", (0..16).map(|n| (&b"p"[..], n)))
}

fn scan(count: u64) {
    let mut scan = Scan::default();
    for _ in 0..count {
        scan.read(black_box(POINT_SELECT), Syntax::default(), true);
        black_box(&scan);
    }
}

fn hash_key(count: u64) {
    ask(count, |request| {
        black_box(leaves(request, 0));
    });
}

fn only_hash_key(count: u64) {
    ask(count, |request| {
        let table = request.tables.first().copied().flatten();
        black_box(table.and_then(|t| only_leaf(request.text, request.scan, request.context, t)));
    });
}

fn ask(count: u64, call: impl Fn(&Request<'_>)) {
    let table = table();
    let mut scan = Scan::default();
    scan.read(POINT_SELECT, Syntax::default(), true);
    let context = Context::default();
    let tables = [Some(&table)];
    for _ in 0..count {
        call(&Request {
            text: black_box(POINT_SELECT),
            scan: &scan,
            tables: &tables,
            context: &context,
        });
    }
}

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
    let cases: [Case; 3] = [
        ("scan", scan),
        ("hash_key", hash_key),
        ("only_hash_key", only_hash_key),
    ];
    for (name, run) in cases {
        if only.as_ref().is_none_or(|o| o == name) {
            let start = Instant::now();
            run(count);
            let each = start.elapsed().as_nanos() as u64 / count.max(1);
            println!("{name:<13} {each:>6} ns");
        }
    }
}
