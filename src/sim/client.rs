//! A scripted client that knows what a direct one would see, and judges what it gets.

use super::binding;
use super::killing::{Attempt, INTERRUPTED};
use super::script::{self, Pending};
use super::server::{PASSWORD, QUIET, READS, REFUSED, statement, status_after};
use super::tables::{FROM, TABLES};
use super::told;
use super::world::Faults;
use crate::base::{Rng, put_lenenc_bytes};
use crate::protocol::mysql::{CACHING_SHA2_PASSWORD, Greeting, Login, NATIVE_PASSWORD, client};
use std::collections::VecDeque;

/// How a prepare-OK of the world goes on behind its header: status, id.
const PREPARED: &[u8] = &[0, 7, 0, 0, 0];

/// What came of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything that a direct client would have seen.
    Whole,
    /// A prefix of it, then an error packet with this text.
    Told(String),
    /// A prefix of it, cut inside a packet.
    CutInside,
    /// A prefix of it, then the end without a word at a packet boundary.
    Bare,
    /// Something else.
    Wrong(String),
}

/// How a client behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// Logs in and works.
    Works,
    /// Reads the greeting and leaves.
    Probes,
    /// Sends half a login and waits.
    Stalls,
    /// Sends nonsense.
    Babbles,
    /// Has a wrong password.
    Guesses,
    /// Works, and leaves in the middle.
    Vanishes,
}

/// What the client expects or does next.
enum Step {
    /// These packets; so many bytes of the first have come.
    Expect(VecDeque<Vec<u8>>, usize),
    /// Sends when everything before has come.
    Send(Vec<u8>),
    /// Leaves.
    Leave,
}

/// An error that ended a statement and not its session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Loss {
    pub(super) text: String,
    /// Its sequence number, and the one that it must have.
    pub(super) number: (u8, Option<u8>),
    /// The statement: command and seed.
    pub(super) statement: (u8, u64),
}

/// The last request, while nothing hangs on it but its reply.
struct Last {
    /// Status bits before it.
    status: u16,
    /// Packets of its reply.
    packets: usize,
    statement: (u8, u64),
}

/// One client.
pub(super) struct Client {
    pub(super) manner: Manner,
    rng: Rng,
    steps: VecDeque<Step>,
    /// Received and not yet accounted for.
    got: Vec<u8>,
    scramble: [u8; 20],
    status: u16,
    pending: Option<Pending>,
    statements: u64,
    last: Option<Last>,
    /// Text statements, each with how it may run: command and seed.
    pub(super) texts: Vec<(u8, u64)>,
    /// Statements that were lost before their reply began.
    pub(super) losses: Vec<Loss>,
    /// Nothing has come since the last of them.
    is_lost: bool,
    /// It was told of one and leaves: what else comes is nothing to it.
    is_told: bool,
    /// Sent more than it has answers for.
    pub(super) is_greeted: bool,
    is_done: bool,
    fault: Option<String>,
    big: bool,
    /// It has no other method than to tell its password.
    tells: bool,
    /// Of the tenant that is not everywhere, and leaves nothing in its session.
    pub(super) is_quiet: bool,
    /// It kills others.
    kills: bool,
    /// It binds its session to a server now and then.
    binds: bool,
    /// It has: what frees it.
    bound: Option<u8>,
    /// What it has tried to kill.
    pub(super) attempts: Vec<Attempt>,
    /// Its connection id.
    pub(super) id: u32,
}

/// Cuts a stream into its packets.
fn packets(stream: &[u8]) -> VecDeque<Vec<u8>> {
    let (mut out, mut at) = (VecDeque::new(), 0);
    while let Some(h) = stream.get(at..at + 4) {
        let len = usize::from(h[0]) | usize::from(h[1]) << 8 | usize::from(h[2]) << 16;
        let end = (at + 4 + len).min(stream.len());
        out.push_back(stream[at..end].to_vec());
        at = end;
    }
    out
}

