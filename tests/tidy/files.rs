//! The files of the repository.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A text file.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) is_executable: bool,
}

impl File {
    /// A file that exists in a test only.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            is_executable: false,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// All text files.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

/// What git does not track, or what is no text of ours. As in `.gitignore`.
const SKIPPED: &[&str] = &["target", ".git", "Cargo.lock"];

impl Tree {
    pub(crate) fn of_repository() -> Self {
        let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = root.expect("cargo runs this test");
        let mut files = vec![];
        read(&root, &root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }
}

fn read(root: &Path, folder: &Path, into: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_output = name.starts_with("callgrind.out.") || name.ends_with(".profraw");
        if SKIPPED.contains(&&*name) || is_output || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            read(root, &path, into);
            continue;
        }
        let metadata = path.metadata().expect("the file has metadata");
        // What is no text has no rules.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let path = path.strip_prefix(root).expect("below the root");
        into.push(File {
            path: path.to_string_lossy().into_owned(),
            text,
            is_executable: metadata.permissions().mode() & 0o111 != 0,
        });
    }
}
