//! Which policy chooses the server of a statement.

use super::Ordered;
use serde::{Deserialize, Serialize};

/// How servers are put in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Policy {
    /// TARGET_DB_SERVER_ONLY: those of a list.
    TargetServersOnly,
    /// PROXY_PRIMARY_ZONE_NAME_ONLY: those of the zones that the settings name.
    ProxyPrimaryZoneOnly,
    /// PRIMARY_ZONE_FIRST: those of the tenant's primary zone, then the others.
    PrimaryZoneFirst,
    /// By an order of classes.
    Classes(Ordered),
}

impl Policy {
    /// OBProxy's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TargetServersOnly => "TARGET_DB_SERVER_ONLY",
            Self::ProxyPrimaryZoneOnly => "PROXY_PRIMARY_ZONE_NAME_ONLY",
            Self::PrimaryZoneFirst => "PRIMARY_ZONE_FIRST",
            Self::Classes(Ordered::MergeIdcOrder) => "MERGE_IDC_ORDER",
            Self::Classes(Ordered::ReadonlyZoneFirst) => "READONLY_ZONE_FIRST",
            Self::Classes(Ordered::OnlyReadonlyZone) => "ONLY_READONLY_ZONE",
            Self::Classes(Ordered::OnlyReadwriteZone) => "ONLY_READWRITE_ZONE",
            Self::Classes(Ordered::UnmergeZoneFirst) => "UNMERGE_ZONE_FIRST",
            Self::Classes(Ordered::FollowerFirst) => "FOLLOWER_FIRST",
            Self::Classes(Ordered::UnmergeFollowerFirst) => "UNMERGE_FOLLOWER_FIRST",
            Self::Classes(Ordered::FollowerOnly) => "FOLLOWER_ONLY",
            Self::Classes(Ordered::DupReplicaFirst) => "DUP_REPLICA_FIRST",
        }
    }
}

/// The policy of weak reads in tenants without read-only zones, by the value of
/// `proxy_route_policy`; case does not matter. An unknown word is accepted and means
/// MERGE_IDC_ORDER; `None` if there is none.
#[must_use]
pub fn weak_policy(word: &str) -> Option<Ordered> {
    const NAMED: [Ordered; 3] = [
        Ordered::FollowerFirst,
        Ordered::UnmergeFollowerFirst,
        Ordered::FollowerOnly,
    ];
    let word = word.trim();
    if word.is_empty() {
        return None;
    }
    let is_named = |o: &Ordered| Policy::Classes(*o).name().eq_ignore_ascii_case(word);
    let named = NAMED.into_iter().find(is_named);
    Some(named.unwrap_or(Ordered::MergeIdcOrder))
}

/// The policy of weak reads in tenants with read-only zones, by the number in `ob_route_policy`;
/// any other number is as the default, 1.
#[must_use]
pub const fn zone_policy(number: u64) -> Ordered {
    match number {
        0 => Ordered::MergeIdcOrder,
        2 => Ordered::OnlyReadonlyZone,
        3 => Ordered::UnmergeZoneFirst,
        _ => Ordered::ReadonlyZoneFirst,
    }
}

/// What the session's `ob_read_consistency` was set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum SaidConsistency {
    /// It was never set.
    #[default]
    Never,
    /// Weak.
    Weak,
    /// Strong, or frozen.
    Strong,
}

/// What the policy depends on.
#[derive(Clone, Copy, Debug)]
pub struct PolicyFacts {
    /// The statement is a weak read.
    pub is_weak: bool,
    /// It is a SELECT that locks nothing.
    pub is_plain_read: bool,
    /// It can do without a read-write zone: SELECT without a table, SET, USE, HELP, SHOW, commands
    /// other than queries.
    pub fits_readonly_zone: bool,
    /// A list of servers is forced.
    pub has_target_servers: bool,
    /// `proxy_primary_zone_name` names zones.
    pub has_proxy_primary_zone: bool,
    /// A replica of the leaf is one of a replicated table.
    pub has_dup_replicas: bool,
    /// The transaction has written to a replicated table (flag of the servers' replies).
    pub has_written_dup: bool,
    /// A server of the tenant is in a read-only zone.
    pub has_readonly_zones: bool,
    /// What the session asked for.
    pub said: SaidConsistency,
    /// By `ob_route_policy`.
    pub zone_policy: Ordered,
    /// By `proxy_route_policy`: the session's variable, else the setting.
    pub weak_policy: Option<Ordered>,
    /// `enable_primary_zone`, and `server_routing_mode` is not random.
    pub uses_primary_zone: bool,
}

