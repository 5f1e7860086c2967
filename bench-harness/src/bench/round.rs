//! One case on all peers, round by round.

use super::cpu::cpu_ns;
use super::decisions::Decisions;
use super::load::{Load, Slice, Work};
use super::peer::{Kind, Peer};
use super::plan::Arrivals;
use super::spread::Spread;
use super::statement::Statement;
use std::fmt;
use std::time::Duration;

/// When clients ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as they were answered.
    Closed,
    /// At this share of the rate that HAProxy reaches in a closed loop.
    Share(f64),
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// What is asked.
    pub work: Work,
    /// Over how many connections.
    pub connections: usize,
    /// When.
    pub pace: Pace,
}

impl Case {
    /// True where a bound is set: elsewhere batching decides, and figures are shown only.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.work.statement != Statement::Megabyte
            && (self.connections == 1 || self.pace != Pace::Closed)
    }

    /// All cases, in the order of reports.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut cases = vec![];
        let mut small = vec![];
        for statement in [Statement::One, Statement::Point] {
            small.extend([false, true].map(|is_prepared| Work {
                statement,
                is_prepared,
            }));
        }
        let case = |work: Work, connections, pace| Self {
            work,
            connections,
            pace,
        };
        cases.extend(small.iter().map(|&work| case(work, 1, Pace::Closed)));
        for share in [0.25, 0.5] {
            cases.extend(
                small
                    .iter()
                    .map(|&work| case(work, PACED_CONNECTIONS, Pace::Share(share))),
            );
        }
        let [.., point, _] = small[..] else {
            return cases;
        };
        cases.extend([16, 64, 256].map(|connections| case(point, connections, Pace::Closed)));
        let megabyte = Work {
            statement: Statement::Megabyte,
            is_prepared: false,
        };
        cases.extend([1, 16].map(|connections| case(megabyte, connections, Pace::Closed)));
        cases
    }
}

/// Connections of paced cases.
pub const PACED_CONNECTIONS: usize = 64;

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.statement {
            Statement::One => "select 1",
            Statement::Point => "point select",
            Statement::Megabyte => "1 MB reply",
        };
        let how = if self.is_prepared { "prepared" } else { "text" };
        write!(f, "{what}, {how}")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} conn, ", self.work, self.connections)?;
        match self.pace {
            Pace::Closed => write!(f, "closed"),
            Pace::Share(share) => write!(f, "paced {share}"),
        }
    }
}

/// What one peer did in one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Statements answered.
    pub statements: u64,
    /// CPU of the peer's process tree, in us per statement, which is ms per 1,000 statements.
    pub cpu_us: f64,
    /// Median latency.
    pub p50_us: f64,
    /// Latency of the slowest hundredth.
    pub p99_us: f64,
    /// Statements per second.
    pub per_second: f64,
}

impl Sample {
    fn new(slice: &Slice, cpu_ns: u64) -> Result<Self, String> {
        let statements = slice.latency.len();
        if statements == 0 {
            return Err("no statement was answered in a slice".into());
        }
        let latency_us = |quantile| slice.latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Self {
            statements,
            cpu_us: cpu_ns as f64 / 1e3 / statements as f64,
            p50_us: latency_us(0.5),
            p99_us: latency_us(0.99),
            per_second: statements as f64 / slice.elapsed.as_secs_f64(),
        })
    }
}

/// All rounds of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was measured.
    pub case: Case,
    /// Statements asked per second, if paced.
    pub rate: Option<f64>,
    /// Of each round, a sample of each peer in the order of [`Outcome::kinds`].
    pub rounds: Vec<Vec<Sample>>,
    /// The peers.
    pub kinds: Vec<Kind>,
    /// Why obring sent the statements where it did.
    pub decisions: Decisions,
}

impl Outcome {
    /// A figure of one peer, over the rounds.
    #[must_use]
    pub fn figure(&self, kind: Kind, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
        let at = self.place(kind)?;
        Spread::of(self.rounds.iter().map(|round| figure(&round[at])))
    }

    /// A figure of one peer and the same of another in the same round, made one, over the rounds.
    #[must_use]
    pub fn paired(
        &self,
        kind: Kind,
        other: Kind,
        figure: impl Fn(&Sample) -> f64,
        join: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let (at, to) = (self.place(kind)?, self.place(other)?);
        let pairs = self.rounds.iter().map(|round| (&round[at], &round[to]));
        Spread::of(pairs.map(|(a, b)| join(figure(a), figure(b))))
    }

    fn place(&self, kind: Kind) -> Option<usize> {
        self.kinds.iter().position(|k| *k == kind)
    }
}

/// How long, how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of a case.
    pub rounds: usize,
    /// Length of a slice: one peer, driven once.
    pub slice: Duration,
}

