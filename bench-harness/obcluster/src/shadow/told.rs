//! What a reply says of the session.

use obring_wire::base::Cursor;
use obring_wire::protocol::mysql::{OkPacket, TRACK_SCHEMA, TRACK_VARIABLES};
use obring_wire::protocol::ob20::{Extra, entry, feedback};

/// Session state that travels beside MySQL bytes: extra info of requests and replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Sub types of session state and their bytes, in the order of their coming.
    pub parts: Vec<(u16, Vec<u8>)>,
    /// The link holds user locks, if that was told.
    pub holds_locks: Option<bool>,
}

impl Beside {
    /// Takes the extra info of one packet. What is not well formed is left out: the kernel ends
    /// such connections.
    pub fn take(&mut self, extra: &Extra<'_>) {
        // The entries in front of a malformed one were taken.
        let _ = extra.each(|kind, value| {
            match kind {
                entry::SESSION => each(value, |kind, value| {
                    self.parts.push((kind, value.to_vec()));
                }),
                entry::FEEDBACK => each(value, |kind, value| {
                    if kind == feedback::LOCKS {
                        self.holds_locks = Some(value == b"1");
                    }
                }),
                _ => {}
            }
            Ok(())
        });
    }
}

/// Calls `take` with the entries `type u16 | length u32 | value` of a value.
fn each(bytes: &[u8], mut take: impl FnMut(u16, &[u8])) {
    let mut c = Cursor::new(bytes);
    while let (Ok(kind), Ok(len)) = (c.u16(), c.u32()) {
        let Ok(value) = c.take(len as usize) else {
            return;
        };
        take(kind, value);
    }
}

/// What a reply says of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Extra info.
    pub beside: Beside,
    /// System variables: names and values.
    pub variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// User variables: names and literals.
    pub user_variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// The current database; empty when it was dropped.
    pub database: Option<Vec<u8>>,
    /// Number of the statement that was prepared.
    pub statement: Option<u32>,
    /// A transaction is open, if that was told.
    pub in_transaction: Option<bool>,
    /// The transaction may go on elsewhere: the reply's packets say so.
    pub is_free: bool,
    /// It is an error.
    pub is_error: bool,
}

impl Told {
    /// Takes the state blocks of an OK in proxy mode.
    pub fn ok(&mut self, ok: &OkPacket<'_>) {
        for block in ok.blocks() {
            match block.kind {
                TRACK_SCHEMA => {
                    let name = block.schema().map(<[u8]>::to_vec);
                    self.database = name.or_else(|| self.database.take());
                }
                TRACK_VARIABLES => {
                    for (name, value, is_user) in block.variables() {
                        let list = if is_user {
                            &mut self.user_variables
                        } else {
                            &mut self.variables
                        };
                        list.push((name.to_vec(), value.to_vec()));
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obring_wire::protocol::ob20::{put_old_pair, put_tlv};
    use std::borrow::Cow;

    #[test]
    fn both_forms_of_extra_info_are_read() {
        let mut session = vec![];
        put_tlv(&mut session, 3, b"a");
        put_tlv(&mut session, 4, b"bc");
        let want = vec![(3, b"a".to_vec()), (4, b"bc".to_vec())];
        let mut new = vec![];
        put_tlv(&mut new, entry::SESSION, &session);
        put_tlv(&mut new, entry::FEEDBACK, b"\0\0\x01\0\0\x001");
        let mut old = vec![];
        put_old_pair(&mut old, b"sess_inf", &session);
        for (bytes, is_new, locks) in [(&new, true, Some(true)), (&old, false, None)] {
            let bytes = Cow::Borrowed(&**bytes);
            let mut beside = Beside::default();
            beside.take(&Extra { bytes, is_new });
            assert_eq!((&beside.parts, beside.holds_locks), (&want, locks));
        }
        // Cut anywhere, it is read as far as it goes.
        for cut in 0..new.len() {
            let bytes = Cow::Borrowed(&new[..cut]);
            Beside::default().take(&Extra {
                bytes,
                is_new: true,
            });
        }
    }
}
