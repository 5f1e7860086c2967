//! Packets of a stream of MySQL bytes, one after another, wherever it is cut.

use obring_wire::protocol::mysql::{HEADER_LEN, MAX_PAYLOAD};

/// Follows packets. Of each payload the front is kept, up to a limit.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    header: [u8; HEADER_LEN],
    header_len: usize,
    /// Payload bytes of the current packet that are still to come.
    left: usize,
    /// The current packet is continued by the next.
    is_continued: bool,
    /// The front of the payload, over all packets that continue each other.
    front: Vec<u8>,
    front_max: usize,
    len: u64,
    seq: u8,
}

/// A whole payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Payload<'a> {
    /// Sequence number of its last packet.
    pub(super) seq: u8,
    /// Its length.
    pub(super) len: u64,
    /// Its front.
    pub(super) front: &'a [u8],
}

impl Walk {
    /// Keeps at most `front_max` bytes of each payload.
    pub(super) const fn new(front_max: usize) -> Self {
        Self {
            header: [0; HEADER_LEN],
            header_len: 0,
            left: 0,
            is_continued: false,
            front: vec![],
            front_max,
            len: 0,
            seq: 0,
        }
    }

    /// Reads on until a payload is whole or the bytes are used up; `used` says how many were. The
    /// payload is valid until the next call.
    pub(super) fn step(&mut self, bytes: &[u8], used: &mut usize) -> Option<Payload<'_>> {
        if self.header_len == HEADER_LEN && self.left == 0 && !self.is_continued {
            self.header_len = 0;
            self.front.clear();
            self.len = 0;
        }
        *used = 0;
        while let Some(rest) = bytes.get(*used..).filter(|r| !r.is_empty()) {
            if self.header_len < HEADER_LEN {
                self.header[self.header_len] = rest[0];
                self.header_len += 1;
                *used += 1;
                if self.header_len < HEADER_LEN {
                    continue;
                }
                let [a, b, c, seq] = self.header;
                self.left = u32::from_le_bytes([a, b, c, 0]) as usize;
                self.is_continued = self.left == MAX_PAYLOAD;
                self.len += self.left as u64;
                self.seq = seq;
            } else {
                let n = self.left.min(rest.len());
                let room = self.front_max.saturating_sub(self.front.len());
                self.front.extend_from_slice(&rest[..n.min(room)]);
                self.left -= n;
                *used += n;
            }
            if self.left == 0 {
                if !self.is_continued {
                    return Some(Payload {
                        seq: self.seq,
                        len: self.len,
                        front: &self.front,
                    });
                }
                self.header_len = 0;
            }
        }
        None
    }

    /// Sequence number of the packet last begun.
    pub(super) const fn seq(&self) -> u8 {
        self.seq
    }

    /// The front of the payload that is being read.
    pub(super) fn front(&self) -> &[u8] {
        &self.front
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obring_wire::protocol::mysql::put_packet;

    #[test]
    fn payloads_are_the_same_wherever_the_stream_is_cut() {
        let mut stream = vec![];
        put_packet(&mut stream, 0, |b| b.extend_from_slice(b"select 1"));
        put_packet(&mut stream, 7, |_| {});
        put_packet(&mut stream, 8, |b| b.push(9));
        for cut in 0..=stream.len() {
            let mut walk = Walk::new(3);
            let mut seen = vec![];
            for part in [&stream[..cut], &stream[cut..]] {
                let mut rest = part;
                while !rest.is_empty() {
                    let mut used = 0;
                    if let Some(p) = walk.step(rest, &mut used) {
                        seen.push((p.seq, p.len, p.front.to_vec()));
                    }
                    rest = &rest[used..];
                }
            }
            let want = [(0, 8, b"sel".to_vec()), (7, 0, vec![]), (8, 1, vec![9])];
            assert_eq!(seen, want, "cut {cut}");
        }
    }

    #[test]
    fn a_payload_of_the_largest_size_is_continued() {
        let mut stream = vec![0xFF, 0xFF, 0xFF, 0];
        stream.resize(HEADER_LEN + MAX_PAYLOAD, 1);
        stream.extend_from_slice(&[2, 0, 0, 1, 5, 5]);
        let mut walk = Walk::new(16);
        let mut used = 0;
        let p = walk.step(&stream, &mut used).unwrap();
        assert_eq!(
            (p.len, p.seq, p.front.len()),
            (MAX_PAYLOAD as u64 + 2, 1, 16)
        );
        assert_eq!(used, stream.len());
    }
}
