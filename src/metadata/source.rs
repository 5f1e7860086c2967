//! What a cluster is asked, and what its answers mean.
//!
//! Columns are named, and those that a release does not have are left out after one look: versions
//! are not trusted. A row that makes no sense spoils only itself. Source: OceanBase 4.x dictionary;
//! OceanBase metadata facts, sections 5 to 7.

use crate::link::{Rows, RowsError};
use crate::routing::{Server, ServerState, Zone, ZoneKind};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// No such table: the kernel has no cluster views.
const NO_SUCH_TABLE: u16 = 1146;
/// No such column.
const NO_SUCH_COLUMN: u16 = 1054;
/// Bad rows that are described; more are only counted.
const COMPLAINTS_MAX: usize = 3;
/// Region and IDC of a zone that names none. Source: C++ OBProxy.
const DEFAULT_REGION: &str = "default_region";
const DEFAULT_IDC: &str = "default_idc";

/// A view of the dictionary, and the columns that are of use.
#[derive(Debug)]
pub(super) struct View {
    /// Database and name.
    name: &'static str,
    columns: &'static [&'static str],
    /// So many of the columns, from the first on, must be there.
    required: usize,
}

/// The servers of the cluster.
pub(super) static SERVERS: View = View {
    name: "oceanbase.DBA_OB_SERVERS",
    columns: &[
        "svr_ip",
        "sql_port",
        "zone",
        "status",
        "start_service_time",
        "stop_time",
        "with_rootserver",
    ],
    required: 2,
};

/// The zones of the cluster.
pub(super) static ZONES: View = View {
    name: "oceanbase.DBA_OB_ZONES",
    columns: &["zone", "status", "idc", "region", "type"],
    required: 1,
};

/// The tenants of the cluster.
pub(super) static TENANTS: View = View {
    name: "oceanbase.DBA_OB_TENANTS",
    columns: &[
        "tenant_name",
        "locality",
        "previous_locality",
        "primary_zone",
        "status",
    ],
    required: 1,
};

/// Major compactions: a row for each tenant and zone.
pub(super) static MERGES: View = View {
    name: "oceanbase.CDB_OB_ZONE_MAJOR_COMPACTION",
    columns: &["zone", "status"],
    required: 2,
};

/// Which columns of a view a server has.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    view: &'static View,
    present: Vec<bool>,
}

impl Selection {
    /// All columns.
    pub(super) fn all(view: &'static View) -> Self {
        Self {
            view,
            present: vec![true; view.columns.len()],
        }
    }

    /// The view, with its database.
    pub(super) const fn name(&self) -> &'static str {
        self.view.name
    }

    /// Some columns are left out.
    pub(super) fn is_narrowed(&self) -> bool {
        self.present.contains(&false)
    }

    /// The question for the columns.
    pub(super) fn sql(&self) -> Vec<u8> {
        let columns: Vec<_> = self.columns().collect();
        let (columns, name) = (columns.join(", "), self.view.name);
        format!("SELECT /*+READ_CONSISTENCY(WEAK)*/ {columns} FROM {name}").into_bytes()
    }

    /// The question that tells which columns there are.
    pub(super) fn probe(&self) -> Vec<u8> {
        let name = self.view.name;
        format!("SELECT /*+READ_CONSISTENCY(WEAK)*/ * FROM {name} LIMIT 1").into_bytes()
    }

    /// Reads the answer to the probe. An error names the column that is missed.
    pub(super) fn narrow(&mut self, answer: &Rows) -> Result<(), String> {
        let name = self.view.name;
        let columns = answer.columns().map_err(|e| format!("{name}: {e}"))?;
        for (i, wanted) in self.view.columns.iter().enumerate() {
            let is_present = columns
                .iter()
                .any(|c| c.eq_ignore_ascii_case(wanted.as_bytes()));
            if !is_present && i < self.view.required {
                return Err(format!("{name} has no column {wanted}"));
            }
            if let Some(present) = self.present.get_mut(i) {
                *present = is_present;
            }
        }
        Ok(())
    }

    fn columns(&self) -> impl Iterator<Item = &'static str> {
        let all = self.view.columns.iter().zip(&self.present);
        all.filter(|(_, present)| **present).map(|(name, _)| *name)
    }

    /// Reads the answer to the question.
    fn table<'a>(&self, answer: &'a Rows) -> Result<Table<'a>, RowsError> {
        Ok(Table {
            columns: self.columns().collect(),
            rows: answer.read()?,
        })
    }
}

/// The values of an answer by the names of their columns.
struct Table<'a> {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Option<&'a [u8]>>>,
}

