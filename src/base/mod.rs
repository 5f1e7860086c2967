//! L0: base types of `obring-wire`, and the seam between machines and whatever drives them.

mod reason;
mod seam;

pub use obring_wire::base::*;
pub use reason::{CloseReason, Event, Level};
pub use seam::{
    Accepted, Appetite, BufferPool, CoreId, Errno, Input, Linger, LinkId, Machines, Out, Output,
    Side, Span,
};
