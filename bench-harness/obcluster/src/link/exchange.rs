//! One request and its reply.

use super::End;
use super::advice::{Advice, Told};
use super::follow::{Follow, Seen};
use super::frames::{RequestFrames, Wire};
use super::listing;
use super::login;
use super::made::refusals;
use super::plan::{HELD_MAX, Plan, break_off};
use super::request::Reading;
use super::session::{Session, bad};
use super::tail::Tail;
use crate::clock::now_us;
use crate::fault::{FaultKind, Moment, sqlstate};
use crate::record::{Entry, Outcome};
use crate::shadow::Asked;
use crate::views::{self, Refusal, RowFault, Statement};
use obring_wire::protocol::mysql::{ChangeUser, Command, Shape, put_packet, status};
use obring_wire::protocol::ob20::flag;
use std::io;
use std::time::Duration;
use tokio::time::sleep;

/// COM_STMT_EXECUTE: its flags ask for a cursor.
const CURSOR_FLAGS: u8 = 0x0F;
/// Where these flags stand behind the command byte.
const FLAGS_AT: usize = 4;
/// A statement that changes the database is shorter.
const USE_MAX: usize = 256;

/// The end of one request.
pub(super) enum Turn {
    /// The next request may come.
    Next,
    /// The link is over.
    End(End),
}

/// What becomes of a reply.
pub(super) enum Relayed {
    /// The client has it.
    Told(Seen),
    /// A side has ended, or a fault ends the link.
    Ended(End),
}

impl Session {
    /// One request, from its last byte to that of its reply.
    pub(super) async fn serve(&mut self, request: Reading) -> io::Result<Turn> {
        let Some(command) = request.command() else {
            // An empty packet is the kernel's to judge; it has no command to tell its reply by.
            self.kernel()?.write(&request.raw).await?;
            return Ok(Turn::Next);
        };
        let kinds = self.faults(Moment::Request);
        if kinds.contains(&FaultKind::SysUnreachable) {
            return Ok(Turn::End(End::Reset));
        }
        let refused = kinds.iter().find_map(|kind| match kind {
            FaultKind::ErrorNext(code) => Some((fault_error(*code), Turn::Next)),
            _ => None,
        });
        let refused = match refused {
            None => self.refuse(&request),
            refused => refused,
        };
        if let Some((refusal, turn)) = refused {
            if command.has_reply() {
                self.answer_error(&request, &refusal).await?;
            }
            return Ok(turn);
        }
        if self.has_lost_transaction(command, &request) {
            self.roll_back(&request).await?;
            self.answer_error(&request, &refusals::rolled_back())
                .await?;
            return Ok(Turn::Next);
        }
        let can_answer = request.is_over() && self.who.tenant == "sys";
        if can_answer
            && matches!(command, Command::QUERY | Command::STMT_PREPARE)
            && let Some((statement, names)) = self.of_views(&request)
        {
            if command == Command::QUERY {
                self.bring(&request).await?;
                return self.answer(&request, &statement, &names).await;
            }
            let refusal = refusals::not_supported("Not supported feature or function");
            self.answer_error(&request, &refusal).await?;
            return Ok(Turn::Next);
        }
        self.forward(command, request).await
    }

    /// The views that a request reads.
    fn of_views(&self, request: &Reading) -> Option<(Statement, Vec<&'static str>)> {
        let statement = Statement::parse(request.body())?;
        let names = statement.views(&views::NAMES, &self.who.database);
        (statement.is_select() && !names.is_empty()).then_some((statement, names))
    }

    /// What this server does not serve.
    fn refuse(&self, request: &Reading) -> Option<(Refusal, Turn)> {
        if request.command() == Some(Command::QUIT) {
            return None;
        }
        if let Some(refusal) = self.not_ready() {
            return Some((refusal, Turn::Next));
        }
        let state = self.shared.state();
        let tenant = state.tenant(&self.who.tenant);
        if !tenant.is_some_and(|t| t.servers.contains(&self.server)) {
            return Some((refusals::tenant_not_here(), Turn::End(End::Close)));
        }
        if request.command() == Some(Command::CHANGE_USER)
            && let Ok(change) = ChangeUser::parse(request.payload())
        {
            let name = String::from_utf8_lossy(change.user).into_owned();
            let (user, tenant) = login::split_user(&name);
            let has_password = !change.auth.is_empty();
            return login::refuse_tenant(&state, self.server, user, tenant, has_password)
                .map(|refusal| (refusal, Turn::End(End::Close)));
        }
        None
    }

