//! Runs statements.

use super::data::{Data, Denied, On};
use super::login::Who;
use super::reply::{Definition, Done, Failure};
use super::state::State;
use super::statement::{Expr, Statement, TableName, XaVerb};
use super::table::{ROWS_MAX, Value};
use super::transaction::{SAVEPOINTS_MAX, TransactionId, XaState};

/// Databases that a session may use besides the one with tables.
const SYSTEM_DATABASES: [&str; 3] = ["oceanbase", "mysql", "information_schema"];
/// Temporary tables of a session; more are refused.
const TEMPORARY_MAX: usize = 1_000;
/// The highest bit of the id of a connection.
const CONNECTION_BIT: u32 = 1 << 31;
/// Errors of values that only a strict mode refuses: NULL, another type, a text that is too long.
const OF_STRICT: [u16; 3] = [NULL_VALUE, 1366, 1406];
/// The NULL of a single new row is refused in every mode (observed on seekdb 1.3.0.post5).
const NULL_VALUE: u16 = 1048;
/// The variable that tells a proxy of temporary tables.
const TEMPORARY_USED: &str = "_ob_proxy_session_temporary_table_used";

/// What became of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Done(Done),
    Rows {
        columns: Vec<Definition>,
        rows: Vec<Vec<Value>>,
        /// Transaction bits while the rows were read.
        bits: u16,
    },
    /// A canned result.
    Canned {
        rows: u64,
        bytes: usize,
    },
    /// The client is asked for a file.
    Infile(Vec<u8>),
}

/// Why a statement is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    Failure(Failure),
    /// It is to be tried again when this is over, at this time at the latest.
    Wait {
        on: On,
        until_us: u64,
    },
    /// The session has killed itself.
    Gone,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

pub(super) type Ran = Result<Outcome, Stop>;

/// What a statement runs with.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) data: &'a mut Data,
    pub(super) state: &'a mut State,
    pub(super) who: &'a Who,
    /// OceanBase 2.0 packets, which carry session state.
    pub(super) has_packets: bool,
    /// The request allows that its transaction moves.
    pub(super) may_move: bool,
    pub(super) now_us: u64,
    /// When the statement was first tried.
    pub(super) since_us: u64,
    pub(super) parameters: &'a [Expr],
}

/// True for errors of this statement that depend on a strict mode.
fn of_strict(statement: &Statement, code: u16) -> bool {
    let is_one = matches!(statement, Statement::Insert { rows, .. } if rows.len() == 1);
    OF_STRICT.contains(&code) && !(is_one && code == NULL_VALUE)
}

pub(super) fn unsupported() -> Stop {
    Failure::unsupported().into()
}

pub(super) const fn done() -> Outcome {
    Outcome::Done(Done {
        affected: 0,
        insert_id: 0,
        warnings: 0,
        message: String::new(),
    })
}

