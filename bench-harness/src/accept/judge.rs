//! The lines of `accept judge`: the judge of the model cluster before the vectors.

use super::{Job, Table};
use crate::checks::Saw;
use crate::partcheck::judged::judge;
use std::net::SocketAddr;
use std::path::Path;

/// Runs all lines.
pub fn run(job: &Job, table: &mut Table) {
    let own = job.root.join("tests/partition");
    let other = job
        .vectors
        .as_deref()
        .map(|folder| ("other vectors", folder));
    for (name, folder) in std::iter::once(("vectors", own.as_path())).chain(other) {
        let name = format!("judge: {name}");
        if job.wants(&name) {
            let bound = "0 wrong; unknown by reason";
            table.judge(&name, bound, vectors(folder, job.setup.kernel));
        }
    }
}

/// The recorded INSERT, prepared, WHERE and join statements of a folder: each verdict is the
/// recorded leaves, or all, or unknown.
fn vectors(folder: &Path, kernel: SocketAddr) -> Saw {
    let seen = judge(folder, kernel)?;
    let saw = format!("{seen}\n{}{}", seen.wrong.join("\n"), seen.fails.join("\n"));
    match seen.wrong.is_empty() && seen.count(|_| true) > 0 {
        true => Ok(saw),
        false => Err(saw),
    }
}
