//! L2: which server a session or statement goes to, decided from a read-only view.
//!
//! The metadata core is the only writer of cluster knowledge. Every serving core holds a
//! [`Replica`]: immutable, versioned entries, replaced by [`Mail`]. [`pick()`] chooses a server and
//! says why ([`Reason`]).

mod cluster;
mod inquiry;
mod mail;
mod pick;
mod replica;
mod tenant;

pub use cluster::{Cluster, Health, Server, ServerState, Zone, ZoneKind};
pub use inquiry::{Answer, Ask, Listed, SessionRow, SessionState, Stamp};
pub use mail::Mail;
pub use pick::{Choice, Reason, pick, should_leave};
pub use replica::Replica;
pub use tenant::{SYS, Standing, Tenant};
