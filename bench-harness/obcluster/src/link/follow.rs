//! Follows one reply: where it ends, and what the log says about it.

use super::frames::{BadFrame, ReplyFrames, Wire};
use super::walk::Walk;
use crate::shadow::Told;
use obring_wire::protocol::mysql::{
    ClientTurn, Command, ErrPacket, OkPacket, Reply, ReplySink, Shape, TRACK_SCHEMA,
    TRACK_VARIABLES, status,
};
use obring_wire::protocol::ob20::flag;

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
    /// What was told of the session, to a proxy.
    pub(super) told: Box<Told>,
    /// `ob_capability_flag` of a login.
    pub(super) capability: Option<u64>,
    /// Number and parameters of a statement that was prepared.
    pub(super) prepared: Option<(u32, u16)>,
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
        self.told.ok(&ok);
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

/// Which part of a result is being read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Head,
    Columns,
    Rows,
    /// The first packet of a prepare.
    Prepare,
    /// A reply without rows.
    Other,
}

/// Counts the rows of a reply, and reads its errors.
#[derive(Debug)]
pub(super) struct RowCount {
    walk: Walk,
    part: Part,
    rows: u64,
    /// Status bits of the last EOF.
    status: Option<u16>,
    sqlstate: String,
    /// Number and parameters of a prepared statement.
    prepared: Option<(u32, u16)>,
}

impl Default for RowCount {
    /// Of a result set.
    fn default() -> Self {
        Self::of(Command::QUERY)
    }
}

impl RowCount {
    fn of(command: Command) -> Self {
        let part = match command {
            Command::QUERY | Command::STMT_EXECUTE | Command::PROCESS_INFO => Part::Head,
            Command::STMT_FETCH => Part::Rows,
            Command::STMT_PREPARE | Command::STMT_PREPARE_EXECUTE => Part::Prepare,
            _ => Part::Other,
        };
        Self {
            walk: Walk::new(FRONT_MAX),
            part,
            rows: 0,
            status: None,
            sqlstate: String::new(),
            prepared: None,
        }
    }

    /// Reads on to the end of the next packet, or of the bytes; `at` is raised by what was read.
    /// The number of the packet that is whole.
    pub(super) fn next(&mut self, bytes: &[u8], at: &mut usize) -> Option<u8> {
        let mut used = 0;
        let rest = bytes.get(*at..).unwrap_or_default();
        let payload = self.walk.step(rest, &mut used);
        *at += used;
        let payload = payload?;
        let front = payload.front;
        let first = front.first().copied();
        let is_eof = first == Some(0xFE) && payload.len < EOF_LEN_MAX;
        if first == Some(0xFF) && self.part != Part::Columns {
            if let Ok(e) = ErrPacket::parse(front) {
                self.sqlstate = String::from_utf8_lossy(e.sqlstate).into_owned();
            }
            if self.part == Part::Rows {
                self.part = Part::Head;
            }
            return Some(payload.seq);
        }
        if is_eof && let &[_, _, _, low, high, ..] = front {
            self.status = Some(u16::from_le_bytes([low, high]));
        }
        let is_cursor = self.status.is_some_and(|s| s & status::CURSOR_EXISTS != 0);
        match self.part {
            Part::Head if !is_eof && !matches!(first, Some(0x00 | 0xFB)) => {
                self.part = Part::Columns;
            }
            Part::Columns if is_eof && is_cursor => self.part = Part::Head,
            Part::Columns if is_eof => self.part = Part::Rows,
            Part::Rows if is_eof => self.part = Part::Head,
            Part::Rows => self.rows += 1,
            Part::Prepare => {
                if let &[0, a, b, c, d, _, _, low, high, ..] = front {
                    let number = u32::from_le_bytes([a, b, c, d]);
                    self.prepared = Some((number, u16::from_le_bytes([low, high])));
                }
                self.part = Part::Other;
            }
            _ => {}
        }
        Some(payload.seq)
    }

    /// True between rows, when this many or more have come.
    pub(super) fn is_at_row(&self, rows: u64) -> bool {
        self.part == Part::Rows && self.rows >= rows
    }
}

/// One reply.
#[derive(Debug)]
pub(super) struct Follow {
    reply: Reply,
    frames: ReplyFrames,
    count: RowCount,
    /// The MySQL bytes, where they are kept.
    pub(super) held: Option<Vec<u8>>,
    pub(super) seen: Seen,
}

impl Follow {
    pub(super) fn new(wire: Wire, shape: Shape) -> Self {
        Self {
            reply: Reply::new(shape),
            frames: ReplyFrames::new(wire),
            count: RowCount::of(shape.command),
            held: None,
            seen: Seen::default(),
        }
    }

    /// Reads on. All bytes that come while a reply is not over belong to it.
    pub(super) fn feed(&mut self, raw: &[u8]) -> Result<(), BadFrame> {
        let (reply, seen, count, held) = (
            &mut self.reply,
            &mut self.seen,
            &mut self.count,
            &mut self.held,
        );
        let mut wrong = None;
        self.frames.feed(raw, |bytes| {
            let mut at = 0;
            while at < bytes.len() {
                let _ = count.next(bytes, &mut at);
            }
            if let Some(held) = held {
                held.extend_from_slice(bytes);
            }
            // An EOF is the last to speak where there is no OK behind it.
            seen.status = count.status.take().or(seen.status);
            seen.rows = count.rows;
            seen.prepared = count.prepared;
            match reply.feed(bytes, seen) {
                Ok(n) if n == bytes.len() => {}
                Ok(n) => wrong = Some(format!("{} bytes behind a reply", bytes.len() - n)),
                Err(e) => wrong = Some(e.to_string()),
            }
        })?;
        self.seen.sqlstate.clone_from(&self.count.sqlstate);
        if self.is_done() {
            let told = &mut self.seen.told;
            told.beside = std::mem::take(&mut self.frames.beside);
            told.statement = self.count.prepared.map(|(number, _)| number);
            told.is_error = self.seen.errno != 0;
            told.is_free = self.frames.flags & flag::INTERNAL_ROUTING != 0;
            let open = |bits: u16| bits & status::IN_TRANSACTION != 0;
            told.in_transaction = self.seen.status.map(open);
        }
        wrong.map_or(Ok(()), |text| Err(BadFrame(text)))
    }

    /// The last byte was read.
    pub(super) const fn is_done(&self) -> bool {
        self.reply.is_done() && self.frames.is_over()
    }

    /// The client has sent what it was asked for.
    pub(super) const fn turn(&mut self) {
        self.frames.turn();
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
            is_named_driver: false,
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
                let mut follow = Follow::new(Wire::default(), shape(is_proxy));
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
        let mut follow = Follow::new(Wire::default(), shape(true));
        follow.feed(&bytes).unwrap();
        assert!(follow.is_done());
        assert_eq!(follow.seen.errno, 5150);
        assert_eq!(follow.seen.sqlstate, "HY000");
        assert!(follow.feed(b"\x01\0\0\x09\0").is_err());
    }
}
