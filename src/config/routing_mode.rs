//! How a statement's server is chosen.

/// The rule for statements that are free to run anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RoutingMode {
    /// As OceanBase's cluster wants it.
    #[default]
    OceanBase,
    /// Any server of the tenant, at random: for tests.
    Random,
}

impl RoutingMode {
    /// All of them, with the names that OBProxy has for them.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("oceanbase", Self::OceanBase), ("random", Self::Random)];

    /// Reads a name; case and outer blanks do not matter.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let found = Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, mode)| *mode)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, mode)| *mode == self);
        found.map_or("", |(name, _)| name)
    }
}
