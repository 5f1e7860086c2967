//! The client's login packet (HandshakeResponse41) and COM_CHANGE_USER.

use super::flags::client;
use crate::base::{Cursor, Short, put_lenenc, put_lenenc_bytes};
use std::fmt;

/// A login packet. Slices borrow from the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login<'a> {
    /// Capability bits that the client answers.
    pub capabilities: u32,
    /// Largest packet that the client accepts.
    pub max_packet: u32,
    /// Character set id.
    pub charset: u8,
    /// Full user name as typed (`user@tenant#cluster`).
    pub user: &'a [u8],
    /// Answer to the scramble.
    pub auth: &'a [u8],
    /// Database, if one is given.
    pub database: Option<&'a [u8]>,
    /// Name of the authentication plugin, if the client sends one.
    pub plugin: Option<&'a [u8]>,
    /// Connection attributes: encoded pairs of strings, without the total length.
    pub attributes: &'a [u8],
}

/// Why a login packet cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// A field reaches past the end.
    Short(Short),
    /// The 32-byte request for TLS.
    TlsRequest,
    /// The client does not speak protocol 4.1.
    OldProtocol,
}

impl From<Short> for LoginError {
    fn from(e: Short) -> Self {
        Self::Short(e)
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(s) => write!(f, "malformed login packet: {s}"),
            Self::TlsRequest => f.write_str("TLS was requested but is not offered"),
            Self::OldProtocol => f.write_str("the client does not speak protocol 4.1"),
        }
    }
}

impl std::error::Error for LoginError {}

impl<'a> Login<'a> {
    /// Payload of the TLS request: capabilities, max packet, charset, 23 reserved bytes.
    const TLS_REQUEST_LEN: usize = 32;

    /// Reads the payload of a login packet.
    pub fn parse(payload: &'a [u8]) -> Result<Self, LoginError> {
        let mut c = Cursor::new(payload);
        let capabilities = c.u32()?;
        if capabilities & client::PROTOCOL_41 == 0 {
            return Err(LoginError::OldProtocol);
        }
        if capabilities & client::SSL != 0 && payload.len() == Self::TLS_REQUEST_LEN {
            return Err(LoginError::TlsRequest);
        }
        let max_packet = c.u32()?;
        let charset = c.u8()?;
        c.take(23)?;
        let user = c.until_nul()?;
        let auth = if capabilities & client::PLUGIN_AUTH_LENENC != 0 {
            c.lenenc_bytes()?
        } else if capabilities & client::SECURE_CONNECTION != 0 {
            let n = c.u8()?;
            c.take(usize::from(n))?
        } else {
            c.until_nul()?
        };
        let database = if capabilities & client::CONNECT_WITH_DB != 0 {
            Some(until_nul_or_end(&mut c))
        } else {
            None
        };
        let plugin = if capabilities & client::PLUGIN_AUTH != 0 {
            Some(until_nul_or_end(&mut c))
        } else {
            None
        };
        let attributes = if capabilities & client::CONNECT_ATTRS != 0 && c.left() > 0 {
            attributes(&mut c)?
        } else {
            &[]
        };
        Ok(Self {
            capabilities,
            max_packet,
            charset,
            user,
            auth,
            database,
            plugin,
            attributes,
        })
    }

    /// Appends the payload.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.capabilities.to_le_bytes());
        out.extend_from_slice(&self.max_packet.to_le_bytes());
        out.push(self.charset);
        out.extend_from_slice(&[0; 23]);
        out.extend_from_slice(self.user);
        out.push(0);
        if self.capabilities & client::PLUGIN_AUTH_LENENC != 0 {
            put_lenenc_bytes(out, self.auth);
        } else if self.capabilities & client::SECURE_CONNECTION != 0 {
            out.push(self.auth.len() as u8);
            out.extend_from_slice(self.auth);
        } else {
            out.extend_from_slice(self.auth);
            out.push(0);
        }
        if self.capabilities & client::CONNECT_WITH_DB != 0 {
            out.extend_from_slice(self.database.unwrap_or_default());
            out.push(0);
        }
        if self.capabilities & client::PLUGIN_AUTH != 0 {
            out.extend_from_slice(self.plugin.unwrap_or_default());
            out.push(0);
        }
        if self.capabilities & client::CONNECT_ATTRS != 0 {
            put_lenenc(out, self.attributes.len() as u64);
            out.extend_from_slice(self.attributes);
        }
    }

    /// The client's connection attributes as pairs; stops at the first malformed one.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut c = Cursor::new(self.attributes);
        std::iter::from_fn(move || {
            if c.left() == 0 {
                return None;
            }
            Some((c.lenenc_bytes().ok()?, c.lenenc_bytes().ok()?))
        })
    }
}

/// Some clients leave out the NUL of the last string.
fn until_nul_or_end<'a>(c: &mut Cursor<'a>) -> &'a [u8] {
    let before = c.clone();
    c.until_nul().unwrap_or_else(|_| {
        *c = before;
        c.rest()
    })
}

/// The attribute block. Old Connector/J sends a stray NUL in front of it when no database is given
/// (source: C++ OBProxy's parser): such a NUL would read as an empty block with bytes left behind.
fn attributes<'a>(c: &mut Cursor<'a>) -> Result<&'a [u8], Short> {
    let mut plain = c.clone();
    let got = plain.lenenc_bytes();
    if let Ok(got) = got
        && (plain.left() == 0 || !got.is_empty())
    {
        *c = plain;
        return Ok(got);
    }
    let mut skipped = c.clone();
    if skipped.u8()? == 0
        && let Ok(got) = skipped.lenenc_bytes()
    {
        *c = skipped;
        return Ok(got);
    }
    got
}

