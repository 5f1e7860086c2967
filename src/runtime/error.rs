//! Why the runtime cannot start.

use super::uring::Refusal;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why the runtime cannot start. Each prints as one line that says what to change.
#[derive(Debug)]
pub enum StartError {
    /// The kernel, or the limits on this process, do not give us a ring.
    Ring(Refusal),
    /// An address cannot be listened on.
    Listen {
        /// The address, as configured.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The limit of open files is too low.
    Files {
        /// Configured maximum of clients.
        clients_max: u32,
        /// Descriptors needed for them.
        needed: u32,
        /// Descriptors allowed.
        allowed: u32,
    },
    /// A core's thread could not be started or set up.
    Core {
        /// Name of the core.
        core: String,
        /// What went wrong.
        what: String,
    },
    /// The plan makes no sense.
    Plan(&'static str),
}

impl StartError {
    /// The exit code of the process: 2 plan, 3 ring, 4 address, 5 limits, 6 core.
    #[must_use]
    pub const fn exit_code(&self) -> i32 {
        match self {
            Self::Plan(_) => 2,
            Self::Ring(_) => 3,
            Self::Listen { .. } => 4,
            Self::Files { .. } => 5,
            Self::Core { .. } => 6,
        }
    }
}

/// The text of an error without the "(os error 98)" that std appends.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let cut = text.find(" (os error").unwrap_or(text.len());
    text[..cut].to_owned()
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(refusal) => refusal.fmt(f),
            Self::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {}", plain(error))
            }
            Self::Files {
                clients_max,
                needed,
                allowed,
            } => write!(
                f,
                "the limit of open files ({allowed}) is too low for {clients_max} clients: \
                 {needed} are needed; raise LimitNOFILE (ulimit -Hn) or lower the number of clients"
            ),
            Self::Core { core, what } => write!(f, "core {core} cannot start: {what}"),
            Self::Plan(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for StartError {}
