//! Statements of the simulated world: what they do, how a server tells a proxy, and what a direct
//! client would see. The two encodings are written apart, so that one judges the other.

use super::binding;
use crate::base::{Rng, put_lenenc, put_lenenc_bytes};
use crate::protocol::mysql::{MAX_PAYLOAD, put_packet};
use sha1::{Digest, Sha1};

/// One result of a statement.
#[derive(Clone, Debug)]
pub enum Part {
    /// A result set: rows as payloads, and what it changed.
    Rows {
        /// Number of columns.
        columns: u8,
        /// Payloads of the rows.
        rows: Vec<Vec<u8>>,
        /// The error that ends it, if one does.
        error: Option<u16>,
        /// Changed system variables.
        changes: Vec<(String, String)>,
        /// A cursor was opened: no rows now.
        is_cursor: bool,
        /// OUT parameters: a real OK ends it.
        is_out: bool,
    },
    /// An OK.
    Done {
        /// Affected rows.
        affected: u64,
        /// Info text.
        message: &'static str,
        /// Changed system variables.
        changes: Vec<(String, String)>,
        /// Changed user variables, which only proxies are told.
        user: Vec<(String, Vec<u8>)>,
        /// New database.
        schema: Option<String>,
    },
    /// An error.
    Failed {
        /// Number.
        code: u16,
        /// Changed system variables.
        changes: Vec<(String, String)>,
    },
}

/// How the packets of a reply are arranged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Results one after the other.
    Results,
    /// A prepare-OK with this many parameters and columns.
    Prepare(u8, u8),
    /// Columns, EOF.
    Fields,
    /// Rows, EOF.
    Fetch,
    /// One string.
    Text,
    /// One EOF.
    Eof,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub struct Effect {
    /// How it is told.
    pub form: Form,
    /// Its results.
    pub parts: Vec<Part>,
    /// Status bits after it.
    pub status: u16,
}

/// A row payload whose first byte is chosen to look like something else.
fn row(rng: &mut Rng, big: bool) -> Vec<u8> {
    let len = match rng.below(20) {
        0 if big => MAX_PAYLOAD + rng.below(3) as usize - 1,
        1 if big => 70_000,
        2 => 0,
        n => n as usize * 3,
    };
    let mut payload = vec![b'r'; len];
    let first = [0x00, 0xFB, 0x03, b'x'][rng.below(4) as usize];
    if let Some(byte) = payload.first_mut() {
        *byte = first;
    }
    payload
}

fn change(rng: &mut Rng) -> Vec<(String, String)> {
    (0..rng.below(3))
        .map(|n| {
            (
                format!("var_{}", n + rng.below(3)),
                rng.below(9).to_string(),
            )
        })
        .collect()
}

/// A random result of COM_QUERY. `big`: packets above 16 MB may occur.
pub fn random_part(rng: &mut Rng, big: bool) -> Part {
    match rng.below(8) {
        0..=2 => Part::Rows {
            columns: 1 + rng.below(3) as u8,
            rows: (0..rng.below(6)).map(|_| row(rng, big)).collect(),
            error: rng.chance(1, 8).then_some(1690),
            changes: change(rng),
            is_cursor: false,
            is_out: false,
        },
        3..=5 => Part::Done {
            affected: rng.below(70_000),
            message: ["", "Rows matched: 1  Changed: 0  Warnings: 0"][rng.below(2) as usize],
            changes: change(rng),
            user: if rng.chance(1, 3) {
                vec![("u".into(), b"'x'".to_vec())]
            } else {
                vec![]
            },
            schema: rng.chance(1, 4).then(|| "db".into()),
        },
        6 => Part::Failed {
            code: 1064,
            changes: change(rng),
        },
        _ => Part::Rows {
            columns: 1,
            rows: vec![],
            error: None,
            changes: vec![],
            is_cursor: false,
            is_out: false,
        },
    }
}

