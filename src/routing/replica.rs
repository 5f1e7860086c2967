//! A core's read-only copy of what is known about clusters.

use crate::base::Tick;
use hashbrown::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// How well a cluster is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No round has ended yet; the servers are those of the start-up list.
    Building,
    /// The last round succeeded.
    Ready,
    /// The last round failed; what was known before stays in use.
    Degraded {
        /// What failed, for people: address and answer.
        cause: Arc<str>,
    },
}

/// One cluster as the metadata core last knew it. Immutable; replaced as a whole.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Name, as in logins.
    pub name: Arc<str>,
    /// The operator gave the name, so that servers can check it (`__cluster_name`).
    pub is_named: bool,
    /// Rises with each change; an old entry never overwrites a newer one.
    pub version: u64,
    /// Servers by SQL address, in the order of the list. Without cluster views this is the
    /// root-server list.
    pub servers: Arc<[SocketAddr]>,
    /// How well this is known.
    pub health: Health,
    /// When the servers were last confirmed by a round (metadata core's clock).
    pub confirmed: Option<Tick>,
}

/// All clusters, as one core knows them. Changed by mail between requests only.
#[derive(Debug, Default)]
pub struct Replica {
    clusters: HashMap<Arc<str>, Arc<Cluster>>,
    /// The cluster of logins that name none: the first configured one.
    default: Option<Arc<str>>,
    is_primed: bool,
}

impl Replica {
    /// Installs an entry; false if it is older than what is there.
    pub fn install(&mut self, entry: Arc<Cluster>) -> bool {
        if let Some(old) = self.clusters.get(&entry.name)
            && old.version >= entry.version
        {
            return false;
        }
        self.default.get_or_insert_with(|| entry.name.clone());
        self.clusters.insert(entry.name.clone(), entry);
        true
    }

    /// Every configured cluster has been installed once.
    pub const fn prime(&mut self) {
        self.is_primed = true;
    }

    /// False until the metadata core has sent all configured clusters: an absent name means
    /// nothing yet.
    #[must_use]
    pub const fn is_primed(&self) -> bool {
        self.is_primed
    }

    /// The named cluster, or the default one.
    #[must_use]
    pub fn cluster(&self, name: Option<&[u8]>) -> Option<&Arc<Cluster>> {
        let name = match name {
            Some(bytes) => std::str::from_utf8(bytes).ok()?,
            None => self.default.as_deref()?,
        };
        self.clusters.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, version: u64) -> Arc<Cluster> {
        Arc::new(Cluster {
            name: name.into(),
            is_named: true,
            version,
            servers: Arc::new([]),
            health: Health::Building,
            confirmed: None,
        })
    }

    #[test]
    fn an_old_entry_never_overwrites_a_newer_one_and_the_first_is_the_default() {
        let mut r = Replica::default();
        assert!(r.cluster(None).is_none());
        assert!(r.install(entry("ob1", 5)));
        assert!(!r.install(entry("ob1", 4)));
        assert!(!r.install(entry("ob1", 5)));
        assert!(r.install(entry("ob2", 1)));
        assert!(r.install(entry("ob1", 6)));
        assert_eq!(r.cluster(None).unwrap().version, 6);
        assert_eq!(&*r.cluster(Some(b"ob2")).unwrap().name, "ob2");
        assert!(r.cluster(Some(b"OB2")).is_none());
        assert!(r.cluster(Some(&[0xFF])).is_none());
    }
}
