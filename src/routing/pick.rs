//! Choosing a server.

use super::Cluster;
use std::net::SocketAddr;

/// Why a server was chosen. One list for EXPLAIN, counters and logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The session has no server yet: any server of the cluster, spread by session id.
    NewSession,
    /// The servers before it could not be reached.
    NextAfterFailure,
}

impl Reason {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewSession => "new_session",
            Self::NextAfterFailure => "next_after_failure",
        }
    }
}

/// A chosen server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// SQL address.
    pub server: SocketAddr,
    /// Why this one.
    pub reason: Reason,
}

/// Chooses the server of a session's next connection.
///
/// `spread` distributes sessions over servers (the session's id); `failed` counts the servers that
/// were tried in vain: each attempt takes the next one, none twice. `None` when all were tried.
#[must_use]
pub fn pick(cluster: &Cluster, spread: u32, failed: u32) -> Option<Choice> {
    let n = cluster.servers.len();
    if n == 0 || failed as usize >= n {
        return None;
    }
    let at = (spread as usize + failed as usize) % n;
    let reason = if failed == 0 {
        Reason::NewSession
    } else {
        Reason::NextAfterFailure
    };
    cluster
        .servers
        .get(at)
        .map(|&server| Choice { server, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Health;
    use std::sync::Arc;

    #[test]
    fn every_server_is_tried_once_and_sessions_start_at_different_ones() {
        let servers: Vec<SocketAddr> = (1..=3)
            .map(|i| SocketAddr::from(([127, 0, 0, i], 2881)))
            .collect();
        let cluster = Cluster {
            name: "ob1".into(),
            is_named: true,
            version: 1,
            servers: Arc::from(servers.clone()),
            health: Health::Ready,
            confirmed: None,
        };
        for spread in 0..6 {
            let mut tried: Vec<_> = (0..3)
                .map(|failed| pick(&cluster, spread, failed).unwrap().server)
                .collect();
            assert_eq!(tried[0], servers[spread as usize % 3]);
            tried.sort();
            assert_eq!(tried, servers);
            assert_eq!(pick(&cluster, spread, 3), None);
        }
    }
}
