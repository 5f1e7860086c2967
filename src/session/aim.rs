//! Where a statement goes that is bound to no link, and what its reply says about that.
//!
//! ```text
//! read ── known ──────────────────────────> a server, by the tables of the statement
//!   └── asked for ──> Locating ── mail ──> read again
//!                        └── too long ──> read again, with what there is
//! ```

use super::define::Defined;
use super::execute::prepare_execute;
use super::outline::Outline;
use super::pin::Pin;
use super::request::{Broken, Head};
use super::reroute::Named;
use super::route::Place;
use super::state::{Ctx, Phase, Session};
use super::statements::{ParamsAt, values};
use crate::base::{CloseReason, CoreId, Out, Output, Rng, Tick};
use crate::partition::{Context, Value};
use crate::protocol::error::Fault;
use crate::protocol::mysql::{Command, OkPacket, TRACK_VARIABLES, status};
use crate::protocol::reroute::REROUTE;
use crate::routing::{
    Choice, Consistency, ConsistencyFacts, ExplainFormat, Fault as Said, Hit, Level, Located, Mail,
    Plan, Reason, Reply, Routed, SYS, Statement, TableKey, TableName, Verdict, View, WeakBy,
    WeakFeedback, consistency, forces_master, judge, route, take_fault,
};
use crate::sql::{self, Scan, Syntax, Verb};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::net::SocketAddr;

/// The variable that makes reads weak on a server.
const CONSISTENCY: &[u8] = b"ob_read_consistency";

/// User variables of a statement; more need memory of their own.
const VARIABLES: usize = 4;

/// What the request at hand was sent by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aim {
    /// Why its server was chosen; `None` if none was.
    reason: Option<Reason>,
    /// Version of the table's entry that it went by; 0: by none.
    version: u64,
    /// The only leaf of it that is touched.
    leaf: Option<u32>,
    /// The table of the entry, or the one that is waited for.
    database: Vec<u8>,
    table: Vec<u8>,
    is_to_leader: bool,
    has_leader: bool,
    is_to_holder: bool,
    is_weak: bool,
    /// The server knows that it is a weak read: by its hint, or by `ob_read_consistency`.
    is_told_weak: bool,
    /// Reads behind it in the same transaction are strong.
    writes: bool,
    /// A statement before it in the transaction was such.
    has_written: bool,
    /// One of them wrote to a replicated table: not every replica has that yet.
    has_written_dup: bool,
    /// It has waited long enough.
    is_impatient: bool,
    /// Servers that were tried for it in vain, and what they said.
    pub(super) tried: Vec<SocketAddr>,
    pub(super) causes: Vec<String>,
    /// When EXPLAIN ROUTE was asked, and the answer to it.
    since: Option<Tick>,
    pub(super) plan: Vec<u8>,
    /// What it gives another definition.
    pub(super) defines: Vec<Defined>,
    /// It adds rows.
    adds_rows: bool,
    /// What the reply says about the place.
    hit: Option<bool>,
    weak: Option<WeakFeedback>,
    pub(super) better: Option<Named>,
}

impl Aim {
    fn set(&mut self, choice: Choice, located: Option<Located<'_>>, level: Level) {
        self.reason = Some(choice.reason);
        self.is_weak = level.consistency.is_weak();
        let by_wish = Consistency::Weak(WeakBy::Split);
        self.is_told_weak = self.is_weak && level.consistency != by_wish;
        self.writes = level.writes;
        self.version = 0;
        if let Some(located) = located {
            self.version = located.entry.version;
            self.leaf = located.leaf;
            self.is_to_leader = located.is_to_leader;
            self.has_leader = located.has_leader;
            self.is_to_holder = located.is_to_holder;
            self.name(&located.entry.key.as_name());
        }
    }

    fn name(&mut self, name: &TableName<'_>) {
        self.database.clear();
        self.database.extend_from_slice(name.database);
        self.table.clear();
        self.table.extend_from_slice(name.name);
    }

    /// The request goes where it is bound to.
    pub(super) const fn bound(&mut self, pin: Pin) {
        self.reason = Some(pin.reason());
        self.version = 0;
        self.is_weak = false;
        self.writes = true;
    }

    /// The request goes where nothing of its tables decides.
    pub(super) const fn sent_without_tables(&mut self, reason: Option<Reason>) {
        self.reason = reason;
        self.version = 0;
        self.is_weak = false;
    }

    /// The open transaction is gone.
    pub(super) const fn transaction_over(&mut self) {
        self.has_written = false;
        self.has_written_dup = false;
    }