const MORE: u16 = 0x0008;
const STATE: u16 = 0x4000;

/// Writes packets with rising sequence numbers; long payloads in pieces.
#[derive(Debug)]
pub struct Packets {
    /// What was written.
    pub bytes: Vec<u8>,
    seq: u8,
}

impl Packets {
    /// The first packet has number `seq`.
    #[must_use]
    pub const fn new(seq: u8) -> Self {
        Self { bytes: vec![], seq }
    }

    /// Appends one payload.
    pub fn put(&mut self, payload: &[u8]) {
        let mut rest = payload;
        loop {
            let (now, later) = rest.split_at(rest.len().min(MAX_PAYLOAD));
            self.bytes
                .extend_from_slice(&(now.len() as u32).to_le_bytes()[..3]);
            self.bytes.push(self.seq);
            self.bytes.extend_from_slice(now);
            self.seq = self.seq.wrapping_add(1);
            rest = later;
            if now.len() < MAX_PAYLOAD {
                return;
            }
        }
    }

    fn eof(&mut self, status: u16) {
        let [a, b] = status.to_le_bytes();
        self.put(&[0xFE, 0, 0, a, b]);
    }

    fn error(&mut self, code: u16) {
        let mut p = vec![0xFF];
        p.extend_from_slice(&code.to_le_bytes());
        p.extend_from_slice(b"#HY000said the script");
        self.put(&p);
    }

    fn columns(&mut self, n: u8) {
        for _ in 0..n {
            self.put(
                b"\x03def\x00\x00\x00\x01c\x00\x0c\x3f\x00\x14\x00\x00\x00\x08\x81\x00\x00\x00\x00",
            );
        }
    }

    fn head(&mut self, form: Form, status: u16) -> bool {
        match form {
            Form::Results => return false,
            Form::Prepare(params, columns) => {
                self.put(&[0, 7, 0, 0, 0, columns, 0, params, 0, 0, 0, 0]);
                for n in [params, columns] {
                    if n > 0 {
                        self.columns(n);
                        self.eof(status);
                    }
                }
            }
            Form::Fields => {
                self.columns(2);
                self.eof(status);
            }
            Form::Fetch => {
                self.put(&[0, 0, 1]);
                self.put(&[0, 0, 2]);
                self.eof(status | 0x80);
            }
            Form::Text => self.put(b"Uptime: 1"),
            Form::Eof => self.eof(status),
        }
        true
    }
}

/// What the server sends a proxy: the state in the last OK only, terminal OKs where they belong.
#[must_use]
pub fn for_proxy(effect: &Effect, seq: u8) -> Vec<u8> {
    let mut out = Packets::new(seq);
    let mut pairs: Vec<(String, String)> = vec![];
    let (mut user, mut schema) = (vec![], None);
    if out.head(effect.form, effect.status & 0x3) {
        if effect.form != Form::Eof {
            out.put(&proxy_ok(0, effect.status, "", &[], &[], None));
        }
        return out.bytes;
    }
    for (n, part) in effect.parts.iter().enumerate() {
        let is_last = n + 1 == effect.parts.len();
        let more = if is_last { 0 } else { MORE };
        let status = effect.status | more;
        match part {
            Part::Rows {
                columns,
                rows,
                error,
                changes,
                is_cursor,
                is_out,
            } => {
                merge(&mut pairs, changes);
                out.put(&[*columns]);
                out.columns(*columns);
                let special = special(*is_cursor, *is_out);
                out.eof(status & 0xF | special);
                if !is_cursor {
                    for row in rows {
                        out.put(row);
                    }
                    match error {
                        Some(code) => out.error(*code),
                        None => out.eof(status & 0xF),
                    }
                }
                if is_last || error.is_some() {
                    out.put(&proxy_ok(
                        0,
                        effect.status,
                        "",
                        &pairs,
                        &user,
                        schema.as_deref(),
                    ));
                    return out.bytes;
                }
            }
            Part::Done {
                affected,
                message,
                changes,
                user: u,
                schema: s,
            } => {
                merge(&mut pairs, changes);
                user.extend(u.iter().cloned());
                schema = s.clone().or(schema);
                if is_last {
                    let s = schema.as_deref();
                    out.put(&proxy_ok(*affected, status, message, &pairs, &user, s));
                } else {
                    out.put(&proxy_ok(*affected, status, message, &[], &[], None));
                }
            }
            Part::Failed { code, changes } => {
                merge(&mut pairs, changes);
                out.error(*code);
                out.put(&proxy_ok(
                    0,
                    effect.status,
                    "",
                    &pairs,
                    &user,
                    schema.as_deref(),
                ));
                return out.bytes;
            }
        }
    }
    out.bytes
}

