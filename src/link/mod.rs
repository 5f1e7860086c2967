//! L2: one server connection as a machine: greeting, login, then requests and their replies in
//! order.
//!
//! A request may be sent before the replies to earlier ones have come, up to [`UNDER_WAY_MAX`]: the
//! server answers in order. [`Link::reply`] is the reply that is being read; [`Link::finish`] makes
//! the next one current.
//!
//! Sessions and the metadata core use the same [`Link`]. It owns no socket and no output: bytes go
//! in, what they mean comes out. `LIFECYCLE.md` beside this file draws its states.

mod frames;
mod login;
mod rows;

#[cfg(test)]
mod queue_tests;

pub use login::{Credentials, Identity, Proof, put_login};
pub use rows::{Rows, RowsError};

use crate::protocol::mysql::{ErrPacket, Gather, Greeting, Reply, Shape, TooLong, Whole};
use crate::protocol::ob20::{Envelope, FrameError, FrameSink, FrameStep, Framing};
use frames::{Frames, Sent};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;

/// A greeting or login reply longer than this is no OceanBase server (a login OK has 25 KB).
const LOGIN_PACKET_MAX: usize = 256 << 10;

/// Requests whose replies are not over. What a link needs in front of a statement are a handful of
/// commands; more than this are not sent before some are answered.
pub const UNDER_WAY_MAX: usize = 16;

/// Where a link stands.
///
/// ```text
/// Connecting ── connected ── Greeting ── greeting ── Login ── OK ── Idle <── end of reply ──┐
///     │                         │                      │              └── begin ── Busy ────┘
///     │                         │                      │                  begin, finish: in order
///     └───── every state: connection lost or refused ──┴──> dropped by its owner
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Connecting,
    Greeting(Gather),
    Login(Gather),
    Idle,
    Busy(Reply),
}

/// One server connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The server's SQL address.
    pub server: SocketAddr,
    /// The server's id of this connection, from its greeting.
    pub server_session_id: u32,
    state: State,
    frames: Frames,
    /// Requests behind the one whose reply is being read.
    behind: VecDeque<Behind>,
}

/// A request whose reply comes after others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Behind {
    shape: Shape,
    /// What was sent of it; `None` until something was.
    sent: Option<Sent>,
}

/// What the bytes of the login phase meant.
#[derive(Debug, PartialEq, Eq)]
pub enum LoginStep<'a> {
    /// More bytes are needed.
    More,
    /// The server greeted: send the login packet with sequence 1, then [`Link::login_sent`].
    Greeted(Greeting),
    /// The server refused, in place of the greeting or as answer to the login.
    Refused(ErrPacket<'a>),
    /// The login succeeded; this is the OK packet.
    Accepted(&'a [u8]),
}

/// The server sent something that is not a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadServer {
    /// A packet longer than any login packet.
    TooLong(TooLong),
    /// A packet that is no greeting, OK or ERR; its first byte and length.
    NotALogin(Option<u8>, usize),
}

impl fmt::Display for BadServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(t) => write!(f, "a packet of {} bytes in place of a login reply", t.len),
            Self::NotALogin(Some(b), n) => {
                write!(
                    f,
                    "no MySQL server: packet of {n} bytes that begins with {b:#04x}"
                )
            }
            Self::NotALogin(None, _) => f.write_str("no MySQL server: empty packet"),
        }
    }
}

impl std::error::Error for BadServer {}

impl Link {
    /// A link whose connect has been asked for.
    #[must_use]
    pub fn connecting(server: SocketAddr) -> Self {
        Self {
            server,
            server_session_id: 0,
            state: State::Connecting,
            frames: Frames::new(Framing::Plain, 0, false),
            behind: VecDeque::new(),
        }
    }

    /// The connection stands; the greeting comes next.
    pub fn connected(&mut self) {
        self.state = State::Greeting(Gather::default());
    }

