//! Time zones of sessions.

use super::temporal::{Moment, SECOND_US};
use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// The value of `time_zone`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Zone {
    /// `+08:00`, in seconds east of Greenwich.
    Fixed(i32),
    /// A name of the IANA list.
    Named(Tz),
}

impl Zone {
    /// Reads `time_zone`. `None`: `SYSTEM`, or a name that is not known.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok()?;
        let (sign, rest) = match text.as_bytes().first()? {
            b'+' => (1, text.get(1..)?),
            b'-' => (-1, text.get(1..)?),
            _ => return text.parse().ok().map(Self::Named),
        };
        let (hours, minutes) = rest.split_once(':')?;
        let number = |text: &str| -> Option<i32> {
            let is_number = text.bytes().all(|b| b.is_ascii_digit()) && text.len() <= 2;
            text.parse().ok().filter(|_| is_number)
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let fits = hours <= 14 && minutes < 60;
        fits.then_some(Self::Fixed(sign * (hours * 3600 + minutes * 60)))
    }

    /// Microseconds since 1970-01-01 UTC of a wall-clock time. `None`: the clock skips it or
    /// shows it twice.
    pub(super) fn to_utc_us(self, moment: &Moment) -> Option<i64> {
        let wall = moment.epoch_us()?;
        let offset = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(tz) => {
                let naive = naive(wall)?;
                tz.offset_from_local_datetime(&naive)
                    .single()?
                    .fix()
                    .local_minus_utc()
            }
        };
        wall.checked_sub(i64::from(offset) * SECOND_US)
    }

    /// The wall-clock time of microseconds since 1970-01-01 UTC.
    pub(super) fn wall_clock(self, us: i64) -> Option<Moment> {
        let offset = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(tz) => tz
                .offset_from_utc_datetime(&naive(us)?)
                .fix()
                .local_minus_utc(),
        };
        Moment::from_epoch_us(us.checked_add(i64::from(offset) * SECOND_US)?)
    }
}

fn naive(us: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(us).map(|t| t.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clocks_are_told_apart() {
        let noon = Moment::from_text(b"2024-07-01 12:00:00").unwrap();
        let utc = |zone: &str, text: &str| {
            let moment = Moment::from_text(text.as_bytes()).unwrap();
            Zone::of(zone.as_bytes())?.to_utc_us(&moment)
        };
        let at = noon.epoch_us();
        assert_eq!(utc("+00:00", "2024-07-01 12:00:00"), at);
        assert_eq!(utc("+08:00", "2024-07-01 20:00:00"), at);
        assert_eq!(utc("-05:30", "2024-07-01 06:30:00"), at);
        assert_eq!(utc("Asia/Shanghai", "2024-07-01 20:00:00"), at);
        assert_eq!(utc("Europe/Berlin", "2024-07-01 14:00:00"), at);
        // Twice, and never.
        assert_eq!(utc("Europe/Berlin", "2024-10-27 02:30:00"), None);
        assert_eq!(utc("Europe/Berlin", "2024-03-31 02:30:00"), None);
        for bad in ["SYSTEM", "", "+8", "+15:00", "+08:60", "Mars/Base"] {
            assert_eq!(Zone::of(bad.as_bytes()), None, "{bad}");
        }
        let shanghai = Zone::of(b"Asia/Shanghai").unwrap();
        let wall = Moment::from_text(b"2024-07-01 20:00:00");
        assert_eq!(shanghai.wall_clock(at.unwrap()), wall);
    }
}
