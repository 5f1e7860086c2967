//! One link of a session: the connection, what it has of the session, and what was agreed on it.

use super::known::Has;
use super::statements::HeldStatements;
use crate::base::{Event, Tick};
use crate::link::Link;
use crate::protocol::capability;
use crate::protocol::mysql::{Command, OkPacket, Shape, TRACK_VARIABLES};
use crate::protocol::ob20::Framing;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Cursor types in the flags of COM_STMT_EXECUTE.
const CURSOR_FLAGS: u8 = 0x07;
/// Bits that let session state travel as extra info.
const INFO: u64 = capability::OB_PROTOCOL_V2 | capability::SESSION_SYNC;
/// Bits that let a server name a better one.
const REROUTE: u64 = capability::OB_PROTOCOL_V2 | capability::PROXY_REROUTE;

/// A link in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    pub(super) link: Link,
    /// What it has of the session's state.
    pub(super) has: Has,
    /// The prepared statements that it has.
    pub(super) statements: HeldStatements,
    /// It is in a database.
    pub(super) has_database: bool,
    /// What every server session reports at first was not reported since its login, or since the
    /// session began anew.
    pub(super) is_fresh: bool,
    /// When it was used last.
    pub(super) used: Tick,
    /// Extra info went with the request under way.
    pub(super) was_told: bool,
    /// Capability bits that the server was asked for, and of these the ones it granted.
    asked: u64,
    granted: u64,
}

impl Slot {
    /// A link whose connect has been asked for.
    pub(super) fn connecting(server: SocketAddr, now: Tick) -> Self {
        Self {
            link: Link::connecting(server),
            has: Has::default(),
            statements: HeldStatements::default(),
            has_database: false,
            is_fresh: true,
            used: now,
            was_told: false,
            asked: 0,
            granted: 0,
        }
    }

    /// The server is asked for these capability bits.
    pub(super) const fn ask(&mut self, capability: u64) {
        self.asked = capability;
    }

    /// The capability bits that the OK of a login grants.
    pub(super) fn grants(ok: &OkPacket<'_>) -> u64 {
        let blocks = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
        let mut variables = blocks.flat_map(|block| block.variables());
        let flag = variables.find(|(name, ..)| *name == b"ob_capability_flag");
        let text = flag.and_then(|(_, value, _)| std::str::from_utf8(value).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The login succeeded: the link has the framing that was agreed from now on. Returns what is
    /// to be counted.
    pub(super) fn logged_in(&mut self, grants: u64) -> Event {
        self.granted = self.asked & grants;
        let framing = Framing::agreed(self.asked, self.granted);
        self.link.logged_in();
        self.link.agree(framing, self.has_new_info());
        match framing {
            Framing::Plain => Event::LinkPlain,
            Framing::Checksum => Event::LinkChecksum,
            Framing::Ob20 => Event::LinkOb20,
            Framing::Ob20Compressed => Event::LinkOb20Compressed,
        }
    }

    /// Session state travels as extra info.
    pub(super) const fn syncs_info(&self) -> bool {
        self.granted & INFO == INFO
    }

    /// System variables are part of that.
    pub(super) const fn carries_system(&self) -> bool {
        self.syncs_info() && self.granted & capability::SESSION_VAR_SYNC != 0
    }

    /// The state of an open transaction travels with session state: servers take what they have
    /// once more.
    pub(super) const fn carries_transactions(&self) -> bool {
        self.syncs_info() && self.granted & capability::SERVER_DUP_SESS_SYNC != 0
    }

    /// The server names better servers where it is asked to.
    pub(super) const fn reroutes(&self) -> bool {
        self.granted & REROUTE == REROUTE
    }

    /// Extra info has the new form.
    pub(super) const fn has_new_info(&self) -> bool {
        self.granted & capability::NEW_EXTRA_INFO != 0
    }

    /// The reply to expect. `is_named_driver`: see [`Shape`].
    pub(super) const fn shape(&self, command: Command, flags: u8, is_named_driver: bool) -> Shape {
        let is_execute = command.0 == Command::STMT_EXECUTE.0;
        Shape {
            command,
            cursor: is_execute && flags & CURSOR_FLAGS != 0,
            proxy_mode: true,
            statistics_ok: self.granted & capability::EXTRA_OK_STATISTICS != 0,
            is_named_driver,
        }
    }
}
