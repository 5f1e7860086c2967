//! Selects without a table, SET, and user locks.

use super::data::On;
use super::execute::{Outcome, Ran, Run, Stop, done, unsupported};
use super::reply::{Definition, Failure};
use super::state::USER_VARIABLES_MAX;
use super::statement::{Assignment, Expr, Function};
use super::table::{BINARY, DECIMAL, LONG, LONGLONG, UTF8MB4, VAR_STRING, Value};
use super::variables::Kind;
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Greeting;

/// Variables that may be set, where the engine knows what follows from it.
const SETTABLE: [&str; 28] = [
    "_current_default_catalog",
    "_nlj_batching_enabled",
    "auto_increment_increment",
    "auto_increment_offset",
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_database",
    "character_set_results",
    "foreign_key_checks",
    "identity",
    "interactive_timeout",
    "last_insert_id",
    "max_execution_time",
    "net_read_timeout",
    "net_write_timeout",
    "ob_enable_transmission_checksum",
    "ob_last_schema_version",
    "ob_log_level",
    "ob_query_timeout",
    "ob_trx_idle_timeout",
    "ob_trx_lock_timeout",
    "ob_trx_timeout",
    "sql_mode",
    "sql_safe_updates",
    "time_zone",
    "unique_checks",
    "wait_timeout",
];
/// Consistency of reads, by number.
const CONSISTENCY: [&str; 3] = ["FROZEN", "WEAK", "STRONG"];
/// Longest text of a user variable that is shown, in bytes.
const TEXT_LENGTH: u32 = 0x10_0000;
/// Digits of a decimal of a user variable.
const DECIMAL_LENGTH: u32 = 83;

