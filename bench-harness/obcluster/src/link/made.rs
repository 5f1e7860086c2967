//! Replies that the model makes itself, as MySQL packets.

use crate::views::{Refusal, ResultSet};
use obring_wire::base::put_lenenc_bytes;
use obring_wire::protocol::mysql::{ErrPacket, TRACK_STATE, TRACK_VARIABLES, put_packet, status};

/// Stands between system and user variables.
pub(super) const SEPARATOR: &[u8] = b"__NULL";

/// What a reply must know of its link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Manner {
    /// Sequence number of its first packet.
    pub(super) seq: u8,
    /// A proxy gets one more OK at the end.
    pub(super) is_proxy: bool,
    /// A transaction is open.
    pub(super) in_transaction: bool,
}

impl Manner {
    const fn status(self) -> u16 {
        let open = if self.in_transaction {
            status::IN_TRANSACTION
        } else {
            0
        };
        status::AUTOCOMMIT | open
    }

    /// An error.
    pub(super) fn error(self, refusal: &Refusal) -> Vec<u8> {
        let mut out = self.without_end(refusal);
        self.end(&mut out, self.seq.wrapping_add(1));
        out
    }

    /// An error whose last OK tells a proxy of a user variable, with bytes in place of a literal.
    pub(super) fn error_with(self, refusal: &Refusal, (name, value): (&[u8], &[u8])) -> Vec<u8> {
        let mut out = self.without_end(refusal);
        if self.is_proxy {
            let mut pairs = vec![];
            for part in [SEPARATOR, SEPARATOR, name, value] {
                put_lenenc_bytes(&mut pairs, part);
            }
            let mut state = vec![TRACK_VARIABLES];
            put_lenenc_bytes(&mut state, &pairs);
            state.extend_from_slice(&[TRACK_STATE, 2, 1, b'1']);
            let bits = self.status() | status::NO_INDEX | status::STATE_CHANGED;
            let [low, high] = bits.to_le_bytes();
            put_packet(&mut out, self.seq.wrapping_add(1), |b| {
                b.extend_from_slice(&[0, 0, 0, low, high, 0, 0, 0]);
                put_lenenc_bytes(b, &state);
            });
        }
        out
    }

    fn without_end(self, refusal: &Refusal) -> Vec<u8> {
        let mut out = vec![];
        ErrPacket {
            code: refusal.code,
            sqlstate: refusal.sqlstate.as_bytes(),
            message: refusal.text.as_bytes(),
        }
        .put(&mut out, self.seq);
        out
    }

    /// A result set.
    pub(super) fn rows(self, set: &ResultSet) -> Vec<u8> {
        let mut out = vec![];
        let seq = set.put(&mut out, self.seq, self.status());
        self.end(&mut out, seq);
        out
    }

    /// The OK that only proxies see.
    pub(super) fn end(self, out: &mut Vec<u8>, seq: u8) {
        if !self.is_proxy {
            return;
        }
        let [low, high] = (self.status() | status::NO_INDEX).to_le_bytes();
        put_packet(out, seq, |b| {
            b.extend_from_slice(&[0, 0, 0, low, high, 0, 0, 0]);
        });
    }
}

/// Errors of a server that is not ready, or not the right one.
pub(super) mod refusals {
    use super::Refusal;

    pub(crate) fn starting() -> Refusal {
        Refusal::new(8001, "08004", "Server is initializing")
    }

    pub(crate) fn stopping() -> Refusal {
        Refusal::new(8002, "08004", "Server is stopping")
    }

    pub(crate) fn too_many() -> Refusal {
        Refusal::new(1040, "08004", "Too many connections")
    }

    pub(crate) fn tenant_not_here() -> Refusal {
        Refusal::new(5150, "HY000", "Tenant not in this server")
    }

    /// What a server says when a transaction has written where the leader is lost. Source: the
    /// error numbers of OceanBase wire facts.
    pub(crate) fn rolled_back() -> Refusal {
        Refusal::new(6002, "40000", "Transaction rollbacked")
    }

    /// What a server says when a leader was not found in time.
    pub(crate) fn no_leader() -> Refusal {
        Refusal::new(
            4012,
            "HY000",
            "Timeout, query has reached the maximum query timeout",
        )
    }

    /// What a server says that has run nothing and names another one. Source: the error numbers of
    /// OceanBase wire facts.
    pub(crate) fn reroute() -> Refusal {
        Refusal::new(5727, "HY000", "SQL request should be rerouted")
    }

    pub(crate) fn other_cluster(own: &str) -> Refusal {
        let text = format!("cluster name does not match to '{own}'");
        Refusal::new(4666, "HY000", &text)
    }

    /// The address is hidden, as the kernel does it.
    pub(crate) fn access_denied(user: &str, has_password: bool) -> Refusal {
        let used = if has_password { "YES" } else { "NO" };
        let text =
            format!("Access denied for user '{user}'@'xxx.xxx.xxx.xxx' (using password: {used})");
        Refusal::new(1045, "42000", &text)
    }

    /// Source: `14_client_session_id.hex` of the recorded vectors.
    pub(crate) fn unknown_thread(id: u32) -> Refusal {
        Refusal::new(1094, "HY000", &format!("Unknown thread id: {id}"))
    }

    /// What no server says: a rule is broken that one kernel would hide.
    pub(crate) fn broken_rule(what: &str) -> Refusal {
        Refusal::new(1105, "HY000", &format!("violation: {what}"))
    }

    pub(crate) fn not_supported(what: &str) -> Refusal {
        Refusal::new(1235, "0A000", what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_gets_one_more_packet() {
        let refusal = refusals::tenant_not_here();
        let manner = |is_proxy| Manner {
            seq: 1,
            is_proxy,
            in_transaction: true,
        };
        let direct = manner(false).error(&refusal);
        let proxied = manner(true).error(&refusal);
        assert_eq!(proxied[..direct.len()], direct);
        assert_eq!(proxied[direct.len()..], *b"\x08\0\0\x02\0\0\0\x23\0\0\0\0");
    }
}
