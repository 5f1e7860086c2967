//! Prepared statements: what the client has under which id, and which link has what of it. Pure
//! data.
//!
//! A client's ids are the session's own. A link gets a statement when it first runs there; its
//! server counts its own ids. A statement whose text could not be kept is on one link only, and the
//! session stays there (`pin.rs`).

use super::outline::Outline;
use crate::base::LinkId;
use crate::partition::{TextCharset, Value};
use crate::protocol::mysql::{HEADER_LEN, PrepareExecute};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::ops::Range;

/// Bytes of texts and parameter types that are kept of one session.
const BYTES_MAX: usize = 4 << 20;
/// What a statement costs besides.
const STATEMENT_BYTES: usize = 128;
/// No server has a statement with this id: its answer is the one for an unknown statement.
pub(super) const NO_STATEMENT: u32 = 0x7FFF_FFFF;
/// Ids from here on are those of cursors that a server made: they mean the same to a client.
const CURSOR_IDS: u32 = 1 << 31;
/// Default of a server's `open_cursors`: statements that one connection has open at a time. From
/// here on a link gets all statements of a session before it prepares another, so that the limit is
/// met where a direct connection would meet it.
const OPEN_USUAL: usize = 50;
/// Command, statement id, cursor type, number of iterations: what stands in front of the bitmap of
/// an EXECUTE.
const EXECUTE_FRONT: usize = HEADER_LEN + 10;

/// A statement that a client has prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statement {
    id: u32,
    /// Empty if it could not be kept.
    pub(super) text: Box<[u8]>,
    /// What running it means for the session.
    pub(super) outline: Outline,
    params: u16,
    /// Types of the parameters as they were sent last, two bytes each.
    types: Box<[u8]>,
    /// How often they have changed; 0: never sent.
    bound: u32,
    /// The link where it had its last cursor, or was sent a piece of a parameter.
    pub(super) cursor: Option<LinkId>,
    /// Not all rows of the cursor were sent.
    pub(super) has_rows: bool,
    /// Parameters were sent ahead of the next EXECUTE.
    pub(super) has_long_data: bool,
}

/// The statements of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Statements {
    /// In the order of their ids.
    list: Vec<Statement>,
    last_id: u32,
    bytes: usize,
    /// The client has prepared something, perhaps before the session began anew.
    is_used: bool,
    /// Some ask for what the statement before has left.
    look_back: bool,
}

/// A statement that a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    id: u32,
    server_id: u32,
    /// The types it was told: [`Statement::bound`].
    bound: u32,
}

/// The statements of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldStatements {
    list: Vec<Held>,
    /// The server has prepared something on this connection: that changes its answer to an id that
    /// it does not know.
    pub(super) has_prepared: bool,
}

/// The statements that a link must have before a request runs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    One(u32),
    All,
    /// The client names one that it does not have, and has prepared others: a server gives another
    /// answer to that on a connection that never prepared anything.
    Unknown,
}

/// What a link must have before a request runs there, besides what the session has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) statements: Wanted,
    /// The transaction that was begun.
    pub(super) transaction: bool,
}

impl Statements {
    fn position(&self, id: u32) -> Option<usize> {
        self.list.binary_search_by_key(&id, |s| s.id).ok()
    }

    pub(super) fn of(&self, id: u32) -> Option<&Statement> {
        self.list.get(self.position(id)?)
    }

    pub(super) fn of_mut(&mut self, id: u32) -> Option<&mut Statement> {
        let at = self.position(id)?;
        self.list.get_mut(at)
    }

    /// True once the client has prepared anything.
    pub(super) const fn is_used(&self) -> bool {
        self.is_used
    }

    /// Whether a cursor has rows left, and whether parameters wait: one link only has them.
    pub(super) fn binding(&self) -> (bool, bool) {
        let has = |what: fn(&Statement) -> bool| self.list.iter().any(what);
        (has(|s| s.has_rows), has(|s| s.has_long_data))
    }

