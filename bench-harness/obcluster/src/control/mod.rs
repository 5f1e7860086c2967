//! The control interface: HTTP and JSON. Every change answers `{"seq":n,"t_us":t}`, so that its
//! caller can order it against the log.
//!
//! | call | body |
//! |---|---|
//! | `GET /state`, `/counters`, `/links` | |
//! | `GET /violations` | answers a list of [`BrokenRule`](crate::violation::BrokenRule) |
//! | `GET /log?from=SEQ` | answers JSON lines |
//! | `POST /servers` | `{"zone":"z1","address":"127.0.1.9:2881"}`, the address optional |
//! | `POST /servers/{server}/kill`, `start`, `stop`, `shutdown` | |
//! | `POST /servers/{server}/hang`, `resume`, `blackhole`, `remove` | |
//! | `POST /servers/{server}/status` | `{"status":"DELETING"}` |
//! | `POST /ls/{id}/leader` | `{"tenant":"test","server":2}`; without a server an election |
//! | `POST /tables/{db.table}/leaders` | `{"tenant":"test","leaves":{"0":2}}` |
//! | `POST /tablets/{id}/ls` | `{"tenant":"test","ls":1002}` |
//! | `POST /tenants` | `{"name":"t2","servers":[1,2]}` |
//! | `POST /tenants/{name}/servers` | `{"servers":[2,3],"finished":true}` |
//! | `DELETE /tenants/{name}` | |
//! | `POST /zones/{name}` | any of `status`, `type`, `idc`, `region`, `merging` (true, false) |
//! | `POST /links/{id}/cut` | |
//! | `GET /faults`, `DELETE /faults` | what is on; all off |
//! | `POST /faults` | one of [`Fault`](crate::fault::Fault) or a list of them |
//! | `POST /timing` | any of `election_ms`, `lease_ms`, `init_ms`, `stop_ms`, `location_lag_ms` |
//! | `GET /config`, `POST /config` | [`Config`](crate::config::Config), all of it |
//! | `POST /reset` | faults and violations gone, configuration service ok, all as at the start |
//!
//! A server is named by its number or its address. What cannot be done answers 400 and
//! `{"error":text}`.

mod calls;

use crate::shared::Shared;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;

/// A call that cannot be done.
pub(crate) struct Refused(String);

impl<E: std::error::Error> From<E> for Refused {
    fn from(e: E) -> Self {
        Self(e.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(json!({ "error": self.0 }))).into_response()
    }
}

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Accepting goes on for ever; what a call does wrong is answered to it.
    let _ = axum::serve(listener, calls::router(shared)).await;
}
