//! What binds a session to a server: temporary tables, XA, transactions; and which transactions may
//! go from server to server. Shares no code with what keeps sessions there.

use super::cluster::Cluster;
use super::server::READS;
use crate::base::{Key, Rng};
use std::collections::BTreeMap;

/// A session: its core, and its key there.
pub(super) type Id = (usize, Key);

/// What a session has on one server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Table,
    Xa,
    Transaction,
}

/// A command of the world: its number, the text around its seed, what it is about, and whether that
/// begins with it.
struct Form(u8, &'static str, &'static str, Kind, bool);

const FORMS: [Form; 6] = [
    Form(
        0xF2,
        "create temporary table x",
        "(a int)",
        Kind::Table,
        true,
    ),
    Form(0xF3, "drop temporary table x", "", Kind::Table, false),
    Form(0xF4, "xa start 'x", "'", Kind::Xa, true),
    Form(0xF5, "xa commit 'x", "' one phase", Kind::Xa, false),
    Form(BEGIN, "begin /* ", " */", Kind::Transaction, true),
    Form(COMMIT, "commit /* ", " */", Kind::Transaction, false),
];

/// The command that opens a transaction.
pub(super) const BEGIN: u8 = 0xF6;
/// The command that ends it.
pub(super) const COMMIT: u8 = 0xF7;

/// How a server says that a session has temporary tables there.
const TEMPORARY_TABLES: &str = "_ob_proxy_session_temporary_table_used";

/// A random command that binds, and the one that frees.
pub(super) fn pair(rng: &mut Rng) -> (u8, u8) {
    let first = [0xF2, 0xF4, BEGIN, BEGIN][rng.below(4) as usize];
    (first, first + 1)
}

/// The text of a command.
pub(super) fn text(command: u8, seed: u64) -> String {
    let form = FORMS.iter().find(|form| form.0 == command);
    form.map_or_else(String::new, |Form(_, front, back, ..)| {
        format!("{front}{seed:016x}{back}")
    })
}

/// The command and seed of a text, if it is one of these.
pub(super) fn command_of(text: &[u8]) -> Option<(u8, u64)> {
    FORMS.iter().find_map(|Form(command, front, ..)| {
        let digits = text.strip_prefix(front.as_bytes())?.get(..16)?;
        let seed = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        Some((*command, seed))
    })
}

/// True for the commands of this module.
pub(super) fn is_one(command: u8) -> bool {
    FORMS.iter().any(|form| form.0 == command)
}

/// The variable that the reply to a command changes for proxies.
pub(super) fn told(command: u8) -> Option<(String, String)> {
    let form = FORMS.iter().find(|form| form.0 == command)?;
    let value = if form.4 { "ON" } else { "OFF" };
    (form.3 == Kind::Table).then(|| (TEMPORARY_TABLES.to_owned(), value.to_owned()))
}

/// What a session has, and where.
#[derive(Clone, Copy, Debug)]
struct Held {
    kind: Kind,
    /// The server's connection: of a transaction, the one that it began on.
    connection: u32,
    /// The newest state of a transaction.
    stamp: u64,
}

/// What all sessions have.
#[derive(Clone, Debug, Default)]
pub(super) struct Bindings {
    held: BTreeMap<Id, Held>,
    /// States of transactions so far.
    stamps: u64,
    /// Statements that came where they must not.
    strays: Vec<String>,
    /// Statements of a transaction that ran elsewhere than it began.
    moves: u64,
    /// Statements of sessions that have something on one server.
    bound: u64,
}

impl Bindings {
    /// Statements that came where they must not.
    pub(super) fn strays(&self) -> &[String] {
        &self.strays
    }

    /// Statements of a transaction that ran elsewhere than it began, and statements of sessions
    /// that had something on one server.
    pub(super) const fn seen(&self) -> (u64, u64) {
        (self.moves, self.bound)
    }

    /// A connection has ended, and what was on it.
    pub(super) fn end(&mut self, connection: u32) {
        self.held.retain(|_, held| held.connection != connection);
    }
}

impl Cluster {
    /// A command runs on a connection that has this state of the session's transaction. The new
    /// state, if one is open then.
    pub(super) fn bind(&mut self, id: Id, connection: u32, command: u8, stamp: u64) -> Option<u64> {
        let all = &mut self.bindings;
        if let Some(held) = all.held.get(&id) {
            let is_home = held.connection == connection;
            let may_run = match held.kind {
                Kind::Transaction => held.stamp == stamp && (is_home || command == READS),
                Kind::Table | Kind::Xa => is_home,
            };
            if !may_run {
                let line = format!("command {command:x} on {connection:x} with {stamp}: {held:?}");
                all.strays.push(line);
            }
            all.moves += u64::from(may_run && !is_home);
            all.bound += u64::from(held.kind != Kind::Transaction);
        }
        match FORMS.iter().find(|form| form.0 == command) {
            Some(Form(_, _, _, kind, true)) => {
                let held = Held {
                    kind: *kind,
                    connection,
                    stamp: 0,
                };
                all.held.insert(id, held);
            }
            Some(_) => drop(all.held.remove(&id)),
            None => {}
        }
        let held = all.held.get_mut(&id);
        let held = held.filter(|held| held.kind == Kind::Transaction)?;
        all.stamps += 1;
        held.stamp = all.stamps;
        Some(held.stamp)
    }
}
