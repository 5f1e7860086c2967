//! Packet headers: writing them, and gathering one whole packet.

use crate::base::Cursor;
use serde::{Deserialize, Serialize};

/// Bytes of a packet header.
pub const HEADER_LEN: usize = 4;
/// The largest payload of one packet; a payload of this size is continued by the next packet.
pub const MAX_PAYLOAD: usize = 0xFF_FFFF;

/// Appends one packet whose payload is written by `write`, with sequence number `seq`.
///
/// # Panics
/// If the payload is 0xFFFFFF bytes or longer: packets made by a proxy are small.
pub fn put_packet(out: &mut Vec<u8>, seq: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, seq]);
    write(out);
    let len = out.len() - at - HEADER_LEN;
    assert!(len < MAX_PAYLOAD, "a made packet of {len} bytes");
    if let Some(header) = out.get_mut(at..at + 3) {
        header.copy_from_slice(&(len as u32).to_le_bytes()[..3]);
    }
}

/// Collects one packet from a split stream, for the few packets that must be seen whole (greeting,
/// login, COM_CHANGE_USER). Its buffer lives only while a packet is in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    held: Vec<u8>,
}

/// A packet that [`Gather`] has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// The sequence number.
    pub seq: u8,
    /// The payload.
    pub payload: &'a [u8],
}

/// A packet longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Length of the payload as announced.
    pub len: usize,
    /// The limit.
    pub max: usize,
}

impl Gather {
    /// Takes bytes from the front of `bytes` until a packet is whole.
    ///
    /// Returns the packet, or `None` when all bytes were taken and more are needed. `used` is
    /// raised by the bytes taken. The packet is valid until the next call; [`Self::clear`] frees
    /// the memory.
    pub fn feed<'a>(
        &'a mut self,
        bytes: &'a [u8],
        used: &mut usize,
        max: usize,
    ) -> Result<Option<Whole<'a>>, TooLong> {
        if self.is_whole() {
            self.held.clear();
        }
        if self.held.is_empty()
            && let Some(whole) = split_whole(bytes, max)?
        {
            *used += HEADER_LEN + whole.payload.len();
            return Ok(Some(whole));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let want = match announced(&self.held) {
                None => HEADER_LEN - self.held.len(),
                Some(len) if len > max => return Err(TooLong { len, max }),
                Some(len) => HEADER_LEN + len - self.held.len(),
            };
            if want == 0 {
                break;
            }
            let (now, later) = rest.split_at(want.min(rest.len()));
            self.held.extend_from_slice(now);
            *used += now.len();
            rest = later;
        }
        if let Some(len) = announced(&self.held)
            && len > max
        {
            return Err(TooLong { len, max });
        }
        if !self.is_whole() {
            return Ok(None);
        }
        split_whole(&self.held, max)
    }

    fn is_whole(&self) -> bool {
        announced(&self.held).is_some_and(|len| self.held.len() == HEADER_LEN + len)
    }

    /// True when bytes of a packet that is not whole yet are held.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.held.is_empty() && !self.is_whole()
    }

    /// Forgets everything and frees the memory.
    pub fn clear(&mut self) {
        self.held = Vec::new();
    }
}

fn announced(header: &[u8]) -> Option<usize> {
    if header.len() < HEADER_LEN {
        return None;
    }
    Cursor::new(header).u24().ok().map(|n| n as usize)
}

fn split_whole(bytes: &[u8], max: usize) -> Result<Option<Whole<'_>>, TooLong> {
    let Some(len) = announced(bytes) else {
        return Ok(None);
    };
    if len > max {
        return Err(TooLong { len, max });
    }
    let seq = bytes.get(3).copied().unwrap_or_default();
    Ok(bytes
        .get(HEADER_LEN..HEADER_LEN + len)
        .map(|payload| Whole { seq, payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_the_same_wherever_it_is_split() {
        let mut stream = vec![];
        put_packet(&mut stream, 3, |b| b.extend_from_slice(b"hello"));
        put_packet(&mut stream, 4, |_| {});
        put_packet(&mut stream, 5, |b| b.extend_from_slice(&[7; 300]));
        for cut in 0..=stream.len() {
            let mut g = Gather::default();
            let mut seen = vec![];
            for part in [&stream[..cut], &stream[cut..]] {
                let mut at = 0;
                while at < part.len() {
                    let mut used = 0;
                    if let Some(w) = g.feed(&part[at..], &mut used, 1000).unwrap() {
                        seen.push((w.seq, w.payload.len()));
                    }
                    at += used;
                }
            }
            assert_eq!(seen, [(3, 5), (4, 0), (5, 300)], "cut at {cut}");
        }
    }

    #[test]
    fn an_announced_length_over_the_limit_is_an_error_before_its_bytes_come() {
        let mut used = 0;
        let mut empty = Gather::default();
        let err = empty.feed(&[0xFF, 0xFF, 0xFF, 0], &mut used, 1024);
        assert_eq!(
            err,
            Err(TooLong {
                len: 0xFF_FFFF,
                max: 1024
            })
        );
        let mut g = Gather::default();
        assert_eq!(g.feed(&[0xFF, 0xFF], &mut used, 1024), Ok(None));
        assert!(g.feed(&[0xFF, 0], &mut used, 1024).is_err());
    }
}
