//! Follows one reply in plain framing to its exact end.
//!
//! In proxy mode the server ends every result set, error, prepare reply and string reply with one
//! more OK packet (the *terminal OK*) that the client must not see; real OK packets carry session
//! state that the client gets in another layout. Everything else passes unchanged. Rows are never
//! parsed: header and first byte decide. Source: OceanBase wire facts, observed on seekdb
//! 1.3.0.post5.

use super::flags::status;
use super::packet::{HEADER_LEN, MAX_PAYLOAD};
use super::sink::{ClientTurn, ReplySink};
use super::{Command, OkPacket};
use crate::base::Cursor;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Payload bytes that are needed to classify a packet: the 17-byte head of prepare-execute.
const PEEK: usize = 17;
/// Header, status byte and statement id of what answers a prepare.
const PREPARE_HEAD: usize = HEADER_LEN + 5;
/// An OK packet is gathered up to this size; what lies beyond (user variables of a megabyte) is
/// skipped. Header, message and system variables always stand before it.
const OK_GATHER_MAX: usize = 1 << 20;
/// An EOF packet is shorter than this; a longer packet that begins with 0xFE is a row.
const EOF_LEN_MAX: u32 = 9;
/// Payload of an EOF packet: `FE | warnings u16 | status u16`; and where the packet ends.
const EOF_LEN: usize = 5;
const EOF_END: usize = HEADER_LEN + EOF_LEN;

/// What kind of reply a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The request's command.
    pub command: Command,
    /// COM_STMT_EXECUTE asked for a cursor.
    pub cursor: bool,
    /// The connection is in proxy mode: terminal OKs are sent.
    pub proxy_mode: bool,
    /// A terminal OK follows COM_STATISTICS (capability bit 9).
    pub statistics_ok: bool,
    /// The client has said in `__ob_client_name` that it is a driver of OceanBase: rows of OUT
    /// parameters end a reply then, and the OK behind them is for proxies. Observed on seekdb
    /// 1.3.0.post5, for `OceanBase Connector/C` and `/J`.
    pub is_named_driver: bool,
}

/// What stands behind the definitions of a prepared statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Then {
    /// The columns and rows of a result set.
    Columns,
    /// The end.
    End,
    /// The end, and rows wait behind a cursor.
    Cursor,
}

/// What the next packet is.
///
/// ```text
/// First ─┬─ OK ── more results? ── First / Done
///        ├─ ERR ── Terminal
///        ├─ 0xFB (LOCAL INFILE) ── First       0xFE of CHANGE_USER ── First
///        └─ column count ── Columns ─ EOF ─ Rows ─ EOF ─ more results? ─ First / Terminal
/// PrepareHead ── Defs(n) ── Terminal            PrexecHead ── Defs(n) ── Columns ... LastOk
/// Fields ── EOF ── Terminal     Fetch ── EOF ── Terminal     Text ── Terminal     Eof ── Done
/// any but Columns of ERR: ERR ── Terminal ── Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Expect {
    /// First packet of a result.
    First,
    /// Column definitions up to EOF.
    Columns,
    /// Rows up to EOF.
    Rows,
    /// The row of OUT parameters up to EOF; a real OK follows.
    OutParams,
    /// COM_FIELD_LIST: column definitions up to EOF.
    Fields,
    /// COM_STMT_FETCH: rows up to EOF.
    Fetch,
    /// First packet of COM_STMT_PREPARE.
    PrepareHead,
    /// First packet of the private prepare-execute.
    PrexecHead,
    /// This many definition and EOF packets, then what `then` says.
    Defs { left: u32, then: Then },
    /// One string packet.
    Text,
    /// One EOF packet.
    Eof,
    /// The OK that ends a prepare-execute; the client gets it.
    LastOk,
    /// The OK that only proxies see.
    Terminal,
    /// Nothing.
    Done,
}

/// Where the payload bytes of the current packet go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Flow {
    Pass,
    Gather,
    Drop,
}

/// The server sent a packet that cannot stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadReply {
    /// Length of the packet.
    pub len: u32,
    /// Its first byte.
    pub first: Option<u8>,
    /// What was expected, for the log.
    pub expected: &'static str,
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, first) = (self.len, self.first.unwrap_or_default());
        write!(
            f,
            "packet of {len} bytes with first byte {first:#04x} where {} stands",
            self.expected
        )
    }
}

