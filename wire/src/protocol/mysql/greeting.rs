//! The server's first packet (HandshakeV10) and the auth switch.

use super::flags::client;
use super::put_packet;
use crate::base::{Cursor, Short};

/// Bytes of a scramble.
pub const SCRAMBLE_LEN: usize = 20;
/// The one authentication method that can be passed through: the kernel stores
/// SHA1(SHA1(password)).
pub const NATIVE_PASSWORD: &[u8] = b"mysql_native_password";
/// The method of clients without [`NATIVE_PASSWORD`]. Its answer proves nothing to a server that
/// has SHA1(SHA1(password)), so its full authentication is asked for, which tells the password.
pub const CACHING_SHA2_PASSWORD: &[u8] = b"caching_sha2_password";

/// HandshakeV10, the parts that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Version text without the NUL.
    pub version: Vec<u8>,
    /// Connection id.
    pub connection_id: u32,
    /// Offered capability bits.
    pub capabilities: u32,
    /// Default character set id.
    pub charset: u8,
    /// The challenge.
    pub scramble: [u8; SCRAMBLE_LEN],
}

impl Greeting {
    /// What this proxy offers to clients. LONG_PASSWORD..SECURE_CONNECTION without COMPRESS (never
    /// offered, the kernel does not either) and SSL, and the high bits named here. Not offered
    /// because the kernel has no notion of them: PLUGIN_AUTH_LENENC, DEPRECATE_EOF,
    /// QUERY_ATTRIBUTES. Source: C++ OBProxy's greeting, 0xF7DF in the low half.
    pub const OFFERED: u32 = (0xFFFF & !(client::COMPRESS | client::SSL))
        | client::MULTI_STATEMENTS
        | client::MULTI_RESULTS
        | client::PS_MULTI_RESULTS
        | client::PLUGIN_AUTH
        | client::CONNECT_ATTRS
        | client::SESSION_TRACK;

    /// utf8mb4_bin: what OBProxy and the kernel name in their greetings.
    pub const CHARSET: u8 = 46;

    /// Appends the packet, sequence 0.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_packet(out, 0, |b| {
            b.push(10);
            b.extend_from_slice(&self.version);
            b.push(0);
            b.extend_from_slice(&self.connection_id.to_le_bytes());
            let (first, second) = self.scramble.split_at(8);
            b.extend_from_slice(first);
            b.push(0);
            let [c0, c1, c2, c3] = self.capabilities.to_le_bytes();
            b.extend_from_slice(&[c0, c1, self.charset, 0, 0, c2, c3]);
            b.push(SCRAMBLE_LEN as u8 + 1);
            b.extend_from_slice(&[0; 10]);
            b.extend_from_slice(second);
            b.push(0);
            b.extend_from_slice(NATIVE_PASSWORD);
            b.push(0);
        });
    }

    /// Reads the payload of a greeting.
    pub fn parse(payload: &[u8]) -> Result<Self, Short> {
        let mut c = Cursor::new(payload);
        if c.u8()? != 10 {
            return Err(Short { at: 0 });
        }
        let version = c.until_nul()?.to_vec();
        let connection_id = c.u32()?;
        let mut scramble = [0; SCRAMBLE_LEN];
        let (head, tail) = scramble.split_at_mut(8);
        head.copy_from_slice(c.take(8)?);
        c.take(1)?;
        let low = c.u16()?;
        let charset = c.u8()?;
        c.take(2)?;
        let high = c.u16()?;
        c.take(11)?;
        tail.copy_from_slice(c.take(12)?);
        let capabilities = u32::from(low) | u32::from(high) << 16;
        Ok(Self {
            version,
            connection_id,
            capabilities,
            charset,
            scramble,
        })
    }
}

/// AuthSwitchRequest: 0xFE, plugin name NUL, scramble NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSwitch;

impl AuthSwitch {
    /// Appends a request to answer `scramble` by mysql_native_password.
    pub fn put(out: &mut Vec<u8>, seq: u8, scramble: &[u8; SCRAMBLE_LEN]) {
        Self::put_to(out, seq, NATIVE_PASSWORD, scramble);
    }

    /// Appends a request to answer `scramble` by `plugin`.
    pub fn put_to(out: &mut Vec<u8>, seq: u8, plugin: &[u8], scramble: &[u8; SCRAMBLE_LEN]) {
        put_packet(out, seq, |b| {
            b.push(0xFE);
            b.extend_from_slice(plugin);
            b.push(0);
            b.extend_from_slice(scramble);
            b.push(0);
        });
    }
}

/// AuthMoreData: 0x01, data of the plugin. Source: MySQL's protocol documentation, pages on
/// Protocol::AuthMoreData and caching_sha2_password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthMore;

impl AuthMore {
    /// Data of caching_sha2_password: the server wants the password itself.
    pub const FULL_AUTHENTICATION: u8 = 0x04;
    /// The client's answer to that: it wants the server's public key, and gets it as data, in PEM.
    pub const KEY_REQUEST: u8 = 0x02;

    /// Appends the packet.
    pub fn put(out: &mut Vec<u8>, seq: u8, data: &[u8]) {
        put_packet(out, seq, |b| {
            b.push(0x01);
            b.extend_from_slice(data);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_reads_as_written() {
        let g = Greeting {
            version: b"5.7.25".to_vec(),
            connection_id: 0x1234_5678,
            capabilities: Greeting::OFFERED,
            charset: Greeting::CHARSET,
            scramble: *b"ABCDEFGHIJKLMNOPQRST",
        };
        let mut out = vec![];
        g.put(&mut out);
        assert_eq!(Greeting::parse(&out[4..]), Ok(g));
        assert_eq!(Greeting::OFFERED & 0xFFFF, 0xF7DF);
        for cut in 0..out.len() - 4 - 23 {
            assert!(Greeting::parse(&out[4..4 + cut]).is_err(), "{cut}");
        }
    }
}
