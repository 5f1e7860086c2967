//! The life of a link, from its greeting to its last request.

use super::End;
use super::follow::{Follow, Seen};
use super::frames::Framing;
use super::login::{self, Who};
use super::made::{Manner, refusals};
use super::request::Reading;
use super::side::Side;
use crate::clock::now_us;
use crate::record::{Entry, Kind, Outcome, excerpt};
use crate::shared::{ServerView, Shared};
use crate::state::Process;
use crate::views::{self, Refusal, Statement};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{
    ChangeUser, Command, ErrPacket, Gather, Greeting, Shape, put_packet, status,
};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Longest login packet.
const LOGIN_MAX: usize = 1 << 20;
/// COM_STMT_EXECUTE: its flags ask for a cursor.
const CURSOR_FLAGS: u8 = 0x0F;
/// Where these flags stand behind the command byte.
const FLAGS_AT: usize = 4;

/// One link.
#[derive(Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    id: u64,
    server: u32,
    view: watch::Receiver<ServerView>,
    client: Side,
    kernel: Option<Side>,
    kernel_id: u32,
    who: Who,
    framing: Framing,
    /// A terminal OK follows COM_STATISTICS.
    has_statistics_ok: bool,
    in_transaction: bool,
    /// What is being done, for the log.
    running: Option<Entry>,
}

/// The end of one request.
enum Turn {
    Next,
    End(End),
}

