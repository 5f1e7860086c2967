//! All sessions of one core, and the replica that they read.

use super::ids::SESSIONS_MAX;
use super::server_login::Wanted;
use super::{Ctx, Session, SessionIds, Settings};
use crate::auth::Unseal;
use crate::base::{Accepted, CoreId, Input, Key, Machines, Out, Output, Slab, Tick};
use crate::routing::{
    Block, Fate, KillBack, KillOrder, KillReport, Listed, Mail, Pulse, Replica, Subject,
    TableEntry, Traffic,
};
use crate::sql::Scan;
use std::cell::RefCell;
use std::sync::Arc;

/// The machines of one serving core.
#[derive(Debug)]
pub struct Sessions {
    settings: Settings,
    /// Opens passwords that clients have sealed.
    unseal: Option<Arc<dyn Unseal>>,
    /// Where all sessions of the core read statements.
    scan: RefCell<Scan>,
    replica: Replica,
    traffic: RefCell<Traffic>,
    table: Slab<Entry>,
    ids: SessionIds,
    /// Sessions that wait for the replica to know something.
    waiting: Vec<Key>,
    /// Sessions whose statements wait for what is known of a table.
    locating: Vec<Key>,
    /// Tenants that the metadata core was asked for, and when.
    asked: Vec<Asked>,
}

/// A question to the metadata core that is not answered yet.
#[derive(Debug)]
struct Asked {
    cluster: Arc<str>,
    tenant: Arc<[u8]>,
    wrong: u64,
    at: Tick,
}

/// A question is asked again after this time: letters can be lost.
const ASK_AGAIN_US: u64 = 900_000;
/// Questions that are remembered; of more the oldest are asked again.
const ASKED_MAX: usize = 256;

#[derive(Debug)]
struct Entry {
    session: Session,
    is_waiting: bool,
    is_locating: bool,
}

