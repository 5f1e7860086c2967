//! What one core knows of its own traffic: who has how much to do, who is to be avoided, and why
//! statements went where they went.

use super::{Blocks, Decisions, Loads};

/// The traffic of one core.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Requests that are not answered yet.
    pub loads: Loads,
    /// Servers to avoid.
    pub blocks: Blocks,
    /// Decisions by reason.
    pub decisions: Decisions,
}
