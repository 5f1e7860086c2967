//! L4: sockets, io_uring, timers, threads and clocks. Drives one [`Machines`] per core.
//!
//! * `shell.rs`: the loop of a core; `deliver`, `output`, `accept`, `connect`, `close`, `spill` are
//!   parts of it.
//! * `uring/`: our ring, the only place with `unsafe`.
//! * `mesh.rs`: mail between cores and the bell that wakes them; `wheel.rs`: timers; `clock.rs`.
//! * `host.rs`: glommio, which gives a core its thread.
//!
//! `docs/architecture.md` says what crosses cores and what every queue and buffer is limited to.

mod accept;
mod clock;
mod close;
mod connect;
mod deliver;
mod error;
mod host;
mod listen;
mod mesh;
mod output;
mod seat;
mod shell;
mod slot;
mod spill;
mod uring;
mod wheel;

pub use error::StartError;
pub use uring::{Facts, Refusal};

use crate::base::{CoreId, Machines};
use crate::telemetry;
use host::Hosted;
use mesh::{Bells, Mesh};
use shell::{Limits, Parts, Shared, Shell};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

/// Sockets of the metadata core: a connection or two per cluster.
const METADATA_SLOTS: u32 = 1_024;
/// Connections that wait to be accepted, per core; the system's own limit may be lower.
const BACKLOG: i32 = 4_096;

/// How the process is to serve.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Addresses to listen on; port 0 is picked by the kernel, the same one for all cores.
    pub listen: Vec<SocketAddr>,
    /// Serving cores.
    pub serving_cores: u16,
    /// Pin each core to a processor; not done when there are more cores than processors.
    pub is_pinned: bool,
    /// Client connections of the process.
    pub clients_max: u32,
    /// Bytes that one core copies for peers that read slowly.
    pub spill_bytes_max: usize,
    /// How long a closed connection may take to send its last bytes.
    pub linger_ms: u64,
}

/// A number for a seed or an id that nobody can guess.
#[must_use]
pub fn random_u64() -> u64 {
    let bytes = clock::Entropy::new().take();
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(eight)
}

/// Tries what the kernel can do, before anything is started.
///
/// # Errors
/// Why there is no ring, as one line that says what to change.
pub fn probe(serving_cores: u16) -> Result<(), StartError> {
    uring::probe(u32::from(serving_cores) + 1)
        .map(|_| ())
        .map_err(StartError::Ring)
}

/// A running set of cores.
pub struct Running {
    addresses: Vec<SocketAddr>,
    counters: Vec<Arc<telemetry::Core>>,
    handle: Handle,
    hosted: Vec<Hosted>,
    broken: Arc<OnceLock<String>>,
}

/// Gives orders to running cores, from any thread.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Bells>);

impl Handle {
    /// Accept nothing new, let machines end, cut what is left after `ms`.
    pub fn drain(&self, ms: u64) {
        self.0.drain(ms);
    }

    /// Cut everything now.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Running {
    /// Where clients come in, with the port that was picked for 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The numbers of all cores; the metadata core is the last.
    #[must_use]
    pub fn counters(&self) -> &[Arc<telemetry::Core>] {
        &self.counters
    }

    /// Gives orders.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until all cores have ended.
    ///
    /// # Errors
    /// A core broke; the text says which and why.
    pub fn join(self) -> Result<(), String> {
        for core in self.hosted {
            core.join()?;
        }
        self.broken.get().map_or(Ok(()), |what| Err(what.clone()))
    }
}

/// Starts all cores: `serving(core)` and `metadata()` make the machines, each on its own core.
///
/// # Errors
/// Why not, as one line. Nothing is left running then.
pub fn start<S, D, M>(
    plan: &Plan,
    serving: impl Fn(CoreId) -> S + Send + Sync + 'static,
    metadata: impl FnOnce() -> D + Send + 'static,
) -> Result<Running, StartError>
where
    S: Machines<Mail = M> + 'static,
    D: Machines<Mail = M> + 'static,
    M: Send + 'static,
{
    if plan.serving_cores == 0 || plan.listen.is_empty() {
        return Err(StartError::Plan(
            "no serving core, or no address to listen on",
        ));
    }
    let features = uring::probe(u32::from(plan.serving_cores) + 1).map_err(StartError::Ring)?;
    let table = listen::table_slots(plan.clients_max)?;
    let (addresses, listeners) = listen::listeners(&plan.listen, plan.serving_cores, BACKLOG)?;
    let system = |e: std::io::Error| StartError::Core {
        core: "mesh".into(),
        what: e.to_string(),
    };
    let bells = Arc::new(Bells::new(plan.serving_cores).map_err(system)?);
    let shared = Arc::new(Shared::default());
    let mut starter = Starter {
        mesh: Arc::new(Mesh::new(bells.clone())),
        bells,
        shared,
        cpus: cpus(plan),
        limits: Limits {
            spill_bytes_max: plan.spill_bytes_max,
            linger_ms: plan.linger_ms,
        },
        features,
        broken: Arc::new(OnceLock::new()),
        counters: Vec::new(),
        hosted: Vec::new(),
        ready: channel(),
        go: Vec::new(),
    };
    let serving = Arc::new(serving);
    for (n, listeners) in listeners.into_iter().enumerate() {
        let core = CoreId(n as u16);
        let serving = serving.clone();
        starter.spawn(core, listeners, table, move || serving(core))?;
    }
    starter.spawn(CoreId::METADATA, Vec::new(), METADATA_SLOTS, metadata)?;
    starter.finish(addresses)
}

