//! L1: what can be read off a statement without a grammar.
//!
//! * [`kill_target`]: the connection that a KILL ends.

mod kill;

pub use kill::kill_target;
