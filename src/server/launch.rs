//! Where the machines are given to the runtime: the only place of `server` that names both.

use super::Failure;
use super::key_pair::KeyPair;
use crate::admin::{Control, Desk, Facts, Keeper};
use crate::base::CoreId;
use crate::config::Settings;
use crate::metadata::{self, ClusterConfig, Metadata};
use crate::routing::{Replica, TableKey};
use crate::runtime::{self, Plan, StartError};
use crate::session::{self, SessionIds, Sessions};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a closed connection may take to send its last bytes, and its peer to close.
const LINGER_MS: u64 = 2_000;
/// What this process serves with, once it serves.
pub(super) struct Running(runtime::Running);

/// Acts on a running proxy from any thread.
#[derive(Clone)]
pub(super) struct Handle(runtime::Handle);

impl Running {
    /// Where clients can come in, with the port that was picked for 0.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        self.0.addresses()
    }

    /// Acts on it from elsewhere.
    pub(super) fn handle(&self) -> Handle {
        Handle(self.0.handle())
    }

    /// Waits until it has ended.
    pub(super) fn join(self) -> Result<(), Failure> {
        self.0
            .join()
            .map_err(|text| Failure::Told { code: 6, text })
    }
}

impl Handle {
    /// Accept nothing new, let sessions end, cut what is left after `limit`.
    pub(super) fn drain(&self, limit: Duration) {
        self.0.drain(millis(limit));
    }

    /// Cut everything now.
    pub(super) fn stop(&self) {
        self.0.stop();
    }
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn told(e: &StartError) -> Failure {
    Failure::Told {
        code: u8::try_from(e.exit_code()).unwrap_or(1),
        text: e.to_string(),
    }
}

/// Says whether this system gives us io_uring, before the process detaches.
///
/// # Errors
/// Why not, as a [`Failure::Told`] with the runtime's exit code.
pub(super) fn probe(settings: &Settings) -> Result<(), Failure> {
    runtime::probe(serving_cores(settings)).map_err(|e| told(&e))
}

/// The table of settings bounds it to 128.
fn serving_cores(settings: &Settings) -> u16 {
    u16::try_from(settings.work_thread_num).unwrap_or(1)
}

/// Starts the cores. `hot`: tables that the last run has used.
///
/// # Errors
/// Why not, as a [`Failure::Told`] with the runtime's exit code.
pub(super) fn launch(
    settings: &Settings,
    keeper: Box<dyn Keeper>,
    hot: Vec<TableKey>,
) -> Result<Running, Failure> {
    let cores = serving_cores(settings);
    let plan = Plan {
        listen: vec![SocketAddr::new(
            settings.local_bound_ip,
            settings.listen_port,
        )],
        serving_cores: cores,
        is_pinned: settings.is_pinned,
        clients_max: settings.client_max_connections,
        spill_bytes_max: usize::try_from(settings.spill_memory_limited).unwrap_or(usize::MAX)
            / usize::from(cores.max(1)),
        linger_ms: LINGER_MS,
    };
    let for_sessions = session::Settings::of(settings);
    let for_metadata = metadata::Settings::of(settings);
    let clusters: Vec<_> = settings
        .clusters
        .iter()
        .map(|c| ClusterConfig {
            name: c.name.clone(),
            is_named: c.named,
            root_servers: c.root_servers.clone(),
            passwords: c.sys_password_stage1.clone(),
        })
        .collect();
    // The range of the setting is 0..=8191, and 0 was replaced by a random one.
    let proxy_id = u16::try_from(settings.proxy_id).unwrap_or(1);
    let seed = runtime::random_u64();
    let counters = Arc::new(OnceLock::new());
    let facts = Facts {
        serving_cores: cores,
        pid: std::process::id(),
        counters: counters.clone(),
    };
    let key_pair = KeyPair::draw();
    let shown = settings.clone();
    let for_cores = settings.clone();
    let running = runtime::start(
        &plan,
        move |CoreId(core)| {
            let first = runtime::random_u64() as u32;
            let ids = SessionIds::new(proxy_id, core, cores).starting_at(first);
            let mut replica = Replica::default();
            replica.set_settings(&for_cores);
            Sessions::new(for_sessions.clone(), ids, replica).unsealing(key_pair.clone())
        },
        move || {
            let mut metadata = Metadata::new(for_metadata, clusters, cores, seed);
            metadata.remember(hot);
            Control::new(metadata, Desk::new(shown, facts, keeper))
        },
    )
    .map_err(|e| told(&e))?;
    // Set once, here.
    let _ = counters.set(running.counters().to_vec());
    Ok(Running(running))
}
