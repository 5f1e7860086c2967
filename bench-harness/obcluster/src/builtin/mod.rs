//! An OBServer without a kernel: engine `builtin`.
//!
//! A pure machine: [`Session`] takes bytes of a client and gives replies in all framings; [`Data`]
//! holds what sessions share. Neither does IO, reads a clock or starts a thread. [`Server`] is the
//! shell around them: one thread, one epoll.
//!
//! It knows a few statements exactly, answers them with the kernel's bytes (observed on seekdb
//! 1.3.0.post5), and refuses everything else with error 1235: it never guesses.

mod data;
mod entrance;
mod execute;
mod fields;
mod frames;
mod info;
mod login;
mod meta;
mod parse;
mod prepared;
mod reply;
mod rows;
mod running;
mod server;
mod session;
mod state;
mod statement;
mod table;
mod token;
mod transaction;
mod values;
mod variables;
mod verdict;

#[cfg(test)]
mod tests;

pub use data::{Data, InternalRouting, Kill, Layout, User};
pub use meta::SCHEMA_VERSION;
pub use server::{Counts, Running, Server};
pub use session::{Flow, Session};
pub use table::row_text;
pub use verdict::{Bound, verdict};