impl std::error::Error for BadReply {}

/// Follows one reply. Plain data; its buffer is in use only while an OK packet is in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    shape: Shape,
    expect: Expect,
    flow: Flow,
    /// Header and first payload bytes of a packet that is not classified yet.
    #[serde(with = "serde_bytes_array")]
    held: [u8; HEADER_LEN + PEEK],
    held_len: u8,
    /// Payload bytes of the classified packet still to come.
    left: u32,
    /// The classified packet has 0xFFFFFF bytes: the next one continues it.
    continued: bool,
    gathered: Vec<u8>,
    /// Sequence number of the packet last classified.
    seq: u8,
    /// Something was passed to the client.
    begun: bool,
    /// Number of the packet after the last one that the client got.
    next_seq: u8,
    /// The head that is being passed gets this statement id.
    renamed: Option<u32>,
    /// The EOF that is being passed gets this status.
    restated: Option<u16>,
    /// A result said that another one follows.
    had_more: bool,
}

/// serde has arrays up to 32 elements built in; this keeps the field a fixed array.
mod serde_bytes_array {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, const N: usize>(
        v: &[u8; N],
        s: S,
    ) -> Result<S::Ok, S::Error> {
        v.as_slice().serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        d: D,
    ) -> Result<[u8; N], D::Error> {
        let v = Vec::<u8>::deserialize(d)?;
        v.try_into()
            .map_err(|_| serde::de::Error::custom("wrong array length"))
    }
}

impl Reply {
    /// A reply that has not begun.
    #[must_use]
    pub const fn new(shape: Shape) -> Self {
        let expect = match shape.command {
            Command::STMT_PREPARE => Expect::PrepareHead,
            Command::STMT_PREPARE_EXECUTE => Expect::PrexecHead,
            Command::FIELD_LIST => Expect::Fields,
            Command::STMT_FETCH => Expect::Fetch,
            Command::STATISTICS => Expect::Text,
            Command::DEBUG | Command::SHUTDOWN => Expect::Eof,
            c if !c.has_reply() => Expect::Done,
            _ => Expect::First,
        };
        Self {
            shape,
            expect,
            flow: Flow::Pass,
            held: [0; HEADER_LEN + PEEK],
            held_len: 0,
            left: 0,
            continued: false,
            gathered: Vec::new(),
            seq: 0,
            begun: false,
            next_seq: 0,
            renamed: None,
            restated: None,
            had_more: false,
        }
    }

    /// True when there was more than one result.
    #[must_use]
    pub const fn had_more(&self) -> bool {
        self.had_more
    }

