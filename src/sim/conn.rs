//! A connection of the world: two pipes and who is at their ends.

use super::client::{Client, Verdict};
use super::killing::Attempt;
use super::server::Server;
use crate::base::{CloseReason, Key, Side};
use std::collections::VecDeque;

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) bytes: VecDeque<u8>,
    pub(super) is_scheduled: bool,
    /// The sender has closed; what is in the pipe still arrives.
    pub(super) eof: bool,
    pub(super) is_held: bool,
}

pub(super) enum Peer {
    Client(Box<Client>),
    Server(Box<Server>),
}

pub(super) struct Conn {
    pub(super) core: usize,
    pub(super) key: Key,
    pub(super) side: Side,
    pub(super) peer: Peer,
    pub(super) to_proxy: Pipe,
    pub(super) to_peer: Pipe,
    /// The machine hears of it.
    pub(super) is_attached: bool,
    /// The peer hears of it.
    pub(super) peer_open: bool,
    pub(super) is_connected: bool,
    pub(super) faulty: bool,
    /// Bytes that the proxy has sent.
    pub(super) sent: usize,
    pub(super) reason: Option<CloseReason>,
    pub(super) verdict: Option<Verdict>,
}

impl Conn {
    pub(super) const fn new(core: usize, key: Key, side: Side, peer: Peer) -> Self {
        Self {
            core,
            key,
            side,
            peer,
            to_proxy: Pipe::new(),
            to_peer: Pipe::new(),
            is_attached: true,
            peer_open: true,
            is_connected: false,
            faulty: false,
            sent: 0,
            reason: None,
            verdict: None,
        }
    }

    /// What its client has tried to kill.
    pub(super) fn attempts(&self) -> impl Iterator<Item = Attempt> {
        let client = match &self.peer {
            Peer::Client(client) => Some(client),
            Peer::Server(_) => None,
        };
        client.into_iter().flat_map(|c| c.attempts.iter().copied())
    }
}

impl Pipe {
    const fn new() -> Self {
        Self {
            bytes: VecDeque::new(),
            is_scheduled: false,
            eof: false,
            is_held: false,
        }
    }
}
