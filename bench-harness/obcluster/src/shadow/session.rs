//! One session: the newest of everything it has set, and its links.

use super::asked::{Asked, Nature};
use super::link::LinkState;
use super::parts::{Newest, Numbering, SYSTEM_VARIABLES};
use super::told::Told;
use super::{
    NAMES_MAX, OF_FIRST_REPLIES, OF_ONE_LINK, OF_THE_LOGIN, OF_THE_SERVER, STATEMENTS_MAX,
    Variables, shown,
};
use crate::violation::{Violation, ViolationKind};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sub types of session state that are followed; further ones are not.
const KINDS_MAX: usize = 64;
/// The literal of a user variable that is not set.
const NOT_SET: &[u8] = b"NULL";

/// Values by name; `None`: as if it had never been set.
type Values = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The value that a literal stands for, and whether it is a string. A server writes the same
/// string in more than one way: JSON without escapes, a string under a binary character set in hex.
fn value_of(literal: &[u8]) -> (bool, Cow<'_, [u8]>) {
    let inner = |front: &[u8]| literal.strip_prefix(front)?.strip_suffix(b"'");
    let digit = |b: u8| char::from(b).to_digit(16).unwrap_or_default() as u8;
    if let Some(hex) = inner(b"X'") {
        let bytes = hex.chunks_exact(2);
        let bytes = bytes.map(|two| digit(two[0]) << 4 | digit(two[1]));
        return (true, bytes.collect());
    }
    let Some(text) = inner(b"'") else {
        return (false, literal.into());
    };
    let (mut value, mut bytes) = (vec![], text.iter().copied());
    while let Some(b) = bytes.next() {
        value.push(match b {
            b'\\' => match bytes.next() {
                Some(b'0') => 0,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'b') => 8,
                Some(b'Z') => 26,
                other => other.unwrap_or(b'\\'),
            },
            b => b,
        });
    }
    (true, value.into())
}

/// What the links of one session have told together.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) numbering: Numbering,
    /// `__client_session_id`; empty for none.
    pub(super) client_sid: String,
    pub(super) links: BTreeMap<u64, LinkState>,
    /// System variables that a link reported as changed.
    variables: Values,
    user_variables: Values,
    database: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    parts: BTreeMap<u16, Newest>,
    /// What ROW_COUNT() answers was told last with an error, or with what a proxy may have sent of
    /// itself: it may not be the session's.
    is_count_vague: bool,
}

impl Session {
    /// A link has logged in.
    pub(super) fn login(&mut self, link: u64, state: LinkState) {
        if self.database.is_none() {
            self.database = Some(state.database.clone());
        }
        if self.user.is_none() {
            self.user = Some(state.user.clone());
        }
        self.links.insert(link, state);
    }

    /// A link has ended, and what only it could have.
    pub(super) fn end(&mut self, link: u64) {
        if self.links.remove(&link).is_some() {
            for name in OF_ONE_LINK {
                self.variables.remove(*name);
            }
        }
    }

    /// What is wrong with a request that comes to this link.
    pub(super) fn check(&self, link: u64, asked: &Asked) -> Vec<Violation> {
        let Some(own) = self.links.get(&link) else {
            return vec![];
        };
        let mut found = vec![];
        let mut add = |kind, names: Vec<String>| {
            if !names.is_empty() {
                found.push(Violation { kind, names });
            }
        };
        let depends = asked.nature == Nature::Depends;
        if depends {
            add(ViolationKind::StaleState, self.stale(own, asked));
        }
        if depends || asked.nature == Nature::Begins {
            // A transaction that servers let go may go on here, if the request says that it does.
            let moves = |other: &LinkState| asked.may_move && other.is_free;
            let open = self.others(link, |other| other.in_transaction && !moves(other));
            add(ViolationKind::TxEscape, open);
        }
        let runs = asked.runs.and_then(|id| own.statements.get(&id));
        if asked.traits.uses_locks && depends || runs.is_some_and(|t| t.uses_locks) {
            let holding = self.others(link, |other| other.holds_locks);
            add(ViolationKind::LockEscape, holding);
        }
        found
    }

    /// The other links of which this is true, as names.
    fn others(&self, link: u64, is_so: impl Fn(&LinkState) -> bool) -> Vec<String> {
        let others = self.links.iter().filter(|(id, _)| **id != link);
        let found = others.filter(|(_, other)| is_so(other));
        found.map(|(id, _)| format!("link:{id}")).collect()
    }

