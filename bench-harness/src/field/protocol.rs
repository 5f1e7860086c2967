//! Area protocol: packets, sizes, several requests at once, ends of replies.

use super::same::{Want, expect, same, session, texts};
use super::{Case, DB, Field, check, part};
use crate::checks::{Saw, ensure};
use crate::norm::Norm;
use crate::raw::{Conn, Got, Login, framed};
use crate::session::{Reach, Session};

/// CLIENT_DEPRECATE_EOF: not offered by the server.
const DEPRECATE_EOF: u32 = 1 << 24;
/// CLIENT_COMPRESS.
const COMPRESS: u32 = 1 << 5;
/// CLIENT_LOCAL_FILES.
const LOCAL_FILES: u32 = 1 << 7;
/// CLIENT_SESSION_TRACK.
const SESSION_TRACK: u32 = 1 << 23;

pub(super) const CASES: &[Case] = &[
    check(
        "F001",
        "end markers although the client set bit 24",
        end_markers,
    ),
    check(
        "F002",
        "no size limit besides the server's",
        statement_sizes,
    ),
    check("F003", "several requests in one segment", pipelined),
    check("F004", "ends of several results", several_results),
    part(
        "F005",
        "COM_SET_OPTION",
        set_option,
        "held on another server: issue C1",
    ),
    check("F006", "texts and session state of OK packets", ok_texts),
    check("F007", "LOAD DATA LOCAL asks the client", load_local),
    check("F008", "unusual commands", unusual_commands),
    check("F010", "compression is whole or refused", compression),
    check("F011", "sequence numbers", sequence_numbers),
    part(
        "F012",
        "an error behind rows",
        late_error,
        "4038 behind rows and its mark: issues A3, B2",
    ),
];

/// F001: columns and rows end in EOF packets, which are not offered to be left out.
fn end_markers(field: &Field) -> Saw {
    let proxy = field.start()?;
    let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
    let offered = c.greeting()?.capabilities;
    ensure(offered & DEPRECATE_EOF == 0, || {
        format!("offered: {offered:#x}")
    })?;
    drop(proxy);
    same(field, |run| {
        let mut s = run.login("a", &Login::default().db(DB).with(DEPRECATE_EOF));
        for (sql, packets) in [("select 1", 5), ("select id from kv where id=-1", 4)] {
            let n = s.q(sql).len();
            ensure(n == packets, || {
                format!("{sql}: {n} packets, not {packets}")
            })?;
        }
        s.bye();
        Ok(())
    })
}

/// F002: statements up to the server's limit pass, the one above it is refused, and the connection
/// goes on.
fn statement_sizes(field: &Field) -> Saw {
    /// `select length('')` around the text, with the command byte.
    const AROUND: usize = 18;
    session(field, |s| {
        for (size, refused) in [
            (4_096, false),
            (4_097, false),
            (65_536, false),
            (5_000_000, false),
            (16_777_214, false),
            (16_777_215, false),
            (16_777_216, false),
            (16_777_217, true),
        ] {
            let sql = format!("select length('{}')", "x".repeat(size - AROUND));
            let got = s.q(&sql);
            let code = got.first().and_then(Got::error).map(|(code, _)| code);
            let want = refused.then_some(1153);
            ensure(code == want, || {
                format!("{size} bytes: {code:?}, not {want:?}")
            })?;
            s.q("select 1");
        }
        Ok(())
    })
}

/// F003: each request is answered by itself, in order, up to COM_QUIT.
fn pipelined(field: &Field) -> Saw {
    same(field, |run| {
        let mut s = run.login("a", &Login::default().db(DB));
        s.q("delete from kv where id=960");
        let query = |sql: &str| framed(&[&[3], sql.as_bytes()].concat(), 0);
        s.raw(&[query("select 1"), query("select 2"), framed(b"\x0e", 0)].concat());
        expect("1", &s.read("first", Reach::Results), Want::Row("1"))?;
        expect("2", &s.read("second", Reach::Results), Want::Row("2"))?;
        let got = s.norm(Norm::NoState).read("ping", Reach::One);
        expect("ping", &got, Want::Ok)?;
        s.norm(Norm::Exact);
        let insert = query("insert into kv(id,v) values(960,'p')");
        s.raw(&[query("selec"), insert, framed(b"\x01", 0)].concat());
        expect("error", &s.read("error", Reach::Results), Want::Error(1064))?;
        expect("insert", &s.read("insert", Reach::Results), Want::Ok)?;
        s.read("the end", Reach::ToEnd);
        let mut s = run.login("b", &Login::default().db(DB));
        let sql = "select v from kv where id=960";
        expect(sql, &s.q(sql), Want::Row("p"))?;
        s.q("delete from kv where id=960");
        s.bye();
        Ok(())
    })
}

