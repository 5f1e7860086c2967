//! The tables of a world: who leads them, what a look-up is told, and how a server names a better
//! one. Shares no code with what reads them.

use super::cluster::{Cluster, Row, address, select};
use super::script;
use crate::base::{put_lenenc, put_lenenc_bytes};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Tables of the tenant that is not everywhere: `t0` to `t3`, each of one tablet.
pub(super) const TABLES: u64 = 4;

/// The text between a statement's seed and the number of its table.
pub(super) const FROM: &[u8] = b" from test.t";

/// The answer of a server that names a better one.
const REROUTE: u16 = 5727;

/// No server has this address.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99)), 2881);

/// Columns of `__all_virtual_proxy_schema`.
const COLUMNS: [&str; 11] = [
    "table_name",
    "tablet_id",
    "table_id",
    "part_num",
    "schema_version",
    "role",
    "replica_type",
    "dup_replica_type",
    "svr_ip",
    "sql_port",
    "complex_table_type",
];

/// The table that a statement reads, if it names one.
pub(super) fn table_of(statement: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(statement, FROM)?;
    let digit = statement.get(at + FROM.len())?;
    Some(u64::from(digit - b'0'))
}

impl Cluster {
    /// The server that leads a table: none that an operator has stopped, if there is another.
    pub(super) fn leader(&self, table: u64) -> SocketAddr {
        let is_stopped = |server: &SocketAddr| self.servers.get(server) == Some(&true);
        let mut able = self.tenant.clone();
        able.retain(|server| !is_stopped(server));
        let able = if able.is_empty() { &self.tenant } else { &able };
        able[(table + self.elections) as usize % able.len()]
    }

    /// The answer to a look-up of tables by their names, or of one tablet.
    pub(super) fn locate(&self, rest: &str, columns: &str, seq: u8) -> Vec<u8> {
        let mut rows: Vec<Row> = vec![];
        for table in (0..TABLES).filter(|n| rest.contains(&format!("'t{n}'"))) {
            for server in &self.tenant {
                let role = if *server == self.leader(table) { 1 } else { 2 };
                let numbers = [1_000 + table, 500 + table, 1, 7, role, 0, 0];
                let mut row = vec![Some(format!("t{table}"))];
                row.extend(numbers.map(|n| Some(n.to_string())));
                row.extend(address(*server));
                row.push(Some("0".into()));
                rows.push(row);
            }
        }
        select(&COLUMNS, &rows, columns, seq)
    }

    /// The answer of a server that does not lead the table of a request that may go elsewhere. Some
    /// name a server that there is not.
    pub(super) fn reroute(&mut self, table: u64, seed: u64, seq: u8) -> Vec<u8> {
        self.reroutes += 1;
        let server = match seed % 8 {
            0 => NOBODY,
            _ => self.leader(table),
        };
        let mut place = vec![];
        if let IpAddr::V4(ip) = server.ip() {
            put_lenenc(&mut place, 4);
            put_lenenc(&mut place, u32::from(ip).into());
        }
        put_lenenc(&mut place, server.port().into());
        // A leader with all data, of a table in this version.
        put_lenenc(&mut place, 1);
        put_lenenc(&mut place, 0);
        put_lenenc_bytes(&mut place, format!("t{table}").as_bytes());
        put_lenenc(&mut place, 7);
        let mut value = vec![];
        put_lenenc_bytes(&mut value, &place);
        let user = [("ob_client_reroute_info".to_owned(), value)];
        let mut out = script::error(seq, REROUTE, "the leader is elsewhere");
        let ok = script::proxy_ok(0, 2, "", &[], &user, None);
        out.extend_from_slice(&script::packet(seq.wrapping_add(1), &ok));
        out
    }
}
