//! KILL between cores: what is asked of the core that a session is on, and what it says.

use crate::base::{CoreId, Key};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// An order to end a session, or to say where its statement runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KillOrder {
    /// Connection id of the victim.
    pub id: u32,
    /// Only the statement that it runs is to end.
    pub is_query: bool,
    /// Who wants it.
    pub by: Killer,
    /// Who is told.
    pub back: KillBack,
}

/// Who wants a session to end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Killer {
    /// The administrator of the proxy.
    Administrator,
    /// A user of a tenant.
    User {
        /// The cluster.
        cluster: Arc<str>,
        /// The tenant.
        tenant: Vec<u8>,
        /// The user.
        user: Vec<u8>,
        /// The server says that the user has the SUPER privilege.
        is_super: bool,
    },
}

/// Who waits for what became of a [`KillOrder`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KillBack {
    /// The desk of administrators, with this question of its.
    Desk(u64),
    /// A session.
    Session(CoreId, Key),
}

impl KillBack {
    /// The core to write to.
    #[must_use]
    pub const fn core(self) -> CoreId {
        match self {
            Self::Desk(_) => CoreId::METADATA,
            Self::Session(core, _) => core,
        }
    }
}

/// What became of a [`KillOrder`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KillReport {
    /// As in the order.
    pub id: u32,
    /// As in the order.
    pub is_query: bool,
    /// As in the order.
    pub back: KillBack,
    /// What became of it.
    pub fate: Fate,
}

/// What became of the victim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Fate {
    /// There is no such session, or none that the killer may know of.
    Unknown,
    /// It is another user's.
    Denied,
    /// The session ends, or had no statement to end.
    Done,
    /// Its statement runs: on this server, on the connection with this id there.
    Runs(SocketAddr, u32),
}
