//! The smallest and the largest value of a setting.

/// Both ends belong to the range. The unit is that of the kind: the number itself, microseconds,
/// bytes, or characters of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Smallest value.
    pub min: u64,
    /// Largest value.
    pub max: u64,
}

impl Bounds {
    /// No bounds beyond those of the kind.
    pub const ANY: Self = Self::new(0, u64::MAX);

    /// `min..=max`.
    #[must_use]
    pub const fn new(min: u64, max: u64) -> Self {
        assert!(min <= max);
        Self { min, max }
    }

    /// True inside.
    #[must_use]
    pub const fn holds(self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }
}
