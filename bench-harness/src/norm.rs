//! What the comparison of two runs leaves out, by name.

use crate::raw::{Got, Packet};
use crate::transcript::{Body, Seen};
use obring_wire::base::{Cursor, put_lenenc_bytes};

/// The normalisations. Nothing else is left out of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Everything is compared.
    Exact,
    /// `connection-id`: the ids of this run's connections, as text cells, binary cells or in error
    /// texts, count as equal.
    Ids,
    /// `server-state`: the rows or texts of this reply describe the whole server at this moment
    /// (process list, statistics): columns and packet kinds are compared, rows are not.
    ServerState,
    /// `direct-only-state`: the session state that the kernel adds to the OK of COM_PING and of
    /// COM_RESET_CONNECTION for direct clients only (protocol.md 4.5).
    NoState,
    /// `kill-end`: a killed victim sees error 5066 or just the end; the kernel itself may lose the
    /// packet (protocol.md 8.3). A proxy that lost its server connection says so (10014) before it
    /// closes at a packet boundary, and one that is told to end the session of the killer itself
    /// (1317).
    KillEnd,
    /// `auth-switch`: a proxy does not know whether an account has a password and asks every client
    /// of another plugin to switch; the kernel asks only accounts with one (protocol.md 2.7). The
    /// switch is left out and the packet behind it counts two less.
    AuthSwitch,
    /// `announcements`: variables that a server reports by itself with the first replies of every
    /// connection. A direct client has them in whatever it sends first, COM_PING included; through
    /// a proxy it sees them later, or with every server that its statements go to.
    NoAnnouncements,
    /// `statement-id`: the number of a prepared statement, which the proxy gives itself
    /// (protocol.md 5.1).
    StatementId,
}

/// `greeting`: connection id, scramble and the offered capability bits. A proxy offers what it can
/// pass on (protocol.md 1.1), the kernel has no MULTI bits in its greeting.
pub(crate) fn blank_greeting(payload: &mut [u8]) {
    let Some(nul) = payload.iter().skip(1).position(|&b| b == 0) else {
        return;
    };
    let at = nul + 2;
    for range in [
        at..at + 12,
        at + 13..at + 15,
        at + 18..at + 20,
        at + 31..at + 43,
    ] {
        if let Some(bytes) = payload.get_mut(range) {
            bytes.fill(b'.');
        }
    }
}

/// `schema-version`: the value of `ob_last_schema_version` in the session state of an OK is a
/// moment of the server's clock.
pub(crate) fn blank_schema_version(got: &mut Got) {
    const NAME: &[u8] = b"ob_last_schema_version\x10";
    let Got::Packet(p) = got else { return };
    if p.payload.first() != Some(&0) {
        return;
    }
    if let Some(at) = p.payload.windows(NAME.len()).position(|w| w == NAME)
        && let Some(digits) = p.payload.get_mut(at + NAME.len()..at + NAME.len() + 16)
    {
        digits.fill(b'9');
    }
}

pub(crate) fn normalise(got: Vec<Got>, norm: Norm, ids: &[u32]) -> Vec<Seen> {
    match norm {
        Norm::Exact => got.iter().map(Seen::of).collect(),
        Norm::Ids => got.iter().map(|g| without_ids(g, ids)).collect(),
        Norm::NoState => got.iter().map(without_state).collect(),
        Norm::ServerState => server_state(&got),
        Norm::AuthSwitch => without_switch(&got),
        Norm::NoAnnouncements => got.iter().map(without_announcements).collect(),
        Norm::StatementId => without_statement_id(&got),
        Norm::KillEnd => got
            .iter()
            .map(|g| match g.error() {
                Some((5066 | 10014 | 1317, _)) => Seen::Ended,
                _ => Seen::of(g),
            })
            .take_while({
                let mut ended = false;
                move |s| !std::mem::replace(&mut ended, *s == Seen::Ended)
            })
            .collect(),
    }
}

