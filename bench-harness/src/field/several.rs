//! Field cases on three servers, with each statement sent to a server at random.

use super::same::{Want, expect};
use super::{Case, DB, Field, Plan, cases, check};
use crate::checks::{Saw, ensure};
use crate::clock::{Deadline, wait_for};
use crate::params::{P, params};
use crate::random::{RANDOM, World};
use crate::raw::{Conn, Got, Login};
use crate::session::{Run, Session};
use obcluster::{Change, Kind};
use std::collections::BTreeMap;

/// A case on three servers.
#[derive(Clone, Copy, Debug)]
pub struct Several {
    /// `F001` to `F107`.
    pub id: &'static str,
    /// What must not go wrong, in a few words.
    pub title: &'static str,
    /// The check.
    pub check: fn(&Field) -> Saw,
}

/// Cases that must hold where statements go to three servers at random.
const SAME: &[&str] = &[
    "F003", "F004", "F005", "F006", "F008", "F009", "F012", "F013", "F014", "F015", "F016", "F017",
    "F018", "F019", "F021", "F022", "F023", "F024", "F026", "F027", "F028", "F029", "F031", "F032",
    "F034", "F035", "F036", "F043", "F044", "F076", "F104", "F105", "F106", "F107",
];

/// Cases that only several servers can show.
pub(super) const CASES: &[Case] = &[
    check(
        "F009",
        "an idle link dies while rows stream",
        idle_link_dies,
    ),
    check("F018", "a prepared statement follows its session", follows),
    check(
        "F076",
        "server connections stay within the settings",
        few_links,
    ),
];

/// A case that needs more on several servers.
const OWN: &[Several] = &[Several {
    id: "F030",
    title: "a cut server link is never a blank session",
    check: cut,
}];

/// The cases that need a session with links to several servers, which are run
/// where obring has `server_routing_mode=random`.
#[must_use]
pub fn needs_c1() -> Vec<Several> {
    let all = cases();
    let same = all.iter().filter(|case| SAME.contains(&case.id));
    let same = same.filter_map(|case| match case.plan {
        Plan::Check(check) | Plan::Part(check, _) => Some(Several {
            id: case.id,
            title: case.title,
            check,
        }),
        Plan::Later(_) => None,
    });
    same.chain(OWN.iter().copied()).collect()
}

fn world(field: &Field) -> Result<World, String> {
    World::start(&field.setup, &[RANDOM])
}

fn login(world: &World) -> Login {
    let user = format!("root{}", world.through().tenant);
    Login::user(&user, "").db(DB)
}

/// A recorded session; nobody compares the record.
fn session(world: &World) -> Session {
    Run::new(world.proxy.address()).login("a", &login(world))
}

/// Runs statements until the session's have been on every server.
fn spread(world: &World, mut run: impl FnMut(usize) -> Result<(), String>) -> Result<(), String> {
    let since = world.cluster.log_next();
    for n in 0..100 {
        run(n)?;
    }
    let log = world.cluster.log_since(since);
    let mine = log
        .iter()
        .filter(|e| e.tenant == "test" && e.kind == Kind::Request);
    let servers: std::collections::BTreeSet<u32> = mine.map(|e| e.server_id).collect();
    ensure(servers.len() == 3, || format!("only servers {servers:?}"))
}

/// F009: the rows come whole, the loss of the other server is not noticed.
fn idle_link_dies(field: &Field) -> Saw {
    let world = world(field)?;
    let mut c = Conn::login(world.proxy.address(), &login(&world))?;
    spread(&world, |n| c.cell(&format!("select {n} as n")).map(drop))?;
    let id = c.cell("select connection_id() as c")?;
    let sql = "select a.n, repeat('z', 2000) as z from sq a, sq b, sq c, sq d where 9009 = 9009";
    let since = world.cluster.log_next();
    c.query(sql).map_err(|e| e.to_string())?;
    let first = c.receive();
    ensure(first.packet().is_some() && first.error().is_none(), || {
        format!("{first:?}")
    })?;
    let log = world.cluster.log_since(since);
    let run = log.iter().find(|e| e.sql == sql).ok_or("not in the log")?;
    let other = 1 + run.server_id % 3;
    let kill = Change::Kill(other);
    world.cluster.change(&kill).map_err(|e| e.to_string())?;
    let (mut ends, mut rows) = (0, 0);
    while ends < 2 {
        let got = c.receive();
        ensure(got.error().is_none(), || {
            format!("after {rows} rows: {got:?}")
        })?;
        let packet = got
            .packet()
            .ok_or_else(|| format!("after {rows} rows: {got:?}"))?;
        let is_end = packet.payload.first() == Some(&0xFE) && packet.payload.len() < 9;
        rows += usize::from(ends == 1 && !is_end);
        ends += usize::from(is_end);
    }
    ensure(rows == 10_000, || format!("{rows} rows"))?;
    for _ in 0..12 {
        let now = c.cell("select connection_id() as c")?;
        ensure(now == id, || format!("connection {id} became {now}"))?;
    }
    Ok(format!(
        "server {} ran it, server {other} died: 10000 rows",
        run.server_id
    ))
}

