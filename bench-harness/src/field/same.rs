//! The same script directly and through obring.

use super::{DB, Field, Place};
use crate::checks::ensure;
use crate::process::{Obring, Options};
use crate::random::RANDOM;
use crate::raw::{Got, Login};
use crate::session::{Run, Session};
use crate::transcript::compare;
use obcluster::{Cluster, Topology};
use std::fmt::Write as _;

/// Runs a script directly and then through an obring of its own. The script says what is wrong with
/// what it saw (both times); what it saw must be equal, packet by packet.
///
/// # Errors
/// The script's, or the packets that differ.
pub fn same(field: &Field, script: impl Fn(&Run) -> Result<(), String>) -> Result<String, String> {
    let (_cluster, proxy) = stand(field)?;
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

/// obring where the case is to be played, and the cluster that must outlive it.
fn stand(field: &Field) -> Result<(Option<Cluster>, Obring), String> {
    if field.place == Place::Kernel {
        return Ok((None, field.start()?));
    }
    let topology = Topology::default();
    let cluster = Cluster::start(topology, field.setup.kernel).map_err(|e| e.to_string())?;
    let options = Options::new(&field.setup.binary, &cluster.addresses())
        .set("obproxy_sys_password", "")
        .set(RANDOM.0, RANDOM.1);
    let mut proxy = Obring::start(&options)?;
    proxy.wait_log("event=metadata_ready")?;
    Ok((Some(cluster), proxy))
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

/// What a text must be answered with, besides what the kernel says itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    /// Whatever the kernel says.
    Any,
    /// An OK packet.
    Ok,
    /// An error with this number.
    Error(u16),
    /// One row of these cells, joined by blanks; `NULL` for none.
    Row(&'static str),
    /// So many rows.
    Rows(usize),
}

/// A script of texts on one connection, each with what must come back.
pub(super) fn texts(field: &Field, script: &[(&str, Want)]) -> Result<String, String> {
    session(field, |s| {
        script
            .iter()
            .try_for_each(|(sql, want)| expect(sql, &s.q(sql), *want))
    })
}

/// Judges the reply of a text.
pub(super) fn expect(sql: &str, got: &[Got], want: Want) -> Result<(), String> {
    let is_right = match want {
        Want::Any => true,
        Want::Ok => got.len() == 1 && got[0].is_ok(),
        Want::Error(code) => got.last().and_then(Got::error).is_some_and(|e| e.0 == code),
        Want::Row(cells) => rows(got) == [cells],
        Want::Rows(n) => rows(got).len() == n,
    };
    ensure(is_right, || format!("{sql}: {got:?}, not {want:?}"))
}

/// The rows of a text result: cells joined by blanks.
fn rows(got: &[Got]) -> Vec<String> {
    let is_eof = |g: &Got| {
        g.packet()
            .is_some_and(|p| p.payload.first() == Some(&0xFE) && p.payload.len() < 9)
    };
    let behind = got.iter().skip_while(|g| !is_eof(g)).skip(1);
    behind
        .take_while(|g| !is_eof(g))
        .filter_map(Got::packet)
        .map(|p| cells(&p.payload))
        .collect()
}

fn cells(row: &[u8]) -> String {
    let mut at = obring_wire::base::Cursor::new(row);
    let mut all = vec![];
    while at.left() > 0 {
        if row[at.position()] == 0xFB {
            all.push("NULL".into());
            let _ = at.u8();
            continue;
        }
        match at.lenenc_bytes() {
            Ok(cell) => all.push(String::from_utf8_lossy(cell).into_owned()),
            Err(e) => return format!("{e:?}"),
        }
    }
    all.join(" ")
}
