//! What is known of a table: how it is partitioned, and where its leaves are.

use super::Standing;
use crate::base::Tick;
use crate::partition;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

/// The name of a table, whole. Names are compared as they are written: another spelling of the same
/// table is another entry, which costs memory only. A back quote inside is doubled, as in a
/// statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableKey {
    /// Its cluster.
    pub cluster: Arc<str>,
    /// Its tenant.
    pub tenant: Arc<[u8]>,
    /// Its database.
    pub database: Box<[u8]>,
    /// Its name.
    pub name: Box<[u8]>,
}

impl TableKey {
    /// The name by reference.
    #[must_use]
    pub fn as_name(&self) -> TableName<'_> {
        TableName {
            cluster: &self.cluster,
            tenant: &self.tenant,
            database: &self.database,
            name: &self.name,
        }
    }
}

impl Hash for TableKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_name().hash(state);
    }
}

/// A [`TableKey`] by reference.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TableName<'a> {
    /// Its cluster.
    pub cluster: &'a str,
    /// Its tenant.
    pub tenant: &'a [u8],
    /// Its database.
    pub database: &'a [u8],
    /// Its name.
    pub name: &'a [u8],
}

impl TableName<'_> {
    /// The name as a value of its own.
    #[must_use]
    pub fn to_key(&self) -> TableKey {
        TableKey {
            cluster: self.cluster.into(),
            tenant: self.tenant.into(),
            database: self.database.into(),
            name: self.name.into(),
        }
    }
}

impl hashbrown::Equivalent<Arc<TableKey>> for TableName<'_> {
    fn equivalent(&self, key: &Arc<TableKey>) -> bool {
        *self == key.as_name()
    }
}

/// What kind of replica a server has of a leaf. Source: `replica_type` of
/// `__all_virtual_proxy_schema`; routing facts, section 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReplicaKind {
    /// 0: it can lead.
    Full,
    /// 16: it follows only.
    ReadOnly,
    /// 5, 261 and numbers that are not known: it answers no reads.
    Silent,
}

impl ReplicaKind {
    /// By its number.
    #[must_use]
    pub const fn of(number: u64) -> Self {
        match number {
            0 => Self::Full,
            16 => Self::ReadOnly,
            _ => Self::Silent,
        }
    }
}

/// One replica of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Its server: an index of [`Locations::servers`].
    pub server: u16,
    /// It leads.
    pub is_leader: bool,
    /// What kind.
    pub kind: ReplicaKind,
    /// It is one of a replicated table.
    pub is_dup: bool,
}

/// The replicas of a leaf.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeafPlace {
    /// The one that leads; `None` if nobody does as far as is known.
    pub leader: Option<u16>,
    /// All, in the order of the answer.
    pub replicas: SmallVec<[Held; 3]>,
}

/// What a server has of a set of leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Leaves that it leads.
    pub leads: u32,
    /// Leaves of which it has a replica that answers reads, those that it leads included.
    pub holds: u32,
    /// It has a replica of a replicated table.
    pub is_dup: bool,
}

impl Share {
    /// Counts one replica.
    pub(super) fn add(&mut self, held: Held) {
        self.leads += u32::from(held.is_leader);
        self.holds += u32::from(held.kind != ReplicaKind::Silent);
        self.is_dup |= held.is_dup;
    }

    /// Counts what the server has of other leaves, too.
    pub(super) const fn merge(&mut self, other: Self) {
        self.leads += other.leads;
        self.holds += other.holds;
        self.is_dup |= other.is_dup;
    }
}

/// A row of an answer: a replica of a leaf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The leaf: its number in the description of the table, 0 if the table has no partitions.
    pub leaf: u32,
    /// SQL address.
    pub server: SocketAddr,
    /// It leads.
    pub is_leader: bool,
    /// What kind.
    pub kind: ReplicaKind,
    /// It is one of a replicated table.
    pub is_dup: bool,
}

/// Where the leaves of a table are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Locations {
    servers: Vec<SocketAddr>,
    leaves: Vec<LeafPlace>,
    /// What each server has of all leaves.
    shares: Vec<Share>,
}

/// Most servers of one table; rows of more are left out.
const SERVERS_MAX: usize = u16::MAX as usize;

