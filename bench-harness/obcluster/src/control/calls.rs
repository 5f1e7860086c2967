//! The calls about servers, leaders, tenants and links, and what can be looked at.

use super::Refused;
use crate::config::Config;
use crate::fault::Fault;
use crate::shared::{Done, Shared};
use crate::state::{Change, NoSuch};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

type Cluster = State<Arc<Shared>>;
type Answer = Result<Json<Done>, Refused>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/state", get(state))
        .route("/counters", get(counters))
        .route("/links", get(links))
        .route("/violations", get(violations))
        .route("/log", get(log))
        .route("/servers", post(add_server))
        .route("/servers/{server}/status", post(status))
        .route("/servers/{server}/{what}", post(server))
        .route("/ls/{id}/leader", post(leader))
        .route("/tables/{table}/leaders", post(leaves))
        .route("/tablets/{id}/ls", post(tablet))
        .route("/tenants", post(add_tenant))
        .route("/tenants/{name}", delete(drop_tenant))
        .route("/tenants/{name}/servers", post(move_tenant))
        .route("/zones/{name}", post(zone))
        .route("/links/{id}/cut", post(cut))
        .route("/faults", post(add_faults).get(faults).delete(clear_faults))
        .route("/timing", post(timing))
        .route("/config", post(set_config).get(config))
        .route("/reset", post(reset))
        .with_state(shared)
}

/// A server in a body: its number or its address.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ServerName {
    Number(u32),
    Address(String),
}

impl ServerName {
    /// Its number.
    pub(super) fn resolve(&self, shared: &Shared) -> Result<u32, NoSuch> {
        let text = match self {
            Self::Number(n) => n.to_string(),
            Self::Address(text) => text.clone(),
        };
        number_of(shared, &text)
    }
}

fn number_of(shared: &Shared, text: &str) -> Result<u32, NoSuch> {
    let state = shared.state();
    let by_number = text.parse().ok();
    let by_address: Option<SocketAddr> = text.parse().ok();
    let found = state
        .servers
        .iter()
        .find(|s| Some(s.id) == by_number || Some(s.address) == by_address);
    found
        .map(|s| s.id)
        .ok_or_else(|| NoSuch(format!("no server {text}")))
}

fn default_tenant() -> String {
    "test".into()
}

async fn change(shared: &Arc<Shared>, change: Change) -> Answer {
    Ok(Json(shared.change(&change).await?))
}

async fn state(State(shared): Cluster) -> Result<Json<Value>, Refused> {
    let mut shown = serde_json::to_value(&*shared.state())?;
    shown["seq"] = json!(shared.record.next());
    Ok(Json(shown))
}

async fn counters(State(shared): Cluster) -> Result<Json<Value>, Refused> {
    Ok(Json(serde_json::to_value(shared.counters())?))
}

async fn links(State(shared): Cluster) -> Result<Json<Value>, Refused> {
    Ok(Json(serde_json::to_value(shared.link_list())?))
}

async fn violations(State(shared): Cluster) -> Result<Json<Value>, Refused> {
    Ok(Json(serde_json::to_value(shared.violations.list())?))
}

#[derive(Debug, Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

async fn log(State(shared): Cluster, Query(from): Query<From>) -> Result<Response, Refused> {
    let mut lines = String::new();
    for entry in shared.record.since(from.from) {
        lines += &serde_json::to_string(&entry)?;
        lines.push('\n');
    }
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, lines).into_response())
}

#[derive(Debug, Deserialize)]
struct NewServer {
    zone: String,
    address: Option<SocketAddr>,
}

async fn add_server(
    State(shared): Cluster,
    Json(new): Json<NewServer>,
) -> Result<Json<Value>, Refused> {
    let (id, address, done) = shared.add_server(&new.zone, new.address).await?;
    let address = address.to_string();
    Ok(Json(json!({
        "server": id, "address": address, "seq": done.seq, "t_us": done.t_us
    })))
}

async fn server(State(shared): Cluster, Path((name, what)): Path<(String, String)>) -> Answer {
    let server = number_of(&shared, &name)?;
    let made = match what.as_str() {
        "kill" => Change::Kill(server),
        "start" => Change::Start(server),
        "stop" | "shutdown" => Change::Stop {
            server,
            shutdown: what == "shutdown",
        },
        "hang" => Change::Hang(server),
        "resume" => Change::Resume(server),
        "blackhole" => Change::Blackhole(server),
        "remove" => Change::Remove(server),
        _ => return Err(Refused(format!("no such thing: {what}"))),
    };
    change(&shared, made).await
}

#[derive(Debug, Deserialize)]
struct Status {
    status: String,
}

async fn status(
    State(shared): Cluster,
    Path(name): Path<String>,
    Json(new): Json<Status>,
) -> Answer {
    let server = number_of(&shared, &name)?;
    let status = new.status;
    change(&shared, Change::Status { server, status }).await
}

#[derive(Debug, Deserialize)]
struct Leader {
    #[serde(default = "default_tenant")]
    tenant: String,
    server: Option<ServerName>,
}

async fn leader(State(shared): Cluster, Path(id): Path<u64>, Json(new): Json<Leader>) -> Answer {
    let server = new.server.map(|s| s.resolve(&shared)).transpose()?;
    let made = Change::Lead {
        tenant: new.tenant,
        stream: id,
        server,
    };
    change(&shared, made).await
}

#[derive(Debug, Deserialize)]
struct Leaves {
    #[serde(default = "default_tenant")]
    tenant: String,
    leaves: BTreeMap<u32, ServerName>,
}

