//! What all tasks of a cluster share.

use crate::builtin::Layout;
use crate::clock::now_us;
use crate::config::{self, CLUSTERS_MAX, Config};
use crate::fault::Faults;
use crate::judge::Court;
use crate::record::{Entry, Kind, Outcome, Record};
use crate::server::{Servers, listen};
use crate::shadow::{Numbering, Shadows};
use crate::state::{Change, Network, NoSuch, Process, State};
use crate::tally::Tallies;
use crate::topology::Topology;
use crate::views::Views;
use crate::violation::{Violation, ViolationKind, Violations};
use rustls::ServerConfig;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// How long a change waits for the links that it cuts to be gone.
const CUT_TIME: Duration = Duration::from_secs(5);
/// How long the kernel has for ending a connection that was killed.
const KILL_TIME: Duration = Duration::from_secs(1);

/// What a server's links must know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ServerView {
    pub(crate) process: Process,
    pub(crate) network: Network,
}

impl ServerView {
    /// True when bytes flow. Nothing leaves a dead server, also not what a hang has held.
    pub(crate) fn carries(&self) -> bool {
        self.network == Network::Open && self.process != Process::Dead
    }
}

/// Links at a time. A server refuses more with error 1040; here it is the cluster.
pub(crate) const LINKS_MAX: usize = 20_000;

/// A link that is there.
#[derive(Debug)]
pub(crate) struct LinkHandle {
    pub(crate) server: u32,
    pub(crate) kernel_id: u32,
    /// Where the kernel sees it come from.
    pub(crate) kernel_peer: Option<SocketAddr>,
    pub(crate) user: String,
    pub(crate) tenant: String,
    pub(crate) is_proxy: bool,
    /// `__client_session_id` of its login.
    pub(crate) client_sid: String,
    /// True orders its end.
    pub(crate) cut: watch::Sender<bool>,
}

/// A link, as the control interface shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LinkInfo {
    /// Its number.
    pub link: u64,
    /// The server it was made to.
    pub server: u32,
    /// Connection id that its greeting told.
    pub kernel_id: u32,
    /// Its user; empty before the login.
    pub user: String,
    /// Its tenant; empty before the login.
    pub tenant: String,
    /// A proxy made it.
    pub is_proxy: bool,
}

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Accepted connections, by server.
    pub accepted: BTreeMap<u32, u64>,
    /// Successful logins, by server.
    pub logins: BTreeMap<u32, u64>,
    /// Requests, by server.
    pub requests: BTreeMap<u32, u64>,
    /// Statements answered from views, by the views they name.
    pub views: BTreeMap<String, u64>,
    /// Questions to the configuration service, by action.
    pub config: BTreeMap<String, u64>,
    /// Rules that proxies broke, by rule.
    pub violations: BTreeMap<ViolationKind, u64>,
    /// Verdicts on the requests of proxies, by class of statement.
    pub verdicts: Tallies,
    /// Links that are there now.
    pub links: u64,
    /// Entries that the log has dropped from memory.
    pub log_dropped: u64,
}

/// The cluster behind all its tasks.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) kernel: SocketAddr,
    /// Engine `builtin` stands in the place of a kernel.
    pub(crate) is_builtin: bool,
    /// Clients may speak TLS with these.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// What the cluster looked like at its start, and where its servers were.
    pub(crate) topology: Topology,
    addresses: Vec<SocketAddr>,
    pub(crate) state: Mutex<State>,
    pub(crate) views: Views,
    pub(crate) court: Arc<Court>,
    pub(crate) record: Record,
    pub(crate) violations: Violations,
    pub(crate) shadows: Shadows,
    pub(crate) faults: Faults,
    pub(crate) servers: Servers,
    pub(crate) config_port: config::Port,
    /// Questions that the configuration service was asked.
    pub(crate) config_asked: AtomicU64,
    config: Mutex<Config>,
    counters: Mutex<Counters>,
    links: Mutex<HashMap<u64, LinkHandle>>,
    /// Rings when a link is gone.
    link_gone: Notify,
    next_link: AtomicU64,
}

/// A change that was made, for the caller's order of things.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Done {
    /// Its number in the log: entries with a higher number began after it.
    pub seq: u64,
    /// When it was made, in microseconds since 1970.
    pub t_us: u64,
}

