//! The Markdown of a run, and the raw rows.

use super::idle::{Idle, MANY, SETTLE};
use super::peer::Kind;
use super::round::{Outcome, Sample};
use super::spread::Spread;
use super::statement::Statement;
use super::syscalls::Calls;
use std::fmt::{Display, Write as _};

/// CPU per statement against HAProxy's.
pub const CPU_RATIO_MAX: f64 = 1.0;
/// Median latency against HAProxy's.
pub const P50_RATIO_MAX: f64 = 1.1;
/// System calls per statement at 1 connection.
pub const CALLS_MAX: f64 = 2.1;
/// CPU of a proxy whose sessions are idle, in ms per second.
pub const IDLE_MS_MAX: f64 = 1.0;
/// Of 100 statements of a run with routing, so many go elsewhere than to a leader that is known.
pub const ASTRAY_MAX: f64 = 1.0;

/// One figure of a sample.
type Figure = fn(&Sample) -> f64;

/// All that a run measured.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What it ran on and how, one line each.
    pub setting: Vec<String>,
    /// Cases.
    pub outcomes: Vec<Outcome>,
    /// System calls of each peer.
    pub calls: Vec<(Kind, Calls)>,
    /// Idle sessions of each peer.
    pub idle: Vec<Idle>,
    /// obring had several servers to choose from.
    pub is_routed: bool,
}

/// A bound, and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is bounded.
    pub name: String,
    /// The figure, with its spread if it has one.
    pub figure: String,
    /// The bound.
    pub bound: f64,
    /// True if the figure keeps to it.
    pub is_met: bool,
}

impl Verdict {
    fn new(name: impl Display, figure: f64, shown: impl Display, bound: f64) -> Self {
        Self {
            name: name.to_string(),
            figure: shown.to_string(),
            bound,
            is_met: figure <= bound,
        }
    }
}

