//! ALTER PROXYCONFIG.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::Desk;
use crate::config::{self, Alter, AlterError, Reload};

/// `ALTER PROXYCONFIG SET name = value`
pub(super) fn config(desk: &mut Desk, statement: &Statement) -> Step {
    let (name, value) = match statement.tail() {
        [name, sign, value] if sign.is_sign('=') => (name.value(), value.value()),
        _ => (None, None),
    };
    let (Some(name), Some(value)) = (name, value) else {
        let text = "ALTER PROXYCONFIG SET takes one name = 'value' or name = number";
        return Refusal::step(1064, "42000", text);
    };
    match config::alter(&desk.settings, name, value) {
        Ok(Alter::OneShot) => Step::Done(Reply::Ok(without_effect(name))),
        Ok(Alter::Idle {
            row,
            stored,
            settings,
        }) => match desk.change(row.name, &stored, *settings) {
            Ok(()) => Step::Done(Reply::Ok(without_effect(name))),
            Err(what) => unchanged(name, &what),
        },
        Ok(Alter::Changed {
            row,
            stored,
            settings,
        }) => match desk.change(row.name, &stored, *settings) {
            Ok(()) => Step::Done(Reply::Ok(match row.reload {
                Reload::Live => String::new(),
                Reload::NewSessions => "it holds for sessions that begin now".into(),
                Reload::Restart => "it holds from the next start on".into(),
            })),
            Err(what) => unchanged(name, &what),
        },
        Err(AlterError::Unknown(name)) => {
            Refusal::step(5099, "42000", format!("Unknown config name '{name}'"))
        }
        Err(AlterError::Fixed(name)) => Refusal::step(
            1235,
            "0A000",
            format!("{name} cannot be changed while the proxy runs"),
        ),
        Err(AlterError::Value(bad)) => Refusal::step(4147, "HY000", bad.to_string()),
    }
}

fn without_effect(name: &str) -> String {
    format!("{name} is accepted and has no effect in this version")
}

fn unchanged(name: &str, what: &str) -> Step {
    Refusal::step(4016, "HY000", format!("{name} is unchanged: {what}"))
}
