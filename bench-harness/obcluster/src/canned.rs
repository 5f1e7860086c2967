//! A small canned OBServer in proxy mode: thousands of idle sessions, replies of any length, and
//! the server's own view of what it could send. A real kernel pays 0.28 MB per connection and does
//! not show when its sends block.

use obring_wire::base::{put_lenenc, put_lenenc_bytes};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{
    Command, ErrPacket, Greeting, HEADER_LEN, Login, put_packet, status,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of one row of `rows N`: header, length-encoded length, text.
pub const ROW_LEN: usize = HEADER_LEN + 3 + ROW_TEXT;
const ROW_TEXT: usize = 1_017;

/// What a canned server has seen.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Logins of users other than proxyro.
    pub logins: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
    /// Row bytes that the system took from it.
    pub row_bytes: AtomicU64,
    stop: AtomicBool,
}

/// A canned server on a port of its own. Stops accepting with its value.
#[derive(Debug)]
pub struct Canned {
    address: SocketAddr,
    counts: Arc<Counts>,
}

impl Canned {
    /// Starts it. With `deny_proxyro` the metadata user is refused with error 1045.
    ///
    /// # Errors
    /// Those of listening.
    pub fn start(deny_proxyro: bool) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let mine = counts.clone();
        thread("canned", move || {
            for stream in listener.incoming() {
                if mine.stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let id = mine.accepted.fetch_add(1, Ordering::SeqCst) as u32;
                let counts = mine.clone();
                let _ = thread("canned-session", move || {
                    counts.open.fetch_add(1, Ordering::SeqCst);
                    let mut s = Serving {
                        stream,
                        counts: &counts,
                        deny_proxyro,
                        is_proxy: false,
                    };
                    let _ = s.run(0xC000_0000 | id);
                    counts.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        })?;
        Ok(Self { address, counts })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has seen.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// A named thread of its own.
fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(|_| ())
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Text of row `n`: its number, then a filling that depends on it.
#[must_use]
pub fn row_text(n: u64) -> [u8; ROW_TEXT] {
    let mut text = [b'a' + (n % 26) as u8; ROW_TEXT];
    for (place, digit) in text.iter_mut().zip(format!("{n:012}").bytes()) {
        *place = digit;
    }
    text
}

struct Serving<'a> {
    stream: TcpStream,
    counts: &'a Counts,
    deny_proxyro: bool,
    is_proxy: bool,
}

impl Serving<'_> {
    fn run(&mut self, id: u32) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut out = vec![];
        greeting(id).put(&mut out);
        self.stream.write_all(&out)?;
        let (seq, payload) = self.packet()?;
        let seq = seq.wrapping_add(1);
        let Ok(login) = Login::parse(&payload) else {
            return Ok(());
        };
        self.is_proxy = login
            .attributes()
            .any(|a| a == (b"__mysql_client_type", b"__ob_proxy"));
        out.clear();
        if login.user.starts_with(b"proxyro") {
            if self.deny_proxyro {
                let text = b"Access denied for user 'proxyro'@'xxx.xxx.xxx.xxx'";
                self.error(&mut out, seq, 1045, b"42000", text);
                return self.stream.write_all(&out);
            }
        } else {
            self.counts.logins.fetch_add(1, Ordering::SeqCst);
        }
        self.login_ok(&mut out, seq);
        self.stream.write_all(&out)?;
        loop {
            let (seq, payload) = self.packet()?;
            let Some((&command, text)) = payload.split_first() else {
                return Ok(());
            };
            out.clear();
            let seq = seq.wrapping_add(1);
            match Command(command) {
                Command::QUIT => return Ok(()),
                Command::QUERY => self.query(&mut out, seq, text)?,
                Command::PING | Command::INIT_DB | Command::RESET_CONNECTION => {
                    self.ok(&mut out, seq);
                }
                _ => self.error(&mut out, seq, 1235, b"0A000", b"Not supported"),
            }
            self.stream.write_all(&out)?;
        }
    }

    fn packet(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; HEADER_LEN];
        self.stream.read_exact(&mut header)?;
        let [a, b, c, seq] = header;
        let mut payload = vec![0; u32::from_le_bytes([a, b, c, 0]) as usize];
        self.stream.read_exact(&mut payload)?;
        Ok((seq, payload))
    }

