//! Settings that were changed while a proxy ran, or given on a command line: the database
//! `etc/proxyconfig_v1.db`, with the name and the main table of OBProxy's.
//!
//! Only explicit values are in it. SQLite makes a change whole: a kill -9 at any moment leaves the
//! old or the new value.

use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below the root directory.
const FILE: &str = "etc/proxyconfig_v1.db";
/// The root directory, if it is not the working directory. Source: operations.md 1.2.
const ROOT: &str = "OBPROXY_ROOT";
/// How long another process may take with the file.
const BUSY: Duration = Duration::from_secs(1);

/// The columns that OBProxy's table has, so that either program can read what the other has left.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS proxy_config(
        vid INTEGER DEFAULT -1, vip TEXT DEFAULT '', vport INTEGER DEFAULT 0,
        tenant_name TEXT DEFAULT '', cluster_name TEXT DEFAULT '',
        name TEXT NOT NULL, value TEXT, info TEXT, range TEXT, need_reboot TEXT,
        visible_level TEXT, config_level TEXT DEFAULT 'LEVEL_GLOBAL',
        PRIMARY KEY(vid, vip, vport, tenant_name, cluster_name, name))";
const READ: &str = "
    SELECT name, value FROM proxy_config
    WHERE config_level = 'LEVEL_GLOBAL' AND value IS NOT NULL ORDER BY name";
const WRITE: &str = "
    INSERT OR REPLACE INTO proxy_config(name, value) VALUES(?1, ?2)";

/// The database, open for this process alone.
#[derive(Debug)]
pub(super) struct Store(Connection);

/// Where it lies.
pub(super) fn path() -> PathBuf {
    let root = std::env::var_os(ROOT).filter(|root| !root.is_empty());
    root.map(PathBuf::from).unwrap_or_default().join(FILE)
}

/// Names and values; none when there is no such file.
///
/// # Errors
/// It cannot be read; one line.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, String> {
    if !path.exists() {
        return Ok(vec![]);
    }
    let rows = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(BUSY)?;
        let mut statement = connection.prepare(READ)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    rows().map_err(|e| told(path, &e))
}

impl Store {
    /// Opens the database for writing, and makes it where it is missing.
    ///
    /// # Errors
    /// It cannot be opened, or another process has it; one line.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        }
        // It holds passwords, as SHA1. SQLite gives its journal the same mode.
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path);
        file.map_err(|e| format!("{}: {e}", path.display()))?;
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY)?;
            // From the first write on no other process gets in.
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.execute_batch(&format!("BEGIN EXCLUSIVE; {CREATE}; COMMIT"))?;
            Ok(connection)
        };
        open().map(Self).map_err(|e| told(path, &e))
    }

    /// Keeps values: all of them or, after an error, none.
    ///
    /// # Errors
    /// One line.
    pub(super) fn write<'v>(
        &mut self,
        values: impl IntoIterator<Item = (&'v str, &'v str)>,
    ) -> Result<(), String> {
        let write = || {
            let change = self.0.transaction()?;
            for (name, value) in values {
                change.execute(WRITE, params![name, value])?;
            }
            change.commit()
        };
        write().map_err(|e| format!("it cannot be stored: {e}"))
    }
}

fn told(path: &Path, error: &rusqlite::Error) -> String {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} is in use by another process; give each proxy a directory ({ROOT})")
        }
        _ => format!("{path}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn values_outlast_the_process_and_two_do_not_share_a_file() {
        let directory = std::env::temp_dir().join(format!("obring-store-{}", std::process::id()));
        let path = directory.join(FILE);
        assert_eq!(read(&path), Ok(vec![]));
        let mut store = Store::open(&path).expect("a store");
        store.write([("a", "1"), ("b", "x'y")]).expect("a write");
        store.write([("a", "2")]).expect("a write");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Store::open(&path).expect_err("one process has it");
        assert!(other.contains("in use by another process"), "{other}");
        assert!(read(&path).is_err());
        drop(store);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(read(&path), Ok(vec![pair("a", "2"), pair("b", "x'y")]));
        fs::write(&path, b"not a database at all, and longer than a header").expect("a file");
        assert!(read(&path).is_err_and(|e| e.contains("proxyconfig_v1.db")));
        fs::remove_dir_all(&directory).expect("it is ours");
    }
}
