//! Settings of OBProxy that do nothing here yet: taken, checked by type, kept and shown, so that
//! tools that set and compare them work.

use super::quantity::{duration_us, integer, size_bytes};
use super::reader::{Reader as _, Switch};
use super::{BadValue, Bounds, Row, sys_password};
use std::sync::LazyLock;

/// Every setting of OBProxy 4.3.1 and those that came up to 4.4.1, by name, in the spelling of its
/// SHOW PROXYCONFIG. Source: `spec/proxyconfig.tsv`.
const ODP_SETTINGS: &str = include_str!("odp_settings.tsv");
/// The word for a level where OBProxy takes the name but does not list it.
const UNLISTED: &str = "-";
/// Longest value.
const VALUE_MAX: usize = 65_535;

/// A setting without effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdleRow {
    /// Name, lower case.
    pub name: &'static str,
    kind: &'static str,
    /// The value when nobody gives one.
    pub default: &'static str,
    /// What OBProxy says may be written; shown, not enforced.
    pub range: &'static str,
    /// `true` or `false`, as OBProxy says.
    pub need_reboot: &'static str,
    /// Who is to see it, as OBProxy says.
    pub visible_level: &'static str,
    /// What it can be set for, as OBProxy says.
    pub config_level: &'static str,
}

fn odp() -> impl Iterator<Item = IdleRow> {
    let lines = ODP_SETTINGS.lines().skip(1);
    lines.filter_map(|line| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next();
        Some(IdleRow {
            name: cell()?,
            kind: cell()?,
            default: cell()?,
            range: cell()?,
            need_reboot: cell()?,
            visible_level: cell()?,
            config_level: cell()?,
        })
    })
}

/// True for a setting of OBProxy; `name` in lower case.
#[cfg(test)]
pub(super) fn is_odp_name(name: &str) -> bool {
    odp().any(|row| row.name == name)
}

impl IdleRow {
    /// All of them, by name.
    #[must_use]
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<IdleRow>> = LazyLock::new(|| {
            let idle = odp().filter(|row| Row::find(row.name).is_none());
            idle.collect()
        });
        &ALL
    }

    /// The row of a name; upper and lower case are the same.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all()
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(name))
    }

    /// True: SHOW PROXYCONFIG has it.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.config_level != UNLISTED
    }

    /// True: a password, never shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.name.ends_with("_password")
    }

    /// True: it lasts as long as the process. OBProxy's one-shot switches.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        self.visible_level == "MEMORY"
    }

    /// The value of `text` as it is kept and shown.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(&self, text: &str) -> Result<String, String> {
        let is = |fits: bool, what: &str| match fits {
            true => Ok(text.to_owned()),
            false => Err(what.into()),
        };
        if self.is_secret() {
            return sys_password::parse(text).map(|_| text.to_owned());
        }
        match self.kind {
            "bool" => Switch::read(text, Bounds::ANY).map(|on| Switch::show(&on)),
            "int" => {
                let number = text.strip_prefix('-').unwrap_or(text);
                is(integer(number).is_some(), "is not an integer")
            }
            "time" => is(
                duration_us(text).is_some(),
                "is not a duration (as 100ms, 5s, 1d)",
            ),
            "capacity" => is(size_bytes(text).is_some(), "is not a size (as 4KB, 256MB)"),
            _ => is(text.len() <= VALUE_MAX, "is longer than 65535 bytes"),
        }
    }

    /// What is told about `text`, which [`Self::read`] does not take.
    pub(super) fn bad(&self, text: &str, wrong: String) -> Box<BadValue> {
        let shown = match self.is_secret() {
            true => "***".into(),
            false => format!("{text:?}"),
        };
        Box::new(BadValue {
            key: self.name.into(),
            shown,
            wrong,
            allowed: self.allowed().into(),
        })
    }

    /// What may be written.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        if self.is_secret() {
            return "40 hexadecimal digits (SHA1 of the password), or plain: and the password";
        }
        match (self.kind, self.range) {
            ("bool", _) => "True, False",
            ("int", "") => "an integer",
            ("time", "") => "a duration",
            ("capacity", "") => "a size",
            (_, "") => "a text",
            (_, range) => range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_in_the_spelling_shown() {
        assert!(IdleRow::all().len() > 300);
        for row in IdleRow::all() {
            assert!(row.need_reboot == "true" || row.need_reboot == "false");
            let read = row.read(row.default);
            let is_unset = row.default.is_empty() && read.is_err();
            let is_same = read.as_deref() == Ok(row.default);
            assert!(is_unset || is_same, "{}: {read:?}", row.name);
        }
    }

    #[test]
    fn a_value_is_checked_by_its_type() {
        let row = |name| IdleRow::find(name).expect(name);
        assert_eq!(row("ENABLE_SHARDING").read("on"), Ok("True".into()));
        assert!(row("enable_sharding").read("maybe").is_err());
        assert_eq!(row("request_buffer_length").default, "4KB");
        assert!(row("request_buffer_length").read("much").is_err());
        assert!(IdleRow::find("listen_port").is_none());
        assert!(row("inspector_password").is_secret());
    }
}
