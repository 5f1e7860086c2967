//! The command line: OBProxy's flags, and `--config` and `--check`.
//!
//! Source: `oceanbase/obproxy src/obproxy/ob_proxy_main.cpp`; operations.md 1.1.

use super::Failure;
use crate::config::COMPATIBILITY_VERSION;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;

/// A reverse proxy for OceanBase: one address in front of a cluster.
#[derive(Parser, Clone, PartialEq, Eq, Debug, Default)]
#[command(
    name = "obring",
    disable_version_flag = true,
    disable_help_flag = true,
    args_override_self = true,
    after_help = "Settings: config/reference.md. Exit codes: 0 after a drain, 2 command line or \
                  settings, 3 io_uring, 4 address, 5 limits, 6 core, 7 log file, 8 detaching."
)]
pub(super) struct Args {
    /// Port for MySQL clients (listen_port)
    #[arg(short = 'p', long = "listen_port", value_name = "PORT")]
    pub(super) listen_port: Option<String>,

    /// Root servers of the start-up cluster (rootservice_list)
    #[arg(short = 'r', long = "rs_list", value_name = "IP:SQLPORT;...")]
    pub(super) rs_list: Option<String>,

    /// Name of the start-up cluster (rootservice_cluster_name)
    #[arg(short = 'c', long = "cluster_name", value_name = "NAME")]
    pub(super) cluster_name: Option<String>,

    /// Name of this proxy (app_name)
    #[arg(short = 'n', long = "appname", value_name = "NAME")]
    pub(super) appname: Option<String>,

    /// Any settings
    #[arg(
        short = 'o',
        long = "optstr",
        value_name = "NAME=VALUE,...",
        allow_hyphen_values = true
    )]
    pub(super) optstr: Option<String>,

    /// Settings file (TOML)
    #[arg(long = "config", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Read all settings, say what was noticed, and end
    #[arg(long = "check")]
    pub(super) check: bool,

    /// Stay in the foreground
    #[arg(short = 'N', long = "nodaemon")]
    pub(super) nodaemon: bool,

    /// Version, on stderr
    #[arg(short = 'V', long = "version")]
    pub(super) version: bool,

    /// Release id, on stdout
    #[arg(short = 'R', long = "releaseid")]
    pub(super) releaseid: bool,

    /// This text, on stderr
    #[arg(short = 'h', long = "help")]
    pub(super) help: bool,

    #[arg(
        short = 'l',
        long = "prometheus_listen_port",
        value_name = "PORT",
        hide = true
    )]
    pub(super) prometheus_listen_port: Option<String>,
    #[arg(
        short = 's',
        long = "rpc_listen_port",
        value_name = "PORT",
        hide = true
    )]
    pub(super) rpc_listen_port: Option<String>,
    #[arg(short = 'u', long = "upgrade_ver", value_name = "N", hide = true)]
    upgrade_ver: Option<String>,
    #[arg(short = 'd', long = "dump_config_sql", hide = true)]
    dump_config_sql: bool,
    #[arg(short = 'e', long = "execute_config_sql", hide = true)]
    execute_config_sql: bool,

    #[command(subcommand)]
    task: Option<Task>,
}

/// What to do instead of serving.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
enum Task {
    /// Look at settings.
    #[command(subcommand)]
    Config(ConfigTask),
}

#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
enum ConfigTask {
    /// Read a settings file, say what was noticed, and end (as --config FILE --check)
    Check {
        /// The file.
        file: PathBuf,
    },
}

impl Args {
    /// Reads the arguments; the first is the program's name.
    ///
    /// # Errors
    /// An argument that does not exist, lacks its value, or is not supported in this version.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, Failure> {
        let mut args =
            Self::try_parse_from(arguments).map_err(|e| Failure::Arguments(one_line(&e)))?;
        if let Some(Task::Config(ConfigTask::Check { file })) = args.task.take() {
            args.config = Some(file);
            args.check = true;
        }
        let refused = [
            (args.upgrade_ver.is_some(), "-u (--upgrade_ver)"),
            (args.dump_config_sql, "-d (--dump_config_sql)"),
            (args.execute_config_sql, "-e (--execute_config_sql)"),
        ];
        match refused.iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => {
                let text = format!("{flag} is not supported in this version");
                Err(Failure::Arguments(text))
            }
            None => Ok(args),
        }
    }
}

