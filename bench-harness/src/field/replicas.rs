//! Area weak reads and locations: which replica serves what, as the model's log tells.

use super::place::{Place, ROWS, TENANT, fails};
use super::{Case, Field, check};
use crate::checks::{Saw, ensure};
use crate::clock::{Deadline, Watch, wait_for};
use crate::params::{P, params};
use crate::raw::Login;
use crate::session::Run;
use obcluster::{Change, VerdictKind};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    check("F037", "a locking read runs on the leader", locking),
    check("F049", "locations after TRUNCATE", truncate),
    check("F051", "weak reads of one user", users),
    check(
        "F052",
        "weak reads when the local machine room is down",
        rooms,
    ),
    check("F053", "read your own writes", own_writes),
    check("F054", "weak reads inside a transaction", within),
    check("F101", "EXPLAIN ROUTE agrees with the run", explained),
];

const WEAK: &str = "set ob_read_consistency = weak";

/// F037: it runs on the leader, and locks.
fn locking(field: &Field) -> Saw {
    let place = Place::new(field, "locked")?;
    let leader = place.leader(1)?;
    let mut c = place.client()?;
    let mut other = place.client()?;
    other.run("set ob_query_timeout = 500000")?;
    c.run(WEAK)?;
    c.run("set autocommit = 0")?;
    let read = "select n from locked where id = 1 for update";
    let write = "update locked set n = 5 where id = 1";
    let mut told = vec![];
    for text in [read.to_owned(), format!("set autocommit = 0; {read}")] {
        c.query(&text).map_err(|e| e.to_string())?;
        let results = if text == read { 1 } else { 2 };
        for _ in 1..results {
            let got = c.receive();
            ensure(got.is_ok(), || format!("{text}: {got:?}"))?;
        }
        let rows = c.read_rows()?;
        ensure(rows.len() == 1, || format!("{text}: {rows:?}"))?;
        told.push(fails(&mut other, write)?);
        c.run("commit")?;
        other.run(write)?;
    }
    let ran = place.ran(read)?;
    ensure(ran == leader, || format!("on {ran}, led by {leader}"))?;
    Ok(format!("on its leader; others: {}", told.join(", ")))
}

/// F049: no error, and about each partition at most one statement goes astray.
fn truncate(field: &Field) -> Saw {
    let place = Place::new(field, "emptied")?;
    let login = Login::user(&format!("root@{TENANT}#obcluster"), "").db("field_places");
    let mut c = place.client()?;
    let mut s = Run::new(place.proxy.address()).login("a", &login);
    for id in 0..ROWS {
        c.cell(&format!("select n from emptied where id = {id}"))?;
    }
    s.prepare("select n from emptied where id = ?");
    place.client()?.run("truncate table emptied")?;
    let since = place.cluster.log_next();
    for id in 0..ROWS {
        c.run(&format!("insert into emptied values({id}, 1)"))?;
    }
    for id in 0..ROWS {
        c.cell(&format!("select n from emptied where id = {id}"))?;
    }
    for id in 0..ROWS {
        let body = params(&[P::Big(i64::from(id))], true);
        let got = s.execute_id(s.statement, 0, &body);
        let error = got.iter().find_map(crate::raw::Got::error);
        ensure(error.is_none() && got.len() == 5, || format!("{got:?}"))?;
    }
    let log = place.cluster.log_since(since);
    let judged = log.iter().filter(|e| e.verdict.kind == VerdictKind::Exact);
    let (mut right, mut astray) = (0, 0);
    for entry in judged {
        let mut leaders = entry.verdict.tables.iter().flat_map(|t| &t.leaders);
        match leaders.all(|leader| *leader == entry.server_id) {
            true => right += 1,
            false => astray += 1,
        }
    }
    let said = format!("{right} on their leaders, {astray} astray");
    let is_good = right >= ROWS && astray <= ROWS;
    if is_good { Ok(said) } else { Err(said) }
}

