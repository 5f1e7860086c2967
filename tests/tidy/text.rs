//! Length, documents, paths, links and modes of files.

use crate::files::File;

/// Longest line of Rust, in characters (rustfmt leaves strings alone).
const COLUMNS_MAX: usize = 100;

/// Longest file; beyond it there is a second noun in it.
const LINES_MAX: usize = 800;

/// Longer files, with the reason.
const LONG: &[(&str, &str)] = &[];

/// Long lines and files.
pub(crate) fn check_sizes(files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    for file in files.iter().filter(|f| f.is_rust()) {
        for (line, number) in file.text.lines().zip(1..) {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                let path = &file.path;
                complaints.push(format!(
                    "{path}:{number}: {columns} columns, {COLUMNS_MAX} fit"
                ));
            }
        }
        let lines = file.text.lines().count();
        if lines > LINES_MAX && !LONG.iter().any(|(path, _)| *path == file.path) {
            complaints.push(format!("{}: {lines} lines, {LINES_MAX} fit", file.path));
        }
    }
    complaints
}

/// Rust files of the crates that do not begin with what they are for. Tests of a module that stand
/// in a file of their own, `*_tests.rs`, are named by the module.
pub(crate) fn check_documents(files: &[File]) -> Vec<String> {
    let needs_document = |f: &&File| {
        let is_tests = f.path.ends_with("_tests.rs") || f.path.ends_with("/tests.rs");
        f.is_rust() && f.path.contains("src/") && !is_tests
    };
    let is_undocumented = |f: &&File| !f.text.starts_with("//! ");
    let bad = files.iter().filter(needs_document).filter(is_undocumented);
    bad.map(|f| format!("{}: no module document (//!) at the top", f.path))
        .collect()
}

/// Paths that exist on one machine only.
pub(crate) fn check_paths(files: &[File]) -> Vec<String> {
    // Not written as one word here: this file is read too.
    let folders = ["work", "root", "home", "farm"].map(|name| format!("/{name}/"));
    let mut complaints = vec![];
    for file in files {
        for (line, number) in file.text.lines().zip(1..) {
            for folder in &folders {
                let is_absolute = |at: usize| {
                    let before = line[..at].chars().last();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-}$/)".contains(c))
                };
                if line
                    .match_indices(folder.as_str())
                    .any(|(at, _)| is_absolute(at))
                {
                    complaints.push(format!("{}:{number}: a path of a machine", file.path));
                }
            }
        }
    }
    complaints
}

/// Relative links of Markdown files that lead nowhere.
pub(crate) fn check_links(files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    let exists = |path: &str| {
        let folder = format!("{}/", path.trim_end_matches('/'));
        files
            .iter()
            .any(|f| f.path == path || f.path.starts_with(&folder))
    };
    for file in files.iter().filter(|f| f.path.ends_with(".md")) {
        for (line, number) in file.text.lines().zip(1..) {
            for rest in line.split("](").skip(1) {
                let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                let path = resolve(&file.path, target);
                if !exists(&path) {
                    complaints.push(format!("{}:{number}: {target} does not exist", file.path));
                }
            }
        }
    }
    complaints
}

/// The path that `target` means in the file `from`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Scripts that cannot be run, and files in `scripts/` that are neither a script nor a library.
pub(crate) fn check_scripts(files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    for file in files.iter().filter(|f| !f.is_rust()) {
        let is_script = file.text.starts_with("#!");
        if is_script && !file.is_executable {
            complaints.push(format!("{}: a script that is not executable", file.path));
        }
        let is_bare = !file
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .contains('.');
        if file.path.starts_with("scripts/") && is_bare && !is_script {
            complaints.push(format!("{}: a script begins with #!", file.path));
        }
    }
    complaints
}

#[test]
fn long_lines_and_files_are_seen() {
    let said = |text: &str| check_sizes(&[File::of("src/base/a.rs", text)]).len();
    assert_eq!(said(&"x".repeat(100)), 0);
    assert_eq!(said(&"é".repeat(100)), 0);
    assert_eq!(said(&"x".repeat(101)), 1);
    assert_eq!(said(&"x\n".repeat(800)), 0);
    assert_eq!(said(&"x\n".repeat(801)), 1);
}

#[test]
fn missing_documents_are_seen() {
    let said = |path: &str, text: &str| check_documents(&[File::of(path, text)]).len();
    assert_eq!(said("src/base/a.rs", "use x;\n"), 1);
    assert_eq!(said("wire/src/a.rs", "// not this\n//! but this\n"), 1);
    assert_eq!(said("src/base/a.rs", "//! Base.\nuse x;\n"), 0);
    assert_eq!(said("src/base/a_tests.rs", "use x;\n"), 0);
}

#[test]
fn paths_of_machines_are_seen() {
    let said = |text: &str| check_paths(&[File::of("README.md", text)]).len();
    for folder in ["work", "root", "home"] {
        assert_eq!(said(&format!("in /{folder}/x")), 1);
        assert_eq!(said(&format!("\"/{folder}/x\"")), 1);
        assert_eq!(said(&format!("$dir/{folder}/x and a/{folder}/b")), 0);
    }
}

#[test]
fn dead_links_are_seen() {
    let docs = |text: &str| {
        let files = [File::of("docs/a.md", text), File::of("src/lib.rs", "")];
        check_links(&files).len()
    };
    assert_eq!(
        docs("[x](../src/lib.rs) [y](../src) [z](a.md#part) [w](https://x.y)"),
        0
    );
    assert_eq!(docs("[x](../src/main.rs)"), 1);
    assert_eq!(docs("[x](b.md) and [y](c.md)"), 2);
}

#[test]
fn scripts_that_cannot_run_are_seen() {
    let mut script = File::of("scripts/test", "#!/bin/sh\n");
    assert_eq!(
        check_scripts(&[File::of("scripts/test", "#!/bin/sh\n")]).len(),
        1
    );
    script.is_executable = true;
    assert!(check_scripts(&[script]).is_empty());
    assert_eq!(
        check_scripts(&[File::of("scripts/test", "echo\n")]).len(),
        1
    );
    assert!(check_scripts(&[File::of("scripts/lib.sh", "echo\n")]).is_empty());
}
