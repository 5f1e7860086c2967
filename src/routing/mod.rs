//! L2: which server a session or statement goes to, decided from a read-only view.
//!
//! The metadata core is the only writer of cluster knowledge. Every serving core holds a
//! [`Replica`]: immutable, versioned entries, replaced by [`Mail`]. [`pick()`] chooses a server and
//! says why ([`Reason`]).

mod inquiry;
mod mail;
mod pick;
mod replica;

pub use inquiry::{Answer, Ask, SessionRow, SessionState};
pub use mail::Mail;
pub use pick::{Choice, Reason, pick};
pub use replica::{Cluster, Health, Replica};
