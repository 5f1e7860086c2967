//! The views whose rows come from the kernel: where tables are, and how they are partitioned.

use super::cluster::{number, text};
use super::store::Table;
use super::text::Bound;
use super::{Refusal, location_time, lock};
use crate::kernel::{Column, Kernel, Located, Rows, Tables};
use crate::state::{LogStream, State, TableShape, Tenant};
use rusqlite::types::Value;
use std::collections::HashMap;
use std::sync::Mutex;

pub(super) const SCHEMA: &str = "__all_virtual_proxy_schema";
pub(super) const PARTITION_INFO: &str = "__all_virtual_proxy_partition_info";
pub(super) const PARTITION: &str = "__all_virtual_proxy_partition";
pub(super) const SUB_PARTITION: &str = "__all_virtual_proxy_sub_partition";
pub(super) const ROUTINE: &str = "__all_virtual_proxy_routine";
pub(super) const TABLET_TO_LS: &str = "__all_virtual_tablet_to_ls";
pub(super) const COLUMN: &str = "__all_virtual_column";

/// The table whose rows are the servers of a tenant.
const DUMMY: &str = "__all_dummy";
/// Roles in `__all_virtual_proxy_schema`.
const LEADER: u32 = 1;
const FOLLOWER: u32 = 2;
/// `replica_type` of a replica in a read-only zone.
const READ_ONLY_REPLICA: u32 = 16;
/// Tables of one statement.
const TABLES_MAX: usize = 1_024;

/// One statement's question for rows.
pub(super) struct Asked<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) tables: &'a Tables,
    pub(super) state: &'a Mutex<State>,
    pub(super) bound: &'a Bound,
    /// The statement wants no old leaders.
    pub(super) is_fresh: bool,
}

/// Where a row of `__all_virtual_proxy_schema` points.
struct Replica {
    address: String,
    sql_port: u16,
    rpc_port: u16,
    role: u32,
    kind: u32,
}

