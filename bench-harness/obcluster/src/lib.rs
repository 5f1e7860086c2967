//! A model OceanBase cluster for tests, demos and benchmarks. It depends on `obring-wire` only, so
//! that it cannot judge obring with obring's own code.
//!
//! * [`canned`]: one OBServer in proxy mode that answers from memory. The model of whole clusters
//!   (servers, leaders, faults, verdicts) grows from here.
//! * [`busy`]: one OBServer that costs as little as it can, for measurements; [`statement`]: what
//!   it is asked, and what it answers.

pub mod busy;
pub mod canned;
pub mod statement;
