//! The configuration service: where proxies learn which clusters there are and where their root
//! servers stand. HTTP on a port of its own, so that it can be down.
//!
//! Paths and documents are those of the open-source configuration server of OceanBase: `/services`
//! with `Action` = `GetObProxyConfig`, `GetObRootServiceInfoUrlTemplate`, `ObRootServiceInfo` or
//! `ObIDCRegionInfo`.

mod document;
mod service;

pub(crate) use service::{Port, follow, port};

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Clusters besides the own one; more are refused.
pub const CLUSTERS_MAX: usize = 1_024;

/// What the service does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigMode {
    /// Answers.
    #[default]
    Ok,
    /// Refuses connections.
    Down,
    /// Answers with HTTP status 500.
    Http500,
    /// Answers with a page for people.
    Html,
    /// Answers with another `Message`, and `Success` false.
    WrongMessage,
    /// Names no clusters, and no root servers.
    EmptyList,
    /// Names another cluster than was asked for.
    OtherCluster,
    /// Leaves out the list of clusters, or of root servers.
    MissingField,
    /// Breaks off in the middle of the document.
    Truncated,
    /// Sends its document byte by byte, 20 a second.
    Slow,
    /// Never ends its document.
    Endless,
    /// Sends the client back to where it came from.
    RedirectLoop,
    /// Names the clusters in another order each time, with another version.
    Shuffle,
}

/// A cluster that the service names besides the own one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OtherCluster {
    /// Its name.
    pub name: String,
    /// Its number, 1 if none is given.
    #[serde(default = "one")]
    pub id: u64,
    /// SQL addresses of its root servers, the leader first.
    pub rs: Vec<SocketAddr>,
}

const fn one() -> u64 {
    1
}

/// What the service says and does.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Config {
    /// What it does.
    #[serde(default)]
    pub mode: ConfigMode,
    /// The action that the mode is about; the others are answered. None: all of them.
    #[serde(default)]
    pub action: Option<String>,
    /// Clusters besides the own one, in this order behind it.
    #[serde(default)]
    pub clusters: Vec<OtherCluster>,
    /// The own cluster is not named.
    #[serde(default)]
    pub without_own: bool,
}
