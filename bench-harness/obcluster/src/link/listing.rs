//! SHOW PROCESSLIST: one kernel knows the sessions of all servers; each server shows its own.

use super::session::Session;
use crate::shadow::Beside;
use crate::views::{Statement, Token};
use obring_wire::base::Cursor;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::{Command, HEADER_LEN, put_packet};
use std::collections::HashSet;

/// The tenant that sees the sessions of all tenants.
const SYS: &str = "sys";

/// True for a request that lists sessions.
pub(super) fn lists_sessions(command: Command, body: &[u8]) -> bool {
    if command == Command::PROCESS_INFO {
        return true;
    }
    let Some(statement) = (command == Command::QUERY)
        .then(|| Statement::parse(body))
        .flatten()
    else {
        return false;
    };
    let mut words = statement.tokens.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.to_ascii_lowercase()),
        Token::Sign(';') => None,
        _ => Some(String::new()),
    });
    let first = [words.next(), words.next(), words.next(), words.next()];
    let first = first.each_ref().map(|word| word.as_deref());
    matches!(
        first,
        [Some("show"), Some("processlist"), None, None]
            | [Some("show"), Some("full"), Some("processlist"), None]
    )
}

/// Leaves the rows of a text result whose first column is one of these numbers. Anything else than
/// a result stays as it is.
pub(super) fn keep(packets: &[u8], ids: &HashSet<u32>) -> Vec<u8> {
    let mut out = vec![];
    let mut next_seq = None;
    let mut ends = 0;
    let mut at = 0;
    while let Some(&[a, b, c, seq]) = packets.get(at..).and_then(|rest| rest.first_chunk()) {
        let from = at + HEADER_LEN;
        at = from + u32::from_le_bytes([a, b, c, 0]) as usize;
        let payload = packets.get(from..at).unwrap_or_default();
        let is_end = payload.first() == Some(&0xFE) && payload.len() < 9;
        if ends == 1 && !is_end {
            let id = Cursor::new(payload).lenenc_bytes().ok();
            let id = id.and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
            if id.is_some_and(|id: u32| !ids.contains(&id)) {
                continue;
            }
        }
        ends += u32::from(is_end);
        let number = *next_seq.get_or_insert(seq);
        put_packet(&mut out, number, |b| b.extend_from_slice(payload));
        next_seq = Some(number.wrapping_add(1));
    }
    out
}

impl Session {
    /// The numbers of sessions that this server shows to the link; none where it shows all that
    /// there are, because client session ids were agreed, and servers ask each other.
    pub(super) fn shown_sessions(&self, command: Command, body: &[u8]) -> Option<HashSet<u32>> {
        let is_wide = self.granted & capability::CLIENT_SESSION_ID_V2 != 0;
        if is_wide || !lists_sessions(command, body) {
            return None;
        }
        let tenant = (self.who.tenant != SYS).then_some(&*self.who.tenant);
        Some(self.shared.sessions_of(self.server, tenant))
    }
}

/// What was taken from a reply that is written anew: the extra info beside it.
pub(super) fn extra(beside: &Beside, is_new: bool) -> Vec<u8> {
    use obring_wire::protocol::ob20::{entry, feedback, put_old_pair, put_tlv};
    let mut session = vec![];
    for (kind, bytes) in &beside.parts {
        put_tlv(&mut session, *kind, bytes);
    }
    let mut out = vec![];
    if let Some(holds) = beside.holds_locks.filter(|_| is_new) {
        let mut locks = vec![];
        put_tlv(&mut locks, feedback::LOCKS, if holds { b"1" } else { b"0" });
        put_tlv(&mut out, entry::FEEDBACK, &locks);
    }
    if session.is_empty() {
        return out;
    }
    if is_new {
        put_tlv(&mut out, entry::SESSION, &session);
    } else {
        put_old_pair(&mut out, b"sess_inf", &session);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_known() {
        let of = |text: &str| lists_sessions(Command::QUERY, text.as_bytes());
        assert!(of("show processlist") && of("/* c */ SHOW FULL PROCESSLIST ;"));
        assert!(!of("show full processlist x") && !of("show tables") && !of("select 1"));
        assert!(lists_sessions(Command::PROCESS_INFO, b""));
        assert!(!lists_sessions(Command::PING, b""));
    }

    #[test]
    fn rows_of_others_are_left_out_and_the_rest_is_counted_anew() {
        let mut packets = vec![];
        let all: [&[u8]; 8] = [
            b"\x02",
            b"\x03def",
            b"\x03def",
            b"\xfe\0\0\x02\0",
            b"\x017\x01a",
            b"\x0222\x01b",
            b"\xfe\0\0\x02\0",
            b"\0\0\0\x22\0\0\0\0",
        ];
        for (payload, seq) in all.iter().zip(1..) {
            put_packet(&mut packets, seq, |b| b.extend_from_slice(payload));
        }
        assert_eq!(keep(&packets, &HashSet::from([7, 22])), packets);
        let kept = keep(&packets, &HashSet::from([22]));
        let mut want = vec![];
        for (payload, seq) in all.iter().enumerate().filter(|(n, _)| *n != 4).zip(1..) {
            put_packet(&mut want, seq, |b| b.extend_from_slice(payload.1));
        }
        assert_eq!(kept, want);
        let mut error = vec![];
        put_packet(&mut error, 1, |b| b.extend_from_slice(b"\xff\x15\x04no"));
        assert_eq!(keep(&error, &HashSet::new()), error);
    }
}