    /// Takes a statement that was prepared; its id. False: its text could not be kept.
    /// `types`: those of its parameters, if they were sent with it.
    pub(super) fn add(
        &mut self,
        text: Box<[u8]>,
        outline: Outline,
        params: u16,
        types: Box<[u8]>,
    ) -> (u32, bool) {
        self.is_used = true;
        self.skip_id();
        while self.position(self.last_id).is_some() {
            self.last_id += 1;
        }
        let id = self.last_id;
        let cost = STATEMENT_BYTES + text.len() + 2 * usize::from(params);
        let is_kept = self.bytes + cost <= BYTES_MAX && !text.is_empty();
        let statement = Statement {
            id,
            text: if is_kept { text } else { Box::default() },
            outline,
            params,
            bound: u32::from(!types.is_empty()),
            types,
            cursor: None,
            has_rows: false,
            has_long_data: false,
        };
        self.bytes += statement.cost();
        self.look_back |= outline.looks_back;
        let at = self.list.partition_point(|s| s.id < id);
        self.list.insert(at, statement);
        (id, is_kept)
    }

    /// A statement was prepared by its name: a server counts it, too. Observed on seekdb
    /// 1.3.0.post5.
    pub(super) fn skip_id(&mut self) {
        self.last_id = match self.last_id + 1 {
            NO_STATEMENT.. => 1,
            next => next,
        };
    }

    /// The client has closed a statement.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let Some(at) = self.position(id) else {
            return false;
        };
        self.bytes -= self.list.remove(at).cost();
        true
    }

    /// The session begins anew, and so do its ids.
    pub(super) fn clear(&mut self) {
        let is_used = self.is_used;
        *self = Self {
            is_used,
            ..Self::default()
        };
    }

    /// What a PREPARE needs on its link: see [`OPEN_USUAL`].
    pub(super) const fn before_prepare(&self) -> Wanted {
        match self.list.len() >= OPEN_USUAL {
            true => Wanted::All,
            false => Wanted::Nothing,
        }
    }

    /// Those that a link lacks, of the ones it must have. One that asks for what the statement
    /// before has left is on every link before that statement is: a PREPARE between them leaves
    /// something else.
    pub(super) fn missing(&self, held: &HeldStatements, wanted: Wanted) -> Vec<u32> {
        let lacks = |s: &&Statement| !s.text.is_empty() && held.server_id(s.id).is_none();
        let is_wanted = |s: &&Statement| match wanted {
            _ if s.outline.looks_back => true,
            Wanted::Nothing | Wanted::Unknown => false,
            Wanted::One(id) => s.id == id,
            Wanted::All => true,
        };
        match wanted {
            Wanted::Nothing | Wanted::Unknown if !self.look_back => vec![],
            Wanted::One(id) if !self.look_back => {
                let one = self.of(id).filter(lacks);
                one.map(|s| s.id).into_iter().collect()
            }
            _ => {
                let list = self.list.iter().filter(is_wanted).filter(lacks);
                list.map(|s| s.id).collect()
            }
        }
    }
}

impl Statement {
    fn cost(&self) -> usize {
        STATEMENT_BYTES + self.text.len() + 2 * self.params as usize
    }
}

impl HeldStatements {
    fn position(&self, id: u32) -> Option<usize> {
        self.list.binary_search_by_key(&id, |held| held.id).ok()
    }

    /// The server's id of a statement.
    pub(super) fn server_id(&self, id: u32) -> Option<u32> {
        Some(self.list.get(self.position(id)?)?.server_id)
    }

    /// The client's id of a statement of the server.
    pub(super) fn client_id(&self, server_id: u32) -> Option<u32> {
        let found = self.list.iter().find(|held| held.server_id == server_id);
        found.map(|held| held.id)
    }

    /// The server has prepared a statement. `bound`: [`Statement::bound`], if it knows the types.
    pub(super) fn add(&mut self, id: u32, server_id: u32, bound: u32) {
        self.has_prepared = true;
        let at = self.list.partition_point(|held| held.id < id);
        self.list.insert(
            at,
            Held {
                id,
                server_id,
                bound,
            },
        );
    }

    /// The server has forgotten all of them.
    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Forgets a statement; the server's id of it.
    pub(super) fn remove(&mut self, id: u32) -> Option<u32> {
        let at = self.position(id)?;
        Some(self.list.remove(at).server_id)
    }
}

/// Values of the parameters of an EXECUTE; more need memory of their own.
pub(super) type Params<'a> = SmallVec<[Option<Value<'a>>; 8]>;

impl Statement {
    /// The values of an EXECUTE's parameters, as far as they are here and known. `charset`: that of
    /// the connection.
    pub(super) fn params<'a>(
        &self,
        packet: &'a [u8],
        at: ParamsAt,
        charset: Option<TextCharset>,
    ) -> Params<'a> {
        match self.has_long_data {
            // Values that were sent ahead are not in the packet.
            true => Params::new(),
            false => values(packet, at, &self.types, charset),
        }
    }
}

