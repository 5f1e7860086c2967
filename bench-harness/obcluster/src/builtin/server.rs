//! The shell around the engine: one thread, one epoll.

use super::data::{Data, InternalRouting, Layout};
use super::session::{Flow, Session};
use crate::clock::now_us;
use crate::server::listen;
use crate::tls::Tls;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{Timespec, epoll::CreateFlags};
use rustls::ServerConfig;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Key of the listener; sessions have their place.
const LISTENER: u64 = u64::MAX;
/// Events taken at once.
const EVENTS: usize = 256;
/// Bytes of one read.
const READ: usize = 64 << 10;
/// An output buffer larger than this is not kept.
const KEPT_MAX: usize = 64 << 10;
/// Connection ids begin here, as a server's do.
const FIRST_ID: u32 = 0xC000_0001;
/// The user of proxies, whose logins are not counted.
const PROXY_USER: &str = "proxyro";

/// What a server has seen, and what it is told while it runs.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Logins of users other than proxyro.
    pub logins: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
    /// Bytes that the system took from it.
    pub sent_bytes: AtomicU64,
    routing: AtomicU8,
    stop: AtomicBool,
}

impl Counts {
    /// Whether transactions may move between servers, from the next statement on.
    pub fn set_internal_routing(&self, routing: InternalRouting) {
        self.routing.store(1 + routing as u8, Ordering::SeqCst);
    }

    fn routing(&self) -> Option<InternalRouting> {
        use InternalRouting::{Off, On, Refuse};
        match self.routing.load(Ordering::Relaxed) {
            0 => None,
            n => [On, Refuse, Off].into_iter().find(|r| 1 + *r as u8 == n),
        }
    }
}

/// The server, bound to a port of its own.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    data: Data,
    links: Vec<Option<Link>>,
    free: Vec<usize>,
    /// Places of sessions by their id.
    places: HashMap<u32, usize>,
    /// Sessions that wait for a time: it, and their id.
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    next_id: u32,
    counts: Arc<Counts>,
    input: Vec<u8>,
    /// TLS is offered, with this.
    tls: Option<Arc<ServerConfig>>,
    /// What clients say inside it.
    plain: Vec<u8>,
}

#[derive(Debug)]
struct Link {
    stream: TcpStream,
    session: Session,
    flow: Flow,
    out: Vec<u8>,
    tls: Option<Box<Tls>>,
    /// What goes to the client where TLS is spoken.
    sealed: Vec<u8>,
    /// Bytes of `out`, or of `sealed`, that the system has taken.
    sent: usize,
    /// Events that are watched.
    watched: EventFlags,
    is_counted: bool,
}

