//! What obring must show, as functions: each starts its own obring and says what it saw, or what
//! was wrong. Used by the end-to-end tests and by the acceptance lines.

mod bad_bytes;
mod cold;
mod definitions;
mod engine;
mod front;
mod ledger;
mod life;
mod load;
mod memory;
pub mod moves;
mod moving;
mod placing;
mod readers;
mod restart;
mod shares;
mod slow;
mod stages;
mod start;
pub mod switching;
mod versions;
mod zones;

pub use bad_bytes::{bad_bytes, half_login, probes};
pub use cold::cold_table;
pub use definitions::definitions;
pub use engine::engine_cost;
pub use ledger::ledger;
pub use life::{drain_idle, drain_running, second_term, serving_cores};
pub use load::{failing_prepares, idle_timeout_of_the_server, short_connections, split_executes};
pub use memory::{idle_sessions, login_cycles};
pub use moving::{cores_agree, moving_leaders};
pub use placing::{MIXED_TABLES, placing, workloads};
pub use restart::restart;
pub use shares::weak_shares;
pub use slow::{SlowReaders, slow_readers, small_reader};
pub use stages::stages;
pub use start::{
    busy_port, io_uring_refused, unreachable_servers, unreadable_config, wrong_proxyro_password,
};

pub use versions::versions;
pub use zones::{merging_zones, read_only_zones, rooms};

use crate::process::{Obring, Options};
use obcluster::Cluster;
use obcluster::builtin::{Layout, Running, Server};
use obring_wire::protocol::capability;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What is checked, and in front of what.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The obring binary.
    pub binary: PathBuf,
    /// A real kernel.
    pub kernel: SocketAddr,
}

/// What a check saw, or what was wrong.
pub type Saw = Result<String, String>;

impl Setup {
    /// Options in front of the kernel.
    #[must_use]
    pub fn options(&self) -> Options {
        Options::new(&self.binary, &[self.kernel])
    }

    /// obring with so many serving cores in front of a model cluster, once it knows the cluster.
    ///
    /// # Errors
    /// What it said instead of serving.
    pub fn start_at(
        &self,
        cluster: &Cluster,
        cores: usize,
        settings: &[(&str, &str)],
    ) -> Result<Obring, String> {
        let mut options = Options::new(&self.binary, &cluster.addresses())
            .set("obproxy_sys_password", "")
            .set("work_thread_num", cores);
        for (name, value) in settings {
            options = options.set(name, value);
        }
        let mut proxy = Obring::start(&options)?;
        proxy.wait_log("event=metadata_ready")?;
        Ok(proxy)
    }

    /// obring in front of the kernel.
    ///
    /// # Errors
    /// What it said instead of serving.
    pub fn start(&self) -> Result<Obring, String> {
        Obring::start(&self.options())
    }
}

/// A server that grants plain packets only: what a session costs is judged without the state that
/// other framings bring. With `deny_proxyro` the user of proxies is not there.
fn plain_server(deny_proxyro: bool) -> Result<Running, String> {
    let mut layout = Layout {
        granted: capability::PLAIN,
        ..Layout::default()
    };
    layout.users.retain(|u| !deny_proxyro || u.name == "root");
    let server = Server::bind_free(layout).and_then(Server::spawn);
    server.map_err(|e| e.to_string())
}

/// `Err(text)` unless `claim` holds.
pub(crate) fn ensure(claim: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if claim { Ok(()) } else { Err(text()) }
}

/// The lines of a log that are errors or warnings, for "one clear line".
fn complaints(log: &[String]) -> Vec<String> {
    let is_complaint = |l: &&String| {
        let l = l.to_ascii_lowercase();
        l.contains("error") || l.contains("warn") || l.starts_with("obring:")
    };
    log.iter().filter(is_complaint).cloned().collect()
}
