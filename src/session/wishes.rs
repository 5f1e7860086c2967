//! What a session's variables say about where its statements go.

use super::Settings;
use crate::auth::LoginName;
use crate::routing::{Cluster, Login, RoutingRules, Said, SaidConsistency, Tenant};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::LazyLock;

/// The rules of routing with the wishes in their places. They are made again whenever something
/// that they are made of has changed, so a copy of the session needs none.
#[derive(Clone, Debug, Default)]
struct Made {
    rules: Option<Box<RoutingRules>>,
    /// Numbers of the settings, and of the entry with the primary zone, that they were made of.
    of: (u64, u64),
}

impl PartialEq for Made {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Made {}

/// The variables that routing looks at, as servers have reported them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wishes {
    /// `ob_read_consistency`
    said: SaidConsistency,
    /// `ob_route_policy`, if it was ever told.
    zone_policy: Option<u8>,
    /// `@proxy_route_policy`
    weak_policy: Option<Box<str>>,
    /// `@proxy_idc_name`
    idc: Option<Box<str>>,
    /// `@obproxy_route_addr`
    pub(super) address: Option<SocketAddr>,
    #[serde(skip)]
    made: Made,
}

static DEFAULT: LazyLock<RoutingRules> = LazyLock::new(RoutingRules::default);

impl Wishes {
    /// A server reports a system variable. `is_set`: a statement has set it; else this is what a
    /// session begins with.
    pub(super) fn learn(&mut self, name: &[u8], value: &[u8], is_set: bool) {
        match name {
            b"ob_read_consistency" => {
                let is_weak = value == b"2" || value.eq_ignore_ascii_case(b"WEAK");
                self.said = match (is_weak, is_set) {
                    (true, _) => SaidConsistency::Weak,
                    (false, true) => SaidConsistency::Strong,
                    (false, false) => SaidConsistency::Never,
                };
                self.changed();
            }
            b"ob_route_policy" => {
                self.zone_policy = zone_policy_number(value);
                self.changed();
            }
            _ => {}
        }
    }

