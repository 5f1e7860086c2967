//! Why settings cannot be used.

use super::{Bounds, Kind, Source};
use std::fmt;

/// Why settings cannot be used. Prints as one line: source, key, value, what is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where the bad text stands.
    pub source: Source,
    /// What is wrong with it.
    pub what: What,
}

/// What is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// A value that the setting does not take.
    Value(Box<BadValue>),
    /// A key of the file that does not exist.
    UnknownKey(String),
    /// A key of a `[[cluster]]` that must be there.
    MissingKey(&'static str),
    /// The file is not TOML; in the words of the parser.
    Syntax(String),
    /// An item of `-o` without `=`.
    NoEquals(String),
    /// Two `[[cluster]]` of one name.
    TwoClusters(String),
    /// More clusters than one proxy can serve; the limit.
    ManyClusters(usize),
    /// A cluster is asked for that the file does not have.
    NoSuchCluster(String),
    /// Root servers for one cluster, but the file has several and none is named.
    WhichCluster,
    /// Nothing to serve.
    NoCluster,
}

/// A value that a setting does not take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadValue {
    /// The setting; inside a `[[cluster]]`, `cluster.` and the key.
    pub key: String,
    /// The value, quoted; `***` for a secret.
    pub shown: String,
    /// What is wrong, as "is out of range".
    pub wrong: String,
    /// What would be right.
    pub allowed: String,
}

impl BadValue {
    /// The value `text` of a setting of this kind; a secret is not repeated.
    pub(super) fn new(key: &str, kind: Kind, bounds: Bounds, text: &str, wrong: String) -> Self {
        Self {
            key: key.into(),
            shown: if kind.is_secret() {
                "***".into()
            } else {
                format!("{text:?}")
            },
            wrong,
            allowed: kind.allowed(bounds),
        }
    }
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            shown,
            wrong,
            allowed,
        } = self;
        write!(f, "{key}: {shown} {wrong}; allowed: {allowed}")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.source.is_default() {
            write!(f, "{}: ", self.source)?;
        }
        match &self.what {
            What::Value(bad) => bad.fmt(f),
            What::UnknownKey(key) => {
                write!(f, "{key}: unknown key; config/reference.md lists all keys")
            }
            What::MissingKey(key) => write!(f, "[[cluster]] has no {key}"),
            What::Syntax(text) => write!(f, "not TOML: {text}"),
            What::NoEquals(item) => write!(f, "{item:?} is not name=value"),
            What::TwoClusters(name) => write!(f, "two clusters are called {name:?}"),
            What::ManyClusters(limit) => write!(f, "more than {limit} clusters"),
            What::NoSuchCluster(name) => write!(
                f,
                "no [[cluster]] is called {name:?}; its root servers can be given with -r"
            ),
            What::WhichCluster => write!(
                f,
                "root servers are given, but the file has several clusters; \
                 say with -c which one they belong to"
            ),
            What::NoCluster => write!(
                f,
                "no cluster to serve: give its servers with -r 'ip:sqlport;ip:sqlport', \
                 or a [[cluster]] in the file of --config"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
