//! A second shell for the machines: a seeded world with virtual time, for tests only.
//!
//! The very same [`Sessions`](crate::session::Sessions) and
//! [`Metadata`](crate::metadata::Metadata) as in production run here between scripted clients and
//! scripted servers. Bytes arrive in random pieces after random delays; servers refuse, hang, talk
//! nonsense and die. Each client knows what a direct client would see and judges what it gets.
//! The same seed gives the same trace.
//!
//! * [`script`]: statements, what a server answers a proxy, and what a direct client would see.
//! * `server.rs`: an OBServer in proxy mode; `framing.rs`: its framing.
//! * `client.rs`: a client that judges; `told.rs`: how it tells its password; `killing.rs`: how it
//!   kills others.
//! * `cluster.rs`, `tables.rs`, `binding.rs`: what all servers have in common.
//! * [`World`]: the event queue, the pipes, the faults.

mod binding;
mod client;
mod cluster;
mod conn;
mod framing;
mod killing;
pub mod script;
mod server;
mod tables;
mod told;
mod world;

pub use client::Verdict;
pub use world::{Faults, Sabotage, World};