    /// A server reports a user variable, as a literal.
    pub(super) fn learn_user(&mut self, name: &[u8], literal: &[u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        if is("proxy_route_policy") {
            self.weak_policy = text(literal);
            self.changed();
        } else if is("proxy_idc_name") {
            self.idc = text(literal);
            self.changed();
        } else if is("obproxy_route_addr") {
            self.address = address(literal);
        }
    }

    fn changed(&mut self) {
        self.made = Made::default();
    }

    /// Puts the rules together, if anything has changed since the last time: true if so.
    pub(super) fn refresh(
        &mut self,
        settings: &Settings,
        name: &LoginName,
        cluster: &Cluster,
        tenant: Option<&Tenant>,
    ) -> bool {
        let of = (
            settings.number,
            tenant.map_or(cluster.version, |tenant| tenant.version),
        );
        if self.made.of == of {
            return false;
        }
        let login = Login {
            cluster: &cluster.name,
            tenant: &name.tenant,
            user: &name.user,
        };
        let rules = settings
            .process
            .as_deref()
            .map(|process| RoutingRules::of(process, &login));
        let mut rules = rules.unwrap_or_default();
        rules.preferences.heed(&Said {
            idc: self.idc.as_deref(),
            weak_policy: self.weak_policy.as_deref(),
            zone_policy: self.zone_policy.map(u64::from),
            consistency: self.said,
        });
        rules.preferences.primary_zone = match tenant {
            Some(tenant) => tenant.primary_zone.clone(),
            None => cluster.primary_zone.clone(),
        };
        self.made = Made {
            rules: Some(Box::new(rules)),
            of,
        };
        true
    }

    /// What servers have to be told of `ob_read_consistency`, and whether that is what they think
    /// anyway; `None` if the session has said it itself.
    pub(super) fn consistency(&self) -> Option<(&'static [u8], bool)> {
        let rules = self.rules();
        match (self.said, rules.reads_weakly) {
            (_, true) if rules.is_consistency_fixed => Some((b"2", false)),
            (SaidConsistency::Never, true) => Some((b"2", false)),
            (SaidConsistency::Never, false) => Some((b"3", true)),
            _ => None,
        }
    }

    /// The rules as they were put together last.
    pub(super) fn rules(&self) -> &RoutingRules {
        self.made.rules.as_deref().unwrap_or(&DEFAULT)
    }

    /// SELECTs read weakly where nothing says otherwise.
    pub(super) fn reads_weakly(&self) -> bool {
        let rules = self.rules();
        match self.said {
            _ if rules.is_consistency_fixed => true,
            SaidConsistency::Weak => true,
            SaidConsistency::Strong => false,
            SaidConsistency::Never => rules.reads_weakly,
        }
    }
}

/// `ob_route_policy` as number or name: servers report either. `None` for the default, so that a
/// session that never set it needs no preferences of its own.
fn zone_policy_number(value: &[u8]) -> Option<u8> {
    const NAMES: &[(&str, u8)] = &[
        ("MERGE_IDC_ORDER", 0),
        ("READONLY_ZONE_FIRST", 1),
        ("ONLY_READONLY_ZONE", 2),
        ("UNMERGE_ZONE_FIRST", 3),
    ];
    let text = std::str::from_utf8(value).ok()?;
    if text.is_empty() {
        // The kernel reports 0 without its name: observed on seekdb 1.3.0.
        return Some(0);
    }
    let is_named = |(name, _): &&(&str, u8)| name.eq_ignore_ascii_case(text);
    let named = NAMES.iter().find(is_named).map(|(_, number)| *number);
    named
        .or_else(|| text.parse().ok())
        .filter(|number| *number != 1)
}

/// The text of a string literal; `None` for an empty one and for anything else.
fn text(literal: &[u8]) -> Option<Box<str>> {
    let inner = literal.strip_prefix(b"'")?.strip_suffix(b"'")?;
    let text = std::str::from_utf8(inner).ok()?;
    (!text.is_empty()).then(|| text.into())
}

/// `port << 32 | ipv4`; 0 is none. Source: routing facts, section 6.2.
fn address(literal: &[u8]) -> Option<SocketAddr> {
    let number: u64 = std::str::from_utf8(literal).ok()?.parse().ok()?;
    let port = u16::try_from(number >> 32).ok()?;
    let ip = Ipv4Addr::from((number & u64::from(u32::MAX)) as u32);
    (number != 0).then(|| SocketAddr::from((ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(wishes: &Wishes) -> (SaidConsistency, Option<u8>, Option<&str>, Option<&str>) {
        (
            wishes.said,
            wishes.zone_policy,
            wishes.weak_policy.as_deref(),
            wishes.idc.as_deref(),
        )
    }

    #[test]
    fn what_a_session_begins_with_is_no_wish() {
        let mut wishes = Wishes::default();
        wishes.learn(b"ob_read_consistency", b"STRONG", false);
        wishes.learn(b"ob_route_policy", b"READONLY_ZONE_FIRST", false);
        assert_eq!(said(&wishes), (SaidConsistency::Never, None, None, None));
        wishes.learn(b"ob_read_consistency", b"3", true);
        assert_eq!(wishes.said, SaidConsistency::Strong);
        assert!(!wishes.reads_weakly());
    }

    #[test]
    fn wishes_come_as_numbers_names_and_literals() {
        let mut wishes = Wishes::default();
        wishes.learn(b"ob_read_consistency", b"2", true);
        wishes.learn(b"ob_route_policy", b"ONLY_READONLY_ZONE", true);
        wishes.learn_user(b"proxy_route_policy", b"'follower_first'");
        wishes.learn_user(b"Proxy_IDC_name", b"'b'");
        let wanted = (
            SaidConsistency::Weak,
            Some(2),
            Some("follower_first"),
            Some("b"),
        );
        assert_eq!(said(&wishes), wanted);
        assert!(wishes.reads_weakly());
        wishes.learn(b"ob_route_policy", b"", true);
        assert_eq!(wishes.zone_policy, Some(0));
        wishes.learn(b"ob_route_policy", b"READONLY_ZONE_FIRST", true);
        assert_eq!(wishes.zone_policy, None);
        wishes.learn_user(b"proxy_idc_name", b"NULL");
        assert_eq!(wishes.idc, None);
    }

    #[test]
    fn an_address_is_port_and_ip() {
        let number = 2881_u64 << 32 | 0x7F00_0002;
        let literal = number.to_string();
        assert_eq!(
            address(literal.as_bytes()),
            Some("127.0.0.2:2881".parse().unwrap())
        );
        for literal in [&b"0"[..], b"NULL", b"'x'", b"-1"] {
            assert_eq!(address(literal), None);
        }
    }
}
