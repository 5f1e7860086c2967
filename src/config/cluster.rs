//! The clusters to serve: the start-up cluster of OBProxy's settings and the `[[cluster]]` tables.

use super::{ConfigError, Notice, Settings, Source, Stage1, What};
use std::net::SocketAddr;

/// Clusters that one proxy serves: each has a link id of its own on the metadata core.
const CLUSTERS_MAX: usize = 255;

/// A cluster to serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// Name, as logins give it.
    pub name: String,
    /// SQL addresses of root servers, at least one; any of them may be dead.
    pub root_servers: Vec<SocketAddr>,
    /// SHA1 of the cluster's own password of `proxyro@sys`, in the order to try. At most two; an
    /// empty list means that it has no password, `None` that the general ones hold
    /// ([`Settings::general_passwords`]).
    pub sys_password_stage1: Option<Vec<Stage1>>,
    /// False when the operator gave no name: then servers must not be asked to check it.
    pub named: bool,
}

/// A `[[cluster]]` of the file.
#[derive(Clone, Debug)]
pub(super) struct FileCluster {
    pub(super) name: String,
    pub(super) root_servers: Vec<SocketAddr>,
    /// `None`: it has no password of its own, that of the settings holds.
    pub(super) passwords: Option<Vec<Stage1>>,
    /// The operator gave the name.
    pub(super) named: bool,
    /// Where it stands.
    pub(super) source: Source,
}

/// Where the values that choose the start-up cluster came from.
pub(super) struct StartUp<'a> {
    pub(super) servers: &'a Source,
    pub(super) name: &'a Source,
    pub(super) password: &'a Source,
}

/// Puts the start-up cluster of `settings` and the tables of the file together; the start-up
/// cluster comes first.
pub(super) fn assemble(
    settings: &Settings,
    start_up: &StartUp<'_>,
    mut file: Vec<FileCluster>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Cluster>, ConfigError> {
    let name = &settings.rootservice_cluster_name;
    let named = !start_up.name.is_default();
    let place = file.iter().position(|c| &c.name == name);
    let fail = |source: &Source, what| {
        let source = source.clone();
        Err(ConfigError { source, what })
    };
    let servers = &settings.rootservice_list;
    if servers.is_empty() {
        match place {
            _ if file.is_empty() => return fail(&Source::Default, What::NoCluster),
            Some(at) if named => file[..=at].rotate_right(1),
            None if named => return fail(start_up.name, What::NoSuchCluster(name.clone())),
            _ => {}
        }
    } else {
        let own = match place {
            Some(at) if named => Some(at),
            None if named => None,
            _ if file.len() > 1 => return fail(start_up.servers, What::WhichCluster),
            _ => (!file.is_empty()).then_some(0),
        };
        if let Some(at) = own {
            notices.push(Notice::Overridden {
                name: format!("cluster {} rootservice_list", file[at].name),
                file: file[at].source.clone(),
                by: start_up.servers.clone(),
            });
            file[at].root_servers.clone_from(servers);
            file[..=at].rotate_right(1);
        } else {
            file.insert(
                0,
                FileCluster {
                    name: name.clone(),
                    root_servers: servers.clone(),
                    passwords: None,
                    named,
                    source: start_up.servers.clone(),
                },
            );
        }
    }
    if let Some(excess) = file.get(CLUSTERS_MAX) {
        return fail(&excess.source, What::ManyClusters(CLUSTERS_MAX));
    }
    let clusters = file.into_iter().map(|c| {
        let is_published = c.passwords.is_none() && start_up.password.is_default();
        if is_published
            && c.root_servers
                .iter()
                .any(|a| !a.ip().to_canonical().is_loopback())
        {
            notices.push(Notice::PublishedPassword {
                cluster: c.name.clone(),
            });
        }
        Cluster {
            named: c.named,
            sys_password_stage1: c.passwords,
            name: c.name,
            root_servers: c.root_servers,
        }
    });
    Ok(clusters.collect())
}

impl Settings {
    /// SHA1 of the passwords of `proxyro@sys` for clusters without one of their own, in the order
    /// to try.
    #[must_use]
    pub fn general_passwords(&self) -> Vec<Stage1> {
        distinct([self.observer_sys_password, self.observer_sys_password1])
    }
}

/// The passwords that are there, each once.
pub(super) fn distinct(slots: [Option<Stage1>; 2]) -> Vec<Stage1> {
    let mut list: Vec<_> = slots.into_iter().flatten().collect();
    list.dedup();
    list
}
