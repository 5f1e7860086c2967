//! The client's side of the login: greeting, login packet, auth switch. No server is involved, so a
//! probe or a slow client costs the cluster nothing.

use super::admin::TENANT;
use super::state::{Bytes, Ctx, Phase, Session};
use crate::auth::{LoginName, NameError, Scramble};
use crate::base::{CloseReason, Linger, Out, Side};
use crate::link::{Credentials, Proof};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{
    AuthSwitch, Command, Gather, Greeting, Login, LoginError, NATIVE_PASSWORD, client,
    put_attribute,
};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A login packet longer than this is refused: names, a database and some attributes.
const LOGIN_PACKET_MAX: usize = 64 << 10;

/// Where the client's login stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClientLogin {
    gather: Gather,
    /// Sequence number of the client's last packet, once there is one.
    seq: Option<u8>,
    /// The login, complete but for the answer to an auth switch.
    parsed: Option<Parsed>,
}

/// A login packet that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parsed {
    pub(super) credentials: Credentials,
    pub(super) name: LoginName,
    /// Attributes that servers get too (`__ob_client*`), encoded.
    pub(super) forwarded: Vec<u8>,
}

impl ClientLogin {
    /// True while the client has sent nothing: a probe, until it does.
    pub(super) fn is_untouched(&self) -> bool {
        self.seq.is_none() && !self.gather.is_partial()
    }

    /// Sequence number that the client expects of the next packet. After an auth switch that is the
    /// one behind its answer, whether it has come or not.
    pub(super) fn reply_seq(&self) -> u8 {
        let ahead = if self.parsed.is_some() { 3 } else { 1 };
        self.seq.map_or(2, |s| s.wrapping_add(ahead))
    }
}

impl Session {
    pub(super) fn greet(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let greeting = Greeting {
            version: ctx.settings.version.clone(),
            connection_id: self.id,
            capabilities: Greeting::OFFERED,
            charset: Greeting::CHARSET,
            scramble: self.scramble,
        };
        out.own(Side::Client, |b| greeting.put(b));
        self.phase = Phase::ClientLogin(Box::new(ClientLogin {
            gather: Gather::default(),
            seq: None,
            parsed: None,
        }));
    }

    /// Reads the login packet, or the answer to the auth switch.
    pub(super) fn login_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let mut at = at;
        let Phase::ClientLogin(login) = &mut self.phase else {
            return at;
        };
        let ClientLogin {
            gather,
            seq,
            parsed,
        } = &mut **login;
        let rest = bytes.data.get(at..).unwrap_or_default();
        let whole = match gather.feed(rest, &mut at, LOGIN_PACKET_MAX) {
            Ok(None) => return at,
            Ok(Some(whole)) => whole,
            Err(e) => {
                let next = login.reply_seq();
                let text = format!(
                    "Bad handshake: login packet of {} bytes, at most {}",
                    e.len, e.max
                );
                self.fail(next, Fault::BadHandshake, &text, CloseReason::BadLogin, out);
                return bytes.data.len();
            }
        };
        let want = seq.map_or(1, |s| s.wrapping_add(2));
        let got = whole.seq;
        let is_first = seq.is_none();
        if is_first && whole.payload == [Command::QUIT.0] {
            // A health check that reads the greeting and says goodbye.
            self.end(CloseReason::Probe, Linger::Flush, out);
            return bytes.data.len();
        }
        if got != want {
            let text = format!("Got packets out of order: sequence {got} where {want} stands");
            let next = got.wrapping_add(1);
            self.fail(
                next,
                Fault::PacketsOutOfOrder,
                &text,
                CloseReason::BadPacket,
                out,
            );
            return bytes.data.len();
        }
        *seq = Some(got);
        if let Some(mut done) = parsed.take() {
            if let Proof::PassThrough { answer, .. } = &mut done.credentials.proof {
                *answer = whole.payload.to_vec();
            }
            self.logged_in_by_client(ctx, done, got.wrapping_add(1), out);
            return at;
        }
        match parse(whole.payload, self.scramble, &self.peer, ctx) {
            Err(refusal) => {
                let next = got.wrapping_add(1);
                let Refusal {
                    fault,
                    text,
                    reason,
                } = refusal;
                self.fail(next, fault, &text, reason, out);
                bytes.data.len()
            }
            Ok((done, _)) if self.is_over_limit && done.name.tenant != TENANT => {
                let text = format!(
                    "Too many sessions: at most {} clients are served (client_max_connections)",
                    ctx.settings.clients_max
                );
                let next = got.wrapping_add(1);
                let reason = CloseReason::TooManyConnections;
                self.fail(next, Fault::TooManySessions, &text, reason, out);
                bytes.data.len()
            }
            Ok((done, needs_switch)) => {
                self.facts.capabilities = done.credentials.capabilities;
                let tracks = self.facts.capabilities & client::SESSION_TRACK != 0;
                self.facts.untold = tracks.then(Box::default);
                self.name = Some(Box::new(done.name.clone()));
                if !needs_switch {
                    self.logged_in_by_client(ctx, done, got.wrapping_add(1), out);
                    return at;
                }
                let scramble = self.scramble;
                *parsed = Some(done);
                out.own(Side::Client, |b| {
                    AuthSwitch::put(b, got.wrapping_add(1), &scramble)
                });
                at
            }
        }
    }
}

