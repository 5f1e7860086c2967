//! The cluster's views: answered by the model, for tenant `sys` only. Statements of proxies run
//! unchanged on a database in memory whose schema `oceanbase` is filled just before, from the
//! model's state and, for tables, from the kernel.

mod cluster;
mod located;
mod result;
mod store;
mod text;

pub use result::ResultSet;
pub use text::{Bound, Statement, Token};

use crate::clock::now_us;
use crate::kernel::{Kernel, KernelError, Tables};
use crate::state::{State, TableShape};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Store, Table};
use tokio::time::sleep;

/// Between two looks for sessions that are to go; it takes the kernel about 2 ms.
const SESSION_PAUSE: Duration = Duration::from_millis(2);

/// Every view that the model answers.
pub const NAMES: [&str; 13] = [
    cluster::NAMES[0],
    cluster::NAMES[1],
    cluster::NAMES[2],
    cluster::NAMES[3],
    cluster::NAMES[4],
    cluster::NAMES[5],
    located::SCHEMA,
    located::PARTITION_INFO,
    located::PARTITION,
    located::SUB_PARTITION,
    located::ROUTINE,
    located::TABLET_TO_LS,
    located::COLUMN,
];

/// An error in place of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Error number.
    pub code: u16,
    /// SQLSTATE.
    pub sqlstate: String,
    /// Its text.
    pub text: String,
}

impl Refusal {
    /// An error with these words.
    #[must_use]
    pub fn new(code: u16, sqlstate: &str, text: &str) -> Self {
        Self {
            code,
            sqlstate: sqlstate.into(),
            text: text.into(),
        }
    }
}

impl From<KernelError> for Refusal {
    fn from(e: KernelError) -> Self {
        match e {
            KernelError::Said {
                code,
                sqlstate,
                text,
            } => Self {
                code,
                sqlstate,
                text,
            },
            // What a server says when it cannot reach another one in time.
            KernelError::Io(e) => Self::new(4012, "HY000", &format!("Timeout: {e}")),
        }
    }
}

/// What a fault does to the rows of [`NAMES`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowFault {
    /// No rows.
    Empty,
    /// The first row of `DBA_OB_SERVERS` has an address that is none.
    OneBad,
    /// The first row of `DBA_OB_SERVERS` has a status that nobody knows.
    UnknownStatus,
    /// There is no column of this name: error 1054 for who asks for it.
    WithoutColumn(String),
}

/// Answers statements about the cluster.
#[derive(Debug)]
pub struct Views {
    store: Mutex<Store>,
    kernel: Kernel,
    tables: Arc<Tables>,
}

impl Views {
    /// Views of a cluster with this kernel.
    ///
    /// # Errors
    /// Those of a database in memory.
    pub fn new(kernel: Kernel) -> rusqlite::Result<Self> {
        Ok(Self {
            store: Mutex::new(Store::open()?),
            kernel,
            tables: Arc::default(),
        })
    }

    /// The tables that were located, to be shared with whoever locates some.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        self.tables.clone()
    }

    /// Answers a statement that names these views.
    ///
    /// # Errors
    /// What a server would answer instead of rows.
    pub async fn answer(
        &self,
        statement: &Statement,
        names: &[&str],
        state: &Mutex<State>,
        fault: Option<&RowFault>,
    ) -> Result<ResultSet, Refusal> {
        let bound = statement.bound();
        let is_fresh = statement.hint.contains("FORCE_REFRESH_LOCATION_CACHE");
        let mut filled = vec![];
        for name in names {
            let asked = located::Asked {
                kernel: &self.kernel,
                tables: &self.tables,
                state,
                bound: &bound,
                is_fresh,
            };
            let mut table = match asked.table(name).await? {
                Some(table) => table,
                None => {
                    let state = lock(state);
                    let then = location_time(&state, is_fresh);
                    cluster::table(name, &state, then).unwrap_or_default()
                }
            };
            spoil(name, &mut table, fault);
            filled.push((*name, table));
        }
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = |e: rusqlite::Error| Refusal::new(1105, "HY000", &format!("views: {e}"));
        for name in NAMES {
            store.clear(name).map_err(broken)?;
        }
        for (name, table) in &filled {
            store.fill(name, table).map_err(broken)?;
        }
        store.run(&statement.text)
    }
}

impl Views {
    /// A table that was located before.
    #[must_use]
    pub fn known(&self, table_id: u64) -> Option<Arc<TableShape>> {
        self.tables.known(table_id)
    }

    /// Waits until the kernel has no session that came from one of these addresses.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn sessions_gone(&self, peers: &[SocketAddr]) -> Result<(), KernelError> {
        if peers.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = peers.iter().map(|peer| format!("'{peer}'")).collect();
        let sql = format!(
            "SELECT id FROM oceanbase.__all_virtual_processlist WHERE host IN ({})",
            list.join(",")
        );
        while !self.kernel.ask(&sql).await?.rows.is_empty() {
            sleep(SESSION_PAUSE).await;
        }
        Ok(())
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time whose leaders are told: now, or earlier where the cache of a server is modelled.
fn location_time(state: &State, is_fresh: bool) -> u64 {
    let lag_ms = if is_fresh {
        0
    } else {
        state.timing.location_lag_ms
    };
    now_us().saturating_sub(lag_ms.saturating_mul(1_000))
}

fn spoil(name: &str, table: &mut Table, fault: Option<&RowFault>) {
    let (column, value) = match fault {
        None => return,
        Some(RowFault::Empty) => {
            table.rows.clear();
            return;
        }
        Some(RowFault::WithoutColumn(column)) => {
            if let Some(at) = table.column(column) {
                table.columns.remove(at);
                for row in &mut table.rows {
                    row.remove(at);
                }
            }
            return;
        }
        Some(RowFault::OneBad) => ("SVR_IP", "no.address"),
        Some(RowFault::UnknownStatus) => ("STATUS", "HIBERNATING"),
    };
    if name == "DBA_OB_SERVERS"
        && let Some(at) = table.column(column)
        && let Some(cell) = table.rows.first_mut().and_then(|row| row.get_mut(at))
    {
        *cell = cluster::text(value);
    }
}
