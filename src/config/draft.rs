//! Collecting values from all sources, and finishing them into [`Settings`].

use super::cluster::{FileCluster, StartUp, assemble};
use super::file;
use super::{BadValue, ConfigError, IdleRow, Notice, Row, Settings, Source, What};
use std::collections::BTreeMap;

/// Largest proxy id: 13 bits of a session id. Source: metadata.md 1.
const PROXY_ID_MAX: u64 = 8191;

/// Facts about the machine that settings depend on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Host {
    /// CPUs that this process may use.
    pub cpus: usize,
    /// A random number.
    pub entropy: u64,
}

/// Values as they come in. The order of calls does not matter: the source that ranks higher wins
/// (default, file, `-o`, flag, environment), and of one source the last.
#[derive(Debug)]
pub struct Draft {
    settings: Settings,
    /// Where each setting that is not a default came from.
    sources: BTreeMap<&'static str, Source>,
    clusters: Vec<FileCluster>,
    notices: Vec<Notice>,
    /// Values of the command line, as they are stored.
    given: BTreeMap<&'static str, String>,
}

impl Default for Draft {
    fn default() -> Self {
        Self::new()
    }
}

impl Draft {
    /// Defaults only.
    #[must_use]
    pub fn new() -> Self {
        Self {
            settings: Settings::of_table(),
            sources: BTreeMap::new(),
            clusters: vec![],
            notices: vec![],
            given: BTreeMap::new(),
        }
    }

    /// Reads the text of a settings file: a table `[proxy]` of settings and tables `[[cluster]]`.
    ///
    /// # Errors
    /// The first thing that is wrong: syntax, an unknown key, a bad value; with its line.
    pub fn read_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let content = file::parse(path, text)?;
        for (name, value, source) in content.settings {
            self.put(&name, &value, &source)?;
        }
        self.clusters = content.clusters;
        Ok(())
    }

    /// Takes what an earlier run has stored. What cannot be used is noticed and ignored: an old
    /// value must not hold up a start.
    pub fn read_stored(&mut self, values: &[(String, String)]) {
        for (name, value) in values {
            match self.put(name, value, &Source::Stored) {
                Ok(()) => {}
                Err(e) => self.notices.push(Notice::BadStored {
                    what: e.to_string(),
                }),
            }
        }
    }

    /// Something else that an operator should know.
    pub fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Names and values of the command line, to be stored; a password as its SHA1.
    #[must_use]
    pub fn given(&self) -> Vec<(String, String)> {
        let pair = |(name, value): (&&str, &String)| ((*name).to_owned(), value.clone());
        self.given.iter().map(pair).collect()
    }

    /// Reads the text of `-o`: `name=value` items, separated by commas or line ends. Unknown names
    /// are noticed and ignored, as OBProxy does.
    ///
    /// # Errors
    /// An item without `=`, or a bad value.
    pub fn read_options(&mut self, text: &str) -> Result<(), ConfigError> {
        for item in text.split([',', '\n']).map(str::trim) {
            if item.is_empty() {
                continue;
            }
            let Some((name, value)) = item.split_once('=') else {
                return Err(ConfigError {
                    source: Source::Option,
                    what: What::NoEquals(item.into()),
                });
            };
            // OBProxy takes this one from SQL only, and skips it here without a word.
            if name.trim().eq_ignore_ascii_case("target_db_server") {
                continue;
            }
            match self.put(name.trim(), value.trim(), &Source::Option) {
                Err(ConfigError {
                    what: What::UnknownKey(name),
                    ..
                }) => self.notices.push(Notice::Unknown { name }),
                result => result?,
            }
        }
        Ok(())
    }

    /// Takes the value of a flag that stands for one setting.
    ///
    /// # Errors
    /// A bad value.
    pub fn read_flag(
        &mut self,
        flag: &'static str,
        setting: &str,
        value: &str,
    ) -> Result<(), ConfigError> {
        self.put(setting, value, &Source::Flag(flag))
    }

    /// Takes an environment variable that has the name of a setting.
    ///
    /// # Errors
    /// A bad value.
    pub fn read_environment(&mut self, name: &'static str, value: &str) -> Result<(), ConfigError> {
        self.put(name, value, &Source::Environment(name))
    }

    fn put(&mut self, name: &str, value: &str, source: &Source) -> Result<(), ConfigError> {
        let fail = |what| {
            let source = source.clone();
            Err(ConfigError { source, what })
        };
        // Checked also when it does not win: a wrong value never waits for its day.
        let mut changed = self.settings.clone();
        let (name, is_secret) = if let Some(row) = Row::find(name) {
            if let Err(wrong) = (row.assign)(&mut changed, value) {
                let bad = BadValue::new(row.name, row.kind, row.bounds, value, wrong);
                return fail(What::Value(Box::new(bad)));
            }
            (row.name, row.kind.is_secret())
        } else if let Some(row) = IdleRow::find(name) {
            match row.read(value) {
                Ok(value) => changed.set_idle(row, value),
                Err(wrong) => return fail(What::Value(row.bad(value, wrong))),
            }
            // OBProxy stores all of its settings: an old database would fill the log.
            if *source != Source::Stored {
                let (name, source) = (row.name.into(), source.clone());
                self.notices.push(Notice::NoEffect { name, source });
            }
            (row.name, row.is_secret())
        } else {
            return fail(What::UnknownKey(name.to_ascii_lowercase()));
        };
        let old = self.sources.get(name).unwrap_or(&Source::Default);
        let (low, high) = if source.rank() < old.rank() {
            (source, old)
        } else {
            (old, source)
        };
        if low.is_file() && !high.is_file() {
            self.notices.push(Notice::Overridden {
                name: name.into(),
                file: low.clone(),
                by: high.clone(),
            });
        }
        if high == source && source.is_command_line() {
            let secret = value.strip_prefix("plain:").filter(|_| is_secret);
            let stored = secret.map_or_else(|| value.to_owned(), super::sys_password::hashed);
            self.given.insert(name, stored);
        }
        if high == source {
            self.settings = changed;
            self.sources.insert(name, source.clone());
        }
        Ok(())
    }

    /// The values to use, and what an operator should know about them.
    ///
    /// # Errors
    /// No cluster to serve, or none of the name asked for.
    pub fn finish(self, host: Host) -> Result<(Settings, Vec<Notice>), ConfigError> {
        let (mut settings, mut notices) = (self.settings, self.notices);
        let stored = self
            .sources
            .iter()
            .filter(|(_, source)| **source == Source::Stored);
        let names = stored.map(|(name, _)| *name);
        let names: Vec<_> = names.filter(|name| Row::find(name).is_some()).collect();
        if !names.is_empty() {
            notices.push(Notice::FromStore { names });
        }
        let source = |name| self.sources.get(name).unwrap_or(&Source::Default);
        let start_up = StartUp {
            servers: source("rootservice_list"),
            name: source("rootservice_cluster_name"),
            password: source("observer_sys_password"),
        };
        settings.clusters = assemble(&settings, &start_up, self.clusters, &mut notices)?;
        if settings.work_thread_num == 0 {
            // The metadata core has the other one.
            settings.work_thread_num = u32::try_from(host.cpus).map_or(1, |n| n.max(2) - 1);
        }
        settings.is_pinned =
            settings.cpu_affinity && settings.work_thread_num as usize <= host.cpus;
        if settings.proxy_id == 0 {
            settings.proxy_id = 1 + (host.entropy % PROXY_ID_MAX) as u32;
            notices.push(Notice::ProxyIdDrawn {
                id: settings.proxy_id,
            });
        }
        Ok((settings, notices))
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