/// Which processor each core gets: serving cores first, the metadata core what is left.
fn cpus(plan: &Plan) -> Vec<Option<usize>> {
    let set = rustix::thread::sched_getaffinity(None).ok();
    let max = rustix::thread::CpuSet::MAX_CPU;
    let allowed: Vec<usize> = set
        .map(|set| (0..max).filter(|&n| set.is_set(n)).collect())
        .unwrap_or_default();
    let cores = usize::from(plan.serving_cores);
    let is_pinned = plan.is_pinned && cores <= allowed.len();
    (0..=cores)
        .map(|n| allowed.get(n).copied().filter(|_| is_pinned))
        .collect()
}

/// What a core says when it is set up.
type IsReady = Result<(), StartError>;

/// Starts cores one by one and lets them go together, so that every ring exists before the first
/// bell is rung.
struct Starter<M> {
    mesh: Arc<Mesh<M>>,
    bells: Arc<Bells>,
    shared: Arc<Shared>,
    cpus: Vec<Option<usize>>,
    limits: Limits,
    features: uring::Features,
    broken: Arc<OnceLock<String>>,
    counters: Vec<Arc<telemetry::Core>>,
    hosted: Vec<Hosted>,
    ready: (Sender<IsReady>, Receiver<IsReady>),
    /// Dropped without a word: the core ends.
    go: Vec<Sender<()>>,
}

impl<M: Send + 'static> Starter<M> {
    fn spawn<P: Machines<Mail = M> + 'static>(
        &mut self,
        core: CoreId,
        listeners: Vec<listen::Listener>,
        table: u32,
        machines: impl FnOnce() -> P + Send + 'static,
    ) -> Result<(), StartError> {
        let counters = Arc::new(telemetry::Core::new(core));
        self.counters.push(counters.clone());
        let parts = Parts {
            core,
            post: self.mesh.post(core),
            counters,
            shared: self.shared.clone(),
            features: self.features,
            limits: self.limits,
            listeners,
            table,
        };
        let (go, gone) = channel();
        let (ready, bells, broken) = (
            self.ready.0.clone(),
            self.bells.clone(),
            self.broken.clone(),
        );
        let cpu = self.cpus.get(self.hosted.len()).copied().flatten();
        let name = shell::name(core);
        let hosted = host::spawn(&name.clone(), cpu, move || {
            let shell = Shell::new(parts, machines());
            let mut shell = match shell {
                Ok(shell) => shell,
                Err(e) => {
                    let _ = ready.send(Err(e));
                    return;
                }
            };
            let _ = ready.send(Ok(()));
            if gone.recv().is_err() {
                return;
            }
            if let Err(e) = shell.run() {
                tracing::error!(event = "core_broken", core = core.0, error = %e);
                let _ = broken.set(format!("core {name}: {e}"));
                bells.stop_all();
            }
            bells.ended(core);
        })?;
        self.hosted.push(hosted);
        self.go.push(go);
        Ok(())
    }

    fn finish(self, addresses: Vec<SocketAddr>) -> Result<Running, StartError> {
        let Self {
            bells,
            broken,
            counters,
            hosted,
            ready,
            go,
            ..
        } = self;
        drop(ready.0);
        let mut failed = None;
        for _ in 0..hosted.len() {
            match ready.1.recv() {
                Ok(Ok(())) => {}
                Ok(Err(e)) => failed = failed.or(Some(e)),
                Err(_) => break,
            }
        }
        if let Some(e) = failed {
            drop(go);
            for core in hosted {
                let _ = core.join();
            }
            return Err(e);
        }
        for core in go {
            let _ = core.send(());
        }
        Ok(Running {
            addresses,
            counters,
            handle: Handle(bells),
            hosted,
            broken,
        })
    }
}
