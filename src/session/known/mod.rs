//! What a session has, and what each of its links has of it. Pure data.
//!
//! Everything is learnt from the servers' own reports: OK packets name changed variables and the
//! database, extra info carries session state as the server wrote it. Each change raises one
//! counter and is stamped with it. A link [`Has`] everything of a class up to a stamp, so the
//! difference to a link is what has a later one ([`Known::missing`]).
//!
//! | class | learnt from | goes to a link as |
//! |---|---|---|
//! | info | extra info, type 2002, by sub type | extra info of the next request |
//! | system | OK packets | `SET @@a = ...`, unless its info carries them |
//! | user | OK packets | `SET @a = ...` |
//! | database | OK packets, logins | login, COM_INIT_DB |
//! | option | COM_SET_OPTION that succeeded | COM_SET_OPTION |

mod statement;
#[cfg(test)]
mod tests;

use super::track::is_for_proxies;
use crate::base::Cursor;
use crate::protocol::mysql::{OkPacket, TRACK_SCHEMA, TRACK_VARIABLES};
use crate::protocol::ob20::{COUNT_PARTS, ExtraError, TRANSACTION_PARTS, put_old_pair, put_tlv};
use crate::protocol::ob20::{entry, old};
use crate::protocol::reroute::INFO;
use serde::{Deserialize, Serialize};

/// Bytes of names and values of variables, and of session state, that are kept of one session;
/// each variable counts for 32 more. A session with more stays on the server that has it all.
const KNOWN_BYTES_MAX: usize = 1 << 20;
/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 32;

/// What servers report by themselves, or what another report includes: with another database,
/// after DDL, and twice under two names. Observed on seekdb 1.3.0.post5.
const OF_THE_SERVER: &[&[u8]] = &[
    b"_current_default_catalog",
    b"identity",
    b"ob_capability_flag",
    b"ob_last_schema_version",
    b"ob_proxy_set_trx_executed",
];
/// Set by every change of database, and by a client for as long as it stays in one.
const OF_DATABASE: &[&[u8]] = &[b"character_set_database", b"collation_database"];
/// What servers tell proxies as if they were user variables. Source: OceanBase wire facts, 4.6.
const OF_ROUTING: &[&[u8]] = &[INFO, b"ob_client_feedback"];
/// What a login's collation decides.
const OF_CHARSET: &[&[u8]] = &[
    b"character_set_client",
    b"character_set_results",
    b"character_set_connection",
    b"collation_connection",
];
/// Reported once by every connection, with an early reply, although nobody has changed them.
pub(super) const ON_AT_FIRST: &[&[u8]] =
    &[b"_nlj_batching_enabled", b"ob_enable_transmission_checksum"];

/// A variable: its value as reported (user variables: a literal), and when it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Variable {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    stamp: u64,
}

/// Session state of one sub type, as a server wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    kind: u16,
    bytes: Vec<u8>,
    stamp: u64,
}

/// The stamp up to which a link has each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Has {
    pub(super) info: u64,
    pub(super) system: u64,
    pub(super) user: u64,
    pub(super) database: u64,
    pub(super) option: u64,
}

/// What a session has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    counter: u64,
    /// The newest stamp of each class.
    newest: Has,
    database: Option<Vec<u8>>,
    /// As set by COM_SET_OPTION; `None` if it never was.
    option: Option<u16>,
    system: Vec<Variable>,
    user: Vec<Variable>,
    /// System variables of which no server's session state knows yet: obring wants them.
    imposed: Vec<Vec<u8>>,
    info: Vec<Part>,
    bytes: usize,
    /// Something could not be kept.
    is_cut: bool,
    /// User variables were told of.
    has_told_user: bool,
    /// System variables were told of that have changed.
    has_changed_system: bool,
    /// The character set of literals has changed since strings were set.
    has_other_strings: bool,
}

/// User variables that their reported literals do not make again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vague {
    /// None.
    No,
    /// Some were set just now.
    New,
    /// Strings that were set before the character set of literals changed.
    Strings,
}

