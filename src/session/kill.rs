//! KILL of sessions of this proxy: the core of the victim decides.
//!
//! ```text
//! KILL, COM_PROCESS_KILL, KILL QUERY
//!   ├── no id of this proxy ───────> to a server, as any statement
//!   └── the core of the id is asked; the request waits, as bytes that were not read
//!         ├── no such session, no right to it ──> 1094, 1095
//!         ├── KILL ───────────────────────────────> the victim is told and ends; OK
//!         ├── KILL QUERY, nothing runs ───────────> OK
//!         └── KILL QUERY, a statement runs ───────> its server gets KILL QUERY with the id that
//!                                                   the connection has there
//! ```
//!
//! A session that kills itself is its own victim. Servers know sessions by the same ids, but only
//! while they have a connection of them, and of a statement not on which connection it runs.

use super::execute::Named;
use super::outline::Outline;
use super::request::{Head, Route};
use super::route::Place;
use super::state::{Ctx, Phase, Session, UNASKED_SEQ};
use crate::base::{CloseReason, Linger, Out, Output, Tick};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{Command, ErrPacket, put_packet, status};
use crate::routing::{Fate, KillBack, KillOrder, KillReport, Killer, Mail, Replica, SYS};
use crate::sql::Kill;
use serde::{Deserialize, Serialize};

/// How long the core of the victim may take.
const REPORT_MS: u64 = 1_000;

/// A KILL that this session has asked another core for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Killing {
    kill: Kill,
    until: Tick,
    fate: Option<Fate>,
}

/// Who ends this session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KilledBy {
    /// The administrator of the proxy.
    Administrator,
    /// A user.
    User,
    /// Itself.
    Itself,
}

/// What a request kills, if it is whole.
fn read(head: &Head<'_>) -> Option<Kill> {
    let body = head.body();
    match head.command {
        Command::QUERY if head.is_whole => Kill::read(body),
        Command::PROCESS_KILL => body.try_into().ok().map(|id| Kill {
            id: u32::from_le_bytes(id),
            is_query: false,
        }),
        _ => None,
    }
}

impl Killing {
    /// The error packet of a KILL that kills nothing.
    fn error(&self) -> Option<Vec<u8>> {
        let id = self.kill.id;
        let (code, text) = match self.fate {
            Some(Fate::Done | Fate::Runs(..)) => return None,
            Some(Fate::Unknown) => (1094, format!("Unknown thread id: {id}")),
            Some(Fate::Denied) => (1095, format!("You are not owner of thread {id}")),
            None => {
                let text = format!("the core of session {id} did not reply within 1 s [unknown]");
                (4012, text)
            }
        };
        let mut packet = Vec::new();
        ErrPacket {
            code,
            sqlstate: b"HY000",
            message: text.as_bytes(),
        }
        .put(&mut packet, 1);
        Some(packet)
    }

    /// The server gets this in place of the request, whose first packet is all of it.
    pub(super) fn named(&self, head: &Head<'_>) -> Named {
        let Some(Fate::Runs(_, connection)) = self.fate else {
            return Named::default();
        };
        let mut packet = Vec::new();
        put_packet(&mut packet, head.seq, |b| {
            b.push(Command::QUERY.0);
            b.extend_from_slice(format!("KILL QUERY {connection}").as_bytes());
        });
        Named::instead(packet, head.packet.len())
    }
}

impl Session {
    /// Where a KILL of a session of this proxy runs. `None` for other requests, and for one that
    /// runs where any statement would.
    pub(super) fn place_of_kill(
        &mut self,
        ctx: &Ctx<'_>,
        head: &Head<'_>,
        outline: &Outline,
        out: &mut Out<'_, Mail>,
    ) -> Option<Place> {
        let kill = read(head)?;
        let core = ctx.ids.owner(kill.id)?;
        let Some(killing) = self.kill.as_deref().filter(|k| k.kill == kill) else {
            let order = KillOrder {
                id: kill.id,
                is_query: kill.is_query,
                by: self.as_killer(ctx.view)?,
                back: KillBack::Session(ctx.ids.core(), ctx.key),
            };
            out.list
                .push(Output::Post(core, Mail::Kill(Box::new(order))));
            let until = ctx.now.after_ms(REPORT_MS);
            self.kill = Some(Box::new(Killing {
                kill,
                until,
                fate: None,
            }));
            return Some(Place::Locating(until));
        };
        match killing.fate {
            None if killing.until > ctx.now => Some(Place::Locating(killing.until)),
            Some(Fate::Runs(server, _)) => {
                let is_bound = self.is_in_transaction() || self.pin(outline).is_some();
                if is_bound || self.aim.tried.contains(&server) {
                    // Servers find it, too, wherever it is.
                    return None;
                }
                self.binding.ready = None;
                Some(self.place_at(server))
            }
            _ => {
                if let Some(error) = killing.error() {
                    self.refuse(error);
                }
                Some(Place::Nowhere)
            }
        }
    }