    /// True if the request goes to a server because it leads rows of the statement.
    pub(super) const fn is_at_leader(&self) -> bool {
        self.version != 0 && self.is_to_leader
    }

    /// True if the request goes where a table is thought to be.
    pub(super) const fn is_by_table(&self) -> bool {
        self.version != 0
    }

    /// True if the request reads weakly.
    pub(super) const fn is_weak(&self) -> bool {
        self.is_weak
    }

    /// True if the server knows that.
    pub(super) const fn is_told_weak(&self) -> bool {
        self.is_told_weak
    }

    /// The reply says that the open transaction has written to a replicated table.
    pub(super) const fn has_written_dup(&mut self) {
        self.has_written_dup = true;
    }

    /// What the variables of an OK say about the place of its statement.
    pub(super) fn learn(&mut self, ok: &OkPacket<'_>) {
        for block in ok.blocks().filter(|block| block.kind == TRACK_VARIABLES) {
            for (name, value, is_user) in block.variables() {
                match name {
                    _ if is_user => break,
                    b"ob_proxy_partition_hit" => {
                        self.hit = Some(!matches!(value, b"OFF" | b"0"));
                    }
                    b"_ob_proxy_weakread_feedback" => {
                        self.weak = match value {
                            b"2" => Some(WeakFeedback::AllLed),
                            b"3" => Some(WeakFeedback::SomeLed),
                            _ => None,
                        };
                    }
                    _ => {}
                }
            }
        }
    }

    const fn hit(&self) -> Hit {
        match self.hit {
            None => Hit::Unknown,
            Some(true) => Hit::Yes,
            Some(false) => Hit::No,
        }
    }

    fn table_of<'a>(&'a self, cluster: &'a str, tenant: &'a [u8]) -> TableName<'a> {
        TableName {
            cluster,
            tenant,
            database: &self.database,
            name: &self.table,
        }
    }
}

/// What decides whether a statement must see the newest rows.
struct Moment {
    status: u16,
    reads_weakly: bool,
    splits_reads: bool,
    splits_transactions: bool,
    has_written: bool,
}

fn level(scan: &Scan, text: &[u8], at: &Moment) -> Level {
    consistency(&ConsistencyFacts {
        is_multi: scan.facts.is_multi,
        is_read: scan.verb == Verb::Select,
        is_locking: scan.facts.is_locking,
        hint: scan.hints.consistency,
        forces_master: forces_master(text),
        session_is_weak: at.reads_weakly,
        is_in_transaction: at.status & status::IN_TRANSACTION != 0,
        has_written: at.has_written,
        is_autocommit_off: at.status & status::AUTOCOMMIT == 0,
        splits_reads: at.splits_reads,
        splits_transactions: at.splits_transactions,
        server_can_be_weak: true,
    })
}

/// A request whose server is wanted.
struct Asked<'a> {
    /// What it runs: the scan is of this text.
    text: &'a [u8],
    /// Parameters of a prepared statement.
    params: &'a [Option<Value<'a>>],
    seed: u64,
    /// It is bound to this server.
    pin: Option<(SocketAddr, Reason)>,
    /// The decision itself is asked for.
    explain: Option<Explain>,
}

/// How a decision is told.
#[derive(Clone, Copy)]
struct Explain {
    /// Number of the first packet.
    seq: u8,
    format: ExplainFormat,
    /// When it was asked for.
    since: Tick,
}

/// What a decision was.
enum Decision {
    /// It was asked for, and is written down.
    Explained,
    To(SocketAddr),
    /// It is asked for already, and waited for until then.
    Wait(Tick),
    /// It has to be asked for.
    Ask,
    Nowhere(Reason),
}

