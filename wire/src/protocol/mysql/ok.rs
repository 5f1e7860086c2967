//! OK and ERR packets: the server's form in proxy mode, and the form a direct client gets.

use super::flags::status;
use super::put_packet;
use crate::base::{Cursor, Short, put_lenenc, put_lenenc_bytes};

/// State block type: system variables (and, in proxy mode, user variables).
pub const TRACK_VARIABLES: u8 = 0;
/// State block type: the current database.
pub const TRACK_SCHEMA: u8 = 1;
/// State block type: "some state changed", value `'1'`.
pub const TRACK_STATE: u8 = 2;

/// In a proxy-mode variable block this pair of names separates system from user variables.
const SEPARATOR: &[u8] = b"__NULL";

/// An OK packet in the server's proxy-mode layout. Slices borrow from the packet.
///
/// `00 | affected lenenc | last_insert_id lenenc | status u16 | warnings u16 | message lenstr |
/// [state: lenenc total, blocks]`, the state only with status bit 0x4000. A message that is not
/// empty begins with one blank (observed on seekdb 1.3.0.post5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// Affected rows.
    pub affected: u64,
    /// Last insert id.
    pub last_insert_id: u64,
    /// Status bits.
    pub status: u16,
    /// Number of warnings.
    pub warnings: u16,
    /// Info text as sent, leading blank included.
    pub message: &'a [u8],
    /// State blocks without the total length; empty when there are none.
    pub state: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Reads the payload of an OK packet in proxy-mode layout.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Short> {
        let mut c = Cursor::new(payload);
        if c.u8()? != 0 {
            return Err(Short { at: 0 });
        }
        let affected = c.lenenc()?;
        let last_insert_id = c.lenenc()?;
        let status = c.u16()?;
        let warnings = c.u16()?;
        let message = if c.left() > 0 { c.lenenc_bytes()? } else { &[] };
        let state = if status & status::STATE_CHANGED != 0 && c.left() > 0 {
            // A packet cut at the gathering limit keeps the blocks that are whole.
            let total = c.lenenc()?;
            let n = usize::try_from(total).unwrap_or(usize::MAX).min(c.left());
            c.take(n)?
        } else {
            &[]
        };
        Ok(Self {
            affected,
            last_insert_id,
            status,
            warnings,
            message,
            state,
        })
    }

    /// The state blocks.
    #[must_use]
    pub const fn blocks(&self) -> StateBlocks<'a> {
        StateBlocks(Cursor::new(self.state))
    }

    /// Appends this OK as a direct client gets it.
    ///
    /// Without session tracking: the message without a length byte and with its leading blank,
    /// nothing when empty, no state. With tracking: length-encoded message without the blank, then
    /// one block per system variable, no user variables; both absent when both are empty.
    /// `keep(kind, name)` decides which blocks are shown; the name is that of a system variable,
    /// empty for blocks of other kinds. Observed on seekdb 1.3.0.post5.
    pub fn put_for_client(
        &self,
        out: &mut Vec<u8>,
        seq: u8,
        track: bool,
        mut keep: impl FnMut(u8, &[u8]) -> bool,
    ) {
        put_packet(out, seq, |b| {
            b.push(0);
            put_lenenc(b, self.affected);
            put_lenenc(b, self.last_insert_id);
            let status_at = b.len();
            b.extend_from_slice(&(self.status & !status::STATE_CHANGED).to_le_bytes());
            b.extend_from_slice(&self.warnings.to_le_bytes());
            if !track {
                b.extend_from_slice(self.message);
                return;
            }
            let message = self.message.strip_prefix(b" ").unwrap_or(self.message);
            let total: usize = self.tracked(&mut keep).map(|t| t.len()).sum();
            if total == 0 {
                if !message.is_empty() {
                    put_lenenc_bytes(b, message);
                }
                return;
            }
            let with_state = (self.status | status::STATE_CHANGED).to_le_bytes();
            if let Some(at) = b.get_mut(status_at..status_at + 2) {
                at.copy_from_slice(&with_state);
            }
            put_lenenc_bytes(b, message);
            put_lenenc(b, total as u64);
            for t in self.tracked(&mut keep) {
                t.put(b);
            }
        });
    }

    fn tracked<'k, F: FnMut(u8, &[u8]) -> bool>(
        &self,
        keep: &'k mut F,
    ) -> impl Iterator<Item = Tracked<'a>> + use<'a, 'k, F> {
        let mut blocks = self.blocks();
        let mut variables: Option<Variables<'a>> = None;
        std::iter::from_fn(move || {
            loop {
                if let Some(v) = &mut variables {
                    match v.next() {
                        Some((name, value, false)) if keep(TRACK_VARIABLES, name) => {
                            return Some(Tracked::Variable(name, value));
                        }
                        Some((_, _, false)) => continue,
                        _ => variables = None,
                    }
                }
                let block = blocks.next()?;
                match block.kind {
                    TRACK_VARIABLES => variables = Some(block.variables()),
                    kind if keep(kind, b"") => return Some(Tracked::Other(kind, block.data)),
                    _ => {}
                }
            }
        })
    }
}

