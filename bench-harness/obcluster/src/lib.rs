//! A model OceanBase cluster for tests, demos and benchmarks. It depends on `obring-wire` only, so
//! that it cannot judge obring with obring's own code.
//!
//! [`Cluster`] is one process that looks like an OceanBase 4.x cluster of N servers on loopback
//! addresses, with one real single-node kernel behind it, or with engine `builtin`. From below:
//!
//! * [`topology`]: what it looks like at the start.
//! * [`state`]: servers, zones, tenants and leaders, and what happens to them.
//! * [`kernel`]: the kernel, asked about tables; [`views`]: the cluster's views on that.
//! * [`fault`]: what goes wrong on purpose; [`record`]: the statement log.
//! * [`verdict`]: what a statement touches; [`judge`]: who says so; [`violation`]: what a proxy
//!   must not do; [`shadow`]: the state of sessions, and who has forgotten to bring it along;
//!   [`tally`]: verdicts, counted.
//! * `link`: one connection of a client, and the kernel connection that serves it; `server`: the
//!   ports; `shared`: what these have in common; `control`: the interface for whoever drives it.
//! * [`config`]: the configuration service that proxies ask for clusters.
//!
//! * [`tls`]: connections to engine `builtin` that are sealed.
//! * [`builtin`]: engine `builtin`, an OBServer without a kernel, also on its own for measurements.

pub mod builtin;
mod clock;
pub mod config;
mod control;
pub mod fault;
pub mod feedback;
mod handle;
pub mod judge;
pub mod kernel;
mod link;
pub mod record;
mod server;
pub mod shadow;
mod shared;
pub mod state;
pub mod tally;
pub mod tls;
pub mod topology;
pub mod verdict;
pub mod views;
pub mod violation;

pub use config::{Config, ConfigMode, OtherCluster};
pub use fault::{Fault, FaultKind};
pub use feedback::{FeedbackMode, Role};
pub use handle::{Cluster, Engine};
pub use record::{Entry, Kind, Outcome};
pub use shared::{Counters, Done, LinkInfo};
pub use state::{Change, NoSuch};
pub use topology::{PlaceSpec, TenantSpec, Topology, ZoneSpec};
pub use verdict::{Reason, Touched, Verdict, VerdictKind};
pub use violation::{BrokenRule, OnViolation, Violation, ViolationKind};
