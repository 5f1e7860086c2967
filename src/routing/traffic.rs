//! What one core knows of its own traffic: who has how much to do, and who is to be avoided.

use super::{Blocks, Loads};

/// The traffic of one core.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Requests that are not answered yet.
    pub loads: Loads,
    /// Servers to avoid.
    pub blocks: Blocks,
}
