//! Areas administration and observability.

use super::limits::{admin, start_with};
use super::{Case, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::clock::{Deadline, Watch, wait_for};
use crate::process::Obring;
use crate::raw::{Conn, Got, Login};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    check("F094", "which id to kill", kills),
    check("F095", "columns of SHOW PROXYCONFIG", columns),
    check(
        "F096",
        "values in the spelling of inspection tools",
        spelling,
    ),
    check("F097", "administration SQL as drivers send it", driver_sql),
    part(
        "F098",
        "why a connection was cut",
        reasons,
        "a list of cuts that can be asked by SQL: a later issue",
    ),
    part(
        "F102",
        "connects and closes in the counters",
        counters,
        "counters over a hot restart: a later issue",
    ),
    part(
        "F103",
        "who logged in and out",
        audit,
        "addresses of PROXY headers come with the front door: later",
    ),
];

fn id_of(c: &mut Conn) -> Result<String, String> {
    c.cell("select connection_id()")
}

/// F094: the id of connection_id(), of the greeting and of the process list is the one to kill.
fn kills(field: &Field) -> Saw {
    let proxy = field.start()?;
    let to = proxy.address();
    let mut victim = Conn::open(to).map_err(|e| e.to_string())?;
    let greeting = victim.greeting()?;
    let login = Login::default().payload(&greeting.scramble);
    victim.send(&login, 1).map_err(|e| e.to_string())?;
    let got = victim.receive();
    ensure(got.is_ok(), || format!("{got:?}"))?;
    let id = id_of(&mut victim)?;
    ensure(id == greeting.connection_id.to_string(), || {
        format!("greeting {}, connection_id() {id}", greeting.connection_id)
    })?;
    let mut killer = Conn::login(to, &Login::default())?;
    victim.query("select sleep(8)").map_err(|e| e.to_string())?;
    let list = "select count(*) from information_schema.processlist \
                where info = 'select sleep(8)'";
    wait_for(Deadline::secs(5), "the statement to run", || {
        killer.cell(list).is_ok_and(|n| n != "0").then_some(())
    })?;
    let watch = Watch::start();
    killer.run(&format!("kill query {id}"))?;
    let told = (0..5)
        .map(|_| victim.receive())
        .find(|g| g.error().is_some());
    let code = told.as_ref().and_then(Got::error).map(|e| e.0);
    ensure(code == Some(1317), || format!("kill query: {told:?}"))?;
    ensure(watch.elapsed() < Duration::from_secs(1), || {
        "too late".into()
    })?;
    victim.cell("select 1")?;
    let mut direct = Conn::login(field.setup.kernel, &Login::default())?;
    for sql in [
        "create user if not exists field_other",
        "grant select on *.* to field_other",
    ] {
        direct.run(sql)?;
    }
    let mut other = Conn::login(to, &Login::user("field_other@sys", ""))?;
    for sql in [format!("kill query {id}"), format!("kill {id}")] {
        let told = other.run(&sql).err().unwrap_or_default();
        ensure(told.contains("error 1095"), || format!("{sql}: {told}"))?;
    }
    killer.run(&format!("kill {id}"))?;
    let mut last = victim.receive();
    while last.packet().is_some() {
        last = victim.receive();
    }
    ensure(matches!(last, Got::Closed | Got::Reset), || {
        format!("{last:?}")
    })?;
    let unknown = killer.run("kill 4294967294").err().unwrap_or_default();
    ensure(unknown.contains("error 1094"), || unknown.clone())?;
    killer.cell("select 1")?;
    Ok("1317 and usable, then closed; unknown id 1094, of others 1095".into())
}

/// F095: seven columns of fixed names; the first five are never NULL.
fn columns(field: &Field) -> Saw {
    const WANT: [&str; 7] = [
        "name",
        "value",
        "info",
        "need_reboot",
        "visible_level",
        "range",
        "config_level",
    ];
    let proxy = start_with(field, "client_max_connections", 100)?;
    let mut c = admin(proxy.address())?;
    for sql in ["show proxyconfig", "show proxyconfig like 'client_max%'"] {
        c.query(sql).map_err(|e| e.to_string())?;
        let count = c.receive();
        let mut names = vec![];
        for _ in WANT {
            let got = c.receive();
            let payload = got.packet().map(|p| p.payload.clone()).unwrap_or_default();
            let mut at = obring_wire::base::Cursor::new(&payload);
            // Catalogue, database, table, its own name; then the column's.
            for _ in 0..4 {
                at.lenenc_bytes().map_err(|e| e.to_string())?;
            }
            let name = at.lenenc_bytes().map_err(|e| e.to_string())?;
            names.push(String::from_utf8_lossy(name).into_owned());
        }
        ensure(names == WANT, || format!("{count:?} {names:?}"))?;
        // Columns, then rows.
        skip_to_eof(&mut c)?;
        skip_to_eof(&mut c)?;
        let rows = c.rows(sql)?;
        ensure(!rows.is_empty(), || format!("{sql}: no row"))?;
        for row in &rows {
            let is_right = row.len() == 7
                && row[..5].iter().all(Option::is_some)
                && matches!(row[3].as_deref(), Some("true" | "false"));
            ensure(is_right, || format!("{sql}: {row:?}"))?;
        }
    }
    Ok(WANT.join(", "))
}

