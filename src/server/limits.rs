//! Limits of the process, raised as far as allowed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limits of open files and of locked memory to the hard ones: each client takes
/// two descriptors, each core some locked memory (`docs/architecture.md`). What is allowed is
/// enough or not: the runtime checks, and says what is needed.
pub(super) fn raise() {
    for resource in [Resource::Nofile, Resource::Memlock] {
        let Rlimit { maximum, .. } = getrlimit(resource);
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        // Up to the hard limit is always allowed, except in odd containers: then it stays.
        let _ = setrlimit(resource, raised);
    }
}
