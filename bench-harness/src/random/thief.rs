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
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// What is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// A sub type of the session state (TLV 2002) in OceanBase 2.0 packets.
    SubType(u16),
    /// COM_QUERY of one statement that begins with this: one of no effect takes its place.
    Text(&'static str),
}

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
        let mut hands = Hands::new(mine.loss);
        copy(c, s, |bytes, out| {
            hands.feed(bytes, out);
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

/// One direction of a connection: bytes in any split go in, whole packets come out.
#[derive(Debug)]
struct Hands {
    loss: Loss,
    kept: Vec<u8>,
    stolen: u64,
}

impl Hands {
    const fn new(loss: Loss) -> Self {
        Self {
            loss,
            kept: vec![],
            stolen: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.kept.extend_from_slice(bytes);
        while let Some((len, is_frame)) = next_len(&self.kept) {
            let packet: Vec<u8> = self.kept.drain(..len).collect();
            let changed = match is_frame {
                true => self.frame(&packet),
                false => self.text(&packet),
            };
            self.stolen += u64::from(changed.is_some());
            out.extend_from_slice(changed.as_deref().unwrap_or(&packet));
        }
    }

    /// A MySQL packet whose text is lost, if it is.
    fn text(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let Loss::Text(front) = self.loss else {
            return None;
        };
        let (&[a, b, c, seq], rest) = packet.split_first_chunk::<HEADER_LEN>()?;
        let is_whole = u32::from_le_bytes([a, b, c, 0]) as usize == rest.len();
        let (command, text) = rest.split_first()?;
        let is_one = !text.iter().rev().skip(1).any(|b| *b == b';');
        (is_whole && *command == 3 && is_one && text.starts_with(front.as_bytes()))
            .then(|| framed(&[&[3], NOTHING].concat(), seq))
    }

    /// An OceanBase 2.0 frame without what is lost, if it had it.
    fn frame(&self, frame: &[u8]) -> Option<Vec<u8>> {
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
            Loss::Text(_) => (extra.map(<[u8]>::to_vec), self.text(mysql)?),
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
        let mut whole = vec![];
        let mut hands = Hands::new(loss);
        hands.feed(stream, &mut whole);
        let stolen = hands.stolen;
        let (mut hands, mut bytewise) = (Hands::new(loss), vec![]);
        stream.iter().for_each(|b| hands.feed(&[*b], &mut bytewise));
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
}
