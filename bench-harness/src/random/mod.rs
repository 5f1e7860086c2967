//! Random client sessions, played directly on the kernel and through obring: what the client sees
//! must be the same, whatever server each statement went to.
//!
//! A seed makes a [`Script`] (`single`, `pair`); [`Rig`] plays it both ways and compares packet by
//! packet, after the normalisations of [`crate::norm`]; [`hunt()`] goes through many seeds and
//! makes the first script that differs short. What a session sets and says is in `words`. A
//! [`World`] has all that is needed: a model cluster on the kernel, whose leaders move, and an
//! obring in front of it; with a [`Thief`] in it, state gets lost, and the comparison must find
//! that.

mod act;
mod hunt;
mod pair;
mod rig;
mod shrink;
mod single;
mod thief;
mod words;
mod world;

pub use act::{Accounts, Act, Entrance, SLOTS, Script, Step, play};
pub use hunt::{Sort, Tally, hunt, seeds};
pub use pair::pair;
pub use rig::{Rig, Through, Verdict};
pub use shrink::shrink;
pub use single::single;
pub use thief::{Loss, Thief};
pub use world::{FRAMINGS, RANDOM, ServerFraming, World};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_one_script() {
        for seed in 0..200 {
            for has_locks in [false, true] {
                let text = single(seed, "db", has_locks).to_string();
                assert_eq!(text, single(seed, "db", has_locks).to_string());
                assert_ne!(text, single(seed + 1, "db", has_locks).to_string());
                assert_eq!(
                    text.contains("get_lock"),
                    text.contains("get_lock") && has_locks
                );
                let two = pair(seed, "db", has_locks).to_string();
                assert_eq!(two, pair(seed, "db", has_locks).to_string());
            }
        }
    }

    /// Every kind of act is made by some of the first seeds: what a run of the tests covers.
    #[test]
    fn few_seeds_do_everything() {
        let all: String = (0..90).map(|s| single(s, "db", true).to_string()).collect();
        for word in [
            "burst",
            "init db",
            "ping",
            "statistics",
            "field list",
            "several statements",
            "reset connection",
            "other: true",
            "other: false",
            "prepare ",
            "with cursor",
            "without types",
            "long data",
            "fetch",
            "reset statement",
            "close",
            "get_lock",
            "savepoint",
            "set names",
            "begin",
            "deallocate",
            "show warnings",
            "found_rows",
        ] {
            assert!(all.contains(word), "no {word} in 90 scripts");
        }
    }
}
