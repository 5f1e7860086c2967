//! L3: one client connection as a machine.
//!
//! Data flows one way: client bytes -> [`Session`] -> route -> server link -> client. A session is
//! plain data: it can be written to bytes between any two inputs and rebuilt.
//!
//! * `state.rs`: the state and the entry point, timers, ends.
//! * `client_login.rs`: greeting, login packet, auth switch.
//! * `server_login.rs`: choosing a server, connecting, logging in.
//! * `request.rs`: what the client asks.
//! * `reply.rs`: what the server answers; `track.rs`: what the client is told of session state.
//! * `table.rs`: all sessions of one core and the replica they read.
//!
//! `LIFECYCLE.md` beside this file draws the states.

mod client_login;
mod ids;
mod reply;
mod request;
mod server_login;
mod state;
mod table;
mod track;

pub use ids::SessionIds;
pub use state::{Ctx, Session};
pub use table::Sessions;

/// What sessions need to know of the settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Version text of the greeting.
    pub version: Vec<u8>,
    /// Version told to servers (>= 4.3.3.0).
    pub proxy_version: String,
    /// Client connections of the process, for the text of a refusal.
    pub clients_max: u32,
    /// Sessions of one core, refused ones included.
    pub table_max: u32,
    /// From accept to the end of the login.
    pub login_timeout_ms: u64,
    /// For the TCP connect to one server.
    pub connect_timeout_ms: u64,
    /// From connect to the end of the login on one server.
    pub server_login_timeout_ms: u64,
    /// Separators of login names without `@` and `#`, in order.
    pub separators: Vec<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: b"5.7.25".to_vec(),
            proxy_version: "4.3.4.0".into(),
            clients_max: 8192,
            table_max: 8256,
            login_timeout_ms: 10_000,
            connect_timeout_ms: 1_000,
            server_login_timeout_ms: 5_000,
            separators: b":-.".to_vec(),
        }
    }
}
