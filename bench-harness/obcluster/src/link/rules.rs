//! What a proxy must not do, looked at request by request.

use super::End;
use super::exchange::Turn;
use super::login::Who;
use super::made::refusals;
use super::request::Reading;
use super::session::Session;
use crate::shadow::{Asked, Kill, Login};
use crate::views::Refusal;
use crate::violation::{OnViolation, Violation};
use obring_wire::protocol::capability;
use obring_wire::protocol::mysql::Command;
use std::io;

/// A KILL of the own session that has ended another connection of it: OB_ERR_KILL_CLIENT_SESSION.
/// (With one connection the kernel ends it without an answer.) Observed on seekdb 1.3.0.post5.
const KILLS_ITS_OWN: u16 = 4401;

/// A statement that leaves nothing behind.
const UNSEEN: &[u8] = b"SELECT 1";

/// What becomes of a request that breaks a rule.
enum Broken {
    /// It goes on.
    Goes,
    /// It is answered with this.
    Refused(Refusal),
    /// Its link ends.
    Ends,
}

/// What a login says of its session.
pub(super) fn login(who: &Who, has_variable_blocks: bool) -> Login<'_> {
    Login {
        proxy_sid: &who.proxy_sid,
        connect_time: &who.connect_time,
        client_sid: &who.client_sid,
        user: &who.user,
        database: &who.database,
        has_variable_blocks,
    }
}

impl Session {
    /// Looks at a login. What it is answered with instead of the kernel's answer, or the end.
    pub(super) fn watch_login(&mut self) -> Option<Result<Refusal, End>> {
        if !self.who.is_proxy {
            return None;
        }
        let found = self
            .shared
            .shadows
            .check_login(self.id, &login(&self.who, false));
        match self.broken(found.into_iter().collect()) {
            Broken::Goes => None,
            Broken::Refused(refusal) => Some(Ok(refusal)),
            Broken::Ends => Some(Err(End::Close)),
        }
    }

    /// Looks at a request that is about to go to the kernel. A turn: it does not.
    pub(super) async fn watch(
        &mut self,
        asked: &Asked,
        request: &Reading,
    ) -> io::Result<Option<Turn>> {
        if let Some(kill) = asked.kill()
            && !self.has_client_ids()
            && self.shared.is_elsewhere(kill.id, self.server)
        {
            let refusal = refusals::unknown_thread(kill.id);
            self.answer_error(request, &refusal).await?;
            return Ok(Some(Turn::Next));
        }
        let found = self.shared.shadows.check(self.id, asked);
        match self.broken(found) {
            Broken::Goes => {}
            // The rest of a long request, or the next one, would stand where nothing is expected.
            Broken::Refused(refusal) if request.is_over() && has_reply(request) => {
                self.answer_error(request, &refusal).await?;
                return Ok(Some(Turn::Next));
            }
            Broken::Refused(_) | Broken::Ends => return Ok(Some(Turn::End(End::Close))),
        }
        self.shared.shadows.sent(self.id, asked);
        Ok(None)
    }

    /// The kernel does not see a request that the model answers, but gets the session's state that
    /// comes with it.
    pub(super) async fn bring(&mut self, request: &Reading) -> io::Result<()> {
        let beside = &request.frames().beside;
        if beside.parts.is_empty() {
            return Ok(());
        }
        let asked = Asked::read(Command::QUERY, UNSEEN, 0, beside.clone());
        self.shared.shadows.sent(self.id, &asked);
        let seen = self.ask_unseen(request, UNSEEN).await?;
        // Checked or not: it was never the proxy's statement.
        let _ = self.shared.shadows.told(self.id, &asked, &seen.told);
        Ok(())
    }

    /// Notes broken rules.
    fn broken(&mut self, found: Vec<Violation>) -> Broken {
        if found.is_empty() {
            return Broken::Goes;
        }
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        if let Some(entry) = &mut self.running {
            self.shared.note_violations(entry, found);
        }
        match self.shared.topology.on_violation {
            OnViolation::Log => Broken::Goes,
            OnViolation::Error => Broken::Refused(refusals::broken_rule(&texts.join("; "))),
            OnViolation::Close => Broken::Ends,
        }
    }

    /// A request has named the connection of somebody else.
    pub(super) fn watch_foreign(&mut self, connection_id: u32) {
        let violation = Violation::foreign_id(format!("connection_id:{connection_id}"));
        // The link ends anyway.
        let _ = self.broken(vec![violation]);
    }

    /// A KILL is over. If it has killed a session, by a client session id, the kernel has ended one
    /// connection with that id; the others, of which other servers would take care, end too.
    pub(super) fn killed(&self, kill: Kill, errno: u16) {
        let has_killed = matches!(errno, 0 | KILLS_ITS_OWN);
        if !self.has_client_ids() || kill.is_query || !has_killed {
            return;
        }
        let (shared, own) = (self.shared.clone(), self.id);
        let before = shared.links_of(kill.id);
        if before.len() > 1 {
            tokio::spawn(async move { shared.cut_killed(&before, own).await });
        }
    }

    /// Client session ids are connection ids (capability bit 21).
    const fn has_client_ids(&self) -> bool {
        self.granted & capability::CLIENT_SESSION_ID_V2 != 0
    }
}

fn has_reply(request: &Reading) -> bool {
    request.command().is_some_and(|c| c.has_reply())
}