    /// What the session has and the link has not.
    fn stale(&self, own: &LinkState, asked: &Asked) -> Vec<String> {
        let mut names = vec![];
        for (name, value) in &self.variables {
            let is_told = !own.has_variable_blocks && !OF_THE_SERVER.contains(&&**name);
            let is_compared = is_told || OF_ONE_LINK.contains(&&**name);
            if is_compared && own.variable(name) != value.as_ref() {
                names.push(shown(name));
            }
        }
        for (name, value) in &self.user_variables {
            let is_set = |value: &&Vec<u8>| **value != NOT_SET;
            let has = own.user_variables.get(name).filter(is_set);
            let has = has.map(|literal| value_of(literal));
            if has != value.as_ref().filter(is_set).map(|l| value_of(l)) {
                names.push(format!("@{}", shown(name)));
            }
        }
        if self.database.as_ref().is_some_and(|d| *d != own.database) {
            names.push("database".into());
        }
        if self.user.as_ref().is_some_and(|u| *u != own.user) {
            names.push("user".into());
        }
        let runs = asked.runs.and_then(|id| own.statements.get(&id));
        let looks_back = asked.traits.looks_back || runs.is_some_and(|t| t.looks_back);
        let numbering = self.numbering;
        for (kind, newest) in &self.parts {
            let is_compared = match *kind {
                SYSTEM_VARIABLES => own.has_variable_blocks,
                kind if kind == numbering.query_info() => looks_back && !self.is_count_vague,
                kind => kind != numbering.other_variables(),
            };
            // What is sent with the request counts.
            let mut sent = asked.beside.parts.iter().rev();
            let sent = sent.find(|(k, _)| k == kind);
            let is_with = match sent {
                Some((_, bytes)) => newest.is_sent_by(bytes),
                None => newest.is_with(own.parts.get(kind)),
            };
            if is_compared && !is_with {
                names.push(format!("session_info:{kind}"));
            }
        }
        if let Some(id) = asked.runs
            && !own.statements.contains_key(&id)
            && own.statements.len() < STATEMENTS_MAX
            && self.links.values().any(|l| l.statements.contains_key(&id))
        {
            names.push(format!("statement:{id}"));
        }
        for name in &asked.runs_named {
            if !own.named.contains(name) && self.links.values().any(|l| l.named.contains(name)) {
                names.push(format!("statement:{}", shown(name)));
            }
        }
        names
    }

    /// A request goes to the kernel.
    pub(super) fn sent(&mut self, link: u64, asked: &Asked) {
        let Some(own) = self.links.get_mut(&link) else {
            return;
        };
        if let Some(id) = asked.closes {
            own.statements.remove(&id);
        }
        for (kind, bytes) in &asked.beside.parts {
            if self.parts.len() >= KINDS_MAX && !self.parts.contains_key(kind) {
                continue;
            }
            let newest = self.parts.entry(*kind).or_default();
            let has = newest.sent(bytes);
            if *kind == SYSTEM_VARIABLES && newest.is_with(Some(&has)) {
                // Values that it is given; none that no link can be given.
                let given = self.variables.iter();
                let given = given.filter(|(name, _)| !OF_ONE_LINK.contains(&&***name));
                for (name, value) in given {
                    set(&mut own.variables, name, value.as_ref());
                }
            }
            own.parts.insert(*kind, has);
        }
    }

    /// A reply is whole. What it shows to have been wrong with its request.
    pub(super) fn told(&mut self, link: u64, asked: &Asked, told: &Told) -> Option<Violation> {
        let own = self.links.get_mut(&link)?;
        let was_free = std::mem::replace(&mut own.is_free, told.is_free);
        own.in_transaction = told.in_transaction.unwrap_or(own.in_transaction);
        if was_free && !own.in_transaction {
            // It was the same transaction wherever it went.
            for other in self.links.values_mut().filter(|other| other.is_free) {
                (other.in_transaction, other.is_free) = (false, false);
            }
        }
        let own = self.links.get_mut(&link)?;
        if !told.is_error {
            Self::done(own, asked, told);
            match asked.nature {
                Nature::Resets => {
                    self.reset(link);
                    self.forget_login(link);
                }
                Nature::ChangesUser => self.change_user(link, asked, told),
                _ => {}
            }
        }
        let own = self.links.get_mut(&link)?;
        own.holds_locks = told.beside.holds_locks.unwrap_or(own.holds_locks);
        let block = self.parts.get(&SYSTEM_VARIABLES);
        let was_with = block.is_none_or(|b| b.is_with(own.parts.get(&SYSTEM_VARIABLES)));
        let mut sets_variables = false;
        if asked.nature != Nature::ChangesUser {
            for (name, value) in &told.variables {
                let is_new = own.variable(name) != Some(value);
                let is_own = OF_THE_SERVER.contains(&&**name);
                sets_variables |= is_new && !is_own && !OF_ONE_LINK.contains(&&**name);
                let is_first = OF_FIRST_REPLIES.contains(&&**name);
                if is_new || self.variables.contains_key(name) && !is_first {
                    note(&mut self.variables, name, value);
                }
                set(&mut own.variables, name, Some(value));
            }
        }
        for (name, literal) in &told.user_variables {
            note(&mut self.user_variables, name, literal);
            set(&mut own.user_variables, name, Some(literal));
        }
        let done = asked.database.as_ref().filter(|_| !told.is_error);
        if let Some(database) = told.database.as_ref().or(done) {
            own.database.clone_from(database);
            self.database = Some(database.clone());
        }
        for (kind, bytes) in &told.beside.parts {
            if self.parts.len() >= KINDS_MAX && !self.parts.contains_key(kind) {
                continue;
            }
            let before = own.parts.get(kind);
            let is_change = self.numbering.is_change(*kind, before, sets_variables);
            let is_blank = self.numbering.is_blank(*kind, bytes);
            if *kind == self.numbering.query_info() {
                self.is_count_vague = told.is_error || asked.nature == Nature::Brings;
            }
            let newest = self.parts.entry(*kind).or_default();
            let has = newest.told(is_blank, before, bytes, is_change);
            own.parts.insert(*kind, has);
        }
        // A statement that may bring state was not checked; one that sets a variable on top of old
        // ones makes the old ones the newest.
        let overwrites = sets_variables && own.has_variable_blocks && !was_with;
        (overwrites && asked.nature == Nature::Brings).then(|| Violation {
            kind: ViolationKind::StaleState,
            names: vec![format!("session_info:{SYSTEM_VARIABLES}")],
        })
    }

