//! Which clients tell the proxy their password.

/// The rule for clients that announce `caching_sha2_password`. All others answer by
/// `mysql_native_password`, as do these where the rule does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FullAuthentication {
    /// Those known to lack `mysql_native_password`.
    #[default]
    Auto,
    /// All that announce it.
    Always,
    /// None.
    Never,
}

impl FullAuthentication {
    /// All of them, with their names.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("always", Self::Always),
        ("never", Self::Never),
    ];

    /// Reads a name; case and outer blanks do not matter.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let found = Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, rule)| *rule)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, rule)| *rule == self);
        found.map_or("", |(name, _)| name)
    }
}
