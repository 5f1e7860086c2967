//! Median and quartiles of a few figures.

use std::fmt;

/// Quartiles of figures that vary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// A quarter is below.
    pub low: f64,
    /// Half is below.
    pub median: f64,
    /// A quarter is above.
    pub high: f64,
}

impl Spread {
    /// Of these figures, between neighbours in proportion; `None` of no figures.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let below = place.floor();
            let (a, b) = (below as usize, place.ceil() as usize);
            sorted[a] + (sorted[b] - sorted[a]) * (place - below)
        };
        Some(Self {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        })
    }
}

/// `median [low-high]`, with the precision asked for or two digits.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let (low, median, high) = (self.low, self.median, self.high);
        // A dash between negative figures would be read as one of them.
        write!(f, "{median:.digits$} [{low:.digits$} to {high:.digits$}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            spread,
            Spread {
                low: 1.75,
                median: 2.5,
                high: 3.25
            }
        );
        assert_eq!(format!("{spread}"), "2.50 [1.75 to 3.25]");
        assert_eq!(format!("{spread:.0}"), "2 [2 to 3]");
        assert_eq!(Spread::of([7.0]).unwrap().high, 7.0);
        assert_eq!(Spread::of([]), None);
    }
}