/// One slice of one peer.
fn sample(peer: &Peer, run: impl FnOnce() -> Result<Slice, String>) -> Result<Sample, String> {
    let cpu = || peer.id().map_or(Ok(0), cpu_ns);
    let before = cpu()?;
    let slice = run()?;
    Sample::new(&slice, cpu()?.saturating_sub(before))
}

/// The closed-loop rate of a peer: the median of a few slices.
///
/// # Errors
/// What the peer did instead.
pub fn closed_rate(peer: &Peer, work: Work, effort: Effort) -> Result<f64, String> {
    let mut load = Load::new(peer.address, work)?;
    load.open(PACED_CONNECTIONS)?;
    load.closed(effort.slice)?;
    let mut rates = vec![];
    for _ in 0..5 {
        rates.push(sample(peer, || load.closed(effort.slice))?.per_second);
    }
    let rate = Spread::of(rates).map(|s| s.median);
    rate.ok_or_else(|| format!("no rate of {}", peer.kind))
}

/// Measures a case.
///
/// # Errors
/// What a peer did instead.
pub fn measure(
    peers: &[Peer],
    case: Case,
    rate: Option<f64>,
    effort: Effort,
) -> Result<Outcome, String> {
    let mut loads = vec![];
    for peer in peers {
        let said = |e| format!("{case}: {}: {e}", peer.kind);
        let mut load = Load::new(peer.address, case.work).map_err(said)?;
        load.open(case.connections).map_err(said)?;
        loads.push(load);
    }
    let mut slice = |at: usize, round: usize| {
        let (peer, load): (&Peer, &mut Load) = (&peers[at], &mut loads[at]);
        // The same moments for every peer of a round.
        let drive = || match rate {
            None => load.closed(effort.slice),
            Some(rate) => load.paced(effort.slice, Arrivals::new(rate, round as u64)),
        };
        sample(peer, drive).map_err(|e| format!("{case}: {}: {e}", peer.kind))
    };
    let obring = peers.iter().find(|p| p.kind == Kind::Obring);
    let decided = || obring.map_or_else(|| Ok(Decisions::default()), |p| Decisions::of(p.address));
    let before = decided()?;
    for at in 0..peers.len() {
        // Warms up; thrown away.
        slice(at, 0)?;
    }
    let mut rounds = vec![];
    for round in 0..effort.rounds {
        let mut samples = vec![Sample::default(); peers.len()];
        for at in order(peers.len(), round) {
            samples[at] = slice(at, round + 1)?;
        }
        rounds.push(samples);
    }
    Ok(Outcome {
        case,
        rate,
        rounds,
        kinds: peers.iter().map(|p| p.kind).collect(),
        decisions: decided()?.since(&before),
    })
}

/// Who comes when: another first one in each round, and every other round backwards, so that no
/// peer always follows the same one.
fn order(peers: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..peers).collect();
    order.rotate_left(round / 2 % peers.max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_every_place() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [2, 1, 0]);
        assert_eq!(order(3, 2), [1, 2, 0]);
        for place in 0..4 {
            let mut seen: Vec<_> = (0..8).map(|round| order(4, round)[place]).collect();
            seen.sort_unstable();
            assert_eq!(seen, [0, 0, 1, 1, 2, 2, 3, 3]);
        }
    }

    #[test]
    fn ratios_are_taken_inside_a_round() {
        let sample = |cpu_us| Sample {
            cpu_us,
            ..Sample::default()
        };
        let outcome = Outcome {
            case: Case::all()[0],
            rate: None,
            // The machine was ten times slower in the second round.
            rounds: vec![
                vec![sample(10.0), sample(8.0)],
                vec![sample(100.0), sample(80.0)],
            ],
            kinds: vec![Kind::HaProxy, Kind::Obring],
            decisions: Decisions::default(),
        };
        let cpu = |s: &Sample| s.cpu_us;
        let ratio = outcome.paired(Kind::Obring, Kind::HaProxy, cpu, |a, b| a / b);
        assert_eq!(ratio.map(|s| (s.low, s.high)), Some((0.8, 0.8)));
        assert_eq!(outcome.figure(Kind::Relay, cpu), None);
    }

    #[test]
    fn bounds_hold_where_batching_does_not_decide() {
        let cases = Case::all();
        assert_eq!(cases.len(), 17);
        assert_eq!(cases.iter().filter(|c| c.is_bound()).count(), 12);
        let names: Vec<_> = cases.iter().map(ToString::to_string).collect();
        assert_eq!(names[0], "select 1, text, 1 conn, closed");
        assert_eq!(names[7], "point select, prepared, 64 conn, paced 0.25");
        assert_eq!(names[13], "point select, text, 64 conn, closed");
    }
}
