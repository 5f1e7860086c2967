//! Changed settings: kept in the store, and put into effect where no machine is concerned.

use super::log::Loudness;
use super::snapshot;
use super::store::Store;
use crate::admin;
use crate::config::Settings;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long a drain may take; changed while the proxy runs.
#[derive(Clone, Debug)]
pub(super) struct DrainLimit(Arc<AtomicU64>);

impl DrainLimit {
    /// The limit of the start.
    pub(super) fn new(limit: Duration) -> Self {
        let this = Self(Arc::default());
        this.set(limit);
        this
    }

    /// The limit of now.
    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    fn set(&self, limit: Duration) {
        let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.0.store(ms, Relaxed);
    }
}

/// See the module.
pub(super) struct Keeper {
    /// Or why there is none.
    pub(super) store: Result<Store, String>,
    /// Which lines are written.
    pub(super) loudness: Loudness,
    /// For the signals.
    pub(super) drain_limit: DrainLimit,
}

impl admin::Keeper for Keeper {
    fn keep(&mut self, name: &str, value: &str, settings: &Settings) -> Result<(), String> {
        let store = self.store.as_mut().map_err(|why| why.clone())?;
        store.write([(name, value)])?;
        self.loudness.set(settings.syslog_level);
        self.drain_limit.set(settings.drain_timeout);
        tracing::info!(event = "setting_changed", name);
        Ok(())
    }

    fn keep_locations(&mut self, text: &[u8]) -> Result<(), String> {
        snapshot::write(&snapshot::path(), text)
    }
}
