//! The model cluster in front of a real kernel.
//!
//! `OBRING_KERNEL=host:port cargo test -p obcluster --features e2e --test cluster`; scripts/kernel
//! starts a kernel.
#![cfg(feature = "e2e")]

#[path = "cluster/builtin_tls.rs"]
mod builtin_tls;
#[path = "cluster/client.rs"]
mod client;
#[path = "cluster/engines.rs"]
mod engines;
#[path = "cluster/faults.rs"]
mod faults;
#[path = "cluster/feedback.rs"]
mod feedback;
#[path = "cluster/judge.rs"]
mod judge;
#[path = "cluster/judge_sessions.rs"]
mod judge_sessions;
#[path = "cluster/logins.rs"]
mod logins;
#[path = "cluster/moves.rs"]
mod moves;
#[path = "cluster/processlist.rs"]
mod processlist;
#[path = "cluster/program.rs"]
mod program;
#[path = "cluster/rules.rs"]
mod rules;
#[path = "cluster/servers.rs"]
mod servers;
#[path = "cluster/shadow.rs"]
mod shadow;
#[path = "cluster/statements.rs"]
mod statements;
#[path = "cluster/views.rs"]
mod views;

use obcluster::{Cluster, Topology};
use std::net::SocketAddr;
use std::time::Duration;

/// The kernel behind the model.
fn kernel() -> SocketAddr {
    let text = std::env::var("OBRING_KERNEL").unwrap_or_default();
    text.parse()
        .expect("OBRING_KERNEL must name a running kernel as address:port (scripts/kernel)")
}

fn cluster_of(change: impl FnOnce(&mut Topology)) -> Cluster {
    let mut topology = Topology::default();
    change(&mut topology);
    Cluster::start(topology, kernel()).expect("the cluster starts")
}

fn cluster() -> Cluster {
    cluster_of(|_| {})
}

/// Waits for a condition.
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if is_true() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

/// A database of one test, dropped at its end.
struct Database(SocketAddr, String);

impl Database {
    fn new(address: SocketAddr, name: &str) -> Self {
        let new = Self(address, format!("obcluster_{name}"));
        let mut client = new.client();
        client.ask(&format!("drop database if exists {}", new.1));
        client.ask(&format!("create database {}", new.1));
        new
    }

    fn client(&self) -> client::Client {
        client::Client::new(self.0, &client::Credentials::direct("root@sys"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A test that failed may have left the server dead.
        if let Ok(Ok(mut client)) =
            client::Client::login(self.0, &client::Credentials::direct("root@sys"))
        {
            let _ = client.query(&format!("drop database {}", self.1));
        }
    }
}