/// Why a login is refused before any server is asked.
struct Refusal {
    fault: Fault,
    text: String,
    reason: CloseReason,
}

impl Refusal {
    fn new(fault: Fault, text: impl ToString, reason: CloseReason) -> Self {
        Self {
            fault,
            text: text.to_string(),
            reason,
        }
    }

    /// Access denied in MySQL's words, the cause behind it.
    fn denied(login: &Login<'_>, peer: &SocketAddr, cause: impl ToString) -> Self {
        let password = if login.auth.is_empty() { "NO" } else { "YES" };
        let user = String::from_utf8_lossy(login.user);
        let ip = peer.ip().to_canonical();
        let text = format!(
            "Access denied for user '{user}'@'{ip}' (using password: {password}): {}",
            cause.to_string()
        );
        Self::new(Fault::AccessDenied, text, CloseReason::LoginRefused)
    }
}

/// Checks a login packet. The flag says that the client must be asked to answer by
/// mysql_native_password.
fn parse(
    payload: &[u8],
    scramble: Scramble,
    peer: &SocketAddr,
    ctx: &Ctx<'_>,
) -> Result<(Parsed, bool), Refusal> {
    let login = Login::parse(payload).map_err(|e| {
        let text = match e {
            LoginError::TlsRequest => "Bad handshake: TLS is not offered by this proxy".into(),
            e => format!("Bad handshake: {e}"),
        };
        Refusal::new(Fault::BadHandshake, text, CloseReason::BadLogin)
    })?;
    if login.capabilities & client::COMPRESS != 0 {
        let text = "compressed packets are not offered by this proxy; connect without compression";
        return Err(Refusal::new(
            Fault::NotSupported,
            text,
            CloseReason::BadLogin,
        ));
    }
    if login.auth.len() > 255 {
        let text = "Bad handshake: the authentication answer is longer than 255 bytes";
        return Err(Refusal::new(
            Fault::BadHandshake,
            text,
            CloseReason::BadLogin,
        ));
    }
    let name = LoginName::parse(login.user, &ctx.settings.separators, b"sys")
        .map_err(|e: NameError| Refusal::denied(&login, peer, e))?;
    if name.user.eq_ignore_ascii_case(b"proxyro") && name.tenant.eq_ignore_ascii_case(b"sys") {
        return Err(Refusal::denied(
            &login,
            peer,
            "the proxy's metadata user may not log in here",
        ));
    }
    let needs_switch = login.capabilities & client::PLUGIN_AUTH != 0
        && login
            .plugin
            .is_some_and(|p| !p.is_empty() && p != NATIVE_PASSWORD);
    let mut forwarded = vec![];
    for (key, value) in login.attributes() {
        if key.starts_with(b"__ob_client") {
            put_attribute(&mut forwarded, key, value);
        }
    }
    let credentials = Credentials {
        user: name.for_server(),
        proof: Proof::PassThrough {
            scramble,
            answer: login.auth.to_vec(),
        },
        capabilities: login.capabilities,
        max_packet: login.max_packet,
        charset: login.charset,
        database: login.database.map(<[u8]>::to_vec),
    };
    Ok((
        Parsed {
            credentials,
            name,
            forwarded,
        },
        needs_switch,
    ))
}
