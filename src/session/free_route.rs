//! Transaction-internal routing: statements of one open transaction on several servers.
//!
//! The server that a transaction begins on is its coordinator. A server that says so with a reply
//! ([`flag::INTERNAL_ROUTING`]) lets the next statement run elsewhere: the state of the transaction
//! travels in the session state beside replies and requests, unread here. Reads and writes of rows
//! with a known leader use that; everything else, COMMIT and ROLLBACK above all, goes to the
//! coordinator. Source: OceanBase wire facts, sections 3.3 and 6.3; routing facts, 7.3.
//!
//! ```text
//! begun on A ── reply allows it ──> UPDATE led by B runs on B ──> ... ──> COMMIT on A
//!                                      ├── 6279: sent to A, and so is all that follows
//!                                      └── B cannot be had: the same
//! ```

use super::outline::Outline;
use super::pin::Pin;
use super::request::{Broken, Head};
use super::route::Place;
use super::slot::Slot;
use super::state::{Ctx, Session};
use crate::base::{CloseReason, LinkId};
use crate::protocol::error::Fault;
use crate::protocol::mysql::status;
use crate::protocol::ob20::flag;
use serde::{Deserialize, Serialize};

/// The server cannot run this statement of a transaction that began elsewhere.
pub(super) const FREE_ROUTE_NOT_SUPPORTED: u16 = 6279;

/// Where an open transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FreeRoute {
    /// The link that it began on; `None` without one.
    coordinator: Option<LinkId>,
    /// The last reply lets the next statement run elsewhere.
    is_allowed: bool,
    /// It stays where it began, whatever replies say.
    is_refused: bool,
    /// Its state travels beside replies and requests.
    is_carried: bool,
    /// The settings let statements leave their coordinator.
    pub(super) is_on: bool,
}

impl FreeRoute {
    pub(super) const NONE: Self = Self {
        coordinator: None,
        is_allowed: false,
        is_refused: false,
        is_carried: false,
        is_on: false,
    };

    /// No transaction is open any more.
    pub(super) const fn transaction_over(&mut self) {
        *self = Self {
            is_on: self.is_on,
            ..Self::NONE
        };
    }

    pub(super) const fn is_carried(self) -> bool {
        self.is_carried
    }

    pub(super) const fn coordinator(self) -> Option<LinkId> {
        self.coordinator
    }
}

impl Session {
    /// Flags of a request's packets in OceanBase 2.0 framing. `is_whole`: these bytes are all of
    /// the request, or its last ones.
    pub(super) fn request_flags(&self, id: LinkId, is_whole: bool) -> u32 {
        let is_on = self.binding.free_route.is_on;
        let mut flags = if is_whole { self.reroute_flag(id) } else { 0 };
        if is_on && self.slot(id).is_some_and(Slot::carries_transactions) {
            flags |= flag::INTERNAL_ROUTING;
        }
        if self.aim.is_weak() {
            flags |= flag::WEAK_READ;
        }
        flags
    }

    /// True if a server has an open transaction of the session. One that was begun at the proxy
    /// only binds nothing.
    pub(super) const fn is_in_transaction(&self) -> bool {
        self.facts.status & status::IN_TRANSACTION != 0 && !self.binding.is_begun()
    }

    /// The link that the open transaction began on; the last one where there is nothing to choose.
    pub(super) fn coordinator(&self) -> LinkId {
        let free_route = self.binding.free_route;
        free_route.coordinator.unwrap_or(self.binding.current)
    }

    /// The link that a request is bound to.
    pub(super) fn link_of_pin(&self, pin: Pin, outline: &Outline) -> LinkId {
        match pin {
            // What the statement before has left is where that ran.
            Pin::Transaction if !outline.looks_back => self.coordinator(),
            _ => self.binding.current,
        }
    }

