//! `accept SUITE`: runs every line of a suite and prints the table. scripts/accept builds
//! what it needs and calls it.

use bench_harness::accept::{
    Job, Table, cluster, foundation, judge, operate, outcome, partition, routing, session,
};
use bench_harness::checks::Setup;
use bench_harness::process::kernel;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "accept foundation|serving|operate|cluster-basics|partition|judge|session|\
                     routing|outcome --obring PATH --root DIR [--mysql-test DIR] [--relay PATH] \
                     [--vectors DIR] [--seeds N] [--long] [--only TEXT] [--without TEXT]; \
                     OBRING_KERNEL=host:port names a running kernel";

/// A suite: judges its lines.
type Suite = fn(&Job, &mut Table);

fn job() -> Result<(Suite, Job), String> {
    let mut words = std::env::args().skip(1);
    let suite: Suite = match words.next().as_deref() {
        Some("foundation") => foundation::run,
        Some("serving") => foundation::serving,
        Some("operate") => operate::run,
        Some("cluster-basics") => cluster::run,
        Some("partition") => partition::run,
        Some("judge") => judge::run,
        Some("session") => session::run,
        Some("routing") => routing::run,
        Some("outcome") => outcome::run,
        other => {
            let other = other.unwrap_or_default();
            return Err(format!("there is no suite {other:?}"));
        }
    };
    let (mut obring, mut root) = (None, None);
    let (mut mysql_test, mut relay, mut is_long) = (None, None, false);
    let (mut only, mut without) = (None, None);
    let (mut vectors, mut seeds) = (None, None);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--obring" => obring = Some(PathBuf::from(value()?)),
            "--root" => root = Some(PathBuf::from(value()?)),
            "--mysql-test" => mysql_test = Some(PathBuf::from(value()?)),
            "--vectors" => vectors = Some(PathBuf::from(value()?)),
            "--only" => only = Some(value()?),
            "--without" => without = Some(value()?),
            "--seeds" => seeds = Some(value()?.parse().map_err(|e| format!("--seeds: {e}"))?),
            "--relay" => relay = Some(PathBuf::from(value()?)),
            "--long" => is_long = true,
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    let binary = obring.ok_or("--obring is missing")?;
    if !binary.is_file() {
        return Err(format!("there is no {}", binary.display()));
    }
    let job = Job {
        setup: Setup {
            binary,
            kernel: kernel(),
        },
        root: root.ok_or("--root is missing")?,
        mysql_test,
        vectors,
        seeds: seeds.unwrap_or(if is_long { 2_000 } else { 150 }),
        relay,
        is_long,
        only,
        without,
    };
    Ok((suite, job))
}

fn main() -> ExitCode {
    let (suite, job) = match job() {
        Ok(it) => it,
        Err(e) => {
            eprintln!("accept: {e}\nusage: {USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut table = Table::default();
    table.is_live = true;
    suite(&job, &mut table);
    println!("{}", table.summary());
    ExitCode::from(table.exit_code())
}
