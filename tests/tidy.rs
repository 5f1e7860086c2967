//! The house rules, read from the sources (`docs/architecture.md`; no one argues with a test).
//!
//! Each rule is a function from files to complaints, and has a test of its own on bad snippets
//! beside it, so that a rule that no longer bites is seen.

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/text.rs"]
mod text;

use files::{File, Tree};

/// Fails with all complaints of a rule.
fn hold(rule: fn(&[File]) -> Vec<String>) {
    let complaints = rule(&Tree::of_repository().files);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_tree_is_seen() {
    let tree = Tree::of_repository();
    for path in [
        "src/lib.rs",
        "wire/src/lib.rs",
        "tests/tidy.rs",
        "config/reference.md",
    ] {
        assert!(
            tree.files.iter().any(|f| f.path == path),
            "{path} is not seen"
        );
    }
}

#[test]
fn modules_use_what_is_below_or_left() {
    hold(layers::check);
}

#[test]
fn crates_depend_as_drawn() {
    hold(layers::check_crates);
}

#[test]
fn unsafe_and_glommio_keep_to_their_places() {
    hold(places::check);
}

#[test]
fn nothing_unfinished_or_left_behind() {
    hold(places::check_leftovers);
}

#[test]
fn lines_and_files_are_short() {
    hold(text::check_sizes);
}

#[test]
fn modules_begin_with_their_document() {
    hold(text::check_documents);
}

#[test]
fn no_path_of_a_machine_and_no_dead_link() {
    hold(text::check_paths);
    hold(text::check_links);
}

#[test]
fn scripts_can_be_run() {
    hold(text::check_scripts);
}

#[test]
fn settings_are_documented() {
    let tree = Tree::of_repository();
    let reference = tree
        .files
        .iter()
        .find(|f| f.path == "config/reference.md")
        .unwrap();
    for row in obring::config::TABLE {
        let entry = format!("\n| `{}` |", row.name);
        assert!(
            reference.text.contains(&entry),
            "{} is not in the reference",
            row.name
        );
    }
}
