//! L1: what can be read off a statement without a grammar.
//!
//! * [`kill_target`]: the connection that a KILL ends.
//! * [`may_leave_state`], [`may_be_several`], [`looks_back`]: what ties a session to its server
//!   connection.
//! * [`proxy_version`]: the question for the proxy's version.

mod kill;
mod lasting;
mod proxy_version;

pub use kill::kill_target;
pub use lasting::{looks_back, may_be_several, may_leave_state};
pub use proxy_version::proxy_version;
