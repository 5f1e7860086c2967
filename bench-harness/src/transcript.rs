//! What a script saw, and the comparison of two runs packet by packet.

use crate::raw::Got;
use sha1::{Digest, Sha1};
use std::fmt;

/// A payload up to this size is kept whole; of a longer one its length, hash and first bytes.
const KEEP_MAX: usize = 8 << 10;
/// First bytes kept of a long payload.
const KEEP_FRONT: usize = 96;

/// One thing that came from the server side, after the normalisations of its step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A packet.
    Packet(u8, Body),
    /// Packets whose content is not compared, named by the normalisation that says so.
    Masked(&'static str),
    /// The connection ended: orderly or by reset, which the kernel itself does not tell apart
    /// reliably (normalisation `close-kind`).
    Ended,
    /// The stream ended inside a packet.
    Torn(usize),
    /// What came is no frame, or another one than stands there.
    BadFrame(String),
    /// Nothing came in time. Never equal to anything: no script may wait in vain.
    TimedOut,
}

/// A payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// All bytes.
    Whole(Vec<u8>),
    /// A long payload.
    Digest {
        /// Length in bytes.
        len: usize,
        /// SHA1 of all bytes.
        hash: [u8; 20],
        /// The first bytes.
        front: Vec<u8>,
    },
}

impl Body {
    /// Keeps `payload`, or what is needed to compare it.
    #[must_use]
    pub fn of(payload: &[u8]) -> Self {
        if payload.len() <= KEEP_MAX {
            return Self::Whole(payload.to_vec());
        }
        Self::Digest {
            len: payload.len(),
            hash: Sha1::digest(payload).into(),
            front: payload.iter().take(KEEP_FRONT).copied().collect(),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(b) => write!(f, "[{}] {} {:?}", b.len(), hex(b), printable(b)),
            Self::Digest { len, hash, front } => {
                write!(f, "[{len}] {}... sha1 {}", hex(front), hex(hash))
            }
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(seq, body) => write!(f, "seq {seq} {body}"),
            Self::Masked(name) => write!(f, "<{name}>"),
            Self::Ended => f.write_str("end of connection"),
            Self::Torn(n) => write!(f, "end of connection inside a packet ({n} bytes of it)"),
            Self::TimedOut => f.write_str("nothing in time"),
            Self::BadFrame(e) => write!(f, "a wrong frame: {e}"),
        }
    }
}

impl Seen {
    /// What came, as it is.
    #[must_use]
    pub fn of(got: &Got) -> Self {
        match got {
            Got::Packet(p) => Self::Packet(p.seq, Body::of(&p.payload)),
            Got::Closed | Got::Reset => Self::Ended,
            Got::Torn(b) => Self::Torn(b.len()),
            Got::TimedOut => Self::TimedOut,
            Got::BadFrame(e) => Self::BadFrame(e.clone()),
        }
    }
}

/// Bytes as two digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

fn printable(bytes: &[u8]) -> String {
    let front = bytes.get(..bytes.len().min(160)).unwrap_or_default();
    String::from_utf8_lossy(front)
        .chars()
        .map(|c| if c.is_control() { '.' } else { c })
        .collect()
}

/// One step of a script: what was done and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which connection, and what was sent.
    pub what: String,
    /// What came.
    pub seen: Vec<Seen>,
}

/// All steps of one run of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One place where two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the step, from 0.
    pub step: usize,
    /// What the step did.
    pub what: String,
    /// Number of the packet within the step, from 0.
    pub packet: usize,
    /// What came directly; empty when nothing did.
    pub direct: String,
    /// What came through the proxy.
    pub through: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, packet) = (self.step, self.packet);
        writeln!(f, "  step {step}: {}", self.what)?;
        writeln!(f, "    packet {packet} direct : {}", self.direct)?;
        write!(f, "    packet {packet} through: {}", self.through)
    }
}

