//! An OBServer for measurements: one thread, one epoll, replies made beforehand. To a login whose
//! attributes say so it is a server in proxy mode, to any other a plain one.
//!
//! [`canned`](crate::canned) has a thread per session, and its scheduling would be measured too.

use crate::canned::{greeting, put_login_ok};
use crate::statement::{Statement, put_terminal_ok};
use obring_wire::protocol::mysql::{Command, ErrPacket, HEADER_LEN, Login, put_packet};
use rustix::event::epoll::{self, EventData, EventFlags};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Key of the listener; sessions have their place.
const LISTENER: u64 = u64::MAX;
/// Events taken at once.
const EVENTS: usize = 256;
/// A request is shorter than this; a longer one ends its session.
const REQUEST_MAX: usize = 64 << 10;

/// The server, bound to a port of its own.
#[derive(Debug)]
pub struct Busy {
    listener: TcpListener,
    epoll: OwnedFd,
    sessions: Vec<Option<Session>>,
    free: Vec<usize>,
    accepted: u32,
    replies: Replies,
    /// Bytes of one read.
    input: Vec<u8>,
}

#[derive(Debug)]
struct Session {
    stream: TcpStream,
    is_logged_in: bool,
    is_proxy: bool,
    /// The beginning of a request whose end has not come.
    partial: Vec<u8>,
    /// A reply of which the system took only a part, and how much.
    rest: Option<(Arc<[u8]>, usize)>,
}

/// Results by statement; each by prepared or not, for a proxy or not.
#[derive(Debug)]
struct Replies([[[Arc<[u8]>; 2]; 2]; 3]);

impl Replies {
    fn new() -> Self {
        Self(Statement::ALL.map(|statement| {
            [false, true].map(|is_prepared| {
                [false, true].map(|is_proxy| statement.reply(is_prepared, is_proxy).into())
            })
        }))
    }

    fn of(&self, statement: Statement, is_prepared: bool, is_proxy: bool) -> Arc<[u8]> {
        let [text, binary] = &self.0[statement as usize];
        let [plain, proxied] = if is_prepared { binary } else { text };
        if is_proxy { proxied } else { plain }.clone()
    }
}

impl Busy {
    /// Binds to a free port of the loopback.
    ///
    /// # Errors
    /// Those of listening and of epoll.
    pub fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            listener,
            epoll,
            sessions: vec![],
            free: vec![],
            accepted: 0,
            replies: Replies::new(),
            input: vec![0; REQUEST_MAX],
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the question.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until something other than a session fails.
    ///
    /// # Errors
    /// Those of epoll.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    at => self.serve(at as usize),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client is gone already.
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            self.accepted = self.accepted.wrapping_add(1);
            let mut hello = vec![];
            greeting(0xC000_0000 | self.accepted).put(&mut hello);
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let at = self.free.pop().unwrap_or(self.sessions.len());
            let key = EventData::new_u64(at as u64);
            epoll::add(&self.epoll, &stream, key, EventFlags::IN)?;
            let mut session = Session {
                stream,
                is_logged_in: false,
                is_proxy: false,
                partial: vec![],
                rest: None,
            };
            // A new socket takes a greeting whole; the client that is gone shows at the next read.
            let _ = session.send(hello.into());
            if at == self.sessions.len() {
                self.sessions.push(None);
            }
            self.sessions[at] = Some(session);
        }
    }

    /// One event of a session. What fails ends it.
    fn serve(&mut self, at: usize) {
        let Some(Some(session)) = self.sessions.get_mut(at) else {
            return;
        };
        let was_stuck = session.rest.is_some();
        let result = session.turn(&self.replies, &mut self.input);
        let is_stuck = session.rest.is_some();
        let watched = if is_stuck == was_stuck {
            Ok(())
        } else {
            // Requests wait while their client does not take what it has.
            let flags = if is_stuck {
                EventFlags::OUT
            } else {
                EventFlags::IN
            };
            let key = EventData::new_u64(at as u64);
            epoll::modify(&self.epoll, &session.stream, key, flags)
        };
        if !matches!((result, watched), (Ok(true), Ok(()))) {
            self.sessions[at] = None;
            self.free.push(at);
        }
    }
}

