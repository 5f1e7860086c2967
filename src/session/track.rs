//! Session state for a client that tracks it: what it is told, and when.
//!
//! A direct client is told of changes in real OK packets only. What changes during a result set or
//! an error stands in the terminal OK, which no client sees: the kernel keeps such changes for the
//! client's next real OK, so they are kept here. Observed on seekdb 1.3.0.post5.

use super::driver::told_at_login;
use super::known::ON_AT_FIRST;
use super::server_login::shown_at_login;
use crate::base::put_lenenc_bytes;
use crate::protocol::mysql::{
    OkPacket, TRACK_SCHEMA, TRACK_STATE, TRACK_VARIABLES, put_packet, status,
};
use serde::{Deserialize, Serialize};

/// Bytes of names and values kept; more is not told. A client that never gets an OK changes nothing
/// that it has to know at once.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// Changes that the client has not been told yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Untold {
    /// System variables in the order of their first change.
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// The database, if it changed.
    schema: Option<Vec<u8>>,
    /// Something changed; user variables are not told by name, only that.
    is_changed: bool,
    /// The client is a driver of OceanBase, which is granted this.
    driver: Option<u64>,
}

impl Untold {
    /// Nothing yet. `driver`: what a driver of OceanBase is granted.
    pub(super) fn new(driver: Option<u64>) -> Self {
        Self {
            driver,
            ..Self::default()
        }
    }

    /// What a driver of OceanBase is granted; 0: nothing, or it is another client.
    pub(super) fn granted(&self) -> u64 {
        self.driver.unwrap_or(0)
    }

    pub(super) const fn is_empty(&self) -> bool {
        !self.is_changed
    }

    /// Takes the changes of an OK that the client does not see. `is_fresh`: see [`put_ok`].
    pub(super) fn keep(&mut self, ok: &OkPacket<'_>, is_fresh: bool) {
        let is_fresh = is_fresh && !turns_off(ok);
        let mut room = KEPT_BYTES_MAX - self.bytes();
        for block in ok.blocks() {
            match block.kind {
                TRACK_VARIABLES => {
                    for (name, value, is_user) in block.variables() {
                        if is_fresh && ON_AT_FIRST.contains(&name) {
                            continue;
                        }
                        self.is_changed |= is_user || !is_for_proxies(name);
                        if !is_user && !is_for_proxies(name) && name.len() + value.len() <= room {
                            room -= name.len() + value.len();
                            self.set(name, value);
                        }
                    }
                }
                TRACK_SCHEMA => {
                    self.is_changed = true;
                    self.schema = Some(block.data.to_vec());
                }
                _ => {}
            }
        }
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        match self.variables.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.variables.push((name.to_vec(), value.to_vec())),
        }
    }

    fn bytes(&self) -> usize {
        let variables: usize = self.variables.iter().map(|(n, v)| n.len() + v.len()).sum();
        variables.min(KEPT_BYTES_MAX)
    }

    /// Forgets everything: the session begins anew.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.driver);
    }

    /// Appends the state of an OK with everything untold in front, in proxy-mode layout.
    fn merge(&mut self, ok: &OkPacket<'_>, is_fresh: bool) -> Vec<u8> {
        self.keep(ok, is_fresh);
        let Self {
            mut variables,
            schema,
            ..
        } = std::mem::replace(self, Self::new(self.driver));
        let own = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
        for (name, value, _) in own.flat_map(|block| block.variables()) {
            if name == TRACE_ID {
                variables.push((name.to_vec(), value.to_vec()));
            }
        }
        let mut pairs = vec![];
        for (name, value) in variables {
            put_lenenc_bytes(&mut pairs, &name);
            put_lenenc_bytes(&mut pairs, &value);
        }
        let mut state = vec![];
        if !pairs.is_empty() {
            state.push(TRACK_VARIABLES);
            put_lenenc_bytes(&mut state, &pairs);
        }
        if let Some(schema) = schema {
            state.push(TRACK_SCHEMA);
            put_lenenc_bytes(&mut state, &schema);
        }
        state.push(TRACK_STATE);
        put_lenenc_bytes(&mut state, b"\x011");
        state
    }
}

/// Which OK it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Occasion {
    /// Of a statement or command.
    Statement,
    /// Of a SET or a definition, which say that something has changed even where they name nothing.
    Set,
    /// Of a login or COM_CHANGE_USER.
    Login,
}

/// True if it reports a variable of [`ON_AT_FIRST`]: a server session does so once unasked, with an
/// early reply, though not always with its very first one.
pub(super) fn reports_first(ok: &OkPacket<'_>) -> bool {
    let blocks = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
    let mut variables = blocks.flat_map(|block| block.variables());
    variables.any(|(name, _, _)| ON_AT_FIRST.contains(&name))
}

