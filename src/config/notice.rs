//! What an operator should know about settings that are good enough to start with.

use super::Source;
use crate::base::Level;
use std::fmt;

/// Something worth a log line at the start. Displays as `key=value` pairs; secrets are not in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// `-o` names a setting that neither obring nor OBProxy knows. It is ignored.
    Unknown {
        /// The name.
        name: String,
    },
    /// A stored value that cannot be used any more. It is ignored.
    BadStored {
        /// What is wrong, with the name.
        what: String,
    },
    /// Values that nothing gives but the store: what an earlier command line or an ALTER has left.
    FromStore {
        /// The settings.
        names: Vec<&'static str>,
    },
    /// Stored values could not be read.
    NotRead {
        /// Why.
        why: String,
    },
    /// Changed values cannot be stored.
    NotKept {
        /// Why.
        why: String,
    },
    /// A setting of OBProxy that does nothing here yet.
    NoEffect {
        /// The name.
        name: String,
        /// Where it stands.
        source: Source,
    },
    /// A value of the file was replaced by one that ranks higher.
    Overridden {
        /// The setting.
        name: String,
        /// Where the file has it.
        file: Source,
        /// What won.
        by: Source,
    },
    /// No `proxy_id` was given: one was drawn.
    ProxyIdDrawn {
        /// The id.
        id: u32,
    },
    /// The password of the metadata user is the published one, and servers are not on this machine.
    PublishedPassword {
        /// The cluster.
        cluster: String,
    },
}

impl Notice {
    /// The event name of the log line.
    #[must_use]
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "setting_unknown",
            Self::BadStored { .. } => "setting_stored_unusable",
            Self::FromStore { .. } => "settings_from_store",
            Self::NotRead { .. } => "settings_not_read",
            Self::NotKept { .. } => "settings_not_kept",
            Self::NoEffect { .. } => "setting_without_effect",
            Self::Overridden { .. } => "setting_overridden",
            Self::ProxyIdDrawn { .. } => "proxy_id_drawn",
            Self::PublishedPassword { .. } => "published_password",
        }
    }

    /// How much it matters.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::Unknown { .. }
            | Self::BadStored { .. }
            | Self::NotRead { .. }
            | Self::NotKept { .. }
            | Self::PublishedPassword { .. } => Level::Warn,
            Self::NoEffect { .. }
            | Self::FromStore { .. }
            | Self::Overridden { .. }
            | Self::ProxyIdDrawn { .. } => Level::Info,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(f, "name={name:?} source=-o ignored"),
            Self::BadStored { what } => write!(f, "{what}"),
            Self::FromStore { names } => write!(f, "names={}", names.join(",")),
            Self::NotRead { why } | Self::NotKept { why } => write!(f, "{why}"),
            Self::NoEffect { name, source } => {
                write!(
                    f,
                    "name={name} source=\"{source}\" accepted, no effect in this version"
                )
            }
            Self::Overridden { name, file, by } => {
                write!(f, "name={name} file=\"{file}\" by=\"{by}\"")
            }
            Self::ProxyIdDrawn { id } => {
                write!(
                    f,
                    "proxy_id={id} drawn at random, and kept for later starts"
                )
            }
            Self::PublishedPassword { cluster } => write!(
                f,
                "cluster={cluster:?} proxyro has its published default password; \
                 change it and set observer_sys_password"
            ),
        }
    }
}
