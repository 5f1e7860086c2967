//! obring with several serving cores in front of a model cluster, and sessions of which it is known
//! on which core each is.

use crate::process::Obring;
use crate::raw::{Conn, Login};
use obcluster::{Cluster, Engine, Entry, Kind, Topology};
use std::collections::BTreeMap;

use super::Setup;

/// Serving cores, more than this machine may have CPUs for.
pub(super) const CORES: usize = 4;
/// The tenant of all clients.
pub(super) const TENANT: &str = "test";
/// Most logins until there are enough sessions on each core.
const LOGINS_MAX: u32 = 1_024;
/// Entries of the log that are copied at once.
const PIECE: u64 = 256;

/// A cluster, an obring in front of it, and the cores of its sessions.
pub(super) struct Front {
    pub(super) cluster: Cluster,
    pub(super) proxy: Obring,
    /// `tid` of SHOW PROXYSESSION by the client session id, which server connections tell.
    cores: BTreeMap<String, String>,
}

impl Front {
    /// Starts both and waits until obring knows the cluster.
    pub(super) fn start(
        setup: &Setup,
        topology: Topology,
        engine: impl Into<Engine>,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let cluster = Cluster::start(topology, engine).map_err(|e| format!("model: {e}"))?;
        let settings = [&[("cpu_affinity", "False")], settings].concat();
        let proxy = setup.start_at(&cluster, CORES, &settings)?;
        Ok(Self {
            cluster,
            proxy,
            cores: BTreeMap::new(),
        })
    }

    /// The administrator of obring.
    pub(super) fn admin(&self) -> Result<Conn, String> {
        Conn::login(self.proxy.address(), &Login::user("root@proxysys", ""))
    }

    /// A session, on whichever core.
    pub(super) fn client(&self, db: &str) -> Result<Conn, String> {
        let login = Login::user(&format!("root@{TENANT}#obcluster"), "").db(db);
        Conn::login(self.proxy.address(), &login)
    }

    /// Sessions, so many on each core.
    pub(super) fn sessions(&mut self, each: usize, db: &str) -> Result<Vec<Conn>, String> {
        let mut admin = self.admin()?;
        let mut on: BTreeMap<String, usize> = BTreeMap::new();
        let mut kept = vec![];
        // The system spreads connections over the listeners as it likes.
        for _ in 0..LOGINS_MAX {
            let client = self.client(db)?;
            let rows = admin.rows("show proxysession like 'root'")?;
            let new = rows.iter().find_map(|row| {
                let (id, tid) = (row[1].clone()?, row[10].clone()?);
                let is_new = row[3].as_deref() == Some(TENANT) && !self.cores.contains_key(&id);
                is_new.then_some((id, tid))
            });
            let (id, tid) = new.ok_or_else(|| format!("a new session is not in {rows:?}"))?;
            self.cores.insert(id, tid.clone());
            let count = on.entry(tid).or_default();
            *count += 1;
            if *count <= each {
                kept.push(client);
            }
            if on.len() == CORES && on.values().all(|n| *n >= each) {
                return Ok(kept);
            }
        }
        Err(format!(
            "sessions by core: {on:?}, wanted {each} on {CORES}"
        ))
    }

    /// The core of the session that a statement is of.
    pub(super) fn core(&self, entry: &Entry) -> Option<&String> {
        self.cores.get(&entry.client_sid)
    }

    /// The log from an entry on, in pieces: the cluster waits while one is copied.
    ///
    /// # Errors
    /// The first entries are lost.
    pub(super) fn log(&self, from: u64) -> Result<Vec<Entry>, String> {
        let end = self.cluster.log_next();
        let pieces = (from..end).step_by(PIECE as usize);
        let piece = |at| self.cluster.log_between(at, end.min(at + PIECE));
        let log: Vec<_> = pieces.flat_map(piece).collect();
        match log.first() {
            Some(first) if first.seq != from => {
                Err("the log has lost entries that are to be judged".into())
            }
            _ => Ok(log),
        }
    }

    /// What clients asked since an entry of the log, and of that what holds this text.
    pub(super) fn asked(&self, from: u64, text: &str) -> Result<Vec<Entry>, String> {
        let is = |e: &Entry| {
            e.kind == Kind::Request
                && e.meta.is_empty()
                && e.tenant == TENANT
                && e.sql.contains(text)
        };
        Ok(self.log(from)?.into_iter().filter(is).collect())
    }

    /// Rules that obring broke, as an error.
    pub(super) fn unbroken(&self) -> Result<(), String> {
        match self.cluster.violations().as_slice() {
            [] => Ok(()),
            broken => Err(format!("{} rules broken: {:?}", broken.len(), broken[0])),
        }
    }
}