impl Run<'_> {
    pub(super) fn statement(&mut self, statement: &Statement) -> Ran {
        self.check_place(statement)?;
        let ran = self.any(statement).map_err(|stop| match stop {
            // Without a strict mode the kernel stores something else, and warns.
            Stop::Failure(failure) if !self.is_strict() && of_strict(statement, failure.code) => {
                unsupported()
            }
            stop => stop,
        });
        self.note_progress();
        ran
    }

    fn is_strict(&self) -> bool {
        let mode = self.state.variables.get("sql_mode");
        mode.is_none_or(|mode| mode.contains("STRICT_"))
    }

    fn any(&mut self, statement: &Statement) -> Ran {
        match statement {
            Statement::Select(select) => self.select(select),
            Statement::Values(values) => self.values(values),
            Statement::Canned { rows, bytes } => Ok(Outcome::Canned {
                rows: *rows,
                bytes: *bytes,
            }),
            Statement::Insert {
                table,
                columns,
                rows,
                is_replace,
            } => self.insert(table, columns.as_deref(), rows, *is_replace),
            Statement::Update {
                table,
                sets,
                filter,
            } => self.update(table, sets, filter),
            Statement::Delete { table, filter } => self.delete(table, filter),
            Statement::Begin { is_read_only } => self.begin(*is_read_only),
            Statement::Commit => {
                self.refuse_in_xa()?;
                self.commit();
                Ok(done())
            }
            Statement::Rollback => {
                self.refuse_in_xa()?;
                self.rollback();
                Ok(done())
            }
            Statement::Savepoint(name) => self.savepoint(name),
            Statement::RollbackTo(name) => self.rollback_to(name),
            Statement::Release(name) => self.release(name),
            Statement::Set(assignments) => self.set(assignments),
            Statement::Isolation(level) => {
                self.state.set("tx_isolation", level);
                self.state.set("transaction_isolation", level);
                Ok(done())
            }
            Statement::NextTransaction { is_read_only } => {
                if self.state.transaction.is_some() {
                    let text = "Transaction characteristics can't be changed while a transaction \
                                is in progress";
                    return Err(Failure::new(1568, "25001", text).into());
                }
                self.state.next = Some(*is_read_only);
                Ok(done())
            }
            Statement::Use(name) => self.use_database(name),
            Statement::CreateTemporary(name) => self.create_temporary(name),
            Statement::DropTemporary(name) => self.drop_temporary(name),
            Statement::LoadData { table, file } => self.load(table, file),
            Statement::Xa(verb, name) => self.xa(*verb, name),
            Statement::Kill { id, is_query } => self.kill(*id, *is_query),
            Statement::Meta {
                view,
                column,
                conditions,
            } => self.meta(view, column.as_deref(), conditions),
        }
    }

    /// The place of a table that is named.
    pub(super) fn table(&self, table: &TableName) -> Result<usize, Stop> {
        let database = match &table.database {
            Some(database) => database,
            None if self.state.database.is_empty() => {
                return Err(Failure::new(1046, "3D000", "No database selected").into());
            }
            None => &self.state.database,
        };
        let is_here = database.eq_ignore_ascii_case(&self.data.layout.database);
        let place = self.data.table(&table.name).filter(|_| is_here);
        place.ok_or_else(|| {
            let text = format!("Table '{database}.{}' doesn't exist", table.name);
            Failure::new(1146, "42S02", text).into()
        })
    }

    /// A value as it was typed or bound.
    pub(super) fn bound<'e>(&'e self, expr: &'e Expr) -> Result<&'e Expr, Stop> {
        match expr {
            Expr::Parameter(n) => self.parameters.get(*n).ok_or_else(unsupported),
            other => Ok(other),
        }
    }

    pub(super) fn refuse(&self, denied: Denied) -> Stop {
        match denied {
            Denied::Full => Failure::new(
                1114,
                "HY000",
                format!("builtin engine: the table is full ({ROWS_MAX} rows)"),
            )
            .into(),
            Denied::Locked(owner) => {
                let query = self.state.number(self.data, "ob_query_timeout");
                let lock = self.state.number(self.data, "ob_trx_lock_timeout");
                let time = if lock < 0 { query } else { query.min(lock) };
                let until_us = self.since_us.saturating_add(time.max(0) as u64);
                if self.now_us < until_us {
                    let on = On::Transaction(owner);
                    return Stop::Wait { on, until_us };
                }
                let text = "Lock wait timeout exceeded; try restarting transaction";
                Failure::new(1205, "HY000", text).into()
            }
        }
    }

    /// Runs writes inside the open transaction, or in one of their own. What fails is undone.
    pub(super) fn writing(&mut self, write: impl FnOnce(&mut Self, TransactionId) -> Ran) -> Ran {
        let open = self.state.transaction;
        let id = match open {
            Some(id) => id,
            None => self.open(),
        };
        let is_read_only = self.data.transaction(id).is_some_and(|t| t.is_read_only);
        let mark = self.data.mark(id);
        let ran = if is_read_only {
            let text = "Cannot execute statement in a READ ONLY transaction.";
            Err(Failure::new(1792, "25006", text).into())
        } else {
            write(self, id)
        };
        if ran.is_err() {
            self.data.undo(id, mark);
        }
        if open.is_none() {
            match (&ran, self.state.autocommit()) {
                (Ok(_), true) => self.data.commit(id),
                (Ok(_), false) if self.data.mark(id) > 0 => self.state.transaction = Some(id),
                // What touched no row has begun nothing.
                _ => self.data.rollback(id),
            }
        }
        ran
    }

    /// A new transaction. It is the session's only when it stays.
    fn open(&mut self) -> TransactionId {
        let id = self.data.begin(self.state.id);
        let is_free =
            self.may_move && self.data.layout.internal_routing != super::InternalRouting::Off;
        let is_read_only = self.state.next == Some(true);
        if let Some(t) = self.data.transaction(id) {
            t.is_free = is_free && self.state.next.is_none();
            t.is_read_only = is_read_only;
        }
        self.state.version = 0;
        id
    }

    /// Begins the transaction of a savepoint.
    fn reading(&mut self) {
        if self.state.transaction.is_none() && !self.state.autocommit() {
            self.state.transaction = Some(self.open());
        }
    }

    fn begin(&mut self, is_read_only: bool) -> Ran {
        self.refuse_in_xa()?;
        self.commit();
        let id = self.open();
        if is_read_only && let Some(t) = self.data.transaction(id) {
            t.is_read_only = true;
        }
        self.state.transaction = Some(id);
        Ok(done())
    }

    pub(super) fn commit(&mut self) {
        if let Some(id) = self.state.transaction.take() {
            self.state.is_moved |= self.data.transaction(id).is_some_and(|t| t.is_free);
            self.data.commit(id);
        }
    }

    pub(super) fn rollback(&mut self) {
        if let Some(id) = self.state.transaction.take() {
            self.state.is_moved |= self.data.transaction(id).is_some_and(|t| t.is_free);
            self.data.rollback(id);
        }
    }

    fn savepoint(&mut self, name: &str) -> Ran {
        self.reading();
        let Some(id) = self.state.transaction else {
            return Ok(done());
        };
        let mark = self.data.mark(id);
        if let Some(t) = self.data.transaction(id) {
            t.savepoints.retain(|(n, _)| n != name);
            if t.savepoints.len() >= SAVEPOINTS_MAX {
                return Err(unsupported());
            }
            t.savepoints.push((name.into(), mark));
        }
        Ok(done())
    }

    fn find_savepoint(&mut self, name: &str) -> Result<(TransactionId, usize, usize), Stop> {
        let missing = || Failure::new(1305, "42000", "savepoint does not exist");
        let id = self.state.transaction.ok_or_else(missing)?;
        let t = self.data.transaction(id).ok_or_else(missing)?;
        let found = t.savepoints.iter().enumerate();
        let mut found = found.filter(|(_, (n, _))| n == name);
        let (place, (_, mark)) = found.next().ok_or_else(missing)?;
        Ok((id, place, *mark))
    }

    fn rollback_to(&mut self, name: &str) -> Ran {
        let (id, place, mark) = self.find_savepoint(name)?;
        self.data.undo(id, mark);
        if let Some(t) = self.data.transaction(id) {
            t.savepoints.truncate(place + 1);
        }
        Ok(done())
    }

    fn release(&mut self, name: &str) -> Ran {
        let (id, place, _) = self.find_savepoint(name)?;
        if let Some(t) = self.data.transaction(id) {
            t.savepoints.truncate(place);
        }
        Ok(done())
    }

    pub(super) fn use_database(&mut self, name: &str) -> Ran {
        if !self.knows_database(name) {
            let text = format!("Unknown database '{name}'");
            return Err(Failure::new(1049, "42000", text).into());
        }
        self.state.database = name.into();
        let changes = &mut self.state.changes;
        changes.system("_current_default_catalog", "0");
        changes.system("character_set_database", "utf8mb4");
        changes.system("collation_database", "utf8mb4_general_ci");
        changes.schema(name);
        self.state.is_dirty = true;
        Ok(done())
    }

    pub(super) fn knows_database(&self, name: &str) -> bool {
        name == self.data.layout.database || SYSTEM_DATABASES.contains(&name)
    }

    fn create_temporary(&mut self, name: &str) -> Ran {
        let temporary = &mut self.state.temporary;
        if temporary.iter().any(|t| t.eq_ignore_ascii_case(name)) {
            let text = format!("Table '{name}' already exists");
            return Err(Failure::new(1050, "42S01", text).into());
        }
        if temporary.len() >= TEMPORARY_MAX {
            return Err(unsupported());
        }
        temporary.push(name.into());
        if temporary.len() == 1 {
            self.state.changes.system(TEMPORARY_USED, "ON");
            self.state.temporaries = Some(true);
        }
        Ok(done())
    }

    fn drop_temporary(&mut self, name: &str) -> Ran {
        let temporary = &mut self.state.temporary;
        let Some(at) = temporary.iter().position(|t| t.eq_ignore_ascii_case(name)) else {
            let text = format!("Unknown table '{}.{name}'", self.state.database);
            return Err(Failure::new(1051, "42S02", text).into());
        };
        temporary.remove(at);
        if temporary.is_empty() {
            self.state.changes.system(TEMPORARY_USED, "OFF");
            self.state.temporaries = Some(false);
        }
        Ok(done())
    }

    fn load(&self, table: &TableName, file: &[u8]) -> Ran {
        self.table(table)?;
        let bit = obring_wire::protocol::capability::LOAD_DATA_LOCAL;
        if self.who.is_proxy && !self.who.has(bit) {
            let text = "Loading local data is disabled; this must be enabled on both the client \
                        and server sides";
            return Err(Failure::new(3948, "42000", text).into());
        }
        Ok(Outcome::Infile(file.to_vec()))
    }

    fn kill(&mut self, id: u32, is_query: bool) -> Ran {
        if id == self.state.visible {
            return if is_query {
                Ok(done())
            } else {
                Err(Stop::Gone)
            };
        }
        // Numbers of clients may be another server's; those of connections are this one's
        // (observed on seekdb 1.3.0.post5).
        let is_here = self.data.kill(id, is_query);
        if !is_here && (!is_query || id & CONNECTION_BIT != 0) {
            let text = format!("Unknown thread id: {id}");
            return Err(Failure::new(1094, "HY000", text).into());
        }
        Ok(done())
    }

    /// Plain transaction control does not end an XA transaction.
    fn refuse_in_xa(&mut self) -> Result<(), Stop> {
        let id = self.state.transaction;
        let open = id.and_then(|id| self.data.transaction(id));
        match open.and_then(|t| t.xa.as_ref()) {
            None => Ok(()),
            Some(_) => Err(xa_state("ACTIVE")),
        }
    }

    fn xa(&mut self, verb: XaVerb, name: &[u8]) -> Ran {
        let open = self.state.transaction;
        let own = open
            .and_then(|id| self.data.transaction(id))
            .and_then(|t| t.xa.clone())
            .filter(|(own, _)| own == name)
            .map(|(_, state)| state);
        match (verb, own) {
            (XaVerb::Start, _) if open.is_some() => Err(xa_state("ACTIVE")),
            (XaVerb::Start, _) => {
                let id = self.open();
                if let Some(t) = self.data.transaction(id) {
                    t.xa = Some((name.to_vec(), XaState::Active));
                    t.is_free = false;
                }
                self.state.transaction = Some(id);
                Ok(done())
            }
            (XaVerb::End, Some(XaState::Active)) => {
                if let Some(t) = open.and_then(|id| self.data.transaction(id)) {
                    t.xa = Some((name.to_vec(), XaState::Ended));
                }
                Ok(done())
            }
            (XaVerb::Prepare, Some(XaState::Ended)) => {
                let Some(id) = open else {
                    return Err(unknown_xid());
                };
                if !self.data.keep_prepared(name, id) {
                    let text = "XAER_DUPID: The XID already exists";
                    return Err(Failure::new(1440, "XAE08", text).into());
                }
                self.state.transaction = None;
                Ok(done())
            }
            (XaVerb::CommitOnePhase, Some(XaState::Ended)) => {
                self.commit();
                Ok(done())
            }
            (XaVerb::Rollback, Some(XaState::Ended)) => {
                self.rollback();
                Ok(done())
            }
            (_, Some(XaState::Active)) => Err(xa_state("ACTIVE")),
            (_, Some(XaState::Ended)) => Err(xa_state("IDLE")),
            (XaVerb::Commit, None) => {
                let id = self.data.take_prepared(name).ok_or_else(unknown_xid)?;
                self.data.commit(id);
                Ok(done())
            }
            (XaVerb::Rollback, None) => {
                let id = self.data.take_prepared(name).ok_or_else(unknown_xid)?;
                self.data.rollback(id);
                Ok(done())
            }
            (_, None) => Err(unknown_xid()),
        }
    }

    /// What an open transaction allows on this server. A transaction that began on another one
    /// came here with the session state of the request.
    fn check_place(&mut self, statement: &Statement) -> Result<(), Stop> {
        let Some(id) = self.state.transaction else {
            return Ok(());
        };
        let refuse = self.data.layout.internal_routing == super::InternalRouting::Refuse;
        let Some(t) = self.data.transaction(id) else {
            self.state.transaction = None;
            return Err(stale());
        };
        if !t.is_free {
            return Ok(());
        }
        if t.coordinator != self.state.id && (refuse || !self.may_move || !statement.is_dml()) {
            let text = "transaction free route not supported";
            return Err(Failure::new(6279, "HY000", text).into());
        }
        if t.version != self.state.version {
            return Err(stale());
        }
        Ok(())
    }

    /// The state of a transaction that may move goes along with the reply.
    fn note_progress(&mut self) {
        if let Some(id) = self.state.transaction
            && let Some(t) = self.data.transaction(id)
            && t.is_free
        {
            t.version += 1;
            self.state.version = t.version;
            self.state.is_moved = true;
        }
    }
}

fn stale() -> Stop {
    let text = "builtin engine: the state of the transaction is stale";
    Failure::new(6002, "25000", text).into()
}

fn xa_state(state: &str) -> Stop {
    let text = format!(
        "XAER_RMFAIL: The command cannot be executed when global transaction is in the {state} \
         state"
    );
    Failure::new(1399, "XAE07", text).into()
}

fn unknown_xid() -> Stop {
    Failure::new(1397, "XAE04", "XAER_NOTA: Unknown XID").into()
}
