//! Transactions that wrote where a leader has died: they are rolled back at their next statement.
//!
//! One kernel keeps them, so the model ends them. Source: error 6002 of OceanBase wire facts.

use super::advice::Advice;
use super::follow::{Follow, Seen};
use super::request::Reading;
use super::session::{Session, bad};
use obring_wire::protocol::mysql::{Command, Shape, put_packet};
use std::io;

impl Session {
    /// A write that succeeded in a transaction that is still open is remembered by where it went.
    pub(super) fn note_written(&mut self, advice: &Advice, is_ok: bool) {
        if !self.in_transaction {
            self.written.clear();
        } else if is_ok {
            for (stream, losses) in advice.written() {
                // The first write counts: what a leader lost afterwards was in it.
                if !self.written.iter().any(|(id, _)| *id == stream) {
                    self.written.push((stream, losses));
                }
            }
        }
    }

    /// True when the open transaction wrote where a leader has died since. What ends it anyway is
    /// the kernel's.
    pub(super) fn has_lost_transaction(&self, command: Command, request: &Reading) -> bool {
        let is_statement = matches!(command, Command::QUERY | Command::STMT_EXECUTE);
        if !self.in_transaction || self.written.is_empty() || !is_statement {
            return false;
        }
        let is_rollback = command == Command::QUERY
            && request
                .body()
                .trim_ascii_start()
                .get(..8)
                .is_some_and(|verb| verb.eq_ignore_ascii_case(b"rollback"));
        let state = self.shared.state();
        if is_rollback || state.keeps_lost_transactions {
            return false;
        }
        let Some(tenant) = state.tenant(&self.who.tenant) else {
            return false;
        };
        let is_lost = |(id, losses): &(u64, u64)| {
            tenant
                .stream(*id)
                .is_none_or(|stream| stream.losses > *losses)
        };
        self.written.iter().any(is_lost)
    }

    /// Rolls the open transaction back; the client does not see it.
    pub(super) async fn roll_back(&mut self, request: &Reading) -> io::Result<()> {
        self.ask_unseen(request, b"ROLLBACK").await?;
        self.in_transaction = false;
        self.shared.shadows.rolled_back(self.id);
        self.written.clear();
        Ok(())
    }

    /// Asks the kernel something in the place of a request, with the extra info of that. The client
    /// does not see it.
    pub(super) async fn ask_unseen(&mut self, request: &Reading, text: &[u8]) -> io::Result<Seen> {
        let mut packet = vec![];
        put_packet(&mut packet, 0, |b| {
            b.push(Command::QUERY.0);
            b.extend_from_slice(text);
        });
        let shape = Shape {
            command: Command::QUERY,
            cursor: false,
            proxy_mode: self.who.is_proxy,
            statistics_ok: self.has_statistics_ok,
            is_named_driver: false,
        };
        let mut follow = Follow::new(self.wire, shape);
        let framed = request.frames().wrap_request(&packet);
        let kernel = self.kernel()?;
        kernel.write(&framed).await?;
        while !follow.is_done() {
            if kernel.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = std::mem::take(&mut kernel.inbox);
            follow.feed(&bytes).map_err(bad)?;
        }
        Ok(follow.seen)
    }
}