fn bad(what: impl ToString) -> io::Error {
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
            framing: Framing::Plain,
            has_statistics_ok: false,
            in_transaction: false,
            running: None,
        })
    }

    /// Serves the link to its end.
    pub(super) async fn run(&mut self) -> io::Result<End> {
        if let Some(refusal) = self.not_ready() {
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
        self.kernel = Some(Side::new(stream, self.view.clone())?);
        self.greet().await?;
        if let Some(end) = self.log_in().await? {
            return Ok(end);
        }
        if self.framing == Framing::Opaque {
            return self.pass_through().await;
        }
        loop {
            let Some(request) = self.request().await? else {
                return Ok(End::Close);
            };
            self.begin_request(&request);
            let turn = self.serve(request).await;
            self.end_entry();
            if let Turn::End(end) = turn? {
                return Ok(end);
            }
        }
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

    fn not_ready(&self) -> Option<Refusal> {
        match self.view.borrow().process {
            Process::Starting => Some(refusals::starting()),
            Process::Stopping => Some(refusals::stopping()),
            Process::Serving | Process::Dead => None,
        }
    }

    fn kernel(&mut self) -> io::Result<&mut Side> {
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
                break (seq, payload);
            }
        };
        self.who = login::who(&payload).map_err(bad)?;
        self.shared.note_link(self.id, |link| {
            link.user.clone_from(&self.who.user);
            link.tenant.clone_from(&self.who.tenant);
            link.is_proxy = self.who.is_proxy;
        });
        self.begin(Kind::Login, "login", String::new(), 0);
        let judged = match self.not_ready() {
            Some(refusal) => Err(refusal),
            None => login::judge(&payload, &self.who, &self.shared.state(), self.server),
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
        if self.who.is_opaque {
            self.framing = Framing::Opaque;
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
        };
        let seen = self.relay(Framing::Plain, shape).await?;
        self.end_entry();
        let Some(seen) = seen.filter(|seen| seen.errno == 0) else {
            return Ok(Some(End::Close));
        };
        let server = self.server;
        self.shared
            .count(|c| *c.logins.entry(server).or_default() += 1);
        let capability = seen.capability.unwrap_or(0);
        self.has_statistics_ok = capability & capability::EXTRA_OK_STATISTICS != 0;
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
        let mut reading = Reading::new(self.framing);
        let Self { client, kernel, .. } = self;
        let kernel = kernel.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            reading.feed(&mut client.inbox).map_err(bad)?;
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

    /// One request, from its last byte to that of its reply.
    async fn serve(&mut self, request: Reading) -> io::Result<Turn> {
        let Some(command) = request.command() else {
            // An empty packet is the kernel's to judge; it has no command to tell its reply by.
            self.kernel()?.write(&request.raw).await?;
            return Ok(Turn::Next);
        };
        if let Some((refusal, turn)) = self.refuse(&request) {
            let packets = self.manner(request.seq()).error(&refusal);
            let framed = request.frames().wrap_reply(&packets);
            if command.has_reply() {
                self.say(&refusal, &framed).await?;
            }
            return Ok(turn);
        }
        if request.is_over() && self.who.tenant == "sys" {
            match command {
                Command::QUERY => {
                    if let Some((statement, names)) = self.of_views(&request) {
                        return self.answer(&request, &statement, &names).await;
                    }
                }
                Command::STMT_PREPARE if self.of_views(&request).is_some() => {
                    let refusal = refusals::not_supported("Not supported feature or function");
                    let packets = self.manner(request.seq()).error(&refusal);
                    let framed = request.frames().wrap_reply(&packets);
                    self.say(&refusal, &framed).await?;
                    return Ok(Turn::Next);
                }
                _ => {}
            }
        }
        self.forward(command, request).await
    }

    /// The view names of a request that reads some.
    fn of_views(&self, request: &Reading) -> Option<(Statement, Vec<&'static str>)> {
        let statement = Statement::parse(request.body())?;
        let names = statement.views(&views::NAMES, &self.who.database);
        (statement.is_select() && !names.is_empty()).then_some((statement, names))
    }

    /// What this server does not serve.
    fn refuse(&self, request: &Reading) -> Option<(Refusal, Turn)> {
        if request.command() == Some(Command::QUIT) {
            return None;
        }
        if let Some(refusal) = self.not_ready() {
            return Some((refusal, Turn::Next));
        }
        let state = self.shared.state();
        let here = state
            .tenant(&self.who.tenant)
            .is_some_and(|t| t.servers.contains(&self.server));
        if !here {
            return Some((refusals::tenant_not_here(), Turn::End(End::Close)));
        }
        if request.command() == Some(Command::CHANGE_USER)
            && let Ok(change) = ChangeUser::parse(request.payload())
        {
            let name = String::from_utf8_lossy(change.user).into_owned();
            let (user, tenant) = login::split_user(&name);
            let has_password = !change.auth.is_empty();
            return login::refuse_tenant(&state, self.server, user, tenant, has_password)
                .map(|refusal| (refusal, Turn::End(End::Close)));
        }
        None
    }

    async fn answer(
        &mut self,
        request: &Reading,
        statement: &Statement,
        names: &[&'static str],
    ) -> io::Result<Turn> {
        self.shared.count(|c| {
            for name in names {
                *c.views.entry((*name).to_owned()).or_default() += 1;
            }
        });
        if let Some(entry) = &mut self.running {
            entry.meta = names.join(",");
            entry.t_exec_us = now_us();
        }
        let shared = self.shared.clone();
        let answer = shared.views.answer(statement, names, &shared.state, None);
        let manner = self.manner(request.seq());
        match answer.await {
            Ok(set) => {
                let framed = request.frames().wrap_reply(&manner.rows(&set));
                if let Some(entry) = &mut self.running {
                    entry.rows = set.rows.len() as u64;
                    entry.bytes_out = framed.len() as u64;
                    entry.outcome = Outcome::Model;
                    entry.t_done_us = now_us();
                    shared.record.update(entry);
                }
                self.client.write(&framed).await?;
            }
            Err(refusal) => {
                let framed = request.frames().wrap_reply(&manner.error(&refusal));
                self.say(&refusal, &framed).await?;
            }
        }
        Ok(Turn::Next)
    }

    /// Sends a request to the kernel as it came, and its reply to the client.
    async fn forward(&mut self, command: Command, mut request: Reading) -> io::Result<Turn> {
        if let Some(entry) = &mut self.running {
            entry.t_exec_us = now_us();
        }
        let shape = Shape {
            command,
            cursor: command == Command::STMT_EXECUTE
                && request
                    .body()
                    .get(FLAGS_AT)
                    .is_some_and(|f| f & CURSOR_FLAGS != 0),
            proxy_mode: self.who.is_proxy,
            statistics_ok: self.has_statistics_ok,
        };
        let mut new_user = None;
        if command == Command::CHANGE_USER
            && let Ok(change) = ChangeUser::parse(request.payload())
        {
            let name = String::from_utf8_lossy(change.user).into_owned();
            let database = String::from_utf8_lossy(change.database).into_owned();
            request.raw = change_user(&request, &login::kernel_user(&name));
            new_user = Some((name, database));
        }
        let new_database = new_database(command, request.body());
        let raw = std::mem::take(&mut request.raw);
        self.kernel()?.write(&raw).await?;
        while !request.is_over() {
            if self.client.inbox.is_empty() && self.client.read().await? == 0 {
                return Ok(Turn::End(End::Close));
            }
            request.feed(&mut self.client.inbox).map_err(bad)?;
            let raw = std::mem::take(&mut request.raw);
            self.kernel()?.write(&raw).await?;
        }
        if !command.has_reply() {
            if let Some(entry) = &mut self.running {
                entry.outcome = Outcome::Ok;
            }
            let is_quit = command == Command::QUIT;
            return Ok(if is_quit {
                Turn::End(End::Close)
            } else {
                Turn::Next
            });
        }
        let Some(seen) = self.relay(self.framing, shape).await? else {
            return Ok(Turn::End(End::Close));
        };
        if seen.errno == 0 {
            if let Some((name, database)) = new_user {
                let (user, tenant) = login::split_user(&name);
                self.who.user = user.into();
                self.who.tenant = tenant.into();
                self.who.database = database;
                self.in_transaction = false;
            }
            if let Some(database) = seen.database.or(new_database) {
                self.who.database = database;
            }
        }
        Ok(Turn::Next)
    }

    /// Carries one reply of the kernel to the client, and what the client sends where it is asked
    /// to. `None`: a side has ended.
    async fn relay(&mut self, framing: Framing, shape: Shape) -> io::Result<Option<Seen>> {
        let Self {
            client,
            kernel,
            running,
            in_transaction,
            shared,
            ..
        } = self;
        let kernel = kernel.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut follow = Follow::new(framing, shape);
        while !follow.is_done() {
            if follow.seen.turn.is_some() && !client.inbox.is_empty() {
                let bytes = std::mem::take(&mut client.inbox);
                kernel.write(&bytes).await?;
            }
            tokio::select! {
                n = kernel.read() => {
                    if n? == 0 {
                        return Ok(None);
                    }
                    let bytes = std::mem::take(&mut kernel.inbox);
                    follow.feed(&bytes).map_err(bad)?;
                    if let Some(entry) = running {
                        entry.bytes_out += bytes.len() as u64;
                    }
                    if follow.is_done() {
                        // Before the last bytes go out: who has a reply finds it in the log.
                        let seen = &follow.seen;
                        if let Some(bits) = seen.status {
                            *in_transaction = bits & status::IN_TRANSACTION != 0;
                        }
                        if let Some(entry) = running {
                            note_reply(entry, seen, *in_transaction);
                            shared.record.update(entry);
                        }
                    }
                    client.write(&bytes).await?;
                }
                n = client.read(), if client.has_room() => {
                    if n? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(follow.seen))
    }

    /// How a reply to the packet with this number is made.
    const fn manner(&self, seq: u8) -> Manner {
        Manner {
            seq: seq.wrapping_add(1),
            is_proxy: self.who.is_proxy,
            in_transaction: self.in_transaction,
        }
    }

    /// Sends an error of the model.
    async fn say(&mut self, refusal: &Refusal, framed: &[u8]) -> io::Result<()> {
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

    fn begin_request(&mut self, request: &Reading) {
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
        }
    }

    fn begin(&mut self, kind: Kind, command: &str, sql: String, sql_len: u64) {
        let (address, zone) = {
            let state = self.shared.state();
            let server = state.server(self.server);
            server.map_or((None, String::new()), |s| (Some(s.address), s.zone.clone()))
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
            framing: self.framing.name().into(),
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
        }
    }
}

/// What a whole reply says, for the log.
fn note_reply(entry: &mut Entry, seen: &Seen, in_transaction: bool) {
    entry.t_done_us = now_us();
    entry.errno = seen.errno;
    entry.sqlstate.clone_from(&seen.sqlstate);
    entry.affected = seen.affected;
    entry.rows = seen.rows;
    entry.tx_after = in_transaction;
    entry.outcome = if seen.errno == 0 {
        Outcome::Ok
    } else {
        Outcome::Err
    };
}

/// A COM_CHANGE_USER with another user name, all else as it came, framed.
fn change_user(request: &Reading, name: &str) -> Vec<u8> {
    let payload = request.payload();
    let end = payload.iter().skip(1).position(|b| *b == 0);
    let rest = end.and_then(|at| payload.get(at + 1..)).unwrap_or_default();
    let mut out = vec![];
    put_packet(&mut out, request.seq(), |b| {
        b.push(Command::CHANGE_USER.0);
        b.extend_from_slice(name.as_bytes());
        b.extend_from_slice(rest);
    });
    request.frames().wrap_request(&out)
}

/// The database that a request makes the current one, if it succeeds.
fn new_database(command: Command, body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body.get(..256).unwrap_or(body)).ok()?;
    match command {
        Command::INIT_DB => Some(text.to_owned()),
        Command::QUERY => {
            let name = text.trim().strip_suffix(';').unwrap_or(text).trim();
            let (verb, name) = name.split_once(char::is_whitespace)?;
            verb.eq_ignore_ascii_case("use")
                .then(|| name.trim().trim_matches('`').to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_database_is_followed() {
        let of = |text: &str| new_database(Command::QUERY, text.as_bytes());
        assert_eq!(of("use `test` ;"), Some("test".into()));
        assert_eq!(of("USE oceanbase"), Some("oceanbase".into()));
        assert_eq!(of("user x"), None);
        assert_eq!(new_database(Command::INIT_DB, b"d"), Some("d".into()));
    }

    #[test]
    fn a_changed_user_keeps_the_rest_of_the_packet() {
        let mut inbox = vec![];
        put_packet(&mut inbox, 0, |b| {
            b.extend_from_slice(b"\x11u@test\0\x00db\0\x2d\0mysql_native_password\0");
        });
        let mut reading = Reading::new(Framing::Plain);
        reading.feed(&mut inbox).unwrap();
        assert!(reading.is_over() && inbox.is_empty());
        let out = change_user(&reading, "u@sys");
        assert_eq!(
            out[4..],
            *b"\x11u@sys\0\x00db\0\x2d\0mysql_native_password\0"
        );
    }
}
