//! Durations of a core, counted by size.

use super::Count;
use std::fmt;

/// log2 of the buckets per doubling. A bucket is at most 1/16 wide: what is read is right to 3 %.
const SUB_BITS: u32 = 4;
const SUB: u64 = 1 << SUB_BITS;
/// Longer durations are counted as this: 2^40 ns, 18 minutes.
const LIMIT_NS: u64 = (1 << 40) - 1;
const BUCKETS: usize = bucket(LIMIT_NS) + 1;

/// The bucket of a duration: below `SUB` each has its own, above there are `SUB` per doubling.
const fn bucket(ns: u64) -> usize {
    if ns < SUB {
        return ns as usize;
    }
    let shift = 63 - ns.leading_zeros() - SUB_BITS;
    (shift as usize + 1) * SUB as usize + ((ns >> shift) - SUB) as usize
}

/// The middle of a bucket.
const fn middle(bucket: usize) -> u64 {
    let (doubling, sub) = (bucket as u64 / SUB, bucket as u64 % SUB);
    match doubling {
        0 => sub,
        n => ((SUB + sub) << (n - 1)) + ((1 << (n - 1)) >> 1),
    }
}

/// A histogram with one writer, readable at any moment from every thread. Recording is an index and
/// two additions; nothing is allocated after [`Histogram::new`] (about 5 KiB).
///
/// The crate hdrhistogram cannot be read while it is written; it does the arithmetic of the readers
/// ([`Histogram::add_to`]).
pub struct Histogram {
    buckets: Box<[Count]>,
    sum_ns: Count,
}

impl Histogram {
    /// Nothing counted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Count::default()).collect(),
            sum_ns: Count::default(),
        }
    }

    /// Counts one duration. Only the owning core may call this.
    pub fn record(&self, ns: u64) {
        if let Some(count) = self.buckets.get(bucket(ns.min(LIMIT_NS))) {
            count.add(1);
        }
        self.sum_ns.add(ns);
    }

    /// All durations together, in nanoseconds.
    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.get()
    }

    /// Adds what was counted so far to one that can be asked for quantiles (in nanoseconds). One
    /// made by [`readable`] takes all.
    pub fn add_to(&self, all: &mut hdrhistogram::Histogram<u64>) {
        for (n, count) in self.buckets.iter().enumerate() {
            match count.get() {
                0 => {}
                times => all.saturating_record_n(middle(n), times),
            }
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count: u64 = self.buckets.iter().map(Count::get).sum();
        write!(f, "Histogram({count} durations)")
    }
}

/// An empty histogram that readers collect those of several cores in. Two digits: as exact as what
/// comes in.
#[must_use]
pub fn readable() -> hdrhistogram::Histogram<u64> {
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    hdrhistogram::Histogram::new_with_bounds(1, LIMIT_NS, 2).expect("bounds of a histogram")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_has_a_bucket_whose_middle_is_near() {
        let mut last = 0;
        for exponent in 0..40 {
            for ns in [1 << exponent, (1 << exponent) + (1 << exponent) / 3] {
                let n = bucket(ns);
                assert!(n >= last && n < BUCKETS, "{ns}");
                last = n;
                let off = middle(n).abs_diff(ns);
                assert!(off * 32 <= ns, "{ns}: middle {}", middle(n));
                assert_eq!(bucket(middle(n)), n);
            }
        }
        assert_eq!(bucket(LIMIT_NS), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_several_cores_are_right_to_four_percent() {
        let (a, b) = (Histogram::new(), Histogram::new());
        for ns in 0..50_000 {
            a.record(ns * 2);
            b.record(ns * 2 + 1);
        }
        b.record(u64::MAX / 4);
        let mut all = readable();
        a.add_to(&mut all);
        b.add_to(&mut all);
        assert_eq!(all.len(), 100_001);
        for q in [0.1, 0.5, 0.99] {
            let read = all.value_at_quantile(q) as f64 / (q * 100_000.0);
            assert!((0.96..1.04).contains(&read), "{q}: {read}");
        }
        assert!(all.max() > 1 << 39);
        assert_eq!(a.sum_ns(), 49_999 * 50_000);
    }
}
