//! The life of a link, from its greeting to its last request.

use super::End;
use super::exchange::{Relayed, Turn, fault_error};
use super::frames::{RequestFrames, Wire};
use super::login::{self, PROXY_USER, Who};
use super::made::{Manner, refusals};
use super::request::Reading;
use super::rules;
use super::side::Side;
use crate::clock::now_us;
use crate::fault::{FaultKind, Moment, Scope};
use crate::judge::{Judge, JudgeState};
use crate::record::{Entry, Kind, Outcome, excerpt};
use crate::shadow::{Asked, LinkState};
use crate::shared::{ServerView, Shared};
use crate::state::Process;
use crate::views::Refusal;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{
    Command, ErrPacket, Gather, Greeting, HEADER_LEN, Shape, client, put_packet,
};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

/// Longest login packet.
const LOGIN_MAX: usize = 1 << 20;

/// One link.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) id: u64,
    pub(super) server: u32,
    view: watch::Receiver<ServerView>,
    pub(super) client: Side,
    pub(super) kernel: Option<Side>,
    kernel_id: u32,
    pub(super) who: Who,
    /// The framing of requests and their replies.
    pub(super) wire: Wire,
    /// Capabilities that were asked for and granted.
    pub(super) granted: u64,
    /// A terminal OK follows COM_STATISTICS.
    pub(super) has_statistics_ok: bool,
    pub(super) in_transaction: bool,
    /// Log streams that the open transaction has written to, with how often each had lost its
    /// leader by then.
    pub(super) written: Vec<(u64, u64)>,
    /// The judge of this link's statements; away while it is asked.
    pub(super) judge: Option<Box<Judge>>,
    /// The proxy takes feedback about weak reads (capability bit 17).
    pub(super) has_weak_feedback: bool,
    /// The connection that a request named, where it was another one.
    foreign: Option<u32>,
    /// The sessions that the reply may list.
    pub(super) shown: Option<HashSet<u32>>,
    /// What is being asked, for the shadow of the session.
    pub(super) asked: Option<Asked>,
    /// What is being done, for the log.
    pub(super) running: Option<Entry>,
}

