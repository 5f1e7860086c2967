//! `accept foundation`: runs every acceptance line and prints the table. scripts/accept builds what
//! it needs and calls it.

use bench_harness::accept::{Table, foundation};
use bench_harness::checks::Setup;
use bench_harness::process::kernel;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "accept foundation --obring PATH --root DIR [--mysql-test DIR] [--full] \
                     [--only TEXT]; OBRING_KERNEL=host:port names a running kernel";

fn job() -> Result<foundation::Job, String> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some("foundation") {
        return Err("the one suite is `foundation`".into());
    }
    let (mut obring, mut root) = (None, None);
    let (mut mysql_test, mut full, mut only) = (None, false, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--obring" => obring = Some(PathBuf::from(value()?)),
            "--root" => root = Some(PathBuf::from(value()?)),
            "--mysql-test" => mysql_test = Some(PathBuf::from(value()?)),
            "--only" => only = Some(value()?),
            "--full" => full = true,
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    let binary = obring.ok_or("--obring is missing")?;
    if !binary.is_file() {
        return Err(format!("there is no {}", binary.display()));
    }
    Ok(foundation::Job {
        setup: Setup {
            binary,
            kernel: kernel(),
        },
        root: root.ok_or("--root is missing")?,
        mysql_test,
        full,
        only,
    })
}

fn main() -> ExitCode {
    let job = match job() {
        Ok(job) => job,
        Err(e) => {
            eprintln!("accept: {e}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut table = Table::default();
    table.is_live = true;
    foundation::run(&job, &mut table);
    println!("{}", table.summary());
    ExitCode::from(table.exit_code())
}
