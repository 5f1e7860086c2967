//! Faults that are switched on: what goes wrong, where, and how often.

use crate::feedback::FeedbackMode;
use crate::views::RowFault;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Faults at a time; more are refused.
const FAULTS_MAX: usize = 1_024;

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", content = "value", rename_all = "snake_case")]
pub enum FaultKind {
    /// A connection is accepted and nothing happens for so many milliseconds.
    AcceptDelayMs(u64),
    /// The greeting comes so many milliseconds late.
    GreetingDelayMs(u64),
    /// The login is answered with this error.
    LoginError(u16),
    /// The password of `proxyro` is wrong, whatever it is.
    ProxyroPassword,
    /// Logins and requests of tenant `sys` end their link with a reset.
    SysUnreachable,
    /// The request is answered with this error and does not run.
    ErrorNext(u16),
    /// The reply begins so many microseconds late; the request has run.
    ReplyDelayUs(u64),
    /// The link is reset after so many bytes of the reply.
    ResetAfterBytes(u64),
    /// From this byte of the reply on nothing is as it should be.
    GarbageAfterBytes(u64),
    /// After so many bytes of the reply the server says that nothing more comes, and reads on.
    HalfClose(u64),
    /// The last checksum of the reply is wrong. Not in plain framing, which has none.
    BadCrc,
    /// The number of the reply's first packet is wrong.
    BadSeq,
    /// The reply names another connection. In OceanBase 2.0 only.
    WrongConnectionId,
    /// The reply breaks off with an error after so many rows; the statement has run.
    ErrorAfterRows {
        /// Rows that are sent.
        rows: u64,
        /// The error.
        code: u16,
    },
    /// Where statements ran is told in another way than by the rule.
    Feedback(FeedbackMode),
    /// A statement about the cluster is answered with this error.
    MetaError(u16),
    /// A statement about the cluster is answered so many milliseconds late.
    MetaDelayMs(u64),
    /// Rows of the cluster's views are wrong.
    MetaRows(RowFault),
    /// There is no view of this name: error 1146.
    ViewMissing(String),
}

/// When a fault is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    Accept,
    Greeting,
    Login,
    Request,
    Reply,
    Views,
}

impl FaultKind {
    const fn is_for(&self, moment: Moment) -> bool {
        match self {
            Self::AcceptDelayMs(_) => matches!(moment, Moment::Accept),
            Self::GreetingDelayMs(_) => matches!(moment, Moment::Greeting),
            Self::LoginError(_) | Self::ProxyroPassword => matches!(moment, Moment::Login),
            Self::SysUnreachable => matches!(moment, Moment::Login | Moment::Request),
            Self::ErrorNext(_) => matches!(moment, Moment::Request),
            Self::ReplyDelayUs(_)
            | Self::ResetAfterBytes(_)
            | Self::GarbageAfterBytes(_)
            | Self::HalfClose(_)
            | Self::BadCrc
            | Self::BadSeq
            | Self::WrongConnectionId
            | Self::ErrorAfterRows { .. }
            | Self::Feedback(_) => matches!(moment, Moment::Reply),
            Self::MetaError(_)
            | Self::MetaDelayMs(_)
            | Self::MetaRows(_)
            | Self::ViewMissing(_) => matches!(moment, Moment::Views),
        }
    }

    /// Users and tenants that it is about by itself.
    fn is_about(&self, scope: &Scope<'_>) -> bool {
        match self {
            Self::ProxyroPassword => scope.user == "proxyro",
            Self::SysUnreachable => scope.tenant == "sys",
            _ => true,
        }
    }
}

/// A fault, and where it happens: everything that is none means everywhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// On this server only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<u32>,
    /// For links of this tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// For requests of this command only, by its name in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// For statements only whose text holds this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// So many times; then the fault is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

