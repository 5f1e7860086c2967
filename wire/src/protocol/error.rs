//! Errors that a proxy makes itself: one table from what happened to what the client sees.
//!
//! Codes and SQLSTATEs are those of MySQL where MySQL has one, else OBProxy's internal numbers
//! (10001 and up), which tools know. The texts are ours.

use serde::{Deserialize, Serialize};

/// What went wrong, for an error packet made by the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// User, tenant or cluster part of the login name is missing or malformed, or the login is not
    /// allowed from outside.
    AccessDenied,
    /// The cluster is not known.
    UnknownCluster,
    /// The login packet cannot be parsed, or asks for what is not offered.
    BadHandshake,
    /// Bytes that are not a MySQL packet.
    MalformedPacket,
    /// A packet has a wrong sequence number.
    PacketsOutOfOrder,
    /// A packet that must be seen whole is longer than its limit.
    PacketTooLarge,
    /// Not supported.
    NotSupported,
    /// Too many client connections.
    TooManySessions,
    /// The login was not finished in time.
    LoginTimeout,
    /// No server could be reached.
    NoServer,
    /// The server did not answer the login in time, or with something else than MySQL.
    ServerLogin,
    /// The server did not answer a statement in time.
    ServerTimeout,
    /// The server connection was lost before the reply began.
    LostBeforeReply,
    /// The server connection was lost inside a reply.
    LostInReply,
    /// The process is shutting down.
    Shutdown,
    /// An invariant of the proxy is broken.
    Internal,
    /// An administrator has ended the session.
    Killed,
    /// A user has ended the session: what servers tell its client.
    Interrupted,
}

impl Fault {
    /// Error number and SQLSTATE.
    #[must_use]
    pub const fn code(self) -> (u16, &'static [u8; 5]) {
        match self {
            Self::AccessDenied => (1045, b"42000"),
            Self::UnknownCluster => (4669, b"HY000"),
            Self::BadHandshake => (1043, b"08S01"),
            Self::MalformedPacket => (1835, b"HY000"),
            Self::PacketsOutOfOrder => (1156, b"08S01"),
            Self::PacketTooLarge => (1153, b"08S01"),
            Self::NotSupported => (1235, b"0A000"),
            Self::TooManySessions => (1203, b"42000"),
            Self::LoginTimeout => (1159, b"08S01"),
            Self::NoServer | Self::ServerLogin => (10013, b"HY000"),
            Self::ServerTimeout => (10015, b"HY000"),
            Self::LostBeforeReply => (10014, b"HY000"),
            Self::LostInReply => (10016, b"HY000"),
            Self::Shutdown => (1053, b"08S01"),
            Self::Internal => (10001, b"HY000"),
            Self::Killed => (1317, b"70100"),
            Self::Interrupted => (5066, b"HY000"),
        }
    }
}
