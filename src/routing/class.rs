//! What matters of a server when a policy puts servers in order.

use super::{Cluster, Server, Zone, ZoneKind};

/// How far a server is from this proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Near {
    /// A: in the same data centre.
    Idc,
    /// B: in another one of the same region.
    Region,
    /// C: in another region.
    Other,
}

/// What a server has of the leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// T: nothing; it is another server of the tenant.
    Nothing,
    /// P and F: a follower.
    Follower,
    /// P and L: the leader.
    Leader,
}

/// The class of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class {
    /// A, B, C.
    pub near: Near,
    /// M, or N: its zone merges.
    pub is_merging: bool,
    /// R, or W: its zone is a read-only one.
    pub is_readonly: bool,
    /// P or T, F or L.
    pub hold: Hold,
    /// D, as the leader is: a replica of a replicated table.
    pub is_dup: bool,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 3 * 2 * 2 * 3 * 2;

    /// Its number, below [`Class::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        let near = self.near as usize;
        let zone = self.is_merging as usize * 2 + self.is_readonly as usize;
        ((near * 4 + zone) * 3 + self.hold as usize) * 2 + self.is_dup as usize
    }

    /// The class of a number.
    #[must_use]
    pub const fn of_index(index: usize) -> Self {
        let zone = index / 6 % 4;
        Self {
            near: match index / 24 {
                0 => Near::Idc,
                1 => Near::Region,
                _ => Near::Other,
            },
            is_merging: zone & 2 != 0,
            is_readonly: zone & 1 != 0,
            hold: match index / 2 % 3 {
                0 => Hold::Nothing,
                1 => Hold::Follower,
                _ => Hold::Leader,
            },
            is_dup: index % 2 == 1,
        }
    }

    /// The letters of the tables of orders: `ANWPL` is the leader, in a read-write zone of the same
    /// data centre that does not merge.
    #[must_use]
    pub fn letters(self) -> String {
        let mut letters = String::with_capacity(6);
        letters.push(match self.near {
            Near::Idc => 'A',
            Near::Region => 'B',
            Near::Other => 'C',
        });
        letters.push(if self.is_merging { 'M' } else { 'N' });
        letters.push(if self.is_readonly { 'R' } else { 'W' });
        letters.push_str(match self.hold {
            Hold::Nothing => "T",
            Hold::Follower => "PF",
            Hold::Leader => "PL",
        });
        if self.is_dup {
            letters.push('D');
        }
        letters
    }
}

/// Where this proxy is, in terms of a cluster's zones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site<'a> {
    idc: &'a str,
    region: &'a str,
}

impl<'a> Site<'a> {
    /// The site of the data centre that the settings or the session name. `None` if they name none,
    /// or one that no zone is in: then every server is as near as any other.
    #[must_use]
    pub fn of(cluster: &'a Cluster, idc: &'a str) -> Option<Self> {
        if idc.is_empty() {
            return None;
        }
        let by_idc = |zone: &&Zone| zone.idc.eq_ignore_ascii_case(idc);
        let by_name = |zone: &&Zone| begins_with(&zone.name, idc);
        let zones = &cluster.zones;
        let zone = zones
            .iter()
            .find(by_idc)
            .or_else(|| zones.iter().find(by_name))?;
        Some(Self {
            idc,
            region: &zone.region,
        })
    }

    /// How far a zone is. The name of a zone may begin with its data centre's.
    fn near(&self, zone: &Zone) -> Near {
        if zone.idc.eq_ignore_ascii_case(self.idc) || begins_with(&zone.name, self.idc) {
            Near::Idc
        } else if zone.region.eq_ignore_ascii_case(self.region) {
            Near::Region
        } else {
            Near::Other
        }
    }
}

/// True if a name begins with another; case does not matter.
pub(super) fn begins_with(name: &str, front: &str) -> bool {
    let head = name.as_bytes().get(..front.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(front.as_bytes()))
}

/// The class of a server of a cluster, as far as it is not one of the leaf. A server whose zone is
/// not known is far away.
#[must_use]
pub(super) fn class(cluster: &Cluster, site: Option<Site<'_>>, server: Option<&Server>) -> Class {
    let zone = server.and_then(|server| cluster.zone(&server.zone));
    Class {
        near: match (site, zone) {
            (None, _) => Near::Idc,
            (Some(site), Some(zone)) => site.near(zone),
            (Some(_), None) => Near::Other,
        },
        is_merging: zone.is_some_and(|zone| zone.is_merging),
        is_readonly: zone.is_some_and(|zone| zone.kind == ZoneKind::ReadOnly),
        hold: Hold::Nothing,
        is_dup: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, cluster};
    use super::*;

    #[test]
    fn numbers_and_classes_are_the_same() {
        for index in 0..Class::COUNT {
            assert_eq!(Class::of_index(index).index(), index);
        }
    }

    #[test]
    fn a_server_is_near_by_its_data_centre_its_zones_name_or_its_region() {
        let cluster = cluster(&[
            ("z1", "hz1", "hz"),
            ("z2", "hz2", "hz"),
            ("z3", "sh1", "sh"),
            ("hz1_b", "elsewhere", "sh"),
        ]);
        let near = |idc: &str| {
            let site = Site::of(&cluster, idc);
            let servers = cluster.servers.iter();
            let near = servers.map(|s| class(&cluster, site, Some(s)).near);
            near.collect::<Vec<_>>()
        };
        use Near::{Idc, Other, Region};
        assert_eq!(near("HZ1"), [Idc, Region, Other, Idc]);
        assert_eq!(near("sh1"), [Other, Other, Idc, Region]);
        assert_eq!(
            near("z2"),
            [Region, Idc, Other, Other],
            "by the zone's name"
        );
        assert_eq!(near(""), [Idc; 4]);
        assert_eq!(near("nowhere"), [Idc; 4]);
        let site = Site::of(&cluster, "hz1");
        assert_eq!(class(&cluster, site, None).near, Other);
    }

    #[test]
    fn kinds_of_zones_are_classes() {
        let mut cluster = cluster(&[("z1", "i1", "r"), ("z2", "i1", "r")]);
        fixture::zone(&mut cluster, "z2", |z| {
            (z.kind, z.is_merging) = (ZoneKind::ReadOnly, true);
        });
        let letters = |n: usize| class(&cluster, None, cluster.servers.get(n)).letters();
        assert_eq!((letters(0).as_str(), letters(1).as_str()), ("ANWT", "AMRT"));
    }
}
