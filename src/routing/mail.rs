//! What serving cores and the metadata core tell each other.

use super::{
    Answer, Ask, Cluster, Doubted, KillOrder, KillReport, Listed, Subject, TableEntry, TableKey,
    Tenant,
};
use crate::base::{CoreId, Errno};
use crate::config;
use std::net::SocketAddr;
use std::sync::Arc;

/// What is known of a server that was suspected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pulse {
    /// It answers.
    Well,
    /// It does not answer a probe: it gets no new work for a while.
    Silent,
    /// It has not answered several: what runs there is given up.
    Lost,
}

/// One message between cores.
#[derive(Clone, Debug)]
pub enum Mail {
    /// Metadata core to serving core: an entry of the replica is replaced, unless the replica
    /// already has a newer version.
    Cluster(Arc<Cluster>),
    /// Metadata core to serving core: what is known of a tenant is replaced, unless the replica
    /// already has a newer version.
    Tenant(Arc<Tenant>),
    /// Serving core to metadata core: a session needs the servers of a tenant.
    FindTenant {
        /// Who asks.
        core: CoreId,
        /// Its cluster.
        cluster: Arc<str>,
        /// Its name.
        tenant: Arc<[u8]>,
        /// This version is wrong (a server of it said so), older ones too; 0: nothing is known.
        wrong: u64,
    },
    /// Metadata core to serving core: what is known of a table is replaced, unless the replica
    /// already has a newer version.
    Table(Arc<TableEntry>),
    /// Serving core to metadata core: a statement needs the location of a table.
    FindTable {
        /// Who asks.
        core: CoreId,
        /// The table.
        key: Arc<TableKey>,
        /// This version is doubted, older ones too; 0: nothing is known.
        wrong: u64,
        /// What of it.
        doubted: Doubted,
    },
    /// Serving core to metadata core: the table may have got another definition, or all tables of a
    /// database (the name is empty). What is known is looked up again.
    Redefined(Arc<TableKey>),
    /// Metadata core to serving core: the first round is over, every configured cluster is known.
    Primed,
    /// Serving core to metadata core: a server of that cluster could not be reached. Starts an
    /// early round (at most one a second for each cluster).
    Unreachable {
        /// Name of the cluster.
        cluster: Arc<str>,
        /// The server.
        server: SocketAddr,
        /// What the connect answered.
        errno: Errno,
    },
    /// Serving core to metadata core: nothing is heard of a server that has statements to answer,
    /// or it was blocked because it does not answer.
    Suspect {
        /// Name of the cluster.
        cluster: Arc<str>,
        /// The server.
        server: SocketAddr,
    },
    /// Metadata core to serving core: what is known of a server that was suspected.
    Pulse(SocketAddr, Pulse),
    /// Serving core to metadata core: an administrator's statement.
    Ask(Box<Ask>),
    /// Metadata core to serving core: what the administrator gets.
    Answer(Box<Answer>),
    /// Metadata core to serving core: describe something of yours.
    List {
        /// Comes back with the answer.
        inquiry: u64,
        /// What.
        of: Subject,
    },
    /// Serving core to metadata core: the answer to [`Mail::List`].
    Listed {
        /// What was asked.
        inquiry: u64,
        /// Who answers.
        core: CoreId,
        /// All of it.
        list: Listed,
    },
    /// To the serving core of a session: end it, or say where its statement runs.
    Kill(Box<KillOrder>),
    /// To who wanted a [`Mail::Kill`]: what became of it.
    Killed(Box<KillReport>),
    /// Metadata core to serving core: settings have changed.
    Settings(Arc<config::Settings>),
}
