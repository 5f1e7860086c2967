//! Writing one JSON document.

use std::fmt::Write;

/// A document that is being written.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: String,
    /// Something stands in front, in the same object or list.
    has_more: bool,
}

impl Json {
    /// The document.
    pub(super) fn end(self) -> String {
        self.text
    }

    /// An object, as a value.
    pub(super) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.inside('{', '}', fill);
    }

    /// A list of values.
    pub(super) fn list<T>(&mut self, name: &str, all: &[T], put: impl Fn(&mut Self, &T)) {
        self.name(name);
        self.inside('[', ']', |json| {
            for one in all {
                json.divide();
                put(json, one);
                json.has_more = true;
            }
        });
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    pub(super) fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        let _ = write!(self.text, "{value}");
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        let _ = write!(self.text, "{value}");
    }

    pub(super) fn null(&mut self, name: &str) {
        self.name(name);
        self.text.push_str("null");
    }

    fn inside(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.text.push(open);
        self.has_more = false;
        fill(self);
        self.text.push(close);
        self.has_more = true;
    }

    fn divide(&mut self) {
        if self.has_more {
            self.text.push_str(", ");
        }
    }

    fn name(&mut self, name: &str) {
        self.divide();
        self.quoted(name);
        self.text.push_str(": ");
        self.has_more = true;
    }

    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        for c in value.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                '\n' => self.text.push_str("\\n"),
                '\t' => self.text.push_str("\\t"),
                '\0'..='\x1F' => {
                    let _ = write!(self.text, "\\u{:04x}", c as u32);
                }
                c => self.text.push(c),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_written() {
        let mut json = Json::default();
        json.object(|json| {
            json.text("a", "x\"\\\n\t\u{1}\u{6570}");
            json.list("l", &[1_u64, 2], |json, n| {
                json.object(|json| json.number("n", *n))
            });
            json.list("none", &[] as &[u64], |_, _| {});
            json.flag("f", true);
            json.null("z");
        });
        let wanted = "{\"a\": \"x\\\"\\\\\\n\\t\\u0001\u{6570}\", \"l\": [{\"n\": 1}, {\"n\": 2}], \
                      \"none\": [], \"f\": true, \"z\": null}";
        assert_eq!(json.end(), wanted);
    }
}