    /// Reads the greeting and the answer to the login. `used` is raised by the bytes taken.
    pub fn login<'a>(
        &'a mut self,
        bytes: &'a [u8],
        used: &mut usize,
    ) -> Result<LoginStep<'a>, BadServer> {
        let (gather, is_greeting) = match &mut self.state {
            State::Greeting(g) => (g, true),
            State::Login(g) => (g, false),
            _ => return Ok(LoginStep::More),
        };
        let whole = gather
            .feed(bytes, used, LOGIN_PACKET_MAX)
            .map_err(BadServer::TooLong)?;
        let Some(Whole { payload, .. }) = whole else {
            return Ok(LoginStep::More);
        };
        let not = BadServer::NotALogin(payload.first().copied(), payload.len());
        match payload.first() {
            Some(0xFF) => ErrPacket::parse(payload)
                .map(LoginStep::Refused)
                .map_err(|_| not),
            Some(10) if is_greeting => {
                let greeting = Greeting::parse(payload).map_err(|_| not)?;
                self.server_session_id = greeting.connection_id;
                Ok(LoginStep::Greeted(greeting))
            }
            Some(0) if !is_greeting => Ok(LoginStep::Accepted(payload)),
            _ => Err(not),
        }
    }

    /// The login packet was sent.
    pub fn login_sent(&mut self) {
        self.state = State::Login(Gather::default());
    }

    /// The login is over: requests may be sent.
    pub fn logged_in(&mut self) {
        self.state = State::Idle;
    }

    /// The framing of everything behind the login, if it is not plain. `is_new_extra`: extra info
    /// is TLV.
    pub fn agree(&mut self, framing: Framing, is_new_extra: bool) {
        self.frames = Frames::new(framing, self.server_session_id, is_new_extra);
    }

    /// The framing behind the login.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        self.frames.framing()
    }

    /// A request of this shape goes out now. One without a reply is over with [`Self::finish`].
    pub fn begin(&mut self, shape: Shape) {
        debug_assert!(self.has_room(), "too many requests under way");
        self.frames.begin_request();
        if self.is_idle() {
            self.state = State::Busy(Reply::new(shape));
        } else {
            self.behind.push_back(Behind { shape, sent: None });
        }
    }

    /// True if one more request may be begun.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.is_idle() || self.behind.len() + 1 < UNDER_WAY_MAX
    }

    /// The reply gave the client a turn: what is sent now belongs to the same request. Nothing may
    /// be under way behind it.
    pub const fn begin_turn(&mut self) {
        self.frames.begin_turn();
    }

    /// Frames bytes of the request that was begun last: `held`, then `body`, which stays where it
    /// is. `with`: what goes with them in OceanBase 2.0 framing; its `is_last` says that they end
    /// the request, or a packet of the client's turn.
    pub fn send(
        &mut self,
        with: Envelope<'_>,
        held: &[u8],
        body: &[u8],
        sink: &mut impl FrameSink,
    ) {
        let sent = self.frames.send(with, held, body, sink);
        match self.behind.back_mut() {
            Some(behind) => behind.sent = Some(sent),
            None => self.frames.expect(sent),
        }
    }

    /// Reads on in a reply; as [`crate::protocol::ob20::FrameReader::step`].
    ///
    /// # Errors
    /// What is wrong with a frame: the link cannot be used any further.
    pub fn step<'a>(
        &mut self,
        bytes: &'a [u8],
        at: &mut usize,
        inflated: &'a mut Vec<u8>,
    ) -> Result<FrameStep<'a>, FrameError> {
        self.frames.step(bytes, at, inflated)
    }

    /// Flags of the OceanBase 2.0 packet that was begun last; 0 in other framings.
    #[must_use]
    pub const fn packet_flags(&self) -> u32 {
        self.frames.packet_flags()
    }

    /// A buffer to lend between calls; as [`crate::protocol::ob20::FrameReader::free_buffer`].
    pub const fn free_buffer(&mut self) -> Option<&mut Vec<u8>> {
        self.frames.free_buffer()
    }

    /// A reply is expected, and nothing stands around its packets.
    #[must_use]
    pub const fn has_plain_reply(&self) -> bool {
        matches!(self.state, State::Busy(_)) && matches!(self.framing(), Framing::Plain)
    }

    /// True if a byte of a server would be one that nobody asked for.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.is_idle() && self.frames.is_between()
    }

    /// True if a reply ends with its last MySQL packet; else with the frame that says so.
    #[must_use]
    pub const fn ends_with_packet(&self) -> bool {
        !self.framing().has_packets()
    }

    /// A frame says that it is the last. True: of a part that gave the client its turn.
    pub const fn turned(&mut self) -> bool {
        self.frames.turned()
    }

    /// The reply that is expected, while there is one.
    pub const fn reply(&mut self) -> Option<&mut Reply> {
        match &mut self.state {
            State::Busy(reply) => Some(reply),
            _ => None,
        }
    }

    /// The reply is over: the one behind it comes next, if there is one.
    pub fn finish(&mut self) {
        self.state = State::Idle;
        if let Some(Behind { shape, sent }) = self.behind.pop_front() {
            if let Some(sent) = sent {
                self.frames.expect(sent);
            }
            self.state = State::Busy(Reply::new(shape));
        }
    }

    /// Logged in and no reply expected.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Between connect and the end of the login.
    #[must_use]
    pub const fn is_logging_in(&self) -> bool {
        matches!(
            self.state,
            State::Connecting | State::Greeting(_) | State::Login(_)
        )
    }
}
