//! The framing of a link: frames in, MySQL bytes out, and back for what the model makes itself.

use std::fmt;

/// How MySQL packets are wrapped between a login and the end of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// Not at all.
    Plain,
    /// In a way that the model does not read: a direct client that compresses. Bytes pass.
    Opaque,
}

impl Framing {
    /// Its name in the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Opaque => "opaque",
        }
    }
}

/// Bytes that are no frame of this framing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BadFrame(pub(super) String);

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad frame: {}", self.0)
    }
}

/// The frames of one request.
#[derive(Debug)]
pub(super) struct RequestFrames {
    framing: Framing,
}

impl RequestFrames {
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing }
    }

    /// Takes bytes from the front of `raw`, at most one frame, and gives what is in them to `read`,
    /// which says how many it has used. Returns how many bytes of `raw` were taken.
    pub(super) fn feed(
        &self,
        raw: &[u8],
        mut read: impl FnMut(&[u8]) -> usize,
    ) -> Result<usize, BadFrame> {
        match self.framing {
            Framing::Plain => Ok(read(raw)),
            Framing::Opaque => Err(BadFrame("not read".into())),
        }
    }

    /// True when no frame is begun.
    pub(super) const fn is_at_boundary(&self) -> bool {
        true
    }

    /// Wraps a reply to this request that the model has made.
    pub(super) fn wrap_reply(&self, packets: &[u8]) -> Vec<u8> {
        packets.to_vec()
    }

    /// Wraps a request that takes the place of this one.
    pub(super) fn wrap_request(&self, packets: &[u8]) -> Vec<u8> {
        packets.to_vec()
    }
}

/// The frames of one reply.
#[derive(Debug)]
pub(super) struct ReplyFrames {
    framing: Framing,
}

impl ReplyFrames {
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing }
    }

    /// Takes all bytes of `raw` and gives what is in them to `read`.
    pub(super) fn feed(&self, raw: &[u8], mut read: impl FnMut(&[u8])) -> Result<(), BadFrame> {
        match self.framing {
            Framing::Plain => {
                read(raw);
                Ok(())
            }
            Framing::Opaque => Err(BadFrame("not read".into())),
        }
    }

    /// True when no frame is begun.
    pub(super) const fn is_at_boundary(&self) -> bool {
        true
    }
}