/// What a link lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    /// A statement that sets system variables.
    pub(super) system: Option<Vec<u8>>,
    /// One that sets user variables: behind the other, because literals are read by what it sets.
    pub(super) user: Option<Vec<u8>>,
    /// A database to change to.
    pub(super) database: Option<Vec<u8>>,
    /// An option for COM_SET_OPTION.
    pub(super) option: Option<u16>,
    /// The server does not know that a transaction was begun.
    pub(super) begins: bool,
    /// The server has not prepared anything on it.
    pub(super) first_statement: bool,
    /// Prepared statements, by the client's ids.
    pub(super) statements: Vec<u32>,
    /// The link has a database, and the session has none any more: no command says so.
    pub(super) is_beyond: bool,
}

impl Missing {
    /// True if the link needs nothing but statements prepared.
    pub(super) const fn is_statements_only(&self) -> bool {
        let is_told = self.system.is_none() && self.user.is_none() && self.option.is_none();
        is_told && self.database.is_none() && !self.is_beyond && !self.begins
    }

    /// True if the link needs no request of its own.
    pub(super) const fn is_empty(&self) -> bool {
        self.is_statements_only() && !self.first_statement && self.statements.is_empty()
    }
}

impl Known {
    /// The newest stamps: what a link has that is up to date.
    pub(super) const fn newest(&self) -> Has {
        self.newest
    }

    /// The database of the session.
    pub(super) fn database(&self) -> Option<&[u8]> {
        self.database.as_deref()
    }

    /// True if a part of the state could not be kept.
    pub(super) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Once: whether reports since the last call leave user variables that their literals do not
    /// make again. `is_vague`: what set them may have given them another type.
    pub(super) const fn vague_variables(&mut self, is_vague: bool) -> Vague {
        let is_told = std::mem::replace(&mut self.has_told_user, false);
        let is_other = std::mem::replace(&mut self.has_other_strings, false);
        match (is_told && is_vague, is_other) {
            (true, _) => Vague::New,
            (_, true) => Vague::Strings,
            _ => Vague::No,
        }
    }

    /// Once: whether reports since the last call have changed system variables.
    pub(super) const fn take_system_change(&mut self) -> bool {
        std::mem::replace(&mut self.has_changed_system, false)
    }

    /// The session begins anew. What links have is older than anything that is learnt from now on;
    /// only the option of COM_SET_OPTION stays as it is. Observed on seekdb 1.3.0.post5, for
    /// COM_RESET_CONNECTION and COM_CHANGE_USER.
    pub(super) fn clear(&mut self) {
        let counter = self.counter + 1;
        *self = Self {
            counter,
            newest: Has {
                info: counter,
                system: counter,
                user: counter,
                database: counter,
                option: counter,
            },
            option: self.option,
            ..Self::default()
        };
    }

    /// The session is in this database.
    pub(super) fn set_database(&mut self, name: Option<&[u8]>) {
        if self.database.as_deref() != name {
            self.database = name.map(<[u8]>::to_vec);
            self.counter += 1;
            self.newest.database = self.counter;
        }
    }

    /// COM_SET_OPTION has set this option: multi-statements on (0) or off (1).
    pub(super) fn set_option(&mut self, option: u16) {
        if self.option != Some(option) {
            self.option = Some(option);
            self.counter += 1;
            self.newest.option = self.counter;
        }
    }