impl<'a> Table<'a> {
    /// The value of a column, if there is the column and it is not NULL.
    fn value(&self, row: &[Option<&'a [u8]>], column: &str) -> Option<&'a [u8]> {
        let at = self.columns.iter().position(|c| *c == column)?;
        row.get(at).copied().flatten()
    }

    fn text(&self, row: &[Option<&'a [u8]>], column: &str) -> Option<String> {
        self.value(row, column)
            .map(|v| String::from_utf8_lossy(v).into_owned())
    }

    /// A time or a flag that is set: not NULL, and not one of the ways to write zero.
    fn is_set(&self, row: &[Option<&'a [u8]>], column: &str) -> bool {
        self.value(row, column)
            .is_some_and(|v| !v.is_empty() && v.iter().any(|b| !b"0-: .".contains(b)))
    }
}

/// Rows that could not be used as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaints {
    texts: Vec<String>,
    count: usize,
}

impl Complaints {
    pub(super) fn add(&mut self, text: String) {
        self.count += 1;
        if self.texts.len() < COMPLAINTS_MAX {
            self.texts.push(text);
        }
    }

    /// All in one line; `None` if there are none.
    pub(super) fn line(&self) -> Option<String> {
        let more = self.count - self.texts.len();
        let line = self.texts.join("; ");
        match (self.count, more) {
            (0, _) => None,
            (_, 0) => Some(line),
            _ => Some(format!("{line}; and {more} more")),
        }
    }
}

/// What an answer to a [`Selection`] is worth.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading<T> {
    Rows(T),
    Refused(Refused),
}

/// Why there are no rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such view.
    NoView,
    /// A column is missing: the columns have to be looked at.
    NoColumn,
    /// Something else.
    Error(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoView => f.write_str("there is no such view"),
            Self::NoColumn => f.write_str("its columns change while they are read"),
            Self::Error(what) => f.write_str(what),
        }
    }
}

impl<T> From<RowsError> for Reading<T> {
    fn from(e: RowsError) -> Self {
        Self::Refused(match e {
            RowsError::Server(NO_SUCH_TABLE, _) => Refused::NoView,
            RowsError::Server(NO_SUCH_COLUMN, _) => Refused::NoColumn,
            e => Refused::Error(e.to_string()),
        })
    }
}

/// Reads the servers. Two rows of one address are one server, the first.
pub(super) fn servers(
    selection: &Selection,
    answer: &Rows,
    complaints: &mut Complaints,
) -> Reading<Vec<Server>> {
    let table = match selection.table(answer) {
        Ok(table) => table,
        Err(e) => return e.into(),
    };
    let name = selection.view.name;
    let mut servers: Vec<Server> = vec![];
    for (n, row) in table.rows.iter().enumerate() {
        let address = match address(&table, row) {
            Ok(address) => address,
            Err(what) => {
                complaints.add(format!("row {} of {name}: {what}", n + 1));
                continue;
            }
        };
        if servers.iter().any(|s| s.address == address) {
            continue;
        }
        let status = table.text(row, "status");
        let state = server_state(
            status.as_deref(),
            selection.has("stop_time") && table.is_set(row, "stop_time"),
            !selection.has("start_service_time") || table.is_set(row, "start_service_time"),
        );
        if state == ServerState::Unknown {
            let status = status.unwrap_or_default();
            complaints.add(format!("{name}: server {address} has status {status:?}"));
        }
        let is_root = table.value(row, "with_rootserver");
        servers.push(Server {
            address,
            zone: table.text(row, "zone").unwrap_or_default().into(),
            state,
            is_root: is_root.is_some_and(|v| v.eq_ignore_ascii_case(b"yes")),
        });
    }
    Reading::Rows(servers)
}

impl Selection {
    fn has(&self, column: &str) -> bool {
        self.columns().any(|c| c == column)
    }
}

fn server_state(status: Option<&str>, is_stopped: bool, is_started: bool) -> ServerState {
    let Some(status) = status else {
        return ServerState::Untold;
    };
    let is = |word: &str| status.eq_ignore_ascii_case(word);
    match () {
        () if is_stopped => ServerState::Stopped,
        () if !is_started && is("active") => ServerState::Starting,
        () if !is_started => ServerState::Inactive,
        () if is("inactive") || is("takeover_by_rs") => ServerState::Inactive,
        () if is("active") => ServerState::Active,
        () if is("deleting") => ServerState::Deleting,
        () => ServerState::Unknown,
    }
}

/// Reads the zones.
pub(super) fn zones(
    selection: &Selection,
    answer: &Rows,
    complaints: &mut Complaints,
) -> Reading<Vec<Zone>> {
    let table = match selection.table(answer) {
        Ok(table) => table,
        Err(e) => return e.into(),
    };
    let name = selection.view.name;
    let mut zones = vec![];
    for (n, row) in table.rows.iter().enumerate() {
        let Some(zone) = table.text(row, "zone").filter(|z| !z.is_empty()) else {
            complaints.add(format!("row {} of {name}: it has no zone", n + 1));
            continue;
        };
        let status = table.text(row, "status").unwrap_or_default();
        let is_stopped = status.eq_ignore_ascii_case("inactive");
        if !is_stopped && selection.has("status") && !status.eq_ignore_ascii_case("active") {
            complaints.add(format!("{name}: zone {zone:?} has status {status:?}"));
        }
        let or = |column: &str, default: &str| -> Arc<str> {
            let text = table.text(row, column).filter(|t| !t.is_empty());
            text.map_or_else(|| default.into(), Into::into)
        };
        let kind = table.text(row, "type").unwrap_or_default();
        zones.push(Zone {
            name: zone.into(),
            idc: or("idc", DEFAULT_IDC),
            region: or("region", DEFAULT_REGION),
            kind: zone_kind(&kind),
            is_stopped,
            // Its list of zones does not say it ([`merges`]).
            is_merging: false,
        });
    }
    Reading::Rows(zones)
}

