//! Optimizer hints, and comments in front of a statement that are meant for the proxy.

use super::tree::Span;

/// READ_CONSISTENCY of a hint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named as in SQL")]
pub enum Consistency {
    Weak,
    Strong,
    /// FROZEN, or nothing in the parentheses: decides nothing.
    Other,
}

/// What the proxy can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteKey {
    /// `target_db_server`: servers to use, divided by `;` or `,`.
    TargetServer,
    /// `trace_id`
    TraceId,
    /// `rpc_id`
    RpcId,
    /// `trace_log`, without a value
    TraceLog,
    /// `table_name`, or `table(..)` of an `ODP:` comment
    TableName,
    /// `part_key(..)` of an `ODP:` comment: conditions `column = value` divided by commas
    PartKey,
    /// `table t part_key c`: this is c
    PartColumn,
    /// `group_id`, `table_id`, `elastic_id`, `testload`, `disaster_status`, `tnt_id`, `t.c`: of
    /// sharding, which obring has not
    Sharding,
}

/// One thing that the proxy is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Note {
    /// What about.
    pub key: NoteKey,
    /// The value, without quotes.
    pub value: Span,
}

/// Hints and notes of a statement (routing.md 2.3, odp_newer.md 2.8).
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// `QUERY_TIMEOUT`, in microseconds.
    pub query_timeout_us: Option<u64>,
    /// The first READ_CONSISTENCY.
    pub consistency: Option<Consistency>,
    /// `TRACE_LOG`
    pub has_trace_log: bool,
    /// Notes of comments at the beginning, in order.
    pub notes: Vec<Note>,
}

/// Most notes that are kept; others are dropped.
const NOTES_MAX: usize = 16;

impl Hints {
    pub(super) fn clear(&mut self) {
        self.notes.clear();
        self.query_timeout_us = None;
        self.consistency = None;
        self.has_trace_log = false;
    }

    /// The value of the first note about something.
    #[must_use]
    pub fn note(&self, key: NoteKey) -> Option<Span> {
        self.notes.iter().find(|n| n.key == key).map(|n| n.value)
    }

