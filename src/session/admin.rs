//! A session of `root@proxysys`: logged in by the proxy itself, its statements answered by the
//! metadata core. No server sees it.

use super::client_login::Parsed;
use super::request::put_ok;
use super::state::{Bytes, Ctx, Phase, Session, put_error};
use crate::auth::native_answer;
use crate::base::{CloseReason, CoreId, Event, Level, Linger, Out, Output, Side, Tick};
use crate::link::Proof;
use crate::protocol::error::Fault;
use crate::protocol::mysql::{Command, ErrPacket, Gather, put_packet, status};
use crate::routing::{Answer, Ask, Mail};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The tenant of administrators.
pub(super) const TENANT: &[u8] = b"proxysys";
/// Who may log in there.
const USER: &[u8] = b"root";
/// Longest statement. Source: OBProxy's limit for statements on its own tables.
const STATEMENT_MAX: usize = 1 << 20;
/// How long the metadata core may take. Source: OBProxy's time limit of internal commands.
const ANSWER_MS: u64 = 30_000;

/// Where an administrator's session stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Admin {
    gather: Gather,
    /// Statements so far.
    number: u32,
    asked: Option<Asked>,
}

/// A statement that is being answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    seq: u8,
    deadline: Tick,
    /// Packets, and whether the session ends behind them.
    answer: Option<(Vec<u8>, bool)>,
}

impl Admin {
    /// A statement runs.
    pub(super) const fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    /// When the metadata core is too late.
    pub(super) fn deadline(&self) -> Option<Tick> {
        self.asked.as_ref().map(|a| a.deadline)
    }

    /// An answer came; false: nobody waits for it any more.
    pub(super) fn take(&mut self, answer: Answer) -> bool {
        match &mut self.asked {
            Some(asked) if answer.number == self.number => {
                asked.answer = Some((answer.packets, answer.ends));
                true
            }
            _ => false,
        }
    }
}

/// True for addresses that are not reached from the public internet.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

impl Session {
    /// The client wants to administer the proxy.
    pub(super) fn admin_login(
        &mut self,
        ctx: &Ctx<'_>,
        login: &Parsed,
        seq: u8,
        out: &mut Out<'_, Mail>,
    ) {
        let proof = &login.credentials.proof;
        let rules = &ctx.settings.admin;
        let ip = self.peer.ip().to_canonical();
        let has_password = !matches!(proof, Proof::PassThrough { answer, .. } if answer.is_empty());
        let is_right = match (&rules.password, proof) {
            (None, _) => !has_password,
            (Some(stage1), Proof::PassThrough { scramble, answer }) => {
                answer == &native_answer(stage1, scramble)
            }
            (Some(stage1), Proof::Stage1(told)) => told == stage1,
        };
        let cause = if !rules.from_anywhere && !is_private(ip) {
            "root@proxysys may log in from private addresses only (skip_proxy_sys_private_check)"
        } else if login.name.user != USER {
            "the administrator of the proxy is root@proxysys"
        } else if !is_right {
            "wrong password of the proxy's administrator (obproxy_sys_password)"
        } else if rules.is_published && !ip.is_loopback() {
            "root@proxysys has its published default password, which is good from the proxy's own \
             machine only; change it with ALTER PROXYCONFIG SET obproxy_sys_password"
        } else {
            out.own(Side::Client, |b| put_ok(b, seq, status::AUTOCOMMIT));
            self.phase = Phase::Admin(Box::default());
            self.login_deadline = None;
            self.idle_since = ctx.now;
            out.count(Event::AdminLoggedIn);
            let line = self.describe();
            out.list
                .push(Output::Log(Level::Info, "admin_logged_in", line));
            return;
        };
        let password = if has_password { "YES" } else { "NO" };
        let user = String::from_utf8_lossy(&login.name.user).into_owned();
        let text = format!(
            "Access denied for user '{user}@proxysys'@'{ip}' (using password: {password}): {cause}"
        );
        let reason = CloseReason::LoginRefused;
        self.fail(seq, Fault::AccessDenied, &text, reason, out);
    }