/// F051: plain reads of one user are spread, what it writes and locks is on the leader.
fn users(field: &Field) -> Saw {
    let list = [("weak_read_user_list", "field_report@test")];
    let mut place = Place::with(field, "reported", &list)?;
    for sql in [
        "create user if not exists field_report",
        "grant all on *.* to field_report",
    ] {
        place.kernel.run(sql)?;
    }
    let leader = place.leader(5)?;
    let reads = field.count(120, 300);
    let mut shares = vec![];
    for (user, text) in [("field_report", "report"), ("root", "app")] {
        let mut c = place.user(user)?;
        let sql = format!("select n from reported where id = 5 /* {text} */");
        let since = place.cluster.log_next();
        for _ in 0..reads {
            c.cell(&sql)?;
        }
        let ran = place.servers(since, &sql);
        let of = |server| ran.iter().filter(|s| **s == server).count();
        shares.push([1, 2, 3].map(of));
    }
    let [report, app] = [shares[0], shares[1]];
    let third = reads as usize / 3;
    ensure(
        report.iter().all(|n| *n > third / 2 && *n < third * 2),
        || format!("report's reads: {report:?}"),
    )?;
    ensure(app[leader as usize - 1] == reads as usize, || {
        format!("app's reads: {app:?}, led by {leader}")
    })?;
    let mut c = place.user("field_report")?;
    for sql in [
        "update reported set n = 1 where id = 5 /* report */",
        "select n from reported where id = 5 for update",
    ] {
        match sql.starts_with("select") {
            true => drop(c.cell(sql)?),
            false => c.run(sql)?,
        }
        let ran = place.ran(sql)?;
        ensure(ran == leader, || {
            format!("{sql}: on {ran}, led by {leader}")
        })?;
    }
    c.run("begin")?;
    c.cell("select n from reported where id = 5")?;
    c.run("commit")?;
    Ok(format!("report {report:?}, app {app:?}, led by {leader}"))
}

/// F052: the local server, else one of the region, else any; back when it is there again.
fn rooms(field: &Field) -> Saw {
    const READ: &str = "select /*+ read_consistency(weak) */ n from near where id = 1";
    let place = Place::with(field, "near", &[("proxy_idc_name", "i1")])?;
    for (zone, idc, region) in [("z1", "i1", "r1"), ("z2", "i2", "r1"), ("z3", "i3", "r2")] {
        place.change(&Change::Zone {
            zone: zone.into(),
            status: None,
            kind: None,
            idc: Some(idc.into()),
            region: Some(region.into()),
        })?;
    }
    let mut c = place.client()?;
    let stop = |server| Change::Stop {
        server,
        shutdown: false,
    };
    let steps = [
        (None, 1),
        (Some(stop(1)), 2),
        (Some(stop(2)), 3),
        (Some(Change::Start(2)), 2),
        (Some(Change::Start(1)), 1),
    ];
    let mut slowest = Duration::ZERO;
    for (change, want) in steps {
        if let Some(change) = &change {
            place.change(change)?;
        }
        let watch = Watch::start();
        // One may be there by chance.
        wait_for(Deadline::secs(10), "reads where they belong", || {
            let since = place.cluster.log_next();
            for _ in 0..20 {
                c.cell(READ).ok()?;
            }
            let ran = place.servers(since, READ);
            ran.iter().all(|server| *server == want).then_some(())
        })?;
        slowest = slowest.max(watch.elapsed());
        let since = place.cluster.log_next();
        for n in 0..field.count(60, 200) {
            c.cell(READ).map_err(|e| format!("{change:?}, {n}: {e}"))?;
        }
        let ran = place.servers(since, READ);
        ensure(ran.iter().all(|server| *server == want), || {
            format!("after {change:?}: {ran:?} instead of {want}")
        })?;
    }
    ensure(slowest <= Duration::from_secs(2), || {
        format!("known after {slowest:?}")
    })?;
    Ok(format!("1, 2, 3, 2, 1; known within {slowest:?}"))
}

