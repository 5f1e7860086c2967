//! Where knowledge about a cluster comes from.

use crate::link::{Rows, RowsError};
use std::net::{IpAddr, SocketAddr};

/// The question of a round. Explicit columns, qualified view. Source: OceanBase 4.x dictionary.
pub(super) const SERVERS_SQL: &[u8] =
    b"SELECT /* obring */ svr_ip, sql_port FROM oceanbase.DBA_OB_SERVERS";

/// No such table: the kernel has no cluster views.
const NO_SUCH_TABLE: u16 = 1146;

/// What a round found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Servers by SQL address.
    pub(super) servers: Vec<SocketAddr>,
    /// Rows that could not be used.
    pub(super) bad_rows: usize,
}

/// Reads the answer to [`SERVERS_SQL`]. A kernel without cluster views has the servers of the
/// start-up list (design: "without cluster views the RS list is the server list").
pub(super) fn read(rows: &Rows, root_servers: &[SocketAddr]) -> Result<Found, String> {
    let rows = match rows.read() {
        Err(RowsError::Server(NO_SUCH_TABLE, _)) => {
            return Ok(Found {
                servers: root_servers.to_vec(),
                bad_rows: 0,
            });
        }
        Err(e) => return Err(format!("the server list cannot be read: {e}")),
        Ok(rows) => rows,
    };
    let mut found = Found {
        servers: vec![],
        bad_rows: 0,
    };
    for row in rows {
        match address(&row) {
            Some(server) if !found.servers.contains(&server) => found.servers.push(server),
            Some(_) => {}
            None => found.bad_rows += 1,
        }
    }
    if found.servers.is_empty() {
        return Err("the server list is empty".into());
    }
    Ok(found)
}

fn address(row: &[Option<&[u8]>]) -> Option<SocketAddr> {
    let [ip, port] = row else { return None };
    let text = |v: &Option<&[u8]>| std::str::from_utf8((*v)?).ok().map(str::to_owned);
    let ip: IpAddr = text(ip)?.parse().ok()?;
    let port: u16 = text(port)?.parse().ok().filter(|&p| p > 0)?;
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::mysql::{ErrPacket, ReplySink, put_packet};

    fn rows(values: &[[Option<&str>; 2]]) -> Rows {
        let mut b = vec![];
        put_packet(&mut b, 1, |b| b.push(2));
        for _ in 0..2 {
            put_packet(&mut b, 2, |b| b.extend_from_slice(b"\x03def"));
        }
        put_packet(&mut b, 4, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
        for row in values {
            put_packet(&mut b, 5, |b| {
                for v in row {
                    match v {
                        None => b.push(0xFB),
                        Some(v) => crate::base::put_lenenc_bytes(b, v.as_bytes()),
                    }
                }
            });
        }
        put_packet(&mut b, 6, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
        let mut rows = Rows::default();
        rows.collect(&b).pass(0, b.len());
        rows
    }

    #[test]
    fn one_bad_row_spoils_only_itself() {
        let list = ["127.0.0.1:2881".parse().unwrap()];
        let got = read(
            &rows(&[
                [Some("10.0.0.1"), Some("2881")],
                [None, Some("2881")],
                [Some("10.0.0.2"), Some("x")],
                [Some("10.0.0.3"), Some("0")],
                [Some("fe80::1"), Some("2881")],
                [Some("10.0.0.1"), Some("2881")],
            ]),
            &list,
        )
        .unwrap();
        let want = ["10.0.0.1:2881", "[fe80::1]:2881"].map(|a| a.parse().unwrap());
        assert_eq!((got.servers.as_slice(), got.bad_rows), (&want[..], 3));
        assert!(read(&rows(&[]), &list).is_err());
    }

    #[test]
    fn a_kernel_without_views_has_the_start_up_list_and_other_errors_fail() {
        let list = ["127.0.0.1:2881".parse().unwrap()];
        for (code, ok) in [(1146, true), (1142, false)] {
            let mut b = vec![];
            ErrPacket {
                code,
                sqlstate: b"HY000",
                message: b"no",
            }
            .put(&mut b, 1);
            let mut r = Rows::default();
            r.collect(&b).pass(0, b.len());
            assert_eq!(read(&r, &list).is_ok(), ok);
        }
    }
}
