//! Area failover: one server among three dies, is slow, or is still starting.

use super::place::{Place, ROWS, TENANT, fails};
use super::{Case, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::clock::{Deadline, Watch, pause, wait_for};
use crate::raw::{Conn, Login};
use obcluster::views::RowFault;
use obcluster::{Change, Fault, FaultKind, Kind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    check("F033", "a transaction is lost with its server", transaction),
    check(
        "F039",
        "a write of unknown outcome is never repeated",
        unknown,
    ),
    check("F055", "planned moves of a leader", moves),
    check("F056", "one sick server", sick),
    check("F057", "a server that hangs", hangs),
    part(
        "F059",
        "state queries against a dying server",
        questions,
        "a million rows: an answer is limited, in the metadata tests",
    ),
    check("F061", "a server that is initialising", initialising),
];

/// F033: one error that says that the transaction is lost, COMMIT is no OK, the session works.
fn transaction(field: &Field) -> Saw {
    let mut place = Place::new(field, "lost")?;
    let mut c = place.client()?;
    c.run("begin")?;
    let first = "update lost set n=1 where id=1";
    c.run(first)?;
    let server = place.ran(first)?;
    place.change(&Change::Kill(server))?;
    let told = fails(&mut c, "update lost set n=2 where id=2")?;
    ensure(told.contains("rolled back"), || told.clone())?;
    let commit = fails(&mut c, "commit")?;
    ensure(commit.ends_with("[rolled back]"), || commit.clone())?;
    c.run("rollback")?;
    ensure(place.number(1)? == 0 && place.number(2)? == 0, || {
        "something has come about".into()
    })?;
    wait_for(Deadline::secs(20), "a new leader", || {
        let all = ["begin", "update lost set n=3 where id=1", "commit"];
        match all.iter().try_for_each(|sql| c.run(sql)) {
            Ok(()) => Some(()),
            Err(_) => {
                let _ = c.run("rollback");
                None
            }
        }
    })?;
    ensure(place.number(1)? == 3, || "not there".into())?;
    Ok(told)
}

/// F039: a SELECT is repeated in silence, of a write the outcome is unknown, and it ran once.
fn unknown(field: &Field) -> Saw {
    let mut place = Place::new(field, "writes")?;
    let mut c = place.client()?;
    let lose = |sql: &str| {
        let fault = Fault::new(FaultKind::ResetAfterBytes(0));
        place.cluster.fault(fault.sql(sql).times(1));
    };
    // Behind the execution, in front of the reply.
    let read = "select n from writes where id = 3 /* lost */";
    lose(read);
    ensure(c.cell(read)? == "0", || "another row".into())?;
    for (sql, count) in [
        (
            "insert into writes values(99, 1)",
            "select count(*) from field_places.writes where id = 99",
        ),
        (
            "update writes set n = n + 1 where id = 3",
            "select n from field_places.writes where id = 3",
        ),
    ] {
        lose(sql);
        let told = fails(&mut c, sql)?;
        ensure(told.ends_with("[unknown]"), || format!("{sql}: {told}"))?;
        let n = place.kernel.cell(count)?;
        ensure(n == "1", || format!("{sql} has run {n} times"))?;
    }
    // In front of the execution.
    let sql = "update writes set n = n + 1 where id = 5";
    c.run(sql)?;
    place.change(&Change::Kill(place.ran(sql)?))?;
    let (mut least, mut most) = (1, 1);
    for _ in 0..20 {
        match c.run(sql) {
            Ok(()) => (least, most) = (least + 1, most + 1),
            Err(told) if told.ends_with("[unknown]") => most += 1,
            // Of the proxy, or of a server without a leader.
            Err(_) => {}
        }
    }
    let n = place.number(5)?;
    ensure((least..=most).contains(&n), || {
        format!("{n} where {least} to {most} were told")
    })?;
    Ok(format!(
        "a read repeated, writes once; {n} of {least}..={most}"
    ))
}

/// What one client saw.
#[derive(Default)]
struct Writer {
    done: i64,
    unknown: i64,
    errors: Vec<String>,
    longest: Duration,
    /// Its last write has worked.
    works: bool,
}

impl Writer {
    fn work(&mut self, c: &mut Conn, id: u32, stop: &AtomicBool) {
        let sql = format!("update moved set n = n + 1 where id = {id}");
        let mut since = Watch::start();
        while !stop.load(Ordering::Relaxed) {
            let ran = c.run(&sql);
            self.works = ran.is_ok();
            match ran {
                Ok(()) => {
                    self.done += 1;
                    self.longest = self.longest.max(since.elapsed());
                    since = Watch::start();
                }
                Err(text) => {
                    self.unknown += i64::from(text.ends_with("[unknown]"));
                    self.errors.push(text);
                }
            }
        }
    }
}

/// Clients write, each its own row, while something happens.
fn while_writing(
    place: &mut Place,
    act: impl FnOnce(&Place) -> Result<(), String>,
) -> Result<Vec<Writer>, String> {
    let mut before = vec![];
    for id in 0..ROWS {
        before.push(place.number(id)?);
    }
    let stop = AtomicBool::new(false);
    let clients: Result<Vec<Conn>, String> = (0..ROWS).map(|_| place.client()).collect();
    let (acted, writers) = std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> = (0..ROWS)
            .zip(clients?)
            .map(|(id, mut c)| {
                scope.spawn(move || {
                    let mut writer = Writer::default();
                    writer.work(&mut c, id, stop);
                    writer
                })
            })
            .collect();
        let acted = act(place);
        stop.store(true, Ordering::Relaxed);
        let writers: Vec<_> = threads.into_iter().filter_map(|t| t.join().ok()).collect();
        Ok::<_, String>((acted, writers))
    })?;
    acted?;
    for ((id, before), writer) in (0..ROWS).zip(before).zip(&writers) {
        let n = place.number(id)? - before;
        let told = writer.done..=writer.done + writer.unknown;
        ensure(told.contains(&n), || {
            format!("row {id} grew by {n}, told {told:?}: {:?}", writer.errors)
        })?;
    }
    Ok(writers)
}