/// True if it reports a variable of [`ON_AT_FIRST`] that is not on.
fn turns_off(ok: &OkPacket<'_>) -> bool {
    let blocks = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
    let mut variables = blocks.flat_map(|block| block.variables());
    variables.any(|(name, value, _)| ON_AT_FIRST.contains(&name) && !matches!(value, b"ON" | b"1"))
}

/// True if an OK tells a client more than that something has changed, or nothing but that: not if
/// all variables that it names are hidden.
fn tells(ok: &OkPacket<'_>, shows: impl Fn(&[u8]) -> bool) -> bool {
    let mut hides = false;
    for block in ok.blocks() {
        match block.kind {
            TRACK_VARIABLES => {
                let mut variables = block.variables();
                if variables.any(|(name, _, is_user)| is_user || shows(name)) {
                    return true;
                }
                hides = true;
            }
            TRACK_STATE => {}
            _ => return true,
        }
    }
    !hides
}

/// Appends a real OK as the client gets it. `untold`: `None` for a client that does not track.
/// `is_fresh`: the server session has not reported [`ON_AT_FIRST`] yet, and the client was told by
/// another one.
pub(super) fn put_ok(
    out: &mut Vec<u8>,
    seq: u8,
    payload: &[u8],
    ok: &OkPacket<'_>,
    occasion: Occasion,
    untold: Option<&mut Untold>,
    is_fresh: bool,
) {
    let Some(untold) = untold else {
        return ok.put_for_client(out, seq, false, |_, _| false);
    };
    if occasion == Occasion::Login {
        untold.clear();
        let Some(granted) = untold.driver else {
            return ok.put_for_client(out, seq, true, shown_at_login);
        };
        let state = told_at_login(ok, granted);
        let ok = OkPacket {
            state: &state,
            ..*ok
        };
        return ok.put_for_client(out, seq, true, |_, _| true);
    }
    if ok.status & status::MORE_RESULTS != 0 && ok.state.is_empty() {
        // Between results the kernel uses the layout of its proxy mode for everybody.
        return put_packet(out, seq, |b| b.extend_from_slice(payload));
    }
    if untold.is_empty() {
        let is_fresh = is_fresh && !turns_off(ok);
        let shows = |name: &[u8]| {
            let is_first = is_fresh && ON_AT_FIRST.contains(&name);
            name == TRACE_ID || !(is_for_proxies(name) || is_first)
        };
        let is_told = occasion == Occasion::Set || tells(ok, shows);
        return ok.put_for_client(out, seq, true, |_, name| is_told && shows(name));
    }
    let state = untold.merge(ok, is_fresh);
    OkPacket {
        state: &state,
        ..*ok
    }
    .put_for_client(out, seq, true, |_, _| true);
}

/// Names a statement in the server's logs. A client is told with the real OK of a statement that
/// was slow (1 s and more), and never later: what comes with an error is for proxies. Observed on
/// seekdb 1.3.0.post5.
const TRACE_ID: &[u8] = b"ob_statement_trace_id";