    /// Takes what an OK says of session state. `is_set`: it is of a statement that sets variables.
    pub(super) fn learn(&mut self, ok: &OkPacket<'_>, is_set: bool) {
        let is_elsewhere = ok.blocks().any(|block| block.kind == TRACK_SCHEMA);
        for block in ok.blocks() {
            match block.kind {
                TRACK_SCHEMA => {
                    let name = Cursor::new(block.data).lenenc_bytes().unwrap_or_default();
                    self.set_database((!name.is_empty()).then_some(name));
                }
                TRACK_VARIABLES => {
                    for (name, value, is_user) in block.variables() {
                        let is_of_database = !is_user && OF_DATABASE.contains(&name);
                        match is_of_database && (is_elsewhere || !is_set) {
                            true => self.forget_system(name),
                            false => self.learn_variable(name, value, is_user),
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// The server knows what this variable is: what the client has set is over.
    fn forget_system(&mut self, name: &[u8]) {
        if let Some(at) = self.system.iter().position(|v| v.name == name) {
            let old = self.system.remove(at);
            self.bytes -= old.name.len() + old.value.len() + ENTRY_BYTES;
        }
    }

    /// The user variables that are whole numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&[u8], i128)> {
        self.user.iter().filter_map(|variable| {
            let text = std::str::from_utf8(&variable.value).ok()?;
            Some((&*variable.name, text.parse().ok()?))
        })
    }

    /// The time of `now()` is the clock's: `timestamp` is not set.
    pub(super) fn has_true_time(&self) -> bool {
        self.value_of(b"timestamp").is_none()
    }

    /// The variables of the session's character set, as servers have reported them.
    pub(super) fn charset(&self) -> Vec<(&'static [u8], Vec<u8>)> {
        let value = |name: &'static [u8]| Some((name, self.value_of(name)?.to_vec()));
        OF_CHARSET.iter().filter_map(|name| value(name)).collect()
    }

    /// Every server has to be told that they are so.
    pub(super) fn set_charset(&mut self, variables: &[(&'static [u8], Vec<u8>)]) {
        for (name, value) in variables {
            self.impose(name, value);
        }
    }

    /// A system variable that the settings want, or do not want any more. A session that was never
    /// told of it is not told of the default.
    pub(super) fn want(&mut self, name: &[u8], value: &[u8], is_default: bool) {
        if !is_default || self.value_of(name).is_some() {
            self.impose(name, value);
        }
    }

    /// A system variable that no statement of the client has set.
    fn impose(&mut self, name: &[u8], value: &[u8]) {
        let (before, has_changed) = (self.newest.system, self.has_changed_system);
        self.learn_variable(name, value, false);
        self.has_changed_system = has_changed;
        if self.newest.system != before {
            self.imposed.push(name.to_vec());
        }
    }

    /// A server that writes session state down was told all of them: they travel with it.
    pub(super) fn imposed_travel(&mut self) {
        self.imposed.clear();
    }

    fn value_of(&self, system: &[u8]) -> Option<&[u8]> {
        let found = self.system.iter().find(|v| v.name == system);
        found.map(|v| &*v.value)
    }

    fn learn_variable(&mut self, name: &[u8], value: &[u8], is_user: bool) {
        let is_no_state = match is_user {
            true => OF_ROUTING.contains(&name),
            false => is_for_proxies(name) || OF_THE_SERVER.contains(&name),
        };
        if is_no_state {
            return;
        }
        self.has_told_user |= is_user;
        if !is_user && name == b"collation_connection" && self.value_of(name) != Some(value) {
            self.has_other_strings |= self.user.iter().any(|v| v.value.starts_with(b"'"));
        }
        let variables = if is_user {
            &mut self.user
        } else {
            &mut self.system
        };
        let at = variables.iter().position(|v| v.name == name);
        let old = at.and_then(|at| variables.get_mut(at));
        if old.is_none() && ON_AT_FIRST.contains(&name) && matches!(value, b"ON" | b"1") {
            return;
        }
        if old.as_ref().is_some_and(|old| old.value == value) {
            return;
        }
        let room = match &old {
            Some(old) => old.value.len(),
            None => 0,
        };
        let needs = value.len()
            + if old.is_some() {
                0
            } else {
                name.len() + ENTRY_BYTES
            };
        if self.bytes - room + needs > KNOWN_BYTES_MAX {
            self.is_cut = true;
            return;
        }
        self.bytes = self.bytes - room + needs;
        self.counter += 1;
        match is_user {
            true => self.newest.user = self.counter,
            false => {
                self.newest.system = self.counter;
                self.has_changed_system = true;
            }
        }
        let stamp = self.counter;
        match old {
            Some(old) => {
                old.value.clear();
                old.value.extend_from_slice(value);
                old.stamp = stamp;
            }
            None => variables.push(Variable {
                name: name.to_vec(),
                value: value.to_vec(),
                stamp,
            }),
        }
    }

    /// Takes the sub types of one entry of type 2002.
    ///
    /// # Errors
    /// Malformed.
    pub(super) fn learn_info(&mut self, entry: &[u8]) -> Result<(), ExtraError> {
        let mut c = Cursor::new(entry);
        while c.left() > 0 {
            let kind = c.u16()?;
            let len = c.u32()?;
            let bytes = c.take(len as usize)?;
            let old = self.info.iter_mut().find(|part| part.kind == kind);
            if old.as_ref().is_some_and(|old| old.bytes == bytes) {
                continue;
            }
            let room = old.as_ref().map_or(0, |old| old.bytes.len() + ENTRY_BYTES);
            if self.bytes - room + bytes.len() + ENTRY_BYTES > KNOWN_BYTES_MAX {
                self.is_cut = true;
                continue;
            }
            self.bytes = self.bytes - room + bytes.len() + ENTRY_BYTES;
            self.counter += 1;
            self.newest.info = self.counter;
            let stamp = self.counter;
            match old {
                Some(old) => {
                    old.bytes.clear();
                    old.bytes.extend_from_slice(bytes);
                    old.stamp = stamp;
                }
                None => self.info.push(Part {
                    kind,
                    bytes: bytes.to_vec(),
                    stamp,
                }),
            }
        }
        Ok(())
    }

    /// An open transaction is lost: what its servers told of it is no state of the session now.
    pub(super) fn forget_transaction(&mut self) {
        let bytes = &mut self.bytes;
        self.info.retain(|part| {
            let is_kept = !TRANSACTION_PARTS.contains(&part.kind);
            if !is_kept {
                *bytes -= part.bytes.len() + ENTRY_BYTES;
            }
            is_kept
        });
    }

    /// What a link lacks that needs a request of its own. `carries_system`: its extra info brings
    /// system variables. `has_database`: the link is in one. `no_backslash`: the session's strings
    /// have no escapes (status bit of the last reply).
    pub(super) fn missing(
        &self,
        has: Has,
        carries_system: bool,
        has_database: bool,
        no_backslash: bool,
    ) -> Missing {
        let mut missing = Missing::default();
        if has.database < self.newest.database {
            missing.is_beyond = self.database.is_none() && has_database;
            missing.database.clone_from(&self.database);
        }
        if has.system < self.newest.system {
            let mut lacking = newer(&self.system, has.system);
            // Session state that travels has what the client has set; but a change of database,
            // which stands in front of this, undoes the variables that it sets itself.
            let is_told =
                |v: &Variable| self.imposed.contains(&v.name) || OF_DATABASE.contains(&&*v.name);
            lacking.retain(|v| !carries_system || is_told(v));
            missing.system = statement::set_system(&lacking, no_backslash);
        }
        if has.option < self.newest.option {
            missing.option = self.option;
        }
        if has.user < self.newest.user {
            missing.user = statement::set_user(&newer(&self.user, has.user), no_backslash);
        }
        missing
    }

    /// Appends the extra info of a request that brings a link's info up to date; nothing if it is.
    /// `is_new`: in the new form. `counts`: with what `row_count()` answers.
    pub(super) fn put_info(&self, out: &mut Vec<u8>, has: Has, is_new: bool, counts: bool) {
        if has.info >= self.newest.info {
            return;
        }
        let mut value = vec![];
        let is_sent =
            |part: &&Part| part.stamp > has.info && (counts || !COUNT_PARTS.contains(&part.kind));
        for part in self.info.iter().filter(is_sent) {
            put_tlv(&mut value, part.kind, &part.bytes);
        }
        if value.is_empty() {
            return;
        }
        if is_new {
            put_tlv(out, entry::SESSION, &value);
        } else if let Some((key, _)) = old::KEYS.iter().find(|(_, kind)| *kind == entry::SESSION) {
            put_old_pair(out, key, &value);
        }
    }
}

/// Variables that changed after a stamp, in the order of their changes: setting one may set
/// another, and the last word counts.
fn newer(variables: &[Variable], after: u64) -> Vec<&Variable> {
    let mut newer: Vec<_> = variables.iter().filter(|v| v.stamp > after).collect();
    newer.sort_unstable_by_key(|v| v.stamp);
    newer
}
