//! A core's read-only copy of what is known about clusters and tenants.

use super::{
    Cluster, Decisions, Listed, RouteCounts, Stamp, Standing, Subject, TableEntry, TableRules,
    Tables, Tenant,
};
use crate::base::{CoreId, Tick};
use crate::config;
use hashbrown::HashMap;
use std::cell::{Ref, RefCell, RefMut};
use std::sync::Arc;

/// One cluster and the tenants of it that this core was told of.
#[derive(Debug)]
struct Slot {
    cluster: Arc<Cluster>,
    installed: Tick,
    tenants: HashMap<Arc<[u8]>, Placed>,
}

/// A tenant, and when this core was told of it.
#[derive(Debug)]
struct Placed {
    entry: Arc<Tenant>,
    installed: Tick,
}

/// All clusters, as one core knows them. Changed by mail between requests only.
#[derive(Debug, Default)]
pub struct Replica {
    clusters: HashMap<Arc<str>, Slot>,
    tables: RefCell<Tables>,
    decisions: Decisions,
    /// The cluster of logins that name none: the first configured one.
    default: Option<Arc<str>>,
    is_primed: bool,
    generation: u64,
}

impl Replica {
    /// Installs an entry; false if it is older than what is there.
    pub fn install(&mut self, now: Tick, entry: Arc<Cluster>) -> bool {
        if let Some(slot) = self.clusters.get_mut(&entry.name) {
            if slot.cluster.version >= entry.version {
                return false;
            }
            slot.cluster = entry;
            slot.installed = now;
        } else {
            self.default.get_or_insert_with(|| entry.name.clone());
            let slot = Slot {
                cluster: entry.clone(),
                installed: now,
                tenants: HashMap::new(),
            };
            self.clusters.insert(entry.name.clone(), slot);
        }
        self.generation += 1;
        true
    }

    /// Installs what is known of a tenant; false if it is older than what is there, or if its
    /// cluster is not known.
    pub fn install_tenant(&mut self, now: Tick, entry: Arc<Tenant>) -> bool {
        let Some(slot) = self.clusters.get_mut(&entry.cluster) else {
            return false;
        };
        if let Some(old) = slot.tenants.get(&entry.name)
            && old.entry.version >= entry.version
        {
            return false;
        }
        if entry.standing == Standing::Forgotten {
            slot.tenants.remove(&entry.name);
        } else {
            let placed = Placed {
                entry: entry.clone(),
                installed: now,
            };
            slot.tenants.insert(entry.name.clone(), placed);
        }
        self.generation += 1;
        true
    }

    /// Installs what is known of a table; false if it is older than what is there.
    pub fn install_table(&mut self, now: Tick, entry: Arc<TableEntry>) -> bool {
        self.tables.get_mut().install(now, entry)
    }

