//! EXPLAIN ROUTE: why a statement would go where it would go, for people and for programs.
//!
//! The choice is made by [`super::route`] and only told here. `EXPLAIN ROUTE stmt` has OBProxy's
//! form: one text in points (`SQL_PARSE`, `ROUTE_INFO`, ...); `EXPLAIN ROUTE FORMAT=JSON stmt` is
//! one JSON document. Source of the points: operations facts, section 3.5.

use super::json::Json;
use super::route::{forced, name};
use super::{
    Block, Came, Choice, Consistency, Found, Held, Reason, ReplicaKind, Routed, Share, Standing,
    Statement, StrongBy, TableEntry, TableKind, Tables, Touched, View, WeakBy,
};
use crate::base::Tick;
use crate::partition::{self, Certainty};
use crate::protocol::mysql::{ColumnKind, TextRows};
use crate::sql::{Origin, Verb};
use std::fmt::Write;
use std::net::SocketAddr;

/// The only column of the result.
pub const COLUMN: &str = "Route Plan";
/// Leaves of a table that are listed; of more only the number is told.
const LEAVES_MAX: usize = 64;
/// Below the titles of the text. Source: the same.
const RULE: &str = "-----------------";

/// How the plan is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OBProxy's text.
    Text,
    /// One JSON document.
    Json,
}

impl Format {
    /// The format that is asked for in front of the statement: JSON by `FORMAT=JSON`, as with the
    /// server's EXPLAIN.
    #[must_use]
    pub fn of(front: &[u8]) -> Self {
        let front: Vec<u8> = front
            .iter()
            .filter(|b| !b.is_ascii_whitespace())
            .map(u8::to_ascii_lowercase)
            .collect();
        match front.ends_with(b"format=json") {
            true => Self::Json,
            false => Self::Text,
        }
    }
}

/// Where what is known of a table came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    /// This core knew it.
    Core,
    /// The metadata core knew it, and was asked.
    Global,
    /// A server was asked for it.
    Query,
    /// This core knew it, and doubts it.
    Stale,
    /// Nothing is known yet.
    Pending,
    /// It is no table with a place.
    Nowhere,
}

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Global => "global",
            Self::Query => "query",
            Self::Stale => "core_stale",
            Self::Pending => "pending",
            Self::Nowhere => "none",
        }
    }
}

/// A table of the statement.
struct Named<'a> {
    database: &'a [u8],
    name: &'a [u8],
    source: Source,
    entry: Option<&'a TableEntry>,
    /// Leaves that are touched, and how sure that is.
    touched: Touched,
    certainty: Option<Certainty>,
}

/// A server that was compared, or could have been.
struct Candidate<'a> {
    server: SocketAddr,
    zone: &'a str,
    state: &'static str,
    /// What it has of the leaves of all tables.
    share: Share,
    kind: Option<ReplicaKind>,
    block: Option<Block>,
    is_tried: bool,
    outstanding: u32,
}

/// A statement's way, explained.
pub struct Plan<'a> {
    statement: &'a Statement<'a>,
    tables: Vec<Named<'a>>,
    candidates: Vec<Candidate<'a>>,
    idc: &'a str,
    choice: Option<Choice>,
    reason: Reason,
    is_waiting: bool,
    /// How long the decision took, look-ups included.
    elapsed_us: u64,
}

impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.json())
    }
}

impl<'a> Plan<'a> {
    /// Explains what [`super::route`] has said of a statement, with what it was called with.
    /// `since`: when it was asked for.
    #[must_use]
    pub fn of(
        now: Tick,
        tables: &'a Tables,
        view: &View<'a>,
        statement: &'a Statement<'a>,
        routed: &Routed<'_>,
        since: Tick,
    ) -> Self {
        let named = named((since, now), tables, view, statement);
        let (choice, reason, is_waiting) = match *routed {
            Routed::To(choice, _) => (Some(choice), choice.reason, false),
            Routed::Wait { .. } => (None, Reason::LocationPending, true),
            Routed::Nowhere(reason) => (None, reason, false),
        };
        let candidates = candidates(view, statement, &named, choice.as_ref());
        Self {
            statement,
            tables: named,
            candidates,
            idc: &view.preferences.idc,
            choice,
            reason,
            is_waiting,
            elapsed_us: now.since_us(since),
        }
    }

