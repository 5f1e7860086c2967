//! Where a value came from.

use std::fmt;
use std::sync::Arc;

/// Where a value came from. Later in this list wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The table.
    Default,
    /// The settings file.
    File {
        /// Its path, as given.
        path: Arc<str>,
        /// Line, from 1.
        line: usize,
    },
    /// What an earlier command line or an ALTER has left.
    Stored,
    /// `-o name=value`.
    Option,
    /// A flag of its own, as `-p`.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
}

impl Source {
    /// Higher wins.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Stored => 2,
            Self::Option => 3,
            Self::Flag(_) => 4,
            Self::Environment(_) => 5,
        }
    }

    /// True for a value that nobody gave.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }

    /// True for a value of the command line.
    pub(super) const fn is_command_line(&self) -> bool {
        matches!(self, Self::Option | Self::Flag(_))
    }

    /// True for a value of the settings file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Stored => f.write_str("stored"),
            Self::Option => f.write_str("-o"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Environment(name) => write!(f, "environment {name}"),
        }
    }
}