impl Session {
    /// The place of a request that is bound to no link.
    pub(super) fn aim(
        &mut self,
        ctx: &Ctx<'_>,
        head: &Head<'_>,
        dice: &mut Rng,
        out: &mut Out<'_, Mail>,
    ) -> Place {
        if let Some(server) = self.wishes.address {
            self.aim.sent_without_tables(Some(Reason::RouteAddress));
            return self.place_at(server);
        }
        let seed = dice.next_u64();
        let unbound = |text, params| Asked {
            text,
            params,
            seed,
            pin: None,
            explain: None,
        };
        match head.command {
            Command::QUERY | Command::STMT_PREPARE => {
                self.place_of(ctx, &unbound(head.body(), &[]), out)
            }
            Command::STMT_EXECUTE => {
                let statements = std::mem::take(&mut self.statements);
                let statement = statements.of(head.statement);
                let text = statement.map_or(&b""[..], |statement| &statement.text);
                let syntax = self.dialect.syntax(self.facts.status);
                ctx.scan.borrow_mut().read(text, syntax, true);
                let charset = self.dialect.charset();
                let params = statement.map(|statement| {
                    statement.params(head.packet, ParamsAt::execute(statement), charset)
                });
                let asked = unbound(text, params.as_deref().unwrap_or_default());
                let place = self.place_of(ctx, &asked, out);
                self.statements = statements;
                place
            }
            command => {
                let front = match command {
                    Command::STMT_PREPARE_EXECUTE if head.is_whole => prepare_execute(head),
                    _ => None,
                };
                let Some(front) = front else {
                    // Others name no table; what the scan holds is of another statement.
                    ctx.scan.borrow_mut().read(b"", Syntax::default(), true);
                    return self.place_of(ctx, &unbound(b"", &[]), out);
                };
                let at = ParamsAt::prepare_execute(&front);
                let charset = self.dialect.charset();
                let statements = std::mem::take(&mut self.statements);
                let params = match statements.of(front.statement) {
                    Some(statement) => statement.params(head.packet, at, charset),
                    None => values(head.packet, at, &[], charset),
                };
                let place = self.place_of(ctx, &unbound(front.text, &params), out);
                self.statements = statements;
                place
            }
        }
    }

    /// The place of an EXPLAIN ROUTE, if this is one: it is answered here, and waits for the same
    /// as the statement in it. The scan of it becomes one of that statement.
    pub(super) fn explain(
        &mut self,
        ctx: &Ctx<'_>,
        head: &Head<'_>,
        out: &mut Out<'_, Mail>,
    ) -> Option<Place> {
        if head.command != Command::QUERY || !head.is_whole || !self.binding.is_routed {
            return None;
        }
        let scan = ctx.scan.borrow();
        if scan.explain != sql::Explain::Route || scan.facts.is_multi {
            return None;
        }
        let start = scan.subject.start as usize;
        drop(scan);
        let (front, text) = head.body().split_at_checked(start)?;
        let syntax = self.dialect.syntax(self.facts.status);
        let inner = Outline::of_text(&mut ctx.scan.borrow_mut(), text, syntax, true);
        let asked = Asked {
            text,
            params: &[],
            seed: u64::from(self.id),
            pin: self.pinned(head, &inner),
            explain: Some(Explain {
                seq: head.seq.wrapping_add(1),
                format: ExplainFormat::of(front),
                since: *self.aim.since.get_or_insert(ctx.now),
            }),
        };
        Some(self.place_of(ctx, &asked, out))
    }

    /// The server that a statement must go to for a reason of the session.
    fn pinned(&self, head: &Head<'_>, outline: &Outline) -> Option<(SocketAddr, Reason)> {
        let link = match self.pin(outline) {
            Some(pin) => {
                let past = self.link_of_past(pin, outline);
                Some((past.unwrap_or_else(|| self.link_of_pin(pin, outline)), pin))
            }
            None => {
                let id = self.link_of_variables(head, outline);
                id.map(|id| (id, Pin::Variables))
            }
        };
        match link {
            Some((id, pin)) => Some((self.slot(id)?.link.server, pin.reason())),
            None => self
                .wishes
                .address
                .map(|server| (server, Reason::RouteAddress)),
        }
    }

    fn place_of(&mut self, ctx: &Ctx<'_>, asked: &Asked<'_>, out: &mut Out<'_, Mail>) -> Place {
        let mut aim = std::mem::take(&mut self.aim);
        let decision = match self.decide(ctx, &mut aim, asked) {
            Some(Decision::Ask) => {
                let until = self.ask_for_table(ctx, &aim, out);
                match until > ctx.now {
                    true => Some(Decision::Wait(until)),
                    false => {
                        aim.is_impatient = true;
                        self.decide(ctx, &mut aim, asked)
                    }
                }
            }
            decision => decision,
        };
        self.aim = aim;
        match decision {
            Some(Decision::To(server)) => self.place_at(server),
            Some(Decision::Explained) => Place::Explained,
            Some(Decision::Wait(until)) => Place::Locating(until),
            Some(Decision::Nowhere(reason)) => Place::Without(reason),
            // The servers of the tenant are looked up first.
            None | Some(Decision::Ask) => Place::NewLink(self.id),
        }
    }

    pub(super) fn place_at(&self, server: SocketAddr) -> Place {
        match self.link_to(server) {
            Some(id) => Place::Link(id),
            None => Place::Server(server),
        }
    }

