//! What a cluster is asked about tables, and what its answers mean.
//!
//! Names are bound as literals, several of one database in one question; a tablet is asked for with
//! its table. Source: OceanBase metadata facts, sections 7.2 and 8.1; routing facts, section 3;
//! `_partition` and `_sub_partition` take one table in a question (errno 1235 else), observed on
//! seekdb 1.3.0.

use super::source::{put_literal, read_address};
use crate::link::{Rows, RowsError};
use crate::partition::{ColumnRow, KeyRow, Layout, PartRow, Product, Table, TableError};
use crate::routing::{ReplicaKind, Row, TableKey};
use std::borrow::Cow;
use std::net::SocketAddr;

/// No such table, no such column: the kernel has no such views.
const NO_VIEW: [u16; 2] = [1146, 1054];

/// Why an answer is of no use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// The kernel does not tell where tables are.
    NoView,
    /// Something else, for people.
    Error(String),
}

impl From<RowsError> for Refused {
    fn from(e: RowsError) -> Self {
        match e {
            RowsError::Server(code, _) if NO_VIEW.contains(&code) => Self::NoView,
            e => Self::Error(e.to_string()),
        }
    }
}

/// The question that tells one kernel from the other: their type numbers differ.
pub(super) const PRODUCT: &[u8] = b"SELECT @@version_comment";

/// Reads the answer to [`PRODUCT`].
pub(super) fn product(answer: &Rows) -> Result<Product, Refused> {
    let rows = answer.read()?;
    let text = rows.first().and_then(|row| row.first().copied().flatten());
    let text = text.unwrap_or_default().to_ascii_lowercase();
    Ok(match memchr::memmem::find(&text, b"seekdb") {
        Some(_) => Product::SeekDb,
        None => Product::OceanBase,
    })
}

/// Columns of `__all_virtual_proxy_schema`, in the order of [`replicas`].
const SCHEMA: &str = "SELECT /*+READ_CONSISTENCY(WEAK)*/ table_name, tablet_id, table_id, \
                      part_num, schema_version, role, replica_type, dup_replica_type, svr_ip, \
                      sql_port, complex_table_type FROM oceanbase.__all_virtual_proxy_schema \
                      WHERE ";

/// True if a table can have that name: it can be written into a question.
pub(super) fn is_name(name: &[u8]) -> bool {
    let text = std::str::from_utf8(name);
    text.is_ok_and(|text| !text.is_empty() && !text.chars().any(char::is_control))
}

fn put_name(sql: &mut String, name: &[u8]) {
    put_literal(sql, std::str::from_utf8(&meant(name)).unwrap_or_default());
}

/// The name that a part of a [`TableKey`] means: a doubled back quote is one.
pub(super) fn meant(name: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memmem::find(name, b"``") {
        None => Cow::Borrowed(name),
        Some(_) => {
            let text = String::from_utf8_lossy(name).replace("``", "`");
            Cow::Owned(text.into_bytes())
        }
    }
}

/// The question for tables of one database: their ids, and where their first leaves are.
pub(super) fn schema_sql(tenant: &[u8], database: &[u8], names: &[&[u8]]) -> Vec<u8> {
    let mut sql = String::from(SCHEMA);
    sql.push_str("tenant_name = ");
    put_name(&mut sql, tenant);
    sql.push_str(" AND database_name = ");
    put_name(&mut sql, database);
    sql.push_str(" AND table_name IN (");
    for (name, at) in names.iter().zip(0..) {
        sql.push_str(if at == 0 { "" } else { ", " });
        put_name(&mut sql, name);
    }
    sql.push_str(") AND tablet_id = 0");
    sql.into_bytes()
}

/// The question for tablets of tables.
pub(super) fn tablets_sql(tablets: &[(&TableKey, u64)]) -> Vec<u8> {
    let mut sql = String::from(SCHEMA);
    sql.push_str("(tenant_name, database_name, table_name, tablet_id) IN (");
    for ((key, tablet), at) in tablets.iter().zip(0..) {
        sql.push_str(if at == 0 { "(" } else { ", (" });
        for name in [&*key.tenant, &key.database, &key.name] {
            put_name(&mut sql, name);
            sql.push_str(", ");
        }
        sql.push_str(&tablet.to_string());
        sql.push(')');
    }
    sql.push(')');
    sql.into_bytes()
}

/// What a row says of its table; the same in all rows of one table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Print {
    pub(super) id: u64,
    pub(super) part_num: u64,
    pub(super) schema_version: u64,
}

/// A row of `__all_virtual_proxy_schema`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Replica {
    pub(super) table: Vec<u8>,
    pub(super) tablet: u64,
    pub(super) print: Print,
    /// The replica; `None`: the table has no place of its own.
    pub(super) server: Option<SocketAddr>,
    pub(super) is_leader: bool,
    pub(super) kind: ReplicaKind,
    pub(super) is_dup: bool,
    /// `complex_table_type`: the name is that of a view or a synonym, and the rest is its first
    /// table's. Of an answer for several tables all rows say what the last such name is, observed
    /// on seekdb 1.3.0.
    pub(super) is_alias: bool,
}

