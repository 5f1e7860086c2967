//! What a server tells a proxy about where its statement ran: the rule, and how it is written.
//!
//! A server says that a statement came to the wrong place only when it knows a better one. So "no
//! miss" is no proof of a hit. Source: the feedback rules of OceanBase wire facts.

use crate::state::LeafPlace;
use crate::verdict::{Verdict, VerdictKind};
use serde::{Deserialize, Serialize};

/// What the server that a statement came to is for the leaves that it touches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It leads all of them.
    Leader,
    /// It holds all of them and does not lead them all, and one server does.
    Follower,
    /// It does not hold all of them, and one server leads them.
    None,
    /// Several servers lead them, and none leads more of them than this one.
    SpreadMost,
    /// Several servers lead them, and another leads more of them.
    Spread,
    /// There are none, or they are not known.
    #[default]
    Na,
}

impl Role {
    /// The role of server `here`.
    #[must_use]
    pub fn of(here: u32, leaves: &[LeafPlace]) -> Self {
        let Some(first) = leaves.first() else {
            return Self::Na;
        };
        if leaves.iter().all(|leaf| leaf.leader == first.leader) {
            let is_held = leaves.iter().all(|leaf| leaf.replicas.contains(&here));
            return match first.leader {
                Some(leader) if leader == here => Self::Leader,
                _ if is_held => Self::Follower,
                _ => Self::None,
            };
        }
        let led = |server: u32| {
            let of_it = leaves.iter().filter(|leaf| leaf.leader == Some(server));
            of_it.count()
        };
        let most = leaves.iter().filter_map(|leaf| leaf.leader).map(led).max();
        if most.is_some_and(|most| led(here) >= most) {
            Self::SpreadMost
        } else {
            Self::Spread
        }
    }
}

/// How feedback is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackMode {
    /// By the rule.
    #[default]
    Rule,
    /// None at all.
    Off,
    /// Every statement that succeeds is told to have missed.
    AlwaysMiss,
    /// Every second statement, by its number in the log, is told to have missed.
    Random,
}

/// What a reply tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Feedback {
    /// `ob_proxy_partition_hit` is OFF.
    pub is_miss: bool,
    /// `_ob_proxy_weakread_feedback`: 1 not all replicas here, 2 all led here, 3 some led here.
    pub weak: Option<u8>,
}

impl Feedback {
    /// By the rule, for a statement that ran on server `here`. `has_weak`: the proxy takes
    /// feedback about weak reads (capability bit 17).
    #[must_use]
    pub fn by_rule(
        verdict: &Verdict,
        here: u32,
        leaves: &[LeafPlace],
        is_weak: bool,
        has_weak: bool,
    ) -> Self {
        let is_known = matches!(
            verdict.kind,
            VerdictKind::Exact | VerdictKind::Superset | VerdictKind::Nothing
        );
        if !is_known || leaves.is_empty() {
            return Self::default();
        }
        if is_weak {
            return Self::of_weak(here, leaves, has_weak);
        }
        let leader = leaves.first().and_then(|leaf| leaf.leader);
        let is_one = leaves.iter().all(|leaf| leaf.leader == leader);
        Self {
            is_miss: is_one && leader.is_some_and(|leader| leader != here),
            weak: None,
        }
    }

    fn of_weak(here: u32, leaves: &[LeafPlace], has_weak: bool) -> Self {
        let holds_all = |server: u32| leaves.iter().all(|leaf| leaf.replicas.contains(&server));
        let mut holders = leaves.iter().flat_map(|leaf| leaf.replicas.iter().copied());
        let led = leaves.iter().filter(|leaf| leaf.leader == Some(here));
        let weak = match led.count() {
            _ if !holds_all(here) => Some(1),
            0 => None,
            n if n == leaves.len() => Some(2),
            _ => Some(3),
        };
        Self {
            is_miss: !holds_all(here) && holders.any(holds_all),
            weak: weak.filter(|_| has_weak),
        }
    }

    /// By the switch of tests; `seq` is the number of the statement in the log.
    #[must_use]
    pub const fn switched(self, mode: FeedbackMode, seq: u64) -> Self {
        let is_miss = match mode {
            FeedbackMode::Rule => return self,
            FeedbackMode::Off => false,
            FeedbackMode::AlwaysMiss => true,
            FeedbackMode::Random => is_odd(seq),
        };
        Self {
            is_miss,
            weak: None,
        }
    }

