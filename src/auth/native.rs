//! mysql_native_password, and passing its answer through.
//!
//! The client answers the scramble P of the proxy; each server checks against `S XOR attribute`,
//! S being its own scramble, when the login carries `__proxy_scramble` = P XOR S. So one answer is
//! valid on every server and the password is never known here. Observed on seekdb 1.3.0.post5.

use crate::protocol::mysql::SCRAMBLE_LEN;
use sha1::{Digest, Sha1};

/// A challenge.
pub type Scramble = [u8; SCRAMBLE_LEN];

/// SHA1 of a password: enough to answer any challenge.
pub type Stage1 = [u8; 20];

/// A random challenge of printable bytes without NUL. `entropy` comes from the operating system.
#[must_use]
pub fn scramble(entropy: &[u8; 32]) -> Scramble {
    let mut out = [0; SCRAMBLE_LEN];
    // Each byte has its own source byte; 94 printable characters, the bias of the modulo is known
    // and harmless (6.4 bits of each).
    for (o, e) in out.iter_mut().zip(entropy) {
        *o = 0x21 + e % 0x5E;
    }
    out
}

/// SHA1 of a password.
#[must_use]
pub fn stage1(password: &[u8]) -> Stage1 {
    Sha1::digest(password).into()
}

/// The answer to `scramble` by somebody who knows `stage1`: `stage1 XOR SHA1(scramble,
/// SHA1(stage1))`.
#[must_use]
pub fn native_answer(stage1: &Stage1, scramble: &Scramble) -> [u8; 20] {
    let stage2 = Sha1::digest(stage1);
    let mut hash = Sha1::new();
    hash.update(scramble);
    hash.update(stage2);
    let mut out: [u8; 20] = hash.finalize().into();
    for (o, s) in out.iter_mut().zip(stage1) {
        *o ^= s;
    }
    out
}

/// The value of `__proxy_scramble`: the proxy's scramble XOR the server's.
#[must_use]
pub fn pass_through(proxy: &Scramble, server: &Scramble) -> Scramble {
    let mut out = *proxy;
    for (o, s) in out.iter_mut().zip(server) {
        *o ^= s;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_the_password_to_both_scrambles() {
        let proxy = scramble(&[7; 32]);
        let server = *b"ABCDEFGHIJKLMNOPQRST";
        let answer = native_answer(&stage1(b"secret"), &proxy);
        // What the kernel computes: S XOR attribute = P.
        let checked = pass_through(&pass_through(&proxy, &server), &server);
        assert_eq!(checked, proxy);
        assert_eq!(answer, native_answer(&stage1(b"secret"), &checked));
        assert!(proxy.iter().all(|b| (0x21..0x7F).contains(b)));
    }

    /// Vectors of `tests/wire/00_crc.txt`: a kernel accepted these answers.
    #[test]
    fn answers_are_those_a_kernel_accepted() {
        let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (abc, constant) = (b"ABCDEFGHIJKLMNOPQRST", b"aaaaaaaabbbbbbbbbbbb");
        for (password, scramble, want) in [
            (
                &b"secret"[..],
                abc,
                "28441590674285e7d03cae7af237504797f70e91",
            ),
            (
                b"secret",
                constant,
                "83733890ca052d9a2d6227265370d86bac2ee213",
            ),
            (b"pw2", abc, "8da06ed5f260b383abda6c08ad61f3659547e177"),
        ] {
            assert_eq!(hex(&native_answer(&stage1(password), scramble)), want);
        }
    }
}
