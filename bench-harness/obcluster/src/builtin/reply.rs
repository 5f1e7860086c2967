//! The packets of a reply. Layouts as observed on seekdb 1.3.0.post5.

use super::table::{Column, LONG, LONGLONG, Value};
use obring_wire::base::{put_lenenc, put_lenenc_bytes};
use obring_wire::protocol::mysql::{
    ErrPacket, TRACK_SCHEMA, TRACK_STATE, TRACK_VARIABLES, put_packet, status,
};

/// Stands between system and user variables.
const SEPARATOR: &[u8] = b"__NULL";
/// The content of the block that says that something has changed.
const CHANGED: &[u8] = &[1, b'1'];

/// An error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) code: u16,
    pub(super) sqlstate: &'static str,
    pub(super) text: String,
}

impl Failure {
    pub(super) fn new(code: u16, sqlstate: &'static str, text: impl Into<String>) -> Self {
        Self {
            code,
            sqlstate,
            text: text.into(),
        }
    }

    /// A statement that the engine does not know.
    pub(super) fn unsupported() -> Self {
        Self::new(1235, "0A000", "builtin engine: statement not supported")
    }
}

/// A column of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Definition {
    pub(super) database: String,
    /// The table as the statement calls it, and as it is called.
    pub(super) table: String,
    pub(super) org_table: String,
    /// The column as the statement shows it, and as it is called.
    pub(super) name: Vec<u8>,
    pub(super) org_name: String,
    pub(super) kind: u8,
    pub(super) charset: u16,
    pub(super) length: u32,
    pub(super) flags: u16,
    pub(super) decimals: u8,
}

impl Definition {
    /// A value that belongs to no table.
    pub(super) fn computed(name: &[u8], kind: u8, charset: u16, length: u32, flags: u16) -> Self {
        Self {
            database: String::new(),
            table: String::new(),
            org_table: String::new(),
            name: name.to_vec(),
            org_name: String::new(),
            kind,
            charset,
            length,
            flags,
            decimals: 0,
        }
    }

    /// A column of a table.
    pub(super) fn of(database: &str, table: &str, alias: Option<&str>, column: &Column) -> Self {
        Self {
            database: database.into(),
            table: alias.unwrap_or(table).into(),
            org_table: table.into(),
            name: column.name.into(),
            org_name: column.name.into(),
            kind: column.kind,
            charset: column.charset,
            length: column.length,
            flags: column.flags,
            decimals: 0,
        }
    }

    pub(super) fn put(&self, b: &mut Vec<u8>) {
        put_lenenc_bytes(b, b"def");
        put_lenenc_bytes(b, self.database.as_bytes());
        put_lenenc_bytes(b, self.table.as_bytes());
        put_lenenc_bytes(b, self.org_table.as_bytes());
        put_lenenc_bytes(b, &self.name);
        put_lenenc_bytes(b, self.org_name.as_bytes());
        b.push(12);
        b.extend_from_slice(&self.charset.to_le_bytes());
        b.extend_from_slice(&self.length.to_le_bytes());
        b.push(self.kind);
        b.extend_from_slice(&self.flags.to_le_bytes());
        b.extend_from_slice(&[self.decimals, 0, 0]);
    }
}

/// What the next OK says of the session.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    system: Vec<(&'static str, String)>,
    /// Values are literals.
    user: Vec<(String, Vec<u8>)>,
    schema: Option<String>,
    /// Something has changed, or was set to what it was.
    pub(super) is_any: bool,
}

impl Changes {
    pub(super) fn system(&mut self, name: &'static str, value: impl Into<String>) {
        self.is_any = true;
        self.system.retain(|(n, _)| *n != name);
        self.system.push((name, value.into()));
    }

    pub(super) fn user(&mut self, name: &str, value: Vec<u8>) {
        self.is_any = true;
        self.user.retain(|(n, _)| n != name);
        self.user.push((name.into(), value));
    }