    /// The result set: one row, one column.
    pub fn put(&self, out: &mut Vec<u8>, seq: u8, status: u16, format: Format) {
        let text = match format {
            Format::Text => self.text(),
            Format::Json => self.json(),
        };
        let columns = [(COLUMN.to_owned(), ColumnKind::Text)];
        let mut rows = TextRows::begin(out, seq, status, &columns);
        rows.row(std::iter::once(Some(text.as_bytes())));
        rows.end();
    }

    /// OBProxy's form.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let current = lossy(self.statement.text);
        let _ = writeln!(text, "Trans Current Query:{current:?}\n");
        let _ = writeln!(text, "Route Prompts\n{RULE}\n");
        for (level, prompt) in self.prompts() {
            let _ = writeln!(text, "> ROUTE_POLICY\n  [{level}] {prompt}\n");
        }
        let _ = writeln!(text, "Route Plan\n{RULE}\n");
        let first = self
            .tables
            .first()
            .map_or_else(String::new, |t| lossy(t.name));
        let verb = verb(self.statement.scan.verb);
        let _ = writeln!(
            text,
            "> SQL_PARSE:{{cmd:\"COM_QUERY\", sql_type:{verb:?}, table:{first:?}}}"
        );
        let is_pinned = self.statement.pin.is_some();
        let _ = writeln!(
            text,
            "> ROUTE_INFO:{{route_info_type:{:?}, reason:{:?}, consistency:{:?}, \
             pinned:{is_pinned}}}",
            self.info_type(),
            self.reason.name(),
            consistency(self.statement.consistency).0,
        );
        let tables = self.tables.len();
        let _ = writeln!(
            text,
            "> LOCATION_CACHE_LOOKUP:{{mode:\"oceanbase\", tables:{tables}}}"
        );
        for table in &self.tables {
            self.put_table(&mut text, table);
        }
        let policy = self.choice.and_then(|c| c.policy).map_or("", |p| p.name());
        let class = self.choice.and_then(|c| c.class).map(|c| c.letters());
        let _ = writeln!(
            text,
            "> ROUTE_POLICY:{{route_policy:{policy:?}, class:{:?}, proxy_idc_name:{:?}, \
             candidates:[{}]}}",
            class.unwrap_or_default(),
            self.idc,
            self.candidate_texts().join(", "),
        );
        let chosen = self.choice.and_then(|c| self.candidate(c.server));
        let state = chosen.and_then(|c| c.block).map_or("", block);
        let server = self
            .choice
            .map_or_else(String::new, |c| c.server.to_string());
        let _ = writeln!(
            text,
            "> CONGESTION_CONTROL:{{svr_addr:{server:?}, congestion:{state:?}, elapsed_us:{}}}",
            self.elapsed_us
        );
        text
    }

    /// What a person should look at, with its level.
    fn prompts(&self) -> Vec<(&'static str, String)> {
        let mut prompts = vec![("INFO", self.reason.sentence().to_owned())];
        for table in &self.tables {
            let name = lossy(table.name);
            let leaves = table.entry.map_or(0, |e| e.locations.leaves().len());
            match (table.source, table.certainty) {
                (Source::Pending, _) => {
                    prompts.push(("WARN", format!("nothing is known of {name} yet")));
                }
                (Source::Stale, _) => {
                    prompts.push(("WARN", format!("what is known of {name} is doubted")));
                }
                (_, Some(Certainty::Unknown)) if leaves > 1 => {
                    let text = format!("which of the {leaves} partitions of {name} cannot be told");
                    prompts.push(("WARN", text));
                }
                (_, Some(Certainty::Superset)) if listed(table).1 == leaves => {
                    let text = format!("the conditions leave all {leaves} partitions of {name}");
                    prompts.push(("WARN", text));
                }
                _ => {}
            }
            if leaves > 1 && table.entry.is_some_and(|e| e.partitions.is_none()) {
                let text = format!("how {name} is partitioned is not understood");
                prompts.push(("WARN", text));
            }
        }
        prompts
    }

    fn put_table(&self, text: &mut String, table: &Named<'_>) {
        let name = lossy(table.name);
        let Some(entry) = table.entry else {
            let source = table.source.name();
            let _ = writeln!(
                text,
                "  > TABLE_ENTRY_LOOKUP_DONE:{{table:{name:?}, entry_source:{source:?}}}"
            );
            return;
        };
        let _ = writeln!(
            text,
            "  > TABLE_ENTRY_LOOKUP_DONE:{{table:{name:?}, table_id:{}, partition_num:{}, \
             schema_version:{}, table_type:{:?}, entry_source:{:?}}}",
            entry.id,
            entry.locations.leaves().len(),
            entry.schema_version,
            kind(entry),
            table.source.name(),
        );
        let (leaves, count) = listed(table);
        let tablets: Vec<_> = leaves
            .iter()
            .map(|l| tablet(entry, *l).to_string())
            .collect();
        let names: Vec<_> = leaves.iter().map(|l| part_name(entry, *l)).collect();
        let certainty = table.certainty.map_or("whole", certainty);
        let _ = writeln!(
            text,
            "  > PARTITION_ID_CALC_DONE:{{partition_id:[{}], partitions:{:?}, count:{count}, \
             certainty:{certainty:?}}}",
            tablets.join(", "),
            names.join(", "),
        );
        let leaders: Vec<_> = leaves
            .iter()
            .map(|l| {
                entry
                    .locations
                    .leader(*l)
                    .map_or_else(|| "-".to_owned(), |s| s.to_string())
            })
            .collect();
        let _ = writeln!(
            text,
            "  > PARTITION_ENTRY_LOOKUP_DONE:{{leader:{:?}}}",
            leaders.join(", ")
        );
    }

    /// One JSON document.
    #[must_use]
    pub fn json(&self) -> String {
        let mut json = Json::default();
        json.object(|json| {
            json.text("statement", &lossy(self.statement.text));
            json.text("class", verb(self.statement.scan.verb));
            let (level, by) = consistency(self.statement.consistency);
            json.text("consistency", level);
            json.text("consistency_by", by);
            json.list("tables", &self.tables, |json, table| {
                json.object(|j| put_json(j, table))
            });
            json.list("candidates", &self.candidates, |json, candidate| {
                json.object(|json| {
                    json.text("server", &candidate.server.to_string());
                    json.text("zone", candidate.zone);
                    json.text("state", candidate.state);
                    json.text("role", role(&candidate.share));
                    json.number("leads", u64::from(candidate.share.leads));
                    json.number("holds", u64::from(candidate.share.holds));
                    json.text("replica_type", candidate.kind.map_or("", replica_type));
                    json.text("blocked", candidate.block.map_or("", block));
                    json.flag("tried", candidate.is_tried);
                    json.number("outstanding", u64::from(candidate.outstanding));
                });
            });
            match self.choice {
                Some(choice) => json.text("server", &choice.server.to_string()),
                None => json.null("server"),
            }
            json.text("reason", self.reason.name());
            json.text("reason_text", self.reason.sentence());
            let policy = self.choice.and_then(|c| c.policy);
            match policy {
                Some(policy) => json.text("policy", policy.name()),
                None => json.null("policy"),
            }
            match self.choice.and_then(|c| c.class) {
                Some(class) => json.text("server_class", &class.letters()),
                None => json.null("server_class"),
            }
            json.text("proxy_idc_name", self.idc);
            json.flag("waiting", self.is_waiting);
            json.number("elapsed_us", self.elapsed_us);
        });
        json.end()
    }

    fn candidate(&self, server: SocketAddr) -> Option<&Candidate<'a>> {
        self.candidates.iter().find(|c| c.server == server)
    }

    fn candidate_texts(&self) -> Vec<String> {
        let text = |c: &Candidate<'_>| {
            let zone = c.zone;
            format!(
                "{{server:\"{}\", zone:{zone:?}, role:{:?}}}",
                c.server,
                role(&c.share)
            )
        };
        self.candidates.iter().map(text).collect()
    }

    /// OBProxy's word for the kind of the way.
    const fn info_type(&self) -> &'static str {
        match self.reason {
            Reason::Coordinator
            | Reason::TransactionCharacteristics
            | Reason::TemporaryTable
            | Reason::LongData
            | Reason::FileContent
            | Reason::LastResult => "USE_LAST_SESSION",
            Reason::UserLock => "USE_LOCK_SESSION",
            Reason::Cursor => "USE_CURSOR",
            Reason::RouteAddress => "USE_OBPROXY_ROUTE_ADDR",
            Reason::TargetServer | Reason::TargetUnusable => "USE_TARGET_DB_SERVER",
            Reason::CurrentServer => "USE_CACHED_SESSION",
            reason if reason.is_beside_location() => "USE_ROUTE_POLICY",
            _ => "USE_PARTITION_LOCATION_LOOKUP",
        }
    }
}

