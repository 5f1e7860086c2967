//! Bursts: many short connections, many executes in pieces, many prepares that fail, a server that
//! closes an idle link.

use super::{Saw, Setup, ensure};
use crate::clock::Watch;
use crate::raw::{Conn, Got, Login, framed};
use std::net::SocketAddr;
use std::thread::scope;
use std::time::Duration;

/// F074: 2,000 connections that send a statement with an error and quit, by 1, 4 and 16 clients at
/// once: the same answer each time, descriptors back to where they were.
///
/// # Errors
/// The first other answer, or descriptors left over.
pub fn short_connections(setup: &Setup) -> Saw {
    let proxy = setup.start()?;
    let to = proxy.address();
    let want = short(setup.kernel)?;
    short(to)?;
    let before = proxy.descriptors();
    for clients in [1, 4, 16] {
        let each = 2_000 / clients;
        let answers: Vec<Result<(), String>> = scope(|s| {
            let work = || {
                (0..each).try_for_each(|n| {
                    let got = short(to)?;
                    ensure(got == want, || {
                        format!("connection {n}: {got:?}, not {want:?}")
                    })
                })
            };
            let tasks: Vec<_> = (0..clients).map(|_| s.spawn(work)).collect();
            let lost = || Err("a client panicked".into());
            tasks
                .into_iter()
                .map(|t| t.join().unwrap_or_else(|_| lost()))
                .collect()
        });
        answers
            .into_iter()
            .collect::<Result<(), _>>()
            .map_err(|e| format!("{clients} clients: {e}"))?;
    }
    let deadline = crate::clock::Deadline::secs(10);
    crate::clock::wait_for(deadline, "descriptors as before", || {
        (proxy.descriptors() <= before).then_some(())
    })
    .map_err(|e| format!("{e}: {before} -> {}", proxy.descriptors()))?;
    Ok(format!("3 x 2,000 times {}", want.1))
}

fn short(to: SocketAddr) -> Result<(u16, String), String> {
    let mut c = Conn::login(to, &Login::default())?;
    c.query("select * from no_such_table_at_all")
        .map_err(|e| e.to_string())?;
    let got = c.receive();
    let error = got.error().ok_or_else(|| format!("{got:?}"))?;
    c.send(b"\x01", 0).map_err(|e| e.to_string())?;
    Ok(error)
}

/// F020: eight clients execute inserts whose columns belong together, each packet split over two
/// segments at another place: no row mixes two.
///
/// # Errors
/// Failed executes, or rows that do not fit together.
pub fn split_executes(setup: &Setup) -> Saw {
    const CLIENTS: u32 = 8;
    const EACH: u32 = 1_000;
    let proxy = setup.start()?;
    let to = proxy.address();
    let mut c = Conn::login(setup.kernel, &Login::default().db("test"))?;
    c.run("drop table if exists rig_pairs")?;
    c.run("create table rig_pairs(k bigint primary key, a varchar(400), b varchar(400))")?;
    let done: Vec<Result<(), String>> = scope(|s| {
        let tasks: Vec<_> = (0..CLIENTS)
            .map(|n| s.spawn(move || insert_pairs(to, n * EACH, EACH)))
            .collect();
        let lost = || Err("a client panicked".into());
        tasks
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| lost()))
            .collect()
    });
    done.into_iter().collect::<Result<(), _>>()?;
    let rows = c.cell("select count(*) from rig_pairs")?;
    let wrong = c.cell(
        "select count(*) from rig_pairs where b <> reverse(a) \
         or a <> left(repeat(sha1(k), 8), k mod 300 + 1)",
    )?;
    c.run("drop table rig_pairs")?;
    ensure(rows == (CLIENTS * EACH).to_string() && wrong == "0", || {
        format!("{rows} rows, {wrong} mixed")
    })?;
    Ok(format!("{rows} rows, {wrong} mixed"))
}

fn insert_pairs(to: SocketAddr, from: u32, n: u32) -> Result<(), String> {
    use sha1::{Digest, Sha1};
    let mut c = Conn::login(to, &Login::default().db("test"))?;
    c.send(b"\x16insert into rig_pairs(k,a,b) values(?,?,?)", 0)
        .map_err(|e| e.to_string())?;
    // Head, three parameters, EOF.
    let head = c.receive();
    let id = head
        .packet()
        .and_then(|p| p.payload.get(1..5))
        .ok_or_else(|| format!("prepare: {head:?}"))?
        .to_vec();
    for _ in 0..4 {
        c.receive();
    }
    for k in from..from + n {
        let hash = crate::transcript::hex(&Sha1::digest(k.to_string()));
        let a: Vec<u8> = hash.repeat(8).into_bytes()[..(k % 300 + 1) as usize].to_vec();
        let b: Vec<u8> = a.iter().rev().copied().collect();
        let mut p = [&[0x17], &id[..], b"\0\x01\0\0\0\0\x01\x08\0\xfd\0\xfd\0"].concat();
        p.extend(u64::from(k).to_le_bytes());
        obring_wire::base::put_lenenc_bytes(&mut p, &a);
        obring_wire::base::put_lenenc_bytes(&mut p, &b);
        let bytes = framed(&p, 0);
        let (front, rest) = bytes.split_at(k as usize * 7919 % bytes.len());
        c.send_bytes(front).map_err(|e| e.to_string())?;
        c.send_bytes(rest).map_err(|e| e.to_string())?;
        let got = c.receive();
        ensure(got.is_ok(), || format!("execute {k}: {got:?}"))?;
    }
    Ok(())
}

/// F091: 20,000 prepares that fail leave no memory behind.
///
/// # Errors
/// Another answer than 1146, or growth.
pub fn failing_prepares(setup: &Setup) -> Saw {
    let proxy = setup.start()?;
    let mut c = Conn::login(proxy.address(), &Login::default().db("test"))?;
    let mut middle = 0;
    for n in 0..20_000 {
        if n == 10_000 {
            middle = proxy.rss_kib();
        }
        c.send(b"\x16select * from no_such_table where a=?", 0)
            .map_err(|e| e.to_string())?;
        let got = c.receive();
        ensure(got.error().is_some_and(|e| e.0 == 1146), || {
            format!("prepare {n}: {got:?}")
        })?;
    }
    let grown = proxy.rss_kib().saturating_sub(middle);
    let figure = format!("RSS +{grown} KiB in the second 10,000");
    ensure(grown <= 64, || figure.clone())?;
    Ok(figure)
}

/// F058: the server closes an idle link after wait_timeout; the client's connection is closed as
/// well, before it sends anything, with no more than an error packet.
///
/// # Errors
/// When the client could still send into nothing.
pub fn idle_timeout_of_the_server(setup: &Setup) -> Saw {
    let proxy = setup.start()?;
    let mut c = Conn::login(proxy.address(), &Login::default())?;
    c.run("set session wait_timeout=2")?;
    c.set_wait(Duration::from_secs(20));
    let watch = Watch::start();
    let mut got = vec![c.receive()];
    if got[0].packet().is_some() {
        got.push(c.receive());
    }
    ensure(matches!(got.last(), Some(Got::Closed | Got::Reset)), || {
        format!("20 s after wait_timeout=2: {got:?}")
    })?;
    Ok(format!("closed after {:.1?}: {got:?}", watch.elapsed()))
}
