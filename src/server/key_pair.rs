//! The RSA key pair of the process: clients seal their passwords with it.
//!
//! Drawn anew at each start, so nothing secret is stored. That takes 0.1 to 0.5 s of a CPU, which
//! is why a thread of its own does it while clients are served already; most never need it.

use crate::auth::{BLOCK_LEN, NoKey, Unseal};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::sync::{Arc, OnceLock};

/// Characters of a line of PEM. Source: RFC 7468.
const PEM_LINE: usize = 64;

/// The key pair, once there is one.
#[derive(Debug, Default)]
pub(super) struct KeyPair(OnceLock<Option<Drawn>>);

#[derive(Debug)]
struct Drawn {
    private: OaepPrivateDecryptingKey,
    public_pem: Vec<u8>,
}

impl Drawn {
    fn new() -> Result<Self, Unspecified> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
        let public_pem = pem(&private.public_key())?;
        let private = OaepPrivateDecryptingKey::new(private)?;
        Ok(Self {
            private,
            public_pem,
        })
    }
}

impl KeyPair {
    /// Begins to draw one.
    pub(super) fn draw() -> Arc<Self> {
        let pair = Arc::new(Self::default());
        let drawn = pair.clone();
        let thread = std::thread::Builder::new()
            .name("obring-key-pair".into())
            .spawn(move || {
                let result = Drawn::new();
                if result.is_err() {
                    tracing::error!(
                        event = "key_pair_failed",
                        "clients without mysql_native_password cannot log in"
                    );
                }
                let _ = drawn.0.set(result.ok());
            });
        if let Err(cause) = thread {
            tracing::error!(event = "key_pair_failed", %cause);
            let _ = pair.0.set(None);
        }
        pair
    }
}

/// SubjectPublicKeyInfo in PEM.
fn pem(key: &PublicEncryptingKey) -> Result<Vec<u8>, Unspecified> {
    let der: PublicKeyX509Der<'_> = key.as_der()?;
    let text = STANDARD.encode(der.as_ref());
    let mut pem = b"-----BEGIN PUBLIC KEY-----\n".to_vec();
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END PUBLIC KEY-----\n");
    Ok(pem)
}

impl Unseal for KeyPair {
    fn public_pem(&self) -> Result<&[u8], NoKey> {
        match self.0.get() {
            None => Err(NoKey::NotYet),
            Some(None) => Err(NoKey::Failed),
            Some(Some(drawn)) => Ok(&drawn.public_pem),
        }
    }

    fn open<'p>(&self, block: &[u8], plain: &'p mut [u8; BLOCK_LEN]) -> Option<&'p mut [u8]> {
        let drawn = self.0.get()?.as_ref()?;
        let opened = drawn
            .private
            .decrypt(&OAEP_SHA1_MGF1SHA1, block, plain, None);
        opened.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{SealError, stage1, stage1_of_sealed};
    use aws_lc_rs::rsa::OaepPublicEncryptingKey;

    /// Reads a public key as clients do.
    fn public_key(pem: &[u8]) -> OaepPublicEncryptingKey {
        let text = std::str::from_utf8(pem).expect("text");
        let lines: Vec<_> = text.lines().collect();
        let [begin, body @ .., end] = &lines[..] else {
            panic!("{text}");
        };
        assert_eq!(
            (*begin, *end),
            ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")
        );
        let der = STANDARD.decode(body.concat()).expect("base64");
        let key = PublicEncryptingKey::from_der(&der).expect("a key");
        OaepPublicEncryptingKey::new(key).expect("a key for OAEP")
    }

    #[test]
    fn what_clients_seal_can_be_opened() {
        let (pair, other) = (KeyPair::draw(), KeyPair::draw());
        let pem = loop {
            match pair.public_pem() {
                Ok(pem) => break pem,
                Err(why) => assert_eq!(why, NoKey::NotYet),
            }
            std::thread::yield_now();
        };
        assert_eq!(pem.len(), 451);
        let scramble = b"ABCDEFGHIJKLMNOPQRST";
        let seal = |text: &[u8]| {
            let mut block = [0; BLOCK_LEN];
            let masked: Vec<_> = text
                .iter()
                .zip(scramble.iter().cycle())
                .map(|(t, s)| t ^ s)
                .collect();
            let key = public_key(pem);
            key.encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut block, None)
                .expect("sealed");
            block
        };
        let block = seal(b"secret\0");
        let open = |block: &[u8]| stage1_of_sealed(&*pair, block, scramble);
        assert_eq!(open(&block), Ok(Some(stage1(b"secret"))));
        assert_eq!(open(&seal(b"\0")), Ok(None));
        // The longest one.
        assert!(open(&seal(&[&[b'x'; 213][..], b"\0"].concat())).is_ok());
        let mut bent = block;
        bent[100] ^= 1;
        for wrong in [bent, [0; BLOCK_LEN], [0xFF; BLOCK_LEN]] {
            assert_eq!(open(&wrong), Err(SealError::Unopened));
        }
        while other.public_pem() == Err(NoKey::NotYet) {
            std::thread::yield_now();
        }
        let by_other = stage1_of_sealed(&*other, &block, scramble);
        assert_eq!(by_other, Err(SealError::Unopened));
    }
}