fn put_json(json: &mut Json, table: &Named<'_>) {
    json.text("database", &lossy(table.database));
    json.text("table", &lossy(table.name));
    json.text("cache_source", table.source.name());
    let Some(entry) = table.entry else { return };
    json.text("kind", kind(entry));
    json.number("table_id", entry.id);
    json.number("schema_version", entry.schema_version);
    json.number("entry_version", entry.version);
    json.flag("replicated", entry.is_dup);
    json.number("partition_count", entry.locations.leaves().len() as u64);
    json.text("certainty", table.certainty.map_or("whole", certainty));
    let (leaves, count) = listed(table);
    json.number("touched", count as u64);
    json.list("partitions", &leaves, |json, leaf| {
        json.object(|json| {
            json.number("leaf", u64::from(*leaf));
            json.text("partition_id", &place(entry, *leaf));
            json.text("name", &part_name(entry, *leaf));
            json.number("tablet_id", tablet(entry, *leaf));
            match entry.locations.leader(*leaf) {
                Some(server) => json.text("leader", &server.to_string()),
                None => json.null("leader"),
            }
        });
    });
}

/// The statement's tables, as far as this core knows them.
fn named<'a>(
    (since, now): (Tick, Tick),
    tables: &'a Tables,
    view: &View<'_>,
    statement: &Statement<'a>,
) -> Vec<Named<'a>> {
    let stored = |table: &crate::sql::Table| table.origin == Origin::Stored && !table.is_remote;
    let mut all = vec![];
    let mut described = vec![];
    for table in &statement.scan.tables {
        let name = match stored(table) {
            true => name(statement, table.name.of(statement.text)),
            false => None,
        };
        let Some(name) = name else {
            described.push(None);
            continue;
        };
        let (source, entry) = match tables.peek(now, &name) {
            Found::Fresh(entry) => {
                let source = match tables.came(&name, since) {
                    None => Source::Core,
                    Some(Came::Known) => Source::Global,
                    Some(Came::LookedUp) => Source::Query,
                };
                (source, Some(&**entry))
            }
            Found::Due(Some(entry)) => (Source::Stale, Some(&**entry)),
            Found::Asked {
                stale: Some(entry), ..
            } => (Source::Stale, Some(&**entry)),
            Found::Due(None) | Found::Asked { stale: None, .. } => (Source::Pending, None),
        };
        let source = match entry {
            Some(entry) if !entry.is_located() => Source::Nowhere,
            _ => source,
        };
        let index = described.len();
        described.push(entry.and_then(|entry| entry.partitions.as_deref()));
        let named = Named {
            database: name.database,
            name: name.name,
            source,
            entry,
            touched: Touched::Unknown,
            certainty: None,
        };
        all.push((index, named));
    }
    let request = partition::Request {
        text: statement.text,
        scan: statement.scan,
        tables: &described,
        context: statement.context,
    };
    let touch = |(index, mut named): (usize, Named<'a>)| {
        let count = named.entry.map_or(0, |e| e.locations.leaves().len());
        if count == 1 {
            named.touched = Touched::Only(0);
        } else if count > 1 {
            let answer = view
                .preferences
                .calculates
                .then(|| partition::leaves(&request, index));
            named.certainty = Some(Certainty::Unknown);
            if let Some(answer) = answer.flatten() {
                named.certainty = Some(answer.certainty);
                named.touched = match answer.certainty {
                    Certainty::Unknown => Touched::Unknown,
                    _ => Touched::Set(answer.leaves),
                };
            }
        }
        named
    };
    all.into_iter().map(touch).collect()
}

