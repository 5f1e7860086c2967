//! Which link a request runs on, and how the session gets it.
//!
//! A request that is bound (`pin.rs`) goes where the statement before went. Any other goes to the
//! server that routing chooses: the session's current one as long as it is in service, or in random
//! mode any. A server that the session has no link to is connected first; the request waits, as
//! bytes that were not read yet, and is read again when the link stands. What the link lacks of the
//! session's state is brought there in front of the request (`sync.rs`).

use super::free_route::{FREE_ROUTE_NOT_SUPPORTED, FreeRoute};
use super::loss::Outcome;
use super::outline::{Outline, Past};
use super::pin::{Pin, Pins};
use super::request::{Broken, Head, Running};
use super::server_login::{NOT_SERVING, Purpose, ServerLogin};
use super::slot::Slot;
use super::state::{Ctx, Phase, Session};
use super::sync::Syncing;
use crate::base::{CloseReason, Errno, Event, Linger, LinkId, Out, Output, Rng, Tick};
use crate::config::RoutingMode;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{Command, Request};
use crate::protocol::reroute::REROUTE;
use crate::routing::{Block, Mail, Reason, SYS, Tenant, pick};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

/// A tenant is not (any more) on the server.
pub(super) const TENANT_NOT_IN_SERVER: u16 = 5150;

/// Answers to a request which prove that it did not run, and that it may run elsewhere. Source:
/// OceanBase wire facts, section 7.
const NOT_RUN: &[u16] = &[
    4666, // cluster name does not match
    4780,
    4782, // service name, not the primary tenant
    TENANT_NOT_IN_SERVER,
    8001,
    8002, // server is starting, stopping
    FREE_ROUTE_NOT_SUPPORTED,
    REROUTE,
];

/// What is reported of a connection that the server closed: ECONNRESET.
pub(super) const RESET: Errno = Errno(104);

/// A request of more bytes is not kept, so it is not repeated either.
const KEPT_MAX: usize = 64 << 10;

/// A request is sent at most so often. Source: OBProxy's `connect_observer_max_retries`.
const SENT_MAX: u8 = 3;

/// Links of a session. One more takes the place of the one that was not used for longest.
const LINKS_MAX: usize = 16;
/// A link that was not used for so long is closed, and made again when it is needed: far below the
/// `wait_timeout` of servers. The link of the last statement stays.
const LINK_IDLE_MS: u64 = 5 * 60 * 1_000;

/// What binds a session to its links, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Binding {
    /// The link of the statement before.
    pub(super) current: LinkId,
    /// Where an open transaction is.
    pub(super) free_route: FreeRoute,
    /// Why the session stays there.
    pub(super) pins: Pins,
    /// Names of statements that PREPARE has made.
    pub(super) names: Vec<NonZeroU64>,
    /// Where statements with user variables run, once there are some with a type that no report
    /// tells.
    pub(super) variables: Option<LinkId>,
    /// There are other servers: the cluster has views.
    pub(super) is_routed: bool,
    /// Version of the tenant's entry that the server was taken from; 0: it is on all servers.
    pub(super) chosen_by: u64,
    /// The waiting request goes to this link, which is ready.
    pub(super) ready: Option<LinkId>,
    /// Where the last statement with a result set ran, and whether that link is lost.
    rows: Option<LinkId>,
    rows_are_lost: bool,
    /// Where the last statement ran that changed `row_count()`, and whether that link is lost.
    counted: Option<LinkId>,
    count_is_lost: bool,
    /// What the statement before has left is lost with its link.
    pub(super) past_is_lost: bool,
    /// The running request was sent so often.
    sent: u8,
    /// A server has named a better one for it.
    pub(super) is_rerouted: bool,
    /// No server could be had: the next request is answered with this.
    failure: Option<Box<Broken>>,
    /// What became of the client's transaction, which is lost; it has not ended it itself.
    pub(super) lost: Option<Outcome>,
    /// The client has begun a transaction that no server knows of yet: by this statement.
    pub(super) begun: Vec<u8>,
    /// The waiting request is answered with this error packet: a server refuses the statement that
    /// it runs, or it is a KILL that kills nothing.
    refusal: Option<Box<[u8]>>,
    /// Memory for the next time that a link gets state.
    pub(super) spare: Option<Box<Syncing>>,
    /// Chooses servers in random mode.
    dice: Rng,
    /// The link that was closed last.
    dropped: Option<LinkId>,
}

