//! The cluster of a world: its servers, where its tenants are, and what its views say. Shares no
//! code with what reads them.

use super::binding::Bindings;
use super::script::{self, Packets};
use crate::base::{Rng, put_lenenc_bytes};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// The tenant of the world that is not on all servers.
pub(super) const TENANT: &[u8] = b"one";

/// What is wrong with the views.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ViewTrouble {
    /// Nothing.
    No,
    /// Every question is answered with an error.
    Errors,
    /// There are no rows.
    Empty,
    /// The servers have a status that nobody knows.
    UnknownStatus,
    /// A column of each view is missing.
    MissingColumn,
    /// One row makes no sense.
    BadRow,
}

/// What all servers of a world have in common.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// `proxyro` may log in.
    pub(super) proxyro_ok: bool,
    /// There are views.
    pub(super) has_views: bool,
    /// Packets above 16 MB occur.
    pub(super) is_big: bool,
    /// The servers, and whether an operator has stopped them.
    pub(super) servers: BTreeMap<SocketAddr, bool>,
    /// Where [`TENANT`] is.
    pub(super) tenant: Vec<SocketAddr>,
    /// What is wrong with the views.
    pub(super) trouble: ViewTrouble,
    /// Leaders have moved so often.
    pub(super) elections: u64,
    /// A server has named a better one so often.
    pub(super) reroutes: u64,
    /// Connections whose statements a server was asked to end.
    pub(super) interrupted: Vec<u32>,
    /// Look-ups of [`TENANT`] so far.
    pub(super) lookups: u64,
    /// What sessions have on one server.
    pub(super) bindings: Bindings,
    /// How often each statement has run: by its command and its seed.
    runs: HashMap<(u8, u64), u32>,
    /// So many are allowed: one at first, and one for each change that needs one.
    pub(super) lookups_max: u64,
}

impl Cluster {
    /// Three servers.
    pub(super) fn new(proxyro_ok: bool, has_views: bool, is_big: bool) -> Self {
        let servers: Vec<_> = (1..=3)
            .map(|n| SocketAddr::from(([127, 0, 0, n], 2881)))
            .collect();
        Self {
            proxyro_ok,
            has_views,
            is_big,
            tenant: servers.iter().copied().take(2).collect(),
            servers: servers.into_iter().map(|s| (s, false)).collect(),
            trouble: ViewTrouble::No,
            elections: 0,
            reroutes: 0,
            interrupted: vec![],
            lookups: 0,
            bindings: Bindings::default(),
            runs: HashMap::new(),
            lookups_max: 1,
        }
    }

    /// True if that tenant is on that server.
    pub(super) fn has(&self, tenant: &[u8], server: SocketAddr) -> bool {
        tenant != TENANT || !self.has_views || self.tenant.contains(&server)
    }

    /// A server has run a statement.
    pub(super) fn has_run(&mut self, statement: (u8, u64)) {
        *self.runs.entry(statement).or_default() += 1;
    }

    /// How often it has run so far.
    pub(super) fn runs(&self, statement: (u8, u64)) -> u32 {
        self.runs.get(&statement).copied().unwrap_or_default()
    }

    /// Moves the tenant to some of the servers, other ones than now if there are any.
    pub(super) fn move_tenant(&mut self, rng: &mut Rng) {
        let others: Vec<_> = self.servers.keys().copied().collect();
        let others: Vec<_> = others
            .into_iter()
            .filter(|s| !self.tenant.contains(s))
            .collect();
        if others.is_empty() {
            let at = rng.below(self.tenant.len() as u64) as usize;
            self.tenant = vec![self.tenant[at]];
        } else {
            self.tenant = others;
        }
        self.lookups_max += 1;
    }

    /// Takes a server away. It must not be the last one.
    pub(super) fn remove(&mut self, server: SocketAddr) {
        self.servers.remove(&server);
        self.tenant.retain(|s| *s != server);
        if self.tenant.is_empty() {
            self.tenant.extend(self.servers.keys().next());
        }
        self.lookups_max += 2;
    }

    /// Brings a server back.
    pub(super) fn add(&mut self, server: SocketAddr) {
        self.servers.insert(server, false);
        self.lookups_max += 1;
    }

    /// The answer to a question of the metadata user; `None` if it is none.
    pub(super) fn answer(&mut self, sql: &[u8], seq: u8) -> Option<Vec<u8>> {
        let sql = std::str::from_utf8(sql).ok()?;
        if sql.starts_with("SET @@session.sql_mode") {
            return Some(script::packet(
                seq,
                &script::proxy_ok(0, 2, "", &[], &[], None),
            ));
        }
        if sql == "SELECT @@version_comment" {
            let row = vec![Some("OceanBase 4.3.5.0".to_owned())];
            return Some(select(&["@@version_comment"], &[row], "*", seq));
        }
        let (_, rest) = sql.split_once("/*+READ_CONSISTENCY(WEAK)*/ ")?;
        let (columns, rest) = rest.split_once(" FROM oceanbase.")?;
        let view = rest.split(' ').next()?;
        if view == "__all_virtual_proxy_schema" {
            return Some(match rest.contains("__all_dummy") {
                true => self.look_up(rest, columns, seq),
                false => self.locate(rest, columns, seq),
            });
        }
        if !self.has_views {
            return Some(refusal(seq, 1146));
        }
        if self.trouble == ViewTrouble::Errors {
            return Some(refusal(seq, 1142));
        }
        let (names, rows) = self.view(view)?;
        Some(select(&names, &rows, columns, seq))
    }

