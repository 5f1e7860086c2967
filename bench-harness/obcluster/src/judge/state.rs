//! What the session of a link looks like to the judge.

use std::collections::BTreeMap;

/// Variables that can change which rows or leaves a statement means. Others are not carried over.
const RELEVANT: &[&str] = &[
    "sql_mode",
    "time_zone",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "timestamp",
    "default_week_format",
    "lc_time_names",
    "div_precision_increment",
    "sql_auto_is_null",
    "auto_increment_increment",
    "auto_increment_offset",
    "auto_increment_cache_size",
];

/// The session of a link: what an EXPLAIN of one of its statements depends on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JudgeState {
    /// The current database; empty for none.
    pub database: String,
    /// The newest session info of sub type 4 (system variables) of the link, as the kernel wrote
    /// it. Restores them all.
    pub block: Option<Vec<u8>>,
    /// System variables that the link has changed, in lower case, with the value that the OK
    /// packet told. Set one by one where there is no block; `sql_mode` is looked at in any case,
    /// where it is known.
    pub variables: BTreeMap<String, Vec<u8>>,
    /// User variables of the link: name and SQL literal, as the OK packet told them.
    pub user_variables: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What brings a session from one state to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Steps {
    /// A database to make the current one.
    pub(super) database: Option<String>,
    /// A block for the next request.
    pub(super) block: Option<Vec<u8>>,
    /// A statement that sets variables.
    pub(super) set: Option<Vec<u8>>,
}

impl JudgeState {
    /// What leads from `self`, the state of a session, to `wanted`. `None`: only a new session can
    /// have it. User variables count where the statement reads some.
    pub(super) fn steps(&self, wanted: &Self, reads_variables: bool) -> Option<Steps> {
        let mut steps = Steps::default();
        if self.database != wanted.database {
            if wanted.database.is_empty() {
                return None;
            }
            steps.database = Some(wanted.database.clone());
        }
        let mut settings: Vec<Vec<u8>> = vec![];
        if let Some(block) = &wanted.block {
            if self.block.as_ref() != Some(block) {
                steps.block = Some(block.clone());
            }
        } else {
            if self.block.is_some() {
                return None;
            }
            for name in RELEVANT {
                match (self.variables.get(*name), wanted.variables.get(*name)) {
                    (Some(_), None) => return None,
                    (old, Some(new)) if old != Some(new) => {
                        settings.push(setting(&format!("@@{name}"), &literal(new)));
                    }
                    _ => {}
                }
            }
        }
        if reads_variables {
            let gone = |name: &&Vec<u8>| !wanted.user_variables.contains_key(*name);
            if self.user_variables.keys().any(|name| gone(&name)) {
                return None;
            }
            for (name, value) in &wanted.user_variables {
                if self.user_variables.get(name) != Some(value) {
                    settings.push(setting(
                        &format!("@`{}`", String::from_utf8_lossy(name)),
                        value,
                    ));
                }
            }
        }
        if !settings.is_empty() {
            steps.set = Some([b"SET ".as_slice(), &settings.join(&b", "[..])].concat());
        }
        Some(steps)
    }

    /// Takes over what [`Self::steps`] has led to.
    pub(super) fn reach(&mut self, wanted: &Self, reads_variables: bool) {
        self.database.clone_from(&wanted.database);
        if wanted.block.is_some() {
            self.block.clone_from(&wanted.block);
        } else {
            self.variables.clone_from(&wanted.variables);
        }
        if reads_variables {
            self.user_variables.clone_from(&wanted.user_variables);
        }
    }

    /// True when this mode of SQL is known to be on.
    pub(super) fn has_mode(&self, mode: &str) -> bool {
        let value = self.variables.get("sql_mode");
        let value = value.map(|v| String::from_utf8_lossy(v).to_ascii_uppercase());
        value.is_some_and(|v| v.split(',').any(|m| m.trim() == mode))
    }
}

fn setting(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b" = ", value].concat()
}

/// The value of a system variable as a literal.
fn literal(value: &[u8]) -> Vec<u8> {
    if value.eq_ignore_ascii_case(b"null") {
        return b"NULL".to_vec();
    }
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if is_number {
        return value.to_vec();
    }
    let mut out = vec![b'\''];
    for b in value {
        if matches!(b, b'\'' | b'\\') {
            out.push(*b);
        }
        out.push(*b);
    }
    out.push(b'\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(database: &str, variables: &[(&str, &str)], user: &[(&str, &str)]) -> JudgeState {
        let variables = variables.iter();
        let user = user.iter();
        JudgeState {
            database: database.into(),
            block: None,
            variables: variables.map(|(n, v)| ((*n).into(), (*v).into())).collect(),
            user_variables: user.map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        }
    }

    #[test]
    fn only_what_differs_is_sent() {
        let mut old = JudgeState::default();
        let new = state(
            "test",
            &[
                ("sql_mode", "ANSI,O'NE"),
                ("autocommit", "OFF"),
                ("timestamp", "5"),
            ],
            &[("a", "'x'"), ("n", "NULL")],
        );
        let steps = old.steps(&new, true).unwrap();
        assert_eq!(steps.database.as_deref(), Some("test"));
        let set = String::from_utf8(steps.set.unwrap()).unwrap();
        assert_eq!(
            set,
            "SET @@sql_mode = 'ANSI,O''NE', @@timestamp = 5, @`a` = 'x', @`n` = NULL"
        );
        let without = old.steps(&new, false).unwrap().set.unwrap();
        assert!(!without.contains(&b'`'));
        old.reach(&new, true);
        assert_eq!(old.steps(&new, true), Some(Steps::default()));
        // What a session has cannot be taken from it.
        for other in [
            state(
                "",
                &[("sql_mode", "ANSI,O'NE")],
                &[("a", "'x'"), ("n", "NULL")],
            ),
            state("test", &[], &[("a", "'x'"), ("n", "NULL")]),
            state(
                "test",
                &[("sql_mode", ""), ("timestamp", "5")],
                &[("n", "1")],
            ),
        ] {
            assert_eq!(old.steps(&other, true), None, "{other:?}");
        }
        assert!(new.has_mode("ANSI") && !new.has_mode("ONE"));
    }

    #[test]
    fn a_block_takes_the_place_of_variables() {
        let mut old = JudgeState::default();
        let mut new = state("", &[("sql_mode", "ANSI")], &[]);
        new.block = Some(vec![1, 2]);
        let steps = old.steps(&new, true).unwrap();
        assert_eq!(
            (steps.block.as_deref(), steps.set),
            (Some(&[1, 2][..]), None)
        );
        old.reach(&new, true);
        assert_eq!(old.steps(&new, true), Some(Steps::default()));
        new.block = None;
        assert_eq!(old.steps(&new, true), None);
    }
}