/// Reads the names of zones in which some tenant is in a major compaction; without case.
pub(super) fn merges(selection: &Selection, answer: &Rows) -> Reading<Vec<String>> {
    let table = match selection.table(answer) {
        Ok(table) => table,
        Err(e) => return e.into(),
    };
    let mut zones: Vec<String> = vec![];
    for row in &table.rows {
        let status = table.text(row, "status").unwrap_or_default();
        let zone = table.text(row, "zone").unwrap_or_default().to_lowercase();
        let is_idle = status.is_empty() || status.eq_ignore_ascii_case("idle");
        if !is_idle && !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    Reading::Rows(zones)
}

/// By the first letters, as C++ OBProxy does it; a word that is not known is an ordinary zone.
fn zone_kind(word: &str) -> ZoneKind {
    let begins = |with: &str| {
        word.get(..with.len())
            .is_some_and(|front| front.eq_ignore_ascii_case(with))
    };
    match () {
        () if begins("readonly") => ZoneKind::ReadOnly,
        () if begins("encryption") => ZoneKind::Encryption,
        () => ZoneKind::ReadWrite,
    }
}

/// A tenant of the cluster's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) print: Print,
    /// Empty if it was not told.
    pub(super) primary_zone: String,
}

/// What a list says of a tenant, in short. It may have moved when this is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    columns: u64,
    values: u64,
}

impl Print {
    /// True if both were read from the same columns, and these have changed.
    pub(super) const fn contradicts(self, other: Self) -> bool {
        self.columns == other.columns && self.values != other.values
    }
}

/// Reads the tenants.
pub(super) fn tenants(selection: &Selection, answer: &Rows) -> Reading<Vec<Listed>> {
    let table = match selection.table(answer) {
        Ok(table) => table,
        Err(e) => return e.into(),
    };
    let named = table
        .rows
        .iter()
        .filter_map(|row| Some((row, table.value(row, "tenant_name")?)));
    let listed = |(row, name): (&Vec<_>, &[u8])| Listed {
        name: name.to_vec(),
        print: Print {
            columns: hash(&table.columns),
            values: hash(row),
        },
        primary_zone: table.text(row, "primary_zone").unwrap_or_default(),
    };
    Reading::Rows(named.map(listed).collect())
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn address(table: &Table<'_>, row: &[Option<&[u8]>]) -> Result<SocketAddr, String> {
    let ip = table.text(row, "svr_ip").unwrap_or_default();
    let port = table.text(row, "sql_port").unwrap_or_default();
    read_address(&ip, &port)
}

pub(super) fn read_address(ip: &str, port: &str) -> Result<SocketAddr, String> {
    let address: IpAddr = ip
        .parse()
        .map_err(|_| format!("svr_ip {ip:?} is no address"))?;
    let number = port.parse().ok().filter(|&p: &u16| p > 0);
    let port = number.ok_or_else(|| format!("sql_port {port:?} is no port"))?;
    Ok(SocketAddr::new(address, port))
}

/// The question for the servers of a tenant. `None` if no tenant can have that name.
pub(super) fn tenant_sql(name: &[u8]) -> Option<Vec<u8>> {
    let name = std::str::from_utf8(name).ok()?;
    if name.is_empty() || name.chars().any(char::is_control) {
        return None;
    }
    let mut sql = String::from(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ svr_ip, sql_port \
         FROM oceanbase.__all_virtual_proxy_schema WHERE tenant_name = ",
    );
    put_literal(&mut sql, name);
    sql.push_str(
        " AND database_name = 'oceanbase' AND table_name = '__all_dummy' AND sql_port > 0",
    );
    Some(sql.into_bytes())
}

/// Appends a text literal for a session whose sql_mode is known: a quote and a backslash are
/// doubled.
pub(super) fn put_literal(sql: &mut String, text: &str) {
    sql.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            sql.push(c);
        }
        sql.push(c);
    }
    sql.push('\'');
}

/// Reads the servers of a tenant: none if there is no such tenant.
pub(super) fn tenant_servers(
    answer: &Rows,
    complaints: &mut Complaints,
) -> Result<Vec<SocketAddr>, String> {
    let name = "oceanbase.__all_virtual_proxy_schema";
    let rows = answer.read().map_err(|e| format!("{name}: {e}"))?;
    let mut servers = vec![];
    for (n, row) in rows.iter().enumerate() {
        let text = |at: usize| {
            let value = row.get(at).copied().flatten().unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        match read_address(&text(0), &text(1)) {
            Ok(address) if !servers.contains(&address) => servers.push(address),
            Ok(_) => {}
            Err(what) => complaints.add(format!("row {} of {name}: {what}", n + 1)),
        }
    }
    match servers.is_empty() && !rows.is_empty() {
        true => Err(complaints.line().unwrap_or_default()),
        false => Ok(servers),
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
