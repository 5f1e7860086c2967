//! The password of the metadata user (`proxyro@sys`), as settings hold it.

use sha1::{Digest, Sha1};

/// SHA1 of a password: stage 1 of `mysql_native_password`. Enough to log in with, so as secret as
/// the password.
pub type Stage1 = [u8; 20];

/// How a clear-text password is marked.
const PLAIN: &str = "plain:";

/// Reads 40 hexadecimal digits, `plain:` and the password itself, or nothing (no password).
///
/// # Errors
/// What is wrong, in words that do not repeat the value.
pub(super) fn parse(text: &str) -> Result<Option<Stage1>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(secret) = text.strip_prefix(PLAIN) {
        return Ok((!secret.is_empty()).then(|| Sha1::digest(secret).into()));
    }
    let mut stage1 = [0; 20];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != stage1.len() || !rest.is_empty() {
        return Err(format!("has {} characters", text.chars().count()));
    }
    for (byte, [high, low]) in stage1.iter_mut().zip(pairs) {
        let digit = |c: &u8| char::from(*c).to_digit(16);
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return Err("is not hexadecimal".into());
        };
        *byte = (high << 4 | low) as u8;
    }
    Ok(Some(stage1))
}

/// SHA1 of a password as 40 hexadecimal digits: the form that is stored.
pub(super) fn hashed(password: &str) -> String {
    let digest: Stage1 = Sha1::digest(password).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The value of a password setting; `None` also for what is no such value.
#[must_use]
pub fn stage1_of(text: &str) -> Option<Stage1> {
    parse(text).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_plain_are_the_same() {
        // SHA1("secret"), by sha1sum.
        let hex = "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4";
        let stage1 = parse(hex).unwrap();
        assert!(stage1.is_some());
        assert_eq!(parse(&hex.to_uppercase()).unwrap(), stage1);
        assert_eq!(parse("plain:secret").unwrap(), stage1);
    }

    #[test]
    fn nothing_is_no_password() {
        assert_eq!(parse("").unwrap(), None);
        assert_eq!(parse("plain:").unwrap(), None);
    }

    #[test]
    fn refused_without_repeating_it() {
        for (text, what) in [
            ("hunter2", "has 7 characters"),
            (
                "*E5E9FA1BA31ECD1AE84F75CAAA474F3A663F05F4",
                "has 41 characters",
            ),
            (
                "zzzzfa1ba31ecd1ae84f75caaa474f3a663f05f4",
                "is not hexadecimal",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), what);
        }
    }
}