fn skip_to_eof(c: &mut Conn) -> Result<(), String> {
    loop {
        let got = c.receive();
        let packet = got.packet().ok_or_else(|| format!("{got:?}"))?;
        if packet.payload.first() == Some(&0xFE) {
            return Ok(());
        }
    }
}

/// F096: True and False, and a version line whose third field is a version.
fn spelling(field: &Field) -> Saw {
    let proxy = start_with(field, "client_max_connections", 100)?;
    let mut c = admin(proxy.address())?;
    for row in c.rows("show proxyconfig")? {
        if row[5].as_deref() == Some("True, False") {
            let value = row[1].as_deref();
            ensure(matches!(value, Some("True" | "False")), || {
                format!("{row:?}")
            })?;
        }
    }
    // What inspection tools compare, settings without effect among them.
    for (name, value) in [
        ("request_buffer_length", "4KB"),
        ("enable_ob_protocol_v2_with_client", "False"),
        ("enable_reroute", "False"),
    ] {
        let like = format!("show proxyconfig like '{name}'");
        let rows = c.rows(&like)?;
        let got = rows.first().and_then(|row| row[1].clone());
        ensure(rows.len() == 1 && got.as_deref() == Some(value), || {
            format!("{like}: {rows:?}, not {value}")
        })?;
    }
    c.run("alter proxyconfig set enable_reroute = true")?;
    let rows = c.rows("show proxyconfig like 'enable_reroute'")?;
    ensure(rows[0][1].as_deref() == Some("True"), || {
        format!("{rows:?}")
    })?;
    let said = std::process::Command::new(&field.setup.binary)
        .arg("--version")
        .output()
        .map_err(|e| e.to_string())?;
    let both = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    let line = text.lines().find(|l| l.contains("obproxy ("));
    let field3 = line.and_then(|l| l.split_whitespace().nth(2)).unwrap_or("");
    let is_version = field3.split('.').count() == 4 && field3.starts_with("4.");
    ensure(is_version, || format!("--version says {text:?}"))?;
    Ok(format!("version {field3}"))
}

/// F097: what drivers send is taken, and what is set is what is read back.
fn driver_sql(field: &Field) -> Saw {
    let proxy = start_with(field, "client_max_connections", 100)?;
    let mut c = admin(proxy.address())?;
    for sql in [
        "set names utf8mb4",
        "SET AUTOCOMMIT=0",
        "/* app */ set autocommit = 1;",
        "SET NAMES utf8mb4;",
    ] {
        c.run(sql)?;
    }
    for (sql, want) in [
        ("alter proxyconfig set drain_timeout='31s';", "31s"),
        ("ALTER PROXYCONFIG SET drain_timeout = \"32s\"", "32s"),
        ("alter /* c */ proxyconfig set drain_timeout=33s;;", "33s"),
        (
            "alter proxyconfig set mysql_version='5.7.26' -- x",
            "5.7.26",
        ),
    ] {
        let name = if sql.contains("mysql_version") {
            "mysql_version"
        } else {
            "drain_timeout"
        };
        if let Err(told) = c.run(sql) {
            // Refused with a clear error is right as well, unless it was stored.
            ensure(told.contains("error "), || told.clone())?;
            continue;
        }
        let rows = c.rows(&format!("show proxyconfig like '{name}'"))?;
        let value = rows.first().and_then(|r| r[1].clone());
        ensure(value.as_deref() == Some(want), || {
            format!("{sql}: {value:?}")
        })?;
    }
    Ok("values are read back as they were set".into())
}

/// How a connection ends, and the reason that must stand in the log.
fn end_each(proxy: &Obring) -> Result<Vec<(String, &'static str)>, String> {
    let to = proxy.address();
    let mut ended = vec![];
    // Killed by the administrator of the proxy.
    let mut c = Conn::login(to, &Login::default())?;
    let id = id_of(&mut c)?;
    admin(to)?.run(&format!("kill {id}"))?;
    ended.push((format!("session={id} "), "reason=killed"));
    // Gone without a word, while nothing and while something runs.
    let mut c = Conn::login(to, &Login::default())?;
    ended.push((format!("session={} ", id_of(&mut c)?), "reason=client_eof"));
    drop(c);
    let mut c = Conn::login(to, &Login::default())?;
    ended.push((format!("session={} ", id_of(&mut c)?), "reason=client_gone"));
    c.query("select sleep(3)").map_err(|e| e.to_string())?;
    c.set_wait(Duration::from_millis(100));
    c.receive();
    drop(c);
    // The server's own time limit for idle sessions.
    let mut c = Conn::login(to, &Login::default())?;
    let id = id_of(&mut c)?;
    c.run("set session wait_timeout=1")?;
    while c.receive().packet().is_some() {}
    ended.push((format!("session={id} "), "reason=server_idle_timeout"));
    // Said good-bye.
    let mut c = Conn::login(to, &Login::default())?;
    ended.push((format!("session={} ", id_of(&mut c)?), "reason=client_quit"));
    c.send(b"\x01", 0).map_err(|e| e.to_string())?;
    // Logins.
    for (user, reason) in [
        ("root@nosuch", "reason=login_denied"),
        ("root@sys#nosuch", "reason=login_refused"),
    ] {
        let _ = Conn::login(to, &Login::user(user, ""));
        let tenant = user.split('@').nth(1).unwrap_or_default();
        let tenant = tenant.split('#').next().unwrap_or_default();
        ended.push((format!("tenant={tenant}"), reason));
    }
    Ok(ended)
}