    pub(super) fn schema(&mut self, name: &str) {
        self.is_any = true;
        self.schema = Some(name.into());
    }

    /// The blocks as a proxy gets them, or as a direct client that tracks its session does.
    fn blocks(&self, is_proxy: bool) -> Vec<u8> {
        let mut out = vec![];
        let mut pairs = vec![];
        for (name, value) in &self.system {
            put_lenenc_bytes(&mut pairs, name.as_bytes());
            put_lenenc_bytes(&mut pairs, value.as_bytes());
            if !is_proxy {
                out.push(TRACK_VARIABLES);
                put_lenenc_bytes(&mut out, &pairs);
                pairs.clear();
            }
        }
        if is_proxy && !self.user.is_empty() {
            put_lenenc_bytes(&mut pairs, SEPARATOR);
            put_lenenc_bytes(&mut pairs, SEPARATOR);
            for (name, value) in &self.user {
                put_lenenc_bytes(&mut pairs, name.as_bytes());
                put_lenenc_bytes(&mut pairs, value);
            }
        }
        if !pairs.is_empty() {
            out.push(TRACK_VARIABLES);
            put_lenenc_bytes(&mut out, &pairs);
        }
        if let Some(schema) = &self.schema {
            let mut name = vec![];
            put_lenenc_bytes(&mut name, schema.as_bytes());
            out.push(TRACK_SCHEMA);
            put_lenenc_bytes(&mut out, &name);
        }
        out.push(TRACK_STATE);
        put_lenenc_bytes(&mut out, CHANGED);
        out
    }
}

/// An OK that a statement ends with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Done {
    pub(super) affected: u64,
    pub(super) insert_id: u64,
    pub(super) warnings: u16,
    /// Without the blank in front.
    pub(super) message: String,
}

/// Whom a reply is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Reader {
    pub(super) is_proxy: bool,
    /// A direct client that tracks its session.
    pub(super) tracks: bool,
}

/// A reply that is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Packets {
    /// MySQL packets that were not framed yet.
    pub(super) bytes: Vec<u8>,
    /// Number of the next packet.
    pub(super) seq: u8,
    pub(super) reader: Reader,
}

