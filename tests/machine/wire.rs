//! What a scripted server says.

use obring::protocol::mysql::{Greeting, put_packet};

/// What that server says first.
pub(crate) fn greeting() -> Vec<u8> {
    let mut out = vec![];
    Greeting {
        version: b"5.7.25".to_vec(),
        connection_id: 1,
        capabilities: Greeting::OFFERED,
        charset: Greeting::CHARSET,
        scramble: [b'x'; 20],
    }
    .put(&mut out);
    out
}

/// One packet.
pub(crate) fn packet(seq: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    put_packet(&mut out, seq, write);
    out
}
