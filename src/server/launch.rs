//! Where the machines are given to the runtime: the only place of `server` that names both.

// TODO(#3): the runtime takes the place of this file's insides. Until then this is a stand-in that
// listens, serves nobody, and ends when asked to: enough for the order of a start and of an end.

use super::Failure;
use super::failure::plain;
use crate::config::Settings;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// What this process serves with, once it serves.
pub(super) struct Running {
    listener: TcpListener,
    handle: Handle,
    ended: Receiver<()>,
}

/// Acts on a running proxy from any thread.
#[derive(Clone)]
pub(super) struct Handle(SyncSender<()>);

impl Running {
    /// Where clients can come in, with the port that was picked for 0.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listener.local_addr().into_iter().collect()
    }

    /// Acts on it from elsewhere.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until it has ended.
    pub(super) fn join(self) {
        let _ = self.ended.recv();
    }
}

impl Handle {
    /// Accept nothing new, let sessions end, cut what is left after `limit`.
    pub(super) fn drain(&self, _limit: Duration) {
        self.stop();
    }

    /// Cut everything now.
    pub(super) fn stop(&self) {
        let _ = self.0.try_send(());
    }
}

/// Says whether this system gives us io_uring, before the process detaches.
///
/// # Errors
/// Why not, as a [`Failure::Told`] with the runtime's exit code.
pub(super) const fn probe(_settings: &Settings) -> Result<(), Failure> {
    Ok(())
}

/// Starts the cores.
///
/// # Errors
/// Why not, as a [`Failure::Told`] with the runtime's exit code.
pub(super) fn launch(settings: &Settings) -> Result<Running, Failure> {
    let address = SocketAddr::new(settings.local_bound_ip, settings.listen_port);
    let listener = TcpListener::bind(address).map_err(|e| Failure::Told {
        code: 4,
        text: format!("cannot listen on {address}: {}", plain(&e)),
    })?;
    let (end, ended) = sync_channel(1);
    Ok(Running {
        listener,
        handle: Handle(end),
        ended,
    })
}
