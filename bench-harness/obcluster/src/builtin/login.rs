//! Who logs in, and what they are told.

use super::data::{Data, User};
use super::reply::{Done, Failure, Packets};
use obring_wire::base::{put_lenenc, put_lenenc_bytes};
use obring_wire::protocol::mysql::{
    Login, NATIVE_PASSWORD, SCRAMBLE_LEN, TRACK_SCHEMA, TRACK_STATE, TRACK_VARIABLES, client,
    status,
};
use sha1::{Digest, Sha1};

/// What the engine grants of what a proxy asks for: all that OceanBase 4.3 does, and weak-read
/// feedback (bit 17), which seekdb does not.
pub(super) const GRANTED: u64 = 0xFF_FFFF & !(1 << 4);
/// The scramble of a proxy that sends none.
const CONSTANT: [u8; SCRAMBLE_LEN] = *b"aaaaaaaabbbbbbbbbbbb";
/// Proxies know the switch of the method from this version on, at a login and at COM_CHANGE_USER.
const SWITCH_LOGIN: [u32; 4] = [4, 3, 3, 0];
const SWITCH_CHANGE: [u32; 4] = [4, 2, 3, 0];
/// The only tenant.
const TENANT: &str = "sys";
/// What a direct client that tracks its session is told of it.
const DIRECT: [&str; 3] = [
    "nls_date_format",
    "nls_timestamp_format",
    "nls_timestamp_tz_format",
];

/// Who a session belongs to.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    /// Without tenant.
    pub(super) user: String,
    pub(super) is_proxy: bool,
    pub(super) capabilities: u32,
    /// Character set of the login packet.
    pub(super) charset: u8,
    /// `__proxy_capability_flag`, as far as granted.
    pub(super) granted: u64,
    /// `__client_session_id`.
    pub(super) client_id: Option<u32>,
    proxy_version: [u32; 4],
    /// What passwords are checked against.
    pub(super) scramble: [u8; SCRAMBLE_LEN],
}

/// A login that was read.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) who: Who,
    pub(super) tenant: String,
    pub(super) auth: Vec<u8>,
    pub(super) database: String,
    pub(super) plugin: Option<Vec<u8>>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The parts of `user@tenant`; without a tenant it is `sys`.
pub(super) fn split(name: &[u8]) -> (String, String) {
    let name = text(name);
    let (user, tenant) = name.split_once('@').unwrap_or((&name, TENANT));
    (user.into(), tenant.into())
}

impl Arrival {
    /// Reads a login packet on a session that was greeted with this scramble.
    pub(super) fn read(payload: &[u8], own: [u8; SCRAMBLE_LEN]) -> Option<Self> {
        let login = Login::parse(payload).ok()?;
        let (user, tenant) = split(login.user);
        let mut who = Who {
            user,
            capabilities: login.capabilities,
            charset: login.charset,
            scramble: own,
            ..Who::default()
        };
        let mut mixed = None;
        for (key, value) in login.attributes() {
            match key {
                b"__mysql_client_type" => who.is_proxy |= value == b"__ob_proxy",
                b"__proxy_capability_flag" => {
                    who.granted = text(value).parse::<u64>().unwrap_or(0) & GRANTED;
                }
                b"__client_session_id" => who.client_id = text(value).parse().ok(),
                b"__proxy_version" => {
                    let version = text(value);
                    let numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
                    for (place, n) in who.proxy_version.iter_mut().zip(numbers) {
                        *place = n;
                    }
                }
                b"__proxy_scramble" => mixed = <[u8; SCRAMBLE_LEN]>::try_from(value).ok(),
                _ => {}
            }
        }
        if let Some(mixed) = mixed {
            for (byte, other) in who.scramble.iter_mut().zip(mixed) {
                *byte ^= other;
            }
        } else if who.is_proxy {
            who.scramble = CONSTANT;
        }
        if !who.is_proxy {
            who.granted = 0;
        }
        Some(Self {
            who,
            tenant,
            auth: login.auth.to_vec(),
            database: text(login.database.unwrap_or_default()),
            plugin: (login.capabilities & client::PLUGIN_AUTH != 0)
                .then(|| login.plugin.unwrap_or_default().to_vec()),
        })
    }
}

impl Who {
    /// True if this client can be told to use another method.
    pub(super) fn knows_switch(&self, is_change: bool) -> bool {
        let since = if is_change {
            SWITCH_CHANGE
        } else {
            SWITCH_LOGIN
        };
        !self.is_proxy || self.proxy_version >= since
    }

    /// True for a proxy that has said its version.
    pub(super) fn has_version(&self) -> bool {
        self.proxy_version != [0; 4]
    }

    pub(super) const fn tracks(&self) -> bool {
        self.capabilities & client::SESSION_TRACK != 0
    }

    pub(super) const fn has(&self, bits: u64) -> bool {
        self.granted & bits == bits
    }
}

/// The user of this name.
pub(super) fn find<'d>(data: &'d Data, user: &str, tenant: &str) -> Option<&'d User> {
    let is_here = tenant == TENANT;
    let mut users = data.layout.users.iter().filter(|_| is_here);
    users.find(|u| u.name == user)
}

