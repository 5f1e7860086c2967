//! The statement log: everything that happened, each thing with a number.

use crate::feedback::Role;
use crate::judge::Class;
use crate::verdict::Verdict;
use crate::violation::Violation;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries kept in memory; the oldest go first and are counted.
pub const ENTRIES_MAX: usize = 131_072;
/// Bytes of statements that entries keep together; the same holds.
pub const KEPT_MAX: usize = 64 << 20;
/// Bytes of a statement that an entry keeps.
pub const SQL_MAX: usize = 4_096;

/// How a request ended. A reply is in the log before its last byte goes out, so that who has the
/// reply finds it there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not yet.
    #[default]
    Running,
    /// The kernel answered without an error.
    Ok,
    /// An error, of the kernel or of the model.
    Err,
    /// The link was lost before the end of the reply.
    Reset,
    /// The model answered, without an error.
    Model,
}

/// What an entry is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request of a link that is logged in.
    #[default]
    Request,
    /// A login packet and its answer.
    Login,
    /// A call of the control interface or of the handle; `sql` says which.
    Control,
}

/// One thing that happened. Times are in microseconds since 1970; 0 means not yet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Its number. Numbers are given in the order in which things began.
    pub seq: u64,
    /// What it is about.
    pub kind: Kind,
    /// The last byte of the request came.
    pub t_recv_us: u64,
    /// The request went to the kernel, or was answered by the model.
    pub t_exec_us: u64,
    /// The reply was complete.
    pub t_done_us: u64,
    /// It came before the reply to the request before it was complete: nobody waited for that.
    pub came_early: bool,
    /// The server that was asked; none for a control call.
    pub server: Option<SocketAddr>,
    /// Its number.
    pub server_id: u32,
    /// Its zone.
    pub zone: String,
    /// The link: counted over the cluster.
    pub link: u64,
    /// Connection id that the greeting of the link told.
    pub kernel_id: u32,
    /// `__proxy_connection_id` of the login: the proxy's number of the client session.
    pub proxy_sid: String,
    /// `__client_session_id` of the login.
    pub client_sid: String,
    /// `__proxy_version` of the login.
    pub proxy_version: String,
    /// The tenant.
    pub tenant: String,
    /// The user, without tenant.
    pub user: String,
    /// The login did not say that a proxy speaks.
    pub direct: bool,
    /// The framing: plain, checksum, ob20, ob20_compressed or opaque.
    pub framing: String,
    /// Flags of the request's OceanBase 2.0 packets; 0 in other framings.
    pub flags: u32,
    /// The command's name.
    pub cmd: String,
    /// Its text, the first [`SQL_MAX`] bytes, or what stands for it.
    pub sql: String,
    /// Length of the text in bytes.
    pub sql_len: u64,
    /// Number of the prepared statement, 0 without one.
    pub statement: u32,
    /// The current database of the link.
    pub database: String,
    /// A transaction was open before.
    pub tx_before: bool,
    /// A transaction was open afterwards.
    pub tx_after: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// Error number, 0 without an error.
    pub errno: u16,
    /// SQLSTATE of the error.
    pub sqlstate: String,
    /// Affected rows.
    pub affected: u64,
    /// Packets that are rows.
    pub rows: u64,
    /// Bytes of the reply, as framed.
    pub bytes_out: u64,
    /// The view that the model answered from; empty when the kernel was asked.
    pub meta: String,
    /// What the statement touches, and who leads that.
    pub verdict: Verdict,
    /// What the server is for what the statement touches.
    pub role_here: Role,
    /// What it counts as.
    pub class: Class,
    /// The reply told the proxy that it came to the wrong server.
    pub miss_sent: bool,
    /// What the proxy did wrong with this request.
    pub violations: Vec<Violation>,
}

/// The log: the newest entries in memory, all finished ones in a file if one is given.
#[derive(Debug, Default)]
pub struct Record(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Number of the next entry.
    next: u64,
    /// Entries without gaps, up to `next`.
    kept: VecDeque<Entry>,
    /// Entries that are kept no longer.
    dropped: u64,
    /// Bytes of statements in `kept`.
    bytes: usize,
    file: Option<BufWriter<File>>,
}