/// Parameters in a request that runs a statement: where the null bitmap is, and how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ParamsAt {
    pub(super) bitmap: usize,
    pub(super) params: u16,
}

impl ParamsAt {
    /// In a COM_STMT_EXECUTE of this statement.
    pub(super) const fn execute(statement: &Statement) -> Self {
        Self {
            bitmap: EXECUTE_FRONT,
            params: statement.params,
        }
    }

    /// In a COM_STMT_PREPARE_EXECUTE, or the front of one.
    pub(super) fn prepare_execute(front: &PrepareExecute<'_>) -> Self {
        Self {
            bitmap: HEADER_LEN + front.params_at,
            params: u16::try_from(front.params).unwrap_or(0),
        }
    }

    /// The types that stand in the packet; empty if it has none.
    pub(super) fn types(self, packet: &[u8]) -> &[u8] {
        match types(packet, self) {
            Types::Here(range) => packet.get(range).unwrap_or_default(),
            Types::None | Types::Before(_) => &[],
        }
    }
}

/// The values of parameters, as far as they are here and known. `before`: types that were sent
/// before. `charset`: that of the connection.
pub(super) fn values<'a>(
    packet: &'a [u8],
    at: ParamsAt,
    before: &[u8],
    charset: Option<TextCharset>,
) -> Params<'a> {
    let mut values = Params::new();
    let (kinds, kept, values_at) = match types(packet, at) {
        Types::None => return values,
        Types::Here(range) => {
            let end = range.end;
            (packet.get(range).unwrap_or_default(), u16::MAX, end)
        }
        // A server that uses types again has forgotten which ones were unsigned.
        Types::Before(values_at) => (before, 0xFF, values_at),
    };
    let nulls = packet.get(at.bitmap..).unwrap_or_default();
    let mut rest = packet.get(values_at..).unwrap_or_default();
    for (number, kind) in kinds.chunks_exact(2).enumerate() {
        let is_null = nulls
            .get(number / 8)
            .is_some_and(|byte| byte >> (number % 8) & 1 == 1);
        let kind = kind
            .iter()
            .rev()
            .fold(0, |kind, b| kind << 8 | u16::from(*b))
            & kept;
        let value = match is_null {
            true => Some(Value::Null),
            false => match Value::from_binary(kind, charset, &mut rest) {
                Some(value) => value,
                // What stands behind it cannot be found.
                None => break,
            },
        };
        values.push(value);
    }
    values
}

/// Where the parameter types of an EXECUTE stand, or belong.
#[derive(Debug, PartialEq, Eq)]
enum Types {
    /// It has none: there are no parameters, or it cannot be read.
    None,
    /// Here they are.
    Here(Range<usize>),
    /// They were sent before; they would stand here.
    Before(usize),
}

/// Finds the types in a request, or the front of one.
fn types(packet: &[u8], ParamsAt { bitmap, params }: ParamsAt) -> Types {
    let flag_at = bitmap + usize::from(params).div_ceil(8);
    match packet.get(flag_at) {
        _ if params == 0 => Types::None,
        Some(0) => Types::Before(flag_at + 1),
        Some(_) => {
            let range = flag_at + 1..flag_at + 1 + 2 * usize::from(params);
            match range.end <= packet.len() {
                true => Types::Here(range),
                false => Types::None,
            }
        }
        None => Types::None,
    }
}

