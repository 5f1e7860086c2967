//! Waiting for a request to be whole, so that it can be read before it goes anywhere.
//!
//! A request that lies whole in the slice of a call stays where it is. One in pieces is gathered up
//! to a limit; of a longer one the front is read, and the rest streams.

use super::state::{Bytes, Ctx, Session};
use crate::base::{Out, Stage};
use crate::protocol::mysql::HEADER_LEN;
use crate::routing::Mail;

/// A longer packet is not gathered whole. Source: design section 7.
const GATHER_MAX: usize = 64 << 10;
/// Of a longer one this much is read.
const FRONT: usize = 4 << 10;

/// Bytes that are missing until a request can be read.
fn missing(bytes: &[u8]) -> usize {
    let &[a, b, c, _, ..] = bytes else {
        return HEADER_LEN - bytes.len();
    };
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    let want = if len > GATHER_MAX { FRONT } else { len };
    (HEADER_LEN + want).saturating_sub(bytes.len())
}

impl Session {
    /// Reads on while no request runs; returns the new position.
    pub(super) fn gather_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let mut at = at;
        let rest = bytes.data.get(at..).unwrap_or_default();
        if self.gathered.is_empty() {
            if missing(rest) == 0 {
                return self.request_bytes(ctx, bytes, at, out);
            }
            out.laps.came(Stage::Read);
            self.gathered = out.pool.take();
        }
        loop {
            let want = missing(&self.gathered);
            if want == 0 {
                break;
            }
            let rest = bytes.data.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return at;
            }
            let (now, _) = rest.split_at(want.min(rest.len()));
            self.gathered.extend_from_slice(now);
            at += now.len();
        }
        let whole = std::mem::take(&mut self.gathered);
        self.client_bytes(ctx, Bytes::own(&whole), out);
        out.pool.give(whole);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_waited_for_up_to_a_limit() {
        let of = |len: usize, here: usize| {
            let mut bytes = (len as u32).to_le_bytes().to_vec();
            bytes.resize(here.max(HEADER_LEN), 0);
            missing(&bytes)
        };
        assert_eq!(missing(&[]), 4);
        assert_eq!(missing(&[5, 0]), 2);
        assert_eq!((of(5, 4), of(5, 9), of(0, 4), of(5, 20)), (5, 0, 0, 0));
        assert_eq!(of(GATHER_MAX, 4), GATHER_MAX);
        assert_eq!(of(GATHER_MAX + 1, 4), FRONT);
        assert_eq!(of(0xFF_FFFF, 5_000), 0);
    }
}
