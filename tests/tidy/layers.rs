//! Who may use whom.

use crate::code;
use crate::files::File;

/// The layers, bottom up, each from left to right. A module uses what is below it or to its left.
const LAYERS: &[&[&str]] = &[
    &["base", "config", "telemetry"],
    &["protocol", "sql"],
    &["auth", "link", "partition", "routing"],
    &["metadata", "session", "admin"],
    &["runtime"],
    &["server"],
];

/// The second shell: drives what is below the runtime; only tests use it.
const SIM: &str = "sim";

fn place(module: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(level, row)| {
        row.iter()
            .position(|m| *m == module)
            .map(|column| (level, column))
    })
}

/// True if `from` may use `to`.
fn may_use(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    match (place(from), place(to)) {
        (Some(from), Some(to)) => to < from,
        (None, Some((level, _))) => from == SIM && level < 4,
        _ => false,
    }
}

fn is_module(name: &str) -> bool {
    place(name).is_some() || name == SIM
}

/// Uses of modules that are above or to the right, and modules without a layer.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    for file in files.iter().filter(|f| f.is_rust()) {
        let (inner, root) = if let Some(inner) = file.path.strip_prefix("src/") {
            (inner, "src/")
        } else if let Some(inner) = file.path.strip_prefix("wire/src/") {
            (inner, "wire/src/")
        } else {
            continue;
        };
        let Some((module, _)) = inner.split_once('/') else {
            // `main.rs` starts the top; `lib.rs` names them all.
            if root == "src/" && !["lib.rs", "main.rs"].contains(&inner) {
                complaints.push(format!("{}: a module is a folder", file.path));
            }
            continue;
        };
        if !is_module(module) {
            complaints.push(format!("{}: {module} is in no layer", file.path));
            continue;
        }
        for (line, used) in modules_used(&file.path, &code::only(&file.text)) {
            if !may_use(module, &used) {
                complaints.push(format!(
                    "{}:{line}: {module} must not use {used}",
                    file.path
                ));
            }
        }
    }
    complaints
}

/// Modules of the crate that the code names, with the line: behind `crate::`, `obring_wire::`, or
/// enough `super::` to leave the module.
fn modules_used(path: &str, code: &str) -> Vec<(usize, String)> {
    let inner = path.trim_start_matches("wire/").trim_start_matches("src/");
    let is_folder = inner.ends_with("/mod.rs");
    // `server/log/sink.rs` is three deep, `server/log/mod.rs` two.
    let depth = inner.split('/').count() - usize::from(is_folder);
    let up = "super::".repeat(depth);
    let mut used = vec![];
    for head in ["crate::", "obring_wire::", &up] {
        for (at, _) in code.match_indices(head) {
            let before = code[..at].bytes().last();
            if before.is_some_and(|b| code::is_word(b) || b == b':') {
                continue;
            }
            let line = 1 + code[..at].matches('\n').count();
            for name in first_names(&code[at + head.len()..]) {
                if is_module(&name) {
                    used.push((line, name));
                }
            }
        }
    }
    used
}

