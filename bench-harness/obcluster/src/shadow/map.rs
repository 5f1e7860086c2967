//! All sessions of a cluster.

use super::Variables;
use super::asked::Asked;
use super::link::LinkState;
use super::parts::Numbering;
use super::session::Session;
use super::told::Told;
use crate::violation::Violation;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sessions without a link that are remembered: a proxy may end one connection and go on with
/// another. The oldest are forgotten first.
const ENDED_MAX: usize = 1_024;

/// A client session that begins anew, by COM_CHANGE_USER with a new login, keeps its numbers and
/// has a time that is later by less than this. Its links of before may end after the new ones have
/// come. Sessions that share an id by mistake begin further apart.
const ANEW_US: u64 = 1_000;

/// Which session a link belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// `__proxy_connection_id` and `__client_connect_time`.
    Named(String, String),
    /// Proxies have connections of their own, which belong to no client: each is by itself.
    Link(u64),
}

/// What a login says of its session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Login<'a> {
    /// `__proxy_connection_id`; empty or 0 for connections that belong to no client.
    pub proxy_sid: &'a str,
    /// `__client_connect_time`.
    pub connect_time: &'a str,
    /// `__client_session_id`; empty or 0 for none.
    pub client_sid: &'a str,
    /// The user.
    pub user: &'a str,
    /// The database of the login packet.
    pub database: &'a str,
    /// System variables travel in blocks (capability bit 16, in OceanBase 2.0).
    pub has_variable_blocks: bool,
}

impl Login<'_> {
    /// The client session id, or nothing.
    fn id(&self) -> &str {
        if self.client_sid == "0" {
            ""
        } else {
            self.client_sid
        }
    }

    /// The session of this key, begun anew.
    fn is_anew(&self, key: &Key) -> bool {
        let Key::Named(sid, time) = key else {
            return false;
        };
        let times = self.connect_time.parse().ok().zip(time.parse().ok());
        let later = times.and_then(|(new, old): (u64, u64)| new.checked_sub(old));
        sid == self.proxy_sid && later.is_some_and(|us| us < ANEW_US)
    }

    fn key(&self, link: u64) -> Key {
        match self.proxy_sid {
            "" | "0" => Key::Link(link),
            sid => Key::Named(sid.into(), self.connect_time.into()),
        }
    }
}

/// The shadows of all sessions. Links of direct clients have none.
#[derive(Debug, Default)]
pub struct Shadows {
    inner: Mutex<Inner>,
    numbering: Numbering,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: HashMap<Key, Session>,
    links: HashMap<u64, Key>,
    /// `__client_session_id` of sessions that have links.
    ids: HashMap<String, Key>,
    /// Sessions that had no link left, in that order.
    ended: VecDeque<Key>,
    /// What the last login listed: nearly all list the same.
    listed: Arc<Variables>,
}