impl Findings {
    /// Every bound that was measured.
    #[must_use]
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = vec![];
        let figures: [(&str, Figure, f64); 2] = [
            ("CPU", |s| s.cpu_us, CPU_RATIO_MAX),
            ("p50", |s| s.p50_us, P50_RATIO_MAX),
        ];
        for (name, figure, bound) in figures {
            for outcome in self.outcomes.iter().filter(|o| o.case.is_bound()) {
                if let Some(ratio) = ratio(outcome, Kind::Obring, figure) {
                    let name = format!("{name} / HAProxy: {}", outcome.case);
                    verdicts.push(Verdict::new(name, ratio.median, ratio, bound));
                }
            }
        }
        let routed = self
            .outcomes
            .iter()
            .filter(|o| self.is_routed && o.case.is_bound());
        for outcome in routed.filter(|o| o.case.work.statement == Statement::Point) {
            let astray = 100.0 * (1.0 - outcome.decisions.share("leader"));
            let name = format!("% not to a known leader: {}", outcome.case);
            verdicts.push(Verdict::new(name, astray, &outcome.decisions, ASTRAY_MAX));
        }
        let calls = self.calls.iter().filter(|(kind, _)| *kind == Kind::Obring);
        for (_, calls) in calls.filter(|(_, c)| c.connections == 1) {
            let name = format!("system calls per statement: {}, 1 conn", calls.work);
            let shown = format!("{:.2}", calls.per_statement);
            verdicts.push(Verdict::new(name, calls.per_statement, shown, CALLS_MAX));
        }
        for idle in self.idle.iter().filter(|i| i.kind == Kind::Obring) {
            let name = format!("CPU ms per second, {MANY} idle sessions");
            let shown = format!("{:.2}", idle.cpu_ms);
            verdicts.push(Verdict::new(name, idle.cpu_ms, shown, IDLE_MS_MAX));
        }
        verdicts
    }

    /// The whole report.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::from("# obring, measured\n\n");
        for line in &self.setting {
            let _ = writeln!(out, "- {line}");
        }
        out.push_str(
            "\nFigures are medians over the rounds, with quartiles in brackets. A ratio is taken ",
        );
        out.push_str("inside each round.\n");
        self.put_verdicts(&mut out);
        self.put_cpu(&mut out);
        self.put_latency(&mut out);
        self.put_rates(&mut out);
        self.put_decisions(&mut out);
        self.put_calls(&mut out);
        self.put_idle(&mut out);
        out
    }

    fn put_verdicts(&self, out: &mut String) {
        let rows = self.verdicts().into_iter().map(|v| {
            let word = if v.is_met { "met" } else { "**missed**" };
            [v.name, v.figure, format!("<= {}", v.bound), word.into()]
        });
        table(out, "Bounds", ["what", "obring", "bound", ""], rows);
    }

    fn put_cpu(&self, out: &mut String) {
        let head = [
            "case",
            "HAProxy, us",
            "obring, us",
            "obring / HAProxy",
            "relay / HAProxy",
        ];
        let rows = self.outcomes.iter().map(|o| {
            let cpu = |s: &Sample| s.cpu_us;
            [
                o.case.to_string(),
                cell(o.figure(Kind::HaProxy, cpu), 1),
                cell(o.figure(Kind::Obring, cpu), 1),
                cell(ratio(o, Kind::Obring, cpu), 2),
                cell(ratio(o, Kind::Relay, cpu), 2),
            ]
        });
        let title = "CPU of the process tree per statement (us each = ms per 1,000)";
        table(out, title, head, rows);
    }

    fn put_latency(&self, out: &mut String) {
        let figures: [(&str, Figure); 2] = [("p50", |s| s.p50_us), ("p99", |s| s.p99_us)];
        for (name, figure) in figures {
            let head = [
                "case",
                "direct",
                "HAProxy adds",
                "relay adds",
                "obring adds",
                "obring / HAProxy",
            ];
            let rows = self.outcomes.iter().map(|o| {
                let added = |kind| cell(o.paired(kind, Kind::Direct, figure, |a, b| a - b), 0);
                [
                    o.case.to_string(),
                    cell(o.figure(Kind::Direct, figure), 0),
                    added(Kind::HaProxy),
                    added(Kind::Relay),
                    added(Kind::Obring),
                    cell(ratio(o, Kind::Obring, figure), 2),
                ]
            });
            table(out, &format!("Latency, {name}, us"), head, rows);
        }
    }

    fn put_rates(&self, out: &mut String) {
        let head = ["case", "asked", "direct", "HAProxy", "relay", "obring"];
        let rows = self.outcomes.iter().map(|o| {
            let asked = o
                .rate
                .map_or_else(|| "-".into(), |rate| format!("{rate:.0}"));
            let [a, b, c, d] = Kind::ALL.map(|kind| cell(o.figure(kind, |s| s.per_second), 0));
            [o.case.to_string(), asked, a, b, c, d]
        });
        table(out, "Statements per second", head, rows);
    }

    fn put_decisions(&self, out: &mut String) {
        let told = self.outcomes.iter().filter(|o| o.decisions.total() > 0);
        let rows = told.map(|o| [o.case.to_string(), o.decisions.to_string()]);
        table(
            out,
            "Reasons of obring's decisions",
            ["case", "share"],
            rows,
        );
    }

    fn put_calls(&self, out: &mut String) {
        let rows = self.calls.iter().map(|(kind, c)| {
            let names = c.by_name.iter().filter(|n| n.1 >= 0.005);
            let names: Vec<_> = names.map(|(name, n)| format!("{name} {n:.2}")).collect();
            [
                kind.to_string(),
                format!("{}, {} conn", c.work, c.connections),
                format!("{:.2}", c.per_statement),
                names.join(", "),
            ]
        });
        let head = ["peer", "case", "per statement", "of which"];
        table(out, "System calls (a traced run of its own)", head, rows);
    }

    fn put_idle(&self, out: &mut String) {
        let rows = self.idle.iter().map(|i| {
            [
                i.kind.to_string(),
                format!("{:.1}", i.start_mib),
                format!("{:.1}", i.session_kib),
                format!("{:.1}", i.after_ms),
                format!("{:.2}", i.cpu_ms),
            ]
        });
        let after = format!("CPU in the first {} s, ms", SETTLE.as_secs());
        let head = [
            "peer",
            "RSS at start, MiB",
            "RSS per session, KiB",
            &after,
            "then, ms per second",
        ];
        table(out, &format!("{MANY} idle sessions"), head, rows);
    }

    /// Every sample, one line each.
    #[must_use]
    pub fn rows(&self) -> String {
        let mut out = String::from(
            "case\trate\tround\tpeer\tstatements\tcpu_us\tp50_us\tp99_us\tper_second\n",
        );
        for outcome in &self.outcomes {
            for (round, samples) in outcome.rounds.iter().enumerate() {
                for (kind, s) in outcome.kinds.iter().zip(samples) {
                    let rate = outcome.rate.unwrap_or_default();
                    let _ = writeln!(
                        out,
                        "{}\t{rate:.0}\t{round}\t{kind}\t{}\t{:.3}\t{:.1}\t{:.1}\t{:.0}",
                        outcome.case, s.statements, s.cpu_us, s.p50_us, s.p99_us, s.per_second
                    );
                }
            }
        }
        out
    }
}

