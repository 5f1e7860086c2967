//! Statements that run, and the replies that they have.

use super::data::Data;
use super::execute::{Outcome, Stop};
use super::parse::{Parsed, parse};
use super::reply::{Definition, Done, Failure};
use super::session::{Flow, Infile, Phase, Running, Session, TRX_EXECUTED};
use super::statement::Statement;
use super::table::{UTF8MB4, VAR_STRING, Value, row_text};
use super::token::Unknown;
use obring_wire::protocol::mysql::status;
use std::sync::Arc;

/// Bytes of a long reply that are made at once.
const PIECE: usize = 256 << 10;
/// A longer text is not remembered.
const LAST_MAX: usize = 4 << 10;

impl Session {
    /// Runs on. `None`: the request is answered.
    pub(super) fn run(&mut self, data: &mut Data, now_us: u64, out: &mut Vec<u8>) -> Option<Flow> {
        let mut running = self.running.take()?;
        if running.stream.is_some() {
            return self.stream(data, running, out);
        }
        loop {
            let parsed = match &running.prepared {
                Some((parsed, _)) => Ok(Some(parsed.clone())),
                None => self.parsed(&running.text, running.at),
            };
            let parsed = match parsed {
                Ok(Some(parsed)) => parsed,
                Ok(None) if is_comment(&running.text) => {
                    self.answer(data, Ok(Done::default()), out);
                    return None;
                }
                Ok(None) => {
                    let text = "Query was empty";
                    self.answer(data, Err(Failure::new(1065, "42000", text)), out);
                    return None;
                }
                Err(_) => {
                    let failure = missing_view(&running.text).unwrap_or_else(Failure::unsupported);
                    self.answer(data, Err(failure), out);
                    return None;
                }
            };
            if running.prepared.is_none() && parsed.parameters > 0 {
                self.answer(data, Err(Failure::unsupported()), out);
                return None;
            }
            let parameters = running.prepared.as_ref().map_or(&[][..], |(_, p)| p);
            let (since, may_move) = (running.since_us, running.may_move);
            let mut run = self.runner(data, now_us, since, may_move, parameters);
            let ran = run.statement(&parsed.statement);
            let more = if parsed.next.is_some() {
                status::MORE_RESULTS
            } else {
                0
            };
            match ran {
                Err(Stop::Wait { on, until_us }) => {
                    data.wait(self.state.id, on);
                    self.running = Some(running);
                    return Some(Flow::Wait(until_us));
                }
                Err(Stop::Gone) => return Some(Flow::Close),
                Err(Stop::Failure(failure)) => {
                    self.answer(data, Err(failure), out);
                    return None;
                }
                Ok(Outcome::Done(done)) => {
                    self.note_characteristics(&parsed.statement);
                    let bits = self.state.bits() | status::NO_INDEX | more;
                    let changes = (more == 0).then(|| std::mem::take(&mut self.state.changes));
                    self.packets.ok(&done, bits, changes);
                }
                Ok(Outcome::Rows {
                    columns,
                    rows,
                    bits,
                }) => {
                    self.note_characteristics(&parsed.statement);
                    let is_binary = running.prepared.is_some();
                    self.rows(&columns, &rows, bits | more, more, is_binary);
                }
                Ok(Outcome::Canned { rows, bytes }) => {
                    if more != 0 {
                        self.answer(data, Err(Failure::unsupported()), out);
                        return None;
                    }
                    let bits = self.state.bits();
                    self.packets.columns(&[canned_column()], bits);
                    running.stream = Some((0, rows, bytes));
                    return self.stream(data, running, out);
                }
                Ok(Outcome::Infile(file)) => {
                    if more != 0 {
                        self.answer(data, Err(Failure::unsupported()), out);
                        return None;
                    }
                    self.packets.put(|b| {
                        b.push(0xFB);
                        b.extend_from_slice(&file);
                    });
                    self.phase = Phase::Infile(Infile::default());
                    self.flush_turn(out);
                    return None;
                }
            }
            match parsed.next {
                None => {
                    self.flush(data, out);
                    return None;
                }
                Some(next) => {
                    running.at = next;
                    running.since_us = now_us;
                }
            }
        }
    }

