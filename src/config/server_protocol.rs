//! How MySQL packets are framed on server connections.

/// The framing that is asked for; a server may grant less.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ServerProtocol {
    /// The best that the server grants: OceanBase 2.0, else plain.
    #[default]
    Auto,
    /// Plain MySQL packets.
    MySql,
    /// MySQL's compressed packets, for their checksum.
    Compressed,
    /// OceanBase 2.0 packets.
    Ob20,
}

impl ServerProtocol {
    /// All of them, with the names that OBProxy has for them.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("Auto", Self::Auto),
        ("MySQL", Self::MySql),
        ("Compressed MySQL", Self::Compressed),
        ("OceanBase 2.0", Self::Ob20),
    ];

    /// Reads a name; case and outer blanks do not matter.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let found = Self::NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text.trim()));
        found.map(|(_, protocol)| *protocol)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, protocol)| *protocol == self);
        found.map_or("", |(name, _)| name)
    }
}