/// F053: what was written is read.
fn own_writes(field: &Field) -> Saw {
    let place = Place::new(field, "own")?;
    let leader = place.leader(5)?;
    let mut c = place.client()?;
    let read = "select n from own where id = 5";
    let loops = field.count(200, 1_000);
    let since = place.cluster.log_next();
    for n in 1..=loops {
        c.run("update own set n = n + 1 where id = 5")?;
        let seen = c.cell(read)?;
        ensure(seen == n.to_string(), || format!("{seen} after {n} writes"))?;
    }
    let ran = place.servers(since, read);
    let is_there = ran.iter().all(|server| *server == leader);
    ensure(is_there && ran.len() == loops as usize, || {
        format!("led by {leader}: {ran:?}")
    })?;
    Ok(format!("{loops} writes, each read on the leader"))
}

/// F054: behind a write of the transaction reads see it; the hint wins over the variable.
fn within(field: &Field) -> Saw {
    let place = Place::new(field, "within_one")?;
    let leader = place.leader(5)?;
    let mut c = place.client()?;
    for n in 0..field.count(10, 100) {
        c.run(WEAK)?;
        c.run("begin")?;
        c.cell("select n from within_one where id = 5")?;
        let write = format!("update within_one set n = {n} where id = 5");
        c.run(&write)?;
        let read = format!("select n from within_one where id = 5 and {n} = {n}");
        let seen = c.cell(&read)?;
        ensure(seen == n.to_string(), || format!("{seen} where {n} stands"))?;
        c.run("commit")?;
        let (wrote, saw) = (place.ran(&write)?, place.ran(&read)?);
        ensure(wrote == saw, || {
            format!("written on {wrote}, read on {saw}")
        })?;
        let hinted = "select /*+ read_consistency(strong) */ n from within_one where id = 5";
        c.cell(hinted)?;
        let ran = place.ran(hinted)?;
        ensure(ran == leader, || format!("on {ran}, led by {leader}"))?;
    }
    Ok("read what was written, on its server; the hint wins".into())
}

/// F101: the explained server is the one that runs it.
fn explained(field: &Field) -> Saw {
    let place = Place::new(field, "explained")?;
    let mut c = place.client()?;
    // From here on the table is known.
    c.rows("select n from explained")?;
    place.leader(0)?;
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    let count = field.count(60, 200);
    for n in 0..count {
        let id = n % ROWS;
        let sql = match n % 5 {
            0 => format!("select n from explained where id = {id} and {n} = {n}"),
            // Both in one partition: of servers that lead as many, any may be chosen.
            1 => format!(
                "select n from explained where id in ({id}, {}) and {n} = {n}",
                id + ROWS
            ),
            2 => format!("update explained set n = {n} where id = {id}"),
            3 => format!("select count(*) from explained where id = {id} and n >= 0 and {n} = {n}"),
            _ => format!("insert into explained values({}, {n})", 100 + n),
        };
        let plan = c.cell(&format!("explain route format=json {sql}"))?;
        let plan: serde_json::Value =
            serde_json::from_str(&plan).map_err(|e| format!("{e}: {plan}"))?;
        match sql.starts_with("select") {
            true => drop(c.rows(&sql)?),
            false => c.run(&sql)?,
        }
        let ran = place.cluster.address(place.ran(&sql)?);
        let ran = ran.map(|address| address.to_string());
        ensure(plan["server"].as_str() == ran.as_deref(), || {
            format!("{sql}: ran on {ran:?}: {plan}")
        })?;
        let reason = plan["reason"].as_str().unwrap_or_default();
        ensure(!reason.is_empty(), || format!("{sql}: no reason: {plan}"))?;
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }
    Ok(format!("{count} of {count}; {reasons:?}"))
}
