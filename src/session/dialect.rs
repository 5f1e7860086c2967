//! How the bytes of a session's statements are read: SQL mode, character sets, time zone.

use crate::partition::{Context, TextCharset, Zone};
use crate::protocol::mysql::status;
use crate::sql::{Charset, Syntax};
use serde::{Deserialize, Serialize};

/// Bits of `sql_mode` as a number, which full servers report. Source: MySQL's `sql_mode` values.
const MODES: &[(u64, &[u8])] = &[
    (1 << 1, b"PIPES_AS_CONCAT"),
    (1 << 2, b"ANSI_QUOTES"),
    (1 << 21, b"STRICT_TRANS_TABLES"),
    (1 << 22, b"STRICT_ALL_TABLES"),
    (1 << 25, b"ALLOW_INVALID_DATES"),
];

/// What servers have reported of it; of a new session what the login OK says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dialect {
    is_strict: bool,
    allows_invalid_dates: bool,
    ansi_quotes: bool,
    pipes_as_concat: bool,
    /// `character_set_client`
    client: Charset,
    /// `character_set_connection`
    connection: Option<TextCharset>,
    zone: Option<Zone>,
}

impl Default for Dialect {
    /// Of a server that reports nothing: OceanBase's defaults, and no time zone.
    fn default() -> Self {
        Self {
            is_strict: true,
            allows_invalid_dates: false,
            ansi_quotes: false,
            pipes_as_concat: false,
            client: Charset::Plain,
            connection: Some(TextCharset::Utf8mb4),
            zone: None,
        }
    }
}

impl Dialect {
    /// A server reports a system variable.
    pub(super) fn learn(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"sql_mode" => self.learn_mode(value),
            b"character_set_client" => self.client = Charset::of_name(value),
            b"character_set_connection" => self.connection = TextCharset::of_name(value),
            b"time_zone" => self.zone = Zone::of(value),
            _ => {}
        }
    }

    /// The character set of the login is gone: COM_RESET_CONNECTION.
    pub(super) const fn forget_charset(&mut self) {
        self.client = Charset::Plain;
        self.connection = Some(TextCharset::Utf8mb4);
    }

    fn learn_mode(&mut self, value: &[u8]) {
        let number: Option<u64> = std::str::from_utf8(value).ok().and_then(|t| t.parse().ok());
        let has = |name: &[u8]| match number {
            Some(bits) => {
                let mode = MODES.iter().find(|(_, n)| *n == name);
                mode.is_some_and(|(bit, _)| bits & bit != 0)
            }
            None => value
                .split(|b| *b == b',')
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(name)),
        };
        self.is_strict = has(b"STRICT_TRANS_TABLES") || has(b"STRICT_ALL_TABLES");
        self.allows_invalid_dates = has(b"ALLOW_INVALID_DATES");
        self.ansi_quotes = has(b"ANSI_QUOTES");
        self.pipes_as_concat = has(b"PIPES_AS_CONCAT");
    }

    /// For a scan. `status`: bits of the last reply, where NO_BACKSLASH_ESCAPES is one.
    pub(super) const fn syntax(&self, status: u16) -> Syntax {
        Syntax {
            charset: self.client,
            ansi_quotes: self.ansi_quotes,
            no_backslash_escapes: status & status::NO_BACKSLASH_ESCAPES != 0,
            pipes_as_concat: self.pipes_as_concat,
        }
    }

    /// Of texts in literals and parameters.
    pub(super) const fn charset(&self) -> Option<TextCharset> {
        self.connection
    }

    /// For the calculation of partitions.
    pub(super) fn context<'a>(&self, status: u16, database: &'a [u8]) -> Context<'a> {
        Context {
            zone: self.zone,
            is_strict: self.is_strict,
            allows_invalid_dates: self.allows_invalid_dates,
            syntax: self.syntax(status),
            charset: self.connection,
            database,
            ..Context::default()
        }
    }
}
