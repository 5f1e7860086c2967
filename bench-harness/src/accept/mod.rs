//! Acceptance: named lines, each with figure, bound and verdict, as one table.

pub mod cluster;
mod command;
pub mod foundation;
pub mod judge;
pub mod mysql_test;
pub mod operate;
pub mod outcome;
pub mod partition;
pub mod routing;
pub mod session;

use crate::checks::Setup;
use std::fmt;
use std::path::PathBuf;

/// What to judge.
#[derive(Clone, Debug)]
pub struct Job {
    /// obring and kernel.
    pub setup: Setup,
    /// Root of the repository.
    pub root: PathBuf,
    /// Folder of the kernel's public mysql_test files.
    pub mysql_test: Option<PathBuf>,
    /// A folder of partition vectors besides the repository's own.
    pub vectors: Option<PathBuf>,
    /// Seeds of each sort of random sessions, per framing and mode.
    pub seeds: u64,
    /// A relay to measure as the floor: a crate or a binary.
    pub relay: Option<PathBuf>,
    /// Everything at its full size.
    pub is_long: bool,
    /// Only lines whose name contains this.
    pub only: Option<String>,
    /// No lines whose name contains this.
    pub without: Option<String>,
}

impl Job {
    /// True: this line is to be judged.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        let has = |text: &String| name.contains(text.as_str());
        self.only.as_ref().is_none_or(has) && !self.without.as_ref().is_some_and(has)
    }
}

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it must be.
    Pass,
    /// Not as it must be.
    Fail,
    /// Not run; the figure says why.
    NotRun,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::NotRun => "NOT RUN",
        })
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What is judged.
    pub name: String,
    /// What it must be.
    pub bound: String,
    /// What was seen, or why it was not run.
    pub figure: String,
    /// The judgement.
    pub verdict: Verdict,
}

/// All lines of one run.
#[derive(Clone, Debug, Default)]
pub struct Table {
    lines: Vec<Line>,
    /// Print each line as it is judged.
    pub is_live: bool,
}

impl Table {
    /// Judges a line: `Ok` passes, `Err` fails; both say what was seen.
    pub fn judge(&mut self, name: &str, bound: &str, saw: Result<String, String>) {
        let (figure, verdict) = match saw {
            Ok(figure) => (figure, Verdict::Pass),
            Err(figure) => (figure, Verdict::Fail),
        };
        self.push(name, bound, figure, verdict);
    }

    /// A line that is not run, and why.
    pub fn not_run(&mut self, name: &str, bound: &str, why: &str) {
        self.push(name, bound, why.into(), Verdict::NotRun);
    }

    fn push(&mut self, name: &str, bound: &str, figure: String, verdict: Verdict) {
        let line = Line {
            name: name.into(),
            bound: bound.into(),
            figure,
            verdict,
        };
        if self.is_live {
            println!("{line}");
        }
        self.lines.push(line);
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Exit code of the run: 1 with a line that failed, or with no line at all.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let failed = self.lines.iter().any(|l| l.verdict == Verdict::Fail);
        u8::from(failed || self.lines.is_empty())
    }

    /// `N passed, N failed, N not run`.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |v| self.lines.iter().filter(|l| l.verdict == v).count();
        format!(
            "{} passed, {} failed, {} not run",
            count(Verdict::Pass),
            count(Verdict::Fail),
            count(Verdict::NotRun)
        )
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            bound,
            figure,
            verdict,
        } = self;
        let mut rows = figure.lines();
        let first = rows.next().unwrap_or_default();
        write!(f, "{verdict:<7} | {name:<28} | {bound} | {first}")?;
        rows.try_for_each(|row| write!(f, "\n        | {row}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_line_fails_the_run_and_is_named() {
        let mut t = Table::default();
        assert_eq!(t.exit_code(), 1, "nothing was judged");
        t.judge("a", "<= 1", Ok("0".into()));
        t.not_run("b", "equal", "no tool");
        assert_eq!(t.exit_code(), 0);
        t.judge("c", "<= 1", Err("2\nmore".into()));
        assert_eq!(t.exit_code(), 1);
        assert_eq!(t.summary(), "1 passed, 1 failed, 1 not run");
        let text = t.lines()[2].to_string();
        assert!(
            text.starts_with("FAIL") && text.contains("| <= 1 | 2\n"),
            "{text}"
        );
        assert!(t.lines()[1].to_string().starts_with("NOT RUN | b"));
    }
}