    /// The statement at this place of a text.
    fn parsed(&mut self, text: &Arc<[u8]>, at: usize) -> Result<Option<Arc<Parsed>>, Unknown> {
        if let Some((last, parsed)) = &self.last
            && at == 0
            && Arc::ptr_eq(last, text)
        {
            return Ok(Some(parsed.clone()));
        }
        let parsed = parse(text, at)?.map(Arc::new);
        if at == 0 && text.len() <= LAST_MAX {
            let both = parsed.as_ref().map(|parsed| (text.clone(), parsed.clone()));
            self.last = both;
        }
        Ok(parsed)
    }

    pub(super) fn rows(
        &mut self,
        columns: &[Definition],
        rows: &[Vec<Value>],
        bits: u16,
        more: u16,
        is_binary: bool,
    ) {
        self.packets.columns(columns, bits);
        for row in rows {
            if is_binary {
                self.packets.binary_row(columns, row);
            } else {
                self.packets.text_row(row);
            }
        }
        let bits = self.state.bits() | more;
        self.packets.eof(bits);
        if more == 0 {
            self.terminal();
        }
    }

    /// Writes a piece of a canned result.
    pub(super) fn stream(
        &mut self,
        data: &mut Data,
        mut running: Running,
        out: &mut Vec<u8>,
    ) -> Option<Flow> {
        let (mut next, rows, bytes) = running.stream?;
        let is_binary = running.prepared.is_some();
        let column = [canned_column()];
        while next < rows && self.packets.bytes.len() < PIECE {
            let row = [Value::Text(row_text(next, bytes))];
            if is_binary {
                self.packets.binary_row(&column, &row);
            } else {
                self.packets.text_row(&row);
            }
            next += 1;
        }
        if next < rows {
            self.frames.write(out, &self.packets.bytes, &[], 0, false);
            self.packets.bytes.clear();
            running.stream = Some((next, rows, bytes));
            self.running = Some(running);
            return Some(Flow::Write);
        }
        let bits = self.state.bits();
        self.packets.eof(bits);
        self.terminal();
        self.flush(data, out);
        None
    }

    /// A packet of a file.
    pub(super) fn file(&mut self, data: &mut Data, mut infile: Infile, out: &mut Vec<u8>) {
        let payload = &self.frames.payload;
        if let Some(last) = payload.last() {
            infile.lines += payload.iter().filter(|b| **b == b'\n').count() as u64;
            infile.is_inside = *last != b'\n';
            self.phase = Phase::Infile(infile);
            self.frames.turn();
            return;
        }
        self.phase = Phase::Ready;
        let n = infile.lines + u64::from(infile.is_inside);
        let done = Done {
            affected: n,
            message: format!("Records: {n}  Deleted: 0  Skipped: 0  Warnings: 0"),
            ..Done::default()
        };
        self.answer(data, Ok(done), out);
    }

    /// SET TRANSACTION is told of in every OK until a transaction has used it.
    fn note_characteristics(&mut self, statement: &Statement) {
        if self.state.next.is_none() {
            return;
        }
        let ends = matches!(statement, Statement::Commit | Statement::Rollback);
        let is_used = ends || statement.table().is_some();
        if is_used && self.state.transaction.is_none() {
            self.state.next = None;
            self.state.changes.system(TRX_EXECUTED, "OFF");
        } else {
            self.state.changes.system(TRX_EXECUTED, "ON");
        }
    }
}

/// True for comments and nothing else, not even an end of a statement: these succeed.
fn is_comment(text: &[u8]) -> bool {
    !text.trim_ascii().is_empty() && !text.contains(&b';')
}

/// Views of a cluster, which one server alone does not have: whoever asks for them learns that.
const VIEWS: [&str; 3] = ["DBA_OB_SERVERS", "DBA_OB_ZONES", "DBA_OB_TENANTS"];

fn missing_view(text: &[u8]) -> Option<Failure> {
    let names = |view: &&&str| text.windows(view.len()).any(|w| w == view.as_bytes());
    let view = VIEWS.iter().find(names)?;
    let text = format!("Table 'oceanbase.{view}' doesn't exist");
    Some(Failure::new(1146, "42S02", text))
}

/// The one column of a canned result.
fn canned_column() -> Definition {
    Definition::computed(b"row", VAR_STRING, UTF8MB4, 1 << 23, 1)
}
