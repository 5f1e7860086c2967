//! Partition vectors: answers of a server, and what `obring::partition` says instead.
//!
//! A folder holds `partition_*.tsv`: tables and their metadata, statements and the leaves that the
//! server chose. `tests/partition/README.md` describes the format.

mod cases;
pub mod fuzz;
pub mod judged;
pub mod live;
mod proof;
mod tables;
mod tsv;

pub use cases::check;
pub(crate) use tables::describe_live;

use std::collections::BTreeMap;
use std::fmt;

/// How an answer compares with the server's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// The same leaves; or nothing, where the server shows the first leaf for nothing.
    Exact,
    /// These and others.
    Superset,
    /// Fewer, where the server shows all; there are stored rows elsewhere, and the statement
    /// selects none of them.
    Narrower,
    /// Fewer, where the server shows all, and no stored row tells who is right.
    Unproven,
    /// Nothing was known.
    Unknown,
    /// The server refused the statement: there is nothing to compare.
    Refused,
    /// Leaves are missing.
    Wrong,
}

impl Class {
    /// All, in the order of the report.
    pub const ALL: [Self; 7] = [
        Self::Exact,
        Self::Superset,
        Self::Narrower,
        Self::Unproven,
        Self::Unknown,
        Self::Refused,
        Self::Wrong,
    ];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exact => "exact",
            Self::Superset => "superset",
            Self::Narrower => "narrower",
            Self::Unproven => "unproven",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Wrong => "WRONG",
        })
    }
}

/// Shapes of conditions on which most statements rest (routing.md 10).
pub const SHAPES: &[&str] = &[
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

/// One judged statement.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in the file.
    pub id: String,
    /// `insert`, `ps`, `where`, `join`
    pub file: &'static str,
    /// Kind of the table.
    pub kind: String,
    /// Shape of the condition; of an INSERT its file.
    pub shape: String,
    /// The verdict.
    pub class: Class,
    /// The server prunes: it shows fewer leaves than all, and not the first one alone.
    pub is_pruned: bool,
    /// The statement, the server's leaves, ours.
    pub said: [String; 3],
}

/// All judged statements of a folder.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of the files.
    pub cases: Vec<Case>,
    /// Tables that could not be described, and why.
    pub tables: Vec<String>,
}

impl Report {
    /// How many are of a class, among those that `keep` keeps.
    pub fn count(&self, class: Class, keep: impl Fn(&Case) -> bool) -> usize {
        let is_it = |c: &&Case| c.class == class && keep(c);
        self.cases.iter().filter(is_it).count()
    }

    /// The share of exact answers among those that `keep` keeps; 1 if there are none. Refused ones
    /// are left out, and those of which nothing is proved. An answer that is narrower than the
    /// server's, and was held against rows, is as good as an exact one.
    pub fn exact_share(&self, keep: impl Fn(&Case) -> bool) -> f64 {
        let all = self
            .cases
            .iter()
            .filter(|c| keep(c) && !matches!(c.class, Class::Refused | Class::Unproven))
            .count();
        let good = self.count(Class::Exact, &keep) + self.count(Class::Narrower, &keep);
        if all == 0 {
            1.0
        } else {
            good as f64 / all as f64
        }
    }

    fn by(&self, key: impl Fn(&Case) -> String) -> BTreeMap<String, BTreeMap<Class, usize>> {
        let mut all: BTreeMap<String, BTreeMap<Class, usize>> = BTreeMap::new();
        for case in &self.cases {
            *all.entry(key(case))
                .or_default()
                .entry(case.class)
                .or_default() += 1;
        }
        all
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "table {table}")?;
        }
        let groups = [
            ("kind", self.by(|c| c.kind.clone())),
            ("shape", self.by(|c| c.shape.clone())),
            ("file", self.by(|c| c.file.to_owned())),
        ];
        for (name, rows) in groups {
            write!(f, "{name:<24}")?;
            for class in Class::ALL {
                write!(f, "{class:>10}")?;
            }
            writeln!(f)?;
            for (key, counts) in rows {
                write!(f, "  {key:<22}")?;
                for class in Class::ALL {
                    write!(f, "{:>10}", counts.get(&class).unwrap_or(&0))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
