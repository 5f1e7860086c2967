//! Which framing a connection has.

use crate::protocol::capability;
use serde::{Deserialize, Serialize};

/// What stands around MySQL packets once the login is over. A login is always plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// Nothing.
    #[default]
    Plain,
    /// MySQL's compressed packets, for their checksum.
    Checksum,
    /// OceanBase 2.0 packets.
    Ob20,
    /// OceanBase 2.0 packets inside MySQL's compressed packets.
    Ob20Compressed,
}

impl Framing {
    /// What was agreed: bits that the proxy asked for and the server granted
    /// (`ob_capability_flag` of the login OK).
    #[must_use]
    pub const fn agreed(asked: u64, granted: u64) -> Self {
        let bits = asked & granted;
        if bits & capability::OB_PROTOCOL_V2 == 0 {
            return if bits & capability::CHECKSUM == 0 {
                Self::Plain
            } else {
                Self::Checksum
            };
        }
        if bits & capability::OB_PROTOCOL_V2_COMPRESS == 0 {
            Self::Ob20
        } else {
            Self::Ob20Compressed
        }
    }

    /// True if there are OceanBase 2.0 packets: request ids, extra info.
    #[must_use]
    pub const fn has_packets(self) -> bool {
        matches!(self, Self::Ob20 | Self::Ob20Compressed)
    }
}
