//! Choosing a server for a new session, and for one that has to move.

use super::class::class as class_of;
use super::{Blocks, Choice, Cluster, Near, Reason, Site, Tenant};
use std::net::SocketAddr;

/// How good a server is for new work; the first is the best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Class {
    /// The cluster has it, and it is in service.
    InService,
    /// The cluster has it, but says that it is not in service, or it has failed too often. It may
    /// know more than the list.
    OutOfService,
    /// The tenant is said to be there, but the cluster does not list it (any more, or yet).
    Unlisted,
}

fn class(cluster: &Cluster, blocks: &Blocks, server: SocketAddr) -> Class {
    match cluster.server(server) {
        Some(s) if s.state.is_in_service() && blocks.of(&server).is_none() => Class::InService,
        Some(_) => Class::OutOfService,
        None => Class::Unlisted,
    }
}

fn near(cluster: &Cluster, site: Option<Site<'_>>, server: SocketAddr) -> Near {
    class_of(cluster, site, cluster.server(server)).near
}

/// The servers that a session may use, in the order of the list: those of its tenant, or, for the
/// sys tenant (`None`) and without cluster views, all of the cluster.
pub(super) fn servers<'a>(
    cluster: &'a Cluster,
    tenant: Option<&'a Tenant>,
) -> impl Iterator<Item = SocketAddr> + Clone + 'a {
    let (all, own): (&[_], &[_]) = match tenant {
        Some(tenant) => (&[], &tenant.servers),
        None => (&cluster.servers, &[]),
    };
    all.iter().map(|s| s.address).chain(own.iter().copied())
}

/// Chooses the server of a session's next connection: one in service if there is one.
///
/// Among equals those nearest to the data centre `idc` (empty: all are alike) come first, and
/// `spread` distributes sessions over them (the session's id); those in `tried` were tried in vain.
/// `None` when all were. Servers that are said to be out of service, or are blocked, come last, but
/// they do come: what a server says itself is newer than any list.
#[must_use]
pub fn pick(
    cluster: &Cluster,
    tenant: Option<&Tenant>,
    blocks: &Blocks,
    spread: u32,
    tried: &[SocketAddr],
    idc: &str,
) -> Option<Choice> {
    let site = Site::of(cluster, idc);
    let rank = |s: SocketAddr| (class(cluster, blocks, s), near(cluster, site, s));
    let left = servers(cluster, tenant).filter(|s| !tried.contains(s));
    let best = left.clone().map(rank).min()?;
    let best = left.filter(|&s| rank(s) == best);
    let at = spread as usize % best.clone().count().max(1);
    let reason = if tried.is_empty() {
        Reason::NewSession
    } else {
        Reason::NextAfterFailure
    };
    best.clone()
        .nth(at)
        .map(|server| Choice::of(server, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Tick;
    use crate::routing::{Block, Health, Server, ServerState, Standing};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn at(n: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, n], 2881))
    }

    fn cluster(states: &[ServerState]) -> Cluster {
        let server = |(i, &state): (usize, &ServerState)| Server {
            address: at(i as u8 + 1),
            zone: "z1".into(),
            state,
            is_root: false,
        };
        Cluster {
            name: "ob1".into(),
            is_named: true,
            version: 1,
            servers: states.iter().enumerate().map(server).collect(),
            zones: Arc::new([]),
            primary_zone: crate::routing::ZoneList::default(),
            has_views: true,
            health: Health::Ready,
            published: Tick(0),
        }
    }

    fn tenant(servers: &[u8]) -> Tenant {
        Tenant {
            cluster: "ob1".into(),
            name: b"t".as_slice().into(),
            version: 1,
            servers: servers.iter().map(|&n| at(n)).collect(),
            primary_zone: crate::routing::ZoneList::default(),
            standing: Standing::Known,
            published: Tick(0),
        }
    }

    /// The servers in the order in which they are tried.
    fn tries(cluster: &Cluster, tenant: Option<&Tenant>, spread: u32) -> Vec<SocketAddr> {
        let mut tried = vec![];
        let blocks = Blocks::default();
        while let Some(choice) = pick(cluster, tenant, &blocks, spread, &tried, "") {
            assert_eq!(choice.reason == Reason::NewSession, tried.is_empty());
            tried.push(choice.server);
        }
        tried
    }

    #[test]
    fn every_server_is_tried_once_and_sessions_start_at_different_ones() {
        let cluster = cluster(&[ServerState::Active; 3]);
        for spread in 0..6 {
            let tried = tries(&cluster, None, spread);
            assert_eq!(tried[0], at(spread as u8 % 3 + 1));
            let set: BTreeSet<_> = tried.iter().copied().collect();
            assert_eq!((tried.len(), set.len()), (3, 3));
        }
    }

    #[test]
    fn servers_out_of_service_come_last_and_unlisted_ones_behind_them() {
        use ServerState::{Active, Deleting, Inactive, Starting, Stopped, Unknown};
        let cluster = cluster(&[Stopped, Active, Starting, Deleting, Inactive, Unknown]);
        let tenant = tenant(&[9, 1, 2, 5]);
        for spread in 0..9 {
            let all = tries(&cluster, None, spread);
            let good: BTreeSet<_> = all[..3].iter().copied().collect();
            assert_eq!(good, [at(2), at(4), at(6)].into(), "{all:?}");
            assert_eq!(all.len(), 6);
            let own = tries(&cluster, Some(&tenant), spread);
            assert_eq!((own[0], own[3], own.len()), (at(2), at(9), 4), "{own:?}");
        }
    }

    #[test]
    fn near_servers_come_first_and_dead_ones_last() {
        use crate::routing::{Zone, ZoneKind};
        let mut cluster = cluster(&[
            ServerState::Active,
            ServerState::Active,
            ServerState::Inactive,
            ServerState::Active,
        ]);
        let zone = |name: &str, idc: &str, region: &str| Zone {
            name: name.into(),
            idc: idc.into(),
            region: region.into(),
            kind: ZoneKind::ReadWrite,
            is_stopped: false,
            is_merging: false,
        };
        cluster.zones = Arc::new([
            zone("z1", "far", "north"),
            zone("z2", "near", "south"),
            zone("z4", "other", "south"),
        ]);
        let zones = ["z1", "z2", "z2", "z4"];
        let placed = cluster.servers.iter().zip(zones);
        let placed = placed.map(|(server, zone)| Server {
            zone: zone.into(),
            ..server.clone()
        });
        cluster.servers = placed.collect();
        let mut tried = vec![];
        let mut blocks = Blocks::default();
        while let Some(choice) = pick(&cluster, None, &blocks, 7, &tried, "near") {
            tried.push(choice.server);
        }
        assert_eq!(tried, [2, 4, 1, 3].map(at));
        blocks.set(at(2), Some(Block::Gray));
        let choice = pick(&cluster, None, &blocks, 7, &[], "near");
        assert_eq!(choice.map(|c| c.server), Some(at(4)));
    }
}
