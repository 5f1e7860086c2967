//! An OBServer in proxy mode, as far as one connection sees it. Shares no code with links or
//! sessions.

use super::binding::{self, Id};
use super::cluster::Cluster;
use super::framing::{Damage, Wire};
use super::killing::{INTERRUPTED, connection_of};
use super::script;
use super::tables::table_of;
use crate::base::{Cursor, Rng};
use crate::protocol::mysql::{Greeting, Login};
use std::net::SocketAddr;

/// The text of errors that mean no more than their number.
pub(super) const REFUSED: &str = "refused by the script";
/// The number of the error that ends an interrupted statement.
const INTERRUPT: u16 = 1317;

/// Password of every user of the world.
pub(super) const PASSWORD: &[u8] = b"secret";

/// What goes wrong on one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Trouble {
    /// In place of the greeting: this error.
    pub(super) greeting_error: Option<u16>,
    /// Says nothing at all.
    pub(super) is_silent: bool,
    /// In place of the greeting: bytes that are not MySQL.
    pub(super) is_stranger: bool,
    /// Answers the login with this error.
    pub(super) login_error: Option<u16>,
    /// The connection breaks after so many bytes of replies.
    pub(super) breaks_after: Option<usize>,
    /// So many statements are answered, then one with an impossible packet.
    pub(super) garbles: Option<u64>,
    /// So many replies are right, then one is not, if its framing shows it.
    pub(super) damage: Option<(u64, Damage)>,
    /// So many statements that leave nothing behind are answered, then nothing any more.
    pub(super) hangs: Option<u64>,
}

enum State {
    New,
    Login,
    Ready,
    /// COM_CHANGE_USER waits for the answer to its switch.
    Switch,
    /// LOAD DATA LOCAL waits for the file: sequence number of the next answer.
    File,
    /// A statement runs for ever; sequence number of its answer.
    Hangs(u8),
    Ended,
}

/// One connection of a server.
pub(super) struct Server {
    id: u32,
    scramble: [u8; 20],
    state: State,
    input: Vec<u8>,
    /// Scramble that the client answered, told by the proxy.
    asked: [u8; 20],
    trouble: Trouble,
    /// Status bits, set by `begin` and `commit`.
    pub(super) status: u16,
    wire: Wire,
    /// Where it is, and the tenant that is logged in.
    pub(super) address: SocketAddr,
    tenant: Vec<u8>,
    /// Whose connection it is.
    session: Id,
    /// What it knows of the session's transaction.
    stamp: u64,
}

/// What the server does after some input.
pub(super) enum Act {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Closes.
    Close,
}

impl Server {
    /// `moves`: see [`Wire::new`].
    pub(super) fn new(
        id: u32,
        rng: &mut Rng,
        trouble: Trouble,
        address: SocketAddr,
        session: Id,
        moves: bool,
    ) -> Self {
        let mut scramble = [0; 20];
        scramble.fill_with(|| b'A' + rng.below(26) as u8);
        let mut wire = Wire::new(rng, moves);
        wire.damage = trouble.damage;
        Self {
            id,
            scramble,
            state: State::New,
            input: vec![],
            asked: [0; 20],
            trouble,
            status: 0x22,
            wire,
            address,
            tenant: vec![],
            session,
            stamp: 0,
        }
    }

    /// Its connection id.
    pub(super) const fn connection(&self) -> u32 {
        0xC000_0000 | self.id
    }

    /// The connection stands.
    pub(super) fn open(&mut self) -> Vec<Act> {
        self.state = State::Login;
        if self.trouble.is_silent {
            self.state = State::Ended;
            return vec![];
        }
        if self.trouble.is_stranger {
            self.state = State::Ended;
            return vec![Act::Send(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())];
        }
        if let Some(code) = self.trouble.greeting_error {
            self.state = State::Ended;
            return vec![Act::Send(script::error(0, code, REFUSED)), Act::Close];
        }
        let mut out = vec![];
        Greeting {
            version: b"5.7.25".to_vec(),
            connection_id: self.connection(),
            capabilities: 0x309C_F7DF,
            charset: 46,
            scramble: self.scramble,
        }
        .put(&mut out);
        vec![Act::Send(out)]
    }