/// The first line of an error of clap, without its mark.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    match error.kind() {
        ErrorKind::UnknownArgument
        | ErrorKind::InvalidSubcommand
        | ErrorKind::InvalidValue
        | ErrorKind::InvalidUtf8 => {
            format!("{line}; obring -h lists the arguments")
        }
        _ => line.to_owned(),
    }
}

/// The text of `-h`.
pub(super) fn help() -> String {
    Args::command().render_help().to_string()
}

/// The text of `-V`. Tools take the version from the first parenthesis and look for `REVISION`.
pub(super) fn version() -> String {
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    format!(
        "obproxy (OceanBase {COMPATIBILITY_VERSION} obring)\n\
         REVISION: {}-{}\n\
         BUILD_TIME: {}\n\
         BUILD_FLAGS: {profile} {}\n\
         Licensed under {}\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("OBRING_REVISION").unwrap_or("unknown"),
        option_env!("OBRING_BUILD_TIME").unwrap_or("unknown"),
        release_id(),
        env!("CARGO_PKG_LICENSE"),
    )
}

/// What `-R` prints, without the dot behind it.
pub(super) fn release_id() -> String {
    format!("{}.{}", std::env::consts::OS, std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        let words: Vec<_> = line.split(' ').map(OsString::from).collect();
        Args::read(&words).map_err(|e| e.to_string())
    }

    #[test]
    fn short_and_long_are_the_same() {
        let short = "obring -p 2883 -r 127.0.0.1:1 -c x -n y -o a=b -N";
        let long = "obring --listen_port 2883 --rs_list 127.0.0.1:1 --cluster_name x --appname y \
                    --optstr=a=b --nodaemon";
        assert_eq!(read(short).unwrap(), read(long).unwrap());
    }

    #[test]
    fn a_file_can_be_checked_by_a_word() {
        let by_word = read("obring config check f.toml").unwrap();
        assert_eq!(by_word, read("obring --config f.toml --check").unwrap());
        assert!(read("obring config").is_err());
        assert!(read("obring config chek f").is_err());
    }

    #[test]
    fn the_last_of_two_wins() {
        let args = read("obring -p 1 -p 2").unwrap();
        assert_eq!(args.listen_port.as_deref(), Some("2"));
    }

    #[test]
    fn refusals_are_one_line() {
        for (line, said) in [
            (
                "obring -x",
                "unexpected argument '-x' found; obring -h lists the arguments",
            ),
            (
                "obring word",
                "unrecognized subcommand 'word'; obring -h lists the arguments",
            ),
            (
                "obring -p",
                "a value is required for '--listen_port <PORT>' but none was supplied; \
                 obring -h lists the arguments",
            ),
            (
                "obring -u 1",
                "-u (--upgrade_ver) is not supported in this version",
            ),
            (
                "obring -d",
                "-d (--dump_config_sql) is not supported in this version",
            ),
            (
                "obring -e",
                "-e (--execute_config_sql) is not supported in this version",
            ),
        ] {
            assert_eq!(read(line).unwrap_err(), said, "{line}");
        }
    }

    #[test]
    fn version_is_what_tools_look_for() {
        let text = version();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "obproxy (OceanBase 4.3.4.0 obring)");
        for (line, head) in lines[1..]
            .iter()
            .zip(["REVISION: ", "BUILD_TIME: ", "BUILD_FLAGS: "])
        {
            assert!(line.starts_with(head), "{line}");
        }
        // The server asks for an auth switch from 4.3.3.0 on.
        let parts: Vec<u32> = COMPATIBILITY_VERSION
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        assert!(parts >= vec![4, 3, 3, 0]);
    }
}
