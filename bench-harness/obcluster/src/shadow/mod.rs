//! The state shadow: what each session has set, what each of its links has of that, and what a
//! proxy has forgotten to bring along.
//!
//! One kernel behind all servers would hide some of that, and a test that does not look would miss
//! the rest. So the model follows the state itself, from what the kernel reports on all links of a
//! session and what the proxy sends on each. Blocks of session state are opaque: their bytes are
//! compared. Pure: fed with decoded requests and replies.
//!
//! ```text
//! login ── [`Shadows::login`]
//! request ── [`Shadows::check`] ─┬─ violations
//!                                └─ [`Shadows::sent`] ── reply ── [`Shadows::told`]
//! ```
//!
//! A link has what its replies reported, what its login reported, and the blocks that were sent on
//! it. A session has the newest of what its links reported as changed. A piece that nobody has
//! changed is *blank*, and all fresh links have it.

mod asked;
mod link;
mod map;
mod parts;
mod session;
mod told;

pub use asked::{Asked, Kill};
pub use link::LinkState;
pub use map::{Login, Shadows};
pub use parts::{Numbering, SYSTEM_VARIABLES};
pub use told::{Beside, Told};

use std::collections::BTreeMap;

/// Names and values, as the kernel reports them.
pub(crate) type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// Variables of each kind that are followed per link and per session; further ones are not.
pub const NAMES_MAX: usize = 4_096;
/// Prepared statements that are followed per link; with more, none is missed any more.
pub const STATEMENTS_MAX: usize = 16_384;

/// System variables that servers report by themselves, and that do not make a difference: feedback
/// on one reply, and what follows the current database. Observed on seekdb 1.3.0.post5.
const OF_THE_SERVER: &[&[u8]] = &[
    b"_current_default_catalog",
    b"_ob_proxy_weakread_feedback",
    b"character_set_database",
    b"collation_database",
    b"ob_capability_flag",
    b"ob_last_schema_version",
    b"ob_proxy_global_variables_version",
    b"ob_proxy_partition_hit",
    b"ob_proxy_user_privilege",
    b"ob_statement_trace_id",
];

/// System variables that every connection reports with its first reply, changed or not.
const OF_FIRST_REPLIES: &[&[u8]] = &[b"_nlj_batching_enabled", b"ob_enable_transmission_checksum"];

/// System variables that a login decides by its character set, and COM_RESET_CONNECTION does not
/// bring back: they have these values then, and no report says so, nor when `collation_connection`
/// is set to the same again. Observed on seekdb 1.3.0.post5.
const OF_THE_LOGIN: &[(&[u8], &[u8])] = &[
    (b"character_set_client", b"utf8mb4"),
    (b"character_set_connection", b"utf8mb4"),
    (b"character_set_results", b"utf8mb4"),
    (b"collation_connection", b"utf8mb4_general_ci"),
];

/// System variables that stand for something that no other link can be given: characteristics of
/// the next transaction, temporary tables. They are compared in every framing.
const OF_ONE_LINK: &[&[u8]] = &[
    b"_ob_proxy_session_temporary_table_used",
    b"ob_proxy_set_trx_executed",
];

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