/// F004: the more-results bit says where a reply ends, whatever the client asked for.
fn several_results(field: &Field) -> Saw {
    texts(
        field,
        &[
            ("select 1; select 2", Want::Any),
            ("select 1; -- x", Want::Any),
            (
                "update kv set n=0 where id=1; select nope; select 3",
                Want::Error(1054),
            ),
            ("call two_sets(5)", Want::Any),
            ("select 1", Want::Row("1")),
        ],
    )
}

/// F005: one OK each; 1149 for several statements once they are off.
fn set_option(field: &Field) -> Saw {
    session(field, |s| {
        for (option, want) in [(0u8, Want::Any), (1, Want::Error(1149)), (0, Want::Any)] {
            let got = s.one("set option", &[0x1b, option, 0]);
            expect("set option", &got, Want::Ok)?;
            let got = s.q("select 1; select 2");
            expect("two statements", &got, want)?;
        }
        Ok(())
    })
}

/// F006: the words of OK packets, and what session tracking says.
fn ok_texts(field: &Field) -> Saw {
    same(field, |run| {
        let mut s = run.login("a", &Login::default().db(DB));
        s.q("delete from kv where id between 1001 and 1003");
        for (sql, words) in [
            (
                "insert into kv(id) values(1001),(1002),(1003)",
                " Records: 3  Duplicates: 0  Warnings: 0",
            ),
            (
                "update kv set n=n where id=1001",
                " Rows matched: 1  Changed: 0  Warnings: 0",
            ),
        ] {
            let got = s.q(sql);
            let payload = got[0]
                .packet()
                .map(|p| p.payload.clone())
                .unwrap_or_default();
            ensure(payload.ends_with(words.as_bytes()), || {
                format!("{sql}: {got:?}")
            })?;
        }
        s.q("delete from kv where id between 1001 and 1003");
        s.bye();
        let mut s = run.login("b", &Login::default().db(DB).with(SESSION_TRACK));
        let got = s.q("use test");
        let payload = got[0]
            .packet()
            .map(|p| p.payload.clone())
            .unwrap_or_default();
        ensure(payload.windows(7).any(|w| w == b"\x01\x05\x04test"), || {
            format!("use test: {got:?}")
        })?;
        s.q("set autocommit=1");
        s.bye();
        Ok(())
    })
}

/// F007: the client is asked for the file, even where the proxy's machine has one of that name.
fn load_local(field: &Field) -> Saw {
    let path = std::env::temp_dir().join(format!("obring-probe-{}.csv", std::process::id()));
    std::fs::write(&path, "1,proxy\n").map_err(|e| e.to_string())?;
    let sql = format!(
        "load data local infile '{}' into table ld fields terminated by ','",
        path.display()
    );
    let saw = same(field, |run| {
        let mut s = run.login("a", &Login::default().db(DB).with(LOCAL_FILES));
        s.q("truncate table ld");
        let got = s.q(&sql);
        let asked = got[0]
            .packet()
            .map(|p| p.payload.clone())
            .unwrap_or_default();
        ensure(
            asked.strip_prefix(b"\xfb") == Some(path.display().to_string().as_bytes()),
            || format!("asked: {got:?}"),
        )?;
        let next = got[0].packet().map_or(0, |p| p.seq.wrapping_add(1));
        let file = [
            framed(b"7,client\n8,both\n", next),
            framed(b"", next.wrapping_add(1)),
        ];
        s.raw(&file.concat());
        expect("load", &s.read("load", Reach::One), Want::Ok)?;
        let sql = "select b from ld where a=7";
        expect(sql, &s.q(sql), Want::Row("client"))?;
        let sql = "select count(*) from ld";
        expect(sql, &s.q(sql), Want::Row("2"))?;
        s.bye();
        let mut s = run.login("b", &Login::default().db(DB));
        expect("without", &s.q(&sql_of(&path)), Want::Error(3948))?;
        s.bye();
        Ok(())
    });
    let _ = std::fs::remove_file(&path);
    saw
}

