//! What a session adds to a statement: its settings and its values.

use super::charset::TextCharset;
use super::value::Value;
use super::zone::Zone;
use crate::sql::Syntax;

/// Settings and values of a session. The default knows nothing that it was not told.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// `time_zone`; `None` if it is not known.
    pub zone: Option<Zone>,
    /// STRICT_ALL_TABLES or STRICT_TRANS_TABLES in `sql_mode`: a value that does not fit fails.
    pub is_strict: bool,
    /// ALLOW_INVALID_DATES in `sql_mode`.
    pub allows_invalid_dates: bool,
    /// HIGH_NOT_PRECEDENCE in `sql_mode`: `NOT k <> 5` is `(NOT k) <> 5`.
    pub high_not_precedence: bool,
    /// Modes that change how text is read, and how its bytes are.
    pub syntax: Syntax,
    /// `character_set_connection`; `None` if it is not known.
    pub charset: Option<TextCharset>,
    /// The time that `now()` gives, in microseconds since 1970-01-01 UTC; `None`: not known.
    pub now_us: Option<i64>,
    /// Parameters of a prepared statement, by position. What is missing is not known.
    pub params: &'a [Option<Value<'a>>],
    /// User variables that are known, by name without `@`.
    pub variables: &'a [(&'a [u8], Value<'a>)],
    /// The current database; empty if there is none.
    pub database: &'a [u8],
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self {
            zone: None,
            is_strict: true,
            allows_invalid_dates: false,
            high_not_precedence: false,
            syntax: Syntax::default(),
            charset: Some(TextCharset::Utf8mb4),
            now_us: None,
            params: &[],
            variables: &[],
            database: b"",
        }
    }
}
