//! The field cases: what users of database proxies ran into, each as one named check.
//!
//! Source of the cases: `spec/field_cases.md`, F001 to F107. One list, [`cases`], holds each of
//! them, with a check or with the reason why there is none yet. `tests/field_cases.rs` runs the
//! checks at their small size. [`needs_c1`] lists those that also have to hold on three servers.

mod admin;
mod failover;
mod fixture;
mod inside;
mod later;
mod leaders;
mod leaves;
mod limits;
mod login;
mod memory;
mod place;
mod prepared;
mod protocol;
mod replicas;
mod same;
mod several;
mod single;
mod state;

pub use fixture::{DB, fixture};
pub use same::same;
pub use several::{Several, needs_c1};

use crate::checks::{Saw, Setup};
use crate::process::Obring;

/// How much work a check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Seconds: for every run of the tests.
    Small,
    /// As the case says, minutes if need be.
    Full,
}

/// What a check works with. [`fixture`] was run once on the kernel.
#[derive(Clone, Debug)]
pub struct Field {
    /// The binary and the kernel.
    pub setup: Setup,
    /// How much of it.
    pub size: Size,
    /// In front of what scripts are played.
    pub place: Place,
}

/// In front of what obring stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The kernel alone.
    Kernel,
    /// Three servers of a model cluster on it; statements go to them at random.
    Cluster,
}

impl Field {
    /// A count by size.
    #[must_use]
    pub const fn count(&self, small: u32, full: u32) -> u32 {
        match self.size {
            Size::Small => small,
            Size::Full => full,
        }
    }

    /// obring in front of the kernel, with default settings.
    ///
    /// # Errors
    /// What it said instead of serving.
    pub fn start(&self) -> Result<Obring, String> {
        self.setup.start()
    }
}

/// What is done about a case.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// It is checked.
    Check(fn(&Field) -> Saw),
    /// A part that one server makes possible is checked; the text says what is left, and for which
    /// issue.
    Part(fn(&Field) -> Saw, &'static str),
    /// It is not checked yet; the text says why, and which issue brings it.
    Later(&'static str),
}

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// `F001` to `F107`.
    pub id: &'static str,
    /// What must not go wrong, in a few words.
    pub title: &'static str,
    /// What is done about it.
    pub plan: Plan,
}

const fn check(id: &'static str, title: &'static str, check: fn(&Field) -> Saw) -> Case {
    Case {
        id,
        title,
        plan: Plan::Check(check),
    }
}

const fn part(
    id: &'static str,
    title: &'static str,
    check: fn(&Field) -> Saw,
    left: &'static str,
) -> Case {
    Case {
        id,
        title,
        plan: Plan::Part(check, left),
    }
}

/// All cases, by number.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = [
        protocol::CASES,
        prepared::CASES,
        state::CASES,
        limits::CASES,
        login::CASES,
        admin::CASES,
        memory::CASES,
        single::CASES,
        inside::CASES,
        leaves::CASES,
        failover::CASES,
        replicas::CASES,
        several::CASES,
        later::CASES,
    ]
    .concat();
    all.sort_by_key(|c| c.id);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_stands_in_the_list_once_and_says_what_is_left() {
        let want: Vec<String> = (1..=107).map(|n| format!("F{n:03}")).collect();
        let ids: Vec<_> = cases().iter().map(|c| c.id).collect();
        assert_eq!(ids, want);
        for case in cases() {
            assert!(!case.title.is_empty(), "{}", case.id);
            if let Plan::Later(why) | Plan::Part(_, why) = case.plan {
                assert!(why.len() > 10, "{}: {why:?} is no reason", case.id);
            }
        }
    }
}
