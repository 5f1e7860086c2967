//! The judge: which partitions a statement touches, by the kernel's own EXPLAIN.
//!
//! Each link with judging on has a [`Judge`] with a session of its own in the kernel, because an
//! EXPLAIN on the link itself would change `found_rows()`, `row_count()` and the warnings. Before
//! a question that session is given the state of the link ([`JudgeState`]).
//!
//! ```text
//! statement ─ verb ─┬─ EXPLAIN does not take it ──────────────── said at once
//!                   ├─ remembered for this text, state, schema ─ said at once
//!                   ├─ INSERT, REPLACE ─ a question for each row ─┐
//!                   └─ all others ────── EXPLAIN BASIC ───────────┴─ leaves ─ aliases to tables
//! ```
//!
//! A verdict is exact, at most, nothing, no table, or unknown with its reason. Where no row can
//! match, the kernel prints the first leaf, and does not always say why: such a statement is asked
//! about once more with another condition. Where that is no help the verdict is
//! [`VerdictKind::Exact`] with leaf 0; and so a server sees it, too, when it says whether a
//! statement came to the right place.
//!
//! An UPDATE that moves rows touches the leaves that it moves them to as well; EXPLAIN names those
//! that it reads.

mod cache;
mod case;
mod catalog;
mod class;
mod connection;
mod desk;
mod execute;
mod fast;
mod insert;
mod mode;
mod names;
mod plan;
mod probe;
mod rewrite;
mod state;
mod statements;
mod text;

pub use class::{Class, Verb};
pub use mode::JudgeMode;
pub use state::JudgeState;

use crate::builtin::{self, Layout};
use crate::kernel::Tables;
use crate::verdict::{Reason, Verdict, VerdictKind};
use cache::{Cache, Key};
use case::{Bound, Case};
use catalog::Catalog;
use class::Ask;
use desk::Desk;
use fast::Fast;
use obring_wire::protocol::mysql::Command;
use statements::Statements;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use text::{Piece, Text};
use tokio::time::timeout;

/// How long a verdict may take, all its questions together; later it is unknown.
pub const VERDICT_TIME: Duration = Duration::from_secs(5);

/// What all judges share: the kernel's tables, verdicts that are remembered, the mode.
#[derive(Debug)]
pub struct Court {
    address: SocketAddr,
    mode: JudgeMode,
    /// The tables of engine `builtin`, which says itself what a statement touches.
    builtin: Option<Arc<Layout>>,
    catalog: Catalog,
    cache: Cache,
    fast: Fast,
    /// Statements that could have been judged, for samples.
    seen: AtomicU64,
}

impl Court {
    /// Judges ask the kernel at this address; `tables` is where located tables are remembered.
    #[must_use]
    pub fn new(address: SocketAddr, tables: Arc<Tables>, mode: JudgeMode) -> Arc<Self> {
        Self::with(address, tables, mode, None)
    }

    /// The same, for engine `builtin` where its tables are given.
    #[must_use]
    pub fn with(
        address: SocketAddr,
        tables: Arc<Tables>,
        mode: JudgeMode,
        builtin: Option<Arc<Layout>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            address,
            mode,
            builtin,
            catalog: Catalog::new(address, tables),
            cache: Cache::default(),
            fast: Fast::default(),
            seen: AtomicU64::new(0),
        })
    }

    /// How much is judged.
    #[must_use]
    pub const fn mode(&self) -> JudgeMode {
        self.mode
    }

    /// False for statements outside of the sample.
    fn wants(&self) -> bool {
        match self.mode {
            JudgeMode::Off => false,
            JudgeMode::Sync | JudgeMode::Fast => true,
            JudgeMode::Sample(every) => {
                let n = self.seen.fetch_add(1, Ordering::Relaxed);
                n.is_multiple_of(u64::from(every.max(1)))
            }
        }
    }
}

/// A request, as the judge is asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its command.
    pub command: Command,
    /// What stands behind the command byte.
    pub body: &'a [u8],
    /// Number of the prepared statement, 0 for commands without one.
    pub statement: u32,
    /// All of it is there, not only its front.
    pub is_whole: bool,
}

/// The judge of one link.
#[derive(Debug)]
pub struct Judge {
    court: Arc<Court>,
    desk: Desk,
    statements: Statements,
}

impl Judge {
    /// A judge. Its session in the kernel is opened with the first question that needs it.
    #[must_use]
    pub fn new(court: Arc<Court>) -> Self {
        Self {
            desk: Desk::new(court.address),
            court,
            statements: Statements::default(),
        }
    }

    /// What a request touches, in a session with this state. Leaves and tablets are there,
    /// `leaders` are not. Takes at most [`VERDICT_TIME`].
    pub async fn judge(&mut self, question: &Question<'_>, state: &JudgeState) -> Verdict {
        if self.court.mode == JudgeMode::Off {
            return Verdict::not_judged(Reason::NotAsked);
        }
        if let Some(layout) = self.court.builtin.clone() {
            return self.of_builtin(&layout, question, &state.database);
        }
        match timeout(VERDICT_TIME, self.decide(question, state)).await {
            Ok(verdict) => verdict,
            Err(_) => {
                self.desk.forget();
                Verdict::unknown(Reason::Judge)
            }
        }
    }