impl Shadows {
    /// Of servers that number their session state so.
    #[must_use]
    pub fn new(numbering: Numbering) -> Self {
        Self {
            inner: Mutex::default(),
            numbering,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with the ids of a login.
    #[must_use]
    pub fn check_login(&self, link: u64, login: &Login<'_>) -> Option<Violation> {
        let inner = self.lock();
        let owner = inner.ids.get(login.client_sid)?;
        let name = format!("client_session_id:{}", login.client_sid);
        let is_own = *owner == login.key(link) || login.is_anew(owner);
        (!is_own).then(|| Violation::foreign_id(name))
    }

    /// A link has logged in.
    pub fn login(&self, link: u64, login: &Login<'_>, told: &Told) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let listed: Variables = told.variables.iter().cloned().collect();
        if listed != *inner.listed {
            inner.listed = listed.into();
        }
        let given = login.database.as_bytes();
        let state = LinkState {
            base: inner.listed.clone(),
            user: login.user.into(),
            database: told.database.clone().unwrap_or_else(|| given.to_vec()),
            has_variable_blocks: login.has_variable_blocks,
            ..LinkState::default()
        };
        let key = login.key(link);
        inner.links.insert(link, key.clone());
        let sid = login.id();
        if !sid.is_empty() {
            inner.ids.insert(sid.into(), key.clone());
        }
        let session = inner.sessions.entry(key).or_default();
        session.numbering = self.numbering;
        session.client_sid = sid.into();
        session.login(link, state);
    }

    /// What is wrong with a request that comes to this link.
    #[must_use]
    pub fn check(&self, link: u64, asked: &Asked) -> Vec<Violation> {
        let inner = self.lock();
        let session = inner.links.get(&link).and_then(|k| inner.sessions.get(k));
        session.map_or_else(Vec::new, |s| s.check(link, asked))
    }

    /// A request goes to the kernel.
    pub fn sent(&self, link: u64, asked: &Asked) {
        if let Some(session) = self.lock().session(link) {
            session.sent(link, asked);
        }
    }

    /// A reply is whole. What it shows to have been wrong with its request.
    pub fn told(&self, link: u64, asked: &Asked, told: &Told) -> Option<Violation> {
        self.lock().session(link)?.told(link, asked, told)
    }

    /// A link has ended.
    pub fn end(&self, link: u64) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(key) = inner.links.remove(&link) else {
            return;
        };
        let Some(session) = inner.sessions.get_mut(&key) else {
            return;
        };
        session.end(link);
        if !session.links.is_empty() {
            return;
        }
        let sid = std::mem::take(&mut session.client_sid);
        if inner.ids.get(&sid) == Some(&key) {
            inner.ids.remove(&sid);
        }
        match &key {
            // Without a time the same id may soon be another session's.
            Key::Named(_, time) if !time.is_empty() => inner.ended.push_back(key),
            _ => drop(inner.sessions.remove(&key)),
        }
        while inner.ended.len() > ENDED_MAX {
            if let Some(key) = inner.ended.pop_front()
                && inner.sessions.get(&key).is_some_and(|s| s.links.is_empty())
            {
                inner.sessions.remove(&key);
            }
        }
    }

    /// Looks at what a link has; none for a direct one.
    pub fn read<T>(&self, link: u64, read: impl FnOnce(&LinkState) -> T) -> Option<T> {
        self.lock().session(link)?.links.get(&link).map(read)
    }

    /// The open transaction of a link is rolled back, and not because a request said so.
    pub fn rolled_back(&self, link: u64) {
        if let Some(own) = self
            .lock()
            .session(link)
            .and_then(|s| s.links.get_mut(&link))
        {
            own.in_transaction = false;
        }
    }
}

impl Inner {
    fn session(&mut self, link: u64) -> Option<&mut Session> {
        self.sessions.get_mut(self.links.get(&link)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::Beside;
    use obring_wire::protocol::mysql::Command;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn pairs(pairs: Pairs) -> Vec<(Vec<u8>, Vec<u8>)> {
        let each = pairs.iter();
        each.map(|(a, b)| (a.as_bytes().to_vec(), b.as_bytes().to_vec()))
            .collect()
    }

    fn beside(parts: &[(u16, &str)]) -> Beside {
        let parts = parts.iter().map(|(k, b)| (*k, b.as_bytes().to_vec()));
        Beside {
            parts: parts.collect(),
            holds_locks: None,
        }
    }

    fn query(text: &str, parts: &[(u16, &str)]) -> Asked {
        Asked::read(Command::QUERY, text.as_bytes(), 0, beside(parts))
    }

    /// A reply with system variables, user variables and blocks.
    fn told(system: Pairs, user: Pairs, parts: &[(u16, &str)]) -> Told {
        Told {
            variables: pairs(system),
            user_variables: pairs(user),
            beside: beside(parts),
            ..Told::default()
        }
    }

    /// Two links of one session, 1 and 2; with blocks for system variables or without.
    struct Two(Shadows);

    const LISTED: Pairs = &[("a", "0"), ("b", "0"), ("ob_proxy_set_trx_executed", "OFF")];

    impl Two {
        fn new(has_variable_blocks: bool) -> Self {
            let new = Self(Shadows::default());
            for link in [1, 2] {
                new.login(link, has_variable_blocks);
            }
            new
        }

        fn login(&self, link: u64, has_variable_blocks: bool) {
            let login = Login {
                proxy_sid: "7",
                connect_time: "1",
                client_sid: "5",
                has_variable_blocks,
                ..Login::default()
            };
            assert_eq!(self.0.check_login(link, &login), None);
            self.0.login(link, &login, &told(LISTED, &[], &[]));
        }

        /// A request and its reply; what was found before and after, as text.
        fn asks(&self, link: u64, asked: &Asked, told: &Told) -> Vec<String> {
            let mut found = self.0.check(link, asked);
            self.0.sent(link, asked);
            found.extend(self.0.told(link, asked, told));
            found.iter().map(ToString::to_string).collect()
        }

        fn says(&self, link: u64, text: &str, reply: &Told) -> Vec<String> {
            self.asks(link, &query(text, &[]), reply)
        }

        fn selects(&self, link: u64) -> Vec<String> {
            self.says(link, "select 1", &Told::default())
        }
    }

    #[test]
    fn variables_are_compared_by_name_without_blocks() {
        let two = Two::new(false);
        let set = told(&[("a", "1"), ("ob_last_schema_version", "9")], &[], &[]);
        assert!(two.says(1, "set a=1", &set).is_empty());
        assert!(two.selects(1).is_empty());
        assert_eq!(two.selects(2), ["stale_state: a"]);
        assert!(two.says(2, "set @@a = 1", &set).is_empty());
        assert!(two.selects(2).is_empty());
        // Back to what every fresh link has; that, too, has to be known to the other.
        let back = told(&[("a", "0")], &[], &[]);
        assert!(two.says(2, "set a=0", &back).is_empty());
        assert_eq!(two.selects(1), ["stale_state: a"]);
        two.login(3, false);
        assert!(two.selects(3).is_empty());
        let has = two.0.read(1, LinkState::clone).unwrap();
        assert_eq!(
            has.variables().collect::<Vec<_>>(),
            [(&b"a"[..], &b"1"[..])]
        );
    }

    #[test]
    fn variables_are_compared_by_block_with_blocks() {
        let two = Two::new(true);
        let first = told(
            &[("_nlj_batching_enabled", "ON")],
            &[],
            &[(3, "t"), (4, "x")],
        );
        assert!(two.says(1, "select 1", &first).is_empty());
        let set = told(&[("a", "1")], &[], &[(4, "x1")]);
        assert!(two.says(1, "set a=1", &set).is_empty());
        assert_eq!(two.selects(2), ["stale_state: session_info:4"]);
        let sends = query("select 1", &[(4, "x1")]);
        assert!(two.asks(2, &sends, &first).is_empty());
        assert!(two.selects(2).is_empty() && two.selects(1).is_empty());
        assert_eq!(
            two.0.read(2, LinkState::clone).unwrap().variables_block(),
            Some(&b"x"[..])
        );
        // It has the value, so the old one is a change.
        let set = told(&[("a", "0")], &[], &[(4, "x2")]);
        assert!(two.says(2, "set a=0", &set).is_empty());
        assert_eq!(two.selects(1), ["stale_state: session_info:4"]);
        let old = query("select 1", &[(4, "x1")]);
        assert_eq!(
            two.asks(1, &old, &Told::default()),
            ["stale_state: session_info:4"]
        );
    }

    #[test]
    fn a_variable_set_on_top_of_old_ones_is_found_afterwards() {
        let two = Two::new(true);
        two.says(1, "set a=1", &told(&[("a", "1")], &[], &[(4, "x1")]));
        let user = told(&[], &[("u", "1")], &[(4, "y")]);
        assert!(two.says(2, "set @u=1", &user).is_empty(), "brings");
        let late = two.says(2, "set b=1", &told(&[("b", "1")], &[], &[(4, "y1")]));
        assert_eq!(late, ["stale_state: session_info:4"]);
    }

    #[test]
    fn what_servers_tell_by_themselves_is_no_state() {
        for has_blocks in [false, true] {
            let two = Two::new(has_blocks);
            let parts: &[(u16, &str)] = &[(3, "t"), (4, "x"), (6, "s")];
            let names = [
                ("ob_last_schema_version", "9"),
                ("_current_default_catalog", "0"),
                ("ob_statement_trace_id", "Y"),
            ];
            let reply = told(&names, &[], if has_blocks { parts } else { &[] });
            assert!(two.says(1, "create table t(a int)", &reply).is_empty());
            assert!(two.selects(2).is_empty() && two.selects(1).is_empty());
        }
    }

    #[test]
    fn other_blocks_are_asked_for_where_they_matter() {
        let two = Two::new(true);
        let reply = told(&[], &[], &[(0, "name"), (7, "01")]);
        assert!(two.says(1, "call set_module('a')", &reply).is_empty());
        assert_eq!(two.selects(2), ["stale_state: session_info:0"]);
        let all = query("select row_count()", &[(0, "name")]);
        assert_eq!(
            two.asks(2, &all, &Told::default()),
            ["stale_state: session_info:7"]
        );
        let all = query("select row_count()", &[(0, "name"), (7, "01")]);
        assert!(two.asks(2, &all, &Told::default()).is_empty());
    }

    #[test]
    fn a_count_that_is_not_the_sessions_is_not_asked_for() {
        let two = Two::new(true);
        let count = query("select row_count()", &[]);
        let stale = ["stale_state: session_info:7"];
        for (text, is_error, found) in [
            ("update t set a=2", false, &stale[..]),
            ("update t set a=3", true, &[]),
            ("set @a=1", false, &[]),
            ("delete from t", false, &stale[..]),
        ] {
            let mut reply = told(&[], &[], &[(7, text)]);
            reply.is_error = is_error;
            two.says(1, text, &reply);
            assert_eq!(two.asks(2, &count, &Told::default()), found, "{text}");
        }
    }

    #[test]
    fn user_variables_and_the_database_are_compared() {
        let two = Two::new(true);
        let mut reply = told(&[], &[("x", "'a'"), ("n", "NULL")], &[]);
        reply.database = Some(b"d".to_vec());
        assert!(two.says(1, "use d", &reply).is_empty());
        assert_eq!(two.selects(2), ["stale_state: @x, database"]);
        let init = Asked::read(Command::INIT_DB, b"d", 0, Beside::default());
        assert!(two.asks(2, &init, &Told::default()).is_empty());
        assert_eq!(two.selects(2), ["stale_state: @x"]);
        two.says(2, "set @x='a'", &told(&[], &[("x", "'a'")], &[]));
        assert!(two.selects(2).is_empty() && two.selects(1).is_empty());
        let has = two.0.read(2, LinkState::clone).unwrap();
        assert_eq!(has.database(), b"d");
        let list: Vec<_> = has.user_variables().collect();
        assert_eq!(list, [(&b"x"[..], &b"'a'"[..])]);
    }

    #[test]
    fn prepared_statements_are_compared() {
        let two = Two::new(true);
        let prepare = Asked::read(Command::STMT_PREPARE, b"select 1", 0, Beside::default());
        let reply = Told {
            statement: Some(1),
            ..Told::default()
        };
        let execute = Asked::read(Command::STMT_EXECUTE, b"", 1, Beside::default());
        let ok = Told::default();
        assert!(two.asks(2, &execute, &ok).is_empty(), "nobody has it");
        assert!(two.asks(1, &prepare, &reply).is_empty());
        assert_eq!(two.asks(2, &execute, &ok), ["stale_state: statement:1"]);
        assert!(two.asks(2, &prepare, &reply).is_empty());
        assert!(two.asks(2, &execute, &ok).is_empty());
        let close = Asked::read(Command::STMT_CLOSE, b"", 1, Beside::default());
        assert!(two.asks(2, &close, &ok).is_empty());
        assert_eq!(two.asks(2, &execute, &ok), ["stale_state: statement:1"]);
        assert!(two.says(1, "prepare s from 'select 1'", &ok).is_empty());
        assert_eq!(two.says(2, "execute s", &ok), ["stale_state: statement:s"]);
        assert!(two.says(1, "deallocate prepare s", &ok).is_empty());
        assert!(two.says(2, "execute s", &ok).is_empty(), "nobody has it");
    }

    #[test]
    fn transactions_and_locks_stay_where_they_are() {
        let two = Two::new(true);
        let open = |is_open| Told {
            in_transaction: Some(is_open),
            ..Told::default()
        };
        assert!(two.says(1, "begin", &open(true)).is_empty());
        assert_eq!(two.selects(2), ["tx_escape: link:1"]);
        assert_eq!(two.says(2, "begin", &open(false)), ["tx_escape: link:1"]);
        assert!(two.says(2, "set @x=1", &Told::default()).is_empty());
        let ping = Asked::read(Command::PING, b"", 0, Beside::default());
        assert!(two.asks(2, &ping, &Told::default()).is_empty());
        assert!(two.says(1, "commit", &open(false)).is_empty());
        assert!(two.selects(2).is_empty());
        let mut locked = Told::default();
        locked.beside.holds_locks = Some(true);
        assert!(two.says(1, "select get_lock('a',1)", &locked).is_empty());
        let release = "select release_lock('a')";
        assert_eq!(two.says(2, release, &open(false)), ["lock_escape: link:1"]);
        two.0.end(1);
        assert!(two.says(2, release, &open(false)).is_empty());
    }

    #[test]
    fn what_no_link_can_be_given_is_compared_until_its_link_ends() {
        let two = Two::new(true);
        let on = told(&[("ob_proxy_set_trx_executed", "ON")], &[], &[(4, "x")]);
        assert!(two.says(1, "set transaction read only", &on).is_empty());
        assert_eq!(two.selects(2), ["stale_state: ob_proxy_set_trx_executed"]);
        two.0.end(1);
        assert!(two.selects(2).is_empty());
    }

    #[test]
    fn a_reset_makes_the_session_blank() {
        let two = Two::new(true);
        let set = told(&[("a", "1")], &[("x", "1")], &[(4, "x1"), (0, "n")]);
        assert!(two.says(1, "set a=1, @x=1", &set).is_empty());
        let reset = Asked::read(Command::RESET_CONNECTION, b"", 0, Beside::default());
        assert!(two.asks(2, &reset, &Told::default()).is_empty());
        assert!(two.selects(2).is_empty());
        let stale = ["stale_state: @x, session_info:0, session_info:4"];
        assert_eq!(two.selects(1), stale);
        assert!(two.asks(1, &reset, &Told::default()).is_empty());
        assert!(two.selects(1).is_empty() && two.selects(2).is_empty());
    }

    #[test]
    fn a_reset_does_not_bring_back_what_the_login_decided() {
        let two = Two::new(false);
        let names = |value| told(&[("collation_connection", value)], &[], &[]);
        two.says(1, "set names binary", &names("binary"));
        assert_eq!(two.selects(2), ["stale_state: collation_connection"]);
        let reset = Asked::read(Command::RESET_CONNECTION, b"", 0, Beside::default());
        assert!(two.asks(1, &reset, &Told::default()).is_empty());
        assert!(two.selects(2).is_empty());
        two.says(1, "set names gbk", &names("gbk_chinese_ci"));
        assert_eq!(two.selects(2), ["stale_state: collation_connection"]);
        // Back to what a reset leaves on link 1: it does not report that.
        assert!(two.asks(1, &reset, &Told::default()).is_empty());
        two.says(2, "set names binary", &names("binary"));
        assert_eq!(two.selects(1), ["stale_state: collation_connection"]);
        two.says(2, "set names utf8mb4", &names("utf8mb4_general_ci"));
        assert!(two.selects(1).is_empty() && two.selects(2).is_empty());
    }

    #[test]
    fn another_user_makes_the_session_blank() {
        let two = Two::new(false);
        two.says(1, "set a=1", &told(&[("a", "1")], &[], &[]));
        let mut change = Asked::read(Command::CHANGE_USER, b"", 0, Beside::default());
        change.set_user(b"u", b"d");
        assert!(two.asks(1, &change, &told(LISTED, &[], &[])).is_empty());
        assert!(two.selects(1).is_empty());
        assert_eq!(two.selects(2), ["stale_state: database, user"]);
        assert!(two.asks(2, &change, &told(LISTED, &[], &[])).is_empty());
        assert!(two.selects(2).is_empty() && two.selects(1).is_empty());
    }

    #[test]
    fn a_session_is_remembered_between_two_connections() {
        let two = Two::new(false);
        let set = told(&[("a", "1")], &[], &[]);
        two.says(1, "set a=1", &set);
        two.0.end(1);
        two.0.end(2);
        two.login(3, false);
        assert_eq!(two.selects(3), ["stale_state: a"]);
        // What is no client's session has links that know nothing of each other.
        for sid in ["", "0"] {
            let all = Shadows::default();
            let login = Login {
                proxy_sid: sid,
                client_sid: sid,
                ..Login::default()
            };
            all.login(1, &login, &told(LISTED, &[], &[]));
            all.told(1, &query("set a=1", &[]), &set);
            assert_eq!(all.check_login(2, &login), None);
            all.login(2, &login, &told(LISTED, &[], &[]));
            assert!(all.check(2, &query("select 1", &[])).is_empty());
        }
    }

    #[test]
    fn at_most_so_many_ended_sessions_are_remembered() {
        let all = Shadows::default();
        let ends = |n: u64| {
            let sid = n.to_string();
            let login = Login {
                proxy_sid: &sid,
                connect_time: "1",
                ..Login::default()
            };
            all.login(n, &login, &Told::default());
            all.end(n);
        };
        (1..=ENDED_MAX as u64 + 5).for_each(ends);
        assert_eq!(all.lock().sessions.len(), ENDED_MAX);
    }

    #[test]
    fn an_id_belongs_to_one_session_at_a_time() {
        let two = Two::new(false);
        let other = Login {
            proxy_sid: "8",
            connect_time: "1",
            client_sid: "5",
            ..Login::default()
        };
        let found = two.0.check_login(3, &other).unwrap();
        assert_eq!(found.to_string(), "foreign_id: client_session_id:5");
        // The same numbers: begun anew, or given out twice.
        for (connect_time, is_own) in [("2", true), ("1001", false), ("0", false)] {
            let same = Login {
                proxy_sid: "7",
                connect_time,
                ..other
            };
            assert_eq!(two.0.check_login(3, &same).is_none(), is_own);
        }
        two.0.end(1);
        two.0.end(2);
        assert_eq!(two.0.check_login(3, &other), None);
    }
}