    /// Bytes came.
    pub(super) fn bytes(&mut self, bytes: &[u8], cluster: &mut Cluster) -> Vec<Act> {
        let (mut at, mut inflated) = (0, vec![]);
        let mut acts = vec![];
        loop {
            let input = &mut self.input;
            let is_more = self.wire.take(bytes, &mut at, &mut inflated, input);
            self.answer(cluster, &mut acts);
            if !is_more {
                return acts;
            }
        }
    }

    /// Answers what has come.
    fn answer(&mut self, cluster: &mut Cluster, acts: &mut Vec<Act>) {
        while let Some((seq, payload)) = self.take() {
            let is_login = matches!(self.state, State::Login);
            let before = acts.len();
            self.request(seq, &payload, cluster, acts);
            if is_login {
                continue;
            }
            for act in &mut acts[before..] {
                if let Act::Send(reply) = act {
                    *reply = self.wire.answer(reply);
                }
            }
        }
    }

    /// A whole logical packet and the number of its last part.
    fn take(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut at, mut payload) = (0, vec![]);
        loop {
            let mut c = Cursor::new(self.input.get(at..)?);
            let len = c.u24().ok()? as usize;
            let seq = c.u8().ok()?;
            payload.extend_from_slice(c.take(len).ok()?);
            at += 4 + len;
            if len < 0xFF_FFFF {
                self.input.drain(..at);
                return Some((seq, payload));
            }
        }
    }

    fn request(&mut self, seq: u8, payload: &[u8], cluster: &mut Cluster, acts: &mut Vec<Act>) {
        let next = seq.wrapping_add(1);
        match self.state {
            State::New | State::Hangs(_) | State::Ended => {}
            State::Login => self.login(next, payload, cluster, acts),
            State::Switch => {
                self.state = State::Ready;
                if payload == script::native(PASSWORD, &self.asked) {
                    self.status = 0x22;
                    let granted = self.wire.granted();
                    acts.push(Act::Send(script::packet(next, &login_ok(&granted))));
                } else {
                    acts.push(Act::Send(denied(next)));
                    acts.push(Act::Close);
                    self.state = State::Ended;
                }
            }
            State::File => {
                if payload.is_empty() {
                    self.state = State::Ready;
                    let effect = script::effect(0xFF, 7, self.status, false);
                    acts.push(Act::Send(script::for_proxy(&effect, next)));
                }
            }
            State::Ready => self.command(next, payload, cluster, acts),
        }
    }

    fn login(&mut self, next: u8, payload: &[u8], cluster: &Cluster, acts: &mut Vec<Act>) {
        let refuse = |this: &mut Self, acts: &mut Vec<Act>, code| {
            this.state = State::Ended;
            acts.push(Act::Send(error_and_ok(next, code, REFUSED)));
            acts.push(Act::Close);
        };
        let Ok(login) = Login::parse(payload) else {
            return refuse(self, acts, 1043);
        };
        if let Some(code) = self.trouble.login_error {
            return refuse(self, acts, code);
        }
        let value = |key: &[u8]| login.attributes().find(|(k, _)| *k == key).map(|(_, v)| v);
        if value(b"__mysql_client_type") != Some(b"__ob_proxy") {
            return refuse(self, acts, 1045);
        }
        self.asked = self.scramble;
        if let Some(x) = value(b"__proxy_scramble") {
            for (a, x) in self.asked.iter_mut().zip(x) {
                *a ^= x;
            }
        }
        let user = login.user;
        let is_right = login.auth == script::native(PASSWORD, &self.asked);
        let is_known = matches!(user, b"app@sys" | b"app@one")
            || (user == b"proxyro@sys" && cluster.proxyro_ok);
        self.tenant = user
            .rsplit(|b| *b == b'@')
            .next()
            .unwrap_or_default()
            .to_vec();
        if !cluster.has(&self.tenant, self.address) {
            return refuse(self, acts, 5150);
        }
        if !is_right || !is_known {
            return refuse(self, acts, 1045);
        }
        self.state = State::Ready;
        let granted = self.wire.granted();
        acts.push(Act::Send(script::packet(next, &login_ok(&granted))));
        let asked = value(b"__proxy_capability_flag").unwrap_or_default();
        self.wire.agree(asked, self.connection());
    }

    fn command(&mut self, next: u8, payload: &[u8], cluster: &mut Cluster, acts: &mut Vec<Act>) {
        let Some((&command, rest)) = payload.split_first() else {
            return;
        };
        if command == 0x03
            && let Some(answer) = cluster.answer(rest, next)
        {
            acts.push(Act::Send(answer));
            return;
        }
        if let Some(stamp) = self.wire.sent_stamp() {
            // It is here, whatever becomes of the request.
            self.stamp = stamp;
            self.wire.open = self.wire.open.map(|_| stamp);
        }
        // Other replies may begin with an EOF.
        if matches!(command, 0x03 | 0x16 | 0x17) && is_now(&mut self.trouble.garbles) {
            acts.push(Act::Send(script::packet(next, &[0xFE, 0, 0, 2, 0])));
            return;
        }
        if command == 0x03 && rest.starts_with(QUIET) && is_now(&mut self.trouble.hangs) {
            cluster.has_run(statement(command, rest));
            self.state = State::Hangs(next);
            return;
        }
        match command {
            0x01 => {
                self.state = State::Ended;
                acts.push(Act::Close);
            }
            0x18 | 0x19 => {}
            0x11 => {
                self.state = State::Switch;
                let mut p = b"\xfemysql_native_password\0".to_vec();
                p.extend_from_slice(&self.asked);
                p.push(0);
                acts.push(Act::Send(script::packet(next, &p)));
            }
            0x03 if rest.starts_with(b"load") => {
                self.state = State::File;
                acts.push(Act::Send(script::packet(next, b"\xfbfile")));
            }
            // A proxy brings the state of a session here.
            0x03 if rest.starts_with(b"SET ") => {
                let ok = script::proxy_ok(0, self.status, "", &[], &[], None);
                acts.push(Act::Send(script::packet(next, &ok)));
            }
            0x03 if rest.starts_with(b"KILL") => {
                cluster.interrupted.extend(connection_of(rest));
                let ok = script::proxy_ok(0, self.status, "", &[], &[], None);
                acts.push(Act::Send(script::packet(next, &ok)));
            }
            _ if !cluster.has(&self.tenant, self.address) => {
                self.state = State::Ended;
                acts.push(Act::Send(error_and_ok(next, 5150, REFUSED)));
                acts.push(Act::Close);
            }
            _ => {
                let (command, seed) = statement(command, rest);
                let table = table_of(rest).filter(|_| command == READS);
                let is_astray = table.is_some_and(|t| cluster.leader(t) != self.address);
                if let Some(table) = table.filter(|_| is_astray && self.wire.may_reroute()) {
                    acts.push(Act::Send(cluster.reroute(table, seed, next)));
                    return;
                }
                cluster.has_run((command, seed));
                let connection = self.connection();
                let open = cluster.bind(self.session, connection, command, self.stamp);
                self.wire.open = open;
                self.stamp = open.unwrap_or_default();
                self.status = match command == READS || binding::is_one(command) {
                    // Wherever the transaction began.
                    true => self.status & !1 | u16::from(open.is_some()),
                    false => status_after(command, seed, self.status),
                };
                let effect = script::effect(command, seed, self.status, cluster.is_big);
                let effect = match binding::told(command) {
                    Some(change) => script::with(effect, change),
                    None => effect,
                };
                let effect = match is_astray {
                    true => script::missed(effect),
                    false => effect,
                };
                acts.push(Act::Send(script::for_proxy(&effect, next)));
            }
        }
    }

    /// Somebody ends the statement that hangs, if one does here.
    pub(super) fn interrupt(&mut self, connection: u32) -> Option<Act> {
        let State::Hangs(seq) = self.state else {
            return None;
        };
        if connection != self.connection() {
            return None;
        }
        self.state = State::Ready;
        let reply = error_and_ok(seq, INTERRUPT, INTERRUPTED);
        Some(Act::Send(self.wire.answer(&reply)))
    }

    /// Cuts replies where this connection is to break; true: it breaks now.
    pub(super) fn cut(&mut self, bytes: &mut Vec<u8>) -> bool {
        let Some(left) = &mut self.trouble.breaks_after else {
            return false;
        };
        if bytes.len() <= *left {
            *left -= bytes.len();
            return false;
        }
        bytes.truncate(*left);
        self.state = State::Ended;
        true
    }
}

