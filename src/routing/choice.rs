//! A chosen server.

use super::{Class, Policy, Reason};
use std::net::SocketAddr;

/// A chosen server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// SQL address.
    pub server: SocketAddr,
    /// Why this one.
    pub reason: Reason,
    /// Its class, where servers were compared.
    pub class: Option<Class>,
    /// The policy that compared them.
    pub policy: Option<Policy>,
}

impl Choice {
    /// A server that was compared with no other.
    #[must_use]
    pub const fn of(server: SocketAddr, reason: Reason) -> Self {
        Self {
            server,
            reason,
            class: None,
            policy: None,
        }
    }
}
