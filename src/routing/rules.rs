//! What the settings say about routing, for the sessions of one login.

use super::{Preferences, ZoneList};
use crate::config::{RoutingMode, Settings};
use std::time::Duration;

/// Milliseconds, rounded up: a wait that is set is never none.
fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// What the settings say about the tables that a core knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableRules {
    /// How long a statement waits for the location of a table of which nothing is known.
    pub cold_wait_ms: u64,
    /// How long a statement waits for the answer about an entry that is doubted.
    pub stale_wait_ms: u64,
    /// An entry that was found the same again, and is doubted again, is asked for after a pause
    /// that doubles up to this.
    pub pause_max_ms: u64,
    /// An entry this old is asked for when it is used; random in `[half, full)`. 0: never.
    pub expire_ms: u64,
}

impl Default for TableRules {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            cold_wait_ms: 1_000,
            stale_wait_ms: 2,
            pause_max_ms: 5_000,
            expire_ms: 0,
        }
    }
}

impl TableRules {
    /// What the settings of the process say.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let cold_wait_ms = millis(settings.cold_location_wait);
        Self {
            cold_wait_ms,
            stale_wait_ms: match settings.enable_async_pull_location_cache {
                true => millis(settings.stale_location_wait),
                false => cold_wait_ms,
            },
            pause_max_ms: millis(settings.delay_update_entry_interval),
            expire_ms: millis(settings.location_expire_period_time),
        }
    }
}

/// Who has logged in. Settings of a cluster, tenant or user are found by this.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// The tenant.
    pub tenant: &'a [u8],
    /// The user, without tenant.
    pub user: &'a [u8],
}

/// What the settings say about the routing of a login's statements. Made when the settings change,
/// not for each statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingRules {
    /// Where statements go, before the tenant and the session's variables have their say
    /// ([`Preferences::heed`]).
    pub preferences: Preferences,
    /// `obproxy_read_consistency` is 1, or the user is in `weak_read_user_list`: sessions read
    /// weakly, as with `ob_read_consistency` = 2.
    pub reads_weakly: bool,
    /// The session cannot say otherwise: `obproxy_read_consistency` is 1, and OBProxy refuses SET
    /// of `ob_read_consistency` with 4179.
    pub is_consistency_fixed: bool,
    /// `enable_read_write_split`
    pub splits_reads: bool,
    /// `enable_transaction_split`
    pub splits_transactions: bool,
    /// `enable_reroute`: a server may name a better one for a statement that must see the newest
    /// rows.
    pub reroutes: bool,
    /// `enable_weak_reroute`: the same for weak reads.
    pub reroutes_weak_reads: bool,
}

impl Default for RoutingRules {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            preferences: Preferences::default(),
            reads_weakly: false,
            is_consistency_fixed: false,
            splits_reads: false,
            splits_transactions: false,
            reroutes: false,
            reroutes_weak_reads: true,
        }
    }
}

