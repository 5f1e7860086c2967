//! Who receives what a reply is made of.

use serde::{Deserialize, Serialize};

/// Receives what [`Reply::feed`](super::Reply::feed) finds, in wire order.
pub trait ReplySink {
    /// Bytes `start..end` of the slice go to the client.
    fn pass(&mut self, start: usize, end: usize);
    /// Bytes that were held back from an earlier slice go to the client.
    fn pass_held(&mut self, bytes: &[u8]);
    /// A real OK: the client gets it in its own layout, with this sequence number.
    fn ok(&mut self, seq: u8, payload: &[u8]);
    /// The terminal OK: only its effects count.
    fn terminal_ok(&mut self, payload: &[u8]);
    /// The reply is nothing but this error. True: the client is not to get it, nor anything else of
    /// this reply; [`Self::error`] is not called.
    fn withholds(&mut self, _code: u16) -> bool {
        false
    }
    /// An ERR packet passes (its bytes are reported by `pass`); this is its number.
    fn error(&mut self, code: u16);
    /// The server asks the client for more: the file of LOAD DATA LOCAL, or an auth answer.
    fn client_turn(&mut self, turn: ClientTurn);
    /// A statement was prepared under this id. Returns the id that the client gets.
    fn prepared(&mut self, id: u32, _params: u16) -> u32 {
        id
    }
    /// An EOF packet of a reply to COM_STMT_PREPARE has this status. Returns what the client gets.
    fn prepare_status(&mut self, status: u16) -> u16 {
        status
    }
    /// The rows of the statement wait behind a cursor.
    fn cursor_opened(&mut self) {}
    /// The last row of a cursor was sent.
    fn cursor_ended(&mut self) {}
}

/// Why the client has to send something inside a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientTurn {
    /// Packets of a file up to an empty one.
    Infile,
    /// One packet: the answer to an auth switch.
    AuthAnswer,
}
