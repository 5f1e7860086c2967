//! What an administrator's session, the metadata core and the other cores say to each other.

use super::{BlockRow, Decisions, TableCounts, TableEntry, TableKey};
use crate::base::{CoreId, Key, Tick};
use std::net::SocketAddr;
use std::sync::Arc;

/// A statement of `root@proxysys`, from the core of its session to the metadata core.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where the session lives.
    pub core: CoreId,
    /// The session.
    pub key: Key,
    /// Counts the statements of the session: an answer that comes too late is known by it.
    pub number: u32,
    /// Connection id of the session.
    pub session: u32,
    /// User without tenant.
    pub user: Vec<u8>,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Sequence number of the first packet of the answer.
    pub seq: u8,
    /// The statement.
    pub text: Vec<u8>,
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug)]
pub struct Answer {
    /// The session.
    pub key: Key,
    /// The number of the question.
    pub number: u32,
    /// What the client gets: whole packets.
    pub packets: Vec<u8>,
    /// The session ends behind it.
    pub ends: bool,
}

/// What cores are asked to describe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// Their sessions.
    Sessions,
    /// The clusters and tenants of their replicas.
    Replica,
    /// The tables of their replicas.
    Tables,
    /// What they have counted about tables and decisions.
    RouteCounts,
    /// The tables that statements went by since they were asked last.
    TableUses,
    /// The servers that they have trouble with.
    Blocks,
}

/// What one core says of itself.
#[derive(Clone, Debug)]
pub enum Listed {
    /// Its sessions.
    Sessions(Vec<SessionRow>),
    /// The entries of its replica.
    Replica(Vec<Stamp>),
    /// Its tables.
    Tables(Vec<TableRow>),
    /// Its counters.
    RouteCounts(Box<RouteCounts>),
    /// Used tables, and how many statements went by each.
    TableUses(Vec<(Arc<TableKey>, u32)>),
    /// Servers with trouble.
    Blocks(Vec<BlockRow>),
}

/// One table of one core's replica.
#[derive(Clone, Debug)]
pub struct TableRow {
    /// Whose replica it is.
    pub core: CoreId,
    /// What it knows.
    pub entry: Arc<TableEntry>,
    /// When it was told.
    pub installed: Tick,
    /// The entry is doubted, and is asked for when it is used next.
    pub is_doubted: bool,
    /// It was asked for, and no answer has come.
    pub is_asked: bool,
    /// Statements that went by it, since somebody counted.
    pub uses: u32,
}

/// What one core has counted about routing.
#[derive(Clone, Debug, Default)]
pub struct RouteCounts {
    /// Its tables.
    pub tables: TableCounts,
    /// Its decisions.
    pub decisions: Decisions,
}

/// One entry of one core's replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Whose replica it is.
    pub core: CoreId,
    /// The cluster.
    pub cluster: Arc<str>,
    /// The tenant; `None`: the entry is the cluster's.
    pub tenant: Option<Arc<[u8]>>,
    /// The version that the core has.
    pub version: u64,
    /// How long after it was made the core got it.
    pub lag_us: u64,
}

/// Where a session stands, in OBProxy's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// Not logged in yet.
    Init,
    /// A statement runs.
    Active,
    /// Nothing runs.
    KeepAlive,
}

/// One session, as lists show it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Connection id.
    pub id: u32,
    /// Connection id of the proxy, as servers know it.
    pub proxy_session: u64,
    /// Cluster of the login name.
    pub cluster: Option<Vec<u8>>,
    /// Tenant; `None` before the login.
    pub tenant: Option<Vec<u8>>,
    /// User; `None` before the login.
    pub user: Option<Vec<u8>>,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Current database.
    pub database: Option<Vec<u8>>,
    /// Transactions so far.
    pub transactions: u64,
    /// Server connections.
    pub links: u64,
    /// Where it stands.
    pub state: SessionState,
    /// Its core.
    pub core: CoreId,
}
