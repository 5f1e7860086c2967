//! L2: who logs in, and how a password is proved without being known.
//!
//! * [`LoginName`]: the forms of `user@tenant#cluster`.
//! * [`scramble`], [`native_answer`], [`pass_through`]: mysql_native_password and the trick that
//!   lets one answer of the client open every server of a cluster.

mod name;
mod native;

pub use name::{LoginName, NameError};
pub use native::{Scramble, Stage1, native_answer, pass_through, scramble, stage1};