/// One block as a direct client sees it.
enum Tracked<'a> {
    Variable(&'a [u8], &'a [u8]),
    Other(u8, &'a [u8]),
}

const fn lenenc_len(v: usize) -> usize {
    match v {
        0..=0xFA => 1,
        0xFB..=0xFFFF => 3,
        0x1_0000..=0xFF_FFFF => 4,
        _ => 9,
    }
}

impl Tracked<'_> {
    const fn data_len(&self) -> usize {
        match self {
            Self::Variable(n, v) => lenenc_len(n.len()) + n.len() + lenenc_len(v.len()) + v.len(),
            Self::Other(_, d) => d.len(),
        }
    }

    const fn len(&self) -> usize {
        1 + lenenc_len(self.data_len()) + self.data_len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Variable(name, value) => {
                out.push(TRACK_VARIABLES);
                put_lenenc(out, self.data_len() as u64);
                put_lenenc_bytes(out, name);
                put_lenenc_bytes(out, value);
            }
            Self::Other(kind, data) => {
                out.push(*kind);
                put_lenenc_bytes(out, data);
            }
        }
    }
}

/// One state block of an OK packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBlock<'a> {
    /// [`TRACK_VARIABLES`], [`TRACK_SCHEMA`], [`TRACK_STATE`] or another.
    pub kind: u8,
    /// Its content.
    pub data: &'a [u8],
}

impl<'a> StateBlock<'a> {
    /// The variables of a [`TRACK_VARIABLES`] block.
    #[must_use]
    pub const fn variables(&self) -> Variables<'a> {
        Variables {
            cursor: Cursor::new(self.data),
            user: false,
        }
    }

    /// The database name of a [`TRACK_SCHEMA`] block.
    #[must_use]
    pub fn schema(&self) -> Option<&'a [u8]> {
        Cursor::new(self.data).lenenc_bytes().ok()
    }
}

/// Iterates over state blocks; stops at the first malformed one.
#[derive(Clone, Debug)]
pub struct StateBlocks<'a>(Cursor<'a>);

impl<'a> Iterator for StateBlocks<'a> {
    type Item = StateBlock<'a>;

    fn next(&mut self) -> Option<StateBlock<'a>> {
        let kind = self.0.u8().ok()?;
        let data = self.0.lenenc_bytes().ok()?;
        Some(StateBlock { kind, data })
    }
}

/// Iterates over `(name, value, is_user_variable)`. The separator pair is not returned. Values of
/// user variables are SQL literals.
#[derive(Clone, Debug)]
pub struct Variables<'a> {
    cursor: Cursor<'a>,
    user: bool,
}

impl<'a> Iterator for Variables<'a> {
    type Item = (&'a [u8], &'a [u8], bool);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let name = self.cursor.lenenc_bytes().ok()?;
            let value = self.cursor.lenenc_bytes().ok()?;
            if !self.user && name == SEPARATOR && value == SEPARATOR {
                self.user = true;
                continue;
            }
            return Some((name, value, self.user));
        }
    }
}

