//! OceanBase's own drivers (Connector/J, Connector/C): what they say of themselves when they log
//! in, and what they are told beyond what other clients are.
//!
//! A driver that is granted [`capability::OB_PROTOCOL_V2`] wraps everything behind its login in
//! OceanBase 2.0 frames (`client_frames.rs`). Source: OceanBase wire facts, section 1.3; the
//! drivers' behaviour, and seekdb 1.3.0.post5 for what a direct driver is told.

use super::server_login::shown_at_login;
use crate::base::put_lenenc_bytes;
use crate::protocol::capability;
use crate::protocol::mysql::{Login, OkPacket, TRACK_VARIABLES, client};

/// What a driver can be granted: the framing, extra info as TLV, LOAD DATA LOCAL.
const GRANTED: u64 =
    capability::OB_PROTOCOL_V2 | capability::NEW_EXTRA_INFO | capability::LOAD_DATA_LOCAL;

/// The variable that says what was granted.
const GRANTED_NAME: &[u8] = b"ob_capability_flag";
/// What the server has agreed with the driver itself, about result sets: it reads
/// `__ob_client_attribute_capability_flag`, which goes to servers as it is.
const AGREED_NAME: &[u8] = b"__ob_client_capability_flag";

/// What a client says of itself as a driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    /// The capability bits that it is granted; `None`: it is no driver.
    pub(super) granted: Option<u64>,
    /// It has named itself as one. Servers get the name, and treat it differently, whatever else it
    /// has said.
    pub(super) is_named: bool,
}

impl Said {
    /// In its login. `has_frames`: the settings let drivers have the framing.
    pub(super) fn of(login: &Login<'_>, has_frames: bool) -> Self {
        let name = attribute(login, b"__ob_client_name").unwrap_or_default();
        Self {
            granted: granted(login, has_frames),
            is_named: matches!(name, b"OceanBase Connector/C" | b"OceanBase Connector/J"),
        }
    }
}

/// An attribute of a login.
fn attribute<'a>(login: &Login<'a>, key: &[u8]) -> Option<&'a [u8]> {
    let mut attributes = login.attributes();
    attributes.find(|(k, _)| *k == key).map(|(_, v)| v)
}

/// What an OceanBase driver is granted; `None` for any other client.
fn granted(login: &Login<'_>, has_frames: bool) -> Option<u64> {
    let value = |key| attribute(login, key);
    let kind = value(b"__mysql_client_type")?;
    if !matches!(kind, b"__ob_libobclient" | b"__ob_jdbc_client") {
        return None;
    }
    let asked = value(b"__proxy_capability_flag").and_then(|v| std::str::from_utf8(v).ok());
    let granted = asked.and_then(|v| v.parse::<u64>().ok()).unwrap_or(0) & GRANTED;
    // What is granted stands in the state of the login's OK.
    let is_told = login.capabilities & client::SESSION_TRACK != 0;
    let has_frames = has_frames && is_told && granted & capability::OB_PROTOCOL_V2 != 0;
    Some(if has_frames { granted } else { 0 })
}

/// The state of a login's OK, in proxy-mode layout, as a driver that was granted this is to be told
/// it.
pub(super) fn told_at_login(ok: &OkPacket<'_>, granted: u64) -> Vec<u8> {
    let mut pairs = vec![];
    let mut put = |name: &[u8], value: &[u8]| {
        put_lenenc_bytes(&mut pairs, name);
        put_lenenc_bytes(&mut pairs, value);
    };
    let blocks = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
    let variables = blocks.flat_map(|block| block.variables());
    let system = variables.filter(|(_, _, is_user)| !*is_user);
    for (name, value, _) in system.clone() {
        if shown_at_login(TRACK_VARIABLES, name) {
            put(name, value);
        }
    }
    if granted != 0 {
        put(GRANTED_NAME, granted.to_string().as_bytes());
    }
    for (name, value, _) in system {
        if name == AGREED_NAME {
            put(name, value);
        }
    }
    let mut state = vec![TRACK_VARIABLES];
    put_lenenc_bytes(&mut state, &pairs);
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mysql::{StateBlocks, put_attribute};

    fn granted_to(kind: &str, flag: &str, capabilities: u32, has_frames: bool) -> Option<u64> {
        let mut attributes = vec![];
        put_attribute(&mut attributes, b"__mysql_client_type", kind.as_bytes());
        put_attribute(&mut attributes, b"__proxy_capability_flag", flag.as_bytes());
        let login = Login {
            capabilities,
            max_packet: 0,
            charset: 45,
            user: b"u",
            auth: b"",
            database: None,
            plugin: None,
            attributes: &attributes,
        };
        granted(&login, has_frames)
    }

    #[test]
    fn a_driver_is_granted_the_framing_if_it_can_be_told() {
        let track = client::SESSION_TRACK;
        let cases = [
            ("__ob_jdbc_client", "1480", track, true, Some(0x100)),
            ("__ob_jdbc_client", "1050056", track, true, Some(0x10_0100)),
            ("__ob_libobclient", "312576", track, true, Some(0x8100)),
            ("__ob_libobclient", "312576", track, false, Some(0)),
            ("__ob_libobclient", "312576", 0, true, Some(0)),
            ("__ob_libobclient", "32768", track, true, Some(0)),
            ("__ob_libobclient", "x", track, true, Some(0)),
            ("__ob_libobclient", "", track, true, Some(0)),
            ("mysql", "312576", track, true, None),
        ];
        for (kind, flag, capabilities, has_frames, want) in cases {
            let got = granted_to(kind, flag, capabilities, has_frames);
            assert_eq!(got, want, "{kind} {flag} {capabilities:#x} {has_frames}");
        }
    }

    #[test]
    fn a_driver_is_told_what_it_is_granted_here() {
        let mut pairs = vec![];
        for (name, value) in [
            (&b"autocommit"[..], &b"ON"[..]),
            (b"nls_date_format", b"DD-MON-RR"),
            (GRANTED_NAME, b"12172103"),
            (AGREED_NAME, b"2"),
            (b"__NULL", b"__NULL"),
            (b"_min_cluster_version", b"'1.3.0.0'"),
        ] {
            put_lenenc_bytes(&mut pairs, name);
            put_lenenc_bytes(&mut pairs, value);
        }
        let mut state = vec![TRACK_VARIABLES];
        put_lenenc_bytes(&mut state, &pairs);
        let ok = OkPacket {
            affected: 0,
            last_insert_id: 0,
            status: 0x4022,
            warnings: 0,
            message: b"",
            state: &state,
        };
        let told = |granted| {
            let state = told_at_login(&ok, granted);
            let ok = OkPacket {
                state: &state,
                ..ok
            };
            let blocks: StateBlocks<'_> = ok.blocks();
            let names = blocks.flat_map(|block| block.variables());
            let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
            names
                .map(|(name, value, _)| format!("{}={}", text(name), text(value)))
                .collect::<Vec<_>>()
        };
        let nls = "nls_date_format=DD-MON-RR";
        let agreed = "__ob_client_capability_flag=2";
        assert_eq!(told(0x8100), [nls, "ob_capability_flag=33024", agreed]);
        assert_eq!(told(0), [nls, agreed]);
    }
}
