//! Tables as the kernel knows them: their rows for proxies, and their tablets.

use super::query::{Asked, Column, Kernel, KernelError, Rows};
use crate::state::TableShape;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Tables whose tablets are remembered; beyond it all are asked for again.
const TABLES_MAX: usize = 16_384;
/// The error for a table without partitions (observed on seekdb 1.3.0.post5).
const NOT_PARTITIONED: u16 = 1210;
/// `table_type` of a table of the system.
const SYSTEM_TABLE: u64 = 0;
/// `role` of a row without a place: virtual tables.
const NOWHERE: u64 = 2;

/// What `__all_virtual_proxy_schema` of the kernel says about one tablet of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabletRow {
    /// The row, by the columns of [`Located`].
    pub values: Vec<Option<Vec<u8>>>,
    /// The leaf that the tablet belongs to; a tablet that is not the table's counts as leaf 0.
    pub leaf: u32,
    /// False for virtual tables, which are nowhere.
    pub is_somewhere: bool,
}

/// A table that was found.
#[derive(Clone, Debug)]
pub struct Located {
    /// The kernel's columns.
    pub columns: Vec<Column>,
    /// A row for each tablet that was asked for.
    pub rows: Vec<TabletRow>,
    /// The table, for its place.
    pub shape: Arc<TableShape>,
}

/// Tablets of tables, asked for again when the table has another schema version.
#[derive(Debug, Default)]
pub struct Tables(Mutex<HashMap<u64, (u64, Arc<TableShape>)>>);

/// A text as a literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

impl Tables {
    /// Asks for tablets of a table; none means the first. `None`: there is no such table.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn locate(
        &self,
        kernel: &Kernel,
        database: &str,
        table: &str,
        tablets: &[u64],
    ) -> Asked<Option<Located>> {
        let mut sql = format!(
            "SELECT * FROM oceanbase.__all_virtual_proxy_schema WHERE tenant_name = 'sys' \
             AND database_name = {} AND table_name = {}",
            literal(database),
            literal(table)
        );
        if !tablets.is_empty() {
            let list: Vec<String> = tablets.iter().map(u64::to_string).collect();
            sql += &format!(" AND tablet_id IN ({})", list.join(","));
        }
        let rows = kernel.ask(&sql).await?;
        let Some(first) = rows.rows.first() else {
            return Ok(None);
        };
        let shape = self.shape(kernel, database, table, &rows, first).await?;
        let tablet_rows = rows.rows.iter().map(|row| {
            let tablet = rows.number(row, "tablet_id");
            let leaf = shape.tablets.iter().position(|t| *t == tablet);
            TabletRow {
                values: row.clone(),
                leaf: leaf.unwrap_or(0) as u32,
                is_somewhere: rows.number(row, "role") != NOWHERE,
            }
        });
        let tablet_rows = tablet_rows.collect();
        Ok(Some(Located {
            columns: rows.columns,
            rows: tablet_rows,
            shape,
        }))
    }

    /// Notes a table that needs no asking, as long as it has this schema version.
    pub fn note(&self, version: u64, shape: TableShape) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(shape.table_id, (version, Arc::new(shape)));
    }

    /// A table by its number, if it was located before.
    #[must_use]
    pub fn known(&self, table_id: u64) -> Option<Arc<TableShape>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&table_id).map(|(_, shape)| shape.clone())
    }

    async fn shape(
        &self,
        kernel: &Kernel,
        database: &str,
        table: &str,
        rows: &Rows,
        row: &[Option<Vec<u8>>],
    ) -> Asked<Arc<TableShape>> {
        let table_id = rows.number(row, "table_id");
        let version = rows.number(row, "schema_version");
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&table_id)
            .filter(|(v, _)| *v == version)
            .map(|(_, shape)| shape.clone());
        if let Some(shape) = known {
            return Ok(shape);
        }
        // A view has the place of its first base table.
        let text = |name: &str| {
            let value = rows.column(name).and_then(|at| row.get(at)?.as_deref());
            value.map(|v| String::from_utf8_lossy(v).to_lowercase())
        };
        let base = text("level1_decoded_db_name").zip(text("level1_decoded_table_name"));
        let base = base.filter(|(_, table)| !table.is_empty());
        let (database, table) =
            base.unwrap_or_else(|| (database.to_lowercase(), table.to_lowercase()));
        let (tablets, is_partitioned) = Self::tablets(kernel, table_id).await?;
        let shape = Arc::new(TableShape {
            table_id,
            name: format!("{database}.{table}"),
            tablets,
            is_partitioned,
            is_system: rows.number(row, "table_type") == SYSTEM_TABLE,
        });
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TABLES_MAX {
            known.clear();
        }
        known.insert(table_id, (version, shape.clone()));
        Ok(shape)
    }

    /// The tablets of a table by their leaves, and whether it has partitions.
    async fn tablets(kernel: &Kernel, table_id: u64) -> Asked<(Vec<u64>, bool)> {
        let ids = |rows: &Rows| -> Vec<u64> {
            let each = rows.rows.iter();
            each.map(|row| rows.number(row, "tablet_id")).collect()
        };
        let of = |view: &str| {
            format!(
                "SELECT tablet_id FROM oceanbase.{view} \
                 WHERE tenant_name = 'sys' AND table_id = {table_id}"
            )
        };
        match kernel.ask(&of("__all_virtual_proxy_partition")).await {
            Ok(rows) => {
                let first = ids(&rows);
                if first.iter().all(|id| *id != 0) {
                    return Ok((first, true));
                }
                // Two levels: the tablets are those of the second.
                let rows = kernel.ask(&of("__all_virtual_proxy_sub_partition")).await?;
                Ok((ids(&rows), true))
            }
            Err(KernelError::Said { code, .. }) if code == NOT_PARTITIONED => {
                let sql = format!(
                    "SELECT tablet_id FROM oceanbase.__all_virtual_tablet_to_ls \
                     WHERE table_id = {table_id}"
                );
                Ok((ids(&kernel.ask(&sql).await?), false))
            }
            Err(e) => Err(e),
        }
    }
}
