//! What a request does to the session, and what of the session it depends on.

use super::told::Beside;
use crate::views::{Statement, Token};
use obring_wire::protocol::mysql::Command;

/// Functions of user locks.
const LOCK_FUNCTIONS: &[&str] = &[
    "get_lock",
    "is_free_lock",
    "is_used_lock",
    "release_all_locks",
    "release_lock",
];
/// Functions that ask for what blocks carry of the statement before. (What they do not carry, its
/// found rows and warnings, the kernel shows to be missing.)
const LOOKING_BACK: &[&str] = &["row_count"];

/// A connection that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// Its number.
    pub id: u32,
    /// Only what it is doing.
    pub is_query: bool,
}

/// What kind of request it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Nature {
    /// It depends on nothing: PING, QUIT, what belongs to a prepared statement and does not run it.
    #[default]
    Free,
    /// A proxy brings state with it: SET, USE, PREPARE.
    Brings,
    /// It begins a transaction. A proxy that has held it back sends it before the blocks of the
    /// session's state, which go with the client's own statement.
    Begins,
    /// The session is as after its login: COM_RESET_CONNECTION.
    Resets,
    /// The session is another user's.
    ChangesUser,
    /// Anything else: it depends on all state.
    Depends,
}

/// A request, as far as the state of its session goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub(super) nature: Nature,
    /// What is sent beside it.
    pub(super) beside: Beside,
    /// It may be part of a transaction that goes from server to server: its packets say so.
    pub(super) may_move: bool,
    /// The prepared statement that it runs.
    pub(super) runs: Option<u32>,
    /// The prepared statement that it ends.
    pub(super) closes: Option<u32>,
    /// What is known of its text; of the prepared text for a preparation.
    pub(super) traits: Traits,
    /// Names of text prepares that it makes, runs and ends.
    pub(super) makes_named: Vec<Vec<u8>>,
    pub(super) runs_named: Vec<Vec<u8>>,
    pub(super) ends_named: Vec<Vec<u8>>,
    /// The database that it makes the current one.
    pub(super) database: Option<Vec<u8>>,
    /// The user that it makes the current one.
    pub(super) user: Option<Vec<u8>>,
    /// What it kills.
    pub(super) kill: Option<Kill>,
}

/// What a text asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits {
    /// Something that the statement before has left.
    pub(super) looks_back: bool,
    /// User locks.
    pub(super) uses_locks: bool,
}

impl Asked {
    /// Reads a request. `body` is what stands behind the command byte, as far as it came;
    /// `statement` is the number of the prepared statement that it names.
    #[must_use]
    pub fn read(command: Command, body: &[u8], statement: u32, beside: Beside) -> Self {
        let mut asked = Self {
            beside,
            ..Self::default()
        };
        match command {
            Command::PING | Command::QUIT | Command::STMT_RESET | Command::STMT_SEND_LONG_DATA => {}
            Command::STMT_CLOSE => asked.closes = Some(statement),
            Command::PROCESS_KILL => {
                let id = body.first_chunk().map(|id| u32::from_le_bytes(*id));
                asked.kill = id.map(|id| Kill {
                    id,
                    is_query: false,
                });
            }
            Command::INIT_DB => {
                asked.nature = Nature::Brings;
                asked.database = Some(body.to_vec());
            }
            Command::STMT_PREPARE => {
                asked.text(body);
                asked.nature = Nature::Brings;
            }
            Command::RESET_CONNECTION => asked.nature = Nature::Resets,
            Command::CHANGE_USER => asked.nature = Nature::ChangesUser,
            Command::STMT_EXECUTE | Command::STMT_FETCH => {
                asked.nature = Nature::Depends;
                asked.runs = Some(statement);
            }
            Command::QUERY => asked.text(body),
            _ => asked.nature = Nature::Depends,
        }
        asked
    }

    /// Its packets say that its transaction may move between servers.
    pub const fn set_may_move(&mut self, may_move: bool) {
        self.may_move = may_move;
    }

    /// The user and the database of COM_CHANGE_USER.
    pub fn set_user(&mut self, user: &[u8], database: &[u8]) {
        self.user = Some(user.to_vec());
        self.database = Some(database.to_vec());
    }

    /// What it kills.
    #[must_use]
    pub const fn kill(&self) -> Option<Kill> {
        self.kill
    }

    /// Reads the text of one or several statements.
    fn text(&mut self, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        let Some(parsed) = Statement::parse(text.as_bytes()) else {
            self.nature = Nature::Depends;
            return;
        };
        let mut natures = vec![];
        for tokens in parsed.tokens.split(|t| *t == Token::Sign(';')) {
            if !tokens.is_empty() {
                natures.push(self.one(tokens));
            }
        }
        self.nature = match natures[..] {
            [one] => one,
            [_, ..] if natures.iter().all(|n| *n == Nature::Brings) => Nature::Brings,
            _ => Nature::Depends,
        };
        let calls = |names: &[&str]| {
            let mut pairs = parsed.tokens.windows(2);
            pairs.any(|pair| match pair {
                [Token::Word(word), Token::Sign('(')] => {
                    names.iter().any(|name| word.eq_ignore_ascii_case(name))
                }
                _ => false,
            })
        };
        self.traits = Traits {
            looks_back: calls(LOOKING_BACK),
            uses_locks: calls(LOCK_FUNCTIONS),
        };
    }