fn without_ids(got: &Got, ids: &[u32]) -> Seen {
    let Got::Packet(Packet { seq, payload }) = got else {
        return Seen::of(got);
    };
    let mut bytes = payload.clone();
    for (n, id) in ids.iter().enumerate() {
        let text = id.to_string().into_bytes();
        let name = format!("<id {n}>").into_bytes();
        if payload.first() == Some(&0xFF) {
            replace(&mut bytes, &text, &name);
            continue;
        }
        let cell = [&[text.len() as u8], &text[..]].concat();
        replace(&mut bytes, &cell, &name);
        // The one cell (INT UNSIGNED) of a binary row.
        if payload.len() == 6 && payload.ends_with(&id.to_le_bytes()) {
            let keep = 2;
            bytes.truncate(keep);
            bytes.extend_from_slice(&name);
        }
    }
    Seen::Packet(*seq, Body::of(&bytes))
}

fn replace(bytes: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|b| b.windows(from.len()).position(|w| w == from))
    {
        bytes.splice(at + found..at + found + from.len(), to.iter().copied());
        at += found + to.len();
    }
}

fn without_state(got: &Got) -> Seen {
    let Got::Packet(Packet { seq, payload }) = got else {
        return Seen::of(got);
    };
    let mut c = Cursor::new(payload);
    let head = c.u8().and_then(|_| c.lenenc()).and_then(|_| c.lenenc());
    if payload.first() != Some(&0) || head.is_err() {
        return Seen::of(got);
    }
    let at = c.position();
    let mut bytes: Vec<u8> = payload.iter().take(at + 4).copied().collect();
    if let Some(high) = bytes.get_mut(at + 1) {
        *high &= !0x40;
    }
    Seen::Packet(*seq, Body::of(&bytes))
}

fn without_switch(got: &[Got]) -> Vec<Seen> {
    let is_switch = |p: &Packet| p.payload.first() == Some(&0xFE);
    let mut switched = 0;
    let mut seen = vec![];
    for g in got {
        match g {
            Got::Packet(p) if is_switch(p) => switched = 2,
            Got::Packet(p) => {
                let seq = p.seq.wrapping_sub(switched);
                seen.push(Seen::Packet(seq, Body::of(&p.payload)));
            }
            other => seen.push(Seen::of(other)),
        }
    }
    seen
}

/// The first packet of the reply of COM_STMT_PREPARE: 0x00, number (4 bytes), counts.
fn without_statement_id(got: &[Got]) -> Vec<Seen> {
    let mut got = got.to_vec();
    if let Some(Got::Packet(p)) = got.first_mut()
        && p.payload.first() == Some(&0)
        && let Some(id) = p.payload.get_mut(1..5)
    {
        id.fill(b'n');
    }
    got.iter().map(Seen::of).collect()
}

/// `proxy-variables`: the state of an OK may name `ob_proxy_*` variables to a direct client; they
/// are the server's talk with proxies and a proxy keeps them (F006). Blocks of them are removed.
pub(crate) fn drop_proxy_variables(got: &mut Got) {
    const PREFIX: &[u8] = b"ob_proxy_";
    let Got::Packet(p) = got else { return };
    if !p.payload.windows(PREFIX.len()).any(|w| w == PREFIX) {
        return;
    }
    if let Some((front, blocks, _)) = without_variables(&p.payload, |name| name.starts_with(PREFIX))
    {
        p.payload = front;
        put_lenenc_bytes(&mut p.payload, &blocks);
    }
}

/// `trace-id`: a server names statements that were slow (1 s and more), which is chance.
pub(crate) fn drop_trace_id(got: &mut Got) {
    const NAME: &[u8] = b"ob_statement_trace_id";
    /// "There is session state", in the high byte of the status.
    const HAS_STATE: u8 = 0x40;
    let Got::Packet(p) = got else { return };
    if !p.payload.windows(NAME.len()).any(|w| w == NAME) {
        return;
    }
    let Some((mut front, blocks, says_more)) = without_variables(&p.payload, |n| n == NAME) else {
        return;
    };
    if says_more {
        put_lenenc_bytes(&mut front, &blocks);
        p.payload = front;
        return;
    }
    // As the OK of a quick statement: without a message it ends with the count of warnings.
    let mut c = Cursor::new(&front);
    let is_read = c.u8().and_then(|_| c.lenenc()).and_then(|_| c.lenenc());
    let at = c.position();
    if is_read.is_ok()
        && let Some(high) = front.get_mut(at + 1)
    {
        *high &= !HAS_STATE;
        if front.get(at + 4..) == Some(&[0]) {
            front.truncate(at + 4);
        }
        p.payload = front;
    }
}

