//! MySQL packets in plain framing.
//!
//! A packet is `len u24 | seq u8 | payload`, little-endian; a payload of exactly 0xFFFFFF bytes is
//! continued by the next packet. `LIFECYCLE.md` beside this file draws the machines.

mod command;
mod flags;
mod greeting;
mod login;
mod ok;
mod packet;
mod prepare_execute;
mod reply;
mod request;
mod rows;
mod sink;

pub use command::Command;
pub use flags::{client, status};
pub use greeting::{
    AuthMore, AuthSwitch, CACHING_SHA2_PASSWORD, Greeting, NATIVE_PASSWORD, SCRAMBLE_LEN,
};
pub use login::{ChangeUser, Login, LoginError, put_attribute};
pub use ok::{
    ErrPacket, OkPacket, StateBlock, StateBlocks, TRACK_SCHEMA, TRACK_STATE, TRACK_VARIABLES,
    Variables,
};
pub use packet::{Gather, HEADER_LEN, MAX_PAYLOAD, TooLong, Whole, put_packet};
pub use prepare_execute::PrepareExecute;
pub use reply::{BadReply, Reply, Shape};
pub use request::{Request, RequestStep};
pub use rows::{ColumnKind, TextRows};
pub use sink::{ClientTurn, ReplySink};
