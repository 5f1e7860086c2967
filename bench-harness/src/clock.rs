//! The one place of the rigs that reads a clock: deadlines, stop watches and waiting on conditions.

use std::time::{Duration, Instant};

/// A moment after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `after` from now.
    #[must_use]
    pub fn after(after: Duration) -> Self {
        Self(now() + after)
    }

    /// The moment `seconds` from now.
    #[must_use]
    pub fn secs(seconds: u64) -> Self {
        Self::after(Duration::from_secs(seconds))
    }

    /// Time left, at least a millisecond; `None` when it is over.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        let left = self.0.checked_duration_since(now())?;
        Some(left.max(Duration::from_millis(1)))
    }
}

/// Measures from its making.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(now())
    }

    /// Time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        now() - self.0
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "rigs measure real processes; this is their only clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// Lets a time go by: for measurements of how much an idle process does in it.
pub fn pause(length: Duration) {
    let deadline = Deadline::after(length);
    while let Some(left) = deadline.left() {
        std::thread::park_timeout(left);
    }
}

/// Asks `condition` again and again until it gives a value or `deadline` is over.
///
/// # Errors
/// `what` in words, when the deadline passed.
pub fn wait_for<T>(
    deadline: Deadline,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if deadline.left().is_none() {
            return Err(format!("waited in vain for {what}"));
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
