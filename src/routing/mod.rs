//! L2: which server a session or statement goes to, decided from a read-only view.
//!
//! The metadata core is the only writer of cluster knowledge. Every serving core holds a
//! [`Replica`]: immutable, versioned entries, replaced by [`Mail`]. [`pick()`] chooses the server
//! of a new session, [`route()`] that of a statement; both say why ([`Reason`]).
//!
//! * `table.rs`, `tables.rs`: what is known of a table, and the tables that a core knows.
//! * `consistency.rs`, `policy.rs`, `order.rs`, `class.rs`: OBProxy's tables of rules, as data.
//! * `route.rs`: a statement's way: look-ups, leaves, choice.
//! * `choose.rs`, `draw.rs`: the choice among servers.
//! * `explain.rs`: EXPLAIN ROUTE.
//! * `feedback.rs`: what a reply says about the choice.

mod blocks;
mod by_name;
mod choice;
mod choose;
mod class;
mod cluster;
mod consistency;
mod decisions;
mod draw;
mod explain;
mod feedback;
#[cfg(test)]
mod fixture;
mod inquiry;
mod json;
mod kill;
mod loads;
mod mail;
mod order;
mod pick;
mod policy;
mod preferences;
mod reason;
mod replica;
mod route;
mod rules;
mod table;
mod tables;
mod tenant;
mod traffic;

pub use blocks::{Block, BlockRow, BlockRules, Blocks};
pub use choice::Choice;
pub use choose::{Asked, Target, Touched, View, choose};
pub use class::{Class, Hold, Near, Site};
pub use cluster::{Cluster, Health, Server, ServerState, Zone, ZoneKind};
pub use consistency::{
    Consistency, ConsistencyFacts, Level, StrongBy, WeakBy, consistency, forces_master,
};
pub use decisions::Decisions;
pub use explain::{COLUMN as EXPLAIN_COLUMN, Format as ExplainFormat, Plan};
pub use feedback::{Fault, Hit, Reply, Verdict, WeakFeedback, judge, take_fault};
pub use inquiry::{
    Answer, Ask, Listed, RouteCounts, SessionRow, SessionState, Stamp, Subject, TableRow,
};
pub use kill::{Fate, KillBack, KillOrder, KillReport, Killer};
pub use loads::Loads;
pub use mail::{Mail, Pulse};
pub use order::{Order, Ordered};
pub use pick::pick;
pub use policy::{Policy, PolicyFacts, SaidConsistency, policy, weak_policy, zone_policy};
pub use preferences::{Preferences, Said, ZoneList, targets};
pub use reason::Reason;
pub use replica::Replica;
pub use route::{Located, Routed, Statement, defined, route};
pub use rules::{Login, RoutingRules, TableRules};
pub use table::{
    Doubted, Held, LeafPlace, Locations, ReplicaKind, Row, Share, TableEntry, TableKey, TableKind,
    TableName,
};
pub use tables::{Came, Found, TableCounts, Tables};
pub use tenant::{SYS, Standing, Tenant};
pub use traffic::Traffic;
