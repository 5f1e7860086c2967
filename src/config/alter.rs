//! Changing one setting of a running proxy.

use super::{BadValue, IdleRow, Kind, Row, Settings};

/// What a change leads to.
#[derive(Debug)]
pub enum Alter {
    /// A setting of OBProxy that does nothing here yet.
    Idle {
        /// What is changed.
        row: &'static IdleRow,
        /// The value as it is stored; a password only as its SHA1.
        stored: String,
        /// All settings.
        settings: Box<Settings>,
    },
    /// A switch of OBProxy that works once and is off again; it does nothing here yet.
    OneShot,
    /// The settings with the new value.
    Changed {
        /// What is changed.
        row: &'static Row,
        /// The value as it is stored: a password only as its SHA1.
        stored: String,
        /// All settings.
        settings: Box<Settings>,
    },
}

/// Why a setting is not changed.
#[derive(Debug)]
pub enum AlterError {
    /// There is no such setting.
    Unknown(String),
    /// It is given at the start only.
    Fixed(&'static str),
    /// The value does not fit.
    Value(Box<BadValue>),
}

/// Sets `name` to `text` in a copy of `settings`. A password is given as it is, and hashed here.
///
/// # Errors
/// Why not.
pub fn alter(settings: &Settings, name: &str, text: &str) -> Result<Alter, AlterError> {
    let Some(row) = Row::find(name) else {
        return idle(settings, name, text);
    };
    // Source: OBProxy refuses it with 1235, operations.md 3.4.
    if row.name == "app_name" {
        return Err(AlterError::Fixed(row.name));
    }
    let stored = match row.kind {
        Kind::Password if !text.is_empty() => super::sys_password::hashed(text),
        _ => text.to_owned(),
    };
    let mut settings = Box::new(settings.clone());
    (row.assign)(&mut settings, &stored)
        .map_err(|wrong| BadValue::new(row.name, row.kind, row.bounds, text, wrong))
        .map_err(|bad| AlterError::Value(Box::new(bad)))?;
    Ok(Alter::Changed {
        row,
        stored,
        settings,
    })
}

fn idle(settings: &Settings, name: &str, text: &str) -> Result<Alter, AlterError> {
    let Some(row) = IdleRow::find(name) else {
        return Err(AlterError::Unknown(name.to_ascii_lowercase()));
    };
    let text = match row.is_secret() && !text.is_empty() {
        true => super::sys_password::hashed(text),
        false => text.to_owned(),
    };
    let read = row.read(&text);
    let stored = read.map_err(|wrong| AlterError::Value(row.bad(&text, wrong)))?;
    if row.is_volatile() {
        return Ok(Alter::OneShot);
    }
    let mut settings = Box::new(settings.clone());
    settings.set_idle(row, stored.clone());
    Ok(Alter::Idle {
        row,
        stored,
        settings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Bounds, Draft, TABLE};

    /// A value at each bound, one beyond each, and one of another type; as text.
    fn values(row: &Row) -> (Vec<String>, Vec<String>) {
        let Bounds { min, max } = row.bounds;
        let ends = |unit: &str| {
            let good = vec![format!("{min}{unit}"), format!("{max}{unit}")];
            let mut bad = vec![format!("{}{unit}", max + 1), "x".into(), String::new()];
            // Below 0 a duration is 0, as OBProxy has it.
            if min > 0 {
                bad.push(format!("{}{unit}", min - 1));
            }
            (good, bad)
        };
        let lists = |good: &[&str], bad: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
            (owned(good), owned(bad))
        };
        match row.kind {
            Kind::Int => ends(""),
            Kind::Duration => ends("us"),
            Kind::Size => ends("b"),
            Kind::Port => lists(&["0", "1025", "65535"], &["1024", "65536", "-1", "x", ""]),
            Kind::Bool => lists(&["true", "False", "1", "off"], &["2", "maybe", ""]),
            Kind::Text => {
                let of = |n: u64| "x".repeat(n as usize);
                let mut bad = vec![of(max + 1)];
                if min > 0 {
                    bad.push(of(min - 1));
                }
                (vec![of(min), of(max)], bad)
            }
            Kind::Address => lists(&["0.0.0.0", "::1"], &["1.2.3", "a:1", ""]),
            Kind::ServerList => lists(
                &["", "1.2.3.4:1", "[::1]:65535;1.2.3.4:2"],
                &["1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "x"],
            ),
            Kind::Password => lists(&["", &"0".repeat(40)], &["x", &"g".repeat(40)]),
            Kind::Version => lists(&["5.7.25", "8"], &["8.x", ""]),
            Kind::LogLevel => lists(&["ERROR", "debug"], &["LOUD", ""]),
            Kind::ServerProtocol => lists(&["Auto", "oceanbase 2.0"], &["OceanBase 3", ""]),
            Kind::RoutingMode => lists(&["oceanbase", "Random"], &["any", ""]),
            Kind::FullAuthentication => lists(&["auto", "Never"], &["sometimes", ""]),
            Kind::Compression => lists(&["", "zlib:6"], &["zlib:10", "lz4:1"]),
            Kind::UserList => lists(&["", "a@t;b@t"], &["a", "a@t#c"]),
        }
    }

    fn quoted(value: &str) -> String {
        format!("\"{}\"", value.replace('\\', "\\\\"))
    }

    #[test]
    fn every_setting_keeps_its_bounds_by_file_option_flag_and_change() {
        let settings = Settings::of_table();
        for row in TABLE {
            let (good, bad) = values(row);
            for (value, fits) in good
                .iter()
                .map(|v| (v, true))
                .chain(bad.iter().map(|v| (v, false)))
            {
                let about = |way: &str, result: &dyn std::fmt::Debug| {
                    format!("{} = {value:?} by {way}: {result:?}", row.name)
                };
                let file = format!("[proxy]\n{} = {}\n", row.name, quoted(value));
                let by_file = Draft::new().read_file("f.toml", &file);
                assert_eq!(by_file.is_ok(), fits, "{}", about("file", &by_file));
                // OBProxy takes this one from SQL only, and skips it in -o.
                if row.name != "target_db_server" {
                    let by_option = Draft::new().read_options(&format!("{}={value}", row.name));
                    assert_eq!(by_option.is_ok(), fits, "{}", about("-o", &by_option));
                }
                let by_flag = Draft::new().read_flag("-x", row.name, value);
                assert_eq!(by_flag.is_ok(), fits, "{}", about("flag", &by_flag));
                if let Err(e) = by_file {
                    let text = e.to_string();
                    assert!(text.starts_with("f.toml:2: "), "{text}");
                    assert!(
                        text.contains(row.name) && text.contains("allowed: "),
                        "{text}"
                    );
                }
                // A password is changed in the clear: any text is one.
                if row.kind == Kind::Password || row.name == "app_name" {
                    continue;
                }
                let by_change = alter(&settings, row.name, value);
                assert_eq!(by_change.is_ok(), fits, "{}", about("ALTER", &by_change));
            }
        }
    }

    #[test]
    fn a_password_is_stored_as_its_hash_and_never_told() {
        let settings = Settings::of_table();
        let Ok(Alter::Changed {
            stored,
            row,
            settings,
        }) = alter(&settings, "OBPROXY_SYS_PASSWORD", "secret")
        else {
            panic!("it is a setting");
        };
        assert_eq!(stored, "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4");
        assert_eq!(row.value(&settings), "***");
        let Ok(Alter::Idle {
            stored, settings, ..
        }) = alter(&settings, "Enable_Sharding", "on")
        else {
            panic!("it is a setting of OBProxy");
        };
        assert_eq!((stored.as_str(), settings.idle.len()), ("True", 1));
        assert!(matches!(
            alter(&settings, "enable_sharding", "x"),
            Err(AlterError::Value(_))
        ));
        assert!(matches!(
            alter(&settings, "refresh_json_config", "True"),
            Ok(Alter::OneShot)
        ));
        assert!(matches!(
            alter(&settings, "xyz", "1"),
            Err(AlterError::Unknown(_))
        ));
        assert!(matches!(
            alter(&settings, "app_name", "1"),
            Err(AlterError::Fixed(_))
        ));
    }
}
