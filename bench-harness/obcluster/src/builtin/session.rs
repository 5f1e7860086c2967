//! One session: from its greeting to its last reply, without a socket.

use super::data::Data;
use super::execute::{Run, Stop};
use super::frames::{Bad, Frames, Head, may_move};
use super::info::{self, Taken, Travelling, part};
use super::login::{Arrival, Who};
use super::parse::Parsed;
use super::reply::{Done, Failure, Packets};
use super::state::State;
use super::statement::Expr;
use obring_wire::base::Rng;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{Command, Greeting, SCRAMBLE_LEN, client, status};
use obring_wire::protocol::ob20::{entry, feedback, flag, put_tlv};
use std::net::SocketAddr;
use std::sync::Arc;

/// Capability bits of the greeting, as the kernel offers them.
const OFFERED: u32 = 0x309C_F7DF;

/// What a session wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Bytes of its client.
    Read,
    /// To be resumed when it is woken ([`Data::take_woken`]), or at this time in microseconds.
    Wait(u64),
    /// To be resumed once its client has taken what was written.
    Write,
    /// What comes next is TLS, from [`Session::take_rest`] on.
    Tls,
    /// To be closed once its client has taken what was written.
    Close,
}

/// Where a session is.
#[derive(Debug)]
pub(super) enum Phase {
    Login,
    /// The answer by another method is to come.
    Switch(Box<Arrival>),
    /// As before, inside COM_CHANGE_USER.
    ChangeSwitch(Box<(String, String, String)>),
    Ready,
    /// A file comes.
    Infile(Infile),
    /// It was told why it ends.
    Over,
}

/// A file that is read and forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Infile {
    pub(super) lines: u64,
    /// Its last line has no end yet.
    pub(super) is_inside: bool,
}

/// Statements of a request that run.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) text: Arc<[u8]>,
    /// Where the statement that runs begins.
    pub(super) at: usize,
    /// A prepared statement, with its parameters.
    pub(super) prepared: Option<(Arc<Parsed>, Vec<Expr>)>,
    pub(super) since_us: u64,
    pub(super) may_move: bool,
    /// A canned result that is written: next row, rows, bytes of each.
    pub(super) stream: Option<(u64, u64, usize)>,
}

/// One session.
///
/// ```text
/// Login ──> [Switch] ──> Ready ──> [running: Wait, Write] ──> Ready
///                          └─────> Infile ──> Ready
/// any ──> Over
/// ```
#[derive(Debug)]
pub struct Session {
    pub(super) peer: Option<SocketAddr>,
    pub(super) scramble: [u8; SCRAMBLE_LEN],
    pub(super) phase: Phase,
    pub(super) who: Who,
    pub(super) frames: Frames,
    pub(super) packets: Packets,
    pub(super) state: State,
    pub(super) running: Option<Running>,
    /// The text that was asked last, and what it says: a benchmark asks the same again and again.
    pub(super) last: Option<(Arc<[u8]>, Arc<Parsed>)>,
    /// Whoever asks for TLS gets it; `None`: it was asked for.
    offers_tls: Option<bool>,
    /// Bytes that were not read yet.
    input: Vec<u8>,
    /// The control part of session state was sent.
    is_greeted: bool,
    killed: Option<bool>,
    /// Sessions that have logged in, for whoever counts them.
    pub(super) is_logged_in: bool,
}

impl Session {
    /// A session with this connection id, whose greeting is appended. `seed` makes its scramble.
    pub fn new(id: u32, peer: Option<SocketAddr>, seed: u64, out: &mut Vec<u8>) -> Self {
        Self::greeted((id, peer, seed), false, out)
    }

    /// The same, whose greeting offers TLS.
    pub fn with_tls(id: u32, peer: Option<SocketAddr>, seed: u64, out: &mut Vec<u8>) -> Self {
        Self::greeted((id, peer, seed), true, out)
    }