async fn leaves(
    State(shared): Cluster,
    Path(table): Path<String>,
    Json(new): Json<Leaves>,
) -> Answer {
    let mut last = Err(Refused("no leaves".into()));
    for (leaf, server) in new.leaves {
        let made = Change::PlaceLeaf {
            tenant: new.tenant.clone(),
            table: table.clone(),
            leaf,
            server: server.resolve(&shared)?,
        };
        last = Ok(change(&shared, made).await?);
    }
    last
}

#[derive(Debug, Deserialize)]
struct Tablet {
    #[serde(default = "default_tenant")]
    tenant: String,
    ls: u64,
}

async fn tablet(State(shared): Cluster, Path(id): Path<u64>, Json(new): Json<Tablet>) -> Answer {
    let made = Change::PlaceTablet {
        tenant: new.tenant,
        tablet: id,
        stream: new.ls,
    };
    change(&shared, made).await
}

fn numbers(shared: &Shared, names: &[ServerName]) -> Result<Vec<u32>, NoSuch> {
    names.iter().map(|name| name.resolve(shared)).collect()
}

#[derive(Debug, Deserialize)]
struct NewTenant {
    name: String,
    servers: Vec<ServerName>,
}

async fn add_tenant(State(shared): Cluster, Json(new): Json<NewTenant>) -> Answer {
    let servers = numbers(&shared, &new.servers)?;
    let tenant = new.name;
    change(&shared, Change::AddTenant { tenant, servers }).await
}

async fn drop_tenant(State(shared): Cluster, Path(name): Path<String>) -> Answer {
    change(&shared, Change::DropTenant(name)).await
}

#[derive(Debug, Deserialize)]
struct Move {
    servers: Vec<ServerName>,
    finished: Option<bool>,
}

async fn move_tenant(
    State(shared): Cluster,
    Path(tenant): Path<String>,
    Json(new): Json<Move>,
) -> Answer {
    let made = Change::MoveTenant {
        tenant,
        servers: numbers(&shared, &new.servers)?,
        finished: new.finished.unwrap_or(true),
    };
    change(&shared, made).await
}

#[derive(Debug, Deserialize)]
struct Zone {
    status: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    idc: Option<String>,
    region: Option<String>,
    merging: Option<bool>,
}

async fn zone(State(shared): Cluster, Path(zone): Path<String>, Json(new): Json<Zone>) -> Answer {
    if let Some(is_merging) = new.merging {
        let zone = zone.clone();
        let _ = change(&shared, Change::Merge { zone, is_merging }).await?;
    }
    let made = Change::Zone {
        zone,
        status: new.status,
        kind: new.kind,
        idc: new.idc,
        region: new.region,
    };
    change(&shared, made).await
}

async fn cut(State(shared): Cluster, Path(id): Path<u64>) -> Answer {
    let done = shared.note(format!("cut link {id}"));
    match shared.cut(|link, _| link == id).await {
        0 => Err(Refused(format!("no link {id}"))),
        _ => Ok(Json(done)),
    }
}

/// One fault or several. A server may be named by its address, too.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Faults {
    Many(Vec<Value>),
    One(Value),
}

/// A fault whose server may be named by its address.
fn fault_of(shared: &Shared, mut value: Value) -> Result<Fault, Refused> {
    if let Some(Value::String(text)) = value.get("server") {
        value["server"] = json!(number_of(shared, text)?);
    }
    Ok(serde_json::from_value(value)?)
}

async fn add_faults(State(shared): Cluster, Json(new): Json<Faults>) -> Answer {
    let list = match new {
        Faults::Many(list) => list,
        Faults::One(one) => vec![one],
    };
    let read = list.into_iter().map(|value| fault_of(&shared, value));
    let list = read.collect::<Result<Vec<_>, _>>()?;
    let done = shared.note(format!("{list:?}"));
    for fault in list {
        if !shared.faults.add(fault) {
            return Err(Refused("too many faults".into()));
        }
    }
    Ok(Json(done))
}

async fn faults(State(shared): Cluster) -> Json<Vec<Fault>> {
    Json(shared.faults.list())
}

async fn clear_faults(State(shared): Cluster) -> Json<Done> {
    let done = shared.note("clear faults".into());
    shared.faults.clear();
    Json(done)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTiming {
    election_ms: Option<u64>,
    lease_ms: Option<u64>,
    init_ms: Option<u64>,
    stop_ms: Option<u64>,
    location_lag_ms: Option<u64>,
    remote_us: Option<u64>,
    tx_on_leader_loss: Option<LeaderLoss>,
}

/// What becomes of transactions that wrote where a server dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LeaderLoss {
    Rollback,
    Keep,
}

async fn timing(State(shared): Cluster, Json(new): Json<NewTiming>) -> Json<Done> {
    let mut state = shared.state();
    let timing = &mut state.timing;
    for (field, new) in [
        (&mut timing.election_ms, new.election_ms),
        (&mut timing.lease_ms, new.lease_ms),
        (&mut timing.init_ms, new.init_ms),
        (&mut timing.stop_ms, new.stop_ms),
        (&mut timing.location_lag_ms, new.location_lag_ms),
        (&mut timing.remote_us, new.remote_us),
    ] {
        *field = new.unwrap_or(*field);
    }
    let told = format!("{timing:?}");
    if let Some(what) = new.tx_on_leader_loss {
        state.keeps_lost_transactions = what == LeaderLoss::Keep;
    }
    Json(shared.note(format!(
        "{told}, tx_on_leader_loss {:?}",
        new.tx_on_leader_loss
    )))
}

async fn config(State(shared): Cluster) -> Json<Config> {
    Json(shared.config().clone())
}

async fn set_config(State(shared): Cluster, Json(new): Json<Config>) -> Answer {
    Ok(Json(shared.set_config(new).await?))
}

async fn reset(State(shared): Cluster) -> Answer {
    Ok(Json(shared.reset().await?))
}
