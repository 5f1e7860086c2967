//! A client of the model: a proxy or a direct one, with blocking calls and deadlines.

use obcluster::shadow::Told;
use obring_wire::base::Cursor;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{
    Command, ErrPacket, Gather, Greeting, Login, OkPacket, SCRAMBLE_LEN, TRACK_VARIABLES, client,
    put_attribute, put_packet, status,
};
use obring_wire::protocol::ob20::{
    Envelope, FrameReader, FrameStep, FrameWriter, Framing, entry, flag, put_old_pair, put_tlv,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sha1::{Digest, Sha1};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// No answer takes longer.
const TIME: Duration = Duration::from_secs(10);
/// SHA1 of the default password of the user that proxies have for themselves.
pub(crate) const PROXYRO: [u8; 20] = [
    0xee, 0x0e, 0x51, 0x38, 0xc9, 0x12, 0xae, 0xd8, 0x0b, 0x68, 0x3c, 0x05, 0x30, 0x36, 0x84, 0xbe,
    0x34, 0x7c, 0xe8, 0x1d,
];

/// Sessions begin so far apart, in microseconds.
const SECOND_US: u64 = 1_000_000;

/// The numbers that a proxy gives to one session of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ids {
    /// `__proxy_connection_id`.
    pub(crate) proxy: u64,
    /// `__client_session_id`; none without one.
    pub(crate) client: Option<u32>,
    /// `__client_connect_time`.
    pub(crate) time: u64,
}

impl Ids {
    /// Of a session that nobody else has, without a client session id.
    pub(crate) fn new() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            proxy: 77,
            client: None,
            time: number * SECOND_US,
        }
    }

    /// The same with a client session id.
    pub(crate) fn with_client_id() -> Self {
        let new = Self::new();
        // Other tests have their own on the same kernel.
        let id = std::process::id() % 0x1000 * 0x1_0000 + (new.time / SECOND_US) as u32;
        Self {
            client: Some(0x1000_0000 + id),
            ..new
        }
    }
}

/// Who logs in, and as what.
#[derive(Clone, Debug)]
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a str,
    /// SHA1 of the password; none is the empty password.
    pub(crate) stage1: Option<[u8; 20]>,
    /// A proxy, with this `__proxy_capability_flag`.
    pub(crate) proxy: Option<u64>,
    pub(crate) cluster: Option<&'a str>,
    pub(crate) database: Option<&'a str>,
    /// The session that a proxy's connection is for; none: a new one.
    pub(crate) ids: Option<Ids>,
    /// Asks for TLS.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

impl<'a> Credentials<'a> {
    pub(crate) const fn direct(user: &'a str) -> Self {
        Self {
            user,
            stage1: None,
            proxy: None,
            cluster: None,
            database: None,
            ids: None,
            tls: None,
        }
    }

    /// A direct client, and proxies in the four framings.
    pub(crate) fn all(user: &'a str) -> Vec<Self> {
        let proxies = MASKS.iter().map(|(_, mask)| Self::proxy(user, *mask));
        std::iter::once(Self::direct(user)).chain(proxies).collect()
    }

    pub(crate) const fn proxy(user: &'a str, capability: u64) -> Self {
        let mut new = Self::direct(user);
        new.proxy = Some(capability);
        new
    }
}

/// A connection, inside TLS or not.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// An error packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) code: u16,
    pub(crate) state: String,
    pub(crate) text: String,
}

/// A result set; rows of texts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Set {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Set {
    /// Texts of one column.
    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        let at = self.columns.iter().position(|c| c == name).expect(name);
        let cells = self.rows.iter().map(|r| r[at].as_deref());
        cells.map(|c| c.unwrap_or("NULL")).collect()
    }
}

/// The masks of proxies in the four framings.
pub(crate) const MASKS: [(Framing, u64); 4] = [
    (Framing::Plain, capability::PLAIN),
    (Framing::Checksum, capability::COMPRESSED),
    (Framing::Ob20, capability::OB20),
    (
        Framing::Ob20Compressed,
        capability::OB20 | capability::OB_PROTOCOL_V2_COMPRESS,
    ),
];

#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    is_proxy: bool,
    pub(crate) greeting: Greeting,
    reader: FrameReader,
    writer: FrameWriter,
    /// MySQL bytes that were read and not used.
    inbox: Vec<u8>,
    /// Extra info is TLV.
    is_new_extra: bool,
    /// Flags of requests besides those of their form.
    pub(crate) flags: u32,
    /// What was told of the session since the last request, or with the login.
    pub(crate) told: Told,
}

/// Connects and reads what a server says first.
pub(crate) fn greeting(address: SocketAddr) -> io::Result<(TcpStream, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, TIME)?;
    stream.set_read_timeout(Some(TIME))?;
    stream.set_nodelay(true)?;
    let payload = read_packet(&mut stream)?;
    Ok((stream, payload))
}