impl Locations {
    /// The places of so many leaves. Rows of leaves that there are not, and second rows of the same
    /// replica, are left out.
    #[must_use]
    pub fn new(leaf_count: u32, rows: &[Row]) -> Self {
        let mut all = Self {
            servers: vec![],
            leaves: vec![LeafPlace::default(); leaf_count as usize],
            shares: vec![],
        };
        for row in rows {
            let known = all.servers.iter().position(|s| *s == row.server);
            let server = match known {
                Some(server) => server,
                None if all.servers.len() < SERVERS_MAX => {
                    all.servers.push(row.server);
                    all.shares.push(Share::default());
                    all.servers.len() - 1
                }
                None => continue,
            };
            let Some(leaf) = all.leaves.get_mut(row.leaf as usize) else {
                continue;
            };
            let number = server as u16;
            if leaf.replicas.iter().any(|held| held.server == number) {
                continue;
            }
            let held = Held {
                server: number,
                is_leader: row.is_leader && leaf.leader.is_none(),
                kind: row.kind,
                is_dup: row.is_dup,
            };
            if held.is_leader {
                leaf.leader = Some(number);
            }
            leaf.replicas.push(held);
            if let Some(share) = all.shares.get_mut(server) {
                share.add(held);
            }
        }
        all
    }

    /// The same places, with other replicas of some leaves.
    #[must_use]
    pub fn with(&self, leaves: &[u32], rows: &[Row]) -> Self {
        let kept = self.rows().filter(|row| !leaves.contains(&row.leaf));
        let new = rows
            .iter()
            .filter(|row| leaves.contains(&row.leaf))
            .copied();
        let mut all: Vec<_> = kept.chain(new).collect();
        // Servers are numbered in the order of leaves, whenever those were looked up.
        all.sort_by_key(|row| row.leaf);
        Self::new(self.leaves.len() as u32, &all)
    }

    /// All replicas.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let numbered = self.leaves.iter().zip(0..);
        numbered.flat_map(move |(place, leaf)| {
            place.replicas.iter().filter_map(move |held| {
                Some(Row {
                    leaf,
                    server: self.server(held.server)?,
                    is_leader: held.is_leader,
                    kind: held.kind,
                    is_dup: held.is_dup,
                })
            })
        })
    }

    /// SQL addresses of all servers that have a replica.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// What each of [`Locations::servers`] has of all leaves.
    #[must_use]
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// Its leaves, by their numbers.
    #[must_use]
    pub fn leaves(&self) -> &[LeafPlace] {
        &self.leaves
    }

    /// The server of a number.
    #[must_use]
    pub fn server(&self, number: u16) -> Option<SocketAddr> {
        self.servers.get(usize::from(number)).copied()
    }

    /// The leader of a leaf, if it is known.
    #[must_use]
    pub fn leader(&self, leaf: u32) -> Option<SocketAddr> {
        self.leader_in_place(leaf).copied()
    }

    /// The same, where it stands.
    #[inline]
    pub(super) fn leader_in_place(&self, leaf: u32) -> Option<&SocketAddr> {
        let number = self.leaves.get(leaf as usize)?.leader?;
        self.servers.get(usize::from(number))
    }

    /// True if a replica is one of a replicated table.
    #[must_use]
    pub fn has_dup(&self) -> bool {
        self.shares.iter().any(|share| share.is_dup)
    }
}

/// Leaves whose places are doubted at once; of more the whole table is doubted.
const DOUBTED_MAX: usize = 4;

/// What of a table has to be looked up again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubted {
    /// All of it.
    Whole,
    /// These leaves, as long as the table is otherwise what it was.
    Leaves(SmallVec<[u32; DOUBTED_MAX]>),
}

impl Doubted {
    /// One leaf.
    #[must_use]
    pub fn leaf(number: u32) -> Self {
        Self::Leaves(SmallVec::from_slice(&[number]))
    }

    /// Something else is doubted too.
    pub fn add(&mut self, other: Self) {
        let (Self::Leaves(list), Self::Leaves(more)) = (&mut *self, other) else {
            *self = Self::Whole;
            return;
        };
        for leaf in more {
            if !list.contains(&leaf) {
                list.push(leaf);
            }
        }
        if list.len() > DOUBTED_MAX {
            *self = Self::Whole;
        }
    }

    /// All of the other is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Whole, _) => true,
            (Self::Leaves(_), Self::Whole) => false,
            (Self::Leaves(list), Self::Leaves(others)) => others.iter().all(|l| list.contains(l)),
        }
    }
}