/// The front of a request that names a statement, as a link gets it. Appends it to `front`;
/// returns how many bytes of the packet it takes the place of: 0 if the packet stays as it is.
/// `params`: of a request that runs the statement.
pub(super) fn put_front(
    front: &mut Vec<u8>,
    packet: &[u8],
    statement: Option<&mut Statement>,
    held: &mut HeldStatements,
    params: Option<ParamsAt>,
) -> usize {
    const FRONT: usize = HEADER_LEN + 5;
    let Some(&[a, b, c, seq, command, i, d, e, f]) = packet.first_chunk::<FRONT>() else {
        return 0;
    };
    let id = u32::from_le_bytes([i, d, e, f]);
    if id >= CURSOR_IDS {
        return 0;
    }
    let at = statement.as_ref().and_then(|s| held.position(s.id));
    let on_link = at.and_then(|at| held.list.get_mut(at));
    let server_id = on_link.as_ref().map_or(NO_STATEMENT, |held| held.server_id);
    let mut insert_at = None;
    if let (Some(params), Some(statement), Some(on_link)) = (params, statement, on_link) {
        match types(packet, params) {
            Types::Here(range) => {
                let new = packet.get(range).unwrap_or_default();
                if *statement.types != *new || statement.bound == 0 {
                    statement.types = new.into();
                    statement.bound += 1;
                }
                on_link.bound = statement.bound;
            }
            Types::Before(at) if on_link.bound != statement.bound => {
                on_link.bound = statement.bound;
                insert_at = Some((at, &statement.types));
            }
            Types::Before(_) | Types::None => {}
        }
        let len = u32::from_le_bytes([a, b, c, 0]);
        if let Some((at, types)) = insert_at
            && len + (types.len() as u32) < 0xFF_FFFF
        {
            let len = len + types.len() as u32;
            front.extend_from_slice(&len.to_le_bytes()[..3]);
            front.extend_from_slice(&[seq, command]);
            front.extend_from_slice(&server_id.to_le_bytes());
            front.extend_from_slice(packet.get(FRONT..at - 1).unwrap_or_default());
            front.push(1);
            // A server that uses types again has forgotten which ones were unsigned. Observed on
            // seekdb 1.3.0.post5.
            let bare = types.chunks(2).flat_map(|two| [two[0], 0]);
            front.extend(bare);
            return at;
        }
    }
    if server_id == id {
        return 0;
    }
    front.extend_from_slice(&[a, b, c, seq, command]);
    front.extend_from_slice(&server_id.to_le_bytes());
    FRONT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut out = vec![];
        crate::protocol::mysql::put_packet(&mut out, 0, |b| b.extend_from_slice(payload));
        out
    }

    /// EXECUTE of statement 1 with two parameters; `types`: none if they were sent before.
    fn execute(types: Option<[u8; 4]>, values: &[u8]) -> Vec<u8> {
        let mut payload = vec![0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0];
        match types {
            Some(types) => {
                payload.push(1);
                payload.extend_from_slice(&types);
            }
            None => payload.push(0),
        }
        payload.extend_from_slice(values);
        packet(&payload)
    }

    #[test]
    fn parameters_of_an_execute_are_read_with_the_types_that_were_sent() {
        let mut statements = Statements::default();
        let (id, _) = statements.add(
            (*b"select ?, ?").into(),
            Outline::default(),
            2,
            Box::default(),
        );
        let statement = statements.of_mut(id).unwrap();
        let at = ParamsAt::execute(statement);
        let charset = Some(TextCharset::Utf8mb4);
        // LONG UNSIGNED and VARCHAR.
        let values = [7, 0, 0, 0x80, 1, b'x'];
        let first = execute(Some([3, 0x80, 0x0F, 0]), &values);
        let text = Value::Text(std::borrow::Cow::Borrowed(&b"x"[..]), TextCharset::Utf8mb4);
        assert_eq!(
            statement.params(&first, at, charset).to_vec(),
            [Some(Value::Int(0x8000_0007)), Some(text.clone())]
        );
        statement.types = [3, 0x80, 0x0F, 0].into();
        let again = execute(None, &values);
        assert_eq!(
            statement.params(&again, at, charset).to_vec(),
            [Some(Value::Int(-0x7FFF_FFF9)), Some(text)]
        );
        // A value is missing, and a type is not known.
        let cut = execute(None, &values[..3]);
        assert!(statement.params(&cut, at, charset).is_empty());
        statement.has_long_data = true;
        assert!(statement.params(&again, at, charset).is_empty());
    }

    /// What a link gets of a request.
    fn sent(statements: &mut Statements, held: &mut HeldStatements, packet: &[u8]) -> Vec<u8> {
        let mut front = vec![];
        let statement = statements.of_mut(1);
        let params = statement.as_deref().map(ParamsAt::execute);
        let skipped = put_front(&mut front, packet, statement, held, params);
        front.extend_from_slice(&packet[skipped..]);
        front
    }

    #[test]
    fn a_link_gets_its_own_id_and_the_types_that_it_was_not_told() {
        let mut statements = Statements::default();
        let text = b"select ?, ?".as_slice();
        assert_eq!(
            statements.add(text.into(), Outline::default(), 2, Box::default()),
            (1, true)
        );
        let (mut a, mut b) = (HeldStatements::default(), HeldStatements::default());
        a.add(1, 1, 0);
        b.add(1, 9, 0);
        let told = execute(Some([8, 0x80, 0xFD, 0]), b"12345678\x01x");
        // The same id, and everything is there: nothing changes.
        assert_eq!(sent(&mut statements, &mut a, &told), told);
        let short = execute(None, b"87654321\x01y");
        assert_eq!(sent(&mut statements, &mut a, &short), short);
        // Another id, and the types in it.
        let mut whole = execute(Some([8, 0, 0xFD, 0]), b"87654321\x01y");
        whole[5] = 9;
        assert_eq!(sent(&mut statements, &mut b, &short), whole);
        // It has them now.
        let mut renamed = short.clone();
        renamed[5] = 9;
        assert_eq!(sent(&mut statements, &mut b, &short), renamed);
        // Other types here are missing there.
        sent(
            &mut statements,
            &mut b,
            &execute(Some([3, 0, 3, 0]), b"12345678"),
        );
        let again = sent(&mut statements, &mut a, &short);
        assert_eq!(again[15..20], [1, 3, 0, 3, 0]);
        // The rest of a long request may not be here: all of the front is.
        let cut = &execute(None, b"")[..16];
        a.list[0].bound = 0;
        assert_eq!(sent(&mut statements, &mut a, cut)[15..], [1, 3, 0, 3, 0]);
    }

    #[test]
    fn an_id_that_no_link_has_becomes_one_that_no_server_has() {
        let mut held = HeldStatements::default();
        held.add(1, 5, 0);
        let mut front = vec![];
        let request = packet(&[0x1A, 5, 0, 0, 0]);
        assert_eq!(put_front(&mut front, &request, None, &mut held, None), 9);
        assert_eq!(front, [5, 0, 0, 0, 0x1A, 0xFF, 0xFF, 0xFF, 0x7F]);
        // A cursor that the server has made keeps its name.
        let request = packet(&[0x1C, 5, 0, 0, 0x80, 1, 0, 0, 0]);
        assert_eq!(put_front(&mut front, &request, None, &mut held, None), 0);
    }

    #[test]
    fn what_is_kept_is_bounded_and_counted() {
        let mut statements = Statements::default();
        let text: Box<[u8]> = vec![b'x'; 1 << 20].into();
        let mut kept = vec![];
        for _ in 0..5 {
            kept.push(
                statements
                    .add(text.clone(), Outline::default(), 3, Box::default())
                    .1,
            );
        }
        assert_eq!(kept, [true, true, true, false, false]);
        let bytes = statements.bytes;
        assert!(bytes <= BYTES_MAX + 2 * (STATEMENT_BYTES + 6));
        assert!(statements.remove(2) && !statements.remove(2));
        assert!(
            statements
                .add(text, Outline::default(), 3, Box::default())
                .1
        );
        assert_eq!(statements.bytes, bytes);
        statements.clear();
        assert_eq!(statements.bytes, 0);
        assert!(statements.of(1).is_none() && statements.is_used());
        let again = statements.add(
            b"do 1".as_slice().into(),
            Outline::default(),
            0,
            Box::default(),
        );
        assert_eq!(again, (1, true));
    }

    #[test]
    fn a_link_gets_what_is_run_and_at_the_limit_everything() {
        let mut statements = Statements::default();
        let mut held = HeldStatements::default();
        let text = || b"do 1".as_slice().into();
        for n in 1..OPEN_USUAL as u32 {
            statements.add(text(), Outline::default(), 0, Box::default());
            if n > 3 {
                held.add(n, n, 0);
            }
        }
        assert_eq!(statements.before_prepare(), Wanted::Nothing);
        statements.add(text(), Outline::default(), 0, Box::default());
        assert_eq!(statements.before_prepare(), Wanted::All);
        assert_eq!(statements.missing(&held, Wanted::One(2)), [2]);
        assert!(statements.missing(&held, Wanted::One(7)).is_empty());
        assert!(statements.missing(&held, Wanted::Nothing).is_empty());
        assert_eq!(statements.missing(&held, Wanted::All), [1, 2, 3, 50]);
        let looks_back = Outline {
            looks_back: true,
            ..Outline::default()
        };
        statements.add(text(), looks_back, 0, Box::default());
        assert_eq!(statements.missing(&held, Wanted::Nothing), [51]);
        assert_eq!(statements.missing(&held, Wanted::One(2)), [2, 51]);
    }
}
