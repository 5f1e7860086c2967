//! MySQL's compressed packets, as they carry plain MySQL bytes or OceanBase 2.0 packets.
//!
//! ```text
//! offset size
//!      0    3  length of the content as it stands here
//!      3    1  sequence
//!      4    3  length of the content uncompressed; 0: the content is not compressed
//!      7    n  content: a zlib stream, or bytes as they are
//! ```
//! A server cuts its output at 32,768 uncompressed bytes, wherever MySQL packets end.

use super::error::{FrameError, Part};
use crate::base::Cursor;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_COMPUTE_ADLER32, TINFL_FLAG_PARSE_ZLIB_HEADER,
    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use serde::{Deserialize, Serialize};

/// Bytes in front of the content.
pub(super) const OUTER_LEN: usize = 7;
/// Larger zlib content is refused, in either form: it has to be gathered. A server cuts at 32 KiB.
pub(super) const PACKED_MAX: u32 = 1 << 20;

/// What stands in front of stored (level 0) zlib content of one block: zlib header, block header.
const STORED_HEAD: usize = 7;
/// Its adler32.
const STORED_TAIL: usize = 4;

/// Where a compressed packet stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    #[default]
    Head,
    /// Bytes of uncompressed content still to come.
    Raw(u32),
    /// zlib content: its full length, and that of what is in it.
    Packed(u32, u32),
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outer {
    More,
    /// Content that is not compressed begins or goes on: up to this many bytes of the slice.
    Raw(usize),
    /// Content was inflated into the buffer of the call.
    Inflated,
    /// A packet without content.
    Empty,
}

/// Follows a stream of compressed packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OuterReader {
    place: Place,
    held: [u8; OUTER_LEN],
    held_len: u8,
    /// zlib content that came in pieces.
    packed: Vec<u8>,
    /// Number of the packet last begun.
    pub(super) seq: u8,
    /// Numbers go on from the packet before.
    pub(super) is_begun: bool,
    /// The packet last begun repeats the number before it: the mark of a reply's last packet.
    pub(super) is_repeat: bool,
    /// There is such a mark.
    may_repeat: bool,
    /// Number 0 may stand anywhere: requests do not say where they end.
    pub(super) may_restart: bool,
}

impl OuterReader {
    /// `may_repeat`: the last packet of a reply repeats a number.
    pub(super) fn new(may_repeat: bool) -> Self {
        Self {
            may_repeat,
            may_restart: true,
            ..Self::default()
        }
    }

