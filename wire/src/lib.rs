//! What everything that speaks to an OceanBase client or server shares: base types and the
//! protocol.
//!
//! * [`base`]: ticks, ids, a seeded random generator, a slab with generations, byte cursors.
//! * [`protocol`]: MySQL packets and the OceanBase dialect of them, as pure functions and machines.
//!
//! No IO, clock, thread or global state. The proxy and the model cluster both stand on this crate;
//! it knows neither.

#![forbid(unsafe_code)]

pub mod base;
pub mod protocol;
