//! Area protocol: packets, sizes, several requests at once, ends of replies.

use super::same::session;
use super::{Case, Field, check};
use crate::checks::{Saw, ensure};
use crate::raw::Got;

pub(super) const CASES: &[Case] = &[check(
    "F002",
    "no size limit besides the server's",
    statement_sizes,
)];

/// F002: statements up to the server's limit pass, the one above it is refused, and the connection
/// goes on.
fn statement_sizes(field: &Field) -> Saw {
    /// `select length('')` around the text, with the command byte.
    const AROUND: usize = 18;
    session(field, |s| {
        for (size, refused) in [
            (4_096, false),
            (4_097, false),
            (65_536, false),
            (5_000_000, false),
            (16_777_214, false),
            (16_777_215, false),
            (16_777_216, false),
            (16_777_217, true),
        ] {
            let sql = format!("select length('{}')", "x".repeat(size - AROUND));
            let got = s.q(&sql);
            let code = got.first().and_then(Got::error).map(|(code, _)| code);
            let want = refused.then_some(1153);
            ensure(code == want, || {
                format!("{size} bytes: {code:?}, not {want:?}")
            })?;
            s.q("select 1");
        }
        Ok(())
    })
}