    /// `None` if it is not known yet where the tenant is.
    fn decide(&mut self, ctx: &Ctx<'_>, aim: &mut Aim, asked: &Asked<'_>) -> Option<Decision> {
        let Asked { text, seed, .. } = *asked;
        let settings = ctx.settings;
        let name = self.name.as_deref()?;
        let cluster = ctx.view.cluster(name.cluster.as_deref())?;
        let is_sys = &*name.tenant == SYS;
        let tenant = self.tenant(ctx).map(|tenant| &**tenant);
        if !is_sys && tenant.is_none_or(|tenant| tenant.servers.is_empty()) {
            return None;
        }
        if self.wishes.refresh(settings, name, cluster, tenant)
            && let Some((weak, is_default)) = self.wishes.consistency()
        {
            self.known.want(CONSISTENCY, weak, is_default);
        }
        let rules = self.wishes.rules();
        let scan = ctx.scan.borrow();
        let in_utf8 = self.dialect.in_utf8(text, &scan, self.facts.status);
        let (text, scan) = match &in_utf8 {
            Some(read) => (&*read.text, &read.scan),
            None => (text, &*scan),
        };
        let moment = Moment {
            status: self.facts.status,
            reads_weakly: self.wishes.reads_weakly(),
            splits_reads: rules.splits_reads,
            splits_transactions: rules.splits_transactions,
            has_written: aim.has_written,
        };
        let level = level(scan, text, &moment);
        let database = self.known.database().unwrap_or_default();
        // One that is assigned on the way may be another number for each row.
        let is_constant = scan.facts.has_user_variables && memmem::find(text, b":=").is_none();
        let numbers = is_constant.then(|| self.known.numbers());
        let numbers = numbers.into_iter().flatten();
        let variables: SmallVec<[_; VARIABLES]> =
            numbers.map(|(name, n)| (name, Value::Int(n))).collect();
        let wall_us = i64::try_from(self.epoch_us + ctx.now.0).ok();
        let own = Context {
            params: asked.params,
            variables: &variables,
            now_us: wall_us.filter(|_| self.known.has_true_time()),
            ..self.dialect.context(self.facts.status, database)
        };
        let context = in_utf8.as_ref().map_or(own, |read| read.context(own));
        ctx.traffic.borrow_mut().blocks.settle(ctx.now);
        let traffic = ctx.traffic.borrow();
        let view = View {
            cluster,
            tenant,
            blocks: &traffic.blocks,
            loads: &traffic.loads,
            preferences: &rules.preferences,
        };
        let tried = std::mem::take(&mut aim.tried);
        let statement = Statement {
            text,
            scan,
            context: &context,
            cluster: &cluster.name,
            tenant: &name.tenant,
            consistency: level.consistency,
            has_written_dup: aim.has_written_dup,
            pin: asked.pin,
            current: self.slot(self.binding.current).map(|s| s.link.server),
            tried: &tried,
            is_impatient: aim.is_impatient,
            seed,
        };
        let tables = ctx.view.tables();
        let routed = route(ctx.now, &tables, &view, &statement);
        let is_decided = !matches!(routed, Routed::Wait { .. });
        let decision = match routed {
            _ if let Some(explain) = asked.explain
                && is_decided =>
            {
                let since = explain.since;
                let plan = Plan::of(ctx.now, &tables, &view, &statement, &routed, since);
                let status = self.facts.status & (status::IN_TRANSACTION | status::AUTOCOMMIT);
                aim.plan.clear();
                plan.put(&mut aim.plan, explain.seq, status, explain.format);
                Decision::Explained
            }
            Routed::To(choice, located) => {
                aim.set(choice, located, level);
                aim.adds_rows = scan.verb.is_insert();
                Decision::To(choice.server)
            }
            Routed::Wait { name, until } => {
                aim.name(&name);
                match until {
                    Some(until) => Decision::Wait(until),
                    None => Decision::Ask,
                }
            }
            Routed::Nowhere(reason) => {
                aim.sent_without_tables(Some(reason));
                Decision::Nowhere(reason)
            }
        };
        aim.tried = tried;
        Some(decision)
    }

    /// Asks the metadata core for the table of `aim`. Until when the answer is waited for.
    fn ask_for_table(&self, ctx: &Ctx<'_>, aim: &Aim, out: &mut Out<'_, Mail>) -> Tick {
        let Some(name) = self.name.as_deref() else {
            return ctx.now;
        };
        let Some(cluster) = ctx.view.cluster(name.cluster.as_deref()) else {
            return ctx.now;
        };
        let table = aim.table_of(&cluster.name, &name.tenant);
        let mut tables = ctx.view.tables_mut();
        let (mail, until) = tables.ask(ctx.now, ctx.ids.core(), &table);
        if let Some(mail) = mail {
            out.list.push(Output::Post(CoreId::METADATA, mail));
        }
        until
    }

