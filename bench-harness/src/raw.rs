//! A MySQL client that sends and receives packets as they are: blocking sockets, a deadline for
//! every wait, no opinion about what a packet means.

use crate::clock::Deadline;
use obring_wire::base::Cursor;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{Greeting, HEADER_LEN, MAX_PAYLOAD, client, put_attribute};
use obring_wire::protocol::ob20::{
    Envelope, FrameReader, FrameStep, FrameWriter, Framing, Position,
};
use sha1::{Digest, Sha1};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One packet as it came: a payload of 0xFFFFFF bytes is not joined with its continuation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Sequence number.
    pub seq: u8,
    /// Payload.
    pub payload: Vec<u8>,
}

/// What a wait for a packet ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// A whole packet.
    Packet(Packet),
    /// End of the stream at a packet boundary.
    Closed,
    /// End of the stream inside a packet; the bytes that came.
    Torn(Vec<u8>),
    /// The connection was reset.
    Reset,
    /// Nothing came in time.
    TimedOut,
    /// What came is no frame of OceanBase 2.0, or not the one that stands here.
    BadFrame(String),
}

impl Got {
    /// The packet, if it is one.
    #[must_use]
    pub const fn packet(&self) -> Option<&Packet> {
        match self {
            Self::Packet(p) => Some(p),
            _ => None,
        }
    }

    /// Number and text of an ERR packet.
    #[must_use]
    pub fn error(&self) -> Option<(u16, String)> {
        match self.packet()?.payload.as_slice() {
            [0xFF, a, b, b'#', _, _, _, _, _, text @ ..] | [0xFF, a, b, text @ ..] => {
                let text = String::from_utf8_lossy(text).into_owned();
                Some((u16::from_le_bytes([*a, *b]), text))
            }
            _ => None,
        }
    }

    /// True for an OK packet.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.packet().is_some_and(|p| p.payload.first() == Some(&0))
    }
}

/// How to log in. The default is root without a password, plugin mysql_native_password.
#[derive(Clone, Debug)]
pub struct Login {
    /// User name as typed.
    pub user: Vec<u8>,
    /// Password; empty for none.
    pub password: Vec<u8>,
    /// Database, with its capability bit.
    pub database: Option<Vec<u8>>,
    /// Character set id.
    pub charset: u8,
    /// Capability bits besides those that the other fields imply.
    pub capabilities: u32,
    /// Plugin name, with its capability bit.
    pub plugin: Option<Vec<u8>>,
    /// Connection attributes, with their capability bit when there are any.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// This answer instead of the one computed from the password.
    pub answer: Option<Vec<u8>>,
    /// Sequence number of the login packet.
    pub seq: u8,
}

/// Capability bits of [`Login::default`]: LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS,
/// SECURE_CONNECTION, MULTI_RESULTS, PS_MULTI_RESULTS.
pub const PLAIN: u32 = 1
    | 4
    | client::PROTOCOL_41
    | 1 << 13
    | client::SECURE_CONNECTION
    | client::MULTI_RESULTS
    | client::PS_MULTI_RESULTS;

impl Default for Login {
    fn default() -> Self {
        Self {
            user: b"root@sys".to_vec(),
            password: vec![],
            database: None,
            charset: 45,
            capabilities: PLAIN,
            plugin: Some(b"mysql_native_password".to_vec()),
            attributes: vec![],
            answer: None,
            seq: 1,
        }
    }
}

