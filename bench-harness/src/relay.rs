//! A TCP relay with switches: it can be off (nothing listens), and it can change bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

type Swap = (Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicU64,
    /// Bytes passed from the target.
    passed: AtomicU64,
    swap: Mutex<Option<Swap>>,
    open: Mutex<Vec<TcpStream>>,
}

/// A relay. Ends with its value.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    /// On a port that the system chooses.
    ///
    /// # Errors
    /// Those of listening.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_at(target, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// At a given address.
    ///
    /// # Errors
    /// Those of listening.
    pub fn start_at(target: SocketAddr, at: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let mine = shared.clone();
        spawn("relay", move || accept(&listener, target, &mine))?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Bytes that came from the target and were passed on.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// From now on `from`, where it comes from the target in one read, is passed as `to`.
    pub fn replace(&self, from: &[u8], to: &[u8]) {
        if let Ok(mut swap) = self.shared.swap.lock() {
            *swap = Some((from.to_vec(), to.to_vec()));
        }
    }

    /// Cuts all connections that are open.
    pub fn cut(&self) {
        if let Ok(mut open) = self.shared.open.lock() {
            for s in open.drain(..) {
                let _ = s.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
    }
}

/// Starts a named thread.
///
/// # Errors
/// Those of the start.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(256 << 10)
        .spawn(run)
        .map(drop)
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let _ = pair(client, target, shared);
    }
}

fn pair(client: TcpStream, target: SocketAddr, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    if let Ok(mut open) = shared.open.lock() {
        open.push(client.try_clone()?);
        open.push(server.try_clone()?);
    }
    let (c, s) = (client.try_clone()?, server.try_clone()?);
    let up = shared.clone();
    spawn("relay-up", move || copy(c, s, false, &up))?;
    let down = shared.clone();
    spawn("relay-down", move || copy(server, client, true, &down))
}

fn copy(mut from: TcpStream, mut to: TcpStream, is_down: bool, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let Some(bytes) = buffer.get_mut(..n) else {
            break;
        };
        if is_down {
            if let Ok(Some((from, to))) = shared.swap.lock().as_deref()
                && let Some(at) = bytes.windows(from.len()).position(|w| w == from)
                && let Some(place) = bytes.get_mut(at..at + to.len())
            {
                place.copy_from_slice(to);
            }
            shared.passed.fetch_add(n as u64, Ordering::SeqCst);
        }
        if to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
