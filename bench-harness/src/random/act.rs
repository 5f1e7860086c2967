//! What a client of a random session does, and how it is done on a recorded connection.

use crate::norm::Norm;
use crate::params::{P, params};
use crate::raw::{Got, Login, framed};
use crate::session::{Reach, Run, Session};
use obring_wire::protocol::mysql::client;
use std::fmt;

/// Prepared statements that a session of the generator can name at a time.
pub const SLOTS: usize = 64;

/// One thing that a client does.
#[derive(Clone, Debug)]
pub enum Act {
    /// COM_QUERY.
    Query(Vec<u8>),
    /// Several COM_QUERY in one write; the replies are read one by one.
    Burst(Vec<Vec<u8>>),
    /// COM_INIT_DB.
    InitDb(String),
    /// COM_PING.
    Ping,
    /// COM_STATISTICS.
    Statistics,
    /// COM_FIELD_LIST of a table.
    FieldList(&'static str),
    /// COM_SET_OPTION: several statements in one text are allowed, or not.
    Several(bool),
    /// COM_RESET_CONNECTION.
    Reset,
    /// COM_CHANGE_USER to one of the [`Accounts`], with a database.
    ChangeUser {
        /// The one with a password.
        is_other: bool,
        /// Empty for none.
        database: String,
    },
    /// COM_STMT_PREPARE into a slot; a refusal leaves the slot as it was.
    Prepare {
        /// The slot.
        slot: usize,
        /// The text.
        sql: String,
    },
    /// COM_STMT_EXECUTE of what was prepared in a slot last, closed or not.
    Execute {
        /// The slot.
        slot: usize,
        /// A cursor is asked for.
        has_cursor: bool,
        /// Values.
        params: Vec<P>,
        /// Types are sent, too.
        types: bool,
    },
    /// COM_STMT_SEND_LONG_DATA.
    LongData {
        /// The slot.
        slot: usize,
        /// Number of the parameter, from 0.
        param: u16,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// COM_STMT_FETCH.
    Fetch {
        /// The slot.
        slot: usize,
        /// Rows asked for.
        rows: u32,
    },
    /// COM_STMT_RESET.
    ResetStatement(usize),
    /// COM_STMT_CLOSE.
    Close(usize),
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(sql) => write!(f, "{}", short(sql)),
            Self::Burst(texts) => {
                f.write_str("burst")?;
                texts.iter().try_for_each(|t| write!(f, " | {}", short(t)))
            }
            Self::InitDb(name) => write!(f, "init db {name}"),
            Self::Ping => f.write_str("ping"),
            Self::Statistics => f.write_str("statistics"),
            Self::FieldList(table) => write!(f, "field list {table}"),
            Self::Several(is_on) => write!(f, "several statements: {is_on}"),
            Self::Reset => f.write_str("reset connection"),
            Self::ChangeUser { is_other, database } => {
                write!(f, "change user, other: {is_other}, database {database:?}")
            }
            Self::Prepare { slot, sql } => write!(f, "prepare {slot}: {sql}"),
            Self::Execute {
                slot,
                has_cursor,
                params,
                types,
            } => {
                let cursor = if *has_cursor { " with cursor" } else { "" };
                let types = if *types { "" } else { " without types" };
                write!(f, "execute {slot}{cursor}{types}: {params:?}")
            }
            Self::LongData { slot, param, bytes } => {
                write!(f, "long data {slot}.{param}: {}", short(bytes))
            }
            Self::Fetch { slot, rows } => write!(f, "fetch {slot}: {rows}"),
            Self::ResetStatement(slot) => write!(f, "reset statement {slot}"),
            Self::Close(slot) => write!(f, "close {slot}"),
        }
    }
}

/// The front of a text.
fn short(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}... [{}]", &text[..at], bytes.len()),
        None => text.into_owned(),
    }
}

/// An act of one of the sessions of a script.
#[derive(Clone, Debug)]
pub struct Step {
    /// Number of the session.
    pub who: usize,
    /// What it does.
    pub act: Act,
}

/// How a session logs in.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// Capability bits besides the usual ones.
    pub capabilities: u32,
    /// Character set.
    pub charset: u8,
    /// Empty for none.
    pub database: String,
}

/// Random sessions: how they log in, and their steps in the order of time.
#[derive(Clone, Debug)]
pub struct Script {
    /// One per session.
    pub logins: Vec<Entrance>,
    /// The steps.
    pub steps: Vec<Step>,
    /// User locks are taken: what a server refuses a proxy without OceanBase 2.0 framing.
    pub has_locks: bool,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, login) in NAMES.iter().zip(&self.logins) {
            writeln!(f, "  {name}: {login:?}")?;
        }
        for (n, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {n:3} {}: {}", NAMES[step.who], step.act)?;
        }
        Ok(())
    }
}

/// Names of sessions.
const NAMES: [&str; 2] = ["a", "b"];

/// Who logs in: the same account has other names in front of a cluster and of the kernel.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// `user@tenant#cluster` or `user@tenant` of the account without a password.
    pub root: String,
    /// The same of the account with one.
    pub other: String,
    /// Its password.
    pub password: String,
}

/// One session of a script that is played.
struct Client {
    session: Session,
    /// Ids of what was prepared last.
    ids: Vec<Option<u32>>,
    accounts: Accounts,
}

