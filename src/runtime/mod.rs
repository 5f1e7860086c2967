//! L4: sockets, io_uring, timers, threads and clocks.
mod clock;
mod listen;
mod uring;
mod wheel;