fn merge(into: &mut Vec<(String, String)>, changes: &[(String, String)]) {
    for (name, value) in changes {
        match into.iter_mut().find(|(n, _)| n == name) {
            Some((_, v)) => v.clone_from(value),
            None => into.push((name.clone(), value.clone())),
        }
    }
}

/// An OK in proxy-mode layout.
#[must_use]
pub fn proxy_ok(
    affected: u64,
    status: u16,
    message: &str,
    system: &[(String, String)],
    user: &[(String, Vec<u8>)],
    schema: Option<&str>,
) -> Vec<u8> {
    let has_state = !system.is_empty() || !user.is_empty() || schema.is_some();
    let mut p = vec![0];
    put_lenenc(&mut p, affected);
    p.push(0);
    p.extend_from_slice(&(status | if has_state { STATE } else { 0 }).to_le_bytes());
    p.extend_from_slice(&[0, 0]);
    let message = if message.is_empty() {
        String::new()
    } else {
        format!(" {message}")
    };
    put_lenenc_bytes(&mut p, message.as_bytes());
    if has_state {
        let mut pairs = vec![];
        for (name, value) in system {
            put_lenenc_bytes(&mut pairs, name.as_bytes());
            put_lenenc_bytes(&mut pairs, value.as_bytes());
        }
        if !user.is_empty() {
            pairs.extend_from_slice(b"\x06__NULL\x06__NULL");
            for (name, value) in user {
                put_lenenc_bytes(&mut pairs, name.as_bytes());
                put_lenenc_bytes(&mut pairs, value);
            }
        }
        let mut state = vec![];
        if !pairs.is_empty() {
            state.push(0);
            put_lenenc_bytes(&mut state, &pairs);
        }
        if let Some(schema) = schema {
            let mut data = vec![];
            put_lenenc_bytes(&mut data, schema.as_bytes());
            state.push(1);
            put_lenenc_bytes(&mut state, &data);
        }
        state.extend_from_slice(&[2, 2, 1, b'1']);
        put_lenenc_bytes(&mut p, &state);
    }
    p
}

/// What a direct client that tracks session state has not been told yet.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    changes: Vec<(String, String)>,
    schema: Option<String>,
    /// Something changed, user variables included.
    is_changed: bool,
}

impl Pending {
    fn add(&mut self, changes: &[(String, String)]) {
        self.is_changed |= !changes.is_empty();
        merge(&mut self.changes, changes);
    }
}