/// Servers that hold some of the leaves; without any, those that could have been chosen.
fn candidates<'a>(
    view: &View<'a>,
    statement: &Statement<'_>,
    tables: &[Named<'_>],
    choice: Option<&Choice>,
) -> Vec<Candidate<'a>> {
    let mut all: Vec<(SocketAddr, Share, Option<ReplicaKind>)> = vec![];
    for table in tables
        .iter()
        .filter(|t| t.entry.is_some_and(TableEntry::is_located))
    {
        let Some(entry) = table.entry else { continue };
        each_replica(entry, &table.touched, |server, held| {
            let known = all.iter_mut().find(|(s, ..)| *s == server);
            if let Some((_, share, _)) = known {
                share.add(held);
            } else {
                let mut share = Share::default();
                share.add(held);
                all.push((server, share, Some(held.kind)));
            }
        });
    }
    let others = super::pick::servers(view.cluster, view.tenant);
    let others = others.filter(|_| all.is_empty()).collect::<Vec<_>>();
    let chosen = choice.map(|choice| choice.server);
    for server in others.into_iter().chain(forced(statement)).chain(chosen) {
        if !all.iter().any(|(s, ..)| *s == server) {
            all.push((server, Share::default(), None));
        }
    }
    let candidate = |(server, share, kind): (SocketAddr, Share, Option<ReplicaKind>)| {
        let known = view.cluster.server(server);
        Candidate {
            server,
            zone: known.map_or("", |s| &s.zone),
            state: known.map_or("UNLISTED", |s| s.state.name()),
            share,
            kind,
            block: view.blocks.of(&server),
            is_tried: statement.tried.contains(&server),
            outstanding: view.loads.of(server),
        }
    };
    all.into_iter().map(candidate).collect()
}