    /// The session's request waits for what is known of a table: of this one, or of any.
    pub(super) fn awaits(&self, key: Option<&TableKey>) -> bool {
        let is_it = |key: &TableKey| {
            let tenant = self.name.as_deref().map(|name| &*name.tenant);
            let is_tenant = tenant.is_some_and(|tenant| *tenant == *key.tenant);
            *key.name == *self.aim.table && *key.database == *self.aim.database && is_tenant
        };
        matches!(self.phase, Phase::Locating(_)) && key.is_none_or(is_it)
    }

    /// The request has waited long enough: it is read again, and goes by what there is.
    pub(super) fn locate_no_longer(&mut self) {
        self.aim.is_impatient = true;
        self.phase = Phase::Idle;
    }

    /// A server could not take the request, which did not run: another is chosen.
    pub(super) fn aim_elsewhere(&mut self, server: SocketAddr, cause: String) {
        self.aim.tried.push(server);
        self.aim.causes.push(cause);
    }

    /// What the client is told if no server can be used.
    pub(super) fn without_server(&self, ctx: &Ctx<'_>, reason: Reason) -> Broken {
        let mut text = reason.sentence().to_owned();
        for cause in &self.aim.causes {
            text.push_str(": ");
            text.push_str(cause);
        }
        text.push_str(" [not run]");
        Broken::new(ctx, Fault::NoServer, text, CloseReason::NoServer)
    }

    /// The request goes out, or is answered here.
    pub(super) fn aimed(&mut self, ctx: &Ctx<'_>) {
        let aim = &mut self.aim;
        aim.is_impatient = false;
        aim.since = None;
        aim.tried.clear();
        aim.causes.clear();
        (aim.hit, aim.weak, aim.better) = (None, None, None);
        if let Some(reason) = aim.reason {
            ctx.view.decisions().decided(reason);
        }
    }

    /// The reply to a request is over: what it says about the entry that the request went by.
    pub(super) fn judge_place(
        &mut self,
        ctx: &Ctx<'_>,
        server: SocketAddr,
        error: Option<u16>,
        out: &mut Out<'_, Mail>,
    ) {
        if !self.aim.defines.is_empty() {
            self.look_definitions_up(ctx, out);
        }
        let is_in_transaction = self.facts.status & status::IN_TRANSACTION != 0;
        let aim = &mut self.aim;
        aim.has_written = is_in_transaction && (aim.has_written || aim.writes);
        aim.has_written_dup &= is_in_transaction;
        let Some(reason) = aim.reason.take() else {
            return;
        };
        let hit = aim.hit();
        if error.is_none() {
            ctx.view.decisions().answered(reason, hit);
        }
        let fault = error.and_then(Said::of);
        if aim.version == 0 && fault.is_none() {
            return;
        }
        let verdict = judge(&Reply {
            reason,
            is_to_leader: aim.is_to_leader,
            has_leader: aim.has_leader,
            is_to_holder: aim.is_to_holder,
            is_weak: aim.is_weak,
            is_told_weak: aim.is_told_weak,
            adds_rows: aim.adds_rows,
            hit,
            weak: aim.weak,
            is_error: error.is_some(),
            is_rerouted: error == Some(REROUTE),
        });
        if verdict == Verdict::Nothing && fault.is_none() {
            return;
        }
        let aim = &self.aim;
        let Some(name) = self.name.as_deref() else {
            return;
        };
        let Some(cluster) = ctx.view.cluster(name.cluster.as_deref()) else {
            return;
        };
        let table = aim.table_of(&cluster.name, &name.tenant);
        let entry = (aim.version != 0).then_some((&table, aim.version));
        let mut tables = ctx.view.tables_mut();
        if let Some(fault) = fault {
            let session = (&*cluster.name, &*name.tenant);
            take_fault(&mut tables, ctx.now, fault, server, entry, session);
        }
        match verdict {
            Verdict::Right => tables.confirm(&table, aim.version),
            Verdict::Doubt => {
                let is_due = match aim.leaf {
                    Some(leaf) => tables.doubt_leaf(ctx.now, &table, aim.version, leaf),
                    None => tables.doubt(ctx.now, &table, aim.version),
                };
                drop(tables);
                if is_due {
                    self.ask_for_table(ctx, aim, out);
                }
            }
            Verdict::Nothing => {}
        }
    }

    /// A server is gone: what is known of tables on it is doubtful.
    pub(super) fn doubt_server(&self, ctx: &Ctx<'_>, server: SocketAddr) {
        ctx.view.tables_mut().doubt_server(ctx.now, server);
    }
}
