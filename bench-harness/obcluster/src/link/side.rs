//! One of the two sockets of a link, behind the network of its server.

use crate::shared::ServerView;
use socket2::SockRef;
use std::io;
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
            inbox: vec![],
        })
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
            self.open().await?;
            self.stream.readable().await?;
            if !self.is_open() {
                continue;
            }
            self.inbox.reserve(READ_MAX);
            match self.stream.try_read_buf(&mut self.inbox) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.is_silent {
            self.open().await?;
            self.stream.writable().await?;
            if !self.is_open() {
                continue;
            }
            match self.stream.try_write(bytes) {
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
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
