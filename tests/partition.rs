//! Partitions that a real server chose (`tests/partition/README.md`), against those that are
//! calculated.
#![allow(missing_docs, reason = "a test")]

use bench_harness::partcheck::fuzz::{Corpus, Tally, compare, mutate};
use bench_harness::partcheck::{Case, Class, SHAPES, check};
use std::path::Path;

#[test]
fn partitions_are_those_of_the_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partition");
    of_the_server(&folder, 6_900, [0.95, 0.95]);
}

/// Tables, keys and literals that the first folder has few of, and what once went wrong. Lists have
/// literals of unlike types.
#[test]
fn partitions_of_more_tables_are_those_of_the_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partition/more");
    of_the_server(&folder, 3_400, [0.90, 0.94]);
}

fn of_the_server(folder: &Path, least: usize, [lists, all_shapes]: [f64; 2]) {
    let report = check(folder).expect("vectors");
    println!("{report}");
    assert!(report.tables.is_empty(), "{:?}", report.tables);
    assert!(report.cases.len() > least, "{}", report.cases.len());
    let wrong: Vec<_> = report
        .cases
        .iter()
        .filter(|c| c.class == Class::Wrong)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");

    let share = |name: &str, bound: f64, keep: &dyn Fn(&Case) -> bool| {
        let share = report.exact_share(keep);
        println!("{name}: {share:.4} are exact");
        assert!(
            share >= bound,
            "{name}: {share:.4} are exact, {bound} must be"
        );
    };
    share("INSERT", 1.0, &|c| c.file == "insert");
    share("prepared", 1.0, &|c| c.file == "ps");
    for shape in SHAPES {
        let is_list = ["in", "in-all", "or-all"].contains(shape);
        let bound = if is_list { lists } else { 0.95 };
        share(shape, bound, &|c| c.shape == *shape && c.is_pruned);
    }
    share("all shapes", all_shapes, &|c| c.file == "where");
}

/// `partfuzz` runs as long as one likes; these are the first moments of it.
#[test]
fn random_statements_agree_with_a_slow_reading() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/partition");
    let corpus = Corpus::read(&folder).expect("vectors");
    let (mut compared, mut mutated) = (Tally::default(), Tally::default());
    for seed in 0..40 {
        compared.add(compare(seed));
    }
    for seed in 0..2_000 {
        mutated.add(mutate(&corpus, seed));
    }
    println!("{compared}\n{mutated}");
    assert!(compared.faults.is_empty(), "{}", compared.faults.join("\n"));
    assert!(mutated.faults.is_empty(), "{}", mutated.faults.join("\n"));
    assert!(compared.exact > 100, "{compared}");
    assert!(compared.wider * 50 <= compared.exact, "{compared}");
}