impl Inner {
    fn update(&mut self, entry: &Entry) {
        let first = self.next - self.kept.len() as u64;
        if let Some(at) = entry.seq.checked_sub(first)
            && let Some(kept) = self.kept.get_mut(at as usize)
        {
            kept.clone_from(entry);
        }
    }
}

impl Record {
    /// An empty log that also writes JSON lines to a file: finished entries, as they end.
    ///
    /// # Errors
    /// Those of creating the file.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        let file = Some(BufWriter::new(File::create(path)?));
        Ok(Self(Mutex::new(Inner {
            file,
            ..Inner::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the beginning of something and gives it its number.
    pub fn begin(&self, mut entry: Entry) -> u64 {
        let mut inner = self.lock();
        let seq = inner.next;
        inner.next += 1;
        entry.seq = seq;
        inner.bytes += entry.sql.len();
        while inner.kept.len() >= ENTRIES_MAX || inner.bytes > KEPT_MAX {
            let Some(oldest) = inner.kept.pop_front() else {
                break;
            };
            inner.bytes -= oldest.sql.len();
            inner.dropped += 1;
        }
        inner.kept.push_back(entry);
        seq
    }

    /// Notes what is known of it by now; an entry that memory has dropped stays dropped.
    pub fn update(&self, entry: &Entry) {
        self.lock().update(entry);
    }

    /// Notes its end, also in the file.
    pub fn end(&self, entry: &Entry) {
        let mut inner = self.lock();
        inner.update(entry);
        if let Some(file) = &mut inner.file {
            // A full disk must not stop the cluster; the entries in memory are the log then.
            let line = serde_json::to_string(entry).unwrap_or_default();
            let _ = writeln!(file, "{line}").and_then(|()| file.flush());
        }
    }

    /// Number of the next entry: what comes from now on has this number or a higher one.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.lock().next
    }

    /// Entries from number `seq` on, also those that still run.
    #[must_use]
    pub fn since(&self, seq: u64) -> Vec<Entry> {
        self.between(seq, u64::MAX)
    }

    /// Entries from number `seq` on and before `end`. Nothing can be noted meanwhile: of a long log
    /// a piece at a time holds nobody up.
    #[must_use]
    pub fn between(&self, seq: u64, end: u64) -> Vec<Entry> {
        let inner = self.lock();
        let first = inner.next - inner.kept.len() as u64;
        let place = |seq: u64| seq.saturating_sub(first).min(inner.kept.len() as u64) as usize;
        let (from, to) = (place(seq), place(end));
        inner.kept.range(from..to.max(from)).cloned().collect()
    }

    /// Entries that memory has dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

/// The beginning of a statement as text: what is no UTF-8 is shown as the replacement sign.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    let front = bytes.get(..SQL_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(front).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_at_the_beginning_and_entries_change_at_the_end() {
        let log = Record::default();
        assert_eq!(log.begin(Entry::default()), 0);
        assert_eq!(log.begin(Entry::default()), 1);
        let mut first = log.since(0)[0].clone();
        assert_eq!(first.outcome, Outcome::Running);
        first.outcome = Outcome::Ok;
        log.end(&first);
        let outcomes: Vec<_> = log.since(0).iter().map(|e| e.outcome).collect();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Running]);
        assert_eq!((log.since(1).len(), log.next(), log.dropped()), (1, 2, 0));
        let len = |from, to| log.between(from, to).len();
        assert_eq!((len(0, 1), len(1, 9), len(2, 9), len(1, 0)), (1, 1, 0, 0));
    }

    #[test]
    fn memory_drops_the_oldest() {
        let log = Record::default();
        for _ in 0..ENTRIES_MAX + 2 {
            log.begin(Entry::default());
        }
        assert_eq!(log.dropped(), 2);
        assert_eq!(log.since(0)[0].seq, 2);
        // The end of a dropped one changes nothing.
        log.end(&Entry::default());
        assert_eq!(log.since(0)[0].seq, 2);
    }
}