impl Asked<'_> {
    /// The rows of a view of this file; `None` for another view.
    pub(super) async fn table(&self, name: &str) -> Result<Option<Table>, Refusal> {
        match name {
            SCHEMA => self.schema().await.map(Some),
            PARTITION_INFO | PARTITION | SUB_PARTITION => {
                let keys = ["tenant_name", "table_id"];
                self.of_kernel(name, &keys).await.map(Some)
            }
            ROUTINE => {
                let keys = [
                    "tenant_name",
                    "database_name",
                    "package_name",
                    "routine_name",
                ];
                self.of_kernel(name, &keys).await.map(Some)
            }
            TABLET_TO_LS => self.tablet_to_ls().await.map(Some),
            COLUMN => self.columns().await.map(Some),
            _ => Ok(None),
        }
    }

    fn values(&self, column: &str) -> &[String] {
        self.bound.get(column).map_or(&[], Vec::as_slice)
    }

    async fn schema(&self) -> Result<Table, Refusal> {
        let tenants = self.values("tenant_name");
        let databases = self.values("database_name");
        let names = self.values("table_name");
        if tenants.is_empty() || databases.is_empty() || names.is_empty() {
            let text = "Incorrect arguments to tenant_name, database_name and table_name \
                        (must all be specified)";
            return Err(Refusal::new(1210, "HY000", text));
        }
        for (what, values) in [("tenant_names", tenants), ("database_names", databases)] {
            if values.len() > 1 {
                let text = format!("different {what} in a batch query not supported");
                return Err(Refusal::new(1235, "0A000", &text));
            }
        }
        if names.len() > TABLES_MAX {
            return Err(Refusal::new(1235, "0A000", "batch query not supported"));
        }
        let (tenant, database) = (&tenants[0], &databases[0]);
        let tablets = self.values("tablet_id").iter();
        let tablets: Vec<u64> = tablets.filter_map(|t| t.parse().ok()).collect();
        let mut found = vec![];
        for name in names {
            let located = self.tables.locate(self.kernel, database, name, &tablets);
            found.extend(located.await?.map(|located| (name, located)));
        }
        // The columns are there also when the table is not.
        let columns = match found.first() {
            Some((_, located)) => located.columns.clone(),
            None => {
                let any = self
                    .tables
                    .locate(self.kernel, "oceanbase", DUMMY, &[])
                    .await?;
                any.map(|located| located.columns).unwrap_or_default()
            }
        };
        let mut table = with_place(&columns);
        let mut state = lock(self.state);
        for (_, located) in &found {
            state.placement.observe(&located.shape);
        }
        let Some(tenant) = state.tenant(tenant) else {
            return Ok(table);
        };
        let then = location_time(&state, self.is_fresh);
        for (name, located) in &found {
            let is_dummy =
                name.eq_ignore_ascii_case(DUMMY) && database.eq_ignore_ascii_case("oceanbase");
            for row in &located.rows {
                let replicas = if is_dummy {
                    units(&state, tenant)
                } else if row.is_somewhere {
                    let stream = state.placement.stream(tenant, &located.shape, row.leaf);
                    let stream = tenant.stream(stream);
                    stream.map_or_else(Vec::new, |s| replicas(&state, s, then))
                } else {
                    vec![nowhere()]
                };
                for replica in &replicas {
                    let values = place(located, &row.values, &tenant.name, replica, &replicas);
                    table.rows.push(values);
                }
            }
        }
        Ok(table)
    }

    /// Rows of the kernel for what the statement binds, with the tenant's name instead of `sys`.
    async fn of_kernel(&self, view: &str, keys: &[&str]) -> Result<Table, Refusal> {
        let mut predicates = vec![];
        let mut tenant = None;
        for key in keys {
            let values = self.values(key);
            if *key == "tenant_name" {
                tenant = values.first();
            }
            let is_known = |name: &String| lock(self.state).tenant(name).is_some();
            let literals: Vec<String> = values
                .iter()
                .map(|value| {
                    if *key == "tenant_name" && is_known(value) {
                        return "'sys'".to_owned();
                    }
                    if *key == "table_id" {
                        // A number; another text has no rows and makes no statement.
                        return value.parse::<u64>().unwrap_or(0).to_string();
                    }
                    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
                })
                .collect();
            if !literals.is_empty() {
                predicates.push(format!("{key} IN ({})", literals.join(",")));
            }
        }
        let condition = if predicates.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", predicates.join(" AND "))
        };
        let sql = format!("SELECT * FROM oceanbase.{view}{condition}");
        let rows = self.kernel.ask(&sql).await?;
        let mut table = plain(&rows);
        if let Some(at) = rows.column("tenant_name")
            && let Some(tenant) = tenant
        {
            for row in &mut table.rows {
                row[at] = text(tenant);
            }
        }
        Ok(table)
    }

    /// The columns of tables of one tenant: those of the kernel's, with the tenant's id.
    async fn columns(&self) -> Result<Table, Refusal> {
        let numbers = |key: &str| -> Vec<u64> {
            let values = self.values(key).iter();
            values.filter_map(|v| v.parse().ok()).collect()
        };
        let ids: Vec<String> = numbers("table_id").iter().map(u64::to_string).collect();
        let tenant = numbers("tenant_id").first().copied().unwrap_or(0);
        let is_known = lock(self.state).tenants.iter().any(|t| t.id == tenant);
        // Without a tenant that is there and tables there are no rows, but there are columns.
        let ids = match is_known && !ids.is_empty() {
            true => ids.join(","),
            false => "0".into(),
        };
        let sql =
            format!("SELECT * FROM oceanbase.{COLUMN} WHERE tenant_id = 1 AND table_id IN ({ids})");
        let rows = self.kernel.ask(&sql).await?;
        let mut table = plain(&rows);
        if let Some(at) = rows.column("tenant_id") {
            for row in &mut table.rows {
                row[at] = number(tenant);
            }
        }
        Ok(table)
    }

    async fn tablet_to_ls(&self) -> Result<Table, Refusal> {
        let mut predicates = vec![];
        for key in ["table_id", "tablet_id"] {
            let numbers = self.values(key).iter().filter_map(|v| v.parse().ok());
            let numbers: Vec<String> = numbers.map(|n: u64| n.to_string()).collect();
            if !numbers.is_empty() {
                predicates.push(format!("{key} IN ({})", numbers.join(",")));
            }
        }
        // Always whole tables: the place of a tablet is its place among those of its table.
        let condition = match predicates.first() {
            None => String::new(),
            Some(_) => format!(
                " WHERE table_id IN (SELECT table_id FROM oceanbase.{TABLET_TO_LS} WHERE {})",
                predicates.join(" AND ")
            ),
        };
        let sql = format!("SELECT * FROM oceanbase.{TABLET_TO_LS}{condition}");
        let rows = self.kernel.ask(&sql).await?;
        let mut tablets: HashMap<u64, Vec<u64>> = HashMap::new();
        for row in &rows.rows {
            let of_table = tablets.entry(rows.number(row, "table_id")).or_default();
            of_table.push(rows.number(row, "tablet_id"));
        }
        let mut table = plain(&rows);
        table.columns.push("ls_id INTEGER".into());
        let values = std::mem::take(&mut table.rows);
        let state = lock(self.state);
        for tenant in &state.tenants {
            for (row, raw) in values.iter().zip(&rows.rows) {
                let table_id = rows.number(raw, "table_id");
                let tablet = rows.number(raw, "tablet_id");
                let known = self.tables.known(table_id);
                let shape = known.unwrap_or_else(|| shape_of(table_id, &tablets));
                let leaf = shape.tablets.iter().position(|t| *t == tablet).unwrap_or(0);
                let stream = state.placement.stream(tenant, &shape, leaf as u32);
                let mut row = row.clone();
                if let Some(at) = rows.column("tenant_id") {
                    row[at] = number(tenant.id);
                }
                row.push(number(stream));
                table.rows.push(row);
            }
        }
        Ok(table)
    }
}

