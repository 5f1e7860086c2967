//! Wall time of the model, in one place.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970.
#[must_use]
pub(crate) fn now_us() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the model stamps what happens; nothing here is simulated"
    )]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