impl Shared {
    pub(crate) fn new(
        kernel: SocketAddr,
        topology: Topology,
        state: State,
        views: Views,
        record: Record,
        config_port: config::Port,
        (builtin, tls): (Option<Arc<Layout>>, Option<Arc<ServerConfig>>),
    ) -> Self {
        let judge = topology.judge;
        let numbering = match builtin {
            None => Numbering::Seekdb,
            Some(_) => Numbering::Full,
        };
        Self {
            is_builtin: builtin.is_some(),
            tls,
            kernel,
            topology,
            addresses: state.servers.iter().map(|s| s.address).collect(),
            state: Mutex::new(state),
            court: Court::with(kernel, views.tables(), judge, builtin),
            views,
            record,
            violations: Violations::default(),
            shadows: Shadows::new(numbering),
            faults: Faults::default(),
            servers: Servers::default(),
            config_port,
            config_asked: AtomicU64::new(0),
            config: Mutex::default(),
            counters: Mutex::default(),
            links: Mutex::default(),
            link_gone: Notify::new(),
            next_link: AtomicU64::new(1),
        }
    }

    /// The state, with everything that is due made true.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(now_us());
        state
    }

    /// What the configuration service says and does.
    pub(crate) fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes that.
    ///
    /// # Errors
    /// Too many clusters; or the port cannot be opened again.
    pub(crate) async fn set_config(self: &Arc<Self>, config: Config) -> Result<Done, NoSuch> {
        if config.clusters.len() > CLUSTERS_MAX {
            return Err(NoSuch(format!("at most {CLUSTERS_MAX} clusters")));
        }
        let done = self.note(format!("{config:?}"));
        *self.config() = config;
        let followed = config::follow(self, None).await;
        followed.map_err(|e| NoSuch(e.to_string()))?;
        Ok(done)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<u64, LinkHandle>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut counters);
    }

    /// What was counted.
    pub(crate) fn counters(&self) -> Counters {
        let mut all = self
            .counters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        all.links = self.links().len() as u64;
        all.log_dropped = self.record.dropped();
        all
    }

    /// True when there are more links than [`LINKS_MAX`].
    pub(crate) fn is_full(&self) -> bool {
        self.links().len() > LINKS_MAX
    }

    /// A new link; what it gets is its number and how it learns of its end.
    pub(crate) fn add_link(&self, server: u32) -> (u64, watch::Receiver<bool>) {
        let id = self.next_link.fetch_add(1, Ordering::Relaxed);
        let (cut, ordered) = watch::channel(false);
        let handle = LinkHandle {
            server,
            kernel_id: 0,
            kernel_peer: None,
            user: String::new(),
            tenant: String::new(),
            is_proxy: false,
            client_sid: String::new(),
            cut,
        };
        self.links().insert(id, handle);
        (id, ordered)
    }

    /// Notes what became known of a link.
    pub(crate) fn note_link(&self, id: u64, note: impl FnOnce(&mut LinkHandle)) {
        if let Some(link) = self.links().get_mut(&id) {
            note(link);
        }
    }

    pub(crate) fn drop_link(&self, id: u64) {
        self.shadows.end(id);
        self.links().remove(&id);
        self.link_gone.notify_waiters();
    }

    /// The links that are there.
    pub(crate) fn link_list(&self) -> Vec<LinkInfo> {
        let links = self.links();
        let each = links.iter().map(|(id, l)| LinkInfo {
            link: *id,
            server: l.server,
            kernel_id: l.kernel_id,
            user: l.user.clone(),
            tenant: l.tenant.clone(),
            is_proxy: l.is_proxy,
        });
        let mut list: Vec<_> = each.collect();
        list.sort_by_key(|l| l.link);
        list
    }

    /// Ends links with a reset of both their sockets and waits until they are gone, in the kernel
    /// too: their locks are free then. Returns how many there were.
    pub(crate) async fn cut(&self, which: impl Fn(u64, &LinkHandle) -> bool) -> usize {
        let mut ordered = vec![];
        let mut peers = vec![];
        for (id, link) in self.links().iter() {
            if which(*id, link) {
                link.cut.send_replace(true);
                ordered.push(*id);
                peers.extend(link.kernel_peer);
            }
        }
        if ordered.is_empty() {
            return 0;
        }
        let gone = async {
            loop {
                let rung = self.link_gone.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if !self.links().keys().any(|id| ordered.contains(id)) {
                    return;
                }
                rung.await;
            }
        };
        // A link that writes to nobody ends all the same; this is for a machine under load.
        let _ = timeout(CUT_TIME, gone).await;
        // A kernel that cannot be asked holds no locks.
        let _ = timeout(CUT_TIME, self.views.sessions_gone(&peers)).await;
        ordered.len()
    }

    /// True if a link of another server has this kernel connection.
    pub(crate) fn is_elsewhere(&self, kernel_id: u32, server: u32) -> bool {
        let links = self.links();
        let mut of_id = links.values().filter(|l| l.kernel_id == kernel_id);
        of_id.any(|link| link.server != server)
    }

    /// The numbers of sessions on a server, of one tenant or of all: those of connections, and of
    /// clients where these are known.
    pub(crate) fn sessions_of(&self, server: u32, tenant: Option<&str>) -> HashSet<u32> {
        let links = self.links();
        let own = links.values().filter(|link| {
            link.server == server && tenant.is_none_or(|tenant| link.tenant == tenant)
        });
        own.flat_map(|link| [Some(link.kernel_id), link.client_sid.parse().ok()])
            .flatten()
            .collect()
    }

    /// The links with this client session id.
    pub(crate) fn links_of(&self, client_sid: u32) -> Vec<u64> {
        let sid = client_sid.to_string();
        let links = self.links();
        let of_id = links.iter().filter(|(_, link)| link.client_sid == sid);
        of_id.map(|(id, _)| *id).collect()
    }

    /// Ends links whose common client session id was killed from link `own`, which may be one of
    /// them and has its answer. One of them is the kernel's to end, with a last error perhaps.
    pub(crate) async fn cut_killed(&self, before: &[u64], own: u64) {
        let gone = async {
            loop {
                let rung = self.link_gone.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                let is_there = |id| self.links().contains_key(id);
                if !before.iter().all(is_there) {
                    return;
                }
                rung.await;
            }
        };
        // The one may be gone already: then none of these will go by itself.
        let _ = timeout(KILL_TIME, gone).await;
        self.cut(|id, _| id != own && before.contains(&id)).await;
    }

    /// Notes broken rules with their request.
    pub(crate) fn note_violations(&self, entry: &mut Entry, found: Vec<Violation>) {
        if found.is_empty() {
            return;
        }
        self.count(|c| {
            for violation in &found {
                *c.violations.entry(violation.kind).or_default() += 1;
            }
        });
        self.violations.add(entry, &found);
        entry.violations.extend(found);
    }

    /// Notes a call of the control interface or of the handle.
    pub(crate) fn note(&self, what: String) -> Done {
        let t_us = now_us();
        let mut entry = Entry {
            kind: Kind::Control,
            t_recv_us: t_us,
            t_exec_us: t_us,
            t_done_us: t_us,
            cmd: "control".into(),
            sql_len: what.len() as u64,
            sql: what,
            outcome: Outcome::Model,
            ..Entry::default()
        };
        entry.seq = self.record.begin(entry.clone());
        self.record.end(&entry);
        Done {
            seq: entry.seq,
            t_us,
        }
    }

    /// Makes a change and everything that follows from it at once: ports, links.
    ///
    /// # Errors
    /// What the change names is not there; or a port that cannot be opened.
    pub(crate) async fn change(self: &Arc<Self>, change: &Change) -> Result<Done, NoSuch> {
        let done = {
            let mut state = self.state();
            state.apply(change, now_us())?;
            self.note(format!("{change:?}"))
        };
        self.follow().await.map_err(|e| NoSuch(e.to_string()))?;
        Ok(done)
    }

    /// Adds a server to a zone and starts it, on the next address or on the one given.
    ///
    /// # Errors
    /// The port cannot be opened; the cluster is as before.
    pub(crate) async fn add_server(
        self: &Arc<Self>,
        zone: &str,
        address: Option<SocketAddr>,
    ) -> io::Result<(u32, SocketAddr, Done)> {
        let next = self.state().next_server();
        let asked = match address {
            Some(address) => address,
            None => self.topology.address(next).map_err(io::Error::other)?,
        };
        let listener = TcpListener::from_std(listen(asked)?)?;
        let address = listener.local_addr()?;
        let id = self.state().add_server(address, zone, now_us());
        self.servers.adopt(id, listener).await;
        let done = self
            .change(&Change::Start(id))
            .await
            .map_err(io::Error::other)?;
        Ok((id, address, done))
    }

    /// Makes the cluster what it was at its start. Links of servers that stay are kept.
    ///
    /// # Errors
    /// A port that cannot be opened again.
    pub(crate) async fn reset(self: &Arc<Self>) -> Result<Done, NoSuch> {
        self.faults.clear();
        self.violations.clear();
        let done = self.set_config(Config::default()).await?;
        {
            let mut state = self.state();
            *state = State::new(&self.topology, &self.addresses, now_us());
        }
        self.follow().await.map_err(|e| NoSuch(e.to_string()))?;
        Ok(done)
    }

    /// Brings ports and links in line with the state, now and whenever something is due.
    pub(crate) async fn follow(self: &Arc<Self>) -> io::Result<()> {
        let followed = self.servers.follow(self).await;
        let due = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .settle(now_us());
        if let Some(due) = due {
            self.servers.wake_at(self, due);
        }
        followed
    }
}