/// What a direct client sees. `pending`: `None` for one that does not track.
#[must_use]
pub fn for_direct(effect: &Effect, seq: u8, mut pending: Option<&mut Pending>) -> Vec<u8> {
    let mut out = Packets::new(seq);
    if out.head(effect.form, effect.status & 0x3) {
        return out.bytes;
    }
    for (n, part) in effect.parts.iter().enumerate() {
        let is_last = n + 1 == effect.parts.len();
        let status = effect.status | if is_last { 0 } else { MORE };
        match part {
            Part::Rows {
                columns,
                rows,
                error,
                changes,
                is_cursor,
                is_out,
            } => {
                if let Some(p) = pending.as_deref_mut() {
                    p.add(changes);
                }
                out.put(&[*columns]);
                out.columns(*columns);
                let special = special(*is_cursor, *is_out);
                out.eof(status & 0xF | special);
                if *is_cursor {
                    return out.bytes;
                }
                for row in rows {
                    out.put(row);
                }
                if let Some(code) = error {
                    out.error(*code);
                    return out.bytes;
                }
                out.eof(status & 0xF);
                if *is_out && is_last {
                    // In proxy mode this OK carries the state, so the client is told here.
                    out.put(&direct_ok(0, effect.status, "", pending.as_deref_mut()));
                }
            }
            Part::Done {
                affected,
                message,
                changes,
                schema,
                user,
                ..
            } => {
                if let Some(p) = pending.as_deref_mut() {
                    p.add(changes);
                    p.is_changed |= !user.is_empty() || schema.is_some();
                    p.schema = schema.clone().or_else(|| p.schema.take());
                }
                if is_last || pending.is_none() {
                    out.put(&direct_ok(
                        *affected,
                        status,
                        message,
                        pending.as_deref_mut(),
                    ));
                } else {
                    // Between results the kernel uses its proxy-mode layout for tracking clients.
                    out.put(&proxy_ok(*affected, status, message, &[], &[], None));
                }
            }
            Part::Failed { code, changes } => {
                if let Some(p) = pending.as_deref_mut() {
                    p.add(changes);
                }
                out.error(*code);
                return out.bytes;
            }
        }
    }
    out.bytes
}

fn direct_ok(affected: u64, status: u16, message: &str, pending: Option<&mut Pending>) -> Vec<u8> {
    let mut p = vec![0];
    put_lenenc(&mut p, affected);
    p.push(0);
    let told = pending.map(std::mem::take);
    let mut state = vec![];
    if let Some(told) = &told {
        for (name, value) in &told.changes {
            let mut data = vec![];
            put_lenenc_bytes(&mut data, name.as_bytes());
            put_lenenc_bytes(&mut data, value.as_bytes());
            state.push(0);
            put_lenenc_bytes(&mut state, &data);
        }
        if let Some(schema) = &told.schema {
            state.push(1);
            state.push(schema.len() as u8 + 1);
            put_lenenc_bytes(&mut state, schema.as_bytes());
        }
        if told.is_changed {
            state.extend_from_slice(&[2, 2, 1, b'1']);
        }
    }
    let bits = status | if state.is_empty() { 0 } else { STATE };
    p.extend_from_slice(&bits.to_le_bytes());
    p.extend_from_slice(&[0, 0]);
    match told {
        None if !message.is_empty() => {
            p.push(b' ');
            p.extend_from_slice(message.as_bytes());
        }
        Some(_) if !message.is_empty() || !state.is_empty() => {
            put_lenenc_bytes(&mut p, message.as_bytes());
            if !state.is_empty() {
                put_lenenc_bytes(&mut p, &state);
            }
        }
        _ => {}
    }
    p
}

