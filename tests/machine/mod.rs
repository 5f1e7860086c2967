//! What every test of a session machine begins with: one known server, its greeting, its framing.

pub(crate) mod framed;

mod wire;

use obring::base::Tick;
use obring::routing::{Cluster, Health, Replica, Server, ServerState};
use std::net::SocketAddr;
use std::sync::Arc;
pub(crate) use wire::{greeting, packet};

/// Knowledge of one cluster with one server.
pub(crate) fn replica() -> Replica {
    let mut replica = Replica::default();
    let cluster = Arc::new(Cluster {
        name: "test".into(),
        is_named: false,
        version: 1,
        servers: Arc::new([Server {
            address: SocketAddr::from(([127, 0, 0, 1], 2881)),
            zone: "".into(),
            state: ServerState::Untold,
            is_root: false,
        }]),
        zones: Arc::new([]),
        primary_zone: obring::routing::ZoneList::default(),
        has_views: false,
        health: Health::Ready,
        published: Tick(0),
    });
    replica.install(Tick(0), cluster);
    replica.prime();
    replica
}
