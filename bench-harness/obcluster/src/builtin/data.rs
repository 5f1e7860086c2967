//! What all sessions share: tables, locks, transactions, who is there.

use super::login::GRANTED;
use super::table::{Row, Shape, Table, Value};
use super::transaction::{Transaction, TransactionId, Undo};
use super::variables::Defaults;
use crate::state::TableShape;
use crate::tls::Certificate;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Number of the first table; each has a thousand numbers for its tablets.
const TABLE_ID: u64 = 500_000;
const TABLE_STEP: u64 = 10_000;
/// User locks at a time; more are refused.
const LOCKS_MAX: usize = 10_000;
/// Prepared XA transactions at a time; more are refused.
const XA_MAX: usize = 1_000;

/// Whether transactions may move between servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InternalRouting {
    /// Where the proxy asks for it.
    #[default]
    On,
    /// It is granted, and every statement on another server than the first is refused with 6279.
    Refuse,
    /// It is never granted.
    Off,
}

/// A user, and how they prove who they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Name without tenant.
    pub name: String,
    /// SHA1(SHA1(password)); `None`: no password.
    pub hash: Option<[u8; 20]>,
}

/// What there is at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// The one database of tables.
    pub database: String,
    /// Leaves of `kv`, 0 for no partitions.
    pub kv_partitions: u32,
    /// Tables `sbtest1`, `sbtest2`, ...
    pub sbtest: u32,
    /// Leaves of each of them, 0 for no partitions.
    pub sbtest_partitions: u32,
    /// Rows that each of them has.
    pub sbtest_rows: u32,
    /// Rows of `kv`: ids and texts.
    pub kv_rows: Vec<(i64, String)>,
    /// Who may log in.
    pub users: Vec<User>,
    /// Whether transactions may move between servers.
    pub internal_routing: InternalRouting,
    /// Whoever asks for TLS gets it, with this.
    pub certificate: Option<Certificate>,
    /// Capability bits that a proxy is granted, where it asks for them.
    pub granted: u64,
}

/// Hash of the password that proxies have by default for their own user.
const PROXYRO_HASH: [u8; 20] = [
    0xE9, 0xC2, 0xBC, 0xDC, 0x17, 0x8A, 0x99, 0xB7, 0xB0, 0x8D, 0xD2, 0x5D, 0xB5, 0x8D, 0xED, 0x2E,
    0xE5, 0xBF, 0xF0, 0x50,
];

impl Default for Layout {
    fn default() -> Self {
        let user = |name: &str, hash| User {
            name: name.into(),
            hash,
        };
        Self {
            database: "test".into(),
            kv_partitions: 16,
            sbtest: 1,
            sbtest_partitions: 0,
            sbtest_rows: 0,
            kv_rows: vec![],
            users: vec![user("root", None), user("proxyro", Some(PROXYRO_HASH))],
            internal_routing: InternalRouting::On,
            certificate: None,
            granted: GRANTED,
        }
    }
}

impl Layout {
    /// The tables, for their places.
    #[must_use]
    pub fn shapes(&self) -> Vec<TableShape> {
        let database = self.database.to_lowercase();
        let shape = |table: &Table| TableShape {
            table_id: table.id,
            name: format!("{database}.{}", table.name),
            tablets: table.tablets(),
            is_partitioned: table.partitions > 0,
            is_system: false,
        };
        self.tables().iter().map(shape).collect()
    }

    /// The tables, without rows.
    pub(super) fn tables(&self) -> Vec<Table> {
        let mut tables = vec![Table::new("kv", TABLE_ID, Shape::Kv, self.kv_partitions)];
        for n in 1..=self.sbtest {
            let id = TABLE_ID + u64::from(n) * TABLE_STEP;
            let name = format!("sbtest{n}");
            tables.push(Table::new(&name, id, Shape::Sbtest, self.sbtest_partitions));
        }
        tables
    }
}

/// A session, to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Present {
    pub(super) id: u32,
    /// The id that KILL and CONNECTION_ID() use.
    pub(super) visible: u32,
    pub(super) peer: Option<SocketAddr>,
}

/// What a session waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum On {
    Transaction(TransactionId),
    Lock(Vec<u8>),
    Time,
}

/// Somebody else has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Denied {
    /// Another transaction has the row locked.
    Locked(TransactionId),
    /// There is no room for another row.
    Full,
}

/// The end of another session, or of what it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kill {
    /// Whose: its connection id.
    pub session: u32,
    /// Only the statement that runs.
    pub is_query: bool,
}

#[derive(Clone, Debug)]
struct UserLock {
    owner: u32,
    count: u64,
}

