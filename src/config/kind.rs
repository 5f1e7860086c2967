//! What sort of value a setting takes, in words.

use super::Bounds;
use super::quantity::{show_duration, show_size};

/// What sort of value a setting takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A TCP port, or 0.
    Port,
    /// A number.
    Int,
    /// A time with its unit.
    Duration,
    /// A number of bytes with its unit.
    Size,
    /// A switch.
    Bool,
    /// Any text.
    Text,
    /// An IP address without port.
    Address,
    /// `ip:port` items, separated by `;`.
    ServerList,
    /// SHA1 of a password, or the password itself after `plain:`.
    Password,
    /// Digits and dots.
    Version,
    /// ERROR, WARN, INFO or DEBUG.
    LogLevel,
    /// One of [`super::ServerProtocol::NAMES`].
    ServerProtocol,
    /// One of [`super::RoutingMode::NAMES`].
    RoutingMode,
    /// One of [`super::FullAuthentication::NAMES`].
    FullAuthentication,
    /// Nothing, or `zlib:` and a level.
    Compression,
    /// `user@tenant` items, separated by `;`.
    UserList,
}

impl Kind {
    /// The type and its unit, as the reference names them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Int => "integer",
            Self::Duration => "duration, s",
            Self::Size => "size, MB",
            Self::Bool => "bool",
            Self::Text => "string, characters",
            Self::Address => "ip",
            Self::ServerList => "server list",
            Self::Password => "password",
            Self::Version => "version",
            Self::LogLevel => "log level",
            Self::ServerProtocol => "protocol",
            Self::RoutingMode => "mode",
            Self::FullAuthentication => "rule",
            Self::Compression => "compression",
            Self::UserList => "user list",
        }
    }

    /// What may be written, with the range.
    #[must_use]
    pub fn allowed(self, bounds: Bounds) -> String {
        let Bounds { min, max } = bounds;
        match self {
            Self::Port => "0 or [1025, 65535]".into(),
            Self::Int => format!("[{min}, {max}]"),
            Self::Duration => {
                format!("[{}, {}]", show_duration(min), show_duration(max))
            }
            Self::Size => format!("[{}, {}]", show_size(min), show_size(max)),
            Self::Bool => "True or False".into(),
            Self::Text => format!("{min} to {max} characters"),
            Self::Address => "an IPv4 or IPv6 address".into(),
            Self::ServerList => "ip:sqlport;ip:sqlport, at most 64, IPv6 in brackets".into(),
            Self::Password => "40 hexadecimal digits (SHA1), plain:password, or nothing".into(),
            Self::Version => "digits and dots, as 5.7.25".into(),
            Self::LogLevel => "ERROR, WARN, INFO or DEBUG".into(),
            Self::RoutingMode => "oceanbase or random".into(),
            Self::FullAuthentication => "auto, always or never".into(),
            Self::ServerProtocol => "Auto, MySQL, Compressed MySQL or OceanBase 2.0".into(),
            Self::Compression => "zlib:0 to zlib:9, or nothing".into(),
            Self::UserList => "user@tenant;user@tenant, at most 1024".into(),
        }
    }

    /// True if the value must never be shown.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Password)
    }
}
