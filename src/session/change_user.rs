//! COM_CHANGE_USER and COM_RESET_CONNECTION: the session begins anew on one link; the others go.

use super::client_login::Parsed;
use super::pin::Pins;
use super::request::Route;
use super::state::{Ctx, Phase, Session, put_error};
use super::wishes::Wishes;
use crate::auth::{LoginName, Scramble};
use crate::base::{Event, LinkId, Out, Stage};
use crate::link::{Credentials, Proof};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{
    CACHING_SHA2_PASSWORD, ChangeUser, Command, HEADER_LEN, client, put_packet,
};
use crate::routing::Mail;
use serde::{Deserialize, Serialize};

/// A COM_CHANGE_USER longer than this is refused: it must be seen whole.
const CHANGE_USER_MAX: usize = 64 << 10;
/// Character set of a session after COM_RESET_CONNECTION, whatever it logged in with: that of
/// utf8mb4_general_ci. Observed on seekdb 1.3.0.post5.
const CHARSET_AFTER_RESET: u8 = 45;
/// An auth switch has 44 bytes behind its header; no more is kept of a reply.
const SWITCH_MAX: usize = HEADER_LEN + 64;
/// The answer to an auth switch has 20 bytes behind its header; more is not kept.
const ANSWER_MAX: usize = HEADER_LEN + 32;

/// Bytes of a COM_CHANGE_USER that are still collected: one more than is allowed shows the excess.
pub(super) const fn room(collected: usize) -> usize {
    (CHANGE_USER_MAX + 1).saturating_sub(collected)
}

/// Who logs in by COM_CHANGE_USER. It counts once the server says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NewUser {
    name: LoginName,
    credentials: Credentials,
    /// No login can name its collation, which has a number above 255: other links are told by SET.
    is_wide: bool,
    /// The front of the server's reply: its auth switch, if there is one.
    switch: Vec<u8>,
    /// The packet that answers it; empty without one.
    answer: Vec<u8>,
}

impl NewUser {
    /// Takes bytes of the server's reply.
    pub(super) fn take_switch(&mut self, bytes: &[u8]) {
        let room = SWITCH_MAX - self.switch.len();
        let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.switch.extend_from_slice(bytes);
    }

    /// The scramble of the auth switch: `FE | plugin NUL | 20 bytes | NUL`. A server that was not
    /// told the proxy's own, because the login had no password, has another one.
    fn switched(&self) -> Option<Scramble> {
        let rest = self.switch.get(HEADER_LEN..)?.strip_prefix(b"\xFE")?;
        let name = rest.iter().position(|b| *b == 0)?;
        rest.get(name + 1..)?.first_chunk().copied()
    }

    /// Takes bytes of the client's turn.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let room = ANSWER_MAX - self.answer.len();
        let bytes = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.answer.extend_from_slice(bytes);
    }
}

