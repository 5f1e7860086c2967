//! The framing of a simulated server: requests out of their frames, replies into frames.

use crate::base::Rng;
use crate::protocol::capability;
use crate::protocol::ob20::{
    Envelope, FrameReader, FrameStep, FrameWriter, Framing, entry, flag, put_tlv,
};

/// What is wrong with a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// The checksum behind its last byte.
    Tail,
    /// A byte of the header of its first OceanBase 2.0 frame.
    Header,
}

/// Bytes of that header.
const HEADER: u64 = 24;

/// What lets transactions go from server to server.
const MOVES: u64 = capability::SESSION_SYNC | capability::SERVER_DUP_SESS_SYNC;

/// Types of session state that are what an open transaction is.
const PARTS: std::ops::RangeInclusive<u16> = 5..=8;

/// One end of a connection.
pub(super) struct Wire {
    framing: Framing,
    reader: FrameReader,
    writer: FrameWriter,
    rng: Rng,
    /// Flags of the request's frames.
    flags: u32,
    /// Bits that this server grants.
    granted: u64,
    /// What the proxy has sent of the session's transaction with the last request.
    sent: Vec<(u16, Vec<u8>)>,
    /// The state of the open transaction, which goes with the next reply.
    pub(super) open: Option<u64>,
    /// So many replies are right, then one is not.
    pub(super) damage: Option<(u64, Damage)>,
}

impl Wire {
    /// Plain, as every connection is until its login is over. `moves`: most servers let
    /// transactions move.
    pub(super) fn new(rng: &mut Rng, moves: bool) -> Self {
        let may = [
            0,
            capability::CHECKSUM,
            capability::OB_PROTOCOL_V2 | capability::NEW_EXTRA_INFO | capability::PROXY_REROUTE,
            capability::OB_PROTOCOL_V2
                | capability::NEW_EXTRA_INFO
                | capability::OB_PROTOCOL_V2_COMPRESS
                | capability::PROXY_REROUTE
                | capability::CHECKSUM,
            capability::OB_PROTOCOL_V2
                | capability::NEW_EXTRA_INFO
                | capability::PROXY_REROUTE
                | MOVES
                | capability::SESSION_VAR_SYNC,
        ];
        // Most servers grant everything.
        let most = [0, 1, 2, 3, 3, 4, 4, 4];
        let granted = match moves && rng.chance(7, 8) {
            true => may[4],
            false => may[most[rng.below(8) as usize]],
        };
        Self {
            framing: Framing::Plain,
            reader: FrameReader::new(Framing::Plain, 0),
            writer: FrameWriter::new(Framing::Plain, 0, true),
            rng: Rng::new(rng.next_u64()),
            flags: 0,
            granted: granted | capability::EXTRA_OK_STATISTICS | capability::CLIENT_SESSION_ID_V2,
            sent: vec![],
            open: None,
            damage: None,
        }
    }

    /// What the server answers to `asked`, as the value of `ob_capability_flag`.
    pub(super) fn granted(&self) -> String {
        self.granted.to_string()
    }

    /// The login is over: from the next byte on there is the framing that was agreed.
    pub(super) fn agree(&mut self, asked: &[u8], connection: u32) {
        let asked = std::str::from_utf8(asked).unwrap_or_default();
        let asked = asked.parse().unwrap_or_default();
        self.framing = Framing::agreed(asked, self.granted);
        self.reader = FrameReader::new(self.framing, connection);
        self.writer = FrameWriter::new(self.framing, connection, true);
    }

    /// The last request may be answered with the address of a better server.
    pub(super) const fn may_reroute(&self) -> bool {
        self.flags & flag::REROUTE != 0
    }