/// The refusal of a login. The address is hidden, as the kernel does it.
pub(super) fn denied(user: &str, auth: &[u8]) -> Failure {
    let used = if auth.is_empty() { "NO" } else { "YES" };
    let text =
        format!("Access denied for user '{user}'@'xxx.xxx.xxx.xxx' (using password: {used})");
    Failure::new(1045, "42000", text)
}

/// True if an answer of mysql_native_password proves the password.
pub(super) fn is_right(user: &User, scramble: &[u8; SCRAMBLE_LEN], answer: &[u8]) -> bool {
    let Some(stored) = &user.hash else {
        return answer.is_empty();
    };
    let Ok(answer) = <[u8; 20]>::try_from(answer) else {
        return false;
    };
    // The answer is SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))).
    let mut hash = Sha1::new();
    hash.update(scramble);
    hash.update(stored);
    let mask = hash.finalize();
    let mut once = answer;
    for (byte, m) in once.iter_mut().zip(mask) {
        *byte ^= m;
    }
    Sha1::digest(once).as_slice() == stored
}

/// True for a login that must be switched to mysql_native_password first.
pub(super) fn needs_switch(user: &User, arrival: &Arrival) -> bool {
    let other = arrival
        .plugin
        .as_deref()
        .is_some_and(|p| p != NATIVE_PASSWORD);
    other && user.hash.is_some() && arrival.who.knows_switch(false)
}

/// The OK of a login, or of a change of the user.
pub(super) fn put_ok(packets: &mut Packets, data: &Data, who: &Who, database: &str) {
    let bits = status::AUTOCOMMIT | status::NO_INDEX;
    if !who.is_proxy {
        if !who.tracks() {
            packets.ok(&Done::default(), bits, None);
            return;
        }
        let mut blocks = vec![];
        for name in DIRECT {
            let mut pair = vec![];
            put_pair(
                &mut pair,
                name,
                data.defaults.find(name).map_or("", |d| d.1),
            );
            blocks.push(TRACK_VARIABLES);
            put_lenenc_bytes(&mut blocks, &pair);
        }
        put_state_ok(packets, bits, &blocks);
        return;
    }
    let mut pairs = Vec::with_capacity(32 << 10);
    let granted = who.granted.to_string();
    for (name, value) in data.defaults.iter() {
        let value = if name == "ob_capability_flag" {
            &granted
        } else {
            value
        };
        put_pair(&mut pairs, name, value);
    }
    put_pair(&mut pairs, "__NULL", "__NULL");
    put_pair(&mut pairs, "_min_cluster_version", "'1.3.0.0'");
    let mut blocks = vec![TRACK_VARIABLES];
    put_lenenc_bytes(&mut blocks, &pairs);
    let mut schema = vec![];
    put_lenenc_bytes(&mut schema, database.as_bytes());
    blocks.push(TRACK_SCHEMA);
    put_lenenc_bytes(&mut blocks, &schema);
    blocks.extend_from_slice(&[TRACK_STATE, 2, 1, b'1']);
    put_state_ok(packets, bits, &blocks);
}

fn put_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    put_lenenc_bytes(out, name.as_bytes());
    put_lenenc_bytes(out, value.as_bytes());
}

fn put_state_ok(packets: &mut Packets, bits: u16, blocks: &[u8]) {
    packets.put(|b| {
        b.extend_from_slice(&[0, 0, 0]);
        b.extend_from_slice(&(bits | status::STATE_CHANGED).to_le_bytes());
        b.extend_from_slice(&[0, 0, 0]);
        put_lenenc(b, blocks.len() as u64);
        b.extend_from_slice(blocks);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_the_password() {
        let scramble = *b"ABCDEFGHIJKLMNOPQRST";
        let once: [u8; 20] = Sha1::digest(b"secret").into();
        let user = User {
            name: "u".into(),
            hash: Some(Sha1::digest(once).into()),
        };
        let mut hash = Sha1::new();
        hash.update(scramble);
        hash.update(user.hash.unwrap());
        let mask: [u8; 20] = hash.finalize().into();
        let answer: Vec<u8> = once.iter().zip(mask).map(|(a, b)| a ^ b).collect();
        assert!(is_right(&user, &scramble, &answer));
        assert!(!is_right(&user, &scramble, b""));
        assert!(!is_right(&user, b"another.scramble....", &answer));
        let open = User { hash: None, ..user };
        assert!(is_right(&open, &scramble, b"") && !is_right(&open, &scramble, &answer));
    }

    #[test]
    fn the_recorded_answer_is_right() {
        // User u1, password `secret`, scramble of the proxy, recorded on seekdb 1.3.0.post5.
        let answer = [
            0x28, 0x44, 0x15, 0x90, 0x67, 0x42, 0x85, 0xE7, 0xD0, 0x3C, 0xAE, 0x7A, 0xF2, 0x37,
            0x50, 0x47, 0x97, 0xF7, 0x0E, 0x91,
        ];
        let once: [u8; 20] = Sha1::digest(b"secret").into();
        let user = User {
            name: "u1".into(),
            hash: Some(Sha1::digest(once).into()),
        };
        assert!(is_right(&user, b"ABCDEFGHIJKLMNOPQRST", &answer));
    }
}