    /// What a request has done that no report tells.
    fn done(own: &mut LinkState, asked: &Asked, told: &Told) {
        if let Some(id) = told.statement
            && own.statements.len() < STATEMENTS_MAX
        {
            own.statements.insert(id, asked.traits);
        }
        for name in &asked.makes_named {
            if own.named.len() < STATEMENTS_MAX {
                own.named.insert(name.clone());
            }
        }
        for name in &asked.ends_named {
            own.named.remove(name);
        }
    }

    /// A link is as after its login, and with it the session: what it had set is blank again.
    fn reset(&mut self, link: u64) {
        let Some(own) = self.links.get_mut(&link) else {
            return;
        };
        let open = own.in_transaction;
        own.reset();
        own.in_transaction = open;
        for (name, value) in &mut self.variables {
            *value = own.base.get(name).cloned();
        }
        self.user_variables.values_mut().for_each(|v| *v = None);
        self.parts.values_mut().for_each(Newest::clear);
    }

    /// What a login decides and a reset does not bring back is as the server has it, and for other
    /// links not known until somebody tells it.
    fn forget_login(&mut self, link: u64) {
        let Some(own) = self.links.get_mut(&link) else {
            return;
        };
        let base = Arc::make_mut(&mut own.base);
        for (name, value) in OF_THE_LOGIN {
            base.insert(name.to_vec(), value.to_vec());
            self.variables.remove(*name);
        }
    }

    /// A link is another user's, and with it the session.
    fn change_user(&mut self, link: u64, asked: &Asked, told: &Told) {
        if let Some(own) = self.links.get_mut(&link) {
            own.base = Variables::from_iter(told.variables.iter().cloned()).into();
            own.user = asked.user.clone().unwrap_or_default();
            self.user = asked.user.clone();
        }
        self.reset(link);
    }
}

/// Gives a link a value, or takes it away.
fn set(map: &mut Variables, name: &[u8], value: Option<&Vec<u8>>) {
    let Some(value) = value else {
        map.remove(name);
        return;
    };
    if let Some(old) = map.get_mut(name) {
        old.clone_from(value);
    } else if map.len() < NAMES_MAX {
        map.insert(name.to_vec(), value.clone());
    }
}

/// Notes the newest value of a session.
fn note(map: &mut Values, name: &[u8], value: &[u8]) {
    if let Some(old) = map.get_mut(name) {
        *old = Some(value.to_vec());
    } else if map.len() < NAMES_MAX {
        map.insert(name.to_vec(), Some(value.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::value_of;

    #[test]
    fn one_value_has_several_literals() {
        for (a, b, is_same) in [
            (&br#"'{"a": 1}'"#[..], &br#"'{\"a\": 1}'"#[..], true),
            (b"X'E941'", b"'\xE9A'", true),
            (br"'a\n'", b"'a\n'", true),
            (b"'1'", b"1", false),
            (b"'a'", b"'b'", false),
            (br"'a\\n'", b"'a\n'", false),
        ] {
            assert_eq!(value_of(a) == value_of(b), is_same, "{a:?} {b:?}");
        }
    }
}
