//! SHOW of settings, sessions and counters. Columns: operations.md 3.4.

use super::command::{Refusal, Reply, Statement, Step};
use super::desk::{Desk, Heard};
use super::listing::{Listing, like};
use crate::base::{CloseReason, CoreId, Event, Stage};
use crate::config::{IdleRow, Reload, Row, TABLE};
use crate::routing::{SessionRow, SessionState, Subject};
use crate::telemetry::{Core, readable};
use std::sync::Arc;

/// `SHOW PROXYCONFIG [LIKE 'p']`
pub(super) fn config(desk: &mut Desk, statement: &Statement) -> Step {
    settings(desk, statement, false)
}

/// `SHOW PROXYCONFIG DIFF [USER] [LIKE 'p']`: what is not the default.
pub(super) fn config_diff(desk: &mut Desk, statement: &Statement) -> Step {
    settings(desk, statement, true)
}

fn settings(desk: &Desk, statement: &Statement, is_diff: bool) -> Step {
    let Some(pattern) = statement.pattern() else {
        return wrong_tail("SHOW PROXYCONFIG");
    };
    let mut listing = Listing::new(&[
        "name",
        "value",
        "info",
        "need_reboot",
        "visible_level",
        "range",
        "config_level",
    ]);
    for row in TABLE.iter().filter(|row| like(pattern, row.name)) {
        let value = row.value(&desk.settings);
        if is_diff && is_default(row, &value) {
            continue;
        }
        listing.row(
            [
                row.name,
                &value,
                row.doc.trim(),
                if row.reload == Reload::Restart {
                    "true"
                } else {
                    "false"
                },
                if row.kind.is_secret() { "SYS" } else { "USER" },
                &row.allowed(),
                "LEVEL_GLOBAL",
            ]
            .map(|text| Some(text.to_owned())),
        );
    }
    let idle = IdleRow::all().iter().filter(|row| row.is_listed());
    for row in idle.filter(|row| like(pattern, row.name)) {
        let value = desk.settings.idle_value(row);
        if is_diff && (row.is_secret() || value == row.default) {
            continue;
        }
        let shown = match row.is_secret() && !value.is_empty() {
            true => "***",
            false => value,
        };
        listing.row(
            [
                row.name,
                shown,
                "No effect in this version.",
                row.need_reboot,
                row.visible_level,
                row.range,
                row.config_level,
            ]
            .map(|text| Some(text.to_owned())),
        );
    }
    Step::Done(Reply::Rows(listing))
}

/// A secret is not compared: that would tell it.
fn is_default(row: &Row, value: &str) -> bool {
    row.kind.is_secret() || value == row.default
}

/// `SHOW PROXYSESSION [LIKE 'p']`: the pattern is for users.
pub(super) fn sessions(_: &mut Desk, statement: &Statement) -> Step {
    match statement.pattern() {
        Some(_) => Step::Gather(Subject::Sessions, list_sessions),
        None => wrong_tail("SHOW PROXYSESSION"),
    }
}

/// `SHOW [FULL] PROCESSLIST`
pub(super) fn processes(_: &mut Desk, statement: &Statement) -> Step {
    match statement.tail() {
        [] => Step::Gather(Subject::Sessions, list_processes),
        _ => wrong_tail("SHOW PROCESSLIST"),
    }
}

fn list_sessions(desk: &Desk, statement: &Statement, heard: &Heard) -> Reply {
    let pattern = statement.pattern().unwrap_or_default();
    let mut listing = Listing::new(&[
        "proxy_sessid#",
        "Id#",
        "Cluster",
        "Tenant",
        "User",
        "Host",
        "db",
        "trans_count#",
        "svr_session_count#",
        "state",
        "tid#",
        "pid#",
        "using_ssl#",
    ]);
    let fits = |row: &&SessionRow| like(pattern, &text(row.user.as_deref()));
    for row in heard.sessions.iter().filter(fits) {
        let proxy_session = row.proxy_session.to_string();
        let cluster = text(row.cluster.as_deref());
        let [id, rest @ ..] = process(desk, row);
        let [tenant, user, host, db, transactions, links, state, tid, pid] = rest;
        listing.row(
            [
                proxy_session,
                id,
                cluster,
                tenant,
                user,
                host,
                db,
                transactions,
                links,
                state,
                tid,
                pid,
                "0".into(),
            ]
            .map(Some),
        );
    }
    Reply::Rows(listing)
}

fn list_processes(desk: &Desk, _: &Statement, heard: &Heard) -> Reply {
    let mut listing = Listing::new(&[
        "Id#",
        "Tenant",
        "User",
        "Host",
        "db",
        "trans_count#",
        "svr_session_count#",
        "state",
        "tid#",
        "pid#",
    ]);
    for row in &heard.sessions {
        listing.row(process(desk, row).map(Some));
    }
    Reply::Rows(listing)
}

/// What both lists show, in the order of the process list.
fn process(desk: &Desk, row: &SessionRow) -> [String; 10] {
    [
        row.id.to_string(),
        text(row.tenant.as_deref()),
        text(row.user.as_deref()),
        row.peer.to_string(),
        database(row),
        row.transactions.to_string(),
        row.links.to_string(),
        state(row).into(),
        row.core.0.to_string(),
        desk.facts.pid.to_string(),
    ]
}