    fn add(&mut self, key: NoteKey, value: Span) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { key, value });
        }
    }

    /// Reads the content of an optimizer hint.
    pub(super) fn read_hint(&mut self, text: &[u8], span: Span) {
        let mut rest = Reader::new(text, span);
        while !rest.is_done() {
            let word = rest.word().of(text);
            if word.is_empty() {
                rest.at += 1;
                continue;
            }
            let inner = rest.parenthesized();
            let inner = inner.map(|s| s.of(text).trim_ascii());
            if word.eq_ignore_ascii_case(b"query_timeout") {
                let number = inner.and_then(|t| std::str::from_utf8(t).ok()?.parse().ok());
                self.query_timeout_us = self.query_timeout_us.or(number);
            } else if word.eq_ignore_ascii_case(b"read_consistency") {
                let said = inner.unwrap_or_default();
                let it = if said.eq_ignore_ascii_case(b"weak") {
                    Consistency::Weak
                } else if said.eq_ignore_ascii_case(b"strong") {
                    Consistency::Strong
                } else {
                    Consistency::Other
                };
                self.consistency.get_or_insert(it);
            } else if word.eq_ignore_ascii_case(b"trace_log") {
                self.has_trace_log = true;
            }
        }
    }

    /// Reads the comments at the beginning of a statement; returns where they end.
    pub(super) fn read_comments(&mut self, text: &[u8]) -> usize {
        // Most statements begin with their verb.
        if text.first().is_some_and(u8::is_ascii_alphabetic) {
            return 0;
        }
        let mut at = 0;
        loop {
            let blanks = text.get(at..).unwrap_or_default();
            at += blanks.len() - blanks.trim_ascii_start().len();
            let rest = text.get(at..).unwrap_or_default();
            if !rest.starts_with(b"/*") || rest.starts_with(b"/*!") {
                return at;
            }
            let inner = rest.get(2..).unwrap_or_default();
            let Some(len) = memchr::memmem::find(inner, b"*/") else {
                return at;
            };
            self.read_comment(text, Span::new(at + 2, at + 2 + len));
            at += len + 4;
        }
    }

    fn read_comment(&mut self, text: &[u8], span: Span) {
        let mut rest = Reader::new(text, span);
        let inner = span.of(text);
        let head = inner.get(..4).unwrap_or_default();
        let is_odp = head.eq_ignore_ascii_case(b"odp:");
        if is_odp {
            rest.at += 4;
        } else {
            let first = rest.word();
            if first.of(text).eq_ignore_ascii_case(b"table") {
                let name = rest.word();
                let key = rest.word();
                let column = rest.word();
                if key.of(text).eq_ignore_ascii_case(b"part_key") && !column.is_empty() {
                    self.add(NoteKey::TableName, name);
                    self.add(NoteKey::PartColumn, column);
                }
                return;
            }
            if note_key(first.of(text)).is_none() {
                return;
            }
            rest.at = span.start as usize;
        }
        while !rest.is_done() {
            let word = rest.word();
            let key = note_key(word.of(text));
            if let Some(value) = rest.parenthesized() {
                if word.of(text).eq_ignore_ascii_case(b"table") && is_odp {
                    self.add(NoteKey::TableName, value);
                } else if word.of(text).eq_ignore_ascii_case(b"part_key") && is_odp {
                    self.add(NoteKey::PartKey, value);
                }
            } else if rest.takes(b'=') {
                let value = rest.value();
                if let Some(key) = key {
                    self.add(key, value);
                }
            } else if key == Some(NoteKey::TraceLog) {
                self.add(NoteKey::TraceLog, Span::default());
            }
            // A pair that cannot be read is left out; the next one counts.
            rest.skip_past(b',');
        }
    }
}

fn note_key(word: &[u8]) -> Option<NoteKey> {
    const KEYS: &[(&str, NoteKey)] = &[
        ("target_db_server", NoteKey::TargetServer),
        ("trace_id", NoteKey::TraceId),
        ("rpc_id", NoteKey::RpcId),
        ("trace_log", NoteKey::TraceLog),
        ("table_name", NoteKey::TableName),
        ("group_id", NoteKey::Sharding),
        ("table_id", NoteKey::Sharding),
        ("elastic_id", NoteKey::Sharding),
        ("testload", NoteKey::Sharding),
        ("disaster_status", NoteKey::Sharding),
        ("tnt_id", NoteKey::Sharding),
    ];
    if word.contains(&b'.') {
        return Some(NoteKey::Sharding);
    }
    let named = |(name, _): &&(&str, NoteKey)| word.eq_ignore_ascii_case(name.as_bytes());
    KEYS.iter().find(named).map(|(_, key)| *key)
}

