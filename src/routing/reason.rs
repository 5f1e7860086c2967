//! Why a session or statement goes where it goes: one closed list.
//!
//! EXPLAIN ROUTE, SHOW PROXYROUTE, counters and logs all read this list, so that a person who sees
//! a name in one of them finds it in the others.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $variant:ident = $name:literal, $sentence:literal; )+) => {
        /// Why a server was chosen, or none.
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize,
        )]
        pub enum Reason {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl Reason {
            /// All of them, in the order of [`Reason::index`].
            pub const ALL: &[Self] = &[$( Self::$variant, )+];

            /// The name used in logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )+
                }
            }

            /// What EXPLAIN ROUTE says.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $( Self::$variant => $sentence, )+
                }
            }
        }
    };
}

reasons! {
    /// The session has no server yet: one of the tenant's, spread by session id.
    NewSession = "new_session",
        "the session has no server yet and takes one of its tenant";
    /// The servers before it could not be reached, or refused.
    NextAfterFailure = "next_after_failure",
        "the servers before it could not be reached, or refused";

    /// Nothing says which servers of the cluster are equal.
    OneServer = "one_server",
        "the cluster has no views that would tell where tables are";
    /// State of the session is there that cannot be taken to another server.
    SessionState = "session_state",
        "this server has state of the session that cannot be taken to another";
    /// The transaction's coordinator has it.
    Coordinator = "coordinator",
        "the transaction runs on this server";
    /// SET TRANSACTION was executed there.
    TransactionCharacteristics = "transaction_characteristics",
        "SET TRANSACTION was executed on this server, and the next transaction starts there";
    /// The session has a temporary table there.
    TemporaryTable = "temporary_table",
        "the session has a temporary table on this server";
    /// The session holds locks there.
    UserLock = "user_lock",
        "the session holds locks on this server";
    /// The cursor is there.
    Cursor = "cursor",
        "the cursor is open on this server";
    /// Parameters were sent there in pieces.
    LongData = "long_data",
        "this server has the parameters that were sent in pieces";
    /// The client sends the file that this server asked for.
    FileContent = "file_content",
        "this server asked for the file";
    /// `found_rows()`, SHOW WARNINGS: about the statement before.
    LastResult = "last_result",
        "the statement asks about the one before, which ran on this server";

    /// `@obproxy_route_addr`.
    RouteAddress = "route_address",
        "the session variable @obproxy_route_addr names this server";
    /// `target_db_server`, of a comment or of the settings.
    TargetServer = "target_server",
        "target_db_server names this server";
    /// The server named by target_db_server cannot be used.
    TargetUnusable = "target_unusable",
        "none of the servers of target_db_server can be used";

    /// It leads the only leaf.
    Leader = "leader",
        "this server leads the partition of the statement";
    /// It leads most of the leaves.
    MostLeaders = "most_leaders",
        "this server leads most of the partitions of the statement";
    /// It leads most of the table's leaves, and which of them are meant is not known.
    LeafUnknown = "leaf_unknown",
        "the partition cannot be told from the statement, and this server leads most of the table";
    /// No row can match.
    NoLeaf = "no_leaf",
        "no row can match, so any server will do";
    /// The leader is not known.
    LeaderUnknown = "leader_unknown",
        "no leader of the partition is known, and this server is the best of the others";
    /// The leader is blocked.
    LeaderBlocked = "leader_blocked",
        "the leader of the partition is blocked, and this server is the best of the others";
    /// The leader was tried in vain.
    LeaderTried = "leader_tried",
        "the leader of the partition could not be used, and this server is the best of the others";
    /// The leader is in none of the zones that the settings allow.
    LeaderOutsideZones = "leader_outside_zones",
        "the leader of the partition is in no zone of proxy_primary_zone_name";
    /// A replicated table: every replica has the same.
    ReplicatedTable = "replicated_table",
        "the table is replicated, and every replica answers the same";

    /// A weak read, by the policy.
    WeakRead = "weak_read",
        "a weak read goes to the best replica by the policy";
    /// A weak read of which no replica can be used.
    WeakReadElsewhere = "weak_read_elsewhere",
        "a weak read of which no replica can be used goes to another server of the tenant";

    /// In the first usable zone of the settings or of the tenant.
    PrimaryZone = "primary_zone",
        "this server is in the first usable zone of the primary zones";
    /// Without tables: the session's server.
    CurrentServer = "current_server",
        "the statement names no table and stays on the session's server";
    /// Without tables, and the session has no server that fits.
    NoTable = "no_table",
        "the statement names no table, and the session has no server that fits";
    /// The table has no location: virtual, temporary, external.
    NoLocation = "no_location",
        "the table is on every server";
    /// The cluster does not know the table.
    TableAbsent = "table_absent",
        "the cluster does not know the table";
    /// Nobody could say where the table is.
    LocationFailed = "location_failed",
        "the location of the table could not be looked up";
    /// The look-up takes too long.
    LocationPending = "location_pending",
        "the location of the table is being looked up, and the statement does not wait any longer";
    /// The text could not be read to its end.
    Unparsed = "unparsed",
        "the statement could not be read to its end";

    /// No server is left.
    Nobody = "nobody",
        "no server is left that the policy allows";
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its place in [`Reason::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The server was not chosen for the leaves of the statement: what it says about hits tells
    /// nothing about their entry.
    #[must_use]
    pub const fn is_beside_location(self) -> bool {
        !matches!(
            self,
            Self::Leader
                | Self::MostLeaders
                | Self::LeaderUnknown
                | Self::LeaderBlocked
                | Self::LeaderTried
                | Self::ReplicatedTable
                | Self::WeakRead
                | Self::WeakReadElsewhere
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_indexes_are_places() {
        let names: HashSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reason::COUNT);
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            let name = reason.name();
            assert!(name.bytes().all(|b| b == b'_' || b.is_ascii_lowercase()));
            let sentence = reason.sentence();
            assert!(sentence.len() < 100 && !sentence.ends_with('.'), "{name}");
        }
    }
}