impl Sessions {
    /// An empty table.
    #[must_use]
    pub fn new(settings: Settings, ids: SessionIds, replica: Replica) -> Self {
        Self {
            settings,
            unseal: None,
            scan: RefCell::default(),
            replica,
            traffic: RefCell::default(),
            table: Slab::with_limit(SESSIONS_MAX),
            ids,
            waiting: Vec::new(),
            locating: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The same, with what opens passwords that clients have sealed.
    #[must_use]
    pub fn unsealing(mut self, key: Arc<dyn Unseal>) -> Self {
        self.unseal = Some(key);
        self
    }

    /// The session under `key`.
    #[must_use]
    pub fn session(&self, key: Key) -> Option<&Session> {
        self.table.get(key).map(|e| &e.session)
    }

    /// Replaces a session by itself, written to bytes and rebuilt by `rebuild`.
    pub fn rebuild(&mut self, key: Key, rebuild: impl FnOnce(&Session) -> Session) {
        if let Some(entry) = self.table.get_mut(key) {
            entry.session = rebuild(&entry.session);
        }
    }

    /// What this core knows of clusters.
    #[must_use]
    pub const fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Installs what is known of a table, and wakes the sessions whose statements wait for it.
    fn install_table(&mut self, now: Tick, known: Arc<TableEntry>, wake: &mut Vec<Key>) {
        let Self {
            table, locating, ..
        } = self;
        locating.retain(|key| {
            let Some(entry) = table.get_mut(*key) else {
                return false;
            };
            if entry.session.awaits(Some(&known.key)) {
                wake.push(*key);
            }
            entry.is_locating = entry.session.awaits(None) && wake.last() != Some(key);
            entry.is_locating
        });
        self.replica.install_table(now, known);
    }
}

impl Machines for Sessions {
    type Mail = Mail;

    fn accept(&mut self, now: Tick, accepted: Accepted) -> Option<Key> {
        let session = Session::new(0, now, &accepted, &self.settings);
        let key = self
            .table
            .insert(Entry {
                session,
                is_waiting: false,
                is_locating: false,
            })
            .ok()?;
        let Some(id) = self.ids.claim(key) else {
            self.table.remove(key);
            return None;
        };
        if let Some(entry) = self.table.get_mut(key) {
            entry.session.named(id);
        }
        Some(key)
    }

    fn clients_max(&self) -> u32 {
        self.settings.clients_max
    }

    fn handle(&mut self, now: Tick, id: Key, input: Input<'_>, out: &mut Out<'_, Mail>) {
        let Self {
            table,
            replica,
            traffic,
            settings,
            unseal,
            waiting,
            locating,
            ids,
            asked,
            scan,
        } = self;
        let Some(entry) = table.get_mut(id) else {
            return;
        };
        if matches!(input, Input::Wake) {
            entry.is_waiting = false;
        }
        let before = entry.session.outstanding();
        entry.session.handle(
            &Ctx {
                now,
                key: id,
                view: replica,
                traffic,
                settings,
                ids,
                scan,
                unseal: unseal.as_deref(),
            },
            input,
            out,
        );
        let after = entry.session.outstanding();
        if before != after {
            let loads = &mut traffic.get_mut().loads;
            before.into_iter().for_each(|server| loads.end(server));
            after
                .into_iter()
                .for_each(|server| loads.begin(now, server));
        }
        if entry.session.awaits(None) && !entry.is_locating {
            entry.is_locating = true;
            locating.push(id);
        }
        if entry.session.is_waiting_for_view() && !entry.is_waiting {
            entry.is_waiting = true;
            waiting.push(id);
        }
        if let Some(wanted) = entry.session.wanted(replica) {
            ask(asked, now, ids.core(), &wanted, out);
        }
    }

    fn poll_timeout(&self, id: Key) -> Option<Tick> {
        self.table.get(id).and_then(|e| e.session.poll_timeout())
    }

    fn stall_limit_ms(&self, id: Key) -> Option<u64> {
        self.session(id).and_then(Session::stall_limit_ms)
    }

    fn mail(&mut self, now: Tick, mail: Mail, wake: &mut Vec<Key>, post: &mut Vec<(CoreId, Mail)>) {
        match mail {
            Mail::Cluster(entry) => {
                if self.replica.install(now, entry) {
                    wake.append(&mut self.waiting);
                }
            }
            Mail::Tenant(entry) => {
                self.asked.retain(|a| {
                    a.tenant != entry.name || a.cluster != entry.cluster || a.wrong >= entry.version
                });
                if self.replica.install_tenant(now, entry) {
                    wake.append(&mut self.waiting);
                }
            }
            Mail::Primed => {
                self.replica.prime();
                wake.append(&mut self.waiting);
            }
            Mail::Answer(answer) => {
                let key = answer.key;
                if let Some(entry) = self.table.get_mut(key)
                    && entry.session.take_answer(*answer)
                {
                    wake.push(key);
                }
            }
            Mail::List { inquiry, of } => {
                let core = self.ids.core();
                let list = self.replica.list(core, of).unwrap_or_else(|| match of {
                    Subject::Blocks => {
                        let blocks = &mut self.traffic.get_mut().blocks;
                        blocks.settle(now);
                        Listed::Blocks(blocks.rows())
                    }
                    _ => {
                        let rows = self.table.iter().map(|(_, e)| e.session.row(core));
                        Listed::Sessions(rows.collect())
                    }
                });
                let listed = Mail::Listed {
                    inquiry,
                    core,
                    list,
                };
                post.push((CoreId::METADATA, listed));
            }
            Mail::Kill(order) => {
                let key = self.ids.find(order.id);
                let victim = key.and_then(|key| self.table.get_mut(key));
                let fate = victim.map_or(Fate::Unknown, |v| {
                    v.session.take_order(&order, &self.replica)
                });
                if fate == Fate::Done && !order.is_query {
                    wake.extend(key);
                }
                let KillOrder {
                    id, is_query, back, ..
                } = *order;
                let report = KillReport {
                    id,
                    is_query,
                    back,
                    fate,
                };
                post.push((back.core(), Mail::Killed(Box::new(report))));
            }
            Mail::Killed(report) => {
                if let KillBack::Session(_, key) = report.back
                    && let Some(entry) = self.table.get_mut(key)
                    && entry.session.take_report(&report)
                {
                    wake.push(key);
                }
            }
            Mail::Settings(settings) => {
                let number = self.settings.number + 1;
                self.settings = Settings::of(&settings);
                self.settings.number = number;
                self.replica.set_settings(&settings);
            }
            Mail::Table(entry) => self.install_table(now, entry, wake),
            Mail::Pulse(server, pulse) => {
                let Traffic { loads, blocks } = self.traffic.get_mut();
                let heard = loads.heard(server);
                // What this core has seen with its own eyes counts more.
                let is_quiet = heard.is_none_or(|at| at.after_ms(self.settings.suspect_ms) <= now);
                match pulse {
                    Pulse::Well => blocks.worked(server),
                    Pulse::Silent | Pulse::Lost if is_quiet => {
                        blocks.block(now, server, Block::Black, self.settings.blocks);
                    }
                    Pulse::Silent | Pulse::Lost => {}
                }
                if pulse == Pulse::Lost && is_quiet {
                    for (key, entry) in self.table.iter_mut() {
                        if entry.session.take_loss(server) {
                            wake.push(key);
                        }
                    }
                }
            }
            // For the metadata core.
            Mail::Suspect { .. }
            | Mail::Unreachable { .. }
            | Mail::FindTenant { .. }
            | Mail::FindTable { .. }
            | Mail::Redefined(_)
            | Mail::Ask(_)
            | Mail::Listed { .. } => {}
        }
    }

    fn ended(&mut self, id: Key) {
        if let Some(entry) = self.table.remove(id) {
            self.ids.release(entry.session.id);
            if let Some(server) = entry.session.outstanding() {
                self.traffic.get_mut().loads.end(server);
            }
        }
    }

    fn describe(&self, id: Key) -> String {
        self.session(id).map(Session::describe).unwrap_or_default()
    }

    fn ids(&self, into: &mut Vec<Key>) {
        into.extend(self.table.iter().map(|(key, _)| key));
    }
}

/// Asks the metadata core for a tenant, once for all sessions of this core.
fn ask(
    asked: &mut Vec<Asked>,
    now: Tick,
    core: CoreId,
    wanted: &Wanted<'_>,
    out: &mut Out<'_, Mail>,
) {
    let is_same = |a: &Asked| *a.tenant == *wanted.tenant && a.cluster == *wanted.cluster;
    if let Some(at) = asked.iter().position(is_same)
        && let Some(before) = asked.get(at)
    {
        if before.wrong >= wanted.wrong && now.since_us(before.at) < ASK_AGAIN_US {
            return;
        }
        asked.swap_remove(at);
    }
    if asked.len() >= ASKED_MAX {
        asked.remove(0);
    }
    let question = Asked {
        cluster: wanted.cluster.clone(),
        tenant: wanted.tenant.into(),
        wrong: wanted.wrong,
        at: now,
    };
    let mail = Mail::FindTenant {
        core,
        cluster: question.cluster.clone(),
        tenant: question.tenant.clone(),
        wrong: question.wrong,
    };
    asked.push(question);
    out.list.push(Output::Post(CoreId::METADATA, mail));
}
