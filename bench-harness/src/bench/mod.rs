//! Measures what a proxy adds: peers in turn in one run, ratios inside each round.
//!
//! * [`statement`] is what is asked, [`plan`] says when, [`load`] asks;
//! * [`peer`] starts what stands between, [`cpu`] reads what it used;
//! * [`round`] measures a case on all peers, [`syscalls`] and [`idle`] what needs runs of its own;
//! * [`decisions`] tells why obring sent statements where it did;
//! * [`spread`] makes quartiles, [`report`] the Markdown, [`run()`] the whole;
//! * [`instructions`] counts what the session machine executes.
//!
//! How to measure, and why so, is told in `bench-harness/BENCH.md`.

pub mod cpu;
pub mod decisions;
pub mod idle;
pub mod instructions;
pub mod load;
pub mod peer;
pub mod plan;
pub mod report;
pub mod round;
pub mod run;
pub mod spread;
pub mod statement;
pub mod syscalls;

pub use run::{Job, run};
