//! The ports of servers: opened, closed and stuffed as the state says.

use crate::clock::now_us;
use crate::link;
use crate::shared::{ServerView, Shared};
use crate::state::{Network, Process};
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Connections that may wait to be accepted, as on an OBServer. With the 128 of a plain bind, a
/// storm of logins loses a SYN, and its sender tries again after 1 s: as long as a proxy waits.
const BACKLOG: i32 = 1_024;
/// A connection that is not made in this time was not let in: the queue is full.
const FILL_TIME: Duration = Duration::from_millis(100);
/// Connections that are enough to fill the shortest queue there is.
const FILLERS_MAX: usize = 8;
/// How often a port that somebody holds is tried again before a start fails, and how long between.
const BIND_TRIES: usize = 20;
const BIND_PAUSE: Duration = Duration::from_millis(50);

/// Binds the port of a server; port 0 is a free one.
///
/// # Errors
/// Those of binding and listening.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    SockRef::from(&listener).listen(BACKLOG)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The ports of all servers.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    ports: Mutex<HashMap<u32, Port>>,
    /// The microsecond of the next wake-up that is ordered; 0 without one.
    next_wake: AtomicU64,
}

#[derive(Debug)]
struct Port {
    view: watch::Sender<ServerView>,
    listener: Option<Arc<TcpListener>>,
    accepting: Option<JoinHandle<()>>,
    /// Connections of our own that fill the queue of a server that is cut off.
    fillers: Vec<TcpStream>,
}

impl Port {
    fn new(view: ServerView) -> Self {
        Self {
            view: watch::channel(view).0,
            listener: None,
            accepting: None,
            fillers: vec![],
        }
    }

    async fn stop_accepting(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
            // Cancelled: that is what was asked for.
            let _ = task.await;
        }
    }

    async fn close(&mut self) {
        self.stop_accepting().await;
        self.listener = None;
        self.fillers.clear();
    }

    async fn open(&mut self, address: SocketAddr) -> io::Result<Arc<TcpListener>> {
        if let Some(listener) = &self.listener {
            return Ok(listener.clone());
        }
        let mut tries = 1;
        let bound = loop {
            match listen(address) {
                Err(e) if e.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                    tries += 1;
                    sleep(BIND_PAUSE).await;
                }
                bound => break bound?,
            }
        };
        Ok(self
            .listener
            .insert(Arc::new(TcpListener::from_std(bound)?))
            .clone())
    }

    /// Fills the queue of the port, so that the next connection is not answered at all.
    async fn fill(&mut self, listener: &TcpListener) -> io::Result<()> {
        if !self.fillers.is_empty() {
            return Ok(());
        }
        let address = listener.local_addr()?;
        SockRef::from(listener).listen(0)?;
        for _ in 0..FILLERS_MAX {
            match timeout(FILL_TIME, TcpStream::connect(address)).await {
                Ok(made) => self.fillers.push(made?),
                Err(_) => break,
            }
        }
        Ok(())
    }
}

impl Servers {
    /// Takes a port that was opened before the server was known.
    pub(crate) async fn adopt(&self, id: u32, listener: TcpListener) {
        let view = ServerView {
            process: Process::Starting,
            network: Network::Open,
        };
        let mut ports = self.ports.lock().await;
        let port = ports.entry(id).or_insert_with(|| Port::new(view));
        port.listener = Some(Arc::new(listener));
    }

    /// Brings the ports in line with the state. Links of dead servers are reset.
    pub(crate) async fn follow(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let mut ports = self.ports.lock().await;
        let wanted: Vec<(u32, SocketAddr, ServerView)> = {
            let state = shared.state();
            let each = state.servers.iter().map(|s| {
                let view = ServerView {
                    process: s.process,
                    network: s.network,
                };
                (s.id, s.address, view)
            });
            each.collect()
        };
        let mut failed = Ok(());
        for (id, address, view) in &wanted {
            let port = ports.entry(*id).or_insert_with(|| Port::new(*view));
            port.view.send_if_modified(|old| {
                let is_new = old != view;
                *old = *view;
                is_new
            });
            if view.process == Process::Dead {
                port.close().await;
                shared.cut(|_, link| link.server == *id).await;
                continue;
            }
            let served = serve(port, *id, *address, view.network, shared).await;
            failed = failed.and(served);
        }
        let gone: Vec<u32> = ports
            .keys()
            .filter(|id| !wanted.iter().any(|w| w.0 == **id))
            .copied()
            .collect();
        for id in gone {
            if let Some(mut port) = ports.remove(&id) {
                port.close().await;
                shared.cut(|_, link| link.server == id).await;
            }
        }
        failed
    }

    /// Has the state followed again at this microsecond, unless that is ordered already.
    pub(crate) fn wake_at(&self, shared: &Arc<Shared>, due_us: u64) {
        let now = now_us();
        let ordered = self.next_wake.load(Ordering::Relaxed);
        if ordered > now && ordered <= due_us {
            return;
        }
        self.next_wake.store(due_us, Ordering::Relaxed);
        let shared: Weak<Shared> = Arc::downgrade(shared);
        let wait = Duration::from_micros(due_us.saturating_sub(now) + 1);
        tokio::spawn(async move {
            sleep(wait).await;
            if let Some(shared) = shared.upgrade() {
                // A port that cannot be opened shows at the next change, to who makes it.
                let _ = shared.follow().await;
            }
        });
    }
}

async fn serve(
    port: &mut Port,
    id: u32,
    address: SocketAddr,
    network: Network,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let listener = port.open(address).await?;
    if network == Network::Blackholed {
        port.stop_accepting().await;
        return port.fill(&listener).await;
    }
    if !port.fillers.is_empty() {
        SockRef::from(&*listener).listen(BACKLOG)?;
        port.fillers.clear();
    }
    let is_accepting = port.accepting.as_ref().is_some_and(|t| !t.is_finished());
    if !is_accepting {
        let view = port.view.subscribe();
        let shared = Arc::downgrade(shared);
        port.accepting = Some(tokio::spawn(accept(listener, id, view, shared)));
    }
    Ok(())
}

async fn accept(
    listener: Arc<TcpListener>,
    id: u32,
    view: watch::Receiver<ServerView>,
    shared: Weak<Shared>,
) {
    loop {
        let accepted = listener.accept().await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match accepted {
            Ok((stream, _)) => {
                shared.count(|c| *c.accepted.entry(id).or_default() += 1);
                tokio::spawn(link::serve(shared, id, stream, view.clone()));
            }
            // The client is gone, or descriptors are: the next one may fare better.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