    /// Answers with an error of the model.
    pub(super) async fn answer_error(
        &mut self,
        request: &Reading,
        refusal: &Refusal,
    ) -> io::Result<()> {
        let packets = self.manner(request.seq()).error(refusal);
        let framed = request.frames().wrap_reply(&packets);
        self.say(refusal, &framed).await
    }

    /// Answers from the cluster's views.
    async fn answer(
        &mut self,
        request: &Reading,
        statement: &Statement,
        names: &[&'static str],
    ) -> io::Result<Turn> {
        self.shared.count(|c| {
            for name in names {
                *c.views.entry((*name).to_owned()).or_default() += 1;
            }
        });
        if let Some(entry) = &mut self.running {
            entry.meta = names.join(",");
            entry.t_exec_us = now_us();
        }
        let (refusal, rows) = self.views_faults(names).await;
        let shared = self.shared.clone();
        let answer = match refusal {
            Some(refusal) => Err(refusal),
            None => {
                let views = &shared.views;
                views
                    .answer(statement, names, &shared.state, rows.as_ref())
                    .await
            }
        };
        let set = match answer {
            Ok(set) => set,
            Err(refusal) => {
                self.answer_error(request, &refusal).await?;
                return Ok(Turn::Next);
            }
        };
        let mut plan = Plan::of(&self.faults(Moment::Reply));
        let mut packets = self.manner(request.seq()).rows(&set);
        if let Some((rows, code)) = plan.break_off {
            break_off(&mut packets, rows, code, self.manner(request.seq()));
        }
        let framed = wrap(request.frames(), &packets, &plan);
        if let Some(entry) = &mut self.running {
            entry.rows = set.rows.len() as u64;
            entry.bytes_out = framed.len() as u64;
            entry.outcome = Outcome::Model;
            entry.t_done_us = now_us();
            shared.record.update(entry);
        }
        let end = plan.deliver(&mut self.client, framed).await?;
        Ok(end.map_or(Turn::Next, Turn::End))
    }

    /// What is wrong with these views: an error instead of rows, or wrong rows.
    async fn views_faults(&self, names: &[&str]) -> (Option<Refusal>, Option<RowFault>) {
        let (mut refusal, mut rows) = (None, None);
        for kind in self.faults(Moment::Views) {
            match kind {
                FaultKind::MetaDelayMs(ms) => sleep(Duration::from_millis(ms)).await,
                FaultKind::MetaError(code) => refusal = Some(fault_error(code)),
                FaultKind::MetaRows(fault) => rows = Some(fault),
                FaultKind::ViewMissing(name)
                    if names.iter().any(|n| n.eq_ignore_ascii_case(&name)) =>
                {
                    let text = format!("Table 'oceanbase.{name}' doesn't exist");
                    refusal = Some(Refusal::new(1146, "42S02", &text));
                }
                _ => {}
            }
        }
        (refusal, rows)
    }

    /// Sends a request to the kernel as it came, and its reply to the client.
    async fn forward(&mut self, command: Command, mut request: Reading) -> io::Result<Turn> {
        if let Some(entry) = &mut self.running {
            entry.t_exec_us = now_us();
        }
        let flags = request.body().get(FLAGS_AT).copied().unwrap_or(0);
        let shape = Shape {
            command,
            cursor: command == Command::STMT_EXECUTE && flags & CURSOR_FLAGS != 0,
            proxy_mode: self.who.is_proxy,
            statistics_ok: self.has_statistics_ok,
            is_named_driver: self.who.is_named_driver,
        };
        let beside = request.frames().beside.clone();
        let mut asked = Asked::read(command, request.body(), request.statement(), beside);
        asked.set_may_move(request.frames().flags() & flag::INTERNAL_ROUTING != 0);
        let mut new_user = None;
        if command == Command::CHANGE_USER
            && let Ok(change) = ChangeUser::parse(request.payload())
        {
            let name = String::from_utf8_lossy(change.user).into_owned();
            let database = String::from_utf8_lossy(change.database).into_owned();
            let (user, _) = login::split_user(&name);
            asked.set_user(user.as_bytes(), change.database);
            request.raw = change_user(&request, &login::kernel_user(&name));
            new_user = Some((name, database));
        }
        if let Some(turn) = self.watch(&asked, &request).await? {
            return Ok(turn);
        }
        let kill = asked.kill();
        self.asked = Some(asked);
        let new_database = new_database(command, request.body());
        let mut advice = self.advise(command, &request);
        if let Some(advice) = &mut advice
            && !advice.await_leaders(&self.shared, &mut self.judge).await
        {
            self.answer_error(&request, &refusals::no_leader()).await?;
            return Ok(Turn::Next);
        }
        if let Some(advice) = &mut advice
            && let Some(turn) = self.reroute(advice, &request).await?
        {
            return Ok(turn);
        }
        let raw = std::mem::take(&mut request.raw);
        self.kernel()?.write(&raw).await?;
        while !request.is_over() {
            if self.client.inbox.is_empty() && self.client.read().await? == 0 {
                return Ok(Turn::End(End::Close));
            }
            request.feed(&mut self.client.inbox).map_err(bad)?;
            let raw = std::mem::take(&mut request.raw);
            self.kernel()?.write(&raw).await?;
        }
        if !command.has_reply() {
            if let Some(entry) = &mut self.running {
                entry.outcome = Outcome::Ok;
            }
            self.tell_judge(command, &request, &Seen::default());
            return Ok(match command {
                Command::QUIT => Turn::End(End::Close),
                _ => Turn::Next,
            });
        }
        let faults = self.faults(Moment::Reply);
        self.shown = self.shown_sessions(command, request.body());
        let seq = request.seq();
        let told = self.relay(
            self.wire,
            shape,
            request.frames(),
            seq,
            &faults,
            &mut advice,
        );
        let seen = match told.await? {
            Relayed::Told(seen) => seen,
            Relayed::Ended(end) => {
                // Of its own connection: the kernel ends it without an answer.
                kill.inspect(|kill| self.killed(*kill, 0));
                return Ok(Turn::End(end));
            }
        };
        self.tell_judge(command, &request, &seen);
        if let Some(advice) = advice {
            self.note_written(&advice, seen.errno == 0);
        }
        kill.inspect(|kill| self.killed(*kill, seen.errno));
        if seen.errno == 0 {
            if let Some((name, database)) = new_user {
                self.changed_user(&name, database);
            }
            if let Some(database) = seen.database.or(new_database) {
                self.who.database = database;
            }
        }
        Ok(Turn::Next)
    }

    /// Carries one reply of the kernel to the client, and what the client sends where it is asked
    /// to.
    pub(super) async fn relay(
        &mut self,
        wire: Wire,
        shape: Shape,
        request: &RequestFrames,
        seq: u8,
        faults: &[FaultKind],
        advice: &mut Option<Advice>,
    ) -> io::Result<Relayed> {
        let manner = self.manner(seq);
        let Self {
            client,
            kernel,
            running,
            in_transaction,
            shared,
            judge,
            id,
            asked,
            shown,
            ..
        } = self;
        let shown = shown.take();
        let kernel = kernel.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut plan = Plan::of(faults);
        let mut follow = Follow::new(wire, shape);
        let is_held = plan.is_held() || shown.is_some();
        follow.held = is_held.then(Vec::new);
        // A reply that is held has an end that nothing is said in.
        let has_tail = advice.is_some() && !is_held;
        let mut tail = has_tail.then(|| Tail::new(wire));
        while !follow.is_done() {
            if follow.seen.turn.is_some() && !client.inbox.is_empty() {
                let bytes = std::mem::take(&mut client.inbox);
                follow.turn();
                if let Some(tail) = &mut tail {
                    tail.turn();
                }
                kernel.write(&bytes).await?;
            }
            tokio::select! {
                n = kernel.read() => {
                    if n? == 0 {
                        return Ok(Relayed::Ended(End::Close));
                    }
                }
                n = client.read(), if client.has_room() => {
                    if n? == 0 {
                        return Ok(Relayed::Ended(End::Close));
                    }
                    continue;
                }
            }
            let mut bytes = std::mem::take(&mut kernel.inbox);
            follow.feed(&bytes).map_err(bad)?;
            let is_done = follow.is_done();
            let has_turn = follow.seen.turn.is_some();
            if let Some(held) = &mut follow.held {
                if held.len() > HELD_MAX {
                    return Ok(Relayed::Ended(End::Reset));
                }
                if !is_done && !has_turn {
                    continue;
                }
                let mut packets = std::mem::take(held);
                if let Some((rows, code)) = plan.break_off {
                    break_off(&mut packets, rows, code, manner);
                }
                if let Some(ids) = &shown {
                    packets = listing::keep(&packets, ids);
                }
                bytes = match shown {
                    Some(_) if plan.flaw.is_none() => {
                        request.wrap_beside(&packets, &follow.seen.told.beside)
                    }
                    _ => wrap(request, &packets, &plan),
                };
            }
            let mut told = Told::default();
            if is_done
                && let Some(advice) = advice
                && let Some(entry) = running
            {
                let errno = follow.seen.errno;
                told = advice.settle(shared, judge, entry, errno, faults).await;
            }
            if let Some(tail) = &mut tail {
                bytes = tail.feed(&bytes).map_err(bad)?;
                if has_turn {
                    bytes.extend(tail.release());
                }
                if is_done {
                    bytes.extend(tail.finish(&told.feedback.variables()));
                }
            }
            if told.is_remote {
                let remote_us = shared.state().timing.remote_us;
                sleep(Duration::from_micros(remote_us)).await;
            }
            if let Some(entry) = running {
                entry.bytes_out += bytes.len() as u64;
            }
            if is_done {
                // Before the last bytes go out: who has a reply finds it in the log.
                let seen = &follow.seen;
                if let Some(bits) = seen.status {
                    *in_transaction = bits & status::IN_TRANSACTION != 0;
                }
                let asked = asked.take();
                let late = asked.and_then(|asked| shared.shadows.told(*id, &asked, &seen.told));
                if let Some(entry) = running {
                    shared.note_violations(entry, late.into_iter().collect());
                    note_reply(entry, seen, *in_transaction);
                    shared.record.update(entry);
                }
            }
            if let Some(end) = plan.deliver(client, bytes).await? {
                if let Some(entry) = running {
                    entry.outcome = Outcome::Reset;
                }
                return Ok(Relayed::Ended(end));
            }
        }
        Ok(Relayed::Told(follow.seen))
    }
}

fn wrap(request: &RequestFrames, packets: &[u8], plan: &Plan) -> Vec<u8> {
    match plan.flaw {
        Some(flaw) => request.wrap_flawed(packets, flaw),
        None => request.wrap_reply(packets),
    }
}

/// The error of a fault.
pub(super) fn fault_error(code: u16) -> Refusal {
    Refusal::new(code, sqlstate(code), "a fault that is switched on")
}

/// What a whole reply says, for the log.
fn note_reply(entry: &mut Entry, seen: &Seen, in_transaction: bool) {
    entry.t_done_us = now_us();
    entry.errno = seen.errno;
    entry.sqlstate.clone_from(&seen.sqlstate);
    entry.affected = seen.affected;
    entry.rows = seen.rows;
    entry.tx_after = in_transaction;
    entry.outcome = if seen.errno == 0 {
        Outcome::Ok
    } else {
        Outcome::Err
    };
}

/// A COM_CHANGE_USER with another user name, all else as it came, framed.
fn change_user(request: &Reading, name: &str) -> Vec<u8> {
    let payload = request.payload().get(1..).unwrap_or_default();
    let end = payload.iter().position(|b| *b == 0).unwrap_or(0);
    let mut out = vec![];
    put_packet(&mut out, request.seq(), |b| {
        b.push(Command::CHANGE_USER.0);
        b.extend_from_slice(name.as_bytes());
        b.extend_from_slice(payload.get(end..).unwrap_or_default());
    });
    request.frames().wrap_request(&out)
}

/// The database that a request makes the current one, if it succeeds.
fn new_database(command: Command, body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body)
        .ok()
        .filter(|t| t.len() < USE_MAX)?;
    match command {
        Command::INIT_DB => Some(text.to_owned()),
        Command::QUERY => {
            let text = text.trim().trim_end_matches(';').trim();
            let (verb, name) = text.split_once(char::is_whitespace)?;
            verb.eq_ignore_ascii_case("use")
                .then(|| name.trim().trim_matches('`').to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_database_is_followed() {
        let of = |text: &str| new_database(Command::QUERY, text.as_bytes());
        assert_eq!(of("use `test` ;"), Some("test".into()));
        assert_eq!(of("USE oceanbase"), Some("oceanbase".into()));
        assert_eq!(of("user x"), None);
        assert_eq!(new_database(Command::INIT_DB, b"d"), Some("d".into()));
    }

    #[test]
    fn a_changed_user_keeps_the_rest_of_the_packet() {
        let mut inbox = vec![];
        put_packet(&mut inbox, 0, |b| {
            b.extend_from_slice(b"\x11u@test\0\x00db\0\x2d\0mysql_native_password\0");
        });
        let mut reading = Reading::new(Wire::default());
        reading.feed(&mut inbox).unwrap();
        assert!(reading.is_over() && inbox.is_empty());
        let out = change_user(&reading, "u@sys");
        assert_eq!(
            out[4..],
            *b"\x11u@sys\0\x00db\0\x2d\0mysql_native_password\0"
        );
    }
}
