//! What stands between client and server, as processes. Each ends with its value, and with the
//! thread that started it even if that one is killed.

use crate::clock::{Deadline, wait_for};
use crate::process::{Obring, Options, free_port};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Kinds of peers, in the order of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the server itself.
    Direct,
    /// HAProxy in TCP mode: what every ratio is taken to.
    HaProxy,
    /// A relay that follows packet headers and does nothing else: the floor.
    Relay,
    /// obring.
    Obring,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Direct, Self::HaProxy, Self::Relay, Self::Obring];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::HaProxy => "HAProxy",
            Self::Relay => "relay",
            Self::Obring => "obring",
        })
    }
}

/// Where the programs are, and the CPUs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// This program, which is the server too.
    pub bench: PathBuf,
    /// obring.
    pub obring: PathBuf,
    /// HAProxy.
    pub haproxy: PathBuf,
    /// The relay, if there is one.
    pub relay: Option<PathBuf>,
    /// The server grants plain packets only; else OceanBase 2.0.
    pub is_plain: bool,
    /// There are several servers, and obring finds those of the rows; the others have the one that
    /// has the row of the point select.
    pub is_routed: bool,
    /// Where files of a run go.
    pub folder: PathBuf,
    /// CPU of clients and server.
    pub load_cpu: usize,
    /// CPU of the peer that is measured.
    pub peer_cpu: usize,
}

impl Programs {
    /// Peers that can be started here.
    #[must_use]
    pub fn kinds(&self) -> Vec<Kind> {
        let is_here = |kind: &Kind| *kind != Kind::Relay || self.relay.is_some();
        Kind::ALL.into_iter().filter(is_here).collect()
    }
}

/// A process that is killed with its value.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In front of a program: dies with its parent, runs on one CPU.
fn launcher(cpu: usize) -> Vec<String> {
    let words = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c"];
    let mut words: Vec<String> = words.map(Into::into).into();
    words.push(cpu.to_string());
    words
}

fn launch(cpu: usize, program: &Path) -> Command {
    let words = launcher(cpu);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn start(mut command: Command, what: &Path) -> Result<Running, String> {
    let child = command.spawn();
    let child = child.map_err(|e| format!("{} cannot be started: {e}", what.display()))?;
    Ok(Running(child))
}

/// The server of a run.
#[derive(Debug)]
pub struct Server {
    _running: Running,
    /// Where it listens: of several servers, first the one for who can reach only one.
    pub addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts this program as a server and waits for the line that says where it listens.
    ///
    /// # Errors
    /// What it said instead.
    pub fn start(programs: &Programs) -> Result<Self, String> {
        let mut command = launch(programs.load_cpu, &programs.bench);
        command.arg("serve").stdout(Stdio::piped());
        if programs.is_plain {
            command.arg("--plain");
        }
        if programs.is_routed {
            command.arg("--routed");
        }
        let mut running = start(command, &programs.bench)?;
        let mut line = String::new();
        if let Some(stdout) = running.0.stdout.take() {
            let read = BufReader::new(stdout).read_line(&mut line);
            read.map_err(|e| format!("the server's address: {e}"))?;
        }
        let addresses: Result<Vec<_>, _> = line.split_whitespace().map(str::parse).collect();
        let addresses = addresses.map_err(|e| format!("the server said {line:?}: {e}"))?;
        match addresses.is_empty() {
            true => Err("the server did not say where it listens".into()),
            false => Ok(Self {
                _running: running,
                addresses,
            }),
        }
    }
}

/// A peer that serves.
#[derive(Debug)]
pub struct Peer {
    /// What it is.
    pub kind: Kind,
    /// Where clients connect.
    pub address: SocketAddr,
    process: Process,
}

#[derive(Debug)]
enum Process {
    None,
    Other(Running),
    Obring(Obring),
}

impl Peer {
    /// Starts it in front of a server, and waits until it serves.
    ///
    /// # Errors
    /// What it did instead.
    pub fn start(kind: Kind, programs: &Programs, of: &Server) -> Result<Self, String> {
        let cpu = programs.peer_cpu;
        let server = *of.addresses.first().ok_or("there is no server")?;
        match kind {
            Kind::Direct => Ok(Self {
                kind,
                address: server,
                process: Process::None,
            }),
            Kind::Obring => {
                let mut options = Options::new(&programs.obring, &of.addresses)
                    .set("obproxy_sys_password", "")
                    .set("work_thread_num", 1);
                options.launcher = launcher(cpu);
                let mut obring = Obring::start(&options)?;
                if programs.is_routed {
                    // Where tables are is known of a cluster that was found.
                    obring.wait_log("event=metadata_ready")?;
                }
                Ok(Self {
                    kind,
                    address: obring.address(),
                    process: Process::Obring(obring),
                })
            }
            Kind::HaProxy => {
                let port = port()?;
                let settings = programs.folder.join("haproxy.cfg");
                let text = haproxy_settings(port, server);
                std::fs::write(&settings, text)
                    .map_err(|e| format!("{}: {e}", settings.display()))?;
                let mut command = launch(cpu, &programs.haproxy);
                command.args(["-q", "-db", "-f"]).arg(&settings);
                Self::other(kind, port, start(command, &programs.haproxy)?)
            }
            Kind::Relay => {
                let path = programs.relay.as_ref().ok_or("no relay was given")?;
                let port = port()?;
                let mut command = launch(cpu, path);
                // The variant that obring is built like: a ring of its own, hosted by glommio.
                command.args(["b2", "send=skip", "bufsz=65536", "nbufs=64", "lim=262144"]);
                command.args(["turn=0".into(), format!("core={cpu}")]);
                command.args([
                    format!("listen={port}"),
                    format!("backend={}", server.port()),
                ]);
                Self::other(kind, port, start(command, path)?)
            }
        }
    }

    fn other(kind: Kind, port: u16, running: Running) -> Result<Self, String> {
        let mut peer = Self {
            kind,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            process: Process::Other(running),
        };
        peer.wait_port()?;
        Ok(peer)
    }

    fn wait_port(&mut self) -> Result<(), String> {
        let (kind, address) = (self.kind, self.address);
        let what = format!("{kind} at {address}");
        let served = wait_for(Deadline::secs(20), &what, || {
            if TcpStream::connect(address).is_ok() {
                return Some(Ok(()));
            }
            let Process::Other(running) = &mut self.process else {
                return None;
            };
            let status = running.0.try_wait().ok().flatten()?;
            Some(Err(format!("{kind} ended: {status}")))
        });
        served?
    }

    /// Its process; none if nothing stands between.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        match &self.process {
            Process::None => None,
            Process::Other(running) => Some(running.0.id()),
            Process::Obring(obring) => Some(obring.id()),
        }
    }
}

fn port() -> Result<u16, String> {
    free_port().map_err(|e| format!("no free port: {e}"))
}

/// One thread, TCP mode, everything else as it comes: what people put in front of servers.
fn haproxy_settings(port: u16, server: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 6000\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         listen bench\n  bind 127.0.0.1:{port}\n  server canned {server}\n"
    )
}
