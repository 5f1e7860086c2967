//! Follows one reply: where it ends, and what the log says about it.

use super::frames::{BadFrame, Framing, ReplyFrames};
use super::walk::Walk;
use obring_wire::protocol::mysql::{
    ClientTurn, Command, ErrPacket, OkPacket, Reply, ReplySink, Shape, TRACK_SCHEMA,
    TRACK_VARIABLES, status,
};

/// Bytes of a packet that are looked at: an error's text is shorter.
const FRONT_MAX: usize = 1_024;
/// Status bits stand in an EOF behind its warnings.
const EOF_LEN_MAX: u64 = 9;

/// What a reply said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) errno: u16,
    pub(super) sqlstate: String,
    pub(super) affected: u64,
    pub(super) rows: u64,
    /// Status bits of the last packet that had some.
    pub(super) status: Option<u16>,
    /// The current database, if it was told.
    pub(super) database: Option<String>,
    /// `ob_capability_flag` of a login.
    pub(super) capability: Option<u64>,
    /// The server has asked for more.
    pub(super) turn: Option<ClientTurn>,
}

impl Seen {
    fn ok(&mut self, payload: &[u8]) {
        let Ok(ok) = OkPacket::parse(payload) else {
            return;
        };
        self.status = Some(ok.status);
        self.affected += ok.affected;
        for block in ok.blocks() {
            if block.kind == TRACK_SCHEMA {
                let name = block.schema().map(String::from_utf8_lossy);
                self.database = name.map(Into::into).or_else(|| self.database.take());
            } else if block.kind == TRACK_VARIABLES {
                let flag = block
                    .variables()
                    .find(|(name, _, _)| *name == b"ob_capability_flag");
                let text = flag.and_then(|(_, value, _)| std::str::from_utf8(value).ok());
                self.capability = text.and_then(|t| t.parse().ok()).or(self.capability);
            }
        }
    }
}

impl ReplySink for Seen {
    fn pass(&mut self, _: usize, _: usize) {}

    fn pass_held(&mut self, _: &[u8]) {}

    fn ok(&mut self, _: u8, payload: &[u8]) {
        Self::ok(self, payload);
    }

    fn terminal_ok(&mut self, payload: &[u8]) {
        let affected = self.affected;
        Self::ok(self, payload);
        self.affected = affected;
    }

    fn error(&mut self, code: u16) {
        self.errno = code;
    }

    fn client_turn(&mut self, turn: ClientTurn) {
        self.turn = Some(turn);
    }
}

/// Which part of a result is being read, to count its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Head,
    Columns,
    Rows,
    /// A reply without rows.
    Other,
}

/// One reply.
#[derive(Debug)]
pub(super) struct Follow {
    reply: Reply,
    frames: ReplyFrames,
    walk: Walk,
    part: Part,
    pub(super) seen: Seen,
}

impl Follow {
    pub(super) fn new(framing: Framing, shape: Shape) -> Self {
        let part = match shape.command {
            Command::QUERY | Command::STMT_EXECUTE | Command::PROCESS_INFO => Part::Head,
            Command::STMT_FETCH => Part::Rows,
            _ => Part::Other,
        };
        Self {
            reply: Reply::new(shape),
            frames: ReplyFrames::new(framing),
            walk: Walk::new(FRONT_MAX),
            part,
            seen: Seen::default(),
        }
    }

    /// Reads on. All bytes that come while a reply is not over belong to it.
    pub(super) fn feed(&mut self, raw: &[u8]) -> Result<(), BadFrame> {
        let (reply, seen, walk, part) = (
            &mut self.reply,
            &mut self.seen,
            &mut self.walk,
            &mut self.part,
        );
        let mut wrong = None;
        self.frames.feed(raw, |bytes| {
            let mut rest = bytes;
            let mut used = 0;
            while !rest.is_empty() {
                if let Some(payload) = walk.step(rest, &mut used) {
                    count(part, seen, payload.len, payload.front);
                }
                rest = rest.get(used..).unwrap_or_default();
            }
            match reply.feed(bytes, seen) {
                Ok(n) if n == bytes.len() => {}
                Ok(n) => wrong = Some(format!("{} bytes behind a reply", bytes.len() - n)),
                Err(e) => wrong = Some(e.to_string()),
            }
        })?;
        wrong.map_or(Ok(()), |text| Err(BadFrame(text)))
    }

    /// The last byte was read.
    pub(super) const fn is_done(&self) -> bool {
        self.reply.is_done() && self.frames.is_at_boundary()
    }
}

/// Counts rows and reads errors.
fn count(part: &mut Part, seen: &mut Seen, len: u64, front: &[u8]) {
    let first = front.first().copied();
    let is_eof = first == Some(0xFE) && len < EOF_LEN_MAX;
    if first == Some(0xFF) && *part != Part::Columns {
        if let Ok(e) = ErrPacket::parse(front) {
            seen.sqlstate = String::from_utf8_lossy(e.sqlstate).into_owned();
        }
        if *part == Part::Rows {
            *part = Part::Head;
        }
        return;
    }
    if is_eof && let &[_, _, _, low, high, ..] = front {
        seen.status = Some(u16::from_le_bytes([low, high]));
    }
    match part {
        Part::Head if !is_eof && !matches!(first, Some(0x00 | 0xFB)) => *part = Part::Columns,
        Part::Columns if is_eof => {
            let cursor = seen.status.is_some_and(|s| s & status::CURSOR_EXISTS != 0);
            *part = if cursor { Part::Head } else { Part::Rows };
        }
        Part::Rows if is_eof => *part = Part::Head,
        Part::Rows => seen.rows += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::made::Manner;
    use crate::views::{Refusal, ResultSet};

    fn shape(is_proxy: bool) -> Shape {
        Shape {
            command: Command::QUERY,
            cursor: false,
            proxy_mode: is_proxy,
            statistics_ok: true,
        }
    }

    fn manner(is_proxy: bool) -> Manner {
        Manner {
            seq: 1,
            is_proxy,
            in_transaction: true,
        }
    }

    #[test]
    fn rows_are_counted_and_the_transaction_is_seen() {
        for is_proxy in [false, true] {
            let set = ResultSet {
                columns: vec![("a".into(), true), ("b".into(), false)],
                rows: vec![vec![Some(b"1".to_vec()), None]; 3],
            };
            let bytes = manner(is_proxy).rows(&set);
            for cut in 0..=bytes.len() {
                let mut follow = Follow::new(Framing::Plain, shape(is_proxy));
                follow.feed(&bytes[..cut]).unwrap();
                assert_eq!(follow.is_done(), cut == bytes.len());
                follow.feed(&bytes[cut..]).unwrap();
                assert!(follow.is_done());
                assert_eq!((follow.seen.rows, follow.seen.errno), (3, 0));
                let open = follow.seen.status.unwrap() & status::IN_TRANSACTION;
                assert_eq!(open, 1);
            }
        }
    }

    #[test]
    fn errors_are_read() {
        let bytes = manner(true).error(&Refusal::new(5150, "HY000", "no"));
        let mut follow = Follow::new(Framing::Plain, shape(true));
        follow.feed(&bytes).unwrap();
        assert!(follow.is_done());
        assert_eq!(follow.seen.errno, 5150);
        assert_eq!(follow.seen.sqlstate, "HY000");
        assert!(follow.feed(b"\x01\0\0\x09\0").is_err());
    }
}
