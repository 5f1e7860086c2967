//! Clients that kill others of their tenant: what they send, and what they may be told.

use crate::base::Rng;

/// How a server says that somebody has ended its statement.
pub(super) const INTERRUPTED: &str = "ended by a KILL QUERY";

/// What the proxy tells the client of a session that another one has ended.
const ENDED: &str = "Session interrupted";
/// The same, if it has ended itself.
const ENDED_ITSELF: &str = "Query execution was interrupted";

/// One KILL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    /// The session.
    id: u32,
    /// Only its statement is to end.
    is_query: bool,
}

impl Attempt {
    /// Of a session that began near this one, on either core; perhaps of itself, or of nobody.
    pub(super) fn near(own: u32, rng: &mut Rng) -> Self {
        // Two cores: their number stands above 16 bits of sequence.
        let sequence = (own & 0xFFFF) + rng.below(6) as u32;
        Self {
            id: own & !0x1_FFFF | (rng.below(2) as u32) << 16 | sequence.saturating_sub(3),
            is_query: rng.chance(1, 2),
        }
    }

    /// The request.
    pub(super) fn payload(&self, rng: &mut Rng) -> Vec<u8> {
        let id = self.id;
        let text = match (self.is_query, rng.below(3)) {
            (true, _) => format!("\x03KILL QUERY {id}"),
            (false, 0) => format!("\x03kill {id}"),
            (false, 1) => format!("\x03KILL CONNECTION {id}"),
            (false, _) => {
                let mut command = vec![0x0C];
                command.extend_from_slice(&id.to_le_bytes());
                return command;
            }
        };
        text.into_bytes()
    }

    /// True if the packet says that there is no such session, or that it is somebody else's.
    pub(super) fn is_answer(packet: &[u8]) -> bool {
        let payload = packet.get(4..).unwrap_or_default();
        payload.starts_with(b"\xff\x46\x04#HY000Unknown thread id: ")
    }

    /// True if it may end that session.
    pub(super) const fn ends(&self, id: u32) -> bool {
        self.id == id && !self.is_query
    }

    /// True if it may be why the client of that session is told this.
    pub(super) fn explains(&self, id: u32, text: &str) -> bool {
        self.id == id
            && match self.is_query {
                true => text.contains(INTERRUPTED),
                false => is_end(text),
            }
    }
}

/// True for what only a KILL explains.
pub(super) fn is_killed(text: &str) -> bool {
    text.contains(INTERRUPTED) || is_end(text)
}

fn is_end(text: &str) -> bool {
    text.contains(ENDED) || text.contains(ENDED_ITSELF)
}

/// The connection whose statement a request wants to end, if it is a KILL QUERY.
pub(super) fn connection_of(statement: &[u8]) -> Option<u32> {
    let id = statement.strip_prefix(b"KILL QUERY ")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}
