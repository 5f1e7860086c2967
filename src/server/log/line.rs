//! The form of a log line: `2026-01-31T12:00:00.000000Z INFO event=listening address=... cores=3`.
//!
//! The fields of the event in their order, `key=value`; a value with a blank, a quote, `=` or a
//! control character is quoted. The words of an event, if it has any, come last, as they are but
//! for control characters: machines write `key=value` pairs of their own there.

use std::fmt::{self, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

/// The only line format.
pub(super) struct LineFormat;

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {}", event.metadata().level())?;
        let mut fields = Fields {
            line: &mut writer,
            words: String::new(),
            result: Ok(()),
        };
        event.record(&mut fields);
        let Fields { words, result, .. } = fields;
        result?;
        if !words.is_empty() {
            writer.write_char(' ')?;
            one_line(&mut writer, &words)?;
        }
        writer.write_char('\n')
    }
}

struct Fields<'a, W> {
    line: &'a mut W,
    words: String,
    result: fmt::Result,
}

impl<W: Write> Fields<'_, W> {
    fn put(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.words.push_str(value);
        } else if self.result.is_ok() {
            self.result = pair(self.line, field.name(), value);
        }
    }
}

impl<W: Write> Visit for Fields<'_, W> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

/// Writes ` key=value`.
fn pair(line: &mut impl Write, key: &str, value: &str) -> fmt::Result {
    let is_plain = |c: char| !(c.is_whitespace() || c.is_control() || c == '"' || c == '=');
    if !value.is_empty() && value.chars().all(is_plain) {
        write!(line, " {key}={value}")
    } else {
        write!(line, " {key}={value:?}")
    }
}

/// Writes words; a control character is escaped, so that nobody can begin a line of his own.
fn one_line(line: &mut impl Write, words: &str) -> fmt::Result {
    for c in words.chars() {
        if c.is_control() {
            write!(line, "{}", c.escape_default())?;
        } else {
            line.write_char(c)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The lines that `events` writes, without their time, which is checked to be there.
    fn lines(events: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let subscriber = tracing_subscriber::fmt()
            .event_format(LineFormat)
            .with_writer(page.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, events);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        let without_time = |line: &str| {
            let (time, rest) = line.split_once(' ').unwrap();
            assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
            rest.to_owned()
        };
        text.lines().map(without_time).collect()
    }

    #[test]
    fn pairs_in_order_words_last() {
        let seen = lines(|| {
            tracing::info!(event = "listening", address = "127.0.0.1:2883", cores = 3);
            tracing::warn!(event = "odd", core = 0, name = %"two words", empty = "", "in words");
            tracing::error!(event = "quoted", value = "say \"x=1\"");
            tracing::debug!(event = "too_much_detail");
        });
        assert_eq!(
            seen,
            [
                "INFO event=listening address=127.0.0.1:2883 cores=3",
                "WARN event=odd core=0 name=\"two words\" empty=\"\" in words",
                "ERROR event=quoted value=\"say \\\"x=1\\\"\"",
            ]
        );
    }

    #[test]
    fn nobody_begins_a_line_of_his_own() {
        let evil = "user=x\n2026-01-01T00:00:00.000000Z INFO event=forged";
        let seen = lines(|| {
            tracing::info!(event = "a", name = evil);
            tracing::info!(event = "b", "{evil}");
            tracing::info!(event = "c", "\u{1b}[2J\r");
        });
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[2], "INFO event=c \\u{1b}[2J\\r");
    }
}
