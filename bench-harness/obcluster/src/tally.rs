//! Counters of verdicts, by the class of statements.

use crate::feedback::Role;
use crate::record::Entry;
use crate::verdict::{Reason, VerdictKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counters of one class.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Statements.
    pub statements: u64,
    /// Verdicts that name leaves: exact, nothing, at most.
    pub judged: u64,
    /// Exact or nothing, and run on the leader; with several leaders on one that leads the most. A
    /// weak read: on a server that has replicas of all; with several leaders it is not counted.
    pub right: u64,
    /// Exact, and run elsewhere.
    pub wrong: u64,
    /// No row can be touched, and run elsewhere: any place is as good, neither right nor wrong.
    pub nothing: u64,
    /// Touched leaves have their leaders on several servers. Counted beside right and wrong.
    pub spread: u64,
    /// All leaves of a table, of which some may not be touched: neither right nor wrong.
    pub superset: u64,
    /// Leaves without a leader: neither right nor wrong.
    pub leaderless: u64,
    /// Statements without a table that is somewhere.
    pub no_table: u64,
    /// Statements that cannot be judged, by reason. Never right or wrong.
    pub unknown: BTreeMap<Reason, u64>,
    /// Statements that were not judged, by reason.
    pub not_judged: BTreeMap<Reason, u64>,
    /// Replies that told of a miss.
    pub misses_sent: u64,
    /// Violations.
    pub violations: u64,
}

impl Tally {
    fn note(&mut self, entry: &Entry) {
        let verdict = &entry.verdict;
        self.statements += 1;
        self.misses_sent += u64::from(entry.miss_sent);
        self.violations += entry.violations.len() as u64;
        let by_reason = |map: &mut BTreeMap<Reason, u64>| {
            let reason = verdict.reason.unwrap_or(Reason::NotAsked);
            *map.entry(reason).or_default() += 1;
        };
        match verdict.kind {
            VerdictKind::NotJudged => return by_reason(&mut self.not_judged),
            VerdictKind::Unknown => return by_reason(&mut self.unknown),
            VerdictKind::NoTable => {
                self.no_table += 1;
                return;
            }
            VerdictKind::Exact | VerdictKind::Nothing | VerdictKind::Superset => {}
        }
        self.judged += 1;
        let is_spread = matches!(entry.role_here, Role::Spread | Role::SpreadMost);
        self.spread += u64::from(is_spread);
        if verdict.kind == VerdictKind::Superset {
            self.superset += 1;
            return;
        }
        let mut leaders = verdict.tables.iter().flat_map(|t| &t.leaders);
        let has_leader = leaders.any(|leader| *leader != 0);
        let is_right = match entry.role_here {
            Role::Leader => true,
            Role::Follower | Role::None if !has_leader => {
                self.leaderless += 1;
                return;
            }
            Role::Follower => entry.class.is_weak,
            Role::None => false,
            // Whether one server holds all is not told: not for a read of old rows.
            Role::Spread | Role::SpreadMost if entry.class.is_weak => return,
            Role::SpreadMost => true,
            Role::Spread => false,
            Role::Na => {
                self.leaderless += 1;
                return;
            }
        };
        if is_right {
            self.right += 1;
        } else if verdict.kind == VerdictKind::Nothing {
            self.nothing += 1;
        } else {
            self.wrong += 1;
        }
    }
}

/// Counters by class: `all`, and the names of [`Class::names`](crate::judge::Class::names).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tallies(pub BTreeMap<String, Tally>);

impl Tallies {
    /// Counts a request that is over under each name of its class.
    pub fn note(&mut self, entry: &Entry) {
        for name in std::iter::once("all").chain(entry.class.names(&entry.verdict)) {
            match self.0.get_mut(name) {
                Some(tally) => tally.note(entry),
                None => {
                    let mut tally = Tally::default();
                    tally.note(entry);
                    self.0.insert(name.to_owned(), tally);
                }
            }
        }
    }

    /// The counters of a class; zeros where nothing was counted.
    #[must_use]
    pub fn of(&self, name: &str) -> Tally {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::{Class, Verb};
    use crate::verdict::{Touched, Verdict};

    fn entry(kind: VerdictKind, leaders: &[u32], role_here: Role) -> Entry {
        let mut verdict = Verdict::without_tables(kind, None);
        verdict.tables.push(Touched {
            leaves: (0..).zip(leaders).map(|(n, _)| n).collect(),
            leaders: leaders.to_vec(),
            ..Touched::default()
        });
        let verb = Verb::Read;
        let class = Class {
            verb,
            ..Class::default()
        };
        Entry {
            verdict,
            role_here,
            class,
            ..Entry::default()
        }
    }

    #[test]
    fn right_is_where_most_is_led() {
        let mut all = Tallies::default();
        for (leaders, role) in [
            (&[2][..], Role::Leader),
            (&[2], Role::Follower),
            (&[2, 2, 3], Role::SpreadMost),
            (&[2, 2, 3], Role::Spread),
            (&[2, 3], Role::SpreadMost),
            (&[0], Role::Follower),
            (&[], Role::Na),
        ] {
            all.note(&entry(VerdictKind::Exact, leaders, role));
        }
        all.note(&entry(VerdictKind::Nothing, &[1], Role::Leader));
        all.note(&entry(VerdictKind::Nothing, &[1], Role::None));
        all.note(&entry(VerdictKind::Superset, &[1, 2, 3], Role::Spread));
        let tally = all.of("read");
        assert_eq!(tally, all.of("all"));
        assert_eq!((tally.statements, tally.judged), (10, 10));
        assert_eq!((tally.right, tally.wrong, tally.nothing), (4, 2, 1));
        assert_eq!((tally.spread, tally.superset, tally.leaderless), (4, 1, 2));
        let several = all.of("multi_partition");
        assert_eq!((several.statements, several.right), (4, 2));
        assert_eq!(all.of("write"), Tally::default());
    }

    #[test]
    fn unknown_is_neither_right_nor_wrong() {
        let mut all = Tallies::default();
        let nothing = Verdict::without_tables(VerdictKind::NoTable, Some(Reason::Verb));
        for verdict in [
            Verdict::unknown(Reason::Default),
            Verdict::unknown(Reason::Default),
            Verdict::not_judged(Reason::Fails),
            nothing,
        ] {
            let mut entry = entry(VerdictKind::Exact, &[1], Role::None);
            entry.verdict = verdict;
            entry.class.verb = Verb::Insert;
            entry.class.is_prepared = true;
            entry.miss_sent = true;
            all.note(&entry);
        }
        for name in ["all", "insert", "prepared"] {
            let tally = all.of(name);
            assert_eq!((tally.judged, tally.right, tally.wrong), (0, 0, 0));
            assert_eq!(tally.unknown, BTreeMap::from([(Reason::Default, 2)]));
            assert_eq!(tally.not_judged, BTreeMap::from([(Reason::Fails, 1)]));
            assert_eq!((tally.no_table, tally.misses_sent), (1, 4));
        }
        let json = serde_json::to_string(&all).unwrap();
        assert!(json.contains(r#""unknown":{"default":2}"#), "{json}");
        assert_eq!(serde_json::from_str::<Tallies>(&json).unwrap(), all);
    }

    #[test]
    fn weak_reads_are_right_where_there_are_replicas() {
        let mut all = Tallies::default();
        for role in [Role::Leader, Role::Follower, Role::None, Role::Spread] {
            let mut entry = entry(VerdictKind::Exact, &[2], role);
            entry.class.is_weak = true;
            all.note(&entry);
        }
        assert_eq!((all.of("weak").right, all.of("weak").wrong), (2, 1));
    }
}
