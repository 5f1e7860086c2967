//! The login packet: who comes, whether this server takes them, and what the kernel gets to see.

use super::made::refusals;
use crate::state::State;
use crate::views::Refusal;
use obring_wire::protocol::mysql::{Login, LoginError, client, put_attribute};

/// The attribute that makes a client a proxy.
const PROXY: (&[u8], &[u8]) = (b"__mysql_client_type", b"__ob_proxy");
/// The user that proxies have for themselves.
pub(super) const PROXY_USER: &str = "proxyro";
const CLUSTER_NAME: &[u8] = b"__cluster_name";
/// Bytes between the character set and the user name. They are kept as they came.
const RESERVED: std::ops::Range<usize> = 9..32;

/// Who a link belongs to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Who {
    pub(super) user: String,
    pub(super) tenant: String,
    pub(super) is_proxy: bool,
    /// The client compresses on its own account.
    pub(super) is_opaque: bool,
    pub(super) database: String,
    pub(super) proxy_sid: String,
    pub(super) client_sid: String,
    pub(super) connect_time: String,
    pub(super) proxy_version: String,
    /// `__proxy_capability_flag`.
    pub(super) asked: u64,
    /// It has named itself as a driver of OceanBase.
    pub(super) is_named_driver: bool,
}

/// Splits `user@tenant`; without a tenant it is `sys`.
pub(super) fn split_user(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, "sys"))
}

/// The name that the kernel knows: all tenants share its only one.
pub(super) fn kernel_user(name: &str) -> String {
    match name.split_once('@') {
        Some((user, _)) => format!("{user}@sys"),
        None => name.into(),
    }
}

/// Where a user of this tenant is refused on this server, and how.
pub(super) fn refuse_tenant(
    state: &State,
    server: u32,
    user: &str,
    tenant: &str,
    has_password: bool,
) -> Option<Refusal> {
    match state.tenant(tenant) {
        // Proxies have their user in sys only; the kernel's one tenant knows it for all.
        Some(t) if user == PROXY_USER && !t.is_sys() => {
            Some(refusals::access_denied(user, has_password))
        }
        None => Some(refusals::access_denied(user, has_password)),
        Some(t) if !t.servers.contains(&server) => Some(refusals::tenant_not_here()),
        Some(_) => None,
    }
}

/// Length of a login packet that ends behind its reserved bytes: TLS comes next.
const TLS_REQUEST_LEN: usize = 32;

/// True for the packet in front of a handshake of TLS.
pub(crate) fn asks_for_tls(payload: &[u8]) -> bool {
    let capabilities = payload.first_chunk().map(|c| u32::from_le_bytes(*c));
    payload.len() == TLS_REQUEST_LEN && capabilities.is_some_and(|c| c & client::SSL != 0)
}

/// Reads a login packet.
pub(super) fn who(payload: &[u8]) -> Result<Who, LoginError> {
    let login = Login::parse(payload)?;
    let name = String::from_utf8_lossy(login.user).into_owned();
    let (user, tenant) = split_user(&name);
    let mut who = Who {
        user: user.into(),
        tenant: tenant.into(),
        database: text(login.database.unwrap_or_default()),
        is_opaque: login.capabilities & client::COMPRESS != 0,
        ..Who::default()
    };
    for (key, value) in login.attributes() {
        who.is_proxy |= (key, value) == PROXY;
        match key {
            b"__proxy_connection_id" => who.proxy_sid = text(value),
            b"__client_session_id" => who.client_sid = text(value),
            b"__client_connect_time" => who.connect_time = text(value),
            b"__proxy_version" => who.proxy_version = text(value),
            b"__ob_client_name" => {
                let names = [&b"OceanBase Connector/C"[..], b"OceanBase Connector/J"];
                who.is_named_driver = names.contains(&value);
            }
            b"__proxy_capability_flag" => who.asked = text(value).parse().unwrap_or(0),
            _ => {}
        }
    }
    Ok(who)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The payload that the kernel gets instead: the name of its tenant, no name of a cluster, all
/// else as it came. Or the refusal of this server.
pub(super) fn judge(
    payload: &[u8],
    who: &Who,
    state: &State,
    server: u32,
) -> Result<Vec<u8>, Refusal> {
    let Ok(mut login) = Login::parse(payload) else {
        return Err(Refusal::new(1043, "08S01", "Bad handshake"));
    };
    let has_password = !login.auth.is_empty();
    if let Some(refusal) = refuse_tenant(state, server, &who.user, &who.tenant, has_password) {
        return Err(refusal);
    }
    let mut attributes = vec![];
    for (key, value) in login.attributes() {
        if key != CLUSTER_NAME {
            put_attribute(&mut attributes, key, value);
        } else if value != state.name.as_bytes() {
            return Err(refusals::other_cluster(&state.name));
        }
    }
    let name = kernel_user(&String::from_utf8_lossy(login.user));
    login.user = name.as_bytes();
    login.attributes = &attributes;
    let mut out = vec![];
    login.put(&mut out);
    if let (Some(to), Some(from)) = (out.get_mut(RESERVED), payload.get(RESERVED)) {
        to.copy_from_slice(from);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    fn packet(user: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
        let mut block = vec![];
        for (key, value) in attributes {
            put_attribute(&mut block, key.as_bytes(), value.as_bytes());
        }
        let login = Login {
            capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION | client::CONNECT_ATTRS,
            max_packet: 1 << 24,
            charset: 45,
            user: user.as_bytes(),
            auth: b"",
            database: None,
            plugin: None,
            attributes: &block,
        };
        let mut out = vec![];
        login.put(&mut out);
        out
    }

    fn judged(user: &str, attributes: &[(&str, &str)], server: u32) -> Result<String, u16> {
        let topology = Topology {
            tenants: vec!["test:1,3".parse().unwrap()],
            ..Topology::default()
        };
        let state = State::new(&topology, &[], 0);
        let payload = packet(user, attributes);
        let who = who(&payload).unwrap();
        let seen = judge(&payload, &who, &state, server).map_err(|r| r.code)?;
        let login = Login::parse(&seen).unwrap();
        let keys = login.attributes().map(|(k, _)| text(k));
        let shown: Vec<String> = std::iter::once(text(login.user)).chain(keys).collect();
        Ok(shown.join(" "))
    }

    #[test]
    fn the_kernel_sees_its_own_tenant_and_no_cluster() {
        let attributes = [
            ("__mysql_client_type", "__ob_proxy"),
            ("__cluster_name", "obcluster"),
        ];
        let seen = judged("root@test", &attributes, 3);
        assert_eq!(seen, Ok("root@sys __mysql_client_type".into()));
        assert_eq!(judged("root", &[], 2), Ok("root".into()));
        assert_eq!(judged("root@sys", &[], 2), Ok("root@sys".into()));
    }

    #[test]
    fn what_a_server_refuses_is_refused() {
        let other = [("__cluster_name", "ob2")];
        for (user, attributes, server, code) in [
            ("root@nosuch", &[][..], 1, 1045),
            ("root@test#obcluster", &[], 1, 1045),
            ("root@TEST", &[], 1, 1045),
            ("proxyro@test", &[], 1, 1045),
            ("root@test", &[], 2, 5150),
            ("root@test", &other, 1, 4666),
            ("root@nosuch", &other, 1, 1045),
        ] {
            assert_eq!(judged(user, attributes, server), Err(code), "{user}");
        }
    }
}