    /// True between packets.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self.place, Place::Head) && self.held_len == 0
    }

    /// Reads on at `at`. Content that is not compressed is only announced: the caller takes it and
    /// says so by [`Self::took`].
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        inflated: &mut Vec<u8>,
    ) -> Result<Outer, FrameError> {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            match self.place {
                Place::Head => {
                    let have = usize::from(self.held_len);
                    let n = (OUTER_LEN - have).min(rest.len());
                    if let (Some(to), Some(from)) =
                        (self.held.get_mut(have..have + n), rest.get(..n))
                    {
                        to.copy_from_slice(from);
                    }
                    *at += n;
                    self.held_len = (have + n) as u8;
                    if have + n < OUTER_LEN {
                        return Ok(Outer::More);
                    }
                    self.held_len = 0;
                    if self.begin()? == 0 {
                        return Ok(Outer::Empty);
                    }
                }
                Place::Raw(_) if rest.is_empty() => return Ok(Outer::More),
                Place::Raw(left) => return Ok(Outer::Raw((left as usize).min(rest.len()))),
                Place::Packed(..) if rest.is_empty() => return Ok(Outer::More),
                Place::Packed(len, plain_len) => {
                    let want = len as usize - self.packed.len();
                    let n = want.min(rest.len());
                    let (now, _) = rest.split_at(n);
                    *at += n;
                    if self.packed.is_empty() && n == want {
                        inflate(now, plain_len, inflated)?;
                    } else {
                        self.packed.extend_from_slice(now);
                        if n < want {
                            return Ok(Outer::More);
                        }
                        inflate(&self.packed, plain_len, inflated)?;
                        self.packed.clear();
                    }
                    self.place = Place::Head;
                    return Ok(Outer::Inflated);
                }
            }
        }
    }

    /// The buffer for content in pieces, while nothing is in it.
    pub(super) const fn free_buffer(&mut self) -> Option<&mut Vec<u8>> {
        if self.packed.is_empty() {
            Some(&mut self.packed)
        } else {
            None
        }
    }

    /// Bytes of uncompressed content were taken.
    pub(super) const fn took(&mut self, n: usize) {
        if let Place::Raw(left) = &mut self.place {
            *left = left.saturating_sub(n as u32);
            if *left == 0 {
                self.place = Place::Head;
            }
        }
    }

    /// Begins the packet whose head is held. Returns the length of its content.
    fn begin(&mut self) -> Result<u32, FrameError> {
        let mut c = Cursor::new(&self.held);
        let (Ok(len), Ok(seq), Ok(plain_len)) = (c.u24(), c.u8(), c.u24()) else {
            return Ok(0);
        };
        self.is_repeat = self.may_repeat && seq == self.seq;
        let want = self.seq.wrapping_add(1);
        let is_restart = self.may_restart && seq == 0;
        if self.is_begun && seq != want && !self.is_repeat && !is_restart {
            return Err(FrameError::FrameSeq { want, got: seq });
        }
        (self.seq, self.is_begun) = (seq, true);
        let longest = len.max(plain_len);
        if plain_len != 0 && longest > PACKED_MAX {
            let max = PACKED_MAX;
            return Err(FrameError::TooLong { len: longest, max });
        }
        if len == 0 && plain_len != 0 {
            return Err(FrameError::Zlib);
        }
        self.place = match (len, plain_len) {
            (0, _) => Place::Head,
            (_, 0) => Place::Raw(len),
            _ => Place::Packed(len, plain_len),
        };
        Ok(len)
    }
}

/// Inflates a whole zlib stream of `plain_len` bytes into `out`, which is emptied first.
fn inflate(packed: &[u8], plain_len: u32, out: &mut Vec<u8>) -> Result<(), FrameError> {
    out.clear();
    out.resize(plain_len as usize, 0);
    let flags = TINFL_FLAG_PARSE_ZLIB_HEADER
        | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
        | TINFL_FLAG_COMPUTE_ADLER32;
    let mut state = DecompressorOxide::new();
    let (status, used, written) = decompress(&mut state, packed, out, 0, flags);
    match status {
        TINFLStatus::Done if written == out.len() && used == packed.len() => Ok(()),
        TINFLStatus::Done | TINFLStatus::HasMoreOutput => Err(FrameError::Length {
            part: Part::Content,
            len: plain_len,
        }),
        TINFLStatus::Adler32Mismatch => Err(FrameError::Adler),
        _ => Err(FrameError::Zlib),
    }
}

/// Head of a packet.
pub(super) fn outer_head(len: usize, seq: u8, plain_len: usize) -> [u8; OUTER_LEN] {
    let [l0, l1, l2, _] = (len as u32).to_le_bytes();
    let [p0, p1, p2, _] = (plain_len as u32).to_le_bytes();
    [l0, l1, l2, seq, p0, p1, p2]
}

/// Head of a packet of `len` bytes (at most 0xFFFF, one block) in stored form, up to the bytes
/// themselves; their adler32 follows them, big-endian.
pub(super) fn stored_head(len: usize, seq: u8) -> [u8; OUTER_LEN + STORED_HEAD] {
    let [l0, l1, l2, s, p0, p1, p2] = outer_head(len + STORED_HEAD + STORED_TAIL, seq, len);
    let [n0, n1] = (len as u16).to_le_bytes();
    [
        l0, l1, l2, s, p0, p1, p2, 0x78, 0x01, 0x01, n0, n1, !n0, !n1,
    ]
}