    /// MySQL bytes of what came, from `at` on: of one request, if frames say where it ends. False:
    /// that was all. `inflated` is the same for all calls with these bytes.
    ///
    /// # Panics
    /// On a frame that is wrong: the proxy made it.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        inflated: &mut Vec<u8>,
        into: &mut Vec<u8>,
    ) -> bool {
        loop {
            match self.reader.step(bytes, at, inflated) {
                Ok(FrameStep::More) => return false,
                Ok(FrameStep::Body(range)) => into.extend_from_slice(&bytes[range]),
                Ok(FrameStep::Inflated(bytes)) => into.extend_from_slice(bytes),
                Ok(FrameStep::End { is_last: true }) => {
                    self.flags = self.reader.header().map_or(0, |header| header.flags);
                    self.reader.expect_request();
                    return true;
                }
                Ok(FrameStep::Extra(extra)) => {
                    let read = extra.each(|kind, value| {
                        if kind == entry::SESSION {
                            self.sent.extend(parts(value));
                        }
                        Ok(())
                    });
                    assert!(read.is_ok(), "a server got wrong extra info");
                }
                Ok(FrameStep::End { .. }) => {}
                Err(e) => panic!("a server got a wrong frame: {e}"),
            }
        }
    }

    /// The state of a transaction that came with the last request, if all parts are of one.
    pub(super) fn sent_stamp(&mut self) -> Option<u64> {
        let sent = std::mem::take(&mut self.sent);
        let of = |kind| sent.iter().find(|(k, _)| *k == kind).map(|(_, b)| b);
        let stamp = of(*PARTS.start())?;
        let is_whole = PARTS.into_iter().all(|kind| of(kind) == Some(stamp));
        let stamp = u64::from_le_bytes(stamp.as_slice().try_into().ok()?);
        Some(if is_whole { stamp } else { 0 })
    }

    /// A reply in frames of any size.
    pub(super) fn answer(&mut self, mysql: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        self.writer.begin_reply(self.reader.position());
        self.reader.expect_request();
        let mut at = 0;
        let may_move = self.granted & MOVES == MOVES && self.framing.has_packets();
        let open = self.open.filter(|_| may_move);
        let flags = match open.is_some() && self.rng.chance(7, 8) {
            true => flag::INTERNAL_ROUTING,
            false => 0,
        };
        while at < mysql.len() {
            let left = mysql.len() - at;
            let n = match self.rng.below(4) {
                0 => 1 + self.rng.below(left.min(100) as u64) as usize,
                1 => 1 + self.rng.below(left as u64) as usize,
                _ => left,
            };
            let mut extra = vec![];
            if self.framing.has_packets() && self.rng.chance(1, 3) {
                // Trace settings and system variables, as every session has them.
                let kind = 3 + self.rng.below(2) as u8;
                put_tlv(&mut extra, entry::SESSION, &[kind, 0, 2, 0, 0, 0, 7, kind]);
            }
            if let Some(stamp) = open.filter(|_| n == left) {
                let mut state = vec![];
                for kind in PARTS {
                    put_tlv(&mut state, kind, &stamp.to_le_bytes());
                }
                put_tlv(&mut extra, entry::SESSION, &state);
            }
            let envelope = Envelope {
                extra: &extra,
                flags,
                is_last: n == left,
            };
            self.writer.put(&mut out, envelope, &mysql[at..at + n]);
            at += n;
        }
        match &mut self.damage {
            Some((0, damage)) => {
                let at = match (*damage, self.framing) {
                    (Damage::Header, Framing::Ob20) => self.rng.below(HEADER) as usize,
                    _ => out.len().saturating_sub(1),
                };
                if self.framing != Framing::Plain
                    && let Some(byte) = out.get_mut(at)
                {
                    *byte ^= 1 << self.rng.below(8);
                }
                self.damage = None;
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
        out
    }
}

/// The parts of one entry of session state.
fn parts(mut value: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut out = vec![];
    while let [a, b, c, d, e, f, rest @ ..] = value {
        let len = u32::from_le_bytes([*c, *d, *e, *f]) as usize;
        let bytes = rest.get(..len).unwrap_or_default();
        out.push((u16::from_le_bytes([*a, *b]), bytes.to_vec()));
        value = rest.get(len..).unwrap_or_default();
    }
    out
}
