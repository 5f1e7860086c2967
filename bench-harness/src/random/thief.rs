//! A relay that loses pieces of session state on their way to the kernel: the planted fault that
//! the comparison must find.
//!
//! It reads plain framing and OceanBase 2.0 without compression. What it has changed has no
//! checksums any more, which a server takes (protocol.md 3.3).

use crate::raw::framed;
use crate::relay::spawn;
use obring_wire::base::Cursor;
use obring_wire::protocol::mysql::HEADER_LEN;
use obring_wire::protocol::ob20::{FRAME_HEAD_LEN, TAIL_LEN, entry, flag, put_tlv};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A sub type of the session state (TLV 2002) in OceanBase 2.0 packets.
    SubType(u16),
    /// COM_QUERY of one statement that begins with this: one of no effect takes its place.
    Text(&'static str),
    /// This command (COM_INIT_DB, COM_STMT_PREPARE or COM_SET_OPTION), when a client session has
    /// said the same over another connection before: what a proxy says to a link that the session
    /// moves to. One of the same reply, but without the effect, takes its place.
    Again(u8),
}

const STMT_PREPARE: u8 = 0x16;
const SET_OPTION: u8 = 0x1b;
/// What is prepared instead.
const OTHER_STATEMENT: &[u8] = b"do 0";
/// The attribute of a login that says which client session the connection belongs to.
const SESSION_ID: &[u8] = b"\x13__client_session_id";

/// Takes the place of a text that is lost; it is answered with an OK, too.
const NOTHING: &[u8] = b"set @lost = 0";
/// Bytes of an OceanBase 2.0 frame behind its length, without payload; no shorter length is one.
const FRAME_MIN: usize = FRAME_HEAD_LEN - PREFIX_LEN + TAIL_LEN;
/// Bytes of a frame that its length does not count.
const PREFIX_LEN: usize = 7;

/// A running thief. Ends with its value.
#[derive(Debug)]
pub struct Thief {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    loss: Loss,
    stolen: AtomicU64,
    stop: AtomicBool,
    said: Mutex<Said>,
}

/// What client sessions have said, and over which connection first.
#[derive(Debug, Default)]
struct Said {
    connections: u64,
    first: HashMap<(Vec<u8>, Vec<u8>), u64>,
}

impl Said {
    /// True if the session has said this over another connection before.
    fn is_again(&mut self, session: &[u8], connection: u64, payload: &[u8]) -> bool {
        let key = (session.to_vec(), payload.to_vec());
        !session.is_empty() && *self.first.entry(key).or_insert(connection) != connection
    }
}

impl Thief {
    /// On a port that the system chooses.
    ///
    /// # Errors
    /// Those of listening.
    pub fn start(target: SocketAddr, loss: Loss) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target,
            loss,
            stolen: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            said: Mutex::default(),
        });
        let mine = shared.clone();
        spawn("thief", move || {
            for client in listener.incoming().map_while(Result::ok) {
                if mine.stop.load(SeqCst) {
                    return;
                }
                // A kernel that is gone shows in the connection's end.
                let _ = pair(client, &mine);
            }
        })?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pieces taken so far.
    #[must_use]
    pub fn stolen(&self) -> u64 {
        self.shared.stolen.load(SeqCst)
    }
}

impl Drop for Thief {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
    }
}

