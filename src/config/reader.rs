//! From text to a typed value and back, one type per [`Kind`].

use super::quantity::{duration_us, integer, show_duration, show_size, size_bytes};
use super::{
    Bounds, FullAuthentication, Kind, RoutingMode, ServerProtocol, Stage1, WeakReader, servers,
    sys_password,
};
use crate::base::Level;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const OUT_OF_RANGE: &str = "is out of range";

/// Reads and shows the values of one kind.
pub(super) trait Reader {
    /// What is read.
    type Value;
    /// The kind, in words.
    const KIND: Kind;
    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong, to be put behind the value: "is out of range".
    fn read(text: &str, bounds: Bounds) -> Result<Self::Value, String>;
    /// Writes a value so that it reads back; a secret as `***`.
    fn show(value: &Self::Value) -> String;
}

fn within(number: Option<u64>, bounds: Bounds, what: &str) -> Result<u64, String> {
    match number {
        None => Err(format!("is not {what}")),
        Some(n) if bounds.holds(n) => Ok(n),
        Some(_) => Err(OUT_OF_RANGE.into()),
    }
}

/// [`Kind::Port`].
pub(super) struct Port;

impl Reader for Port {
    type Value = u16;
    const KIND: Kind = Kind::Port;

    fn read(text: &str, _: Bounds) -> Result<u16, String> {
        let port = within(integer(text), Bounds::ANY, "a port")?;
        match u16::try_from(port) {
            Ok(port) if port == 0 || port > 1024 => Ok(port),
            _ => Err(OUT_OF_RANGE.into()),
        }
    }

    fn show(value: &u16) -> String {
        value.to_string()
    }
}

/// [`Kind::Int`].
pub(super) struct Int;

impl Reader for Int {
    type Value = u32;
    const KIND: Kind = Kind::Int;

    fn read(text: &str, bounds: Bounds) -> Result<u32, String> {
        let number = within(integer(text), bounds, "an integer")?;
        u32::try_from(number).map_err(|_| OUT_OF_RANGE.into())
    }

    fn show(value: &u32) -> String {
        value.to_string()
    }
}

/// [`Kind::Duration`].
pub(super) struct Time;

impl Reader for Time {
    type Value = Duration;
    const KIND: Kind = Kind::Duration;

    fn read(text: &str, bounds: Bounds) -> Result<Duration, String> {
        let us = within(duration_us(text), bounds, "a duration (as 100ms, 5s, 1d)")?;
        Ok(Duration::from_micros(us))
    }

    fn show(value: &Duration) -> String {
        show_duration(u64::try_from(value.as_micros()).unwrap_or(u64::MAX))
    }
}

/// [`Kind::Size`].
pub(super) struct Size;

impl Reader for Size {
    type Value = u64;
    const KIND: Kind = Kind::Size;

    fn read(text: &str, bounds: Bounds) -> Result<u64, String> {
        within(size_bytes(text), bounds, "a size (as 4KB, 256MB)")
    }

    fn show(value: &u64) -> String {
        show_size(*value)
    }
}

/// [`Kind::Bool`].
pub(super) struct Switch;

impl Reader for Switch {
    type Value = bool;
    const KIND: Kind = Kind::Bool;

    fn read(text: &str, _: Bounds) -> Result<bool, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "yes" | "t" | "1" => Ok(true),
            "false" | "off" | "no" | "f" | "0" => Ok(false),
            _ => Err("is not a bool".into()),
        }
    }

    fn show(value: &bool) -> String {
        if *value { "True" } else { "False" }.into()
    }
}

/// [`Kind::Text`].
pub(super) struct Text;

impl Reader for Text {
    type Value = String;
    const KIND: Kind = Kind::Text;