fn sql_of(path: &std::path::Path) -> String {
    format!("load data local infile '{}' into table ld", path.display())
}

/// F008: known commands answer like the server, unknown ones with 1235; the connection goes on.
fn unusual_commands(field: &Field) -> Saw {
    fn ping(s: &mut Session) -> Result<(), String> {
        let got = s.norm(Norm::NoState).one("ping", b"\x0e");
        s.norm(Norm::Exact);
        expect("ping", &got, Want::Ok)
    }
    session(field, |s| {
        for (payload, reach, want) in [
            (&b"\x04kv\0"[..], Reach::ToEof, Want::Any),
            (b"\x0d", Reach::One, Want::Any),
            (b"\x05x", Reach::One, Want::Error(1235)),
            (b"\x1d", Reach::One, Want::Error(1235)),
            (b"\x77", Reach::One, Want::Error(1235)),
            (b"\x03", Reach::One, Want::Error(1065)),
        ] {
            let name = format!("command {payload:?}");
            let got = s.send(&name, payload, reach);
            expect(&name, &got, want)?;
            ping(s)?;
        }
        s.norm(Norm::ServerState);
        for (payload, reach) in [(b"\x09", Reach::One), (b"\x0a", Reach::Results)] {
            s.norm(Norm::ServerState)
                .send("server state", payload, reach);
            ping(s)?;
        }
        s.prepare("select n from sq order by n");
        s.execute(1, b"");
        let got = s.by_id(0x1c, s.statement, b"\x03\0\0\0", Reach::ToEof);
        ensure(got.len() == 4, || format!("fetch of 3: {got:?}"))?;
        ping(s)
    })
}

/// F010: compression is not offered; a client that sets the bit all the same gets an error.
fn compression(field: &Field) -> Saw {
    let proxy = field.start()?;
    let mut c = Conn::open(proxy.address()).map_err(|e| e.to_string())?;
    let offered = c.greeting()?.capabilities;
    ensure(offered & COMPRESS == 0, || format!("offered: {offered:#x}"))?;
    let told = Conn::login(proxy.address(), &Login::default().with(COMPRESS));
    match told {
        Ok(_) => Err("the login went on as if nothing were compressed".into()),
        Err(text) if text.contains("error 1235") => Ok(text),
        Err(text) => Err(text),
    }
}

/// F011: the first reply packet counts on from the request, whatever number that had.
fn sequence_numbers(field: &Field) -> Saw {
    session(field, |s| {
        for first in [0u8, 5, 254, 255] {
            for payload in [&b"\x0e"[..], b"\x03select 1", b"\x03selec", b"\x16select ?"] {
                s.raw(&framed(payload, first));
                let reach = match payload[0] {
                    0x0e => Reach::One,
                    3 => Reach::Results,
                    _ => Reach::Prepare,
                };
                s.norm(if payload[0] == 0x0e {
                    Norm::NoState
                } else {
                    Norm::Exact
                });
                let got = s.read(&format!("{payload:?} from {first}"), reach);
                s.norm(Norm::Exact);
                for (n, packet) in got.iter().enumerate() {
                    let seq = packet.packet().map(|p| p.seq);
                    let want = first.wrapping_add(1).wrapping_add(n as u8);
                    ensure(seq == Some(want), || {
                        format!("{payload:?} from {first}: packet {n} has {seq:?}")
                    })?;
                }
            }
        }
        Ok(())
    })
}

/// F012: rows that came are passed on, then the error; nothing is asked again.
fn late_error(field: &Field) -> Saw {
    let sql = "select a.n+b.n*10+d.n*100, repeat('z',2000), \
               9223372036854775797+if(a.n+b.n*10+d.n*100=1110,11,0) from sq a, sq b, sq d \
               order by 1 limit 1000";
    session(field, |s| {
        let got = s.q(sql);
        // Count, three columns, EOF, rows, the error.
        let rows = got.len().saturating_sub(6);
        expect("the last packet", &got[got.len() - 1..], Want::Error(1690))?;
        ensure(rows == 992, || format!("{rows} rows before the error"))
    })
}