/// Everything that sessions share. It has no clock and does no IO.
#[derive(Debug)]
pub struct Data {
    pub(super) layout: Layout,
    pub(super) defaults: Defaults,
    pub(super) tables: Vec<Table>,
    transactions: HashMap<TransactionId, Transaction>,
    next_transaction: TransactionId,
    /// XA transactions that are prepared.
    prepared: HashMap<Vec<u8>, TransactionId>,
    locks: HashMap<Vec<u8>, UserLock>,
    pub(super) present: HashMap<u32, Present>,
    /// At most one entry for each session, in the order of coming.
    waiting: Vec<(u32, On)>,
    woken: Vec<u32>,
    kills: Vec<Kill>,
    traces: u64,
}

impl Data {
    /// The tables of a layout.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let mut tables = layout.tables();
        for table in tables.iter_mut().skip(1) {
            table.next_id = i64::from(layout.sbtest_rows) + 1;
            for id in 1..=i64::from(layout.sbtest_rows) {
                let text = format!("{id:0>11}-row of {}", table.name).into_bytes();
                let row = [
                    Value::Int(id),
                    Value::Int(id),
                    Value::Text(text.clone()),
                    Value::Text(text),
                ];
                if let Some(slot) = table.slot_mut(id) {
                    slot.committed = Some(row.into());
                }
            }
        }
        if let Some(kv) = tables.first_mut() {
            for (id, text) in &layout.kv_rows {
                if let Some(slot) = kv.slot_mut(*id) {
                    let row = [Value::Int(*id), Value::Text(text.clone().into_bytes())];
                    slot.committed = Some(row.into());
                }
            }
        }
        Self {
            layout,
            defaults: Defaults::recorded(),
            tables,
            transactions: HashMap::new(),
            next_transaction: 1,
            prepared: HashMap::new(),
            locks: HashMap::new(),
            present: HashMap::new(),
            waiting: vec![],
            woken: vec![],
            kills: vec![],
            traces: 0,
        }
    }

    /// Whether transactions may move between servers, from now on.
    pub const fn set_internal_routing(&mut self, routing: InternalRouting) {
        self.layout.internal_routing = routing;
    }

    /// Sessions that need not wait any longer; each is to be resumed.
    pub fn take_woken(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.woken)
    }

    /// True if [`Self::take_woken`] or [`Self::take_kills`] has something.
    #[must_use]
    pub const fn has_news(&self) -> bool {
        !self.woken.is_empty() || !self.kills.is_empty()
    }

    /// Sessions that were killed; each is to be interrupted.
    pub fn take_kills(&mut self) -> Vec<Kill> {
        std::mem::take(&mut self.kills)
    }

    /// Orders the end of the session with this id, its connection's or its client's; false if there
    /// is none.
    pub(super) fn kill(&mut self, id: u32, is_query: bool) -> bool {
        let mut present = self.present.values();
        let found = present.find(|p| p.visible == id || p.id == id);
        let Some(found) = found else { return false };
        self.kills.push(Kill {
            session: found.id,
            is_query,
        });
        true
    }

    /// The trace id of a statement, as the kernel writes it.
    pub(super) fn trace(&mut self) -> String {
        self.traces += 1;
        format!("YB427F000001-{:016X}-0-0", self.traces)
    }

    /// Place of a table.
    pub(super) fn table(&self, name: &str) -> Option<usize> {
        self.tables
            .iter()
            .position(|t| t.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn begin(&mut self, coordinator: u32) -> TransactionId {
        let id = self.next_transaction;
        self.next_transaction += 1;
        self.transactions.insert(id, Transaction::new(coordinator));
        id
    }

    pub(super) fn transaction(&mut self, id: TransactionId) -> Option<&mut Transaction> {
        self.transactions.get_mut(&id)
    }

    /// How much a transaction would have to undo.
    pub(super) fn mark(&self, id: TransactionId) -> usize {
        self.transactions.get(&id).map_or(0, |t| t.undo.len())
    }

    /// Locks a row and writes it: `None` deletes it.
    pub(super) fn write(
        &mut self,
        owner: TransactionId,
        table: usize,
        id: i64,
        row: Option<Row>,
    ) -> Result<(), Denied> {
        let Some(slot) = self.tables.get_mut(table).and_then(|t| t.slot_mut(id)) else {
            return Err(Denied::Full);
        };
        let before = match &mut slot.pending {
            Some((other, _)) if *other != owner => return Err(Denied::Locked(*other)),
            Some((_, seen)) => Some(std::mem::replace(seen, row)),
            none => {
                *none = Some((owner, row));
                None
            }
        };
        if let Some(transaction) = self.transactions.get_mut(&owner) {
            transaction.undo.push(Undo { table, id, before });
        }
        Ok(())
    }

    /// Undoes what a transaction wrote since a mark, newest first.
    pub(super) fn undo(&mut self, id: TransactionId, mark: usize) {
        let Some(transaction) = self.transactions.get_mut(&id) else {
            return;
        };
        let tail = transaction.undo.split_off(mark.min(transaction.undo.len()));
        let has_unlocked = tail.iter().any(|u| u.before.is_none());
        for undo in tail.into_iter().rev() {
            let Some(table) = self.tables.get_mut(undo.table) else {
                continue;
            };
            if let Some(slot) = table.slot_mut(undo.id) {
                slot.pending = undo.before.map(|row| (id, row));
            }
            table.tidy(undo.id);
        }
        if has_unlocked {
            self.wake(&On::Transaction(id));
        }
    }

    pub(super) fn rollback(&mut self, id: TransactionId) {
        self.undo(id, 0);
        self.transactions.remove(&id);
        self.wake(&On::Transaction(id));
    }

    pub(super) fn commit(&mut self, id: TransactionId) {
        let Some(transaction) = self.transactions.remove(&id) else {
            return;
        };
        for undo in transaction.undo {
            let Some(table) = self.tables.get_mut(undo.table) else {
                continue;
            };
            if let Some(slot) = table.slot_mut(undo.id)
                && let Some((_, row)) = slot.pending.take_if(|(owner, _)| *owner == id)
            {
                slot.committed = row;
            }
            table.tidy(undo.id);
        }
        self.wake(&On::Transaction(id));
    }

    /// Keeps an XA transaction without a session. False: there are too many, or the name is taken.
    pub(super) fn keep_prepared(&mut self, name: &[u8], id: TransactionId) -> bool {
        if self.prepared.len() >= XA_MAX || self.prepared.contains_key(name) {
            return false;
        }
        self.prepared.insert(name.to_vec(), id);
        true
    }

    pub(super) fn take_prepared(&mut self, name: &[u8]) -> Option<TransactionId> {
        self.prepared.remove(name)
    }

    /// Notes that a session waits; it does so for one thing at a time.
    pub(super) fn wait(&mut self, session: u32, on: On) {
        self.stop_waiting(session);
        self.waiting.push((session, on));
    }

    pub(super) fn stop_waiting(&mut self, session: u32) {
        self.waiting.retain(|(s, _)| *s != session);
    }

    fn wake(&mut self, what: &On) {
        if self.waiting.is_empty() {
            return;
        }
        let woken = self.waiting.extract_if(.., |(_, on)| on == what);
        self.woken.extend(woken.map(|(session, _)| session));
    }

    /// Takes a user lock. `None`: there are too many.
    pub(super) fn lock(&mut self, name: &[u8], owner: u32) -> Option<bool> {
        if let Some(lock) = self.locks.get_mut(name) {
            let is_mine = lock.owner == owner;
            lock.count += u64::from(is_mine);
            return Some(is_mine);
        }
        if self.locks.len() >= LOCKS_MAX {
            return None;
        }
        self.locks
            .insert(name.to_vec(), UserLock { owner, count: 1 });
        Some(true)
    }

    /// Who has a user lock.
    pub(super) fn lock_owner(&self, name: &[u8]) -> Option<u32> {
        self.locks.get(name).map(|lock| lock.owner)
    }

    /// Gives a user lock back once. `None`: there is none of that name; false: it is another's.
    pub(super) fn unlock(&mut self, name: &[u8], owner: u32) -> Option<bool> {
        let lock = self.locks.get_mut(name)?;
        if lock.owner != owner {
            return Some(false);
        }
        lock.count -= 1;
        if lock.count == 0 {
            self.locks.remove(name);
            self.wake(&On::Lock(name.to_vec()));
        }
        Some(true)
    }

    /// Gives back all user locks of an owner; how often they were held.
    pub(super) fn unlock_all(&mut self, owner: u32) -> u64 {
        let gone = self.locks.extract_if(|_, lock| lock.owner == owner);
        let gone: Vec<_> = gone.collect();
        for (name, _) in &gone {
            self.wake(&On::Lock(name.clone()));
        }
        gone.iter().map(|(_, lock)| lock.count).sum()
    }

    pub(super) fn has_locks(&self, owner: u32) -> bool {
        self.locks.values().any(|lock| lock.owner == owner)
    }

    /// A new row that shares nothing.
    pub(super) fn row(values: Vec<Value>) -> Row {
        Arc::from(values)
    }
}
