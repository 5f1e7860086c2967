//! The framing of a session: bytes in, requests out, and back.

use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{HEADER_LEN, MAX_PAYLOAD};
use obring_wire::protocol::ob20::{
    Envelope, FrameReader, FrameStep, FrameWriter, Framing, Position, entry, flag, put_old_pair,
    put_tlv,
};

/// A request, or a packet of a file, is shorter than one packet of MySQL can be: a longer one ends
/// its session.
const REQUEST_MAX: usize = HEADER_LEN + MAX_PAYLOAD;
/// Keys of the old form of extra info.
const OLD_SESSION: &[u8] = b"sess_inf";
/// A buffer larger than this is not kept between requests.
const KEPT_MAX: usize = 64 << 10;

/// Bytes that end a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bad;

/// A request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Sequence number of its MySQL packet.
    pub(super) seq: u8,
    /// Flags of its OceanBase 2.0 packets.
    pub(super) flags: u32,
}

/// One session's frames, both ways.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    is_new_extra: bool,
    reader: FrameReader,
    writer: FrameWriter,
    inflated: Vec<u8>,
    /// MySQL bytes of the request that is read.
    gathered: Vec<u8>,
    flags: u32,
    /// Extra info of the request: entries in the new form.
    pub(super) entries: Vec<(u16, Vec<u8>)>,
    /// The payload of the request that was read last.
    pub(super) payload: Vec<u8>,
    is_begun: bool,
}

impl Frames {
    pub(super) fn plain() -> Self {
        Self::new(Framing::Plain, 0, false)
    }

    fn new(framing: Framing, connection_id: u32, is_new_extra: bool) -> Self {
        Self {
            framing,
            is_new_extra,
            reader: FrameReader::new(framing, connection_id),
            writer: FrameWriter::new(framing, connection_id, is_new_extra),
            inflated: vec![],
            gathered: vec![],
            flags: 0,
            entries: vec![],
            payload: vec![],
            is_begun: false,
        }
    }

    /// What was agreed in a login.
    pub(super) fn agreed(granted: u64, connection_id: u32) -> Self {
        let is_new_extra = granted & capability::NEW_EXTRA_INFO != 0;
        Self::new(
            Framing::agreed(granted, granted),
            connection_id,
            is_new_extra,
        )
    }

    pub(super) const fn has_packets(&self) -> bool {
        self.framing.has_packets()
    }

    /// Reads a request from `input` at `at`; its payload is in [`Self::payload`]. `None`: more is
    /// needed, and all of `input` was taken.
    pub(super) fn read(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Head>, Bad> {
        self.payload.clear();
        if self.payload.capacity() > KEPT_MAX {
            self.payload = vec![];
        }
        if self.framing == Framing::Plain {
            return self.read_plain(input, at);
        }
        loop {
            if self.framing == Framing::Checksum
                && let Some(seq) = self.take_gathered()?
            {
                return Ok(Some(self.head(seq)));
            }
            let step = self.reader.step(input, at, &mut self.inflated);
            match step.map_err(|_| Bad)? {
                FrameStep::More => return Ok(None),
                FrameStep::Body(range) => {
                    let bytes = input.get(range).unwrap_or_default();
                    self.gathered.extend_from_slice(bytes);
                }
                FrameStep::Inflated(bytes) => self.gathered.extend_from_slice(bytes),
                FrameStep::Extra(extra) => {
                    let entries = &mut self.entries;
                    let read = extra.each(|kind, value| {
                        entries.push((kind, value.to_vec()));
                        Ok(())
                    });
                    read.map_err(|_| Bad)?;
                }
                FrameStep::End { is_last } => {
                    self.flags |= self.reader.header().map_or(0, |h| h.flags);
                    if is_last && self.framing.has_packets() {
                        let seq = self.take_gathered()?.ok_or(Bad)?;
                        if !self.gathered.is_empty() {
                            return Err(Bad);
                        }
                        return Ok(Some(self.head(seq)));
                    }
                }
            }
            if self.gathered.len() > REQUEST_MAX {
                return Err(Bad);
            }
        }
    }

    fn read_plain(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Head>, Bad> {
        let rest = input.get(*at..).unwrap_or_default();
        let bytes = if self.gathered.is_empty() {
            rest
        } else {
            self.gathered.extend_from_slice(rest);
            &self.gathered
        };
        let Some((seq, len)) = packet(bytes)? else {
            if self.gathered.is_empty() {
                self.gathered.extend_from_slice(rest);
            }
            *at = input.len();
            return Ok(None);
        };
        let before = bytes.len() - rest.len();
        let payload = bytes.get(HEADER_LEN..HEADER_LEN + len).unwrap_or_default();
        self.payload.extend_from_slice(payload);
        *at += HEADER_LEN + len - before;
        self.gathered.clear();
        Ok(Some(self.head(seq)))
    }

    /// Takes the first packet of what was gathered, if it is whole.
    fn take_gathered(&mut self) -> Result<Option<u8>, Bad> {
        let Some((seq, len)) = packet(&self.gathered)? else {
            return Ok(None);
        };
        let end = HEADER_LEN + len;
        let payload = self.gathered.get(HEADER_LEN..end).unwrap_or_default();
        self.payload.extend_from_slice(payload);
        self.gathered.drain(..end);
        Ok(Some(seq))
    }

    const fn head(&mut self, seq: u8) -> Head {
        let flags = self.flags;
        self.flags = 0;
        self.is_begun = false;
        Head { seq, flags }
    }

    /// The client's turn comes inside a reply: another last packet follows.
    pub(super) const fn turn(&mut self) {
        self.reader.expect_request();
    }

    /// Nobody answers what was read last.
    pub(super) const fn skip(&mut self) {
        self.reader.expect_request();
    }

    /// Appends packets of the reply to what was read last. `entries`: its session state and
    /// feedback, in the new form. `flags`: of OceanBase 2.0.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        packets: &[u8],
        entries: &[(u16, Vec<u8>)],
        flags: u32,
        is_last: bool,
    ) {
        if !self.is_begun {
            let position: Position = self.reader.position();
            self.writer.begin_reply(position);
            self.is_begun = true;
        }
        let mut extra = vec![];
        for (kind, value) in entries {
            if self.is_new_extra {
                put_tlv(&mut extra, *kind, value);
            } else if *kind == entry::SESSION {
                put_old_pair(&mut extra, OLD_SESSION, value);
            }
        }
        let is_packet = self.framing.has_packets();
        let envelope = Envelope {
            extra: if is_packet { &extra } else { &[] },
            flags: if is_packet { flags } else { 0 },
            is_last,
        };
        self.writer.put(out, envelope, packets);
        if is_last {
            self.is_begun = false;
            self.reader.expect_request();
        }
    }
}

/// True if the request says that its transaction may move.
pub(super) const fn may_move(flags: u32) -> bool {
    flags & flag::INTERNAL_ROUTING != 0
}

/// Sequence number and payload length of a packet that is whole.
fn packet(bytes: &[u8]) -> Result<Option<(u8, usize)>, Bad> {
    let &[a, b, c, seq, ..] = bytes else {
        return Ok(None);
    };
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    if len >= MAX_PAYLOAD {
        return Err(Bad);
    }
    Ok((bytes.len() >= HEADER_LEN + len).then_some((seq, len)))
}
