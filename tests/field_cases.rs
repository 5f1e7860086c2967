//! The field cases at their small size: one test each (`bench_harness::field`).
//!
//! `OBRING_KERNEL=host:port cargo test --features e2e --test field_cases`.
#![cfg(feature = "e2e")]
#![allow(missing_docs, reason = "a test")]

use bench_harness::checks::Setup;
use bench_harness::field::{Field, Plan, Size, cases, fixture};
use bench_harness::process::kernel;
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
    F001 F002 F003 F004 F005 F006 F007 F008 F010 F011 F012 F013 F014 F015 F016
    F017 F019 F020 F021 F022 F023 F024 F025 F026 F027 F028 F029 F030 F031 F032 F034
    F035 F036 F043 F044 F058 F062 F063 F065 F066 F067 F069 F072 F073 F074 F075
    F080 F081 F085 F087 F089 F090 F091 F092 F093 F094 F095 F096 F097 F098 F102 F103
    F104 F105 F106 F107
}
