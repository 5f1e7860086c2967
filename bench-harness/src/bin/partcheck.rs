//! `partcheck [-v] DIR`: judges obring's partitions by a folder of vectors, and prints how many
//! answers are exact, wider, narrower, unproven, unknown or wrong, per kind and shape. Exit code 1
//! with a wrong one.

use bench_harness::partcheck::{Class, check};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut folder, mut is_verbose) = (None, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "-v" => is_verbose = true,
            _ => folder = Some(PathBuf::from(argument)),
        }
    }
    let Some(folder) = folder else {
        eprintln!("usage: partcheck [-v] DIR\n  -v  also show answers that are not exact");
        return ExitCode::from(2);
    };
    let report = match check(&folder) {
        Ok(report) => report,
        Err(e) => {
            eprintln!("partcheck: {e}");
            return ExitCode::from(2);
        }
    };
    for case in &report.cases {
        let is_shown = match case.class {
            Class::Wrong => true,
            Class::Exact | Class::Refused => false,
            _ => is_verbose,
        };
        if is_shown {
            let [sql, server, ours] = &case.said;
            println!("{} {} ({}): {sql}", case.class, case.id, case.kind);
            println!("    server {server}; obring {ours}");
        }
    }
    print!("{report}");
    let wrong = report.count(Class::Wrong, |_| true);
    ExitCode::from(u8::from(wrong > 0 || report.cases.is_empty()))
}