impl Replica {
    /// As a replica of a leaf.
    pub(super) fn row(&self, leaf: u32) -> Option<Row> {
        Some(Row {
            leaf,
            server: self.server?,
            is_leader: self.is_leader,
            kind: self.kind,
            is_dup: self.is_dup,
        })
    }
}

type Values<'a> = [Option<&'a [u8]>];

fn bytes<'a>(row: &Values<'a>, at: usize) -> &'a [u8] {
    row.get(at).copied().flatten().unwrap_or_default()
}

fn number<T: std::str::FromStr>(row: &Values<'_>, at: usize) -> Option<T> {
    std::str::from_utf8(bytes(row, at)).ok()?.parse().ok()
}

fn nonsense(table: &str) -> Refused {
    Refused::Error(format!("{table}: a row makes no sense"))
}

/// Reads replicas. A row with an address that is none is left out, as long as others of its table
/// have one; port 0 is a table without a place.
pub(super) fn replicas(answer: &Rows) -> Result<Vec<Replica>, Refused> {
    let read = |row: &Vec<Option<&[u8]>>| {
        let text = |at| String::from_utf8_lossy(bytes(row, at)).into_owned();
        Some(Replica {
            table: bytes(row, 0).to_vec(),
            tablet: number(row, 1)?,
            print: Print {
                id: number(row, 2)?,
                part_num: number(row, 3)?,
                schema_version: number(row, 4).unwrap_or(0),
            },
            is_leader: number(row, 5) == Some(1),
            kind: ReplicaKind::of(number(row, 6).unwrap_or(0)),
            is_dup: number(row, 7).is_some_and(|n: u64| n != 0),
            server: read_address(&text(8), &text(9)).ok(),
            is_alias: number(row, 10).is_some_and(|n: u64| n != 0),
        })
    };
    let rows = answer.read()?;
    let all: Option<Vec<_>> = rows.iter().map(read).collect();
    all.ok_or_else(|| nonsense("__all_virtual_proxy_schema"))
}

/// The question for the keys of partitioned tables of one tenant.
pub(super) fn info_sql(tenant: &[u8], ids: &[u64]) -> Vec<u8> {
    let mut sql = String::from(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ table_id, part_level, part_type, part_expr, \
         sub_part_type, sub_part_expr, part_key_level, part_key_name, part_key_type, part_key_idx, \
         part_key_rowkey_idx, part_key_collation_type, part_key_extra, part_key_length, \
         part_key_precision, part_key_scale, part_key_default_value, spare1 \
         FROM oceanbase.__all_virtual_proxy_partition_info WHERE tenant_name = ",
    );
    put_name(&mut sql, tenant);
    let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
    sql.push_str(&format!(" AND table_id IN ({})", ids.join(", ")));
    sql.into_bytes()
}

/// The question for the partitions, or subpartitions, of one table.
pub(super) fn parts_sql(tenant: &[u8], id: u64, is_sub: bool) -> Vec<u8> {
    let view = if is_sub { "sub_partition" } else { "partition" };
    let mut sql = format!(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ part_id, part_name, tablet_id, high_bound_val_bin \
         FROM oceanbase.__all_virtual_proxy_{view} WHERE table_id = {id} AND tenant_name = ",
    );
    put_name(&mut sql, tenant);
    sql.into_bytes()
}

/// What is known of a tenant besides its servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct TenantFacts {
    /// `tenant_id`; 0 if it is not known.
    pub(super) id: u64,
    /// It is in Oracle mode.
    pub(super) is_oracle: bool,
}

/// The question for [`TenantFacts`].
pub(super) fn tenant_facts_sql(tenant: &[u8]) -> Vec<u8> {
    let mut sql = String::from(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ tenant_id, compatibility_mode \
         FROM oceanbase.DBA_OB_TENANTS WHERE tenant_name = ",
    );
    put_name(&mut sql, tenant);
    sql.into_bytes()
}

/// Reads the answer.
pub(super) fn tenant_facts(answer: &Rows) -> Result<TenantFacts, Refused> {
    let rows = answer.read()?;
    let row = rows.first().map(Vec::as_slice).unwrap_or_default();
    Ok(TenantFacts {
        id: number(row, 0).unwrap_or(0),
        is_oracle: bytes(row, 1).eq_ignore_ascii_case(b"oracle"),
    })
}

/// The question for the columns of tables. The tenant by its number: the view is read by key.
pub(super) fn columns_sql(tenant: u64, ids: &[u64]) -> Vec<u8> {
    let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
    let ids = ids.join(", ");
    format!(
        "SELECT /*+READ_CONSISTENCY(WEAK)*/ table_id, column_name, data_type, data_length, \
         data_precision, data_scale, nullable, collation_type, extended_type_info, \
         `autoincrement` FROM oceanbase.__all_virtual_column \
         WHERE tenant_id = {tenant} AND table_id IN ({ids})"
    )
    .into_bytes()
}