/// What a table is, as far as its place is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TableKind {
    /// Its rows are on the servers of its leaves.
    Stored,
    /// Virtual, temporary, external: it is wherever it is asked for.
    Everywhere,
}

/// One table as the metadata core last knew it. Immutable; replaced as a whole.
#[derive(Clone, Debug)]
pub struct TableEntry {
    /// Its name.
    pub key: Arc<TableKey>,
    /// Rises with each answer; an old one never overwrites a newer one.
    pub version: u64,
    /// How well this is known; not [`Standing::Known`]: the rest is that of the answer before, or
    /// empty.
    pub standing: Standing,
    /// When the metadata core made this version.
    pub published: Tick,
    /// `table_id`
    pub id: u64,
    /// `schema_version`
    pub schema_version: u64,
    /// What it is.
    pub kind: TableKind,
    /// How it is partitioned. `None`: it has no partitions, or what describes them is not
    /// understood; then there is more than one leaf in `locations`.
    pub partitions: Option<Arc<partition::Table>>,
    /// Where it is. The same as that of the version before if nothing has moved.
    pub locations: Arc<Locations>,
    /// Some replica is one of a replicated table.
    pub is_dup: bool,
}

impl TableEntry {
    /// It can be routed by: there is at least one replica.
    #[must_use]
    pub fn is_located(&self) -> bool {
        self.kind == TableKind::Stored && !self.locations.servers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{at, row};
    use super::*;

    #[test]
    fn rows_become_places() {
        let rows = [
            row(0, 1, true),
            row(0, 2, false),
            row(1, 2, true),
            // A second leader, a second row, and a leaf that is not there.
            row(1, 3, true),
            row(1, 3, false),
            row(7, 4, true),
        ];
        let places = Locations::new(2, &rows);
        assert_eq!(
            (places.leader(0), places.leader(1)),
            (Some(at(1)), Some(at(2)))
        );
        assert_eq!((places.leader(2), places.leaves().len()), (None, 2));
        let shares: Vec<_> = places.shares().iter().map(|s| (s.leads, s.holds)).collect();
        assert_eq!(shares, [(1, 1), (1, 2), (0, 1), (0, 0)]);
        assert!(!places.has_dup());
    }

    #[test]
    fn single_leaves_are_replaced() {
        let rows = [
            row(0, 1, true),
            row(0, 2, false),
            row(1, 2, true),
            row(2, 1, true),
        ];
        let places = Locations::new(3, &rows);
        assert_eq!(places.with(&[], &[]), places);
        assert_eq!(
            places.with(&[1], &[row(1, 2, true)]),
            places,
            "nothing has moved"
        );
        let moved = places.with(
            &[0, 1],
            &[row(0, 2, true), row(1, 3, true), row(2, 3, true)],
        );
        let leaders = [0, 1, 2].map(|leaf| moved.leader(leaf));
        assert_eq!(leaders, [Some(at(2)), Some(at(3)), Some(at(1))]);
        assert_eq!(moved.rows().count(), 3);
    }

    #[test]
    fn many_doubts_are_about_the_whole() {
        let mut doubted = Doubted::leaf(3);
        doubted.add(Doubted::leaf(3));
        assert_eq!(doubted, Doubted::leaf(3));
        for leaf in 4..7 {
            doubted.add(Doubted::leaf(leaf));
        }
        assert!(doubted.covers(&Doubted::leaf(6)) && !doubted.covers(&Doubted::Whole));
        doubted.add(Doubted::leaf(9));
        assert_eq!(doubted, Doubted::Whole);
        assert!(doubted.covers(&Doubted::leaf(1)));
    }

    #[test]
    fn names_and_keys_hash_alike() {
        let name = TableName {
            cluster: "c",
            tenant: b"t",
            database: b"d",
            name: b"n",
        };
        let hash = |of: &dyn Fn(&mut std::hash::DefaultHasher)| {
            let mut hasher = std::hash::DefaultHasher::new();
            of(&mut hasher);
            hasher.finish()
        };
        let key = Arc::new(name.to_key());
        assert_eq!(hash(&|h| name.hash(h)), hash(&|h| key.hash(h)));
        assert!(hashbrown::Equivalent::equivalent(&name, &key));
    }
}