impl Login {
    /// This user with this password.
    #[must_use]
    pub fn user(user: &str, password: &str) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
            ..Self::default()
        }
    }

    /// With this database.
    #[must_use]
    pub fn db(mut self, name: &str) -> Self {
        self.database = Some(name.into());
        self
    }

    /// With more capability bits.
    #[must_use]
    pub const fn with(mut self, bits: u32) -> Self {
        self.capabilities |= bits;
        self
    }

    /// Without these capability bits.
    #[must_use]
    pub const fn without(mut self, bits: u32) -> Self {
        self.capabilities &= !bits;
        self
    }

    /// With this plugin name; `None` leaves out the capability as well.
    #[must_use]
    pub fn plugin(mut self, name: Option<&str>) -> Self {
        self.plugin = name.map(Into::into);
        self
    }

    /// With this character set.
    #[must_use]
    pub const fn charset(mut self, id: u8) -> Self {
        self.charset = id;
        self
    }

    /// With this answer to the scramble, whatever the password is.
    #[must_use]
    pub fn answer(mut self, bytes: &[u8]) -> Self {
        self.answer = Some(bytes.to_vec());
        self
    }

    /// With one more connection attribute.
    #[must_use]
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// As a driver of OceanBase that asks for OceanBase 2.0 framing and is told whether it gets it.
    #[must_use]
    pub fn driver(self) -> Self {
        let asked =
            capability::OB_PROTOCOL_V2 | capability::NEW_EXTRA_INFO | capability::LOAD_DATA_LOCAL;
        self.with(client::SESSION_TRACK)
            .attribute("__mysql_client_type", "__ob_libobclient")
            .attribute("__ob_client_name", "OceanBase Connector/C")
            .attribute("__proxy_capability_flag", &asked.to_string())
    }

    /// The login packet's payload for this scramble.
    #[must_use]
    pub fn payload(&self, scramble: &[u8]) -> Vec<u8> {
        let mut bits = self.capabilities;
        let mut attributes = vec![];
        for (key, value) in &self.attributes {
            put_attribute(&mut attributes, key, value);
            bits |= client::CONNECT_ATTRS;
        }
        if self.database.is_some() {
            bits |= client::CONNECT_WITH_DB;
        }
        if self.plugin.is_some() {
            bits |= client::PLUGIN_AUTH;
        }
        let computed = native_answer(&self.password, scramble);
        let mut out = vec![];
        obring_wire::protocol::mysql::Login {
            capabilities: bits,
            max_packet: 0xFF_FFFF,
            charset: self.charset,
            user: &self.user,
            auth: self.answer.as_deref().unwrap_or(&computed),
            database: self.database.as_deref(),
            plugin: self.plugin.as_deref(),
            attributes: &attributes,
        }
        .put(&mut out);
        out
    }
}

/// The answer of mysql_native_password: SHA1(pw) xor SHA1(scramble + SHA1(SHA1(pw))).
#[must_use]
pub fn native_answer(password: &[u8], scramble: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return vec![];
    }
    let stage1 = Sha1::digest(password);
    let mut h = Sha1::new();
    h.update(scramble);
    h.update(Sha1::digest(stage1));
    let mask = h.finalize();
    stage1.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

/// Packets around a payload of any length, continued where it has to be.
#[must_use]
pub fn framed(payload: &[u8], seq: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + HEADER_LEN);
    let (mut rest, mut seq) = (payload, seq);
    loop {
        let (now, later) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        out.extend_from_slice(&(now.len() as u32).to_le_bytes()[..3]);
        out.push(seq);
        out.extend_from_slice(now);
        if now.len() < MAX_PAYLOAD {
            return out;
        }
        rest = later;
        seq = seq.wrapping_add(1);
    }
}

