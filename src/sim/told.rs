//! Clients without mysql_native_password, as libmysqlclient 9: what they say to tell their
//! password, and a key pair that needs no chance.

use super::script::packet;
use crate::auth::{BLOCK_LEN, NoKey, Unseal};
use crate::base::put_lenenc_bytes;
use crate::protocol::mysql::CACHING_SHA2_PASSWORD;

/// The public key of this world.
const PEM: &[u8] = b"-----BEGIN PUBLIC KEY-----\nglass\n-----END PUBLIC KEY-----\n";
/// What fills a block behind its text; no masked byte of a text has the top bit.
const FILL: u8 = 0xEE;

/// Seals nothing: a block is its text, then fill.
#[derive(Debug)]
pub(super) struct Glass;

impl Unseal for Glass {
    fn public_pem(&self) -> Result<&[u8], NoKey> {
        Ok(PEM)
    }

    fn open<'p>(&self, block: &[u8], plain: &'p mut [u8; BLOCK_LEN]) -> Option<&'p mut [u8]> {
        plain.copy_from_slice(block);
        let len = block.iter().rposition(|b| *b != FILL)? + 1;
        plain.get_mut(..len)
    }
}

/// The attributes of such a client.
pub(super) fn attributes() -> Vec<u8> {
    let mut attributes = vec![];
    for text in ["_client_version", "9.4.0", "_client_name", "libmysql"] {
        put_lenenc_bytes(&mut attributes, text.as_bytes());
    }
    attributes
}

/// The switch that it gets.
pub(super) fn switch(seq: u8, scramble: &[u8; 20]) -> Vec<u8> {
    packet(
        seq,
        &[b"\xFE", CACHING_SHA2_PASSWORD, b"\0", scramble, b"\0"].concat(),
    )
}

/// From its answer to the switch, which has the number `seq`: what it sends, and what it gets for
/// it. The last is the sealed password. `has_key`: it does not ask for the key.
pub(super) fn exchange(
    seq: u8,
    password: &[u8],
    scramble: &[u8; 20],
    has_key: bool,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let at = |n: u8| seq.wrapping_add(n);
    let mut block = [password, b"\0"].concat();
    block
        .iter_mut()
        .zip(scramble.iter().cycle())
        .for_each(|(b, s)| *b ^= s);
    block.resize(BLOCK_LEN, FILL);
    let mut out = vec![(packet(seq, &[7; 32]), packet(at(1), &[1, 4]))];
    let mut last = at(2);
    if !has_key {
        let key = [b"\x01", PEM].concat();
        out.push((packet(last, &[2]), packet(at(3), &key)));
        last = at(4);
    }
    out.push((packet(last, &block), vec![]));
    out
}
