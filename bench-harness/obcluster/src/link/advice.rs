//! What is found out about a statement while it runs, and what its reply tells of it.

use super::follow::Seen;
use super::login::PROXY_USER;
use super::request::Reading;
use super::session::Session;
use crate::fault::FaultKind;
use crate::feedback::{Feedback, FeedbackMode, Role};
use crate::judge::{Class, Judge, JudgeState, Question, Verb};
use crate::record::Entry;
use crate::shared::Shared;
use crate::state::{LeafPlace, Tenant};
use crate::verdict::{Reason, Verdict};
use obring_wire::protocol::mysql::Command;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long a statement waits for a leader: the default of `ob_query_timeout`.
const QUERY_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks for a leader that is being elected.
const ELECTION_PAUSE: Duration = Duration::from_millis(1);

/// One statement, from its last byte to the last of its reply.
#[derive(Debug)]
pub(super) struct Advice {
    /// The judge while it is asked: it gives itself back with the verdict.
    asked: JoinSet<(Box<Judge>, Verdict, Class)>,
    found: Option<(Verdict, Class)>,
    /// The tenant as it was when the statement went to the kernel: who led then decides.
    tenant: Tenant,
    /// Where the touched leaves are; known with the verdict.
    leaves: Vec<LeafPlace>,
    /// The proxy takes feedback about weak reads.
    has_weak: bool,
    /// How long the statement waits for a leader.
    patience: Duration,
}

/// A better server for a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Its number.
    pub(super) server: u32,
    /// It leads what the statement touches.
    pub(super) is_leader: bool,
    /// The table, without its database.
    pub(super) table: String,
}

/// `ob_query_timeout` of the session, in microseconds there; without it the server's default.
fn patience(state: &JudgeState) -> Duration {
    let value = state.variables.get("ob_query_timeout");
    let text = value.and_then(|v| std::str::from_utf8(v).ok());
    let us = text.and_then(|t| t.trim().parse().ok());
    us.map_or(QUERY_PATIENCE, Duration::from_micros)
}

/// What the end of a reply needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    pub(super) feedback: Feedback,
    /// The statement ran on a server that does not lead what it touches.
    pub(super) is_remote: bool,
}

impl Advice {
    /// Asks the judge, beside the statement.
    pub(super) fn ask(
        mut judge: Box<Judge>,
        (command, request): (Command, &Reading),
        state: JudgeState,
        tenant: Tenant,
        has_weak: bool,
    ) -> Self {
        let patience = patience(&state);
        let mut task = JoinSet::new();
        let (body, statement) = (request.body().to_vec(), request.statement());
        let is_whole = request.is_over();
        task.spawn(async move {
            let question = Question {
                command,
                body: &body,
                statement,
                is_whole,
            };
            let class = judge.class(&question, &state);
            let verdict = judge.judge(&question, &state).await;
            (judge, verdict, class)
        });
        Self {
            asked: task,
            found: None,
            tenant,
            leaves: vec![],
            has_weak,
            patience,
        }
    }

    /// Waits for the verdict, and says who leads what is touched. Gives the judge back, once.
    async fn find(&mut self, shared: &Shared, judge: &mut Option<Box<Judge>>) {
        if let Some(done) = self.asked.join_next().await {
            self.found = Some(match done {
                Ok((back, verdict, class)) => {
                    *judge = Some(back);
                    (verdict, class)
                }
                Err(_) => (Verdict::unknown(Reason::Judge), Class::default()),
            });
        }
        let Some((verdict, _)) = &mut self.found else {
            return;
        };
        let state = shared.state();
        self.leaves.clear();
        for touched in &mut verdict.tables {
            touched.leaders.clear();
            let Some(shape) = shared.views.known(touched.table_id) else {
                continue;
            };
            for leaf in &touched.leaves {
                let place = state.placement.leaf(&self.tenant, &shape, *leaf);
                touched.leaders.push(place.leader.unwrap_or(0));
                self.leaves.push(place);
            }
        }
    }

    /// Where nobody leads what a strong statement touches, it waits for an election. False: in
    /// vain, for as long as a query may take.
    pub(super) async fn await_leaders(
        &mut self,
        shared: &Shared,
        judge: &mut Option<Box<Judge>>,
    ) -> bool {
        let has_all = |tenant: &Tenant| tenant.streams.iter().all(|s| s.leader().is_some());
        if has_all(&self.tenant) {
            return true;
        }
        let deadline = Instant::now() + self.patience;
        loop {
            self.find(shared, judge).await;
            let is_weak = self.found.as_ref().is_some_and(|(_, class)| class.is_weak);
            if is_weak || self.leaves.iter().all(|leaf| leaf.leader.is_some()) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(ELECTION_PAUSE).await;
            if let Some(tenant) = shared.state().tenant(&self.tenant.name) {
                self.tenant = tenant.clone();
            }
        }
    }