impl Server {
    /// Binds to an address of the loopback; port 0 is a free one.
    ///
    /// # Errors
    /// Those of listening, of epoll, and of the certificate.
    pub fn bind(address: SocketAddr, layout: Layout) -> io::Result<Self> {
        let certificate = layout.certificate.as_ref();
        let tls = certificate.map(|c| c.config()).transpose()?;
        let listener = listen(address)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let key = EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, key, EventFlags::IN)?;
        Ok(Self {
            listener,
            epoll,
            data: Data::new(layout),
            links: vec![],
            free: vec![],
            places: HashMap::new(),
            timers: BinaryHeap::new(),
            next_id: FIRST_ID,
            counts: Arc::default(),
            input: vec![0; READ],
            tls,
            plain: vec![],
        })
    }

    /// Binds to a free port of the loopback.
    ///
    /// # Errors
    /// Those of [`Self::bind`].
    pub fn bind_free(layout: Layout) -> io::Result<Self> {
        Self::bind(SocketAddr::from(([127, 0, 0, 1], 0)), layout)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the question.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What it has seen; stays true while it runs.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Runs it on a thread of its own.
    ///
    /// # Errors
    /// No address, or no thread.
    pub fn spawn(mut self) -> io::Result<Running> {
        let running = Running {
            address: self.address()?,
            counts: self.counts(),
        };
        let thread = std::thread::Builder::new().name("builtin".into());
        thread.spawn(move || {
            // It ends with its epoll, or when it is told to; either way nobody is left to tell.
            let _ = self.run();
        })?;
        Ok(running)
    }

    /// Serves until something other than a session fails, or until it is told to stop.
    ///
    /// # Errors
    /// Those of epoll and of accepting.
    pub fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.counts.stop.load(Ordering::Relaxed) {
            let pause = self.pause();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, room, pause.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            if let Some(routing) = self.counts.routing() {
                self.data.set_internal_routing(routing);
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    at => self.serve(at as usize),
                }
            }
            self.ring();
        }
        Ok(())
    }

    /// How long nothing is due.
    fn pause(&self) -> Option<Timespec> {
        let Reverse((until_us, _)) = self.timers.peek()?;
        let left_us = until_us.saturating_sub(now_us());
        Some(Timespec {
            tv_sec: (left_us / 1_000_000) as i64,
            tv_nsec: (left_us % 1_000_000 * 1_000) as _,
        })
    }

    /// Resumes sessions whose time has come.
    fn ring(&mut self) {
        while let Some(Reverse((until_us, id))) = self.timers.peek().copied() {
            if until_us > now_us() {
                return;
            }
            self.timers.pop();
            self.resume(id, |flow| flow == Flow::Wait(until_us));
        }
    }

    /// Resumes a session if it is in this state.
    fn resume(&mut self, id: u32, is_right: impl Fn(Flow) -> bool) {
        let Some(&at) = self.places.get(&id) else {
            return;
        };
        if let Some(Some(link)) = self.links.get_mut(at)
            && is_right(link.flow)
        {
            link.flow = link.session.resume(&mut self.data, now_us(), &mut link.out);
            self.settle(at);
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (stream, peer) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client is gone already.
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            self.counts.accepted.fetch_add(1, Ordering::Relaxed);
            self.counts.open.fetch_add(1, Ordering::Relaxed);
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let id = self.next_id;
            self.next_id = self.next_id.wrapping_add(1).max(FIRST_ID);
            let at = self.free.pop().unwrap_or(self.links.len());
            let key = EventData::new_u64(at as u64);
            let watched = EventFlags::IN;
            epoll::add(&self.epoll, &stream, key, watched)?;
            let mut out = vec![];
            let seed = now_us().rotate_left(20) ^ u64::from(id);
            let session = match self.tls {
                Some(_) => Session::with_tls(id, Some(peer), seed, &mut out),
                None => Session::new(id, Some(peer), seed, &mut out),
            };
            if at == self.links.len() {
                self.links.push(None);
            }
            self.links[at] = Some(Link {
                stream,
                session,
                flow: Flow::Read,
                out,
                tls: None,
                sealed: vec![],
                sent: 0,
                watched,
                is_counted: false,
            });
            self.places.insert(id, at);
            self.settle(at);
        }
    }

    /// One event of a session.
    fn serve(&mut self, at: usize) {
        let Some(Some(link)) = self.links.get_mut(at) else {
            return;
        };
        if link.watched.contains(EventFlags::OUT) {
            return self.settle(at);
        }
        if !link.watched.contains(EventFlags::IN) {
            // Its client has ended while it waits.
            return self.end(at);
        }
        match link.stream.read(&mut self.input) {
            Ok(0) => return self.end(at),
            Ok(n) => {
                let mut bytes = self.input.get(..n).unwrap_or_default();
                if let Some(tls) = &mut link.tls {
                    self.plain.clear();
                    let read = tls.read(bytes, &mut self.plain, &mut link.sealed);
                    if read.is_err() || tls.is_over {
                        // What it says of that may be lost: the client has said goodbye, or worse.
                        let _ = link.write(&self.counts);
                        return self.end(at);
                    }
                    bytes = &self.plain;
                }
                let now = now_us();
                let session = &mut link.session;
                link.flow = session.receive(&mut self.data, now, bytes, &mut link.out);
                if link.flow == Flow::Tls && link.begin_tls(self.tls.clone()).is_err() {
                    return self.end(at);
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return self.end(at),
        }
        self.settle(at);
    }

    /// Writes what a session has to say, and goes on with it as far as that goes.
    fn settle(&mut self, at: usize) {
        self.drive(at);
        while self.data.has_news() {
            for kill in self.data.take_kills() {
                if let Some(&at) = self.places.get(&kill.session)
                    && let Some(Some(link)) = self.links.get_mut(at)
                {
                    link.session.interrupt(kill.is_query);
                    link.flow = link.session.resume(&mut self.data, now_us(), &mut link.out);
                    self.drive(at);
                }
            }
            for id in self.data.take_woken() {
                let Some(&at) = self.places.get(&id) else {
                    continue;
                };
                if let Some(Some(link)) = self.links.get_mut(at)
                    && matches!(link.flow, Flow::Wait(_))
                {
                    link.flow = link.session.resume(&mut self.data, now_us(), &mut link.out);
                    self.drive(at);
                }
            }
        }
    }

    fn drive(&mut self, at: usize) {
        loop {
            let Some(Some(link)) = self.links.get_mut(at) else {
                return;
            };
            // Before the answer goes out: who has it finds the login counted.
            if !link.is_counted
                && let Some(user) = link.session.user()
            {
                link.is_counted = true;
                let is_client = user != PROXY_USER;
                self.counts
                    .logins
                    .fetch_add(u64::from(is_client), Ordering::Relaxed);
            }
            let is_empty = match link.write(&self.counts) {
                Ok(is_empty) => is_empty,
                Err(_) => return self.end(at),
            };
            // Requests wait while their client does not take what it has.
            let watched = match (is_empty, link.flow) {
                (false, _) => EventFlags::OUT,
                (true, Flow::Write) => {
                    link.flow = link.session.resume(&mut self.data, now_us(), &mut link.out);
                    continue;
                }
                (true, Flow::Close) => return self.end(at),
                // It was begun where this was told.
                (true, Flow::Tls) => EventFlags::IN,
                (true, Flow::Read) => EventFlags::IN,
                (true, Flow::Wait(until_us)) => {
                    self.timers.push(Reverse((until_us, link.session.id())));
                    EventFlags::RDHUP
                }
            };
            if watched != link.watched {
                let key = EventData::new_u64(at as u64);
                if epoll::modify(&self.epoll, &link.stream, key, watched).is_err() {
                    return self.end(at);
                }
                link.watched = watched;
            }
            return;
        }
    }

    fn end(&mut self, at: usize) {
        let Some(mut link) = self.links.get_mut(at).and_then(Option::take) else {
            return;
        };
        self.places.remove(&link.session.id());
        link.session.close(&mut self.data);
        self.free.push(at);
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Link {
    /// Writes as far as the system takes it; true when nothing is left.
    fn write(&mut self, counts: &Counts) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls
            && !self.out.is_empty()
        {
            tls.write(&self.out, &mut self.sealed)?;
            self.out.clear();
        }
        let out = if self.tls.is_some() {
            &mut self.sealed
        } else {
            &mut self.out
        };
        while let Some(rest) = out.get(self.sent..).filter(|r| !r.is_empty()) {
            match self.stream.write(rest) {
                Ok(n) => {
                    self.sent += n;
                    counts.sent_bytes.fetch_add(n as u64, Ordering::Relaxed);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.sent = 0;
        out.clear();
        if out.capacity() > KEPT_MAX {
            *out = vec![];
        }
        Ok(true)
    }

    /// From here on TLS is spoken.
    fn begin_tls(&mut self, config: Option<Arc<ServerConfig>>) -> io::Result<()> {
        let mut tls = Tls::new(config.ok_or(ErrorKind::Unsupported)?)?;
        // Nothing is said inside it before the server has answered.
        tls.read(&self.session.take_rest(), &mut vec![], &mut self.sealed)?;
        self.tls = Some(Box::new(tls));
        self.flow = Flow::Read;
        Ok(())
    }
}

/// A server that runs on its thread; it stops with this value.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    counts: Arc<Counts>,
}

impl Running {
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

impl Drop for Running {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::SeqCst);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
    }
}
