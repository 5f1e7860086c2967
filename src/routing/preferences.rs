//! What settings and session variables say about the choice of servers, read once.

use super::policy::{SaidConsistency, weak_policy, zone_policy};
use super::{Ordered, class};
use std::net::SocketAddr;
use std::sync::Arc;

/// Most servers of a `target_db_server` list; more are left out.
const TARGETS_MAX: usize = 16;

/// Zones in groups: `z1,z2;z3` tries z1 and z2 alike, then z3. Source: routing facts, section 6.10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneList {
    /// Shared by all sessions of a tenant.
    zones: Arc<[(u8, Box<str>)]>,
}

impl Default for ZoneList {
    /// No zone. Empty lists have no memory of their own.
    fn default() -> Self {
        Self {
            zones: Arc::default(),
        }
    }
}

impl ZoneList {
    /// Reads a list. Blanks do not matter; empty names and groups behind the 200th are left out.
    /// `RANDOM`, which tenants have in place of a list, names no zone.
    #[must_use]
    pub fn of(text: &str) -> Self {
        if text.trim().eq_ignore_ascii_case("random") {
            return Self::default();
        }
        let groups = text.split(';').zip(0..200_u8);
        let zones = groups.flat_map(|(group, names)| {
            let (names, group) = (group, names);
            let named = names.split(',').map(str::trim).filter(|n| !n.is_empty());
            named.map(move |name| (group, name.into()))
        });
        Self {
            zones: zones.collect(),
        }
    }

    /// It names no zone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The group of a zone, the first is 0; case does not matter.
    #[must_use]
    pub fn group(&self, zone: &str) -> Option<u8> {
        let named = self
            .zones
            .iter()
            .find(|(_, z)| z.eq_ignore_ascii_case(zone));
        named.map(|(group, _)| *group)
    }
}

/// The addresses of a `target_db_server` list: `ip:port` divided by `;` or `,`. What is no address
/// is left out.
pub fn targets(text: &str) -> impl Iterator<Item = SocketAddr> + Clone + '_ {
    let words = text.split([';', ',']).map(str::trim);
    words.filter_map(|word| word.parse().ok()).take(TARGETS_MAX)
}

/// What the choice of a server goes by besides the statement and the cluster. Made when a setting
/// or a variable changes, not for each statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// The data centre of this proxy: `@proxy_idc_name` of the session, else `proxy_idc_name`;
    /// empty: not known.
    pub idc: Box<str>,
    /// `proxy_route_policy`: the session's variable, else the setting.
    pub weak_policy: Option<Ordered>,
    /// `ob_route_policy` of the session.
    pub zone_policy: Ordered,
    /// `ob_read_consistency` of the session, as it was set.
    pub said: SaidConsistency,
    /// `proxy_primary_zone_name`
    pub proxy_primary_zone: ZoneList,
    /// The tenant's primary zone ([`super::Tenant::primary_zone`]).
    pub primary_zone: ZoneList,
    /// `enable_primary_zone`
    pub uses_primary_zone: bool,
    /// `enable_cached_server`: a statement without tables stays on the session's server.
    pub keeps_server: bool,
    /// `server_routing_mode` is random: one server is as good as another.
    pub is_random: bool,
    /// `disable_merge_status_check`
    pub ignores_merging: bool,
    /// `enable_partition_table_route`: which leaves a statement touches is calculated.
    pub calculates: bool,
    /// The setting `target_db_server`.
    pub targets: Vec<SocketAddr>,
}

impl Default for Preferences {
    /// OBProxy's defaults.
    fn default() -> Self {
        Self {
            idc: "".into(),
            weak_policy: None,
            zone_policy: zone_policy(1),
            said: SaidConsistency::Never,
            proxy_primary_zone: ZoneList::default(),
            primary_zone: ZoneList::default(),
            uses_primary_zone: true,
            keeps_server: true,
            is_random: false,
            ignores_merging: false,
            calculates: true,
            targets: vec![],
        }
    }
}

/// What a session has said by its variables; `None`: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// `@proxy_idc_name`
    pub idc: Option<&'a str>,
    /// `@proxy_route_policy`
    pub weak_policy: Option<&'a str>,
    /// `ob_route_policy`
    pub zone_policy: Option<u64>,
    /// `ob_read_consistency`
    pub consistency: SaidConsistency,
}

impl Preferences {
    /// Puts what the session has said in place of what the settings say.
    pub fn heed(&mut self, said: &Said<'_>) {
        if let Some(idc) = said.idc {
            self.idc = idc.into();
        }
        if let Some(word) = said.weak_policy {
            self.set_weak_policy(word);
        }
        if let Some(number) = said.zone_policy {
            self.zone_policy = zone_policy(number);
        }
        self.said = said.consistency;
    }

    /// Sets the policy of weak reads by its word.
    pub fn set_weak_policy(&mut self, word: &str) {
        self.weak_policy = weak_policy(word);
    }

    /// The zones that a statement must keep to, if it must.
    #[must_use]
    pub fn pinned_zones(&self) -> Option<&ZoneList> {
        match self.proxy_primary_zone.is_empty() {
            true => None,
            false => Some(&self.proxy_primary_zone),
        }
    }

    /// The class of a server, as far as these preferences look at it.
    pub(super) const fn seen(&self, mut class: class::Class) -> class::Class {
        class.is_merging &= !self.ignores_merging;
        class
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::at;
    use super::*;

    #[test]
    fn zones_come_in_groups() {
        let zones = ZoneList::of(" z1 , Z2;;z3;");
        let groups = ["Z1", "z2", "z3", "z4"].map(|z| zones.group(z));
        assert_eq!(groups, [Some(0), Some(0), Some(2), None]);
        assert!(ZoneList::of("RANDOM").is_empty() && ZoneList::of(" ; ,").is_empty());
    }

    #[test]
    fn lists_of_targets_are_read() {
        let read: Vec<_> = targets("127.0.0.1:2881; 127.0.0.2:2881,x,[::1]:2881").collect();
        assert_eq!(read, [at(1), at(2), "[::1]:2881".parse().unwrap()]);
        assert_eq!(targets("").count(), 0);
        assert_eq!(targets(&"127.0.0.1:1;".repeat(99)).count(), TARGETS_MAX);
    }
}