/// F018: at most one PREPARE per server, no 1243, whoever leads.
fn follows(field: &Field) -> Saw {
    let world = world(field)?;
    let mut s = session(&world);
    s.prepare("select v from kv where id=?");
    let id = s.statement;
    for n in 0..field.count(60, 600) {
        if n % 10 == 0 {
            let change = Change::Lead {
                tenant: "test".into(),
                stream: 1001,
                server: Some(1 + n % 3),
            };
            world.cluster.change(&change).map_err(|e| e.to_string())?;
        }
        let key = P::Big(i64::from(1 + n % 16));
        let got = s.execute_id(id, 0, &params(&[key], true));
        let error = got.iter().find_map(Got::error);
        ensure(error.is_none() && got.len() == 5, || {
            format!("execute {n}: {got:?}")
        })?;
    }
    let (mut prepares, mut executes) = (BTreeMap::new(), BTreeMap::new());
    for e in world.cluster.log_since(0) {
        let by = match e.cmd.as_str() {
            "stmt_prepare" => &mut prepares,
            "stmt_execute" => &mut executes,
            _ => continue,
        };
        *by.entry(e.link).or_insert(0) += 1;
    }
    let said = format!("prepared by link {prepares:?}, executed {executes:?}");
    let is_good = executes.len() == 3 && prepares.values().all(|n| *n == 1);
    if is_good { Ok(said) } else { Err(said) }
}

/// F030: all state is as before the cut.
fn cut(field: &Field) -> Saw {
    let world = world(field)?;
    let mut s = session(&world);
    for sql in [
        "set @p=42",
        "use obring_field",
        "set sql_mode='ANSI_QUOTES'",
    ] {
        expect(sql, &s.q(sql), Want::Ok)?;
    }
    for n in 0..field.count(6, 60) {
        world.cluster.cut_links(|l| l.tenant == "test");
        let sql = "select @p as p, database() as d, @@sql_mode as m";
        expect(sql, &s.q(sql), Want::Row("42 obring_field ANSI_QUOTES"))
            .map_err(|e| format!("cut {n}: {e}"))?;
        let sql = "select \"id\" from kv where \"id\"=1";
        expect(sql, &s.q(sql), Want::Row("1"))?;
    }
    Ok("as before, after each cut".into())
}

/// F076: three links per client at most, none when they are gone.
fn few_links(field: &Field) -> Saw {
    let world = world(field)?;
    let count = field.count(30, 500) as usize;
    let links = |world: &World| {
        let list = world.cluster.links();
        list.iter().filter(|l| l.tenant == "test").count()
    };
    let mut most = 0;
    for round in 0..field.count(2, 20) {
        let login = login(&world);
        let mut clients = vec![];
        for _ in 0..count {
            clients.push(Conn::login(world.proxy.address(), &login)?);
        }
        for n in 0..6 {
            for c in &mut clients {
                c.run(&format!("set @n = {n}, wait_timeout = {}", 100 + n + round))?;
                c.cell("select @n as n")?;
            }
            most = most.max(links(&world));
        }
        for mut c in clients {
            c.send(&[1], 0).map_err(|e| e.to_string())?;
        }
        wait_for(Deadline::secs(20), "no links", || {
            (links(&world) == 0).then_some(())
        })?;
    }
    let said = format!("at most {most} links for {count} clients, 0 behind them");
    if most <= 3 * count {
        Ok(said)
    } else {
        Err(said)
    }
}
