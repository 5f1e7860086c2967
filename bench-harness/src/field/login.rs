//! Area login.

use super::limits::{admin, start_with};
use super::{Case, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::clock::Watch;
use crate::raw::{Conn, Got, Login, framed, native_answer};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    check(
        "F062",
        "a statement sent to the administration by mistake",
        wrong_door,
    ),
    check("F063", "wrong logins told apart", told_apart),
    check("F065", "no password is remembered", not_remembered),
    check("F066", "clients with caching_sha2_password", other_plugins),
    check("F067", "a login packet in pieces", in_pieces),
    part(
        "F069",
        "a TLS request where none is offered",
        tls_request,
        "TLS itself comes with the front door: later",
    ),
];

/// F062: the administrator's login answers no SQL, and says where it is.
fn wrong_door(field: &Field) -> Saw {
    let proxy = start_with(field, "client_max_connections", 100)?;
    let mut c = admin(proxy.address())?;
    let mut said = String::new();
    for sql in ["show tables", "select * from kv", "desc kv", "show trace"] {
        let told = c.cell(sql).err().unwrap_or_default();
        ensure(
            told.contains("administration") && told.contains("user@tenant"),
            || format!("{sql}: {told:?} does not say where it is"),
        )?;
        said = told;
    }
    ensure(c.cell("select 1")? == "1", || "select 1".into())?;
    Ok(said)
}

/// F063: each wrong login gets one error packet with the right number.
fn told_apart(field: &Field) -> Saw {
    let proxy = field.start()?;
    for (user, password, code) in [
        ("root@nosuch", "", 1045),
        ("root@sys#nosuch", "", 4669),
        ("root@sys", "bad", 1045),
        ("root@SYS", "", 1045),
        ("nouser@sys", "", 1045),
        ("root@", "", 1045),
        ("@sys", "", 1045),
        ("a#c@t", "", 1045),
        ("proxyro@sys", "", 1045),
        ("root@proxysys", "", 1045),
    ] {
        let told = Conn::login(proxy.address(), &Login::user(user, password)).map(drop);
        let told = told.err().unwrap_or_default();
        ensure(told.contains(&format!("error {code}: ")), || {
            format!("{user}: {told:?}, not {code}")
        })?;
    }
    for user in ["root", "root@sys", "root@sys#obcluster"] {
        Conn::login(proxy.address(), &Login::user(user, ""))?.cell("select 1")?;
    }
    Ok("10 refused with one packet each, 3 right ones work".into())
}

/// F065: a password that was right for one client is not remembered for another.
fn not_remembered(field: &Field) -> Saw {
    let mut direct = Conn::login(field.setup.kernel, &Login::default())?;
    let _ = direct.run("drop user field_pw");
    direct.run("create user field_pw identified by 'one'")?;
    let proxy = field.start()?;
    let log_in = |password: &str| {
        Conn::login(proxy.address(), &Login::user("field_pw@sys", password)).map(drop)
    };
    let refused = |password: &str| {
        let told = log_in(password).err().unwrap_or_default();
        ensure(told.contains("error 1045"), || {
            format!("password {password:?}: {told:?}")
        })
    };
    for _ in 0..field.count(20, 1_000) {
        log_in("one")?;
    }
    for wrong in ["two", "", "One"] {
        refused(wrong)?;
    }
    direct.run("alter user field_pw identified by 'two'")?;
    refused("one")?;
    log_in("two")?;
    direct.run("drop user field_pw")?;
    Ok("only the right one passes, at any time".into())
}

/// F066: a switch to the plugin that the server knows, numbers that go up by one.
fn other_plugins(field: &Field) -> Saw {
    let proxy = field.start()?;
    for (plugin, answer, switches) in [
        (Some("caching_sha2_password"), &[7u8; 32][..], true),
        (Some("mysql_clear_password"), b"secret\0", true),
        (Some(""), b"", false),
        (None, b"", false),
    ] {
        let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
        let scramble = c.greeting()?.scramble;
        let login = Login::default().plugin(plugin).answer(answer);
        let sent = c.send(&login.payload(&scramble), 1);
        sent.map_err(|e| e.to_string())?;
        let mut got = c.receive();
        let mut want = 2;
        if switches {
            let packet = got.packet().cloned();
            let packet = packet.ok_or_else(|| format!("{plugin:?}: {got:?}"))?;
            let scramble = packet
                .payload
                .strip_prefix(b"\xFEmysql_native_password\0")
                .filter(|rest| rest.len() == 21 && packet.seq == 2)
                .ok_or_else(|| format!("{plugin:?}: {packet:?} is no switch"))?;
            let sent = c.send(&native_answer(b"", &scramble[..20]), 3);
            sent.map_err(|e| e.to_string())?;
            got = c.receive();
            want = 4;
        }
        let seq = got.packet().map(|p| p.seq);
        ensure(got.is_ok() && seq == Some(want), || {
            format!("{plugin:?}: {got:?}, not OK with number {want}")
        })?;
        c.cell("select 1")?;
    }
    Ok("2 switched (OK is number 4), 2 not (number 2)".into())
}

/// F067: byte by byte, with the first query glued to the end.
fn in_pieces(field: &Field) -> Saw {
    let proxy = field.start()?;
    for (pause, is_glued) in [(0, false), (field.count(2, 20), false), (0, true)] {
        let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
        let scramble = c.greeting()?.scramble;
        let mut bytes = framed(&Login::default().payload(&scramble), 1);
        if is_glued {
            bytes.extend(framed(b"\x03select 1", 0));
        }
        let _ = c.stream().set_nodelay(true);
        for byte in &bytes {
            c.send_bytes(&[*byte]).map_err(|e| e.to_string())?;
            if pause > 0 {
                crate::clock::pause(Duration::from_millis(u64::from(pause)));
            }
        }
        let got = c.receive();
        ensure(got.is_ok(), || format!("{got:?}"))?;
        if is_glued {
            let packets: Vec<_> = (0..5).map(|_| c.receive()).collect();
            ensure(packets.iter().all(|g| g.packet().is_some()), || {
                format!("the glued query: {packets:?}")
            })?;
        }
        c.cell("select 1")?;
    }
    Ok("all logged in, the glued query answered".into())
}

/// F069: bit 11 is not offered; who asks for TLS all the same is told and closed at once.
fn tls_request(field: &Field) -> Saw {
    const SSL: u32 = 1 << 11;
    let proxy = field.start()?;
    let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
    let offered = c.greeting()?.capabilities;
    ensure(offered & SSL == 0, || format!("offered: {offered:#x}"))?;
    let mut request = Login::default().payload(&[0; 20]);
    request.truncate(32);
    request[1] |= (SSL >> 8) as u8;
    let watch = Watch::start();
    c.send(&request, 1).map_err(|e| e.to_string())?;
    let mut got = vec![c.receive()];
    if got[0].packet().is_some() {
        got.push(c.receive());
    }
    let took = watch.elapsed();
    ensure(
        matches!(got.last(), Some(Got::Closed | Got::Reset)) && took < Duration::from_secs(1),
        || format!("{got:?} after {took:?}"),
    )?;
    Ok(format!("{:?}, closed", got[0].error()))
}
