//! The login packet that a server gets.

use crate::auth::{Scramble, Stage1, native_answer, pass_through};
use crate::protocol::capability;
use crate::protocol::mysql::{Greeting, Login, NATIVE_PASSWORD, client, put_attribute, put_packet};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// How the password is proved.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// A client's answer to the proxy's scramble: valid on every server.
    PassThrough {
        /// The scramble that the client answered.
        scramble: Scramble,
        /// Its answer; empty for an empty password.
        answer: Vec<u8>,
    },
    /// The proxy knows SHA1 of the password: its own metadata user, and clients that told it.
    Stage1(Stage1),
}

/// Either opens servers: not shown.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PassThrough { .. } => "PassThrough",
            Self::Stage1(_) => "Stage1",
        })
    }
}

impl Proof {
    /// The client's answer; empty if there is none.
    #[must_use]
    pub fn answer(&self) -> &[u8] {
        match self {
            Self::PassThrough { answer, .. } => answer,
            Self::Stage1(_) => &[],
        }
    }
}

/// What a login needs to know of the user. Kept for every later link of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// `user@tenant`.
    pub user: Vec<u8>,
    /// The password's proof.
    pub proof: Proof,
    /// The client's capability bits; those that a link needs are added.
    pub capabilities: u32,
    /// The client's largest packet.
    pub max_packet: u32,
    /// The client's character set id.
    pub charset: u8,
    /// Database to log in to.
    pub database: Option<Vec<u8>>,
}

/// Who is connecting, for the connection attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Cluster name to be checked by the server (ERR 4666 on a mismatch); `None` when the operator
    /// gave none.
    pub cluster: Option<&'a str>,
    /// The session's connection id, unique over all proxies of a deployment.
    pub client_session_id: u32,
    /// Proxy address and port and a sequence: `ipv4 << 32 | port << 16 | sequence`.
    pub proxy_connection_id: u64,
    /// The client's address; `None` for the proxy's own connections.
    pub client: Option<(IpAddr, u16)>,
    /// When the client connected, microseconds since 1970.
    pub connected_unix_us: u64,
    /// Version that the server takes for the proxy's (>= 4.3.3.0: auth switch at login).
    pub proxy_version: &'a str,
    /// Bits of `__proxy_capability_flag`.
    pub capability: u64,
    /// Attributes of the client that are passed on (`__ob_client*`), encoded.
    pub forwarded: &'a [u8],
}

/// Bits that a server link may carry of what a client answered: all that a client was offered.
const KEPT: u32 = Greeting::OFFERED;

/// Appends the login packet, sequence 1, for a server that greeted with `greeting`.
///
/// Attributes and their order: OceanBase wire facts (C++ OBProxy's login).
pub fn put_login(out: &mut Vec<u8>, who: &Credentials, id: &Identity<'_>, greeting: &Greeting) {
    let mut attributes = Vec::with_capacity(640);
    let mut put = |key: &str, value: &[u8]| put_attribute(&mut attributes, key.as_bytes(), value);
    let computed;
    let (answer, scramble): (&[u8], _) = match &who.proof {
        Proof::PassThrough { scramble, answer } => (answer, scramble),
        Proof::Stage1(stage1) => {
            computed = native_answer(stage1, &greeting.scramble);
            (&computed, &greeting.scramble)
        }
    };
    put("__mysql_client_type", b"__ob_proxy");
    put(
        "__connection_id",
        greeting.connection_id.to_string().as_bytes(),
    );
    put(
        "__proxy_connection_id",
        id.proxy_connection_id.to_string().as_bytes(),
    );
    if let Some(cluster) = id.cluster {
        put("__cluster_name", cluster.as_bytes());
    }
    put("__global_vars_version", b"0");
    put(
        "__proxy_capability_flag",
        id.capability.to_string().as_bytes(),
    );
    if !answer.is_empty() {
        put(
            "__proxy_scramble",
            &pass_through(scramble, &greeting.scramble),
        );
    }
    if let Some((ip, port)) = id.client {
        put("__client_ip", ip.to_canonical().to_string().as_bytes());
        put("__client_addr_port", port.to_string().as_bytes());
    }
    put("__proxy_version", id.proxy_version.as_bytes());
    if id.capability & capability::CLIENT_SESSION_ID_V2 != 0 {
        put(
            "__client_session_id",
            id.client_session_id.to_string().as_bytes(),
        );
        put(
            "__client_connect_time",
            id.connected_unix_us.to_string().as_bytes(),
        );
    }
    attributes.extend_from_slice(id.forwarded);

    let mut capabilities = who.capabilities & KEPT
        | client::PROTOCOL_41
        | client::SECURE_CONNECTION
        | client::CONNECT_ATTRS
        | client::SESSION_TRACK;
    // The database of a session that moves is not always that of its client's login.
    match who.database {
        Some(_) => capabilities |= client::CONNECT_WITH_DB,
        None => capabilities &= !client::CONNECT_WITH_DB,
    }
    put_packet(out, 1, |b| {
        Login {
            capabilities,
            max_packet: who.max_packet,
            charset: who.charset,
            user: &who.user,
            auth: answer,
            database: who.database.as_deref(),
            plugin: Some(NATIVE_PASSWORD),
            attributes: &attributes,
        }
        .put(b);
    });
}