    fn look_up(&mut self, rest: &str, columns: &str, seq: u8) -> Vec<u8> {
        let wants = |name: &str| rest.contains(&format!("tenant_name = '{name}'"));
        let mut rows = vec![];
        if wants("one") {
            self.lookups += 1;
            rows = self.tenant.iter().map(|s| address(*s)).collect();
        }
        select(&["svr_ip", "sql_port"], &rows, columns, seq)
    }

    fn view(&self, view: &str) -> Option<(Vec<&'static str>, Vec<Row>)> {
        let text = |t: &str| Some(t.to_owned());
        let (mut names, mut rows): (Vec<&str>, Vec<Row>) = match view {
            "DBA_OB_SERVERS" => {
                let status = match self.trouble {
                    ViewTrouble::UnknownStatus => "DREAMING",
                    _ => "ACTIVE",
                };
                let row = |(server, is_stopped): (&SocketAddr, &bool)| {
                    let mut row = address(*server);
                    let stopped = is_stopped.then(|| "2024-02-29 01:02:03".to_owned());
                    row.extend([
                        text("z1"),
                        text(status),
                        text("2024-01-01 00:00:00"),
                        stopped,
                    ]);
                    row.push(text("YES"));
                    row
                };
                let names = [
                    "svr_ip",
                    "sql_port",
                    "zone",
                    "status",
                    "start_service_time",
                    "stop_time",
                    "with_rootserver",
                ];
                (names.into(), self.servers.iter().map(row).collect())
            }
            "DBA_OB_ZONES" => (
                vec!["zone", "status", "idc", "region", "type"],
                vec![["z1", "ACTIVE", "idc1", "r1", "ReadWrite"].map(text).into()],
            ),
            "DBA_OB_TENANTS" => (
                vec![
                    "tenant_name",
                    "locality",
                    "previous_locality",
                    "primary_zone",
                    "status",
                ],
                ["sys", "one"]
                    .map(|n| vec![text(n), text("F"), None, text("z1"), text("N")])
                    .into(),
            ),
            _ => return None,
        };
        match self.trouble {
            ViewTrouble::Empty => rows.clear(),
            ViewTrouble::MissingColumn => {
                // Not one that everything depends on.
                let last = names.len() - 1;
                names.truncate(last);
                for row in &mut rows {
                    row.truncate(last);
                }
            }
            ViewTrouble::BadRow => {
                let mut row = vec![None; names.len()];
                row[0] = text("nonsense");
                rows.push(row);
            }
            _ => {}
        }
        Some((names, rows))
    }
}

pub(super) type Row = Vec<Option<String>>;

pub(super) fn address(server: SocketAddr) -> Row {
    vec![
        Some(server.ip().to_string()),
        Some(server.port().to_string()),
    ]
}

fn refusal(seq: u8, code: u16) -> Vec<u8> {
    let mut p = vec![0xFF];
    p.extend_from_slice(&code.to_le_bytes());
    p.extend_from_slice(b"#HY000said the views");
    let mut out = Packets::new(seq);
    out.put(&p);
    out.put(&script::proxy_ok(0, 2, "", &[], &[], None));
    out.bytes
}

/// Chooses the columns that were asked for.
pub(super) fn select(names: &[&str], rows: &[Row], columns: &str, seq: u8) -> Vec<u8> {
    let wanted: Vec<&str> = match columns {
        "*" => names.to_vec(),
        list => list.split(", ").collect(),
    };
    let places: Option<Vec<_>> = wanted
        .iter()
        .map(|w| names.iter().position(|n| n == w))
        .collect();
    let Some(places) = places else {
        return refusal(seq, 1054);
    };
    let mut out = Packets::new(seq);
    out.put(&[wanted.len() as u8]);
    for name in wanted {
        let mut p = b"\x03def\0\0\0".to_vec();
        put_lenenc_bytes(&mut p, name.as_bytes());
        p.extend_from_slice(b"\x00\x0c\x2d\x00\x14\x00\x00\x00\xfd\x00\x00\x00\x00\x00");
        out.put(&p);
    }
    out.put(&[0xFE, 0, 0, 2, 0]);
    for row in rows {
        let mut p = vec![];
        for &at in &places {
            match &row[at] {
                Some(text) => put_lenenc_bytes(&mut p, text.as_bytes()),
                None => p.push(0xFB),
            }
        }
        out.put(&p);
    }
    out.put(&[0xFE, 0, 0, 2, 0]);
    out.put(&script::proxy_ok(0, 2, "", &[], &[], None));
    out.bytes
}