impl Client {
    pub(super) fn new(mut rng: Rng, is_quiet: bool, faults: &Faults) -> Self {
        let manner = match rng.below(16) {
            0 => Manner::Probes,
            1 => Manner::Stalls,
            2 => Manner::Babbles,
            3 => Manner::Guesses,
            4 => Manner::Vanishes,
            _ => Manner::Works,
        };
        let statements = 1 + rng.below(if is_quiet { 90 } else { 12 });
        Self {
            manner,
            pending: rng.chance(1, 2).then(Pending::default),
            tells: rng.chance(1, 4),
            rng,
            steps: VecDeque::new(),
            got: vec![],
            scramble: [0; 20],
            status: 0x22,
            statements,
            last: None,
            texts: vec![],
            losses: vec![],
            is_lost: false,
            is_told: false,
            is_greeted: false,
            is_done: false,
            fault: None,
            big: faults.big,
            is_quiet,
            kills: is_quiet && faults.kills,
            binds: is_quiet && faults.binds,
            bound: None,
            attempts: vec![],
            id: 0,
        }
    }

    /// Bytes came; what is sent in answer.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.is_told {
            return vec![];
        }
        self.got.extend_from_slice(bytes);
        if !self.is_greeted {
            return self.greeted();
        }
        self.advance()
    }

    fn greeted(&mut self) -> Vec<u8> {
        let Some(len) = self.got.first().map(|&n| usize::from(n) + 4) else {
            return vec![];
        };
        if self.got.len() < len {
            return vec![];
        }
        let packet: Vec<u8> = self.got.drain(..len).collect();
        let Ok(greeting) = Greeting::parse(packet.get(4..).unwrap_or_default()) else {
            self.fault = Some(format!("no greeting: {packet:?}"));
            return vec![];
        };
        self.scramble = greeting.scramble;
        self.id = greeting.connection_id;
        self.is_greeted = true;
        match self.manner {
            Manner::Probes => {
                self.is_done = true;
                script::packet(self.rng.below(2) as u8, &[1])
            }
            Manner::Stalls => vec![40, 0, 0, 1, 5],
            Manner::Babbles => {
                let n = 5 + self.rng.below(60) as usize;
                (0..n).map(|_| self.rng.next_u64() as u8).collect()
            }
            Manner::Works | Manner::Guesses | Manner::Vanishes => self.log_in(),
        }
    }

    fn log_in(&mut self) -> Vec<u8> {
        let password = if self.manner == Manner::Guesses {
            b"wrong"
        } else {
            PASSWORD
        };
        let answer = script::native(password, &self.scramble);
        let switches = self.tells || self.rng.chance(1, 3);
        let mut capabilities =
            client::PROTOCOL_41 | client::SECURE_CONNECTION | client::PLUGIN_AUTH;
        if self.pending.is_some() {
            capabilities |= client::SESSION_TRACK;
        }
        let mut attributes = vec![];
        if self.rng.chance(1, 2) {
            capabilities |= client::CONNECT_ATTRS;
            put_lenenc_bytes(&mut attributes, b"_os");
            put_lenenc_bytes(&mut attributes, b"sim");
        }
        if self.tells {
            capabilities |= client::CONNECT_ATTRS;
            attributes.extend_from_slice(&told::attributes());
        }
        let mut payload = vec![];
        Login {
            capabilities,
            max_packet: 1 << 24,
            charset: 45,
            user: match self.is_quiet {
                true => b"app@one#sim",
                false => b"app@sys#sim",
            },
            auth: match (self.tells, switches) {
                (true, _) => b"",
                (_, true) => b"0123456789",
                _ => &answer,
            },
            database: None,
            plugin: Some(if switches {
                CACHING_SHA2_PASSWORD
            } else {
                NATIVE_PASSWORD
            }),
            attributes: &attributes,
        }
        .put(&mut payload);
        let mut seq = 2;
        if self.tells {
            self.expect_next(told::switch(2, &self.scramble));
            seq = self.tell(3, password);
        } else if switches {
            let mut p = b"\xfemysql_native_password\0".to_vec();
            p.extend_from_slice(&self.scramble);
            p.push(0);
            self.expect_next(script::packet(2, &p));
            self.steps.push_back(Step::Send(script::packet(3, &answer)));
            seq = 4;
        }
        if self.manner == Manner::Guesses {
            let refused = b"\xff\x15\x04#HY000refused by the script";
            self.expect_next(script::packet(seq, refused));
        } else {
            self.expect_next(script::packet(seq, &self.login_ok()));
        }
        let mut out = script::packet(1, &payload);
        if self.manner != Manner::Guesses {
            // Sometimes the first statements are glued to the login.
            if !switches && self.rng.chance(1, 4) {
                out.extend_from_slice(&self.burst());
            } else {
                self.steps.push_back(Self::next_burst());
            }
        }
        out
    }

    /// Tells the password; its first packet has this number. Returns the number of the outcome.
    fn tell(&mut self, seq: u8, password: &[u8]) -> u8 {
        let has_key = self.rng.chance(1, 4);
        let exchange = told::exchange(seq, password, &self.scramble, has_key);
        let outcome = seq.wrapping_add(2 * exchange.len() as u8 - 1);
        for (said, answered) in exchange {
            self.steps.push_back(Step::Send(said));
            if !answered.is_empty() {
                self.expect_next(answered);
            }
        }
        outcome
    }

    /// What a direct client gets at login and after COM_CHANGE_USER.
    fn login_ok(&self) -> Vec<u8> {
        if self.pending.is_none() {
            return vec![0, 0, 0, 0x22, 0, 0, 0];
        }
        let mut state = vec![];
        for name in [
            "nls_date_format",
            "nls_timestamp_format",
            "nls_timestamp_tz_format",
        ] {
            let mut data = vec![];
            put_lenenc_bytes(&mut data, name.as_bytes());
            put_lenenc_bytes(&mut data, b"X");
            state.push(0);
            put_lenenc_bytes(&mut state, &data);
        }
        let mut p = vec![0, 0, 0, 0x22, 0x40, 0, 0, 0];
        put_lenenc_bytes(&mut p, &state);
        p
    }

    /// One or several requests in one write, and what they will bring.
    fn burst(&mut self) -> Vec<u8> {
        let mut out = vec![];
        let n = if self.rng.chance(1, 4) { 3 } else { 1 };
        for _ in 0..n {
            if self.statements == 0 {
                break;
            }
            self.statements -= 1;
            let turn = self.request(&mut out);
            if turn {
                return out;
            }
        }
        if self.statements == 0 {
            if self.rng.chance(1, 2) {
                out.extend_from_slice(&script::packet(0, &[1]));
            }
            self.steps.push_back(Step::Leave);
        } else {
            self.steps.push_back(Self::next_burst());
        }
        out
    }

    /// The next burst is made when its turn comes: its expectations depend on what was before.
    const fn next_burst() -> Step {
        Step::Send(vec![])
    }

    /// Appends one request; true if the client has a turn inside its reply.
    fn request(&mut self, out: &mut Vec<u8>) -> bool {
        let seed = self.rng.next_u64();
        let seq = if self.rng.chance(1, 8) {
            self.rng.below(250) as u8
        } else {
            0
        };
        let commands = [
            3u8, 3, 3, 3, 0x0E, 0x16, 0x17, 0xF0, 0x1C, 0x04, 0x09, 0x0D, 0x1B, 0x02,
        ];
        let command = match self.rng.below(22) {
            n if self.is_quiet => [3, 0x0E][usize::from(n == 0)],
            0 => 0x11,
            1 => 0xFB,
            2 => 0x19,
            3 => 0x1F,
            n => commands[n as usize % commands.len()],
        };
        self.last = None;
        if self.kills && self.rng.chance(1, 8) {
            self.kill(seq, out);
            return false;
        }
        let status = self.status;
        let mut payload = vec![if command == 0xF0 { 0x17 } else { command }];
        match command {
            0x17 | 0xF0 => {
                // No statement has this id; servers of the world look at the rest only.
                payload.extend_from_slice(&[
                    0xEE,
                    0xEE,
                    0xEE,
                    0,
                    u8::from(command == 0xF0),
                    1,
                    0,
                    0,
                    0,
                ]);
                payload.extend_from_slice(&seed.to_le_bytes());
            }
            0x11 => return self.change_user(seq, out),
            0xFB => return self.load(seq, out),
            0x0E => {
                let [a, b] = (self.status & 3 | 0x20).to_le_bytes();
                let ok = [0, 0, 0, a, b, 0, 0];
                self.expect(script::packet(seq.wrapping_add(1), &ok));
            }
            _ => {
                if let Some(text) = self.binding(seed) {
                    payload.extend_from_slice(text.as_bytes());
                } else if self.is_quiet {
                    payload.extend_from_slice(QUIET);
                    payload.extend_from_slice(format!("{seed:016x}").as_bytes());
                    // Some read no table.
                    let table = seed % (TABLES + 2);
                    if table < TABLES {
                        payload.extend_from_slice(FROM);
                        payload.extend_from_slice(table.to_string().as_bytes());
                    }
                } else {
                    payload.extend_from_slice(&seed.to_le_bytes());
                }
            }
        }
        if command == 0x03 && self.rng.chance(1, 10) {
            // A long statement: the rest is ignored by the server.
            // One of more than 64 KiB is not sent again to another server.
            let len = match (self.big, self.is_quiet) {
                (true, _) => 17 << 20,
                (false, true) => 40_000,
                (false, false) => 90_000,
            };
            payload.resize(payload.len() + len, b' ');
        }
        let mut request = script::Packets::new(seq);
        request.put(&payload);
        let parts = 1 + payload.len() / 0xFF_FFFF;
        out.extend_from_slice(&request.bytes);
        if !matches!(command, 0x0E | 0x19) {
            let (c, s) = statement(payload[0], payload.get(1..).unwrap_or_default());
            self.status = status_after(c, s, self.status);
            let effect = script::effect(c, s, self.status, self.big);
            let first = seq.wrapping_add(parts as u8);
            let bytes = script::for_direct(&effect, first, self.pending.as_mut());
            if c == 0x03 || c == READS {
                self.texts.push((c, s));
            }
            self.last = Some(Last {
                status,
                packets: packets(&bytes).len(),
                statement: (c, s),
            });
            self.expect(bytes);
        }
        false
    }

    /// What came is no reply: if it is an error that ends one statement, the client goes on where
    /// it knows what comes next, and leaves otherwise.
    fn lost(&mut self) -> bool {
        let len = match self.got.as_slice() {
            [a, b, c, _, ..] => {
                4 + usize::from(*a) + (usize::from(*b) << 8) + (usize::from(*c) << 16)
            }
            _ => return false,
        };
        let text = self.got.get(..len).and_then(script::error_text);
        // A server that has not the tenant any more refuses what cannot run elsewhere.
        let is_refused = |text: &str| self.binds && text.contains(REFUSED);
        let is_loss =
            |text: &String| text.ends_with(']') || text.contains(INTERRUPTED) || is_refused(text);
        let Some(text) = text.filter(is_loss) else {
            return false;
        };
        let is_alone = self.got.len() == len && self.steps.len() == 2 && self.pending.is_none();
        let (Some(last), Some(Step::Expect(want, 0))) =
            (self.last.take().filter(|_| is_alone), self.steps.front())
        else {
            self.got.truncate(len);
            (self.is_told, self.is_done) = (true, true);
            return false;
        };
        if want.len() != last.packets {
            (self.is_told, self.is_done) = (true, true);
            return false;
        }
        if let Some(number) = self.sequence_of_error() {
            self.losses.push(Loss {
                text,
                number,
                statement: last.statement,
            });
        }
        self.is_lost = true;
        self.got.clear();
        self.steps.pop_front();
        self.bound = None;
        // What it had begun is gone; what it wanted has not come about.
        self.status = last.status & !1;
        true
    }

    /// Binds its session to a server, or frees it: the text.
    fn binding(&mut self, seed: u64) -> Option<String> {
        if !self.binds || !self.rng.chance(1, 6) {
            return None;
        }
        let command = match self.bound.take() {
            Some(frees) => frees,
            None => {
                let (binds, frees) = binding::pair(&mut self.rng);
                self.bound = Some(frees);
                binds
            }
        };
        Some(binding::text(command, seed))
    }

    /// Tries to kill a session or its statement: that works, or there is no such session.
    fn kill(&mut self, seq: u8, out: &mut Vec<u8>) {
        let attempt = Attempt::near(self.id, &mut self.rng);
        self.attempts.push(attempt);
        out.extend_from_slice(&script::packet(seq, &attempt.payload(&mut self.rng)));
        let [a, b] = (self.status & 3 | 0x20).to_le_bytes();
        let ok = [0, 0, 0, a, b, 0, 0];
        self.expect(script::packet(seq.wrapping_add(1), &ok));
    }

    fn expect(&mut self, bytes: Vec<u8>) {
        match self.steps.back_mut() {
            Some(Step::Expect(e, _)) => e.extend(packets(&bytes)),
            _ => self.expect_next(bytes),
        }
    }

    fn expect_next(&mut self, bytes: Vec<u8>) {
        self.steps.push_back(Step::Expect(packets(&bytes), 0));
    }

    fn change_user(&mut self, seq: u8, out: &mut Vec<u8>) -> bool {
        let outcome = if self.tells {
            let p = b"\x11app@sys#sim\0\0test\0\x2d\0caching_sha2_password\0";
            out.extend_from_slice(&script::packet(seq, p));
            self.expect(told::switch(seq.wrapping_add(1), &self.scramble));
            self.tell(seq.wrapping_add(2), PASSWORD)
        } else {
            let mut p = b"\x11app@sys#sim\0\x14".to_vec();
            p.extend_from_slice(&script::native(PASSWORD, &self.scramble));
            p.extend_from_slice(b"test\0\x2d\0mysql_native_password\0");
            out.extend_from_slice(&script::packet(seq, &p));
            let mut switch = b"\xfemysql_native_password\0".to_vec();
            switch.extend_from_slice(&self.scramble);
            switch.push(0);
            self.expect(script::packet(seq.wrapping_add(1), &switch));
            let answer = script::native(PASSWORD, &self.scramble);
            self.steps
                .push_back(Step::Send(script::packet(seq.wrapping_add(2), &answer)));
            seq.wrapping_add(3)
        };
        let ok = self.login_ok();
        self.expect_next(script::packet(outcome, &ok));
        if let Some(p) = &mut self.pending {
            *p = Pending::default();
        }
        self.status = self.status & !1 | 0x22;
        self.after_turn();
        true
    }

    fn load(&mut self, seq: u8, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&script::packet(seq, b"\x03load data"));
        self.expect(script::packet(seq.wrapping_add(1), b"\xfbfile"));
        let mut file = vec![];
        let mut at = seq.wrapping_add(2);
        for _ in 0..self.rng.below(4) {
            let data = vec![b'd'; 1 + self.rng.below(5_000) as usize];
            file.extend_from_slice(&script::packet(at, &data));
            at = at.wrapping_add(1);
        }
        file.extend_from_slice(&script::packet(at, b""));
        self.steps.push_back(Step::Send(file));
        let effect = script::effect(0xFF, 7, self.status, false);
        let bytes = script::for_direct(&effect, at.wrapping_add(1), self.pending.as_mut());
        self.expect_next(bytes);
        self.after_turn();
        true
    }

    fn after_turn(&mut self) {
        if self.statements == 0 {
            self.steps.push_back(Step::Leave);
        } else {
            self.steps.push_back(Self::next_burst());
        }
    }

    /// Accounts for what came, as far as it goes.
    fn advance(&mut self) -> Vec<u8> {
        let mut out = vec![];
        loop {
            match self.steps.front_mut() {
                Some(Step::Expect(want, at)) => {
                    let Some(packet) = want.front() else {
                        self.steps.pop_front();
                        continue;
                    };
                    // Only whole packets are taken out: an error of the proxy may begin like the
                    // packet that is expected.
                    let n = packet.len().min(self.got.len());
                    if packet.get(4..).is_some_and(|p| p.starts_with(PREPARED)) {
                        // The ids of a session that may have several links are its own.
                        let id = self.got.iter_mut().skip(5);
                        id.zip(&PREPARED[1..]).for_each(|(got, want)| *got = *want);
                    }
                    let whole = self.got.first().map_or(0, |len| 4 + usize::from(*len));
                    if let Some(answer) = self.got.get(..whole)
                        && !self.attempts.is_empty()
                        && Attempt::is_answer(answer)
                        && answer[3] == packet[3]
                    {
                        self.got.drain(..whole);
                        *at = 0;
                        want.pop_front();
                        continue;
                    }
                    if packet[*at..n] != self.got[*at..n] {
                        if self.lost() {
                            continue;
                        }
                        return out;
                    }
                    *at = n;
                    if n < packet.len() {
                        return out;
                    }
                    self.got.drain(..n);
                    *at = 0;
                    want.pop_front();
                    self.is_lost = false;
                }
                Some(Step::Send(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.steps.pop_front();
                    if bytes.is_empty() {
                        let burst = self.burst();
                        out.extend_from_slice(&burst);
                    } else {
                        out.extend_from_slice(&bytes);
                    }
                }
                Some(Step::Leave) => {
                    self.is_done = true;
                    return out;
                }
                None => {
                    if self.manner == Manner::Guesses {
                        self.is_done = true;
                    }
                    return out;
                }
            }
        }
    }

    /// True: the client has all it wants and leaves.
    pub(super) const fn wants_to_leave(&self) -> bool {
        self.is_done
    }

    /// True: the client leaves now, whatever is under way.
    pub(super) fn vanishes(&mut self) -> bool {
        self.manner == Manner::Vanishes && self.is_greeted && self.rng.chance(1, 12)
    }

    /// The connection is over: what came of it.
    pub(super) fn verdict(&self) -> Verdict {
        if let Some(fault) = &self.fault {
            return Verdict::Wrong(fault.clone());
        }
        if self.is_done && self.got.is_empty() {
            return Verdict::Whole;
        }
        let rest = &self.got;
        if let Some(loss) = self
            .losses
            .last()
            .filter(|_| rest.is_empty() && self.is_lost)
        {
            // The session was over with it.
            return Verdict::Told(loss.text.clone());
        }
        if rest.is_empty() {
            return Verdict::Bare;
        }
        let (want, at) = match self.steps.front() {
            Some(Step::Expect(e, at)) => (e.front().map_or(&[][..], Vec::as_slice), *at),
            _ => (&[][..], 0),
        };
        if at == rest.len() {
            return Verdict::CutInside;
        }
        let len = rest.first().map_or(0, |&a| usize::from(a));
        let len = len | rest.get(1).map_or(0, |&b| usize::from(b)) << 8;
        match script::error_text(rest) {
            Some(text) if len + 4 == rest.len() => Verdict::Told(text),
            _ => {
                let shown = |b: &[u8]| format!("{:02x?}", b.get(..b.len().min(60)).unwrap_or(b));
                Verdict::Wrong(format!(
                    "{} bytes that no direct client gets, the first {at} as expected: {} for {}",
                    rest.len(),
                    shown(rest),
                    shown(want)
                ))
            }
        }
    }

    /// The number that an error packet must have.
    pub(super) fn sequence_of_error(&self) -> Option<(u8, Option<u8>)> {
        let got = *self.got.get(3)?;
        let want = match self.steps.front() {
            Some(Step::Expect(e, _)) => e.front().and_then(|p| p.get(3).copied()),
            _ => None,
        };
        Some((got, want))
    }
}
