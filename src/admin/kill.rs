//! KILL by the administrator.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::Desk;
use crate::session::SessionIds;

/// `KILL [CONNECTION | PROXYSESSION] id`
pub(super) fn session(desk: &mut Desk, statement: &Statement) -> Step {
    let [token] = statement.tail() else {
        return Refusal::step(1064, "42000", "KILL takes one connection id");
    };
    let Some(id) = token.value().and_then(|v| v.parse::<u32>().ok()) else {
        let text = format!("{:?} is not a connection id", token.value().unwrap_or("?"));
        return Refusal::step(1210, "HY000", text);
    };
    if id == statement.ask.session {
        return Step::Done(Reply::LastError(Refusal {
            code: 1317,
            state: "70100",
            text: "Query execution was interrupted".into(),
        }));
    }
    // The id names the proxy and the core.
    let proxy_id = u16::try_from(desk.settings.proxy_id).unwrap_or_default();
    let ids = SessionIds::new(proxy_id, 0, desk.facts.serving_cores);
    match ids.owner(id) {
        Some(core) => Step::Kill { core, id },
        None => Refusal::step(1094, "HY000", format!("Unknown thread id: {id}")),
    }
}

/// `KILL QUERY id`: a matter of the server.
pub(super) fn query(_: &mut Desk, _: &Statement) -> Step {
    Refusal::step(
        1235,
        "0A000",
        "KILL QUERY is carried out by the server of a session: send it from a session of the same \
         tenant",
    )
}
