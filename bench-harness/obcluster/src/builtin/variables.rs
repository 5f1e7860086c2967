//! System variables: as the kernel names them in a login OK, and as a session has them.

use std::collections::HashMap;

/// What a login OK of seekdb 1.3.0.post5 lists, in its order: name, tab, value.
const RECORDED: &str = include_str!("variables.tsv");

/// All system variables with what they begin with.
#[derive(Debug)]
pub(super) struct Defaults {
    list: Vec<(&'static str, &'static str)>,
    places: HashMap<&'static str, usize>,
}

/// What a variable may be set to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// ON or OFF.
    Switch,
    /// A whole number.
    Number,
    /// Anything.
    Text,
}

impl Defaults {
    pub(super) fn recorded() -> Self {
        let list: Vec<_> = RECORDED
            .lines()
            .filter_map(|l| l.split_once('\t'))
            .collect();
        let places = list.iter().zip(0..).map(|((name, _), n)| (*name, n));
        Self {
            places: places.collect(),
            list,
        }
    }

    /// Names and values, in the order of a login OK.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.list.iter().copied()
    }

    /// The name as it is spelled there, and the value.
    pub(super) fn find(&self, name: &str) -> Option<(&'static str, &'static str)> {
        self.list.get(*self.places.get(name)?).copied()
    }
}

impl Kind {
    /// By what the variable begins with.
    pub(super) fn of(value: &str) -> Self {
        if value == "ON" || value == "OFF" {
            Self::Switch
        } else if !value.is_empty() && value.parse::<i64>().is_ok() {
            Self::Number
        } else {
            Self::Text
        }
    }

    /// The text that the variable gets from a typed one; none for one that it does not take.
    pub(super) fn take(self, typed: &str) -> Option<String> {
        match self {
            Self::Switch => match typed.to_ascii_uppercase().as_str() {
                "ON" | "1" | "TRUE" => Some("ON".into()),
                "OFF" | "0" | "FALSE" => Some("OFF".into()),
                _ => None,
            },
            Self::Number => typed.parse::<i64>().ok().map(|n| n.to_string()),
            Self::Text => Some(typed.into()),
        }
    }
}

/// What a session has that is not as it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(Vec<(&'static str, String)>);

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_str())
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name, value.to_owned())),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(n, v)| (*n, v.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_list_is_whole() {
        let all = Defaults::recorded();
        assert_eq!(all.iter().count(), 840);
        assert_eq!(all.find("autocommit"), Some(("autocommit", "ON")));
        assert_eq!(all.find("nosuch"), None);
        assert_eq!(Kind::of("ON").take("1"), Some("ON".into()));
        assert_eq!(Kind::of("5").take("x"), None);
        assert_eq!(Kind::of("").take("x"), Some("x".into()));
    }
}
