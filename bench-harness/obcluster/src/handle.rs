//! A cluster inside this process, for tests in Rust.

use crate::builtin::{Layout, Running, SCHEMA_VERSION, Server};
use crate::clock::now_us;
use crate::config::{self, Config};
use crate::control;
use crate::fault::Fault;
use crate::kernel::Kernel;
use crate::record::{Entry, Record};
use crate::server::listen;
use crate::shared::{Counters, Done, LinkInfo, Shared};
use crate::state::{Change, NoSuch, State};
use crate::topology::Topology;
use crate::views::Views;
use crate::violation::BrokenRule;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// What executes statements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The real kernel at this address.
    Kernel(SocketAddr),
    /// The engine without a kernel, with these tables.
    Builtin(Layout),
}

impl From<SocketAddr> for Engine {
    fn from(kernel: SocketAddr) -> Self {
        Self::Kernel(kernel)
    }
}

/// A running cluster. It ends, with all its links, when this is dropped.
///
/// Calls block until the change is made and ports and links show it; they must not be made from
/// inside an asynchronous task.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    control: SocketAddr,
    /// Always there until the drop.
    runtime: Option<Runtime>,
    /// What stands in the place of a kernel.
    builtin: Option<Running>,
}

impl Cluster {
    /// Starts a cluster in front of an engine; an address is that of a kernel.
    ///
    /// # Errors
    /// A topology that cannot be, a kernel that does not answer, or a port that cannot be opened.
    pub fn start(topology: Topology, engine: impl Into<Engine>) -> io::Result<Self> {
        Self::start_with(topology, engine.into(), Record::default())
    }

    /// Starts a cluster that also writes its log to a file, as JSON lines.
    ///
    /// # Errors
    /// Those of [`Self::start`], and of creating the file.
    pub fn start_logging(
        topology: Topology,
        engine: impl Into<Engine>,
        file: &Path,
    ) -> io::Result<Self> {
        Self::start_with(topology, engine.into(), Record::to_file(file)?)
    }

    fn start_with(topology: Topology, engine: Engine, record: Record) -> io::Result<Self> {
        topology.check().map_err(io::Error::other)?;
        let mut builtin = None;
        let mut tls = None;
        let (kernel, layout) = match engine {
            Engine::Kernel(kernel) => (kernel, None),
            Engine::Builtin(mut layout) => {
                // The servers of the cluster speak TLS; between them and the engine there is none.
                let certificate = layout.certificate.take();
                tls = certificate.map(|c| c.config()).transpose()?;
                let running = Server::bind_free(layout.clone())?.spawn()?;
                let address = running.address();
                builtin = Some(running);
                (address, Some(Arc::new(layout)))
            }
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("obcluster")
            .enable_all()
            .build()?;
        let (shared, control) = runtime.block_on(open(topology, kernel, (layout, tls), record))?;
        Ok(Self {
            shared,
            control,
            runtime: Some(runtime),
            builtin,
        })
    }

    fn block_on<T>(&self, what: impl Future<Output = T>) -> T {
        let runtime = self.runtime.as_ref();
        runtime.expect("taken by the drop only").block_on(what)
    }

    /// Where a server listens for SQL; servers count from 1. None for one that is not there.
    #[must_use]
    pub fn address(&self, server: u32) -> Option<SocketAddr> {
        self.shared.state().server(server).map(|s| s.address)
    }

    /// Where all servers listen, by number.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let state = self.shared.state();
        state.servers.iter().map(|s| s.address).collect()
    }

    /// The servers as `rootservice_list` of a proxy takes them: `ip:port;ip:port`.
    #[must_use]
    pub fn rs_list(&self) -> String {
        let each = self.addresses();
        let texts: Vec<String> = each.iter().map(ToString::to_string).collect();
        texts.join(";")
    }

    /// Where the control interface listens.
    #[must_use]
    pub const fn control(&self) -> SocketAddr {
        self.control
    }

    /// The URL of the configuration service, as `obproxy_config_server_url` takes it.
    #[must_use]
    pub fn config_url(&self) -> String {
        let address = self.shared.config_port.address();
        format!("http://{address}/services?Action=GetObProxyConfig")
    }

    /// Changes what the configuration service says and does.
    ///
    /// # Errors
    /// Too many clusters; or its port cannot be opened again.
    pub fn set_config(&self, config: Config) -> Result<Done, NoSuch> {
        self.block_on(self.shared.set_config(config))
    }

    /// Makes a change. When this returns, ports and links show it.
    ///
    /// # Errors
    /// What the change names is not there; or a port that cannot be opened.
    pub fn change(&self, change: &Change) -> Result<Done, NoSuch> {
        self.block_on(self.shared.change(change))
    }

