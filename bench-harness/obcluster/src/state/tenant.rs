//! Tenants, and the log streams that their tablets live in.

use serde::{Serialize, Serializer};
use std::collections::VecDeque;

/// The log stream that every tenant has, and the only one of `sys`.
pub const SYS_LS: u64 = 1;
/// The first log stream for tables of users.
pub const USER_LS: u64 = 1001;
/// Leaders that a log stream remembers, for answers of an old cache; older ones are forgotten.
const PAST_MAX: usize = 64;

/// One log stream: the unit that has a leader.
#[derive(Clone, Debug, Serialize)]
pub struct LogStream {
    /// Its number in the tenant.
    pub id: u64,
    /// The server that it was made for: leaves placed on a server go to the stream made for it.
    pub home: u32,
    /// Servers that hold it.
    pub replicas: Vec<u32>,
    /// How often its leader died, with what transactions had written there.
    pub losses: u64,
    /// Leaders and since when (microseconds), the newest last. None: an election runs. Shown is
    /// the newest.
    #[serde(rename = "leader", serialize_with = "newest")]
    leaders: VecDeque<(u64, Option<u32>)>,
}

fn newest<S: Serializer>(
    leaders: &VecDeque<(u64, Option<u32>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    leaders
        .back()
        .and_then(|(_, leader)| *leader)
        .serialize(serializer)
}

impl LogStream {
    /// A log stream led by `home` from the beginning.
    #[must_use]
    pub fn new(id: u64, home: u32, replicas: Vec<u32>) -> Self {
        Self {
            id,
            home,
            replicas,
            losses: 0,
            leaders: VecDeque::from([(0, Some(home))]),
        }
    }

    /// Who leads now; none while an election runs.
    #[must_use]
    pub fn leader(&self) -> Option<u32> {
        self.leaders.back().and_then(|(_, leader)| *leader)
    }

    /// When the leader was lost, in microseconds, while there is none.
    #[must_use]
    pub fn lost_us(&self) -> Option<u64> {
        match self.leaders.back() {
            Some((since, None)) => Some(*since),
            _ => None,
        }
    }

    /// Who led at that time, in microseconds.
    #[must_use]
    pub fn leader_at(&self, us: u64) -> Option<u32> {
        let then = self.leaders.iter().rev().find(|(since, _)| *since <= us);
        then.or_else(|| self.leaders.front())
            .and_then(|(_, leader)| *leader)
    }

    /// Another leader, or none, from `now_us` on.
    pub fn lead(&mut self, leader: Option<u32>, now_us: u64) {
        if self.leader() == leader {
            return;
        }
        if self.leaders.len() >= PAST_MAX {
            self.leaders.pop_front();
        }
        self.leaders.push_back((now_us, leader));
    }
}

/// One tenant.
#[derive(Clone, Debug, Serialize)]
pub struct Tenant {
    /// TENANT_ID: 1 for `sys`, users from 1002 in steps of 2, as a cluster counts.
    pub id: u64,
    /// Its name; compared with case.
    pub name: String,
    /// Servers that have a unit of it.
    pub servers: Vec<u32>,
    /// Servers that a move has left but not forgotten: still in the rows of `__all_dummy`.
    pub leaving: Vec<u32>,
    /// Its log streams, [`SYS_LS`] first.
    pub streams: Vec<LogStream>,
    /// PREVIOUS_LOCALITY: set while a move runs.
    pub previous_locality: Option<String>,
    /// PRIMARY_ZONE.
    pub primary_zone: String,
    /// When it was made, in microseconds.
    pub created_us: u64,
}

impl Tenant {
    /// True for the tenant that the cluster keeps its own tables in.
    #[must_use]
    pub const fn is_sys(&self) -> bool {
        self.id == 1
    }

    /// A log stream by its number.
    #[must_use]
    pub fn stream(&self, id: u64) -> Option<&LogStream> {
        self.streams.iter().find(|s| s.id == id)
    }

    /// The log streams for tables of users; empty for `sys` unless it is spread.
    #[must_use]
    pub fn user_streams(&self) -> &[LogStream] {
        self.streams.get(1..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_answer_knows_the_old_leader() {
        let mut stream = LogStream::new(1001, 1, vec![1, 2]);
        stream.lead(None, 100);
        stream.lead(Some(2), 200);
        let at = |us| stream.leader_at(us);
        assert_eq!((at(0), at(150), at(200)), (Some(1), None, Some(2)));
        for i in 0..PAST_MAX as u64 {
            stream.lead(Some(1 + (i % 2) as u32), 300 + i);
        }
        assert_eq!(stream.leaders.len(), PAST_MAX);
        assert!(stream.leader_at(0).is_some());
    }
}
