//! A connection of the judge to the kernel: a proxy's, with OceanBase 2.0 framing, so that the
//! session of a link can be put into it as session info.
//!
//! It is root's of `sys`, without a password: the password of the link's own user is not known to
//! the model, which passes answers to scrambles through. What that user may not do fails on the
//! link and is judged all the same.

use obring_wire::base::Cursor;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{
    Command, ErrPacket, Gather, Greeting, Login, MAX_PAYLOAD, OkPacket, TRACK_VARIABLES, client,
    put_attribute, put_packet,
};
use obring_wire::protocol::ob20::{
    Envelope, FrameReader, FrameStep, FrameWriter, Framing, entry, put_tlv,
};
use std::io;
use std::net::SocketAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Bytes of an answer: a plan with the leaves of a large table has some 100 KiB.
const ANSWER_MAX: usize = 16 << 20;
/// System variables inside session info (seekdb 1.3.0.post5; the same in OceanBase 4.3).
const SYSTEM_VARIABLES: u16 = 4;

/// What the kernel says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The first column of a result, its rows as lines.
    Lines(Vec<u8>),
    /// An OK.
    Done,
    /// An error.
    Error(u16),
}

/// A prepared statement of the judge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Prepared {
    pub(super) statement: u32,
    pub(super) parameters: u16,
}

/// One connection. After an error it cannot be used any more.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    reader: FrameReader,
    writer: FrameWriter,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("judge: {what}"))
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut new = Self {
            stream,
            reader: FrameReader::new(Framing::Plain, 0),
            writer: FrameWriter::new(Framing::Plain, 0, false),
        };
        let greeting = new.plain_packet().await?;
        let greeting = Greeting::parse(&greeting).map_err(|_| bad("no greeting"))?;
        let asked = capability::OB20;
        let mut attributes = vec![];
        put_attribute(&mut attributes, b"__mysql_client_type", b"__ob_proxy");
        let mask = asked.to_string();
        put_attribute(&mut attributes, b"__proxy_capability_flag", mask.as_bytes());
        let login = Login {
            capabilities: client::PROTOCOL_41
                | client::SECURE_CONNECTION
                | client::PLUGIN_AUTH
                | client::CONNECT_ATTRS
                | client::SESSION_TRACK,
            max_packet: 1 << 24,
            charset: Greeting::CHARSET,
            user: b"root@sys",
            auth: b"",
            database: None,
            plugin: Some(b"mysql_native_password"),
            attributes: &attributes,
        };
        let mut out = vec![];
        put_packet(&mut out, 1, |b| login.put(b));
        new.stream.write_all(&out).await?;
        let reply = new.plain_packet().await?;
        let granted = granted(&reply)?;
        if Framing::agreed(asked, granted) != Framing::Ob20 {
            return Err(bad("no OceanBase 2.0"));
        }
        let id = greeting.connection_id;
        let is_new = granted & capability::NEW_EXTRA_INFO != 0;
        new.reader = FrameReader::new(Framing::Ob20, id);
        new.writer = FrameWriter::new(Framing::Ob20, id, is_new);
        Ok(new)
    }

    async fn plain_packet(&self) -> io::Result<Vec<u8>> {
        let mut gather = Gather::default();
        loop {
            let mut bytes = vec![];
            self.read(&mut bytes).await?;
            let mut used = 0;
            let whole = gather.feed(&bytes, &mut used, ANSWER_MAX);
            if let Some(whole) = whole.map_err(|_| bad("too long"))? {
                return Ok(whole.payload.to_vec());
            }
        }
    }

    async fn read(&self, into: &mut Vec<u8>) -> io::Result<()> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read_buf(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sends a request; `block` is session info of system variables to go with it.
    async fn send(
        &mut self,
        command: Command,
        body: &[&[u8]],
        block: Option<&[u8]>,
    ) -> io::Result<()> {
        let len: usize = body.iter().map(|b| b.len()).sum();
        if len + 1 >= MAX_PAYLOAD {
            return Err(bad("too long a request"));
        }
        let mut packet = vec![];
        put_packet(&mut packet, 0, |b| {
            b.push(command.0);
            body.iter().for_each(|part| b.extend_from_slice(part));
        });
        let mut extra = vec![];
        if let Some(block) = block {
            let mut value = vec![];
            put_tlv(&mut value, SYSTEM_VARIABLES, block);
            put_tlv(&mut extra, entry::SESSION, &value);
        }
        let envelope = Envelope {
            extra: &extra,
            flags: 0,
            is_last: true,
        };
        let mut out = vec![];
        self.writer.begin_request();
        self.writer.put(&mut out, envelope, &packet);
        self.reader.expect_reply(self.writer.position(), true);
        self.stream.write_all(&out).await
    }

    /// The payloads of a reply.
    async fn reply(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let (mut mysql, mut inflated) = (vec![], vec![]);
        let mut is_over = false;
        while !is_over {
            let mut bytes = vec![];
            self.read(&mut bytes).await?;
            let mut at = 0;
            loop {
                let step = self.reader.step(&bytes, &mut at, &mut inflated);
                match step.map_err(|e| bad(&e.to_string()))? {
                    FrameStep::More => break,
                    FrameStep::Body(range) => {
                        mysql.extend_from_slice(bytes.get(range).unwrap_or_default());
                    }
                    FrameStep::Inflated(bytes) => mysql.extend_from_slice(bytes),
                    FrameStep::Extra(_) => {}
                    FrameStep::End { is_last } => is_over |= is_last,
                }
            }
            if mysql.len() > ANSWER_MAX {
                return Err(bad("too long an answer"));
            }
        }
        let (mut packets, mut at) = (vec![], 0);
        let mut gather = Gather::default();
        while at < mysql.len() {
            let rest = mysql.get(at..).unwrap_or_default();
            let whole = gather.feed(rest, &mut at, ANSWER_MAX);
            let whole = whole.map_err(|_| bad("too long"))?;
            packets.push(whole.ok_or_else(|| bad("half a packet"))?.payload.to_vec());
        }
        Ok(packets)
    }

    /// Asks a statement of text, in pieces.
    pub(super) async fn query(
        &mut self,
        sql: &[&[u8]],
        block: Option<&[u8]>,
    ) -> io::Result<Answer> {
        self.send(Command::QUERY, sql, block).await?;
        answer(&self.reply().await?, false)
    }

    /// Makes a database the current one.
    pub(super) async fn use_database(&mut self, name: &str) -> io::Result<Answer> {
        self.send(Command::INIT_DB, &[name.as_bytes()], None)
            .await?;
        answer(&self.reply().await?, false)
    }

    /// Prepares a statement; an error of the kernel is the inner one.
    pub(super) async fn prepare(
        &mut self,
        sql: &[&[u8]],
        block: Option<&[u8]>,
    ) -> io::Result<Result<Prepared, u16>> {
        self.send(Command::STMT_PREPARE, sql, block).await?;
        let packets = self.reply().await?;
        let first = packets.first().ok_or_else(|| bad("no reply"))?;
        if let Some(code) = error(first) {
            return Ok(Err(code));
        }
        let mut c = Cursor::new(first);
        let mut read = || {
            c.take(1)?;
            let statement = c.u32()?;
            c.take(2)?;
            let parameters = c.u16()?;
            Ok(Prepared {
                statement,
                parameters,
            })
        };
        let read: Result<_, obring_wire::base::Short> = read();
        Ok(Ok(read.map_err(|_| bad("no prepared statement"))?))
    }

    /// Executes; `body` is what stands behind the number of the statement.
    pub(super) async fn execute(
        &mut self,
        statement: u32,
        body: &[u8],
        block: Option<&[u8]>,
    ) -> io::Result<Answer> {
        let id = statement.to_le_bytes();
        self.send(Command::STMT_EXECUTE, &[&id, body], block)
            .await?;
        answer(&self.reply().await?, true)
    }

    /// Sends a long parameter. There is no reply.
    pub(super) async fn long_data(
        &mut self,
        statement: u32,
        parameter: u16,
        data: &[u8],
    ) -> io::Result<()> {
        let (id, number) = (statement.to_le_bytes(), parameter.to_le_bytes());
        self.send(Command::STMT_SEND_LONG_DATA, &[&id, &number, data], None)
            .await
    }

    /// Forgets a prepared statement. There is no reply.
    pub(super) async fn close(&mut self, statement: u32) -> io::Result<()> {
        let id = statement.to_le_bytes();
        self.send(Command::STMT_CLOSE, &[&id], None).await
    }
}

