//! L0: base types of `obring-wire`, and the seam between machines and whatever drives them.

mod ends;
mod reason;
mod seam;

pub use ends::ends;
pub use obring_wire::base::*;
pub use reason::{CloseReason, Event, Level, Stage};
pub use seam::{
    Accepted, Appetite, BufferPool, CoreId, Errno, Input, Laps, Linger, LinkId, Machines, NoLaps,
    Out, Output, Side, Span,
};
