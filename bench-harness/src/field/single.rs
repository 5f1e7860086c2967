//! Cases that are checks of the harness already: bursts, probes, memory.

use super::{Case, Field, check};
use crate::checks::{
    Saw, failing_prepares, idle_timeout_of_the_server, probes, short_connections, split_executes,
};

pub(super) const CASES: &[Case] = &[
    check("F020", "parameters are not mixed", |f: &Field| -> Saw {
        split_executes(&f.setup)
    }),
    check("F058", "the server closes an idle link", |f| {
        idle_timeout_of_the_server(&f.setup)
    }),
    check("F074", "2,000 short connections", |f| {
        short_connections(&f.setup)
    }),
    check("F080", "a check that quits at once", |f| probes(&f.setup)),
    check("F081", "probes reach no server", |f| probes(&f.setup)),
    check("F091", "prepares that fail leave nothing", |f| {
        failing_prepares(&f.setup)
    }),
];
