//! Time as a value.

use serde::{Deserialize, Serialize};

/// A moment on the clock of one process: microseconds since its start.
///
/// Machines never read a clock: the runtime reads it once per turn and passes it in, the simulator
/// invents it. A `Tick` is never a wall time.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Tick(pub u64);

impl Tick {
    /// The moment `ms` milliseconds later; saturates.
    #[must_use]
    pub const fn after_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// The moment `us` microseconds later; saturates.
    #[must_use]
    pub const fn after_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Microseconds from `earlier` to `self`; 0 if `earlier` is later.
    #[must_use]
    pub const fn since_us(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