impl Session {
    /// Sends COM_CHANGE_USER on with the name that servers know.
    pub(super) fn change_user(
        &mut self,
        ctx: &Ctx<'_>,
        seq: u8,
        packet: &[u8],
        out: &mut Out<'_, Mail>,
    ) {
        let next = seq.wrapping_add(1);
        let refuse = |this: &mut Self, fault, text: &str, out: &mut Out<'_, Mail>| {
            put_error(next, fault, text, out);
            if let Phase::Running(r) = &mut this.phase {
                r.is_replied = true;
            }
        };
        if packet.len() > CHANGE_USER_MAX {
            let text = format!("COM_CHANGE_USER is longer than {CHANGE_USER_MAX} bytes");
            return refuse(self, Fault::PacketTooLarge, &text, out);
        }
        let payload = packet.get(HEADER_LEN..).unwrap_or_default();
        let Ok(packet) = ChangeUser::parse(payload) else {
            return refuse(
                self,
                Fault::MalformedPacket,
                "malformed COM_CHANGE_USER packet",
                out,
            );
        };
        let (Some(current), Some(login)) = (self.name.as_deref(), self.login.as_deref()) else {
            return;
        };
        let name = match LoginName::parse(packet.user, &ctx.settings.separators, &current.tenant) {
            Ok(name) => name,
            Err(e) => {
                let user = String::from_utf8_lossy(packet.user).into_owned();
                let text = format!("Access denied for user '{user}': {e}");
                return refuse(self, Fault::AccessDenied, &text, out);
            }
        };
        let same_cluster = name.cluster.is_none() || name.cluster == current.cluster;
        if name.tenant != current.tenant || !same_cluster {
            let text = "COM_CHANGE_USER cannot change the tenant or the cluster of a connection";
            return refuse(self, Fault::NotSupported, text, out);
        }
        let user = name.for_server();
        let plugin_auth = self.facts.capabilities & client::PLUGIN_AUTH != 0;
        let database = Some(packet.database).filter(|name| !name.is_empty());
        let charset = packet.charset.and_then(|id| u8::try_from(id).ok());
        let is_wide = packet.charset.is_some() && charset.is_none();
        let credentials = Credentials {
            user: user.clone(),
            proof: Proof::PassThrough {
                scramble: self.scramble,
                answer: packet.auth.to_vec(),
            },
            capabilities: login.credentials.capabilities,
            max_packet: login.credentials.max_packet,
            charset: charset.unwrap_or(login.credentials.charset),
            database: database.map(<[u8]>::to_vec),
        };
        if login.tells_password && packet.plugin == Some(CACHING_SHA2_PASSWORD) {
            return self.change_user_by_password(ctx, seq, (name, credentials), out);
        }
        let new_user = NewUser {
            credentials,
            name,
            is_wide,
            switch: vec![],
            answer: vec![],
        };
        let id = self.binding.current;
        let Phase::Running(r) = &mut self.phase else {
            return;
        };
        r.route = Route::Forward(id);
        r.new_user = Some(Box::new(new_user));
        self.begin_on(id, Command::CHANGE_USER, 0);
        out.laps.now(Stage::ServerWait);
        let mut rewritten = out.pool.take();
        put_packet(&mut rewritten, seq, |b| packet.put(b, &user, plugin_auth));
        self.send_packet(id, &rewritten, out);
        out.pool.give(rewritten);
    }

    /// COM_CHANGE_USER or COM_RESET_CONNECTION succeeded on this link: nothing of before is left.
    pub(super) fn began_anew(
        &mut self,
        id: LinkId,
        new_user: Option<Box<NewUser>>,
        out: &mut Out<'_, Mail>,
    ) {
        self.drop_others(id, out);
        self.has_shown_rows(id);
        self.has_counted(id);
        self.binding.pins = Pins::NONE;
        self.binding.names.clear();
        self.binding.variables = None;
        self.binding.forget_begun();
        let database = match &new_user {
            Some(user) => user.credentials.database.clone(),
            None => self.known.database().map(<[u8]>::to_vec),
        };
        let charset = match &new_user {
            Some(user) if user.is_wide => self.known.charset(),
            _ => vec![],
        };
        self.known.clear();
        self.known.set_charset(&charset);
        self.statements.clear();
        if let Some(slot) = self.slot_mut(id) {
            slot.statements.clear();
            slot.is_fresh = new_user.is_none();
        }
        self.known.set_database(database.as_deref());
        let Some(user) = new_user else {
            self.wishes = Wishes::default();
            self.facts.set_limits(self.first_limits);
            self.dialect.clone_from(&self.first_dialect);
            self.dialect.forget_charset();
            if let Some(login) = &mut self.login {
                // The character set of the login is gone with the rest: on other links, too.
                login.credentials.charset = CHARSET_AFTER_RESET;
            }
            return;
        };
        self.first_limits = self.facts.limits();
        self.first_dialect.clone_from(&self.dialect);
        let switched = user.switched();
        let NewUser {
            name,
            mut credentials,
            answer,
            ..
        } = *user;
        // What verified is the answer to the switch, where there was one.
        if let (Some(scramble), Some(answer)) = (switched, answer.get(HEADER_LEN..)) {
            let answer = answer.to_vec();
            credentials.proof = Proof::PassThrough { scramble, answer };
        }
        let (forwarded, tells_password) = match self.login.take() {
            Some(login) => (login.forwarded, login.tells_password),
            None => Default::default(),
        };
        self.name = Some(Box::new(name.clone()));
        self.login = Some(Box::new(Parsed {
            credentials,
            name,
            forwarded,
            tells_password,
        }));
        out.count(Event::ClientChangedUser);
    }
}
