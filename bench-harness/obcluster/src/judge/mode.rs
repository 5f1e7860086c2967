//! How much is judged.

use std::fmt;
use std::str::FromStr;

/// How much is judged. On the command line: `sync`, `sample=10`, `fast`, `off`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JudgeMode {
    /// Every statement, by an EXPLAIN or by a verdict that is remembered.
    #[default]
    Sync,
    /// One statement of this many.
    Sample(u32),
    /// As [`Self::Sync`], but an equality on an integer key of a hash is calculated once the
    /// kernel has agreed often enough.
    Fast,
    /// Nothing.
    Off,
}

impl FromStr for JudgeMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sync" => return Ok(Self::Sync),
            "fast" => return Ok(Self::Fast),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let every = text.strip_prefix("sample=").and_then(|n| n.parse().ok());
        match every {
            Some(n) if n > 0 => Ok(Self::Sample(n)),
            _ => Err(format!(
                "'{text}' is none of sync, sample=N (N > 0), fast, off"
            )),
        }
    }
}

impl fmt::Display for JudgeMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sync => f.write_str("sync"),
            Self::Sample(n) => write!(f, "sample={n}"),
            Self::Fast => f.write_str("fast"),
            Self::Off => f.write_str("off"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_as_they_are_read() {
        for text in ["sync", "sample=10", "fast", "off"] {
            assert_eq!(text.parse::<JudgeMode>().unwrap().to_string(), text);
        }
        for text in ["", "sample", "sample=0", "sample=x", "Sync"] {
            assert!(text.parse::<JudgeMode>().is_err(), "{text}");
        }
    }
}
