//! What a session's variables say about where its statements go.

use crate::routing::{Preferences, SaidConsistency, zone_policy};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// The variables that routing looks at, as servers have reported them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wishes {
    /// `ob_read_consistency`
    pub(super) said: SaidConsistency,
    /// `ob_route_policy`, if it was ever told.
    zone_policy: Option<u8>,
    /// `@proxy_route_policy`
    weak_policy: Option<Box<str>>,
    /// `@proxy_idc_name`
    idc: Option<Box<str>>,
    /// `@obproxy_route_addr`
    pub(super) address: Option<SocketAddr>,
    /// The settings with these wishes in their places; `None`: the settings as they are.
    preferences: Option<Box<Preferences>>,
    /// Number of the settings that they were made of.
    made_of: u64,
}

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

    const fn changed(&mut self) {
        // No settings have this number: they are put together again at the next statement.
        self.made_of = 0;
    }

    /// Puts the wishes into the settings, if either has changed since the last time. `number`
    /// names the settings, and is not 0.
    pub(super) fn refresh(&mut self, settings: &Preferences, number: u64) {
        if self.made_of == number {
            return;
        }
        self.made_of = number;
        let is_plain = self.said == SaidConsistency::Never
            && self.zone_policy.is_none()
            && self.weak_policy.is_none()
            && self.idc.is_none();
        if is_plain {
            self.preferences = None;
            return;
        }
        let mut own = settings.clone();
        own.said = self.said;
        if let Some(number) = self.zone_policy {
            own.zone_policy = zone_policy(u64::from(number));
        }
        if let Some(word) = &self.weak_policy {
            own.set_weak_policy(word);
        }
        if let Some(idc) = &self.idc {
            own.idc.clone_from(idc);
        }
        self.preferences = Some(Box::new(own));
    }

    /// What the choice goes by.
    pub(super) fn preferences<'a>(&'a self, settings: &'a Preferences) -> &'a Preferences {
        self.preferences.as_deref().unwrap_or(settings)
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
    use crate::routing::Ordered;

    #[test]
    fn a_session_without_wishes_goes_by_the_settings() {
        let settings = Preferences::default();
        let mut wishes = Wishes::default();
        wishes.learn(b"ob_read_consistency", b"STRONG", false);
        wishes.learn(b"ob_route_policy", b"READONLY_ZONE_FIRST", false);
        wishes.refresh(&settings, 1);
        assert_eq!(wishes.preferences, None);
    }

    #[test]
    fn wishes_take_the_places_of_settings() {
        let mut settings = Preferences {
            idc: "a".into(),
            ..Preferences::default()
        };
        let mut wishes = Wishes::default();
        wishes.learn(b"ob_read_consistency", b"2", true);
        wishes.learn(b"ob_route_policy", b"ONLY_READONLY_ZONE", true);
        wishes.learn_user(b"proxy_route_policy", b"'follower_first'");
        wishes.learn_user(b"Proxy_IDC_name", b"'b'");
        wishes.refresh(&settings, 1);
        let own = wishes.preferences(&settings);
        let policies = (own.zone_policy, own.weak_policy);
        let wanted = (Ordered::OnlyReadonlyZone, Some(Ordered::FollowerFirst));
        assert_eq!((policies, &*own.idc), (wanted, "b"));
        assert_eq!(own.said, SaidConsistency::Weak);

        settings.ignores_merging = true;
        wishes.learn_user(b"proxy_idc_name", b"NULL");
        wishes.refresh(&settings, 2);
        let own = wishes.preferences(&settings);
        assert!(own.ignores_merging && &*own.idc == "a");
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