fn longest(writers: &[Writer]) -> Duration {
    writers.iter().map(|w| w.longest).max().unwrap_or_default()
}

/// F055: moves are not noticed; when a server dies the others go on, and its rows soon.
fn moves(field: &Field) -> Saw {
    let mut place = Place::new(field, "moved")?;
    let streams = place.streams();
    let seconds = field.count(4, 60);
    let writers = while_writing(&mut place, |place| {
        for n in 0..seconds {
            let stream = streams[n as usize % streams.len()];
            place.change(&Change::Lead {
                tenant: TENANT.into(),
                stream,
                server: Some(n % 3 + 1),
            })?;
            pause(Duration::from_secs(1));
        }
        Ok(())
    })?;
    let errors: Vec<_> = writers.iter().flat_map(|w| &w.errors).collect();
    ensure(errors.is_empty(), || format!("errors of moves: {errors:?}"))?;
    let by_moves = longest(&writers);
    let writers = while_writing(&mut place, |place| {
        place.change(&Change::Kill(2))?;
        pause(Duration::from_secs(field.count(6, 20).into()));
        Ok(())
    })?;
    let errors: Vec<_> = writers.iter().flat_map(|w| &w.errors).collect();
    let is_told = |e: &&&String| {
        let outcomes = ["[not run]", "[rolled back]", "[unknown]"];
        !e.contains("error 10") || outcomes.iter().any(|o| e.ends_with(o))
    };
    let bare: Vec<_> = errors.iter().filter(|e| !is_told(e)).collect();
    ensure(bare.is_empty(), || format!("{bare:?}"))?;
    ensure(writers.iter().all(|w| w.works), || {
        format!("somebody still cannot write: {errors:?}")
    })?;
    Ok(format!(
        "longest gap {by_moves:?} by moves; by a death {:?}, {} errors",
        longest(&writers),
        errors.len()
    ))
}