/// A table of which only its tablets are known.
fn shape_of(table_id: u64, tablets: &HashMap<u64, Vec<u64>>) -> std::sync::Arc<TableShape> {
    let tablets = tablets.get(&table_id).cloned().unwrap_or_default();
    std::sync::Arc::new(TableShape {
        table_id,
        name: String::new(),
        is_partitioned: tablets.len() > 1,
        is_system: false,
        tablets,
    })
}

/// The definition of a column of the kernel. Names of tenants are compared with case, others
/// without.
fn definition(column: &Column) -> String {
    let name = &column.name;
    if column.is_number() {
        format!("\"{name}\" INTEGER")
    } else if name == "tenant_name" {
        format!("\"{name}\" TEXT")
    } else {
        format!("\"{name}\" TEXT COLLATE NOCASE")
    }
}

fn cell(column: &Column, value: Option<&Vec<u8>>) -> Value {
    let Some(bytes) = value else {
        return Value::Null;
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if column.is_number() => text.parse().map_or(Value::Null, Value::Integer),
        Ok(text) => Value::Text(text.to_owned()),
        Err(_) => Value::Blob(bytes.clone()),
    }
}

fn plain(rows: &Rows) -> Table {
    let cells = |row: &Vec<Option<Vec<u8>>>| {
        let pairs = rows.columns.iter().zip(row);
        pairs.map(|(c, v)| cell(c, v.as_ref())).collect()
    };
    Table {
        columns: rows.columns.iter().map(definition).collect(),
        rows: rows.rows.iter().map(cells).collect(),
    }
}

/// The columns of the kernel, with the address behind the tablet as a cluster has them.
fn with_place(columns: &[Column]) -> Table {
    let mut table = Table::default();
    for column in columns {
        table.columns.push(definition(column));
        if column.name == "tablet_id" {
            table.columns.push("svr_ip TEXT COLLATE NOCASE".into());
            table.columns.push("sql_port INTEGER".into());
        }
    }
    table
}

/// A row of the kernel, pointing at a replica.
fn place(
    located: &Located,
    values: &[Option<Vec<u8>>],
    tenant: &str,
    replica: &Replica,
    replicas: &[Replica],
) -> Vec<Value> {
    let mut row = vec![];
    for (column, value) in located.columns.iter().zip(values) {
        row.push(match column.name.as_str() {
            "tenant_name" => text(tenant),
            "role" => number(replica.role),
            "replica_num" => number(replicas.len()),
            "replica_type" => number(replica.kind),
            "spare1" => number(replica.rpc_port),
            _ => cell(column, value.as_ref()),
        });
        if column.name == "tablet_id" {
            row.push(text(&replica.address));
            row.push(number(replica.sql_port));
        }
    }
    row
}

fn replica(state: &State, server: u32, role: u32) -> Option<Replica> {
    let is_writable = state.zone_of(server).is_none_or(|z| z.is_writable());
    let server = state.server(server)?;
    Some(Replica {
        address: server.address.ip().to_string(),
        sql_port: server.address.port(),
        rpc_port: server.rpc_port,
        role,
        kind: if is_writable { 0 } else { READ_ONLY_REPLICA },
    })
}

fn replicas(state: &State, stream: &LogStream, then_us: u64) -> Vec<Replica> {
    let leader = stream.leader_at(then_us);
    let role = |id: u32| {
        if leader == Some(id) { LEADER } else { FOLLOWER }
    };
    let each = stream.replicas.iter();
    each.filter_map(|id| replica(state, *id, role(*id)))
        .collect()
}

/// A virtual table is nowhere: one row without a port.
fn nowhere() -> Replica {
    Replica {
        address: "0.0.0.0".into(),
        sql_port: 0,
        rpc_port: 0,
        role: FOLLOWER,
        kind: 0,
    }
}

/// Servers with a unit of the tenant, dead and stopped ones too, also those that a move has not
/// left yet: groups of one server of each zone, the first of a group with role 1.
fn units(state: &State, tenant: &Tenant) -> Vec<Replica> {
    let ids = || tenant.servers.iter().chain(&tenant.leaving).copied();
    let of_zone = |zone: &str| -> Vec<u32> {
        ids()
            .filter(|id| state.server(*id).is_some_and(|s| s.zone == zone))
            .collect()
    };
    let by_zone: Vec<Vec<u32>> = state.zones.iter().map(|z| of_zone(&z.name)).collect();
    let groups = by_zone.iter().map(Vec::len).max().unwrap_or(0);
    let mut found = vec![];
    for group in 0..groups {
        let mut role = LEADER;
        for id in by_zone.iter().filter_map(|zone| zone.get(group)) {
            found.extend(replica(state, *id, role));
            role = FOLLOWER;
        }
    }
    found
}