    /// Who asks another core.
    fn as_killer(&self, view: &Replica) -> Option<Killer> {
        let name = self.name.as_deref()?;
        Some(Killer::User {
            cluster: view.cluster(name.cluster.as_deref())?.name.clone(),
            tenant: name.tenant.clone(),
            user: name.user.clone(),
            is_super: self.facts.is_super,
        })
    }

    /// Own sessions; with SUPER all of the tenant, in tenant sys all of the cluster.
    /// `Some`: why not; who is outside does not learn that there is such a session.
    fn refuses(&self, by: &Killer, view: &Replica) -> Option<Fate> {
        let Killer::User {
            cluster,
            tenant,
            user,
            is_super,
        } = by
        else {
            return None;
        };
        let Some(name) = self.name.as_deref() else {
            return Some(Fate::Unknown);
        };
        let own = view.cluster(name.cluster.as_deref());
        let is_here = own.is_some_and(|own| own.name == *cluster);
        let is_neighbour = is_here && name.tenant == *tenant;
        let is_above = is_here && *is_super && (is_neighbour || tenant == SYS);
        if is_above || is_neighbour && name.user == *user {
            return None;
        }
        Some(match is_neighbour {
            true => Fate::Denied,
            false => Fate::Unknown,
        })
    }

    /// Somebody wants this session, or its statement, to end.
    pub(super) fn take_order(&mut self, order: &KillOrder, view: &Replica) -> Fate {
        if let Some(fate) = self.refuses(&order.by, view) {
            return fate;
        }
        if !order.is_query {
            let is_own = self.kill.as_deref().is_some_and(|k| k.kill.id == self.id);
            self.killed_by = Some(match order.by {
                Killer::Administrator => KilledBy::Administrator,
                Killer::User { .. } if is_own => KilledBy::Itself,
                Killer::User { .. } => KilledBy::User,
            });
            return Fate::Done;
        }
        let Phase::Running(running) = &self.phase else {
            return Fate::Done;
        };
        match running.route {
            Route::Forward(id) if !running.is_replied => {
                let link = self.slot(id).map(|slot| &slot.link);
                link.map_or(Fate::Done, |link| {
                    Fate::Runs(link.server, link.server_session_id)
                })
            }
            _ => Fate::Done,
        }
    }

    /// What became of a KILL; false: nobody waits for that any more.
    pub(super) fn take_report(&mut self, report: &KillReport) -> bool {
        let kill = Kill {
            id: report.id,
            is_query: report.is_query,
        };
        match self.kill.as_deref_mut().filter(|k| k.kill == kill) {
            Some(killing) => {
                killing.fate = Some(report.fate);
                matches!(self.phase, Phase::Locating(_))
            }
            None => false,
        }
    }

    /// This session is to end: the client is told where that is possible.
    pub(super) fn killed(&mut self, by: KilledBy, out: &mut Out<'_, Mail>) {
        let mut is_answered = false;
        let seq = match &self.phase {
            Phase::ClientLogin(l) => l.reply_seq(),
            Phase::ServerLogin(l) => l.reply_seq(),
            Phase::Idle | Phase::Admin(_) => UNASKED_SEQ,
            Phase::Syncing(_) | Phase::Locating(_) => UNASKED_SEQ,
            Phase::Running(r) if r.is_asked && r.turn.is_none() && !r.is_replied => {
                let seq = r.next_seq;
                let id = self.binding.current;
                match self.link_mut(id).and_then(|l| l.reply()) {
                    // Only what a server tells proxies is to come.
                    Some(reply) if reply.is_told() => {
                        is_answered = true;
                        UNASKED_SEQ
                    }
                    Some(reply) if !reply.is_at_boundary() => {
                        return self.end(CloseReason::Killed, Linger::Flush, out);
                    }
                    _ => seq,
                }
            }
            _ => return self.end(CloseReason::Killed, Linger::Flush, out),
        };
        let (fault, cause) = match by {
            KilledBy::Administrator => (
                Fault::Killed,
                "the connection was killed by the administrator of the proxy",
            ),
            KilledBy::User => (Fault::Interrupted, "Session interrupted"),
            // What MySQL and OBProxy say.
            KilledBy::Itself => (Fault::Killed, "Query execution was interrupted"),
        };
        let lost = match self.facts.status & status::IN_TRANSACTION {
            0 => "",
            _ => "; the open transaction is rolled back",
        };
        let outcome = match is_answered {
            true => String::new(),
            false => self.outcome_text(),
        };
        let text = format!("{cause}{lost}{outcome}");
        self.fail(seq, fault, &text, CloseReason::Killed, out);
    }
}
