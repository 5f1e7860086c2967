//! The client's side of the login: greeting, login packet, auth switch. No server is involved, so a
//! probe or a slow client costs the cluster nothing.
//!
//! A client that announces another method than mysql_native_password is switched to that one,
//! unless it is known to lack it (`full_login.rs`).

use super::admin::TENANT;
use super::driver::Said;
use super::full_login::{Exchange, tells_password};
use super::state::{Bytes, Ctx, Phase, Session};
use super::track::Untold;
use crate::auth::{LoginName, NameError, Scramble};
use crate::base::{CloseReason, Linger, Out, Side, Tick};
use crate::link::{Credentials, Proof};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{
    AuthSwitch, Command, Gather, Greeting, Login, LoginError, NATIVE_PASSWORD, client,
    put_attribute,
};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::net::SocketAddr;

/// A login packet longer than this is refused: names, a database and some attributes.
const LOGIN_PACKET_MAX: usize = 64 << 10;

/// Where the client's login stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ClientLogin {
    gather: Gather,
    /// Sequence number of the client's last packet, once there is one.
    seq: Option<u8>,
    /// The login, complete but for what is awaited: the answer to an auth switch, or a packet of
    /// `exchange`.
    parsed: Option<Parsed>,
    exchange: Option<Exchange>,
}

/// A login packet that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parsed {
    pub(super) credentials: Credentials,
    pub(super) name: LoginName,
    /// Attributes that servers get too (`__ob_client*`), encoded.
    pub(super) forwarded: Vec<u8>,
    /// The client tells its password, here and in COM_CHANGE_USER.
    pub(super) tells_password: bool,
}

impl ClientLogin {
    /// Before the first packet.
    fn new() -> Self {
        Self {
            gather: Gather::default(),
            seq: None,
            parsed: None,
            exchange: None,
        }
    }

    /// A login that goes on behind the client's packet of this number.
    pub(super) fn after(seq: u8) -> Self {
        Self {
            seq: Some(seq),
            ..Self::new()
        }
    }

    /// The login is complete but for this.
    pub(super) fn await_packet(&mut self, parsed: Parsed, next: Exchange) {
        (self.parsed, self.exchange) = (Some(parsed), Some(next));
    }

    /// When the proxy's key is to be looked for, if it is waited for.
    pub(super) const fn key_due(&self) -> Option<Tick> {
        match self.exchange {
            Some(Exchange::KeyWanted(due)) => Some(due),
            _ => None,
        }
    }

    /// Ends the waiting.
    pub(super) fn take_parsed(&mut self) -> Option<Parsed> {
        self.exchange = None;
        self.parsed.take()
    }

    /// True while the client has sent nothing: a probe, until it does.
    pub(super) fn is_untouched(&self) -> bool {
        self.seq.is_none() && !self.gather.is_partial()
    }

    /// Sequence number that the client expects of the next packet. While it has to send something
    /// that is the one behind that, whether it has come or not.
    pub(super) fn reply_seq(&self) -> u8 {
        let is_its_turn = self.parsed.is_some() && self.key_due().is_none();
        let ahead = if is_its_turn { 3 } else { 1 };
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
        self.phase = Phase::ClientLogin(Box::new(ClientLogin::new()));
    }

    /// Reads the login packet, or what the client has to send behind it.
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
            exchange,
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
            if let Some(exchange) = exchange.take() {
                let step = exchange.step(whole.payload, &self.scramble, ctx.unseal);
                self.exchanged(ctx, done, step, got.wrapping_add(1), out);
                return at;
            }
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
            Ok((done, ..)) if self.is_over_limit && done.name.tenant != TENANT => {
                let text = format!(
                    "Too many sessions: at most {} clients are served (client_max_connections)",
                    ctx.settings.clients_max
                );
                let next = got.wrapping_add(1);
                let reason = CloseReason::TooManyConnections;
                self.fail(next, Fault::TooManySessions, &text, reason, out);
                bytes.data.len()
            }
            Ok((done, needs_switch, said)) => {
                self.facts.capabilities = done.credentials.capabilities;
                let tracks = self.facts.capabilities & client::SESSION_TRACK != 0;
                self.facts.is_named_driver = said.is_named;
                self.facts.untold = tracks.then(|| Box::new(Untold::new(said.granted)));
                self.name = Some(Box::new(done.name.clone()));
                let next = got.wrapping_add(1);
                if done.tells_password {
                    let answer = done.credentials.proof.answer().to_vec();
                    self.begin_exchange(ctx, done, &answer, next, out);
                    return at;
                }
                if !needs_switch {
                    self.logged_in_by_client(ctx, done, next, out);
                    return at;
                }
                let scramble = self.scramble;
                *parsed = Some(done);
                out.own(Side::Client, |b| AuthSwitch::put(b, next, &scramble));
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
    fn denied(login: &Login<'_>, peer: &SocketAddr, cause: impl Display) -> Self {
        let text = denied(login.user, peer, !login.auth.is_empty(), cause);
        Self::new(Fault::AccessDenied, text, CloseReason::LoginRefused)
    }
}

/// Access denied in MySQL's words, the cause behind it.
pub(super) fn denied(
    user: &[u8],
    peer: &SocketAddr,
    has_password: bool,
    cause: impl Display,
) -> String {
    let password = if has_password { "YES" } else { "NO" };
    let user = String::from_utf8_lossy(user);
    let ip = peer.ip().to_canonical();
    format!("Access denied for user '{user}'@'{ip}' (using password: {password}): {cause}")
}

/// Checks a login packet. The flag says that the client must be asked to answer by
/// mysql_native_password; what a driver of OceanBase has said stands behind it.
fn parse(
    payload: &[u8],
    scramble: Scramble,
    peer: &SocketAddr,
    ctx: &Ctx<'_>,
) -> Result<(Parsed, bool, Said), Refusal> {
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
    let rule = ctx.settings.full_authentication;
    let tells_password = needs_switch && ctx.unseal.is_some() && tells_password(&login, rule);
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
            tells_password,
        },
        needs_switch,
        Said::of(&login, ctx.settings.driver_frames),
    ))
}
