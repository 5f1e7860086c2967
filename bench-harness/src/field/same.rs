//! The same script directly and through obring.

use super::{DB, Field};
use crate::checks::ensure;
use crate::raw::Login;
use crate::session::{Run, Session};
use crate::transcript::compare;
use std::fmt::Write as _;

/// Runs a script directly and then through an obring of its own. The script says what is wrong with
/// what it saw (both times); what it saw must be equal, packet by packet.
///
/// # Errors
/// The script's, or the packets that differ.
pub fn same(field: &Field, script: impl Fn(&Run) -> Result<(), String>) -> Result<String, String> {
    let proxy = field.start()?;
    let direct = Run::new(field.setup.kernel);
    script(&direct).map_err(|e| format!("directly: {e}"))?;
    let through = Run::new(proxy.address());
    script(&through).map_err(|e| format!("through obring: {e}"))?;
    let (direct, through) = (direct.transcript(), through.transcript());
    let differences = compare(&direct, &through);
    let mut text = format!("{} replies differ:", differences.len());
    for d in &differences {
        let _ = write!(text, "\n{d}");
    }
    ensure(differences.is_empty(), || text)?;
    Ok(format!("{} replies, all as directly", direct.steps.len()))
}

/// A script of one connection: root, the cases' database, alive at its end.
pub(super) fn session(
    field: &Field,
    script: impl Fn(&mut Session) -> Result<(), String>,
) -> Result<String, String> {
    same(field, |run| {
        let mut s = run.login("a", &Login::default().db(DB));
        script(&mut s)?;
        s.bye();
        Ok(())
    })
}
