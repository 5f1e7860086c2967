//! From a statement as it was read to its server: one look-up for each table, then the choice.

use super::choose::{Asked, Target, Touched, View, choose};
use super::{
    Choice, Consistency, Found, Reason, Standing, TableEntry, TableKind, TableName, Tables, targets,
};
use crate::base::Tick;
use crate::partition::{self, Answer, Certainty, Context};
use crate::sql::{NameParts, NoteKey, Origin, Scan, Verb, bare_name};
use smallvec::SmallVec;
use std::net::SocketAddr;

/// A statement on its way, and what its session knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Its text.
    pub text: &'a [u8],
    /// What a scan of it found.
    pub scan: &'a Scan,
    /// The session, with the current database.
    pub context: &'a Context<'a>,
    /// The name of its cluster.
    pub cluster: &'a str,
    /// The name of its tenant.
    pub tenant: &'a [u8],
    /// Whether it must see the newest rows.
    pub consistency: Consistency,
    /// The transaction has written to a replicated table.
    pub has_written_dup: bool,
    /// The server that it must go to for a reason of the session: its transaction, a lock, a
    /// cursor, a forced address.
    pub pin: Option<(SocketAddr, Reason)>,
    /// The server of the session's last statement.
    pub current: Option<SocketAddr>,
    /// Servers that were tried for it in vain.
    pub tried: &'a [SocketAddr],
    /// It has waited for locations as long as it may.
    pub is_impatient: bool,
    /// Another number for each statement: all randomness comes from it.
    pub seed: u64,
}

/// The entry that a statement went by, and where its server stands in it.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The entry: of the first located table.
    pub entry: &'a TableEntry,
    /// The only leaf of it that is touched.
    pub leaf: Option<u32>,
    /// The server leads all touched leaves.
    pub is_to_leader: bool,
    /// Some of them have a leader.
    pub has_leader: bool,
    /// The server holds all of them.
    pub is_to_holder: bool,
}

impl<'a> Located<'a> {
    /// The entry says that there is no such table.
    const fn nowhere(entry: &'a TableEntry) -> Self {
        Self {
            entry,
            leaf: None,
            is_to_leader: false,
            has_leader: false,
            is_to_holder: false,
        }
    }
}

/// What becomes of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Routed<'a> {
    /// It goes there.
    To(Choice, Option<Located<'a>>),
    /// It waits for what is known of a table.
    Wait {
        /// The table.
        name: TableName<'a>,
        /// Until when; `None`: it has to be asked for, and [`Tables::ask`] says until when.
        until: Option<Tick>,
    },
    /// It cannot go anywhere, for this reason.
    Nowhere(Reason),
}

/// Tables of a statement; more need memory of their own.
const TABLES: usize = 8;

/// The server of a statement. A session calls it again when an answer comes that it waits for, and
/// with [`Statement::is_impatient`] when the time is over.
#[must_use]
pub fn route<'a>(
    now: Tick,
    tables: &'a Tables,
    view: &View<'_>,
    statement: &Statement<'a>,
) -> Routed<'a> {
    if let Some((server, reason)) = statement.pin {
        return Routed::To(Choice::of(server, reason), None);
    }
    let known = first_table(now, tables, statement);
    if let Some(entry) = known
        && let Some((server, leaf)) = leader(view, statement, entry)
    {
        let located = Located {
            entry,
            leaf: Some(leaf),
            is_to_leader: true,
            has_leader: true,
            is_to_holder: true,
        };
        return Routed::To(Choice::of(*server, Reason::Leader), Some(located));
    }
    route_at_length(now, tables, view, statement, known)
}