impl Binding {
    /// Of a new session.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            current: LinkId(0),
            free_route: FreeRoute::NONE,
            pins: Pins::NONE,
            names: Vec::new(),
            variables: None,
            rows: None,
            rows_are_lost: false,
            counted: None,
            count_is_lost: false,
            is_routed: false,
            chosen_by: 0,
            ready: None,
            past_is_lost: false,
            sent: 0,
            is_rerouted: false,
            failure: None,
            lost: None,
            begun: Vec::new(),
            refusal: None,
            spare: None,
            dice: Rng::new(seed),
            dropped: None,
        }
    }

    /// The session begins anew, and its links are closed.
    pub(super) fn begin_anew(&mut self, seed: u64) {
        *self = Self {
            dropped: self.dropped,
            ..Self::new(seed)
        };
    }

    /// The request is over.
    pub(super) const fn settle(&mut self) {
        self.sent = 0;
        self.is_rerouted = false;
    }

    /// A server is chosen, by this version of the tenant's entry.
    pub(super) const fn chosen(&mut self, is_routed: bool, by: u64) {
        self.is_routed = is_routed;
        self.chosen_by = by;
    }

    /// The client begins a transaction; the server of the next statement is told.
    pub(super) fn begin(&mut self, statement: &[u8]) {
        self.begun.clear();
        self.begun.extend_from_slice(statement);
    }

    /// A transaction was begun that no server knows of.
    pub(super) const fn is_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// A server knows of the transaction, or it is over.
    pub(super) fn forget_begun(&mut self) {
        self.begun.clear();
    }

    /// One more attempt at the request; false if it is the last one.
    pub(super) const fn again(&mut self) -> bool {
        self.sent += 1;
        self.sent < SENT_MAX
    }
}

/// The copy of a request that may have to be sent again, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    /// It came in so many.
    pieces: u8,
    /// The server refused it with this; the client was not told.
    pub(super) refusal: Option<u16>,
    /// It was not sent too often.
    may_repeat: bool,
}

impl Kept {
    /// True if the request may be sent once more.
    pub(super) const fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// Keeps one more piece of the request, in two parts; false if it is too long to be kept whole.
    pub(super) fn add(&mut self, held: &[u8], more: &[u8]) -> bool {
        self.pieces = self.pieces.saturating_add(1);
        let fits = self.bytes.len() + held.len() + more.len() <= KEPT_MAX;
        if fits {
            self.bytes.extend_from_slice(held);
            self.bytes.extend_from_slice(more);
        }
        fits
    }

    /// True if what is kept came, and goes out, as one piece.
    pub(super) const fn is_one_piece(&self) -> bool {
        self.pieces == 1
    }

    /// True if the reply is not for the client: the request goes to another server.
    pub(super) fn withholds(&mut self, code: u16) -> bool {
        let withholds = self.may_repeat && NOT_RUN.contains(&code);
        if withholds {
            self.refusal = Some(code);
        }
        withholds
    }
}

/// Where a request can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On this link.
    Link(LinkId),
    /// On a link that is to be made; the number spreads sessions over servers.
    NewLink(u32),
    /// On a link that is to be made to this server.
    Server(SocketAddr),
    /// Not known until something is known of its table: it waits, until then at most.
    Locating(Tick),
    /// On no server, for this reason.
    Without(Reason),
    /// Nowhere: it is an EXPLAIN ROUTE, and its answer is written.
    Explained,
    /// Nowhere: the proxy answers.
    Nowhere,
}