/// Differences shown per script: the first ones tell the story.
const SHOWN_MAX: usize = 4;

/// Compares two runs of one script. Only the first packet that differs in a step is listed.
#[must_use]
pub fn compare(direct: &Transcript, through: &Transcript) -> Vec<Difference> {
    let mut found = vec![];
    let steps = direct.steps.len().max(through.steps.len());
    for n in 0..steps {
        let (d, t) = (direct.steps.get(n), through.steps.get(n));
        let empty: &[Seen] = &[];
        let (a, b) = (d.map_or(empty, |s| &s.seen), t.map_or(empty, |s| &s.seen));
        let what = d.or(t).map_or_else(String::new, |s| s.what.clone());
        let differs = |i: usize| {
            let (x, y) = (a.get(i), b.get(i));
            x != y || matches!(x, Some(Seen::TimedOut | Seen::BadFrame(_)))
        };
        let first = (0..a.len().max(b.len())).find(|&i| differs(i));
        let other_step = d.map(|s| &s.what) != t.map(|s| &s.what);
        if first.is_none() && !other_step {
            continue;
        }
        let packet = first.unwrap_or_default();
        let show = |s: &[Seen]| {
            s.get(packet)
                .map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        found.push(Difference {
            step: n,
            what: if other_step {
                let other = t.map_or("nothing", |s| &s.what);
                format!("{what} (through: {other})")
            } else {
                what
            },
            packet,
            direct: show(a),
            through: show(b),
        });
        if found.len() == SHOWN_MAX {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(&str, &[&[u8]])]) -> Transcript {
        let steps = steps.iter().map(|(what, packets)| Step {
            what: (*what).into(),
            seen: packets
                .iter()
                .enumerate()
                .map(|(i, p)| Seen::Packet(i as u8 + 1, Body::of(p)))
                .collect(),
        });
        Transcript {
            steps: steps.collect(),
        }
    }

    #[test]
    fn equal_runs_have_no_difference() {
        let a = run(&[("q", &[b"\x01", b"row"]), ("ping", &[b"\0"])]);
        assert_eq!(compare(&a, &a.clone()), []);
    }

    #[test]
    fn one_byte_one_packet_one_number_or_one_step_is_seen() {
        let a = run(&[("q", &[b"\x01", b"row"]), ("ping", &[b"\0"])]);
        let byte = run(&[("q", &[b"\x01", b"rox"]), ("ping", &[b"\0"])]);
        let d = compare(&a, &byte);
        assert_eq!((d.len(), d[0].step, d[0].packet), (1, 0, 1));
        assert!(d[0].direct.contains("726f77") && d[0].through.contains("726f78"));
        let missing = run(&[("q", &[b"\x01"]), ("ping", &[b"\0"])]);
        assert_eq!(compare(&a, &missing)[0].through, "nothing");
        let extra = run(&[("q", &[b"\x01", b"row", b"x"]), ("ping", &[b"\0"])]);
        assert_eq!(compare(&a, &extra)[0].direct, "nothing");
        let mut seq = a.clone();
        seq.steps[1].seen[0] = Seen::Packet(2, Body::of(b"\0"));
        assert_eq!(compare(&a, &seq).len(), 1);
        let short = run(&[("q", &[b"\x01", b"row"])]);
        assert_eq!(compare(&a, &short)[0].step, 1);
    }

    #[test]
    fn long_payloads_differ_by_their_last_byte_and_waiting_in_vain_is_never_equal() {
        let (long, mut other) = (vec![7u8; 1 << 20], vec![7u8; 1 << 20]);
        other[(1 << 20) - 1] = 8;
        assert_eq!(
            compare(&run(&[("q", &[&long])]), &run(&[("q", &[&other])])).len(),
            1
        );
        let mut t = run(&[("q", &[])]);
        t.steps[0].seen.push(Seen::TimedOut);
        assert_eq!(compare(&t, &t.clone()).len(), 1);
    }
}