/// System variables that servers report to proxies only, but for [`TRACE_ID`]. A direct client does
/// see `ob_proxy_set_trx_executed`.
pub(super) fn is_for_proxies(name: &[u8]) -> bool {
    matches!(
        name,
        TRACE_ID
            | b"ob_proxy_partition_hit"
            | b"ob_proxy_user_privilege"
            | b"ob_proxy_global_variables_version"
    ) || name.starts_with(b"_ob_proxy_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(state: &[u8]) -> OkPacket<'_> {
        OkPacket {
            affected: 0,
            last_insert_id: 0,
            status: 0x22,
            warnings: 0,
            message: b"",
            state,
        }
    }

    fn block(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut data = vec![];
        for (n, v) in pairs {
            put_lenenc_bytes(&mut data, n.as_bytes());
            put_lenenc_bytes(&mut data, v.as_bytes());
        }
        let mut state = vec![TRACK_VARIABLES];
        put_lenenc_bytes(&mut state, &data);
        state
    }

    #[test]
    fn what_a_result_set_changed_is_told_with_the_next_ok() {
        let mut untold = Untold::default();
        untold.keep(
            &ok(&block(&[
                ("a", "1"),
                ("ob_statement_trace_id", "x"),
                ("b", "2"),
            ])),
            false,
        );
        untold.keep(
            &ok(&block(&[("a", "3"), ("__NULL", "__NULL"), ("user", "4")])),
            false,
        );
        let mut out = vec![];
        let state = block(&[("c", "5")]);
        let payload = [0, 0, 0, 0x22, 0, 0, 0, 0];
        let mut put = |untold: &mut Untold, state: &[u8]| {
            out.clear();
            put_ok(
                &mut out,
                1,
                &payload,
                &ok(state),
                Occasion::Statement,
                Some(untold),
                false,
            );
            out.clone()
        };
        let told = put(&mut untold, &state);
        let want = b"\0\x04\x01a\x013\0\x04\x01b\x012\0\x04\x01c\x015\x02\x02\x011";
        assert!(told.ends_with(want), "{told:x?}");
        assert_eq!(told[7..9], [0x22, 0x40]);
        // Told once.
        assert_eq!(put(&mut untold, &[]).len(), 11);
    }

    #[test]
    fn what_is_hidden_is_no_change() {
        let changed = b"\x02\x02\x011";
        let told_of = |occasion, state: &[u8], is_fresh| {
            let mut out = vec![];
            let mut untold = Untold::default();
            let ok = ok(state);
            put_ok(&mut out, 1, &[], &ok, occasion, Some(&mut untold), is_fresh);
            out.split_off(4)
        };
        let told = |state: &[u8], is_fresh| told_of(Occasion::Statement, state, is_fresh);
        let with = |pairs: &[(&str, &str)]| [&block(pairs)[..], changed].concat();
        let nothing = [0, 0, 0, 0x22, 0, 0, 0];
        let hit = [("ob_proxy_partition_hit", "OFF")];
        assert_eq!(told(&with(&hit), false), nothing);
        let first = [("_nlj_batching_enabled", "ON")];
        assert_eq!(told(&with(&first), true), nothing);
        let change = b"\0\0\0\x22\x40\0\0\0\x04\x02\x02\x011";
        assert_eq!(told(changed, false), change);
        assert_eq!(told_of(Occasion::Set, &with(&first), true), change);
        // Of user variables a client is told that there is something.
        let user = [hit[0], ("__NULL", "__NULL"), ("a", "1")];
        assert_eq!(told(&with(&user), false), change);
    }

    #[test]
    fn a_slow_statement_is_named_in_its_own_ok_only() {
        let state = block(&[("ob_statement_trace_id", "Y1"), ("a", "1")]);
        let has_id = |out: &[u8]| out.windows(2).any(|w| w == b"Y1");
        let told = |untold: &mut Untold, state: &[u8]| {
            let mut out = vec![];
            let payload = [0, 0, 0, 0x22, 0, 0, 0, 0];
            let occasion = Occasion::Statement;
            let (ok, untold) = (ok(state), Some(untold));
            put_ok(&mut out, 1, &payload, &ok, occasion, untold, false);
            out
        };
        let mut untold = Untold::default();
        assert!(has_id(&told(&mut untold, &state)));
        // Of a result set or an error.
        untold.keep(&ok(&state), false);
        assert!(!has_id(&told(&mut untold, &block(&[("b", "2")]))));
        untold.keep(&ok(&block(&[("c", "3")])), false);
        assert!(has_id(&told(&mut untold, &state)));
    }

    #[test]
    fn the_memory_for_untold_changes_is_bounded() {
        let mut untold = Untold::default();
        for n in 0..100 {
            let (name, value) = (n.to_string(), "v".repeat(1_000));
            untold.keep(&ok(&block(&[(&name, &value)])), false);
        }
        assert!(untold.bytes() <= KEPT_BYTES_MAX && untold.variables.len() > 10);
    }

    #[test]
    fn what_every_server_session_reports_first_is_told_once() {
        let first = [
            ("ob_enable_transmission_checksum", "ON"),
            ("autocommit", "OFF"),
        ];
        let off = [("ob_enable_transmission_checksum", "OFF")];
        for (pairs, is_fresh, told) in [
            (&first[..], false, true),
            (&first[..], true, false),
            (&off[..], true, true),
        ] {
            let (mut out, state) = (vec![], block(pairs));
            let mut untold = Untold::default();
            let payload = [0, 0, 0, 0x22, 0, 0, 0, 0];
            let occasion = Occasion::Statement;
            let some = Some(&mut untold);
            put_ok(&mut out, 1, &payload, &ok(&state), occasion, some, is_fresh);
            let has = |name: &[u8]| out.windows(name.len()).any(|w| w == name);
            assert_eq!(has(b"ob_enable_transmission_checksum"), told);
            assert_eq!(has(b"autocommit"), pairs.len() == 2);
            untold.keep(&ok(&state), is_fresh);
            let kept = untold.variables.iter();
            assert_eq!(kept.filter(|(n, _)| n.len() > 20).count() == 1, told);
        }
    }
}