    /// True when the last byte of the reply was read.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.expect, Expect::Done) && self.left == 0 && !self.continued
    }

    /// True when no byte has been passed to the client.
    #[must_use]
    pub const fn is_unbegun(&self) -> bool {
        !self.begun
    }

    /// True when what was passed to the client ends at a packet boundary: an ERR packet with
    /// number [`Self::next_seq`] may follow.
    #[must_use]
    pub const fn is_at_boundary(&self) -> bool {
        (self.left == 0 || !matches!(self.flow, Flow::Pass)) && !self.continued
    }

    /// True when the client has all of the reply: at most the terminal OK is missing.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.is_done() || matches!(self.expect, Expect::Terminal) && self.is_at_boundary()
    }

    /// Sequence number of the packet after the last one that was passed, or is being passed.
    #[must_use]
    pub const fn next_seq(&self) -> u8 {
        self.next_seq
    }

    /// Reads on. Returns how many bytes of `bytes` belong to this reply: all of them unless the
    /// reply ended.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl ReplySink) -> Result<usize, BadReply> {
        let mut at = 0;
        loop {
            if self.left > 0 {
                at = self.flow(bytes, at, sink);
                if self.left > 0 {
                    return Ok(at);
                }
            }
            if !self.continued && matches!(self.expect, Expect::Done) {
                return Ok(at);
            }
            if at == bytes.len() {
                return Ok(at);
            }
            at = if self.held_len == 0 {
                self.packet(bytes, at, sink)?
            } else {
                self.packet_in_pieces(bytes, at, sink)?
            };
        }
    }

    /// Moves payload bytes of the classified packet.
    fn flow(&mut self, bytes: &[u8], at: usize, sink: &mut impl ReplySink) -> usize {
        let n = (self.left as usize).min(bytes.len() - at);
        let end = at + n;
        self.left -= n as u32;
        match self.flow {
            Flow::Pass => sink.pass(at, end),
            Flow::Drop => {}
            Flow::Gather => {
                let room = OK_GATHER_MAX - self.gathered.len();
                let take = bytes.get(at..at + n.min(room)).unwrap_or_default();
                self.gathered.extend_from_slice(take);
            }
        }
        if self.left == 0 && !self.continued && matches!(self.flow, Flow::Gather) {
            let whole = std::mem::take(&mut self.gathered);
            self.whole_ok(&whole, sink);
        }
        end
    }

    /// A packet whose header stands in the slice.
    fn packet(
        &mut self,
        bytes: &[u8],
        at: usize,
        sink: &mut impl ReplySink,
    ) -> Result<usize, BadReply> {
        let rest = bytes.get(at..).unwrap_or_default();
        let &[a, b, c, seq, ..] = rest else {
            return Ok(self.hold(rest, at));
        };
        let len = u32::from_le_bytes([a, b, c, 0]);
        let body = rest.get(HEADER_LEN..).unwrap_or_default();
        let peek = body.get(..body.len().min(len as usize)).unwrap_or_default();
        if self.needs_more(peek, len) {
            return Ok(self.hold(rest, at));
        }
        self.classify(len, seq, peek, sink)?;
        let mut end = at + HEADER_LEN;
        match self.flow {
            Flow::Pass => {
                // Payload present in the slice joins the header in one range.
                end += peek.len();
                self.left -= peek.len() as u32;
                match self.renamed.take() {
                    None => match self.restated.take() {
                        None => sink.pass(at, end),
                        Some(status) => {
                            let mut eof = [0; EOF_END];
                            if let Some(front) = rest.get(..EOF_END) {
                                eof.copy_from_slice(front);
                            }
                            restate(&mut eof, status);
                            sink.pass_held(&eof);
                        }
                    },
                    Some(id) => {
                        let mut head = [0; PREPARE_HEAD];
                        if let Some(front) = rest.get(..PREPARE_HEAD) {
                            head.copy_from_slice(front);
                        }
                        rename(&mut head, id);
                        sink.pass_held(&head);
                        sink.pass(at + PREPARE_HEAD, end);
                    }
                }
            }
            Flow::Gather if peek.len() == len as usize && !self.continued => {
                end += peek.len();
                self.left = 0;
                self.whole_ok(peek, sink);
            }
            Flow::Gather | Flow::Drop => {}
        }
        Ok(end)
    }

    /// A packet of which some bytes are held.
    fn packet_in_pieces(
        &mut self,
        bytes: &[u8],
        at: usize,
        sink: &mut impl ReplySink,
    ) -> Result<usize, BadReply> {
        let mut at = at;
        loop {
            let have = usize::from(self.held_len);
            let mut held = self.held;
            let &[a, b, c, seq, ..] = &held;
            let len = u32::from_le_bytes([a, b, c, 0]);
            let peek = held.get(HEADER_LEN..have).unwrap_or_default();
            if have >= HEADER_LEN && !self.needs_more(peek, len) {
                self.held_len = 0;
                self.classify(len, seq, peek, sink)?;
                self.left -= peek.len() as u32;
                match self.flow {
                    Flow::Pass => {
                        if let Some(id) = self.renamed.take() {
                            rename(&mut held, id);
                        }
                        if let Some(status) = self.restated.take() {
                            restate(&mut held, status);
                        }
                        sink.pass_held(held.get(..have).unwrap_or_default());
                    }
                    Flow::Drop => {}
                    Flow::Gather => {
                        self.gathered.extend_from_slice(peek);
                        if self.left == 0 && !self.continued {
                            let whole = std::mem::take(&mut self.gathered);
                            self.whole_ok(&whole, sink);
                        }
                    }
                }
                return Ok(at);
            }
            let Some(&byte) = bytes.get(at) else {
                return Ok(at);
            };
            if let Some(slot) = self.held.get_mut(have) {
                *slot = byte;
                self.held_len += 1;
            }
            at += 1;
        }
    }

    fn hold(&mut self, rest: &[u8], at: usize) -> usize {
        if let Some(to) = self.held.get_mut(..rest.len()) {
            to.copy_from_slice(rest);
            self.held_len = rest.len() as u8;
        }
        at + rest.len()
    }

    /// True when `peek`, the known front of a payload of `len` bytes, does not suffice.
    fn needs_more(&self, peek: &[u8], len: u32) -> bool {
        if self.continued || len == 0 {
            return false;
        }
        let Some(&first) = peek.first() else {
            return true;
        };
        let want = match (first, self.expect) {
            (0xFE, _) if len < EOF_LEN_MAX => len as usize,
            (0xFF, _) => 3,
            (_, Expect::PrepareHead) => 12,
            (_, Expect::PrexecHead) => PEEK,
            _ => 1,
        };
        peek.len() < want.min(len as usize)
    }

    /// Decides what a packet is and where its bytes go, and what follows it.
    /// A packet that cannot stand there changes nothing: the client is still at a boundary.
    fn classify(
        &mut self,
        len: u32,
        seq: u8,
        peek: &[u8],
        sink: &mut impl ReplySink,
    ) -> Result<(), BadReply> {
        let seq_before = self.seq;
        self.place(len, seq, peek, sink).inspect_err(|_| {
            (self.seq, self.left, self.continued) = (seq_before, 0, false);
        })
    }

    fn place(
        &mut self,
        len: u32,
        seq: u8,
        peek: &[u8],
        sink: &mut impl ReplySink,
    ) -> Result<(), BadReply> {
        let continues = std::mem::replace(&mut self.continued, len as usize == MAX_PAYLOAD);
        self.left = len;
        self.seq = seq;
        if continues {
            // Never classified: goes where the packet it continues went.
            if matches!(self.flow, Flow::Gather) && len == 0 {
                let whole = std::mem::take(&mut self.gathered);
                self.whole_ok(&whole, sink);
            } else if matches!(self.flow, Flow::Pass) {
                self.next_seq = seq.wrapping_add(1);
            }
            return Ok(());
        }
        self.flow = Flow::Pass;
        let first = peek.first().copied();
        let is_eof = first == Some(0xFE) && len < EOF_LEN_MAX;
        if first == Some(0xFF) && !matches!(self.expect, Expect::Terminal | Expect::Done) {
            let mut c = Cursor::new(peek);
            let code = c.u8().and_then(|_| c.u16()).unwrap_or_default();
            self.terminal();
            if !self.begun && sink.withholds(code) {
                self.flow = Flow::Drop;
                return Ok(());
            }
            sink.error(code);
            self.passes();
            return Ok(());
        }
        let bad = |expected| {
            Err(BadReply {
                len,
                first,
                expected,
            })
        };
        match self.expect {
            Expect::First => match first {
                Some(0x00) => {
                    self.flow = Flow::Gather;
                    self.expect = Expect::Done;
                    return Ok(());
                }
                Some(0xFB) => sink.client_turn(ClientTurn::Infile),
                Some(0xFE) if self.shape.command == Command::CHANGE_USER => {
                    sink.client_turn(ClientTurn::AuthAnswer);
                }
                Some(_) if !is_eof => self.expect = Expect::Columns,
                _ => return bad("the first packet of a result"),
            },
            Expect::Columns if is_eof => {
                let cursor = self.shape.cursor && eof_status(peek) & status::CURSOR_EXISTS != 0;
                if cursor {
                    sink.cursor_opened();
                    self.terminal();
                } else if eof_status(peek) & status::PS_OUT_PARAMS != 0 {
                    self.expect = Expect::OutParams;
                } else {
                    self.expect = Expect::Rows;
                }
            }
            Expect::Rows if is_eof => {
                if eof_status(peek) & status::MORE_RESULTS != 0 {
                    self.had_more = true;
                    self.expect = Expect::First;
                } else if self.shape.command == Command::STMT_PREPARE_EXECUTE {
                    // As many rows as were asked for; the others wait.
                    let cursor = status::CURSOR_EXISTS | status::LAST_ROW_SENT;
                    if eof_status(peek) & cursor == status::CURSOR_EXISTS {
                        sink.cursor_opened();
                    }
                    self.expect = Expect::LastOk;
                } else {
                    self.terminal();
                }
            }
            Expect::OutParams if is_eof && self.shape.is_named_driver => self.terminal(),
            Expect::OutParams if is_eof => self.expect = Expect::First,
            Expect::Fields | Expect::Fetch if is_eof => {
                if eof_status(peek) & status::LAST_ROW_SENT != 0 {
                    sink.cursor_ended();
                }
                self.terminal();
            }
            Expect::Columns | Expect::Rows | Expect::OutParams | Expect::Fields | Expect::Fetch => {
            }
            Expect::PrepareHead => {
                match prepare_head(peek) {
                    Some(0) => self.terminal(),
                    Some(left) => {
                        self.expect = Expect::Defs {
                            left,
                            then: Then::End,
                        }
                    }
                    None => return bad("a prepare reply"),
                }
                self.renames(peek, sink);
            }
            Expect::PrexecHead => {
                match prexec_head(peek) {
                    Some((0, Then::Columns)) => self.expect = Expect::Columns,
                    Some((0, _)) => self.expect = Expect::LastOk,
                    Some((left, then)) => self.expect = Expect::Defs { left, then },
                    None => return bad("a prepare-execute reply"),
                }
                self.renames(peek, sink);
            }
            Expect::Defs { left: 2.., .. } => {
                self.restates(peek, is_eof, sink);
                if let Expect::Defs { left, .. } = &mut self.expect {
                    *left -= 1;
                }
            }
            Expect::Defs { then, .. } => match then {
                Then::Columns => self.expect = Expect::Columns,
                Then::End if self.shape.command == Command::STMT_PREPARE => {
                    self.restates(peek, is_eof, sink);
                    self.terminal();
                }
                Then::End => self.expect = Expect::LastOk,
                Then::Cursor => {
                    sink.cursor_opened();
                    self.expect = Expect::LastOk;
                }
            },
            Expect::Text => {
                self.expect = Expect::Done;
                if self.shape.statistics_ok {
                    self.terminal();
                }
            }
            Expect::Eof if is_eof => self.expect = Expect::Done,
            Expect::Eof | Expect::LastOk if first == Some(0) => {
                self.flow = Flow::Gather;
                self.expect = Expect::Done;
                return Ok(());
            }
            Expect::Eof => return bad("an EOF"),
            Expect::LastOk => return bad("the OK of a prepare-execute"),
            Expect::Terminal if first == Some(0) => {
                // `whole_ok` looks at `expect` to tell a terminal OK from a real one.
                self.flow = Flow::Gather;
                return Ok(());
            }
            Expect::Terminal => return bad("the terminal OK"),
            Expect::Done => return bad("nothing"),
        }
        self.passes();
        Ok(())
    }

    /// The head of a prepared statement: which id the client gets.
    fn renames(&mut self, head: &[u8], sink: &mut impl ReplySink) {
        let mut c = Cursor::new(head);
        let Ok((id, params)) = c.u8().and_then(|_| {
            let id = c.u32()?;
            c.u16()?;
            Ok((id, c.u16()?))
        }) else {
            return;
        };
        let new = sink.prepared(id, params);
        self.renamed = (new != id).then_some(new);
    }

    /// An EOF behind parameters or columns: which status the client gets.
    fn restates(&mut self, peek: &[u8], is_eof: bool, sink: &mut impl ReplySink) {
        if is_eof && peek.len() == EOF_LEN && self.shape.command == Command::STMT_PREPARE {
            let old = eof_status(peek);
            let new = sink.prepare_status(old);
            self.restated = (new != old).then_some(new);
        }
    }

    /// The packet that was just classified goes to the client.
    const fn passes(&mut self) {
        self.begun = true;
        self.next_seq = self.seq.wrapping_add(1);
    }

    fn terminal(&mut self) {
        self.expect = if self.shape.proxy_mode {
            Expect::Terminal
        } else {
            Expect::Done
        };
    }

    fn whole_ok(&mut self, payload: &[u8], sink: &mut impl ReplySink) {
        if matches!(self.expect, Expect::Terminal) {
            self.expect = Expect::Done;
            sink.terminal_ok(payload);
            return;
        }
        self.passes();
        let more = OkPacket::parse(payload).is_ok_and(|ok| ok.status & status::MORE_RESULTS != 0);
        self.had_more |= more;
        self.expect = if more { Expect::First } else { Expect::Done };
        sink.ok(self.seq, payload);
    }
}

