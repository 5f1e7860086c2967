//! The same reply to every request, without allocation: only its request id changes.

use crate::machine::framed::Framed;
use obring::protocol::ob20::{Envelope, FRAME_HEAD_LEN, FrameWriter, Framing, crc16};

/// What a server answers the first request of a connection: `mysql` in one frame.
pub(crate) fn first_reply(framing: Framing, mysql: &[u8]) -> Vec<u8> {
    let mut server = Framed::new(framing);
    let mut proxy = FrameWriter::new(framing, 1, true);
    let mut request = vec![];
    proxy.begin_request();
    proxy.put(&mut request, Envelope::default(), b"?");
    server.take(&request);
    server.reply(mysql, 1)
}

/// Makes frames of OceanBase 2.0 packets those of the reply to request `id`.
pub(crate) fn renumber(frames: &mut [u8], id: u32) {
    let mut rest = frames;
    while rest.len() >= FRAME_HEAD_LEN {
        let len = u32::from_le_bytes([rest[0], rest[1], rest[2], 0]) as usize + 7;
        let (frame, after) = rest.split_at_mut(len);
        frame[15..18].copy_from_slice(&id.to_le_bytes()[..3]);
        let crc = crc16(0, &frame[..FRAME_HEAD_LEN - 2]);
        frame[FRAME_HEAD_LEN - 2..FRAME_HEAD_LEN].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
}
