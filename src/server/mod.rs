//! L5: the process. Start, signals, drain, log.
//!
//! * `cli`: the command line.
//! * `sources`: from the command line, the file and the environment to settings.
//! * `start`: the order of a start, and its one line when it fails.
//! * `daemon`: detaching, with the parent waiting for the outcome.
//! * `launch`: where the machines are given to the runtime.
//! * `key_pair`: what clients seal passwords with.
//! * `signals`: what the process does on TERM, INT and HUP.
//! * `log`: lines, their form, and the thread that writes them.

mod cli;
mod daemon;
mod failure;
mod keeper;
mod key_pair;
mod launch;
mod limits;
mod log;
mod signals;
mod snapshot;
mod sources;
mod start;
mod store;

pub use failure::Failure;
pub use start::run;
