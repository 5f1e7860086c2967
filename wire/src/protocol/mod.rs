//! L1: the MySQL wire protocol and OceanBase's dialect of it, as pure functions and machines.
//!
//! * [`mysql`]: packets, greeting, login, commands, replies, in plain framing.
//! * [`ob20`]: the framings around them, and extra info.
//! * [`reroute`]: a server names a better one.
//! * [`capability`]: what proxy and server negotiate (`__proxy_capability_flag`).
//! * [`error`]: error codes, and the errors a proxy makes itself.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod capability;
pub mod error;
pub mod mysql;
pub mod ob20;
pub mod reroute;
