//! Session state beside the MySQL bytes: what goes to a proxy, and what comes from one.
//!
//! Sub types have the numbers of a full OBServer. The contents are this engine's own, as those of a
//! server are the server's: a proxy stores and replays them unread.

use super::transaction::TransactionId;
use super::variables::{Defaults, Variables};
use obring_wire::base::{Cursor, Short, put_lenenc_bytes};
use obring_wire::protocol::ob20::put_tlv;

/// Sub types of session state.
pub(super) mod part {
    /// What a server says of tracing.
    pub(crate) const CONTROL: u16 = 3;
    /// System variables.
    pub(crate) const VARIABLES: u16 = 4;
    /// What a transaction is.
    pub(crate) const STATIC: u16 = 5;
    /// How far it is.
    pub(crate) const DYNAMIC: u16 = 6;
    /// Who takes part in it.
    pub(crate) const PARTICIPANTS: u16 = 7;
    /// Anything else of it.
    pub(crate) const EXTRA: u16 = 8;
}

/// The control info of a session's first reply (recorded from seekdb 1.3.0.post5).
pub(super) const CONTROL: &[u8] = &[
    0xD3, 0x07, 0x38, 0, 0, 0, 0xE4, 0x07, 1, 0, 0, 0, 1, 0xE5, 0x07, 8, 0, 0, 0, 0x9A, 0x99, 0x99,
    0x99, 0x99, 0x99, 0xB9, 0x3F, 0xE6, 0x07, 1, 0, 0, 0, 3, 0xE7, 0x07, 8, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0xF0, 0xBF, 0xE8, 0x07, 8, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x78,
];

/// Begins the block of variables.
const MAGIC: &[u8] = b"builtin1";

/// State of a transaction, as it travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Travelling {
    pub(super) id: TransactionId,
    pub(super) version: u64,
}

/// What came with a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Taken {
    /// A block of variables.
    pub(super) variables: Option<Vec<u8>>,
    /// What a transaction is: none if there is none any more.
    pub(super) identity: Option<Option<TransactionId>>,
    /// How far it is.
    pub(super) progress: Option<Option<Travelling>>,
}

/// A block that this engine has not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Corrupt;

impl From<Short> for Corrupt {
    fn from(_: Short) -> Self {
        Self
    }
}

impl Taken {
    /// Reads an entry of session state.
    pub(super) fn read(&mut self, entry: &[u8]) -> Result<(), Corrupt> {
        let mut c = Cursor::new(entry);
        while c.left() > 0 {
            let kind = c.u16()?;
            let len = c.u32()?;
            let value = c.take(len as usize)?;
            let mut v = Cursor::new(value);
            match kind {
                part::VARIABLES => {
                    if !value.starts_with(MAGIC) {
                        return Err(Corrupt);
                    }
                    self.variables = Some(value.get(MAGIC.len()..).unwrap_or_default().to_vec());
                }
                part::STATIC if value.is_empty() => self.identity = Some(None),
                part::STATIC => self.identity = Some(Some(v.u64()?)),
                part::DYNAMIC if value.is_empty() => self.progress = Some(None),
                part::DYNAMIC => {
                    let (id, version) = (v.u64()?, v.u64()?);
                    self.progress = Some(Some(Travelling { id, version }));
                }
                // Others are skipped, as servers do.
                _ => {}
            }
        }
        Ok(())
    }
}

/// Appends the parts that carry a transaction; without one they are empty.
pub(super) fn put_transaction(out: &mut Vec<u8>, travelling: Option<Travelling>) {
    let (mut identity, mut progress, mut participants) = (vec![], vec![], vec![]);
    if let Some(Travelling { id, version }) = travelling {
        identity.extend_from_slice(&id.to_le_bytes());
        progress.extend_from_slice(&id.to_le_bytes());
        progress.extend_from_slice(&version.to_le_bytes());
        participants.extend_from_slice(&id.to_le_bytes());
    }
    put_tlv(out, part::STATIC, &identity);
    put_tlv(out, part::DYNAMIC, &progress);
    put_tlv(out, part::PARTICIPANTS, &participants);
    put_tlv(out, part::EXTRA, &[]);
}

/// Appends the block of variables.
pub(super) fn put_variables(out: &mut Vec<u8>, variables: &Variables, insert_id: u64) {
    let mut block = MAGIC.to_vec();
    block.extend_from_slice(&insert_id.to_le_bytes());
    for (name, value) in variables.iter() {
        put_lenenc_bytes(&mut block, name.as_bytes());
        put_lenenc_bytes(&mut block, value.as_bytes());
    }
    put_tlv(out, part::VARIABLES, &block);
}

/// Reads a block of variables without its beginning.
pub(super) fn read_variables(
    block: &[u8],
    defaults: &Defaults,
) -> Result<(Variables, u64), Corrupt> {
    let mut c = Cursor::new(block);
    let insert_id = c.u64()?;
    let mut variables = Variables::default();
    while c.left() > 0 {
        let name = std::str::from_utf8(c.lenenc_bytes()?).map_err(|_| Corrupt)?;
        let value = std::str::from_utf8(c.lenenc_bytes()?).map_err(|_| Corrupt)?;
        let (name, _) = defaults.find(name).ok_or(Corrupt)?;
        variables.set(name, value);
    }
    Ok((variables, insert_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_as_written() {
        let defaults = Defaults::recorded();
        let mut variables = Variables::default();
        variables.set("autocommit", "OFF");
        variables.set("time_zone", "+00:00");
        let mut out = vec![];
        put_variables(&mut out, &variables, 7);
        put_transaction(&mut out, Some(Travelling { id: 3, version: 9 }));
        let mut taken = Taken::default();
        taken.read(&out).unwrap();
        assert_eq!(taken.identity, Some(Some(3)));
        assert_eq!(taken.progress, Some(Some(Travelling { id: 3, version: 9 })));
        let block = taken.variables.clone().unwrap();
        let (back, insert_id) = read_variables(&block, &defaults).unwrap();
        assert_eq!((back.get("autocommit"), insert_id), (Some("OFF"), 7));
        for cut in 0..out.len() {
            // Cut anywhere: an error or fewer parts, never a panic.
            let _ = Taken::default().read(&out[..cut]);
        }
        out.clear();
        put_transaction(&mut out, None);
        taken.read(&out).unwrap();
        assert_eq!((taken.identity, taken.progress), (Some(None), Some(None)));
    }
}