/// F056: a server whose views are 10 s late holds up nobody.
fn sick(field: &Field) -> Saw {
    const SICK: u32 = 2;
    let place = Place::new(field, "sick")?;
    let mut c = place.client()?;
    let sql = "select n from sick where id = 1";
    c.cell(sql)?;
    let fault = Fault::new(FaultKind::MetaDelayMs(10_000)).on(SICK);
    place.cluster.fault(fault);
    let mut slowest = Duration::ZERO;
    for n in 0..field.count(6, 30) {
        let to = if n % 2 == 0 { 3 } else { 1 };
        for stream in place.streams() {
            place.change(&Change::Lead {
                tenant: TENANT.into(),
                stream,
                server: Some(to),
            })?;
        }
        let watch = Watch::start();
        wait_for(Deadline::secs(20), "the new leader", || {
            c.cell(sql).ok()?;
            (place.ran(sql) == Ok(to)).then_some(())
        })?;
        slowest = slowest.max(watch.elapsed());
    }
    ensure(slowest < Duration::from_secs(1), || {
        format!("a move was known after {slowest:?}")
    })?;
    let added = place.cluster.add_server("zone1");
    let (_, address) = added.map_err(|e| format!("a server: {e}"))?;
    let watch = Watch::start();
    let mut admin = Conn::login(place.proxy.address(), &Login::user("root@proxysys", ""))?;
    let port = address.port().to_string();
    wait_for(Deadline::secs(20), "the new server", || {
        let rows = admin.rows("show proxycluster").ok()?;
        let mut cells = rows.iter().flatten().flatten();
        cells.any(|cell| cell.contains(&port)).then_some(())
    })?;
    let known = watch.elapsed();
    ensure(known < Duration::from_secs(5), || {
        format!("the new server was known after {known:?}")
    })?;
    // One question at a time: the next begins when the one before is over, or given up.
    let log = place.cluster.log_since(0);
    let views = log.iter().filter(|e| {
        e.server_id == SICK && e.kind == Kind::Request && e.tenant == "sys" && e.t_done_us == 0
    });
    let waiting = views.count();
    ensure(waiting <= 1, || {
        format!("{waiting} questions wait at the sick server")
    })?;
    Ok(format!(
        "moves known within {slowest:?}, a server within {known:?}"
    ))
}

/// F057: who has to do with a hung server knows within seconds, nobody else notices.
fn hangs(field: &Field) -> Saw {
    const HUNG: u32 = 2;
    /// Nobody waits longer.
    const LONGEST: Duration = Duration::from_secs(5);
    let mut place = Place::new(field, "moved")?;
    // Who writes to a row on the hung server, and who does not.
    let mut leads = vec![];
    let mut c = place.client()?;
    for id in 0..ROWS {
        let sql = format!("update moved set n = n where id = {id}");
        c.run(&sql)?;
        leads.push(place.ran(&sql)? == HUNG);
    }
    let from = Watch::start();
    let mut avoided = None;
    let writers = while_writing(&mut place, |place| {
        pause(Duration::from_millis(500));
        place.change(&Change::Hang(HUNG))?;
        let watch = Watch::start();
        let mut admin = Conn::login(place.proxy.address(), &Login::user("root@proxysys", ""))?;
        let blocked = wait_for(Deadline::secs(20), "the block", || {
            let rows = admin.rows("show proxycongestion").ok()?;
            (!rows.is_empty()).then(|| watch.elapsed())
        })?;
        avoided = Some(blocked);
        pause(Duration::from_secs(field.count(7, 20).into()));
        place.change(&Change::Resume(HUNG))?;
        pause(Duration::from_secs(2));
        Ok(())
    })?;
    let shown = |w: &Writer| format!("longest {:?}, errors {:?}", w.longest, w.errors);
    for (writer, is_there) in writers.iter().zip(&leads) {
        let is_told = |e: &&String| e.ends_with("[unknown]") || !e.contains("error 10");
        ensure(writer.errors.iter().all(|e| is_told(&e)), || shown(writer))?;
        ensure(*is_there || writer.errors.is_empty(), || shown(writer))?;
        ensure(writer.works && writer.longest < LONGEST, || shown(writer))?;
    }
    let errors: usize = writers.iter().map(|w| w.errors.len()).sum();
    let avoided = avoided.unwrap_or_default();
    ensure(avoided < Duration::from_secs(4), || {
        format!("avoided after {avoided:?}")
    })?;
    // It is used again.
    let state = place.streams();
    place.change(&Change::Lead {
        tenant: TENANT.into(),
        stream: state[0],
        server: Some(HUNG),
    })?;
    let since = place.cluster.log_next();
    wait_for(Deadline::secs(20), "work for it again", || {
        let mut c = place.client().ok()?;
        for id in 0..ROWS {
            c.run(&format!("update moved set n = n where id = {id}"))
                .ok()?;
        }
        let log = place.cluster.log_since(since);
        let is_it = |e: &obcluster::Entry| e.server_id == HUNG && e.sql.starts_with("update");
        log.iter().any(is_it).then_some(())
    })?;
    Ok(format!(
        "avoided after {avoided:?}; longest wait {:?}, {errors} errors; {:?} in all",
        longest(&writers),
        from.elapsed()
    ))
}