impl Session {
    /// The entry of the session's tenant; `None` for one that is on all servers.
    pub(super) fn tenant<'v>(&self, ctx: &Ctx<'v>) -> Option<&'v Arc<Tenant>> {
        let name = self.name.as_deref()?;
        match &*name.tenant {
            SYS => None,
            tenant => ctx.view.tenant(name.cluster.as_deref(), tenant),
        }
    }

    /// A request begins: where it runs.
    pub(super) fn place(
        &mut self,
        ctx: &Ctx<'_>,
        head: &Head<'_>,
        outline: &Outline,
        out: &mut Out<'_, Mail>,
    ) -> Place {
        let is_answered = self.binding.failure.is_some() || self.binding.refusal.is_some();
        if is_answered || matches!(head.command, Command::QUIT | Command::PING) {
            return Place::Nowhere;
        }
        if self.binding.is_routed && head.command == Command::STMT_CLOSE {
            return Place::Nowhere;
        }
        if self.keeps_begin(outline) && head.command == Command::QUERY {
            return Place::Nowhere;
        }
        if let Some(place) = self.place_of_kill(ctx, head, outline, out) {
            return place;
        }
        if self.refuses_commit(ctx, head) {
            return Place::Nowhere;
        }
        self.binding.free_route.is_on = ctx.settings.moves_transactions;
        if let Some(failure) = self.transaction_is_lost(ctx) {
            self.binding.failure = Some(failure);
            return Place::Nowhere;
        }
        if let Some(id) = self.binding.ready.take()
            && self.slot(id).is_some()
        {
            return match self.can_join(id, head) {
                true => Place::Link(id),
                false => self.at_coordinator(),
            };
        }
        if let Some(place) = self.explain(ctx, head, out) {
            return place;
        }
        if outline.sets || outline.is_several {
            self.note_definitions(ctx, head);
        }
        if let Some(pin) = self.pin(outline) {
            let current = self.link_of_pin(pin, outline);
            let is_there = self.slot(current).is_some();
            self.aim.bound(pin);
            if let Some(id) = self.link_of_past(pin, outline) {
                return Place::Link(id);
            }
            return match is_there {
                true => Place::Link(current),
                false => Place::NewLink(self.id),
            };
        }
        let id = self.link_of_statement(head);
        if let Some(id) = id.or_else(|| self.link_of_variables(head, outline)) {
            self.aim.bound(Pin::Variables);
            return Place::Link(id);
        }
        if head.may_open_cursor() && self.is_in_transaction() {
            // Its rows are fetched where it is, and the rest of the transaction is not.
            return self.at_coordinator();
        }
        if ctx.settings.routing == RoutingMode::Random {
            self.aim.sent_without_tables(None);
            let spread = self.binding.dice.next_u64() as u32;
            return match self.link_of_choice(ctx, spread) {
                Some(id) if self.can_join(id, head) => Place::Link(id),
                Some(_) => self.at_coordinator(),
                None => Place::NewLink(spread),
            };
        }
        let mut dice = self.binding.dice.clone();
        let place = self.aim(ctx, head, &mut dice, out);
        self.binding.dice = dice;
        match self.is_in_transaction() {
            true => self.within_transaction(head, place),
            false => place,
        }
    }

    /// The version of the tenant's entry that is wrong, as this server is not the tenant's: the
    /// present one if it names the server. Looking it up again may have given it a new version. One
    /// that does not name it is not wrong: a table was thought to be there.
    pub(super) fn wrong_version(&self, ctx: &Ctx<'_>, server: Option<SocketAddr>) -> u64 {
        let chosen_by = self.binding.chosen_by;
        match self.tenant(ctx) {
            Some(tenant) if server.is_some_and(|s| tenant.servers.contains(&s)) => tenant.version,
            Some(tenant) => chosen_by.min(tenant.version.saturating_sub(1)),
            None => chosen_by,
        }
    }

    /// The link to the server that routing would choose now, if there is one.
    fn link_of_choice(&self, ctx: &Ctx<'_>, spread: u32) -> Option<LinkId> {
        let name = self.name.as_deref()?;
        let cluster = ctx.view.cluster(name.cluster.as_deref())?;
        let tenant = self.tenant(ctx).map(|t| &**t);
        let is_everywhere = &*name.tenant == SYS || !cluster.has_views;
        if !is_everywhere && tenant.is_none() {
            return None;
        }
        let own = tenant.filter(|_| !is_everywhere);
        let blocks = &ctx.traffic.borrow().blocks;
        self.link_to(pick(cluster, own, blocks, spread, &[], "")?.server)
    }

    /// The link to that server that is ready for a request.
    pub(super) fn link_to(&self, server: SocketAddr) -> Option<LinkId> {
        let is_it = |slot: &Slot| slot.link.server == server && slot.link.is_idle();
        let at = self
            .links
            .iter()
            .position(|s| s.as_ref().is_some_and(is_it))?;
        u16::try_from(at).ok().map(LinkId)
    }

    /// Looks for a server of a request that waits.
    pub(super) fn leave(&mut self, ctx: &Ctx<'_>, spread: u32, out: &mut Out<'_, Mail>) {
        self.look_for_server(ctx, spread, vec![], 0, out);
    }

    /// Makes a link to this server for a request that waits.
    pub(super) fn connect_to(
        &mut self,
        ctx: &Ctx<'_>,
        server: SocketAddr,
        out: &mut Out<'_, Mail>,
    ) {
        self.begin_search(ctx, self.id, vec![], 0, Some(server), out);
    }

    /// A place for one more link. Not that of the last one: bytes of it may be being read.
    pub(super) fn free_place(&mut self, out: &mut Out<'_, Mail>) -> LinkId {
        if self.links.iter().flatten().count() >= LINKS_MAX {
            self.close_oldest(out);
        }
        let dropped = self.binding.dropped.take();
        let is_free = |at: &usize| {
            let is_used = self.links.get(*at).is_some_and(Option::is_some);
            !is_used && dropped != Some(LinkId(*at as u16))
        };
        let at = (0..=LINKS_MAX).find(is_free).unwrap_or_default();
        if self.links.len() <= at {
            // One link is what a session has, as a rule: a vector begins with room for four.
            self.links.reserve_exact(at + 1 - self.links.len());
            self.links.resize(at + 1, None);
        }
        LinkId(at as u16)
    }

    /// Idle links besides the one of the last statement, and when they were used last.
    fn spare_links(&self) -> impl Iterator<Item = (LinkId, Tick)> {
        let current = usize::from(self.binding.current.0);
        let variables = self.binding.variables;
        let coordinator = self.binding.free_route.coordinator();
        let links = self.links.iter().enumerate();
        links.filter_map(move |(at, slot)| {
            let id = Some(LinkId(at as u16));
            let is_kept = at == current || variables == id || coordinator == id;
            let slot = slot.as_ref().filter(|s| s.link.is_idle() && !is_kept)?;
            Some((LinkId(at as u16), slot.used))
        })
    }

    fn close_oldest(&mut self, out: &mut Out<'_, Mail>) {
        let oldest = self.spare_links().min_by_key(|(_, used)| *used);
        if let Some((id, _)) = oldest {
            self.close_idle(id, out);
        }
    }

    /// When a link has been idle for too long.
    pub(super) fn links_due(&self) -> Option<Tick> {
        if self.links.len() < 2 {
            return None;
        }
        let oldest = self.spare_links().map(|(_, used)| used).min()?;
        Some(oldest.after_ms(LINK_IDLE_MS))
    }

    /// Closes links that were idle for too long.
    pub(super) fn close_old_links(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        while self.links_due().is_some_and(|due| due <= ctx.now) {
            self.close_oldest(out);
        }
    }

    /// Says good-bye to an idle server and closes, so that it does not count an aborted connection.
    pub(super) fn close_idle(&mut self, id: LinkId, out: &mut Out<'_, Mail>) {
        if self.slot(id).is_none() {
            return;
        }
        let linger = match self.say_quit(id, out) {
            true => Linger::Flush,
            false => Linger::Abort,
        };
        self.drop_link(id, linger, out);
    }

    /// Closes a link and frees its place.
    pub(super) fn drop_link(&mut self, id: LinkId, linger: Linger, out: &mut Out<'_, Mail>) {
        if let Some(slot) = self.links.get_mut(usize::from(id.0))
            && slot.take().is_some()
        {
            out.list.push(Output::Close(id, linger));
            self.link_gone(id);
        }
    }

    /// A link does not exist any more.
    pub(super) fn link_gone(&mut self, id: LinkId) {
        if let Some(slot) = self.links.get_mut(usize::from(id.0)) {
            *slot = None;
        }
        self.binding.dropped = Some(id);
        if self.binding.variables == Some(id) {
            // What is left of them are their values.
            self.binding.variables = None;
        }
        self.binding.past_is_lost |= id == self.binding.current;
        if self.binding.rows == Some(id) {
            self.binding.rows = None;
            self.binding.rows_are_lost = true;
        }
        if self.binding.counted == Some(id) {
            self.binding.counted = None;
            self.binding.count_is_lost = true;
        }
    }

    /// Closes every link but one.
    pub(super) fn drop_others(&mut self, kept: LinkId, out: &mut Out<'_, Mail>) {
        for at in 0..self.links.len() {
            let id = LinkId(at as u16);
            if id != kept {
                self.close_idle(id, out);
            }
        }
    }

    /// A request begins: what is kept of it. Nothing if it cannot run elsewhere.
    pub(super) fn keep(&mut self, place: Place, out: &mut Out<'_, Mail>) -> Option<Kept> {
        let is_away = matches!(place, Place::Link(id) if self.is_away(id));
        if !(self.is_free() || is_away && self.may_go_back()) {
            return None;
        }
        Some(Kept {
            bytes: out.pool.take(),
            pieces: 0,
            refusal: None,
            may_repeat: self.binding.again(),
        })
    }

    /// The link that knows what `found_rows()` or `row_count()` is, for a request that asks for
    /// nothing else.
    pub(super) fn link_of_past(&self, pin: Pin, outline: &Outline) -> Option<LinkId> {
        let id = match outline.past {
            Past::Any => None,
            Past::FoundRows => self.binding.rows,
            Past::RowCount => self.binding.counted,
        }?;
        let is_idle = |slot: &Slot| slot.link.is_idle();
        (pin == Pin::LooksBack && self.slot(id).is_some_and(is_idle)).then_some(id)
    }

    /// A request that may have changed `row_count()` has run on this link.
    pub(super) const fn has_counted(&mut self, id: LinkId) {
        self.binding.counted = Some(id);
        self.binding.count_is_lost = false;
    }

    /// A request that may have a result set has run on this link.
    pub(super) const fn has_shown_rows(&mut self, id: LinkId) {
        self.binding.rows = Some(id);
        self.binding.rows_are_lost = false;
    }

    /// Why the running request cannot run on a connection that is new: it asks for what another
    /// connection had.
    pub(super) fn misses_the_past(&mut self, outline: &Outline) -> Option<String> {
        let is_past_lost = std::mem::take(&mut self.binding.past_is_lost);
        let is_lost = match outline.past {
            Past::FoundRows => self.binding.rows_are_lost,
            Past::RowCount => self.binding.count_is_lost,
            Past::Any => is_past_lost && outline.looks_back,
        };
        is_lost.then(|| {
            "the server connection of the statement before is lost, and what this statement asks \
             for with it [not run]"
                .into()
        })
    }

    /// The server has refused the running request, which did not run: it goes elsewhere.
    pub(super) fn repeat_elsewhere(
        &mut self,
        ctx: &Ctx<'_>,
        running: Running,
        out: &mut Out<'_, Mail>,
    ) {
        let Some(Kept {
            mut bytes, refusal, ..
        }) = running.kept
        else {
            return;
        };
        out.count(Event::RequestRetried);
        bytes.extend_from_slice(&self.held);
        out.pool.give(std::mem::replace(&mut self.held, bytes));
        self.request = Request::default();
        let current = self.binding.current;
        let server = self.slot(current).map(|slot| slot.link.server);
        if self.may_go_back() {
            match self.slot_mut(current).filter(|slot| slot.link.is_idle()) {
                Some(slot) => slot.was_told = false,
                None => self.drop_link(current, Linger::Abort, out),
            }
            self.go_back();
            return;
        }
        if refusal == Some(REROUTE) {
            return self.follow_reroute(ctx, out);
        }
        self.drop_link(current, Linger::Abort, out);
        if let (Some(server), Some(code)) = (server, refusal)
            && NOT_SERVING.contains(&code)
        {
            self.server_failed(ctx, server, Block::Gray, out);
        }
        let mut wrong = 0;
        if refusal == Some(TENANT_NOT_IN_SERVER) {
            out.count(Event::TenantNotInServer);
            wrong = self.wrong_version(ctx, server);
        }
        self.look_for_server(ctx, self.id, server.into_iter().collect(), wrong, out);
    }

    pub(super) fn look_for_server(
        &mut self,
        ctx: &Ctx<'_>,
        spread: u32,
        tried: Vec<SocketAddr>,
        wrong: u64,
        out: &mut Out<'_, Mail>,
    ) {
        self.begin_search(ctx, spread, tried, wrong, None, out);
    }

    fn begin_search(
        &mut self,
        ctx: &Ctx<'_>,
        spread: u32,
        tried: Vec<SocketAddr>,
        wrong: u64,
        wish: Option<SocketAddr>,
        out: &mut Out<'_, Mail>,
    ) {
        if let Some(login) = &mut self.login {
            login.credentials.database = self.known.database().map(<[u8]>::to_vec);
        }
        if self.aim.tried.is_empty() || self.login_deadline.is_none() {
            self.login_deadline = Some(ctx.now.after_ms(ctx.settings.login_timeout_ms));
        }
        let search = ServerLogin::new(ctx, Purpose::Statement, spread, tried, wrong);
        self.phase = Phase::ServerLogin(Box::new(search.wishing(wish)));
        self.try_next_server(ctx, out);
    }

    /// The request that waits can run on this link.
    pub(super) fn link_found(&mut self, id: LinkId) {
        self.binding.ready = Some(id);
        self.is_found();
    }

    /// No other server could be had. The client is told when it has sent its request.
    pub(super) fn search_failed(
        &mut self,
        ctx: &Ctx<'_>,
        fault: Fault,
        text: String,
        reason: CloseReason,
        out: &mut Out<'_, Mail>,
    ) {
        self.login_deadline = None;
        self.phase = Phase::Idle;
        if self.go_back() {
            return self.resume(ctx, out);
        }
        self.fail_next(Broken::new(ctx, fault, text, reason));
        self.resume(ctx, out);
    }

    /// The server of a link refuses what the waiting request needs: the client gets this error.
    pub(super) fn refused(&mut self, id: LinkId, error: Vec<u8>) {
        self.binding.current = id;
        self.binding.refusal = Some(error.into());
        self.is_found();
    }

    /// The search for a link, or the work on one, is over.
    fn is_found(&mut self) {
        self.login_deadline = None;
        if let Phase::Syncing(syncing) = std::mem::replace(&mut self.phase, Phase::Idle) {
            self.binding.spare = Some(syncing);
        }
    }

    /// The request is answered with this error packet.
    pub(super) fn refuse(&mut self, error: Vec<u8>) {
        self.binding.refusal = Some(error.into());
    }

    pub(super) const fn take_refusal(&mut self) -> Option<Box<[u8]>> {
        self.binding.refusal.take()
    }

    /// The next request is answered with this.
    pub(super) fn fail_next(&mut self, broken: Broken) {
        self.binding.failure = Some(Box::new(broken));
    }

    /// What the running request is answered with, as no server could be had.
    pub(super) fn take_failure(&mut self) -> Option<Box<Broken>> {
        self.binding.failure.take()
    }
}