/// Puts a status into an EOF packet.
fn restate(packet: &mut [u8], status: u16) {
    if let Some(place) = packet.get_mut(EOF_END - 2..EOF_END) {
        place.copy_from_slice(&status.to_le_bytes());
    }
}

/// Puts a statement id into a head: header, `00`, id.
fn rename(head: &mut [u8], id: u32) {
    if let Some(place) = head.get_mut(HEADER_LEN + 1..PREPARE_HEAD) {
        place.copy_from_slice(&id.to_le_bytes());
    }
}

/// Status of an EOF packet: `FE | warnings u16 | status u16`.
fn eof_status(payload: &[u8]) -> u16 {
    match payload {
        &[_, _, _, a, b, ..] => u16::from_le_bytes([a, b]),
        _ => 0,
    }
}

/// Definition and EOF packets that follow a prepare-OK: `00 | id u32 | columns u16 | params u16 |
/// 00 | warnings u16`.
fn prepare_head(payload: &[u8]) -> Option<u32> {
    let mut c = Cursor::new(payload);
    if c.u8().ok()? != 0 {
        return None;
    }
    c.u32().ok()?;
    let columns = u32::from(c.u16().ok()?);
    let params = u32::from(c.u16().ok()?);
    let with_eof = |n| if n == 0 { 0 } else { n + 1 };
    Some(with_eof(params) + with_eof(columns))
}