    /// Adds a server to a zone and starts it; its number and address.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn add_server(&self, zone: &str) -> io::Result<(u32, SocketAddr)> {
        let (id, address, _) = self.block_on(self.shared.add_server(zone, None))?;
        Ok((id, address))
    }

    /// Cuts links with a reset of both their sockets, and waits until they are gone. Returns how
    /// many there were.
    pub fn cut_links(&self, which: impl Fn(&LinkInfo) -> bool) -> usize {
        let chosen: Vec<u64> = self
            .links()
            .iter()
            .filter(|l| which(l))
            .map(|l| l.link)
            .collect();
        self.shared.note(format!("cut links {chosen:?}"));
        self.block_on(self.shared.cut(|id, _| chosen.contains(&id)))
    }

    /// Waits for INT or TERM.
    ///
    /// # Errors
    /// The signals cannot be watched.
    pub fn wait_for_end(&self) -> io::Result<()> {
        self.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok(())
        })
    }

    /// Switches a fault on. False if there are too many.
    pub fn fault(&self, fault: Fault) -> bool {
        self.shared.note(format!("{fault:?}"));
        self.shared.faults.add(fault)
    }

    /// Switches all faults off.
    pub fn clear_faults(&self) {
        self.shared.note("clear faults".into());
        self.shared.faults.clear();
    }

    /// Makes the cluster what it was at its start: faults off, the configuration service ok, the
    /// first servers serving, added ones gone, tenants and leaders where they began.
    ///
    /// # Errors
    /// A port that cannot be opened again.
    pub fn reset(&self) -> Result<Done, NoSuch> {
        self.block_on(self.shared.reset())
    }

    /// A copy of the state of this moment.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state().clone()
    }

    /// Changes the state behind the back of the log: timings, texts of rows.
    ///
    /// # Errors
    /// A port that cannot be opened.
    pub fn adjust(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        change(&mut self.shared.state());
        self.block_on(self.shared.follow())
    }

    /// What the engine without a kernel has seen, and how it is told what to do; none where a
    /// kernel executes.
    #[must_use]
    pub fn builtin(&self) -> Option<&crate::builtin::Counts> {
        self.builtin.as_ref().map(Running::counts)
    }

    /// The log from a number on.
    #[must_use]
    pub fn log_since(&self, seq: u64) -> Vec<Entry> {
        self.shared.record.since(seq)
    }

    /// The log from a number on and before another: a long one is read in pieces, because the
    /// cluster waits while it is copied.
    #[must_use]
    pub fn log_between(&self, seq: u64, end: u64) -> Vec<Entry> {
        self.shared.record.between(seq, end)
    }

    /// The number of the next entry of the log.
    #[must_use]
    pub fn log_next(&self) -> u64 {
        self.shared.record.next()
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Rules that proxies broke, from the first one since the start or the last
    /// [reset](Self::reset) on, at most [`KEPT_MAX`](crate::violation::KEPT_MAX); the counters
    /// count all.
    #[must_use]
    pub fn violations(&self) -> Vec<BrokenRule> {
        self.shared.violations.list()
    }

    /// The links that are there.
    #[must_use]
    pub fn links(&self) -> Vec<LinkInfo> {
        self.shared.link_list()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Opens all ports and starts all tasks.
async fn open(
    topology: Topology,
    kernel: SocketAddr,
    builtin: (Option<Arc<Layout>>, Option<Arc<ServerConfig>>),
    record: Record,
) -> io::Result<(Arc<Shared>, SocketAddr)> {
    let asked = Kernel::new(kernel);
    let answer = asked.ask("SELECT 1").await;
    answer.map_err(|e| io::Error::other(format!("kernel at {kernel}: {e}")))?;
    let mut listeners = vec![];
    let mut addresses = vec![];
    for number in 1..=topology.servers {
        let asked = topology.address(number).map_err(io::Error::other)?;
        let listener = TcpListener::from_std(listen(asked)?)?;
        addresses.push(listener.local_addr()?);
        listeners.push(listener);
    }
    let control = TcpListener::bind(topology.control).await?;
    let control_address = control.local_addr()?;
    let config_listener = TcpListener::bind(topology.config).await?;
    let config_port = config::port(config_listener.local_addr()?);
    let views = Views::new(asked).map_err(io::Error::other)?;
    // Where its tables are is known before anybody asks: feedback says so with the first statement.
    for shape in builtin.0.iter().flat_map(|layout| layout.shapes()) {
        views.tables().note(SCHEMA_VERSION, shape);
    }
    let state = State::new(&topology, &addresses, now_us());
    let shared = Arc::new(Shared::new(
        kernel,
        topology,
        state,
        views,
        record,
        config_port,
        builtin,
    ));
    for (listener, id) in listeners.into_iter().zip(1..) {
        shared.servers.adopt(id, listener).await;
    }
    shared.follow().await?;
    config::follow(&shared, Some(config_listener)).await?;
    tokio::spawn(control::serve(control, shared.clone()));
    Ok((shared, control_address))
}
