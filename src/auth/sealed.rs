//! A password that a client seals with the proxy's public key: caching_sha2_password's full
//! authentication on a connection without TLS.
//!
//! The client sends `password NUL`, each byte XOR the next one of the scramble (which begins anew
//! after its 20), as one RSAES-OAEP block of a 2048-bit key, digest and mask SHA1, no label.
//! Source: MySQL's documentation of caching_sha2_password; observed with libmysqlclient 9.4.0 to
//! 26.10.0.

use super::native::{Scramble, Stage1, stage1};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a sealed password: of the key's modulus. OAEP leaves 214 of them to the password.
pub const BLOCK_LEN: usize = 256;

/// Opens what is sealed with the public key of the process. The machines are handed one, because
/// keys are drawn at random.
pub trait Unseal: fmt::Debug + Send + Sync {
    /// The public key for clients: SubjectPublicKeyInfo in PEM, 451 bytes.
    ///
    /// # Errors
    /// Why there is none.
    fn public_pem(&self) -> Result<&[u8], NoKey>;

    /// Opens a block: its plain text stands in `plain` then, and is returned. `None`: it is not
    /// sealed with this key. Takes about 0.5 ms.
    fn open<'p>(&self, block: &[u8], plain: &'p mut [u8; BLOCK_LEN]) -> Option<&'p mut [u8]>;
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// It is being drawn: at start, for half a second at most.
    NotYet,
    /// It could not be drawn.
    Failed,
}

/// What is wrong with a sealed password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// Not the bytes of one block: as when a client sends the password itself.
    Length,
    /// Not sealed with this key, or not as it has to be.
    Unopened,
    /// What is in it is not a text that ends with its only NUL.
    Text,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("the password is not encrypted by RSA"),
            Self::Unopened => f.write_str("the password is not encrypted with this proxy's key"),
            Self::Text => f.write_str("the encrypted password is malformed"),
        }
    }
}

impl std::error::Error for SealError {}

/// SHA1 of the sealed password; `None` for an empty one. The password itself is gone when this
/// returns.
///
/// # Errors
/// What is wrong with the block.
pub fn stage1_of_sealed(
    key: &dyn Unseal,
    block: &[u8],
    scramble: &Scramble,
) -> Result<Option<Stage1>, SealError> {
    if block.len() != BLOCK_LEN {
        return Err(SealError::Length);
    }
    let mut plain = Zeroizing::new([0; BLOCK_LEN]);
    let text = key.open(block, &mut plain).ok_or(SealError::Unopened)?;
    for (byte, mask) in text.iter_mut().zip(scramble.iter().cycle()) {
        *byte ^= mask;
    }
    match text.split_last() {
        Some((0, [])) => Ok(None),
        Some((0, password)) if !password.contains(&0) => Ok(Some(stage1(password))),
        _ => Err(SealError::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the block for the plain text, up to its last byte that is not 0xEE.
    #[derive(Debug)]
    struct Glass;

    impl Unseal for Glass {
        fn public_pem(&self) -> Result<&[u8], NoKey> {
            Err(NoKey::Failed)
        }

        fn open<'p>(&self, block: &[u8], plain: &'p mut [u8; BLOCK_LEN]) -> Option<&'p mut [u8]> {
            plain.copy_from_slice(block);
            let len = block.iter().rposition(|b| *b != 0xEE)? + 1;
            plain.get_mut(..len)
        }
    }

    fn block(text: &[u8], scramble: &Scramble) -> [u8; BLOCK_LEN] {
        let mut block = [0xEE; BLOCK_LEN];
        let masked = text.iter().zip(scramble.iter().cycle()).map(|(t, s)| t ^ s);
        block.iter_mut().zip(masked).for_each(|(to, b)| *to = b);
        block
    }

    #[test]
    fn a_sealed_password_is_known_by_its_hash() {
        let scramble = b"ABCDEFGHIJKLMNOPQRST";
        let long = [&b"a pass phrase of more than a scramble"[..]; 4].concat();
        for password in [&b"x"[..], b"secret", &long] {
            let sealed = block(&[password, b"\0"].concat(), scramble);
            let got = stage1_of_sealed(&Glass, &sealed, scramble);
            assert_eq!(got, Ok(Some(stage1(password))));
        }
        let empty = block(b"\0", scramble);
        assert_eq!(stage1_of_sealed(&Glass, &empty, scramble), Ok(None));
    }

    #[test]
    fn what_is_no_sealed_password_is_named() {
        let scramble = b"ABCDEFGHIJKLMNOPQRST";
        let judge = |block: &[u8]| stage1_of_sealed(&Glass, block, scramble);
        for len in [0, 1, 255, 257] {
            assert_eq!(judge(&vec![7; len]), Err(SealError::Length));
        }
        assert_eq!(judge(&[0xEE; BLOCK_LEN]), Err(SealError::Unopened));
        for text in [&b"no end"[..], b"a\0b\0", b"\0\0"] {
            assert_eq!(judge(&block(text, scramble)), Err(SealError::Text));
        }
    }
}
