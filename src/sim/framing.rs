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
    /// So many replies are right, then one is not.
    pub(super) damage: Option<(u64, Damage)>,
}

impl Wire {
    /// Plain, as every connection is until its login is over.
    pub(super) fn new(rng: &mut Rng) -> Self {
        let may = [
            0,
            capability::CHECKSUM,
            capability::OB_PROTOCOL_V2 | capability::NEW_EXTRA_INFO | capability::PROXY_REROUTE,
            capability::OB_PROTOCOL_V2
                | capability::NEW_EXTRA_INFO
                | capability::OB_PROTOCOL_V2_COMPRESS
                | capability::PROXY_REROUTE
                | capability::CHECKSUM,
        ];
        // Most servers grant everything.
        let most = [0, 1, 2, 3, 3, 3, 3, 3];
        let granted = may[most[rng.below(8) as usize]];
        Self {
            framing: Framing::Plain,
            reader: FrameReader::new(Framing::Plain, 0),
            writer: FrameWriter::new(Framing::Plain, 0, true),
            rng: Rng::new(rng.next_u64()),
            flags: 0,
            granted: granted | capability::EXTRA_OK_STATISTICS | capability::CLIENT_SESSION_ID_V2,
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
                Ok(FrameStep::Extra(_) | FrameStep::End { .. }) => {}
                Err(e) => panic!("a server got a wrong frame: {e}"),
            }
        }
    }

    /// A reply in frames of any size.
    pub(super) fn answer(&mut self, mysql: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        self.writer.begin_reply(self.reader.position());
        self.reader.expect_request();
        let mut at = 0;
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
            let envelope = Envelope {
                extra: &extra,
                flags: 0,
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