/// What came makes no sense: the link ends.
pub(super) fn bad(what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

impl Session {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: u64,
        server: u32,
        stream: TcpStream,
        view: watch::Receiver<ServerView>,
    ) -> io::Result<Self> {
        Ok(Self {
            shared,
            id,
            server,
            client: Side::new(stream, view.clone())?,
            view,
            kernel: None,
            kernel_id: 0,
            who: Who::default(),
            wire: Wire::default(),
            granted: 0,
            has_statistics_ok: false,
            in_transaction: false,
            written: vec![],
            judge: None,
            has_weak_feedback: false,
            foreign: None,
            shown: None,
            asked: None,
            running: None,
        })
    }

    /// Serves the link to its end.
    pub(super) async fn run(&mut self) -> io::Result<End> {
        for kind in self.faults(Moment::Accept) {
            if let FaultKind::AcceptDelayMs(ms) = kind {
                sleep(Duration::from_millis(ms)).await;
            }
        }
        if let Some(refusal) = self.not_welcome() {
            let mut out = vec![];
            let (state, text) = (refusal.sqlstate.as_bytes(), refusal.text.as_bytes());
            ErrPacket {
                code: refusal.code,
                sqlstate: state,
                message: text,
            }
            .put(&mut out, 0);
            self.client.write(&out).await?;
            return Ok(End::Close);
        }
        let stream = TcpStream::connect(self.shared.kernel).await?;
        let peer = stream.local_addr()?;
        self.shared
            .note_link(self.id, |link| link.kernel_peer = Some(peer));
        self.kernel = Some(Side::new(stream, self.view.clone())?);
        self.greet().await?;
        if let Some(end) = self.log_in().await? {
            return Ok(end);
        }
        if self.who.is_opaque {
            return self.pass_through().await;
        }
        loop {
            let came_early = !self.client.inbox.is_empty();
            let request = match self.request().await {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(End::Close),
                Err(e) => return Err(self.note_bad("bad_request", e)),
            };
            self.begin_request(&request, came_early);
            let turn = self.serve(request).await;
            self.end_entry();
            match turn {
                Ok(Turn::Next) => {}
                Ok(Turn::End(end)) => return Ok(end),
                Err(e) => return Err(self.note_bad("bad_reply", e)),
            }
        }
    }

    /// Notes bytes that make no sense, with the reason in place of a statement.
    fn note_bad(&mut self, command: &str, e: io::Error) -> io::Error {
        if e.kind() == io::ErrorKind::InvalidData {
            let text = e.to_string();
            let len = text.len() as u64;
            self.begin(Kind::Request, command, text, len);
            if let Some(id) = self.foreign.take() {
                self.watch_foreign(id);
            }
            self.end_entry();
        }
        e
    }

    /// The faults that happen to the link at this moment.
    pub(super) fn faults(&self, moment: Moment) -> Vec<FaultKind> {
        let running = self.running.as_ref();
        let scope = Scope {
            server: self.server,
            tenant: &self.who.tenant,
            user: &self.who.user,
            command: running.map_or("", |e| &e.cmd),
            sql: running.map_or("", |e| &e.sql),
        };
        self.shared.faults.at(moment, &scope)
    }

    /// What the session of the link looks like to its judge.
    pub(super) fn judge_state(&self) -> JudgeState {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let of_link = |own: &LinkState| {
            let variables = own.variables().map(|(n, v)| (text(n), v.to_vec()));
            let user_variables = own.user_variables();
            JudgeState {
                database: text(own.database()),
                block: own.variables_block().map(<[u8]>::to_vec),
                variables: variables.collect(),
                user_variables: user_variables
                    .map(|(n, l)| (n.to_vec(), l.to_vec()))
                    .collect(),
            }
        };
        let known = self.shared.shadows.read(self.id, of_link);
        known.unwrap_or_default()
    }

    /// Ends the log entry that is open, and the sockets in this way.
    pub(super) fn finish(&mut self, end: End) {
        if let Some(entry) = &mut self.running
            && entry.outcome == Outcome::Running
        {
            entry.outcome = Outcome::Reset;
        }
        self.end_entry();
        if end == End::Reset {
            self.client.reset_at_end();
            if let Some(kernel) = &self.kernel {
                kernel.reset_at_end();
            }
        }
    }

    /// The error of a server that starts or stops.
    pub(super) fn not_ready(&self) -> Option<Refusal> {
        match self.view.borrow().process {
            Process::Starting => Some(refusals::starting()),
            Process::Stopping => Some(refusals::stopping()),
            Process::Serving | Process::Dead => None,
        }
    }

    /// The error in place of a greeting.
    fn not_welcome(&self) -> Option<Refusal> {
        let is_full = self.shared.is_full();
        self.not_ready()
            .or_else(|| is_full.then(refusals::too_many))
    }

    /// The kernel's side, there once the link is greeted.
    pub(super) fn kernel(&mut self) -> io::Result<&mut Side> {
        self.kernel
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Relays the kernel's greeting.
    async fn greet(&mut self) -> io::Result<()> {
        let mut gather = Gather::default();
        let mut raw = vec![];
        let kernel = self.kernel()?;
        let id = loop {
            if kernel.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = std::mem::take(&mut kernel.inbox);
            raw.extend_from_slice(&bytes);
            let mut used = 0;
            let whole = gather.feed(&bytes, &mut used, LOGIN_MAX);
            if let Some(whole) = whole.map_err(|_| bad("greeting"))? {
                // An error in its place passes like a greeting; the client sees what it says.
                break Greeting::parse(whole.payload).map_or(0, |g| g.connection_id);
            }
        };
        self.kernel_id = id;
        self.shared.note_link(self.id, |link| link.kernel_id = id);
        if self.shared.tls.is_some()
            && let Ok(mut greeting) = Greeting::parse(raw.get(HEADER_LEN..).unwrap_or_default())
        {
            greeting.capabilities |= client::SSL;
            raw.clear();
            greeting.put(&mut raw);
        }
        for kind in self.faults(Moment::Greeting) {
            if let FaultKind::GreetingDelayMs(ms) = kind {
                sleep(Duration::from_millis(ms)).await;
            }
        }
        self.client.write(&raw).await
    }

    /// The login; an end if it fails.
    async fn log_in(&mut self) -> io::Result<Option<End>> {
        let mut gather = Gather::default();
        let (seq, payload) = loop {
            if self.client.inbox.is_empty() && self.client.read().await? == 0 {
                return Ok(Some(End::Close));
            }
            let bytes = std::mem::take(&mut self.client.inbox);
            let mut used = 0;
            let whole = gather.feed(&bytes, &mut used, LOGIN_MAX);
            if let Some(whole) = whole.map_err(|_| bad("login"))? {
                let (seq, payload) = (whole.seq, whole.payload.to_vec());
                self.client.inbox = bytes.get(used..).unwrap_or_default().to_vec();
                if let Some(config) = self.shared.tls.clone()
                    && !self.client.is_sealed()
                    && login::asks_for_tls(&payload)
                {
                    self.client.begin_tls(config)?;
                    continue;
                }
                break (seq, payload);
            }
        };
        self.who = login::who(&payload).map_err(bad)?;
        self.shared.note_link(self.id, |link| {
            link.user.clone_from(&self.who.user);
            link.tenant.clone_from(&self.who.tenant);
            link.is_proxy = self.who.is_proxy;
            link.client_sid.clone_from(&self.who.client_sid);
        });
        self.begin(Kind::Login, "login", String::new(), 0);
        let kinds = self.faults(Moment::Login);
        if kinds.contains(&FaultKind::SysUnreachable) {
            return Ok(Some(End::Reset));
        }
        let by_fault = kinds.iter().find_map(|kind| match kind {
            FaultKind::LoginError(code) => Some(fault_error(*code)),
            FaultKind::ProxyroPassword => Some(refusals::access_denied(&self.who.user, true)),
            _ => None,
        });
        let judged = match self.not_ready().or(by_fault) {
            Some(refusal) => Err(refusal),
            None => login::judge(&payload, &self.who, &self.shared.state(), self.server),
        };
        let watched = match &judged {
            Ok(_) => self.watch_login().transpose(),
            Err(_) => Ok(None),
        };
        let judged = match watched {
            Ok(None) => judged,
            Ok(Some(refusal)) => Err(refusal),
            Err(end) => return Ok(Some(end)),
        };
        let payload = match judged {
            Ok(payload) => payload,
            Err(refusal) => {
                let packets = self.manner(seq).error(&refusal);
                self.say(&refusal, &packets).await?;
                self.end_entry();
                return Ok(Some(End::Close));
            }
        };
        if let Some(entry) = &mut self.running {
            entry.t_exec_us = now_us();
        }
        let mut packet = vec![];
        put_packet(&mut packet, seq, |b| b.extend_from_slice(&payload));
        self.kernel()?.write(&packet).await?;
        // A login is answered like a change of the user: OK, error, or a switch of the method.
        let shape = Shape {
            command: Command::CHANGE_USER,
            cursor: false,
            proxy_mode: self.who.is_proxy,
            statistics_ok: false,
            is_named_driver: false,
        };
        let plain = Wire::default();
        let frames = RequestFrames::new(plain);
        let mut advice = None;
        let told = self.relay(plain, shape, &frames, seq, &[], &mut advice);
        let told = told.await?;
        self.end_entry();
        let seen = match told {
            Relayed::Told(seen) if seen.errno == 0 => seen,
            Relayed::Told(_) => return Ok(Some(End::Close)),
            Relayed::Ended(end) => return Ok(Some(end)),
        };
        let server = self.server;
        self.shared
            .count(|c| *c.logins.entry(server).or_default() += 1);
        let granted = seen.capability.unwrap_or(0);
        self.granted = self.who.asked & granted;
        self.wire = Wire::agreed(self.kernel_id, self.who.asked, granted);
        if self.who.is_proxy {
            let has_blocks =
                self.granted & capability::SESSION_VAR_SYNC != 0 && self.wire.framing.has_packets();
            let login = rules::login(&self.who, has_blocks);
            self.shared.shadows.login(self.id, &login, &seen.told);
        }
        self.has_statistics_ok = granted & capability::EXTRA_OK_STATISTICS != 0;
        if self.who.is_proxy && self.who.user != PROXY_USER {
            self.judge = Some(Box::new(Judge::new(self.shared.court.clone())));
        }
        let both = granted & self.who.asked;
        self.has_weak_feedback = both & capability::WEAK_STALE_FEEDBACK != 0;
        Ok(None)
    }

    /// Carries bytes both ways, unread, until one side ends.
    async fn pass_through(&mut self) -> io::Result<End> {
        let Self { client, kernel, .. } = self;
        let kernel = kernel.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            let bytes = std::mem::take(&mut client.inbox);
            kernel.write(&bytes).await?;
            let bytes = std::mem::take(&mut kernel.inbox);
            client.write(&bytes).await?;
            let n = tokio::select! {
                n = client.read() => n?,
                n = kernel.read() => n?,
            };
            if n == 0 {
                return Ok(End::Close);
            }
        }
    }

    /// Reads the next request, or the front of a long one. `None`: a side has ended.
    async fn request(&mut self) -> io::Result<Option<Reading>> {
        let mut reading = Reading::new(self.wire);
        let Self {
            client,
            kernel,
            foreign,
            ..
        } = self;
        let kernel = kernel.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            let fed = reading.feed(&mut client.inbox);
            *foreign = reading.frames().foreign;
            fed.map_err(bad)?;
            if reading.is_over() || reading.is_long() {
                return Ok(Some(reading));
            }
            let n = tokio::select! {
                n = client.read() => n?,
                n = kernel.read() => {
                    // Nobody asked: a server that ends a session says so.
                    let bytes = std::mem::take(&mut kernel.inbox);
                    client.write(&bytes).await?;
                    n?
                }
            };
            if n == 0 {
                return Ok(None);
            }
        }
    }

    /// The link is another user's.
    pub(super) fn changed_user(&mut self, name: &str, database: String) {
        let (user, tenant) = login::split_user(name);
        self.who.user = user.into();
        self.who.tenant = tenant.into();
        self.who.database = database;
        self.in_transaction = false;
    }

    /// How a reply to the packet with this number is made.
    pub(super) const fn manner(&self, seq: u8) -> Manner {
        Manner {
            seq: seq.wrapping_add(1),
            is_proxy: self.who.is_proxy,
            in_transaction: self.in_transaction,
        }
    }

    /// Sends an error of the model.
    pub(super) async fn say(&mut self, refusal: &Refusal, framed: &[u8]) -> io::Result<()> {
        if let Some(entry) = &mut self.running {
            entry.errno = refusal.code;
            entry.sqlstate.clone_from(&refusal.sqlstate);
            entry.outcome = Outcome::Err;
            entry.bytes_out = framed.len() as u64;
            entry.t_done_us = now_us();
            self.shared.record.update(entry);
        }
        self.client.write(framed).await
    }

    fn begin_request(&mut self, request: &Reading, came_early: bool) {
        let command = request.command();
        let name = command.map_or_else(String::new, |c| c.to_string());
        let sql = match command {
            Some(Command::QUERY | Command::STMT_PREPARE | Command::INIT_DB) => {
                excerpt(request.body())
            }
            _ => String::new(),
        };
        let server = self.server;
        self.shared
            .count(|c| *c.requests.entry(server).or_default() += 1);
        self.begin(Kind::Request, &name, sql, request.body_len());
        if let Some(entry) = &mut self.running {
            entry.statement = request.statement();
            entry.flags = request.frames().flags();
            entry.came_early = came_early;
        }
    }

    fn begin(&mut self, kind: Kind, command: &str, sql: String, sql_len: u64) {
        let (address, zone) = {
            let state = self.shared.state();
            let server = state.server(self.server);
            server.map_or((None, String::new()), |s| (Some(s.address), s.zone.clone()))
        };
        let framing = if self.who.is_opaque {
            "opaque"
        } else {
            self.wire.name()
        };
        let mut entry = Entry {
            kind,
            t_recv_us: now_us(),
            server: address,
            server_id: self.server,
            zone,
            link: self.id,
            kernel_id: self.kernel_id,
            proxy_sid: self.who.proxy_sid.clone(),
            client_sid: self.who.client_sid.clone(),
            proxy_version: self.who.proxy_version.clone(),
            tenant: self.who.tenant.clone(),
            user: self.who.user.clone(),
            direct: !self.who.is_proxy,
            framing: framing.into(),
            cmd: command.into(),
            sql,
            sql_len,
            database: self.who.database.clone(),
            tx_before: self.in_transaction,
            ..Entry::default()
        };
        entry.seq = self.shared.record.begin(entry.clone());
        self.running = Some(entry);
    }

    fn end_entry(&mut self) {
        if let Some(mut entry) = self.running.take() {
            if entry.outcome == Outcome::Running {
                entry.outcome = Outcome::Reset;
            }
            entry.t_done_us = now_us();
            entry.tx_after = self.in_transaction;
            self.shared.record.end(&entry);
            // What the model answers itself, and what clients ask without a proxy, is no proxy's
            // choice.
            if entry.kind == Kind::Request && !entry.direct && entry.meta.is_empty() {
                self.shared.count(|c| c.verdicts.note(&entry));
            }
        }
    }
}
