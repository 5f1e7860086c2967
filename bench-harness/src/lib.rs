//! End-to-end rigs: a raw client, recorded scripts and their comparison, processes under test, a
//! server without a kernel, the acceptance lines, and measurements against other proxies.

pub mod accept;
pub mod bench;
pub mod checks;
pub mod clock;
pub mod field;
pub mod norm;
pub mod params;
pub mod partcheck;
pub mod process;
pub mod random;
pub mod raw;
pub mod relay;
pub mod session;
pub mod transcript;