fn ratio(outcome: &Outcome, kind: Kind, figure: impl Fn(&Sample) -> f64) -> Option<Spread> {
    outcome.paired(kind, Kind::HaProxy, figure, |a, b| a / b)
}

fn cell(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "-".into(), |s| format!("{s:.digits$}"))
}

/// A section with a table, or nothing if there are no rows.
fn table<const N: usize>(
    out: &mut String,
    title: &str,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n## {title}\n\n| {} |", head.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(N));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::decisions::Decisions;
    use crate::bench::round::Case;

    fn findings() -> Findings {
        let sample = |cpu_us, p50_us| Sample {
            statements: 10,
            cpu_us,
            p50_us,
            p99_us: 2.0 * p50_us,
            per_second: 1e6 / p50_us,
        };
        let case = Case::all()[0];
        let outcome = Outcome {
            case,
            rate: None,
            rounds: vec![
                vec![sample(0.0, 20.0), sample(40.0, 50.0), sample(36.0, 60.0)],
                vec![sample(0.0, 20.0), sample(20.0, 50.0), sample(18.0, 60.0)],
            ],
            kinds: vec![Kind::Direct, Kind::HaProxy, Kind::Obring],
            decisions: Decisions::default(),
        };
        let calls = Calls {
            work: case.work,
            connections: 1,
            per_statement: 2.0,
            by_name: vec![("io_uring_enter".into(), 1.996), ("read".into(), 0.004)],
        };
        let idle = Idle {
            kind: Kind::Obring,
            start_mib: 8.0,
            session_kib: 3.25,
            after_ms: 12.0,
            cpu_ms: 1.5,
        };
        Findings {
            setting: vec!["a machine".into()],
            outcomes: vec![outcome],
            calls: vec![(Kind::Obring, calls)],
            idle: vec![idle],
            is_routed: false,
        }
    }

    #[test]
    fn bounds_are_judged_by_the_median_of_paired_ratios() {
        let verdicts = findings().verdicts();
        let short: Vec<_> = (verdicts.iter())
            .map(|v| (v.figure.as_str(), v.is_met))
            .collect();
        let expected = [
            ("0.90 [0.90 to 0.90]", true),
            ("1.20 [1.20 to 1.20]", false),
            ("2.00", true),
            ("1.50", false),
        ];
        assert_eq!(short, expected);
    }

    #[test]
    fn the_report_says_what_is_added_and_leaves_out_who_was_not_there() {
        let text = findings().markdown();
        let case = "select 1, text, 1 conn, closed";
        for line in [
            "- a machine",
            "| p50 / HAProxy: select 1, text, 1 conn, closed | 1.20 [1.20 to 1.20] | <= 1.1 | \
             **missed** |",
            &format!(
                "| {case} | 30.0 [25.0 to 35.0] | 27.0 [22.5 to 31.5] | 0.90 [0.90 to 0.90] | - |"
            ),
            &format!(
                "| {case} | 20 [20 to 20] | 30 [30 to 30] | - | 40 [40 to 40] | \
                 1.20 [1.20 to 1.20] |"
            ),
            "| obring | select 1, text, 1 conn | 2.00 | io_uring_enter 2.00 |",
            "| obring | 8.0 | 3.2 | 12.0 | 1.50 |",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!Findings::default().markdown().contains('|'));
    }

    #[test]
    fn raw_rows_are_kept() {
        let rows = findings().rows();
        assert_eq!(rows.lines().count(), 7);
        let line = "select 1, text, 1 conn, closed\t0\t1\tobring\t10\t18.000\t60.0\t120.0\t16667";
        assert_eq!(rows.lines().last(), Some(line));
    }
}
