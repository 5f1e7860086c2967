//! What serving cores and the metadata core tell each other.

use super::Cluster;
use crate::base::Errno;
use std::net::SocketAddr;
use std::sync::Arc;

/// One message between cores.
#[derive(Clone, Debug)]
pub enum Mail {
    /// Metadata core to serving core: an entry of the replica is replaced, unless the replica
    /// already has a newer version.
    Cluster(Arc<Cluster>),
    /// Metadata core to serving core: the first round is over, every configured cluster is known.
    Primed,
    /// Serving core to serving core: a statement that kills this connection was sent to a server.
    Killing {
        /// Connection id of the victim.
        id: u32,
    },
    /// Serving core to metadata core: a server of that cluster could not be reached. Starts an
    /// early round (at most one a second for each cluster).
    Unreachable {
        /// Name of the cluster.
        cluster: Arc<str>,
        /// The server.
        server: SocketAddr,
        /// What the connect answered.
        errno: Errno,
    },
}