impl Run<'_> {
    pub(super) fn values(&mut self, list: &[(Function, Vec<u8>)]) -> Ran {
        // What waits is tried again from the beginning: it stands alone.
        // So does a text: beside others the kernel defines it in another way.
        let stands_alone = |f: &Function| {
            let is_text = matches!(f, Function::Literal(Expr::Text(_)));
            is_text || matches!(f, Function::Sleep(_) | Function::GetLock(..))
        };
        if list.len() > 1 && list.iter().any(|(f, _)| stands_alone(f)) {
            return Err(unsupported());
        }
        let mut columns = vec![];
        let mut row = vec![];
        for (function, name) in list {
            columns.push(self.defined(function, name)?);
            row.push(self.value(function)?);
        }
        Ok(Outcome::Rows {
            columns,
            rows: vec![row],
            bits: self.state.bits(),
        })
    }

    /// How the result of a function is defined.
    pub(super) fn defined(&self, function: &Function, name: &[u8]) -> Result<Definition, Stop> {
        let number = |flags| Definition::computed(name, LONGLONG, BINARY, 20, flags);
        let text = |length, flags| Definition::computed(name, VAR_STRING, UTF8MB4, length, flags);
        let unset = || Definition::computed(name, VAR_STRING, BINARY, TEXT_LENGTH, 0x80);
        Ok(match function {
            Function::Literal(Expr::Int(n)) if *n >= 0 => number(0x81),
            Function::Literal(Expr::Text(t)) => {
                let chars = std::str::from_utf8(t).map_err(|_| unsupported())?.chars();
                text(chars.count() as u32 * 4, 1 | self.binary_flag())
            }
            Function::Literal(_) => return Err(unsupported()),
            Function::User(variable) => match self.state.user.get(&variable.to_lowercase()) {
                None | Some(Expr::Null | Expr::Parameter(_)) => unset(),
                Some(Expr::Int(_)) => number(0x80),
                Some(Expr::Text(_)) => text(TEXT_LENGTH, self.binary_flag()),
                Some(Expr::Decimal(digits)) => {
                    let point = digits.iter().rev().position(|b| *b == b'.');
                    let mut d = Definition::computed(name, DECIMAL, BINARY, DECIMAL_LENGTH, 0x80);
                    d.decimals = point.unwrap_or(0) as u8;
                    d
                }
            },
            Function::System(variable) => match Kind::of(&self.variable(variable)?) {
                Kind::Switch | Kind::Number => number(0x80),
                Kind::Text => text(0x4000, self.binary_flag()),
            },
            Function::Column(name) => return Err(unknown_column(name)),
            Function::LastInsertId => number(0xA1),
            Function::ConnectionId => Definition::computed(name, LONG, BINARY, 10, 0xA0),
            Function::Database => text(0x200, 0),
            Function::Sleep(_)
            | Function::GetLock(..)
            | Function::ReleaseLock(_)
            | Function::ReleaseAllLocks
            | Function::IsFreeLock(_)
            | Function::IsUsedLock(_) => number(0x80),
        })
    }

    /// Texts of a connection whose collation is utf8mb4_bin are called binary.
    fn binary_flag(&self) -> u16 {
        let is_binary = self.who.charset == Greeting::CHARSET && !self.state.is_named;
        if is_binary { 0x80 } else { 0 }
    }

    fn variable(&self, typed: &str) -> Result<String, Stop> {
        let unknown = || {
            let name = typed.to_lowercase();
            let name = name.rsplit('.').next().unwrap_or_default();
            Failure::new(1193, "HY000", format!("Unknown system variable '{name}'"))
        };
        let name = super::parse::session_name(typed).ok_or_else(unsupported)?;
        let (name, default) = self.data.defaults.find(&name).ok_or_else(unknown)?;
        let set = self.state.variables.get(name);
        if set.is_none() && name == "collation_connection" && self.binary_flag() != 0 {
            return Ok("utf8mb4_bin".into());
        }
        Ok(set.unwrap_or(default).into())
    }

    fn value(&mut self, function: &Function) -> Result<Value, Stop> {
        Ok(match function {
            Function::Literal(expr) => shown(expr),
            Function::User(name) => {
                let value = self.state.user.get(&name.to_lowercase());
                value.map_or(Value::Null, shown)
            }
            Function::System(name) => {
                let value = self.variable(name)?;
                match (Kind::of(&value), value.as_str()) {
                    (Kind::Switch, on) => Value::Int(i64::from(on == "ON")),
                    (Kind::Number, digits) => Value::Int(digits.parse().unwrap_or(0)),
                    (Kind::Text, text) => Value::Text(text.into()),
                }
            }
            Function::Column(name) => return Err(unknown_column(name)),
            Function::LastInsertId => Value::Int(self.state.insert_id as i64),
            Function::ConnectionId => Value::Int(i64::from(self.state.visible)),
            Function::Database if self.state.database.is_empty() => Value::Null,
            Function::Database => Value::Text(self.state.database.clone().into()),
            Function::Sleep(micros) => {
                let until_us = self.since_us.saturating_add(*micros);
                if self.now_us < until_us {
                    let on = On::Time;
                    return Err(Stop::Wait { on, until_us });
                }
                Value::Int(0)
            }
            Function::GetLock(name, micros) => self.get_lock(name, *micros)?,
            Function::ReleaseLock(name) => {
                let owner = self.lock_owner(true)?;
                let released = self.data.unlock(name, owner);
                if released == Some(true) && !self.data.has_locks(owner) {
                    self.state.locks = Some(false);
                }
                released.map_or(Value::Null, |r| Value::Int(i64::from(r)))
            }
            Function::ReleaseAllLocks => {
                let owner = self.lock_owner(true)?;
                let n = self.data.unlock_all(owner);
                if n > 0 {
                    self.state.locks = Some(false);
                }
                Value::Int(n as i64)
            }
            Function::IsFreeLock(name) => {
                Value::Int(i64::from(self.data.lock_owner(name).is_none()))
            }
            Function::IsUsedLock(name) => {
                let owner = self.data.lock_owner(name);
                owner.map_or(Value::Null, |o| Value::Int(i64::from(o)))
            }
        })
    }

    /// Whose user locks this session takes and gives back.
    fn lock_owner(&self, is_release: bool) -> Result<u32, Stop> {
        if !self.who.is_proxy {
            return Ok(self.state.id);
        }
        let bits = capability::CLIENT_SESSION_ID_V2 | capability::FEEDBACK_PROXY;
        if !self.has_packets || !self.who.has(bits) {
            let text = "Not supported feature or function";
            return Err(Failure::new(1235, "0A000", text).into());
        }
        match self.who.client_id {
            Some(id) => Ok(id),
            None if is_release => Err(Failure::new(4016, "HY000", "Internal error").into()),
            None => Ok(self.state.id),
        }
    }

    fn get_lock(&mut self, name: &[u8], micros: Option<u64>) -> Result<Value, Stop> {
        let owner = self.lock_owner(false)?;
        let had_locks = self.data.has_locks(owner);
        match self.data.lock(name, owner) {
            None => Err(unsupported()),
            Some(true) => {
                if !had_locks {
                    self.state.locks = Some(true);
                }
                Ok(Value::Int(1))
            }
            Some(false) => {
                let query = self.state.number(self.data, "ob_query_timeout").max(0) as u64;
                let until_us = self
                    .since_us
                    .saturating_add(micros.unwrap_or(query).min(query));
                if self.now_us < until_us {
                    let on = On::Lock(name.to_vec());
                    return Err(Stop::Wait { on, until_us });
                }
                Ok(Value::Int(0))
            }
        }
    }

    pub(super) fn set(&mut self, assignments: &[Assignment]) -> Ran {
        for assignment in assignments {
            match assignment {
                Assignment::User(name, expr) => {
                    let value = self.bound(expr)?.clone();
                    let is_new = !self.state.user.contains_key(name);
                    if is_new && self.state.user.len() >= USER_VARIABLES_MAX {
                        return Err(unsupported());
                    }
                    self.state.changes.user(name, literal(&value));
                    self.state.user.insert(name.clone(), value);
                }
                Assignment::Names(name) => {
                    if name != "utf8mb4" {
                        return Err(unsupported());
                    }
                    self.state.set("character_set_client", name);
                    self.state.set("character_set_results", name);
                    self.state.set("character_set_connection", name);
                    if self.binary_flag() != 0 {
                        let collation = "utf8mb4_general_ci";
                        self.state.set("collation_connection", collation);
                    }
                    self.state.is_named = true;
                }
                Assignment::System(name, expr) => {
                    let value = self.bound(expr)?.clone();
                    self.set_system(name, &value)?;
                }
            }
        }
        Ok(done())
    }

    fn set_system(&mut self, name: &str, value: &Expr) -> Result<(), Stop> {
        let typed = match value {
            Expr::Int(n) => n.to_string(),
            Expr::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => return Err(unsupported()),
        };
        let unknown = || Failure::new(1193, "HY000", format!("Unknown system variable '{name}'"));
        let (name, default) = self.data.defaults.find(name).ok_or_else(unknown)?;
        let wrong = || {
            let text = format!("Variable '{name}' can't be set to the value of '{typed}'");
            Stop::from(Failure::new(1231, "42000", text))
        };
        let value = match name {
            "ob_read_consistency" => {
                let by_number = typed.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let known = match by_number {
                    Some(n) => CONSISTENCY.get(n),
                    None => CONSISTENCY.iter().find(|c| c.eq_ignore_ascii_case(&typed)),
                };
                (*known.ok_or_else(wrong)?).to_owned()
            }
            "tx_isolation" | "transaction_isolation" if typed == "READ-COMMITTED" => typed.clone(),
            _ if SETTABLE.contains(&name) => {
                let kind = Kind::of(default);
                if kind == Kind::Number && typed.parse::<i64>().is_err() {
                    let text = format!("Incorrect argument type to variable '{name}'");
                    return Err(Failure::new(1232, "42000", text).into());
                }
                kind.take(&typed).ok_or_else(wrong)?
            }
            _ => return Err(unsupported()),
        };
        if name == "ob_enable_transmission_checksum" && value == "OFF"
            || name == "time_zone" && !is_offset(&value)
        {
            return Err(unsupported());
        }
        if name == "autocommit" {
            let is_on = value == "ON";
            if is_on {
                self.commit();
            }
            if is_on == self.state.autocommit() {
                self.state.changes.is_any = true;
                return Ok(());
            }
        }
        if name == "ob_query_timeout" && self.state.number(self.data, name).to_string() == value {
            self.state.changes.is_any = true;
            return Ok(());
        }
        if name == "last_insert_id" || name == "identity" {
            let first = if name == "identity" {
                ["identity", "last_insert_id"]
            } else {
                ["last_insert_id", "identity"]
            };
            self.state.insert_id = value.parse().unwrap_or(0);
            self.state.is_dirty = true;
            for name in first {
                self.state.changes.system(name, value.clone());
            }
            return Ok(());
        }
        self.state.set(name, &value);
        Ok(())
    }
}

