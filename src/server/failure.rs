//! Why the process cannot start.

use crate::config::ConfigError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the process cannot start. Displays as one line.
#[derive(Debug)]
pub enum Failure {
    /// The command line.
    Arguments(String),
    /// The settings file cannot be read.
    File {
        /// Its path, as given.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// The settings.
    Settings(ConfigError),
    /// The log file cannot be opened.
    Log {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// Detaching from the terminal failed, or the detached process ended without a word.
    Daemon(String),
    /// The runtime (ring, addresses, limits, cores), with its own exit code; or any cause told by
    /// the detached process.
    Told {
        /// Exit code.
        code: u8,
        /// One line.
        text: String,
    },
}

impl Failure {
    /// The settings file at `path` cannot be read.
    #[must_use]
    pub(super) fn file(path: &Path, error: &io::Error) -> Self {
        Self::File {
            path: path.into(),
            error: plain(error),
        }
    }

    /// The exit code: 2 command line or settings, 7 log file, 8 detaching. The runtime adds
    /// 3 io_uring, 4 address, 5 limits, 6 core.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Arguments(_) | Self::File { .. } | Self::Settings(_) => 2,
            Self::Log { .. } => 7,
            Self::Daemon(_) => 8,
            Self::Told { code, .. } => *code,
        }
    }
}

/// The text of a system error without the "(os error 2)" that std appends.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let cut = text.find(" (os error").unwrap_or(text.len());
    text[..cut].to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(text) | Self::Daemon(text) | Self::Told { text, .. } => {
                f.write_str(text)
            }
            Self::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Self::Settings(error) => error.fmt(f),
            Self::Log { path, error } => {
                write!(f, "cannot write log file {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Settings(error)
    }
}