    /// Reads one statement.
    fn one(&mut self, tokens: &[Token]) -> Nature {
        let word = |at: usize| match tokens.get(at) {
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            _ => String::new(),
        };
        let name = |at| Some(word(at).into_bytes()).filter(|name| !name.is_empty());
        match (word(0).as_str(), word(1).as_str()) {
            ("set", _) => Nature::Brings,
            ("use", _) => {
                if let Some(Token::Word(database)) = tokens.get(1) {
                    self.database = Some(database.clone().into_bytes());
                }
                Nature::Brings
            }
            ("prepare", _) => {
                self.makes_named.extend(name(1));
                Nature::Brings
            }
            ("execute", _) => {
                self.runs_named.extend(name(1));
                Nature::Depends
            }
            ("deallocate" | "drop", "prepare") => {
                self.ends_named.extend(name(2));
                Nature::Brings
            }
            ("begin", _) | ("start", "transaction") | ("xa", "start" | "begin") => Nature::Begins,
            ("kill", second) => {
                let is_query = second == "query";
                let at = if is_query || second == "connection" {
                    2
                } else {
                    1
                };
                let id = match tokens.get(at) {
                    Some(Token::Number(number)) => number.parse().ok(),
                    _ => None,
                };
                self.kill = id.map(|id| Kill { id, is_query });
                Nature::Depends
            }
            _ => Nature::Depends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Asked {
        Asked::read(Command::QUERY, text.as_bytes(), 0, Beside::default())
    }

    #[test]
    fn statements_that_bring_state_are_told_from_those_that_need_it() {
        for (text, nature) in [
            ("SET @a = 1;", Nature::Brings),
            ("/* 1 */ set autocommit=0", Nature::Brings),
            ("set @a=1; set @b=2", Nature::Brings),
            ("set @a=';'; select 1", Nature::Depends),
            ("use `a b`", Nature::Brings),
            ("prepare s from 'select 1'", Nature::Brings),
            ("deallocate prepare s", Nature::Brings),
            ("drop prepare s", Nature::Brings),
            ("drop table s", Nature::Depends),
            ("begin", Nature::Begins),
            ("start transaction read only", Nature::Begins),
            ("begin; select 1", Nature::Depends),
            ("commit", Nature::Depends),
            ("", Nature::Depends),
            ("select 'not ended", Nature::Depends),
            ("select settle from t", Nature::Depends),
        ] {
            assert_eq!(query(text).nature, nature, "{text}");
        }
    }

    #[test]
    fn what_a_text_names_is_found() {
        let uses = |text: &str| query(text).traits.uses_locks;
        assert!(uses("select Get_Lock('a', 1)") && uses("do release_all_locks ()"));
        assert!(!uses("select 'get_lock(1)'") && !uses("select get_lock from t"));
        assert!(query("select row_count()").traits.looks_back);
        assert_eq!(query("use `A b`").database, Some(b"A b".to_vec()));
        assert_eq!(query("execute S using @a").runs_named, [b"s".to_vec()]);
        assert_eq!(query("prepare s from @t").makes_named, [b"s".to_vec()]);
        assert_eq!(query("drop prepare s").ends_named, [b"s".to_vec()]);
        let kill = |text: &str| query(text).kill();
        let of = |id, is_query| Some(Kill { id, is_query });
        assert_eq!(kill("kill 7"), of(7, false));
        assert_eq!(kill("KILL connection 7"), of(7, false));
        assert_eq!(kill("kill query 7"), of(7, true));
        assert_eq!(kill("kill @a"), None);
        let body = 0x8000_0007u32.to_le_bytes();
        let asked = Asked::read(Command::PROCESS_KILL, &body, 0, Beside::default());
        assert_eq!(asked.kill(), of(0x8000_0007, false));
    }

    #[test]
    fn commands_differ() {
        let of = |command| Asked::read(command, b"\x07\0\0\0", 7, Beside::default());
        assert_eq!(of(Command::PING).nature, Nature::Free);
        assert_eq!(of(Command::STMT_CLOSE).closes, Some(7));
        assert_eq!(of(Command::STMT_CLOSE).nature, Nature::Free);
        assert_eq!(of(Command::STMT_EXECUTE).runs, Some(7));
        assert_eq!(of(Command::STMT_EXECUTE).nature, Nature::Depends);
        assert_eq!(of(Command::FIELD_LIST).nature, Nature::Depends);
        let prepared = Asked::read(
            Command::STMT_PREPARE,
            b"select get_lock(?, 1)",
            0,
            Beside::default(),
        );
        assert_eq!(prepared.nature, Nature::Brings);
        assert!(prepared.traits.uses_locks);
    }
}