    /// The one server that this statement should have come to, if it is not `here`.
    pub(super) async fn better(
        &mut self,
        shared: &Shared,
        judge: &mut Option<Box<Judge>>,
        here: u32,
    ) -> Option<Place> {
        self.find(shared, judge).await;
        let (verdict, class) = self.found.as_ref()?;
        if !Feedback::by_rule(verdict, here, &self.leaves, class.is_weak, false).is_miss {
            return None;
        }
        let first = self.leaves.first()?;
        let holds_all = |server: &u32| self.leaves.iter().all(|l| l.replicas.contains(server));
        let server = match class.is_weak {
            true => *first.replicas.iter().find(|s| holds_all(s))?,
            false => first.leader?,
        };
        Some(Place {
            server,
            is_leader: self.leaves.iter().all(|l| l.leader == Some(server)),
            table: verdict.tables.first()?.table.clone(),
        })
    }

    /// The reply is over: what its end tells, and what the log says. `errno` 0: it succeeded.
    pub(super) async fn settle(
        &mut self,
        shared: &Shared,
        judge: &mut Option<Box<Judge>>,
        entry: &mut Entry,
        errno: u16,
        faults: &[FaultKind],
    ) -> Told {
        self.find(shared, judge).await;
        let Some((verdict, class)) = &self.found else {
            return Told::default();
        };
        let here = entry.server_id;
        let mode = faults.iter().find_map(|kind| match kind {
            FaultKind::Feedback(mode) => Some(*mode),
            _ => None,
        });
        let by_rule = Feedback::by_rule(verdict, here, &self.leaves, class.is_weak, self.has_weak);
        let feedback = if errno == 0 {
            by_rule.switched(mode.unwrap_or(FeedbackMode::Rule), entry.seq)
        } else {
            // An error says nothing of where it was found.
            Feedback::default()
        };
        entry.role_here = Role::of(here, &self.leaves);
        entry.class = *class;
        entry.miss_sent = feedback.is_miss;
        entry.verdict.clone_from(verdict);
        Told {
            feedback,
            is_remote: by_rule.is_miss,
        }
    }

    /// The log streams that a write has written to, with how often each had lost its leader by
    /// then. Nothing of a read.
    pub(super) fn written(&self) -> Vec<(u64, u64)> {
        let is_write = self
            .found
            .as_ref()
            .is_some_and(|(_, class)| matches!(class.verb, Verb::Write | Verb::Insert));
        if !is_write {
            return vec![];
        }
        let each = self.leaves.iter().filter_map(|leaf| {
            let stream = self.tenant.stream(leaf.stream)?;
            Some((stream.id, stream.losses))
        });
        each.collect()
    }
}

impl Session {
    /// Asks the judge about a statement of a proxy, beside the statement.
    pub(super) fn advise(&mut self, command: Command, request: &Reading) -> Option<Advice> {
        let is_statement = matches!(command, Command::QUERY | Command::STMT_EXECUTE);
        if !self.who.is_proxy || self.who.user == PROXY_USER || !is_statement {
            return None;
        }
        let tenant = self.shared.state().tenant(&self.who.tenant)?.clone();
        let judge = self.judge.take()?;
        let state = self.judge_state();
        let weak = self.has_weak_feedback;
        Some(Advice::ask(judge, (command, request), state, tenant, weak))
    }

    /// Tells the judge what the kernel has done with a request that is none of its questions.
    pub(super) fn tell_judge(&mut self, command: Command, request: &Reading, seen: &Seen) {
        let Some(judge) = self.judge.as_mut().filter(|_| seen.errno == 0) else {
            return;
        };
        let statement = request.statement();
        match command {
            Command::STMT_PREPARE if request.is_over() => {
                if let Some((number, parameters)) = seen.prepared {
                    judge.prepared(number, request.body(), parameters);
                }
            }
            Command::STMT_CLOSE => judge.closed(statement),
            Command::STMT_RESET => judge.reset(statement),
            Command::STMT_SEND_LONG_DATA => {
                let body = request.body().get(4..).unwrap_or_default();
                if let Some((parameter, data)) = body.split_first_chunk() {
                    judge.long_data(statement, u16::from_le_bytes(*parameter), data);
                }
            }
            Command::RESET_CONNECTION | Command::CHANGE_USER => judge.forget_all(),
            _ => {}
        }
    }
}