    fn read(text: &str, bounds: Bounds) -> Result<String, String> {
        if text.contains(char::is_control) {
            return Err("has a control character".into());
        }
        within(Some(text.chars().count() as u64), bounds, "a text")?;
        Ok(text.into())
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// [`Kind::Address`].
pub(super) struct Address;

impl Reader for Address {
    type Value = IpAddr;
    const KIND: Kind = Kind::Address;

    fn read(text: &str, _: Bounds) -> Result<IpAddr, String> {
        text.parse().map_err(|_| "is not an IP address".into())
    }

    fn show(value: &IpAddr) -> String {
        value.to_string()
    }
}

/// [`Kind::ServerList`].
pub(super) struct Servers;

impl Reader for Servers {
    type Value = Vec<SocketAddr>;
    const KIND: Kind = Kind::ServerList;

    fn read(text: &str, _: Bounds) -> Result<Vec<SocketAddr>, String> {
        servers::parse(text).map_err(|wrong| format!("is no server list ({wrong})"))
    }

    fn show(value: &Vec<SocketAddr>) -> String {
        servers::show(value)
    }
}

/// [`Kind::ServerList`], divided by `,` too.
pub(super) struct Targets;

impl Reader for Targets {
    type Value = Vec<SocketAddr>;
    const KIND: Kind = Kind::ServerList;

    fn read(text: &str, bounds: Bounds) -> Result<Vec<SocketAddr>, String> {
        Servers::read(&text.replace(',', ";"), bounds)
    }

    fn show(value: &Vec<SocketAddr>) -> String {
        servers::show(value)
    }
}

/// [`Kind::UserList`].
pub(super) struct WeakReaders;

impl Reader for WeakReaders {
    type Value = Vec<WeakReader>;
    const KIND: Kind = Kind::UserList;

    fn read(text: &str, _: Bounds) -> Result<Vec<WeakReader>, String> {
        WeakReader::list(text)
    }

    fn show(value: &Vec<WeakReader>) -> String {
        let users: Vec<_> = value.iter().map(ToString::to_string).collect();
        users.join(";")
    }
}

/// [`Kind::Password`].
pub(super) struct Password;

impl Reader for Password {
    type Value = Option<Stage1>;
    const KIND: Kind = Kind::Password;

    fn read(text: &str, _: Bounds) -> Result<Option<Stage1>, String> {
        sys_password::parse(text)
    }

    fn show(value: &Option<Stage1>) -> String {
        if value.is_some() { "***" } else { "" }.into()
    }
}

/// [`Kind::Version`].
pub(super) struct Version;

impl Reader for Version {
    type Value = String;
    const KIND: Kind = Kind::Version;

    fn read(text: &str, _: Bounds) -> Result<String, String> {
        let is_part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit());
        if text.len() > 64 || !text.split('.').all(is_part) {
            return Err("is not a version".into());
        }
        Ok(text.into())
    }

    fn show(value: &String) -> String {
        value.clone()
    }
}

/// [`Kind::LogLevel`].
pub(super) struct LogLevel;

impl Reader for LogLevel {
    type Value = Level;
    const KIND: Kind = Kind::LogLevel;

    /// OBProxy's EDIAG, WDIAG and TRACE are read as the level they stand beside.
    fn read(text: &str, _: Bounds) -> Result<Level, String> {
        match text.to_ascii_uppercase().as_str() {
            "ERROR" | "EDIAG" => Ok(Level::Error),
            "WARN" | "WDIAG" => Ok(Level::Warn),
            "INFO" => Ok(Level::Info),
            "TRACE" | "DEBUG" => Ok(Level::Debug),
            _ => Err("is not a log level".into()),
        }
    }

    fn show(value: &Level) -> String {
        match value {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
        }
        .into()
    }
}

/// [`Kind::ServerProtocol`].
pub(super) struct Protocol;

impl Reader for Protocol {
    type Value = ServerProtocol;
    const KIND: Kind = Kind::ServerProtocol;

    fn read(text: &str, _: Bounds) -> Result<ServerProtocol, String> {
        ServerProtocol::of(text).ok_or_else(|| "is not a protocol".into())
    }

    fn show(value: &ServerProtocol) -> String {
        value.name().into()
    }
}

/// [`Kind::RoutingMode`].
pub(super) struct Mode;

impl Reader for Mode {
    type Value = RoutingMode;
    const KIND: Kind = Kind::RoutingMode;

    fn read(text: &str, _: Bounds) -> Result<RoutingMode, String> {
        RoutingMode::of(text).ok_or_else(|| "is not a routing mode".into())
    }

    fn show(value: &RoutingMode) -> String {
        value.name().into()
    }
}

/// [`Kind::FullAuthentication`].
pub(super) struct Rule;

impl Reader for Rule {
    type Value = FullAuthentication;
    const KIND: Kind = Kind::FullAuthentication;

    fn read(text: &str, _: Bounds) -> Result<FullAuthentication, String> {
        FullAuthentication::of(text).ok_or_else(|| "is not a rule".into())
    }

    fn show(value: &FullAuthentication) -> String {
        value.name().into()
    }
}

/// [`Kind::Compression`]: the level; `None` is no compression.
pub(super) struct Compression;

impl Reader for Compression {
    type Value = Option<u8>;
    const KIND: Kind = Kind::Compression;

    fn read(text: &str, _: Bounds) -> Result<Option<u8>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let level = text
            .strip_prefix("zlib:")
            .and_then(|level| match level.as_bytes() {
                [digit @ b'0'..=b'9'] => Some(digit - b'0'),
                _ => None,
            });
        level.map(Some).ok_or_else(|| "is not a compression".into())
    }

