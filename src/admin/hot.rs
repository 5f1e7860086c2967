//! The tables that statements use: gathered from the cores now and then, and kept for the next
//! start, which looks them up before anybody asks.

use crate::base::Tick;
use crate::metadata::snapshot;
use crate::routing::TableKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Between two gatherings.
const EVERY_MS: u64 = 60_000;
/// How long cores may take to reply.
const GATHER_MS: u64 = 1_000;

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beat {
    /// Nothing.
    Nothing,
    /// The cores are to be asked.
    Ask,
    /// They have told.
    Write,
}

/// A question to the cores.
#[derive(Debug)]
struct Inquiry {
    number: u64,
    deadline: Tick,
    /// Cores that have not replied.
    cores: u16,
}

/// The used tables.
#[derive(Debug, Default)]
pub(super) struct Hot {
    /// Statements that went by each; half of it is forgotten each time, so that a table that is not
    /// used any more makes room.
    uses: BTreeMap<Arc<TableKey>, u64>,
    inquiry: Option<Inquiry>,
    due: Tick,
    written: Tick,
    /// The last failure; it is told once.
    failure: Option<String>,
}

impl Hot {
    /// When something is due.
    pub(super) fn due(&self) -> Tick {
        match &self.inquiry {
            Some(inquiry) if inquiry.cores == 0 => Tick(0),
            Some(inquiry) => inquiry.deadline,
            None => self.due,
        }
    }

    /// When the snapshot was made last.
    pub(super) const fn written(&self) -> Tick {
        self.written
    }

    /// Does what is due; `cores`: how many there are to ask.
    pub(super) fn timer(&mut self, now: Tick, cores: u16) -> Beat {
        if now < self.due() {
            return Beat::Nothing;
        }
        if self.inquiry.take().is_some() {
            return Beat::Write;
        }
        let is_first = self.due == Tick(0);
        self.due = now.after_ms(EVERY_MS);
        if is_first {
            return Beat::Nothing;
        }
        self.inquiry = Some(Inquiry {
            number: 0,
            deadline: now.after_ms(GATHER_MS),
            cores,
        });
        Beat::Ask
    }

    /// The cores were asked, with this number.
    pub(super) const fn asked(&mut self, number: u64) {
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.number = number;
        }
    }

    /// A core has told.
    pub(super) fn take(&mut self, number: u64, uses: Vec<(Arc<TableKey>, u32)>) {
        let Some(inquiry) = self.inquiry.as_mut().filter(|i| i.number == number) else {
            return;
        };
        inquiry.cores = inquiry.cores.saturating_sub(1);
        for (key, count) in uses {
            *self.uses.entry(key).or_default() += u64::from(count);
        }
    }

    /// The snapshot, with some tables more; `None`: nothing has changed, or there is nothing.
    pub(super) fn snapshot(&mut self, now: Tick, more: Vec<&Arc<TableKey>>) -> Option<Vec<u8>> {
        self.written = now;
        for key in more {
            *self.uses.entry(key.clone()).or_default() += 1;
        }
        if self.uses.is_empty() {
            return None;
        }
        let mut keys: Vec<_> = self.uses.iter().collect();
        keys.sort_by_key(|(key, uses)| (std::cmp::Reverse(**uses), *key));
        let text = snapshot::write(keys.iter().map(|(key, _)| &***key));
        for uses in self.uses.values_mut() {
            *uses /= 2;
        }
        self.uses.retain(|_, uses| *uses > 0);
        Some(text)
    }

    /// What became of the snapshot. A failure is handed on if it is another one than before.
    pub(super) fn told(&mut self, result: Result<(), String>) -> Result<(), String> {
        let failure = result.err();
        if failure == self.failure {
            return Ok(());
        }
        self.failure.clone_from(&failure);
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Arc<TableKey> {
        Arc::new(TableKey {
            cluster: "c".into(),
            tenant: b"t".as_slice().into(),
            database: b"d".as_slice().into(),
            name: name.as_bytes().into(),
        })
    }

    fn names(text: &[u8]) -> Vec<String> {
        let keys = snapshot::read(text).expect("a snapshot");
        let name = |key: &TableKey| String::from_utf8_lossy(&key.name).into_owned();
        keys.iter().map(name).collect()
    }

    #[test]
    fn cores_are_asked_each_minute_and_the_most_used_come_first() {
        let mut hot = Hot::default();
        let minute = Tick(60_000_000);
        assert_eq!(
            hot.timer(Tick(0), 2),
            Beat::Nothing,
            "the first minute begins"
        );
        assert_eq!(hot.timer(minute, 2), Beat::Ask);
        hot.asked(7);
        hot.take(7, vec![(key("a"), 5), (key("b"), 9)]);
        hot.take(6, vec![(key("x"), 99)]);
        assert_eq!(hot.timer(minute, 2), Beat::Nothing, "one core has not told");
        hot.take(7, vec![(key("a"), 6)]);
        assert_eq!(hot.timer(minute, 2), Beat::Write);
        let new = key("new");
        let text = hot.snapshot(minute, vec![&new]).expect("tables");
        assert_eq!(names(&text), ["a", "b", "new"]);
        assert_eq!(hot.timer(minute, 2), Beat::Nothing);
        // Two minutes later only what is used is left.
        for n in 2..9 {
            let now = Tick(minute.0 * n);
            assert_eq!(hot.timer(now, 1), Beat::Ask);
            hot.asked(n);
            hot.take(n, vec![(key("b"), 4)]);
            assert_eq!(hot.timer(now, 1), Beat::Write);
            assert!(hot.snapshot(now, vec![]).is_some());
        }
        assert_eq!(names(&hot.snapshot(minute, vec![]).expect("tables")), ["b"]);
    }

    #[test]
    fn a_core_that_does_not_answer_is_not_waited_for() {
        let mut hot = Hot::default();
        hot.timer(Tick(0), 2);
        let now = hot.due();
        assert_eq!(hot.timer(now, 2), Beat::Ask);
        assert_eq!(hot.due(), now.after_ms(GATHER_MS));
        assert_eq!(hot.timer(hot.due(), 2), Beat::Write);
        assert_eq!(hot.snapshot(now, vec![]), None, "nothing is known");
    }

    #[test]
    fn a_failure_is_told_once() {
        let mut hot = Hot::default();
        let failed = || Err("disk full".to_owned());
        assert!(hot.told(failed()).is_err() && hot.told(failed()).is_ok());
        assert!(hot.told(Ok(())).is_ok() && hot.told(failed()).is_err());
    }
}
