//! A system that refuses io_uring: the start says so in one line and nothing is left running.
#![allow(missing_docs, reason = "a test")]

use obring::runtime::probe;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

/// io_uring_setup; the same number on every architecture.
const IO_URING_SETUP: i64 = 425;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// What the probe says under a filter that answers `errno`. Filters belong to threads.
fn refused_with(errno: u32) -> String {
    let arch = TargetArch::try_from(std::env::consts::ARCH).expect("a known architecture");
    let filter = SeccompFilter::new(
        [(IO_URING_SETUP, vec![])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        arch,
    );
    let program: BpfProgram = filter.and_then(TryInto::try_into).expect("a filter");
    std::thread::scope(|s| {
        let thread = s.spawn(|| {
            apply_filter(&program).expect("a filter may be set");
            let error = probe(1).expect_err("io_uring is refused");
            assert_eq!(error.exit_code(), 3, "{error}");
            error.to_string()
        });
        thread.join().expect("no panic")
    })
}

#[test]
fn a_filter_is_named() {
    let line = refused_with(EPERM);
    assert!(line.contains("seccomp") && !line.contains('\n'), "{line}");
}

#[test]
fn a_kernel_without_io_uring_is_named() {
    let line = refused_with(ENOSYS);
    assert!(line.contains("io_uring") && !line.contains('\n'), "{line}");
}

#[test]
fn without_a_filter_the_probe_agrees() {
    probe(1).expect("this system has io_uring");
}