/// The first name of a path, or of each path of a `{..}` group.
fn first_names(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = text.strip_prefix('{') else {
        return vec![word(text)];
    };
    let (mut names, mut depth, mut start) = (vec![], 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                names.push(word(&group[start..at]));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// Crates that must not depend on the proxy, and those that may only depend on the wire.
pub(crate) fn check_crates(files: &[File]) -> Vec<String> {
    // Crate, and the crates of this workspace that it may use.
    let rules: [(&str, &[&str]); 2] = [
        ("wire/Cargo.toml", &[]),
        ("bench-harness/obcluster/Cargo.toml", &["obring-wire"]),
    ];
    let own = ["obring", "obring-wire", "obcluster", "bench-harness"];
    let mut complaints = vec![];
    for (path, allowed) in rules {
        let Some(file) = files.iter().find(|f| f.path == path) else {
            complaints.push(format!("{path} is missing"));
            continue;
        };
        let manifest: toml::Table = match file.text.parse() {
            Ok(manifest) => manifest,
            Err(e) => {
                complaints.push(format!("{path}: {e}"));
                continue;
            }
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(toml::Value::as_table) else {
                continue;
            };
            for (name, value) in table {
                let real = value
                    .get("package")
                    .and_then(toml::Value::as_str)
                    .unwrap_or(name);
                let is_path = value.get("path").is_some();
                if (own.contains(&real) || is_path) && !allowed.contains(&real) {
                    complaints.push(format!("{path}: must not depend on {real}"));
                }
            }
        }
    }
    complaints
}

#[test]
fn uses_upwards_and_to_the_right_are_seen() {
    for (path, text, said) in [
        (
            "src/link/a.rs",
            "use crate::session::X;",
            "link must not use session",
        ),
        (
            "src/auth/a.rs",
            "use crate::link::X;",
            "auth must not use link",
        ),
        (
            "src/auth/a.rs",
            "fn f() { crate::runtime::f() }",
            "auth must not use runtime",
        ),
        (
            "src/config/a.rs",
            "use crate::{base::A, telemetry::{B, C}};",
            "must not use telemetry",
        ),
        (
            "src/config/a.rs",
            "use obring_wire::protocol::A;",
            "config must not use protocol",
        ),
        (
            "src/session/a.rs",
            "use super::super::server::A;",
            "session must not use server",
        ),
        (
            "src/session/mod.rs",
            "use super::server::A;",
            "session must not use server",
        ),
        (
            "src/runtime/a.rs",
            "use crate::sim::A;",
            "runtime must not use sim",
        ),
        (
            "src/sim/a.rs",
            "use crate::runtime::A;",
            "sim must not use runtime",
        ),
        (
            "src/server/a.rs",
            "use crate::sim::A;",
            "server must not use sim",
        ),
        (
            "wire/src/base/a.rs",
            "use crate::protocol::A;",
            "base must not use protocol",
        ),
        ("src/utils/a.rs", "", "utils is in no layer"),
        ("src/utils.rs", "", "a module is a folder"),
    ] {
        let complaints = check(&[File::of(path, text)]);
        assert!(
            complaints.len() == 1 && complaints[0].contains(said),
            "{text}: {complaints:?}"
        );
    }
}

#[test]
fn uses_downwards_and_to_the_left_are_fine() {
    for (path, text) in [
        (
            "src/session/a.rs",
            "use crate::{base::{A, B}, link::C, metadata::D};",
        ),
        (
            "src/server/a/b.rs",
            "use super::super::failure::A; use crate::runtime::B;",
        ),
        (
            "src/link/a.rs",
            "// use crate::session::X;\nlet s = \"crate::session\";",
        ),
        (
            "src/link/a.rs",
            "use other_crate::session::X; use crate::link::Y;",
        ),
        ("src/sim/a.rs", "use crate::session::A;"),
        ("src/lib.rs", "pub mod server;"),
        ("tests/a.rs", "use crate::session::X;"),
    ] {
        let complaints = check(&[File::of(path, text)]);
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}

#[test]
fn forbidden_dependencies_are_seen() {
    let wire = File::of("wire/Cargo.toml", "[dependencies]\nsha1 = '1'\n");
    let said = |text: &str| {
        let wire = File::of(&wire.path, &wire.text);
        check_crates(&[wire, File::of("bench-harness/obcluster/Cargo.toml", text)])
    };
    let fine = "[dependencies]\nobring-wire.workspace = true\nsha1 = '1'\n";
    assert!(said(fine).is_empty());
    for bad in [
        "[dependencies]\nobring = { path = '../..' }\n",
        "[dev-dependencies]\nobring.workspace = true\n",
        "[dependencies]\nproxy = { package = 'obring', path = '../..' }\n",
        "[dependencies]\nbench-harness = { path = '..' }\n",
    ] {
        assert_eq!(said(bad).len(), 1, "{bad}");
    }
    assert_eq!(check_crates(&[]).len(), 2);
}
