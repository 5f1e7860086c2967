//! What is known of a user tenant: the servers it is on.

use super::ZoneList;
use crate::base::Tick;
use std::net::SocketAddr;
use std::sync::Arc;

/// The tenant that is on all servers of its cluster.
pub const SYS: &[u8] = b"sys";

/// How well a tenant is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The cluster has named its servers.
    Known,
    /// The cluster does not know it. Forgotten after a short time.
    Absent,
    /// The cluster could not be asked. The servers are those of the answer before, if there was
    /// one; without, this is forgotten after a short time.
    Unanswered {
        /// What failed, for people.
        cause: Arc<str>,
    },
    /// Nothing is known any more: whoever needs it has to ask.
    Forgotten,
}

/// One user tenant as the metadata core last knew it. Immutable; replaced as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its name; case matters.
    pub name: Arc<[u8]>,
    /// Rises with each answer; an old one never overwrites a newer one.
    pub version: u64,
    /// SQL addresses in the order of the answer. Servers that are stopped or dead are among them.
    pub servers: Arc<[SocketAddr]>,
    /// The zones that its leaders are in, as far as they can; empty: any, or it was not told.
    pub primary_zone: ZoneList,
    /// How well this is known.
    pub standing: Standing,
    /// When the metadata core made this version.
    pub published: Tick,
}
