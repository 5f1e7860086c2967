//! Listening sockets and descriptor limits.
pub(super) const KEEP_IDLE_S: i32 = 60;
pub(super) const KEEP_INTERVAL_S: i32 = 10;
pub(super) const KEEP_COUNT: i32 = 6;
