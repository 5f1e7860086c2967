//! Closed lists of what can happen: why a client connection ended, what is counted, log levels.

use serde::{Deserialize, Serialize};

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])+ $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])+ $variant,)+ }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name used in logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

closed_list! {
    /// Why a client connection ended. Every closed connection has exactly one: it is the counter's
    /// label and the `reason` of the log line.
    CloseReason {
        /// The client sent COM_QUIT.
        ClientQuit = "client_quit",
        /// The client closed while no statement was running.
        ClientEof = "client_eof",
        /// The client closed while a statement was running.
        ClientGone = "client_gone",
        /// The client's connection broke (reset).
        ClientReset = "client_reset",
        /// The client closed before it sent anything: a probe.
        Probe = "probe",
        /// Bytes that are no MySQL packet, or out of sequence.
        BadPacket = "bad_packet",
        /// The login packet cannot be parsed, or asks for what is not offered (TLS, compression).
        BadLogin = "bad_login",
        /// The client did not finish its login in time.
        LoginTimeout = "login_timeout",
        /// The login was refused by this proxy (unknown cluster, metadata user, ...).
        LoginRefused = "login_refused",
        /// The login was refused by the server.
        LoginDenied = "login_denied",
        /// No server of the cluster could be reached for the login.
        NoServer = "no_server",
        /// Too many client connections.
        TooManyConnections = "too_many_connections",
        /// The server closed the connection while it was idle, as its wait_timeout says.
        ServerIdleTimeout = "server_idle_timeout",
        /// The server connection was lost while the session was idle.
        ServerLostIdle = "server_lost_idle",
        /// The server connection was lost while a statement was running.
        ServerLost = "server_lost",
        /// The server sent something that is not the protocol.
        ServerProtocol = "server_protocol",
        /// A server did not answer a statement in time.
        ServerTimeout = "server_timeout",
        /// A frame of the server is wrong: its checksum, number, length or connection.
        ServerFrame = "server_frame",
        /// The server ended the session (KILL, 4401, 5066).
        Killed = "killed",
        /// The process is shutting down.
        Shutdown = "shutdown",
        /// The client reads too slowly and the memory limit for spilled output was reached.
        SpillLimit = "spill_limit",
        /// The client took no byte of a reply for as long as its net_write_timeout allows.
        ClientStalled = "client_stalled",
        /// An invariant of this proxy is broken; see the log.
        Internal = "internal",
    }
}

closed_list! {
    /// Where a request is on its way, for the time it takes there.
    Stage {
        /// The client sends it: from its first byte until enough of it is there to look at, and a
        /// client's turn inside a reply.
        Read = "read",
        /// It is being understood.
        Parse = "parse",
        /// A server is being chosen and made ready for it.
        Route = "route",
        /// From the last byte of the request to the first byte of the reply.
        ServerWait = "server_wait",
        /// From the first to the last byte of the reply.
        Relay = "relay",
        /// Until the last byte for the client is handed to the kernel; if the client is slow to
        /// take it, until the kernel has taken it.
        Write = "write",
    }
}

closed_list! {
    /// What machines and the shell count, per core.
    Event {
        /// A client connection was accepted.
        ClientAccepted = "client_accepted",
        /// A client logged in.
        ClientLoggedIn = "client_logged_in",
        /// A client told its password, as it lacks the method that servers can check.
        PasswordTold = "password_told",
        /// A client changed its user.
        ClientChangedUser = "client_changed_user",
        /// A request was read to its end.
        Request = "request",
        /// A reply was relayed to its end.
        Reply = "reply",
        /// A reply ended in an error packet.
        ReplyError = "reply_error",
        /// A request was answered by the proxy itself.
        LocalReply = "local_reply",
        /// A server connection was asked for.
        LinkConnect = "link_connect",
        /// A server connection could not be made.
        LinkConnectFailed = "link_connect_failed",
        /// A server failed so often that it gets no new work for a while.
        ServerBlocked = "server_blocked",
        /// A server that was suspected does not answer.
        ServerSilent = "server_silent",
        /// A server connection was lost.
        LinkLost = "link_lost",
        /// A server connection of a session has plain framing.
        LinkPlain = "link_plain",
        /// A server connection of a session has the checksum framing.
        LinkChecksum = "link_checksum",
        /// A server connection of a session has OceanBase 2.0 framing.
        LinkOb20 = "link_ob20",
        /// A server connection of a session has compressed OceanBase 2.0 framing.
        LinkOb20Compressed = "link_ob20_compressed",
        /// A metadata round succeeded.
        MetadataRound = "metadata_round",
        /// A metadata round failed.
        MetadataRoundFailed = "metadata_round_failed",
        /// The servers of a tenant were looked up.
        TenantLookup = "tenant_lookup",
        /// Nobody could tell the servers of a tenant.
        TenantLookupFailed = "tenant_lookup_failed",
        /// A login named a tenant that its cluster does not have.
        TenantAbsent = "tenant_absent",
        /// A server said that a tenant is not there (any more).
        TenantNotInServer = "tenant_not_in_server",
        /// A session got another server without its client noticing.
        SessionMoved = "session_moved",
        /// A link got the session's state by requests of its own.
        LinkSynced = "link_synced",
        /// A client prepared a statement.
        StatementPrepared = "statement_prepared",
        /// A statement was prepared on another link of its session, to run there.
        StatementPreparedAgain = "statement_prepared_again",
        /// A client closed a statement.
        StatementClosed = "statement_closed",
        /// A statement that had not run, or only reads, was sent to another server.
        RequestRetried = "request_retried",
        /// A server named a better one for a statement, which did not run.
        RequestRerouted = "request_rerouted",
        /// A client was told that its statement is lost; its session went on.
        StatementLost = "statement_lost",
        /// A send could not be finished in its turn; the rest was copied.
        Spill = "spill",
        /// A receive found no buffer.
        Starved = "starved",
        /// A connection had operations in flight long after its close.
        CloseStuck = "close_stuck",
        /// An administrator logged in.
        AdminLoggedIn = "admin_logged_in",
        /// A core was busy for longer than 50 ms in one turn: its clients waited.
        CoreStalled = "core_stalled",
        /// Mail could not be delivered at once: the receiver's inbox was full.
        MailBacklog = "mail_backlog",
    }
}

/// How much a log line matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Something is broken for somebody.
    Error,
    /// Something is degraded, or an outsider misbehaved.
    Warn,
    /// Normal life, rare.
    Info,
    /// Normal life, frequent.
    Debug,
}
