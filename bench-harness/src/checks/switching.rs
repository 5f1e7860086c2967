//! What it costs to run a statement on another server of the session, counted by the model: its
//! log says which requests came, and which of them came without waiting for a reply.

use super::{Saw, Setup, ensure};
use crate::params::{P, params};
use crate::random::{RANDOM, ServerFraming, World};
use crate::raw::{Got, Login};
use crate::session::{Reach, Run, Session};
use obcluster::{Entry, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// Statements until every server has had some.
const WARM: usize = 120;
/// Statements that are measured.
const MEASURED: usize = 90;
/// Extra round trips of a switch with 10 changed variables and 3 prepared statements.
const EXTRA_MAX: usize = 1;

/// Requests of one statement's switch, and how many of them were waited for.
type Cost = (usize, usize);

/// A session in front of three servers to which statements go at random.
struct Rig {
    world: World,
    session: Session,
    /// `__proxy_connection_id` of the session.
    sid: String,
    /// Link of the statement before.
    link: u64,
    costs: BTreeMap<Cost, usize>,
}

impl Rig {
    fn start(setup: &Setup, framing: &ServerFraming) -> Result<Self, String> {
        let settings = [framing.settings, &[RANDOM]].concat();
        let world = World::start(setup, &settings)?;
        let user = format!("root{}", world.through().tenant);
        let login = Login::user(&user, "").db(world.db());
        let mut session = Run::new(world.proxy.address()).login("a", &login);
        let since = world.cluster.log_next();
        session.q("select 'who am i' as w");
        let log = world.cluster.log_since(since);
        let mine = log.iter().find(|e| e.sql.contains("who am i"));
        let mine = mine.ok_or("the statement is not in the log")?;
        Ok(Self {
            sid: mine.proxy_sid.clone(),
            link: mine.link,
            world,
            session,
            costs: BTreeMap::new(),
        })
    }

    /// Requests of the session since then.
    fn mine(&self, since: u64) -> Vec<Entry> {
        let mut log = self.world.cluster.log_since(since);
        log.retain(|e| e.proxy_sid == self.sid && e.kind != Kind::Control);
        log
    }

    /// Statements without anything new, until all servers have a link.
    fn warm(&mut self) -> Result<(), String> {
        let since = self.world.cluster.log_next();
        for n in 0..WARM {
            self.session.q(&format!("select {n} as n"));
        }
        let log = self.mine(since);
        self.link = log.last().map_or(self.link, |e| e.link);
        let servers: BTreeSet<u32> = log.iter().map(|e| e.server_id).collect();
        ensure(servers.len() == 3, || {
            format!("{WARM} statements went to servers {servers:?} only")
        })
    }

    /// Does something, and counts what it cost if it was a switch to a link that stood already.
    fn measure(&mut self, what: impl FnOnce(&mut Session) -> Vec<Got>) -> Result<(), String> {
        let since = self.world.cluster.log_next();
        let got = what(&mut self.session);
        let error = got.iter().find_map(Got::error);
        ensure(error.is_none() && !got.is_empty(), || format!("{got:?}"))?;
        let log = self.mine(since);
        let last = log.last().ok_or("nothing is in the log")?;
        let is_new = log
            .iter()
            .any(|e| e.kind == Kind::Login && e.link == last.link);
        if last.link != self.link && !is_new {
            let here = log.iter().filter(|e| e.link == last.link);
            let waits = here.clone().filter(|e| !e.came_early).count();
            *self.costs.entry((here.count(), waits)).or_default() += 1;
        }
        self.link = last.link;
        Ok(())
    }

    /// `Ok` if no switch had more extra requests and extra waits than these.
    fn judge(&self, requests_max: usize, waits_max: usize) -> Saw {
        let mut said = vec![];
        for ((requests, waits), count) in &self.costs {
            said.push(format!(
                "{count} switches of {requests} requests, {waits} round trips"
            ));
        }
        let is_good =
            |(requests, waits): &Cost| *requests <= requests_max + 1 && *waits <= waits_max + 1;
        let said = said.join("; ");
        match !self.costs.is_empty() && self.costs.keys().all(is_good) {
            true => Ok(said),
            false if said.is_empty() => Err("there was no switch".into()),
            false => Err(said),
        }
    }
}

/// Ten variables of a session, with a value that changes. User variables are set to literals:
/// others bind the statements that use them.
fn ten(n: usize) -> String {
    format!(
        "set wait_timeout = {}, net_write_timeout = {}, net_read_timeout = {}, \
         lock_wait_timeout = {}, group_concat_max_len = {}, interactive_timeout = {}, \
         @a = {n}, @b = 'b{n}', @c = {n}.5, @d = 'd{n}'",
        500 + n,
        60 + n,
        30 + n,
        40 + n,
        1_000 + n,
        700 + n
    )
}

/// Ten variables change and three statements are prepared anew before each read: at most one round
/// trip more than on the server of the statement before.
///
/// # Errors
/// More, or no switch at all.
pub fn switch_with_state(setup: &Setup, framing: &ServerFraming) -> Saw {
    let mut rig = Rig::start(setup, framing)?;
    rig.warm()?;
    let mut ids = vec![];
    for n in 0..MEASURED / 3 {
        rig.session.q(&ten(n));
        for id in ids.drain(..) {
            rig.session.by_id(0x19, id, b"", Reach::Nothing);
        }
        for text in ["@a", "@b", "@@wait_timeout"] {
            rig.session
                .prepare(&format!("select ? + {n} as n, {text} as t"));
            ids.push(rig.session.statement);
        }
        // Links that had the last word before what is measured.
        rig.link = rig.mine(0).last().map_or(rig.link, |e| e.link);
        for id in &ids {
            let body = params(&[P::Long(7)], true);
            rig.measure(|s| s.execute_id(*id, 0, &body))?;
        }
    }
    // A variable in a SET, and the statement that is prepared there: the statement's own apart.
    rig.judge(usize::MAX - 1, EXTRA_MAX)
}

/// Nothing has changed since all servers had it: a switch costs nothing.
///
/// # Errors
/// It costs something, or there is no switch at all.
pub fn switch_without_state(setup: &Setup, framing: &ServerFraming) -> Saw {
    let mut rig = Rig::start(setup, framing)?;
    rig.session.q(&ten(1));
    rig.warm()?;
    for n in 0..MEASURED {
        rig.measure(|s| s.q(&format!("select {n} as m, @a as a")))?;
    }
    rig.judge(0, 0)
}

/// Fifty statements are open, each runs on every server; each link has had each of them once, and
/// lost it at the CLOSE.
///
/// # Errors
/// What was refused, prepared twice, or is still open.
pub fn open_statements(setup: &Setup, framing: &ServerFraming) -> Saw {
    /// Of a connection: `open_cursors`.
    const OPEN_MAX: usize = 50;
    let mut rig = Rig::start(setup, framing)?;
    let since = rig.world.cluster.log_next();
    let mut ids = vec![];
    let fine = |what: &str, got: &[Got]| {
        let error = got.iter().find_map(Got::error);
        ensure(error.is_none() && !got.is_empty(), || {
            format!("{what}: {got:?}")
        })
    };
    for n in 0..OPEN_MAX {
        let got = rig.session.prepare(&format!("select {n} + ? as n"));
        fine(&format!("prepare {n}"), &got)?;
        ids.push(rig.session.statement);
    }
    for round in 0..8 {
        for id in &ids {
            let got = rig
                .session
                .execute_id(*id, 0, &params(&[P::Long(round)], true));
            fine(&format!("execute {id}"), &got)?;
        }
    }
    let count = |rig: &Rig, cmd: &str| -> BTreeMap<u64, usize> {
        let mut by_link = BTreeMap::new();
        let log = rig.mine(since);
        for e in log.iter().filter(|e| e.cmd == cmd && e.errno == 0) {
            *by_link.entry(e.link).or_default() += 1;
        }
        by_link
    };
    let prepared = count(&rig, "stmt_prepare");
    ensure(prepared.len() == 3, || {
        format!("prepared on {} links", prepared.len())
    })?;
    let is_once = prepared.values().all(|n| *n <= OPEN_MAX);
    ensure(is_once, || format!("prepared by link: {prepared:?}"))?;
    for id in &ids {
        rig.session.by_id(0x19, *id, b"", Reach::Nothing);
    }
    // A link may hear of it with the next request that goes there.
    rig.warm()?;
    let closed = count(&rig, "stmt_close");
    ensure(closed == prepared, || {
        format!("prepared {prepared:?}, closed {closed:?}")
    })?;
    let got = rig
        .session
        .execute_id(ids[0], 0, &params(&[P::Long(1)], true));
    let code = got.first().and_then(Got::error).map(|e| e.0);
    ensure(code == Some(1243), || format!("a closed one: {got:?}"))?;
    Ok(format!(
        "prepared and closed by link: {:?}; then 1243",
        prepared.values()
    ))
}

/// BEGIN goes nowhere by itself: the server of the statement behind it is told, and has all of the
/// transaction.
///
/// # Errors
/// A server heard of it early, or not all went to one.
pub fn begin_waits(setup: &Setup, framing: &ServerFraming) -> Saw {
    const ROUNDS: usize = 24;
    let mut rig = Rig::start(setup, framing)?;
    for sql in [
        "create table if not exists begun(id int primary key, n int)",
        "replace into begun values(1, 1), (2, 2)",
    ] {
        let got = rig.session.q(sql);
        ensure(got.first().is_some_and(Got::is_ok), || format!("{got:?}"))?;
    }
    rig.warm()?;
    let mut servers = BTreeSet::new();
    for round in 0..ROUNDS {
        let since = rig.world.cluster.log_next();
        let begin = ["begin", "start transaction", "BEGIN /* x */ WORK"][round % 3];
        rig.session.q(begin);
        let log = rig.mine(since);
        ensure(log.is_empty(), || format!("{begin} was sent: {log:?}"))?;
        rig.session
            .q("update begun set n = n + 1 where id in (1, 2)");
        rig.session.q("select n from begun where id = 2");
        rig.session.q(["commit", "rollback"][round % 2]);
        let log = rig.mine(since);
        let is_one = log.windows(2).all(|two| two[0].link == two[1].link);
        let told: Vec<&str> = log.iter().map(|e| &*e.sql).collect();
        ensure(is_one && told.len() == 4 && told[0] == begin, || {
            format!("{begin}, then: {log:?}")
        })?;
        servers.extend(log.first().map(|e| e.server_id));
    }
    ensure(servers.len() > 1, || format!("servers {servers:?} only"))?;
    Ok(format!("{ROUNDS} transactions, on servers {servers:?}"))
}

/// What an open statement costs in memory, and that it is counted.
///
/// # Errors
/// It costs too much, or no counter knows of it.
pub fn statement_memory(setup: &Setup, framing: &ServerFraming) -> Saw {
    const SESSIONS: usize = 60;
    const STATEMENTS: usize = 50;
    /// Bytes of the text of each.
    const TEXT: usize = 2_000;
    /// More than twice the text is not needed to keep it.
    const COST_MAX: u64 = 2 * TEXT as u64 + 1_024;
    let settings = [framing.settings, &[RANDOM]].concat();
    let world = World::start(setup, &settings)?;
    let user = format!("root{}", world.through().tenant);
    let run = Run::new(world.proxy.address());
    let login = Login::user(&user, "");
    let mut sessions: Vec<Session> = (0..SESSIONS).map(|_| run.login("a", &login)).collect();
    for s in &mut sessions {
        s.q("select 1 as n");
    }
    let before = world.proxy.rss_kib();
    for s in &mut sessions {
        for n in 0..STATEMENTS {
            let got = s.prepare(&format!("select {n} as n, '{}' as t", "x".repeat(TEXT)));
            let error = got.iter().find_map(Got::error);
            ensure(error.is_none(), || format!("prepare {n}: {error:?}"))?;
        }
    }
    let each =
        (world.proxy.rss_kib().saturating_sub(before) << 10) / (SESSIONS * STATEMENTS) as u64;
    let admin_login = Login::user("root@proxysys", "");
    let mut admin = crate::raw::Conn::login(world.proxy.address(), &admin_login)?;
    let counted = [("%prepared%"), ("%statement%")].iter().find_map(|like| {
        let rows = admin.rows(&format!("show proxystat like '{like}'")).ok()?;
        let cells = rows
            .into_iter()
            .map(|row| row.into_iter().flatten().collect::<Vec<_>>());
        cells.into_iter().find(|row| {
            let value = row.get(1).and_then(|v| v.parse::<usize>().ok());
            value.is_some_and(|n| n >= SESSIONS * STATEMENTS)
        })
    });
    let said = format!("{each} bytes each, of which {TEXT} are text; counter {counted:?}");
    match each <= COST_MAX && counted.is_some() {
        true => Ok(said),
        false => Err(said),
    }
}