/// Calls with each replica of the leaves that are touched.
fn each_replica(entry: &TableEntry, touched: &Touched, mut call: impl FnMut(SocketAddr, Held)) {
    let is_touched = |leaf: u32| match touched {
        Touched::Only(only) => *only == leaf,
        Touched::Set(set) => set.contains(leaf),
        Touched::All | Touched::Unknown => true,
    };
    let places = entry.locations.leaves().iter().zip(0..);
    for (place, _) in places.filter(|(_, leaf)| is_touched(*leaf)) {
        for held in &place.replicas {
            if let Some(server) = entry.locations.server(held.server) {
                call(server, *held);
            }
        }
    }
}

/// The leaves to be listed, and how many there are.
fn listed(table: &Named<'_>) -> (Vec<u32>, usize) {
    let count = table.entry.map_or(0, |e| e.locations.leaves().len());
    match &table.touched {
        Touched::Only(leaf) => (vec![*leaf], 1),
        Touched::Set(set) => (set.iter().take(LEAVES_MAX).collect(), set.len() as usize),
        Touched::All | Touched::Unknown => (vec![], count),
    }
}

fn leaf(entry: &TableEntry, number: u32) -> Option<&partition::Leaf> {
    entry.partitions.as_ref()?.leaves().get(number as usize)
}

