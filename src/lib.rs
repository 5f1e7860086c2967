//! obring: a reverse proxy for OceanBase.
//!
//! Layers, bottom up (`docs/architecture.md`): `base`, then `protocol` (crate `obring-wire`), then
//! `auth`, `link`, `routing`, then `session` and `metadata`: pure machines without IO. Above them
//! `runtime` (io_uring, clocks, threads) and `server` (start, signals, drain).

pub mod base;
pub mod runtime;
pub mod telemetry;
pub use obring_wire::protocol;