    /// The tables that this core knows.
    #[must_use]
    pub fn tables(&self) -> Ref<'_, Tables> {
        self.tables.borrow()
    }

    /// The same, to ask for them and to doubt them: sessions do, one after another.
    #[must_use]
    pub fn tables_mut(&self) -> RefMut<'_, Tables> {
        self.tables.borrow_mut()
    }

    /// The settings have changed.
    pub fn set_settings(&mut self, settings: &config::Settings) {
        self.tables.get_mut().set_rules(TableRules::of(settings));
    }

    /// The decisions of this core; counted by whoever makes them.
    #[must_use]
    pub const fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// What an administrator asks of this replica; `None`: it is not about the replica.
    pub fn list(&mut self, core: CoreId, of: Subject) -> Option<Listed> {
        Some(match of {
            Subject::Sessions | Subject::Blocks => return None,
            Subject::Replica => Listed::Replica(self.stamps(core)),
            Subject::Tables => Listed::Tables(self.tables.get_mut().rows(core)),
            Subject::RouteCounts => Listed::RouteCounts(Box::new(RouteCounts {
                tables: self.tables.get_mut().counts().clone(),
                decisions: self.decisions.clone(),
            })),
            Subject::TableUses => Listed::TableUses(self.tables.get_mut().take_uses()),
        })
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

    /// Rises with every installed entry of a cluster or tenant: whoever has seen this number has
    /// nothing new to look at.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The named cluster, or the default one.
    #[must_use]
    pub fn cluster(&self, name: Option<&[u8]>) -> Option<&Arc<Cluster>> {
        self.slot(name).map(|slot| &slot.cluster)
    }

    /// What is known of a tenant of the named cluster, or of the default one.
    #[must_use]
    pub fn tenant(&self, cluster: Option<&[u8]>, name: &[u8]) -> Option<&Arc<Tenant>> {
        self.slot(cluster)?
            .tenants
            .get(name)
            .map(|placed| &placed.entry)
    }

    /// All entries: which versions this core has, and how fast they came.
    #[must_use]
    pub fn stamps(&self, core: CoreId) -> Vec<Stamp> {
        let mut stamps = vec![];
        for slot in self.clusters.values() {
            let cluster = &slot.cluster.name;
            stamps.push(Stamp {
                core,
                cluster: cluster.clone(),
                tenant: None,
                version: slot.cluster.version,
                lag_us: slot.installed.since_us(slot.cluster.published),
            });
            let tenants = slot.tenants.values();
            stamps.extend(tenants.map(|Placed { entry, installed }| Stamp {
                core,
                cluster: cluster.clone(),
                tenant: Some(entry.name.clone()),
                version: entry.version,
                lag_us: installed.since_us(entry.published),
            }));
        }
        stamps
    }

    fn slot(&self, name: Option<&[u8]>) -> Option<&Slot> {
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
    use crate::routing::Health;

    fn entry(name: &str, version: u64) -> Arc<Cluster> {
        Arc::new(Cluster {
            name: name.into(),
            is_named: true,
            version,
            servers: Arc::new([]),
            zones: Arc::new([]),
            primary_zone: crate::routing::ZoneList::default(),
            has_views: true,
            health: Health::Building,
            published: Tick(0),
        })
    }

    fn tenant(version: u64, standing: Standing) -> Arc<Tenant> {
        Arc::new(Tenant {
            cluster: "ob1".into(),
            name: b"t".as_slice().into(),
            version,
            servers: Arc::new([]),
            primary_zone: crate::routing::ZoneList::default(),
            standing,
            published: Tick(0),
        })
    }

    #[test]
    fn an_old_entry_never_overwrites_a_newer_one_and_the_first_is_the_default() {
        let mut r = Replica::default();
        assert!(r.cluster(None).is_none());
        assert!(r.install(Tick(9), entry("ob1", 5)));
        assert!(!r.install(Tick(9), entry("ob1", 4)));
        assert!(!r.install(Tick(9), entry("ob1", 5)));
        assert!(r.install(Tick(9), entry("ob2", 1)));
        let seen = r.generation();
        assert!(r.install(Tick(9), entry("ob1", 6)));
        assert!(r.generation() > seen);
        assert_eq!(r.cluster(None).unwrap().version, 6);
        assert_eq!(&*r.cluster(Some(b"ob2")).unwrap().name, "ob2");
        assert!(r.cluster(Some(b"OB2")).is_none());
        assert!(r.cluster(Some(&[0xFF])).is_none());
    }

    #[test]
    fn tenants_outlive_a_change_of_their_cluster_until_they_are_forgotten() {
        let mut r = Replica::default();
        assert!(
            !r.install_tenant(Tick(9), tenant(1, Standing::Known)),
            "no cluster"
        );
        r.install(Tick(9), entry("ob1", 1));
        assert!(r.install_tenant(Tick(9), tenant(7, Standing::Known)));
        assert!(!r.install_tenant(Tick(9), tenant(6, Standing::Absent)));
        assert!(!r.install_tenant(Tick(9), tenant(7, Standing::Absent)));
        r.install(Tick(9), entry("ob1", 2));
        assert_eq!(r.tenant(None, b"t").unwrap().version, 7);
        assert!(r.tenant(None, b"T").is_none(), "case matters");
        assert!(r.install_tenant(Tick(9), tenant(8, Standing::Forgotten)));
        assert!(r.tenant(Some(b"ob1"), b"t").is_none());
    }

    #[test]
    fn stamps_tell_versions_and_lags() {
        let mut r = Replica::default();
        r.install(Tick(30), entry("ob1", 3));
        r.install_tenant(Tick(50), tenant(4, Standing::Known));
        let stamps = r.stamps(CoreId(1));
        let shown: Vec<_> = stamps.iter().map(|s| (s.version, s.lag_us)).collect();
        assert_eq!(shown, [(3, 30), (4, 50)]);
        assert_eq!(stamps[1].tenant.as_deref(), Some(&b"t"[..]));
    }
}