/// The capability bits that the OK of a driver's login grants; 0 if it grants none.
#[must_use]
pub fn granted(ok: &[u8]) -> u64 {
    const NAME: &[u8] = b"\x12ob_capability_flag";
    let at = ok.windows(NAME.len()).position(|w| w == NAME);
    let value = at.and_then(|at| Cursor::new(ok.get(at + NAME.len()..)?).lenenc_bytes().ok());
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Frames around everything behind the login of a driver: as strict as the drivers are.
#[derive(Debug)]
struct Frames {
    reader: FrameReader,
    writer: FrameWriter,
    inflated: Vec<u8>,
    /// The front of a packet that was not given whole.
    pending: Vec<u8>,
    /// What was sent last of each request whose reply has not ended.
    asked: VecDeque<Position>,
    /// The reader knows which reply it reads.
    is_reading: bool,
    /// Of the frame that is being read.
    is_empty: bool,
}

impl Frames {
    fn new(connection_id: u32, is_new: bool) -> Self {
        Self {
            reader: FrameReader::new(Framing::Ob20, connection_id),
            writer: FrameWriter::new(Framing::Ob20, connection_id, is_new),
            inflated: vec![],
            pending: vec![],
            asked: VecDeque::new(),
            is_reading: false,
            is_empty: true,
        }
    }

    /// Each request, and each packet of a turn inside a reply, in a frame of its own.
    fn wrap(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let mut out = vec![];
        while let Some(len) = whole(&self.pending) {
            let packets: Vec<u8> = self.pending.drain(..len).collect();
            let (seq, command) = (packets[3], packets.get(HEADER_LEN).copied());
            match seq {
                0 => self.writer.begin_request(),
                _ => self.writer.begin_turn(self.reader.position()),
            }
            let envelope = Envelope {
                is_last: true,
                ..Envelope::default()
            };
            self.writer.put(&mut out, envelope, &packets);
            // COM_QUIT, COM_STMT_SEND_LONG_DATA, COM_STMT_CLOSE.
            if seq == 0 && matches!(command, Some(0x01 | 0x18 | 0x19)) {
                continue;
            }
            let sent = self.writer.position();
            match self.asked.back_mut() {
                Some(last) if last.request_id == sent.request_id => *last = sent,
                _ => self.asked.push_back(sent),
            }
        }
        out
    }

    fn unwrap(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        let mut at = 0;
        loop {
            if at < bytes.len() && !std::mem::replace(&mut self.is_reading, true) {
                let last = self.writer.position().request_id;
                match self.asked.front() {
                    Some(asked) => self.reader.expect_reply(*asked, true),
                    // The number of the first request is the client's choice.
                    None if last == 0 => self.reader.expect_request(),
                    // What nobody asked for is taken for the answer to the next request.
                    None => {
                        let next = Position {
                            request_id: last + 1,
                            ..Position::default()
                        };
                        self.reader.expect_reply(next, true);
                    }
                }
            }
            let step = self.reader.step(bytes, &mut at, &mut self.inflated);
            match step.map_err(|e| e.to_string())? {
                FrameStep::More => return Ok(()),
                FrameStep::Body(range) => {
                    self.is_empty &= range.is_empty();
                    into.extend_from_slice(&bytes[range]);
                }
                FrameStep::Inflated(_) => return Err("a compressed frame".into()),
                FrameStep::Extra(_) => {}
                FrameStep::End { .. } if self.is_empty => return Err("an empty frame".into()),
                FrameStep::End { is_last } => {
                    self.is_empty = true;
                    if is_last {
                        self.is_reading = false;
                        self.asked.pop_front();
                    }
                }
            }
        }
    }
}

/// Bytes of the first payload with its continuations, if all of it is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let mut end = 0;
    loop {
        let &[a, b, c, _, ..] = bytes.get(end..)? else {
            return None;
        };
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        end += HEADER_LEN + len;
        if len < MAX_PAYLOAD {
            return (end <= bytes.len()).then_some(end);
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
    wait: Duration,
    frames: Option<Box<Frames>>,
}

/// How long one packet is waited for unless [`Conn::set_wait`] says otherwise.
pub const WAIT: Duration = Duration::from_secs(20);

impl Conn {
    /// Connects within ten seconds.
    ///
    /// # Errors
    /// Those of the connect.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&to, Duration::from_secs(10))?)
    }

    /// Over a socket that is connected.
    ///
    /// # Errors
    /// Those of setting its options.
    pub fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self {
            stream,
            buffer: vec![],
            at: 0,
            wait: WAIT,
            frames: None,
        })
    }

    /// Connects, reads the greeting and logs in.
    ///
    /// # Errors
    /// Whatever stands in the way, in words.
    pub fn login(to: SocketAddr, login: &Login) -> Result<Self, String> {
        let mut c = Self::open(to).map_err(|e| format!("connect {to}: {e}"))?;
        let greeting = c.greeting()?;
        c.send(&login.payload(&greeting.scramble), login.seq)
            .map_err(|e| format!("login at {to}: {e}"))?;
        match c.receive() {
            got if got.is_ok() => {
                c.begin_frames(greeting.connection_id, &got);
                Ok(c)
            }
            got => Err(match got.error() {
                Some((code, text)) => format!("login at {to}: error {code}: {text}"),
                None => format!("login at {to}: {got:?}"),
            }),
        }
    }

    /// Speaks in frames from now on, if the answer to the login grants that.
    pub fn begin_frames(&mut self, connection_id: u32, answer: &Got) {
        let granted = answer.packet().map_or(0, |ok| granted(&ok.payload));
        let is_new = granted & capability::NEW_EXTRA_INFO != 0;
        let has_frames = granted & capability::OB_PROTOCOL_V2 != 0;
        self.frames = has_frames.then(|| Box::new(Frames::new(connection_id, is_new)));
    }

    /// True if it speaks in frames.
    #[must_use]
    pub const fn has_frames(&self) -> bool {
        self.frames.is_some()
    }

    /// Reads the greeting.
    ///
    /// # Errors
    /// What came instead, in words.
    pub fn greeting(&mut self) -> Result<Greeting, String> {
        let got = self.receive();
        let Some(p) = got.packet() else {
            return Err(format!("instead of a greeting: {got:?}"));
        };
        Greeting::parse(&p.payload).map_err(|e| format!("greeting: {e}; {got:?}"))
    }

    /// The socket.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The socket, for one who has read all that was sent so far.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// How long one packet is waited for from now on.
    pub const fn set_wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Sends a payload in as many packets as it needs.
    ///
    /// # Errors
    /// Those of the write.
    pub fn send(&mut self, payload: &[u8], seq: u8) -> io::Result<()> {
        self.send_bytes(&framed(payload, seq))
    }

    /// Sends bytes as they are; a connection with frames sends packets once they are whole.
    ///
    /// # Errors
    /// Those of the write.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.frames {
            Some(frames) => self.stream.write_all(&frames.wrap(bytes)),
            None => self.stream.write_all(bytes),
        }
    }

    /// Sends COM_QUERY.
    ///
    /// # Errors
    /// Those of the write.
    pub fn query(&mut self, sql: &str) -> io::Result<()> {
        let mut p = vec![3];
        p.extend_from_slice(sql.as_bytes());
        self.send(&p, 0)
    }

    /// The next packet, or why there is none.
    pub fn receive(&mut self) -> Got {
        let deadline = Deadline::after(self.wait);
        loop {
            if let Some(packet) = self.buffered() {
                return Got::Packet(packet);
            }
            let Some(left) = deadline.left() else {
                return Got::TimedOut;
            };
            if let Some(end) = self.fill(left) {
                return end;
            }
        }
    }

    /// Reads once; `None` when bytes came or the wait is to be looked at again.
    fn fill(&mut self, left: Duration) -> Option<Got> {
        if self.stream.set_read_timeout(Some(left)).is_err() {
            return Some(Got::Reset);
        }
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let have = self.buffer.len();
        // Large enough that results of many megabytes do not cost a call per 64 KB.
        self.buffer.resize(have + (256 << 10), 0);
        let got = self.stream.read(&mut self.buffer[have..]);
        self.buffer.truncate(have + *got.as_ref().unwrap_or(&0));
        match got {
            Ok(0) if have == 0 => Some(Got::Closed),
            Ok(0) => Some(Got::Torn(std::mem::take(&mut self.buffer))),
            Ok(_) => {
                let frames = self.frames.as_mut()?;
                let raw = self.buffer.split_off(have);
                frames
                    .unwrap(&raw, &mut self.buffer)
                    .err()
                    .map(Got::BadFrame)
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(e) if e.kind() == ErrorKind::Interrupted => None,
            Err(_) => Some(Got::Reset),
        }
    }

    fn buffered(&mut self) -> Option<Packet> {
        let rest = self.buffer.get(self.at..)?;
        let &[a, b, c, seq, ..] = rest else {
            return None;
        };
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        let payload = rest.get(HEADER_LEN..HEADER_LEN + len)?.to_vec();
        self.at += HEADER_LEN + len;
        Some(Packet { seq, payload })
    }

    /// Sends a query whose reply is one row of one text cell, and returns the cell.
    ///
    /// # Errors
    /// Any other reply, in words.
    pub fn cell(&mut self, sql: &str) -> Result<String, String> {
        self.query(sql).map_err(|e| format!("{sql}: {e}"))?;
        let mut packets = vec![];
        for _ in 0..5 {
            let got = self.receive();
            if let Some((code, text)) = got.error() {
                return Err(format!("{sql}: error {code}: {text}"));
            }
            match got {
                Got::Packet(p) => packets.push(p),
                other => return Err(format!("{sql}: {other:?}")),
            }
        }
        let row = &packets[3].payload;
        let mut c = Cursor::new(row);
        let cell = c.lenenc_bytes().map_err(|e| format!("{sql}: {e}"))?;
        Ok(String::from_utf8_lossy(cell).into_owned())
    }

    /// Sends a query whose reply is one text result, and returns its rows; `None` is NULL.
    ///
    /// # Errors
    /// Any other reply, in words.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        self.query(sql).map_err(|e| format!("{sql}: {e}"))?;
        self.read_rows().map_err(|e| format!("{sql}: {e}"))
    }

    /// Reads the rows of a query that was sent.
    ///
    /// # Errors
    /// Any other reply, in words.
    pub fn read_rows(&mut self) -> Result<Vec<Vec<Option<String>>>, String> {
        let (mut ends, mut rows) = (0, vec![]);
        while ends < 2 {
            let got = self.receive();
            if let Some((code, text)) = got.error() {
                return Err(format!("error {code}: {text}"));
            }
            let packet = got.packet().ok_or_else(|| format!("{got:?}"))?;
            let payload = &packet.payload;
            if payload.first() == Some(&0xFE) && payload.len() < 9 {
                ends += 1;
            } else if ends == 1 {
                let mut at = Cursor::new(payload);
                let mut row = vec![];
                while at.left() > 0 {
                    if payload[at.position()] == 0xFB {
                        let _ = at.u8();
                        row.push(None);
                        continue;
                    }
                    let cell = at.lenenc_bytes().map_err(|e| e.to_string())?;
                    row.push(Some(String::from_utf8_lossy(cell).into_owned()));
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// Sends a statement whose reply is one OK packet.
    ///
    /// # Errors
    /// Any other reply, in words.
    pub fn run(&mut self, sql: &str) -> Result<(), String> {
        self.query(sql).map_err(|e| format!("{sql}: {e}"))?;
        match self.receive() {
            got if got.is_ok() => Ok(()),
            got => Err(match got.error() {
                Some((code, text)) => format!("{sql}: error {code}: {text}"),
                None => format!("{sql}: {got:?}"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_maximal_size_is_followed_by_an_empty_packet() {
        let bytes = framed(&vec![7; MAX_PAYLOAD], 4);
        assert_eq!(&bytes[..4], [0xFF, 0xFF, 0xFF, 4]);
        assert_eq!(&bytes[bytes.len() - 4..], [0, 0, 0, 5]);
        assert_eq!(framed(b"\x0e", 0), [1, 0, 0, 0, 0x0e]);
    }

    #[test]
    fn errors_are_read_with_and_without_a_state() {
        let got = |p: &[u8]| {
            Got::Packet(Packet {
                seq: 1,
                payload: p.to_vec(),
            })
        };
        let with = got(b"\xFF\x15\x04#28000denied");
        assert_eq!(with.error(), Some((1045, "denied".into())));
        assert_eq!(got(b"\xFF\x10\x04no").error(), Some((1040, "no".into())));
        assert_eq!(got(b"\x00").error(), None);
    }
}