/// One line of the selection.
struct Row {
    applies: fn(&PolicyFacts) -> bool,
    policy: fn(&PolicyFacts) -> Policy,
}

const fn classes(ordered: Ordered) -> Policy {
    Policy::Classes(ordered)
}

/// The first line that applies decides. A zone pin stands in front of weak reads and replicated
/// tables. Source: OBProxy behaviour, as in the routing facts, section 6.8, with the order of the
/// newer releases.
const SELECTION: &[Row] = &[
    Row {
        applies: |f| f.has_target_servers,
        policy: |_| Policy::TargetServersOnly,
    },
    Row {
        applies: |f| f.has_proxy_primary_zone,
        policy: |_| Policy::ProxyPrimaryZoneOnly,
    },
    // Own writes to replicated tables are seen at the leader only.
    Row {
        applies: |f| f.has_dup_replicas && !f.is_weak && f.is_plain_read && !f.has_written_dup,
        policy: |_| classes(Ordered::DupReplicaFirst),
    },
    Row {
        applies: |f| f.has_readonly_zones && f.is_weak,
        policy: |f| classes(f.zone_policy),
    },
    Row {
        applies: |f| f.has_readonly_zones && f.fits_readonly_zone,
        policy: |f| match f.said {
            SaidConsistency::Weak => classes(f.zone_policy),
            SaidConsistency::Strong => classes(Ordered::OnlyReadwriteZone),
            SaidConsistency::Never => classes(Ordered::MergeIdcOrder),
        },
    },
    Row {
        applies: |f| f.has_readonly_zones,
        policy: |_| classes(Ordered::OnlyReadwriteZone),
    },
    Row {
        applies: |f| f.is_weak && f.weak_policy.is_some(),
        policy: |f| classes(f.weak_policy.unwrap_or(Ordered::MergeIdcOrder)),
    },
    Row {
        applies: |f| !f.is_weak && f.uses_primary_zone,
        policy: |_| Policy::PrimaryZoneFirst,
    },
];