/// F059: whatever the views answer, what is known stays in use, and the next round is fine.
fn questions(field: &Field) -> Saw {
    const SERVERS: &str = "DBA_OB_SERVERS";
    let quick = [("server_login_timeout", "300ms")];
    let place = Place::with(field, "asked", &quick)?;
    let mut c = place.client()?;
    let mut admin = Conn::login(place.proxy.address(), &Login::user("root@proxysys", ""))?;
    let mut failed = "0".to_owned();
    let mut told = vec![];
    for fault in [
        Fault::new(FaultKind::MetaError(4012)),
        Fault::new(FaultKind::MetaRows(RowFault::Empty)),
        Fault::new(FaultKind::MetaRows(RowFault::OneBad)),
        Fault::new(FaultKind::MetaRows(RowFault::UnknownStatus)),
        Fault::new(FaultKind::SysUnreachable),
        Fault::new(FaultKind::ResetAfterBytes(0)).sql(SERVERS),
        Fault::new(FaultKind::ResetAfterBytes(60)).sql(SERVERS),
        Fault::new(FaultKind::GarbageAfterBytes(60)).sql(SERVERS),
        Fault::new(FaultKind::HalfClose(60)).sql(SERVERS),
    ] {
        let what = format!("{fault:?}");
        place.cluster.fault(fault);
        let rounds = Deadline::after(Duration::from_millis(1_200));
        while rounds.left().is_some() {
            for id in 0..ROWS {
                c.run(&format!("update asked set n = n + 1 where id = {id}"))
                    .map_err(|e| format!("{what}: {e}"))?;
            }
            place.client()?.cell("select 1")?;
        }
        place.cluster.clear_faults();
        wait_for(Deadline::secs(20), "a good round", || {
            let rows = admin.rows("show proxyresource").ok()?;
            let row = rows.first()?;
            failed = row.get(22)?.clone()?;
            (row.get(14)?.as_deref() == Some("READY")).then_some(())
        })?;
        told.push(failed.clone());
    }
    Ok(format!("rounds that failed so far: {}", told.join(", ")))
}

/// F061: a server that is not ready is avoided; nobody notices.
fn initialising(field: &Field) -> Saw {
    const STARTING: u32 = 2;
    let place = Place::new(field, "young")?;
    let mut ran = 0;
    for kind in [
        FaultKind::LoginError(8001),
        FaultKind::ErrorNext(8001),
        FaultKind::LoginError(8002),
        FaultKind::ErrorNext(8002),
    ] {
        place.cluster.fault(Fault::new(kind.clone()).on(STARTING));
        for _ in 0..field.count(4, 20) {
            let mut c = place.client()?;
            for id in 0..ROWS {
                let sql = format!("update young set n = n + 1 where id = {id}");
                c.run(&sql).map_err(|e| format!("{kind:?}: {e}"))?;
                ran += 1;
            }
        }
        place.cluster.clear_faults();
    }
    Ok(format!("{ran} statements without an error"))
}