fn text(name: Option<&[u8]>) -> String {
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

/// OBProxy writes the word where there is none.
fn database(row: &SessionRow) -> String {
    row.database
        .as_deref()
        .map_or_else(|| "NULL".into(), |db| text(Some(db)))
}

const fn state(row: &SessionRow) -> &'static str {
    match row.state {
        SessionState::Init => "MCS_INIT",
        SessionState::Active => "MCS_ACTIVE_READER",
        SessionState::KeepAlive => "MCS_KEEP_ALIVE",
    }
}

/// `SHOW PROXYSTAT [REFRESH] [LIKE 'p']`: sums over all cores. Nothing is cached, so there is
/// nothing to refresh.
pub(super) fn stat(_: &mut Desk, statement: &Statement) -> Step {
    match statement.pattern() {
        Some(_) => Step::Gather(Subject::RouteCounts, list_stat),
        None => wrong_tail("SHOW PROXYSTAT"),
    }
}

fn list_stat(desk: &Desk, statement: &Statement, heard: &Heard) -> Reply {
    let pattern = statement.pattern().unwrap_or_default();
    let cores = desk
        .facts
        .counters
        .get()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let sum = |of: &dyn Fn(&Core) -> u64| cores.iter().map(|core| of(core)).sum::<u64>();
    let mut listing = Listing::new(&["stat_name", "value#", "persist_type"]);
    let mut put = |name: &str, value: u64| {
        if like(pattern, name) {
            listing.row([Some(name.into()), Some(value.to_string()), None]);
        }
    };
    // OBProxy's names, for what means the same here.
    let clients = sum(&|c| c.clients.get());
    let links = sum(&|c| c.links.get());
    put("client_requests", sum(&|c| c.event(Event::Request)));
    let completed = sum(&|c| c.event(Event::Reply) + c.event(Event::LocalReply));
    put("client_completed_requests", completed);
    put("client_connections_currently_open", clients);
    put("global_client_connections_currently_open", clients);
    put("server_connections_currently_open", links);
    put("global_connections_currently_open", clients + links);
    put(
        "server_connect_count",
        sum(&|c| c.event(Event::LinkConnect)),
    );
    put(
        "broken_server_connections",
        sum(&|c| c.event(Event::LinkLost)),
    );
    let aborted = [CloseReason::ClientGone, CloseReason::ClientReset];
    let aborted = sum(&|c| aborted.iter().map(|&reason| c.close(reason)).sum());
    put("client_connection_abort_count", aborted);
    // Ours.
    for &event in Event::ALL {
        put(event.name(), sum(&|c| c.event(event)));
    }
    for &reason in CloseReason::ALL {
        put(
            &format!("closed_{}", reason.name()),
            sum(&|c| c.close(reason)),
        );
    }
    put("turns", sum(&|c| c.turns.get()));
    put("spill_bytes", sum(&|c| c.spill_bytes.get()));
    put("starved_now", sum(&|c| c.starved.get()));
    put("clients_refused", sum(&|c| c.clients_refused.get()));
    put("stale_completions", sum(&|c| c.stale.get()));
    put("outputs_dropped", sum(&|c| c.outputs_dropped.get()));
    put("mail_dropped", sum(&|c| c.mail_dropped.get()));
    for &stage in Stage::ALL {
        put_stage(&format!("stage_{}", stage.name()), stage, cores, &mut put);
    }
    // What tells whether cores are loaded alike.
    for one in cores {
        let name = match one.id {
            CoreId::METADATA => "core_metadata".into(),
            CoreId(n) => format!("core_{n}"),
        };
        put(&format!("{name}_clients"), one.clients.get());
        put(&format!("{name}_links"), one.links.get());
        put(&format!("{name}_requests"), one.event(Event::Request));
        put(&format!("{name}_turns"), one.turns.get());
        for &stage in Stage::ALL {
            put_stage(
                &format!("{name}_stage_{}", stage.name()),
                stage,
                std::slice::from_ref(one),
                &mut put,
            );
        }
    }
    super::route::put_counts(desk, heard, &mut put);
    Reply::Rows(listing)
}

/// How long requests were in one stage on some cores, in nanoseconds.
fn put_stage(name: &str, stage: Stage, cores: &[Arc<Core>], put: &mut impl FnMut(&str, u64)) {
    let mut all = readable();
    let mut sum_ns = 0;
    for core in cores {
        core.stage(stage).add_to(&mut all);
        sum_ns += core.stage(stage).sum_ns();
    }
    put(&format!("{name}_count"), all.len());
    put(&format!("{name}_sum_ns"), sum_ns);
    for (quantile, q) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
        put(&format!("{name}_{quantile}_ns"), all.value_at_quantile(q));
    }
    put(&format!("{name}_max_ns"), all.max());
}

fn wrong_tail(command: &str) -> Step {
    Refusal::step(
        1064,
        "42000",
        format!("{command} takes LIKE 'pattern' or nothing behind it"),
    )
}
