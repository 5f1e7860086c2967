//! Full authentication: a client without mysql_native_password tells the proxy its password.
//!
//! Servers store SHA1(SHA1(password)), so the only answers that they can check are those of
//! mysql_native_password, and a client that has this method is asked to use it
//! (`client_login.rs`). A client library without it hangs up then. Its caching_sha2_password can
//! send the password itself, sealed with the proxy's RSA key; the proxy keeps SHA1 of it, all that
//! answering servers needs, and answers each server's scramble itself.
//!
//! **Which clients.** Clients do not say which methods they have. Observed with libmysqlclient
//! 8.0.33, 8.4.0, 9.0.0, 9.4.0, 9.7.0 and 26.10.0, greeted with mysql_native_password: all that
//! have the method announce it, whether it is built in (up to 9.0.0) or a file that they load; one
//! that does not find the file announces caching_sha2_password with an empty answer. So does one
//! that was told to by `default-auth`, and so may libraries before 8.0.33. Therefore the rule
//! `auto` of `full_authentication` asks those for their password that announce
//! caching_sha2_password and say in their attributes that they are `libmysql` of version 9 or
//! later. Who could log in before still can, but for a library 9 that has the method, was told to
//! use the other one, and may not take a server's key (`get-server-public-key`): `never` is for
//! such clients. `always` is for other libraries without the method; it shuts out clients that may
//! not take a key, which is how libmysqlclient begins.
//!
//! **Cost.** 0.5 ms of a core for each block, and a session ends at its first bad one. The key is
//! drawn at each start, in the background; a client that asks for it earlier waits.
//!
//! A client that sends its password in clear text (mysql-connector-python without TLS) is refused,
//! as MySQL does.

use super::aim::Aim;
use super::client_login::{ClientLogin, Parsed, denied};
use super::dialect::Dialect;
use super::state::{Ctx, Phase, Session};
use super::wishes::Wishes;
use crate::auth::{LoginName, NoKey, Scramble, Unseal, stage1_of_sealed};
use crate::base::{CloseReason, Event, LinkId, Out, Side, Tick};
use crate::config::FullAuthentication;
use crate::link::{Credentials, Proof};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{AuthMore, AuthSwitch, CACHING_SHA2_PASSWORD, Login};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};

/// The first major version of libmysqlclient that may come without mysql_native_password. Source:
/// release notes of MySQL 9.0.0.
const WITHOUT_NATIVE: u32 = 9;
/// While the key is being drawn it is looked for this often.
const KEY_AGAIN_MS: u64 = 20;

/// What the client has to send next.
///
/// ```text
/// switch to caching_sha2_password ──> Switched ── nothing, or NUL ──> no password
///                                        │ an answer, which nobody can check
///      "full authentication" (01 04) <───┘
///              └──> Asked ── 02 ──> [KeyWanted ── key drawn ──>] the key ──> KeySent
///                     └──────────── sealed password ────────────────────────────┘
///                                          └──> SHA1 of the password
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Exchange {
    /// The answer to the scramble.
    Switched,
    /// A request for the key, or the sealed password by a key that it has.
    Asked,
    /// Nothing: it waits for the key, which is looked for at this time.
    KeyWanted(Tick),
    /// The sealed password.
    KeySent,
}

/// What comes of a packet of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is to send its password.
    Ask,
    /// It gets the key.
    GiveKey,
    /// It has proved who it is as far as that can be done here.
    Proved(Proof),
}

impl Exchange {
    /// The client has sent `packet`. An error says why it cannot log in.
    pub(super) fn step(
        self,
        packet: &[u8],
        scramble: &Scramble,
        key: Option<&dyn Unseal>,
    ) -> Result<Step, String> {
        match (self, packet) {
            (Self::Switched, [] | [0]) => Ok(Step::Proved(no_password(scramble))),
            (Self::Switched, _) => Ok(Step::Ask),
            (Self::Asked, [AuthMore::KEY_REQUEST]) => Ok(Step::GiveKey),
            (Self::KeySent, [AuthMore::KEY_REQUEST]) => {
                Err("the public key was sent already".into())
            }
            (Self::KeyWanted(_), _) => Err("a packet where the client has to wait".into()),
            (Self::Asked | Self::KeySent, block) => {
                let key = key.ok_or("this proxy has no key pair")?;
                let stage1 = stage1_of_sealed(key, block, scramble).map_err(|e| e.to_string())?;
                let proof = stage1.map_or_else(|| no_password(scramble), Proof::Stage1);
                Ok(Step::Proved(proof))
            }
        }
    }
}

/// Servers take the empty answer for an empty password.
const fn no_password(scramble: &Scramble) -> Proof {
    Proof::PassThrough {
        scramble: *scramble,
        answer: vec![],
    }
}

/// True if the client of this login is to tell its password.
pub(super) fn tells_password(login: &Login<'_>, rule: FullAuthentication) -> bool {
    if login.plugin != Some(CACHING_SHA2_PASSWORD) {
        return false;
    }
    match rule {
        FullAuthentication::Always => true,
        FullAuthentication::Never => false,
        FullAuthentication::Auto => lacks_native(login),
    }
}

