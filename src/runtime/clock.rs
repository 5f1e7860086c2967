//! The one place that reads clocks and the operating system's randomness.

use crate::base::Tick;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What [`Tick`] 0 means: the first look at the clock, near enough the start of the process.
static START: OnceLock<Instant> = OnceLock::new();

/// Microseconds since the start of the process; never goes back. All cores share one origin.
pub(crate) fn now() -> Tick {
    tick(nanos())
}

/// The tick of a moment of [`nanos`].
pub(crate) const fn tick(ns: u64) -> Tick {
    Tick(ns / 1_000)
}

/// Nanoseconds since the start of the process.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that hands out ticks"
)]
pub(crate) fn nanos() -> u64 {
    let now = Instant::now();
    now.duration_since(*START.get_or_init(|| now)).as_nanos() as u64
}

/// Wall clock, microseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that hands out wall time"
)]
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| d.as_micros() as u64)
}

/// Operating-system randomness, fetched for several connections at a time.
#[derive(Debug)]
pub(crate) struct Entropy {
    bytes: [u8; Self::BATCH],
    used: usize,
}

impl Entropy {
    /// getrandom(2) is never interrupted and never short up to this size.
    const BATCH: usize = 256;

    /// Nothing fetched yet.
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; Self::BATCH],
            used: Self::BATCH,
        }
    }

    /// 32 bytes nobody has seen before.
    pub(crate) fn take(&mut self) -> [u8; 32] {
        if self.used + 32 > Self::BATCH {
            self.refill();
        }
        let mut out = [0; 32];
        let from = &mut self.bytes[self.used..self.used + 32];
        out.copy_from_slice(from);
        from.fill(0);
        self.used += 32;
        out
    }

    fn refill(&mut self) {
        let mut at = 0;
        while at < Self::BATCH {
            let flags = rustix::rand::GetRandomFlags::empty();
            match rustix::rand::getrandom(&mut self.bytes[at..], flags) {
                Ok(n) => at += n,
                Err(rustix::io::Errno::INTR) => {}
                // Without randomness logins would be guessable: better no login than such a one.
                #[expect(clippy::panic, reason = "no safe way to go on without randomness")]
                Err(e) => panic!("getrandom: {e}"),
            }
        }
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_go_back_and_entropy_does_not_repeat() {
        let a = now();
        assert!(now() >= a);
        assert!(unix_us() > 1_600_000_000_000_000);
        let mut e = Entropy::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..40 {
            assert!(seen.insert(e.take()));
        }
    }
}
