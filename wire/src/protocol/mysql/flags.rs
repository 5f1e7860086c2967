//! Capability and status bits.

/// Capability bits of the greeting and of the login packet (u32).
pub mod client {
    /// Affected rows count found rows.
    pub const FOUND_ROWS: u32 = 1 << 1;
    /// A database name is in the login packet.
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    /// Compressed packets.
    pub const COMPRESS: u32 = 1 << 5;
    /// LOAD DATA LOCAL is allowed.
    pub const LOCAL_FILES: u32 = 1 << 7;
    /// Protocol 4.1; without it nothing here applies.
    pub const PROTOCOL_41: u32 = 1 << 9;
    /// TLS.
    pub const SSL: u32 = 1 << 11;
    /// The answer to the scramble has a length byte.
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    /// Several statements in one COM_QUERY.
    pub const MULTI_STATEMENTS: u32 = 1 << 16;
    /// Several result sets for one COM_QUERY.
    pub const MULTI_RESULTS: u32 = 1 << 17;
    /// Several result sets for one COM_STMT_EXECUTE.
    pub const PS_MULTI_RESULTS: u32 = 1 << 18;
    /// The plugin name is in the packet.
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    /// Connection attributes are in the packet.
    pub const CONNECT_ATTRS: u32 = 1 << 20;
    /// The answer to the scramble has a length-encoded length.
    pub const PLUGIN_AUTH_LENENC: u32 = 1 << 21;
    /// Session state changes are reported in OK packets.
    pub const SESSION_TRACK: u32 = 1 << 23;
}

/// Status bits of OK and EOF packets (u16).
pub mod status {
    /// A transaction is open.
    pub const IN_TRANSACTION: u16 = 0x0001;
    /// Autocommit is on.
    pub const AUTOCOMMIT: u16 = 0x0002;
    /// Another result follows.
    pub const MORE_RESULTS: u16 = 0x0008;
    /// The kernel's usual OK status carries it; no information here (MySQL: no index used).
    pub const NO_INDEX: u16 = 0x0020;
    /// A cursor was opened; rows come with COM_STMT_FETCH.
    pub const CURSOR_EXISTS: u16 = 0x0040;
    /// A backslash in a string is a backslash (SQL mode).
    pub const NO_BACKSLASH_ESCAPES: u16 = 0x0200;
    /// The result set holds the OUT parameters of a CALL; an OK of its own ends it.
    pub const PS_OUT_PARAMS: u16 = 0x1000;
    /// Session state follows the message of an OK packet.
    pub const STATE_CHANGED: u16 = 0x4000;
}
