//! Follows OceanBase 2.0 packets.

use super::crc::Crc32c;
use super::error::{FrameError, Part};
use super::header::{FRAME_HEAD_LEN, Header, TAIL_LEN, flag};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Extra info of one packet longer than this is refused: it may have to be gathered. (A session
/// that changed every variable has some 30 KB.)
pub(super) const EXTRA_MAX: u32 = 1 << 20;
/// The length in front of extra info.
const EXTRA_LEN: usize = 4;

/// Where a packet stands.
///
/// ```text
/// Head ──> [ExtraLen ──> Extra] ──> Body ──> Tail ──> Head
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    #[default]
    Head,
    ExtraLen,
    /// Bytes of extra info still to come.
    Extra(u32),
    Body,
    Tail,
}

/// What the next packet must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) connection_id: u32,
    /// `None`: any.
    pub(super) request_id: Option<u32>,
    /// `None`: any.
    pub(super) packet_seq: Option<u8>,
}

/// What was found. Ranges are of the slice of the call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    More,
    Body(Range<usize>),
    Extra(Range<usize>),
    /// Extra info that came in pieces.
    Gathered(Vec<u8>),
    End,
}

/// Follows a stream of packets.
///
/// A packet that lies whole in the slice of a call is checked before anything of it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PacketReader {
    pub(super) wanted: Wanted,
    pub(super) header: Header,
    is_prefixed: bool,
    place: Place,
    /// A head, an extra info length or a tail in pieces.
    held: [u8; FRAME_HEAD_LEN],
    held_len: u8,
    /// Payload bytes still to come.
    left: u32,
    crc: Crc32c,
    /// The payload's checksum is known to be right.
    is_checked: bool,
    extra: Vec<u8>,
}

impl PacketReader {
    pub(super) fn new(connection_id: u32, is_prefixed: bool) -> Self {
        Self {
            wanted: Wanted {
                connection_id,
                ..Wanted::default()
            },
            header: Header::default(),
            is_prefixed,
            place: Place::Head,
            held: [0; FRAME_HEAD_LEN],
            held_len: 0,
            left: 0,
            crc: Crc32c::default(),
            is_checked: false,
            extra: Vec::new(),
        }
    }

    /// True between packets.
    pub(super) const fn is_between(&self) -> bool {
        matches!(self.place, Place::Head) && self.held_len == 0
    }

    /// Reads on at `at`.
    pub(super) fn step(&mut self, bytes: &[u8], at: &mut usize) -> Result<Found, FrameError> {
        loop {
            let rest = bytes.get(*at..).unwrap_or_default();
            match self.place {
                Place::Head => {
                    let need = Header::len(self.is_prefixed);
                    let Some(head) = self.take_fixed(need, rest, at) else {
                        return Ok(Found::More);
                    };
                    self.begin(head.get(..need).unwrap_or_default())?;
                    self.check_whole(bytes.get(*at..).unwrap_or_default())?;
                }
                Place::ExtraLen => {
                    let from = *at;
                    let len = self.take_fixed(EXTRA_LEN, rest, at);
                    self.cover(bytes.get(from..*at).unwrap_or_default());
                    let Some([a, b, c, d, ..]) = len else {
                        return Ok(Found::More);
                    };
                    let len = u32::from_le_bytes([a, b, c, d]);
                    if len > self.left {
                        let part = Part::Extra;
                        return Err(FrameError::Length { part, len });
                    }
                    if len > EXTRA_MAX {
                        let max = EXTRA_MAX;
                        return Err(FrameError::TooLong { len, max });
                    }
                    self.place = Place::Extra(len);
                }
                Place::Extra(0) => self.place = Place::Body,
                Place::Extra(_) if rest.is_empty() => return Ok(Found::More),
                Place::Extra(want) => {
                    let n = (want as usize).min(rest.len());
                    let piece = *at..*at + n;
                    self.cover(rest.get(..n).unwrap_or_default());
                    *at += n;
                    self.place = Place::Extra(want - n as u32);
                    if self.extra.is_empty() && n == want as usize {
                        return Ok(Found::Extra(piece));
                    }
                    self.extra
                        .extend_from_slice(bytes.get(piece).unwrap_or_default());
                    if n == want as usize {
                        return Ok(Found::Gathered(std::mem::take(&mut self.extra)));
                    }
                }
                Place::Body if self.left == 0 => self.place = Place::Tail,
                Place::Body if rest.is_empty() => return Ok(Found::More),
                Place::Body => {
                    let n = (self.left as usize).min(rest.len());
                    let piece = *at..*at + n;
                    self.cover(rest.get(..n).unwrap_or_default());
                    *at += n;
                    return Ok(Found::Body(piece));
                }
                Place::Tail => {
                    let Some([a, b, c, d, ..]) = self.take_fixed(TAIL_LEN, rest, at) else {
                        return Ok(Found::More);
                    };
                    if !self.is_checked {
                        check(self.crc, u32::from_le_bytes([a, b, c, d]))?;
                    }
                    self.place = Place::Head;
                    return Ok(Found::End);
                }
            }
        }
    }