/// Counts down to the one that goes wrong.
fn is_now(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

/// The command of the world for statements that only read, and leave nothing in the session.
pub(super) const READS: u8 = 0xF1;

/// How a statement begins that leaves nothing in the session; its seed follows in hex, so that it
/// can be read.
pub(super) const QUIET: &[u8] = b"select ";

/// The command of the world and its seed, out of a request.
pub(super) fn statement(command: u8, rest: &[u8]) -> (u8, u64) {
    // EXECUTE: id u32, flags u8, iterations u32, seed. Others: seed.
    let (command, at) = match (command, rest.get(4)) {
        (0x17, Some(&flags)) if flags & 1 != 0 => (0xF0, 9),
        (0x17, _) => (0x17, 9),
        (c, _) => (c, 0),
    };
    let seed = |rest: &[u8]| Cursor::new(rest).u64().unwrap_or(1);
    if let Some(bound) = binding::command_of(rest).filter(|_| command == 0x03) {
        return bound;
    }
    match rest.strip_prefix(QUIET) {
        Some(rest) if command == 0x03 => {
            let digits = rest.get(..16).and_then(|hex| std::str::from_utf8(hex).ok());
            let seed = digits.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            (READS, seed.unwrap_or(1))
        }
        _ => (command, seed(rest.get(at..).unwrap_or_default())),
    }
}

/// Some COM_QUERYs open a transaction, some end one.
pub(super) fn status_after(command: u8, seed: u64, status: u16) -> u16 {
    match (command, seed % 16) {
        (0x03, 0) => status | 1,
        (0x03, 1) => status & !1,
        (binding::BEGIN, _) => status | 1,
        (binding::COMMIT, _) => status & !1,
        _ => status,
    }
}

fn error_and_ok(seq: u8, code: u16, text: &str) -> Vec<u8> {
    let mut out = script::error(seq, code, text);
    let ok = script::proxy_ok(0, 2, "", &[], &[], None);
    out.extend_from_slice(&script::packet(seq.wrapping_add(1), &ok));
    out
}

fn denied(seq: u8) -> Vec<u8> {
    error_and_ok(seq, 1045, REFUSED)
}

/// A login OK of the real size: some 800 variables.
fn login_ok(granted: &str) -> Vec<u8> {
    let mut system: Vec<(String, String)> = (0..800)
        .map(|n| (format!("some_session_variable_{n}"), n.to_string()))
        .collect();
    system.push(("ob_capability_flag".into(), granted.to_owned()));
    for name in [
        "nls_date_format",
        "nls_timestamp_format",
        "nls_timestamp_tz_format",
    ] {
        system.push((name.into(), "X".into()));
    }
    let user = [("_min_cluster_version".to_owned(), b"'1'".to_vec())];
    script::proxy_ok(0, 0x22, "", &system, &user, Some("test"))
}