/// The policy of a statement.
#[must_use]
pub fn policy(facts: &PolicyFacts) -> Policy {
    let row = SELECTION.iter().find(|row| (row.applies)(facts));
    row.map_or(classes(Ordered::MergeIdcOrder), |row| (row.policy)(facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ordered::*;

    /// A strong SELECT from a table of a tenant without anything special.
    fn plain() -> PolicyFacts {
        PolicyFacts {
            is_weak: false,
            is_plain_read: true,
            fits_readonly_zone: false,
            has_target_servers: false,
            has_proxy_primary_zone: false,
            has_dup_replicas: false,
            has_written_dup: false,
            has_readonly_zones: false,
            said: SaidConsistency::Never,
            zone_policy: ReadonlyZoneFirst,
            weak_policy: None,
            uses_primary_zone: false,
        }
    }

    type Change = fn(&mut PolicyFacts);

    #[test]
    fn the_first_row_that_applies_decides() {
        use SaidConsistency::{Strong, Weak};
        let cases: &[(&str, Change, Policy)] = &[
            ("nothing special", |_| {}, classes(MergeIdcOrder)),
            (
                "forced servers beat everything",
                |f| {
                    (f.has_target_servers, f.has_proxy_primary_zone) = (true, true);
                    (f.has_dup_replicas, f.is_weak, f.weak_policy) =
                        (true, true, Some(FollowerOnly));
                },
                Policy::TargetServersOnly,
            ),
            (
                "a zone pin beats weak reads",
                |f| {
                    (f.has_proxy_primary_zone, f.is_weak) = (true, true);
                    f.weak_policy = Some(FollowerFirst);
                },
                Policy::ProxyPrimaryZoneOnly,
            ),
            (
                "a zone pin beats replicated tables",
                |f| (f.has_proxy_primary_zone, f.has_dup_replicas) = (true, true),
                Policy::ProxyPrimaryZoneOnly,
            ),
            (
                "a zone pin beats read-only zones",
                |f| (f.has_proxy_primary_zone, f.has_readonly_zones) = (true, true),
                Policy::ProxyPrimaryZoneOnly,
            ),
            (
                "a strong read of a replicated table",
                |f| f.has_dup_replicas = true,
                classes(DupReplicaFirst),
            ),
            (
                "not behind a write to one",
                |f| (f.has_dup_replicas, f.has_written_dup) = (true, true),
                classes(MergeIdcOrder),
            ),
            (
                "not a write, and not a locking read",
                |f| (f.has_dup_replicas, f.is_plain_read) = (true, false),
                classes(MergeIdcOrder),
            ),
            (
                "a weak read of a replicated table goes by its own policy",
                |f| {
                    (f.has_dup_replicas, f.is_weak) = (true, true);
                    f.weak_policy = Some(FollowerFirst);
                },
                classes(FollowerFirst),
            ),
            (
                "weak with read-only zones: ob_route_policy",
                |f| {
                    (f.has_readonly_zones, f.is_weak) = (true, true);
                    f.weak_policy = Some(FollowerOnly);
                },
                classes(ReadonlyZoneFirst),
            ),
            (
                "without a table, explicitly weak",
                |f| {
                    (f.has_readonly_zones, f.fits_readonly_zone) = (true, true);
                    (f.said, f.zone_policy) = (Weak, OnlyReadonlyZone);
                },
                classes(OnlyReadonlyZone),
            ),
            (
                "without a table, explicitly strong",
                |f| {
                    (f.has_readonly_zones, f.fits_readonly_zone) = (true, true);
                    f.said = Strong;
                },
                classes(OnlyReadwriteZone),
            ),
            (
                "without a table, nothing said",
                |f| (f.has_readonly_zones, f.fits_readonly_zone) = (true, true),
                classes(MergeIdcOrder),
            ),
            (
                "read-only zones, otherwise",
                |f| (f.has_readonly_zones, f.uses_primary_zone) = (true, true),
                classes(OnlyReadwriteZone),
            ),
            (
                "weak: proxy_route_policy",
                |f| (f.is_weak, f.weak_policy) = (true, Some(FollowerOnly)),
                classes(FollowerOnly),
            ),
            (
                "weak without one",
                |f| (f.is_weak, f.uses_primary_zone) = (true, true),
                classes(MergeIdcOrder),
            ),
            (
                "strong with primary zones",
                |f| (f.uses_primary_zone, f.weak_policy) = (true, Some(FollowerOnly)),
                Policy::PrimaryZoneFirst,
            ),
        ];
        for (name, change, wanted) in cases {
            let mut facts = plain();
            change(&mut facts);
            assert_eq!(policy(&facts), *wanted, "{name}");
        }
    }

    #[test]
    fn words_and_numbers_of_policies() {
        for (word, ordered) in [
            ("", None),
            ("  ", None),
            ("follower_first", Some(FollowerFirst)),
            ("FOLLOWER_ONLY", Some(FollowerOnly)),
            ("Unmerge_Follower_First", Some(UnmergeFollowerFirst)),
            ("NO_SUCH_POLICY", Some(MergeIdcOrder)),
        ] {
            assert_eq!(weak_policy(word), ordered, "{word}");
        }
        let numbers = [0, 1, 2, 3, 4].map(zone_policy);
        assert_eq!(
            numbers,
            [
                MergeIdcOrder,
                ReadonlyZoneFirst,
                OnlyReadonlyZone,
                UnmergeZoneFirst,
                ReadonlyZoneFirst
            ]
        );
        let names: std::collections::HashSet<_> =
            Ordered::ALL.iter().map(|o| classes(*o).name()).collect();
        assert_eq!(names.len(), Ordered::ALL.len());
    }
}
