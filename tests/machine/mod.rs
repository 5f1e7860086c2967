//! What every test of a session machine begins with: one known server, its greeting, its framing.

pub(crate) mod framed;

use obring::protocol::mysql::{Greeting, put_packet};
use obring::routing::{Cluster, Health, Replica};
use std::net::SocketAddr;
use std::sync::Arc;

/// Knowledge of one cluster with one server.
pub(crate) fn replica() -> Replica {
    let mut replica = Replica::default();
    replica.install(Arc::new(Cluster {
        name: "test".into(),
        is_named: false,
        version: 1,
        servers: Arc::new([SocketAddr::from(([127, 0, 0, 1], 2881))]),
        health: Health::Ready,
        confirmed: None,
    }));
    replica.prime();
    replica
}

/// What that server says first.
pub(crate) fn greeting() -> Vec<u8> {
    let mut out = vec![];
    Greeting {
        version: b"5.7.25".to_vec(),
        connection_id: 1,
        capabilities: Greeting::OFFERED,
        charset: Greeting::CHARSET,
        scramble: [b'x'; 20],
    }
    .put(&mut out);
    out
}

/// One packet.
pub(crate) fn packet(seq: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    put_packet(&mut out, seq, write);
    out
}