/// The same for all that is not that frequent; apart, so that the short way saves few registers.
#[inline(never)]
fn route_at_length<'a>(
    now: Tick,
    tables: &'a Tables,
    view: &View<'_>,
    statement: &Statement<'a>,
    known: Option<&'a TableEntry>,
) -> Routed<'a> {
    let scan = statement.scan;
    let noted = match noted(now, tables, statement) {
        Ok(noted) => noted,
        Err(wait) => return wait,
    };
    let mut without = match scan.is_whole() {
        true => Reason::NoTable,
        false => Reason::Unparsed,
    };
    let mut entries: SmallVec<[Option<&TableEntry>; TABLES]> = SmallVec::new();
    let mut is_located = false;
    let mut absent = None;
    let named = match noted {
        Some(_) => Default::default(),
        None => scan.tables.as_slice(),
    };
    for table in named {
        let name = match table.origin {
            // What is defined now is located afterwards.
            _ if scan.verb == Verb::Ddl => None,
            Origin::Stored if !table.is_remote => name(statement, table.name.of(statement.text)),
            _ => None,
        };
        let entry = match name {
            Some(_) if entries.is_empty() && known.is_some() => known,
            Some(name) => match look_up(now, tables, statement, name, &mut without) {
                Ok(entry) => {
                    absent = absent.or_else(|| entry.filter(|entry| !entry.is_located()));
                    entry.filter(|entry| entry.is_located())
                }
                Err(wait) => return wait,
            },
            None => None,
        };
        is_located |= entry.is_some();
        entries.push(entry);
    }
    let mut touched: SmallVec<[Target<'_>; TABLES]> = noted.into_iter().collect();
    if is_located {
        let described: SmallVec<[_; TABLES]> = entries
            .iter()
            .map(|e| e.and_then(|e| e.partitions.as_deref()))
            .collect();
        let request = partition::Request {
            text: statement.text,
            scan,
            tables: &described,
            context: statement.context,
        };
        for (index, entry) in entries.iter().enumerate() {
            let Some(entry) = *entry else { continue };
            let touched_leaves = match entry.locations.leaves().len() {
                1 => Touched::Only(0),
                _ if !view.preferences.calculates => Touched::Unknown,
                _ => leaves(&request, index),
            };
            touched.push(Target {
                entry,
                touched: touched_leaves,
            });
        }
    }
    let forced = forced(statement);
    let is_read = scan.verb == Verb::Select && !scan.facts.is_locking && !scan.facts.is_multi;
    let asked = Asked {
        is_weak: statement.consistency.is_weak(),
        is_plain_read: is_read,
        fits_readonly_zone: fits_readonly_zone(scan),
        has_written_dup: statement.has_written_dup,
        without_table: without,
        targets: match forced.is_empty() {
            true => &view.preferences.targets,
            false => &forced,
        },
        current: statement.current,
        tried: statement.tried,
        seed: statement.seed,
    };
    match choose(view, &asked, &touched) {
        Ok(choice) => {
            let first = touched.first();
            let located = first.map(|target| located(target, choice.server));
            let unlocated = || absent.filter(|_| choice.reason == Reason::TableAbsent);
            Routed::To(
                choice,
                located.or_else(|| unlocated().map(Located::nowhere)),
            )
        }
        Err(reason) => Routed::Nowhere(reason),
    }
}

/// The tables that a statement gives a new definition, as database and name; of a database as a
/// whole the name is empty. Names without a database are of `database`.
pub fn defined<'a>(
    text: &'a [u8],
    scan: &'a Scan,
    database: &'a [u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let is_temporary = scan.facts.is_temporary || scan.facts.drops_temporary;
    let is_meant = scan.verb == Verb::Ddl && !is_temporary;
    let tables = scan.tables.iter().filter(move |_| is_meant);
    let tables = tables.map(move |table| split(table.name.of(text), database));
    let is_whole = is_meant && scan.tables.is_empty() && !scan.subject.is_empty();
    let whole = is_whole.then(|| (bare_name(scan.subject.of(text)), &b""[..]));
    tables
        .chain(whole)
        .filter(|(database, _)| !database.is_empty())
}

/// Where a server stands in the entry of a target.
fn located<'a>(target: &Target<'a>, server: SocketAddr) -> Located<'a> {
    let shares = target.shares();
    let own = shares.iter().find(|(s, _)| *s == server);
    let share = own.map(|(_, share)| *share).unwrap_or_default();
    let leaves = target.leaf_count();
    Located {
        entry: target.entry,
        leaf: match target.touched {
            Touched::Only(leaf) => Some(leaf),
            _ => None,
        },
        is_to_leader: share.leads == leaves,
        has_leader: shares.iter().any(|(_, share)| share.leads > 0),
        is_to_holder: share.holds == leaves,
    }
}

/// The only table of a statement that names nothing but it, if it is known and in doubt by nobody.
fn first_table<'t>(
    now: Tick,
    tables: &'t Tables,
    statement: &Statement<'_>,
) -> Option<&'t TableEntry> {
    let [table] = statement.scan.tables.as_slice() else {
        return None;
    };
    if table.origin != Origin::Stored || table.is_remote {
        return None;
    }
    let written = table.name.of(statement.text);
    let (database, name) = match table.is_bare {
        true => (statement.context.database, written),
        false => split(written, statement.context.database),
    };
    if database.is_empty() {
        return None;
    }
    let name = TableName {
        cluster: statement.cluster,
        tenant: statement.tenant,
        database,
        name,
    };
    let entry = tables.fresh(now, &name)?;
    entry.is_located().then_some(entry)
}

/// The most frequent way, in short: a strong statement, one leaf, and its leader can be used. The
/// long way gives the same.
fn leader<'t>(
    view: &View<'_>,
    statement: &Statement<'_>,
    entry: &'t TableEntry,
) -> Option<(&'t SocketAddr, u32)> {
    let prefers = view.preferences;
    if statement.consistency.is_weak()
        || entry.is_dup
        || !prefers.targets.is_empty()
        || !prefers.proxy_primary_zone.is_empty()
        || !statement.scan.hints.notes.is_empty()
    {
        return None;
    }
    let leaf = match entry.locations.leaves().len() {
        1 => 0,
        _ if !prefers.calculates => return None,
        _ => {
            let table = entry.partitions.as_deref()?;
            partition::only_leaf(statement.text, statement.scan, statement.context, table)?
        }
    };
    let server = entry.locations.leader_in_place(leaf)?;
    // Nearly always none was tried: no call for that.
    let is_new = statement.tried.is_empty() || !statement.tried.contains(server);
    (is_new && view.blocks.of(server).is_none()).then_some((server, leaf))
}

