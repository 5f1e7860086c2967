//! Numbers with a unit: durations and sizes, as OBProxy writes them.
//!
//! Source: `oceanbase/obproxy src/share/config/`; operations.md 2.1.

/// Microseconds of the units of a duration. The last is the unit of a bare number.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("us", 1),
    ("ms", MS),
    ("m", 60 * S),
    ("h", HOUR),
    ("d", DAY),
    ("s", S),
];

/// Bytes of the units of a size. The last is the unit of a bare number.
const SIZE_UNITS: &[(&str, u64)] = &[
    ("b", 1),
    ("byte", 1),
    ("k", KB),
    ("kb", KB),
    ("g", KB * MB),
    ("gb", KB * MB),
    ("t", MB * MB),
    ("tb", MB * MB),
    ("p", KB * MB * MB),
    ("pb", KB * MB * MB),
    ("m", MB),
    ("mb", MB),
];

/// Microseconds of a millisecond.
pub(super) const MS: u64 = 1_000;
/// Microseconds of a second.
pub(super) const S: u64 = 1_000 * MS;
/// Microseconds of an hour.
pub(super) const HOUR: u64 = 3_600 * S;
/// Microseconds of a day.
pub(super) const DAY: u64 = 24 * HOUR;
/// Bytes of a kilobyte.
pub(super) const KB: u64 = 1 << 10;
/// Bytes of a megabyte.
pub(super) const MB: u64 = 1 << 20;

/// Microseconds of a duration like `100ms`; a bare number is seconds; a negative one is 0.
/// `None`: not a duration, or more than 64 bits.
pub(super) fn duration_us(text: &str) -> Option<u64> {
    match text.strip_prefix('-') {
        Some(rest) => quantity(rest, DURATION_UNITS).map(|_| 0),
        None => quantity(text, DURATION_UNITS),
    }
}

/// Bytes of a size like `256MB`; a bare number is megabytes. `None`: not a size, or more than 64
/// bits.
pub(super) fn size_bytes(text: &str) -> Option<u64> {
    quantity(text, SIZE_UNITS)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (_, factor) = match unit.trim() {
        "" => units.last()?,
        unit => units.iter().find(|(u, _)| u.eq_ignore_ascii_case(unit))?,
    };
    number.checked_mul(*factor)
}

/// An integer as C writes it: decimal, `0x` hexadecimal, or octal after a leading 0.
pub(super) fn integer(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    // from_str_radix takes a sign; a setting does not.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// The shortest way to write a duration; reads back as the same.
pub(super) fn show_duration(us: u64) -> String {
    for (unit, factor) in [("d", DAY), ("h", HOUR), ("m", 60 * S), ("s", S), ("ms", MS)] {
        if us >= factor && us.is_multiple_of(factor) {
            return format!("{}{unit}", us / factor);
        }
    }
    if us == 0 {
        "0s".into()
    } else {
        format!("{us}us")
    }
}

/// The shortest way to write a size; reads back as the same.
pub(super) fn show_size(bytes: u64) -> String {
    for (unit, factor) in [("GB", KB * MB), ("MB", MB), ("KB", KB)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, us) in [
            ("5s", Some(5_000_000)),
            ("5", Some(5_000_000)),
            ("100ms", Some(100_000)),
            ("7us", Some(7)),
            ("2m", Some(120_000_000)),
            ("1H", Some(3_600_000_000)),
            ("1d", Some(86_400_000_000)),
            ("5 s", Some(5_000_000)),
            ("0", Some(0)),
            ("-5s", Some(0)),
            ("", None),
            ("s", None),
            ("-", None),
            ("5x", None),
            ("1.5s", None),
            ("1s2", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration_us(text), us, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4KB", Some(4096)),
            ("4k", Some(4096)),
            ("256MB", Some(256 << 20)),
            ("256", Some(256 << 20)),
            ("1g", Some(1 << 30)),
            ("2tb", Some(2 << 40)),
            ("1P", Some(1 << 50)),
            ("17b", Some(17)),
            ("17byte", Some(17)),
            ("-1", None),
            ("KB", None),
            ("1KiB", None),
            ("99999999P", None),
        ] {
            assert_eq!(size_bytes(text), bytes, "{text:?}");
        }
    }

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", Some(0)),
            ("42", Some(42)),
            ("0x1F", Some(31)),
            ("010", Some(8)),
            ("08", None),
            ("0x", None),
            ("0x-1", None),
            ("-1", None),
            ("+1", None),
            ("4 2", None),
            ("", None),
        ] {
            assert_eq!(integer(text), value, "{text:?}");
        }
    }

    #[test]
    fn shown_as_read() {
        for us in [0, 1, 999, MS, 1_500 * MS, S, 90 * S, 3 * HOUR, DAY] {
            assert_eq!(duration_us(&show_duration(us)), Some(us));
        }
        for bytes in [0, 1, KB, KB + 1, 3 * MB, 4 * KB * MB] {
            assert_eq!(size_bytes(&show_size(bytes)), Some(bytes));
        }
    }
}