fn lacks_native(login: &Login<'_>) -> bool {
    let attribute = |wanted: &[u8]| {
        let mut attributes = login.attributes();
        let found = attributes.find(|(name, _)| *name == wanted);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    let major = attribute(b"_client_version").and_then(|v| v.split('.').next()?.parse().ok());
    attribute(b"_client_name") == Some("libmysql")
        && major.is_some_and(|major: u32| major >= WITHOUT_NATIVE)
}

impl Session {
    /// The client has said who it is, and `answer` in the same packet; `seq` is the number of the
    /// next packet that it gets.
    pub(super) fn begin_exchange(
        &mut self,
        ctx: &Ctx<'_>,
        done: Parsed,
        answer: &[u8],
        seq: u8,
        out: &mut Out<'_, Mail>,
    ) {
        if !answer.is_empty() {
            let step = Exchange::Switched.step(answer, &self.scramble, ctx.unseal);
            return self.exchanged(ctx, done, step, seq, out);
        }
        // Empty because the scramble came with the name of another method, or because the password
        // is.
        let scramble = self.scramble;
        out.own(Side::Client, |b| {
            AuthSwitch::put_to(b, seq, CACHING_SHA2_PASSWORD, &scramble);
        });
        self.await_packet(done, Exchange::Switched);
    }

    fn await_packet(&mut self, done: Parsed, next: Exchange) {
        if let Phase::ClientLogin(login) = &mut self.phase {
            login.await_packet(done, next);
        }
    }

    /// A packet of the client had this outcome.
    pub(super) fn exchanged(
        &mut self,
        ctx: &Ctx<'_>,
        mut done: Parsed,
        step: Result<Step, String>,
        seq: u8,
        out: &mut Out<'_, Mail>,
    ) {
        match step {
            Ok(Step::Ask) => {
                out.own(Side::Client, |b| {
                    AuthMore::put(b, seq, &[AuthMore::FULL_AUTHENTICATION]);
                });
                self.await_packet(done, Exchange::Asked);
            }
            Ok(Step::GiveKey) => self.give_key(ctx, done, seq, out),
            Ok(Step::Proved(proof)) => {
                done.credentials.proof = proof;
                out.count(Event::PasswordTold);
                self.logged_in_by_client(ctx, done, seq, out);
            }
            Err(cause) => self.refuse_exchange(&done, &cause, seq, out),
        }
    }

    fn give_key(&mut self, ctx: &Ctx<'_>, done: Parsed, seq: u8, out: &mut Out<'_, Mail>) {
        let pem = ctx.unseal.map_or(Err(NoKey::Failed), Unseal::public_pem);
        match pem {
            Ok(pem) => {
                out.own(Side::Client, |b| AuthMore::put(b, seq, pem));
                self.await_packet(done, Exchange::KeySent);
            }
            Err(NoKey::NotYet) => {
                let due = ctx.now.after_ms(KEY_AGAIN_MS);
                self.await_packet(done, Exchange::KeyWanted(due));
            }
            Err(NoKey::Failed) => {
                self.refuse_exchange(&done, "this proxy has no key pair", seq, out);
            }
        }
    }

    /// The key may have been drawn.
    pub(super) fn key_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        if let Phase::ClientLogin(login) = &mut self.phase
            && login.key_due().is_some_and(|due| due <= ctx.now)
        {
            let seq = login.reply_seq();
            if let Some(done) = login.take_parsed() {
                self.give_key(ctx, done, seq, out);
            }
        }
    }

    fn refuse_exchange(&mut self, done: &Parsed, cause: &str, seq: u8, out: &mut Out<'_, Mail>) {
        let text = denied(&done.credentials.user, &self.peer, true, cause);
        let reason = CloseReason::LoginRefused;
        self.fail(seq, Fault::AccessDenied, &text, reason, out);
    }

    /// COM_CHANGE_USER of a client that told its password at the login: the exchange again, then a
    /// login on a new link, because no server can take part in the exchange. Like at MySQL's, the
    /// session that was is over as soon as the command has come.
    pub(super) fn change_user_by_password(
        &mut self,
        ctx: &Ctx<'_>,
        seq: u8,
        (name, credentials): (LoginName, Credentials),
        out: &mut Out<'_, Mail>,
    ) {
        out.laps.over();
        for at in 0..self.links.len() {
            self.close_idle(LinkId(at as u16), out);
        }
        self.binding.begin_anew(u64::from(self.id));
        // Servers know a client session by its number and this time: to them it is another one.
        self.connected_unix_us += 1;
        self.aim = Aim::default();
        self.known.clear();
        self.statements.clear();
        self.wishes = Wishes::default();
        self.dialect = Dialect::default();
        self.login_deadline = Some(ctx.now.after_ms(ctx.settings.login_timeout_ms));
        self.name = Some(Box::new(name.clone()));
        self.phase = Phase::ClientLogin(Box::new(ClientLogin::after(seq)));
        let forwarded = self.login.as_ref().map(|login| login.forwarded.clone());
        let answer = credentials.proof.answer().to_vec();
        let done = Parsed {
            credentials,
            name,
            forwarded: forwarded.unwrap_or_default(),
            tells_password: true,
        };
        self.begin_exchange(ctx, done, &answer, seq.wrapping_add(1), out);
    }
}