    fn query(&mut self, out: &mut Vec<u8>, seq: u8, text: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        if text.contains("DBA_OB_SERVERS") {
            self.error(out, seq, 1146, b"42S02", b"Table doesn't exist");
        } else if let Some(n) = text.strip_prefix("rows ") {
            self.rows(seq, n.trim().parse().unwrap_or(0))?;
        } else if text.to_ascii_lowercase().starts_with("select") {
            let seq = head(out, seq);
            put_packet(out, seq, |b| put_lenenc_bytes(b, b"1"));
            self.tail(out, seq.wrapping_add(1));
        } else {
            self.ok(out, seq);
        }
        Ok(())
    }

    /// A result of `n` rows, counted as the system takes them.
    fn rows(&mut self, seq: u8, n: u64) -> io::Result<()> {
        let mut out = vec![];
        let mut seq = head(&mut out, seq);
        for i in 0..n {
            put_packet(&mut out, seq, |b| put_lenenc_bytes(b, &row_text(i)));
            seq = seq.wrapping_add(1);
            if out.len() > 16 << 10 {
                self.stream.write_all(&out)?;
                self.counts
                    .row_bytes
                    .fetch_add(out.len() as u64, Ordering::SeqCst);
                out.clear();
            }
        }
        self.tail(&mut out, seq);
        self.stream.write_all(&out)
    }

    /// EOF of the rows, and what only proxies get behind it.
    fn tail(&self, out: &mut Vec<u8>, seq: u8) {
        put_packet(out, seq, eof);
        if self.is_proxy {
            self.ok(out, seq.wrapping_add(1));
        }
    }

    fn ok(&self, out: &mut Vec<u8>, seq: u8) {
        put_packet(out, seq, |b| {
            b.extend_from_slice(&[0, 0, 0, 0x22, 0, 0, 0]);
            if self.is_proxy {
                b.push(0);
            }
        });
    }

    fn error(&self, out: &mut Vec<u8>, seq: u8, code: u16, state: &[u8; 5], text: &[u8]) {
        ErrPacket {
            code,
            sqlstate: state,
            message: text,
        }
        .put(out, seq);
        if self.is_proxy {
            self.ok(out, seq.wrapping_add(1));
        }
    }

    fn login_ok(&self, out: &mut Vec<u8>, seq: u8) {
        put_login_ok(out, seq, self.is_proxy);
    }
}

/// The greeting of a server, with this session id.
pub(crate) fn greeting(id: u32) -> Greeting {
    Greeting {
        version: b"5.7.25".to_vec(),
        connection_id: id,
        capabilities: 0x309C_F7DF,
        charset: Greeting::CHARSET,
        scramble: *b"ABCDEFGHIJKLMNOPQRST",
    }
}

/// The login OK: proxies get system variables.
pub(crate) fn put_login_ok(out: &mut Vec<u8>, seq: u8, is_proxy: bool) {
    if !is_proxy {
        put_packet(out, seq, |b| b.extend_from_slice(&[0, 0, 0, 0x22, 0, 0, 0]));
        return;
    }
    let mask = capability::PLAIN.to_string();
    let mut pairs = vec![];
    for (name, value) in [
        ("ob_capability_flag", mask.as_str()),
        ("ob_proxy_global_variables_version", "0"),
        ("autocommit", "ON"),
    ] {
        put_lenenc_bytes(&mut pairs, name.as_bytes());
        put_lenenc_bytes(&mut pairs, value.as_bytes());
    }
    let mut block = vec![0];
    put_lenenc_bytes(&mut block, &pairs);
    put_packet(out, seq, |b| {
        b.extend_from_slice(&[0, 0, 0]);
        b.extend_from_slice(&(0x22 | status::STATE_CHANGED).to_le_bytes());
        b.extend_from_slice(&[0, 0, 0]);
        put_lenenc(b, block.len() as u64);
        b.extend_from_slice(&block);
    });
}

/// Column count, one column, EOF; returns the next sequence number.
pub(crate) fn head(out: &mut Vec<u8>, seq: u8) -> u8 {
    put_packet(out, seq, |b| b.push(1));
    put_packet(out, seq.wrapping_add(1), column);
    put_packet(out, seq.wrapping_add(2), eof);
    seq.wrapping_add(3)
}

/// The definition of a text column.
pub(crate) fn column(b: &mut Vec<u8>) {
    for text in ["def", "", "", "", "c", ""] {
        put_lenenc_bytes(b, text.as_bytes());
    }
    b.extend_from_slice(&[0x0C, 45, 0, 0, 4, 0, 0, 0xFD, 0, 0, 0, 0, 0]);
}

pub(crate) fn eof(b: &mut Vec<u8>) {
    b.extend_from_slice(&[0xFE, 0, 0, 2, 0]);
}