    /// Takes a field of `need` bytes from what is held and the front of `rest`.
    fn take_fixed(
        &mut self,
        need: usize,
        rest: &[u8],
        at: &mut usize,
    ) -> Option<[u8; FRAME_HEAD_LEN]> {
        let have = usize::from(self.held_len);
        let n = (need - have).min(rest.len());
        if let (Some(to), Some(from)) = (self.held.get_mut(have..have + n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        *at += n;
        if have + n < need {
            self.held_len = (have + n) as u8;
            return None;
        }
        self.held_len = 0;
        Some(self.held)
    }

    /// Begins the packet of a head.
    fn begin(&mut self, head: &[u8]) -> Result<(), FrameError> {
        let header = Header::parse(head, self.is_prefixed)?;
        let (want, got) = (self.wanted.connection_id, header.connection_id);
        if want != got {
            return Err(FrameError::ConnectionId { want, got });
        }
        let got = header.request_id;
        if let Some(want) = self.wanted.request_id.filter(|want| *want != got) {
            return Err(FrameError::RequestId { want, got });
        }
        let got = header.packet_seq;
        if let Some(want) = self.wanted.packet_seq.filter(|want| *want != got) {
            return Err(FrameError::PacketSeq { want, got });
        }
        let has_extra = header.flags & flag::EXTRA_INFO != 0;
        if has_extra && (header.payload_len as usize) < EXTRA_LEN {
            return Err(FrameError::Length {
                part: Part::Extra,
                len: header.payload_len,
            });
        }
        self.wanted.request_id = (!header.is_last()).then_some(header.request_id);
        self.wanted.packet_seq = (!header.is_last()).then_some(got.wrapping_add(1));
        self.header = header;
        self.left = header.payload_len;
        self.crc = Crc32c::default();
        self.place = if has_extra {
            Place::ExtraLen
        } else {
            Place::Body
        };
        Ok(())
    }

    /// Checks a payload that lies whole in `rest`, the bytes behind the head.
    fn check_whole(&mut self, rest: &[u8]) -> Result<(), FrameError> {
        let len = self.left as usize;
        self.is_checked = false;
        if let Some(payload) = rest.get(..len)
            && let Some(&[a, b, c, d]) = rest.get(len..len + TAIL_LEN)
        {
            let got = u32::from_le_bytes([a, b, c, d]);
            if got != 0 {
                check(Crc32c::default().then(payload), got)?;
            }
            self.is_checked = true;
        }
        Ok(())
    }

    /// Payload bytes were taken.
    fn cover(&mut self, bytes: &[u8]) {
        self.left = self.left.saturating_sub(bytes.len() as u32);
        if !self.is_checked {
            self.crc = self.crc.then(bytes);
        }
    }
}

fn check(crc: Crc32c, got: u32) -> Result<(), FrameError> {
    let want = crc.value();
    if got != 0 && got != want {
        return Err(FrameError::PayloadCrc { want, got });
    }
    Ok(())
}