impl Packets {
    pub(super) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        put_packet(&mut self.bytes, self.seq, write);
        self.seq = self.seq.wrapping_add(1);
    }

    pub(super) fn error(&mut self, failure: &Failure) {
        ErrPacket {
            code: failure.code,
            sqlstate: failure.sqlstate.as_bytes(),
            message: failure.text.as_bytes(),
        }
        .put(&mut self.bytes, self.seq);
        self.seq = self.seq.wrapping_add(1);
    }

    pub(super) fn eof(&mut self, bits: u16) {
        let [low, high] = bits.to_le_bytes();
        self.put(|b| b.extend_from_slice(&[0xFE, 0, 0, low, high]));
    }

    /// An OK; `changes` go with it where there are any.
    pub(super) fn ok(&mut self, done: &Done, bits: u16, changes: Option<Changes>) {
        let Reader { is_proxy, tracks } = self.reader;
        let changes = changes.filter(|c| c.is_any && (is_proxy || tracks));
        let changed = if changes.is_some() {
            status::STATE_CHANGED
        } else {
            0
        };
        self.put(|b| {
            b.push(0);
            put_lenenc(b, done.affected);
            put_lenenc(b, done.insert_id);
            b.extend_from_slice(&(bits | changed).to_le_bytes());
            b.extend_from_slice(&done.warnings.to_le_bytes());
            let message = done.message.as_bytes();
            let has_message = !message.is_empty();
            if is_proxy {
                put_lenenc(b, (message.len() + usize::from(has_message)) as u64);
            } else if tracks && (has_message || changes.is_some()) {
                put_lenenc(b, message.len() as u64);
            }
            if has_message && (is_proxy || !tracks) {
                b.push(b' ');
            }
            b.extend_from_slice(message);
            if let Some(changes) = changes {
                put_lenenc_bytes(b, &changes.blocks(is_proxy));
            }
        });
    }

    /// Column count, definitions and EOF.
    pub(super) fn columns(&mut self, columns: &[Definition], bits: u16) {
        self.put(|b| put_lenenc(b, columns.len() as u64));
        self.definitions(columns, bits);
    }

    /// Definitions and EOF.
    pub(super) fn definitions(&mut self, columns: &[Definition], bits: u16) {
        for column in columns {
            self.put(|b| column.put(b));
        }
        self.eof(bits);
    }

    /// A row of a text result.
    pub(super) fn text_row<'v>(&mut self, values: impl IntoIterator<Item = &'v Value>) {
        self.put(|b| {
            for value in values {
                match value {
                    Value::Null => b.push(0xFB),
                    Value::Int(n) => put_int(b, *n),
                    Value::Text(text) => put_lenenc_bytes(b, text),
                }
            }
        });
    }

    /// A row of a binary result.
    pub(super) fn binary_row(&mut self, columns: &[Definition], values: &[Value]) {
        self.put(|b| {
            b.push(0);
            let nulls = b.len();
            b.resize(nulls + (values.len() + 9) / 8, 0);
            for (n, (column, value)) in columns.iter().zip(values).enumerate() {
                match (value, column.kind) {
                    (Value::Null, _) => {
                        if let Some(byte) = b.get_mut(nulls + (n + 2) / 8) {
                            *byte |= 1 << ((n + 2) % 8);
                        }
                    }
                    (Value::Int(n), LONGLONG) => b.extend_from_slice(&n.to_le_bytes()),
                    (Value::Int(n), LONG) => b.extend_from_slice(&(*n as i32).to_le_bytes()),
                    (Value::Int(n), _) => put_int(b, *n),
                    (Value::Text(text), _) => put_lenenc_bytes(b, text),
                }
            }
        });
    }
}

fn put_int(b: &mut Vec<u8>, n: i64) {
    // Twenty digits are the most.
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = n.unsigned_abs();
    loop {
        at -= 1;
        if let Some(place) = digits.get_mut(at) {
            *place = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let digits = digits.get(at..).unwrap_or_default();
    b.push((digits.len() + usize::from(n < 0)) as u8);
    if n < 0 {
        b.push(b'-');
    }
    b.extend_from_slice(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_in_decimal() {
        for n in [0, 7, -7, 1_234_567, i64::MAX, i64::MIN] {
            let mut b = vec![];
            put_int(&mut b, n);
            assert_eq!(b[0] as usize, b.len() - 1);
            assert_eq!(std::str::from_utf8(&b[1..]).unwrap(), n.to_string());
        }
    }

    #[test]
    fn an_ok_has_the_form_of_its_reader() {
        let done = Done {
            affected: 1,
            message: "Rows".into(),
            ..Done::default()
        };
        let of = |is_proxy, tracks| {
            let mut p = Packets {
                reader: Reader { is_proxy, tracks },
                ..Packets::default()
            };
            p.ok(&done, 0x22, None);
            p.bytes[4..].to_vec()
        };
        assert_eq!(of(true, false), b"\0\x01\0\x22\0\0\0\x05 Rows");
        assert_eq!(of(false, false), b"\0\x01\0\x22\0\0\0 Rows");
        assert_eq!(of(false, true), b"\0\x01\0\x22\0\0\0\x04Rows");
    }

    #[test]
    fn user_variables_stand_behind_the_system_variables() {
        let mut changes = Changes::default();
        changes.system("autocommit", "OFF");
        changes.user("x", b"'abc'".to_vec());
        let want = b"\0\x25\x0aautocommit\x03OFF\x06__NULL\x06__NULL\x01x\x05'abc'\x02\x02\x011";
        assert_eq!(changes.blocks(true), want);
        let direct = b"\0\x0f\x0aautocommit\x03OFF\x02\x02\x011";
        assert_eq!(changes.blocks(false), direct);
    }
}
