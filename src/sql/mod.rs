//! L1: what can be read off a statement without a grammar.
//!
//! * [`kill_target`]: the connection that a KILL ends.
//! * [`proxy_version`]: the question for the proxy's version.

mod kill;
mod proxy_version;

pub use kill::kill_target;
pub use proxy_version::proxy_version;