    /// A reply is over. `flags`: of its last packet.
    pub(super) fn follow_transaction(&mut self, id: LinkId, flags: u32) {
        if !self.is_in_transaction() {
            self.binding.free_route.transaction_over();
            return;
        }
        if flags & flag::DUP_LS_MODIFIED != 0 {
            self.aim.has_written_dup();
        }
        let is_carried = self.slot(id).is_some_and(Slot::carries_transactions);
        let free_route = &mut self.binding.free_route;
        free_route.coordinator.get_or_insert(id);
        free_route.is_carried |= is_carried;
        free_route.is_allowed = flags & flag::INTERNAL_ROUTING != 0;
    }

    /// True if a statement of the open transaction may run on another server than its coordinator.
    pub(super) fn may_leave(&self, outline: &Outline) -> bool {
        let free_route = self.binding.free_route;
        free_route.is_on
            && free_route.is_allowed
            && !free_route.is_refused
            && outline.moves
            && self.binding.pins.is_empty()
    }

    /// The place of a statement of an open transaction, out of the one that routing has found.
    pub(super) fn within_transaction(&mut self, head: &Head<'_>, found: Place) -> Place {
        let is_good = match found {
            Place::Locating(_) | Place::Explained => true,
            Place::Server(_) => self.aim.is_at_leader(),
            Place::Link(id) => self.aim.is_at_leader() && self.can_join(id, head),
            Place::NewLink(_) | Place::Without(_) | Place::Nowhere => false,
        };
        match is_good {
            true => found,
            false => self.at_coordinator(),
        }
    }

    pub(super) fn at_coordinator(&mut self) -> Place {
        self.aim.bound(Pin::Transaction);
        Place::Link(self.coordinator())
    }

    /// True if a request of the open transaction can run on this link. One that lacks more than
    /// what travels beside the request cannot: what brings it there might not be let in. Nor can
    /// one to a server of an older release, to which the transaction does not travel.
    pub(super) fn can_join(&self, id: LinkId, head: &Head<'_>) -> bool {
        if !self.is_in_transaction() || id == self.coordinator() {
            return true;
        }
        self.slot(id).is_some_and(Slot::carries_transactions)
            && self.lacks(id, self.needs(head)).is_statements_only()
    }

    /// True if the running request, on this link, has left its transaction's coordinator.
    pub(super) fn is_away(&self, id: LinkId) -> bool {
        let coordinator = self.binding.free_route.coordinator;
        self.is_in_transaction() && coordinator.is_some_and(|c| c != id)
    }

    /// True if what the session has is lost with this link.
    pub(super) fn is_bound_to(&self, id: LinkId) -> bool {
        match self.binding.free_route.coordinator {
            Some(coordinator) if self.is_in_transaction() => id == coordinator,
            _ => id == self.binding.current && !self.is_free(),
        }
    }

    /// True if the open transaction's coordinator is there.
    pub(super) fn may_go_back(&self) -> bool {
        let coordinator = self.binding.free_route.coordinator;
        self.is_in_transaction() && coordinator.is_some_and(|id| self.slot(id).is_some())
    }

    /// The rest of the open transaction stays with its coordinator, beginning with the request that
    /// waits. False if there is none.
    pub(super) fn go_back(&mut self) -> bool {
        if !self.may_go_back() {
            return false;
        }
        self.binding.free_route.is_refused = true;
        self.link_found(self.coordinator());
        true
    }

    /// The coordinator is lost while a statement runs elsewhere: what the next request is told.
    pub(super) fn transaction_is_lost(&self, ctx: &Ctx<'_>) -> Option<Box<Broken>> {
        let coordinator = self.binding.free_route.coordinator?;
        let is_lost = self.is_in_transaction() && self.slot(coordinator).is_none();
        is_lost.then(|| {
            let text = "the connection to the server that the open transaction began on is lost; \
                        the transaction is rolled back [not run]";
            let reason = CloseReason::ServerLost;
            Box::new(Broken::new(
                ctx,
                Fault::LostBeforeReply,
                text.into(),
                reason,
            ))
        })
    }
}
