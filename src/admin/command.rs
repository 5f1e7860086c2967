//! The table of commands: what is said, in what order of preference, and who carries it out.

use super::desk::{Desk, Heard};
use super::lexer::{Token, TokenKind};
use super::listing::Listing;
use super::{alter, cluster, congestion, driver, kill, route, show};
use crate::base::CoreId;
use crate::routing::{Ask, Subject};

/// What a command leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// It is done.
    Done(Reply),
    /// All serving cores are asked first.
    Gather(Subject, fn(&Desk, &Statement, &Heard) -> Reply),
    /// The session on that core has to end first.
    Kill {
        /// Its core.
        core: CoreId,
        /// Its connection id.
        id: u32,
    },
}

/// What the administrator gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// An OK with a text.
    Ok(String),
    /// A table.
    Rows(Listing),
    /// An error.
    Error(Refusal),
    /// An error, then the end of the session.
    LastError(Refusal),
}

/// An error of a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// Error number. Source: operations.md 3.3.
    pub(super) code: u16,
    /// SQLSTATE.
    pub(super) state: &'static str,
    /// What is wrong.
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn step(code: u16, state: &'static str, text: impl Into<String>) -> Step {
        Step::Done(Reply::Error(Self {
            code,
            state,
            text: text.into(),
        }))
    }
}

/// A statement that was read.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) ask: Box<Ask>,
    pub(super) text: String,
    pub(super) tokens: Vec<Token>,
    /// Tokens that the row of the table has taken.
    pub(super) used: usize,
}

impl Statement {
    /// What stands behind the words of the command.
    pub(super) fn tail(&self) -> &[Token] {
        self.tokens.get(self.used..).unwrap_or_default()
    }

    /// The pattern of `[LIKE 'p']`; `None`: the tail is something else.
    pub(super) fn pattern(&self) -> Option<&str> {
        match self.tail() {
            [] => Some(""),
            [word, text] if word.is("like") => match &text.kind {
                TokenKind::Text(pattern) => Some(pattern),
                _ => None,
            },
            _ => None,
        }
    }
}

/// One command.
pub(super) struct Command {
    /// Its words; `|` separates other words that mean the same.
    words: &'static [&'static str],
    /// What it does.
    pub(super) run: fn(&mut Desk, &Statement) -> Step,
}

/// All commands; the first that fits wins. A new command is a new row.
pub(super) static TABLE: &[Command] = &[
    Command {
        words: &["show", "proxyconfig", "diff", "user"],
        run: show::config_diff,
    },
    Command {
        words: &["show", "proxyconfig", "diff"],
        run: show::config_diff,
    },
    Command {
        words: &["show", "proxyconfig"],
        run: show::config,
    },
    Command {
        words: &["alter", "proxyconfig", "set"],
        run: alter::config,
    },
    Command {
        words: &["show", "proxysession"],
        run: show::sessions,
    },
    Command {
        words: &["show", "full", "processlist"],
        run: show::processes,
    },
    Command {
        words: &["show", "processlist"],
        run: show::processes,
    },
    Command {
        words: &["show", "proxystat", "refresh"],
        run: show::stat,
    },
    Command {
        words: &["show", "proxystat"],
        run: show::stat,
    },
    Command {
        words: &["show", "proxycluster", "idc"],
        run: cluster::idcs,
    },
    Command {
        words: &["show", "proxycluster"],
        run: cluster::servers,
    },
    Command {
        words: &["show", "proxyresource", "tenant"],
        run: cluster::tenants,
    },
    Command {
        words: &["show", "proxyresource", "core"],
        run: cluster::cores,
    },
    Command {
        words: &["show", "proxyresource"],
        run: cluster::resources,
    },
    Command {
        words: &["show", "proxycongestion"],
        run: congestion::list,
    },
    Command {
        words: &["show", "proxyroute", "partition"],
        run: route::partitions,
    },
    Command {
        words: &["show", "proxyroute", "routine"],
        run: |_, s| route::nothing(s, route::ROUTINE),
    },
    Command {
        words: &["show", "proxyroute", "globalindex"],
        run: |_, s| route::nothing(s, route::GLOBAL_INDEX),
    },
    Command {
        words: &["show", "proxyroute"],
        run: route::tables,
    },
    Command {
        words: &["kill", "query"],
        run: kill::query,
    },
    Command {
        words: &["kill", "proxysession|connection"],
        run: kill::session,
    },
    Command {
        words: &["kill"],
        run: kill::session,
    },
    Command {
        words: &["ping", "proxy"],
        run: |_, s| driver::nothing(s),
    },
    Command {
        words: &["select"],
        run: driver::select,
    },
    Command {
        words: &["show", "warnings|errors"],
        run: |_, _| driver::no_warnings(),
    },
    Command {
        words: &[
            "show",
            "databases|tables|schemas|columns|fields|index|indexes|keys|create|trace",
        ],
        run: |_, s| driver::no_data(s),
    },
    Command {
        words: &["show"],
        run: driver::variables,
    },
    Command {
        words: &["set|begin|commit|rollback|start|use"],
        run: |_, _| Step::Done(Reply::Ok(String::new())),
    },
];

/// The row for a statement, and how many tokens its words are.
pub(super) fn find(tokens: &[Token]) -> Option<(&'static Command, usize)> {
    let fits = |token: &Token, words: &str| words.split('|').any(|word| token.is(word));
    let row = TABLE.iter().find(|row| {
        tokens.len() >= row.words.len()
            && tokens
                .iter()
                .zip(row.words)
                .all(|(token, words)| fits(token, words))
    })?;
    Some((row, row.words.len()))
}

/// What a statement that no row fits gets. OBProxy answers 5010, which MariaDB's clients take for
/// an error of their own and show as "malformed packet".
pub(super) fn unknown() -> Step {
    Refusal::step(
        1235,
        "0A000",
        "Unknown operator, bad internal cmd (5010): this is root@proxysys, the administration of \
         the proxy, not a database; for SQL log in as user@tenant#cluster",
    )
}
