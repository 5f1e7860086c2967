//! Bits of `__proxy_capability_flag` (login attribute, u64 in decimal) and of the server's answer
//! `ob_capability_flag` (system variable in the login OK).
//!
//! Source: OceanBase wire facts, observed on seekdb 1.3.0.post5 for the masks of that kernel.

/// Partitioned tables are understood.
pub const PARTITION_TABLE: u64 = 1 << 0;
/// COM_CHANGE_USER is handled.
pub const CHANGE_USER: u64 = 1 << 1;
/// Weak reads are understood.
pub const READ_WEAK: u64 = 1 << 2;
/// Compressed framing with checksum. Must be off for plain framing.
pub const CHECKSUM: u64 = 1 << 3;
/// Safe weak-read snapshot feedback.
pub const SAFE_WEAK_READ: u64 = 1 << 4;
/// The checksum can be switched by a session variable.
pub const CHECKSUM_SWITCH: u64 = 1 << 6;
/// OceanBase 2.0 framing.
pub const OB_PROTOCOL_V2: u64 = 1 << 8;
/// A terminal OK follows the string reply of COM_STATISTICS.
pub const EXTRA_OK_STATISTICS: u64 = 1 << 9;
/// Stored routines are routed.
pub const PL_ROUTE: u64 = 1 << 11;
/// The server may refuse a request and name a better server (5727), where the request's packets
/// allow it. Needs [`OB_PROTOCOL_V2`].
pub const PROXY_REROUTE: u64 = 1 << 12;
/// Session state travels as extra info. Needs [`OB_PROTOCOL_V2`].
pub const SESSION_SYNC: u64 = 1 << 13;
/// Extra info is TLV. Needs [`OB_PROTOCOL_V2`].
pub const NEW_EXTRA_INFO: u64 = 1 << 15;
/// System variables are part of the session state that travels as extra info. Needs
/// [`OB_PROTOCOL_V2`].
pub const SESSION_VAR_SYNC: u64 = 1 << 16;
/// Stale weak-read feedback.
pub const WEAK_STALE_FEEDBACK: u64 = 1 << 17;
/// The server de-duplicates session information.
pub const SERVER_DUP_SESS_SYNC: u64 = 1 << 19;
/// LOAD DATA LOCAL INFILE may pass the proxy; without it the server answers 3948.
pub const LOAD_DATA_LOCAL: u64 = 1 << 20;
/// The client session id is the session's connection id on every server: `connection_id()`,
/// process list and KILL use it.
pub const CLIENT_SESSION_ID_V2: u64 = 1 << 21;
/// OceanBase 2.0 packets travel inside compressed packets. Needs [`OB_PROTOCOL_V2`].
pub const OB_PROTOCOL_V2_COMPRESS: u64 = 1 << 22;
/// The server tells of user locks and temporary tables as extra info. Needs [`OB_PROTOCOL_V2`].
/// Without it and [`CLIENT_SESSION_ID_V2`] it refuses GET_LOCK and its like (1235).
pub const FEEDBACK_PROXY: u64 = 1 << 23;
/// COM_CHANGE_USER may carry attributes that make a server session a new one, for pools. Not asked
/// for: a link belongs to one client. Source of this bit and the next two: OBProxy 4.4.1.
pub const CHANGE_USER_CONN_ATTRS: u64 = 1 << 24;
/// Something about MAX_EXECUTION_TIME; its use is not known, so it is not asked for.
pub const MAX_EXECUTION_TIME: u64 = 1 << 25;
/// Extra info of type 2005 goes to the server. Not asked for: nothing is gained, and a server
/// without it hangs on that type.
pub const ONE_WAY_EXTRA_INFO: u64 = 1 << 26;

/// What this proxy asks for on a link with plain MySQL framing: the default mask of the C++ proxy
/// without the bits that need OceanBase 2.0 framing (8, 12, 13, 15, 16, 18, 23) or checksums (3),
/// plus [`LOAD_DATA_LOCAL`] and [`CLIENT_SESSION_ID_V2`].
pub const PLAIN: u64 = PARTITION_TABLE
    | CHANGE_USER
    | READ_WEAK
    | SAFE_WEAK_READ
    | CHECKSUM_SWITCH
    | EXTRA_OK_STATISTICS
    | PL_ROUTE
    | WEAK_STALE_FEEDBACK
    | SERVER_DUP_SESS_SYNC
    | LOAD_DATA_LOCAL
    | CLIENT_SESSION_ID_V2;

/// What this proxy asks for on a link with the checksum framing.
pub const COMPRESSED: u64 = PLAIN | CHECKSUM;

/// What this proxy asks for on a link with OceanBase 2.0 framing: no full-link trace (14, 18).
pub const OB20: u64 = PLAIN
    | OB_PROTOCOL_V2
    | PROXY_REROUTE
    | SESSION_SYNC
    | NEW_EXTRA_INFO
    | SESSION_VAR_SYNC
    | FEEDBACK_PROXY;

// What is not used is not asked for: a server acts on every bit that it grants.
const _: () = assert!(
    (OB20 | COMPRESSED) & (CHANGE_USER_CONN_ATTRS | MAX_EXECUTION_TIME | ONE_WAY_EXTRA_INFO) == 0
);
