//! End-to-end rigs: a raw client, recorded scripts and their comparison, processes under test, a
//! canned server, and the acceptance lines.

pub mod accept;
pub mod checks;
pub mod clock;
pub mod norm;
pub mod process;
pub mod raw;
pub mod relay;
pub mod session;
pub mod transcript;
