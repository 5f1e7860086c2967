//! glommio hosts a core: a named, pinned thread, its executor, joining. The only file that names
//! it.
//!
//! The root future of the executor is the core's loop, and it never yields: our ring is what blocks
//! (docs/decisions/0002). glommio gets turns when something of the slow path (file IO) needs them.

use super::error::StartError;
use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement};
use std::time::Duration;

/// Registered memory of an executor. Its default, 10 MiB, does not fit a memlock limit of 8 MiB.
const IO_MEMORY_BYTES: usize = 64 << 10;
/// Entries of glommio's own rings; the byte path does not use them.
const RING_DEPTH: usize = 128;
/// glommio interrupts its tasks when this has passed. The root future is the only one and never
/// yields, so it must not pass before that has begun: an executor of 0.9.0 that is due before its
/// first task ran goes to sleep for ever. With 1 ms a start on a busy machine hung now and then.
const PREEMPT: Duration = Duration::from_secs(3_600);

/// A running core.
pub(super) struct Hosted(ExecutorJoinHandle<()>);

/// Starts a thread for a core, on one processor or wherever the system likes.
pub(super) fn spawn(
    name: &str,
    cpu: Option<usize>,
    core: impl FnOnce() + Send + 'static,
) -> Result<Hosted, StartError> {
    let placement = cpu.map_or(Placement::Unbound, Placement::Fixed);
    LocalExecutorBuilder::new(placement)
        .name(name)
        .io_memory(IO_MEMORY_BYTES)
        .ring_depth(RING_DEPTH)
        .preempt_timer(PREEMPT)
        .spawn(move || async move { core() })
        .map(Hosted)
        .map_err(|e| StartError::Core {
            core: name.to_owned(),
            what: e.to_string(),
        })
}

impl Hosted {
    /// Waits for the end of the core.
    pub(super) fn join(self) -> Result<(), String> {
        self.0.join().map_err(|e| e.to_string())
    }
}
