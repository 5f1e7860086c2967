//! From the command line, the file and the environment to settings.

use super::Failure;
use super::cli::Args;
use super::store;
use crate::config::{Draft, Host, Notice, Settings};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest settings file; more is no settings file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Environment variables that have the name of a setting. Source: operations.md 1.2.
const ENVIRONMENT: [&str; 2] = ["observer_sys_password", "observer_sys_password1"];

/// The settings to use, what was noticed, and what the command line gave, to be kept.
type Sources = (Settings, Vec<Notice>, Vec<(String, String)>);

/// The settings to use, from all sources.
///
/// # Errors
/// The file cannot be read, or something in a source is wrong.
pub(super) fn settings(args: &Args) -> Result<Sources, Failure> {
    let mut draft = Draft::new();
    if let Some(path) = &args.config {
        let text = read(path)?;
        draft.read_file(&path.display().to_string(), &text)?;
    }
    match store::read(&store::path()) {
        Ok(values) => draft.read_stored(&values),
        Err(why) => draft.notice(Notice::NotRead { why }),
    }
    if let Some(text) = &args.optstr {
        draft.read_options(text)?;
    }
    for (flag, setting, value) in [
        ("-p", "listen_port", &args.listen_port),
        ("-r", "rootservice_list", &args.rs_list),
        ("-c", "rootservice_cluster_name", &args.cluster_name),
        ("-n", "app_name", &args.appname),
        // Deployment tools give these; nothing listens there yet, which is noticed.
        ("-l", "prometheus_listen_port", &args.prometheus_listen_port),
        ("-s", "rpc_listen_port", &args.rpc_listen_port),
    ] {
        if let Some(value) = value {
            draft.read_flag(flag, setting, value)?;
        }
    }
    for name in ENVIRONMENT {
        // An empty variable is how containers say "not given".
        if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
            // Not UTF-8: certainly no password of the right form, and never shown.
            draft.read_environment(name, &value.to_string_lossy())?;
        }
    }
    let given = draft.given();
    let (settings, notices) = draft.finish(host())?;
    Ok((settings, notices, given))
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = vec![];
    let file = File::open(path).map_err(|e| Failure::file(path, &e))?;
    let mut limited = file.take(FILE_BYTES_MAX + 1);
    limited
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::file(path, &e))?;
    let fail = |error: &str| Failure::File {
        path: path.into(),
        error: error.into(),
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(fail("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8"))
}

fn host() -> Host {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut entropy = [0; 8];
    // Only a number that is likely another one than a neighbour's: without randomness, the process.
    if rustix::rand::getrandom(&mut entropy, rustix::rand::GetRandomFlags::empty()).is_err() {
        entropy = u64::from(std::process::id()).to_ne_bytes();
    }
    Host {
        cpus,
        entropy: u64::from_ne_bytes(entropy),
    }
}