fn read_packet(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let [a, b, c, _] = header;
    let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|p| hash.update(p));
    hash.finalize().into()
}

fn said(payload: &[u8]) -> Option<Said> {
    let e = ErrPacket::parse(payload).ok()?;
    Some(Said {
        code: e.code,
        state: String::from_utf8_lossy(e.sqlstate).into_owned(),
        text: String::from_utf8_lossy(e.message).into_owned(),
    })
}

/// `ob_capability_flag` of a login OK.
fn granted(ok: &[u8]) -> u64 {
    let ok = OkPacket::parse(ok).expect("an OK");
    let blocks = ok.blocks().filter(|b| b.kind == TRACK_VARIABLES);
    let mut variables = blocks.flat_map(|b| b.variables());
    let flag = variables.find(|(name, _, _)| *name == b"ob_capability_flag");
    let text = flag.and_then(|(_, value, _)| std::str::from_utf8(value).ok());
    text.and_then(|t| t.parse().ok()).unwrap_or(0)
}

fn is_eof(payload: &[u8]) -> bool {
    payload.first() == Some(&0xFE) && payload.len() < 9
}

impl Client {
    /// Logs in. The error of the server is the inner one.
    pub(crate) fn login(address: SocketAddr, who: &Credentials) -> io::Result<Result<Self, Said>> {
        let (stream, payload) = greeting(address)?;
        if let Some(said) = said(&payload) {
            return Ok(Err(said));
        }
        let greeting = Greeting::parse(&payload).map_err(io::Error::other)?;
        // A proxy has its own scramble, and says how it differs.
        let mine = *b"ABCDEFGHIJKLMNOPQRST";
        let scramble = if who.proxy.is_some() {
            mine
        } else {
            greeting.scramble
        };
        let auth = who.stage1.map(|stage1| {
            let check = sha1(&[&scramble, &sha1(&[&stage1])]);
            let pairs = stage1.iter().zip(check);
            pairs.map(|(a, b)| a ^ b).collect::<Vec<u8>>()
        });
        let mut attributes = vec![];
        if let Some(capability) = who.proxy {
            put_attribute(&mut attributes, b"__mysql_client_type", b"__ob_proxy");
            let mask = capability.to_string();
            put_attribute(&mut attributes, b"__proxy_capability_flag", mask.as_bytes());
            let mut xor = [0; SCRAMBLE_LEN];
            for (x, (p, s)) in xor.iter_mut().zip(mine.iter().zip(greeting.scramble)) {
                *x = p ^ s;
            }
            put_attribute(&mut attributes, b"__proxy_scramble", &xor);
            let ids = who.ids.unwrap_or_else(Ids::new);
            let mut put = |name: &str, value: String| {
                put_attribute(&mut attributes, name.as_bytes(), value.as_bytes());
            };
            put("__proxy_connection_id", ids.proxy.to_string());
            put("__client_connect_time", ids.time.to_string());
            if let Some(id) = ids.client {
                put("__client_session_id", id.to_string());
            }
            put_attribute(&mut attributes, b"__proxy_version", b"4.3.3.0");
        }
        if let Some(cluster) = who.cluster {
            put_attribute(&mut attributes, b"__cluster_name", cluster.as_bytes());
        }
        let mut capabilities = client::PROTOCOL_41
            | client::SECURE_CONNECTION
            | client::PLUGIN_AUTH
            | client::CONNECT_ATTRS
            | client::MULTI_STATEMENTS
            | client::MULTI_RESULTS
            | client::LOCAL_FILES
            | client::SESSION_TRACK;
        if who.database.is_some() {
            capabilities |= client::CONNECT_WITH_DB;
        }
        if who.tls.is_some() {
            capabilities |= client::SSL;
        }
        let login = Login {
            capabilities,
            max_packet: 1 << 24,
            charset: Greeting::CHARSET,
            user: who.user.as_bytes(),
            auth: auth.as_deref().unwrap_or_default(),
            database: who.database.map(str::as_bytes),
            plugin: Some(b"mysql_native_password"),
            attributes: &attributes,
        };
        let mut seq = 1;
        let mut stream = Stream::Plain(stream);
        if let Some(config) = &who.tls {
            assert_ne!(greeting.capabilities & client::SSL, 0, "TLS is offered");
            let mut asked = vec![];
            put_packet(&mut asked, seq, |b| {
                let mut whole = vec![];
                login.put(&mut whole);
                whole.truncate(32);
                b.extend_from_slice(&whole);
            });
            stream.write_all(&asked)?;
            seq += 1;
            let name = ServerName::from(address.ip());
            let tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
            let socket = stream.socket().try_clone()?;
            stream = Stream::Tls(Box::new(StreamOwned::new(tls, socket)));
        }
        let mut out = vec![];
        put_packet(&mut out, seq, |b| login.put(b));
        stream.write_all(&out)?;
        let mut new = Self {
            stream,
            is_proxy: who.proxy.is_some(),
            reader: FrameReader::new(Framing::Plain, 0),
            writer: FrameWriter::new(Framing::Plain, 0, false),
            greeting,
            inbox: vec![],
            is_new_extra: false,
            flags: 0,
            told: Told::default(),
        };
        let reply = new.packet()?;
        if let Some(said) = said(&reply) {
            new.terminal()?;
            assert!(new.is_ended(), "a refused login ends");
            return Ok(Err(said));
        }
        let granted = granted(&reply);
        let framing = Framing::agreed(who.proxy.unwrap_or(0), granted);
        let id = new.greeting.connection_id;
        new.reader = FrameReader::new(framing, id);
        new.is_new_extra = who.proxy.unwrap_or(0) & granted & capability::NEW_EXTRA_INFO != 0;
        new.writer = FrameWriter::new(framing, id, new.is_new_extra);
        if let Ok(ok) = OkPacket::parse(&reply) {
            new.told.ok(&ok);
        }
        Ok(Ok(new))
    }