    /// Reads one packet of an administrator. Returns the new position.
    pub(super) fn admin_bytes(
        &mut self,
        ctx: &Ctx<'_>,
        bytes: Bytes<'_>,
        at: usize,
        out: &mut Out<'_, Mail>,
    ) -> usize {
        let mut at = at;
        let Phase::Admin(admin) = &mut self.phase else {
            return at;
        };
        let admin = &mut **admin;
        let rest = bytes.data.get(at..).unwrap_or_default();
        let whole = match admin.gather.feed(rest, &mut at, STATEMENT_MAX) {
            Ok(None) => return at,
            Ok(Some(whole)) => whole,
            Err(e) => {
                let text = format!("a statement of {} bytes, at most {}", e.len, e.max);
                let reason = CloseReason::BadPacket;
                self.fail(1, Fault::PacketTooLarge, &text, reason, out);
                return bytes.data.len();
            }
        };
        let seq = whole.seq.wrapping_add(1);
        let (command, body) = match whole.payload.split_first() {
            Some((&command, body)) => (Command(command), body),
            None => (Command::SLEEP, &[][..]),
        };
        match command {
            Command::QUIT => self.end(CloseReason::ClientQuit, Linger::Flush, out),
            Command::PING | Command::INIT_DB | Command::RESET_CONNECTION => {
                out.own(Side::Client, |b| put_ok(b, seq, status::AUTOCOMMIT));
            }
            Command::SET_OPTION => out.own(Side::Client, |b| {
                put_packet(b, seq, |b| b.extend_from_slice(&[0xFE, 0, 0, 2, 0]));
            }),
            Command::QUERY => {
                admin.number = admin.number.wrapping_add(1);
                let ask = Ask {
                    core: ctx.ids.core(),
                    key: ctx.key,
                    number: admin.number,
                    session: self.id,
                    user: USER.to_vec(),
                    peer: self.peer,
                    seq,
                    text: body.to_vec(),
                };
                admin.asked = Some(Asked {
                    seq,
                    deadline: ctx.now.after_ms(ANSWER_MS),
                    answer: None,
                });
                let ask = Mail::Ask(Box::new(ask));
                out.list.push(Output::Post(CoreId::METADATA, ask));
            }
            Command::STMT_CLOSE => {}
            other => {
                let text = format!(
                    "command {:#04x} is not known to root@proxysys: this is the proxy's \
                     administration, not a database; only text statements are answered",
                    other.0
                );
                put_error(seq, Fault::NotSupported, &text, out);
            }
        }
        if let Phase::Admin(admin) = &mut self.phase {
            // An administrator's session is idle most of its life.
            admin.gather.clear();
        }
        at
    }

    /// The metadata core has answered; false: nobody waits for that any more.
    pub(super) fn take_answer(&mut self, answer: Answer) -> bool {
        match &mut self.phase {
            Phase::Admin(admin) => admin.take(answer),
            _ => false,
        }
    }

    /// An answer may have come.
    pub(super) fn admin_woken(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Admin(admin) = &mut self.phase else {
            return;
        };
        let Some((packets, ends)) = admin.asked.as_mut().and_then(|a| a.answer.take()) else {
            return;
        };
        admin.asked = None;
        self.idle_since = ctx.now;
        out.own(Side::Client, |b| b.extend_from_slice(&packets));
        if ends {
            return self.end(CloseReason::Killed, Linger::Flush, out);
        }
        self.drain(out);
        self.resume(ctx, out);
    }

    /// The metadata core did not answer in time.
    pub(super) fn admin_timer(&mut self, ctx: &Ctx<'_>, out: &mut Out<'_, Mail>) {
        let Phase::Admin(admin) = &mut self.phase else {
            return;
        };
        let Some(asked) = admin.asked.take_if(|a| a.deadline <= ctx.now) else {
            return;
        };
        // Nobody can say whether it was carried out: an answer that comes later is dropped.
        let text = "the metadata core did not answer within 30 s [unknown]";
        out.own(Side::Client, |b| {
            ErrPacket {
                code: 4012,
                sqlstate: b"HY000",
                message: text.as_bytes(),
            }
            .put(b, asked.seq);
        });
        self.resume(ctx, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses() {
        for (ip, want) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("fd00::1", true),
            ("2001:db8::1", false),
            ("100.64.0.1", false),
        ] {
            assert_eq!(is_private(ip.parse().expect("an address")), want, "{ip}");
        }
    }
}