/// Appends one connection attribute.
pub fn put_attribute(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    put_lenenc_bytes(out, key);
    put_lenenc_bytes(out, value);
}

/// COM_CHANGE_USER. Slices borrow from the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// Full user name as typed.
    pub user: &'a [u8],
    /// Answer to the scramble of the greeting.
    pub auth: &'a [u8],
    /// Database; empty means none.
    pub database: &'a [u8],
    /// What follows the database: charset u16, plugin NUL, attributes; each may be missing.
    pub charset: Option<u16>,
    /// Authentication plugin.
    pub plugin: Option<&'a [u8]>,
}

impl<'a> ChangeUser<'a> {
    /// Reads the payload, command byte included.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Short> {
        let mut c = Cursor::new(payload);
        c.u8()?;
        let user = c.until_nul()?;
        let n = c.u8()?;
        let auth = c.take(usize::from(n))?;
        let database = c.until_nul()?;
        let charset = if c.left() >= 2 { Some(c.u16()?) } else { None };
        let plugin = if c.left() > 0 {
            Some(c.until_nul()?)
        } else {
            None
        };
        Ok(Self {
            user,
            auth,
            database,
            charset,
            plugin,
        })
    }

    /// Appends the payload with another user name and without attributes: the connection keeps
    /// those it logged in with (observed on seekdb 1.3.0.post5).
    pub fn put(&self, out: &mut Vec<u8>, user: &[u8], plugin_auth: bool) {
        out.push(super::Command::CHANGE_USER.0);
        out.extend_from_slice(user);
        out.push(0);
        out.push(self.auth.len() as u8);
        out.extend_from_slice(self.auth);
        out.extend_from_slice(self.database);
        out.push(0);
        if let Some(charset) = self.charset {
            out.extend_from_slice(&charset.to_le_bytes());
            if plugin_auth && let Some(plugin) = self.plugin {
                out.extend_from_slice(plugin);
                out.push(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Login<'static> {
        Login {
            capabilities: client::PROTOCOL_41 | client::SECURE_CONNECTION,
            max_packet: 1 << 24,
            charset: 45,
            user: b"root@sys#ob1",
            auth: b"12345678901234567890",
            database: None,
            plugin: None,
            attributes: b"",
        }
    }

    #[test]
    fn every_field_combination_reads_as_written() {
        let bits = [
            client::CONNECT_WITH_DB,
            client::PLUGIN_AUTH,
            client::CONNECT_ATTRS,
            client::PLUGIN_AUTH_LENENC,
        ];
        for mask in 0..16u32 {
            let mut l = base();
            for (i, bit) in bits.iter().enumerate() {
                if mask >> i & 1 == 1 {
                    l.capabilities |= bit;
                }
            }
            let mut attrs = vec![];
            put_attribute(&mut attrs, b"_os", b"linux");
            if mask & 1 != 0 {
                l.database = Some(b"test");
            }
            if mask & 2 != 0 {
                l.plugin = Some(NATIVE);
            }
            if mask & 4 != 0 {
                l.attributes = &attrs;
            }
            let mut out = vec![];
            l.put(&mut out);
            let back = Login::parse(&out).unwrap();
            assert_eq!(back, l);
            assert_eq!(back.attributes().count(), usize::from(mask & 4 != 0));
        }
    }
    const NATIVE: &[u8] = b"mysql_native_password";

    #[test]
    fn truncation_and_requests_for_tls_are_named() {
        let mut l = base();
        l.capabilities |= client::CONNECT_ATTRS;
        let mut out = vec![];
        l.put(&mut out);
        for cut in 0..32 + l.user.len() + 1 {
            assert!(Login::parse(&out[..cut]).is_err(), "{cut}");
        }
        let tls = (client::PROTOCOL_41 | client::SSL).to_le_bytes();
        let mut p = tls.to_vec();
        p.resize(32, 0);
        assert_eq!(Login::parse(&p), Err(LoginError::TlsRequest));
        assert_eq!(Login::parse(&[0; 40]), Err(LoginError::OldProtocol));
    }

    #[test]
    fn the_stray_nul_of_old_connector_j_is_tolerated() {
        let mut l = base();
        l.capabilities |= client::CONNECT_ATTRS | client::PLUGIN_AUTH;
        l.plugin = Some(NATIVE);
        let mut attrs = vec![];
        put_attribute(&mut attrs, b"k", b"v");
        l.attributes = &attrs;
        let mut out = vec![];
        l.put(&mut out);
        let at = out.len() - attrs.len() - 1;
        out.insert(at, 0);
        assert_eq!(Login::parse(&out).unwrap().attributes, &attrs[..]);
    }

    #[test]
    fn change_user_is_rewritten_without_attributes() {
        let mut p = vec![0x11];
        p.extend_from_slice(b"u2@sys#ob1\0\x03abctest\0");
        p.extend_from_slice(&[45, 0]);
        p.extend_from_slice(b"mysql_native_password\0\x04\x01k\x01v");
        let c = ChangeUser::parse(&p).unwrap();
        let mut out = vec![];
        c.put(&mut out, b"u2@sys", true);
        let again = ChangeUser::parse(&out).unwrap();
        assert_eq!(
            (again.user, again.auth, again.database),
            (&b"u2@sys"[..], &b"abc"[..], &b"test"[..])
        );
        assert_eq!((again.charset, again.plugin), (Some(45), Some(NATIVE)));
        assert!(ChangeUser::parse(b"\x11root\0\x14short").is_err());
    }
}
