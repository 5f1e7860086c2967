//! One of the two sockets of a link, behind the network of its server.

use crate::shared::ServerView;
use crate::tls::Tls;
use rustls::ServerConfig;
use socket2::SockRef;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Bytes that are read before somebody uses them; then the peer waits.
const INBOX_MAX: usize = 256 << 10;
/// How much one read may take.
const READ_MAX: usize = 64 << 10;

/// A socket whose bytes flow only while the network of the server is open.
#[derive(Debug)]
pub(super) struct Side {
    stream: TcpStream,
    view: watch::Receiver<ServerView>,
    /// Nothing more goes out.
    is_silent: bool,
    /// What is said is said inside TLS.
    tls: Option<Box<Tls>>,
    /// Sealed bytes that are to go out.
    sealed: Vec<u8>,
    /// Bytes that were read and not used.
    pub(super) inbox: Vec<u8>,
}

impl Side {
    pub(super) fn new(stream: TcpStream, view: watch::Receiver<ServerView>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            view,
            is_silent: false,
            tls: None,
            sealed: vec![],
            inbox: vec![],
        })
    }

    /// From here on TLS is spoken; what is in the inbox is the beginning of that.
    pub(super) fn begin_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        self.tls = Some(Box::new(Tls::new(config)?));
        let came = std::mem::take(&mut self.inbox);
        self.unseal(&came)
    }

    /// TLS is spoken.
    pub(super) const fn is_sealed(&self) -> bool {
        self.tls.is_some()
    }

    fn unseal(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.read(bytes, &mut self.inbox, &mut self.sealed),
            None => Ok(()),
        }
    }

    /// Sends what is sealed. Nothing is lost when it is given up.
    async fn flush(&mut self) -> io::Result<()> {
        while !self.sealed.is_empty() {
            let n = self.write_some(None).await?;
            self.sealed.drain(..n);
        }
        Ok(())
    }

    /// Writes a part of these bytes, or of the sealed ones, once the network lets it go.
    async fn write_some(&mut self, bytes: Option<&[u8]>) -> io::Result<usize> {
        loop {
            self.open().await?;
            self.stream.writable().await?;
            if !self.is_open() {
                continue;
            }
            match self.stream.try_write(bytes.unwrap_or(&self.sealed)) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Waits until the network carries packets.
    async fn open(&mut self) -> io::Result<()> {
        let open = self.view.wait_for(ServerView::carries).await;
        open.map(|_| ())
            .map_err(|_| io::ErrorKind::ConnectionAborted.into())
    }

    fn is_open(&self) -> bool {
        self.view.borrow().carries()
    }

    /// True when more may be read.
    pub(super) fn has_room(&self) -> bool {
        self.inbox.len() < INBOX_MAX
    }

    /// Reads what is there into the inbox; 0 at the end. Nothing is lost when it is given up.
    pub(super) async fn read(&mut self) -> io::Result<usize> {
        loop {
            // The answers of a handshake.
            self.flush().await?;
            self.open().await?;
            self.stream.readable().await?;
            if !self.is_open() {
                continue;
            }
            let mut came = vec![];
            let into = if self.tls.is_some() {
                &mut came
            } else {
                &mut self.inbox
            };
            into.reserve(READ_MAX);
            match self.stream.try_read_buf(into) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Ok(n) if n > 0 && self.tls.is_some() => {
                    let before = self.inbox.len();
                    self.unseal(&came)?;
                    let n = self.inbox.len() - before;
                    if n > 0 || self.tls.as_ref().is_some_and(|tls| tls.is_over) {
                        return Ok(n);
                    }
                }
                done => return done,
            }
        }
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.is_silent {
            return Ok(());
        }
        if let Some(tls) = &mut self.tls {
            tls.write(bytes, &mut self.sealed)?;
            return self.flush().await;
        }
        while !bytes.is_empty() && !self.is_silent {
            let n = self.write_some(Some(bytes)).await?;
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Tells the peer that nothing more comes, and reads on. What is written from now on goes
    /// nowhere.
    pub(super) fn close_writing(&mut self) {
        self.is_silent = true;
        // A peer that is gone needs no telling.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
    }

    /// Makes its end a reset.
    pub(super) fn reset_at_end(&self) {
        // A socket that is gone already needs none.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}