/// Reads words and values of a comment.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], span: Span) -> Self {
        Self {
            text,
            at: span.start as usize,
            end: span.end as usize,
        }
    }

    fn is_done(&self) -> bool {
        self.at >= self.end
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_ascii_start().len();
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        let is_there = self.rest().first() == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn while_true(&mut self, is_part: impl Fn(&u8) -> bool) -> Span {
        let start = self.at;
        self.at += self.rest().iter().take_while(|b| is_part(b)).count();
        Span::new(start, self.at)
    }

    fn word(&mut self) -> Span {
        self.blank();
        self.while_true(|b| b.is_ascii_alphanumeric() || b"_.$`".contains(b) || *b >= 0x80)
    }

    fn value(&mut self) -> Span {
        if !self.takes(b'\'') {
            return self.while_true(|b| !b"', ".contains(b) && !b.is_ascii_whitespace());
        }
        let value = self.while_true(|b| *b != b'\'');
        self.at = (self.at + 1).min(self.end);
        value
    }

    /// What stands in the parentheses that follow, other parentheses and strings included.
    fn parenthesized(&mut self) -> Option<Span> {
        if !self.takes(b'(') {
            return None;
        }
        let (start, mut depth, mut quote) = (self.at, 1, None);
        while let Some(byte) = self.rest().first() {
            match (quote, byte) {
                (Some(q), b) if q == *b => quote = None,
                (None, b'\'' | b'"') => quote = Some(*byte),
                (None, b'(') => depth += 1,
                (None, b')') => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(Span::new(start, self.at - 1));
            }
        }
        Some(Span::new(start, self.end))
    }

    fn skip_past(&mut self, byte: u8) {
        self.while_true(|b| *b != byte);
        self.at = (self.at + 1).min(self.end.max(self.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comments(text: &str) -> (Vec<(NoteKey, String)>, usize) {
        let mut hints = Hints::default();
        let end = hints.read_comments(text.as_bytes());
        let value = |n: &Note| String::from_utf8(n.value.of(text.as_bytes()).to_vec()).unwrap();
        (hints.notes.iter().map(|n| (n.key, value(n))).collect(), end)
    }

    #[test]
    fn notes_are_read_and_bad_pairs_left_out() {
        use NoteKey::*;
        let one = |key, value: &str| vec![(key, value.to_owned())];
        for (text, notes) in [
            ("select 1", vec![]),
            ("/* hello = 1 */ select 1", vec![]),
            (
                "/*ODP: target_db_server='1.1.1.1:1;2.2.2.2:2'*/ x",
                one(TargetServer, "1.1.1.1:1;2.2.2.2:2"),
            ),
            (
                "/* target_db_server = 1.1.1.1:1 */ x",
                one(TargetServer, "1.1.1.1:1"),
            ),
            (
                "/*trace_id=ab,rpc_id='c d'*/",
                [one(TraceId, "ab"), one(RpcId, "c d")].concat(),
            ),
            (
                "/*trace_id=ab, ?? , rpc_id=c*/",
                [one(TraceId, "ab"), one(RpcId, "c")].concat(),
            ),
            ("/*odp: trace_log*/", one(TraceLog, "")),
            (
                "/*table t part_key c*/",
                [one(TableName, "t"), one(PartColumn, "c")].concat(),
            ),
            ("/*table t*/", vec![]),
            (
                "/*ODP: table(t), part_key(k1 = 5, k2 = 'x)')*/ select 1",
                [one(TableName, "t"), one(PartKey, "k1 = 5, k2 = 'x)'")].concat(),
            ),
            ("/* table(t) */", vec![]),
            ("/*a*/ /*trace_id=x*/ select", one(TraceId, "x")),
            ("/*trace_id=x", vec![]),
            ("/*odp:*/", vec![]),
            ("/*odp: part_key(*/", one(PartKey, "")),
        ] {
            assert_eq!(comments(text).0, notes, "{text}");
        }
        assert_eq!(comments(" /*a*/ select").1, 7);
        assert_eq!(comments("/*! 1 */").1, 0);
    }

    #[test]
    fn hints_are_read() {
        for (text, timeout, consistency, trace) in [
            ("query_timeout(100)", Some(100), None, false),
            ("QUERY_TIMEOUT( 7 ) trace_log", Some(7), None, true),
            (
                "read_consistency(weak)",
                None,
                Some(Consistency::Weak),
                false,
            ),
            (
                "READ_CONSISTENCY(STRONG) read_consistency(weak)",
                None,
                Some(Consistency::Strong),
                false,
            ),
            (
                "read_consistency() index(t i)",
                None,
                Some(Consistency::Other),
                false,
            ),
            ("query_timeout(x) , ? (", None, None, false),
        ] {
            let mut hints = Hints::default();
            hints.read_hint(text.as_bytes(), Span::new(0, text.len()));
            assert_eq!(hints.query_timeout_us, timeout, "{text}");
            assert_eq!(hints.consistency, consistency, "{text}");
            assert_eq!(hints.has_trace_log, trace, "{text}");
        }
    }
}
