//! What a session has: database, variables, prepared statements, its transaction.

use super::data::Data;
use super::info::{self, Corrupt, Taken};
use super::parse::Parsed;
use super::reply::Changes;
use super::statement::Expr;
use super::transaction::TransactionId;
use super::variables::Variables;
use obring_wire::protocol::mysql::status;
use std::collections::HashMap;
use std::sync::Arc;

/// User variables of a session; more are refused.
pub(super) const USER_VARIABLES_MAX: usize = 10_000;
/// Prepared statements of a session; more are refused.
pub(super) const PREPARED_MAX: usize = 16_384;

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) text: Arc<[u8]>,
    /// None: an empty text.
    pub(super) parsed: Arc<Parsed>,
    /// Types of its parameters, once they were sent.
    pub(super) types: Vec<u16>,
    /// Parameters that were sent ahead.
    pub(super) long: HashMap<u16, Vec<u8>>,
}

/// State of one session.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Connection id of the greeting.
    pub(super) id: u32,
    /// The id that KILL and CONNECTION_ID() use.
    pub(super) visible: u32,
    pub(super) database: String,
    pub(super) variables: Variables,
    pub(super) user: HashMap<String, Expr>,
    pub(super) insert_id: u64,
    /// SET NAMES was said: texts have its collation, not that of the login.
    pub(super) is_named: bool,
    pub(super) transaction: Option<TransactionId>,
    /// How far the transaction is, as this session knows.
    pub(super) version: u64,
    /// SET TRANSACTION was said: for the next one, which is read only or not.
    pub(super) next: Option<bool>,
    pub(super) prepared: HashMap<u32, Prepared>,
    pub(super) last_prepared: u32,
    pub(super) temporary: Vec<String>,
    /// For the next OK.
    pub(super) changes: Changes,
    /// Variables have changed since they were last sent as session state.
    pub(super) is_dirty: bool,
    /// The transaction has changed since it was last sent as session state.
    pub(super) is_moved: bool,
    /// User locks came, or the last one went.
    pub(super) locks: Option<bool>,
    /// Temporary tables came, or the last one went.
    pub(super) temporaries: Option<bool>,
}

impl State {
    pub(super) fn autocommit(&self) -> bool {
        self.variables.get("autocommit") != Some("OFF")
    }

    /// Transaction bits of an EOF.
    pub(super) fn bits(&self) -> u16 {
        let open = if self.transaction.is_some() {
            status::IN_TRANSACTION
        } else {
            0
        };
        let auto = if self.autocommit() {
            status::AUTOCOMMIT
        } else {
            0
        };
        open | auto
    }

    /// A number that a variable has.
    pub(super) fn number(&self, data: &Data, name: &str) -> i64 {
        let set = self.variables.get(name);
        let value = set.or_else(|| data.defaults.find(name).map(|d| d.1));
        value.and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Sets a variable and tells of it.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.variables.set(name, value);
        self.changes.system(name, value);
        self.is_dirty = true;
    }

    /// Makes this insert id the last one.
    pub(super) fn inserted(&mut self, id: u64) {
        self.insert_id = id;
        self.changes.system("last_insert_id", id.to_string());
        self.changes.system("identity", id.to_string());
        self.is_dirty = true;
    }

    /// Brings the state to what came with a request.
    pub(super) fn take(&mut self, data: &Data, taken: &Taken) -> Result<(), Corrupt> {
        if let Some(block) = &taken.variables {
            let (variables, insert_id) = info::read_variables(block, &data.defaults)?;
            self.variables = variables;
            self.insert_id = insert_id;
        }
        if let Some(identity) = taken.identity {
            self.transaction = identity;
        }
        if let Some(progress) = taken.progress {
            self.version = match progress {
                Some(p) if Some(p.id) == self.transaction => p.version,
                Some(_) => return Err(Corrupt),
                None => 0,
            };
        }
        Ok(())
    }

    /// What the first OK of a session tells.
    pub(super) fn greet(&mut self) {
        self.changes.system("ob_enable_transmission_checksum", "ON");
        self.changes.system("_nlj_batching_enabled", "ON");
        self.is_dirty = true;
    }

    /// What COM_RESET_CONNECTION and COM_CHANGE_USER leave.
    pub(super) fn reset(&mut self) {
        let (id, visible) = (self.id, self.visible);
        *self = Self {
            id,
            visible,
            database: std::mem::take(&mut self.database),
            ..Self::default()
        };
    }
}
