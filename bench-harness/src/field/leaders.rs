//! Statements of the cases about leaves on three servers: that each runs where the model says that
//! its rows are led.

use super::place::TENANT;
use super::{DB, Field};
use crate::checks::{Saw, ensure};
use crate::params::{P, params};
use crate::random::World;
use crate::raw::{Got, Login};
use crate::session::Run;
use obcluster::{Entry, Kind, Role, VerdictKind};

/// The number of every parameter.
const KEY: i64 = 5;

/// Runs statements, those with a parameter as prepared ones with 5. Each comes to the leader of
/// what it touches; where that is led by several, to one that leads the most, or, where the model
/// knows only that no more than all is touched, to one of them. `leaf`: the only one that each of
/// them touches. `is_weak`: the session reads weakly where it may.
///
/// # Errors
/// The first statement that came elsewhere, or that the model has no verdict on.
pub(super) fn led(field: &Field, texts: &[String], leaf: Option<u32>, is_weak: bool) -> Saw {
    let world = World::start(&field.setup, &[])?;
    let login = Login::user(&format!("root{}", world.through().tenant), "").db(DB);
    let mut s = Run::new(world.proxy.address()).login("a", &login);
    if is_weak {
        let got = s.q("set ob_read_consistency = weak");
        ensure(got.last().is_some_and(Got::is_ok), || format!("{got:?}"))?;
    }
    for text in texts {
        let since = world.cluster.log_next();
        let got = if text.contains('?') {
            s.prepare(text);
            let body = params(&[P::Big(KEY)], true);
            s.execute(0, &body)
        } else {
            s.q(text)
        };
        let head: String = text.chars().take(80).collect();
        let log = world.cluster.log_since(since);
        let is_it = |e: &&Entry| {
            e.kind == Kind::Request
                && e.tenant == TENANT
                && e.meta.is_empty()
                && matches!(e.cmd.as_str(), "query" | "stmt_execute")
                && !matches!(
                    e.verdict.kind,
                    VerdictKind::NotJudged | VerdictKind::NoTable
                )
        };
        let entry = log.iter().rev().find(is_it);
        let entry = entry.ok_or_else(|| format!("{head}: the model has not judged it: {got:?}"))?;
        judge(entry, leaf).map_err(|e| format!("{head}: {e}"))?;
    }
    let broken = world.cluster.violations();
    ensure(broken.is_empty(), || format!("rules broken: {broken:?}"))?;
    Ok(format!("{} statements at their leaders", texts.len()))
}

fn judge(entry: &Entry, leaf: Option<u32>) -> Result<(), String> {
    let verdict = &entry.verdict;
    let tables = &verdict.tables;
    let is_one = |wanted: u32| tables.iter().all(|t| t.leaves == [wanted]);
    let is_placed = match verdict.kind {
        VerdictKind::Exact => matches!(entry.role_here, Role::Leader | Role::SpreadMost),
        VerdictKind::Superset => {
            let mut leaders = tables.iter().flat_map(|t| &t.leaders);
            leaders.any(|leader| *leader == entry.server_id)
        }
        _ => false,
    };
    ensure(is_placed && leaf.is_none_or(is_one), || {
        format!("on server {}: {verdict:?}", entry.server_id)
    })
}
