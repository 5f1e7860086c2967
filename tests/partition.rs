//! Partitions that a real server chose (`tests/partition/README.md`), against those that are
//! calculated.
#![allow(missing_docs, reason = "a test")]

use bench_harness::partcheck::{Case, Class, check};
use std::path::Path;

/// Shapes of conditions on which most statements rest.
const SHAPES: &[&str] = &[
    "eq-all",
    "eq-one",
    "eq-flip",
    "nseq",
    "in",
    "in-all",
    "or-all",
    "paren",
    "extra-and",
    "row",
    "row-in",
    "isnull",
];

#[test]
fn partitions_are_those_of_the_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partition");
    let report = check(&folder).expect("vectors");
    println!("{report}");
    assert!(report.tables.is_empty(), "{:?}", report.tables);
    assert!(report.cases.len() > 6_900, "{}", report.cases.len());
    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|c| c.class == Class::Wrong)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");

    let share = |name: &str, bound: f64, keep: &dyn Fn(&Case) -> bool| {
        let share = report.exact_share(keep);
        assert!(
            share >= bound,
            "{name}: {share:.4} are exact, {bound} must be"
        );
    };
    // Not exact: md5(), two orders of GBK characters, and two values that do not fit.
    share("INSERT", 0.998, &|c| c.file == "insert");
    share("prepared", 1.0, &|c| c.file == "ps");
    for shape in SHAPES {
        share(shape, 0.95, &|c| c.shape == *shape && c.is_pruned);
    }
    share("all shapes", 0.95, &|c| c.file == "where");
}
