//! What the process does on signals.
//!
//! TERM and INT ask to end: the first drains, the next ends at once. HUP reopens the log file.
//! SIGPIPE is ignored: Rust's start-up code does that before `main`.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::time::Duration;

/// What signals act on.
pub(super) trait Process: Send + 'static {
    /// How long a drain may take.
    fn drain_limit(&self) -> Duration;
    /// Accept nothing new, let sessions end, cut what is left after `limit`.
    fn drain(&self, limit: Duration);
    /// Cut everything now.
    fn stop(&self);
    /// Open the log file again, under its name.
    fn reopen_log(&self);
}

/// What a signal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    Drain,
    Stop,
    ReopenLog,
    Nothing,
}

/// Remembers that the end was asked for.
#[derive(Default)]
struct Course {
    is_ending: bool,
}

impl Course {
    const fn meaning(&mut self, signal: i32) -> Meaning {
        match signal {
            SIGTERM | SIGINT if self.is_ending => Meaning::Stop,
            SIGTERM | SIGINT => {
                self.is_ending = true;
                Meaning::Drain
            }
            SIGHUP => Meaning::ReopenLog,
            _ => Meaning::Nothing,
        }
    }
}

/// Takes the signals of the process from now on. Those that came before the process can act on them
/// are kept until [`Taken::serve`].
///
/// # Errors
/// Those of the system; not seen.
pub(super) fn take() -> io::Result<Taken> {
    Ok(Taken(Signals::new([SIGTERM, SIGINT, SIGHUP])?))
}

/// Signals that nobody acts on yet.
pub(super) struct Taken(Signals);

impl Taken {
    /// Acts on signals, on a thread of its own, until the process ends.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn serve(mut self, process: impl Process) -> io::Result<()> {
        let serve = move || {
            let mut course = Course::default();
            for signal in self.0.forever() {
                act(course.meaning(signal), &process);
            }
        };
        std::thread::Builder::new()
            .name("obring-signals".into())
            .spawn(serve)?;
        Ok(())
    }
}

fn act(meaning: Meaning, process: &impl Process) {
    match meaning {
        Meaning::Drain => {
            let limit = process.drain_limit();
            tracing::info!(event = "draining", limit_ms = limit.as_millis());
            process.drain(limit);
        }
        Meaning::Stop => {
            tracing::warn!(event = "stopping", "asked again: everything is cut");
            process.stop();
        }
        Meaning::ReopenLog => process.reopen_log(),
        Meaning::Nothing => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    struct Told(Sender<String>);

    impl Process for Told {
        fn drain_limit(&self) -> Duration {
            Duration::from_secs(3)
        }
        fn drain(&self, limit: Duration) {
            self.0.send(format!("drain {limit:?}")).unwrap();
        }
        fn stop(&self) {
            self.0.send("stop".into()).unwrap();
        }
        fn reopen_log(&self) {
            self.0.send("reopen".into()).unwrap();
        }
    }

    #[test]
    fn the_first_drains_the_next_stops() {
        let mut course = Course::default();
        assert_eq!(course.meaning(SIGHUP), Meaning::ReopenLog);
        assert_eq!(course.meaning(SIGTERM), Meaning::Drain);
        assert_eq!(course.meaning(SIGHUP), Meaning::ReopenLog);
        assert_eq!(course.meaning(SIGINT), Meaning::Stop);
        assert_eq!(course.meaning(SIGTERM), Meaning::Stop);
        assert_eq!(Course::default().meaning(SIGINT), Meaning::Drain);
        assert_eq!(Course::default().meaning(0), Meaning::Nothing);
    }

    #[test]
    fn signals_reach_the_process_also_those_that_came_early() {
        let (sender, told) = channel();
        let taken = take().unwrap();
        signal_hook::low_level::raise(SIGHUP).unwrap();
        taken.serve(Told(sender)).unwrap();
        let next = || told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(next(), "reopen");
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(next(), "drain 3s");
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert_eq!(next(), "stop");
    }
}