impl RoutingRules {
    /// What the settings of the process say about a login.
    #[must_use]
    pub fn of(settings: &Settings, login: &Login<'_>) -> Self {
        let mut preferences = Preferences {
            idc: settings.proxy_idc_name.as_str().into(),
            proxy_primary_zone: ZoneList::of(&settings.proxy_primary_zone_name),
            uses_primary_zone: settings.enable_primary_zone,
            keeps_server: settings.enable_cached_server,
            is_random: settings.server_routing_mode == RoutingMode::Random,
            calculates: settings.enable_partition_table_route,
            targets: settings.target_db_server.clone(),
            ..Preferences::default()
        };
        preferences.set_weak_policy(&settings.proxy_route_policy);
        let is_listed = settings.weak_read_user_list.iter().any(|reader| {
            let is_user = &*reader.user == "*" || *reader.user.as_bytes() == *login.user;
            is_user && *reader.tenant.as_bytes() == *login.tenant
        });
        let is_consistency_fixed = settings.obproxy_read_consistency == 1;
        Self {
            preferences,
            reads_weakly: is_consistency_fixed || is_listed,
            is_consistency_fixed,
            splits_reads: settings.enable_read_write_split,
            splits_transactions: settings.enable_transaction_split,
            reroutes: settings.enable_reroute,
            reroutes_weak_reads: settings.enable_weak_reroute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::at;
    use super::super::{Ordered, Said, SaidConsistency};
    use super::*;
    use crate::config::{Alter, Draft, Host, alter};

    fn defaults() -> Settings {
        let mut draft = Draft::new();
        let read = draft.read_options("rootservice_list=127.0.0.1:2881");
        read.expect("a setting");
        let host = Host {
            cpus: 2,
            entropy: 1,
        };
        draft.finish(host).expect("settings").0
    }

    fn with(changes: &[(&str, &str)]) -> Settings {
        changes.iter().fold(defaults(), |settings, (name, value)| {
            match alter(&settings, name, value) {
                Ok(Alter::Changed { settings, .. }) => *settings,
                other => panic!("{name}: {other:?}"),
            }
        })
    }

    const LOGIN: Login<'_> = Login {
        cluster: "ob1",
        tenant: b"t",
        user: b"u",
    };

    #[test]
    fn defaults_of_settings_are_those_of_the_types() {
        let settings = defaults();
        assert_eq!(RoutingRules::of(&settings, &LOGIN), RoutingRules::default());
        assert_eq!(TableRules::of(&settings), TableRules::default());
    }

    type Check = fn(&RoutingRules) -> bool;

    #[test]
    fn each_setting_says_something() {
        let cases: &[(&str, &str, Check)] = &[
            ("proxy_idc_name", "idc1", |r| &*r.preferences.idc == "idc1"),
            ("proxy_route_policy", "follower_only", |r| {
                r.preferences.weak_policy == Some(Ordered::FollowerOnly)
            }),
            ("proxy_primary_zone_name", "z1;z2", |r| {
                r.preferences.proxy_primary_zone.group("Z2") == Some(1)
            }),
            ("target_db_server", "127.0.0.2:2881,127.0.0.1:2881", |r| {
                r.preferences.targets == [at(2), at(1)]
            }),
            ("enable_primary_zone", "0", |r| {
                !r.preferences.uses_primary_zone
            }),
            ("enable_cached_server", "0", |r| !r.preferences.keeps_server),
            ("server_routing_mode", "random", |r| r.preferences.is_random),
            ("enable_partition_table_route", "0", |r| {
                !r.preferences.calculates
            }),
            ("enable_read_write_split", "1", |r| r.splits_reads),
            ("enable_transaction_split", "1", |r| r.splits_transactions),
            ("obproxy_read_consistency", "1", |r| {
                r.reads_weakly && r.is_consistency_fixed
            }),
            ("weak_read_user_list", "x@y;u@t", |r| {
                r.reads_weakly && !r.is_consistency_fixed
            }),
            ("weak_read_user_list", "u@T;U@t", |r| !r.reads_weakly),
            ("weak_read_user_list", "*@t", |r| r.reads_weakly),
            ("weak_read_user_list", "*@T", |r| !r.reads_weakly),
            ("enable_reroute", "1", |r| r.reroutes),
            ("enable_weak_reroute", "0", |r| !r.reroutes_weak_reads),
        ];
        for (name, value, check) in cases {
            let rules = RoutingRules::of(&with(&[(name, value)]), &LOGIN);
            assert!(check(&rules), "{name}: {rules:?}");
        }
    }

    #[test]
    fn the_session_has_the_last_word() {
        let settings = with(&[
            ("proxy_idc_name", "idc1"),
            ("proxy_route_policy", "follower_only"),
        ]);
        let rules = RoutingRules::of(&settings, &LOGIN);
        let mut preferences = rules.preferences.clone();
        preferences.heed(&Said::default());
        assert_eq!(preferences, rules.preferences, "nothing was said");
        preferences.heed(&Said {
            idc: Some("idc2"),
            weak_policy: Some("follower_first"),
            zone_policy: Some(3),
            consistency: SaidConsistency::Weak,
        });
        assert_eq!(&*preferences.idc, "idc2");
        assert_eq!(preferences.weak_policy, Some(Ordered::FollowerFirst));
        assert_eq!(preferences.zone_policy, Ordered::UnmergeZoneFirst);
        assert_eq!(preferences.said, SaidConsistency::Weak);
    }

    #[test]
    fn waits_of_tables() {
        let rules = TableRules::of(&with(&[
            ("stale_location_wait", "1500us"),
            ("location_expire_period_time", "1h"),
            ("delay_update_entry_interval", "1s"),
        ]));
        assert_eq!(
            (rules.stale_wait_ms, rules.expire_ms, rules.pause_max_ms),
            (2, 3_600_000, 1_000)
        );
        let rules = TableRules::of(&with(&[("enable_async_pull_location_cache", "off")]));
        assert_eq!(rules.stale_wait_ms, rules.cold_wait_ms);
    }
}