fn tablet(entry: &TableEntry, number: u32) -> u64 {
    leaf(entry, number).map_or(0, |leaf| leaf.tablet)
}

/// The name that the user gave; empty for a table without partitions.
fn part_name(entry: &TableEntry, number: u32) -> String {
    leaf(entry, number).map_or_else(String::new, |leaf| lossy(&leaf.name))
}

/// As the server's EXPLAIN names it: `p3`, `p0sp2`.
fn place(entry: &TableEntry, number: u32) -> String {
    let Some(leaf) = leaf(entry, number) else {
        return String::new();
    };
    match leaf.sub {
        Some(sub) => format!("p{}sp{sub}", leaf.part),
        None => format!("p{}", leaf.part),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const fn kind(entry: &TableEntry) -> &'static str {
    match (&entry.standing, entry.kind) {
        (Standing::Absent | Standing::Forgotten, _) => "ABSENT",
        (_, TableKind::Everywhere) => "EVERYWHERE",
        (_, TableKind::Stored) => "USER TABLE",
    }
}

const fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Exact => "exact",
        Certainty::Superset => "superset",
        Certainty::Unknown => "unknown",
    }
}

const fn role(share: &Share) -> &'static str {
    match (share.leads, share.holds) {
        (0, 0) => "none",
        (0, _) => "follower",
        _ => "leader",
    }
}

const fn replica_type(kind: ReplicaKind) -> &'static str {
    match kind {
        ReplicaKind::Full => "FULL",
        ReplicaKind::ReadOnly => "READONLY",
        ReplicaKind::Silent => "LOGONLY",
    }
}

const fn block(block: Block) -> &'static str {
    match block {
        Block::Gray => "gray",
        Block::Black => "black",
    }
}

/// The level of a statement, and what decided it.
const fn consistency(level: Consistency) -> (&'static str, &'static str) {
    match level {
        Consistency::Weak(by) => (
            "weak",
            match by {
                WeakBy::Hint => "hint",
                WeakBy::Variable => "ob_read_consistency",
                WeakBy::Split => "enable_read_write_split",
            },
        ),
        Consistency::Strong(by) => (
            "strong",
            match by {
                StrongBy::SeveralStatements => "several_statements",
                StrongBy::WrittenBefore => "written_before",
                StrongBy::NotARead => "not_a_read",
                StrongBy::Hint => "hint",
                StrongBy::ForceMaster => "force_master",
                StrongBy::Locking => "locking",
                StrongBy::Server => "server",
                StrongBy::Default => "default",
            },
        ),
    }
}

/// The class of the statement, in one word.
const fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Empty => "EMPTY",
        Verb::Other => "OTHER",
        Verb::Select => "SELECT",
        Verb::Insert => "INSERT",
        Verb::Replace => "REPLACE",
        Verb::Update => "UPDATE",
        Verb::Delete => "DELETE",
        Verb::Merge => "MERGE",
        Verb::LoadData => "LOAD_DATA",
        Verb::Call => "CALL",
        Verb::Begin => "BEGIN",
        Verb::Commit => "COMMIT",
        Verb::Rollback => "ROLLBACK",
        Verb::Savepoint => "SAVEPOINT",
        Verb::Xa => "XA",
        Verb::Set => "SET",
        Verb::Use => "USE",
        Verb::Show => "SHOW",
        Verb::Describe => "DESCRIBE",
        Verb::Help => "HELP",
        Verb::Kill => "KILL",
        Verb::Ddl => "DDL",
        Verb::Prepare => "PREPARE",
        Verb::Execute => "EXECUTE",
        Verb::Deallocate => "DEALLOCATE",
        Verb::LockTables => "LOCK_TABLES",
        Verb::UnlockTables => "UNLOCK_TABLES",
        Verb::Do => "DO",
        Verb::Handler => "HANDLER",
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