    /// What the engine says of its own tables.
    fn of_builtin(&mut self, layout: &Layout, question: &Question<'_>, database: &str) -> Verdict {
        match question.command {
            Command::QUERY | Command::STMT_EXECUTE if !question.is_whole => {
                Verdict::unknown(Reason::TooLong)
            }
            Command::QUERY => builtin::verdict(layout, database, question.body, None),
            Command::STMT_EXECUTE => {
                let Some((text, types)) = self.statements.text_and_kinds(question.statement) else {
                    return Verdict::unknown(Reason::Parameter);
                };
                let body = question.body;
                builtin::verdict(layout, database, text, Some(builtin::Bound { body, types }))
            }
            _ => Verdict::without_tables(VerdictKind::NoTable, Some(Reason::Verb)),
        }
    }

    /// What a request counts as.
    #[must_use]
    pub fn class(&self, question: &Question<'_>, state: &JudgeState) -> Class {
        let is_prepared = question.command == Command::STMT_EXECUTE;
        let body = match question.command {
            Command::QUERY => question.body,
            Command::STMT_EXECUTE => self.statements.text(question.statement).unwrap_or(&[]),
            _ => return Class::default(),
        };
        let Some((text, _)) = Text::read(body).map(Text::first) else {
            return Class {
                is_prepared,
                ..Class::default()
            };
        };
        let consistency = state.variables.get("ob_read_consistency");
        let executed = self.named(&text).and_then(|(sql, _)| Text::read(sql));
        let of = executed.as_ref().unwrap_or(&text);
        Class {
            verb: class::kind(of),
            is_prepared: is_prepared || executed.is_some(),
            is_weak: class::is_weak(of, consistency.map(Vec::as_slice)),
        }
    }

    /// The kernel has taken a COM_STMT_PREPARE, under this number.
    pub fn prepared(&mut self, statement: u32, text: &[u8], parameters: u16) {
        self.statements.put(statement, text, parameters);
    }

    /// COM_STMT_CLOSE.
    pub fn closed(&mut self, statement: u32) {
        self.statements.remove(statement);
    }

    /// COM_STMT_SEND_LONG_DATA. Up to 64 KiB of a parameter are kept; with a longer one the next
    /// execution is unknown.
    pub fn long_data(&mut self, statement: u32, parameter: u16, data: &[u8]) {
        self.statements.add_long(statement, parameter, data);
    }

    /// COM_STMT_RESET: long data is gone.
    pub fn reset(&mut self, statement: u32) {
        self.statements.reset(statement);
    }

    /// COM_RESET_CONNECTION and COM_CHANGE_USER: the session of the link is a new one.
    pub fn forget_all(&mut self) {
        self.desk.forget();
        self.statements.clear();
    }

    async fn decide(&mut self, question: &Question<'_>, state: &JudgeState) -> Verdict {
        match question.command {
            Command::QUERY | Command::STMT_EXECUTE if !question.is_whole => {
                Verdict::unknown(Reason::TooLong)
            }
            Command::QUERY => self.query(question.body, state).await,
            Command::STMT_EXECUTE => self.execute(question, state).await,
            Command::STMT_PREPARE_EXECUTE => Verdict::unknown(Reason::Verb),
            _ => Verdict::without_tables(VerdictKind::NoTable, Some(Reason::Verb)),
        }
    }

    async fn query(&mut self, body: &[u8], state: &JudgeState) -> Verdict {
        let Some(text) = Text::read(body) else {
            return Verdict::unknown(Reason::Rewrite);
        };
        // Like a server: of several statements the first one counts.
        let (text, _) = text.first();
        let nothing = Verdict::without_tables(VerdictKind::NoTable, Some(Reason::Verb));
        match class::ask(&text) {
            Ask::Say(kind, reason) => Verdict::without_tables(kind, Some(reason)),
            Ask::Explain(verb) => self.explain(&text, verb, Bound::None, state).await,
            Ask::Prepare => {
                self.prepare(&text, state);
                nothing
            }
            Ask::Deallocate => {
                let name = text
                    .tokens
                    .len()
                    .checked_sub(1)
                    .and_then(|at| text.name(at));
                self.statements.put_text(&name.unwrap_or_default(), None);
                nothing
            }
            Ask::Execute => {
                let Some((sql, using)) = self.named(&text) else {
                    return Verdict::unknown(Reason::Parameter);
                };
                let sql = sql.to_vec();
                self.execute_text(&sql, &using, state).await
            }
        }
    }

    /// PREPARE: remembers the text. (Where it fails, so does each EXECUTE.)
    fn prepare(&mut self, text: &Text<'_>, state: &JudgeState) {
        let Some(name) = text.name(1) else {
            return;
        };
        let sql = if text.is_sign(3, b'@') {
            let variable = text.name(4).unwrap_or_default();
            let mut known = state.user_variables.iter();
            let same = |n: &[u8]| n.eq_ignore_ascii_case(variable.as_bytes());
            let value = known.find(|(n, _)| same(n)).map(|(_, value)| value);
            value.and_then(|v| Text::read(v)?.literal(0))
        } else {
            text.literal(3)
        };
        self.statements.put_text(&name, sql);
    }