/// Observed on seekdb 1.3.0.post5.
const ANNOUNCED: &[&[u8]] = &[
    b"_current_default_catalog",
    b"_nlj_batching_enabled",
    b"ob_enable_transmission_checksum",
];

/// When nothing else is reported, "the state has changed" goes as well.
fn without_announcements(got: &Got) -> Seen {
    let Got::Packet(p) = got else {
        return Seen::of(got);
    };
    let is_announced = |name: &[u8]| ANNOUNCED.contains(&name);
    let Some((mut payload, blocks, says_more)) = without_variables(&p.payload, is_announced) else {
        return Seen::of(got);
    };
    if !says_more {
        return without_state(got);
    }
    put_lenenc_bytes(&mut payload, &blocks);
    Seen::Packet(p.seq, Body::of(&payload))
}

/// An OK with state information for a client that tracks: what stands before the blocks, the blocks
/// without these variables, and whether they say more than that something has changed.
fn without_variables(
    payload: &[u8],
    is_out: impl Fn(&[u8]) -> bool,
) -> Option<(Vec<u8>, Vec<u8>, bool)> {
    /// "The state has changed."
    const CHANGED: u8 = 2;
    if payload.first() != Some(&0) {
        return None;
    }
    let mut c = Cursor::new(payload);
    c.u8().ok()?;
    c.lenenc().ok()?;
    c.lenenc().ok()?;
    c.take(4).ok()?;
    c.lenenc_bytes().ok()?;
    let front = payload.get(..c.position())?;
    let mut blocks = Cursor::new(c.lenenc_bytes().ok()?);
    let (mut kept, mut says_more) = (vec![], false);
    while blocks.left() > 0 {
        let kind = blocks.u8().ok()?;
        let data = blocks.lenenc_bytes().ok()?;
        let name = Cursor::new(data).lenenc_bytes().ok();
        if kind == 0 && name.is_some_and(&is_out) {
            continue;
        }
        says_more |= kind != CHANGED;
        kept.push(kind);
        put_lenenc_bytes(&mut kept, data);
    }
    Some((front.to_vec(), kept, says_more))
}

