//! L0: types without a domain. Nothing here knows what a packet is.

mod cursor;
mod rng;
mod slab;
mod tick;

pub use cursor::{Cursor, Short, put_lenenc, put_lenenc_bytes};
pub use rng::Rng;
pub use slab::{Key, Slab};
pub use tick::Tick;
