//! The settings file: TOML with a `[proxy]` table and `[[cluster]]` tables.

use super::cluster::{FileCluster, distinct};
use super::reader::{Password, Reader, Servers, Text};
use super::{BadValue, Bounds, ConfigError, Row, Source, What};
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What a file says.
pub(super) struct Content {
    /// Name, value as text, place; in the order of the table's keys.
    pub(super) settings: Vec<(String, String, Source)>,
    /// In the order of the file.
    pub(super) clusters: Vec<FileCluster>,
}

/// Where in the text something stands.
struct Place<'a> {
    path: Arc<str>,
    text: &'a str,
}

impl Place<'_> {
    fn source(&self, span: &Range<usize>) -> Source {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        Source::File {
            path: self.path.clone(),
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
        }
    }

    fn error(&self, span: &Range<usize>, what: What) -> ConfigError {
        ConfigError {
            source: self.source(span),
            what,
        }
    }
}

/// Reads the text of a file. Settings are not checked here, beyond having a value that can be
/// written as text; keys of `[[cluster]]` are.
pub(super) fn parse(path: &str, text: &str) -> Result<Content, ConfigError> {
    let at = Place {
        path: path.into(),
        text,
    };
    let document = DeTable::parse(text).map_err(|e| {
        let span = e.span().unwrap_or_default();
        at.error(&span, What::Syntax(e.message().replace('\n', ", ")))
    })?;
    let mut content = Content {
        settings: vec![],
        clusters: vec![],
    };
    for (key, value) in document.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("proxy", DeValue::Table(table)) => settings(&at, table, &mut content.settings)?,
            ("cluster", DeValue::Array(items)) => {
                for item in items.iter() {
                    content.clusters.push(cluster(&at, item)?);
                }
            }
            (name, _) => {
                let what = match (name, Row::find(name)) {
                    ("proxy", _) => What::Syntax("proxy must be a table, [proxy]".into()),
                    ("cluster", _) => What::Syntax("clusters are written as [[cluster]]".into()),
                    (_, Some(_)) => What::Syntax(format!("{name} belongs under [proxy]")),
                    _ => What::UnknownKey(name.into()),
                };
                return Err(at.error(&key.span(), what));
            }
        }
    }
    for (i, cluster) in content.clusters.iter().enumerate() {
        if content.clusters[..i].iter().any(|c| c.name == cluster.name) {
            return Err(ConfigError {
                source: cluster.source.clone(),
                what: What::TwoClusters(cluster.name.clone()),
            });
        }
    }
    Ok(content)
}

fn settings(
    at: &Place<'_>,
    table: &DeTable<'_>,
    into: &mut Vec<(String, String, Source)>,
) -> Result<(), ConfigError> {
    for (key, value) in table {
        let name = key.get_ref();
        let text = as_text(value.get_ref()).ok_or_else(|| no_text(at, name, value))?;
        into.push((name.to_string(), text, at.source(&key.span())));
    }
    Ok(())
}

fn no_text(at: &Place<'_>, name: &str, value: &Spanned<DeValue<'_>>) -> ConfigError {
    let bad = BadValue {
        key: name.into(),
        shown: format!("a value of type {}", value.get_ref().type_str()),
        wrong: "cannot be used".into(),
        allowed: "text, an integer, true or false, or a list of texts".into(),
    };
    at.error(&value.span(), What::Value(Box::new(bad)))
}

/// A value as `-o` would have it; a list of texts as one text with `;`.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(is_on) => Some(is_on.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|i| i.get_ref().as_str()).collect();
            Some(items?.join(";"))
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn cluster(at: &Place<'_>, item: &Spanned<DeValue<'_>>) -> Result<FileCluster, ConfigError> {
    let Some(table) = item.get_ref().as_table() else {
        let what = What::Syntax("clusters are written as [[cluster]]".into());
        return Err(at.error(&item.span(), what));
    };
    let (mut name, mut servers, mut passwords) = (None, None, [None, None]);
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "name" => name = Some(read::<Text>(at, key, value, Bounds::new(1, 127))?),
            "rootservice_list" => servers = Some(read::<Servers>(at, key, value, Bounds::ANY)?),
            "observer_sys_password" => {
                passwords[0] = Some(read::<Password>(at, key, value, Bounds::ANY)?);
            }
            "observer_sys_password1" => {
                passwords[1] = Some(read::<Password>(at, key, value, Bounds::ANY)?);
            }
            other => {
                let what = What::UnknownKey(format!("cluster.{other}"));
                return Err(at.error(&key.span(), what));
            }
        }
    }
    let missing = |key| at.error(&item.span(), What::MissingKey(key));
    let [first, second] = passwords;
    Ok(FileCluster {
        name: name.ok_or_else(|| missing("name"))?,
        root_servers: servers
            .filter(|list| !list.is_empty())
            .ok_or_else(|| missing("rootservice_list"))?,
        passwords: (first.is_some() || second.is_some())
            .then(|| distinct([first.flatten(), second.flatten()])),
        named: true,
        source: at.source(&item.span()),
    })
}

fn read<R: Reader>(
    at: &Place<'_>,
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    bounds: Bounds,
) -> Result<R::Value, ConfigError> {
    let name = format!("cluster.{}", key.get_ref());
    let text = as_text(value.get_ref()).ok_or_else(|| no_text(at, &name, value))?;
    R::read(&text, bounds).map_err(|wrong| {
        let bad = BadValue::new(&name, R::KIND, bounds, &text, wrong);
        at.error(&key.span(), What::Value(Box::new(bad)))
    })
}
