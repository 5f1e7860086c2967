//! What must be true of a world, when a client ends and at the end.

use super::super::client::{Loss, Manner, Verdict};
use super::super::cluster::TENANT;
use super::super::conn::{Conn, Peer};
use super::super::killing::{Attempt, INTERRUPTED, is_killed};
use super::super::server::{READS, REFUSED};
use super::World;
use crate::base::{CloseReason, Machines};
use crate::metadata::ClusterStatus;

/// True if an error says what became of its statement.
fn has_outcome(text: &str) -> bool {
    let outcomes = ["[not run]", "[rolled back]", "[unknown]"];
    outcomes.iter().any(|outcome| text.ends_with(outcome))
}

/// How often a statement that only reads may run: as often as a request is sent.
const READS_MOST: u32 = 3;

impl World {
    /// Looks at clients whose end has come.
    pub(super) fn judge_ended(&mut self) -> Result<(), String> {
        if self.conns.iter().all(|conn| conn.verdict.is_none()) {
            return Ok(());
        }
        let attempts: Vec<Attempt> = self.conns.iter().flat_map(Conn::attempts).collect();
        for (n, conn) in self.conns.iter_mut().enumerate() {
            let Some(verdict) = conn.verdict.take() else {
                continue;
            };
            let Peer::Client(client) = &conn.peer else {
                continue;
            };
            let reason = conn.reason;
            let say = |what: &str| {
                format!(
                    "client {n} ({:?}): {what}: {verdict:?}, {reason:?}",
                    client.manner
                )
            };
            let is_target = client.is_quiet && attempts.iter().any(|a| a.ends(client.id));
            let may_fail = conn.faulty || self.is_draining || is_target;
            let is_explained = |text: &str| {
                let by = |a: &Attempt| client.is_quiet && a.explains(client.id, text);
                !is_killed(text) || attempts.iter().any(by)
            };
            for Loss {
                text,
                number,
                statement,
            } in &client.losses
            {
                let (got, want) = *number;
                if !is_explained(text) {
                    return Err(say(&format!("nobody has killed it: {text}")));
                }
                let is_interrupt = text.contains(INTERRUPTED);
                let is_answer = is_interrupt || text.contains(REFUSED);
                if !may_fail && !is_interrupt {
                    return Err(say(&format!("an error without a fault: {text}")));
                }
                // 1: unasked, behind a reply that was whole.
                if want.is_some_and(|want| want != got) && got != 1 {
                    return Err(say(&format!("error number {got} for {want:?}: {text}")));
                }
                if !has_outcome(text) && !is_answer {
                    return Err(say(&format!("an error without an outcome: {text}")));
                }
                if text.ends_with("[not run]") && self.cluster.runs(*statement) > 0 {
                    return Err(say(&format!("{statement:x?} has run: {text}")));
                }
            }
            for statement in &client.texts {
                let most = match statement.0 {
                    READS => READS_MOST,
                    _ => 1,
                };
                let runs = self.cluster.runs(*statement);
                if runs > most {
                    return Err(say(&format!("{statement:x?} has run {runs} times")));
                }
            }
            match &verdict {
                Verdict::Wrong(_) => return Err(say("got what no client gets")),
                Verdict::Told(text) => {
                    if !is_explained(text) {
                        return Err(say("nobody has killed it"));
                    }
                    self.killed += u64::from(is_killed(text));
                    let sequence = client.sequence_of_error();
                    let is_lost =
                        text.contains("lost the connection") || text.contains("no server of");
                    if is_lost && !has_outcome(text) {
                        return Err(say("an error without an outcome"));
                    }
                    let by_itself = matches!(
                        client.manner,
                        Manner::Stalls | Manner::Babbles | Manner::Guesses
                    );
                    if !may_fail && !by_itself {
                        return Err(say("an error without a fault"));
                    }
                    if let Some((got, Some(want))) = sequence
                        && client.is_greeted
                        && got != want
                        && got != 1
                    {
                        return Err(say(&format!("error number {got} where {want} stands")));
                    }
                }
                Verdict::CutInside | Verdict::Bare => {
                    let quiet = matches!(
                        client.manner,
                        Manner::Stalls | Manner::Babbles | Manner::Vanishes
                    );
                    let said = matches!(reason, Some(CloseReason::Killed | CloseReason::Shutdown));
                    let is_cut = may_fail && verdict == Verdict::CutInside;
                    if !(quiet || said || is_cut) {
                        return Err(say("a close without a word"));
                    }
                }
                Verdict::Whole => {}
            }
        }
        Ok(())
    }

    /// After everything: nobody waits, nothing is left.
    pub(super) fn judge_world(&self) -> Result<(), String> {
        for (n, conn) in self.conns.iter().enumerate() {
            if let Peer::Client(client) = &conn.peer {
                if conn.is_attached {
                    let session = self.cores[conn.core].session(conn.key);
                    return Err(format!(
                        "client {n} ({:?}) waits for ever, {:?}: {session:?}",
                        client.manner,
                        client.verdict()
                    ));
                }
                if conn.reason.is_none() {
                    return Err(format!("client {n} ended without a reason"));
                }
            } else if conn.is_attached && conn.core < self.cores.len() {
                return Err(format!("link {n} of an ended session is open"));
            }
        }
        if let Some(stray) = self.cluster.bindings.strays().first() {
            return Err(format!("a statement left what its session has: {stray}"));
        }
        // Answers that are lost are asked for again.
        if !self.faults.servers && self.cluster.lookups > self.cluster.lookups_max {
            let (got, most) = (self.cluster.lookups, self.cluster.lookups_max);
            return Err(format!("{got} look-ups of one tenant, {most} are enough"));
        }
        let known = self.metadata.status();
        for core in &self.cores {
            let replica = core.replica();
            let entry = replica.cluster(None).map(|c| c.version);
            if entry != known.first().map(|k| k.cluster.version) {
                return Err("a core knows an old version of the cluster".into());
            }
            let tenant = replica.tenant(None, TENANT).map(|t| t.version);
            let own = |k: &ClusterStatus| k.tenants.iter().map(|t| t.version).max();
            if tenant != known.first().and_then(own) {
                return Err("a core knows an old version of the tenant".into());
            }
            let mut keys = vec![];
            core.ids(&mut keys);
            if !keys.is_empty() {
                return Err(format!("{} sessions are left", keys.len()));
            }
        }
        Ok(())
    }
}
