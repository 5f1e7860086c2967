//! Reroute: a server names a better one for a request that it did not run, and the request runs
//! there.
//!
//! ```text
//! may it be sent again? ── yes: flag REROUTE ──> the server runs it, as a rule
//!                                   └── 5727 ──> the server that it names, if the cluster has it
//!                                                └── else here, without the flag
//! ```
//! Once for a request. Source: OceanBase wire facts, section 4.6.

use super::route::{Kept, Place};
use super::state::{Ctx, Phase, Session};
use crate::base::{Event, Level, LinkId, Out, Output};
use crate::protocol::mysql::{Command, OkPacket, TRACK_VARIABLES};
use crate::protocol::ob20::flag;
use crate::protocol::reroute::{BadInfo, INFO, better_server};
use crate::routing::Mail;
use std::net::SocketAddr;

/// The server that an answer names, or why that cannot be read.
pub(super) type Named = Result<SocketAddr, BadInfo>;

/// The server that the OK behind error 5727 names; `None` if it names none.
pub(super) fn named(ok: &OkPacket<'_>) -> Option<Named> {
    let blocks = ok.blocks().filter(|block| block.kind == TRACK_VARIABLES);
    let mut variables = blocks.flat_map(|block| block.variables());
    let (_, value, _) = variables.find(|(name, _, is_user)| *is_user && *name == INFO)?;
    Some(better_server(value))
}

impl Session {
    /// [`flag::REROUTE`] if the running request, which is whole now, may be answered with the
    /// address of a better server: it went where a table was thought to be, and can be sent again.
    pub(super) fn reroute_flag(&self, id: LinkId) -> u32 {
        let Phase::Running(running) = &self.phase else {
            return 0;
        };
        let is_sendable = |kept: &Kept| kept.may_repeat() && kept.is_one_piece();
        let rules = self.wishes.rules();
        let is_wanted = match self.aim.is_weak() {
            // A server that does not know it would name the leader.
            true => rules.reroutes_weak_reads && self.aim.is_told_weak(),
            false => rules.reroutes,
        };
        let may = is_wanted
            && matches!(running.command, Command::QUERY | Command::STMT_EXECUTE)
            && running.kept.as_ref().is_some_and(is_sendable)
            && !self.binding.is_rerouted
            && self.aim.is_by_table()
            && self.is_free()
            && self.slot(id).is_some_and(|slot| slot.reroutes());
        if may { flag::REROUTE } else { 0 }
    }

    /// The server has named a better one for the request that was kept, which waits now.
    pub(super) fn follow_reroute(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let named = self.aim.better.take();
        out.count(Event::RequestRerouted);
        self.binding.is_rerouted = true;
        let here = self.binding.current;
        if let Some(slot) = self.slot_mut(here) {
            slot.was_told = false;
        }
        let name = self.name.as_deref().and_then(|n| n.cluster.as_deref());
        let cluster = ctx.view.cluster(name);
        let what = match named {
            None => "the answer names no server".to_owned(),
            Some(Err(e)) => e.to_string(),
            Some(Ok(server)) if cluster.is_some_and(|c| c.server(server).is_some()) => {
                return match self.place_at(server) {
                    Place::Link(id) => self.link_found(id),
                    _ => self.connect_to(ctx, server, out),
                };
            }
            Some(Ok(server)) => format!("{server} is no server of the cluster"),
        };
        let line = format!(
            "session={} server={} what={what:?}",
            self.id,
            self.server_text(here)
        );
        out.list
            .push(Output::Log(Level::Warn, "reroute_unusable", line));
        self.link_found(here);
    }
}
