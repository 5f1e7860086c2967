//! When statements are asked, and how long each took. No clock and no socket: times are
//! nanoseconds since the beginning of a slice.

use hdrhistogram::Histogram;
use obring_wire::base::Rng;
use std::collections::VecDeque;

/// A latency beyond this counts as this.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Moments of a Poisson process: nobody arrives because somebody else was answered.
#[derive(Clone, Debug)]
pub struct Arrivals {
    rng: Rng,
    mean_ns: f64,
    /// The next one. A float: whole nanoseconds would add up to another rate.
    next_ns: f64,
}

impl Arrivals {
    /// `per_second` on average; the same seed gives the same moments.
    #[must_use]
    pub fn new(per_second: f64, seed: u64) -> Self {
        let mut arrivals = Self {
            rng: Rng::new(seed),
            mean_ns: 1e9 / per_second,
            next_ns: 0.0,
        };
        arrivals.advance();
        arrivals
    }

    const fn next_ns(&self) -> u64 {
        self.next_ns as u64
    }

    fn advance(&mut self) {
        // 53 random bits in (0, 1]: the logarithm of 0 is never taken.
        let share = ((self.rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        self.next_ns -= share.ln() * self.mean_ns;
    }
}

/// The statements of one slice over some connections.
///
/// A latency counts from the moment at which the statement was *meant* to be asked: what waits
/// because no connection was free, or because this program was late, is part of it. Otherwise a
/// peer that stalls would be asked less, and its stall would count once (coordinated omission).
#[derive(Debug)]
pub struct Plan {
    /// None: closed loop, a connection asks again as soon as it was answered.
    arrivals: Option<Arrivals>,
    end_ns: u64,
    /// Connections that may ask, the one that waits longest first.
    idle: VecDeque<usize>,
    /// Meant moments of statements that wait for a connection.
    waiting: VecDeque<u64>,
    /// Meant moment of the running statement, by connection.
    meant: Vec<u64>,
    running: usize,
    latency: Histogram<u64>,
}

impl Plan {
    /// All connections ask again and again until `end_ns`.
    ///
    /// # Panics
    /// Never: the bounds of the histogram are constants.
    #[must_use]
    pub fn closed(connections: usize, end_ns: u64) -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Self {
            arrivals: None,
            end_ns,
            idle: (0..connections).collect(),
            waiting: VecDeque::new(),
            meant: vec![0; connections],
            running: 0,
            latency: latency.expect("bounds that a histogram takes"),
        }
    }

    /// Statements arrive until `end_ns` whether or not earlier ones were answered.
    #[must_use]
    pub fn paced(connections: usize, end_ns: u64, arrivals: Arrivals) -> Self {
        Self {
            arrivals: Some(arrivals),
            ..Self::closed(connections, end_ns)
        }
    }

    /// A connection that has to ask now.
    pub fn next(&mut self, now_ns: u64) -> Option<usize> {
        let meant = match &mut self.arrivals {
            None if now_ns < self.end_ns && !self.idle.is_empty() => now_ns,
            None => return None,
            Some(arrivals) => {
                while arrivals.next_ns() <= now_ns && arrivals.next_ns() < self.end_ns {
                    self.waiting.push_back(arrivals.next_ns());
                    arrivals.advance();
                }
                if self.idle.is_empty() {
                    return None;
                }
                self.waiting.pop_front()?
            }
        };
        let connection = self.idle.pop_front()?;
        self.meant[connection] = meant;
        self.running += 1;
        Some(connection)
    }

    /// The whole reply of a connection has come.
    pub fn done(&mut self, connection: usize, now_ns: u64) {
        let took_ns = now_ns.saturating_sub(self.meant[connection]);
        self.latency.saturating_record(took_ns);
        self.running -= 1;
        self.idle.push_back(connection);
    }

    /// How long nothing has to be asked; `None` until a reply comes.
    #[must_use]
    pub fn pause_ns(&self, now_ns: u64) -> Option<u64> {
        let next = self.arrivals.as_ref()?.next_ns();
        (next < self.end_ns).then(|| next.saturating_sub(now_ns))
    }

    /// Nothing runs, and nothing will be asked.
    #[must_use]
    pub fn is_over(&self, now_ns: u64) -> bool {
        let is_asked = match &self.arrivals {
            None => now_ns >= self.end_ns,
            Some(arrivals) => arrivals.next_ns() >= self.end_ns,
        };
        is_asked && self.running == 0 && self.waiting.is_empty()
    }

    /// What was measured.
    #[must_use]
    pub fn into_latency(self) -> Histogram<u64> {
        self.latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_loop_asks_again_after_the_answer_until_the_end() {
        let mut plan = Plan::closed(2, 100);
        assert_eq!(
            (plan.next(0), plan.next(0), plan.next(0)),
            (Some(0), Some(1), None)
        );
        plan.done(1, 40);
        assert_eq!(plan.next(50), Some(1));
        assert!(!plan.is_over(120));
        plan.done(0, 120);
        assert_eq!(plan.next(120), None);
        plan.done(1, 130);
        assert!(plan.is_over(130));
        assert_eq!(plan.pause_ns(50), None);
        let latency = plan.into_latency();
        assert_eq!((latency.len(), latency.min(), latency.max()), (3, 40, 120));
    }

    #[test]
    fn a_stall_counts_for_everyone_who_arrived_during_it() {
        // The first three arrivals of this seed, to the nanosecond.
        let mut probe = Arrivals::new(1e6, 1);
        let moments: Vec<u64> = (0..4)
            .map(|_| {
                let at = probe.next_ns();
                probe.advance();
                at
            })
            .collect();
        let mut plan = Plan::paced(1, moments[3], Arrivals::new(1e6, 1));
        assert_eq!(plan.next(moments[0]), Some(0));
        // One connection, and its answer takes a millisecond: the others wait for it.
        let stalled = 1_000_000;
        assert_eq!(plan.next(stalled), None);
        assert_eq!(plan.pause_ns(stalled), None);
        plan.done(0, stalled);
        for late in [stalled + 10, stalled + 20] {
            assert!(!plan.is_over(late));
            assert_eq!(plan.next(late), Some(0));
            plan.done(0, late);
        }
        assert!(plan.is_over(stalled + 20));
        let latency = plan.into_latency();
        assert_eq!(latency.len(), 3);
        assert!(latency.equivalent(latency.min(), stalled + 20 - moments[2]));
        assert!(latency.equivalent(latency.max(), stalled - moments[0]));
    }

    #[test]
    fn arrivals_keep_their_rate_and_vary_as_a_poisson_process_does() {
        let mut arrivals = Arrivals::new(10_000.0, 7);
        let (mut gaps, mut last) = (vec![], 0.0);
        for _ in 0..20_000 {
            gaps.push(arrivals.next_ns - last);
            last = arrivals.next_ns;
            arrivals.advance();
        }
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / n;
        assert!((mean / 100_000.0 - 1.0).abs() < 0.03, "{mean}");
        // The deviation of an exponential distribution is its mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.05, "{variance}");
    }
}