/// True for a time zone as an offset, `+08:00`. Names depend on what a server has loaded.
fn is_offset(zone: &str) -> bool {
    let [sign, h1, h2, b':', m1, m2] = *zone.as_bytes() else {
        return false;
    };
    let hour = [h1, h2];
    matches!(sign, b'+' | b'-')
        && [h1, h2, m1, m2].iter().all(u8::is_ascii_digit)
        && hour <= *b"12"
        && m1 <= b'5'
}

fn unknown_column(name: &str) -> Stop {
    let text = format!("Unknown column '{name}' in 'field list'");
    Failure::new(1054, "42S22", text).into()
}

fn shown(expr: &Expr) -> Value {
    match expr {
        Expr::Int(n) => Value::Int(*n),
        Expr::Text(text) | Expr::Decimal(text) => Value::Text(text.clone()),
        Expr::Null | Expr::Parameter(_) => Value::Null,
    }
}

/// A value as an OK tells it.
fn literal(value: &Expr) -> Vec<u8> {
    match value {
        Expr::Int(n) => n.to_string().into(),
        Expr::Decimal(digits) => digits.clone(),
        Expr::Null | Expr::Parameter(_) => b"NULL".to_vec(),
        Expr::Text(text) => {
            let mut out = vec![b'\''];
            for byte in text {
                if matches!(byte, b'\'' | b'\\') {
                    out.push(b'\\');
                }
                out.push(*byte);
            }
            out.push(b'\'');
            out
        }
    }
}
