//! The order of a start.
//!
//! Arguments, file, settings, io_uring: what can fail is tried in the foreground first. Then the
//! process detaches (unless `-N`): that is, starts itself again, which does the same once more and
//! goes on: limits, log, cores, `event=listening`.

use super::cli::{self, Args};
use super::daemon::{self, Detached};
use super::failure::plain;
use super::launch::{Handle, Running, launch, probe};
use super::log::{self, Log, Reopen};
use super::signals::{self, Process};
use super::{Failure, limits, sources};
use crate::base::Level;
use crate::config::{COMPATIBILITY_VERSION, Notice, Settings};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// Runs the program; the first argument is its name. Returns when it is over.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    let mut detached = daemon::detached();
    match go(arguments, &mut detached) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match detached {
                Some(detached) => detached.failed(&failure),
                None => say(&format!("obring: cannot start: {}", one_line(&failure))),
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// `detached` is taken when the waiting process has been told that clients are served.
fn go(arguments: &[OsString], detached: &mut Option<Detached>) -> Result<(), Failure> {
    let args = Args::read(arguments)?;
    if args.help {
        say(cli::help().trim_end());
        return Ok(());
    }
    if args.version {
        say(cli::version().trim_end());
        return Ok(());
    }
    if args.releaseid {
        let _ = writeln!(std::io::stdout(), "{}.", cli::release_id());
        return Ok(());
    }
    let (settings, notices) = sources::settings(&args)?;
    if args.check {
        return check(&notices);
    }
    limits::raise();
    probe(&settings)?;
    if args.nodaemon || detached.is_some() {
        return serve(&settings, &notices, detached);
    }
    let about = daemon::detach(arguments)?;
    let _ = writeln!(std::io::stdout(), "obring: serving {about}");
    Ok(())
}

/// Says what was noticed in the settings, one line each.
fn check(notices: &[Notice]) -> Result<(), Failure> {
    for notice in notices {
        say(&format!("obring: event={} {notice}", notice.event()));
    }
    say("obring: the settings can be used");
    Ok(())
}

fn serve(
    settings: &Settings,
    notices: &[Notice],
    detached: &mut Option<Detached>,
) -> Result<(), Failure> {
    let signals = signals::take().map_err(|e| system("signals", &e))?;
    let path = log::path(settings, detached.is_some());
    let log = Log::start(settings.syslog_level, path)?;
    let running = launch(settings)?;
    let process = Served {
        handle: running.handle(),
        log: log.reopen(),
    };
    signals
        .serve(process, settings.drain_timeout)
        .map_err(|e| system("signal thread", &e))?;
    let addresses = announce(settings, notices, &running);
    if let Some(detached) = detached.take() {
        let about = match log.path() {
            Some(path) => format!("address={addresses} log={}", path.display()),
            None => format!("address={addresses}"),
        };
        detached.ready(&about, log.path());
    }
    running.join()?;
    tracing::info!(event = "stopped", log_lines_dropped = log.lines_dropped());
    Ok(())
}

/// Logs what runs, and returns its addresses. After the start: a start that fails is one line.
fn announce(settings: &Settings, notices: &[Notice], running: &Running) -> String {
    tracing::info!(
        event = "started",
        version = env!("CARGO_PKG_VERSION"),
        compatible_with = COMPATIBILITY_VERSION,
        app_name = settings.app_name,
        proxy_id = settings.proxy_id,
        pid = std::process::id(),
    );
    for notice in notices {
        let event = notice.event();
        match notice.level() {
            Level::Error => tracing::error!(event, "{notice}"),
            Level::Warn => tracing::warn!(event, "{notice}"),
            Level::Info => tracing::info!(event, "{notice}"),
            Level::Debug => tracing::debug!(event, "{notice}"),
        }
    }
    for cluster in &settings.clusters {
        tracing::info!(
            event = "cluster",
            name = cluster.name,
            root_servers = cluster.root_servers.len(),
        );
    }
    let list: Vec<_> = running
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    let addresses = list.join(",");
    tracing::info!(
        event = "listening",
        address = addresses,
        cores = settings.work_thread_num,
        pinned = settings.is_pinned,
    );
    addresses
}

/// What signals act on.
struct Served {
    handle: Handle,
    log: Reopen,
}

impl Process for Served {
    fn drain(&self, limit: Duration) {
        self.handle.drain(limit);
    }

    fn stop(&self) {
        self.handle.stop();
    }

    fn reopen_log(&self) {
        self.log.ask();
    }
}

fn system(what: &str, error: &std::io::Error) -> Failure {
    Failure::Daemon(format!("{what}: {}", plain(error)))
}

fn one_line(failure: &Failure) -> String {
    failure.to_string().replace('\n', " ")
}

/// A line for the operator's eyes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
