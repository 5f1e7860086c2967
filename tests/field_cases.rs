//! The field cases at their small size: one test each (`bench_harness::field`).
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test field_cases`.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

use bench_harness::checks::Setup;
use bench_harness::field::{Field, Place, Plan, Size, cases, fixture, needs_c1};
use bench_harness::process::kernel;
use bench_harness::random::World;
use std::sync::OnceLock;

fn field() -> Field {
    static MADE: OnceLock<()> = OnceLock::new();
    let setup = Setup {
        binary: env!("CARGO_BIN_EXE_obring").into(),
        kernel: kernel(),
    };
    MADE.get_or_init(|| fixture(setup.kernel).expect("fixture"));
    Field {
        setup,
        size: Size::Small,
        place: Place::Kernel,
    }
}

fn run(id: &str) {
    let case = cases().into_iter().find(|c| c.id == id).expect(id);
    let (Plan::Check(check) | Plan::Part(check, _)) = case.plan else {
        panic!("{id} has no check");
    };
    match check(&field()) {
        Ok(saw) => println!("{saw}"),
        Err(text) => panic!("{id} ({}): {text}", case.title),
    }
}

/// The cases on three servers, once statements can go to servers at random.
#[test]
fn cases_that_need_c1() {
    let mut field = field();
    let world = World::start(&field.setup, &[]).expect("a world");
    let cases = needs_c1();
    if !world.has_random_mode().expect("the administrator") {
        println!("NOT RUN: {} field cases need C1", cases.len());
        return;
    }
    field.place = Place::Cluster;
    let mut wrong = vec![];
    for case in &cases {
        match (case.check)(&field) {
            Ok(saw) => println!("{}: {saw}", case.id),
            Err(text) => wrong.push(format!("{} ({}): {text}", case.id, case.title)),
        }
    }
    let all = cases.len();
    assert!(
        wrong.is_empty(),
        "{} of {all}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// One test per case, and one that says that none is missing.
macro_rules! field_cases {
    ($($id:ident)+) => {
        $(#[test]
        #[expect(non_snake_case, reason = "the case's own name")]
        fn $id() {
            run(stringify!($id));
        })+

        #[test]
        fn every_case_with_a_check_is_a_test() {
            let tests = [$(stringify!($id)),+];
            let checked: Vec<_> = cases()
                .iter()
                .filter(|c| !matches!(c.plan, Plan::Later(_)))
                .map(|c| c.id)
                .collect();
            assert_eq!(checked, tests);
        }
    };
}

field_cases! {
    F001 F002 F003 F004 F005 F006 F007 F008 F009 F010 F011 F012 F013 F014 F015 F016 F017 F018 F019
    F020 F021 F022 F023 F024 F025 F026 F027 F028 F029 F030 F031 F032 F033 F034 F035 F036 F037 F038
    F039 F040 F041 F043 F044 F046 F047 F048 F049 F051 F052 F053 F054 F055 F056 F057 F058 F059 F061
    F062 F063 F065 F066 F067 F069 F072 F073 F074 F075 F076 F080 F081 F085 F087 F089 F090 F091 F092
    F093 F094 F095 F096 F097 F098 F101 F102 F103 F104 F105 F106 F107
}
