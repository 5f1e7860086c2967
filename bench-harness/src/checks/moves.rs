//! What the log of the model says of the time after a leader has moved: who still asked the old
//! one, for how long, and when the last core knew. Nobody else is asked.

use obcluster::{Done, Entry, Kind, Role, VerdictKind};
use std::collections::{BTreeMap, BTreeSet};

/// Longest time from the answer of a look-up to the last statement that does not go by it.
pub const LATE_US: u64 = 50_000;
/// The view that look-ups of places ask.
const PLACES: &str = "__all_virtual_proxy_schema";

/// Leaves whose leader has moved.
#[derive(Clone, Debug)]
pub struct Move {
    at: Done,
    tablets: BTreeSet<u64>,
}

/// What followed a move, up to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// Judged statements on one of the leaves.
    pub judged: usize,
    /// Of these, those that came to a server that does not lead it.
    pub misses: usize,
    /// Requests that ran at the moment of the move.
    pub in_flight: usize,
    /// Look-ups of any of the leaves.
    pub asked: usize,
    /// How long after the answer about its leaf the latest miss came; 0 if none did.
    pub latest_us: u64,
    /// Leaves whose last statement was a miss: the move was not followed.
    pub unfollowed: usize,
}

/// What followed the first reply that told of a move, in microseconds after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The first question about one of the leaves came.
    pub asked_us: u64,
    /// It was answered.
    pub answered_us: u64,
    /// The last core has followed.
    pub agreed_us: u64,
}

/// A statement on a single leaf, as far as the model has judged it.
fn tablet(entry: &Entry) -> Option<u64> {
    let is_judged = entry.kind == Kind::Request && entry.verdict.kind == VerdictKind::Exact;
    let mut tablets = entry.verdict.tables.iter().flat_map(|t| &t.tablets);
    let only = tablets
        .next()
        .filter(|_| is_judged && entry.meta.is_empty());
    only.copied().filter(|_| tablets.next().is_none())
}

fn is_miss(entry: &Entry) -> bool {
    entry.role_here != Role::Leader
}

/// The question names this tablet.
fn names(question: &str, tablet: u64) -> bool {
    let mut numbers = question.split(|c: char| !c.is_ascii_digit());
    numbers.any(|n| n.parse() == Ok(tablet))
}

impl Move {
    /// These leaves have moved with this change.
    #[must_use]
    pub fn new(at: Done, tablets: impl IntoIterator<Item = u64>) -> Self {
        Self {
            at,
            tablets: tablets.into_iter().collect(),
        }
    }

    /// The change in the log.
    #[must_use]
    pub const fn made(&self) -> Done {
        self.at
    }

