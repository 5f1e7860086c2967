//! A connection of the model's own to the kernel: text queries as root of `sys`.

use obring_wire::base::Cursor;
use obring_wire::protocol::mysql::{
    Command, ErrPacket, Gather, Greeting, Login, client, put_packet,
};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a question may take, connecting included.
const QUESTION_TIME: Duration = Duration::from_secs(20);
/// Largest packet of an answer.
const PACKET_MAX: usize = 16 << 20;
/// Rows of an answer: what is asked here has one row for each leaf of a table.
const ROWS_MAX: usize = 100_000;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// MYSQL_TYPE of its values.
    pub kind: u8,
}

impl Column {
    /// True for the integer types.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(self.kind, 0x01 | 0x02 | 0x03 | 0x08 | 0x09)
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows; `None` is NULL.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl Rows {
    /// Place of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        let same = |c: &Column| c.name.eq_ignore_ascii_case(name);
        self.columns.iter().position(same)
    }

    /// A number of a row; 0 for what is none.
    #[must_use]
    pub fn number(&self, row: &[Option<Vec<u8>>], name: &str) -> u64 {
        let value = self.column(name).and_then(|at| row.get(at)?.as_deref());
        let text = value.and_then(|v| std::str::from_utf8(v).ok());
        text.and_then(|t| t.parse().ok()).unwrap_or(0)
    }
}

/// Why the kernel gave no rows.
#[derive(Debug)]
pub enum KernelError {
    /// It cannot be reached, or its bytes make no sense.
    Io(io::Error),
    /// It answered with an error.
    Said {
        /// Error number.
        code: u16,
        /// SQLSTATE.
        sqlstate: String,
        /// Its text.
        text: String,
    },
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(e) => write!(f, "kernel: {e}"),
            Self::Said { code, text, .. } => write!(f, "kernel: error {code}: {text}"),
        }
    }
}

impl std::error::Error for KernelError {}

impl From<io::Error> for KernelError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

fn bad(what: &str) -> KernelError {
    KernelError::Io(io::Error::new(io::ErrorKind::InvalidData, what.to_owned()))
}

/// The result of a question.
pub type Asked<T> = Result<T, KernelError>;

/// The kernel, asked over one connection that is made when it is needed. Questions wait for each
/// other.
#[derive(Debug)]
pub struct Kernel {
    address: SocketAddr,
    connection: Mutex<Option<Connection>>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    gather: Gather,
    /// Bytes that were read and not used.
    input: Vec<u8>,
}

impl Kernel {
    /// The kernel at this address; nothing is connected yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connection: Mutex::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks one statement.
    ///
    /// # Errors
    /// The kernel's error; or that it cannot be reached, after one new attempt where the
    /// connection was an old one.
    pub async fn ask(&self, sql: &str) -> Asked<Rows> {
        let mut held = self.connection.lock().await;
        let was_open = held.is_some();
        let asked = timeout(QUESTION_TIME, self.ask_on(&mut held, sql)).await;
        match asked.unwrap_or_else(|_| Err(KernelError::Io(io::ErrorKind::TimedOut.into()))) {
            Err(KernelError::Io(e)) => {
                *held = None;
                if !was_open {
                    return Err(KernelError::Io(e));
                }
            }
            answer => return answer,
        }
        let again = timeout(QUESTION_TIME, self.ask_on(&mut held, sql)).await;
        let answer = again.unwrap_or_else(|_| Err(KernelError::Io(io::ErrorKind::TimedOut.into())));
        if matches!(answer, Err(KernelError::Io(_))) {
            *held = None;
        }
        answer
    }

    async fn ask_on(&self, held: &mut Option<Connection>, sql: &str) -> Asked<Rows> {
        // Taken out while it is used: a question that is given up leaves no half-read answer.
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let answer = connection.ask(sql).await;
        if !matches!(answer, Err(KernelError::Io(_))) {
            *held = Some(connection);
        }
        answer
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> Asked<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut new = Self {
            stream,
            gather: Gather::default(),
            input: vec![],
        };
        let greeting = new.packet().await?;
        Greeting::parse(&greeting).map_err(|_| bad("no greeting"))?;
        let login = Login {
            capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION | client::PLUGIN_AUTH,
            max_packet: 1 << 24,
            charset: Greeting::CHARSET,
            user: b"root@sys",
            auth: b"",
            database: None,
            plugin: Some(b"mysql_native_password"),
            attributes: b"",
        };
        let mut out = vec![];
        put_packet(&mut out, 1, |b| login.put(b));
        new.stream.write_all(&out).await?;
        let reply = new.packet().await?;
        said(&reply)?;
        Ok(new)
    }

    async fn ask(&mut self, sql: &str) -> Asked<Rows> {
        let mut out = vec![];
        put_packet(&mut out, 0, |b| {
            b.push(Command::QUERY.0);
            b.extend_from_slice(sql.as_bytes());
        });
        self.stream.write_all(&out).await?;
        let first = self.packet().await?;
        said(&first)?;
        let mut rows = Rows::default();
        if first.first() == Some(&0) {
            return Ok(rows);
        }
        loop {
            let packet = self.packet().await?;
            if is_eof(&packet) {
                break;
            }
            rows.columns
                .push(column(&packet).ok_or_else(|| bad("no column"))?);
        }
        loop {
            let packet = self.packet().await?;
            said(&packet)?;
            if is_eof(&packet) {
                return Ok(rows);
            }
            if rows.rows.len() >= ROWS_MAX {
                return Err(bad("too many rows"));
            }
            let row = row(&packet, rows.columns.len()).ok_or_else(|| bad("no row"))?;
            rows.rows.push(row);
        }
    }

    async fn packet(&mut self) -> Asked<Vec<u8>> {
        loop {
            let mut used = 0;
            let fed = self.gather.feed(&self.input, &mut used, PACKET_MAX);
            let whole = fed
                .map_err(|_| bad("too long"))?
                .map(|w| w.payload.to_vec());
            self.input.drain(..used);
            if let Some(payload) = whole {
                return Ok(payload);
            }
            self.stream.readable().await?;
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(KernelError::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

fn is_eof(packet: &[u8]) -> bool {
    packet.first() == Some(&0xFE) && packet.len() < 9
}

/// An error packet as an error.
fn said(packet: &[u8]) -> Asked<()> {
    if packet.first() != Some(&0xFF) {
        return Ok(());
    }
    let e = ErrPacket::parse(packet).map_err(|_| bad("a broken error"))?;
    Err(KernelError::Said {
        code: e.code,
        sqlstate: String::from_utf8_lossy(e.sqlstate).into_owned(),
        text: String::from_utf8_lossy(e.message).into_owned(),
    })
}

fn column(packet: &[u8]) -> Option<Column> {
    let mut c = Cursor::new(packet);
    for _ in 0..4 {
        c.lenenc_bytes().ok()?;
    }
    let name = String::from_utf8_lossy(c.lenenc_bytes().ok()?).into_owned();
    c.lenenc_bytes().ok()?;
    // Length of the rest, character set, length of values.
    c.take(7).ok()?;
    let kind = c.u8().ok()?;
    Some(Column { name, kind })
}

fn row(packet: &[u8], columns: usize) -> Option<Vec<Option<Vec<u8>>>> {
    let mut c = Cursor::new(packet);
    (0..columns)
        .map(|_| {
            if packet.get(c.position()) == Some(&0xFB) {
                c.take(1).ok()?;
                return Some(None);
            }
            Some(Some(c.lenenc_bytes().ok()?.to_vec()))
        })
        .collect()
}
