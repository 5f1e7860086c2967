//! obring as a process: started on a free port, its log read line by line, its memory and
//! descriptors counted, ended by signals.

use crate::clock::{Deadline, wait_for};
use crate::relay::spawn;
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// The kernel under test, from `OBRING_KERNEL`.
///
/// # Panics
/// Without the variable: a missing kernel is a failure, not a skip.
#[must_use]
pub fn kernel() -> SocketAddr {
    let text = std::env::var("OBRING_KERNEL").unwrap_or_default();
    match text.parse() {
        Ok(address) => address,
        Err(e) => panic!(
            "OBRING_KERNEL must name a running kernel as host:port (scripts/kernel starts one); \
             it is {text:?}: {e}"
        ),
    }
}

/// How to start obring.
#[derive(Clone, Debug)]
pub struct Options {
    binary: PathBuf,
    servers: Vec<SocketAddr>,
    /// `name=value` settings for `-o`.
    pub settings: Vec<String>,
    /// A launcher in front of the binary, with its arguments.
    pub launcher: Vec<String>,
    /// This port instead of a free one.
    pub port: Option<u16>,
    /// More arguments.
    pub more: Vec<String>,
    /// The process may not set up an io_uring.
    pub refuse_io_uring: bool,
    /// Where it keeps its settings, instead of a directory that goes with it.
    pub root: Option<PathBuf>,
}

impl Options {
    /// The binary in front of these servers, listening on 127.0.0.1. `OBRING_SETTINGS` (as for
    /// `-o`) adds to every start, to run the same tests with other settings.
    #[must_use]
    pub fn new(binary: impl AsRef<Path>, servers: &[SocketAddr]) -> Self {
        let mut settings = vec!["local_bound_ip=127.0.0.1".to_owned()];
        settings.extend(std::env::var("OBRING_SETTINGS").ok());
        Self {
            binary: binary.as_ref().into(),
            servers: servers.to_vec(),
            settings,
            launcher: vec![],
            port: None,
            more: vec![],
            refuse_io_uring: false,
            root: None,
        }
    }

    /// The binary with clusters of a settings file, else like [`Self::new`].
    #[must_use]
    pub fn of_file(binary: impl AsRef<Path>, file: &Path) -> Self {
        let mut options = Self::new(binary, &[]);
        let file = file.display().to_string();
        options.more = vec!["--config".into(), file];
        options
    }