/// Result sets keep count, columns and EOFs; a row or a text is only known to be there.
fn server_state(got: &[Got]) -> Vec<Seen> {
    let mut seen = vec![];
    let mut eofs = 0;
    for g in got {
        let Got::Packet(p) = g else {
            seen.push(Seen::of(g));
            continue;
        };
        let is_eof = p.payload.first() == Some(&0xFE) && p.payload.len() < 9;
        eofs += u32::from(is_eof);
        if is_eof && eofs == 2 {
            seen.push(Seen::Packet(0, Body::of(&p.payload)));
        } else if eofs == 1 && !is_eof {
            if seen.last() != Some(&Seen::Masked("server-state")) {
                seen.push(Seen::Masked("server-state"));
            }
        } else if got.len() == 1 && !matches!(p.payload.first(), Some(0 | 0xFE | 0xFF)) {
            seen.push(Seen::Masked("server-state"));
        } else {
            seen.push(Seen::of(g));
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Got {
        Got::Packet(Packet {
            seq: 1,
            payload: payload.to_vec(),
        })
    }

    #[test]
    fn ids_are_replaced_where_they_stand_and_nowhere_else() {
        let ids = [3_221_225_473, 17];
        let a = without_ids(&packet(b"\x0a3221225473"), &ids);
        assert_eq!(a, Seen::Packet(1, Body::of(b"<id 0>")));
        let b = without_ids(&packet(b"\x0217"), &ids);
        assert_eq!(b, Seen::Packet(1, Body::of(b"<id 1>")));
        let other = without_ids(&packet(b"\x03217"), &ids);
        assert_eq!(other, Seen::Packet(1, Body::of(b"\x03217")));
        let error = without_ids(&packet(b"\xFF\x46\x04#HY000Unknown thread id: 17"), &ids);
        assert_ne!(
            error,
            Seen::of(&packet(b"\xFF\x46\x04#HY000Unknown thread id: 17"))
        );
    }

    #[test]
    fn a_slow_statement_is_like_a_quick_one() {
        let name = b"\x15ob_statement_trace_id\x02Y1";
        let slow = |more: &[u8]| {
            let variables = [&[0, name.len() as u8], &name[..]].concat();
            let blocks = [&variables[..], more, b"\x02\x02\x011"].concat();
            let front = b"\0\0\0\x22\x40\0\0\0";
            let mut got = packet(&[&front[..], &[blocks.len() as u8], &blocks[..]].concat());
            drop_trace_id(&mut got);
            got
        };
        assert_eq!(slow(b""), packet(b"\0\0\0\x22\0\0\0"));
        let database = b"\0\0\0\x22\x40\0\0\0\x08\x01\x02\x01d\x02\x02\x011";
        assert_eq!(slow(b"\x01\x02\x01d"), packet(database));
    }

    #[test]
    fn a_state_is_dropped_and_the_rest_of_the_ok_is_kept() {
        let with = packet(b"\0\0\0\x22\x40\0\0\0\x05abcde");
        assert_eq!(
            without_state(&with),
            Seen::Packet(1, Body::of(b"\0\0\0\x22\0\0\0"))
        );
        assert_ne!(
            without_state(&packet(b"\0\0\0\x23\x40\0\0\0")),
            without_state(&with)
        );
    }

    #[test]
    fn proxy_variables_go_and_others_stay() {
        let block = |name: &[u8]| {
            let mut b = vec![0, name.len() as u8 + 3, name.len() as u8];
            b.extend_from_slice(name);
            b.extend_from_slice(b"\x01x");
            b
        };
        let ok = |blocks: &[Vec<u8>]| {
            let mut p = b"\0\0\0\x22\x40\0\0\0".to_vec();
            put_lenenc_bytes(&mut p, &blocks.concat());
            p
        };
        let (mine, other) = (block(b"ob_proxy_set_trx_executed"), block(b"autocommit"));
        let mut got = packet(&ok(&[mine, other.clone()]));
        drop_proxy_variables(&mut got);
        assert_eq!(got, packet(&ok(&[other])));
    }

    #[test]
    fn announcements_go_and_the_rest_is_compared() {
        let block = |name: &[u8]| {
            let mut b = vec![0, name.len() as u8 + 3, name.len() as u8];
            b.extend_from_slice(name);
            b.extend_from_slice(b"\x01x");
            b
        };
        let ok = |blocks: &[&[u8]]| {
            let mut p = b"\0\0\0\x22\x40\0\0\0".to_vec();
            put_lenenc_bytes(&mut p, &blocks.concat());
            without_announcements(&packet(&p))
        };
        let (mine, other) = (block(b"_nlj_batching_enabled"), block(b"autocommit"));
        let changed = b"\x02\x02\x011";
        let nothing = Seen::Packet(1, Body::of(b"\0\0\0\x22\0\0\0"));
        assert_eq!(ok(&[&mine, changed]), nothing);
        assert_eq!(ok(&[changed]), nothing);
        assert_eq!(ok(&[&other, &mine, changed]), ok(&[&other, changed]));
        assert_ne!(ok(&[&other, changed]), ok(&[&other]));
        assert_ne!(ok(&[&other]), nothing);
    }

    #[test]
    fn a_switch_goes_and_the_number_behind_it_is_two_less() {
        let at = |seq, payload: &[u8]| {
            Got::Packet(Packet {
                seq,
                payload: payload.to_vec(),
            })
        };
        let switched = [at(2, b"\xFEmysql_native_password\0"), at(4, b"\0ok")];
        assert_eq!(without_switch(&switched), without_switch(&[at(2, b"\0ok")]));
    }

    #[test]
    fn a_process_list_keeps_its_columns() {
        let reply = |row: &[u8], column: &[u8]| {
            server_state(&[
                packet(b"\x01"),
                packet(column),
                packet(b"\xFE\0\0\x02\0"),
                packet(row),
                packet(b"\xFE\0\0\x02\0"),
            ])
        };
        assert_eq!(reply(b"a", b"id"), reply(b"b", b"id"));
        assert_ne!(reply(b"a", b"id"), reply(b"a", b"ix"));
    }
}
