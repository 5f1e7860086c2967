//! L3: one client connection as a machine.
//!
//! Data flows one way: client bytes -> [`Session`] -> route -> server link -> client. A session is
//! plain data: it can be written to bytes between any two inputs and rebuilt.
//!
//! * `state.rs`: the state and the entry point, timers, ends.
//! * `client_login.rs`: greeting, login packet, auth switch; `full_login.rs`: clients without the
//!   method that servers can check tell their password.
//! * `server_login.rs`: choosing a server, connecting, logging in.
//! * `change_user.rs`: what begins the session anew.
//! * `gather.rs`: waiting for a request to be whole; `request.rs`: where its bytes go.
//! * `dialect.rs`: what variables say about reading statements; `wishes.rs`: about routing them.
//! * `pin.rs`: whether a request is bound to a link, and why; `route.rs`: which link it runs on.
//! * `free_route.rs`: statements of one transaction on several servers.
//! * `aim.rs`: the server of a statement that is not bound, and what its reply says about that;
//!   `utf8.rs`: names in another character set.
//! * `known/`: what the session has and each link lacks; `sync.rs`: bringing it there.
//! * `statements.rs`: prepared statements, and which link has which; `execute.rs`: requests that
//!   name one.
//! * `kill.rs`: KILL of sessions of this proxy.
//! * `loss.rs`: what a lost server means for statement and session.
//! * `slot.rs`: one link of the session; `frames.rs`: the framing of links.
//! * `reply.rs`: what the server answers; `track.rs`: what the client is told of session state.
//! * `admin.rs`: a session of `root@proxysys`, which no server sees.
//! * `table.rs`: all sessions of one core and the replica they read.
//!
//! `LIFECYCLE.md` beside this file draws the states.

mod admin;
mod aim;
mod change_user;
mod client_frames;
mod client_login;
mod define;
mod dialect;
mod driver;
mod execute;
mod frames;
mod free_route;
mod full_login;
mod gather;
mod ids;
mod kill;
mod known;
mod loss;
mod outline;
mod pin;
mod reply;
mod request;
mod reroute;
mod route;
mod server_login;
mod slot;
mod state;
mod statements;
mod sync;
mod table;
mod track;
mod utf8;
mod wishes;

use crate::config::{self, FullAuthentication, RoutingMode, ServerProtocol};
use crate::protocol::capability;
use crate::routing::BlockRules;
use std::sync::Arc;
use std::time::Duration;

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
    /// Client connections of the process; one more may only be an administrator.
    pub clients_max: u32,
    /// Which clients tell their password.
    pub full_authentication: FullAuthentication,
    /// From accept to the end of the login.
    pub login_timeout_ms: u64,
    /// For the TCP connect to one server.
    pub connect_timeout_ms: u64,
    /// From connect to the end of the login on one server.
    pub server_login_timeout_ms: u64,
    /// How long a statement may be unanswered for longer than its server lets it run.
    pub query_timeout_delta_ms: u64,
    /// A server that has not answered anybody for so long is suspect; 0: none is.
    pub suspect_ms: u64,
    /// When a server gets no new work for a while.
    pub blocks: BlockRules,
    /// Bits of `__proxy_capability_flag` that servers are asked for.
    pub capability: u64,
    /// Where a statement goes that may run anywhere.
    pub routing: RoutingMode,
    /// Statements of one transaction may run on several servers.
    pub moves_transactions: bool,
    /// Drivers of OceanBase may have OceanBase 2.0 framing.
    pub driver_frames: bool,
    /// All of them, for the rules of routing; `None`: the defaults.
    pub process: Option<Arc<config::Settings>>,
    /// Rises with each change of the settings; not 0.
    pub number: u64,
    /// Separators of login names without `@` and `#`, in order.
    pub separators: Vec<u8>,
    /// The administrator's login.
    pub admin: AdminLogin,
}

/// What `root@proxysys` needs to log in.
#[derive(Clone, Debug, Default)]
pub struct AdminLogin {
    /// SHA1 of the password; `None` is no password.
    pub password: Option<[u8; 20]>,
    /// The password is the published default: it is good from this machine only.
    pub is_published: bool,
    /// Public addresses may log in.
    pub from_anywhere: bool,
}

/// Separators of login names without `@` and `#`, in order. Source: OBProxy's default of
/// `username_separator`.
const NAME_SEPARATORS: &[u8] = b":-.";

/// What servers are asked for. Requests are never compressed: they are small.
#[must_use]
pub const fn asked(protocol: ServerProtocol, level: Option<u8>) -> u64 {
    match (protocol, level) {
        (ServerProtocol::MySql, _) => capability::PLAIN,
        (ServerProtocol::Compressed, _) => capability::COMPRESSED,
        (_, None | Some(0)) => capability::OB20,
        _ => capability::OB20 | capability::OB_PROTOCOL_V2_COMPRESS,
    }
}

fn block_rules(settings: &config::Settings) -> BlockRules {
    BlockRules {
        threshold: match settings.enable_congestion {
            true => settings.congestion_failure_threshold,
            false => 0,
        },
        window_ms: millis(settings.congestion_fail_window),
        retry_ms: millis(settings.congestion_retry_interval),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

impl Settings {
    /// What the settings of the process say.
    #[must_use]
    pub fn of(settings: &config::Settings) -> Self {
        let published = config::Row::find("obproxy_sys_password").map(|row| row.default);
        let password = settings.obproxy_sys_password;
        Self {
            version: settings.mysql_version.clone().into_bytes(),
            proxy_version: config::COMPATIBILITY_VERSION.into(),
            clients_max: settings.client_max_connections,
            full_authentication: settings.full_authentication,
            login_timeout_ms: millis(settings.client_login_timeout),
            connect_timeout_ms: millis(settings.server_connect_timeout),
            server_login_timeout_ms: millis(settings.server_login_timeout),
            query_timeout_delta_ms: millis(settings.observer_query_timeout_delta),
            suspect_ms: match settings.server_detect_mode {
                0 => 0,
                _ => millis(settings.server_detect_refresh_interval),
            },
            blocks: block_rules(settings),
            capability: asked(settings.server_protocol, settings.compression_algorithm),
            routing: settings.server_routing_mode,
            moves_transactions: settings.enable_transaction_internal_routing,
            driver_frames: settings.enable_ob_protocol_v2_with_client,
            process: Some(Arc::new(settings.clone())),
            number: 1,
            separators: NAME_SEPARATORS.to_vec(),
            admin: AdminLogin {
                password,
                is_published: password.is_none()
                    || published.is_some_and(|hex| config::stage1_of(hex) == password),
                from_anywhere: settings.skip_proxy_sys_private_check,
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: b"5.7.25".to_vec(),
            proxy_version: "4.3.4.0".into(),
            clients_max: 8192,
            full_authentication: FullAuthentication::default(),
            login_timeout_ms: 10_000,
            connect_timeout_ms: 1_000,
            server_login_timeout_ms: 5_000,
            query_timeout_delta_ms: 20_000,
            suspect_ms: 1_000,
            blocks: BlockRules::default(),
            capability: asked(ServerProtocol::Auto, None),
            routing: RoutingMode::default(),
            moves_transactions: true,
            driver_frames: false,
            process: None,
            number: 1,
            separators: NAME_SEPARATORS.to_vec(),
            admin: AdminLogin::default(),
        }
    }
}