    fn greeted(
        (id, peer, seed): (u32, Option<SocketAddr>, u64),
        offers_tls: bool,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut rng = Rng::new(seed);
        // Printable, as the kernel's are.
        let scramble = std::array::from_fn(|_| b'!' + rng.below(94) as u8);
        Greeting {
            version: b"5.7.25".to_vec(),
            connection_id: id,
            capabilities: OFFERED | if offers_tls { client::SSL } else { 0 },
            charset: Greeting::CHARSET,
            scramble,
        }
        .put(out);
        Self {
            peer,
            scramble,
            phase: Phase::Login,
            who: Who::default(),
            frames: Frames::plain(),
            packets: Packets::default(),
            state: State {
                id,
                visible: id,
                ..State::default()
            },
            running: None,
            last: None,
            offers_tls: Some(offers_tls),
            input: vec![],
            is_greeted: false,
            killed: None,
            is_logged_in: false,
        }
    }

    /// Its connection id.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.state.id
    }

    /// Its user, once it has logged in.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.is_logged_in.then_some(&*self.who.user)
    }

    /// Bytes that came and were not read: the beginning of TLS after [`Flow::Tls`].
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Takes bytes of the client and appends replies.
    pub fn receive(
        &mut self,
        data: &mut Data,
        now_us: u64,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Flow {
        if self.running.is_some() || !self.input.is_empty() {
            self.input.extend_from_slice(bytes);
            return self.resume(data, now_us, out);
        }
        self.go(data, now_us, bytes, out)
    }

    /// Goes on after [`Flow::Wait`] or [`Flow::Write`].
    pub fn resume(&mut self, data: &mut Data, now_us: u64, out: &mut Vec<u8>) -> Flow {
        let input = std::mem::take(&mut self.input);
        self.go(data, now_us, &input, out)
    }

    /// Ends what it does, or itself; to be resumed then.
    pub const fn interrupt(&mut self, is_query: bool) {
        self.killed = Some(is_query);
    }

    /// Gives back everything that it holds.
    pub fn close(&mut self, data: &mut Data) {
        let id = self.state.id;
        data.present.remove(&id);
        data.stop_waiting(id);
        data.unlock_all(self.state.visible);
        self.leave(data);
    }

    /// Ends its transaction, unless that one began on another session.
    pub(super) fn leave(&mut self, data: &mut Data) {
        if let Some(transaction) = self.state.transaction.take() {
            let is_own = data
                .transaction(transaction)
                .is_some_and(|t| t.coordinator == self.state.id);
            if is_own {
                data.rollback(transaction);
            }
        }
    }

    fn go(&mut self, data: &mut Data, now_us: u64, input: &[u8], out: &mut Vec<u8>) -> Flow {
        let mut at = 0;
        let flow = loop {
            if let Some(is_query) = self.killed.take()
                && let Some(flow) = self.end_by_kill(data, is_query, out)
            {
                break flow;
            }
            if self.running.is_some() {
                match self.run(data, now_us, out) {
                    None => continue,
                    Some(flow) => break flow,
                }
            }
            match self.frames.read(input, &mut at) {
                Err(Bad) => break Flow::Close,
                Ok(None) => break Flow::Read,
                Ok(Some(head)) => match self.request(data, now_us, head, out) {
                    Ok(()) if matches!(self.phase, Phase::Over) => break Flow::Close,
                    Ok(()) if self.offers_tls.is_none() => {
                        // Once is enough.
                        self.offers_tls = Some(false);
                        break Flow::Tls;
                    }
                    Ok(()) => {}
                    Err(Bad) => break Flow::Close,
                },
            }
        };
        if flow != Flow::Close {
            let rest = input.get(at..).unwrap_or_default();
            self.input.extend_from_slice(rest);
        }
        flow
    }

    /// A statement that runs is told of it; an idle session ends without a word.
    fn end_by_kill(&mut self, data: &mut Data, is_query: bool, out: &mut Vec<u8>) -> Option<Flow> {
        if self.running.take().is_none() {
            return (!is_query).then_some(Flow::Close);
        }
        data.stop_waiting(self.state.id);
        let failure = if is_query {
            Failure::new(1317, "70100", "Query execution was interrupted")
        } else {
            Failure::new(5066, "HY000", "Session interrupted")
        };
        self.fail(data, &failure);
        self.flush(data, out);
        (!is_query).then_some(Flow::Close)
    }

    fn request(
        &mut self,
        data: &mut Data,
        now_us: u64,
        head: Head,
        out: &mut Vec<u8>,
    ) -> Result<(), Bad> {
        self.packets.seq = head.seq.wrapping_add(1);
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Login if self.offers_tls == Some(true) && self.asks_for_tls() => {
                self.offers_tls = None;
                self.phase = Phase::Login;
                Ok(())
            }
            Phase::Login => self.log_in(data, out),
            Phase::Switch(mut arrival) => {
                arrival.auth.clone_from(&self.frames.payload);
                self.enter(data, *arrival, out);
                Ok(())
            }
            Phase::ChangeSwitch(change) => {
                let (user, tenant, database) = *change;
                let answer = self.frames.payload.clone();
                self.change_to(data, &user, &tenant, &database, &answer, out);
                Ok(())
            }
            Phase::Infile(infile) => {
                self.file(data, infile, out);
                Ok(())
            }
            Phase::Ready => {
                self.phase = Phase::Ready;
                self.take_entries(data)?;
                self.command(data, now_us, head, out);
                Ok(())
            }
            Phase::Over => Err(Bad),
        }
    }

    fn asks_for_tls(&self) -> bool {
        crate::link::asks_for_tls(&self.frames.payload)
    }

    /// Session state that came with a request.
    fn take_entries(&mut self, data: &Data) -> Result<(), Bad> {
        if self.frames.entries.is_empty() {
            return Ok(());
        }
        let mut taken = Taken::default();
        for (kind, value) in std::mem::take(&mut self.frames.entries) {
            match kind {
                entry::SESSION => taken.read(&value).map_err(|_| Bad)?,
                entry::TRACE..=entry::VERIFY => {}
                // A server's network thread hangs on any other (observed on seekdb 1.3.0.post5).
                _ => return Err(Bad),
            }
        }
        self.state.take(data, &taken).map_err(|_| Bad)
    }

    pub(super) fn runner<'a>(
        &'a mut self,
        data: &'a mut Data,
        now_us: u64,
        since_us: u64,
        may_move: bool,
        parameters: &'a [Expr],
    ) -> Run<'a> {
        Run {
            data,
            state: &mut self.state,
            who: &self.who,
            has_packets: self.frames.has_packets(),
            may_move,
            now_us,
            since_us,
            parameters,
        }
    }

    fn command(&mut self, data: &mut Data, now_us: u64, head: Head, out: &mut Vec<u8>) {
        let payload = std::mem::take(&mut self.frames.payload);
        self.dispatch(data, now_us, head, &payload, out);
        self.frames.payload = payload;
    }

    fn dispatch(
        &mut self,
        data: &mut Data,
        now_us: u64,
        head: Head,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let Some((&command, body)) = payload.split_first() else {
            let text = "Not supported feature or function";
            return self.answer(data, Err(Failure::new(1235, "0A000", text)), out);
        };
        let may_move = may_move(head.flags) && self.who.has(capability::SESSION_SYNC);
        match Command(command) {
            Command::QUIT => self.phase = Phase::Over,
            Command::QUERY => {
                let last = self.last.as_ref().filter(|(text, _)| **text == *body);
                let text = last.map_or_else(|| Arc::from(body), |(text, _)| text.clone());
                self.start(text, None, now_us, may_move);
            }
            Command::STMT_EXECUTE => match self.bind(body) {
                Ok((text, prepared)) => self.start(text, Some(prepared), now_us, may_move),
                Err(failure) => self.answer_unrun(data, &failure, out),
            },
            Command::STMT_PREPARE => self.prepare(data, out, body),
            Command::STMT_CLOSE => {
                let id = body.first_chunk().map(|id| u32::from_le_bytes(*id));
                id.map(|id| self.state.prepared.remove(&id));
                self.frames.skip();
            }
            Command::STMT_SEND_LONG_DATA => {
                self.long_data(body);
                self.frames.skip();
            }
            Command::STMT_RESET => {
                let done = self.reset_statement(body);
                self.answer(data, done, out);
            }
            Command::INIT_DB => {
                let name = String::from_utf8_lossy(body).into_owned();
                let ran = self
                    .runner(data, now_us, now_us, false, &[])
                    .use_database(&name);
                let done = match ran {
                    Ok(_) => Ok(Done::default()),
                    // The text is another one here.
                    Err(Stop::Failure(failure)) => Err(Failure::new(
                        failure.code,
                        failure.sqlstate,
                        "Unknown database",
                    )),
                    Err(_) => Err(Failure::unsupported()),
                };
                if done.is_err() && !self.state.database.is_empty() {
                    let changes = &mut self.state.changes;
                    changes.system("character_set_database", "utf8mb4");
                    changes.system("collation_database", "utf8mb4_general_ci");
                    changes.schema(&self.state.database);
                }
                self.answer(data, done, out);
            }
            Command::PING | Command::SET_OPTION | Command::REFRESH => {
                self.answer(data, Ok(Done::default()), out);
            }
            Command::STATISTICS => {
                self.packets
                    .put(|b| b.extend_from_slice(b"Active threads not support"));
                if self.who.has(capability::EXTRA_OK_STATISTICS) {
                    self.terminal();
                }
                self.flush(data, out);
            }
            Command::DEBUG => {
                let bits = self.state.bits();
                self.packets.eof(bits);
                self.flush(data, out);
            }
            Command::RESET_CONNECTION => {
                self.leave(data);
                self.state.reset();
                self.answer(data, Ok(Done::default()), out);
                self.state.greet();
            }
            Command::PROCESS_KILL => {
                let id = body.first_chunk().map_or(0, |id| u32::from_le_bytes(*id));
                if id == self.state.visible {
                    self.phase = Phase::Over;
                } else if data.kill(id, false) {
                    self.answer(data, Ok(Done::default()), out);
                } else {
                    let text = format!("Unknown thread id: {id}");
                    self.answer(data, Err(Failure::new(1094, "HY000", text)), out);
                }
            }
            Command::CHANGE_USER => self.change_user(data, payload, out),
            // A proxy that does not say its version is not answered (observed on seekdb
            // 1.3.0.post5).
            Command::FIELD_LIST if !self.who.is_proxy || self.who.has_version() => {
                self.field_list(data, body, out);
            }
            _ => {
                let text = "Not supported feature or function";
                self.answer(data, Err(Failure::new(1235, "0A000", text)), out);
            }
        }
    }

    fn start(
        &mut self,
        text: Arc<[u8]>,
        prepared: Option<(Arc<Parsed>, Vec<Expr>)>,
        now_us: u64,
        may_move: bool,
    ) {
        self.running = Some(Running {
            text,
            at: 0,
            prepared,
            since_us: now_us,
            may_move,
            stream: None,
        });
    }

    /// The OK that only proxies see.
    pub(super) fn terminal(&mut self) {
        if self.packets.reader.is_proxy {
            if self.state.next.is_some() {
                self.state.changes.system(TRX_EXECUTED, "ON");
            }
            let bits = self.state.bits() | status::NO_INDEX;
            let changes = std::mem::take(&mut self.state.changes);
            self.packets.ok(&Done::default(), bits, Some(changes));
        }
    }

    /// An error, and what follows it.
    fn fail(&mut self, data: &mut Data, failure: &Failure) {
        self.packets.error(failure);
        if self.packets.reader.is_proxy {
            self.state
                .changes
                .system("ob_statement_trace_id", data.trace());
            self.terminal();
        }
    }

    /// A reply of one packet and what belongs to it.
    pub(super) fn answer(
        &mut self,
        data: &mut Data,
        done: Result<Done, Failure>,
        out: &mut Vec<u8>,
    ) {
        match done {
            Ok(done) => {
                if self.state.next.is_some() {
                    self.state.changes.system(TRX_EXECUTED, "ON");
                }
                let bits = self.state.bits() | status::NO_INDEX;
                let changes = std::mem::take(&mut self.state.changes);
                self.packets.ok(&done, bits, Some(changes));
            }
            Err(failure) => self.fail(data, &failure),
        }
        self.flush(data, out);
    }

    /// An execute that did not run: the kernel says of it that it was at the wrong place.
    fn answer_unrun(&mut self, data: &mut Data, failure: &Failure, out: &mut Vec<u8>) {
        self.state.changes.system("ob_proxy_partition_hit", "OFF");
        self.answer(data, Err(failure.clone()), out);
    }

    /// The end of a reply.
    pub(super) fn flush(&mut self, data: &mut Data, out: &mut Vec<u8>) {
        let (entries, flags) = if self.frames.has_packets() {
            (self.entries(data), self.reply_flags(data))
        } else {
            (vec![], 0)
        };
        self.frames
            .write(out, &self.packets.bytes, &entries, flags, true);
        self.packets.bytes.clear();
    }

    /// The client's turn inside a reply.
    pub(super) fn flush_turn(&mut self, out: &mut Vec<u8>) {
        self.frames.write(out, &self.packets.bytes, &[], 0, true);
        self.frames.turn();
        self.packets.bytes.clear();
    }

    /// What goes beside a reply.
    fn entries(&mut self, data: &mut Data) -> Vec<(u16, Vec<u8>)> {
        let mut all = vec![];
        if self.who.has(capability::FEEDBACK_PROXY) {
            let told = [
                (feedback::LOCKS, self.state.locks.take()),
                (feedback::TEMPORARY_TABLES, self.state.temporaries.take()),
            ];
            let mut value = vec![];
            for (kind, is_so) in told {
                if let Some(is_so) = is_so {
                    put_tlv(&mut value, kind, if is_so { b"1" } else { b"0" });
                }
            }
            if !value.is_empty() {
                all.push((entry::FEEDBACK, value));
            }
        }
        if !self.who.has(capability::SESSION_SYNC) {
            return all;
        }
        let mut value = vec![];
        if !std::mem::replace(&mut self.is_greeted, true) {
            put_tlv(&mut value, part::CONTROL, info::CONTROL);
        }
        if std::mem::take(&mut self.state.is_dirty) {
            info::put_variables(&mut value, &self.state.variables, self.state.insert_id);
        }
        if std::mem::take(&mut self.state.is_moved) {
            let version = self.state.version;
            let free = self.state.transaction.filter(|id| is_free(data, *id));
            info::put_transaction(&mut value, free.map(|id| Travelling { id, version }));
        }
        if !value.is_empty() {
            all.push((entry::SESSION, value));
        }
        all
    }

    /// True with the flag that lets the next statement go elsewhere.
    fn reply_flags(&self, data: &mut Data) -> u32 {
        match self.state.transaction {
            Some(id) if is_free(data, id) => flag::INTERNAL_ROUTING,
            _ => 0,
        }
    }
}

/// Tells whether SET TRANSACTION waits for its transaction.
pub(super) const TRX_EXECUTED: &str = "ob_proxy_set_trx_executed";

fn is_free(data: &mut Data, id: u64) -> bool {
    data.transaction(id)
        .is_some_and(|t| t.is_free && !t.is_read_only)
}