/// A command of the world, in a form that both ends understand: the payload after the command byte
/// is a seed, from which the effect is made.
#[must_use]
pub fn effect(command: u8, seed: u64, status: u16, big: bool) -> Effect {
    let mut rng = Rng::new(seed);
    let results = |parts| Effect {
        form: Form::Results,
        parts,
        status,
    };
    let only = |form| Effect {
        form,
        parts: vec![],
        status,
    };
    let rows = |is_cursor, is_out| Part::Rows {
        columns: 2,
        rows: if is_cursor {
            vec![]
        } else {
            vec![vec![0, 0, 1], vec![0, 4]]
        },
        error: None,
        changes: vec![],
        is_cursor,
        is_out,
    };
    match command {
        0x03 => {
            let n = 1 + rng.below(3) * u64::from(rng.chance(1, 3));
            results((0..n).map(|_| random_part(&mut rng, big)).collect())
        }
        // A statement that leaves nothing in the session has a number of its own, too.
        0xF1 => results(vec![quiet_part(&mut rng)]),
        // What binds a session says no more than that it is so.
        command if binding::is_one(command) => results(vec![Part::Done {
            affected: 0,
            message: "",
            changes: vec![],
            user: vec![],
            schema: None,
        }]),
        0x16 if rng.chance(1, 6) => results(vec![Part::Failed {
            code: 1146,
            changes: vec![],
        }]),
        0x16 => only(Form::Prepare(rng.below(3) as u8, rng.below(3) as u8)),
        0x17 => match rng.below(4) {
            0 => results(vec![rows(false, true)]),
            1 => results(vec![Part::Failed {
                code: 1243,
                changes: vec![],
            }]),
            _ => results(vec![rows(false, false)]),
        },
        // EXECUTE with the cursor flag has a command number of its own in the world.
        0xF0 => results(vec![rows(true, false)]),
        0x1C => only(Form::Fetch),
        0x04 => only(Form::Fields),
        0x09 => only(Form::Text),
        0x0D => only(Form::Eof),
        _ => results(vec![random_ok(&mut rng)]),
    }
}

/// A result that changes nothing.
fn quiet_part(rng: &mut Rng) -> Part {
    match rng.below(4) {
        0 => Part::Done {
            affected: rng.below(70_000),
            message: "",
            changes: vec![],
            user: vec![],
            schema: None,
        },
        1 => Part::Failed {
            code: 1064,
            changes: vec![],
        },
        _ => Part::Rows {
            columns: 2,
            rows: vec![vec![0, 0, 1], vec![0, 4]],
            error: None,
            changes: vec![],
            is_cursor: false,
            is_out: false,
        },
    }
}

/// The same, where the server of the statement has to say that another one has the rows.
pub(super) fn missed(effect: Effect) -> Effect {
    with(effect, ("ob_proxy_partition_hit".into(), "OFF".into()))
}

/// The same with one more changed variable.
pub(super) fn with(mut effect: Effect, change: (String, String)) -> Effect {
    if let Some(
        Part::Rows { changes, .. } | Part::Done { changes, .. } | Part::Failed { changes, .. },
    ) = effect.parts.last_mut()
    {
        changes.push(change);
    }
    effect
}

fn random_ok(rng: &mut Rng) -> Part {
    Part::Done {
        affected: 0,
        message: "",
        changes: change(rng),
        user: vec![],
        schema: None,
    }
}

/// An ERR packet made by the proxy: its text.
#[must_use]
pub fn error_text(packet: &[u8]) -> Option<String> {
    let payload = packet.get(4..)?;
    (payload.first() == Some(&0xFF)).then(|| String::from_utf8_lossy(payload).into_owned())
}

/// An ERR packet of a server.
#[must_use]
pub(super) fn error(seq: u8, code: u16, text: &str) -> Vec<u8> {
    let mut p = vec![0xFF];
    p.extend_from_slice(&code.to_le_bytes());
    p.extend_from_slice(b"#HY000");
    p.extend_from_slice(text.as_bytes());
    packet(seq, &p)
}

/// A packet of one payload.
#[must_use]
pub fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    put_packet(&mut out, seq, |b| b.extend_from_slice(payload));
    out
}

/// Status bits of a column EOF that say what comes next.
const fn special(is_cursor: bool, is_out: bool) -> u16 {
    (if is_cursor { 0x40 } else { 0 }) | (if is_out { 0x1000 } else { 0 })
}

/// The answer of mysql_native_password, apart from the one that is tested.
pub(super) fn native(password: &[u8], scramble: &[u8]) -> Vec<u8> {
    let one = Sha1::digest(password);
    let two = Sha1::digest(one);
    let mixed = Sha1::new()
        .chain_update(scramble)
        .chain_update(two)
        .finalize();
    mixed.iter().zip(&one).map(|(a, b)| a ^ b).collect()
}