fn error(packet: &[u8]) -> Option<u16> {
    let is_error = packet.first() == Some(&0xFF);
    is_error.then(|| ErrPacket::parse(packet).map_or(0, |e| e.code))
}

/// `ob_capability_flag` of a login OK.
fn granted(reply: &[u8]) -> io::Result<u64> {
    if let Some(code) = error(reply) {
        return Err(bad(&format!("the login fails with {code}")));
    }
    let ok = OkPacket::parse(reply).map_err(|_| bad("no login OK"))?;
    let blocks = ok.blocks().filter(|b| b.kind == TRACK_VARIABLES);
    let mut variables = blocks.flat_map(|b| b.variables());
    let flag = variables.find(|(name, _, _)| *name == b"ob_capability_flag");
    let text = flag.and_then(|(_, value, _)| std::str::from_utf8(value).ok());
    Ok(text.and_then(|t| t.parse().ok()).unwrap_or(0))
}

/// Reads a reply of one result: its first column, which is a text.
fn answer(packets: &[Vec<u8>], is_binary: bool) -> io::Result<Answer> {
    let first = packets.first().ok_or_else(|| bad("no reply"))?;
    if let Some(code) = error(first) {
        return Ok(Answer::Error(code));
    }
    if first.first() == Some(&0) {
        return Ok(Answer::Done);
    }
    let is_eof = |p: &&Vec<u8>| p.first() == Some(&0xFE) && p.len() < 9;
    let columns = packets.iter().skip(1).take_while(|p| !is_eof(p)).count();
    let mut lines = vec![];
    for row in packets.iter().skip(columns + 2) {
        if is_eof(&row) {
            return Ok(Answer::Lines(lines));
        }
        if let Some(code) = error(row) {
            return Ok(Answer::Error(code));
        }
        let mut c = Cursor::new(row);
        if is_binary {
            // A zero, and a bit for each column behind two that are free.
            c.take(1 + (columns + 9) / 8).map_err(|_| bad("no row"))?;
        }
        lines.extend_from_slice(c.lenenc_bytes().map_err(|_| bad("no row"))?);
        lines.push(b'\n');
    }
    Err(bad("half a result"))
}
