//! Reroute: a server that would have to fetch everything from another names that one instead of
//! running a request.
//!
//! Its answer is error [`REROUTE`], and the OK behind that has the address in the user variable
//! [`INFO`]. Source: OceanBase wire facts, section 4.6; a single server never sends it.

use crate::base::{Cursor, Short};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The error that says so. It proves that the request did not run.
pub const REROUTE: u16 = 5727;

/// The user variable that has the address.
pub const INFO: &[u8] = b"ob_client_reroute_info";

/// Why a value of [`INFO`] cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BadInfo {
    /// It ends inside a field.
    Short(Short),
    /// The version of the address is neither 4 nor 6.
    Version(u64),
    /// This part of the address is too large.
    Address(u64),
    /// The port is 0 or too large.
    Port(u64),
}

impl fmt::Display for BadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = "ob_client_reroute_info";
        match self {
            Self::Short(e) => write!(f, "{name}: {e}"),
            Self::Version(v) => write!(f, "{name}: address version {v}, not 4 or 6"),
            Self::Address(v) => write!(f, "{name}: {v} is no address of version 4"),
            Self::Port(v) => write!(f, "{name}: port {v}"),
        }
    }
}

impl std::error::Error for BadInfo {}

impl From<Short> for BadInfo {
    fn from(short: Short) -> Self {
        Self::Short(short)
    }
}

/// Reads a value of [`INFO`]: the SQL address of the server that it names. Its length, then as
/// length-encoded integers the version of the address, the address (of version 6: upper and lower
/// half), port, role, type of the replica; then the table's name and its schema version. What
/// stands behind the port is not read.
///
/// # Errors
/// Not such a value.
pub fn better_server(value: &[u8]) -> Result<SocketAddr, BadInfo> {
    let mut c = Cursor::new(Cursor::new(value).lenenc_bytes()?);
    let ip = match c.lenenc()? {
        4 => {
            let bits = c.lenenc()?;
            let bits = u32::try_from(bits).map_err(|_| BadInfo::Address(bits))?;
            IpAddr::V4(Ipv4Addr::from(bits))
        }
        6 => {
            let (high, low) = (c.lenenc()?, c.lenenc()?);
            IpAddr::V6(Ipv6Addr::from(u128::from(high) << 64 | u128::from(low)))
        }
        other => return Err(BadInfo::Version(other)),
    };
    match c.lenenc()? {
        port @ 1..=0xFFFF => Ok(SocketAddr::new(ip, port as u16)),
        other => Err(BadInfo::Port(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = b"\x1b\x04\xFE\x02\x01\0\x7f\0\0\0\0\xFC\x41\x0B\x01\0\x02kv\
        \xFE\x00\x40\x1E\x18\x24\x0A\x06\x00";

    #[test]
    fn addresses_of_both_versions() {
        assert_eq!(better_server(V4), Ok("127.0.1.2:2881".parse().unwrap()));
        let v6 = b"\x0A\x06\0\x01\x07\x02\0\x02kv\x01";
        assert_eq!(better_server(v6), Ok("[::1]:7".parse().unwrap()));
    }

    #[test]
    fn what_is_no_address_is_named() {
        let error = |value: &[u8]| better_server(value).unwrap_err().to_string();
        for cut in 0..V4.len() {
            assert!(better_server(&V4[..cut]).is_err(), "{cut}");
        }
        let name = "ob_client_reroute_info";
        assert_eq!(
            error(b"\x01\x05"),
            format!("{name}: address version 5, not 4 or 6")
        );
        let long = b"\x0A\x04\xFE\0\0\0\0\x01\0\0\0";
        assert_eq!(
            error(long),
            format!("{name}: 4294967296 is no address of version 4")
        );
        assert_eq!(error(b"\x03\x04\x01\x00"), format!("{name}: port 0"));
        let high = b"\x06\x04\x01\xFD\0\0\x01";
        assert_eq!(error(high), format!("{name}: port 65536"));
    }
}
