//! The file of used tables: `etc/locations.snapshot` below the root directory.

use super::store;
use crate::metadata::snapshot::{self, BYTES_MAX};
use crate::routing::TableKey;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Beside the settings' database.
const FILE: &str = "locations.snapshot";

/// Where it lies.
pub(super) fn path() -> PathBuf {
    store::path().with_file_name(FILE)
}

/// The tables of the last run; none if there is no file.
///
/// # Errors
/// Why the file cannot be used, with the place in it; one line.
pub(super) fn read(path: &Path) -> Result<Vec<TableKey>, String> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(e.to_string()),
    };
    let mut bytes = vec![];
    let limit = BYTES_MAX as u64 + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() > BYTES_MAX {
        return Err(format!("it is longer than {BYTES_MAX} bytes"));
    }
    snapshot::read(&bytes).map_err(|e| e.to_string())
}

/// Replaces the file. What a crash leaves is the old file or the new one; it is not forced to the
/// disk, because losing it costs some look-ups only.
///
/// # Errors
/// One line.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(told)?;
    }
    let new = path.with_extension("snapshot.new");
    fs::write(&new, text).map_err(told)?;
    fs::rename(&new, path).map_err(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_broken_file_says_where() {
        let directory = std::env::temp_dir().join(format!("obring-hot-{}", std::process::id()));
        let path = directory.join("etc").join(FILE);
        assert_eq!(read(&path), Ok(vec![]));
        let key = TableKey {
            cluster: "c".into(),
            tenant: b"t".as_slice().into(),
            database: b"d".as_slice().into(),
            name: b"n".as_slice().into(),
        };
        write(&path, &snapshot::write([&key].into_iter())).expect("a file");
        assert_eq!(read(&path), Ok(vec![key]));
        write(&path, b"obring locations 1\nx\nend 1\n").expect("a file");
        assert_eq!(read(&path), Err("line 2: it is not four names".into()));
        fs::write(&path, vec![b'x'; BYTES_MAX + 1]).expect("a file");
        assert_eq!(read(&path), Err("it is longer than 4194304 bytes".into()));
        fs::remove_dir_all(&directory).expect("it is ours");
        assert!(write(Path::new("/proc/obring/x"), b"").is_err());
    }
}
