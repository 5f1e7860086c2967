//! Which log stream a tablet lives in.

use super::Tenant;
use super::tenant::{LogStream, SYS_LS};
use std::collections::HashMap;

/// Tables whose generations are remembered; beyond it all begin at 0 again.
const TABLES_MAX: usize = 65_536;

/// What the kernel says about a table, as far as its place depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Its number.
    pub table_id: u64,
    /// `db.table` in lower case.
    pub name: String,
    /// Its tablets: a leaf has its place in this list.
    pub tablets: Vec<u64>,
    /// It has partitions.
    pub is_partitioned: bool,
    /// A table of the system, not of a user.
    pub is_system: bool,
}

/// Where one leaf is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeafPlace {
    /// Its log stream.
    pub stream: u64,
    /// The server that leads it; none while an election runs.
    pub leader: Option<u32>,
    /// The servers that hold it.
    pub replicas: Vec<u32>,
}

/// Where tablets live. Leaf i of a table of a user goes to user stream `(i + generation) mod n`, a
/// table without partitions by its number; what an administrator placed comes first.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// (tenant, `db.table`, leaf) to log stream.
    leaves: HashMap<(u64, String, u32), u64>,
    /// (tenant, tablet) to log stream.
    tablets: HashMap<(u64, u64), u64>,
    /// Table to its first tablet when last seen, and how often that had changed.
    generations: HashMap<u64, (u64, u64)>,
}

impl Placement {
    /// Puts a leaf of a table into a log stream.
    pub fn place_leaf(&mut self, tenant: u64, table: &str, leaf: u32, stream: u64) {
        let key = (tenant, table.to_ascii_lowercase(), leaf);
        self.leaves.insert(key, stream);
    }

    /// Puts a tablet into a log stream.
    pub fn place_tablet(&mut self, tenant: u64, tablet: u64, stream: u64) {
        self.tablets.insert((tenant, tablet), stream);
    }

    /// Notes the tablets that a table has now: others than before are another generation, so that
    /// a truncated table moves.
    pub fn observe(&mut self, table: &TableShape) {
        let Some(&first) = table.tablets.first() else {
            return;
        };
        if self.generations.len() >= TABLES_MAX && !self.generations.contains_key(&table.table_id) {
            self.generations.clear();
        }
        let seen = self.generations.entry(table.table_id).or_insert((first, 0));
        if seen.0 != first {
            *seen = (first, seen.1 + 1);
        }
    }

    /// Where a leaf is. `tenant` may be as it was at an earlier moment: who led then is told.
    #[must_use]
    pub fn leaf(&self, tenant: &Tenant, table: &TableShape, leaf: u32) -> LeafPlace {
        let id = self.stream(tenant, table, leaf);
        let stream = tenant.stream(id);
        LeafPlace {
            stream: id,
            leader: stream.and_then(LogStream::leader),
            replicas: stream.map_or_else(Vec::new, |s| s.replicas.clone()),
        }
    }

    /// The log stream of a leaf.
    #[must_use]
    pub fn stream(&self, tenant: &Tenant, table: &TableShape, leaf: u32) -> u64 {
        let user = tenant.user_streams();
        if table.is_system || user.is_empty() {
            return SYS_LS;
        }
        let tablet = table.tablets.get(leaf as usize).copied();
        if let Some(tablet) = tablet
            && let Some(stream) = self.tablets.get(&(tenant.id, tablet))
        {
            return *stream;
        }
        let key = (tenant.id, table.name.clone(), leaf);
        if let Some(stream) = self.leaves.get(&key) {
            return *stream;
        }
        let generation = self.generations.get(&table.table_id).map_or(0, |g| g.1);
        let turn = if table.is_partitioned {
            u64::from(leaf)
        } else {
            table.table_id
        };
        let at = (turn + generation) % user.len() as u64;
        user.get(at as usize).map_or(SYS_LS, |s| s.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;
    use crate::topology::Topology;

    fn table(tablets: &[u64]) -> TableShape {
        TableShape {
            table_id: 500_006,
            name: "d.t".into(),
            tablets: tablets.to_vec(),
            is_partitioned: true,
            is_system: false,
        }
    }

    #[test]
    fn leaves_begin_on_servers_in_turn_and_a_truncated_table_moves() {
        let state = State::new(&Topology::default(), &[], 0);
        let (sys, test) = (&state.tenants[0], &state.tenants[1]);
        let mut placement = Placement::default();
        let old = table(&[1, 2, 3]);
        placement.observe(&old);
        let of = |p: &Placement, t: &TableShape| [0, 1, 2].map(|leaf| p.stream(test, t, leaf));
        assert_eq!(of(&placement, &old), [1001, 1002, 1003]);
        assert_eq!(placement.stream(sys, &old, 1), 1);
        let new = table(&[7, 8, 9]);
        placement.observe(&new);
        assert_eq!(of(&placement, &new), [1002, 1003, 1001]);
        placement.place_leaf(test.id, "D.T", 1, 1001);
        placement.place_tablet(test.id, 9, 1002);
        assert_eq!(of(&placement, &new), [1002, 1001, 1002]);
        let system = TableShape {
            is_system: true,
            ..table(&[1])
        };
        assert_eq!(placement.stream(test, &system, 0), 1);
        let single = TableShape {
            is_partitioned: false,
            ..table(&[5])
        };
        // (500,006 + 1) mod 3 is 0.
        assert_eq!(placement.stream(test, &single, 0), 1001);
    }
}
