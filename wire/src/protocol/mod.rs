//! L1: the MySQL wire protocol and OceanBase's dialect of it, as pure functions and machines.
//!
//! * [`mysql`]: packets, greeting, login, commands, replies, in plain framing.
//! * [`capability`]: what proxy and server negotiate (`__proxy_capability_flag`).
//! * [`error`]: error codes, and the errors a proxy makes itself.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod capability;
pub mod error;
pub mod mysql;