    /// With one more setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    fn command(&self, port: u16) -> Command {
        let mut words: Vec<String> = self.launcher.clone();
        words.push(self.binary.display().to_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        command.arg("-N").args(["-p", &port.to_string()]);
        if !servers.is_empty() {
            command.args(["-r", &servers.join(";"), "-c", "obcluster"]);
        }
        command
            .args(["-n", "test"])
            .args(["-o", &self.settings.join(",")])
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

/// A port that was free a moment ago.
///
/// # Errors
/// Those of listening.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A running obring. Killed with its value.
#[derive(Debug)]
pub struct Obring {
    child: Child,
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
    /// Removed with the value.
    own_root: Option<PathBuf>,
}

impl Obring {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// What it said instead, in words.
    pub fn start(options: &Options) -> Result<Self, String> {
        let mut last = String::new();
        // A port can be taken between the question and the start.
        for _ in 0..3 {
            let mut proxy = Self::launch(options)?;
            match proxy.wait_log("event=listening") {
                Ok(_) => return Ok(proxy),
                Err(e) => last = e,
            }
            if options.port.is_some() || !last.contains("in use") {
                break;
            }
        }
        Err(last)
    }

    /// Starts it and does not wait.
    ///
    /// # Errors
    /// Those of starting a process, in words.
    pub fn launch(options: &Options) -> Result<Self, String> {
        let port = match options.port {
            Some(port) => port,
            None => free_port().map_err(|e| format!("no free port: {e}"))?,
        };
        let mut command = options.command(port);
        let own_root = options.root.is_none().then(fresh_root);
        if let Some(root) = options.root.as_ref().or(own_root.as_ref()) {
            command.env("OBPROXY_ROOT", root);
        }
        let started = if options.refuse_io_uring {
            without_io_uring(command)
        } else {
            command.spawn()
        };
        let mut child =
            started.map_err(|e| format!("{} cannot be started: {e}", options.binary.display()))?;
        let log = Arc::new(Mutex::new(vec![]));
        if let Some(stderr) = child.stderr.take() {
            let lines = log.clone();
            let echo = std::env::var_os("OBRING_ECHO").is_some();
            spawn("log", move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if echo {
                        eprintln!("obring| {line}");
                    }
                    if let Ok(mut lines) = lines.lock() {
                        lines.push(line);
                    }
                }
            })
            .map_err(|e| e.to_string())?;
        }
        Ok(Self {
            child,
            port,
            log,
            own_root,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines of its log so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().map(|l| l.clone()).unwrap_or_default()
    }

    /// Waits for a log line that contains `text`; ends early when the process ends.
    ///
    /// # Errors
    /// What was logged instead.
    pub fn wait_log(&mut self, text: &str) -> Result<String, String> {
        let mut ended = false;
        let found = wait_for(Deadline::secs(20), text, || {
            if let Some(line) = self.log().into_iter().find(|l| l.contains(text)) {
                return Some(Some(line));
            }
            // One more look after the end: its last lines may still be on the way.
            let was_ended = std::mem::replace(&mut ended, self.exit().is_some());
            was_ended.then_some(None)
        });
        if let Ok(Some(line)) = found {
            return Ok(line);
        }
        let mut said = format!("no log line with {text:?}; the log:");
        for line in self.log().iter().rev().take(20).rev() {
            let _ = write!(said, "\n  {line}");
        }
        if let Some(status) = self.exit() {
            let _ = write!(said, "\n  ended: {status}");
        }
        Err(said)
    }

    /// Its exit status, once it ended.
    pub fn exit(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it still runs after `seconds`.
    pub fn wait_exit(&mut self, seconds: u64) -> Result<ExitStatus, String> {
        let status = wait_for(Deadline::secs(seconds), "the end of obring", || self.exit())?;
        // The pipe is read to its end right behind the process.
        let lines = self.log.clone();
        let _ = wait_for(Deadline::secs(2), "the end of the log", || {
            (Arc::strong_count(&lines) <= 2).then_some(())
        });
        Ok(status)
    }

    /// Sends SIGTERM.
    pub fn term(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Resident memory in KiB, exact (`smaps_rollup`).
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        rss_kib(self.id())
    }

    /// Open descriptors.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }
}

/// Starts a process from a thread whose seccomp filter answers EPERM to io_uring_setup: filters
/// belong to threads and are inherited by what they start.
fn without_io_uring(mut command: Command) -> std::io::Result<Child> {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch, apply_filter};
    /// The same number on every architecture.
    const IO_URING_SETUP: i64 = 425;
    /// Operation not permitted.
    const EPERM: u32 = 1;
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(std::io::Error::other)?;
    let filter = SeccompFilter::new(
        [(IO_URING_SETUP, vec![])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(EPERM),
        arch,
    )
    .map_err(std::io::Error::other)?;
    let program: seccompiler::BpfProgram = filter.try_into().map_err(std::io::Error::other)?;
    let start = move || {
        apply_filter(&program).map_err(std::io::Error::other)?;
        command.spawn()
    };
    let thread = std::thread::Builder::new()
        .name("filtered".into())
        .spawn(start)?;
    thread
        .join()
        .unwrap_or_else(|_| Err(std::io::Error::other("the starting thread panicked")))
}

impl Drop for Obring {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(root) = &self.own_root {
            let _ = std::fs::remove_dir_all(root);
        }
    }
}

/// A directory that nobody else uses; obring makes it.
fn fresh_root() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "obring-root-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Relaxed)
    );
    // Memory, where it can be had as files: a start writes its settings through to the disk, and
    // waits there for whatever else is being written.
    let memory = Path::new("/dev/shm");
    let parent = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    parent.join(name)
}

/// Resident memory of a process in KiB, 0 when it cannot be read.
#[must_use]
pub fn rss_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with("Rss:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}
