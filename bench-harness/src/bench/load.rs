//! Connections that ask one statement by a plan: one thread, one epoll.

use super::plan::{Arrivals, Plan};
use super::statement::Statement;
use crate::clock::Watch;
use crate::raw::{Conn, Got, Login};
use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Nothing came from any connection for so long: the peer hangs.
const SILENCE_NS_MAX: u64 = 5_000_000_000;
/// Events taken at once.
const EVENTS: usize = 256;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The statement.
    pub statement: Statement,
    /// By COM_STMT_EXECUTE instead of COM_QUERY.
    pub is_prepared: bool,
}

/// What one slice gave.
#[derive(Debug)]
pub struct Slice {
    /// How long it took, the last answers included.
    pub elapsed: Duration,
    /// In nanoseconds; its length is the number of statements.
    pub latency: Histogram<u64>,
}

/// Logged-in connections to one peer.
#[derive(Debug)]
pub struct Load {
    to: SocketAddr,
    work: Work,
    epoll: OwnedFd,
    askers: Vec<Asker>,
    request: Vec<u8>,
    /// What a prepare and a request are answered with.
    prepared: Vec<u8>,
    reply: Vec<u8>,
    input: Vec<u8>,
}

#[derive(Debug)]
struct Asker {
    stream: TcpStream,
    /// Bytes of the reply that have not come.
    missing: usize,
}

impl Load {
    /// Without connections.
    ///
    /// # Errors
    /// Those of epoll.
    pub fn new(to: SocketAddr, work: Work) -> Result<Self, String> {
        let epoll =
            epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| format!("epoll: {e}"))?;
        let [prepared, reply] = work.statement.replies(work.is_prepared)?;
        Ok(Self {
            to,
            work,
            epoll,
            askers: vec![],
            request: work.statement.request(work.is_prepared),
            prepared,
            reply,
            input: vec![0; 256 << 10],
        })
    }

    /// Opens connections until there are `connections`, each of which has done the statement once;
    /// every byte of that reply is compared.
    ///
    /// # Errors
    /// What stood in the way.
    pub fn open(&mut self, connections: usize) -> Result<(), String> {
        while self.askers.len() < connections {
            let number = self.askers.len();
            let asker = (self.asker()).map_err(|e| format!("connection {number}: {e}"))?;
            let key = epoll::EventData::new_u64(number as u64);
            epoll::add(&self.epoll, &asker.stream, key, epoll::EventFlags::IN)
                .map_err(|e| format!("epoll of connection {number}: {e}"))?;
            self.askers.push(asker);
        }
        Ok(())
    }

    fn asker(&self) -> Result<Asker, String> {
        let to = self.to;
        let mut conn = Conn::login(to, &Login::default())?;
        if self.work.is_prepared {
            conn.send_bytes(&self.work.statement.prepare())
                .map_err(|e| format!("prepare at {to}: {e}"))?;
            expect(&mut conn, &self.prepared, "prepare")?;
        }
        conn.send_bytes(&self.request)
            .map_err(|e| format!("first statement at {to}: {e}"))?;
        expect(&mut conn, &self.reply, "the first statement")?;
        let stream = conn.into_stream();
        stream
            .set_nonblocking(true)
            .map_err(|e| format!("socket to {to}: {e}"))?;
        Ok(Asker { stream, missing: 0 })
    }

    /// Everyone asks again at once, for so long.
    ///
    /// # Errors
    /// What the peer did instead of answering.
    pub fn closed(&mut self, length: Duration) -> Result<Slice, String> {
        self.run(Plan::closed(self.askers.len(), nanos(length)))
    }

    /// Statements arrive at a rate, for so long.
    ///
    /// # Errors
    /// What the peer did instead of answering.
    pub fn paced(&mut self, length: Duration, arrivals: Arrivals) -> Result<Slice, String> {
        self.run(Plan::paced(self.askers.len(), nanos(length), arrivals))
    }

    fn run(&mut self, mut plan: Plan) -> Result<Slice, String> {
        let watch = Watch::start();
        let mut heard_ns = 0;
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            let now_ns = nanos(watch.elapsed());
            while let Some(number) = plan.next(now_ns) {
                self.ask(number)?;
            }
            if plan.is_over(now_ns) {
                return Ok(Slice {
                    elapsed: watch.elapsed(),
                    latency: plan.into_latency(),
                });
            }
            if now_ns - heard_ns > SILENCE_NS_MAX {
                return Err(format!("{} has not answered for 5 s", self.to));
            }
            let pause_ns = plan.pause_ns(now_ns).unwrap_or(SILENCE_NS_MAX);
            let pause = Timespec {
                tv_sec: (pause_ns / 1_000_000_000) as i64,
                tv_nsec: (pause_ns % 1_000_000_000) as _,
            };
            let buffer = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, buffer, Some(&pause)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(format!("epoll: {e}")),
            }
            for event in events.drain(..) {
                let number = event.data.u64() as usize;
                let is_whole = self.hear(number)?;
                heard_ns = nanos(watch.elapsed());
                if is_whole {
                    plan.done(number, heard_ns);
                }
            }
        }
    }

    fn ask(&mut self, number: usize) -> Result<(), String> {
        let asker = &mut self.askers[number];
        asker.missing = self.reply.len();
        // A few bytes into an empty socket: taken whole, or the connection is broken.
        let sent = asker.stream.write_all(&self.request);
        sent.map_err(|e| format!("connection {number} to {}: {e}", self.to))
    }

    /// Reads once; true when the reply is whole.
    fn hear(&mut self, number: usize) -> Result<bool, String> {
        let asker = &mut self.askers[number];
        let said = |what: String| Err(format!("connection {number} to {}: {what}", self.to));
        match asker.stream.read(&mut self.input) {
            Ok(0) => said("closed".into()),
            Ok(n) if n > asker.missing => {
                said(format!("{n} bytes where {} were missing", asker.missing))
            }
            Ok(n) => {
                asker.missing -= n;
                Ok(asker.missing == 0)
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(e) => said(e.to_string()),
        }
    }
}

/// Reads packets as long as these bytes, and compares.
fn expect(conn: &mut Conn, bytes: &[u8], what: &str) -> Result<(), String> {
    let mut got = vec![];
    while got.len() < bytes.len() {
        match conn.receive() {
            Got::Packet(p) => got.extend(crate::raw::framed(&p.payload, p.seq)),
            other => return Err(format!("{what}: {other:?} after {} bytes", got.len())),
        }
    }
    if got == bytes {
        return Ok(());
    }
    let at = got.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{what}: the reply differs from the server's at byte {at}"
    ))
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
