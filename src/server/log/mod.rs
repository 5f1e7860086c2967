//! The log: one line per event, written by a thread of its own.
//!
//! A core formats a line and puts it into a queue of [`LINES_MAX`]; when the disk cannot follow,
//! lines are dropped and counted, never waited for.

mod line;
mod sink;

use super::Failure;
use super::failure::plain;
use crate::base::Level;
use crate::config::Settings;
use line::LineFormat;
pub(super) use sink::Reopen;
use sink::Sink;
use std::path::PathBuf;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;

/// Lines waiting for the disk, about 2 MB of text; when it is full, new ones are dropped and
/// counted.
const LINES_MAX: usize = 8192;

/// Where a daemon writes when no file is set; below the working directory, as OBProxy does.
const DAEMON_FILE: &str = "log/obring.log";

/// The running log. What waits is written when the value goes.
pub(super) struct Log {
    reopen: Reopen,
    not_queued: ErrorCounter,
    path: Option<PathBuf>,
    _writer: WorkerGuard,
}

/// Where lines go.
#[must_use]
pub(super) fn path(settings: &Settings, is_daemon: bool) -> Option<PathBuf> {
    match settings.log_file.as_str() {
        "" => is_daemon.then(|| DAEMON_FILE.into()),
        path => Some(path.into()),
    }
}

impl Log {
    /// Opens the log and makes it the process's.
    ///
    /// # Errors
    /// The file cannot be opened.
    ///
    /// # Panics
    /// At the second log of a process.
    pub(super) fn start(level: Level, path: Option<PathBuf>) -> Result<Self, Failure> {
        let sink = Sink::open(path.as_deref()).map_err(|e| Failure::Log {
            path: path.clone().unwrap_or_default(),
            error: plain(&e),
        })?;
        let reopen = sink.reopen();
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(LINES_MAX)
            .lossy(true)
            .thread_name("obring-log")
            .finish(sink);
        let log = Self {
            reopen,
            not_queued: writer.error_counter(),
            path,
            _writer: guard,
        };
        let subscriber = tracing_subscriber::fmt()
            .event_format(LineFormat)
            .with_max_level(filter(level))
            .with_writer(writer)
            .finish();
        tracing::subscriber::set_global_default(subscriber).expect("a process has one log");
        Ok(log)
    }

    /// The handle that reopens the file.
    pub(super) fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }

    /// The file; `None` is stderr.
    pub(super) fn path(&self) -> Option<&std::path::Path> {
        self.path.as_deref()
    }

    /// Lines lost so far: not queued, or not written.
    pub(super) fn lines_dropped(&self) -> usize {
        self.not_queued.dropped_lines() + self.reopen.lines_failed()
    }
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}
