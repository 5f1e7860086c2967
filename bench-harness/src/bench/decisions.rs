//! Why an obring has sent statements where it did, by its own counters. These are shown, and judge
//! nothing: who judges is the model cluster.

use crate::raw::{Conn, Login};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

/// Reasons that say that the place of the rows is not known.
const UNKNOWN: &[&str] = &[
    "leaf_unknown",
    "leader_unknown",
    "location_failed",
    "location_pending",
    "one_server",
    "table_absent",
    "unparsed",
];

/// Statements by the reason of their server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions(BTreeMap<String, u64>);

impl Decisions {
    /// Those of an obring so far.
    ///
    /// # Errors
    /// Its administrator is not answered.
    pub fn of(proxy: SocketAddr) -> Result<Self, String> {
        let mut admin = Conn::login(proxy, &Login::user("root@proxysys", ""))?;
        let rows = admin.rows("show proxystat like 'route\\_%'")?;
        let mut decisions = Self::default();
        for row in rows {
            let [Some(name), Some(value), ..] = &row[..] else {
                continue;
            };
            let name = name.strip_prefix("route_").unwrap_or(name);
            let is_reply = ["hit_", "miss_", "unknown_"]
                .iter()
                .any(|w| name.starts_with(w));
            let count = value.parse().unwrap_or(0);
            if !is_reply && count > 0 {
                decisions.0.insert(name.to_owned(), count);
            }
        }
        Ok(decisions)
    }

    /// What has been decided since then.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let count = |name: &String| before.0.get(name).copied().unwrap_or(0);
        let grown = self
            .0
            .iter()
            .map(|(name, n)| (name.clone(), n - count(name).min(*n)));
        Self(grown.filter(|(_, n)| *n > 0).collect())
    }

    /// All statements.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of one reason, of 1.
    #[must_use]
    pub fn share(&self, reason: &str) -> f64 {
        let count = self.0.get(reason).copied().unwrap_or(0);
        count as f64 / self.total().max(1) as f64
    }

    /// Those of which the place is not known, of 1.
    #[must_use]
    pub fn unknown(&self) -> f64 {
        UNKNOWN.iter().map(|reason| self.share(reason)).sum()
    }
}

impl fmt::Display for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shares: Vec<_> = self.0.iter().collect();
        shares.sort_by(|a, b| b.1.cmp(a.1));
        write!(
            f,
            "{:.2} % unknown of {}",
            self.unknown() * 100.0,
            self.total()
        )?;
        for (reason, _) in shares {
            let mark = match UNKNOWN.contains(&reason.as_str()) {
                true => " (unknown)",
                false => "",
            };
            write!(f, ", {reason}{mark} {:.2} %", self.share(reason) * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_places_are_counted_apart() {
        let of = |list: &[(&str, u64)]| {
            Decisions(list.iter().map(|(name, n)| ((*name).into(), *n)).collect())
        };
        let before = of(&[("leader", 10), ("no_table", 4)]);
        let after = of(&[("leader", 19), ("leaf_unknown", 1), ("no_table", 4)]);
        let grown = after.since(&before);
        assert_eq!(
            grown.to_string(),
            "10.00 % unknown of 10, leader 90.00 %, leaf_unknown (unknown) 10.00 %"
        );
        assert_eq!((grown.total(), grown.share("no_table")), (10, 0.0));
    }
}