    /// The text that an EXECUTE executes, and its variables.
    fn named(&self, text: &Text<'_>) -> Option<(&[u8], Vec<Vec<u8>>)> {
        if !text.is_word(0, "execute") {
            return None;
        }
        let sql = self.statements.named(&text.name(1)?)?;
        let mut using = vec![];
        if text.is_word(2, "using") {
            for item in text.split(3..text.tokens.len()) {
                using.push(text.span(item).to_vec());
            }
        }
        Some((sql, using))
    }

    async fn execute_text(&mut self, sql: &[u8], using: &[Vec<u8>], state: &JudgeState) -> Verdict {
        let Some(text) = Text::read(sql) else {
            return Verdict::unknown(Reason::Rewrite);
        };
        let (text, _) = text.first();
        match class::ask(&text) {
            Ask::Explain(verb) => {
                let bound = Bound::Named(using);
                self.explain(&text, verb, bound, state).await
            }
            Ask::Say(kind, reason) => Verdict::without_tables(kind, Some(reason)),
            _ => Verdict::unknown(Reason::Verb),
        }
    }

    async fn execute(&mut self, question: &Question<'_>, state: &JudgeState) -> Verdict {
        // Behind the number of the statement.
        let body = question.body.get(4..).unwrap_or_default();
        let Some(parameters) = self.statements.execute(question.statement, body) else {
            return Verdict::unknown(Reason::Parameter);
        };
        let sql = self.statements.text(question.statement).unwrap_or_default();
        let sql = sql.to_vec();
        let Some((text, _)) = Text::read(&sql).map(Text::first) else {
            return Verdict::unknown(Reason::Rewrite);
        };
        match class::ask(&text) {
            Ask::Explain(verb) => {
                let bound = Bound::Binary(&parameters);
                self.explain(&text, verb, bound, state).await
            }
            Ask::Say(kind, reason) => Verdict::without_tables(kind, Some(reason)),
            _ => Verdict::unknown(Reason::Verb),
        }
    }

    /// The verdict on a statement that EXPLAIN takes.
    async fn explain(
        &mut self,
        text: &Text<'_>,
        verb: Verb,
        bound: Bound<'_>,
        state: &JudgeState,
    ) -> Verdict {
        let court = self.court.clone();
        if !court.wants() {
            return Verdict::not_judged(Reason::NotAsked);
        }
        if state.has_mode("NO_BACKSLASH_ESCAPES") && text.bytes.contains(&b'\\') {
            return Verdict::unknown(Reason::Rewrite);
        }
        let Ok(version) = self.desk.version().await else {
            return Verdict::unknown(Reason::Judge);
        };
        let is_at = |t: &text::Token| t.piece == Piece::Sign(b'@');
        let reads_variables = matches!(bound, Bound::Named(_)) || text.tokens.iter().any(is_at);
        let mut case = Case {
            court: &court,
            desk: &mut self.desk,
            text,
            bound,
            state,
            reads_variables,
            version,
        };
        let key = key(&case);
        if let Some(verdict) = court.cache.find(key) {
            return verdict;
        }
        let quick = match court.mode {
            JudgeMode::Fast if verb != Verb::Insert => case.quick().await,
            _ => None,
        };
        if let Some(quick) = &quick
            && court.fast.may(&quick.shape)
        {
            return quick.verdict();
        }
        let verdict = match verb {
            Verb::Insert => case.insert().await,
            _ => case.select().await,
        };
        let verdict = verdict.unwrap_or_else(|problem| problem.verdict());
        let is_known = matches!(
            verdict.kind,
            VerdictKind::Exact | VerdictKind::Superset | VerdictKind::Nothing
        );
        if let Some(quick) = quick
            && is_known
        {
            let agrees = verdict == quick.verdict();
            court.fast.note(quick.shape, agrees);
        }
        // Failures can have reasons that pass.
        if !matches!(verdict.reason, Some(Reason::Judge | Reason::Fails)) {
            court.cache.put(key, &verdict);
        }
        verdict
    }
}

/// What a verdict depends on.
fn key(case: &Case<'_, '_>) -> Key {
    let state = case.state;
    let mut parts: Vec<&[u8]> = vec![];
    let plain = case.text.plain();
    parts.push(&plain);
    let parameters = match case.bound {
        Bound::None => vec![],
        Bound::Binary(parameters) => parameters.key(),
        Bound::Named(using) => using.join(&b","[..]),
    };
    parts.push(&parameters);
    let database = state.database.to_lowercase();
    parts.push(database.as_bytes());
    let version = case.version.to_le_bytes();
    parts.push(&version);
    match &state.block {
        Some(block) => parts.push(block),
        None => {
            let each = state.variables.iter();
            parts.extend(each.flat_map(|(name, value)| [name.as_bytes(), value]));
        }
    }
    if case.reads_variables {
        let each = state.user_variables.iter();
        parts.extend(each.flat_map(|(name, value)| [name.as_slice(), value]));
    }
    Key::of(&parts)
}