impl Fault {
    /// A fault that happens everywhere and always.
    #[must_use]
    pub const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            server: None,
            tenant: None,
            command: None,
            sql: None,
            next: None,
        }
    }

    /// The same on one server only.
    #[must_use]
    pub const fn on(mut self, server: u32) -> Self {
        self.server = Some(server);
        self
    }

    /// The same for statements that hold a text.
    #[must_use]
    pub fn sql(mut self, text: &str) -> Self {
        self.sql = Some(text.into());
        self
    }

    /// The same so many times.
    #[must_use]
    pub const fn times(mut self, next: u32) -> Self {
        self.next = Some(next);
        self
    }

    fn happens(&self, moment: Moment, scope: &Scope<'_>) -> bool {
        let fits = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        self.kind.is_for(moment)
            && self.kind.is_about(scope)
            && self.server.is_none_or(|s| s == scope.server)
            && fits(&self.tenant, scope.tenant)
            && fits(&self.command, scope.command)
            && self
                .sql
                .as_ref()
                .is_none_or(|s| scope.sql.contains(s.as_str()))
    }
}

/// What is going on where a fault could happen. What is not known yet is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Scope<'a> {
    pub(crate) server: u32,
    pub(crate) tenant: &'a str,
    pub(crate) user: &'a str,
    pub(crate) command: &'a str,
    pub(crate) sql: &'a str,
}

/// The faults that are on.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches a fault on. False if there are too many.
    pub(crate) fn add(&self, fault: Fault) -> bool {
        let mut faults = self.lock();
        let has_room = faults.len() < FAULTS_MAX;
        if has_room && fault.next != Some(0) {
            faults.push(fault);
        }
        has_room
    }

    /// Switches all faults off.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    /// What goes wrong now. Each fault that is told has happened once.
    pub(crate) fn at(&self, moment: Moment, scope: &Scope<'_>) -> Vec<FaultKind> {
        let mut happened = vec![];
        self.lock().retain_mut(|fault| {
            if !fault.happens(moment, scope) {
                return true;
            }
            happened.push(fault.kind.clone());
            match &mut fault.next {
                None => true,
                Some(left) => {
                    *left -= 1;
                    *left > 0
                }
            }
        });
        happened
    }
}

/// The SQLSTATE that goes with an error number.
pub(crate) const fn sqlstate(code: u16) -> &'static str {
    match code {
        1044 | 1045 | 1049 | 1064 | 1203 => "42000",
        1040 | 8001 | 8002 | 8003 => "08004",
        1053 | 1152 | 1153 => "08S01",
        1054 => "42S22",
        1146 => "42S02",
        1213 | 6002 => "40000",
        1235 => "0A000",
        1317 => "70100",
        _ => "HY000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'static> = Scope {
        server: 2,
        tenant: "test",
        user: "root",
        command: "query",
        sql: "select 1 /* 7 */",
    };

    #[test]
    fn a_fault_happens_in_its_scope_and_so_many_times() {
        let faults = Faults::default();
        let error = FaultKind::ErrorNext(4012);
        faults.add(Fault::new(error.clone()).on(2).sql("7").times(2));
        faults.add(Fault::new(error.clone()).on(3));
        faults.add(Fault::new(FaultKind::SysUnreachable));
        let at = |scope: &Scope<'_>| faults.at(Moment::Request, scope);
        assert_eq!(at(&SCOPE), std::slice::from_ref(&error));
        let other = Scope {
            sql: "select 2",
            ..SCOPE
        };
        assert_eq!(at(&other), []);
        assert_eq!(at(&SCOPE), [error]);
        assert_eq!(at(&SCOPE), [], "used up");
        assert_eq!(faults.list().len(), 2);
        let sys = Scope {
            tenant: "sys",
            ..SCOPE
        };
        assert_eq!(at(&sys), [FaultKind::SysUnreachable]);
        faults.clear();
        assert_eq!(at(&sys), []);
    }

    #[test]
    fn faults_read_as_written() {
        for text in [
            r#"{"fault":"login_error","value":1045,"server":1,"next":2}"#,
            r#"{"fault":"bad_crc"}"#,
            r#"{"fault":"error_after_rows","value":{"rows":3,"code":4012},"sql":"x"}"#,
            r#"{"fault":"meta_rows","value":"one_bad","tenant":"sys"}"#,
            r#"{"fault":"feedback","value":"always_miss","server":1}"#,
            r#"{"fault":"view_missing","value":"DBA_OB_ZONES","command":"query"}"#,
        ] {
            let fault: Fault = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&fault).unwrap(), text);
        }
        assert!(serde_json::from_str::<Fault>(r#"{"fault":"flood"}"#).is_err());
    }
}