fn pair(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(shared.target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (c, s) = (client.try_clone()?, server.try_clone()?);
    let mine = shared.clone();
    spawn("thief-up", move || {
        let mut hands = Hands::new(mine.loss, &mut mine.said());
        copy(c, s, |bytes, out| {
            hands.feed(bytes, &mut mine.said(), out);
            mine.stolen
                .fetch_add(std::mem::take(&mut hands.stolen), SeqCst);
        });
    })?;
    spawn("thief-down", move || {
        copy(server, client, |bytes, out| out.extend_from_slice(bytes));
    })
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut edit: impl FnMut(&[u8], &mut Vec<u8>)) {
    let (mut buffer, mut out) = (vec![0; 64 << 10], vec![]);
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        out.clear();
        edit(buffer.get(..n).unwrap_or_default(), &mut out);
        if to.write_all(&out).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

impl Shared {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One direction of a connection: bytes in any split go in, whole packets come out.
#[derive(Debug)]
struct Hands {
    loss: Loss,
    /// Number of the connection.
    connection: u64,
    /// The client session that its login names; empty without one.
    session: Vec<u8>,
    kept: Vec<u8>,
    stolen: u64,
}

impl Hands {
    const fn new(loss: Loss, said: &mut Said) -> Self {
        said.connections += 1;
        Self {
            loss,
            connection: said.connections,
            session: vec![],
            kept: vec![],
            stolen: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8], said: &mut Said, out: &mut Vec<u8>) {
        self.kept.extend_from_slice(bytes);
        while let Some((len, is_frame)) = next_len(&self.kept) {
            let packet: Vec<u8> = self.kept.drain(..len).collect();
            let changed = match is_frame {
                true => self.frame(&packet, said),
                false => self.packet(&packet, said),
            };
            self.stolen += u64::from(changed.is_some());
            out.extend_from_slice(changed.as_deref().unwrap_or(&packet));
        }
    }

    /// What takes the place of a MySQL packet, if it is lost.
    fn packet(&mut self, packet: &[u8], said: &mut Said) -> Option<Vec<u8>> {
        let (&[a, b, c, seq], rest) = packet.split_first_chunk::<HEADER_LEN>()?;
        if u32::from_le_bytes([a, b, c, 0]) as usize != rest.len() {
            return None;
        }
        if let Some(id) = session_of(rest).filter(|_| seq == 1) {
            self.session = id.to_vec();
            return None;
        }
        let (command, body) = rest.split_first()?;
        let instead = match self.loss {
            Loss::SubType(_) => return None,
            Loss::Text(front) => {
                let is_one = !body.iter().rev().skip(1).any(|b| *b == b';');
                let is_it = *command == 3 && is_one && body.starts_with(front.as_bytes());
                is_it.then(|| [&[3], NOTHING].concat())?
            }
            Loss::Again(lost) => {
                let is_it = *command == lost && said.is_again(&self.session, self.connection, rest);
                is_it.then(|| without_effect(lost, body))?
            }
        };
        Some(framed(&instead, seq))
    }

    /// An OceanBase 2.0 frame without what is lost, if it had it.
    fn frame(&mut self, frame: &[u8], said: &mut Said) -> Option<Vec<u8>> {
        let payload = frame.get(FRAME_HEAD_LEN..frame.len() - TAIL_LEN)?;
        let flags = u32::from_le_bytes(*frame.get(23..)?.first_chunk()?);
        let mut c = Cursor::new(payload);
        let extra = match flags & flag::EXTRA_INFO {
            0 => None,
            _ => {
                let len = c.u32().ok()?;
                Some(c.take(len as usize).ok()?)
            }
        };
        let mysql = payload.get(c.position()..)?;
        let (extra, mysql) = match self.loss {
            Loss::Text(_) | Loss::Again(_) => {
                (extra.map(<[u8]>::to_vec), self.packet(mysql, said)?)
            }
            Loss::SubType(kind) => (Some(without(extra?, kind)?), mysql.to_vec()),
        };
        let mut body = vec![];
        if let Some(extra) = extra {
            body.extend_from_slice(&(extra.len() as u32).to_le_bytes());
            body.extend_from_slice(&extra);
        }
        body.extend_from_slice(&mysql);
        Some(reframed(frame, &body))
    }
}

/// The client session that a login names.
fn session_of(login: &[u8]) -> Option<&[u8]> {
    let at = login
        .windows(SESSION_ID.len())
        .position(|w| w == SESSION_ID)?;
    let (len, rest) = login.get(at + SESSION_ID.len()..)?.split_first()?;
    rest.get(..usize::from(*len))
}

/// A command that is answered like this one and leaves the session as it is.
fn without_effect(command: u8, body: &[u8]) -> Vec<u8> {
    match command {
        STMT_PREPARE => [&[STMT_PREPARE], OTHER_STATEMENT].concat(),
        // There are two options, and what is set is not what was.
        SET_OPTION => vec![SET_OPTION, u8::from(body.first() == Some(&0)), 0],
        _ => [&[3], NOTHING].concat(),
    }
}

/// Length of the packet at the front, and whether it is an OceanBase 2.0 frame, once it is all
/// there.
fn next_len(bytes: &[u8]) -> Option<(usize, bool)> {
    let &[a, b, c, _] = bytes.first_chunk()?;
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    let is_frame = len >= FRAME_MIN && *bytes.get(4..9)? == [0, 0, 0, 0xAB, 0x20];
    let len = len + if is_frame { PREFIX_LEN } else { HEADER_LEN };
    (bytes.len() >= len).then_some((len, is_frame))
}

/// Extra info without a sub type of the session state; `None` if it is not there.
fn without(extra: &[u8], kind: u16) -> Option<Vec<u8>> {
    let (mut out, mut is_found) = (vec![], false);
    let mut c = Cursor::new(extra);
    while c.left() > 0 {
        let (top, value) = tlv(&mut c)?;
        if top != entry::SESSION {
            put_tlv(&mut out, top, value);
            continue;
        }
        let (mut kept, mut parts) = (vec![], Cursor::new(value));
        while parts.left() > 0 {
            let (sub, value) = tlv(&mut parts)?;
            match sub == kind {
                true => is_found = true,
                false => put_tlv(&mut kept, sub, value),
            }
        }
        put_tlv(&mut out, top, &kept);
    }
    is_found.then_some(out)
}

fn tlv<'a>(c: &mut Cursor<'a>) -> Option<(u16, &'a [u8])> {
    let kind = c.u16().ok()?;
    let len = c.u32().ok()?;
    Some((kind, c.take(len as usize).ok()?))
}

/// The frame with another payload, without checksums.
fn reframed(frame: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = frame.get(..FRAME_HEAD_LEN).unwrap_or_default().to_vec();
    let len = (FRAME_MIN + body.len()) as u32;
    out[..3].copy_from_slice(&len.to_le_bytes()[..3]);
    out[19..23].copy_from_slice(&(body.len() as u32).to_le_bytes());
    out[FRAME_HEAD_LEN - 2..].fill(0);
    out.extend_from_slice(body);
    out.extend_from_slice(&[0; TAIL_LEN]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(extra: &[u8], sql: &str) -> Vec<u8> {
        let mut head = vec![0; FRAME_HEAD_LEN];
        head[7..9].copy_from_slice(&[0xAB, 0x20]);
        let flags = flag::LAST | flag::NEW_EXTRA | flag::EXTRA_INFO;
        head[23..27].copy_from_slice(&flags.to_le_bytes());
        let mut body = (extra.len() as u32).to_le_bytes().to_vec();
        body.extend_from_slice(extra);
        body.extend(framed(&[b"\x03", sql.as_bytes()].concat(), 0));
        reframed(&head, &body)
    }

    fn extra(kinds: &[u16]) -> Vec<u8> {
        let (mut parts, mut out) = (vec![], vec![]);
        for kind in kinds {
            put_tlv(&mut parts, *kind, b"value");
        }
        put_tlv(&mut out, entry::TRACE, b"t");
        put_tlv(&mut out, entry::SESSION, &parts);
        out
    }

    /// All splits of a stream give the same bytes.
    fn through(loss: Loss, stream: &[u8]) -> (Vec<u8>, u64) {
        let (mut whole, mut said) = (vec![], Said::default());
        let mut hands = Hands::new(loss, &mut said);
        hands.feed(stream, &mut said, &mut whole);
        let stolen = hands.stolen;
        let (mut hands, mut bytewise) = (Hands::new(loss, &mut said), vec![]);
        let bytes = stream.iter();
        bytes.for_each(|b| hands.feed(&[*b], &mut said, &mut bytewise));
        assert_eq!(whole, bytewise);
        (whole, stolen)
    }

    #[test]
    fn a_sub_type_is_taken_out_and_all_else_stays() {
        let login = framed(&[7; 200], 1);
        let ping = framed(b"\x0e", 0);
        let before = [&login[..], &ping, &frame(&extra(&[3, 4, 6]), "select 1")].concat();
        let after = [&login[..], &ping, &frame(&extra(&[3, 6]), "select 1")].concat();
        assert_eq!(through(Loss::SubType(4), &before), (after, 1));
        assert_eq!(through(Loss::SubType(5), &before), (before, 0));
    }

    #[test]
    fn a_text_is_lost_in_both_framings() {
        let plain = |sql: &str| framed(&[b"\x03", sql.as_bytes()].concat(), 0);
        let none = extra(&[]);
        let stream = |sql: &str| [plain(sql), plain("select 1"), frame(&none, sql)].concat();
        let lost = through(Loss::Text("SET @"), &stream("SET @a = 1"));
        assert_eq!(lost, (stream("set @lost = 0"), 2));
        let kept = stream("set @a = 1");
        assert_eq!(through(Loss::Text("SET @"), &kept), (kept, 0));
    }

    #[test]
    fn what_a_session_says_again_over_another_connection_is_lost() {
        let mut said = Said::default();
        let mut over = |session: &str, loss: Loss, packets: &[&[u8]]| {
            let mut login = vec![7; 40];
            if !session.is_empty() {
                login.extend_from_slice(SESSION_ID);
                login.push(session.len() as u8);
                login.extend_from_slice(session.as_bytes());
            }
            let (mut out, mut hands) = (vec![], Hands::new(loss, &mut said));
            hands.feed(&framed(&login, 1), &mut said, &mut out);
            assert_eq!(out, framed(&login, 1), "a login goes through");
            out.clear();
            for packet in packets {
                hands.feed(&framed(packet, 0), &mut said, &mut out);
            }
            let same: Vec<u8> = packets.iter().flat_map(|p| framed(p, 0)).collect();
            (out == same).then_some(()).ok_or(out)
        };
        let prepares = Loss::Again(STMT_PREPARE);
        let both: &[&[u8]] = &[b"\x16select 1", b"\x16select 2", b"\x16select 1"];
        assert_eq!(over("1", prepares, both), Ok(()));
        assert_eq!(over("2", prepares, both), Ok(()), "another session");
        for _ in 0..2 {
            assert_eq!(over("", prepares, both), Ok(()), "nobody's session");
        }
        let lost = framed(b"\x16do 0", 0);
        assert_eq!(over("1", prepares, &both[..1]), Err(lost));
        let options = Loss::Again(SET_OPTION);
        assert_eq!(over("1", options, &[b"\x1b\0\0"]), Ok(()));
        let lost = framed(b"\x1b\x01\0", 0);
        assert_eq!(over("1", options, &[b"\x1b\0\0"]), Err(lost));
        let databases = Loss::Again(0x02);
        assert_eq!(over("1", databases, &[b"\x02a"]), Ok(()));
        let lost = framed(b"\x03set @lost = 0", 0);
        assert_eq!(over("1", databases, &[b"\x02a"]), Err(lost));
    }
}
