//! The prepared statements of a link, as far as they are kept.

use super::execute::{self, Long, Longs, Parameters};
use std::collections::HashMap;

/// Statements of a link, of each kind.
const STATEMENTS_MAX: usize = 16_384;
/// Longest text that is kept.
const TEXT_MAX: usize = 64 << 10;
/// Bytes of texts and long data of a link. What does not fit is not kept, and executions of it are
/// unknown.
const BYTES_MAX: usize = 8 << 20;

/// A statement of COM_STMT_PREPARE.
#[derive(Debug, Default)]
struct Statement {
    text: Vec<u8>,
    parameters: u16,
    /// Types of the last execution that bound some.
    kinds: Vec<u16>,
    longs: Longs,
}

impl Statement {
    fn bytes(&self) -> usize {
        self.text.len() + long_bytes(&self.longs)
    }
}

fn long_bytes(longs: &Longs) -> usize {
    let len = |long: &Long| match long {
        Long::Whole(bytes) => bytes.len(),
        Long::TooLong => 0,
    };
    longs.values().map(len).sum()
}

/// Statements by number, and texts by name.
#[derive(Debug, Default)]
pub(super) struct Statements {
    numbered: HashMap<u32, Statement>,
    /// In lower case.
    named: HashMap<String, Vec<u8>>,
    /// Bytes that both keep.
    bytes: usize,
}

impl Statements {
    /// The kernel has prepared this text under this number.
    pub(super) fn put(&mut self, number: u32, text: &[u8], parameters: u16) {
        self.remove(number);
        let fits = text.len() <= TEXT_MAX && self.bytes + text.len() <= BYTES_MAX;
        if fits && self.numbered.len() < STATEMENTS_MAX {
            self.bytes += text.len();
            let new = Statement {
                text: text.to_vec(),
                parameters,
                ..Statement::default()
            };
            self.numbered.insert(number, new);
        }
    }

    /// It is closed.
    pub(super) fn remove(&mut self, number: u32) {
        if let Some(old) = self.numbered.remove(&number) {
            self.bytes -= old.bytes();
        }
    }

    /// The text under a number.
    pub(super) fn text(&self, number: u32) -> Option<&[u8]> {
        self.numbered.get(&number).map(|s| s.text.as_slice())
    }

    /// Long data for the next execution.
    pub(super) fn add_long(&mut self, number: u32, parameter: u16, data: &[u8]) {
        let is_full = self.bytes + data.len() > BYTES_MAX;
        if let Some(statement) = self.numbered.get_mut(&number)
            && parameter < statement.parameters
        {
            self.bytes -= statement.bytes();
            if is_full {
                statement.longs.insert(parameter, Long::TooLong);
            } else {
                execute::add_long(&mut statement.longs, parameter, data);
            }
            self.bytes += statement.bytes();
        }
    }

    /// Long data is gone.
    pub(super) fn reset(&mut self, number: u32) {
        if let Some(statement) = self.numbered.get_mut(&number) {
            self.bytes -= long_bytes(&statement.longs);
            statement.longs.clear();
        }
    }

    /// The parameters of an execution; `body` stands behind the number. `None`: there is no such
    /// statement, or they cannot be replayed. Types are remembered, long data is used up.
    pub(super) fn execute(&mut self, number: u32, body: &[u8]) -> Option<Parameters> {
        let statement = self.numbered.get_mut(&number)?;
        let longs = std::mem::take(&mut statement.longs);
        self.bytes -= long_bytes(&longs);
        let count = statement.parameters;
        let parameters = Parameters::read(body, count, &statement.kinds, &longs)?;
        statement.kinds.clone_from(&parameters.kinds);
        Some(parameters)
    }

    /// The text under a number, and the types of its parameters as they were last bound. `None`:
    /// there is no such statement, or the next execution has long data.
    pub(super) fn text_and_kinds(&mut self, number: u32) -> Option<(&[u8], &mut Vec<u16>)> {
        let statement = self.numbered.get_mut(&number)?;
        let is_short = statement.longs.is_empty();
        is_short.then_some((statement.text.as_slice(), &mut statement.kinds))
    }

    /// A text is prepared under a name; `None`: it is not known which.
    pub(super) fn put_text(&mut self, name: &str, text: Option<Vec<u8>>) {
        let name = name.to_lowercase();
        if let Some(old) = self.named.remove(&name) {
            self.bytes -= old.len();
        }
        if let Some(text) = text
            && text.len() <= TEXT_MAX
            && self.bytes + text.len() <= BYTES_MAX
            && self.named.len() < STATEMENTS_MAX
        {
            self.bytes += text.len();
            self.named.insert(name, text);
        }
    }

    /// The text under a name.
    pub(super) fn named(&self, name: &str) -> Option<&[u8]> {
        self.named.get(&name.to_lowercase()).map(Vec::as_slice)
    }

    /// All are gone.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_and_bounded() {
        let mut all = Statements::default();
        all.put(1, b"select ?", 1);
        all.put(1, b"select ?, ?", 2);
        all.put_text("A", Some(b"abc".to_vec()));
        all.put_text("a", Some(b"ab".to_vec()));
        all.add_long(1, 0, b"1234");
        all.add_long(1, 7, b"no such parameter");
        assert_eq!(all.bytes, 11 + 2 + 4);
        assert_eq!(all.named("a"), Some(&b"ab"[..]));
        all.reset(1);
        all.add_long(1, 0, &[0; TEXT_MAX + 1]);
        assert_eq!(all.bytes, 11 + 2, "too long to be kept");
        all.add_long(1, 1, b"1");
        let body = [&[0, 1, 0, 0, 0, 0, 1][..], &[0xFC, 0, 0xFC, 0]].concat();
        assert_eq!(all.execute(1, &body), None);
        assert_eq!(all.bytes, 11 + 2, "used up");
        all.remove(1);
        all.put_text("A", None);
        assert_eq!((all.bytes, all.text(1), all.named("a")), (0, None, None));

        all.put(1, &[b' '; TEXT_MAX + 1], 0);
        assert_eq!(all.text(1), None);
        for number in 0..1_000 {
            all.put(number, &[b' '; TEXT_MAX], 1);
        }
        assert_eq!(all.bytes, BYTES_MAX);
        assert_eq!(all.numbered.len(), BYTES_MAX / TEXT_MAX);
        all.add_long(0, 0, b"1");
        assert_eq!(all.bytes, BYTES_MAX);
        all.clear();
        assert_eq!(all.bytes, 0);
    }
}