    /// True when there is nothing to tell.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !self.is_miss && self.weak.is_none()
    }

    /// The variables that tell it, in the order in which they are sent.
    #[must_use]
    pub fn variables(self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![];
        if self.is_miss {
            pairs.push(("ob_proxy_partition_hit", "OFF".to_owned()));
        }
        if let Some(weak) = self.weak {
            pairs.push(("_ob_proxy_weakread_feedback", weak.to_string()));
        }
        pairs
    }
}

/// A bit that depends on all bits of a number: the same log gives the same misses.
const fn is_odd(seq: u64) -> bool {
    seq.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(leader: u32, replicas: &[u32]) -> LeafPlace {
        LeafPlace {
            stream: 1001,
            leader: Some(leader),
            replicas: replicas.to_vec(),
        }
    }

    fn exact() -> Verdict {
        Verdict::without_tables(VerdictKind::Exact, None)
    }

    #[test]
    fn a_strong_statement_missed_only_if_another_server_leads_all() {
        let all = [1, 2, 3];
        let one = [leaf(2, &all), leaf(2, &all)];
        let two = [leaf(2, &all), leaf(3, &all)];
        let electing = [LeafPlace::default()];
        let miss = |here, leaves: &[LeafPlace], verdict: &Verdict| {
            Feedback::by_rule(verdict, here, leaves, false, true).is_miss
        };
        assert!(miss(1, &one, &exact()));
        assert!(!miss(2, &one, &exact()));
        assert!(!miss(1, &two, &exact()));
        assert!(!miss(1, &[], &exact()));
        assert!(!miss(1, &electing, &exact()));
        assert!(!miss(
            1,
            &one,
            &Verdict::unknown(crate::verdict::Reason::Plan)
        ));
    }

    #[test]
    fn a_weak_read_missed_only_if_another_server_holds_all() {
        let weak = |here, leaves: &[LeafPlace]| {
            let f = Feedback::by_rule(&exact(), here, leaves, true, true);
            (f.is_miss, f.weak)
        };
        let held = [leaf(1, &[1, 2]), leaf(2, &[1, 2])];
        assert_eq!(weak(3, &held), (true, Some(1)));
        assert_eq!(weak(1, &held), (false, Some(3)));
        assert_eq!(weak(1, &held[..1]), (false, Some(2)));
        assert_eq!(weak(2, &held[..1]), (false, None));
        // Nobody holds both.
        let apart = [leaf(1, &[1]), leaf(2, &[2])];
        assert_eq!(weak(1, &apart), (false, Some(1)));
        let quiet = Feedback::by_rule(&exact(), 3, &held, true, false);
        assert_eq!((quiet.is_miss, quiet.weak), (true, None));
    }

    #[test]
    fn roles() {
        let all = [1, 2];
        let one = [leaf(1, &all), leaf(1, &all)];
        let spread = [leaf(1, &all), leaf(1, &all), leaf(2, &all)];
        let of = |leaves: &[LeafPlace]| [1, 2, 3].map(|here| Role::of(here, leaves));
        assert_eq!(of(&one), [Role::Leader, Role::Follower, Role::None]);
        assert_eq!(of(&spread), [Role::SpreadMost, Role::Spread, Role::Spread]);
        assert_eq!(of(&[]), [Role::Na; 3]);
    }

    #[test]
    fn a_switch_overrides_the_rule() {
        let rule = Feedback {
            is_miss: true,
            weak: Some(2),
        };
        assert_eq!(rule.switched(FeedbackMode::Rule, 1), rule);
        assert!(rule.switched(FeedbackMode::Off, 1).is_empty());
        let all = Feedback::default().switched(FeedbackMode::AlwaysMiss, 1);
        assert_eq!(all.variables(), [("ob_proxy_partition_hit", "OFF".into())]);
        let misses = (0..1_000).filter(|seq| rule.switched(FeedbackMode::Random, *seq).is_miss);
        assert!((400..600).contains(&misses.count()));
    }
}