/// The table and the leaves that a comment of the statement names, as if it were about them alone.
fn noted<'t, 'a>(
    now: Tick,
    tables: &'t Tables,
    statement: &Statement<'a>,
) -> Result<Option<Target<'t>>, Routed<'a>> {
    let hints = &statement.scan.hints;
    let text = statement.text;
    let (Some(table), Some(key)) = (hints.note(NoteKey::TableName), hints.note(NoteKey::PartKey))
    else {
        return Ok(None);
    };
    let Some(name) = name(statement, table.of(text).trim_ascii()) else {
        return Ok(None);
    };
    let mut without = Reason::NoTable;
    let known = look_up(now, tables, statement, name, &mut without)?;
    let Some(entry) = known.filter(|entry| entry.is_located()) else {
        return Ok(None);
    };
    let touched = match (entry.locations.leaves().len(), entry.partitions.as_deref()) {
        (1, _) => Touched::Only(0),
        (_, Some(partitions)) => {
            let context = statement.context;
            touched(partition::leaves_of_note(partitions, key.of(text), context))
        }
        (_, None) => Touched::Unknown,
    };
    Ok(Some(Target { entry, touched }))
}

/// What is known of a table; if it has no location that would help, `without` says why.
fn look_up<'t, 'a>(
    now: Tick,
    tables: &'t Tables,
    statement: &Statement<'_>,
    name: TableName<'a>,
    without: &mut Reason,
) -> Result<Option<&'t TableEntry>, Routed<'a>> {
    let known = match tables.find(now, &name) {
        Found::Fresh(entry) => Some(entry),
        Found::Due(stale) if statement.is_impatient => stale,
        Found::Asked { stale, until } if statement.is_impatient || until <= now => stale,
        Found::Due(_) => return Err(Routed::Wait { name, until: None }),
        Found::Asked { until, .. } => {
            let until = Some(until);
            return Err(Routed::Wait { name, until });
        }
    };
    let Some(entry) = known else {
        *without = Reason::LocationPending;
        return Ok(None);
    };
    if entry.is_located() {
        return Ok(Some(entry));
    }
    *without = match (&entry.standing, entry.kind) {
        (_, TableKind::Everywhere) => Reason::NoLocation,
        (Standing::Unanswered { .. }, _) => Reason::LocationFailed,
        _ => Reason::TableAbsent,
    };
    Ok(Some(entry))
}

/// The whole name of a table; `None` without a database.
pub(super) fn name<'a>(statement: &Statement<'a>, written: &'a [u8]) -> Option<TableName<'a>> {
    let (database, name) = split(written, statement.context.database);
    (!database.is_empty()).then_some(TableName {
        cluster: statement.cluster,
        tenant: statement.tenant,
        database,
        name,
    })
}

/// Database and name of a table as it is written; without a database it is of this one.
fn split<'a>(written: &'a [u8], database: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    if written.iter().all(is_plain) {
        return (database, written);
    }
    let parts = NameParts::of(written);
    let database = parts.qualifier().map_or(database, bare_name);
    (database, bare_name(parts.last()))
}

fn leaves(request: &partition::Request<'_>, index: usize) -> Touched {
    partition::leaves(request, index).map_or(Touched::Unknown, touched)
}

fn touched(answer: Answer) -> Touched {
    match (answer.certainty, answer.leaves.only()) {
        (Certainty::Unknown, _) => Touched::Unknown,
        (_, Some(only)) => Touched::Only(only),
        (Certainty::Exact, _) if answer.leaves.is_all() => Touched::All,
        _ if answer.leaves.is_all() => Touched::Unknown,
        _ => Touched::Set(answer.leaves),
    }
}

/// The servers that a comment of the statement names.
pub(super) fn forced(statement: &Statement<'_>) -> SmallVec<[SocketAddr; 4]> {
    let note = statement.scan.hints.note(NoteKey::TargetServer);
    let text = note.map(|span| span.of(statement.text));
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    text.into_iter().flat_map(targets).collect()
}

/// True for what can be answered without the leaders' zones: SELECT without tables, SET, USE, SHOW
/// and the like.
fn fits_readonly_zone(scan: &Scan) -> bool {
    match scan.verb {
        Verb::Select => scan.tables.is_empty(),
        Verb::Set | Verb::Use | Verb::Show | Verb::Describe | Verb::Help | Verb::Empty => true,
        _ => false,
    }
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
