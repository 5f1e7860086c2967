//! The first byte of a request.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A command byte. Any byte is a command: what this crate has no name for is passed to the server,
/// which answers it (error 1235 for unknown ones).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Command(pub u8);

macro_rules! commands {
    ($($name:ident = $code:literal $text:literal,)+) => {
        #[allow(missing_docs, reason = "the names are the protocol's own")]
        impl Command {
            $(pub const $name: Self = Self($code);)+

            /// The protocol's name, `unknown` for a byte without one.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($code => $text,)+ _ => "unknown" }
            }
        }
    };
}

commands! {
    SLEEP = 0x00 "sleep",
    QUIT = 0x01 "quit",
    INIT_DB = 0x02 "init_db",
    QUERY = 0x03 "query",
    FIELD_LIST = 0x04 "field_list",
    CREATE_DB = 0x05 "create_db",
    DROP_DB = 0x06 "drop_db",
    REFRESH = 0x07 "refresh",
    SHUTDOWN = 0x08 "shutdown",
    STATISTICS = 0x09 "statistics",
    PROCESS_INFO = 0x0A "process_info",
    CONNECT = 0x0B "connect",
    PROCESS_KILL = 0x0C "process_kill",
    DEBUG = 0x0D "debug",
    PING = 0x0E "ping",
    TIME = 0x0F "time",
    DELAYED_INSERT = 0x10 "delayed_insert",
    CHANGE_USER = 0x11 "change_user",
    BINLOG_DUMP = 0x12 "binlog_dump",
    TABLE_DUMP = 0x13 "table_dump",
    CONNECT_OUT = 0x14 "connect_out",
    REGISTER_SLAVE = 0x15 "register_slave",
    STMT_PREPARE = 0x16 "stmt_prepare",
    STMT_EXECUTE = 0x17 "stmt_execute",
    STMT_SEND_LONG_DATA = 0x18 "stmt_send_long_data",
    STMT_CLOSE = 0x19 "stmt_close",
    STMT_RESET = 0x1A "stmt_reset",
    SET_OPTION = 0x1B "set_option",
    STMT_FETCH = 0x1C "stmt_fetch",
    DAEMON = 0x1D "daemon",
    BINLOG_DUMP_GTID = 0x1E "binlog_dump_gtid",
    RESET_CONNECTION = 0x1F "reset_connection",
    STMT_PREPARE_EXECUTE = 0xA1 "stmt_prepare_execute",
    STMT_SEND_PIECE_DATA = 0xA2 "stmt_send_piece_data",
    STMT_GET_PIECE_DATA = 0xA3 "stmt_get_piece_data",
}

impl Command {
    /// False for the commands that the server never answers.
    #[must_use]
    pub const fn has_reply(self) -> bool {
        !matches!(
            self,
            Self::QUIT | Self::STMT_CLOSE | Self::STMT_SEND_LONG_DATA
        )
    }

    /// True for the commands that make a session as it was at its login: nothing of before is left.
    #[must_use]
    pub const fn begins_anew(self) -> bool {
        matches!(self, Self::CHANGE_USER | Self::RESET_CONNECTION)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "unknown" => write!(f, "command {:#04x}", self.0),
            name => f.write_str(name),
        }
    }
}