/// An ERR packet: `FF | code u16 | '#' sqlstate[5] | text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// Error number.
    pub code: u16,
    /// SQLSTATE; empty in place of a greeting, where a client does not expect one.
    pub sqlstate: &'a [u8],
    /// Text, in the server's language and the connection's character set.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Reads the payload of an ERR packet.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Short> {
        let mut c = Cursor::new(payload);
        if c.u8()? != 0xFF {
            return Err(Short { at: 0 });
        }
        let code = c.u16()?;
        let rest = c.rest();
        match rest.split_first() {
            Some((b'#', tail)) if tail.len() >= 5 => {
                let (sqlstate, message) = tail.split_at(5);
                Ok(Self {
                    code,
                    sqlstate,
                    message,
                })
            }
            _ => Ok(Self {
                code,
                sqlstate: b"HY000",
                message: rest,
            }),
        }
    }

    /// Appends the packet.
    pub fn put(&self, out: &mut Vec<u8>, seq: u8) {
        put_packet(out, seq, |b| {
            b.push(0xFF);
            b.extend_from_slice(&self.code.to_le_bytes());
            if !self.sqlstate.is_empty() {
                b.push(b'#');
                b.extend_from_slice(self.sqlstate);
            }
            b.extend_from_slice(self.message);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The OK of `set @x='abc', autocommit=0` in proxy mode: variables, separator, user variable,
    /// state flag. Layout observed on seekdb 1.3.0.post5.
    fn proxy_ok(message: &[u8]) -> Vec<u8> {
        let mut vars = vec![];
        for s in [
            &b"autocommit"[..],
            b"OFF",
            b"__NULL",
            b"__NULL",
            b"x",
            b"'abc'",
        ] {
            put_lenenc_bytes(&mut vars, s);
        }
        let mut state = vec![TRACK_VARIABLES];
        put_lenenc_bytes(&mut state, &vars);
        state.extend_from_slice(&[TRACK_STATE, 2, 1, b'1']);
        let mut p = vec![0, 0, 0, 0x20, 0x40, 0, 0];
        put_lenenc_bytes(&mut p, message);
        put_lenenc_bytes(&mut p, &state);
        p
    }

    #[test]
    fn variables_know_on_which_side_of_the_separator_they_stand() {
        let p = proxy_ok(b"");
        let ok = OkPacket::parse(&p).unwrap();
        let blocks: Vec<_> = ok.blocks().collect();
        assert_eq!(blocks.len(), 2);
        let vars: Vec<_> = blocks[0].variables().collect();
        assert_eq!(
            vars,
            [
                (&b"autocommit"[..], &b"OFF"[..], false),
                (b"x", b"'abc'", true)
            ]
        );
        for cut in 0..8 {
            assert!(OkPacket::parse(&p[..cut.min(6)]).is_err());
        }
    }

    #[test]
    fn a_client_gets_what_it_would_get_directly() {
        let p = proxy_ok(b" Rows");
        let ok = OkPacket::parse(&p).unwrap();
        let mut out = vec![];
        ok.put_for_client(&mut out, 7, false, |_, _| true);
        assert_eq!(out, b"\x0c\0\0\x07\0\0\0\x20\0\0\0 Rows");
        out.clear();
        ok.put_for_client(&mut out, 7, true, |_, _| true);
        let mut want = b"\0\0\0\x20\x40\0\0\x04Rows\x15\0\x0f\x0aautocommit\x03OFF".to_vec();
        want.extend_from_slice(&[TRACK_STATE, 2, 1, b'1']);
        assert_eq!(&out[4..], &want[..]);
        // Nothing to say: seven bytes either way.
        let plain = OkPacket::parse(&[0, 0, 0, 0x22, 0, 0, 0, 0]).unwrap();
        for track in [false, true] {
            out.clear();
            plain.put_for_client(&mut out, 1, track, |_, _| true);
            assert_eq!(out, [7, 0, 0, 1, 0, 0, 0, 0x22, 0, 0, 0]);
        }
    }

    #[test]
    fn errors_round_trip_and_old_ones_are_read() {
        let e = ErrPacket {
            code: 1045,
            sqlstate: b"42000",
            message: b"no",
        };
        let mut out = vec![];
        e.put(&mut out, 2);
        assert_eq!(ErrPacket::parse(&out[4..]), Ok(e));
        let old = ErrPacket::parse(b"\xff\x10\x04no").unwrap();
        assert_eq!(
            (old.code, old.sqlstate, old.message),
            (0x410, &b"HY000"[..], &b"no"[..])
        );
    }
}
