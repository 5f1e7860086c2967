//! obring: a reverse proxy for OceanBase.
//!
//! Layers, bottom up (`docs/architecture.md`): `base`, then `protocol` (crate `obring-wire`) and
//! `sql`, then `auth`, `link`, `partition`, `routing`, then `session`, `metadata` and `admin`: pure
//! machines without IO.
//! Above them `runtime` (io_uring, clocks, threads) and `server` (start, signals, drain).

pub mod admin;
pub mod auth;
pub mod base;
pub mod config;
pub mod link;
pub mod metadata;
pub mod partition;
pub mod routing;
pub mod runtime;
pub mod server;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sql;
pub mod telemetry;
pub use obring_wire::protocol;
