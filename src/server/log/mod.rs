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
use std::io::Write;
use std::path::{Path, PathBuf};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

/// Lines waiting for the disk, about 2 MB of text; when it is full, new ones are dropped and
/// counted.
const LINES_MAX: usize = 8192;

/// Where a daemon writes when no file is set; below the working directory, as OBProxy does.
const DAEMON_FILE: &str = "log/obring.log";

/// Changes which lines are written, while the log runs.
#[derive(Clone, Debug)]
pub(super) struct Loudness(reload::Handle<LevelFilter, Registry>);

impl Loudness {
    /// Lines of this level and above are written.
    pub(super) fn set(&self, level: Level) {
        // It fails when the log is gone: then there is nothing to change.
        let _ = self.0.reload(filter(level));
    }
}

/// The running log. What waits is written when the value goes.
pub(super) struct Log {
    reopen: Reopen,
    loudness: Loudness,
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
        let (writer, guard) = queue(sink);
        let (filter, handle) = reload::Layer::new(filter(level));
        let log = Self {
            loudness: Loudness(handle),
            reopen,
            not_queued: writer.error_counter(),
            path,
            _writer: guard,
        };
        let lines = tracing_subscriber::fmt::layer()
            .event_format(LineFormat)
            .with_writer(writer);
        let subscriber = tracing_subscriber::registry().with(filter).with(lines);
        tracing::subscriber::set_global_default(subscriber).expect("a process has one log");
        Ok(log)
    }

    /// The handle that changes which lines are written.
    pub(super) fn loudness(&self) -> Loudness {
        self.loudness.clone()
    }

    /// The handle that reopens the file.
    pub(super) fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }

    /// The file; `None` is stderr.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Lines lost so far: not queued, or not written.
    pub(super) fn lines_dropped(&self) -> usize {
        self.not_queued.dropped_lines() + self.reopen.lines_failed()
    }
}

/// The queue of lines, and the thread that empties it into `sink`.
fn queue(sink: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .thread_name("obring-log")
        .finish(sink)
}

const fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::mpsc::{Receiver, channel};

    /// A disk that takes nothing until it is let go.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_disk_holds_nobody_and_lost_lines_are_counted() {
        let (let_go, held) = channel();
        let (mut writer, _guard) = queue(Stuck(held));
        let counter = writer.error_counter();
        // One line may already be in the hands of the thread.
        for _ in 0..LINES_MAX + 11 {
            writer.write_all(b"line\n").unwrap();
        }
        assert!(
            (10..=11).contains(&counter.dropped_lines()),
            "{}",
            counter.dropped_lines()
        );
        drop(let_go);
    }
}
