//! The name that a client logs in with.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A login name, taken apart. Names are case-sensitive bytes: nothing is trimmed or folded.
///
/// Forms (source: C++ OBProxy's login parser):
/// * standard, if the name contains `@` or `#`: `user[@tenant][#cluster[:cluster_id]]`;
/// * else, for the first of the separators `:` `-` `.` that occurs at least twice:
///   `cluster SEP tenant SEP user [SEP|':' cluster_id]`;
/// * else the whole name is the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginName {
    /// Database user.
    pub user: Vec<u8>,
    /// Tenant; `sys` when the name has none.
    pub tenant: Vec<u8>,
    /// Cluster, when the name has one.
    pub cluster: Option<Vec<u8>>,
    /// Cluster id behind the cluster name; 0 stands for the primary.
    pub cluster_id: i64,
}

/// Why a login name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// User, tenant or cluster is empty (`root@`, `@sys`, `root@sys#`).
    EmptyPart(&'static str),
    /// A part is longer than its limit in bytes.
    TooLong(&'static str, usize),
    /// `#` stands before `@`.
    Order,
    /// What follows the cluster's `:` is no number.
    ClusterId,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyPart(part) => write!(f, "the {part} part of the login name is empty"),
            Self::TooLong(part, max) => {
                write!(
                    f,
                    "the {part} part of the login name is longer than {max} bytes"
                )
            }
            Self::Order => f.write_str("'#cluster' must follow '@tenant' in the login name"),
            Self::ClusterId => f.write_str("the cluster id in the login name is not a number"),
        }
    }
}

impl std::error::Error for NameError {}

/// Longest user and tenant name in bytes (the kernel's limits).
const NAME_MAX: usize = 64;
/// Longest cluster name in bytes (OBProxy's limit for a cluster resource).
const CLUSTER_MAX: usize = 128;

impl LoginName {
    /// Takes a name apart. `tenant_default` is used where the name has no tenant.
    pub fn parse(name: &[u8], separators: &[u8], tenant_default: &[u8]) -> Result<Self, NameError> {
        let at = name.iter().position(|&b| b == b'@');
        let hash = name.iter().position(|&b| b == b'#');
        let (user, tenant, cluster) = match (at, hash) {
            (None, None) => match separators.iter().find(|&&s| count(name, s) >= 2) {
                Some(&s) => return Self::separated(name, s),
                None => (name, None, None),
            },
            (Some(a), None) => (&name[..a], Some(&name[a + 1..]), None),
            (None, Some(h)) => (&name[..h], None, Some(&name[h + 1..])),
            (Some(a), Some(h)) if a < h => {
                (&name[..a], Some(&name[a + 1..h]), Some(&name[h + 1..]))
            }
            (Some(_), Some(_)) => return Err(NameError::Order),
        };
        let (cluster, cluster_id) = match cluster {
            None => (None, 0),
            Some(c) => match c.iter().position(|&b| b == b':') {
                None => (Some(c), 0),
                Some(colon) => (Some(&c[..colon]), number(&c[colon + 1..])?),
            },
        };
        Self::checked(user, tenant.unwrap_or(tenant_default), cluster, cluster_id)
    }

    fn separated(name: &[u8], separator: u8) -> Result<Self, NameError> {
        let mut parts = name.splitn(3, |&b| b == separator);
        let mut next = || parts.next().unwrap_or_default();
        let (cluster, tenant, rest) = (next(), next(), next());
        let end = rest.iter().position(|&b| b == separator || b == b':');
        let (user, cluster_id) = match end {
            None => (rest, 0),
            Some(e) => (&rest[..e], number(&rest[e + 1..])?),
        };
        Self::checked(user, tenant, Some(cluster), cluster_id)
    }

    fn checked(
        user: &[u8],
        tenant: &[u8],
        cluster: Option<&[u8]>,
        cluster_id: i64,
    ) -> Result<Self, NameError> {
        for (part, bytes, max) in [
            ("user", user, NAME_MAX),
            ("tenant", tenant, NAME_MAX),
            ("cluster", cluster.unwrap_or(b"-"), CLUSTER_MAX),
        ] {
            if bytes.is_empty() {
                return Err(NameError::EmptyPart(part));
            }
            if bytes.len() > max {
                return Err(NameError::TooLong(part, max));
            }
        }
        Ok(Self {
            user: user.to_vec(),
            tenant: tenant.to_vec(),
            cluster: cluster.map(<[u8]>::to_vec),
            cluster_id,
        })
    }

    /// The name that servers know: `user@tenant`.
    #[must_use]
    pub fn for_server(&self) -> Vec<u8> {
        let mut out = self.user.clone();
        out.push(b'@');
        out.extend_from_slice(&self.tenant);
        out
    }
}

fn count(name: &[u8], separator: u8) -> usize {
    name.iter().filter(|&&b| b == separator).count()
}

fn number(digits: &[u8]) -> Result<i64, NameError> {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse().ok())
        .ok_or(NameError::ClusterId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<(String, String, Option<String>, i64), NameError> {
        let n = LoginName::parse(name.as_bytes(), b":-.", b"sys")?;
        let s = |b: Vec<u8>| String::from_utf8(b).unwrap();
        Ok((s(n.user), s(n.tenant), n.cluster.map(s), n.cluster_id))
    }

    #[test]
    fn every_form_of_a_login_name() {
        let some = |c: &str| Some(c.to_string());
        for (name, user, tenant, cluster, id) in [
            ("root@sys#ob1:3", "root", "sys", some("ob1"), 3),
            ("root@sys#ob1", "root", "sys", some("ob1"), 0),
            ("root@sys", "root", "sys", None, 0),
            ("root#ob1", "root", "sys", some("ob1"), 0),
            ("root", "root", "sys", None, 0),
            ("ob1:t1:app", "app", "t1", some("ob1"), 0),
            ("ob1.t1.app", "app", "t1", some("ob1"), 0),
            ("ob1-t1-app:7", "app", "t1", some("ob1"), 7),
            ("ob1.t1.app.7", "app", "t1", some("ob1"), 7),
            ("a.b", "a.b", "sys", None, 0),
            ("root@SYS", "root", "SYS", None, 0),
            ("a@b@c", "a", "b@c", None, 0),
        ] {
            let want = (user.to_string(), tenant.to_string(), cluster, id);
            assert_eq!(parse(name), Ok(want), "{name}");
        }
    }

    #[test]
    fn names_that_are_refused_say_why() {
        for (name, why) in [
            ("root@", NameError::EmptyPart("tenant")),
            ("@sys", NameError::EmptyPart("user")),
            ("", NameError::EmptyPart("user")),
            ("root@sys#", NameError::EmptyPart("cluster")),
            ("a#c@t", NameError::Order),
            ("root@sys#ob1:x", NameError::ClusterId),
            ("root@sys#ob1:", NameError::ClusterId),
            ("::app", NameError::EmptyPart("tenant")),
        ] {
            assert_eq!(parse(name), Err(why), "{name}");
        }
        assert_eq!(parse(&"u".repeat(65)), Err(NameError::TooLong("user", 64)));
    }
}
