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
    (1 << 29, b"HIGH_NOT_PRECEDENCE"),
];

/// What servers have reported of it; of a new session what the login OK says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dialect {
    is_strict: bool,
    allows_invalid_dates: bool,
    ansi_quotes: bool,
    pipes_as_concat: bool,
    high_not_precedence: bool,
    /// How bytes are characters in `character_set_connection`. Statements are read by it and not
    /// by `character_set_client`, and neither literals nor parameters are converted from that one:
    /// observed on seekdb 1.3.0 with all pairs of latin1, gbk, gb18030, big5, binary and utf8mb4.
    bytes: Charset,
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
            high_not_precedence: false,
            bytes: Charset::Plain,
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
            b"character_set_connection" => {
                self.bytes = Charset::of_name(value);
                self.connection = TextCharset::of_name(value);
            }
            b"time_zone" => self.zone = Zone::of(value),
            _ => {}
        }
    }

    /// The character set of the login is gone: COM_RESET_CONNECTION.
    pub(super) const fn forget_charset(&mut self) {
        self.bytes = Charset::Plain;
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
        self.high_not_precedence = has(b"HIGH_NOT_PRECEDENCE");
    }

    /// For a scan. `status`: bits of the last reply, where NO_BACKSLASH_ESCAPES is one.
    pub(super) const fn syntax(&self, status: u16) -> Syntax {
        Syntax {
            charset: self.bytes,
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
            high_not_precedence: self.high_not_precedence,
            syntax: self.syntax(status),
            charset: self.connection,
            database,
            ..Context::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read_by_the_character_set_of_the_connection() {
        let mut dialect = Dialect::default();
        dialect.learn(b"character_set_client", b"gbk");
        assert_eq!(dialect.syntax(0).charset, Charset::Plain);
        assert_eq!(dialect.charset(), Some(TextCharset::Utf8mb4));
        dialect.learn(b"character_set_client", b"utf8mb4");
        dialect.learn(b"character_set_connection", b"gbk");
        assert_eq!(dialect.syntax(0).charset, Charset::Gbk);
        assert_eq!(dialect.charset(), Some(TextCharset::Gbk));
        dialect.forget_charset();
        assert_eq!(dialect.syntax(0).charset, Charset::Plain);
    }

    #[test]
    fn modes_are_known_by_name_and_by_number() {
        let mut dialect = Dialect::default();
        for (value, is_strict, is_high) in [
            (&b"STRICT_ALL_TABLES,HIGH_NOT_PRECEDENCE"[..], true, true),
            (b"", false, false),
            (b"536870912", false, true),
            (b"4194304", true, false),
        ] {
            dialect.learn(b"sql_mode", value);
            let context = dialect.context(0, b"");
            let found = (context.is_strict, context.high_not_precedence);
            assert_eq!(found, (is_strict, is_high), "{value:?}");
        }
    }
}
