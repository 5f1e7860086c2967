//! What happens to a reply on its way to the client.

use super::End;
use super::follow::RowCount;
use super::frames::Flaw;
use super::made::Manner;
use super::side::Side;
use crate::fault::{FaultKind, sqlstate};
use crate::views::Refusal;
use std::io;
use std::time::Duration;
use tokio::time::sleep;

/// Bytes of a reply that must be seen whole before it goes on. A longer one resets its link.
pub(super) const HELD_MAX: usize = 16 << 20;
/// What makes bytes wrong.
const GARBAGE: u8 = 0x5A;

/// The faults of one reply.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Plan {
    delay_us: u64,
    reset_after: Option<u64>,
    garbage_after: Option<u64>,
    silent_after: Option<u64>,
    /// A wrong field in its frames.
    pub(super) flaw: Option<Flaw>,
    /// Rows, and the error behind them.
    pub(super) break_off: Option<(u64, u16)>,
    /// Bytes that went out.
    sent: u64,
}

impl Plan {
    pub(super) fn of(kinds: &[FaultKind]) -> Self {
        let mut plan = Self::default();
        for kind in kinds {
            match *kind {
                FaultKind::ReplyDelayUs(us) => plan.delay_us = us,
                FaultKind::ResetAfterBytes(n) => plan.reset_after = Some(n),
                FaultKind::GarbageAfterBytes(n) => plan.garbage_after = Some(n),
                FaultKind::HalfClose(n) => plan.silent_after = Some(n),
                FaultKind::BadCrc => plan.flaw = Some(Flaw::Checksum),
                FaultKind::BadSeq => plan.flaw = Some(Flaw::Sequence),
                FaultKind::WrongConnectionId => plan.flaw = Some(Flaw::Connection),
                FaultKind::ErrorAfterRows { rows, code } => plan.break_off = Some((rows, code)),
                _ => {}
            }
        }
        plan
    }

    /// True when the reply must be seen whole.
    pub(super) const fn is_held(&self) -> bool {
        self.flaw.is_some() || self.break_off.is_some()
    }

    /// Sends bytes of the reply, as far as they go. An end: the link is over.
    pub(super) async fn deliver(
        &mut self,
        client: &mut Side,
        bytes: Vec<u8>,
    ) -> io::Result<Option<End>> {
        let delay_us = std::mem::take(&mut self.delay_us);
        if delay_us > 0 {
            sleep(Duration::from_micros(delay_us)).await;
        }
        let mut bytes = bytes;
        let from = self.sent;
        self.sent += bytes.len() as u64;
        let place = |limit: Option<u64>| limit.map(|l| l.saturating_sub(from) as usize);
        if let Some(at) = place(self.garbage_after) {
            bytes.iter_mut().skip(at).for_each(|b| *b ^= GARBAGE);
        }
        if let Some(at) = place(self.reset_after).filter(|at| *at <= bytes.len()) {
            client.write(bytes.get(..at).unwrap_or_default()).await?;
            return Ok(Some(End::Reset));
        }
        if let Some(at) = place(self.silent_after).filter(|at| *at <= bytes.len()) {
            client.write(bytes.get(..at).unwrap_or_default()).await?;
            client.close_writing();
            return Ok(None);
        }
        client.write(&bytes).await?;
        Ok(None)
    }
}

/// Cuts a reply after so many rows and ends it with an error. A reply with fewer rows stays.
pub(super) fn break_off(packets: &mut Vec<u8>, rows: u64, code: u16, manner: Manner) {
    let mut count = RowCount::default();
    let mut at = 0;
    while let Some(seq) = count.next(packets, &mut at) {
        if count.is_at_row(rows) {
            let refusal = Refusal::new(code, sqlstate(code), "the reply breaks off");
            packets.truncate(at);
            packets.extend(
                Manner {
                    seq: seq.wrapping_add(1),
                    ..manner
                }
                .error(&refusal),
            );
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::ResultSet;

    #[test]
    fn a_reply_breaks_off_behind_its_rows() {
        let manner = Manner {
            seq: 1,
            is_proxy: true,
            in_transaction: false,
        };
        let set = |rows| ResultSet {
            columns: vec![("a".into(), true)],
            rows: vec![vec![Some(b"1".to_vec())]; rows],
        };
        let whole = manner.rows(&set(5));
        for rows in 0..=5 {
            let mut cut = whole.clone();
            break_off(&mut cut, rows, 4012, manner);
            // Count, column, EOF, rows; then the error and the last OK.
            let kept = 5 + 0x18 + 4 + 9 + 6 * rows as usize;
            assert_eq!(cut[..kept], whole[..kept]);
            assert_eq!(cut[kept + 3], 4 + rows as u8);
            assert_eq!(cut[kept + 4..kept + 7], [0xFF, 0xAC, 0x0F]);
        }
        let mut same = whole.clone();
        break_off(&mut same, 6, 4012, manner);
        assert_eq!(same, whole);
    }
}