    fn show(value: &Option<u8>) -> String {
        value.map_or_else(String::new, |level| format!("zlib:{level}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<R: Reader>(text: &str, bounds: Bounds) -> String {
        R::read(text, bounds).map_or_else(|wrong| format!("! {wrong}"), |v| R::show(&v))
    }

    #[test]
    fn ports_of_obproxy_and_zero() {
        for (text, shown) in [
            ("0", "0"),
            ("1024", "! is out of range"),
            ("1025", "1025"),
            ("65535", "65535"),
            ("65536", "! is out of range"),
            ("-1", "! is not a port"),
            ("http", "! is not a port"),
        ] {
            assert_eq!(read::<Port>(text, Bounds::ANY), shown, "{text}");
        }
    }

    #[test]
    fn both_ends_belong_to_the_range() {
        let bounds = Bounds::new(1_000_000, 2_000_000);
        for (text, shown) in [
            ("1s", "1s"),
            ("2s", "2s"),
            ("2001ms", "! is out of range"),
            ("999ms", "! is out of range"),
            ("soon", "! is not a duration (as 100ms, 5s, 1d)"),
        ] {
            assert_eq!(read::<Time>(text, bounds), shown, "{text}");
        }
        assert_eq!(read::<Int>("0x10", Bounds::new(16, 16)), "16");
        assert_eq!(read::<Int>("17", Bounds::new(16, 16)), "! is out of range");
        assert_eq!(read::<Size>("16b", Bounds::new(16, 16)), "16B");
        assert_eq!(read::<Int>("4294967296", Bounds::ANY), "! is out of range");
    }

    #[test]
    fn switches() {
        for text in ["true", "ON", "Yes", "T", "1"] {
            assert_eq!(read::<Switch>(text, Bounds::ANY), "True");
        }
        for text in ["False", "off", "NO", "f", "0"] {
            assert_eq!(read::<Switch>(text, Bounds::ANY), "False");
        }
        assert_eq!(read::<Switch>("", Bounds::ANY), "! is not a bool");
    }

    #[test]
    fn texts_count_characters_and_stay_on_one_line() {
        let bounds = Bounds::new(1, 3);
        assert_eq!(read::<Text>("数据库", bounds), "数据库");
        assert_eq!(read::<Text>("", bounds), "! is out of range");
        assert_eq!(read::<Text>("four", bounds), "! is out of range");
        assert_eq!(read::<Text>("a\nb", bounds), "! has a control character");
    }

    #[test]
    fn versions_and_levels() {
        for text in ["5.7.25", "8", "8.0.33.1"] {
            assert_eq!(read::<Version>(text, Bounds::ANY), text);
        }
        for text in ["", ".", "5.", "5.7-log", "v5"] {
            assert_eq!(read::<Version>(text, Bounds::ANY), "! is not a version");
        }
        assert_eq!(read::<LogLevel>("wdiag", Bounds::ANY), "WARN");
        assert_eq!(
            read::<LogLevel>("ALL.*:INFO", Bounds::ANY),
            "! is not a log level"
        );
    }

    #[test]
    fn protocols_and_compressions() {
        for (text, shown) in [
            ("auto", "Auto"),
            (" oceanbase 2.0 ", "OceanBase 2.0"),
            ("COMPRESSED MYSQL", "Compressed MySQL"),
            ("mysql", "MySQL"),
            ("OceanBase", "! is not a protocol"),
            ("", "! is not a protocol"),
        ] {
            assert_eq!(read::<Protocol>(text, Bounds::ANY), shown, "{text}");
        }
        for text in ["", "zlib:0", "zlib:9"] {
            assert_eq!(read::<Compression>(text, Bounds::ANY), text);
        }
        for text in ["zlib:", "zlib:10", "zstd:1", "zlib:-1", "1"] {
            let wrong = "! is not a compression";
            assert_eq!(read::<Compression>(text, Bounds::ANY), wrong, "{text}");
        }
    }

    #[test]
    fn servers_and_users_of_routing() {
        for (text, shown) in [
            (
                "1.1.1.1:1, 2.2.2.2:2;3.3.3.3:3",
                "1.1.1.1:1;2.2.2.2:2;3.3.3.3:3",
            ),
            (
                "1.1.1.1",
                "! is no server list (item \"1.1.1.1\" is not ip:port)",
            ),
        ] {
            assert_eq!(read::<Targets>(text, Bounds::ANY), shown, "{text}");
        }
        for (text, shown) in [
            ("", ""),
            (" a@t1 ; b@t2; ", "a@t1;b@t2"),
            ("a@b@t", "a@b@t"),
            ("a", "! has \"a\", which is not user@tenant"),
            ("@t", "! has \"@t\", which is not user@tenant"),
            ("a@t#c", "! has \"a@t#c\", which is not user@tenant"),
        ] {
            assert_eq!(read::<WeakReaders>(text, Bounds::ANY), shown, "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(read::<Password>("plain:secret", Bounds::ANY), "***");
        assert_eq!(read::<Password>("", Bounds::ANY), "");
    }
}