    /// Names another connection from now on.
    pub(crate) fn speak_as(&mut self, connection_id: u32) {
        let framing = self.writer.framing();
        self.writer = FrameWriter::new(framing, connection_id, self.is_new_extra);
    }

    /// The framing has room beside MySQL bytes.
    pub(crate) const fn has_extra(&self) -> bool {
        self.writer.framing().has_packets()
    }

    /// Sends the next request with these blocks of session state.
    fn extra(&self, parts: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut session = vec![];
        for (kind, bytes) in parts {
            put_tlv(&mut session, *kind, bytes);
        }
        let mut extra = vec![];
        if !parts.is_empty() && self.is_new_extra {
            put_tlv(&mut extra, entry::SESSION, &session);
        } else if !parts.is_empty() {
            put_old_pair(&mut extra, b"sess_inf", &session);
        }
        extra
    }

    /// One that must get in.
    pub(crate) fn new(address: SocketAddr, who: &Credentials) -> Self {
        Self::login(address, who).unwrap().unwrap()
    }

    pub(crate) fn packet(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let mut used = 0;
            let mut gather = Gather::default();
            let whole = gather.feed(&self.inbox, &mut used, 1 << 24);
            if let Some(whole) = whole.map_err(|_| io::Error::other("too long"))? {
                let payload = whole.payload.to_vec();
                self.inbox.drain(..used);
                return Ok(payload);
            }
            let mut bytes = [0; 8192];
            let n = self.stream.read(&mut bytes)?;
            if n == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let (mut at, mut inflated) = (0, vec![]);
            loop {
                let step = self.reader.step(&bytes[..n], &mut at, &mut inflated);
                match step.map_err(|e| io::Error::new(ErrorKind::InvalidData, e.to_string()))? {
                    FrameStep::More => break,
                    FrameStep::Body(range) => self.inbox.extend_from_slice(&bytes[range]),
                    FrameStep::Inflated(bytes) => self.inbox.extend_from_slice(bytes),
                    FrameStep::Extra(extra) => self.told.beside.take(&extra),
                    FrameStep::End { .. } => {
                        let flags = self.reader.header().map_or(0, |h| h.flags);
                        self.told.is_free |= flags & flag::INTERNAL_ROUTING != 0;
                    }
                }
            }
        }
    }

    /// The OK that proxies get in addition.
    fn terminal(&mut self) -> io::Result<()> {
        if self.is_proxy {
            let payload = self.packet()?;
            assert_eq!(payload[0], 0, "a terminal OK");
            self.take_ok(&payload);
        }
        Ok(())
    }

    /// Prepares a statement without columns or with some; its number and that of its parameters.
    pub(crate) fn prepare(&mut self, sql: &str) -> (u32, u16) {
        self.send(Command::STMT_PREPARE, sql.as_bytes()).unwrap();
        let head = self.packet().unwrap();
        assert_eq!(head[0], 0, "{sql}: {head:?}");
        let id = u32::from_le_bytes(head[1..5].try_into().unwrap());
        let number = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        for count in [number(7), number(5)] {
            for _ in 0..if count == 0 { 0 } else { count + 1 } {
                self.packet().unwrap();
            }
        }
        self.terminal().unwrap();
        (id, number(7))
    }

    /// The reply to an execute: the number of its rows.
    pub(crate) fn binary_reply(&mut self) -> usize {
        let first = self.packet().unwrap();
        assert!(said(&first).is_none(), "{first:?}");
        if first[0] == 0 {
            self.take_ok(&first);
            return 0;
        }
        while !is_eof(&self.packet().unwrap()) {}
        let mut rows = 0;
        while !is_eof(&self.packet().unwrap()) {
            rows += 1;
        }
        self.terminal().unwrap();
        rows
    }

    /// True when the server has closed, in either way.
    pub(crate) fn is_ended(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(n) => n == 0,
            Err(e) => e.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// True when nothing comes for this long.
    pub(crate) fn is_silent(&self, time: Duration) -> bool {
        let socket = self.stream.socket();
        socket.set_read_timeout(Some(time)).unwrap();
        let read = socket.peek(&mut [0]);
        socket.set_read_timeout(Some(TIME)).unwrap();
        matches!(read, Err(e) if e.kind() == ErrorKind::WouldBlock)
    }

    fn take_ok(&mut self, payload: &[u8]) {
        if let Ok(ok) = OkPacket::parse(payload) {
            self.told.ok(&ok);
            self.told.in_transaction = Some(ok.status & status::IN_TRANSACTION != 0);
        }
    }

    pub(crate) fn send(&mut self, command: Command, body: &[u8]) -> io::Result<()> {
        self.send_with(command, body, &[])
    }

    /// The same with blocks of session state beside it.
    pub(crate) fn send_with(
        &mut self,
        command: Command,
        body: &[u8],
        parts: &[(u16, Vec<u8>)],
    ) -> io::Result<()> {
        self.told = Told::default();
        let extra = self.extra(parts);
        let mut out = vec![];
        put_packet(&mut out, 0, |b| {
            b.push(command.0);
            b.extend_from_slice(body);
        });
        self.writer.begin_request();
        self.put(&out, &extra)
    }

    /// What the server asks for inside a reply: each packet in a frame of its own.
    pub(crate) fn send_turn(&mut self, packets: &[&[u8]]) -> io::Result<()> {
        self.writer.begin_turn(self.reader.position());
        packets.iter().try_for_each(|packet| self.put(packet, &[]))
    }

    fn put(&mut self, packets: &[u8], extra: &[u8]) -> io::Result<()> {
        let envelope = Envelope {
            is_last: true,
            extra,
            flags: if self.has_extra() { self.flags } else { 0 },
        };
        let mut out = vec![];
        self.writer.put(&mut out, envelope, packets);
        self.reader.expect_reply(self.writer.position(), true);
        self.stream.write_all(&out)
    }

    /// The reply to a query of one statement: its rows, none for an OK.
    pub(crate) fn reply(&mut self) -> io::Result<Result<Set, Said>> {
        let first = self.packet()?;
        if let Some(said) = said(&first) {
            self.terminal()?;
            return Ok(Err(said));
        }
        let mut set = Set::default();
        if first[0] == 0 {
            self.take_ok(&first);
            return Ok(Ok(set));
        }
        loop {
            let payload = self.packet()?;
            if is_eof(&payload) {
                break;
            }
            let mut c = Cursor::new(&payload);
            let mut name = &b""[..];
            for _ in 0..5 {
                name = c.lenenc_bytes().map_err(io::Error::other)?;
            }
            set.columns.push(String::from_utf8_lossy(name).into_owned());
        }
        loop {
            let payload = self.packet()?;
            if let Some(said) = said(&payload) {
                self.terminal()?;
                return Ok(Err(said));
            }
            if is_eof(&payload) {
                self.terminal()?;
                return Ok(Ok(set));
            }
            let mut c = Cursor::new(&payload);
            let cells = set.columns.iter().map(|_| {
                if payload.get(c.position()) == Some(&0xFB) {
                    c.take(1).map(|_| None)
                } else {
                    let bytes = c.lenenc_bytes();
                    bytes.map(|b| Some(String::from_utf8_lossy(b).into_owned()))
                }
            });
            set.rows
                .push(cells.collect::<Result<_, _>>().map_err(io::Error::other)?);
        }
    }

    pub(crate) fn query(&mut self, sql: &str) -> io::Result<Result<Set, Said>> {
        self.send(Command::QUERY, sql.as_bytes())?;
        self.reply()
    }

    /// A query that must succeed.
    pub(crate) fn ask(&mut self, sql: &str) -> Set {
        self.query(sql)
            .unwrap()
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    /// The error of a query that must fail.
    pub(crate) fn refused(&mut self, sql: &str) -> u16 {
        match self.query(sql).unwrap() {
            Err(said) => said.code,
            Ok(set) => panic!("{sql}: {set:?}"),
        }
    }
}

/// One call of the control interface: status and body.
pub(crate) fn http(address: SocketAddr, call: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&address, TIME).unwrap();
    stream.set_read_timeout(Some(TIME)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{call} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
