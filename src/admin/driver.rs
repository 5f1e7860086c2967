//! What drivers and monitors send by themselves. Source: operations.md 3.2, and what the drivers of
//! the end-to-end tests were seen to send.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::Desk;
use super::lexer::{Token, TokenKind};
use super::listing::{Listing, like};
use crate::config::COMPATIBILITY_VERSION;

/// Variables of a session that has none: fixed values that drivers can work with.
const VARIABLES: &[(&str, &str)] = &[
    ("auto_increment_increment", "1"),
    ("autocommit", "ON"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8mb4"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("init_connect", ""),
    ("interactive_timeout", "28800"),
    ("license", "Apache-2.0"),
    ("lower_case_table_names", "2"),
    ("max_allowed_packet", "4194304"),
    ("net_buffer_length", "16384"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "60"),
    ("performance_schema", "0"),
    ("query_cache_size", "1048576"),
    ("query_cache_type", "OFF"),
    ("session_track_schema", "OFF"),
    ("sql_mode", "STRICT_ALL_TABLES"),
    ("system_time_zone", "+08:00"),
    ("time_zone", "+08:00"),
    ("transaction_isolation", "READ-COMMITTED"),
    ("transaction_read_only", "0"),
    ("tx_isolation", "READ-COMMITTED"),
    ("tx_read_only", "0"),
    ("wait_timeout", "28800"),
];

/// An OK for a command that takes nothing behind it.
pub(super) fn nothing(statement: &Statement) -> Step {
    match statement.tail() {
        [] => Step::Done(Reply::Ok(String::new())),
        _ => super::command::unknown(),
    }
}

/// `SHOW WARNINGS`: there are none.
pub(super) fn no_warnings() -> Step {
    Step::Done(Reply::Rows(Listing::new(&["Level", "Code#", "Message"])))
}

/// `SHOW DATABASES` and the like: a proxy has no data.
pub(super) fn no_data(_: &Statement) -> Step {
    super::command::unknown()
}

/// `SHOW VARIABLES` and every other SHOW.
pub(super) fn variables(desk: &mut Desk, statement: &Statement) -> Step {
    let at = statement.tokens.iter().position(|t| t.is("like"));
    let pattern = at
        .and_then(|at| statement.tokens.get(at + 1)?.value())
        .unwrap_or_default();
    let named: Vec<_> = match statement.tokens.iter().position(|t| t.is("where")) {
        None => vec![],
        Some(at) => statement.tokens[at..]
            .iter()
            .filter_map(|t| match &t.kind {
                TokenKind::Text(name) => Some(name.as_str()),
                _ => None,
            })
            .collect(),
    };
    let mut listing = Listing::new(&["Variable_name", "Value"]);
    let version = ("version", desk.settings.mysql_version.as_str());
    for (name, value) in VARIABLES.iter().copied().chain([version]) {
        let is_named = named.is_empty() || named.iter().any(|n| n.eq_ignore_ascii_case(name));
        if is_named && like(&pattern.to_ascii_lowercase(), name) {
            listing.row([Some(name.into()), Some(value.into())]);
        }
    }
    Step::Done(Reply::Rows(listing))
}

/// `SELECT` of literals, variables and the functions that say who and where one is.
pub(super) fn select(desk: &mut Desk, statement: &Statement) -> Step {
    let mut columns: Vec<(String, Option<String>)> = vec![];
    let mut tail = statement.tail();
    if let [.., word, count] = tail
        && word.is("limit")
        && count.value().is_some()
    {
        tail = tail.get(..tail.len() - 2).unwrap_or_default();
    }
    for item in tail.split(|t| t.is_sign(',')) {
        let (expression, alias) = match item {
            [expression @ .., word, alias] if word.is("as") => (expression, alias.value()),
            [expression @ .., alias] if expression.last().is_some_and(|t| is_end(t, alias)) => {
                (expression, alias.value())
            }
            expression => (expression, None),
        };
        let Some(value) = value(desk, statement, expression) else {
            return unknown_item(expression);
        };
        let written = expression.first().zip(expression.last());
        let written = written.and_then(|(a, z)| statement.text.get(a.start..z.end));
        let name = alias.or(written).unwrap_or_default();
        columns.push((name.to_owned(), value));
    }
    Step::Done(Reply::Rows(Listing::one(columns)))
}

/// A name right behind an expression is its alias.
fn is_end(last: &Token, alias: &Token) -> bool {
    let ends = last.is_sign(')') || matches!(last.kind, TokenKind::Word(_) | TokenKind::Text(_));
    ends && alias.value().is_some()
}

/// The value of an expression; the outer `None`: not known here.
fn value(desk: &Desk, statement: &Statement, expression: &[Token]) -> Option<Option<String>> {
    let ask = &statement.ask;
    let user = || format!("root@{}", ask.peer.ip().to_canonical());
    let (token, is_call) = match expression {
        [token] => (token, false),
        [token, open, close] if open.is_sign('(') && close.is_sign(')') => (token, true),
        _ => return None,
    };
    let word = match &token.kind {
        TokenKind::Text(text) => return (!is_call).then(|| Some(text.clone())),
        TokenKind::Word(word) => word.to_ascii_lowercase(),
        TokenKind::Sign(_) => return None,
    };
    if is_call {
        return match word.as_str() {
            "proxy_version" => Some(Some(COMPATIBILITY_VERSION.into())),
            "proxy_status" => Some(Some("ACTIVE".into())),
            "version" => Some(Some(desk.settings.mysql_version.clone())),
            "connection_id" => Some(Some(ask.session.to_string())),
            "user" | "current_user" | "session_user" | "system_user" => Some(Some(user())),
            "database" | "schema" => Some(None),
            _ => None,
        };
    }
    if word == "null" {
        return Some(None);
    }
    if word.parse::<f64>().is_ok() {
        return Some(Some(word));
    }
    if word == "current_user" {
        return Some(Some(user()));
    }
    let name = word.strip_prefix("@@")?;
    let name = name
        .strip_prefix("session.")
        .or_else(|| name.strip_prefix("global."))
        .unwrap_or(name);
    let value = match name {
        "version" => desk.settings.mysql_version.as_str(),
        "version_comment" => "obring: administration of the proxy (root@proxysys)",
        "autocommit" => "1",
        name => VARIABLES.iter().find(|(n, _)| *n == name)?.1,
    };
    Some(Some(value.into()))
}

fn unknown_item(expression: &[Token]) -> Step {
    match expression.first().and_then(Token::value) {
        Some(name) if name.starts_with("@@") => {
            Refusal::step(1193, "HY000", format!("Unknown system variable '{name}'"))
        }
        _ => Refusal::step(
            1235,
            "0A000",
            "root@proxysys is the administration of the proxy, not a database: it has no tables; \
             for SQL log in as user@tenant#cluster",
        ),
    }
}
