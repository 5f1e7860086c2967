//! What the kernel knows of tables, remembered for one version of its definitions.

use super::fast::HashKey;
use super::names;
use super::plan::Spot;
use super::rewrite::Name;
use crate::kernel::{Asked, Kernel, Located, Rows, Tables};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tables that are remembered; beyond it all are asked for again.
const TABLES_MAX: usize = 16_384;
/// Schemas of the system. A view there is answered from what a server has at hand.
const SYSTEM: &[&str] = &[
    "oceanbase",
    "information_schema",
    "performance_schema",
    "mysql",
    "sys",
    "__public",
];
/// Partitions of a table whose bounds are looked at.
const BOUNDS: usize = 3;
/// `part_type` of HASH.
const HASH: u64 = 0;
/// The largest type of an integer, in the kernel's own numbering.
const LAST_INTEGER: u64 = 10;

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// A table that has its leaves somewhere.
    Table,
    /// A table that is nowhere.
    Virtual,
    /// A view, and the tables and aliases in its definition; none where that is not understood.
    View(Option<names::Factors>),
    /// A view of the system.
    SystemView,
}

/// A table or view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Known {
    /// In lower case.
    pub(super) database: String,
    /// In lower case.
    pub(super) table: String,
    pub(super) table_id: u64,
    pub(super) tablets: Vec<u64>,
    pub(super) is_partitioned: bool,
    /// For each partition of a table of two levels, the places of its leaves.
    subs: Vec<Vec<u32>>,
    pub(super) what: What,
}

/// Columns of a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Detail {
    /// All, in order, in lower case.
    pub(super) columns: Vec<String>,
    /// Those that the partition depends on.
    pub(super) keys: Vec<String>,
    /// Those among them that the first level depends on.
    pub(super) first_keys: Vec<String>,
    /// Those among the keys that are dates or times.
    pub(super) moments: Vec<String>,
    /// A key is calculated from other columns.
    pub(super) has_generated_key: bool,
    /// The key, where it is one integer column and the table is a HASH of it.
    pub(super) hash: Option<HashKey>,
}

impl Known {
    /// The places of the leaves that EXPLAIN names; `None`: there is no such leaf.
    pub(super) fn leaves(&self, spots: &[Spot]) -> Option<Vec<u32>> {
        if !self.is_partitioned {
            return Some(vec![0]);
        }
        let mut leaves = BTreeSet::new();
        for (part, sub) in spots {
            match (self.subs.get(*part as usize), sub) {
                (Some(subs), Some(sub)) => {
                    leaves.insert(*subs.get(*sub as usize)?);
                }
                (Some(subs), None) => leaves.extend(subs),
                (None, None) if self.subs.is_empty() => {
                    self.tablets.get(*part as usize)?;
                    leaves.insert(*part);
                }
                (None, _) => return None,
            }
        }
        Some(leaves.into_iter().collect())
    }
}

/// Tables by their names.
#[derive(Debug)]
pub(super) struct Catalog {
    kernel: Kernel,
    tables: Arc<Tables>,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    version: u64,
    known: HashMap<(String, String), Option<Arc<Known>>>,
    details: HashMap<u64, Arc<Detail>>,
    /// Conditions on tables, see `probe`; none where none was found.
    probes: HashMap<u64, Option<String>>,
}

impl Catalog {
    pub(super) fn new(address: SocketAddr, tables: Arc<Tables>) -> Self {
        Self {
            kernel: Kernel::new(address),
            tables,
            shelf: Mutex::default(),
        }
    }