    /// How many leaves have moved.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.tablets.len()
    }

    /// Statements on the leaves that ended after the move and before `end_us`.
    fn statements<'l>(
        &self,
        log: &'l [Entry],
        end_us: u64,
    ) -> impl Iterator<Item = (u64, &'l Entry)> {
        let moved_us = self.at.t_us;
        let after = log.iter();
        let after = after.filter(move |e| e.t_done_us > moved_us && e.t_done_us <= end_us);
        after.filter_map(|e| Some((tablet(e).filter(|t| self.tablets.contains(t))?, e)))
    }

    /// What a log says of the time from the move to `end_us`, when the next one was made or all was
    /// over. The log has to begin with what ran at the moment of the move, and all that began
    /// before `end_us` has to be over.
    #[must_use]
    pub fn aftermath(&self, log: &[Entry], end_us: u64) -> Aftermath {
        let moved_us = self.at.t_us;
        let is_running = |e: &&Entry| e.t_recv_us <= moved_us && e.t_done_us > moved_us;
        let requests = log
            .iter()
            .filter(|e| e.kind == Kind::Request && e.meta.is_empty());
        let mut saw = Aftermath {
            in_flight: requests.filter(is_running).count(),
            ..Aftermath::default()
        };
        // Look-ups that began after the move: their answers know of it.
        let questions = log.iter().filter(|e| {
            let is_whole = e.t_done_us > 0 && e.t_done_us <= end_us;
            is_whole && e.t_recv_us >= moved_us && e.sql.contains(PLACES)
        });
        let mut known: BTreeMap<u64, u64> = BTreeMap::new();
        for question in questions {
            let about = self.tablets.iter().filter(|t| names(&question.sql, **t));
            let before = saw.asked;
            for tablet in about {
                saw.asked = before + 1;
                let first = known.entry(*tablet).or_insert(question.t_done_us);
                *first = question.t_done_us.min(*first);
            }
        }
        let mut last_missed: BTreeMap<u64, bool> = BTreeMap::new();
        for (tablet, statement) in self.statements(log, end_us) {
            saw.judged += 1;
            last_missed.insert(tablet, is_miss(statement));
            if is_miss(statement) {
                saw.misses += 1;
                if let Some(known_us) = known.get(&tablet) {
                    let late_us = statement.t_recv_us.saturating_sub(*known_us);
                    saw.latest_us = saw.latest_us.max(late_us);
                }
            }
        }
        saw.unfollowed = last_missed.values().filter(|missed| **missed).count();
        saw
    }

    /// When the last core sent its first statement to the new leader: from then on all know, what
    /// still comes to the old one was sent before. `core` says whose statement it is. `None` if no
    /// reply told anybody of the move.
    ///
    /// # Errors
    /// A core that never did.
    pub fn agreed<C: Ord>(
        &self,
        log: &[Entry],
        end_us: u64,
        cores: usize,
        core: impl Fn(&Entry) -> Option<C>,
    ) -> Result<Option<Agreed>, String> {
        let statements: Vec<_> = self.statements(log, end_us).map(|(_, e)| e).collect();
        let told = statements.iter().filter(|e| e.miss_sent && e.t_done_us > 0);
        let Some(first_us) = told.map(|e| e.t_done_us).min() else {
            return Ok(None);
        };
        let mut right: BTreeMap<C, Option<u64>> = BTreeMap::new();
        for statement in statements {
            let Some(core) = core(statement) else {
                continue;
            };
            let since = right.entry(core).or_default();
            if !is_miss(statement) && statement.t_recv_us >= first_us {
                *since = since.or(Some(statement.t_recv_us));
            }
        }
        let agreed: Option<Vec<_>> = right.values().copied().collect();
        let agreed = agreed.filter(|all| all.len() == cores);
        let all = agreed.ok_or_else(|| {
            let shown: Vec<_> = right.values().map(Option::is_some).collect();
            format!("of {cores} cores these have followed a move: {shown:?}")
        })?;
        let since = |us: u64| us.saturating_sub(first_us);
        let question = log.iter().find(|e| {
            let is_about = self.tablets.iter().any(|t| names(&e.sql, *t));
            e.t_recv_us >= self.at.t_us && e.sql.contains(PLACES) && is_about
        });
        let last = all.into_iter().max();
        Ok(last.map(|last_us| Agreed {
            asked_us: question.map_or(0, |e| since(e.t_recv_us)),
            answered_us: question.map_or(0, |e| since(e.t_done_us)),
            agreed_us: since(last_us),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obcluster::{Touched, Verdict};

    const MOVED: Done = Done {
        seq: 10,
        t_us: 1_000,
    };

    fn statement(seq: u64, recv_us: u64, tablet: u64, role: Role, link: u64) -> Entry {
        Entry {
            seq,
            t_recv_us: recv_us,
            t_done_us: recv_us + 100,
            link,
            verdict: Verdict {
                kind: VerdictKind::Exact,
                reason: None,
                tables: vec![Touched {
                    tablets: vec![tablet],
                    ..Touched::default()
                }],
            },
            role_here: role,
            miss_sent: role != Role::Leader,
            ..Entry::default()
        }
    }

    fn question(seq: u64, recv_us: u64, tablet: u64) -> Entry {
        Entry {
            seq,
            t_recv_us: recv_us,
            t_done_us: recv_us + 100,
            sql: format!("SELECT 1 FROM {PLACES} WHERE (a, tablet_id) IN (('x', {tablet}))"),
            meta: PLACES.into(),
            ..Entry::default()
        }
    }

    #[test]
    fn misses_are_counted_up_to_the_next_move_and_timed_from_the_answer_about_their_leaf() {
        let moved = Move::new(MOVED, [7, 8]);
        let log = [
            // It runs while the leader moves.
            statement(9, 950, 7, Role::Follower, 1),
            statement(11, 1_100, 7, Role::Follower, 1),
            // About another leaf, whose number this one begins with.
            question(12, 1_200, 71),
            question(13, 1_300, 7),
            statement(14, 1_350, 8, Role::Follower, 1),
            statement(15, 1_450, 7, Role::Follower, 2),
            statement(16, 1_500, 7, Role::Leader, 1),
            statement(17, 1_600, 8, Role::Leader, 1),
            statement(18, 1_700, 9, Role::Follower, 1),
            statement(20, 9_000, 7, Role::Follower, 1),
        ];
        let saw = moved.aftermath(&log, 8_000);
        let expected = Aftermath {
            judged: 6,
            misses: 4,
            in_flight: 1,
            asked: 1,
            latest_us: 50,
            unfollowed: 0,
        };
        assert_eq!(saw, expected);
        let saw = moved.aftermath(&log, 9_100);
        assert_eq!((saw.unfollowed, saw.latest_us), (1, 7_600));
    }

    #[test]
    fn a_core_agrees_with_its_first_statement_to_the_new_leader() {
        let moved = Move::new(MOVED, [7]);
        let mut log = vec![
            statement(11, 1_100, 7, Role::Follower, 1),
            statement(12, 1_500, 7, Role::Leader, 1),
            statement(13, 1_600, 7, Role::Follower, 1),
            question(14, 1_300, 7),
            statement(15, 1_900, 7, Role::Leader, 2),
        ];
        let agreed = |log: &[Entry], cores| moved.agreed(log, 9_000, cores, |e| Some(e.link));
        let expected = Agreed {
            asked_us: 100,
            answered_us: 200,
            agreed_us: 700,
        };
        assert_eq!(agreed(&log, 2), Ok(Some(expected)));
        assert!(agreed(&log, 3).is_err());
        // Nobody told.
        assert_eq!(agreed(&log[4..], 1), Ok(None));
        // What runs at the next move belongs to that.
        log.push(statement(16, 8_950, 7, Role::Leader, 3));
        assert!(agreed(&log, 3).is_err());
        log.push(statement(17, 8_600, 7, Role::Follower, 3));
        assert!(agreed(&log, 3).is_err());
    }
}