/// Reads columns, each with the id of its table. A row that makes no sense is left out.
pub(super) fn columns(answer: &Rows) -> Result<Vec<(u64, ColumnRow<'_>)>, Refused> {
    let rows = answer.read()?;
    Ok(rows.iter().filter_map(|row| column(row)).collect())
}

fn column<'a>(row: &Values<'a>) -> Option<(u64, ColumnRow<'a>)> {
    let column = ColumnRow {
        name: row.get(1).copied().flatten()?,
        type_number: number(row, 2)?,
        length: number(row, 3).unwrap_or(-1),
        precision: number(row, 4).unwrap_or(-1),
        scale: number(row, 5).unwrap_or(-1),
        is_nullable: number(row, 6) != Some(0_u8),
        collation: number(row, 7)?,
        members: bytes(row, 8),
        is_auto: number(row, 9) != Some(0_u8),
    };
    Some((number(row, 0)?, column))
}

/// The answers that describe how tables are partitioned.
#[derive(Debug, Default)]
pub(super) struct Description {
    info: Rows,
    parts: Rows,
    subs: Option<Rows>,
}

/// A described table: its leaves' tablets, and how a leaf is found, if that is understood.
pub(super) struct Described {
    pub(super) tablets: Vec<u64>,
    pub(super) table: Result<Table, TableError>,
}

/// True if the table has subpartitions. An error if the keys are of another version of it.
pub(super) fn has_subs(info: &Rows, print: Print) -> Result<bool, Refused> {
    let rows = info.read()?;
    let mut own = rows.iter().filter(|row| number(row, 0) == Some(print.id));
    let first = own.next();
    let first = first.ok_or_else(|| nonsense("__all_virtual_proxy_partition_info"))?;
    let version: u64 = number(first, 17).unwrap_or(0);
    if version != 0 && version != print.schema_version {
        return Err(Refused::Error("the table changes while it is read".into()));
    }
    Ok(number(first, 1) == Some(2_u64))
}

impl Description {
    pub(super) const fn new(info: Rows, parts: Rows, subs: Option<Rows>) -> Self {
        Self { info, parts, subs }
    }

    /// Puts the answers together.
    pub(super) fn read(&self, id: u64, product: Product) -> Result<Described, Refused> {
        let (info, parts) = (self.info.read()?, self.parts.read()?);
        let subs = self.subs.as_ref().map(Rows::read).transpose()?;
        let own: Vec<_> = info
            .iter()
            .filter(|row| number(row, 0) == Some(id))
            .collect();
        let is_bad = || nonsense("__all_virtual_proxy_partition_info");
        let first = own.first().ok_or_else(is_bad)?;
        let layout = Layout {
            part_type: number(first, 2).ok_or_else(is_bad)?,
            part_expr: bytes(first, 3),
            sub: match &subs {
                Some(_) => Some((number(first, 4).ok_or_else(is_bad)?, bytes(first, 5))),
                None => None,
            },
        };
        let keys: Option<Vec<_>> = own.iter().map(|row| key_row(row)).collect();
        let parts = part_rows(&parts).ok_or_else(|| nonsense("__all_virtual_proxy_partition"))?;
        let subs = match &subs {
            Some(rows) => part_rows(rows),
            None => Some(vec![]),
        };
        let subs = subs.ok_or_else(|| nonsense("__all_virtual_proxy_sub_partition"))?;
        let keys = keys.ok_or_else(is_bad)?;
        let table = Table::new(&layout, &keys, &parts, &subs, product);
        let tablets = match &table {
            Ok(table) => table.leaves().iter().map(|leaf| leaf.tablet).collect(),
            Err(_) => {
                let all = parts.iter().chain(&subs).map(|part| part.tablet);
                all.filter(|tablet| *tablet != 0).collect()
            }
        };
        Ok(Described { tablets, table })
    }
}

fn key_row<'a>(row: &Values<'a>) -> Option<KeyRow<'a>> {
    Some(KeyRow {
        level: number(row, 6)?,
        name: bytes(row, 7),
        type_number: number(row, 8)?,
        index: number(row, 9)?,
        rowkey_index: number(row, 10)?,
        collation: number(row, 11)?,
        extra: bytes(row, 12),
        length: number(row, 13)?,
        precision: number(row, 14)?,
        scale: number(row, 15)?,
        default: row.get(16).copied().flatten(),
    })
}

fn part_rows<'a>(rows: &[Vec<Option<&'a [u8]>>]) -> Option<Vec<PartRow<'a>>> {
    let read = |row: &Vec<Option<&'a [u8]>>| {
        Some(PartRow {
            part_id: number(row, 0)?,
            name: bytes(row, 1),
            tablet: number(row, 2)?,
            bound: bytes(row, 3),
        })
    };
    rows.iter().map(read).collect()
}