/// F098: each cut has its own reason in the line of the connection's id.
fn reasons(field: &Field) -> Saw {
    let mut proxy = start_with(field, "client_max_connections", 100)?;
    let mut ended = end_each(&proxy)?;
    let mut last = Conn::login(proxy.address(), &Login::default())?;
    ended.push((format!("session={} ", id_of(&mut last)?), "reason=shutdown"));
    for (id, reason) in &ended[..ended.len() - 1] {
        wait_for(Deadline::secs(10), &format!("{reason} of {id}"), || {
            line_of(&proxy, id, reason)
        })
        .map_err(|e| format!("{e}; the log: {:#?}", proxy.log()))?;
    }
    proxy.term();
    proxy.wait_exit(10)?;
    let (id, reason) = &ended[ended.len() - 1];
    line_of(&proxy, id, reason).ok_or_else(|| format!("no line with {reason} of {id}"))?;
    Ok(format!("{} ends, each with its reason", ended.len()))
}

fn line_of(proxy: &Obring, id: &str, reason: &str) -> Option<String> {
    proxy
        .log()
        .into_iter()
        .find(|l| format!("{l} ").contains(id) && l.contains(reason) && l.contains("client_closed"))
}

/// F102: exact numbers of connects and of closes by reason.
fn counters(field: &Field) -> Saw {
    let proxy = start_with(field, "client_max_connections", 200)?;
    let to = proxy.address();
    let mut administrator = admin(to)?;
    let mut read = |name: &str| -> Result<u64, String> {
        let rows = administrator.rows(&format!("show proxystat like '{name}'"))?;
        let cell = rows.first().and_then(|r| r[1].clone());
        let cell = cell.ok_or_else(|| format!("no counter {name}"))?;
        cell.parse().map_err(|e| format!("{name}: {cell}: {e}"))
    };
    let before = (read("client_accepted")?, read("closed_client_quit")?);
    let mut open = vec![];
    for _ in 0..100 {
        open.push(Conn::login(to, &Login::default())?);
    }
    for mut c in open.drain(..50) {
        c.send(b"\x01", 0).map_err(|e| e.to_string())?;
    }
    open.truncate(30);
    let seen = wait_for(Deadline::secs(10), "50 quits and 20 ends", || {
        let now = (
            read("closed_client_quit").ok()?,
            read("closed_client_eof").ok()?,
        );
        (now.0 >= before.1 + 50 && now.1 >= 20).then_some(now)
    })?;
    let accepted = read("client_accepted")?;
    ensure(
        accepted == before.0 + 100 && seen == (before.1 + 50, 20),
        || format!("{accepted} accepted, closed {seen:?}, before {before:?}"),
    )?;
    Ok("100 connects, 50 quits, 20 ends: all counted".into())
}

/// F103: one line for each end of a connection: address, user, tenant, how long, why.
fn audit(field: &Field) -> Saw {
    let proxy = field.start()?;
    let to = proxy.address();
    let mut c = Conn::login(to, &Login::default())?;
    let peer = c.stream().local_addr().map_err(|e| e.to_string())?;
    c.send(b"\x01", 0).map_err(|e| e.to_string())?;
    let _ = Conn::login(to, &Login::user("nouser@sys", "x"));
    for parts in [
        vec![
            format!("peer={peer}"),
            "reason=client_quit".into(),
            "user=root".into(),
        ],
        vec!["reason=login_denied".into(), "user=nouser".into()],
    ] {
        wait_for(
            Deadline::secs(10),
            &format!("a line with {parts:?}"),
            || {
                proxy.log().into_iter().find(|l| {
                    let has = |part: &str| l.split_whitespace().any(|word| word == part);
                    parts.iter().all(|p| has(p))
                        && has("tenant=sys")
                        && l.contains(" lasted_ms=")
                        && l.contains("event=client_closed")
                })
            },
        )
        .map_err(|e| format!("{e}; the log: {:#?}", proxy.log()))?;
    }
    Ok("one line each".into())
}