impl Session {
    /// Writes what is left, else reads and answers. False at the end of the session.
    fn turn(&mut self, replies: &Replies, input: &mut [u8]) -> io::Result<bool> {
        if let Some((reply, at)) = self.rest.take() {
            self.send_from(reply, at)?;
            return Ok(true);
        }
        let n = match self.stream.read(input) {
            Ok(0) => return Ok(false),
            Ok(n) => n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        };
        if self.partial.is_empty()
            && let Some(used) = packet_len(&input[..n])
            && used == n
        {
            return self.answer(&input[..n], replies);
        }
        self.partial.extend_from_slice(&input[..n]);
        while let Some(len) = packet_len(&self.partial) {
            // A client of a measurement does not ask before it has its answer.
            if self.rest.is_some() {
                return Ok(false);
            }
            let packet: Vec<u8> = self.partial.drain(..len).collect();
            if !self.answer(&packet, replies)? {
                return Ok(false);
            }
        }
        Ok(self.partial.len() < REQUEST_MAX)
    }

    fn answer(&mut self, packet: &[u8], replies: &Replies) -> io::Result<bool> {
        let Some((&[_, _, _, seq], payload)) = packet.split_first_chunk::<HEADER_LEN>() else {
            return Ok(false);
        };
        let seq = seq.wrapping_add(1);
        if !self.is_logged_in {
            return self.login(seq, payload);
        }
        let Some((&command, body)) = payload.split_first() else {
            return Ok(false);
        };
        let reply = match Command(command) {
            Command::QUIT => return Ok(false),
            Command::QUERY => match Statement::ALL.into_iter().find(|s| s.text() == body) {
                Some(statement) => replies.of(statement, false, self.is_proxy),
                None => self.other_query(seq, body),
            },
            Command::STMT_EXECUTE => {
                let id = body.first_chunk().map(|id| u32::from_le_bytes(*id));
                match id.and_then(Statement::of_id) {
                    Some(statement) => replies.of(statement, true, self.is_proxy),
                    None => self.error(seq, 1243, b"Unknown prepared statement handler"),
                }
            }
            Command::STMT_PREPARE => {
                match (Statement::ALL.into_iter()).find(|s| s.prepared_text() == body) {
                    Some(statement) => statement.prepare_reply(self.is_proxy).into(),
                    None => self.error(seq, 1235, b"Not one of the statements known here"),
                }
            }
            Command::STMT_CLOSE => return Ok(true),
            _ => self.ok(seq),
        };
        self.send(reply)?;
        Ok(true)
    }

    fn login(&mut self, seq: u8, payload: &[u8]) -> io::Result<bool> {
        let Ok(login) = Login::parse(payload) else {
            return Ok(false);
        };
        self.is_proxy = (login.attributes()).any(|a| a == (b"__mysql_client_type", b"__ob_proxy"));
        self.is_logged_in = true;
        let mut out = vec![];
        put_login_ok(&mut out, seq, self.is_proxy);
        self.send(out.into())?;
        Ok(true)
    }

    /// A server list does not exist; anything else succeeds.
    fn other_query(&self, seq: u8, text: &[u8]) -> Arc<[u8]> {
        if text.windows(14).any(|w| w == b"DBA_OB_SERVERS") {
            self.error(seq, 1146, b"Table doesn't exist")
        } else {
            self.ok(seq)
        }
    }

    fn ok(&self, seq: u8) -> Arc<[u8]> {
        let mut out = vec![];
        if self.is_proxy {
            put_terminal_ok(&mut out, seq);
        } else {
            put_packet(&mut out, seq, |b| {
                b.extend_from_slice(&[0, 0, 0, 0x22, 0, 0, 0])
            });
        }
        out.into()
    }

    fn error(&self, seq: u8, code: u16, message: &[u8]) -> Arc<[u8]> {
        let mut out = vec![];
        ErrPacket {
            code,
            sqlstate: b"HY000",
            message,
        }
        .put(&mut out, seq);
        if self.is_proxy {
            put_terminal_ok(&mut out, seq.wrapping_add(1));
        }
        out.into()
    }

    fn send(&mut self, reply: Arc<[u8]>) -> io::Result<()> {
        self.send_from(reply, 0)
    }

    fn send_from(&mut self, reply: Arc<[u8]>, mut at: usize) -> io::Result<()> {
        while at < reply.len() {
            match self.stream.write(&reply[at..]) {
                Ok(n) => at += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.rest = Some((reply, at));
                    return Ok(());
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Length of the first packet with its header, once all of it is there.
fn packet_len(bytes: &[u8]) -> Option<usize> {
    let &[a, b, c, _, ..] = bytes else {
        return None;
    };
    let len = HEADER_LEN + u32::from_le_bytes([a, b, c, 0]) as usize;
    (len <= bytes.len()).then_some(len)
}