/// The 17-byte head of prepare-execute: prepare-OK, extend flag u32, has-result-set u8. Returns
/// how many definition and EOF packets follow and what is behind them. Columns without a result set
/// are those of a cursor of which no row was asked for (observed on seekdb 1.3.0.post5).
fn prexec_head(payload: &[u8]) -> Option<(u32, Then)> {
    let mut c = Cursor::new(payload);
    if c.u8().ok()? != 0 {
        return None;
    }
    c.take(4).ok()?;
    let columns = c.u16().ok()?;
    let params = c.u16().ok()?;
    c.take(7).ok()?;
    let has_result = c.u8().ok()? == 1;
    let with_eof = |n: u16| if n == 0 { 0 } else { u32::from(n) + 1 };
    Some(match (has_result, columns) {
        (true, _) => (with_eof(params), Then::Columns),
        (false, 0) => (with_eof(params), Then::End),
        (false, _) => (with_eof(params) + with_eof(columns), Then::Cursor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mysql::put_packet;

    /// What the client gets, and the ids that the server gave.
    #[derive(Default)]
    struct Renaming {
        slice: Vec<u8>,
        out: Vec<u8>,
        seen: Vec<(u32, u16)>,
    }

    impl ReplySink for Renaming {
        fn pass(&mut self, start: usize, end: usize) {
            let bytes = self.slice[start..end].to_vec();
            self.out.extend_from_slice(&bytes);
        }
        fn pass_held(&mut self, bytes: &[u8]) {
            self.out.extend_from_slice(bytes);
        }
        fn ok(&mut self, _: u8, _: &[u8]) {}
        fn terminal_ok(&mut self, _: &[u8]) {}
        fn error(&mut self, _: u16) {}
        fn client_turn(&mut self, _: ClientTurn) {}
        fn prepared(&mut self, id: u32, params: u16) -> u32 {
            self.seen.push((id, params));
            id + 0x0102_0304
        }
    }

    #[test]
    fn a_statement_gets_the_clients_id_wherever_the_reply_is_split() {
        for command in [Command::STMT_PREPARE, Command::STMT_PREPARE_EXECUTE] {
            let mut head = vec![0, 7, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
            if command == Command::STMT_PREPARE_EXECUTE {
                head.extend_from_slice(&[0; 5]);
            }
            let mut bytes = vec![];
            put_packet(&mut bytes, 1, |b| b.extend_from_slice(&head));
            put_packet(&mut bytes, 2, |b| b.extend_from_slice(b"\x03def"));
            let end = bytes.len();
            let mut want = bytes.clone();
            want[5..9].copy_from_slice(&0x0102_030B_u32.to_le_bytes());
            for cut in 0..=end {
                let shape = Shape {
                    command,
                    cursor: false,
                    proxy_mode: true,
                    statistics_ok: false,
                    is_named_driver: false,
                };
                let (mut reply, mut sink) = (Reply::new(shape), Renaming::default());
                for part in [&bytes[..cut], &bytes[cut..]] {
                    sink.slice = part.to_vec();
                    assert_eq!(reply.feed(part, &mut sink), Ok(part.len()));
                }
                assert_eq!(sink.out, want, "cut at {cut}");
                assert_eq!(sink.seen, [(7, 1)]);
            }
        }
    }
}
