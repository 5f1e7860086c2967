//! User-space instructions per statement of the session machine and of routing, by callgrind: the
//! difference of two runs, so that start and login are not in it. They do not depend on how busy
//! the machine is, so a record of one commit compares with that of another, given one compiler.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Cases of a benchmark: name, statements of the two runs, rows per statement.
type Cases = &'static [(&'static str, [u64; 2], u64)];

/// Cases of `perf/session.rs`.
const SESSION: Cases = &[
    ("point_select", [1_000, 3_000], 1),
    ("large_reply", [20, 60], 1_024),
    ("point_select_ob20", [1_000, 3_000], 1),
    ("large_reply_ob20", [20, 60], 1_024),
    ("point_select_adler", [1_000, 3_000], 1),
    ("large_reply_adler", [20, 60], 1_024),
];

/// Cases of `perf/partition.rs`.
const PARTITION: Cases = &[("scan", [1_000, 3_000], 1), ("hash_key", [1_000, 3_000], 1)];

/// Cases of `perf/route.rs`.
const ROUTE: Cases = &[
    ("route", [1_000, 11_000], 1),
    ("route_weak", [1_000, 11_000], 1),
];

/// Counts with the built benchmarks, and gives the record: a TSV.
///
/// # Errors
/// What valgrind said instead.
pub fn record(session: &Path, partition: &Path, route: &Path) -> Result<String, String> {
    let mut out = format!(
        "# {}, {}, {}\ncase\tinstructions_per_statement\tinstructions_per_row\n",
        version("rustc")?,
        version("valgrind")?,
        std::env::consts::ARCH
    );
    for (binary, cases) in [(session, SESSION), (partition, PARTITION), (route, ROUTE)] {
        for (case, runs, rows) in cases {
            let each = per_statement(binary, case, *runs)?;
            let _ = writeln!(out, "{case}\t{each}\t{}", each / rows);
        }
    }
    Ok(out)
}

/// Instructions per statement of a case of a built benchmark, from two runs of so many statements.
///
/// # Errors
/// What valgrind said instead.
pub fn per_statement(binary: &Path, case: &str, [few, many]: [u64; 2]) -> Result<u64, String> {
    let counted = [collect(binary, case, few)?, collect(binary, case, many)?];
    difference(counted, [few, many])
        .ok_or_else(|| format!("{case}: {counted:?} instructions for {few} and {many}"))
}

const fn difference(counted: [u64; 2], statements: [u64; 2]) -> Option<u64> {
    match counted[1].checked_sub(counted[0]) {
        Some(more) => more.checked_div(statements[1] - statements[0]),
        None => None,
    }
}

fn collect(session: &Path, case: &str, statements: u64) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(session)
        .args(["--only", case, "--statements", &statements.to_string()])
        .output()
        .map_err(|e| format!("valgrind cannot be started: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = output.status.success().then(|| collected(&said)).flatten();
    count.ok_or_else(|| format!("{case}: callgrind ended with {}: {said}", output.status))
}

/// The number in `==1== Collected : 123`.
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn version(program: &str) -> Result<String, String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|e| format!("{program} cannot be started: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_not_counted() {
        assert_eq!(collected("==7== \n==7== Collected : 1500\n"), Some(1_500));
        assert_eq!(collected("==7== Collected"), None);
        assert_eq!(difference([1_500, 3_500], [10, 30]), Some(100));
        assert_eq!(difference([3_500, 1_500], [10, 30]), None);
    }
}
