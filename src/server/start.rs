//! The order of a start.
//!
//! Arguments, file, settings, io_uring: what can fail is tried in the foreground first. Then the
//! process detaches (unless `-N`): that is, starts itself again, which does the same once more and
//! goes on: limits, log, cores, `event=listening`.

use super::cli::{self, Args};
use super::daemon::{self, Detached};
use super::failure::plain;
use super::keeper::{DrainLimit, Keeper};
use super::launch::{Handle, Running, launch, probe};
use super::log::{self, Log, Reopen};
use super::signals::{self, Process};
use super::store::{self, Store};
use super::{Failure, limits, snapshot, sources};
use crate::base::Level;
use crate::config::{COMPATIBILITY_VERSION, Notice, Settings};
use crate::routing::TableKey;
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
    let (settings, notices, given) = sources::settings(&args)?;
    if args.check {
        return check(&notices);
    }
    limits::raise();
    probe(&settings)?;
    if args.nodaemon || detached.is_some() {
        return serve(&settings, &notices, &given, detached);
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
    given: &[(String, String)],
    detached: &mut Option<Detached>,
) -> Result<(), Failure> {
    let signals = signals::take().map_err(|e| system("signals", &e))?;
    let path = log::path(settings, detached.is_some());
    let log = Log::start(settings.syslog_level, path)?;
    let drain_limit = DrainLimit::new(settings.drain_timeout);
    let mut store = Store::open(&store::path());
    let mut notices = notices.to_vec();
    let mut given = given.to_vec();
    // Session ids of a fleet stay apart only if it stays the same.
    given.extend(notices.iter().filter_map(|notice| match notice {
        Notice::ProxyIdDrawn { id } => Some(("proxy_id".to_owned(), id.to_string())),
        _ => None,
    }));
    if let Err(why) = keep(&mut store, &given) {
        notices.push(Notice::NotKept { why });
    }
    let keeper = Keeper {
        store,
        loudness: log.loudness(),
        drain_limit: drain_limit.clone(),
    };
    let running = launch(settings, Box::new(keeper), used_tables(settings))?;
    let process = Served {
        drain_limit,
        handle: running.handle(),
        log: log.reopen(),
    };
    signals
        .serve(process)
        .map_err(|e| system("signal thread", &e))?;
    let addresses = announce(settings, &notices, &running);
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

/// The tables that the last run has used. A file that cannot be used is told and left alone.
fn used_tables(settings: &Settings) -> Vec<TableKey> {
    if !settings.location_prefetch {
        return vec![];
    }
    let path = snapshot::path();
    snapshot::read(&path).unwrap_or_else(|cause| {
        let path = path.display();
        tracing::warn!(event = "location_snapshot_ignored", %path, cause);
        vec![]
    })
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
    drain_limit: DrainLimit,
}

/// Keeps what the command line gave: the next start may come without it.
fn keep(store: &mut Result<Store, String>, given: &[(String, String)]) -> Result<(), String> {
    let store = store.as_mut().map_err(|why| why.clone())?;
    let values = given.iter();
    store.write(values.map(|(name, value)| (name.as_str(), value.as_str())))
}

impl Process for Served {
    fn drain_limit(&self) -> Duration {
        self.drain_limit.get()
    }

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
