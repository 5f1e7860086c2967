//! What may stand in some places only, and what may stand nowhere.

use crate::code::{self, lines_with_word};
use crate::files::File;

/// A word of code, and the only places for it. A place that ends with `/` is a folder.
const PLACES: &[(&str, &[&str])] = &[
    ("unsafe", &["src/runtime/uring/"]),
    ("glommio", &["src/runtime/host.rs"]),
    ("io_uring", &["src/runtime/uring/"]),
];

/// Files that need a word elsewhere, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Words outside their places.
pub(crate) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    for file in files.iter().filter(|f| f.is_rust()) {
        let code = code::only(&file.text);
        for (word, places) in PLACES {
            let is_place = |place: &&str| match place.strip_suffix('/') {
                Some(_) => file.path.starts_with(*place),
                None => file.path == **place,
            };
            let is_exempt = EXCEPTIONS
                .iter()
                .any(|(p, w, _)| *p == file.path && w == word);
            if places.iter().any(is_place) || is_exempt {
                continue;
            }
            for line in lines_with_word(&code, word) {
                let places = places.join(", ");
                complaints.push(format!("{}:{line}: {word} belongs in {places}", file.path));
            }
        }
    }
    for (path, word, _) in EXCEPTIONS {
        let is_used = |f: &&File| !lines_with_word(&code::only(&f.text), word).is_empty();
        if !files.is_empty()
            && !files
                .iter()
                .filter(|f| f.path == *path)
                .any(|f| is_used(&f))
        {
            complaints.push(format!("{path} needs no exception for {word} any more"));
        }
    }
    complaints
}

/// Code that must not be committed.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];

/// Where waiting by the clock alone is allowed, with the reason.
const SLEEPS: &[(&str, &str)] = &[(
    "bench-harness/src/clock.rs",
    "the one place that polls a condition until a deadline",
)];

/// What is unfinished, switched off, or waits for luck.
pub(crate) fn check_leftovers(files: &[File]) -> Vec<String> {
    let mut complaints = vec![];
    // Not written as one word here: this file is read too.
    let (fix, xxx, todo) = (["FIX", "ME"].concat(), "X".repeat(3), ["TO", "DO"].concat());
    for file in files {
        let mut say = |line: usize, what: &str| {
            complaints.push(format!("{}:{line}: {what}", file.path));
        };
        for line in lines_with_word(&file.text, &fix) {
            say(line, "finish it, or name the issue that owns it");
        }
        if !file.is_rust() && !file.path.starts_with("scripts/") {
            continue;
        }
        for line in lines_with_word(&file.text, &xxx) {
            say(line, "say it in words");
        }
        for number in lines_with_word(&file.text, &todo) {
            let line = file.text.lines().nth(number - 1).unwrap_or_default();
            if !has_owner(line, &todo) {
                say(
                    number,
                    "an unfinished place names the issue that owns it, as (#7)",
                );
            }
        }
        if !file.is_rust() {
            continue;
        }
        let code = code::only(&file.text);
        for (line, number) in code.lines().zip(1..) {
            for word in LEFTOVERS.iter().filter(|w| line.contains(**w)) {
                say(number, &format!("{word} must not be committed"));
            }
            let may_sleep = SLEEPS.iter().any(|(path, _)| *path == file.path);
            if line.contains("thread::sleep") && !may_sleep {
                say(
                    number,
                    "wait for a condition with a deadline, not for a time",
                );
            }
        }
    }
    complaints
}

/// `marker(#7)`, each time the marker is there.
fn has_owner(line: &str, marker: &str) -> bool {
    line.match_indices(marker).all(|(at, _)| {
        let rest = &line[at + marker.len()..];
        let owner = rest.strip_prefix("(#").and_then(|r| r.split_once(')'));
        owner.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
    })
}

#[test]
fn words_outside_their_places_are_seen() {
    for (path, text, count) in [
        ("src/session/a.rs", "unsafe { f() }", 1),
        ("src/runtime/a.rs", "unsafe fn f() {}", 1),
        ("src/runtime/uring/a.rs", "unsafe fn f() {}", 0),
        ("src/session/a.rs", "#![deny(unsafe_code)] // unsafe", 0),
        ("src/runtime/a.rs", "use glommio::Task;", 1),
        ("src/runtime/host.rs", "use glommio::Task;", 0),
        ("bench-harness/src/a.rs", "glommio::f(); unsafe { g() }", 2),
        ("src/runtime/a.rs", "use io_uring::IoUring;", 1),
    ] {
        let complaints = check(&[File::of(path, text)]);
        let of_file: Vec<_> = complaints.iter().filter(|c| c.starts_with(path)).collect();
        assert_eq!(of_file.len(), count, "{path} {text}: {complaints:?}");
    }
}

#[test]
fn leftovers_are_seen() {
    let marker = ["TO", "DO"].concat();
    for (text, count) in [
        ("todo!()".to_owned(), 1),
        ("unimplemented!(\"x\")".into(), 1),
        ("dbg!(x)".into(), 1),
        ("#[ignore]\nfn f() {}".into(), 1),
        ("#[ignore = \"slow\"]".into(), 1),
        ("std::thread::sleep(x)".into(), 1),
        ("// todo! and dbg! in words".into(), 0),
        (format!("// {}{}: broken", "FIX", "ME"), 1),
        (format!("// {}", "X".repeat(3)), 1),
        (format!("// {marker}: later"), 1),
        (format!("// {marker}(me): later"), 1),
        (format!("// {marker}(#): later"), 1),
        (format!("// {marker}(#7): later"), 0),
        (format!("// {marker}(#7), {marker}: later"), 1),
        (format!("let {marker}S = 1;"), 0),
    ] {
        let complaints = check_leftovers(&[File::of("src/base/a.rs", &text)]);
        assert_eq!(complaints.len(), count, "{text}: {complaints:?}");
    }
    let sleep = "std::thread::sleep(x)";
    assert_eq!(check_leftovers(&[File::of("tests/a.rs", sleep)]).len(), 1);
    assert_eq!(
        check_leftovers(&[File::of("bench-harness/src/clock.rs", sleep)]).len(),
        0
    );
}
