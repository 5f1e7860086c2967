//! L2: who logs in, and how a password is proved without being known.
//!
//! * [`LoginName`]: the forms of `user@tenant#cluster`.
//! * [`scramble`], [`native_answer`], [`pass_through`]: mysql_native_password and the trick that
//!   lets one answer of the client open every server of a cluster.
//! * [`Unseal`], [`stage1_of_sealed`]: the password itself, of clients that have no other method.

mod name;
mod native;
mod sealed;

pub use name::{LoginName, NameError};
pub use native::{Scramble, Stage1, native_answer, pass_through, scramble, stage1};
pub use sealed::{BLOCK_LEN, NoKey, SealError, Unseal, stage1_of_sealed};