/// Plays a script on new connections; `before` is called before each step with its number.
pub fn play(
    run: &Run,
    accounts: &Accounts,
    script: &Script,
    mut before: impl FnMut(usize),
) -> Result<(), String> {
    let names = NAMES.iter().zip(&script.logins);
    let mut clients: Vec<Client> = names
        .map(|(name, login)| Client::enter(run, name, login, accounts))
        .collect();
    for (n, step) in script.steps.iter().enumerate() {
        before(n);
        let client = clients.get_mut(step.who);
        client.ok_or("no such session")?.act(&step.act);
    }
    for client in &mut clients {
        client.leave(script.has_locks);
    }
    Ok(())
}

impl Client {
    fn enter(run: &Run, name: &'static str, entrance: &Entrance, accounts: &Accounts) -> Self {
        let mut login = Login::user(&accounts.root, "")
            .with(entrance.capabilities)
            .charset(entrance.charset);
        if !entrance.database.is_empty() {
            login = login.db(&entrance.database);
        }
        let mut session = run.connect(name);
        let payload = login.payload(session.scramble());
        session.raw(&framed(&payload, login.seq));
        session.login_reply(b"root", b"");
        session.norm(Norm::NoAnnouncements);
        Self {
            session,
            ids: vec![None; SLOTS],
            accounts: accounts.clone(),
        }
    }

    /// Leaves nothing behind that the next run would meet: the kernel ends a session some time
    /// after its connection.
    fn leave(&mut self, has_locks: bool) {
        let s = &mut self.session;
        s.q("rollback");
        if has_locks {
            s.q("select release_all_locks() as n");
        }
        s.bye();
    }

    fn act(&mut self, act: &Act) {
        let what = act.to_string();
        let s = &mut self.session;
        match act {
            Act::Query(sql) => {
                s.send(&what, &[&[3], &sql[..]].concat(), Reach::Results);
            }
            Act::Burst(texts) => {
                let packets = texts.iter().map(|t| framed(&[&[3], &t[..]].concat(), 0));
                s.raw(&packets.flatten().collect::<Vec<u8>>());
                for _ in texts {
                    s.read(&what, Reach::Results);
                }
            }
            Act::InitDb(name) => {
                s.one(&what, &[&[2], name.as_bytes()].concat());
            }
            Act::Ping => {
                s.norm(Norm::NoState).one(&what, b"\x0e");
            }
            Act::Statistics => {
                s.norm(Norm::ServerState).one(&what, b"\x09");
            }
            Act::FieldList(table) => {
                let payload = [&[4], table.as_bytes(), &[0]].concat();
                s.send(&what, &payload, Reach::ToEof);
            }
            Act::Several(is_on) => {
                s.one(&what, &[0x1b, u8::from(!is_on), 0]);
            }
            Act::Reset => {
                s.norm(Norm::NoState).one(&what, b"\x1f");
            }
            Act::ChangeUser { is_other, database } => self.change_user(*is_other, database),
            _ => self.statement(act, &what),
        }
        self.session.norm(Norm::NoAnnouncements);
    }

    fn change_user(&mut self, is_other: bool, database: &str) {
        let (user, password) = match is_other {
            true => (&self.accounts.other, self.accounts.password.as_bytes()),
            false => (&self.accounts.root, &b""[..]),
        };
        let answer = crate::raw::native_answer(password, self.session.scramble());
        let mut packet = vec![0x11];
        packet.extend_from_slice(user.as_bytes());
        packet.push(0);
        packet.push(answer.len() as u8);
        packet.extend_from_slice(&answer);
        packet.extend_from_slice(database.as_bytes());
        packet.extend_from_slice(b"\0\x2d\0mysql_native_password\0");
        self.session.raw(&framed(&packet, 0));
        let name: &[u8] = if is_other { b"other" } else { b"root" };
        self.session.norm(Norm::NoState).login_reply(name, password);
    }

    /// What is done with prepared statements; nothing is done with a slot that never had one.
    fn statement(&mut self, act: &Act, what: &str) {
        let s = &mut self.session;
        if let Act::Prepare { slot, sql } = act {
            let payload = [&[0x16], sql.as_bytes()].concat();
            let got = s
                .norm(Norm::StatementId)
                .send(what, &payload, Reach::Prepare);
            if got.first().is_some_and(Got::is_ok) {
                self.ids[*slot] = Some(s.statement);
            }
            return;
        }
        let (command, slot, rest, reach) = match act {
            Act::Execute {
                slot,
                has_cursor,
                params: list,
                types,
            } => {
                let head = [u8::from(*has_cursor), 1, 0, 0, 0];
                let body = [&head[..], &params(list, *types)].concat();
                let reach = match has_cursor {
                    true => Reach::Cursor,
                    false => Reach::Results,
                };
                (0x17, slot, body, reach)
            }
            Act::LongData { slot, param, bytes } => {
                let body = [&param.to_le_bytes(), &bytes[..]].concat();
                (0x18, slot, body, Reach::Nothing)
            }
            Act::Fetch { slot, rows } => (0x1c, slot, rows.to_le_bytes().to_vec(), Reach::ToEof),
            Act::ResetStatement(slot) => (0x1a, slot, vec![], Reach::One),
            Act::Close(slot) => (0x19, slot, vec![], Reach::Nothing),
            _ => return,
        };
        if let Some(id) = self.ids[*slot] {
            let payload = [&[command], &id.to_le_bytes()[..], &rest].concat();
            s.send(what, &payload, reach);
        }
    }
}

/// Capability bits that clients differ in.
pub(super) const CAPABILITIES: &[u32] = &[
    client::SESSION_TRACK,
    client::MULTI_STATEMENTS,
    client::FOUND_ROWS,
];