    /// What is remembered for a version of the definitions, or for a newer one.
    fn shelf(&self, version: u64) -> MutexGuard<'_, Shelf> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = shelf.known.len() >= TABLES_MAX || shelf.details.len() >= TABLES_MAX;
        if version > shelf.version || is_full {
            *shelf = Shelf {
                version,
                ..Shelf::default()
            };
        }
        shelf
    }

    /// A table or view by its name. `None`: there is none.
    pub(super) async fn table(
        &self,
        version: u64,
        database: &str,
        name: &Name,
    ) -> Asked<Option<Arc<Known>>> {
        let database = name.database.as_deref().unwrap_or(database);
        let key = (database.to_lowercase(), name.table.to_lowercase());
        if let Some(known) = self.shelf(version).known.get(&key) {
            return Ok(known.clone());
        }
        let found = self.find(&key.0, &key.1).await?.map(Arc::new);
        let mut shelf = self.shelf(version);
        if shelf.version == version {
            shelf.known.insert(key, found.clone());
        }
        Ok(found)
    }

    async fn find(&self, database: &str, table: &str) -> Asked<Option<Known>> {
        let located = self.tables.locate(&self.kernel, database, table, &[]);
        let Some(located) = located.await? else {
            return Ok(None);
        };
        let shape = &located.shape;
        let what = if is_view(&located) {
            if SYSTEM.contains(&database) {
                What::SystemView
            } else {
                What::View(self.definition(database, table).await?)
            }
        } else if located.rows.iter().any(|row| row.is_somewhere) {
            What::Table
        } else {
            What::Virtual
        };
        let mut subs = vec![];
        if shape.is_partitioned && what == What::Table {
            subs = self.subs(shape.table_id, &shape.tablets).await?;
        }
        Ok(Some(Known {
            database: database.to_owned(),
            table: table.to_owned(),
            table_id: shape.table_id,
            tablets: shape.tablets.clone(),
            is_partitioned: shape.is_partitioned,
            subs,
            what,
        }))
    }

    /// What a view reads.
    async fn definition(&self, database: &str, table: &str) -> Asked<Option<names::Factors>> {
        let sql = format!(
            "SELECT view_definition FROM information_schema.views \
             WHERE table_schema = {} AND table_name = {}",
            literal(database),
            literal(table)
        );
        let rows = self.kernel.ask(&sql).await?;
        let text = rows.rows.first().and_then(|row| row.first()?.as_deref());
        Ok(text.and_then(names::factors))
    }

    /// The places of the leaves of each partition, for two levels.
    async fn subs(&self, table_id: u64, tablets: &[u64]) -> Asked<Vec<Vec<u32>>> {
        let of = |view: &str| {
            format!(
                "SELECT part_id, tablet_id FROM oceanbase.{view} \
                 WHERE tenant_name = 'sys' AND table_id = {table_id}"
            )
        };
        let parts = self
            .kernel
            .ask(&of("__all_virtual_proxy_partition"))
            .await?;
        let has_tablet = |row: &Vec<_>| parts.number(row, "tablet_id") != 0;
        if parts.rows.iter().any(has_tablet) {
            return Ok(vec![]);
        }
        let rows = self
            .kernel
            .ask(&of("__all_virtual_proxy_sub_partition"))
            .await?;
        let place = |row: &Vec<_>| {
            let tablet = rows.number(row, "tablet_id");
            let at = tablets.iter().position(|t| *t == tablet)?;
            u32::try_from(at).ok()
        };
        let of_part = |part: u64| {
            let each = rows.rows.iter();
            let own = each.filter(|row| rows.number(row, "part_id") == part);
            own.filter_map(place).collect()
        };
        let ids = parts.rows.iter().map(|row| parts.number(row, "part_id"));
        Ok(ids.map(of_part).collect())
    }

    /// The columns of a table.
    pub(super) async fn detail(&self, version: u64, known: &Known) -> Asked<Arc<Detail>> {
        if let Some(detail) = self.shelf(version).details.get(&known.table_id) {
            return Ok(detail.clone());
        }
        let detail = Arc::new(self.columns(known).await?);
        let mut shelf = self.shelf(version);
        if shelf.version == version {
            shelf.details.insert(known.table_id, detail.clone());
        }
        Ok(detail)
    }

    /// The bounds of the first partitions of a table, as they would be declared.
    pub(super) async fn bounds(&self, known: &Known) -> Asked<Vec<String>> {
        let sql = format!(
            "SELECT high_bound_val FROM oceanbase.__all_virtual_proxy_partition \
             WHERE tenant_name = 'sys' AND table_id = {}",
            known.table_id
        );
        let rows = self.kernel.ask(&sql).await?;
        let first = rows.rows.iter().take(BOUNDS);
        Ok(first
            .map(|row| text(&rows, row, "high_bound_val"))
            .collect())
    }

    /// A condition that was found for a table, or that none was.
    #[expect(
        clippy::option_option,
        reason = "not known, and known that there is none"
    )]
    pub(super) fn probe(&self, version: u64, table_id: u64) -> Option<Option<String>> {
        self.shelf(version).probes.get(&table_id).cloned()
    }

    /// Remembers a condition that was found, or that none was.
    pub(super) fn put_probe(&self, version: u64, table_id: u64, probe: Option<String>) {
        let mut shelf = self.shelf(version);
        if shelf.version == version {
            shelf.probes.insert(table_id, probe);
        }
    }

    async fn columns(&self, known: &Known) -> Asked<Detail> {
        let sql = format!(
            "SELECT column_name, data_type, generation_expression \
             FROM information_schema.columns \
             WHERE table_schema = {} AND table_name = {} ORDER BY ordinal_position",
            literal(&known.database),
            literal(&known.table)
        );
        let columns = self.kernel.ask(&sql).await?;
        let sql = format!(
            "SELECT part_level, part_type, part_num, part_expr, part_key_num, part_key_name, \
             part_key_type, part_key_level FROM oceanbase.__all_virtual_proxy_partition_info \
             WHERE tenant_name = 'sys' AND table_id = {}",
            known.table_id
        );
        let keys = if known.is_partitioned {
            self.kernel.ask(&sql).await?
        } else {
            Rows::default()
        };
        let mut detail = Detail::default();
        for row in &keys.rows {
            let name = text(&keys, row, "part_key_name").to_lowercase();
            if keys.number(row, "part_key_level") == 1 {
                detail.first_keys.push(name.clone());
            }
            if !detail.keys.contains(&name) {
                detail.keys.push(name);
            }
        }
        for row in &columns.rows {
            let name = text(&columns, row, "column_name").to_lowercase();
            if detail.keys.contains(&name) {
                let kind = text(&columns, row, "data_type").to_lowercase();
                if matches!(
                    kind.as_str(),
                    "date" | "datetime" | "timestamp" | "time" | "year"
                ) {
                    detail.moments.push(name.clone());
                }
                let generated = text(&columns, row, "generation_expression");
                detail.has_generated_key |= !generated.is_empty();
            }
            detail.columns.push(name);
        }
        // A key that is no column of its own is calculated by the kernel.
        detail.has_generated_key |= detail.keys.iter().any(|k| !detail.columns.contains(k));
        if let [row] = keys.rows.as_slice() {
            let number = |name: &str| keys.number(row, name);
            let column = text(&keys, row, "part_key_name").to_lowercase();
            let expression = text(&keys, row, "part_expr")
                .replace('`', "")
                .to_lowercase();
            let is_plain = number("part_level") == 1
                && number("part_type") == HASH
                && number("part_key_type") <= LAST_INTEGER
                && !detail.has_generated_key;
            if is_plain && expression.trim() == column {
                let leaves = u32::try_from(number("part_num")).unwrap_or(0);
                detail.hash = Some(HashKey { column, leaves });
            }
        }
        Ok(detail)
    }
}

fn text(rows: &Rows, row: &[Option<Vec<u8>>], name: &str) -> String {
    let value = rows.column(name).and_then(|at| row.get(at)?.as_deref());
    value.map_or_else(String::new, |v| String::from_utf8_lossy(v).into_owned())
}

/// A view names the table that its first level reads.
fn is_view(located: &Located) -> bool {
    let is_it =
        |c: &crate::kernel::Column| c.name.eq_ignore_ascii_case("level1_decoded_table_name");
    let Some(at) = located.columns.iter().position(is_it) else {
        return false;
    };
    let first = located
        .rows
        .first()
        .and_then(|row| row.values.get(at)?.as_deref());
    first.is_some_and(|name| !name.is_empty())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
